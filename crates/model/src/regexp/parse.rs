//! RE2's syntax, as Go reads it with its Perl flags and a dot that matches newlines, to an intermediate form.
//!
//! The grammar is not that of the `regex` crates: escapes, classes and repetition limits differ, some texts mean something
//! else in both. Groups are kept on a stack of our own, so that nesting costs no call stack while parsing, and trees are
//! kept below [`MAX_HEIGHT`] for those who walk them.

use regex_syntax::hir::{Capture, Class, ClassUnicode, Dot, Hir, Look, Repetition};

use super::RegexpError;
use super::class;
use super::escape;

/// The deepest tree, as in Go.
const MAX_HEIGHT: u32 = 1000;
/// The largest repetition, nested ones multiplied.
const MAX_REPEAT: u32 = 1000;

/// A pattern understood.
pub(super) struct Parsed {
    /// The pattern, not anchored.
    pub(super) hir: Hir,
    /// Names of the groups, the whole match at 0.
    pub(super) group_names: Vec<Option<String>>,
}

#[derive(Clone, Copy)]
pub(super) struct Flags {
    pub(super) fold_case: bool,
    multi_line: bool,
    dot_newline: bool,
    swap_greed: bool,
}

/// A piece with what the limits are about.
struct Node {
    hir: Hir,
    height: u32,
    repeat: u32,
}

impl Node {
    fn leaf(hir: Hir) -> Self {
        Node { hir, height: 1, repeat: 1 }
    }
}

/// An open group, the outermost one being the whole pattern.
struct Group {
    flags_before: Flags,
    capture: Option<u32>,
    alternatives: Vec<Node>,
    sequence: Vec<Node>,
}

/// Parses a pattern.
pub(super) fn parse(pattern: &str) -> Result<Parsed, RegexpError> {
    let flags = Flags { fold_case: false, multi_line: false, dot_newline: true, swap_greed: false };
    let mut parser = Parser { pattern, rest: pattern, flags, groups: Vec::new(), group_names: vec![None] };
    parser.open_group(None);
    // Two repetitions in a row are an error; this is where the one before began.
    let mut last_repetition = None;
    while let Some(c) = parser.rest.chars().next() {
        let before = parser.rest;
        last_repetition = match c {
            '*' => Some(parser.repeat(1, 0, None, last_repetition)?),
            '+' => Some(parser.repeat(1, 1, None, last_repetition)?),
            '?' => Some(parser.repeat(1, 0, Some(1), last_repetition)?),
            '{' => match counted(before) {
                Some(count) => Some(parser.repeat_counted(count, last_repetition)?),
                None => parser.step(c).map(|()| None)?,
            },
            _ => parser.step(c).map(|()| None)?,
        };
    }
    parser.finish()
}

/// `{2}`, `{2,}`, `{2,5}`: length of the text and the limits; `None` as minimum where a number is far too large.
struct Counted {
    len: usize,
    min: Option<u32>,
    max: Option<u32>,
}

fn counted(text: &str) -> Option<Counted> {
    let (min, rest) = number(text.strip_prefix('{')?)?;
    if let Some(rest) = rest.strip_prefix('}') {
        return Some(Counted { len: text.len() - rest.len(), min, max: min });
    }
    let rest = rest.strip_prefix(',')?;
    if let Some(rest) = rest.strip_prefix('}') {
        return Some(Counted { len: text.len() - rest.len(), min, max: None });
    }
    let (max, rest) = number(rest)?;
    let rest = rest.strip_prefix('}')?;
    Some(Counted { len: text.len() - rest.len(), min: min.and(max).and(min), max })
}

/// Digits without leading zeros; the inner `None` is a number beyond any limit.
fn number(text: &str) -> Option<(Option<u32>, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 || (digits > 1 && text.starts_with('0')) {
        return None;
    }
    let (digits, rest) = text.split_at(digits);
    Some((digits.parse().ok(), rest))
}

struct Parser<'a> {
    pattern: &'a str,
    rest: &'a str,
    flags: Flags,
    groups: Vec<Group>,
    group_names: Vec<Option<String>>,
}

impl<'a> Parser<'a> {
    /// Everything but repetitions.
    fn step(&mut self, c: char) -> Result<(), RegexpError> {
        match c {
            '(' if self.rest[1..].starts_with('?') => return self.open_perl_group(),
            '(' => {
                self.rest = &self.rest[1..];
                self.open_capture(None);
            }
            ')' => return self.close_group(),
            '|' => {
                self.rest = &self.rest[1..];
                self.end_alternative()?;
            }
            '[' => {
                let (class, rest) = class::bracketed(self.rest, self.flags)?;
                self.rest = rest;
                self.push(Node::leaf(Hir::class(Class::Unicode(class))));
            }
            '\\' => return self.escape(),
            '^' | '$' | '.' => {
                self.rest = &self.rest[1..];
                self.push(Node::leaf(self.symbol(c)));
            }
            c => {
                self.rest = &self.rest[c.len_utf8()..];
                self.push_literal(c as u32);
            }
        }
        Ok(())
    }

