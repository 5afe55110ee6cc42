//! Encoding 1: floats.
//!
//! ```text
//! u16 number of samples
//! sample 0:  varint time, 64 bits value
//! sample 1:  uvarint time difference, value
//! sample n:  change of the time difference, value
//!
//! change:  0                0
//!          10    14 bits    (signed, see `encoding::fits`)
//!          110   17 bits
//!          1110  20 bits
//!          1111  64 bits
//! value:   see `float_xor.rs`
//! ```

use thanoxide_model::series::Columns;

use super::ChunkError;
use super::float_xor::Window;
use crate::encoding::{
    BitReader, BitRun, BitSink, BitWriter, DecodeError, Put, Reader, RunBuffer, STOP_BYTES, fits, room_for,
};

const WIDTHS: [u32; 5] = [0, 14, 17, 20, 64];

/// With so many bytes in memory the settled ones may be taken away. One more sample and the room that writing wants fit into
/// [`STOP_BYTES`] before.
const PIECE_BYTES: usize = STOP_BYTES - 32;

/// About the bytes of the header and the first sample.
const FIRST_BYTES: usize = 16;

/// The most samples that the header can count.
pub const MAX_SAMPLES: usize = u16::MAX as usize;

/// Writes a chunk.
#[derive(Clone, Debug)]
pub struct XorAppender {
    /// The chunk, but for its first two bytes: the number of samples is kept beside, so that appending looks at the chunk's
    /// end only.
    bytes: Vec<u8>,
    timestamp_ms: i64,
    delta_ms: i64,
    value: u64,
    count: u16,
    /// So many bytes behind the header were taken away: [`XorAppender::drop_settled`].
    before_bytes: u16,
    window: Window,
    free_bits: u8,
}

impl Default for XorAppender {
    fn default() -> Self {
        XorAppender::new()
    }
}

impl XorAppender {
    /// Begins an empty chunk.
    pub fn new() -> Self {
        XorAppender::new_in(Vec::with_capacity(32))
    }

    /// Begins an empty chunk in a buffer, whose bytes are dropped.
    pub(crate) fn new_in(mut bytes: Vec<u8>) -> Self {
        bytes.clear();
        bytes.extend_from_slice(&[0, 0]);
        XorAppender {
            bytes,
            timestamp_ms: 0,
            delta_ms: 0,
            value: 0,
            count: 0,
            before_bytes: 0,
            window: Window::NONE,
            free_bits: 0,
        }
    }

    /// Goes on with a chunk exactly where its last sample ends, as stock does. Bytes behind that are dropped.
    pub fn from_bytes(mut bytes: Vec<u8>) -> Result<Self, ChunkError> {
        let mut iter = XorIter::new(&bytes)?;
        while iter.next()?.is_some() {}
        let XorIter { bits, read, window, timestamp_ms, delta_ms, value, .. } = iter;
        let window = if read > 0 { window.or_whole() } else { window };
        let left = bits.bits_left();
        bytes.truncate(bytes.len() - left / 8);
        let (bytes, free_bits) = BitWriter::resume(bytes, (left % 8) as u8).into_parts();
        Ok(XorAppender { bytes, timestamp_ms, delta_ms, value, count: read, before_bytes: 0, window, free_bits })
    }

