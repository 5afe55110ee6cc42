//! Which traces are sampled.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::{Link, SpanKind, TraceContextExt, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};
use parking_lot::Mutex;
use thanoxide_env::Clock;
use thanoxide_spans::FORCE_TRACING_TAG;

/// Takes what is to be traced whatever happens, and asks another sampler about the rest.
#[derive(Clone, Debug)]
pub(super) struct Override(pub(super) Box<dyn ShouldSample>);

impl ShouldSample for Override {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        tags: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        if tags.iter().any(|tag| tag.key.as_str() == FORCE_TRACING_TAG) {
            return decided(true, parent);
        }
        self.0.should_sample(parent, trace_id, name, kind, tags, links)
    }
}

fn decided(is_sampled: bool, parent: Option<&Context>) -> SamplingResult {
    let decision = if is_sampled { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop };
    let trace_state =
        parent.map_or_else(TraceState::default, |parent| parent.span().span_context().trace_state().clone());
    SamplingResult { decision, attributes: Vec::new(), trace_state }
}

/// So many traces a second: a bucket that fills with time, and holds those of a second, one at least.
#[derive(Clone, Debug)]
pub(super) struct RateLimited {
    per_second: f64,
    bucket: Arc<Mutex<Bucket>>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct Bucket {
    traces: f64,
    filled: Duration,
}

impl RateLimited {
    pub(super) fn new(per_second: f64, clock: Arc<dyn Clock>) -> Self {
        let per_second = if per_second > 0.0 { per_second } else { 0.0 };
        let bucket = Bucket { traces: per_second.max(1.0), filled: clock.monotonic() };
        RateLimited { per_second, bucket: Arc::new(Mutex::new(bucket)), clock }
    }

    fn take(&self) -> bool {
        let now = self.clock.monotonic();
        let mut bucket = self.bucket.lock();
        let since = now.saturating_sub(bucket.filled).as_secs_f64();
        bucket.traces = (bucket.traces + since * self.per_second).min(self.per_second.max(1.0));
        bucket.filled = now;
        let is_taken = bucket.traces >= 1.0;
        bucket.traces -= f64::from(u8::from(is_taken));
        is_taken
    }
}

impl ShouldSample for RateLimited {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        _: TraceId,
        _: &str,
        _: &SpanKind,
        _: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        decided(self.take(), parent)
    }
}

/// The samplers of the type OTLP. What has no name of theirs is stock's default: all traces, but those that others do not sample.
pub(super) fn of_otlp(kind: &str, param: &str) -> Box<dyn ShouldSample> {
    let share = || {
        Sampler::TraceIdRatioBased(param.parse().unwrap_or_else(|_| {
            tracing::warn!(param, "sampler_param is no number: all traces are sampled");
            1.0
        }))
    };
    match kind.to_lowercase().as_str() {
        "alwayssample" => Box::new(Sampler::AlwaysOn),
        "neversample" => Box::new(Sampler::AlwaysOff),
        "traceidratiobased" => Box::new(share()),
        "parentbasedneversample" => Box::new(Sampler::parent_based(Sampler::AlwaysOff)),
        "parentbasedtraceidratiobased" => Box::new(Sampler::parent_based(share())),
        // `parentbasedalwayssample`, too.
        _ => Box::new(Sampler::parent_based(Sampler::AlwaysOn)),
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags};
    use thanoxide_env::ManualClock;

    use super::*;

    fn samples(sampler: &dyn ShouldSample, parent: Option<bool>, tags: &[KeyValue]) -> bool {
        let context = parent.map_or_else(Context::new, |is_sampled| {
            let flags = TraceFlags::default().with_sampled(is_sampled);
            let span = SpanContext::new(TraceId::from(1), SpanId::from(1), flags, true, TraceState::default());
            Context::new().with_remote_span_context(span)
        });
        // Beyond what any share below one takes.
        let trace_id = TraceId::from(u128::from(u64::MAX));
        let result = sampler.should_sample(Some(&context), trace_id, "a", &SpanKind::Server, tags, &[]);
        result.decision == SamplingDecision::RecordAndSample
    }

    #[test]
    fn names_of_otlp_mean_what_they_mean_in_stock() {
        for (kind, param, without_parent, below_sampled, below_unsampled) in [
            ("alwayssample", "", true, true, true),
            ("NeverSample", "", false, false, false),
            ("traceidratiobased", "0.5", false, false, false),
            ("traceidratiobased", "1", true, true, true),
            ("traceidratiobased", "much", true, true, true),
            ("parentbasedalwayssample", "", true, true, false),
            ("parentbasedneversample", "", false, true, false),
            ("parentbasedtraceidratiobased", "0.5", false, true, false),
            ("parentbasedtraceidratiobased", "", true, true, false),
            ("", "", true, true, false),
            ("unknown", "0", true, true, false),
        ] {
            let sampler = of_otlp(kind, param);
            let told = [None, Some(true), Some(false)].map(|parent| samples(&*sampler, parent, &[]));
            assert_eq!(told, [without_parent, below_sampled, below_unsampled], "{kind} {param}");
        }
    }

    #[test]
    fn what_is_forced_is_sampled() {
        let sampler = Override(of_otlp("neversample", ""));
        assert!(!samples(&sampler, Some(true), &[KeyValue::new("a", "b")]));
        assert!(samples(&sampler, Some(false), &[KeyValue::new(FORCE_TRACING_TAG, "true")]));
    }

    #[test]
    fn rates_fill_with_time_and_hold_a_second() {
        let clock = Arc::new(ManualClock::at(0));
        let sampler = RateLimited::new(2.0, Arc::clone(&clock) as Arc<dyn Clock>);
        let taken = |clock_ms: i64| {
            clock.set(clock_ms);
            (0..10).filter(|_| samples(&sampler, None, &[])).count()
        };
        assert_eq!([0, 500, 600, 1_100, 100_000].map(taken), [2, 1, 0, 1, 2]);
        // A rate below one a second still gathers a whole trace.
        let slow = RateLimited::new(0.1, Arc::clone(&clock) as Arc<dyn Clock>);
        assert!(slow.take() && !slow.take());
        clock.set(110_000);
        assert!(slow.take() && !slow.take());
        assert!([-1.0, f64::NAN].iter().all(|rate| RateLimited::new(*rate, Arc::clone(&clock) as _).per_second == 0.0));
    }
}
