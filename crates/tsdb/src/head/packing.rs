//! The series of a batch on their way to the head: their labels checked and packed, their hashes, where they are found.
//!
//! Some are prepared at a time, and what the head has of them is looked at before the first sample is taken: so loads that
//! no cache answers run side by side. Labels are packed as [`Labels`](thanoxide_model::Labels) does it, without those of
//! empty value.

use std::cmp::Ordering;
use std::ops::Range;

use thanoxide_model::labels::{MAX_LABEL_BYTES, push_packed};
use thanoxide_model::write_batch::{SeriesSpan, TextSpan};
use thanoxide_model::{Verdict, WriteBatch};

use super::labels::{Ahead, LabelsAhead};
use super::{Head, Slot, replay};
use crate::wal::record::SeriesRef;

/// So many series are prepared at a time.
pub(super) const RUN: usize = 32;
/// Texts up to this are copied as a whole array of this length, which takes no call.
const SHORT: usize = 32;

/// A series of a batch.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    /// Its labels in the buffer.
    pub(super) packed: Range<usize>,
    pub(super) hash: u128,
    /// Where it is, if the head had it when it was prepared.
    pub(super) place: Option<(Slot, SeriesRef)>,
    /// Why none of its samples can be taken.
    pub(super) refused: Option<Verdict>,
    /// Where its labels are noted, if the head did not have it.
    ahead: usize,
    /// The hash of the series noted before.
    after: u128,
}

/// Some series of a batch, and the buffer of their labels.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) packed: Vec<u8>,
    pub(super) series: Vec<Prepared>,
    ahead: LabelsAhead,
}

/// A series that is not there yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewSeries<'r> {
    pub(super) hash: u128,
    /// Its labels.
    pub(super) packed: &'r [u8],
    /// What is noted of them, and of others behind.
    pub(super) ahead: &'r [Ahead],
    /// The hash of the series noted before.
    pub(super) after: u128,
}

impl Prepared {
    /// A series with labels of this hash, at a place of a run's buffer.
    pub(super) fn new(packed: Range<usize>, hash: u128, refused: Option<Verdict>) -> Self {
        Prepared { packed, hash, place: None, refused, ahead: 0, after: 0 }
    }
}

impl Run {
    pub(super) fn clear(&mut self) {
        self.packed.clear();
        self.series.clear();
    }

    pub(super) fn new_series(&self, prepared: &Prepared) -> NewSeries<'_> {
        let Prepared { hash, after, .. } = *prepared;
        let packed = &self.packed[prepared.packed.clone()];
        NewSeries { hash, packed, ahead: self.ahead.from(prepared.ahead), after }
    }
}

impl Head {
    /// Prepares some series.
    pub(super) fn prepare(&self, batch: &WriteBatch, spans: &[SeriesSpan], run: &mut Run) {
        run.clear();
        for span in spans {
            let start = run.packed.len();
            let refused = pack_labels(batch, span, &mut run.packed).err();
            let packed = start..run.packed.len();
            let hash = self.hash(&run.packed[packed.clone()]);
            run.series.push(Prepared::new(packed, hash, refused));
        }
        for series in &mut run.series {
            series.place = self.place_of(series.hash);
        }
        let places = run.series.iter().filter_map(|series| series.place);
        replay::warm(places.filter_map(|(slot, _)| self.slab.get(slot)));
        self.look_ahead(run);
    }

    /// Notes the labels of the series that are not there.
    pub(super) fn look_ahead(&self, run: &mut Run) {
        let Run { packed, series, ahead } = run;
        ahead.clear();
        let mut before: Option<&Prepared> = None;
        for new in series.iter_mut().filter(|series| series.place.is_none() && series.refused.is_none()) {
            new.ahead = ahead.len();
            new.after = before.map_or(0, |before| before.hash);
            let of_before = before.map_or(0..0, |before| before.packed.clone());
            self.labels.note_ahead(&packed[new.packed.clone()], &packed[of_before], ahead);
            before = Some(new);
        }
        if before.is_some() {
            self.labels.warm(ahead);
        }
    }

    /// Looks where the series will be looked for, all at once, so that the waiting for memory is done together.
    pub(super) fn glance_at(&self, run: &Run) {
        let glance = |seen, series: &Prepared| seen ^ self.table.glance(series.hash as u32);
        std::hint::black_box(run.series.iter().fold(0, glance));
    }

    /// Where a series is.
    pub(super) fn place_of(&self, hash: u128) -> Option<(Slot, SeriesRef)> {
        self.find(hash).and_then(|slot| Some((slot, self.slab.get(slot)?.series_ref())))
    }
}

