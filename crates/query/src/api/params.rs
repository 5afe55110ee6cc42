//! Parameters of a request: the query string and the form body together, names possibly repeated.

use std::str::FromStr;

use serde::Deserialize;
use thanoxide_model::{Matcher, parse_duration_ms};
use thanoxide_promql::parser::{ParseOptions, parse_selector};
use thanoxide_server::http::{BodyExt, Bytes, FromRequest, Limited, Method, Request, form_urlencoded, header};
use thanoxide_storeapi::ShardInfo;

use crate::api::answer::ApiError;

/// The largest form body.
const MAX_FORM_BYTES: usize = 10 << 20;

/// Oldest and newest time that a request may name, as Prometheus's sentinels print.
pub const MIN_TIME_MS: i64 = -9_223_309_901_257_974;
/// See [`MIN_TIME_MS`].
pub const MAX_TIME_MS: i64 = 9_223_309_901_257_974;

/// All parameters in the order given, those of the body first.
#[derive(Clone, Debug, Default)]
pub struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let mut pairs = Vec::new();
        if request.method() == Method::POST && is_form(&request) {
            pairs.extend(parse_pairs(&read_body(request).await?));
        }
        pairs.extend(parse_pairs(query.as_bytes()));
        Ok(Params(pairs))
    }
}

fn is_form(request: &Request) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|k| k.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

async fn read_body(request: Request) -> Result<Bytes, ApiError> {
    let body = Limited::new(request.into_body(), MAX_FORM_BYTES).collect().await;
    body.map(|b| b.to_bytes()).map_err(|e| ApiError::bad_data(format!("error parsing form values: {e}")))
}

fn parse_pairs(text: &[u8]) -> impl Iterator<Item = (String, String)> {
    form_urlencoded::parse(text).map(|(k, v)| (k.into_owned(), v.into_owned()))
}

impl Params {
    /// From pairs, for tests.
    pub fn from_pairs(pairs: &[(&str, &str)]) -> Self {
        Params(pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect())
    }

    /// The first value of a name; empty where there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }

    /// All values of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Whether the name occurs.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(n, _)| n == name)
    }

    /// A time, or `default_ms` where it is absent.
    pub fn time_ms(&self, name: &str, default_ms: i64) -> Result<i64, ApiError> {
        match self.get(name) {
            "" => Ok(default_ms),
            text => {
                parse_time_ms(text).map_err(|e| ApiError::bad_data(format!("Invalid time value for '{name}': {e}")))
            }
        }
    }

    /// A time that must be there.
    pub fn required_time_ms(&self, name: &str) -> Result<i64, ApiError> {
        parse_time_ms(self.get(name)).map_err(ApiError::bad_data)
    }

    /// A duration: float seconds or Prometheus's form.
    pub fn duration_ms(&self, name: &str) -> Result<Option<i64>, ApiError> {
        match self.get(name) {
            "" => Ok(None),
            text => parse_duration_param_ms(text).map(Some).map_err(|e| invalid(name, &e)),
        }
    }

    /// The same, where an error does not name the parameter.
    pub fn plain_duration_ms(&self, name: &str) -> Result<Option<i64>, ApiError> {
        match self.get(name) {
            "" => Ok(None),
            text => parse_duration_param_ms(text).map(Some).map_err(ApiError::bad_data),
        }
    }

    /// A boolean of Go's forms, or `default`.
    pub fn bool(&self, name: &str, default: bool) -> Result<bool, ApiError> {
        match self.get(name) {
            "" => Ok(default),
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            other => Err(invalid(name, &format!("strconv.ParseBool: parsing {other:?}: invalid syntax"))),
        }
    }

    /// `limit`: 0 is none.
    pub fn limit(&self) -> Result<usize, ApiError> {
        let text = self.get("limit");
        match i64::from_str(text) {
            _ if text.is_empty() => Ok(0),
            Err(_) => Err(ApiError::bad_data(format!("cannot parse {text:?} to a valid limit"))),
            Ok(limit) => usize::try_from(limit).map_err(|_| ApiError::bad_data("limit must be non-negative")),
        }
    }

    /// The selectors of `storeMatch[]`, over the pseudo label `__address__`.
    pub fn endpoint_matchers(&self) -> Result<Vec<Vec<Matcher>>, ApiError> {
        let parse =
            |text| parse_selector(text, &ParseOptions::default()).map_err(|e| ApiError::bad_data(e.to_string()));
        self.all("storeMatch[]").map(parse).collect()
    }

    /// `shard_info`: a JSON object.
    pub fn shard_info(&self) -> Result<Option<ShardInfo>, ApiError> {
        let text = self.get("shard_info");
        if text.is_empty() {
            return Ok(None);
        }
        let wrong = |e| ApiError::bad_data(format!("could not unmarshal parameter shard_info: {e}"));
        let shard: ShardParam = serde_json::from_str(text).map_err(wrong)?;
        let ShardParam { shard_index: index, total_shards: total, by, labels } = shard;
        Ok(Some(ShardInfo { index, total, by, labels: labels.unwrap_or_default() }))
    }

    /// The selectors of `match[]`.
    pub fn matcher_sets(&self) -> Result<Vec<Vec<Matcher>>, ApiError> {
        self.all("match[]").map(selector).collect()
    }
}

