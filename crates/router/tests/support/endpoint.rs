//! A router on a free port, with a store that keeps what it is given.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use prometheus_client::registry::Registry;
use thanoxide_env::SystemClock;
use thanoxide_model::{TenantId, WriteBatch};
use thanoxide_router::{Router, RouterConfig, RouterDeps, RouterMetrics};
use thanoxide_server::exposition::ExpositionFormat;
use thanoxide_server::{HttpMetrics, HttpMetricsConfig, HttpServer, Metrics, Shutdown, TenantHeader};
use thanoxide_storeapi::{WriteError, WriteOutcome, WriteStore};

/// Keeps batches and answers what it is told to.
#[derive(Debug)]
pub(crate) struct MemoryStore {
    pub(crate) batches: Mutex<Vec<(String, Arc<WriteBatch>)>>,
    pub(crate) answer: Mutex<Result<WriteOutcome, WriteError>>,
}

#[async_trait]
impl WriteStore for MemoryStore {
    async fn write(&self, tenant: &TenantId, batch: Arc<WriteBatch>) -> Result<WriteOutcome, WriteError> {
        self.batches.lock().unwrap().push((tenant.to_string(), batch));
        self.answer.lock().unwrap().clone()
    }
}

pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) client: reqwest::Client,
    pub(crate) metrics: Metrics,
    shutdown: Shutdown,
}

impl Endpoint {
    pub(crate) async fn start(config: RouterConfig) -> Self {
        let store =
            Arc::new(MemoryStore { batches: Mutex::default(), answer: Mutex::new(Ok(WriteOutcome::default())) });
        let mut registry = Registry::default();
        let metrics = RouterMetrics::new(&mut registry);
        let tenants = TenantHeader::new(&config.tenant_header, &config.default_tenant).unwrap();
        let http = HttpMetrics::new(
            &mut registry,
            HttpMetricsConfig { tenants: Some(tenants), ..HttpMetricsConfig::default() },
            Arc::new(SystemClock::default()),
        );
        let clock = Arc::new(SystemClock::default());
        let deps = RouterDeps { store: Arc::clone(&store) as Arc<dyn WriteStore>, metrics, clock };
        let routes = Router::new(config, deps).unwrap().routes(&http);
        let server = HttpServer::bind("remote-write.address", "127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let shutdown = Shutdown::new();
        tokio::spawn(server.serve(routes, shutdown.clone(), Duration::ZERO));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Endpoint { address, store, client, metrics: Metrics::new(registry), shutdown }
    }

    pub(crate) fn request(&self, body: Vec<u8>) -> reqwest::RequestBuilder {
        let request = self.client.post(format!("http://{}/api/v1/receive", self.address));
        request.header("Content-Encoding", "snappy").header("Content-Type", "application/x-protobuf").body(body)
    }

    /// Status and text of the answer.
    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> (u16, String) {
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    pub(crate) fn taken(&self) -> Vec<(String, Arc<WriteBatch>)> {
        std::mem::take(&mut self.store.batches.lock().unwrap())
    }

    pub(crate) fn metrics_text(&self) -> String {
        self.metrics.encode(ExpositionFormat::Text).unwrap()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.shutdown.request();
    }
}

pub(crate) fn compress(raw: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(raw).unwrap()
}
