//! The layer check: who may depend on whom, and who may name which library.

use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Our crates by layer; a crate may depend on its own layer and those below, roles not on roles.
const LAYERS: [&[&str]; 5] = [
    &["model", "env"],
    &["tsdb", "promql", "series", "proto"],
    &["objstore", "block", "storeapi", "server", "flags", "config", "spans"],
    &["router", "ingester", "store", "query"],
    &["cli", "testkit", "tests", "compare", "loadgen", "loops", "xtask"],
];
const ROLES: usize = 3;

/// Libraries that pure crates may not know.
const RUNTIMES: [&str; 7] = ["tokio", "tonic", "axum", "hyper", "object_store", "tracing-subscriber", "reqwest"];
const PURE: [&str; 5] = ["model", "env", "tsdb", "promql", "series"];

/// Libraries that only the named crates may name.
const OWNERS: [(&str, &[&str]); 10] = [
    ("object_store", &["objstore"]),
    ("axum", &["server"]),
    ("hyper", &["server"]),
    ("tower-http", &["server"]),
    ("clap", &["flags"]),
    ("regex-automata", &["model"]),
    ("regex-syntax", &["model"]),
    ("thanoxide-flags", &["cli"]),
    ("opentelemetry", &["spans", "cli"]),
    ("opentelemetry_sdk", &["cli"]),
];

/// Crates that do not ship: helpers of tests and benchmarks.
const TOOLS: [&str; 6] = ["testkit", "tests", "compare", "loadgen", "loops", "xtask"];

/// Fails with every arrow that points the wrong way.
pub(crate) fn check() -> Result<()> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .context("cannot run cargo metadata")?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata gave no JSON")?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    let wrong: Vec<String> = packages.iter().flat_map(wrong_arrows).collect();
    if !wrong.is_empty() {
        bail!("layer rule broken:\n  {}", wrong.join("\n  "));
    }
    println!("layers: {} packages, every arrow points down", packages.len());
    Ok(())
}

fn wrong_arrows(package: &Value) -> Vec<String> {
    let name = short(package["name"].as_str().unwrap_or_default());
    let dependencies = package["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
    let product = dependencies.iter().filter(|d| d["kind"] != "dev");
    product.filter_map(|d| wrong_arrow(name, d["name"].as_str().unwrap_or_default())).collect()
}

fn wrong_arrow(from: &str, to: &str) -> Option<String> {
    let says = |why: &str| Some(format!("{from} -> {to}: {why}"));
    if TOOLS.contains(&from) {
        return None;
    }
    if to.starts_with("thanoxide-") && layer_of(from).is_none() {
        return says("not in the table of layers");
    }
    if let (Some(above), Some(below)) = (layer_of(from), layer_of(short(to)).filter(|_| to.starts_with("thanoxide-"))) {
        if below > above {
            return says("points up");
        }
        if above == ROLES && below == ROLES {
            return says("a role depends on a role");
        }
    }
    if PURE.contains(&from) && RUNTIMES.contains(&to) {
        return says("a pure crate knows a runtime");
    }
    if from == "promql" && to == "thanoxide-tsdb" {
        return says("promql reads storage through model::series only");
    }
    match OWNERS.iter().find(|(library, _)| *library == to) {
        Some((_, owners)) if !owners.contains(&from) => says("another crate owns this library"),
        _ => None,
    }
}

fn short(name: &str) -> &str {
    name.strip_prefix("thanoxide-").unwrap_or(name)
}

fn layer_of(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::wrong_arrow;

    #[test]
    fn wrong_arrows_are_named() {
        for (from, to) in [
            ("model", "thanoxide-tsdb"),
            ("store", "thanoxide-query"),
            ("tsdb", "tokio"),
            ("query", "axum"),
            ("promql", "thanoxide-tsdb"),
            ("router", "thanoxide-flags"),
            ("query", "opentelemetry"),
            ("newcomer", "thanoxide-model"),
        ] {
            assert!(wrong_arrow(from, to).is_some(), "{from} -> {to}");
        }
        for (from, to) in
            [("query", "thanoxide-promql"), ("cli", "thanoxide-flags"), ("server", "axum"), ("tests", "tokio")]
        {
            assert!(wrong_arrow(from, to).is_none(), "{from} -> {to}");
        }
    }
}
