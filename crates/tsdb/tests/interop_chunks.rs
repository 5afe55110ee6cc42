//! Random series, encoded by Prometheus's own appenders and by ours: the same bytes, cut by cut.
//!
//! `THANOXIDE_CHUNK_SERIES` is how many of each encoding, `THANOXIDE_CHUNK_SEED` the first seed.
#![allow(clippy::unwrap_used, reason = "a test's helpers panic as its tests do")]

#[path = "support/oracle.rs"]
mod oracle;
#[path = "golden/support.rs"]
mod support;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use support::{hex, sample};
use thanoxide_model::{FloatHistogram, Histogram};
use thanoxide_tsdb::chunk::SampleValue;
use thanoxide_tsdb::chunk::histogram::{Appended, HistogramAppender, NativeHistogram};
use thanoxide_tsdb::chunk::xor::XorAppender;
use thanoxide_tsdb::chunk::xor2::Xor2Appender;

const STALE: u64 = 0x7ff0_0000_0000_0002;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

fn bits(value: f64) -> Value {
    json!(format!("{:016x}", value.to_bits()))
}

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
            value = match kind {
                0 => value,
                1 => value + random.below(50) as f64,
                2 if random.one_in(30) => 0.0,
                2 => value + random.below(1000) as f64 / 8.0,
                3 => ((value * 1000.0).round() + random.below(2001) as f64 - 1000.0) / 1000.0,
                4 => f64::from_bits(random.next()),
                5 => [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, 5e-324][random.below(6) as usize],
                _ => f64::from_bits(0x7ff8_0000_0000_0000 | random.next() >> random.below(64)),
            };
            let shown = if random.one_in(25) { f64::from_bits(STALE) } else { value };
            json!([t, bits(shown), start(random, start_kind, t, &mut created)])
        })
        .collect();
    json!({"encoding": encoding, "reopen_at": points(random, count), "samples": samples})
}

fn points(random: &mut Random, count: u64) -> Vec<u64> {
    (0..random.below(4)).map(|_| random.below(count)).collect()
}

/// A histogram that lives: buckets come, grow, and now and then everything changes.
struct Living {
    schema: i64,
    threshold: f64,
    zero: u64,
    sum: f64,
    sides: [BTreeMap<i64, u64>; 2],
    bounds: Vec<f64>,
    gauge: bool,
}

impl Living {
    fn new(random: &mut Random) -> Self {
        let custom = random.one_in(4);
        let width = [0.5, 0.25, 1.1][random.below(3) as usize];
        let bounds = (1..=1 + random.below(12)).map(|i| i as f64 * width).collect();
        Living {
            schema: if custom { -53 } else { random.below(13) as i64 - 4 },
            threshold: if custom { 0.0 } else { [0.0, 0.001, 1e-128][random.below(3) as usize] },
            zero: 0,
            sum: 0.0,
            sides: Default::default(),
            bounds: if custom { bounds } else { Vec::new() },
            gauge: random.one_in(4),
        }
    }

    fn custom(&self) -> bool {
        self.schema == -53
    }

    fn step(&mut self, random: &mut Random) {
        for _ in 0..random.below(4) {
            let side = usize::from(!self.custom() && random.one_in(3));
            let at = match self.custom() {
                true => random.below(self.bounds.len() as u64 + 1) as i64,
                false => random.below(24) as i64 - 8 + if random.one_in(60) { 300 } else { 0 },
            };
            *self.sides[side].entry(at).or_default() += random.below(9);
        }
        if !self.custom() {
            self.zero += random.below(3);
        }
        self.sum += random.below(100) as f64 / 7.0;
        match random.below(60) {
            0 => *self = Living::new(random),
            1 => self.sides.iter_mut().flat_map(BTreeMap::values_mut).for_each(|count| *count /= 2),
            2 => self.sides[0].retain(|_, count| !count.is_multiple_of(3)),
            3 => self.gauge = !self.gauge,
            4 if !self.custom() => self.threshold += 0.001,
            5 => self.sides.iter_mut().for_each(BTreeMap::clear),
            _ => {}
        }
        if self.gauge && random.one_in(3) {
            self.sides[0].values_mut().for_each(|count| *count = count.saturating_sub(2));
        }
    }

    /// Spans and absolute counts of a side. Some empty buckets are written out, as clients do.
    fn layout(&self, random: &mut Random, side: usize) -> (Vec<Value>, Vec<u64>) {
        let (mut spans, mut counts): (Vec<(i64, u64)>, Vec<u64>) = (Vec::new(), Vec::new());
        let mut end = None;
        for (at, count) in &self.sides[side] {
            match end {
                Some(last) if *at == last => spans.last_mut().unwrap().1 += 1,
                Some(last) if at - last <= 2 && random.one_in(2) => {
                    spans.last_mut().unwrap().1 += (at - last) as u64 + 1;
                    counts.extend((last..*at).map(|_| 0));
                }
                _ => spans.push((at - end.unwrap_or(0), 1)),
            }
            counts.push(*count);
            end = Some(at + 1);
        }
        (spans.into_iter().map(|(offset, length)| json!([offset, length])).collect(), counts)
    }

    fn sample(&self, random: &mut Random, t: i64, st: i64, float: bool) -> Value {
        let stale = random.one_in(30);
        let [(ps, pb), (ns, nb)] = [self.layout(random, 0), self.layout(random, 1)];
        let count = self.zero + pb.iter().chain(&nb).sum::<u64>();
        let hint = if self.gauge { 3 } else { [0, 0, 0, 0, 0, 0, 0, 0, 1, 2][random.below(10) as usize] };
        if stale {
            let zero = if float { bits(0.0) } else { json!(0) };
            return json!({"k": if float { "fh" } else { "h" }, "t": t, "st": st, "hint": 0, "schema": 0, "zt": bits(0.0),
                "zc": zero, "count": zero, "sum": bits(f64::from_bits(STALE)), "ps": [], "ns": [], "pb": [], "nb": [], "cv": []});
        }
        let number = |n: u64| if float { bits(n as f64 * 0.5) } else { json!(n) };
        let buckets = |counts: &[u64]| -> Vec<Value> {
            let mut before = 0;
            let delta = |count: &u64| {
                let delta = *count as i64 - before;
                before = *count as i64;
                json!(delta)
            };
            if float { counts.iter().map(|n| number(*n)).collect() } else { counts.iter().map(delta).collect() }
        };
        json!({"k": if float { "fh" } else { "h" }, "t": t, "st": st, "hint": hint, "schema": self.schema,
            "zt": bits(self.threshold), "zc": number(self.zero), "count": number(count), "sum": bits(self.sum),
            "ps": ps, "ns": ns, "pb": buckets(&pb), "nb": buckets(&nb),
            "cv": self.bounds.iter().map(|b| bits(*b)).collect::<Vec<_>>()})
    }
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
