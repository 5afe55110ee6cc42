//! The write request of Thanos's Cap'n Proto replication, read into a batch and written from one.
//!
//! Places of fields (data in elements of their size, then pointers), from Thanos's schema `0x85d3acc39d94e0f8`:
//! ```text
//! WriteRequest  p0 symbols, p1 timeSeries [], p2 tenant, p3 data []         (p1 and p2 are the older layout)
//!   data element  p0 timeSeries [], p1 tenant
//!   Symbols       p0 data (all texts), p1 offsets [u32] (where each ends)
//!   TimeSeries    p0 labels [], p1 samples [], p2 histograms [], p3 exemplars []
//!   Label         u32 0 name, u32 1 value (indexes of symbols)
//!   Sample        i64 0 timestamp, f64 1 value
//!   Exemplar      f64 0 value, i64 1 timestamp, p0 labels []
//!   Histogram     64-bit 0 count, u16 4 kind of count, u16 5 kind of zero count, i32 3 schema, f64 2 sum, f64 3 zero
//!                 threshold, 64-bit 4 zero count, u16 20 reset hint, i64 6 timestamp, p0..p2 negative spans [], deltas [],
//!                 counts [], p3..p5 positive ones. Kind 0 is integers, 1 floats. Custom bounds have no place.
//!   BucketSpan    i32 0 offset, u32 1 length
//! ```

mod histogram;
pub mod layout;

use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;
use capnp::{primitive_list, struct_list};
use layout::{Fields, NewFields, Struct};
use thanoxide_model::sample::Sample;
use thanoxide_model::write_batch::{ExemplarSpan, LabelSpan, SeriesSpan, TextSpan, WriteBatch};
use thiserror::Error;

use crate::write_request::{DecodeLimits, StoreWriteRequest};

type TenantData = Struct<0, 2>;
type TimeSeries = Struct<0, 4>;
type Label = Struct<1, 0>;
type SampleStruct = Struct<2, 0>;
type Exemplar = Struct<2, 1>;

type List<'a, T> = struct_list::Reader<'a, T>;
type NewList<'a, T> = struct_list::Builder<'a, T>;

