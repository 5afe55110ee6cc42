//! An empty process: how soon it is ready, and what it holds.

use anyhow::Result;

use super::{Benchmark, note_commands, progress, stop_all};
use crate::report::{Better, Report};
use crate::running::Running;
use crate::setting::Setting;
use crate::stats;

const ROUNDS: usize = 10;

/// Time to ready and resident memory.
pub(crate) struct Empty;

impl Benchmark for Empty {
    fn name(&self) -> &'static str {
        "empty"
    }

    fn about(&self) -> &'static str {
        "an empty process: time to ready, memory"
    }

    fn run(&self, setting: &Setting) -> Result<Vec<Report>> {
        let rounds = setting.rounds.unwrap_or(ROUNDS);
        let mut running: Vec<Running> = super::start_all(setting)?;
        let mut ready_s = vec![Vec::new(); running.len()];
        for round in 1..=rounds {
            for (peer, ready_s) in running.iter_mut().zip(&mut ready_s) {
                ready_s.push(peer.restart(setting.cores)?);
            }
            progress(&format!("empty, round {round}/{rounds}"));
        }
        let usages: Result<Vec<_>> = running.iter().map(Running::usage).collect();
        let mut report = Report::new("empty: a process without data, started again", setting.peer_names());
        let ready = |pick: fn(&[f64]) -> f64| ready_s.iter().map(|all| 1e3 * pick(all)).collect();
        report.add("ready, median", "ms", Better::Lower, ready(stats::median));
        report.add("ready, best", "ms", Better::Lower, ready(stats::min));
        report.add("resident", "MB", Better::Lower, usages?.iter().map(|usage| usage.resident_bytes / 1e6).collect());
        note_commands(&mut report, &running);
        stop_all(running)?;
        Ok(vec![report])
    }
}
