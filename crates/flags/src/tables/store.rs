//! Flags of `store`, in the order of Thanos's help.

use crate::app::CommandDef;
use crate::flag::{FlagDef, Kind};
use crate::tables::listeners;

/// The command.
pub const COMMAND: CommandDef =
    CommandDef { name: "store", about: "Serves the blocks of an object store.", flags: &[listeners::FLAGS, FLAGS] };

const FLAGS: &[FlagDef] = &[
    FlagDef::new(
        "store.limits.request-series",
        Kind::Uint,
        "Most series that one Series request may give. 0 is no limit.",
    )
    .default(&["0"]),
    FlagDef::new(
        "store.limits.request-samples",
        Kind::Uint,
        "Most samples that one Series request may give, counted as 120 a chunk. 0 is no limit.",
    )
    .default(&["0"]),
    FlagDef::new(
        "data-dir",
        Kind::Text,
        "Local directory for index headers and cached metadata. It can be deleted at any time.",
    )
    .default(&["./data"]),
    FlagDef::not_yet("cache-index-header", Kind::Bool, &["true"]),
    FlagDef::not_yet("index-cache-size", Kind::Bytes, &["250MB"]),
    FlagDef::not_yet("index-cache.config-file", Kind::Text, &[]).placeholder("<file-path>"),
    FlagDef::not_yet("index-cache.config", Kind::Text, &[]).placeholder("<content>"),
    FlagDef::not_yet("chunk-pool-size", Kind::Bytes, &["2GB"]),
    FlagDef::not_yet("store.grpc.touched-series-limit", Kind::Uint, &["0"]),
    FlagDef::not_yet("store.grpc.series-sample-limit", Kind::Uint, &["0"]),
    FlagDef::new(
        "store.grpc.downloaded-bytes-limit",
        Kind::Bytes,
        "Most bytes of index entries and chunks that one request may take. 0 is no limit.",
    )
    .default(&["0"]),
    FlagDef::new("store.grpc.series-max-concurrency", Kind::Int, "Series requests side by side; more wait.")
        .default(&["20"]),
    FlagDef::new("objstore.config-file", Kind::Text, "Path of a YAML file with the object store configuration.")
        .placeholder("<file-path>"),
    FlagDef::new(
        "objstore.config",
        Kind::Text,
        "YAML content of the object store configuration, instead of 'objstore.config-file'.",
    )
    .placeholder("<content>"),
    FlagDef::not_yet("objstore-parquet.config-file", Kind::Text, &[]).placeholder("<file-path>"),
    FlagDef::not_yet("objstore-parquet.config", Kind::Text, &[]).placeholder("<content>"),
    FlagDef::new("sync-block-duration", Kind::GoDuration, "Time between two looks at the bucket.").default(&["15m"]),
    FlagDef::not_yet("block-discovery-strategy", Kind::Text, &["concurrent"]),
    FlagDef::new("block-sync-concurrency", Kind::Int, "Blocks loaded side by side.").default(&["20"]),
    FlagDef::new("block-meta-fetch-concurrency", Kind::Int, "Meta files fetched side by side.").default(&["32"]),
    FlagDef::new("min-time", Kind::Time, "Blocks that end before this are not served: a time, or a duration from now.")
        .default(&["0000-01-01T00:00:00Z"]),
    FlagDef::new(
        "max-time",
        Kind::Time,
        "Blocks that begin after this are not served: a time, or a duration from now.",
    )
    .default(&["9999-12-31T23:59:59Z"]),
    FlagDef::not_yet("selector.relabel-config-file", Kind::Text, &[]).placeholder("<file-path>"),
    FlagDef::not_yet("selector.relabel-config", Kind::Text, &[]).placeholder("<content>"),
    FlagDef::new("consistency-delay", Kind::Duration, "Age at which a block is served, unless a compactor made it.")
        .default(&["0s"]),
    FlagDef::new(
        "ignore-deletion-marks-delay",
        Kind::Duration,
        "How long blocks that are marked for deletion are still served.",
    )
    .default(&["24h"]),
    FlagDef::not_yet("store.enable-index-header-lazy-reader", Kind::Bool, &[]),
    FlagDef::not_yet("store.enable-lazy-expanded-postings", Kind::Bool, &[]),
    FlagDef::not_yet("store.posting-group-max-key-series-ratio", Kind::Float, &["100"]),
    FlagDef::not_yet("store.index-header-lazy-download-strategy", Kind::Enum(&["eager", "lazy"]), &["eager"]),
    FlagDef::not_yet("web.disable", Kind::Bool, &[]),
    FlagDef::not_yet("web.external-prefix", Kind::Text, &[""]),
    FlagDef::not_yet("web.prefix-header", Kind::Text, &[""]),
    FlagDef::not_yet("web.disable-cors", Kind::Bool, &[]),
    FlagDef::not_yet("bucket-web-label", Kind::Text, &[]),
    FlagDef::not_yet("matcher-cache-size", Kind::Int, &["0"]),
    FlagDef::not_yet("disable-admin-operations", Kind::Bool, &[]),
    FlagDef::not_yet("request.logging-config-file", Kind::Text, &[]).placeholder("<file-path>"),
    FlagDef::not_yet("request.logging-config", Kind::Text, &[]).placeholder("<content>"),
    FlagDef::not_yet("debug.estimated-max-chunk-size", Kind::Uint, &["16000"]).hidden(),
    FlagDef::not_yet("debug.estimated-max-series-size", Kind::Uint, &["65536"]).hidden(),
    FlagDef::not_yet("debug.series-batch-size", Kind::Int, &["10000"]).hidden(),
    FlagDef::not_yet("store.index-header-lazy-reader-idle-timeout", Kind::GoDuration, &["5m"]).hidden(),
    FlagDef::not_yet("store.index-header-posting-offsets-in-mem-sampling", Kind::Int, &["32"]).hidden(),
    FlagDef::not_yet("store.caching-bucket.config-file", Kind::Text, &[]).placeholder("<file-path>").hidden(),
    FlagDef::not_yet("store.caching-bucket.config", Kind::Text, &[]).placeholder("<content>").hidden(),
];
