//! Flags of `standalone`: everything in one process. It is ours; flags that stock commands have keep their names.

use crate::app::CommandDef;
use crate::flag::{FlagDef, Kind};

/// The command.
pub const COMMAND: CommandDef = CommandDef {
    name: "standalone",
    about: "Remote write, storage, upload, queries and the StoreAPI in one process.",
    flags: &[FLAGS],
};

const FLAGS: &[FlagDef] = &[
    FlagDef::new(
        "data-dir",
        Kind::Text,
        "Everything on local disk: tsdb/<tenant>/, store/, and bucket/ where no object store is configured.",
    )
    .default(&["./data"]),
    FlagDef::new("objstore.config-file", Kind::Text, "Path of a YAML file with the object store configuration.")
        .placeholder("<file-path>"),
    FlagDef::new(
        "objstore.config",
        Kind::Text,
        "YAML content of the object store configuration, instead of 'objstore.config-file'.",
    )
    .placeholder("<content>"),
    FlagDef::new("self-scrape", Kind::Bool, "Store the metrics of this process under the tenant 'thanoxide'.")
        .default(&["true"]),
    FlagDef::new("http-address", Kind::Text, "Listen host:port for the page, the query API and metrics.")
        .default(&["127.0.0.1:10902"]),
    FlagDef::new(
        "http-grace-period",
        Kind::Duration,
        "How long running requests may take to end after a stop is asked for.",
    )
    .default(&["2m"]),
    FlagDef::new("grpc-address", Kind::Text, "Listen host:port for gRPC endpoints (StoreAPI).")
        .default(&["127.0.0.1:10901"]),
    FlagDef::new("remote-write.address", Kind::Text, "Listen host:port for remote write requests.")
        .default(&["127.0.0.1:19291"]),
    FlagDef::new(
        "memory-limit",
        Kind::Bytes,
        "Memory of the process. Near it new series are refused for a while and heads are cut early. 0 is no limit.",
    )
    .default(&["0"]),
    FlagDef::new("tsdb.min-block-duration", Kind::Duration, "Smallest span of a local block.").default(&["2h"]),
    FlagDef::new("tsdb.max-block-duration", Kind::Duration, "Largest span of a local block.").default(&["2h"]),
    FlagDef::new("tsdb.retention", Kind::Duration, "How long samples are kept on local disk. 0d keeps them for ever.")
        .default(&["15d"]),
    FlagDef::new(
        "tsdb.max-exemplars",
        Kind::Int,
        "How many exemplars of each tenant are kept; a new one takes the place of the oldest. 0 or less keeps none.",
    )
    .default(&["100000"]),
    FlagDef::new(
        "tsdb.flush-on-shutdown",
        Kind::Bool,
        "Cuts heads to blocks at a stop and uploads these, as Thanos does. Otherwise a stop leaves heads as wal/ and chunks_head/, from which stock programs go on, too. Not in Thanos.",
    ),
    FlagDef::new("label", Kind::Text, "External label of all series taken (repeatable). The value is quoted.")
        .default(&["replica=\"standalone\""])
        .repeatable()
        .placeholder("key=\"value\""),
    FlagDef::new(
        "query.replica-label",
        Kind::Text,
        "Label that tells replicas apart (repeatable). Deduplication removes it.",
    )
    .default(&["replica"])
    .repeatable(),
    FlagDef::new("query.timeout", Kind::Duration, "Longest time that one query may take.").default(&["2m"]),
    FlagDef::new("query.lookback-delta", Kind::GoDuration, "How far an evaluation looks back for the newest sample.")
        .default(&["5m"]),
    FlagDef::new(
        "enable-feature",
        Kind::Text,
        "Comma separated names of what is experimental (repeatable): st-storage keeps the start times of samples; of PromQL, those that query has.",
    )
    .default(&[""])
    .repeatable(),
    FlagDef::new("query.max-concurrent", Kind::Int, "Number of queries evaluated side by side.").default(&["20"]),
    FlagDef::new("receive.tenant-header", Kind::Text, "HTTP header that names the tenant of a write request.")
        .default(&["THANOS-TENANT"]),
    FlagDef::new("receive.default-tenant-id", Kind::Text, "Tenant of write requests that name none.")
        .default(&["default-tenant"]),
    FlagDef::new("receive.tenant-label-name", Kind::Text, "External label that holds the tenant.")
        .default(&["tenant_id"]),
];
