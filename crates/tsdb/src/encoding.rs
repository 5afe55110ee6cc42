//! The only place where bytes are taken apart and put together by hand.
//!
//! Integers are big-endian. `uvarint` is LEB128 without a sign, `varint` the same over zig-zag; both end at ten bytes.
//! Checksums are CRC-32C (Castagnoli), stored big-endian. Bit streams begin at the highest bit of each byte.
//!
//! [`Reader`] and [`Put`] do bytes, [`BitReader`] and [`BitWriter`] bits. A reader never looks behind its slice, and tells
//! so in an error. A [`ByteSource`] is where the bytes of a file format come from.

mod bit_run;
mod bits;
mod reader;
mod source;
mod varbit;
mod writer;

pub(crate) use bit_run::{BitRun, BitSink, RunBuffer};
pub use bits::{BitReader, BitWriter};
pub(crate) use bits::{STOP_BYTES, allocated_bytes, room_for};
pub use reader::Reader;
pub use source::{ByteSource, FileSource};
pub use varbit::fits;
pub use writer::Put;

use thiserror::Error;

/// Why bytes could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The bytes end inside a value.
    #[error("unexpected end of data")]
    UnexpectedEnd,
    /// A varint does not fit its type.
    #[error("varint overflows {0} bits")]
    VarintOverflow(u32),
    /// The stored checksum is not that of the bytes.
    #[error("checksum mismatch: stored {stored:08x}, computed {computed:08x}")]
    Checksum {
        /// What the file says.
        stored: u32,
        /// What the bytes give.
        computed: u32,
    },
    /// A histogram that does not agree with itself: its spans, say, have more buckets than it.
    #[error("unsound histogram")]
    Histogram,
}

/// CRC-32C of the bytes.
pub fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

/// Compares a stored checksum with that of the bytes.
pub fn verify_checksum(bytes: &[u8], stored: u32) -> Result<(), DecodeError> {
    let computed = checksum(bytes);
    if computed == stored { Ok(()) } else { Err(DecodeError::Checksum { stored, computed }) }
}
