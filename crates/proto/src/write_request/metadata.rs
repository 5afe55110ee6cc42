//! Metadata of a remote write 1.0 body, and the same between our nodes.

use thanoxide_model::metadata::MetricType;
use thanoxide_model::write_batch::{MetadataSpan, TextSpan, WriteBatch};

use super::{Budget, DecodeError, text_span};
use crate::wire::{Reader, VARINT, put_bytes, put_uint};

/// Field number of `metadata`.
pub(super) const METADATA: u32 = 3;
/// The same in the StoreAPI's write request: ours, stock programs read past it. Far from what stock may come to use.
pub(super) const STORE_METADATA: u32 = 1001;

/// Decodes one of them.
pub(super) fn decode(mut message: Reader<'_>) -> Result<MetadataSpan, DecodeError> {
    let mut metadata = MetadataSpan::default();
    while !message.is_empty() {
        let (field, wire_type) = message.tag()?;
        let text = match field {
            1 if wire_type == VARINT => {
                metadata.kind = MetricType::from_number(message.varint()?);
                continue;
            }
            2 => &mut metadata.family,
            4 => &mut metadata.help,
            5 => &mut metadata.unit,
            _ => {
                message.skip(field, wire_type)?;
                continue;
            }
        };
        let (start, end) = message.message(field, wire_type)?;
        *text = text_span(start..end);
    }
    Ok(metadata)
}

/// Adds what is said, unless it is what was said last: senders of remote write 2.0 say it again with each series.
pub(super) fn push(
    metadata: &mut Vec<MetadataSpan>,
    said: MetadataSpan,
    body: &[u8],
    budget: &mut Budget,
) -> Result<(), DecodeError> {
    let text = |span: TextSpan| &body[span.start as usize..(span.start + span.len) as usize];
    let same = |last: TextSpan, now: TextSpan| last == now || text(last) == text(now);
    let repeats = |last: &MetadataSpan| {
        let texts = [(last.family, said.family), (last.help, said.help), (last.unit, said.unit)];
        last.kind == said.kind && texts.into_iter().all(|(last, now)| same(last, now))
    };
    if !metadata.last().is_some_and(repeats) {
        budget.charge(size_of::<MetadataSpan>())?;
        metadata.push(said);
    }
    Ok(())
}

/// Appends all that a batch says of metrics, as fields of this number.
pub(super) fn put_all(out: &mut Vec<u8>, field: u32, batch: &WriteBatch) {
    for said in &batch.metadata {
        put(out, field, batch, said);
    }
}

fn put(out: &mut Vec<u8>, number: u32, batch: &WriteBatch, said: &MetadataSpan) {
    let mut inner = Vec::new();
    put_uint(&mut inner, 1, said.kind as u64);
    for (field, text) in [(2, said.family), (4, said.help), (5, said.unit)] {
        let text = batch.text(text);
        if !text.is_empty() {
            put_bytes(&mut inner, field, text);
        }
    }
    put_bytes(out, number, &inner);
}
