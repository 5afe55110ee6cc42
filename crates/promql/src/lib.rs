//! PromQL of Prometheus 3.14: lexer, parser, printer and engine.
//!
//! The language half turns text into a tree and back. Start at [`parser::parse`], which gives an [`ast::Expr`] that is
//! already type-checked; [`printer`] prints it as Prometheus prints it, [`json`] writes the body of `parse_query`,
//! [`visit`] walks it, collects matchers and enforces labels, [`sharding`] says by which labels it may be split. [`signature`] is the table of functions.
//!
//! The engine half evaluates a tree over storage: [`engine::Engine`] is the door, [`value`] what comes out of it, [`analysis`] what each
//! operator took. `plan`
//! turns the tree into operators, `exec` holds those, `functions` and `aggregate` what they compute, `annotations` what
//! users are told, `limits` what stops a query.
//!
//! It knows no storage: series come in through the traits of `thanoxide_model::series`, times as numbers. The one clock
//! is that of the timeout, and is passed in.
//!
//! Invariants:
//! * A tree from the parser is well-typed and at most [`parser::ParseOptions::max_depth`] levels deep, so that
//!   recursion over it (drop, print, evaluate) needs a bounded stack.
//! * Error texts and positions are Prometheus's own, byte for byte; only the first error is reported.
//! * Strings of the language are bytes: `"\xff"` is one byte, not a code point.

mod aggregate;
pub mod analysis;
mod annotations;
pub mod ast;
pub mod engine;
mod exec;
mod functions;
pub mod json;
mod lexer;
pub mod limits;
pub mod parser;
mod plan;
pub mod points;
pub mod printer;
pub mod sharding;
pub mod signature;
pub mod types;
pub mod value;
pub mod visit;

pub use engine::{Engine, EngineOptions, Query, QueryError, QueryOptions, QueryResult, QueryStats};
pub use limits::Interrupt;
pub use points::Points;
pub use value::{MatrixSeries, QueryValue, Value, VectorSample};
