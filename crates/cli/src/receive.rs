//! `thanoxide receive`: remote write in, tenants in the engine, blocks to the bucket, the StoreAPI over gRPC.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use thanoxide_config::TenantLabels as LabelRules;
use thanoxide_flags::Matches;
use thanoxide_ingester::{BlockHash, Ingester, IngesterConfig, IngesterDeps, IngesterMetrics, StatusApi, TenantLabels};
use thanoxide_model::Labels;
use thanoxide_model::tenant::HINTS_DIR;
use thanoxide_router::hashring::{Algorithm, HashringConfig, HashringMetrics, parse_hashrings};
use thanoxide_router::{
    HashringFile, HashringFileMetrics, HintConfig, HintMetrics, Hints, LabelsChanged, ReplicationConfig,
    ReplicationDeps, ReplicationMetrics, Replicator, Router as WriteRouter, RouterConfig, RouterDeps, RouterMetrics,
};
use thanoxide_server::HttpServer;
use thanoxide_server::grpc::RoutesBuilder;
use thanoxide_server::http::Router;
use thanoxide_storeapi::{
    ClientConfig, HopSecret, LimitedMetrics, LimitedStore, MeasuredStore, PendingWrites, SeriesLimits, Store,
    StoreServerMetrics, WriteStore,
};
use tokio::net::TcpListener;

use crate::bucket;
use crate::intake;
use crate::node::Node;
use crate::standalone::tenant_of;
use crate::stores::proxy;
use crate::tls;

/// Beyond any use; memory is taken for each replica.
const MAX_REPLICATION_FACTOR: usize = 1000;
/// As many calls to one node as anybody could want.
const MAX_WORKERS: usize = 100_000;

fn external_labels(matches: &Matches) -> Result<Labels> {
    let labels = matches.labels("label").context("parse labels of --label")?;
    if labels.is_empty() {
        bail!(
            "no external labels configured for receive, uniquely identifying external labels must be configured (ideally with `receive_` prefix); see https://thanos.io/tip/thanos/storage.md#external-labels for details."
        );
    }
    Ok(labels)
}

/// The ingester's part of the flags.
pub(crate) fn ingester_config(matches: &Matches, dir: PathBuf) -> Result<IngesterConfig> {
    let labels = external_labels(matches)?;
    let (block_duration_ms, cut_duration_ms) = block_durations(matches);
    let retention_ms = matches.duration_ms("tsdb.retention");
    Ok(IngesterConfig {
        label_rules: label_rules(matches)?,
        tenant_label_name: matches.text("receive.tenant-label-name").to_string(),
        block_duration_ms,
        cut_duration_ms: Some(cut_duration_ms),
        retention_ms: (retention_ms > 0).then_some(retention_ms),
        start_times: intake::stores_start_times(matches),
        // As in stock: below 1 there are none.
        max_exemplars: usize::try_from(matches.int("tsdb.max-exemplars")).unwrap_or(0),
        flush_on_shutdown: matches.switch("tsdb.flush-on-shutdown"),
        maintenance_interval: std::time::Duration::from_millis((block_duration_ms / 200).clamp(200, 30_000) as u64),
        ..IngesterConfig::new(dir, labels, tenant_of(matches, "receive.default-tenant-id")?)
    })
}

/// How long chunks and blocks of late samples may be, and what is cut from a head at once: as in stock the largest duration, since nothing
/// is merged locally. It is brought down to a multiple of the smallest, so that chunks end where blocks do.
fn block_durations(matches: &Matches) -> (i64, i64) {
    let (min, max) = (matches.duration_ms("tsdb.min-block-duration"), matches.duration_ms("tsdb.max-block-duration"));
    if min < 1 || max < min {
        return (max, max);
    }
    (min, max - max % min)
}

fn label_rules(matches: &Matches) -> Result<Arc<LabelRules>> {
    if matches.command() == "standalone" {
        return Ok(Arc::default());
    }
    let yaml = matches.content("receive.tenant-labels").context("get content of tenant labels")?;
    Ok(Arc::new(LabelRules::parse(&yaml.unwrap_or_default())?))
}

/// `None` where the flag says 0.
fn memory_limit(matches: &Matches) -> Option<u64> {
    match matches.is_given("receive.memory-limit") {
        true => Some(matches.bytes("receive.memory-limit")).filter(|bytes| *bytes > 0),
        false => thanoxide_ingester::memory_guard::memory_bytes(),
    }
}

