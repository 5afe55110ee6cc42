//! A file of queries.
//!
//! It holds `t0` (Unix seconds), `defaults` and `queries`; a query may set what the defaults say otherwise: `query`, `api`,
//! `start` and `end` in seconds from `t0`, `step`, `gzip`, `differs`. `${T0+n}` in a query is that time. Questions about
//! labels (`series`, `labels`, `label/<name>/values`) have `match`, a list, and `limit` in the place of a query.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Answers that depend on labels which only some peers have.
const DIFFERING: [&str; 1] = ["limit_ratio"];

/// All of a file.
pub(crate) struct Questions {
    pub(crate) all: Vec<Question>,
}

/// One query with its parameters.
#[derive(Debug, PartialEq)]
pub(crate) struct Question {
    pub(crate) name: String,
    pub(crate) api: String,
    /// Peers rightly answer it each in its own way.
    pub(crate) differs: bool,
    /// The answer may come compressed.
    pub(crate) gzip: bool,
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
    pub(crate) fn read(path: &Path) -> Result<Self> {
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
        let flag = |key: &str| get(key).and_then(Value::as_bool).unwrap_or_default();
        let time = |key: &str| get(key).and_then(Value::as_f64).map(|seconds| (t0 + seconds).to_string());
        let api = text("api").unwrap_or_else(|| "query_range".to_string());
        let expression = || with_times(&text("query").with_context(|| format!("no query in {query:?}"))?, t0);
        let (start, end) = (("start", time("start")), ("end", time("end")));
        let (mut fields, known) = match api.as_str() {
            "query_range" => (vec![("query", expression()?)], vec![start, end, ("step", text("step"))]),
            "query" => (vec![("query", expression()?)], vec![("time", time("time").or_else(|| time("end")))]),
            "series" | "labels" => (about_labels(query), vec![start, end]),
            _ if api.starts_with("label/") => (about_labels(query), vec![start, end]),
            other => bail!("queries of /api/v1/{other} are not supported"),
        };
        for (name, value) in known {
            fields.push((name, value.with_context(|| format!("no {name} for {query:?}"))?));
        }
        let name = text("name").unwrap_or_else(|| fields[0].1.clone());
        // Which of the series a limit leaves is nobody's promise.
        let differs = flag("differs") || query.contains_key("limit") || DIFFERING.contains(&name.as_str());
        Ok(Question { name, api, differs, gzip: flag("gzip"), fields })
    }

    /// The form to send.
    pub(crate) fn fields(&self) -> Vec<(&str, &str)> {
        self.fields.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }
}

/// What a question about labels asks for.
fn about_labels(query: &Map<String, Value>) -> Vec<(&'static str, String)> {
    let matches = query.get("match").and_then(Value::as_array).into_iter().flatten();
    let matches = matches.filter_map(|text| Some(("match[]", text.as_str()?.to_string())));
    matches.chain(query.get("limit").map(|limit| ("limit", limit.to_string()))).collect()
}

/// Puts times in the place of `${T0+n}`.
fn with_times(query: &str, t0: f64) -> Result<String> {
    let Some((before, rest)) = query.split_once("${T0+") else { return Ok(query.to_string()) };
    let (seconds, after) = rest.split_once('}').with_context(|| format!("no end of ${{ in {query}"))?;
    let time = t0 + seconds.parse::<f64>().with_context(|| format!("no number in {query}"))?;
    Ok(format!("{before}{time}{}", with_times(after, t0)?))
}

/// A file by its name: one of this crate, else one of the shared data.
pub(crate) fn located(name: &str) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("queries").join(name);
    if own.is_file() { own } else { shared("bench/queries").join(name) }
}

/// A path of the shared data.
pub(crate) fn shared(path: &str) -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    std::env::var_os("THANOXIDE_SHARED").map_or_else(beside, PathBuf::from).join(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_take_what_they_lack_from_the_defaults() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("queries.json");
        let text = r#"{"t0": 100, "defaults": {"start": 0, "end": 60, "step": "15"},
            "queries": [{"name": "a", "query": "up @ ${T0+5}", "end": 30}, {"query": "x", "api": "query", "gzip": true}]}"#;
        fs::write(&path, text).unwrap();
        let all = Questions::read(&path).unwrap().all;
        assert_eq!((all[0].name.as_str(), all[0].gzip), ("a", false));
        assert_eq!(all[0].fields(), [("query", "up @ 105"), ("start", "100"), ("end", "130"), ("step", "15")]);
        assert_eq!((all[1].fields(), all[1].gzip), (vec![("query", "x"), ("time", "160")], true));
        let text = r#"{"t0": 100, "defaults": {"start": 0, "end": 60}, "queries": [
            {"name": "a", "api": "label/job/values", "match": ["{a=\"b\"}", "c"], "limit": 7}]}"#;
        fs::write(&path, text).unwrap();
        let question = Questions::read(&path).unwrap().all.remove(0);
        let fields = [("match[]", "{a=\"b\"}"), ("match[]", "c"), ("limit", "7"), ("start", "100"), ("end", "160")];
        assert_eq!((question.fields(), question.differs), (fields.to_vec(), true));
        fs::write(&path, r#"{"t0": 1, "queries": [{"query": "up"}]}"#).unwrap();
        assert!(Questions::read(&path).is_err());
    }

    #[test]
    fn the_queries_of_this_crate_are_read() {
        assert!(
            ["joins.json", "gzip.json"].iter().all(|name| !Questions::read(&located(name)).unwrap().all.is_empty())
        );
    }
}
