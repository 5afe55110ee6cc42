//! What flags and files promise of `receive`, seen from outside: limits that a Prometheus or a changed file sets, rings that turn bad, tenants
//! that are deleted, samples of the future, the header of replicas, hints that do not fit.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use thanoxide_testkit::nodes::{Node, write_ring};
use thanoxide_testkit::program::Program;
use thanoxide_testkit::raw_write::{Request, read_all, series};
use thanoxide_testkit::sender::Answer;

const DEADLINE: Duration = Duration::from_secs(60);
const MINUTE_MS: i64 = 60_000;
/// So many times a bad file is read before it is sure to change nothing.
const RELOADS: f64 = 3.0;
/// Nobody listens there.
const DEAD: &str = "127.0.0.1:9";

fn now_ms() -> i64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() as i64)
}

/// A write of so many series with a sample each.
fn request(tenant: &str, count: usize, time_ms: i64) -> Result<Request> {
    let one = |i: usize| series(&[("__name__", "wired"), ("i", &i.to_string())], &[(time_ms, 1.0)]);
    Ok(Request::of(&(0..count).flat_map(one).collect::<Vec<u8>>())?.header("THANOS-TENANT", tenant))
}

async fn sent(program: &Program, request: Request) -> Result<Answer> {
    request.send(&Client::new(), &program.url("remote-write")).await
}

/// The status that a write of now gets.
async fn write(program: &Program, tenant: &str, count: usize) -> Result<u16> {
    Ok(sent(program, request(tenant, count, now_ms())?).await?.status)
}

/// The value of a metric, named with its labels.
async fn metric(program: &Program, name: &str) -> Result<Option<f64>> {
    let text = reqwest::get(format!("{}/metrics", program.url("http"))).await?.text().await?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(line.map(str::parse).transpose()?)
}

