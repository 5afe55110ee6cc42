//! What a tenant's head holds, and which metrics and labels it holds most of: what Prometheus tells at
//! `/api/v1/status/tsdb`.

use std::collections::HashMap;

use thanoxide_model::METRIC_NAME;
use thanoxide_tsdb::engine::{TenantReader, TenantStats};

/// In memory of Go programs a label's name and its value each have a header of so many bytes.
const STRING_HEADER_BYTES: u64 = 16;

/// Names with numbers, the largest number first.
pub type Ranking = Vec<(String, u64)>;

/// What a head holds most of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cardinality {
    /// Series, chunks, times.
    pub head: TenantStats,
    /// Different labels, each a name with a value.
    pub label_pairs: u64,
    /// Series of metrics.
    pub series_by_metric: Ranking,
    /// Values of labels.
    pub values_by_label: Ranking,
    /// Bytes that the labels of all series would take in stock's memory, by name.
    pub bytes_by_label: Ranking,
    /// Series of labels, as `name=value`.
    pub series_by_pair: Ranking,
}

impl Cardinality {
    /// Of a tenant; no ranking has more than `limit` entries.
    pub fn of(reader: &TenantReader, limit: usize) -> Self {
        let mut by_name: HashMap<Vec<u8>, (u64, u64)> = HashMap::new();
        let (mut metrics, mut pairs) = (Top::new(limit), Top::new(limit));
        let mut label_pairs = 0;
        reader.for_each_head_label(|name, value, series| {
            label_pairs += 1;
            let bytes = (name.len() + value.len()) as u64 + 2 * STRING_HEADER_BYTES;
            let of_name = match by_name.get_mut(name) {
                Some(of_name) => of_name,
                None => by_name.entry(name.to_vec()).or_default(),
            };
            of_name.0 += 1;
            of_name.1 += bytes * series;
            if name == METRIC_NAME.as_bytes() {
                metrics.push(series, || text(value));
            }
            pairs.push(series, || format!("{}={}", text(name), text(value)));
        });
        let (mut values, mut bytes) = (Top::new(limit), Top::new(limit));
        for (name, (values_of, bytes_of)) in &by_name {
            values.push(*values_of, || text(name));
            bytes.push(*bytes_of, || text(name));
        }
        Cardinality {
            head: reader.stats(),
            label_pairs,
            series_by_metric: metrics.ranked(),
            values_by_label: values.ranked(),
            bytes_by_label: bytes.ranked(),
            series_by_pair: pairs.ranked(),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The largest of many numbers. Of equal ones the first by name stays.
struct Top {
    limit: usize,
    kept: std::collections::BTreeSet<(u64, std::cmp::Reverse<String>)>,
}

impl Top {
    fn new(limit: usize) -> Self {
        Top { limit, kept: Default::default() }
    }

    fn push(&mut self, number: u64, name: impl FnOnce() -> String) {
        if self.limit == 0 {
            return;
        }
        if self.kept.len() == self.limit && self.kept.first().is_some_and(|(least, _)| number < *least) {
            return;
        }
        self.kept.insert((number, std::cmp::Reverse(name())));
        if self.kept.len() > self.limit {
            self.kept.pop_first();
        }
    }

    fn ranked(self) -> Ranking {
        self.kept.into_iter().rev().map(|(number, name)| (name.0, number)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_come_first_and_equal_ones_by_name() {
        let mut top = Top::new(3);
        for (number, name) in [(1, "a"), (5, "d"), (2, "c"), (5, "b"), (2, "a")] {
            top.push(number, || name.to_string());
        }
        assert_eq!(top.ranked(), [("b".to_string(), 5), ("d".to_string(), 5), ("a".to_string(), 2)]);
        let mut none = Top::new(0);
        none.push(1, String::new);
        assert_eq!(none.ranked(), []);
    }
}
