//! `histogram_quantile`, `histogram_quantiles`, `histogram_fraction`: over native histograms, and over classic ones, whose
//! buckets are series that differ in the label `le`.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};
use thanoxide_model::float::format_g;
use thanoxide_model::{Labels, LabelsBuilder};

use super::column::{Bits, Column};
use super::grid::Grid;
use super::merge::{Merger, without_name};
use super::scalar::{ScalarArg, ScalarColumn};
use super::{Batch, Context, SeriesColumn, Stream, collect, first_error};
use crate::annotations::{Annotations, MonotonicityFix, MonotonicityFixes, Note, Place};
use crate::engine::QueryError;
use crate::functions::classic::{self, ClassicBucket};
use crate::functions::{histogram, quantile};

/// A scalar argument and where it is in the query.
pub(crate) struct Placed {
    pub(crate) scalar: ScalarArg,
    pub(crate) position: Place,
}

/// What is asked of the histograms.
pub(crate) enum Question {
    Quantile(Placed),
    /// Many at once, told apart by a label.
    Quantiles {
        label: Vec<u8>,
        quantiles: Vec<Placed>,
    },
    Fraction {
        low: ScalarArg,
        high: ScalarArg,
    },
}

impl Question {
    /// The quantiles, if it asks for any.
    pub(crate) fn placed(&mut self) -> impl Iterator<Item = &mut Placed> {
        match self {
            Question::Quantile(placed) => std::slice::from_mut(placed).iter_mut(),
            Question::Quantiles { quantiles, .. } => quantiles.iter_mut(),
            Question::Fraction { .. } => [].iter_mut(),
        }
    }
}

/// A question about each histogram of a vector.
pub(crate) struct HistogramStream {
    pub(crate) inner: Option<Box<dyn Stream>>,
    pub(crate) question: Question,
    pub(crate) grid: Grid,
    /// Of the vector.
    pub(crate) position: Place,
}

/// A question with its numbers at hand.
enum Asked {
    Quantile(ScalarColumn),
    Fraction { low: ScalarColumn, high: ScalarColumn },
}

/// One answer for each histogram.
struct Part {
    asked: Asked,
    /// A label that tells it from other answers.
    mark: Option<(Vec<u8>, String)>,
    /// The steps that it is for; `None` is all.
    only: Option<Bits>,
}

/// What was done to classic histograms, by the name that is quoted and by step.
#[derive(Default)]
struct Fixes {
    by_name: BTreeMap<Vec<u8>, (MonotonicityFixes, Vec<i64>)>,
    /// Histograms that have been fixed at a step; they stay fixed for further quantiles.
    fixed: HashSet<(usize, usize)>,
}

impl Fixes {
    fn add(&mut self, name: &[u8], histogram: (usize, usize), fix: MonotonicityFix, time_ms: i64, steps: usize) {
        if !self.fixed.insert(histogram) {
            return;
        }
        let new = || (MonotonicityFixes::new(fix, time_ms), vec![0; steps]);
        let (fixes, by_step) = self.by_name.entry(name.to_vec()).or_insert_with(new);
        fixes.add(fix, time_ms);
        by_step[histogram.1] += 1;
    }

    fn notes(self, position: Place) -> impl Iterator<Item = Note> {
        self.by_name.into_iter().map(move |(name, (mut fixes, by_step))| {
            by_step.into_iter().for_each(|count| fixes.count_step(count));
            Note::forced_monotonicity(&name, position, &fixes)
        })
    }
}

impl Part {
    fn whole(asked: Asked) -> Self {
        Part { asked, mark: None, only: None }
    }

    fn is_for(&self, step: usize) -> bool {
        self.only.as_ref().is_none_or(|only| only.get(step))
    }
}

/// The series of one histogram.
struct Group {
    labels: Labels,
    /// Upper bound and index of each series of a bucket.
    buckets: Vec<(f64, usize)>,
}

