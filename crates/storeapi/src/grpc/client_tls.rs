//! TLS towards other nodes: files that are read again when they change, mutual TLS, a lowest version.
//!
//! TLS 1.2 and 1.3 are spoken; a lowest version of 1.0 or 1.1 means 1.2. Connections that stand keep what they were made
//! with.

mod verifier;

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use http::Uri;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::ClientConfig as RustlsConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{RootCertStore, SupportedProtocolVersion, version};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::Service;
use tracing::{info, warn};

/// Why TLS cannot be set up. The texts are stock's.
#[derive(Debug, Error)]
pub enum ClientTlsError {
    /// One of certificate and key.
    #[error("both client key and certificate must be provided")]
    Half,
    /// A file that cannot be read; the step is stock's.
    #[error("{step}: open {}: {reason}", path.display())]
    File {
        /// What it was read for.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// What is not what it should be.
    #[error("{0}")]
    Invalid(String),
}

/// What a client may choose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTlsConfig {
    /// PEM file of the CAs of servers; none means those of the system.
    pub ca: Option<PathBuf>,
    /// PEM files of the own certificate chain and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name that certificates must have; empty is that of the address.
    pub server_name: String,
    /// Takes any certificate.
    pub skip_verify: bool,
    /// `1.0` to `1.3`; empty is the lowest there is.
    pub min_version: String,
}

impl ClientTlsConfig {
    /// From the flags that stock gives its clients.
    pub fn from_flags(ca: &str, cert: &str, key: &str, server_name: &str) -> Result<Self, ClientTlsError> {
        let identity = match (cert.is_empty(), key.is_empty()) {
            (true, true) => None,
            (false, false) => Some((cert.into(), key.into())),
            _ => return Err(ClientTlsError::Half),
        };
        let ca = (!ca.is_empty()).then(|| ca.into());
        Ok(ClientTlsConfig { ca, identity, server_name: server_name.to_string(), ..ClientTlsConfig::default() })
    }

    fn modified(&self) -> Vec<Option<SystemTime>> {
        let identity = self.identity.iter().flat_map(|(cert, key)| [cert, key]);
        self.ca.iter().chain(identity).map(|path| modified(path)).collect()
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

/// Makes TLS connections with the files of the moment. Clones share what was read.
#[derive(Clone)]
pub struct ClientTls(Arc<State>);

struct State {
    config: ClientTlsConfig,
    current: Mutex<Current>,
}

struct Current {
    tls: Arc<RustlsConfig>,
    read: Vec<Option<SystemTime>>,
}

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientTls").field("config", &self.0.config).finish_non_exhaustive()
    }
}

impl ClientTls {
    /// Reads and checks everything.
    pub fn new(config: ClientTlsConfig) -> Result<Self, ClientTlsError> {
        let read = config.modified();
        let tls = Arc::new(load(&config)?);
        Ok(ClientTls(Arc::new(State { config, current: Mutex::new(Current { tls, read }) })))
    }

    /// What the files say now. One that cannot be read changes nothing.
    fn current(&self) -> Arc<RustlsConfig> {
        let State { config, current } = &*self.0;
        let modified = config.modified();
        let mut current = current.lock();
        if modified != current.read {
            current.read = modified;
            match load(config) {
                Ok(tls) => {
                    info!("certificates towards other nodes were read again");
                    current.tls = Arc::new(tls);
                }
                Err(error) => warn!(%error, "certificates changed and cannot be read, the old ones stay"),
            }
        }
        Arc::clone(&current.tls)
    }

    async fn connect(&self, address: Uri, timeout: Duration) -> io::Result<TlsStream<TcpStream>> {
        let host = address.host().unwrap_or_default().trim_matches(['[', ']']).to_string();
        let port = address.port_u16().unwrap_or(443);
        let name = if self.0.config.server_name.is_empty() { host.clone() } else { self.0.config.server_name.clone() };
        let name = ServerName::try_from(name).map_err(io::Error::other)?;
        let connecting = async {
            let stream = TcpStream::connect((host, port)).await?;
            stream.set_nodelay(true)?;
            TlsConnector::from(self.current()).connect(name, stream).await
        };
        tokio::time::timeout(timeout, connecting).await.map_err(|_| io::ErrorKind::TimedOut)?
    }
}

/// The way to an address over TLS, as tonic wants it.
#[derive(Clone, Debug)]
pub(super) struct TlsDialer {
    pub(super) tls: ClientTls,
    pub(super) timeout: Duration,
}

impl Service<Uri> for TlsDialer {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, address: Uri) -> Self::Future {
        let dialer = self.clone();
        Box::pin(async move { dialer.tls.connect(address, dialer.timeout).await.map(TokioIo::new) })
    }
}

fn load(config: &ClientTlsConfig) -> Result<RustlsConfig, ClientTlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = RustlsConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_protocol_versions(&versions(&config.min_version)?).map_err(invalid)?;
    let builder = if config.skip_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier::AnyCertificate::new(provider)))
    } else {
        builder.with_root_certificates(roots(config.ca.as_deref())?)
    };
    let mut tls = match &config.identity {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let chain = certificates("client credentials", cert)?;
            let pem = read("client credentials", key)?;
            builder
                .with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(&pem).map_err(invalid)?)
                .map_err(invalid)?
        }
    };
    tls.alpn_protocols = vec![b"h2".to_vec()];
    Ok(tls)
}

fn versions(min: &str) -> Result<Vec<&'static SupportedProtocolVersion>, ClientTlsError> {
    match min {
        "" | "1.0" | "1.1" | "1.2" => Ok(vec![&version::TLS12, &version::TLS13]),
        "1.3" => Ok(vec![&version::TLS13]),
        other => {
            let text = format!("invalid TLS version: {other}, valid values are 1.0, 1.1, 1.2, 1.3");
            Err(ClientTlsError::Invalid(text))
        }
    }
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, ClientTlsError> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(ca) => {
            for certificate in certificates("reading client CA", ca)? {
                roots.add(certificate).map_err(invalid)?;
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            let (_, ignored) = roots.add_parsable_certificates(found.certs);
            info!(roots = roots.len(), ignored, "servers are verified against the certificates of the system");
        }
    }
    Ok(roots)
}

fn certificates(step: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, ClientTlsError> {
    let pem = read(step, path)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(invalid)?;
    if chain.is_empty() {
        let text = format!("{step}: {}: tls: failed to find any PEM data in certificate input", path.display());
        return Err(ClientTlsError::Invalid(text));
    }
    Ok(chain)
}

fn read(step: &'static str, path: &Path) -> Result<Vec<u8>, ClientTlsError> {
    std::fs::read(path).map_err(|error| {
        let reason = match error.kind() {
            io::ErrorKind::NotFound => "no such file or directory".to_string(),
            io::ErrorKind::PermissionDenied => "permission denied".to_string(),
            _ => error.to_string(),
        };
        ClientTlsError::File { step, path: path.to_path_buf(), reason }
    })
}

fn invalid(error: impl ToString) -> ClientTlsError {
    ClientTlsError::Invalid(error.to_string())
}
