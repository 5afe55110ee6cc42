//! The hashring file, read again whenever it changes. A file that cannot be used leaves the old rings in place.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use sha2::{Digest, Sha256};
use thanoxide_env::{Clock, Disk};
use thanoxide_server::Shutdown;
use thiserror::Error;
use tracing::{error, info};

use crate::hashring::{ConfigError, HashringConfig, HashringError, parse_hashrings};
use crate::replication::Replicator;

/// How soon a change is seen, unless the refresh interval is shorter.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Larger files are no hashring files.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// Why a file gives no rings. The texts are stock's.
#[derive(Debug, Error)]
pub enum HashringFileError {
    /// It cannot be read.
    #[error("failed to read configuration file: {0}")]
    Read(String),
    /// It is absurdly large.
    #[error("configuration file of {0} bytes is too large")]
    TooLarge(u64),
    /// It is no list of hashrings.
    #[error("failed to parse configuration file: {0}: configuration file is not parsable")]
    Parse(ConfigError),
    /// It is an empty list.
    #[error("failed to load configuration file, path: {}: configuration file is empty", .0.display())]
    Empty(PathBuf),
    /// No rings can be made of it.
    #[error("unable to create new hashring from config: {0}")]
    Hashring(HashringError),
}

/// Metrics of the file, with Thanos's names.
#[derive(Clone, Debug, Default)]
pub struct HashringFileMetrics {
    hash: Gauge<f64, AtomicU64>,
    successful: Gauge,
    success_time: Gauge<f64, AtomicU64>,
    changes: Counter,
    errors: Counter,
    refreshes: Counter,
    nodes: Family<[(&'static str, String); 1], Gauge>,
    tenants: Family<[(&'static str, String); 1], Gauge>,
}

impl HashringFileMetrics {
    /// Registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let help = "Hash of the currently loaded hashring configuration file.";
        registry.register("thanos_receive_config_hash", help, metrics.hash.clone());
        let help = "Whether the last hashring configuration file reload attempt was successful.";
        registry.register("thanos_receive_config_last_reload_successful", help, metrics.successful.clone());
        let help = "Timestamp of the last successful hashring configuration file reload.";
        let name = "thanos_receive_config_last_reload_success_timestamp_seconds";
        registry.register(name, help, metrics.success_time.clone());
        let help = "The number of times the hashrings configuration file has changed.";
        registry.register("thanos_receive_hashrings_file_changes", help, metrics.changes.clone());
        let help = "The number of errors watching the hashrings configuration file.";
        registry.register("thanos_receive_hashrings_file_errors", help, metrics.errors.clone());
        let help = "The number of refreshes of the hashrings configuration file.";
        registry.register("thanos_receive_hashrings_file_refreshes", help, metrics.refreshes.clone());
        registry.register("thanos_receive_hashring_nodes", "The number of nodes per hashring.", metrics.nodes.clone());
        let help = "The number of tenants per hashring.";
        registry.register("thanos_receive_hashring_tenants", help, metrics.tenants.clone());
        metrics
    }

    fn loaded(&self, hash: u64, rings: &[HashringConfig], now_ms: i64) {
        self.hash.set(hash as f64);
        self.successful.set(1);
        self.success_time.set(now_ms as f64 / 1e3);
        // Rings that are gone are not shown any more.
        self.nodes.clear();
        self.tenants.clear();
        for ring in rings {
            let label = [("name", ring.name.clone())];
            self.nodes.get_or_create(&label).set(ring.endpoints.len() as i64);
            self.tenants.get_or_create(&label).set(ring.tenants.len() as i64);
        }
    }
}

/// The file and what was last seen of it.
#[derive(Debug)]
pub struct HashringFile {
    path: PathBuf,
    refresh_interval: Duration,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    metrics: HashringFileMetrics,
    seen: Option<u64>,
    loaded: Option<u64>,
}

impl HashringFile {
    /// A file that nobody has read yet.
    pub fn new(
        path: PathBuf,
        refresh_interval: Duration,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        metrics: HashringFileMetrics,
    ) -> Self {
        HashringFile { path, refresh_interval, disk, clock, metrics, seen: None, loaded: None }
    }

    /// Reads the file and hands its rings over. Blocks shortly.
    pub fn load(&mut self, replicator: &Replicator) -> Result<(), HashringFileError> {
        let content = self.read()?;
        self.use_content(&content, replicator)
    }

    /// Watches the file until asked to stop.
    pub async fn run(
        mut self,
        replicator: Arc<Replicator>,
        shutdown: Shutdown,
    ) -> Result<(), std::convert::Infallible> {
        let poll = POLL_INTERVAL.min(self.refresh_interval).max(Duration::from_millis(10));
        let mut refreshed = self.clock.monotonic();
        loop {
            tokio::select! {
                () = shutdown.requested() => return Ok(()),
                () = tokio::time::sleep(poll) => {}
            }
            let due = self.clock.monotonic().saturating_sub(refreshed) >= self.refresh_interval;
            if due {
                refreshed = self.clock.monotonic();
            }
            self.poll(&replicator, due);
        }
    }

    /// Looks at the file; what did not change counts as a refresh only when one is due.
    fn poll(&mut self, replicator: &Replicator, due: bool) {
        let content = self.read();
        let seen = content.as_ref().ok().map(|content| hash_of(content));
        if !due && seen == self.seen {
            return;
        }
        self.metrics.refreshes.inc();
        self.seen = seen;
        if let Err(e) = content.and_then(|content| self.use_content(&content, replicator)) {
            self.metrics.errors.inc();
            self.metrics.successful.set(0);
            error!(err = %e, path = %self.path.display(), "failed to load configuration file; the hashrings stay as they are");
        }
    }

    fn read(&self) -> Result<Vec<u8>, HashringFileError> {
        let unreadable = |e: std::io::Error| HashringFileError::Read(format!("{}: {e}", self.path.display()));
        let bytes = self.disk.open(&self.path).and_then(|file| file.len()).map_err(unreadable)?;
        if bytes > MAX_FILE_BYTES {
            return Err(HashringFileError::TooLarge(bytes));
        }
        self.disk.read(&self.path).map_err(unreadable)
    }

    fn use_content(&mut self, content: &[u8], replicator: &Replicator) -> Result<(), HashringFileError> {
        let hash = hash_of(content);
        self.seen = Some(hash);
        if self.loaded == Some(hash) {
            self.metrics.successful.set(1);
            return Ok(());
        }
        let rings = parse_hashrings(&String::from_utf8_lossy(content)).map_err(HashringFileError::Parse)?;
        if rings.is_empty() {
            return Err(HashringFileError::Empty(self.path.clone()));
        }
        replicator.set_hashrings(&rings).map_err(HashringFileError::Hashring)?;
        self.metrics.changes.inc();
        self.metrics.loaded(hash, &rings, self.clock.now_ms());
        self.loaded = Some(hash);
        info!(path = %self.path.display(), hashrings = rings.len(), "hashrings are loaded");
        Ok(())
    }
}

/// The first 48 bits of the SHA-256, little-endian: as many as a float holds.
fn hash_of(content: &[u8]) -> u64 {
    let digest = Sha256::digest(content);
    let mut first = [0; 8];
    first[..6].copy_from_slice(&digest[..6]);
    u64::from_le_bytes(first)
}
