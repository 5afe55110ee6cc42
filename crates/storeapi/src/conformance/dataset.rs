//! The data that a store is filled with before it is checked.

use bytes::Bytes;
use thanoxide_model::{Labels, Sample};
use thanoxide_tsdb::chunk::xor::XorAppender;
use thanoxide_tsdb::chunk::{Chunk, Encoding};

use crate::StoreSeries;

/// External labels, and series of float samples without them.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// External labels of the store. `replica` is the replica label.
    pub external: Labels,
    /// Labels and samples, samples sorted by time.
    pub series: Vec<(Labels, Vec<Sample>)>,
}

/// First time of the standard data set.
const START_MS: i64 = 1_767_225_600_000;

/// Samples of each series of the standard data set, 15 s apart.
const SAMPLES: i64 = 300;

/// The name of the replica label.
pub(super) const REPLICA: &str = "replica";

impl Dataset {
    /// Eighty series: two metrics, a label that an external one overrides, a replica label inside, texts whose order is
    /// easily got wrong.
    pub fn standard() -> Self {
        let mut series = Vec::new();
        for instance in 0..20 {
            for replica in ["a", "b"] {
                let instance = format!("i-{instance}");
                // The replica label sorts before `zone`, so that its removal reorders.
                let zone = if replica == "a" { "z2" } else { "z1" };
                let up = [("__name__", "up"), ("instance", &instance), (REPLICA, replica), ("zone", zone)];
                series.push(Labels::from_pairs(up));
            }
            let region = [("__name__", "requests_total"), ("instance", &format!("i-{instance}")), ("region", "inner")];
            series.push(Labels::from_pairs(region));
            let odd = [
                "a", "a\0", "a,", "ä", "A", "", "\n", "a b", "aa", "0", "00", "~", "é", "-", "_", "Z", "z", "{", "\"",
                "\\",
            ];
            series.push(Labels::from_pairs([
                ("__name__", "odd"),
                ("text", odd[instance]),
                ("n", &instance.to_string()),
            ]));
        }
        let samples = |i: usize| (0..SAMPLES).map(move |n| sample(i, n)).collect();
        Dataset {
            external: Labels::from_pairs([("region", "eu"), ("cluster", "c1")]),
            series: series.into_iter().enumerate().map(|(i, labels)| (labels, samples(i))).collect(),
        }
    }

    /// First and last time of any sample.
    pub fn times(&self) -> (i64, i64) {
        let times = || self.series.iter().flat_map(|(_, s)| s.iter().map(|s| s.timestamp_ms));
        (times().min().unwrap_or(i64::MAX), times().max().unwrap_or(i64::MIN))
    }

    /// The series in chunks of 120 samples, for stores that take chunks.
    pub fn chunked(&self) -> Vec<StoreSeries> {
        let series = self.series.iter().map(|(labels, samples)| StoreSeries {
            labels: labels.clone(),
            chunks: samples.chunks(120).map(|samples| encode(samples).into()).collect(),
        });
        series.collect()
    }

    /// The labels that a series is answered with.
    pub(super) fn final_labels(&self, labels: &Labels) -> Labels {
        labels.overlay(&self.external)
    }
}

fn sample(series: usize, number: i64) -> Sample {
    Sample { timestamp_ms: START_MS + number * 15_000, value: (series as f64) + 0.25 * (number as f64) }
}

fn encode(samples: &[Sample]) -> Chunk {
    let mut appender = XorAppender::new();
    for sample in samples {
        appender.append(sample.timestamp_ms, sample.value);
    }
    let time = |sample: Option<&Sample>| sample.map_or(0, |s| s.timestamp_ms);
    Chunk {
        min_time_ms: time(samples.first()),
        max_time_ms: time(samples.last()),
        encoding: Encoding::Xor,
        data: Bytes::from(appender.into_bytes()),
    }
}
