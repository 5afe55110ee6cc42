//! Router: remote write in, tenants, limits, forwarding
