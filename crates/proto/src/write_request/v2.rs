//! Remote write 2.0, `io.prometheus.write.v2.Request`.
//!
//! Layout: `symbols` 4 (every text once, the first one empty), `timeseries` 5 {`labels_refs` 1 (packed; name and value in
//! turn), `samples` 2 {`value` 1, `timestamp` 2, `start_timestamp` 3}, `histograms` 3, `exemplars` 4 {`labels_refs` 1,
//! `value` 2, `timestamp` 3}, `metadata` 5 {`type` 1, `help_ref` 3, `unit_ref` 4}}.

use bytes::Bytes;
use thanoxide_model::METRIC_NAME;
use thanoxide_model::metadata::MetricType;
use thanoxide_model::write_batch::{ExemplarSpan, LabelSpan, MetadataSpan, SeriesSpan, TextSpan, WriteBatch};

use super::{
    Budget, DecodeError, DecodeLimits, Lengths, count_fields, histogram, metadata, plain_sample, push_sample, text_span,
};
use crate::wire::{FIXED64, Reader, VARINT};

const SYMBOLS: u32 = 4;
const TIMESERIES: u32 = 5;

/// Decodes an (already decompressed) remote write 2.0 body. The batch's text is the body itself.
pub fn decode_write_request_v2(body: &Bytes, limits: &DecodeLimits) -> Result<WriteBatch, DecodeError> {
    let mut budget = Budget::new(body, limits)?;
    let message = Reader::new(body, "Request");
    let [series_count, symbol_count] = count_fields(message, [TIMESERIES, SYMBOLS], limits.max_series)?;
    budget.charge_series(series_count)?;
    // Nobody refers to the symbols of no series; the first one is looked at all the same.
    let symbols = symbols(message, if series_count == 0 { symbol_count.min(1) } else { symbol_count }, &mut budget)?;
    let batch = WriteBatch { series: Vec::with_capacity(series_count), ..WriteBatch::default() };
    let mut decoder = Decoder { body: message, symbols, batch, series_count, exemplars: Vec::new() };
    let mut rest = message;
    while decoder.batch.series.len() < series_count {
        match rest.tag()? {
            (TIMESERIES, wire_type) => {
                let span = rest.message(TIMESERIES, wire_type)?;
                decoder.series(message.sub(span, "TimeSeries"), &mut budget)?;
            }
            (field, wire_type) => rest.skip(field, wire_type)?,
        }
    }
    decoder.batch.text = body.clone();
    Ok(decoder.batch)
}

/// The first so many of the table, wherever in the body its parts lie.
fn symbols(mut message: Reader<'_>, count: usize, budget: &mut Budget) -> Result<Vec<TextSpan>, DecodeError> {
    budget.charge(count.saturating_mul(size_of::<TextSpan>()))?;
    let mut symbols = Vec::with_capacity(count);
    while symbols.len() < count {
        match message.tag()? {
            (SYMBOLS, wire_type) => {
                let (start, end) = message.message(SYMBOLS, wire_type)?;
                symbols.push(text_span(start..end));
            }
            (field, wire_type) => message.skip(field, wire_type)?,
        }
    }
    if symbols.first().is_some_and(|first| first.len != 0) { Err(DecodeError::FirstSymbol) } else { Ok(symbols) }
}

struct Decoder<'a> {
    body: Reader<'a>,
    symbols: Vec<TextSpan>,
    batch: WriteBatch,
    series_count: usize,
    /// Exemplars wait until all labels of their series are there: their own labels go behind those.
    exemplars: Vec<(usize, usize)>,
}

impl<'a> Decoder<'a> {
    fn series(&mut self, mut message: Reader<'a>, budget: &mut Budget) -> Result<(), DecodeError> {
        let start = Lengths::of(&self.batch);
        let (mut pending_name, mut metadata) = (None, None);
        loop {
            // Nearly all there is besides references.
            while let Some((sample, end)) = plain_sample(message) {
                self.batch.samples.push(sample);
                message.advance_to(end);
            }
            if message.is_empty() {
                break;
            }
            match message.tag()? {
                (1, wire_type) => self.label_refs(&mut message, wire_type, &mut pending_name)?,
                (2, wire_type) => {
                    let span = message.message(2, wire_type)?;
                    push_sample(&mut self.batch, message.sub(span, "Sample"))?;
                }
                (3, wire_type) => {
                    let span = message.message(3, wire_type)?;
                    histogram::push(&mut self.batch, message.sub(span, "Histogram"), budget)?;
                }
                (4, wire_type) => {
                    budget.charge(size_of::<ExemplarSpan>() + size_of::<(usize, usize)>())?;
                    self.exemplars.push(message.message(4, wire_type)?);
                }
                (5, wire_type) => {
                    let span = message.message(5, wire_type)?;
                    metadata = Some(self.metadata(message.sub(span, "Metadata"))?);
                }
                (field, wire_type) => message.skip(field, wire_type)?,
            }
        }
        self.refuse_odd(pending_name)?;
        let end = Lengths::of(&self.batch);
        for i in 0..self.exemplars.len() {
            let exemplar = self.exemplar(self.body.sub(self.exemplars[i], "Exemplar"))?;
            self.batch.exemplars.push(exemplar);
        }
        self.exemplars.clear();
        self.batch.series.push(SeriesSpan {
            labels: start.labels..end.labels,
            samples: start.samples..end.samples,
            histograms: start.histograms..end.histograms,
            exemplars: start.exemplars..self.batch.exemplars.len() as u32,
            ..SeriesSpan::default()
        });
        if let Some(metadata) = metadata.filter(MetadataSpan::says_something) {
            self.say(metadata, start.labels..end.labels, budget)?;
        }
        self.reserve_like_first();
        Ok(())
    }

