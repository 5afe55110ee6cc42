//! Remote-write bodies, encoded once and patched for every sweep.
//!
//! A sweep gives every series its next samples. The labels never change, so a body is kept uncompressed with the places
//! of its samples; a sweep writes values and times there, both of fixed width, and compresses:
//!
//! ```text
//! 0x09 <f64, little-endian> 0x10 <varint of the ms, 6 bytes>
//! ```

use anyhow::{Result, ensure};
use thanoxide_model::Sample;
use thanoxide_model::write_batch::WriteBatchBuilder;
use thanoxide_proto::encode_write_request;

use crate::shape::{Shape, Walk};

/// Series in a request.
pub(crate) const SERIES_PER_REQUEST: u64 = 2_000;
/// Stands where a value will be; no byte of it is ASCII, so that no label looks like it.
const PLACEHOLDER: f64 = f64::from_bits(0xf1f2_f3f4_f5f6_f7f8);
/// Stands where a time will be.
const PLACEHOLDER_MS: i64 = TIMES_MS.start;
/// Times whose varint has six bytes: until 2109.
const TIMES_MS: std::ops::Range<i64> = 1 << 35..1 << 42;

/// A compressed body.
pub(crate) type Body = Vec<u8>;

/// Some series, and how far they have come.
#[derive(Debug)]
pub(crate) struct Workload {
    requests: Vec<Request>,
    interval_ms: i64,
    next_ms: i64,
    samples_per_request: usize,
    series: u64,
}

/// A request's body before compression.
#[derive(Debug)]
struct Request {
    raw: Vec<u8>,
    values_at: Vec<usize>,
    walks: Vec<Walk>,
}

impl Workload {
    /// Series of a shape, scraped from `start_ms` on; every request holds so many samples of each of its series.
    pub(crate) fn new(shape: Shape, series: u64, start_ms: i64, interval_ms: i64, samples_per_request: usize) -> Self {
        let firsts = (0..series).step_by(SERIES_PER_REQUEST as usize);
        let requests = firsts.map(|first| {
            let members = first..series.min(first + SERIES_PER_REQUEST);
            Request::new(shape, members, samples_per_request)
        });
        Workload { requests: requests.collect(), interval_ms, next_ms: start_ms, samples_per_request, series }
    }

    /// The bodies of the next sweep.
    pub(crate) fn sweep(&mut self) -> Result<Vec<Body>> {
        let end_ms = self.next_ms + self.interval_ms * self.samples_per_request as i64;
        ensure!(TIMES_MS.contains(&self.next_ms) && TIMES_MS.contains(&end_ms), "times out of the encodable range");
        let scrapes: Vec<i64> = (self.next_ms..end_ms).step_by(self.interval_ms as usize).collect();
        self.next_ms = end_ms;
        self.requests.iter_mut().map(|request| request.body(&scrapes)).collect()
    }

    /// Samples of a sweep.
    pub(crate) fn sweep_samples(&self) -> u64 {
        self.series * self.samples_per_request as u64
    }

    /// The time of the scrape after all so far.
    pub(crate) fn next_ms(&self) -> i64 {
        self.next_ms
    }
}

impl Request {
    fn new(shape: Shape, series: std::ops::Range<u64>, samples: usize) -> Self {
        let mut batch = WriteBatchBuilder::default();
        let placeholders = vec![Sample { timestamp_ms: PLACEHOLDER_MS, value: PLACEHOLDER }; samples];
        for number in series.clone() {
            batch.push(&shape.labels(number), &placeholders);
        }
        let raw = encode_write_request(&batch.build()).to_vec();
        let values_at = places_of(&raw, &PLACEHOLDER.to_le_bytes());
        assert_eq!(values_at.len(), samples * series.clone().count(), "every sample has a place");
        Request { raw, values_at, walks: series.map(|number| Walk::new(shape, number)).collect() }
    }

    fn body(&mut self, scrapes: &[i64]) -> Result<Body> {
        let mut places = self.values_at.iter();
        for walk in &mut self.walks {
            for (&scrape_ms, &at) in scrapes.iter().zip(places.by_ref()) {
                let (time_ms, value) = walk.next(scrape_ms);
                self.raw[at..at + 8].copy_from_slice(&value.to_le_bytes());
                put_time(&mut self.raw[at + 9..at + 15], time_ms);
            }
        }
        Ok(snap::raw::Encoder::new().compress_vec(&self.raw)?)
    }
}

fn places_of(text: &[u8], pattern: &[u8; 8]) -> Vec<usize> {
    let windows = text.windows(8).enumerate();
    windows.filter(|(_, window)| window == pattern).map(|(at, _)| at).collect()
}

/// A varint of exactly the slot's length.
fn put_time(slot: &mut [u8], time_ms: i64) {
    let last = slot.len() - 1;
    for (i, byte) in slot.iter_mut().enumerate() {
        let more = if i < last { 0x80 } else { 0 };
        *byte = ((time_ms >> (7 * i)) & 0x7f) as u8 | more;
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
    fn a_series_has_the_size_that_the_rules_say() {
        let request = Request::new(Shape::L10, 0..SERIES_PER_REQUEST, 1);
        let bytes_per_series = request.raw.len() as f64 / SERIES_PER_REQUEST as f64;
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
    fn times_out_of_range_are_refused() {
        assert!(Workload::new(Shape::L10, 1, 1000, 15_000, 1).sweep().is_err());
    }
}
