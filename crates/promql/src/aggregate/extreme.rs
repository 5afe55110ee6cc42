//! `min` and `max`

use crate::exec::column::{Bits, Column};

/// The lowest or highest value at each step; NaN only where there is nothing else.
pub(crate) struct Extreme {
    max: bool,
    values: Vec<f64>,
    floats: Bits,
}

impl Extreme {
    pub(crate) fn new(max: bool, steps: usize) -> Self {
        // NaN gives way to everything.
        Extreme { max, values: vec![f64::NAN; steps], floats: Bits::none(steps) }
    }

    pub(crate) fn name(&self) -> &'static str {
        if self.max { "max" } else { "min" }
    }

    pub(crate) fn add(&mut self, column: &Column) {
        let max = self.max;
        let better = |new: f64, old: f64| (if max { old < new } else { old > new }) || old.is_nan();
        for step in column.floats.ones() {
            let value = column.values[step];
            if better(value, self.values[step]) {
                self.values[step] = value;
            }
        }
        self.floats.union(&column.floats);
    }

    pub(crate) fn finish(self) -> Column {
        Column { values: self.values, floats: self.floats, histograms: Vec::new() }
    }
}
