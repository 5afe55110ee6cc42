//! Near the limit of memory: first no series is made, as beyond a limit of series, which senders may try again; then heads
//! are cut early. Samples of known series are always taken, also those that such a cut leaves behind.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use thanoxide_env::{Env, Memory};

use super::{Engine, Maintained};

/// From this share of the limit on, in per cent, no series is made.
const FULL_PERCENT: u64 = 90;
/// From this share on heads are cut.
const CUT_PERCENT: u64 = 95;
/// A cut goes on until so much is left.
const ENOUGH_PERCENT: u64 = 75;
/// Memory is asked for no more often.
const EVERY_MS: u64 = 20;
/// What a cut frees comes back within so long; only then another one is asked for.
const SETTLED_MS: u64 = 15_000;

/// The limit, and what is in use.
#[derive(Debug)]
pub(super) struct MemoryLimit {
    bytes: Option<u64>,
    memory: Arc<dyn Memory>,
    used_bytes: AtomicU64,
    /// When that was asked; 0 before.
    asked_ms: AtomicU64,
    /// When heads were last cut, in the same way.
    cut_ms: AtomicU64,
}

impl MemoryLimit {
    pub(super) fn new(bytes: Option<u64>, memory: Arc<dyn Memory>) -> Self {
        let (used_bytes, asked_ms, cut_ms) = Default::default();
        MemoryLimit { bytes, memory, used_bytes, asked_ms, cut_ms }
    }

    /// Whether new series are to be refused.
    pub(super) fn is_full(&self, env: &Env) -> bool {
        self.exceeds(FULL_PERCENT, env)
    }

    /// Whether heads are to be cut now.
    pub(super) fn wants_cut(&self, env: &Env) -> bool {
        self.exceeds(CUT_PERCENT, env) && now_ms(env).saturating_sub(self.cut_ms.load(Ordering::Relaxed)) > SETTLED_MS
    }

    fn exceeds(&self, percent: u64, env: &Env) -> bool {
        let Some(limit_bytes) = self.bytes else { return false };
        let now_ms = now_ms(env);
        if now_ms.saturating_sub(self.asked_ms.load(Ordering::Relaxed)) >= EVERY_MS {
            self.asked_ms.store(now_ms, Ordering::Relaxed);
            self.used_bytes.store(self.memory.used_bytes(), Ordering::Relaxed);
        }
        self.used_bytes.load(Ordering::Relaxed) > share(limit_bytes, percent)
    }

    /// How much of what is in use must go, in thousandths; 0 while there is room.
    fn excess_thousandths(&self) -> u64 {
        let Some(limit_bytes) = self.bytes else { return 0 };
        let used_bytes = self.memory.used_bytes();
        if used_bytes <= share(limit_bytes, CUT_PERCENT) {
            return 0;
        }
        let excess_bytes = used_bytes - share(limit_bytes, ENOUGH_PERCENT);
        (u128::from(excess_bytes) * 1000 / u128::from(used_bytes)) as u64 + 1
    }
}

/// Begins beyond all times that mean never.
fn now_ms(env: &Env) -> u64 {
    env.clock.monotonic().as_millis() as u64 + 2 * SETTLED_MS
}

fn share(bytes: u64, percent: u64) -> u64 {
    (u128::from(bytes) * u128::from(percent) / 100) as u64
}

impl Engine {
    /// Cuts heads early while memory is short, the largest first. How much that gives back is known only later, so series
    /// stand for bytes.
    pub(super) fn cut_for_memory(&self, done: &mut Maintained) {
        let excess = self.memory.excess_thousandths();
        if excess == 0 {
            return;
        }
        self.memory.cut_ms.store(now_ms(&self.env), Ordering::Relaxed);
        let series = |tenant: &Arc<super::Tenant>| tenant.state.read().head.stats().series as u64;
        let mut tenants: Vec<_> = self.all_tenants().into_iter().map(|tenant| (series(&tenant), tenant)).collect();
        tenants.sort_by_key(|(series, tenant)| (Reverse(*series), tenant.id.clone()));
        let all: u64 = tenants.iter().map(|(series, _)| series).sum();
        let mut left = (all * excess).div_ceil(1000);
        tracing::warn!(series = left, "memory is short, heads are cut early");
        for (series, tenant) in tenants {
            if left == 0 {
                return;
            }
            let mut blocks = Vec::new();
            tenant.state.write().head.expect_early_cut();
            let flushed = tenant.flush(&self.options, &self.env, &mut blocks);
            left = left.saturating_sub(if flushed.is_ok() { series } else { 0 });
            done.note(&tenant, blocks, flushed);
        }
    }
}
