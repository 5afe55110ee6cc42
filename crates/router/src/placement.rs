//! The series of a write, by the nodes that take them.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use thanoxide_model::{TenantId, WriteBatch};

use crate::hashring::{Endpoint, Hashrings, PlacementError, RingOfTenant, SeriesHasher, series_hash};
use crate::peer::Peer;
use crate::piece::Piece;

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
    /// What other nodes get of these, too, in the same order; empty where that is nothing.
    pub pieces: Vec<Arc<Piece>>,
}

/// A piece is worth its own chunks of a compressed stream from so many series on.
const LEAST_PIECE_SERIES: usize = 64;
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
        let shares = replicas.len() > 1 && !peers.iter().any(|peer| peer.is_ours());
        match shares.then(|| possible_ways(peers.len(), replicas.len())).flatten() {
            Some(ways) if ways * LEAST_PIECE_SERIES <= batch.series.len() => {
                spread_in_pieces(&ring, &peers, tenant, batch, replicas)
            }
            _ => spread(&ring, &peers, tenant, batch, replicas),
        }
    }
}

/// In how many ways the replicas of a series can be placed; `None` where they are too many to count.
fn possible_ways(nodes: usize, replicas: usize) -> Option<usize> {
    nodes.checked_pow(u32::try_from(replicas).ok()?).filter(|ways| *ways <= 1 << 16)
}

/// Whether each node takes every series, whatever its hash.
fn takes_all(peers: &[&Arc<Peer>], replicas: &Range<usize>) -> bool {
    let wants_each = *replicas == (0..peers.len());
    // Stock's nodes take one replica a call: which one depends on the hash.
    wants_each && (peers.len() == 1 || peers.iter().all(|peer| peer.is_ours()))
}

fn to_all(peers: &[&Arc<Peer>], batch: &WriteBatch) -> Vec<Group> {
    let all = Arc::new(Piece::new((0..batch.series.len() as u32).collect()));
    let group = |(replica, peer): (usize, &&Arc<Peer>)| Group {
        peer: Arc::clone(peer),
        replica,
        series: all.series().to_vec(),
        pieces: vec![Arc::clone(&all)],
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
                groups.push(Group {
                    peer: Arc::clone(peer),
                    replica,
                    series: Vec::with_capacity(guess),
                    pieces: Vec::new(),
                });
            }
            groups[*slot as usize].series.push(index as u32);
        }
    }
    Ok(groups)
}

/// Stock's nodes take one replica a call, so that no two calls have the same series; but series that are placed in the same way go to the
/// same nodes, and are encoded and compressed once for all replicas but the first.
fn spread_in_pieces(
    ring: &RingOfTenant,
    peers: &[&Arc<Peer>],
    tenant: &TenantId,
    batch: &WriteBatch,
    replicas: Range<usize>,
) -> Result<Vec<Group>, PlacementError> {
    // By the nodes of the replicas, as digits.
    let mut by_way: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    let mut hasher = SeriesHasher::new(tenant.as_str());
    for (index, series) in batch.series.iter().enumerate() {
        let hash = hasher.hash(batch, series);
        let mut way = 0;
        for replica in replicas.clone() {
            way = way * peers.len() + ring.node(hash, replica)?;
        }
        by_way.entry(way).or_default().push(index as u32);
    }
    let mut groups: BTreeMap<(usize, usize), Group> = BTreeMap::new();
    for (mut way, series) in by_way {
        let piece = Arc::new(Piece::new(series));
        for replica in replicas.clone().rev() {
            let node = way % peers.len();
            way /= peers.len();
            let (peer, series, pieces) = (Arc::clone(peers[node]), Vec::new(), Vec::new());
            let group = groups.entry((node, replica)).or_insert(Group { peer, replica, series, pieces });
            group.series.extend_from_slice(piece.series());
            if replica != replicas.start {
                group.pieces.push(Arc::clone(&piece));
            }
        }
    }
    // Pieces end chunks of the compressed stream early. A third of the calls without them keeps all within 1.1 times the bytes.
    groups.values_mut().filter(|group| group.pieces.is_empty()).for_each(|group| group.series.sort_unstable());
    Ok(groups.into_values().collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use thanoxide_env::{ManualClock, SeededRandom};
    use thanoxide_model::Labels;
    use thanoxide_model::write_batch::WriteBatchBuilder;

    use super::*;
    use crate::hashring::{Algorithm, HashringMetrics, parse_hashrings};
    use crate::peer::{PeerLimits, Way};

    fn placement(nodes: usize, algorithm: Algorithm) -> Placement {
        let names: Vec<_> = (0..nodes).map(|i| format!("\"node-{i}:10901\"")).collect();
        let config = parse_hashrings(&format!(r#"[{{"endpoints":[{}]}}]"#, names.join(","))).unwrap();
        let rings = Hashrings::new(&config, algorithm, 3, &HashringMetrics::default()).unwrap();
        let (workers, artificial_delay) = (1, Duration::ZERO);
        let limits = PeerLimits { workers, timeout: Duration::MAX, max_backoff: Duration::MAX, artificial_delay };
        let peer = |endpoint: &Endpoint| {
            let (clock, random) = (Arc::new(ManualClock::default()), Arc::new(SeededRandom::new(1)));
            let way = Way::Nowhere("nobody is there".to_string());
            (endpoint.clone(), Arc::new(Peer::new(endpoint.clone(), way, limits.clone(), clock, random)))
        };
        let peers = rings.ring_of("t").unwrap().endpoints().iter().map(peer).collect();
        Placement::new(rings, peers)
    }

    fn batch(series: usize) -> WriteBatch {
        let mut builder = WriteBatchBuilder::default();
        for i in 0..series {
            builder.push(&Labels::from_pairs([("__name__", "m".to_string()), ("i", i.to_string())]), &[]);
        }
        builder.build()
    }

    fn by_node(groups: &[Group]) -> BTreeMap<(String, usize), Vec<u32>> {
        let of = |group: &Group| {
            let mut series = group.series.clone();
            series.sort_unstable();
            ((group.peer.endpoint().address.clone(), group.replica), series)
        };
        groups.iter().map(of).collect()
    }

    #[test]
    fn pieces_put_series_where_they_belong() {
        let tenant = TenantId::new("t").unwrap();
        for algorithm in [Algorithm::Ketama, Algorithm::Hashmod] {
            for nodes in 3..6 {
                let (placement, batch) = (placement(nodes, algorithm), batch(9000));
                let groups = placement.groups(&tenant, &batch, 0..3).unwrap();
                let ring = placement.hashrings.ring_of("t").unwrap();
                let peers: Vec<_> = ring.endpoints().iter().map(|endpoint| &placement.peers[endpoint]).collect();
                let plain = spread(&ring, &peers, &tenant, &batch, 0..3).unwrap();
                assert!(plain.iter().all(|group| group.pieces.is_empty()));
                assert_eq!(by_node(&groups), by_node(&plain), "{nodes} nodes");
                for group in &groups {
                    assert_eq!(group.pieces.is_empty(), group.replica == 0);
                    assert!(group.pieces.iter().all(|piece| Arc::strong_count(piece) == 2), "two replicas have it");
                    let of_pieces: Vec<_> = group.pieces.iter().flat_map(|piece| piece.series()).copied().collect();
                    assert!(group.pieces.is_empty() || group.series == of_pieces);
                }
                // A few series are not worth it.
                let few = placement.groups(&tenant, &self::batch(500), 0..3).unwrap();
                assert!(few.iter().all(|group| group.pieces.is_empty()));
            }
        }
    }
}
