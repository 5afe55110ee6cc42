//! Reading a tenant.

use std::sync::Arc;

use thanoxide_model::{Matcher, MetricMetadata, SeriesExemplars};

use super::blocks::BlockSet;
use super::merge::{merge, merge_texts};
use super::selection::{Budget, Selection};
use super::tenant::{State, Tenant};
use super::{EngineError, SelectedSeries};
use crate::chunk_store::{Files, HeadSeries, load_while};
use crate::exemplars::ExemplarStats;
use crate::head::{HeadMemory, sort_head_series as sort};
use crate::meta::BlockMeta;

/// What a tenant holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TenantStats {
    /// Series in the head.
    pub series: usize,
    /// Series that came into the head since the tenant was opened, whether they are still there or not.
    pub created: u64,
    /// Chunks in the head, open ones included.
    pub chunks: usize,
    /// Samples taken since the tenant was opened.
    pub appended: u64,
    /// First and last time in the head.
    pub head_times_ms: Option<(i64, i64)>,
    /// Blocks on disk.
    pub blocks: usize,
    /// Blocks that the disk does not give at the moment; they are tried again.
    pub unread_blocks: usize,
    /// Blocks that were set aside as corrupt since the start.
    pub corrupt_blocks: usize,
    /// First and last time in the head and all blocks.
    pub times_ms: Option<(i64, i64)>,
}

/// Series of a head, and the files of their chunks.
type Gathered = (Vec<HeadSeries>, Arc<Files>);

/// Reads a tenant. Each call sees one moment of head and blocks, every batch as a whole.
#[derive(Clone, Debug)]
pub struct TenantReader {
    tenant: Arc<Tenant>,
}

impl TenantReader {
    pub(super) fn new(tenant: Arc<Tenant>) -> Self {
        TenantReader { tenant }
    }

    /// The series that satisfy all matchers (none: all series) and have samples in `min_time_ms..=max_time_ms`, sorted by
    /// labels. Chunks may reach beyond the range. Those of a series do not overlap.
    pub fn select(
        &self,
        matchers: &[Matcher],
        min_time_ms: i64,
        max_time_ms: i64,
    ) -> Result<Vec<SelectedSeries>, EngineError> {
        self.select_some(&Selection::new(matchers, min_time_ms, max_time_ms))
    }

    /// As [`Self::select`], with all that a selection says.
    pub fn select_some(&self, selection: &Selection<'_>) -> Result<Vec<SelectedSeries>, EngineError> {
        let Selection { min_time_ms, max_time_ms, .. } = *selection;
        let (mut budget, most_series) = (Budget::new(selection), selection.most_series());
        let ((mut series, files), blocks) = self.gather(selection, &mut budget)?;
        series.retain(|series| selection.keeps(&series.labels));
        sort(&mut series);
        let mut answers = vec![self.load_head(&files, series, selection, &mut budget)?];
        for block in blocks.overlapping(min_time_ms, max_time_ms) {
            answers.push(block.select(selection, &mut budget)?);
        }
        answers.iter_mut().for_each(|answer| answer.truncate(most_series));
        Ok(selection.show(merge(answers)?))
    }

    /// The series of the head as they are now, with the files of their chunks, and the blocks. Appends go on between two slices.
    fn gather(
        &self,
        selection: &Selection<'_>,
        budget: &mut Budget<'_>,
    ) -> Result<(Gathered, Arc<BlockSet>), EngineError> {
        let Selection { matchers, min_time_ms, max_time_ms, .. } = *selection;
        let ((reading, mut goes_on), blocks) = self.pin(|state| {
            let reading = state.head.begin_reading(matchers, min_time_ms, max_time_ms);
            let goes_on = state.head.read_on(&reading);
            (reading, goes_on)
        });
        while goes_on {
            budget.take(0)?;
            goes_on = self.tenant.state.read().head.read_on(&reading);
        }
        Ok((reading.finish(), blocks))
    }

    /// The series of the head that have samples, with their chunks where these are wanted.
    fn load_head(
        &self,
        files: &Arc<Files>,
        mut series: Vec<HeadSeries>,
        selection: &Selection<'_>,
        budget: &mut Budget<'_>,
    ) -> Result<Vec<SelectedSeries>, EngineError> {
        // Only of a series of which something is deleted it is not known yet whether it has samples.
        let is_sure = |series: &HeadSeries| series.deleted.is_empty();
        if selection.labels_only {
            let (sure, unsure): (Vec<_>, Vec<_>) = series.into_iter().partition(is_sure);
            let unsure = self.load(files, unsure, budget)?.into_iter().map(|series| series.labels);
            let labels = sure.into_iter().map(|series| series.labels).chain(unsure);
            let mut bare: Vec<_> = labels.map(|labels| SelectedSeries { labels, chunks: Vec::new() }).collect();
            bare.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
            return Ok(bare);
        }
        if series.iter().all(is_sure) {
            series.truncate(selection.most_series());
        }
        budget.take(series.iter().map(HeadSeries::chunk_bytes).sum())?;
        self.load(files, series, budget)
    }

