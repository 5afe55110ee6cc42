//! The argument lists that others start stock's `receive` with: ours comes to the outcome that is recorded for stock.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use thanoxide_flags::Support;
use thanoxide_flags::tables::app;
use thanoxide_testkit::program::{Program, own};

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

/// The arguments of a list, without those that give a flag that is not there yet another value than stock's default.
fn arguments(case: &Value, values: &BTreeMap<&'static str, String>) -> Vec<String> {
    let lists = ["args", "extra_args_for_isolation"].map(|key| case[key].as_array().cloned().unwrap_or_default());
    let all = lists.concat().iter().map(|a| filled(a.as_str().unwrap(), values)).collect::<Vec<_>>();
    let missing: Vec<String> = not_yet().iter().map(|name| format!("--{name}")).collect();
    let mut skip_value = false;
    let keep = |argument: &String| {
        if std::mem::take(&mut skip_value) {
            return false;
        }
        let (name, value) = argument.split_once('=').map_or((argument.as_str(), None), |(n, v)| (n, Some(v)));
        let is_missing = missing.iter().any(|flag| flag == name);
        skip_value = is_missing && value.is_none();
        !is_missing
    };
    all.into_iter().filter(keep).collect()
}

fn not_yet() -> Vec<&'static str> {
    let app = app("thanoxide", Default::default());
    let flags = app.flags_of(app.command("receive"));
    flags.into_iter().filter(|flag| flag.support == Support::NotYet).map(|flag| flag.name).collect()
}

/// `ready` or `refused`.
fn outcome(case: &Value) -> (&'static str, String) {
    let dir = tempfile::tempdir().unwrap();
    let values = values(dir.path());
    for (name, content) in case["files"].as_object().into_iter().flatten() {
        let path = Path::new(&values["${CONF_DIR}"]).join(name);
        std::fs::write(path, filled(content.as_str().unwrap(), &values)).unwrap();
    }
    let mut command = Command::new(own("thanoxide"));
    command.args(arguments(case, &values)).stdin(Stdio::null());
    let mut program = Program::spawn(&mut command).unwrap();
    match program.await_line("changing probe status", "status=ready") {
        Ok(_) => {
            let status = program.terminate(std::time::Duration::from_secs(120)).unwrap();
            assert!(status.success(), "{}", program.log());
            ("ready", program.log())
        }
        Err(_) => ("refused", program.log()),
    }
}

#[test]
fn lists_come_to_stocks_outcome() {
    let mut files: Vec<_> =
        std::fs::read_dir(shared().join("corpora/args")).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    let (mut tried, mut wrong) = (0, Vec::new());
    for file in files {
        let case: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        if case["component"] != "receive" {
            continue;
        }
        let (outcome, log) = outcome(&case);
        if case["stock"]["outcome"] != outcome {
            wrong.push(format!("{}: {outcome}\n{log}", case["id"]));
        }
        tried += 1;
    }
    assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(tried >= 20, "{tried}");
}