impl Stream for HistogramStream {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, QueryError> {
        let Some(mut inner) = self.inner.take() else { return Ok(None) };
        let parts = match self.ask(cx) {
            // Its vector is the first argument.
            Err(error) if matches!(self.question, Question::Quantiles { .. }) => {
                return Err(first_error(&mut *inner, error, cx));
            }
            parts => parts?,
        };
        let mut input = collect(&mut *inner, cx)?;
        let mut notes = Annotations::default();
        let groups = self.group(&input.series, cx, &mut notes);
        self.exclude_conflicts(&mut input.series, &groups, cx, &mut notes);
        let mut output = Merger::default();
        let mut fixes = Fixes::default();
        for part in &parts {
            for series in input.series.iter().filter(|s| !s.column.histograms.is_empty()) {
                let column = self.answer_native(series, part, cx, &mut notes);
                put(&series.labels, column, part, cx, &mut output)?;
            }
            for (number, group) in groups.iter().enumerate() {
                let name = name(&group.labels, cx);
                let column = self.answer_classic(group, &input.series, part, |step, fix| {
                    let (time_ms, steps) = (self.grid.time_ms(step), self.grid.steps);
                    fixes.add(name, (number, step), fix, time_ms, steps);
                });
                put(&group.labels, column, part, cx, &mut output)?;
                cx.deadline.check()?;
            }
        }
        fixes.notes(self.position).for_each(|note| notes.add(note));
        cx.notes(notes);
        Batch::new(output.merged, cx).map(Some)
    }
}

impl HistogramStream {
    fn ask(&mut self, cx: &Context<'_>) -> Result<Vec<Part>, QueryError> {
        let steps = self.grid.steps;
        match &mut self.question {
            Question::Fraction { low, high } => {
                let (low, high) = (low.column(cx)?.clone(), high.column(cx)?.clone());
                Ok(vec![Part::whole(Asked::Fraction { low, high })])
            }
            Question::Quantile(placed) => Ok(vec![Part::whole(Asked::Quantile(check(placed, steps, cx)?))]),
            Question::Quantiles { label, quantiles } => {
                let mut all = Vec::new();
                for placed in quantiles {
                    all.extend(per_value(label, check(placed, steps, cx)?, steps));
                }
                Ok(all)
            }
        }
    }

    /// Gathers the series with floats by their labels without `le`.
    fn group(&self, input: &[SeriesColumn], cx: &Context<'_>, notes: &mut Annotations) -> Vec<Group> {
        let mut numbers: HashMap<Labels, usize, foldhash::fast::RandomState> = HashMap::default();
        let mut groups: Vec<Group> = Vec::new();
        for (index, series) in input.iter().enumerate().filter(|(_, s)| s.column.floats.any()) {
            let le = series.labels.value("le");
            let Some(upper) = parse_bound(le) else {
                notes.add(Note::bad_bucket_label(name(&series.labels, cx), le, self.position));
                continue;
            };
            let labels = series.labels.without(&["le"]);
            let number = *numbers.entry(labels.clone()).or_insert_with(|| {
                groups.push(Group { labels, buckets: Vec::new() });
                groups.len() - 1
            });
            groups[number].buckets.push((upper, index));
        }
        groups
    }

    /// Where a histogram is both native and classic, neither counts.
    fn exclude_conflicts(
        &self,
        input: &mut [SeriesColumn],
        groups: &[Group],
        cx: &Context<'_>,
        notes: &mut Annotations,
    ) {
        let natives = input.iter().enumerate().filter(|(_, s)| !s.column.histograms.is_empty());
        let natives: HashMap<Labels, usize, foldhash::fast::RandomState> =
            natives.map(|(index, s)| (s.labels.clone(), index)).collect();
        for group in groups {
            let Some(native) = natives.get(&group.labels).copied() else { continue };
            for step in 0..self.grid.steps {
                let classic = group.buckets.iter().any(|(_, i)| input[*i].column.floats.get(step));
                if classic && input[native].column.histogram(step).is_some() {
                    notes.add(Note::mixed_classic_native(name(&group.labels, cx), self.position));
                    input[native].column.remove(step);
                    group.buckets.iter().for_each(|(_, i)| input[*i].column.remove(step));
                }
            }
        }
    }

