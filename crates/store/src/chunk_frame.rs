//! Chunks as they lie in chunk files.
//!
//! A frame: `uvarint(data length) encoding(1) data crc32c(4, big-endian)`; the checksum is over encoding and data. A
//! chunk reference is `file index (from 0) << 32 | offset of the frame`.
//!
//! Encoding 255 is Thanos's aggregate chunk; its data: for each of count, sum, min, max, counter `uvarint(length)` and,
//! unless the length is 0, `encoding(1) data(length)`. Writers may leave out what is absent at the end.

use bytes::Bytes;
use thanoxide_storeapi::{AggrChunk, Aggregate, AggregateChunks};
use thanoxide_tsdb::chunk::{Chunk, Encoding};
use thanoxide_tsdb::encoding::{Reader, verify_checksum};

/// What a frame has besides its data and the length: encoding and checksum.
const FRAME_EXTRA_BYTES: u64 = 1 + 4;
/// The most bytes of a length that fits 32 bits.
pub(crate) const MAX_LENGTH_BYTES: u64 = 5;

/// Where a chunk lies, and its time range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkPlace {
    pub(crate) reference: u64,
    pub(crate) min_time_ms: i64,
    pub(crate) max_time_ms: i64,
}

impl ChunkPlace {
    /// Index of the chunk file, from 0.
    pub(crate) fn file(&self) -> usize {
        (self.reference >> 32) as usize
    }

    /// Offset of the frame.
    pub(crate) fn offset(&self) -> u64 {
        self.reference & 0xffff_ffff
    }
}

/// Length of the whole frame that begins with `head`, `None` where `head` is too short to tell.
pub(crate) fn frame_bytes(head: &[u8]) -> Result<Option<u64>, String> {
    let mut reader = Reader::new(head);
    match reader.uvarint32() {
        Ok(data) => Ok(Some((head.len() - reader.len()) as u64 + u64::from(data) + FRAME_EXTRA_BYTES)),
        Err(_) if (head.len() as u64) < MAX_LENGTH_BYTES => Ok(None),
        Err(e) => Err(format!("chunk length: {e}")),
    }
}

/// Checks a whole frame and takes what is asked for out of it. What an aggregate chunk
/// does not have stays empty, as stock leaves it.
pub(crate) fn decode(frame: &Bytes, place: ChunkPlace, wanted: &[Aggregate]) -> Result<AggrChunk, String> {
    let mut reader = Reader::new(frame);
    let fail = |e: &dyn std::fmt::Display| format!("chunk: {e}");
    let len = reader.uvarint_len().map_err(|e| fail(&e))?;
    let body_start = frame.len() - reader.len();
    let body = reader.bytes(len.saturating_add(1)).map_err(|e| fail(&e))?;
    verify_checksum(body, reader.u32().map_err(|e| fail(&e))?).map_err(|e| fail(&e))?;
    let data = frame.slice(body_start + 1..body_start + 1 + len);
    if body[0] == Encoding::Aggregate as u8 {
        return decode_aggregates(&data, place, wanted);
    }
    Ok(AggrChunk::from(chunk(place, body[0], data)?))
}

fn chunk(place: ChunkPlace, encoding: u8, data: Bytes) -> Result<Chunk, String> {
    let samples = Encoding::from_byte(encoding).filter(|known| *known != Encoding::Aggregate);
    let encoding = samples.ok_or_else(|| format!("unknown chunk encoding {encoding}"))?;
    Ok(Chunk { min_time_ms: place.min_time_ms, max_time_ms: place.max_time_ms, encoding, data })
}

