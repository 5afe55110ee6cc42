//! Hashrings: which nodes take a series of a tenant. Bit for bit as Thanos places them, so that both can share a ring.
//!
//! Start at [`Hashrings`]. The first ring whose tenants match takes a tenant, by [`hashmod`], by [`ketama`], or by ketama over
//! a [shard](shuffle) of the tenant's own. Both look at the [hash of the series](series_hash) only.

pub mod config;
pub mod glob;
pub mod go_random;
pub mod hashmod;
pub mod ketama;
pub mod metrics;
pub mod series_hash;
pub mod shuffle;

use std::collections::HashMap;
use std::sync::Arc;

pub use config::{ConfigError, Endpoint, HashringConfig, TenantMatcher, parse_hashrings};
pub use hashmod::Hashmod;
pub use ketama::Ketama;
pub use metrics::HashringMetrics;
pub use series_hash::{SeriesHasher, series_hash};
pub use shuffle::ShuffleShards;
use thiserror::Error;

/// Why rings cannot be made of a configuration. The texts are stock's.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum HashringError {
    /// Ketama wants as many nodes as there are replicas.
    #[error("ketama: amount of endpoints needs to be larger than replication factor")]
    TooFewNodes,
    /// Beyond all reason.
    #[error("ketama: {nodes} endpoints in one hashring, at most {max} are supported")]
    TooManyNodes {
        /// In the ring.
        nodes: usize,
        /// Allowed.
        max: usize,
    },
    /// No further node fits; stock looks for one for ever.
    #[error("ketama: availability zones are too unbalanced for the replication factor")]
    UnbalancedZones,
    /// Zones with hashmod.
    #[error(
        "Hashmod algorithm does not support AZ aware hashring configuration. Either use Ketama or remove AZ configuration."
    )]
    HashmodZones,
    /// Shards with hashmod.
    #[error(
        "hashmod algorithm does not support shuffle sharding. Either use Ketama or remove shuffle sharding configuration"
    )]
    HashmodShards,
    /// A shard larger than its ring.
    #[error("shard size {size} is larger than number of nodes in hashring {name} ({nodes})")]
    ShardTooLarge {
        /// As configured.
        size: i64,
        /// Of the ring.
        name: String,
        /// In the ring.
        nodes: usize,
    },
}

/// Why no node takes a series. The texts are stock's.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PlacementError {
    /// A ring without enough nodes.
    #[error("insufficient nodes; have {have}, want {want}")]
    TooFewNodes {
        /// Nodes of the ring.
        have: usize,
        /// Nodes that are needed.
        want: usize,
    },
    /// No ring for the tenant.
    #[error("no matching hashring to handle tenant")]
    NoRing,
    /// A tenant pattern that cannot be read.
    #[error("error matching tenant pattern {pattern} (tenant {tenant}): syntax error in pattern")]
    BadPattern {
        /// The pattern.
        pattern: String,
        /// Of the request.
        tenant: String,
    },
    /// A zone with fewer nodes than the shard takes from each.
    #[error("shard size {size} is larger than number of nodes in AZ {zone} ({nodes})")]
    ShardTooLarge {
        /// As configured.
        size: i64,
        /// The zone.
        zone: String,
        /// In the zone.
        nodes: usize,
    },
    /// A shard that is no ring.
    #[error("{0}")]
    Shard(Box<HashringError>),
}

/// How series are spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// [`hashmod`].
    #[default]
    Hashmod,
    /// [`ketama`].
    Ketama,
}

impl Algorithm {
    /// By its name; what stock does not know is hashmod.
    pub fn named(name: &str) -> Self {
        if name == "ketama" { Algorithm::Ketama } else { Algorithm::Hashmod }
    }
}

#[derive(Debug)]
enum Ring {
    Hashmod(Arc<Hashmod>),
    Ketama(Arc<Ketama>),
    Shards(Box<ShuffleShards>),
}

#[derive(Debug)]
struct TenantRing {
    config: HashringConfig,
    ring: Ring,
}

/// All rings of a configuration.
#[derive(Debug)]
pub struct Hashrings {
    rings: Vec<TenantRing>,
}

/// The ring that one tenant's series are placed on.
#[derive(Clone, Debug)]
pub enum RingOfTenant {
    /// By [`hashmod`].
    Hashmod(Arc<Hashmod>),
    /// By [`ketama`].
    Ketama(Arc<Ketama>),
}

