//! Native histograms in records.
//!
//! ```text
//! histogram := hint u8 | varint schema | zero threshold f64 | uvarint zero count | uvarint count | sum f64
//!              | spans positive | spans negative | buckets positive | buckets negative | custom bounds
//! spans     := uvarint n | (varint offset | uvarint length)*
//! buckets   := uvarint n | (varint delta)*
//! custom    := uvarint n | (f64)*                          only with schema -53
//! ```
//! A float histogram has f64 for its counts and buckets.

use std::sync::Arc;

use thanoxide_model::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, Span};
use thanoxide_model::write_batch::HistogramValue;
use thanoxide_model::{FloatHistogram, Histogram};

use crate::encoding::{DecodeError, Put, Reader};

/// Appends a histogram of either kind.
pub fn push_histogram(out: &mut Vec<u8>, value: &HistogramValue) {
    match value {
        HistogramValue::Int(h) => {
            push_head(out, h.counter_reset_hint, h.schema, h.zero_threshold);
            out.put_uvarint(h.zero_count);
            out.put_uvarint(h.count);
            out.put_f64(h.sum);
            push_spans(out, &h.positive_spans);
            push_spans(out, &h.negative_spans);
            push_list(out, &h.positive_buckets, |out, delta| out.put_varint(*delta));
            push_list(out, &h.negative_buckets, |out, delta| out.put_varint(*delta));
            push_custom(out, h.schema, &h.custom_values);
        }
        HistogramValue::Float(h) => {
            push_head(out, h.counter_reset_hint, h.schema, h.zero_threshold);
            out.put_f64(h.zero_count);
            out.put_f64(h.count);
            out.put_f64(h.sum);
            push_spans(out, &h.positive_spans);
            push_spans(out, &h.negative_spans);
            push_list(out, &h.positive_buckets, |out, count| out.put_f64(*count));
            push_list(out, &h.negative_buckets, |out, count| out.put_f64(*count));
            push_custom(out, h.schema, &h.custom_values);
        }
    }
}

fn push_head(out: &mut Vec<u8>, hint: CounterResetHint, schema: i32, zero_threshold: f64) {
    out.put_u8(match hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::CounterReset => 1,
        CounterResetHint::NotCounterReset => 2,
        CounterResetHint::Gauge => 3,
    });
    out.put_varint(i64::from(schema));
    out.put_f64(zero_threshold);
}

fn push_spans(out: &mut Vec<u8>, spans: &[Span]) {
    push_list(out, spans, |out, span| {
        out.put_varint(i64::from(span.offset));
        out.put_uvarint(u64::from(span.length));
    });
}

fn push_custom(out: &mut Vec<u8>, schema: i32, bounds: &[f64]) {
    if schema == CUSTOM_BUCKETS_SCHEMA {
        push_list(out, bounds, |out, bound| out.put_f64(*bound));
    }
}

fn push_list<T>(out: &mut Vec<u8>, list: &[T], mut push: impl FnMut(&mut Vec<u8>, &T)) {
    out.put_uvarint(list.len() as u64);
    for item in list {
        push(out, item);
    }
}

/// Reads an integer histogram.
pub fn read_histogram(reader: &mut Reader<'_>) -> Result<HistogramValue, DecodeError> {
    let (counter_reset_hint, schema, zero_threshold) = read_head(reader)?;
    let (zero_count, count, sum) = (reader.uvarint()?, reader.uvarint()?, reader.f64()?);
    Ok(HistogramValue::Int(Arc::new(Histogram {
        counter_reset_hint,
        schema,
        zero_threshold,
        zero_count,
        count,
        sum,
        positive_spans: read_spans(reader)?,
        negative_spans: read_spans(reader)?,
        positive_buckets: read_list(reader, 1, Reader::varint)?,
        negative_buckets: read_list(reader, 1, Reader::varint)?,
        custom_values: read_custom(reader, schema)?,
    })))
}

/// Reads a float histogram.
pub fn read_float_histogram(reader: &mut Reader<'_>) -> Result<HistogramValue, DecodeError> {
    let (counter_reset_hint, schema, zero_threshold) = read_head(reader)?;
    let (zero_count, count, sum) = (reader.f64()?, reader.f64()?, reader.f64()?);
    Ok(HistogramValue::Float(Arc::new(FloatHistogram {
        counter_reset_hint,
        schema,
        zero_threshold,
        zero_count,
        count,
        sum,
        positive_spans: read_spans(reader)?,
        negative_spans: read_spans(reader)?,
        positive_buckets: read_list(reader, 8, Reader::f64)?,
        negative_buckets: read_list(reader, 8, Reader::f64)?,
        custom_values: read_custom(reader, schema)?,
    })))
}

fn read_head(reader: &mut Reader<'_>) -> Result<(CounterResetHint, i32, f64), DecodeError> {
    let hint = match reader.u8()? {
        1 => CounterResetHint::CounterReset,
        2 => CounterResetHint::NotCounterReset,
        3 => CounterResetHint::Gauge,
        _ => CounterResetHint::Unknown,
    };
    let schema = i32::try_from(reader.varint()?).map_err(|_| DecodeError::VarintOverflow(32))?;
    Ok((hint, schema, reader.f64()?))
}

fn read_spans(reader: &mut Reader<'_>) -> Result<Vec<Span>, DecodeError> {
    read_list(reader, 2, |r| {
        let offset = i32::try_from(r.varint()?).map_err(|_| DecodeError::VarintOverflow(32))?;
        Ok(Span { offset, length: r.uvarint32()? })
    })
}

fn read_custom(reader: &mut Reader<'_>, schema: i32) -> Result<Arc<[f64]>, DecodeError> {
    if schema != CUSTOM_BUCKETS_SCHEMA {
        return Ok(Arc::from([].as_slice()));
    }
    read_list(reader, 8, Reader::f64).map(Arc::from)
}

/// Reads a counted list whose items take at least `item_bytes` each, so that a lie is told before memory is taken.
fn read_list<'a, T>(
    reader: &mut Reader<'a>,
    item_bytes: usize,
    mut read: impl FnMut(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = reader.uvarint_len()?;
    if count > reader.len() / item_bytes {
        return Err(DecodeError::UnexpectedEnd);
    }
    let mut list = Vec::with_capacity(count);
    for _ in 0..count {
        list.push(read(reader)?);
    }
    Ok(list)
}
