//! Query: Prometheus's HTTP API over the StoreAPI
