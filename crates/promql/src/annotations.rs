//! What should be told to the user although the answer stands: warnings and infos, with Prometheus's texts.
//!
//! Notes are one per text; the position of the offending sub-expression is printed last, as ` (line:col)`, and takes no
//! part in that comparison. Of equal texts the position of the operator that is evaluated last is kept, whatever threads
//! there are; of texts that count, that of the first.

use std::collections::BTreeMap;

use jiff::Timestamp;
use thanoxide_model::float::format_g;
use thanoxide_model::labels::go_quote;

/// Which part of a query a note is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The turn of the operator in the order of evaluation: that of the syntax tree, from the bottom up.
    pub(crate) turn: u32,
    /// Where the part begins, bytes, or [`Place::FORGOTTEN`].
    pub(crate) start: usize,
}

impl Place {
    /// Prometheus does not know any more where a subquery was, and says that it was at the beginning.
    pub(crate) const FORGOTTEN: usize = usize::MAX;
}

/// How far an expression is from where the same stands earlier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shift {
    pub(crate) turns: u32,
    pub(crate) bytes: usize,
}

/// How much a note matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// The answer may be wrong.
    Warning,
    /// The question may be wrong.
    Info,
}

/// Which operation on histograms a note speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HistogramOperation {
    Add,
    Sub,
    Aggregate,
}

impl HistogramOperation {
    fn as_str(self) -> &'static str {
        match self {
            HistogramOperation::Add => "addition",
            HistogramOperation::Sub => "subtraction",
            HistogramOperation::Aggregate => "aggregation",
        }
    }
}

/// What a note counts, if it counts.
#[derive(Clone, Debug, PartialEq)]
enum Tally {
    None,
    Occurrences(u64),
    Monotonicity { min_bucket: f64, max_bucket: f64, max_diff: f64, samples: i64, min_ms: i64, max_ms: i64 },
}

/// One warning or info.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Note {
    level: Level,
    text: String,
    position: Place,
    tally: Tally,
}

impl Note {
    fn new(level: Level, text: String, position: Place) -> Self {
        Note { level, text, position, tally: Tally::None }
    }

    fn warning(position: Place, text: String) -> Self {
        Note::new(Level::Warning, format!("PromQL warning: {text}"), position)
    }

    fn info(position: Place, text: String) -> Self {
        Note::new(Level::Info, format!("PromQL info: {text}"), position)
    }

    pub(crate) fn invalid_quantile(q: f64, position: Place) -> Self {
        let text = format!("quantile value should be between 0 and 1, got {}", format_g(q));
        Note::warning(position, text)
    }

    pub(crate) fn invalid_ratio(ratio: f64, capped: f64, position: Place) -> Self {
        let (ratio, capped) = (format_g(ratio), format_g(capped));
        Note::warning(position, format!("ratio value should be between -1 and 1, got {ratio}, capping to {capped}"))
    }

    pub(crate) fn bad_bucket_label(name: &[u8], le: &[u8], position: Place) -> Self {
        let text = format!("bucket label \"le\" is missing or has a malformed value of {}", go_quote(le));
        Note::warning(position, with_name(text, name))
    }

    pub(crate) fn mixed_floats_histograms(name: &[u8], position: Place) -> Self {
        let text = format!("encountered a mix of histograms and floats for metric name {}", go_quote(name));
        Note::warning(position, text)
    }

    pub(crate) fn mixed_in_aggregation(position: Place) -> Self {
        Note::warning(position, "encountered a mix of histograms and floats for aggregation".into())
    }

    pub(crate) fn mixed_classic_native(name: &[u8], position: Place) -> Self {
        let text = "vector contains a mix of classic and native histograms".to_string();
        Note::warning(position, with_name(text, name))
    }

    pub(crate) fn not_counter(name: &[u8], position: Place) -> Self {
        Note::warning(position, format!("this native histogram metric is not a counter: {}", go_quote(name)))
    }

    pub(crate) fn not_gauge(name: &[u8], position: Place) -> Self {
        Note::warning(position, format!("this native histogram metric is not a gauge: {}", go_quote(name)))
    }

    pub(crate) fn mixed_exponential_custom(name: &[u8], position: Place) -> Self {
        let text = "vector contains a mix of histograms with exponential and custom buckets schemas for metric name";
        Note::warning(position, format!("{text} {}", go_quote(name)))
    }

    pub(crate) fn incompatible_bucket_layout(operator: &str, position: Place) -> Self {
        Note::warning(position, format!("incompatible bucket layout encountered for binary operator {operator}"))
    }

    pub(crate) fn sort_in_range_query(position: Place) -> Self {
        let text = "sort is ineffective for range queries since results are always ordered by labels";
        Note::warning(position, text.into())
    }

    pub(crate) fn reset_collision(operation: HistogramOperation, position: Place) -> Self {
        let text = format!("conflicting counter resets during histogram {}", operation.as_str());
        Note::warning(position, text)
    }