/// Opens an ingester on a thread that may block.
pub(crate) async fn open(config: IngesterConfig, deps: IngesterDeps) -> Result<Arc<Ingester>> {
    let opened = tokio::task::spawn_blocking(move || Ingester::open(config, deps)).await;
    opened.context("opening the storage ended badly")?.context("opening storage")
}

/// What the flags say of hashrings.
enum RingSource {
    File(PathBuf),
    Inline(Vec<HashringConfig>),
}

fn ring_source(matches: &Matches) -> Result<Option<RingSource>> {
    let (path, inline) = (matches.text("receive.hashrings-file"), matches.text("receive.hashrings"));
    if !path.is_empty() {
        return Ok(Some(RingSource::File(PathBuf::from(path))));
    }
    if inline.is_empty() {
        return Ok(None);
    }
    let rings = parse_hashrings(inline).context("failed to validate hashring configuration content")?;
    if rings.is_empty() {
        bail!("failed to validate hashring configuration content: configuration file is empty");
    }
    Ok(Some(RingSource::Inline(rings)))
}

/// How other nodes of the rings are reached.
fn peer_client(matches: &Matches) -> Result<ClientConfig> {
    let tls = tls::remote_write_client(matches)?;
    Ok(ClientConfig {
        snappy: matches.text("receive.grpc-compression") == "snappy",
        tls,
        secret: hop_secret(matches)?,
        ..ClientConfig::default()
    })
}

/// What other nodes must show, and are shown.
pub(crate) fn hop_secret(matches: &Matches) -> Result<Option<HopSecret>> {
    let flag = "receive.hop-secret-file";
    let path = matches.text(flag);
    if path.is_empty() {
        return Ok(None);
    }
    HopSecret::from_file(Path::new(path)).map(Some).with_context(|| format!("--{flag}={path}"))
}

fn replication_config(matches: &Matches) -> Result<ReplicationConfig> {
    let replication_factor = usize::try_from(matches.uint("receive.replication-factor"))?.max(1);
    if replication_factor > MAX_REPLICATION_FACTOR {
        bail!("--receive.replication-factor={replication_factor} is more than {MAX_REPLICATION_FACTOR}");
    }
    let capnproto = matches.text("receive.replication-protocol") == "capnproto";
    if capnproto && hop_secret(matches)?.is_some() {
        bail!(
            "Cap'n Proto carries no secret: --receive.hop-secret-file goes with --receive.replication-protocol=protobuf"
        );
    }
    Ok(ReplicationConfig {
        replication_factor,
        algorithm: Algorithm::named(matches.text("receive.hashrings-algorithm")),
        forward_timeout: matches.duration("receive-forward-timeout"),
        max_backoff: matches.duration("receive-forward-max-backoff"),
        workers: usize::try_from(matches.uint("receive.forward.async-workers"))?.clamp(1, MAX_WORKERS),
        artificial_max_delay: matches.duration("receive.artificial-max-delay"),
        client: peer_client(matches)?,
        capnproto,
        local_endpoint: matches.text("receive.local-endpoint").to_string(),
    })
}

/// Runs until a signal comes. As in stock: hashrings and a local endpoint make a router and ingester, hashrings alone a
/// router, no hashrings an ingester.
pub async fn run(matches: &Matches) -> Result<()> {
    let rings = ring_source(matches)?;
    match (rings, matches.text("receive.local-endpoint").is_empty()) {
        (None, _) => run_ingester(matches, None).await,
        (Some(rings), true) => run_router(matches, rings).await,
        (Some(rings), false) => run_ingester(matches, Some(rings)).await,
    }
}

