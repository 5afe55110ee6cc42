//! Reading: the `Store` trait and its messages, in our own types.

use std::fmt::Debug;

use async_trait::async_trait;
use futures::stream::BoxStream;
use thanoxide_model::series::SelectHints;
use thanoxide_model::{Labels, Matcher};
use thanoxide_tsdb::chunk::Chunk;
use thiserror::Error;

use crate::exemplars::{ExemplarsAnswer, ExemplarsRequest};
use crate::metadata::{MetadataAnswer, MetadataRequest};

/// What a store may answer from for one sample's worth of a downsampled block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aggregate {
    /// The samples themselves.
    Raw,
    /// Number of samples in a window.
    Count,
    /// Their sum.
    Sum,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// The counter with resets applied.
    Counter,
}

/// What to do when a part of the answer cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum PartialResponse {
    /// Answer the rest and warn.
    #[default]
    Warn,
    /// Fail.
    Abort,
}

/// Answer only the series whose hash falls to this shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardInfo {
    /// This shard, from 0.
    pub index: u64,
    /// How many there are; 0 is no sharding.
    pub total: u64,
    /// Whether `labels` are those hashed (true) or those left out.
    pub by: bool,
    /// The labels of the hash.
    pub labels: Vec<String>,
}

impl ShardInfo {
    /// Whether a series (its final labels) falls to this shard: xxhash64 over `name 0xFF value 0xFF …` of the labels of
    /// the hash, modulo the number of shards.
    pub fn contains(&self, labels: &Labels) -> bool {
        if self.total == 0 {
            return true;
        }
        let named = |name: &[u8]| self.labels.iter().any(|l| l.as_bytes() == name);
        labels.filter(|name| named(name) == self.by).stable_hash() % self.total == self.index
    }
}

/// Which series are wanted.
#[derive(Clone, Debug, Default)]
pub struct SeriesRequest {
    /// Oldest time, inclusive.
    pub min_time_ms: i64,
    /// Newest time, inclusive.
    pub max_time_ms: i64,
    /// All must hold.
    pub matchers: Vec<Matcher>,
    /// Best resolution wanted; 0 is raw data only.
    pub max_resolution_ms: i64,
    /// Wanted aggregates of downsampled data.
    pub aggregates: Vec<Aggregate>,
    /// What to do about missing parts.
    pub partial_response: PartialResponse,
    /// Labels only.
    pub skip_chunks: bool,
    /// What the query does with the samples.
    pub hints: SelectHints,
    /// Only one shard of the series.
    pub shard: Option<ShardInfo>,
    /// These labels are removed before the answer is sorted.
    pub without_replica_labels: Vec<String>,
    /// At most so many series; 0 is all.
    pub limit: usize,
    /// Which blocks may answer, over the pseudo label `__block_id`; who has no blocks ignores it.
    pub block_matchers: Vec<Matcher>,
    /// Which endpoints of a proxy may answer, over the pseudo label `__address__`: any set will do, none is all. Not
    /// handed on.
    pub endpoint_matchers: Vec<Vec<Matcher>>,
}

/// One chunk of an answer: raw, or some aggregates of a downsampled one.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AggrChunk {
    /// First time.
    pub min_time_ms: i64,
    /// Last time, inclusive.
    pub max_time_ms: i64,
    /// The samples.
    pub raw: Option<Chunk>,
    /// What a downsampled chunk has in their place. Most chunks are raw, and many of them are moved about.
    pub aggregates: Option<Box<AggregateChunks>>,
}

/// The aggregates of a downsampled chunk, as far as they were asked for.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AggregateChunks {
    /// Counts.
    pub count: Option<Chunk>,
    /// Sums.
    pub sum: Option<Chunk>,
    /// Minima.
    pub min: Option<Chunk>,
    /// Maxima.
    pub max: Option<Chunk>,
    /// Counters.
    pub counter: Option<Chunk>,
}

impl AggrChunk {
    /// All parts that are there.
    pub fn parts(&self) -> impl Iterator<Item = &Chunk> {
        let aggregates = self.aggregates.iter().flat_map(|aggregates| aggregates.all());
        std::iter::once(&self.raw).chain(aggregates).flatten()
    }

    /// Bytes of all parts.
    pub fn data_bytes(&self) -> usize {
        match (&self.raw, &self.aggregates) {
            (Some(raw), None) => raw.data.len(),
            _ => self.parts().map(|c| c.data.len()).sum(),
        }
    }

