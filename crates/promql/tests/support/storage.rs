//! What the test scripts load, read back as Prometheus's storage would give it.

use std::collections::BTreeMap;

use thanoxide_model::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, FloatHistogram, Span};
use thanoxide_model::labels::Labels;
use thanoxide_model::series::Columns;

use crate::memory::Memory;
use crate::script::{Item, Load, classic_part};

const CHUNK_RANGE_MS: i64 = 7_200_000;

#[derive(Clone, Debug)]
struct Stored {
    time_ms: i64,
    start_ms: i64,
    item: Item,
}

#[derive(Default)]
pub(crate) struct Storage {
    series: BTreeMap<Labels, Vec<Stored>>,
}

/// A classic histogram at one time.
#[derive(Default)]
struct Classic {
    buckets: BTreeMap<u64, (f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

impl Storage {
    pub(crate) fn load(&mut self, load: &Load) {
        let mut classics: BTreeMap<Labels, BTreeMap<i64, Classic>> = BTreeMap::new();
        for (labels, items, starts) in &load.series {
            for (i, item) in items.iter().enumerate() {
                let time_ms = i as i64 * load.step_ms;
                let start_ms = starts.get(i).copied().flatten().map_or(0, |st| time_ms + st);
                if !matches!(item, Item::Omitted) {
                    let stored = Stored { time_ms, start_ms, item: item.clone() };
                    self.series.entry(labels.clone()).or_default().push(stored);
                }
                if let (true, Item::Float(value)) = (load.with_nhcb, item) {
                    gather(labels, time_ms, *value, &mut classics);
                }
            }
        }
        for (labels, by_time) in classics {
            for (time_ms, classic) in by_time {
                let item = Item::Histogram(classic.convert(), false);
                self.series.entry(labels.clone()).or_default().push(Stored { time_ms, start_ms: 0, item });
            }
        }
    }

    pub(crate) fn source(&self) -> Memory {
        Memory::new(self.series.iter().map(|(labels, stored)| (labels.clone(), columns(stored))))
    }
}

fn gather(labels: &Labels, time_ms: i64, value: f64, classics: &mut BTreeMap<Labels, BTreeMap<i64, Classic>>) {
    let Some((part, base)) = classic_part(labels) else { return };
    let le = String::from_utf8_lossy(labels.value("le")).replace("+Inf", "inf").parse::<f64>();
    if part == "_bucket" && le.is_err() {
        return;
    }
    let classic = classics.entry(base).or_default().entry(time_ms).or_default();
    match (part.as_str(), le) {
        ("_count", _) => classic.count = Some(value),
        ("_sum", _) => classic.sum = value,
        (_, Ok(le)) => {
            let bits = le.to_bits();
            let key = if le < 0.0 { !bits } else { bits | 1 << 63 };
            classic.buckets.insert(key, (le, value));
        }
        _ => {}
    }
}

impl Classic {
    fn convert(&self) -> FloatHistogram {
        let mut buckets: Vec<(f64, f64)> = self.buckets.values().copied().collect();
        let highest = buckets.last().map_or(0.0, |b| b.1);
        let count = self.count.unwrap_or(highest);
        if buckets.last().is_none_or(|b| b.0 != f64::INFINITY) {
            buckets.push((f64::INFINITY, count));
        }
        let mut before = 0.0;
        let counts = buckets.iter().map(|(_, count)| count - std::mem::replace(&mut before, *count)).collect();
        let mut histogram = FloatHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count,
            sum: self.sum,
            positive_spans: vec![Span { offset: 0, length: buckets.len() as u32 }],
            positive_buckets: counts,
            custom_values: buckets[..buckets.len() - 1].iter().map(|b| b.0).collect(),
            ..FloatHistogram::default()
        };
        histogram.compact(0);
        histogram
    }
}

fn columns(stored: &[Stored]) -> Columns {
    let mut columns = Columns::default();
    let mut stored = stored.to_vec();
    stored.sort_by_key(|s| s.time_ms);
    let mut chunk: Option<(FloatHistogram, i64)> = None;
    for sample in stored {
        match sample.item {
            Item::Omitted => {}
            Item::Float(value) => {
                chunk = None;
                columns.push(sample.time_ms, value);
                columns.start_timestamps_ms.push(sample.start_ms);
            }
            Item::Histogram(histogram, _) => {
                let end_ms = (sample.time_ms / CHUNK_RANGE_MS + 1) * CHUNK_RANGE_MS;
                let fits = chunk.as_ref().is_some_and(|(last, end)| sample.time_ms < *end && fits(&histogram, last));
                let end_ms = if fits { chunk.as_ref().map_or(end_ms, |c| c.1) } else { end_ms };
                let mut read = histogram.clone();
                read.counter_reset_hint = match (histogram.counter_reset_hint, fits) {
                    (CounterResetHint::Gauge, _) => CounterResetHint::Gauge,
                    (_, true) => CounterResetHint::NotCounterReset,
                    _ => CounterResetHint::Unknown,
                };
                chunk = Some((histogram, end_ms));
                columns.push_histogram(sample.time_ms, read.into());
                columns.histogram_start_timestamps_ms.push(sample.start_ms);
            }
        }
    }
    columns
}

/// Whether a histogram would go into the chunk of the one before.
fn fits(new: &FloatHistogram, last: &FloatHistogram) -> bool {
    let is_gauge = |h: &FloatHistogram| h.counter_reset_hint == CounterResetHint::Gauge;
    let plain = FloatHistogram { counter_reset_hint: CounterResetHint::Unknown, ..new.clone() };
    let same = new.schema == last.schema
        && new.zero_threshold == last.zero_threshold
        && new.custom_values == last.custom_values
        && is_gauge(new) == is_gauge(last)
        && new.is_stale() == last.is_stale();
    same && new.counter_reset_hint != CounterResetHint::CounterReset && (is_gauge(new) || !plain.detect_reset(last))
}
