//! Bit streams, highest bit first.

use super::DecodeError;

/// Reads bits; holds up to 64 of them in a register.
///
/// The register is filled from its top. Behind its `bits` valid ones it may hold further true bits of the stream: a refill
/// then only writes the same bits again.
#[derive(Clone, Debug)]
pub struct BitReader<'a> {
    rest: &'a [u8],
    buffer: u64,
    bits: u32,
}

impl<'a> BitReader<'a> {
    /// Starts at the first bit.
    pub fn new(bytes: &'a [u8]) -> Self {
        BitReader { rest: bytes, buffer: 0, bits: 0 }
    }

    /// How many bits are not read yet.
    pub fn bits_left(&self) -> usize {
        self.rest.len() * 8 + self.bits as usize
    }

    #[inline(always)]
    fn refill(&mut self) {
        if let Some(word) = self.rest.first_chunk::<8>() {
            self.buffer |= u64::from_be_bytes(*word) >> self.bits;
            let whole_bytes = (63 - self.bits) >> 3;
            self.rest = &self.rest[whole_bytes as usize..];
            self.bits += whole_bytes * 8;
        } else {
            self.refill_from_tail();
        }
    }

    #[cold]
    fn refill_from_tail(&mut self) {
        while let (true, Some((byte, rest))) = (self.bits < 56, self.rest.split_first()) {
            self.buffer |= u64::from(*byte) << (56 - self.bits);
            self.bits += 8;
            self.rest = rest;
        }
    }

    /// Makes `count` bits (at most 56) readable from the register.
    #[inline(always)]
    fn ensure(&mut self, count: u32) -> Result<(), DecodeError> {
        if self.bits < count {
            self.refill();
            if self.bits < count {
                return Err(DecodeError::UnexpectedEnd);
            }
        }
        Ok(())
    }

    /// Fills the register with 56 bits or more, unless the end is near. True allows [`BitReader::take`].
    #[inline(always)]
    pub(crate) fn fill(&mut self) -> bool {
        let plenty = self.rest.len() >= 8;
        if plenty {
            self.refill();
        }
        plenty
    }

    /// Whether the bit at `index` (0 is the next) of the register is set.
    #[inline(always)]
    pub(crate) fn peek(&self, index: u32) -> bool {
        self.buffer << index >> 63 == 1
    }

    /// The ones that come next, as far as the register knows.
    #[inline(always)]
    pub(crate) fn leading_ones(&self) -> u32 {
        self.buffer.leading_ones()
    }

    /// Reads `count` bits that are known to be in the register. Others come out wrong, but do no harm.
    #[inline(always)]
    pub(crate) fn take(&mut self, count: u32) -> u64 {
        debug_assert!(count <= self.bits);
        let value = (self.buffer >> 1) >> (63 - count);
        self.buffer <<= count;
        self.bits -= count;
        value
    }

    /// One bit.
    #[inline(always)]
    pub fn bit(&mut self) -> Result<bool, DecodeError> {
        self.ensure(1)?;
        Ok(self.take(1) == 1)
    }

    /// Up to 64 bits, as an unsigned number.
    #[inline(always)]
    pub fn bits(&mut self, count: u32) -> Result<u64, DecodeError> {
        debug_assert!(count <= 64);
        if count <= 56 {
            self.ensure(count)?;
            return Ok(self.take(count));
        }
        self.ensure(32)?;
        let high = self.take(32);
        self.ensure(count - 32)?;
        Ok((high << (count - 32)) | self.take(count - 32))
    }

    /// Counts ones up to the first zero, which is read too; or up to `most` ones, behind which no zero stands.
    #[inline(always)]
    pub fn unary(&mut self, most: u32) -> Result<u32, DecodeError> {
        if self.bits < most {
            self.refill();
        }
        let ones = self.buffer.leading_ones().min(most);
        let length = (ones + 1).min(most);
        if self.bits < length {
            return Err(DecodeError::UnexpectedEnd);
        }
        self.take(length);
        Ok(ones)
    }

