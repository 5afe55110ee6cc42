//! The language of Prometheus's engine tests: `load`, `clear`, `eval` with what is expected.

use thanoxide_model::histogram::{CounterResetHint, FloatHistogram, Span};
use thanoxide_model::labels::Labels;
use thanoxide_model::{METRIC_NAME, STALE_NAN_BITS, parse_duration_ms};
use thanoxide_promql::parser::{ParseOptions, parse_selector};

/// A value of a series.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    Omitted,
    Float(f64),
    /// And whether its reset hint was written.
    Histogram(FloatHistogram, bool),
}

pub(crate) struct Load {
    pub(crate) step_ms: i64,
    pub(crate) with_nhcb: bool,
    /// Labels, values, and start times relative to the samples.
    pub(crate) series: Vec<(Labels, Vec<Item>, Vec<Option<i64>>)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Times {
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
    pub(crate) step_ms: i64,
}

#[derive(Clone, Debug)]
pub(crate) enum Pattern {
    Any,
    Message(String),
    Regex(String),
}

#[derive(Clone, Default)]
pub(crate) struct Expectation {
    pub(crate) ordered: bool,
    pub(crate) fail: Option<Pattern>,
    pub(crate) warn: Vec<Pattern>,
    pub(crate) info: Vec<Pattern>,
    pub(crate) no_warn: bool,
    pub(crate) no_info: bool,
    pub(crate) text: Option<String>,
    pub(crate) scalar: Option<f64>,
    pub(crate) series: Vec<(Labels, Vec<Item>)>,
    /// Of an instant query that gives a range.
    pub(crate) matrix_times: Option<Times>,
}

#[derive(Clone)]
pub(crate) struct Eval {
    pub(crate) line: usize,
    pub(crate) query: String,
    pub(crate) at_ms: i64,
    pub(crate) range: Option<Times>,
    pub(crate) expect: Expectation,
}

pub(crate) enum Command {
    Clear,
    Load(Load),
    Eval(Box<Eval>),
}

pub(crate) fn read(script: &str) -> Vec<Command> {
    let uncommented = |l: &str| if l.trim().starts_with('#') { String::new() } else { l.trim().to_string() };
    let lines: Vec<String> = script.lines().map(uncommented).collect();
    let mut commands = Vec::new();
    let mut i = 0;
    while i < lines.len() {
        let line = &lines[i];
        let end = lines[i + 1..].iter().position(String::is_empty).map_or(lines.len(), |n| i + 1 + n);
        let body = &lines[i + 1..end];
        i += 1;
        if line.is_empty() {
            continue;
        }
        if line == "clear" {
            commands.push(Command::Clear);
        } else if line.starts_with("load") {
            commands.push(Command::Load(load(line, body)));
            i = end;
        } else {
            let (eval, used) = eval(line, body, i);
            commands.push(Command::Eval(Box::new(eval)));
            i += used;
        }
    }
    commands
}

fn duration(text: &str) -> i64 {
    match text.strip_prefix('-') {
        Some(rest) => -duration(rest),
        None => parse_duration_ms(text.trim_start_matches('+')).unwrap_or_else(|e| panic!("{text}: {e}")),
    }
}

fn load(line: &str, body: &[String]) -> Load {
    let (command, step) = line.split_once(char::is_whitespace).unwrap();
    let mut series = Vec::new();
    let mut starts = Vec::new();
    for line in body {
        match line.find("@st") {
            Some(at) if line[at + 3..].starts_with([' ', '\t']) => {
                starts = line[at + 3..].split_whitespace().flat_map(start_items).collect();
            }
            _ => {
                let (labels, items) = parse_series(line);
                series.push((labels, items, std::mem::take(&mut starts)));
            }
        }
    }
    Load { step_ms: duration(step.trim()), with_nhcb: command == "load_with_nhcb", series }
}

fn start_items(item: &str) -> Vec<Option<i64>> {
    if let Some(rest) = item.strip_prefix('_') {
        return vec![None; rest.strip_prefix('x').map_or(1, |n| n.parse().unwrap())];
    }
    let (body, times) = match item.split_once('x') {
        Some((body, times)) => (body, times.parse().unwrap()),
        None => (item, 0),
    };
    let sign = body[1..].find(['+', '-']).map(|i| i + 1);
    let (base, delta) = match sign {
        Some(i) => (duration(&body[..i]), duration(&body[i..])),
        None => (duration(body), 0),
    };
    (0..=times).map(|i| Some(base + delta * i)).collect()
}

/// `metric{a="b"} 1 2+3x4`
pub(crate) fn parse_series(line: &str) -> (Labels, Vec<Item>) {
    let end = metric_end(line);
    let matchers = parse_selector(&line[..end], &ParseOptions::default()).unwrap_or_else(|e| panic!("{line}: {e}"));
    let labels = Labels::from_pairs(matchers.iter().map(|m| (m.name(), m.value())));
    (labels, items(&line[end..]))
}

fn metric_end(line: &str) -> usize {
    let (mut quoted, mut inside, mut escaped) = (None, false, false);
    for (i, c) in line.char_indices() {
        match (quoted, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(q), c) if c == q => quoted = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quoted = Some(c),
            (None, '{') => inside = true,
            (None, '}') => return i + 1,
            (None, c) if c.is_whitespace() && !inside && !line[i..].trim_start().starts_with('{') => return i,
            (None, c) if c.is_whitespace() && !inside && line[i..].trim_start().starts_with("{{") => return i,
            _ => {}
        }
    }
    line.len()
}

