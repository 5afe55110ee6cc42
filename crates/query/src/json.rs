//! Parts of answers as JSON text, written straight: no tree in between.
//!
//! The form is that of Go's encoder: `<`, `>` and `&` are escaped, bytes that are not UTF-8 become U+FFFD, times are
//! seconds with three decimals or none.

use thanoxide_model::Labels;

/// Bytes that stand for themselves: ASCII without control characters and what Go's encoder escapes.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0x20;
    while byte < 0x80 {
        plain[byte as usize] = !matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&');
        byte += 1;
    }
    plain
};

/// Appends a JSON string.
pub fn push_string(out: &mut String, bytes: &[u8]) {
    out.push('"');
    if let (true, Ok(plain)) = (bytes.iter().all(|b| PLAIN[usize::from(*b)]), std::str::from_utf8(bytes)) {
        out.push_str(plain);
        out.push('"');
        return;
    }
    for chunk in bytes.utf8_chunks() {
        push_escaped(out, chunk.valid());
        if !chunk.invalid().is_empty() {
            out.push_str("\\ufffd");
        }
    }
    out.push('"');
}

/// Whatever needs no escape goes in one piece.
fn push_escaped(out: &mut String, mut text: &str) {
    let is_special = |c: char| matches!(c, '"' | '\\' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}') || (c as u32) < 0x20;
    while let Some(at) = text.find(is_special) {
        let (plain, rest) = text.split_at(at);
        out.push_str(plain);
        let mut rest = rest.chars();
        rest.by_ref().take(1).for_each(|c| push_char(out, c));
        text = rest.as_str();
    }
    out.push_str(text);
}

fn push_char(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", c as u32)),
        c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
        c => out.push(c),
    }
}

/// Appends a set of labels as an object.
pub fn push_labels(out: &mut String, labels: &Labels) {
    out.push('{');
    for (i, (name, value)) in labels.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_string(out, name);
        out.push(':');
        push_string(out, value);
    }
    out.push('}');
}

/// Appends items with commas between them, in brackets.
pub fn push_array<T>(out: &mut String, items: impl IntoIterator<Item = T>, mut push: impl FnMut(&mut String, T)) {
    out.push('[');
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push(out, item);
    }
    out.push(']');
}

/// Appends a whole number.
fn push_integer(out: &mut String, value: i64) {
    if value < 0 {
        out.push('-');
    }
    let (mut digits, mut at, mut rest) = ([0u8; 20], 20, value.unsigned_abs());
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.push_str(std::str::from_utf8(&digits[at..]).expect("digits are ASCII"));
}

/// Appends a time: whole seconds, or seconds with three decimals.
pub fn push_timestamp(out: &mut String, timestamp_ms: i64) {
    let (seconds, ms) = (timestamp_ms / 1000, timestamp_ms.unsigned_abs() % 1000);
    if timestamp_ms < 0 && seconds == 0 {
        out.push('-');
    }
    push_integer(out, seconds);
    if ms != 0 {
        out.push('.');
        [ms / 100, ms / 10 % 10, ms % 10].iter().for_each(|d| out.push(char::from(b'0' + *d as u8)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_gos() {
        let mut out = String::new();
        push_string(&mut out, b"a<b>&\"\\\n\x01\xff\xfez");
        assert_eq!(out, r#""a\u003cb\u003e\u0026\"\\\n\u0001\ufffd\ufffdz""#);
    }

    #[test]
    fn times() {
        let mut out = String::new();
        for t in [0, 1_000, 1_500, 1_005, -1_500] {
            push_timestamp(&mut out, t);
            out.push(' ');
        }
        assert_eq!(out, "0 1 1.500 1.005 -1.500 ");
    }
}
