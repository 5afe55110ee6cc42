//! What became of series and samples at a start.

/// What a restart found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RestoreCounts {
    /// Series of the snapshot.
    pub series: u64,
    /// Samples and histograms of the log that were taken.
    pub samples: u64,
    /// Samples that a block holds.
    pub in_blocks: u64,
    /// Samples that their series has already.
    pub known: u64,
    /// Samples of series that nothing defines.
    pub orphans: u64,
    /// Frames whose payload cannot be decoded, or is of a kind that is not known.
    pub undecodable: u64,
    /// Closed chunks whose file is gone or too short.
    pub lost_chunks: u64,
}

impl RestoreCounts {
    pub(crate) fn add(&mut self, other: &RestoreCounts) {
        self.series += other.series;
        self.samples += other.samples;
        self.in_blocks += other.in_blocks;
        self.known += other.known;
        self.orphans += other.orphans;
        self.undecodable += other.undecodable;
        self.lost_chunks += other.lost_chunks;
    }
}
