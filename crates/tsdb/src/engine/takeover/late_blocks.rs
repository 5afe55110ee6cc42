//! Late samples become blocks of their own, as stock makes them of its out-of-order head: one for each aligned range.

use std::collections::BTreeMap;
use std::path::Path;

use thanoxide_env::Env;
use thanoxide_model::Labels;

use super::{Late, Value};
use crate::block::BlockError;
use crate::chunk::Chunk;
use crate::engine::SelectedSeries;
use crate::engine::late_cut::write_late_block;
use crate::head::{At, OpenChunk, Pushed};
use crate::meta::BlockId;

type Samples<'a> = Vec<(i64, &'a Value)>;

/// Writes the blocks in `dir` and makes them durable. `written` gets their names, also of what a failure leaves.
pub(crate) fn write_late_blocks(
    dir: &Path,
    late: &Late,
    range_ms: i64,
    env: &Env,
    written: &mut Vec<BlockId>,
) -> Result<(), BlockError> {
    // Series by range, each in order of its labels.
    let mut ranges: BTreeMap<i64, BTreeMap<&Labels, Samples<'_>>> = BTreeMap::new();
    for (labels, samples) in late {
        for (t, value) in samples {
            let series = ranges.entry(t.div_euclid(range_ms)).or_default();
            series.entry(labels).or_default().push((*t, value));
        }
    }
    for (range, series) in ranges {
        let id = unused_id(dir, env)?;
        written.push(id);
        write_block(dir, id, (range.saturating_mul(range_ms), range_ms), &series, env)?;
    }
    Ok(())
}

fn write_block(
    dir: &Path,
    id: BlockId,
    (min_time, range_ms): (i64, i64),
    series: &BTreeMap<&Labels, Samples<'_>>,
    env: &Env,
) -> Result<(), BlockError> {
    let of = |(labels, samples): (&&Labels, &Samples<'_>)| SelectedSeries {
        labels: Labels::clone(labels),
        chunks: chunks_of(samples, range_ms),
    };
    let series: Vec<SelectedSeries> = series.iter().map(of).collect();
    write_late_block(dir, id, (min_time, range_ms), &series, env)
}

fn unused_id(dir: &Path, env: &Env) -> std::io::Result<BlockId> {
    loop {
        let id = BlockId::new(env.clock.now_ms(), env.random.next_u128());
        if !env.disk.exists(&dir.join(id.to_string()))? {
            return Ok(id);
        }
    }
}

/// The samples, which are in order of their times, as chunks.
fn chunks_of(samples: &[(i64, &Value)], range_ms: i64) -> Vec<Chunk> {
    let mut builder = ChunkBuilder { chunks: Vec::new(), open: None, range_ms };
    samples.iter().for_each(|(t, value)| builder.push(*t, value));
    builder.chunks.extend(builder.open.map(|open| open.snapshot()));
    builder.chunks
}

struct ChunkBuilder {
    chunks: Vec<Chunk>,
    open: Option<OpenChunk>,
    range_ms: i64,
}

impl ChunkBuilder {
    fn push(&mut self, t: i64, value: &Value) {
        let next = match (value, &mut self.open) {
            (Value::Float(v), open) => match open.as_mut().map(|open| open.push_float(At::time(t), *v)) {
                Some(true) => return,
                Some(false) | None => OpenChunk::float(At::time(t), *v, self.range_ms),
            },
            (Value::Histogram(h), open) => {
                match open.as_mut().map(|open| open.push_histogram(At::time(t), h, self.range_ms)) {
                    Some(Pushed::Here) => return,
                    Some(Pushed::Next(next)) => *next,
                    Some(Pushed::Cut) | None => OpenChunk::histogram(At::time(t), h, self.range_ms, None),
                }
            }
        };
        let done = self.open.replace(next);
        self.chunks.extend(done.map(|open| open.snapshot()));
    }
}
