//! Where a node is in the query text.

/// A range of bytes of the query text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
}

impl Span {
    /// The range `start..end`.
    pub fn new(start: usize, end: usize) -> Self {
        Span { start, end }
    }

    /// From the start of this to the end of `last`.
    pub fn to(self, last: Span) -> Span {
        Span { start: self.start, end: last.end }
    }

    /// `line:column` of the start, both from 1, columns in bytes.
    pub fn line_column(self, query: &str) -> String {
        if query.is_empty() {
            return "unknown position".to_string();
        }
        let Some(before) = query.as_bytes().get(..self.start) else {
            return "invalid position".to_string();
        };
        let line = before.iter().filter(|&&b| b == b'\n').count() + 1;
        let line_start = before.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        format!("{line}:{}", self.start - line_start + 1)
    }
}