/// Why a message is no write request.
#[derive(Clone, Debug, Error)]
pub enum CapnprotoError {
    /// The message is broken.
    #[error("Cap'n Proto: {0}")]
    Message(#[from] capnp::Error),
    /// A text lies outside the symbols.
    #[error("Cap'n Proto: symbol {symbol} of {symbols} does not exist or ends outside the data")]
    Symbol {
        /// Its index.
        symbol: u32,
        /// How many there are.
        symbols: u32,
    },
    /// More series than are taken.
    #[error("{series} series in one request, the limit is {max}")]
    TooManySeries {
        /// In the request.
        series: usize,
        /// Allowed.
        max: usize,
    },
    /// Longer than spans can say.
    #[error("symbols of {0} bytes")]
    TooLong(usize),
}

/// Reads a `WriteRequest` in either layout.
pub fn read_write_request(request: &Fields<'_>, limits: &DecodeLimits) -> Result<StoreWriteRequest, CapnprotoError> {
    let symbols = Symbols::read(&request.pointer(0)?)?;
    let mut parts: Vec<(String, List<'_, TimeSeries>)> = Vec::new();
    let older: List<'_, TimeSeries> = request.pointer(1)?;
    if !older.is_empty() {
        parts.push((text(request, 2)?, older));
    }
    let newer: List<'_, TenantData> = request.pointer(3)?;
    if newer.len() as usize > limits.max_series {
        return Err(CapnprotoError::TooManySeries { series: newer.len() as usize, max: limits.max_series });
    }
    for part in newer.iter() {
        parts.push((text(&part, 1)?, part.pointer(0)?));
    }
    let series = parts.iter().map(|(_, series)| series.len() as usize).sum();
    if series > limits.max_series {
        return Err(CapnprotoError::TooManySeries { series, max: limits.max_series });
    }
    let tenants = parts.into_iter().map(|(tenant, series)| Ok((tenant, symbols.batch(series)?)));
    Ok(StoreWriteRequest { tenants: tenants.collect::<Result<_, CapnprotoError>>()?, replica: 0 })
}

fn text(fields: &Fields<'_>, place: usize) -> Result<String, CapnprotoError> {
    let text: capnp::text::Reader<'_> = fields.pointer(place)?;
    Ok(text.to_str().map_err(|e| capnp::Error::failed(e.to_string()))?.to_string())
}

/// All texts of a request.
struct Symbols {
    data: Bytes,
    spans: Vec<TextSpan>,
}

impl Symbols {
    fn read(fields: &Fields<'_>) -> Result<Self, CapnprotoError> {
        let data: capnp::data::Reader<'_> = fields.pointer(0)?;
        let ends: primitive_list::Reader<'_, u32> = fields.pointer(1)?;
        if u32::try_from(data.len()).is_err() {
            return Err(CapnprotoError::TooLong(data.len()));
        }
        let mut start = 0;
        let mut spans = Vec::with_capacity(ends.len() as usize);
        for symbol in 0..ends.len() {
            let end = ends.get(symbol);
            if end < start || end as usize > data.len() {
                return Err(CapnprotoError::Symbol { symbol, symbols: ends.len() });
            }
            spans.push(TextSpan { start, len: end - start });
            start = end;
        }
        Ok(Symbols { data: Bytes::copy_from_slice(data), spans })
    }

    fn span(&self, symbol: u32) -> Result<TextSpan, CapnprotoError> {
        let missing = CapnprotoError::Symbol { symbol, symbols: self.spans.len() as u32 };
        self.spans.get(symbol as usize).copied().ok_or(missing)
    }

    fn labels(&self, labels: List<'_, Label>, into: &mut Vec<LabelSpan>) -> Result<Range<u32>, CapnprotoError> {
        let start = into.len() as u32;
        for label in labels.iter() {
            let (name, value) = (label.0.get_data_field(0), label.0.get_data_field(1));
            into.push(LabelSpan { name: self.span(name)?, value: self.span(value)? });
        }
        Ok(start..into.len() as u32)
    }

    fn batch(&self, all: List<'_, TimeSeries>) -> Result<WriteBatch, CapnprotoError> {
        let mut batch = WriteBatch { text: self.data.clone(), ..WriteBatch::default() };
        batch.series.reserve_exact(all.len() as usize);
        for series in all.iter() {
            let labels = self.labels(series.pointer(0)?, &mut batch.labels)?;
            let (samples, histograms) = (batch.samples.len() as u32, batch.histograms.len() as u32);
            let exemplars = batch.exemplars.len() as u32;
            for sample in series.pointer::<List<'_, SampleStruct>>(1)?.iter() {
                let (timestamp_ms, value) = (sample.0.get_data_field(0), sample.0.get_data_field(1));
                batch.samples.push(Sample { timestamp_ms, value });
            }
            for histogram in series.pointer::<List<'_, histogram::HistogramStruct>>(2)?.iter() {
                batch.histograms.push(histogram::read(&histogram)?);
            }
            for exemplar in series.pointer::<List<'_, Exemplar>>(3)?.iter() {
                let labels = self.labels(exemplar.pointer(0)?, &mut batch.labels)?;
                let (value, timestamp_ms) = (exemplar.0.get_data_field(0), exemplar.0.get_data_field(1));
                batch.exemplars.push(ExemplarSpan { labels, timestamp_ms, value });
            }
            batch.series.push(SeriesSpan {
                labels,
                samples: samples..batch.samples.len() as u32,
                histograms: histograms..batch.histograms.len() as u32,
                exemplars: exemplars..batch.exemplars.len() as u32,
                ..SeriesSpan::default()
            });
        }
        Ok(batch)
    }
}

