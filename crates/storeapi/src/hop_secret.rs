//! What one node shows another so that it is believed: a secret in a file, as `Authorization: Bearer …`.
//!
//! The file has one secret a line: the first is shown, any is taken, so that a new one can be brought in node by node. It
//! is read again when it changes. Without such a file, whoever reaches the port is believed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use parking_lot::Mutex;
use tracing::{info, warn};

/// A secret that the nodes of a system share. Clones share what was read.
#[derive(Clone)]
pub struct HopSecret(Arc<State>);

struct State {
    path: PathBuf,
    current: Mutex<Current>,
}

struct Current {
    headers: Vec<HeaderValue>,
    read: Option<SystemTime>,
}

impl std::fmt::Debug for HopSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HopSecret").field("path", &self.0.path).finish_non_exhaustive()
    }
}

impl HopSecret {
    /// Reads the file. One without a secret is an error: an empty one would let everybody in.
    pub fn from_file(path: &Path) -> io::Result<Self> {
        let read = modified(path);
        let headers = load(path)?;
        Ok(HopSecret(Arc::new(State { path: path.to_path_buf(), current: Mutex::new(Current { headers, read }) })))
    }

    /// What is shown to others.
    pub fn header(&self) -> HeaderValue {
        self.current()[0].clone()
    }

    /// Whether a request shows a secret that is taken.
    pub fn accepts(&self, headers: &HeaderMap) -> bool {
        let known = self.current();
        // No early end: the time must not tell how much was right.
        headers.get_all(AUTHORIZATION).iter().fold(false, |accepted, shown| {
            known.iter().fold(accepted, |accepted, known| accepted | is_equal(shown.as_bytes(), known.as_bytes()))
        })
    }

    /// What the file says now. One that cannot be read changes nothing.
    fn current(&self) -> Vec<HeaderValue> {
        let State { path, current } = &*self.0;
        let modified = modified(path);
        let mut current = current.lock();
        if modified != current.read {
            current.read = modified;
            match load(path) {
                Ok(headers) => {
                    info!("the secret of trusted hops was read again");
                    current.headers = headers;
                }
                Err(error) => warn!(%error, "the secret of trusted hops changed and cannot be read, the old one stays"),
            }
        }
        current.headers.clone()
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

fn load(path: &Path) -> io::Result<Vec<HeaderValue>> {
    let text = std::fs::read_to_string(path)?;
    let secrets = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let header = |secret: &str| {
        let mut header = HeaderValue::try_from(format!("Bearer {secret}")).map_err(io::Error::other)?;
        header.set_sensitive(true);
        Ok(header)
    };
    let headers: Vec<_> = secrets.map(header).collect::<io::Result<_>>()?;
    if headers.is_empty() { Err(io::Error::other("there is no secret in the file")) } else { Ok(headers) }
}

fn is_equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn accepts(secret: &HopSecret, shown: &str) -> bool {
        secret.accepts(&HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::try_from(shown).unwrap())]))
    }

    #[test]
    fn any_secret_of_the_file_is_taken_and_the_first_is_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, "\n \n").unwrap();
        assert!(HopSecret::from_file(&path).is_err());
        std::fs::write(&path, "new\nold\n").unwrap();
        let secret = HopSecret::from_file(&path).unwrap();
        assert_eq!(secret.header(), "Bearer new");
        assert!(accepts(&secret, "Bearer new") && accepts(&secret, "Bearer old"));
        assert!(!accepts(&secret, "Bearer ne") && !accepts(&secret, "new") && !secret.accepts(&HeaderMap::new()));
        std::fs::write(&path, "newer").unwrap();
        let later = SystemTime::now() + Duration::from_secs(60);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
        assert!(accepts(&secret, "Bearer newer") && !accepts(&secret, "Bearer new"));
        assert!(!format!("{secret:?}").contains("newer") && !format!("{:?}", secret.header()).contains("newer"));
    }
}
