//! Several replicas' samples folded into one row.

use thanoxide_model::series::Columns;

use crate::chain::chain;
use crate::penalty::penalty;

/// How replicas are folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deduplication {
    /// One replica at a time; a change to another one only after a gap. For replicas that scrape on their own.
    Penalty,
    /// As [`Self::Penalty`], and where the change makes a float fall, the later samples are raised by the difference, for
    /// functions that would take it for a counter reset.
    PenaltyCounter,
    /// All samples of all replicas; of equal times one sample. For copies of one stream of writes.
    Chain,
}

impl Deduplication {
    /// The penalty algorithm in the variant that a PromQL function wants (that of the innermost call around a selector).
    pub fn penalty_for(function: &str) -> Self {
        match function {
            "increase" | "rate" | "irate" | "resets" => Deduplication::PenaltyCounter,
            _ => Deduplication::Penalty,
        }
    }
}

/// Appends the samples of all replicas, each sorted by time, to `into`, in time order. A single replica is taken as it is.
pub fn deduplicate(replicas: &[Columns], how: Deduplication, into: &mut Columns) {
    let replicas: Vec<&Columns> = replicas.iter().filter(|replica| !replica.is_empty()).collect();
    if let Some(whole) = whole_answer(&replicas, how) {
        return append(whole, into);
    }
    match (replicas.as_slice(), how) {
        ([], _) => {}
        ([replica], _) => append(replica, into),
        (replicas, Deduplication::Penalty) => penalty(replicas, false, into),
        (replicas, Deduplication::PenaltyCounter) => penalty(replicas, true, into),
        (replicas, Deduplication::Chain) => chain(replicas, into),
    }
}

/// The replica that the answer is the same as, where that is seen at a glance: the first where all are equal, and of chained ones the fullest where
/// it has every sample of the others. Copies of one stream of writes are mostly so.
fn whole_answer<'a>(replicas: &[&'a Columns], how: Deduplication) -> Option<&'a Columns> {
    let fullest = replicas.iter().copied().reduce(|fullest, replica| match replica.len() > fullest.len() {
        true => replica,
        false => fullest,
    })?;
    let is_enough = |replica: &Columns| how == Deduplication::Chain || replica.len() == fullest.len();
    let are_within = replicas.len() > 1 && replicas.iter().all(|r| is_enough(r) && has_floats_of(fullest, r));
    are_within.then_some(fullest)
}

/// Whether every sample of `other` is there, to the bit. Only floats without start times are looked at: whatever has more is not.
fn has_floats_of(columns: &Columns, other: &Columns) -> bool {
    let is_plain = |c: &Columns| c.histograms.is_empty() && c.start_timestamps_ms.is_empty();
    if !is_plain(columns) || !is_plain(other) {
        return false;
    }
    let mut all = float_bits(columns);
    // Both are in order of time: what is passed is not looked for.
    float_bits(other).all(|sample| all.find(|one| one.0 >= sample.0) == Some(sample))
}

fn float_bits(columns: &Columns) -> impl Iterator<Item = (i64, u64)> {
    std::iter::zip(&columns.timestamps_ms, &columns.values).map(|(t, v)| (*t, v.to_bits()))
}

/// Appends all samples. Columns of start times stay empty as long as none is known.
pub(crate) fn append(from: &Columns, into: &mut Columns) {
    append_starts(
        &mut into.start_timestamps_ms,
        into.timestamps_ms.len(),
        &from.start_timestamps_ms,
        from.values.len(),
    );
    append_starts(
        &mut into.histogram_start_timestamps_ms,
        into.histograms.len(),
        &from.histogram_start_timestamps_ms,
        from.histograms.len(),
    );
    into.timestamps_ms.extend_from_slice(&from.timestamps_ms);
    into.values.extend_from_slice(&from.values);
    into.histogram_timestamps_ms.extend_from_slice(&from.histogram_timestamps_ms);
    into.histograms.extend_from_slice(&from.histograms);
}

fn append_starts(to: &mut Vec<i64>, samples_before: usize, from: &[i64], samples: usize) {
    if !to.is_empty() || !from.is_empty() {
        to.resize(samples_before, 0);
        to.extend_from_slice(from);
        to.resize(samples_before + samples, 0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Copies of one stream of which some lack samples, and one of which may have another value.
    fn copies() -> impl Strategy<Value = Vec<Columns>> {
        let copy = |lacks: Vec<bool>, other: Option<usize>| {
            let mut columns = Columns::default();
            for (i, _) in lacks.iter().enumerate().filter(|(_, lacks)| !**lacks) {
                columns.push(i as i64 * 7_000, if Some(i) == other { -1.0 } else { i as f64 });
            }
            columns
        };
        let lacks = prop_oneof![Just(vec![false; 30]), prop::collection::vec(prop::bool::weighted(0.1), 30)];
        prop::collection::vec((lacks, prop::option::weighted(0.2, 0usize..40)), 2..5)
            .prop_map(move |copies| copies.into_iter().map(|(lacks, other)| copy(lacks, other)).collect())
    }

    proptest! {
        #[test]
        fn what_is_seen_at_a_glance_is_what_folding_gives(copies in copies()) {
            let all: Vec<&Columns> = copies.iter().collect();
            for how in [Deduplication::Penalty, Deduplication::PenaltyCounter, Deduplication::Chain] {
                let Some(whole) = whole_answer(&all, how) else { continue };
                let mut folded = Columns::default();
                match how {
                    Deduplication::Chain => chain(&all, &mut folded),
                    _ => penalty(&all, how == Deduplication::PenaltyCounter, &mut folded),
                }
                prop_assert_eq!(&folded.timestamps_ms, &whole.timestamps_ms);
                prop_assert_eq!(&folded.values, &whole.values);
            }
        }
    }

    #[test]
    fn copies_are_seen_at_a_glance() {
        let of = |times: &[i64]| {
            let mut columns = Columns::default();
            times.iter().for_each(|t| columns.push(*t, *t as f64));
            columns
        };
        let (whole, gap, more) = (of(&[1, 2, 3, 4]), of(&[1, 4]), of(&[1, 5]));
        let seen = |replicas: &[&Columns], how| whole_answer(replicas, how).map(|columns| columns.len());
        assert_eq!(seen(&[&gap, &whole, &whole], Deduplication::Chain), Some(4));
        assert_eq!(seen(&[&gap, &whole, &more], Deduplication::Chain), None);
        assert_eq!(seen(&[&whole, &whole], Deduplication::Penalty), Some(4));
        assert_eq!(seen(&[&whole, &gap], Deduplication::Penalty), None);
        assert_eq!(seen(&[&whole], Deduplication::Chain), None);
    }
}
