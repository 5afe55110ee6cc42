//! `thanos.Store`, `thanos.Exemplars`, `thanos.Metadata` and `thanos.info.Info` in front of a [`Store`]. The first is written by hand, so
//! that the messages of series are made without generated types between.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, BoxStream, StreamExt};
use http_body::Body as HttpBody;
use prost::Message;
use thanoxide_proto::codec::BytesCodec;
use thanoxide_proto::thanos;
use thanoxide_proto::thanos::exemplars_server::Exemplars;
use thanoxide_proto::thanos::info::info_server::Info;
use thanoxide_proto::thanos::info::{InfoRequest, InfoResponse};
use thanoxide_proto::thanos::metadata_server::Metadata;
use tonic::body::Body;
use tonic::codegen::StdError;
use tonic::server::{Grpc, NamedService};
use tonic::{Request, Response, Status};
use tower::{Service, service_fn};

use super::MAX_MESSAGE_BYTES;
use crate::convert::status::to_status;
use crate::convert::{exemplars, info, metadata, requests, series};
use crate::{LabelsAnswer, Store};

pub(crate) const SERIES_PATH: &str = "/thanos.Store/Series";
const LABEL_NAMES_PATH: &str = "/thanos.Store/LabelNames";
const LABEL_VALUES_PATH: &str = "/thanos.Store/LabelValues";

#[derive(Clone, Debug)]
pub(crate) struct StoreService {
    store: Arc<dyn Store>,
}

impl StoreService {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        StoreService { store }
    }
}

/// The messages of an answer.
type Messages = BoxStream<'static, Result<Bytes, Status>>;

impl StoreService {
    async fn series(self, request: Request<Bytes>) -> Result<Response<Messages>, Status> {
        let request: thanos::SeriesRequest = decode(request)?;
        let batch_size = usize::try_from(request.response_batch_size).unwrap_or(0);
        let request = requests::series_from_proto(request).map_err(to_status)?;
        let frames = self.store.series(request).await.map_err(to_status)?;
        let messages = frames.flat_map(move |frame| {
            let messages = frame.and_then(|frame| series::frame_to_messages(&frame, batch_size));
            let messages = match messages {
                Ok(messages) => messages.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(to_status(error))],
            };
            stream::iter(messages)
        });
        Ok(Response::new(messages.boxed()))
    }

    async fn label_names(self, request: Request<Bytes>) -> Result<Response<Bytes>, Status> {
        let request = requests::label_names_from_proto(decode(request)?).map_err(to_status)?;
        let (names, warnings) = split(self.store.label_names(request).await.map_err(to_status)?);
        encode(&thanos::LabelNamesResponse { names, warnings, hints: None })
    }

    async fn label_values(self, request: Request<Bytes>) -> Result<Response<Bytes>, Status> {
        let request = requests::label_values_from_proto(decode(request)?).map_err(to_status)?;
        if request.label.is_empty() {
            return Err(Status::invalid_argument("label name parameter cannot be empty"));
        }
        let (values, warnings) = split(self.store.label_values(request).await.map_err(to_status)?);
        encode(&thanos::LabelValuesResponse { values, warnings, hints: None })
    }
}

fn decode<M: Message + Default>(request: Request<Bytes>) -> Result<M, Status> {
    M::decode(request.into_inner()).map_err(|error| Status::internal(error.to_string()))
}

fn encode(answer: &impl Message) -> Result<Response<Bytes>, Status> {
    Ok(Response::new(answer.encode_to_vec().into()))
}

/// `thanos.Store` of a [`StoreService`].
#[derive(Clone, Debug)]
pub(crate) struct StoreMethods(pub(crate) StoreService);

impl NamedService for StoreMethods {
    const NAME: &'static str = "thanos.Store";
}

impl<B> Service<http::Request<B>> for StoreMethods
where
    B: HttpBody + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let service = self.0.clone();
        async move {
            let mut grpc = Grpc::new(BytesCodec)
                .max_decoding_message_size(MAX_MESSAGE_BYTES)
                .max_encoding_message_size(MAX_MESSAGE_BYTES);
            Ok(match request.uri().path() {
                SERIES_PATH => {
                    grpc.server_streaming(service_fn(move |request| service.clone().series(request)), request).await
                }
                LABEL_NAMES_PATH => {
                    grpc.unary(service_fn(move |request| service.clone().label_names(request)), request).await
                }
                LABEL_VALUES_PATH => {
                    grpc.unary(service_fn(move |request| service.clone().label_values(request)), request).await
                }
                _ => Status::unimplemented("unknown method").into_http(),
            })
        }
        .boxed()
    }
}

fn split(answer: LabelsAnswer) -> (Vec<Bytes>, Vec<String>) {
    (answer.values.into_iter().map(Bytes::from).collect(), answer.warnings)
}

#[tonic::async_trait]
impl Exemplars for StoreService {
    type ExemplarsStream = BoxStream<'static, Result<thanos::ExemplarsResponse, Status>>;

    async fn exemplars(
        &self,
        request: Request<thanos::ExemplarsRequest>,
    ) -> Result<Response<Self::ExemplarsStream>, Status> {
        let request = exemplars::request_from_proto(request.into_inner()).map_err(to_status)?;
        let answer = self.store.exemplars(request).await.map_err(to_status)?;
        Ok(Response::new(stream::iter(exemplars::answer_to_proto(answer).map(Ok)).boxed()))
    }
}

#[tonic::async_trait]
impl Metadata for StoreService {
    type MetricMetadataStream = BoxStream<'static, Result<thanos::MetricMetadataResponse, Status>>;

    async fn metric_metadata(
        &self,
        request: Request<thanos::MetricMetadataRequest>,
    ) -> Result<Response<Self::MetricMetadataStream>, Status> {
        let request = metadata::request_from_proto(request.into_inner());
        let answer = self.store.metric_metadata(request).await.map_err(to_status)?;
        Ok(Response::new(stream::iter(metadata::answer_to_proto(answer).map(Ok)).boxed()))
    }
}

#[tonic::async_trait]
impl Info for StoreService {
    async fn info(&self, _: Request<InfoRequest>) -> Result<Response<InfoResponse>, Status> {
        let info = self.store.info().await.map_err(to_status)?;
        Ok(Response::new(info::to_proto(&info)))
    }
}
