//! The series of the benchmarks: shape L10, ten labels each, about 271 bytes of them.
//!
//! 37 metric names, 61 containers, 43,000 instances, 13 jobs, 12 shards (or `le`), 3 methods, 40 namespaces, a pod per
//! series, 3 statuses. 60 % are counters, 25 % gauges with 3 decimals, 10 % constants, 5 % random. Everything follows
//! from the number of the series and of the sample, so that every run sends the same.

use thanoxide_model::{Labels, LabelsBuilder};

use crate::plan::mix;

const INSTANCES: u64 = 43_000;
const BOUNDS: [&str; 12] = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"];
const METHODS: [&str; 3] = ["GET", "POST", "PUT"];
const STATUSES: [&str; 3] = ["200", "404", "500"];
/// Timestamps lie so many ms around the scrape.
const JITTER_MS: i64 = 5;

/// What the values of a series do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Whole numbers that grow.
    Counter,
    /// A walk with 3 decimals.
    Gauge,
    /// Always the same.
    Constant,
    /// Any float.
    Random,
}

/// Which series there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The mix.
    L10,
    /// The labels of the mix, but every series is a counter of this name.
    Counters(&'static str),
}

impl Shape {
    /// What a series does.
    pub fn kind(self, series: u64) -> Kind {
        match (self, series % 37) {
            (Shape::Counters(_), _) | (_, 0..22) => Kind::Counter,
            (_, 22..31) => Kind::Gauge,
            (_, 31..35) => Kind::Constant,
            _ => Kind::Random,
        }
    }

    /// The labels of a series.
    pub fn labels(self, series: u64) -> Labels {
        let (family, group) = (series % 37, series / 37);
        let is_bucket = self == Shape::L10 && family.is_multiple_of(3) && family < 12;
        let instance = series % INSTANCES;
        let bound = BOUNDS[(group % 12) as usize];
        let mut labels = LabelsBuilder::default();
        labels.set("__name__", self.name(series));
        labels.set("cluster", format!("production-eu-{}", series % 4));
        labels.set("container", format!("container-{}", group % 61));
        labels.set("instance", format!("10.{}.{}.{}:9090", instance % 43, instance / 43 % 250, instance / 43 / 250));
        labels.set("job", format!("job-{}", series % 13));
        labels.set(if is_bucket { "le" } else { "shard" }, bound);
        labels.set("method", METHODS[(group % 3) as usize]);
        labels.set("namespace", format!("team-namespace-{}", series % 40));
        labels.set("pod", pod(series));
        labels.set("status", STATUSES[(group / 3 % 3) as usize]);
        labels.build()
    }

    fn name(self, series: u64) -> String {
        let family = series % 37;
        match (self, self.kind(series)) {
            (Shape::Counters(name), _) => name.to_string(),
            (_, Kind::Counter) if family.is_multiple_of(3) && family < 12 => {
                format!("http_request_duration_seconds_{family}_bucket")
            }
            (_, Kind::Counter) => format!("application_requests_metric_{family}_total"),
            (_, Kind::Gauge) => format!("application_queue_length_{family}"),
            (_, Kind::Constant) => format!("application_build_info_{family}"),
            (_, Kind::Random) => format!("application_noise_{family}"),
        }
    }
}

/// A series on its way through time.
#[derive(Clone, Debug)]
pub struct Walk {
    series: u64,
    kind: Kind,
    samples: u64,
    value: f64,
}

impl Walk {
    /// A series before its first sample.
    pub fn new(shape: Shape, series: u64) -> Self {
        Walk { series, kind: shape.kind(series), samples: 0, value: 0.0 }
    }

    /// The next sample of a scrape at `scrape_ms`: time and value.
    pub fn next(&mut self, scrape_ms: i64) -> (i64, f64) {
        let random = mix(mix(self.series) ^ self.samples);
        let unit = (random >> 11) as f64 / (1u64 << 53) as f64;
        self.samples += 1;
        self.value = match self.kind {
            Kind::Counter => self.value + (unit * 2.0 * (5 + self.series % 100) as f64).floor(),
            Kind::Gauge => ((self.value + (unit - 0.5) * 0.8) * 1000.0).round() / 1000.0,
            Kind::Constant => (self.series % 10) as f64,
            Kind::Random => unit * 1e6,
        };
        let jitter_ms = (random % (2 * JITTER_MS as u64 + 1)) as i64 - JITTER_MS;
        (scrape_ms + jitter_ms, self.value)
    }
}

fn pod(series: u64) -> String {
    let hash = mix(series);
    format!("app-{}-{:010x}-{:05x}", series % 61, hash >> 24, series & 0xf_ffff)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_mix_is_what_the_rules_say() {
        let count = |kind| (0..37_000).filter(|&s| Shape::L10.kind(s) == kind).count() as f64 / 370.0;
        assert!((count(Kind::Counter) - 60.0).abs() < 1.0 && (count(Kind::Gauge) - 25.0).abs() < 1.0);
        assert!((count(Kind::Constant) - 10.0).abs() < 1.0 && (count(Kind::Random) - 5.0).abs() < 1.0);
    }

    #[test]
    fn series_have_ten_labels_and_are_told_apart_by_their_pods() {
        let all: Vec<Labels> = (0..10_000).map(|s| Shape::L10.labels(s)).collect();
        assert!(all.iter().all(|labels| labels.len() == 10));
        let pods: HashSet<&[u8]> = all.iter().map(|labels| labels.value("pod")).collect();
        let names: HashSet<&[u8]> = all.iter().map(Labels::metric_name).collect();
        assert_eq!((pods.len(), names.len()), (10_000, 37));
    }

    #[test]
    fn counters_grow_and_times_stay_near_the_scrape() {
        let mut walk = Walk::new(Shape::Counters("x_total"), 36);
        let mut last = 0.0;
        for k in 0..100 {
            let (time_ms, value) = walk.next(k * 15_000);
            assert!((time_ms - k * 15_000).abs() <= JITTER_MS && value >= last);
            last = value;
        }
        assert!(last > 0.0);
    }
}
