//! Every state of the disk that a crash may leave: exemplars and metadata that were acknowledged are there, and no others.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/engine.rs"]
mod engine_support;

use std::path::Path;
use std::sync::Arc;

use engine_support::{append, env, labels, options, tenant};
use thanoxide_env::SimDisk;
use thanoxide_model::write_batch::WriteBatchBuilder;
use thanoxide_model::{Labels, MetricMetadata, Sample, WriteBatch};
use thanoxide_tsdb::engine::{Engine, EngineOptions};

const ROOT: &str = "/data";
const STEPS: usize = 12;
/// Fewer than come, so that the oldest go.
const MAX_EXEMPLARS: usize = 20;
const SERIES: usize = 3;

fn open(disk: &SimDisk) -> Engine {
    let options = EngineOptions { max_exemplars: MAX_EXEMPLARS, ..options() };
    Engine::open(Path::new(ROOT), options, env(Arc::new(disk.clone()))).unwrap()
}

/// A sample and an exemplar of each series, and a new word on a metric.
fn step(number: usize) -> WriteBatch {
    let (mut builder, t) = (WriteBatchBuilder::default(), number as i64 * 1_800_000);
    for series in 0..SERIES {
        builder.push(&labels(series), &[Sample { timestamp_ms: t, value: 1.0 }]);
        builder.push_exemplar(&Labels::from_pairs([("step", number.to_string())]), t, series as f64);
    }
    builder.push_metadata("metric", &MetricMetadata { help: number.to_string(), ..Default::default() });
    builder.build()
}

/// The last steps of which there are exemplars, one for each series, and the last word on the metric. They go together.
fn last_steps(engine: &Engine) -> (Vec<usize>, Option<usize>) {
    let Some(reader) = engine.reader(&tenant()) else { return (Vec::new(), None) };
    let number = |text: &[u8]| String::from_utf8_lossy(text).parse().unwrap();
    let all = reader.exemplars(&[vec![]], i64::MIN, i64::MAX);
    let steps = all.iter().flat_map(|series| series.exemplars.iter().map(|e| number(e.labels.value("step"))));
    let mut steps: Vec<usize> = steps.collect();
    steps.sort_unstable();
    (steps, reader.metadata(None).first().map(|(_, known)| number(known.help.as_bytes())))
}

/// What is there after so many steps.
fn wanted(steps: usize) -> (Vec<usize>, Option<usize>) {
    let all: Vec<usize> = (0..steps).flat_map(|step| [step; SERIES]).collect();
    (all[all.len().saturating_sub(MAX_EXEMPLARS)..].to_vec(), steps.checked_sub(1))
}

#[test]
fn what_was_acknowledged_is_there() {
    let disk = SimDisk::default();
    disk.record();
    disk.mark("steps", 0);
    let mut engine = open(&disk);
    for number in 0..STEPS {
        append(&engine, &step(number)).unwrap().ticket.wait().unwrap();
        disk.mark("steps", number as u64 + 1);
        match number {
            3 | 9 => engine.snapshot().unwrap(),
            6 => {
                drop(engine);
                engine = open(&disk);
            }
            8 => drop(engine.maintain(&|_, _| true)),
            _ => {}
        }
    }
    assert_eq!(last_steps(&engine), wanted(STEPS));
    drop(engine);
    let mut states = 0;
    for crash in disk.take_journal().crash_states(2, 3) {
        let acknowledged = crash.acknowledged as usize;
        let have = last_steps(&open(&crash.disk));
        // A batch is a group commit, and goes into it whole or torn between its frames.
        let (exemplars, word) = &have;
        let fits = |steps: usize| *exemplars == wanted(steps).0;
        assert!(fits(acknowledged) || fits(acknowledged + 1), "after step {acknowledged}: {have:?}");
        assert!(*word == wanted(acknowledged).1 || *word == wanted(acknowledged + 1).1, "{acknowledged}: {have:?}");
        states += 1;
    }
    assert!(states > 100, "{states} states");
}
