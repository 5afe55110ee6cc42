//! Writes over a ring: where they go, and what the sender is told when nodes refuse, fail or do not answer.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use prometheus_client::registry::Registry;
use thanoxide_env::{SystemClock, SystemDisk, SystemRandom};
use thanoxide_model::write_batch::WriteBatchBuilder;
use thanoxide_model::{Labels, MetricMetadata, MetricType, Sample, TenantId, Verdict, WriteBatch};
use thanoxide_router::hashring::{Algorithm, HashringMetrics, parse_hashrings};
use thanoxide_router::{
    HintConfig, HintMetrics, Hints, ReplicationConfig, ReplicationDeps, ReplicationMetrics, Replicator,
};
use thanoxide_server::grpc::RoutesBuilder;
use thanoxide_server::{GrpcMetrics, GrpcServer, Probe, Shutdown};
use thanoxide_storeapi::{Rejected, WriteError, WriteOrigin, WriteOutcome, WriteStore, add_write_store};

#[derive(Clone, Debug)]
enum Mood {
    Takes,
    Refuses,
    Unavailable,
    Silent,
}

/// A node that keeps the series it gets, by metric name.
#[derive(Debug)]
struct Node {
    mood: Mutex<Mood>,
    series: Mutex<Vec<(String, WriteOrigin)>>,
    calls: AtomicU64,
    /// What it was told of metrics.
    told: AtomicU64,
}

#[async_trait]
impl WriteStore for Node {
    async fn write(&self, _: &TenantId, _: Arc<WriteBatch>) -> Result<WriteOutcome, WriteError> {
        unreachable!("an origin is always told")
    }

    async fn write_from(
        &self,
        origin: WriteOrigin,
        _: &TenantId,
        batch: Arc<WriteBatch>,
    ) -> Result<WriteOutcome, WriteError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let mood = self.mood.lock().unwrap().clone();
        let rejected = |i| Rejected { series: i as u32, verdict: Verdict::OutOfOrder, samples: 1 };
        match mood {
            Mood::Silent => std::future::pending().await,
            Mood::Unavailable => Err(WriteError::Unavailable("starting".into())),
            Mood::Refuses => {
                let rejected = (0..batch.series.len()).map(rejected).collect();
                Ok(WriteOutcome { accepted: 0, rejected, explanation: None })
            }
            Mood::Takes => {
                self.told.fetch_add(batch.metadata.len() as u64, Ordering::Relaxed);
                let name = |s| batch.labels_of(s).next().map(|(_, v)| String::from_utf8_lossy(v).into_owned()).unwrap();
                let names = batch.series.iter().map(name);
                self.series.lock().unwrap().extend(names.map(|name| (name, origin)));
                Ok(WriteOutcome::all_of(&batch))
            }
        }
    }
}

struct Ring {
    nodes: Vec<Arc<Node>>,
    addresses: Vec<String>,
    replicator: Arc<Replicator>,
    shutdown: Shutdown,
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.shutdown.request();
    }
}

