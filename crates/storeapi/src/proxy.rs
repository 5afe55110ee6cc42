//! Many stores as one: asks those that may have something, all at once, and merges what they say.
//!
//! A request goes to the endpoints whose time range and external labels can satisfy it. Each answer is read by a task of
//! its own through a short queue; `merge` joins the queues, in order, into one stream. What an endpoint cannot do
//! (shards, removal of replica labels) is done here. A part that fails becomes a warning or the end of the answer, as
//! the request says.

mod attention;
mod endpoint;
mod exemplars;
mod merge;
mod metadata;
mod pump;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::{BoxFuture, join_all};
use thanoxide_model::Matcher;
use thanoxide_spans::Span;

use endpoint::Asked;
pub use endpoint::ProxyEndpoint;

use crate::{
    EVER_MS, EndpointStatus, ExemplarsAnswer, ExemplarsRequest, LabelNamesRequest, LabelValuesRequest, LabelsAnswer,
    MetadataAnswer, MetadataRequest, PartialResponse, SeriesRequest, SeriesStream, Store, StoreError, StoreInfo,
};

/// What a proxy may choose.
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    /// What it calls itself: `query`, `receive` …
    pub component: String,
    /// Longest silence of an endpoint, counted anew for each frame; none waits for ever.
    pub response_timeout: Option<Duration>,
}

/// A fan-out over endpoints that may change while it works.
#[derive(Debug)]
pub struct ProxyStore {
    config: ProxyConfig,
    endpoints: RwLock<Arc<[ProxyEndpoint]>>,
}

impl ProxyStore {
    /// A proxy over some endpoints.
    pub fn new(config: ProxyConfig, endpoints: Vec<ProxyEndpoint>) -> Self {
        ProxyStore { config, endpoints: RwLock::new(endpoints.into()) }
    }

    /// Replaces the endpoints; requests under way keep theirs.
    pub fn set_endpoints(&self, endpoints: Vec<ProxyEndpoint>) {
        *self.endpoints.write().unwrap_or_else(PoisonError::into_inner) = endpoints.into();
    }

