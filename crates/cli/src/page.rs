//! The page at `/`: what runs, what is stored, a query box, and the snippets to paste.
//!
//! The page is static; its data come as JSON from `/page/status` and `/api/v1/query_range`, and its script puts them into
//! text nodes only. The content security policy forbids everything but our own files, and the browser to make markup of
//! text at all, so a metric name that holds markup stays a name.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use thanoxide_env::Clock;
use thanoxide_ingester::Ingester;
use thanoxide_server::http::{IntoResponse, Json, Response, Router, get, header};
use thanoxide_store::BucketStore;

mod status;

/// What is served below `/`: path, media type, content.
const ASSETS: [(&str, &str, &str); 7] = [
    ("/", "text/html; charset=utf-8", include_str!("../assets/page.html")),
    ("/page/page.css", "text/css; charset=utf-8", include_str!("../assets/page.css")),
    ("/page/icon.svg", "image/svg+xml", include_str!("../assets/icon.svg")),
    ("/page/page.js", JAVASCRIPT, include_str!("../assets/page.js")),
    ("/page/query.js", JAVASCRIPT, include_str!("../assets/query.js")),
    ("/page/graph.js", JAVASCRIPT, include_str!("../assets/graph.js")),
    ("/page/text.js", JAVASCRIPT, include_str!("../assets/text.js")),
];
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// What the page says of the program and never changes.
#[derive(Clone, Debug)]
pub struct PageFacts {
    /// Where remote write is taken.
    pub write: SocketAddr,
    /// Where queries are answered.
    pub query: SocketAddr,
    /// Where the StoreAPI is served.
    pub grpc: SocketAddr,
    /// The directory of everything local.
    pub data_dir: PathBuf,
    /// How the bucket is called.
    pub bucket: String,
    /// The time that a block spans.
    pub block_duration_ms: i64,
    /// Header of a write request that names its tenant.
    pub tenant_header: String,
    /// Tenant of requests that name none.
    pub default_tenant: String,
}

impl PageFacts {
    /// Where a browser on this machine finds the page.
    pub fn url(&self) -> String {
        match self.query.ip().is_unspecified() {
            true => format!("http://localhost:{}/", self.query.port()),
            false => format!("http://{}/", self.query),
        }
    }
}

/// The page and its data.
#[derive(Debug)]
pub struct Page {
    facts: PageFacts,
    ingester: Arc<Ingester>,
    gateway: Arc<BucketStore>,
    clock: Arc<dyn Clock>,
    started_ms: i64,
}

impl Page {
    /// A page about an ingester and a gateway.
    pub fn new(
        facts: PageFacts,
        ingester: Arc<Ingester>,
        gateway: Arc<BucketStore>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let started_ms = clock.now_ms();
        Arc::new(Page { facts, ingester, gateway, clock, started_ms })
    }

    /// The routes: `/` and what it loads.
    pub fn router(self: Arc<Self>) -> Router {
        let assets = ASSETS
            .into_iter()
            .fold(Router::new(), |routes, (path, kind, text)| routes.route(path, get(async move || asset(kind, text))));
        assets.route("/page/status", get(async move || Json(self.status())))
    }

    fn status(&self) -> Value {
        let (facts, tenants) = (&self.facts, self.ingester.tenants());
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "now": self.clock.now_ms(),
            "started": self.started_ms,
            "dataDir": facts.data_dir.to_string_lossy(),
            "bucket": facts.bucket,
            "blockDuration": facts.block_duration_ms,
            "addresses": { "write": facts.write, "query": facts.query, "grpc": facts.grpc },
            "tenantHeader": facts.tenant_header,
            "defaultTenant": facts.default_tenant,
            "series": tenants.iter().map(|t| t.stats.series).sum::<usize>(),
            "tenants": status::tenants(tenants),
            "blocks": status::blocks(self.gateway.blocks()),
        })
    }
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}