fn items(text: &str) -> Vec<Item> {
    let mut rest = text.trim();
    let mut items = Vec::new();
    while !rest.is_empty() {
        rest = if rest.starts_with("{{") { histogram_item(rest, &mut items) } else { plain_item(rest, &mut items) };
        rest = rest.trim_start();
    }
    items
}

fn word(rest: &str) -> (&str, &str) {
    rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()))
}

fn plain_item<'a>(rest: &'a str, items: &mut Vec<Item>) -> &'a str {
    let (word, rest) = word(rest);
    if let Some(times) = word.strip_prefix('_') {
        let times = times.strip_prefix('x').map_or(1, |n| n.parse().unwrap());
        items.extend(vec![Item::Omitted; times]);
        return rest;
    }
    let (body, times) = match word.rsplit_once('x') {
        Some((body, times)) if !body.is_empty() => (body, times.parse().unwrap()),
        _ => (word, 0usize),
    };
    let (mut value, delta) = match number(body) {
        Some(value) => (value, 0.0),
        None => increments(body),
    };
    for _ in 0..=times {
        items.push(Item::Float(value));
        if delta != 0.0 {
            value += delta;
        }
    }
    rest
}

fn increments(body: &str) -> (f64, f64) {
    let signs = body.char_indices().skip(1).filter(|(_, c)| matches!(c, '+' | '-'));
    for (i, _) in signs {
        if let (Some(base), Some(delta)) = (number(&body[..i]), number(&body[i..])) {
            return (base, delta);
        }
    }
    panic!("no series value: {body}")
}

pub(crate) fn number(text: &str) -> Option<f64> {
    if text == "stale" {
        return Some(f64::from_bits(STALE_NAN_BITS));
    }
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    let value = match digits.to_ascii_lowercase().as_str() {
        "inf" => f64::INFINITY,
        "nan" => f64::NAN,
        "" | "infinity" => return None,
        _ => match digits.parse() {
            Ok(value) => value,
            Err(_) => parse_duration_ms(digits).ok()? as f64 / 1000.0,
        },
    };
    Some(sign * value)
}

fn histogram_item<'a>(rest: &'a str, items: &mut Vec<Item>) -> &'a str {
    let (base, hinted, rest) = histogram_literal(rest);
    let sign = rest.chars().next().filter(|c| matches!(c, '+' | '-'));
    let (delta, rest) = match sign {
        Some(_) => {
            let (delta, _, rest) = histogram_literal(&rest[1..]);
            (Some(delta), rest)
        }
        None => (None, rest),
    };
    let (tail, rest) = word(rest);
    let times: usize = tail.strip_prefix('x').map_or(0, |n| n.parse().unwrap());
    let mut current = base;
    for i in 0..=times {
        if i > 0 {
            match (&delta, sign) {
                (Some(delta), Some('+')) => drop(current.add(delta).unwrap()),
                (Some(delta), _) => drop(current.sub(delta).unwrap()),
                (None, _) => {}
            }
        }
        items.push(Item::Histogram(current.clone(), hinted));
    }
    rest
}

fn histogram_literal(rest: &str) -> (FloatHistogram, bool, &str) {
    let end = rest.find("}}").unwrap();
    let mut histogram = FloatHistogram::default();
    let (mut offset, mut negative_offset, mut hinted) = (0, 0, false);
    let mut body = rest[2..end].trim();
    while !body.is_empty() {
        let (key, tail) = body.split_once(':').unwrap();
        let value_end = match tail.starts_with('[') {
            true => tail.find(']').unwrap() + 1,
            false => tail.find(char::is_whitespace).unwrap_or(tail.len()),
        };
        let value = &tail[..value_end];
        body = tail[value_end..].trim();
        let one = || number(value).unwrap_or_else(|| panic!("{key}:{value}"));
        let list =
            || -> Vec<f64> { value.trim_matches(['[', ']']).split_whitespace().map(|v| number(v).unwrap()).collect() };
        match key.trim() {
            "schema" => histogram.schema = one() as i32,
            "sum" => histogram.sum = one(),
            "count" => histogram.count = one(),
            "z_bucket" => histogram.zero_count = one(),
            "z_bucket_w" => histogram.zero_threshold = one(),
            "custom_values" => histogram.custom_values = list().into(),
            "buckets" => histogram.positive_buckets = list(),
            "n_buckets" => histogram.negative_buckets = list(),
            "offset" => offset = one() as i32,
            "n_offset" => negative_offset = one() as i32,
            "counter_reset_hint" => {
                hinted = true;
                histogram.counter_reset_hint = match value {
                    "reset" => CounterResetHint::CounterReset,
                    "not_reset" => CounterResetHint::NotCounterReset,
                    "gauge" => CounterResetHint::Gauge,
                    _ => CounterResetHint::Unknown,
                };
            }
            other => panic!("no histogram key: {other}"),
        }
    }
    let spans = |offset: i32, len: usize| if len == 0 { vec![] } else { vec![Span { offset, length: len as u32 }] };
    histogram.positive_spans = spans(offset, histogram.positive_buckets.len());
    histogram.negative_spans = spans(negative_offset, histogram.negative_buckets.len());
    (histogram, hinted, &rest[end + 2..])
}

