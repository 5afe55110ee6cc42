//! One node of a ring: how it is reached, how many calls it gets at once, and whether it is worth a call at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use thanoxide_env::{Clock, Random};
use thanoxide_model::{TenantId, WriteBatch};
use thanoxide_proto::capnproto::loses_bounds;
use thanoxide_proto::{encode_store_metadata, encode_write_tail};
use thanoxide_storeapi::capnproto::CapnprotoWriter;
use thanoxide_storeapi::{
    PeerError, PeerErrorKind, RemoteWriter, WriteError, WriteMessage, WriteOrigin, WriteOutcome, WriteStore,
};
use tokio::sync::Semaphore;

use crate::hashring::Endpoint;
use crate::piece::{Piece, encoded};
use crate::said::Said;

const FIRST_BACKOFF: Duration = Duration::from_millis(100);

/// Artificial delays are as long as this, at least.
const LEAST_ARTIFICIAL_DELAY: Duration = Duration::from_secs(1);

/// Bytes of requests that may wait for one peer: more and it is called unavailable.
const MAX_WAITING_BYTES: u64 = 64 << 20;

/// How a node is reached.
#[derive(Debug)]
pub enum Way {
    /// It is this process.
    Local(Arc<dyn WriteStore>),
    /// Over gRPC.
    Grpc(RemoteWriter),
    /// Over Cap'n Proto; what would lose something there goes over gRPC.
    Capnproto(CapnprotoWriter, RemoteWriter),
    /// Its address cannot be one; the text says why.
    Nowhere(String),
}

/// What all peers have in common.
#[derive(Clone, Debug)]
pub struct PeerLimits {
    /// Calls at once.
    pub workers: usize,
    /// How long a call may take, its waiting included.
    pub timeout: Duration,
    /// Longest time that an unavailable peer is left alone.
    pub max_backoff: Duration,
    /// Calls wait for some of this time; zero is no wait. For tests of senders.
    pub artificial_delay: Duration,
}

/// A node.
#[derive(Debug)]
pub struct Peer {
    endpoint: Endpoint,
    way: Way,
    limits: PeerLimits,
    calls: Semaphore,
    waiting_bytes: AtomicU64,
    /// Whether it answers as only our own nodes do.
    is_ours: AtomicBool,
    backoff: Mutex<Backoff>,
    /// What it knows of metrics.
    said: Said,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

#[derive(Debug, Default)]
struct Backoff {
    failures: u32,
    until: Duration,
}

/// Some series of a write, for one node.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// All series of the request.
    pub batch: &'a Arc<WriteBatch>,
    /// Those that the node gets, by index.
    pub series: &'a [u32],
    /// What other nodes get of them, too, in the same order; empty where that is nothing.
    pub pieces: &'a [Arc<Piece>],
    /// What the node is told of the origin.
    pub origin: WriteOrigin,
}

impl Part<'_> {
    /// Whether it is the request as it is; of several pieces the series are in another order.
    fn is_whole(&self) -> bool {
        self.series.len() == self.batch.series.len() && self.pieces.len() <= 1
    }

    /// About how much memory the call takes.
    fn bytes(&self) -> u64 {
        let all = self.batch.text.len() + 32 * self.batch.samples.len();
        if self.series.is_empty() {
            return all as u64;
        }
        (all as f64 * self.series.len() as f64 / self.batch.series.len().max(1) as f64) as u64
    }

    /// As an encoded `thanos.WriteRequest`: the series, or what is said of metrics where there is none.
    pub fn encode(&self) -> WriteMessage {
        if self.series.is_empty() {
            return encode_store_metadata(self.tenant.as_str(), self.batch, self.origin.replica).into();
        }
        let series = match self.pieces {
            [] => vec![encoded(self.batch, self.series)],
            pieces => pieces.iter().map(|piece| piece.encoded(self.batch)).collect(),
        };
        WriteMessage::new(series, encode_write_tail(self.tenant.as_str(), self.origin.replica))
    }

    fn select(&self) -> Arc<WriteBatch> {
        if self.is_whole() { Arc::clone(self.batch) } else { Arc::new(self.batch.select(self.series)) }
    }
}

impl Peer {
    /// A node that nobody has called yet.
    pub fn new(
        endpoint: Endpoint,
        way: Way,
        limits: PeerLimits,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Peer {
            is_ours: AtomicBool::new(matches!(way, Way::Local(_))),
            endpoint,
            way,
            calls: Semaphore::new(limits.workers.max(1)),
            limits,
            waiting_bytes: AtomicU64::new(0),
            backoff: Mutex::default(),
            said: Said::default(),
            clock,
            random,
        }
    }