    fn load(
        &self,
        files: &Arc<Files>,
        series: Vec<HeadSeries>,
        budget: &mut Budget<'_>,
    ) -> Result<Vec<SelectedSeries>, EngineError> {
        let mut stopped = Ok(());
        let loaded = load_while(files, series, || {
            stopped = budget.take(0);
            stopped.is_ok()
        });
        let mut loaded = loaded.map_err(|e| EngineError::io(&self.tenant.dir, &e))?;
        stopped?;
        loaded.retain(|series| !series.chunks.is_empty());
        Ok(loaded)
    }

    /// At most so many series satisfy all matchers, as far as the lengths of their lists tell; the times choose blocks. No series is looked
    /// at. One that is in several places counts in each.
    pub fn estimate(&self, matchers: &[Matcher], min_time_ms: i64, max_time_ms: i64) -> Result<u64, EngineError> {
        let (mut series, blocks) =
            self.pin(|state| if in_head(state, min_time_ms, max_time_ms) { state.head.estimate(matchers) } else { 0 });
        for block in blocks.overlapping(min_time_ms, max_time_ms) {
            series += block.estimate(matchers)?;
        }
        Ok(series)
    }

    /// The label names of series that satisfy all matchers, sorted. The times choose blocks, not series.
    pub fn label_names(
        &self,
        matchers: &[Matcher],
        min_time_ms: i64,
        max_time_ms: i64,
    ) -> Result<Vec<Vec<u8>>, EngineError> {
        let (head, blocks) = self.pin(|state| {
            if in_head(state, min_time_ms, max_time_ms) { state.head.label_names(matchers) } else { Vec::new() }
        });
        let mut answers = vec![head];
        for block in blocks.overlapping(min_time_ms, max_time_ms) {
            answers.push(block.label_names(matchers)?);
        }
        Ok(merge_texts(answers))
    }

    /// The values of a label among series that satisfy all matchers, sorted. The times choose blocks, not series.
    pub fn label_values(
        &self,
        name: &[u8],
        matchers: &[Matcher],
        min_time_ms: i64,
        max_time_ms: i64,
    ) -> Result<Vec<Vec<u8>>, EngineError> {
        let (mut head, blocks) = self.pin(|state| {
            if in_head(state, min_time_ms, max_time_ms) { state.head.label_values(name, matchers) } else { Vec::new() }
        });
        head.sort_unstable();
        let mut answers = vec![head];
        for block in blocks.overlapping(min_time_ms, max_time_ms) {
            answers.push(block.label_values(name, matchers)?);
        }
        Ok(merge_texts(answers))
    }

    /// The exemplars of a time range, of series that satisfy all matchers of any set, by series' labels. A series has its own
    /// by time.
    pub fn exemplars(&self, sets: &[Vec<Matcher>], min_time_ms: i64, max_time_ms: i64) -> Vec<SeriesExemplars> {
        self.tenant.state.read().head.select_exemplars(sets, min_time_ms, max_time_ms)
    }

    /// What is known of metrics, by family; of one metric only, if that is asked for.
    pub fn metadata(&self, metric: Option<&str>) -> Vec<(String, MetricMetadata)> {
        self.tenant.state.read().head.metadata(metric)
    }

    /// How many exemplars there are.
    pub fn exemplar_stats(&self) -> ExemplarStats {
        self.tenant.state.read().head.exemplar_stats()
    }

    /// What the head takes of memory, by its parts. Looks at every series.
    pub fn memory(&self) -> HeadMemory {
        self.tenant.state.read().head.memory()
    }

    /// What the tenant holds.
    pub fn stats(&self) -> TenantStats {
        let (head, blocks) = self.pin(|state| state.head.stats());
        let times = head.times_ms.into_iter().chain(head.late_times_ms).chain(blocks.times_ms());
        TenantStats {
            series: head.series,
            created: head.created,
            chunks: head.chunks,
            appended: head.appended,
            head_times_ms: head.times_ms,
            blocks: blocks.len(),
            unread_blocks: blocks.unreadable().0,
            corrupt_blocks: blocks.unreadable().1,
            times_ms: times.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))),
        }
    }

    /// Calls `each` with name and value of every label in the head and the number of series that have it, in no order.
    /// Writes of the tenant wait meanwhile.
    pub fn for_each_head_label(&self, each: impl FnMut(&[u8], &[u8], u64)) {
        self.tenant.state.read().head.for_each_label(each);
    }

    /// What the blocks on disk are, in order of their times.
    pub fn blocks(&self) -> Vec<BlockMeta> {
        self.pin(|_| ()).1.metas().cloned().collect()
    }

    /// Bytes of the log on disk, which all tenants share.
    pub fn log_bytes(&self) -> Result<u64, EngineError> {
        Ok(self.tenant.log.size_bytes()?)
    }

    /// Bytes handed to the log that are not durable yet.
    pub fn log_backlog_bytes(&self) -> usize {
        self.tenant.log.backlog_bytes()
    }

    fn pin<T>(&self, read: impl FnOnce(&State) -> T) -> (T, Arc<BlockSet>) {
        let state = self.tenant.state.read();
        (read(&state), Arc::clone(&state.blocks))
    }
}

fn in_head(state: &State, min_time_ms: i64, max_time_ms: i64) -> bool {
    let mut times = state.head.times_ms().into_iter().chain(state.head.late_times_ms());
    times.any(|(min, max)| min <= max_time_ms && max >= min_time_ms)
}
