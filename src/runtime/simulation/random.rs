//! The one source of chance of a simulated run.

use std::cell::Cell;

/// A splitmix64 generator. Every choice of a run comes from one of these, so a seed is a run.
#[derive(Debug)]
pub struct Random {
    state: Cell<u64>,
}

impl Random {
    /// A generator whose whole sequence follows from `seed`.
    pub fn new(seed: u64) -> Self {
        Random { state: Cell::new(seed) }
    }

    /// The next 64 bits.
    pub fn next_u64(&self) -> u64 {
        let state = self.state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.state.set(state);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `0..limit`; 0 when `limit` is 0. The bias of the multiplication is far below
    /// anything a test could see.
    pub fn below(&self, limit: u64) -> u64 {
        let wide = u128::from(self.next_u64()) * u128::from(limit);
        (wide >> 64) as u64
    }

    /// An index into a list of `len` items; 0 when the list is empty.
    pub fn index(&self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// One of these.
    pub fn choose<T: Copy, const N: usize>(&self, choices: [T; N]) -> T {
        const { assert!(N > 0, "something to choose from") };
        let picked = self.index(N);
        #[expect(clippy::indexing_slicing, reason = "`index` stays below N, which is above 0")]
        choices[picked]
    }

    /// A number in `low..=high`.
    pub fn between(&self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// True `times` times in `out_of`.
    pub fn chance(&self, times: u64, out_of: u64) -> bool {
        self.below(out_of) < times
    }

    /// A new, independent generator.
    pub fn split(&self) -> Random {
        Random::new(self.next_u64())
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_another_seed_does_not() {
        let numbers = |seed| {
            let random = Random::new(seed);
            (0..32).map(|_| random.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
    }

    #[test]
    fn between_reaches_both_ends_and_nothing_beyond() {
        let random = Random::new(1);
        let drawn: Vec<u64> = (0..200).map(|_| random.between(3, 5)).collect();
        assert!(drawn.contains(&3) && drawn.contains(&5));
        assert!(drawn.iter().all(|n| (3..=5).contains(n)));
    }
}