    fn answer_native(&self, series: &SeriesColumn, part: &Part, cx: &Context<'_>, notes: &mut Annotations) -> Column {
        let mut column = Column::empty(self.grid.steps);
        for (step, histogram) in series.column.histograms.iter().enumerate().filter(|(s, _)| part.is_for(*s)) {
            let Some(histogram) = histogram else { continue };
            let (answer, remark) = match &part.asked {
                Asked::Quantile(q) => histogram::quantile(q.get(step), histogram),
                Asked::Fraction { low, high } => histogram::fraction(low.get(step), high.get(step), histogram),
            };
            if let Some(remark) = remark {
                notes.add(remark.note(name(&series.labels, cx), self.position));
            }
            column.set_float(step, answer);
        }
        column
    }

    fn answer_classic(
        &self,
        group: &Group,
        input: &[SeriesColumn],
        part: &Part,
        mut fixed: impl FnMut(usize, MonotonicityFix),
    ) -> Column {
        let mut column = Column::empty(self.grid.steps);
        let mut members = group.buckets.clone();
        members.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap_or(std::cmp::Ordering::Equal));
        let mut buckets = Vec::with_capacity(members.len());
        for step in (0..self.grid.steps).filter(|s| part.is_for(*s)) {
            let present = members.iter().filter(|(_, i)| input[*i].column.floats.get(step));
            buckets.clear();
            buckets.extend(
                present.map(|(upper, i)| ClassicBucket { upper: *upper, count: input[*i].column.values[step] }),
            );
            if buckets.is_empty() {
                continue;
            }
            let answer = match &part.asked {
                Asked::Fraction { low, high } => classic::fraction(low.get(step), high.get(step), &mut buckets),
                Asked::Quantile(q) => {
                    let (answer, fix) = classic::quantile(q.get(step), &mut buckets);
                    fix.into_iter().for_each(|fix| fixed(step, fix));
                    answer
                }
            };
            column.set_float(step, answer);
        }
        column
    }
}

/// Names are quoted only while they are still there.
fn name<'a>(labels: &'a Labels, cx: &Context<'_>) -> &'a [u8] {
    if cx.settings.delayed_name_removal { labels.metric_name() } else { b"" }
}

fn put(labels: &Labels, column: Column, part: &Part, cx: &Context<'_>, output: &mut Merger) -> Result<(), QueryError> {
    if column.is_empty() {
        return Ok(());
    }
    let delayed = cx.settings.delayed_name_removal;
    let mut labels = if delayed { labels.clone() } else { without_name(labels) };
    if let Some((label, value)) = &part.mark {
        let mut builder = LabelsBuilder::from(&labels);
        builder.set(label, value);
        labels = builder.build();
    }
    output.add(SeriesColumn { labels, drop_name: delayed, column })
}

fn check(placed: &mut Placed, steps: usize, cx: &Context<'_>) -> Result<ScalarColumn, QueryError> {
    let q = placed.scalar.column(cx)?.clone();
    for step in 0..(if matches!(q, ScalarColumn::Constant(_)) { steps.min(1) } else { steps }) {
        if let Some(note) = quantile::check(q.get(step), placed.position) {
            cx.note(note);
        }
    }
    Ok(q)
}

/// A quantile that changes over time gives a series for each of its values.
fn per_value(label: &[u8], q: ScalarColumn, steps: usize) -> Vec<Part> {
    let part = |text: String, q, only| Part { asked: Asked::Quantile(q), mark: Some((label.to_vec(), text)), only };
    if let ScalarColumn::Constant(value) = q {
        return vec![part(open_metrics_float(value), q, None)];
    }
    let mut by_text: BTreeMap<String, Bits> = BTreeMap::new();
    for step in 0..steps {
        by_text.entry(open_metrics_float(q.get(step))).or_insert_with(|| Bits::none(steps)).set(step);
    }
    by_text.into_iter().map(|(text, only)| part(text, q.clone(), Some(only))).collect()
}

/// A number as OpenMetrics writes it: never without a point or an exponent.
fn open_metrics_float(value: f64) -> String {
    let text = format_g(value);
    if !value.is_finite() || text.contains(['.', 'e']) { text } else { text + ".0" }
}

/// A bound as Go's `ParseFloat` reads it.
fn parse_bound(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = text.trim_start_matches(['+', '-']).to_ascii_lowercase();
    match digits.as_str() {
        "inf" | "infinity" if text.len() - digits.len() <= 1 => {
            Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY })
        }
        _ => text.parse().ok().filter(|v: &f64| !v.is_infinite()),
    }
}