fn selector(text: &str) -> Result<Vec<Matcher>, ApiError> {
    let matchers = parse_selector(text, &ParseOptions::default()).map_err(|e| ApiError::bad_data(e.to_string()))?;
    if matchers.iter().all(Matcher::matches_empty) {
        return Err(ApiError::bad_data("match[] must contain at least one non-empty matcher"));
    }
    Ok(matchers)
}

/// What is wrong with a parameter, as Thanos words it.
pub fn invalid(name: &str, what: &str) -> ApiError {
    ApiError::bad_data(format!("'{name}' parameter: {what}"))
}

/// `shard_info` as it is written; what is missing is zero.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ShardParam {
    shard_index: u64,
    total_shards: u64,
    by: bool,
    labels: Option<Vec<String>>,
}

/// Float seconds (rounded to milliseconds) or RFC 3339.
pub fn parse_time_ms(text: &str) -> Result<i64, String> {
    let cannot = || format!("cannot parse {text:?} to a valid timestamp");
    if let Ok(seconds) = f64::from_str(text) {
        let rounded_ms = (seconds * 1000.0).round();
        return if rounded_ms.abs() < MAX_TIME_MS as f64 { Ok(rounded_ms as i64) } else { Err(cannot()) };
    }
    match text {
        "-292273086-05-16T16:47:06Z" => return Ok(MIN_TIME_MS),
        "292277025-08-18T07:12:54.999999999Z" => return Ok(MAX_TIME_MS),
        _ => {}
    }
    text.parse::<jiff::Timestamp>().map(|t| t.as_millisecond()).map_err(|_| cannot())
}

/// Float seconds or Prometheus's form.
pub fn parse_duration_param_ms(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = f64::from_str(text) {
        let ms = seconds * 1000.0;
        if ms.is_nan() || ms.abs() >= (i64::MAX / 1_000_000) as f64 {
            return Err(format!("cannot parse {text:?} to a valid duration. It overflows int64"));
        }
        return Ok(ms as i64);
    }
    parse_duration_ms(text).map_err(|_| format!("cannot parse {text:?} to a valid duration"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_durations() {
        assert_eq!(parse_time_ms("1.5"), Ok(1500));
        assert_eq!(parse_time_ms("1970-01-01T00:00:01.5Z"), Ok(1500));
        assert!(parse_time_ms("yesterday").is_err());
        assert!(parse_time_ms("1e300").is_err());
        assert!(parse_time_ms("NaN").is_err());
        assert_eq!(parse_duration_param_ms("5m"), Ok(300_000));
        assert_eq!(parse_duration_param_ms("0.5"), Ok(500));
        assert!(parse_duration_param_ms("Inf").is_err());
    }
}
