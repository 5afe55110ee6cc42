//! One of the stores behind a proxy.

use std::sync::Arc;

use crate::{Store, StoreError, StoreInfo};

/// A store and what is known of it.
#[derive(Clone, Debug)]
pub struct ProxyEndpoint {
    name: Arc<str>,
    store: Arc<dyn Store>,
    info: Option<Arc<StoreInfo>>,
}

impl ProxyEndpoint {
    /// A store that is asked for its info at each request: for stores in the same process.
    pub fn local(name: &str, store: Arc<dyn Store>) -> Self {
        ProxyEndpoint { name: Arc::from(name), store, info: None }
    }

    /// A store whose info somebody else keeps fresh.
    pub fn known(name: &str, store: Arc<dyn Store>, info: StoreInfo) -> Self {
        ProxyEndpoint { name: Arc::from(name), store, info: Some(Arc::new(info)) }
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
        match &self.info {
            Some(info) => Ok(StoreInfo::clone(info)),
            None => self.store.info().await,
        }
    }
}

/// An endpoint that takes part in a request.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) endpoint: ProxyEndpoint,
    pub(super) info: StoreInfo,
}
