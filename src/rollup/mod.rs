//! Folds raw points into hourly ones and hourly points into daily ones, the same for every store. Pure.
//!
//! | file | holds |
//! |---|---|
//! | averages.rs | averages up to now, of sums that a store adds up |
//! | coverage.rs | which slots of a window a collector covered |
//! | fold.rs | folds the points of one series in one window |
//! | window.rs | folds the points of all series of a measurement in one window |
//!
//! A *slot* is one run of a collector; its points stand at its time, those of `jobs` up to a second later. A *window* is an
//! hour or a day in UTC, and its point stands at its end, the *label*. Of a series s in a window W:
//!
//! ```text
//! S = sum of the values
//! N = covered slots, and uncovered ones in which s has a value     (a count that is absent in a covered slot is zero)
//!     slots in which s has a value                                 (a gauge that is absent is unknown)
//! ```
//!
//! A day's S and N are the sums of its hours': a day folded from hours is the day folded from raw points. So are least and
//! most. A float sum is added up hour by hour.

pub mod averages;
mod coverage;
mod fold;
mod window;

pub use self::coverage::{Begins, Coverage, Covered, is_of_no_slot};
pub use self::fold::{Folded, FoldedField, HourField, PARTS, Parts, SeriesFold, label_time, slot_of};
pub use self::window::{WindowFold, length, source, window_of};

use crate::model::SECOND;

/// The length of an hour, in nanoseconds.
pub const HOUR: i64 = 3600 * SECOND;

/// The length of a day, in nanoseconds.
pub const DAY: i64 = 24 * HOUR;

/// Returns `sum / slots`, the exact quotient of two integers, rounded half up to hundredths: 1/8 is 0.13. Returns `None` for
/// no slots: nothing is known then.
pub fn hundredths(sum: i128, slots: i64) -> Option<f64> {
    let slots = i128::from(slots);
    // Far beyond any sum of values: only then does it saturate.
    (slots > 0).then(|| sum.saturating_mul(200).saturating_add(slots).div_euclid(2 * slots) as f64 / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quotient_is_rounded_half_up_to_hundredths() {
        for (sum, slots, expected) in [
            (1, 8, 0.13),
            (3, 8, 0.38),
            (200, 2, 100.0),
            (650, 6, 108.33),
            (0, 6, 0.0),
            (-1, 8, -0.12),
            (1, 200, 0.01),
            (1, 201, 0.0),
            (i128::from(i64::MAX) * 6, 6, i64::MAX as f64),
        ] {
            assert_eq!(hundredths(sum, slots), Some(expected), "{sum}/{slots}");
        }
        assert_eq!(hundredths(5, 0), None);
    }
}
