//! Floats in few bytes, exact to the bit.
//!
//! Most values of metrics are whole numbers or decimals of few digits; both are stored as integers. The form says how:
//!
//! ```text
//! 0..=8     a whole number in so many bytes
//! 9..=56    a decimal: (form - 9) / 8 + 1 digits behind the point, the digits as a whole number in (form - 9) % 8 + 1 bytes
//! 57        8 bytes, the float's bits
//! 58        the stale marker, no bytes
//! 59        4 bytes, the bits of a float of 32 bits
//! ```
//! Whole numbers are little-endian and extended by their sign; the float is the number divided by the power of ten, rounded
//! to even as always. A writer takes a form only if that gives back the same bits.

use thanoxide_model::STALE_NAN_BITS;

use crate::encoding::{DecodeError, Put, Reader};

/// One more than the greatest form.
pub const FORMS: u8 = 60;

const DECIMALS: u8 = 9;
const RAW: u8 = 57;
const STALE: u8 = 58;
const SINGLE: u8 = 59;

const MOST_DIGITS: usize = 6;
const POWERS: [f64; MOST_DIGITS + 1] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6];
/// Beyond this, neighboring floats are whole numbers apart.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Finds forms. Values of one sender have mostly as many digits as the one before.
#[derive(Clone, Debug, Default)]
pub struct ValueWriter {
    digits: usize,
}

impl ValueWriter {
    /// Appends the bytes of a value and gives its form.
    #[inline]
    pub fn put(&mut self, out: &mut Vec<u8>, value: f64) -> u8 {
        let whole = value as i64;
        if (whole as f64).to_bits() == value.to_bits() && value.abs() < EXACT {
            return put_whole(out, whole);
        }
        self.put_fraction(out, value)
    }

    fn put_fraction(&mut self, out: &mut Vec<u8>, value: f64) -> u8 {
        if value.to_bits() == STALE_NAN_BITS {
            return STALE;
        }
        let likely = (self.digits > 0).then_some(self.digits);
        for digits in likely.into_iter().chain(1..=MOST_DIGITS) {
            let scaled = value * POWERS[digits];
            if scaled.is_nan() || scaled.abs() >= EXACT {
                break;
            }
            // A number rounded wrongly is found out below; it only costs bytes.
            let number = (scaled + 0.5f64.copysign(scaled)) as i64;
            if (number as f64 / POWERS[digits]).to_bits() == value.to_bits() {
                self.digits = digits;
                let bytes = put_whole(out, number).max(1);
                if number == 0 {
                    out.push(0);
                }
                return DECIMALS + (digits as u8 - 1) * 8 + bytes - 1;
            }
        }
        let single = value as f32;
        if f64::from(single).to_bits() == value.to_bits() {
            out.extend_from_slice(&single.to_bits().to_le_bytes());
            return SINGLE;
        }
        out.put_f64(value);
        RAW
    }
}

#[inline]
fn put_whole(out: &mut Vec<u8>, number: i64) -> u8 {
    let sign_bits = (number ^ (number >> 63)).leading_zeros();
    // One bit more than the number needs, for its sign; nothing at all for 0.
    let bytes = if number == 0 { 0 } else { (64 - sign_bits + 8) / 8 };
    out.extend_from_slice(&number.to_le_bytes()[..bytes as usize]);
    bytes as u8
}

/// Reads the value of a form.
#[inline(always)]
pub fn read_value(reader: &mut Reader<'_>, form: u8) -> Result<f64, DecodeError> {
    match form {
        0..DECIMALS => Ok(read_whole(reader, form)? as f64),
        DECIMALS..RAW => {
            let form = form - DECIMALS;
            Ok(read_whole(reader, form % 8 + 1)? as f64 / POWERS[usize::from(form / 8) + 1])
        }
        RAW => reader.f64(),
        STALE => Ok(f64::from_bits(STALE_NAN_BITS)),
        SINGLE => {
            let bytes = reader.bytes(4)?;
            Ok(f64::from(f32::from_bits(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))))
        }
        _ => Err(DecodeError::UnexpectedEnd),
    }
}

#[inline]
fn read_whole(reader: &mut Reader<'_>, bytes: u8) -> Result<i64, DecodeError> {
    let unused = 64 - 8 * u32::from(bytes);
    if bytes == 0 {
        return Ok(0);
    }
    if let Some(word) = reader.rest().first_chunk::<8>() {
        reader.bytes(usize::from(bytes))?;
        return Ok((u64::from_le_bytes(*word) << unused) as i64 >> unused);
    }
    let mut word = [0; 8];
    word[..usize::from(bytes)].copy_from_slice(reader.bytes(usize::from(bytes))?);
    Ok((u64::from_le_bytes(word) << unused) as i64 >> unused)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn size(value: f64) -> usize {
        let mut out = Vec::new();
        let form = ValueWriter::default().put(&mut out, value);
        let mut reader = Reader::new(&out);
        assert_eq!(read_value(&mut reader, form).unwrap().to_bits(), value.to_bits(), "{value}");
        assert!(reader.is_empty());
        out.len()
    }

    #[test]
    fn common_values_are_short() {
        let cases = [
            (0.0, 0),
            (1.0, 1),
            (-128.0, 1),
            (128.0, 2),
            (32_767.0, 2),
            (1e6, 3),
            (0.5, 1),
            (-0.5, 1),
            (123.456, 3),
            (f64::from_bits(STALE_NAN_BITS), 0),
            (f64::INFINITY, 4),
            (f64::NEG_INFINITY, 4),
            (-0.0, 4),
            (std::f64::consts::PI, 8),
            (1e300, 8),
            (f64::MIN_POSITIVE, 8),
            (9_007_199_254_740_991.0, 7),
        ];
        for (value, bytes) in cases {
            assert_eq!(size(value), bytes, "{value}");
        }
    }

    proptest! {
        #[test]
        fn every_bit_is_kept(bits: u64, whole: i64, number: i32, digits in 0i32..9) {
            size(f64::from_bits(bits));
            size(whole as f64);
            size(f64::from(number) / 10f64.powi(digits));
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>, form: u8) {
            let _ = read_value(&mut Reader::new(&bytes), form);
        }
    }
}
