//! The 42 bad inputs that a receiver must survive, by number: what each is answered, how much memory it leaves behind, and that
//! others do not notice. `tests/bad_input.rs` compares the same kinds of input with stock's answers, `crates/router/tests/bad_input.rs`
//! looks at memory and time of single refusals.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use reqwest::Client;
use thanoxide_model::write_batch::WriteBatchBuilder;
use thanoxide_model::{Labels, Sample, TenantId};
use thanoxide_storeapi::{ClientConfig, HopSecret, RemoteWriter, WriteError, WriteStore};
use thanoxide_testkit::certificates::{Authority, CertificateFiles};
use thanoxide_testkit::program::Program;
use thanoxide_testkit::raw_write::{Request, double, field, label, number, series, series_with, varint};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const T: i64 = 1_790_000_000_000;
const MIB: usize = 1 << 20;
/// What all of it may leave behind.
const MAX_GROWTH_BYTES: u64 = 64 << 20;
const UP: &[(&str, &str)] = &[("__name__", "up"), ("instance", "a")];
const V2: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

/// One input: its number, its name, the request, and the statuses that are right.
struct Input {
    number: u8,
    name: &'static str,
    request: Request,
    right: &'static [u16],
}

fn input(number: u8, name: &'static str, request: Request, right: &'static [u16]) -> Input {
    Input { number, name, request, right }
}

fn of(number: u8, name: &'static str, message: &[u8], right: &'static [u16]) -> Result<Input> {
    // Each has a tenant of its own, so that none is refused for what another one sent.
    let request = Request::of(message)?.header("THANOS-TENANT", &format!("input-{number}-{}", name.replace(' ', "-")));
    Ok(input(number, name, request, right))
}

fn good() -> Vec<u8> {
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

/// Sends bytes as they are; gives the status of the answer, 0 for a connection that was just closed.
async fn raw(address: &str, head: &str) -> Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("POST /api/v1/receive HTTP/1.1\r\nHost: x\r\n{head}\r\n").as_bytes()).await?;
    let mut answer = vec![0; 64];
    let read = tokio::time::timeout(Duration::from_secs(60), stream.read(&mut answer)).await??;
    let line = String::from_utf8_lossy(&answer[..read]).into_owned();
    Ok(line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0))
}

/// Chunks without end.
async fn endless(address: &str) -> Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"POST /api/v1/receive HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
    let chunk = [b"100000\r\n".to_vec(), vec![0; MIB], b"\r\n".to_vec()].concat();
    let (mut reader, mut writer) = stream.split();
    let mut answer = vec![0; 64];
    let feed = async { while writer.write_all(&chunk).await.is_ok() {} };
    let read = tokio::select! {
        read = reader.read(&mut answer) => read?,
        () = feed => reader.read(&mut answer).await.unwrap_or(0),
    };
    let line = String::from_utf8_lossy(&answer[..read]).into_owned();
    Ok(line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0))
}

/// A healthy tenant is taken as if nothing were.
async fn healthy(client: &Client, node: &Program, at: &mut i64) -> Result<()> {
    *at += 1;
    let request = Request::of(&series(UP, &[(T + *at, 1.0)]))?.header("THANOS-TENANT", "healthy");
    let answer = request.send(client, &node.url("remote-write")).await?;
    ensure!(answer.status == 200, "a healthy tenant got {answer:?}");
    Ok(())
}

fn flags(dir: &Path, limits: &str) -> Result<String> {
    let path = dir.join("limits.yaml");
    std::fs::write(&path, limits)?;
    Ok(format!("--receive.limits-config-file={}", path.display()))
}