/// Whether a batch has a histogram whose bounds would be lost.
pub fn loses_bounds(batch: &WriteBatch) -> bool {
    batch.histograms.iter().any(histogram::has_custom_bounds)
}

/// Writes some series of a batch for a tenant, in the layout that every version reads.
pub fn write_write_request(
    mut request: NewFields<'_, 0, 3>,
    tenant: &str,
    batch: &WriteBatch,
    series: impl ExactSizeIterator<Item = usize>,
) {
    let mut tenant_text: capnp::text::Builder<'_> = request.init(2, tenant.len());
    tenant_text.push_str(tenant);
    let mut symbols = NewSymbols { batch, ends: Vec::new(), data: Vec::new(), known: HashMap::new() };
    let mut all: NewList<'_, TimeSeries> = request.init(1, series.len());
    for (place, index) in series.enumerate() {
        symbols.series(all.reborrow().get(place as u32), &batch.series[index]);
    }
    let mut table: NewFields<'_, 0, 2> = request.init(0, 0);
    let mut ends: primitive_list::Builder<'_, u32> = table.init(1, symbols.ends.len());
    (0..).zip(&symbols.ends).for_each(|(place, end)| ends.set(place, *end));
    let data: capnp::data::Builder<'_> = table.init(0, symbols.data.len());
    data.copy_from_slice(&symbols.data);
}

/// The texts of a request while it is written, each once.
struct NewSymbols<'a> {
    batch: &'a WriteBatch,
    ends: Vec<u32>,
    data: Vec<u8>,
    known: HashMap<&'a [u8], u32>,
}

impl<'a> NewSymbols<'a> {
    fn symbol(&mut self, text: &'a [u8]) -> u32 {
        *self.known.entry(text).or_insert_with(|| {
            self.data.extend_from_slice(text);
            self.ends.push(self.data.len() as u32);
            self.ends.len() as u32 - 1
        })
    }

    fn labels(&mut self, mut list: NewList<'_, Label>, labels: &[LabelSpan]) {
        let batch = self.batch;
        for (place, label) in (0..).zip(labels) {
            let (name, value) = (self.symbol(batch.text(label.name)), self.symbol(batch.text(label.value)));
            let fields = list.reborrow().get(place).0;
            fields.set_data_field(0, name);
            fields.set_data_field(1, value);
        }
    }

    fn series(&mut self, mut fields: NewFields<'_, 0, 4>, series: &SeriesSpan) {
        let batch = self.batch;
        let labels = &batch.labels[series.labels.start as usize..series.labels.end as usize];
        self.labels(fields.init(0, labels.len()), labels);
        let mut samples: NewList<'_, SampleStruct> = fields.init(1, series.samples.len());
        for (place, sample) in (0..).zip(batch.samples_of(series)) {
            let fields = samples.reborrow().get(place).0;
            fields.set_data_field(0, sample.timestamp_ms);
            fields.set_data_field(1, sample.value);
        }
        if !series.histograms.is_empty() {
            let mut histograms: NewList<'_, histogram::HistogramStruct> = fields.init(2, series.histograms.len());
            for (place, sample) in (0..).zip(batch.histograms_of(series)) {
                histogram::write(histograms.reborrow().get(place), sample);
            }
        }
        if !series.exemplars.is_empty() {
            let exemplars: NewList<'_, Exemplar> = fields.init(3, series.exemplars.len());
            self.exemplars(exemplars, batch.exemplars_of(series));
        }
    }

    fn exemplars(&mut self, mut list: NewList<'_, Exemplar>, exemplars: &[ExemplarSpan]) {
        for (place, exemplar) in (0..).zip(exemplars) {
            let mut fields = list.reborrow().get(place);
            fields.0.set_data_field(0, exemplar.value);
            fields.0.set_data_field(1, exemplar.timestamp_ms);
            let labels = &self.batch.labels[exemplar.labels.start as usize..exemplar.labels.end as usize];
            self.labels(fields.init(0, labels.len()), labels);
        }
    }
}

#[cfg(test)]
mod tests;
