//! Queries over blocks that lie there already: every peer reads its own copy, the same queries are asked in turn.

use anyhow::{Context, Result};

use super::{Benchmark, agree, note_commands, progress, stop_all};
use crate::answer::Answer;
use crate::peer::Peer;
use crate::report::{Better, Report};
use crate::running::Running;
use crate::setting::Setting;
use crate::stats;

pub(super) mod data;
mod question;
mod readings;

use data::Data;
pub(super) use question::shared;
use question::{Question, Questions};
use readings::{Readings, repeats};

/// A file of queries over one shape of blocks.
pub(crate) struct OverBlocks {
    name: &'static str,
    about: &'static str,
    data: Data,
    /// Of the shared benchmark data, or of this crate.
    queries: &'static str,
    rounds: usize,
    /// Kinds of queries by a part of their names, summed up on their own.
    groups: &'static [(&'static str, &'static [&'static str])],
}

const WINDOWS: &[&str] = &["over_time_1h", "over_time_6h"];
const SELECTORS: &[&str] =
    &["vector_selector", "=sum", "sum_by_pod", "unary_negation", "positive_offset_vector", "at_modifier"];

/// The range queries of the promql-engine benchmark.
pub(crate) const MICRO: OverBlocks = OverBlocks {
    name: "micro",
    about: "range queries of the promql-engine benchmark, 2 h every 30 s, over one block; --sizes 3k",
    data: Data { name: "d5", shape: "d5", size: 3_000, flags: &["-interval", "30s", "-dur", "6h", "-block", "6h"] },
    queries: "d5-range.json",
    rounds: 5,
    groups: &[("selectors and sum", SELECTORS), ("windows of 1 h and more", WINDOWS)],
};

/// The instant queries of the same.
pub(crate) const INSTANT: OverBlocks =
    OverBlocks { name: "instant", about: "its instant queries", queries: "d5-instant.json", groups: &[], ..MICRO };

/// Its queries over native histograms.
pub(crate) const NATIVE: OverBlocks = OverBlocks {
    name: "native",
    about: "its queries over native histograms; --sizes 300",
    data: Data {
        name: "d5native",
        shape: "d5native",
        size: 300,
        flags: &["-interval", "30s", "-dur", "6h", "-block", "6h"],
    },
    queries: "d5-native.json",
    ..INSTANT
};

/// Large queries.
pub(crate) const HEAVY: OverBlocks = OverBlocks {
    name: "heavy",
    about: "large queries over three blocks of 2 h; --sizes 10k (times 2.2 is the number of series)",
    data: Data { name: "d6", shape: "d6", size: 10_000, flags: &["-dur", "6h"] },
    queries: "d6.json",
    rounds: 2,
    groups: &[],
};

/// Joins and label functions.
pub(crate) const JOINS: OverBlocks = OverBlocks {
    name: "joins",
    about: "joins and regroupings of series with eight labels, over the blocks of heavy",
    queries: "joins.json",
    rounds: 3,
    ..HEAVY
};

/// Compressed answers.
pub(crate) const GZIP: OverBlocks =
    OverBlocks { name: "gzip", about: "answers of some MB, plain and compressed", queries: "gzip.json", ..INSTANT };

/// Series, counts and label values by matchers.
pub(crate) const MATCHERS: OverBlocks = OverBlocks {
    name: "matchers",
    about: "benchmark 7: series, counts, label names and values by matchers; --sizes 1M",
    data: Data { name: "l10", shape: "l10", size: 1_000_000, flags: &["-samples", "8", "-dur", "2h"] },
    queries: "d7.json",
    rounds: 5,
    groups: &[("series and count()", &["series_", "count_"]), ("label values", &["_values"])],
};

impl Benchmark for OverBlocks {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn run(&self, setting: &Setting) -> Result<Vec<Report>> {
        let questions = Questions::read(&setting.queries.clone().unwrap_or_else(|| question::located(self.queries)))?;
        let sizes = if setting.sizes.is_empty() { vec![self.data.size] } else { setting.sizes.clone() };
        let mut reports = Vec::new();
        for &size in &sizes {
            reports.push(self.run_size(setting, &questions.all, size)?);
        }
        if sizes.len() > 1 {
            reports.push(growth(self.name, &sizes, &reports));
        }
        Ok(reports)
    }
}

impl OverBlocks {
    fn run_size(&self, setting: &Setting, questions: &[Question], size: u64) -> Result<Report> {
        let blocks = match &setting.blocks {
            Some(dir) => dir.clone(),
            None => self.data.blocks(size)?,
        };
        let ignored = data::external_labels(&blocks)?;
        let able = setting.peers.iter().filter(|peer| !peer.recipe.block_servers.is_empty());
        let running: Vec<Running> =
            able.map(|peer| Running::on_blocks(peer, &blocks, setting.cores)).collect::<Result<_>>()?;
        let names = running.iter().map(|running| running.peer.name().to_string()).collect();
        let title = format!("{}: {} queries over blocks, size {size}", self.name, questions.len());
        let mut report = Report::new(title, names);
        note_commands(&mut report, &running);
        let first = questions.first().context("no queries")?;
        running.iter().try_for_each(|peer| readings::await_blocks(peer, first))?;
        let rounds = setting.rounds.unwrap_or(self.rounds);
        let mut all = Vec::new();
        for question in questions {
            all.push(self.ask(&mut report, &running, question, rounds, &ignored)?);
        }
        for (question, readings) in questions.iter().zip(&all) {
            add_metrics(&mut report, &question.name, readings);
        }
        self.summarize(&mut report, questions, &all);
        stop_all(running)?;
        Ok(report)
    }

