//! The series of a write, by the nodes that take them.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use thanoxide_model::{TenantId, WriteBatch};

use crate::hashring::{Endpoint, Hashrings, PlacementError, series_hash};
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

    /// Places the given replicas of all series.
    pub fn groups(
        &self,
        tenant: &TenantId,
        batch: &WriteBatch,
        replicas: Range<usize>,
    ) -> Result<Vec<Group>, PlacementError> {
        let ring = self.hashrings.ring_of(tenant.as_str())?;
        let peers: Vec<_> = ring.endpoints().iter().map(|endpoint| self.peers.get(endpoint)).collect();
        let mut group_of = vec![NO_GROUP; peers.len() * replicas.len()];
        let mut groups: Vec<Group> = Vec::new();
        let guess = batch.series.len() / peers.len().max(1) + 16;
        for (index, series) in batch.series.iter().enumerate() {
            let hash = series_hash(tenant.as_str(), batch.labels_of(series));
            for replica in replicas.clone() {
                let node = ring.node(hash, replica)?;
                // The rings and the peers are made of the same endpoints.
                let Some(peer) = peers[node] else { return Err(PlacementError::NoRing) };
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
}
