//! When a write is decided: per series, as Thanos decides it.
//!
//! A series is written once `needed` of its replicas took it (half of them and one more; one of two), and is lost for good once so many refused it for
//! good that the rest is not enough. The request is answered as soon as each series is one or the other, or when all
//! replicas have answered. Failures that may pass are waited out, since they decide between 409 and 503.

use thanoxide_model::{Verdict, WriteBatch};
use thanoxide_storeapi::{PeerError, PeerErrorKind, Rejected, WriteError, WriteOutcome, errors_text};

/// How many replicas must take a series.
pub fn write_quorum(replication_factor: usize) -> usize {
    match replication_factor {
        // Two replicas are to survive the loss of one.
        2 => 1,
        factor => factor / 2 + 1,
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    successes: u16,
    failures: u16,
    conflicts: u16,
    unavailable: u16,
}

/// What one node said against some series.
#[derive(Debug)]
struct Failure {
    text: String,
    rejected: Vec<Rejected>,
    /// All of these, where the node does not tell series apart.
    series: Vec<u32>,
}

/// The count of one request.
#[derive(Debug)]
pub struct Quorum {
    needed: u16,
    /// So many failures and the series cannot reach the quorum.
    fatal: u16,
    tallies: Vec<Tally>,
    undecided: usize,
    failures: Vec<Failure>,
}

impl Quorum {
    /// For so many series with so many replicas each, `needed` of which must succeed.
    pub fn new(series: usize, replicas: usize, needed: usize) -> Self {
        Quorum {
            needed: needed as u16,
            fatal: (replicas + 1 - needed.min(replicas)) as u16,
            tallies: vec![Tally::default(); series],
            undecided: series,
            failures: Vec::new(),
        }
    }

    /// Whether every series is written or lost for good.
    pub fn is_decided(&self) -> bool {
        self.undecided == 0
    }

    /// A node has taken these series, but for what it rejected (by index into `series`). `text` is said of the rejected.
    pub fn taken(&mut self, series: &[u32], rejected: &[Rejected], text: impl FnOnce() -> String) {
        if rejected.is_empty() {
            series.iter().for_each(|index| self.count(*index, |tally| tally.successes += 1));
            return;
        }
        let mut refused = vec![false; series.len()];
        let mut of_request = Vec::with_capacity(rejected.len());
        for rejection in rejected {
            let Some(slot) = refused.get_mut(rejection.series as usize) else { continue };
            *slot = true;
            of_request.push(Rejected { series: series[rejection.series as usize], ..*rejection });
        }
        for (index, refused) in series.iter().zip(refused) {
            self.count(*index, |tally| match refused {
                false => tally.successes += 1,
                true => (tally.failures, tally.conflicts) = (tally.failures + 1, tally.conflicts + 1),
            });
        }
        self.failures.push(Failure { text: text(), rejected: of_request, series: Vec::new() });
    }

    /// A node has failed with all of these series.
    pub fn failed(&mut self, series: &[u32], error: PeerError) {
        let conflict = u16::from(error.kind == PeerErrorKind::Conflict);
        let unavailable = u16::from(error.kind == PeerErrorKind::Unavailable);
        for index in series {
            self.count(*index, |tally| {
                tally.failures += 1;
                tally.conflicts += conflict;
                tally.unavailable += unavailable;
            });
        }
        self.failures.push(Failure { text: error.text, rejected: Vec::new(), series: series.to_vec() });
    }

    fn count(&mut self, series: u32, change: impl FnOnce(&mut Tally)) {
        let (needed, fatal) = (self.needed, self.fatal);
        let decided = |tally: &Tally| tally.successes >= needed || tally.conflicts >= fatal;
        let tally = &mut self.tallies[series as usize];
        let before = decided(tally);
        change(tally);
        self.undecided -= usize::from(!before && decided(tally));
    }

    fn is_lost(&self, series: u32) -> bool {
        self.tallies[series as usize].failures >= self.fatal
    }

    /// Whether a lost series is lost for good. Stock asks which kind of failure came up to the quorum: with two replicas
    /// one conflict is enough. Where none did, a retry may help.
    fn is_conflict(&self, tally: &Tally) -> bool {
        tally.conflicts >= self.fatal || (tally.conflicts >= self.needed && tally.conflicts >= tally.unavailable)
    }

    /// The answer, as it stands.
    pub fn outcome(&self, batch: &WriteBatch) -> Result<WriteOutcome, WriteError> {
        let lost: Vec<bool> = (0..self.tallies.len()).map(|i| self.is_lost(i as u32)).collect();
        if !lost.contains(&true) {
            return Ok(WriteOutcome::all_of(batch));
        }
        let is_lost = |series: &u32| lost[*series as usize];
        let concerns = |failure: &&Failure| {
            failure.series.iter().any(is_lost) || failure.rejected.iter().any(|r| lost[r.series as usize])
        };
        let text = errors_text(self.failures.iter().filter(concerns).map(|failure| failure.text.clone()).collect());
        let mut of_lost = self.tallies.iter().zip(&lost).filter(|(_, lost)| **lost);
        if of_lost.any(|(tally, _)| !self.is_conflict(tally)) {
            return Err(WriteError::Unavailable(text));
        }
        let rejected = self.rejected(batch, lost);
        let count: u64 = rejected.iter().map(|r| u64::from(r.samples)).sum();
        let accepted = WriteOutcome::all_of(batch).accepted.saturating_sub(count);
        Ok(WriteOutcome { accepted, rejected, explanation: Some(text) })
    }

    /// What the first node that knew said of each lost series.
    fn rejected(&self, batch: &WriteBatch, mut open: Vec<bool>) -> Vec<Rejected> {
        let mut rejected = Vec::new();
        for failure in &self.failures {
            let first = rejected.len();
            rejected.extend(failure.rejected.iter().filter(|r| open[r.series as usize]).copied());
            rejected[first..].iter().for_each(|r: &Rejected| open[r.series as usize] = false);
        }
        for (series, _) in open.iter().enumerate().filter(|(_, open)| **open) {
            let samples = batch.series[series].value_count();
            rejected.push(Rejected { series: series as u32, verdict: Verdict::DuplicateForTimestamp, samples });
        }
        rejected.sort_by_key(|r| r.series);
        rejected
    }
}

#[cfg(test)]
mod tests {
    use thanoxide_model::write_batch::SeriesSpan;

    use super::*;

    fn batch(series: usize) -> WriteBatch {
        WriteBatch {
            series: vec![SeriesSpan { samples: 0..1, ..SeriesSpan::default() }; series],
            samples: vec![Default::default(); series],
            ..WriteBatch::default()
        }
    }

    /// `o` takes, `c` has a conflict, `u` is unavailable, `x` fails otherwise, `r` rejects with a verdict.
    fn status(replicas: &str) -> &'static str {
        let mut quorum = Quorum::new(1, replicas.len(), write_quorum(replicas.len()));
        for (i, answer) in replicas.chars().enumerate() {
            let rejected = [Rejected { series: 0, verdict: Verdict::OutOfOrder, samples: 1 }];
            let failed = |kind| PeerError { kind, text: format!("{answer}{i}") };
            match answer {
                'o' => quorum.taken(&[0], &[], String::new),
                'r' => quorum.taken(&[0], &rejected, || format!("r{i}")),
                'c' => quorum.failed(&[0], failed(PeerErrorKind::Conflict)),
                'u' => quorum.failed(&[0], failed(PeerErrorKind::Unavailable)),
                _ => quorum.failed(&[0], failed(PeerErrorKind::Other)),
            }
        }
        match quorum.outcome(&batch(1)) {
            Ok(outcome) if outcome.rejected.is_empty() => "200",
            Ok(_) => "409",
            Err(WriteError::Unavailable(_)) => "503",
            Err(_) => "500",
        }
    }

    #[test]
    fn answers_are_stocks_in_every_order() {
        for (replicas, wanted) in [
            ("o", "200"),
            ("c", "409"),
            ("u", "503"),
            ("x", "503"),
            ("oo", "200"),
            ("ou", "200"),
            ("oc", "200"),
            ("cc", "409"),
            ("cu", "409"),
            ("uu", "503"),
            ("xu", "503"),
            ("ooo", "200"),
            ("oou", "200"),
            ("ooc", "200"),
            ("oor", "200"),
            ("ouu", "503"),
            ("ocu", "503"),
            ("occ", "409"),
            ("orc", "409"),
            ("rrr", "409"),
            ("cux", "503"),
            ("ccu", "409"),
            ("cuu", "503"),
            ("uuu", "503"),
            ("ooouu", "200"),
            ("oouuu", "503"),
            ("ooccc", "409"),
        ] {
            let mut answers: Vec<char> = replicas.chars().collect();
            for _ in 0..answers.len() {
                answers.rotate_left(1);
                let turned: String = answers.iter().collect();
                assert_eq!(status(&turned), wanted, "{turned}");
                let mirrored: String = answers.iter().rev().collect();
                assert_eq!(status(&mirrored), wanted, "{mirrored}");
            }
        }
    }

    #[test]
    fn decided_before_the_last_answer_but_not_by_what_may_pass() {
        let mut quorum = Quorum::new(2, 3, 2);
        quorum.taken(&[0, 1], &[], String::new);
        quorum.failed(&[0], PeerError { kind: PeerErrorKind::Unavailable, text: "u".into() });
        quorum.taken(&[1], &[], String::new);
        assert!(!quorum.is_decided());
        quorum.taken(&[0], &[], String::new);
        assert!(quorum.is_decided());
        assert_eq!(quorum.outcome(&batch(2)), Ok(WriteOutcome { accepted: 2, ..WriteOutcome::default() }));
    }

    #[test]
    fn each_series_has_its_own_fate() {
        let mut quorum = Quorum::new(3, 3, 2);
        let rejected = [Rejected { series: 1, verdict: Verdict::OutOfOrder, samples: 1 }];
        for node in ["b", "a", "c"] {
            quorum.taken(&[2, 0], &rejected, || node.to_string());
            quorum.taken(&[1], &[], String::new);
        }
        let outcome = quorum.outcome(&batch(3)).unwrap();
        assert_eq!(outcome.rejected, [Rejected { series: 0, verdict: Verdict::OutOfOrder, samples: 1 }]);
        assert_eq!((outcome.accepted, outcome.explanation.as_deref()), (2, Some("3 errors: a; b; c")));
    }
}
