//! The programs that are compared: how each is started, where it is written to and asked, and what its answers are worth.
//!
//! Arguments hold placeholders: `{dir}` is the peer's own directory, any other `{name}` what the benchmark says, or else a free port, the
//! same wherever the name comes again. Each has its best honest flags: limits off, caches and log compression as they are by default.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// One program of a peer.
#[derive(Debug)]
pub(crate) struct Server {
    /// Its arguments.
    pub(crate) args: &'static [&'static str],
    /// It takes work once this port and path answer 200.
    pub(crate) ready: (&'static str, &'static str),
}

/// How to find out what a program is.
#[derive(Debug)]
pub(crate) enum Version {
    /// It says so when asked.
    Asked(&'static str),
    /// It does not say.
    Known(&'static str),
}

/// A kind of peer.
#[derive(Debug)]
pub(crate) struct Recipe {
    /// What `--peers` calls it.
    pub(crate) name: &'static str,
    pub(crate) version: Version,
    /// For Go programs: pinned, they get `GOMAXPROCS=1`.
    pub(crate) is_go: bool,
    /// What runs when samples are written and asked for.
    pub(crate) servers: &'static [Server],
    /// What runs on blocks that lie there already; empty if it cannot.
    pub(crate) block_servers: &'static [Server],
    /// What runs as a router before other nodes; empty if it cannot.
    pub(crate) router_servers: &'static [Server],
    /// What runs as a receiver alone; empty if it is no such program.
    pub(crate) receiver_servers: &'static [Server],
    /// Where below its directory these blocks lie.
    pub(crate) blocks_dir: &'static str,
    /// Port and path of remote write.
    pub(crate) write: (&'static str, &'static str),
    /// Port of Prometheus's API.
    pub(crate) api: &'static str,
    /// Port and path of a GET that makes what was written visible to queries.
    pub(crate) flush: Option<(&'static str, &'static str)>,
    /// Parameters that keep it from answering out of a cache of results.
    pub(crate) uncached: &'static [(&'static str, &'static str)],
    /// Whether its answers are meant to be Prometheus's to the last digits.
    pub(crate) is_exact: bool,
    /// Whether it makes Prometheus's blocks of its heads.
    pub(crate) makes_blocks: bool,
    /// Port of its metrics, if it has those of Prometheus's heads.
    pub(crate) metrics: Option<&'static str>,
    /// Labels that it adds to every series.
    pub(crate) added_labels: &'static [&'static str],
}

/// Our own peer's name.
pub(crate) const OURS: &str = "thanoxide";

const STANDALONE: Server = Server {
    args: &[
        "standalone",
        "--data-dir={dir}",
        "--http-address=127.0.0.1:{http}",
        "--grpc-address=127.0.0.1:{grpc}",
        "--remote-write.address=127.0.0.1:{write}",
        "--no-self-scrape",
        "--query.timeout=5m",
        "--enable-feature=promql-experimental-functions",
    ],
    ready: ("http", "/-/ready"),
};
const ORACLE: Server = Server {
    args: &["--data-dir={dir}", "--address=127.0.0.1:{http}", "--max-samples=2000000000", "--experimental"],
    ready: ("http", "/-/ready"),
};
const PROMETHEUS: Server = Server {
    args: &[
        "--config.file=/dev/null",
        "--storage.tsdb.path={dir}",
        "--storage.tsdb.retention.time=20y",
        "--storage.tsdb.max-block-duration=2h",
        "--web.enable-remote-write-receiver",
        "--web.listen-address=127.0.0.1:{http}",
        "--query.max-samples=2000000000",
        "--query.timeout=5m",
        "--enable-feature=promql-experimental-functions",
    ],
    ready: ("http", "/-/ready"),
};
const VICTORIA_METRICS: Server = Server {
    args: &[
        "-storageDataPath={dir}",
        "-httpListenAddr=127.0.0.1:{http}",
        "-retentionPeriod=100y",
        // What is acknowledged is counted over all series, of which it refuses more than 300,000 in one query.
        "-search.maxUniqueTimeseries=100000000",
        "-search.maxQueryDuration=5m",
    ],
    ready: ("http", "/health"),
};
const THANOS_RECEIVE: Server = Server {
    args: &[
        "receive",
        "--tsdb.path={dir}/receive",
        "--label=replica=\"0\"",
        "--receive.local-endpoint=127.0.0.1:{grpc}",
        "--receive.hashrings=[{\"endpoints\":[\"127.0.0.1:{grpc}\"]}]",
        "--receive.capnproto-address=127.0.0.1:{capnproto}",
        "--grpc-address=127.0.0.1:{grpc}",
        "--http-address=127.0.0.1:{receive}",
        "--remote-write.address=127.0.0.1:{write}",
    ],
    ready: ("receive", "/-/ready"),
};
const THANOS_STORE: Server = Server {
    args: &[
        "store",
        "--data-dir={dir}/store",
        "--objstore.config={type: FILESYSTEM, config: {directory: \"{dir}/bucket\"}}",
        "--grpc-address=127.0.0.1:{grpc}",
        "--http-address=127.0.0.1:{store}",
    ],
    ready: ("store", "/-/ready"),
};
const THANOS_QUERY: Server = Server {
    args: &[
        "query",
        "--http-address=127.0.0.1:{http}",
        "--grpc-address=127.0.0.1:{query-grpc}",
        "--endpoint-strict=127.0.0.1:{grpc}",
        "--query.replica-label=replica",
        "--query.promql-engine=thanos",
        // Large queries take it longer than its two minutes on a busy machine.
        "--query.timeout=5m",
        "--enable-feature=promql-experimental-functions",
    ],
    ready: ("http", "/-/ready"),
};

/// Thanos's flags, which are ours too. `{hashrings}`, `{replicas}` and `{compression}` are the benchmark's.
const ROUTER: Server = Server {
    args: &[
        "receive",
        "--tsdb.path={dir}/router",
        "--label=replica=\"router\"",
        "--receive.hashrings={hashrings}",
        "--receive.hashrings-algorithm=ketama",
        "--receive.replication-factor={replicas}",
        "--receive.grpc-compression={compression}",
        "--receive.capnproto-address=127.0.0.1:{capnproto}",
        "--grpc-address=127.0.0.1:{grpc}",
        "--http-address=127.0.0.1:{http}",
        "--remote-write.address=127.0.0.1:{write}",
    ],
    ready: ("http", "/-/ready"),
};

/// Every kind of peer.
pub(crate) const RECIPES: [Recipe; 5] = [
    Recipe {
        name: OURS,
        version: Version::Asked("--version"),
        is_go: false,
        servers: &[STANDALONE],
        block_servers: &[STANDALONE],
        router_servers: &[ROUTER],
        receiver_servers: &[THANOS_RECEIVE],
        blocks_dir: "bucket",
        write: ("write", "/api/v1/receive"),
        api: "http",
        flush: None,
        uncached: &[],
        is_exact: true,
        makes_blocks: true,
        metrics: Some("http"),
        added_labels: &["tenant_id"],
    },
    Recipe {
        name: "oracle",
        version: Version::Known("Prometheus 3.14 (engine, TSDB, API) behind tests/interop's main"),
        is_go: true,
        servers: &[ORACLE],
        block_servers: &[ORACLE],
        router_servers: &[],
        receiver_servers: &[],
        blocks_dir: "",
        write: ("http", "/api/v1/write"),
        api: "http",
        flush: None,
        uncached: &[],
        is_exact: true,
        makes_blocks: true,
        metrics: None,
        added_labels: &[],
    },
    Recipe {
        name: "prometheus",
        version: Version::Asked("--version"),
        is_go: true,
        servers: &[PROMETHEUS],
        block_servers: &[PROMETHEUS],
        router_servers: &[],
        receiver_servers: &[],
        blocks_dir: "",
        write: ("http", "/api/v1/write"),
        api: "http",
        flush: None,
        uncached: &[],
        is_exact: true,
        makes_blocks: true,
        metrics: Some("http"),
        added_labels: &[],
    },
    Recipe {
        name: "thanos",
        version: Version::Asked("--version"),
        is_go: true,
        servers: &[THANOS_RECEIVE, THANOS_QUERY],
        block_servers: &[THANOS_STORE, THANOS_QUERY],
        router_servers: &[ROUTER],
        receiver_servers: &[THANOS_RECEIVE],
        blocks_dir: "bucket",
        write: ("write", "/api/v1/receive"),
        api: "http",
        flush: None,
        uncached: &[],
        is_exact: false,
        makes_blocks: true,
        metrics: Some("receive"),
        added_labels: &["tenant_id", "receive"],
    },
    Recipe {
        name: "victoria-metrics",
        version: Version::Asked("-version"),
        is_go: true,
        servers: &[VICTORIA_METRICS],
        block_servers: &[],
        router_servers: &[],
        receiver_servers: &[],
        blocks_dir: "",
        write: ("http", "/api/v1/write"),
        api: "http",
        flush: Some(("http", "/internal/force_flush")),
        uncached: &[("nocache", "1")],
        is_exact: false,
        makes_blocks: false,
        metrics: None,
        added_labels: &[],
    },
];

/// A peer of this run.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) recipe: &'static Recipe,
    pub(crate) program: PathBuf,
}

