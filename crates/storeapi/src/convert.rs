//! Between our types and the StoreAPI's protobuf types. Nothing behind this crate sees the latter.

pub(crate) mod exemplars;
pub(crate) mod info;
pub(crate) mod labels;
pub(crate) mod matchers;
pub(crate) mod metadata;
pub(crate) mod recode;
pub(crate) mod requests;
pub(crate) mod series;
pub(crate) mod status;
pub(crate) mod verdicts;

#[cfg(test)]
mod golden_tests;
