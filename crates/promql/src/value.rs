//! What a query answers.

use std::sync::Arc;

use thanoxide_model::{FloatHistogram, Labels};

use crate::points::Points;

/// One value: a number or a histogram.
#[derive(Clone, Debug)]
pub enum Value {
    /// A float.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<FloatHistogram>),
}

/// A series at one time.
#[derive(Clone, Debug)]
pub struct VectorSample {
    /// What names it.
    pub labels: Labels,
    /// Evaluation time.
    pub timestamp_ms: i64,
    /// Its value.
    pub value: Value,
}

/// A series over time; floats and histograms apart, each in time order.
#[derive(Clone, Debug, Default)]
pub struct MatrixSeries {
    /// What names it.
    pub labels: Labels,
    /// The floats.
    pub floats: Points,
    /// Time and value of the histograms.
    pub histograms: Vec<(i64, Arc<FloatHistogram>)>,
}

/// An answer, by the type of the expression.
#[derive(Clone, Debug)]
pub enum QueryValue {
    /// Of an instant query; in no particular order unless the expression sorts.
    Vector(Vec<VectorSample>),
    /// Of a range query, or of a range selector; sorted by labels.
    Matrix(Vec<MatrixSeries>),
    /// A number and its time.
    Scalar {
        /// Evaluation time.
        timestamp_ms: i64,
        /// The number.
        value: f64,
    },
    /// A text and its time.
    String {
        /// Evaluation time.
        timestamp_ms: i64,
        /// The text; bytes, because escapes may write any.
        value: Vec<u8>,
    },
}