#[tokio::test]
async fn every_bad_input_has_its_answer_and_harms_nobody() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let node = Program::receiver(&dir.path().join("data"), &[])?;
    let (client, mut at, mut faults) = (Client::new(), 0, Vec::new());
    healthy(&client, &node, &mut at).await?;
    let before_bytes = node.resident_bytes()?;
    let inputs = [bodies()?, contents()?, second_version()?, identities()?].into_iter().flatten();
    for Input { number, name, request, right } in inputs {
        let answer = request.send(&client, &node.url("remote-write")).await;
        healthy(&client, &node, &mut at).await.with_context(|| format!("after {number}, {name}"))?;
        match answer {
            Ok(answer)
                if right.contains(&answer.status) && (answer.status == 200 || !answer.text.trim().is_empty()) =>
            {
                println!(
                    "{number} {name}: {} {}",
                    answer.status,
                    answer.text.trim().chars().take(100).collect::<String>()
                );
            }
            // It may close the connection before all of a body is sent that it refuses.
            Err(_) if right == [413] => println!("{number} {name}: closed"),
            other => faults.push(format!("{number} {name}: {other:?}, right is {right:?}")),
        }
    }
    let address = node.address("remote-write");
    for (number, head, right) in [
        (7, "Content-Length: 200000000000\r\n", 413),
        (8, "Content-Length: 9223372036854775807\r\n", 413),
        (8, "Content-Length: -1\r\n", 400),
        (8, "Content-Length: 5\r\nContent-Length: 6\r\n", 400),
        (8, "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", 400),
        (37, "THANOS-TENANT: a\r\nthanos-tenant: b\r\nContent-Length: 0\r\n", 400),
    ] {
        let status = raw(address, head).await?;
        println!("{number} {head:?}: {status}");
        if status != right {
            faults.push(format!("{number} {head:?}: {status}, right is {right}"));
        }
        healthy(&client, &node, &mut at).await?;
    }
    let status = endless(address).await?;
    println!("10 chunks without end: {status}");
    ensure!([0, 413].contains(&status), "10: {status}");
    // 9: others do not wait for slow senders, whose time is over after 30 s.
    let mut slow = Vec::new();
    for _ in 0..300 {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"POST /api/v1/receive HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx").await?;
        slow.push(stream);
    }
    healthy(&client, &node, &mut at).await?;
    println!("9 300 slow senders: others are served");
    drop(slow);
    let growth_bytes = node.resident_bytes()?.saturating_sub(before_bytes);
    ensure!(growth_bytes < MAX_GROWTH_BYTES, "it all left {growth_bytes} bytes behind");
    ensure!(faults.is_empty(), "{} wrong answers:\n{}", faults.len(), faults.join("\n"));
    Ok(())
}

/// 31, 32, 39: many series, many new series, many tenants.
#[tokio::test]
async fn budgets_refuse_what_is_new_and_nothing_else() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let limits = "write: {global: {max_tenants: 20}, tenants: {churning: {new_series_per_minute_limit: 1000}}}";
    let node = Program::receiver(&dir.path().join("data"), &[&flags(dir.path(), limits)?])?;
    let client = Client::new();
    let send = async |tenant: &str, from: usize, count: usize, t: i64| {
        let message: Vec<u8> = (from..from + count)
            .flat_map(|i| series(&[("__name__", "m"), ("i", i.to_string().as_str())], &[(t, 1.0)]))
            .collect();
        let request = Request::of(&message)?.header("THANOS-TENANT", tenant);
        request.send(&client, &node.url("remote-write")).await
    };
    // 32: a thousand of five thousand are taken; those go on.
    let over = send("churning", 0, 5000, T).await?;
    ensure!(over.status == 429, "32: {over:?}");
    let known = send("churning", 0, 1000, T + 1).await?;
    ensure!(known.status == 200, "32, known series: {known:?}");
    // 31: names that differ in few bytes; keyed hashes are none the slower.
    for round in 0..5 {
        let answer = send("many", round * 4000, 4000, T).await?;
        ensure!(answer.status == 200, "31: {answer:?}");
    }
    // 39: with the default tenant and two others there are 17 to come.
    let mut refused = 0;
    for tenant in 0..200 {
        match send(&format!("tenant-{tenant}"), 0, 1, T).await?.status {
            200 => ensure!(refused == 0, "39: tenant {tenant} was taken after others were refused"),
            429 => refused += 1,
            status => anyhow::bail!("39: {status}"),
        }
    }
    ensure!(refused == 200 - 17, "39: {refused} refused");
    ensure!(send("tenant-3", 0, 1, T + 1).await?.status == 200, "39: known tenants go on");
    Ok(())
}

/// 40: names of tenants in labels.
#[tokio::test]
async fn labels_that_name_tenants_are_checked_like_headers() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let node = Program::receiver(&dir.path().join("data"), &["--receive.split-tenant-label-name=owner"])?;
    let client = Client::new();
    for (name, right) in
        [("a", 200), ("..", 400), ("../x", 400), ("a/b", 400), ("a\\b", 400), ("x".repeat(200).as_str(), 400)]
    {
        let message = series(&[("__name__", "up"), ("owner", name)], &[(T, 1.0)]);
        let answer = Request::of(&message)?.send(&client, &node.url("remote-write")).await?;
        ensure!(answer.status == right, "40: {name:.10}: {answer:?}");
    }
    Ok(())
}

