//! The benchmarks' load: every series gets its next samples in every sweep, in requests of 2,000 series.

use anyhow::Result;
use thanoxide_model::Labels;

use crate::shape::{Shape, Walk};
use crate::template::{Protocol, Template};

pub use crate::template::Body;

/// Series in a request.
pub const SERIES_PER_REQUEST: u64 = 2_000;

/// Some series, and how far they have come.
#[derive(Debug)]
pub struct Workload {
    shape: Shape,
    protocol: Protocol,
    requests: Vec<Request>,
    interval_ms: i64,
    next_ms: i64,
    samples_per_request: usize,
    series: u64,
    /// The number of the next series that was never sent.
    next_series: u64,
    /// Over so many sweeps the requests begin, and how many were made.
    begin_sweeps: usize,
    sweeps: usize,
    sent: u64,
}

/// The series of one request.
#[derive(Debug)]
struct Request {
    template: Template,
    walks: Vec<Walk>,
}

impl Workload {
    /// Series of a shape, scraped from `start_ms` on; every request holds so many samples of each of its series.
    pub fn new(shape: Shape, series: u64, start_ms: i64, interval_ms: i64, samples_per_request: usize) -> Self {
        Workload::speaking(Protocol::V1, shape, series, start_ms, interval_ms, samples_per_request)
    }

    /// The same in a protocol.
    pub fn speaking(
        protocol: Protocol,
        shape: Shape,
        series: u64,
        start_ms: i64,
        interval_ms: i64,
        samples_per_request: usize,
    ) -> Self {
        let firsts = (0..series).step_by(SERIES_PER_REQUEST as usize);
        let requests = firsts.map(|first| {
            let members = first..series.min(first + SERIES_PER_REQUEST);
            Request::new(protocol, shape, members, samples_per_request)
        });
        let (requests, next_series) = (requests.collect(), series);
        let (begin_sweeps, sweeps, sent) = (1, 0, 0);
        Workload {
            shape,
            protocol,
            requests,
            interval_ms,
            next_ms: start_ms,
            samples_per_request,
            series,
            next_series,
            begin_sweeps,
            sweeps,
            sent,
        }
    }

    /// Its requests do not begin together, but one after the other over so many sweeps.
    pub fn beginning_over(mut self, sweeps: usize) -> Self {
        self.begin_sweeps = sweeps;
        self
    }

    /// The bodies of the next sweep.
    pub fn sweep(&mut self) -> Result<Vec<Body>> {
        let end_ms = self.next_ms + self.interval_ms * self.samples_per_request as i64;
        let scrapes: Vec<i64> = (self.next_ms..end_ms).step_by(self.interval_ms as usize).collect();
        self.next_ms = end_ms;
        self.sweeps += 1;
        let begun = (self.requests.len() * self.sweeps).div_ceil(self.begin_sweeps).min(self.requests.len());
        let requests = &mut self.requests[..begun];
        let series: usize = requests.iter().map(|request| request.walks.len()).sum();
        self.sent += series as u64 * scrapes.len() as u64;
        requests.iter_mut().map(|request| request.body(&scrapes)).collect()
    }

    /// Samples in all sweeps so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Replaces one request in `every` by series never seen before, starting with a different one each time; how many
    /// series are new.
    pub fn churn(&mut self, every: usize, turn: usize) -> u64 {
        let mut replaced = 0;
        for index in (turn % every..self.requests.len()).step_by(every) {
            let count = self.requests[index].walks.len() as u64;
            let members = self.next_series..self.next_series + count;
            self.next_series = members.end;
            self.requests[index] = Request::new(self.protocol, self.shape, members, self.samples_per_request);
            replaced += count;
        }
        replaced
    }

    /// Samples of a sweep.
    pub fn sweep_samples(&self) -> u64 {
        self.series * self.samples_per_request as u64
    }

    /// The time of the scrape after all so far.
    pub fn next_ms(&self) -> i64 {
        self.next_ms
    }

    /// Header lines that its bodies need.
    pub fn headers(&self) -> &'static str {
        self.protocol.headers()
    }
}

