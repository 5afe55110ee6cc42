//! Many bits at once for the end of a buffer.

use super::BitWriter;

/// Takes bits, highest first.
pub(crate) trait BitSink {
    /// The lowest `count` bits (at most 64) of `value`.
    fn put(&mut self, value: u64, count: u32);

    /// An unsigned varint, its bytes at any bit.
    #[inline]
    fn put_uvarint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.put(value & 0x7f | 0x80, 8);
            value >>= 7;
        }
        self.put(value, 8);
    }
}

impl BitSink for BitWriter {
    #[inline]
    fn put(&mut self, value: u64, count: u32) {
        BitWriter::put(self, value, count);
    }
}

/// Bytes that a run may add; with fewer than [`SPARE_BYTES`] of them left it should end.
const RUN_BYTES: usize = 1088;
/// More than a sample of any kind of float takes.
const SPARE_BYTES: usize = 40;

/// Room for runs, one after the other.
#[derive(Clone, Debug)]
pub(crate) struct RunBuffer {
    bytes: Box<[u8; RUN_BYTES]>,
    /// How many samples will go behind a run later, as far as is known.
    pub(crate) ahead_samples: usize,
}

impl Default for RunBuffer {
    fn default() -> Self {
        RunBuffer { bytes: Box::new([0; RUN_BYTES]), ahead_samples: 0 }
    }
}

/// Bits on their way to the end of a buffer. They are gathered in a register, so that a buffer is looked at and made larger
/// once for all of them. What comes out is what a [`BitWriter`] makes.
#[derive(Debug)]
pub(crate) struct BitRun<'b> {
    bytes: &'b mut [u8; RUN_BYTES],
    len: usize,
    /// The lowest `waiting_bits` bits (less than 64) are not in `bytes` yet; those above are rubbish.
    waiting: u64,
    waiting_bits: u32,
}

impl<'b> BitRun<'b> {
    /// Goes on inside the last byte, whose lowest `free_bits` bits are not used; takes it off.
    #[inline]
    pub(crate) fn begin(buffer: &'b mut RunBuffer, bytes: &mut Vec<u8>, free_bits: u8) -> Self {
        let last = if free_bits > 0 { bytes.pop() } else { None };
        let (waiting, waiting_bits) = last.map_or((0, 0), |last| (last >> free_bits, 8 - free_bits));
        let (waiting, waiting_bits) = (u64::from(waiting), u32::from(waiting_bits));
        BitRun { bytes: &mut buffer.bytes, len: 0, waiting, waiting_bits }
    }

    /// Bytes so far, the last one perhaps in part.
    #[inline]
    pub(crate) fn len_bytes(&self) -> usize {
        self.len + self.waiting_bits.div_ceil(8) as usize
    }

    /// Whether a further sample may be put.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        self.len + SPARE_BYTES <= RUN_BYTES
    }

    /// Appends all; how many of the last byte's bits are not used. A buffer that is made larger is made so for `ahead_bytes` more.
    #[inline]
    pub(crate) fn finish(mut self, bytes: &mut Vec<u8>, ahead_bytes: usize) -> u8 {
        let whole_bytes = self.waiting_bits.div_ceil(8);
        if self.waiting_bits > 0 {
            self.store(self.waiting << (64 - self.waiting_bits), whole_bytes as usize);
        }
        if bytes.capacity() - bytes.len() < self.len {
            super::bits::grow(bytes, self.len + ahead_bytes);
        }
        bytes.extend_from_slice(&self.bytes[..self.len]);
        (whole_bytes * 8 - self.waiting_bits) as u8
    }

    /// The first bytes of a word.
    #[inline]
    fn store(&mut self, word: u64, bytes: usize) {
        self.bytes[self.len..self.len + 8].copy_from_slice(&word.to_be_bytes());
        self.len += bytes;
    }
}

impl BitSink for BitRun<'_> {
    #[inline]
    fn put(&mut self, value: u64, count: u32) {
        debug_assert!(count <= 64);
        if count == 0 {
            return;
        }
        let value = value << (64 - count) >> (64 - count);
        let bits = self.waiting_bits + count;
        if bits < 64 {
            self.waiting = self.waiting << count | value;
            self.waiting_bits = bits;
            return;
        }
        // At least one bit of the value completes the word.
        let rest = bits - 64;
        let word = (self.waiting << (63 - self.waiting_bits) << 1) | value >> rest;
        self.store(word, 8);
        (self.waiting, self.waiting_bits) = (value, rest);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn runs_are_what_a_writer_makes(
            before in proptest::collection::vec((any::<u64>(), 0u32..=64), 0..4),
            parts in proptest::collection::vec((any::<u64>(), 0u32..=64), 0..60),
        ) {
            let mut writer = BitWriter::default();
            before.iter().for_each(|(value, count)| writer.put(*value, *count));
            let (mut bytes, free_bits) = writer.clone().into_parts();
            let before_bytes = bytes.len() - usize::from(free_bits > 0);
            let mut buffer = RunBuffer::default();
            let mut run = BitRun::begin(&mut buffer, &mut bytes, free_bits);
            for (value, count) in parts {
                prop_assert!(run.has_room());
                run.put(value, count);
                writer.put(value, count);
                prop_assert_eq!(before_bytes + run.len_bytes(), writer.bytes().len());
            }
            let free_bits = run.finish(&mut bytes, 100);
            prop_assert_eq!((bytes, free_bits), writer.into_parts());
        }
    }
}
