//! Bad inputs that are bad by their number: label sets built to collide (31), tenants without end (39), and what idle tenants cost.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use reqwest::Client;
use serde_json::Value;
use thanoxide_router::hashring::series_hash;
use thanoxide_testkit::program::Program;
use thanoxide_testkit::raw_write::{Request, compress, series};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const T: i64 = 1_790_000_000_000;
const CROWD: usize = 100_000;
/// What a bad input may leave behind.
const MAX_GROWTH_BYTES: u64 = 64 << 20;

// --- 31 ---

const PRIME_1: u64 = 0x9e37_79b1_85eb_ca87;
const PRIME_2: u64 = 0xc2b2_ae3d_27d4_eb4f;
/// Bytes that xxhash64 takes in at once, in four lanes of eight.
const STRIPE: usize = 32;

/// One step of a lane of xxhash64.
fn lane_step(lane: u64, input: u64) -> u64 {
    lane.wrapping_add(input.wrapping_mul(PRIME_2)).rotate_left(31).wrapping_mul(PRIME_1)
}

/// The inverse of an odd number, modulo 2^64: each round doubles the bits that are right.
fn inverse(odd: u64) -> u64 {
    (0..6).fold(odd, |x, _| x.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(x))))
}

/// Values of the label `x` of metric `m`: all these series of a tenant have one xxhash64, which is what Thanos places them by. Each
/// value fills up the stripe of the names, changes the first lane as it likes and, a stripe later, brings it back.
fn colliding_values(tenant: &str, count: usize) -> Vec<String> {
    let names = [tenant, "__name__", "m", "x"].map(|text| [text.as_bytes(), &[0xff]].concat()).concat();
    let fill = "a".repeat(names.len().next_multiple_of(STRIPE) - names.len());
    let before = [&names, fill.as_bytes()].concat();
    let first_lanes = before.chunks(STRIPE).map(|stripe| u64::from_le_bytes(stripe[..8].try_into().expect("8 bytes")));
    let lane = first_lanes.fold(PRIME_1.wrapping_add(PRIME_2), lane_step);
    let (wanted, inverse) = (lane_step(lane, u64::from_le_bytes(*b"chooseme")), inverse(PRIME_2));
    let rest = "b".repeat(STRIPE - 8);
    let of = |number: u64| {
        let first: String = (0..8).map(|nibble| char::from(b'A' + (number >> (4 * nibble) & 15) as u8)).collect();
        let changed = lane_step(lane, u64::from_le_bytes(first.as_bytes().try_into().ok()?));
        let back = wanted.wrapping_sub(changed).wrapping_mul(inverse).to_le_bytes();
        // Bytes of ASCII alone, so that the label is a text.
        let back = std::str::from_utf8(&back).ok().filter(|text| text.is_ascii())?;
        Some(format!("{fill}{first}{rest}{back}{rest}"))
    };
    (0..).filter_map(of).take(count).collect()
}

/// Values that look the same and do not collide.
fn ordinary_values(like: &[String]) -> Vec<String> {
    like.iter().enumerate().map(|(i, value)| format!("{i:08}{}", &value[8..])).collect()
}

/// What the process has used of a core, in ticks of the kernel.
fn cpu_ticks(program: &Program) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", program.id()))?;
    let fields: Vec<&str> = stat.rsplit(')').next().context("no name")?.split_whitespace().collect();
    Ok(fields[11].parse::<u64>()? + fields[12].parse::<u64>()?)
}

