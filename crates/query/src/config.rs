//! What can be configured of a querier.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::features::Features;

/// Plain data; every field has stock's default.
#[derive(Clone, Debug)]
pub struct QueryConfig {
    /// Labels that tell replicas apart; removed when deduplicating.
    pub replica_labels: Vec<String>,
    /// Whether deduplication takes all samples of all replicas (stock's `chain`) instead of one replica at a time (`penalty`).
    pub chain_replicas: bool,
    /// A query ends after this long.
    pub timeout: Duration,
    /// How far back an instant selector looks.
    pub lookback_ms: i64,
    /// Step of range queries that give none, at least.
    pub default_step_ms: i64,
    /// How many queries run at a time; more wait.
    pub max_concurrent: usize,
    /// How many bytes one query may hold; 0 is no limit.
    pub max_memory_bytes: usize,
    /// Whether a store that fails is a warning (true) or an error, unless the request says.
    pub partial_response: bool,
    /// The same of exemplars, for all requests.
    pub exemplar_partial_response: bool,
    /// The same of metadata, for all requests.
    pub metadata_partial_response: bool,
    /// What of PromQL is switched on that is experimental.
    pub features: Features,
    /// The flags of the process, for those who ask.
    pub flags: BTreeMap<String, String>,
}

impl Default for QueryConfig {
    fn default() -> Self {
        QueryConfig {
            replica_labels: Vec::new(),
            chain_replicas: false,
            timeout: Duration::from_secs(120),
            lookback_ms: 300_000,
            default_step_ms: 1_000,
            max_concurrent: 20,
            max_memory_bytes: 2 << 30,
            partial_response: true,
            exemplar_partial_response: true,
            metadata_partial_response: true,
            features: Features::default(),
            flags: BTreeMap::new(),
        }
    }
}
