//! Flags of `receive`, in the order of Thanos's help.

use crate::app::CommandDef;
use crate::flag::{FlagDef, Kind};
use crate::tables::{listeners, otlp};

/// The command.
pub const COMMAND: CommandDef = CommandDef {
    name: "receive",
    about: "Takes remote write requests, keeps them in a local TSDB per tenant and uploads blocks to an object store.",
    flags: &[listeners::FLAGS, FLAGS, otlp::FLAGS],
};

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
    FlagDef::new("remote-write.address", Kind::Text, "Listen host:port for remote write requests.")
        .default(&["0.0.0.0:19291"]),
    FlagDef::new(
        "remote-write.server-tls-cert",
        Kind::Text,
        "Certificate of the remote write server; empty disables TLS.",
    )
    .default(&[""]),
    FlagDef::new("remote-write.server-tls-key", Kind::Text, "Key of the certificate.").default(&[""]),
    FlagDef::new(
        "remote-write.server-tls-client-ca",
        Kind::Text,
        "CA of clients; with it they must show a certificate.",
    )
    .default(&[""]),
    FlagDef::new(
        "remote-write.server-tls-min-version",
        Kind::Enum(&["1.0", "1.1", "1.2", "1.3"]),
        "Lowest TLS version; below 1.2 means 1.2.",
    )
    .default(&["1.3"]),
    FlagDef::new(
        "remote-write.server-tls-ciphers",
        Kind::Text,
        "Cipher suites of TLS 1.2, by Go's names (repeatable).",
    )
    .repeatable(),
    FlagDef::new("remote-write.server-tls-curves", Kind::Text, "Curves, by Go's names (repeatable).").repeatable(),
    FlagDef::new("remote-write.client-tls-cert", Kind::Text, "Certificate shown to other nodes.").default(&[""]),
    FlagDef::new("remote-write.client-tls-key", Kind::Text, "Key of that certificate.").default(&[""]),
    FlagDef::new("remote-write.client-tls-secure", Kind::Bool, "Uses TLS towards other nodes."),
    FlagDef::new("remote-write.client-tls-skip-verify", Kind::Bool, "Takes any certificate of other nodes."),
    FlagDef::new("remote-write.client-tls-ca", Kind::Text, "CA of the certificates of other nodes.").default(&[""]),
    FlagDef::new("remote-write.client-server-name", Kind::Text, "Name that the certificates of other nodes must have.")
        .default(&[""]),
    FlagDef::new(
        "remote-write.client-tls-min-version",
        Kind::Enum(&["1.0", "1.1", "1.2", "1.3"]),
        "Lowest TLS version towards other nodes; below 1.2 means 1.2.",
    )
    .default(&["1.3"]),
    FlagDef::new("tsdb.path", Kind::Text, "Data directory: one folder per tenant.").default(&["./data"]),
    FlagDef::new("label", Kind::Text, "External label of all series taken (repeatable). The value is quoted.")
        .repeatable()
        .placeholder("key=\"value\""),
    FlagDef::new("objstore.config-file", Kind::Text, "Path of a YAML file with the object store configuration.")
        .placeholder("<file-path>"),
    FlagDef::new(
        "objstore.config",
        Kind::Text,
        "YAML content of the object store configuration, instead of 'objstore.config-file'.",
    )
    .placeholder("<content>"),
    FlagDef::new("tsdb.retention", Kind::Duration, "How long samples are kept on local disk. 0d keeps them for ever.")
        .default(&["15d"]),
    FlagDef::new(
        "receive.hashrings-file",
        Kind::Text,
        "Path of a JSON file with the hashrings. It is read again when it changes.",
    )
    .placeholder("<path>"),
    FlagDef::new("receive.hashrings", Kind::Text, "Hashrings as JSON. 'receive.hashrings-file' goes before it.")
        .placeholder("<content>"),
    FlagDef::new(
        "receive.hashrings-algorithm",
        Kind::Enum(&["hashmod", "ketama"]),
        "How series are spread over a hashring that does not say it itself.",
    )
    .default(&["hashmod"]),
    FlagDef::new(
        "receive.hashrings-file-refresh-interval",
        Kind::Duration,
        "How often the hashring file is read again even where no change of it was seen.",
    )
    .default(&["5m"]),
    FlagDef::new(
        "receive.local-endpoint",
        Kind::Text,
        "This node in the hashrings. With hashrings and without it, the process only routes.",
    ),
    FlagDef::new("receive.tenant-header", Kind::Text, "HTTP header that names the tenant of a write request.")
        .default(&["THANOS-TENANT"]),
    FlagDef::new(
        "receive.tenant-certificate-field",
        Kind::Enum(&["", "organization", "organizationalUnit", "commonName"]),
        "Field of the client's certificate that names the tenant, whatever the header says.",
    )
    .default(&[""]),
    FlagDef::new("receive.default-tenant-id", Kind::Text, "Tenant of write requests that name none.")
        .default(&["default-tenant"]),
    FlagDef::new(
        "receive.split-tenant-label-name",
        Kind::Text,
        "Label that names the tenant of a series. It is taken away; series without it belong to the request's tenant.",
    )
    .default(&[""]),
    FlagDef::new("receive.tenant-label-name", Kind::Text, "External label that holds the tenant.")
        .default(&["tenant_id"]),
    FlagDef::new("receive.replica-header", Kind::Text, "HTTP header with the number of the replica that a request is.")
        .default(&["THANOS-REPLICA"]),
    FlagDef::new("receive.forward.async-workers", Kind::Uint, "Calls to one node of a hashring at a time.")
        .default(&["5"]),
    FlagDef::new(
        "receive.grpc-compression",
        Kind::Enum(&["snappy", "none"]),
        "How requests to other nodes are compressed.",
    )
    .default(&["snappy"]),
    FlagDef::new("receive.replication-factor", Kind::Uint, "How many nodes take each series.").default(&["1"]),
    FlagDef::new(
        "receive.hints-max-bytes",
        Kind::Bytes,
        "Most bytes of writes that are kept on disk for nodes that are away, below 'tsdb.path'. 0 keeps none. Not in Thanos.",
    )
    .default(&["1GB"]),
    FlagDef::new("receive.hints-max-age", Kind::Duration, "How long they are kept. Not in Thanos.").default(&["3h"]),
    FlagDef::new(
        "receive.replication-protocol",
        Kind::Enum(&["protobuf", "capnproto"]),
        "How writes are sent to other nodes of a hashring.",
    )
    .default(&["protobuf"]),
    FlagDef::new("receive.capnproto-address", Kind::Text, "Listen host:port for writes over Cap'n Proto.")
        .default(&["0.0.0.0:19391"]),
    FlagDef::no_op("receive.grpc-service-config", Kind::Text, &[]).placeholder("<content>"),
    FlagDef::new(
        "receive.tenant-labels-file",
        Kind::Text,
        "Path of a YAML file with external labels of some tenants. Thanos does not have it.",
    )
    .placeholder("<file-path>"),
    FlagDef::new("receive.tenant-labels", Kind::Text, "The labels as YAML, instead of 'receive.tenant-labels-file'.")
        .placeholder("<content>"),
    FlagDef::new(
        "receive.relabel-config-file",
        Kind::Text,
        "Path of a YAML file with relabelling rules, applied to every series that comes in.",
    )
    .placeholder("<file-path>"),
    FlagDef::new("receive.relabel-config", Kind::Text, "The rules as YAML, instead of 'receive.relabel-config-file'.")
        .placeholder("<content>"),
    FlagDef::new(
        "tsdb.too-far-in-future.time-window",
        Kind::Duration,
        "How far ahead of the clock a sample may be. 0s takes all.",
    )
    .default(&["0s"]),
    FlagDef::new(
        "tsdb.flush-on-shutdown",
        Kind::Bool,
        "Cuts heads to blocks at a stop and uploads these, as Thanos does. Otherwise a stop leaves heads as wal/ and chunks_head/, from which stock programs go on, too. Not in Thanos.",
    ),
    FlagDef::new(
        "tsdb.out-of-order.time-window",
        Kind::Duration,
        "How much older than its tenant's newest sample a sample out of order may be. 0s takes none. They are cut \
         into blocks of their own, which overlap with others.",
    )
    .default(&["0s"]),
    FlagDef::new(
        "tsdb.out-of-order.cap-max",
        Kind::Int,
        "How many samples out of order make a chunk, at most 255. 0 or less is 32.",
    )
    .default(&["0"]),
    FlagDef::no_op("tsdb.allow-overlapping-blocks", Kind::Bool, &[]),
    FlagDef::new(
        "tsdb.max-retention-bytes",
        Kind::Bytes,
        "Room that the blocks of one tenant may take on local disk; beyond it the oldest go. 0 is no limit.",
    )
    .default(&["0"]),
    FlagDef::no_op("tsdb.wal-compression", Kind::Bool, &["true"]),
    FlagDef::no_op("tsdb.no-lockfile", Kind::Bool, &[]),
    FlagDef::no_op("tsdb.head.expanded-postings-cache-size", Kind::Uint, &["0"]),
    FlagDef::no_op("tsdb.block.expanded-postings-cache-size", Kind::Uint, &["0"]),
    FlagDef::new(
        "tsdb.max-exemplars",
        Kind::Int,
        "How many exemplars of each tenant are kept; a new one takes the place of the oldest. 0 or less keeps none.",
    )
    .default(&["0"]),
    FlagDef::no_op("tsdb.enable-native-histograms", Kind::Bool, &["true"]),
    FlagDef::new("hash-func", Kind::Enum(&["SHA256", ""]), "How the files of uploaded blocks are hashed; empty is not at all.")
        .default(&[""]),
    FlagDef::new(
        "shipper.upload-concurrency",
        Kind::Int,
        "As many chunk files of a block go to the bucket at once; 0 is one after the other.",
    )
    .default(&["0"]),
    FlagDef::no_op("matcher-cache-size", Kind::Int, &["0"]),
    FlagDef::no_op("request.logging-config-file", Kind::Text, &[]).placeholder("<file-path>"),
    FlagDef::no_op("request.logging-config", Kind::Text, &[]).placeholder("<content>"),
    FlagDef::new("receive.otlp-enable-target-info", Kind::Bool, "Makes resources of OTLP series of target_info.")
        .default(&["true"]),
    FlagDef::new(
        "receive.otlp-promote-resource-attributes",
        Kind::Text,
        "Attribute of OTLP resources that all their series get as a label (repeatable).",
    )
    .default(&[""])
    .repeatable(),
    FlagDef::new(
        "enable-feature",
        Kind::Text,
        "Comma separated names of what is experimental (repeatable): st-storage keeps the start times of samples. Other names have no effect.",
    )
    .default(&[""])
    .repeatable(),
    FlagDef::no_op("receive.lazy-retrieval-max-buffered-responses", Kind::Int, &["20"]),
    FlagDef::new("receive-forward-max-backoff", Kind::Duration, "Longest time that an unavailable node is left alone.")
        .default(&["5s"])
        .hidden(),
    FlagDef::new("receive-forward-timeout", Kind::Duration, "How long a node may take for its part of a write.")
        .default(&["5s"])
        .hidden(),
    FlagDef::new(
        "receive.artificial-max-delay",
        Kind::Duration,
        "Longest time that writes to the second node of the rings wait. For tests.",
    )
    .default(&["0s"])
    .hidden(),
    FlagDef::new(
        "receive.hop-secret-file",
        Kind::Text,
        "Path of a file with secrets that trusted hops show as bearer tokens: nodes of the rings to each other, and whoever names a tenant over HTTP. Not in Thanos.",
    )
    .default(&[""]),
    FlagDef::new(
        "receive.memory-limit",
        Kind::Bytes,
        "Near this much memory new series are refused. By default what the control group or the machine has; 0 is no limit. Not in Thanos.",
    )
    .default(&["0"]),
    FlagDef::new(
        "receive.tenant-deletion",
        Kind::Bool,
        "Serves DELETE /api/v1/tenants/<tenant> at 'http-address'. Not in Thanos.",
    ),
    FlagDef::new("receive.limits-config", Kind::Text, "Limits of writing as YAML.").hidden(),
    FlagDef::new("receive.limits-config-file", Kind::Text, "Path of a YAML file with limits of writing.").hidden(),
    FlagDef::new("receive.limits-config-reload-timer", Kind::GoDuration, "How often the limits' file is read.")
        .default(&["1s"])
        .hidden(),
    FlagDef::no_op("shipper.allow-out-of-order-uploads", Kind::Bool, &[]).hidden(),
    FlagDef::no_op("shipper.skip-corrupted-blocks", Kind::Bool, &[]).hidden(),
    FlagDef::new("tsdb.max-block-duration", Kind::Duration, "Largest span of a local block.").default(&["2h"]).hidden(),
    FlagDef::no_op("tsdb.memory-snapshot-on-shutdown", Kind::Bool, &[]).hidden(),
    FlagDef::new("tsdb.min-block-duration", Kind::Duration, "Smallest span of a local block.")
        .default(&["2h"])
        .hidden(),
    FlagDef::no_op("tsdb.write-queue-size", Kind::Int, &["0"]).hidden(),
];
