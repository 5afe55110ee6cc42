//! Tenant patterns: Go's `filepath.Match`.
//!
//! `*` is any run of characters but `/`, `?` one of them, `[a-z]` and `[^a-z]` a class, `\` takes the next as it is.

use thiserror::Error;

/// The pattern cannot be read.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("syntax error in pattern")]
pub struct BadPattern;

/// Whether `name` as a whole matches. As in Go, a pattern is checked to its end even where the match has failed already.
pub fn matches(pattern: &str, name: &str) -> Result<bool, BadPattern> {
    let pattern = parse(pattern)?;
    let name: Vec<char> = name.chars().collect();
    // `reached[i]`: what was read of the pattern matches the first `i` characters.
    let mut reached = vec![false; name.len() + 1];
    reached[0] = true;
    for token in &pattern {
        reached = step(token, &reached, &name);
    }
    Ok(reached[name.len()])
}

enum Token {
    Star,
    Any,
    Char(char),
    Class { negated: bool, ranges: Vec<(char, char)> },
}

fn step(token: &Token, reached: &[bool], name: &[char]) -> Vec<bool> {
    let mut next = vec![false; reached.len()];
    if matches!(token, Token::Star) {
        next[0] = reached[0];
        for (i, c) in name.iter().enumerate() {
            next[i + 1] = reached[i + 1] || (next[i] && *c != '/');
        }
        return next;
    }
    for (i, c) in name.iter().enumerate() {
        next[i + 1] = reached[i] && token.takes(*c);
    }
    next
}

impl Token {
    fn takes(&self, c: char) -> bool {
        match self {
            Token::Star => false,
            Token::Any => c != '/',
            Token::Char(own) => *own == c,
            Token::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
            }
        }
    }
}

fn parse(pattern: &str) -> Result<Vec<Token>, BadPattern> {
    let mut rest = pattern.chars().peekable();
    let mut tokens = Vec::new();
    while let Some(c) = rest.next() {
        tokens.push(match c {
            '*' => Token::Star,
            '?' => Token::Any,
            '\\' => Token::Char(rest.next().ok_or(BadPattern)?),
            '[' => parse_class(&mut rest)?,
            c => Token::Char(c),
        });
    }
    Ok(tokens)
}

fn parse_class(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Token, BadPattern> {
    let negated = rest.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && rest.next_if_eq(&']').is_some() {
            return Ok(Token::Class { negated, ranges });
        }
        let low = class_char(rest)?;
        let high = if rest.next_if_eq(&'-').is_some() { class_char(rest)? } else { low };
        ranges.push((low, high));
    }
}

fn class_char(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<char, BadPattern> {
    match rest.next() {
        Some('\\') => rest.next().ok_or(BadPattern),
        None | Some('-' | ']') => Err(BadPattern),
        Some(c) => Ok(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_in_go() {
        for (pattern, name, wanted) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/f", true),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a?b", "a☺b", true),
            ("a?b", "a/b", false),
            ("[a-ζ]*", "α", true),
            ("[\\]a]", "]", true),
            ("[x\\-]", "-", true),
            ("*x", "xxx", true),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern, name), Ok(wanted), "{pattern} {name}");
        }
        for pattern in ["[]a]", "[-]", "[x-]", "[-x]", "\\", "[a-b-c]", "[", "[^", "[^bc", "a[", "a[x-"] {
            assert_eq!(matches(pattern, "a"), Err(BadPattern), "{pattern}");
        }
    }
}