impl Peer {
    /// A program of a known kind.
    pub(crate) fn new(name: &str, program: impl Into<PathBuf>) -> Result<Self> {
        let names: Vec<&str> = RECIPES.iter().map(|r| r.name).collect();
        let recipe = RECIPES.iter().find(|recipe| recipe.name == name);
        let recipe = recipe.with_context(|| format!("no peer {name:?}; there are {}", names.join(", ")))?;
        Ok(Peer { recipe, program: located(program.into())? })
    }

    /// Its kind's name.
    pub(crate) fn name(&self) -> &'static str {
        self.recipe.name
    }

    /// What it says it is, in one line.
    pub(crate) fn version(&self) -> Result<String> {
        let argument = match self.recipe.version {
            Version::Asked(argument) => argument,
            Version::Known(text) => return Ok(text.to_string()),
        };
        let output = Command::new(&self.program).arg(argument).output();
        let output = output.with_context(|| format!("cannot run {}", self.program.display()))?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        Ok(text.lines().find(|line| !line.trim().is_empty()).unwrap_or("(says nothing)").trim().to_string())
    }

    /// Fails with advice when the program is not there.
    pub(crate) fn check(&self) -> Result<()> {
        if is_program(&self.program) {
            return Ok(());
        }
        let advice = match self.name() {
            OURS => "cargo build --release -p thanoxide-cli",
            "oracle" => "cargo xtask prepare",
            _ => "give its path with --peers",
        };
        bail!("{} is not at {}: {advice}", self.name(), self.program.display())
    }
}

