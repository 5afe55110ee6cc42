//! The expressions that are parsed: those of the shared corpora, and the golden ones.

use std::fs;
use std::io::{BufRead, BufReader};

use anyhow::{Context, Result};
use flate2::read::GzDecoder;
use serde_json::Value;

use crate::bench::blocks::shared;

/// A set of expressions and its name.
pub(super) type Corpus = (&'static str, Vec<String>);

/// Prometheus's test scripts, Grafana's dashboards, the mixin, and the golden expressions, good and bad.
pub(super) fn all() -> Result<Vec<Corpus>> {
    Ok(vec![("test scripts", scripts()?), ("dashboards", dashboards()?), ("mixin", mixin()?), ("golden", golden()?)])
}

/// The texts of the files with this extension below a directory of the corpora.
fn files(name: &str, extension: &str) -> Result<Vec<String>> {
    let dir = shared("corpora").join(name);
    let entries = fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|e| e == extension));
    paths.sort();
    paths
        .iter()
        .map(|path| fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display())))
        .collect()
}

fn scripts() -> Result<Vec<String>> {
    let texts = files("promqltest", "test")?;
    Ok(texts.iter().flat_map(|text| text.lines()).filter_map(evaluated).map(str::to_string).collect())
}

/// The query of a line such as `eval instant at 5m sum(x)` or `eval range from 0 to 5m step 1m sum(x)`.
fn evaluated(line: &str) -> Option<&str> {
    let rest = line.trim().strip_prefix("eval")?.split_once(' ')?.1.trim_start();
    let words = if rest.starts_with("range") { 7 } else { 3 };
    (0..words).try_fold(rest, |rest, _| Some(rest.split_once([' ', '\t'])?.1.trim_start()))
}

fn dashboards() -> Result<Vec<String>> {
    let mut exprs = Vec::new();
    for text in files("grafana", "json")? {
        let dashboard: Value = serde_json::from_str(&text)?;
        exprs.extend(dashboard["queries"].as_array().into_iter().flatten().filter_map(expr));
    }
    Ok(exprs)
}

fn mixin() -> Result<Vec<String>> {
    let texts = files("mixin", "jsonl")?;
    texts.iter().flat_map(|text| text.lines()).map(case).collect()
}

fn golden() -> Result<Vec<String>> {
    let path = shared("golden/expr/expr.jsonl.gz");
    let file = fs::File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
    BufReader::new(GzDecoder::new(file)).lines().map(|line| case(&line?)).collect()
}

fn case(line: &str) -> Result<String> {
    expr(&serde_json::from_str(line).context("a bad line")?).context("a case without an expression")
}

fn expr(case: &Value) -> Option<String> {
    case["expr"].as_str().map(str::to_string)
}
