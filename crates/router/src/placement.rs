//! The series of a write, by the nodes that take them.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use thanoxide_model::{TenantId, WriteBatch};

use crate::hashring::{Endpoint, Hashrings, PlacementError, RingOfTenant, SeriesHasher, series_hash};
use crate::peer::Peer;

/// Rings and the nodes in them.
#[derive(Debug)]
pub struct Placement {
    hashrings: Hashrings,
    peers: HashMap<Endpoint, Arc<Peer>>,
}

/// Series for one node.
#[derive(Debug)]
pub struct Group {
    /// The node.
    pub peer: Arc<Peer>,
    /// Which of their replicas it takes, from 0. Of a node of ours it is the first one: it takes all of its replicas at once.
    pub replica: usize,
    /// The series, by index.
    pub series: Vec<u32>,
}

const NO_GROUP: u32 = u32::MAX;

impl Placement {
    /// Rings, with a peer for each of their nodes.
    pub fn new(hashrings: Hashrings, peers: HashMap<Endpoint, Arc<Peer>>) -> Self {
        Placement { hashrings, peers }
    }

    /// The nodes.
    pub fn peers(&self) -> &HashMap<Endpoint, Arc<Peer>> {
        &self.peers
    }

    /// The nodes that take what belongs to a tenant as a whole: those of a series without labels.
    pub fn nodes_of(&self, tenant: &TenantId, replicas: Range<usize>) -> Result<Vec<Arc<Peer>>, PlacementError> {
        let ring = self.hashrings.ring_of(tenant.as_str())?;
        let hash = series_hash(tenant.as_str(), std::iter::empty());
        let node = |replica| {
            let endpoint = &ring.endpoints()[ring.node(hash, replica)?];
            self.peers.get(endpoint).map(Arc::clone).ok_or(PlacementError::NoRing)
        };
        replicas.map(node).collect()
    }

    /// Places the given replicas of all series.
    pub fn groups(
        &self,
        tenant: &TenantId,
        batch: &WriteBatch,
        replicas: Range<usize>,
    ) -> Result<Vec<Group>, PlacementError> {
        let ring = self.hashrings.ring_of(tenant.as_str())?;
        // The rings and the peers are made of the same endpoints.
        let peers: Option<Vec<_>> = ring.endpoints().iter().map(|endpoint| self.peers.get(endpoint)).collect();
        let peers = peers.ok_or(PlacementError::NoRing)?;
        if !batch.is_empty() && takes_all(&peers, &replicas) {
            return Ok(to_all(&peers, batch));
        }
        spread(&ring, &peers, tenant, batch, replicas)
    }
}

/// Whether each node takes every series, whatever its hash.
fn takes_all(peers: &[&Arc<Peer>], replicas: &Range<usize>) -> bool {
    let wants_each = *replicas == (0..peers.len());
    // Stock's nodes take one replica a call: which one depends on the hash.
    wants_each && (peers.len() == 1 || peers.iter().all(|peer| peer.is_ours()))
}

fn to_all(peers: &[&Arc<Peer>], batch: &WriteBatch) -> Vec<Group> {
    let all = 0..batch.series.len() as u32;
    let group = |(replica, peer): (usize, &&Arc<Peer>)| Group {
        peer: Arc::clone(peer),
        replica,
        series: all.clone().collect(),
    };
    peers.iter().enumerate().map(group).collect()
}

fn spread(
    ring: &RingOfTenant,
    peers: &[&Arc<Peer>],
    tenant: &TenantId,
    batch: &WriteBatch,
    replicas: Range<usize>,
) -> Result<Vec<Group>, PlacementError> {
    let mut group_of = vec![NO_GROUP; peers.len() * replicas.len()];
    let mut groups: Vec<Group> = Vec::new();
    let guess = batch.series.len() / peers.len().max(1) + 16;
    let mut hasher = SeriesHasher::new(tenant.as_str());
    for (index, series) in batch.series.iter().enumerate() {
        let hash = hasher.hash(batch, series);
        for replica in replicas.clone() {
            let node = ring.node(hash, replica)?;
            let peer = peers[node];
            let lane = if peer.is_ours() { 0 } else { replica - replicas.start };
            let slot = &mut group_of[node * replicas.len() + lane];
            if *slot == NO_GROUP {
                *slot = groups.len() as u32;
                groups.push(Group { peer: Arc::clone(peer), replica, series: Vec::with_capacity(guess) });
            }
            groups[*slot as usize].series.push(index as u32);
        }
    }
    Ok(groups)
}
