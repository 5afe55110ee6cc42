//! Hinted handoff: parts of acknowledged writes whose node was away, kept on disk until it is back.
//!
//! A hint never counts towards a quorum. Each node has a [queue]; one task delivers them in order, marks them as hinted, so that
//! our ingesters take them however late they are, and gives up what is too old or refused for good. All queues together are
//! bounded: what does not fit is not kept, and counted.

mod metrics;
mod queue;
mod segment;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use metrics::Dropped;
pub use metrics::HintMetrics;
use parking_lot::Mutex;
use queue::{Kept, Queue};
use thanoxide_env::{Clock, Disk};
use thanoxide_model::TenantId;
use thanoxide_proto::{DecodeLimits, decode_store_write_request};
use thanoxide_server::Shutdown;
use thanoxide_storeapi::{PeerError, WriteOrigin};
use tracing::{error, warn};

use crate::peer::{Part, Peer};
use crate::replication::Replicator;

/// How often queues are looked at, and made durable.
const ROUND: Duration = Duration::from_millis(500);

/// Hints that one node gets before the others have their turn again.
const HINTS_PER_ROUND: usize = 1000;

/// Bytes that may wait for the disk.
const MAX_WAITING_BYTES: u64 = 64 << 20;

/// What can be configured of hints.
#[derive(Clone, Debug)]
pub struct HintConfig {
    /// Where they lie.
    pub dir: PathBuf,
    /// Most bytes of all together.
    pub max_bytes: u64,
    /// How long they are kept.
    pub max_age: Duration,
}

/// The queues of all nodes.
#[derive(Debug)]
pub struct Hints {
    config: HintConfig,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    metrics: HintMetrics,
    queues: Mutex<HashMap<String, Arc<Mutex<Queue>>>>,
    waiting_bytes: AtomicU64,
    bytes: AtomicU64,
}

