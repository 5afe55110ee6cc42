//! Which series of two vectors belong together, and what their result is called.

use thanoxide_model::Labels;

use super::arithmetic::changes_metric;
use super::label_sets::LabelSets;
use crate::ast::{BinaryOp, Cardinality, VectorMatching};

/// Numbers the match groups.
#[derive(Default)]
pub(crate) struct Groups {
    sets: LabelSets,
}

impl Groups {
    /// The number of the group of these labels; numbers are given out from 0 on.
    pub(crate) fn ordinal(&mut self, labels: &Labels, matching: &VectorMatching) -> usize {
        self.sets.number_picked(|into| labels.filter_into(into, |name| is_matched(name, matching))).0
    }

    /// The number of the group of these labels, if there is one.
    pub(crate) fn find(&mut self, labels: &Labels, matching: &VectorMatching) -> Option<usize> {
        self.sets.find_picked(|into| labels.filter_into(into, |name| is_matched(name, matching)))
    }
}

/// The labels that series of one match group share.
pub(crate) fn signature(labels: &Labels, matching: &VectorMatching) -> Labels {
    labels.filter(|name| is_matched(name, matching))
}

/// Whether a label is among those that series of one match group share.
pub(crate) fn is_matched(name: &[u8], matching: &VectorMatching) -> bool {
    is_listed(name, &matching.labels) == matching.on && (matching.on || name != b"__name__")
}

fn is_listed(name: &[u8], list: &[String]) -> bool {
    list.iter().any(|l| l.as_bytes() == name)
}

/// The labels of a result. `many` is the side that may have several series, `one` the other.
pub(crate) fn result_labels(
    op: BinaryOp,
    matching: &VectorMatching,
    many: &Labels,
    one: &Labels,
    drop_name: bool,
) -> Labels {
    let drops = drop_name || changes_metric(op);
    let one_to_one = matching.card == Cardinality::OneToOne;
    let base = many.filter(|name| {
        let described = drops && (name == b"__name__" || name == b"__type__" || name == b"__unit__");
        !described && (!one_to_one || is_listed(name, &matching.labels) == matching.on)
    });
    let include = |labels: Labels, name: &String| labels.with(name.as_bytes(), one.value(name));
    matching.include.iter().fold(base, include)
}