fn eval(line: &str, body: &[String], number_of_line: usize) -> (Eval, usize) {
    let (command, rest) = line.split_once(char::is_whitespace).unwrap();
    let mut words = rest.trim_start();
    let mut next = || {
        let (word, rest) = word(words.trim_start());
        words = rest.trim_start();
        word.to_string()
    };
    let kind = next();
    let (mut at_ms, mut range) = (0, None);
    if kind == "range" {
        let [_, start, _, end, _, step] = [next(), next(), next(), next(), next(), next()];
        range = Some(Times { start_ms: duration(&start), end_ms: duration(&end), step_ms: duration(&step) });
    } else {
        let _at = next();
        at_ms = duration(&next());
    }
    let query = words.to_string();
    let mut eval = Eval { line: number_of_line, query, at_ms, range, expect: Expectation::default() };
    match command {
        "eval_fail" => eval.expect.fail = Some(Pattern::Any),
        "eval_warn" => eval.expect.warn.push(Pattern::Any),
        "eval_info" => eval.expect.info.push(Pattern::Any),
        "eval_ordered" => eval.expect.ordered = true,
        _ => {}
    }
    let mut used = 0;
    for line in body {
        used += 1;
        if !expectation(line, &mut eval.expect) {
            break;
        }
    }
    (eval, used)
}

/// Reads one line; false if it is the last one of its evaluation.
fn expectation(line: &str, expect: &mut Expectation) -> bool {
    if let Some(text) = line.strip_prefix("expected_fail_message") {
        expect.fail = Some(Pattern::Message(text.trim().into()));
        return false;
    }
    if let Some(text) = line.strip_prefix("expected_fail_regexp") {
        expect.fail = Some(Pattern::Regex(text.trim().into()));
        return false;
    }
    if let Some(rest) = line.strip_prefix("expect range vector") {
        let words: Vec<&str> = rest.split_whitespace().collect();
        let [start_ms, end_ms, step_ms] = [1, 3, 5].map(|i: usize| duration(words[i]));
        expect.matrix_times = Some(Times { start_ms, end_ms, step_ms });
        return true;
    }
    if let Some(text) = line.strip_prefix("expect string ") {
        let quoted = thanoxide_promql::parser::parse(text, &ParseOptions::default()).unwrap();
        let thanoxide_promql::ast::Expr::String(literal) = quoted else { panic!("{line}") };
        expect.text = Some(String::from_utf8(literal.value).unwrap());
        return true;
    }
    if let Some(rest) = line.strip_prefix("expect ") {
        annotation(rest.trim(), expect);
        return true;
    }
    if let Some(value) = number(line) {
        expect.scalar = Some(value);
        return false;
    }
    expect.series.push(parse_series(line));
    true
}

fn annotation(rest: &str, expect: &mut Expectation) {
    let (kind, pattern) = match rest.split_once(char::is_whitespace) {
        None => (rest, Pattern::Any),
        Some((kind, pattern)) => match pattern.trim().split_once(':').unwrap() {
            ("msg", text) => (kind, Pattern::Message(text.trim().into())),
            (_, text) => (kind, Pattern::Regex(text.trim().into())),
        },
    };
    match kind {
        "ordered" => expect.ordered = true,
        "fail" => expect.fail = Some(pattern),
        "warn" => expect.warn.push(pattern),
        "info" => expect.info.push(pattern),
        "no_warn" => expect.no_warn = true,
        "no_info" => expect.no_info = true,
        other => panic!("no expectation: {other}"),
    }
}

/// The name without the label of a classic histogram's part, and which part it is.
pub(crate) fn classic_part(labels: &Labels) -> Option<(String, Labels)> {
    let name = String::from_utf8_lossy(labels.metric_name()).into_owned();
    let (base, part) = ["_bucket", "_count", "_sum"].iter().find_map(|s| Some((name.strip_suffix(s)?, *s)))?;
    let mut builder = thanoxide_model::LabelsBuilder::from(labels);
    builder.set(METRIC_NAME, base).remove("le");
    Some((part.to_string(), builder.build()))
}
