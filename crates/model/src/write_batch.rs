//! A decoded write request: columns over one buffer of label text.
//!
//! A decoder keeps the request's own body as the buffer and notes where each label lies in it, so that nothing is copied
//! per series. Series, labels and samples are three flat columns; a series is a range in each of the others.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::histogram::{FloatHistogram, Histogram, HistogramError};
use crate::labels::Labels;
use crate::metadata::{MetricMetadata, MetricType};
use crate::sample::Sample;
use crate::start_times::StartTimes;

/// Where a text lies in the buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextSpan {
    /// First byte.
    pub start: u32,
    /// Number of bytes.
    pub len: u32,
}

/// One label of a series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LabelSpan {
    /// Its name.
    pub name: TextSpan,
    /// Its value.
    pub value: TextSpan,
}

/// A native histogram as sent.
#[derive(Clone, Debug)]
pub enum HistogramValue {
    /// Integer counts.
    Int(Arc<Histogram>),
    /// Float counts.
    Float(Arc<FloatHistogram>),
}

impl HistogramValue {
    /// Whether the histogram agrees with itself: see [`Histogram::validate`].
    pub fn validate(&self) -> Result<(), HistogramError> {
        match self {
            HistogramValue::Int(value) => value.validate(),
            HistogramValue::Float(value) => value.validate(),
        }
    }
}

/// A native histogram and its time.
#[derive(Clone, Debug)]
pub struct HistogramSample {
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// The observation.
    pub value: HistogramValue,
}

/// An exemplar as sent: its labels are a range of the label column.
#[derive(Clone, Debug)]
pub struct ExemplarSpan {
    /// Its labels.
    pub labels: Range<u32>,
    /// Its time.
    pub timestamp_ms: i64,
    /// Its value.
    pub value: f64,
}

/// What a sender says of a metric. Its texts are as sent: they may not be UTF-8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MetadataSpan {
    /// The metric family.
    pub family: TextSpan,
    /// Its type.
    pub kind: MetricType,
    /// Its help text.
    pub help: TextSpan,
    /// Its unit.
    pub unit: TextSpan,
}

impl MetadataSpan {
    /// Whether there is anything in it.
    pub fn says_something(&self) -> bool {
        self.kind != MetricType::Unknown || self.help.len > 0 || self.unit.len > 0
    }
}

/// The ranges of one series in the columns.
#[derive(Clone, Debug, Default)]
pub struct SeriesSpan {
    /// Its labels, as sent: neither sorted nor unique for sure.
    pub labels: Range<u32>,
    /// Its float samples, in the order sent.
    pub samples: Range<u32>,
    /// Its histograms, in the order sent.
    pub histograms: Range<u32>,
    /// Its exemplars, in the order sent.
    pub exemplars: Range<u32>,
    /// Where the text has this series whole, labels and then float samples, as a `TimeSeries` of remote write 1.0 in its plainest form;
    /// empty where it does not. Whoever passes the series on can copy it. Who changes the series takes it away.
    pub plain: TextSpan,
}

impl SeriesSpan {
    /// How many samples, histograms and exemplars it has.
    pub fn value_count(&self) -> u32 {
        (self.samples.len() + self.histograms.len() + self.exemplars.len()) as u32
    }
}

/// A decoded write request.
#[derive(Clone, Debug, Default)]
pub struct WriteBatch {
    /// The text that the label spans point into.
    pub text: Bytes,
    /// All labels.
    pub labels: Vec<LabelSpan>,
    /// All float samples.
    pub samples: Vec<Sample>,
    /// All histograms.
    pub histograms: Vec<HistogramSample>,
    /// All exemplars.
    pub exemplars: Vec<ExemplarSpan>,
    /// All series.
    pub series: Vec<SeriesSpan>,
    /// What is said of metrics, whatever series are there.
    pub metadata: Vec<MetadataSpan>,
    /// Since when the samples count.
    pub starts: StartTimes,
}

impl WriteBatch {
    /// The bytes of a span.
    pub fn text(&self, span: TextSpan) -> &[u8] {
        &self.text[span.start as usize..(span.start + span.len) as usize]
    }

