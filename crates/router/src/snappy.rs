//! Snappy blocks, decompressed into buffers that are used again.
//!
//! A block is the decompressed length as a varint, then literals and copies. Framed streams and the repeat codes of S2 are
//! refused. Source: the format description of Snappy.

use std::sync::{Arc, Mutex};

use snap::raw::{Decoder, decompress_len};
use thanoxide_server::http::Bytes;

use crate::refusal::Refusal;

/// The longest copy has 64 bytes and takes three: no valid block grows by more.
const MAX_GROWTH: u64 = 22;
/// Longer buffers are not kept.
const MAX_KEPT_BYTES: usize = 4 << 20;
/// So many buffers are kept.
const MAX_KEPT_BUFFERS: usize = 32;

/// The decompressed length that a block declares, checked against `max_bytes` and against what the block can hold.
pub fn declared_len(block: &[u8], max_bytes: u64) -> Result<u64, Refusal> {
    let declared_bytes = match decompress_len(block) {
        Ok(declared) => declared as u64,
        Err(snap::Error::TooBig { given, .. }) => given,
        Err(error) => return Err(Refusal::Snappy(error.to_string())),
    };
    if declared_bytes > max_bytes {
        return Err(Refusal::DecodedTooLarge { declared_bytes, max_bytes });
    }
    if declared_bytes > block.len() as u64 * MAX_GROWTH {
        let text = format!("{} bytes cannot hold the {declared_bytes} bytes declared", block.len());
        return Err(Refusal::Snappy(text));
    }
    Ok(declared_bytes)
}

/// Buffers of requests that are over.
#[derive(Clone, Debug, Default)]
pub struct BufferPool(Arc<Mutex<Vec<Vec<u8>>>>);

impl BufferPool {
    /// Decompresses a block of which [`declared_len`] was checked. The buffer comes back when the bytes are dropped.
    pub fn decompress(&self, block: &[u8], declared_bytes: u64) -> Result<Bytes, Refusal> {
        let mut buffer = self.take();
        let len = declared_bytes as usize;
        if buffer.len() < len {
            // Fresh zeros are free, those behind what a buffer has are not.
            buffer = vec![0; len];
        }
        let mut buffer = PooledBuffer { buffer, len, pool: self.clone() };
        let written = Decoder::new().decompress(block, &mut buffer.buffer[..len]);
        buffer.len = written.map_err(|error| Refusal::Snappy(error.to_string()))?;
        Ok(Bytes::from_owner(buffer))
    }

    fn take(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop().unwrap_or_default()
    }

    fn give_back(&self, buffer: Vec<u8>) {
        let mut buffers = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if buffer.capacity() <= MAX_KEPT_BYTES && buffers.len() < MAX_KEPT_BUFFERS {
            buffers.push(buffer);
        }
    }
}

struct PooledBuffer {
    buffer: Vec<u8>,
    len: usize,
    pool: BufferPool,
}

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        self.pool.give_back(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(block: &[u8]) -> Result<Bytes, Refusal> {
        let declared_bytes = declared_len(block, 1 << 20)?;
        BufferPool::default().decompress(block, declared_bytes)
    }

    #[test]
    fn no_block_of_a_few_bytes_takes_memory() {
        let huge = [0xff, 0xff, 0xff, 0xff, 0x0f, 0];
        assert!(matches!(
            declared_len(&huge, 1 << 20),
            Err(Refusal::DecodedTooLarge { declared_bytes: 4294967295, .. })
        ));
        assert!(matches!(decode(&[0x80, 0x80, 0x10, 0]), Err(Refusal::Snappy(_))));
        assert!(matches!(decode(&[]), Err(Refusal::Snappy(_))));
    }

    #[test]
    fn framed_streams_and_repeat_codes_are_refused() {
        assert!(decode(b"\xff\x06\x00\x00sNaPpY").is_err());
        // A literal "a", then a copy from offset 0: S2's "repeat".
        assert!(decode(&[8, 0, b'a', 0b0000_1101, 0]).is_err());
    }

    #[test]
    fn buffers_are_used_again() {
        let pool = BufferPool::default();
        let block = snap::raw::Encoder::new().compress_vec(&[7; 1000]).unwrap();
        let first = pool.decompress(&block, 1000).unwrap();
        let address = first.as_ptr();
        drop(first);
        let short = snap::raw::Encoder::new().compress_vec(&[8; 10]).unwrap();
        let second = pool.decompress(&short, 10).unwrap();
        assert_eq!((second.as_ptr(), &second[..]), (address, &[8; 10][..]));
    }

    proptest! {
        #[test]
        fn what_is_compressed_comes_back(data in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let block = snap::raw::Encoder::new().compress_vec(&data).unwrap();
            prop_assert_eq!(&decode(&block).unwrap()[..], &data[..]);
        }

        #[test]
        fn arbitrary_bytes_never_panic(block in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&block);
        }
    }

    #[test]
    fn the_densest_block_is_within_the_growth_allowed() {
        let block = snap::raw::Encoder::new().compress_vec(&vec![0; 1 << 20]).unwrap();
        assert!(decode(&block).is_ok());
    }
}
