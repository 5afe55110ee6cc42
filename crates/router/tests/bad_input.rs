//! Hostile requests: each is refused with a status and a text, takes little memory and harms no other request.

#![allow(clippy::unwrap_used, missing_docs)]

use std::time::{Duration, Instant};

use thanoxide_router::RouterConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[path = "support/endpoint.rs"]
#[allow(dead_code)]
mod endpoint;

use endpoint::{Endpoint, compress};

const MIB: usize = 1 << 20;
/// Held by tests that take much memory themselves, so that none is measured with another's.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
/// What one refusal may cost, and how long it may take.
const MAX_GROWTH_BYTES: usize = 64 * MIB;
const MAX_TIME: Duration = Duration::from_secs(5);

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn field(number: u64, bytes: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

fn label(name: &[u8], value: &[u8]) -> Vec<u8> {
    field(1, &[field(1, name), field(2, value)].concat())
}

fn series(labels: &[(&[u8], &[u8])], samples: &[(f64, i64)]) -> Vec<u8> {
    let labels = labels.iter().flat_map(|(name, value)| label(name, value));
    let sample = |(value, at): &(f64, i64)| {
        field(2, &[&[0x09][..], &value.to_bits().to_le_bytes(), &[0x10], &varint(*at as u64)].concat())
    };
    field(1, &labels.chain(samples.iter().flat_map(sample)).collect::<Vec<u8>>())
}

/// A block of copies, longer than its own elements say: what only S2 reads.
fn s2_repeats() -> Vec<u8> {
    let mut block = varint(4 << 30);
    block.extend([0, b'a', 0x01, 0x01]);
    block.extend([0x1d, 0x00, 0xff, 0xff, 0xff].repeat(400));
    block
}

async fn assert_refused(endpoint: &Endpoint, body: Vec<u8>, status: u16, part: &str) {
    let (before, start) = (resident_bytes(), Instant::now());
    let (got, text) = endpoint.send(endpoint.request(body)).await;
    assert_eq!(got, status, "{text}");
    assert!(text.contains(part), "{text} / {part}");
    let growth = resident_bytes().saturating_sub(before);
    assert!(growth < MAX_GROWTH_BYTES, "{part}: grew by {growth} bytes");
    assert!(start.elapsed() < MAX_TIME, "{part}: took {:?}", start.elapsed());
    assert!(endpoint.taken().is_empty(), "{part}");
}

#[tokio::test]
async fn bodies_that_lie_about_their_size() {
    let _alone = ALONE.lock().await;
    let endpoint = Endpoint::start(RouterConfig::default()).await;
    let four_gib = [&varint(u32::MAX.into())[..], &[0]].concat();
    assert_refused(&endpoint, four_gib, 413, "4294967295 bytes decompressed, the limit is 33554432").await;
    assert_refused(&endpoint, compress(&vec![0; 33 * MIB]), 413, "the limit is 33554432").await;
    assert_refused(&endpoint, s2_repeats(), 413, "bytes decompressed").await;
    let small_s2 = [&varint(64)[..], &[0, b'a', 0x01, 0x01], &[0x1d, 0x00, 0xff, 0xff, 0xff]].concat();
    assert_refused(&endpoint, small_s2, 400, "snappy decode error").await;
    let thin = [&varint(30 << 20)[..], &[0]].concat();
    assert_refused(&endpoint, thin, 400, "snappy decode error: s2: corrupt input").await;
}

#[tokio::test]
async fn bodies_that_are_not_snappy_or_not_protobuf() {
    let _alone = ALONE.lock().await;
    let endpoint = Endpoint::start(RouterConfig::default()).await;
    let framed = b"\xff\x06\x00\x00sNaPpY\x01\x05\x00\x00\x00\x00\x00\x00a".to_vec();
    assert_refused(&endpoint, framed, 400, "snappy decode error").await;
    assert_refused(&endpoint, vec![], 400, "snappy decode error").await;
    assert_refused(&endpoint, vec![7], 400, "snappy decode error").await;
    assert_refused(&endpoint, compress(&[0xab; 100]), 400, "proto decode error").await;
    assert_refused(
        &endpoint,
        compress(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        400,
        "proto",
    )
    .await;
    assert_refused(&endpoint, compress(&[0x0a, 0x7f, 0]), 400, "proto decode error").await;
    let past_end = [&[0x0a][..], &varint(1 << 63)].concat();
    assert_refused(&endpoint, compress(&past_end), 400, "proto decode error").await;
    let nested_groups = vec![0x0b; 10_000];
    assert_refused(&endpoint, compress(&nested_groups), 400, "proto decode error").await;
    for encoding in ["gzip", "zstd", "identity"] {
        let request = endpoint.client.post(format!("http://{}/api/v1/receive", endpoint.address));
        let request = request.header("Content-Encoding", encoding).body(vec![0x28, 0xb5, 0x2f, 0xfd]);
        let (status, text) = endpoint.send(request).await;
        assert_eq!(status, 415, "{encoding}: {text}");
    }
    let request = endpoint.client.post(format!("http://{}/api/v1/receive", endpoint.address));
    assert_eq!(endpoint.send(request.body(vec![0x1f, 0x8b, 8, 0])).await.0, 400);
}

#[tokio::test]
async fn bodies_of_many_small_things() {
    let _alone = ALONE.lock().await;
    let endpoint = Endpoint::start(RouterConfig::default()).await;
    assert_refused(&endpoint, compress(&[0x0a, 0].repeat(16 << 19)), 413, "series in one request").await;
    let ten_million = 10_000_000 * 13;
    let samples = compress(&vec![0; ten_million]);
    assert_refused(&endpoint, samples, 413, "bytes decompressed").await;
}

#[tokio::test]
async fn remote_write_2_with_bad_references_or_no_known_type() {
    let endpoint = Endpoint::start(RouterConfig::default()).await;
    let symbols = [field(4, b""), field(4, b"a")].concat();
    let out_of_range = [&symbols[..], &field(5, &field(1, &[1, 9]))].concat();
    let odd = [&symbols[..], &field(5, &field(1, &[1]))].concat();
    let first = [field(4, b"x"), field(5, &field(1, &[0, 0]))].concat();
    let v2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
    for (body, content_type, status) in [
        (&out_of_range, v2, 400),
        (&odd, v2, 400),
        (&first, v2, 400),
        (&first, "application/x-protobuf;proto=unknown.Type", 415),
    ] {
        let request = endpoint.client.post(format!("http://{}/api/v1/receive", endpoint.address));
        let request = request.header("Content-Type", content_type).header("Content-Encoding", "snappy");
        let request = request.header("X-Prometheus-Remote-Write-Version", "2.0.0").body(compress(body));
        let (got, text) = endpoint.send(request).await;
        assert_eq!(got, status, "{text}");
        assert!(status == 400 || text.contains("io.prometheus.write.v2.Request"), "{text}");
    }
}

/// Sends bytes as they are and gives the first line of the answer, or nothing if the connection was just closed.
async fn raw(endpoint: &Endpoint, head: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(endpoint.address).await.unwrap();
    stream.write_all(format!("POST /api/v1/receive HTTP/1.1\r\nHost: x\r\n{head}\r\n").as_bytes()).await.unwrap();
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(MAX_TIME, stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_string()
}

#[tokio::test]
async fn lengths_are_refused_from_the_header_alone() {
    let _alone = ALONE.lock().await;
    let endpoint = Endpoint::start(RouterConfig::default()).await;
    let before = resident_bytes();
    for (head, status) in [
        ("Content-Length: 200000000000\r\n", "413"),
        ("Content-Length: 9223372036854775807\r\n", "413"),
        ("Content-Length: -1\r\n", "400"),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", "400"),
        ("Content-Length: 99999999999999999999999\r\n", "400"),
    ] {
        let answer = raw(&endpoint, head, b"").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{head}: {answer}");
    }
    assert!(resident_bytes().saturating_sub(before) < MAX_GROWTH_BYTES);
}

#[tokio::test]
async fn chunked_bodies_without_end_are_cut_at_the_limit() {
    let _alone = ALONE.lock().await;
    let endpoint = Endpoint::start(RouterConfig::default()).await;
    let before = resident_bytes();
    let mut stream = TcpStream::connect(endpoint.address).await.unwrap();
    let head = "POST /api/v1/receive HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = [b"100000\r\n".to_vec(), vec![0; MIB], b"\r\n".to_vec()].concat();
    let (mut reader, mut writer) = stream.split();
    let mut answer = vec![0; 64];
    let feed = async { while writer.write_all(&chunk).await.is_ok() {} };
    let read = tokio::select! {
        read = reader.read(&mut answer) => read.unwrap(),
        () = feed => reader.read(&mut answer).await.unwrap_or(0),
        () = tokio::time::sleep(Duration::from_secs(20)) => panic!("no answer"),
    };
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(resident_bytes().saturating_sub(before) < 2 * MAX_GROWTH_BYTES);
}

#[tokio::test]
async fn slow_bodies_end_at_the_deadline_and_hold_up_nobody() {
    let config = RouterConfig { body_timeout: Duration::from_millis(400), ..Default::default() };
    let endpoint = Endpoint::start(config).await;
    let mut slow = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(endpoint.address).await.unwrap();
        let head = "POST /api/v1/receive HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nx";
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    let good = compress(&series(&[(b"__name__", b"up")], &[(1.0, 1)]));
    assert_eq!(endpoint.send(endpoint.request(good)).await.0, 200);
    for mut stream in slow {
        let mut answer = String::new();
        tokio::time::timeout(MAX_TIME, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("connection: close"), "{answer}");
    }
}

#[tokio::test]
async fn a_full_budget_is_answered_with_try_again() {
    let config = RouterConfig { max_inflight_bytes: 1_000, ..Default::default() };
    let endpoint = Endpoint::start(config).await;
    let (status, text) = endpoint.send(endpoint.request(compress(&[0x0a, 0].repeat(5_000)))).await;
    assert_eq!((status, text.as_str()), (503, "too many bytes in flight, try again later\n"));
    let good = compress(&series(&[(b"__name__", b"up")], &[(1.0, 1)]));
    assert_eq!(endpoint.send(endpoint.request(good)).await.0, 200);
}

#[tokio::test]
async fn odd_labels_times_and_values_reach_the_store_untouched() {
    let endpoint = Endpoint::start(RouterConfig::default()).await;
    let values = [
        f64::from_bits(0x7ff0_0000_0000_0002),
        f64::from_bits(0x7ff8_0000_dead_beef),
        f64::from_bits(0xfff4_0000_0000_0001),
        -0.0,
        f64::MIN_POSITIVE / 8.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ];
    let times = [0, -1, i64::MIN, i64::MAX, 1, 1_767_225_600_000_000_000, 5];
    let samples: Vec<(f64, i64)> = values.into_iter().zip(times).collect();
    let labels: [(&[u8], &[u8]); 5] = [
        (b"__name__", b"<script>alert(1)</script>"),
        (b"a", b"unsorted"),
        (b"a", b"twice"),
        (b"A", b"\xff\xfe\x00\n\xe2\x80\xae"),
        (b"\xed\xa0\x80", b"lone surrogate"),
    ];
    let (status, text) = endpoint.send(endpoint.request(compress(&series(&labels, &samples)))).await;
    assert_eq!((status, text.as_str()), (200, ""));
    let (_, batch) = endpoint.taken().remove(0);
    let got: Vec<_> = batch.samples.iter().map(|s| (s.value.to_bits(), s.timestamp_ms)).collect();
    assert_eq!(got, samples.iter().map(|(value, at)| (value.to_bits(), *at)).collect::<Vec<_>>());
    assert_eq!(batch.labels_of(&batch.series[0]).collect::<Vec<_>>(), labels);
}

#[tokio::test]
async fn tenants_that_could_be_paths_are_refused() {
    let endpoint = Endpoint::start(RouterConfig::default()).await;
    let good = compress(&series(&[(b"__name__", b"up")], &[(1.0, 1)]));
    let long = "x".repeat(30_000);
    for tenant in ["..", ".", "../x", "a/b", "a\\b", "a\tb", "ä", long.as_str()] {
        let request = endpoint.request(good.clone());
        let request =
            request.header("THANOS-TENANT", reqwest::header::HeaderValue::from_bytes(tenant.as_bytes()).unwrap());
        let (status, text) = endpoint.send(request).await;
        assert_eq!(status, 400, "{tenant:.20}: {text}");
        assert!(text.contains("tenant"), "{text}");
    }
    let twice = endpoint.request(good.clone()).header("THANOS-TENANT", "a").header("thanos-tenant", "b");
    assert_eq!(endpoint.send(twice).await.0, 400);
    assert!(endpoint.taken().is_empty());
    // Written as it is, it names a directory of its own: nothing decodes it.
    let encoded = endpoint.request(good).header("THANOS-TENANT", "%2e%2e");
    assert_eq!(endpoint.send(encoded).await.0, 200);
    assert_eq!(endpoint.taken()[0].0, "%2e%2e");
}