async fn until(program: &Program, what: &str, mut holds: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + DEADLINE;
    while !holds().await? {
        ensure!(Instant::now() < end, "never: {what}; log:\n{}", program.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn until_metric(program: &Program, name: &str, value: f64) -> Result<()> {
    until(program, &format!("{name} {value}"), async || Ok(metric(program, name).await? == Some(value))).await
}

async fn until_status(program: &Program, tenant: &str, count: usize, status: u16) -> Result<()> {
    let what = format!("{status} for {count} series of {tenant}");
    until(program, &what, async || Ok(write(program, tenant, count).await? == status)).await
}

/// Puts content into a file at once: nobody reads half of it.
fn replace(file: &Path, content: &str) -> Result<()> {
    let next = file.with_extension("next");
    fs::write(&next, content)?;
    Ok(fs::rename(next, file)?)
}

/// A Prometheus with one answer for everybody: its URL, and the first lines of the requests it gets.
fn prometheus(answer: &Value) -> Result<(String, Receiver<String>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    let (body, (asked, requests)) = (answer.to_string(), channel());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let length = body.len();
            // Whoever asked may be gone, and so may the test.
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
            let _ = asked.send(head.into_iter().next().unwrap_or_default());
        }
    });
    Ok((url, requests))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_with_too_many_series_in_the_meta_monitoring_is_refused() -> Result<()> {
    let of = |tenant: &str, series: &str| json!({"metric": {"tenant": tenant}, "value": [1.5, series]});
    let vector = json!([of("full", "11"), of("even", "10"), of("small", "9"), of("free", "11")]);
    let answer = json!({"status": "success", "data": {"resultType": "vector", "result": vector}});
    let (url, requests) = prometheus(&answer)?;
    let dir = tempfile::tempdir()?;
    let limits = dir.path().join("limits.yaml");
    let global = json!({
        "meta_monitoring_url": url,
        "meta_monitoring_limit_query": "sum(prometheus_tsdb_head_series) by (tenant)",
    });
    let tenants = json!({"free": {"head_series_limit": 0}});
    let of_all = json!({"write": {"global": global, "default": {"head_series_limit": 10}, "tenants": tenants}});
    fs::write(&limits, of_all.to_string())?;
    let limits = format!("--receive.limits-config-file={}", limits.display());
    let program = Program::receiver(&dir.path().join("data"), &[&limits])?;
    let asked = requests.recv_timeout(DEADLINE).context("the meta-monitoring is not asked")?;
    let wanted = "GET /api/v1/query?query=sum%28prometheus_tsdb_head_series%29+by+%28tenant%29 HTTP/1.1";
    ensure!(asked == wanted, "{asked}");
    until_status(&program, "full", 1, 429).await?;
    for (tenant, status) in [("even", 429), ("small", 200), ("free", 200), ("unknown", 200), ("full", 429)] {
        ensure!(write(&program, tenant, 1).await? == status, "{tenant}; log:\n{}", program.log());
    }
    let refused = "thanos_receive_head_series_limited_requests_total{tenant=\"even\"}";
    ensure!(metric(&program, refused).await? == Some(1.0), "the refusal is not counted");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_read_again_and_a_bad_file_changes_nothing() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("limits.yaml");
    replace(&file, "write: {}\n")?;
    let flag = format!("--receive.limits-config-file={}", file.display());
    let args = [flag.as_str(), "--receive.limits-config-reload-timer=50ms"];
    let program = Program::receiver(&dir.path().join("data"), &args)?;
    ensure!(write(&program, "a", 3).await? == 200);
    // One limit is kept at the door, the other by the storage.
    let limits = "write: {default: {request: {series_limit: 2}}, tenants: {b: {active_series_limit: 1}}}";
    replace(&file, limits)?;
    until_status(&program, "a", 3, 413).await?;
    until_status(&program, "b", 2, 429).await?;
    let failed = "thanos_receive_limits_config_reload_err_total";
    ensure!(metric(&program, failed).await? == Some(0.0));
    for bad in [Some("write: ["), Some("write: {nonsense: 1}"), None] {
        match bad {
            Some(content) => replace(&file, content)?,
            None => fs::remove_file(&file)?,
        }
        let before = metric(&program, failed).await?.unwrap_or_default();
        let more = async || Ok(metric(&program, failed).await?.is_some_and(|now| now >= before + RELOADS));
        until(&program, "the bad file is not seen", more).await?;
        for (tenant, count, status) in [("a", 3, 413), ("a", 2, 200), ("b", 2, 429)] {
            ensure!(write(&program, tenant, count).await? == status, "{bad:?}: {count} of {tenant}");
        }
    }
    replace(&file, "write: {default: {request: {series_limit: 3}}}")?;
    until_status(&program, "a", 3, 200).await?;
    until_status(&program, "b", 2, 200).await?;
    ensure!(write(&program, "a", 4).await? == 413);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hashring_file_that_turns_bad_leaves_the_old_ring() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let nodes = [Node::start(dir.path(), 0)?, Node::start(dir.path(), 1)?];
    let file = dir.path().join("hashrings.json");
    write_ring(&file, &nodes[..1])?;
    let flag = format!("--receive.hashrings-file={}", file.display());
    let router = Program::receiver(&dir.path().join("router"), &[&flag])?;
    let of_file = |what: &str| format!("thanos_receive_hashrings_file_{what}_total");
    let (errors, refreshes) = (of_file("errors"), of_file("refreshes"));
    let successful = "thanos_receive_config_last_reload_successful";
    ensure!(write(&router, "a", 2).await? == 200 && nodes[0].taken().await? == 2.0);
    ensure!(metric(&router, &errors).await? == Some(0.0) && metric(&router, successful).await? == Some(1.0));
    // Each is told of once: the file is looked at all the time, but counts when it changes.
    for (turn, bad) in (1..).zip([Some("[{"), Some("[]"), None]) {
        match bad {
            Some(content) => replace(&file, content)?,
            None => fs::remove_file(&file)?,
        }
        until_metric(&router, &errors, f64::from(turn)).await?;
        ensure!(metric(&router, &refreshes).await? == Some(f64::from(turn)), "{bad:?}");
        ensure!(metric(&router, successful).await? == Some(0.0), "{bad:?}");
        ensure!(write(&router, "a", 2).await? == 200, "{bad:?}");
        ensure!(nodes[0].taken().await? == 2.0 + 2.0 * f64::from(turn) && nodes[1].taken().await? == 0.0, "{bad:?}");
    }
    write_ring(&file, &nodes[1..])?;
    until_metric(&router, &of_file("changes"), 2.0).await?;
    until_metric(&router, successful, 1.0).await?;
    ensure!(metric(&router, &refreshes).await? == Some(4.0) && metric(&router, &errors).await? == Some(3.0));
    ensure!(write(&router, "a", 2).await? == 200);
    ensure!(nodes[0].taken().await? == 8.0 && nodes[1].taken().await? == 2.0, "the new ring is not used");
    Ok(())
}

/// Stock cuts every head when a ring changes, and takes no write meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn another_ring_flushes_nothing() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (data, file) = (dir.path().join("data"), dir.path().join("hashrings.json"));
    replace(&file, r#"[{"endpoints":["this:1"]}]"#)?;
    let flags = [format!("--receive.hashrings-file={}", file.display()), "--receive.local-endpoint=this:1".to_string()];
    let node = Program::receiver(&data, &flags.each_ref().map(String::as_str))?;
    ensure!(write(&node, "a", 50).await? == 200);
    let series = metric(&node, r#"prometheus_tsdb_head_series{tenant="a"}"#).await?;
    ensure!(series == Some(50.0), "{series:?}");
    replace(&file, r#"[{"tenants":["a"],"endpoints":["this:1"]},{"endpoints":["127.0.0.1:9"]}]"#)?;
    until_metric(&node, "thanos_receive_hashrings_file_changes_total", 2.0).await?;
    ensure!(write(&node, "a", 50).await? == 200);
    ensure!(metric(&node, r#"prometheus_tsdb_head_series{tenant="a"}"#).await? == series);
    let names = fs::read_dir(data.join("a"))?.map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default()));
    let blocks: Vec<String> =
        names.filter(|name: &Result<String>| name.as_ref().is_ok_and(|n| n.len() == 26)).collect::<Result<_>>()?;
    ensure!(blocks.is_empty(), "{blocks:?}");
    Ok(())
}

/// The tenants of all series that the StoreAPI tells of.
fn told(program: &Program) -> Result<BTreeSet<String>> {
    let tenant_of = |labels: String| {
        let labels: Vec<(String, String)> = serde_json::from_str(&labels)?;
        let tenant = labels.into_iter().find(|(name, _)| name == "tenant_id").context("a series without tenant")?;
        Ok(tenant.1)
    };
    read_all(program.address("grpc"))?.into_keys().map(tenant_of).collect()
}

/// The tenants of all blocks in a bucket.
fn uploaded(bucket: &Path) -> Result<BTreeSet<String>> {
    let metas = fs::read_dir(bucket)?.map(|entry| Ok(entry?.path().join("meta.json")));
    let metas = metas.filter(|path: &Result<_>| path.as_ref().is_ok_and(|path| path.exists()));
    let tenant_of = |path| {
        let meta: Value = serde_json::from_slice(&fs::read(path)?)?;
        Ok(meta["thanos"]["labels"]["tenant_id"].as_str().context("a block without tenant")?.to_string())
    };
    metas.map(|path| path.and_then(tenant_of)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_is_deleted_is_gone_with_its_data_and_others_stay() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (data, bucket) = (dir.path().join("data"), dir.path().join("bucket"));
    let objstore = format!("--objstore.config={{type: FILESYSTEM, config: {{directory: {}}}}}", bucket.display());
    let delete = async |program: &Program, tenant: &str| {
        let request = Request::new(Vec::new()).method(Method::DELETE).path(&format!("/api/v1/tenants/{tenant}"));
        anyhow::Ok(request.send(&Client::new(), &program.url("http")).await?.status)
    };
    let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<BTreeSet<_>>();
    // Blocks in the bucket, and the rest in heads.
    let mut program = Program::receiver(&data, &[&objstore, "--tsdb.flush-on-shutdown"])?;
    for tenant in ["gone", "stays"] {
        ensure!(write(&program, tenant, 2).await? == 200);
    }
    ensure!(delete(&program, "gone").await? == 404, "nobody asked for deletion");
    ensure!(program.terminate(DEADLINE)?.success(), "{}", program.log());
    ensure!(uploaded(&bucket)? == names(&["gone", "stays"]));
    let args = [objstore.as_str(), "--receive.tenant-deletion"];
    let mut program = Program::receiver(&data, &args)?;
    for tenant in ["gone", "stays", "default-tenant"] {
        ensure!(write(&program, tenant, 2).await? == 200);
    }
    ensure!(told(&program)? == names(&["default-tenant", "gone", "stays"]) && data.join("gone").exists());
    for (tenant, status) in [("gone", 204), ("gone", 204), ("default-tenant", 409), ("never-there", 204)] {
        ensure!(delete(&program, tenant).await? == status, "{tenant}; log:\n{}", program.log());
    }
    let left = names(&["default-tenant", "stays"]);
    ensure!(told(&program)? == left && !data.join("gone").exists() && data.join("stays").exists());
    ensure!(uploaded(&bucket)? == names(&["stays"]), "{:?}", uploaded(&bucket)?);
    // Nothing comes back with the log after a crash, and the tenant may begin anew.
    program.kill()?;
    let program = Program::receiver(&data, &args)?;
    ensure!(told(&program)? == left, "{:?}", told(&program)?);
    ensure!(write(&program, "gone", 1).await? == 200 && told(&program)?.contains("gone"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn standalone_refuses_samples_of_the_future_and_receive_takes_them() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let standalone = Program::standalone(&dir.path().join("standalone"), &["--no-self-scrape"])?;
    let receive = Program::receiver(&dir.path().join("receive"), &[])?;
    let guard = ["--tsdb.too-far-in-future.time-window=5m"];
    let guarded = Program::receiver(&dir.path().join("guarded"), &guard)?;
    let cases = [(4, [200, 200, 200]), (9, [200, 200, 409]), (11, [409, 200, 409]), (24 * 60, [409, 200, 409])];
    for (minutes, wanted) in cases {
        for (program, status) in [&standalone, &receive, &guarded].into_iter().zip(wanted) {
            let answer = sent(program, request("a", 1, now_ms() + minutes * MINUTE_MS)?).await?;
            let in_stocks_words = status == 200 || answer.text.contains("too far in the future");
            ensure!(answer.status == status && in_stocks_words, "{minutes} min: {answer:?}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_header_of_replicas_has_the_name_that_it_is_given() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let program = Program::receiver(dir.path(), &["--receive.replica-header=X-Copy"])?;
    for (header, value, status) in
        [("X-Copy", "first", 400), ("x-copy", "-1", 400), ("X-Copy", "2", 200), ("THANOS-REPLICA", "first", 200)]
    {
        let request = request("a", 1, now_ms())?.header(header, value);
        ensure!(sent(&program, request).await?.status == status, "{header}: {value}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn hints_that_do_not_fit_or_are_too_old_are_not_kept() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let nodes = [Node::start(dir.path(), 0)?, Node::start(dir.path(), 1)?];
    let ring = json!([{"endpoints": [nodes[0].grpc, nodes[1].grpc, DEAD]}]);
    let ring = format!("--receive.hashrings={ring}");
    let args = [ring.as_str(), "--receive.replication-factor=3"];
    let some = [args[0], args[1], "--receive.hints-max-bytes=1KB", "--receive.hints-max-age=1s"];
    let router = Program::receiver(&dir.path().join("router"), &some)?;
    let dropped = |reason: &str| format!("thanoxide_router_hints_dropped_total{{reason=\"{reason}\"}}");
    let kept = "thanoxide_router_hints_kept_total";
    ensure!(write(&router, "a", 1000).await? == 200, "two of three are a quorum");
    // The dead node is the first of the three for some series, the second and the third for others: three parts.
    until_metric(&router, &dropped("full"), 3.0).await?;
    ensure!(metric(&router, kept).await? == Some(0.0));
    ensure!(write(&router, "a", 1).await? == 200);
    until_metric(&router, kept, 1.0).await?;
    until_metric(&router, &dropped("old"), 1.0).await?;
    until_metric(&router, "thanoxide_router_hints_bytes", 0.0).await?;
    ensure!(metric(&router, &dropped("full")).await? == Some(3.0));
    let none = [args[0], args[1], "--receive.hints-max-bytes=0"];
    let router = Program::receiver(&dir.path().join("no-hints"), &none)?;
    ensure!(write(&router, "a", 1).await? == 200 && metric(&router, kept).await?.is_none());
    ensure!(
        !dir.path().join("no-hints/thanoxide.hints").exists() && dir.path().join("router/thanoxide.hints").exists()
    );
    Ok(())
}
