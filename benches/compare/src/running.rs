//! A peer at work: its processes, its temporary directory, its ports. Dropped, all of it is gone.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use thanoxide_loadgen::replay::Endpoint;

use crate::answer::Answer;
use crate::cores::Cores;
use crate::peer::{Peer, Server};
use crate::process::Process;
use crate::usage::{self, Usage};
use thanoxide_loadgen::http::Connection;

/// How long a peer may take to be ready.
const READY_DEADLINE: Duration = Duration::from_secs(120);
const READY_POLL: Duration = Duration::from_millis(2);
/// Below the temporary directory, beside the logs: what the peer calls its directory.
const DATA: &str = "data";

/// A started peer. Its processes go before its directory does.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) peer: Peer,
    servers: &'static [Server],
    processes: Vec<Process>,
    /// What placeholders stand for: ports, and what this run chose.
    values: BTreeMap<String, String>,
    commands: Vec<String>,
    dir: TempDir,
}

impl Running {
    /// Starts a peer that is to be written to.
    pub(crate) fn empty(peer: &Peer, cores: Cores) -> Result<Self> {
        Running::start(peer, peer.recipe.servers, TempDir::new()?, cores, BTreeMap::new())
    }

    /// Starts a peer as a router; `values` are what its placeholders stand for.
    pub(crate) fn router(peer: &Peer, values: &[(&str, String)], cores: Cores) -> Result<Self> {
        let values = values.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
        Running::start(peer, peer.recipe.router_servers, TempDir::new()?, cores, values)
    }

    /// Starts a peer as a receiver alone, which nobody can ask.
    pub(crate) fn receiver(peer: &Peer, cores: Cores) -> Result<Self> {
        Running::start(peer, peer.recipe.receiver_servers, TempDir::new()?, cores, BTreeMap::new())
    }

    /// Starts a peer over its own copy of the blocks in a directory.
    pub(crate) fn on_blocks(peer: &Peer, blocks: &Path, cores: Cores) -> Result<Self> {
        let dir = TempDir::new()?;
        copy_tree(blocks, &dir.path().join(DATA).join(peer.recipe.blocks_dir)).context("cannot copy the blocks")?;
        Running::start(peer, peer.recipe.block_servers, dir, cores, BTreeMap::new())
    }

    fn start(
        peer: &Peer,
        servers: &'static [Server],
        dir: TempDir,
        cores: Cores,
        values: BTreeMap<String, String>,
    ) -> Result<Self> {
        fs::create_dir_all(dir.path().join(DATA))?;
        let mut running =
            Running { peer: peer.clone(), servers, processes: Vec::new(), values, commands: Vec::new(), dir };
        for server in servers {
            running.start_server(server, cores).with_context(|| format!("{} does not start", peer.name()))?;
        }
        Ok(running)
    }

    fn start_server(&mut self, server: &Server, cores: Cores) -> Result<()> {
        let data_dir = self.dir.path().join(DATA).to_string_lossy().into_owned();
        let args: Result<Vec<String>> =
            server.args.iter().map(|arg| filled(arg, &data_dir, &mut self.values)).collect();
        let mut command = Command::new(&self.peer.program);
        command.args(args?).current_dir(self.dir.path());
        let is_single = self.peer.recipe.is_go && cores.server.is_some();
        if is_single {
            command.env("GOMAXPROCS", "1");
        }
        let program = self.peer.program.file_name().unwrap_or_default().to_string_lossy();
        let environment = if is_single { "GOMAXPROCS=1 " } else { "" };
        self.commands.push(format!("{environment}{program} {}", server.args.join(" ")));
        let log = self.dir.path().join(format!("{}.log", self.processes.len()));
        self.processes.push(Process::start(command, cores.server, &log)?);
        self.await_ready(server)
    }

    fn await_ready(&mut self, server: &Server) -> Result<()> {
        let (port, path) = server.ready;
        let address = self.address(port)?;
        let end = Instant::now() + READY_DEADLINE;
        let process = self.processes.last_mut().context("nothing runs")?;
        let is_ready = || Connection::open(&address).and_then(|mut c| c.get(path)).is_ok_and(|r| r.status == 200);
        while !is_ready() {
            process.check()?;
            if Instant::now() > end {
                bail!("not ready after {READY_DEADLINE:?}:\n{}", process.log_tail());
            }
            thread::sleep(READY_POLL);
        }
        Ok(())
    }

    /// Where one of its ports is.
    pub(crate) fn address(&self, port: &str) -> Result<String> {
        let number = self.values.get(port).with_context(|| format!("no port {port:?}"))?;
        Ok(format!("127.0.0.1:{number}"))
    }

    /// Where to write.
    pub(crate) fn write_endpoint(&self) -> Result<Endpoint> {
        let (port, path) = self.peer.recipe.write;
        Ok(Endpoint { address: self.address(port)?, path: path.to_string() })
    }

    /// Lets queries see all that was written.
    pub(crate) fn flush(&self) -> Result<()> {
        let Some((port, path)) = self.peer.recipe.flush else { return Ok(()) };
        Connection::open(&self.address(port)?)?.get(path)?.success()?;
        Ok(())
    }

    /// Asks `/api/v1/<api>`; the body of the answer and how many seconds it took.
    pub(crate) fn ask(&self, api: &str, fields: &[(&str, &str)]) -> Result<(Vec<u8>, f64)> {
        self.ask_as(api, fields, false)
    }

