//! What a store says of itself.

use thanoxide_proto::thanos::info as wire;

use super::labels;
use crate::{StoreError, StoreInfo, TsdbInfo};

pub(crate) fn to_proto(info: &StoreInfo) -> wire::InfoResponse {
    let tsdb = |t: &TsdbInfo| wire::TsdbInfo {
        labels: Some(labels::set_to_proto(&t.labels)),
        min_time: t.min_time_ms,
        max_time: t.max_time_ms,
    };
    wire::InfoResponse {
        label_sets: info.label_sets.iter().map(labels::set_to_proto).collect(),
        component_type: info.component.clone(),
        store: Some(wire::StoreInfo {
            min_time: info.min_time_ms,
            max_time: info.max_time_ms,
            supports_sharding: info.supports_sharding,
            supports_without_replica_labels: info.supports_without_replica_labels,
            tsdb_infos: info.tsdb_infos.iter().map(tsdb).collect(),
            supports_projections: false,
        }),
        metric_metadata: info.metric_metadata.then_some(wire::MetricMetadataInfo {}),
        exemplars: info.exemplars.map(|(min_time, max_time)| wire::ExemplarsInfo { min_time, max_time }),
        ..Default::default()
    }
}

pub(crate) fn from_proto(info: wire::InfoResponse) -> Result<StoreInfo, StoreError> {
    let Some(store) = info.store else {
        return Err(StoreError::Unavailable(format!("{:?} endpoint serves no StoreAPI", info.component_type)));
    };
    let tsdb = |t: wire::TsdbInfo| {
        let labels = labels::from_proto(&t.labels.unwrap_or_default().labels)?;
        Ok(TsdbInfo { labels, min_time_ms: t.min_time, max_time_ms: t.max_time })
    };
    Ok(StoreInfo {
        component: info.component_type,
        label_sets: labels::sets_from_proto(&info.label_sets)?,
        min_time_ms: store.min_time,
        max_time_ms: store.max_time,
        tsdb_infos: store.tsdb_infos.into_iter().map(tsdb).collect::<Result<_, StoreError>>()?,
        supports_sharding: store.supports_sharding,
        supports_without_replica_labels: store.supports_without_replica_labels,
        metric_metadata: info.metric_metadata.is_some(),
        exemplars: info.exemplars.map(|served| (served.min_time, served.max_time)),
    })
}
