//! What a run of kills sends, and a ledger of what became of it.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};
use thanoxide_model::write_batch::WriteBatchBuilder;
use thanoxide_model::{Labels, Sample, TenantId, WriteBatch};

const START_MS: i64 = 1_700_006_400_000;
/// From sample to sample of a series, in their own time.
const STEP_MS: i64 = 40_000;
pub(crate) const BLOCK_MS: i64 = 60_000;

/// How much and how fast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Size {
    pub(crate) series: usize,
    pub(crate) tenants: usize,
    pub(crate) per_request: usize,
    /// Of each tenant.
    pub(crate) requests_per_s: usize,
    pub(crate) least_life_ms: u64,
    pub(crate) most_life_ms: u64,
    /// So that a snapshot is due now and then.
    pub(crate) segment_bytes: u64,
}

impl Size {
    /// `series` in all; 0 is the size of CI.
    pub(crate) fn new(series: usize) -> Self {
        match series {
            0 => Size {
                series: 2_000,
                tenants: 4,
                per_request: 100,
                requests_per_s: 50,
                least_life_ms: 100,
                most_life_ms: 700,
                segment_bytes: 64 << 10,
            },
            // 100,000 samples a second in all. Tenants are so small that some of their cuts end in a life.
            series => Size {
                series,
                tenants: 25,
                per_request: 2_000,
                requests_per_s: 2,
                least_life_ms: 1_500,
                most_life_ms: 6_000,
                segment_bytes: 4 << 20,
            },
        }
    }

    /// Requests that give each series of a tenant a sample.
    pub(crate) fn requests(self) -> u64 {
        (self.series / self.tenants / self.per_request) as u64
    }

    /// The time of all samples of a tenant's `n`-th request: those of different requests of one round differ.
    pub(crate) fn time_ms(self, n: u64) -> i64 {
        START_MS + n as i64 * STEP_MS / self.requests() as i64
    }

    fn series_of(self, n: u64) -> std::ops::Range<usize> {
        let first = (n % self.requests()) as usize * self.per_request;
        first..first + self.per_request
    }

    pub(crate) fn batch(self, n: u64) -> WriteBatch {
        let (mut builder, timestamp_ms) = (WriteBatchBuilder::default(), self.time_ms(n));
        for i in self.series_of(n) {
            builder.push(&labels(i), &[Sample { timestamp_ms, value: value(i, timestamp_ms) }]);
        }
        builder.build()
    }
}

fn labels(i: usize) -> Labels {
    Labels::from_pairs([
        ("__name__", format!("ledger_{}_total", i % 37)),
        ("instance", format!("10.0.{}.{}:9100", i / 250, i % 250)),
        ("job", "ledger".to_string()),
        ("series", i.to_string()),
    ])
}

pub(crate) fn value(series: usize, timestamp_ms: i64) -> f64 {
    let ticks = timestamp_ms / 100;
    (ticks * (series as i64 % 17 + 1) + (ticks ^ series as i64) % 5) as f64
}

pub(crate) fn tenant(number: usize) -> TenantId {
    TenantId::new(&format!("tenant-{number}")).unwrap()
}

/// What is known of a tenant's requests.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sent {
    /// All below may have been sent.
    pub(crate) next: u64,
    /// Those of them that were not acknowledged: they may be there.
    pub(crate) unacknowledged: BTreeSet<u64>,
}

/// What is known of a run, on the disk before and after each kill.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Ledger {
    pub(crate) size: Size,
    pub(crate) kills: usize,
    /// Kills that left a block of a cut unfinished, one of a compaction, a snapshot; and those before a start had ended.
    pub(crate) in_cut: usize,
    pub(crate) in_compaction: usize,
    pub(crate) in_snapshot: usize,
    pub(crate) in_start: usize,
    /// Cuts and compactions that ended.
    pub(crate) cuts: u64,
    pub(crate) compactions: u64,
    /// Acknowledged samples of earlier episodes.
    acknowledged: u64,
    /// Whether a child lives, whose words were lost if nobody heard them.
    pub(crate) living: bool,
    pub(crate) tenants: Vec<Sent>,
}

impl Ledger {
    pub(crate) fn load(dir: &Path, size: Size) -> Self {
        let Ok(text) = std::fs::read(dir.join("ledger.json")) else {
            let mut ledger = Ledger { size, ..Ledger::default() };
            ledger.begin_episode(dir);
            return ledger;
        };
        let mut ledger: Ledger = serde_json::from_slice(&text).unwrap();
        assert_eq!(ledger.size, size, "the run in {} is of another size", dir.display());
        if std::mem::take(&mut ledger.living) {
            ledger.begin_episode(dir);
        }
        ledger
    }

    pub(crate) fn save(&self, dir: &Path) {
        let temporary = dir.join("ledger.json.tmp");
        std::fs::write(&temporary, serde_json::to_vec(self).unwrap()).unwrap();
        std::fs::rename(temporary, dir.join("ledger.json")).unwrap();
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        let requests: u64 = self.tenants.iter().map(|sent| sent.next - sent.unacknowledged.len() as u64).sum();
        self.acknowledged + requests * self.size.per_request as u64
    }

    /// Throws everything away.
    pub(crate) fn begin_episode(&mut self, dir: &Path) {
        self.acknowledged = self.acknowledged();
        self.tenants = vec![Sent::default(); self.size.tenants];
        match std::fs::remove_dir_all(dir.join("data")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
            _ => std::fs::create_dir_all(dir.join("data")).unwrap(),
        }
    }

    /// Hears what a child says.
    pub(crate) fn note(&mut self, line: &str) {
        let mut words = line.split(' ');
        let Some(word @ ("begin" | "ack" | "cut" | "compacted")) = words.next() else { return };
        let mut number = || words.next().unwrap().parse::<u64>().unwrap();
        let n = number();
        match word {
            "cut" => self.cuts += n,
            "compacted" => self.compactions += n,
            "begin" => {
                let sent = &mut self.tenants[number() as usize];
                sent.next = n + 1;
                sent.unacknowledged.insert(n);
            }
            _ => drop(self.tenants[number() as usize].unacknowledged.remove(&n)),
        }
    }
}
