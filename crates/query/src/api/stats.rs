//! `stats`: what a query took, in Prometheus's names.

use std::fmt::Write as _;

use thanoxide_promql::engine::QueryStats;

/// Writes the object. Times are in seconds; samples by step are pairs of the step's time and a count.
pub(crate) fn push_stats(into: &mut String, stats: &QueryStats) {
    let QueryStats { preparation, evaluation, sorting, queueing, .. } = stats;
    let total = *preparation + *evaluation + *sorting;
    let timings = [
        ("evalTotalTime", total),
        ("resultSortTime", *sorting),
        ("queryPreparationTime", *preparation),
        ("innerEvalTime", *evaluation),
        ("execQueueTime", *queueing),
        ("execTotalTime", *queueing + total),
    ];
    into.push_str("{\"timings\":{");
    for (index, (name, time)) in timings.into_iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        // Writing to a text cannot fail.
        let _ = write!(into, "{comma}\"{name}\":{}", time.as_secs_f64());
    }
    into.push_str("},\"samples\":{");
    if !stats.samples_by_step.is_empty() {
        push_steps(into, &stats.samples_by_step);
    }
    let (total, peak) = (stats.total_samples, stats.peak_samples);
    let _ = write!(into, "\"totalQueryableSamples\":{total},\"peakSamples\":{peak}}}}}");
}

fn push_steps(into: &mut String, steps: &[(i64, u64)]) {
    into.push_str("\"totalQueryableSamplesPerStep\":[");
    for (index, (time_ms, samples)) in steps.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let _ = write!(into, "{comma}[{},{samples}]", *time_ms as f64 / 1000.0);
    }
    into.push_str("],");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_come_first() {
        let mut text = String::new();
        let stats = QueryStats { total_samples: 3, samples_by_step: vec![(1500, 1), (2000, 2)], ..Default::default() };
        push_stats(&mut text, &stats);
        assert!(text.ends_with(
            "\"samples\":{\"totalQueryableSamplesPerStep\":[[1.5,1],[2,2]],\"totalQueryableSamples\":3,\"peakSamples\":0}}"
        ));
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
    }
}
