//! Bad input: what Thanos's own receiver answers and stores, we answer and store; where we do otherwise on purpose, it is
//! said here and in `docs/compatibility.md`. Each case is a run of requests for a tenant of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Client, Method};
use serde_json::Value;
use thanoxide_testkit::program::Program;
use thanoxide_testkit::raw_write::{Request, compress, double, field, number, read_all, series, series_with, varint};
use thanoxide_testkit::sender::Answer;

/// How much more memory all of it may leave us with.
const MAX_GROWTH_BYTES: u64 = 64 << 20;
const T: i64 = 1_790_000_000_000;
/// The tenant for which the two store different things.
const STORED_BY_US_ALONE: &str = "least-time";
const MINUTE: i64 = 60_000;

/// Samples of each series.
type Series = BTreeMap<String, Vec<Value>>;

/// What the two are to answer.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// The same.
    Same,
    /// The same status; the texts name the fault each in its own words.
    SameStatus,
    /// Ours, stock's.
    Ours(u16, u16),
    /// Ours; stock is not asked, because it would take gigabytes.
    OursAlone(u16),
}

use Expected::{Ours, OursAlone, Same, SameStatus};

/// A run of requests of one tenant.
struct Case {
    name: &'static str,
    requests: Vec<(Request, Expected)>,
}

impl Case {
    fn new(name: &'static str) -> Self {
        Case { name, requests: Vec::new() }
    }

    fn request(mut self, request: Request, expected: Expected) -> Self {
        self.requests.push((request.header("THANOS-TENANT", self.name), expected));
        self
    }

    /// A request whose headers are its own.
    fn bare(mut self, request: Request, expected: Expected) -> Self {
        self.requests.push((request, expected));
        self
    }

    fn message(self, message: &[u8], expected: Expected) -> Result<Self> {
        Ok(self.request(Request::of(message)?, expected))
    }
}

const UP: &[(&str, &str)] = &[("__name__", "up"), ("instance", "a")];
const GOOD: &[(&str, &str)] = &[("__name__", "good"), ("instance", "a")];

fn good(t: i64) -> Vec<u8> {
    series(GOOD, &[(t, 1.0)])
}

/// Bodies that are no write request.
fn bodies() -> Result<Vec<Case>> {
    let message = good(T);
    let truncated = &message[..message.len() - 3];
    let body = |bytes: &[u8]| Request::new(bytes.to_vec());
    let metadata = field(3, &[number(1, 1), field(2, b"up")].concat());
    Ok(vec![
        Case::new("not-snappy").request(body(b"hello"), Same).request(body(&[7]), Same),
        Case::new("snappy-framed").request(body(b"\xff\x06\x00\x00sNaPpY\x01\x05\x00\x00\x00\x00\x00\x00a"), Same),
        Case::new("snappy-cut-short").request(body(&compress(&message)?[..20]), Same),
        Case::new("empty-body").request(body(b""), Same),
        Case::new("empty-message").message(b"", Same)?,
        Case::new("metadata-only").message(&metadata, Same)?,
        Case::new("garbage").message(&[0xab; 100], SameStatus)?.message(b"hello, world", SameStatus)?,
        Case::new("truncated").message(truncated, SameStatus)?,
        Case::new("groups").message(&[0x0b; 1000], SameStatus)?,
        Case::new("oversize").message(&vec![0; 33 << 20], Ours(413, 400))?,
        Case::new("declares-4-gib").request(body(&[&varint(u32::MAX.into())[..], &[0]].concat()), OursAlone(413)),
        Case::new("declares-30-mib").request(body(&[&varint(30 << 20)[..], &[0]].concat()), OursAlone(400)),
        Case::new("unknown-fields").message(&[good(T), field(99, b"x"), number(77, 5)].concat(), Same)?,
    ])
}

