//! `topk`, `bottomk`, `limitk`, `limit_ratio`: some series of each group, at each step.

use thanoxide_model::Labels;

use super::{Bounds, Grouping};
use crate::aggregate::top::{Best, Candidate, Worst};
use crate::annotations::{Note, Place};
use crate::ast::AggregateOp;
use crate::engine::QueryError;
use crate::exec::column::{Bits, Cell, Column};
use crate::exec::label_sets::LabelSets;
use crate::exec::scalar::{ScalarArg, ScalarColumn};
use crate::exec::{Batch, Context, SeriesColumn, Stream, first_error};
use crate::limits::Charge;

/// Such an aggregation.
pub(crate) struct TopK {
    pub(crate) inner: Option<Box<dyn Stream>>,
    pub(crate) op: AggregateOp,
    pub(crate) grouping: Grouping,
    pub(crate) param: ScalarArg,
    pub(crate) steps: usize,
    /// Of the aggregation.
    pub(crate) position: Place,
    /// Of the parameter.
    pub(crate) param_position: Place,
}

impl Stream for TopK {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, QueryError> {
        let Some(mut inner) = self.inner.take() else { return Ok(None) };
        let param = self.param.column(cx)?.clone();
        if self.is_nothing(&param) {
            crate::exec::collect(&mut *inner, cx)?;
            return Ok(None);
        }
        self.check_param(&param, cx).map_err(|error| first_error(&mut *inner, error, cx))?;
        match self.op {
            AggregateOp::LimitRatio => self.limit_ratio(&mut *inner, &param, cx).map(Some),
            AggregateOp::LimitK => self.limit_k(&mut *inner, &param, cx).map(Some),
            _ => self.top_k(&mut *inner, &param, cx).map(Some),
        }
    }
}

impl TopK {
    fn is_nothing(&self, param: &ScalarColumn) -> bool {
        let bounds = Bounds::of(param, self.steps);
        if self.op == AggregateOp::LimitRatio { bounds.min == 0.0 && bounds.max == 0.0 } else { bounds.max < 1.0 }
    }

    fn check_param(&self, param: &ScalarColumn, cx: &Context<'_>) -> Result<(), QueryError> {
        let bounds = Bounds::of(param, self.steps);
        let fail = |text: String| Err(QueryError::Execution(text));
        if self.op == AggregateOp::LimitRatio {
            if bounds.has_nan {
                return fail("Ratio value is NaN".into());
            }
            if bounds.max > 1.0 {
                cx.note(Note::invalid_ratio(bounds.max, 1.0, self.param_position));
            }
            if bounds.min < -1.0 {
                cx.note(Note::invalid_ratio(bounds.min, -1.0, self.param_position));
            }
            return Ok(());
        }
        let print = thanoxide_model::float::format_g;
        if bounds.has_nan {
            return fail("Parameter value is NaN".into());
        }
        if bounds.min <= i64::MIN as f64 {
            return fail(format!("Scalar value {} underflows int64", print(bounds.min)));
        }
        if bounds.max >= i64::MAX as f64 {
            return fail(format!("Scalar value {} overflows int64", print(bounds.max)));
        }
        Ok(())
    }

    fn top_k(&self, inner: &mut dyn Stream, param: &ScalarColumn, cx: &Context<'_>) -> Result<Batch, QueryError> {
        let worst = if self.op == AggregateOp::TopK { Worst::Lowest } else { Worst::Highest };
        let mut index = LabelSets::default();
        let mut groups: Vec<Vec<Best>> = Vec::new();
        let mut names: Vec<(Labels, bool)> = Vec::new();
        let mut charge = cx.budget.charge(0)?;
        while let Some(batch) = inner.next(cx)? {
            for series in batch.series {
                let (group, new) = index.number_picked(|into| self.grouping.pick(&series.labels, into));
                if new.is_some() {
                    charge.add(self.steps.saturating_mul(size_of::<Best>()))?;
                    groups.push(vec![Best::default(); self.steps]);
                }
                if series.column.histograms.iter().any(Option::is_some) {
                    cx.note(Note::ignored_in_aggregation(self.op.as_str(), self.position));
                }
                for step in series.column.floats.ones() {
                    let candidate = Candidate { value: series.column.values[step], series: names.len() as u32 };
                    let k = param.get(step).max(0.0) as usize;
                    groups[group][step].offer(candidate, k, worst);
                }
                names.push((series.labels, series.drop_name));
                cx.deadline.check()?;
            }
        }
        self.gather(groups, names, (worst, charge), cx)
    }

