//! `query` and `query_range`.

use std::sync::Arc;
use std::time::Duration;

use thanoxide_promql::engine::QueryResult;
use thanoxide_promql::parser::parse;
use thanoxide_promql::value::QueryValue;
use thanoxide_server::http::State;
use thanoxide_spans::Span;

use crate::api::analysis::push_analysis;
use crate::api::answer::{ApiError, TRUNCATED};
use crate::api::params::Params;
use crate::api::stats::push_stats;
use crate::api::streamed::StreamedAnswer;
use crate::service::{Evaluation, QueryService};
use crate::source::ReadOptions;

/// Most points that one series of an answer may have.
const MAX_POINTS: i64 = 11_000;

/// `/api/v1/query`.
pub async fn instant(State(service): State<Arc<QueryService>>, params: Params) -> Result<StreamedAnswer, ApiError> {
    let (evaluation, limit) = (instant_evaluation(&service, &params)?, params.limit()?);
    let result = service.evaluate(evaluation).await?;
    Ok(answer(result, &params, limit))
}

/// What an instant query asks for.
pub(crate) fn instant_evaluation(service: &QueryService, params: &Params) -> Result<Evaluation, ApiError> {
    let _span = Span::child("instant_query_create");
    let time_ms = params.time_ms("time", service.now_ms())?;
    params.limit()?;
    evaluation(service, params, (time_ms, time_ms), None)
}

/// `/api/v1/query_range`.
pub async fn range(State(service): State<Arc<QueryService>>, params: Params) -> Result<StreamedAnswer, ApiError> {
    let (evaluation, limit) = (range_evaluation(&service, &params)?, params.limit()?);
    let result = service.evaluate(evaluation).await?;
    Ok(answer(result, &params, limit))
}

/// What a range query asks for.
pub(crate) fn range_evaluation(service: &QueryService, params: &Params) -> Result<Evaluation, ApiError> {
    let _span = Span::child("range_query_create");
    let start_ms = params.required_time_ms("start")?;
    let end_ms = params.required_time_ms("end")?;
    if end_ms < start_ms {
        return Err(ApiError::bad_data("end timestamp must not be before start time"));
    }
    let step_ms = match params.duration_ms("step")? {
        Some(step_ms) => step_ms,
        None => default_step_ms(end_ms - start_ms, service.config().default_step_ms),
    };
    if step_ms <= 0 {
        let text = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(ApiError::bad_data(text));
    }
    if (end_ms - start_ms) / step_ms > MAX_POINTS {
        let text = "exceeded maximum resolution of 11,000 points per timeseries. \
                    Try decreasing the query resolution (?step=XX)";
        return Err(ApiError::bad_data(text));
    }
    params.limit()?;
    evaluation(service, params, (start_ms, end_ms), Some(step_ms))
}

/// 250 points, in whole seconds, but no finer than configured.
fn default_step_ms(range_ms: i64, least_ms: i64) -> i64 {
    (range_ms / 1000 / 250).max(least_ms / 1000) * 1000
}

fn evaluation(
    service: &QueryService,
    params: &Params,
    (start_ms, end_ms): (i64, i64),
    step_ms: Option<i64>,
) -> Result<Evaluation, ApiError> {
    let timeout = params.plain_duration_ms("timeout")?;
    let read = read_options(service, params, step_ms)?;
    match params.get("engine") {
        "" | "prometheus" | "thanos" => {}
        other => return Err(ApiError::bad_data(format!("'{other}' bad engine"))),
    }
    let lookback_ms = params.duration_ms("lookback_delta")?.filter(|ms| *ms > 0);
    let lookback_ms =
        lookback_ms.unwrap_or_else(|| lookback_ms_for(service.config().lookback_ms, read.max_resolution_ms));
    let text = params.get("query").to_string();
    let expr = parse(&text, &service.config().features.language).map_err(|e| ApiError::bad_data(e.to_string()))?;
    Ok(Evaluation {
        text,
        expr,
        start_ms,
        end_ms,
        step_ms,
        timeout: timeout.map(|ms| Duration::from_millis(ms.max(0) as u64)),
        lookback_ms: Some(lookback_ms),
        analyze: matches!(params.get("analyze"), "true" | "1"),
        uncounted: params.get("stats").is_empty(),
        per_step_stats: service.config().features.per_step_stats && params.get("stats") == "all",
        read,
    })
}

fn read_options(service: &QueryService, params: &Params, step_ms: Option<i64>) -> Result<ReadOptions, ApiError> {
    let replica_labels = service.replica_labels(params)?;
    let endpoint_matchers = params.endpoint_matchers()?;
    let max_resolution_ms = match params.get("max_source_resolution") {
        "auto" => step_ms.map_or(0, |ms| ms / 5),
        _ => params.duration_ms("max_source_resolution")?.unwrap_or(0),
    };
    if max_resolution_ms < 0 {
        let text = "negative 'max_source_resolution' is not accepted. Try a positive integer";
        return Err(ApiError::bad_data(text));
    }
    let partial_response = service.partial_response(params)?;
    let shard = params.shard_info()?;
    let chain_replicas = service.config().chain_replicas;
    Ok(ReadOptions { partial_response, replica_labels, chain_replicas, max_resolution_ms, shard, endpoint_matchers })
}

/// Resolutions of downsampled data, coarsest first, with the next finer one.
const RESOLUTIONS_MS: [(i64, i64); 2] = [(3_600_000, 300_000), (300_000, 0)];

/// Windows of downsampled data are further apart than samples, so the lookback reaches at least from one to the next.
fn lookback_ms_for(configured_ms: i64, max_resolution_ms: i64) -> i64 {
    let reached = RESOLUTIONS_MS.iter().find(|(_, finer_ms)| max_resolution_ms > configured_ms.max(*finer_ms));
    reached.map_or(configured_ms, |(resolution_ms, _)| configured_ms.max(*resolution_ms))
}

fn answer(mut result: QueryResult, params: &Params, limit: usize) -> StreamedAnswer {
    let mut warnings = std::mem::take(&mut result.warnings);
    warnings.append(&mut result.infos);
    warnings.iter_mut().for_each(forget_position);
    if limit > 0 && truncate(&mut result.value, limit) {
        warnings.push(TRUNCATED.to_string());
    }
    let mut beside = String::new();
    if !params.get("stats").is_empty() {
        beside.push_str(",\"stats\":");
        push_stats(&mut beside, &result.stats);
    }
    beside.push_str(",\"analysis\":");
    match &result.analysis {
        Some(analysis) => push_analysis(&mut beside, analysis),
        None => beside.push_str("{}"),
    }
    StreamedAnswer { value: result.value, beside, warnings }
}

/// Thanos prints notes of the engine without the ` (line:column)` at their end.
fn forget_position(note: &mut String) {
    let Some(at) = note.rfind(" (").filter(|_| note.starts_with("PromQL ") && note.ends_with(')')) else { return };
    let position = &note[at + 2..note.len() - 1];
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if position.split_once(':').is_some_and(|(line, column)| is_number(line) && is_number(column)) {
        note.truncate(at);
    }
}

fn truncate(value: &mut QueryValue, limit: usize) -> bool {
    match value {
        QueryValue::Vector(samples) if samples.len() > limit => samples.truncate(limit),
        QueryValue::Matrix(series) if series.len() > limit => series.truncate(limit),
        _ => return false,
    }
    true
}
