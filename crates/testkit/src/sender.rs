//! Remote write 1.0 as a client.

use anyhow::{Result, bail};
use bytes::Bytes;
use thanoxide_model::write_batch::WriteBatchBuilder;
use thanoxide_model::{Labels, Sample, WriteBatch};
use thanoxide_proto::encode_write_request;

/// What a server said to a write.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub text: String,
}

/// Sends to one URL.
#[derive(Clone, Debug)]
pub struct Sender {
    client: reqwest::Client,
    url: String,
    tenant: Option<String>,
}

impl Sender {
    /// A sender to a remote-write URL.
    pub fn new(url: impl Into<String>) -> Self {
        Sender { client: reqwest::Client::new(), url: url.into(), tenant: None }
    }

    /// Sends for a tenant.
    pub fn for_tenant(mut self, tenant: &str) -> Self {
        self.tenant = Some(tenant.to_string());
        self
    }

    /// Sends a compressed body.
    pub async fn send_body(&self, body: Bytes) -> Result<Answer> {
        let mut request = self
            .client
            .post(&self.url)
            .header("Content-Type", "application/x-protobuf")
            .header("Content-Encoding", "snappy")
            .header("X-Prometheus-Remote-Write-Version", "0.1.0")
            .body(body);
        if let Some(tenant) = &self.tenant {
            request = request.header("THANOS-TENANT", tenant);
        }
        let response = request.send().await?;
        Ok(Answer { status: response.status().as_u16(), text: response.text().await? })
    }

    /// Sends a batch.
    pub async fn send(&self, batch: &WriteBatch) -> Result<Answer> {
        self.send_body(body(batch)?).await
    }

    /// Sends series; fails unless all is taken.
    pub async fn write(&self, series: &[(Labels, Vec<Sample>)]) -> Result<()> {
        let answer = self.send(&batch(series)).await?;
        if !(200..300).contains(&answer.status) {
            bail!("{}: {}", answer.status, answer.text);
        }
        Ok(())
    }
}

/// A batch of series.
pub fn batch(series: &[(Labels, Vec<Sample>)]) -> WriteBatch {
    let mut builder = WriteBatchBuilder::default();
    for (labels, samples) in series {
        builder.push(labels, samples);
    }
    builder.build()
}

/// A batch as the body of a remote write 1.0 request.
pub fn body(batch: &WriteBatch) -> Result<Bytes> {
    Ok(snap::raw::Encoder::new().compress_vec(&encode_write_request(batch))?.into())
}
