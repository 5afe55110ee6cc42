//! Answers of Prometheus's API, and whether two of them are equal.
//!
//! Vectors and matrices are kept as columns of numbers: an answer of some million points takes 16 bytes a point. Order of
//! series does not count. Lists are compared as sets, anything else as it is. An answer with warnings is none, because it may
//! be partial; the notes of the query language, which some peers send as warnings, are not compared.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

/// How near two numbers must be.
const RELATIVE: f64 = 1e-9;

/// A parsed answer.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// A vector or a matrix: points by labels.
    Series(BTreeMap<String, Vec<(f64, f64)>>),
    /// Whatever else.
    Other(Value),
}

#[derive(Deserialize)]
struct Document<D> {
    status: String,
    data: D,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<Point>,
    value: Option<Point>,
    #[serde(default)]
    histograms: Vec<HistogramPoint>,
    histogram: Option<HistogramPoint>,
}

/// Seconds and a native histogram.
#[derive(Deserialize)]
struct HistogramPoint(f64, Histogram);

#[derive(Deserialize)]
struct Histogram {
    count: String,
    sum: String,
    #[serde(default)]
    buckets: Vec<(u8, String, String, String)>,
}

/// Seconds and a number in quotes.
#[derive(Deserialize)]
struct Point(f64, String);

impl Default for Answer {
    fn default() -> Self {
        Answer::Series(BTreeMap::new())
    }
}

impl Answer {
    /// Parses a body; labels named in `ignored` are left out.
    pub(crate) fn parse(body: &[u8], ignored: &[String]) -> Result<Self> {
        let Ok(document) = serde_json::from_slice::<Document<Data>>(body) else { return Answer::other(body, ignored) };
        document.check()?;
        let mut all = BTreeMap::new();
        for mut series in document.data.result {
            series.metric.retain(|name, _| !ignored.contains(name));
            let points: Result<Vec<(f64, f64)>> =
                series.values.iter().chain(&series.value).map(Point::numbers).collect();
            let mut points = points?;
            for histogram in series.histograms.iter().chain(&series.histogram) {
                points.extend(histogram.numbers()?);
            }
            let labels = format!("{:?}", series.metric);
            if let Some(twice) = all.insert(labels, points).and(Some(series.metric)) {
                bail!("an answer with two series {twice:?}");
            }
        }
        Ok(Answer::Series(all))
    }

    fn other(body: &[u8], ignored: &[String]) -> Result<Self> {
        let mut document: Document<Value> = serde_json::from_slice(body).context("an answer that is no JSON")?;
        document.check()?;
        if let Some(list) = document.data.as_array_mut() {
            list.retain(|item| item.as_str().is_none_or(|name| !ignored.iter().any(|other| other == name)));
            list.iter_mut()
                .filter_map(Value::as_object_mut)
                .for_each(|labels| ignored.iter().for_each(|name| drop(labels.remove(name))));
            list.sort_by_cached_key(Value::to_string);
        }
        Ok(Answer::Other(document.data))
    }

    /// Series in it.
    pub(crate) fn series_count(&self) -> usize {
        match self {
            Answer::Series(all) => all.len(),
            Answer::Other(value) => value.as_array().map_or(1, Vec::len),
        }
    }

    /// All its numbers added up.
    pub(crate) fn sum(&self) -> f64 {
        match self {
            Answer::Series(series) => series.values().flatten().map(|(_, value)| value).sum(),
            Answer::Other(_) => 0.0,
        }
    }

    /// Points in it.
    pub(crate) fn point_count(&self) -> usize {
        match self {
            Answer::Series(all) => all.values().map(Vec::len).sum(),
            Answer::Other(_) => 0,
        }
    }

    /// Says what differs from another answer; `None` is equal.
    pub(crate) fn difference(&self, other: &Answer) -> Option<String> {
        match (self, other) {
            (Answer::Series(left), Answer::Series(right)) => series_difference(left, right),
            (Answer::Other(left), Answer::Other(right)) if left == right => None,
            _ => Some("not the same document".to_string()),
        }
    }
}

impl Point {
    fn numbers(&self) -> Result<(f64, f64)> {
        let value = self.1.parse().with_context(|| format!("no number: {:?}", self.1))?;
        Ok((self.0, value))
    }
}

impl HistogramPoint {
    /// All its numbers as points of one time.
    fn numbers(&self) -> Result<Vec<(f64, f64)>> {
        let HistogramPoint(time, Histogram { count, sum, buckets }) = self;
        let of_buckets = buckets.iter().flat_map(|(_, low, high, count)| [low, high, count]);
        let texts = [count, sum].into_iter().chain(of_buckets);
        texts.map(|text| Point(*time, text.clone()).numbers()).collect()
    }
}

