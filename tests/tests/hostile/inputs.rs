//! Bad inputs by number, with the answer that is right and what stock answers.
//!
//! Where stock does otherwise, or would not survive, the row of `docs/compatibility.md` is named that says so; one of the tests looks
//! whether it is there.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use reqwest::Client;
use thanoxide_testkit::raw_write::{Request, compress, double, field, label, number, series, series_with, varint};
use thanoxide_testkit::sender::Answer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const T: i64 = 1_790_000_000_000;
pub(crate) const MIB: usize = 1 << 20;
pub(crate) const UP: &[(&str, &str)] = &[("__name__", "up"), ("instance", "a")];
const V2: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
/// The longest that a server may take for an answer.
const DEADLINE: Duration = Duration::from_secs(60);

/// What stock answers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stock {
    /// The same status and text.
    Same,
    /// The same status; the text of the fault is another, by the row of the table.
    OwnWords(&'static str),
    /// This status, 0 for a connection that it closes without an answer; ours differs by the row of the table.
    Differs(u16, &'static str),
    /// Not asked with the others: it would end, or take memory without bound, by the row of the table.
    NotAsked(&'static str),
}

use Stock::{Differs, NotAsked, OwnWords, Same};

/// Rows of the table.
const LENGTHS: &str = "bodies of unbounded length, declared lengths of gigabytes";
const HEADS: &str = "heads of requests that HTTP does not allow";
const S2: &str = "bodies with the repeat codes of S2, which snappy does not have";
const ENCODING: &str = "`Content-Encoding` other than snappy";
const PROTOBUF: &str = "texts of protobuf errors";
const TENANTS: &str =
    "tenants `.`, `..` and `/`, names with a backslash or a control character, or longer than 150 bytes";
const FOREIGN_TENANTS: &str = "tenants that are not printable ASCII";
const NOT_UTF8: &str = "tenants that are not UTF-8";
const TWO_TENANTS: &str = "two tenant headers that differ";
const HINTS: &str = "tenant `thanoxide.hints`";
const WITHIN: &str = "samples of one series within one request: out of order, or with two values for one time";
const LEAST_TIME: &str = "a first sample at the least time of 64 bits";
const HISTOGRAMS: &str = "native histograms that contradict themselves";
const SYMBOLS: &str = "remote write 2.0 with symbol references out of range";
const FIRST_SYMBOL: &str = "remote write 2.0 with a first symbol that is not the empty text";
const MESSAGE: &str = "remote write 2.0.0 with an unknown `Content-Type`";

/// What is sent.
enum Sent {
    Request(Request),
    /// Bytes on a connection of their own.
    Raw(Vec<u8>),
}

/// One input: its number, its name, what is sent, the status that is right, and what stock answers.
pub(crate) struct Input {
    pub(crate) number: u8,
    pub(crate) name: &'static str,
    sent: Sent,
    pub(crate) right: u16,
    pub(crate) stock: Stock,
}

impl Input {
    /// Sends it to a remote-write endpoint.
    pub(crate) async fn send(&self, client: &Client, address: &str) -> Result<Answer> {
        match &self.sent {
            Sent::Request(request) => request.send(client, &format!("http://{address}")).await,
            Sent::Raw(bytes) => raw(address, bytes).await,
        }
    }

    /// Whether it is the HTTP library that judges it, whose refusals may have no text.
    pub(crate) fn is_raw(&self) -> bool {
        matches!(self.sent, Sent::Raw(_))
    }
}

fn input(number: u8, name: &'static str, request: Request, right: u16, stock: Stock) -> Input {
    Input { number, name, sent: Sent::Request(request), right, stock }
}

fn of(number: u8, name: &'static str, message: &[u8], right: u16, stock: Stock) -> Result<Input> {
    block(number, name, compress(message)?, right, stock)
}

fn block(number: u8, name: &'static str, block: Vec<u8>, right: u16, stock: Stock) -> Result<Input> {
    // Each has a tenant of its own, so that none is refused for what another one sent.
    let tenant = format!("input-{number}-{}", name.replace(' ', "-"));
    Ok(input(number, name, Request::new(block).header("THANOS-TENANT", &tenant), right, stock))
}

/// A request whose head goes out as it is, with a good body or none.
fn head(number: u8, name: &'static str, lines: &[u8], body: &[u8], right: u16, stock: Stock) -> Input {
    let start = "POST /api/v1/receive HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    let sent = Sent::Raw([start.as_bytes(), lines, b"\r\n", body].concat());
    Input { number, name, sent, right, stock }
}

/// Status and text of the answer to bytes; 0 for a connection that was just closed.
async fn raw(address: &str, bytes: &[u8]) -> Result<Answer> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(bytes).await?;
    let (mut answer, mut part) = (Vec::new(), vec![0; 4096]);
    // A connection that is reset has said what it had to say.
    while let Ok(read @ 1..) = tokio::time::timeout(DEADLINE, stream.read(&mut part)).await.context("no answer")? {
        answer.extend_from_slice(&part[..read]);
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, text) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Ok(Answer { status, text: text.to_string() })
}

/// 10: chunks without end. Gives the status of the answer, 0 for a connection that was just closed.
pub(crate) async fn endless(address: &str) -> Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"POST /api/v1/receive HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
    let chunk = [b"100000\r\n".to_vec(), vec![0; MIB], b"\r\n".to_vec()].concat();
    let (mut reader, mut writer) = stream.split();
    let mut answer = vec![0; 64];
    let feed = async { while writer.write_all(&chunk).await.is_ok() {} };
    let read = tokio::select! {
        read = reader.read(&mut answer) => read.unwrap_or(0),
        () = feed => reader.read(&mut answer).await.unwrap_or(0),
    };
    let line = String::from_utf8_lossy(&answer[..read]).into_owned();
    Ok(line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0))
}

