//! What can be set.

use thanoxide_env::Env;

use super::EngineError;
use crate::head::late::LATE_CHUNK_SAMPLES;
use crate::head::{AppendLimits, LateLimits};

/// What can be set for all tenants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineOptions {
    /// The longest that a chunk may span, twice the age up to which samples in order are taken, and the time that a block of late samples
    /// spans.
    pub block_duration_ms: i64,
    /// The time that a block of samples in order spans: a multiple of `block_duration_ms`, which `None` stands for.
    pub cut_duration_ms: Option<i64>,
    /// Samples further ahead of the clock than this are not taken; `None` takes all.
    pub too_far_in_future_ms: Option<i64>,
    /// How much older than the newest sample of its tenant a sample out of order may be; 0 takes none.
    pub out_of_order_window_ms: i64,
    /// How many samples out of order make a chunk: 1 to 255.
    pub out_of_order_chunk_samples: usize,
    /// How many exemplars each tenant keeps; 0 keeps none.
    pub max_exemplars: usize,
    /// Blocks that end longer ago than this, and that the caller can spare, are removed; `None` keeps all.
    pub retention_ms: Option<i64>,
    /// The room that blocks, log and chunk files may take together; beyond it each tenant gives up its share, oldest blocks first. `None` is
    /// no limit.
    pub retention_bytes: Option<u64>,
    /// Whether the start times of samples in order are kept, as with Prometheus's feature `st-storage`: chunks get the
    /// encodings 4 to 6.
    pub store_start_times: bool,
    /// Bytes in a segment of the log, and the least tail of it that is worth a snapshot.
    pub segment_bytes: u64,
    /// Whether a commit waits for the disk. Without, a crash of the machine loses what was acknowledged last.
    pub sync_commits: bool,
    /// With less room than this on the disk nothing is taken; 0 does not look.
    pub min_free_bytes: u64,
    /// Memory of the process. From nine tenths of it on new series are refused as beyond a limit, and a little later heads
    /// are cut early. `None` is no limit.
    pub memory_limit_bytes: Option<u64>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        EngineOptions {
            block_duration_ms: 2 * 3_600_000,
            cut_duration_ms: None,
            too_far_in_future_ms: None,
            out_of_order_window_ms: 0,
            out_of_order_chunk_samples: LATE_CHUNK_SAMPLES,
            max_exemplars: 0,
            retention_ms: None,
            retention_bytes: None,
            store_start_times: false,
            segment_bytes: 128 * 1024 * 1024,
            sync_commits: true,
            min_free_bytes: 16 * 1024 * 1024,
            memory_limit_bytes: None,
        }
    }
}

impl EngineOptions {
    /// The time that a block cut from a head spans.
    pub fn cut_ms(&self) -> i64 {
        self.cut_duration_ms.unwrap_or(self.block_duration_ms)
    }

    pub(super) fn check(&self) -> Result<(), EngineError> {
        let refuse = |text: &str| Err(EngineError::InvalidOption(text.to_string()));
        if self.block_duration_ms < 1000 {
            return refuse("the block duration must be at least 1s");
        }
        if self.cut_ms() < self.block_duration_ms || self.cut_ms() % self.block_duration_ms != 0 {
            return refuse("what is cut at once must be a multiple of the block duration");
        }
        if self.out_of_order_window_ms < 0 {
            return refuse("the out-of-order time window must not be negative");
        }
        if !(1..=255).contains(&self.out_of_order_chunk_samples) {
            return refuse("the out-of-order chunk capacity must be between 1 and 255");
        }
        if self.segment_bytes < 32 * 1024 || !self.segment_bytes.is_multiple_of(32 * 1024) {
            return refuse("the segment size of the log must be a multiple of 32 KiB");
        }
        Ok(())
    }

    pub(super) fn limits(&self, options: &AppendOptions, env: &Env) -> AppendLimits {
        let ahead_ms = self.too_far_in_future_ms.map(|ahead_ms| env.clock.now_ms().saturating_add(ahead_ms));
        AppendLimits {
            max_time_ms: ahead_ms.unwrap_or(i64::MAX),
            max_series: options.max_series.unwrap_or(u32::MAX as usize),
            late: self.late_limits(options.out_of_order),
            keep_starts: self.store_start_times,
        }
    }

    fn late_limits(&self, out_of_order: OutOfOrder) -> LateLimits {
        let window_ms = match out_of_order {
            OutOfOrder::AsSet | OutOfOrder::Refuse => self.out_of_order_window_ms,
            OutOfOrder::Window { window_ms } => window_ms.max(0),
            OutOfOrder::CatchUp => i64::MAX,
        };
        LateLimits { window_ms, refuse: out_of_order == OutOfOrder::Refuse }
    }
}

/// What can be set for one append.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AppendOptions {
    /// The most series that the tenant's head may have; more are not taken.
    pub max_series: Option<usize>,
    /// What becomes of samples that are not newer than their series.
    pub out_of_order: OutOfOrder,
}

/// What becomes of samples that are not newer than their series, or older than what a head takes in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutOfOrder {
    /// The engine's window decides.
    #[default]
    AsSet,
    /// The tenant has a window of its own; 0 takes none.
    Window {
        /// How much older than the tenant's newest sample they may be.
        window_ms: i64,
    },
    /// The engine's window, but what is in it is refused as out of order.
    Refuse,
    /// They are taken however late they are: for a replica that catches up.
    CatchUp,
}
