//! Metadata of metrics: what is asked of a store, and what it answers.

use std::collections::BTreeMap;

use thanoxide_model::MetricMetadata;

use crate::PartialResponse;

/// Of which metrics metadata is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataRequest {
    /// Of this one only.
    pub metric: Option<String>,
    /// Of so many at most.
    pub limit: Option<usize>,
    /// What to do about missing parts.
    pub partial_response: PartialResponse,
}

/// What is known of some metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataAnswer {
    /// By metric family, each thing once.
    pub metrics: BTreeMap<String, Vec<MetricMetadata>>,
    /// What is missing.
    pub warnings: Vec<String>,
}

impl MetadataAnswer {
    /// Adds what is known of a metric, unless that is there, or there are as many metrics as wanted.
    pub fn add(&mut self, family: String, known: MetricMetadata, limit: Option<usize>) {
        let full = limit.is_some_and(|limit| self.metrics.len() >= limit);
        if full && !self.metrics.contains_key(&family) {
            return;
        }
        let all = self.metrics.entry(family).or_default();
        if !all.contains(&known) {
            all.push(known);
        }
    }

    /// Adds another answer.
    pub(crate) fn join(&mut self, other: MetadataAnswer, limit: Option<usize>) {
        for (family, known) in other.metrics {
            known.into_iter().for_each(|known| self.add(family.clone(), known, limit));
        }
        self.warnings.extend(other.warnings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_joined_up_to_a_limit() {
        let known = |help: &str| MetricMetadata { help: help.to_string(), ..Default::default() };
        let mut all = MetadataAnswer::default();
        for (family, help) in [("b", "1"), ("a", "1"), ("c", "1"), ("b", "2"), ("b", "1")] {
            all.add(family.to_string(), known(help), Some(2));
        }
        let want = [("a", vec![known("1")]), ("b", vec![known("1"), known("2")])];
        assert_eq!(all.metrics, want.map(|(family, all)| (family.to_string(), all)).into());
        all.add("x".to_string(), known("1"), Some(0));
        assert_eq!(all.metrics.len(), 2);
    }
}