    /// The bits of a float.
    #[inline]
    pub fn f64(&mut self) -> Result<f64, DecodeError> {
        Ok(f64::from_bits(self.bits(64)?))
    }

    /// An unsigned varint, its bytes at any bit.
    pub fn uvarint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.bits(8)?;
            if shift == 63 && byte > 1 {
                return Err(DecodeError::VarintOverflow(64));
            }
            value |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError::VarintOverflow(64))
    }

    /// A zig-zag varint, its bytes at any bit.
    pub fn varint(&mut self) -> Result<i64, DecodeError> {
        let zigzag = self.uvarint()?;
        Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }
}

/// Appends bits to a buffer that is whole bytes at any time: the last byte is filled up with zeros.
#[derive(Clone, Debug, Default)]
pub struct BitWriter {
    bytes: Vec<u8>,
    free_bits: u8,
    /// How many parts of one kind the bytes are, if that is known: a buffer that must grow gets room for some more.
    parts: u16,
}

impl BitWriter {
    /// Goes on behind whole bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        BitWriter { bytes, free_bits: 0, parts: 0 }
    }

    /// Goes on inside the last byte, whose lowest `free_bits` bits (at most 7) are not used; they are set to zero.
    pub fn resume(mut bytes: Vec<u8>, free_bits: u8) -> Self {
        debug_assert!(free_bits < 8);
        match bytes.last_mut() {
            Some(last) => *last &= 0xff << free_bits,
            None => return BitWriter::new(bytes),
        }
        BitWriter { bytes, free_bits, parts: 0 }
    }

    /// Goes on where [`BitWriter::into_parts`] left off, with so many samples in the bytes.
    #[inline]
    pub(crate) fn from_parts(bytes: Vec<u8>, free_bits: u8, parts: u16) -> Self {
        BitWriter { bytes, free_bits, parts }
    }

    /// The bytes, and how many of the last one's bits are not used.
    #[inline]
    pub(crate) fn into_parts(self) -> (Vec<u8>, u8) {
        (self.bytes, self.free_bits)
    }

    /// All bytes so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many of the last byte's bits, its lowest, are not used.
    pub fn free_bits(&self) -> u8 {
        self.free_bits
    }

    /// All bytes so far, to change some of them in place.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// The bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Gives up memory that is not used.
    pub fn shrink_to_fit(&mut self) {
        self.bytes.shrink_to_fit();
    }

    /// The lowest `count` bits (at most 64) of `value`.
    #[inline]
    pub fn put(&mut self, value: u64, count: u32) {
        debug_assert!(count <= 64);
        if count == 0 {
            return;
        }
        let value = value << (64 - count) >> (64 - count);
        let free = u32::from(self.free_bits);
        let mut rest = count;
        if free > 0 {
            let last = self.bytes.len() - 1;
            if count <= free {
                self.bytes[last] |= (value << (free - count)) as u8;
                self.free_bits = (free - count) as u8;
                return;
            }
            self.bytes[last] |= (value >> (count - free)) as u8;
            rest = count - free;
        }
        let word = (value << (64 - rest)).to_be_bytes();
        let whole_bytes = rest.div_ceil(8);
        if self.bytes.capacity() - self.bytes.len() < 8 {
            grow_for(&mut self.bytes, usize::from(self.parts));
        }
        // Eight bytes are one store; as many as needed would be a call.
        let end = self.bytes.len() + whole_bytes as usize;
        self.bytes.extend_from_slice(&word);
        self.bytes.truncate(end);
        self.free_bits = (whole_bytes * 8 - rest) as u8;
    }

    /// One bit.
    #[inline]
    pub fn put_bit(&mut self, bit: bool) {
        self.put(u64::from(bit), 1);
    }

    /// The bits of a float.
    pub fn put_f64(&mut self, value: f64) {
        self.put(value.to_bits(), 64);
    }

    /// An unsigned varint, its bytes at any bit.
    pub fn put_uvarint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.put(value & 0x7f | 0x80, 8);
            value >>= 7;
        }
        self.put(value, 8);
    }

    /// A zig-zag varint, its bytes at any bit.
    pub fn put_varint(&mut self, value: i64) {
        self.put_uvarint(((value << 1) ^ (value >> 63)) as u64);
    }
}

