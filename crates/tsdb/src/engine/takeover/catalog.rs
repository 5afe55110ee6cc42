//! What a stock log says of series: their labels, what is deleted of them, and where their samples begin.

use std::collections::VecDeque;
use std::io;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use thanoxide_model::{Exemplar, Labels};

use super::stock_dir::StockDir;
use super::{Counts, Value};
use crate::tombstones::{Interval, Tombstones};
use crate::wal::chunk_snapshot::read_snapshot;
use crate::wal::record::{Record, RefExemplar, RefSeries, SeriesRef};

/// A series, by its place in the catalog.
pub(crate) type SeriesIndex = u32;

#[derive(Debug, Default)]
pub(crate) struct Catalog {
    labels: Vec<Labels>,
    by_ref: HashMap<SeriesRef, SeriesIndex, FixedState>,
    by_labels: HashMap<Labels, SeriesIndex, foldhash::fast::RandomState>,
    deleted: Tombstones,
    /// Samples of records before this one belong to a life of the series that ended.
    evicted_at: HashMap<SeriesIndex, u64, FixedState>,
    /// The oldest sample that the log has of each series.
    log_begins_ms: Vec<i64>,
    /// The exemplars that came last, so many at most.
    exemplars: VecDeque<(SeriesIndex, Exemplar)>,
    max_exemplars: usize,
}

/// The number of a record type that only counts.
const METADATA: u8 = 6;

impl Catalog {
    /// Reads all of a log once.
    pub(crate) fn read(stock: &StockDir<'_>, max_exemplars: usize, counts: &mut Counts) -> io::Result<Self> {
        let mut catalog = Catalog { max_exemplars, ..Catalog::default() };
        let mut number = 0;
        counts.damaged += stock.read_log(&mut |record| {
            catalog.note(record, number, counts);
            number += 1;
        })?;
        if let Some(snapshot) = stock.snapshot()? {
            read_snapshot(stock.disk, &snapshot, &mut |series, _| catalog.add(series))?;
        }
        counts.series = catalog.labels.len() as u64;
        Ok(catalog)
    }

    fn note(&mut self, record: &[u8], number: u64, counts: &mut Counts) {
        match Record::decode(record) {
            Ok(Record::Series(series)) => series.iter().for_each(|series| self.add(series)),
            Ok(Record::Tombstones(stones)) => {
                stones.iter().for_each(|(series, min, max)| self.delete(*series, *min, *max, number));
            }
            Ok(Record::Samples(samples)) => samples.iter().for_each(|s| self.begin(s.series, s.timestamp_ms)),
            Ok(Record::Histograms(samples)) => samples.iter().for_each(|s| self.begin(s.series, s.timestamp_ms)),
            Ok(Record::Exemplars(exemplars)) => exemplars.into_iter().for_each(|e| self.keep(e, counts)),
            Ok(Record::Other(METADATA)) => counts.metadata_records += 1,
            Ok(Record::Other(_)) => {}
            Err(_) => counts.undecodable += 1,
        }
    }

    fn add(&mut self, series: &RefSeries<'_>) {
        // A second definition of a reference says the same.
        if self.by_ref.contains_key(&series.series) {
            return;
        }
        let labels = Labels::from_pairs(series.labels.iter().filter(|(_, value)| !value.is_empty()).copied());
        let next = self.labels.len() as SeriesIndex;
        let index = *self.by_labels.entry(labels.clone()).or_insert(next);
        if index == next {
            self.labels.push(labels);
            self.log_begins_ms.push(i64::MAX);
        }
        self.by_ref.insert(series.series, index);
    }

    fn delete(&mut self, series: SeriesRef, min_time_ms: i64, max_time_ms: i64, number: u64) {
        let Some(index) = self.find(series) else { return };
        if (min_time_ms, max_time_ms) == (i64::MIN, i64::MAX) {
            // The head gave the series up; a block has its samples.
            self.evicted_at.insert(index, number);
        } else {
            self.deleted.add(u64::from(index), Interval { min_time_ms, max_time_ms });
        }
    }

    fn begin(&mut self, series: SeriesRef, timestamp_ms: i64) {
        if let Some(index) = self.find(series) {
            let begin_ms = &mut self.log_begins_ms[index as usize];
            *begin_ms = (*begin_ms).min(timestamp_ms);
        }
    }

    fn keep(&mut self, exemplar: RefExemplar, counts: &mut Counts) {
        counts.exemplars += 1;
        let Some(index) = self.find(exemplar.series).filter(|_| self.max_exemplars > 0) else { return };
        if self.exemplars.len() == self.max_exemplars {
            self.exemplars.pop_front();
        }
        self.exemplars.push_back((index, exemplar.exemplar));
    }

    /// The exemplars in the order in which they came.
    pub(crate) fn take_exemplars(&mut self) -> Vec<(Labels, Exemplar)> {
        let exemplars = std::mem::take(&mut self.exemplars);
        exemplars.into_iter().map(|(index, exemplar)| (self.labels(index).clone(), exemplar)).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }

    pub(crate) fn find(&self, series: SeriesRef) -> Option<SeriesIndex> {
        self.by_ref.get(&series).copied()
    }

    pub(crate) fn labels(&self, index: SeriesIndex) -> &Labels {
        &self.labels[index as usize]
    }

    pub(crate) fn log_begins_ms(&self, index: SeriesIndex) -> i64 {
        self.log_begins_ms[index as usize]
    }

    pub(crate) fn is_deleted(&self, index: SeriesIndex, timestamp_ms: i64) -> bool {
        !self.deleted.is_empty() && self.deleted.get(u64::from(index)).iter().any(|i| i.contains(timestamp_ms))
    }

    pub(crate) fn is_evicted(&self, index: SeriesIndex, number: u64) -> bool {
        self.evicted_at.get(&index).is_some_and(|at| number < *at)
    }
}

/// Shows the samples of a record, or of none where it has none.
pub(crate) fn samples_of(record: &[u8], mut visit: impl FnMut(SeriesRef, i64, Value)) {
    match Record::decode(record) {
        Ok(Record::Samples(samples)) => {
            samples.into_iter().for_each(|s| visit(s.series, s.timestamp_ms, Value::Float(s.value)));
        }
        Ok(Record::Histograms(samples)) => {
            samples.into_iter().for_each(|s| visit(s.series, s.timestamp_ms, Value::Histogram(s.value)));
        }
        _ => {}
    }
}
