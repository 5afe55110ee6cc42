//! A query that is canceled while it computes within one series ends soon, and not with the series.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use thanoxide_model::series::{Columns, SelectHints, Series, SeriesData, SeriesSet, SeriesSource, SourceError};
use thanoxide_model::{Labels, Matcher};
use thanoxide_promql::parser::{ParseOptions, parse};
use thanoxide_promql::{Engine, Interrupt, Query, QueryOptions};

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
