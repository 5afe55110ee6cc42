//! Floats as the difference of their bits to the float before.
//!
//! ```text
//! 0                                             same bits
//! 10  bits inside the window of the last `11`   the window is never narrowed
//! 11  leading zeros (5)  width (6, 0 is 64)  bits
//! ```

use super::ChunkError;
use crate::encoding::{BitReader, BitSink, BitWriter};

/// Control bits and how many they are.
pub(super) type Mark = (u64, u32);

/// Which bits of the difference are stored.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    /// Zeros before the window.
    leading: u8,
    /// Bits in it; 0 while there was no window yet.
    width: u8,
}

impl Window {
    pub(super) const NONE: Window = Window { leading: 0, width: 0 };

    /// What stock takes for no window when it opens a chunk again: one of all bits.
    pub(super) fn or_whole(self) -> Window {
        if self.width == 0 { Window { leading: 0, width: 64 } } else { self }
    }

    /// Both numbers, for an appender that is put to rest.
    pub(super) fn to_bytes(self) -> [u8; 2] {
        [self.leading, self.width]
    }

    /// What [`Window::to_bytes`] gave; `None` where it cannot have.
    pub(super) fn from_bytes([leading, width]: [u8; 2]) -> Option<Window> {
        (leading <= 31 && width <= 64 - leading).then_some(Window { leading, width })
    }

    #[inline(always)]
    fn trailing(self) -> u32 {
        64 - u32::from(self.leading) - u32::from(self.width)
    }

    /// The window that a difference (not 0) needs; more than 31 leading zeros cannot be told.
    #[inline]
    fn around(difference: u64) -> Window {
        let leading = difference.leading_zeros().min(31);
        Window { leading: leading as u8, width: (64 - leading - difference.trailing_zeros()) as u8 }
    }

    #[inline]
    fn covers(self, other: Window) -> bool {
        self.width != 0 && other.leading >= self.leading && other.trailing() >= self.trailing()
    }

    /// Writes a difference that is not 0, behind the mark for the old window or for a new one.
    #[inline]
    pub(super) fn put_difference(&mut self, out: &mut impl BitSink, difference: u64, same: Mark, new: Mark) {
        let needed = Window::around(difference);
        let (head, head_bits) = if self.covers(needed) {
            same
        } else {
            *self = needed;
            (new.0 << 11 | u64::from(self.leading) << 6 | u64::from(self.width & 63), new.1 + 11)
        };
        let (bits, width) = (difference >> self.trailing(), u32::from(self.width));
        if head_bits + width <= 64 {
            return out.put(head << (width & 63) | bits, head_bits + width);
        }
        out.put(head, head_bits);
        out.put(bits, width);
    }

    /// Writes `value` after `previous`, as bits.
    #[inline]
    pub(super) fn put(&mut self, out: &mut impl BitSink, value: u64, previous: u64) {
        match value ^ previous {
            0 => out.put(0, 1),
            difference => self.put_difference(out, difference, (0b10, 2), (0b11, 2)),
        }
    }

    /// Reads a new window and the difference in it.
    #[inline(always)]
    pub(super) fn read_new(&mut self, bits: &mut BitReader<'_>) -> Result<u64, ChunkError> {
        let head = bits.bits(11)?;
        let width = match head & 63 {
            0 => 64,
            width => width,
        };
        let window = Window { leading: (head >> 6) as u8, width: width as u8 };
        if window.leading + window.width > 64 {
            return Err(ChunkError::BadWindow);
        }
        *self = window;
        self.read_same(bits)
    }

    /// Reads a difference inside the window.
    #[inline(always)]
    pub(super) fn read_same(&mut self, bits: &mut BitReader<'_>) -> Result<u64, ChunkError> {
        // Without a window so far, stock readers take all 64 bits.
        if self.width == 0 {
            return Ok(bits.bits(64)?);
        }
        Ok(bits.bits(u32::from(self.width))? << self.trailing())
    }

    /// As [`Window::read`], with 13 bits in the register already.
    #[inline(always)]
    pub(super) fn read_filled(&mut self, bits: &mut BitReader<'_>, previous: u64) -> Result<u64, ChunkError> {
        if !bits.peek(0) {
            bits.take(1);
            return Ok(previous);
        }
        let new = bits.peek(1);
        bits.take(2);
        if new {
            let head = bits.take(11);
            // 0 stands for 64.
            let window = Window { leading: (head >> 6) as u8, width: ((head.wrapping_sub(1) & 63) + 1) as u8 };
            if window.leading + window.width > 64 {
                return Err(ChunkError::BadWindow);
            }
            *self = window;
        }
        Ok(previous ^ self.read_same(bits)?)
    }

    /// Reads what [`Window::put`] wrote.
    #[inline(always)]
    pub(super) fn read(&mut self, bits: &mut BitReader<'_>, previous: u64) -> Result<u64, ChunkError> {
        Ok(match bits.unary(2)? {
            0 => previous,
            1 => previous ^ self.read_same(bits)?,
            _ => previous ^ self.read_new(bits)?,
        })
    }
}

/// A float that changes from sample to sample, with a window of its own.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct XorFloat {
    /// The bits of the last value.
    pub(super) bits: u64,
    window: Window,
}

impl XorFloat {
    pub(super) fn first(bits: u64) -> Self {
        XorFloat { bits, window: Window::NONE }
    }

    pub(super) fn value(&self) -> f64 {
        f64::from_bits(self.bits)
    }

    pub(super) fn put(&mut self, out: &mut BitWriter, value: f64) {
        self.window.put(out, value.to_bits(), self.bits);
        self.bits = value.to_bits();
    }

    #[inline]
    pub(super) fn read(&mut self, bits: &mut BitReader<'_>) -> Result<(), ChunkError> {
        self.bits = self.window.read(bits, self.bits)?;
        Ok(())
    }
}
