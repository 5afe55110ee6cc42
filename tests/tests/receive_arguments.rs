//! The argument lists that others start stock's `receive` with: ours comes to the outcome that is recorded for stock, and what is ready
//! takes a write.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use reqwest::Client;
use serde_json::Value;
use thanoxide_testkit::program::{Program, own};
use thanoxide_testkit::raw_write::{Request, series};

/// From the start to ready.
const MOST_TIME_TO_READY: Duration = Duration::from_secs(5);
/// As many as the members of the largest ring.
const LIVE_MEMBERS: usize = 3;

fn shared() -> PathBuf {
    let root = std::env::var_os("THANOXIDE_SHARED").map(PathBuf::from);
    root.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")))
}

/// Values of the placeholders for one list. Ports are free at this moment; lists name them more than once.
fn values(dir: &Path) -> BTreeMap<&'static str, String> {
    let dir = |name: &str| {
        let path = dir.join(name);
        std::fs::create_dir_all(&path).unwrap();
        path.to_string_lossy().into_owned()
    };
    let listeners: Vec<TcpListener> = (0..4).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let port = |n: usize| listeners[n].local_addr().unwrap().port().to_string();
    let tls = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/server/tests/data");
    for (name, file) in [("server.crt", "server.pem"), ("server.key", "server.key.pem"), ("ca.crt", "ca.pem")] {
        std::fs::copy(Path::new(tls).join(file), Path::new(&dir("tls")).join(name)).unwrap();
    }
    BTreeMap::from([
        ("${BIND}", "127.0.0.1".to_string()),
        ("${HTTP_PORT}", port(0)),
        ("${GRPC_PORT}", port(1)),
        ("${REMOTE_WRITE_PORT}", port(2)),
        ("${CAPNP_PORT}", port(3)),
        ("${DATA_DIR}", dir("data")),
        ("${CONF_DIR}", dir("conf")),
        ("${TLS_DIR}", dir("tls")),
        ("${BUCKET_DIR}", dir("bucket")),
        ("${OBJSTORE_CONFIG}", format!("type: FILESYSTEM\nconfig:\n  directory: {}\n", dir("bucket"))),
        ("${QUERY_ADDR}", "127.0.0.1:9".to_string()),
        ("${POD_NAME}", "thanos-0".to_string()),
        ("${NAMESPACE}", "thanos".to_string()),
    ])
}

fn filled(text: &str, values: &BTreeMap<&'static str, String>) -> String {
    values.iter().fold(text.to_string(), |text, (placeholder, value)| text.replace(placeholder, value))
}

/// Members of rings that live.
struct Members {
    _dir: tempfile::TempDir,
    programs: Vec<Program>,
}

impl Members {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let programs = (0..LIVE_MEMBERS).map(|n| Program::receiver(&dir.path().join(n.to_string()), &[]).unwrap());
        Members { programs: programs.collect(), _dir: dir }
    }

    /// Rings with live members in the place of all that are not the program itself. What is no ring stays as it is.
    fn revive(&self, text: &str, own: &[String]) -> String {
        let Ok(Value::Array(mut rings)) = serde_json::from_str(text) else { return text.to_string() };
        for ring in &mut rings {
            let members = ring["endpoints"].as_array_mut().unwrap().iter_mut();
            let dead = members.filter(|member| !own.iter().any(|o| *o == member_address(member)));
            for (member, live) in dead.zip(&self.programs) {
                match member {
                    Value::String(address) => *address = live.address("grpc").to_string(),
                    other => {
                        other["address"] = live.address("grpc").into();
                        other["capnproto_address"] = live.address("capnproto").into();
                    }
                }
            }
        }
        Value::Array(rings).to_string()
    }
}

fn member_address(member: &Value) -> &str {
    member.as_str().or_else(|| member["address"].as_str()).unwrap()
}

/// The arguments of a list, and what the program calls itself.
fn arguments(case: &Value, values: &BTreeMap<&'static str, String>) -> (Vec<String>, Vec<String>) {
    let lists = ["args", "extra_args_for_isolation"].map(|key| case[key].as_array().cloned().unwrap_or_default());
    let all = lists.concat().iter().map(|a| filled(a.as_str().unwrap(), values)).collect::<Vec<_>>();
    let named = all.iter().filter_map(|a| a.strip_prefix("--receive.local-endpoint=")).map(str::to_string);
    let own = named.chain([format!("127.0.0.1:{}", values["${GRPC_PORT}"])]).collect();
    (all, own)
}

