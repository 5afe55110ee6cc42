//! One answer from several sorted ones.

use super::SelectedSeries;

/// Merges answers that are each sorted by labels; the chunks of a series come together, by their first times.
pub(super) fn merge(mut answers: Vec<Vec<SelectedSeries>>) -> Vec<SelectedSeries> {
    answers.retain(|answer| !answer.is_empty());
    if answers.len() <= 1 {
        return answers.pop().unwrap_or_default();
    }
    let mut all: Vec<SelectedSeries> = answers.into_iter().flatten().collect();
    // Stable and fast on runs that are sorted already.
    all.sort_by(|a, b| a.labels.cmp(&b.labels));
    let mut merged: Vec<SelectedSeries> = Vec::with_capacity(all.len());
    for series in all {
        match merged.last_mut() {
            Some(last) if last.labels == series.labels => last.chunks.extend(series.chunks),
            _ => merged.push(series),
        }
    }
    for series in &mut merged {
        series.chunks.sort_by_key(|chunk| (chunk.min_time_ms, chunk.max_time_ms));
        // Blocks may share chunks where a cut failed at its very last step.
        series.chunks.dedup();
    }
    merged
}

/// Merges answers that are each sorted; equal texts become one.
pub(super) fn merge_texts(mut answers: Vec<Vec<Vec<u8>>>) -> Vec<Vec<u8>> {
    answers.retain(|answer| !answer.is_empty());
    if answers.len() <= 1 {
        return answers.pop().unwrap_or_default();
    }
    let mut all = answers.concat();
    all.sort();
    all.dedup();
    all
}
