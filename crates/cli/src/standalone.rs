//! `thanoxide standalone`: router, ingester, shipper, store gateway and query in one process over one directory.
//!
//! Layout of the directory: `tsdb/<tenant>/` is the ingester's, `bucket/` the default bucket, `store/` the gateway's cache.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use thanoxide_flags::Matches;
use thanoxide_ingester::{Ingester, IngesterConfig, IngesterDeps, IngesterMetrics};
use thanoxide_model::TenantId;
use thanoxide_objstore::Bucket;
use thanoxide_query::api::handler_of;
use thanoxide_query::{QueryConfig, QueryMetrics, QueryService};
use thanoxide_router::{ReplicationMetrics, Router as WriteRouter, RouterConfig, RouterDeps, RouterMetrics};
use thanoxide_server::grpc::RoutesBuilder;
use thanoxide_server::{HttpMetricsConfig, HttpServer, Shutdown};
use thanoxide_store::{BucketStore, StoreConfig};
use thanoxide_storeapi::{Store, WriteStore};

use crate::node::{Node, STOP_DEADLINE};
use crate::page::{Page, PageFacts};
use crate::self_scrape::SelfScrape;
use crate::stores::proxy;
use crate::{bucket, intake, receive};

/// How far in the future a sample may be: one sender with a wrong clock must not shut out the others.
const FUTURE_GUARD_MS: i64 = 600_000;

/// Everything that the flags say, checked.
struct Config {
    data_dir: PathBuf,
    ingester: IngesterConfig,
    router: RouterConfig,
    query: QueryConfig,
    self_scrape: bool,
}

impl Config {
    fn from_flags(matches: &Matches) -> Result<Self> {
        let data_dir = PathBuf::from(matches.text("data-dir"));
        let mut ingester = receive::ingester_config(matches, data_dir.join("tsdb"))?;
        ingester.too_far_in_future_ms = Some(FUTURE_GUARD_MS);
        ingester.memory_limit_bytes = Some(matches.bytes("memory-limit")).filter(|bytes| *bytes > 0);
        Ok(Config {
            ingester,
            router: intake::tenant_config(matches)?,
            query: crate::query::query_config(matches)?,
            self_scrape: matches.switch("self-scrape"),
            data_dir,
        })
    }
}

/// Runs until a signal comes.
pub async fn run(matches: &Matches) -> Result<()> {
    let config = Config::from_flags(matches)?;
    let mut node = Node::bind_quick("standalone", matches, HttpMetricsConfig::default()).await?;
    let write_http = HttpServer::bind("remote-write.address", matches.text("remote-write.address")).await?;
    let write_address = write_http.local_addr()?;
    tracing::info!(component = "remote-write", address = %write_address, "listening");

    let bucket = match bucket::from_flags(matches, &mut node)? {
        Some(bucket) => bucket,
        None => bucket::folder(&config.data_dir.join("bucket"), &mut node)?,
    };
    let facts = page_facts(&config, &node, write_address, bucket.name())?;
    let (instance, page_url) = (facts.query.to_string(), facts.url());
    let ingester = open_ingester(&config, &mut node, &bucket).await?;
    let gateway = new_gateway(&config, &mut node, bucket);

    let store = proxy(vec![
        ("ingester".to_string(), Arc::clone(&ingester) as Arc<dyn Store>),
        ("bucket".to_string(), Arc::clone(&gateway) as Arc<dyn Store>),
    ]);
    let query_metrics = QueryMetrics::new(&mut node.registry);
    let query = QueryService::new(config.query, Arc::clone(&store), Arc::clone(&node.env.clock), query_metrics);
    let writer: Arc<dyn WriteStore> = Arc::clone(&ingester) as _;
    let router_metrics = RouterMetrics::new(&mut node.registry);
    // Nothing is replicated here, but alerts use the metrics.
    drop(ReplicationMetrics::new(&mut node.registry));
    let deps = RouterDeps { store: Arc::clone(&writer), metrics: router_metrics, clock: Arc::clone(&node.env.clock) };
    let write_routes = WriteRouter::new(config.router, deps)?.routes(&node.http_metrics);

    run_ingester(&mut node, &ingester);
    run_gateway(&mut node, &ingester, &gateway);
    let page = Page::new(facts, Arc::clone(&ingester), gateway, Arc::clone(&node.env.clock));
    let api = node.http_metrics.instrument_each(handler_of, query.router()).merge(page.router());
    let mut services = RoutesBuilder::default();
    thanoxide_storeapi::add_store(&mut services, store);
    thanoxide_storeapi::add_write_store(&mut services, Arc::clone(&writer), None);

    node.group.add("remote-write", move |shutdown| write_http.serve(write_routes, shutdown, STOP_DEADLINE));
    let (clock, self_scrape) = (Arc::clone(&node.env.clock), config.self_scrape);
    let scraper = Scraper::default();
    if self_scrape {
        scraper.add(&mut node);
    }
    node.probe.set_ready();
    tracing::info!(page = page_url, "standalone is ready");
    node.serve(api, services, |metrics| scraper.start(SelfScrape::new(metrics.clone(), &instance, writer, clock))).await
}

