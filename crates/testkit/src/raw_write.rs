//! Write requests built byte by byte, so that they can be wrong in every way, and sent as they are.

use anyhow::{Context, Result, bail};
use reqwest::{Client, Method};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Command;

use crate::program::interop;
use crate::sender::Answer;

/// A protobuf varint.
pub fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// A length-prefixed field.
pub fn field(number: u64, bytes: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

/// A varint field.
pub fn number(number: u64, value: i64) -> Vec<u8> {
    [varint(number << 3), varint(value as u64)].concat()
}

/// A double field.
pub fn double(number: u64, value: f64) -> Vec<u8> {
    [varint(number << 3 | 1), value.to_bits().to_le_bytes().to_vec()].concat()
}

/// One label.
pub fn label(name: &str, value: &str) -> Vec<u8> {
    field(1, &[field(1, name.as_bytes()), field(2, value.as_bytes())].concat())
}

/// A series of a request; `rest` are more fields of it: histograms, exemplars.
pub fn series_with(labels: &[(&str, &str)], samples: &[(i64, f64)], rest: &[u8]) -> Vec<u8> {
    let labels = labels.iter().flat_map(|(name, value)| label(name, value));
    let samples = samples.iter().flat_map(|(t, v)| field(2, &[double(1, *v), number(2, *t)].concat()));
    field(1, &labels.chain(samples).chain(rest.iter().copied()).collect::<Vec<u8>>())
}

/// A series of a request.
pub fn series(labels: &[(&str, &str)], samples: &[(i64, f64)]) -> Vec<u8> {
    series_with(labels, samples, &[])
}

/// The body of a request: a Snappy block.
pub fn compress(message: &[u8]) -> Result<Vec<u8>> {
    Ok(snap::raw::Encoder::new().compress_vec(message)?)
}

/// One request as it goes out.
#[derive(Clone, Debug)]
pub struct Request {
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// A POST to the receive endpoint, with the headers that Prometheus sends.
    pub fn new(body: Vec<u8>) -> Self {
        let request = Request { method: Method::POST, path: "/api/v1/receive".to_string(), headers: Vec::new(), body };
        request
            .header("Content-Type", "application/x-protobuf")
            .header("Content-Encoding", "snappy")
            .header("X-Prometheus-Remote-Write-Version", "0.1.0")
    }

    /// Of a message that is compressed first.
    pub fn of(message: &[u8]) -> Result<Self> {
        Ok(Request::new(compress(message)?))
    }

    /// Sets a header; an empty value takes it away.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        if !value.is_empty() {
            self.headers.push((name.to_string(), value.to_string()));
        }
        self
    }

    /// Sets the method.
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// Sets the path.
    pub fn path(mut self, path: &str) -> Self {
        self.path = path.to_string();
        self
    }

    /// Sends it to a server.
    pub async fn send(&self, client: &Client, base: &str) -> Result<Answer> {
        let mut request = client.request(self.method.clone(), format!("{base}{}", self.path));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let response = request.body(self.body.clone()).send().await?;
        Ok(Answer { status: response.status().as_u16(), text: response.text().await? })
    }
}

/// What a store holds: samples as `[time, bits]` of each series, labels as text without `replica`.
pub fn read_all(endpoint: &str) -> Result<BTreeMap<String, Vec<Value>>> {
    let mut command = Command::new(interop("storereader"));
    command.args(["--endpoint", endpoint, "--matcher", "__name__=~.*", "series"]);
    let output = command.output().context("storereader is missing: cargo xtask prepare")?;
    if !output.status.success() {
        bail!("storereader: {}", String::from_utf8_lossy(&output.stderr));
    }
    String::from_utf8(output.stdout)?.lines().map(|line| series_of(&serde_json::from_str(line)?)).collect()
}

fn series_of(line: &Value) -> Result<(String, Vec<Value>)> {
    let labels = line["labels"].as_array().context("no labels")?;
    let labels: Vec<&Value> = labels.iter().filter(|label| label[0] != "replica").collect();
    Ok((serde_json::to_string(&labels)?, line["samples"].as_array().cloned().unwrap_or_default()))
}
