//! `thanoxide store`: the StoreAPI over the blocks of a bucket.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use thanoxide_block::{FetcherConfig, TimeBound};
use thanoxide_flags::Matches;
use thanoxide_server::HttpMetricsConfig;
use thanoxide_server::grpc::RoutesBuilder;
use thanoxide_server::http::Router;
use thanoxide_store::{BucketStore, StoreConfig};
use thanoxide_storeapi::{MeasuredStore, Store, StoreServerMetrics};

use crate::bucket;
use crate::node::Node;

fn count(matches: &Matches, flag: &str) -> Result<usize> {
    usize::try_from(matches.int(flag)).with_context(|| format!("--{flag}"))
}

fn time_bound(matches: &Matches, flag: &str) -> TimeBound {
    matches.fixed_or_relative_ms(flag).map_or_else(TimeBound::Relative, TimeBound::Absolute)
}

fn config(matches: &Matches) -> Result<StoreConfig> {
    let fetcher = FetcherConfig {
        concurrency: count(matches, "block-meta-fetch-concurrency")?,
        min_time: time_bound(matches, "min-time"),
        max_time: time_bound(matches, "max-time"),
        consistency_delay_ms: matches.duration_ms("consistency-delay"),
        ignore_deletion_marks_delay_ms: matches.duration_ms("ignore-deletion-marks-delay"),
        ..FetcherConfig::default()
    };
    Ok(StoreConfig {
        sync_interval: matches.duration("sync-block-duration"),
        sync_concurrency: count(matches, "block-sync-concurrency")?,
        fetcher,
        series_concurrency: count(matches, "store.grpc.series-max-concurrency")?,
        series_limit: matches.uint("store.limits.request-series"),
        samples_limit: matches.uint("store.limits.request-samples"),
        request_bytes_limit: matches.bytes("store.grpc.downloaded-bytes-limit"),
        ..StoreConfig::new(PathBuf::from(matches.text("data-dir")))
    })
}

/// Runs until a signal comes.
pub async fn run(matches: &Matches) -> Result<()> {
    let config = config(matches)?;
    let mut node = Node::bind("store", matches, HttpMetricsConfig::default()).await?;
    let bucket = bucket::from_flags(matches, &mut node)?;
    let bucket = bucket.context("one of --objstore.config and --objstore.config-file is required")?;
    let gateway = Arc::new(BucketStore::new(config, node.env.clone(), bucket, &mut node.registry));
    gateway.sync_now().await.context("initial look at the bucket")?;

    let mut services = RoutesBuilder::default();
    let metrics = StoreServerMetrics::new(&mut node.registry);
    let measured = MeasuredStore::new(Arc::clone(&gateway) as Arc<dyn Store>, metrics);
    thanoxide_storeapi::add_store(&mut services, Arc::new(measured));
    node.group.add("gateway", move |shutdown| async move { gateway.run(shutdown).await });
    node.probe.set_ready();
    node.serve(Router::new(), services, |_| ()).await
}
