//! The program's own metrics as samples of a tenant of its own, so that there is data to query from the first minute.

use std::sync::Arc;
use std::time::Duration;

use thanoxide_env::Clock;
use thanoxide_model::write_batch::WriteBatchBuilder;
use thanoxide_model::{Labels, LabelsBuilder, METRIC_NAME, Sample, TenantId, WriteBatch};
use thanoxide_server::exposition::ExpositionFormat;
use thanoxide_server::{Metrics, Shutdown};
use thanoxide_storeapi::WriteStore;

/// How often.
const INTERVAL: Duration = Duration::from_secs(15);

/// The tenant that the samples go to.
pub const TENANT: &str = "thanoxide";

/// Scrapes one registry into one store.
#[derive(Debug)]
pub struct SelfScrape {
    metrics: Metrics,
    target: Labels,
    writer: Arc<dyn WriteStore>,
    clock: Arc<dyn Clock>,
}

impl SelfScrape {
    /// `instance` names this process in the samples.
    pub fn new(metrics: Metrics, instance: &str, writer: Arc<dyn WriteStore>, clock: Arc<dyn Clock>) -> Self {
        let target = Labels::from_pairs([("job", "thanoxide"), ("instance", instance)]);
        SelfScrape { metrics, target, writer, clock }
    }

    /// Scrapes every 15 s until asked to stop. What cannot be written is named and tried again with the next scrape.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), std::convert::Infallible> {
        let tenant = TenantId::new(TENANT).expect("the constant is a legal name");
        loop {
            match self.scrape() {
                Ok(batch) => {
                    if let Err(error) = self.writer.write(&tenant, Arc::new(batch)).await {
                        tracing::warn!(%error, "own metrics were not stored");
                    }
                }
                Err(error) => tracing::warn!(%error, "own metrics cannot be read"),
            }
            tokio::select! {
                () = shutdown.requested() => return Ok(()),
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }

    fn scrape(&self) -> Result<WriteBatch, std::fmt::Error> {
        let text = self.metrics.encode(ExpositionFormat::Text)?;
        Ok(batch(&text, &self.target, self.clock.now_ms()))
    }
}

/// The samples of an exposition, and `up`.
fn batch(text: &str, target: &Labels, timestamp_ms: i64) -> WriteBatch {
    let mut batch = WriteBatchBuilder::default();
    let mut push = |mut labels: LabelsBuilder, value: f64| {
        for (name, value) in target.iter() {
            labels.set(name, value);
        }
        batch.push(&labels.build(), &[Sample { timestamp_ms, value }]);
    };
    text.lines().filter_map(parse_line).for_each(|(labels, value)| push(labels, value));
    let mut up = LabelsBuilder::default();
    up.set(METRIC_NAME, "up");
    push(up, 1.0);
    batch.build()
}

/// A line `name{label="value",…} number`; `None` for comments.
fn parse_line(line: &str) -> Option<(LabelsBuilder, f64)> {
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let mut labels = LabelsBuilder::default();
    let name_end = line.find(['{', ' '])?;
    labels.set(METRIC_NAME, &line[..name_end]);
    let mut rest = &line[name_end..];
    if let Some(inside) = rest.strip_prefix('{') {
        rest = parse_labels(inside, &mut labels)?;
    }
    let value = rest.split_whitespace().next()?;
    Some((labels, value.parse().ok()?))
}

fn parse_labels<'a>(mut rest: &'a str, labels: &mut LabelsBuilder) -> Option<&'a str> {
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(after) = rest.strip_prefix('}') {
            return Some(after);
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let (value, after) = parse_quoted(quoted)?;
        labels.set(name, value);
        rest = after;
    }
}

/// The text up to the closing quote, escapes undone, and what follows it.
fn parse_quoted(quoted: &str) -> Option<(String, &str)> {
    let (mut value, mut chars) = (String::new(), quoted.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_series() {
        let text = "# HELP a b\na_total{x=\"1\",y=\"q\\\"\\n}\"} 3\nb 1.5\nc{} +Inf\n";
        let target = Labels::from_pairs([("job", "j")]);
        let batch = batch(text, &target, 7);
        let series: Vec<String> =
            batch.series.iter().map(|s| Labels::from_sorted(batch.labels_of(s)).to_string()).collect();
        assert_eq!(
            series,
            [
                r#"{__name__="a_total", job="j", x="1", y="q\"\n}"}"#,
                r#"{__name__="b", job="j"}"#,
                r#"{__name__="c", job="j"}"#,
                r#"{__name__="up", job="j"}"#
            ]
        );
        assert_eq!(batch.samples[2].value, f64::INFINITY);
    }
}
