//! The flags of our commands. Names and defaults of stock commands are Thanos's 0.43; what is marked as not supported
//! yet is refused with any other value than its default.

mod listeners;
mod otlp;
pub mod query;
pub mod receive;
pub mod standalone;
pub mod store;
pub mod tools;

use crate::app::{App, BuildText};
use crate::flag::{FlagDef, Kind};

/// Flags of every command.
pub const COMMON: &[FlagDef] = &[
    FlagDef::new("log.level", Kind::Enum(&["error", "warn", "info", "debug"]), "Log filtering level.")
        .default(&["info"]),
    FlagDef::new("log.format", Kind::Enum(&["logfmt", "json", "journald"]), "Form of log lines: logfmt or json.")
        .default(&["logfmt"]),
    FlagDef::new(
        "tracing.config-file",
        Kind::Text,
        "Path of a YAML file with the tracing configuration: where spans are sent.",
    )
    .placeholder("<file-path>"),
    FlagDef::new("tracing.config", Kind::Text, "The configuration as YAML, instead of 'tracing.config-file'.")
        .placeholder("<content>"),
    FlagDef::no_op("enable-auto-gomemlimit", Kind::Bool, &[]),
    FlagDef::no_op("auto-gomemlimit.ratio", Kind::Float, &["0.9"]),
    FlagDef::new("debug.name", Kind::Text, "Name of this process in its log.").hidden(),
];

/// The program with all its commands.
pub const fn app(name: &'static str, build: BuildText) -> App {
    App {
        name,
        about: "A long-term store for Prometheus metrics: remote write in, blocks in a bucket, PromQL out.",
        flags: COMMON,
        commands: &[
            standalone::COMMAND,
            receive::COMMAND,
            store::COMMAND,
            query::COMMAND,
            tools::EXPORT_WAL,
            tools::SCRUB,
        ],
        build,
    }
}
