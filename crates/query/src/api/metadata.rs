//! `series`, `labels`, `label/<name>/values` and `stores`: what is there, without samples.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use thanoxide_model::{Labels, Matcher};
use thanoxide_server::http::{Path, State};
use thanoxide_spans::Span;
use thanoxide_storeapi::{
    EndpointStatus, LabelNamesRequest, LabelValuesRequest, LabelsAnswer, PartialResponse, SeriesFrame, SeriesRequest,
};

use crate::api::answer::{Answer, ApiError, TRUNCATED};
use crate::api::params::Params;
use crate::json::{push_array, push_labels, push_string};
use crate::service::QueryService;

/// Oldest and newest time where a request gives none.
const EVER_MS: (i64, i64) = (i64::MIN / 4, i64::MAX / 4);

/// Errors of the range carry their kind in the text, as Thanos's do.
fn time_range(params: &Params) -> Result<(i64, i64), ApiError> {
    let named = |e: ApiError| ApiError::bad_data(format!("bad_data: {}", e.text()));
    let start_ms = params.time_ms("start", EVER_MS.0).map_err(named)?;
    let end_ms = params.time_ms("end", EVER_MS.1).map_err(named)?;
    if end_ms < start_ms {
        return Err(named(ApiError::bad_data("end timestamp must not be before start time")));
    }
    Ok((start_ms, end_ms))
}

/// `/api/v1/series`.
pub async fn series(State(service): State<Arc<QueryService>>, params: Params) -> Result<Answer, ApiError> {
    if params.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let range = time_range(&params)?;
    let sets = params.matcher_sets()?;
    let without = service.replica_labels(&params)?;
    let endpoint_matchers = params.endpoint_matchers()?;
    let limit = params.limit()?;
    let (mut found, mut warnings) = (Vec::new(), Vec::new());
    for matchers in sets {
        let request = SeriesRequest {
            min_time_ms: range.0,
            max_time_ms: range.1,
            matchers,
            skip_chunks: true,
            partial_response: service.partial_response(&params)?,
            without_replica_labels: without.clone(),
            limit: hint(limit),
            max_resolution_ms: i64::MAX,
            endpoint_matchers: endpoint_matchers.clone(),
            ..SeriesRequest::default()
        };
        collect_series(&service, request, &mut found, &mut warnings).await?;
    }
    // One set of matchers is answered in order.
    if !found.is_sorted_by(|a, b| a < b) {
        found.sort_unstable();
        found.dedup();
    }
    if limit > 0 && found.len() > limit {
        found.truncate(limit);
        warnings.push(TRUNCATED.to_string());
    }
    let mut data = String::new();
    push_array(&mut data, &found, push_labels);
    Ok(Answer { data, warnings })
}

async fn collect_series(
    service: &QueryService,
    request: SeriesRequest,
    found: &mut Vec<Labels>,
    warnings: &mut Vec<String>,
) -> Result<(), ApiError> {
    let (limit, before) = (request.limit, found.len());
    let failed = |e| ApiError::from_store("proxy Series()", e);
    let mut stream = service.store().series(request).await.map_err(failed)?;
    while let Some(frame) = stream.next().await {
        match frame.map_err(failed)? {
            SeriesFrame::Series(batch) => found.extend(batch.into_iter().map(|s| s.labels)),
            SeriesFrame::Warning(text) => warnings.push(text),
        }
        if limit > 0 && found.len() - before > limit {
            break;
        }
    }
    Ok(())
}

/// `/api/v1/labels`.
pub async fn label_names(State(service): State<Arc<QueryService>>, params: Params) -> Result<Answer, ApiError> {
    let (start_ms, end_ms) = time_range(&params)?;
    let partial_response = service.partial_response(&params)?;
    let endpoint_matchers = params.endpoint_matchers()?;
    let limit = params.limit()?;
    let ask = |matchers: Vec<Matcher>| {
        let request = LabelNamesRequest {
            start_ms,
            end_ms,
            matchers,
            partial_response,
            limit: hint(limit),
            endpoint_matchers: endpoint_matchers.clone(),
            ..Default::default()
        };
        let store = service.store();
        async move {
            let answer = Span::child("querier_label_names").around(store.label_names(request)).await;
            answer.map_err(|e| ApiError::from_store("proxy LabelNames()", e))
        }
    };
    union(params.matcher_sets()?, ask, limit).await
}

