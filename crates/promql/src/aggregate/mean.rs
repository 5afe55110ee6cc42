//! `avg`

use super::Remarks;
use super::sum::Histograms;
use crate::exec::column::{Bits, Column};
use crate::functions::histogram_over_time::HistogramMean;
use crate::functions::over_time;

/// A mean at each step.
pub(crate) struct Mean {
    means: Vec<Option<over_time::Mean>>,
    histograms: Histograms<HistogramMean>,
    floats: Bits,
}

impl Mean {
    pub(crate) fn new(steps: usize) -> Self {
        Mean { means: vec![None; steps], histograms: Histograms::new(), floats: Bits::none(steps) }
    }

    pub(crate) fn add(&mut self, column: &Column, remarks: &mut Remarks<'_>) {
        for step in column.floats.ones() {
            if self.histograms.is_broken(step) {
                continue;
            }
            self.floats.set(step);
            match &mut self.means[step] {
                Some(mean) => mean.add(column.values[step]),
                none => *none = Some(over_time::Mean::new(column.values[step])),
            }
        }
        self.histograms.add(column, &self.floats, remarks);
    }

    pub(crate) fn finish(self, remarks: &mut Remarks<'_>) -> Column {
        let values = self.means.iter().map(|m| m.map_or(0.0, |m| m.value())).collect();
        let mut column = Column { values, floats: self.floats, histograms: Vec::new() };
        self.histograms.finish(&mut column, remarks);
        column
    }
}