/// Labels that no series may have.
fn labels() -> Result<Vec<Case>> {
    let bad = |name, labels: &[(&str, &str)]| {
        let (bad, rest) = (series(labels, &[(T, 1.0)]), good(T));
        Case::new(name).message(&[bad, rest].concat(), Same)
    };
    let several = [
        series(&[], &[(T, 1.0)]),
        series(&[("b", "1"), ("a", "2")], &[(T, 1.0), (T + 1, 2.0)]),
        series(&[("b", "1"), ("b", "2")], &[(T, 1.0)]),
        series(&[("c", "1"), ("b", "2")], &[(T, 1.0)]),
        good(T),
    ];
    let raw = field(1, &[field(1, b"a\xff"), field(2, b"\xfe\x00")].concat());
    let not_utf8 = field(1, &[raw, field(2, &[double(1, 1.0), number(2, T)].concat())].concat());
    Ok(vec![
        bad("no-labels", &[])?,
        bad("unsorted-labels", &[("b", "1"), ("a", "2")])?,
        bad("duplicate-labels", &[("a", "1"), ("a", "2")])?,
        bad("duplicate-labels-same-value", &[("a", "1"), ("a", "1")])?,
        bad("duplicate-labels-apart", &[("a", "1"), ("b", "1"), ("a", "2")])?,
        bad("empty-label-name", &[("", "1"), ("a", "2")])?,
        bad("empty-label-name-later", &[("a", "1"), ("", "2")])?,
        bad("empty-label-value", &[("__name__", "up"), ("a", "")])?,
        bad("only-empty-value", &[("a", "")])?,
        bad("empty-metric-name", &[("__name__", ""), ("a", "1")])?,
        bad("no-metric-name", &[("a", "1"), ("b", "2")])?,
        bad("odd-metric-name", &[("__name__", "1 &\u{e4}\n")])?,
        bad("odd-label-name", &[("__name__", "up"), ("a-b.c", "2")])?,
        Case::new("not-utf8").message(&[not_utf8, good(T)].concat(), Same)?,
        bad("label-of-the-tenant", &[("__name__", "up"), ("tenant_id", "x")])?,
        Case::new("several-bad-labels").message(&several.concat(), Same)?,
        Case::new("bad-labels-no-samples")
            .message(&[series(&[("b", "1"), ("a", "2")], &[]), good(T)].concat(), Same)?,
        Case::new("no-samples").message(&series(UP, &[]), Same)?,
        Case::new("empty-series").message(&field(1, &[]), Same)?,
    ])
}

/// Values that JSON or arithmetic could lose.
fn values() -> Result<Vec<Case>> {
    let odd = [
        f64::NAN,
        f64::from_bits(0x7ff0_0000_0000_0002),
        f64::from_bits(0xfff8_0000_dead_beef),
        f64::INFINITY,
        f64::NEG_INFINITY,
        -0.0,
        f64::from_bits(1),
        -f64::MIN_POSITIVE / 2.0,
        f64::MAX,
    ];
    let samples: Vec<(i64, f64)> = odd.iter().zip(0..).map(|(v, i)| (T + i * MINUTE, *v)).collect();
    Ok(vec![Case::new("odd-values").message(&series(UP, &samples), Same)?])
}

/// Times that cannot be, and orders that are not taken.
fn times() -> Result<Vec<Case>> {
    let send = |case: Case, t: i64, v: f64| case.message(&series(UP, &[(t, v)]), Same);
    let run =
        |name, samples: &[(i64, f64)]| samples.iter().try_fold(Case::new(name), |case, (t, v)| send(case, *t, *v));
    let mixed = [
        series(UP, &[(T - MINUTE, 1.0), (T, 5.0), (T + MINUTE, 3.0)]),
        series(&[], &[(T, 1.0)]),
        series(&[("__name__", "old")], &[(T - 5 * 3_600_000, 1.0)]),
        good(T + MINUTE),
    ];
    Ok(vec![
        run("out-of-order", &[(T, 1.0), (T - MINUTE, 2.0), (T + MINUTE, 3.0)])?,
        Case::new("out-of-order-within")
            .message(&series(UP, &[(T + 2, 1.0), (T, 2.0), (T + 1, 3.0), (T + 3, 4.0)]), Ours(409, 200))?,
        run("duplicate-other-value", &[(T, 1.0), (T, 2.0)])?,
        run("duplicate-same-value", &[(T, 1.0), (T, 1.0), (T, f64::NAN), (T, -0.0)])?,
        run("duplicate-nan", &[(T, f64::NAN), (T, f64::NAN), (T, f64::from_bits(0x7ff0_0000_0000_0002))])?,
        run("duplicate-zero", &[(T, 0.0), (T, -0.0)])?,
        Case::new("duplicate-within")
            .message(&series(UP, &[(T, 1.0), (T, 2.0), (T, 1.0), (T + 1, 2.0)]), Ours(409, 200))?,
        run("far-past", &[(T, 1.0), (0, 1.0), (T - 61 * MINUTE, 1.0), (-1, 1.0), (T + 1, 1.0)])?,
        run("past-other-series", &[(T, 1.0)])?
            .message(&series(GOOD, &[(T - 61 * MINUTE, 1.0)]), Same)?
            .message(&series(GOOD, &[(T - 60 * MINUTE, 1.0), (T, 1.0)]), Same)?,
        run("far-past-first", &[(0, 1.0), (1, 1.0), (-1, 1.0)])?,
        run("far-future", &[(T, 1.0), (T + 20 * 365 * 24 * 60 * MINUTE, 1.0), (T + 1, 2.0)])?,
        run("far-future-first", &[(9_000_000_000_000_000, 1.0), (T, 2.0)])?,
        // Stock computes with the least time beyond the least number, and takes nothing more.
        [(i64::MIN, 1.0), (T, 1.0)].iter().try_fold(Case::new(STORED_BY_US_ALONE), |case, (t, v)| {
            case.message(&series(UP, &[(*t, *v)]), Ours(200, 409))
        })?,
        run("greatest-time", &[(i64::MAX, 1.0), (T, 1.0)])?,
        run("least-after", &[(T, 1.0), (i64::MIN, 1.0)])?,
        run("greatest-after", &[(T, 1.0), (i64::MAX, 1.0), (T + 1, 1.0)])?,
        run("several", &[(T, 1.0)])?.message(&mixed.concat(), Same)?,
    ])
}

