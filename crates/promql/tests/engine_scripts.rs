//! Prometheus's own engine tests.

#![allow(clippy::unwrap_used)]

#[path = "support/memory.rs"]
mod memory;
#[path = "support/pinned.rs"]
mod pinned;
#[path = "support/script.rs"]
mod script;
#[path = "support/storage.rs"]
mod storage;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use memory::Memory;
use script::{Command, Eval, Expectation, Item, Pattern, Times};
use storage::Storage;
use thanoxide_model::{FloatHistogram, Labels, Regexp};
use thanoxide_promql::parser::{ParseOptions, parse};
use thanoxide_promql::{Engine, EngineOptions, Query, QueryOptions, QueryResult, QueryValue, Value};

/// How many evaluations of each script are right; only rises.
const FLOORS: [(&str, usize); 22] = [
    ("aggregators", 160),
    ("at_modifier", 78),
    ("collision", 2),
    ("differential", 4),
    ("duration_expression", 59),
    ("extended_vectors", 169),
    ("fill-modifier", 46),
    ("functions", 431),
    ("histograms", 185),
    ("info", 53),
    ("limit", 37),
    ("literals", 25),
    ("name_label_dropping", 30),
    ("native_histograms", 522),
    ("operators", 214),
    ("range_queries", 18),
    ("selectors", 31),
    ("staleness", 17),
    ("start_timestamps", 26),
    ("subquery", 34),
    ("trig_functions", 19),
    ("type_and_unit", 58),
];

fn scripts() -> Vec<PathBuf> {
    let root = std::env::var("THANOXIDE_SHARED")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared").to_string());
    let entries = std::fs::read_dir(Path::new(&root).join("corpora/promqltest")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    let own = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases")).unwrap();
    paths.extend(own.map(|e| e.unwrap().path()));
    paths.retain(|p| p.extension().is_some_and(|e| e == "test"));
    paths.sort();
    paths
}

fn engine() -> Engine {
    Engine::new(EngineOptions { delayed_name_removal: true, use_start_timestamps: true, ..EngineOptions::default() })
}

fn parse_options() -> ParseOptions {
    ParseOptions {
        experimental_functions: true,
        extended_range_selectors: true,
        fill_modifiers: true,
        ..ParseOptions::default()
    }
}

fn evaluate(source: &Memory, query: &str, at_ms: i64, range: Option<Times>) -> Result<QueryResult, String> {
    let expr = parse(query, &parse_options()).map_err(|e| e.to_string())?;
    let query = Query { text: query, expr: &expr };
    let options = QueryOptions::default();
    let result = match range {
        None => engine().instant(source, query, at_ms, &options),
        Some(t) => engine().range(source, query, t.start_ms, t.end_ms, t.step_ms, &options),
    };
    result.map_err(|e| e.to_string())
}

fn matches(pattern: &Pattern, text: &str) -> bool {
    match pattern {
        Pattern::Any => true,
        Pattern::Message(message) => message == text,
        Pattern::Regex(regex) => {
            Regexp::new(format!("(?s:.*)(?:{regex})(?s:.*)").as_bytes()).unwrap().is_match(text.as_bytes())
        }
    }
}

fn check_notes(kind: &str, expected: &[Pattern], none: bool, found: &[String]) -> Result<(), String> {
    if none && !found.is_empty() {
        return Err(format!("unexpected {kind}: {found:?}"));
    }
    if expected.is_empty() {
        return Ok(());
    }
    let missing = expected.iter().find(|p| !found.iter().any(|f| matches(p, f)));
    let surplus = found.iter().find(|f| !expected.iter().any(|p| matches(p, f)));
    match (missing, surplus) {
        (None, None) => Ok(()),
        (missing, surplus) => Err(format!("{kind}: missing {missing:?}, surplus {surplus:?}, found {found:?}")),
    }
}

fn almost_equal(a: f64, b: f64) -> bool {
    if thanoxide_model::is_stale_nan(a) || thanoxide_model::is_stale_nan(b) {
        return a.to_bits() == b.to_bits();
    }
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < 1e-6 * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < 1e-6
}

fn same_histogram(expected: &FloatHistogram, hinted: bool, found: &FloatHistogram) -> bool {
    let (mut a, mut b) = (expected.clone(), found.clone());
    a.compact(0);
    b.compact(0);
    let all = |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| almost_equal(*a, *b));
    let spans =
        |s: &[thanoxide_model::histogram::Span]| -> Vec<_> { s.iter().filter(|s| s.length > 0).copied().collect() };
    a.schema == b.schema
        && almost_equal(a.count, b.count)
        && almost_equal(a.sum, b.sum)
        && (!a.uses_custom_buckets() || a.custom_values == b.custom_values)
        && a.zero_threshold == b.zero_threshold
        && almost_equal(a.zero_count, b.zero_count)
        && spans(&a.negative_spans) == spans(&b.negative_spans)
        && all(&a.negative_buckets, &b.negative_buckets)
        && spans(&a.positive_spans) == spans(&b.positive_spans)
        && all(&a.positive_buckets, &b.positive_buckets)
        && (!hinted || a.counter_reset_hint == b.counter_reset_hint)
}

