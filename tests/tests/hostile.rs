//! The 42 bad inputs that a receiver must survive, by number: what each is answered, how much memory it leaves behind, and that
//! others do not notice. `tests/hostile_stock.rs` compares the answers with stock's, `tests/bad_input.rs` those to more kinds of input
//! and what is stored of them, `crates/router/tests/bad_input.rs` looks at memory and time of single refusals.

#[path = "hostile/inputs.rs"]
#[allow(dead_code)]
mod inputs;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use inputs::{MIB, T, UP, endless, good};
use reqwest::Client;
use rustix::process::{Resource, getrlimit, setrlimit};
use thanoxide_model::write_batch::WriteBatchBuilder;
use thanoxide_model::{Labels, Sample, TenantId};
use thanoxide_storeapi::{ClientConfig, HopSecret, RemoteWriter, WriteError, WriteStore};
use thanoxide_testkit::certificates::{Authority, CertificateFiles};
use thanoxide_testkit::neighbours::Neighbours;
use thanoxide_testkit::program::Program;
use thanoxide_testkit::raw_write::{Request, series};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What all of it may leave behind.
const MAX_GROWTH_BYTES: u64 = 64 << 20;
/// How much longer the slowest hundredth of a healthy tenant's requests may take, in a whole run.
const MOST_TIMES: f64 = 1.5;
/// 9: so many send a byte a second. Their time is over after 30 s.
const SLOW_SENDERS: usize = 1000;
/// Not to the end: what arrives behind an answer may take it away.
const SLOW_SECONDS: usize = 20;
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

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

/// Bodies of which a byte a second comes. Gives the statuses that they end with.
async fn slow_senders(address: String) -> Result<Vec<u16>> {
    let mut streams = Vec::new();
    for _ in 0..SLOW_SENDERS {
        let mut stream = TcpStream::connect(&address).await?;
        stream.write_all(b"POST /api/v1/receive HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n").await?;
        streams.push(stream);
    }
    for _ in 0..SLOW_SECONDS {
        for stream in &mut streams {
            stream.write_all(b"x").await?;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let ends = streams.iter_mut().map(async |stream| {
        let mut answer = vec![0; 64];
        let read = tokio::time::timeout(BODY_TIMEOUT, stream.read(&mut answer)).await??;
        let line = String::from_utf8_lossy(&answer[..read]).into_owned();
        anyhow::Ok(line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0))
    });
    futures::future::try_join_all(ends).await
}

#[tokio::test]
async fn every_bad_input_has_its_answer_and_harms_nobody() -> Result<()> {
    // This test and the receiver hold as many connections each.
    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum;
    setrlimit(Resource::Nofile, files)?;
    let dir = tempfile::tempdir()?;
    let node = Program::receiver(&dir.path().join("data"), &[])?;
    let (client, mut at, mut faults) = (Client::new(), 0, Vec::new());
    healthy(&client, &node, &mut at).await?;
    let before_bytes = node.resident_bytes()?;
    let (address, all) = (node.address("remote-write"), inputs::all());
    let slow = tokio::spawn(slow_senders(address.to_string()));
    for input in all {
        let (number, name) = (input.number, input.name);
        let answer = input.send(&client, address).await;
        healthy(&client, &node, &mut at).await.with_context(|| format!("after {number}, {name}"))?;
        match answer {
            Ok(answer)
                if answer.status == input.right
                    && (answer.status == 200 || input.is_raw() || !answer.text.trim().is_empty()) =>
            {
                println!("{number} {name}: {} {:.100}", answer.status, answer.text.trim());
            }
            // It may close the connection before all of a body is sent that it refuses.
            Err(_) if input.right == 413 => println!("{number} {name}: closed"),
            other => faults.push(format!("{number} {name}: {other:?}, right is {}", input.right)),
        }
    }
    let status = endless(address).await?;
    println!("10 chunks without end: {status}");
    ensure!([0, 413].contains(&status), "10: {status}");
    healthy(&client, &node, &mut at).await?;
    let ends = slow.await??;
    ensure!(ends.len() == SLOW_SENDERS && ends.iter().all(|status| *status == 408), "9: {ends:?}");
    println!("9 {SLOW_SENDERS} slow senders: 408, others were served");
    healthy(&client, &node, &mut at).await?;
    let growth_bytes = node.growth_bytes(before_bytes, MAX_GROWTH_BYTES)?;
    println!("all of it left {growth_bytes} bytes behind");
    ensure!(growth_bytes < MAX_GROWTH_BYTES, "it all left {growth_bytes} bytes behind");
    ensure!(faults.is_empty(), "{} wrong answers:\n{}", faults.len(), faults.join("\n"));
    Ok(())
}

/// One bad input after the other, twenty a second.
async fn send_bad(address: String, next: Arc<AtomicUsize>, stop: Arc<AtomicBool>) -> Result<()> {
    let (client, mut pace) = (Client::new(), tokio::time::interval(Duration::from_millis(50)));
    while !stop.load(Ordering::Relaxed) {
        pace.tick().await;
        let input = &inputs::all()[next.fetch_add(1, Ordering::Relaxed) % inputs::all().len()];
        // What it is answered is looked at elsewhere.
        let _ = input.send(&client, &address).await;
    }
    Ok(())
}

/// `THANOXIDE_HOSTILE_SECONDS` of quiet and as many beside bad inputs; CI takes fewer, beside other tests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn healthy_tenants_do_not_wait_for_bad_inputs() -> Result<()> {
    let seconds = std::env::var("THANOXIDE_HOSTILE_SECONDS").ok().and_then(|n| n.parse::<u64>().ok());
    let dir = tempfile::tempdir()?;
    let node = Program::receiver(dir.path(), &[])?;
    let (next, base) = (Arc::new(AtomicUsize::new(0)), node.url("remote-write"));
    let neighbours = Neighbours::new(&format!("{base}/api/v1/receive"), 20, 200, T);
    neighbours.send_for(Duration::from_secs(1)).await?;
    let before_bytes = node.resident_bytes()?;
    let noise = |stop| send_bad(node.address("remote-write").to_string(), Arc::clone(&next), stop);
    let (slices, slice) = seconds.map_or((2, 1), |seconds| (seconds.div_ceil(5) as u32, 5));
    let beside = neighbours.beside(noise, slices, Duration::from_secs(slice)).await?;
    let growth_bytes = node.growth_bytes(before_bytes, MAX_GROWTH_BYTES)?;
    let growth_mib = growth_bytes / MIB as u64;
    println!("{beside}; {} bad inputs, {growth_mib} MiB left behind", next.load(Ordering::Relaxed));
    ensure!(growth_bytes < MAX_GROWTH_BYTES, "{growth_bytes} bytes left behind");
    let (quiet, noisy) = beside.p99();
    let bound = if seconds.is_some() { quiet.mul_f64(MOST_TIMES) } else { quiet * 20 + Duration::from_secs(20) };
    ensure!(noisy <= bound, "p99 of others {noisy:?}, in quiet {quiet:?}");
    Ok(())
}

