//! What the functions of PromQL compute, apart from how series get there.
//!
//! [`range`] has the functions over windows of samples, one family a file; [`math`] those over single floats, with the
//! results of Go's `math` package; [`date`], [`histogram`] and [`classic`] what their names say.

pub(crate) mod changes;
pub(crate) mod classic;
pub(crate) mod compare;
pub(crate) mod date;
pub(crate) mod extended;
pub(crate) mod extended_histogram;
pub(crate) mod fixed_point;
pub(crate) mod float;
pub(crate) mod go_math;
pub(crate) mod histogram;
pub(crate) mod histogram_over_time;
pub(crate) mod histogram_rate;
pub(crate) mod instant_rate;
pub(crate) mod lanes;
pub(crate) mod math;
pub(crate) mod natural;
pub(crate) mod over_time;
pub(crate) mod quantile;
pub(crate) mod range;
pub(crate) mod rate;
pub(crate) mod regression;
pub(crate) mod smoothing;
pub(crate) mod start_time;
pub(crate) mod sweep;
