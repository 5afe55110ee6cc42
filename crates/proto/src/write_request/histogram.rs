//! Native histograms on the wire, the same in remote write 1.0 and 2.0.
//!
//! `count_int` 1 or `count_float` 2, `sum` 3, `schema` 4 (zigzag), `zero_threshold` 5, `zero_count_int` 6 or
//! `zero_count_float` 7, `negative_spans` 8 {`offset` 1 zigzag, `length` 2}, `negative_deltas` 9 (zigzag, packed),
//! `negative_counts` 10 (packed doubles), the same for positive ones as 11 to 13, `reset_hint` 14, `timestamp` 15,
//! `custom_values` 16 (packed doubles). 2.0 has a `start_timestamp` 17, and so it has between our nodes.

use std::sync::Arc;

use thanoxide_model::histogram::{CounterResetHint, FloatHistogram, Histogram, Span};
use thanoxide_model::write_batch::{HistogramSample, HistogramValue, WriteBatch};

use super::{Budget, DecodeError};
use crate::wire::{
    BYTES, FIXED64, Reader, VARINT, put_bytes, put_double, put_len, put_uint, put_varint, unzigzag, zigzag,
};

/// All fields of the message as they come; which kind it is shows at the end.
#[derive(Default)]
struct Fields {
    int: Histogram,
    float: FloatHistogram,
    is_float: bool,
    custom_values: Vec<f64>,
    timestamp_ms: i64,
    start_ms: i64,
}

/// Adds a histogram, and since when it counts where that is told.
pub(super) fn push(batch: &mut WriteBatch, mut message: Reader<'_>, budget: &mut Budget) -> Result<(), DecodeError> {
    // The larger of both kinds, its reference counts, and the sample around it.
    budget.charge(size_of::<Histogram>() + 2 * size_of::<usize>() + size_of::<HistogramSample>())?;
    let mut fields = Fields::default();
    while !message.is_empty() {
        let (field, wire_type) = message.tag()?;
        fields.take(field, wire_type, &mut message, budget)?;
    }
    batch.starts.set_histogram(batch.histograms.len(), fields.start_ms);
    batch.histograms.push(fields.into_sample());
    Ok(())
}

impl Fields {
    fn take(
        &mut self,
        field: u32,
        wire_type: u8,
        message: &mut Reader<'_>,
        budget: &mut Budget,
    ) -> Result<(), DecodeError> {
        let expected = match field {
            1 | 4 | 6 | 14 | 15 | 17 => VARINT,
            2 | 3 | 5 | 7 => FIXED64,
            8 | 11 => BYTES,
            9 | 12 => return deltas(self.deltas(field), field, wire_type, message, budget),
            10 | 13 | 16 => return doubles(self.doubles(field), field, wire_type, message, budget),
            _ => return Ok(message.skip(field, wire_type)?),
        };
        message.expect(field, wire_type, expected)?;
        match field {
            1 => (self.int.count, self.is_float) = (message.varint()?, false),
            2 => (self.float.count, self.is_float) = (message.double()?, true),
            3 => self.int.sum = message.double()?,
            4 => self.int.schema = unzigzag(message.varint()?) as i32,
            5 => self.int.zero_threshold = message.double()?,
            6 => self.int.zero_count = message.varint()?,
            7 => self.float.zero_count = message.double()?,
            8 => push_span(&mut self.int.negative_spans, message, budget)?,
            11 => push_span(&mut self.int.positive_spans, message, budget)?,
            14 => self.int.counter_reset_hint = hint(message.varint()?),
            17 => self.start_ms = message.varint()? as i64,
            _ => self.timestamp_ms = message.varint()? as i64,
        }
        Ok(())
    }

    fn deltas(&mut self, field: u32) -> &mut Vec<i64> {
        if field == 9 { &mut self.int.negative_buckets } else { &mut self.int.positive_buckets }
    }

    fn doubles(&mut self, field: u32) -> &mut Vec<f64> {
        match field {
            10 => &mut self.float.negative_buckets,
            13 => &mut self.float.positive_buckets,
            _ => &mut self.custom_values,
        }
    }

    fn into_sample(self) -> HistogramSample {
        let (int, custom_values) = (self.int, Arc::from(self.custom_values));
        let value = if self.is_float {
            HistogramValue::Float(Arc::new(FloatHistogram {
                counter_reset_hint: int.counter_reset_hint,
                schema: int.schema,
                zero_threshold: int.zero_threshold,
                sum: int.sum,
                positive_spans: int.positive_spans,
                negative_spans: int.negative_spans,
                custom_values,
                ..self.float
            }))
        } else {
            HistogramValue::Int(Arc::new(Histogram { custom_values, ..int }))
        };
        HistogramSample { timestamp_ms: self.timestamp_ms, value }
    }
}

/// Hints of a later version are unknown to this one.
fn hint(value: u64) -> CounterResetHint {
    match value {
        1 => CounterResetHint::CounterReset,
        2 => CounterResetHint::NotCounterReset,
        3 => CounterResetHint::Gauge,
        _ => CounterResetHint::Unknown,
    }
}