pub(crate) fn good() -> Vec<u8> {
    series(UP, &[(T, 1.0)])
}

/// A letter and copies of it, which only S2 reads: five bytes and 16,842,755 for each repeat code.
fn s2_repeats(declared: u64, times: usize) -> Vec<u8> {
    let mut block = varint(declared);
    block.extend([0, b'a', 0x01, 0x01]);
    block.extend([0x1d, 0x00, 0xff, 0xff, 0xff].repeat(times));
    block
}

/// A block of a start, and a repeated pattern as long as asked, without the compressor.
fn periodic(start: &[u8], pattern: &[u8], times: usize) -> Vec<u8> {
    let (first, rest) = (start.len() + pattern.len(), pattern.len() * (times - 1));
    let mut block = varint((first + rest) as u64);
    // Literals and copies of at most 60 bytes have heads of one and three bytes.
    for part in [start, pattern].concat().chunks(60) {
        block.push((part.len() as u8 - 1) << 2);
        block.extend_from_slice(part);
    }
    let copy = |bytes: usize| [(bytes as u8 - 1) << 2 | 2, pattern.len() as u8, 0];
    (0..rest / 60).for_each(|_| block.extend(copy(60)));
    if rest % 60 > 0 {
        block.extend(copy(rest % 60));
    }
    block
}

/// What S2 alone can say: 1000 letters of a label by a repeat code.
fn s2_repeat() -> Vec<u8> {
    let long = series(&[("__name__", "up"), ("v", "x".repeat(1000).as_str())], &[(T, 1.0)]);
    let letters = long.iter().position(|byte| *byte == b'x').unwrap_or_default();
    let (before, after) = (&long[..=letters], &long[letters + 1000..]);
    let literal = |bytes: &[u8]| [&[(bytes.len() as u8 - 1) << 2][..], bytes].concat();
    // A copy of four from one back, and 995 more from there: 4 + 256 + 735.
    let copies = [0x01, 0x01, 0x19, 0x00, 0xdf, 0x02];
    [varint(long.len() as u64), literal(before), copies.to_vec(), literal(after)].concat()
}

