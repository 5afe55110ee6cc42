//! Basic authentication of a listener: names and bcrypt hashes of passwords.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use parking_lot::Mutex;

use crate::http::{HeaderMap, HeaderValue, IntoResponse, Response, StatusCode, header};

/// Who does not exist is checked against this, so that it takes as long as who does.
const NOBODY: &str = "$2b$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";
/// Credentials that were found right are remembered, so many of them: a hash takes a tenth of a second.
const MAX_REMEMBERED: usize = 100;

/// The users of a listener.
#[derive(Debug)]
pub struct BasicAuth {
    users: HashMap<String, String>,
    known: Mutex<Vec<(String, String)>>,
}

impl BasicAuth {
    /// Names and hashes.
    pub fn new(users: impl IntoIterator<Item = (String, String)>) -> Arc<Self> {
        Arc::new(BasicAuth { users: users.into_iter().collect(), known: Mutex::default() })
    }

    /// Lets only users through to a router.
    pub fn guard(self: Arc<Self>, router: Router) -> Router {
        if self.users.is_empty() {
            return router;
        }
        router.layer(middleware::from_fn(move |request: Request, next: Next| {
            let auth = Arc::clone(&self);
            async move { if auth.allows(request.headers()).await { next.run(request).await } else { unauthorized() } }
        }))
    }

    async fn allows(self: &Arc<Self>, headers: &HeaderMap) -> bool {
        let Some((name, password)) = credentials(headers) else { return false };
        if self.known.lock().iter().any(|known| *known == (name.clone(), password.clone())) {
            return true;
        }
        let auth = Arc::clone(self);
        let checked = tokio::task::spawn_blocking(move || auth.check(name, password)).await;
        checked.unwrap_or(false)
    }

    fn check(&self, name: String, password: String) -> bool {
        let hash = self.users.get(&name);
        let right = bcrypt::verify(&password, hash.map_or(NOBODY, String::as_str)).unwrap_or(false) && hash.is_some();
        if right {
            let mut known = self.known.lock();
            known.truncate(MAX_REMEMBERED - 1);
            known.insert(0, (name, password));
        }
        right
    }
}

fn unauthorized() -> Response {
    let mut response = (StatusCode::UNAUTHORIZED, "Unauthorized\n").into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
    response
}

fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = from_base64(encoded.trim())?;
    let (name, password) = decoded.split_once(':')?;
    Some((name.to_string(), password.to_string()))
}

fn from_base64(text: &str) -> Option<String> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut out, mut bits, mut held) = (Vec::with_capacity(text.len()), 0u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        bits = bits << 6 | ALPHABET.iter().position(|letter| *letter == byte)? as u32;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held & 0xff) as u8);
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The password `test`, from the Prometheus documentation.
    const TEST: &str = "$2b$12$hNf2lSsxfm0.i4a.1kVpSOVyBCfIB51VRjgBUyv6kdnyTlgWj81Ay";

    #[tokio::test]
    async fn users_with_their_password_pass() {
        let auth = BasicAuth::new([("admin".to_string(), TEST.to_string())]);
        for (value, allowed) in [
            ("Basic YWRtaW46dGVzdA==", true),
            ("basic YWRtaW46dGVzdA==", true),
            ("Basic YWRtaW46VGVzdA==", false),
            ("Basic b3RoZXI6dGVzdA==", false),
            ("Basic !", false),
            ("Bearer x", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
            assert_eq!(auth.allows(&headers).await, allowed, "{value}");
        }
        assert!(!auth.allows(&HeaderMap::new()).await);
    }
}
