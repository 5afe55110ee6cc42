//! The router and the path of one request through it.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use thanoxide_config::TenantLimits;
use thanoxide_env::Clock;
use thanoxide_model::{StartTimes, TenantId, WriteBatch};
use thanoxide_proto::{DecodeLimits, decode_write_request, decode_write_request_v2};
use thanoxide_server::http::{self, Bytes, Request, Response, StatusCode, Version, post};
use thanoxide_server::{ClientIdentity, HttpMetrics, LogLimit, TenancyError, TenantHeader};
use thanoxide_spans::{Span, tag};
use thanoxide_storeapi::{Rejected, WriteError, WriteOutcome, WriteStore};
use tracing::{debug, error};

use crate::answer;
use crate::body::{BodyLimits, content_length, read_body};
use crate::budget::{Budget, Lease};
use crate::config::RouterConfig;
use crate::label_check::{limit_labels, refuse_labels};
use crate::metrics::RouterMetrics;
use crate::protocol::{Protocol, check_replica};
use crate::refusal::Refusal;
use crate::rewrite::{TenantPart, relabel, split};
use crate::snappy::{BufferPool, declared_len};

/// Longer bodies are decoded on a thread where waiting is allowed.
const MAX_INLINE_BYTES: u64 = 256 << 10;
/// Failed writes are logged this often.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// What the router works with.
#[derive(Clone, Debug)]
pub struct RouterDeps {
    /// Who takes the samples.
    pub store: Arc<dyn WriteStore>,
    /// Its metrics.
    pub metrics: RouterMetrics,
    /// For the brake on log lines.
    pub clock: Arc<dyn Clock>,
}

/// The remote write endpoint.
#[derive(Clone, Debug)]
pub struct Router(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    deps: RouterDeps,
    pub(crate) config: RouterConfig,
    tenants: TenantHeader,
    pub(crate) body_limits: BodyLimits,
    decode_limits: DecodeLimits,
    pub(crate) budget: Budget,
    buffers: BufferPool,
    failure_log: LogLimit,
}

impl Router {
    /// A router. Fails for a tenant header or default tenant that cannot be one.
    pub fn new(config: RouterConfig, deps: RouterDeps) -> Result<Self, TenancyError> {
        Ok(Router(Arc::new(Inner {
            budget: Budget::new(config.max_inflight_bytes, deps.metrics.inflight_bytes()),
            tenants: TenantHeader::new(&config.tenant_header, &config.default_tenant)?,
            body_limits: BodyLimits { max_bytes: config.max_body_bytes, timeout: config.body_timeout },
            decode_limits: DecodeLimits { max_series: config.max_series, ..DecodeLimits::default() },
            buffers: BufferPool::default(),
            failure_log: LogLimit::new(LOG_INTERVAL, Arc::clone(&deps.clock)),
            deps,
            config,
        })))
    }

    /// The routes of the remote write listener: POST `/api/v1/receive` and `/api/v1/otlp`.
    pub fn routes(&self, metrics: &HttpMetrics) -> http::Router {
        let router = self.clone();
        let receive = post(move |request: Request| {
            let router = router.clone();
            async move { router.receive(request).await }
        });
        let router = self.clone();
        let otlp = post(move |request: Request| {
            let router = router.clone();
            async move { router.receive_otlp(request).await }
        });
        // Exporters add the path of the signal by themselves.
        let otlp = http::Router::new().route("/api/v1/otlp", otlp.clone()).route("/api/v1/otlp/v1/metrics", otlp);
        metrics
            .instrument("receive", http::Router::new().route("/api/v1/receive", receive))
            .merge(metrics.instrument("receive_otlp", otlp))
            .fallback(|| async { answer::error(StatusCode::NOT_FOUND, "404 page not found") })
            .method_not_allowed_fallback(|| async {
                answer::error(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
            })
    }

    async fn receive(&self, request: Request) -> Response {
        let version = request.version();
        self.0.receive(request).await.unwrap_or_else(|refusal| refused(&refusal, version))
    }

    async fn receive_otlp(&self, request: Request) -> Response {
        let version = request.version();
        self.0.receive_otlp(request).await.unwrap_or_else(|refusal| refused(&refusal, version))
    }
}

impl Inner {
    async fn receive(&self, request: Request) -> Result<Response, Refusal> {
        let tenant = self.tenant_of(&request)?;
        let span = Span::child("receive_http").tagged(|| [tag("tenant", tenant.to_string())]);
        span.around(self.receive_of(tenant, request)).await
    }