    /// Puts the appender to rest: its bytes, and what it knows besides. Time and value of the last sample are among it.
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        out.put_uvarint(self.bytes.len() as u64);
        self.push_bytes(out);
        out.put_u8(self.free_bits);
        out.extend_from_slice(&self.window.to_bytes());
        out.put_varint(self.timestamp_ms);
        out.put_varint(self.delta_ms);
        out.put_u64(self.value);
    }

    /// Goes on with what [`XorAppender::save`] left, exactly, behind so many bytes that are elsewhere. A buffer that is `grown`
    /// has room for as much as it ever holds.
    pub(crate) fn restore(reader: &mut Reader<'_>, before_bytes: u16, grown: bool) -> Result<Self, DecodeError> {
        let bytes = reader.uvarint_bytes()?;
        let (free_bits, window) = (reader.u8()?, [reader.u8()?, reader.u8()?]);
        let (timestamp_ms, delta_ms, value) = (reader.varint()?, reader.varint()?, reader.u64()?);
        let window = Window::from_bytes(window).ok_or(DecodeError::UnexpectedEnd)?;
        let header = bytes.first_chunk::<2>().filter(|_| free_bits <= 7).ok_or(DecodeError::UnexpectedEnd)?;
        let count = u16::from_be_bytes(*header);
        let room = room_for(bytes.len(), 8);
        let mut buffer = Vec::with_capacity(if grown { room.max(STOP_BYTES) } else { room });
        buffer.extend_from_slice(bytes);
        let (bytes, free_bits) = BitWriter::resume(buffer, free_bits).into_parts();
        Ok(XorAppender { bytes, timestamp_ms, delta_ms, value, count, before_bytes, window, free_bits })
    }

    /// How many samples there are.
    #[inline]
    pub fn sample_count(&self) -> usize {
        usize::from(self.count)
    }

    /// How many bytes the chunk has, those that were taken away included.
    #[inline]
    pub fn len_bytes(&self) -> usize {
        self.bytes.len() + usize::from(self.before_bytes)
    }

    /// How many bytes were taken away.
    pub(crate) fn before_bytes(&self) -> u16 {
        self.before_bytes
    }

    /// The bytes behind the header that no further sample changes, once they are many.
    #[inline]
    pub(crate) fn settled(&self) -> Option<&[u8]> {
        // What is longer than any chunk that we cut stays as it is.
        let settled = self.bytes.len() >= PIECE_BYTES && self.len_bytes() <= usize::from(u16::MAX);
        settled.then(|| &self.bytes[2..self.settled_end()])
    }

    fn settled_end(&self) -> usize {
        self.bytes.len() - usize::from(self.free_bits > 0)
    }

    /// Takes [`XorAppender::settled`] away; whoever reads the chunk puts them back behind the header.
    pub(crate) fn drop_settled(&mut self) {
        let end = self.settled_end();
        self.before_bytes += (end - 2) as u16;
        self.bytes.drain(2..end);
        if self.bytes.capacity() > STOP_BYTES {
            self.bytes.shrink_to(STOP_BYTES);
        }
    }

    /// The buffer, for another chunk.
    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }

    /// Bytes that the chunk may grow to without more memory.
    pub(crate) fn capacity_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// The last byte; it may not be full yet.
    #[inline]
    pub(crate) fn last_byte(&self) -> u8 {
        self.bytes.last().copied().unwrap_or_default()
    }

    /// The chunk as it is now, without the bytes that were taken away.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.bytes.len());
        self.push_bytes(&mut bytes);
        bytes
    }

    fn push_bytes(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.count.to_be_bytes());
        out.extend_from_slice(&self.bytes[2..]);
    }

    /// The chunk, done.
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.bytes[..2].copy_from_slice(&self.count.to_be_bytes());
        self.bytes
    }

    /// The last sample's time; 0 while there is none.
    #[inline]
    pub fn last_timestamp_ms(&self) -> i64 {
        self.timestamp_ms
    }

    /// The last sample's value; 0 while there is none.
    #[inline]
    pub fn last_value(&self) -> f64 {
        f64::from_bits(self.value)
    }

    /// Appends a sample. The format takes any order of times; storage wants them to rise.
    ///
    /// # Panics
    /// If there are [`MAX_SAMPLES`] already. Callers cut long before.
    #[inline]
    pub fn append(&mut self, timestamp_ms: i64, value: f64) {
        assert!(self.count < u16::MAX, "chunk is full: callers cut chunks long before");
        let mut out = BitWriter::from_parts(std::mem::take(&mut self.bytes), self.free_bits, self.count);
        let delta_ms = timestamp_ms.wrapping_sub(self.timestamp_ms);
        match self.count {
            0 => {
                out.put_varint(timestamp_ms);
                out.put_f64(value);
            }
            1 => {
                out.put_uvarint(delta_ms as u64);
                self.window.put(&mut out, value.to_bits(), self.value);
            }
            _ => {
                put_change(&mut out, delta_ms.wrapping_sub(self.delta_ms));
                self.window.put(&mut out, value.to_bits(), self.value);
            }
        }
        (self.bytes, self.free_bits) = out.into_parts();
        self.timestamp_ms = timestamp_ms;
        self.delta_ms = if self.count == 0 { 0 } else { delta_ms };
        self.value = value.to_bits();
        self.count += 1;
    }

    /// Appends the samples that `next` gives when it is told what the chunk is by then, as [`XorAppender::append`] does one
    /// after the other. May end early, and does nothing with an empty chunk. The chunk is meant to have `meant_samples` at last.
    #[inline]
    pub(crate) fn extend(
        &mut self,
        buffer: &mut RunBuffer,
        meant_samples: usize,
        mut next: impl FnMut(XorEnd) -> Option<(i64, f64)>,
    ) {
        if self.count == 0 {
            return;
        }
        let ahead_samples = buffer.ahead_samples;
        let mut out = BitRun::begin(buffer, &mut self.bytes, self.free_bits);
        let XorAppender { mut timestamp_ms, mut delta_ms, mut value, mut count, mut window, .. } = *self;
        while out.has_room() && count < u16::MAX {
            let len_bytes = self.len_bytes() + out.len_bytes();
            let Some((t, v)) = next(XorEnd { len_bytes, sample_count: usize::from(count), timestamp_ms }) else {
                break;
            };
            let delta_before_ms = delta_ms;
            delta_ms = t.wrapping_sub(timestamp_ms);
            match count {
                1 => out.put_uvarint(delta_ms as u64),
                _ => put_change(&mut out, delta_ms.wrapping_sub(delta_before_ms)),
            }
            window.put(&mut out, v.to_bits(), value);
            (timestamp_ms, value) = (t, v.to_bits());
            count += 1;
        }
        let ahead_samples = ahead_samples.min(meant_samples.saturating_sub(usize::from(count)));
        // Those of the first sample are not like the others.
        let len_bytes = (self.len_bytes() + out.len_bytes()).saturating_sub(FIRST_BYTES);
        // Nor does the buffer become larger than it ever needs to be.
        let most_bytes = STOP_BYTES.saturating_sub(self.bytes.len() + out.len_bytes() + 8);
        let ahead_bytes = (ahead_samples * len_bytes / usize::from(count)).min(most_bytes);
        self.free_bits = out.finish(&mut self.bytes, ahead_bytes);
        (self.timestamp_ms, self.delta_ms, self.value) = (timestamp_ms, delta_ms, value);
        (self.count, self.window) = (count, window);
    }
}

