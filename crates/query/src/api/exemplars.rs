//! `/api/v1/query_exemplars`.

use std::sync::Arc;

use thanoxide_model::{Exemplar, SeriesExemplars, float};
use thanoxide_server::http::State;
use thanoxide_spans::Span;
use thanoxide_storeapi::exemplars::matcher_sets;
use thanoxide_storeapi::{EVER_MS, ExemplarsRequest, PartialResponse};

use crate::api::answer::{Answer, ApiError};
use crate::api::params::Params;
use crate::json::{push_array, push_labels, push_timestamp};
use crate::service::QueryService;

/// Exemplars of the series that the selectors of a query find.
pub async fn exemplars(State(service): State<Arc<QueryService>>, params: Params) -> Result<Answer, ApiError> {
    let (start_ms, end_ms) = (params.time_ms("start", EVER_MS.0)?, params.time_ms("end", EVER_MS.1)?);
    if end_ms < start_ms {
        return Err(ApiError::bad_data("end timestamp must not be before start timestamp"));
    }
    let sets = matcher_sets(params.get("query"), &service.config().features.language);
    let sets = sets.map_err(|e| ApiError::bad_data(e.to_string()))?;
    let partial = service.config().exemplar_partial_response;
    let partial_response = if partial { PartialResponse::Warn } else { PartialResponse::Abort };
    let request = ExemplarsRequest { sets, start_ms, end_ms, partial_response };
    let answer = Span::child("retrieve_exemplars").around(service.store().exemplars(request)).await;
    let answer = answer.map_err(|e| ApiError::from_store("proxy Exemplars", e))?;
    let mut data = String::new();
    push_array(&mut data, deduplicated(answer.series, &service.config().replica_labels), |out, series| {
        push_series(out, &series);
    });
    Ok(Answer { data, warnings: answer.warnings })
}

/// Without replica labels, each series once, each exemplar once, in order.
fn deduplicated(mut all: Vec<SeriesExemplars>, replica_labels: &[String]) -> Vec<SeriesExemplars> {
    for series in &mut all {
        series.labels = series.labels.without(replica_labels);
    }
    all.retain(|series| !series.exemplars.is_empty());
    all.sort_by(|a, b| a.labels.cmp(&b.labels));
    all.dedup_by(|later, first| {
        let same = later.labels == first.labels;
        if same {
            first.exemplars.append(&mut later.exemplars);
        }
        same
    });
    for series in &mut all {
        series.exemplars.sort_by(order);
        series.exemplars.dedup_by(|later, first| order(later, first).is_eq());
    }
    all
}

fn order(a: &Exemplar, b: &Exemplar) -> std::cmp::Ordering {
    let by_time = a.timestamp_ms.cmp(&b.timestamp_ms);
    by_time.then_with(|| a.labels.cmp(&b.labels)).then_with(|| a.value.total_cmp(&b.value))
}

fn push_series(out: &mut String, series: &SeriesExemplars) {
    out.push_str("{\"seriesLabels\":");
    push_labels(out, &series.labels);
    out.push_str(",\"exemplars\":");
    push_array(out, &series.exemplars, push_exemplar);
    out.push('}');
}

/// Time before value, as in Thanos; readers look for names.
fn push_exemplar(out: &mut String, exemplar: &Exemplar) {
    out.push_str("{\"labels\":");
    push_labels(out, &exemplar.labels);
    out.push_str(",\"timestamp\":");
    push_timestamp(out, exemplar.timestamp_ms);
    out.push_str(",\"value\":\"");
    float::push_f(out, exemplar.value);
    out.push_str("\"}");
}

#[cfg(test)]
mod tests {
    use thanoxide_model::Labels;

    use super::*;

    fn series(replica: &str, times: &[i64]) -> SeriesExemplars {
        let exemplar = |t: &i64| Exemplar {
            labels: Labels::from_pairs([("trace_id", format!("t{t}"))]),
            timestamp_ms: *t,
            value: 0.5,
        };
        let labels = Labels::from_pairs([("__name__", "x"), ("replica", replica)]);
        SeriesExemplars { labels, exemplars: times.iter().map(exemplar).collect() }
    }

    fn json(all: Vec<SeriesExemplars>, replica_labels: &[String]) -> String {
        let mut out = String::new();
        push_array(&mut out, deduplicated(all, replica_labels), |out, series| push_series(out, &series));
        out
    }

    #[test]
    fn replicas_become_one_series_and_each_exemplar_comes_once() {
        let all = || vec![series("b", &[1500, 3000]), series("a", &[1000, 1500]), series("c", &[])];
        let one = |t: i64, at: &str| format!(r#"{{"labels":{{"trace_id":"t{t}"}},"timestamp":{at},"value":"0.5"}}"#);
        let (first, second, third) = (one(1000, "1"), one(1500, "1.500"), one(3000, "3"));
        let want = format!(r#"[{{"seriesLabels":{{"__name__":"x"}},"exemplars":[{first},{second},{third}]}}]"#);
        assert_eq!(json(all(), &["replica".to_string()]), want);
        assert_eq!(json(all(), &[]).matches("seriesLabels").count(), 2);
        assert_eq!(json(Vec::new(), &[]), "[]");
    }
}
