//! The exemplars of all tenants.

use thanoxide_model::{Matcher, SeriesExemplars};
use thanoxide_storeapi::ExemplarsRequest;
use thanoxide_tsdb::engine::Engine;

use crate::read::{Tenants, remaining_matchers};

/// Those that a request wants, with external labels, tenant by tenant.
pub(crate) fn exemplars(engine: &Engine, tenants: &Tenants, request: &ExemplarsRequest) -> Vec<SeriesExemplars> {
    let mut all = Vec::new();
    for (tenant, external) in tenants {
        let remaining = request.sets.iter().filter_map(|set| remaining_matchers(set, external));
        let sets: Vec<Vec<Matcher>> = remaining.collect();
        let Some(reader) = engine.reader(tenant).filter(|_| !sets.is_empty()) else { continue };
        let selected = reader.exemplars(&sets, request.start_ms, request.end_ms).into_iter();
        all.extend(selected.map(|series| SeriesExemplars { labels: series.labels.overlay(external), ..series }));
    }
    all
}
