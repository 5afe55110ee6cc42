//! `stddev` and `stdvar`, by Welford's method

use crate::exec::column::{Bits, Column};

/// Count, mean and sum of squared distances at each step.
pub(crate) struct Variance {
    counts: Vec<f64>,
    means: Vec<f64>,
    squares: Vec<f64>,
    floats: Bits,
}

impl Variance {
    pub(crate) fn new(steps: usize) -> Self {
        Variance {
            counts: vec![0.0; steps],
            means: vec![0.0; steps],
            squares: vec![0.0; steps],
            floats: Bits::none(steps),
        }
    }

    pub(crate) fn add(&mut self, column: &Column) {
        for step in column.floats.ones() {
            self.add_value(step, column.values[step]);
        }
        self.floats.union(&column.floats);
    }

    fn add_value(&mut self, step: usize, value: f64) {
        self.counts[step] += 1.0;
        if self.counts[step] == 1.0 {
            self.means[step] = value;
            self.squares[step] = if value.is_finite() { 0.0 } else { f64::NAN };
            return;
        }
        let delta = value - self.means[step];
        self.means[step] += delta / self.counts[step];
        self.squares[step] += delta * (value - self.means[step]);
    }

    pub(crate) fn finish(self, root: bool) -> Column {
        let variances = self.squares.iter().zip(&self.counts).map(|(s, n)| s / n);
        let values = variances.map(|v| if root { v.sqrt() } else { v }).collect();
        Column { values, floats: self.floats, histograms: Vec::new() }
    }
}