    pub(crate) fn start_time_overlap(name: &[u8], position: Place) -> Self {
        let text =
            format!("sample has start time that overlaps with previous sample timestamp for metric {}", go_quote(name));
        Note { tally: Tally::Occurrences(1), ..Note::warning(position, text) }
    }

    pub(crate) fn possible_non_counter(name: &[u8], position: Place) -> Self {
        let text = "metric might not be a counter, name does not end in _total/_sum/_count/_bucket:";
        Note::info(position, format!("{text} {}", go_quote(name)))
    }

    pub(crate) fn possible_non_counter_label(name: &[u8], kind: &[u8], position: Place) -> Self {
        let text = "metric might not be a counter, __type__ label is not set to \"counter\" or \"histogram\", got";
        Note::info(position, format!("{text} {}: {}", go_quote(kind), go_quote(name)))
    }

    pub(crate) fn forced_monotonicity(name: &[u8], position: Place, fixes: &MonotonicityFixes) -> Self {
        let text = "input to histogram_quantile needed to be fixed for monotonicity (see \
                    https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)";
        let tally = Tally::Monotonicity {
            min_bucket: fixes.sum.min_bucket,
            max_bucket: fixes.sum.max_bucket,
            max_diff: fixes.sum.max_diff,
            samples: fixes.counted.wrapping_add(1),
            min_ms: fixes.first_ms,
            max_ms: fixes.last_ms,
        };
        Note { tally, ..Note::info(position, with_name(text.into(), name)) }
    }

    pub(crate) fn incompatible_types(left: &str, operator: &str, right: &str, position: Place) -> Self {
        let text = "incompatible sample types encountered for binary operator";
        Note::info(position, format!("{text} {}: {left} {operator} {right}", go_quote(operator.as_bytes())))
    }

    pub(crate) fn ignored_in_aggregation(aggregation: &str, position: Place) -> Self {
        Note::info(position, format!("ignored histogram in {aggregation} aggregation"))
    }

    pub(crate) fn ignored_in_mixed_range(name: &[u8], position: Place) -> Self {
        let text = "ignored histograms in a range containing both floats and histograms for metric name";
        Note::info(position, format!("{text} {}", go_quote(name)))
    }

    pub(crate) fn quantile_is_nan(name: &[u8], position: Place) -> Self {
        let text = "input to histogram_quantile has NaN observations, result is NaN".to_string();
        Note::info(position, with_name(text, name))
    }

    pub(crate) fn quantile_is_skewed(name: &[u8], position: Place) -> Self {
        let text = "input to histogram_quantile has NaN observations, result is skewed higher".to_string();
        Note::info(position, with_name(text, name))
    }

    pub(crate) fn fraction_excludes_nan(name: &[u8], position: Place) -> Self {
        let text = "input to histogram_fraction has NaN observations, which are excluded from all fractions";
        Note::info(position, with_name(text.into(), name))
    }

    pub(crate) fn reconciled_custom_buckets(operation: HistogramOperation, position: Place) -> Self {
        let text = format!("mismatched custom buckets were reconciled during {}", operation.as_str());
        Note::info(position, text)
    }

    /// Whether it is an info.
    pub(crate) fn is_info(&self) -> bool {
        self.level == Level::Info
    }

    fn absorb(&mut self, other: Note) {
        self.position = match &self.tally {
            Tally::None => self.position.max(other.position),
            Tally::Occurrences(_) | Tally::Monotonicity { .. } => self.position.min(other.position),
        };
        match (&mut self.tally, other.tally) {
            (Tally::Occurrences(count), Tally::Occurrences(more)) => *count += more,
            (
                Tally::Monotonicity { min_bucket, max_bucket, max_diff, samples, min_ms, max_ms },
                Tally::Monotonicity {
                    min_bucket: other_min_bucket,
                    max_bucket: other_max_bucket,
                    max_diff: other_max_diff,
                    samples: other_samples,
                    min_ms: other_min_ms,
                    max_ms: other_max_ms,
                },
            ) => {
                *min_bucket = min_bucket.min(other_min_bucket);
                *max_bucket = max_bucket.max(other_max_bucket);
                *max_diff = max_diff.max(other_max_diff);
                *samples = samples.wrapping_add(other_samples);
                *min_ms = (*min_ms).min(other_min_ms);
                *max_ms = (*max_ms).max(other_max_ms);
            }
            _ => {}
        }
    }

    fn print(&self, query: &str) -> String {
        let at = match self.position.start {
            Place::FORGOTTEN => line_and_column(query, 0),
            start => line_and_column(query, start),
        };
        let text = &self.text;
        match &self.tally {
            Tally::Occurrences(count) if *count > 1 => format!("{text} ({count} occurrences) ({at})"),
            Tally::Monotonicity { min_bucket, max_bucket, max_diff, samples, min_ms, max_ms } => format!(
                "{text}, from buckets {} to {}, with a max diff of {}, over {samples} samples from {} to {} ({at})",
                format_g(*min_bucket),
                format_g(*max_bucket),
                format_two_digits(*max_diff),
                rfc3339(*min_ms),
                rfc3339(*max_ms),
            ),
            _ => format!("{text} ({at})"),
        }
    }
}

