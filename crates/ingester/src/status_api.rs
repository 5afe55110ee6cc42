//! GET `/api/v1/status/tsdb`: what the heads of one tenant, or of all, hold.
//!
//! Stock's answer, on the listener of remote writes: `{"status":"success","data":[{"tenant":…,"headStats":{…},…}]}`, one
//! entry a tenant. `limit` (10) is the length of each list; `all_tenants=true` and the tenant's header exclude each other.

use std::sync::Arc;

use serde_json::{Value, json};
use thanoxide_model::TenantId;
use thanoxide_server::http::{
    HeaderMap, HeaderName, HeaderValue, IntoResponse, RawQuery, Response, Router, StatusCode, form_urlencoded, get,
    header,
};

use crate::cardinality::{Cardinality, Ranking};
use crate::ingester::{Ingester, blocking};

const DEFAULT_LIMIT: usize = 10;
/// More than anybody could read.
const MAX_LIMIT: usize = 100_000;

/// Whose heads are told, and how a request names its tenant.
#[derive(Clone, Debug)]
pub struct StatusApi {
    /// The ingester; a router has none, and tells of no tenants.
    pub ingester: Option<Arc<Ingester>>,
    /// The header that names the tenant.
    pub tenant_header: String,
    /// The tenant of requests that name none.
    pub default_tenant: String,
}

impl StatusApi {
    /// The route.
    pub fn routes(self) -> Router {
        let answer = move |query: RawQuery, headers: HeaderMap| {
            let api = self.clone();
            async move {
                match api.answer(query.0.as_deref().unwrap_or_default(), &headers).await {
                    Ok(data) => json_response(StatusCode::OK, &json!({"status": "success", "data": data})),
                    Err(reason) => json_response(
                        StatusCode::BAD_REQUEST,
                        &json!({"status": "error", "errorType": "bad_data", "error": reason}),
                    ),
                }
            }
        };
        Router::new().route("/api/v1/status/tsdb", get(answer))
    }

    async fn answer(&self, query: &str, headers: &HeaderMap) -> Result<Vec<Value>, String> {
        let named = HeaderName::try_from(&self.tenant_header).ok().and_then(|name| headers.get(name));
        let named = named.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default();
        let parameter = |name: &str| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
        };
        let all = parameter("all_tenants") == "true";
        if all && !named.is_empty() {
            let header = &self.tenant_header;
            return Err(format!("using both the all_tenants parameter and the {header} header is not supported"));
        }
        let limit = limit(&parameter("limit"))?;
        let Some(ingester) = self.ingester.clone() else { return Ok(Vec::new()) };
        let tenants = if all {
            ingester.engine.tenants()
        } else {
            let name = if named.is_empty() { &self.default_tenant } else { &named };
            TenantId::new(name).into_iter().collect()
        };
        Ok(blocking(move || tenants.iter().filter_map(|tenant| status(&ingester, tenant, limit)).collect()).await)
    }
}

fn limit(text: &str) -> Result<usize, String> {
    if text.is_empty() {
        return Ok(DEFAULT_LIMIT);
    }
    let refuse = |why: &str| format!("unable to parse 'limit' parameter: strconv.ParseInt: parsing {text:?}: {why}");
    let limit: i64 = text.parse().map_err(|_| refuse("invalid syntax"))?;
    usize::try_from(limit).map(|limit| limit.min(MAX_LIMIT)).map_err(|_| refuse("value out of range"))
}

fn status(ingester: &Ingester, tenant: &TenantId, limit: usize) -> Option<Value> {
    let of = Cardinality::of(&ingester.engine.reader(tenant)?, limit);
    let (min_time, max_time) = of.head.head_times_ms.unwrap_or((i64::MAX, i64::MIN));
    Some(json!({
        "tenant": tenant.as_str(),
        "headStats": {
            "numSeries": of.head.series,
            "numLabelPairs": of.label_pairs,
            "chunkCount": of.head.chunks,
            "minTime": min_time,
            "maxTime": max_time,
        },
        "seriesCountByMetricName": listed(&of.series_by_metric),
        "labelValueCountByLabelName": listed(&of.values_by_label),
        "memoryInBytesByLabelName": listed(&of.bytes_by_label),
        "seriesCountByLabelValuePair": listed(&of.series_by_pair),
    }))
}

fn listed(ranking: &Ranking) -> Value {
    ranking.iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    let json = HeaderValue::from_static("application/json");
    (status, [(header::CONTENT_TYPE, json)], body.to_string()).into_response()
}
