//! Requests, and the answers about labels.

use bytes::Bytes;
use prost::Message;
use prost_types::Any;
use thanoxide_model::Matcher;
use thanoxide_model::series::SelectHints;
use thanoxide_proto::{hintspb, thanos};

use super::matchers;
use crate::{
    Aggregate, LabelNamesRequest, LabelValuesRequest, LabelsAnswer, PartialResponse, SeriesRequest, ShardInfo,
    StoreError,
};

/// How many series a client asks to have in one frame.
const RESPONSE_BATCH_SIZE: i64 = 64;

pub(crate) fn series_to_proto(request: &SeriesRequest) -> thanos::SeriesRequest {
    let hints = &request.hints;
    thanos::SeriesRequest {
        min_time: request.min_time_ms,
        max_time: request.max_time_ms,
        matchers: matchers::to_proto(&request.matchers),
        max_resolution_window: request.max_resolution_ms,
        aggregates: request.aggregates.iter().map(|a| aggregate_to_proto(*a).into()).collect(),
        partial_response_disabled: request.partial_response == PartialResponse::Abort,
        partial_response_strategy: strategy_to_proto(request.partial_response),
        skip_chunks: request.skip_chunks,
        hints: block_hint(&request.block_matchers, "hintspb.SeriesRequestHints"),
        step: hints.step_ms,
        range: hints.range_ms,
        query_hints: Some(thanos::QueryHints {
            step_millis: hints.step_ms,
            func: Some(thanos::Func { name: hints.function.clone() }),
            grouping: Some(thanos::Grouping { by: hints.by, labels: hints.grouping.clone() }),
            range: Some(thanos::Range { millis: hints.range_ms }),
            ..Default::default()
        }),
        shard_info: request.shard.as_ref().map(|s| thanos::ShardInfo {
            shard_index: s.index as i64,
            total_shards: s.total as i64,
            by: s.by,
            labels: s.labels.clone(),
        }),
        without_replica_labels: request.without_replica_labels.clone(),
        limit: request.limit as i64,
        response_batch_size: RESPONSE_BATCH_SIZE,
    }
}

pub(crate) fn series_from_proto(request: thanos::SeriesRequest) -> Result<SeriesRequest, StoreError> {
    let aggregates = request.aggregates.iter().map(|a| aggregate_from_proto(*a)).collect::<Result<_, _>>()?;
    let hints = request.query_hints.unwrap_or_default();
    let grouping = hints.grouping.unwrap_or_default();
    let limit = limit_from_proto(request.limit);
    Ok(SeriesRequest {
        min_time_ms: request.min_time,
        max_time_ms: request.max_time,
        matchers: matchers::from_proto(&request.matchers)?,
        max_resolution_ms: request.max_resolution_window,
        aggregates,
        partial_response: strategy_from_proto(request.partial_response_disabled, request.partial_response_strategy),
        skip_chunks: request.skip_chunks,
        hints: SelectHints {
            start_ms: request.min_time,
            end_ms: request.max_time,
            // Older clients fill the deprecated fields only.
            step_ms: if hints.step_millis != 0 { hints.step_millis } else { request.step },
            range_ms: hints.range.map_or(request.range, |r| r.millis),
            function: hints.func.unwrap_or_default().name,
            grouping: grouping.labels,
            by: grouping.by,
            limit,
            projection: None,
        },
        shard: request.shard_info.map(shard_from_proto).transpose()?,
        without_replica_labels: request.without_replica_labels,
        limit,
        block_matchers: block_matchers(request.hints)?,
        endpoint_matchers: Vec::new(),
    })
}

fn shard_from_proto(shard: thanos::ShardInfo) -> Result<ShardInfo, StoreError> {
    let number = |n: i64| u64::try_from(n).map_err(|_| StoreError::InvalidArgument(format!("shard number {n}")));
    let (index, total) = (number(shard.shard_index)?, number(shard.total_shards)?);
    Ok(ShardInfo { index, total, by: shard.by, labels: shard.labels })
}

pub(crate) fn label_names_to_proto(request: &LabelNamesRequest) -> thanos::LabelNamesRequest {
    thanos::LabelNamesRequest {
        partial_response_disabled: request.partial_response == PartialResponse::Abort,
        partial_response_strategy: strategy_to_proto(request.partial_response),
        start: request.start_ms,
        end: request.end_ms,
        hints: block_hint(&request.block_matchers, "hintspb.LabelNamesRequestHints"),
        matchers: matchers::to_proto(&request.matchers),
        without_replica_labels: request.without_replica_labels.clone(),
        limit: request.limit as i64,
    }
}

