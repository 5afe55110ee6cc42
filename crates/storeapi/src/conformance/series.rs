//! Rules about series and info.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use thanoxide_model::series::Columns;
use thanoxide_model::{Labels, MatchKind, Matcher, Sample};
use thanoxide_tsdb::chunk::{Encoding, xor};

use super::dataset::REPLICA;
use super::{Check, Dataset, ensure};
use crate::{AggrChunk, SeriesFrame, SeriesRequest, ShardInfo, Store, StoreSeries};

/// All data there is, by a matcher that everything satisfies.
fn everything(data: &Dataset) -> SeriesRequest {
    let (min_time_ms, max_time_ms) = data.times();
    SeriesRequest { min_time_ms, max_time_ms, matchers: vec![named(MatchKind::NotEqual, "")], ..Default::default() }
}

fn named(kind: MatchKind, value: &str) -> Matcher {
    matcher(kind, "__name__", value)
}

fn matcher(kind: MatchKind, name: &str, value: &str) -> Matcher {
    Matcher::new(kind, name, value).expect("the suite's patterns are valid")
}

/// The answer, pieces of a series joined; checks order and that pieces follow each other.
async fn ask(store: &dyn Store, request: SeriesRequest) -> Result<Vec<StoreSeries>, String> {
    let mut frames = store.series(request).await.map_err(|e| e.to_string())?;
    let mut answer: Vec<StoreSeries> = Vec::new();
    while let Some(frame) = frames.try_next().await.map_err(|e| e.to_string())? {
        let series = match frame {
            SeriesFrame::Series(series) => series,
            SeriesFrame::Warning(warning) => return Err(format!("warning: {warning}")),
        };
        for series in series {
            match answer.last_mut() {
                Some(last) if last.labels == series.labels => last.chunks.extend(series.chunks),
                Some(last) if last.labels > series.labels => {
                    return Err(format!("{} comes after {}", series.labels, last.labels));
                }
                _ => answer.push(series),
            }
        }
    }
    Ok(answer)
}

/// Labels that are expected of the series that `keep` accepts, sorted.
fn expected(data: &Dataset, keep: impl Fn(&Labels) -> bool) -> Vec<Labels> {
    let finals = data.series.iter().map(|(l, _)| data.final_labels(l)).filter(|l| keep(l));
    finals.collect::<BTreeSet<_>>().into_iter().collect()
}

fn same_labels(answer: &[StoreSeries], expected: &[Labels]) -> Check {
    let answered: Vec<_> = answer.iter().map(|s| &s.labels).collect();
    if let Some(missing) = expected.iter().find(|l| !answered.contains(l)) {
        return Err(format!("{missing} is missing"));
    }
    if let Some(extra) = answered.iter().find(|l| !expected.contains(l)) {
        return Err(format!("{extra} should not be there"));
    }
    ensure!(answered.len() == expected.len(), "{} series instead of {}", answered.len(), expected.len());
    Ok(())
}

/// Decodes float chunks; a sample may occur in several chunks.
fn samples(chunks: &[AggrChunk]) -> Result<BTreeMap<i64, u64>, String> {
    let mut samples = BTreeMap::new();
    for chunk in chunks {
        let raw = chunk.raw.as_ref().ok_or("chunk without raw data")?;
        ensure!(raw.encoding == Encoding::Xor, "chunk of encoding {:?}", raw.encoding);
        let mut columns = Columns::default();
        xor::decode_into(&raw.data, i64::MIN, i64::MAX, &mut columns).map_err(|e| e.to_string())?;
        for (t, v) in columns.timestamps_ms.iter().zip(&columns.values) {
            let inside = (chunk.min_time_ms..=chunk.max_time_ms).contains(t);
            ensure!(inside, "sample at {t} in a chunk of {}..={}", chunk.min_time_ms, chunk.max_time_ms);
            samples.insert(*t, v.to_bits());
        }
    }
    Ok(samples)
}

fn bits(samples: &[Sample]) -> BTreeMap<i64, u64> {
    samples.iter().map(|s| (s.timestamp_ms, s.value.to_bits())).collect()
}

pub(super) async fn all_series_are_sorted_and_whole(store: &dyn Store, data: &Dataset) -> Check {
    let answer = ask(store, everything(data)).await?;
    same_labels(&answer, &expected(data, |_| true))?;
    for (labels, want) in &data.series {
        let labels = data.final_labels(labels);
        let series = answer.iter().find(|s| s.labels == labels).ok_or("missing")?;
        ensure!(samples(&series.chunks)? == bits(want), "samples of {labels} differ");
        let starts: Vec<_> = series.chunks.iter().map(|c| c.min_time_ms).collect();
        ensure!(starts.is_sorted(), "chunks of {labels} are not in order");
    }
    Ok(())
}

pub(super) async fn external_labels_win(store: &dyn Store, data: &Dataset) -> Check {
    for series in ask(store, everything(data)).await? {
        for (name, value) in data.external.iter() {
            let external = series.labels.get(name) == Some(value);
            ensure!(external, "{} lacks the external label {}", series.labels, String::from_utf8_lossy(name));
        }
    }
    let mut inner = everything(data);
    inner.matchers.push(matcher(MatchKind::Equal, "region", "inner"));
    same_labels(&ask(store, inner).await?, &[])
}

