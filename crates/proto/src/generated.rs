//! What the build script makes of the `.proto` files, one module per package.
#![allow(missing_docs, unreachable_pub, clippy::all, clippy::clone_on_ref_ptr)]

/// Package `thanos`: the StoreAPI and its neighbours (rules, targets, metadata, exemplars, query, status).
pub mod thanos {
    tonic::include_proto!("thanos");

    /// Package `thanos.info`.
    pub mod info {
        tonic::include_proto!("thanos.info");
    }
}

/// Package `hintspb`: messages carried as `Any` by the StoreAPI.
pub mod hintspb {
    tonic::include_proto!("hintspb");
}

/// Package `prometheus_copy`: samples inside the StoreAPI.
pub mod prometheus_copy {
    tonic::include_proto!("prometheus_copy");
}

/// Package `prometheus`: remote write 1.0 and remote read.
pub mod prometheus {
    tonic::include_proto!("prometheus");
}

/// Package `io.prometheus.write.v2`: remote write 2.0.
pub mod write_v2 {
    tonic::include_proto!("io.prometheus.write.v2");
}

/// Package `opentelemetry`: metrics over OTLP.
pub mod opentelemetry {
    tonic::include_proto!("opentelemetry");
}

/// Package `thanoxide`: what only our own components say to each other.
pub mod thanoxide {
    tonic::include_proto!("thanoxide");
}
