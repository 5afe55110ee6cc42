//! Load for remote-write receivers: bodies that are made once and patched, so that the generator costs next to nothing.
//!
//! Two sorts of samples:
//! * [`workload`] is the benchmarks' load: [`shape`]'s series with the values of a random walk, sent as fast as they go.
//! * [`plan`] is the load of the program `thanoxide-loadgen`: value, time, holes, resets and churn all follow from the
//!   number of series and scrape. So [`checker`] can say of every sample that it reads back whether it was ever sent, and
//!   of every acknowledged one whether it is there, without having kept any.
//!
//! [`template`] holds an encoded request with the places of its samples; [`http`] is the client; [`replay`] sends ready
//! bodies in a closed loop; [`sender`] sends a plan at its pace and keeps the ledger of what was acknowledged.

pub mod checker;
pub mod http;
pub mod plan;
pub mod replay;
pub mod sender;
pub mod shape;
pub mod template;
pub mod workload;
