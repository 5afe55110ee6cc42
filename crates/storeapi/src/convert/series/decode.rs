//! Messages as frames.

use bytes::Bytes;
use thanoxide_proto::wire::{Reader, VARINT, WireError};
use thanoxide_tsdb::chunk::{Chunk, Encoding};

use super::{BATCH, CHUNKS, DATA, HASH, LABELS, MAX_TIME, MIN_TIME, NAME, PARTS, SERIES, TYPE, VALUE, WARNING};
use crate::convert::labels;
use crate::{AggrChunk, AggregateChunks, SeriesFrame, StoreError, StoreSeries};

/// A `thanos.SeriesResponse` as a frame; `None` is one without content for us, such as hints. Fails where the bytes are no such message, or hold
/// a chunk of an unknown type or a label of more than 16 MiB.
pub fn frame_from_message(message: &Bytes) -> Result<Option<SeriesFrame>, StoreError> {
    let mut decoder = Decoder { message, pairs: Vec::with_capacity(16), packed: Vec::with_capacity(256) };
    let (mut reader, mut frame) = (Reader::new(message, "SeriesResponse"), None);
    while !reader.is_empty() {
        let (field, wire_type) = reader.tag()?;
        if !(SERIES..=BATCH).contains(&field) {
            reader.skip(field, wire_type)?;
            continue;
        }
        let range = reader.message(field, wire_type)?;
        frame = match field {
            SERIES => Some(SeriesFrame::Series(vec![decoder.series(reader.sub(range, "Series"))?])),
            WARNING => Some(SeriesFrame::Warning(String::from_utf8_lossy(&message[range.0..range.1]).into_owned())),
            BATCH => Some(SeriesFrame::Series(decoder.batch(reader.sub(range, "SeriesBatch"))?)),
            _ => None,
        };
    }
    Ok(frame)
}

impl From<WireError> for StoreError {
    fn from(error: WireError) -> Self {
        StoreError::Internal(error.to_string())
    }
}

/// Reads series of one message.
struct Decoder<'a> {
    message: &'a Bytes,
    /// Labels of the series that is read.
    pairs: Vec<(&'a [u8], &'a [u8])>,
    packed: Vec<u8>,
}

/// A chunk's type and data, where they were.
type Part = (Encoding, Bytes);

impl<'a> Decoder<'a> {
    fn batch(&mut self, mut reader: Reader<'a>) -> Result<Vec<StoreSeries>, StoreError> {
        let mut all = Vec::new();
        while !reader.is_empty() {
            match reader.tag()? {
                (SERIES, wire_type) => {
                    let range = reader.message(SERIES, wire_type)?;
                    all.push(self.series(reader.sub(range, "Series"))?);
                }
                (field, wire_type) => reader.skip(field, wire_type)?,
            }
        }
        Ok(all)
    }

    fn series(&mut self, mut reader: Reader<'a>) -> Result<StoreSeries, StoreError> {
        self.pairs.clear();
        let mut chunks = Vec::with_capacity(1);
        while !reader.is_empty() {
            let (field, wire_type) = reader.tag()?;
            match field {
                LABELS => {
                    let range = reader.message(field, wire_type)?;
                    self.pairs.push(self.label(reader.sub(range, "Label"))?);
                }
                CHUNKS => {
                    let range = reader.message(field, wire_type)?;
                    chunks.push(self.chunk(reader.sub(range, "AggrChunk"))?);
                }
                _ => reader.skip(field, wire_type)?,
            }
        }
        Ok(StoreSeries { labels: labels::from_wire(&self.pairs, &mut self.packed)?, chunks })
    }

    fn label(&self, mut reader: Reader<'a>) -> Result<(&'a [u8], &'a [u8]), WireError> {
        let (mut name, mut value): (&[u8], &[u8]) = (&[], &[]);
        while !reader.is_empty() {
            let (field, wire_type) = reader.tag()?;
            let into = match field {
                NAME => &mut name,
                VALUE => &mut value,
                _ => {
                    reader.skip(field, wire_type)?;
                    continue;
                }
            };
            let (start, end) = reader.message(field, wire_type)?;
            *into = &self.message[start..end];
        }
        Ok((name, value))
    }

    fn chunk(&self, mut reader: Reader<'a>) -> Result<AggrChunk, StoreError> {
        let (mut min_time_ms, mut max_time_ms) = (0, 0);
        let mut parts = [const { None }; 6];
        while !reader.is_empty() {
            let (field, wire_type) = reader.tag()?;
            match field {
                MIN_TIME => min_time_ms = time_ms(&mut reader, field, wire_type)?,
                MAX_TIME => max_time_ms = time_ms(&mut reader, field, wire_type)?,
                _ if PARTS.contains(&field) => {
                    let range = reader.message(field, wire_type)?;
                    parts[(field - PARTS.start()) as usize] = Some(self.part(reader.sub(range, "Chunk"))?);
                }
                _ => reader.skip(field, wire_type)?,
            }
        }
        let chunk = |(encoding, data): Part| Chunk { min_time_ms, max_time_ms, encoding, data };
        let [raw, count, sum, min, max, counter] = parts.map(|part| part.map(chunk));
        let aggregates = AggregateChunks { count, sum, min, max, counter }.boxed();
        Ok(AggrChunk { min_time_ms, max_time_ms, raw, aggregates })
    }

    fn part(&self, mut reader: Reader<'a>) -> Result<Part, StoreError> {
        let (mut encoding, mut data) = (0, Bytes::new());
        while !reader.is_empty() {
            let (field, wire_type) = reader.tag()?;
            match field {
                TYPE => {
                    reader.expect(field, wire_type, VARINT)?;
                    encoding = reader.varint()?;
                }
                DATA => {
                    let (start, end) = reader.message(field, wire_type)?;
                    data = self.message.slice(start..end);
                }
                HASH => {
                    reader.expect(field, wire_type, VARINT)?;
                    reader.varint()?;
                }
                _ => reader.skip(field, wire_type)?,
            }
        }
        Ok((from_wire_encoding(encoding)?, data))
    }
}

/// Negative ones are written as unsigned ones of ten bytes.
fn time_ms(reader: &mut Reader<'_>, field: u32, wire_type: u8) -> Result<i64, WireError> {
    reader.expect(field, wire_type, VARINT)?;
    Ok(reader.varint()? as i64)
}

fn from_wire_encoding(encoding: u64) -> Result<Encoding, StoreError> {
    match encoding {
        0 => Ok(Encoding::Xor),
        1 => Ok(Encoding::Histogram),
        2 => Ok(Encoding::FloatHistogram),
        _ => Err(StoreError::Internal(format!("unknown chunk type {encoding} in an answer"))),
    }
}
