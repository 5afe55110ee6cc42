//! Which values of a name a pattern takes, kept between queries: only values that came since are looked at again.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use roaring::RoaringBitmap;
use thanoxide_model::regexp::Regexp;

use super::labels::{LabelPairs, Name, Pair};
use super::texts::Place;

/// Names with fewer values are looked at anew.
const WORTH_VALUES: usize = 512;
/// As many patterns are kept.
const MAX_VERDICTS: usize = 64;

#[derive(Debug)]
struct Verdict {
    name: Name,
    pattern: Box<[u8]>,
    /// Values from here on are not judged yet.
    end: Place,
    taken: Arc<RoaringBitmap>,
}

/// The verdicts used last, the newest at the end.
#[derive(Debug, Default)]
pub(crate) struct Verdicts(Mutex<VecDeque<Verdict>>);

impl Verdicts {
    /// The labels of a name whose values a pattern takes.
    pub(crate) fn taken(&self, labels: &LabelPairs, name: Name, regexp: &Regexp) -> Arc<RoaringBitmap> {
        let worth = labels.values(name).len() >= WORTH_VALUES;
        let known = if worth { self.remove(name, regexp.pattern()) } else { None };
        let (from, taken) = known.map_or_else(Default::default, |known| (known.end, known.taken));
        let taken = judge(labels, name, regexp, from, taken);
        if worth {
            let (pattern, end) = (Box::from(regexp.pattern()), labels.values(name).end());
            self.keep(Verdict { name, pattern, end, taken: Arc::clone(&taken) });
        }
        taken
    }

    /// Whether [`Verdicts::taken`] has little to do.
    pub(crate) fn knows(&self, name: Name, regexp: &Regexp) -> bool {
        self.0.lock().iter().any(|verdict| verdict.name == name && *verdict.pattern == *regexp.pattern())
    }

    fn remove(&self, name: Name, pattern: &[u8]) -> Option<Verdict> {
        let mut verdicts = self.0.lock();
        let at = verdicts.iter().position(|verdict| verdict.name == name && *verdict.pattern == *pattern)?;
        verdicts.remove(at)
    }

    fn keep(&self, verdict: Verdict) {
        let mut verdicts = self.0.lock();
        if verdicts.len() == MAX_VERDICTS {
            verdicts.pop_front();
        }
        verdicts.push_back(verdict);
    }

    /// Forgets labels whose numbers may be given again, and names that are gone.
    pub(crate) fn forget(&mut self, gone: &RoaringBitmap, labels: &LabelPairs) {
        let verdicts = self.0.get_mut();
        verdicts.retain(|verdict| labels.values(verdict.name).len() >= WORTH_VALUES);
        verdicts.iter_mut().for_each(|verdict| *Arc::make_mut(&mut verdict.taken) -= gone);
    }
}

fn judge(
    labels: &LabelPairs,
    name: Name,
    regexp: &Regexp,
    from: Place,
    mut taken: Arc<RoaringBitmap>,
) -> Arc<RoaringBitmap> {
    let values = labels.values(name);
    if from == values.end() {
        return taken;
    }
    let mut found: Vec<Pair> = Vec::new();
    let mut judge = |pair, value: &[u8]| found.extend(regexp.is_match(value).then_some(pair));
    match regexp.required() {
        Some(literal) => values.with_literal(from, literal, &mut judge),
        None => values.iter_from(from).for_each(|(pair, value)| judge(pair, value)),
    }
    if !found.is_empty() {
        found.sort_unstable();
        *Arc::make_mut(&mut taken) |= RoaringBitmap::from_sorted_iter(found).unwrap_or_default();
    }
    taken
}
