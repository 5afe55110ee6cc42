//! What can be known of a pattern's matches without running it.

use regex_syntax::hir::literal::{ExtractKind, Extractor};
use regex_syntax::hir::{Class, Hir, HirKind, Repetition};

/// The most literals a pattern is written out to.
const MAX_LITERALS: usize = 256;
/// Longer literals are not looked at.
const MAX_LITERAL_BYTES: usize = 1 << 16;

/// A pattern of literals with `.*` or `.+` between, before and after them, such as `foo.*bar.+`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Glob {
    /// Each literal and how many characters (0 or 1) there are at least before it.
    literals: Vec<(usize, Box<[u8]>)>,
    /// Whether the first literal may stand anywhere.
    open_start: bool,
    /// Where anything may follow: how many characters (0 or 1) at least.
    open_end: Option<usize>,
}

impl Glob {
    /// The glob that a pattern is, if it is one.
    pub(super) fn of(hir: &Hir) -> Option<Self> {
        let mut glob = Glob::default();
        let mut gap = None;
        for part in parts(hir) {
            match without_captures(part).kind() {
                HirKind::Literal(literal) => {
                    glob.open_start |= glob.literals.is_empty() && gap.is_some();
                    match (glob.literals.last_mut(), gap) {
                        // Literals meet where a group has kept them apart.
                        (Some((_, last)), None) => *last = [&**last, &*literal.0].concat().into(),
                        _ => glob.literals.push((gap.unwrap_or(0), literal.0.clone())),
                    }
                    gap = None;
                }
                HirKind::Repetition(repetition) => {
                    let min = anything(repetition)? + gap.unwrap_or(0);
                    gap = Some(min).filter(|min| *min <= 1);
                    gap?;
                }
                HirKind::Empty => {}
                _ => return None,
            }
        }
        glob.open_end = gap;
        Some(glob)
    }

    /// Whether every value that is not empty is of this form.
    pub(super) fn takes_all(&self) -> bool {
        self.literals.is_empty() && self.open_end.is_some()
    }

    /// Whether a whole value is of this form. A value's bytes need not be UTF-8.
    pub(super) fn is_match(&self, value: &[u8]) -> bool {
        let Some(((first_gap, first), literals)) = self.literals.split_first() else {
            return match self.open_end {
                None => value.is_empty(),
                Some(min) => value.len() >= min,
            };
        };
        if !self.open_start && literals.is_empty() && self.open_end.is_none() {
            return value == &**first;
        }
        // The last literal is bound to the end, so it is taken off first.
        let (middle, last, end) = match (self.open_end, literals.split_last()) {
            (None, Some((last, middle))) => (middle, Some(last), last.1.len()),
            (None, None) => return value.len() >= first.len() + first_gap && value.ends_with(first),
            (Some(min), _) => (literals, None, min),
        };
        if last.is_some_and(|(_, last)| !value.ends_with(last)) {
            return false;
        }
        let Some(end) = value.len().checked_sub(end) else { return false };
        let value = &value[..end];
        let mut at = match self.open_start {
            false if value.starts_with(first) => first.len(),
            false => return false,
            true => match find(value, *first_gap, first) {
                Some(at) => at,
                None => return false,
            },
        };
        for (gap, literal) in middle {
            match find(value, at + gap, literal) {
                Some(next) => at = next,
                None => return false,
            }
        }
        at + last.map_or(0, |(gap, _)| *gap) <= value.len()
    }
}

/// The end of the first `literal` that begins at `from` or later.
fn find(value: &[u8], from: usize, literal: &[u8]) -> Option<usize> {
    let found = memchr::memmem::find(value.get(from..)?, literal)?;
    Some(from + found + literal.len())
}

fn parts(hir: &Hir) -> &[Hir] {
    match without_captures(hir).kind() {
        HirKind::Concat(parts) => parts,
        _ => std::slice::from_ref(hir),
    }
}

fn without_captures(mut hir: &Hir) -> &Hir {
    while let HirKind::Capture(capture) = hir.kind() {
        hir = &capture.sub;
    }
    hir
}

/// The least length of `.*` or `.+`, none for another repetition.
fn anything(repetition: &Repetition) -> Option<usize> {
    let HirKind::Class(Class::Unicode(class)) = without_captures(&repetition.sub).kind() else { return None };
    let all = matches!(class.ranges(), [range] if range.start() == '\0' && range.end() == char::MAX);
    (all && repetition.max.is_none() && repetition.min <= 1).then_some(repetition.min as usize)
}

/// All values that match, where they are few.
pub(super) fn literals(hir: &Hir) -> Option<Vec<Box<[u8]>>> {
    let sequence = extractor(ExtractKind::Prefix).extract(hir);
    if !hir.properties().look_set().is_empty() || !sequence.is_exact() {
        return None;
    }
    let mut literals: Vec<Box<[u8]>> = sequence.literals()?.iter().map(|literal| literal.as_bytes().into()).collect();
    literals.sort();
    literals.dedup();
    (literals.len() <= MAX_LITERALS).then_some(literals)
}

/// What every match begins with.
pub(super) fn prefix(hir: &Hir) -> Box<[u8]> {
    extractor(ExtractKind::Prefix).extract(hir).longest_common_prefix().unwrap_or_default().into()
}

/// What every match ends with.
pub(super) fn suffix(hir: &Hir) -> Box<[u8]> {
    extractor(ExtractKind::Suffix).extract(hir).longest_common_suffix().unwrap_or_default().into()
}

/// What every match holds between its first and its last part, in this order and apart from each other. A first part that is a literal is
/// in the prefix, a last one in the suffix.
pub(super) fn contained(hir: &Hir) -> Vec<Box<[u8]>> {
    let literal = |part: &Hir| match without_captures(part).kind() {
        HirKind::Literal(literal) => Some(literal.0.clone()),
        _ => None,
    };
    let [_, between @ .., _] = parts(hir) else { return Vec::new() };
    between.iter().filter_map(literal).collect()
}

fn extractor(kind: ExtractKind) -> Extractor {
    let mut extractor = Extractor::new();
    extractor.kind(kind).limit_class(MAX_LITERALS).limit_repeat(1000);
    extractor.limit_literal_len(MAX_LITERAL_BYTES).limit_total(MAX_LITERALS);
    extractor
}
