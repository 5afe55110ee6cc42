//! Consistent hashing: each node stands at 1000 places of a ring, and a series belongs to the nodes at and behind the
//! place of its hash. A node more or less moves one n-th of the series.
//!
//! A place is xxhash64 of `address:i` for i in 1..=1000. The replicas of a place are the nodes met from there on, each
//! once; with several zones a node is passed by while its zone has more replicas than the one that has the fewest.

use xxhash_rust::xxh64::xxh64;

use super::{Endpoint, HashringError, PlacementError};

const PLACES_PER_NODE: usize = 1000;
const SEED: u64 = 0;

/// Largest ring; a place takes 16 bytes and 4 for each replica.
const MAX_NODES: usize = 10_000;

#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) hash: u64,
    /// Index into the endpoints of the ring.
    pub(super) node: u32,
}

/// The ring.
#[derive(Debug)]
pub struct Ketama {
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) places: Vec<Place>,
    /// Of each place one after the other, `replication_factor` nodes.
    replicas: Vec<u32>,
    replication_factor: usize,
}

impl Ketama {
    /// A ring of these nodes, in this order.
    pub fn new(endpoints: Vec<Endpoint>, replication_factor: usize) -> Result<Self, HashringError> {
        if endpoints.len() < replication_factor {
            return Err(HashringError::TooFewNodes);
        }
        if endpoints.len() > MAX_NODES {
            return Err(HashringError::TooManyNodes { nodes: endpoints.len(), max: MAX_NODES });
        }
        let mut places = Vec::with_capacity(endpoints.len() * PLACES_PER_NODE);
        for (node, endpoint) in endpoints.iter().enumerate() {
            let hash = |i| xxh64(format!("{}:{i}", endpoint.address).as_bytes(), SEED);
            places.extend((1..=PLACES_PER_NODE).map(|i| Place { hash: hash(i), node: node as u32 }));
        }
        places.sort_by_key(|place| place.hash);
        let replicas = replicas_of(&places, &zones_of(&endpoints), replication_factor)?;
        Ok(Ketama { endpoints, places, replicas, replication_factor })
    }

    /// The node of the n-th replica of a hash, as an index into the endpoints of this ring.
    pub fn node(&self, hash: u64, replica: usize) -> Result<usize, PlacementError> {
        if replica >= self.endpoints.len() || replica >= self.replication_factor {
            return Err(PlacementError::TooFewNodes { have: self.endpoints.len(), want: replica + 1 });
        }
        let place = first_at_or_behind(&self.places, hash);
        Ok(self.replicas[place * self.replication_factor + replica] as usize)
    }
}

/// The index of the first place at or behind a hash, going round.
pub(super) fn first_at_or_behind(places: &[Place], hash: u64) -> usize {
    let place = places.partition_point(|place| place.hash < hash);
    if place == places.len() { 0 } else { place }
}

/// The zone of each node as a number.
fn zones_of(endpoints: &[Endpoint]) -> Vec<usize> {
    let mut names: Vec<&str> = Vec::new();
    let mut zones = Vec::with_capacity(endpoints.len());
    for endpoint in endpoints {
        let known = names.iter().position(|name| *name == endpoint.az);
        zones.push(known.unwrap_or(names.len()));
        if known.is_none() {
            names.push(&endpoint.az);
        }
    }
    zones
}

fn replicas_of(places: &[Place], zone_of: &[usize], replication_factor: usize) -> Result<Vec<u32>, HashringError> {
    let zone_count = zone_of.iter().max().map_or(0, |last| last + 1);
    let mut replicas = Vec::with_capacity(places.len() * replication_factor);
    for first in 0..places.len() {
        let start = replicas.len();
        let mut of_zone = vec![0_u32; zone_count];
        let mut place = first;
        // A full round without a node that fits is followed by others just like it: stock never ends there.
        let mut passed_by = 0;
        while replicas.len() - start < replication_factor {
            let node = places[place].node;
            place = (place + 1) % places.len();
            let zone = zone_of[node as usize];
            let least = of_zone.iter().copied().min().unwrap_or(0);
            if replicas[start..].contains(&node) || (zone_count > 1 && of_zone[zone] > least) {
                passed_by += 1;
                if passed_by > places.len() {
                    return Err(HashringError::UnbalancedZones);
                }
                continue;
            }
            passed_by = 0;
            of_zone[zone] += 1;
            replicas.push(node);
        }
    }
    Ok(replicas)
}
