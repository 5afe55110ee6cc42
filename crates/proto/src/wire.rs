//! The protobuf wire format, as far as hand-written codecs need it.
//!
//! A message is a run of fields: a varint tag (`number << 3 | wire type`), then a varint (type 0), 8 bytes (1), a varint
//! length and so many bytes (2), or 4 bytes (5), fixed widths little-endian. Groups (3, 4) are refused.

use thiserror::Error;

/// What is wrong with a message.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("{message}: {fault} at byte {at}")]
pub struct WireError {
    /// The innermost message.
    pub message: &'static str,
    /// What is wrong in it.
    pub fault: WireFault,
    /// Where, in bytes from the start of the body.
    pub at: usize,
}

/// A way of breaking the wire format.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum WireFault {
    /// The message ends inside a field.
    #[error("cut short")]
    Truncated,
    /// A varint does not end within ten bytes.
    #[error("varint longer than 64 bits")]
    Varint,
    /// A tag with field number 0 or above 2^29 - 1.
    #[error("bad field number")]
    FieldNumber,
    /// A wire type that the field does not have, or that nobody has.
    #[error("field {0} has wire type {1}")]
    WireType(u32, u8),
}

/// Wire type of integers.
pub const VARINT: u8 = 0;
/// Wire type of doubles.
pub(crate) const FIXED64: u8 = 1;
/// Wire type of texts, bytes and messages.
pub(crate) const BYTES: u8 = 2;
const FIXED32: u8 = 5;

/// Reads one message inside a body. `buf` ends where the message ends; positions count from the start of the body.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    buf: &'a [u8],
    pos: usize,
    message: &'static str,
}

impl<'a> Reader<'a> {
    /// A reader of a whole body, named in errors.
    pub fn new(buf: &'a [u8], message: &'static str) -> Self {
        Reader { buf, pos: 0, message }
    }

    /// A reader of the sub-message at `start..end`, which must lie inside this one.
    #[inline]
    pub fn sub(&self, (start, end): (usize, usize), message: &'static str) -> Reader<'a> {
        Reader { buf: &self.buf[..end], pos: start, message }
    }

    /// Whether the message is read to its end.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.pos >= self.buf.len()
    }

    /// Goes on at a position that the caller found by itself, inside the message.
    #[inline]
    pub(crate) fn advance_to(&mut self, pos: usize) {
        debug_assert!(self.pos <= pos && pos <= self.buf.len());
        self.pos = pos;
    }

    /// What is left of the message.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.buf[self.pos..]
    }

    #[inline]
    pub(crate) fn pos(&self) -> usize {
        self.pos
    }

    #[cold]
    pub(crate) fn fault(&self, fault: WireFault) -> WireError {
        WireError { message: self.message, fault, at: self.pos }
    }

    /// The next tag: field number and wire type.
    #[inline]
    pub fn tag(&mut self) -> Result<(u32, u8), WireError> {
        let tag = self.varint()?;
        let (field, wire_type) = (tag >> 3, (tag & 7) as u8);
        if field == 0 || field >= 1 << 29 {
            return Err(self.fault(WireFault::FieldNumber));
        }
        Ok((field as u32, wire_type))
    }

    /// An integer.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, WireError> {
        match self.buf.get(self.pos) {
            Some(&byte) if byte < 0x80 => {
                self.pos += 1;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0u64;
        for (i, &byte) in self.rest().iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                self.pos += i + 1;
                return if i == 9 && byte > 1 { Err(self.fault(WireFault::Varint)) } else { Ok(value) };
            }
        }
        Err(self.fault(if self.rest().len() >= 10 { WireFault::Varint } else { WireFault::Truncated }))
    }

    #[inline]
    pub(crate) fn fixed64(&mut self) -> Result<u64, WireError> {
        let bytes = self.rest().first_chunk::<8>().ok_or_else(|| self.fault(WireFault::Truncated))?;
        self.pos += 8;
        Ok(u64::from_le_bytes(*bytes))
    }

    #[inline]
    pub(crate) fn double(&mut self) -> Result<f64, WireError> {
        Ok(f64::from_bits(self.fixed64()?))
    }

    /// Start and end of a length-prefixed field, which is passed over.
    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<(usize, usize), WireError> {
        let len = self.varint()?;
        if len > (self.buf.len() - self.pos) as u64 {
            return Err(self.fault(WireFault::Truncated));
        }
        let start = self.pos;
        self.pos += len as usize;
        Ok((start, self.pos))
    }

    /// Passes over the value of an unknown field.
    pub fn skip(&mut self, field: u32, wire_type: u8) -> Result<(), WireError> {
        let fixed = match wire_type {
            VARINT => return self.varint().map(drop),
            BYTES => return self.bytes().map(drop),
            FIXED64 => 8,
            FIXED32 => 4,
            _ => return Err(self.fault(WireFault::WireType(field, wire_type))),
        };
        if self.rest().len() < fixed {
            return Err(self.fault(WireFault::Truncated));
        }
        self.pos += fixed;
        Ok(())
    }

    /// Passes over a length-prefixed field whose number and length take a byte each, as nearly all do of which there are many; gives its
    /// number. Nothing is passed over otherwise.
    #[inline]
    pub(crate) fn skip_short(&mut self) -> Option<u32> {
        let [tag @ 0..0x80, len @ 0..0x80, value @ ..] = self.rest() else { return None };
        let (field, len) = (u32::from(tag >> 3), usize::from(*len));
        if tag & 7 != BYTES || field == 0 || len > value.len() {
            return None;
        }
        self.pos += 2 + len;
        Some(field)
    }

    /// Complains unless a field has the wire type that it should have.
    #[inline]
    pub fn expect(&self, field: u32, wire_type: u8, expected: u8) -> Result<(), WireError> {
        if wire_type == expected { Ok(()) } else { Err(self.fault(WireFault::WireType(field, wire_type))) }
    }

    /// A length-prefixed field of known wire type.
    #[inline]
    pub fn message(&mut self, field: u32, wire_type: u8) -> Result<(usize, usize), WireError> {
        self.expect(field, wire_type, BYTES)?;
        self.bytes()
    }
}