fn decode_aggregates(data: &Bytes, place: ChunkPlace, wanted: &[Aggregate]) -> Result<AggrChunk, String> {
    let mut out = AggregateChunks::default();
    let slots = [
        (Aggregate::Count, &mut out.count),
        (Aggregate::Sum, &mut out.sum),
        (Aggregate::Min, &mut out.min),
        (Aggregate::Max, &mut out.max),
        (Aggregate::Counter, &mut out.counter),
    ];
    let mut reader = Reader::new(data);
    for (aggregate, slot) in slots {
        if reader.is_empty() {
            break;
        }
        let len = reader.uvarint_len().map_err(|e| format!("aggregate chunk: {e}"))?;
        if len == 0 {
            continue;
        }
        let start = data.len() - reader.len();
        let part = reader.bytes(len.saturating_add(1)).map_err(|e| format!("aggregate chunk: {e}"))?;
        if wanted.contains(&aggregate) {
            *slot = Some(chunk(place, part[0], data.slice(start + 1..start + 1 + len))?);
        }
    }
    let (min_time_ms, max_time_ms) = (place.min_time_ms, place.max_time_ms);
    Ok(AggrChunk { min_time_ms, max_time_ms, raw: None, aggregates: out.boxed() })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use thanoxide_tsdb::encoding::checksum;

    use super::*;

    const PLACE: ChunkPlace = ChunkPlace { reference: (3 << 32) | 8, min_time_ms: 1, max_time_ms: 2 };

    fn frame(encoding: u8, data: &[u8]) -> Bytes {
        let mut body = vec![encoding];
        body.extend_from_slice(data);
        let mut frame = vec![data.len() as u8];
        frame.extend_from_slice(&body);
        frame.extend_from_slice(&checksum(&body).to_be_bytes());
        Bytes::from(frame)
    }

    #[test]
    fn frames_are_checked() {
        assert_eq!((PLACE.file(), PLACE.offset()), (3, 8));
        let whole = frame(1, b"data");
        assert_eq!(frame_bytes(&whole), Ok(Some(whole.len() as u64)));
        assert_eq!(frame_bytes(&[0x80]), Ok(None));
        assert!(frame_bytes(&[0xff; 9]).is_err());
        let raw = decode(&whole, PLACE, &[]).unwrap().raw.unwrap();
        assert_eq!((&raw.data[..], raw.encoding, raw.min_time_ms), (b"data".as_slice(), Encoding::Xor, 1));
        for i in 0..whole.len() {
            let mut broken = whole.to_vec();
            broken[i] ^= 0x40;
            assert!(decode(&Bytes::from(broken), PLACE, &[]).is_err(), "byte {i}");
            assert!(decode(&whole.slice(..i), PLACE, &[]).is_err(), "cut at {i}");
        }
        assert!(decode(&frame(9, b"data"), PLACE, &[]).is_err());
    }

    #[test]
    fn aggregates_are_taken_apart() {
        let data = [2, 1, b'c', b'c', 0, 1, 1, b'm'];
        let got = decode(&frame(255, &data), PLACE, &[Aggregate::Count, Aggregate::Sum]).unwrap();
        let got = got.into_aggregates();
        assert_eq!(&got.count.unwrap().data[..], b"cc");
        assert!(got.sum.is_none() && got.min.is_none() && got.counter.is_none());
        assert_eq!(decode(&frame(255, &data), PLACE, &[Aggregate::Raw]).unwrap().parts().count(), 0);
        assert!(decode(&frame(255, &[200, 1, 1]), PLACE, &[Aggregate::Count]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in vec(any::<u8>(), 0..80), sealed in any::<bool>()) {
            // Sealed ones pass the checksum, so that what is inside is read.
            let framed = if sealed { frame(255, &bytes) } else { Bytes::from(bytes) };
            let _ = frame_bytes(&framed);
            let wanted = [Aggregate::Count, Aggregate::Sum, Aggregate::Min, Aggregate::Max, Aggregate::Counter];
            let _ = decode(&framed, PLACE, &wanted);
        }

        #[test]
        fn raw_frames_come_back(data in vec(any::<u8>(), 0..120), encoding in 1u8..=6) {
            let whole = frame(encoding, &data);
            prop_assert_eq!(frame_bytes(&whole), Ok(Some(whole.len() as u64)));
            let raw = decode(&whole, PLACE, &[]).unwrap().raw.unwrap();
            prop_assert_eq!((raw.encoding as u8, raw.data), (encoding, Bytes::from(data)));
        }
    }
}
