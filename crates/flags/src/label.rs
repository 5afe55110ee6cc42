//! `--label k="v"`: a label name and a value quoted as in Go.

use thanoxide_model::Labels;
use thanoxide_model::LabelsBuilder;
use thiserror::Error;

/// A text that is no label; the texts are Thanos's.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum LabelError {
    /// No `=`, or nothing before it.
    #[error("unrecognized label {0:?}")]
    Unrecognized(String),
    /// The value is not a quoted Go string.
    #[error("invalid syntax\nunquote label value: {0}")]
    Unquote(String),
}

/// Parses labels; of two with one name the last one holds.
pub(crate) fn parse_labels<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Labels, LabelError> {
    let mut builder = LabelsBuilder::default();
    for text in texts {
        let unrecognized = || LabelError::Unrecognized(text.to_string());
        let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(unrecognized)?;
        let value = unquote(value).ok_or_else(|| LabelError::Unquote(text.to_string()))?;
        builder.set(name.as_bytes(), &value);
    }
    Ok(builder.build())
}

/// What a Go string literal, `"…"` or `` `…` ``, stands for.
fn unquote(text: &str) -> Option<Vec<u8>> {
    if let Some(raw) = text.strip_prefix('`') {
        let raw = raw.strip_suffix('`')?;
        return (!raw.contains('`')).then(|| raw.replace('\r', "").into_bytes());
    }
    let inner = text.strip_prefix('"')?.strip_suffix('"').filter(|_| text.len() > 1)?;
    let mut out = Vec::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' | '\n' => return None,
            '\\' => unescape(&mut chars, &mut out)?,
            c => push_char(&mut out, c),
        }
    }
    Some(out)
}

fn unescape(chars: &mut std::str::Chars<'_>, out: &mut Vec<u8>) -> Option<()> {
    let (radix, digits, first) = match chars.next()? {
        'a' => return byte(out, 7),
        'b' => return byte(out, 8),
        'f' => return byte(out, 12),
        'n' => return byte(out, b'\n'),
        'r' => return byte(out, b'\r'),
        't' => return byte(out, b'\t'),
        'v' => return byte(out, 11),
        c @ ('\\' | '"') => return byte(out, c as u8),
        'x' => (16, 2, None),
        'u' => (16, 4, None),
        'U' => (16, 8, None),
        c @ '0'..='7' => (8, 2, Some(c)),
        _ => return None,
    };
    let mut code = first.and_then(|c| c.to_digit(8)).unwrap_or(0);
    for _ in 0..digits {
        code = code.checked_mul(radix)?.checked_add(chars.next()?.to_digit(radix)?)?;
    }
    if digits == 2 {
        return byte(out, u8::try_from(code).ok()?);
    }
    push_char(out, char::from_u32(code)?);
    Some(())
}

fn byte(out: &mut Vec<u8>, byte: u8) -> Option<()> {
    out.push(byte);
    Some(())
}

fn push_char(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_values_only() {
        let labels = parse_labels(["replica=\"a\\\"b\\u00e4\\x41\\101\"", "b=`x`", "b=\"y\""].into_iter()).unwrap();
        let pairs: Vec<_> = labels.iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
        assert_eq!(pairs, [(b"b".to_vec(), b"y".to_vec()), (b"replica".to_vec(), "a\"bäAA".as_bytes().to_vec())]);
        assert_eq!(parse_labels(["a"].into_iter()), Err(LabelError::Unrecognized("a".to_string())));
        for bad in ["a=b", "a=\"", "a=\"x", "a=\"\\z\"", "a=\"\"\"", "a=\"\\777\"", "a=\"\\ud800\""] {
            assert_eq!(parse_labels([bad].into_iter()), Err(LabelError::Unquote(bad.to_string())), "{bad}");
        }
    }
}
