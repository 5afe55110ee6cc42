//! Tells the samples of a stock head apart: those in order, which go to a sink one after the other, and the late ones.
//!
//! 1. Head chunks that end before the log begins for their series, or with its first sample (a sender that repeats its last
//!    request leaves it in both), come first. Their samples are in order.
//! 2. Samples of the log follow. What is not newer than its series is late.
//! 3. All other head chunks and the write-behind log are late, for what they say of samples in order the log said before.
//!
//! What is late may be in the head or in a block already; that is for the caller to find out.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use thanoxide_model::write_batch::HistogramValue;

use super::catalog::{Catalog, SeriesIndex, samples_of};
use super::stock_dir::StockDir;
use super::{Counts, InOrder, Late, Value};
use crate::chunk::{self, Chunk, SampleValue};
use crate::wal::chunk_snapshot::read_snapshot;
use crate::wal::head_chunks::{HeadChunk, read_head_chunks};
use crate::wal::record::SeriesRef;

pub(crate) struct Reading<'a> {
    stock: &'a StockDir<'a>,
    pub(crate) catalog: Catalog,
    /// Blocks hold what is older of the samples in order.
    min_valid_ms: i64,
    newest_ms: Vec<i64>,
    late: BTreeMap<SeriesIndex, BTreeMap<i64, Value>>,
    pub(crate) counts: Counts,
}

impl<'a> Reading<'a> {
    pub(crate) fn begin(stock: &'a StockDir<'a>, min_valid_ms: i64, max_exemplars: usize) -> io::Result<Self> {
        let mut counts = Counts::default();
        let catalog = Catalog::read(stock, max_exemplars, &mut counts)?;
        let newest_ms = vec![i64::MIN; catalog.len()];
        Ok(Reading { stock, catalog, min_valid_ms, newest_ms, late: BTreeMap::new(), counts })
    }

    /// Reads all. An error of the sink ends it.
    pub(crate) fn run<E: From<io::Error>>(mut self, sink: &mut dyn InOrder<E>) -> Result<(Late, Counts), E> {
        let (early, others) = self.head_chunks()?;
        for chunk in early {
            self.chunk_in_order(&chunk, sink)?;
        }
        self.log(sink)?;
        for chunk in others {
            self.late_chunk(&chunk);
        }
        let stock = self.stock;
        self.counts.damaged += stock.read_late_log(&mut |record| {
            samples_of(record, |series, t, value| self.late(series, t, value));
        })?;
        let Reading { catalog, late, counts, .. } = self;
        let labelled = late.into_iter().map(|(index, samples)| (catalog.labels(index).clone(), samples));
        Ok((labelled.collect(), counts))
    }

    /// The chunks in order that end before or as their series' log begins, and all others.
    fn head_chunks(&mut self) -> io::Result<(Vec<HeadChunk>, Vec<HeadChunk>)> {
        let mut chunks = Vec::new();
        let damaged =
            read_head_chunks(self.stock.disk, &self.stock.head_chunks_dir(), &mut |chunk| chunks.push(chunk))?;
        self.counts.damaged += damaged;
        if let Some(snapshot) = self.stock.snapshot()? {
            read_snapshot(self.stock.disk, &snapshot, &mut |_, chunk| chunks.extend(chunk))?;
        }
        let is_early = |chunk: &HeadChunk| {
            let begins_ms = self.catalog.find(chunk.series).map(|index| self.catalog.log_begins_ms(index));
            !chunk.out_of_order && begins_ms.is_some_and(|begins_ms| chunk.chunk.max_time_ms <= begins_ms)
        };
        let (mut early, others): (Vec<_>, Vec<_>) = chunks.into_iter().partition(is_early);
        early.sort_by_key(|chunk| chunk.chunk.min_time_ms);
        Ok((early, others))
    }

    fn chunk_in_order<E>(&mut self, chunk: &HeadChunk, sink: &mut dyn InOrder<E>) -> Result<(), E> {
        let Some(index) = self.catalog.find(chunk.series) else { return Ok(()) };
        for (t, value) in samples_of_chunk(&chunk.chunk, &mut self.counts) {
            self.in_order(index, t, value, sink)?;
        }
        Ok(())
    }

    fn log<E: From<io::Error>>(&mut self, sink: &mut dyn InOrder<E>) -> Result<(), E> {
        let (stock, mut number, mut failed) = (self.stock, 0, None);
        stock.read_log(&mut |record| {
            samples_of(record, |series, t, value| {
                if failed.is_none() {
                    failed = self.logged(series, t, value, number, sink).err();
                }
            });
            number += 1;
        })?;
        failed.map_or(Ok(()), Err)
    }

    fn logged<E>(
        &mut self,
        series: SeriesRef,
        t: i64,
        value: Value,
        number: u64,
        sink: &mut dyn InOrder<E>,
    ) -> Result<(), E> {
        match self.catalog.find(series) {
            None => self.counts.unknown_series += 1,
            Some(index) if self.catalog.is_evicted(index, number) => self.counts.in_blocks += 1,
            Some(index) => return self.in_order(index, t, value, sink),
        }
        Ok(())
    }

    fn in_order<E>(&mut self, index: SeriesIndex, t: i64, value: Value, sink: &mut dyn InOrder<E>) -> Result<(), E> {
        let newest_ms = &mut self.newest_ms[index as usize];
        if t < self.min_valid_ms {
            self.counts.in_blocks += 1;
        } else if t < *newest_ms {
            self.late_of(index, t, value);
        } else if t == *newest_ms {
            self.counts.repeated += 1;
        } else {
            *newest_ms = t;
            if self.catalog.is_deleted(index, t) {
                self.counts.deleted += 1;
            } else {
                self.counts.in_order += 1;
                return sink.push(index, self.catalog.labels(index), t, value);
            }
        }
        Ok(())
    }

    fn late_chunk(&mut self, chunk: &HeadChunk) {
        for (t, value) in samples_of_chunk(&chunk.chunk, &mut self.counts) {
            // A chunk in order that is older than all blocks' end was cut already.
            if chunk.out_of_order || t >= self.min_valid_ms {
                self.late(chunk.series, t, value);
            }
        }
    }

    fn late(&mut self, series: SeriesRef, t: i64, value: Value) {
        match self.catalog.find(series) {
            None => self.counts.unknown_series += 1,
            Some(index) => self.late_of(index, t, value),
        }
    }

    fn late_of(&mut self, index: SeriesIndex, t: i64, value: Value) {
        if self.catalog.is_deleted(index, t) {
            self.counts.deleted += 1;
        } else {
            // Of several samples of one time stock keeps the first.
            self.late.entry(index).or_default().entry(t).or_insert(value);
        }
    }
}

fn samples_of_chunk(chunk: &Chunk, counts: &mut Counts) -> Vec<(i64, Value)> {
    let read = chunk::samples(chunk).and_then(|samples| {
        let one = |s: chunk::ChunkSample| (s.timestamp_ms, value_of(s.value));
        samples.map(|sample| sample.map(one)).collect::<Result<Vec<_>, _>>()
    });
    read.unwrap_or_else(|error| {
        tracing::warn!(%error, "head chunk cannot be read");
        counts.undecodable += 1;
        Vec::new()
    })
}

fn value_of(value: SampleValue) -> Value {
    match value {
        SampleValue::Float(v) => Value::Float(v),
        SampleValue::Histogram(h) => Value::Histogram(HistogramValue::Int(Arc::new(*h))),
        SampleValue::FloatHistogram(h) => Value::Histogram(HistogramValue::Float(Arc::new(*h))),
    }
}