    /// Takes the memory of all series at once, guessing that they look like the first one, within what the body can hold.
    fn reserve_like_first(&mut self) {
        if self.batch.series.len() == 1 {
            let (others, body_bytes) = (self.series_count - 1, self.body.rest().len());
            self.batch.labels.reserve_exact((self.batch.labels.len() * others).min(body_bytes / 4));
            self.batch.samples.reserve_exact((self.batch.samples.len() * others).min(body_bytes / 16));
        }
    }

    fn exemplar(&mut self, mut message: Reader<'a>) -> Result<ExemplarSpan, DecodeError> {
        let first_label = self.batch.labels.len() as u32;
        let (mut value, mut timestamp_ms, mut pending_name) = (0.0, 0, None);
        while !message.is_empty() {
            match message.tag()? {
                (1, wire_type) => self.label_refs(&mut message, wire_type, &mut pending_name)?,
                (2, FIXED64) => value = message.double()?,
                (3, VARINT) => timestamp_ms = message.varint()? as i64,
                (field @ 2..=3, wire_type) => message.expect(field, wire_type, u8::MAX)?,
                (field, wire_type) => message.skip(field, wire_type)?,
            }
        }
        self.refuse_odd(pending_name)?;
        Ok(ExemplarSpan { labels: first_label..self.batch.labels.len() as u32, timestamp_ms, value })
    }

    /// References, packed or one by one; a name waits in `pending_name` for its value.
    fn label_refs(
        &mut self,
        message: &mut Reader<'a>,
        wire_type: u8,
        pending_name: &mut Option<TextSpan>,
    ) -> Result<(), DecodeError> {
        if wire_type == VARINT {
            let symbol = message.varint()?;
            return self.label_ref(symbol, pending_name);
        }
        let span = message.message(1, wire_type)?;
        let mut packed = message.sub(span, "labels_refs");
        if pending_name.is_none() {
            while let Some((refs, end)) = pair_of_refs(packed.rest()) {
                let [name, value] = [self.symbol(refs[0])?, self.symbol(refs[1])?];
                self.batch.labels.push(LabelSpan { name, value });
                packed.advance_to(packed.pos() + end);
            }
        }
        while !packed.is_empty() {
            self.label_ref(packed.varint()?, pending_name)?;
        }
        Ok(())
    }

    fn label_ref(&mut self, symbol: u64, pending_name: &mut Option<TextSpan>) -> Result<(), DecodeError> {
        let text = self.symbol(symbol)?;
        match pending_name.take() {
            None => *pending_name = Some(text),
            Some(name) => self.batch.labels.push(LabelSpan { name, value: text }),
        }
        Ok(())
    }

    #[inline]
    fn symbol(&self, symbol: u64) -> Result<TextSpan, DecodeError> {
        match self.symbols.get(symbol as usize) {
            Some(text) if symbol <= u64::from(u32::MAX) => Ok(*text),
            _ => Err(self.out_of_range(symbol)),
        }
    }

    #[cold]
    fn out_of_range(&self, symbol: u64) -> DecodeError {
        DecodeError::SymbolOutOfRange { series: self.batch.series.len(), symbol, symbols: self.symbols.len() }
    }

    fn metadata(&self, mut message: Reader<'a>) -> Result<MetadataSpan, DecodeError> {
        let mut metadata = MetadataSpan::default();
        while !message.is_empty() {
            match message.tag()? {
                (1, VARINT) => metadata.kind = MetricType::from_number(message.varint()?),
                (3, VARINT) => metadata.help = self.symbol(message.varint()?)?,
                (4, VARINT) => metadata.unit = self.symbol(message.varint()?)?,
                (field @ 3..=4, wire_type) => message.expect(field, wire_type, VARINT)?,
                (field, wire_type) => message.skip(field, wire_type)?,
            }
        }
        Ok(metadata)
    }

    /// What is said of a series is said of its family; most series of a family follow each other.
    fn say(
        &mut self,
        metadata: MetadataSpan,
        labels: std::ops::Range<u32>,
        budget: &mut Budget,
    ) -> Result<(), DecodeError> {
        let text = |span: TextSpan| &self.body.rest()[span.start as usize..(span.start + span.len) as usize];
        let labels = &self.batch.labels[labels.start as usize..labels.end as usize];
        let Some(name) = labels.iter().find(|label| text(label.name) == METRIC_NAME.as_bytes()) else { return Ok(()) };
        let len = metadata.kind.family_of(text(name.value)).len() as u32;
        let said = MetadataSpan { family: TextSpan { len, ..name.value }, ..metadata };
        metadata::push(&mut self.batch.metadata, said, self.body.rest(), budget)
    }

    fn refuse_odd(&self, pending_name: Option<TextSpan>) -> Result<(), DecodeError> {
        match pending_name {
            Some(_) => Err(DecodeError::OddLabelRefs { series: self.batch.series.len() }),
            None => Ok(()),
        }
    }
}

/// Two references of one or two bytes each, and how many bytes they take: tables are rarely longer than 16,384 texts.
#[inline(always)]
fn pair_of_refs(packed: &[u8]) -> Option<([u64; 2], usize)> {
    let (name, first_len) = short_varint(packed)?;
    let (value, second_len) = short_varint(&packed[first_len..])?;
    Some(([name, value], first_len + second_len))
}

#[inline(always)]
fn short_varint(bytes: &[u8]) -> Option<(u64, usize)> {
    match bytes {
        [one @ 0..0x80, ..] => Some((u64::from(*one), 1)),
        [low, high @ 0..0x80, ..] => Some((u64::from(low & 0x7f) | u64::from(*high) << 7, 2)),
        _ => None,
    }
}
