//! TLS and mutual TLS between programs, ours and Thanos's own, with certificates that change while they run.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use thanoxide_model::{Labels, METRIC_NAME, Sample, TenantId, write_batch::WriteBatchBuilder};
use thanoxide_storeapi::grpc::{ClientTls, ClientTlsConfig};
use thanoxide_storeapi::{ClientConfig, RemoteWriter, WriteError, WriteStore};
use thanoxide_testkit::certificates::{Authority, CertificateFiles};
use thanoxide_testkit::program::{Program, interop};
use thanoxide_testkit::sender::Sender;

const TIME_MS: i64 = 1_790_000_000_000;
const SETTLE_DEADLINE: Duration = Duration::from_secs(60);

fn flags(prefix: &str, files: &CertificateFiles, ca: &str) -> Vec<String> {
    let flag = |name: &str, file: &str| format!("--{prefix}-{name}={}", files.text(file));
    vec![flag("cert", "cert.pem"), flag("key", "key.pem"), flag(ca, "ca.pem")]
}

fn ingester(dir: &Path, args: &[String]) -> Result<Program> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    Program::receiver(dir, &args)
}

fn series(name: &str) -> Vec<(Labels, Vec<Sample>)> {
    let sample = Sample { timestamp_ms: TIME_MS, value: 1.0 };
    vec![(Labels::from_pairs([(METRIC_NAME, "tls_total"), ("name", name)]), vec![sample])]
}

/// Writes one series over gRPC, on a connection of its own.
async fn write(address: &str, tls: &ClientTls, name: &str) -> Result<(), WriteError> {
    let client = ClientConfig { tls: Some(tls.clone()), ..ClientConfig::default() };
    let writer = RemoteWriter::connect(address, &client).expect("an address");
    let mut builder = WriteBatchBuilder::default();
    for (labels, samples) in series(name) {
        builder.push(&labels, &samples);
    }
    let tenant = TenantId::new("default-tenant").expect("a tenant");
    writer.write(&tenant, Arc::new(builder.build())).await.map(drop)
}

fn client(files: &CertificateFiles, change: impl FnOnce(&mut ClientTlsConfig)) -> Result<ClientTls> {
    let text = |name: &str| files.text(name);
    let mut config = ClientTlsConfig::from_flags(&text("ca.pem"), &text("cert.pem"), &text("key.pem"), "")?;
    change(&mut config);
    Ok(ClientTls::new(config)?)
}

/// Both ends of gRPC: who has no certificate, another's or one of an unknown authority stays out; new files count at once.
#[tokio::test]
async fn grpc_takes_known_certificates_only_and_reads_new_ones() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (old, new) = (Authority::new("old")?, Authority::new("new")?);
    let mut server = CertificateFiles::new(&dir.path().join("server"), &old, &old, "server")?;
    let mut own = CertificateFiles::new(&dir.path().join("client"), &old, &old, "client")?;
    let node = ingester(&dir.path().join("data"), &flags("grpc-server-tls", &server, "client-ca"))?;
    // By address: the certificate holds for 127.0.0.1.
    let address = node.address("grpc");

    let tls = client(&own, |_| ())?;
    write(address, &tls, "known").await?;
    let stranger = CertificateFiles::new(&dir.path().join("stranger"), &new, &old, "stranger")?;
    ensure!(write(address, &client(&stranger, |_| ())?, "stranger").await.is_err());
    ensure!(write(address, &client(&own, |config| config.identity = None)?, "nobody").await.is_err());
    ensure!(write(address, &client(&own, |config| config.server_name = "other".into())?, "other name").await.is_err());
    write(address, &client(&own, |config| config.server_name = "localhost".into())?, "named").await?;

    // A broken file changes nothing, and all new ones count for the next connection.
    server.put("cert.pem", "no certificate")?;
    write(address, &tls, "broken").await?;
    server.renew(&new, &new, "server")?;
    ensure!(write(address, &tls, "old client").await.is_err());
    let unverified = |config: &mut ClientTlsConfig| config.skip_verify = true;
    ensure!(write(address, &client(&own, unverified)?, "old certificate").await.is_err());
    own.renew(&new, &new, "client")?;
    write(address, &tls, "renewed").await?;
    own.renew(&new, &old, "client")?;
    ensure!(write(address, &client(&own, |_| ())?, "unknown server").await.is_err());
    write(address, &client(&own, unverified)?, "unverified").await?;
    Ok(())
}

fn remote_write(files: &CertificateFiles, with_identity: bool) -> Result<reqwest::Client> {
    let ca = reqwest::Certificate::from_pem(&std::fs::read(files.path("ca.pem"))?)?;
    let builder = reqwest::Client::builder().no_proxy().tls_certs_only([ca]).pool_max_idle_per_host(0);
    if !with_identity {
        return Ok(builder.build()?);
    }
    let pem = [std::fs::read(files.path("key.pem"))?, std::fs::read(files.path("cert.pem"))?].concat();
    Ok(builder.identity(reqwest::Identity::from_pem(&pem)?).build()?)
}

