//! The bucket that the flags name.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use prometheus_client::registry::Registry;
use thanoxide_env::Clock;
use thanoxide_flags::Matches;
use thanoxide_objstore::{Bucket, BucketConfig, MetricsBucket};

use crate::node::Node;

/// The bucket of `--objstore.config` or `--objstore.config-file`; `None` where neither is given.
pub fn from_flags(matches: &Matches, node: &mut Node) -> Result<Option<Arc<dyn Bucket>>> {
    match matches.content("objstore.config")? {
        Some(yaml) => open(&yaml, &node.env.clock, &mut node.registry).map(Some),
        None => Ok(None),
    }
}

/// A bucket that is a folder.
pub fn folder(path: &Path, node: &mut Node) -> Result<Arc<dyn Bucket>> {
    let path = serde_json::to_string(&path.to_string_lossy()).context("cannot write a path as YAML")?;
    open(&format!("type: FILESYSTEM\nconfig:\n  directory: {path}\n"), &node.env.clock, &mut node.registry)
}

fn open(yaml: &str, clock: &Arc<dyn Clock>, registry: &mut Registry) -> Result<Arc<dyn Bucket>> {
    let config = BucketConfig::parse(yaml, |name| std::env::var(name).ok()).context("object storage configuration")?;
    let bucket = config.open().context("object storage configuration")?;
    Ok(Arc::new(MetricsBucket::new(bucket, Arc::clone(clock), registry)))
}
