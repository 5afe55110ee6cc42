//! Compiles the `.proto` files without protoc.

use std::error::Error;
use std::path::Path;

/// Every file that no other one imports, and those that one does: all of them.
const FILES: [&str; 15] = [
    "opentelemetry/metrics.proto",
    "prometheus/copy/types.proto",
    "prometheus/remote/remote.proto",
    "prometheus/write_v2/request.proto",
    "thanos/exemplars/exemplars.proto",
    "thanos/hints/hints.proto",
    "thanos/info/info.proto",
    "thanos/label/label.proto",
    "thanos/metadata/metadata.proto",
    "thanos/query/query.proto",
    "thanos/rules/rules.proto",
    "thanos/status/status.proto",
    "thanos/store/rpc.proto",
    "thanos/targets/targets.proto",
    "thanoxide/verdicts.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let descriptors = protox::compile(FILES.map(|f| root.join(f)), [&root])?;
    tonic_prost_build::configure()
        // Chunk data and label text share the memory of the message they came in.
        .bytes(".")
        // A map is written in one order, whatever the process.
        .btree_map(".")
        .compile_fds(descriptors)?;
    Ok(())
}
