//! Every format takes any bytes without a panic, and gives back what was put in. That chunks do is in `chunk_properties.rs`.
#![allow(clippy::unwrap_used, reason = "a test's helpers panic as its tests do")]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use thanoxide_env::{Disk, SystemDisk};
use thanoxide_model::Labels;
use thanoxide_model::series::Columns;
use thanoxide_tsdb::chunk::{self, Chunk, Encoding};
use thanoxide_tsdb::index::{ChunkMeta, IndexReader, IndexWriter, SeriesReader, SymbolSet};
use thanoxide_tsdb::meta::BlockMeta;
use thanoxide_tsdb::segment::{SegmentReader, SegmentWriter};

const ENCODINGS: [Encoding; 7] = [
    Encoding::Xor,
    Encoding::Histogram,
    Encoding::FloatHistogram,
    Encoding::Xor2,
    Encoding::HistogramSt,
    Encoding::FloatHistogramSt,
    Encoding::Aggregate,
];

fn index_of(series: &[(Labels, Vec<ChunkMeta>)], disk: &dyn Disk, path: &Path) -> Bytes {
    let mut symbols = SymbolSet::default();
    series.iter().for_each(|(labels, _)| symbols.add_labels(labels));
    let mut writer = IndexWriter::create(disk, path, symbols.iter()).unwrap();
    for (labels, chunks) in series {
        writer.add_series(labels, chunks).unwrap();
    }
    writer.finish().unwrap();
    Bytes::from(disk.read(path).unwrap())
}

fn small_index() -> Bytes {
    let dir = tempfile::tempdir().unwrap();
    let chunks = |i: i64| vec![ChunkMeta { min_time_ms: i, max_time_ms: i + 5, reference: 8 + i as u64 }];
    // Neighbours share some labels, and have not all of them.
    let some = |i: i64, every: i64| if i % every == 0 { String::new() } else { (i / 7).to_string() };
    let labels = |i: i64| Labels::from_pairs([("a", i.to_string()), ("b", some(i, 3)), ("c", some(i, 4))]);
    let series: Vec<_> = (10..90).map(|i| (labels(i), chunks(i))).collect();
    index_of(&series, &SystemDisk, &dir.path().join("index"))
}

/// Reads all that can be read.
fn read_all(index: &IndexReader) {
    let names: Vec<_> = index.label_names().map(<[u8]>::to_vec).collect();
    for name in names {
        for value in index.label_values(&name).unwrap_or_default() {
            let _ = index.postings(&name, &value);
        }
    }
    let mut reader = SeriesReader::new(index);
    for series in index.all_postings().unwrap_or_default() {
        // Read after another one, a series is what it is alone, even if that one was damaged.
        let alone = index.series(series).ok().map(|entry| (entry.labels, entry.chunks));
        let next = reader
            .read(series)
            .ok()
            .map(|entry| (Labels::from_sorted(entry.labels.iter().copied()), entry.chunks.clone()));
        assert_eq!(next, alone);
    }
}