/// What was done to classic buckets whose counts decrease.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct MonotonicityFix {
    pub(crate) min_bucket: f64,
    pub(crate) max_bucket: f64,
    pub(crate) max_diff: f64,
}

/// All fixes that one operator made to the histograms of one name.
#[derive(Clone, Debug)]
pub(crate) struct MonotonicityFixes {
    sum: MonotonicityFix,
    first_ms: i64,
    last_ms: i64,
    /// Fixes but one, as Prometheus counts them.
    counted: i64,
    begun: bool,
}

impl MonotonicityFixes {
    pub(crate) fn new(first: MonotonicityFix, time_ms: i64) -> Self {
        MonotonicityFixes { sum: first, first_ms: time_ms, last_ms: time_ms, counted: 0, begun: false }
    }

    /// Takes in one more.
    pub(crate) fn add(&mut self, fix: MonotonicityFix, time_ms: i64) {
        self.sum.min_bucket = self.sum.min_bucket.min(fix.min_bucket);
        self.sum.max_bucket = self.sum.max_bucket.max(fix.max_bucket);
        self.sum.max_diff = self.sum.max_diff.max(fix.max_diff);
        (self.first_ms, self.last_ms) = (self.first_ms.min(time_ms), self.last_ms.max(time_ms));
    }

    /// Counts the fixes of one step. Prometheus merges its notes of all steps so far with themselves in every step, so
    /// that the count about doubles each time; for the same text we must, too.
    pub(crate) fn count_step(&mut self, fixes: i64) {
        if self.begun {
            self.counted = self.counted.wrapping_add(fixes).wrapping_mul(2).wrapping_add(1);
        } else if fixes > 0 {
            self.counted = fixes - 1;
            self.begun = true;
        }
    }
}

fn with_name(text: String, name: &[u8]) -> String {
    if name.is_empty() { text } else { format!("{text} for metric name {}", go_quote(name)) }
}

/// `line:col` of a byte position, both from 1, columns in bytes.
fn line_and_column(query: &str, position: usize) -> String {
    let before = &query.as_bytes()[..position.min(query.len())];
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
    format!("{line}:{column}")
}

/// Whole seconds in UTC, as RFC 3339 writes them.
fn rfc3339(time_ms: i64) -> String {
    match Timestamp::from_second(time_ms / 1000) {
        Ok(time) => time.to_string(),
        Err(_) => (time_ms / 1000).to_string(),
    }
}

/// Go's `%.2g`.
fn format_two_digits(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format_g(value);
    }
    let rounded: f64 = format!("{value:.1e}").parse().unwrap_or(value);
    if (1e-4..100.0).contains(&rounded.abs()) { format_g(rounded) } else { thanoxide_model::float::format_e(rounded) }
}

/// A set of notes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Annotations {
    notes: BTreeMap<String, Note>,
}

impl Annotations {
    /// Adds one, or counts it again.
    pub(crate) fn add(&mut self, note: Note) {
        match self.notes.get_mut(&note.text) {
            Some(known) => known.absorb(note),
            None => {
                self.notes.insert(note.text.clone(), note);
            }
        }
    }

    /// Adds all of another set.
    pub(crate) fn merge(&mut self, other: Annotations) {
        for note in other.notes.into_values() {
            self.add(note);
        }
    }

    /// The same, told of a place further on.
    pub(crate) fn shifted(&self, by: Shift) -> Annotations {
        let mut shifted = self.clone();
        for note in shifted.notes.values_mut() {
            note.position.turn += by.turns;
            note.position.start = note.position.start.saturating_add(by.bytes);
        }
        shifted
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.notes.is_empty()
    }

    /// The texts of a level, with positions in the query.
    pub(crate) fn texts(&self, level: Level, query: &str) -> Vec<String> {
        self.notes.values().filter(|n| n.level == level).map(|n| n.print(query)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: usize) -> Place {
        Place { turn: start as u32, start }
    }

    #[test]
    fn equal_texts_are_one() {
        let mut notes = Annotations::default();
        notes.add(Note::possible_non_counter(b"a", at(3)));
        notes.add(Note::possible_non_counter(b"a", at(9)));
        notes.add(Note::start_time_overlap(b"a", at(0)));
        notes.add(Note::start_time_overlap(b"a", at(0)));
        assert_eq!(notes.texts(Level::Info, "0123\n56789").len(), 1);
        assert!(notes.texts(Level::Info, "0123\n56789")[0].ends_with("_bucket: \"a\" (2:5)"));
        assert!(notes.texts(Level::Warning, "x")[0].ends_with("for metric \"a\" (2 occurrences) (1:1)"));
    }

    #[test]
    fn two_digits_are_gos() {
        for (value, text) in [(0.123, "0.12"), (12.6, "13"), (99.9, "1e+02"), (1234.0, "1.2e+03"), (1.0, "1")] {
            assert_eq!(format_two_digits(value), text);
        }
    }
}
