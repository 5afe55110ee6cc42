//! Chunks with start times as chunks without: the StoreAPI knows the encodings 1 to 3 only.

use thanoxide_tsdb::chunk::{self, Chunk};

use crate::StoreError;

/// The same samples without start times. Mostly one chunk; more where histograms do not fit one.
pub(crate) fn without_start_times(chunk: &Chunk) -> Result<Vec<Chunk>, StoreError> {
    let broken = |e| StoreError::Internal(format!("recode chunk of encoding {:?}: {e}", chunk.encoding));
    chunk::without_start_times(chunk.clone()).map_err(broken)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use thanoxide_model::Histogram;
    use thanoxide_model::histogram::Span;
    use thanoxide_model::series::Columns;
    use thanoxide_tsdb::chunk::histogram::{Appended, HistogramAppender};
    use thanoxide_tsdb::chunk::xor2::Xor2Appender;
    use thanoxide_tsdb::chunk::{Encoding, decode};

    use super::*;

    fn chunk(encoding: Encoding, data: Vec<u8>) -> Chunk {
        Chunk { min_time_ms: 0, max_time_ms: 9_000, encoding, data: data.into() }
    }

    fn columns<'a>(chunks: impl IntoIterator<Item = &'a Chunk>) -> Columns {
        let mut columns = Columns::default();
        for chunk in chunks {
            decode(chunk, i64::MIN, i64::MAX, &mut columns).unwrap();
        }
        columns
    }

    #[test]
    fn floats_lose_their_start_times_only() {
        let mut appender = Xor2Appender::new();
        for i in 0..100 {
            appender.append(i * 500, i * 1000, i as f64);
        }
        let before = chunk(Encoding::Xor2, appender.into_bytes());
        let after = without_start_times(&before).unwrap();
        assert_eq!((after.len(), after[0].encoding, after[0].max_time_ms), (1, Encoding::Xor, 99_000));
        let (before, after) = (columns([&before]), columns(&after));
        assert_eq!((before.timestamps_ms, before.values), (after.timestamps_ms, after.values));
        assert!(after.start_timestamps_ms.is_empty() && !before.start_timestamps_ms.is_empty());
    }

    #[test]
    fn histograms_keep_their_buckets() {
        let mut appender = HistogramAppender::<Histogram>::new(true);
        for i in 0..10u32 {
            let histogram = Histogram {
                count: u64::from(3 * i),
                sum: f64::from(i),
                positive_spans: vec![Span { offset: 0, length: 2 }],
                positive_buckets: vec![i64::from(i), i64::from(i)],
                custom_values: Arc::from([]),
                ..Histogram::default()
            };
            let appended = appender.append(None, 1, i64::from(i) * 1000, &histogram);
            assert!(matches!(appended, Appended::Appended));
        }
        let before = chunk(Encoding::HistogramSt, appender.into_bytes());
        let after = without_start_times(&before).unwrap();
        assert!(after.iter().all(|c| c.encoding == Encoding::Histogram));
        let (before, after) = (columns([&before]), columns(&after));
        assert_eq!(before.histogram_timestamps_ms, after.histogram_timestamps_ms);
        let text = |c: &Columns| c.histograms.iter().map(|h| format!("{h:?}")).collect::<Vec<_>>();
        assert_eq!(text(&before), text(&after));
    }

    #[test]
    fn broken_chunks_are_errors() {
        let broken = chunk(Encoding::Xor2, vec![0, 9, 1]);
        assert!(matches!(without_start_times(&broken), Err(StoreError::Internal(_))));
    }
}
