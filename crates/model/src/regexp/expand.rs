//! Go's replacement templates: `$1`, `$name`, `${name}`, `$$`.

/// Appends `template` with references replaced by what `group` (by number) and `named` (by name) give.
pub(super) fn expand<'v>(
    out: &mut Vec<u8>,
    template: &[u8],
    group: impl Fn(usize) -> Option<&'v [u8]>,
    named: impl Fn(&str) -> Option<&'v [u8]>,
) {
    let mut rest = template;
    while let Some(dollar) = memchr::memchr(b'$', rest) {
        out.extend_from_slice(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix(b"$") {
            out.push(b'$');
            rest = after;
        } else if let Some((name, after)) = reference(rest) {
            let value = number(name).map_or_else(|| named(name), &group);
            out.extend_from_slice(value.unwrap_or_default());
            rest = after;
        } else {
            out.push(b'$');
        }
    }
    out.extend_from_slice(rest);
}

/// The name after a dollar, as long as it can be, and the text after it.
fn reference(text: &[u8]) -> Option<(&str, &[u8])> {
    let braced = text.strip_prefix(b"{");
    let body = braced.unwrap_or(text);
    let valid = body.utf8_chunks().next()?.valid();
    let end = valid.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(valid.len());
    let (name, rest) = (&valid[..end], &body[end..]);
    match (name.is_empty(), braced) {
        (true, _) => None,
        (false, None) => Some((name, rest)),
        (false, Some(_)) => rest.strip_prefix(b"}").map(|rest| (name, rest)),
    }
}

/// A group number; numbers with leading zeros or beyond 10^9 are names.
fn number(name: &str) -> Option<usize> {
    let digits = name.bytes().all(|b| b.is_ascii_digit());
    (digits && name.len() <= 9 && (name == "0" || !name.starts_with('0'))).then(|| name.parse().ok()).flatten()
}
