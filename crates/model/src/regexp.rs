//! Regular expressions of RE2's language, anchored as Prometheus anchors them: `^(?s:PATTERN)$`.
//!
//! The syntax is Go's, to the error texts; the engine is `regex-automata`, which like Go's takes time linear in the value.
//! Most patterns never reach it: sets of literals and globs such as `foo.*` are compared directly, and the rest is first
//! tested for the literals that every match must have.
//!
//! Values are bytes. As in Go, a byte that is not UTF-8 counts as one character, U+FFFD.

mod class;
mod escape;
mod expand;
mod parse;
mod program;
mod shape;

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use memchr::memmem;
use regex_automata::meta;
use regex_automata::nfa::thompson::WhichCaptures;
use regex_syntax::hir::Hir;
use thiserror::Error;

use program::{MAX_PROGRAM_BYTES, Program, compile};
use shape::Glob;

/// The longest pattern, bytes.
const MAX_PATTERN_BYTES: usize = 1 << 20;
/// Up to here a set is compared one by one.
const SMALL_SET: usize = 8;

/// A pattern that is not of RE2's language, or too large to compile.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("error parsing regexp: {message}")]
pub struct RegexpError {
    /// Go's wording of what is wrong.
    pub message: String,
}

impl RegexpError {
    fn new(problem: &str, text: &str) -> Self {
        RegexpError { message: format!("{problem}: `{text}`") }
    }
}

/// A compiled, fully anchored pattern.
#[derive(Clone, Debug)]
pub struct Regexp {
    pattern: Vec<u8>,
    plan: Plan,
    literals: Option<Box<[Box<[u8]>]>>,
    prefix: Box<[u8]>,
    suffix: Box<[u8]>,
    contained: Box<[memmem::Finder<'static>]>,
    required: Option<memmem::Finder<'static>>,
    groups: OnceLock<Result<Arc<Groups>, RegexpError>>,
}

/// How a value is tested.
#[derive(Clone, Debug)]
enum Plan {
    FewLiterals,
    Literals(HashSet<Box<[u8]>, foldhash::fast::FixedState>),
    Glob(Glob),
    Program(Program),
}

/// The program that also finds groups, made when first needed.
#[derive(Debug)]
struct Groups {
    program: meta::Regex,
    names: Vec<Option<String>>,
}

impl Regexp {
    /// Compiles a pattern.
    pub fn new(pattern: &[u8]) -> Result<Self, RegexpError> {
        let hir = parse_bytes(pattern)?.hir;
        // Such a literal also matches bytes that are not UTF-8, which comparing bytes would not see.
        let comparable = !pattern_has_replacement_character(&hir);
        let literals = shape::literals(&hir).filter(|_| comparable);
        let glob = Glob::of(&hir).filter(|_| comparable);
        let plan = match (&literals, glob) {
            (Some(set), _) if set.len() <= SMALL_SET => Plan::FewLiterals,
            (Some(set), _) => Plan::Literals(set.iter().cloned().collect()),
            (None, Some(glob)) => Plan::Glob(glob),
            (None, None) => Plan::Program(Program::new(hir.clone())?),
        };
        let known = |bytes: Box<[u8]>| if comparable { bytes } else { Box::default() };
        let (prefix, suffix) = (known(shape::prefix(&hir)), known(shape::suffix(&hir)));
        let contained = if comparable { shape::contained(&hir) } else { Vec::new() };
        let required = [&prefix, &suffix].into_iter().chain(&contained).max_by_key(|literal| literal.len());
        let required = required.filter(|literal| !literal.is_empty()).map(finder);
        let contained = contained.iter().map(finder).collect();
        Ok(Regexp {
            pattern: pattern.to_vec(),
            plan,
            required,
            prefix,
            suffix,
            contained,
            literals: literals.map(Into::into),
            groups: OnceLock::new(),
        })
    }

    /// The pattern as written.
    pub fn pattern(&self) -> &[u8] {
        &self.pattern
    }

    /// Whether the whole value matches.
    pub fn is_match(&self, value: &[u8]) -> bool {
        match &self.plan {
            Plan::FewLiterals => self.literals.iter().flatten().any(|literal| **literal == *value),
            Plan::Literals(set) => set.contains(value),
            Plan::Glob(glob) => glob.is_match(value),
            Plan::Program(program) => self.may_match(value) && program.is_match(&as_text(value)),
        }
    }

    /// Whether the value has all literals that a match must have.
    fn may_match(&self, value: &[u8]) -> bool {
        let mut rest = value;
        // Comparing no bytes at the place of an empty literal, where no memory is, takes processors with masked loads 80 ns.
        (self.prefix.is_empty() || value.starts_with(&self.prefix))
            && (self.suffix.is_empty() || value.ends_with(&self.suffix))
            && self.contained.iter().all(|literal| match literal.find(rest) {
                Some(at) => {
                    rest = &rest[at + literal.needle().len()..];
                    true
                }
                None => false,
            })
    }

