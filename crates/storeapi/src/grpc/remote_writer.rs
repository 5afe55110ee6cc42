//! A [`WriteStore`] at the other end of a connection.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::uri::PathAndQuery;
use prost::Message;
use thanoxide_model::{TenantId, WriteBatch};
use thanoxide_proto::codec::BytesCodec;
use thanoxide_proto::encode_store_write_request;
use thanoxide_proto::thanoxide::WriteVerdicts;
use tonic::client::Grpc;
use tonic::metadata::MetadataValue;
use tonic::{Request, Status};

use super::MAX_MESSAGE_BYTES;
use super::channel::{ClientConfig, GrpcChannel};
use super::write_service::REMOTE_WRITE_PATH;
use crate::convert::status::write_from_status;
use crate::convert::verdicts::{VERDICTS_METADATA, from_proto, from_status};
use crate::{StoreError, WriteError, WriteOutcome, WriteStore};

/// A storage behind an address: ours, which tells the fate of each series, or any that knows `thanos.WriteableStore`.
///
/// Of a stock peer only the status is known: a conflict or an invalid sample rejects all series of the batch, and OK
/// accepts them all.
#[derive(Clone, Debug)]
pub struct RemoteWriter {
    address: String,
    grpc: Grpc<GrpcChannel>,
    replica: i64,
}

impl RemoteWriter {
    /// A client of `host:port`; nothing is sent yet. Fails where that is no address.
    pub fn connect(address: &str, config: &ClientConfig) -> Result<Self, StoreError> {
        Ok(Self::over(address, config.channel(address)?))
    }

    /// A client over a connection that others use too.
    pub fn over(address: &str, channel: GrpcChannel) -> Self {
        let grpc = Grpc::new(channel)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        RemoteWriter { address: address.to_string(), grpc, replica: 1 }
    }

    /// Sets the replica number plus one that goes with each write; 0 asks the peer to replicate. The default, 1, does not.
    pub fn with_replica(mut self, replica: i64) -> Self {
        self.replica = replica;
        self
    }

    /// The address as given.
    pub fn address(&self) -> &str {
        &self.address
    }

    async fn call(&self, body: Bytes) -> Result<Bytes, Status> {
        let mut grpc = self.grpc.clone();
        grpc.ready().await.map_err(|e| Status::unavailable(format!("connect to {}: {e}", self.address)))?;
        let mut request = Request::new(body);
        request.metadata_mut().insert(VERDICTS_METADATA, MetadataValue::from_static("1"));
        let path = PathAndQuery::from_static(REMOTE_WRITE_PATH);
        Ok(grpc.unary(request, path, BytesCodec).await?.into_inner())
    }
}

#[async_trait]
impl WriteStore for RemoteWriter {
    async fn write(&self, tenant: &TenantId, batch: Arc<WriteBatch>) -> Result<WriteOutcome, WriteError> {
        let parts = [(tenant.as_str(), &*batch, 0..batch.series.len())];
        let body = encode_store_write_request(parts, self.replica);
        match self.call(body).await {
            // A stock peer's answer has no content.
            Ok(answer) if answer.is_empty() && !batch.is_empty() => {
                let accepted = (batch.samples.len() + batch.histograms.len()) as u64;
                Ok(WriteOutcome { accepted, rejected: Vec::new() })
            }
            Ok(answer) => {
                let bad = |e| WriteError::Internal(format!("answer of {}: {e}", self.address));
                Ok(from_proto(WriteVerdicts::decode(answer).map_err(bad)?))
            }
            Err(status) => from_status(&status, &batch).ok_or_else(|| write_from_status(&status)),
        }
    }
}
