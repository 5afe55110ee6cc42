//! What is known of metrics: the last word counts, and it is there after a crash and behind a snapshot.
#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

#[path = "support/engine.rs"]
mod engine_support;

use engine_support::{append, open, tenant};
use thanoxide_model::write_batch::WriteBatchBuilder;
use thanoxide_model::{MetricMetadata, MetricType};
use thanoxide_tsdb::engine::Engine;

fn known(help: &str) -> MetricMetadata {
    MetricMetadata { kind: MetricType::Counter, help: help.to_string(), unit: "seconds".to_string() }
}

fn say(engine: &Engine, all: &[(&str, &str)]) {
    let mut builder = WriteBatchBuilder::default();
    for (family, help) in all {
        builder.push_metadata(family, &known(help));
    }
    append(engine, &builder.build()).unwrap().ticket.wait().unwrap();
}

fn all(engine: &Engine) -> Vec<(String, String)> {
    let known = engine.reader(&tenant()).unwrap().metadata(None);
    known.into_iter().map(|(family, known)| (family, known.help)).collect()
}

#[test]
fn the_last_word_survives() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = open(dir.path());
    say(&engine, &[("a", "1"), ("b", "1"), ("a", "2")]);
    let position = engine.log().position();
    say(&engine, &[("a", "2"), ("b", "1")]);
    assert_eq!(engine.log().position(), position, "what is known is not written again");
    let want = |a: &str, b: &str| vec![("a".to_string(), a.to_string()), ("b".to_string(), b.to_string())];
    for (step, restart) in [(3, false), (4, true), (5, false), (6, true)] {
        let help = step.to_string();
        say(&engine, &[("a", &help)]);
        if step % 3 == 0 {
            engine.snapshot().unwrap();
        }
        say(&engine, &[("b", &help)]);
        if restart {
            drop(engine);
            engine = open(dir.path());
        }
        assert_eq!(all(&engine), want(&help, &help));
    }
    let reader = engine.reader(&tenant()).unwrap();
    assert_eq!(reader.metadata(Some("b")), [("b".to_string(), known("6"))]);
    assert_eq!(reader.metadata(Some("c")), []);
}
