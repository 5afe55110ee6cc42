//! Several stores seen as one.

use std::sync::Arc;

use thanoxide_storeapi::{ProxyConfig, ProxyEndpoint, ProxyStore, Store};

/// A fan-out over stores, each with the name that warnings call it by.
pub fn proxy(stores: Vec<(String, Arc<dyn Store>)>) -> Arc<dyn Store> {
    let endpoints = stores.into_iter().map(|(name, store)| ProxyEndpoint::local(&name, store)).collect();
    let config = ProxyConfig { component: "query".to_string(), response_timeout: None };
    Arc::new(ProxyStore::new(config, endpoints))
}
