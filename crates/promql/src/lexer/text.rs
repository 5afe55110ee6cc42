//! Strings: where they end, and the bytes they mean.

use super::token::TokenKind;
use super::{Found, LexError, Lexer};

/// The code points of UTF-16 surrogates, which are none.
const SURROGATES: std::ops::Range<u32> = 0xd800..0xe000;

impl Lexer<'_> {
    pub(super) fn scan_string(&mut self, quote: char) -> Found {
        let is_raw = quote == '`';
        loop {
            match self.advance() {
                Some(c) if c == quote => return Ok(Some(TokenKind::String)),
                Some('\\') if !is_raw => self.check_escape(quote)?,
                // It stands for bytes that were not UTF-8.
                Some('\u{fffd}') => return self.fail("invalid UTF-8 rune"),
                None if is_raw => return self.fail("unterminated raw string"),
                None => return self.fail("unterminated quoted string"),
                Some('\n') if !is_raw => return self.fail("unterminated quoted string"),
                Some(_) => {}
            }
        }
    }

    fn check_escape(&mut self, quote: char) -> Result<(), LexError> {
        let (first, length, radix, max) = match self.advance() {
            Some('a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\') => return Ok(()),
            Some(c) if c == quote => return Ok(()),
            Some(c @ '0'..='7') => (Some(c), 3, 8, 255),
            Some('x') => (self.advance(), 2, 16, 255),
            Some('u') => (self.advance(), 4, 16, char::MAX as u32),
            Some('U') => (self.advance(), 8, 16, char::MAX as u32),
            None => return self.fail("escape sequence not terminated"),
            Some(c) => return self.fail(format!("unknown escape sequence {}", name_char(c))),
        };
        let (mut value, mut next) = (0u32, first);
        for remaining in (0..length).rev() {
            let Some(c) = next else { return self.fail("escape sequence not terminated") };
            let Some(digit) = c.to_digit(radix) else {
                return self.fail(format!("illegal character {} in escape sequence", name_char(c)));
            };
            value = value.wrapping_mul(radix).wrapping_add(digit);
            if remaining > 0 {
                next = self.advance();
            }
        }
        if value > max || SURROGATES.contains(&value) {
            return self.fail("escape sequence is an invalid Unicode code point");
        }
        Ok(())
    }
}

/// Go's `%#U`.
fn name_char(c: char) -> String {
    if c.is_control() { format!("U+{:04X}", c as u32) } else { format!("U+{:04X} '{c}'", c as u32) }
}

/// The bytes that a string token means. The lexer has checked its escapes.
pub(crate) fn unquote(token: &str) -> Vec<u8> {
    let inner = &token[1..token.len() - 1];
    if token.starts_with('`') || !inner.contains('\\') {
        return inner.as_bytes().to_vec();
    }
    let (mut out, mut rest) = (Vec::with_capacity(inner.len()), inner);
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let length = push_escape(&mut out, &rest[at + 1..]);
        rest = &rest[at + 1 + length..];
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

/// Appends what an escape sequence (without its backslash) means and tells its length.
fn push_escape(out: &mut Vec<u8>, escape: &str) -> usize {
    let number = |digits: std::ops::Range<usize>, radix| {
        escape.get(digits).and_then(|text| u32::from_str_radix(text, radix).ok()).unwrap_or_default()
    };
    let code_point = |value| char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER).to_string();
    let first = escape.as_bytes().first().copied().unwrap_or(b'\\');
    match first {
        b'a' => out.push(0x07),
        b'b' => out.push(0x08),
        b'f' => out.push(0x0c),
        b'n' => out.push(b'\n'),
        b'r' => out.push(b'\r'),
        b't' => out.push(b'\t'),
        b'v' => out.push(0x0b),
        b'0'..=b'7' => {
            out.push(number(0..3, 8) as u8);
            return 3;
        }
        b'x' => {
            out.push(number(1..3, 16) as u8);
            return 3;
        }
        b'u' => {
            out.extend_from_slice(code_point(number(1..5, 16)).as_bytes());
            return 5;
        }
        b'U' => {
            out.extend_from_slice(code_point(number(1..9, 16)).as_bytes());
            return 9;
        }
        other => out.push(other),
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_mean_bytes() {
        assert_eq!(unquote(r#""a\xff\377\u00e9\n\"""#), b"a\xff\xff\xc3\xa9\n\"");
        assert_eq!(unquote(r"'\''"), b"'");
        assert_eq!(unquote(r"`a\n`"), br"a\n");
    }
}
