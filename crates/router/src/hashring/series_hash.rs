//! What places a series: xxhash64 over the tenant, 0xff, and name, 0xff, value, 0xff of each label, in the order sent.

use thanoxide_model::WriteBatch;
use thanoxide_model::write_batch::{SeriesSpan, TextSpan};
use xxhash_rust::xxh64::{Xxh64, xxh64};

const SEED: u64 = 0;
const SEPARATOR: u8 = 0xff;
/// Texts up to this length are copied by as many bytes, whatever their length: a copy of known length is a few instructions.
const STRIDE: usize = 32;

/// The hash of labels.
pub fn series_hash<'a>(tenant: &str, labels: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> u64 {
    let mut hasher = Xxh64::new(SEED);
    let mut put = |part: &[u8]| {
        hasher.update(part);
        hasher.update(&[SEPARATOR]);
    };
    put(tenant.as_bytes());
    for (name, value) in labels {
        put(name);
        put(value);
    }
    hasher.digest()
}

/// The same for many series of one tenant.
#[derive(Debug)]
pub struct SeriesHasher {
    /// The tenant and its separator, then room for a series.
    text: Vec<u8>,
    tenant_len: usize,
}

impl SeriesHasher {
    /// For a tenant.
    pub fn new(tenant: &str) -> Self {
        let mut text = Vec::with_capacity(1024);
        text.extend_from_slice(tenant.as_bytes());
        text.push(SEPARATOR);
        let tenant_len = text.len();
        SeriesHasher { text, tenant_len }
    }

    /// The hash of a series of a batch.
    pub fn hash(&mut self, batch: &WriteBatch, series: &SeriesSpan) -> u64 {
        let labels = &batch.labels[series.labels.start as usize..series.labels.end as usize];
        let len = |span: TextSpan| span.len as usize + 1;
        let all: usize = labels.iter().map(|label| len(label.name) + len(label.value)).sum();
        let needed = self.tenant_len + all + STRIDE;
        if self.text.len() < needed {
            self.text.resize(needed, 0);
        }
        let mut at = self.tenant_len;
        for span in labels.iter().flat_map(|label| [label.name, label.value]) {
            put(&mut self.text[at..], &batch.text, span);
            at += len(span);
        }
        xxh64(&self.text[..at], SEED)
    }
}

/// Copies a text and puts the separator behind it. What lies behind that may be overwritten.
#[inline(always)]
fn put(into: &mut [u8], text: &[u8], span: TextSpan) {
    let (start, len) = (span.start as usize, span.len as usize);
    match (into.first_chunk_mut::<STRIDE>(), text[start..].first_chunk::<STRIDE>()) {
        (Some(into), Some(from)) if len <= STRIDE => *into = *from,
        _ => into[..len].copy_from_slice(&text[start..start + len]),
    }
    into[len] = SEPARATOR;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use thanoxide_model::write_batch::WriteBatchBuilder;
    use thanoxide_model::{Labels, Sample};

    use super::*;

    proptest! {
        #[test]
        fn batches_are_hashed_like_labels(
            all in proptest::collection::vec(proptest::collection::btree_map("[a-c]{0,40}", "[x-z]{0,80}", 0..6), 1..5),
        ) {
            let mut builder = WriteBatchBuilder::default();
            for labels in &all {
                let pairs = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                builder.push(&Labels::from_pairs(pairs), &[Sample::default()]);
            }
            let batch = builder.build();
            let mut hasher = SeriesHasher::new("tenant");
            for series in &batch.series {
                prop_assert_eq!(hasher.hash(&batch, series), series_hash("tenant", batch.labels_of(series)));
            }
        }
    }
}