/// A replicator over the rings, in front of `local` where there is one.
fn replicate(
    matches: &Matches,
    node: &mut Node,
    rings: RingSource,
    local: Option<Arc<dyn WriteStore>>,
    labels: Option<TenantLabels>,
) -> Result<Arc<Replicator>> {
    let metrics = ReplicationMetrics::new(&mut node.registry);
    let ring_metrics = HashringMetrics::new(&mut node.registry);
    let labels_changed = labels.map(|labels| LabelsChanged(Arc::new(move |of_tenants| labels.set(of_tenants))));
    let (clock, random) = (Arc::clone(&node.env.clock), Arc::clone(&node.env.random));
    let config = replication_config(matches)?;
    let hints = if config.replication_factor > 1 { open_hints(matches, node)? } else { None };
    let deps = ReplicationDeps { local, clock, random, metrics, ring_metrics, labels_changed, hints: hints.clone() };
    let replicator = Replicator::new(config, deps);
    if let Some(hints) = hints {
        let replicator = Arc::clone(&replicator);
        node.group.add("hints", move |shutdown| hints.run(replicator, shutdown));
    }
    match rings {
        RingSource::Inline(rings) => {
            replicator.set_hashrings(&rings).context("unable to create new hashring from config")?;
        }
        RingSource::File(path) => watch_rings(matches, node, path, &replicator)?,
    }
    Ok(replicator)
}

/// Where writes are kept for nodes that are away.
fn open_hints(matches: &Matches, node: &mut Node) -> Result<Option<Arc<Hints>>> {
    let max_bytes = matches.bytes("receive.hints-max-bytes");
    if max_bytes == 0 {
        return Ok(None);
    }
    let dir = PathBuf::from(matches.text("tsdb.path")).join(HINTS_DIR);
    let config = HintConfig { dir, max_bytes, max_age: matches.duration("receive.hints-max-age") };
    let metrics = HintMetrics::new(&mut node.registry);
    let (disk, clock) = (Arc::clone(&node.env.disk), Arc::clone(&node.env.clock));
    Hints::open(config, disk, clock, metrics).map(Some).context("opening the hints")
}

fn watch_rings(matches: &Matches, node: &mut Node, path: PathBuf, replicator: &Arc<Replicator>) -> Result<()> {
    let interval = matches.duration("receive.hashrings-file-refresh-interval");
    let metrics = HashringFileMetrics::new(&mut node.registry);
    let (disk, clock) = (Arc::clone(&node.env.disk), Arc::clone(&node.env.clock));
    let mut file = HashringFile::new(path, interval, disk, clock, metrics);
    file.load(replicator).context("failed to validate hashring configuration file")?;
    let replicator = Arc::clone(replicator);
    node.group.add("hashrings", move |shutdown| file.run(replicator, shutdown));
    Ok(())
}

/// What a `receive` serves besides metrics and probes.
struct Served {
    router: RouterConfig,
    writer: Arc<dyn WriteStore>,
    store: Arc<dyn Store>,
    /// The own tenants; a router has none.
    ingester: Option<Arc<Ingester>>,
}

/// Serves remote write and the StoreAPI until a signal comes.
async fn serve(matches: &Matches, mut node: Node, listener: HttpServer, served: Served) -> Result<()> {
    let Served { router, writer, store, ingester } = served;
    let status = StatusApi {
        ingester: ingester.clone(),
        tenant_header: router.tenant_header.clone(),
        default_tenant: router.default_tenant.clone(),
    };
    let (metrics, clock) = (RouterMetrics::new(&mut node.registry), Arc::clone(&node.env.clock));
    let deps = RouterDeps { store: Arc::clone(&writer), metrics, clock };
    let status = node.http_metrics.instrument("tsdb_status", status.routes());
    let routes = WriteRouter::new(router, deps)?.routes(&node.http_metrics).merge(status);
    let limits = SeriesLimits {
        series: matches.uint("store.limits.request-series"),
        samples: matches.uint("store.limits.request-samples"),
    };
    let store = Arc::new(MeasuredStore::new(store, StoreServerMetrics::new(&mut node.registry)));
    let store = LimitedStore::new(store, limits, LimitedMetrics::new(&mut node.registry));
    let writer = Arc::new(PendingWrites::new(writer, &mut node.registry));
    let mut services = RoutesBuilder::default();
    thanoxide_storeapi::add_store(&mut services, Arc::new(store));
    thanoxide_storeapi::add_write_store(&mut services, writer, hop_secret(matches)?);
    let grace = node.http_grace();
    node.group.add("remote-write", move |shutdown| listener.serve(routes, shutdown, grace));
    node.probe.set_ready();
    let deletion = ingester.filter(|_| matches.switch("receive.tenant-deletion"));
    let api = deletion.map_or_else(Router::new, thanoxide_ingester::departure::deletion_routes);
    node.serve(api, services, |_| ()).await
}

