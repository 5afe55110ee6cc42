//! Samples whose value follows from series and time, and a ledger of which of them were acknowledged: so any sample that
//! is read back can be checked, and any that is missing is known.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use thanoxide_model::{Labels, METRIC_NAME, Sample};

use crate::api::Api;
use crate::sender::Sender;

/// The value of a series at a time: a counter with jitter, different for each series.
pub fn value(series: usize, timestamp_ms: i64) -> f64 {
    let ticks = timestamp_ms / 1000;
    (ticks * (series as i64 % 17 + 1) + (ticks ^ series as i64) % 5) as f64
}

/// The series of one sender, and what became of its rounds.
#[derive(Clone, Debug)]
pub struct Shard {
    name: String,
    series: usize,
    step_ms: i64,
    next_ms: i64,
    acked: BTreeSet<i64>,
    sent: BTreeSet<i64>,
}

impl Shard {
    /// `series` series that get a sample every `step_ms`, from `start_ms` on.
    pub fn new(name: &str, series: usize, start_ms: i64, step_ms: i64) -> Self {
        let (acked, sent) = Default::default();
        Shard { name: name.to_string(), series, step_ms, next_ms: start_ms, acked, sent }
    }

    /// All there is to know of it, to go on with in another process.
    pub fn to_json(&self) -> Value {
        json!({
            "name": self.name, "series": self.series, "step_ms": self.step_ms, "next_ms": self.next_ms,
            "acked": self.acked, "sent": self.sent,
        })
    }

    /// What [`Shard::to_json`] gave.
    pub fn from_json(json: &Value) -> Result<Self> {
        let number = |key: &str| json[key].as_i64().with_context(|| format!("no {key}"));
        let times = |key: &str| -> Result<BTreeSet<i64>> { Ok(serde_json::from_value(json[key].clone())?) };
        Ok(Shard {
            name: json["name"].as_str().context("no name")?.to_string(),
            series: usize::try_from(number("series")?)?,
            step_ms: number("step_ms")?,
            next_ms: number("next_ms")?,
            acked: times("acked")?,
            sent: times("sent")?,
        })
    }

    /// Nobody knows how many of the next rounds were sent: they may be there, and what comes next is behind them.
    pub fn skip(&mut self, rounds: usize) {
        for _ in 0..rounds {
            self.sent.insert(self.next_ms);
            self.next_ms += self.step_ms;
        }
    }

    /// The rounds that were acknowledged.
    pub fn acked(&self) -> &BTreeSet<i64> {
        &self.acked
    }

    /// The time of the round that is sent next.
    pub fn next_ms(&self) -> i64 {
        self.next_ms
    }

    /// Samples that were acknowledged.
    pub fn acked_samples(&self) -> usize {
        self.acked.len() * self.series
    }

    fn labels(&self, series: usize) -> Labels {
        let (series, instance) = (series.to_string(), format!("10.0.{}.{}:9100", series / 250, series % 250));
        Labels::from_pairs([
            (METRIC_NAME, "ledger_total"),
            ("shard", &self.name),
            ("series", &series),
            ("instance", &instance),
            ("job", "ledger"),
        ])
    }

    /// The next round: one sample for each series.
    pub fn round(&self) -> Vec<(Labels, Vec<Sample>)> {
        let sample = |series| Sample { timestamp_ms: self.next_ms, value: value(series, self.next_ms) };
        (0..self.series).map(|series| (self.labels(series), vec![sample(series)])).collect()
    }

    /// Sends the next round. Acknowledged rounds are noted; after anything else the same round comes again.
    pub async fn send(&mut self, sender: &Sender) -> Result<()> {
        self.sent.insert(self.next_ms);
        sender.write(&self.round()).await?;
        self.acked.insert(self.next_ms);
        self.next_ms += self.step_ms;
        Ok(())
    }

    /// Reads everything back: no acknowledged sample may be missing, none may be there that was not sent, each must have
    /// its value.
    pub async fn check(&self, api: &Api) -> Result<usize> {
        let Some(last_ms) = self.sent.last() else { return Ok(0) };
        let span_s = (last_ms - self.sent.first().unwrap_or(last_ms)) / 1000 + 60;
        let query = format!("ledger_total{{shard=\"{}\"}}[{span_s}s]", self.name);
        let answer = api.instant(&query, *last_ms).await?;
        let result = answer["data"]["result"].as_array().with_context(|| format!("no result: {answer}"))?;
        let mut points = Vec::new();
        for series in result {
            let number: usize = series["metric"]["series"].as_str().context("no series label")?.parse()?;
            for point in series["values"].as_array().context("no values")? {
                let time_ms = (point[0].as_f64().context("no time")? * 1000.0).round() as i64;
                points.push((number, time_ms, point[1].as_str().context("no value")?.parse()?));
            }
        }
        self.check_points(points)
    }

    /// As [`Shard::check`], for what `promtool tsdb dump` says.
    pub fn check_dump(&self, dump: &str) -> Result<usize> {
        let shard = format!("shard=\"{}\"", self.name);
        let mut points = Vec::new();
        for line in dump.lines().filter(|line| line.contains(&shard)) {
            let (rest, time_ms) = line.rsplit_once(' ').context("no time")?;
            let (labels, value) = rest.rsplit_once(' ').context("no value")?;
            let number = labels.split(" series=\"").nth(1).and_then(|rest| rest.split('"').next());
            points.push((number.context("no series label")?.parse()?, time_ms.parse()?, value.parse()?));
        }
        self.check_points(points)
    }

    /// As [`Shard::check`], for points (series, time, value) however they were read.
    pub fn check_points(&self, points: impl IntoIterator<Item = (usize, i64, f64)>) -> Result<usize> {
        let mut found: BTreeMap<usize, BTreeSet<i64>> = BTreeMap::new();
        for (series, time_ms, is) in points {
            if !self.sent.contains(&time_ms) || is != value(series, time_ms) {
                bail!("shard {} series {series}: {is} at {time_ms} was never sent", self.name);
            }
            if !found.entry(series).or_default().insert(time_ms) {
                bail!("shard {} series {series}: {time_ms} is there twice", self.name);
            }
        }
        if found.len() != self.series && !self.acked.is_empty() {
            bail!("{} of {} series of shard {} are there", found.len(), self.series, self.name);
        }
        for (series, found) in &found {
            if let Some(lost) = self.acked.difference(found).next() {
                bail!("shard {} series {series}: acknowledged sample at {lost} is lost", self.name);
            }
        }
        Ok(found.values().map(BTreeSet::len).sum())
    }
}
