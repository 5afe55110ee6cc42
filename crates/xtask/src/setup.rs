//! Brings a fresh machine to where every test can run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Debian packages and a program of each that shows that it is there.
const PACKAGES: [(&str, &str); 5] = [
    ("prometheus", "prometheus"),
    ("prometheus", "promtool"),
    ("prometheus-node-exporter", "prometheus-node-exporter"),
    ("victoria-metrics", "victoria-metrics"),
    ("chromium", "chromium"),
];

/// Go modules of ours and the programs they make.
const GO_PROGRAMS: [(&str, &str, &str); 4] = [
    ("tests/interop/prometheus", "oracle", ""),
    ("tests/interop/prometheus-batch", "oracle-batch", ""),
    ("tests/interop/thanos", "storereader", STOCK_TAGS),
    ("tests/interop/thanos/ringreceiver", "ringreceiver", STOCK_TAGS),
];

/// Those of Thanos's own releases.
const STOCK_TAGS: &str = "netgo,slicelabels";
/// Thanos itself, of the version that our module names.
const THANOS: &str = "github.com/thanos-io/thanos/cmd/thanos";

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).expect("crates/xtask lies two levels below the root").to_path_buf()
}

/// Installs packages, builds the Go programs, or says in one line what is missing.
pub(crate) fn prepare() -> Result<()> {
    check_shared()?;
    install_packages()?;
    GO_PROGRAMS.iter().try_for_each(|(module, program, tags)| build_go(module, program, tags, "."))
}

/// Builds stock programs to compare with. Tests need none of them.
pub(crate) fn peers() -> Result<()> {
    build_go("tests/interop/thanos", "thanos", STOCK_TAGS, THANOS)
}

fn check_shared() -> Result<()> {
    let shared = std::env::var_os("THANOXIDE_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    if !shared.join("golden").is_dir() {
        bail!("golden data is missing: put it at {} or name it in THANOXIDE_SHARED", shared.display());
    }
    Ok(())
}

fn install_packages() -> Result<()> {
    let missing: Vec<&str> = PACKAGES.iter().filter(|(_, program)| !on_path(program)).map(|(p, _)| *p).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !on_path("apt-get") || !is_root() {
        bail!("the tests need these Debian packages: {}", missing.join(" "));
    }
    println!("installing {}", missing.join(" "));
    // Installing must not start the packages' services: the tests start programs themselves, on free ports.
    let policy = Path::new("/usr/sbin/policy-rc.d");
    let own_policy = !policy.exists();
    if own_policy {
        std::fs::write(policy, "#!/bin/sh\nexit 101\n").context("cannot write policy-rc.d")?;
        run(Command::new("chmod").arg("+x").arg(policy))?;
    }
    let installed = apt(&["update"]).and_then(|()| {
        let mut args = vec!["install", "--yes", "--no-install-recommends"];
        args.extend(&missing);
        apt(&args)
    });
    if own_policy {
        std::fs::remove_file(policy).context("cannot remove policy-rc.d")?;
    }
    installed
}

fn apt(args: &[&str]) -> Result<()> {
    run(Command::new("apt-get").arg("-qq").args(args).env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null()))
}

fn build_go(module: &str, program: &str, tags: &str, package: &str) -> Result<()> {
    if !on_path("go") {
        bail!("the tests need Go 1.25 or newer on the PATH");
    }
    let output = root().join("tests/interop/bin").join(program);
    println!("building {program}");
    let mut build = Command::new("go");
    build.current_dir(root().join(module)).args(["build", "-tags", tags, "-o"]).arg(output).arg(package);
    run(&mut build)
}

pub(crate) fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|o| o.stdout.starts_with(b"0\n"))
}

/// Runs a command to its end; a failure names it.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}
