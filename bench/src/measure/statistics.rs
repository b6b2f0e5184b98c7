//! Medians, ranges and ratios over rounds.

use serde::{Deserialize, Serialize};

/// The middle of some measurements, and their ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The middle one; of an even number, the mean of the two in the middle.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

/// The spread of `values`; none of no values, or if one of them is not a number.
pub fn spread(values: &[f64]) -> Option<Spread> {
    if values.iter().any(|value| value.is_nan()) {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    let median = if sorted.len() % 2 == 1 {
        upper
    } else {
        (sorted.get(middle.checked_sub(1)?)? + upper) / 2.0
    };
    Some(Spread { median, min: *sorted.first()?, max: *sorted.last()? })
}

/// How `ours` relates to `theirs`: the ratio of the medians, and the range of the ratios of each round, because
/// what disturbs the machine for a minute disturbs both systems of a round. None where a divisor is zero.
pub fn ratio(ours: &[f64], theirs: &[f64]) -> Option<Spread> {
    let per_round: Vec<f64> = ours.iter().zip(theirs).map(|(our, their)| our / their).collect();
    if per_round.iter().any(|ratio| !ratio.is_finite()) {
        return None;
    }
    let of_rounds = spread(&per_round)?;
    let median = spread(ours)?.median / spread(theirs)?.median;
    Some(Spread { median, ..of_rounds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_odd_number_is_the_middle_one_whatever_the_order() {
        let spread = spread(&[9.0, 1.0, 5.0]).unwrap();
        assert_eq!(spread, Spread { median: 5.0, min: 1.0, max: 9.0 });
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert_eq!(spread(&[4.0, 1.0, 2.0, 100.0]).unwrap().median, 3.0);
    }

    #[test]
    fn nothing_has_no_median() {
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[1.0, f64::NAN]), None);
    }

    #[test]
    fn a_ratio_is_of_the_medians_and_its_range_is_of_the_rounds() {
        // Medians 20 and 10; the rounds' own ratios are 1, 2 and 3.
        let ratio = ratio(&[10.0, 20.0, 30.0], &[10.0, 10.0, 10.0]).unwrap();
        assert_eq!(ratio, Spread { median: 2.0, min: 1.0, max: 3.0 });
    }

    #[test]
    fn there_is_no_ratio_to_nothing() {
        assert_eq!(ratio(&[1.0], &[0.0]), None);
        assert_eq!(ratio(&[], &[]), None);
    }
}
