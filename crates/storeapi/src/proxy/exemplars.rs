//! Exemplars of many stores.

use futures::future::join_all;

use super::{Asked, ProxyStore, partial};
use crate::{ExemplarsAnswer, ExemplarsRequest, StoreError};

impl ProxyStore {
    /// Asks those that have exemplars, of series that may be wanted, all at once. Answers are put one after the other.
    pub(super) async fn all_exemplars(&self, request: &ExemplarsRequest) -> Result<ExemplarsAnswer, StoreError> {
        let asked = self.serving(|info| info.exemplars.is_some()).await;
        let parts = asked.iter().filter_map(|asked| Some((asked, part_for(asked, request)?)));
        let (asked, parts): (Vec<&Asked>, Vec<ExemplarsRequest>) = parts.unzip();
        let answers = asked.iter().zip(parts).map(|(asked, part)| {
            let store = asked.endpoint.store();
            self.within(async move { store.exemplars(part).await })
        });
        let mut all = ExemplarsAnswer::default();
        for (asked, answer) in asked.iter().zip(join_all(answers).await) {
            match answer {
                Ok(answer) => {
                    all.series.extend(answer.series.into_iter().filter(|series| request.wants(&series.labels)));
                    all.warnings.extend(answer.warnings);
                }
                Err(e) => {
                    let failed = format!("fetching exemplars from {}: {}", asked.endpoint.name(), e.rpc_text());
                    all.warnings.push(partial(request.partial_response, failed)?);
                }
            }
        }
        Ok(all)
    }
}

/// A sidecar asks its Prometheus, which does not know the external labels.
fn part_for(asked: &Asked, request: &ExemplarsRequest) -> Option<ExemplarsRequest> {
    request.for_store(&asked.info.label_sets, asked.info.component == "sidecar")
}