/// The listeners of remote writes and of the other HTTP endpoints.
#[tokio::test]
async fn http_takes_known_certificates_only_and_reads_new_ones() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (old, new) = (Authority::new("old")?, Authority::new("new")?);
    let mut server = CertificateFiles::new(&dir.path().join("server"), &old, &old, "server")?;
    let mut own = CertificateFiles::new(&dir.path().join("client"), &old, &old, "client")?;
    let web = dir.path().join("web.yml");
    std::fs::write(
        &web,
        format!(
            "tls_server_config: {{cert_file: {:?}, key_file: {:?}, client_ca_file: {:?}, client_auth_type: RequireAndVerifyClientCert}}",
            server.text("cert.pem"),
            server.text("key.pem"),
            server.text("ca.pem")
        ),
    )?;
    let mut args = flags("remote-write.server-tls", &server, "client-ca");
    args.push(format!("--http.config={}", web.display()));
    let node = ingester(&dir.path().join("data"), &args)?;
    let urls = [
        (format!("https://{}/api/v1/status/tsdb", node.address("remote-write")), 200),
        (format!("https://{}/-/ready", node.address("http")), 200),
    ];
    for (url, status) in &urls {
        let ask = async |client: Result<reqwest::Client>| {
            client.ok()?.get(url).send().await.ok().map(|r| r.status().as_u16())
        };
        ensure!(ask(remote_write(&own, true)).await == Some(*status), "{url}");
        ensure!(ask(remote_write(&own, false)).await.is_none(), "{url} without a certificate");
    }
    server.renew(&new, &new, "server")?;
    for (url, status) in &urls {
        let ask = async |client: Result<reqwest::Client>| {
            client.ok()?.get(url).send().await.ok().map(|r| r.status().as_u16())
        };
        own.renew(&old, &new, "client")?;
        ensure!(ask(remote_write(&own, true)).await.is_none(), "{url} with an old certificate");
        own.renew(&new, &new, "client")?;
        ensure!(ask(remote_write(&own, true)).await == Some(*status), "{url} with a new one");
    }
    Ok(())
}

/// What Thanos's own client reads of a StoreAPI behind mutual TLS.
fn stock_reads(address: &str, files: &CertificateFiles) -> Result<BTreeSet<String>> {
    let mut command = Command::new(interop("storereader"));
    command.args(["--endpoint", address, "--tls-ca", &files.text("ca.pem")]);
    command.args(["--tls-cert", &files.text("cert.pem"), "--tls-key", &files.text("key.pem"), "values", "name"]);
    let output = command.output().context("storereader is missing: cargo xtask prepare")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

fn await_names(address: &str, files: &CertificateFiles, names: &[&str]) -> Result<()> {
    let end = Instant::now() + SETTLE_DEADLINE;
    let wanted: BTreeSet<String> = names.iter().map(|name| name.to_string()).collect();
    loop {
        let read = stock_reads(address, files);
        if read.as_ref().is_ok_and(|read| *read == wanted) {
            return Ok(());
        }
        ensure!(Instant::now() < end, "{read:?}, wanted {wanted:?}");
    }
}

/// Our router to a stock ingester, a stock router to ours, and Thanos's client to both, before and after all
/// certificates have changed.
#[tokio::test]
async fn stock_and_ours_meet_behind_mutual_tls() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (old, new) = (Authority::new("old")?, Authority::new("new")?);
    let mut files = CertificateFiles::new(&dir.path().join("tls"), &old, &old, "node")?;
    let stock_tls = |files: &CertificateFiles| {
        let flag = |name: &str, file: &str| [format!("--tls-{name}"), files.text(file)];
        [flag("cert", "cert.pem"), flag("key", "key.pem"), flag("ca", "ca.pem")].concat()
    };
    let stock = |name: &str, more: &[&str]| {
        let tls = stock_tls(&files);
        let args: Vec<&str> = tls.iter().map(String::as_str).chain(more.iter().copied()).collect();
        Program::stock_ring(&dir.path().join(name), &args)
    };
    let stock_ingester = stock("stock-ingester", &[])?;
    let our_ingester = ingester(&dir.path().join("our-ingester"), &flags("grpc-server-tls", &files, "client-ca"))?;
    let ring = |name: &str, node: &Program| -> Result<String> {
        let path = dir.path().join(name);
        std::fs::write(&path, json!([{"endpoints": [node.address("grpc")]}]).to_string())?;
        Ok(path.to_string_lossy().into_owned())
    };
    let our_router = {
        let mut args = flags("remote-write.client-tls", &files, "ca");
        args.push("--remote-write.client-tls-secure".to_string());
        args.push(format!("--receive.hashrings-file={}", ring("of-stock", &stock_ingester)?));
        ingester(&dir.path().join("our-router"), &args)?
    };
    let stock_router = stock("stock-router", &["--hashrings-file", &ring("of-ours", &our_ingester)?])?;
    let send = async |router: &Program, name: &str| {
        let url = format!("{}/api/v1/receive", router.url("remote-write"));
        Sender::new(url).write(&series(name)).await
    };
    send(&our_router, "first").await?;
    send(&stock_router, "first").await?;
    await_names(stock_ingester.address("grpc"), &files, &["first"])?;
    await_names(our_ingester.address("grpc"), &files, &["first"])?;
    // Stock reads its CAs once, so they stay; certificates and keys are new.
    files.renew(&old, &old, "node")?;
    let reader = CertificateFiles::new(&dir.path().join("reader"), &old, &old, "reader")?;
    send(&our_router, "second").await?;
    send(&stock_router, "second").await?;
    await_names(stock_ingester.address("grpc"), &reader, &["first", "second"])?;
    await_names(our_ingester.address("grpc"), &reader, &["first", "second"])?;
    let stranger = CertificateFiles::new(&dir.path().join("stranger"), &new, &old, "stranger")?;
    ensure!(stock_reads(our_ingester.address("grpc"), &stranger).is_err());
    Ok(())
}
