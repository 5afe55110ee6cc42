//! Chunks against those that stock encoders wrote: the same bytes, the same samples.
#![allow(clippy::unwrap_used, reason = "a test's helpers panic as its tests do")]

#[path = "golden/support.rs"]
mod support;

use bytes::Bytes;
use serde_json::Value;
use support::{golden, hex, read_json, sample, show, unhex};
use thanoxide_model::series::Columns;
use thanoxide_tsdb::chunk::histogram::{Appended, HistogramAppender, NativeHistogram};
use thanoxide_tsdb::chunk::xor::XorAppender;
use thanoxide_tsdb::chunk::xor2::Xor2Appender;
use thanoxide_tsdb::chunk::{self, Chunk, Encoding, SampleValue};

fn cases(name: &str) -> Vec<Value> {
    read_json(&golden(&format!("chunks/{name}.jsonl.gz")))
}

fn chunk_of(encoding: Encoding, data: Vec<u8>) -> Chunk {
    Chunk { min_time_ms: 0, max_time_ms: 0, encoding, data: Bytes::from(data) }
}

fn assert_reads(id: &Value, chunk: &Chunk, samples: &[Value]) {
    let read: Vec<_> = chunk::samples(chunk).unwrap().map(|s| show(&s.unwrap())).collect();
    let want: Vec<_> = samples.iter().map(|v| show(&sample(v))).collect();
    assert_eq!(chunk::sample_count(chunk), want.len());
    assert_eq!(read, want, "{id}");
    let mut columns = Columns::default();
    chunk::decode(chunk, i64::MIN, i64::MAX, &mut columns).unwrap();
    assert_eq!(columns.len(), want.len(), "{id}");
}

fn reopens_at(case: &Value, i: usize) -> bool {
    case["reopen_at"].as_array().into_iter().flatten().any(|at| at.as_u64() == Some(i as u64))
}

fn parts(v: &Value) -> (i64, i64, f64) {
    let sample = sample(v);
    match sample.value {
        SampleValue::Float(value) => (sample.start_timestamp_ms, sample.timestamp_ms, value),
        other => panic!("{other:?}"),
    }
}

#[test]
fn xor_is_byte_equal_both_ways() {
    for case in cases("xor") {
        let mut appender = XorAppender::new();
        let samples = case["samples"].as_array().unwrap();
        for (i, sample) in samples.iter().enumerate() {
            if reopens_at(&case, i) {
                appender = XorAppender::from_bytes(appender.into_bytes()).unwrap();
            }
            let (_, t, v) = parts(sample);
            appender.append(t, v);
        }
        assert_eq!(hex(&appender.to_bytes()), case["data"], "{}", case["id"]);
        assert_reads(&case["id"], &chunk_of(Encoding::Xor, unhex(&case["data"])), samples);
    }
}

#[test]
fn xor2_is_byte_equal_both_ways() {
    for case in cases("xor2") {
        let mut appender = Xor2Appender::new();
        let samples = case["samples"].as_array().unwrap();
        for (i, sample) in samples.iter().enumerate() {
            if reopens_at(&case, i) {
                appender = Xor2Appender::from_bytes(appender.into_bytes()).unwrap();
            }
            let (st, t, v) = parts(sample);
            appender.append(st, t, v);
        }
        assert_eq!(hex(appender.bytes()), case["data"], "{}", case["id"]);
        assert_reads(&case["id"], &chunk_of(Encoding::Xor2, unhex(&case["data"])), samples);
    }
}

