//! `thanoxide query`: Prometheus's HTTP API over the StoreAPI of other components.

use std::sync::Arc;

use anyhow::{Context, Result};
use thanoxide_flags::Matches;
use thanoxide_query::{QueryConfig, QueryMetrics, QueryService};
use thanoxide_server::grpc::RoutesBuilder;
use thanoxide_storeapi::{ClientConfig, RemoteStore, Store};

use crate::node::Node;
use crate::stores::proxy;

/// The querier's part of the flags.
pub(crate) fn query_config(matches: &Matches) -> Result<QueryConfig> {
    let lookback_ms = matches.duration_ms("query.lookback-delta");
    let defaults = QueryConfig::default();
    Ok(QueryConfig {
        replica_labels: matches.texts("query.replica-label"),
        timeout: matches.duration("query.timeout"),
        lookback_ms: if lookback_ms > 0 { lookback_ms } else { defaults.lookback_ms },
        max_concurrent: usize::try_from(matches.int("query.max-concurrent")).context("--query.max-concurrent")?,
        ..defaults
    })
}

/// Runs until a signal comes.
pub async fn run(matches: &Matches) -> Result<()> {
    let config = query_config(matches)?;
    let endpoints = matches.texts("endpoint");
    let mut stores: Vec<(String, Arc<dyn Store>)> = Vec::new();
    for endpoint in endpoints {
        let store = RemoteStore::connect(&endpoint, &ClientConfig::default());
        let store = store.with_context(|| format!("--endpoint={endpoint}"))?;
        stores.push((endpoint, Arc::new(store)));
    }
    let mut node = Node::bind("query", matches, true).await?;
    let store = proxy(stores);
    let metrics = QueryMetrics::new(&mut node.registry);
    let query = QueryService::new(config, Arc::clone(&store), Arc::clone(&node.env.clock), metrics);
    let mut services = RoutesBuilder::default();
    thanoxide_storeapi::add_store(&mut services, store);
    let api = node.http_metrics.instrument("query", query.router());
    node.probe.set_ready();
    node.serve(api, services, |_| ()).await
}