    /// The endpoints as they are now.
    pub fn endpoints(&self) -> Arc<[ProxyEndpoint]> {
        Arc::clone(&self.endpoints.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Those that may have something, with what they say of themselves; and warnings about those that do not answer.
    async fn matching(&self, wanted: &Wanted<'_>) -> Result<(Vec<Asked>, Vec<String>), StoreError> {
        let endpoints = self.endpoints();
        if endpoints.is_empty() && wanted.partial_response == PartialResponse::Abort {
            return Err(StoreError::Aborted("No StoreAPIs available".into()));
        }
        let wanted_ones = endpoints.iter().filter(|e| e.is_asked() && wanted.may_be_from(e));
        let (silent, endpoints): (Vec<_>, Vec<_>) = wanted_ones.cloned().partition(ProxyEndpoint::is_suspect);
        let infos = join_all(endpoints.iter().map(|e| self.within(e.info()))).await;
        let (mut asked, mut warnings) = (Vec::new(), Vec::new());
        for endpoint in silent {
            warnings.push(wanted.partial(format!("{} is silent", endpoint.name()))?);
        }
        for (endpoint, info) in endpoints.iter().zip(infos) {
            match info {
                Ok(info) if wanted.may_be_in(&info) => asked.push(Asked { endpoint: endpoint.clone(), info }),
                Ok(_) => {}
                Err(e) => warnings.push(wanted.partial(format!("info of {}: {}", endpoint.name(), e.rpc_text()))?),
            }
        }
        Ok((asked, warnings))
    }

    /// Those that serve some other API besides, as they say themselves.
    async fn serving(&self, serves: impl Fn(&StoreInfo) -> bool) -> Vec<Asked> {
        let endpoints = self.endpoints();
        let infos = join_all(endpoints.iter().map(|e| self.within(e.info()))).await;
        let asked = endpoints.iter().zip(infos).filter(|(endpoint, _)| endpoint.is_asked());
        let asked = asked.filter_map(|(endpoint, info)| Some(Asked { endpoint: endpoint.clone(), info: info.ok()? }));
        asked.filter(|asked| serves(&asked.info)).collect()
    }

    async fn within<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        match self.config.response_timeout {
            None => call.await,
            Some(limit) => tokio::time::timeout(limit, call)
                .await
                .unwrap_or_else(|_| Err(StoreError::Deadline(format!("no answer within {limit:?}")))),
        }
    }

    /// The union of what the matching endpoints know.
    async fn union<F>(&self, step: Step, wanted: &Wanted<'_>, limit: usize, ask: F) -> Result<LabelsAnswer, StoreError>
    where
        F: Fn(Arc<dyn Store>) -> BoxFuture<'static, Result<LabelsAnswer, StoreError>> + Send + Sync,
    {
        let (asked, mut warnings) = self.matching(wanted).await?;
        let answers = asked.iter().map(async |a| {
            let span = a.span(step.span);
            span.seen(span.around(self.within(ask(a.endpoint.store()))).await)
        });
        let answers = join_all(answers).await;
        let mut union = Vec::new();
        for (asked, part) in asked.iter().zip(answers) {
            match part {
                Ok(part) => {
                    union.extend(part.values);
                    for warning in part.warnings {
                        warnings.push(wanted.partial(warning)?);
                    }
                }
                Err(e) => {
                    let failed = format!("fetch {} from store {}: {}", step.title, asked.place(), e.rpc_text());
                    warnings.push(wanted.partial(failed)?);
                }
            }
        }
        Ok(LabelsAnswer::of(union, limit, warnings))
    }
}

/// A question to all endpoints, as it is called in warnings and in traces.
#[derive(Clone, Copy)]
struct Step {
    title: &'static str,
    span: &'static str,
}

const LABEL_NAMES: Step = Step { title: "label names", span: "proxy.label_names" };
const LABEL_VALUES: Step = Step { title: "label values", span: "proxy.label_values" };

/// The part of a request that decides whom to ask and what a failure means.
struct Wanted<'a> {
    min_time_ms: i64,
    max_time_ms: i64,
    matchers: &'a [Matcher],
    endpoint_matchers: &'a [Vec<Matcher>],
    partial_response: PartialResponse,
}

impl Wanted<'_> {
    /// Whether the request wants this endpoint at all.
    fn may_be_from(&self, endpoint: &ProxyEndpoint) -> bool {
        let matches = |m: &Matcher| m.name() != b"__address__" || m.matches(endpoint.name().as_bytes());
        let sets = self.endpoint_matchers;
        sets.is_empty() || sets.iter().any(|set| set.iter().all(matches))
    }

    /// Whether times overlap and some external label set can satisfy the matchers; an absent label can be anything.
    fn may_be_in(&self, info: &StoreInfo) -> bool {
        let in_time = info.min_time_ms <= self.max_time_ms && info.max_time_ms >= self.min_time_ms;
        let may = |set: &thanoxide_model::Labels| {
            self.matchers.iter().all(|m| set.get(m.name()).is_none_or(|value| m.matches(value)))
        };
        in_time && (info.label_sets.is_empty() || info.label_sets.iter().any(may))
    }

    /// What a missing part is: a warning, or the failure of all.
    fn partial(&self, what: String) -> Result<String, StoreError> {
        partial(self.partial_response, what)
    }
}

fn partial(partial_response: PartialResponse, what: String) -> Result<String, StoreError> {
    match partial_response {
        PartialResponse::Warn => Ok(what),
        PartialResponse::Abort => Err(StoreError::Aborted(what)),
    }
}

