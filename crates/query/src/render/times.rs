//! The texts of times: series of one answer have their points at the same steps, so each text is made once.

use crate::json::push_timestamp;

/// Longer than `,[-9223372036854775.808,`.
pub(super) const TIME_BYTES: usize = 32;

/// `,[time,`.
#[derive(Debug)]
pub(super) struct TimeText {
    time_ms: i64,
    pub(super) bytes: [u8; TIME_BYTES],
    pub(super) length: usize,
}

/// Texts of the longest row of times so far, and a place in them.
#[derive(Debug)]
pub(super) struct Times {
    texts: Vec<TimeText>,
    at: usize,
    /// Of a time that is not among them.
    other: TimeText,
}

impl TimeText {
    fn of(time_ms: i64) -> Self {
        let mut text = String::from(",[");
        push_timestamp(&mut text, time_ms);
        text.push(',');
        let mut bytes = [0; TIME_BYTES];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        TimeText { time_ms, bytes, length: text.len() }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Default for Times {
    fn default() -> Self {
        Times { texts: Vec::new(), at: 0, other: TimeText::of(0) }
    }
}

impl Times {
    /// Before a row of times that rise.
    pub(super) fn begin(&mut self, times_ms: impl ExactSizeIterator<Item = i64>) {
        self.at = 0;
        if times_ms.len() > self.texts.len() {
            self.texts = times_ms.map(TimeText::of).collect();
        }
    }

    /// The text of the next time of the row.
    #[inline]
    pub(super) fn text(&mut self, time_ms: i64) -> &TimeText {
        // Where times are missing from this row the known ones are further on.
        while self.texts.get(self.at).is_some_and(|t| t.time_ms < time_ms) {
            self.at += 1;
        }
        if self.texts.get(self.at).is_some_and(|t| t.time_ms == time_ms) {
            return &self.texts[self.at];
        }
        self.other = TimeText::of(time_ms);
        &self.other
    }
}
