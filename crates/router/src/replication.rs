//! The router's `WriteStore`: each series to the nodes that own it, an answer once a quorum of them has it.
//!
//! Start at [`Replicator`]. A write is [placed](crate::placement), each node gets its [part](crate::peer), the answers are
//! [counted](crate::quorum). What comes after the quorum goes on in the background. Of a write that reached its quorum, the parts
//! that failed but may still succeed are kept for their node as [hints](crate::hints); they never count.
use std::collections::{HashMap, HashSet};
use std::hash::RandomState;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use thanoxide_env::{Clock, Random};
use thanoxide_model::{TenantId, WriteBatch};
use thanoxide_spans::{Span, here, tag};
use thanoxide_storeapi::capnproto::CapnprotoWriter;
use thanoxide_storeapi::{
    ClientConfig, PeerError, RemoteWriter, WriteError, WriteOrigin, WriteOutcome, WriteStore, refusal_rpc_text,
    rejected_text,
};
use tokio::sync::oneshot;
use tracing::debug;

use crate::hashring::{Algorithm, Endpoint, HashringConfig, HashringError, HashringMetrics, Hashrings};
use crate::hints::Hints;
use crate::peer::{Part, Peer, PeerLimits, Way};
use crate::placement::{Group, Placement};
use crate::quorum::{Quorum, write_quorum};
use crate::replication_metrics::ReplicationMetrics;
use crate::said::hashes_of;

/// What can be configured of replication. The defaults are stock's.
#[derive(Clone, Debug)]
pub struct ReplicationConfig {
    /// How many nodes take each series.
    pub replication_factor: usize,
    /// How series are spread where a ring does not say it.
    pub algorithm: Algorithm,
    /// How long a node may take for its part of a write.
    pub forward_timeout: Duration,
    /// Longest time that an unavailable node is left alone.
    pub max_backoff: Duration,
    /// Calls to one node at a time.
    pub workers: usize,
    /// Calls to the second node wait for some of this time, a second at least; zero is no wait.
    pub artificial_max_delay: Duration,
    /// How nodes are reached.
    pub client: ClientConfig,
    /// Whether they get writes over Cap'n Proto instead of gRPC.
    pub capnproto: bool,
    /// This process's own name in the rings.
    pub local_endpoint: String,
}

impl Default for ReplicationConfig {
    fn default() -> Self {
        ReplicationConfig {
            replication_factor: 1,
            algorithm: Algorithm::Hashmod,
            forward_timeout: Duration::from_secs(5),
            max_backoff: Duration::from_secs(5),
            workers: 5,
            artificial_max_delay: Duration::ZERO,
            client: ClientConfig { snappy: true, ..ClientConfig::default() },
            capnproto: false,
            local_endpoint: String::new(),
        }
    }
}

/// Labels (name and value) by tenant.
pub type LabelsOfTenants = HashMap<String, Vec<(String, String)>>;

/// Takes the external labels of tenants.
#[derive(Clone)]
pub struct LabelsChanged(pub Arc<dyn Fn(LabelsOfTenants) + Send + Sync>);

impl std::fmt::Debug for LabelsChanged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LabelsChanged")
    }
}

/// What replication works with.
#[derive(Clone, Debug)]
pub struct ReplicationDeps {
    /// Takes what this process owns; `None` is a router only.
    pub local: Option<Arc<dyn WriteStore>>,
    /// For backoff.
    pub clock: Arc<dyn Clock>,
    /// For its jitter.
    pub random: Arc<dyn Random>,
    /// Its metrics.
    pub metrics: ReplicationMetrics,
    /// Those of the rings.
    pub ring_metrics: HashringMetrics,
    /// Told of the external labels that rings give to tenants, whenever rings change.
    pub labels_changed: Option<LabelsChanged>,
    /// Keeps what a node misses while it is away; `None` leaves it to the other replicas.
    pub hints: Option<Arc<Hints>>,
}

/// Writes to a ring.
#[derive(Debug)]
pub struct Replicator {
    config: ReplicationConfig,
    deps: ReplicationDeps,
    placement: ArcSwapOption<Placement>,
    /// For what is said of metrics, keyed.
    hasher: RandomState,
    /// One change of the rings at a time.
    changing: Mutex<()>,
    /// Nodes met so far.
    connected: AtomicU64,
}

