//! The series of one block that answer a request, before their chunks are fetched.

use std::ops::Range;

use thanoxide_model::Labels;
use thanoxide_storeapi::SeriesRequest;

use crate::budget::{Budget, Exceeded};
use crate::chunk_frame::ChunkPlace;
use crate::snapshot::Chosen;

/// A series with its final labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SelectedSeries {
    pub(crate) labels: Labels,
    /// Its chunks in [`Selection::places`].
    pub(crate) chunks: Range<usize>,
}

/// Series sorted by their final labels, and all their chunks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    pub(crate) series: Vec<SelectedSeries>,
    pub(crate) places: Vec<ChunkPlace>,
}

/// Why there is no selection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SelectError {
    /// The index cannot be read.
    Index(String),
    /// The request takes too much.
    Exceeded(Exceeded),
}

impl From<Exceeded> for SelectError {
    fn from(exceeded: Exceeded) -> Self {
        SelectError::Exceeded(exceeded)
    }
}

impl Selection {
    /// Reads the index; may wait for the disk.
    pub(crate) fn read(chosen: &Chosen, request: &SeriesRequest, budget: &Budget) -> Result<Self, SelectError> {
        if let Some(wanted) = request.hints.projection.as_deref().filter(|_| may_project(chosen, request))
            && let Some(selection) = Self::read_labels(chosen, request, budget, Some(wanted))?
        {
            return Ok(selection);
        }
        let mut selection = Self::read_labels(chosen, request, budget, None)?.unwrap_or_default();
        // Both external labels and removed ones change the order.
        if !selection.series.is_sorted_by(|a, b| a.labels <= b.labels) {
            selection.series.sort_by(|a, b| a.labels.cmp(&b.labels));
        }
        Ok(selection)
    }

    /// Series in the order of their own labels; `None` where their order cannot be told from the wanted labels.
    fn read_labels(
        chosen: &Chosen,
        request: &SeriesRequest,
        budget: &Budget,
        wanted: Option<&[String]>,
    ) -> Result<Option<Self>, SelectError> {
        let external = chosen.block.labels.without(&request.without_replica_labels);
        let (mut selection, mut bytes, mut has_order) = (Selection::default(), 0, true);
        let times_ms = (request.min_time_ms, request.max_time_ms);
        let most = if request.limit == 0 { usize::MAX } else { request.limit };
        let mut naming = Naming::new(&external, &request.without_replica_labels, wanted);
        chosen.block.index.select(&chosen.matchers, times_ms, wanted, |series, places| {
            // External labels come between those of the series.
            has_order = wanted.is_none() || external.is_empty() || series.keeps_order();
            if !has_order {
                return Ok(false);
            }
            let labels = naming.labels(&series.labels, selection.series.len());
            if request.shard.as_ref().is_some_and(|shard| !shard.contains(&labels)) {
                return Ok(true);
            }
            budget.take_series(1)?;
            let mut taken_bytes = labels.as_packed().len();
            let first = selection.places.len();
            if !request.skip_chunks {
                budget.take_chunks(places.len())?;
                taken_bytes += size_of_val(places);
                selection.places.extend_from_slice(places);
            }
            budget.take_bytes(taken_bytes as u64)?;
            bytes += taken_bytes as u64;
            selection.series.push(SelectedSeries { labels, chunks: first..selection.places.len() });
            // As in stock, a limit takes the first series of each block.
            Ok(selection.series.len() < most)
        })?;
        if !has_order {
            budget.give_back(selection.series.len(), selection.places.len(), bytes);
        }
        Ok(has_order.then_some(selection))
    }

    /// Runs of series whose chunks are thought to take no more than `batch_bytes`, one series at least.
    pub(crate) fn batches(&self, batch_bytes: u64, chunk_bytes: u64) -> Vec<Range<usize>> {
        let max_chunks = (batch_bytes / chunk_bytes.max(1)).max(1) as usize;
        let (mut batches, mut start, mut chunks) = (Vec::new(), 0, 0);
        for (i, series) in self.series.iter().enumerate() {
            if i > start && (chunks + series.chunks.len() > max_chunks || i - start >= MAX_BATCH_SERIES) {
                batches.push(start..i);
                (start, chunks) = (i, 0);
            }
            chunks += series.chunks.len();
        }
        if start < self.series.len() {
            batches.push(start..self.series.len());
        }
        batches
    }
}

