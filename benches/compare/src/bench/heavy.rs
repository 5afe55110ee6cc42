//! The queries of a file over the blocks of a directory, one after the other, every peer on its own copy.
//!
//! The file holds `t0` (Unix seconds), `defaults` and `queries`; a query may set what the defaults say otherwise: `query`,
//! `api`, `start` and `end` in seconds from `t0`, `step`.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Benchmark, agree, note_commands, progress, stop_all};
use crate::answer::Answer;
use crate::report::{Better, Report};
use crate::running::Running;
use crate::setting::Setting;
use crate::stats;

const ROUNDS: usize = 2;
/// How long a peer may take to find its blocks after it is ready.
const BLOCKS_DEADLINE: Duration = Duration::from_secs(60);
const BLOCKS_POLL: Duration = Duration::from_millis(200);

/// Large queries over blocks.
pub(crate) struct Heavy;

impl Benchmark for Heavy {
    fn name(&self) -> &'static str {
        "heavy"
    }

    fn about(&self) -> &'static str {
        "the queries of --queries (d6.json of the shared benchmark data) over the blocks in --block"
    }

    fn wants_blocks(&self) -> bool {
        true
    }

    fn run(&self, setting: &Setting) -> Result<Vec<Report>> {
        let blocks = setting.blocks.as_deref().context("heavy wants --block DIR with the blocks in it")?;
        let questions = Questions::read(&setting.queries.clone().unwrap_or_else(shared_queries))?;
        let ignored = external_labels(blocks)?;
        let able = setting.peers.iter().filter(|peer| !peer.recipe.block_servers.is_empty());
        let running: Vec<Running> =
            able.map(|peer| Running::on_blocks(peer, blocks, setting.cores)).collect::<Result<_>>()?;
        let names = running.iter().map(|running| running.peer.name().to_string()).collect();
        let mut report = Report::new(format!("heavy: {} queries over blocks", questions.all.len()), names);
        note_commands(&mut report, &running);
        for question in &questions.all {
            run_question(&mut report, &running, question, setting.rounds.unwrap_or(ROUNDS), &ignored)?;
        }
        stop_all(running)?;
        Ok(vec![report])
    }
}

/// A file of queries.
struct Questions {
    all: Vec<Question>,
}

/// One query with its parameters.
#[derive(Debug, PartialEq)]
struct Question {
    name: String,
    api: String,
    fields: Vec<(&'static str, String)>,
}

#[derive(Deserialize)]
struct File {
    t0: f64,
    #[serde(default)]
    defaults: Map<String, Value>,
    queries: Vec<Map<String, Value>>,
}

impl Questions {
    fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let file: File = serde_json::from_str(&text).with_context(|| format!("bad {}", path.display()))?;
        let all: Result<Vec<Question>> =
            file.queries.iter().map(|query| Question::of(query, &file.defaults, file.t0)).collect();
        Ok(Questions { all: all? })
    }
}

impl Question {
    fn of(query: &Map<String, Value>, defaults: &Map<String, Value>, t0: f64) -> Result<Self> {
        let get = |key: &str| query.get(key).or_else(|| defaults.get(key));
        let text = |key: &str| get(key).and_then(Value::as_str).map(str::to_string);
        let time = |key: &str| get(key).and_then(Value::as_f64).map(|seconds| (t0 + seconds).to_string());
        let api = text("api").unwrap_or_else(|| "query_range".to_string());
        let expression = text("query").with_context(|| format!("no query in {query:?}"))?;
        let known = match api.as_str() {
            "query_range" => vec![("start", time("start")), ("end", time("end")), ("step", text("step"))],
            "query" => vec![("time", time("time").or_else(|| time("end")))],
            other => bail!("queries of /api/v1/{other} are not supported"),
        };
        let mut fields = vec![("query", expression.clone())];
        for (name, value) in known {
            fields.push((name, value.with_context(|| format!("no {name} for {expression}"))?));
        }
        Ok(Question { name: text("name").unwrap_or(expression), api, fields })
    }

    fn fields(&self) -> Vec<(&str, &str)> {
        self.fields.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }
}

/// A peer's readings of one query.
#[derive(Default)]
struct Readings {
    cpu_s: Vec<f64>,
    wall_s: Vec<f64>,
    peak_bytes: f64,
    answer_bytes: f64,
}

