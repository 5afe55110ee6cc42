//! Random series: gauges, counters with resets, classic, native and custom histograms, gaps, stale markers, info metrics.

use serde_json::{Value as Json, json};
use thanoxide_model::STALE_NAN_BITS;

use crate::dice::Dice;

pub(crate) const STEP_MS: i64 = 15_000;
pub(crate) const SAMPLES: i64 = 160;

/// Where in time the samples are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dataset {
    pub(crate) start_ms: i64,
}

impl Dataset {
    pub(crate) fn end_ms(self) -> i64 {
        self.start_ms + SAMPLES * STEP_MS
    }
}

fn hex(value: f64) -> Json {
    json!(format!("{:x}", value.to_bits()))
}

/// The series, as the oracle and [`crate::golden::series`] read them.
pub(crate) fn generate(dice: &mut Dice) -> (Dataset, Vec<Json>) {
    let data = Dataset { start_ms: dice.pick(&[0, 1_700_000_000_000, 1_709_164_799_000, 60_000]) };
    let mut all = Vec::new();
    for a in ["x", "y", "z"] {
        for b in ["1", "2", "10"] {
            let labels = [("a", a), ("b", b), ("instance", dice.pick(&["i1", "i2", "i3"])), ("job", "j")];
            for name in ["g1", "g2", "small", "special"] {
                all.extend(dice.percent(85).then(|| series(dice, name, &labels, data, gauge)));
            }
            for name in ["c1_total", "c2_total"] {
                all.extend(dice.percent(85).then(|| series(dice, name, &labels, data, counter)));
            }
        }
        let labels = [("a", a), ("instance", "i1"), ("job", "j")];
        for name in ["nh1", "nh2", "gh", "ch1", "ch2"] {
            all.push(series(dice, name, &labels, data, histogram));
        }
        all.push(series(dice, "mix", &labels, data, mixed));
        all.extend(classic(dice, a, data));
    }
    for instance in ["i1", "i2", "i3"] {
        for version in ["v1", "v2"] {
            let labels = [("data", instance), ("instance", instance), ("job", "j"), ("version", version)];
            all.extend(dice.percent(70).then(|| series(dice, "target_info", &labels, data, |_, _| one())));
        }
        let labels = [("build", instance), ("instance", instance), ("job", "j")];
        all.push(series(dice, "build_info", &labels, data, |_, _| one()));
    }
    // Prometheus gives series in the order of their first samples; where order matters, it is that of labels.
    all.sort_by_key(|series| series["labels"].to_string().replace("\",\"", "\0"));
    (data, all)
}

fn one() -> Box<dyn FnMut(&mut Dice) -> Json> {
    Box::new(|_| hex(1.0))
}

type Values = Box<dyn FnMut(&mut Dice) -> Json>;

/// A series with its times: regular or jittered, with gaps and stale markers or without.
fn series(
    dice: &mut Dice,
    name: &str,
    labels: &[(&str, &str)],
    data: Dataset,
    values: fn(&mut Dice, &str) -> Values,
) -> Json {
    let mut values = values(dice, name);
    let (jitter, gaps, stale) = (dice.percent(30), dice.pick(&[0, 0, 2, 8]), dice.pick(&[0, 0, 2]));
    let (mut samples, mut gap) = (Vec::new(), if dice.percent(20) { dice.below(100) } else { 0 });
    for i in 0..SAMPLES {
        if gap > 0 {
            gap -= 1;
            continue;
        }
        if dice.percent(gaps) {
            gap = dice.below(40);
        }
        let late_ms = if jitter { dice.below(9000) as i64 } else { 0 };
        let time_ms = data.start_ms + i * STEP_MS + late_ms;
        let value = if dice.percent(stale) { hex(f64::from_bits(STALE_NAN_BITS)) } else { values(dice) };
        samples.push(at(time_ms, value));
    }
    let mut pairs = vec![["__name__", name]];
    pairs.extend(labels.iter().map(|(n, v)| [*n, *v]));
    json!({ "labels": pairs, "samples": samples })
}

fn at(time_ms: i64, mut value: Json) -> Json {
    match value.as_object_mut() {
        Some(histogram) => {
            histogram.insert("t".into(), json!(time_ms));
            value
        }
        None => json!([time_ms, value]),
    }
}

const SPECIAL: [f64; 14] = [
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    -0.0,
    0.0,
    1e308,
    -1e308,
    1e-300,
    9.007199254740993e15,
    1.0,
    -1.0,
    5e-324,
    2.3e-310,
    3e-308,
];

fn gauge(dice: &mut Dice, name: &str) -> Values {
    match name {
        "small" => Box::new(|dice| hex(dice.below(7) as f64 - 3.0)),
        "special" => {
            let rare = dice.pick(&[1, 10, 60]);
            Box::new(move |dice| hex(if dice.percent(rare) { dice.pick(&SPECIAL) } else { dice.unit() * 2.0 - 1.0 }))
        }
        _ => {
            let (mut value, width) = (dice.unit() * 100.0, dice.pick(&[1.0, 10.0, 1e6]));
            Box::new(move |dice| {
                value += (dice.unit() - 0.5) * width;
                hex(value)
            })
        }
    }
}

fn counter(dice: &mut Dice, _: &str) -> Values {
    let (mut value, resets, whole) = (dice.unit() * 10.0, dice.pick(&[0, 2, 10]), dice.percent(50));
    Box::new(move |dice| {
        value += dice.unit() * 10.0;
        if dice.percent(resets) {
            value = dice.unit();
        }
        hex(if whole { value.floor() } else { value })
    })
}

