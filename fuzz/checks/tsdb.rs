//! What must hold for any bytes on disk.
#![allow(dead_code, reason = "each target has a check of its own")]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use thanoxide_env::{Disk, SimDisk};
use thanoxide_model::histogram::{CounterResetHint, Span};
use thanoxide_model::series::Columns;
use thanoxide_model::{FloatHistogram, Histogram, MatchKind, Matcher};
use thanoxide_tsdb::chunk::histogram::{Appended, HistogramAppender, HistogramIter, NativeHistogram};
use thanoxide_tsdb::chunk::xor::XorAppender;
use thanoxide_tsdb::chunk::xor2::Xor2Appender;
use thanoxide_tsdb::chunk::{self, Chunk, Encoding};
use thanoxide_tsdb::encoding::{ByteSource, Put, Reader, checksum};
use thanoxide_tsdb::index::IndexReader;
use thanoxide_tsdb::meta::BlockMeta;
use thanoxide_tsdb::segment::SegmentReader;
use thanoxide_tsdb::tombstones::Tombstones;
use thanoxide_tsdb::wal;
use thanoxide_tsdb::wal::record::Record;

const ENCODINGS: [Encoding; 6] = [
    Encoding::Xor,
    Encoding::Histogram,
    Encoding::FloatHistogram,
    Encoding::Xor2,
    Encoding::HistogramSt,
    Encoding::FloatHistogramSt,
];

/// A chunk of any bytes is read the same by columns and by samples, and an appender goes on with what can be read.
pub fn chunk(data: &[u8]) {
    let Some((which, data)) = data.split_first() else { return };
    let encoding = ENCODINGS[usize::from(*which) % ENCODINGS.len()];
    let chunk = Chunk { min_time_ms: 0, max_time_ms: 0, encoding, data: Bytes::copy_from_slice(data) };
    let mut columns = Columns::default();
    let decoded = chunk::decode(&chunk, i64::MIN, i64::MAX, &mut columns);
    let mut read = 0;
    let mut failed = false;
    if let Ok(samples) = chunk::samples(&chunk) {
        for sample in samples {
            match sample {
                Ok(_) => read += 1,
                Err(_) => {
                    failed = true;
                    break;
                }
            }
        }
        assert_eq!(decoded.is_err(), failed);
    }
    let in_columns = columns.timestamps_ms.len() + columns.histogram_timestamps_ms.len();
    assert_eq!(in_columns, read);
    resume(encoding, data);
}

fn resume(encoding: Encoding, data: &[u8]) {
    let data = data.to_vec();
    match encoding {
        Encoding::Xor => {
            if let Ok(mut appender) = XorAppender::from_bytes(data)
                && appender.sample_count() < 1000
            {
                appender.append(5, 7.0);
            }
        }
        Encoding::Xor2 => {
            if let Ok(mut appender) = Xor2Appender::from_bytes(data)
                && appender.sample_count() < 1000
            {
                appender.append(1, 5, 7.0);
            }
        }
        Encoding::Histogram | Encoding::HistogramSt => {
            let _ = HistogramAppender::<Histogram>::from_bytes(data, encoding == Encoding::HistogramSt);
        }
        _ => {
            let _ = HistogramAppender::<FloatHistogram>::from_bytes(data, encoding == Encoding::FloatHistogramSt);
        }
    }
}

/// Takes numbers off bytes; zeros when they end.
struct Source<'a>(&'a [u8]);

