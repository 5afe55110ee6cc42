//! POST `/api/v1/otlp`: OTLP metrics, as Protobuf or JSON, plain or with gzip, under the same tenancy and limits as remote write.

use std::io::Read;

use flate2::read::GzDecoder;
use prost::Message;
use thanoxide_config::TenantLimits;
use thanoxide_model::TenantId;
use thanoxide_proto::opentelemetry::ExportMetricsServiceRequest;
use thanoxide_server::http::{Bytes, HeaderMap, Request, Response, header};
use thanoxide_spans::{Span, tag};

use crate::body::{content_length, read_body};
use crate::budget::Lease;
use crate::otlp::{OtlpSettings, Translated, decode_json, translate};
use crate::protocol::Protocol;
use crate::refusal::Refusal;
use crate::router::Inner;

/// Decoded messages take so much more memory than their bytes, at worst.
const MEMORY_PER_BYTE: u64 = 64;
/// The longest request, so that a handful of the worst ones fit into the memory for requests.
const MAX_BYTES: u64 = 8 << 20;

impl Inner {
    pub(crate) async fn receive_otlp(&self, request: Request) -> Result<Response, Refusal> {
        let tenant = self.tenant_of(&request)?;
        let span = Span::child("receive_otlp_http").tagged(|| [tag("tenant", tenant.to_string())]);
        span.around(self.receive_otlp_of(tenant, request)).await
    }

    async fn receive_otlp_of(&self, tenant: TenantId, request: Request) -> Result<Response, Refusal> {
        let limits = self.config.limiter.of(&tenant);
        let _place = Span::child("receive_write_gate_ismyturn").around(self.config.limiter.enter()).await;
        self.config.limiter.check_head_series(&tenant, &limits)?;
        let encoding = Encoding::of(request.headers())?;
        let mut lease = self.budget.lease();
        let translated = self.otlp_batch(request, encoding, &limits, &mut lease).await?;
        let response = self.store(tenant, translated.batch, &limits, Protocol::V1).await?;
        // What could be translated stays; the sender learns what could not.
        match translated.faults.text().filter(|_| response.status().is_success()) {
            Some(text) => Err(Refusal::Otlp(text)),
            None => Ok(response),
        }
    }

    async fn otlp_batch(
        &self,
        request: Request,
        encoding: Encoding,
        limits: &TenantLimits,
        lease: &mut Lease,
    ) -> Result<Translated, Refusal> {
        let (parts, body) = request.into_parts();
        if content_length(&parts.headers).is_some_and(|length| !TenantLimits::allows(limits.request_bytes, length)) {
            return Err(Refusal::TenantBytes);
        }
        let is_gzip = is_gzip(&parts.headers)?;
        let body = read_body(&parts.headers, body, self.body_limits, lease).await?;
        let (settings, limits) = (self.config.otlp.clone(), *limits);
        // Inflating and translating take their time; the lease waits with them.
        let max_bytes = self.config.max_decoded_bytes.min(MAX_BYTES);
        let body = blocking(move || if is_gzip { inflate(&body, max_bytes) } else { Ok(body) }).await?;
        if !TenantLimits::allows(limits.request_bytes, body.len() as u64) {
            return Err(Refusal::TenantBytes);
        }
        if body.len() as u64 > max_bytes {
            return Err(Refusal::DecodedTooLarge { declared_bytes: body.len() as u64, max_bytes });
        }
        lease.grow(body.len() as u64 * MEMORY_PER_BYTE)?;
        blocking(move || decode(&body, encoding, &settings)).await
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Refusal> + Send + 'static) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Refusal::Stopped)?
}

fn decode(body: &Bytes, encoding: Encoding, settings: &OtlpSettings) -> Result<Translated, Refusal> {
    let request = match encoding {
        Encoding::Protobuf => ExportMetricsServiceRequest::decode(body.clone()).map_err(|error| error.to_string()),
        Encoding::Json => decode_json(body),
    };
    Ok(translate(&request.map_err(Refusal::Otlp)?, settings))
}

/// The two encodings of OTLP.
#[derive(Clone, Copy, Debug)]
enum Encoding {
    Protobuf,
    Json,
}

impl Encoding {
    fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match text.split(';').next().unwrap_or_default().trim() {
            "application/x-protobuf" => Ok(Encoding::Protobuf),
            "application/json" => Ok(Encoding::Json),
            _ => Err(Refusal::OtlpContentType(text.chars().take(100).collect())),
        }
    }
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, Refusal> {
    match headers.get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?")) {
        None | Some("") => Ok(false),
        Some("gzip") => Ok(true),
        Some(other) => Err(Refusal::OtlpEncoding(other.chars().take(40).collect())),
    }
}

fn inflate(body: &[u8], max_bytes: u64) -> Result<Bytes, Refusal> {
    let mut inflated = Vec::new();
    let read = GzDecoder::new(body).take(max_bytes + 1).read_to_end(&mut inflated);
    read.map_err(|error| Refusal::Otlp(error.to_string()))?;
    Ok(inflated.into())
}