fn same_value(expected: &Item, found: &Value) -> bool {
    match (expected, found) {
        (Item::Float(a), Value::Float(b)) => almost_equal(*a, *b),
        (Item::Histogram(a, hinted), Value::Histogram(b)) => same_histogram(a, *hinted, b),
        _ => false,
    }
}

type Rows = Vec<(Labels, Vec<(i64, Value)>)>;

fn compare_rows(expected: &[(Labels, Vec<(i64, Item)>)], found: &Rows) -> Result<(), String> {
    for (labels, points) in found {
        let Some((_, wanted)) = expected.iter().rev().find(|(l, _)| l == labels) else {
            return Err(format!("unexpected series {labels}: {points:?}"));
        };
        let same = wanted.len() == points.len()
            && wanted.iter().zip(points).all(|(a, b)| a.0 == b.0 && same_value(&a.1, &b.1));
        if !same {
            return Err(format!("{labels}: got {points:?}\n    want {wanted:?}"));
        }
    }
    match expected.iter().find(|(labels, _)| !found.iter().any(|(l, _)| l == labels)) {
        Some((labels, wanted)) => Err(format!("missing {labels}: {wanted:?}")),
        None => Ok(()),
    }
}

fn matrix_rows(series: &[thanoxide_promql::MatrixSeries]) -> Rows {
    let row = |s: &thanoxide_promql::MatrixSeries| {
        let mut points: Vec<(i64, Value)> = s.floats.iter().map(|(t, v)| (t, Value::Float(v))).collect();
        points.extend(s.histograms.iter().map(|(t, h)| (*t, Value::Histogram(Arc::clone(h)))));
        points.sort_by_key(|p| p.0);
        (s.labels.clone(), points)
    };
    series.iter().map(row).collect()
}

fn timed(expect: &Expectation, times: Times) -> Vec<(Labels, Vec<(i64, Item)>)> {
    let time = |i: usize| times.start_ms + i as i64 * times.step_ms;
    let points = |items: &[Item]| {
        let all = items.iter().enumerate().filter(|(_, item)| !matches!(item, Item::Omitted));
        all.map(|(i, item)| (time(i), item.clone())).collect()
    };
    expect.series.iter().map(|(labels, items)| (labels.clone(), points(items))).collect()
}

fn compare(eval: &Eval, value: &QueryValue, at_ms: i64) -> Result<(), String> {
    let expect = &eval.expect;
    let times = eval.range.or(expect.matrix_times);
    match value {
        QueryValue::String { value, .. } => {
            let text = String::from_utf8_lossy(value).into_owned();
            if expect.text.as_ref() == Some(&text) { Ok(()) } else { Err(format!("got {text:?}")) }
        }
        QueryValue::Scalar { value, .. } => match expect.scalar {
            Some(wanted) if almost_equal(wanted, *value) => Ok(()),
            wanted => Err(format!("got {value}, want {wanted:?}")),
        },
        QueryValue::Matrix(series) => {
            let times = times.unwrap_or(Times { start_ms: at_ms, end_ms: at_ms, step_ms: 1 });
            if series.windows(2).any(|w| w[0].labels >= w[1].labels) {
                return Err("matrix is not sorted".into());
            }
            compare_rows(&timed(expect, times), &matrix_rows(series))
        }
        QueryValue::Vector(samples) => {
            let rows: Rows = samples.iter().map(|s| (s.labels.clone(), vec![(0, s.value.clone())])).collect();
            compare_rows(&timed(expect, Times { start_ms: 0, end_ms: 0, step_ms: 1 }), &rows)?;
            let ordered = rows.iter().map(|r| &r.0).eq(expect.series.iter().map(|s| &s.0));
            if expect.ordered && !ordered { Err(format!("wrong order: {rows:?}")) } else { Ok(()) }
        }
    }
}

fn check(eval: &Eval, source: &Memory) -> Result<(), String> {
    let expect = &eval.expect;
    let result = match (evaluate(source, &eval.query, eval.at_ms, eval.range), &expect.fail) {
        (Err(error), Some(pattern)) if matches(pattern, &error) => return Ok(()),
        (Err(error), pattern) => return Err(format!("error {error}, expected {pattern:?}")),
        (Ok(_), Some(_)) => return Err("no error".into()),
        (Ok(result), None) => result,
    };
    check_notes("warnings", &expect.warn, expect.no_warn, &result.warnings)?;
    check_notes("infos", &expect.info, expect.no_info, &result.infos)?;
    compare(eval, &result.value, eval.at_ms)?;
    if eval.range.is_some() {
        return Ok(());
    }
    check_pinned(eval, source)?;
    check_as_range(eval, source)
}

