//! The load generator's samples come back as they were sent, and its checker notices what is not there.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use thanoxide_loadgen::checker::check;
use thanoxide_loadgen::plan::Plan;
use thanoxide_loadgen::replay::Endpoint;
use thanoxide_loadgen::sender::{Sending, now_ms, send};
use thanoxide_loadgen::template::Protocol;
use thanoxide_testkit::program::{Program, own};

const ARGS: [&str; 1] = ["--no-self-scrape"];

fn address(program: &Program, component: &str) -> String {
    program.url(component).trim_start_matches("http://").to_string()
}

#[test]
fn what_was_sent_in_either_protocol_reads_back() -> Result<()> {
    for protocol in ["1", "2"] {
        let dir = tempfile::tempdir()?;
        let program = Program::standalone(dir.path(), &ARGS)?;
        let mut command = Command::new(own("thanoxide-loadgen"));
        command.args(["--target", &address(&program, "remote-write"), "--api", &address(&program, "http")]);
        command.args(["--series", "4k", "--scrapes", "30", "--holes", "50", "--resets", "11", "--churn", "7"]);
        let output = command.args(["--unpaced", "--tenant", "team-a", "--protocol", protocol]).output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
        ensure!(said.contains("0 lost, 0 invented"), "{said}");
    }
    Ok(())
}

#[test]
fn a_sample_that_was_not_sent_and_one_that_is_missing_are_noticed() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let program = Program::standalone(dir.path(), &ARGS)?;
    let plan = Plan {
        series: 10,
        interval_ms: 15_000,
        start_ms: now_ms() - 600_000,
        jitter_ms: 5,
        holes_per_mille: 0,
        resets: None,
        churn: None,
    };
    let target = Endpoint { address: address(&program, "remote-write"), path: "/api/v1/receive".into() };
    let sending =
        Sending { target, protocol: Protocol::V1, headers: String::new(), connections: 1, scrapes: 5, is_paced: false };
    let outcome = send(&plan, &sending)?;
    let api = address(&program, "http");
    ensure!(check(&plan, &outcome.ledger, 5, &api)?.found == 50);
    let mut ledger = outcome.ledger.clone();
    ledger.acked.get_mut(&0).context("no group 0")?.push(7);
    let lost = check(&plan, &ledger, 8, &api).expect_err("scrape 7 was never sent");
    ensure!(lost.to_string().contains("is lost"), "{lost}");
    let other = Plan { jitter_ms: 6, ..plan };
    let invented = check(&other, &outcome.ledger, 5, &api).expect_err("times differ");
    ensure!(invented.to_string().contains("never sent"), "{invented}");
    Ok(())
}
