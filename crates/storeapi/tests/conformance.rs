//! The suite holds for the store in memory, through gRPC, and through the proxy.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use thanoxide_storeapi::conformance::{Dataset, run};
use thanoxide_storeapi::{
    ClientConfig, LabelNamesRequest, LabelValuesRequest, LabelsAnswer, MemoryStore, ProxyConfig, ProxyEndpoint,
    ProxyStore, RemoteStore, SeriesRequest, SeriesStream, Store, StoreError, StoreInfo, grpc_server,
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

fn memory(data: &Dataset) -> MemoryStore {
    MemoryStore::new("test", data.external.clone(), data.chunked())
}

fn proxy(endpoints: Vec<ProxyEndpoint>) -> ProxyStore {
    let config = ProxyConfig { component: "query".into(), response_timeout: Some(Duration::from_secs(10)) };
    ProxyStore::new(config, endpoints)
}

/// Serves a store on a free port; gives the address.
async fn serve(store: impl Store + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let routes = grpc_server(Arc::new(store)).routes();
    let server = Server::builder().add_routes(routes).serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(server);
    address
}

/// A store that knows neither shards nor replica labels, as old ones do.
#[derive(Debug)]
struct Plain(MemoryStore);

#[async_trait]
impl Store for Plain {
    async fn info(&self) -> Result<StoreInfo, StoreError> {
        let info = self.0.info().await?;
        Ok(StoreInfo { supports_sharding: false, supports_without_replica_labels: false, ..info })
    }

    async fn series(&self, mut request: SeriesRequest) -> Result<SeriesStream, StoreError> {
        request.shard = None;
        request.without_replica_labels.clear();
        self.0.series(request).await
    }

    async fn label_names(&self, mut request: LabelNamesRequest) -> Result<LabelsAnswer, StoreError> {
        request.without_replica_labels.clear();
        request.limit = 0;
        self.0.label_names(request).await
    }

    async fn label_values(&self, mut request: LabelValuesRequest) -> Result<LabelsAnswer, StoreError> {
        request.without_replica_labels.clear();
        self.0.label_values(request).await
    }
}

#[tokio::test]
async fn in_memory() {
    let data = Dataset::standard();
    run(&memory(&data), &data).await.unwrap();
}

#[tokio::test]
async fn through_grpc() {
    let data = Dataset::standard();
    let address = serve(memory(&data)).await;
    for snappy in [false, true] {
        let config = ClientConfig { snappy, ..ClientConfig::default() };
        let store = RemoteStore::connect(&address, &config).unwrap();
        run(&store, &data).await.unwrap();
    }
}

#[tokio::test]
async fn through_a_proxy_over_parts() {
    let data = Dataset::standard();
    // Every series is in two stores, one of them remote; all of them are cut into three.
    let chunked = data.chunked();
    let mut endpoints = Vec::new();
    for part in 0..3 {
        let series: Vec<_> =
            chunked.iter().enumerate().filter(|(i, _)| i % 3 != part).map(|(_, s)| s.clone()).collect();
        let store = MemoryStore::new("test", data.external.clone(), series);
        let store: Arc<dyn Store> = if part == 0 {
            Arc::new(RemoteStore::connect(&serve(store).await, &ClientConfig::default()).unwrap())
        } else {
            Arc::new(store)
        };
        endpoints.push(ProxyEndpoint::local(&format!("part-{part}"), store));
    }
    run(&proxy(endpoints), &data).await.unwrap();
}

#[tokio::test]
async fn through_a_proxy_over_plain_stores() {
    let data = Dataset::standard();
    let store: Arc<dyn Store> = Arc::new(Plain(memory(&data)));
    run(&proxy(vec![ProxyEndpoint::local("plain", store)]), &data).await.unwrap();
}

#[tokio::test]
async fn through_grpc_to_a_proxy() {
    let data = Dataset::standard();
    let inner = proxy(vec![ProxyEndpoint::local("inner", Arc::new(memory(&data)))]);
    let store = RemoteStore::connect(&serve(inner).await, &ClientConfig::default()).unwrap();
    run(&store, &data).await.unwrap();
}
