//! Label sets.

use bytes::Bytes;
use thanoxide_model::Labels;
use thanoxide_model::labels::MAX_LABEL_BYTES;
use thanoxide_proto::thanos;

use crate::StoreError;

/// All names and values of the answer share one copy of the packed labels.
pub(crate) fn to_proto(labels: &Labels) -> Vec<thanos::Label> {
    let packed = labels.as_packed();
    let shared = Bytes::copy_from_slice(packed);
    let mut end = 0;
    // Before each text of the packed form stands its length: one byte, or four from 255 on.
    let mut share = |text: &[u8]| {
        let start = end + if text.len() < 255 { 1 } else { 4 };
        end = start + text.len();
        shared.slice(start..end)
    };
    labels.iter().map(|(name, value)| thanos::Label { name: share(name), value: share(value) }).collect()
}

/// Sorted or not; an empty value is an absent label.
pub(crate) fn from_proto(labels: &[thanos::Label]) -> Result<Labels, StoreError> {
    let pairs: Vec<_> = labels.iter().map(|l| (&l.name[..], &l.value[..])).collect();
    from_wire(&pairs, &mut Vec::new())
}

/// The same of names and values, by way of a buffer that many sets can share.
pub(crate) fn from_wire(pairs: &[(&[u8], &[u8])], packed: &mut Vec<u8>) -> Result<Labels, StoreError> {
    if let Some(long) = pairs.iter().map(|(n, v)| n.len().max(v.len())).find(|len| *len > MAX_LABEL_BYTES) {
        return Err(StoreError::Internal(format!("label of {long} bytes in an answer")));
    }
    let sorted = pairs.is_sorted_by(|a, b| a.0 < b.0) && pairs.iter().all(|(_, value)| !value.is_empty());
    let pairs = pairs.iter().copied();
    Ok(if sorted { Labels::from_sorted_in(packed, pairs) } else { Labels::from_pairs(pairs) })
}

/// Several label sets.
pub(crate) fn sets_from_proto(sets: &[thanos::LabelSet]) -> Result<Vec<Labels>, StoreError> {
    sets.iter().map(|s| from_proto(&s.labels)).collect()
}

/// A label set as a message of its own.
pub(crate) fn set_to_proto(labels: &Labels) -> thanos::LabelSet {
    thanos::LabelSet { labels: to_proto(labels) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_survive() {
        let long = "x".repeat(300);
        let labels = Labels::from_pairs([("a", "1"), ("b", long.as_str()), ("c", "")]);
        assert_eq!(from_proto(&to_proto(&labels)), Ok(labels.clone()));
        let mut backwards = to_proto(&labels);
        backwards.reverse();
        assert_eq!(from_proto(&backwards), Ok(labels));
    }
}
