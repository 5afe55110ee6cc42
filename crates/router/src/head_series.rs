//! How many series each tenant has, all ingesters together: asked of a Prometheus every 15 s, as stock does.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;

use reqwest::Client;
use serde_json::Value;
use thanoxide_config::limits::MetaMonitoring;
use thanoxide_server::Shutdown;
use thanoxide_server::http::form_urlencoded::Serializer;
use tracing::warn;

use crate::limiter::Limiter;

const INTERVAL: Duration = Duration::from_secs(15);
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longer answers are not read.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// Asks as long as there is somebody to ask, whom the limits may change at any time.
pub async fn watch_head_series(limiter: Limiter, shutdown: Shutdown) -> Result<(), Infallible> {
    let client = Client::builder().timeout(TIMEOUT).build().unwrap_or_default();
    loop {
        if let Some(meta) = &limiter.limits().meta_monitoring {
            let answer = ask(&client, meta).await;
            if let Err(reason) = &answer {
                warn!(reason, "meta-monitoring did not tell numbers of series");
            }
            limiter.note_head_series(answer.ok());
        }
        tokio::select! {
            () = shutdown.requested() => return Ok(()),
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

async fn ask(client: &Client, meta: &MetaMonitoring) -> Result<HashMap<String, f64>, String> {
    let query = Serializer::new(String::new()).append_pair("query", &meta.query).finish();
    let mut request = client.get(format!("{}/api/v1/query?{query}", meta.url.trim_end_matches('/')));
    if let Some((name, password)) = &meta.basic_auth {
        request = request.basic_auth(name, Some(password));
    }
    if let Some(token) = &meta.bearer_token {
        request = request.bearer_auth(token);
    }
    let mut response = request.send().await.map_err(|error| error.to_string())?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| error.to_string())? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER_BYTES {
            return Err("the answer is too long".to_string());
        }
    }
    read(&body).ok_or_else(|| format!("status {}, no vector in the answer", response.status()))
}

/// The values of a vector by the label `tenant`.
fn read(body: &[u8]) -> Option<HashMap<String, f64>> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let vector = answer["data"]["result"].as_array().filter(|_| answer["data"]["resultType"] == "vector")?;
    let series = vector.iter().filter_map(|sample| {
        let value = sample["value"].get(1)?.as_str()?.parse().ok()?;
        Some((sample["metric"]["tenant"].as_str()?.to_string(), value))
    });
    Some(series.collect())
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn vectors_are_read_by_tenant() {
        let body = br#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"tenant":"a"},"value":[1.5,"12"]},{"metric":{},"value":[1,"3"]},{"metric":{"tenant":"b"},"value":[1,"x"]}]}}"#;
        assert_eq!(read(body), Some([("a".to_string(), 12.0)].into()));
        for other in [&b"{}"[..], b"x", br#"{"data":{"resultType":"scalar","result":[1,"2"]}}"#] {
            assert_eq!(read(other), None);
        }
    }
}