fn mixed(dice: &mut Dice, _: &str) -> Values {
    let (mut floats, mut histograms) = (counter(dice, ""), histogram(dice, "nh1"));
    let (mut is_float, turns) = (dice.percent(50), dice.pick(&[3, 15]));
    Box::new(move |dice| {
        is_float ^= dice.percent(turns);
        if is_float { floats(dice) } else { histograms(dice) }
    })
}

/// A native histogram whose buckets grow, shrink if it is a gauge, and now and then start anew.
struct Native {
    schema: i64,
    custom: Vec<f64>,
    offset: i64,
    positive: Vec<f64>,
    negative: Vec<f64>,
    zero: f64,
    zero_threshold: f64,
    sum: f64,
    hint: u64,
}

impl Native {
    fn new(dice: &mut Dice, name: &str) -> Self {
        let custom = name.starts_with("ch");
        let bounds: &[&[f64]] = &[&[1.0, 2.0, 5.0, 10.0], &[1.0, 5.0, 10.0, 20.0], &[-1.0, 0.0, 2.5], &[0.5]];
        let custom_values = if custom { dice.pick(bounds).to_vec() } else { Vec::new() };
        let buckets = if custom { custom_values.len() + 1 } else { dice.below(8) };
        Native {
            schema: if custom { -53 } else { dice.pick(&[0, 1, 1, 3, -1]) },
            custom: custom_values,
            offset: if custom { 0 } else { dice.below(6) as i64 - 3 },
            positive: vec![0.0; buckets],
            negative: vec![0.0; if custom || dice.percent(60) { 0 } else { dice.below(5) }],
            zero: 0.0,
            zero_threshold: if custom { 0.0 } else { dice.pick(&[1e-128, 0.001, 0.001, 0.5]) },
            sum: 0.0,
            hint: if name == "gh" { 3 } else { 0 },
        }
    }

    fn grow(&mut self, dice: &mut Dice) {
        let gauge = self.hint == 3;
        for bucket in self.positive.iter_mut().chain(&mut self.negative) {
            let more = if dice.percent(40) { dice.below(5) as f64 } else { 0.0 };
            *bucket = if gauge { dice.below(9) as f64 } else { *bucket + more };
        }
        if self.custom.is_empty() {
            self.zero += dice.below(3) as f64;
        }
        self.sum += dice.unit() * 10.0;
    }

    fn json(&self) -> Json {
        let list = |values: &[f64]| values.iter().map(|v| hex(*v)).collect::<Vec<_>>();
        let spans = |offset: i64, n: usize| match n {
            0 => json!([]),
            1..=3 => json!([[offset, n]]),
            _ => json!([[offset, 2], [if self.custom.is_empty() { 2 } else { 0 }, n - 2]]),
        };
        let count = self.zero + self.positive.iter().chain(&self.negative).sum::<f64>();
        json!({
            "k": "fh", "hint": self.hint, "schema": self.schema, "zt": hex(self.zero_threshold), "zc": hex(self.zero),
            "count": hex(count), "sum": hex(self.sum), "ps": spans(self.offset, self.positive.len()),
            "ns": spans(self.offset, self.negative.len()), "pb": list(&self.positive), "nb": list(&self.negative),
            "cv": list(&self.custom),
        })
    }
}

fn histogram(dice: &mut Dice, name: &str) -> Values {
    let name = name.to_string();
    let (mut native, resets) = (Native::new(dice, &name), dice.pick(&[0, 1, 6]));
    Box::new(move |dice| {
        if dice.percent(resets) {
            native = Native::new(dice, &name);
        }
        native.grow(dice);
        native.json()
    })
}

/// The series of a classic histogram; in some the buckets are not monotonic, or the last one is missing.
fn classic(dice: &mut Dice, a: &str, data: Dataset) -> Vec<Json> {
    let bounds: &[&str] = if dice.percent(15) { &["0.1", "1", "5"] } else { &["0.1", "1", "2.5", "5", "+Inf"] };
    let (odd, float) = (dice.pick(&[0, 0, 5]), dice.percent(30));
    let mut counts = vec![0.0; bounds.len()];
    let mut samples = vec![Vec::new(); bounds.len() + 2];
    for i in 0..SAMPLES {
        let time_ms = data.start_ms + i * STEP_MS;
        for count in &mut counts {
            *count += if float { dice.unit() } else { dice.below(5) as f64 };
        }
        let mut total = 0.0;
        for (bucket, count) in counts.iter().enumerate() {
            total += count;
            let error = if dice.percent(odd) { dice.pick(&[1e-9, -2.0]) } else { 0.0 };
            samples[bucket].push(json!([time_ms, hex(total + error)]));
        }
        samples[bounds.len()].push(json!([time_ms, hex(total)]));
        samples[bounds.len() + 1].push(json!([time_ms, hex(total * 1.5)]));
    }
    let labels = |name: &str, le: Option<&str>| {
        let mut pairs = vec![["__name__", name], ["a", a], ["instance", "i1"], ["job", "j"]];
        pairs.extend(le.map(|le| ["le", le]));
        json!(pairs)
    };
    let mut names: Vec<Json> = bounds.iter().map(|le| labels("h_bucket", Some(le))).collect();
    names.extend([labels("h_count", None), labels("h_sum", None)]);
    names.into_iter().zip(samples).map(|(labels, samples)| json!({ "labels": labels, "samples": samples })).collect()
}