    /// The labels of a series, as sent.
    pub fn labels_of<'a>(&'a self, series: &SeriesSpan) -> impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + Clone {
        let labels = &self.labels[series.labels.start as usize..series.labels.end as usize];
        labels.iter().map(|l| (self.text(l.name), self.text(l.value)))
    }

    /// The float samples of a series.
    pub fn samples_of(&self, series: &SeriesSpan) -> &[Sample] {
        &self.samples[series.samples.start as usize..series.samples.end as usize]
    }

    /// The histograms of a series.
    pub fn histograms_of(&self, series: &SeriesSpan) -> &[HistogramSample] {
        &self.histograms[series.histograms.start as usize..series.histograms.end as usize]
    }

    /// The exemplars of a series.
    pub fn exemplars_of(&self, series: &SeriesSpan) -> &[ExemplarSpan] {
        &self.exemplars[series.exemplars.start as usize..series.exemplars.end as usize]
    }

    /// What is said of metrics alone, over the same text.
    pub fn metadata_alone(&self) -> WriteBatch {
        WriteBatch { text: self.text.clone(), metadata: self.metadata.clone(), ..WriteBatch::default() }
    }

    /// Some of the series, by index, as a batch over the same text. Metadata stays behind.
    pub fn select(&self, series: &[u32]) -> WriteBatch {
        let mut part = WriteBatch { text: self.text.clone(), ..WriteBatch::default() };
        part.series.reserve_exact(series.len());
        for index in series {
            part.push_from(self, &self.series[*index as usize]);
        }
        part
    }

    fn push_from(&mut self, other: &WriteBatch, series: &SeriesSpan) {
        let labels = extend(&mut self.labels, &other.labels, &series.labels);
        let places = (self.samples.len(), self.histograms.len());
        self.starts.extend_from(places, &other.starts, series);
        let samples = extend(&mut self.samples, &other.samples, &series.samples);
        let histograms = extend(&mut self.histograms, &other.histograms, &series.histograms);
        let exemplars_start = self.exemplars.len() as u32;
        for exemplar in other.exemplars_of(series) {
            let labels = extend(&mut self.labels, &other.labels, &exemplar.labels);
            self.exemplars.push(ExemplarSpan { labels, ..exemplar.clone() });
        }
        let exemplars = exemplars_start..self.exemplars.len() as u32;
        // The text is the same.
        self.series.push(SeriesSpan { labels, samples, histograms, exemplars, plain: series.plain });
    }

    /// Whether there is no series.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }
}

/// Appends a range of one column to another; returns where it lies now.
fn extend<T: Clone>(to: &mut Vec<T>, from: &[T], range: &Range<u32>) -> Range<u32> {
    let start = to.len() as u32;
    to.extend_from_slice(&from[range.start as usize..range.end as usize]);
    start..to.len() as u32
}

/// Builds a batch from labels in memory: for self-scrapes, tools and tests.
#[derive(Debug, Default)]
pub struct WriteBatchBuilder {
    text: Vec<u8>,
    batch: WriteBatch,
}

impl WriteBatchBuilder {
    /// Adds a series of float samples.
    pub fn push(&mut self, labels: &Labels, samples: &[Sample]) -> &mut Self {
        let first_label = self.batch.labels.len() as u32;
        for (name, value) in labels.iter() {
            let label = LabelSpan { name: self.push_text(name), value: self.push_text(value) };
            self.batch.labels.push(label);
        }
        let first_sample = self.batch.samples.len() as u32;
        self.batch.samples.extend_from_slice(samples);
        let histograms = self.batch.histograms.len() as u32;
        let exemplars = self.batch.exemplars.len() as u32;
        self.batch.series.push(SeriesSpan {
            labels: first_label..self.batch.labels.len() as u32,
            samples: first_sample..self.batch.samples.len() as u32,
            histograms: histograms..histograms,
            exemplars: exemplars..exemplars,
            plain: TextSpan::default(),
        });
        self
    }

    /// Adds a float sample to the series pushed last.
    pub fn push_sample(&mut self, sample: Sample) -> &mut Self {
        self.batch.samples.push(sample);
        if let Some(series) = self.batch.series.last_mut() {
            series.samples.end += 1;
        }
        self
    }

    /// Adds a histogram to the series pushed last.
    pub fn push_histogram(&mut self, sample: HistogramSample) -> &mut Self {
        self.batch.histograms.push(sample);
        if let Some(series) = self.batch.series.last_mut() {
            series.histograms.end += 1;
        }
        self
    }

    /// Since when the float sample pushed last counts; 0 is unknown.
    pub fn set_sample_start(&mut self, start_ms: i64) -> &mut Self {
        self.batch.starts.set_sample(self.batch.samples.len().saturating_sub(1), start_ms);
        self
    }

    /// Since when the histogram pushed last counts; 0 is unknown.
    pub fn set_histogram_start(&mut self, start_ms: i64) -> &mut Self {
        self.batch.starts.set_histogram(self.batch.histograms.len().saturating_sub(1), start_ms);
        self
    }

    /// Adds an exemplar to the series pushed last.
    pub fn push_exemplar(&mut self, labels: &Labels, timestamp_ms: i64, value: f64) -> &mut Self {
        let first_label = self.batch.labels.len() as u32;
        for (name, value) in labels.iter() {
            let label = LabelSpan { name: self.push_text(name), value: self.push_text(value) };
            self.batch.labels.push(label);
        }
        let labels = first_label..self.batch.labels.len() as u32;
        self.batch.exemplars.push(ExemplarSpan { labels, timestamp_ms, value });
        if let Some(series) = self.batch.series.last_mut() {
            series.exemplars.end += 1;
        }
        self
    }

    /// Says something of a metric.
    pub fn push_metadata(&mut self, family: &str, metadata: &MetricMetadata) -> &mut Self {
        let [family, help, unit] = [family, &metadata.help, &metadata.unit].map(|text| self.push_text(text.as_bytes()));
        self.batch.metadata.push(MetadataSpan { family, kind: metadata.kind, help, unit });
        self
    }

    fn push_text(&mut self, text: &[u8]) -> TextSpan {
        let start = self.text.len() as u32;
        self.text.extend_from_slice(text);
        TextSpan { start, len: text.len() as u32 }
    }

    /// The batch.
    pub fn build(mut self) -> WriteBatch {
        self.batch.text = Bytes::from(self.text);
        self.batch
    }
}