impl Source<'_> {
    fn u8(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.u8()))
    }

    /// Small numbers and large ones.
    fn i64(&mut self) -> i64 {
        match self.u8() {
            0..=99 => i64::from(self.u8()),
            100..=199 => i64::from(self.u64() as i16),
            200..=229 => i64::from(self.u64() as i32),
            _ => self.u64() as i64,
        }
    }

    fn f64(&mut self) -> f64 {
        match self.u8() {
            0..=99 => f64::from(self.u8()),
            100..=150 => f64::from_bits(0x7ff0_0000_0000_0002),
            151..=200 => f64::from(self.u64() as i16) / 1000.0,
            _ => f64::from_bits(self.u64()),
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Whatever is appended is read back to the last bit, and going on from the bytes gives the same bytes.
pub fn chunk_append(data: &[u8]) {
    let mut source = Source(data);
    match source.u8() % 4 {
        0 => append_xor(&mut source),
        1 => append_xor2(&mut source),
        2 => append_histograms(&mut source, |h| h),
        _ => append_histograms(&mut source, |h: Histogram| h.to_float()),
    }
}

fn append_xor(source: &mut Source<'_>) {
    let (mut appender, mut samples) = (XorAppender::new(), Vec::new());
    while !source.is_empty() && samples.len() < 300 {
        let (t, v) = (source.i64(), source.f64());
        if source.u8() == 7 {
            appender = XorAppender::from_bytes(appender.into_bytes()).expect("our own bytes");
        }
        appender.append(t, v);
        samples.push((t, v.to_bits()));
    }
    let data = appender.into_bytes();
    let mut iter = chunk::xor::XorIter::new(&data).expect("our own bytes");
    for sample in samples {
        let (t, v) = iter.next().expect("our own bytes").expect("it was appended");
        assert_eq!((t, v.to_bits()), sample);
    }
    assert!(iter.next().expect("our own bytes").is_none());
}

fn append_xor2(source: &mut Source<'_>) {
    let (mut appender, mut samples) = (Xor2Appender::new(), Vec::new());
    while !source.is_empty() && samples.len() < 300 {
        let (start, t, v) = (source.i64(), source.i64(), source.f64());
        if source.u8() == 7 {
            appender = Xor2Appender::from_bytes(appender.into_bytes()).expect("our own bytes");
        }
        appender.append(start, t, v);
        samples.push((t, v.to_bits()));
    }
    let mut columns = Columns::default();
    chunk::xor2::decode_into(appender.bytes(), i64::MIN, i64::MAX, &mut columns).expect("our own bytes");
    let read: Vec<_> = columns.timestamps_ms.iter().copied().zip(columns.values.iter().map(|v| v.to_bits())).collect();
    if samples.is_sorted_by_key(|(t, _)| *t) {
        assert_eq!(read, samples);
    }
}

fn histogram(source: &mut Source<'_>) -> Histogram {
    let custom = source.u8().is_multiple_of(8);
    let spans = |source: &mut Source<'_>| -> (Vec<Span>, Vec<i64>) {
        let count = usize::from(source.u8() % 4);
        let spans: Vec<Span> = (0..count)
            .map(|i| {
                let offset = i32::from(source.u8() % 5) - if i == 0 && !custom { 2 } else { 0 };
                Span { offset, length: u32::from(source.u8() % 4) }
            })
            .collect();
        let buckets = (0..spans.iter().map(|s| s.length).sum()).map(|_| i64::from(source.u8() % 16)).collect();
        (spans, buckets)
    };
    let (positive_spans, positive_buckets) = spans(source);
    let (negative_spans, negative_buckets) = if custom { Default::default() } else { spans(source) };
    let hints = [
        CounterResetHint::Unknown,
        CounterResetHint::CounterReset,
        CounterResetHint::NotCounterReset,
        CounterResetHint::Gauge,
    ];
    Histogram {
        counter_reset_hint: hints[usize::from(source.u8() % 32).min(3)],
        schema: if custom { -53 } else { i32::from(source.u8() % 3) },
        zero_threshold: 0.001,
        zero_count: u64::from(source.u8() % 4),
        count: source.i64().unsigned_abs() & 0xffff_ffff,
        sum: source.f64(),
        positive_spans,
        positive_buckets,
        negative_spans,
        negative_buckets,
        custom_values: if custom { Arc::from([0.5, 1.0, 2.0, 5.0]) } else { Arc::default() },
    }
}

fn append_histograms<H: NativeHistogram>(source: &mut Source<'_>, convert: impl Fn(Histogram) -> H) {
    let with_start_times = source.u8() % 2 == 1;
    let (mut appender, mut chunks) = (HistogramAppender::<H>::new(with_start_times), Vec::new());
    let mut times = Vec::new();
    while !source.is_empty() && times.len() < 100 {
        let (start, t) = (source.i64(), source.i64());
        let value = convert(histogram(source));
        if source.u8() == 7 {
            appender = HistogramAppender::from_bytes(appender.into_bytes(), with_start_times).expect("our own bytes");
        }
        if let Appended::NewChunk(next) = appender.append(None, start, t, &value) {
            chunks.push(std::mem::replace(&mut appender, *next).into_bytes());
        }
        times.push(t);
    }
    chunks.push(appender.into_bytes());
    let mut read = Vec::new();
    for data in &chunks {
        let mut iter = HistogramIter::<H>::new(data, with_start_times).expect("our own bytes");
        while iter.advance().expect("our own bytes") {
            iter.histogram().expect("our own bytes");
            read.push(iter.timestamp_ms());
        }
    }
    assert_eq!(read, times);
}

/// A part of the data, its length in front.
fn part<'a>(data: &mut &'a [u8]) -> &'a [u8] {
    let Some((len, rest)) = data.split_first_chunk::<2>() else { return std::mem::take(data) };
    let (part, rest) = rest.split_at(usize::from(u16::from_le_bytes(*len)).min(rest.len()));
    *data = rest;
    part
}

fn section(file: &mut Vec<u8>, body: &[u8]) -> u64 {
    let offset = file.len() as u64;
    file.put_u32(body.len() as u32);
    file.extend_from_slice(body);
    file.put_u32(checksum(body));
    offset
}

