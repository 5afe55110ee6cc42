//! `thanoxide query`: Prometheus's HTTP API over the StoreAPI of other components.

use std::sync::Arc;

use anyhow::{Context, Result};
use thanoxide_flags::Matches;
use thanoxide_query::api::handler_of;
use thanoxide_query::features::Meaning;
use thanoxide_query::{Features, QueryConfig, QueryMetrics, QueryService};
use thanoxide_server::grpc::RoutesBuilder;
use thanoxide_server::{HttpMetricsConfig, Shutdown};
use thanoxide_storeapi::{
    ClientConfig, ClientMetrics, CountedStore, EndpointWatch, MeasuredStore, ProxyConfig, ProxyStore, RemoteStore,
    Store, StoreServerMetrics, WatchConfig, WatchedEndpoint,
};

use crate::intake::ST_STORAGE;
use crate::node::Node;
use crate::tls;

/// The querier's part of the flags.
pub(crate) fn query_config(matches: &Matches) -> Result<QueryConfig> {
    let lookback_ms = matches.duration_ms("query.lookback-delta");
    let partial = |flag| matches.command() != "query" || matches.switch(flag);
    let defaults = QueryConfig::default();
    Ok(QueryConfig {
        replica_labels: matches.texts("query.replica-label"),
        chain_replicas: matches.command() == "query" && matches.text("deduplication.func") == "chain",
        timeout: matches.duration("query.timeout"),
        lookback_ms: if lookback_ms > 0 { lookback_ms } else { defaults.lookback_ms },
        max_concurrent: usize::try_from(matches.int("query.max-concurrent")).context("--query.max-concurrent")?,
        exemplar_partial_response: partial("exemplar.partial-response"),
        metadata_partial_response: partial("metric-metadata.partial-response"),
        features: features(matches),
        flags: matches.all_texts(),
        ..defaults
    })
}

/// Unknown names are told of and passed over, as in stock.
fn features(matches: &Matches) -> Features {
    let mut features = Features::default();
    for option in feature_names(matches) {
        match features.enable(&option) {
            _ if option == ST_STORAGE && matches.command() == "standalone" => {
                tracing::info!(option, "start times of samples are stored");
            }
            Meaning::Enabled => tracing::info!(option, "experimental feature enabled"),
            Meaning::Past => tracing::warn!(option, "This option for --enable-feature is now a no-op."),
            Meaning::Unknown => tracing::warn!(option, "Unknown option for --enable-feature"),
        }
    }
    features
}

/// The names given to `--enable-feature`.
pub(crate) fn feature_names(matches: &Matches) -> impl Iterator<Item = String> {
    let texts = matches.texts("enable-feature").into_iter();
    texts.flat_map(|names| names.split(',').map(str::to_string).collect::<Vec<_>>())
}

/// The clients of all endpoints, those that must take part marked.
fn endpoints(matches: &Matches) -> Result<Vec<WatchedEndpoint>> {
    let snappy = matches.text("grpc-compression") == "snappy";
    let client = ClientConfig { snappy, tls: tls::grpc_client(matches)?, ..ClientConfig::default() };
    let mut endpoints = Vec::new();
    for (flag, is_strict) in [("endpoint", false), ("endpoint-strict", true)] {
        for name in matches.texts(flag) {
            let store = RemoteStore::connect(&name, &client);
            let store = Arc::new(store.with_context(|| format!("--{flag}={name}"))?);
            endpoints.push(WatchedEndpoint { name, store, is_strict });
        }
    }
    Ok(endpoints)
}

/// Runs until a signal comes.
pub async fn run(matches: &Matches) -> Result<()> {
    let config = query_config(matches)?;
    let endpoints = endpoints(matches)?;
    let mut node = Node::bind("query", matches, HttpMetricsConfig::default()).await?;
    let response_timeout = Some(matches.duration("store.response-timeout")).filter(|d| !d.is_zero());
    let proxy = ProxyConfig { component: "query".to_string(), response_timeout };
    let proxy = Arc::new(ProxyStore::new(proxy, Vec::new()));
    let watch = WatchConfig {
        info_timeout: matches.duration("endpoint.info-timeout"),
        unhealthy_timeout: matches.duration("store.unhealthy-timeout"),
        ..WatchConfig::default()
    };
    let client_metrics = ClientMetrics::new(&mut node.registry, Arc::clone(&node.env.clock));
    let counted = |endpoint: WatchedEndpoint| {
        let store = Arc::new(CountedStore::new(endpoint.store, client_metrics.clone()));
        WatchedEndpoint { store, ..endpoint }
    };
    let endpoints = endpoints.into_iter().map(counted).collect();
    let mut watch = EndpointWatch::new(watch, endpoints, Arc::clone(&proxy), Arc::clone(&node.env.clock));
    let metrics = QueryMetrics::new(&mut node.registry);
    let store: Arc<dyn Store> = proxy;
    let query = QueryService::new(config, Arc::clone(&store), Arc::clone(&node.env.clock), metrics);
    let mut services = RoutesBuilder::default();
    let measured = MeasuredStore::new(store, StoreServerMetrics::new(&mut node.registry));
    thanoxide_storeapi::add_store(&mut services, Arc::new(measured));
    let api = node.http_metrics.instrument_each(handler_of, query.router());
    let probe = node.probe.clone();
    node.group.add("endpoints", move |shutdown: Shutdown| async move {
        let rounds = async {
            watch.update().await;
            // Before the first round nobody is known, and every answer would be empty.
            probe.set_ready();
            watch.run().await;
        };
        tokio::select! {
            () = rounds => {}
            () = shutdown.requested() => {}
        }
        anyhow::Ok(())
    });
    node.serve(api, services, |_| ()).await
}
