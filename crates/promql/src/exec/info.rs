//! `info`: adds the labels of info metrics to the series of the same instance and job.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashSet;
use thanoxide_model::series::SelectHints;
use thanoxide_model::{Labels, LabelsBuilder, MatchKind, Matcher};

use super::column::Column;
use super::grid::{Grid, Modifiers};
use super::instant::{InstantSelector, Take};
use super::merge::Merger;
use super::selection::Selection;
use super::{Batch, Context, SeriesColumn, Stream, collect};
use crate::engine::QueryError;

const DEFAULT_NAME: &str = "target_info";

/// What makes an info metric and a series belong together.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

/// `info(v, {…})`
pub(crate) struct Info {
    pub(crate) inner: Option<Box<dyn Stream>>,
    /// The second argument.
    pub(crate) matchers: Option<Vec<Matcher>>,
    pub(crate) grid: Grid,
    /// The time modifiers of the first argument, which hold for the info metrics as well.
    pub(crate) at_ms: Option<i64>,
    pub(crate) offset_ms: i64,
}

impl Stream for Info {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, QueryError> {
        let Some(mut inner) = self.inner.take() else { return Ok(None) };
        let base = collect(&mut *inner, cx)?;
        let names = self.name_matchers()?;
        let is_info = |labels: &Labels| names.iter().all(|m| m.matches(labels.metric_name()));
        let ignored: HashSet<Labels> = base.series.iter().map(|s| &s.labels).filter(|l| is_info(l)).cloned().collect();
        let infos = self.fetch(&base.series, &ignored, names, cx)?;
        let enriched = Enrichment::new(self, &infos).enrich(base.series, &ignored, cx)?;
        Batch::new(enriched, cx).map(Some)
    }
}

impl Info {
    /// What the names of info metrics must satisfy.
    fn name_matchers(&self) -> Result<Vec<Matcher>, QueryError> {
        let written: Vec<Matcher> =
            self.matchers.iter().flatten().filter(|m| m.name() == b"__name__").cloned().collect();
        let positive = |m: &Matcher| matches!(m.kind(), MatchKind::Equal | MatchKind::Regexp);
        if written.iter().any(positive) {
            return Ok(written);
        }
        if written.is_empty() {
            return Ok(vec![Matcher::equal("__name__", DEFAULT_NAME)]);
        }
        let any = Matcher::new(MatchKind::Regexp, "__name__", ".+_info").map_err(internal)?;
        Ok(std::iter::once(any).chain(written).collect())
    }

    /// Conditions on the labels that are added.
    fn data_matchers(&self) -> impl Iterator<Item = &Matcher> {
        self.matchers.iter().flatten().filter(|m| m.name() != b"__name__")
    }

    fn fetch(
        &self,
        base: &[SeriesColumn],
        ignored: &HashSet<Labels>,
        names: Vec<Matcher>,
        cx: &Context<'_>,
    ) -> Result<Vec<SeriesColumn>, QueryError> {
        let targets = Targets::of(base.iter().map(|s| &s.labels).filter(|l| !ignored.contains(*l)));
        if targets.values.is_empty() {
            return Ok(Vec::new());
        }
        let mut matchers = Vec::new();
        for (index, label) in IDENTIFYING.into_iter().enumerate() {
            let values: BTreeSet<&[u8]> = targets.values.values().flat_map(|values| &values[index]).copied().collect();
            let pattern = values.into_iter().map(quote).collect::<Vec<_>>().join(&b'|');
            matchers.push(Matcher::new(MatchKind::Regexp, label, pattern).map_err(internal)?);
        }
        matchers.extend(self.data_matchers().cloned());
        matchers.extend(names);
        let modifiers = Modifiers { at_ms: self.at_ms, offset_ms: self.offset_ms };
        let (first_ms, last_ms) = modifiers.span_ms(self.grid);
        let hints = SelectHints {
            start_ms: first_ms.saturating_sub(cx.settings.lookback_ms).saturating_add(1),
            end_ms: last_ms,
            step_ms: self.grid.step_ms,
            function: "info".into(),
            ..SelectHints::default()
        };
        let reader = Selection::new(matchers, hints, None, false).announce();
        let mut selector = InstantSelector::new(reader, self.grid, modifiers, Take::Milliseconds);
        let mut infos = cx.tally.muted(|| collect(&mut selector, cx))?.series;
        infos.retain(|info| targets.may_belong(&info.labels));
        infos.iter().for_each(|info| cx.tally.add_column(&info.column));
        Ok(infos)
    }
}

fn internal(error: impl std::fmt::Display) -> QueryError {
    QueryError::Internal(error.to_string())
}

/// Escapes what has a meaning in regular expressions.
fn quote(text: &[u8]) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(text.len() + 8);
    for byte in text {
        if br"\.+*?()|[]{}^$".contains(byte) {
            quoted.push(b'\\');
        }
        quoted.push(*byte);
    }
    quoted
}

/// The identifying labels of series: by which of them there are, the values of each (an empty one where it lacks). An
/// identifying label that a series lacks is one that its info metrics lack.
struct Targets<'a> {
    values: BTreeMap<[bool; 2], [BTreeSet<&'a [u8]>; 2]>,
}

impl<'a> Targets<'a> {
    /// Series with none of the labels have no target.
    fn of(series: impl Iterator<Item = &'a Labels>) -> Self {
        let mut values: BTreeMap<[bool; 2], [BTreeSet<&[u8]>; 2]> = BTreeMap::new();
        for labels in series.filter(|labels| identified_by(labels) != [false; 2]) {
            let sets = values.entry(identified_by(labels)).or_default();
            sets.iter_mut().zip(IDENTIFYING).for_each(|(set, label)| {
                set.insert(labels.value(label));
            });
        }
        Targets { values }
    }

