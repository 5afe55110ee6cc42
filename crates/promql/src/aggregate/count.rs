//! `count`

use crate::exec::column::{Bits, Column};

/// How many series have a value of either kind at each step.
pub(crate) struct Count {
    counts: Vec<f64>,
    seen: Bits,
}

impl Count {
    pub(crate) fn new(steps: usize) -> Self {
        Count { counts: vec![0.0; steps], seen: Bits::none(steps) }
    }

    pub(crate) fn add(&mut self, column: &Column) {
        let present = column.present();
        if present.is_full() {
            self.counts.iter_mut().for_each(|c| *c += 1.0);
        } else {
            present.ones().for_each(|step| self.counts[step] += 1.0);
        }
        self.seen.union(&present);
    }

    pub(crate) fn finish(self) -> Column {
        Column { values: self.counts, floats: self.seen, histograms: Vec::new() }
    }
}