impl<D> Document<D> {
    fn check(&self) -> Result<()> {
        ensure!(self.status == "success", "an answer with status {:?}", self.status);
        let is_note = |text: &String| text.starts_with("PromQL ");
        ensure!(self.warnings.iter().all(is_note), "an answer with warnings: {}", self.warnings.join("; "));
        Ok(())
    }
}

type SeriesMap = BTreeMap<String, Vec<(f64, f64)>>;

fn series_difference(left: &SeriesMap, right: &SeriesMap) -> Option<String> {
    let only = |a: &SeriesMap, b: &SeriesMap| a.keys().find(|key| !b.contains_key(*key)).cloned();
    if let Some(labels) = only(left, right).or_else(|| only(right, left)) {
        return Some(format!("{} series against {}: one has {labels}", left.len(), right.len()));
    }
    let differing = left.iter().filter_map(|(labels, points)| points_difference(labels, points, right.get(labels)?));
    let differing: Vec<String> = differing.collect();
    differing.first().map(|first| format!("{} of {} series, first {first}", differing.len(), left.len()))
}

fn points_difference(labels: &str, left: &[(f64, f64)], right: &[(f64, f64)]) -> Option<String> {
    if left.len() != right.len() {
        return Some(format!("{labels}: {} points against {}", left.len(), right.len()));
    }
    let (one, two) = left.iter().zip(right).find(|(a, b)| !(near(a.0, b.0) && near(a.1, b.1)))?;
    Some(format!("{labels}: {} at {} against {} at {}", one.1, one.0, two.1, two.0))
}

fn near(a: f64, b: f64) -> bool {
    let is_near = || a.is_finite() && b.is_finite() && (a - b).abs() <= RELATIVE * a.abs().max(b.abs());
    a == b || (a.is_nan() && b.is_nan()) || is_near()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(value: &str, extra: &str) -> Answer {
        let body = format!(
            r#"{{"status":"success","data":{{"resultType":"matrix","result":[
               {{"metric":{{"a":"1","extra":"{extra}"}},"values":[[1,"{value}"],[1.5,"+Inf"]]}}]}}}}"#
        );
        Answer::parse(body.as_bytes(), &["extra".to_string()]).unwrap()
    }

    #[test]
    fn near_numbers_are_equal_and_others_are_not() {
        assert_eq!(matrix("1", "x").difference(&matrix("1.0000000001", "y")), None);
        assert_eq!(matrix("NaN", "").difference(&matrix("NaN", "")), None);
        assert!(matrix("1", "").difference(&matrix("1.001", "")).unwrap().contains("1 of 1 series"));
        assert!(matrix("+Inf", "").difference(&matrix("1", "")).is_some());
        assert_eq!((matrix("1", "").series_count(), matrix("1", "").point_count()), (1, 2));
    }

    #[test]
    fn series_without_partner_differ() {
        let empty = Answer::parse(br#"{"status":"success","data":{"result":[]}}"#, &[]).unwrap();
        assert!(matrix("1", "").difference(&empty).is_some() && empty.difference(&matrix("1", "")).is_some());
    }

    #[test]
    fn other_documents_are_compared_whole() {
        let labels =
            |text: &str| Answer::parse(format!(r#"{{"status":"success","data":{text}}}"#).as_bytes(), &[]).unwrap();
        assert_eq!(labels(r#"["a","b"]"#).difference(&labels(r#"["a","b"]"#)), None);
        assert!(labels(r#"["a"]"#).difference(&labels(r#"["b"]"#)).is_some());
        assert_eq!(labels(r#"["a","b"]"#).difference(&labels(r#"["b","a"]"#)), None);
        let body = r#"{"status":"success","warnings":["PromQL info: x"],"data":[{"a":"1","t":"2"},{"a":"0"}]}"#;
        let series = Answer::parse(body.as_bytes(), &["t".to_string()]).unwrap();
        assert_eq!(series.difference(&labels(r#"[{"a":"0"},{"a":"1"}]"#)), None);
        assert!(Answer::parse(b"no json", &[]).is_err());
        for bad in [r#""status":"error""#, r#""status":"success","warnings":["partial"]"#] {
            assert!(Answer::parse(format!(r#"{{{bad},"data":{{"result":[]}}}}"#).as_bytes(), &[]).is_err());
        }
    }
}
