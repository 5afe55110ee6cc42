//! What every store has to hold to, as a function: fill a store with [`Dataset::standard`] and hand it to [`run`].
//!
//! The rules are those of the StoreAPI (see [`crate::store::Store`]); each has a function of its own, whose name is in the
//! error. A store may answer chunks beyond the asked range, may cut a series into pieces, and may cut its samples into
//! chunks as it likes.

mod dataset;
mod labels;
mod series;

use thiserror::Error;

pub use dataset::Dataset;

use crate::Store;

/// A rule that does not hold.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("{rule}: {fault}")]
pub struct Violation {
    /// The rule.
    pub rule: &'static str,
    /// How it does not hold.
    pub fault: String,
}

/// Outcome of one rule.
pub(crate) type Check = Result<(), String>;

/// Fails with a text unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err(format!($($text)+));
        }
    };
}
pub(crate) use ensure;

/// Checks all rules against a store that was filled with the data set; the first one that does not hold ends it.
pub async fn run(store: &dyn Store, data: &Dataset) -> Result<(), Violation> {
    macro_rules! check {
        ($($module:ident :: $rule:ident)*) => {
            $($module::$rule(store, data).await.map_err(|fault| Violation { rule: stringify!($rule), fault })?;)*
        };
    }
    check!(
        series::all_series_are_sorted_and_whole
        series::external_labels_win
        series::matchers_select
        series::mismatch_of_external_labels_is_empty
        series::time_range_selects
        series::skip_chunks_leaves_labels
        series::sorted_after_replica_labels_are_removed
        series::limit_bounds_series
        series::shards_cover_everything_once
        labels::names_are_sorted_and_unique
        labels::names_follow_matchers
        labels::names_without_replica_labels
        labels::values_are_sorted_and_unique
        labels::values_of_external_labels
        labels::values_of_removed_labels_are_empty
        labels::empty_label_has_no_values
        labels::limits_bound_labels
        series::info_covers_the_data
    );
    Ok(())
}
