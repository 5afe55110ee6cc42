//! Flags of the listeners that every component has.

use crate::flag::{FlagDef, Kind};

/// HTTP and gRPC, in the order of Thanos's help.
pub(super) const FLAGS: &[FlagDef] = &[
    FlagDef::new("http-address", Kind::Text, "Listen host:port for HTTP endpoints.").default(&["0.0.0.0:10902"]),
    FlagDef::new(
        "http-grace-period",
        Kind::Duration,
        "How long running HTTP requests may take to end after a stop is asked for.",
    )
    .default(&["2m"]),
    FlagDef::new("http.config", Kind::Text, "Path of a file with TLS and basic authentication of HTTP endpoints.")
        .default(&[""]),
    FlagDef::new(
        "grpc-address",
        Kind::Text,
        "Listen host:port for gRPC endpoints (StoreAPI). Other components must be able to reach it.",
    )
    .default(&["0.0.0.0:10901"]),
    FlagDef::new("grpc-server-tls-cert", Kind::Text, "Certificate of the gRPC server; empty disables TLS.")
        .default(&[""]),
    FlagDef::new("grpc-server-tls-key", Kind::Text, "Key of the certificate.").default(&[""]),
    FlagDef::new("grpc-server-tls-client-ca", Kind::Text, "CA of clients; with it they must show a certificate.")
        .default(&[""]),
    FlagDef::new(
        "grpc-server-tls-min-version",
        Kind::Enum(&["1.0", "1.1", "1.2", "1.3"]),
        "Lowest TLS version; below 1.2 means 1.2.",
    )
    .default(&["1.3"]),
    FlagDef::new("grpc-server-tls-ciphers", Kind::Text, "Cipher suites of TLS 1.2, by Go's names (repeatable).")
        .repeatable(),
    FlagDef::new("grpc-server-tls-curves", Kind::Text, "Curves, by Go's names (repeatable).").repeatable(),
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
];
