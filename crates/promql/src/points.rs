//! Floats of a series over time.

use std::sync::Arc;

/// Times and values, as many of one as of the other, in time order. Series of one answer that have a value at every step
/// share their times.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Points {
    times_ms: Arc<[i64]>,
    values: Vec<f64>,
}

impl Points {
    /// From columns; what one has more than the other is dropped.
    pub fn new(times_ms: Arc<[i64]>, mut values: Vec<f64>) -> Self {
        if times_ms.len() == values.len() {
            return Points { times_ms, values };
        }
        let count = times_ms.len().min(values.len());
        values.truncate(count);
        Points { times_ms: times_ms[..count].into(), values }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The times; shared with other series of the answer, where these have the same.
    pub fn times_ms(&self) -> &Arc<[i64]> {
        &self.times_ms
    }

    /// The values.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Time and value of each.
    pub fn iter(&self) -> impl Iterator<Item = (i64, f64)> + '_ {
        self.times_ms.iter().copied().zip(self.values.iter().copied())
    }
}

impl FromIterator<(i64, f64)> for Points {
    fn from_iter<I: IntoIterator<Item = (i64, f64)>>(points: I) -> Self {
        let (times_ms, values): (Vec<i64>, Vec<f64>) = points.into_iter().unzip();
        Points { times_ms: times_ms.into(), values }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_of_equal_length() {
        let points = Points::new(Arc::from([1, 2, 3]), vec![1.0, 2.0]);
        assert_eq!(points.iter().collect::<Vec<_>>(), [(1, 1.0), (2, 2.0)]);
        assert_eq!(points, [(1, 1.0), (2, 2.0)].into_iter().collect());
        assert_eq!((points.len(), points.is_empty(), Points::default().is_empty()), (2, false, true));
    }
}
