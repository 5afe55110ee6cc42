//! What the analysis says may be sharded gives the same answer in parts: random queries over random data.

#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "the oracle is not asked here")]
#[path = "support/dataset.rs"]
mod dataset;
#[path = "support/dice.rs"]
mod dice;
#[allow(dead_code, reason = "the series are read here, answers of the HTTP API are not")]
#[path = "support/golden.rs"]
mod golden;
#[path = "support/grammar.rs"]
mod grammar;
#[path = "support/memory.rs"]
mod memory;
#[allow(dead_code, reason = "only the form of answers is needed")]
#[path = "support/oracle.rs"]
mod oracle;

use std::hash::{DefaultHasher, Hash, Hasher};

use dice::Dice;
use grammar::Grammar;
use memory::Memory;
use oracle::{Answer, Row};
use thanoxide_model::Labels;
use thanoxide_model::series::Columns;
use thanoxide_promql::ast::Expr;
use thanoxide_promql::parser::{ParseOptions, parse};
use thanoxide_promql::sharding::{Sharding, analyze};
use thanoxide_promql::{Engine, EngineOptions, Query, QueryOptions};

const SHARDS: u64 = 3;
const QUERIES: usize = 3_000;

fn shard_of(labels: &Labels, sharding: &Sharding) -> u64 {
    let name = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    let kept = labels.filter(|label| match sharding {
        Sharding::By(labels) => labels.contains(&name(label)),
        Sharding::Without(labels) => !labels.contains(&name(label)),
        Sharding::Impossible(_) => false,
    });
    let mut hasher = DefaultHasher::new();
    kept.as_packed().hash(&mut hasher);
    hasher.finish() % SHARDS
}

struct Asked {
    text: String,
    expr: Expr,
    start_ms: i64,
    step_ms: i64,
    delayed: bool,
}

impl Asked {
    fn of(&self, series: Vec<(Labels, Columns)>) -> Answer {
        let engine = Engine::new(EngineOptions { delayed_name_removal: self.delayed, ..EngineOptions::default() });
        let (source, query) = (Memory::new(series), Query { text: &self.text, expr: &self.expr });
        let options = QueryOptions::default();
        Answer::ours(match self.step_ms {
            0 => engine.instant(&source, query, self.start_ms, &options),
            step_ms => engine.range(&source, query, self.start_ms, self.start_ms + 8 * step_ms, step_ms, &options),
        })
    }
}

fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort();
    rows
}

#[test]
fn parts_of_what_may_be_sharded_are_the_whole() {
    let mut dice = Dice::new(dice::seed(Some(7)));
    let options = ParseOptions {
        experimental_functions: true,
        extended_range_selectors: true,
        fill_modifiers: true,
        ..ParseOptions::default()
    };
    let (mut sharded, mut split) = (0, 0);
    let (mut data, mut series) = (None, Vec::new());
    for number in 0..QUERIES {
        if number % 500 == 0 {
            let (times, lines) = dataset::generate(&mut dice);
            let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
            (data, series) = (Some(times), golden::series(&lines.join("\n")));
        }
        let data = data.unwrap();
        let (instant, delayed) = (dice.percent(50), dice.percent(30));
        let step_ms = if instant { 0 } else { 60_000 };
        let start_ms = data.start_ms + (5 + dice.below(dataset::SAMPLES as usize) as i64) * dataset::STEP_MS;
        let text = Grammar { dice: &mut dice, start_ms: data.start_ms, end_ms: data.end_ms() }.query(instant);
        let Ok(expr) = parse(&text, &options) else { continue };
        let sharding = analyze(&expr);
        if matches!(sharding, Sharding::Impossible(_)) {
            continue;
        }
        let asked = Asked { text, expr, start_ms, step_ms, delayed };
        let whole = asked.of(series.clone());
        if whole.kind == "error" || whole.rows.is_empty() {
            continue;
        }
        let mut rows = Vec::new();
        let mut filled = 0;
        for shard in 0..SHARDS {
            let of_shard = series.iter().filter(|(labels, _)| shard_of(labels, &sharding) == shard).cloned().collect();
            let part = asked.of(of_shard);
            assert_ne!(part.kind, "error", "{}: {}", asked.text, part.error);
            filled += usize::from(!part.rows.is_empty());
            rows.extend(part.rows);
        }
        assert_eq!(sorted(rows), sorted(whole.rows), "{} by {sharding:?}", asked.text);
        (sharded, split) = (sharded + 1, split + usize::from(filled > 1));
    }
    println!("{sharded} of {QUERIES} queries sharded, {split} of them with data in several shards");
    assert!(sharded > QUERIES / 20 && split > QUERIES / 50, "too few are sharded");
}