    async fn receive_of(&self, tenant: TenantId, request: Request) -> Result<Response, Refusal> {
        let protocol = Protocol::of(request.headers())?;
        let limits = self.config.limiter.of(&tenant);
        let _place = Span::child("receive_write_gate_ismyturn").around(self.config.limiter.enter()).await;
        self.config.limiter.check_head_series(&tenant, &limits)?;
        let mut lease = self.budget.lease();
        let replica = check_replica(request.headers(), &self.config.replica_header);
        let batch = self.batch(protocol, request, &limits, &mut lease).await?;
        // Stock looks at the replica only now: what is no write request is told first.
        replica?;
        self.store(tenant, batch, &limits, protocol).await
    }

    /// The certificate's word counts more than the header's.
    pub(crate) fn tenant_of(&self, request: &Request) -> Result<TenantId, Refusal> {
        let named = self.tenants.named(request.headers());
        if !matches!(named, Ok(None))
            && self.config.hop_secret.as_ref().is_some_and(|hops| !hops.accepts(request.headers()))
        {
            return Err(Refusal::Untrusted);
        }
        let Some(field) = self.config.certificate_field else {
            return Ok(named?.unwrap_or_else(|| self.tenants.default_tenant().clone()));
        };
        let identity = request.extensions().get::<ClientIdentity>();
        let name =
            ClientIdentity::field_of(identity, field).map_err(|error| Refusal::Certificate(error.to_string()))?;
        Ok(TenantId::new(name).map_err(TenancyError::from)?)
    }

    async fn batch(
        &self,
        protocol: Protocol,
        request: Request,
        limits: &TenantLimits,
        lease: &mut Lease,
    ) -> Result<WriteBatch, Refusal> {
        let (parts, body) = request.into_parts();
        if content_length(&parts.headers).is_some_and(|length| !TenantLimits::allows(limits.request_bytes, length)) {
            return Err(Refusal::TenantBytes);
        }
        let block = read_body(&parts.headers, body, self.body_limits, lease).await?;
        let decoded_bytes = declared_len(&block, self.config.max_decoded_bytes)?;
        if !TenantLimits::allows(limits.request_bytes, decoded_bytes) {
            return Err(Refusal::TenantBytes);
        }
        lease.grow(decoded_bytes)?;
        let (buffers, limits) = (self.buffers.clone(), self.decode_limits);
        if decoded_bytes <= MAX_INLINE_BYTES {
            return decode(&block, decoded_bytes, protocol, &buffers, &limits);
        }
        let decoding = tokio::task::spawn_blocking(move || decode(&block, decoded_bytes, protocol, &buffers, &limits));
        decoding.await.map_err(|_| Refusal::Stopped)?
    }

    /// Checks what the tenant may send, rewrites it, and hands it to the storage.
    pub(crate) async fn store(
        &self,
        tenant: TenantId,
        mut batch: WriteBatch,
        limits: &TenantLimits,
        protocol: Protocol,
    ) -> Result<Response, Refusal> {
        self.check_size(&tenant, &batch, limits)?;
        if !self.config.start_times {
            batch.starts = StartTimes::default();
        }
        if !self.config.relabel.is_empty() {
            relabel(&mut batch, &self.config.relabel)?;
        }
        if batch.is_empty() && batch.metadata.is_empty() {
            return Ok(answer::written(&batch, &WriteOutcome::default(), protocol));
        }
        let mut refused = limit_labels(&mut batch, limits);
        refused.extend(refuse_labels(&mut batch));
        // What is said of metrics alone has no label to be split by.
        let Some(name) = self.config.split_tenant_label.as_ref().filter(|_| !batch.is_empty()) else {
            return Ok(self.write(&tenant, Arc::new(batch), refused, protocol).await);
        };
        let parts = split(&mut batch, name, tenant.clone())?;
        Ok(self.write_parts(&tenant, Arc::new(batch), parts, refused, protocol).await)
    }

