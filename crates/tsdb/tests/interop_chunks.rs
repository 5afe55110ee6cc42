//! Random series, encoded by Prometheus's own appenders and by ours: the same bytes, cut by cut.
//!
//! `THANOXIDE_CHUNK_SERIES` is how many of each encoding, `THANOXIDE_CHUNK_SEED` the first seed.
#![allow(clippy::unwrap_used, reason = "a test's helpers panic as its tests do")]

#[path = "support/oracle.rs"]
mod oracle;
#[path = "support/random_series.rs"]
mod random_series;
#[path = "golden/support.rs"]
mod support;

use random_series::{Living, Random, STALE, bits, next_float};
use serde_json::{Value, json};
use support::{hex, sample};
use thanoxide_model::{FloatHistogram, Histogram};
use thanoxide_tsdb::chunk::SampleValue;
use thanoxide_tsdb::chunk::histogram::{Appended, HistogramAppender, NativeHistogram};
use thanoxide_tsdb::chunk::xor::XorAppender;
use thanoxide_tsdb::chunk::xor2::Xor2Appender;

/// Times of a series: steady, with jitter, with gaps, and now and then backwards or far away.
struct Times {
    now: i64,
    step: i64,
    jitter: u64,
    wild: bool,
}

impl Times {
    fn new(random: &mut Random) -> Self {
        let step = [1, 15_000, 30_000, 60_000, 3_600_000][random.below(5) as usize];
        let jitter = [1, 1, 10, 200][random.below(4) as usize];
        Times { now: 1_767_225_600_000 + random.below(1_000_000) as i64, step, jitter, wild: random.one_in(10) }
    }

    fn next(&mut self, random: &mut Random) -> i64 {
        let gap = if random.one_in(40) { 1 + random.below(500) as i64 } else { 1 };
        self.now += self.step * gap + random.below(self.jitter) as i64 - (self.jitter / 2) as i64;
        match self.wild && random.one_in(8) {
            true => self.now.wrapping_add(random.next() as i64 >> random.below(64)),
            false => self.now,
        }
    }
}

fn start(random: &mut Random, kind: u64, t: i64, created: &mut i64) -> i64 {
    match kind {
        0 => 0,
        1 => *created,
        2 => t - 15_000,
        3 if random.one_in(30) => {
            *created = t - random.below(1000) as i64;
            *created
        }
        3 => *created,
        _ => [0, t, *created, random.next() as i64 >> random.below(64)][random.below(4) as usize],
    }
}

fn floats(random: &mut Random, encoding: u8) -> Value {
    let (mut times, kind, mut value) = (Times::new(random), random.below(7), random.below(1000) as f64);
    let start_kind = if encoding == 4 { random.below(5) } else { 0 };
    let count = [1, 2, 30, 120, 240, 300][random.below(6) as usize];
    let mut created = times.now - 1_000_000;
    let samples: Vec<Value> = (0..count)
        .map(|_| {
            let t = times.next(random);
            value = next_float(random, kind, value);
            let shown = if random.one_in(25) { f64::from_bits(STALE) } else { value };
            json!([t, bits(shown), start(random, start_kind, t, &mut created)])
        })
        .collect();
    json!({"encoding": encoding, "reopen_at": points(random, count), "samples": samples})
}

fn points(random: &mut Random, count: u64) -> Vec<u64> {
    (0..random.below(4)).map(|_| random.below(count)).collect()
}

/// Stock does not go on with a histogram chunk after a restart, it makes it again from its log: ours must be the same.
fn histograms(random: &mut Random, encoding: u8) -> Value {
    let float = encoding == 3 || encoding == 6;
    let start_kind = if encoding > 4 { random.below(5) } else { 0 };
    let (mut times, mut living) = (Times::new(random), Living::new(random));
    let count = [1, 2, 30, 120, 150][random.below(5) as usize];
    let mut created = times.now - 1_000_000;
    let samples: Vec<Value> = (0..count)
        .map(|_| {
            living.step(random);
            let t = times.next(random);
            let st = start(random, start_kind, t, &mut created);
            living.sample(random, t, st, float)
        })
        .collect();
    json!({"encoding": encoding, "restart_at": points(random, count), "cut_at": points(random, count), "samples": samples})
}

fn has(case: &Value, key: &str, at: usize) -> bool {
    case[key].as_array().into_iter().flatten().any(|n| n.as_u64() == Some(at as u64))
}

