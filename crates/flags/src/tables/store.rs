//! Flags of `store`, in the order of Thanos's help.

use crate::app::CommandDef;
use crate::flag::{FlagDef, Kind};

/// The command.
pub const COMMAND: CommandDef =
    CommandDef { name: "store", about: "Serves the blocks of an object store.", flags: &[FLAGS] };

const FLAGS: &[FlagDef] = &[
    FlagDef::new("http-address", Kind::Text, "Listen host:port for HTTP endpoints.").default(&["0.0.0.0:10902"]),
    FlagDef::new(
        "http-grace-period",
        Kind::Duration,
        "How long running HTTP requests may take to end after a stop is asked for.",
    )
    .default(&["2m"]),
    FlagDef::not_yet("http.config", Kind::Text, &[""]),
    FlagDef::new(
        "grpc-address",
        Kind::Text,
        "Listen host:port for gRPC endpoints (StoreAPI). Other components must be able to reach it.",
    )
    .default(&["0.0.0.0:10901"]),
    FlagDef::not_yet("grpc-server-tls-cert", Kind::Text, &[""]),
    FlagDef::not_yet("grpc-server-tls-key", Kind::Text, &[""]),
    FlagDef::not_yet("grpc-server-tls-client-ca", Kind::Text, &[""]),
    FlagDef::not_yet("grpc-server-tls-min-version", Kind::Enum(&["1.0", "1.1", "1.2", "1.3"]), &["1.3"]),
    FlagDef::not_yet("grpc-server-tls-ciphers", Kind::Text, &[]).repeatable(),
    FlagDef::not_yet("grpc-server-tls-curves", Kind::Text, &[]).repeatable(),
    FlagDef::new(
        "grpc-server-max-connection-age",
        Kind::GoDuration,
        "Age at which gRPC connections are asked to reconnect.",
    )
    .default(&["60m"]),
    FlagDef::new(
        "grpc-grace-period",
        Kind::GoDuration,
        "How long running gRPC calls may take to end after a stop is asked for.",
    )
    .default(&["2m"]),
    FlagDef::not_yet("store.limits.request-series", Kind::Uint, &["0"]),
    FlagDef::not_yet("store.limits.request-samples", Kind::Uint, &["0"]),
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
    FlagDef::not_yet("store.grpc.downloaded-bytes-limit", Kind::Bytes, &["0"]),
    FlagDef::not_yet("store.grpc.series-max-concurrency", Kind::Int, &["20"]),
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
    FlagDef::not_yet("sync-block-duration", Kind::GoDuration, &["15m"]),
    FlagDef::not_yet("block-discovery-strategy", Kind::Text, &["concurrent"]),
    FlagDef::not_yet("block-sync-concurrency", Kind::Int, &["20"]),
    FlagDef::not_yet("block-meta-fetch-concurrency", Kind::Int, &["32"]),
    FlagDef::not_yet("min-time", Kind::Time, &["0000-01-01T00:00:00Z"]),
    FlagDef::not_yet("max-time", Kind::Time, &["9999-12-31T23:59:59Z"]),
    FlagDef::not_yet("selector.relabel-config-file", Kind::Text, &[]).placeholder("<file-path>"),
    FlagDef::not_yet("selector.relabel-config", Kind::Text, &[]).placeholder("<content>"),
    FlagDef::not_yet("consistency-delay", Kind::GoDuration, &["0s"]),
    FlagDef::not_yet("ignore-deletion-marks-delay", Kind::GoDuration, &["24h"]),
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