/// What a chunk is when a sample is to go behind its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct XorEnd {
    pub(crate) len_bytes: usize,
    pub(crate) sample_count: usize,
    /// That of the last sample.
    pub(crate) timestamp_ms: i64,
}

#[inline]
fn put_change(out: &mut impl BitSink, change: i64) {
    let group = match change {
        0 => return out.put(0, 1),
        _ => (1..4).find(|g| fits(change, WIDTHS[*g])).unwrap_or(4),
    };
    if group == 4 {
        out.put(0b1111, 4);
        return out.put(change as u64, 64);
    }
    let prefix = (1u64 << (group + 1)) - 2;
    let low = change as u64 & ((1 << WIDTHS[group]) - 1);
    out.put(prefix << WIDTHS[group] | low, group as u32 + 1 + WIDTHS[group]);
}

/// Reads one sample after the other.
#[derive(Clone, Debug)]
pub struct XorIter<'a> {
    bits: BitReader<'a>,
    total: u16,
    read: u16,
    window: Window,
    timestamp_ms: i64,
    delta_ms: i64,
    value: u64,
}

impl<'a> XorIter<'a> {
    /// Reads the header.
    pub fn new(data: &'a [u8]) -> Result<Self, ChunkError> {
        let (header, samples) = data.split_first_chunk::<2>().ok_or(DecodeError::UnexpectedEnd)?;
        Ok(XorIter {
            bits: BitReader::new(samples),
            total: u16::from_be_bytes(*header),
            read: 0,
            window: Window::NONE,
            timestamp_ms: 0,
            delta_ms: 0,
            value: 0,
        })
    }

    /// The next sample; `None` after the last.
    #[allow(clippy::should_implement_trait, reason = "fallible: not an Iterator")]
    #[inline(always)]
    pub fn next(&mut self) -> Result<Option<(i64, f64)>, ChunkError> {
        if self.read == self.total {
            return Ok(None);
        }
        if self.read >= 2 && self.bits.fill() && self.bits.leading_ones() < 4 {
            // The usual case: all up to the value's bits is in the register, and no branch depends on the width.
            let group = self.bits.leading_ones();
            self.bits.take(group + 1);
            let width = WIDTHS[group as usize];
            let change = self.bits.take(width) as i64;
            let wraps = change > (1 << width) >> 1;
            self.delta_ms = self.delta_ms.wrapping_add(change - (i64::from(wraps) << width));
            self.timestamp_ms = self.timestamp_ms.wrapping_add(self.delta_ms);
            self.value = self.window.read_filled(&mut self.bits, self.value)?;
        } else if self.read >= 2 {
            let change = match self.bits.unary(4)? {
                0 => 0,
                group => self.bits.signed(WIDTHS[group as usize])?,
            };
            self.delta_ms = self.delta_ms.wrapping_add(change);
            self.timestamp_ms = self.timestamp_ms.wrapping_add(self.delta_ms);
            self.value = self.window.read(&mut self.bits, self.value)?;
        } else {
            self.read_head()?;
        }
        self.read += 1;
        Ok(Some((self.timestamp_ms, f64::from_bits(self.value))))
    }

    /// Samples 0 and 1 are stored their own way.
    fn read_head(&mut self) -> Result<(), ChunkError> {
        if self.read == 0 {
            self.timestamp_ms = self.bits.varint()?;
            self.value = self.bits.bits(64)?;
        } else {
            self.delta_ms = self.bits.uvarint()? as i64;
            self.timestamp_ms = self.timestamp_ms.wrapping_add(self.delta_ms);
            self.value = self.window.read(&mut self.bits, self.value)?;
        }
        Ok(())
    }
}