pub(crate) fn label_names_from_proto(request: thanos::LabelNamesRequest) -> Result<LabelNamesRequest, StoreError> {
    Ok(LabelNamesRequest {
        start_ms: request.start,
        end_ms: request.end,
        matchers: matchers::from_proto(&request.matchers)?,
        partial_response: strategy_from_proto(request.partial_response_disabled, request.partial_response_strategy),
        without_replica_labels: request.without_replica_labels,
        limit: limit_from_proto(request.limit),
        block_matchers: block_matchers(request.hints)?,
        endpoint_matchers: Vec::new(),
    })
}

pub(crate) fn label_values_to_proto(request: &LabelValuesRequest) -> thanos::LabelValuesRequest {
    thanos::LabelValuesRequest {
        label: request.label.clone(),
        partial_response_disabled: request.partial_response == PartialResponse::Abort,
        partial_response_strategy: strategy_to_proto(request.partial_response),
        start: request.start_ms,
        end: request.end_ms,
        hints: block_hint(&request.block_matchers, "hintspb.LabelValuesRequestHints"),
        matchers: matchers::to_proto(&request.matchers),
        without_replica_labels: request.without_replica_labels.clone(),
        limit: request.limit as i64,
    }
}

pub(crate) fn label_values_from_proto(request: thanos::LabelValuesRequest) -> Result<LabelValuesRequest, StoreError> {
    Ok(LabelValuesRequest {
        label: request.label,
        start_ms: request.start,
        end_ms: request.end,
        matchers: matchers::from_proto(&request.matchers)?,
        partial_response: strategy_from_proto(request.partial_response_disabled, request.partial_response_strategy),
        without_replica_labels: request.without_replica_labels,
        limit: limit_from_proto(request.limit),
        block_matchers: block_matchers(request.hints)?,
        endpoint_matchers: Vec::new(),
    })
}

/// Names or values as they come from a peer; sorted here in case the peer did not.
pub(crate) fn labels_answer(values: Vec<Bytes>, warnings: Vec<String>) -> LabelsAnswer {
    let mut values: Vec<Vec<u8>> = values.into_iter().map(Vec::from).collect();
    values.sort_unstable();
    values.dedup();
    LabelsAnswer { values, warnings }
}

fn limit_from_proto(limit: i64) -> usize {
    usize::try_from(limit).unwrap_or(0)
}

pub(crate) fn strategy_to_proto(partial: PartialResponse) -> i32 {
    match partial {
        PartialResponse::Warn => thanos::PartialResponseStrategy::Warn,
        PartialResponse::Abort => thanos::PartialResponseStrategy::Abort,
    }
    .into()
}

pub(crate) fn strategy_from_proto(disabled: bool, strategy: i32) -> PartialResponse {
    if disabled || strategy == i32::from(thanos::PartialResponseStrategy::Abort) {
        PartialResponse::Abort
    } else {
        PartialResponse::Warn
    }
}

fn aggregate_to_proto(aggregate: Aggregate) -> thanos::Aggr {
    match aggregate {
        Aggregate::Raw => thanos::Aggr::Raw,
        Aggregate::Count => thanos::Aggr::Count,
        Aggregate::Sum => thanos::Aggr::Sum,
        Aggregate::Min => thanos::Aggr::Min,
        Aggregate::Max => thanos::Aggr::Max,
        Aggregate::Counter => thanos::Aggr::Counter,
    }
}

fn aggregate_from_proto(aggregate: i32) -> Result<Aggregate, StoreError> {
    let unknown = |_| StoreError::InvalidArgument(format!("unknown aggregate {aggregate}"));
    Ok(match thanos::Aggr::try_from(aggregate).map_err(unknown)? {
        thanos::Aggr::Raw => Aggregate::Raw,
        thanos::Aggr::Count => Aggregate::Count,
        thanos::Aggr::Sum => Aggregate::Sum,
        thanos::Aggr::Min => Aggregate::Min,
        thanos::Aggr::Max => Aggregate::Max,
        thanos::Aggr::Counter => Aggregate::Counter,
    })
}

/// The three request hints have their block matchers in the same field.
fn block_hint(block_matchers: &[Matcher], name: &str) -> Option<Any> {
    if block_matchers.is_empty() {
        return None;
    }
    let hints = hintspb::LabelNamesRequestHints { block_matchers: matchers::to_proto(block_matchers) };
    Some(Any { type_url: format!("type.googleapis.com/{name}"), value: hints.encode_to_vec() })
}

fn block_matchers(hints: Option<Any>) -> Result<Vec<Matcher>, StoreError> {
    let Some(hints) = hints else { return Ok(Vec::new()) };
    let invalid = |e| StoreError::InvalidArgument(format!("hints of type {}: {e}", hints.type_url));
    let decoded = hintspb::LabelNamesRequestHints::decode(&hints.value[..]).map_err(invalid)?;
    matchers::from_proto(&decoded.block_matchers)
}