/// Checks the labels of a series and appends them, packed.
fn pack_labels(batch: &WriteBatch, span: &SeriesSpan, packed: &mut Vec<u8>) -> Result<(), Verdict> {
    let text: &[u8] = &batch.text;
    let start = packed.len();
    let mut last: Option<(u64, TextSpan)> = None;
    for label in &batch.labels[span.labels.start as usize..span.labels.end as usize] {
        let (name, value) = (label.name, label.value);
        if name.len == 0 {
            return Err(Verdict::EmptyLabelName);
        }
        if name.len as usize > MAX_LABEL_BYTES || value.len as usize > MAX_LABEL_BYTES {
            return Err(Verdict::LabelTooLong);
        }
        let begins = beginning(text, name);
        let order = last.map(|(before, last)| match before.cmp(&begins) {
            Ordering::Equal => batch.text(last).cmp(batch.text(name)),
            order => order,
        });
        match order {
            Some(Ordering::Equal) => return Err(Verdict::DuplicateLabel),
            Some(Ordering::Greater) => return Err(Verdict::UnsortedLabels),
            _ => last = Some((begins, name)),
        }
        if value.len > 0 {
            push_text(packed, batch, name);
            push_text(packed, batch, value);
        }
    }
    if packed.len() == start { Err(Verdict::EmptyLabels) } else { Ok(()) }
}

/// The first eight bytes of a text as a number that orders as they do, zeros where it is shorter.
#[inline]
fn beginning(text: &[u8], span: TextSpan) -> u64 {
    let (start, len) = (span.start as usize, span.len as usize);
    match text.get(start..).and_then(|rest| rest.first_chunk::<8>()) {
        Some(bytes) if len >= 8 => u64::from_be_bytes(*bytes),
        Some(bytes) => u64::from_be_bytes(*bytes) & !(u64::MAX >> (8 * len)),
        // The end of the buffer.
        None => {
            text[start..start + len].iter().take(8).enumerate().fold(0, |n, (i, b)| n | u64::from(*b) << (56 - 8 * i))
        }
    }
}

/// As [`push_packed`], most texts without a call.
#[inline]
fn push_text(packed: &mut Vec<u8>, batch: &WriteBatch, span: TextSpan) {
    let (start, len) = (span.start as usize, span.len as usize);
    match batch.text.get(start..).and_then(|rest| rest.first_chunk::<SHORT>()) {
        Some(bytes) if len <= SHORT => {
            packed.push(len as u8);
            packed.extend_from_slice(bytes);
            packed.truncate(packed.len() - SHORT + len);
        }
        _ => push_packed(packed, batch.text(span)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use thanoxide_model::Labels;
    use thanoxide_model::write_batch::{LabelSpan, WriteBatchBuilder};

    use super::*;

    fn batch(labels: &[(Vec<u8>, Vec<u8>)]) -> WriteBatch {
        let (mut text, mut batch) = (Vec::new(), WriteBatch::default());
        let mut push = |bytes: &[u8]| {
            let span = TextSpan { start: text.len() as u32, len: bytes.len() as u32 };
            text.extend_from_slice(bytes);
            span
        };
        batch.labels.extend(labels.iter().map(|(name, value)| LabelSpan { name: push(name), value: push(value) }));
        batch.series.push(SeriesSpan { labels: 0..labels.len() as u32, ..SeriesSpan::default() });
        batch.text = text.into();
        batch
    }

    proptest! {
        #[test]
        fn labels_are_packed_as_elsewhere(
            labels in proptest::collection::vec(
                (proptest::collection::vec(0u8..3, 0..12), proptest::collection::vec(any::<u8>(), 0..300)), 0..7),
            sorted: bool,
        ) {
            let mut labels = labels;
            if sorted {
                labels.sort();
                labels.dedup_by(|a, b| a.0 == b.0);
            }
            let batch = batch(&labels);
            let mut packed = b"before".to_vec();
            let got = pack_labels(&batch, &batch.series[0], &mut packed);
            let mut want = if labels.iter().all(|(_, v)| v.is_empty()) { Err(Verdict::EmptyLabels) } else { Ok(()) };
            for place in (0..labels.len()).rev() {
                let order = place.checked_sub(1).map_or(Ordering::Less, |before| labels[before].0.cmp(&labels[place].0));
                want = match order {
                    _ if labels[place].0.is_empty() => Err(Verdict::EmptyLabelName),
                    Ordering::Less => want,
                    Ordering::Equal => Err(Verdict::DuplicateLabel),
                    Ordering::Greater => Err(Verdict::UnsortedLabels),
                };
            }
            prop_assert_eq!(got, want);
            if want.is_ok() {
                let kept = labels.iter().filter(|(_, value)| !value.is_empty());
                let all = Labels::from_sorted(kept.map(|(name, value)| (name.as_slice(), value.as_slice())));
                prop_assert_eq!(&packed[6..], all.as_packed());
            }
        }
    }

    #[test]
    fn a_builder_gives_what_is_packed_back() {
        let labels = Labels::from_pairs([("__name__", "up".to_string()), ("job", "x".repeat(400))]);
        let mut builder = WriteBatchBuilder::default();
        builder.push(&labels, &[]);
        let (batch, mut packed) = (builder.build(), Vec::new());
        pack_labels(&batch, &batch.series[0], &mut packed).unwrap();
        assert_eq!(packed, labels.as_packed());
    }
}