impl Replicator {
    /// Without rings yet: writes are unavailable until [`Replicator::set_hashrings`].
    pub fn new(config: ReplicationConfig, deps: ReplicationDeps) -> Arc<Self> {
        deps.metrics.factor(config.replication_factor);
        Arc::new(Replicator {
            config,
            deps,
            placement: ArcSwapOption::empty(),
            hasher: RandomState::new(),
            changing: Mutex::default(),
            connected: AtomicU64::new(0),
        })
    }

    /// Swaps the rings. Nodes that stay keep their connection, all are taken for available again. On an error the old rings
    /// stay. Needs a runtime.
    pub fn set_hashrings(&self, configs: &[HashringConfig]) -> Result<(), HashringError> {
        let _changing = self.changing.lock();
        self.deps.ring_metrics.updates_attempted.inc();
        let (algorithm, factor) = (self.config.algorithm, self.config.replication_factor);
        let hashrings = Hashrings::new(configs, algorithm, factor, &self.deps.ring_metrics)?;
        let old = self.placement.load_full();
        let known = |endpoint: &Endpoint| old.as_ref().and_then(|old| old.peers().get(endpoint).cloned());
        let mut peers = HashMap::new();
        for endpoint in hashrings.endpoints() {
            let peer = known(&endpoint).unwrap_or_else(|| Arc::new(self.connect(&endpoint)));
            peer.reset();
            peer.said().forget_all();
            peers.insert(endpoint, peer);
        }
        if let Some(LabelsChanged(changed)) = &self.deps.labels_changed {
            changed(hashrings.external_labels());
        }
        self.placement.store(Some(Arc::new(Placement::new(hashrings, peers))));
        self.deps.ring_metrics.updates_completed.inc();
        Ok(())
    }

    /// Whether there are rings.
    pub fn is_ready(&self) -> bool {
        self.placement.load().is_some()
    }

    /// The node of this gRPC address: the one in the rings, or one that is in none of them any more.
    pub fn peer(&self, address: &str) -> Arc<Peer> {
        let placement = self.placement.load_full();
        let of_rings = placement.iter().flat_map(|placement| placement.peers().values());
        let known = of_rings.filter(|peer| peer.endpoint().address == address).map(Arc::clone).next();
        known.unwrap_or_else(|| Arc::new(self.connect(&Endpoint::new(address))))
    }

    fn connect(&self, endpoint: &Endpoint) -> Peer {
        let config = &self.config;
        // As in stock, only the second node is slow.
        let is_second = self.connected.fetch_add(1, Ordering::Relaxed) == 1;
        let limits = PeerLimits {
            workers: config.workers,
            timeout: config.forward_timeout,
            max_backoff: config.max_backoff,
            artificial_delay: if is_second { config.artificial_max_delay } else { Duration::ZERO },
        };
        let (clock, random) = (Arc::clone(&self.deps.clock), Arc::clone(&self.deps.random));
        Peer::new(endpoint.clone(), self.way_to(endpoint), limits, clock, random)
    }

    fn way_to(&self, endpoint: &Endpoint) -> Way {
        let config = &self.config;
        let own_names = [&endpoint.address, &endpoint.capnproto_address];
        match &self.deps.local {
            Some(store) if own_names.contains(&&config.local_endpoint) => Way::Local(Arc::clone(store)),
            _ => self.remote_way(endpoint).unwrap_or_else(Way::Nowhere),
        }
    }

    fn remote_way(&self, endpoint: &Endpoint) -> Result<Way, String> {
        let nowhere = |e: String| format!("failed to dial peer: {e}: target not available");
        let writer = RemoteWriter::connect(&endpoint.address, &self.config.client);
        let writer = writer.map_err(|e| nowhere(e.to_string()))?.with_timeout(self.config.forward_timeout);
        if !self.config.capnproto {
            return Ok(Way::Grpc(writer));
        }
        let capnproto = CapnprotoWriter::connect(&endpoint.capnproto_address).map_err(|e| nowhere(e.to_string()))?;
        Ok(Way::Capnproto(capnproto, writer))
    }

