//! Filling a head with samples that come from elsewhere, series by series in order.

use thanoxide_model::Labels;
use thanoxide_model::write_batch::HistogramValue;

use super::open_chunk::At;
use super::series::Fit;
use super::{Head, Slot};

impl Head {
    /// Finds a series or makes it.
    pub(crate) fn import_series(&mut self, labels: &Labels) -> Slot {
        let hash = self.hash(labels.as_packed());
        match self.find(hash) {
            Some(slot) => slot,
            None => {
                let series_ref = self.take_ref();
                self.insert(hash, series_ref, labels.iter())
            }
        }
    }

    /// Takes a float, unless its series has a sample as new.
    pub(crate) fn import_float(&mut self, slot: Slot, timestamp_ms: i64, value: f64) {
        let fit = self.slab.get(slot).map(|series| series.fit_float(timestamp_ms, value));
        if timestamp_ms >= self.min_valid_ms && fit == Some(Fit::Newest) {
            self.push_float(slot, At::time(timestamp_ms), value);
        }
    }

    /// Takes a histogram, unless its series has a sample as new.
    pub(crate) fn import_histogram(&mut self, slot: Slot, timestamp_ms: i64, value: &HistogramValue) {
        let fit = self.slab.get(slot).map(|series| series.fit_histogram(timestamp_ms, value));
        if timestamp_ms >= self.min_valid_ms && fit == Some(Fit::Newest) {
            self.push_histogram(slot, At::time(timestamp_ms), value);
        }
    }

    /// Ends an import: series without samples go.
    pub(crate) fn finish_import(&mut self) {
        self.truncate(self.min_valid_ms);
    }
}
