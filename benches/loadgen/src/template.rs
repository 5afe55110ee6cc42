//! An encoded write request whose samples are patched in place.
//!
//! Labels never change, so a body is kept uncompressed with the places of its samples. Values and times, both of fixed
//! width and alike in remote write 1.0 and 2.0, are written there:
//!
//! ```text
//! 0x09 <f64, little-endian> 0x10 <varint of the ms, 6 bytes>
//! ```

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use anyhow::{Result, ensure};
use prost::Message;
use thanoxide_model::write_batch::WriteBatchBuilder;
use thanoxide_model::{Labels, Sample};
use thanoxide_proto::{encode_write_request, write_v2};

/// A compressed body.
pub type Body = Vec<u8>;

/// Stands where a value will be; no byte of it is ASCII, so that no label looks like it.
const PLACEHOLDER: f64 = f64::from_bits(0xf1f2_f3f4_f5f6_f7f8);
/// Stands where a time will be.
const PLACEHOLDER_MS: i64 = TIMES_MS.start;
/// Times whose varint has six bytes: until 2109.
const TIMES_MS: Range<i64> = 1 << 35..1 << 42;

/// Which remote write is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// 1.0: every series with its labels' text.
    #[default]
    V1,
    /// 2.0: every text once in a request.
    V2,
}

impl Protocol {
    /// Header lines of a request.
    pub fn headers(self) -> &'static str {
        match self {
            Protocol::V1 => {
                "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n\
                 X-Prometheus-Remote-Write-Version: 0.1.0\r\nUser-Agent: thanoxide-loadgen\r\n"
            }
            Protocol::V2 => {
                "Content-Type: application/x-protobuf;proto=io.prometheus.write.v2.Request\r\n\
                 Content-Encoding: snappy\r\nX-Prometheus-Remote-Write-Version: 2.0.0\r\n\
                 User-Agent: thanoxide-loadgen\r\n"
            }
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::V1 => "remote write 1.0",
            Protocol::V2 => "remote write 2.0",
        })
    }
}

/// A request's body before compression.
#[derive(Debug)]
pub struct Template {
    raw: Vec<u8>,
    values_at: Vec<usize>,
}

impl Template {
    /// A request of these series with so many samples of each.
    pub fn new(protocol: Protocol, series: &[Labels], samples: usize) -> Self {
        let raw = match protocol {
            Protocol::V1 => first_version(series, samples),
            Protocol::V2 => second_version(series, samples),
        };
        let values_at = places_of(&raw, &PLACEHOLDER.to_le_bytes());
        assert_eq!(values_at.len(), samples * series.len(), "every sample has a place");
        Template { raw, values_at }
    }

    /// Bytes before compression.
    pub fn raw_bytes(&self) -> usize {
        self.raw.len()
    }

    /// The body with these times (ms) and values, series by series. There must be one for each place.
    pub fn body(&mut self, samples: impl IntoIterator<Item = (i64, f64)>) -> Result<Body> {
        let mut places = self.values_at.iter();
        for (time_ms, value) in samples {
            ensure!(TIMES_MS.contains(&time_ms), "time {time_ms} is out of the encodable range");
            let &at = places.next().ok_or_else(|| anyhow::anyhow!("more samples than places"))?;
            self.raw[at..at + 8].copy_from_slice(&value.to_le_bytes());
            put_time(&mut self.raw[at + 9..at + 15], time_ms);
        }
        ensure!(places.next().is_none(), "fewer samples than places");
        Ok(snap::raw::Encoder::new().compress_vec(&self.raw)?)
    }
}

fn first_version(series: &[Labels], samples: usize) -> Vec<u8> {
    let mut batch = WriteBatchBuilder::default();
    let placeholders = vec![Sample { timestamp_ms: PLACEHOLDER_MS, value: PLACEHOLDER }; samples];
    for labels in series {
        batch.push(labels, &placeholders);
    }
    encode_write_request(&batch.build()).to_vec()
}

fn second_version(series: &[Labels], samples: usize) -> Vec<u8> {
    let mut request = write_v2::Request { symbols: vec![Default::default()], ..Default::default() };
    let mut numbers: HashMap<Vec<u8>, u32> = HashMap::new();
    for labels in series {
        let mut number = |text: &[u8]| {
            *numbers.entry(text.to_vec()).or_insert_with(|| {
                request.symbols.push(text.to_vec().into());
                request.symbols.len() as u32 - 1
            })
        };
        let labels_refs = labels.iter().flat_map(|(name, value)| [number(name), number(value)]).collect();
        let sample = write_v2::Sample { value: PLACEHOLDER, timestamp: PLACEHOLDER_MS, start_timestamp: 0 };
        request.timeseries.push(write_v2::TimeSeries {
            labels_refs,
            samples: vec![sample; samples],
            ..Default::default()
        });
    }
    request.encode_to_vec()
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
    use thanoxide_proto::{DecodeLimits, decode_write_request, decode_write_request_v2};

    use super::*;
    use crate::shape::Shape;

    const START_MS: i64 = 1_790_000_000_000;

    fn decoded(protocol: Protocol, body: &Body) -> WriteBatch {
        let raw = snap::raw::Decoder::new().decompress_vec(body).unwrap().into();
        match protocol {
            Protocol::V1 => decode_write_request(&raw, &DecodeLimits::default()).unwrap(),
            Protocol::V2 => decode_write_request_v2(&raw, &DecodeLimits::default()).unwrap(),
        }
    }

    #[test]
    fn both_protocols_carry_the_patched_samples_and_all_labels() {
        for protocol in [Protocol::V1, Protocol::V2] {
            let series: Vec<Labels> = (0..3).map(|number| Shape::L10.labels(number)).collect();
            let mut template = Template::new(protocol, &series, 2);
            let samples: Vec<(i64, f64)> = (0..6).map(|i| (START_MS + i, i as f64 / 3.0)).collect();
            let batch = decoded(protocol, &template.body(samples.clone()).unwrap());
            let got: Vec<(i64, f64)> = batch.samples.iter().map(|s| (s.timestamp_ms, s.value)).collect();
            assert_eq!(got, samples);
            let labels: Vec<_> = batch.labels_of(&batch.series[2]).collect();
            assert_eq!(labels, series[2].iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_wrong_number_of_samples_and_times_out_of_range_are_refused() {
        let mut template = Template::new(Protocol::V1, &[Shape::L10.labels(0)], 1);
        assert!(template.body([]).is_err());
        assert!(template.body([(START_MS, 1.0), (START_MS, 1.0)]).is_err());
        assert!(template.body([(1_000, 1.0)]).is_err());
    }
}
