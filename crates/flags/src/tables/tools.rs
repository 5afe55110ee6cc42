//! Flags of `tools`: what is done to a directory while no program runs on it.

use crate::app::CommandDef;
use crate::flag::{FlagDef, Kind};

/// `tools tsdb export-wal`.
pub const EXPORT_WAL: CommandDef = CommandDef {
    name: "tools tsdb export-wal",
    about: "Writes what no block holds yet as stock programs leave it, so that they go on after a crash of ours.",
    flags: &[FLAGS],
};

const FLAGS: &[FlagDef] = &[
    FlagDef::new("tsdb.path", Kind::Text, "Data directory: one folder per tenant.").default(&["./data"]),
    FlagDef::new("tsdb.min-block-duration", Kind::Duration, "Smallest span of a local block, as the program has it.")
        .default(&["2h"])
        .hidden(),
    FlagDef::new(
        "output-dir",
        Kind::Text,
        "Where wal/ and chunks_head/ are written, in one folder per tenant. Empty is the data directory itself.",
    )
    .default(&[""]),
];

/// `tools tsdb scrub`.
pub const SCRUB: CommandDef = CommandDef {
    name: "tools tsdb scrub",
    about: "Reads and decodes every chunk of every block and head, and prints what is broken. Fails if anything is.",
    flags: &[SCRUB_FLAGS],
};

const SCRUB_FLAGS: &[FlagDef] =
    &[FlagDef::new("tsdb.path", Kind::Text, "Data directory: one folder per tenant.").default(&["./data"])];
