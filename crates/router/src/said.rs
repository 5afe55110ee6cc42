//! What a node was told of metrics already, so that it is not told again with every request.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use parking_lot::Mutex;
use thanoxide_model::write_batch::MetadataSpan;
use thanoxide_model::{TenantId, WriteBatch};

/// So much is remembered of a node; beyond it all is told once more.
const MAX_REMEMBERED: usize = 100_000;

/// A hash of each thing that a batch says of a metric.
pub(crate) fn hashes_of(hasher: &RandomState, tenant: &TenantId, batch: &WriteBatch) -> Vec<u64> {
    let hash = |said: &MetadataSpan| {
        let [family, help, unit] = [said.family, said.help, said.unit].map(|text| batch.text(text));
        hasher.hash_one((tenant.as_str(), family, said.kind as u8, help, unit))
    };
    batch.metadata.iter().map(hash).collect()
}

/// What one node was told, or is being told, by its hashes.
#[derive(Debug, Default)]
pub(crate) struct Said(Mutex<HashSet<u64>>);

impl Said {
    /// Those that it was not told, which now count as told: whoever asks next need not tell them.
    pub(crate) fn take_news(&self, hashes: &[u64]) -> Vec<u64> {
        let mut told = self.0.lock();
        let news: Vec<u64> = hashes.iter().filter(|hash| !told.contains(hash)).copied().collect();
        if told.len() + news.len() > MAX_REMEMBERED {
            told.clear();
        }
        told.extend(news.iter().take(MAX_REMEMBERED));
        news
    }

    /// It did not hear these.
    pub(crate) fn forget(&self, hashes: &[u64]) {
        let mut told = self.0.lock();
        for hash in hashes {
            told.remove(hash);
        }
    }

    /// It may be another node by now.
    pub(crate) fn forget_all(&self) {
        self.0.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use thanoxide_model::write_batch::WriteBatchBuilder;
    use thanoxide_model::{MetricMetadata, MetricType};

    use super::*;

    fn hashes(hasher: &RandomState, tenant: &str, helps: &[&str]) -> Vec<u64> {
        let mut builder = WriteBatchBuilder::default();
        for help in helps {
            let metadata = MetricMetadata { kind: MetricType::Gauge, help: help.to_string(), unit: String::new() };
            builder.push_metadata("a", &metadata);
        }
        hashes_of(hasher, &TenantId::new(tenant).unwrap(), &builder.build())
    }

    #[test]
    fn only_what_is_new_is_told() {
        let (said, hasher) = (Said::default(), RandomState::new());
        let x = hashes(&hasher, "a", &["x"]);
        assert_eq!(said.take_news(&x), x);
        assert!(said.take_news(&x).is_empty(), "somebody tells it already");
        said.forget(&x);
        assert_eq!(said.take_news(&x), x, "what it did not hear stays new");
        assert_eq!(said.take_news(&hashes(&hasher, "a", &["x", "y"])).len(), 1);
        assert_eq!(said.take_news(&hashes(&hasher, "b", &["x"])).len(), 1, "tenants are apart");
        said.forget_all();
        assert_eq!(said.take_news(&x), x);
    }

    #[test]
    fn not_everything_is_remembered() {
        let said = Said::default();
        let many: Vec<u64> = (0..MAX_REMEMBERED as u64 + 10).collect();
        assert_eq!(said.take_news(&many).len(), many.len());
        assert_eq!(said.0.lock().len(), MAX_REMEMBERED);
        assert_eq!(said.take_news(&[u64::MAX]), [u64::MAX]);
        assert_eq!(said.0.lock().len(), 1);
    }
}