/// 31, 32, 39: many series, many new series, many tenants.
#[tokio::test]
async fn budgets_refuse_what_is_new_and_nothing_else() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let limits = "write: {global: {max_tenants: 20}, tenants: {churning: {new_series_per_minute_limit: 1000}}}";
    let node = Program::receiver(&dir.path().join("data"), &[&flags(dir.path(), limits)?])?;
    let (client, before_bytes) = (Client::new(), node.resident_bytes()?);
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
    let growth_bytes = node.growth_bytes(before_bytes, MAX_GROWTH_BYTES)?;
    println!("31, 32, 39 left {growth_bytes} bytes behind");
    ensure!(growth_bytes < MAX_GROWTH_BYTES, "31, 32, 39 left {growth_bytes} bytes behind");
    Ok(())
}

/// 40: names of tenants in labels.
#[tokio::test]
async fn labels_that_name_tenants_are_checked_like_headers() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let node = Program::receiver(&dir.path().join("data"), &["--receive.split-tenant-label-name=owner"])?;
    let (client, before_bytes) = (Client::new(), node.resident_bytes()?);
    for (name, right) in
        [("a", 200), ("..", 400), ("../x", 400), ("a/b", 400), ("a\\b", 400), ("x".repeat(200).as_str(), 400)]
    {
        let message = series(&[("__name__", "up"), ("owner", name)], &[(T, 1.0)]);
        let answer = Request::of(&message)?.send(&client, &node.url("remote-write")).await?;
        ensure!(answer.status == right, "40: {name:.10}: {answer:?}");
    }
    let growth_bytes = node.growth_bytes(before_bytes, MAX_GROWTH_BYTES)?;
    ensure!(growth_bytes < MAX_GROWTH_BYTES, "40 left {growth_bytes} bytes behind");
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
    let before_bytes = node.resident_bytes()?;
    ensure!(request.send(&client, &base).await?.status == 200, "41");
    ensure!(node.growth_bytes(before_bytes, MAX_GROWTH_BYTES)? < MAX_GROWTH_BYTES, "41: grew");
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
    let (client, base, before_bytes) = (Client::new(), node.url("remote-write"), node.resident_bytes()?);
    for (name, shown, right) in
        [("a", "", 401), ("a", "Bearer wrong", 401), ("a", "Bearer old", 200), ("", "", 200), ("../x", "", 401)]
    {
        let request = Request::of(&good())?.header("THANOS-TENANT", name).header("Authorization", shown);
        let answer = request.send(&client, &base).await?;
        ensure!(answer.status == right, "42: {name} {shown}: {answer:?}");
    }
    ensure!(node.growth_bytes(before_bytes, MAX_GROWTH_BYTES)? < MAX_GROWTH_BYTES, "42: grew");
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