fn run_question(
    report: &mut Report,
    running: &[Running],
    question: &Question,
    rounds: usize,
    ignored: &[String],
) -> Result<()> {
    let answers: Result<Vec<Answer>> = running.iter().map(|peer| first_answer(peer, question, ignored)).collect();
    let answers = answers?;
    let pairs: Vec<(&Running, &Answer)> = running.iter().zip(&answers).collect();
    agree(&question.name, &pairs, report)?;
    drop(answers);
    let mut readings: Vec<Readings> = running.iter().map(|_| Readings::default()).collect();
    for round in 1..=rounds {
        for (peer, readings) in running.iter().zip(&mut readings) {
            readings.ask(peer, question)?;
            let (cpu_s, wall_s) = (readings.cpu_s[round - 1], readings.wall_s[round - 1]);
            let (name, peer) = (&question.name, peer.peer.name());
            progress(&format!("heavy {name}, round {round}/{rounds}: {peer} {wall_s:.2} s, CPU {cpu_s:.2} s"));
        }
    }
    add_metrics(report, &question.name, &readings);
    Ok(())
}

impl Readings {
    fn ask(&mut self, peer: &Running, question: &Question) -> Result<()> {
        peer.reset_peak()?;
        let before = peer.usage()?;
        let (body, wall_s) = peer.ask(&question.api, &question.fields())?;
        let after = peer.usage()?;
        self.cpu_s.push((after - before).cpu_s);
        self.wall_s.push(wall_s);
        self.peak_bytes = self.peak_bytes.max(after.peak_bytes);
        self.answer_bytes = body.len() as f64;
        Ok(())
    }
}

fn add_metrics(report: &mut Report, name: &str, readings: &[Readings]) {
    let mut add = |what: &str, unit, value: &dyn Fn(&Readings) -> f64| {
        report.add(format!("{name}: {what}"), unit, Better::Lower, readings.iter().map(value).collect());
    };
    add("CPU, median", "s", &|r| stats::median(&r.cpu_s));
    add("wall, median", "s", &|r| stats::median(&r.wall_s));
    add("peak memory", "MB", &|r| r.peak_bytes / 1e6);
    add("answer", "MB", &|r| r.answer_bytes / 1e6);
}

/// The answer once there is one: a peer may be ready before it has found its blocks.
fn first_answer(peer: &Running, question: &Question, ignored: &[String]) -> Result<Answer> {
    let end = Instant::now() + BLOCKS_DEADLINE;
    loop {
        let answer = peer.answer(&question.api, &question.fields(), ignored)?;
        if answer.series_count() > 0 {
            return Ok(answer);
        }
        ensure!(Instant::now() < end, "{} has no answer to {}", peer.peer.name(), question.name);
        thread::sleep(BLOCKS_POLL);
    }
}

/// The names of the labels that the blocks' `meta.json` add to their series.
fn external_labels(blocks: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(blocks).with_context(|| format!("cannot read {}", blocks.display()))? {
        let Ok(text) = fs::read_to_string(entry?.path().join("meta.json")) else { continue };
        let meta: Value = serde_json::from_str(&text).context("bad meta.json")?;
        let labels = meta["thanos"]["labels"].as_object();
        names.extend(labels.into_iter().flat_map(|labels| labels.keys().cloned()));
    }
    names.sort();
    names.dedup();
    Ok(names)
}

fn shared_queries() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    std::env::var_os("THANOXIDE_SHARED").map_or_else(beside, PathBuf::from).join("bench/queries/d6.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_take_what_they_lack_from_the_defaults() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("queries.json");
        let text = r#"{"t0": 100, "defaults": {"start": 0, "end": 60, "step": "15"},
            "queries": [{"name": "a", "query": "up", "end": 30}, {"query": "x", "api": "query"}]}"#;
        fs::write(&path, text).unwrap();
        let all = Questions::read(&path).unwrap().all;
        assert_eq!(all[0].name, "a");
        assert_eq!(all[0].fields(), [("query", "up"), ("start", "100"), ("end", "130"), ("step", "15")]);
        assert_eq!(all[1].fields(), [("query", "x"), ("time", "160")]);
        fs::write(&path, r#"{"t0": 1, "queries": [{"query": "up"}]}"#).unwrap();
        assert!(Questions::read(&path).is_err());
    }

    #[test]
    fn external_labels_are_found() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("block")).unwrap();
        fs::write(dir.path().join("block/meta.json"), r#"{"thanos": {"labels": {"tenant": "a"}}}"#).unwrap();
        assert_eq!(external_labels(dir.path()).unwrap(), ["tenant"]);
    }
}
