//! Start times of samples: what they say about counter resets.

/// A sample's time and its start time (0: unknown).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Started {
    pub(crate) start_ms: i64,
    pub(crate) time_ms: i64,
}

/// Whether the start times say that the counter began anew between two samples. A start equal to the time of the sample
/// before is a reset only if that one's own start is known: else the series says "unknown", as OpenTelemetry does.
pub(crate) fn is_reset(before: Started, after: Started) -> bool {
    if after.start_ms == 0 || after.start_ms >= after.time_ms || after.start_ms < before.time_ms {
        return false;
    }
    after.start_ms > before.time_ms || (before.start_ms != 0 && before.start_ms < before.time_ms)
}

/// Whether a sample claims to have begun before the sample before it was taken, yet not together with it.
pub(crate) fn overlaps(before: Started, after_start_ms: i64) -> bool {
    after_start_ms != 0 && after_start_ms < before.time_ms && after_start_ms != before.start_ms
}

/// Pairs of neighbours in a window; none without start times.
pub(crate) fn pairs<'a>(times_ms: &'a [i64], starts_ms: &'a [i64]) -> impl Iterator<Item = (Started, Started)> + 'a {
    let started = move |i: usize| Started { start_ms: starts_ms[i], time_ms: times_ms[i] };
    (1..starts_ms.len().min(times_ms.len())).map(move |i| (started(i - 1), started(i)))
}

/// Whether start times say that the counter was reset before sample `i`, `i` > 0.
pub(crate) fn is_reset_at(times_ms: &[i64], starts_ms: &[i64], i: usize) -> bool {
    if i >= starts_ms.len() {
        return false;
    }
    let started = |i: usize| Started { start_ms: starts_ms[i], time_ms: times_ms[i] };
    is_reset(started(i - 1), started(i))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resets() {
        let at = |start_ms, time_ms| Started { start_ms, time_ms };
        assert!(is_reset(at(0, 10), at(15, 20)));
        assert!(is_reset(at(5, 10), at(10, 20)));
        assert!(!is_reset(at(0, 10), at(10, 20)));
        assert!(!is_reset(at(12, 10), at(10, 20)));
        assert!(!is_reset(at(0, 10), at(20, 20)));
        assert!(!is_reset(at(0, 10), at(5, 20)));
    }
}
