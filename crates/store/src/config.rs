//! What a store gateway is told.

use std::path::PathBuf;
use std::time::Duration;

use thanoxide_block::FetcherConfig;

/// Settings of a store gateway.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Where indexes are kept. Dirs of blocks that are not in the bucket are removed.
    pub data_dir: PathBuf,
    /// Time between two looks at the bucket.
    pub sync_interval: Duration,
    /// Blocks loaded at the same time.
    pub sync_concurrency: usize,
    /// Which blocks of the bucket are served.
    pub fetcher: FetcherConfig,
    /// `Series` calls at the same time; further ones wait.
    pub series_concurrency: usize,
    /// Series per request over all blocks; 0 is any number.
    pub series_limit: u64,
    /// Samples per request, counted as 120 per chunk; 0 is any number.
    pub samples_limit: u64,
    /// Bytes of index entries and chunks that one request may take; 0 is any number.
    pub request_bytes_limit: u64,
    /// Chunk bytes that one request holds at a time, about, over all blocks.
    pub batch_bytes: u64,
}

impl StoreConfig {
    /// Thanos's defaults.
    pub fn new(data_dir: PathBuf) -> Self {
        StoreConfig {
            data_dir,
            sync_interval: Duration::from_secs(15 * 60),
            sync_concurrency: 20,
            fetcher: FetcherConfig::default(),
            series_concurrency: 20,
            series_limit: 0,
            samples_limit: 0,
            request_bytes_limit: 0,
            batch_bytes: 64 << 20,
        }
    }
}
