//! Frames: what one call hands to the log for one tenant, of one kind.
//!
//! ```text
//! frame := "TlF\x01" | u32 length of body | u32 checksum of body | body
//! body  := u8 kind | uvarint position | uvarint length, tenant | u64 generation | payload
//! ```
//! The magic number is what a reader looks for behind damage.

use super::Position;
use crate::encoding::{DecodeError, Put, Reader, checksum};

/// What a frame begins with.
pub const MAGIC: [u8; 4] = *b"TlF\x01";
/// Bytes before the body.
pub const HEADER_BYTES: usize = 12;
/// The longest body that is read; more is damage.
pub const MAX_BODY_BYTES: usize = 256 << 20;

/// What a payload holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// Series definitions.
    Definitions = 1,
    /// Float samples, newer than all of their series.
    Floats = 2,
    /// Histograms, newer than all of their series.
    Histograms = 3,
    /// `varint`: the head holds nothing older than this time any more.
    Truncation = 4,
    /// Float samples that came late.
    LateFloats = 5,
    /// Histograms that came late.
    LateHistograms = 6,
    /// Deletions.
    Tombstones = 7,
    /// Exemplars.
    Exemplars = 8,
    /// What is known of metrics; in snapshots, too.
    Metadata = 9,
    /// `uvarint`: the late samples up to this position are in blocks.
    LateTruncation = 10,
    /// Float samples with start times, newer than all of their series.
    StartedFloats = 11,
    /// Histograms with start times, newer than all of their series.
    StartedHistograms = 12,
    /// Float samples with start times that came late.
    StartedLateFloats = 13,
    /// Histograms with start times that came late.
    StartedLateHistograms = 14,
    /// In a snapshot: what is known of a tenant besides its series.
    Tenant = 16,
    /// In a snapshot: some series of a tenant, without pieces of chunks. Read, and not written any more.
    Series = 17,
    /// In a snapshot: its last frame, which says that it is whole.
    End = 18,
    /// In a snapshot: the exemplars of a tenant.
    SavedExemplars = 19,
    /// In a snapshot: some series of a tenant.
    PiecedSeries = 20,
}

impl FrameKind {
    fn from_byte(byte: u8) -> Option<Self> {
        use FrameKind::*;
        let kinds = [
            Definitions,
            Floats,
            Histograms,
            Truncation,
            LateFloats,
            LateHistograms,
            Tombstones,
            Exemplars,
            Metadata,
            LateTruncation,
            StartedFloats,
            StartedHistograms,
            StartedLateFloats,
            StartedLateHistograms,
            Tenant,
            Series,
            End,
            SavedExemplars,
            PiecedSeries,
        ];
        kinds.into_iter().find(|kind| *kind as u8 == byte)
    }

    /// Whether it holds samples that came late.
    pub(crate) fn is_late(self) -> bool {
        use FrameKind::*;
        matches!(self, LateFloats | LateHistograms | StartedLateFloats | StartedLateHistograms)
    }
}

/// A decoded frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its place in the log.
    pub position: Position,
    /// Whose it is.
    pub tenant: &'a [u8],
    /// In which of the tenant's lives.
    pub generation: u64,
    /// What the payload holds; `None` is of a later version.
    pub kind: Option<FrameKind>,
    /// The rest.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Decodes a body whose checksum holds.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let kind = FrameKind::from_byte(reader.u8()?);
        let position = reader.uvarint()?;
        let tenant = reader.uvarint_bytes()?;
        let generation = reader.u64()?;
        Ok(Frame { position, tenant, generation, kind, payload: reader.rest() })
    }

    /// Whether only snapshots have such a frame.
    pub(crate) fn is_of_snapshot(&self) -> bool {
        use FrameKind::{End, PiecedSeries, SavedExemplars, Series, Tenant};
        matches!(self.kind, Some(Tenant | Series | PiecedSeries | End | SavedExemplars))
    }

    /// Appends the frame.
    pub fn push(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[0; HEADER_BYTES - MAGIC.len()]);
        out.put_u8(self.kind.map_or(0, |kind| kind as u8));
        out.put_uvarint(self.position);
        out.put_uvarint_bytes(self.tenant);
        out.put_u64(self.generation);
        out.extend_from_slice(self.payload);
        let body = start + HEADER_BYTES;
        let (len, crc) = (((out.len() - body) as u32).to_be_bytes(), checksum(&out[body..]).to_be_bytes());
        out[start + 4..start + 8].copy_from_slice(&len);
        out[start + 8..body].copy_from_slice(&crc);
    }
}

/// Length and checksum of the body behind a frame's header; `None` where this is no header.
pub(crate) fn read_header(header: &[u8]) -> Option<(usize, u32)> {
    let mut reader = Reader::new(header);
    let (magic, len, crc) = (reader.bytes(4).ok()?, reader.u32().ok()? as usize, reader.u32().ok()?);
    (*magic == MAGIC && len <= MAX_BODY_BYTES).then_some((len, crc))
}
