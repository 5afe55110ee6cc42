//! What stock's `receive` refuses, ours refuses, with stock's exit status and the lines of its message that name the
//! cause.

#![allow(clippy::unwrap_used, missing_docs)]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Lines of stock's messages that tell the step, not the cause: stock's steps are not ours.
const STEPS: [&str; 8] = [
    "setup gRPC server",
    "serve HTTP and metrics",
    "server could not be started",
    "error starting web server",
    "preparing receive command failed",
    "receive command failed",
    "listen gRPC on address",
    "loading file",
];
/// Ours refuses these in other words; see docs/compatibility.md.
const OTHERWISE: [(&str, &str); 3] =
    [("flag", "capnp-address"), ("flag", "tsdb-path-under-file"), ("hashring", "missing-file")];

fn shared() -> PathBuf {
    let root = std::env::var_os("THANOXIDE_SHARED").map(PathBuf::from);
    root.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")))
}

fn filled(text: &str, dir: &Path) -> String {
    let dir = |name: &str| dir.join(name).to_string_lossy().into_owned();
    let mut text = text.to_string();
    for (placeholder, value) in [
        ("${DATA_DIR}", dir("data")),
        ("${CONF_DIR}", dir("conf")),
        ("${TLS_DIR}", dir("tls")),
        ("${OBJSTORE_CONFIG}", format!("type: FILESYSTEM\nconfig:\n  directory: {}\n", dir("bucket"))),
        ("${HTTP_PORT}", "0".to_string()),
        ("${GRPC_PORT}", "0".to_string()),
        ("${REMOTE_WRITE_PORT}", "0".to_string()),
        ("${CAPNP_PORT}", "0".to_string()),
        ("${BIND}", "127.0.0.1".to_string()),
    ] {
        text = text.replace(placeholder, &value);
    }
    text
}

/// Runs the program over the files of a case; its exit status and all that it said, with line feeds as they are.
fn run(case: &Value, dir: &Path) -> (Option<i32>, String) {
    std::fs::create_dir_all(dir.join("conf")).unwrap();
    for (name, content) in case["files"].as_object().into_iter().flatten() {
        std::fs::write(dir.join("conf").join(name), filled(content.as_str().unwrap(), dir)).unwrap();
    }
    let mut arguments: Vec<String> =
        case["args"].as_array().unwrap().iter().map(|a| filled(a.as_str().unwrap(), dir)).collect();
    for listener in ["http-address", "grpc-address", "remote-write.address"] {
        if !arguments.iter().any(|a| a.starts_with(&format!("--{listener}="))) {
            arguments.push(format!("--{listener}=127.0.0.1:0"));
        }
    }
    let output =
        Command::new("timeout").arg("60").arg(env!("CARGO_BIN_EXE_thanoxide")).args(&arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).replace("\\n", "\n").replace("\\\"", "\"");
    (output.status.code(), said)
}

#[test]
fn what_stock_refuses_is_refused() {
    let (mut tried, mut wrong) = (0, Vec::new());
    for line in std::fs::read_to_string(shared().join("corpora/objstore/invalid.jsonl")).unwrap().lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let (kind, name) = (case["kind"].as_str().unwrap(), case["name"].as_str().unwrap());
        let by_parser = case["exit"] == 2 || case["error"].as_str().unwrap().starts_with("thanos: error: ");
        if case["component"] != "receive" || by_parser || OTHERWISE.contains(&(kind, name)) {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        let (exit, said) = run(&case, dir.path());
        let message = filled(case["message"].as_str().unwrap(), dir.path());
        let missing = message.lines().filter(|line| !STEPS.iter().any(|step| line.starts_with(step)));
        let missing: Vec<_> = missing.filter(|line| !said.contains(line.trim())).collect();
        if exit.map(i64::from) != case["exit"].as_i64() || !missing.is_empty() {
            wrong.push(format!("{kind} {name}: exit {exit:?}, not said: {missing:?}\n{said}"));
        }
        tried += 1;
    }
    assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(tried > 25, "{tried}");
}
