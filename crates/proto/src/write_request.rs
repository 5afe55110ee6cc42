//! Decoder and encoder of write requests, without a copy of any label.
//!
//! Layout of `prometheus.WriteRequest` (remote write 1.0): `timeseries` 1, `metadata` 3 {`type` 1,
//! `metric_family_name` 2, `help` 4, `unit` 5}. A `TimeSeries` has
//! `labels` 1 {`name` 1, `value` 2}, `samples` 2 {`value` 1 double, `timestamp` 2}, `exemplars` 3 {`labels` 1, `value` 2,
//! `timestamp` 3} and `histograms` 4 (see `histogram.rs`). Between our nodes a sample has its `start_timestamp` 3, as in remote
//! write 2.0, and a request may say something of metrics (`metadata.rs`); stock programs read past both. The StoreAPI's `thanos.WriteRequest` has the same series in
//! `timeseries` 1 of `tenant` 2, or in tuples {`timeseries` 1, `tenant` 2} of field 4, and `replica` 3.
//!
//! A body is passed over once to count its series, so that the series column is taken in one piece, and once more to
//! decode. Memory: a label or a sample of 16 bytes stands for at least 2 bytes on the wire; what would grow more than
//! that (series, exemplars, histograms) is charged to a budget that is a multiple of the body's length.

use std::ops::Range;

use bytes::Bytes;
use thanoxide_model::sample::Sample;
use thanoxide_model::write_batch::{ExemplarSpan, LabelSpan, SeriesSpan, TextSpan, WriteBatch};
use thiserror::Error;

use crate::wire::{BYTES, FIXED64, Reader, VARINT, WireError};

mod encode;
mod histogram;
mod metadata;
mod store;
mod v2;

pub use encode::{
    WriteRequestEncoder, encode_series, encode_store_metadata, encode_store_write_request, encode_tenant_write_request,
    encode_write_request, encode_write_tail,
};
pub use store::{StoreWriteRequest, decode_store_write_request};
pub use v2::decode_write_request_v2;

use metadata::METADATA;

/// Why a body is no write request.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes are not protobuf, or not this message.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// Text spans hold 32 bits.
    #[error("body of {0} bytes is longer than 4 GiB")]
    BodyTooLong(usize),
    /// More series than the caller takes. They are not counted to the end.
    #[error("more than {max} series in one request")]
    TooManySeries {
        /// Allowed.
        max: usize,
    },
    /// The body would grow out of proportion.
    #[error("body of {body_bytes} bytes would take more than {max_bytes} bytes of memory")]
    TooMuchMemory {
        /// Its length.
        body_bytes: usize,
        /// Allowed.
        max_bytes: usize,
    },
    /// Remote write 2.0: a reference behind the end of the symbol table.
    #[error("series {series}: symbol {symbol} is out of range of {symbols} symbols")]
    SymbolOutOfRange {
        /// Index of the series.
        series: usize,
        /// The reference.
        symbol: u64,
        /// Length of the table.
        symbols: usize,
    },
    /// Remote write 2.0: a name without a value.
    #[error("series {series}: odd number of label references")]
    OddLabelRefs {
        /// Index of the series.
        series: usize,
    },
    /// Remote write 2.0: the first symbol has to be the empty text.
    #[error("first symbol is not empty")]
    FirstSymbol,
    /// The tenant of a StoreAPI write is not UTF-8.
    #[error("tenant is not UTF-8")]
    TenantNotUtf8,
}

/// How much a body may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Most series of one request.
    pub max_series: usize,
    /// Most bytes of memory for each byte of the body (64 KiB are free).
    pub memory_per_body_byte: usize,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        DecodeLimits { max_series: 1 << 20, memory_per_body_byte: 16 }
    }
}

