//! Writes a whole chunk of encoding 1 at once. The bytes are those of [`XorAppender`](super::xor::XorAppender); it is much
//! faster where all samples are at hand, since no byte has to be valid in between.

use crate::encoding::{Put, fits};

/// Bits that become bytes eight at a time.
struct Bits {
    out: Vec<u8>,
    word: u64,
    used: u32,
}

impl Bits {
    /// The lowest `count` bits (1 to 64) of `value`, whose others are 0.
    #[inline(always)]
    fn put(&mut self, value: u64, count: u32) {
        let end = self.used + count;
        if end < 64 {
            self.word |= value << (64 - end);
            self.used = end;
            return;
        }
        let over = end - 64;
        self.out.extend_from_slice(&(self.word | value >> over).to_be_bytes());
        self.word = if over == 0 { 0 } else { value << (64 - over) };
        self.used = over;
    }

    fn finish(mut self) -> Vec<u8> {
        self.out.extend_from_slice(&self.word.to_be_bytes()[..self.used.div_ceil(8) as usize]);
        self.out
    }
}

/// The bits of the change of a time difference, and how many.
#[inline(always)]
fn change_bits(change: i64) -> Option<(u64, u32)> {
    let low = |width: u32| change as u64 & ((1 << width) - 1);
    Some(match change {
        0 => (0, 1),
        _ if fits(change, 14) => (0b10 << 14 | low(14), 16),
        _ if fits(change, 17) => (0b110 << 17 | low(17), 20),
        _ if fits(change, 20) => (0b1110 << 20 | low(20), 24),
        _ => return None,
    })
}

/// The window of the last difference that was written with its place.
#[derive(Clone, Copy, Default)]
struct Window {
    leading: u32,
    trailing: u32,
    /// 0 while there was none.
    width: u32,
}

impl Window {
    #[inline(always)]
    fn put(&mut self, bits: &mut Bits, difference: u64) {
        if difference == 0 {
            return bits.put(0, 1);
        }
        let (leading, trailing) = (difference.leading_zeros().min(31), difference.trailing_zeros());
        let (head, head_bits) = if self.width != 0 && leading >= self.leading && trailing >= self.trailing {
            (0b10, 2)
        } else {
            *self = Window { leading, trailing, width: 64 - leading - trailing };
            (0b11 << 11 | u64::from(leading) << 6 | u64::from(self.width & 63), 13)
        };
        let value = difference >> self.trailing;
        if head_bits + self.width <= 64 {
            bits.put(head << self.width | value, head_bits + self.width);
        } else {
            bits.put(head, head_bits);
            bits.put(value, self.width);
        }
    }
}

/// A chunk of these samples, of which there must be at most 65,535, as many values as times.
pub(crate) fn encode(times_ms: &[i64], values: &[f64]) -> Vec<u8> {
    let samples = times_ms.len().min(values.len());
    debug_assert!(samples <= super::xor::MAX_SAMPLES && times_ms.len() == values.len());
    let mut out = Vec::with_capacity(32 + samples * 4);
    out.put_u16(samples as u16);
    let (Some(mut time_ms), Some(mut value)) = (times_ms.first().copied(), values.first().map(|v| v.to_bits())) else {
        return out;
    };
    out.put_varint(time_ms);
    out.put_u64(value);
    let mut delta_ms = 0i64;
    if let Some(second_ms) = times_ms.get(1) {
        delta_ms = second_ms.wrapping_sub(time_ms);
        out.put_uvarint(delta_ms as u64);
    }
    let (mut bits, mut window) = (Bits { out, word: 0, used: 0 }, Window::default());
    for (i, (next_ms, next)) in times_ms.iter().zip(values).enumerate().skip(1) {
        if i > 1 {
            let next_delta_ms = next_ms.wrapping_sub(time_ms);
            let change = next_delta_ms.wrapping_sub(delta_ms);
            match change_bits(change) {
                Some((value, count)) => bits.put(value, count),
                None => {
                    bits.put(0b1111, 4);
                    bits.put(change as u64, 64);
                }
            }
            delta_ms = next_delta_ms;
        }
        window.put(&mut bits, next.to_bits() ^ value);
        (time_ms, value) = (*next_ms, next.to_bits());
    }
    bits.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::xor::XorAppender;
    use super::*;

    fn value() -> impl Strategy<Value = u64> {
        prop_oneof![any::<u64>(), (0u64..5).prop_map(|n| (n as f64).to_bits()), (0u64..9).prop_map(|n| n << 61 | n)]
    }

    proptest! {
        #[test]
        fn it_writes_what_the_appender_writes(samples in proptest::collection::vec((prop_oneof![-20i64..20, -70_000i64..70_000, any::<i64>()], value()), 0..150)) {
            let mut time_ms = 0i64;
            let (mut times, mut values, mut appender) = (Vec::new(), Vec::new(), XorAppender::new());
            for (step, bits) in samples {
                time_ms = time_ms.wrapping_add(15_000).wrapping_add(step);
                times.push(time_ms);
                values.push(f64::from_bits(bits));
                appender.append(time_ms, f64::from_bits(bits));
            }
            prop_assert_eq!(encode(&times, &values), appender.into_bytes());
        }
    }
}
