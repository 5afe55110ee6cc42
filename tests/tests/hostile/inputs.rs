//! Bad inputs by number.

use std::sync::LazyLock;

use anyhow::Result;
use thanoxide_testkit::raw_write::{Request, double, field, label, number, series, series_with, varint};

use super::{MIB, T, UP};

const V2: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

/// One input: its number, its name, the request, and the statuses that are right.
pub(crate) struct Input {
    pub(crate) number: u8,
    pub(crate) name: &'static str,
    pub(crate) request: Request,
    pub(crate) right: &'static [u16],
}

fn input(number: u8, name: &'static str, request: Request, right: &'static [u16]) -> Input {
    Input { number, name, request, right }
}

fn of(number: u8, name: &'static str, message: &[u8], right: &'static [u16]) -> Result<Input> {
    // Each has a tenant of its own, so that none is refused for what another one sent.
    let request = Request::of(message)?.header("THANOS-TENANT", &format!("input-{number}-{}", name.replace(' ', "-")));
    Ok(input(number, name, request, right))
}

pub(crate) fn good() -> Vec<u8> {
    series(UP, &[(T, 1.0)])
}

/// A block of copies, longer than its own elements say: what only S2 reads.
fn s2_repeats(declared: u64) -> Vec<u8> {
    let mut block = varint(declared);
    block.extend([0, b'a', 0x01, 0x01]);
    block.extend([0x1d, 0x00, 0xff, 0xff, 0xff].repeat(400));
    block
}

fn bodies() -> Result<Vec<Input>> {
    let raw = |body: &[u8]| Request::new(body.to_vec());
    let encoded = |encoding: &str, body: &[u8]| raw(body).header("Content-Encoding", encoding);
    let zstd_of_2_gib = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00];
    Ok(vec![
        input(1, "4 GiB declared in 6 bytes", raw(&[&varint(u32::MAX.into())[..], &[0]].concat()), &[413]),
        of(2, "33 MB", &vec![0; 33 * MIB], &[413])?,
        input(3, "S2 repeats of 4 GiB", raw(&s2_repeats(4 << 30)), &[413]),
        input(3, "S2 repeats of 64 bytes", raw(&s2_repeats(64)), &[400]),
        input(4, "framed snappy", raw(b"\xff\x06\x00\x00sNaPpY\x01\x05\x00\x00\x00\x00\x00\x00a"), &[400]),
        input(5, "gzip", encoded("gzip", &[0x1f, 0x8b, 8, 0]), &[415]),
        input(5, "zstd", encoded("zstd", &[0x28, 0xb5, 0x2f, 0xfd]), &[415]),
        input(5, "identity", encoded("identity", &good()), &[415]),
        input(5, "gzip that is not named", encoded("", &[0x1f, 0x8b, 8, 0]), &[400]),
        input(6, "zstd window of 2 GiB", encoded("zstd", &zstd_of_2_gib), &[415]),
        input(11, "no body", raw(b""), &[400]),
        input(11, "one byte", raw(&[7]), &[400]),
        of(11, "random bytes", &[0xab; 100], &[400])?,
        of(12, "varint of 11 bytes", &[&[0x0a][..], &[0xff; 10], &[1]].concat(), &[400])?,
        of(12, "length past the end", &[0x0a, 0x7f, 0], &[400])?,
        of(12, "length of 2^63", &[&[0x0a][..], &varint(1 << 63)].concat(), &[400])?,
        of(13, "groups 10000 deep", &vec![0x0b; 10_000], &[400])?,
        of(14, "16 M empty series", &[0x0a, 0].repeat(16 << 20), &[413])?,
        of(15, "10 M samples", &vec![0; 130 << 20], &[413])?,
    ])
}