/// Decodes an (already decompressed) remote write 1.0 body. The batch's text is the body itself.
pub fn decode_write_request(body: &Bytes, limits: &DecodeLimits) -> Result<WriteBatch, DecodeError> {
    let mut budget = Budget::new(body, limits)?;
    let request = Reader::new(body, "WriteRequest");
    let [series_count] = count_fields(request, [TIMESERIES], limits.max_series)?;
    budget.charge_series(series_count)?;
    decode_series(body, request, series_count, &mut budget)
}

/// Field number of `timeseries` in every 1.0 layout.
const TIMESERIES: u32 = 1;

/// What a body may still ask for.
struct Budget {
    body_bytes: usize,
    max_bytes: usize,
    left_bytes: usize,
    max_series: usize,
    series: usize,
}

impl Budget {
    fn new(body: &[u8], limits: &DecodeLimits) -> Result<Self, DecodeError> {
        if u32::try_from(body.len()).is_err() {
            return Err(DecodeError::BodyTooLong(body.len()));
        }
        let max_bytes = body.len().saturating_mul(limits.memory_per_body_byte).saturating_add(64 << 10);
        let body_bytes = body.len();
        Ok(Budget { body_bytes, max_bytes, left_bytes: max_bytes, max_series: limits.max_series, series: 0 })
    }

    fn charge(&mut self, bytes: usize) -> Result<(), DecodeError> {
        let too_much = DecodeError::TooMuchMemory { body_bytes: self.body_bytes, max_bytes: self.max_bytes };
        self.left_bytes = self.left_bytes.checked_sub(bytes).ok_or(too_much)?;
        Ok(())
    }

    fn charge_series(&mut self, series: usize) -> Result<(), DecodeError> {
        self.series += series;
        if self.series > self.max_series {
            return Err(DecodeError::TooManySeries { max: self.max_series });
        }
        self.charge(series.saturating_mul(size_of::<SeriesSpan>()))
    }
}

/// How often length-prefixed fields occur. It is counted no further once there are more than `most` of the first one.
fn count_fields<const N: usize>(
    mut message: Reader<'_>,
    wanted: [u32; N],
    most: usize,
) -> Result<[usize; N], WireError> {
    let mut counts = [0; N];
    while !message.is_empty() && counts.first().is_none_or(|count| *count <= most) {
        let field = match message.skip_short() {
            Some(field) => field,
            None => {
                let (field, wire_type) = message.tag()?;
                message.skip(field, wire_type)?;
                field
            }
        };
        for (count, wanted) in counts.iter_mut().zip(wanted) {
            *count += usize::from(field == wanted);
        }
    }
    Ok(counts)
}

/// Decodes the `timeseries` and `metadata` fields of a message, all other fields are read past. The StoreAPI has a number in
/// the place of the latter.
fn decode_series(
    body: &Bytes,
    message: Reader<'_>,
    series_count: usize,
    budget: &mut Budget,
) -> Result<WriteBatch, DecodeError> {
    let mut decoder = SeriesDecoder::new(message, series_count);
    let mut rest = message;
    while !rest.is_empty() {
        match rest.tag()? {
            (TIMESERIES, wire_type) => {
                let span = rest.message(TIMESERIES, wire_type)?;
                decoder.series(message.sub(span, "TimeSeries"), budget)?;
            }
            (METADATA, BYTES) => {
                let span = rest.message(METADATA, BYTES)?;
                let said = metadata::decode(message.sub(span, "MetricMetadata"))?;
                metadata::push(&mut decoder.batch.metadata, said, body, budget)?;
            }
            (field, wire_type) => rest.skip(field, wire_type)?,
        }
    }
    decoder.batch.text = body.clone();
    Ok(decoder.batch)
}

/// Columns under construction.
struct SeriesDecoder<'a> {
    body: Reader<'a>,
    batch: WriteBatch,
    series_count: usize,
    /// Exemplars wait until all labels of their series are there: their own labels go behind those.
    exemplars: Vec<(usize, usize)>,
}

