//! How values are spread: log-linear buckets, whose bounds double and are divided evenly between.

use std::{cell::Cell, iter};

/// Where the buckets of a histogram lie.
///
/// The first takes all values up to 2^`lowest_log2`. From there on `octaves` times the bound
/// doubles, in 2^`steps_log2` even steps each. The last bucket takes whatever is larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buckets {
    /// Logarithm of the lowest bound.
    pub lowest_log2: u32,
    /// How often the bound doubles.
    pub octaves: u32,
    /// Logarithm of the steps from a bound to its double; at most `lowest_log2`, so that bounds are
    /// whole numbers.
    pub steps_log2: u32,
}

impl Buckets {
    /// For durations in nanoseconds: from 8 microseconds to 69 seconds, each bound at most half as
    /// large again as the one before.
    pub const NANOSECONDS: Buckets = Buckets { lowest_log2: 13, octaves: 23, steps_log2: 1 };

    /// How many buckets there are, the unbounded one included.
    pub(crate) fn count(self) -> usize {
        let bounded = 1 + (self.octaves << self.steps_log2);
        bounded as usize + 1
    }

    /// The bucket of a value. A value that equals a bound is within it.
    pub(crate) fn of(self, value: u64) -> usize {
        let below = value.saturating_sub(1);
        let Some(octave) = below.checked_ilog2().and_then(|log| log.checked_sub(self.lowest_log2))
        else {
            return 0;
        };
        if octave >= self.octaves {
            return self.count() - 1;
        }
        let steps = 1 << self.steps_log2;
        // The bits right below the highest one say which step of the octave it is.
        let log = octave + self.lowest_log2;
        let step = (below >> log.saturating_sub(self.steps_log2)) & (steps - 1);
        1 + (u64::from(octave) * steps + step) as usize
    }

    /// The bounds, lowest first; each belongs to its bucket. The unbounded bucket has none.
    pub fn bounds(self) -> impl Iterator<Item = f64> {
        let lowest = 2f64.powi(self.lowest_log2.cast_signed());
        let steps = 1 << self.steps_log2;
        let octaves = (0..self.octaves).flat_map(move |octave| {
            let start = lowest * 2f64.powi(octave.cast_signed());
            (1..=steps).map(move |step| start * (1.0 + f64::from(step) / f64::from(steps)))
        });
        iter::once(lowest).chain(octaves)
    }
}

/// Counts values by size on one core.
#[derive(Debug)]
pub struct Histogram {
    buckets: Buckets,
    counts: Box<[Cell<u64>]>,
    sum: Cell<u64>,
}

impl Histogram {
    /// Nothing counted yet.
    pub fn new(buckets: Buckets) -> Histogram {
        let counts = iter::repeat_with(Cell::default).take(buckets.count()).collect();
        Histogram { buckets, counts, sum: Cell::new(0) }
    }

    /// Counts a value.
    pub fn record(&self, value: u64) {
        if let Some(count) = self.counts.get(self.buckets.of(value)) {
            count.set(count.get() + 1);
        }
        self.sum.set(self.sum.get().wrapping_add(value));
    }

    /// What was counted so far.
    pub fn counts(&self) -> HistogramCounts {
        HistogramCounts {
            buckets: self.buckets,
            counts: self.counts.iter().map(Cell::get).collect(),
            sum: self.sum.get(),
        }
    }
}

/// What one or more histograms have counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistogramCounts {
    pub(crate) buckets: Buckets,
    pub(crate) counts: Vec<u64>,
    pub(crate) sum: u64,
}

impl HistogramCounts {
    /// Nothing.
    pub fn none(buckets: Buckets) -> HistogramCounts {
        HistogramCounts { buckets, counts: vec![0; buckets.count()], sum: 0 }
    }

    /// Adds what another core has counted in the same buckets.
    pub fn merge(&mut self, other: &HistogramCounts) {
        debug_assert_eq!(self.buckets, other.buckets, "other buckets mean other values");
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.sum = self.sum.wrapping_add(other.sum);
    }

    /// How many values there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All values together.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// Each bound, and how many values were not above it.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let running = self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        self.buckets.bounds().zip(running)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Buckets = Buckets { lowest_log2: 2, octaves: 3, steps_log2: 1 };

    #[test]
    fn bounds_double_in_even_steps() {
        let bounds: Vec<f64> = SMALL.bounds().collect();
        assert_eq!(bounds, [4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0]);
        let powers = Buckets { lowest_log2: 0, octaves: 3, steps_log2: 0 };
        assert_eq!(powers.bounds().collect::<Vec<_>>(), [1.0, 2.0, 4.0, 8.0]);
    }

    #[test]
    fn every_value_is_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        for buckets in [
            SMALL,
            Buckets { lowest_log2: 0, octaves: 5, steps_log2: 0 },
            Buckets { lowest_log2: 2, octaves: 5, steps_log2: 2 },
            Buckets::NANOSECONDS,
        ] {
            let bounds: Vec<f64> = buckets.bounds().collect();
            assert_eq!(bounds.len() + 1, buckets.count());
            let near = bounds.iter().flat_map(|bound| {
                let bound = *bound as u64;
                [bound.saturating_sub(1), bound, bound + 1]
            });
            for value in (0..200).chain(near).chain([u64::MAX]) {
                let expected = bounds.iter().position(|bound| value as f64 <= *bound);
                assert_eq!(buckets.of(value), expected.unwrap_or(bounds.len()), "{value}");
            }
        }
    }

    #[test]
    fn counts_of_cores_add_up() {
        let (here, there) = (Histogram::new(SMALL), Histogram::new(SMALL));
        [1, 5, 30].into_iter().for_each(|value| here.record(value));
        [6, 1000].into_iter().for_each(|value| there.record(value));
        let mut all = HistogramCounts::none(SMALL);
        all.merge(&here.counts());
        all.merge(&there.counts());
        assert_eq!((all.count(), all.sum()), (5, 1042));
        let cumulative: Vec<_> = all.cumulative().map(|(_, count)| count).collect();
        assert_eq!(cumulative, [1, 3, 3, 3, 3, 3, 4]);
    }
}