/// What a receiver spends on new series with these values, and how much it grows.
async fn spent_on(dir: &Path, tenant: &str, values: &[String]) -> Result<(u64, u64)> {
    let (node, client) = (Program::receiver(dir, &[])?, Client::new());
    let (before_bytes, before_ticks) = (node.resident_bytes()?, cpu_ticks(&node)?);
    for part in values.chunks(5000) {
        let message: Vec<u8> =
            part.iter().flat_map(|value| series(&[("__name__", "m"), ("x", value)], &[(T, 1.0)])).collect();
        let request = Request::of(&message)?.header("THANOS-TENANT", tenant);
        let answer = request.send(&client, &node.url("remote-write")).await?;
        ensure!(answer.status == 200, "{answer:?}");
    }
    let spent = (cpu_ticks(&node)? - before_ticks, node.resident_bytes()?.saturating_sub(before_bytes));
    let status = client.get(format!("{}/api/v1/status/tsdb", node.url("remote-write"))).header("THANOS-TENANT", tenant);
    let status: Value = serde_json::from_str(&status.send().await?.text().await?)?;
    let head = &status["data"][0]["headStats"]["numSeries"];
    ensure!(head.as_u64() == Some(values.len() as u64), "{status}");
    Ok(spent)
}

/// 31: a hundred thousand series whose labels have one hash cost what others cost.
#[tokio::test]
async fn colliding_labels_cost_no_more_than_others() -> Result<()> {
    let (dir, tenant) = (tempfile::tempdir()?, "colliding");
    let bad = colliding_values(tenant, CROWD);
    let hash =
        |value: &String| series_hash(tenant, [(&b"__name__"[..], &b"m"[..]), (b"x", value.as_bytes())].into_iter());
    let (hashes, distinct) = (bad.iter().map(hash).collect::<HashSet<_>>(), bad.iter().collect::<HashSet<_>>());
    ensure!((hashes.len(), distinct.len()) == (1, CROWD), "{} hashes of {} values", hashes.len(), distinct.len());
    let (ticks, growth_bytes) = spent_on(&dir.path().join("bad"), tenant, &bad).await?;
    let (usual_ticks, usual_bytes) = spent_on(&dir.path().join("usual"), tenant, &ordinary_values(&bad)).await?;
    println!("31: {ticks} ticks, {growth_bytes} bytes; others {usual_ticks} ticks, {usual_bytes} bytes");
    ensure!(ticks < 10 * usual_ticks + 100, "{ticks} ticks, others take {usual_ticks}");
    ensure!(growth_bytes < MAX_GROWTH_BYTES, "grew by {growth_bytes} bytes");
    Ok(())
}

// --- 39 ---

const TENANT_BUDGET: usize = 100;
const CONNECTIONS: usize = 4;
/// Requests that a connection sends before it reads their answers.
const PIPELINE: usize = 250;

/// One sample for each of these tenants, over one connection; gives how many were taken and how many refused.
async fn send_for_tenants(address: &str, body: &[u8], tenants: std::ops::Range<usize>) -> Result<(usize, usize)> {
    let mut stream = TcpStream::connect(address).await?;
    let (mut taken, mut refused) = (0, 0);
    let all: Vec<usize> = tenants.collect();
    for part in all.chunks(PIPELINE) {
        let mut requests = Vec::new();
        for tenant in part {
            let head = format!(
                "POST /api/v1/receive HTTP/1.1\r\nHost: x\r\nContent-Encoding: snappy\r\nTHANOS-TENANT: crowd-{tenant}\r\n\
                 Content-Type: application/x-protobuf\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            requests.extend_from_slice(head.as_bytes());
            requests.extend_from_slice(body);
        }
        let (mut reader, mut writer) = stream.split();
        let (sent, statuses) = tokio::join!(writer.write_all(&requests), statuses(&mut reader, part.len()));
        sent?;
        let statuses = statuses?;
        taken += statuses.iter().filter(|status| *status == "200").count();
        refused += statuses.iter().filter(|status| *status == "429").count();
    }
    Ok((taken, refused))
}

/// The statuses of so many answers that come one after the other.
async fn statuses(reader: &mut (impl AsyncReadExt + Unpin), count: usize) -> Result<Vec<String>> {
    let (mut text, mut found) = (Vec::new(), Vec::new());
    while found.len() < count {
        ensure!(reader.read_buf(&mut text).await? > 0, "closed after {} of {count} answers", found.len());
        while let Some((status, len)) = whole_answer(&text) {
            found.push(status);
            text.drain(..len);
        }
    }
    Ok(found)
}

/// Status and length of the answer that some bytes begin with, if all of it is there.
fn whole_answer(bytes: &[u8]) -> Option<(String, usize)> {
    let head_len = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..head_len]).to_lowercase();
    let body_len = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.trim().parse().ok());
    let len = head_len + body_len.unwrap_or(0);
    (bytes.len() >= len).then(|| (head.split(' ').nth(1).unwrap_or_default().to_string(), len))
}

