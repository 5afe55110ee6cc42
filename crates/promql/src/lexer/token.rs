//! What the lexer finds.

use thanoxide_model::labels::go_quote;

use crate::ast::{AggregateOp, BinaryOp, Span};

/// Of `count_values`.
const LONGEST_KEYWORD: usize = 12;

/// A piece of the query text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) span: Span,
}

/// What a token is. Words keep their meaning as keyword; where a name is wanted, the parser takes them as names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    EndOfInput,
    Comma,
    Colon,
    /// `=`
    Assign,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    LeftParen,
    RightParen,
    Identifier,
    /// A name with a colon.
    MetricIdentifier,
    Number,
    Duration,
    String,
    Operator(BinaryOp),
    /// `=~`
    MatchRegexp,
    /// `!~`
    MatchNotRegexp,
    /// `@`
    At,
    Aggregate(AggregateOp),
    Keyword(Keyword),
    Builtin(Builtin),
}

/// A word of the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keyword {
    Anchored,
    Bool,
    By,
    Fill,
    FillLeft,
    FillRight,
    GroupLeft,
    GroupRight,
    Ignoring,
    Offset,
    On,
    Smoothed,
    Without,
}

/// A function that has a meaning of its own in some place: after `@`, or in a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Builtin {
    Start,
    End,
    Step,
    Range,
    MaxOf,
    MinOf,
}

impl TokenKind {
    /// The keyword or special number of a word, whatever its case.
    pub(crate) fn of_word(word: &str) -> Option<TokenKind> {
        let mut lower = [0; LONGEST_KEYWORD];
        let lower = lower.get_mut(..word.len())?;
        lower.copy_from_slice(word.as_bytes());
        lower.make_ascii_lowercase();
        TokenKind::of_lower_case(std::str::from_utf8(lower).ok()?)
    }

    fn of_lower_case(word: &str) -> Option<TokenKind> {
        Some(match word {
            "and" => TokenKind::Operator(BinaryOp::And),
            "or" => TokenKind::Operator(BinaryOp::Or),
            "unless" => TokenKind::Operator(BinaryOp::Unless),
            "atan2" => TokenKind::Operator(BinaryOp::Atan2),
            "anchored" => TokenKind::Keyword(Keyword::Anchored),
            "bool" => TokenKind::Keyword(Keyword::Bool),
            "by" => TokenKind::Keyword(Keyword::By),
            "fill" => TokenKind::Keyword(Keyword::Fill),
            "fill_left" => TokenKind::Keyword(Keyword::FillLeft),
            "fill_right" => TokenKind::Keyword(Keyword::FillRight),
            "group_left" => TokenKind::Keyword(Keyword::GroupLeft),
            "group_right" => TokenKind::Keyword(Keyword::GroupRight),
            "ignoring" => TokenKind::Keyword(Keyword::Ignoring),
            "offset" => TokenKind::Keyword(Keyword::Offset),
            "on" => TokenKind::Keyword(Keyword::On),
            "smoothed" => TokenKind::Keyword(Keyword::Smoothed),
            "without" => TokenKind::Keyword(Keyword::Without),
            "start" => TokenKind::Builtin(Builtin::Start),
            "end" => TokenKind::Builtin(Builtin::End),
            "inf" | "nan" => TokenKind::Number,
            _ => match AggregateOp::of_name(word) {
                Some(op) => TokenKind::Aggregate(op),
                None => TokenKind::Builtin(Builtin::of_duration(word)?),
            },
        })
    }

    /// Whether the word may name a metric.
    pub(crate) fn is_metric_name(self) -> bool {
        match self {
            TokenKind::Identifier | TokenKind::MetricIdentifier | TokenKind::Aggregate(_) | TokenKind::Builtin(_) => {
                true
            }
            TokenKind::Operator(op) => op.is_set(),
            TokenKind::Keyword(word) => !matches!(
                word,
                Keyword::Bool | Keyword::GroupLeft | Keyword::GroupRight | Keyword::Ignoring | Keyword::On
            ),
            _ => false,
        }
    }

    /// Whether the word may name a label in a list of labels.
    pub(crate) fn is_label_name(self) -> bool {
        match self {
            TokenKind::Identifier | TokenKind::MetricIdentifier | TokenKind::Aggregate(_) | TokenKind::Builtin(_) => {
                true
            }
            TokenKind::Operator(op) => op.is_set() || op == BinaryOp::Atan2,
            TokenKind::Keyword(word) => word != Keyword::Without,
            _ => false,
        }
    }

    /// Whether an expression may begin with it.
    pub(crate) fn starts_expression(self) -> bool {
        use TokenKind::{Duration, LeftBrace, LeftParen, Number, Operator, String};
        self.is_metric_name()
            || matches!(self, Number | Duration | String | LeftParen | LeftBrace)
            || matches!(self, Operator(BinaryOp::Add | BinaryOp::Sub))
    }

    /// What error messages call it, given its text.
    pub(crate) fn describe(self, text: &str) -> String {
        match self {
            TokenKind::EndOfInput => "end of input".to_string(),
            TokenKind::Identifier => format!("identifier {}", go_quote(text.as_bytes())),
            TokenKind::MetricIdentifier => format!("metric identifier {}", go_quote(text.as_bytes())),
            TokenKind::Number => format!("number {}", quote_start(text)),
            TokenKind::Duration => format!("duration {}", quote_start(text)),
            TokenKind::String => format!("string {}", quote_start(text)),
            TokenKind::Keyword(_) => format!("<{text}>"),
            TokenKind::Aggregate(_) => format!("<aggr:{text}>"),
            TokenKind::Operator(_) | TokenKind::MatchRegexp | TokenKind::MatchNotRegexp | TokenKind::At => {
                format!("<op:{text}>")
            }
            _ => quote_start(text),
        }
    }
}

impl Builtin {
    /// The function of that name that durations know.
    pub(crate) fn of_duration(word: &str) -> Option<Builtin> {
        Some(match word {
            "step" => Builtin::Step,
            "range" => Builtin::Range,
            "max_of" => Builtin::MaxOf,
            "min_of" => Builtin::MinOf,
            _ => return None,
        })
    }
}

/// Quotes a text; of a long one only the first ten characters.
fn quote_start(text: &str) -> String {
    if text.len() <= 10 {
        return go_quote(text.as_bytes());
    }
    let end = text.char_indices().nth(10).map_or(text.len(), |(at, _)| at);
    go_quote(&text.as_bytes()[..end]) + "..."
}

/// Go's `%q` of a character; the end of the input counts as U+FFFD.
pub(crate) fn quote_char(c: Option<char>) -> String {
    match c {
        None => "'\u{fffd}'".to_string(),
        Some('\'') => r"'\''".to_string(),
        Some('"') => "'\"'".to_string(),
        Some(c) => {
            let quoted = go_quote(c.to_string().as_bytes());
            format!("'{}'", &quoted[1..quoted.len() - 1])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_keywords_in_any_case() {
        assert_eq!(TokenKind::of_word("COUNT_values"), Some(TokenKind::Aggregate(AggregateOp::CountValues)));
        assert_eq!(TokenKind::of_word("NaN"), Some(TokenKind::Number));
        for word in ["", "count_valuesx", "count_value", "su"] {
            assert_eq!(TokenKind::of_word(word), None, "{word}");
        }
        for op in ["avg", "bottomk", "group", "limit_ratio", "limitk", "quantile", "stddev", "stdvar", "topk"] {
            assert!(matches!(TokenKind::of_word(op), Some(TokenKind::Aggregate(found)) if found.as_str() == op));
        }
    }
}
