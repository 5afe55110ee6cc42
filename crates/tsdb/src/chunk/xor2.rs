//! Encoding 4: floats with optional start times, and cheap stale markers.
//!
//! ```text
//! u16 number of samples, start times' header byte (see `start_times.rs`)
//! sample 0:  varint time, 64 bits value
//! sample 1:  uvarint time difference, value
//! sample n:  0                      same time difference, same value
//!            10     value, as bit 0 (old window) or 1 (new window) and its bits
//!            110    13 bits change of the time difference, value
//!            1110   20 bits change, value
//!            11110  64 bits change, value
//!            11111                  same time difference, stale marker
//! value:     0                      same
//!            10     bits inside the old window
//!            110    new window and its bits (see `float_xor.rs`)
//!            111                    stale marker
//! ```
//! Changes are in two's complement. A stale marker leaves the value to compare with as it was (0.0 at the start).

use thanoxide_model::STALE_NAN_BITS;
use thanoxide_model::series::Columns;

use super::ChunkError;
use super::float_xor::Window;
use super::start_times::StartTimes;
use super::xor::MAX_SAMPLES;
use crate::encoding::{BitReader, BitWriter, DecodeError};

const HEADER_BYTES: usize = 3;

/// Writes a chunk. Its bytes are a valid chunk after each sample.
#[derive(Clone, Debug)]
pub struct Xor2Appender {
    out: BitWriter,
    start_times: StartTimes,
    window: Window,
    timestamp_ms: i64,
    delta_ms: i64,
    value: u64,
    base: u64,
}

impl Default for Xor2Appender {
    fn default() -> Self {
        Xor2Appender::new()
    }
}

impl Xor2Appender {
    /// Begins an empty chunk.
    pub fn new() -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&[0; HEADER_BYTES]);
        Xor2Appender {
            out: BitWriter::new(bytes),
            start_times: StartTimes::default(),
            window: Window::NONE,
            timestamp_ms: 0,
            delta_ms: 0,
            value: 0,
            base: 0,
        }
    }

    /// Goes on with a chunk exactly where its last sample ends, as stock does. Bytes behind that are dropped.
    pub fn from_bytes(mut bytes: Vec<u8>) -> Result<Self, ChunkError> {
        let mut iter = Xor2Iter::new(&bytes)?;
        while iter.next()?.is_some() {}
        let Xor2Iter { bits, read, start_times, window, timestamp_ms, delta_ms, value, base, .. } = iter;
        let window = if read > 0 { window.or_whole() } else { window };
        let left = bits.bits_left();
        bytes.truncate(bytes.len() - left / 8);
        let out = BitWriter::resume(bytes, (left % 8) as u8);
        Ok(Xor2Appender { out, start_times, window, timestamp_ms, delta_ms, value, base })
    }

    /// How many samples there are.
    pub fn sample_count(&self) -> usize {
        let bytes = self.out.bytes();
        usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// The chunk as it is now.
    pub fn bytes(&self) -> &[u8] {
        self.out.bytes()
    }

    /// The chunk, done.
    pub fn into_bytes(self) -> Vec<u8> {
        self.out.into_bytes()
    }

    /// The last sample's time; 0 while there is none.
    pub fn last_timestamp_ms(&self) -> i64 {
        self.timestamp_ms
    }

    /// The last sample's value; 0 while there is none.
    pub fn last_value(&self) -> f64 {
        f64::from_bits(self.value)
    }

    /// Appends a sample; a start time of 0 is unknown.
    ///
    /// # Panics
    /// If there are [`MAX_SAMPLES`] already. Callers cut long before.
    pub fn append(&mut self, start_ms: i64, timestamp_ms: i64, value: f64) {
        let count = self.sample_count();
        assert!(count < MAX_SAMPLES, "chunk is full: callers cut chunks long before");
        let value = value.to_bits();
        let delta_ms = timestamp_ms.wrapping_sub(self.timestamp_ms);
        match count {
            0 => {
                self.out.put_varint(timestamp_ms);
                self.out.put(value, 64);
            }
            1 => {
                self.out.put_uvarint(delta_ms as u64);
                self.put_value(value);
            }
            _ => self.put_joint(delta_ms.wrapping_sub(self.delta_ms), value),
        }
        self.start_times.put(&mut self.out, count as u16, timestamp_ms, self.timestamp_ms, start_ms);
        self.timestamp_ms = timestamp_ms;
        self.delta_ms = if count == 0 { 0 } else { delta_ms };
        self.value = value;
        if value != STALE_NAN_BITS {
            self.base = value;
        }
        let header = self.out.bytes_mut();
        header[..2].copy_from_slice(&(count as u16 + 1).to_be_bytes());
        header[2] = self.start_times.header;
    }

    fn put_joint(&mut self, change: i64, value: u64) {
        match change {
            0 if value == STALE_NAN_BITS => return self.out.put(0b11111, 5),
            0 if value == self.base => return self.out.put(0, 1),
            0 => return self.window.put_difference(&mut self.out, value ^ self.base, (0b100, 3), (0b101, 3)),
            -4096..=4095 => self.out.put(0b110 << 13 | change as u64 & 0x1fff, 16),
            -524_288..=524_287 => self.out.put(0b1110 << 20 | change as u64 & 0xf_ffff, 24),
            _ => {
                self.out.put(0b11110, 5);
                self.out.put(change as u64, 64);
            }
        }
        self.put_value(value);
    }

    fn put_value(&mut self, value: u64) {
        if value == STALE_NAN_BITS {
            return self.out.put(0b111, 3);
        }
        match value ^ self.base {
            0 => self.out.put(0, 1),
            difference => self.window.put_difference(&mut self.out, difference, (0b10, 2), (0b110, 3)),
        }
    }
}

