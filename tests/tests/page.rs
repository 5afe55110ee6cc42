//! The page at `/` in a real browser: what is stored is on it, and whatever a metric holds stays text.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use thanoxide_model::{Labels, METRIC_NAME, Sample};
use thanoxide_testkit::api::Api;
use thanoxide_testkit::program::Program;
use thanoxide_testkit::sender::Sender;

const HOSTILE: [&str; 6] = [
    "<script>document.title = 'executed'</script>",
    "<img src=x onerror=\"document.title = 'executed'\">",
    "</li></ol></main><style>body { display: none }</style>",
    "left \u{202e}right",
    "zero\0line\nquote\" back\\slash",
    "<b>שלום</b>",
];
const STEP_MS: i64 = 15_000;

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("the clock is past 1970").as_millis() as i64
}

/// The browser, where there is one. Continuous integration must have it.
fn browser() -> Result<Option<PathBuf>> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join("chromium")).find(|file| file.is_file());
    ensure!(found.is_some() || std::env::var_os("CI").is_none(), "chromium is missing: cargo xtask prepare");
    if found.is_none() {
        println!("not tested in a browser: chromium is not on the PATH");
    }
    Ok(found)
}

/// Opens an address, lets its scripts run for some seconds of the browser's own clock, and gives what the page became.
fn open(browser: &PathBuf, url: &str) -> Result<String> {
    let profile = tempfile::tempdir()?;
    let mut command = Command::new(browser);
    command.args(["--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]);
    command.args(["--disable-background-networking", "--disable-component-update", "--disable-extensions"]);
    // Root and containers have no user namespaces for the browser's own sandbox.
    command.args(["--no-sandbox", "--disable-dev-shm-usage", "--virtual-time-budget=4000", "--dump-dom"]);
    let mut program = Program::spawn(command.arg(format!("--user-data-dir={}", profile.path().display())).arg(url))?;
    program.await_line("</html>", "").with_context(|| format!("{url}: no page"))?;
    let page = program.log();
    program.wait(Duration::from_secs(20))?;
    let start = page.find("<html").context("no page")?;
    Ok(page[start..].to_string())
}

/// The text between two marks.
fn between<'a>(page: &'a str, start: &str, end: &str) -> Result<&'a str> {
    let rest = page.split_once(start).with_context(|| format!("no {start}: {page}"))?.1;
    Ok(rest.split_once(end).with_context(|| format!("no {end}"))?.0)
}

/// Forty minutes of a series for each hostile text, so that blocks of five minutes are cut.
async fn feed(program: &Program) -> Result<()> {
    let tenant = "<i>tenant</i>".replace('/', "|");
    let sender = Sender::new(format!("{}/api/v1/receive", program.url("remote-write"))).for_tenant(&tenant);
    let end_ms = now_ms();
    for start_ms in (end_ms - 2_400_000..end_ms).step_by(300_000) {
        let times = (start_ms..(start_ms + 300_000).min(end_ms)).step_by(STEP_MS as usize);
        let samples: Vec<Sample> = times.map(|t| Sample { timestamp_ms: t, value: (t % 7_000) as f64 }).collect();
        let series = |text: &&str| (Labels::from_pairs([(METRIC_NAME, "hostile"), ("text", text)]), samples.clone());
        sender.write(&HOSTILE.iter().map(series).collect::<Vec<_>>()).await?;
    }
    Ok(())
}