impl Hints {
    /// Opens what an earlier run left. Blocks.
    pub fn open(
        config: HintConfig,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        metrics: HintMetrics,
    ) -> io::Result<Arc<Self>> {
        disk.create_dir_all(&config.dir)?;
        let mut queues = HashMap::new();
        for dir in disk.list(&config.dir)? {
            let name = dir.file_name().and_then(|name| name.to_str()).and_then(address_of);
            if let Some(address) = name.filter(|_| disk.is_dir(&dir).unwrap_or(false)) {
                queues.insert(address, Arc::new(Mutex::new(Queue::open(dir, Arc::clone(&disk))?)));
            }
        }
        let bytes = queues.values().map(|queue| queue.lock().bytes()).sum();
        let queues = Mutex::new(queues);
        let hints = Hints {
            config,
            disk,
            clock,
            metrics,
            queues,
            waiting_bytes: AtomicU64::new(0),
            bytes: AtomicU64::new(bytes),
        };
        hints.metrics.bytes(bytes);
        Ok(Arc::new(hints))
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Keeps an encoded write for a node. What cannot be kept is counted.
    pub async fn keep(self: &Arc<Self>, address: &str, hint: Bytes) {
        let bytes = hint.len() as u64;
        let waiting = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        if waiting + bytes > MAX_WAITING_BYTES || self.bytes() + bytes > self.config.max_bytes {
            self.metrics.dropped(Dropped::Full);
        } else {
            let (hints, address) = (Arc::clone(self), address.to_string());
            let kept = tokio::task::spawn_blocking(move || hints.push(&address, &hint)).await;
            match kept {
                Ok(Ok(())) => self.metrics.kept(),
                Ok(Err(e)) => self.lost(&e),
                Err(e) => self.lost(&io::Error::other(e)),
            }
        }
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn lost(&self, e: &io::Error) {
        self.metrics.dropped(Dropped::Disk);
        error!(err = %e, dir = %self.config.dir.display(), "cannot keep a write for a node that is away");
    }

    fn push(&self, address: &str, hint: &[u8]) -> io::Result<()> {
        let queue = self.queue(address)?;
        let mut queue = queue.lock();
        let before = queue.bytes();
        let pushed = queue.push(self.clock.now_ms(), hint);
        self.account(before, queue.bytes());
        pushed
    }

    fn account(&self, before: u64, after: u64) {
        self.bytes.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
        self.metrics.bytes(self.bytes());
    }

    fn queue(&self, address: &str) -> io::Result<Arc<Mutex<Queue>>> {
        let mut queues = self.queues.lock();
        if let Some(queue) = queues.get(address) {
            return Ok(Arc::clone(queue));
        }
        let queue = Queue::open(self.config.dir.join(dir_name(address)), Arc::clone(&self.disk))?;
        let queue = Arc::new(Mutex::new(queue));
        queues.insert(address.to_string(), Arc::clone(&queue));
        Ok(queue)
    }

    /// Delivers until asked to stop; then makes what is left durable.
    pub async fn run(self: Arc<Self>, replicator: Arc<Replicator>, shutdown: Shutdown) -> io::Result<()> {
        loop {
            tokio::select! {
                () = shutdown.requested() => break,
                () = self.round(&replicator) => {}
            }
            tokio::select! {
                () = shutdown.requested() => break,
                () = tokio::time::sleep(ROUND) => {}
            }
        }
        let hints = Arc::clone(&self);
        tokio::task::spawn_blocking(move || hints.sync()).await.map_err(io::Error::other)?
    }

    fn sync(&self) -> io::Result<()> {
        let queues: Vec<_> = self.queues.lock().values().cloned().collect();
        queues.iter().try_for_each(|queue| queue.lock().sync())
    }

    async fn round(self: &Arc<Self>, replicator: &Arc<Replicator>) {
        let hints = Arc::clone(self);
        if let Ok(Err(e)) = tokio::task::spawn_blocking(move || hints.sync()).await {
            error!(err = %e, "hints are not durable");
        }
        let queues: Vec<_> = self.queues.lock().iter().map(|(a, q)| (a.clone(), Arc::clone(q))).collect();
        let filled = queues.into_iter().filter(|(_, queue)| !queue.lock().is_empty());
        join_all(filled.map(|(address, queue)| self.deliver(replicator.peer(&address), queue))).await;
    }

    /// Sends the hints of one node until there is none, or it fails.
    async fn deliver(self: &Arc<Self>, peer: Arc<Peer>, queue: Arc<Mutex<Queue>>) {
        for _ in 0..HINTS_PER_ROUND {
            let Some(kept) = self.first(&queue).await else { return };
            let age_ms = self.clock.now_ms().saturating_sub(kept.kept_ms);
            if age_ms > self.config.max_age.as_millis() as i64 {
                self.metrics.dropped(Dropped::Old);
            } else {
                if !peer.is_up() {
                    return;
                }
                match send(&peer, &kept).await {
                    Ok(true) => self.metrics.delivered(),
                    Ok(false) => self.metrics.dropped(Dropped::Refused),
                    Err(error) if error.kind.is_retryable() => return,
                    Err(error) => {
                        warn!(endpoint = %peer.endpoint(), err = %error, "a node refused what it missed while it was away");
                        self.metrics.dropped(Dropped::Refused);
                    }
                }
            }
            queue.lock().done(&kept);
        }
    }

    async fn first(self: &Arc<Self>, queue: &Arc<Mutex<Queue>>) -> Option<Kept> {
        let (hints, queue) = (Arc::clone(self), Arc::clone(queue));
        let first = tokio::task::spawn_blocking(move || {
            let mut queue = queue.lock();
            let before = queue.bytes();
            let first = queue.first();
            hints.account(before, queue.bytes());
            first
        });
        match first.await {
            Ok(Ok(first)) => first,
            Ok(Err(e)) => {
                error!(err = %e, "cannot read hints");
                None
            }
            Err(_) => None,
        }
    }
}

/// Sends one hint; whether all of it was taken. A hint that cannot be read is refused.
async fn send(peer: &Peer, kept: &Kept) -> Result<bool, PeerError> {
    let body = Bytes::copy_from_slice(&kept.hint);
    let Ok(request) = decode_store_write_request(&body, &DecodeLimits::default()) else { return Ok(false) };
    let mut whole = true;
    for (tenant, batch) in request.tenants {
        let Ok(tenant) = TenantId::new(&tenant) else { return Ok(false) };
        let series: Vec<u32> = (0..batch.series.len() as u32).collect();
        let origin = WriteOrigin { replica: request.replica.max(1) as u64, placed: true, hinted: true };
        let batch = Arc::new(batch);
        let part = Part { tenant: &tenant, batch: &batch, series: &series, pieces: &[], origin };
        let outcome = peer.send(part).await?;
        whole &= outcome.is_none_or(|outcome| outcome.rejected.is_empty());
    }
    Ok(whole)
}

/// An address as the name of a directory: what is not a letter, a digit, `.` or `-` is `_` and its code.
fn dir_name(address: &str) -> String {
    let mut name = String::new();
    for byte in address.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' => name.push(char::from(byte)),
            other => name.push_str(&format!("_{other:02x}")),
        }
    }
    name
}

fn address_of(name: &str) -> Option<String> {
    let mut parts = name.split('_');
    let mut address = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        address.push(u8::from_str_radix(code, 16).ok()?);
        address.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(address).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_names_of_directories() {
        for address in ["127.0.0.1:10901", "[::1]:1", "receive-0.svc:10901", "a/../b_c", "é:1"] {
            let name = dir_name(address);
            assert!(!name.contains('/') && !name.contains(':'), "{name}");
            assert_eq!(address_of(&name).as_deref(), Some(address));
        }
        assert_eq!(address_of("a_1"), None);
    }
}
