//! Arithmetic and comparisons between two vectors.
//!
//! Both sides are read; then each series of the "many" side (the left one unless `group_right`) meets the series of the
//! other side in its match group. Errors are those of the earliest step, as if steps were evaluated one after another.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use thanoxide_model::Labels;

use super::arithmetic::{self, Complaints, changes_metric};
use super::column::{Bits, Cell, Column};
use super::matching::{Groups, result_labels, signature};
use super::merge::{Merger, same_labelset};
use super::{Batch, Context, SeriesColumn, Stream, collect};
use crate::annotations::{Annotations, Place};
use crate::ast::{BinaryOp, Cardinality, VectorMatching};
use crate::engine::QueryError;

/// `a op b`
pub(crate) struct VectorVector {
    pub(crate) sides: Option<(Box<dyn Stream>, Box<dyn Stream>)>,
    pub(crate) op: BinaryOp,
    pub(crate) return_bool: bool,
    pub(crate) matching: VectorMatching,
    pub(crate) position: Place,
    pub(crate) steps: usize,
}

impl Stream for VectorVector {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, QueryError> {
        let Some((mut lhs, mut rhs)) = self.sides.take() else { return Ok(None) };
        let (lhs, rhs) = (collect(&mut *lhs, cx)?, collect(&mut *rhs, cx)?);
        let no_fill = self.matching.fill_lhs.is_none() && self.matching.fill_rhs.is_none();
        if (lhs.series.is_empty() || rhs.series.is_empty()) && no_fill {
            return Ok(None);
        }
        let swapped = self.matching.card == Cardinality::OneToMany;
        let (many, one) = if swapped { (&rhs.series, &lhs.series) } else { (&lhs.series, &rhs.series) };
        let mut joined = Join::new(self, many, one, cx);
        joined.run(cx)?;
        let Join { output, notes, failure, .. } = joined;
        notes.into_values().for_each(|note| cx.notes(note));
        match failure {
            Some(failure) => Err(failure.error),
            None => Batch::new(output.merged, cx).map(Some),
        }
    }
}

/// The first error, in the order of steps, and within a step in Prometheus's order.
struct Failure {
    step: usize,
    phase: u8,
    index: usize,
    error: QueryError,
}

struct Join<'a> {
    node: &'a VectorVector,
    many: &'a [SeriesColumn],
    one: &'a [SeriesColumn],
    many_groups: Vec<usize>,
    one_groups: Vec<usize>,
    /// Indexes of the "one" series by group.
    one_by_group: Vec<Vec<usize>>,
    delayed: bool,
    /// One-to-one: at which steps a group has had its match.
    matched: Vec<Bits>,
    /// Many-to-one: at which steps a group has given a result of these labels.
    inserted: Vec<HashMap<Labels, Bits>>,
    output: Merger,
    /// The last note of each step.
    notes: BTreeMap<usize, Annotations>,
    failure: Option<Failure>,
}

impl<'a> Join<'a> {
    fn new(node: &'a VectorVector, many: &'a [SeriesColumn], one: &'a [SeriesColumn], cx: &Context<'_>) -> Self {
        let mut groups = Groups::default();
        let many_groups: Vec<usize> = many.iter().map(|s| groups.ordinal(&s.labels, &node.matching)).collect();
        let one_groups: Vec<usize> = one.iter().map(|s| groups.ordinal(&s.labels, &node.matching)).collect();
        let count = many_groups.iter().chain(&one_groups).max().map_or(0, |m| m + 1);
        let mut one_by_group = vec![Vec::new(); count];
        for (index, group) in one_groups.iter().enumerate() {
            one_by_group[*group].push(index);
        }
        Join {
            node,
            many,
            one,
            many_groups,
            one_groups,
            one_by_group,
            delayed: cx.settings.delayed_name_removal,
            matched: vec![Bits::none(node.steps); count],
            inserted: vec![HashMap::default(); count],
            output: Merger::default(),
            notes: BTreeMap::new(),
            failure: None,
        }
    }

    fn run(&mut self, cx: &Context<'_>) -> Result<(), QueryError> {
        self.check_one_side(cx)?;
        for index in 0..self.many.len() {
            self.join(index);
            cx.deadline.check()?;
        }
        if let Some(fill) = self.node.matching.fill_lhs {
            for index in 0..self.one.len() {
                self.fill_missing_many(index, fill);
                cx.deadline.check()?;
            }
        }
        Ok(())
    }

    fn fail(&mut self, step: usize, phase: u8, index: usize, error: impl FnOnce() -> QueryError) {
        let known = self.failure.as_ref().map(|f| (f.step, f.phase, f.index));
        if known.is_none_or(|known| (step, phase, index) < known) {
            self.failure = Some(Failure { step, phase, index, error: error() });
        }
    }

    /// No two series of a group may be on the "one" side in one step, unless the other side is empty there.
    fn check_one_side(&mut self, cx: &Context<'_>) -> Result<(), QueryError> {
        if self.one_by_group.iter().all(|g| g.len() < 2) {
            return Ok(());
        }
        let any = |side: &[SeriesColumn]| {
            let mut any = Bits::none(self.node.steps);
            side.iter().for_each(|s| any.union(&s.column.present()));
            any
        };
        let has_fill = self.node.matching.fill_lhs.is_some() || self.node.matching.fill_rhs.is_some();
        let active = if has_fill { Bits::all(self.node.steps) } else { any(self.many) };
        for group in self.one_by_group.clone() {
            let mut seen = Bits::none(self.node.steps);
            for (i, index) in group.iter().enumerate() {
                let mut present = self.one[*index].column.present();
                present.intersect(&active);
                if let Some(step) = seen.first_common(&present) {
                    let earlier = group[..i].iter().rev().find(|e| self.one[**e].column.is_present(step));
                    let earlier = *earlier.unwrap_or(&group[0]);
                    let error = self.duplicate(*index, earlier);
                    self.fail(step, 0, *index, || error);
                }
                seen.union(&present);
                cx.deadline.check()?;
            }
        }
        Ok(())
    }

