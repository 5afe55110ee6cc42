//! `thanos.Store`, `thanos.Exemplars`, `thanos.Metadata` and `thanos.info.Info` in front of a [`Store`].

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use thanoxide_proto::thanos;
use thanoxide_proto::thanos::exemplars_server::Exemplars;
use thanoxide_proto::thanos::info::info_server::Info;
use thanoxide_proto::thanos::info::{InfoRequest, InfoResponse};
use thanoxide_proto::thanos::metadata_server::Metadata;
use tonic::{Request, Response, Status};

use crate::convert::status::to_status;
use crate::convert::{exemplars, info, metadata, requests, series};
use crate::{LabelsAnswer, Store};

#[derive(Clone, Debug)]
pub(crate) struct StoreService {
    store: Arc<dyn Store>,
}

impl StoreService {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        StoreService { store }
    }
}

#[tonic::async_trait]
impl thanos::store_server::Store for StoreService {
    type SeriesStream = BoxStream<'static, Result<thanos::SeriesResponse, Status>>;

    async fn series(&self, request: Request<thanos::SeriesRequest>) -> Result<Response<Self::SeriesStream>, Status> {
        let request = request.into_inner();
        let batch_size = usize::try_from(request.response_batch_size).unwrap_or(0);
        let request = requests::series_from_proto(request).map_err(to_status)?;
        let frames = self.store.series(request).await.map_err(to_status)?;
        let responses = frames.flat_map(move |frame| {
            let responses = frame.and_then(|f| series::frame_to_proto(f, batch_size));
            let responses = match responses {
                Ok(responses) => responses.into_iter().map(Ok).collect(),
                Err(e) => vec![Err(to_status(e))],
            };
            stream::iter(responses)
        });
        Ok(Response::new(responses.boxed()))
    }

    async fn label_names(
        &self,
        request: Request<thanos::LabelNamesRequest>,
    ) -> Result<Response<thanos::LabelNamesResponse>, Status> {
        let request = requests::label_names_from_proto(request.into_inner()).map_err(to_status)?;
        let (names, warnings) = split(self.store.label_names(request).await.map_err(to_status)?);
        Ok(Response::new(thanos::LabelNamesResponse { names, warnings, hints: None }))
    }

    async fn label_values(
        &self,
        request: Request<thanos::LabelValuesRequest>,
    ) -> Result<Response<thanos::LabelValuesResponse>, Status> {
        let request = requests::label_values_from_proto(request.into_inner()).map_err(to_status)?;
        if request.label.is_empty() {
            return Err(Status::invalid_argument("label name parameter cannot be empty"));
        }
        let (values, warnings) = split(self.store.label_values(request).await.map_err(to_status)?);
        Ok(Response::new(thanos::LabelValuesResponse { values, warnings, hints: None }))
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
