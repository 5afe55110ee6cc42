//! A small stock data directory.
#![allow(dead_code, reason = "each test uses a part")]

use std::path::Path;

use bytes::Bytes;
use thanoxide_env::{Disk, SimDisk};
use thanoxide_model::Labels;
use thanoxide_tsdb::chunk::xor::XorAppender;
use thanoxide_tsdb::chunk::{Chunk, Encoding};
use thanoxide_tsdb::wal::LogWriter;
use thanoxide_tsdb::wal::head_chunks::{HeadChunk, HeadChunksWriter};
use thanoxide_tsdb::wal::record::{Record, RefSeries, SampleRecord, begin_series, push_series};
use thanoxide_tsdb::wal::segment::{SegmentReader, list_segments, segment_path};

use crate::engine_support::{Samples, labels};

fn log(disk: &SimDisk, dir: &Path, records: &[Vec<u8>]) {
    let mut log = LogWriter::create(disk, dir, 32 * 1024).unwrap();
    records.iter().for_each(|record| log.push(record).unwrap());
    log.finish().unwrap();
}

fn series_record(series: &[(u64, Labels)]) -> Vec<u8> {
    let mut record = Vec::new();
    begin_series(&mut record);
    for (series, labels) in series {
        let pairs: Vec<_> = labels.iter().collect();
        push_series(&mut record, *series, pairs.into_iter());
    }
    record
}

fn head_chunk(series: u64, out_of_order: bool, samples: &[(i64, f64)]) -> HeadChunk {
    let mut xor = XorAppender::new();
    samples.iter().for_each(|(t, v)| xor.append(*t, *v));
    let (min_time_ms, max_time_ms) = (samples[0].0, samples[samples.len() - 1].0);
    let chunk = Chunk { min_time_ms, max_time_ms, encoding: Encoding::Xor, data: Bytes::from(xor.into_bytes()) };
    HeadChunk { series, out_of_order, chunk }
}

/// Writes what a head would leave whose newest samples are some `minutes` after `start_ms`: in order in the log, out of
/// order in the write-behind log or as a head chunk. Gives all of it.
pub(crate) fn stock_head(disk: &SimDisk, dir: &Path, start_ms: i64, minutes: i64, seed: u64) -> Samples {
    let mut all = Samples::new();
    let mut note = |series: u64, samples: &[(i64, f64)]| {
        let known = all.entry(labels(series as usize)).or_default();
        known.extend(samples.iter().map(|(t, v)| (*t, v.to_bits())));
    };
    let value = |series: u64, t: i64| (series as i64 * 1000 + t % 977) as f64 + seed as f64;
    let series: Vec<u64> = (1..=4).collect();
    let mut wal = vec![series_record(&series.iter().map(|s| (*s, labels(*s as usize))).collect::<Vec<_>>())];
    for minute in 0..minutes {
        let mut record = SampleRecord::default();
        for s in &series {
            let t = start_ms + minute * 60_000;
            record.push_float(*s, t, value(*s, t));
            note(*s, &[(t, value(*s, t))]);
        }
        wal.push(record.bytes().to_vec());
    }
    log(disk, &dir.join("wal"), &wal);
    // Half a minute beside the samples in order, and some in a range before the first of these.
    let late = |s: u64, i: i64| {
        let t = start_ms + i * 600_000 - 3_600_000 * 5 / 2 + 30_000 + (seed % 7) as i64;
        (t, value(s, t))
    };
    let mut record = SampleRecord::default();
    for i in 0..minutes / 10 {
        let (t, v) = late(series[0], i);
        record.push_float(series[0], t, v);
        note(series[0], &[(t, v)]);
    }
    log(disk, &dir.join("wbl"), &[record.bytes().to_vec()]);
    disk.create_dir_all(&dir.join("chunks_head")).unwrap();
    let mut chunks = HeadChunksWriter::new(disk, &dir.join("chunks_head")).unwrap();
    let samples: Vec<_> = (0..minutes / 10).map(|i| late(series[1], i)).collect();
    note(series[1], &samples);
    chunks.push(&head_chunk(series[1], true, &samples)).unwrap();
    chunks.finish().unwrap();
    all
}

/// Goes on with the log of a stock head as a stock program does that deletes what a series has before a time.
pub(crate) fn stock_deletes(disk: &SimDisk, dir: &Path, labels: &Labels, before_ms: i64) -> Result<(), String> {
    let dir = dir.join("wal");
    let found = reference(disk, &dir, labels).map_err(|e| e.to_string())?.ok_or("the log does not name the series")?;
    // Type 3: reference, first and last time as varints.
    let mut record = vec![3];
    record.extend_from_slice(&found.to_be_bytes());
    for time_ms in [0, before_ms - 1] {
        let mut rest = (time_ms as u64) << 1;
        while rest >= 0x80 {
            record.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        record.push(rest as u8);
    }
    let write = || {
        let mut log = LogWriter::create(disk, &dir, 1 << 20)?;
        log.push(&record)?;
        log.finish()
    };
    // Whoever cannot write tries again.
    write().or_else(|_| write()).map_err(|e| e.to_string())
}

fn reference(disk: &SimDisk, dir: &Path, labels: &Labels) -> std::io::Result<Option<u64>> {
    for number in list_segments(disk, dir)? {
        let mut reader = SegmentReader::open(disk, &segment_path(dir, number))?;
        while let Some(record) = reader.next_record()? {
            let Ok(Record::Series(series)) = Record::decode(record) else { continue };
            let same = |s: &&RefSeries<'_>| labels.iter().eq(s.labels.iter().copied());
            if let Some(found) = series.iter().find(same) {
                return Ok(Some(found.series));
            }
        }
    }
    Ok(None)
}
