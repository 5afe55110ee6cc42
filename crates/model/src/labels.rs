//! A set of labels: what names a series.
//!
//! Layout of the packed form (the same bytes as Prometheus's `stringlabels` build, so that [`Labels::hash`] agrees
//! with its `Labels.Hash`): for each label, sorted by name, `len(name) name len(value) value`, where a length below
//! 255 is one byte and any other is `0xFF` and three bytes, little-endian. Lengths end at 16 MiB - 1.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use xxhash_rust::xxh64::xxh64;

use crate::METRIC_NAME;

/// The longest name or value that the packed form can hold.
pub const MAX_LABEL_BYTES: usize = (1 << 24) - 1;

/// A sorted set of labels, cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Labels {
    packed: Arc<[u8]>,
}

impl Default for Labels {
    fn default() -> Self {
        Labels::empty()
    }
}

impl Labels {
    /// The empty set.
    pub fn empty() -> Self {
        Labels { packed: Arc::from([].as_slice()) }
    }

    /// From pairs in any order; empty values are dropped and the last of equal names wins.
    pub fn from_pairs<N: AsRef<[u8]>, V: AsRef<[u8]>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut builder = LabelsBuilder::default();
        for (name, value) in pairs {
            builder.set(name, value);
        }
        builder.build()
    }

    /// From pairs that are already strictly sorted by name and have no empty value (checked in debug builds).
    pub fn from_sorted<'a>(pairs: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        Labels::from_sorted_in(&mut Vec::with_capacity(256), pairs)
    }

    /// The same, by way of a buffer that many sets can share; what it holds is given up.
    pub fn from_sorted_in<'a>(packed: &mut Vec<u8>, pairs: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        packed.clear();
        let mut last: Option<&[u8]> = None;
        for (name, value) in pairs {
            debug_assert!(last.is_none_or(|l| l < name), "labels out of order");
            debug_assert!(!value.is_empty(), "empty label value");
            last = Some(name);
            push_packed(packed, name);
            push_packed(packed, value);
        }
        Labels { packed: Arc::from(packed.as_slice()) }
    }

    /// The packed form (see the module's head).
    pub fn as_packed(&self) -> &[u8] {
        &self.packed
    }

    /// Name and value of each label in bytes that [`push_packed`] made.
    pub fn iter_packed(packed: &[u8]) -> LabelsIter<'_> {
        LabelsIter { rest: packed }
    }

    /// Name and value of each label, sorted by name.
    pub fn iter(&self) -> LabelsIter<'_> {
        LabelsIter { rest: &self.packed }
    }

    /// The value of a label, `None` where it is absent.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        let name = name.as_ref();
        self.iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    /// The value of a label, empty where it is absent, as PromQL sees it.
    pub fn value(&self, name: impl AsRef<[u8]>) -> &[u8] {
        self.get(name).unwrap_or_default()
    }

    /// The metric name, empty where there is none.
    pub fn metric_name(&self) -> &[u8] {
        self.value(METRIC_NAME)
    }

    /// How many labels there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.packed.is_empty()
    }

    /// Prometheus's `Labels.Hash` in its default build: xxhash64 of the packed form.
    pub fn hash(&self) -> u64 {
        xxh64(&self.packed, 0)
    }

    /// Prometheus's `StableHash`: xxhash64 over `name 0xFF value 0xFF …`. Shards and rings use it.
    pub fn stable_hash(&self) -> u64 {
        let mut bytes = Vec::with_capacity(self.packed.len() + 16);
        for (name, value) in self.iter() {
            push_separated(&mut bytes, name, value);
        }
        xxh64(&bytes, 0)
    }

    /// The labels whose names `keep` accepts.
    pub fn filter(&self, mut keep: impl FnMut(&[u8]) -> bool) -> Labels {
        let mut pairs = self.iter();
        loop {
            let before = pairs.rest.len();
            match pairs.next() {
                None => return self.clone(),
                Some((name, _)) if keep(name) => {}
                Some(_) => {
                    let mut packed = Vec::with_capacity(self.packed.len());
                    packed.extend_from_slice(&self.packed[..self.packed.len() - before]);
                    push_kept(pairs, &mut packed, keep);
                    return Labels { packed: Arc::from(packed) };
                }
            }
        }
    }

    /// Appends the packed form of what [`Labels::filter`] gives.
    pub fn filter_into(&self, packed: &mut Vec<u8>, keep: impl FnMut(&[u8]) -> bool) {
        push_kept(self.iter(), packed, keep);
    }

    /// From bytes that [`Labels::filter_into`] made.
    pub fn from_packed(packed: &[u8]) -> Labels {
        Labels { packed: Arc::from(packed) }
    }

    /// With one label set; an empty value removes it.
    pub fn with(&self, name: &[u8], value: &[u8]) -> Labels {
        let (mut pairs, mut behind) = (self.iter(), self.iter());
        let mut smaller = 0;
        while pairs.next().is_some_and(|(known, _)| known < name) {
            smaller = self.packed.len() - pairs.rest.len();
            behind = pairs.clone();
        }
        let rest = behind.rest;
        let rest = match behind.next() {
            Some((known, _)) if known == name => behind.rest,
            _ => rest,
        };
        let mut packed = Vec::with_capacity(self.packed.len() + name.len() + value.len() + 8);
        packed.extend_from_slice(&self.packed[..smaller]);
        if !value.is_empty() {
            push_packed(&mut packed, name);
            push_packed(&mut packed, value);
        }
        packed.extend_from_slice(rest);
        Labels { packed: Arc::from(packed) }
    }

    /// Without the named labels.
    pub fn without<S: AsRef<[u8]>>(&self, names: &[S]) -> Labels {
        self.filter(|n| !names.iter().any(|x| x.as_ref() == n))
    }

    /// The named labels only.
    pub fn only<S: AsRef<[u8]>>(&self, names: &[S]) -> Labels {
        self.filter(|n| names.iter().any(|x| x.as_ref() == n))
    }

    /// `self` with every label of `over` set; `over` wins, as external labels do.
    pub fn overlay(&self, over: &Labels) -> Labels {
        if over.is_empty() {
            return self.clone();
        }
        let mut builder = LabelsBuilder::from(self);
        for (name, value) in over.iter() {
            builder.set(name, value);
        }
        builder.build()
    }
}

