//! What a peer used for one query.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::question::Question;
use crate::answer::Answer;
use crate::running::Running;

/// CPU time is counted in steps of 10 ms: a reading takes so long at least, if need be by asking again and again.
const READING_S: f64 = 0.15;
const MOST_REPEATS: f64 = 500.0;
/// How long a peer may take to find its blocks after it is ready.
const BLOCKS_DEADLINE: Duration = Duration::from_secs(60);
const BLOCKS_POLL: Duration = Duration::from_millis(200);

/// A reading per round, for one query.
#[derive(Default)]
pub(crate) struct Readings {
    pub(crate) cpu_s: Vec<f64>,
    pub(crate) wall_s: Vec<f64>,
    pub(crate) peak_bytes: f64,
    pub(crate) answer_bytes: f64,
}

impl Readings {
    /// Asks so many times.
    pub(crate) fn ask(&mut self, peer: &Running, question: &Question, times: usize) -> Result<()> {
        peer.reset_peak()?;
        let before = peer.usage()?;
        let mut wall_s = 0.0;
        for _ in 0..times {
            let (body, took_s) = peer.ask_as(&question.api, &question.fields(), question.gzip)?;
            wall_s += took_s;
            self.answer_bytes = body.len() as f64;
        }
        let after = peer.usage()?;
        self.cpu_s.push((after - before).cpu_s / times as f64);
        self.wall_s.push(wall_s / times as f64);
        self.peak_bytes = self.peak_bytes.max(after.peak_bytes);
        Ok(())
    }
}

/// How often a question is asked for one reading. This also warms the peer up.
pub(crate) fn repeats(peer: &Running, question: &Question) -> Result<usize> {
    let (_, wall_s) = peer.ask_as(&question.api, &question.fields(), question.gzip)?;
    Ok((READING_S / wall_s.max(1e-6)).ceil().clamp(1.0, MOST_REPEATS) as usize)
}

/// Waits until a query has an answer: a peer may be ready before it has found its blocks.
pub(crate) fn await_blocks(peer: &Running, question: &Question) -> Result<()> {
    let end = Instant::now() + BLOCKS_DEADLINE;
    let answer = || -> Result<Answer> { peer.answer(&question.api, &question.fields(), &[]) };
    while answer()?.series_count() == 0 {
        ensure!(Instant::now() < end, "{} has no answer to {}", peer.peer.name(), question.name);
        thread::sleep(BLOCKS_POLL);
    }
    Ok(())
}
