//! The body of a request, read within its limits.

use std::time::Duration;

use thanoxide_server::http::{Body, BodyExt, Bytes, HeaderMap, header};
use tokio::time::timeout;

use crate::budget::Lease;
use crate::refusal::Refusal;

/// The most memory taken on the word of a `Content-Length` header.
const MAX_TRUSTED_BYTES: u64 = 1 << 20;

/// What a body may be.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// Its length.
    pub max_bytes: u64,
    /// The time it may take.
    pub timeout: Duration,
}

/// Reads a body. A `Content-Length` above the limit is refused before anything is read; memory is taken as bytes come,
/// and charged to `lease`.
pub async fn read_body(
    headers: &HeaderMap,
    body: Body,
    limits: BodyLimits,
    lease: &mut Lease,
) -> Result<Bytes, Refusal> {
    let declared_bytes = content_length(headers);
    if declared_bytes.is_some_and(|declared| declared > limits.max_bytes) {
        return Err(Refusal::BodyTooLarge { max_bytes: limits.max_bytes });
    }
    let trusted_bytes = declared_bytes.unwrap_or(0).min(MAX_TRUSTED_BYTES) as usize;
    let reading = timeout(limits.timeout, collect(body, trusted_bytes, limits.max_bytes, lease)).await;
    reading.map_err(|_| Refusal::BodyTimeout(limits.timeout))?
}

/// The length that the headers declare.
pub fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn collect(mut body: Body, trusted_bytes: usize, max_bytes: u64, lease: &mut Lease) -> Result<Bytes, Refusal> {
    // A body that comes in one piece is not copied.
    let mut only_piece = Bytes::new();
    let mut pieces = Vec::new();
    let mut read_bytes = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Refusal::BodyRead(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        read_bytes += data.len() as u64;
        if read_bytes > max_bytes {
            return Err(Refusal::BodyTooLarge { max_bytes });
        }
        lease.grow(data.len() as u64)?;
        if pieces.is_empty() && only_piece.is_empty() {
            only_piece = data;
            continue;
        }
        if pieces.is_empty() {
            pieces.reserve(trusted_bytes.max(only_piece.len() + data.len()));
            pieces.extend_from_slice(&only_piece);
        }
        pieces.extend_from_slice(&data);
    }
    Ok(if pieces.is_empty() { only_piece } else { Bytes::from(pieces) })
}
