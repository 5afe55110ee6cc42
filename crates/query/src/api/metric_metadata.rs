//! `/api/v1/metadata`.

use std::sync::Arc;

use thanoxide_model::MetricMetadata;
use thanoxide_server::http::State;
use thanoxide_spans::Span;
use thanoxide_storeapi::{MetadataRequest, PartialResponse};

use crate::api::answer::{Answer, ApiError};
use crate::api::params::Params;
use crate::json::{push_array, push_string};
use crate::service::QueryService;

/// What metrics are: all of them, or one.
pub async fn metric_metadata(State(service): State<Arc<QueryService>>, params: Params) -> Result<Answer, ApiError> {
    let metric = Some(params.get("metric")).filter(|metric| !metric.is_empty()).map(str::to_string);
    let (limit, per_metric) = (limit(&params, "limit")?, limit(&params, "limit_per_metric")?);
    let partial = service.config().metadata_partial_response;
    let partial_response = if partial { PartialResponse::Warn } else { PartialResponse::Abort };
    let store = service.store();
    let request = MetadataRequest { metric, limit, partial_response };
    let answer = Span::child("retrieve_metadata").around(store.metric_metadata(request)).await;
    let answer = answer.map_err(|e| ApiError::from_store("proxy MetricMetadata", e))?;
    let mut data = String::from("{");
    for (i, (family, known)) in answer.metrics.iter().enumerate() {
        if i > 0 {
            data.push(',');
        }
        push_string(&mut data, family.as_bytes());
        data.push(':');
        // As in Prometheus, 0 is no limit here.
        let most = per_metric.filter(|most| *most > 0).unwrap_or(usize::MAX);
        push_array(&mut data, known.iter().take(most), push_known);
    }
    data.push('}');
    Ok(Answer { data, warnings: answer.warnings })
}

/// A negative number is none.
fn limit(params: &Params, name: &str) -> Result<Option<usize>, ApiError> {
    match params.get(name) {
        "" => Ok(None),
        text => {
            let limit: i32 = text.parse().map_err(|_| ApiError::bad_data(format!("{name} must be a number")))?;
            Ok(usize::try_from(limit).ok())
        }
    }
}

fn push_known(out: &mut String, known: &MetricMetadata) {
    for (before, text) in
        [("{\"type\":", known.kind.as_str()), (",\"help\":", &known.help), (",\"unit\":", &known.unit)]
    {
        out.push_str(before);
        push_string(out, text.as_bytes());
    }
    out.push('}');
}
