//! Labels while rules work on them.

use std::borrow::Cow;

/// A label under change: its name and its value.
pub type Pair<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

/// The labels of a series: borrowed from where they came, until a rule sets one.
#[derive(Debug)]
pub struct LabelEdit<'a> {
    pairs: Vec<Pair<'a>>,
    changed: bool,
}

impl<'a> LabelEdit<'a> {
    /// Labels as they came.
    pub fn new(pairs: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let borrow = |(name, value): (&'a [u8], &'a [u8])| (Cow::Borrowed(name), Cow::Borrowed(value));
        LabelEdit { pairs: pairs.into_iter().map(borrow).collect(), changed: false }
    }

    /// The value of a label, empty where it is absent.
    pub fn get(&self, name: &[u8]) -> &[u8] {
        self.pairs.iter().find(|(n, _)| **n == *name).map_or(&[], |(_, value)| value)
    }

    /// Sets a label; an empty value removes it.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        if value.is_empty() {
            return self.retain(|other| other != name);
        }
        match self.pairs.iter_mut().find(|(n, _)| **n == *name) {
            Some((_, old)) if **old == *value => {}
            Some((_, old)) => {
                *old = Cow::Owned(value.to_vec());
                self.changed = true;
            }
            None => {
                self.pairs.push((Cow::Owned(name.to_vec()), Cow::Owned(value.to_vec())));
                self.changed = true;
            }
        }
    }

    /// Keeps the labels whose names `keep` accepts.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8]) -> bool) {
        let before = self.pairs.len();
        self.pairs.retain(|(name, _)| keep(name));
        self.changed |= self.pairs.len() != before;
    }

    /// The labels of this moment.
    pub(super) fn pairs(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.pairs.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
    }

    /// The labels, sorted by name, if a rule changed them.
    pub fn into_changed(mut self) -> Option<Vec<Pair<'a>>> {
        self.pairs.sort_by(|a, b| a.0.cmp(&b.0));
        self.changed.then_some(self.pairs)
    }
}
