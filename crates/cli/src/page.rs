//! The page at `/`: what runs, what is stored, a query box, and the snippets to paste.
//!
//! The page is static; its data come as JSON from `/page/status` and `/api/v1/query_range`, and its script puts them into
//! text nodes only. The content security policy forbids everything but our own files, so a metric name that holds markup
//! stays a name.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use thanoxide_env::Clock;
use thanoxide_ingester::Ingester;
use thanoxide_server::http::{IntoResponse, Json, Response, Router, get, header};
use thanoxide_store::BucketStore;

const HTML: &str = include_str!("../assets/page.html");
const SCRIPT: &str = include_str!("../assets/page.js");
const STYLE: &str = include_str!("../assets/page.css");

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Where the program listens.
#[derive(Clone, Copy, Debug)]
pub struct PageAddresses {
    /// For remote write.
    pub write: SocketAddr,
    /// For queries.
    pub query: SocketAddr,
}

/// The page and its data.
#[derive(Debug)]
pub struct Page {
    addresses: PageAddresses,
    ingester: Arc<Ingester>,
    gateway: Arc<BucketStore>,
    clock: Arc<dyn Clock>,
    started_ms: i64,
}

impl Page {
    /// A page about an ingester and a gateway.
    pub fn new(
        addresses: PageAddresses,
        ingester: Arc<Ingester>,
        gateway: Arc<BucketStore>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let started_ms = clock.now_ms();
        Arc::new(Page { addresses, ingester, gateway, clock, started_ms })
    }

    /// The routes: `/` and what it loads.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/", get(async || asset("text/html; charset=utf-8", HTML)))
            .route("/page/page.js", get(async || asset("text/javascript; charset=utf-8", SCRIPT)))
            .route("/page/page.css", get(async || asset("text/css; charset=utf-8", STYLE)))
            .route("/page/status", get(async move || Json(self.status())))
    }

    fn status(&self) -> Value {
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "now": self.clock.now_ms(),
            "started": self.started_ms,
            "dataDir": self.ingester.dir().to_string_lossy(),
            "writeUrl": format!("http://{}/api/v1/receive", self.addresses.write),
            "queryUrl": format!("http://{}", self.addresses.query),
            "tenants": self.tenants(),
            "blocks": self.blocks(),
        })
    }

    fn tenants(&self) -> Vec<Value> {
        let tenant = |t: thanoxide_ingester::TenantSummary| {
            json!({
                "tenant": t.tenant.as_str(),
                "labels": t.labels.to_string(),
                "series": t.stats.series,
                "chunks": t.stats.chunks,
                "appended": t.stats.appended,
                "localBlocks": t.stats.blocks,
                "minTime": t.stats.times_ms.map(|times| times.0),
                "maxTime": t.stats.times_ms.map(|times| times.1),
            })
        };
        self.ingester.tenants().into_iter().map(tenant).collect()
    }

    fn blocks(&self) -> Vec<Value> {
        let block = |meta: Arc<thanoxide_block::meta::Meta>| {
            json!({
                "ulid": meta.tsdb.ulid.to_string(),
                "labels": meta.label_set().to_string(),
                "minTime": meta.min_time_ms(),
                "maxTime": meta.max_time_ms(),
                "series": meta.tsdb.stats.num_series,
                "samples": meta.tsdb.stats.num_samples,
                "level": meta.tsdb.compaction.level,
            })
        };
        self.gateway.blocks().into_iter().map(block).collect()
    }
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}