    /// Its aggregates; those of a raw chunk are all absent.
    pub fn into_aggregates(self) -> AggregateChunks {
        self.aggregates.map(|aggregates| *aggregates).unwrap_or_default()
    }
}

impl AggregateChunks {
    /// As a chunk has them: none at all where all are absent.
    pub fn boxed(self) -> Option<Box<AggregateChunks>> {
        let is_any = self.all().into_iter().any(Option::is_some);
        is_any.then(|| Box::new(self))
    }

    /// Counts, sums, minima, maxima, counters.
    pub fn all(&self) -> [&Option<Chunk>; 5] {
        [&self.count, &self.sum, &self.min, &self.max, &self.counter]
    }
}

impl From<Chunk> for AggrChunk {
    fn from(raw: Chunk) -> Self {
        AggrChunk { min_time_ms: raw.min_time_ms, max_time_ms: raw.max_time_ms, raw: Some(raw), ..AggrChunk::default() }
    }
}

/// One series of an answer. A series may come in several pieces, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSeries {
    /// Its labels, external ones included, replica labels removed as asked.
    pub labels: Labels,
    /// Some of its chunks, in time order.
    pub chunks: Vec<AggrChunk>,
}

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum SeriesFrame {
    /// Some series, in order within and across frames.
    Series(Vec<StoreSeries>),
    /// The answer is incomplete.
    Warning(String),
}

/// An answer as it comes. Series are sorted by labels (after replica labels are removed).
pub type SeriesStream = BoxStream<'static, Result<SeriesFrame, StoreError>>;

/// Which label names are wanted.
#[derive(Clone, Debug, Default)]
pub struct LabelNamesRequest {
    /// Oldest time, inclusive.
    pub start_ms: i64,
    /// Newest time, inclusive.
    pub end_ms: i64,
    /// Only of series that satisfy all of these; none is all series.
    pub matchers: Vec<Matcher>,
    /// What to do about missing parts.
    pub partial_response: PartialResponse,
    /// Names that are left out.
    pub without_replica_labels: Vec<String>,
    /// At most so many; 0 is all.
    pub limit: usize,
    /// Which blocks may answer, over the pseudo label `__block_id`; who has no blocks ignores it.
    pub block_matchers: Vec<Matcher>,
    /// Which endpoints of a proxy may answer, over the pseudo label `__address__`: any set will do, none is all. Not
    /// handed on.
    pub endpoint_matchers: Vec<Vec<Matcher>>,
}

/// Which values of a label are wanted.
#[derive(Clone, Debug, Default)]
pub struct LabelValuesRequest {
    /// The label.
    pub label: String,
    /// Oldest time, inclusive.
    pub start_ms: i64,
    /// Newest time, inclusive.
    pub end_ms: i64,
    /// Only of series that satisfy all of these; none is all series.
    pub matchers: Vec<Matcher>,
    /// What to do about missing parts.
    pub partial_response: PartialResponse,
    /// Labels treated as absent.
    pub without_replica_labels: Vec<String>,
    /// At most so many; 0 is all.
    pub limit: usize,
    /// Which blocks may answer, over the pseudo label `__block_id`; who has no blocks ignores it.
    pub block_matchers: Vec<Matcher>,
    /// Which endpoints of a proxy may answer, over the pseudo label `__address__`: any set will do, none is all. Not
    /// handed on.
    pub endpoint_matchers: Vec<Vec<Matcher>>,
}

/// Sorted, distinct names or values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelsAnswer {
    /// Names or values.
    pub values: Vec<Vec<u8>>,
    /// What is missing.
    pub warnings: Vec<String>,
}

impl LabelsAnswer {
    /// What several know, each its sorted part; cut to `limit` unless that is 0.
    pub fn of(mut values: Vec<Vec<u8>>, limit: usize, warnings: Vec<String>) -> Self {
        // Runs that are in order are found by this sort, and merged.
        values.sort();
        values.dedup();
        values.truncate(if limit == 0 { usize::MAX } else { limit });
        LabelsAnswer { values, warnings }
    }
}

/// One storage behind a store: a tenant's TSDB, or the blocks of one external label set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TsdbInfo {
    /// Its external labels.
    pub labels: Labels,
    /// Oldest time.
    pub min_time_ms: i64,
    /// Newest time, inclusive.
    pub max_time_ms: i64,
}

