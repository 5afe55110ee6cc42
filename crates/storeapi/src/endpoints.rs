//! Remote endpoints kept known: asked for their info every so often, so that a query costs no extra round trip.
//!
//! An endpoint takes part from its first answer on. One that fails is not asked for series until it answers again, and
//! is forgotten after a while. A *strict* one always takes part: a query must not silently do without it. Until it has
//! answered once it is taken to hold everything.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use thanoxide_env::Clock;

use crate::{EndpointStatus, ProxyEndpoint, ProxyStore, Store, StoreError, StoreInfo};

/// How endpoints are watched. The default is Thanos's.
#[derive(Clone, Debug)]
pub struct WatchConfig {
    /// Time between rounds.
    pub interval: Duration,
    /// How long one answer may take.
    pub info_timeout: Duration,
    /// How long an endpoint that fails is remembered.
    pub unhealthy_timeout: Duration,
}

impl Default for WatchConfig {
    fn default() -> Self {
        let second = Duration::from_secs;
        WatchConfig { interval: second(5), info_timeout: second(5), unhealthy_timeout: second(300) }
    }
}

/// A store behind an address, for a watch.
#[derive(Clone, Debug)]
pub struct WatchedEndpoint {
    /// The address.
    pub name: String,
    /// Its client.
    pub store: Arc<dyn Store>,
    /// Whether it takes part even while it fails.
    pub is_strict: bool,
}

/// Keeps the endpoints of a proxy known.
#[derive(Debug)]
pub struct EndpointWatch {
    config: WatchConfig,
    members: Vec<Member>,
    proxy: Arc<ProxyStore>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct Member {
    endpoint: WatchedEndpoint,
    /// What it said last, and when by either clock.
    answered: Option<(StoreInfo, i64, Duration)>,
    last_error: Option<String>,
}

impl EndpointWatch {
    /// A watch that will tell `proxy`. Asks nobody yet.
    pub fn new(
        config: WatchConfig,
        endpoints: Vec<WatchedEndpoint>,
        proxy: Arc<ProxyStore>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let member = |endpoint| Member { endpoint, answered: None, last_error: None };
        EndpointWatch { config, members: endpoints.into_iter().map(member).collect(), proxy, clock }
    }

    /// One round: asks all at once and tells the proxy.
    pub async fn update(&mut self) {
        let limit = self.config.info_timeout;
        let answers = join_all(self.members.iter().map(|m| ask(Arc::clone(&m.endpoint.store), limit))).await;
        let now = (self.clock.now_ms(), self.clock.monotonic());
        for (member, answer) in self.members.iter_mut().zip(answers) {
            member.note(answer, now, self.config.unhealthy_timeout);
        }
        self.proxy.set_endpoints(self.members.iter().filter_map(Member::as_proxied).collect());
    }

    /// Rounds without end; drop the future to stop.
    pub async fn run(mut self) {
        loop {
            tokio::time::sleep(self.config.interval).await;
            self.update().await;
        }
    }
}

async fn ask(store: Arc<dyn Store>, limit: Duration) -> Result<StoreInfo, StoreError> {
    let late = |_| Err(StoreError::Deadline(format!("no info within {limit:?}")));
    tokio::time::timeout(limit, store.info()).await.unwrap_or_else(late)
}

impl Member {
    fn note(&mut self, answer: Result<StoreInfo, StoreError>, now: (i64, Duration), unhealthy_timeout: Duration) {
        match answer {
            Ok(info) => {
                if self.answered.is_none() || self.last_error.is_some() {
                    tracing::info!(address = self.endpoint.name, component = info.component, "endpoint answers");
                }
                self.answered = Some((info, now.0, now.1));
                self.last_error = None;
            }
            Err(error) => {
                if self.last_error.is_none() {
                    tracing::warn!(address = self.endpoint.name, %error, "endpoint does not answer");
                }
                self.last_error = Some(error.to_string());
                let is_old = |answered: &(_, _, Duration)| now.1.saturating_sub(answered.2) >= unhealthy_timeout;
                if !self.endpoint.is_strict && self.answered.as_ref().is_some_and(is_old) {
                    self.answered = None;
                }
            }
        }
    }

    fn as_proxied(&self) -> Option<ProxyEndpoint> {
        let (info, last_check_ms) = match &self.answered {
            Some((info, at_ms, _)) => (info.clone(), Some(*at_ms)),
            None if self.endpoint.is_strict => (StoreInfo::unknown(), None),
            None => return None,
        };
        let mut status = EndpointStatus::new(&self.endpoint.name, info.clone());
        (status.last_check_ms, status.last_error) = (last_check_ms, self.last_error.clone());
        Some(ProxyEndpoint::checked(Arc::clone(&self.endpoint.store), info, &status, self.endpoint.is_strict))
    }
}
