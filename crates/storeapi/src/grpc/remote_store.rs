//! A [`Store`] at the other end of a connection.

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use http::uri::PathAndQuery;
use prost::Message;
use thanoxide_proto::codec::BytesCodec;
use thanoxide_proto::thanos::exemplars_client::ExemplarsClient;
use thanoxide_proto::thanos::info::InfoRequest;
use thanoxide_proto::thanos::info::info_client::InfoClient;
use thanoxide_proto::thanos::metadata_client::MetadataClient;
use thanoxide_proto::thanos::store_client::StoreClient;
use tonic::client::Grpc;
use tonic::{Request, Status, Streaming};

use super::MAX_MESSAGE_BYTES;
use super::channel::{ClientConfig, GrpcChannel};
use super::store_service::SERIES_PATH;
use crate::convert::status::from_status;
use crate::convert::{exemplars, info, metadata, requests, series};
use crate::{
    ExemplarsAnswer, ExemplarsRequest, LabelNamesRequest, LabelValuesRequest, LabelsAnswer, MetadataAnswer,
    MetadataRequest, SeriesRequest, SeriesStream, Store, StoreError, StoreInfo,
};

/// A store behind an address. What it lacks (sharding, removal of replica labels) the proxy makes up for.
#[derive(Clone, Debug)]
pub struct RemoteStore {
    address: String,
    channel: GrpcChannel,
    store: StoreClient<GrpcChannel>,
    exemplars: ExemplarsClient<GrpcChannel>,
    metadata: MetadataClient<GrpcChannel>,
    info: InfoClient<GrpcChannel>,
}

impl RemoteStore {
    /// A client of `host:port`; nothing is sent yet. Fails where that is no address.
    pub fn connect(address: &str, config: &ClientConfig) -> Result<Self, StoreError> {
        Ok(Self::over(address, config.channel(address)?))
    }

    /// A client over a connection that others use too.
    pub fn over(address: &str, channel: GrpcChannel) -> Self {
        let store = StoreClient::new(channel.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let exemplars = ExemplarsClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let metadata = MetadataClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let info = InfoClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES);
        RemoteStore { address: address.to_string(), channel, store, exemplars, metadata, info }
    }

    /// The messages of an answer as they are.
    async fn series_messages(&self, request: Bytes) -> Result<Streaming<Bytes>, Status> {
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES);
        grpc.ready().await.map_err(|e| Status::unknown(format!("Service was not ready: {e}")))?;
        let path = PathAndQuery::from_static(SERIES_PATH);
        Ok(grpc.server_streaming(Request::new(request), path, BytesCodec).await?.into_inner())
    }

    /// The address as given.
    pub fn address(&self) -> &str {
        &self.address
    }
}

#[async_trait]
impl Store for RemoteStore {
    async fn info(&self) -> Result<StoreInfo, StoreError> {
        let answer = self.info.clone().info(InfoRequest {}).await.map_err(from_status)?;
        info::from_proto(answer.into_inner())
    }

    async fn series(&self, request: SeriesRequest) -> Result<SeriesStream, StoreError> {
        let request = requests::series_to_proto(&request).encode_to_vec();
        let messages = self.series_messages(request.into()).await.map_err(from_status)?;
        let frames = messages.filter_map(async |message| match message {
            Ok(message) => series::frame_from_message(&message).transpose(),
            Err(status) => Some(Err(from_status(status))),
        });
        Ok(frames.boxed())
    }

    async fn label_names(&self, request: LabelNamesRequest) -> Result<LabelsAnswer, StoreError> {
        let request = requests::label_names_to_proto(&request);
        let answer = self.store.clone().label_names(request).await.map_err(from_status)?.into_inner();
        Ok(requests::labels_answer(answer.names, answer.warnings))
    }

    async fn label_values(&self, request: LabelValuesRequest) -> Result<LabelsAnswer, StoreError> {
        let request = requests::label_values_to_proto(&request);
        let answer = self.store.clone().label_values(request).await.map_err(from_status)?.into_inner();
        Ok(requests::labels_answer(answer.values, answer.warnings))
    }

    async fn exemplars(&self, request: ExemplarsRequest) -> Result<ExemplarsAnswer, StoreError> {
        let request = exemplars::request_to_proto(&request);
        let mut frames = self.exemplars.clone().exemplars(request).await.map_err(from_status)?.into_inner();
        let mut answer = ExemplarsAnswer::default();
        while let Some(frame) = frames.message().await.map_err(from_status)? {
            exemplars::add_frame(frame, &mut answer)?;
        }
        Ok(answer)
    }

    async fn metric_metadata(&self, request: MetadataRequest) -> Result<MetadataAnswer, StoreError> {
        let wire = metadata::request_to_proto(&request);
        let mut frames = self.metadata.clone().metric_metadata(wire).await.map_err(from_status)?.into_inner();
        let mut answer = MetadataAnswer::default();
        while let Some(frame) = frames.message().await.map_err(from_status)? {
            metadata::add_frame(frame, request.limit, &mut answer);
        }
        Ok(answer)
    }
}
