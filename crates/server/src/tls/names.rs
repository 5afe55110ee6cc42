//! Go's names of versions, suites and curves.

use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::{NamedGroup, SupportedCipherSuite, SupportedProtocolVersion, version};

use super::{TlsConfig, TlsError};

/// What stock says would do.
const CIPHERS: [&str; 13] = [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
];

const CURVES: [(&str, Option<NamedGroup>); 7] = [
    ("CurveP256", Some(NamedGroup::secp256r1)),
    ("CurveP384", Some(NamedGroup::secp384r1)),
    ("CurveP521", Some(NamedGroup::secp521r1)),
    ("SecP256r1MLKEM768", Some(NamedGroup::secp256r1MLKEM768)),
    ("SecP384r1MLKEM1024", None),
    ("X25519", Some(NamedGroup::X25519)),
    ("X25519MLKEM768", Some(NamedGroup::X25519MLKEM768)),
];

/// The provider with the suites and curves that the configuration leaves.
pub(super) fn provider(config: &TlsConfig) -> Result<CryptoProvider, TlsError> {
    let all = aws_lc_rs::default_provider();
    let unknown =
        |kind, name: &String, valid: Vec<&str>| TlsError::Name { kind, name: name.clone(), valid: valid.join(", ") };
    if let Some(name) = config.ciphers.iter().find(|name| !CIPHERS.contains(&name.as_str())) {
        return Err(unknown("cipher suite", name, CIPHERS.to_vec()));
    }
    if let Some(name) = config.curves.iter().find(|name| !CURVES.iter().any(|(known, _)| known == name)) {
        return Err(unknown("curve", name, CURVES.iter().map(|(known, _)| *known).collect()));
    }
    let mut provider = all;
    if !config.ciphers.is_empty() {
        provider.cipher_suites.retain(|suite| is_chosen(suite, &config.ciphers));
    }
    if !config.curves.is_empty() {
        let chosen = |name: &String| CURVES.iter().find(|(known, _)| known == name).and_then(|(_, group)| *group);
        let groups: Vec<NamedGroup> = config.curves.iter().filter_map(chosen).collect();
        provider.kx_groups = aws_lc_rs::ALL_KX_GROUPS
            .iter()
            .copied()
            .filter(|g: &&dyn SupportedKxGroup| groups.contains(&g.name()))
            .collect();
    }
    Ok(provider)
}

/// As in Go, the suites of TLS 1.3 are always there.
fn is_chosen(suite: &SupportedCipherSuite, names: &[String]) -> bool {
    suite.tls13().is_some() || suite.suite().as_str().is_some_and(|name| names.iter().any(|chosen| chosen == name))
}

/// The versions between the lowest and the highest.
pub(super) fn versions(config: &TlsConfig) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    let number = |text: &str, default| match text {
        "" => Ok(default),
        "1.0" | "TLS10" => Ok(10),
        "1.1" | "TLS11" => Ok(11),
        "1.2" | "TLS12" => Ok(12),
        "1.3" | "TLS13" => Ok(13),
        other => Err(TlsError::Invalid(format!("unknown TLS version: {other}"))),
    };
    let (min, max) = (number(&config.min_version, 12)?, number(&config.max_version, 13)?);
    let known = [(12, &version::TLS12), (13, &version::TLS13)];
    let chosen: Vec<_> =
        known.into_iter().filter(|(n, _)| min <= *n && *n <= max).map(|(_, version)| version).collect();
    if chosen.is_empty() {
        return Err(TlsError::Invalid("TLS 1.0 and 1.1 are not spoken".to_string()));
    }
    Ok(chosen)
}
