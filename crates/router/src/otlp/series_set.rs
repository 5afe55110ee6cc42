//! Series under construction: a set of labels has one, whoever adds to it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use thanoxide_model::histogram::Histogram;
use thanoxide_model::write_batch::{HistogramSample, HistogramValue, WriteBatchBuilder};
use thanoxide_model::{Labels, MetricMetadata, STALE_NAN_BITS, Sample, WriteBatch};

use super::exemplars::PromExemplar;

#[derive(Debug)]
struct PointSeries {
    labels: Labels,
    samples: Vec<Started<Sample>>,
    histograms: Vec<Started<HistogramSample>>,
    exemplars: Vec<PromExemplar>,
}

/// A sample, and since when it counts.
#[derive(Debug)]
struct Started<S> {
    start_ms: i64,
    sample: S,
}

/// When a point was, and since when it counts: 0 is unknown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PointTimes {
    pub(super) start_ms: i64,
    pub(super) timestamp_ms: i64,
}

/// All series of a request.
#[derive(Debug, Default)]
pub(super) struct SeriesSet {
    places: HashMap<Labels, usize>,
    series: Vec<PointSeries>,
    /// Times of `target_info`, which resources may share.
    targets: BTreeMap<Labels, BTreeSet<i64>>,
    metadata: BTreeMap<String, MetricMetadata>,
}

impl SeriesSet {
    fn of(&mut self, labels: Labels) -> &mut PointSeries {
        let next = self.series.len();
        let place = *self.places.entry(labels.clone()).or_insert(next);
        if place == next {
            let (samples, histograms, exemplars) = Default::default();
            self.series.push(PointSeries { labels, samples, histograms, exemplars });
        }
        &mut self.series[place]
    }

    /// Adds a sample; one without a value is the stale marker.
    pub(super) fn sample(
        &mut self,
        labels: Labels,
        PointTimes { start_ms, timestamp_ms }: PointTimes,
        value: Option<f64>,
        exemplars: Vec<PromExemplar>,
    ) {
        let value = value.unwrap_or(f64::from_bits(STALE_NAN_BITS));
        let series = self.of(labels);
        series.samples.push(Started { start_ms, sample: Sample { timestamp_ms, value } });
        series.exemplars.extend(exemplars);
    }

    pub(super) fn histogram(
        &mut self,
        labels: Labels,
        PointTimes { start_ms, timestamp_ms }: PointTimes,
        histogram: Histogram,
        exemplars: Vec<PromExemplar>,
    ) {
        let value = HistogramValue::Int(histogram.into());
        let series = self.of(labels);
        series.histograms.push(Started { start_ms, sample: HistogramSample { timestamp_ms, value } });
        series.exemplars.extend(exemplars);
    }

    /// Adds ones to a series of `target_info`.
    pub(super) fn target(&mut self, labels: Labels, times_ms: impl IntoIterator<Item = i64>) {
        self.targets.entry(labels).or_default().extend(times_ms);
    }

    /// Says something of a metric; the last word counts.
    pub(super) fn say(&mut self, family: String, metadata: MetricMetadata) {
        self.metadata.insert(family, metadata);
    }

    pub(super) fn into_batch(mut self) -> WriteBatch {
        for (labels, times_ms) in std::mem::take(&mut self.targets) {
            for timestamp_ms in times_ms {
                let times = PointTimes { start_ms: 0, timestamp_ms };
                self.sample(labels.clone(), times, Some(1.0), Vec::new());
            }
        }
        let mut builder = WriteBatchBuilder::default();
        for series in self.series {
            builder.push(&series.labels, &[]);
            for Started { start_ms, sample } in series.samples {
                builder.push_sample(sample).set_sample_start(start_ms);
            }
            for Started { start_ms, sample } in series.histograms {
                builder.push_histogram(sample).set_histogram_start(start_ms);
            }
            for exemplar in &series.exemplars {
                builder.push_exemplar(&exemplar.labels, exemplar.timestamp_ms, exemplar.value);
            }
        }
        for (family, metadata) in &self.metadata {
            builder.push_metadata(family, metadata);
        }
        builder.build()
    }
}
