//! Random series whose bytes are compared with stock's.
#![allow(dead_code, reason = "each test uses a part")]

use std::collections::BTreeMap;

use serde_json::{Value, json};

pub(crate) const STALE: u64 = 0x7ff0_0000_0000_0002;

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

pub(crate) fn bits(value: f64) -> Value {
    json!(format!("{:016x}", value.to_bits()))
}

/// The value of a float series behind `value`, by one of seven kinds.
pub(crate) fn next_float(random: &mut Random, kind: u64, value: f64) -> f64 {
    match kind {
        0 => value,
        1 => value + random.below(50) as f64,
        2 if random.one_in(30) => 0.0,
        2 => value + random.below(1000) as f64 / 8.0,
        3 => ((value * 1000.0).round() + random.below(2001) as f64 - 1000.0) / 1000.0,
        4 => f64::from_bits(random.next()),
        5 => [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, 5e-324][random.below(6) as usize],
        _ => f64::from_bits(0x7ff8_0000_0000_0000 | random.next() >> random.below(64)),
    }
}

/// A histogram that lives: buckets come, grow, and now and then everything changes.
pub(crate) struct Living {
    schema: i64,
    threshold: f64,
    zero: u64,
    sum: f64,
    sides: [BTreeMap<i64, u64>; 2],
    bounds: Vec<f64>,
    gauge: bool,
}

impl Living {
    pub(crate) fn new(random: &mut Random) -> Self {
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

    pub(crate) fn step(&mut self, random: &mut Random) {
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

    pub(crate) fn sample(&self, random: &mut Random, t: i64, st: i64, float: bool) -> Value {
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