fn encode_floats(case: &Value, encoding: u8) -> Vec<String> {
    let (mut xor, mut xor2) = (XorAppender::new(), Xor2Appender::new());
    for (i, value) in case["samples"].as_array().unwrap().iter().enumerate() {
        let bits = u64::from_str_radix(value[1].as_str().unwrap(), 16).unwrap();
        let (t, v, st) = (value[0].as_i64().unwrap(), f64::from_bits(bits), value[2].as_i64().unwrap());
        if has(case, "reopen_at", i) {
            xor = XorAppender::from_bytes(xor.into_bytes()).unwrap();
            xor2 = Xor2Appender::from_bytes(xor2.into_bytes()).unwrap();
        }
        match encoding {
            1 => xor.append(t, v),
            _ => xor2.append(st, t, v),
        }
    }
    vec![if encoding == 1 { hex(&xor.to_bytes()) } else { hex(xor2.bytes()) }]
}

fn encode_histograms<H: NativeHistogram>(case: &Value, encoding: u8, of: impl Fn(SampleValue) -> H) -> Vec<String> {
    let with_start_times = encoding > 4;
    let (mut appender, mut done) = (HistogramAppender::<H>::new(with_start_times), Vec::new());
    for (i, value) in case["samples"].as_array().unwrap().iter().enumerate() {
        let mut previous = None;
        if has(case, "cut_at", i) {
            let old = std::mem::replace(&mut appender, HistogramAppender::new(with_start_times));
            done.push(hex(old.bytes()));
            previous = Some(old);
        } else if has(case, "restart_at", i) {
            appender = HistogramAppender::from_bytes(appender.into_bytes(), with_start_times).unwrap();
        }
        let s = sample(value);
        let appended = appender.append(previous.as_ref(), s.start_timestamp_ms, s.timestamp_ms, &of(s.value));
        if let Appended::NewChunk(next) = appended {
            done.push(hex(std::mem::replace(&mut appender, *next).bytes()));
        }
    }
    done.push(hex(appender.bytes()));
    done
}

fn integer(value: SampleValue) -> Histogram {
    match value {
        SampleValue::Histogram(h) => *h,
        other => panic!("{other:?}"),
    }
}

fn float(value: SampleValue) -> FloatHistogram {
    match value {
        SampleValue::FloatHistogram(h) => *h,
        other => panic!("{other:?}"),
    }
}

fn same_as_stock(encoding: u8) {
    let number = |name: &str, default| std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default);
    let (series, seed) = (number("THANOXIDE_CHUNK_SERIES", 100), number("THANOXIDE_CHUNK_SEED", 1));
    let case = |n: u64| {
        let mut random = Random((seed + n) << 8 | u64::from(encoding));
        if encoding == 1 || encoding == 4 { floats(&mut random, encoding) } else { histograms(&mut random, encoding) }
    };
    let cases: Vec<Value> = (0..series).map(case).collect();
    let input: String = cases.iter().map(|case| format!("{case}\n")).collect();
    let answers = oracle::run(&["chunks"], &input);
    let (mut chunks, mut answered) = (0, 0);
    for (n, (case, answer)) in cases.iter().zip(answers.lines()).enumerate() {
        let theirs: Vec<String> = serde_json::from_str(answer).unwrap();
        let ours = match encoding {
            1 | 4 => encode_floats(case, encoding),
            2 | 5 => encode_histograms(case, encoding, integer),
            _ => encode_histograms(case, encoding, float),
        };
        assert!(ours == theirs, "encoding {encoding}, seed {}:\n{ours:?}\n{theirs:?}\n{case}", seed + n as u64);
        chunks += ours.len();
        answered += 1;
    }
    assert_eq!(answered, series);
    println!("encoding {encoding}: {series} series from seed {seed} on, {chunks} chunks, the same bytes");
}

#[test]
fn xor() {
    same_as_stock(1);
}

#[test]
fn histogram() {
    same_as_stock(2);
}

#[test]
fn float_histogram() {
    same_as_stock(3);
}

#[test]
fn xor2() {
    same_as_stock(4);
}

#[test]
fn histogram_with_start_times() {
    same_as_stock(5);
}

#[test]
fn float_histogram_with_start_times() {
    same_as_stock(6);
}
