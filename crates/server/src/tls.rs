//! TLS of listeners: certificates that are read again when their files change, mutual TLS, Go's names of suites and curves.
//!
//! TLS 1.2 and 1.3 are spoken; a lowest version of 1.0 or 1.1 means 1.2, and of Go's suites those without forward secrecy
//! or authenticated encryption do not exist here. Client CAs are read
//! again with them.

mod load;
mod names;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use rustls::ServerConfig;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{info, warn};

use crate::identity::ClientIdentity;

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why TLS cannot be set up. The texts are Go's and stock's.
#[derive(Debug, Error)]
pub enum TlsError {
    /// One of certificate and key.
    #[error("both server key and certificate must be provided")]
    Half,
    /// Client certificates cannot be asked for without one's own.
    #[error("when a client CA is used a server key and certificate must also be provided")]
    ClientCaAlone,
    /// A file that cannot be read.
    #[error("open {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A file without what it should hold, or a pair that does not belong together.
    #[error("{0}")]
    Invalid(String),
    /// A name that nobody knows.
    #[error("invalid {kind}: {name}, valid values are {valid}")]
    Name {
        /// What was named.
        kind: &'static str,
        /// As given.
        name: String,
        /// What would do.
        valid: String,
    },
}

/// What clients must show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// Nothing.
    #[default]
    None,
    /// A certificate of the client CA, if they show one at all.
    IfGiven,
    /// A certificate of the client CA.
    Required,
}

/// Settings of a listener's TLS.
#[derive(Clone, Debug, Default)]
pub struct TlsConfig {
    /// PEM file of the certificate chain.
    pub cert: PathBuf,
    /// PEM file of the key.
    pub key: PathBuf,
    /// PEM file of the CAs of clients.
    pub client_ca: Option<PathBuf>,
    /// What clients must show.
    pub client_auth: ClientAuth,
    /// `1.0` to `1.3`; empty is the lowest there is.
    pub min_version: String,
    /// The same for the highest.
    pub max_version: String,
    /// Go's names of TLS 1.2 suites; none is all.
    pub ciphers: Vec<String>,
    /// Go's names of curves; none is all.
    pub curves: Vec<String>,
    /// Protocols offered, the best first.
    pub protocols: Vec<Vec<u8>>,
}

impl TlsConfig {
    /// From the flags that stock gives each listener; `None` where they ask for no TLS.
    pub fn from_flags(cert: &str, key: &str, client_ca: &str, min_version: &str) -> Result<Option<Self>, TlsError> {
        match (cert.is_empty(), key.is_empty(), client_ca.is_empty()) {
            (true, true, true) => return Ok(None),
            (true, true, false) => return Err(TlsError::ClientCaAlone),
            (false, false, _) => {}
            _ => return Err(TlsError::Half),
        }
        let client_auth = if client_ca.is_empty() { ClientAuth::None } else { ClientAuth::Required };
        Ok(Some(TlsConfig {
            cert: cert.into(),
            key: key.into(),
            client_ca: (!client_ca.is_empty()).then(|| client_ca.into()),
            client_auth,
            min_version: min_version.to_string(),
            ..TlsConfig::default()
        }))
    }
}

/// Takes TLS connections, with the certificate of the moment.
#[derive(Clone)]
pub struct Tls(Arc<State>);

struct State {
    config: TlsConfig,
    current: Mutex<Current>,
}

struct Current {
    tls: Arc<ServerConfig>,
    read: [Option<SystemTime>; 3],
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("cert", &self.0.config.cert).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads and checks everything.
    pub fn new(config: TlsConfig) -> Result<Self, TlsError> {
        let read = config.modified();
        let tls = Arc::new(load::load(&config)?);
        Ok(Tls(Arc::new(State { config, current: Mutex::new(Current { tls, read }) })))
    }

    /// The certificate of the moment: read again where its files have changed. One that cannot be read changes nothing.
    fn current(&self) -> Arc<ServerConfig> {
        let State { config, current } = &*self.0;
        let modified = config.modified();
        let mut current = current.lock();
        if modified != current.read {
            current.read = modified;
            match load::load(config) {
                Ok(tls) => {
                    info!(cert = %config.cert.display(), "certificate was read again");
                    current.tls = Arc::new(tls);
                }
                Err(error) => warn!(%error, "certificate changed and cannot be read, the old one stays"),
            }
        }
        Arc::clone(&current.tls)
    }

    /// Shakes hands.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> io::Result<TlsStream<S>> {
        let shaken = timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(self.current()).accept(stream)).await;
        shaken.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "TLS handshake took too long"))?
    }
}

/// Who the client of a connection is, if it showed a certificate.
pub(crate) fn identity<S>(stream: &TlsStream<S>) -> Option<ClientIdentity> {
    let leaf = stream.get_ref().1.peer_certificates()?.first()?;
    ClientIdentity::from_certificate(leaf)
}

impl TlsConfig {
    fn modified(&self) -> [Option<SystemTime>; 3] {
        let modified = |path: &PathBuf| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        [modified(&self.cert), modified(&self.key), self.client_ca.as_ref().and_then(modified)]
    }
}
