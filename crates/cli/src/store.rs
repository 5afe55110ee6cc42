//! `thanoxide store`: the StoreAPI over the blocks of a bucket.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use thanoxide_flags::Matches;
use thanoxide_server::grpc::RoutesBuilder;
use thanoxide_server::http::Router;
use thanoxide_store::{BucketStore, StoreConfig};
use thanoxide_storeapi::Store;

use crate::bucket;
use crate::node::Node;

/// Runs until a signal comes.
pub async fn run(matches: &Matches) -> Result<()> {
    let config = StoreConfig {
        sync_interval: matches.duration("sync-block-duration"),
        ..StoreConfig::new(PathBuf::from(matches.text("data-dir")))
    };
    let mut node = Node::bind("store", matches, true).await?;
    let bucket = bucket::from_flags(matches, &mut node)?;
    let bucket = bucket.context("one of --objstore.config and --objstore.config-file is required")?;
    let gateway = Arc::new(BucketStore::new(config, node.env.clone(), bucket, &mut node.registry));
    gateway.sync_now().await.context("initial look at the bucket")?;

    let mut services = RoutesBuilder::default();
    thanoxide_storeapi::add_store(&mut services, Arc::clone(&gateway) as Arc<dyn Store>);
    node.group.add("gateway", move |shutdown| async move { gateway.run(shutdown).await });
    node.probe.set_ready();
    node.serve(Router::new(), services, |_| ()).await
}
