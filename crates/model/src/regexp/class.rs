//! Character classes: `[…]`, `\d`, `[:alpha:]`, `\p{Greek}`.

use std::sync::LazyLock;

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind};

use super::RegexpError;
use super::escape;
use super::parse::Flags;

/// Perl's classes, ASCII only.
const PERL: [(u8, &[(char, char)]); 3] = [
    (b'd', &[('0', '9')]),
    (b's', &[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')]),
    (b'w', &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
];

/// POSIX's classes, ASCII only.
const POSIX: [(&str, &[(char, char)]); 14] = [
    ("alnum", &[('0', '9'), ('A', 'Z'), ('a', 'z')]),
    ("alpha", &[('A', 'Z'), ('a', 'z')]),
    ("ascii", &[('\0', '\x7f')]),
    ("blank", &[('\t', '\t'), (' ', ' ')]),
    ("cntrl", &[('\0', '\x1f'), ('\x7f', '\x7f')]),
    ("digit", &[('0', '9')]),
    ("graph", &[('!', '~')]),
    ("lower", &[('a', 'z')]),
    ("print", &[(' ', '~')]),
    ("punct", &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')]),
    ("space", &[('\t', '\r'), (' ', ' ')]),
    ("upper", &[('A', 'Z')]),
    ("word", &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
    ("xdigit", &[('0', '9'), ('A', 'F'), ('a', 'f')]),
];

/// Scripts whose full name has four letters. Other names of four letters are ISO codes, which Go does not know.
const SHORT_SCRIPTS: [&str; 9] = ["ahom", "cham", "kawi", "lisu", "miao", "modi", "newa", "thai", "toto"];

/// The class that `text` begins with, `[` included, and the text after it.
pub(super) fn bracketed(text: &str, flags: Flags) -> Result<(ClassUnicode, &str), RegexpError> {
    let mut class = ClassUnicode::empty();
    let mut rest = &text[1..];
    let negated = rest.starts_with('^');
    if negated {
        rest = &rest[1..];
    }
    let mut first = true;
    while first || !rest.starts_with(']') {
        first = false;
        if let Some((named, after)) = posix(rest, flags)? {
            class.union(&named);
            rest = after;
        } else if let Some((escaped, after)) = escaped(rest, flags)? {
            class.union(&escaped);
            rest = after;
        } else {
            rest = range(rest, text, flags, &mut class)?;
        }
    }
    if negated {
        class.negate();
    }
    Ok((class, &rest[1..]))
}

/// One character or `a-z`. A dash before the closing bracket is itself.
fn range<'a>(text: &'a str, whole: &str, flags: Flags, class: &mut ClassUnicode) -> Result<&'a str, RegexpError> {
    let (low, mut rest) = character(text, whole)?;
    let mut high = low;
    if rest.len() >= 2 && rest.starts_with('-') && !rest[1..].starts_with(']') {
        (high, rest) = character(&rest[1..], whole)?;
        if high < low {
            return Err(RegexpError::new("invalid character class range", &text[..text.len() - rest.len()]));
        }
    }
    push_range(class, low, high, flags);
    Ok(rest)
}

fn character<'a>(text: &'a str, whole: &str) -> Result<(u32, &'a str), RegexpError> {
    match text.chars().next() {
        None => Err(RegexpError::new("missing closing ]", whole)),
        Some('\\') => escape::escape(text),
        Some(c) => Ok((c as u32, &text[c.len_utf8()..])),
    }
}

/// Adds code points, without surrogates, with all their cases where the flags say so.
pub(super) fn push_range(class: &mut ClassUnicode, low: u32, high: u32, flags: Flags) {
    let low = char::from_u32(low).unwrap_or('\u{e000}');
    let high = char::from_u32(high).unwrap_or('\u{d7ff}');
    if low <= high {
        let mut range = ClassUnicode::new([ClassUnicodeRange::new(low, high)]);
        fold(&mut range, flags);
        class.union(&range);
    }
}

fn fold(class: &mut ClassUnicode, flags: Flags) {
    if flags.fold_case {
        let written = class.clone();
        class.try_case_fold_simple().expect("the case tables are compiled in");
        class.intersect(known_to_go());
        class.union(&written);
    }
}

/// The characters of Unicode 15.0, as Go's tables have them; those of our tables are newer.
fn known_to_go() -> &'static ClassUnicode {
    static KNOWN: LazyLock<ClassUnicode> = LazyLock::new(|| {
        let hir = regex_syntax::parse(r"\p{age=15.0}").expect("the age tables are compiled in");
        match hir.kind() {
            HirKind::Class(Class::Unicode(class)) => class.clone(),
            _ => ClassUnicode::empty(),
        }
    });
    &KNOWN
}

fn ascii(ranges: &[(char, char)], negated: bool, flags: Flags) -> ClassUnicode {
    let mut class = ClassUnicode::new(ranges.iter().map(|(low, high)| ClassUnicodeRange::new(*low, *high)));
    fold(&mut class, flags);
    if negated {
        class.negate();
    }
    class
}

/// `[:name:]` or `[:^name:]`.
fn posix(text: &str, flags: Flags) -> Result<Option<(ClassUnicode, &str)>, RegexpError> {
    let Some((name, rest)) = text.strip_prefix("[:").and_then(|text| text.split_once(":]")) else {
        return Ok(None);
    };
    let (negated, bare) = name.strip_prefix('^').map_or((false, name), |bare| (true, bare));
    match POSIX.iter().find(|(name, _)| *name == bare) {
        Some((_, ranges)) => Ok(Some((ascii(ranges, negated, flags), rest))),
        None => Err(RegexpError::new("invalid character class range", &text[..text.len() - rest.len()])),
    }
}

/// `\d` and its kin, `\pN`, `\p{Greek}`; none where the text begins with something else.
pub(super) fn escaped(text: &str, flags: Flags) -> Result<Option<(ClassUnicode, &str)>, RegexpError> {
    let Some(letter) = text.strip_prefix('\\').and_then(|text| text.bytes().next()) else { return Ok(None) };
    if letter.eq_ignore_ascii_case(&b'p') {
        return unicode(text, letter == b'P', flags).map(Some);
    }
    let found = PERL.iter().find(|(name, _)| letter.eq_ignore_ascii_case(name));
    Ok(found.map(|(name, ranges)| (ascii(ranges, letter != *name, flags), &text[2..])))
}

fn unicode(text: &str, negated: bool, flags: Flags) -> Result<(ClassUnicode, &str), RegexpError> {
    let invalid = |text| RegexpError::new("invalid character class range", text);
    let (name, rest) = match text[2..].chars().next() {
        Some('{') => text[3..].split_once('}').ok_or_else(|| invalid(text))?,
        Some(c) => text[2..].split_at(c.len_utf8()),
        None => return Err(invalid(text)),
    };
    let (twice, name) = name.strip_prefix('^').map_or((false, name), |name| (true, name));
    let mut class = named(name).ok_or_else(|| invalid(&text[..text.len() - rest.len()]))?;
    fold(&mut class, flags);
    if negated != twice {
        class.negate();
    }
    Ok((class, rest))
}

/// A general category or a script. Case, spaces, dashes and underscores do not matter.
fn named(name: &str) -> Option<ClassUnicode> {
    let name = name.replace([' ', '-', '_'], "").to_ascii_lowercase();
    if name.is_empty() || name.starts_with("is") || !name.bytes().all(|b| b.is_ascii_alphabetic()) {
        return None;
    }
    if name == "cs" || name == "surrogate" {
        return Some(ClassUnicode::empty());
    }
    let iso_code = name.len() == 4 && !SHORT_SCRIPTS.contains(&name.as_str());
    let script = (!iso_code).then(|| format!(r"\p{{sc={name}}}"));
    let hir =
        [Some(format!(r"\p{{gc={name}}}")), script].into_iter().flatten().find_map(|p| regex_syntax::parse(&p).ok())?;
    let mut class = match hir.kind() {
        HirKind::Class(Class::Unicode(class)) => class.clone(),
        HirKind::Literal(literal) => {
            let c = std::str::from_utf8(&literal.0).ok()?.chars().next()?;
            ClassUnicode::new([ClassUnicodeRange::new(c, c)])
        }
        _ => return None,
    };
    if matches!(name.as_str(), "c" | "other" | "cn" | "unassigned") {
        let mut unknown = known_to_go().clone();
        unknown.negate();
        class.union(&unknown);
    } else {
        class.intersect(known_to_go());
    }
    Some(class)
}
