//! Which message a request holds.
//!
//! Senders of remote write 2.0 name the message in the parameter `proto` of `Content-Type`; senders of 1.0 name none, or
//! `prometheus.WriteRequest`. The version header alone decides nothing but that 2.0.0 needs a `Content-Type` that we know;
//! requests of other versions are 1.0 whatever they say, as in Thanos.

use thanoxide_server::http::{HeaderMap, HeaderValue, header};

use crate::refusal::Refusal;

/// What a refusal says about what would be taken.
pub const SUPPORTED: &str = "supported are application/x-protobuf;proto=prometheus.WriteRequest and \
                             application/x-protobuf;proto=io.prometheus.write.v2.Request";

const VERSION_HEADER: &str = "x-prometheus-remote-write-version";

/// A message of remote write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `prometheus.WriteRequest`.
    V1,
    /// `io.prometheus.write.v2.Request`.
    V2,
}

impl Protocol {
    /// The message of a request, from its headers.
    pub fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        check_encoding(headers)?;
        let content_type = headers.get(header::CONTENT_TYPE).map(text).unwrap_or_default();
        let version_2 = headers.get(VERSION_HEADER).is_some_and(|version| version == "2.0.0");
        match named(&content_type) {
            Some(protocol) => Ok(protocol),
            None if !version_2 => Ok(Protocol::V1),
            None if content_type.is_empty() => Err(Refusal::NoContentType),
            None => Err(Refusal::ContentType(content_type.chars().take(100).collect())),
        }
    }
}

/// Stock's header that says which replica of a request this is must be a number. There is no replication yet, and a
/// receiver that only ingests ignores the number.
pub fn check_replica(headers: &HeaderMap, name: &str) -> Result<(), Refusal> {
    let replica = headers.get(name).map(text).unwrap_or_default();
    let is_number = replica.bytes().all(|byte| byte.is_ascii_digit()) && replica.parse::<u64>().is_ok();
    if replica.is_empty() || is_number { Ok(()) } else { Err(Refusal::Replica) }
}

/// A body without `Content-Encoding` is taken for snappy, as in Thanos.
fn check_encoding(headers: &HeaderMap) -> Result<(), Refusal> {
    let encoding = headers.get(header::CONTENT_ENCODING).map(text).unwrap_or_default();
    if encoding.is_empty() || encoding.eq_ignore_ascii_case("snappy") {
        return Ok(());
    }
    Err(Refusal::Encoding(encoding.chars().take(40).collect()))
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

fn named(content_type: &str) -> Option<Protocol> {
    let mut parts = content_type.split(';').map(str::trim);
    if parts.next() != Some("application/x-protobuf") {
        return None;
    }
    match parts.find_map(|part| part.strip_prefix("proto=")) {
        None | Some("prometheus.WriteRequest") => Some(Protocol::V1),
        Some("io.prometheus.write.v2.Request") => Some(Protocol::V2),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLICA: &str = "thanos-replica";

    #[test]
    fn replicas_are_numbers() {
        let mut headers = HeaderMap::new();
        assert!(check_replica(&headers, REPLICA).is_ok());
        for (replica, ok) in [
            ("", true),
            ("0", true),
            ("7", true),
            ("+1", false),
            ("-1", false),
            ("x", false),
            ("18446744073709551616", false),
        ] {
            headers.insert(REPLICA, HeaderValue::from_static(replica));
            assert_eq!(check_replica(&headers, REPLICA).is_ok(), ok, "{replica}");
        }
    }

    fn of(version: Option<&'static str>, content_type: Option<&'static str>) -> Result<Protocol, u16> {
        let mut headers = HeaderMap::new();
        version.map(|version| headers.insert(VERSION_HEADER, HeaderValue::from_static(version)));
        content_type.map(|text| headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(text)));
        Protocol::of(&headers).map_err(|refusal| refusal.status().as_u16())
    }

    #[test]
    fn the_content_type_names_the_message() {
        let v2 = Some("application/x-protobuf;proto=io.prometheus.write.v2.Request");
        assert_eq!(of(Some("2.0.0"), v2), Ok(Protocol::V2));
        assert_eq!(of(None, v2), Ok(Protocol::V2));
        assert_eq!(of(Some("2.0.0"), Some("application/x-protobuf")), Ok(Protocol::V1));
        assert_eq!(of(Some("0.1.0"), Some("application/x-protobuf; proto=prometheus.WriteRequest")), Ok(Protocol::V1));
        assert_eq!(of(Some("0.1.0"), Some("text/plain")), Ok(Protocol::V1));
        assert_eq!(of(None, None), Ok(Protocol::V1));
        assert_eq!(of(Some("2.0.0"), None), Err(400));
        assert_eq!(of(Some("2.0.0"), Some("application/x-protobuf;proto=x.Y")), Err(415));
        assert_eq!(of(Some("2.0.0"), Some("application/json")), Err(415));
    }

    #[test]
    fn only_snappy_is_taken() {
        let mut headers = HeaderMap::new();
        for (encoding, ok) in
            [("snappy", true), ("Snappy", true), ("gzip", false), ("zstd", false), ("identity", false)]
        {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
            assert_eq!(Protocol::of(&headers).is_ok(), ok, "{encoding}");
        }
    }
}
