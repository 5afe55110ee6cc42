//! Metadata of a remote write 1.0 body.

use thanoxide_model::metadata::MetricType;
use thanoxide_model::write_batch::MetadataSpan;

use super::{DecodeError, text_span};
use crate::wire::{Reader, VARINT, put_bytes, put_uint};

/// Field number of `metadata`.
pub(super) const METADATA: u32 = 3;

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

/// Appends a `metadata` field.
pub(super) fn put(out: &mut Vec<u8>, kind: MetricType, family: &[u8], help: &[u8], unit: &[u8]) {
    let mut inner = Vec::new();
    put_uint(&mut inner, 1, kind as u64);
    for (field, text) in [(2, family), (4, help), (5, unit)] {
        if !text.is_empty() {
            put_bytes(&mut inner, field, text);
        }
    }
    put_bytes(out, METADATA, &inner);
}
