//! Series that several nodes get, encoded and compressed once for all of them.

use std::sync::{Arc, OnceLock};

use thanoxide_model::WriteBatch;
use thanoxide_proto::encode_series;
use thanoxide_storeapi::SharedSeries;

/// Some series of a write.
#[derive(Debug)]
pub struct Piece {
    series: Vec<u32>,
    encoded: OnceLock<Arc<SharedSeries>>,
}

impl Piece {
    /// Series of a write, by index.
    pub fn new(series: Vec<u32>) -> Self {
        Piece { series, encoded: OnceLock::new() }
    }

    /// The series, by index.
    pub fn series(&self) -> &[u32] {
        &self.series
    }

    /// The series, encoded. `batch` is the write, the same each time.
    pub(crate) fn encoded(&self, batch: &WriteBatch) -> Arc<SharedSeries> {
        Arc::clone(self.encoded.get_or_init(|| encoded(batch, &self.series)))
    }
}

/// Some series of a write, encoded.
pub(crate) fn encoded(batch: &WriteBatch, series: &[u32]) -> Arc<SharedSeries> {
    Arc::new(SharedSeries::new(encode_series(batch, series.iter().map(|index| *index as usize))))
}
