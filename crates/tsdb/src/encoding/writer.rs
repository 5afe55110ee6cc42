//! Appends values to a buffer.

/// Writers of the basic values.
pub trait Put {
    /// One byte.
    fn put_u8(&mut self, value: u8);
    /// Two bytes.
    fn put_u16(&mut self, value: u16);
    /// Four bytes.
    fn put_u32(&mut self, value: u32);
    /// Eight bytes.
    fn put_u64(&mut self, value: u64);
    /// The eight bytes of a float's bits.
    fn put_f64(&mut self, value: f64);
    /// An unsigned varint.
    fn put_uvarint(&mut self, value: u64);
    /// A zig-zag varint.
    fn put_varint(&mut self, value: i64);
    /// Bytes behind their uvarint length.
    fn put_uvarint_bytes(&mut self, bytes: &[u8]);
    /// The checksum of all bytes from `start` on.
    fn put_checksum_from(&mut self, start: usize);
}

impl Put for Vec<u8> {
    fn put_u8(&mut self, value: u8) {
        self.push(value);
    }

    fn put_u16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_f64(&mut self, value: f64) {
        self.put_u64(value.to_bits());
    }

    fn put_uvarint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.push(value as u8);
    }

    fn put_varint(&mut self, value: i64) {
        self.put_uvarint(((value << 1) ^ (value >> 63)) as u64);
    }

    fn put_uvarint_bytes(&mut self, bytes: &[u8]) {
        self.put_uvarint(bytes.len() as u64);
        self.extend_from_slice(bytes);
    }

    fn put_checksum_from(&mut self, start: usize) {
        self.put_u32(super::checksum(&self[start..]));
    }
}