fn bodies() -> Result<Vec<Input>> {
    let raw = |body: &[u8]| Request::new(body.to_vec());
    let encoded = |encoding: &str, body: &[u8]| raw(body).header("Content-Encoding", encoding);
    let zstd_of_2_gib = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00];
    let four_gib = [&varint(u32::MAX.into())[..], &[0]].concat();
    let framed = b"\xff\x06\x00\x00sNaPpY\x01\x05\x00\x00\x00\x00\x00\x00a";
    let sample = field(2, &[double(1, 1.0), number(2, T)].concat());
    let samples = 10_000_000;
    let labels = [label("__name__", "up"), label("instance", "a")].concat();
    let message = [varint(1 << 3 | 2), varint((labels.len() + samples * sample.len()) as u64), labels].concat();
    let ten_million = periodic(&message, &sample, samples);
    let good_block = compress(&good())?;
    let lengths = [
        ("a declared body of 200 GB", "Content-Length: 200000000000\r\n", 7, 413, NotAsked(LENGTHS)),
        // The buffer that it grows first panics.
        ("a declared body of 2^63", "Content-Length: 9223372036854775807\r\n", 8, 413, Differs(0, LENGTHS)),
        ("a negative length", "Content-Length: -1\r\n", 8, 400, OwnWords(HEADS)),
        ("two lengths", "Content-Length: 5\r\nContent-Length: 6\r\n", 8, 400, OwnWords(HEADS)),
    ];
    let lengths =
        lengths.map(|(name, lines, number, right, stock)| head(number, name, lines.as_bytes(), b"", right, stock));
    let chunked = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n";
    let chunked_body = [format!("{:x}\r\n", good_block.len()).as_bytes(), &good_block, b"\r\n0\r\n\r\n"].concat();
    let mut all = vec![
        input(1, "4 GiB declared in 6 bytes", raw(&four_gib), 413, NotAsked(LENGTHS)),
        of(2, "33 MB", &vec![0; 33 * MIB], 413, Differs(400, LENGTHS))?,
        input(3, "S2 repeats of 4 GiB", raw(&s2_repeats(5 + 255 * 16_842_755, 255)), 413, NotAsked(LENGTHS)),
        input(3, "S2 repeats past 64 bytes", raw(&s2_repeats(64, 400)), 400, Same),
        block(3, "one S2 repeat", s2_repeat(), 400, Differs(200, S2))?,
        input(4, "framed snappy", raw(framed), 400, Same),
        input(5, "gzip", encoded("gzip", &[0x1f, 0x8b, 8, 0]), 415, Differs(400, ENCODING)),
        input(5, "zstd", encoded("zstd", &[0x28, 0xb5, 0x2f, 0xfd]), 415, Differs(400, ENCODING)),
        input(5, "identity", encoded("identity", &good()), 415, Differs(400, ENCODING)),
        input(5, "gzip that is not named", encoded("", &[0x1f, 0x8b, 8, 0]), 400, Same),
        input(5, "zstd that is not named", encoded("", &[0x28, 0xb5, 0x2f, 0xfd]), 400, Same),
        input(5, "identity that is not named", encoded("", &good()), 400, Same),
        input(6, "zstd window of 2 GiB", encoded("zstd", &zstd_of_2_gib), 415, Differs(400, ENCODING)),
        input(6, "zstd window of 2 GiB that is not named", encoded("", &zstd_of_2_gib), 400, Same),
        head(8, "a length and chunks", chunked, &chunked_body, 200, Same),
        input(11, "no body", raw(b""), 400, Same),
        input(11, "one byte", raw(&[7]), 400, Same),
        of(11, "random bytes", &[0xab; 100], 400, OwnWords(PROTOBUF))?,
        of(12, "varint of 11 bytes", &[&[0x0a][..], &[0xff; 10], &[1]].concat(), 400, OwnWords(PROTOBUF))?,
        of(12, "length past the end", &[0x0a, 0x7f, 0], 400, OwnWords(PROTOBUF))?,
        of(12, "length of 2^63", &[&[0x0a][..], &varint(1 << 63)].concat(), 400, OwnWords(PROTOBUF))?,
        of(13, "groups 10000 deep", &vec![0x0b; 10_000], 400, OwnWords(PROTOBUF))?,
        block(14, "16 M empty series", periodic(b"", &[0x0a, 0], 16_000_000), 413, NotAsked(LENGTHS))?,
        block(15, "10 M samples", ten_million, 413, NotAsked(LENGTHS))?,
    ];
    all.extend(lengths);
    Ok(all)
}