impl<'a> SeriesDecoder<'a> {
    fn new(body: Reader<'a>, series_count: usize) -> Self {
        let batch = WriteBatch { series: Vec::with_capacity(series_count), ..WriteBatch::default() };
        SeriesDecoder { body, batch, series_count, exemplars: Vec::new() }
    }

    fn series(&mut self, mut message: Reader<'a>, budget: &mut Budget) -> Result<(), DecodeError> {
        let start = Lengths::of(&self.batch);
        let mut plain = text_span(message.pos()..message.pos() + message.rest().len());
        loop {
            // Nearly all there is.
            while let Some((label, end)) = short_label(message) {
                self.batch.labels.push(label);
                message.advance_to(end);
            }
            while let Some((sample, end)) = plain_sample(message) {
                self.batch.samples.push(sample);
                message.advance_to(end);
            }
            if message.is_empty() {
                break;
            }
            plain = TextSpan::default();
            match message.tag()? {
                (1, wire_type) => {
                    let span = message.message(1, wire_type)?;
                    self.batch.labels.push(decode_label(message.sub(span, "Label"))?);
                }
                (2, wire_type) => {
                    let span = message.message(2, wire_type)?;
                    push_sample(&mut self.batch, message.sub(span, "Sample"))?;
                }
                (3, wire_type) => {
                    budget.charge(size_of::<ExemplarSpan>() + size_of::<(usize, usize)>())?;
                    self.exemplars.push(message.message(3, wire_type)?);
                }
                (4, wire_type) => {
                    let span = message.message(4, wire_type)?;
                    histogram::push(&mut self.batch, message.sub(span, "Histogram"), budget)?;
                }
                (field, wire_type) => message.skip(field, wire_type)?,
            }
        }
        let end = Lengths::of(&self.batch);
        self.exemplars()?;
        self.batch.series.push(SeriesSpan {
            labels: start.labels..end.labels,
            samples: start.samples..end.samples,
            histograms: start.histograms..end.histograms,
            exemplars: start.exemplars..self.batch.exemplars.len() as u32,
            plain,
        });
        self.reserve_like_first();
        Ok(())
    }

    /// Takes the memory of all series at once, guessing that they look like the first one. No guess is larger than what
    /// the body could hold with labels of 16 bytes and samples as short as they come.
    fn reserve_like_first(&mut self) {
        if self.batch.series.len() == 1 {
            let (others, body_bytes) = (self.series_count - 1, self.body.rest().len());
            self.batch.labels.reserve_exact((self.batch.labels.len() * others).min(body_bytes / 16));
            self.batch.samples.reserve_exact((self.batch.samples.len() * others).min(body_bytes / 16));
        }
    }

    fn exemplars(&mut self) -> Result<(), DecodeError> {
        for i in 0..self.exemplars.len() {
            let exemplar = self.exemplar(self.body.sub(self.exemplars[i], "Exemplar"))?;
            self.batch.exemplars.push(exemplar);
        }
        self.exemplars.clear();
        Ok(())
    }

    fn exemplar(&mut self, mut message: Reader<'a>) -> Result<ExemplarSpan, DecodeError> {
        let first_label = self.batch.labels.len() as u32;
        let (mut value, mut timestamp_ms) = (0.0, 0);
        while !message.is_empty() {
            match message.tag()? {
                (1, wire_type) => {
                    let span = message.message(1, wire_type)?;
                    let label = decode_label(message.sub(span, "Label"))?;
                    self.batch.labels.push(label);
                }
                (2, FIXED64) => value = message.double()?,
                (3, VARINT) => timestamp_ms = message.varint()? as i64,
                (field @ 2..=3, wire_type) => message.expect(field, wire_type, u8::MAX)?,
                (field, wire_type) => message.skip(field, wire_type)?,
            }
        }
        Ok(ExemplarSpan { labels: first_label..self.batch.labels.len() as u32, timestamp_ms, value })
    }
}

/// Lengths of the columns, where a series begins or ends.
struct Lengths {
    labels: u32,
    samples: u32,
    histograms: u32,
    exemplars: u32,
}