/// 41: the certificate's word counts, as in stock; 42: who names a tenant must be trusted.
#[tokio::test]
async fn tenants_are_who_they_prove_to_be() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let authority = Authority::new("authority")?;
    let files = CertificateFiles::new(&dir.path().join("tls"), &authority, &authority, "team-b")?;
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "old\n")?;
    let tls = |name: &str, file: &str| format!("--remote-write.server-tls-{name}={}", files.text(file));
    let args = [tls("cert", "cert.pem"), tls("key", "key.pem"), tls("client-ca", "ca.pem")];
    let args: Vec<&str> =
        args.iter().map(String::as_str).chain(["--receive.tenant-certificate-field=commonName"]).collect();
    let node = Program::receiver(&dir.path().join("certificates"), &args)?;
    let pem = [std::fs::read(files.path("key.pem"))?, std::fs::read(files.path("cert.pem"))?].concat();
    let ca = reqwest::Certificate::from_pem(&std::fs::read(files.path("ca.pem"))?)?;
    let client =
        Client::builder().no_proxy().tls_certs_only([ca]).identity(reqwest::Identity::from_pem(&pem)?).build()?;
    let base = format!("https://{}", node.address("remote-write"));
    let request = Request::of(&good())?.header("THANOS-TENANT", "team-a");
    ensure!(request.send(&client, &base).await?.status == 200, "41");
    let told = client.get(format!("{base}/api/v1/status/tsdb?all_tenants=true")).send().await?.text().await?;
    ensure!(told.contains("\"team-b\"") && !told.contains("\"team-a\""), "41: {told}");

    let flag = format!("--receive.hop-secret-file={}", secret.display());
    let node = Program::thanoxide(
        &[
            "receive",
            "--http-address=127.0.0.1:0",
            "--grpc-address=127.0.0.1:0",
            "--remote-write.address=127.0.0.1:0",
            "--label=replica=\"ours\"",
            &format!("--tsdb.path={}", dir.path().join("hops").display()),
            &flag,
        ],
        &["http", "grpc", "remote-write"],
    )?;
    let (client, base) = (Client::new(), node.url("remote-write"));
    for (name, shown, right) in
        [("a", "", 401), ("a", "Bearer wrong", 401), ("a", "Bearer old", 200), ("", "", 200), ("../x", "", 401)]
    {
        let request = Request::of(&good())?.header("THANOS-TENANT", name).header("Authorization", shown);
        let answer = request.send(&client, &base).await?;
        ensure!(answer.status == right, "42: {name} {shown}: {answer:?}");
    }
    // Over gRPC all writes need it. A new secret comes in beside the old one.
    let write = async |shown: &str| {
        std::fs::write(dir.path().join("shown"), shown)?;
        let shown = HopSecret::from_file(&dir.path().join("shown"))?;
        let client = ClientConfig { secret: Some(shown), ..ClientConfig::default() };
        anyhow::Ok(grpc_write(node.address("grpc"), &client).await)
    };
    let refused = grpc_write(node.address("grpc"), &ClientConfig::default()).await;
    ensure!(refused.as_ref().is_err_and(|error| error.to_string().contains("Unauthenticated")), "42: {refused:?}");
    ensure!(write("wrong").await?.is_err(), "42: a wrong secret");
    ensure!(write("old").await?.is_ok(), "42: the right one");
    std::fs::write(&secret, "new\nold\n")?;
    std::fs::File::options().write(true).open(&secret)?.set_modified(SystemTime::now() + Duration::from_secs(60))?;
    ensure!(write("new").await?.is_ok() && write("old").await?.is_ok(), "42: two secrets");

    // A router shows it to its nodes. One that does not is told to try again: secrets come in node by node.
    let ring = format!("--receive.hashrings=[{{\"endpoints\":[\"{}\"]}}]", node.address("grpc"));
    for (flags, right) in [(vec![ring.as_str(), flag.as_str()], 200), (vec![ring.as_str()], 503)] {
        let args =
            ["receive", "--http-address=127.0.0.1:0", "--grpc-address=127.0.0.1:0", "--label=replica=\"router\""];
        let args =
            args.into_iter().chain(["--remote-write.address=127.0.0.1:0", "--receive.capnproto-address=127.0.0.1:0"]);
        let args: Vec<&str> = args.chain(flags).collect();
        let router = Program::thanoxide(&args, &["http", "grpc", "remote-write"])?;
        let answer = Request::of(&series(UP, &[(T + right, 1.0)]))?.send(&client, &router.url("remote-write")).await?;
        ensure!(i64::from(answer.status) == right, "42, over a router: {answer:?}");
    }
    Ok(())
}

async fn grpc_write(address: &str, client: &ClientConfig) -> Result<(), WriteError> {
    let writer = RemoteWriter::connect(address, client).expect("an address");
    let mut builder = WriteBatchBuilder::default();
    builder.push(&Labels::from_pairs([("__name__", "hop")]), &[Sample { timestamp_ms: T, value: 1.0 }]);
    let tenant = TenantId::new("hops").expect("a tenant");
    writer.write(&tenant, Arc::new(builder.build())).await.map(drop)
}
