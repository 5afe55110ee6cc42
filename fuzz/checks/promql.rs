//! What must hold for any query, however it came about.
#![allow(dead_code, reason = "each target has a check of its own")]

use std::sync::OnceLock;
use std::time::Duration;

use thanoxide_model::series::{Columns, SelectHints, Series, SeriesData, SeriesSet, SeriesSource, SourceError};
use thanoxide_model::{Labels, Matcher, STALE_NAN_BITS};
use thanoxide_promql::ast::{BinaryOp, Expr};
use thanoxide_promql::json::to_json;
use thanoxide_promql::parser::{ParseOptions, parse as parse_query, parse_selector};
use thanoxide_promql::printer::pretty::pretty;
use thanoxide_promql::{Engine, EngineOptions, Query, QueryOptions};
use thanoxide_promql::{sharding, visit};

fn read(text: &str) -> Option<Expr> {
    let options = ParseOptions {
        experimental_functions: true,
        extended_range_selectors: true,
        fill_modifiers: true,
        ..ParseOptions::default()
    };
    parse_query(text, &options).ok()
}

/// Texts are parsed or refused, and visitors walk over what comes out.
pub(crate) fn parse(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = parse_query(text, &ParseOptions::default());
    let _ = parse_selector(text, &ParseOptions::default());
    if let Some(mut expr) = read(text) {
        let selectors = visit::selectors(&expr).len();
        let enforced = visit::enforce(&mut expr, &[Matcher::equal("tenant", "a")]).is_ok();
        let tenants = visit::extract_matchers(&expr).iter().filter(|all| has_tenant(all)).count();
        assert!(!enforced || tenants == selectors);
        sharding::analyze(&expr);
    }
}

fn has_tenant(matchers: &[Matcher]) -> bool {
    matchers.iter().any(|m| m.name() == b"tenant" && m.value() == b"a")
}

/// What is printed reads back as the same tree, on one line and on several.
pub(crate) fn print(data: &[u8]) {
    let Some(expr) = std::str::from_utf8(data).ok().and_then(read) else { return };
    let printed = expr.to_string();
    if reads_otherwise(&expr, &printed) {
        return;
    }
    let Ok(json) = to_json(&sorted(expr.clone())) else { return };
    for text in [printed.clone(), pretty(&expr)] {
        let again = read(&text).unwrap_or_else(|| panic!("{text}"));
        assert_eq!(again.to_string(), printed);
        assert_eq!(to_json(&sorted(again)).ok().as_ref(), Some(&json), "{text}");
    }
}

/// Whether it is one of the forms of Prometheus that do not read back: `+Inf ^ x`, and `x offset (1m + 1s) * y`, which takes the
/// product for the offset where it was `x @ 0 offset …` or `x offset +(…)` before it was printed, `-0s`, printed as `0s`, and
/// durations of more nanoseconds than a float tells apart: `6666663333s` is printed as `77160d10h55m32s999ms`.
fn reads_otherwise(expr: &Expr, printed: &str) -> bool {
    let mut found = printed.contains(" offset (") || printed.contains(" offset -(");
    visit::walk(expr, &mut |e| match e {
        Expr::Binary(binary) if binary.op == BinaryOp::Pow => {
            found |= matches!(&binary.lhs, Expr::Number(n) if n.value == f64::INFINITY);
        }
        Expr::Number(n) if n.is_duration => {
            found |= n.value == 0.0 && n.value.is_sign_negative() || n.value.abs() > (1u64 << 53) as f64 / 1e9;
        }
        _ => {}
    });
    found
}

/// Matchers are printed in order.
fn sorted(mut expr: Expr) -> Expr {
    visit::for_each_selector_mut(&mut expr, &mut |selector| selector.matchers.sort_by_key(ToString::to_string));
    expr
}

/// Queries are answered or refused: two bytes say when and how, the rest is the query.
pub(crate) fn eval(data: &[u8]) {
    let Some((&[when, how], text)) = data.split_first_chunk::<2>() else { return };
    let Some(text) = std::str::from_utf8(text).ok().filter(|text| text.len() < 400) else { return };
    let Some(expr) = read(text) else { return };
    static SOURCE: OnceLock<Source> = OnceLock::new();
    let source = SOURCE.get_or_init(Source::new);
    let engine = Engine::new(EngineOptions {
        max_samples: 20_000,
        max_memory_bytes: 64 << 20,
        timeout: Some(Duration::from_secs(2)),
        delayed_name_removal: how & 1 != 0,
        use_start_timestamps: how & 2 != 0,
        type_and_unit_labels: how & 4 != 0,
        ..EngineOptions::default()
    });
    let query = Query { text, expr: &expr };
    let start_ms = i64::from(when) * 7_001 - 100_000;
    let options = QueryOptions::default();
    let _ = match how >> 4 {
        0 => engine.instant(source, query, start_ms, &options),
        steps => {
            let step_ms = [15_000, 60_000, 1][usize::from(how >> 3) % 3];
            engine.range(source, query, start_ms, start_ms + step_ms * i64::from(steps), step_ms, &options)
        }
    };
}

/// Counters with a reset, a gauge with what floats can be, a classic histogram, an info metric.
#[derive(Debug)]
struct Source(Vec<(Labels, Columns)>);

impl Source {
    fn new() -> Self {
        let odd = [f64::NAN, f64::INFINITY, -0.0, f64::from_bits(STALE_NAN_BITS), 1e308, -1e308, 5e-324, 3.0];
        let series = |name: &str, labels: &[(&str, &str)], value: &dyn Fn(i64) -> f64| {
            let labels = Labels::from_pairs(labels.iter().copied().chain([("__name__", name)]));
            let mut columns = Columns::default();
            (0..80).for_each(|i| columns.push(i * 15_000, value(i)));
            (labels, columns)
        };
        let mut all = Vec::new();
        for (n, job) in [(1, "a"), (2, "b"), (3, "c")] {
            let labels = [("instance", "i"), ("job", job)];
            all.push(series("c_total", &labels, &|i| (i % 37 * n) as f64));
            all.push(series("g", &labels, &|i| odd[((i * n) % 8) as usize]));
            all.push(series("target_info", &labels, &|_| 1.0));
            for le in ["0.1", "1", "+Inf"] {
                let labels = [("job", job), ("le", le)];
                all.push(series("h_bucket", &labels, &|i| (i * n) as f64 * le.len() as f64));
            }
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        Source(all)
    }
}

#[derive(Debug)]
struct Data(Columns);

impl SeriesData for Data {
    fn decode(&self, start_ms: i64, end_ms: i64, into: &mut Columns) -> Result<(), SourceError> {
        self.0.decode(start_ms, end_ms, into)
    }

    fn estimated_samples(&self) -> usize {
        self.0.len()
    }
}

struct Set(std::vec::IntoIter<(Labels, Columns)>);

impl SeriesSet for Set {
    fn next(&mut self) -> Result<Option<Series>, SourceError> {
        Ok(self.0.next().map(|(labels, columns)| Series { labels, data: Box::new(Data(columns)) }))
    }
}

impl SeriesSource for Source {
    fn select(&self, _: &SelectHints, matchers: &[Matcher]) -> Result<Box<dyn SeriesSet>, SourceError> {
        let matching = |(labels, _): &&(Labels, Columns)| matchers.iter().all(|m| m.matches_labels(labels));
        let selected: Vec<_> = self.0.iter().filter(matching).cloned().collect();
        Ok(Box::new(Set(selected.into_iter())))
    }
}