async fn serve(node: &Arc<Node>, shutdown: Shutdown) -> String {
    let server = GrpcServer::bind("grpc-address", "127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap().to_string();
    let (mut services, mut registry) = (RoutesBuilder::default(), Registry::default());
    add_write_store(&mut services, Arc::clone(node) as Arc<dyn WriteStore>, None);
    let metrics = GrpcMetrics::new(&mut registry, &[], Arc::new(SystemClock::default()));
    let probe = Probe::new("node", &mut registry);
    tokio::spawn(server.serve(services, metrics, probe, shutdown, Duration::ZERO));
    address
}

impl Ring {
    async fn of(moods: &[Mood], replication_factor: usize, forward_timeout: Duration) -> Self {
        Self::with_hints(moods, replication_factor, forward_timeout, None).await
    }

    async fn with_hints(
        moods: &[Mood],
        replication_factor: usize,
        forward_timeout: Duration,
        hints: Option<Arc<Hints>>,
    ) -> Self {
        let shutdown = Shutdown::new();
        let (mut nodes, mut addresses) = (Vec::new(), Vec::new());
        for mood in moods {
            let node = Arc::new(Node {
                mood: Mutex::new(mood.clone()),
                series: Mutex::default(),
                calls: AtomicU64::new(0),
                told: AtomicU64::new(0),
            });
            addresses.push(serve(&node, shutdown.clone()).await);
            nodes.push(node);
        }
        let config = ReplicationConfig {
            replication_factor,
            algorithm: Algorithm::Ketama,
            forward_timeout,
            ..ReplicationConfig::default()
        };
        let deps = ReplicationDeps {
            local: None,
            clock: Arc::new(SystemClock::default()),
            random: Arc::new(SystemRandom),
            metrics: ReplicationMetrics::new(&mut Registry::default()),
            ring_metrics: HashringMetrics::default(),
            labels_changed: None,
            hints,
        };
        let replicator = Replicator::new(config, deps);
        let ring = Ring { nodes, addresses, replicator, shutdown };
        ring.use_nodes(ring.nodes.len());
        ring
    }

    fn use_nodes(&self, count: usize) {
        let ring = serde_json::json!([{ "endpoints": &self.addresses[..count] }]);
        self.replicator.set_hashrings(&parse_hashrings(&ring.to_string()).unwrap()).unwrap();
    }

    /// A write that says something of a metric, too.
    async fn write_and_say(&self, series: usize, help: &str) -> Result<WriteOutcome, WriteError> {
        let mut said = builder(series);
        said.push_metadata("m0", &MetricMetadata { kind: MetricType::Gauge, help: help.into(), unit: String::new() });
        self.replicator.write(&TenantId::new("t").unwrap(), Arc::new(said.build())).await
    }

    fn told(&self) -> Vec<u64> {
        self.nodes.iter().map(|node| node.told.load(Ordering::Relaxed)).collect()
    }

    async fn write(&self, series: usize) -> Result<WriteOutcome, WriteError> {
        self.replicator.write(&TenantId::new("t").unwrap(), Arc::new(batch(series))).await
    }

    /// How many times each series of a batch lies on the nodes.
    fn copies(&self, series: usize) -> Vec<usize> {
        let kept: Vec<String> = self
            .nodes
            .iter()
            .flat_map(|n| n.series.lock().unwrap().iter().map(|(name, _)| name.clone()).collect::<Vec<_>>())
            .collect();
        (0..series).map(|i| kept.iter().filter(|name| **name == format!("m{i}")).count()).collect()
    }
}

fn batch(series: usize) -> WriteBatch {
    builder(series).build()
}

fn builder(series: usize) -> WriteBatchBuilder {
    let mut builder = WriteBatchBuilder::default();
    for i in 0..series {
        let labels = Labels::from_pairs([("__name__", format!("m{i}").as_str()), ("pod", &"x".repeat(i % 7))]);
        builder.push(&labels, &[Sample { timestamp_ms: 1, value: 1.0 }]);
    }
    builder
}

const LONG: Duration = Duration::from_secs(60);

/// Waits for what other tasks bring about.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, wait).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_series_goes_to_as_many_nodes_as_told() {
    for factor in [1, 2, 3] {
        let ring = Ring::of(&[Mood::Takes, Mood::Takes, Mood::Takes, Mood::Takes], factor, LONG).await;
        let outcome = ring.write(200).await.unwrap();
        assert_eq!((outcome.accepted, outcome.rejected.len()), (200, 0));
        // The quorum answers first; the rest follows.
        until("all copies are there", || ring.copies(200) == vec![factor; 200]).await;
        for node in &ring.nodes {
            let series = node.series.lock().unwrap();
            assert!(series.len() >= 20 * factor, "{} of {factor} x 200", series.len());
            assert!(
                series
                    .iter()
                    .all(|(_, origin)| origin.replica >= 1 && origin.replica <= factor as u64 && origin.placed)
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_three_nodes_may_fail_in_any_way() {
    for mood in [Mood::Refuses, Mood::Unavailable, Mood::Silent] {
        let ring = Ring::of(&[Mood::Takes, mood.clone(), Mood::Takes], 3, LONG).await;
        for _ in 0..3 {
            let outcome = ring.write(50).await;
            assert_eq!(outcome, Ok(WriteOutcome { accepted: 50, ..WriteOutcome::default() }), "{mood:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_three_that_fail_are_named_in_stocks_words() {
    let ring = Ring::of(&[Mood::Takes, Mood::Refuses, Mood::Refuses], 3, LONG).await;
    let outcome = ring.write(1).await.unwrap();
    assert_eq!(outcome.rejected, [Rejected { series: 0, verdict: Verdict::OutOfOrder, samples: 1 }]);
    let mut reasons: Vec<String> = ring.addresses[1..]
        .iter()
        .map(|a| {
            let refusal = "rpc error: code = AlreadyExists desc = add 1 samples: out of order sample";
            format!("forwarding request to endpoint addr: {a}, capnp_addr: 127.0.0.1:19391, az: : {refusal}")
        })
        .collect();
    reasons.sort();
    assert_eq!(outcome.explanation.unwrap(), format!("2 errors: {}", reasons.join("; ")));

    let ring = Ring::of(&[Mood::Unavailable, Mood::Refuses, Mood::Takes], 3, LONG).await;
    assert!(matches!(ring.write(20).await, Err(WriteError::Unavailable(_))));
    let ring = Ring::of(&[Mood::Unavailable, Mood::Unavailable, Mood::Takes], 3, LONG).await;
    let Err(WriteError::Unavailable(text)) = ring.write(1).await else { panic!("one of three is no quorum") };
    assert!(text.contains("rpc error: code = Unavailable desc = starting"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_quorum_ends_in_503_and_is_left_alone_then() {
    let ring = Ring::of(&[Mood::Silent, Mood::Silent, Mood::Takes], 3, Duration::from_millis(300)).await;
    let Err(WriteError::Unavailable(text)) = ring.write(1).await else { panic!("nobody answered") };
    assert!(text.contains("DeadlineExceeded"), "{text}");
    let Err(WriteError::Unavailable(text)) = ring.write(1).await else { panic!("nobody answered") };
    assert!(text.contains("backing off forward request") || text.contains("DeadlineExceeded"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_without_a_ring_and_rings_without_nodes_are_errors() {
    let ring = Ring::of(&[Mood::Takes], 1, LONG).await;
    let rings = parse_hashrings(
        r#"[{"tenants":["a"],"endpoints":["x:1"]},{"tenants":["t"],"algorithm":"hashmod","endpoints":[]}]"#,
    );
    ring.replicator.set_hashrings(&rings.unwrap()).unwrap();
    let error = ring.write(1).await.unwrap_err();
    assert_eq!(error, WriteError::Internal("insufficient nodes; have 0, want 1".into()));
    let nobody = TenantId::new("nobody").unwrap();
    let error = ring.replicator.write(&nobody, Arc::new(batch(1))).await.unwrap_err();
    assert_eq!(error, WriteError::Internal("no matching hashring to handle tenant".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rings_that_cannot_be_made_leave_the_old_ones() {
    let ring = Ring::of(&[Mood::Takes, Mood::Takes], 2, LONG).await;
    let too_few = parse_hashrings(r#"[{"endpoints":["a:1"]}]"#).unwrap();
    assert!(ring.replicator.set_hashrings(&too_few).is_err());
    assert_eq!(ring.write(10).await.unwrap().accepted, 10);
}

fn hints(dir: &std::path::Path, max_bytes: u64) -> Arc<Hints> {
    let config = HintConfig { dir: dir.to_path_buf(), max_bytes, max_age: LONG };
    Hints::open(config, Arc::new(SystemDisk), Arc::new(SystemClock::default()), HintMetrics::default()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_missed_is_kept_and_delivered_when_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let kept = hints(dir.path(), 1 << 20);
    let moods = [Mood::Takes, Mood::Unavailable, Mood::Takes];
    let ring = Ring::with_hints(&moods, 3, LONG, Some(Arc::clone(&kept))).await;
    for _ in 0..3 {
        assert_eq!(ring.write(40).await.unwrap().accepted, 40);
    }
    until("something is kept", || kept.bytes() > 0).await;
    // Over a restart of the router.
    let stop = Shutdown::new();
    stop.request();
    Arc::clone(&kept).run(Arc::clone(&ring.replicator), stop).await.unwrap();
    drop(kept);
    let reopened = hints(dir.path(), 1 << 20);
    assert!(reopened.bytes() > 0);
    *ring.nodes[1].mood.lock().unwrap() = Mood::Takes;
    ring.replicator.peer(&ring.addresses[1]).reset();
    let stop = Shutdown::new();
    let delivery = tokio::spawn(Arc::clone(&reopened).run(Arc::clone(&ring.replicator), stop.clone()));
    until("all is delivered", || reopened.bytes() == 0).await;
    stop.request();
    delivery.await.unwrap().unwrap();
    let series = ring.nodes[1].series.lock().unwrap();
    assert!(series.len() >= 40 && series.iter().all(|(_, origin)| origin.hinted), "{}", series.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hints_are_bounded_and_a_failed_write_leaves_none() {
    let dir = tempfile::tempdir().unwrap();
    let kept = hints(dir.path(), 10);
    let moods = [Mood::Takes, Mood::Unavailable, Mood::Takes];
    let ring = Ring::with_hints(&moods, 3, LONG, Some(Arc::clone(&kept))).await;
    assert_eq!(ring.write(40).await.unwrap().accepted, 40);
    assert_eq!(kept.bytes(), 0);
    let kept = hints(&dir.path().join("other"), 1 << 20);
    let moods = [Mood::Takes, Mood::Unavailable, Mood::Unavailable];
    let ring = Ring::with_hints(&moods, 3, LONG, Some(Arc::clone(&kept))).await;
    assert!(ring.write(40).await.is_err());
    assert_eq!(kept.bytes(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_told_of_metrics_once_and_no_write_waits_for_it() {
    let ring = Ring::of(&[Mood::Takes, Mood::Silent, Mood::Takes], 3, LONG).await;
    for _ in 0..3 {
        // In much less time than the silent node has.
        ring.write_and_say(20, "Help.").await.unwrap();
    }
    until("two are told", || ring.told() == [1, 0, 1]).await;

    let ring = Ring::of(&[Mood::Takes, Mood::Unavailable, Mood::Takes], 3, LONG).await;
    ring.write_and_say(20, "Help.").await.unwrap();
    until("two are told", || ring.told() == [1, 0, 1]).await;
    *ring.nodes[1].mood.lock().unwrap() = Mood::Takes;
    let later = async {
        while ring.told()[1] == 0 {
            ring.write_and_say(20, "Help.").await.unwrap();
        }
    };
    tokio::time::timeout(LONG, later).await.expect("what a node did not hear it is told later");
    assert_eq!(ring.told(), [1, 1, 1]);
    ring.write_and_say(20, "Other help.").await.unwrap();
    until("all are told", || ring.told() == [2, 2, 2]).await;
}
