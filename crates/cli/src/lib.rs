//! The programs: flags in, roles composed, everything run until told to stop.
//!
//! Start at [`program`] (arguments to exit status), then [`standalone`], which shows how all roles fit together in one
//! process; [`receive`], [`store`] and [`query`] are the same roles alone. [`node`] is what every program shares: log,
//! metrics, probes, listeners, the order of starting and stopping.
//!
//! Each command does the same things in the same order: read flags, validate all of them, bind the listeners, open the
//! storage, serve. What fails before that is one line on standard error and exit status 1.

pub mod bucket;
mod intake;
pub mod node;
pub mod page;
pub mod program;
pub mod query;
pub mod receive;
pub mod self_scrape;
mod span_sender;
pub mod standalone;
pub mod store;
pub mod stores;
mod tls;
pub mod tools;