/// An index of any sections, their checksums right, is read or refused; and so is one of any bytes.
pub fn index(data: &[u8]) {
    read_index(data.to_vec());
    let Some((version, mut data)) = data.split_first() else { return };
    let mut file = vec![0xba, 0xaa, 0xd7, 0x00, version % 3 + 1];
    let symbols = section(&mut file, part(&mut data));
    let series = file.len() as u64;
    for _ in 0..3 {
        file.resize(file.len().next_multiple_of(16), 0);
        let body = part(&mut data);
        file.put_uvarint(body.len() as u64);
        file.extend_from_slice(body);
        file.put_u32(checksum(body));
    }
    let postings = file.len() as u64;
    for _ in 0..2 {
        file.resize(file.len().next_multiple_of(4), 0);
        section(&mut file, part(&mut data));
    }
    let table = section(&mut file, part(&mut data));
    let toc = file.len();
    for offset in [symbols, series, 0, 0, postings, table] {
        file.put_u64(offset);
    }
    let sum = checksum(&file[toc..]);
    file.put_u32(sum);
    read_index(file);
}

fn read_index(file: Vec<u8>) {
    let len = file.len();
    let Ok(index) = IndexReader::open(Arc::new(Bytes::from(file))) else { return };
    assert!(index.symbol_count() <= len);
    let names: Vec<Vec<u8>> = index.label_names().map(<[u8]>::to_vec).collect();
    for name in names.iter().take(8) {
        for value in index.label_values(name).unwrap_or_default().iter().take(8) {
            let _ = index.postings(name, value);
        }
        for (kind, value) in [
            (MatchKind::Equal, "a"),
            (MatchKind::NotEqual, "a"),
            (MatchKind::Regexp, ".*a.*"),
            (MatchKind::NotRegexp, "b."),
        ] {
            let matcher = [Matcher::new(kind, name, value).expect("a sound pattern")];
            let _ = index.matching(&matcher);
            let _ = index.names_among(&matcher);
            let _ = index.values_among(name, &matcher);
            let _ = index.estimate(&matcher);
        }
    }
    for series in index.all_postings().unwrap_or_default().into_iter().take(16) {
        let _ = index.series(series);
    }
}

/// The other files of a block: chunks, tombstones (with the right checksum, too) and `meta.json`.
pub fn block_files(data: &[u8]) {
    if let Ok(meta) = BlockMeta::from_json(data) {
        let again = BlockMeta::from_json(&meta.to_json()).expect("our own text");
        assert_eq!(again, meta);
    }
    let mut stones = data.to_vec();
    let _ = Tombstones::from_bytes(&stones);
    if stones.len() >= 5 {
        let sum = checksum(&stones[5..]);
        stones.put_u32(sum);
        if let Ok(read) = Tombstones::from_bytes(&stones) {
            assert_eq!(Tombstones::from_bytes(&read.to_bytes()).expect("our own bytes"), read);
        }
    }
    let mut file = vec![0x85, 0xbd, 0x40, 0xdd, 1, 0, 0, 0];
    file.extend_from_slice(data);
    let file: Arc<dyn ByteSource> = Arc::new(Bytes::from(file));
    if let Ok(segment) = SegmentReader::new(vec![file]) {
        for reference in [8, 9, 8 + data.len() as u64, u64::MAX] {
            let _ = segment.raw(reference);
        }
    }
    let mut reader = Reader::new(data);
    while reader.uvarint_bytes().is_ok() && !reader.is_empty() {}
}

/// A record of the write-ahead log.
pub fn wal_record(data: &[u8]) {
    let _ = Record::decode(data);
}

/// A segment of the write-ahead log: records and rubbish between, cut short.
pub fn wal_segment(data: &[u8]) {
    let disk = SimDisk::default();
    let path = Path::new("/00000000");
    let mut source = Source(data);
    let mut file = Vec::new();
    while !source.is_empty() {
        let len = usize::from(source.u8()) * if source.u8() > 250 { 300 } else { 1 };
        match source.u8() % 4 {
            0 => file.extend((0..len).map(|_| source.u8())),
            kind => {
                let record: Vec<u8> = (0..len).map(|_| source.u8()).collect();
                const PAGE_BYTES: usize = 32 * 1024;
                if PAGE_BYTES - file.len() % PAGE_BYTES < 7 {
                    wal::page::pad_page(&mut file, 0);
                }
                wal::page::push_record(&mut file, 0, &record, (kind - 1) << 3);
            }
        }
    }
    write(&disk, path, &file);
    let Ok(mut reader) = wal::segment::SegmentReader::open(&disk, path) else { return };
    let mut records = 0;
    while let Ok(Some(record)) = reader.next_record() {
        let _ = Record::decode(record);
        records += 1;
    }
    assert!(records <= file.len());
    assert!(reader.good_end() <= file.len() as u64);
}

fn write(disk: &dyn Disk, path: &Path, bytes: &[u8]) {
    let file = disk.create(path).expect("the disk is memory");
    file.append(bytes).expect("the disk is memory");
}
