//! What the command line asks for.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::bench::{BENCHMARKS, Benchmark};
use crate::cores::Cores;
use crate::peer::{OURS, Peer};

/// Everything a benchmark is told.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// Which benchmark.
    pub(crate) name: String,
    /// The peers, ours first.
    pub(crate) peers: Vec<Peer>,
    /// Numbers of series, if not the benchmark's own.
    pub(crate) sizes: Vec<u64>,
    /// Interleaved rounds, if not the benchmark's own number.
    pub(crate) rounds: Option<usize>,
    /// Samples of each series, where a benchmark leaves them open.
    pub(crate) samples: Option<usize>,
    pub(crate) cores: Cores,
    /// A directory of blocks.
    pub(crate) blocks: Option<PathBuf>,
    /// A file of queries.
    pub(crate) queries: Option<PathBuf>,
    /// Where the figures go as JSON.
    pub(crate) json: Option<PathBuf>,
    /// A directory for pictures of them.
    pub(crate) charts: Option<PathBuf>,
}

impl Setting {
    /// Reads the command line, without the program's name.
    pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut args = args.into_iter();
        let name = args.next().filter(|name| !name.starts_with('-')).with_context(usage)?;
        let mut setting = Setting {
            name,
            peers: default_peers()?,
            sizes: Vec::new(),
            rounds: None,
            samples: None,
            cores: Cores::PINNED,
            blocks: None,
            queries: None,
            json: None,
            charts: None,
        };
        let mut only = None;
        while let Some(flag) = args.next() {
            if flag == "--unpinned" {
                setting.cores = Cores::FREE;
                continue;
            }
            let value = args.next().with_context(|| format!("{flag} wants a value\n{}", usage()))?;
            match flag.as_str() {
                "--peers" => set_peers(&mut setting.peers, &value)?,
                "--only" => only = Some(value),
                "--sizes" => setting.sizes = value.split(',').map(size).collect::<Result<_>>()?,
                "--rounds" => setting.rounds = Some(value.parse().context("--rounds wants a number")?),
                "--samples" => setting.samples = Some(value.parse().context("--samples wants a number")?),
                "--block" => setting.blocks = Some(value.into()),
                "--queries" => setting.queries = Some(value.into()),
                "--json" => setting.json = Some(value.into()),
                "--charts" => setting.charts = Some(value.into()),
                _ => bail!("unknown flag {flag}\n{}", usage()),
            }
        }
        only.map_or(Ok(()), |names| keep_only(&mut setting.peers, &names))?;
        ensure!(setting.rounds != Some(0), "--rounds wants at least 1");
        Ok(setting)
    }

    /// Whether a benchmark is the one asked for, or one of `all`.
    pub(crate) fn asks_for(&self, benchmark: &&&dyn Benchmark) -> bool {
        self.name == benchmark.name() || (self.name == "all" && benchmark.is_pinned())
    }

    /// The names of the peers, in order.
    pub(crate) fn peer_names(&self) -> Vec<String> {
        self.peers.iter().map(|peer| peer.name().to_string()).collect()
    }

    /// How it was measured, for the head of the output and for JSON.
    pub(crate) fn describe(&self) -> Result<Value> {
        let versions: Result<Vec<String>> =
            self.peers.iter().map(|p| Ok(format!("{}: {}", p.name(), p.version()?))).collect();
        Ok(json!({
            "benchmark": self.name,
            "machine": machine(),
            "cores": match self.cores.server {
                Some(core) => format!("servers on core {core}, generator on another, GOMAXPROCS=1 for Go"),
                None => "not pinned".to_string(),
            },
            "versions": versions?,
        }))
    }
}