/// Whether series without some of their labels are as many, and in the same order.
fn may_project(chosen: &Chosen, request: &SeriesRequest) -> bool {
    let removed = request.without_replica_labels.iter().map(String::as_bytes);
    let mut changed = chosen.block.labels.iter().map(|(name, _)| name).chain(removed);
    request.shard.is_none() && !changed.any(|name| chosen.block.index.has_name(name))
}

/// The label by which series differ that have lost others; no series has it, since it is no UTF-8, and it comes last.
const ORDINAL: &[u8] = b"\xff";

/// Series of one batch.
const MAX_BATCH_SERIES: usize = 4_096;

/// Gives series their final labels: without the replica labels and with the external ones, which win.
struct Naming<'a> {
    external: &'a Labels,
    removed: &'a [String],
    /// All labels, if there are none.
    wanted: Option<&'a [String]>,
    /// The names of the series before, and what becomes of its labels. Most series have the names of their neighbour.
    names: Vec<&'a [u8]>,
    plan: Vec<Take<'a>>,
    packed: Vec<u8>,
}

/// Where a label comes from.
#[derive(Clone, Copy)]
enum Take<'a> {
    /// The series' label of that index.
    Own(usize),
    External(&'a [u8], &'a [u8]),
}

impl<'a> Naming<'a> {
    fn new(external: &'a Labels, removed: &'a [String], wanted: Option<&'a [String]>) -> Self {
        let (names, plan, packed) = (Vec::new(), Vec::new(), Vec::new());
        let mut naming = Naming { external, removed, wanted, names, plan, packed };
        naming.prepare(&[]);
        naming
    }

    fn labels(&mut self, series: &[(&'a [u8], &'a [u8])], ordinal: usize) -> Labels {
        let is_same = |(known, label): (&&[u8], &(&[u8], &[u8]))| std::ptr::eq(*known, label.0);
        if self.names.len() != series.len() || !self.names.iter().zip(series).all(is_same) {
            self.prepare(series);
        }
        let label = |take: &Take<'a>| match take {
            Take::Own(index) => series[*index],
            Take::External(name, value) => (*name, *value),
        };
        let ordinal = (ordinal as u64).to_be_bytes();
        let ordinal = self.wanted.map(|_| (ORDINAL, ordinal.as_slice()));
        Labels::from_sorted_in(&mut self.packed, self.plan.iter().map(label).chain(ordinal))
    }

    /// One pass over both.
    fn prepare(&mut self, series: &[(&'a [u8], &'a [u8])]) {
        self.names.clear();
        self.names.extend(series.iter().map(|(name, _)| *name));
        self.plan.clear();
        let kept = |(_, (name, _)): &(usize, &(&[u8], &[u8]))| !self.removed.iter().any(|r| r.as_bytes() == *name);
        let mut own = series.iter().enumerate().filter(kept).peekable();
        let is_wanted = |name| self.wanted.is_none_or(|wanted| wanted.iter().any(|w| w.as_bytes() == name));
        for (name, value) in self.external.iter().filter(|(name, _)| is_wanted(*name)) {
            while let Some((index, _)) = own.next_if(|(_, (own, _))| *own < name) {
                self.plan.push(Take::Own(index));
            }
            own.next_if(|(_, (own, _))| *own == name);
            self.plan.push(Take::External(name, value));
        }
        self.plan.extend(own.map(|(index, _)| Take::Own(index)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn external_labels_win_and_replica_labels_go() {
        let series = Labels::from_pairs([("a", "1"), ("c", "3"), ("replica", "x"), ("z", "9")]);
        let external = Labels::from_pairs([("b", "2"), ("c", "ext"), ("zz", "10")]);
        let of = |series: &Labels, external: &Labels, removed: &[String]| {
            Naming::new(external, removed, None).labels(&series.iter().collect::<Vec<_>>(), 0)
        };
        let got = of(&series, &external, &["replica".to_string()]);
        assert_eq!(got.to_string(), r#"{a="1", b="2", c="ext", z="9", zz="10"}"#);
        assert_eq!(of(&series, &Labels::empty(), &[]), series);
        assert_eq!(of(&Labels::empty(), &external, &[]), external);
    }

    #[test]
    fn batches_hold_one_series_at_least() {
        let series = |chunks| SelectedSeries { labels: Labels::empty(), chunks };
        let selection = Selection {
            series: vec![series(0..1), series(1..3), series(3..13), series(13..13), series(13..14)],
            places: Vec::new(),
        };
        assert_eq!(selection.batches(40, 10), [0..2, 2..3, 3..5]);
        assert!(Selection::default().batches(1, 1).is_empty());
    }
}
