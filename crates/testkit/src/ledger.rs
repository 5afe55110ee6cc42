//! Samples whose value follows from series and time, and a ledger of which of them were acknowledged: so any sample that
//! is read back can be checked, and any that is missing is known.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use serde_json::Value;
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
        if result.len() != self.series && !self.acked.is_empty() {
            bail!("{} of {} series of shard {} are there", result.len(), self.series, self.name);
        }
        result.iter().try_fold(0, |samples, series| Ok(samples + self.check_series(series)?))
    }

    fn check_series(&self, answer: &Value) -> Result<usize> {
        let series: usize = answer["metric"]["series"].as_str().context("no series label")?.parse()?;
        let mut found = BTreeSet::new();
        for point in answer["values"].as_array().context("no values")? {
            let time_ms = (point[0].as_f64().context("no time")? * 1000.0).round() as i64;
            let is: f64 = point[1].as_str().context("no value")?.parse()?;
            if !self.sent.contains(&time_ms) || is != value(series, time_ms) {
                bail!("shard {} series {series}: {is} at {time_ms} was never sent", self.name);
            }
            if !found.insert(time_ms) {
                bail!("shard {} series {series}: {time_ms} is there twice", self.name);
            }
        }
        if let Some(lost) = self.acked.difference(&found).next() {
            bail!("shard {} series {series}: acknowledged sample at {lost} is lost", self.name);
        }
        Ok(found.len())
    }
}
