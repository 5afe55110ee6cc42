//! Frames of series on the wire, without generated types between: most of the time of an answer goes to them.
//!
//! A `SeriesResponse` is one of `series` 1, `warning` 2 (text), `hints` 3, `batch` 4 {`series` 1}. `Series`: `labels` 1 {`name` 1, `value` 2},
//! `chunks` 2. `AggrChunk`: `min_time` 1, `max_time` 2, `raw` 3, `count` 4, `sum` 5, `min` 6, `max` 7, `counter` 8. `Chunk`: `type` 1,
//! `data` 2, `hash` 3 (xxhash64 of the data). Data that come in share the memory of their message.

mod decode;
mod encode;

pub use decode::frame_from_message;
pub use encode::frame_to_messages;

const SERIES: u32 = 1;
const WARNING: u32 = 2;
const BATCH: u32 = 4;

const LABELS: u32 = 1;
const CHUNKS: u32 = 2;

const NAME: u32 = 1;
const VALUE: u32 = 2;

const MIN_TIME: u32 = 1;
const MAX_TIME: u32 = 2;
/// Raw samples, and behind them the aggregates.
const PARTS: std::ops::RangeInclusive<u32> = 3..=8;

const TYPE: u32 = 1;
const DATA: u32 = 2;
const HASH: u32 = 3;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use prost::Message;
    use thanoxide_model::Labels;
    use thanoxide_proto::thanos;
    use thanoxide_tsdb::chunk::{Chunk, Encoding};

    use super::*;
    use crate::{AggrChunk, AggregateChunks, SeriesFrame, StoreSeries};

    fn chunk(min_time_ms: i64, max_time_ms: i64) -> impl Strategy<Value = Chunk> {
        let encoding = prop::sample::select(vec![Encoding::Xor, Encoding::Histogram, Encoding::FloatHistogram]);
        (encoding, prop::collection::vec(any::<u8>(), 0..300)).prop_map(move |(encoding, data)| Chunk {
            min_time_ms,
            max_time_ms,
            encoding,
            data: data.into(),
        })
    }

    fn aggr_chunk() -> impl Strategy<Value = AggrChunk> {
        (any::<i64>(), any::<i64>(), any::<bool>()).prop_flat_map(|(min_time_ms, max_time_ms, is_raw)| {
            let part = || prop::option::of(chunk(min_time_ms, max_time_ms));
            let raw = chunk(min_time_ms, max_time_ms);
            (raw, part(), part(), part(), part(), part()).prop_map(move |(raw, count, sum, min, max, counter)| {
                let aggregates = AggregateChunks { count, sum, min, max, counter };
                let (raw, aggregates) = if is_raw { (Some(raw), None) } else { (None, aggregates.boxed()) };
                AggrChunk { min_time_ms, max_time_ms, raw, aggregates }
            })
        })
    }

    fn series() -> impl Strategy<Value = StoreSeries> {
        let labels = prop::collection::btree_map("[a-z]{1,9}", "[a-z]{1,300}", 0..6);
        (labels, prop::collection::vec(aggr_chunk(), 0..4))
            .prop_map(|(labels, chunks)| StoreSeries { labels: Labels::from_pairs(labels), chunks })
    }

    /// By the generated types.
    fn reads_as(message: &Bytes) -> Vec<thanos::Series> {
        match thanos::SeriesResponse::decode(message.clone()).unwrap().result {
            Some(thanos::series_response::Result::Series(one)) => vec![one],
            Some(thanos::series_response::Result::Batch(batch)) => batch.series,
            other => panic!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(all in prop::collection::vec(series(), 0..9), batch_size in 0usize..5) {
            let messages = frame_to_messages(&SeriesFrame::Series(all.clone()), batch_size).unwrap();
            let mut back = Vec::new();
            for message in &messages {
                prop_assert!(batch_size < 2 || reads_as(message).len() <= batch_size);
                // The same bytes as generated types write.
                prop_assert_eq!(&thanos::SeriesResponse::decode(message.clone()).unwrap().encode_to_vec(), message);
                let Some(SeriesFrame::Series(some)) = frame_from_message(message).unwrap() else { panic!("no series") };
                back.extend(some);
            }
            prop_assert_eq!(back, all);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = frame_from_message(&bytes.into());
        }

        #[test]
        fn what_generated_types_refuse_is_refused(one in series(), at in any::<prop::sample::Index>(), byte: u8) {
            let mut broken = frame_to_messages(&SeriesFrame::Series(vec![one]), 1).unwrap().remove(0).to_vec();
            let at = at.index(broken.len());
            broken[at] = byte;
            let is_refused = thanos::SeriesResponse::decode(&broken[..]).is_err();
            // Not so hints, which nobody reads, and texts of warnings, whose broken letters are replaced.
            let taken = frame_from_message(&broken.into());
            prop_assert!(!is_refused || !matches!(taken, Ok(Some(SeriesFrame::Series(_)))));
        }
    }

    #[test]
    fn warnings_and_unknown_fields() {
        let warning = SeriesFrame::Warning("a store is away".into());
        let [message] = &frame_to_messages(&warning, 64).unwrap()[..] else { panic!("one message") };
        assert_eq!(frame_from_message(message), Ok(Some(warning.clone())));
        // Field 9 before it, a varint.
        let longer = [&[9 << 3, 1], &message[..]].concat();
        assert_eq!(frame_from_message(&longer.into()), Ok(Some(warning)));
        let hints = thanos::SeriesResponse { result: Some(thanos::series_response::Result::Hints(Default::default())) };
        assert_eq!(frame_from_message(&hints.encode_to_vec().into()), Ok(None));
        assert_eq!(frame_from_message(&Bytes::new()), Ok(None));
    }

    #[test]
    fn a_message_is_full_at_a_megabyte() {
        let of = |name: &str, bytes: usize| StoreSeries {
            labels: Labels::from_pairs([("a", name)]),
            chunks: vec![AggrChunk::from(Chunk {
                min_time_ms: 0,
                max_time_ms: 9,
                encoding: Encoding::Xor,
                data: vec![7; bytes].into(),
            })],
        };
        let frame = SeriesFrame::Series(vec![of("1", 10), of("2", 2 << 20), of("3", 5), of("4", 6), of("5", 7)]);
        let lengths = |batch_size| {
            let messages = frame_to_messages(&frame, batch_size).unwrap();
            messages.iter().map(|message| reads_as(message).len()).collect::<Vec<_>>()
        };
        assert_eq!(lengths(64), [2, 3]);
        assert_eq!(lengths(2), [2, 2, 1]);
        assert_eq!(lengths(0), [1, 1, 1, 1, 1]);
    }
}
