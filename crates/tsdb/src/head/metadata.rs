//! What a head knows of metrics.

use thanoxide_model::{MetricMetadata, WriteBatch};

use super::Head;
use super::append::Scratch;
use crate::encoding::DecodeError;
use crate::log::metadata::{push_metadata, read_metadata};

impl Head {
    /// Remembers what a batch says of metrics. Only what is new goes to the log.
    pub(super) fn append_metadata(&mut self, batch: &WriteBatch, scratch: &mut Scratch) {
        for said in &batch.metadata {
            let [family, help, unit] =
                [said.family, said.help, said.unit].map(|text| String::from_utf8_lossy(batch.text(text)));
            if let Some(known) = self.metadata.set(&family, said.kind, &help, &unit) {
                push_metadata(&mut scratch.metadata, &family, known);
            }
        }
    }

    /// Applies what a snapshot or the log says, in this order: the last word counts.
    pub(super) fn restore_metadata(&mut self, payload: &[u8]) -> Result<(), DecodeError> {
        read_metadata(payload, |family, said| _ = self.metadata.set(family, said.kind, &said.help, &said.unit))
    }

    /// All of it as payloads for a snapshot, each of about so many bytes.
    pub(crate) fn save_metadata(&self, frame_bytes: usize) -> Vec<Vec<u8>> {
        let mut payloads = vec![Vec::new()];
        for (family, said) in self.metadata.iter(None) {
            if payloads.last().is_some_and(|last| last.len() >= frame_bytes) {
                payloads.push(Vec::new());
            }
            if let Some(last) = payloads.last_mut() {
                push_metadata(last, family, said);
            }
        }
        payloads.retain(|payload| !payload.is_empty());
        payloads
    }

    /// What is known, by family; of one metric only, if that is asked for.
    pub fn metadata(&self, metric: Option<&str>) -> Vec<(String, MetricMetadata)> {
        self.metadata.iter(metric).map(|(family, said)| (family.to_string(), said.clone())).collect()
    }
}