fn contents() -> Result<Vec<Input>> {
    let many_labels: Vec<u8> = (0..10_000).flat_map(|i| label(&format!("l{i:05}"), "v")).collect();
    let sample = |t: i64| field(2, &[double(1, 1.0), number(2, t)].concat());
    let many_labels = field(1, &[many_labels, sample(T)].concat());
    let long = "x".repeat(MIB);
    let bytes_label = |name: &[u8], value: &[u8]| field(1, &[field(1, name), field(2, value)].concat());
    let odd = |name: &[u8], value: &[u8]| field(1, &[bytes_label(name, value), sample(T)].concat());
    let with = |rest: &[u8]| series_with(UP, &[(T, 1.0)], rest);
    let histogram = |schema: i64, spans: &[u8], deltas: &[u8]| {
        let parts = [number(1, 1), number(4, schema << 1), spans.to_vec(), field(12, deltas), number(15, T)];
        field(4, &parts.concat())
    };
    let span =
        |offset: u64, length: i64| field(11, &[[varint(8), varint(offset)].concat(), number(2, length)].concat());
    let exemplar = |t: i64, value: &str| field(3, &[label("trace_id", value), double(2, 1.0), number(3, t)].concat());
    let metadata = field(3, &[number(1, 1), field(2, b"up")].concat());
    let nans = [0x7ff0_0000_0000_0002, 0x7ff8_dead_beef_0000, 0x8000_0000_0000_0000, 1, 0x7ff0_0000_0000_0000];
    let nans: Vec<(i64, f64)> = nans.iter().zip(T..).map(|(bits, t)| (t, f64::from_bits(*bits))).collect();
    let year_ms = 365 * 86_400_000;
    Ok(vec![
        of(16, "10000 labels", &many_labels, &[200])?,
        of(
            17,
            "value of 100 MB",
            &series(&[("__name__", "up"), ("v", "x".repeat(100 * MIB).as_str())], &[(T, 1.0)]),
            &[413],
        )?,
        of(17, "name of 1 MB", &series(&[("__name__", "up"), (long.as_str(), "v")], &[(T, 1.0)]), &[200, 400, 409])?,
        of(18, "empty label name", &series(&[("", "x"), ("a", "b")], &[(T, 1.0)]), &[409])?,
        of(18, "empty label value", &series(&[("__name__", "up"), ("a", "")], &[(T, 1.0)]), &[409])?,
        of(18, "no metric name", &series(&[("a", "b")], &[(T, 1.0)]), &[200])?,
        of(19, "duplicate labels", &series(&[("a", "1"), ("a", "2")], &[(T, 1.0)]), &[409])?,
        of(19, "unsorted labels", &series(&[("b", "1"), ("a", "2")], &[(T, 1.0)]), &[409])?,
        of(19, "one name in two cases", &series(&[("A", "1"), ("a", "2")], &[(T, 1.0)]), &[200])?,
        of(20, "invalid UTF-8 and controls", &odd(b"a\xff\x00\n", b"\xed\xa0\x80\xe2\x80\xae"), &[200])?,
        of(21, "markup", &series(&[("__name__", "<script>alert(1)</script>")], &[(T, 1.0)]), &[200])?,
        of(
            22,
            "times from the least to the greatest",
            &series(UP, &[(0, 1.0), (-1, 1.0), (i64::MIN, 1.0), (i64::MAX, 1.0)]),
            &[409],
        )?,
        of(22, "a year ahead", &series(UP, &[(T + 10 * year_ms, 1.0)]), &[200])?,
        of(23, "two values for one time", &series(UP, &[(T, 1.0), (T, 2.0)]), &[409])?,
        of(23, "descending times", &series(UP, &[(T, 1.0), (T - 1, 2.0)]), &[409])?,
        of(24, "odd values", &series(UP, &nans), &[200])?,
        of(25, "spans past 32 bits", &with(&histogram(0, &span(u64::MAX, i64::MAX), &[2])), &[400])?,
        of(25, "a schema of 127", &with(&histogram(127, &span(0, 1), &[2])), &[400])?,
        of(25, "spans without buckets", &with(&histogram(0, &span(0, 1_000_000), &[])), &[400])?,
        of(26, "100000 exemplars", &with(&exemplar(T, "a").repeat(100_000)), &[200])?,
        of(26, "a long exemplar of the far future", &with(&exemplar(T + year_ms, &"x".repeat(200))), &[200, 409])?,
        of(27, "metadata only", &metadata, &[200])?,
        of(27, "500000 metadata entries", &metadata.repeat(500_000), &[200])?,
    ])
}

