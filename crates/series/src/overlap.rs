//! Overlapping chunks told apart.

use thanoxide_tsdb::chunk::Chunk;

/// Spreads chunks, sorted by their first time, over as few rows as needed for none to overlap within a row. Each chunk goes
/// to the first row that ends before it begins, so that the rows are the replicas the chunks came from, more or less.
pub fn split_overlaps(chunks: Vec<Chunk>) -> Vec<Vec<Chunk>> {
    split_rows(chunks, |chunk| (chunk.min_time_ms, chunk.max_time_ms))
}

/// The same for whatever has a first and a last time.
pub(crate) fn split_rows<T>(pieces: Vec<T>, range_ms: impl Fn(&T) -> (i64, i64)) -> Vec<Vec<T>> {
    if pieces.is_sorted_by(|a, b| range_ms(a).1 < range_ms(b).0) {
        return if pieces.is_empty() { Vec::new() } else { vec![pieces] };
    }
    let mut rows: Vec<Vec<T>> = Vec::with_capacity(2);
    for piece in pieces {
        let start_ms = range_ms(&piece).0;
        let free = |row: &&mut Vec<T>| row.last().is_none_or(|last| range_ms(last).1 < start_ms);
        match rows.iter_mut().find(free) {
            Some(row) => row.push(piece),
            None => rows.push(vec![piece]),
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use thanoxide_tsdb::chunk::Encoding;

    use super::*;

    #[test]
    fn rows_do_not_overlap() {
        let chunk = |(min_time_ms, max_time_ms)| Chunk {
            min_time_ms,
            max_time_ms,
            encoding: Encoding::Xor,
            data: Bytes::new(),
        };
        let rows = split_overlaps([(0, 10), (5, 15), (10, 20), (11, 30), (16, 40), (31, 50)].map(chunk).into());
        let times = rows.iter().map(|row| row.iter().map(|c| c.min_time_ms).collect::<Vec<_>>()).collect::<Vec<_>>();
        assert_eq!(times, [vec![0, 11, 31], vec![5, 16], vec![10]]);
        assert!(split_overlaps(Vec::new()).is_empty());
    }
}
