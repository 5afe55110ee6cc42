//! The web configuration file of a listener (`--http.config`): TLS and basic authentication.
//!
//! Keys, checks and texts are those of Prometheus's exporter toolkit. `headers` and `http2` are checked and, but for the
//! headers, taken without effect: HTTP/2 is always offered.

use std::path::PathBuf;

use thiserror::Error;

use crate::yaml::{Decoder, Node, YamlError};

/// Headers that may be set.
const HEADERS: [&str; 5] = [
    "Content-Security-Policy",
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-XSS-Protection",
];

/// Why a web configuration is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum WebError {
    /// Not YAML, or of another shape.
    #[error(transparent)]
    Yaml(#[from] YamlError),
    /// A value that cannot be, or one that is missing.
    #[error("{0}")]
    Invalid(String),
}

/// `tls_server_config`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebTls {
    /// `cert_file`.
    pub cert_file: String,
    /// `key_file`.
    pub key_file: String,
    /// `client_ca_file`.
    pub client_ca_file: String,
    /// `client_auth_type`.
    pub client_auth_type: String,
    /// `min_version`, as `TLS12`.
    pub min_version: String,
    /// `max_version`.
    pub max_version: String,
    /// `cipher_suites`.
    pub cipher_suites: Vec<String>,
    /// `curve_preferences`.
    pub curve_preferences: Vec<String>,
}

/// A web configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Web {
    /// TLS, where it is configured.
    pub tls: Option<WebTls>,
    /// Names and bcrypt hashes of passwords.
    pub users: Vec<(String, String)>,
    /// Headers of every answer.
    pub headers: Vec<(String, String)>,
}

impl Web {
    /// Reads the YAML; relative paths are below `dir`, the directory of the file.
    pub fn parse(yaml: &str, dir: &std::path::Path) -> Result<Self, WebError> {
        let mut web = Web::default();
        let Some(node) = Node::parse(yaml)? else { return Ok(web) };
        let mut decoder = Decoder::strict();
        decoder.fields(&node, "web.Config", |decoder, key, value| {
            match key {
                "tls_server_config" => web.tls = Some(tls(decoder, value)),
                "http_server_config" => http(decoder, value, &mut web.headers),
                "basic_auth_users" => decoder.text_pairs(value, &mut web.users),
                "rate_limit" => {}
                _ => return false,
            }
            true
        });
        decoder.finish()?;
        web.check()?;
        if let Some(tls) = &mut web.tls {
            for path in [&mut tls.cert_file, &mut tls.key_file, &mut tls.client_ca_file] {
                if !path.is_empty() {
                    *path = join(dir, path);
                }
            }
        }
        Ok(web)
    }

    fn check(&self) -> Result<(), WebError> {
        let fail = |text: String| Err(WebError::Invalid(text));
        if let Some((name, _)) = self.headers.iter().find(|(name, _)| !HEADERS.contains(&name.as_str())) {
            return fail(format!("HTTP header {name:?} can not be configured"));
        }
        if self.users.iter().any(|(_, hash)| hash.len() < 59) {
            return fail("crypto/bcrypt: hashedSecret too short to be a bcrypted password".to_string());
        }
        let Some(tls) = &self.tls else { return Ok(()) };
        match (tls.cert_file.is_empty(), tls.key_file.is_empty()) {
            (true, false) => return fail("missing one of cert or cert_file".to_string()),
            (false, true) => return fail("missing one of key or key_file".to_string()),
            _ => {}
        }
        for version in [&tls.min_version, &tls.max_version] {
            if !matches!(version.as_str(), "" | "TLS10" | "TLS11" | "TLS12" | "TLS13") {
                return fail(format!("unknown TLS version: {version}"));
            }
        }
        let with_ca = !tls.client_ca_file.is_empty();
        match tls.client_auth_type.as_str() {
            "" | "NoClientCert" if with_ca => {
                fail("client CA's have been configured without a Client Auth Policy".to_string())
            }
            "" | "NoClientCert" | "RequestClientCert" | "RequireAnyClientCert" | "RequireClientCert" => Ok(()),
            "VerifyClientCertIfGiven" | "RequireAndVerifyClientCert" => Ok(()),
            other => fail(format!("invalid ClientAuth: {other}")),
        }
    }
}

fn join(dir: &std::path::Path, path: &str) -> String {
    dir.join(PathBuf::from(path)).to_string_lossy().into_owned()
}

fn tls(decoder: &mut Decoder, node: &Node) -> WebTls {
    let mut tls = WebTls::default();
    let mut unused = false;
    decoder.fields(node, "web.TLSConfig", |decoder, key, value| {
        match key {
            "cert_file" => decoder.text(value, &mut tls.cert_file),
            "key_file" => decoder.text(value, &mut tls.key_file),
            "client_ca_file" => decoder.text(value, &mut tls.client_ca_file),
            "client_auth_type" => decoder.text(value, &mut tls.client_auth_type),
            "min_version" => decoder.text(value, &mut tls.min_version),
            "max_version" => decoder.text(value, &mut tls.max_version),
            "cipher_suites" => decoder.texts(value, &mut tls.cipher_suites),
            "curve_preferences" => decoder.texts(value, &mut tls.curve_preferences),
            "prefer_server_cipher_suites" => decoder.switch(value, &mut unused),
            _ => return false,
        }
        true
    });
    tls
}

fn http(decoder: &mut Decoder, node: &Node, headers: &mut Vec<(String, String)>) {
    let mut unused = true;
    decoder.fields(node, "web.HTTPConfig", |decoder, key, value| {
        match key {
            "http2" => decoder.switch(value, &mut unused),
            "headers" => decoder.text_pairs(value, headers),
            _ => return false,
        }
        true
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_stocks_words() {
        let cert = "tls_server_config:\n  cert_file: a\n";
        for (text, told) in [
            ("nope: 1\n".to_string(), "yaml: unmarshal errors:\n  line 1: field nope not found in type web.Config"),
            (
                "basic_auth_users:\n  admin: plaintext\n".to_string(),
                "crypto/bcrypt: hashedSecret too short to be a bcrypted password",
            ),
            (cert.to_string(), "missing one of key or key_file"),
            (format!("{cert}  key_file: b\n  min_version: TLS99\n"), "unknown TLS version: TLS99"),
            (format!("{cert}  key_file: b\n  client_auth_type: Maybe\n"), "invalid ClientAuth: Maybe"),
            (
                format!("{cert}  key_file: b\n  client_ca_file: c\n"),
                "client CA's have been configured without a Client Auth Policy",
            ),
            ("a: [\n".to_string(), "yaml: line 1: did not find expected node content"),
            (
                "http_server_config:\n  headers:\n    X-Nope: a\n".to_string(),
                "HTTP header \"X-Nope\" can not be configured",
            ),
        ] {
            assert_eq!(Web::parse(&text, std::path::Path::new("/c")).unwrap_err().to_string(), told);
        }
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let text = "tls_server_config: {cert_file: a, key_file: /b, min_version: TLS12, curve_preferences: [X25519]}\nhttp_server_config: {http2: true}\n";
        let tls = Web::parse(text, std::path::Path::new("/c")).unwrap().tls.unwrap();
        assert_eq!((tls.cert_file.as_str(), tls.key_file.as_str(), tls.min_version.as_str()), ("/c/a", "/b", "TLS12"));
        assert_eq!(Web::parse("", std::path::Path::new("/c")).unwrap(), Web::default());
    }
}
