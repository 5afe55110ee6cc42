//! `thanoxide-loadgen`: sends samples that can be checked, checks them, and says what it cost.
//!
//! ```text
//! thanoxide-loadgen --target 127.0.0.1:19291 --api 127.0.0.1:10902 --series 100k --interval-ms 1000 --scrapes 60
//! ```

use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use thanoxide_loadgen::checker;
use thanoxide_loadgen::plan::Plan;
use thanoxide_loadgen::replay::Endpoint;
use thanoxide_loadgen::sender::{self, Outcome, Sending};
use thanoxide_loadgen::template::Protocol;

const USAGE: &str = "\
thanoxide-loadgen --target HOST:PORT [--path /api/v1/receive] [--api HOST:PORT]
  --api              read everything back there at the end
  --series N         series at a time, k and M as factors (10k)
  --interval-ms N    time between two scrapes (15000)
  --scrapes N        scrapes of every series (20)
  --connections N    requests in flight (4)
  --protocol 1|2     remote write 1.0 or 2.0 (1)
  --tenant NAME      the THANOS-TENANT header
  --jitter-ms N      samples lie so far around their scrape (5)
  --holes N          so many of a thousand scrapes are left out (0)
  --resets N         counters start again after N scrapes (never)
  --churn N          series get new labels after N scrapes (never)
  --unpaced          the next scrape follows at once; times still advance by the interval";

/// What the command line asks for.
struct Options {
    plan: Plan,
    sending: Sending,
    api: Option<String>,
}

fn main() -> Result<()> {
    if std::env::args().skip(1).any(|arg| arg == "--help" || arg == "-h") {
        println!("{USAGE}");
        return Ok(());
    }
    let options = Options::parse(std::env::args().skip(1))?;
    let (plan, sending) = (&options.plan, &options.sending);
    let (began, outcome) = (Instant::now(), sender::send(plan, sending)?);
    report(plan, &outcome, began.elapsed().as_secs_f64());
    let Some(api) = &options.api else { return Ok(()) };
    let checked = checker::check(plan, &outcome.ledger, sending.scrapes, api)?;
    println!("checked: {} samples acknowledged, {} found, 0 lost, 0 invented", checked.acked, checked.found);
    Ok(())
}

fn report(plan: &Plan, outcome: &Outcome, wall_s: f64) {
    let mut acks = outcome.acks_s.clone();
    acks.sort_by(f64::total_cmp);
    let quantile = |rank: f64| acks.get((rank * acks.len().saturating_sub(1) as f64) as usize).copied();
    let requests: usize = outcome.ledger.acked.values().map(Vec::len).sum();
    let groups = outcome.ledger.acked.iter();
    let samples: u64 =
        groups.map(|(&group, acked)| sender::members(plan, group).count() as u64 * acked.len() as u64).sum();
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let cpu_s = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
    println!(
        "{samples} samples in {requests} requests acknowledged in {wall_s:.1} s ({:.0}/s), {} requests failed",
        samples as f64 / wall_s,
        outcome.ledger.failed
    );
    let ms = |rank| 1e3 * quantile(rank).unwrap_or(f64::NAN);
    println!("acknowledgement p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms", ms(0.5), ms(0.99), ms(1.0));
    println!("generator: {:.1} % of a core", 100.0 * cpu_s / wall_s);
    outcome.ledger.last_failure.iter().for_each(|failure| println!("last failure: {failure}"));
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self> {
        let (mut target, mut api, mut tenant) = (None, None, None);
        let mut plan = Plan {
            series: 10_000,
            interval_ms: 15_000,
            start_ms: 0,
            jitter_ms: 5,
            holes_per_mille: 0,
            resets: None,
            churn: None,
        };
        let (mut path, mut connections, mut scrapes) = ("/api/v1/receive".to_string(), 4, 20);
        let (mut protocol, mut is_paced) = (Protocol::V1, true);
        while let Some(flag) = args.next() {
            if flag == "--unpaced" {
                is_paced = false;
                continue;
            }
            let (flag, value) = match flag.split_once('=') {
                Some((flag, value)) => (flag.to_string(), value.to_string()),
                None => {
                    let value = args.next().with_context(|| format!("{flag} wants a value\n{USAGE}"))?;
                    (flag, value)
                }
            };
            match flag.as_str() {
                "--target" => target = Some(value),
                "--path" => path = value,
                "--api" => api = Some(value),
                "--tenant" => tenant = Some(value),
                "--series" => plan.series = number(&value)?,
                "--interval-ms" => plan.interval_ms = number(&value)? as i64,
                "--scrapes" => scrapes = number(&value)?,
                "--connections" => connections = number(&value)? as usize,
                "--jitter-ms" => plan.jitter_ms = value.parse().context("--jitter-ms wants a number")?,
                "--holes" => plan.holes_per_mille = number(&value)?,
                "--resets" => plan.resets = Some(number(&value)?),
                "--churn" => plan.churn = Some(number(&value)?),
                "--protocol" => protocol = version(&value)?,
                _ => bail!("unknown flag {flag}\n{USAGE}"),
            }
        }
        ensure!(
            plan.jitter_ms >= 0 && 4 * plan.jitter_ms < plan.interval_ms,
            "jitter must be below a quarter interval"
        );
        ensure!(plan.holes_per_mille < 1_000, "--holes wants less than 1000");
        // Unpaced scrapes all lie in the past, so that their times are no surprise.
        let span_ms = if is_paced { 0 } else { scrapes as i64 * plan.interval_ms };
        plan.start_ms = sender::now_ms() - span_ms;
        let target = Endpoint { address: target.with_context(|| format!("--target is missing\n{USAGE}"))?, path };
        let headers = tenant.map(|tenant| format!("THANOS-TENANT: {tenant}\r\n")).unwrap_or_default();
        let sending = Sending { target, protocol, headers, connections, scrapes, is_paced };
        Ok(Options { plan, sending, api })
    }
}

fn version(text: &str) -> Result<Protocol> {
    match text {
        "1" => Ok(Protocol::V1),
        "2" => Ok(Protocol::V2),
        _ => bail!("--protocol wants 1 or 2"),
    }
}

/// A positive number with an optional `k` or `M`.
fn number(text: &str) -> Result<u64> {
    let (digits, factor) = match text.as_bytes().last() {
        Some(b'k') => (&text[..text.len() - 1], 1_000),
        Some(b'M') => (&text[..text.len() - 1], 1_000_000),
        _ => (text, 1),
    };
    let number: u64 = digits.parse().with_context(|| format!("no number: {text:?}"))?;
    ensure!(number > 0 && number < u64::MAX / factor, "no number: {text:?}");
    Ok(number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options> {
        Options::parse(line.split_whitespace().map(str::to_string))
    }

    #[test]
    fn flags_are_read() {
        let options = parsed("--target=127.0.0.1:1 --series 2k --protocol 2 --churn 5 --tenant a --unpaced").unwrap();
        assert_eq!((options.plan.series, options.plan.churn), (2_000, Some(5)));
        assert_eq!((options.sending.protocol, options.sending.is_paced), (Protocol::V2, false));
        assert_eq!(options.sending.headers, "THANOS-TENANT: a\r\n");
    }

    #[test]
    fn mistakes_are_named() {
        for line in ["", "--target", "--target x --series 0", "--target x --protocol 3", "--target x --what 1"] {
            assert!(parsed(line).is_err(), "{line:?}");
        }
    }
}
