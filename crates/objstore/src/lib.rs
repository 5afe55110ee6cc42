//! Buckets: the trait, Thanos's configuration, metrics, faults, conformance
