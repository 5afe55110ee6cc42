//! kill -9 of an engine under load, while heads are cut, blocks compacted and snapshots taken: nothing acknowledged is
//! lost, nothing is there that was not sent, and it always starts.
//!
//! The test starts itself as the child that is killed. The child reads everything back before it goes on, and says on its
//! standard output what it sends and what was acknowledged: a line is there even if the next moment is its last.
//!
//! What is lost stays lost, so a life may read some tenants only (`THANOXIDE_ENGINE_KILL_PARTS` lives read all of them in turn);
//! each episode's last life reads everything.
//!
//! A long run (`tests/long engine-kills`) keeps data and ledger in `THANOXIDE_ENGINE_KILL_DIR` and goes on where it was
//! stopped, until `THANOXIDE_ENGINE_KILLS` are done.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/kills.rs"]
mod kills;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use kills::{BLOCK_MS, Ledger, Sent, Size, tenant, value};
use thanoxide_env::Env;
use thanoxide_model::series::Columns;
use thanoxide_tsdb::compact::exponential_ranges_ms;
use thanoxide_tsdb::engine::{AppendOptions, Engine, EngineOptions, SelectedSeries, TenantReader};

/// Where the child finds its data and ledger.
const CHILD: &str = "THANOXIDE_KILLED_ENGINE";
/// Into how many parts tenants are divided, of which the child reads one.
const PARTS: &str = "THANOXIDE_ENGINE_KILL_PARTS";
/// After so many kills the data are thrown away, and a new life begins with nothing.
const EPISODE: usize = 50;

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Says a line, whole, at once.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush()).unwrap();
}

/// Reads a series: its samples are those of the requests that were sent, but for unacknowledged ones. Gives how many there are.
fn check_series(series: &SelectedSeries, size: Size, sent: &Sent) -> u64 {
    let i: usize = std::str::from_utf8(series.labels.get("series").unwrap()).unwrap().parse().unwrap();
    let mut due = ((i / size.per_request) as u64..sent.next).step_by(size.requests() as usize);
    let (mut found, mut missing) = (0, Vec::new());
    for chunk in &series.chunks {
        let mut columns = Columns::default();
        thanoxide_tsdb::chunk::decode(chunk, i64::MIN, i64::MAX, &mut columns).unwrap();
        for (t, v) in columns.timestamps_ms.iter().zip(&columns.values) {
            missing.extend(due.by_ref().take_while(|n| size.time_ms(*n) != *t));
            assert_eq!(*v, value(i, *t), "series {i} at {t}");
            found += 1;
        }
    }
    missing.extend(due);
    // What was never sent, or comes twice, leaves nothing due behind it.
    let lost: Vec<_> = missing.iter().filter(|n| !sent.unacknowledged.contains(n)).collect();
    assert!(lost.is_empty(), "series {i}: requests {lost:?} were acknowledged and are lost");
    let due = (sent.next.saturating_sub((i / size.per_request) as u64)).div_ceil(size.requests());
    assert_eq!(found + missing.len() as u64, due, "series {i}: a sample was never sent, or is there twice");
    found
}

/// Reads a tenant whole; gives how many samples there are.
fn check(reader: &TenantReader, size: Size, sent: &Sent) -> u64 {
    let all = reader.select(&[], i64::MIN, i64::MAX).unwrap();
    let is_acknowledged =
        |first: &u64| (*first..sent.next).step_by(size.requests() as usize).any(|n| !sent.unacknowledged.contains(&n));
    let least = (0..size.requests()).filter(is_acknowledged).count() * size.per_request;
    assert!(all.len() >= least, "{} series, at least {least} were acknowledged", all.len());
    all.iter().map(|series| check_series(series, size, sent)).sum()
}