    /// The same; the answer may be compressed, and comes as it is.
    pub(crate) fn ask_as(&self, api: &str, fields: &[(&str, &str)], gzip: bool) -> Result<(Vec<u8>, f64)> {
        let mut connection = Connection::open(&self.address(self.peer.recipe.api)?)?;
        let fields = [fields, self.peer.recipe.uncached].concat();
        let headers = if gzip { "Accept-Encoding: gzip\r\n" } else { "" };
        let start = Instant::now();
        let path = format!("/api/v1/{api}");
        // Values of a label can only be asked for by GET.
        let response = match api.starts_with("label/") {
            true => connection.get_with(&path, &fields)?,
            false => connection.post_form_with(&path, headers, &fields)?,
        };
        let wall_s = start.elapsed().as_secs_f64();
        let body = response.success().with_context(|| format!("{} refused {fields:?}", self.peer.name()))?;
        Ok((body, wall_s))
    }

    /// The answer to a question, without the labels that this peer adds, and those named.
    pub(crate) fn answer(&self, api: &str, fields: &[(&str, &str)], ignored: &[String]) -> Result<Answer> {
        let added = self.peer.recipe.added_labels.iter().map(|label| label.to_string());
        let ignored: Vec<String> = added.chain(ignored.iter().cloned()).collect();
        Answer::parse(&self.ask(api, fields)?.0, &ignored)
            .with_context(|| format!("{} on {fields:?}", self.peer.name()))
    }

    /// What its processes have used.
    pub(crate) fn usage(&self) -> Result<Usage> {
        self.processes.iter().try_fold(Usage::default(), |sum, process| Ok(sum + Usage::of(process.id())?))
    }

    /// Lets its memory peak start again.
    pub(crate) fn reset_peak(&self) -> Result<()> {
        self.processes.iter().try_for_each(|process| usage::reset_peak(process.id()))
    }

    /// The directory that it calls its own.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join(DATA)
    }

    /// What its files occupy.
    pub(crate) fn disk_bytes(&self) -> u64 {
        usage::disk_bytes(&self.dir.path().join(DATA))
    }

    /// How it was started, with placeholders for directory and ports.
    pub(crate) fn commands(&self) -> &[String] {
        &self.commands
    }

    /// Its processes' ids.
    pub(crate) fn process_ids(&self) -> Vec<u32> {
        self.processes.iter().map(Process::id).collect()
    }

    /// Ends it without asking, as a crash would.
    pub(crate) fn kill(&mut self) {
        self.processes.clear();
    }

    /// Starts it again on what it left; seconds until it is ready.
    pub(crate) fn restart(&mut self, cores: Cores) -> Result<f64> {
        self.kill();
        self.commands.clear();
        let began = Instant::now();
        self.servers.iter().try_for_each(|server| self.start_server(server, cores))?;
        Ok(began.elapsed().as_secs_f64())
    }

    /// Stops it in order, the last started first.
    pub(crate) fn stop(mut self) -> Result<()> {
        while let Some(process) = self.processes.pop() {
            process.stop().with_context(|| format!("{} does not stop", self.peer.name()))?;
        }
        Ok(())
    }
}

/// An argument with its placeholders filled in. Braces that hold no plain name stay.
fn filled(argument: &str, dir: &str, values: &mut BTreeMap<String, String>) -> Result<String> {
    let mut text = String::new();
    let mut rest = argument;
    while let Some(open) = rest.find('{') {
        text.push_str(&rest[..open]);
        rest = &rest[open + 1..];
        let name_length = rest.bytes().take_while(|b| b.is_ascii_lowercase() || *b == b'-').count();
        let name = &rest[..name_length];
        if name.is_empty() || !rest[name_length..].starts_with('}') {
            text.push('{');
            continue;
        }
        rest = &rest[name_length + 1..];
        match name {
            "dir" => text.push_str(dir),
            _ => text.push_str(&value_of(name, values)?),
        }
    }
    Ok(text + rest)
}

/// What is known of a name; one that is new is a free port.
fn value_of(name: &str, values: &mut BTreeMap<String, String>) -> Result<String> {
    if let Some(value) = values.get(name) {
        return Ok(value.clone());
    }
    let port = TcpListener::bind("127.0.0.1:0").context("no free port")?.local_addr()?.port().to_string();
    values.insert(name.to_string(), port.clone());
    Ok(port)
}

/// Copies a directory: links where the file system allows, bytes elsewhere.
fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else if fs::hard_link(entry.path(), &target).is_err() {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_and_other_braces_stay() {
        let known = [("http", "80"), ("ring", "[{x}]")].map(|(name, value)| (name.to_string(), value.to_string()));
        let mut values = BTreeMap::from(known);
        let mut fill = |argument| filled(argument, "/data", &mut values).unwrap();
        assert_eq!(fill("--x={dir}/y:{http}"), "--x=/data/y:80");
        assert_eq!(fill("[{\"endpoints\":[\"h:{http}\"]}]"), "[{\"endpoints\":[\"h:80\"]}]");
        assert_eq!(fill("{type: F, config: {directory: \"{dir}\"}}"), "{type: F, config: {directory: \"/data\"}}");
        assert_eq!(fill("--ring={ring}"), "--ring=[{x}]");
        assert_eq!(fill("{grpc}"), fill("{grpc}"));
    }

    #[test]
    fn trees_are_copied() {
        let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        fs::create_dir(from.path().join("block")).unwrap();
        fs::write(from.path().join("block/index"), "x").unwrap();
        copy_tree(from.path(), &to.path().join("bucket")).unwrap();
        assert_eq!(fs::read(to.path().join("bucket/block/index")).unwrap(), b"x");
    }
}
