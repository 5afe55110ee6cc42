//! What the page tells of the program, as JSON. Lists are cut to what a page can show; totals are of all.

use std::cmp::Reverse;
use std::sync::Arc;

use serde_json::{Value, json};
use thanoxide_block::meta::Meta;
use thanoxide_ingester::TenantSummary;

/// The longest list of tenants or blocks.
const MAX_ROWS: usize = 200;

/// Tenants, those with the most series first.
pub(super) fn tenants(mut tenants: Vec<TenantSummary>) -> Value {
    tenants.sort_by_key(|t| Reverse(t.stats.series));
    json!({ "total": tenants.len(), "rows": tenants.iter().take(MAX_ROWS).map(tenant).collect::<Vec<_>>() })
}

fn tenant(tenant: &TenantSummary) -> Value {
    json!({
        "tenant": tenant.tenant.as_str(),
        "labels": tenant.labels.to_string(),
        "series": tenant.stats.series,
        "appended": tenant.stats.appended,
        "localBlocks": tenant.stats.blocks,
        "minTime": tenant.stats.times_ms.map(|times| times.0),
        "maxTime": tenant.stats.times_ms.map(|times| times.1),
    })
}

/// Blocks, the newest first.
pub(super) fn blocks(mut blocks: Vec<Arc<Meta>>) -> Value {
    blocks.sort_by_key(|meta| (Reverse(meta.max_time_ms()), meta.min_time_ms(), meta.tsdb.ulid));
    json!({ "total": blocks.len(), "rows": blocks.iter().take(MAX_ROWS).map(|meta| block(meta)).collect::<Vec<_>>() })
}

fn block(meta: &Meta) -> Value {
    let thanos = meta.thanos.as_ref();
    let files = thanos.map(|t| t.files.as_slice()).filter(|files| !files.is_empty());
    json!({
        "ulid": meta.tsdb.ulid.to_string(),
        "labels": meta.label_set().to_string(),
        "minTime": meta.min_time_ms(),
        "maxTime": meta.max_time_ms(),
        "series": meta.tsdb.stats.num_series,
        "samples": meta.tsdb.stats.num_samples,
        "bytes": files.map(|files| files.iter().fold(0u64, |sum, file| sum.saturating_add(file.size_bytes))),
        "resolution": thanos.map_or(0, |t| t.downsample.resolution_ms),
    })
}
