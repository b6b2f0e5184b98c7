//! Zigzag varints, as records use them for lengths and deltas (the encoding of Protocol Buffers'
//! `sint32` and `sint64`).

use bytes::{BufMut, BytesMut};

/// The most bytes that a 32-bit varint takes.
pub const MAX_BYTES_32: usize = 5;
/// The most bytes that a 64-bit varint takes.
pub const MAX_BYTES_64: usize = 10;

/// Takes one varint of at most 32 bits off the front; `None` when the bytes end within it or it is
/// longer than 5 bytes or 32 bits.
#[inline]
pub fn take_i32(bytes: &mut &[u8]) -> Option<i32> {
    // Most lengths and deltas fit one byte.
    let (&first, rest) = bytes.split_first()?;
    if first < 0x80 {
        *bytes = rest;
        return Some(unzigzag(u64::from(first)) as i32);
    }
    let raw = take_unsigned(bytes, MAX_BYTES_32)?;
    let raw = u32::try_from(raw).ok()?;
    Some(unzigzag(u64::from(raw)) as i32)
}

/// Takes one varint of at most 64 bits off the front; `None` when the bytes end within it or it is
/// longer than 10 bytes or 64 bits.
#[inline]
pub fn take_i64(bytes: &mut &[u8]) -> Option<i64> {
    take_unsigned(bytes, MAX_BYTES_64).map(unzigzag)
}

fn take_unsigned(bytes: &mut &[u8], max_bytes: usize) -> Option<u64> {
    let mut value = 0u64;
    for (index, &byte) in bytes.iter().take(max_bytes).enumerate() {
        let part = u64::from(byte & 0x7f);
        let shift = 7 * index as u32;
        // The tenth byte has room for one bit only.
        if shift == 63 && part > 1 {
            return None;
        }
        value |= part << shift;
        if byte & 0x80 == 0 {
            *bytes = bytes.get(index + 1..)?;
            return Some(value);
        }
    }
    None
}

fn unzigzag(raw: u64) -> i64 {
    (raw >> 1) as i64 ^ -((raw & 1) as i64)
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Appends `value`; the same bytes for a 32-bit and a 64-bit field.
pub fn put(out: &mut BytesMut, value: i64) {
    let mut raw = zigzag(value);
    while raw >= 0x80 {
        out.put_u8(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.put_u8(raw as u8);
}

/// How many bytes [`put`] appends for `value`.
pub fn size_bytes(value: i64) -> usize {
    let bits = 64 - (zigzag(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_value_comes_back(value in any::<i64>()) {
            let mut out = BytesMut::new();
            put(&mut out, value);
            prop_assert_eq!(out.len(), size_bytes(value));
            let mut rest = &out[..];
            prop_assert_eq!(take_i64(&mut rest), Some(value));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn a_32_bit_value_comes_back_and_a_wider_one_is_refused(value in any::<i64>()) {
            let mut out = BytesMut::new();
            put(&mut out, value);
            prop_assert_eq!(take_i32(&mut &out[..]), i32::try_from(value).ok());
        }
    }

    #[test]
    fn an_unfinished_or_endless_varint_is_refused() {
        assert_eq!(take_i32(&mut &[][..]), None);
        assert_eq!(take_i32(&mut &[0x80][..]), None);
        assert_eq!(take_i64(&mut &[0xff; 11][..]), None);
        // Ten bytes whose value needs 65 bits.
        assert_eq!(
            take_i64(&mut &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2][..]),
            None
        );
    }

    #[test]
    fn known_encodings() {
        for (value, bytes) in [
            (0, &[0u8][..]),
            (-1, &[1]),
            (1, &[2]),
            (-64, &[127]),
            (64, &[128, 1]),
            (300, &[216, 4]),
        ] {
            let mut out = BytesMut::new();
            put(&mut out, value);
            assert_eq!(&out[..], bytes);
        }
    }
}