proptest! {
    #[test]
    fn chunks_of_any_bytes_do_not_panic(bytes: Vec<u8>, which in 0usize..7) {
        let chunk = Chunk { min_time_ms: 0, max_time_ms: 0, encoding: ENCODINGS[which], data: Bytes::from(bytes) };
        let _ = chunk::decode(&chunk, i64::MIN, i64::MAX, &mut Columns::default());
        if let Ok(samples) = chunk::samples(&chunk) {
            let _ = samples.count();
        }
    }

    #[test]
    fn damaged_indexes_do_not_panic(damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut in any::<prop::sample::Index>()) {
        let mut bytes = small_index().to_vec();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let cut = bytes[..cut.index(bytes.len())].to_vec();
        for bytes in [bytes, cut] {
            if let Ok(index) = IndexReader::open(Arc::new(Bytes::from(bytes))) {
                read_all(&index);
            }
        }
    }

    #[test]
    fn indexes_of_any_bytes_do_not_panic(bytes: Vec<u8>) {
        let _ = IndexReader::open(Arc::new(Bytes::from(bytes)));
    }

    #[test]
    fn segments_of_any_bytes_do_not_panic(bytes: Vec<u8>, offset in 0u64..64) {
        let mut file = vec![0x85, 0xbd, 0x40, 0xdd, 1, 0, 0, 0];
        file.extend(bytes);
        let reader = SegmentReader::new(vec![Arc::new(Bytes::from(file))]).unwrap();
        let _ = reader.raw(offset);
        let _ = reader.raw(offset << 32);
    }

    #[test]
    fn meta_files_of_any_bytes_do_not_panic(bytes: Vec<u8>) {
        let _ = BlockMeta::from_json(&bytes);
    }

    #[test]
    fn indexes_round_trip(labels in proptest::collection::btree_set(proptest::collection::btree_map("[a-d]", "[x-z]{1,2}", 1..4), 1..80)) {
        let mut all: Vec<Labels> = labels.into_iter().map(Labels::from_pairs).collect();
        all.sort();
        let metas = |i: i64| (0..i % 3 + 1).map(|c| ChunkMeta { min_time_ms: c * 10, max_time_ms: c * 10 + i % 10, reference: (i * 10 + c) as u64 }).collect();
        let series: Vec<(Labels, Vec<ChunkMeta>)> = all.into_iter().enumerate().map(|(i, l)| (l, metas(i as i64))).collect();
        let dir = tempfile::tempdir().unwrap();
        let bytes = index_of(&series, &SystemDisk, &dir.path().join("index"));
        let index = IndexReader::open(Arc::new(bytes)).unwrap();
        let read: Vec<_> = index.all_postings().unwrap().into_iter().map(|s| index.series(s).unwrap()).map(|e| (e.labels, e.chunks)).collect();
        prop_assert_eq!(&read, &series);
        for name in ["a", "b", "c", "d"] {
            for value in index.label_values(name.as_bytes()).unwrap() {
                let with = index.postings(name.as_bytes(), &value).unwrap().len();
                prop_assert_eq!(with, series.iter().filter(|(l, _)| l.get(name) == Some(&value)).count());
            }
        }
    }
}

#[test]
fn segments_are_cut_at_their_limit() {
    let dir = tempfile::tempdir().unwrap();
    let chunk = |len: usize, min_time_ms| Chunk {
        min_time_ms,
        max_time_ms: min_time_ms,
        encoding: Encoding::Xor,
        data: Bytes::from(vec![7; len]),
    };
    let mut writer = SegmentWriter::with_max_bytes(&SystemDisk, dir.path(), 100);
    // Larger than a whole file, alone in its file; then two that fit together, and one that does not.
    let mut metas = writer.write(&[chunk(200, 0), chunk(30, 1), chunk(30, 2)]).unwrap();
    metas.extend(writer.write(&[chunk(30, 3)]).unwrap());
    writer.finish().unwrap();
    let places: Vec<_> = metas.iter().map(|m| (m.reference >> 32, m.reference & 0xffff_ffff)).collect();
    assert_eq!(places, [(0, 8), (1, 8), (1, 44), (2, 8)]);
    let reader = SegmentReader::open(&SystemDisk, dir.path()).unwrap();
    for (meta, len) in metas.iter().zip([200, 30, 30, 30]) {
        assert_eq!(reader.chunk(meta).unwrap().data, vec![7; len]);
    }
}

#[test]
fn misuse_of_the_index_writer_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    assert!(IndexWriter::create(&SystemDisk, &path, [b"b".as_slice(), b"a"].into_iter()).is_err());
    let mut writer = IndexWriter::create(&SystemDisk, &path, [b"a".as_slice(), b"b"].into_iter()).unwrap();
    let labels = Labels::from_pairs([("a", "b")]);
    assert!(writer.add_series(&Labels::from_pairs([("a", "c")]), &[]).is_err());
    writer.add_series(&labels, &[]).unwrap();
    assert!(writer.add_series(&labels, &[]).is_err());
}
