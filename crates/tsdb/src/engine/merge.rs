//! One answer from several sorted ones.

use super::{EngineError, SelectedSeries};
use crate::chunk::Chunk;
use crate::compact::merge_chunks;

/// Merges answers that are each sorted by labels. The chunks of a series come in time order and do not overlap: where they
/// did, their samples are merged as Prometheus merges them.
pub(super) fn merge(mut answers: Vec<Vec<SelectedSeries>>) -> Result<Vec<SelectedSeries>, EngineError> {
    answers.retain(|answer| !answer.is_empty());
    if answers.len() <= 1 {
        return Ok(answers.pop().unwrap_or_default());
    }
    let mut all: Vec<SelectedSeries> = answers.into_iter().flatten().collect();
    // Stable and fast on runs that are sorted already.
    all.sort_by(|a, b| a.labels.cmp(&b.labels));
    let mut merged: Vec<SelectedSeries> = Vec::with_capacity(all.len());
    let mut places: Vec<Vec<Chunk>> = Vec::new();
    for series in all {
        match merged.last() {
            Some(last) if last.labels == series.labels => places.push(series.chunks),
            _ => {
                settle(&mut merged, &mut places)?;
                merged.push(series);
            }
        }
    }
    settle(&mut merged, &mut places)?;
    Ok(merged)
}

/// Puts the chunks from further places into the series at hand.
fn settle(merged: &mut [SelectedSeries], places: &mut Vec<Vec<Chunk>>) -> Result<(), EngineError> {
    let Some(series) = merged.last_mut().filter(|_| !places.is_empty()) else { return Ok(()) };
    places.insert(0, std::mem::take(&mut series.chunks));
    let chunks = merge_chunks(std::mem::take(places));
    series.chunks = chunks.map_err(|error| EngineError::compaction(series.labels.to_string(), error))?;
    Ok(())
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
