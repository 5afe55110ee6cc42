//! Metadata of many stores.

use futures::future::join_all;

use super::{ProxyStore, partial};
use crate::{MetadataAnswer, MetadataRequest, StoreError};

impl ProxyStore {
    /// Asks those that have metadata, all at once, and joins what they say.
    pub(super) async fn all_metadata(&self, request: &MetadataRequest) -> Result<MetadataAnswer, StoreError> {
        let asked = self.serving(|info| info.metric_metadata).await;
        let answers = asked.iter().map(|asked| {
            let (store, request) = (asked.endpoint.store(), request.clone());
            self.within(async move { store.metric_metadata(request).await })
        });
        let mut all = MetadataAnswer::default();
        for (asked, answer) in asked.iter().zip(join_all(answers).await) {
            match answer {
                Ok(answer) => all.join(answer, request.limit),
                Err(e) => {
                    let failed = format!("fetching metadata from {}: {}", asked.endpoint.name(), e.rpc_text());
                    all.warnings.push(partial(request.partial_response, failed)?);
                }
            }
        }
        Ok(all)
    }
}
