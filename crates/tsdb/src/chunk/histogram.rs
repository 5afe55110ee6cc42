//! Encodings 2, 3, 5 and 6: native histograms, integer or float, without or with start times.
//!
//! ```text
//! 2, 3:  u16 number of samples, byte whose top two bits are the counter reset header
//! 5, 6:  u16: counter reset header (2 bits) and number of samples (14), start times' header byte
//!
//! layout    see `layout.rs`: all samples of a chunk share it
//!                 integer                                    float
//! sample 0  varbit time                                  varbit time
//!           unsigned varbit count, zero count            64 bits each
//!           64 bits sum                                  64 bits sum
//!           varbit each bucket (a delta to the one before)  64 bits each bucket
//! sample n  varbit change of the time difference         the same
//!           varbit change of count's, zero count's difference  float difference (`float_xor.rs`)
//!           float difference of the sum                  float difference
//!           varbit change of each bucket's difference    float difference of each bucket
//! ```
//! Start times follow their sample (`start_times.rs`). A stale marker has no buckets; only stale markers may follow it.

mod appender;
mod iter;
mod layout;
mod native;
mod number;
mod spans;

pub use appender::{Appended, CutReason, FloatHistogramAppender, HistogramAppender, IntHistogramAppender};
pub use iter::{Detail, HistogramIter, decode_into};
pub use native::NativeHistogram;

/// What a chunk of histograms says about the counter reset before it. The numbers are those of the chunk's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum CounterResetHeader {
    /// Nothing.
    #[default]
    Unknown = 0,
    /// There was none.
    NotReset = 1,
    /// There was one.
    Reset = 2,
    /// The histograms are gauges.
    Gauge = 3,
}

impl CounterResetHeader {
    /// From two bits.
    fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::Unknown,
            1 => Self::NotReset,
            2 => Self::Reset,
            _ => Self::Gauge,
        }
    }
}

/// The three bytes at the front.
#[derive(Clone, Copy, Debug)]
struct Header {
    with_start_times: bool,
    count: u16,
    counter_reset: CounterResetHeader,
    start_times: u8,
}

const HEADER_BYTES: usize = 3;

impl Header {
    fn read(bytes: [u8; HEADER_BYTES], with_start_times: bool) -> Self {
        let count = u16::from_be_bytes([bytes[0], bytes[1]]);
        if with_start_times {
            let counter_reset = CounterResetHeader::from_bits(bytes[0] >> 6);
            Header { with_start_times, count: count & 0x3fff, counter_reset, start_times: bytes[2] }
        } else {
            let counter_reset = CounterResetHeader::from_bits(bytes[2] >> 6);
            Header { with_start_times, count, counter_reset, start_times: 0 }
        }
    }

    fn bytes(self) -> [u8; HEADER_BYTES] {
        let reset = self.counter_reset as u8;
        let [high, low] = self.count.to_be_bytes();
        if self.with_start_times { [high | reset << 6, low, self.start_times] } else { [high, low, reset << 6] }
    }

    fn max_count(self) -> u16 {
        if self.with_start_times { 0x3fff } else { u16::MAX }
    }
}