    fn symbol(&self, c: char) -> Hir {
        match (c, self.flags.multi_line) {
            ('^', false) => Hir::look(Look::Start),
            ('^', true) => Hir::look(Look::StartLF),
            ('$', false) => Hir::look(Look::End),
            ('$', true) => Hir::look(Look::EndLF),
            _ if self.flags.dot_newline => Hir::dot(Dot::AnyChar),
            _ => Hir::dot(Dot::AnyCharExceptLF),
        }
    }

    fn push(&mut self, node: Node) {
        self.group().sequence.push(node);
    }

    fn group(&mut self) -> &mut Group {
        self.groups.last_mut().expect("the whole pattern is a group that only the end closes")
    }

    /// Code points that no text holds (surrogates) match nothing.
    fn push_literal(&mut self, code: u32) {
        let hir = match char::from_u32(code) {
            None => Hir::fail(),
            Some(c) if !self.flags.fold_case => Hir::literal(c.to_string().into_bytes()),
            Some(c) => {
                let mut class = ClassUnicode::empty();
                class::push_range(&mut class, c as u32, c as u32, self.flags);
                Hir::class(Class::Unicode(class))
            }
        };
        self.push(Node::leaf(hir));
    }

    fn escape(&mut self) -> Result<(), RegexpError> {
        let text = self.rest;
        let look = match text.as_bytes().get(1) {
            Some(b'A') => Some(Look::Start),
            Some(b'b') => Some(Look::WordAscii),
            Some(b'B') => Some(Look::WordAsciiNegate),
            Some(b'z') => Some(Look::End),
            Some(b'C') => return Err(RegexpError::new("invalid escape sequence", &text[..2])),
            Some(b'Q') => {
                self.quoted();
                return Ok(());
            }
            _ => None,
        };
        if let Some(look) = look {
            self.rest = &text[2..];
            self.push(Node::leaf(Hir::look(look)));
        } else if let Some((class, rest)) = class::escaped(text, self.flags)? {
            self.rest = rest;
            self.push(Node::leaf(Hir::class(Class::Unicode(class))));
        } else {
            let (code, rest) = escape::escape(text)?;
            self.rest = rest;
            self.push_literal(code);
        }
        Ok(())
    }

    /// `\Q…\E`: all literal; the end of the pattern closes it too.
    fn quoted(&mut self) {
        let text = &self.rest[2..];
        let (literal, rest) = text.split_once("\\E").unwrap_or((text, ""));
        self.rest = rest;
        for c in literal.chars() {
            self.push_literal(c as u32);
        }
    }

    fn repeat_counted(&mut self, count: Counted, last: Option<&'a str>) -> Result<&'a str, RegexpError> {
        let (text, within) = (&self.rest[..count.len], |n: Option<u32>| n.is_none_or(|n| n <= MAX_REPEAT));
        match count.min {
            Some(min) if min <= MAX_REPEAT && within(count.max) && count.max.is_none_or(|max| min <= max) => {
                self.repeat(count.len, min, count.max, last)
            }
            _ => Err(RegexpError::new("invalid repeat count", text)),
        }
    }

    /// Repeats what was read last. Returns where the operator (of `len` bytes) began.
    fn repeat(
        &mut self,
        len: usize,
        min: u32,
        max: Option<u32>,
        last: Option<&'a str>,
    ) -> Result<&'a str, RegexpError> {
        let before = self.rest;
        self.rest = &before[len..];
        let lazy = self.rest.starts_with('?');
        if lazy {
            self.rest = &self.rest[1..];
        }
        let until_here = |text: &'a str| &text[..text.len() - self.rest.len()];
        if let Some(last) = last {
            return Err(RegexpError::new("invalid nested repetition operator", until_here(last)));
        }
        let operator = until_here(before);
        let greedy = lazy == self.flags.swap_greed;
        let Some(node) = self.group().sequence.pop() else {
            return Err(RegexpError::new("missing argument to repetition operator", operator));
        };
        // A factor of 0 at most means that nothing below is ever repeated.
        let repeat = match max {
            Some(0) => 0,
            _ => max.unwrap_or(min).max(1).saturating_mul(node.repeat),
        };
        if (min >= 2 || max.is_some_and(|max| max >= 2)) && repeat > MAX_REPEAT {
            return Err(RegexpError::new("invalid repeat count", operator));
        }
        let height = self.checked_height(node.height)?;
        let hir = Hir::repetition(Repetition { min, max, greedy, sub: Box::new(node.hir) });
        self.push(Node { hir, height, repeat });
        Ok(before)
    }

