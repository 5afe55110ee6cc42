//! What every role needs to listen, to be watched and to stop: no role's own routes, no storage.
//!
//! Start at [`run_group`] (what runs and in which order it stops) and [`listener`] (HTTP) or [`grpc`]. A program binds
//! its listeners first, so that a busy port is an error before anything else happens; then it builds routers and hands
//! everything to a [`RunGroup`].
//!
//! * [`http`] re-exports what roles need of the HTTP libraries; no other crate names them.
//! * [`probe`] is `/-/healthy` and `/-/ready`, [`exposition`] is `/metrics`, [`process`] the metrics of the process.
//! * [`http_metrics`] and [`grpc_metrics`] count requests under Thanos's names.
//! * [`tls`] is TLS of listeners with certificates that may change, [`identity`] who a client is by its certificate.
//! * [`tenancy`] reads the tenant of a request, [`log`] writes lines in go-kit's logfmt or JSON,
//!   [`log_limit`] keeps requests from writing too many.
//!
//! Invariants:
//! * Nothing here holds global state but the log subscriber: registries and clocks come in.
//! * A connection never lives longer than its limits allow, a stop never longer than its grace period.
//! * A panic in a handler answers 500 (HTTP) or Internal (gRPC) and takes no other request with it.

pub mod basic_auth;
pub mod exposition;
pub mod grpc;
pub mod grpc_metrics;
pub mod http;
pub mod http_metrics;
pub mod identity;
pub mod listener;
pub mod log;
pub mod log_limit;
pub mod probe;
pub mod process;
pub mod run_group;
pub mod shutdown;
pub mod tenancy;
pub mod tls;

mod bind;

pub use basic_auth::BasicAuth;
pub use bind::BindError;
pub use exposition::{Metrics, metrics_router};
pub use grpc::GrpcServer;
pub use grpc_metrics::{GrpcKind, GrpcMethod, GrpcMetrics};
pub use http_metrics::{HttpMetrics, HttpMetricsConfig};
pub use identity::{CertificateField, ClientIdentity};
pub use listener::{HttpLimits, HttpServer};
pub use log::{LogFormat, LogLevel};
pub use log_limit::LogLimit;
pub use probe::Probe;
pub use run_group::{ActorError, RunGroup};
pub use shutdown::Shutdown;
pub use tenancy::{TenancyError, TenantHeader, TenantLabels};
pub use tls::{ClientAuth, Tls, TlsConfig, TlsError};
