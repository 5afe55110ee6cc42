//! The columnar series trait: the only door through which PromQL sees storage.
//!
//! A [`SeriesSource`] answers a selector with a stream of series sorted by labels. A series' samples stay encoded until
//! [`SeriesData::decode`] is called, so that an engine can decode in parallel, and a batch at a time.

use std::sync::Arc;

use thiserror::Error;

use crate::histogram::FloatHistogram;
use crate::labels::Labels;
use crate::matcher::Matcher;

/// What a selector wants, besides its matchers. Only the times bind; the rest is advice to the storage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SelectHints {
    /// Oldest sample of interest, inclusive.
    pub start_ms: i64,
    /// Newest sample of interest, inclusive.
    pub end_ms: i64,
    /// Step of the query, 0 for an instant query.
    pub step_ms: i64,
    /// The range of a range selector, 0 for an instant one.
    pub range_ms: i64,
    /// The innermost function or aggregation around the selector, empty where there is none.
    pub function: String,
    /// Labels of the innermost aggregation's clause.
    pub grouping: Vec<String>,
    /// Whether `grouping` is `by` (true) or `without`.
    pub by: bool,
    /// At most so many series are of interest; 0 is all.
    pub limit: usize,
    /// Besides the labels by which series differ, only these are of interest. A source that knows how may leave the others
    /// out: series are still one each and in the order of all their labels, and may have a label that nobody else has.
    pub projection: Option<Vec<String>>,
}

/// Why storage could not answer.
#[derive(Debug, Error, Clone)]
pub enum SourceError {
    /// The caller's limit was reached.
    #[error("{0}")]
    Limit(String),
    /// Time ran out.
    #[error("query timed out in {0}")]
    Timeout(String),
    /// The caller went away.
    #[error("query was canceled in {0}")]
    Canceled(String),
    /// Anything else, in words for the user.
    #[error("{0}")]
    Storage(String),
}

/// Storage as PromQL sees it. Calls may block; they are made on threads that may wait.
pub trait SeriesSource: Send + Sync {
    /// Opens the series that satisfy all matchers, sorted by labels, each label set once.
    fn select(&self, hints: &SelectHints, matchers: &[Matcher]) -> Result<Box<dyn SeriesSet>, SourceError>;
}

/// A stream of series, sorted by labels.
pub trait SeriesSet: Send {
    /// The next series; `None` at the end, and on every later call.
    fn next(&mut self) -> Result<Option<Series>, SourceError>;

    /// What should be told to the user although the answer stands; asked after the end.
    fn warnings(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// One series of an answer.
#[derive(Debug)]
pub struct Series {
    /// What names it.
    pub labels: Labels,
    /// Its samples, still encoded.
    pub data: Box<dyn SeriesData>,
}

/// The samples of one series.
pub trait SeriesData: Send + Sync + std::fmt::Debug {
    /// Appends the samples of `start_ms..=end_ms` to `into`, in time order. May be called more than once.
    fn decode(&self, start_ms: i64, end_ms: i64, into: &mut Columns) -> Result<(), SourceError>;

    /// As [`Self::decode`], for readers of counts and sums. A histogram may come without zero bucket, buckets and bounds if
    /// its hint is known and the next one's is: whoever compares two to find resets finds whole ones.
    fn decode_counts(&self, start_ms: i64, end_ms: i64, into: &mut Columns) -> Result<(), SourceError> {
        self.decode(start_ms, end_ms, into)
    }

    /// As [`Self::decode`], for readers of the newest sample: older ones may be missing.
    fn decode_newest(&self, start_ms: i64, end_ms: i64, into: &mut Columns) -> Result<(), SourceError> {
        self.decode(start_ms, end_ms, into)
    }

    /// A guess of how many samples there are, for memory limits.
    fn estimated_samples(&self) -> usize;

    /// Memory that the samples take as they are now, for memory limits.
    fn encoded_bytes(&self) -> usize {
        0
    }
}

/// Decoded samples, floats and histograms apart, each sorted by time. No time is in both.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// Times of the floats.
    pub timestamps_ms: Vec<i64>,
    /// The floats; stale markers are among them.
    pub values: Vec<f64>,
    /// Start times of the floats where the storage has them; else empty. 0 is unknown.
    pub start_timestamps_ms: Vec<i64>,
    /// Times of the histograms.
    pub histogram_timestamps_ms: Vec<i64>,
    /// The histograms; one whose sum is the stale marker is a stale marker.
    pub histograms: Vec<Arc<FloatHistogram>>,
    /// Start times of the histograms where the storage has them; else empty. 0 is unknown.
    pub histogram_start_timestamps_ms: Vec<i64>,
    /// Histograms that nobody needs any more, for their memory.
    pub spare: SpareHistograms,
}

/// Memory for histograms: each of them is three pieces, and a series has hundreds. A copy has none.
#[derive(Default)]
pub struct SpareHistograms {
    unshared: Vec<Arc<FloatHistogram>>,
}

impl SpareHistograms {
    /// No more are kept.
    const MOST: usize = 1024;

