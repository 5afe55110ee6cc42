//! `query` and `query_range`.

use std::sync::Arc;
use std::time::Duration;

use thanoxide_promql::engine::QueryResult;
use thanoxide_promql::parser::{ParseOptions, parse};
use thanoxide_promql::value::QueryValue;
use thanoxide_server::http::State;

use crate::api::answer::{Answer, ApiError, TRUNCATED};
use crate::api::params::{Params, invalid};
use crate::json::push_result;
use crate::service::{Evaluation, QueryService};

/// Most points that one series of an answer may have.
const MAX_POINTS: i64 = 11_000;

/// `/api/v1/query`.
pub async fn instant(State(service): State<Arc<QueryService>>, params: Params) -> Result<Answer, ApiError> {
    let time_ms = params.time_ms("time", service.now_ms())?;
    let limit = params.limit()?;
    let evaluation = evaluation(&service, &params, (time_ms, time_ms), None)?;
    let result = service.evaluate(evaluation).await?;
    Ok(answer(result, &params, limit))
}

/// `/api/v1/query_range`.
pub async fn range(State(service): State<Arc<QueryService>>, params: Params) -> Result<Answer, ApiError> {
    let start_ms = required_time(&params, "start")?;
    let end_ms = required_time(&params, "end")?;
    if end_ms < start_ms {
        return Err(invalid("end", "end timestamp must not be before start time"));
    }
    let step_ms = match params.duration_ms("step")? {
        Some(step_ms) => step_ms,
        None => ((end_ms - start_ms) / 250).max(service.config().default_step_ms),
    };
    if step_ms <= 0 {
        let text = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(invalid("step", text));
    }
    if (end_ms - start_ms) / step_ms > MAX_POINTS {
        let text = "exceeded maximum resolution of 11,000 points per timeseries. \
                    Try decreasing the query resolution (?step=XX)";
        return Err(ApiError::bad_data(text));
    }
    let limit = params.limit()?;
    let evaluation = evaluation(&service, &params, (start_ms, end_ms), Some(step_ms))?;
    let result = service.evaluate(evaluation).await?;
    Ok(answer(result, &params, limit))
}

fn required_time(params: &Params, name: &str) -> Result<i64, ApiError> {
    if params.get(name).is_empty() {
        return Err(invalid(name, "cannot parse \"\" to a valid timestamp"));
    }
    params.time_ms(name, 0)
}

fn evaluation(
    service: &QueryService,
    params: &Params,
    (start_ms, end_ms): (i64, i64),
    step_ms: Option<i64>,
) -> Result<Evaluation, ApiError> {
    refuse_unsupported(params)?;
    let timeout = params.duration_ms("timeout")?;
    let text = params.get("query").to_string();
    let expr = parse(&text, &ParseOptions::default()).map_err(|e| ApiError::bad_data(e.to_string()))?;
    Ok(Evaluation {
        text,
        expr,
        start_ms,
        end_ms,
        step_ms,
        timeout: timeout.map(|ms| Duration::from_millis(ms.max(0) as u64)),
        lookback_ms: params.duration_ms("lookback_delta")?,
        partial_response: service.partial_response(params)?,
        replica_labels: service.replica_labels(params)?,
    })
}

/// What would change the answer and is not there yet is refused, never ignored.
fn refuse_unsupported(params: &Params) -> Result<(), ApiError> {
    if params.has("shard_info") || params.has("storeMatch[]") {
        return Err(ApiError::bad_data("shard_info and storeMatch[] are not supported yet"));
    }
    match params.get("engine") {
        "" | "prometheus" | "thanos" => Ok(()),
        other => Err(invalid("engine", &format!("unknown engine {other:?}"))),
    }
}

fn answer(mut result: QueryResult, params: &Params, limit: usize) -> Answer {
    let mut warnings = std::mem::take(&mut result.warnings);
    warnings.append(&mut result.infos);
    if limit > 0 && truncate(&mut result.value, limit) {
        warnings.push(TRUNCATED.to_string());
    }
    let mut data = String::from("{");
    push_result(&mut data, &result.value);
    if !params.get("stats").is_empty() {
        data.push_str(",\"stats\":");
        data.push_str(&stats_json(&result));
    }
    data.push_str(",\"analysis\":{}}");
    Answer { data, warnings }
}

fn truncate(value: &mut QueryValue, limit: usize) -> bool {
    match value {
        QueryValue::Vector(samples) if samples.len() > limit => samples.truncate(limit),
        QueryValue::Matrix(series) if series.len() > limit => series.truncate(limit),
        _ => return false,
    }
    true
}

fn stats_json(result: &QueryResult) -> String {
    let stats = &result.stats;
    let preparation = stats.preparation.as_secs_f64();
    let evaluation = stats.evaluation.as_secs_f64();
    let total = preparation + evaluation;
    format!(
        "{{\"timings\":{{\"evalTotalTime\":{total},\"resultSortTime\":0,\"queryPreparationTime\":{preparation},\"innerEvalTime\":{evaluation},\
         \"execQueueTime\":0,\"execTotalTime\":{total}}},\"samples\":{{\"totalQueryableSamples\":{},\"peakSamples\":{}}}}}",
        stats.total_samples, stats.peak_samples
    )
}