fn contents() -> Result<Vec<Input>> {
    let many_labels: Vec<u8> = (0..10_000).flat_map(|i| label(&format!("l{i:05}"), "v")).collect();
    let sample = |t: i64| field(2, &[double(1, 1.0), number(2, t)].concat());
    let many_labels = field(1, &[many_labels, sample(T)].concat());
    let long = "x".repeat(MIB);
    let bytes_label = |name: &[u8], value: &[u8]| field(1, &[field(1, name), field(2, value)].concat());
    let odd = |name: &[u8], value: &[u8]| field(1, &[bytes_label(name, value), sample(T)].concat());
    let with = |rest: &[u8]| series_with(UP, &[(T, 1.0)], rest);
    let exemplar = |t: i64, value: &str| field(3, &[label("t", value), double(2, 1.0), number(3, t)].concat());
    let metadata = field(3, &[number(1, 1), field(2, b"up")].concat());
    let nans = [0x7ff0_0000_0000_0002, 0x7ff8_dead_beef_0000, 0x8000_0000_0000_0000, 1, 0x7ff0_0000_0000_0000];
    let nans: Vec<(i64, f64)> = nans.iter().zip(T..).map(|(bits, t)| (t, f64::from_bits(*bits))).collect();
    let now_ms = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis() as i64;
    let year_ms = 365 * 86_400_000;
    let many: Vec<u8> = (0..5000).flat_map(|i| series(&[("i", i.to_string().as_str())], &[(T, 1.0)])).collect();
    Ok(vec![
        of(16, "10000 labels", &many_labels, 200, Same)?,
        of(
            17,
            "value of 100 MB",
            &series(&[("__name__", "up"), ("v", "x".repeat(100 * MIB).as_str())], &[(T, 1.0)]),
            413,
            NotAsked(LENGTHS),
        )?,
        of(17, "name of 1 MB", &series(&[("__name__", "up"), (long.as_str(), "v")], &[(T, 1.0)]), 200, Same)?,
        of(18, "empty label name", &series(&[("", "x"), ("a", "b")], &[(T, 1.0)]), 409, Same)?,
        of(18, "empty label value", &series(&[("__name__", "up"), ("a", "")], &[(T, 1.0)]), 409, Same)?,
        of(18, "empty metric name", &series(&[("__name__", ""), ("a", "b")], &[(T, 1.0)]), 409, Same)?,
        of(18, "no metric name", &series(&[("a", "b")], &[(T, 1.0)]), 200, Same)?,
        of(19, "duplicate labels", &series(&[("a", "1"), ("a", "2")], &[(T, 1.0)]), 409, Same)?,
        of(19, "unsorted labels", &series(&[("b", "1"), ("a", "2")], &[(T, 1.0)]), 409, Same)?,
        of(19, "one name in two cases", &series(&[("A", "1"), ("a", "2")], &[(T, 1.0)]), 200, Same)?,
        of(20, "invalid UTF-8 and controls", &odd(b"a\xff\x00\n", b"\xed\xa0\x80\xe2\x80\xae"), 200, Same)?,
        of(21, "markup", &series(&[("__name__", "<script>alert(1)</script>")], &[(T, 1.0)]), 200, Same)?,
        of(21, "markup of a bucket", &series(&[("__name__", "up"), ("le", "<img src=x>")], &[(T, 1.0)]), 200, Same)?,
        of(
            22,
            "times from the least to the greatest",
            &series(UP, &[(0, 1.0), (-1, 1.0), (i64::MIN, 1.0), (i64::MAX, 1.0)]),
            409,
            OwnWords(WITHIN),
        )?,
        of(22, "time 0", &series(UP, &[(0, 1.0)]), 200, Same)?,
        of(22, "time -1", &series(UP, &[(-1, 1.0)]), 200, Same)?,
        of(22, "the least time", &series(UP, &[(i64::MIN, 1.0)]), 200, Differs(409, LEAST_TIME))?,
        of(22, "the greatest time", &series(UP, &[(i64::MAX, 1.0)]), 200, Same)?,
        of(22, "11 minutes ahead", &series(UP, &[(now_ms + 660_000, 1.0)]), 200, Same)?,
        of(22, "years ahead", &series(UP, &[(T + 10 * year_ms, 1.0)]), 200, Same)?,
        of(22, "nanoseconds", &series(UP, &[(T * 1_000_000, 1.0)]), 200, Same)?,
        of(23, "two values for one time", &series(UP, &[(T, 1.0), (T, 2.0)]), 409, Differs(200, WITHIN))?,
        of(23, "descending times", &series(UP, &[(T, 1.0), (T - 1, 2.0)]), 409, Differs(200, WITHIN))?,
        of(24, "odd values", &series(UP, &nans), 200, Same)?,
        of(26, "1000000 exemplars", &with(&exemplar(T, "a").repeat(1_000_000)), 200, Same)?,
        of(26, "a long exemplar of the far future", &with(&exemplar(T + year_ms, &"x".repeat(200))), 200, Same)?,
        of(27, "metadata only", &metadata, 200, Same)?,
        of(27, "1000000 metadata entries", &metadata.repeat(1_000_000), 200, Same)?,
        of(31, "5000 series", &many, 200, Same)?,
    ])
}

