//! `and`, `or`, `unless`.

use super::column::Bits;
use super::matching::Groups;
use super::merge::merge;
use super::{Batch, Context, SeriesColumn, Stream, collect, first_error};
use crate::ast::{BinaryOp, VectorMatching};
use crate::engine::QueryError;

/// A set operation.
pub(crate) struct SetOperation {
    pub(crate) op: BinaryOp,
    pub(crate) matching: VectorMatching,
    pub(crate) lhs: Box<dyn Stream>,
    pub(crate) rhs: Option<Box<dyn Stream>>,
    pub(crate) steps: usize,
    /// The left side need not be read where that changes nothing.
    pub(crate) may_skip: bool,
    present: Presence,
}

/// At which steps each match group has a series.
#[derive(Default)]
struct Presence {
    groups: Groups,
    steps: Vec<Bits>,
}

impl Presence {
    fn add(&mut self, series: &SeriesColumn, matching: &VectorMatching) {
        let group = self.groups.ordinal(&series.labels, matching);
        if group == self.steps.len() {
            self.steps.push(Bits::none(series.column.steps()));
        }
        self.steps[group].union(&series.column.present());
    }

    fn of(&mut self, series: &SeriesColumn, matching: &VectorMatching) -> Option<&Bits> {
        self.groups.find(&series.labels, matching).map(|group| &self.steps[group])
    }
}

impl SetOperation {
    pub(crate) fn new(
        op: BinaryOp,
        matching: VectorMatching,
        lhs: Box<dyn Stream>,
        rhs: Box<dyn Stream>,
        steps: usize,
        may_skip: bool,
    ) -> Self {
        SetOperation { op, matching, lhs, rhs: Some(rhs), steps, may_skip, present: Presence::default() }
    }

    fn or(&mut self, rhs: &mut dyn Stream, cx: &Context<'_>) -> Result<Batch, QueryError> {
        let mut all = collect(&mut *self.lhs, cx)?;
        all.series.iter().for_each(|s| self.present.add(s, &self.matching));
        while let Some(mut batch) = rhs.next(cx)? {
            for series in &mut batch.series {
                self.subtract(series);
            }
            all.series.extend(batch.series.into_iter().filter(|s| !s.column.is_empty()));
            all.charge.absorb(batch.charge);
        }
        all.series = merge(all.series, cx)?;
        Ok(all)
    }

    fn note_presence(&mut self, rhs: &mut dyn Stream, cx: &Context<'_>) -> Result<(), QueryError> {
        while let Some(batch) = rhs.next(cx)? {
            batch.series.iter().for_each(|s| self.present.add(s, &self.matching));
        }
        Ok(())
    }

    fn subtract(&mut self, series: &mut SeriesColumn) {
        if let Some(present) = self.present.of(series, &self.matching) {
            let mut keep = Bits::all(self.steps);
            keep.subtract(present);
            series.column.retain(&keep);
        }
    }

    fn intersect(&mut self, series: &mut SeriesColumn) {
        match self.present.of(series, &self.matching) {
            Some(present) => series.column.retain(present),
            None => series.column.retain(&Bits::none(self.steps)),
        }
    }
}

impl Stream for SetOperation {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, QueryError> {
        if self.op == BinaryOp::Or {
            let Some(mut rhs) = self.rhs.take() else { return Ok(None) };
            return self.or(&mut *rhs, cx).map(Some);
        }
        if let Some(mut rhs) = self.rhs.take() {
            self.note_presence(&mut *rhs, cx).map_err(|error| first_error(&mut *self.lhs, error, cx))?;
        }
        if self.may_skip && self.op == BinaryOp::And && self.present.steps.is_empty() {
            return Ok(None);
        }
        let Some(mut batch) = self.lhs.next(cx)? else { return Ok(None) };
        for series in &mut batch.series {
            if self.op == BinaryOp::And {
                self.intersect(series);
            } else {
                self.subtract(series);
            }
        }
        batch.series.retain(|s| !s.column.is_empty());
        Ok(Some(batch))
    }
}
