//! A tenant's name, checked so that it can name a directory and nothing but that directory.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

/// The longest tenant id.
pub const MAX_TENANT_BYTES: usize = 150;

/// A directory beside those of tenants, so no tenant has this name: what a router keeps for other nodes.
pub const HINTS_DIR: &str = "thanoxide.hints";

/// A name that cannot be a tenant's.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("invalid tenant {id:?}: {reason}")]
pub struct TenantError {
    /// The name as given (shortened).
    pub id: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// A tenant: a path component that is neither `.` nor `..`, has no separator and no control character.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(Arc<str>);

impl TenantId {
    /// Checks a name.
    pub fn new(id: &str) -> Result<Self, TenantError> {
        let refuse = |reason| Err(TenantError { id: id.chars().take(40).collect(), reason });
        match id {
            "" => return refuse("it is empty"),
            "." | ".." | HINTS_DIR => return refuse("it names a directory of its own"),
            _ => {}
        }
        if id.len() > MAX_TENANT_BYTES {
            return refuse("it is longer than 150 bytes");
        }
        if id.contains(['/', '\\']) || id.chars().any(char::is_control) {
            return refuse("it holds a path separator or a control character");
        }
        Ok(TenantId(Arc::from(id)))
    }

    /// Checks a name that need not be text.
    pub fn from_bytes(id: &[u8]) -> Result<Self, TenantError> {
        let shown = || String::from_utf8_lossy(id).chars().take(40).collect();
        // Shown as text, two such names may look the same.
        let id = str::from_utf8(id).map_err(|_| TenantError { id: shown(), reason: "it is not UTF-8" })?;
        TenantId::new(id)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_leave_their_directory_are_refused() {
        for bad in ["", ".", "..", "a/b", "../x", "a\\b", "a\0b", "a\nb", &"x".repeat(151)] {
            assert!(TenantId::new(bad).is_err(), "{bad:?}");
        }
        for good in ["default-tenant", "a.b", "...", "ä", "team 1", "%2e%2e"] {
            assert!(TenantId::new(good).is_ok(), "{good:?}");
        }
        assert_eq!(TenantId::from_bytes("ä".as_bytes()), TenantId::new("ä"));
        assert!(TenantId::from_bytes(b"a\xff").is_err() && TenantId::from_bytes(b"..").is_err());
    }
}