    /// Whether an info series has the labels of some target, each of them.
    fn may_belong(&self, info: &Labels) -> bool {
        let sets = self.values.get(&identified_by(info));
        sets.is_some_and(|sets| sets.iter().zip(IDENTIFYING).all(|(set, label)| set.contains(info.value(label))))
    }
}

/// Which of the identifying labels there are.
fn identified_by(labels: &Labels) -> [bool; 2] {
    IDENTIFYING.map(|label| !labels.value(label).is_empty())
}

/// The labels that identify a target.
fn identity(labels: &Labels) -> Labels {
    labels.filter(|name| IDENTIFYING.iter().any(|l| l.as_bytes() == name))
}

/// The info series of one name and target, the newest first where times tell.
struct Enrichment<'a> {
    node: &'a Info,
    /// By target, then by name.
    by_target: BTreeMap<Labels, BTreeMap<Vec<u8>, Vec<&'a SeriesColumn>>>,
    /// A series that finds no info metric is dropped.
    required: bool,
    wanted: HashSet<Vec<u8>>,
}

impl<'a> Enrichment<'a> {
    fn new(node: &'a Info, infos: &'a [SeriesColumn]) -> Self {
        let mut by_target: BTreeMap<Labels, BTreeMap<Vec<u8>, Vec<&SeriesColumn>>> = BTreeMap::new();
        for info in infos {
            let names = by_target.entry(identity(&info.labels)).or_default();
            names.entry(info.labels.metric_name().to_vec()).or_default().push(info);
        }
        let required = node.data_matchers().any(|m| !m.matches_empty());
        let wanted = node.data_matchers().map(|m| m.name().to_vec()).collect();
        Enrichment { node, by_target, required, wanted }
    }

    fn enrich(
        &self,
        base: Vec<SeriesColumn>,
        ignored: &HashSet<Labels>,
        cx: &Context<'_>,
    ) -> Result<Vec<SeriesColumn>, QueryError> {
        self.check_conflicts(&base)?;
        let mut output = Merger::default();
        for series in base {
            if ignored.contains(&series.labels) {
                output.add(series)?;
                continue;
            }
            let mut by_labels: Vec<(Labels, Column)> = Vec::new();
            for step in series.column.present().ones() {
                let Some(labels) = self.labels_at(&series.labels, step)? else { continue };
                let known = by_labels.iter().position(|(l, _)| *l == labels);
                let index = known.unwrap_or_else(|| {
                    by_labels.push((labels, Column::empty(self.node.grid.steps)));
                    by_labels.len() - 1
                });
                if let Some(cell) = series.column.cell(step) {
                    by_labels[index].1.set(step, cell);
                }
            }
            for (labels, column) in by_labels {
                output.add(SeriesColumn { labels, drop_name: series.drop_name, column })?;
            }
            cx.deadline.check()?;
        }
        Ok(output.merged)
    }

    /// Two info series of one name and target may not be equally new.
    fn check_conflicts(&self, base: &[SeriesColumn]) -> Result<(), QueryError> {
        let ambiguous = || self.by_target.values().flat_map(BTreeMap::values).filter(|all| all.len() > 1);
        if ambiguous().next().is_none() {
            return Ok(());
        }
        for step in 0..self.node.grid.steps {
            if !base.iter().any(|s| s.column.is_present(step)) {
                continue;
            }
            for all in ambiguous() {
                newest(all, step)?;
            }
        }
        Ok(())
    }

    /// The labels of a series at a step; `None` where it is dropped.
    fn labels_at(&self, labels: &Labels, step: usize) -> Result<Option<Labels>, QueryError> {
        let mut added = LabelsBuilder::default();
        let mut found = false;
        for all in self.by_target.get(&identity(labels)).into_iter().flat_map(BTreeMap::values) {
            let Some(info) = newest(all, step)? else { continue };
            found = true;
            for (name, value) in info.labels.iter().filter(|(n, _)| *n != b"__name__") {
                if !self.wanted.is_empty() && !self.wanted.contains(name) {
                    continue;
                }
                let known = added.get(name);
                if !known.is_empty() && known != value {
                    let name = String::from_utf8_lossy(name);
                    return Err(QueryError::Execution(format!("conflicting label: {name}")));
                }
                if labels.get(name).is_none() {
                    added.set(name, value);
                }
            }
        }
        if !found && self.required {
            return Ok(None);
        }
        Ok(Some(labels.overlay(&added.build())))
    }
}

/// The info series with the newest sample at a step.
fn newest<'a>(all: &[&'a SeriesColumn], step: usize) -> Result<Option<&'a SeriesColumn>, QueryError> {
    let mut best: Option<&SeriesColumn> = None;
    for info in all.iter().filter(|i| i.column.floats.get(step)) {
        match best {
            Some(known) if known.column.values[step] > info.column.values[step] => {}
            Some(known) if known.column.values[step] == info.column.values[step] => {
                let (known_labels, time) = (&known.labels, info.column.values[step] as i64);
                return Err(QueryError::Execution(format!(
                    "found duplicate series for info metric: existing {known_labels} @ {time}, new {} @ {time}",
                    info.labels
                )));
            }
            _ => best = Some(info),
        }
    }
    Ok(best)
}
