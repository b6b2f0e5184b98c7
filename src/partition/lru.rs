//! A map that forgets what was not used for longest when it grows too heavy.

use std::collections::BTreeMap;

/// Values by number, each with a weight. Look-ups and changes cost O(log n).
pub(crate) struct Lru<V> {
    entries: BTreeMap<u64, Entry<V>>,
    /// From the time of last use to the key.
    by_use: BTreeMap<u64, u64>,
    uses: u64,
    weight: usize,
    weight_max: usize,
}

struct Entry<V> {
    value: V,
    weight: usize,
    used: u64,
}

impl<V: Clone> Lru<V> {
    pub fn new(weight_max: usize) -> Self {
        Lru { entries: BTreeMap::new(), by_use: BTreeMap::new(), uses: 0, weight: 0, weight_max }
    }

    /// The value, which from now on was used last.
    pub fn get(&mut self, key: u64) -> Option<V> {
        self.uses += 1;
        let entry = self.entries.get_mut(&key)?;
        self.by_use.remove(&entry.used);
        entry.used = self.uses;
        self.by_use.insert(self.uses, key);
        Some(entry.value.clone())
    }

    /// Adds or replaces a value; older ones go until the weight is right. The newest always stays.
    pub fn insert(&mut self, key: u64, value: V, weight: usize) {
        self.remove(key);
        self.uses += 1;
        self.entries.insert(key, Entry { value, weight, used: self.uses });
        self.by_use.insert(self.uses, key);
        self.weight += weight;
        while self.weight > self.weight_max && self.entries.len() > 1 {
            let Some((_, oldest)) = self.by_use.first_key_value() else { break };
            self.remove(*oldest);
        }
    }

    pub fn remove(&mut self, key: u64) {
        if let Some(entry) = self.entries.remove(&key) {
            self.by_use.remove(&entry.used);
            self.weight -= entry.weight;
        }
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let mut lru = Lru::new(3);
        for key in 1..=3 {
            lru.insert(key, key, 1);
        }
        assert_eq!(lru.get(1), Some(1));
        lru.insert(4, 4, 1);
        assert_eq!((lru.get(2), lru.get(1), lru.get(4)), (None, Some(1), Some(4)));
        lru.insert(5, 5, 9);
        assert_eq!((lru.len(), lru.get(5)), (1, Some(5)), "too heavy alone, but the newest");
        lru.remove(5);
        assert_eq!((lru.len(), lru.weight), (0, 0));
    }
}
