//! Metadata of metrics and requests for it.

use std::collections::BTreeMap;

use thanoxide_model::{MetricMetadata, MetricType};
use thanoxide_proto::thanos;
use thanoxide_proto::thanos::metric_metadata_response::Result as Part;

use super::requests::{strategy_from_proto, strategy_to_proto};
use crate::{MetadataAnswer, MetadataRequest};

pub(crate) fn request_to_proto(request: &MetadataRequest) -> thanos::MetricMetadataRequest {
    thanos::MetricMetadataRequest {
        metric: request.metric.clone().unwrap_or_default(),
        limit: request.limit.map_or(-1, |limit| i32::try_from(limit).unwrap_or(i32::MAX)),
        partial_response_strategy: strategy_to_proto(request.partial_response),
    }
}

/// A negative limit is none.
pub(crate) fn request_from_proto(request: thanos::MetricMetadataRequest) -> MetadataRequest {
    MetadataRequest {
        metric: Some(request.metric).filter(|metric| !metric.is_empty()),
        limit: usize::try_from(request.limit).ok(),
        partial_response: strategy_from_proto(false, request.partial_response_strategy),
    }
}

/// The answer as frames: warnings first.
pub(crate) fn answer_to_proto(answer: MetadataAnswer) -> impl Iterator<Item = thanos::MetricMetadataResponse> {
    let meta = |known: MetricMetadata| thanos::Meta {
        r#type: known.kind.as_str().to_string(),
        help: known.help,
        unit: known.unit,
    };
    let entry =
        |known: Vec<MetricMetadata>| thanos::MetricMetadataEntry { metas: known.into_iter().map(meta).collect() };
    let metadata: BTreeMap<_, _> = answer.metrics.into_iter().map(|(family, known)| (family, entry(known))).collect();
    let data = Part::Metadata(thanos::MetricMetadata { metadata });
    let frame = |part| thanos::MetricMetadataResponse { result: Some(part) };
    answer.warnings.into_iter().map(Part::Warning).chain([data]).map(frame)
}

/// Adds a frame to an answer.
pub(crate) fn add_frame(frame: thanos::MetricMetadataResponse, limit: Option<usize>, answer: &mut MetadataAnswer) {
    match frame.result {
        Some(Part::Warning(warning)) => answer.warnings.push(warning),
        Some(Part::Metadata(data)) => {
            for (family, entry) in data.metadata {
                for meta in entry.metas {
                    let kind = MetricType::from_text(&meta.r#type);
                    answer.add(family.clone(), MetricMetadata { kind, help: meta.help, unit: meta.unit }, limit);
                }
            }
        }
        None => {}
    }
}
