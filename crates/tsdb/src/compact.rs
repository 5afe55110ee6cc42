//! Compaction: several blocks become one, for the ingester and for the compactor.
//!
//! [`plan`] says which blocks to take, by Prometheus's rules; [`compact`] merges them. Blocks are read from [`BlockSource`]s
//! and written to a [`BlockSink`], so they may lie in a directory, in a bucket or in memory. All files are read from front
//! to back in small stretches, and memory is that of the labels and of one series at a time.
//!
//! Chunks that overlap with no other are copied as they are, checksums verified. Where chunks of a series overlap, a
//! [`MergePolicy`] chooses among their samples, which are then written anew, at most 120 to a chunk. [`Chain`] is the policy
//! of Prometheus; with it, and without overlaps with any, the result has the bytes that Prometheus's compactor writes.

mod chain;
mod chunk_files;
mod encode;
mod heap;
mod index_file;
mod inputs;
mod lineage;
mod output;
mod plan;
mod policy;
mod series;
mod sink;
mod source;
mod symbols;
mod window;

use std::fmt;
use std::io;
use std::ops::ControlFlow;

use thiserror::Error;

pub use chain::Chain;
pub(crate) use encode::encode_samples;
pub use lineage::{merged_meta, rewritten_meta};
pub use plan::{exponential_ranges_ms, plan};
pub use policy::{MergePolicy, Overlap, Run, push_sample};
pub use sink::{BlockSink, DirSink, FileSink};
pub use source::BlockSource;

use inputs::Inputs;
use output::Output;
use series::SeriesMerge;
use source::Piece;

use crate::chunk::{Chunk, ChunkError};
use crate::index::IndexError;
use crate::meta::{BlockMeta, MetaError};
use crate::segment::{MAX_SEGMENT_BYTES, SegmentError};
use crate::tombstones::TombstonesError;

/// Progress is told after so many series.
const SERIES_PER_REPORT: u64 = 256;

/// Why a compaction did not come to its end.
#[derive(Debug, Error)]
pub enum CompactError {
    /// A source or the sink failed.
    #[error("compaction: {0}")]
    Io(#[from] io::Error),
    /// An index is damaged, or cannot be written.
    #[error("compaction: {0}")]
    Index(#[from] IndexError),
    /// A chunk file is damaged.
    #[error("compaction: {0}")]
    Segment(#[from] SegmentError),
    /// A chunk is damaged.
    #[error("compaction: chunk: {0}")]
    Chunk(#[from] ChunkError),
    /// A meta file cannot be read.
    #[error("compaction: {0}")]
    Meta(#[from] MetaError),
    /// A tombstones file is damaged.
    #[error("compaction: {0}")]
    Tombstones(#[from] TombstonesError),
    /// The new block cannot be read.
    #[error("compaction: {0}")]
    Block(#[from] crate::block::BlockError),
    /// There was nothing to compact.
    #[error("compaction: no blocks")]
    NoBlocks,
    /// The caller had it stopped.
    #[error("compaction: cancelled")]
    Cancelled,
}

/// How far a compaction is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Series written.
    pub series: u64,
    /// Chunks written.
    pub chunks: u64,
    /// Samples written.
    pub samples: u64,
    /// Samples that were decoded, because their chunks overlapped with others.
    pub merged_samples: u64,
}

/// How blocks are compacted.
pub struct CompactOptions<'a> {
    /// What becomes of chunks that overlap.
    pub policy: &'a dyn MergePolicy,
    /// Labels that are left out, such as those that tell replicas apart.
    pub drop_labels: &'a [Vec<u8>],
    /// Whether merged floats go into the encoding that has start times, also where none has one.
    pub xor2: bool,
    /// How large a chunk file may become.
    pub max_segment_bytes: u64,
    /// Is told how far it is, and may end it.
    pub progress: &'a dyn Fn(&Progress) -> ControlFlow<()>,
}

impl Default for CompactOptions<'_> {
    fn default() -> Self {
        CompactOptions {
            policy: &Chain,
            drop_labels: &[],
            xor2: false,
            max_segment_bytes: MAX_SEGMENT_BYTES,
            progress: &|_| ControlFlow::Continue(()),
        }
    }
}

impl fmt::Debug for CompactOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompactOptions").field("policy", &self.policy).field("drop_labels", &self.drop_labels).finish()
    }
}

/// Merges blocks into one, whose meta file is `meta` (see [`merged_meta`]) with the statistics counted. Samples outside of its
/// times are left out. `None` where nothing is left; on an error the sink is told to discard.
///
/// The order of the sources decides which of different samples of one time stays; stock sorts them by their first time.
pub fn compact(
    sources: &[BlockSource],
    meta: BlockMeta,
    sink: &mut dyn BlockSink,
    options: &CompactOptions<'_>,
) -> Result<Option<BlockMeta>, CompactError> {
    let result = write(sources, meta, sink, options);
    if result.is_err()
        && let Err(error) = sink.discard()
    {
        tracing::warn!(%error, "cannot remove what a failed compaction left");
    }
    result
}

fn write(
    sources: &[BlockSource],
    meta: BlockMeta,
    sink: &mut dyn BlockSink,
    options: &CompactOptions<'_>,
) -> Result<Option<BlockMeta>, CompactError> {
    if sources.is_empty() {
        return Err(CompactError::NoBlocks);
    }
    let times_ms = (meta.min_time, meta.max_time.saturating_sub(1));
    let (mut inputs, symbols) = Inputs::open(sources, options, times_ms)?;
    let mut output = Output::create(sink, &symbols, options.max_segment_bytes)?;
    let (mut merge, mut labels, mut chunks, mut pieces) = (SeriesMerge::default(), vec![], vec![], vec![]);
    let mut seen = 0u64;
    while inputs.next(&mut labels, &mut chunks)? {
        pieces.clear();
        merge.merge(std::mem::take(&mut chunks), options, &mut pieces)?;
        if !pieces.is_empty() {
            output.add_series(&labels, &pieces)?;
        }
        seen += 1;
        if seen.is_multiple_of(SERIES_PER_REPORT) {
            report(&output, &merge, options)?;
        }
    }
    report(&output, &merge, options)?;
    output.finish(meta, &symbols)
}

/// The chunks of one series from several places, each in time order, as one row of chunks that do not overlap. The chunks of
/// one place stay as they are where they do not overlap with any other.
pub fn merge_chunks(inputs: Vec<Vec<Chunk>>) -> Result<Vec<Chunk>, CompactError> {
    let piece = |chunk| Piece { chunk, frame: None };
    let inputs = inputs.into_iter().map(|chunks| chunks.into_iter().map(piece).collect()).collect();
    let mut merged = Vec::new();
    SeriesMerge::default().merge(inputs, &CompactOptions::default(), &mut merged)?;
    Ok(merged.into_iter().map(|piece| piece.chunk).collect())
}

fn report(output: &Output<'_>, merge: &SeriesMerge, options: &CompactOptions<'_>) -> Result<(), CompactError> {
    let stats = output.stats();
    let progress = Progress {
        series: stats.num_series,
        chunks: stats.num_chunks,
        samples: stats.num_samples,
        merged_samples: merge.merged_samples,
    };
    match (options.progress)(&progress) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(CompactError::Cancelled),
    }
}
