//! What is known of a tenant's metrics: the last thing said of each, so many at most.

use std::collections::BTreeMap;

use thanoxide_model::MetricMetadata;

/// So many metrics are remembered of a tenant; what is said of others is left out.
pub const MOST_METRICS: usize = 20_000;
/// What is longer than this, all texts together, is left out.
pub const MOST_BYTES: usize = 8 << 10;

/// By metric family. Empty it takes no memory of its own.
#[derive(Clone, Debug, Default)]
pub struct Metadata {
    by_family: BTreeMap<Box<str>, MetricMetadata>,
}

impl Metadata {
    /// Remembers what is said of a metric. Says whether that is something new.
    pub fn set(&mut self, family: &str, said: MetricMetadata) -> bool {
        if family.is_empty() || family.len() + said.help.len() + said.unit.len() > MOST_BYTES {
            return false;
        }
        let full = self.by_family.len() >= MOST_METRICS;
        match self.by_family.get_mut(family) {
            Some(known) if *known == said => false,
            Some(known) => {
                *known = said;
                true
            }
            None if full => false,
            None => self.by_family.insert(Box::from(family), said).is_none(),
        }
    }

    /// What is known, by family; of one metric only, if that is asked for.
    pub fn iter<'a>(&'a self, metric: Option<&'a str>) -> impl Iterator<Item = (&'a str, &'a MetricMetadata)> {
        let all = self.by_family.iter().map(|(family, metadata)| (&**family, metadata));
        all.filter(move |(family, _)| metric.is_none_or(|metric| metric == *family))
    }
}

#[cfg(test)]
mod tests {
    use thanoxide_model::MetricType;

    use super::*;

    fn said(help: &str) -> MetricMetadata {
        MetricMetadata { kind: MetricType::Gauge, help: help.to_string(), unit: String::new() }
    }

    #[test]
    fn the_last_thing_said_counts_within_bounds() {
        let mut metadata = Metadata::default();
        assert!(metadata.set("a", said("x")) && !metadata.set("a", said("x")) && metadata.set("a", said("y")));
        assert!(!metadata.set("", said("x")) && !metadata.set("b", said(&"x".repeat(MOST_BYTES))));
        assert!((1..MOST_METRICS).all(|i| metadata.set(&i.to_string(), said("x"))));
        assert!(!metadata.set("b", said("x")) && metadata.set("a", said("z")));
        assert_eq!(metadata.iter(Some("a")).collect::<Vec<_>>(), [("a", &said("z"))]);
        assert_eq!(metadata.iter(None).count(), MOST_METRICS);
    }
}
