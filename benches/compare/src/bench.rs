//! The benchmarks, one per file, and what they share.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};

use crate::answer::Answer;
use crate::peer::Peer;
use crate::report::Report;
use crate::running::Running;
use crate::setting::Setting;

mod blocks;
mod churn;
mod compaction;
mod empty;
mod ingest;
mod paced;
mod parse;
mod query;
mod relay;
mod restart;
mod router;
mod smoke;
mod storm;
mod tenants;

/// Time between two samples of a series.
const INTERVAL_MS: i64 = 15_000;
/// The first samples are so old: far enough from now for a run's worth of samples, near enough for every head.
const AGE_MS: i64 = 7_200_000;

/// A comparison that can be asked for by name.
pub(crate) trait Benchmark: Sync {
    /// Its name on the command line.
    fn name(&self) -> &'static str;
    /// One line about it.
    fn about(&self) -> &'static str;
    /// Whether its figures matter, so that servers and generator keep to their cores.
    fn is_pinned(&self) -> bool {
        true
    }
    /// Runs it; an error voids it all.
    fn run(&self, setting: &Setting) -> Result<Vec<Report>>;
}

/// All of them.
pub(crate) const BENCHMARKS: [&dyn Benchmark; 23] = [
    &ingest::Ingest,
    &ingest::IngestSecond,
    &ingest::Memory,
    &ingest::MemoryTwoHours,
    &churn::Churn,
    &storm::Storm,
    &paced::Paced,
    &restart::Restart,
    &tenants::Tenants,
    &empty::Empty,
    &router::Router,
    &relay::Relay,
    &query::Query,
    &blocks::MICRO,
    &blocks::INSTANT,
    &blocks::NATIVE,
    &blocks::HEAVY,
    &blocks::JOINS,
    &blocks::GZIP,
    &blocks::MATCHERS,
    &compaction::Compaction,
    &parse::Parse,
    &smoke::Smoke,
];

/// Says how far a run has come.
fn progress(text: &str) {
    eprintln!("- {text}");
}

/// When the first samples were taken: a full interval in the past.
fn start_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    let start_ms = now.as_millis() as i64 - AGE_MS;
    start_ms - start_ms % INTERVAL_MS
}

fn start_all(setting: &Setting) -> Result<Vec<Running>> {
    setting.peers.iter().map(|peer| Running::empty(peer, setting.cores)).collect()
}

fn stop_all(running: Vec<Running>) -> Result<()> {
    running.into_iter().try_for_each(Running::stop)
}

/// How the peers were started, as remarks.
fn note_commands(report: &mut Report, running: &[Running]) {
    running.iter().flat_map(Running::commands).for_each(|command| report.note(command));
}

/// Milliseconds as the API's seconds.
fn seconds(time_ms: i64) -> String {
    format!("{}.{:03}", time_ms.div_euclid(1000), time_ms.rem_euclid(1000))
}

/// Whether the peers answered alike. An exact peer that did not voids the run; others are only mentioned.
fn agree(what: &str, answers: &[(&Peer, &Answer)], report: &mut Report) -> Result<()> {
    let is_reference = |peer: &Peer| peer.recipe.is_exact && peer.name() != crate::peer::OURS;
    let Some((judge, truth)) = answers.iter().find(|(peer, _)| is_reference(peer)) else {
        report.note(format!("{what}: answers not compared, no Prometheus is among the peers"));
        return Ok(());
    };
    for (peer, answer) in answers {
        let (name, judge) = (peer.name(), judge.name());
        match answer.difference(truth) {
            None => {}
            Some(difference) if peer.recipe.is_exact => {
                bail!("{what}: {name} differs from {judge}, the round is void: {difference}")
            }
            Some(difference) => report.note(format!("{what}: {name} differs from {judge}: {difference}")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_times_are_in_the_past() {
        let names: std::collections::HashSet<&str> = BENCHMARKS.iter().map(|b| b.name()).collect();
        assert_eq!(names.len(), BENCHMARKS.len());
        assert_eq!(start_ms() % INTERVAL_MS, 0);
        assert_eq!(seconds(1_005), "1.005");
    }
}