    /// All values that match, sorted, where they are at most 256.
    pub fn set_matches(&self) -> Option<&[Box<[u8]>]> {
        self.literals.as_deref()
    }

    /// What every matching value begins with; may be empty.
    pub fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// What every matching value ends with; may be empty.
    pub fn suffix(&self) -> &[u8] {
        &self.suffix
    }

    /// Finds the longest literal that every matching value holds; `None` where there is no such literal.
    pub fn required(&self) -> Option<&memmem::Finder<'static>> {
        self.required.as_ref()
    }

    /// Whether every value that is not empty matches, as with `.*` and `.+`.
    pub fn takes_all(&self) -> bool {
        matches!(&self.plan, Plan::Glob(glob) if glob.takes_all())
    }

    /// Expands Go's `$1`, `$name` and `${name}` in `template` by the groups of a match over the whole value; none where the
    /// value does not match.
    pub fn captures_expand(&self, value: &[u8], template: &[u8]) -> Option<Vec<u8>> {
        if !self.is_match(value) {
            return None;
        }
        let groups = self.groups.get_or_init(|| self.compile_groups()).as_ref().ok()?;
        let text = as_text(value);
        let mut captures = groups.program.create_captures();
        groups.program.captures(&*text, &mut captures);
        let group = |i: usize| captures.get_group(i).map(|span| original(value, &text, span.start, span.end));
        let named = |name: &str| {
            let same = |(i, n): (usize, &Option<String>)| (n.as_deref() == Some(name)).then(|| group(i)).flatten();
            groups.names.iter().enumerate().find_map(same)
        };
        let mut out = Vec::new();
        expand::expand(&mut out, template, group, named);
        Some(out)
    }

    fn compile_groups(&self) -> Result<Arc<Groups>, RegexpError> {
        let parsed = parse_bytes(&self.pattern)?;
        // Whatever compiles without groups compiles with them in thrice the space.
        let program = compile(parsed.hir, WhichCaptures::All, 3 * MAX_PROGRAM_BYTES)?;
        Ok(Arc::new(Groups { program, names: parsed.group_names }))
    }
}

fn finder(literal: impl AsRef<[u8]>) -> memmem::Finder<'static> {
    memmem::Finder::new(literal.as_ref()).into_owned()
}

fn parse_bytes(pattern: &[u8]) -> Result<parse::Parsed, RegexpError> {
    let text = std::str::from_utf8(pattern)
        .map_err(|_| RegexpError::new("invalid UTF-8", &String::from_utf8_lossy(pattern)))?;
    if text.len() > MAX_PATTERN_BYTES {
        let start = text.chars().take(64).collect::<String>();
        return Err(RegexpError::new("expression too large", &format!("{start}...")));
    }
    parse::parse(text)
}

fn pattern_has_replacement_character(hir: &Hir) -> bool {
    let replacement = "\u{fffd}".as_bytes();
    let holds = |bytes: &[u8]| memmem::find(bytes, replacement).is_some();
    let mut stack = vec![hir];
    while let Some(hir) = stack.pop() {
        match hir.kind() {
            regex_syntax::hir::HirKind::Literal(literal) if holds(&literal.0) => return true,
            regex_syntax::hir::HirKind::Class(regex_syntax::hir::Class::Unicode(class)) => {
                let small = class.ranges().iter().map(|r| r.len()).sum::<usize>() <= 256;
                let inside = class.ranges().iter().any(|r| r.start() <= '\u{fffd}' && '\u{fffd}' <= r.end());
                if small && inside {
                    return true;
                }
            }
            _ => stack.extend(hir.kind().subs()),
        }
    }
    false
}

/// The value as Go reads it: each byte that is not UTF-8 is U+FFFD.
fn as_text(value: &[u8]) -> Cow<'_, [u8]> {
    if std::str::from_utf8(value).is_ok() {
        return Cow::Borrowed(value);
    }
    let mut text = Vec::with_capacity(value.len() + 16);
    for chunk in value.utf8_chunks() {
        text.extend_from_slice(chunk.valid().as_bytes());
        for _ in chunk.invalid() {
            text.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    Cow::Owned(text)
}

/// The part of the value that became `text[start..end]`.
fn original<'v>(value: &'v [u8], text: &[u8], start: usize, end: usize) -> &'v [u8] {
    if value.len() == text.len() {
        return &value[start..end];
    }
    let (mut at, mut at_text) = (0, 0);
    let mut bounds = [value.len(); 2];
    let mut note = |at: usize, at_text: usize| {
        for (bound, wanted) in bounds.iter_mut().zip([start, end]) {
            if at_text <= wanted {
                *bound = at + (wanted - at_text);
            }
        }
    };
    for chunk in value.utf8_chunks() {
        note(at, at_text);
        at += chunk.valid().len();
        at_text += chunk.valid().len();
        for _ in chunk.invalid() {
            note(at, at_text);
            at += 1;
            at_text += 3;
        }
    }
    note(at, at_text);
    &value[bounds[0]..bounds[1]]
}

#[cfg(test)]
mod tests;
