//! What holds for every fold, whatever the samples.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use thanoxide_model::FloatHistogram;
use thanoxide_model::series::Columns;
use thanoxide_series::{Deduplication, deduplicate};

/// Up to five replicas; samples have the time as value, every third one is a histogram.
fn replicas() -> impl Strategy<Value = Vec<Columns>> {
    let times = prop::collection::btree_set(-40_000..40_000i64, 0..40);
    prop::collection::vec((times, any::<bool>()), 0..6).prop_map(|replicas| replicas.into_iter().map(columns).collect())
}

fn columns((times, with_starts): (BTreeSet<i64>, bool)) -> Columns {
    let mut columns = Columns::default();
    for time_ms in times {
        match time_ms % 3 {
            0 => columns.push_histogram(time_ms, Arc::new(FloatHistogram::default())),
            _ => columns.push(time_ms, time_ms as f64),
        }
    }
    if with_starts {
        columns.start_timestamps_ms = columns.timestamps_ms.iter().map(|t| t - 1).collect();
        columns.histogram_start_timestamps_ms = columns.histogram_timestamps_ms.iter().map(|t| t - 1).collect();
    }
    columns
}

fn times(columns: &Columns) -> BTreeSet<i64> {
    columns.timestamps_ms.iter().chain(&columns.histogram_timestamps_ms).copied().collect()
}

proptest! {
    #[test]
    fn folds_are_sorted_and_made_of_the_replicas(replicas in replicas()) {
        let all: BTreeSet<i64> = replicas.iter().flat_map(times).collect();
        for how in [Deduplication::Penalty, Deduplication::PenaltyCounter, Deduplication::Chain] {
            let mut folded = Columns::default();
            deduplicate(&replicas, how, &mut folded);
            prop_assert!(folded.timestamps_ms.is_sorted_by(|a, b| a < b));
            prop_assert!(folded.histogram_timestamps_ms.is_sorted_by(|a, b| a < b));
            prop_assert_eq!(times(&folded).len(), folded.len());
            prop_assert!(times(&folded).is_subset(&all));
            prop_assert_eq!(all.first().copied(), times(&folded).first().copied());
            if how == Deduplication::Chain {
                prop_assert_eq!(times(&folded), all.clone());
            }
            if how != Deduplication::PenaltyCounter {
                prop_assert!(folded.timestamps_ms.iter().zip(&folded.values).all(|(t, v)| *t as f64 == *v));
            }
            for (starts, times) in [
                (&folded.start_timestamps_ms, &folded.timestamps_ms),
                (&folded.histogram_start_timestamps_ms, &folded.histogram_timestamps_ms),
            ] {
                prop_assert!(starts.is_empty() || starts.len() == times.len());
                prop_assert!(starts.iter().zip(times).all(|(start, time)| *start == 0 || start + 1 == *time));
            }
        }
    }

    #[test]
    fn many_replicas_fold_like_few(replica in prop::collection::btree_set(0..900_000i64, 1..60)) {
        let replica = columns((replica, false));
        let mut folded = Columns::default();
        deduplicate(&vec![replica.clone(); 150], Deduplication::Penalty, &mut folded);
        prop_assert_eq!(folded.timestamps_ms, replica.timestamps_ms);
    }
}
