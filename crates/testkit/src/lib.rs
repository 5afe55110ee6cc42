//! Helpers for tests of whole programs; nothing here ships.
//!
//! [`shared`] finds golden data, [`program`] starts programs and stops or kills them, [`sender`] writes samples, [`ledger`]
//! knows which of them must be there, [`neighbours`] are tenants that keep to their limits, [`nodes`] ingesters that die and come back, [`raw_write`] builds requests that are wrong,
//! [`certificates`] makes certificates, [`api`] asks Prometheus's HTTP API, [`compare`] says whether two answers are equal, [`s3`] is an S3 server and [`collector`] an
//! OpenTelemetry collector in this process. Every wait is for an event with a deadline; nothing sleeps and hopes.

pub mod api;
pub mod certificates;
pub mod collector;
pub mod compare;
pub mod ledger;
pub mod neighbours;
pub mod nodes;
pub mod program;
pub mod raw_write;
pub mod s3;
pub mod sender;
pub mod shared;