    /// A histogram that nobody else holds. What it says is of no meaning.
    pub fn take(&mut self) -> Arc<FloatHistogram> {
        self.unshared.pop().unwrap_or_default()
    }

    fn keep(&mut self, histograms: &mut Vec<Arc<FloatHistogram>>) {
        let room = Self::MOST.saturating_sub(self.unshared.len());
        let unshared = histograms.drain(..).filter_map(|mut h| Arc::get_mut(&mut h).is_some().then_some(h));
        self.unshared.extend(unshared.take(room));
    }
}

impl Clone for SpareHistograms {
    fn clone(&self) -> Self {
        SpareHistograms::default()
    }
}

impl std::fmt::Debug for SpareHistograms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpareHistograms").field("count", &self.unshared.len()).finish()
    }
}

impl Columns {
    /// Forgets all samples, keeps the memory.
    pub fn clear(&mut self) {
        self.timestamps_ms.clear();
        self.values.clear();
        self.start_timestamps_ms.clear();
        self.histogram_timestamps_ms.clear();
        self.spare.keep(&mut self.histograms);
        self.histogram_start_timestamps_ms.clear();
    }

    /// Appends a float.
    pub fn push(&mut self, timestamp_ms: i64, value: f64) {
        self.timestamps_ms.push(timestamp_ms);
        self.values.push(value);
    }

    /// Appends a histogram.
    pub fn push_histogram(&mut self, timestamp_ms: i64, histogram: Arc<FloatHistogram>) {
        self.histogram_timestamps_ms.push(timestamp_ms);
        self.histograms.push(histogram);
    }

    /// How many samples of either kind.
    pub fn len(&self) -> usize {
        self.timestamps_ms.len() + self.histogram_timestamps_ms.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.timestamps_ms.is_empty() && self.histogram_timestamps_ms.is_empty()
    }
}

impl SeriesData for Columns {
    fn decode(&self, start_ms: i64, end_ms: i64, into: &mut Columns) -> Result<(), SourceError> {
        let within = |times: &[i64]| {
            times.partition_point(|t| *t < start_ms)
                ..times.partition_point(|t| *t <= end_ms).max(times.partition_point(|t| *t < start_ms))
        };
        let floats = within(&self.timestamps_ms);
        into.timestamps_ms.extend_from_slice(&self.timestamps_ms[floats.clone()]);
        into.values.extend_from_slice(&self.values[floats.clone()]);
        if !self.start_timestamps_ms.is_empty() {
            into.start_timestamps_ms.extend_from_slice(&self.start_timestamps_ms[floats]);
        }
        let histograms = within(&self.histogram_timestamps_ms);
        into.histogram_timestamps_ms.extend_from_slice(&self.histogram_timestamps_ms[histograms.clone()]);
        into.histograms.extend_from_slice(&self.histograms[histograms.clone()]);
        if !self.histogram_start_timestamps_ms.is_empty() {
            into.histogram_start_timestamps_ms.extend_from_slice(&self.histogram_start_timestamps_ms[histograms]);
        }
        Ok(())
    }

    fn estimated_samples(&self) -> usize {
        self.len()
    }
}
