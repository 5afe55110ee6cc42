//! HTTP and gRPC listeners, probes, metrics, logs, the run group