/// Appends the labels whose names `keep` accepts, packed as they are.
fn push_kept(mut pairs: LabelsIter<'_>, packed: &mut Vec<u8>, mut keep: impl FnMut(&[u8]) -> bool) {
    loop {
        let before = pairs.rest;
        let Some((name, _)) = pairs.next() else { return };
        if keep(name) {
            packed.extend_from_slice(&before[..before.len() - pairs.rest.len()]);
        }
    }
}

/// Appends `name 0xFF value 0xFF`, the form that Thanos's and Prometheus's stable hashes read.
pub fn push_separated(bytes: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    bytes.extend_from_slice(name);
    bytes.push(0xff);
    bytes.extend_from_slice(value);
    bytes.push(0xff);
}

impl Ord for Labels {
    /// Prometheus's order: pairwise by name, then value, bytewise; a prefix comes first.
    fn cmp(&self, other: &Self) -> Ordering {
        let (left, right) = (&*self.packed, &*other.packed);
        let common = common_prefix(left, right);
        // Labels that lie in the common bytes are equal; only the first other one decides.
        let mut at = 0;
        while at < common {
            let next = at + pair_bytes(&left[at..]);
            if next > common {
                break;
            }
            at = next;
        }
        compare_pairs(Labels::iter_packed(&left[at..]), Labels::iter_packed(&right[at..]))
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// How many bytes two slices begin with alike.
fn common_prefix(left: &[u8], right: &[u8]) -> usize {
    let (a, b) = (left.as_chunks::<16>().0, right.as_chunks::<16>().0);
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count() * 16;
    same + left[same..].iter().zip(&right[same..]).take_while(|(a, b)| a == b).count()
}

/// What the first label of a packed form takes.
fn pair_bytes(packed: &[u8]) -> usize {
    let (_, rest) = split_packed(packed);
    let (_, rest) = split_packed(rest);
    packed.len() - rest.len()
}

/// Prometheus's order over label pairs from anywhere.
pub fn compare_pairs<'a, 'b>(
    mut left: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    mut right: impl Iterator<Item = (&'b [u8], &'b [u8])>,
) -> Ordering {
    loop {
        match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(l), Some(r)) => match l.cmp(&r) {
                Ordering::Equal => {}
                unequal => return unequal,
            },
        }
    }
}

impl fmt::Display for Labels {
    /// `{a="b", c="d"}`, values quoted as Go quotes them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            if is_legacy_label_name(name) {
                f.write_str(&String::from_utf8_lossy(name))?;
            } else {
                f.write_str(&go_quote(name))?;
            }
            write!(f, "={}", go_quote(value))?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether a name fits `[a-zA-Z_][a-zA-Z0-9_]*`.