    fn duplicate(&self, new: usize, old: usize) -> QueryError {
        let matching = &self.node.matching;
        let side = if matching.card == Cardinality::OneToMany { "left" } else { "right" };
        let mut texts = [self.one[new].labels.to_string(), self.one[old].labels.to_string()];
        texts.sort();
        let group = signature(&self.one[new].labels, matching);
        QueryError::Execution(format!(
            "found duplicate series for the match group {group} on the {side} hand-side of the operation: [{}, {}];\
             many-to-many matching not allowed: matching labels must be unique on one side",
            texts[0], texts[1]
        ))
    }

    /// One series of the "many" side with all that it meets.
    fn join(&mut self, index: usize) {
        let many = &self.many[index];
        let group = self.many_groups[index];
        let present = many.column.present();
        let mut unmatched = present.clone();
        for at in 0..self.one_by_group[group].len() {
            let one = &self.one[self.one_by_group[group][at]];
            let mut both = one.column.present();
            both.intersect(&present);
            unmatched.subtract(&both);
            if both.any() {
                self.combine(index, group, &many.labels, &one.labels, &many.column, &one.column, &both);
            }
        }
        if let Some(fill) = self.node.matching.fill_rhs.filter(|_| unmatched.any()) {
            let labels = signature(&many.labels, &self.node.matching);
            let column = Column::full(vec![fill; self.node.steps]);
            self.combine(index, group, &many.labels, &labels, &many.column, &column, &unmatched);
        }
    }

    /// A series of the "one" side, at the steps where nothing met it.
    fn fill_missing_many(&mut self, index: usize, fill: f64) {
        let one = &self.one[index];
        let group = self.one_groups[index];
        let mut missing = one.column.present();
        missing.subtract(&self.matched[group]);
        self.inserted[group].values().for_each(|steps| missing.subtract(steps));
        if missing.any() {
            let labels = signature(&one.labels, &self.node.matching);
            let column = Column::full(vec![fill; self.node.steps]);
            self.combine(self.many.len() + index, group, &labels, &one.labels, &column, &one.column, &missing);
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn combine(
        &mut self,
        index: usize,
        group: usize,
        many_labels: &Labels,
        one_labels: &Labels,
        many: &Column,
        one: &Column,
        steps: &Bits,
    ) {
        let swapped = self.node.matching.card == Cardinality::OneToMany;
        let (a, b) = if swapped { (one, many) } else { (many, one) };
        let Computed { column, computed } = self.compute(a, b, steps);
        let drop_name = self.node.return_bool && !self.delayed;
        let labels = result_labels(self.node.op, &self.node.matching, many_labels, one_labels, drop_name);
        let twice = self.check_matches(index, group, &labels, &computed);
        if column.is_empty() || twice {
            return;
        }
        let first = column.present().ones().next().unwrap_or(0);
        if self.output.add(SeriesColumn { labels, drop_name: self.node.return_bool && self.delayed, column }).is_err() {
            self.fail(first, 2, index, same_labelset);
        }
    }

    /// Whether a group has more than the one match that it may have, which is a failure.
    fn check_matches(&mut self, index: usize, group: usize, labels: &Labels, computed: &Bits) -> bool {
        if self.node.matching.card == Cardinality::OneToOne {
            let twice = self.matched[group].first_common(computed);
            if let Some(step) = twice {
                self.fail(step, 1, index, || {
                    let text = "multiple matches for labels: many-to-one matching must be explicit \
                                (group_left/group_right)";
                    QueryError::Execution(text.into())
                });
            }
            self.matched[group].union(computed);
            return twice.is_some();
        }
        let steps = self.node.steps;
        let inserted = self.inserted[group].entry(labels.clone()).or_insert_with(|| Bits::none(steps));
        let twice = inserted.first_common(computed);
        inserted.union(computed);
        if let Some(step) = twice {
            self.fail(step, 1, index, || {
                let text = "multiple matches for labels: grouping labels must ensure unique matches";
                QueryError::Execution(text.into())
            });
        }
        twice.is_some()
    }

    /// `a op b` at the given steps, at which both have a value.
    fn compute(&mut self, a: &Column, b: &Column, steps: &Bits) -> Computed {
        let op = self.node.op;
        if changes_metric(op) && a.histograms.is_empty() && b.histograms.is_empty() {
            let mut values = a.values.clone();
            arithmetic::arithmetic_columns(op, &mut values, &b.values);
            let column = Column { values, floats: steps.clone(), histograms: Vec::new() };
            return Computed { column, computed: steps.clone() };
        }
        let mut column = Column::empty(self.node.steps);
        let mut computed = Bits::none(self.node.steps);
        for step in steps.ones() {
            let (Some(a), Some(b)) = (a.cell(step), b.cell(step)) else { continue };
            let mut notes = Annotations::default();
            let mut complaints = Complaints { op, position: self.node.position, notes: &mut notes };
            let outcome = arithmetic::apply(a, b, &mut complaints);
            if !notes.is_empty() {
                self.notes.insert(step, notes);
            }
            let Some(outcome) = outcome else { continue };
            computed.set(step);
            if self.node.return_bool {
                column.set(step, Cell::Float(f64::from(u8::from(outcome.keep))));
            } else if outcome.keep {
                column.set(step, outcome.value.cell());
            }
        }
        Computed { column, computed }
    }
}

struct Computed {
    column: Column,
    /// Where there was a result, even if a comparison did not hold.
    computed: Bits,
}
