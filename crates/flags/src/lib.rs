//! Command-line flags as data, in the form of kingpin, the parser that Thanos uses.
//!
//! Start at [`App`], a program's commands, each a [`CommandDef`] with a list of [`FlagDef`]. [`App::parse`] turns
//! arguments into [`Matches`] with typed getters, into a text to print (`--help`, `--version`), or into an error with
//! kingpin's text and exit status. [`tables`] holds the flags of our commands.
//!
//! It is no general parser: commands are one word, there are no positional arguments, no environment bindings, no shell
//! completion. Values are checked while parsing, by the grammar of their [`Kind`] and with Go's error texts; getters
//! cannot fail for a flag of the right kind.
//!
//! Invariants:
//! * No flag is dropped silently: a flag that Thanos has and we do not serve is known by name and refused unless it is
//!   given its default value.
//! * Names and defaults are Thanos's; help texts are ours, their layout is kingpin's.

mod app;
mod content;
mod flag;
mod help;
mod label;
mod matches;
mod parse;
pub mod tables;
mod value;
mod wrap;

pub use app::{App, BuildText, CommandDef};
pub use content::{ContentError, expand_env};
pub use flag::{FlagDef, Kind, Support};
pub use label::LabelError;
pub use matches::Matches;
pub use parse::{ParseError, Parsed};
pub use value::{ValueError, parse_bytes, parse_go_duration_ns};