/// Cuts, compacts and takes snapshots as they fall due, for ever.
fn maintain(engine: &Engine, tenants: usize) {
    let ranges = exponential_ranges_ms(BLOCK_MS, 9 * BLOCK_MS);
    loop {
        say("at cut");
        let done = engine.maintain(&|_, _| false);
        assert!(done.failed.is_empty() && done.snapshot_failed.is_none(), "{done:?}");
        say(&format!("cut {}", done.cut.len()));
        say("at compaction");
        for number in 0..tenants {
            let compacted = engine.compact_tenant(&tenant(number), &ranges, &|_| true, &|| true).unwrap();
            say(&format!("compacted {}", compacted.len()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Sends a tenant's requests, from the one that was never sent, for ever.
fn send(engine: &Engine, number: usize, size: Size, first: u64) {
    let (id, begin) = (tenant(number), Instant::now());
    for n in first.. {
        let batch = size.batch(n);
        let due = Duration::from_secs(n - first) / size.requests_per_s as u32;
        std::thread::sleep(due.saturating_sub(begin.elapsed()));
        say(&format!("begin {n} {number}"));
        let appended = engine.append(&id, &batch, AppendOptions::default()).unwrap();
        assert!(appended.rejected.is_empty(), "{:?}", appended.rejected);
        appended.ticket.wait().unwrap();
        say(&format!("ack {n} {number}"));
    }
}

fn check_tenants(engine: &Engine, ledger: &Ledger, numbers: &[usize]) -> u64 {
    let sent = numbers.iter().map(|number| (*number, &ledger.tenants[*number])).filter(|(_, sent)| sent.next > 0);
    sent.map(|(number, sent)| match engine.reader(&tenant(number)) {
        Some(reader) => check(&reader, ledger.size, sent),
        // It may have gone with the first request.
        None if sent.next == sent.unacknowledged.len() as u64 => 0,
        None => panic!("tenant {number} is gone"),
    })
    .sum()
}

/// The child: opens, reads all, and goes on until it is killed.
fn live(dir: &Path) {
    let ledger: Ledger = serde_json::from_slice(&std::fs::read(dir.join("ledger.json")).unwrap()).unwrap();
    let options = EngineOptions {
        block_duration_ms: BLOCK_MS,
        segment_bytes: ledger.size.segment_bytes,
        ..EngineOptions::default()
    };
    let begin = Instant::now();
    let engine = Engine::open(&dir.join("data"), options, Env::system()).unwrap();
    let opened = begin.elapsed();
    let parts = setting(PARTS, 1);
    let numbers: Vec<usize> = (0..ledger.size.tenants).filter(|n| n % parts == ledger.kills % parts).collect();
    let found: u64 = std::thread::scope(|scope| {
        let halves = numbers.chunks(numbers.len().div_ceil(2));
        let checks: Vec<_> = halves.map(|part| scope.spawn(|| check_tenants(&engine, &ledger, part))).collect();
        checks.into_iter().map(|check| check.join().unwrap()).sum()
    });
    say(&format!("ready: {found} samples, opened in {opened:.2?}, all in {:.2?}", begin.elapsed()));
    std::thread::scope(|scope| {
        scope.spawn(|| maintain(&engine, ledger.size.tenants));
        for (number, sent) in ledger.tenants.iter().enumerate() {
            let engine = &engine;
            scope.spawn(move || send(engine, number, ledger.size, sent.next));
        }
    });
}

/// Not a test: what the test below starts and kills.
#[test]
fn child() {
    if let Some(dir) = std::env::var_os(CHILD) {
        // A thread that panics must not leave the others at work.
        std::panic::set_hook(Box::new(|info| {
            say(&format!("PANIC {info}").replace('\n', " "));
            std::process::abort();
        }));
        live(Path::new(&dir));
    }
}

fn spawn(dir: &Path, parts: usize) -> (Child, Receiver<String>) {
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(program);
    command.args(["--exact", "child", "--nocapture"]).env(CHILD, dir).env(PARTS, parts.to_string());
    command.stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (sender, lines) = channel();
    let out = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    (child, lines)
}

/// A block without its meta file.
fn has_unfinished_block(data: &Path, tenants: usize) -> bool {
    let tenants = (0..tenants).filter_map(|number| std::fs::read_dir(data.join(format!("tenant-{number}"))).ok());
    let mut dirs = tenants.flatten().flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    dirs.any(|dir| dir.join("index").exists() && !dir.join("meta.json").exists())
}

fn has_unfinished_snapshot(data: &Path) -> bool {
    let mut entries = std::fs::read_dir(data).unwrap().flatten();
    entries.any(|entry| entry.file_name().to_string_lossy().ends_with(".tsnap.tmp"))
}

/// Lets a child live for a while and kills it.
fn kill_once(dir: &Path, ledger: &mut Ledger, parts: usize) -> String {
    ledger.living = true;
    ledger.save(dir);
    let (mut child, lines) = spawn(dir, parts);
    let span_ms = ledger.size.most_life_ms - ledger.size.least_life_ms;
    let time = Duration::from_millis(ledger.size.least_life_ms + (ledger.kills as u64 * 7_919) % span_ms);
    let is_in_start = ledger.kills % 5 == 4;
    let (mut ready, mut at, began) = (String::new(), String::new(), Instant::now());
    let mut end = is_in_start.then(|| began + time / 4);
    while end.is_none_or(|end| Instant::now() < end) {
        let wait = end.map_or(Duration::from_secs(300), |end| end.saturating_duration_since(Instant::now()));
        match lines.recv_timeout(wait) {
            Ok(line) if line.starts_with("PANIC") => panic!("life {}: {line}", ledger.kills),
            Ok(line) if line.starts_with("ready") => {
                end = end.or_else(|| Some(Instant::now() + time));
                ready = line;
            }
            Ok(line) if line.starts_with("at ") => at = line,
            Ok(line) => ledger.note(&line),
            Err(_) => assert!(end.is_some(), "life {} did not begin", ledger.kills),
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    for line in lines {
        assert!(!line.starts_with("PANIC"), "life {}: {line}", ledger.kills);
        ledger.note(&line);
    }
    let data = dir.join("data");
    ledger.in_start += usize::from(ready.is_empty());
    if has_unfinished_block(&data, ledger.size.tenants) {
        *(if at == "at compaction" { &mut ledger.in_compaction } else { &mut ledger.in_cut }) += 1;
    }
    ledger.in_snapshot += usize::from(has_unfinished_snapshot(&data));
    ledger.kills += 1;
    ledger.living = false;
    ledger.save(dir);
    ready
}

/// Starts once more, to read everything.
fn check_all(dir: &Path, ledger: &mut Ledger) {
    let before = ledger.kills;
    // Not one that is killed in its start.
    ledger.kills = 0;
    let ready = kill_once(dir, ledger, 1);
    ledger.kills = before;
    println!("episode ended after {before} kills: {ready}");
}

#[test]
fn killed_at_any_moment_nothing_acknowledged_is_lost() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = std::env::var_os("THANOXIDE_ENGINE_KILL_DIR").map_or(temporary.path().to_path_buf(), PathBuf::from);
    let wanted = setting("THANOXIDE_ENGINE_KILLS", 20);
    let time = Duration::from_secs(60 * setting("THANOXIDE_ENGINE_KILL_MINUTES", 55) as u64);
    let (began, mut ledger) =
        (Instant::now(), Ledger::load(&dir, Size::new(setting("THANOXIDE_ENGINE_KILL_SERIES", 0))));
    while ledger.kills < wanted && began.elapsed() < time {
        kill_once(&dir, &mut ledger, setting(PARTS, 1));
        if ledger.kills.is_multiple_of(EPISODE) {
            check_all(&dir, &mut ledger);
            ledger.begin_episode(&dir);
        }
    }
    check_all(&dir, &mut ledger);
    println!(
        "{} of {wanted} kills, {} in one of {} cuts, {} in one of {} compactions, {} in a snapshot, {} in a start; {} samples acknowledged, none lost",
        ledger.kills,
        ledger.in_cut,
        ledger.cuts,
        ledger.in_compaction,
        ledger.compactions,
        ledger.in_snapshot,
        ledger.in_start,
        ledger.acknowledged(),
    );
}