    fn check_size(&self, tenant: &TenantId, batch: &WriteBatch, limits: &TenantLimits) -> Result<(), Refusal> {
        if !TenantLimits::allows(limits.request_series, batch.series.len() as u64) {
            return Err(Refusal::TenantSeries);
        }
        // Stock counts no histograms here.
        if !TenantLimits::allows(limits.request_samples, batch.samples.len() as u64) {
            return Err(Refusal::TenantSamples);
        }
        let values = (batch.samples.len() + batch.histograms.len()) as u64;
        self.config.limiter.take(tenant, limits, values, self.deps.clock.monotonic())
    }

    async fn write(
        &self,
        tenant: &TenantId,
        batch: Arc<WriteBatch>,
        refused: Vec<Rejected>,
        protocol: Protocol,
    ) -> Response {
        let result = self.deps.store.write(tenant, Arc::clone(&batch)).await.map(|mut outcome| {
            outcome.rejected.extend(refused);
            outcome
        });
        self.answer(tenant, &batch, result, protocol)
    }

    /// Writes the parts of several tenants side by side. One part that fails fails the request: what was stored of the
    /// others is known already when it is sent again.
    async fn write_parts(
        &self,
        tenant: &TenantId,
        batch: Arc<WriteBatch>,
        parts: Vec<TenantPart>,
        refused: Vec<Rejected>,
        protocol: Protocol,
    ) -> Response {
        if let [only] = &parts[..] {
            return self.write(&only.tenant, batch, refused, protocol).await;
        }
        let writes = parts.iter().map(|part| {
            let of_part = Arc::new(batch.select(&part.places));
            async move { self.deps.store.write(&part.tenant, of_part).await }
        });
        let mut result = Ok(WriteOutcome { rejected: refused, ..WriteOutcome::default() });
        for (part, outcome) in parts.iter().zip(join_all(writes).await) {
            result = match (result, outcome) {
                (Ok(so_far), Ok(outcome)) => Ok(joined(so_far, outcome, part)),
                (Err(failure @ WriteError::Unavailable(_)), _) | (_, Err(failure)) | (Err(failure), _) => Err(failure),
            };
        }
        self.answer(tenant, &batch, result, protocol)
    }

    fn answer(
        &self,
        tenant: &TenantId,
        batch: &WriteBatch,
        result: Result<WriteOutcome, WriteError>,
        protocol: Protocol,
    ) -> Response {
        let metrics = &self.deps.metrics;
        let response = match result {
            Ok(outcome) => {
                metrics.count_rejected(&outcome.rejected);
                answer::written(batch, &outcome, protocol)
            }
            Err(failure) => {
                if let Some(left_out) = self.failure_log.admit() {
                    error!(tenant = %tenant, err = %failure, left_out, "cannot write");
                }
                answer::failed(&failure)
            }
        };
        metrics.observe(tenant, response.status(), batch.series.len(), batch.samples.len() as u64);
        response
    }
}

fn refused(refusal: &Refusal, version: Version) -> Response {
    debug!(err = ?refusal, "write request refused");
    answer::refused(refusal, version)
}

/// Adds the outcome of a part to that of the whole request.
fn joined(mut whole: WriteOutcome, part: WriteOutcome, of: &TenantPart) -> WriteOutcome {
    whole.accepted += part.accepted;
    let place = |series: u32| of.places.get(series as usize).copied().unwrap_or(series);
    whole.rejected.extend(part.rejected.into_iter().map(|r| Rejected { series: place(r.series), ..r }));
    whole.explanation = whole.explanation.or(part.explanation);
    whole
}

fn decode(
    block: &Bytes,
    decoded_bytes: u64,
    protocol: Protocol,
    buffers: &BufferPool,
    limits: &DecodeLimits,
) -> Result<WriteBatch, Refusal> {
    let body = buffers.decompress(block, decoded_bytes)?;
    Ok(match protocol {
        Protocol::V1 => decode_write_request(&body, limits)?,
        Protocol::V2 => decode_write_request_v2(&body, limits)?,
    })
}
