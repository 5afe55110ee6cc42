//! Native histograms as the API gives them: `{"count":"…","sum":"…","buckets":[[kind,"lower","upper","count"],…]}`.
//!
//! Kind and bounds of a bucket follow from resolution, zero bucket and index, and histograms of one answer mostly agree in
//! the first two: the text `,[kind,"lower","upper","` is made once for each index, and copied from then on.

use std::sync::Arc;

use thanoxide_model::FloatHistogram;
use thanoxide_model::histogram::Bucket;

use super::number::{NUMBER_BYTES, put_value};

/// Longer than `,[0,"-2.2250738585072014e-308","-2.2250738585072014e-308","`.
const BOUNDS_BYTES: usize = 64;
/// A bucket with its count and `"]`.
const BUCKET_BYTES: usize = BOUNDS_BYTES + NUMBER_BYTES + 2;
/// Buckets in a block.
const BLOCK_BUCKETS: usize = 16;
/// Texts are kept for indexes that lie no further apart.
const MAX_TEXTS: i64 = 8192;

/// Writes histograms, with what it learns about their bounds.
#[derive(Debug)]
pub(super) struct HistogramWriter {
    shape: Shape,
    negative: Texts,
    positive: Texts,
    zero: Option<BoundsText>,
    block: Vec<u8>,
}

/// What bounds follow from, besides indexes.
#[derive(Clone, Debug, Default)]
struct Shape {
    schema: i32,
    zero_threshold: f64,
    custom_values: Arc<[f64]>,
}

/// `,[kind,"lower","upper","`.
#[derive(Clone, Copy, Debug)]
struct BoundsText {
    bytes: [u8; BOUNDS_BYTES],
    /// 0 where the text is not known yet.
    length: usize,
}

/// The texts of one side's buckets.
#[derive(Debug, Default)]
struct Texts {
    /// The index of the first one.
    first: i64,
    texts: Vec<BoundsText>,
}

impl Default for HistogramWriter {
    fn default() -> Self {
        HistogramWriter {
            shape: Shape::default(),
            negative: Texts::default(),
            positive: Texts::default(),
            zero: None,
            block: vec![0; BLOCK_BUCKETS * BUCKET_BYTES],
        }
    }
}

impl Shape {
    fn is_of(&self, histogram: &FloatHistogram) -> bool {
        self.schema == histogram.schema
            && self.zero_threshold.to_bits() == histogram.zero_threshold.to_bits()
            && self.custom_values == histogram.custom_values
    }

    fn of(histogram: &FloatHistogram) -> Self {
        Shape {
            schema: histogram.schema,
            zero_threshold: histogram.zero_threshold,
            custom_values: Arc::clone(&histogram.custom_values),
        }
    }
}

impl BoundsText {
    const UNKNOWN: BoundsText = BoundsText { bytes: [0; BOUNDS_BYTES], length: 0 };

    fn of(bucket: Bucket) -> Self {
        let mut text = BoundsText::UNKNOWN;
        text.push(b",[");
        text.push(&[b'0' + bucket.boundaries()]);
        text.push(b",\"");
        text.push_number(bucket.lower);
        text.push(b"\",\"");
        text.push_number(bucket.upper);
        text.push(b"\",\"");
        text
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    fn push_number(&mut self, value: f64) {
        let mut number = [0; NUMBER_BYTES];
        let length = put_value(&mut number, value);
        self.push(&number[..length]);
    }
}

impl Texts {
    /// The text of an index.
    fn get(&mut self, index: i64, make: impl FnOnce() -> BoundsText) -> &BoundsText {
        if !(0..self.texts.len() as i64).contains(&(index - self.first)) {
            self.make_room(index);
        }
        let text = &mut self.texts[(index - self.first) as usize];
        if text.length == 0 {
            *text = make();
        }
        text
    }

    fn make_room(&mut self, index: i64) {
        let end = self.first + self.texts.len() as i64;
        if self.texts.is_empty() || end.max(index) - self.first.min(index) >= MAX_TEXTS {
            (self.first, self.texts) = (index, vec![BoundsText::UNKNOWN]);
        } else if index < self.first {
            let more = (self.first - index) as usize;
            self.texts.splice(0..0, std::iter::repeat_n(BoundsText::UNKNOWN, more));
            self.first = index;
        } else {
            self.texts.resize((index - self.first) as usize + 1, BoundsText::UNKNOWN);
        }
    }
}

impl HistogramWriter {
    /// Appends a histogram.
    pub(super) fn write(&mut self, out: &mut Vec<u8>, histogram: &FloatHistogram) {
        if !self.shape.is_of(histogram) {
            let shape = Shape::of(histogram);
            *self = HistogramWriter { shape, block: std::mem::take(&mut self.block), ..HistogramWriter::default() };
        }
        out.extend_from_slice(b"{\"count\":\"");
        push_value(out, histogram.count);
        out.extend_from_slice(b"\",\"sum\":\"");
        push_value(out, histogram.sum);
        out.push(b'"');
        self.buckets(out, histogram);
        out.push(b'}');
    }

