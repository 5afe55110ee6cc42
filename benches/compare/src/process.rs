//! A child process: pinned, its log kept in a file, killed by its id when dropped.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::cores::pin;
use crate::usage::{self, Usage};

/// How long a program may take to end when asked.
/// A stock receiver with a million series makes blocks of them first, which takes more than half a minute.
const STOP_DEADLINE: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(10);
/// So much of a log's end goes into an error.
const LOG_TAIL_BYTES: usize = 2_000;

/// A running program.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program on a core.
    pub(crate) fn start(mut command: Command, core: Option<usize>, log: &Path) -> Result<Self> {
        let file = File::create(log).context("cannot make a log file")?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        // A child runs where the thread that starts it may run: a short-lived thread goes there first.
        let starter = thread::spawn(move || {
            pin(core)?;
            command.spawn().with_context(|| format!("cannot start {command:?}"))
        });
        let child = starter.join().map_err(|_| anyhow!("the starting thread panicked"))??;
        Ok(Process { child, log: log.to_path_buf() })
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Fails, with the end of its log, if it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("it ended with {status}:\n{}", self.log_tail()),
        }
    }

    /// The end of what it said.
    pub(crate) fn log_tail(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(LOG_TAIL_BYTES)..]).into_owned()
    }

    /// Waits until it has ended by itself; what it has used.
    pub(crate) fn finish(mut self) -> Result<Usage> {
        let mut used = Usage::default();
        // Once it has ended it has no memory any more, but its CPU time until its status is asked for.
        while let Ok(now) = Usage::of(self.id()) {
            used = now;
            thread::sleep(POLL);
        }
        waitid(WaitId::Pid(Pid::from_child(&self.child)), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
        used.cpu_s = usage::cpu_seconds(self.id())?;
        let status = self.child.wait()?;
        ensure!(status.success(), "it ended with {status}:\n{}", self.log_tail());
        Ok(used)
    }

    /// Asks it to end and waits for that.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.check()?;
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let end = Instant::now() + STOP_DEADLINE;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > end {
                bail!("still running {STOP_DEADLINE:?} after SIGTERM");
            }
            thread::sleep(POLL);
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_start_stop_and_leave_a_log() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut command = Command::new("sh");
        command.args(["-c", "echo said; exec sleep 60"]);
        let mut process = Process::start(command, None, &log).unwrap();
        process.check().unwrap();
        process.stop().unwrap();
        let busy = |code: u8| {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done; exit {code}")]);
            Process::start(command, None, &log).unwrap().finish()
        };
        assert!(busy(0).unwrap().cpu_s > 0.0 && busy(3).is_err());
        let mut ended = Process::start(Command::new("false"), None, &log).unwrap();
        ended.child.wait().unwrap();
        assert!(ended.check().is_err());
        assert!(Process::start(Command::new("/nowhere/program"), None, &log).is_err());
    }
}