    /// Its name in the ring.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn said(&self) -> &Said {
        &self.said
    }

    /// Whether it is this process.
    pub fn is_local(&self) -> bool {
        matches!(self.way, Way::Local(_))
    }

    /// Whether it is one of ours, as far as is known.
    pub fn is_ours(&self) -> bool {
        self.is_ours.load(Ordering::Relaxed)
    }

    /// Whether it may be called, as its last answers have it.
    pub fn is_up(&self) -> bool {
        let backoff = self.backoff.lock();
        backoff.failures == 0 || self.clock.monotonic() >= backoff.until
    }

    /// Forgets failures.
    pub fn reset(&self) {
        *self.backoff.lock() = Backoff::default();
    }

    /// Sends a part. `Ok(None)`: all of it is taken. The error's text is stock's, endpoint included.
    pub async fn send(&self, part: Part<'_>) -> Result<Option<WriteOutcome>, PeerError> {
        if !self.is_up() {
            let Endpoint { address, capnproto_address, az } = &self.endpoint;
            let replica = part.origin.replica.saturating_sub(1);
            let text = format!(
                "backing off forward request for endpoint {{{{{address} {capnproto_address} {az}}} {replica}}}: target not available"
            );
            return Err(PeerError { kind: PeerErrorKind::Unavailable, text });
        }
        let answer = self.call(part).await;
        self.remember(&answer);
        answer.map_err(|error| PeerError {
            text: format!("forwarding request to endpoint {}: {}", self.endpoint, error.text),
            ..error
        })
    }

    async fn call(&self, part: Part<'_>) -> Result<Option<WriteOutcome>, PeerError> {
        match &self.way {
            Way::Local(store) => {
                let written = store.write_from(part.origin, part.tenant, part.select()).await;
                written.map(Some).map_err(local_error)
            }
            Way::Grpc(writer) => {
                self.in_turn(part.bytes(), async { writer.send(&part.encode(), part.origin).await }).await
            }
            Way::Capnproto(_, writer) if part.series.is_empty() || loses_bounds(part.batch) => {
                self.in_turn(part.bytes(), async { writer.send(&part.encode(), part.origin).await }).await
            }
            Way::Capnproto(writer, _) => {
                let sent = self.in_turn(part.bytes(), writer.send(part.tenant, part.batch, part.series)).await;
                sent.map(|()| None)
            }
            Way::Nowhere(text) => Err(PeerError { kind: PeerErrorKind::Unavailable, text: text.clone() }),
        }
    }

    /// Waits for one of the workers, and for the answer, but not for ever.
    async fn in_turn<T>(&self, bytes: u64, call: impl Future<Output = Result<T, PeerError>>) -> Result<T, PeerError> {
        let waiting = Waiting::new(&self.waiting_bytes, bytes)?;
        let answer = async {
            let _worker = self.calls.acquire().await;
            drop(waiting);
            if !self.limits.artificial_delay.is_zero() {
                let delay = self.limits.artificial_delay.mul_f64(self.random_share());
                tokio::time::sleep(delay.max(LEAST_ARTIFICIAL_DELAY)).await;
            }
            call.await
        };
        tokio::time::timeout(self.limits.timeout, answer).await.map_err(|_| PeerError::timeout())?
    }

    fn remember(&self, answer: &Result<Option<WriteOutcome>, PeerError>) {
        match answer {
            Ok(outcome) => {
                if outcome.is_some() {
                    self.is_ours.store(true, Ordering::Relaxed);
                }
                self.reset();
            }
            Err(error) if self.is_local() || !error.kind.is_retryable() => {}
            // Stock leaves a peer alone only where it is unavailable; one that does not answer would hold each write up.
            Err(error) if matches!(error.kind, PeerErrorKind::Unavailable | PeerErrorKind::Timeout) => self.back_off(),
            Err(_) => {}
        }
    }

    fn back_off(&self) {
        let mut backoff = self.backoff.lock();
        let now = self.clock.monotonic();
        if backoff.failures > 0 && now < backoff.until {
            return;
        }
        let full = FIRST_BACKOFF.saturating_mul(1 << backoff.failures.min(16)).min(self.limits.max_backoff);
        // Anything between the shortest and the full time, as stock has it.
        let wait = FIRST_BACKOFF.min(full) + full.saturating_sub(FIRST_BACKOFF).mul_f64(self.random_share());
        *backoff = Backoff { failures: backoff.failures + 1, until: now + wait };
    }

    fn random_share(&self) -> f64 {
        (self.random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Bytes that wait for a worker.
struct Waiting<'a> {
    all: &'a AtomicU64,
    own: u64,
}

impl<'a> Waiting<'a> {
    fn new(all: &'a AtomicU64, own: u64) -> Result<Self, PeerError> {
        let before = all.fetch_add(own, Ordering::Relaxed);
        let waiting = Waiting { all, own };
        if before > 0 && before + own > MAX_WAITING_BYTES {
            let text = format!("{before} bytes wait for this peer already");
            return Err(PeerError { kind: PeerErrorKind::Other, text });
        }
        Ok(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.all.fetch_sub(self.own, Ordering::Relaxed);
    }
}

fn local_error(error: WriteError) -> PeerError {
    let kind = match error {
        WriteError::Unavailable(_) => PeerErrorKind::Unavailable,
        WriteError::Invalid(_) => PeerErrorKind::Invalid,
        WriteError::Internal(_) => PeerErrorKind::Other,
    };
    PeerError { kind, text: format!("writing locally: {error}") }
}
