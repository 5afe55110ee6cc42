//! Regular expressions of RE2's language, anchored as Prometheus anchors them: `^(?s:PATTERN)$`.

use regex_automata::meta;
use thiserror::Error;

/// A pattern that is not of RE2's language, or too large to compile.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("error parsing regexp: {message}")]
pub struct RegexpError {
    /// Go's wording of what is wrong.
    pub message: String,
}

/// A compiled, fully anchored pattern.
#[derive(Clone, Debug)]
pub struct Regexp {
    pattern: Vec<u8>,
    program: meta::Regex,
}

impl Regexp {
    /// Compiles a pattern.
    pub fn new(pattern: &[u8]) -> Result<Self, RegexpError> {
        let text = std::str::from_utf8(pattern).map_err(|_| RegexpError { message: "invalid UTF-8".into() })?;
        let anchored = format!("^(?s:{text})$");
        let program = meta::Regex::new(&anchored).map_err(|e| RegexpError { message: e.to_string() })?;
        Ok(Regexp { pattern: pattern.to_vec(), program })
    }

    /// The pattern as written.
    pub fn pattern(&self) -> &[u8] {
        &self.pattern
    }

    /// Whether the whole value matches.
    pub fn is_match(&self, value: &[u8]) -> bool {
        self.program.is_match(value)
    }
}