    /// One query: answers compared, then rounds in turn.
    fn ask(
        &self,
        report: &mut Report,
        running: &[Running],
        question: &Question,
        rounds: usize,
        ignored: &[String],
    ) -> Result<Vec<Readings>> {
        match question.differs {
            true => report.note(format!("{}: answers not compared, they differ by design", question.name)),
            false => compare(report, running, question, ignored)?,
        }
        let times: Result<Vec<usize>> = running.iter().map(|peer| repeats(peer, question)).collect();
        let times = times?;
        let mut all: Vec<Readings> = running.iter().map(|_| Readings::default()).collect();
        for round in 1..=rounds {
            for ((peer, readings), times) in running.iter().zip(&mut all).zip(&times) {
                readings.ask(peer, question, *times)?;
            }
            let cpu = all.iter().map(|r| format!("{:.1}", 1e3 * r.cpu_s[round - 1])).collect::<Vec<_>>().join(" / ");
            progress(&format!("{} {}, round {round}/{rounds}: CPU {cpu} ms", self.name, question.name));
        }
        Ok(all)
    }

    /// Geometric means over all queries, over each group, and the query that compares worst.
    fn summarize(&self, report: &mut Report, questions: &[Question], all: &[Vec<Readings>]) {
        let everything: (&str, &[&str]) = ("all", &[""]);
        for (name, parts) in std::iter::once(&everything).chain(self.groups) {
            let of_group = |q: &Question| parts.iter().any(|part| is_named(&q.name, part));
            let chosen: Vec<&Vec<Readings>> =
                questions.iter().zip(all).filter(|(q, _)| of_group(q)).map(|(_, r)| r).collect();
            let means = (0..report.peers.len()).map(|peer| {
                let cpu: Vec<f64> = chosen.iter().map(|readings| 1e3 * stats::median(&readings[peer].cpu_s)).collect();
                stats::geometric_mean(&cpu)
            });
            let means = means.collect();
            report.add(format!("geometric mean, {name} ({})", chosen.len()), "ms CPU", Better::Lower, means);
        }
        for peer in 1..report.peers.len() {
            let ratio = |r: &Vec<Readings>| stats::median(&r[peer].cpu_s) / stats::median(&r[0].cpu_s);
            let worst = questions.iter().zip(all).min_by(|a, b| ratio(a.1).total_cmp(&ratio(b.1)));
            if let Some((question, readings)) = worst {
                report.note(format!("least against {}: {} {:.2}", report.peers[peer], question.name, ratio(readings)));
            }
        }
        let peaks =
            (0..report.peers.len()).map(|peer| all.iter().map(|r| r[peer].peak_bytes / 1e6).fold(0.0, f64::max));
        let peaks = peaks.collect();
        report.add("most memory of all queries", "MB", Better::Lower, peaks);
    }
}

/// Fails if the answers of peers that must agree differ.
fn compare(report: &mut Report, running: &[Running], question: &Question, ignored: &[String]) -> Result<()> {
    let answers: Result<Vec<Answer>> =
        running.iter().map(|peer| peer.answer(&question.api, &question.fields(), ignored)).collect();
    let answers = answers?;
    let pairs: Vec<(&Peer, &Answer)> = running.iter().map(|running| &running.peer).zip(&answers).collect();
    agree(&question.name, &pairs, report)
}

/// `=name` is that name, anything else a part of it.
fn is_named(name: &str, part: &str) -> bool {
    part.strip_prefix('=').map_or_else(|| name.contains(part), |whole| name == whole)
}

fn add_metrics(report: &mut Report, name: &str, readings: &[Readings]) {
    let mut add = |what: &str, unit, value: &dyn Fn(&Readings) -> f64| {
        report.add(format!("{name}: {what}"), unit, Better::Lower, readings.iter().map(value).collect());
    };
    add("CPU, median", "ms", &|r| 1e3 * stats::median(&r.cpu_s));
    add("wall, median", "ms", &|r| 1e3 * stats::median(&r.wall_s));
    add("peak memory", "MB", &|r| r.peak_bytes / 1e6);
    add("answer", "MB", &|r| r.answer_bytes / 1e6);
}

/// The exponents of cost ~ size^k, a metric each.
fn growth(name: &str, sizes: &[u64], reports: &[Report]) -> Report {
    let mut report = Report::new(format!("{name}: k of cost ~ size^k over {sizes:?}"), reports[0].peers.clone());
    for (index, metric) in reports[0].metrics.iter().enumerate().filter(|(_, m)| m.name.contains("CPU, median")) {
        let exponents = (0..metric.values.len()).map(|peer| {
            let cost = |report: &Report| report.metrics.get(index).map_or(f64::NAN, |m| m.values[peer]);
            let points: Vec<(f64, f64)> = sizes.iter().zip(reports).map(|(n, r)| (*n as f64, cost(r))).collect();
            stats::growth(&points).unwrap_or(f64::NAN)
        });
        report.add(metric.name.clone(), "k", Better::Lower, exponents.collect());
    }
    report
}
