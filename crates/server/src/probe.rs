//! `/-/healthy` and `/-/ready`, and the same two facts as the metric `thanos_status`.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::http::{IntoResponse, Response, StatusCode};

type CheckLabels = [(&'static str, &'static str); 2];

/// Whether a program is alive and whether it can serve. Alive from the start, ready when it says so.
#[derive(Clone, Debug)]
pub struct Probe(Arc<State>);

#[derive(Debug)]
struct State {
    component: &'static str,
    healthy: watch::Sender<bool>,
    ready: watch::Sender<bool>,
    status: Family<CheckLabels, Gauge>,
}

impl Probe {
    /// A program that is alive and not ready; `component` is its name in `thanos_status`.
    pub fn new(component: &'static str, registry: &mut Registry) -> Self {
        let status = Family::<CheckLabels, Gauge>::default();
        let help = "Represents status (0 indicates failure, 1 indicates success) of the component.";
        registry.register("thanos_status", help, status.clone());
        let probe = Probe(Arc::new(State {
            component,
            healthy: watch::Sender::new(true),
            ready: watch::Sender::new(false),
            status,
        }));
        probe.show("healthy", true);
        probe.show("ready", false);
        probe
    }

    /// It serves.
    pub fn set_ready(&self) {
        if !self.0.ready.send_replace(true) {
            info!(status = "ready", "changing probe status");
        }
        self.show("ready", true);
    }

    /// It does not serve (any more).
    pub fn set_not_ready(&self, reason: &str) {
        if self.0.ready.send_replace(false) {
            warn!(status = "not-ready", reason, "changing probe status");
        }
        self.show("ready", false);
    }

    /// It cannot go on.
    pub fn set_not_healthy(&self, reason: &str) {
        if self.0.healthy.send_replace(false) {
            warn!(status = "not-healthy", reason, "changing probe status");
        }
        self.show("healthy", false);
    }

    /// Whether it serves.
    pub fn is_ready(&self) -> bool {
        *self.0.ready.borrow()
    }

    /// Changes of readiness, the present value first.
    pub fn watch_ready(&self) -> watch::Receiver<bool> {
        let mut changes = self.0.ready.subscribe();
        changes.mark_changed();
        changes
    }

    /// The routes `/-/healthy` and `/-/ready`: 200 `OK` or 503 `NOT OK`.
    pub fn router(&self) -> Router {
        let (healthy, ready) = (self.clone(), self.clone());
        Router::new()
            .route("/-/healthy", get(async move || answer(*healthy.0.healthy.borrow())))
            .route("/-/ready", get(async move || answer(ready.is_ready())))
    }

    fn show(&self, check: &'static str, is: bool) {
        let labels = [("check", check), ("component", self.0.component)];
        self.0.status.get_or_create(&labels).set(is.into());
    }
}

fn answer(ok: bool) -> Response {
    if ok {
        (StatusCode::OK, "OK").into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "NOT OK").into_response()
    }
}
