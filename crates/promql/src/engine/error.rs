//! Why there is no answer.

use thanoxide_model::series::SourceError;
use thiserror::Error;

/// Why there is no answer.
#[derive(Debug, Error, Clone, PartialEq)]
pub enum QueryError {
    /// The question makes no sense (`bad_data`).
    #[error("{0}")]
    BadData(String),
    /// The question cannot be answered over this data (`execution`).
    #[error("{0}")]
    Execution(String),
    /// More samples than allowed (`execution`).
    #[error("query processing would load too many samples into memory in query execution")]
    TooManySamples,
    /// More memory than allowed (`execution`).
    #[error("query processing would take more than {max_bytes} bytes of memory in query execution")]
    TooMuchMemory {
        /// The limit.
        max_bytes: usize,
    },
    /// Time ran out, while doing what is said (`timeout`).
    #[error("query timed out in {0}")]
    Timeout(String),
    /// Nobody waits any more (`canceled`).
    #[error("query was canceled in {0}")]
    Canceled(String),
    /// The engine is at fault (`internal`).
    #[error("{0}")]
    Internal(String),
}

impl QueryError {
    /// Prometheus's `errorType`.
    pub fn error_type(&self) -> &'static str {
        match self {
            QueryError::BadData(_) => "bad_data",
            QueryError::Execution(_) | QueryError::TooManySamples | QueryError::TooMuchMemory { .. } => "execution",
            QueryError::Timeout(_) => "timeout",
            QueryError::Canceled(_) => "canceled",
            QueryError::Internal(_) => "internal",
        }
    }
}

impl From<SourceError> for QueryError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Timeout(during) => QueryError::Timeout(during),
            SourceError::Canceled(during) => QueryError::Canceled(during),
            SourceError::Limit(text) | SourceError::Storage(text) => {
                QueryError::Execution(format!("expanding series: {text}"))
            }
        }
    }
}
