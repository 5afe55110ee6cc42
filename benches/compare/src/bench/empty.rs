//! An empty process: how soon it is ready, and what it holds.

use anyhow::Result;

use super::{Benchmark, note_commands, progress, start_all, stop_all};
use crate::peer::Peer;
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
        let whole = run_as(setting, "empty: a process without data, started again", start_all(setting)?)?;
        let receivers =
            Setting { peers: setting.peers.iter().filter(|p| has_receiver(p)).cloned().collect(), ..setting.clone() };
        if receivers.peers.is_empty() {
            return Ok(vec![whole]);
        }
        let running =
            receivers.peers.iter().map(|peer| Running::receiver(peer, setting.cores)).collect::<Result<_>>()?;
        Ok(vec![whole, run_as(&receivers, "empty: a receiver alone", running)?])
    }
}

fn has_receiver(peer: &Peer) -> bool {
    !peer.recipe.receiver_servers.is_empty()
}

fn run_as(setting: &Setting, title: &str, mut running: Vec<Running>) -> Result<Report> {
    let rounds = setting.rounds.unwrap_or(ROUNDS);
    let mut ready_s = vec![Vec::new(); running.len()];
    for round in 1..=rounds {
        for (peer, ready_s) in running.iter_mut().zip(&mut ready_s) {
            ready_s.push(peer.restart(setting.cores)?);
        }
        progress(&format!("{title}, round {round}/{rounds}"));
    }
    let usages: Result<Vec<_>> = running.iter().map(Running::usage).collect();
    let mut report = Report::new(title, setting.peer_names());
    let ready = |pick: fn(&[f64]) -> f64| ready_s.iter().map(|all| 1e3 * pick(all)).collect();
    report.add("ready, median", "ms", Better::Lower, ready(stats::median));
    report.add("ready, best", "ms", Better::Lower, ready(stats::min));
    report.add("resident", "MB", Better::Lower, usages?.iter().map(|usage| usage.resident_bytes / 1e6).collect());
    note_commands(&mut report, &running);
    stop_all(running)?;
    Ok(report)
}
