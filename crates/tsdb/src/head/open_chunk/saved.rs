//! An open chunk put to rest, to the bit.
//!
//! ```text
//! open   := u8 0 | (u8 1, times, appender of floats | u8 7, times, uvarint bytes in pieces, appender | u8 2 or 3, times, u8 end known, str bytes, histogram
//!         | u8 4, times, str bytes | u8 5 or 6, as 2 or 3 with start times)
//! times  := varint first | uvarint last - first | varint next cut
//! ```

use std::sync::Arc;

use thanoxide_model::write_batch::HistogramValue;

use super::{Histograms, OpenChunk, Samples, StartedFloats};
use crate::chunk::ChunkError;
use crate::chunk::xor::XorAppender;
use crate::encoding::{DecodeError, Put, Reader};
use crate::wal::histogram_record::{push_histogram, read_float_histogram, read_histogram};

const NONE: u8 = 0;
const FLOATS: u8 = 1;
const INTS: u8 = 2;
const FLOAT_HISTOGRAMS: u8 = 3;
const STARTED_FLOATS: u8 = 4;
const STARTED_INTS: u8 = 5;
const STARTED_FLOAT_HISTOGRAMS: u8 = 6;
/// Floats whose first bytes are in the pieces before.
const FLOATS_BEHIND: u8 = 7;

/// Puts a series' open chunk to rest.
pub(crate) fn save(open: Option<&OpenChunk>, out: &mut Vec<u8>) {
    let Some(open) = open else { return out.put_u8(NONE) };
    out.put_u8(match &open.samples {
        Samples::Floats(xor) if xor.before_bytes() > 0 => FLOATS_BEHIND,
        Samples::Floats(_) => FLOATS,
        Samples::StartedFloats(_) => STARTED_FLOATS,
        Samples::Ints(h) if h.started => STARTED_INTS,
        Samples::Ints(_) => INTS,
        Samples::FloatHistograms(h) if h.started => STARTED_FLOAT_HISTOGRAMS,
        Samples::FloatHistograms(_) => FLOAT_HISTOGRAMS,
    });
    out.put_varint(open.min_time_ms);
    out.put_uvarint(open.max_time_ms().wrapping_sub(open.min_time_ms) as u64);
    out.put_varint(open.next_at_ms);
    let histograms = |out: &mut Vec<u8>, end_known: bool, bytes: &[u8], last: HistogramValue| {
        out.put_u8(u8::from(end_known));
        out.put_uvarint_bytes(bytes);
        push_histogram(out, &last);
    };
    match &open.samples {
        Samples::Floats(xor) => {
            if xor.before_bytes() > 0 {
                out.put_uvarint(u64::from(xor.before_bytes()));
            }
            xor.save(out);
        }
        Samples::StartedFloats(floats) => out.put_uvarint_bytes(floats.appender.bytes()),
        Samples::Ints(h) => histograms(out, h.end_known, h.appender.bytes(), HistogramValue::Int(Arc::clone(&h.last))),
        Samples::FloatHistograms(h) => {
            histograms(out, h.end_known, h.appender.bytes(), HistogramValue::Float(Arc::clone(&h.last)));
        }
    }
}

/// What [`save`] put to rest. The buffer of floats is as large as before if that is `grown`: if the series had a chunk, or a part of
/// one, in it before.
pub(crate) fn restore(reader: &mut Reader<'_>, grown: bool) -> Result<Option<OpenChunk>, ChunkError> {
    let kind = reader.u8()?;
    if kind == NONE {
        return Ok(None);
    }
    let min_time_ms = reader.varint()?;
    let max_time_ms = min_time_ms.wrapping_add(reader.uvarint()? as i64);
    let next_at_ms = reader.varint()?;
    let samples = match kind {
        FLOATS => Samples::Floats(XorAppender::restore(reader, 0, grown)?),
        FLOATS_BEHIND => {
            let before_bytes = u16::try_from(reader.uvarint()?).map_err(|_| DecodeError::VarintOverflow(16))?;
            Samples::Floats(XorAppender::restore(reader, before_bytes, grown)?)
        }
        STARTED_FLOATS => Samples::StartedFloats(Box::new(StartedFloats::restore(reader.uvarint_bytes()?)?)),
        INTS | STARTED_INTS => {
            let started = kind == STARTED_INTS;
            Samples::Ints(Box::new(Histograms::restore(reader, max_time_ms, started, |reader| match read_histogram(
                reader,
            )? {
                HistogramValue::Int(last) => Ok(last),
                HistogramValue::Float(_) => Err(DecodeError::UnexpectedEnd),
            })?))
        }
        FLOAT_HISTOGRAMS | STARTED_FLOAT_HISTOGRAMS => {
            let started = kind == STARTED_FLOAT_HISTOGRAMS;
            let last = |reader: &mut Reader<'_>| match read_float_histogram(reader)? {
                HistogramValue::Float(last) => Ok(last),
                HistogramValue::Int(_) => Err(DecodeError::UnexpectedEnd),
            };
            Samples::FloatHistograms(Box::new(Histograms::restore(reader, max_time_ms, started, last)?))
        }
        _ => return Err(DecodeError::UnexpectedEnd.into()),
    };
    let open = OpenChunk { min_time_ms, next_at_ms, samples };
    if open.max_time_ms() == max_time_ms { Ok(Some(open)) } else { Err(DecodeError::UnexpectedEnd.into()) }
}