/// Columns grow by so many samples: an instant query wants a few, and none should wait for what a header promises.
const ROOM: usize = 32;

/// Appends the samples of `start_ms..=end_ms` to `into`; times are taken to rise.
pub fn decode_into(data: &[u8], start_ms: i64, end_ms: i64, into: &mut Columns) -> Result<(), ChunkError> {
    let mut iter = XorIter::new(data)?;
    let mut sample = loop {
        match iter.next()? {
            Some((timestamp_ms, _)) if timestamp_ms < start_ms => {}
            first => break first,
        }
    };
    let mut end = into.timestamps_ms.len();
    let result = loop {
        let Some((timestamp_ms, value)) = sample.filter(|(timestamp_ms, _)| *timestamp_ms <= end_ms) else {
            break Ok(());
        };
        if end == into.values.len() {
            into.timestamps_ms.resize(end + ROOM, 0);
            into.values.resize(end + ROOM, 0.0);
        }
        into.timestamps_ms[end] = timestamp_ms;
        into.values[end] = value;
        end += 1;
        match iter.next() {
            Ok(next) => sample = next,
            Err(error) => break Err(error),
        }
    };
    into.timestamps_ms.truncate(end);
    into.values.truncate(end);
    result
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(data: &[u8]) -> Columns {
        let mut columns = Columns::default();
        decode_into(data, i64::MIN, i64::MAX, &mut columns).unwrap();
        columns
    }

    proptest! {
        #[test]
        fn samples_round_trip(
            samples in proptest::collection::vec((any::<i64>(), any::<u64>(), 0u32..64, 0u32..64), 0..60),
            reopen_at in 0usize..60,
        ) {
            let mut appender = XorAppender::new();
            let mut reopened = XorAppender::new();
            for (i, (t, v, t_shift, v_shift)) in samples.iter().enumerate() {
                if i == reopen_at {
                    reopened = XorAppender::from_bytes(reopened.into_bytes()).unwrap();
                }
                appender.append(t >> t_shift, f64::from_bits(v >> v_shift));
                reopened.append(t >> t_shift, f64::from_bits(v >> v_shift));
            }
            let times: Vec<_> = samples.iter().map(|s| s.0 >> s.2).collect();
            let values: Vec<_> = samples.iter().map(|s| s.1 >> s.3).collect();
            for appender in [&appender, &reopened] {
                let columns = decoded(&appender.to_bytes());
                let bits: Vec<_> = columns.values.iter().map(|v| v.to_bits()).collect();
                prop_assert_eq!(&columns.timestamps_ms, &times);
                prop_assert_eq!(&bits, &values);
            }
        }

        #[test]
        fn a_run_gives_the_bytes_of_single_appends(
            samples in proptest::collection::vec((any::<i64>(), any::<u64>(), 0u32..64, 0u32..64), 1..80),
            lengths in proptest::collection::vec(0usize..40, 1..6),
            ahead_samples in 0usize..500,
        ) {
            let samples: Vec<_> = samples.iter().map(|s| (s.0 >> s.2, f64::from_bits(s.1 >> s.3))).collect();
            let (mut single, mut runs) = (XorAppender::new(), XorAppender::new());
            samples.iter().for_each(|(t, v)| single.append(*t, *v));
            let mut buffer = RunBuffer::default();
            buffer.ahead_samples = ahead_samples;
            runs.append(samples[0].0, samples[0].1);
            let mut left = samples[1..].iter().copied();
            for length in lengths.into_iter().chain([80; 4]) {
                let mut run = left.by_ref().take(length);
                runs.extend(&mut buffer, 120, |_| run.next());
            }
            prop_assert_eq!(left.len(), 0);
            prop_assert_eq!((runs.len_bytes(), runs.sample_count()), (single.len_bytes(), single.sample_count()));
            prop_assert_eq!(runs.free_bits, single.free_bits);
            runs.append(7, 0.5);
            single.append(7, 0.5);
            prop_assert_eq!(runs.into_bytes(), single.into_bytes());
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>) {
            let _ = decode_into(&bytes, i64::MIN, i64::MAX, &mut Columns::default());
            let _ = XorAppender::from_bytes(bytes);
        }
    }

    #[test]
    fn only_the_asked_range_is_given() {
        let mut appender = XorAppender::new();
        (0..100).for_each(|i| appender.append(i * 10, i as f64));
        let mut columns = Columns::default();
        decode_into(&appender.to_bytes(), 15, 40, &mut columns).unwrap();
        assert_eq!(columns.timestamps_ms, [20, 30, 40]);
        assert_eq!(columns.values, [2.0, 3.0, 4.0]);
    }
}
