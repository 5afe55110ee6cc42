//! A [`WriteStore`] at the other end of a connection.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use prost::Message;
use thanoxide_model::{TenantId, WriteBatch};
use thanoxide_proto::encode_tenant_write_request;
use thanoxide_proto::thanoxide::WriteVerdicts;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status};

use super::channel::{ClientConfig, GrpcChannel};
use super::unary;
use super::write_message::WriteMessage;
use super::write_service::REMOTE_WRITE_PATH;
use crate::convert::status::rpc_text;
use crate::convert::verdicts::{HINTED_METADATA, PLACED_METADATA, VERDICTS_METADATA, from_proto};
use crate::write::{PeerError, PeerErrorKind};
use crate::{HopSecret, StoreError, WriteError, WriteOrigin, WriteOutcome, WriteStore};

/// A storage behind an address: ours, which tells the fate of each series, or any that knows `thanos.WriteableStore`.
///
/// Requests have the layout of one tenant, which every version of Thanos reads. Of a stock peer only the status is known.
#[derive(Clone, Debug)]
pub struct RemoteWriter {
    address: String,
    channel: GrpcChannel,
    timeout: Option<Duration>,
    secret: Option<HopSecret>,
}

impl RemoteWriter {
    /// A client of `host:port`; nothing is sent yet. Fails where that is no address.
    pub fn connect(address: &str, config: &ClientConfig) -> Result<Self, StoreError> {
        Ok(RemoteWriter { secret: config.secret.clone(), ..Self::over(address, config.channel(address)?) })
    }

    /// A client over a connection that others use too.
    pub fn over(address: &str, channel: GrpcChannel) -> Self {
        RemoteWriter { address: address.to_string(), channel, timeout: None, secret: None }
    }

    /// The address as given.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Sets how long the peer may take for a write.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends a write; of its origin, the replica is in the message already. `Ok(None)`: the peer, a stock one, has taken all
    /// of it.
    pub async fn send(&self, message: &WriteMessage, origin: WriteOrigin) -> Result<Option<WriteOutcome>, PeerError> {
        let answer = self.call(message, origin).await.map_err(|status| peer_error(&status))?;
        if answer.is_empty() {
            return Ok(None);
        }
        let unreadable = |e| PeerError { kind: PeerErrorKind::Other, text: format!("answer of {}: {e}", self.address) };
        Ok(Some(from_proto(WriteVerdicts::decode(answer).map_err(unreadable)?)))
    }

    async fn call(&self, message: &WriteMessage, origin: WriteOrigin) -> Result<Bytes, Status> {
        let mut request = Request::new(());
        if let Some(timeout) = self.timeout {
            request.set_timeout(timeout);
        }
        let flags = [(VERDICTS_METADATA, true), (PLACED_METADATA, origin.placed), (HINTED_METADATA, origin.hinted)];
        for (name, _) in flags.into_iter().filter(|(_, set)| *set) {
            request.metadata_mut().insert(name, MetadataValue::from_static("1"));
        }
        if let Some(header) = self.secret.as_ref().and_then(|secret| secret.header().to_str().ok()?.parse().ok()) {
            request.metadata_mut().insert("authorization", header);
        }
        let pieces = message.pieces(self.channel.deflates());
        let (metadata, ..) = request.into_parts();
        unary::call(self.channel.clone().untouched(), REMOTE_WRITE_PATH, metadata, pieces).await
    }
}

fn peer_error(status: &Status) -> PeerError {
    let kind = match status.code() {
        Code::AlreadyExists => PeerErrorKind::Conflict,
        Code::InvalidArgument => PeerErrorKind::Invalid,
        Code::Unavailable => PeerErrorKind::Unavailable,
        // The time that we set is over; tonic says it with the other code.
        Code::DeadlineExceeded | Code::Cancelled => return PeerError::timeout(),
        _ => PeerErrorKind::Other,
    };
    PeerError { kind, text: rpc_text(status) }
}

#[async_trait]
impl WriteStore for RemoteWriter {
    async fn write(&self, tenant: &TenantId, batch: Arc<WriteBatch>) -> Result<WriteOutcome, WriteError> {
        self.write_from(WriteOrigin { replica: 1, ..WriteOrigin::default() }, tenant, batch).await
    }

    async fn write_from(
        &self,
        origin: WriteOrigin,
        tenant: &TenantId,
        batch: Arc<WriteBatch>,
    ) -> Result<WriteOutcome, WriteError> {
        let body = encode_tenant_write_request(tenant.as_str(), &batch, 0..batch.series.len(), origin.replica);
        match self.send(&body.into(), origin).await {
            Ok(answer) => Ok(answer.unwrap_or_else(|| WriteOutcome::all_of(&batch))),
            Err(error) => error.into_outcome(&batch),
        }
    }
}
