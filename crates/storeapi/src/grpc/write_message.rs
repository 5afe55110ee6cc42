//! A write on its way to one or several nodes: the series, encoded and compressed once, and what is each node's own.
//!
//! On the wire both are one `thanos.WriteRequest`, whose fields may come in any order; compressed, both are chunks of one framed snappy
//! stream.

use std::io::Write;
use std::sync::{Arc, OnceLock};

use bytes::{BufMut, Bytes, BytesMut};
use snap::write::FrameEncoder;

use super::snappy::{HEADER_BYTES, MIN_DEFLATE_BYTES};

/// The chunk that a framed stream begins with: `ff`, its length, `sNaPpY`.
const STREAM_HEAD_BYTES: usize = 10;

/// Encoded series that several nodes get.
#[derive(Debug, Default)]
pub struct SharedSeries {
    plain: Bytes,
    packed: OnceLock<Bytes>,
}

/// A `thanos.WriteRequest`.
#[derive(Clone, Debug)]
pub struct WriteMessage {
    series: Vec<Arc<SharedSeries>>,
    tail: Bytes,
}

impl SharedSeries {
    /// Series as `timeseries` fields.
    pub fn new(plain: Bytes) -> Self {
        SharedSeries { plain, packed: OnceLock::new() }
    }

    fn packed(&self) -> &Bytes {
        self.packed.get_or_init(|| packed(&self.plain))
    }
}

impl WriteMessage {
    /// Series, a piece behind the other, and the other fields.
    pub fn new(series: Vec<Arc<SharedSeries>>, tail: Bytes) -> Self {
        WriteMessage { series, tail }
    }

    /// The message in one piece.
    pub fn to_bytes(&self) -> Bytes {
        self.plain().map(|piece| &piece[..]).collect::<Vec<_>>().concat().into()
    }

    /// The pieces of a gRPC body; whether they are compressed is told in the body itself.
    pub(crate) fn pieces(&self, snappy: bool) -> Vec<Bytes> {
        let plain_bytes = self.plain().map(|piece| piece.len()).sum();
        if !snappy || plain_bytes < MIN_DEFLATE_BYTES {
            return [header(0, plain_bytes)].into_iter().chain(self.plain().cloned()).collect();
        }
        let tail = packed(&self.tail);
        let streams =
            self.series.iter().map(|series| series.packed()).chain([&tail]).filter(|stream| !stream.is_empty());
        // One stream, one head.
        let joined = streams.enumerate().map(|(i, stream)| stream.slice(if i == 0 { 0 } else { STREAM_HEAD_BYTES }..));
        let mut pieces: Vec<Bytes> = [Bytes::new()].into_iter().chain(joined).collect();
        pieces[0] = header(1, pieces.iter().map(Bytes::len).sum());
        pieces
    }

    fn plain(&self) -> impl Iterator<Item = &Bytes> {
        self.series.iter().map(|series| &series.plain).chain([&self.tail])
    }
}

/// A message whose every byte is one node's own.
impl From<Bytes> for WriteMessage {
    fn from(whole: Bytes) -> Self {
        WriteMessage { series: vec![Arc::new(SharedSeries::new(whole))], tail: Bytes::new() }
    }
}

fn header(flag: u8, message_bytes: usize) -> Bytes {
    let mut header = BytesMut::with_capacity(HEADER_BYTES);
    header.put_u8(flag);
    header.put_u32(message_bytes as u32);
    header.freeze()
}

/// As a framed stream; nothing of nothing.
fn packed(plain: &[u8]) -> Bytes {
    let mut encoder = FrameEncoder::new(Vec::with_capacity(plain.len() / 2));
    encoder.write_all(plain).and_then(|()| encoder.flush()).expect("a vector takes every byte");
    let packed = encoder.into_inner().unwrap_or_else(|error| error.into_inner().get_ref().clone());
    packed.into()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;
    use snap::read::FrameDecoder;

    use super::*;

    fn received(message: &WriteMessage, snappy: bool) -> Vec<u8> {
        let body = message.pieces(snappy).concat();
        let (header, message) = body.split_at(HEADER_BYTES);
        assert_eq!(header[1..], (message.len() as u32).to_be_bytes());
        if header[0] == 0 {
            return message.to_vec();
        }
        let mut plain = Vec::new();
        FrameDecoder::new(message).read_to_end(&mut plain).unwrap();
        plain
    }

    proptest! {
        #[test]
        fn series_and_tail_arrive_as_one(
            series in proptest::collection::vec(0usize..100_000, 0..4),
            tail in 0usize..2000,
            snappy: bool,
        ) {
            let bytes = |len: usize| Bytes::from_iter((0..len).map(|i| (i * i / 7) as u8));
            let pieces = series.iter().map(|len| Arc::new(SharedSeries::new(bytes(*len)))).collect();
            let message = WriteMessage::new(pieces, bytes(tail));
            let whole = message.to_bytes();
            prop_assert_eq!(whole.len(), series.iter().sum::<usize>() + tail);
            prop_assert_eq!(received(&message, snappy), whole.to_vec());
            prop_assert_eq!(received(&WriteMessage::from(whole.clone()), snappy), whole.to_vec());
        }
    }
}
