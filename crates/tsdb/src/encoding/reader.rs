//! Reads values off the front of a slice.

use super::{DecodeError, verify_checksum};

/// A cursor over bytes in memory.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// Starts behind a trailing checksum's subject: verifies the last four bytes as the checksum of all before them.
    pub fn checked(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (body, stored) = bytes.split_last_chunk::<4>().ok_or(DecodeError::UnexpectedEnd)?;
        verify_checksum(body, u32::from_be_bytes(*stored))?;
        Ok(Reader { rest: body })
    }

    /// What is not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// How many bytes are not read yet.
    pub fn len(&self) -> usize {
        self.rest.len()
    }

    /// Whether all is read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `len` bytes.
    #[inline]
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        // With `ok_or` and `?` the two slices go through memory, here and below, in pieces for which the next load waits.
        let Some((head, rest)) = self.rest.split_at_checked(len) else { return Err(DecodeError::UnexpectedEnd) };
        self.rest = rest;
        Ok(head)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let Some((head, rest)) = self.rest.split_first_chunk::<N>() else { return Err(DecodeError::UnexpectedEnd) };
        self.rest = rest;
        Ok(*head)
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        let Some((head, rest)) = self.rest.split_first() else { return Err(DecodeError::UnexpectedEnd) };
        self.rest = rest;
        Ok(*head)
    }

    /// Two bytes.
    #[inline]
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// Four bytes.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// Eight bytes.
    #[inline]
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// Eight bytes, as the bits of a float.
    #[inline]
    pub fn f64(&mut self) -> Result<f64, DecodeError> {
        Ok(f64::from_bits(self.u64()?))
    }

    /// An unsigned varint of up to 64 bits.
    #[inline]
    pub fn uvarint(&mut self) -> Result<u64, DecodeError> {
        match self.rest.first() {
            Some(byte) if *byte < 0x80 => {
                self.rest = &self.rest[1..];
                Ok(u64::from(*byte))
            }
            _ => self.long_uvarint(),
        }
    }

    /// Of several bytes. Those of a word are looked at together: seven bits of each are moved beside those of its neighbour, then
    /// fourteen, then twenty-eight.
    #[inline]
    fn long_uvarint(&mut self) -> Result<u64, DecodeError> {
        let Some(word) = self.rest.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes)) else {
            return self.bytewise_uvarint();
        };
        let ends = !word & 0x8080_8080_8080_8080;
        if ends == 0 {
            return self.bytewise_uvarint();
        }
        let bits = ends.trailing_zeros() + 1;
        let word = word & (u64::MAX >> (64 - bits)) & 0x7f7f_7f7f_7f7f_7f7f;
        let word = (word & 0x007f_007f_007f_007f) | ((word & 0x7f00_7f00_7f00_7f00) >> 1);
        let word = (word & 0x0000_3fff_0000_3fff) | ((word & 0x3fff_0000_3fff_0000) >> 2);
        self.rest = &self.rest[bits as usize / 8..];
        Ok((word & 0x0fff_ffff) | ((word & 0x0fff_ffff_0000_0000) >> 4))
    }

    fn bytewise_uvarint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for (i, byte) in self.rest.iter().enumerate().take(10) {
            if i == 9 && *byte > 1 {
                return Err(DecodeError::VarintOverflow(64));
            }
            value |= u64::from(byte & 0x7f) << (7 * i);
            if *byte < 0x80 {
                self.rest = &self.rest[i + 1..];
                return Ok(value);
            }
        }
        Err(DecodeError::UnexpectedEnd)
    }

    /// An unsigned varint that must fit 32 bits.
    #[inline]
    pub fn uvarint32(&mut self) -> Result<u32, DecodeError> {
        u32::try_from(self.uvarint()?).map_err(|_| DecodeError::VarintOverflow(32))
    }

    /// An unsigned varint that counts things in memory. Callers still bound it by what the rest can hold.
    #[inline]
    pub fn uvarint_len(&mut self) -> Result<usize, DecodeError> {
        usize::try_from(self.uvarint()?).map_err(|_| DecodeError::VarintOverflow(usize::BITS))
    }

    /// A zig-zag varint.
    #[inline]
    pub fn varint(&mut self) -> Result<i64, DecodeError> {
        let zigzag = self.uvarint()?;
        Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    /// Bytes behind their uvarint length.
    #[inline]
    pub fn uvarint_bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.uvarint_len()?;
        self.bytes(len)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Put, checksum};
    use super::*;

    #[test]
    fn overlong_varints_are_errors() {
        assert_eq!(Reader::new(&[0xff; 11]).uvarint(), Err(DecodeError::VarintOverflow(64)));
        assert_eq!(Reader::new(&[0x80]).uvarint(), Err(DecodeError::UnexpectedEnd));
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x1f]).uvarint32(), Err(DecodeError::VarintOverflow(32)));
    }

    #[test]
    fn a_flipped_bit_is_seen() {
        let mut bytes = b"subject".to_vec();
        bytes.put_u32(checksum(b"subject"));
        assert!(Reader::checked(&bytes).is_ok());
        bytes[0] ^= 1;
        assert!(matches!(Reader::checked(&bytes), Err(DecodeError::Checksum { .. })));
    }

    proptest! {
        #[test]
        fn varints_round_trip(unsigned: u64, signed: i64) {
            let mut bytes = Vec::new();
            bytes.put_uvarint(unsigned);
            bytes.put_varint(signed);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.uvarint().unwrap(), unsigned);
            prop_assert_eq!(reader.varint().unwrap(), signed);
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes);
            while reader.uvarint_bytes().is_ok() && !reader.is_empty() {}
        }
    }
}
