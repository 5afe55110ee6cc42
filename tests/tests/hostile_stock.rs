//! The 42 bad inputs against stock's own receiver: the same status, and the same text of refusals, except where the table in
//! `hostile/inputs.rs` says otherwise. What it says otherwise is in `docs/compatibility.md`.

#[path = "hostile/inputs.rs"]
#[allow(dead_code)]
mod inputs;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use inputs::{Input, Stock, endless, good};
use reqwest::Client;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use thanoxide_testkit::program::Program;
use thanoxide_testkit::raw_write::Request;
use thanoxide_testkit::sender::Answer;

/// What stock may take. It ends where it would take more.
const STOCK_MAX_BYTES: u64 = 2 << 30;
/// What one request must have taken of stock for ours to be refused.
const TOO_MANY_BYTES: u64 = 256 << 20;

fn start_stock(dir: &Path) -> Result<Program> {
    // Tenant `..` has its database in the directory above.
    let stock = Program::stock_receiver(&dir.join("around").join("stock"))?;
    let limit = Rlimit { current: Some(STOCK_MAX_BYTES), maximum: Some(STOCK_MAX_BYTES) };
    prlimit(Pid::from_raw(stock.id() as i32), Resource::Data, limit)?;
    Ok(stock)
}

/// Says what is wrong with a pair of answers.
fn judge(input: &Input, ours: &Answer, stock: Option<&Answer>) -> Result<()> {
    ensure!(ours.status == input.right, "ours is wrong");
    match (input.stock, stock) {
        (Stock::Same, Some(stock)) => ensure!((ours.status, &ours.text) == (stock.status, &stock.text), "differ"),
        (Stock::OwnWords(_), Some(stock)) => {
            ensure!(ours.status == stock.status && ours.text != stock.text, "differ in more or less than words");
        }
        (Stock::Differs(status, _), Some(stock)) => {
            ensure!(stock.status == status && status != ours.status, "stock's is another");
        }
        (Stock::NotAsked(_), None) => {}
        (expected, _) => bail!("{expected:?} does not go with what was asked"),
    }
    Ok(())
}

/// The answer, 0 where the connection was closed without one: a handler that panics.
async fn answer(input: &Input, client: &Client, program: &Program) -> Answer {
    let closed = |error: anyhow::Error| Answer { status: 0, text: format!("{error:#}") };
    input.send(client, program.address("remote-write")).await.unwrap_or_else(closed)
}

#[tokio::test]
async fn bad_inputs_are_answered_as_by_stock_or_as_the_table_says() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (ours, stock) = (Program::receiver(&dir.path().join("ours"), &[])?, start_stock(dir.path())?);
    let (client, mut faults) = (Client::new(), Vec::new());
    let healthy = Request::of(&good())?.header("THANOS-TENANT", "healthy");
    for input in inputs::all() {
        let own = answer(input, &client, &ours).await;
        let theirs = match input.stock {
            Stock::NotAsked(_) => None,
            _ => Some(answer(input, &client, &stock).await),
        };
        let judged = judge(input, &own, theirs.as_ref());
        println!("{} {}: {:?}: {own:.200?} {theirs:.200?}", input.number, input.name, input.stock);
        if let Err(error) = judged {
            faults.push(format!(
                "{} {}: {error}, {:?}\n  ours  {own:?}, right is {}\n  stock {theirs:?}",
                input.number, input.name, input.stock, input.right
            ));
        }
        let alive = healthy.send(&client, &stock.url("remote-write")).await;
        ensure!(alive.is_ok_and(|answer| answer.status == 200), "{}: stock is gone:\n{}", input.name, stock.log());
    }
    ensure!(faults.is_empty(), "{} differences:\n{}", faults.len(), faults.join("\n"));
    Ok(())
}

/// Each ends it, for want of memory or by a panic, or takes more memory than a request may.
#[tokio::test]
async fn what_stock_is_not_asked_with_the_others_harms_it() -> Result<()> {
    let (client, mut faults) = (Client::new(), Vec::new());
    let refused = inputs::all().iter().filter(|input| matches!(input.stock, Stock::NotAsked(_))).map(Some);
    // The last one are chunks without end.
    for input in refused.chain([None]) {
        let dir = tempfile::tempdir()?;
        let mut stock = start_stock(dir.path())?;
        let before_bytes = stock.resident_bytes()?;
        let (number, name) = input.map_or((10, "chunks without end"), |input| (input.number, input.name));
        let status = match input {
            Some(input) => answer(input, &client, &stock).await.status,
            None => endless(stock.address("remote-write")).await?,
        };
        // It may be on its way out.
        let (ended, took_bytes) = match stock.wait(Duration::from_millis(500)) {
            Ok(_) => (true, 0),
            Err(_) => (false, stock.peak_resident_bytes()?.saturating_sub(before_bytes)),
        };
        println!(
            "{number} {name}: {status}, {}",
            if ended { "it ended".into() } else { format!("{took_bytes} bytes") }
        );
        if !ended && took_bytes < TOO_MANY_BYTES {
            faults.push(format!("{number} {name}: stock answered {status} and took {took_bytes} bytes"));
        }
    }
    ensure!(faults.is_empty(), "{} could be asked:\n{}", faults.len(), faults.join("\n"));
    Ok(())
}

#[test]
fn every_difference_is_documented() {
    let documented = include_str!("../../docs/compatibility.md");
    let missing: BTreeSet<&str> = inputs::all()
        .iter()
        .filter_map(|input| match input.stock {
            Stock::Same => None,
            Stock::OwnWords(row) | Stock::Differs(_, row) | Stock::NotAsked(row) => Some(row),
        })
        .filter(|row| !documented.contains(&format!("| {row} | ")))
        .collect();
    assert!(missing.is_empty(), "docs/compatibility.md does not tell of {missing:#?}");
}
