//! Random queries over random data: ours beside Prometheus's own engine.

use std::time::Instant;

use thanoxide_promql::ast::Expr;
use thanoxide_promql::parser::{ParseOptions, parse};
use thanoxide_promql::{Engine, EngineOptions, Query, QueryOptions};

use crate::dataset::{self, Dataset};
use crate::dice::Dice;
use crate::golden;
use crate::grammar::Grammar;
use crate::memory::Memory;
use crate::oracle::{Answer, Oracle, Question, Row};
use crate::rules;

const QUERIES_PER_DATASET: usize = 2000;
/// Of all queries, this many in a hundred give data at least.
const PERCENT_WITH_DATA: usize = 70;

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    /// After so many queries.
    pub(crate) queries: usize,
    /// At this time, if it comes earlier.
    pub(crate) time: Option<Instant>,
}

impl End {
    fn reached(&self, queries: usize) -> bool {
        queries >= self.queries || self.time.is_some_and(|time| Instant::now() >= time)
    }
}

fn parse_options() -> ParseOptions {
    ParseOptions {
        experimental_functions: true,
        extended_range_selectors: true,
        fill_modifiers: true,
        ..ParseOptions::default()
    }
}

fn question(dice: &mut Dice, data: Dataset) -> Question {
    let instant = dice.percent(50);
    let step_ms = if instant { 0 } else { dice.pick(&[15_000, 30_000, 60_000, 60_000, 300_000, 7_001, 1_200_000]) };
    let offset_ms = dice.pick(&[0, 0, 1, 500]) - dice.pick(&[0, 0, 0, 0, 0, 0, 0, 600_000]);
    let sample = 5 + dice.below(dataset::SAMPLES as usize) as i64;
    let start_ms = data.start_ms + sample * dataset::STEP_MS + offset_ms;
    let end_ms = start_ms + step_ms * dice.below(20) as i64 + if instant { 0 } else { dice.pick(&[0, 0, 1, 4_000]) };
    let expr = Grammar { dice, start_ms: data.start_ms, end_ms: data.end_ms() }.query(instant);
    let lookback_ms = dice.pick(&[0, 0, 0, 0, 30_000, 900_000]);
    Question { expr, start_ms, end_ms, step_ms, delayed: dice.percent(30), lookback_ms }
}

/// Every second query is asked as by somebody who does not want to know how many samples were looked at.
fn is_uncounted(question: &Question) -> bool {
    question.expr.len() % 2 == 1
}

fn evaluate(source: &Memory, question: &Question) -> (Option<Expr>, Answer) {
    let expr = match parse(&question.expr, &parse_options()) {
        Ok(expr) => expr,
        Err(error) => return (None, Answer::error(error.to_string())),
    };
    let engine = Engine::new(EngineOptions { delayed_name_removal: question.delayed, ..EngineOptions::default() });
    let lookback_ms = (question.lookback_ms > 0).then_some(question.lookback_ms);
    let (uncounted, per_step_stats) = (is_uncounted(question), !is_uncounted(question));
    let options = QueryOptions { lookback_ms, per_step_stats, uncounted, ..QueryOptions::default() };
    let query = Query { text: &question.expr, expr: &expr };
    let result = match question.step_ms {
        0 => engine.instant(source, query, question.start_ms, &options),
        step_ms => engine.range(source, query, question.start_ms, question.end_ms, step_ms, &options),
    };
    (Some(expr), Answer::ours(result))
}

/// What was asked and how it went.
#[derive(Default)]
struct Tally {
    rules: rules::Counts,
    queries: usize,
    with_data: usize,
    errors: usize,
    with_notes: usize,
    different: usize,
}

impl Tally {
    fn count(
        &mut self,
        oracle: &mut Oracle,
        question: &Question,
        (expr, ours): &(Option<Expr>, Answer),
        stock: &Answer,
    ) {
        self.queries += 1;
        self.with_data += usize::from(!stock.rows.is_empty() || !stock.text.is_empty());
        self.errors += usize::from(stock.kind == "error");
        self.with_notes += usize::from(!(stock.warnings.is_empty() && stock.infos.is_empty()));
        let mut ours = ours.clone();
        if is_uncounted(question) {
            ours.samples.clone_from(&stock.samples);
        }
        let again = |times: usize| oracle.ask(&vec![question.clone(); times], || ()).0;
        if self.rules.same(expr.as_ref(), &ours, stock, again) {
            return;
        }
        self.different += 1;
        if self.different <= 40 {
            println!("#{} {}\n  {}", self.queries, question.json(), difference(&ours, stock));
        }
    }

    fn print(&self) {
        let Tally { queries, with_data, errors, with_notes, different, .. } = self;
        println!(
            "{queries} queries: {with_data} with data, {errors} errors, {with_notes} with notes, {different} differ"
        );
        self.rules.print();
    }
}

fn difference(ours: &Answer, stock: &Answer) -> String {
    let short = |text: String| text.chars().take(700).collect::<String>();
    if ours.error != stock.error || ours.kind != stock.kind {
        return format!("ours {} {}\n  want {} {}", ours.kind, ours.error, stock.kind, stock.error);
    }
    if (&ours.warnings, &ours.infos) != (&stock.warnings, &stock.infos) {
        let ours = format!("{:?} {:?}", ours.warnings, ours.infos);
        return format!("ours {ours}\n  want {:?} {:?}", stock.warnings, stock.infos);
    }
    if ours.samples != stock.samples && ours.rows == stock.rows {
        return format!("ours {:?} samples\n  want {:?} samples", ours.samples, stock.samples);
    }
    let surplus = ours.rows.iter().find(|r| !stock.rows.contains(r));
    let missing = stock.rows.iter().find(|r| !ours.rows.contains(r));
    if let (Some(surplus), Some(missing)) = (surplus, missing) {
        let at = surplus.1.iter().zip(&missing.1).position(|(a, b)| a != b);
        let at = at.unwrap_or_default();
        let from = |row: &Row| format!("{} {:?}", row.0, row.1.get(at..).unwrap_or_default());
        return format!("ours {}\n  want {}", short(from(surplus)), short(from(missing)));
    }
    format!("ours {surplus:?} of {}\n  want {missing:?} of {}", ours.rows.len(), stock.rows.len())
}

/// Asks until the end; gives whether all answers are the same and enough of them have data.
pub(crate) fn run(seed: u64, end: End) -> bool {
    let mut dice = Dice::new(seed);
    let (mut oracle, mut tally) = (Oracle::start(), Tally::default());
    while !end.reached(tally.queries) {
        let (data, series) = dataset::generate(&mut dice);
        let source = Memory::new(golden::series(&oracle.load(&series).join("\n")));
        for _ in 0..QUERIES_PER_DATASET / 200 {
            let questions: Vec<Question> = (0..200).map(|_| question(&mut dice, data)).collect();
            let evaluated = || questions.iter().map(|q| evaluate(&source, q)).collect::<Vec<_>>();
            let (stock, ours) = oracle.ask(&questions, evaluated);
            for ((question, ours), stock) in questions.iter().zip(&ours).zip(&stock) {
                tally.count(&mut oracle, question, ours, stock);
            }
            if end.reached(tally.queries) {
                break;
            }
        }
    }
    tally.print();
    tally.different == 0 && tally.with_data * 100 >= tally.queries * PERCENT_WITH_DATA
}