    fn placement(&self) -> Result<Arc<Placement>, WriteError> {
        self.placement.load_full().ok_or_else(|| WriteError::Unavailable("Service Unavailable".to_string()))
    }

    /// What is said of metrics stays with who takes the request, if that is an ingester. A router tells the tenant's nodes.
    async fn write_metadata(&self, tenant: &TenantId, batch: &WriteBatch) -> Result<(), WriteError> {
        if let Some(local) = &self.deps.local {
            return local.write(tenant, Arc::new(batch.metadata_alone())).await.map(drop);
        }
        self.tell(tenant, batch);
        Ok(())
    }

    /// Tells each of a tenant's nodes what it does not know yet. Nobody waits for it: as with stock, a write does without. What a
    /// node does not hear it is told with a later write.
    fn tell(&self, tenant: &TenantId, batch: &WriteBatch) {
        let Some(placement) = self.placement.load_full() else { return };
        let Ok(nodes) = placement.nodes_of(tenant, 0..self.config.replication_factor) else { return };
        let hashes = hashes_of(&self.hasher, tenant, batch);
        let news_of = |node: Arc<Peer>| (node.said().take_news(&hashes), node);
        let news: Vec<(Vec<u64>, Arc<Peer>)> =
            nodes.into_iter().map(news_of).filter(|(new, _)| !new.is_empty()).collect();
        if news.is_empty() {
            return;
        }
        let mut all_news: HashSet<&u64> = news.iter().flat_map(|(new, _)| new).collect();
        // Remote write 2.0 says it with each series: once is enough.
        let told = batch.metadata.iter().zip(&hashes).filter(|(_, hash)| all_news.remove(hash));
        let told = told.map(|(said, _)| *said).collect();
        let told = Arc::new(WriteBatch { text: batch.text.clone(), metadata: told, ..WriteBatch::default() });
        for (new, node) in news {
            tokio::spawn(here().follow(tell_node(tenant.clone(), Arc::clone(&told), new, node)));
        }
    }

    /// Which replicas a write asks for, and how many of them have to take it.
    fn replicas(&self, origin: WriteOrigin) -> Result<(Range<usize>, usize), WriteError> {
        let factor = self.config.replication_factor;
        // A router only, as stock's, replicates what others may have replicated already.
        if origin.replica == 0 || self.deps.local.is_none() {
            return Ok((0..factor, write_quorum(factor)));
        }
        if origin.replica > factor as u64 {
            return Err(WriteError::Invalid("request replica exceeds receiver replication factor".to_string()));
        }
        let replica = origin.replica as usize - 1;
        Ok((replica..replica + 1, 1))
    }
}

#[async_trait]
impl WriteStore for Replicator {
    async fn write(&self, tenant: &TenantId, batch: Arc<WriteBatch>) -> Result<WriteOutcome, WriteError> {
        self.write_from(WriteOrigin::default(), tenant, batch).await
    }

    async fn write_from(
        &self,
        origin: WriteOrigin,
        tenant: &TenantId,
        batch: Arc<WriteBatch>,
    ) -> Result<WriteOutcome, WriteError> {
        if let Some(local) = self.deps.local.as_ref().filter(|_| origin.placed) {
            return local.write_from(origin, tenant, batch).await;
        }
        if !batch.metadata.is_empty() {
            self.write_metadata(tenant, &batch).await?;
        }
        if batch.is_empty() {
            return Ok(WriteOutcome::default());
        }
        let placement = self.placement()?;
        let (replicas, needed) = self.replicas(origin)?;
        let quorum = Quorum::new(batch.series.len(), replicas.len(), needed);
        let groups = placement.groups(tenant, &batch, replicas).map_err(|e| WriteError::Internal(e.to_string()))?;
        let write = Write {
            tenant: tenant.clone(),
            batch,
            origin,
            metrics: self.deps.metrics.clone(),
            clock: Arc::clone(&self.deps.clock),
            hints: self.deps.hints.clone(),
        };
        let (answer, answered) = oneshot::channel();
        // A task of its own: it goes on when the answer is given, and when nobody waits for it any more.
        let span = Span::child("receive_fanout_forward");
        tokio::spawn(span.around(write.run(groups, quorum, answer)));
        answered.await.unwrap_or_else(|_| Err(WriteError::Internal("replication ended early".to_string())))
    }
}

