//! `series`, `labels`, `label/<name>/values` and `stores`: what is there, without samples.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::StreamExt;
use thanoxide_model::{Labels, Matcher};
use thanoxide_server::http::{Path, State};
use thanoxide_storeapi::{
    LabelNamesRequest, LabelValuesRequest, LabelsAnswer, PartialResponse, SeriesFrame, SeriesRequest,
};

use crate::api::answer::{Answer, ApiError, TRUNCATED};
use crate::api::params::{Params, invalid};
use crate::json::{push_array, push_labels, push_string};
use crate::service::QueryService;

/// Oldest and newest time where a request gives none.
const EVER_MS: (i64, i64) = (i64::MIN / 4, i64::MAX / 4);

fn time_range(params: &Params) -> Result<(i64, i64), ApiError> {
    let range = (params.time_ms("start", EVER_MS.0)?, params.time_ms("end", EVER_MS.1)?);
    if range.1 < range.0 {
        return Err(ApiError::bad_data("end timestamp must not be before start time"));
    }
    Ok(range)
}

/// `/api/v1/series`.
pub async fn series(State(service): State<Arc<QueryService>>, params: Params) -> Result<Answer, ApiError> {
    let sets = params.matcher_sets()?;
    if sets.is_empty() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let (limit, range) = (params.limit()?, time_range(&params)?);
    let without = service.replica_labels(&params)?;
    let (mut found, mut warnings) = (BTreeSet::new(), Vec::new());
    for matchers in sets {
        let request = SeriesRequest {
            min_time_ms: range.0,
            max_time_ms: range.1,
            matchers,
            skip_chunks: true,
            partial_response: service.partial_response(&params)?,
            without_replica_labels: without.clone(),
            limit: if limit == 0 { 0 } else { limit + 1 },
            ..SeriesRequest::default()
        };
        collect_series(&service, request, &mut found, &mut warnings).await?;
    }
    if limit > 0 && found.len() > limit {
        found = found.into_iter().take(limit).collect();
        warnings.push(TRUNCATED.to_string());
    }
    let mut data = String::new();
    push_array(&mut data, &found, push_labels);
    Ok(Answer { data, warnings })
}

async fn collect_series(
    service: &QueryService,
    request: SeriesRequest,
    found: &mut BTreeSet<Labels>,
    warnings: &mut Vec<String>,
) -> Result<(), ApiError> {
    let limit = request.limit;
    let mut stream = service.store().series(request).await?;
    while let Some(frame) = stream.next().await {
        match frame? {
            SeriesFrame::Series(batch) => found.extend(batch.into_iter().map(|s| s.labels)),
            SeriesFrame::Warning(text) => warnings.push(text),
        }
        if limit > 0 && found.len() > limit {
            break;
        }
    }
    Ok(())
}

/// `/api/v1/labels`.
pub async fn label_names(State(service): State<Arc<QueryService>>, params: Params) -> Result<Answer, ApiError> {
    let (limit, (start_ms, end_ms)) = (params.limit()?, time_range(&params)?);
    let partial_response = service.partial_response(&params)?;
    let ask = |matchers: Vec<Matcher>| {
        let request = LabelNamesRequest {
            start_ms,
            end_ms,
            matchers,
            partial_response,
            limit: hint(limit),
            ..Default::default()
        };
        let store = service.store();
        async move { store.label_names(request).await.map_err(ApiError::from) }
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
    let (limit, (start_ms, end_ms)) = (params.limit()?, time_range(&params)?);
    let partial_response: PartialResponse = service.partial_response(&params)?;
    let ask = |matchers: Vec<Matcher>| {
        let label = label.clone();
        let request = LabelValuesRequest {
            label,
            start_ms,
            end_ms,
            matchers,
            partial_response,
            limit: hint(limit),
            ..Default::default()
        };
        let store = service.store();
        async move { store.label_values(request).await.map_err(ApiError::from) }
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
    let (mut values, mut warnings) = (BTreeSet::new(), Vec::new());
    for matchers in sets {
        let answer = ask(matchers).await?;
        values.extend(answer.values);
        warnings.extend(answer.warnings);
    }
    Ok(Answer::strings(values.into_iter().collect(), warnings, limit))
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

/// `/api/v1/stores`: who is asked.
pub async fn stores(State(service): State<Arc<QueryService>>, params: Params) -> Result<Answer, ApiError> {
    if !params.get("match[]").is_empty() {
        return Err(invalid("match[]", "stores takes none"));
    }
    let info = service.store().info().await?;
    let mut data = String::from("{");
    push_string(&mut data, info.component.as_bytes());
    data.push_str(":[{\"name\":\"local\",\"lastError\":null,\"labelSets\":");
    push_array(&mut data, &info.label_sets, push_labels);
    data.push_str(&format!(",\"minTime\":{},\"maxTime\":{}}}]}}", info.min_time_ms, info.max_time_ms));
    Ok(Answer::new(data))
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
