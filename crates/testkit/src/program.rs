//! Real programs as children: started on free ports, watched through their log, stopped or killed by id.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a program may take to start listening.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// The directory of the programs that this workspace builds, found from the test's own place.
pub fn target_dir() -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    let parent = test.parent().expect("programs lie in a directory");
    if parent.ends_with("deps") {
        parent.parent().map(Path::to_path_buf).unwrap_or_default()
    } else {
        parent.to_path_buf()
    }
}

/// A program of this workspace; it must be built already, as `cargo xtask test` does.
pub fn own(name: &str) -> PathBuf {
    target_dir().join(name)
}

/// A program of `tests/interop`.
pub fn interop(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/interop/bin").join(name)
}

/// A running child. Killed when dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    lines: Receiver<String>,
    log: Arc<Mutex<String>>,
    addresses: HashMap<String, String>,
}

impl Program {
    /// Starts a program; its log (both streams) is kept.
    pub fn spawn(command: &mut Command) -> Result<Self> {
        // Spans, where they are sent, are sent soon.
        command.env("OTEL_BSP_SCHEDULE_DELAY", "50");
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().with_context(|| {
                format!("cannot start {command:?}; `cargo xtask test` builds and installs what tests start")
            })?;
        let (sender, lines) = channel();
        let log = Arc::new(Mutex::new(String::new()));
        let streams: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().context("no stdout")?), Box::new(child.stderr.take().context("no stderr")?)];
        for stream in streams {
            let (sender, log) = (sender.clone(), Arc::clone(&log));
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    log.lock().expect("no reader panics").push_str(&format!("{line}\n"));
                    // Nobody may be waiting any more; the log keeps the line.
                    let _ = sender.send(line);
                }
            });
        }
        Ok(Program { child, lines, log, addresses: HashMap::new() })
    }

    /// Starts one of our programs and waits until it listens for all of `components`.
    pub fn thanoxide(args: &[&str], components: &[&str]) -> Result<Self> {
        let mut program = Program::spawn(Command::new(own("thanoxide")).args(args))?;
        program.await_addresses(components)?;
        Ok(program)
    }

    /// `thanoxide standalone` over a directory, on free ports; ready.
    pub fn standalone(data_dir: &Path, args: &[&str]) -> Result<Self> {
        let dir = data_dir.to_string_lossy();
        let mut all =
            vec!["standalone", "--data-dir", &dir, "--http-address=127.0.0.1:0", "--grpc-address=127.0.0.1:0"];
        all.push("--remote-write.address=127.0.0.1:0");
        all.extend_from_slice(args);
        let mut program = Program::thanoxide(&all, &["http", "grpc", "remote-write"])?;
        program.await_line("changing probe status", "status=ready")?;
        Ok(program)
    }

    /// `thanoxide receive` over a directory, on free ports; ready. Stock's rule that data needs an external label holds.
    pub fn receiver(data_dir: &Path, args: &[&str]) -> Result<Self> {
        let path = format!("--tsdb.path={}", data_dir.display());
        let mut all = vec!["receive", "--http-address=127.0.0.1:0", "--grpc-address=127.0.0.1:0"];
        all.extend(["--remote-write.address=127.0.0.1:0", "--receive.capnproto-address=127.0.0.1:0"]);
        all.extend(["--label=replica=\"ours\"", &path]);
        all.extend_from_slice(args);
        let mut program = Program::thanoxide(&all, &["http", "grpc", "remote-write", "capnproto"])?;
        program.await_line("changing probe status", "status=ready")?;
        Ok(program)
    }

    /// `thanoxide query` on free ports; ready.
    pub fn querier(args: &[&str]) -> Result<Self> {
        let mut all = vec!["query", "--http-address=127.0.0.1:0", "--grpc-address=127.0.0.1:0"];
        all.extend_from_slice(args);
        let mut program = Program::thanoxide(&all, &["http", "grpc"])?;
        program.await_line("changing probe status", "status=ready")?;
        Ok(program)
    }

    /// The oracle over a directory, on a free port; ready.
    pub fn oracle(data_dir: &Path, args: &[&str]) -> Result<Self> {
        let mut program = Program::spawn(Command::new(interop("oracle")).arg("--data-dir").arg(data_dir).args(args))?;
        let line = program.await_line("listening on ", "")?;
        let address = line.rsplit(' ').next().context("no address")?.to_string();
        program.addresses.insert("http".to_string(), address);
        Ok(program)
    }

    /// Debian's Prometheus over a directory, on a free port; ready. It takes remote writes and scrapes nothing.
    pub fn prometheus(data_dir: &Path, config_dir: &Path) -> Result<Self> {
        let config = config_dir.join("prometheus.yml");
        std::fs::write(&config, "global: {}\n")?;
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", data_dir.display()));
        let mut program =
            Program::spawn(command.args(["--web.listen-address=127.0.0.1:0", "--web.enable-remote-write-receiver"]))?;
        // Either may come first.
        let [line, _] = program.await_lines(["msg=\"Listening on\"", "Server is ready"])?;
        program.addresses.insert("http".to_string(), field(&line, "address").context("no address")?);
        Ok(program)
    }

    /// Thanos's own receiver over a directory, on free ports: `remote-write` and `grpc`.
    pub fn stock_receiver(data_dir: &Path) -> Result<Self> {
        Program::stock_ring(data_dir, &[])
    }

    /// Thanos's own receive over a directory in any of its modes: `remote-write`, `grpc` and `capnproto`.
    pub fn stock_ring(data_dir: &Path, args: &[&str]) -> Result<Self> {
        let mut command = Command::new(interop("ringreceiver"));
        let mut program = Program::spawn(command.arg("--data-dir").arg(data_dir).args(args))?;
        let components = [("grpc", "StoreAPI on "), ("capnproto", "capnproto on "), ("remote-write", "listening on ")];
        program.await_stock(&components)?;
        Ok(program)
    }

    fn await_stock(&mut self, components: &[(&str, &str)]) -> Result<()> {
        for (component, text) in components {
            let line = self.await_line(text, "")?;
            let address = line.rsplit(' ').next().context("no address")?.to_string();
            self.addresses.insert((*component).to_string(), address);
        }
        Ok(())
    }

    fn await_addresses(&mut self, components: &[&str]) -> Result<()> {
        while components.iter().any(|c| !self.addresses.contains_key(*c)) {
            let line = self.await_line("msg=listening", "")?;
            let component = field(&line, "component").context("no component")?;
            let address = field(&line, "address").context("no address")?;
            self.addresses.insert(component, address);
        }
        Ok(())
    }

    /// Waits for a log line that holds both texts.
    pub fn await_line(&mut self, first: &str, second: &str) -> Result<String> {
        let end = Instant::now() + START_DEADLINE;
        loop {
            let line = self.next_line(end, first)?;
            if line.contains(first) && line.contains(second) {
                return Ok(line);
            }
        }
    }

    /// Waits for a line with each of some texts, in whichever order they come.
    pub fn await_lines<const N: usize>(&mut self, texts: [&str; N]) -> Result<[String; N]> {
        let end = Instant::now() + START_DEADLINE;
        let mut found = [const { None }; N];
        while let Some(missing) = found.iter().position(Option::is_none) {
            let line = self.next_line(end, texts[missing])?;
            for (text, found) in texts.iter().zip(&mut found) {
                if found.is_none() && line.contains(text) {
                    *found = Some(line.clone());
                }
            }
        }
        Ok(found.map(Option::unwrap_or_default))
    }

    fn next_line(&mut self, end: Instant, wanted: &str) -> Result<String> {
        match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => bail!("no line {wanted:?} in time; log:\n{}", self.log()),
            Err(RecvTimeoutError::Disconnected) => bail!("it ended before a line {wanted:?}; log:\n{}", self.log()),
        }
    }

    /// Where it listens for a component: `http`, `grpc`, `remote-write`.
    pub fn address(&self, component: &str) -> &str {
        self.addresses.get(component).map_or("", String::as_str)
    }

    /// `http://` and the address of a component.
    pub fn url(&self, component: &str) -> String {
        format!("http://{}", self.address(component))
    }

    /// All it said so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("no writer panics").clone()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        Ok(kill_process(pid, signal)?)
    }

    /// SIGTERM, and waits until it is gone; fails if that takes longer than `limit`.
    pub fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait(limit)
    }

    /// Waits until it is gone.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                // Its last words may still be in the pipes, which close with it.
                while self.lines.recv_timeout(Duration::from_secs(1)).is_ok() {}
                return Ok(status);
            }
            // The pipe closes when the program ends: waiting for lines is waiting for the end.
            match self.lines.recv_timeout(Duration::from_millis(20)) {
                _ if Instant::now() > end => bail!("still running after {limit:?}; log:\n{}", self.log()),
                _ => {}
            }
        }
    }

    /// Resident memory now, in bytes.
    pub fn resident_bytes(&self) -> Result<u64> {
        self.status_bytes("VmRSS:")
    }

    /// How much more memory is resident than `before_bytes`, once that is less than `most_bytes` or for ten seconds was not: memory
    /// that is free goes back a second later, and later still beside other work.
    pub fn growth_bytes(&self, before_bytes: u64, most_bytes: u64) -> Result<u64> {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let growth_bytes = self.resident_bytes()?.saturating_sub(before_bytes);
            if growth_bytes < most_bytes || Instant::now() > end {
                return Ok(growth_bytes);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The most resident memory that there was, in bytes.
    pub fn peak_resident_bytes(&self) -> Result<u64> {
        self.status_bytes("VmHWM:")
    }

    fn status_bytes(&self, key: &str) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = status.lines().find(|line| line.starts_with(key)).context("no such line")?;
        let kib: u64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
        Ok(kib * 1024)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The value of `key=` in a logfmt line.
fn field(line: &str, key: &str) -> Option<String> {
    let rest = line.split(&format!(" {key}=")).nth(1)?;
    Some(rest.split(' ').next()?.trim_matches('"').to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found() {
        let line = "ts=1 level=info msg=listening component=http address=127.0.0.1:80";
        assert_eq!(field(line, "address").as_deref(), Some("127.0.0.1:80"));
        assert_eq!(field(line, "component").as_deref(), Some("http"));
    }
}