impl Request {
    fn new(protocol: Protocol, shape: Shape, members: std::ops::Range<u64>, samples: usize) -> Self {
        let labels: Vec<Labels> = members.clone().map(|number| shape.labels(number)).collect();
        let walks = members.map(|number| Walk::new(shape, number)).collect();
        Request { template: Template::new(protocol, &labels, samples), walks }
    }

    fn body(&mut self, scrapes: &[i64]) -> Result<Body> {
        let walks = self.walks.iter_mut();
        self.template.body(walks.flat_map(|walk| scrapes.iter().map(|&scrape_ms| walk.next(scrape_ms))))
    }
}

#[cfg(test)]
mod tests {
    use thanoxide_model::WriteBatch;
    use thanoxide_proto::{DecodeLimits, decode_write_request};

    use super::*;

    const START_MS: i64 = 1_790_000_000_000;

    fn decoded(body: &Body) -> WriteBatch {
        let raw = snap::raw::Decoder::new().decompress_vec(body).unwrap();
        decode_write_request(&raw.into(), &DecodeLimits::default()).unwrap()
    }

    #[test]
    fn bodies_hold_every_series_with_its_next_samples() {
        let mut workload = Workload::new(Shape::L10, 2_500, START_MS, 15_000, 3);
        for sweep in 0..2 {
            let batches: Vec<WriteBatch> = workload.sweep().unwrap().iter().map(decoded).collect();
            assert_eq!(batches.iter().map(|b| b.series.len()).collect::<Vec<_>>(), [2_000, 500]);
            let times: Vec<i64> = batches[1].samples[..3].iter().map(|s| s.timestamp_ms).collect();
            for (k, time) in times.iter().enumerate() {
                assert!((time - START_MS - (3 * sweep + k as i64) * 15_000).abs() <= 5);
            }
            assert!(batches.iter().flat_map(|b| &b.samples).all(|s| s.value.is_finite() && s.value.abs() <= 1e6));
        }
        assert_eq!((workload.next_ms(), workload.sweep_samples()), (START_MS + 6 * 15_000, 7_500));
    }

    #[test]
    fn requests_may_begin_one_after_the_other() {
        let mut workload = Workload::new(Shape::L10, 6_000, START_MS, 15_000, 2).beginning_over(3);
        let bodies: Vec<usize> = (0..4).map(|_| workload.sweep().unwrap().len()).collect();
        assert_eq!((bodies, workload.sent()), (vec![1, 2, 3, 3], 9 * 4_000));
    }

    #[test]
    fn a_series_has_the_size_that_the_rules_say() {
        let request = Request::new(Protocol::V1, Shape::L10, 0..SERIES_PER_REQUEST, 1);
        let bytes_per_series = request.template.raw_bytes() as f64 / SERIES_PER_REQUEST as f64;
        assert!((262.0..280.0).contains(&bytes_per_series), "{bytes_per_series}");
    }

    #[test]
    fn labels_survive_the_patching() {
        let mut workload = Workload::new(Shape::Counters("x_total"), 10, START_MS, 15_000, 1);
        let batch = decoded(&workload.sweep().unwrap()[0]);
        let labels: Vec<_> = batch.labels_of(&batch.series[9]).collect();
        let expected = Shape::Counters("x_total").labels(9);
        assert_eq!(labels, expected.iter().collect::<Vec<_>>());
    }

    #[test]
    fn churn_brings_series_that_were_never_there() {
        let mut workload = Workload::new(Shape::L10, 8_000, START_MS, 15_000, 1);
        let names = |bodies: Vec<Body>| -> std::collections::HashSet<String> {
            let batches = bodies.iter().map(decoded);
            batches
                .flat_map(|b| {
                    b.series.iter().map(|s| format!("{:?}", b.labels_of(s).collect::<Vec<_>>())).collect::<Vec<_>>()
                })
                .collect()
        };
        let before = names(workload.sweep().unwrap());
        assert_eq!((workload.churn(4, 1), workload.sweep_samples()), (2_000, 8_000));
        assert_eq!(names(workload.sweep().unwrap()).difference(&before).count(), 2_000);
    }

    #[test]
    fn times_out_of_range_are_refused() {
        assert!(Workload::new(Shape::L10, 1, 1000, 15_000, 1).sweep().is_err());
    }
}