async fn tell_node(tenant: TenantId, told: Arc<WriteBatch>, hashes: Vec<u64>, node: Arc<Peer>) {
    let origin = WriteOrigin { replica: 1, placed: true, hinted: false };
    let part = Part { tenant: &tenant, batch: &told, series: &[], pieces: &[], origin };
    if let Err(error) = node.send(part).await {
        debug!(error = error.text, "a node was not told of metrics");
        node.said().forget(&hashes);
    }
}

/// One write on its way.
struct Write {
    tenant: TenantId,
    batch: Arc<WriteBatch>,
    origin: WriteOrigin,
    metrics: ReplicationMetrics,
    clock: Arc<dyn Clock>,
    hints: Option<Arc<Hints>>,
}

type Answer = oneshot::Sender<Result<WriteOutcome, WriteError>>;

impl Write {
    async fn run(self, groups: Vec<Group>, mut quorum: Quorum, answer: Answer) {
        let mut answer = Some(answer);
        let mut missed = Vec::new();
        let mut calls: FuturesUnordered<_> = groups.iter().map(|group| self.send(group)).collect();
        while let Some((group, sent)) = calls.next().await {
            if sent.as_ref().is_err_and(|error| error.kind.is_retryable()) && !group.peer.is_local() {
                missed.push(group);
            }
            self.count(group, sent, &mut quorum);
            if quorum.is_decided()
                && let Some(answer) = answer.take()
            {
                // The sender may be gone; the other replicas are written all the same.
                let _ = answer.send(quorum.outcome(&self.batch));
            }
        }
        if let Some(answer) = answer.take() {
            let _ = answer.send(quorum.outcome(&self.batch));
        }
        // A write that failed comes again whole.
        if quorum.outcome(&self.batch).is_ok() {
            self.keep(&missed).await;
        }
    }

    /// Keeps the parts of an acknowledged write that may still succeed.
    async fn keep(&self, missed: &[&Group]) {
        let Some(hints) = self.hints.as_ref().filter(|_| !self.origin.hinted) else { return };
        for group in missed {
            hints.keep(&group.peer.endpoint().address, self.part(group).encode().to_bytes()).await;
        }
    }

    fn part<'a>(&'a self, group: &'a Group) -> Part<'a> {
        let origin = WriteOrigin { replica: group.replica as u64 + 1, placed: true, hinted: self.origin.hinted };
        Part { tenant: &self.tenant, batch: &self.batch, series: &group.series, pieces: &group.pieces, origin }
    }

    async fn send<'a>(&self, group: &'a Group) -> (&'a Group, Result<Option<WriteOutcome>, PeerError>) {
        let begin = self.clock.monotonic();
        let span = Span::child("receive_forward").tagged(|| {
            let replica = i64::try_from(group.replica).unwrap_or(i64::MAX);
            [tag("endpoint", group.peer.endpoint().to_string()), tag("replica", replica)]
        });
        let sent = span.seen(span.around(group.peer.send(self.part(group))).await);
        self.metrics.forwarded(&group.peer.endpoint().address, self.clock.monotonic().saturating_sub(begin));
        (group, sent)
    }

    fn count(&self, group: &Group, sent: Result<Option<WriteOutcome>, PeerError>, quorum: &mut Quorum) {
        let replicated = self.origin.replica > 0;
        match sent {
            Ok(outcome) => {
                self.metrics.succeeded(replicated);
                let outcome = outcome.unwrap_or_default();
                quorum.taken(&group.series, &outcome.rejected, || refusal(&group.peer, &outcome));
            }
            Err(error) => {
                debug!(endpoint = %group.peer.endpoint(), err = %error, "part of a write failed");
                if error.kind.is_retryable() {
                    self.metrics.failed(replicated);
                }
                quorum.failed(&group.series, error);
            }
        }
    }
}

/// What stock would say of a node that refused some samples.
fn refusal(peer: &Peer, outcome: &WriteOutcome) -> String {
    let text = match peer.is_local() {
        true => format!("writing locally: {}", rejected_text(&outcome.rejected)),
        false => refusal_rpc_text(outcome),
    };
    format!("forwarding request to endpoint {}: {text}", peer.endpoint())
}
