//! Shuffle sharding: a tenant gets some nodes of a ketama ring, and a ketama ring of its own over them.
//!
//! The nodes are drawn zone by zone with [`GoRandom`], whose seed is the first 8 bytes (big-endian) of the MD5 of the
//! tenant, followed by a zero byte and the zone where it has a name. A drawn number is a hash: the node at or behind it
//! that was not drawn yet is taken. Each zone gives its share of the shard size, rounded up.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use md5::{Digest, Md5};
use parking_lot::Mutex;

use super::config::{ShuffleSharding, TenantMatcher};
use super::glob;
use super::go_random::GoRandom;
use super::ketama::{Ketama, Place, first_at_or_behind};
use super::{HashringError, PlacementError};
use crate::hashring::metrics::ShardCacheMetrics;

const DEFAULT_CACHE_SIZE: usize = 100;

/// A ketama ring that is dealt out in shards.
#[derive(Debug)]
pub struct ShuffleShards {
    ring: Ketama,
    config: ShuffleSharding,
    replication_factor: usize,
    cache_size: usize,
    cache: Mutex<Cache>,
    metrics: ShardCacheMetrics,
}

/// Shards by tenant, each with the number of its last use.
#[derive(Debug, Default)]
struct Cache {
    shards: HashMap<String, (u64, Arc<Ketama>)>,
    uses: u64,
}

impl ShuffleShards {
    /// Shards of a ring.
    pub fn new(
        ring: Ketama,
        config: ShuffleSharding,
        replication_factor: usize,
        name: &str,
        metrics: ShardCacheMetrics,
    ) -> Result<Self, HashringError> {
        if config.shard_size > ring.endpoints.len() as i64 {
            return Err(HashringError::ShardTooLarge {
                size: config.shard_size,
                name: name.to_string(),
                nodes: ring.endpoints.len(),
            });
        }
        let cache_size = usize::try_from(config.cache_size).ok().filter(|size| *size > 0).unwrap_or(DEFAULT_CACHE_SIZE);
        metrics.max_items(cache_size);
        Ok(ShuffleShards { ring, config, replication_factor, cache_size, cache: Mutex::default(), metrics })
    }

    pub(super) fn ring(&self) -> &Ketama {
        &self.ring
    }

    /// The ring of a tenant.
    pub fn shard(&self, tenant: &str) -> Result<Arc<Ketama>, PlacementError> {
        self.metrics.requested();
        let mut cache = self.cache.lock();
        cache.uses += 1;
        let now = cache.uses;
        if let Some((used, shard)) = cache.shards.get_mut(tenant) {
            *used = now;
            self.metrics.hit();
            return Ok(Arc::clone(shard));
        }
        let shard = Arc::new(self.draw(tenant)?);
        if cache.shards.len() >= self.cache_size {
            let oldest = cache.shards.iter().min_by_key(|(_, (used, _))| *used).map(|(tenant, _)| tenant.clone());
            oldest.and_then(|tenant| cache.shards.remove(&tenant));
            self.metrics.evicted();
        }
        cache.shards.insert(tenant.to_string(), (now, Arc::clone(&shard)));
        self.metrics.items(cache.shards.len());
        Ok(shard)
    }

    fn zone<'a>(&self, az: &'a str) -> &'a str {
        if self.config.zone_awareness_disabled { "" } else { az }
    }

    fn draw(&self, tenant: &str) -> Result<Ketama, PlacementError> {
        let mut nodes_of_zone: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for endpoint in &self.ring.endpoints {
            let nodes = nodes_of_zone.entry(self.zone(&endpoint.az)).or_default();
            if !nodes.contains(&endpoint.address.as_str()) {
                nodes.push(&endpoint.address);
            }
        }
        let size = self.shard_size(tenant);
        let take = match self.config.zone_awareness_disabled {
            true => size,
            false => (size as f64 / nodes_of_zone.len() as f64).ceil() as i64,
        };
        let mut drawn = Vec::new();
        for (zone, nodes) in nodes_of_zone {
            if take > nodes.len() as i64 {
                return Err(PlacementError::ShardTooLarge { size, zone: zone.to_string(), nodes: nodes.len() });
            }
            drawn.extend(self.draw_from(zone, tenant, take));
        }
        let endpoints = drawn.into_iter().map(|node| self.ring.endpoints[node as usize].clone()).collect();
        Ketama::new(endpoints, self.replication_factor).map_err(|e| PlacementError::Shard(Box::new(e)))
    }

    fn draw_from(&self, zone: &str, tenant: &str, take: i64) -> Vec<u32> {
        let in_zone = |place: &&Place| self.zone(&self.ring.endpoints[place.node as usize].az) == zone;
        let places: Vec<Place> = self.ring.places.iter().filter(in_zone).copied().collect();
        let mut random = GoRandom::new(seed_of(tenant, zone));
        let mut drawn = Vec::new();
        for _ in 0..take {
            let start = first_at_or_behind(&places, random.next_u64());
            let mut round = places[start..].iter().chain(&places[..start]);
            drawn.extend(round.find(|place| !drawn.contains(&place.node)).map(|place| place.node));
        }
        drawn
    }

    fn shard_size(&self, tenant: &str) -> i64 {
        let matches = |name: &String, matcher| match matcher {
            TenantMatcher::Exact => name == tenant,
            TenantMatcher::Glob => glob::matches(name, tenant).unwrap_or(false),
            TenantMatcher::Unset | TenantMatcher::Unknown => false,
        };
        let of_tenant = self.config.overrides.iter().find(|o| o.tenants.iter().any(|name| matches(name, o.matcher)));
        of_tenant.map_or(self.config.shard_size, |o| o.shard_size)
    }
}

fn seed_of(tenant: &str, zone: &str) -> i64 {
    let mut digest = Md5::new_with_prefix(tenant);
    if !zone.is_empty() {
        digest.update([0]);
        digest.update(zone);
    }
    let digest = digest.finalize();
    let first = digest.first_chunk().copied().unwrap_or_default();
    i64::from_be_bytes(first)
}
