//! How many series a tenant's head may have: the limit itself, and what a minute may add.
//!
//! A tenant at a limit is refused new series; those that it has go on.

use std::collections::HashMap;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use thanoxide_config::Limits;
use thanoxide_model::TenantId;

/// The most tenants, unless the limits say otherwise.
const MAX_TENANTS: u64 = 100_000;

/// Series of a tenant when a minute began.
#[derive(Clone, Copy, Debug)]
struct Minute {
    number: u64,
    series: usize,
}

/// The limits in force.
#[derive(Debug, Default)]
pub(crate) struct SeriesLimits {
    limits: ArcSwap<Limits>,
    minutes: Mutex<HashMap<TenantId, Minute>>,
}

impl SeriesLimits {
    pub(crate) fn set(&self, limits: Limits) {
        self.limits.store(limits.into());
    }

    /// The most tenants that there may be; 0 is no limit.
    pub(crate) fn max_tenants(&self) -> u64 {
        self.limits.load().max_tenants.unwrap_or(MAX_TENANTS)
    }

    /// How long a tenant's blocks are kept, where its limits say so.
    pub(crate) fn retention_ms(&self, tenant: &TenantId) -> Option<i64> {
        Some(self.limits.load().of(tenant).local_retention_ms).filter(|ms| *ms > 0)
    }

    /// The most series that a tenant may have at `now` (monotonic); `series` tells how many it has.
    pub(crate) fn max_series(&self, tenant: &TenantId, now: Duration, series: impl FnOnce() -> usize) -> Option<usize> {
        let limits = *self.limits.load().of(tenant);
        let active = (limits.active_series > 0).then_some(limits.active_series as usize);
        if limits.new_series_per_minute == 0 {
            return active;
        }
        let number = now.as_secs() / 60;
        let mut minutes = self.minutes.lock();
        let minute = minutes.entry(tenant.clone()).or_insert(Minute { number: u64::MAX, series: 0 });
        if minute.number != number {
            *minute = Minute { number, series: series() };
        }
        let of_minute = minute.series.saturating_add(limits.new_series_per_minute as usize);
        Some(active.map_or(of_minute, |active| active.min(of_minute)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_adds_so_many_series_up_to_the_limit() {
        let limits = SeriesLimits::default();
        let tenant = TenantId::new("a").unwrap();
        let max = |seconds, series| limits.max_series(&tenant, Duration::from_secs(seconds), || series);
        assert_eq!(max(0, 5), None);
        limits
            .set(Limits::parse("write: {default: {active_series_limit: 12, new_series_per_minute_limit: 5}}").unwrap());
        assert_eq!((max(0, 0), max(59, 5), max(60, 5), max(121, 10)), (Some(5), Some(5), Some(10), Some(12)));
    }
}
