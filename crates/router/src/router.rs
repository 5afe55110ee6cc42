//! The router and the path of one request through it.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use thanoxide_env::Clock;
use thanoxide_model::{TenantId, WriteBatch};
use thanoxide_proto::{DecodeLimits, decode_write_request, decode_write_request_v2};
use thanoxide_server::http::{self, Bytes, Request, Response, StatusCode, post};
use thanoxide_server::{HttpMetrics, LogLimit, TenancyError, TenantHeader};
use thanoxide_storeapi::{Rejected, WriteOutcome, WriteStore};
use tracing::{debug, error};

use crate::answer;
use crate::body::{BodyLimits, read_body};
use crate::budget::{Budget, Lease};
use crate::config::RouterConfig;
use crate::label_check::refuse_labels;
use crate::metrics::RouterMetrics;
use crate::protocol::{Protocol, check_replica};
use crate::refusal::Refusal;
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
struct Inner {
    deps: RouterDeps,
    tenants: TenantHeader,
    body_limits: BodyLimits,
    max_decoded_bytes: u64,
    decode_limits: DecodeLimits,
    budget: Budget,
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
            max_decoded_bytes: config.max_decoded_bytes,
            decode_limits: DecodeLimits { max_series: config.max_series, ..DecodeLimits::default() },
            buffers: BufferPool::default(),
            failure_log: LogLimit::new(LOG_INTERVAL, Arc::clone(&deps.clock)),
            deps,
        })))
    }

    /// The routes of the remote write listener: POST `/api/v1/receive`.
    pub fn routes(&self, metrics: &HttpMetrics) -> http::Router {
        let router = self.clone();
        let receive = post(move |request: Request| {
            let router = router.clone();
            async move { router.receive(request).await }
        });
        metrics
            .instrument("receive", http::Router::new().route("/api/v1/receive", receive))
            .fallback(|| async { answer::error(StatusCode::NOT_FOUND, "404 page not found") })
            .method_not_allowed_fallback(|| async {
                answer::error(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
            })
    }

    async fn receive(&self, request: Request) -> Response {
        let version = request.version();
        self.0.receive(request).await.unwrap_or_else(|refusal| {
            debug!(err = ?refusal, "write request refused");
            answer::refused(&refusal, version)
        })
    }
}

impl Inner {
    async fn receive(&self, request: Request) -> Result<Response, Refusal> {
        let tenant = self.tenants.tenant_of(request.headers())?;
        let protocol = Protocol::of(request.headers())?;
        let mut lease = self.budget.lease();
        let replica = check_replica(request.headers());
        let mut batch = self.batch(protocol, request, &mut lease).await?;
        // Stock looks at the replica only now: what is no write request is told first.
        replica?;
        if batch.is_empty() {
            return Ok(answer::written(&batch, &WriteOutcome::default(), protocol));
        }
        let refused = refuse_labels(&mut batch);
        Ok(self.write(&tenant, Arc::new(batch), refused, protocol).await)
    }

    async fn batch(&self, protocol: Protocol, request: Request, lease: &mut Lease) -> Result<WriteBatch, Refusal> {
        let (parts, body) = request.into_parts();
        let block = read_body(&parts.headers, body, self.body_limits, lease).await?;
        let decoded_bytes = declared_len(&block, self.max_decoded_bytes)?;
        lease.grow(decoded_bytes)?;
        let (buffers, limits) = (self.buffers.clone(), self.decode_limits);
        if decoded_bytes <= MAX_INLINE_BYTES {
            return decode(&block, decoded_bytes, protocol, &buffers, &limits);
        }
        let decoding = tokio::task::spawn_blocking(move || decode(&block, decoded_bytes, protocol, &buffers, &limits));
        decoding.await.map_err(|_| Refusal::Stopped)?
    }

    async fn write(
        &self,
        tenant: &TenantId,
        batch: Arc<WriteBatch>,
        refused: Vec<Rejected>,
        protocol: Protocol,
    ) -> Response {
        let metrics = &self.deps.metrics;
        let response = match self.deps.store.write(tenant, Arc::clone(&batch)).await {
            Ok(mut outcome) => {
                outcome.rejected.extend(refused);
                metrics.count_rejected(&outcome.rejected);
                answer::written(&batch, &outcome, protocol)
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
