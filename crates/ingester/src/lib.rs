//! Ingester: tenants in the storage engine, StoreAPI over them, uploads
