//! `thanoxide receive`: remote write in, tenants in the engine, blocks to the bucket, the StoreAPI over gRPC.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use thanoxide_flags::Matches;
use thanoxide_ingester::{Ingester, IngesterConfig, IngesterDeps, IngesterMetrics};
use thanoxide_model::Labels;
use thanoxide_router::{Router as WriteRouter, RouterConfig, RouterDeps, RouterMetrics};
use thanoxide_server::HttpServer;
use thanoxide_server::grpc::RoutesBuilder;
use thanoxide_server::http::Router;
use thanoxide_storeapi::{ClientConfig, RemoteWriter, Store, WriteStore};

use crate::bucket;
use crate::node::Node;
use crate::standalone::tenant_of;
use crate::stores::proxy;

fn external_labels(matches: &Matches) -> Result<Labels> {
    let labels = matches.labels("label").context("--label")?;
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

/// The one endpoint of the one ring that routing knows so far.
fn only_endpoint(hashrings: &str) -> Result<String> {
    let rings: Value = serde_json::from_str(hashrings).context("--receive.hashrings")?;
    let unsupported = "--receive.hashrings: only one hashring of one endpoint, without other fields, is supported yet";
    let ring = match rings.as_array().map(Vec::as_slice) {
        Some([Value::Object(ring)]) => ring,
        _ => bail!("{unsupported}"),
    };
    if ring.keys().any(|key| key != "endpoints" && key != "hashring") {
        bail!("{unsupported}");
    }
    match ring.get("endpoints").and_then(Value::as_array).map(Vec::as_slice) {
        Some([Value::String(address)]) => Ok(address.clone()),
        Some([Value::Object(endpoint)]) if endpoint.len() == 1 => {
            let address = endpoint.get("address").and_then(Value::as_str).context("an endpoint has no address");
            address.map(str::to_string).context("--receive.hashrings")
        }
        _ => bail!("{unsupported}"),
    }
}

/// Runs until a signal comes: as an ingester, or, with hashrings, as a router.
pub async fn run(matches: &Matches) -> Result<()> {
    match matches.text("receive.hashrings") {
        "" => run_ingester(matches).await,
        hashrings => run_router(matches, &only_endpoint(hashrings)?).await,
    }
}

/// Serves remote write from `writer` beside `store`, until a signal comes.
async fn serve(
    mut node: Node,
    router: RouterConfig,
    listener: HttpServer,
    writer: Arc<dyn WriteStore>,
    store: Arc<dyn Store>,
) -> Result<()> {
    let (metrics, clock) = (RouterMetrics::new(&mut node.registry), Arc::clone(&node.env.clock));
    let deps = RouterDeps { store: Arc::clone(&writer), metrics, clock };
    let routes = WriteRouter::new(router, deps)?.routes(&node.http_metrics);
    let mut services = RoutesBuilder::default();
    thanoxide_storeapi::add_store(&mut services, store);
    thanoxide_storeapi::add_write_store(&mut services, writer);
    let grace = node.http_grace();
    node.group.add("remote-write", move |shutdown| listener.serve(routes, shutdown, grace));
    node.probe.set_ready();
    node.serve(Router::new(), services, |_| ()).await
}

async fn bind(matches: &Matches) -> Result<(Node, HttpServer)> {
    let node = Node::bind("receive", matches).await?;
    let listener = HttpServer::bind("--remote-write.address", matches.text("remote-write.address")).await?;
    tracing::info!(component = "remote-write", address = %listener.local_addr()?, "listening");
    Ok((node, listener))
}

async fn run_router(matches: &Matches, endpoint: &str) -> Result<()> {
    // Stock wants labels of a router, too.
    external_labels(matches)?;
    let router = router_config(matches)?;
    let writer = RemoteWriter::connect(endpoint, &ClientConfig::default());
    let writer = Arc::new(writer.with_context(|| format!("--receive.hashrings: {endpoint}"))?);
    let (node, listener) = bind(matches).await?;
    serve(node, router, listener, writer, proxy(Vec::new())).await
}

async fn run_ingester(matches: &Matches) -> Result<()> {
    let mut config = ingester_config(matches, PathBuf::from(matches.text("tsdb.path")))?;
    let guard_ms = matches.duration_ms("tsdb.too-far-in-future.time-window");
    config.too_far_in_future_ms = (guard_ms > 0).then_some(guard_ms);
    let router = router_config(matches)?;
    let (mut node, listener) = bind(matches).await?;
    let bucket = bucket::from_flags(matches, &mut node)?;
    let deps = IngesterDeps { env: node.env.clone(), bucket, metrics: IngesterMetrics::new(&mut node.registry) };
    let ingester = open(config, deps).await?;
    let maintained = Arc::clone(&ingester);
    node.group.add("ingester", move |shutdown| maintained.run(shutdown));
    serve(node, router, listener, Arc::clone(&ingester) as _, ingester).await
}

#[cfg(test)]
mod tests {
    use super::only_endpoint;

    #[test]
    fn one_ring_of_one_endpoint() {
        assert_eq!(only_endpoint(r#"[{"endpoints":["a:1"]}]"#).unwrap(), "a:1");
        assert_eq!(only_endpoint(r#"[{"hashring":"x","endpoints":[{"address":"a:1"}]}]"#).unwrap(), "a:1");
        for other in ["[]", "x", r#"[{"endpoints":["a:1","b:1"]}]"#, r#"[{"tenants":["t"],"endpoints":["a:1"]}]"#] {
            assert!(only_endpoint(other).is_err(), "{other}");
        }
    }
}
