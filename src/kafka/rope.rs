//! A reply of which large parts are not copied.
//!
//! A fetched batch lies in memory already: in its partition's tail, or in what was read of a segment.
//! The reply refers to it, and the socket takes the pieces one after the other.

use std::io::IoSlice;

use bytes::{Bytes, BytesMut};

/// A smaller piece is cheaper to copy than to refer to.
const SHARED_BYTES_MIN: usize = 2 << 10;

/// Bytes with shared pieces between them.
#[derive(Debug, Default)]
pub struct Rope {
    own: BytesMut,
    /// Each with the number of own bytes before it; in their order.
    shared: Vec<(usize, Bytes)>,
    shared_bytes: usize,
}

impl From<BytesMut> for Rope {
    fn from(own: BytesMut) -> Rope {
        Rope { own, shared: Vec::new(), shared_bytes: 0 }
    }
}

impl Rope {
    /// Its own bytes, to write at their end.
    pub fn own(&mut self) -> &mut BytesMut {
        &mut self.own
    }

    /// Adds a piece, without copying it if that is worth while.
    pub fn share(&mut self, piece: &Bytes) {
        if piece.len() < SHARED_BYTES_MIN {
            self.own.extend_from_slice(piece);
        } else {
            self.shared_bytes += piece.len();
            self.shared.push((self.own.len(), piece.clone()));
        }
    }

    /// Adds all of another one.
    pub fn append(&mut self, other: Rope) {
        if self.len() == 0 {
            *self = other;
            return;
        }
        let before = self.own.len();
        self.own.extend_from_slice(&other.own);
        self.shared_bytes += other.shared_bytes;
        self.shared.extend(other.shared.into_iter().map(|(at, piece)| (before + at, piece)));
    }

    /// All bytes together.
    pub fn len(&self) -> usize {
        self.own.len() + self.shared_bytes
    }

    /// The bytes in one piece, copied only if there are several.
    pub fn into_bytes(self) -> BytesMut {
        if self.shared.is_empty() {
            return self.own;
        }
        let mut whole = BytesMut::with_capacity(self.len());
        self.pieces().for_each(|piece| whole.extend_from_slice(piece));
        whole
    }

    /// The pieces, none of them empty.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let mut at = 0;
        let shared = self.shared.iter().map(|(before, piece)| (*before, piece.as_ref()));
        shared
            .chain([(self.own.len(), &[] as &[u8])])
            .flat_map(move |(before, piece)| {
                let own = self.own.get(at..before).unwrap_or_default();
                at = before;
                [own, piece]
            })
            .filter(|piece| !piece.is_empty())
    }

    /// The pieces as the kernel takes them.
    pub fn slices(&self) -> Vec<IoSlice<'_>> {
        self.pieces().map(IoSlice::new).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_pieces_are_what_was_put_in_in_its_order(parts: Vec<(u8, u8, u16)>) {
            let mut rope = Rope::default();
            let mut expected = Vec::new();
            for (how, byte, length) in parts {
                let bytes = Bytes::from(vec![byte; usize::from(length) % 5000]);
                match how % 3 {
                    0 => rope.own().extend_from_slice(&bytes),
                    1 => rope.share(&bytes),
                    _ => {
                        let mut other = Rope::from(BytesMut::from(&b"own"[..]));
                        other.share(&bytes);
                        rope.append(other);
                        expected.extend_from_slice(b"own");
                    }
                }
                expected.extend_from_slice(&bytes);
            }
            prop_assert_eq!(rope.len(), expected.len());
            prop_assert!(rope.pieces().all(|piece| !piece.is_empty()));
            prop_assert_eq!(rope.pieces().collect::<Vec<_>>().concat(), expected.clone());
            prop_assert_eq!(&rope.into_bytes()[..], &expected[..]);
        }
    }

    #[test]
    fn a_large_piece_is_not_copied() {
        let batch = Bytes::from(vec![7; SHARED_BYTES_MIN]);
        let mut rope = Rope::from(BytesMut::from(&b"before"[..]));
        rope.share(&batch);
        rope.own().extend_from_slice(b"behind");
        let addresses: Vec<_> = rope.pieces().map(<[u8]>::as_ptr).collect();
        assert_eq!(addresses.len(), 3);
        assert_eq!(addresses[1], batch.as_ptr());
    }
}
