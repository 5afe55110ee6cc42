//! From PEM files to rustls.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::{ClientAuth, TlsConfig, TlsError, names};
use crate::bind::go_reason;

pub(super) fn load(config: &TlsConfig) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(names::provider(config)?);
    let (chain, key) = (certificates(&config.cert)?, key(&config.key)?);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_protocol_versions(&names::versions(config)?).map_err(invalid)?;
    let builder = match (&config.client_ca, config.client_auth) {
        (_, ClientAuth::None) | (None, _) => builder.with_no_client_auth(),
        (Some(ca), auth) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca)?), provider);
            let verifier = if auth == ClientAuth::IfGiven { verifier.allow_unauthenticated() } else { verifier };
            builder.with_client_cert_verifier(verifier.build().map_err(invalid)?)
        }
    };
    let mut tls = builder.with_single_cert(chain, key).map_err(invalid)?;
    tls.alpn_protocols.clone_from(&config.protocols);
    Ok(tls)
}

fn invalid(error: impl ToString) -> TlsError {
    TlsError::Invalid(error.to_string())
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error| TlsError::File { path: path.to_path_buf(), reason: go_reason(&error) })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(path)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(invalid)?;
    if chain.is_empty() {
        return Err(TlsError::Invalid("tls: failed to find any PEM data in certificate input".to_string()));
    }
    Ok(chain)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let pem = read(path)?;
    let missing = |_| TlsError::Invalid("tls: failed to find any PEM data in key input".to_string());
    PrivateKeyDer::from_pem_slice(&pem).map_err(missing)
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(invalid)?;
    }
    Ok(roots)
}
