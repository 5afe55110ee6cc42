//! `thanoxide standalone` as a newcomer meets it: data at once, clear words when something is wrong, a quick clean stop.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use thanoxide_model::{Labels, METRIC_NAME, Sample};
use thanoxide_testkit::api::Api;
use thanoxide_testkit::compare::series_count;
use thanoxide_testkit::program::{Program, own};
use thanoxide_testkit::s3::S3Server;
use thanoxide_testkit::sender::Sender;
use thanoxide_testkit::shared;

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("the clock is past 1970").as_millis() as i64
}

fn one(name: &str, timestamp_ms: i64, value: f64) -> Vec<(Labels, Vec<Sample>)> {
    vec![(Labels::from_pairs([(METRIC_NAME, name), ("a", "1")]), vec![Sample { timestamp_ms, value }])]
}

/// Asks until an answer is not empty.
async fn await_series(api: &Api, query: &str) -> Result<usize> {
    let (began, mut ticks) = (Instant::now(), tokio::time::interval(Duration::from_millis(100)));
    loop {
        ticks.tick().await;
        let answer = api.instant(query, now_ms()).await?;
        match series_count(&answer) {
            0 if began.elapsed() > Duration::from_secs(20) => bail!("{query} stays empty: {answer}"),
            0 => {}
            count => return Ok(count),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_minute_has_data_and_the_stop_is_clean() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut program = Program::standalone(dir.path(), &[])?;
    let api = Api::new(program.url("http"));
    ensure!(api.is_ready().await, "not ready");
    await_series(&api, "up{job=\"thanoxide\"}").await?;
    ensure!(await_series(&api, "{job=\"thanoxide\"}").await? > 20, "too few own metrics");
    let sender = Sender::new(format!("{}/api/v1/receive", program.url("remote-write")));
    let time_ms = now_ms();
    sender.write(&one("written", time_ms, 4.25)).await?;
    let answer = api.instant("written", time_ms).await?;
    ensure!(answer["data"]["result"][0]["value"][1] == "4.25", "{answer}");
    ensure!(answer["data"]["result"][0]["metric"]["tenant_id"] == "default-tenant", "{answer}");
    let began = Instant::now();
    ensure!(program.terminate(Duration::from_secs(30))?.success(), "no clean stop; log:\n{}", program.log());
    println!("stopped in {:?}", began.elapsed());

    let program = Program::standalone(dir.path(), &["--no-self-scrape"])?;
    let answer = Api::new(program.url("http")).instant("written", time_ms).await?;
    ensure!(answer["data"]["result"][0]["value"][1] == "4.25", "lost by a clean stop: {answer}");
    Ok(())
}

/// Runs a program that must fail at once, and gives what it said.
fn failing(args: &[&str]) -> Result<String> {
    let mut program = Program::spawn(Command::new(own("thanoxide")).args(args))?;
    let status = program.wait(Duration::from_secs(20))?;
    ensure!(!status.success(), "it should have failed; log:\n{}", program.log());
    Ok(program.log())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_one_clear_line() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let program = Program::standalone(dir.path(), &["--no-self-scrape"])?;
    let data_dir = format!("--data-dir={}", dir.path().display());
    let free = ["--http-address=127.0.0.1:0", "--grpc-address=127.0.0.1:0", "--remote-write.address=127.0.0.1:0"];
    let with = |more: &[&str]| -> Vec<String> {
        ["standalone"].iter().chain(free.iter()).chain(more).map(|s| s.to_string()).collect()
    };
    let run = |args: Vec<String>| failing(&args.iter().map(String::as_str).collect::<Vec<_>>());

    let log = run(with(&[&data_dir]))?;
    ensure!(log.contains("in use by another process"), "second process on a directory: {log}");
    let busy = program.address("http");
    let other = tempfile::tempdir()?;
    let other_dir = format!("--data-dir={}", other.path().display());
    let log = failing(&["standalone", &other_dir, &format!("--http-address={busy}")])?;
    ensure!(log.contains("--http-address") && log.contains(busy), "busy port: {log}");
    ensure!(other.path().read_dir()?.next().is_none(), "a failed start left something behind");
    for (args, words) in [
        (vec!["--no-such-flag"], "unknown long flag '--no-such-flag'"),
        (vec!["--tsdb.retention=soon"], "soon"),
        (vec!["--label=replica=unquoted"], "--label"),
        (vec!["--objstore.config=type: TAPE"], "TAPE"),
        (vec!["--objstore.config={type: S3, config: {bucket: b, endpoint: e, colour: red}}"], "colour"),
    ] {
        let mut all = vec![other_dir.as_str()];
        all.extend(args.iter());
        let log = run(with(&all))?;
        ensure!(log.contains(words), "{args:?}: {log}");
    }
    let api = Api::new(program.url("http"));
    ensure!(api.is_ready().await, "the first process suffered");
    Ok(())
}

/// A bucket that is down: the data stays here, the log says so, and all is uploaded once it is back.
#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_down_costs_nothing() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let config = "{type: S3, config: {bucket: blocks, endpoint: '127.0.0.1:9', insecure: true, access_key: k, \
                  secret_key: s, max_retries: 1}}";
    let args = [
        "--tsdb.min-block-duration=5m",
        "--tsdb.max-block-duration=5m",
        "--no-self-scrape",
        &format!("--objstore.config={config}"),
    ];
    let mut program = Program::standalone(dir.path(), &args)?;
    let (sender, api) =
        (Sender::new(format!("{}/api/v1/receive", program.url("remote-write"))), Api::new(program.url("http")));
    let start_ms = now_ms() - 3_600_000;
    for i in 0..120 {
        sender.write(&one("written", start_ms + i * 15_000, i as f64)).await?;
    }
    program.await_line("level=error", "block was not uploaded")?;
    let answer = api.instant("count_over_time(written[30m])", start_ms + 1_799_000).await?;
    ensure!(answer["data"]["result"][0]["value"][1] == "120", "{answer}");
    ensure!(program.terminate(Duration::from_secs(30))?.success(), "no clean stop; log:\n{}", program.log());

    let server = S3Server::start("blocks").await?;
    let args = [args[0], args[1], args[2], &format!("--objstore.config={}", server.config())];
    let mut program = Program::standalone(dir.path(), &args)?;
    let (began, mut ticks) = (Instant::now(), tokio::time::interval(Duration::from_millis(200)));
    let uploaded = || server.objects().read_dir().map_or(0, Iterator::count);
    while uploaded() < 4 {
        ticks.tick().await;
        ensure!(began.elapsed() < Duration::from_secs(60), "{} uploaded; log:\n{}", uploaded(), program.log());
    }
    let answer = Api::new(program.url("http")).instant("count_over_time(written[30m])", start_ms + 1_799_000).await?;
    ensure!(answer["data"]["result"][0]["value"][1] == "120", "{answer}");
    ensure!(program.terminate(Duration::from_secs(30))?.success(), "no clean stop; log:\n{}", program.log());
    Ok(())
}

