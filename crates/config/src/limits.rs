//! The limits of writing, by tenant: Thanos's file with a few keys more.
//!
//! ```yaml
//! write:
//!   global:
//!     max_concurrency: 0               # requests under way; 0 is no limit, here and below
//!     max_tenants: 100000              # of one ingester; Thanos does not have it
//!     meta_monitoring_url: ""          # a Prometheus that knows how many series a tenant has
//!     meta_monitoring_limit_query: sum(prometheus_tsdb_head_series) by (tenant)
//!     meta_monitoring_http_client: {}
//!   default: &limits
//!     request: {size_bytes_limit: 0, series_limit: 0, samples_limit: 0}
//!     head_series_limit: 0             # asked of meta_monitoring_url
//!     # Thanos does not have these:
//!     active_series_limit: 0           # series in the ingester's head
//!     new_series_per_minute_limit: 0   # series that a minute may add to it
//!     samples_per_second_limit: 0      # over ten seconds
//!     labels_per_series_limit: 0
//!     label_name_bytes_limit: 0
//!     label_value_bytes_limit: 0
//!     local_retention: 0s              # how long an ingester keeps blocks; 0s is as `--tsdb.retention` says
//!   tenants:
//!     acme: *limits                    # what a tenant does not name is the default's
//! ```

mod read;

use std::collections::BTreeMap;

use thanoxide_model::TenantId;
use thiserror::Error;

use crate::yaml::YamlError;

/// The query that tells how many series each tenant has.
pub const DEFAULT_LIMIT_QUERY: &str = "sum(prometheus_tsdb_head_series) by (tenant)";

/// Why limits are refused. The texts are stock's, line feeds included.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LimitsError {
    /// Not YAML, or of another shape.
    #[error("parsing config YAML file\n{0}\n\nparse limit configuration")]
    Yaml(#[from] YamlError),
    /// The URL of the meta-monitoring cannot be one.
    #[error("parsing meta-monitoring URL\n{0}\n\nparse limit configuration")]
    Url(String),
}

/// What one tenant may. Zero, and for requests anything below, is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TenantLimits {
    /// Bytes of one request, as sent and decompressed.
    pub request_bytes: i64,
    /// Series of one request.
    pub request_series: i64,
    /// Float samples of one request.
    pub request_samples: i64,
    /// Series in the heads of all ingesters, as the meta-monitoring tells.
    pub head_series: u64,
    /// Series in the head of this ingester.
    pub active_series: u64,
    /// Series that a minute may add to it.
    pub new_series_per_minute: u64,
    /// Samples and histograms in a second.
    pub samples_per_second: u64,
    /// Labels of one series.
    pub labels_per_series: u64,
    /// Bytes of a label's name.
    pub label_name_bytes: u64,
    /// Bytes of a label's value.
    pub label_value_bytes: u64,
    /// How long an ingester keeps blocks; zero is as for all tenants.
    pub local_retention_ms: i64,
}

/// How the meta-monitoring is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetaMonitoring {
    /// Its URL.
    pub url: String,
    /// A query with one value for each `tenant`.
    pub query: String,
    /// Name and password.
    pub basic_auth: Option<(String, String)>,
    /// A bearer token.
    pub bearer_token: Option<String>,
}

/// All limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests under way; zero is no limit.
    pub max_concurrency: i64,
    /// Tenants of one ingester; a write of another one is refused. Zero is no limit, `None` the ingester's own.
    pub max_tenants: Option<u64>,
    /// Where numbers of series are asked for.
    pub meta_monitoring: Option<MetaMonitoring>,
    default: TenantLimits,
    tenants: BTreeMap<String, TenantLimits>,
}

impl Limits {
    /// Reads the YAML.
    pub fn parse(yaml: &str) -> Result<Self, LimitsError> {
        read::read(yaml)
    }

    /// What a tenant may.
    pub fn of(&self, tenant: &TenantId) -> &TenantLimits {
        self.tenants.get(tenant.as_str()).unwrap_or(&self.default)
    }

    /// The limits of tenants without limits of their own, and those that have them.
    pub fn all(&self) -> impl Iterator<Item = (&str, &TenantLimits)> {
        [("", &self.default)].into_iter().chain(self.tenants.iter().map(|(tenant, limits)| (tenant.as_str(), limits)))
    }
}

impl TenantLimits {
    /// Stock's rule for requests: a limit of zero or less is none.
    pub fn allows(limit: i64, count: u64) -> bool {
        limit <= 0 || count <= limit as u64
    }

    /// Whether series must be looked at label by label.
    pub fn limits_labels(&self) -> bool {
        self.labels_per_series + self.label_name_bytes + self.label_value_bytes > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(limits: &Limits, tenant: &str) -> TenantLimits {
        *limits.of(&TenantId::new(tenant).unwrap())
    }

    #[test]
    fn tenants_take_what_they_do_not_name_from_the_default() {
        let text = "write:\n  global: {max_concurrency: 30}\n  default:\n    request: {size_bytes_limit: 1024, samples_limit: 10}\n    \
                    head_series_limit: 1000\n  tenants:\n    acme:\n      request: {size_bytes_limit: 0}\n      active_series_limit: 7\n";
        let limits = Limits::parse(text).unwrap();
        assert_eq!(limits.max_concurrency, 30);
        assert_eq!(
            of(&limits, "other"),
            TenantLimits { request_bytes: 1024, request_samples: 10, head_series: 1000, ..Default::default() }
        );
        let acme = TenantLimits { request_samples: 10, head_series: 1000, active_series: 7, ..Default::default() };
        assert_eq!(of(&limits, "acme"), acme);
        assert!(limits.meta_monitoring.is_none());
    }

    #[test]
    fn empty_files_limit_nothing() {
        for text in ["", "write: {}\n", "write:\n"] {
            assert_eq!(Limits::parse(text).unwrap(), Limits::default(), "{text:?}");
        }
        assert!(TenantLimits::allows(-5, 9) && TenantLimits::allows(0, 9) && !TenantLimits::allows(8, 9));
    }

    #[test]
    fn refusals_have_stocks_words() {
        for (text, told) in [
            (
                "write:\n  nope: 1\n",
                "parsing config YAML file\nyaml: unmarshal errors:\n  line 2: field nope not found in type receive.WriteLimitsConfig\n\nparse limit configuration",
            ),
            (
                "write: [\n",
                "parsing config YAML file\nyaml: line 1: did not find expected node content\n\nparse limit configuration",
            ),
            (
                "write:\n  global:\n    meta_monitoring_url: \"::\"\n",
                "parsing meta-monitoring URL\nparse \"::\": missing protocol scheme\n\nparse limit configuration",
            ),
            (
                "write:\n  default:\n    head_series_limit: many\n",
                "parsing config YAML file\nyaml: unmarshal errors:\n  line 3: cannot unmarshal !!str `many` into uint64\n\nparse limit configuration",
            ),
        ] {
            assert_eq!(Limits::parse(text).unwrap_err().to_string(), told);
        }
    }
}
