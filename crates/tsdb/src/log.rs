//! The log that makes appends durable: one for all tenants.
//!
//! A log is a row of segments `log-<seq>.tlog` ([`segment`]), which hold frames ([`frame`]). A frame names its tenant and
//! holds series definitions ([`definitions`]), floats ([`floats`]), histograms ([`histograms`]), deletions ([`deletions`]) or
//! exemplars ([`exemplars`]); it decodes alone. The page of the format is `docs/format/log.md`.
//!
//! [`SharedLog`] takes frames from many threads and makes them durable in groups.

pub mod definitions;
pub mod deletions;
pub mod exemplars;
pub mod floats;
pub mod frame;
pub mod histograms;
pub mod metadata;
mod reader;
pub mod segment;
mod shared;
pub mod value;
mod writer;

pub use frame::{Frame, FrameKind};
pub use reader::{LogReadError, LogReader};
pub use shared::SharedLog;

/// Counts frames over the whole life of a log, from 1; 0 is before the first.
pub type Position = u64;