impl Lengths {
    fn of(batch: &WriteBatch) -> Self {
        Lengths {
            labels: batch.labels.len() as u32,
            samples: batch.samples.len() as u32,
            histograms: batch.histograms.len() as u32,
            exemplars: batch.exemplars.len() as u32,
        }
    }
}

/// A label in its usual form (a name and a value, in this order, with all lengths below 128), and where it ends.
#[inline(always)]
fn short_label(message: Reader<'_>) -> Option<(LabelSpan, usize)> {
    let [0x0a, len, 0x0a, name_len, rest @ ..] = message.rest() else { return None };
    let (len, name_len) = (usize::from(*len), usize::from(*name_len));
    let [0x12, value_len, value @ ..] = rest.get(name_len..)? else { return None };
    let value_len = usize::from(*value_len);
    // The sum is below 128 only where all three lengths are one byte.
    if len != name_len + value_len + 4 || len >= 0x80 || value_len > value.len() {
        return None;
    }
    let name_start = message.pos() as u32 + 4;
    let name = TextSpan { start: name_start, len: name_len as u32 };
    let value = TextSpan { start: name.start + name.len + 2, len: value_len as u32 };
    Some((LabelSpan { name, value }, message.pos() + 2 + len))
}

/// A sample in its usual form (a value, then a positive time), and where it ends.
#[inline(always)]
fn plain_sample(message: Reader<'_>) -> Option<(Sample, usize)> {
    let [0x12, len @ 11..0x80, 0x09, rest @ ..] = message.rest() else { return None };
    let (value, rest) = rest.split_first_chunk::<8>()?;
    let time = rest.get(..usize::from(*len) - 9)?;
    let [0x10, time @ .., last @ 0..0x80] = time else { return None };
    if time.len() > 7 {
        return None;
    }
    let mut timestamp_ms = 0;
    for (i, byte) in time.iter().enumerate() {
        if *byte < 0x80 {
            return None;
        }
        timestamp_ms |= i64::from(byte & 0x7f) << (7 * i);
    }
    timestamp_ms |= i64::from(*last) << (7 * time.len());
    let value = f64::from_bits(u64::from_le_bytes(*value));
    Some((Sample { timestamp_ms, value }, message.pos() + 2 + usize::from(*len)))
}

/// A label in any form.
fn decode_label(mut message: Reader<'_>) -> Result<LabelSpan, WireError> {
    let mut label = LabelSpan::default();
    while !message.is_empty() {
        let (field, wire_type) = message.tag()?;
        let text = match field {
            1 => &mut label.name,
            2 => &mut label.value,
            _ => {
                message.skip(field, wire_type)?;
                continue;
            }
        };
        let (start, end) = message.message(field, wire_type)?;
        *text = text_span(start..end);
    }
    Ok(label)
}

/// A body is shorter than 4 GiB (checked by [`Budget::new`]), so that all its positions fit.
#[inline]
fn text_span(range: Range<usize>) -> TextSpan {
    TextSpan { start: range.start as u32, len: range.len() as u32 }
}

/// Adds a sample in any form, and since when it counts where that is told.
#[inline]
fn push_sample(batch: &mut WriteBatch, mut message: Reader<'_>) -> Result<(), WireError> {
    let (mut sample, mut start_ms) = (Sample::default(), 0);
    while !message.is_empty() {
        match message.tag()? {
            (1, FIXED64) => sample.value = message.double()?,
            (2, VARINT) => sample.timestamp_ms = message.varint()? as i64,
            (3, VARINT) => start_ms = message.varint()? as i64,
            (field @ 1..=2, wire_type) => message.expect(field, wire_type, u8::MAX)?,
            (field, wire_type) => message.skip(field, wire_type)?,
        }
    }
    batch.starts.set_sample(batch.samples.len(), start_ms);
    batch.samples.push(sample);
    Ok(())
}

#[cfg(test)]
mod tests;