/// Undoes the zigzag of `sint32` and `sint64`.
#[inline]
pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// The zigzag of `sint32` and `sint64`.
#[inline]
pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// How many bytes a varint takes.
#[inline]
pub(crate) fn varint_len(value: u64) -> usize {
    (70 - (value | 1).leading_zeros() as usize) / 7
}

/// An integer.
#[inline]
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A length-prefixed field.
#[inline]
pub fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    put_len(out, field, bytes.len());
    out.extend_from_slice(bytes);
}

/// The head of a length-prefixed field.
#[inline]
pub(crate) fn put_len(out: &mut Vec<u8>, field: u32, len: usize) {
    put_varint(out, u64::from(field << 3 | u32::from(BYTES)));
    put_varint(out, len as u64);
}

/// A varint field, left out where it is 0.
#[inline]
pub fn put_uint(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        put_varint(out, u64::from(field << 3));
        put_varint(out, value);
    }
}

/// A length-prefixed field that `write` appends. `guess_bytes` is about how long it gets: where its length takes another number of bytes than
/// that of the guess, what was written is moved once.
pub fn put_message<E>(
    out: &mut Vec<u8>,
    field: u32,
    guess_bytes: usize,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    put_varint(out, u64::from(field << 3 | u32::from(BYTES)));
    let (head, guessed) = (out.len(), varint_len(guess_bytes as u64));
    out.resize(head + guessed, 0);
    write(out)?;
    let bytes = out.len() - head - guessed;
    let taken = varint_len(bytes as u64);
    if taken != guessed {
        out.resize(head + bytes + taken.max(guessed), 0);
        out.copy_within(head + guessed..head + guessed + bytes, head + taken);
        out.truncate(head + taken + bytes);
    }
    let last = taken - 1;
    for (i, byte) in out[head..head + taken].iter_mut().enumerate() {
        *byte = (bytes >> (7 * i)) as u8 & 0x7f | if i < last { 0x80 } else { 0 };
    }
    Ok(())
}

/// A double field, left out where all its bits are 0.
#[inline]
pub(crate) fn put_double(out: &mut Vec<u8>, field: u32, value: f64) {
    if value.to_bits() != 0 {
        put_varint(out, u64::from(field << 3 | u32::from(FIXED64)));
        out.extend_from_slice(&value.to_bits().to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_have_the_length_they_say() {
        for value in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), 1 << 62, 1 << 63, u64::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(out.len(), varint_len(value), "{value}");
            assert_eq!(Reader::new(&out, "test").varint(), Ok(value));
        }
        for value in [0, -1, 1, i64::MIN, i64::MAX] {
            assert_eq!(unzigzag(zigzag(value)), value);
        }
    }

    #[test]
    fn messages_have_their_length_whatever_was_guessed() {
        for bytes in [0, 1, 127, 128, 200, 16_383, 16_384, 70_000] {
            let content: Vec<u8> = (0..bytes).map(|i| i as u8).collect();
            let mut plain = b"before".to_vec();
            put_bytes(&mut plain, 3, &content);
            for guess_bytes in [0, 100, 200, 20_000, 3_000_000] {
                let mut out = b"before".to_vec();
                let written = put_message(&mut out, 3, guess_bytes, |out| {
                    out.extend_from_slice(&content);
                    Ok::<_, ()>(())
                });
                assert_eq!((written, &out), (Ok(()), &plain), "{bytes}, {guess_bytes} guessed");
            }
        }
    }

    #[test]
    fn overlong_and_cut_varints_are_told_apart() {
        let fault = |bytes: &[u8]| Reader::new(bytes, "test").varint().map_err(|e| e.fault);
        assert_eq!(fault(&[0xff; 11]), Err(WireFault::Varint));
        assert_eq!(fault(&[0xff; 3]), Err(WireFault::Truncated));
        assert_eq!(fault(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]), Err(WireFault::Varint));
    }
}