/// With `@` on all selectors, a query gives the same at other times.
fn check_pinned(eval: &Eval, source: &Memory) -> Result<(), String> {
    let mut expr = parse(&eval.query, &parse_options()).map_err(|e| e.to_string())?;
    if eval.expect.matrix_times.is_some() || !pinned::pin(&mut expr, eval.at_ms) {
        return Ok(());
    }
    let text = expr.to_string();
    let at_ms = eval.at_ms;
    let times = if at_ms == 0 { vec![-1000, 0, 1000] } else { vec![-10 * at_ms, 0, at_ms / 5, at_ms, 10 * at_ms] };
    for time_ms in times {
        let result = evaluate(source, &text, time_ms, None).map_err(|e| format!("{text} at {time_ms}: {e}"))?;
        compare(eval, &result.value, time_ms).map_err(|e| format!("{text} at {time_ms}: {e}"))?;
    }
    Ok(())
}

/// An instant query gives the same as the middle step of a range query.
fn check_as_range(eval: &Eval, source: &Memory) -> Result<(), String> {
    let expect = &eval.expect;
    let of_the_query = ["start()", "end()", "range()", "step()"].iter().any(|f| eval.query.contains(f));
    if expect.ordered || expect.text.is_some() || expect.matrix_times.is_some() || of_the_query {
        return Ok(());
    }
    let range = Times { start_ms: eval.at_ms - 60_000, end_ms: eval.at_ms + 60_000, step_ms: 60_000 };
    let result = evaluate(source, &eval.query, 0, Some(range)).map_err(|e| format!("as range: {e}"))?;
    let QueryValue::Matrix(series) = &result.value else { return Err("no matrix".into()) };
    let mut rows = matrix_rows(series);
    rows.iter_mut().for_each(|(_, points)| points.retain(|p| p.0 == eval.at_ms));
    rows.retain(|(_, points)| !points.is_empty());
    if let Some(scalar) = expect.scalar {
        let same = rows.len() == 1 && same_value(&Item::Float(scalar), &rows[0].1[0].1);
        return if same { Ok(()) } else { Err(format!("as range: got {rows:?}, want {scalar}")) };
    }
    let times = Times { start_ms: eval.at_ms, end_ms: eval.at_ms, step_ms: 1 };
    compare_rows(&timed(expect, times), &rows).map_err(|e| format!("as range: {e}"))
}

#[test]
fn scripts_pass() {
    let mut fallen = Vec::new();
    for path in scripts() {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let (mut storage, mut source) = (Storage::default(), Memory::default());
        let (mut passed, mut total) = (0, 0);
        for command in script::read(&std::fs::read_to_string(&path).unwrap()) {
            match command {
                Command::Clear => (storage, source) = (Storage::default(), Memory::default()),
                Command::Load(load) => {
                    storage.load(&load);
                    source = storage.source();
                }
                Command::Eval(eval) => {
                    total += 1;
                    match check(&eval, &source) {
                        Ok(()) => passed += 1,
                        Err(why) => println!("{name}:{} {}\n    {why}", eval.line, eval.query),
                    }
                }
            }
        }
        println!("{name}: {passed} of {total}");
        let floor = FLOORS.iter().find(|(n, _)| *n == name).map_or(0, |f| f.1);
        if passed < floor {
            fallen.push(format!("{name}: {passed}, was {floor}"));
        }
    }
    assert!(fallen.is_empty(), "{fallen:?}");
}

/// An expectation with something wrong in it; `None` if it expects nothing that could be made wrong this way.
fn corrupted(eval: &Eval, way: usize) -> Option<Eval> {
    let mut wrong = eval.clone();
    let expect = &mut wrong.expect;
    match way {
        0 => {
            let floats = expect.series.iter_mut().flat_map(|s| &mut s.1);
            let value = floats.filter_map(|i| if let Item::Float(v) = i { Some(v) } else { None }).next()?;
            *value = if value.is_finite() { *value * 2.0 + 1.0 } else { 7.0 };
        }
        1 => {
            let labels = &mut expect.series.first_mut()?.0;
            *labels = Labels::from_pairs([("not", "there")]);
        }
        2 => drop(expect.series.pop()?),
        3 if expect.fail.is_none() => expect.warn.push(Pattern::Message("no such warning".into())),
        4 if expect.fail.is_none() => expect.fail = Some(Pattern::Any),
        _ => return None,
    }
    Some(wrong)
}

#[test]
fn corrupted_expectations_fail() {
    let mut tried = [0; 5];
    for path in scripts() {
        let (mut storage, mut source) = (Storage::default(), Memory::default());
        for command in script::read(&std::fs::read_to_string(&path).unwrap()) {
            match command {
                Command::Clear => (storage, source) = (Storage::default(), Memory::default()),
                Command::Load(load) => {
                    storage.load(&load);
                    source = storage.source();
                }
                Command::Eval(eval) if eval.line % 7 == 0 => {
                    for (way, tried) in tried.iter_mut().enumerate() {
                        let Some(wrong) = corrupted(&eval, way) else { continue };
                        assert!(check(&wrong, &source).is_err(), "{}:{} way {way}", path.display(), eval.line);
                        *tried += 1;
                    }
                }
                Command::Eval(_) => {}
            }
        }
    }
    println!("corrupted expectations that failed: {tried:?}");
    assert!(tried.iter().all(|n| *n >= 10) && tried.iter().sum::<usize>() >= 50);
}
