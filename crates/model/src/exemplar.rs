//! Exemplars: single observations that point elsewhere, mostly to a trace, beside a series' samples.

use crate::labels::Labels;

/// The most characters that names and values of an exemplar's labels may have together, as OpenMetrics has it.
pub const MAX_EXEMPLAR_LABEL_CHARS: usize = 128;

/// One observation with labels of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// What it points to.
    pub labels: Labels,
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// What was observed.
    pub value: f64,
}

/// The exemplars of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesExemplars {
    /// The series.
    pub labels: Labels,
    /// Its exemplars, by time.
    pub exemplars: Vec<Exemplar>,
}

/// How many characters a text has, where each byte that is not part of one counts, as Go counts them.
pub fn char_count(text: &[u8]) -> usize {
    text.utf8_chunks().map(|chunk| chunk.valid().chars().count() + chunk.invalid().len()).sum()
}

/// Whether an exemplar's labels are as short as they must be. Empty values do not count.
pub fn is_short_enough<'a>(labels: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> bool {
    let kept = labels.into_iter().filter(|(_, value)| !value.is_empty());
    let mut chars = 0;
    kept.map(|(name, value)| char_count(name) + char_count(value)).all(|count| {
        chars += count;
        chars <= MAX_EXEMPLAR_LABEL_CHARS
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_counted_as_go_does() {
        assert_eq!(char_count("aä€𝄞".as_bytes()), 4);
        // Of a character that is cut off each byte counts.
        assert_eq!(char_count(b"\xe2\x82a\xff"), 4);
    }

    #[test]
    fn labels_end_at_128_characters() {
        let value = "ä".repeat(126);
        assert!(is_short_enough([(b"ab".as_slice(), value.as_bytes()), (b"empty", b"")]));
        assert!(!is_short_enough([(b"abc".as_slice(), value.as_bytes())]));
    }
}