/// A native histogram of three observations, or one that says it has `count`.
fn histogram(t: i64, count: i64) -> Vec<u8> {
    let span = field(11, &[number(1, 0), number(2, 2)].concat());
    let parts = [number(1, count), double(3, 5.0), number(4, 0), double(5, 1e-128), number(6, 1), span];
    field(4, &[parts.concat(), field(12, &[2, 0]), number(15, t)].concat())
}

fn exemplar(t: i64, label: &str) -> Vec<u8> {
    field(
        3,
        &[field(1, &[field(1, b"trace_id"), field(2, label.as_bytes())].concat()), double(2, 1.0), number(3, t)]
            .concat(),
    )
}

/// What is not a float.
fn others() -> Result<Vec<Case>> {
    let with = |name, samples: &[(i64, f64)], rest: &[u8], expected| {
        Case::new(name).message(&[series_with(UP, samples, rest), good(T)].concat(), expected)
    };
    let long = "x".repeat(200);
    Ok(vec![
        with("histogram", &[], &[histogram(T, 3), histogram(T + 1, 3)].concat(), Same)?,
        with("histogram-invalid", &[], &histogram(T, 9), Ours(400, 200))?,
        with("histogram-out-of-order", &[], &[histogram(T + 1, 3), histogram(T, 3)].concat(), Ours(409, 200))?,
        with("histogram-after-float", &[(T, 1.0)], &histogram(T, 3), Ours(409, 200))?,
        with("histogram-duplicate", &[], &[histogram(T, 3), histogram(T, 3)].concat(), Same)?,
        with("exemplar", &[(T, 1.0)], &exemplar(T, "a"), Same)?,
        with(
            "exemplars-wrong",
            &[(T, 1.0)],
            &[exemplar(T, "a"), exemplar(T - 1, "b"), exemplar(T, &long)].concat(),
            Same,
        )?,
        with("exemplar-alone", &[], &exemplar(T, "a"), Same)?,
    ])
}

/// Headers, methods and paths.
fn headers() -> Result<Vec<Case>> {
    let request = Request::of(&good(T))?;
    let tenant = |name: &str| request.clone().header("THANOS-TENANT", name);
    let version = |version: &str, content_type: &str| {
        let name = "X-Prometheus-Remote-Write-Version";
        request.clone().header(name, version).header("Content-Type", content_type)
    };
    let proto = "application/x-protobuf";
    let replica = |replica: &str| request.clone().header("THANOS-REPLICA", replica);
    Ok(vec![
        Case::new("versions")
            .request(version("", ""), Same)
            .request(version("9.9.9", proto), Same)
            .request(version("0.1.0", "text/plain"), Same)
            .request(version("rubbish", "application/json"), Same),
        Case::new("encodings")
            .request(request.clone().header("Content-Encoding", ""), Same)
            .request(request.clone().header("Content-Encoding", "gzip"), Ours(415, 200)),
        Case::new("replicas")
            .request(replica("0"), Same)
            .request(replica("1"), Same)
            .request(replica("7"), Same)
            .request(replica("x"), Same)
            .request(replica("-1"), Same)
            .request(replica("99999999999999999999"), Same),
        Case::new("tenants")
            .bare(tenant("a/b"), Same)
            .bare(tenant("../x"), Same)
            .bare(tenant("/"), Ours(400, 200))
            .bare(tenant("a\\b"), Ours(400, 200))
            .bare(tenant(&"x".repeat(151)), Ours(400, 200))
            .bare(tenant(".."), Ours(400, 200))
            .bare(tenant("a b"), Same),
        Case::new("methods")
            .request(request.clone().method(Method::GET), Same)
            .request(request.clone().method(Method::PUT), Same)
            .request(request.clone().method(Method::DELETE), Same)
            .request(request.clone().path("/api/v1/write"), Same)
            .request(request.clone().path("/"), Same)
            .request(request.clone().path("/api/v1/receive/"), Ours(404, 307)),
    ])
}