    /// Puts the candidates of all groups back into series. An instant result is ordered, group by group.
    fn gather(
        &self,
        groups: Vec<Vec<Best>>,
        names: Vec<(Labels, bool)>,
        (worst, mut charge): (Worst, Charge),
        cx: &Context<'_>,
    ) -> Result<Batch, QueryError> {
        let mut columns: Vec<Option<usize>> = vec![None; names.len()];
        let mut series: Vec<SeriesColumn> = Vec::new();
        for group in groups {
            for (step, best) in group.into_iter().enumerate() {
                for candidate in best.into_sorted(worst, &cx.deadline)? {
                    let slot = &mut columns[candidate.series as usize];
                    if slot.is_none() {
                        charge.add(self.steps.saturating_mul(8))?;
                        let (labels, drop_name) = names[candidate.series as usize].clone();
                        *slot = Some(series.len());
                        series.push(SeriesColumn { labels, drop_name, column: Column::empty(self.steps) });
                    }
                    let number = slot.unwrap_or_default();
                    series[number].column.set(step, Cell::Float(candidate.value));
                }
            }
        }
        Ok(Batch { series, charge })
    }

    fn limit_k(&self, inner: &mut dyn Stream, param: &ScalarColumn, cx: &Context<'_>) -> Result<Batch, QueryError> {
        let mut index = LabelSets::default();
        let mut taken: Vec<Vec<u64>> = Vec::new();
        let batch = self.filter(inner, cx, |series| {
            let (group, new) = index.number_picked(|into| self.grouping.pick(&series.labels, into));
            if new.is_some() {
                taken.push(vec![0; self.steps]);
            }
            let mut keep = Bits::none(self.steps);
            for step in series.column.present().ones() {
                if (taken[group][step] as f64) < param.get(step).trunc() {
                    taken[group][step] += 1;
                    keep.set(step);
                }
            }
            keep
        })?;
        Ok(self.order(batch, index))
    }

    fn limit_ratio(&self, inner: &mut dyn Stream, param: &ScalarColumn, cx: &Context<'_>) -> Result<Batch, QueryError> {
        let mut index = LabelSets::default();
        let batch = self.filter(inner, cx, |series| {
            if self.steps == 1 {
                index.number_picked(|into| self.grouping.pick(&series.labels, into));
            }
            // Where the hash of the labels lies between 0 and 1 decides.
            let offset = series.labels.hash() as f64 / u64::MAX as f64;
            let mut keep = Bits::none(self.steps);
            for step in series.column.present().ones() {
                let ratio = param.get(step).clamp(-1.0, 1.0);
                let is_in = if ratio >= 0.0 { offset < ratio } else { offset >= 1.0 + ratio };
                if is_in && ratio != 0.0 {
                    keep.set(step);
                }
            }
            keep
        })?;
        Ok(self.order(batch, index))
    }

    /// Puts the series of an instant query into the order that they have in Prometheus: group by group, and within a group
    /// as in a heap by value. A second `limitk` around this one shows it.
    fn order(&self, mut batch: Batch, mut index: LabelSets) -> Batch {
        if self.steps != 1 {
            return batch;
        }
        let mut groups = vec![Best::default(); index.len()];
        for (number, series) in batch.series.iter().enumerate() {
            let (group, _) = index.number_picked(|into| self.grouping.pick(&series.labels, into));
            let value = if series.column.floats.get(0) { series.column.values[0] } else { 0.0 };
            groups[group].offer(Candidate { value, series: number as u32 }, usize::MAX, Worst::Lowest);
        }
        let mut series: Vec<Option<SeriesColumn>> = batch.series.into_iter().map(Some).collect();
        let ordered = groups.into_iter().flat_map(Best::into_heap);
        batch.series = ordered.filter_map(|candidate| series[candidate.series as usize].take()).collect();
        batch
    }

    fn filter(
        &self,
        inner: &mut dyn Stream,
        cx: &Context<'_>,
        mut keep: impl FnMut(&SeriesColumn) -> Bits,
    ) -> Result<Batch, QueryError> {
        let mut all = Batch { series: Vec::new(), charge: cx.budget.charge(0)? };
        while let Some(mut batch) = inner.next(cx)? {
            for series in &mut batch.series {
                cx.deadline.check()?;
                let keep = keep(series);
                series.column.retain(&keep);
            }
            batch.series.retain(|s| !s.column.is_empty());
            all.series.append(&mut batch.series);
            all.charge.absorb(batch.charge);
        }
        Ok(all)
    }
}
