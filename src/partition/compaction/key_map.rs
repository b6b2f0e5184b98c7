//! From keys to the newest offset of each, in bounded memory.

use model::Offset;
use sha2::{Digest, Sha256};

/// Half of a SHA-256: no two keys that anyone could find share it, so the keys need not be kept.
type Fingerprint = [u8; 16];

#[derive(Clone, Copy)]
struct Slot {
    key: Fingerprint,
    /// -1: empty.
    offset: i64,
}

const EMPTY: Slot = Slot { key: [0; 16], offset: -1 };
const SLOTS_MIN: usize = 1024;

/// An open-addressing table that grows up to a limit.
pub(crate) struct KeyMap {
    slots: Vec<Slot>,
    used: usize,
    slots_max: usize,
}

impl KeyMap {
    /// A map that takes at most about `memory_bytes`, also while it grows.
    pub fn new(memory_bytes: usize) -> KeyMap {
        let slots_max = memory_bytes / size_of::<Slot>() * 2 / 3;
        // A power of two, so that a hash is masked.
        let slots_max = (slots_max + 1).next_power_of_two() / 2;
        KeyMap { slots: Vec::new(), used: 0, slots_max: slots_max.max(SLOTS_MIN) }
    }

    /// Whether so many more keys are sure to find room. One batch always does, in an empty map.
    pub fn has_room_for(&self, keys: usize) -> bool {
        self.used == 0 || self.used.saturating_add(keys) <= self.slots_max / 4 * 3
    }

    /// Notes an offset of a key. The greatest stays.
    pub fn insert(&mut self, key: &[u8], offset: Offset) {
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        self.place(fingerprint(key), offset.0);
    }

    /// The greatest offset noted of a key.
    pub fn get(&self, key: &[u8]) -> Option<Offset> {
        if self.used == 0 {
            return None;
        }
        let key = fingerprint(key);
        let slot = self.slots.get(self.find(&key))?;
        (slot.offset >= 0).then_some(Offset(slot.offset))
    }

    /// The slot that has the key, or the empty one where it would go. There is always an empty one.
    fn find(&self, key: &Fingerprint) -> usize {
        let [a, b, c, d, e, f, g, h, ..] = *key;
        let mask = self.slots.len() - 1;
        let mut index = u64::from_le_bytes([a, b, c, d, e, f, g, h]) as usize & mask;
        while self.slots.get(index).is_some_and(|slot| slot.offset >= 0 && slot.key != *key) {
            index = (index + 1) & mask;
        }
        index
    }

    fn place(&mut self, key: Fingerprint, offset: i64) {
        let index = self.find(&key);
        if let Some(slot) = self.slots.get_mut(index) {
            if slot.offset < 0 {
                self.used += 1;
            }
            *slot = Slot { key, offset: slot.offset.max(offset) };
        }
    }

    fn grow(&mut self) {
        let slots = vec![EMPTY; (self.slots.len() * 2).max(SLOTS_MIN)];
        let before = std::mem::replace(&mut self.slots, slots);
        self.used = 0;
        for slot in before.into_iter().filter(|slot| slot.offset >= 0) {
            self.place(slot.key, slot.offset);
        }
    }
}

fn fingerprint(key: &[u8]) -> Fingerprint {
    let mut out = Fingerprint::default();
    for (to, from) in out.iter_mut().zip(Sha256::digest(key)) {
        *to = from;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_remembers_the_greatest_offset_of_each_key_while_it_grows() {
        let mut map = KeyMap::new(1 << 20);
        for round in 0..3_i64 {
            for key in 0..5000_i64 {
                map.insert(&key.to_le_bytes(), Offset(round * 5000 + key));
            }
        }
        map.insert(&7_i64.to_le_bytes(), Offset(3));
        for key in 0..5000_i64 {
            assert_eq!(map.get(&key.to_le_bytes()), Some(Offset(10_000 + key)));
        }
        assert_eq!(map.get(b"never"), None);
        assert_eq!(map.used, 5000);
    }

    #[test]
    fn it_says_when_it_is_full_before_it_is() {
        let mut map = KeyMap::new(64 << 10);
        let mut keys = 0_i64;
        while map.has_room_for(10) {
            for _ in 0..10 {
                map.insert(&keys.to_le_bytes(), Offset(keys));
                keys += 1;
            }
        }
        assert!(keys > 500, "{keys}");
        assert!(map.slots.len() * size_of::<Slot>() <= 64 << 10, "{}", map.slots.len());
    }

    #[test]
    fn an_empty_map_takes_any_batch() {
        assert!(KeyMap::new(0).has_room_for(1_000_000));
    }
}
