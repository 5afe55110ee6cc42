//! Arithmetic and comparisons between two vectors.
//!
//! The "one" side (the right one unless `group_right`) is read whole; then each series of the other side, as it comes,
//! meets the series of the "one" side in its match group. Errors are those of the earliest step, as if steps were evaluated one after another.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use thanoxide_model::Labels;

use super::arithmetic::{self, Complaints, changes_metric};
use super::column::{Bits, Cell, Column};
use super::matching::{Groups, result_labels, signature};
use super::merge::{Merger, same_labelset};
use super::{Batch, Context, SeriesColumn, Stream, collect, first_error};
use crate::annotations::{Annotations, Place};
use crate::ast::{BinaryOp, Cardinality, VectorMatching};
use crate::engine::QueryError;
use crate::limits::Charge;

/// `a op b`
pub(crate) struct VectorVector {
    pub(crate) sides: Option<(Box<dyn Stream>, Box<dyn Stream>)>,
    pub(crate) op: BinaryOp,
    pub(crate) return_bool: bool,
    pub(crate) matching: VectorMatching,
    pub(crate) position: Place,
    pub(crate) steps: usize,
    /// The "many" side need not be read where that changes nothing.
    pub(crate) may_skip: bool,
}

impl Stream for VectorVector {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, QueryError> {
        let Some((mut lhs, mut rhs)) = self.sides.take() else { return Ok(None) };
        let (one, mut many) = if self.matching.card == Cardinality::OneToMany {
            (collect(&mut *lhs, cx)?, rhs)
        } else {
            (collect(&mut *rhs, cx).map_err(|error| first_error(&mut *lhs, error, cx))?, lhs)
        };
        let has_fill = self.matching.fill_lhs.is_some() || self.matching.fill_rhs.is_some();
        if self.may_skip && one.series.is_empty() && !has_fill {
            return Ok(None);
        }
        let mut joined = Join::new(self, &one.series, cx.budget.charge(0)?, cx);
        if joined.may_have_duplicates() {
            // Whether they matter depends on where the other side has anything at all.
            let many = collect(&mut *many, cx)?;
            if many.series.is_empty() && !has_fill {
                return Ok(None);
            }
            joined.check_one_side(&many.series, cx)?;
            joined.join_all(many.series, cx)?;
        } else {
            joined.join_stream(&mut *many, cx)?;
        }
        joined.fill(cx)?;
        let Join { output, notes, failure, charge, .. } = joined;
        notes.into_values().for_each(|note| cx.notes(note));
        match failure {
            Some(failure) => Err(failure.error),
            None => Ok(Some(Batch { series: output.merged, charge })),
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

/// The "one" side, and what has come of the series of the "many" side that met it so far.
struct Join<'a> {
    node: &'a VectorVector,
    one: &'a [SeriesColumn],
    groups: Groups,
    one_groups: Vec<usize>,
    /// Indexes of the "one" series by group.
    one_by_group: Vec<Vec<usize>>,
    /// How many series of the "many" side have been seen.
    seen: usize,
    delayed: bool,
    /// One-to-one: at which steps a group has had its match.
    matched: Vec<Bits>,
    /// Many-to-one: at which steps a group has given a result of these labels.
    inserted: Vec<HashMap<Labels, Bits>>,
    output: Merger,
    charge: Charge,
    /// Memory of the output that `charge` does not know of yet.
    unpaid_bytes: usize,
    /// The last note of each step.
    notes: BTreeMap<usize, Annotations>,
    failure: Option<Failure>,
}

impl<'a> Join<'a> {
    fn new(node: &'a VectorVector, one: &'a [SeriesColumn], charge: Charge, cx: &Context<'_>) -> Self {
        let mut join = Join {
            node,
            one,
            groups: Groups::default(),
            one_groups: Vec::with_capacity(one.len()),
            one_by_group: Vec::new(),
            seen: 0,
            delayed: cx.settings.delayed_name_removal,
            matched: Vec::new(),
            inserted: Vec::new(),
            output: Merger::default(),
            charge,
            unpaid_bytes: 0,
            notes: BTreeMap::new(),
            failure: None,
        };
        for (index, series) in one.iter().enumerate() {
            let group = join.group(&series.labels);
            join.one_groups.push(group);
            join.one_by_group[group].push(index);
        }
        join
    }

    /// The number of the group of a series, which may be a new one.
    fn group(&mut self, labels: &Labels) -> usize {
        let group = self.groups.ordinal(labels, &self.node.matching);
        if group == self.one_by_group.len() {
            self.one_by_group.push(Vec::new());
            match self.node.matching.card {
                Cardinality::OneToOne => self.matched.push(Bits::none(self.node.steps)),
                _ => self.inserted.push(HashMap::default()),
            }
        }
        group
    }

    fn may_have_duplicates(&self) -> bool {
        self.one_by_group.iter().any(|group| group.len() > 1)
    }

    /// Joins a batch after the other: of the "many" side no more than that is in memory, besides what comes of it.
    fn join_stream(&mut self, many: &mut dyn Stream, cx: &Context<'_>) -> Result<(), QueryError> {
        while let Some(Batch { series, charge: _charge }) = many.next(cx)? {
            self.join_all(series, cx)?;
        }
        Ok(())
    }