    /// The buckets that are not empty, ascending; nothing where all are.
    fn buckets(&mut self, out: &mut Vec<u8>, histogram: &FloatHistogram) {
        let mut block = Block { bytes: &mut self.block, length: 0, is_first: true };
        for (index, count) in histogram.negative_counts().rev().filter(|(_, count)| *count != 0.0) {
            let text = self.negative.get(index, || BoundsText::of(histogram.bucket_at(false, index)));
            block.push(out, text, count);
        }
        if histogram.zero_count > 0.0 {
            let text = self.zero.get_or_insert_with(|| BoundsText::of(histogram.zero_bucket()));
            block.push(out, text, histogram.zero_count);
        }
        for (index, count) in histogram.positive_counts().filter(|(_, count)| *count != 0.0) {
            let text = self.positive.get(index, || BoundsText::of(histogram.bucket_at(true, index)));
            block.push(out, text, count);
        }
        block.flush(out);
        if !block.is_first {
            out.push(b']');
        }
    }
}

/// Buckets are put together in a block of fixed size before they are appended.
struct Block<'a> {
    bytes: &'a mut [u8],
    length: usize,
    /// Nothing has been appended yet.
    is_first: bool,
}

impl Block<'_> {
    fn push(&mut self, out: &mut Vec<u8>, bounds: &BoundsText, count: f64) {
        let Block { bytes, length, .. } = self;
        bytes[*length..*length + BOUNDS_BYTES].copy_from_slice(&bounds.bytes);
        *length += bounds.length;
        *length += put_value(&mut bytes[*length..], count);
        bytes[*length..*length + 2].copy_from_slice(b"\"]");
        *length += 2;
        if *length > (BLOCK_BUCKETS - 1) * BUCKET_BYTES {
            self.flush(out);
        }
    }

    /// The name goes before the first bucket, whose comma is left out.
    fn flush(&mut self, out: &mut Vec<u8>) {
        if self.length > 0 && self.is_first {
            out.extend_from_slice(b",\"buckets\":[");
        }
        out.extend_from_slice(&self.bytes[usize::from(self.is_first).min(self.length)..self.length]);
        self.is_first &= self.length == 0;
        self.length = 0;
    }
}

fn push_value(out: &mut Vec<u8>, value: f64) {
    let mut number = [0; NUMBER_BYTES];
    let length = put_value(&mut number, value);
    out.extend_from_slice(&number[..length]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use thanoxide_model::histogram::{CUSTOM_BUCKETS_SCHEMA, Span};

    fn histogram(schema: i32, offset: i32, counts: &[f64]) -> FloatHistogram {
        let length = counts.len() as u32;
        FloatHistogram {
            schema,
            count: 12.5,
            sum: -1e-9,
            positive_spans: vec![Span { offset, length }],
            positive_buckets: counts.to_vec(),
            ..FloatHistogram::default()
        }
    }

    #[test]
    fn texts_are_those_made_one_by_one() {
        let mut writer = HistogramWriter::default();
        let many: Vec<f64> = (0..300).map(|n| f64::from(n % 7) / 3.0).collect();
        let mut all = vec![FloatHistogram::default(), histogram(0, 0, &[0.0]), histogram(8, -150, &many)];
        for offset in [0, -7, 9000, 20, -2_000_000_000, 2_000_000_000] {
            all.push(histogram(3, offset, &[1.0, 0.0, f64::NAN, 2e300]));
        }
        let mut negative = histogram(1, 1, &[1.0, 2.0]);
        negative.negative_spans = vec![Span { offset: -4, length: 2 }, Span { offset: 3, length: 1 }];
        negative.negative_buckets = vec![3.0, 4.0, 5.0];
        let zero = FloatHistogram { zero_threshold: 0.3, zero_count: 2.0, ..negative.clone() };
        let custom = FloatHistogram {
            custom_values: vec![-1.0, 2.5].into(),
            ..histogram(CUSTOM_BUCKETS_SCHEMA, 0, &[1.0, 2.0, 3.0])
        };
        let wider = FloatHistogram { custom_values: vec![-2.0, 2.5].into(), ..custom.clone() };
        all.extend([negative, zero.clone(), FloatHistogram { zero_count: 0.0, ..zero }, custom, wider]);
        for histogram in all.iter().chain(all.iter().rev()) {
            let mut slow = String::new();
            histogram.push_json(&mut slow);
            let mut out = b"x".to_vec();
            writer.write(&mut out, histogram);
            assert_eq!(String::from_utf8(out).unwrap(), format!("x{slow}"));
        }
    }
}
