//! Start times beside the samples of encodings 4 to 6; 0 is "unknown".
//!
//! One header byte: bit 7 says that sample 0 has a start time, the lower seven bits are the index of the first sample
//! with a start time field (0: none). From that sample on, each has one, behind everything else of the sample.
//!
//! ```text
//! sample 0, if bit 7:       varint (time - start time)
//! the first with a field:   varbit gap          gap = time of the sample before - start time
//! every later sample:       varbit (gap - gap before)
//! ```
//! Sample 127 always has a field: a later first one could not be told in seven bits.

use super::ChunkError;
use crate::encoding::{BitReader, BitWriter};

const FIRST_PRESENT: u8 = 0x80;
const LAST_INDEX: u16 = 127;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StartTimes {
    pub(super) header: u8,
    pub(super) start_ms: i64,
    gap_ms: i64,
}

impl StartTimes {
    pub(super) fn of_header(header: u8) -> Self {
        StartTimes { header, ..StartTimes::default() }
    }

    fn first_field(&self) -> u16 {
        u16::from(self.header & !FIRST_PRESENT)
    }

    /// Writes the field of sample `index`; the caller then stores the header.
    pub(super) fn put(&mut self, out: &mut BitWriter, index: u16, time_ms: i64, time_before_ms: i64, start_ms: i64) {
        if index == 0 {
            if start_ms != 0 {
                self.header |= FIRST_PRESENT;
                out.put_varint(time_ms.wrapping_sub(start_ms));
            }
        } else if self.first_field() != 0 {
            let gap_ms = time_before_ms.wrapping_sub(start_ms);
            out.put_varbit(gap_ms.wrapping_sub(self.gap_ms));
            self.gap_ms = gap_ms;
        } else if start_ms != self.start_ms || index == LAST_INDEX {
            self.header |= index as u8;
            self.gap_ms = time_before_ms.wrapping_sub(start_ms);
            out.put_varbit(self.gap_ms);
        }
        self.start_ms = start_ms;
    }

    /// Reads the field of sample `index` into `start_ms`.
    #[inline]
    pub(super) fn read(
        &mut self,
        bits: &mut BitReader<'_>,
        index: u16,
        time_ms: i64,
        time_before_ms: i64,
    ) -> Result<(), ChunkError> {
        if index == 0 {
            if self.header & FIRST_PRESENT != 0 {
                self.start_ms = time_ms.wrapping_sub(bits.varint()?);
            }
        } else if self.first_field() != 0 && index >= self.first_field() {
            // The gap is 0 before the first field, so that both forms are one.
            self.gap_ms = self.gap_ms.wrapping_add(bits.varbit()?);
            self.start_ms = time_before_ms.wrapping_sub(self.gap_ms);
        }
        Ok(())
    }
}