    fn checked_height(&self, below: u32) -> Result<u32, RegexpError> {
        match below < MAX_HEIGHT {
            true => Ok(below + 1),
            false => Err(RegexpError::new("expression nests too deeply", self.pattern)),
        }
    }

    fn open_group(&mut self, capture: Option<u32>) {
        let group = Group { flags_before: self.flags, capture, alternatives: Vec::new(), sequence: Vec::new() };
        self.groups.push(group);
    }

    fn open_capture(&mut self, name: Option<String>) {
        let index = self.group_names.len() as u32;
        self.group_names.push(name);
        self.open_group(Some(index));
    }

    /// `(?P<name>`, `(?<name>`, `(?flags:`, `(?flags)`.
    fn open_perl_group(&mut self) -> Result<(), RegexpError> {
        let text = self.rest;
        let named = text.strip_prefix("(?P<").or_else(|| text.strip_prefix("(?<")).filter(|name| !name.is_empty());
        let Some(name_on) = named else { return self.open_flag_group() };
        let Some((name, rest)) = name_on.split_once('>') else {
            return Err(RegexpError::new("invalid named capture", text));
        };
        if name.is_empty() || !name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric()) {
            return Err(RegexpError::new("invalid named capture", &text[..text.len() - rest.len()]));
        }
        self.rest = rest;
        self.open_capture(Some(name.to_owned()));
        Ok(())
    }

    fn open_flag_group(&mut self) -> Result<(), RegexpError> {
        let text = self.rest;
        let (mut flags, mut value, mut saw_flag) = (self.flags, true, false);
        for (at, c) in text.char_indices().skip(2) {
            let flag = match c {
                'i' => &mut flags.fold_case,
                'm' => &mut flags.multi_line,
                's' => &mut flags.dot_newline,
                'U' => &mut flags.swap_greed,
                '-' if value => {
                    (value, saw_flag) = (false, false);
                    continue;
                }
                ':' | ')' if value || saw_flag => {
                    self.rest = &text[at + 1..];
                    if c == ':' {
                        self.open_group(None);
                    }
                    self.flags = flags;
                    return Ok(());
                }
                _ => return Err(RegexpError::new("invalid or unsupported Perl syntax", &text[..at + c.len_utf8()])),
            };
            (*flag, saw_flag) = (value, true);
        }
        Err(RegexpError::new("invalid or unsupported Perl syntax", text))
    }

    /// Makes the pieces since the last `|` one alternative.
    fn end_alternative(&mut self) -> Result<(), RegexpError> {
        let mut sequence = std::mem::take(&mut self.group().sequence);
        let node = match sequence.len() {
            1 => sequence.remove(0),
            _ => self.join(sequence, Hir::concat)?,
        };
        self.group().alternatives.push(node);
        Ok(())
    }

    fn join(&self, nodes: Vec<Node>, join: impl Fn(Vec<Hir>) -> Hir) -> Result<Node, RegexpError> {
        let repeat = nodes.iter().map(|n| n.repeat).max().unwrap_or(1);
        let height = self.checked_height(nodes.iter().map(|n| n.height).max().unwrap_or(0))?;
        Ok(Node { hir: join(nodes.into_iter().map(|n| n.hir).collect()), height, repeat })
    }

    /// Closes the innermost group and returns it with the group's own node.
    fn end_group(&mut self) -> Result<(Group, Node), RegexpError> {
        self.end_alternative()?;
        let mut group = self.groups.pop().expect("end_alternative has just used it");
        let node = match group.alternatives.len() {
            1 => group.alternatives.remove(0),
            _ => self.join(std::mem::take(&mut group.alternatives), Hir::alternation)?,
        };
        Ok((group, node))
    }

    fn close_group(&mut self) -> Result<(), RegexpError> {
        if self.groups.len() == 1 {
            return Err(RegexpError::new("unexpected )", self.pattern));
        }
        let (group, mut node) = self.end_group()?;
        if let Some(index) = group.capture {
            node.height = self.checked_height(node.height)?;
            node.hir = Hir::capture(Capture { index, name: None, sub: Box::new(node.hir) });
        }
        self.flags = group.flags_before;
        self.rest = &self.rest[1..];
        self.push(node);
        Ok(())
    }

    fn finish(mut self) -> Result<Parsed, RegexpError> {
        if self.groups.len() > 1 {
            return Err(RegexpError::new("missing closing )", self.pattern));
        }
        let (_, node) = self.end_group()?;
        Ok(Parsed { hir: node.hir, group_names: self.group_names })
    }
}
