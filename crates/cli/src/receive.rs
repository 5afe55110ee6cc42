//! `thanoxide receive`: remote write in, tenants in the engine, blocks to the bucket, the StoreAPI over gRPC.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use thanoxide_flags::Matches;
use thanoxide_ingester::{Ingester, IngesterConfig, IngesterDeps, IngesterMetrics};
use thanoxide_router::{Router as WriteRouter, RouterConfig, RouterDeps, RouterMetrics};
use thanoxide_server::HttpServer;
use thanoxide_server::grpc::RoutesBuilder;
use thanoxide_server::http::Router;
use thanoxide_storeapi::{Store, WriteStore};

use crate::bucket;
use crate::node::{Node, STOP_DEADLINE};
use crate::standalone::tenant_of;

/// The ingester's part of the flags.
pub(crate) fn ingester_config(matches: &Matches, dir: PathBuf) -> Result<IngesterConfig> {
    let labels = matches.labels("label").context("--label")?;
    if labels.is_empty() {
        bail!(
            "no external labels configured for receive, uniquely identifying external labels must be configured (ideally with `receive_` prefix); see https://thanos.io/tip/thanos/storage.md#external-labels for details."
        );
    }
    let (min, max) = (matches.duration_ms("tsdb.min-block-duration"), matches.duration_ms("tsdb.max-block-duration"));
    if min != max {
        bail!("--tsdb.min-block-duration and --tsdb.max-block-duration must be equal: blocks are not merged locally");
    }
    let retention_ms = matches.duration_ms("tsdb.retention");
    Ok(IngesterConfig {
        tenant_label_name: matches.text("receive.tenant-label-name").to_string(),
        block_duration_ms: min,
        retention_ms: (retention_ms > 0).then_some(retention_ms),
        maintenance_interval: std::time::Duration::from_millis((min / 200).clamp(200, 30_000) as u64),
        ..IngesterConfig::new(dir, labels, tenant_of(matches, "receive.default-tenant-id")?)
    })
}

/// The router's part of the flags.
pub(crate) fn router_config(matches: &Matches) -> Result<RouterConfig> {
    Ok(RouterConfig {
        tenant_header: matches.text("receive.tenant-header").to_string(),
        default_tenant: tenant_of(matches, "receive.default-tenant-id")?.as_str().to_string(),
        ..RouterConfig::default()
    })
}

/// Opens an ingester on a thread that may block.
pub(crate) async fn open(config: IngesterConfig, deps: IngesterDeps) -> Result<Arc<Ingester>> {
    let opened = tokio::task::spawn_blocking(move || Ingester::open(config, deps)).await;
    opened.context("opening the storage ended badly")?.context("opening storage")
}

/// Runs until a signal comes.
pub async fn run(matches: &Matches) -> Result<()> {
    let mut config = ingester_config(matches, PathBuf::from(matches.text("tsdb.path")))?;
    let guard_ms = matches.duration_ms("tsdb.too-far-in-future.time-window");
    config.too_far_in_future_ms = (guard_ms > 0).then_some(guard_ms);
    let router_config = router_config(matches)?;
    let mut node = Node::bind("receive", matches, true).await?;
    let write_http = HttpServer::bind("--remote-write.address", matches.text("remote-write.address")).await?;
    tracing::info!(component = "remote-write", address = %write_http.local_addr()?, "listening");

    let bucket = bucket::from_flags(matches, &mut node)?;
    let deps = IngesterDeps { env: node.env.clone(), bucket, metrics: IngesterMetrics::new(&mut node.registry) };
    let ingester = open(config, deps).await?;
    let writer: Arc<dyn WriteStore> = Arc::clone(&ingester) as _;
    let store: Arc<dyn Store> = Arc::clone(&ingester) as _;
    let deps = RouterDeps {
        store: Arc::clone(&writer),
        metrics: RouterMetrics::new(&mut node.registry),
        clock: Arc::clone(&node.env.clock),
    };
    let write_routes = WriteRouter::new(router_config, deps)?.routes(&node.http_metrics);

    let mut services = RoutesBuilder::default();
    thanoxide_storeapi::add_store(&mut services, store);
    thanoxide_storeapi::add_write_store(&mut services, writer);
    node.group.add("ingester", move |shutdown| ingester.run(shutdown));
    node.group.add("remote-write", move |shutdown| write_http.serve(write_routes, shutdown, STOP_DEADLINE));
    node.probe.set_ready();
    node.serve(Router::new(), services, |_| ()).await
}