pub fn is_legacy_label_name(name: &[u8]) -> bool {
    let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    name.first().is_some_and(|b| !b.is_ascii_digit()) && name.iter().all(word)
}

/// Whether a name fits `[a-zA-Z_:][a-zA-Z0-9_:]*`.
pub fn is_legacy_metric_name(name: &[u8]) -> bool {
    let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || *b == b':';
    name.first().is_some_and(|b| !b.is_ascii_digit()) && name.iter().all(word)
}

/// Go's `strconv.Quote`: double quotes, escapes for what does not print, `\x` for bytes that are not UTF-8.
pub fn go_quote(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            push_go_escaped(&mut out, c);
        }
        for b in chunk.invalid() {
            out.push_str(&format!("\\x{b:02x}"));
        }
    }
    out.push('"');
    out
}

fn push_go_escaped(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        c if (c as u32) < 0x20 || c == '\x7f' => out.push_str(&format!("\\x{:02x}", c as u32)),
        c if is_go_printable(c) => out.push(c),
        c if (c as u32) < 0x1_0000 => out.push_str(&format!("\\u{:04x}", c as u32)),
        c => out.push_str(&format!("\\U{:08x}", c as u32)),
    }
}

/// Close to Go's `strconv.IsPrint`: no controls, no separators but the space, no private or unassigned code points.
fn is_go_printable(c: char) -> bool {
    if c == ' ' {
        return true;
    }
    let code = c as u32;
    let private = (0xe000..=0xf8ff).contains(&code) || code >= 0xf_0000;
    let format = matches!(code, 0xad | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x180e | 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x206f | 0xfeff | 0xfff9..=0xfffb | 0xe0000..=0xe007f);
    !(c.is_control() || c.is_whitespace() || private || format)
}

/// Iterates over the pairs of a [`Labels`].
#[derive(Clone, Debug)]
pub struct LabelsIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for LabelsIter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (name, rest) = split_packed(self.rest);
        let (value, rest) = split_packed(rest);
        self.rest = rest;
        Some((name, value))
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a [u8], &'a [u8]);
    type IntoIter = LabelsIter<'a>;

    fn into_iter(self) -> LabelsIter<'a> {
        self.iter()
    }
}

/// Appends a name or a value in the packed form (see the module's head).
///
/// # Panics
/// If the text is longer than [`MAX_LABEL_BYTES`].
#[inline]
pub fn push_packed(packed: &mut Vec<u8>, text: &[u8]) {
    assert!(text.len() <= MAX_LABEL_BYTES, "label of {} bytes: callers bound label lengths first", text.len());
    if text.len() < 255 {
        packed.push(text.len() as u8);
    } else {
        packed.push(255);
        packed.extend_from_slice(&(text.len() as u32).to_le_bytes()[..3]);
    }
    packed.extend_from_slice(text);
}

#[inline]
fn split_packed(packed: &[u8]) -> (&[u8], &[u8]) {
    let (len, head) = match packed[0] {
        255 => (u32::from_le_bytes([packed[1], packed[2], packed[3], 0]) as usize, 4),
        short => (usize::from(short), 1),
    };
    packed[head..].split_at(len)
}

/// Builds a [`Labels`] from pairs in any order.
#[derive(Clone, Debug, Default)]
pub struct LabelsBuilder {
    pairs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl From<&Labels> for LabelsBuilder {
    fn from(labels: &Labels) -> Self {
        LabelsBuilder { pairs: labels.iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect() }
    }
}

impl LabelsBuilder {
    /// Sets a label; an empty value removes it.
    pub fn set(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> &mut Self {
        let (name, value) = (name.as_ref(), value.as_ref());
        match self.pairs.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => *old = value.to_vec(),
            None => self.pairs.push((name.to_vec(), value.to_vec())),
        }
        self
    }

    /// Removes a label.
    pub fn remove(&mut self, name: impl AsRef<[u8]>) -> &mut Self {
        self.pairs.retain(|(n, _)| n != name.as_ref());
        self
    }

    /// The value set for a label, empty where there is none.
    pub fn get(&self, name: impl AsRef<[u8]>) -> &[u8] {
        self.pairs.iter().find(|(n, _)| n == name.as_ref()).map_or(&[], |(_, v)| v)
    }

    /// The sorted set; empty values are dropped.
    pub fn build(mut self) -> Labels {
        self.pairs.retain(|(_, v)| !v.is_empty());
        self.pairs.sort();
        Labels::from_sorted(self.pairs.iter().map(|(n, v)| (n.as_slice(), v.as_slice())))
    }
}

#[cfg(test)]
mod tests;
