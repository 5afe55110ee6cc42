//! One of the stores behind a proxy.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use thanoxide_model::Labels;
use thanoxide_spans::{Span, tag};

use crate::{EndpointStatus, Store, StoreError, StoreInfo};

/// A store and what is known of it.
#[derive(Clone, Debug)]
pub struct ProxyEndpoint {
    name: Arc<str>,
    store: Arc<dyn Store>,
    known: Option<Arc<Known>>,
}

/// What somebody else found out about a store.
#[derive(Debug)]
struct Known {
    info: StoreInfo,
    last_check_ms: Option<i64>,
    last_error: Option<String>,
    /// Whether it is asked for series.
    is_asked: bool,
    /// Whether it is asked whatever happens.
    is_strict: bool,
    /// It was silent when it should have answered.
    is_suspect: AtomicBool,
}

impl ProxyEndpoint {
    /// A store that is asked for its info at each request: for stores in the same process.
    pub fn local(name: &str, store: Arc<dyn Store>) -> Self {
        ProxyEndpoint { name: Arc::from(name), store, known: None }
    }

    /// A store whose info somebody else keeps fresh.
    pub fn known(name: &str, store: Arc<dyn Store>, info: StoreInfo) -> Self {
        let (is_strict, is_suspect) = (false, AtomicBool::default());
        let known = Known { info, last_check_ms: None, last_error: None, is_asked: true, is_strict, is_suspect };
        ProxyEndpoint { name: Arc::from(name), store, known: Some(Arc::new(known)) }
    }

    /// As [`Self::known`], with how and when that became known. One whose last answer is an error only shows in the list,
    /// but a strict one is always asked.
    pub fn checked(store: Arc<dyn Store>, info: StoreInfo, status: &EndpointStatus, is_strict: bool) -> Self {
        let (last_check_ms, last_error) = (status.last_check_ms, status.last_error.clone());
        let (is_asked, is_suspect) = (is_strict || last_error.is_none(), AtomicBool::default());
        let known = Known { info, last_check_ms, last_error, is_asked, is_strict, is_suspect };
        ProxyEndpoint { name: Arc::from(status.name.as_str()), store, known: Some(Arc::new(known)) }
    }

    /// What it is called in warnings: its address.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The store.
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    /// What it says of itself.
    pub async fn info(&self) -> Result<StoreInfo, StoreError> {
        match &self.known {
            Some(known) => Ok(known.info.clone()),
            None => self.store.info().await,
        }
    }

    /// Whether requests go to it.
    pub(super) fn is_asked(&self) -> bool {
        self.known.as_ref().is_none_or(|known| known.is_asked)
    }

    /// Whether it is in this process, and nobody watches it.
    pub(super) fn is_local(&self) -> bool {
        self.known.is_none()
    }

    /// It is left alone from now on, until its watch knows better.
    pub(super) fn suspect(&self) {
        if let Some(known) = &self.known {
            known.is_suspect.store(!known.is_strict, Ordering::Relaxed);
        }
    }

    /// Whether it was silent last.
    pub(super) fn is_suspect(&self) -> bool {
        self.known.as_ref().is_some_and(|known| known.is_suspect.load(Ordering::Relaxed))
    }

    /// How it is doing; asks it where nobody else does. Without an answer ever, its component is empty.
    pub(super) async fn status(&self) -> EndpointStatus {
        match (&self.known, self.info().await) {
            (Some(known), Ok(info)) => {
                let status = EndpointStatus::new(&self.name, info);
                EndpointStatus { last_check_ms: known.last_check_ms, last_error: known.last_error.clone(), ..status }
            }
            (None, Ok(info)) => EndpointStatus::new(&self.name, info),
            (_, Err(e)) => {
                let status = EndpointStatus::new(&self.name, StoreInfo::unknown());
                EndpointStatus { last_error: Some(e.to_string()), ..status }
            }
        }
    }
}

/// An endpoint that takes part in a request.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) endpoint: ProxyEndpoint,
    pub(super) info: StoreInfo,
}

impl Asked {
    /// A step that asks it.
    pub(super) fn span(&self, name: &'static str) -> Span {
        Span::child(name).tagged(|| {
            let address = self.endpoint.name().to_string();
            [tag("store.addr", address), tag("store.is_local", self.endpoint.is_local())]
        })
    }

    /// Its address and times, as Thanos prints them in warnings.
    pub(super) fn place(&self) -> String {
        let (min, max) = (self.info.min_time_ms, self.info.max_time_ms);
        format!("Addr: {} MinTime: {min} MaxTime: {max}", self.endpoint.name())
    }

    /// The same after its label sets.
    pub(super) fn title(&self) -> String {
        let sets: Vec<String> = self.info.label_sets.iter().filter(|s| !s.is_empty()).map(Labels::to_string).collect();
        let name = if sets.is_empty() { "Store Gateway".to_string() } else { sets.join(",") };
        format!("{name} {}", self.place())
    }
}