/// 25: native histograms of which nothing can be true.
fn histograms() -> Result<Vec<Input>> {
    let histogram = |name: &'static str, count: i64, schema: i64, rest: &[u8], right: u16, stock: Stock| {
        // A schema is written in zigzag.
        let schema = number(4, schema << 1 ^ schema >> 63);
        let parts = [number(1, count), double(3, 1.0), schema, rest.to_vec(), number(15, T)];
        of(25, name, &series_with(UP, &[], &field(4, &parts.concat())), right, stock)
    };
    let span =
        |offset: i64, length: i64| field(11, &[number(1, offset << 1 ^ offset >> 63), number(2, length)].concat());
    let deltas = |deltas: &[i64]| {
        let packed = deltas.iter().flat_map(|delta| varint((delta << 1 ^ delta >> 63) as u64));
        field(12, &packed.collect::<Vec<u8>>())
    };
    let bounds = |bounds: &[f64]| field(16, &bounds.iter().flat_map(|b| b.to_le_bytes()).collect::<Vec<u8>>());
    let with = |span: Vec<u8>, rest: &[Vec<u8>]| [&[span][..], rest].concat().concat();
    let wide = field(11, &[[varint(8), varint(u64::MAX)].concat(), number(2, i64::MAX)].concat());
    let million: Vec<i64> = std::iter::once(1).chain(std::iter::repeat_n(0, 999_999)).collect();
    let bad = Differs(200, HISTOGRAMS);
    Ok(vec![
        histogram("spans past 32 bits", 1, 0, &with(wide, &[deltas(&[1])]), 400, bad)?,
        histogram("a negative span", 2, 0, &[span(0, 1), span(-5, 1), deltas(&[1, 0])].concat(), 400, bad)?,
        histogram("a schema of 127", 1, 127, &with(span(0, 1), &[deltas(&[1])]), 400, bad)?,
        histogram("spans without buckets", 1, 0, &with(span(0, 1_000_000), &[deltas(&[])]), 400, bad)?,
        histogram("deltas past 64 bits", 1, 0, &with(span(0, 3), &[deltas(&[i64::MAX, i64::MAX, 3])]), 400, bad)?,
        histogram(
            "unsorted custom bounds",
            2,
            -53,
            &with(span(0, 2), &[deltas(&[1, 0]), bounds(&[2.0, 1.0])]),
            400,
            bad,
        )?,
        histogram("a wrong count", 9, 0, &with(span(0, 2), &[deltas(&[1, 0])]), 400, bad)?,
        histogram("1000000 buckets", 1_000_000, 0, &with(span(0, 1_000_000), &[deltas(&million)]), 200, Same)?,
    ])
}

/// The program of `tests/interop` is of Thanos 0.42, which knows no 2.0: it reads past all that such a request has, and takes it.
/// The rows say what 0.43 does.
fn second_version() -> Result<Vec<Input>> {
    let v2 = |message: &[u8]| -> Result<Request> {
        let request = Request::of(message)?.header("Content-Type", V2);
        Ok(request.header("X-Prometheus-Remote-Write-Version", "2.0.0").header("THANOS-TENANT", "v2"))
    };
    let symbols = [field(4, b""), field(4, b"a")].concat();
    let refs = |refs: &[u8]| [&symbols[..], &field(5, &field(1, refs))].concat();
    let unit = [&symbols[..], &field(5, &[field(1, &[1, 1]), field(5, &number(4, 99))].concat())].concat();
    let first = [field(4, b"x"), field(5, &field(1, &[0, 0]))].concat();
    let version_1 = Request::of(&refs(&[1, 1]))?.header("THANOS-TENANT", "v2");
    let other = v2(&good())?.header("Content-Type", "application/x-protobuf;proto=a.B");
    let no_version = Request::of(&good())?.header("X-Prometheus-Remote-Write-Version", "");
    Ok(vec![
        input(28, "a reference out of range", v2(&refs(&[1, 9]))?, 400, Differs(200, SYMBOLS)),
        input(28, "an odd number of references", v2(&refs(&[1]))?, 400, Differs(200, SYMBOLS)),
        input(28, "a first symbol that is not empty", v2(&first)?, 400, Differs(200, FIRST_SYMBOL)),
        input(28, "a unit out of range", v2(&unit)?, 400, Differs(200, SYMBOLS)),
        input(29, "10 M symbols", v2(&field(4, b"").repeat(10_000_000))?, 200, Same),
        input(30, "2.0 called 1.0", version_1, 200, Same),
        input(30, "1.0 called 2.0", v2(&good())?, 200, Same),
        input(30, "an unknown message", other, 415, Differs(200, MESSAGE)),
        input(30, "no version", no_version, 200, Same),
    ])
}