fn page_facts(config: &Config, node: &Node, write: SocketAddr, bucket: &str) -> Result<PageFacts> {
    Ok(PageFacts {
        write,
        query: node.http_addr()?,
        grpc: node.grpc_addr()?,
        data_dir: std::path::absolute(&config.data_dir).context("--data-dir")?,
        bucket: bucket.to_string(),
        block_duration_ms: config.ingester.block_duration_ms,
        tenant_header: config.router.tenant_header.clone(),
        default_tenant: config.router.default_tenant.clone(),
    })
}

/// Hands the scraper over once the registry is whole.
#[derive(Default)]
struct Scraper {
    slot: Arc<std::sync::Mutex<Option<SelfScrape>>>,
}

impl Scraper {
    fn add(&self, node: &mut Node) {
        let slot = Arc::clone(&self.slot);
        node.group.add("self-scrape", move |shutdown: Shutdown| async move {
            let scrape = slot.lock().ok().and_then(|mut slot| slot.take());
            match scrape {
                Some(scrape) => scrape.run(shutdown).await,
                None => {
                    shutdown.requested().await;
                    Ok(())
                }
            }
        });
    }

    fn start(&self, scrape: SelfScrape) {
        if let Ok(mut slot) = self.slot.lock() {
            *slot = Some(scrape);
        }
    }
}

async fn open_ingester(config: &Config, node: &mut Node, bucket: &Arc<dyn Bucket>) -> Result<Arc<Ingester>> {
    let deps = IngesterDeps {
        env: node.env.clone(),
        bucket: Some(Arc::clone(bucket)),
        metrics: IngesterMetrics::new(&mut node.registry),
    };
    receive::open(config.ingester.clone(), deps).await
}

fn new_gateway(config: &Config, node: &mut Node, bucket: Arc<dyn Bucket>) -> Arc<BucketStore> {
    let config = StoreConfig::new(config.data_dir.join("store"));
    Arc::new(BucketStore::new(config, node.env.clone(), bucket, &mut node.registry))
}

fn run_ingester(node: &mut Node, ingester: &Arc<Ingester>) {
    let ingester = Arc::clone(ingester);
    node.group.add("ingester", move |shutdown| ingester.run(shutdown));
}

/// The gateway looks at the bucket now and then, and at once when the ingester has brought something there.
fn run_gateway(node: &mut Node, ingester: &Arc<Ingester>, gateway: &Arc<BucketStore>) {
    let (mut shipped, on_shipped) = (ingester.watch_shipped(), Arc::clone(gateway));
    node.group.add("gateway-refresh", move |shutdown: Shutdown| async move {
        loop {
            tokio::select! {
                () = shutdown.requested() => return Ok::<_, std::convert::Infallible>(()),
                changed = shipped.changed() => {
                    if changed.is_err() {
                        shutdown.requested().await;
                        return Ok(());
                    }
                    if let Err(error) = on_shipped.sync_now().await {
                        tracing::warn!(%error, "gateway could not look at the bucket, will try again");
                    }
                }
            }
        }
    });
    let gateway = Arc::clone(gateway);
    node.group.add("gateway", move |shutdown| async move { gateway.run(shutdown).await });
}

/// A name that a flag gives to a tenant.
pub(crate) fn tenant_of(matches: &Matches, flag: &str) -> Result<TenantId> {
    TenantId::new(matches.text(flag)).with_context(|| format!("--{flag}"))
}