impl RingOfTenant {
    /// The node of the n-th replica (from 0) of a series, as an index into [`RingOfTenant::endpoints`].
    pub fn node(&self, hash: u64, replica: usize) -> Result<usize, PlacementError> {
        match self {
            RingOfTenant::Hashmod(ring) => ring.node(hash, replica),
            RingOfTenant::Ketama(ring) => ring.node(hash, replica),
        }
    }

    /// The nodes.
    pub fn endpoints(&self) -> &[Endpoint] {
        match self {
            RingOfTenant::Hashmod(ring) => &ring.endpoints,
            RingOfTenant::Ketama(ring) => &ring.endpoints,
        }
    }
}

impl Hashrings {
    /// Rings of a configuration; `algorithm` is for those that name none.
    pub fn new(
        configs: &[HashringConfig],
        algorithm: Algorithm,
        replication_factor: usize,
        metrics: &HashringMetrics,
    ) -> Result<Self, HashringError> {
        let ring = |config: &HashringConfig| {
            let algorithm = if config.algorithm.is_empty() { algorithm } else { Algorithm::named(&config.algorithm) };
            let ring = new_ring(config, algorithm, replication_factor, metrics)?;
            Ok(TenantRing { config: config.clone(), ring })
        };
        Ok(Hashrings { rings: configs.iter().map(ring).collect::<Result<_, _>>()? })
    }

    /// The ring of a tenant: of the first one that takes it.
    pub fn ring_of(&self, tenant: &str) -> Result<RingOfTenant, PlacementError> {
        for ring in &self.rings {
            if takes(&ring.config, tenant)? {
                return Ok(match &ring.ring {
                    Ring::Hashmod(ring) => RingOfTenant::Hashmod(Arc::clone(ring)),
                    Ring::Ketama(ring) => RingOfTenant::Ketama(Arc::clone(ring)),
                    Ring::Shards(shards) => RingOfTenant::Ketama(shards.shard(tenant)?),
                });
            }
        }
        Err(PlacementError::NoRing)
    }

    /// All nodes, each once.
    pub fn endpoints(&self) -> Vec<Endpoint> {
        let mut endpoints: Vec<Endpoint> = self.rings.iter().flat_map(|ring| ring.ring.endpoints()).cloned().collect();
        endpoints.sort();
        endpoints.dedup();
        endpoints
    }

    /// More external labels of tenants that rings name exactly; the first ring counts.
    pub fn external_labels(&self) -> HashMap<String, Vec<(String, String)>> {
        let mut labels = HashMap::new();
        for TenantRing { config, .. } in &self.rings {
            for tenant in &config.tenants {
                labels.entry(tenant.clone()).or_insert_with(|| config.external_labels.clone());
            }
        }
        labels
    }
}

impl Ring {
    fn endpoints(&self) -> &[Endpoint] {
        match self {
            Ring::Hashmod(ring) => &ring.endpoints,
            Ring::Ketama(ring) => &ring.endpoints,
            Ring::Shards(shards) => &shards.ring().endpoints,
        }
    }
}

fn new_ring(
    config: &HashringConfig,
    algorithm: Algorithm,
    replication_factor: usize,
    metrics: &HashringMetrics,
) -> Result<Ring, HashringError> {
    let (endpoints, sharding) = (config.endpoints.clone(), &config.shuffle_sharding);
    let sharded = sharding.shard_size > 0;
    match algorithm {
        Algorithm::Hashmod => {
            let ring = Hashmod::new(endpoints)?;
            if sharded { Err(HashringError::HashmodShards) } else { Ok(Ring::Hashmod(Arc::new(ring))) }
        }
        Algorithm::Ketama => {
            let ring = Ketama::new(endpoints, replication_factor)?;
            if !sharded {
                return Ok(Ring::Ketama(Arc::new(ring)));
            }
            let metrics = metrics.of(&config.name);
            Ok(Ring::Shards(Box::new(ShuffleShards::new(
                ring,
                sharding.clone(),
                replication_factor,
                &config.name,
                metrics,
            )?)))
        }
    }
}

fn takes(config: &HashringConfig, tenant: &str) -> Result<bool, PlacementError> {
    if config.tenants.is_empty() {
        return Ok(true);
    }
    match config.matcher {
        TenantMatcher::Exact | TenantMatcher::Unset => Ok(config.tenants.iter().any(|name| name == tenant)),
        TenantMatcher::Unknown => Ok(false),
        TenantMatcher::Glob => {
            for pattern in &config.tenants {
                let matched = glob::matches(pattern, tenant);
                let bad = |_| PlacementError::BadPattern { pattern: pattern.clone(), tenant: tenant.to_string() };
                if matched.map_err(bad)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
    }
}