/// What Grafana's Prometheus data source sends is answered in the shapes that it expects.
#[tokio::test(flavor = "multi_thread")]
async fn grafana_is_content() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let program = Program::standalone(dir.path(), &[])?;
    let api = Api::new(program.url("http"));
    await_series(&api, "up").await?;
    let now = now_ms() / 1000;
    let requests = shared::json("corpora/grafana/requests.json")?;
    let (mut asked, mut wrong) = (0, Vec::new());
    for request in requests["requests"].as_array().into_iter().flatten() {
        let path = request["path"].as_str().unwrap_or_default();
        let Some(path) = path.strip_prefix("/api/v1/").filter(|p| !p.contains('?')) else { continue };
        let expected = request["stock"]["status"].as_u64().unwrap_or_default();
        if expected != 200 && expected != 400 || path == "status/flags" {
            continue;
        }
        let fill = |text: &str| {
            text.replace("${START_MS}", &format!("{}", (now - 600) * 1000))
                .replace("${END_MS}", &format!("{}", now * 1000))
                .replace("${START}", &(now - 600).to_string())
                .replace("${PARTIAL_START}", &(now - 300).to_string())
                .replace("${SNAP_START}", &(now - 600).to_string())
                .replace("${SNAP_END}", &now.to_string())
                .replace("${END}", &now.to_string())
                .replace("${STEP}", "15")
        };
        let params: Vec<(String, String)> = request["params"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), fill(value.as_str().unwrap_or_default())))
            .collect();
        let params: Vec<(&str, &str)> = params.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let (status, answer) = match request["method"].as_str() {
            Some("POST") => api.post(path, &params).await?,
            _ => api.get(path, &params).await?,
        };
        asked += 1;
        let ok = u64::from(status) == expected && (status != 200 || answer["status"] == "success");
        if !ok {
            wrong.push(format!("{} {path} {params:?}: {status}, stock {expected}: {answer:.200}", request["method"]));
        }
    }
    ensure!(wrong.is_empty(), "{} of {asked} requests:\n{}", wrong.len(), wrong.join("\n"));
    ensure!(asked > 25, "only {asked} requests were asked");
    Ok(())
}
