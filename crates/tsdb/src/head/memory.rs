//! What the parts of a head take of memory.

use super::Head;
use super::series::Series;

/// Bytes of a head's parts, by the capacities of their buffers. Takes a look at every series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeadMemory {
    /// Records of series, and where they are found by their labels.
    pub series: usize,
    /// Which labels series have.
    pub labels: usize,
    /// Open chunks of floats.
    pub open_chunks: usize,
    /// Where closed chunks lie.
    pub closed_chunks: usize,
    /// Labels, each once, with their texts.
    pub texts: usize,
    /// Lists of the series that have a label.
    pub postings: usize,
}

impl HeadMemory {
    /// All together.
    pub fn total(&self) -> usize {
        self.series + self.labels + self.open_chunks + self.closed_chunks + self.texts + self.postings
    }
}

impl Head {
    /// What the parts take now.
    pub fn memory(&self) -> HeadMemory {
        let sum = |bytes: fn(&Series) -> usize| -> usize { self.slab.iter().map(bytes).sum() };
        HeadMemory {
            series: self.slab.bytes() + self.table.bytes(),
            labels: sum(|series| size_of_val(&*series.labels)),
            open_chunks: sum(|series| series.open.as_ref().map_or(0, |open| open.capacity_bytes())),
            closed_chunks: sum(|series| series.chunks.capacity_bytes()),
            texts: self.labels.text_bytes(),
            postings: self.labels.list_bytes() + self.live.serialized_size(),
        }
    }
}