/// Peers run in directories of their own: a path is made whole, a bare name is looked up as usual.
fn located(program: PathBuf) -> Result<PathBuf> {
    match program.components().count() {
        1 => Ok(program),
        _ => std::path::absolute(&program).with_context(|| format!("no path: {}", program.display())),
    }
}

fn is_program(path: &Path) -> bool {
    let on_path =
        || std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|d| d.join(path).is_file());
    path.is_file() || (path.components().count() == 1 && on_path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_found_by_name() {
        assert!(RECIPES.iter().all(|r| Peer::new(r.name, "x").unwrap().name() == r.name));
        assert!(Peer::new("mimir", "x").unwrap_err().to_string().contains("victoria-metrics"));
        assert!(Peer::new("oracle", "/nowhere/oracle").unwrap().check().is_err());
        assert!(Peer::new("oracle", "some/oracle").unwrap().program.is_absolute());
        assert_eq!(Peer::new("prometheus", "prometheus").unwrap().program, Path::new("prometheus"));
    }

    #[test]
    fn every_port_that_a_recipe_names_is_in_its_arguments() {
        for recipe in &RECIPES {
            let args = |servers: &[Server]| servers.iter().flat_map(|s| s.args).copied().collect::<String>();
            let has = |servers: &[Server], port: &str| args(servers).contains(&format!("{{{port}}}"));
            assert!(has(recipe.servers, recipe.write.0) && has(recipe.servers, recipe.api));
            assert!(recipe.servers.iter().chain(recipe.block_servers).all(|s| has(std::slice::from_ref(s), s.ready.0)));
            assert!(recipe.block_servers.is_empty() || has(recipe.block_servers, recipe.api));
            assert!(recipe.router_servers.is_empty() || has(recipe.router_servers, recipe.write.0));
        }
    }
}
