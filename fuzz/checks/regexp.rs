//! What must hold for any pattern and value.

use thanoxide_model::Regexp;

/// The shortcuts of a pattern say the same as its program. A NUL byte stands between pattern and value.
pub(crate) fn agree(data: &[u8]) {
    let mut parts = data.splitn(3, |byte| *byte == 0);
    let (Some(pattern), value, template) = (parts.next(), parts.next().unwrap_or(b""), parts.next().unwrap_or(b"$0"))
    else {
        return;
    };
    let Ok(regexp) = Regexp::new(pattern) else { return };
    let matches = regexp.is_match(value);
    // A group that says nothing keeps a pattern from being taken for literals or a glob.
    let programmed = [b"(?:".as_slice(), pattern, b")(?:$|\\b\\B[^\\x00-\\x{10FFFF}])"].concat();
    if let Ok(programmed) = Regexp::new(&programmed) {
        assert_eq!(programmed.is_match(value), matches, "{pattern:?} {value:?}");
    }
    if let Some(set) = regexp.set_matches() {
        assert_eq!(set.iter().any(|literal| **literal == *value), matches, "{pattern:?} {value:?}");
        set.iter().for_each(|literal| assert!(regexp.is_match(literal), "{pattern:?} {literal:?}"));
    }
    if matches {
        assert!(value.starts_with(regexp.prefix()) && value.ends_with(regexp.suffix()), "{pattern:?} {value:?}");
    }
    assert_eq!(regexp.captures_expand(value, template).is_some(), matches, "{pattern:?} {value:?}");
}
