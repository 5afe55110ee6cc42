//! Prometheus's relabelling: rules that change labels or drop what has them.
//!
//! Source: the documentation of Prometheus's `relabel_config`; checks, order and error texts are those of stock.

mod config;
mod edit;

use md5::{Digest, Md5};
use thanoxide_model::Regexp;
use thiserror::Error;

use crate::yaml::YamlError;
pub use edit::{LabelEdit, Pair};

/// Why rules are refused. The texts are stock's.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RelabelError {
    /// Not a list of rules.
    #[error("{0}\nparsing relabel configuration")]
    Yaml(#[from] YamlError),
    /// An action or an expression that cannot be read.
    #[error("{0}\nparsing relabel configuration")]
    Value(String),
    /// A rule that contradicts itself.
    #[error("{0}\nvalidate relabel config")]
    Invalid(String),
}

/// What a rule does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// Sets the target where the expression matches.
    #[default]
    Replace,
    /// Keeps what matches.
    Keep,
    /// Drops what matches.
    Drop,
    /// Keeps where the target equals the sources.
    KeepEqual,
    /// Drops where the target equals the sources.
    DropEqual,
    /// Sets the target to a hash of the sources.
    HashMod,
    /// Copies labels whose names match.
    LabelMap,
    /// Removes labels whose names match.
    LabelDrop,
    /// Removes all other labels.
    LabelKeep,
    /// Sets the target to the sources in small letters.
    Lowercase,
    /// Sets the target to the sources in capitals.
    Uppercase,
}

impl Action {
    const NAMES: [(&'static str, Action); 11] = [
        ("replace", Action::Replace),
        ("keep", Action::Keep),
        ("drop", Action::Drop),
        ("keepequal", Action::KeepEqual),
        ("dropequal", Action::DropEqual),
        ("hashmod", Action::HashMod),
        ("labelmap", Action::LabelMap),
        ("labeldrop", Action::LabelDrop),
        ("labelkeep", Action::LabelKeep),
        ("lowercase", Action::Lowercase),
        ("uppercase", Action::Uppercase),
    ];

    /// Its name in a configuration.
    pub fn name(self) -> &'static str {
        Action::NAMES.iter().find(|(_, action)| *action == self).map_or("", |(name, _)| name)
    }
}

/// One rule, checked.
#[derive(Debug)]
struct Rule {
    action: Action,
    sources: Vec<String>,
    separator: String,
    regex: Regexp,
    modulus: u64,
    target: String,
    replacement: String,
    /// A replacement of absent values by a fixed text: no expression is needed.
    sets_absent: bool,
}

/// Rules, in order.
#[derive(Debug, Default)]
pub struct Relabel {
    rules: Vec<Rule>,
}

impl Relabel {
    /// Reads and checks the YAML list of rules.
    pub fn parse(yaml: &str) -> Result<Self, RelabelError> {
        Ok(Relabel { rules: config::parse(yaml)? })
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What the rules do, in order: for whoever takes a few actions only.
    pub fn actions(&self) -> impl Iterator<Item = Action> {
        self.rules.iter().map(|rule| rule.action)
    }

    /// Applies the rules to labels; false drops what has them.
    pub fn apply(&self, labels: &mut LabelEdit<'_>) -> bool {
        self.rules.iter().all(|rule| rule.apply(labels))
    }
}

impl Rule {
    fn apply(&self, labels: &mut LabelEdit<'_>) -> bool {
        let value = || {
            let values: Vec<&[u8]> = self.sources.iter().map(|name| labels.get(name.as_bytes())).collect();
            values.join(self.separator.as_bytes())
        };
        match self.action {
            Action::Keep => return self.regex.is_match(&value()),
            Action::Drop => return !self.regex.is_match(&value()),
            Action::KeepEqual => return labels.get(self.target.as_bytes()) == value(),
            Action::DropEqual => return labels.get(self.target.as_bytes()) != value(),
            Action::Replace => self.replace(&value(), labels),
            Action::Lowercase => labels.set(self.target.as_bytes(), &change_case(&value(), str::to_lowercase)),
            Action::Uppercase => labels.set(self.target.as_bytes(), &change_case(&value(), str::to_uppercase)),
            Action::HashMod => labels.set(self.target.as_bytes(), self.bucket(&value()).as_bytes()),
            Action::LabelMap => self.map(labels),
            Action::LabelDrop => labels.retain(|name| !self.regex.is_match(name)),
            Action::LabelKeep => labels.retain(|name| self.regex.is_match(name)),
        }
        true
    }

    fn replace(&self, value: &[u8], labels: &mut LabelEdit<'_>) {
        if self.sets_absent && value.is_empty() {
            return labels.set(self.target.as_bytes(), self.replacement.as_bytes());
        }
        let Some(target) = self.regex.captures_expand(value, self.target.as_bytes()) else { return };
        if target.is_empty() || std::str::from_utf8(&target).is_err() {
            return;
        }
        let replacement = self.regex.captures_expand(value, self.replacement.as_bytes()).unwrap_or_default();
        labels.set(&target, &replacement);
    }

    fn map(&self, labels: &mut LabelEdit<'_>) {
        for (name, value) in labels.pairs() {
            if let Some(target) = self.regex.captures_expand(&name, self.replacement.as_bytes()) {
                labels.set(&target, &value);
            }
        }
    }

    /// The last eight bytes of the MD5 sum, as a number, modulo the modulus.
    fn bucket(&self, value: &[u8]) -> String {
        let sum: [u8; 16] = Md5::digest(value).into();
        let number = sum[8..].iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        (number % self.modulus).to_string()
    }
}

fn change_case(value: &[u8], change: fn(&str) -> String) -> Vec<u8> {
    change(&String::from_utf8_lossy(value)).into_bytes()
}

#[cfg(test)]
mod tests;
