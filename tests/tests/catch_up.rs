//! A sender that was cut off catches up: what it is told, and what is stored, is what Thanos's own receiver says and
//! stores. Time is simulated: all samples lie in the past.

use anyhow::{Context, Result, ensure};
use reqwest::Client;
use thanoxide_testkit::program::Program;
use thanoxide_testkit::raw_write::{Request, read_all, series};

const START_MS: i64 = 1_790_000_000_000;
const STEP_MS: i64 = 15_000;
const MINUTE_MS: i64 = 60_000;
const SERIES: usize = 8;
/// As Prometheus sends by default: so many samples in a request, each as a series of its own.
const SAMPLES_PER_REQUEST: usize = 2_000;

/// What became of a sender's requests.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    taken: usize,
    refused: usize,
}

struct Pair {
    client: Client,
    ours: Program,
    stock: Program,
}

impl Pair {
    fn start(dir: &std::path::Path) -> Result<Self> {
        let (ours, stock) = (Program::receiver(&dir.join("ours"), &[])?, Program::stock_receiver(&dir.join("stock"))?);
        Ok(Pair { client: Client::new(), ours, stock })
    }

    /// Sends the samples of `from_ms..to_ms`, oldest first; both answer every request alike.
    async fn send(&self, sender: &str, from_ms: i64, to_ms: i64) -> Result<Tally> {
        let scrapes = (from_ms..to_ms).step_by(STEP_MS as usize);
        let samples: Vec<(i64, usize)> = scrapes.flat_map(|t| (0..SERIES).map(move |s| (t, s))).collect();
        let mut tally = Tally::default();
        for part in samples.chunks(SAMPLES_PER_REQUEST) {
            let message: Vec<u8> = part.iter().flat_map(|(t, s)| sample(sender, *t, *s)).collect();
            let request = Request::of(&message)?;
            let ours = request.send(&self.client, &self.ours.url("remote-write")).await?;
            let stock = request.send(&self.client, &self.stock.url("remote-write")).await?;
            ensure!((ours.status, &ours.text) == (stock.status, &stock.text), "ours {ours:?}, stock {stock:?}");
            let count = if stock.status == 200 { &mut tally.taken } else { &mut tally.refused };
            *count += 1;
        }
        Ok(tally)
    }

    /// Both senders go on side by side.
    async fn send_both(&self, from_ms: i64, to_ms: i64) -> Result<()> {
        for from_ms in (from_ms..to_ms).step_by(10 * MINUTE_MS as usize) {
            for sender in ["a", "b"] {
                let tally = self.send(sender, from_ms, to_ms.min(from_ms + 10 * MINUTE_MS)).await?;
                ensure!(tally.refused == 0, "{sender} was refused");
            }
        }
        Ok(())
    }

    /// Both hold the same; gives the number of samples of a sender.
    fn samples(&self, sender: &str) -> Result<usize> {
        let (ours, stock) = (read_all(self.ours.address("grpc"))?, read_all(self.stock.address("grpc"))?);
        ensure!(ours.len() == stock.len(), "ours {} series, stock {}", ours.len(), stock.len());
        for (labels, samples) in &stock {
            let own = ours.get(labels).with_context(|| format!("{labels} is lost"))?;
            ensure!(own == samples, "{labels}: ours {} samples, stock {}", own.len(), samples.len());
        }
        let of_sender = ours.iter().filter(|(labels, _)| labels.contains(&format!("[\"sender\",\"{sender}\"]")));
        Ok(of_sender.map(|(_, samples)| samples.len()).sum())
    }
}

fn sample(sender: &str, t: i64, number: usize) -> Vec<u8> {
    let number_text = number.to_string();
    let value = (t / STEP_MS) as f64 * (number + 1) as f64;
    series(&[("__name__", "requests_total"), ("number", &number_text), ("sender", sender)], &[(t, value)])
}

fn samples_of(minutes: i64) -> usize {
    SERIES * (minutes * MINUTE_MS / STEP_MS) as usize
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hours_of_backlog_are_judged_as_by_thanos() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let pair = Pair::start(dir.path())?;
    let (cut_off, back) = (START_MS + 10 * MINUTE_MS, START_MS + 130 * MINUTE_MS);
    pair.send_both(START_MS, cut_off).await?;
    ensure!(pair.send("a", cut_off, back).await?.refused == 0, "a was refused");
    let backlog = pair.send("b", cut_off, back).await?;
    // The window is half a block behind the newest sample: the backlog's first hour is too old for both.
    ensure!(backlog.refused == 1 && backlog.taken == 1, "{backlog:?}");
    ensure!(pair.send("b", back, back + 10 * MINUTE_MS).await?.refused == 0, "b was refused after");
    ensure!(pair.samples("a")? == samples_of(130), "samples of a");
    let kept = pair.samples("b")?;
    ensure!((samples_of(80)..=samples_of(80) + SERIES).contains(&kept), "{kept} samples of b are kept");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_within_the_window_is_taken_whole() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let pair = Pair::start(dir.path())?;
    let (cut_off, back) = (START_MS + 100 * MINUTE_MS, START_MS + 159 * MINUTE_MS);
    pair.send_both(START_MS, cut_off).await?;
    ensure!(pair.send("a", cut_off, back).await?.refused == 0, "a was refused");
    ensure!(pair.send("b", cut_off, back).await?.refused == 0, "the backlog was refused");
    // Sent once more, as after a lost answer, it is there already.
    pair.send("b", cut_off, back).await?;
    ensure!((pair.samples("a")?, pair.samples("b")?) == (samples_of(159), samples_of(159)), "samples are lost");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn senders_that_fall_behind_and_catch_up_for_two_hours() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let pair = Pair::start(dir.path())?;
    // Both know the start; then b is half an hour late each time.
    let mut late_ms = START_MS;
    for round in 1..=4 {
        let now_ms = START_MS + round * 30 * MINUTE_MS;
        ensure!(pair.send("a", now_ms - 30 * MINUTE_MS, now_ms).await?.refused == 0, "a, round {round}");
        if round > 1 {
            ensure!(pair.send("b", late_ms, late_ms + 30 * MINUTE_MS).await?.refused == 0, "b, round {round}");
            late_ms += 30 * MINUTE_MS;
        }
    }
    ensure!((pair.samples("a")?, pair.samples("b")?) == (samples_of(120), samples_of(90)), "samples are lost");
    Ok(())
}