/// Open chunks of floats give up bytes before they need more than this.
pub(crate) const STOP_BYTES: usize = 256;
/// A buffer that grows gets room for so many samples more,
const AHEAD_SAMPLES: usize = 9;
/// unless it has no more than these: many series never get further.
const FEW_SAMPLES: usize = 6;

/// Makes room for `more` bytes and some that may follow. Many chunks are open at once: room is taken by small steps, of sizes
/// that allocators have.
#[cold]
pub(super) fn grow(bytes: &mut Vec<u8>, more: usize) {
    bytes.reserve_exact(room_for(bytes.len(), more) - bytes.len());
}

/// The same for a word and some samples like the others. Buffers of chunks that grow fast skip sizes at which slow ones stay:
/// else those few would hold on to pages that the others leave.
#[cold]
fn grow_for(bytes: &mut Vec<u8>, samples: usize) {
    let most_bytes = STOP_BYTES.saturating_sub(bytes.len() + 16);
    let ahead_bytes = if samples > FEW_SAMPLES { AHEAD_SAMPLES * bytes.len() / samples } else { 0 };
    grow(bytes, 8 + ahead_bytes.min(most_bytes));
}

/// What allocators give who asks for so much: four sizes between powers of two.
pub(crate) fn allocated_bytes(wanted: usize) -> usize {
    wanted.next_multiple_of((wanted.next_power_of_two() / 8).max(16))
}

/// What [`grow`] makes of a buffer. One that need not be larger than [`STOP_BYTES`] is not.
pub(crate) fn room_for(len: usize, more: usize) -> usize {
    let room = allocated_bytes(len + more + 8 + len / 8);
    if len + more + 8 <= STOP_BYTES { room.min(STOP_BYTES) } else { room }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bits_round_trip(parts in proptest::collection::vec((any::<u64>(), 0u32..=64), 0..50)) {
            let mut writer = BitWriter::default();
            for (value, count) in &parts {
                writer.put(*value, *count);
            }
            let mut reader = BitReader::new(writer.bytes());
            for (value, count) in parts {
                let kept = if count == 0 { 0 } else { value << (64 - count) >> (64 - count) };
                prop_assert_eq!(reader.bits(count).unwrap(), kept);
            }
            prop_assert!(reader.bits_left() < 8);
        }

        #[test]
        fn unary_numbers_round_trip(numbers in proptest::collection::vec(0u32..=8, 0..50)) {
            let mut writer = BitWriter::default();
            for ones in &numbers {
                writer.put(0xff, *ones);
                writer.put(0, u32::from(*ones < 8));
            }
            let mut reader = BitReader::new(writer.bytes());
            for ones in numbers {
                prop_assert_eq!(reader.unary(8).unwrap(), ones);
            }
        }

        #[test]
        fn varints_round_trip_at_any_bit(offset in 0u32..8, unsigned: u64, signed: i64) {
            let mut writer = BitWriter::default();
            writer.put(0, offset);
            writer.put_uvarint(unsigned);
            writer.put_varint(signed);
            let mut reader = BitReader::new(writer.bytes());
            reader.bits(offset).unwrap();
            prop_assert_eq!(reader.uvarint().unwrap(), unsigned);
            prop_assert_eq!(reader.varint().unwrap(), signed);
        }
    }

    #[test]
    fn the_end_is_an_error() {
        let mut reader = BitReader::new(&[0xff]);
        assert_eq!(reader.bits(9), Err(DecodeError::UnexpectedEnd));
        assert_eq!(reader.unary(4), Ok(4));
        assert_eq!(reader.unary(8), Err(DecodeError::UnexpectedEnd));
        assert_eq!(reader.bits(4), Ok(15));
        assert_eq!(reader.bit(), Err(DecodeError::UnexpectedEnd));
    }
}