fn identities() -> Result<Vec<Input>> {
    let request = Request::of(&good())?;
    let replica = |value: &str| request.clone().header("THANOS-REPLICA", value).header("THANOS-TENANT", "replicas");
    let tenant = |name: &str| request.clone().header("THANOS-TENANT", name);
    let joined = (0..10_000).map(|i| format!("t{i}")).collect::<Vec<_>>().join("|");
    let good_block = compress(&good())?;
    let named = |number: u8, name: &'static str, line: &[u8], right: u16, stock: Stock| {
        let length = format!("\r\nContent-Length: {}\r\n", good_block.len());
        head(number, name, &[line, length.as_bytes()].concat(), &good_block, right, stock)
    };
    Ok(vec![
        input(33, "the greatest replica", replica("18446744073709551615"), 200, Same),
        input(33, "a negative replica", replica("-1"), 400, Same),
        input(33, "replica 3", replica("3"), 200, Same),
        input(34, "two dots", tenant(".."), 400, Differs(200, TENANTS)),
        input(34, "a dot", tenant("."), 400, Differs(200, TENANTS)),
        input(35, "a path", tenant("../x"), 400, Same),
        input(35, "an encoded path", tenant("%2e%2e"), 200, Same),
        input(35, "a path encoded twice", tenant("%252e%252e%252f"), 200, Same),
        input(35, "a slash", tenant("a/b"), 400, Same),
        input(35, "a backslash", tenant("a\\b"), 400, Differs(200, TENANTS)),
        input(36, "64 KB", tenant(&"x".repeat(64 << 10)), 400, Differs(503, TENANTS)),
        named(36, "an empty name", b"THANOS-TENANT:", 200, Same),
        named(36, "a NUL", b"THANOS-TENANT: a\0b", 400, OwnWords(HEADS)),
        named(36, "no UTF-8", b"THANOS-TENANT: t\xff", 400, NotAsked(NOT_UTF8)),
        input(36, "letters that look alike", tenant("t\u{435}nant"), 400, Differs(200, FOREIGN_TENANTS)),
        input(36, "spaces", tenant("a b"), 200, Same),
        input(36, "a dot at the end", tenant("a."), 200, Same),
        input(36, "underscores at the start", tenant("__internal"), 200, Same),
        input(36, "our own directory", tenant("thanoxide.hints"), 400, Differs(200, HINTS)),
        named(37, "two tenants", b"THANOS-TENANT: a\r\nthanos-tenant: b", 400, Differs(200, TWO_TENANTS)),
        named(37, "one tenant twice", b"THANOS-TENANT: a\r\nthanos-tenant: a", 200, Same),
        input(37, "an underscore", request.clone().header("THANOS_TENANT", "b"), 200, Same),
        input(38, "two tenants joined", tenant("a|b"), 200, Same),
        input(38, "10000 tenants joined", tenant(&joined), 400, Differs(503, TENANTS)),
    ])
}

/// All that are single requests; made once, for some are large. What takes longer than one request is in `hostile.rs`.
pub(crate) fn all() -> &'static [Input] {
    static ALL: LazyLock<Vec<Input>> = LazyLock::new(|| {
        let all = [bodies(), contents(), histograms(), second_version(), identities()].into_iter();
        all.collect::<Result<Vec<_>>>().expect("requests can be made").into_iter().flatten().collect()
    });
    &ALL
}
