//! Native histograms in Cap'n Proto; the places of their fields stand in the parent module.

use std::sync::Arc;

use capnp::primitive_list;
use thanoxide_model::histogram::{CounterResetHint, FloatHistogram, Histogram, Span};
use thanoxide_model::write_batch::{HistogramSample, HistogramValue};

use super::layout::{Fields, NewFields, Struct};
use super::{CapnprotoError, List, NewList};

pub(super) type HistogramStruct = Struct<7, 6>;
type BucketSpan = Struct<1, 0>;

const INTEGERS: u16 = 0;
const FLOATS: u16 = 1;

pub(super) fn has_custom_bounds(sample: &HistogramSample) -> bool {
    match &sample.value {
        HistogramValue::Int(histogram) => !histogram.custom_values.is_empty(),
        HistogramValue::Float(histogram) => !histogram.custom_values.is_empty(),
    }
}

pub(super) fn read(fields: &Fields<'_>) -> Result<HistogramSample, CapnprotoError> {
    let own = &fields.0;
    let counter_reset_hint = match own.get_data_field::<u16>(20) {
        1 => CounterResetHint::CounterReset,
        2 => CounterResetHint::NotCounterReset,
        3 => CounterResetHint::Gauge,
        _ => CounterResetHint::Unknown,
    };
    let (schema, sum, zero_threshold) = (own.get_data_field(3), own.get_data_field(2), own.get_data_field(3));
    let (negative_spans, positive_spans) = (spans(fields, 0)?, spans(fields, 3)?);
    let value = match own.get_data_field::<u16>(4) {
        INTEGERS => HistogramValue::Int(Arc::new(Histogram {
            counter_reset_hint,
            schema,
            zero_threshold,
            zero_count: own.get_data_field(4),
            count: own.get_data_field(0),
            sum,
            positive_spans,
            negative_spans,
            positive_buckets: numbers(fields.pointer(4)?),
            negative_buckets: numbers(fields.pointer(1)?),
            custom_values: Arc::from([]),
        })),
        _ => HistogramValue::Float(Arc::new(FloatHistogram {
            counter_reset_hint,
            schema,
            zero_threshold,
            zero_count: own.get_data_field(4),
            count: own.get_data_field(0),
            sum,
            positive_spans,
            negative_spans,
            positive_buckets: numbers(fields.pointer(5)?),
            negative_buckets: numbers(fields.pointer(2)?),
            custom_values: Arc::from([]),
        })),
    };
    Ok(HistogramSample { timestamp_ms: own.get_data_field(6), value })
}

fn numbers<T>(list: primitive_list::Reader<'_, T>) -> Vec<T>
where
    T: capnp::private::layout::PrimitiveElement,
{
    (0..list.len()).map(|place| list.get(place)).collect()
}

fn spans(fields: &Fields<'_>, place: usize) -> Result<Vec<Span>, CapnprotoError> {
    let spans: List<'_, BucketSpan> = fields.pointer(place)?;
    Ok(spans.iter().map(|span| Span { offset: span.0.get_data_field(0), length: span.0.get_data_field(1) }).collect())
}

pub(super) fn write(mut fields: NewFields<'_, 7, 6>, sample: &HistogramSample) {
    fields.0.set_data_field(6, sample.timestamp_ms);
    match &sample.value {
        HistogramValue::Int(h) => {
            write_kind(&fields, INTEGERS);
            fields.0.set_data_field(0, h.count);
            fields.0.set_data_field(4, h.zero_count);
            write_shape(&mut fields, h.counter_reset_hint, h.schema, h.sum, h.zero_threshold);
            write_spans(&mut fields, &h.negative_spans, &h.positive_spans);
            write_numbers(fields.init(1, h.negative_buckets.len()), &h.negative_buckets);
            write_numbers(fields.init(4, h.positive_buckets.len()), &h.positive_buckets);
        }
        HistogramValue::Float(h) => {
            write_kind(&fields, FLOATS);
            fields.0.set_data_field(0, h.count);
            fields.0.set_data_field(4, h.zero_count);
            write_shape(&mut fields, h.counter_reset_hint, h.schema, h.sum, h.zero_threshold);
            write_spans(&mut fields, &h.negative_spans, &h.positive_spans);
            write_numbers(fields.init(2, h.negative_buckets.len()), &h.negative_buckets);
            write_numbers(fields.init(5, h.positive_buckets.len()), &h.positive_buckets);
        }
    }
}

fn write_kind(fields: &NewFields<'_, 7, 6>, kind: u16) {
    fields.0.set_data_field(4, kind);
    fields.0.set_data_field(5, kind);
}

fn write_shape(fields: &mut NewFields<'_, 7, 6>, hint: CounterResetHint, schema: i32, sum: f64, zero_threshold: f64) {
    let hint: u16 = match hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::CounterReset => 1,
        CounterResetHint::NotCounterReset => 2,
        CounterResetHint::Gauge => 3,
    };
    fields.0.set_data_field(20, hint);
    fields.0.set_data_field(3, schema);
    fields.0.set_data_field(2, sum);
    fields.0.set_data_field(3, zero_threshold);
}

fn write_spans(fields: &mut NewFields<'_, 7, 6>, negative: &[Span], positive: &[Span]) {
    for (place, spans) in [(0, negative), (3, positive)] {
        let mut list: NewList<'_, BucketSpan> = fields.init(place, spans.len());
        for (i, span) in (0..).zip(spans) {
            let fields = list.reborrow().get(i).0;
            fields.set_data_field(0, span.offset);
            fields.set_data_field(1, span.length);
        }
    }
}

fn write_numbers<T>(mut list: primitive_list::Builder<'_, T>, numbers: &[T])
where
    T: capnp::private::layout::PrimitiveElement + Copy,
{
    (0..).zip(numbers).for_each(|(place, number)| list.set(place, *number));
}
