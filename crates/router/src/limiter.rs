//! What a tenant may, at the door: requests under way, sizes, rates, and series as the meta-monitoring counts them.
//!
//! Limits can be swapped while requests run. Series of this process are limited by the storage, which knows them exactly;
//! a tenant at that limit is refused new series only.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use thanoxide_config::{Limits, TenantLimits};
use thanoxide_model::TenantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::refusal::Refusal;

/// A tenant may take so many seconds of its rate at once.
const BURST_SECONDS: f64 = 10.0;
/// So many more buckets, and those that say nothing are forgotten.
const MAX_IDLE_BUCKETS: usize = 1024;

type TenantLabel = [(&'static str, String); 1];
type LimitLabels = [(&'static str, String); 2];

/// The limits in force and what counts against them. Clones share both.
#[derive(Clone, Debug, Default)]
pub struct Limiter(Arc<State>);

#[derive(Debug, Default)]
struct State {
    limits: ArcSwap<Limits>,
    gate: ArcSwap<Option<Arc<Semaphore>>>,
    /// Series of each tenant, as the meta-monitoring told last; `None` before it told anything.
    head_series: ArcSwap<Option<HashMap<String, f64>>>,
    rates: Mutex<HashMap<TenantId, Bucket>>,
    /// Whether the file has limits that cannot be read.
    is_stale: AtomicBool,
    metrics: LimiterMetrics,
}

/// Samples that a tenant may send now.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Duration,
}

#[derive(Debug, Default)]
struct LimiterMetrics {
    head_series_limited: Family<TenantLabel, Counter>,
    head_series_limit: Family<TenantLabel, Gauge>,
    request_limits: Family<LimitLabels, Gauge>,
    failed_queries: Counter,
    reloads: Counter,
    failed_reloads: Counter,
}

impl Limiter {
    /// Shows its numbers.
    pub fn register(&self, registry: &mut Registry) {
        let m = &self.0.metrics;
        let help = "The total number of remote write requests that have been dropped due to head series limiting.";
        registry.register("thanos_receive_head_series_limited_requests", help, m.head_series_limited.clone());
        let help = "The configured limit for active (head) series of tenants.";
        registry.register("thanos_receive_head_series_limit", help, m.head_series_limit.clone());
        let help = "The configured write limits.";
        registry.register("thanos_receive_write_limits", help, m.request_limits.clone());
        let help = "The total number of meta-monitoring queries that failed while limiting.";
        registry.register("thanos_receive_metamonitoring_failed_queries", help, m.failed_queries.clone());
        let help = "How many times the limit configuration was reloaded";
        registry.register("thanos_receive_limits_config_reload", help, m.reloads.clone());
        let help = "How many times the limit configuration failed to reload.";
        registry.register("thanos_receive_limits_config_reload_err", help, m.failed_reloads.clone());
    }

    /// Puts limits in force. Requests that run keep the place they have.
    pub fn set(&self, limits: Limits) {
        let gate = (limits.max_concurrency > 0).then(|| Arc::new(Semaphore::new(limits.max_concurrency as usize)));
        if self.0.limits.load().max_concurrency != limits.max_concurrency {
            self.0.gate.store(Arc::new(gate));
        }
        for (tenant, of_tenant) in limits.all() {
            self.show(tenant, of_tenant);
        }
        self.0.limits.store(Arc::new(limits));
        self.0.is_stale.store(false, Ordering::Relaxed);
        self.0.metrics.reloads.inc();
    }

    /// Notes that new limits could not be read; those in force stay. Says whether that is news.
    pub fn keep(&self) -> bool {
        self.0.metrics.failed_reloads.inc();
        !self.0.is_stale.swap(true, Ordering::Relaxed)
    }

    fn show(&self, tenant: &str, limits: &TenantLimits) {
        let (metrics, tenant) = (&self.0.metrics, tenant.to_string());
        metrics.head_series_limit.get_or_create(&[("tenant", tenant.clone())]).set(limits.head_series as i64);
        for (limit, value) in [
            ("body_size", limits.request_bytes),
            ("series", limits.request_series),
            ("samples", limits.request_samples),
        ] {
            let labels = [("limit", limit.to_string()), ("tenant", tenant.clone())];
            metrics.request_limits.get_or_create(&labels).set(value);
        }
    }

    /// The limits in force.
    pub fn limits(&self) -> Arc<Limits> {
        self.0.limits.load_full()
    }

    /// What a tenant may.
    pub fn of(&self, tenant: &TenantId) -> TenantLimits {
        *self.0.limits.load().of(tenant)
    }

    /// Notes what the meta-monitoring told, or that it did not answer: then the last numbers stay.
    pub fn note_head_series(&self, answer: Option<HashMap<String, f64>>) {
        match answer {
            Some(series) => self.0.head_series.store(Arc::new(Some(series))),
            None => drop(self.0.metrics.failed_queries.inc()),
        }
    }

    /// A place among the requests under way; waits for one.
    pub(crate) async fn enter(&self) -> Option<OwnedSemaphorePermit> {
        let gate = Arc::clone(self.0.gate.load().as_ref().as_ref()?);
        gate.acquire_owned().await.ok()
    }

    /// Refuses a tenant that has as many series as it may, all ingesters together. Who is not known is let pass.
    pub(crate) fn check_head_series(&self, tenant: &TenantId, limits: &TenantLimits) -> Result<(), Refusal> {
        let known = self.0.head_series.load();
        let series = known.as_ref().as_ref().and_then(|known| known.get(tenant.as_str()));
        if limits.head_series == 0 || series.is_none_or(|series| *series < limits.head_series as f64) {
            return Ok(());
        }
        self.0.metrics.head_series_limited.get_or_create(&[("tenant", tenant.to_string())]).inc();
        Err(Refusal::HeadSeries)
    }

    /// Takes samples from what a tenant may send; `now` is monotonic.
    pub(crate) fn take(
        &self,
        tenant: &TenantId,
        limits: &TenantLimits,
        samples: u64,
        now: Duration,
    ) -> Result<(), Refusal> {
        let rate = limits.samples_per_second as f64;
        if limits.samples_per_second == 0 {
            return Ok(());
        }
        let full = rate * BURST_SECONDS;
        let mut rates = self.0.rates.lock();
        if (rates.len() + 1).is_multiple_of(MAX_IDLE_BUCKETS) && !rates.contains_key(tenant) {
            // Names come from outside. A bucket that is full again says no more than none.
            rates.retain(|_, bucket| now.saturating_sub(bucket.at).as_secs_f64() < BURST_SECONDS);
        }
        let bucket = rates.entry(tenant.clone()).or_insert(Bucket { left: full, at: now });
        bucket.left = (bucket.left + rate * now.saturating_sub(bucket.at).as_secs_f64()).min(full);
        bucket.at = now;
        // A request may be larger than the burst; it then waits until the bucket is full.
        if bucket.left < (samples as f64).min(full) {
            return Err(Refusal::SampleRate { limit: limits.samples_per_second });
        }
        bucket.left -= samples as f64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_taken_from_a_bucket_that_fills_again() {
        let limiter = Limiter::default();
        let limits = TenantLimits { samples_per_second: 10, ..TenantLimits::default() };
        let tenant = TenantId::new("a").unwrap();
        let take = |samples, seconds| limiter.take(&tenant, &limits, samples, Duration::from_secs(seconds)).is_ok();
        assert!(take(60, 0) && take(40, 0) && !take(1, 0));
        assert!(take(10, 1) && !take(1, 1));
        assert!(!take(500, 10) && take(500, 11) && !take(1, 20), "more than a burst waits for a full bucket");
        let other = TenantId::new("b").unwrap();
        assert!(limiter.take(&other, &limits, 100, Duration::ZERO).is_ok());
    }

    #[test]
    fn tenants_that_send_no_more_are_forgotten() {
        let limiter = Limiter::default();
        let limits = TenantLimits { samples_per_second: 10, ..TenantLimits::default() };
        for number in 0..10 * MAX_IDLE_BUCKETS {
            let tenant = TenantId::new(&format!("tenant-{number}")).unwrap();
            let now = Duration::from_secs((number / 1000) as u64);
            limiter.take(&tenant, &limits, 1, now).unwrap();
        }
        let kept = limiter.0.rates.lock().len();
        assert!(kept <= MAX_IDLE_BUCKETS + 1000 * BURST_SECONDS as usize, "{kept}");
    }

    #[test]
    fn series_are_limited_where_they_are_known() {
        let limiter = Limiter::default();
        let limits = TenantLimits { head_series: 5, ..TenantLimits::default() };
        let (a, b) = (TenantId::new("a").unwrap(), TenantId::new("b").unwrap());
        assert!(limiter.check_head_series(&a, &limits).is_ok());
        limiter.note_head_series(Some([("a".to_string(), 5.0), ("b".to_string(), 4.0)].into()));
        limiter.note_head_series(None);
        assert!(limiter.check_head_series(&a, &limits).is_err() && limiter.check_head_series(&b, &limits).is_ok());
        assert!(limiter.check_head_series(&a, &TenantLimits::default()).is_ok());
    }
}