/// `/api/v1/label/<name>/values`.
pub async fn label_values(
    State(service): State<Arc<QueryService>>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Answer, ApiError> {
    let label = unescape_label_name(&name);
    if label.is_empty() {
        return Err(ApiError::bad_data(format!("invalid label name: {name:?}")));
    }
    let (start_ms, end_ms) = time_range(&params)?;
    let partial_response: PartialResponse = service.partial_response(&params)?;
    let endpoint_matchers = params.endpoint_matchers()?;
    let limit = params.limit()?;
    let ask = |matchers: Vec<Matcher>| {
        let label = label.clone();
        let request = LabelValuesRequest {
            label,
            start_ms,
            end_ms,
            matchers,
            partial_response,
            limit: hint(limit),
            endpoint_matchers: endpoint_matchers.clone(),
            ..Default::default()
        };
        let store = service.store();
        async move {
            let answer = Span::child("querier_label_values").around(store.label_values(request)).await;
            answer.map_err(|e| ApiError::from_store("proxy LabelValues()", e))
        }
    };
    union(params.matcher_sets()?, ask, limit).await
}

/// One more than the limit, so that a cut can be told.
fn hint(limit: usize) -> usize {
    if limit == 0 { 0 } else { limit + 1 }
}

async fn union<F>(sets: Vec<Vec<Matcher>>, ask: impl Fn(Vec<Matcher>) -> F, limit: usize) -> Result<Answer, ApiError>
where
    F: Future<Output = Result<LabelsAnswer, ApiError>>,
{
    let sets = if sets.is_empty() { vec![Vec::new()] } else { sets };
    let (mut values, mut warnings) = (Vec::new(), Vec::new());
    for matchers in sets {
        let answer = ask(matchers).await?;
        values.extend(answer.values);
        warnings.extend(answer.warnings);
    }
    let answer = LabelsAnswer::of(values, 0, warnings);
    Ok(Answer::strings(answer.values, answer.warnings, limit))
}

/// Undoes Prometheus's `U__` escaping of names: `_2e_` is the character U+002E, `__` an underscore.
fn unescape_label_name(name: &str) -> String {
    let Some(mut rest) = name.strip_prefix("U__") else { return name.to_string() };
    let mut out = String::new();
    while let Some(at) = rest.find('_') {
        out.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        let Some(end) = tail.find('_') else { return name.to_string() };
        match (end, u32::from_str_radix(&tail[..end], 16).ok().and_then(char::from_u32)) {
            (0, _) => out.push('_'),
            (_, Some(c)) => out.push(c),
            (_, None) => return name.to_string(),
        }
        rest = &tail[end + 1..];
    }
    out + rest
}

/// `/api/v1/stores`: who is asked, by component.
pub async fn stores(State(service): State<Arc<QueryService>>) -> Answer {
    let mut by_component: BTreeMap<String, Vec<EndpointStatus>> = BTreeMap::new();
    for status in service.store().endpoint_statuses().await {
        // Who never answered has not said what it is.
        if !status.component.is_empty() {
            by_component.entry(status.component.clone()).or_default().push(status);
        }
    }
    let (mut data, now_ms) = (String::from("{"), service.now_ms());
    for (i, (component, mut statuses)) in by_component.into_iter().enumerate() {
        if i > 0 {
            data.push(',');
        }
        push_string(&mut data, component.as_bytes());
        data.push(':');
        statuses.sort_by(|a, b| a.name.cmp(&b.name));
        push_array(&mut data, &statuses, |out, status| push_status(out, status, now_ms));
    }
    data.push('}');
    Answer::new(data)
}

fn push_status(out: &mut String, status: &EndpointStatus, now_ms: i64) {
    out.push_str("{\"name\":");
    push_string(out, status.name.as_bytes());
    let at_ms = status.last_check_ms.unwrap_or(now_ms);
    let at = jiff::Timestamp::from_millisecond(at_ms).unwrap_or_default();
    out.push_str(&format!(",\"lastCheck\":\"{at}\",\"lastError\":"));
    match &status.last_error {
        Some(error) => push_string(out, error.as_bytes()),
        None => out.push_str("null"),
    }
    out.push_str(",\"labelSets\":");
    push_array(out, &status.label_sets, push_labels);
    out.push_str(&format!(",\"minTime\":{},\"maxTime\":{}}}", status.min_time_ms, status.max_time_ms));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_names() {
        assert_eq!(unescape_label_name("U__service_2e_name"), "service.name");
        assert_eq!(unescape_label_name("U__a__b"), "a_b");
        assert_eq!(unescape_label_name("job"), "job");
        assert_eq!(unescape_label_name("U__broken_2e"), "U__broken_2e");
    }
}
