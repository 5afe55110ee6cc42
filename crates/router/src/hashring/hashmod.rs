//! The hash of a series modulo the number of nodes, which are in the order of their addresses.

use super::{Endpoint, HashringError, PlacementError};

/// The ring.
#[derive(Debug)]
pub struct Hashmod {
    pub(super) endpoints: Vec<Endpoint>,
}

impl Hashmod {
    /// A ring of these nodes.
    pub fn new(mut endpoints: Vec<Endpoint>) -> Result<Self, HashringError> {
        if endpoints.iter().any(|endpoint| !endpoint.az.is_empty()) {
            return Err(HashringError::HashmodZones);
        }
        endpoints.sort_by(|a, b| a.address.cmp(&b.address));
        Ok(Hashmod { endpoints })
    }

    /// The node of the n-th replica of a hash, as an index into the endpoints of this ring.
    pub fn node(&self, hash: u64, replica: usize) -> Result<usize, PlacementError> {
        let have = self.endpoints.len();
        if replica >= have {
            return Err(PlacementError::TooFewNodes { have, want: replica + 1 });
        }
        Ok((hash.wrapping_add(replica as u64) % have as u64) as usize)
    }
}