fn push_span(spans: &mut Vec<Span>, outer: &mut Reader<'_>, budget: &mut Budget) -> Result<(), DecodeError> {
    budget.charge(size_of::<Span>())?;
    let range = outer.bytes()?;
    let (mut message, mut span) = (outer.sub(range, "BucketSpan"), Span::default());
    while !message.is_empty() {
        match message.tag()? {
            (1, VARINT) => span.offset = unzigzag(message.varint()?) as i32,
            (2, VARINT) => span.length = message.varint()? as u32,
            (field @ 1..=2, wire_type) => message.expect(field, wire_type, u8::MAX)?,
            (field, wire_type) => message.skip(field, wire_type)?,
        }
    }
    spans.push(span);
    Ok(())
}

/// Packed or one by one, as protobuf allows.
fn deltas(
    into: &mut Vec<i64>,
    field: u32,
    wire_type: u8,
    message: &mut Reader<'_>,
    budget: &mut Budget,
) -> Result<(), DecodeError> {
    if wire_type == VARINT {
        budget.charge(8)?;
        into.push(unzigzag(message.varint()?));
        return Ok(());
    }
    let (start, end) = message.message(field, wire_type)?;
    let mut packed = message.sub((start, end), "bucket deltas");
    let count = packed.rest().iter().filter(|b| **b < 0x80).count();
    budget.charge(8 * count)?;
    into.reserve_exact(count);
    while !packed.is_empty() {
        into.push(unzigzag(packed.varint()?));
    }
    Ok(())
}

/// Packed or one by one, as protobuf allows.
fn doubles(
    into: &mut Vec<f64>,
    field: u32,
    wire_type: u8,
    message: &mut Reader<'_>,
    budget: &mut Budget,
) -> Result<(), DecodeError> {
    if wire_type == FIXED64 {
        budget.charge(8)?;
        into.push(message.double()?);
        return Ok(());
    }
    let (start, end) = message.message(field, wire_type)?;
    let mut packed = message.sub((start, end), "bucket counts");
    budget.charge(end - start)?;
    into.reserve_exact((end - start) / 8);
    while !packed.is_empty() {
        into.push(packed.double()?);
    }
    Ok(())
}

/// Appends the message without its head.
pub(super) fn encode(out: &mut Vec<u8>, sample: &HistogramSample, start_ms: i64) {
    match &sample.value {
        HistogramValue::Int(h) => {
            // Members of a oneof are written even where they are 0: their presence tells the kind.
            put_varint(out, 1 << 3);
            put_varint(out, h.count);
            put_common(out, h.sum, h.schema, h.zero_threshold);
            put_varint(out, 6 << 3);
            put_varint(out, h.zero_count);
            put_spans(out, 8, &h.negative_spans);
            put_deltas(out, 9, &h.negative_buckets);
            put_spans(out, 11, &h.positive_spans);
            put_deltas(out, 12, &h.positive_buckets);
            put_tail(out, h.counter_reset_hint, sample.timestamp_ms, &h.custom_values);
        }
        HistogramValue::Float(h) => {
            put_set_double(out, 2, h.count);
            put_common(out, h.sum, h.schema, h.zero_threshold);
            put_set_double(out, 7, h.zero_count);
            put_spans(out, 8, &h.negative_spans);
            put_doubles(out, 10, &h.negative_buckets);
            put_spans(out, 11, &h.positive_spans);
            put_doubles(out, 13, &h.positive_buckets);
            put_tail(out, h.counter_reset_hint, sample.timestamp_ms, &h.custom_values);
        }
    }
    put_uint(out, 17, start_ms as u64);
}

fn put_common(out: &mut Vec<u8>, sum: f64, schema: i32, zero_threshold: f64) {
    put_double(out, 3, sum);
    put_uint(out, 4, zigzag(i64::from(schema)));
    put_double(out, 5, zero_threshold);
}

fn put_tail(out: &mut Vec<u8>, hint: CounterResetHint, timestamp_ms: i64, custom_values: &[f64]) {
    put_uint(out, 14, hint as u64);
    put_uint(out, 15, timestamp_ms as u64);
    put_doubles(out, 16, custom_values);
}

fn put_set_double(out: &mut Vec<u8>, field: u32, value: f64) {
    put_varint(out, u64::from(field << 3 | u32::from(FIXED64)));
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

fn put_spans(out: &mut Vec<u8>, field: u32, spans: &[Span]) {
    for span in spans {
        let mut message = Vec::with_capacity(12);
        put_uint(&mut message, 1, zigzag(i64::from(span.offset)));
        put_uint(&mut message, 2, u64::from(span.length));
        put_bytes(out, field, &message);
    }
}

fn put_deltas(out: &mut Vec<u8>, field: u32, deltas: &[i64]) {
    if deltas.is_empty() {
        return;
    }
    put_len(out, field, deltas.iter().map(|d| crate::wire::varint_len(zigzag(*d))).sum());
    for delta in deltas {
        put_varint(out, zigzag(*delta));
    }
}

fn put_doubles(out: &mut Vec<u8>, field: u32, values: &[f64]) {
    if values.is_empty() {
        return;
    }
    put_len(out, field, 8 * values.len());
    for value in values {
        out.extend_from_slice(&value.to_bits().to_le_bytes());
    }
}
