//! Prometheus's HTTP API as a client.

use anyhow::{Context, Result};
use serde_json::Value;

/// Asks one server.
#[derive(Clone, Debug)]
pub struct Api {
    client: reqwest::Client,
    base: String,
}

impl Api {
    /// The API below a base URL, without `/api/v1`.
    pub fn new(base: impl Into<String>) -> Self {
        Api { client: reqwest::Client::new(), base: base.into() }
    }

    /// GET of a path below `/api/v1/`: status and document.
    pub async fn get(&self, path: &str, params: &[(&str, &str)]) -> Result<(u16, Value)> {
        let url = reqwest::Url::parse_with_params(&format!("{}/api/v1/{path}", self.base), params)?;
        let response = self.client.get(url).send().await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        let document = serde_json::from_str(&text).with_context(|| format!("{path}: no JSON: {text}"))?;
        Ok((status, document))
    }

    /// POST of a form to a path below `/api/v1/`.
    pub async fn post(&self, path: &str, params: &[(&str, &str)]) -> Result<(u16, Value)> {
        let form = reqwest::Url::parse_with_params("http://form/", params)?;
        let request = self
            .client
            .post(format!("{}/api/v1/{path}", self.base))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(form.query().unwrap_or_default().to_string());
        let response = request.send().await?;
        let status = response.status().as_u16();
        Ok((status, serde_json::from_str(&response.text().await?)?))
    }

    /// The result of an instant query at a time in ms.
    pub async fn instant(&self, query: &str, time_ms: i64) -> Result<Value> {
        let (_, document) = self.post("query", &[("query", query), ("time", &seconds(time_ms))]).await?;
        Ok(document)
    }

    /// The result of a range query; times in ms.
    pub async fn range(&self, query: &str, start_ms: i64, end_ms: i64, step_ms: i64) -> Result<Value> {
        let (start, end, step) = (seconds(start_ms), seconds(end_ms), seconds(step_ms));
        let params = [("query", query), ("start", &start), ("end", &end), ("step", &step)];
        let (_, document) = self.post("query_range", &params).await?;
        Ok(document)
    }

    /// Whether `/-/ready` says yes.
    pub async fn is_ready(&self) -> bool {
        let response = self.client.get(format!("{}/-/ready", self.base)).send().await;
        response.is_ok_and(|r| r.status().is_success())
    }

    /// A page or text outside `/api/v1`.
    pub async fn text(&self, path: &str) -> Result<String> {
        Ok(self.client.get(format!("{}{path}", self.base)).send().await?.text().await?)
    }
}

/// Milliseconds as the API's seconds.
pub fn seconds(time_ms: i64) -> String {
    format!("{}.{:03}", time_ms.div_euclid(1000), time_ms.rem_euclid(1000))
}
