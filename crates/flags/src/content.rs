//! The pair of flags `--x` (content) and `--x-file` (path of a file with the content), and `$(NAME)` in the content.

use std::io;

use thiserror::Error;

/// Content that cannot be had. The texts are Thanos's.
#[derive(Debug, Error)]
pub enum ContentError {
    /// Both flags are given.
    #[error("both {0}-file and {0} flags set.")]
    Both(&'static str),
    /// Neither flag is given, or the content is empty.
    #[error("flag {0}-file or {0} is required for running this command and content cannot be empty.")]
    Required(&'static str),
    /// The file cannot be read.
    #[error("{}\nloading file {path} for {flag}-file", open_text(path, source))]
    File {
        /// The flag without `-file`.
        flag: &'static str,
        /// The path given.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// `$(NAME)` of a variable that is not set.
    #[error("found reference to unset environment variable {0:?}")]
    UnsetVariable(String),
}

/// What Go says of a file that cannot be opened.
fn open_text(path: &str, error: &io::Error) -> String {
    let reason = match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_string(),
        io::ErrorKind::PermissionDenied => "permission denied".to_string(),
        io::ErrorKind::IsADirectory => "is a directory".to_string(),
        _ => error.to_string(),
    };
    format!("open {path}: {reason}")
}

/// Replaces each `$(NAME)` by the variable's value. A name is made of letters, digits and `_`; other texts stay.
pub fn expand_env(content: &str, lookup: impl Fn(&str) -> Option<String>) -> Result<String, ContentError> {
    let mut out = String::with_capacity(content.len());
    let mut rest = content;
    while let Some(at) = rest.find("$(") {
        let after = &rest[at + 2..];
        let name = after.split_once(')').map_or("", |(name, _)| name);
        let is_name = !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !name.as_bytes()[0].is_ascii_digit();
        out.push_str(&rest[..at]);
        if is_name {
            out.push_str(&lookup(name).ok_or_else(|| ContentError::UnsetVariable(name.to_string()))?);
            rest = &after[name.len() + 1..];
        } else {
            out.push_str("$(");
            rest = after;
        }
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_and_must_be_set() {
        let lookup = |name: &str| (name == "KEY").then(|| "v$(KEY)".to_string());
        assert_eq!(expand_env("a: $(KEY)$(KEY) $() $(x y) $", lookup).unwrap(), "a: v$(KEY)v$(KEY) $() $(x y) $");
        let error = expand_env("$(NONE)", lookup).unwrap_err().to_string();
        assert_eq!(error, "found reference to unset environment variable \"NONE\"");
    }
}
