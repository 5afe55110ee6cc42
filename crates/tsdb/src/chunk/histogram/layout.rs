//! What all histograms of a chunk share.
//!
//! ```text
//! zero threshold   00: 0; FF: 64 bits; any other byte b: 2^(b - 244)
//! schema           varbit
//! positive spans   unsigned varbit number, then for each: unsigned varbit length, varbit offset
//! negative spans   the same
//! custom values    only with schema -53: unsigned varbit number, then for each:
//!                  unsigned varbit (1000 times the value + 1) where that is a whole number, else 0 and 64 bits
//! ```

use std::sync::Arc;

use thanoxide_model::histogram::{CUSTOM_BUCKETS_SCHEMA, Span};

use super::super::ChunkError;
use super::native::LayoutRef;
use super::spans::bucket_count;
use crate::encoding::{BitReader, BitWriter};

/// The highest value times 1000 that is stored as a whole number.
const MAX_MILLI: f64 = 33_554_430.0;

#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    pub(super) schema: i32,
    pub(super) zero_threshold: f64,
    pub(super) spans: [Vec<Span>; 2],
    pub(super) custom_values: Arc<[f64]>,
}

impl Layout {
    pub(super) fn of(layout: LayoutRef<'_>) -> Self {
        Layout {
            schema: layout.schema,
            zero_threshold: layout.zero_threshold,
            spans: layout.spans.map(<[Span]>::to_vec),
            custom_values: Arc::clone(layout.custom_values),
        }
    }

    pub(super) fn put(&self, out: &mut BitWriter) {
        put_zero_threshold(self.zero_threshold, out);
        out.put_varbit(i64::from(self.schema));
        for spans in &self.spans {
            out.put_unsigned_varbit(spans.len() as u64);
            for span in spans {
                out.put_unsigned_varbit(u64::from(span.length));
                out.put_varbit(i64::from(span.offset));
            }
        }
        if self.schema == CUSTOM_BUCKETS_SCHEMA {
            out.put_unsigned_varbit(self.custom_values.len() as u64);
            self.custom_values.iter().for_each(|value| put_custom_value(*value, out));
        }
    }

    pub(super) fn read(bits: &mut BitReader<'_>) -> Result<Self, ChunkError> {
        let zero_threshold = read_zero_threshold(bits)?;
        let schema = bits.varbit()? as i32;
        let known = (-9..=52).contains(&schema) || schema == CUSTOM_BUCKETS_SCHEMA;
        if !known {
            return Err(ChunkError::UnknownSchema(schema));
        }
        let spans = [read_spans(bits)?, read_spans(bits)?];
        let mut custom_values = Vec::new();
        if schema == CUSTOM_BUCKETS_SCHEMA {
            for _ in 0..bits.unsigned_varbit()? {
                custom_values.push(read_custom_value(bits)?);
            }
        }
        // Each bucket of the first sample takes at least a bit: more buckets than bits are a lie, and not to be allocated.
        let buckets = bucket_count(&spans[0]).saturating_add(bucket_count(&spans[1]));
        if buckets > bits.bits_left() as u64 {
            return Err(ChunkError::BadLayout(buckets));
        }
        Ok(Layout { schema, zero_threshold, spans, custom_values: Arc::from(custom_values) })
    }
}

fn read_spans(bits: &mut BitReader<'_>) -> Result<Vec<Span>, ChunkError> {
    let mut spans = Vec::new();
    for _ in 0..bits.unsigned_varbit()? {
        let length = bits.unsigned_varbit()?;
        let length = u32::try_from(length).map_err(|_| ChunkError::BadLayout(length))?;
        spans.push(Span { length, offset: bits.varbit()? as i32 });
    }
    Ok(spans)
}

fn put_zero_threshold(threshold: f64, out: &mut BitWriter) {
    let bits = threshold.to_bits();
    // A positive power of two, 2^(b - 244) for a b of 1..=254: no fraction, and its exponent field is b + 779.
    let exponent = bits >> 52;
    if bits == 0 || threshold == 0.0 {
        out.put(0, 8);
    } else if bits << 12 == 0 && (780..=1033).contains(&exponent) {
        out.put(exponent - 779, 8);
    } else {
        out.put(0xff, 8);
        out.put_f64(threshold);
    }
}

fn read_zero_threshold(bits: &mut BitReader<'_>) -> Result<f64, ChunkError> {
    Ok(match bits.bits(8)? {
        0 => 0.0,
        0xff => bits.f64()?,
        power => f64::from_bits((power + 779) << 52),
    })
}

fn put_custom_value(value: f64, out: &mut BitWriter) {
    let milli = value * 1000.0;
    if (0.0..=MAX_MILLI).contains(&milli) && milli.round() / 1000.0 == value {
        out.put_unsigned_varbit(milli.round() as u64 + 1);
    } else {
        out.put_bit(false);
        out.put_f64(value);
    }
}

fn read_custom_value(bits: &mut BitReader<'_>) -> Result<f64, ChunkError> {
    Ok(match bits.unsigned_varbit()? {
        0 => bits.f64()?,
        milli => (milli - 1) as f64 / 1000.0,
    })
}