/// Takes Cap'n Proto writes for `writer`. The default address may be another process's already: then there is none here.
async fn serve_capnproto(matches: &Matches, node: &mut Node, writer: Arc<dyn WriteStore>) -> Result<()> {
    if hop_secret(matches)?.is_some() {
        tracing::info!(component = "capnproto", "not listening: Cap'n Proto carries no secret");
        return Ok(());
    }
    let address = matches.text("receive.capnproto-address");
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => listener,
        Err(e) if !matches.is_given("receive.capnproto-address") => {
            tracing::warn!(component = "capnproto", address, err = %e, "cannot listen at the default address, going on without");
            return Ok(());
        }
        Err(e) => return Err(e).with_context(|| format!("--receive.capnproto-address: {address}")),
    };
    tracing::info!(component = "capnproto", address = %listener.local_addr()?, "listening");
    node.group.add("capnproto", move |shutdown| {
        let stop = async move { shutdown.requested().await };
        thanoxide_storeapi::capnproto::serve_capnproto(listener, writer, stop)
    });
    Ok(())
}

async fn bind(matches: &Matches) -> Result<(Node, HttpServer)> {
    let tls = tls::remote_write_server(matches)?;
    let node = Node::bind("receive", matches, intake::request_metrics(matches)?).await?;
    let listener = HttpServer::bind("remote-write.address", matches.text("remote-write.address")).await?.with_tls(tls);
    tracing::info!(component = "remote-write", address = %listener.local_addr()?, "listening");
    Ok((node, listener))
}

async fn run_router(matches: &Matches, rings: RingSource) -> Result<()> {
    // Stock wants labels of a router, too.
    external_labels(matches)?;
    let router = intake::router_config(matches)?;
    let (mut node, listener) = bind(matches).await?;
    intake::watch_limits(matches, &mut node, &router.limiter, None);
    let replicator = replicate(matches, &mut node, rings, None, None)?;
    serve_capnproto(matches, &mut node, Arc::clone(&replicator) as _).await?;
    let served = Served { router, writer: replicator, store: proxy(Vec::new()), ingester: None };
    serve(matches, node, listener, served).await
}

async fn run_ingester(matches: &Matches, rings: Option<RingSource>) -> Result<()> {
    let mut config = ingester_config(matches, PathBuf::from(matches.text("tsdb.path")))?;
    let guard_ms = matches.duration_ms("tsdb.too-far-in-future.time-window");
    config.too_far_in_future_ms = (guard_ms > 0).then_some(guard_ms);
    config.memory_limit_bytes = memory_limit(matches);
    config.retention_bytes = Some(matches.bytes("tsdb.max-retention-bytes")).filter(|bytes| *bytes > 0);
    if matches.text("hash-func") == "SHA256" {
        config.upload.hash = BlockHash::Sha256;
    }
    config.upload.concurrency = usize::try_from(matches.int("shipper.upload-concurrency")).unwrap_or_default();
    config.out_of_order_window_ms = matches.duration_ms("tsdb.out-of-order.time-window");
    // As in stock: no number, or one below 1, means the default.
    if let cap @ 1.. = matches.int("tsdb.out-of-order.cap-max") {
        config.out_of_order_chunk_samples = usize::try_from(cap)?;
    }
    let router = intake::router_config(matches)?;
    let (mut node, listener) = bind(matches).await?;
    let bucket = bucket::from_flags(matches, &mut node)?;
    let deps = IngesterDeps { env: node.env.clone(), bucket, metrics: IngesterMetrics::new(&mut node.registry) };
    let tenant_labels = config.tenant_labels.clone();
    let ingester = open(config, deps).await?;
    intake::watch_limits(matches, &mut node, &router.limiter, Some(&ingester));
    let maintained = Arc::clone(&ingester);
    node.group.add("ingester", move |shutdown| maintained.run(shutdown));
    let writer: Arc<dyn WriteStore> = Arc::clone(&ingester) as _;
    // As in stock: what comes this way has been placed.
    serve_capnproto(matches, &mut node, Arc::clone(&writer)).await?;
    let writer = match rings {
        None => {
            // Nothing is replicated, but alerts use the metrics.
            drop(ReplicationMetrics::new(&mut node.registry));
            writer
        }
        Some(rings) => replicate(matches, &mut node, rings, Some(writer), Some(tenant_labels))? as _,
    };
    let served = Served { router, writer, store: Arc::clone(&ingester) as _, ingester: Some(ingester) };
    serve(matches, node, listener, served).await
}
