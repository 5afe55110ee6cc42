//! From text to a type-checked tree.

use thiserror::Error;

use crate::ast::Span;

/// Which parts of the language are switched on, and how deep a tree may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseOptions {
    /// Experimental functions and aggregations (`promql-experimental-functions`).
    pub experimental_functions: bool,
    /// Arithmetic in durations; on by default as in Prometheus since 3.14.
    pub duration_expressions: bool,
    /// `anchored` and `smoothed` (`promql-extended-range-selectors`).
    pub extended_range_selectors: bool,
    /// `fill`, `fill_left`, `fill_right` (`promql-binop-fill-modifiers`).
    pub fill_modifiers: bool,
    /// The most levels of a tree; deeper queries are refused.
    pub max_depth: usize,
}

impl Default for ParseOptions {
    fn default() -> Self {
        ParseOptions {
            experimental_functions: false,
            duration_expressions: true,
            extended_range_selectors: false,
            fill_modifiers: false,
            max_depth: MAX_DEPTH,
        }
    }
}

/// The default of [`ParseOptions::max_depth`]: recursion over such a tree fits the stack of any thread.
pub const MAX_DEPTH: usize = 512;

/// A text that is no query. Displays as `line:col: parse error: message`.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{position}: parse error: {message}")]
pub struct ParseError {
    /// Where the error is, in bytes.
    pub span: Span,
    /// `line:col` of its start.
    pub position: String,
    /// What is wrong.
    pub message: String,
}
