//! Flags of `query`, in the order of Thanos's help.

use crate::app::CommandDef;
use crate::flag::{FlagDef, Kind};
use crate::tables::listeners;

/// The command.
pub const COMMAND: CommandDef = CommandDef {
    name: "query",
    about: "Evaluates PromQL over the data of other components.",
    flags: &[listeners::FLAGS, FLAGS],
};

const FEATURES: FlagDef = FlagDef::new(
    "enable-feature",
    Kind::Text,
    "Comma separated names of what is experimental in PromQL (repeatable): promql-experimental-functions, \
     promql-extended-range-selectors, promql-binop-fill-modifiers, promql-delayed-name-removal, promql-per-step-stats, \
     type-and-unit-labels, use-start-timestamps.",
)
.default(&[""])
.repeatable();

const FLAGS: &[FlagDef] = &[
    FlagDef::new("grpc-client-tls-secure", Kind::Bool, "Uses TLS towards endpoints."),
    FlagDef::new("grpc-client-tls-skip-verify", Kind::Bool, "Takes any certificate of endpoints."),
    FlagDef::new("grpc-client-tls-cert", Kind::Text, "Certificate shown to endpoints.").default(&[""]),
    FlagDef::new("grpc-client-tls-key", Kind::Text, "Key of that certificate.").default(&[""]),
    FlagDef::new(
        "grpc-client-tls-ca",
        Kind::Text,
        "CA of the certificates of endpoints; empty is those of the system.",
    )
    .default(&[""]),
    FlagDef::new("grpc-client-server-name", Kind::Text, "Name that the certificates of endpoints must have.")
        .default(&[""]),
    FlagDef::new("grpc-compression", Kind::Enum(&["snappy", "none"]), "How requests to endpoints are compressed.")
        .default(&["none"]),
    FlagDef::new(
        "grpc-client-tls-min-version",
        Kind::Enum(&["1.0", "1.1", "1.2", "1.3"]),
        "Lowest TLS version towards endpoints; below 1.2 means 1.2.",
    )
    .default(&["1.3"]),
    FlagDef::not_yet("web.route-prefix", Kind::Text, &[""]),
    FlagDef::not_yet("web.external-prefix", Kind::Text, &[""]),
    FlagDef::not_yet("web.prefix-header", Kind::Text, &[""]),
    FlagDef::not_yet("web.disable-cors", Kind::Bool, &[]),
    FlagDef::new("query.timeout", Kind::Duration, "Longest time that one query may take.").default(&["2m"]),
    FlagDef::not_yet("query.promql-engine", Kind::Enum(&["prometheus", "thanos"]), &["prometheus"]),
    FlagDef::not_yet("query.enable-x-functions", Kind::Bool, &[]),
    FlagDef::not_yet("query.mode", Kind::Enum(&["local", "distributed"]), &["local"]),
    FlagDef::new("query.max-concurrent", Kind::Int, "Number of queries evaluated side by side.").default(&["20"]),
    FlagDef::new(
        "query.lookback-delta",
        Kind::GoDuration,
        "How far an evaluation looks back for the newest sample. 5m if not given.",
    ),
    FlagDef::not_yet("query.max-concurrent-select", Kind::Int, &["4"]),
    FlagDef::not_yet(
        "query.conn-metric.label",
        Kind::Enum(&["external_labels", "store_type", "ip_port"]),
        &["external_labels", "store_type"],
    )
    .repeatable(),
    FlagDef::new(
        "deduplication.func",
        Kind::Enum(&["penalty", "chain"]),
        "How replicas are made one: one replica at a time (penalty), or all samples of all (chain).",
    )
    .default(&["penalty"]),
    FlagDef::new(
        "query.replica-label",
        Kind::Text,
        "Label that tells replicas apart (repeatable). Deduplication removes it.",
    )
    .repeatable(),
    FlagDef::not_yet("query.partition-label", Kind::Text, &[]).repeatable(),
    FlagDef::not_yet("query.metadata.default-time-range", Kind::GoDuration, &["0s"]),
    FlagDef::not_yet("selector-label", Kind::Text, &[]).repeatable().placeholder("<name>=\"<value>\""),
    FlagDef::not_yet("query.auto-downsampling", Kind::Bool, &[]),
    FlagDef::not_yet("query.partial-response", Kind::Bool, &["true"]),
    FlagDef::not_yet("query.active-query-path", Kind::Text, &[""]),
    FEATURES,
    FlagDef::not_yet("query.default-evaluation-interval", Kind::Duration, &["1m"]),
    FlagDef::not_yet("query.default-step", Kind::Duration, &["1s"]),
    FlagDef::new(
        "store.response-timeout",
        Kind::Duration,
        "Longest silence of a store; its part of the answer then counts as missing. 0 waits for ever.",
    )
    .default(&["0ms"]),
    FlagDef::not_yet("selector.relabel-config-file", Kind::Text, &[]).placeholder("<file-path>"),
    FlagDef::not_yet("selector.relabel-config", Kind::Text, &[]).placeholder("<content>"),
    FlagDef::not_yet("request.logging-config-file", Kind::Text, &[]).placeholder("<file-path>"),
    FlagDef::not_yet("request.logging-config", Kind::Text, &[]).placeholder("<content>"),
    FlagDef::not_yet("alert.query-url", Kind::Text, &[]),
    FlagDef::not_yet(
        "query.telemetry.request-duration-seconds-quantiles",
        Kind::Float,
        &["0.1", "0.25", "0.75", "1.25", "1.75", "2.5", "3", "5", "10"],
    )
    .repeatable(),
    FlagDef::not_yet(
        "query.telemetry.request-samples-quantiles",
        Kind::Float,
        &["100", "1000", "10000", "100000", "1000000"],
    )
    .repeatable(),
    FlagDef::not_yet(
        "query.telemetry.request-series-seconds-quantiles",
        Kind::Float,
        &["10", "100", "1000", "10000", "100000"],
    )
    .repeatable(),
    FlagDef::not_yet("query.tenant-header", Kind::Text, &["THANOS-TENANT"]),
    FlagDef::not_yet("query.default-tenant-id", Kind::Text, &["default-tenant"]),
    FlagDef::not_yet(
        "query.tenant-certificate-field",
        Kind::Enum(&["", "organization", "organizationalUnit", "commonName"]),
        &[""],
    ),
    FlagDef::not_yet("query.enforce-tenancy", Kind::Bool, &[]),
    FlagDef::not_yet("query.tenant-label-name", Kind::Text, &["tenant_id"]),
    FlagDef::not_yet("store.sd-dns-interval", Kind::Duration, &["30s"]),
    FlagDef::new("store.unhealthy-timeout", Kind::Duration, "How long an endpoint that does not answer is remembered.")
        .default(&["5m"]),
    FlagDef::not_yet("endpoint.sd-config-file", Kind::Text, &[]).placeholder("<file-path>"),
    FlagDef::not_yet("endpoint.sd-config", Kind::Text, &[]).placeholder("<content>"),
    FlagDef::not_yet("endpoint.sd-config-reload-interval", Kind::Duration, &["5m"]),
    FlagDef::not_yet("store.sd-files", Kind::Text, &[]).repeatable().placeholder("<path>"),
    FlagDef::not_yet("store.sd-interval", Kind::Duration, &["5m"]),
    FlagDef::new("endpoint", Kind::Text, "Address of a Thanos gRPC API server, host:port (repeatable).")
        .repeatable()
        .placeholder("<endpoint>"),
    FlagDef::not_yet("endpoint-group", Kind::Text, &[]).repeatable().placeholder("<endpoint-group>"),
    FlagDef::new(
        "endpoint-strict",
        Kind::Text,
        "Address of a Thanos gRPC API server that takes part even while it fails.",
    )
    .repeatable()
    .placeholder("<endpoint-strict>"),
    FlagDef::not_yet("endpoint-group-strict", Kind::Text, &[]).repeatable().placeholder("<endpoint-group-strict>"),
    FlagDef::not_yet("store.limits.request-series", Kind::Uint, &["0"]),
    FlagDef::not_yet("store.limits.request-samples", Kind::Uint, &["0"]),
    FlagDef::new("endpoint.info-timeout", Kind::Duration, "How long an endpoint may take to tell what it is.")
        .default(&["5s"])
        .hidden(),
    FlagDef::new(
        "exemplar.partial-response",
        Kind::Bool,
        "Exemplars of the endpoints that answer, and a warning for the others, instead of an error.",
    )
    .default(&["true"])
    .hidden(),
    FlagDef::not_yet("grpc.proxy-strategy", Kind::Enum(&["eager", "lazy"]), &["eager"]).hidden(),
    FlagDef::not_yet("inject-test-addresses", Kind::Text, &[]).repeatable().hidden(),
    FlagDef::new(
        "metric-metadata.partial-response",
        Kind::Bool,
        "Metadata of the endpoints that answer, and a warning for the others, instead of an error.",
    )
    .default(&["true"])
    .hidden(),
    FlagDef::not_yet("query.disable-fallback", Kind::Bool, &[]).hidden(),
    FlagDef::not_yet("query.distributed-with-overlapping-interval", Kind::Bool, &[]).hidden(),
    FlagDef::not_yet("query.dynamic-lookback-delta", Kind::Bool, &["true"]).hidden(),
    FlagDef::not_yet("query.instant.default.max_source_resolution", Kind::Duration, &["0s"]).hidden(),
    FlagDef::not_yet("query.lazy-retrieval-max-buffered-responses", Kind::Int, &["20"]).hidden(),
    FlagDef::not_yet("rule.partial-response", Kind::Bool, &["true"]).hidden(),
    FlagDef::not_yet("status.partial-response", Kind::Bool, &["true"]).hidden(),
    FlagDef::not_yet("store.sd-dns-resolver", Kind::Text, &["miekgdns"]).hidden(),
    FlagDef::not_yet("target.partial-response", Kind::Bool, &["true"]).hidden(),
];
