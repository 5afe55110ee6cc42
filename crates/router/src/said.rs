//! What nodes were told of metrics already, so that they are not told again with every request.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use parking_lot::Mutex;
use thanoxide_model::write_batch::MetadataSpan;
use thanoxide_model::{TenantId, WriteBatch};

/// So much is remembered; beyond it all is told once more.
const MAX_REMEMBERED: usize = 100_000;

/// Keyed hashes of what was told.
#[derive(Debug, Default)]
pub(crate) struct Said {
    hasher: RandomState,
    told: Mutex<HashSet<u64>>,
}

impl Said {
    /// What a batch says that is new, without its series, and what to remember once it is told; `None` where there is nothing new.
    pub(crate) fn news_of(&self, tenant: &TenantId, batch: &WriteBatch) -> Option<(WriteBatch, Vec<u64>)> {
        let hashes: Vec<u64> = batch.metadata.iter().map(|said| self.hash(tenant, batch, said)).collect();
        let told = self.told.lock();
        let news = batch.metadata.iter().zip(hashes).filter(|(_, hash)| !told.contains(hash));
        let (metadata, hashes): (Vec<MetadataSpan>, Vec<u64>) = news.map(|(said, hash)| (*said, hash)).unzip();
        let alone = WriteBatch { text: batch.text.clone(), metadata, ..WriteBatch::default() };
        (!hashes.is_empty()).then_some((alone, hashes))
    }

    /// Remembers what was told.
    pub(crate) fn told(&self, hashes: Vec<u64>) {
        let mut told = self.told.lock();
        if told.len() + hashes.len() > MAX_REMEMBERED {
            told.clear();
        }
        told.extend(hashes.into_iter().take(MAX_REMEMBERED));
    }

    /// Forgets all: others are to be told.
    pub(crate) fn forget(&self) {
        self.told.lock().clear();
    }

    fn hash(&self, tenant: &TenantId, batch: &WriteBatch, said: &MetadataSpan) -> u64 {
        let [family, help, unit] = [said.family, said.help, said.unit].map(|text| batch.text(text));
        self.hasher.hash_one((tenant.as_str(), family, said.kind as u8, help, unit))
    }
}

#[cfg(test)]
mod tests {
    use thanoxide_model::write_batch::WriteBatchBuilder;
    use thanoxide_model::{MetricMetadata, MetricType};

    use super::*;

    fn batch(helps: &[&str]) -> WriteBatch {
        let mut builder = WriteBatchBuilder::default();
        for help in helps {
            let metadata = MetricMetadata { kind: MetricType::Gauge, help: help.to_string(), unit: String::new() };
            builder.push_metadata("a", &metadata);
        }
        builder.build()
    }

    #[test]
    fn only_what_is_new_is_told() {
        let (said, tenant) = (Said::default(), TenantId::new("a").unwrap());
        let (_, first) = said.news_of(&tenant, &batch(&["x"])).unwrap();
        // What was not taken stays new.
        assert!(said.news_of(&tenant, &batch(&["x"])).is_some());
        said.told(first);
        assert!(said.news_of(&tenant, &batch(&["x"])).is_none());
        let (news, _) = said.news_of(&tenant, &batch(&["x", "y"])).unwrap();
        assert_eq!((news.metadata.len(), news.text(news.metadata[0].help)), (1, &b"y"[..]));
        assert!(said.news_of(&TenantId::new("b").unwrap(), &batch(&["x"])).is_some());
        said.forget();
        assert!(said.news_of(&tenant, &batch(&["x"])).is_some());
    }
}
