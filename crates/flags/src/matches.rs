//! What the arguments say, with defaults filled in.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use thanoxide_model::Labels;

use crate::content::{ContentError, expand_env};
use crate::flag::{FlagDef, Kind};
use crate::label::{LabelError, parse_labels};
use crate::value::{Moment, parse_bytes, parse_duration_ms, parse_float, parse_go_duration_ns, parse_int, parse_uint};

/// The checked values of a command's flags.
///
/// Getters panic for a flag that the command does not have or that is of another kind: a mistake in the program, not in
/// its arguments.
#[derive(Clone, Debug)]
pub struct Matches {
    command: &'static str,
    flags: HashMap<&'static str, FlagDef>,
    given: HashMap<&'static str, Vec<String>>,
}

const CHECKED: &str = "values are checked while parsing, defaults by a test of the tables";

impl Matches {
    pub(crate) fn new(
        command: &'static str,
        flags: impl IntoIterator<Item = FlagDef>,
        given: HashMap<&'static str, Vec<String>>,
    ) -> Self {
        Matches { command, flags: flags.into_iter().map(|flag| (flag.name, flag)).collect(), given }
    }

    /// The command.
    pub fn command(&self) -> &'static str {
        self.command
    }

    /// Whether the flag is among the arguments.
    pub fn is_given(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        let Some(flag) = self.flags.get(name) else { panic!("command {} has no flag --{name}", self.command) };
        let given = self.given.get(name);
        let defaults = if given.is_some() { &[] } else { flag.defaults };
        given.into_iter().flatten().map(String::as_str).chain(defaults.iter().copied())
    }

    fn last(&self, name: &str) -> Option<&str> {
        self.values(name).last()
    }

    fn required(&self, name: &str) -> &str {
        self.last(name).unwrap_or_default()
    }

    /// Every flag with its values as text, joined by commas.
    pub fn all_texts(&self) -> BTreeMap<String, String> {
        let text = |name: &&'static str| self.values(name).collect::<Vec<_>>().join(",");
        self.flags.keys().map(|name| (name.to_string(), text(name))).collect()
    }

    /// A switch.
    pub fn switch(&self, name: &str) -> bool {
        self.last(name) == Some("true")
    }

    /// A text, empty if neither given nor defaulted.
    pub fn text(&self, name: &str) -> &str {
        self.required(name)
    }

    /// All values of a repeatable flag, without empty ones.
    pub fn texts(&self, name: &str) -> Vec<String> {
        self.values(name).filter(|value| !value.is_empty()).map(str::to_string).collect()
    }

    /// An integer.
    pub fn int(&self, name: &str) -> i64 {
        parse_int(self.required(name)).expect(CHECKED)
    }

    /// An integer without a sign.
    pub fn uint(&self, name: &str) -> u64 {
        parse_uint(self.required(name)).expect(CHECKED)
    }

    /// A number.
    pub fn float(&self, name: &str) -> f64 {
        parse_float(self.required(name)).expect(CHECKED)
    }

    /// A size in bytes.
    pub fn bytes(&self, name: &str) -> u64 {
        parse_bytes(self.required(name)).expect(CHECKED)
    }

    /// A duration of either grammar that cannot be negative (those that are count as zero).
    pub fn duration(&self, name: &str) -> Duration {
        Duration::from_millis(self.duration_ms(name).max(0) as u64)
    }

    /// A duration of either grammar in milliseconds; zero if neither given nor defaulted.
    pub fn duration_ms(&self, name: &str) -> i64 {
        let Some(text) = self.last(name) else { return 0 };
        match self.flags[name].kind {
            Kind::GoDuration => parse_go_duration_ns(text).expect(CHECKED) / 1_000_000,
            _ => parse_duration_ms(text).expect(CHECKED),
        }
    }

    /// A time in milliseconds since the Unix epoch.
    pub fn time_ms(&self, name: &str, now_ms: i64) -> i64 {
        Moment::parse(self.required(name)).expect(CHECKED).resolve_ms(now_ms)
    }

    /// A time as it was given: fixed (`Ok`, ms since the Unix epoch) or from now on (`Err`, ms; negative is the past).
    pub fn fixed_or_relative_ms(&self, name: &str) -> Result<i64, i64> {
        match Moment::parse(self.required(name)).expect(CHECKED) {
            Moment::AtMs(at_ms) => Ok(at_ms),
            Moment::FromNowMs(offset_ms) => Err(offset_ms),
        }
    }

    /// Labels of a repeatable flag of the form `name="value"`.
    pub fn labels(&self, name: &str) -> Result<Labels, LabelError> {
        parse_labels(self.values(name))
    }

    /// The content of the pair `--name` and `--name-file`, with `$(NAME)` replaced from the environment.
    pub fn content(&self, name: &'static str) -> Result<Option<String>, ContentError> {
        let file_flag = format!("{name}-file");
        let inline = self.text(name);
        let path = self.text(&file_flag);
        if !inline.is_empty() && !path.is_empty() {
            return Err(ContentError::Both(name));
        }
        let raw = if path.is_empty() { inline.to_string() } else { read(name, path)? };
        let content = expand_env(&raw, |variable| std::env::var(variable).ok())?;
        Ok(Some(content).filter(|content| !content.is_empty()))
    }

    /// The same, for a pair of which one must be given.
    pub fn required_content(&self, name: &'static str) -> Result<String, ContentError> {
        self.content(name)?.ok_or(ContentError::Required(name))
    }
}

fn read(flag: &'static str, path: &str) -> Result<String, ContentError> {
    std::fs::read_to_string(path).map_err(|source| ContentError::File { flag, path: path.to_string(), source })
}