/// Reads one sample after the other.
#[derive(Clone, Debug)]
pub struct Xor2Iter<'a> {
    bits: BitReader<'a>,
    total: u16,
    read: u16,
    start_times: StartTimes,
    window: Window,
    timestamp_ms: i64,
    delta_ms: i64,
    value: u64,
    base: u64,
}

impl<'a> Xor2Iter<'a> {
    /// Reads the header.
    pub fn new(data: &'a [u8]) -> Result<Self, ChunkError> {
        let (header, samples) = data.split_first_chunk::<HEADER_BYTES>().ok_or(DecodeError::UnexpectedEnd)?;
        Ok(Xor2Iter {
            bits: BitReader::new(samples),
            total: u16::from_be_bytes([header[0], header[1]]),
            read: 0,
            start_times: StartTimes::of_header(header[2]),
            window: Window::NONE,
            timestamp_ms: 0,
            delta_ms: 0,
            value: 0,
            base: 0,
        })
    }

    /// The start time of the sample read last; 0 is unknown.
    pub fn start_ms(&self) -> i64 {
        self.start_times.start_ms
    }

    /// The next sample; `None` after the last.
    #[allow(clippy::should_implement_trait, reason = "fallible: not an Iterator")]
    #[inline]
    pub fn next(&mut self) -> Result<Option<(i64, f64)>, ChunkError> {
        if self.read == self.total {
            return Ok(None);
        }
        let time_before_ms = self.timestamp_ms;
        match self.read {
            0 => {
                self.timestamp_ms = self.bits.varint()?;
                self.value = self.bits.bits(64)?;
            }
            1 => {
                self.delta_ms = self.bits.uvarint()? as i64;
                self.value = self.read_value()?;
                self.timestamp_ms = time_before_ms.wrapping_add(self.delta_ms);
            }
            _ => {
                self.value = self.read_joint()?;
                self.timestamp_ms = time_before_ms.wrapping_add(self.delta_ms);
            }
        }
        if self.value != STALE_NAN_BITS {
            self.base = self.value;
        }
        self.start_times.read(&mut self.bits, self.read, self.timestamp_ms, time_before_ms)?;
        self.read += 1;
        Ok(Some((self.timestamp_ms, f64::from_bits(self.value))))
    }

    #[inline]
    fn read_joint(&mut self) -> Result<u64, ChunkError> {
        let change = match self.bits.unary(5)? {
            0 => return Ok(self.base),
            1 if self.bits.bit()? => return Ok(self.base ^ self.window.read_new(&mut self.bits)?),
            1 => return Ok(self.base ^ self.window.read_same(&mut self.bits)?),
            2 => self.read_change(13)?,
            3 => self.read_change(20)?,
            4 => self.read_change(64)?,
            _ => return Ok(STALE_NAN_BITS),
        };
        self.delta_ms = self.delta_ms.wrapping_add(change);
        self.read_value()
    }

    #[inline]
    fn read_change(&mut self, width: u32) -> Result<i64, ChunkError> {
        Ok((self.bits.bits(width)? << (64 - width)) as i64 >> (64 - width))
    }

    #[inline]
    fn read_value(&mut self) -> Result<u64, ChunkError> {
        Ok(match self.bits.unary(3)? {
            0 => self.base,
            1 => self.base ^ self.window.read_same(&mut self.bits)?,
            2 => self.base ^ self.window.read_new(&mut self.bits)?,
            _ => STALE_NAN_BITS,
        })
    }
}

/// Appends the samples of `start_ms..=end_ms` to `into`; times are taken to rise. Start times are given where the chunk
/// has any.
pub fn decode_into(data: &[u8], start_ms: i64, end_ms: i64, into: &mut Columns) -> Result<(), ChunkError> {
    let mut iter = Xor2Iter::new(data)?;
    let with_start_times = iter.start_times.header != 0;
    if with_start_times {
        into.start_timestamps_ms.resize(into.timestamps_ms.len(), 0);
    }
    while let Some((timestamp_ms, value)) = iter.next()? {
        if timestamp_ms > end_ms {
            break;
        }
        if timestamp_ms >= start_ms {
            into.push(timestamp_ms, value);
            if with_start_times {
                into.start_timestamps_ms.push(iter.start_ms());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn samples_round_trip(
            samples in proptest::collection::vec((any::<i64>(), 0u32..64, prop_oneof![any::<u64>(), Just(STALE_NAN_BITS), Just(0)], any::<i64>(), 0u32..64), 0..140),
        ) {
            let mut appender = Xor2Appender::new();
            for (t, t_shift, v, start, start_shift) in &samples {
                appender.append(start >> start_shift, t >> t_shift, f64::from_bits(*v));
            }
            let mut iter = Xor2Iter::new(appender.bytes()).unwrap();
            for (t, t_shift, v, start, start_shift) in samples {
                let (timestamp_ms, value) = iter.next().unwrap().unwrap();
                prop_assert_eq!((timestamp_ms, value.to_bits()), (t >> t_shift, v));
                prop_assert_eq!(iter.start_ms(), start >> start_shift);
            }
            prop_assert!(iter.next().unwrap().is_none());
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>) {
            let _ = decode_into(&bytes, i64::MIN, i64::MAX, &mut Columns::default());
            let _ = Xor2Appender::from_bytes(bytes);
        }
    }
}
