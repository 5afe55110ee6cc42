//! `quantile`

use crate::exec::column::Column;
use crate::exec::scalar::ScalarColumn;
use crate::functions::quantile::quantile;

/// All columns of a group: a quantile needs every value.
#[derive(Default)]
pub(crate) struct Quantile {
    columns: Vec<Column>,
}

impl Quantile {
    pub(crate) fn add(&mut self, column: Column) {
        self.columns.push(column);
    }

    pub(crate) fn finish(self, q: &ScalarColumn, steps: usize) -> Column {
        let mut result = Column::empty(steps);
        let mut values = Vec::with_capacity(self.columns.len());
        for step in 0..steps {
            values.clear();
            values.extend(self.columns.iter().filter(|c| c.floats.get(step)).map(|c| c.values[step]));
            if !values.is_empty() {
                result.set_float(step, quantile(q.get(step), &mut values));
            }
        }
        result
    }
}
