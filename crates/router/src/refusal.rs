//! Why a request does not reach the storage.

use std::time::Duration;

use thanoxide_proto::DecodeError;
use thanoxide_server::TenancyError;
use thanoxide_server::http::StatusCode;
use thiserror::Error;

/// A request that is refused; the text is the body of the answer.
#[derive(Debug, Error)]
pub enum Refusal {
    /// No usable tenant.
    #[error("{}", tenant_text(.0))]
    Tenant(#[from] TenancyError),
    /// The body as sent is too long.
    #[error("write request too large: the body has more than {max_bytes} bytes")]
    BodyTooLarge {
        /// The longest that is taken.
        max_bytes: u64,
    },
    /// The body would be too long once decompressed.
    #[error("write request too large: {declared_bytes} bytes decompressed, the limit is {max_bytes}")]
    DecodedTooLarge {
        /// What the body says.
        declared_bytes: u64,
        /// The longest that is taken.
        max_bytes: u64,
    },
    /// The body took too long to come.
    #[error("the body did not arrive within {0:?}")]
    BodyTimeout(Duration),
    /// The connection broke while the body came.
    #[error("read body: {0}")]
    BodyRead(String),
    /// The bodies under way take all the memory there is for them.
    #[error("too many bytes in flight, try again later")]
    Busy,
    /// Not compressed with snappy.
    #[error("unsupported Content-Encoding {0:?}, supported is snappy (block format)")]
    Encoding(String),
    /// Not a snappy block. The words are those of stock's decoder.
    #[error("snappy decode error: s2: corrupt input")]
    Snappy(String),
    /// The replica header is no number.
    #[error("could not parse replica header")]
    Replica,
    /// Version 2.0.0 says its message in `Content-Type`.
    #[error("missing Content-Type, version 2.0.0 of remote write needs one; {supported}", supported = crate::protocol::SUPPORTED)]
    NoContentType,
    /// A message that nobody knows.
    #[error("unsupported Content-Type {0:?}; {supported}", supported = crate::protocol::SUPPORTED)]
    ContentType(String),
    /// Not a write request, or one that asks for too much.
    #[error("proto decode error: {0}")]
    Proto(#[from] DecodeError),
    /// Longer than the tenant's limit.
    #[error("write request too large")]
    TenantBytes,
    /// More series than the tenant's limit.
    #[error("too many timeseries")]
    TenantSeries,
    /// More samples than the tenant's limit.
    #[error("too many samples")]
    TenantSamples,
    /// The tenant has as many series as it may, as the meta-monitoring tells.
    #[error("tenant is above active series limit")]
    HeadSeries,
    /// The tenant sends faster than it may.
    #[error("tenant is above its limit of {limit} samples per second")]
    SampleRate {
        /// Samples per second.
        limit: u64,
    },
    /// Relabelling made more text than a request may hold.
    #[error("relabelled request too large")]
    Relabelled,
    /// The certificate of the client has no such field.
    #[error("{0}")]
    Certificate(String),
    /// No OTLP request.
    #[error("{0}")]
    Otlp(String),
    /// OTLP in a form that is not taken.
    #[error("unsupported content type: {0}, supported: [application/json, application/x-protobuf]")]
    OtlpContentType(String),
    /// OTLP with a compression that is not taken.
    #[error("unsupported compression: {0}. Only \"gzip\" or no compression supported")]
    OtlpEncoding(String),
    /// A tenant is named by somebody who is not believed.
    #[error("this hop is not trusted to name a tenant")]
    Untrusted,
    /// The decoder went away with the runtime.
    #[error("decoder stopped")]
    Stopped,
}

/// What stock refuses is told in stock's words, what it takes in ours.
fn tenant_text(error: &TenancyError) -> String {
    match error {
        TenancyError::Invalid(invalid) if invalid.id.contains('/') => "tenant name not valid".to_string(),
        error => error.to_string(),
    }
}

impl Refusal {
    /// The status to answer with.
    pub fn status(&self) -> StatusCode {
        match self {
            Refusal::BodyTooLarge { .. } | Refusal::DecodedTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::TenantBytes | Refusal::TenantSeries | Refusal::TenantSamples | Refusal::Relabelled => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Refusal::HeadSeries | Refusal::SampleRate { .. } => StatusCode::TOO_MANY_REQUESTS,
            Refusal::Proto(
                DecodeError::TooManySeries { .. } | DecodeError::TooMuchMemory { .. } | DecodeError::BodyTooLong(_),
            ) => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::Tenant(error) => error.status(),
            Refusal::Snappy(_)
            | Refusal::Certificate(_)
            | Refusal::Otlp(_)
            | Refusal::OtlpEncoding(_)
            | Refusal::OtlpContentType(_)
            | Refusal::Replica
            | Refusal::NoContentType
            | Refusal::Proto(_) => StatusCode::BAD_REQUEST,
            Refusal::Encoding(_) | Refusal::ContentType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Refusal::Untrusted => StatusCode::UNAUTHORIZED,
            Refusal::BodyTimeout(_) => StatusCode::REQUEST_TIMEOUT,
            Refusal::Busy | Refusal::Stopped => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::BodyRead(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Whether some of the body may still be on its way, so that the connection cannot be used again.
    pub fn leaves_body_unread(&self) -> bool {
        matches!(
            self,
            Refusal::BodyTooLarge { .. }
                | Refusal::BodyTimeout(_)
                | Refusal::BodyRead(_)
                | Refusal::Busy
                | Refusal::TenantBytes
                | Refusal::HeadSeries
        )
    }
}
