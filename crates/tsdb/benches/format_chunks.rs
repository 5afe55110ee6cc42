//! How fast chunks are written and read, per sample.
#![allow(clippy::unwrap_used, reason = "a test's helpers panic as its tests do")]

use divan::{Bencher, black_box};
use thanoxide_model::series::Columns;
use thanoxide_tsdb::chunk::xor::{self, XorAppender};
use thanoxide_tsdb::chunk::xor2::{self, Xor2Appender};

const SAMPLES: usize = 120;
const CHUNKS: usize = 100;

/// A counter scraped every 15 s with some milliseconds of jitter.
fn counter(seed: u64) -> Vec<(i64, f64)> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut value = (next() % 100_000) as f64;
    (0..SAMPLES as i64)
        .map(|i| {
            value += (next() % 1000) as f64;
            (1_767_225_600_000 + i * 15_000 + (next() % 20) as i64, value)
        })
        .collect()
}

fn xor_chunks() -> Vec<Vec<u8>> {
    let encode = |seed| {
        let mut appender = XorAppender::new();
        counter(seed).into_iter().for_each(|(t, v)| appender.append(t, v));
        appender.into_bytes()
    };
    (0..CHUNKS as u64).map(encode).collect()
}

#[divan::bench]
fn xor_decode_jittered_counter(bencher: Bencher<'_, '_>) {
    let chunks = xor_chunks();
    let mut columns = Columns::default();
    bencher.counter(divan::counter::ItemsCount::new(SAMPLES * CHUNKS)).bench_local(|| {
        columns.clear();
        for chunk in &chunks {
            xor::decode_into(black_box(chunk), i64::MIN, i64::MAX, &mut columns).unwrap();
        }
        columns.values.len()
    });
}

#[divan::bench]
fn xor_append_jittered_counter(bencher: Bencher<'_, '_>) {
    let samples = counter(1);
    bencher.counter(divan::counter::ItemsCount::new(SAMPLES)).bench_local(|| {
        let mut appender = XorAppender::new();
        samples.iter().for_each(|(t, v)| appender.append(*t, *v));
        appender.into_bytes()
    });
}

#[divan::bench]
fn xor2_decode_jittered_counter(bencher: Bencher<'_, '_>) {
    let mut appender = Xor2Appender::new();
    counter(1).into_iter().for_each(|(t, v)| appender.append(0, t, v));
    let chunk = appender.into_bytes();
    let mut columns = Columns::default();
    bencher.counter(divan::counter::ItemsCount::new(SAMPLES)).bench_local(|| {
        columns.clear();
        xor2::decode_into(black_box(&chunk), i64::MIN, i64::MAX, &mut columns).unwrap();
        columns.values.len()
    });
}

fn main() {
    divan::main();
}
