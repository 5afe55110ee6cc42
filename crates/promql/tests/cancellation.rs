//! A query that is canceled ends soon: not with the series that it computes, not with the operator.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/memory.rs"]
mod memory;

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use memory::Memory;
use thanoxide_env::clock::Clock;
use thanoxide_model::histogram::{FloatHistogram, Span};
use thanoxide_model::series::{Columns, SelectHints, Series, SeriesData, SeriesSet, SeriesSource, SourceError};
use thanoxide_model::{Labels, Matcher};
use thanoxide_promql::parser::{ParseOptions, parse};
use thanoxide_promql::{Engine, EngineOptions, Interrupt, Query, QueryOptions};

const SAMPLES: i64 = 200_000;
const STEP_MS: i64 = 15_000;
/// Ten times of what a slow machine needs; whole, each query takes minutes.
const SOON: Duration = Duration::from_secs(10);

/// One long series, and word when it is decoded.
#[derive(Clone, Debug)]
struct Long(Sender<()>);

impl SeriesSource for Long {
    fn select(&self, _: &SelectHints, _: &[Matcher]) -> Result<Box<dyn SeriesSet>, SourceError> {
        Ok(Box::new(Once(Some(self.clone()))))
    }
}

struct Once(Option<Long>);

impl SeriesSet for Once {
    fn next(&mut self) -> Result<Option<Series>, SourceError> {
        let labels = Labels::from_pairs([("__name__", "x")]);
        Ok(self.0.take().map(|long| Series { labels, data: Box::new(long) }))
    }
}

impl SeriesData for Long {
    fn decode(&self, _: i64, _: i64, into: &mut Columns) -> Result<(), SourceError> {
        (0..SAMPLES).for_each(|n| into.push(n * STEP_MS, (n * 7919 % 10_007) as f64));
        self.0.send(()).unwrap();
        Ok(())
    }

    fn estimated_samples(&self) -> usize {
        SAMPLES as usize
    }
}

fn canceled_soon(text: &str) {
    let (sender, decoded) = channel();
    let interrupt = Interrupt::default();
    let options = QueryOptions { interrupt: interrupt.clone(), ..QueryOptions::default() };
    let expr = parse(text, &ParseOptions { experimental_functions: true, ..ParseOptions::default() }).unwrap();
    std::thread::scope(|scope| {
        let (source, options, expr) = (Long(sender), &options, &expr);
        let query = scope.spawn(move || {
            let end_ms = SAMPLES * STEP_MS;
            Engine::default().range(&source, Query { text, expr }, end_ms / 2, end_ms, STEP_MS, options).unwrap_err()
        });
        decoded.recv().unwrap();
        let start = Instant::now();
        interrupt.cancel();
        let error = query.join().unwrap();
        assert_eq!(error.to_string(), "query was canceled in expression evaluation", "{text}");
        assert!(start.elapsed() < SOON, "{text}: {:?}", start.elapsed());
    });
}

#[test]
fn inside_of_long_windows() {
    canceled_soon("mad_over_time(x[400h])");
    canceled_soon("deriv(x[400h])");
    canceled_soon("stddev_over_time(x[400h])");
}

/// A clock that remembers how long nobody looked at it. The engine looks at it whenever it asks whether to go on.
#[derive(Debug)]
struct WatchedClock {
    start: Instant,
    last: Mutex<Duration>,
    longest: Mutex<Duration>,
}

impl WatchedClock {
    fn new() -> Self {
        WatchedClock { start: Instant::now(), last: Mutex::default(), longest: Mutex::default() }
    }
}

impl Clock for WatchedClock {
    fn now_ms(&self) -> i64 {
        0
    }

    fn monotonic(&self) -> Duration {
        let now = self.start.elapsed();
        let before = std::mem::replace(&mut *self.last.lock().unwrap(), now);
        let mut longest = self.longest.lock().unwrap();
        *longest = (*longest).max(now.saturating_sub(before));
        now
    }
}

/// Many short series of floats, `x` and `y`, and some of histograms, `h`.
fn many() -> Memory {
    let mut all = Vec::new();
    for (name, count) in [("x", 10_000), ("y", 10_000), ("h", 200)] {
        for i in 0..count {
            let labels =
                Labels::from_pairs([("__name__", name), ("pod", &format!("pod-{i}")), ("le", &format!("{i}"))]);
            let mut columns = Columns::default();
            for step in 0..10 {
                let (time_ms, value) = (step * 60_000, f64::from(i * 7919 % 10_007));
                match name {
                    "h" => columns.push_histogram(time_ms, Arc::new(histogram(value))),
                    _ => columns.push(time_ms, value),
                }
            }
            all.push((labels, columns));
        }
    }
    Memory::new(all)
}

fn histogram(sum: f64) -> FloatHistogram {
    let span = Span { offset: 0, length: 100 };
    FloatHistogram {
        count: 100.0,
        sum,
        positive_spans: vec![span],
        positive_buckets: vec![1.0; 100],
        ..Default::default()
    }
}

/// Longest time without a look at the clock; ten times what is promised, since tests run on busy machines without optimization.
const LONGEST: Duration = Duration::from_secs(1);

#[test]
fn every_operator_looks_up_in_time() {
    let source = many();
    let options = ParseOptions { experimental_functions: true, fill_modifiers: true, ..ParseOptions::default() };
    for text in [
        "sort_desc(x)",
        "sort_by_label(x, \"pod\")",
        "x + on (pod) y",
        "x + on (pod) fill (0) (y > 5000)",
        "x * on () group_left () y{pod=\"pod-7\"}",
        "x or y",
        "x unless on (pod) (y > 5000)",
        "label_replace(x, \"d\", \"$2\", \"pod\", \"(.*)-(.*)[0-9]\")",
        "{pod=~\".*(1|3)[0-9]+(5|7).*\"}",
        "sum(h)",
        "h + on (pod) h",
        "histogram_quantile(0.9, h)",
        "histogram_quantile(0.9, x)",
        "avg_over_time(h[10m])",
        "count_values(\"v\", x)",
        "quantile by (le) (0.5, x)",
        "topk(5000, x)",
        "limit_ratio(0.5, x)",
        "max_over_time(x[10m:1s])",
        "absent(x)",
    ] {
        let clock = Arc::new(WatchedClock::new());
        let engine = Engine::new(EngineOptions { clock: Arc::clone(&clock) as _, ..EngineOptions::default() });
        let expr = parse(text, &options).unwrap();
        let query = Query { text, expr: &expr };
        let ended = match text.starts_with("sort") {
            true => engine.instant(&source, query, 540_000, &QueryOptions::default()),
            false => engine.range(&source, query, 0, 540_000, 60_000, &QueryOptions::default()),
        };
        ended.unwrap_or_else(|error| panic!("{text}: {error}"));
        let longest = *clock.longest.lock().unwrap();
        println!("{longest:?} {text}");
        assert!(longest < LONGEST, "{text}: {longest:?}");
    }
}
