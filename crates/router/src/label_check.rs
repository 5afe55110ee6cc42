//! Labels that Thanos's receiver refuses before its storage sees them, and that our storage would take.
//!
//! The storage refuses labels that are not sorted or not unique, but reads an empty value as "no such label", as a
//! Prometheus does, and says nothing about a series without samples. A receiver refuses such series as well.

use thanoxide_config::TenantLimits;
use thanoxide_model::write_batch::{LabelSpan, SeriesSpan};
use thanoxide_model::{Verdict, WriteBatch};
use thanoxide_storeapi::Rejected;

/// Finds the series of a batch that the storage would let pass, and takes their values away.
pub fn refuse_labels(batch: &mut WriteBatch) -> Vec<Rejected> {
    let mut rejected = Vec::new();
    for index in 0..batch.series.len() {
        let series = &batch.series[index];
        if !needs_look(batch, series) {
            continue;
        }
        let Some(verdict) = fault(batch, series) else { continue };
        let samples = values(series) as u32;
        rejected.push(Rejected { series: index as u32, verdict, samples });
        batch.series[index] = SeriesSpan { labels: series.labels.clone(), ..SeriesSpan::default() };
    }
    rejected
}

/// Finds the series whose labels a tenant may not have, and takes their values away.
pub fn limit_labels(batch: &mut WriteBatch, limits: &TenantLimits) -> Vec<Rejected> {
    let mut rejected = Vec::new();
    if !limits.limits_labels() {
        return rejected;
    }
    let above = |limit: u64, count: u64| limit > 0 && count > limit;
    for index in 0..batch.series.len() {
        let series = &batch.series[index];
        let labels = &batch.labels[series.labels.start as usize..series.labels.end as usize];
        let too_long = |label: &LabelSpan| {
            above(limits.label_name_bytes, label.name.len.into())
                || above(limits.label_value_bytes, label.value.len.into())
        };
        let verdict = match () {
            () if above(limits.labels_per_series, labels.len() as u64) => Verdict::TooManyLabels,
            () if labels.iter().any(too_long) => Verdict::LabelTooLong,
            () => continue,
        };
        rejected.push(Rejected { series: index as u32, verdict, samples: values(series) as u32 });
        batch.series[index] = SeriesSpan { labels: series.labels.clone(), ..SeriesSpan::default() };
    }
    rejected
}

/// Lengths alone tell the series that the storage judges well enough.
fn needs_look(batch: &WriteBatch, series: &SeriesSpan) -> bool {
    let labels = &batch.labels[series.labels.start as usize..series.labels.end as usize];
    series.samples.len() + series.histograms.len() == 0 || labels.iter().any(|l| l.name.len == 0 || l.value.len == 0)
}

fn values(series: &SeriesSpan) -> usize {
    series.samples.len() + series.histograms.len() + series.exemplars.len()
}

/// The first fault in the order in which Thanos looks.
fn fault(batch: &WriteBatch, series: &SeriesSpan) -> Option<Verdict> {
    let mut last: Option<&[u8]> = None;
    for (name, value) in batch.labels_of(series) {
        if name.is_empty() || value.is_empty() {
            return Some(Verdict::EmptyLabels);
        }
        match last {
            Some(last) if last == name => return Some(Verdict::DuplicateLabel),
            Some(last) if last > name => return Some(Verdict::UnsortedLabels),
            _ => last = Some(name),
        }
    }
    if last.is_none() { Some(Verdict::EmptyLabels) } else { None }
}

#[cfg(test)]
mod tests {
    use thanoxide_model::write_batch::TextSpan;

    use super::*;

    /// A batch of one series; its labels are pairs of a text of single letters, `-` for nothing.
    fn batch(labels: &str, samples: u32) -> WriteBatch {
        let span = |at: usize| TextSpan { start: at as u32, len: u32::from(labels.as_bytes()[at] != b'-') };
        let labels: Vec<_> =
            (0..labels.len()).step_by(2).map(|at| LabelSpan { name: span(at), value: span(at + 1) }).collect();
        let series = SeriesSpan { labels: 0..labels.len() as u32, samples: 0..samples, ..Default::default() };
        let samples = vec![Default::default(); samples as usize];
        WriteBatch { labels, samples, series: vec![series], ..Default::default() }
    }

    fn verdict(labels: &str, samples: u32) -> Option<Verdict> {
        let mut batch = batch(labels, samples);
        batch.text = labels.to_string().into();
        let rejected = refuse_labels(&mut batch);
        assert!(rejected.is_empty() || batch.series[0].samples.is_empty());
        rejected.first().map(|r| r.verdict)
    }

    #[test]
    fn faults_are_found_in_stocks_order() {
        use Verdict::*;
        for (labels, fault) in [
            ("a1b-", EmptyLabels),
            ("-1b2", EmptyLabels),
            ("b1a2c-", UnsortedLabels),
            ("a1a2c-", DuplicateLabel),
            ("c-b1a2", EmptyLabels),
        ] {
            assert_eq!(verdict(labels, 1), Some(fault), "{labels}");
        }
        for labels in ["a1b2", "b1a2", ""] {
            assert_eq!(verdict(labels, 1), None, "{labels}: the storage's affair");
        }
        assert_eq!(
            (verdict("", 0), verdict("b1a2", 0), verdict("a1", 0)),
            (Some(EmptyLabels), Some(UnsortedLabels), None)
        );
    }

    #[test]
    fn labels_over_a_limit_are_refused_with_their_series() {
        let limits = |labels_per_series, label_value_bytes| TenantLimits {
            labels_per_series,
            label_value_bytes,
            ..TenantLimits::default()
        };
        for (limits, verdict) in
            [(limits(0, 0), None), (limits(2, 1), None), (limits(1, 0), Some(Verdict::TooManyLabels))]
        {
            let mut batch = batch("a1b2", 1);
            let rejected = limit_labels(&mut batch, &limits);
            assert_eq!(rejected.first().map(|r| r.verdict), verdict);
            assert_eq!(batch.series[0].samples.is_empty(), verdict.is_some());
        }
    }
}
