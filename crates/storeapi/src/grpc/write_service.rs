//! `thanos.WriteableStore` in front of a [`WriteStore`], written by hand so that no label is copied.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use http_body::Body as HttpBody;
use prost::Message;
use thanoxide_model::TenantId;
use thanoxide_proto::codec::BytesCodec;
use thanoxide_proto::{DecodeLimits, decode_store_write_request};
use thanoxide_spans::Span;
use tonic::body::Body;
use tonic::codegen::StdError;
use tonic::server::{Grpc, NamedService};
use tonic::{Request, Response, Status};
use tower::{Service, service_fn};

use super::MAX_MESSAGE_BYTES;
use crate::convert::status::write_to_status;
use crate::convert::verdicts::{HINTED_METADATA, PLACED_METADATA, VERDICTS_METADATA, to_proto, to_status};
use crate::write::errors_text;
use crate::{HopSecret, WriteOrigin, WriteOutcome, WriteStore};

pub(crate) const REMOTE_WRITE_PATH: &str = "/thanos.WriteableStore/RemoteWrite";

#[derive(Clone, Debug)]
pub(crate) struct WriteService {
    store: Arc<dyn WriteStore>,
    secret: Option<HopSecret>,
}

impl WriteService {
    pub(crate) fn new(store: Arc<dyn WriteStore>, secret: Option<HopSecret>) -> Self {
        WriteService { store, secret }
    }

    async fn remote_write(self, request: Request<Bytes>) -> Result<Response<Bytes>, Status> {
        let wants_verdicts = request.metadata().contains_key(VERDICTS_METADATA);
        let hinted = request.metadata().contains_key(HINTED_METADATA);
        let placed = request.metadata().contains_key(PLACED_METADATA);
        let body = request.into_inner();
        let decoded = decode_store_write_request(&body, &DecodeLimits::default());
        let decoded = decoded.map_err(|e| Status::invalid_argument(e.to_string()))?;
        let origin = WriteOrigin { replica: decoded.replica.max(0) as u64, placed, hinted };
        let (mut outcome, mut explanations) = (WriteOutcome::default(), Vec::new());
        let mut first_series = 0;
        for (tenant, batch) in decoded.tenants {
            let tenant = TenantId::new(&tenant).map_err(|e| Status::invalid_argument(e.to_string()))?;
            let series_count = batch.series.len() as u32;
            let part = self.store.write_from(origin, &tenant, Arc::new(batch)).await;
            let part = part.map_err(write_to_status)?;
            outcome.accepted += part.accepted;
            explanations.extend(part.explanation);
            let rejected = part.rejected.into_iter();
            outcome.rejected.extend(rejected.map(|r| crate::Rejected { series: first_series + r.series, ..r }));
            first_series += series_count;
        }
        outcome.explanation = (!explanations.is_empty()).then(|| errors_text(explanations));
        if wants_verdicts {
            return Ok(Response::new(to_proto(&outcome).encode_to_vec().into()));
        }
        to_status(&outcome)?;
        Ok(Response::new(Bytes::new()))
    }
}

impl NamedService for WriteService {
    const NAME: &'static str = "thanos.WriteableStore";
}

impl<B> Service<http::Request<B>> for WriteService
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
        if request.uri().path() != REMOTE_WRITE_PATH {
            return async { Ok(Status::unimplemented("unknown method").into_http()) }.boxed();
        }
        if self.secret.as_ref().is_some_and(|secret| !secret.accepts(request.headers())) {
            // Nothing of the body is read.
            return async { Ok(Status::unauthenticated("this hop is not trusted").into_http()) }.boxed();
        }
        let service = self.clone();
        async move {
            let mut grpc = Grpc::new(BytesCodec)
                .max_decoding_message_size(MAX_MESSAGE_BYTES)
                .max_encoding_message_size(MAX_MESSAGE_BYTES);
            let handler =
                service_fn(move |request| Span::child("receive_grpc").around(service.clone().remote_write(request)));
            Ok(grpc.unary(handler, request).await)
        }
        .boxed()
    }
}