fn second_version() -> Result<Vec<Input>> {
    let v2 = |message: &[u8]| -> Result<Request> {
        let request = Request::of(message)?.header("Content-Type", V2);
        Ok(request.header("X-Prometheus-Remote-Write-Version", "2.0.0").header("THANOS-TENANT", "v2"))
    };
    let symbols = [field(4, b""), field(4, b"a")].concat();
    let refs = |refs: &[u8]| [&symbols[..], &field(5, &field(1, refs))].concat();
    let unit = [&symbols[..], &field(5, &[field(1, &[1, 1]), field(5, &number(4, 99))].concat())].concat();
    Ok(vec![
        input(28, "a reference out of range", v2(&refs(&[1, 9]))?, &[400]),
        input(28, "an odd number of references", v2(&refs(&[1]))?, &[400]),
        input(
            28,
            "a first symbol that is not empty",
            v2(&[field(4, b"x"), field(5, &field(1, &[0, 0]))].concat())?,
            &[400],
        ),
        input(28, "a unit out of range", v2(&unit)?, &[400, 200]),
        input(29, "10 M symbols", v2(&field(4, b"").repeat(10_000_000))?, &[200]),
        input(30, "2.0 called 1.0", Request::of(&refs(&[1, 1]))?.header("THANOS-TENANT", "v2"), &[200, 400]),
        input(30, "1.0 called 2.0", v2(&good())?, &[200]),
        input(
            30,
            "an unknown message",
            v2(&good())?.header("Content-Type", "application/x-protobuf;proto=a.B"),
            &[415],
        ),
        input(30, "no version", Request::of(&good())?.header("X-Prometheus-Remote-Write-Version", ""), &[200]),
    ])
}

fn identities() -> Result<Vec<Input>> {
    let request = Request::of(&good())?;
    let replica = |value: &str| request.clone().header("THANOS-REPLICA", value).header("THANOS-TENANT", "replicas");
    let tenant = |name: &str| request.clone().header("THANOS-TENANT", name);
    let joined = (0..10_000).map(|i| format!("t{i}")).collect::<Vec<_>>().join("|");
    Ok(vec![
        input(33, "the greatest replica", replica("18446744073709551615"), &[200]),
        input(33, "a negative replica", replica("-1"), &[400]),
        input(33, "replica 3", replica("3"), &[200]),
        input(34, "two dots", tenant(".."), &[400]),
        input(34, "a dot", tenant("."), &[400]),
        input(35, "a path", tenant("../x"), &[400]),
        input(35, "an encoded path", tenant("%2e%2e"), &[200]),
        input(35, "a path encoded twice", tenant("%252e%252e%252f"), &[200]),
        input(35, "a slash", tenant("a/b"), &[400]),
        input(35, "a backslash", tenant("a\\b"), &[400]),
        input(36, "30 KB", tenant(&"x".repeat(30_000)), &[400]),
        input(36, "spaces", tenant("a b"), &[200]),
        input(36, "a dot at the end", tenant("a."), &[200]),
        input(36, "our own directory", tenant("thanoxide.hints"), &[400]),
        input(37, "an underscore", request.clone().header("THANOS_TENANT", "b"), &[200]),
        input(38, "two tenants joined", tenant("a|b"), &[200]),
        input(38, "10000 tenants joined", tenant(&joined[..20_000]), &[400]),
    ])
}

/// All that are single requests; made once, for some are large.
pub(crate) fn all() -> &'static [Input] {
    static ALL: LazyLock<Vec<Input>> = LazyLock::new(|| {
        let all = [bodies(), contents(), second_version(), identities()].into_iter();
        all.collect::<Result<Vec<_>>>().expect("requests can be made").into_iter().flatten().collect()
    });
    &ALL
}
