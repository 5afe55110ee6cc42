//! One condition on one label.

use std::fmt;
use std::sync::Arc;

use crate::labels::{Labels, go_quote, is_legacy_label_name};
use crate::regexp::{Regexp, RegexpError};

/// The four operators of a selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatchKind {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regexp,
    /// `!~`
    NotRegexp,
}

impl MatchKind {
    /// The operator as PromQL writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            MatchKind::Equal => "=",
            MatchKind::NotEqual => "!=",
            MatchKind::Regexp => "=~",
            MatchKind::NotRegexp => "!~",
        }
    }
}

/// A condition on one label; an absent label has the empty value.
#[derive(Clone)]
pub struct Matcher {
    kind: MatchKind,
    name: Arc<[u8]>,
    value: Arc<[u8]>,
    regexp: Option<Arc<Regexp>>,
}

impl Matcher {
    /// Compiles a matcher. Fails where the pattern is not of RE2's language.
    pub fn new(kind: MatchKind, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<Self, RegexpError> {
        let (name, value) = (Arc::from(name.as_ref()), Arc::from(value.as_ref()));
        let regexp = match kind {
            MatchKind::Equal | MatchKind::NotEqual => None,
            MatchKind::Regexp | MatchKind::NotRegexp => Some(Arc::new(Regexp::new(&value)?)),
        };
        Ok(Matcher { kind, name, value, regexp })
    }

    /// `name="value"`, which cannot fail.
    pub fn equal(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        Matcher {
            kind: MatchKind::Equal,
            name: Arc::from(name.as_ref()),
            value: Arc::from(value.as_ref()),
            regexp: None,
        }
    }

    /// The operator.
    pub fn kind(&self) -> MatchKind {
        self.kind
    }

    /// The label's name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The value or pattern.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// The compiled pattern of `=~` and `!~`.
    pub fn regexp(&self) -> Option<&Regexp> {
        self.regexp.as_deref()
    }

    /// Whether a label value satisfies the condition.
    pub fn matches(&self, value: &[u8]) -> bool {
        match (&self.regexp, self.kind) {
            (Some(re), MatchKind::NotRegexp) => !re.is_match(value),
            (Some(re), _) => re.is_match(value),
            (None, MatchKind::NotEqual) => value != &*self.value,
            (None, _) => value == &*self.value,
        }
    }

    /// Whether the series without this label satisfies the condition.
    pub fn matches_empty(&self) -> bool {
        self.matches(b"")
    }

    /// Whether a set of labels satisfies the condition.
    pub fn matches_labels(&self, labels: &Labels) -> bool {
        self.matches(labels.value(&*self.name))
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.name == other.name && self.value == other.value
    }
}

impl Eq for Matcher {}

impl fmt::Display for Matcher {
    /// `name="value"`, as Prometheus prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_legacy_label_name(&self.name) {
            f.write_str(&String::from_utf8_lossy(&self.name))?;
        } else {
            f.write_str(&go_quote(&self.name))?;
        }
        write!(f, "{}{}", self.kind.as_str(), go_quote(&self.value))
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
