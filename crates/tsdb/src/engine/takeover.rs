//! Taking over what a stock program left of its head.
//!
//! Order: what came in order goes into the head; late samples that neither the head nor a block has are written as blocks
//! and made durable; a snapshot makes the head durable, and the tenant's generation says that it counts; then the stock
//! files are renamed, in this order each time, and removed at the next start. A crash before the renaming takes over
//! again, and what is there already is not taken twice.

mod catalog;
mod late_blocks;
mod reading;
mod stock_dir;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use thanoxide_env::Env;
use thanoxide_model::series::Columns;
use thanoxide_model::write_batch::HistogramValue;
use thanoxide_model::{Labels, Matcher};

use super::blocks::LocalBlock;
use super::tenant::Tenant;
use super::{EngineError, EngineOptions, TenantReader};
use crate::head::{Head, Slot};
use catalog::SeriesIndex;
use late_blocks::write_late_blocks;
use reading::Reading;
use stock_dir::StockDir;
pub(super) use stock_dir::{STOCK_DIRS, WAL_DIR};

/// What a sample says.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Float(f64),
    Histogram(HistogramValue),
}

/// Late samples by series.
pub(crate) type Late = BTreeMap<Labels, BTreeMap<i64, Value>>;

/// Takes the samples that are in order, each newer than the one of its series before it.
pub(crate) trait InOrder<E> {
    fn push(&mut self, index: SeriesIndex, labels: &Labels, timestamp_ms: i64, value: Value) -> Result<(), E>;
}

/// What was met. What is not stored is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Series that the log names.
    pub(crate) series: u64,
    /// Samples in order.
    pub(crate) in_order: u64,
    /// Late samples that nothing else has.
    pub(crate) late: u64,
    /// Samples that a block has.
    pub(crate) in_blocks: u64,
    /// Samples of the time of the sample before.
    pub(crate) repeated: u64,
    /// Samples that a deletion covers.
    pub(crate) deleted: u64,
    /// Samples of series that no record names.
    pub(crate) unknown_series: u64,
    /// Records and chunks that cannot be decoded.
    pub(crate) undecodable: u64,
    /// Stretches of files that cannot be read.
    pub(crate) damaged: u64,
    /// Exemplars.
    pub(crate) exemplars: u64,
    /// Records of metadata. They are not stored.
    pub(crate) metadata_records: u64,
}

/// Puts the samples in order into a head.
struct IntoHead<'h> {
    head: &'h mut Head,
    slots: Vec<Option<Slot>>,
}

impl InOrder<std::io::Error> for IntoHead<'_> {
    fn push(&mut self, index: SeriesIndex, labels: &Labels, t: i64, value: Value) -> Result<(), std::io::Error> {
        let index = index as usize;
        if self.slots.len() <= index {
            self.slots.resize(index + 1, None);
        }
        let slot = *self.slots[index].get_or_insert_with(|| self.head.import_series(labels));
        match &value {
            Value::Float(value) => self.head.import_float(slot, t, *value),
            Value::Histogram(value) => self.head.import_histogram(slot, t, value),
        }
        Ok(())
    }
}

/// Whether a directory has something of a stock head. Removes what an earlier take-over put aside.
pub(super) fn is_stock(dir: &Path, env: &Env) -> std::io::Result<bool> {
    let stock = StockDir::new(&*env.disk, dir);
    stock.remove_taken()?;
    Ok(!stock.files()?.is_empty())
}

/// Takes over what a stock program left of the head of a tenant that nobody else knows yet. May be done again after a
/// crash: what is there already is not taken twice. Once the head is durable, [`put_aside`] ends it.
pub(super) fn take_over(tenant: &Arc<Tenant>, options: &EngineOptions, env: &Env) -> Result<(), EngineError> {
    let io = |e| EngineError::io(&tenant.dir, &e);
    tenant.remove_leftovers(env)?;
    let stock = StockDir::new(&*env.disk, &tenant.dir);
    let (mut late, mut counts) = {
        let mut state = tenant.state.write();
        let mut reading = Reading::begin(&stock, state.head.min_valid_ms(), options.max_exemplars).map_err(io)?;
        let exemplars = reading.catalog.take_exemplars();
        let mut sink = IntoHead { head: &mut state.head, slots: Vec::new() };
        let read = reading.run(&mut sink).map_err(io)?;
        state.head.finish_import();
        for (labels, exemplar) in exemplars {
            state.head.import_exemplar(&labels, exemplar, options.out_of_order_window_ms);
        }
        read
    };
    keep_unknown(&mut late, &TenantReader::new(Arc::clone(tenant)))?;
    counts.late = late.values().map(|samples| samples.len() as u64).sum();
    tracing::info!(tenant = %tenant.id, ?counts, "stock head taken over");
    if counts.damaged + counts.undecodable + counts.unknown_series > 0 {
        tracing::error!(tenant = %tenant.id, ?counts, "parts of the stock head were lost");
    }
    add_blocks(tenant, &late, options, env)
}

/// Puts the stock files aside, all of which was taken over and is durable.
pub(super) fn put_aside(dir: &Path, env: &Env) -> std::io::Result<()> {
    let stock = StockDir::new(&*env.disk, dir);
    stock.put_aside(&stock.files()?)
}

fn add_blocks(tenant: &Tenant, late: &Late, options: &EngineOptions, env: &Env) -> Result<(), EngineError> {
    let mut ids = Vec::new();
    let mut write = || {
        write_late_blocks(&tenant.dir, late, options.block_duration_ms, env, &mut ids)?;
        ids.iter().map(|id| LocalBlock::open(&tenant.dir.join(id.to_string()), env)).collect::<Result<Vec<_>, _>>()
    };
    let written = write().map_err(|e| EngineError::of_block(&tenant.dir, e));
    let blocks = written.inspect_err(|_| ids.iter().for_each(|id| tenant.discard(*id, env)))?;
    let mut state = tenant.state.write();
    for block in blocks {
        state.blocks = Arc::new(state.blocks.with(Arc::new(block)));
    }
    Ok(())
}

/// Leaves only samples of times that the tenant does not have.
fn keep_unknown(late: &mut Late, reader: &TenantReader) -> Result<(), EngineError> {
    for (labels, samples) in late.iter_mut() {
        let (Some((first, _)), Some((last, _))) = (samples.first_key_value(), samples.last_key_value()) else {
            continue;
        };
        let known = known_times(reader, labels, *first, *last)?;
        samples.retain(|t, _| !known.contains(t));
    }
    late.retain(|_, samples| !samples.is_empty());
    Ok(())
}

fn known_times(reader: &TenantReader, labels: &Labels, min_ms: i64, max_ms: i64) -> Result<HashSet<i64>, EngineError> {
    let matchers: Vec<Matcher> = labels.iter().map(|(name, value)| Matcher::equal(name, value)).collect();
    let mut times = HashSet::new();
    for series in reader.select(&matchers, min_ms, max_ms)?.into_iter().filter(|series| series.labels == *labels) {
        for chunk in &series.chunks {
            let mut columns = Columns::default();
            crate::chunk::decode(chunk, min_ms, max_ms, &mut columns)
                .map_err(|e| EngineError::block(labels.to_string(), e))?;
            times.extend(columns.timestamps_ms.iter().chain(&columns.histogram_timestamps_ms).copied());
        }
    }
    Ok(times)
}