/// Plays a case's events; what the caller passed, cut or not, decides how many chunks there are.
fn play<H: NativeHistogram>(case: &Value, with_start_times: bool, of: impl Fn(SampleValue) -> H) -> Vec<Vec<u8>> {
    let mut done = Vec::new();
    let mut appender = HistogramAppender::<H>::new(with_start_times);
    for (i, event) in case["events"].as_array().unwrap().iter().enumerate() {
        let what = format!("{} event {i}", case["id"]);
        let s = sample(&event["sample"]);
        let (t, st, h) = (s.timestamp_ms, s.start_timestamp_ms, of(s.value));
        let mut previous = None;
        if event["cut"] == true || event["cut_no_prev"] == true {
            let old = std::mem::replace(&mut appender, HistogramAppender::new(with_start_times));
            done.push(old.bytes().to_vec());
            previous = (event["cut"] == true).then_some(old);
        }
        let result = if event["append_only"] == true {
            match appender.append_only(previous.as_ref(), st, t, &h) {
                Ok(()) => "appended",
                Err(_) => "error",
            }
        } else {
            match appender.append(previous.as_ref(), st, t, &h) {
                Appended::Appended => "appended",
                Appended::Recoded => "recoded",
                Appended::NewChunk(next) => {
                    done.push(std::mem::replace(&mut appender, *next).into_bytes());
                    "new"
                }
            }
        };
        assert_eq!(result, event["result"], "{what}");
        // What a reopened appender goes on with must not differ.
        appender = HistogramAppender::from_bytes(appender.into_bytes(), with_start_times).unwrap();
    }
    done.push(appender.into_bytes());
    done
}

fn histograms<H: NativeHistogram>(name: &str, encoding: Encoding, of: impl Fn(SampleValue) -> H) {
    let with_start_times = matches!(encoding, Encoding::HistogramSt | Encoding::FloatHistogramSt);
    for case in cases(name) {
        let written = play(&case, with_start_times, &of);
        let chunks = case["chunks"].as_array().unwrap();
        assert_eq!(written.len(), chunks.len(), "{}", case["id"]);
        for (ours, theirs) in written.into_iter().zip(chunks) {
            assert_eq!(hex(&ours), theirs["data"], "{}", case["id"]);
            assert_reads(&case["id"], &chunk_of(encoding, ours), theirs["read"].as_array().unwrap());
        }
    }
}

fn int(value: SampleValue) -> thanoxide_model::Histogram {
    match value {
        SampleValue::Histogram(h) => *h,
        other => panic!("{other:?}"),
    }
}

fn float(value: SampleValue) -> thanoxide_model::FloatHistogram {
    match value {
        SampleValue::FloatHistogram(h) => *h,
        other => panic!("{other:?}"),
    }
}

#[test]
fn histograms_are_byte_equal_both_ways() {
    histograms("histogram", Encoding::Histogram, int);
}

#[test]
fn float_histograms_are_byte_equal_both_ways() {
    histograms("floathistogram", Encoding::FloatHistogram, float);
}

#[test]
fn histograms_with_start_times_are_byte_equal_both_ways() {
    histograms("histogramst", Encoding::HistogramSt, int);
}

#[test]
fn float_histograms_with_start_times_are_byte_equal_both_ways() {
    histograms("floathistogramst", Encoding::FloatHistogramSt, float);
}

/// Stock's bit reader, once a read crosses the end of the data, may go on with zero bits that are not there, and gives
/// samples made of them without an error. Ours stops with an error at the cut, hence with at most as many samples. With the
/// zeros there, it gives as many as stock: these bits are all that differs.
#[test]
fn truncated_chunks_end_where_their_data_ends() {
    let (mut equal, mut all) = (0, 0);
    for name in ["xor", "xor2", "histogram", "floathistogram", "histogramst", "floathistogramst"] {
        for case in cases(&format!("truncated-{name}")) {
            let what = format!("{name} {}", case["id"]);
            let encoding = Encoding::from_byte(case["encoding"].as_u64().unwrap() as u8).unwrap();
            let chunk = chunk_of(encoding, unhex(&case["data"]));
            let read: Vec<_> = chunk::samples(&chunk).unwrap().collect();
            let failed = read.last().is_some_and(Result::is_err);
            let good = (read.len() - usize::from(failed)) as u64;
            let stock_good = case["samples_before_end"].as_u64().unwrap();
            assert!(good <= stock_good, "{what}: {good} of {stock_good}");
            let with_zeros = chunk_of(encoding, [&chunk.data[..], &[0; 64]].concat());
            let readable = chunk::samples(&with_zeros).unwrap().filter(Result::is_ok).count() as u64;
            assert!(readable >= stock_good, "{what}: {readable} of {stock_good}");
            assert!(failed || case["error"] == "" && good == stock_good, "{what}");
            all += 1;
            equal += usize::from(good == stock_good && failed == (case["error"] != ""));
        }
    }
    assert_eq!((equal, all), (225, 360));
}