/// `ready` or `refused`.
async fn outcome(case: &Value, members: &Members) -> (&'static str, String) {
    let dir = tempfile::tempdir().unwrap();
    let values = values(dir.path());
    let (arguments, own_names) = arguments(case, &values);
    for (name, content) in case["files"].as_object().into_iter().flatten() {
        let path = Path::new(&values["${CONF_DIR}"]).join(name);
        std::fs::write(path, members.revive(&filled(content.as_str().unwrap(), &values), &own_names)).unwrap();
    }
    let mut command = Command::new(own("thanoxide"));
    command.args(arguments.iter().map(|a| members.revive(a, &own_names))).stdin(Stdio::null());
    let begin = Instant::now();
    let mut program = Program::spawn(&mut command).unwrap();
    if program.await_line("changing probe status", "status=ready").is_err() {
        return ("refused", program.log());
    }
    let took = begin.elapsed();
    assert!(took < MOST_TIME_TO_READY, "{}: ready after {took:?}", case["id"]);
    serves(case, &values).await;
    let status = program.terminate(Duration::from_secs(120)).unwrap();
    assert!(status.success(), "{}", program.log());
    ("ready", program.log())
}

/// It says that it is ready as stock says it, and takes a write.
async fn serves(case: &Value, values: &BTreeMap<&'static str, String>) {
    let client = Client::builder().tls_danger_accept_invalid_certs(true).build().unwrap();
    let scheme = case["stock"]["scheme"].as_str().unwrap_or("http");
    let ready = format!("{scheme}://127.0.0.1:{}/-/ready", values["${HTTP_PORT}"]);
    let status = client.get(ready).send().await.unwrap().status();
    assert_eq!(case["stock"]["ready_status"], status.as_u16(), "{}", case["id"]);
    let now_ms = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64;
    let request = Request::of(&series(&[("__name__", "up"), ("job", "arguments")], &[(now_ms, 1.0)])).unwrap();
    let base = format!("http://127.0.0.1:{}", values["${REMOTE_WRITE_PORT}"]);
    let answer = request.send(&client, &base).await.unwrap();
    assert_eq!(answer.status, 200, "{}: {answer:?}", case["id"]);
}

// Connections are looked after while the test waits for programs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_come_to_stocks_outcome() {
    let members = Members::start();
    let mut files: Vec<_> =
        std::fs::read_dir(shared().join("corpora/args")).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    let (mut tried, mut wrong) = (0, Vec::new());
    for file in files {
        let case: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        if case["component"] != "receive" {
            continue;
        }
        let (outcome, log) = outcome(&case, &members).await;
        if case["stock"]["outcome"] != outcome {
            wrong.push(format!("{}: {outcome}\n{log}", case["id"]));
        }
        tried += 1;
    }
    assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(tried >= 20, "{tried}");
}

/// A row of files and flags that stock takes, as a case of an argument list: with its file, and listeners that it leaves at their defaults.
fn as_case(row: &Value) -> Value {
    let mut files = row["files"].as_object().cloned().unwrap_or_default();
    if let Some(file) = row["file"].as_str() {
        let path = shared().join("corpora/objstore").join(file);
        let name = path.file_name().unwrap().to_str().unwrap().to_string();
        files.insert(name, std::fs::read_to_string(&path).unwrap().into());
    }
    let named = |flag: &str| row["args"].as_array().unwrap().iter().any(|a| a.as_str().unwrap().starts_with(flag));
    let listeners = [
        ("--http-address", "HTTP"),
        ("--grpc-address", "GRPC"),
        ("--remote-write.address", "REMOTE_WRITE"),
        ("--receive.capnproto-address", "CAPNP"),
    ];
    let listeners = listeners.iter().filter(|(flag, _)| !named(flag));
    let listeners: Vec<String> = listeners.map(|(flag, port)| format!("{flag}=${{BIND}}:${{{port}_PORT}}")).collect();
    serde_json::json!({ "args": row["args"], "files": files, "extra_args_for_isolation": listeners })
}

#[test]
fn what_stock_takes_ours_takes() {
    let (mut tried, mut refused) = (0, Vec::new());
    for list in ["valid", "accepted-by-stock"] {
        let rows = std::fs::read_to_string(shared().join(format!("corpora/objstore/{list}.jsonl"))).unwrap();
        for row in rows.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
            if row["args"][0] != "receive" {
                continue;
            }
            let dir = tempfile::tempdir().unwrap();
            let (case, values) = (as_case(&row), values(dir.path()));
            for (name, content) in case["files"].as_object().unwrap() {
                let path = Path::new(&values["${CONF_DIR}"]).join(name);
                std::fs::write(path, filled(content.as_str().unwrap(), &values)).unwrap();
            }
            let mut program = Program::spawn(Command::new(own("thanoxide")).args(arguments(&case, &values).0)).unwrap();
            if program.await_line("changing probe status", "status=ready").is_err() {
                refused.push(format!("{} {}: {}", row["kind"], row["name"], program.log()));
            }
            tried += 1;
        }
    }
    assert!(refused.is_empty(), "{} of {tried}:\n{}", refused.len(), refused.join("\n"));
    assert!(tried >= 40, "{tried}");
}