    fn join_all(&mut self, many: Vec<SeriesColumn>, cx: &Context<'_>) -> Result<(), QueryError> {
        for series in many {
            self.join(series);
            cx.deadline.check()?;
        }
        self.charge.add(std::mem::take(&mut self.unpaid_bytes))
    }

    /// What nothing met on the "one" side, if that is filled in.
    fn fill(&mut self, cx: &Context<'_>) -> Result<(), QueryError> {
        let Some(fill) = self.node.matching.fill_lhs else { return Ok(()) };
        for index in 0..self.one.len() {
            self.fill_missing_many(index, fill);
            cx.deadline.check()?;
        }
        self.charge.add(std::mem::take(&mut self.unpaid_bytes))
    }

    fn fail(&mut self, step: usize, phase: u8, index: usize, error: impl FnOnce() -> QueryError) {
        let known = self.failure.as_ref().map(|f| (f.step, f.phase, f.index));
        if known.is_none_or(|known| (step, phase, index) < known) {
            self.failure = Some(Failure { step, phase, index, error: error() });
        }
    }

    /// No two series of a group may be on the "one" side in one step, unless the other side is empty there.
    fn check_one_side(&mut self, many: &[SeriesColumn], cx: &Context<'_>) -> Result<(), QueryError> {
        let any = |side: &[SeriesColumn]| {
            let mut any = Bits::none(self.node.steps);
            side.iter().for_each(|s| any.union(&s.column.present()));
            any
        };
        let has_fill = self.node.matching.fill_lhs.is_some() || self.node.matching.fill_rhs.is_some();
        let active = if has_fill { Bits::all(self.node.steps) } else { any(many) };
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
    fn join(&mut self, many: SeriesColumn) {
        let index = self.seen;
        self.seen += 1;
        let fill = self.node.matching.fill_rhs;
        let group = match fill {
            Some(_) => self.group(&many.labels),
            None => match self.groups.find(&many.labels, &self.node.matching) {
                Some(group) => group,
                None => return,
            },
        };
        let SeriesColumn { labels, column, .. } = many;
        let present = column.present();
        let common = |one: &SeriesColumn| {
            let mut both = one.column.present();
            both.intersect(&present);
            both
        };
        if let ([only], None) = (self.one_by_group[group].as_slice(), fill) {
            let one = &self.one[*only];
            let both = common(one);
            if both.any() {
                self.combine(index, group, (&labels, &one.labels), column, &one.column, &both);
            }
            return;
        }
        let mut unmatched = present.clone();
        for at in 0..self.one_by_group[group].len() {
            let one = &self.one[self.one_by_group[group][at]];
            let both = common(one);
            unmatched.subtract(&both);
            if both.any() {
                self.combine(index, group, (&labels, &one.labels), column.clone(), &one.column, &both);
            }
        }
        if let Some(fill) = fill.filter(|_| unmatched.any()) {
            let filled = signature(&labels, &self.node.matching);
            let one = Column::full(vec![fill; self.node.steps]);
            self.combine(index, group, (&labels, &filled), column, &one, &unmatched);
        }
    }

    /// A series of the "one" side, at the steps where nothing met it.
    fn fill_missing_many(&mut self, index: usize, fill: f64) {
        let one = &self.one[index];
        let group = self.one_groups[index];
        let mut missing = one.column.present();
        self.matched.get(group).into_iter().for_each(|steps| missing.subtract(steps));
        self.inserted.get(group).into_iter().flat_map(HashMap::values).for_each(|steps| missing.subtract(steps));
        if missing.any() {
            let labels = signature(&one.labels, &self.node.matching);
            let column = Column::full(vec![fill; self.node.steps]);
            self.combine(self.seen + index, group, (&labels, &one.labels), column, &one.column, &missing);
        }
    }

    /// The labels are those of the "many" side and of the other.
    fn combine(
        &mut self,
        index: usize,
        group: usize,
        (many_labels, one_labels): (&Labels, &Labels),
        many: Column,
        one: &Column,
        steps: &Bits,
    ) {
        let Computed { column, computed } = self.compute(many, one, steps);
        let drop_name = self.node.return_bool && !self.delayed;
        let labels = result_labels(self.node.op, &self.node.matching, many_labels, one_labels, drop_name);
        let twice = self.check_matches(index, group, &labels, &computed);
        if column.is_empty() || twice {
            return;
        }
        self.unpaid_bytes += column.bytes();
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

    /// The result at the given steps, at which both sides have a value. Floats take the place of those of the "many" side.
    fn compute(&mut self, mut many: Column, one: &Column, steps: &Bits) -> Computed {
        let op = self.node.op;
        let one_first = self.node.matching.card == Cardinality::OneToMany;
        if changes_metric(op) && many.histograms.is_empty() && one.histograms.is_empty() {
            arithmetic::arithmetic_columns(op, &mut many.values, &one.values, one_first);
            let column = Column { values: many.values, floats: steps.clone(), histograms: Vec::new() };
            return Computed { column, computed: steps.clone() };
        }
        let (a, b) = if one_first { (one, &many) } else { (&many, one) };
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
