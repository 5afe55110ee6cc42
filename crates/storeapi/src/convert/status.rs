//! Errors as gRPC statuses.

use tonic::{Code, Status};

use crate::{StoreError, WriteError};

pub(crate) fn to_status(error: StoreError) -> Status {
    let code = match &error {
        StoreError::InvalidArgument(_) => Code::InvalidArgument,
        StoreError::Limit(_) => Code::ResourceExhausted,
        StoreError::Unavailable(_) => Code::Unavailable,
        StoreError::Aborted(_) => Code::Aborted,
        StoreError::Canceled => Code::Cancelled,
        StoreError::Deadline(_) => Code::DeadlineExceeded,
        StoreError::Internal(_) => Code::Internal,
    };
    Status::new(code, error.to_string())
}

pub(crate) fn from_status(status: Status) -> StoreError {
    let text = status.message().to_string();
    match status.code() {
        Code::InvalidArgument => StoreError::InvalidArgument(text),
        Code::ResourceExhausted => StoreError::Limit(text),
        Code::Unavailable => StoreError::Unavailable(text),
        Code::Aborted => StoreError::Aborted(text),
        Code::Cancelled => StoreError::Canceled,
        Code::DeadlineExceeded => StoreError::Deadline(text),
        code => StoreError::Internal(format!("{code:?}: {text}")),
    }
}

pub(crate) fn write_to_status(error: WriteError) -> Status {
    match error {
        WriteError::Unavailable(text) => Status::unavailable(text),
        WriteError::Invalid(text) => Status::invalid_argument(text),
        WriteError::Internal(text) => Status::internal(text),
    }
}

/// Go's text of a status.
pub(crate) fn rpc_text(status: &Status) -> String {
    format!("rpc error: code = {} desc = {}", go_name(status.code()), status.message())
}

fn go_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

impl StoreError {
    /// The error as a gRPC status in the words of Thanos's client, for warnings.
    pub fn rpc_text(&self) -> String {
        format!("rpc error: code = {} desc = {self}", self.rpc_code())
    }

    /// Go's name of its gRPC status.
    pub fn rpc_code(&self) -> &'static str {
        match self {
            StoreError::InvalidArgument(_) => "InvalidArgument",
            StoreError::Limit(_) => "ResourceExhausted",
            StoreError::Unavailable(_) => "Unavailable",
            StoreError::Aborted(_) => "Aborted",
            StoreError::Canceled => "Canceled",
            StoreError::Deadline(_) => "DeadlineExceeded",
            StoreError::Internal(_) => "Unknown",
        }
    }
}
