//! Integers of few bits: `varbit`.
//!
//! ```text
//! prefix    bits that follow
//! 0         none: the number is 0
//! 10        3          11110     12        11111110  56
//! 110       6          111110    18        11111111  64
//! 1110      9          1111110   25
//! ```
//! The signed form takes the shortest group of n bits that holds `-(2^(n-1) - 1) ..= 2^(n-1)`, which is not quite two's
//! complement: the value with only the top bit set is positive.

use super::{BitReader, BitWriter, DecodeError};

const WIDTHS: [u32; 9] = [0, 3, 6, 9, 12, 18, 25, 56, 64];

/// Whether a number fits a group of `width` bits, by the rule in this module's head.
#[inline(always)]
pub fn fits(value: i64, width: u32) -> bool {
    -((1 << (width - 1)) - 1) <= value && value <= 1 << (width - 1)
}

impl BitReader<'_> {
    /// A group of `width` bits as a signed number, where the value with only the top bit set is positive.
    #[inline(always)]
    pub fn signed(&mut self, width: u32) -> Result<i64, DecodeError> {
        let bits = self.bits(width)?;
        let wraps = width < 64 && bits > 1 << (width - 1);
        Ok(if wraps { bits.wrapping_sub(1 << width) } else { bits } as i64)
    }

    /// A signed varbit.
    #[inline]
    pub fn varbit(&mut self) -> Result<i64, DecodeError> {
        if self.fill() && self.leading_ones() < 7 {
            // The usual case: prefix and bits are in the register, and no branch depends on the width.
            let group = self.leading_ones();
            self.take(group + 1);
            let width = WIDTHS[group as usize];
            let bits = self.take(width) as i64;
            let wraps = bits > (1 << width) >> 1;
            return Ok(bits - (i64::from(wraps) << width));
        }
        self.rare_varbit()
    }

    /// A long one, or one near the end.
    fn rare_varbit(&mut self) -> Result<i64, DecodeError> {
        match self.unary(8)? {
            0 => Ok(0),
            group => self.signed(WIDTHS[group as usize]),
        }
    }

    /// An unsigned varbit.
    #[inline]
    pub fn unsigned_varbit(&mut self) -> Result<u64, DecodeError> {
        let group = self.unary(8)?;
        self.bits(WIDTHS[group as usize])
    }
}

impl BitWriter {
    fn put_varbit_group(&mut self, group: usize, value: u64) {
        let width = WIDTHS[group];
        if group == 8 {
            self.put(0xff, 8);
        } else {
            self.put((1 << (group + 1)) - 2, group as u32 + 1);
        }
        self.put(value, width);
    }

    /// A signed varbit.
    pub fn put_varbit(&mut self, value: i64) {
        let group = match value {
            0 => 0,
            _ => (1..8).find(|g| fits(value, WIDTHS[*g])).unwrap_or(8),
        };
        self.put_varbit_group(group, value as u64);
    }

    /// An unsigned varbit.
    pub fn put_unsigned_varbit(&mut self, value: u64) {
        let group = (0..8).find(|g| value >> WIDTHS[*g] == 0).unwrap_or(8);
        self.put_varbit_group(group, value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bits_of(value: i64) -> usize {
        let mut writer = BitWriter::default();
        writer.put_varbit(value);
        let mut reader = BitReader::new(writer.bytes());
        let before = reader.bits_left();
        assert_eq!(reader.varbit().unwrap(), value);
        before - reader.bits_left()
    }

    #[test]
    fn ranges_lean_to_the_positive() {
        assert_eq!([bits_of(0), bits_of(4), bits_of(-3), bits_of(-4), bits_of(5)], [1, 5, 5, 9, 9]);
        assert_eq!(bits_of(1 << 55), 64);
        assert_eq!(bits_of((1 << 55) + 1), 72);
        assert_eq!([bits_of(i64::MIN), bits_of(i64::MAX)], [72, 72]);
    }

    proptest! {
        #[test]
        fn varbits_round_trip(signed: i64, unsigned: u64, shift in 0u32..64) {
            let (signed, unsigned) = (signed >> shift, unsigned >> shift);
            let mut writer = BitWriter::default();
            writer.put_varbit(signed);
            writer.put_unsigned_varbit(unsigned);
            let mut reader = BitReader::new(writer.bytes());
            prop_assert_eq!(reader.varbit().unwrap(), signed);
            prop_assert_eq!(reader.unsigned_varbit().unwrap(), unsigned);
        }
    }
}