pub(super) async fn matchers_select(store: &dyn Store, data: &Dataset) -> Check {
    let cases = [
        vec![named(MatchKind::Equal, "up")],
        vec![named(MatchKind::NotEqual, "up")],
        vec![named(MatchKind::Regexp, "u.|odd")],
        vec![named(MatchKind::NotRegexp, "u.*"), matcher(MatchKind::Equal, "region", "eu")],
        vec![named(MatchKind::Equal, "odd"), matcher(MatchKind::Equal, "text", "")],
        vec![named(MatchKind::Equal, "up"), matcher(MatchKind::Regexp, "instance", "i-1.*")],
        vec![named(MatchKind::Equal, "up"), matcher(MatchKind::Equal, "absent", "")],
        vec![named(MatchKind::Equal, "up"), matcher(MatchKind::NotEqual, "absent", "")],
        vec![named(MatchKind::Equal, "odd"), matcher(MatchKind::Regexp, "text", ".*")],
        vec![named(MatchKind::Equal, "odd"), matcher(MatchKind::Regexp, "text", ".+")],
        vec![named(MatchKind::Equal, "nothing")],
    ];
    for matchers in cases {
        let request = SeriesRequest { matchers: matchers.clone(), ..everything(data) };
        let want = expected(data, |l| matchers.iter().all(|m| m.matches_labels(l)));
        same_labels(&ask(store, request).await?, &want).map_err(|e| format!("{matchers:?}: {e}"))?;
    }
    Ok(())
}

pub(super) async fn mismatch_of_external_labels_is_empty(store: &dyn Store, data: &Dataset) -> Check {
    let mut request = everything(data);
    request.matchers.push(matcher(MatchKind::Equal, "cluster", "another"));
    same_labels(&ask(store, request).await?, &[])
}

pub(super) async fn time_range_selects(store: &dyn Store, data: &Dataset) -> Check {
    let (min, max) = data.times();
    for (min_time_ms, max_time_ms) in [(min - 2_000, min - 1_000), (max + 1_000, max + 2_000)] {
        let request = SeriesRequest { min_time_ms, max_time_ms, ..everything(data) };
        let answer = ask(store, request).await?;
        ensure!(answer.is_empty(), "{} series in {min_time_ms}..={max_time_ms}", answer.len());
    }
    let middle = min + (max - min) / 2;
    let request = SeriesRequest { min_time_ms: middle, max_time_ms: middle + 60_000, ..everything(data) };
    let answer = ask(store, request).await?;
    same_labels(&answer, &expected(data, |_| true))?;
    for (labels, want) in &data.series {
        let labels = data.final_labels(labels);
        let series = answer.iter().find(|s| s.labels == labels).ok_or("missing")?;
        let got = samples(&series.chunks)?;
        for (t, v) in bits(want).range(middle..=middle + 60_000) {
            ensure!(got.get(t) == Some(v), "{labels} lacks its sample at {t}");
        }
    }
    Ok(())
}

pub(super) async fn skip_chunks_leaves_labels(store: &dyn Store, data: &Dataset) -> Check {
    let answer = ask(store, SeriesRequest { skip_chunks: true, ..everything(data) }).await?;
    same_labels(&answer, &expected(data, |_| true))?;
    ensure!(answer.iter().all(|s| s.chunks.is_empty()), "there are chunks");
    Ok(())
}

pub(super) async fn sorted_after_replica_labels_are_removed(store: &dyn Store, data: &Dataset) -> Check {
    for names in [vec![REPLICA.to_string()], vec![REPLICA.to_string(), "region".to_string()], vec!["zone".to_string()]]
    {
        let request = SeriesRequest { without_replica_labels: names.clone(), ..everything(data) };
        let want: BTreeSet<_> = expected(data, |_| true).iter().map(|l| l.without(&names)).collect();
        let want: Vec<_> = want.into_iter().collect();
        same_labels(&ask(store, request).await?, &want).map_err(|e| format!("without {names:?}: {e}"))?;
    }
    Ok(())
}

pub(super) async fn limit_bounds_series(store: &dyn Store, data: &Dataset) -> Check {
    for limit in [1, 7] {
        let answer = ask(store, SeriesRequest { limit, ..everything(data) }).await?;
        ensure!((1..=limit).contains(&answer.len()), "{} series under a limit of {limit}", answer.len());
    }
    Ok(())
}

pub(super) async fn shards_cover_everything_once(store: &dyn Store, data: &Dataset) -> Check {
    if !store.info().await.map_err(|e| e.to_string())?.supports_sharding {
        return Ok(());
    }
    for by in [true, false] {
        let mut all = Vec::new();
        for index in 0..3 {
            let shard = ShardInfo { index, total: 3, by, labels: vec!["instance".into(), "text".into()] };
            let part = ask(store, SeriesRequest { shard: Some(shard.clone()), ..everything(data) }).await?;
            let stray = part.iter().find(|s| !shard.contains(&s.labels));
            ensure!(stray.is_none(), "{:?} is not of shard {index}", stray.map(|s| s.labels.to_string()));
            all.extend(part);
        }
        all.sort_by(|a, b| a.labels.cmp(&b.labels));
        same_labels(&all, &expected(data, |_| true))?;
    }
    Ok(())
}

pub(super) async fn info_covers_the_data(store: &dyn Store, data: &Dataset) -> Check {
    let info = store.info().await.map_err(|e| e.to_string())?;
    let (min, max) = data.times();
    let covers = info.min_time_ms <= min && info.max_time_ms >= max;
    ensure!(covers, "{}..={} does not cover the data", info.min_time_ms, info.max_time_ms);
    ensure!(info.label_sets.contains(&data.external), "label sets {:?} lack the external labels", info.label_sets);
    let tsdb = info.tsdb_infos.iter().any(|t| t.labels == data.external);
    ensure!(tsdb, "no TSDB info of the external labels");
    Ok(())
}