/// Says what is wrong with a pair of answers.
fn judge(expected: Expected, ours: &Answer, stock: Option<&Answer>) -> Result<()> {
    let status = stock.map_or(0, |answer| answer.status);
    match (expected, stock) {
        (Same, Some(stock)) => ensure!(ours.status == status && ours.text == stock.text, "differ"),
        (SameStatus, Some(_)) => ensure!(ours.status == status && !ours.text.trim().is_empty(), "differ"),
        (Ours(own, theirs), Some(_)) => ensure!((ours.status, status) == (own, theirs), "differ"),
        (OursAlone(own), None) => ensure!(ours.status == own, "differs"),
        (expected, _) => bail!("{expected:?} does not go with stock's {status}"),
    }
    Ok(())
}

/// Retention counts from the newest sample: one from the far future would end all others.
fn start_ours(dir: &Path) -> Result<Program> {
    Program::receiver(&dir.join("ours"), &[])
}

/// Sends every case to both; gives what is wrong.
async fn send_all(cases: &[Case], ours: &Program, stock: &Program) -> Result<Vec<String>> {
    let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let (our_url, stock_url) = (ours.url("remote-write"), stock.url("remote-write"));
    let mut faults = Vec::new();
    for case in cases {
        for (index, (request, expected)) in case.requests.iter().enumerate() {
            let own = request.send(&client, &our_url).await.with_context(|| case.name)?;
            let theirs = match expected {
                OursAlone(_) => None,
                _ => Some(request.send(&client, &stock_url).await.with_context(|| case.name)?),
            };
            if judge(*expected, &own, theirs.as_ref()).is_err() {
                faults.push(format!("{} {index}: {expected:?}\n  ours  {own:?}\n  stock {theirs:?}", case.name));
            }
        }
    }
    Ok(faults)
}

/// What a store holds of the tenants that the cases name.
fn held(store: &Program, cases: &[Case]) -> Result<Series> {
    let mut all = read_all(store.address("grpc"))?;
    let names = cases.iter().map(|case| case.name).filter(|name| *name != STORED_BY_US_ALONE);
    let tenants: Vec<String> = names.map(|name| format!("[\"tenant_id\",\"{name}\"]")).collect();
    all.retain(|labels, _| tenants.iter().any(|tenant| labels.contains(tenant)));
    Ok(all)
}

fn differences(ours: &Series, stock: &Series) -> Vec<String> {
    let all: BTreeSet<&String> = ours.keys().chain(stock.keys()).collect();
    let differ = all.into_iter().filter(|labels| ours.get(*labels) != stock.get(*labels));
    differ.map(|labels| format!("{labels}:\n  ours  {:?}\n  stock {:?}", ours.get(labels), stock.get(labels))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn we_answer_and_store_what_thanos_does() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (mut ours, stock) = (start_ours(dir.path())?, Program::stock_receiver(&dir.path().join("stock"))?);
    let cases: Vec<Case> =
        [bodies()?, labels()?, values()?, times()?, others()?, headers()?].into_iter().flatten().collect();
    let before_bytes = ours.resident_bytes()?;
    let mut faults = send_all(&cases, &ours, &stock).await?;
    let growth_bytes = ours.peak_resident_bytes()?.saturating_sub(before_bytes);
    ensure!(growth_bytes < MAX_GROWTH_BYTES, "grew by {growth_bytes} bytes");
    let stock_held = held(&stock, &cases)?;
    faults.extend(differences(&held(&ours, &cases)?, &stock_held));
    // What it took does not hurt the next start.
    ensure!(ours.terminate(Duration::from_secs(30))?.success(), "no clean stop; log:\n{}", ours.log());
    let again = start_ours(dir.path())?;
    faults.extend(differences(&held(&again, &cases)?, &stock_held).into_iter().map(|f| format!("started again: {f}")));
    ensure!(faults.is_empty(), "{} differences:\n{}", faults.len(), faults.join("\n"));
    ensure!(stock_held.len() > 50, "{} series were stored", stock_held.len());
    Ok(())
}
