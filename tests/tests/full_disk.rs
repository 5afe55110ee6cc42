//! A full disk: writing stops with 503, reading goes on, and once there is room again so does writing, by itself; nothing
//! acknowledged is lost. The disk is a small tmpfs, so the test needs the right to mount one.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail, ensure};
use thanoxide_testkit::api::Api;
use thanoxide_testkit::ledger::Shard;
use thanoxide_testkit::program::Program;
use thanoxide_testkit::sender::{Sender, batch};

/// How long writing may take to go on.
const MAX_PAUSE: Duration = Duration::from_secs(5);
const SERIES: usize = 1_000;
/// The engine leaves 16 MiB for its blocks: so much more can be filled with samples.
const SIZE: &str = "size=19m";
const MORE: &str = "remount,size=64m";

/// A mounted tmpfs; unmounted when dropped.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    /// Nothing if this machine does not permit it.
    fn mount(dir: &'a Path) -> Option<Self> {
        mount(SIZE, dir).then_some(SmallDisk(dir))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        // Lazily: the program under test may not be gone yet.
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}

fn mount(options: &str, dir: &Path) -> bool {
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(dir).output();
    mount.is_ok_and(|output| output.status.success())
}

/// Takes the last byte.
fn fill(path: &Path) -> Result<()> {
    let mut file = File::create(path)?;
    let mut block = vec![7; 1 << 16];
    while !block.is_empty() {
        if file.write_all(&block).is_err() {
            block.truncate(block.len() / 2);
        }
    }
    Ok(())
}

/// Sends rounds until one is not taken; that one is a 503.
async fn send_until_full(shard: &mut Shard, sender: &Sender) -> Result<()> {
    for _ in 0..5_000 {
        if shard.send(sender).await.is_ok() {
            continue;
        }
        let answer = sender.send(&batch(&shard.round())).await?;
        ensure!(answer.status == 503, "{answer:?}");
        return Ok(());
    }
    bail!("the disk does not get full");
}

/// Tries the next round until it is taken.
async fn await_write(shard: &mut Shard, sender: &Sender) -> Result<Duration> {
    let (began, mut ticks) = (Instant::now(), tokio::time::interval(Duration::from_millis(50)));
    while let Err(error) = shard.send(sender).await {
        ensure!(began.elapsed() < MAX_PAUSE, "still refused: {error}");
        ticks.tick().await;
    }
    Ok(began.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn writing_stops_and_goes_on_and_nothing_is_lost() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let Some(disk) = SmallDisk::mount(dir.path()) else {
        ensure!(std::env::var_os("CI").is_none(), "mounting a tmpfs is not permitted here, and CI skips nothing");
        println!("not tested: mounting a tmpfs is not permitted here");
        return Ok(());
    };
    let data_dir = disk.0.join("data");
    let mut program = Program::standalone(&data_dir, &["--no-self-scrape"])?;
    let sender = Sender::new(format!("{}/api/v1/receive", program.url("remote-write")));
    let api = Api::new(program.url("http"));
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
    let mut shard = Shard::new("full", SERIES, now_ms - 3_600_000, 1_000);

    // Filled with samples, up to the reserve; then by somebody else, to the last byte.
    send_until_full(&mut shard, &sender).await?;
    shard.check(&api).await?;
    let ballast = disk.0.join("ballast");
    fill(&ballast)?;
    send_until_full(&mut shard, &sender).await?;
    shard.check(&api).await?;
    ensure!(api.is_ready().await, "not ready");

    ensure!(mount(MORE, disk.0), "cannot make the tmpfs larger");
    let pause = await_write(&mut shard, &sender).await?;
    println!("{} rounds, writing went on after {pause:?}", shard.acked().len());

    // Full at once, in the middle of a stream of writes, and free again.
    let (small, large) = (disk.0.join("ballast-2"), mount("remount,size=128m", disk.0));
    ensure!(large, "cannot make the tmpfs larger");
    let filling = tokio::task::spawn_blocking(move || fill(&small).map(|()| small));
    send_until_full(&mut shard, &sender).await?;
    std::fs::remove_file(filling.await??)?;
    await_write(&mut shard, &sender).await?;
    std::fs::remove_file(ballast)?;

    shard.check(&api).await?;
    program.kill()?;
    let again = Program::standalone(&data_dir, &["--no-self-scrape"])?;
    let found = shard.check(&Api::new(again.url("http"))).await?;
    ensure!(found >= shard.acked_samples(), "{found} of {} samples", shard.acked_samples());
    Ok(())
}
