//! Backslash and what may follow it to mean one character.

use super::RegexpError;

/// The code point of the escape that `text` begins with, and the text after it. It may be a surrogate.
pub(super) fn escape(text: &str) -> Result<(u32, &str), RegexpError> {
    let mut rest = text[1..].chars();
    let Some(c) = rest.next() else {
        return Err(RegexpError::new("trailing backslash at end of expression", ""));
    };
    let code = match c {
        '0' => Some(octal(0, &mut rest)),
        // A digit alone would refer back to a group, which RE2 cannot do.
        '1'..='7' if rest.as_str().starts_with(|d| matches!(d, '0'..='7')) => Some(octal(c as u32 - 48, &mut rest)),
        'x' => hex(&mut rest),
        'a' => Some(7),
        'f' => Some(12),
        'n' => Some(10),
        'r' => Some(13),
        't' => Some(9),
        'v' => Some(11),
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(c as u32),
        _ => None,
    };
    let end = text.len() - rest.as_str().len();
    match code {
        Some(code) => Ok((code, rest.as_str())),
        None => Err(RegexpError::new("invalid escape sequence", &text[..end])),
    }
}

/// Up to two more octal digits.
fn octal(first: u32, rest: &mut std::str::Chars<'_>) -> u32 {
    let mut code = first;
    for _ in 0..2 {
        match rest.as_str().chars().next().and_then(|c| c.to_digit(8)) {
            Some(digit) => code = code * 8 + digit,
            None => break,
        }
        rest.next();
    }
    code
}

/// `xFF` or `x{10FFFF}`, the `x` being read already.
fn hex(rest: &mut std::str::Chars<'_>) -> Option<u32> {
    let first = rest.next()?;
    if first != '{' {
        let second = rest.next()?;
        return Some(first.to_digit(16)? * 16 + second.to_digit(16)?);
    }
    let mut code = None;
    loop {
        match rest.next()? {
            '}' => return code,
            c => code = Some(code.unwrap_or(0) * 16 + c.to_digit(16)?).filter(|code| *code <= char::MAX as u32),
        }
        code?;
    }
}
