//! Requests counted under the names of Thanos's HTTP instrumentation.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use thanoxide_env::Clock;
use thanoxide_spans::{Span, tag};

use crate::http::{HeaderMap, HeaderName, HeaderValue, HttpBody, Method, Response, Router};
use crate::tenancy::{OTHER_TENANTS, TenantHeader, TenantLabels};

/// Thanos's buckets of request durations, in seconds.
pub const DURATION_BUCKETS_SECONDS: [f64; 17] =
    [0.001, 0.01, 0.1, 0.3, 0.6, 1.0, 3.0, 6.0, 9.0, 20.0, 30.0, 60.0, 90.0, 120.0, 240.0, 360.0, 720.0];
type Labels = Vec<(&'static str, String)>;
type Histograms = Family<Labels, Histogram, Buckets>;
/// Exemplars name the trace.
type TracedHistograms = Family<Labels, HistogramWithExemplars<[(&'static str, String); 1]>, Buckets>;
/// Tells a client the name of its trace.
const TRACE_ID_HEADER: HeaderName = HeaderName::from_static("x-thanos-trace-id");

/// What is counted beyond the default.
#[derive(Debug)]
pub struct HttpMetricsConfig {
    /// With it all metrics get the label `tenant`.
    pub tenants: Option<TenantHeader>,
    /// Buckets of durations, in seconds.
    pub duration_buckets_seconds: Vec<f64>,
}

impl Default for HttpMetricsConfig {
    fn default() -> Self {
        HttpMetricsConfig { tenants: None, duration_buckets_seconds: DURATION_BUCKETS_SECONDS.to_vec() }
    }
}

/// Buckets of one histogram family.
#[derive(Clone, Debug)]
enum Buckets {
    Durations(Arc<[f64]>),
    Sizes,
}

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        match self {
            Buckets::Durations(seconds) => Histogram::new(seconds.iter().copied()),
            Buckets::Sizes => Histogram::new(exponential_buckets(64.0, 2.0, 10)),
        }
    }
}

impl MetricConstructor<HistogramWithExemplars<[(&'static str, String); 1]>> for Buckets {
    fn new_metric(&self) -> HistogramWithExemplars<[(&'static str, String); 1]> {
        match self {
            Buckets::Durations(seconds) => HistogramWithExemplars::new(seconds.iter().copied()),
            Buckets::Sizes => HistogramWithExemplars::new(exponential_buckets(64.0, 2.0, 10)),
        }
    }
}

/// `http_requests_total`, `http_request_duration_seconds`, `http_request_size_bytes`, `http_response_size_bytes` and
/// `http_inflight_requests`, by handler, method, code and (where wanted) tenant.
#[derive(Clone, Debug)]
pub struct HttpMetrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    requests: Family<Labels, Counter>,
    durations: TracedHistograms,
    request_sizes: Histograms,
    response_sizes: Histograms,
    inflight: Family<Labels, Gauge>,
    tenants: Option<(TenantHeader, TenantLabels)>,
    clock: Arc<dyn Clock>,
}

impl HttpMetrics {
    /// Registers the metrics.
    pub fn new(registry: &mut Registry, config: HttpMetricsConfig, clock: Arc<dyn Clock>) -> Self {
        let durations = Buckets::Durations(config.duration_buckets_seconds.into());
        let inner = Inner {
            requests: Family::default(),
            durations: Family::new_with_constructor(durations),
            request_sizes: Family::new_with_constructor(Buckets::Sizes),
            response_sizes: Family::new_with_constructor(Buckets::Sizes),
            inflight: Family::default(),
            tenants: config.tenants.map(|header| (header, TenantLabels::default())),
            clock,
        };
        registry.register("http_requests", "Tracks the number of HTTP requests.", inner.requests.clone());
        let durations = "Tracks the latencies for HTTP requests.";
        registry.register("http_request_duration_seconds", durations, inner.durations.clone());
        let sizes = "Tracks the size of HTTP requests.";
        registry.register("http_request_size_bytes", sizes, inner.request_sizes.clone());
        let sizes = "Tracks the size of HTTP responses.";
        registry.register("http_response_size_bytes", sizes, inner.response_sizes.clone());
        let inflight = "Current number of HTTP requests the handler is responding to.";
        registry.register("http_inflight_requests", inflight, inner.inflight.clone());
        HttpMetrics(Arc::new(inner))
    }

    /// Counts all requests of `router`'s routes under the handler name `handler`.
    pub fn instrument(&self, handler: &'static str, router: Router) -> Router {
        self.instrument_each(move |_| handler, router)
    }

    /// Counts requests of `router`'s routes under the handler name of each route's path.
    pub fn instrument_each(
        &self,
        handler: impl Fn(&str) -> &'static str + Clone + Send + Sync + 'static,
        router: Router,
    ) -> Router {
        let metrics = self.clone();
        router.route_layer(axum::middleware::from_fn(move |request: Request, next: Next| {
            let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
            let (metrics, handler) = (metrics.clone(), handler(path));
            async move { metrics.observe(handler, request, next).await }
        }))
    }

    async fn observe(&self, handler: &'static str, request: Request, next: Next) -> Response {
        let inner = &self.0;
        let labels = inner.labels(handler, request.method(), request.headers());
        let request_bytes = request.body().size_hint().lower();
        let start = inner.clock.monotonic();
        let inflight = InFlight::enter(inner.inflight.get_or_create_owned(&labels));
        let span = server_span(handler, &request);
        let mut response = span.around(next.run(request)).await;
        let trace_id = span.trace_id();
        name_trace(&mut response, &span, trace_id.as_deref());
        drop(inflight);
        let mut labels = labels;
        labels.insert(0, ("code", response.status().as_u16().to_string()));
        inner.requests.get_or_create(&labels).inc();
        let duration = inner.clock.monotonic().saturating_sub(start);
        let exemplar = trace_id.map(|id| [("traceID", id)]);
        inner.durations.get_or_create(&labels).observe(duration.as_secs_f64(), exemplar, None);
        inner.request_sizes.get_or_create(&labels).observe(request_bytes as f64);
        inner.response_sizes.get_or_create(&labels).observe(response.body().size_hint().lower() as f64);
        response
    }
}

impl Inner {
    fn labels(&self, handler: &'static str, method: &Method, headers: &HeaderMap) -> Labels {
        let mut labels = vec![("handler", handler.to_string()), ("method", method_label(method))];
        if let Some((header, known)) = &self.tenants {
            let tenant = header.tenant_of(headers);
            labels.push(("tenant", tenant.map_or(OTHER_TENANTS.to_string(), |tenant| known.label(&tenant))));
        }
        labels
    }
}

fn server_span(handler: &'static str, request: &Request) -> Span {
    let tags = || vec![tag("http.method", request.method().to_string()), tag("http.url", request.uri().to_string())];
    Span::server(|| format!("/{handler} HTTP[server]").into(), request.headers(), tags)
}

fn name_trace(response: &mut Response, span: &Span, trace_id: Option<&str>) {
    let Some(id) = trace_id.and_then(|id| HeaderValue::from_str(id).ok()) else { return };
    span.tag(|| [tag("http.status_code", i64::from(response.status().as_u16()))]);
    response.headers_mut().insert(TRACE_ID_HEADER, id);
}

/// Lower case; methods that nobody knows share one value.
fn method_label(method: &Method) -> String {
    match method.as_str() {
        "GET" | "POST" | "PUT" | "DELETE" | "HEAD" | "OPTIONS" | "PATCH" | "CONNECT" | "TRACE" => {
            method.as_str().to_ascii_lowercase()
        }
        _ => "unknown".to_string(),
    }
}

/// Counts down also when the client goes away and the handler is dropped.
struct InFlight(Gauge);

impl InFlight {
    fn enter(gauge: Gauge) -> Self {
        gauge.inc();
        InFlight(gauge)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