#[async_trait]
impl Store for ProxyStore {
    async fn info(&self) -> Result<StoreInfo, StoreError> {
        let endpoints = self.endpoints();
        let infos = join_all(endpoints.iter().map(|e| self.within(e.info()))).await;
        let infos: Vec<StoreInfo> = infos.into_iter().flatten().collect();
        let mut label_sets: Vec<_> = infos.iter().flat_map(|i| i.label_sets.iter().cloned()).collect();
        label_sets.sort();
        label_sets.dedup();
        Ok(StoreInfo {
            component: self.config.component.clone(),
            label_sets,
            min_time_ms: infos.iter().map(|i| i.min_time_ms).min().unwrap_or(i64::MAX),
            max_time_ms: infos.iter().map(|i| i.max_time_ms).max().unwrap_or(i64::MIN),
            tsdb_infos: infos.into_iter().flat_map(|i| i.tsdb_infos).collect(),
            supports_sharding: true,
            supports_without_replica_labels: true,
            exemplars: Some(EVER_MS),
            metric_metadata: true,
        })
    }

    async fn series(&self, request: SeriesRequest) -> Result<SeriesStream, StoreError> {
        let (asked, warnings) = self.matching(&Wanted::of_series(&request)).await?;
        let (limit, partial_response) = (request.limit, request.partial_response);
        let mut request = request;
        if asked.len() > 1 {
            // Their answers are put in order by all labels.
            request.hints.projection = None;
        }
        let request = Arc::new(request);
        let inputs = asked.into_iter().map(|a| pump::start(a, Arc::clone(&request), self.config.response_timeout));
        Ok(merge::merge(inputs.collect(), warnings, partial_response, limit))
    }

    async fn label_names(&self, request: LabelNamesRequest) -> Result<LabelsAnswer, StoreError> {
        let wanted = Wanted {
            min_time_ms: request.start_ms,
            max_time_ms: request.end_ms,
            matchers: &request.matchers,
            endpoint_matchers: &request.endpoint_matchers,
            partial_response: request.partial_response,
        };
        let ask = |store: Arc<dyn Store>| -> BoxFuture<'static, _> {
            let request = request.clone();
            Box::pin(async move { store.label_names(request).await })
        };
        let mut union = self.union(LABEL_NAMES, &wanted, 0, ask).await?;
        // A store that does not know of replica labels answers with them.
        union.values.retain(|name| !request.without_replica_labels.iter().any(|l| l.as_bytes() == name));
        truncate(&mut union, request.limit);
        Ok(union)
    }

    async fn label_values(&self, request: LabelValuesRequest) -> Result<LabelsAnswer, StoreError> {
        if request.label.is_empty() {
            return Err(StoreError::InvalidArgument("label name parameter cannot be empty".into()));
        }
        if request.without_replica_labels.contains(&request.label) {
            return Ok(LabelsAnswer::default());
        }
        let wanted = Wanted {
            min_time_ms: request.start_ms,
            max_time_ms: request.end_ms,
            matchers: &request.matchers,
            endpoint_matchers: &request.endpoint_matchers,
            partial_response: request.partial_response,
        };
        let ask = |store: Arc<dyn Store>| -> BoxFuture<'static, _> {
            let request = request.clone();
            Box::pin(async move { store.label_values(request).await })
        };
        self.union(LABEL_VALUES, &wanted, request.limit, ask).await
    }

    async fn exemplars(&self, request: ExemplarsRequest) -> Result<ExemplarsAnswer, StoreError> {
        Span::child("proxy_exemplars").around(self.all_exemplars(&request)).await
    }

    async fn metric_metadata(&self, request: MetadataRequest) -> Result<MetadataAnswer, StoreError> {
        Span::child("proxy_metadata").around(self.all_metadata(&request)).await
    }

    async fn endpoint_statuses(&self) -> Vec<EndpointStatus> {
        join_all(self.endpoints().iter().map(ProxyEndpoint::status)).await
    }
}

fn truncate(answer: &mut LabelsAnswer, limit: usize) {
    if limit > 0 {
        answer.values.truncate(limit);
    }
}

impl<'a> Wanted<'a> {
    fn of_series(request: &'a SeriesRequest) -> Self {
        Wanted {
            min_time_ms: request.min_time_ms,
            max_time_ms: request.max_time_ms,
            matchers: &request.matchers,
            endpoint_matchers: &request.endpoint_matchers,
            partial_response: request.partial_response,
        }
    }
}