/// 39: `THANOXIDE_TENANTS` tenants with a sample each, a hundred thousand in all its size; CI takes fewer. Those within the budget are
/// taken, and the others leave nothing behind but, up to a limit, their names in metrics.
#[tokio::test]
async fn tenants_without_end_are_refused_beyond_the_budget() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let limits = dir.path().join("limits.yaml");
    std::fs::write(&limits, format!("write: {{global: {{max_tenants: {TENANT_BUDGET}}}}}"))?;
    let flag = format!("--receive.limits-config-file={}", limits.display());
    let node = Program::receiver(&dir.path().join("data"), &[&flag])?;
    let body = compress(&series(&[("__name__", "up"), ("instance", "a")], &[(T, 1.0)]))?;
    let before_bytes = node.resident_bytes()?;
    let crowd = std::env::var("THANOXIDE_TENANTS").ok().and_then(|n| n.parse().ok()).unwrap_or(12_000);
    let share = crowd / CONNECTIONS;
    let shares =
        (0..CONNECTIONS).map(|i| send_for_tenants(node.address("remote-write"), &body, i * share..(i + 1) * share));
    let answers = try_join_all(shares).await?;
    let (taken, refused) = answers.iter().fold((0, 0), |all, part| (all.0 + part.0, all.1 + part.1));
    // The default tenant is one of them.
    ensure!((taken, refused) == (TENANT_BUDGET - 1, crowd - TENANT_BUDGET + 1), "{taken} taken, {refused} refused");
    let growth_bytes = node.growth_bytes(before_bytes, MAX_GROWTH_BYTES)?;
    println!("39: {growth_bytes} bytes for {taken} tenants, with {refused} refused");
    ensure!(growth_bytes < MAX_GROWTH_BYTES, "grew by {growth_bytes} bytes");
    let known = send_for_tenants(node.address("remote-write"), &body, 0..1).await?;
    ensure!(known == (1, 0), "known tenants go on");
    Ok(())
}

// --- idle tenants ---

const IDLE_TENANTS: usize = 200;
/// Series of each tenant, and the memory that each may take.
const IDLE: [(usize, u64); 2] = [(1, 60 << 10), (200, 240 << 10)];

#[tokio::test]
async fn idle_tenants_cost_little_memory() -> Result<()> {
    for (count, most_bytes) in IDLE {
        let dir = tempfile::tempdir()?;
        let (node, client) = (Program::receiver(dir.path(), &[])?, Client::new());
        let before_bytes = node.resident_bytes()?;
        let labels = |i: usize| {
            series(&[("__name__", "up"), ("instance", i.to_string().as_str()), ("job", "idle")], &[(T, 1.0)])
        };
        let request = Request::of(&(0..count).flat_map(labels).collect::<Vec<u8>>())?;
        for tenant in 0..IDLE_TENANTS {
            let request = request.clone().header("THANOS-TENANT", &format!("idle-{tenant}"));
            let answer = request.send(&client, &node.url("remote-write")).await?;
            ensure!(answer.status == 200, "{answer:?}");
        }
        let each_bytes = node.growth_bytes(before_bytes, most_bytes * IDLE_TENANTS as u64)? / IDLE_TENANTS as u64;
        println!("{each_bytes} bytes for an idle tenant of {count} series");
        ensure!(each_bytes < most_bytes, "{each_bytes} bytes for a tenant of {count} series");
    }
    Ok(())
}
