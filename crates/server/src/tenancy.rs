//! Whose request it is: a header, checked so that the name can be trusted as a label and a directory.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use thanoxide_model::TenantId;
use thanoxide_model::tenant::TenantError;
use thiserror::Error;

use crate::http::{HeaderMap, HeaderName, StatusCode};

/// The header that Thanos always reads, whatever header is configured.
pub const DEFAULT_TENANT_HEADER: &str = "thanos-tenant";

/// Why a request has no usable tenant.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum TenancyError {
    /// The name cannot be a tenant's.
    #[error(transparent)]
    Invalid(#[from] TenantError),
    /// The header is not ASCII text.
    #[error("invalid tenant: header {0} is not visible ASCII")]
    NotText(HeaderName),
    /// The header is there several times with different values.
    #[error("invalid tenant: header {0} is given twice with different values")]
    Ambiguous(HeaderName),
    /// No header name.
    #[error("invalid tenant header name {0:?}")]
    HeaderName(String),
}

impl TenancyError {
    /// The status to answer with.
    pub fn status(&self) -> StatusCode {
        StatusCode::BAD_REQUEST
    }
}

/// Where the tenant of a request is read from.
#[derive(Clone, Debug)]
pub struct TenantHeader {
    header: HeaderName,
    default_tenant: TenantId,
}

impl TenantHeader {
    /// Reads `header`, then THANOS-TENANT, then takes `default_tenant`.
    pub fn new(header: &str, default_tenant: &str) -> Result<Self, TenancyError> {
        let name = HeaderName::from_bytes(header.as_bytes());
        let header = name.map_err(|_| TenancyError::HeaderName(header.chars().take(40).collect()))?;
        Ok(TenantHeader { header, default_tenant: TenantId::new(default_tenant)? })
    }

    /// The tenant of requests that name none.
    pub fn default_tenant(&self) -> &TenantId {
        &self.default_tenant
    }

    /// The tenant of a request. An empty header counts as none, as in Thanos.
    pub fn tenant_of(&self, headers: &HeaderMap) -> Result<TenantId, TenancyError> {
        Ok(self.named(headers)?.unwrap_or_else(|| self.default_tenant.clone()))
    }

    /// The tenant that a request names, if it names one.
    pub fn named(&self, headers: &HeaderMap) -> Result<Option<TenantId>, TenancyError> {
        for name in [&self.header, &HeaderName::from_static(DEFAULT_TENANT_HEADER)] {
            if let Some(tenant) = only_value(headers, name)? {
                return Ok(Some(TenantId::new(tenant)?));
            }
        }
        Ok(None)
    }
}

fn only_value<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, TenancyError> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.any(|value| value != first) {
        return Err(TenancyError::Ambiguous(name.clone()));
    }
    let text = first.to_str().map_err(|_| TenancyError::NotText(name.clone()))?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// How many tenants get a label of their own: names come from outside, and each value costs memory for ever.
const MAX_TENANT_LABELS: usize = 10_000;
/// The label of all other tenants, and of requests without a valid one.
pub const OTHER_TENANTS: &str = "other";

/// Values of a metric's label `tenant`, as many as memory allows.
#[derive(Debug, Default)]
pub struct TenantLabels(Mutex<HashSet<TenantId>>);

impl TenantLabels {
    /// The label of a tenant.
    pub fn label(&self, tenant: &TenantId) -> String {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains(tenant) {
            if known.len() >= MAX_TENANT_LABELS {
                return OTHER_TENANTS.to_string();
            }
            known.insert(tenant.clone());
        }
        tenant.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HeaderValue;

    fn tenant(headers: &[(&'static str, &str)]) -> Result<String, TenancyError> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        TenantHeader::new("X-Scope", "default-tenant").unwrap().tenant_of(&map).map(|tenant| tenant.to_string())
    }

    #[test]
    fn configured_header_then_thanos_then_default() {
        assert_eq!(tenant(&[("x-scope", "a"), ("thanos-tenant", "b")]).unwrap(), "a");
        assert_eq!(tenant(&[("x-scope", ""), ("thanos-tenant", "b")]).unwrap(), "b");
        assert_eq!(tenant(&[]).unwrap(), "default-tenant");
        assert_eq!(tenant(&[("x-scope", "a"), ("x-scope", "a")]).unwrap(), "a");
    }

    #[test]
    fn what_could_leave_a_directory_or_be_read_twice_is_refused() {
        for bad in ["..", ".", "../x", "a/b", "a\\b", &"x".repeat(64 << 10)] {
            assert!(matches!(tenant(&[("x-scope", bad)]), Err(TenancyError::Invalid(_))), "{bad:.40}");
        }
        assert!(matches!(tenant(&[("x-scope", "a"), ("x-scope", "b")]), Err(TenancyError::Ambiguous(_))));
        assert!(matches!(tenant(&[("x-scope", "ä")]), Err(TenancyError::NotText(_))));
        assert!(TenantHeader::new("no header", "a").is_err());
    }

    #[test]
    fn labels_are_bounded() {
        let labels = TenantLabels::default();
        for number in 0..MAX_TENANT_LABELS {
            labels.label(&TenantId::new(&number.to_string()).unwrap());
        }
        assert_eq!(labels.label(&TenantId::new("7").unwrap()), "7");
        assert_eq!(labels.label(&TenantId::new("new").unwrap()), OTHER_TENANTS);
    }
}