/// How to call the program.
pub(crate) fn usage() -> String {
    let benchmarks = BENCHMARKS.iter().map(|b| format!("  {:8} {}\n", b.name(), b.about()));
    format!(
        "thanoxide-compare <benchmark> [--peers NAME=PATH,…] [--only NAME,…] [--sizes 100k,1M] [--rounds N] [--samples N]\n\
         \x20                 [--block DIR] [--queries FILE] [--json FILE] [--charts DIR] [--unpinned]\n  \
         all      every benchmark but smoke, one after the other\n  \
         charts   the pictures of a file that --json wrote, into the directory of --charts\n{}",
        benchmarks.collect::<String>()
    )
}

/// Ours beside this program, and the oracle where the workspace builds it.
fn default_peers() -> Result<Vec<Peer>> {
    let here = std::env::current_exe().context("no path of this program")?;
    let ours = here.parent().unwrap_or(Path::new("")).join(OURS);
    let oracle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/interop/bin/oracle");
    Ok(vec![Peer::new(OURS, ours)?, Peer::new("oracle", oracle)?])
}

fn set_peers(peers: &mut Vec<Peer>, list: &str) -> Result<()> {
    for item in list.split(',') {
        let (name, path) = item.split_once('=').with_context(|| format!("--peers wants NAME=PATH, not {item:?}"))?;
        let peer = Peer::new(name, path)?;
        match peers.iter_mut().find(|known| known.name() == name) {
            Some(known) => *known = peer,
            None => peers.push(peer),
        }
    }
    Ok(())
}

fn keep_only(peers: &mut Vec<Peer>, names: &str) -> Result<()> {
    let names: Vec<&str> = names.split(',').collect();
    if let Some(name) = names.iter().find(|name| peers.iter().all(|peer| peer.name() != **name)) {
        bail!("--only names {name}, which --peers does not give");
    }
    peers.retain(|peer| names.contains(&peer.name()));
    Ok(())
}

/// A number with an optional `k` or `M`.
fn size(text: &str) -> Result<u64> {
    let (digits, factor) = match text.as_bytes().last() {
        Some(b'k') => (&text[..text.len() - 1], 1_000),
        Some(b'M') => (&text[..text.len() - 1], 1_000_000),
        _ => (text, 1),
    };
    let number: u64 = digits.parse().with_context(|| format!("no size: {text:?}"))?;
    ensure!(number > 0 && number < u64::MAX / factor, "no size: {text:?}");
    Ok(number * factor)
}

/// Processor, number of cores, memory, and how busy it is.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let value = |text: String, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_string();
        line.split_once(':').map(|(_, value)| value.trim().to_string()).unwrap_or_default()
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory_kib: u64 = value(read("/proc/meminfo"), "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0);
    let load = read("/proc/loadavg");
    let processor = value(read("/proc/cpuinfo"), "model name");
    format!("{processor}, {cores} cores, {} GiB, load {}", memory_kib >> 20, load.split(' ').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Setting> {
        Setting::parse(line.split_whitespace().map(str::to_string))
    }

    #[test]
    fn flags_are_read() {
        let setting =
            parsed("ingest --peers victoria-metrics=/vm,oracle=/o --sizes 100k,1M,7 --rounds 3 --unpinned").unwrap();
        assert_eq!(setting.peer_names(), ["thanoxide", "oracle", "victoria-metrics"]);
        assert_eq!(setting.peers[1].program, Path::new("/o"));
        assert_eq!((setting.sizes, setting.rounds, setting.cores), (vec![100_000, 1_000_000, 7], Some(3), Cores::FREE));
        assert_eq!(parsed("query --only oracle").unwrap().peer_names(), ["oracle"]);
    }

    #[test]
    fn mistakes_are_named() {
        for line in ["", "--rounds 3", "ingest --sizes x", "ingest --sizes 0", "ingest --rounds", "ingest --rounds 0"] {
            assert!(parsed(line).is_err(), "{line:?}");
        }
        for line in ["ingest --only thanos", "ingest --peers nobody=/x", "ingest --peers oracle", "ingest --what 1"] {
            assert!(parsed(line).is_err(), "{line:?}");
        }
    }
}