/// What a store says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreInfo {
    /// `receive`, `store`, `query` … as in Thanos's `InfoResponse.ComponentType`.
    pub component: String,
    /// The external label sets of what it holds.
    pub label_sets: Vec<Labels>,
    /// Oldest time; `i64::MAX` where it holds nothing.
    pub min_time_ms: i64,
    /// Newest time, inclusive; `i64::MIN` where it holds nothing.
    pub max_time_ms: i64,
    /// The same, one by one.
    pub tsdb_infos: Vec<TsdbInfo>,
    /// Whether it filters by shard itself.
    pub supports_sharding: bool,
    /// Whether it removes replica labels and sorts afterwards itself.
    pub supports_without_replica_labels: bool,
    /// Oldest and newest time of its exemplars; `None` where it serves none.
    pub exemplars: Option<(i64, i64)>,
    /// Whether it tells what metrics are.
    pub metric_metadata: bool,
}

/// The oldest and the newest time.
pub const EVER_MS: (i64, i64) = (i64::MIN, i64::MAX);

impl StoreInfo {
    /// Of a store that has not answered yet: it may hold anything, and can do nothing special.
    pub fn unknown() -> Self {
        StoreInfo {
            component: String::new(),
            label_sets: Vec::new(),
            min_time_ms: i64::MIN,
            max_time_ms: i64::MAX,
            tsdb_infos: Vec::new(),
            supports_sharding: false,
            supports_without_replica_labels: false,
            exemplars: None,
            metric_metadata: false,
        }
    }
}

/// How somebody who is asked in turn is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointStatus {
    /// Its address.
    pub name: String,
    /// As in [`StoreInfo`]; empty as long as it has not answered.
    pub component: String,
    /// When it answered last; none is right now.
    pub last_check_ms: Option<i64>,
    /// Why it did not answer since.
    pub last_error: Option<String>,
    /// As in [`StoreInfo`].
    pub label_sets: Vec<Labels>,
    /// As in [`StoreInfo`].
    pub min_time_ms: i64,
    /// As in [`StoreInfo`].
    pub max_time_ms: i64,
}

impl EndpointStatus {
    /// Of an endpoint that has just said this of itself.
    pub fn new(name: &str, info: StoreInfo) -> Self {
        EndpointStatus {
            name: name.to_string(),
            component: info.component,
            last_check_ms: None,
            last_error: None,
            label_sets: info.label_sets,
            min_time_ms: info.min_time_ms,
            max_time_ms: info.max_time_ms,
        }
    }
}

/// Why a store could not answer; each is one gRPC status.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// The request makes no sense (`InvalidArgument`).
    #[error("{0}")]
    InvalidArgument(String),
    /// A limit was reached (`ResourceExhausted`).
    #[error("{0}")]
    Limit(String),
    /// Not now (`Unavailable`).
    #[error("{0}")]
    Unavailable(String),
    /// A part failed and the caller wanted all (`Aborted`).
    #[error("{0}")]
    Aborted(String),
    /// The caller went away (`Cancelled`).
    #[error("canceled")]
    Canceled,
    /// Time ran out (`DeadlineExceeded`).
    #[error("{0}")]
    Deadline(String),
    /// Anything else (`Internal`).
    #[error("{0}")]
    Internal(String),
}

/// Whoever can be asked for series.
///
/// Contract for implementers: external labels win over a series' own; series come sorted by labels *after*
/// `without_replica_labels` were removed; pieces of one series follow each other; chunks may reach beyond the asked
/// range; a mismatch of external labels is an empty answer, not an error.
#[async_trait]
pub trait Store: Send + Sync + Debug {
    /// What it holds and can do.
    async fn info(&self) -> Result<StoreInfo, StoreError>;

    /// Opens the series that satisfy the request.
    async fn series(&self, request: SeriesRequest) -> Result<SeriesStream, StoreError>;

    /// Names of labels.
    async fn label_names(&self, request: LabelNamesRequest) -> Result<LabelsAnswer, StoreError>;

    /// Values of a label.
    async fn label_values(&self, request: LabelValuesRequest) -> Result<LabelsAnswer, StoreError>;

    /// Exemplars of the series that a request wants; none where nothing of that kind is kept.
    async fn exemplars(&self, _request: ExemplarsRequest) -> Result<ExemplarsAnswer, StoreError> {
        Ok(ExemplarsAnswer::default())
    }

    /// What metrics are; nothing where that is not known.
    async fn metric_metadata(&self, _request: MetadataRequest) -> Result<MetadataAnswer, StoreError> {
        Ok(MetadataAnswer::default())
    }

    /// Those whom it asks in turn; empty where it asks nobody.
    async fn endpoint_statuses(&self) -> Vec<EndpointStatus> {
        Vec::new()
    }
}