/// Waits until the page's data tell of blocks.
async fn await_blocks(program: &Program) -> Result<Value> {
    let (api, began) = (Api::new(program.url("http")), Instant::now());
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    loop {
        ticks.tick().await;
        let status: Value = serde_json::from_str(&api.text("/page/status").await?)?;
        if status["blocks"]["total"].as_u64() >= Some(3) {
            return Ok(status);
        }
        ensure!(began.elapsed() < Duration::from_secs(60), "no blocks: {status}; log:\n{}", program.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_what_is_stored_as_text() -> Result<()> {
    let Some(browser) = browser()? else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let program = Program::standalone(dir.path(), &["--tsdb.min-block-duration=5m", "--tsdb.max-block-duration=5m"])?;
    feed(&program).await?;
    let status = await_blocks(&program).await?;
    let page = open(&browser, &format!("{}/#query=hostile&range=3600", program.url("http")))?;

    ensure!(page.contains("<title>Thanoxide</title>"), "a script ran: {page}");
    ensure!(page.matches("<script").count() == 1 && !page.contains("<img"), "text became markup: {page}");
    let legend = between(&page, "<ol id=\"legend\"", "</ol>")?;
    for text in [
        "text=\"&lt;script&gt;document.title = 'executed'&lt;/script&gt;\"",
        "text=\"&lt;img src=x onerror=\\\"document.title = 'executed'\\\"&gt;\"",
        "text=\"&lt;/li&gt;&lt;/ol&gt;&lt;/main&gt;&lt;style&gt;",
        "text=\"left \\u202eright\"",
        "text=\"zero\\u0000line\\nquote\\\" back\\\\slash\"",
        "<bdi>text=\"&lt;b&gt;שלום&lt;/b&gt;\"</bdi>",
    ] {
        ensure!(legend.contains(text), "{text} is not in the legend: {legend}");
    }
    let graph = between(&page, "<svg id=\"graph\"", "</svg>")?;
    ensure!(graph.matches("<path class=\"line").count() == HOSTILE.len(), "lines are missing: {graph}");
    ensure!(graph.contains(" d=\"M") && !graph.contains("NaN"), "lines have no points: {graph}");

    let tenants = between(&page, "<tbody id=\"tenants\"", "</tbody>")?;
    for tenant in ["default-tenant", "thanoxide", "&lt;i&gt;tenant&lt;|i&gt;"] {
        ensure!(tenants.contains(&format!(">{tenant}</span>")), "no tenant {tenant}: {tenants}");
    }
    let blocks = between(&page, "<tbody id=\"blocks\"", "</tbody>")?;
    let block = status["blocks"]["rows"][0]["ulid"].as_str().context("no block")?;
    ensure!(blocks.contains(block), "no block {block}: {blocks}");
    let write = between(&page, "<pre id=\"write-snippet\"", "</pre>")?;
    let url = format!("remote_write:\n  - url: {}/api/v1/receive\n", program.url("remote-write"));
    ensure!(write.ends_with(&url), "{write}");
    let grafana = between(&page, "<pre id=\"grafana-snippet\"", "</pre>")?;
    ensure!(grafana.contains(&format!("    url: {}\n", program.url("http"))), "{grafana}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_says_what_is_missing_or_wrong() -> Result<()> {
    let Some(browser) = browser()? else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let program = Program::standalone(dir.path(), &["--no-self-scrape"])?;
    let page = open(&browser, &format!("{}/#query=sum(%3Cb%3E&range=300", program.url("http")))?;
    let message = between(&page, "<p id=\"query-message\"", "</p>")?;
    ensure!(message.contains("bad") && message.contains("bad_data: ") && message.contains("&lt;"), "{message}");
    let note = between(&page, "<p id=\"blocks-note\"", "</p>")?;
    ensure!(note.contains("None yet") && note.contains("3h"), "{note}");
    let page = open(&browser, &format!("{}/#query=nothing&range=300", program.url("http")))?;
    ensure!(between(&page, "<p id=\"query-message\"", "</p>")?.contains("No data in this range."), "{page}");
    Ok(())
}

/// The policy lets the browser load our own files and nothing else, and make no markup of text.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_forbids_what_it_does_not_need() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let program = Program::standalone(dir.path(), &["--no-self-scrape"])?;
    let base = program.url("http");
    for path in ["/", "/page/page.css", "/page/page.js", "/page/query.js", "/page/graph.js", "/page/text.js"] {
        let answer = reqwest::get(format!("{base}{path}")).await?;
        ensure!(answer.status().is_success(), "{path}: {}", answer.status());
        let policy = answer.headers()["content-security-policy"].to_str()?.to_string();
        ensure!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{path}: {policy}");
        ensure!(policy.contains("require-trusted-types-for 'script'"), "{path}: {policy}");
        ensure!(
            !answer.text().await?.replace("http://www.w3.org/", "").contains("://w"),
            "{path} loads from elsewhere"
        );
    }
    Ok(())
}
