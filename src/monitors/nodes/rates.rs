//! Rates: what counters of the kernel gained since the tick before, by the true time between the two readings.
//!
//! A counter that fell began anew, and its rate is absent in that tick: taken for one that ran over its end, it would give a
//! spike of petabytes. Only a counter of 32 bits that is where its last rate let it be has run over.

use std::collections::HashMap;
use std::time::Duration;

/// The counters of the tick before, by the name of their device.
#[derive(Debug)]
pub(super) struct Rates<const N: usize>(HashMap<String, Before<N>>);

#[derive(Debug)]
struct Before<const N: usize> {
    at: Duration,
    counters: [u64; N],
    rates: [Option<f64>; N],
}

impl<const N: usize> Default for Rates<N> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<const N: usize> Rates<N> {
    /// Takes the counters of a device, and returns what each gained in a second; `None` without a reading before, or if it
    /// began anew.
    pub fn take(&mut self, name: &str, at: Duration, counters: [u64; N]) -> [Option<f64>; N] {
        let Some(before) = self.0.get_mut(name) else {
            self.0.insert(name.into(), Before { at, counters, rates: [None; N] });
            return [None; N];
        };
        let seconds = at.saturating_sub(before.at).as_secs_f64();
        let mut rates = [None; N];
        if seconds > 0.0 {
            for (which, rate) in rates.iter_mut().enumerate() {
                let expected = before.rates[which].map(|rate| rate * seconds);
                let gained = gained(before.counters[which], counters[which], expected);
                *rate = gained.map(|gained| gained as f64 / seconds);
            }
        }
        *before = Before { at, counters, rates };
        rates
    }

    /// Forgets the devices that were not read at this moment.
    pub fn keep(&mut self, at: Duration) {
        self.0.retain(|_, before| before.at == at);
    }
}

/// Where a counter of 32 bits begins anew.
const END: u64 = 1 << 32;

/// Returns what a counter gained; `None` if it began anew. `expected` is what it would have gained at its last rate.
fn gained(before: u64, now: u64, expected: Option<f64>) -> Option<u64> {
    /// How much faster than before a counter that ran over may have been.
    const FASTER: f64 = 4.0;
    if now >= before {
        return Some(now - before);
    }
    let gained = END.checked_sub(before)?.checked_add(now)?;
    expected.filter(|expected| gained as f64 <= expected * FASTER).map(|_| gained)
}

/// Adds rates up, of those that have one.
pub(super) fn add<const N: usize>(sum: &mut [Option<f64>; N], rates: &[Option<f64>; N]) {
    for (sum, rate) in sum.iter_mut().zip(rates) {
        if let Some(rate) = rate {
            *sum = Some(sum.unwrap_or(0.0) + rate);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_rate_is_by_the_true_interval_and_each_device_has_its_own() {
        let mut rates = Rates::default();
        assert_eq!(rates.take("eth0", seconds(1.0), [100]), [None]);
        assert_eq!(rates.take("eth0", seconds(3.5), [600]), [Some(200.0)]);
        assert_eq!(rates.take("eth1", seconds(3.5), [5]), [None], "it is new");
        assert_eq!(rates.take("eth0", seconds(3.5), [700]), [None], "no time passed");
        rates.keep(seconds(3.5));
        assert_eq!(rates.take("eth0", seconds(4.5), [701]), [Some(1.0)]);
        rates.keep(seconds(4.5));
        assert_eq!(rates.take("eth1", seconds(5.5), [6]), [None], "it was gone meanwhile");
    }

    #[test]
    fn a_counter_that_began_anew_has_no_rate_and_one_that_ran_over_has_its_own() {
        let mut rates = Rates::default();
        let counters = [4_294_000_000, 4_294_000_000, u64::MAX - 5];
        rates.take("a", seconds(0.0), counters);
        let [quick, still, long] = [counters[0] + 900_000, counters[1], u64::MAX];
        assert_eq!(rates.take("a", seconds(1.0), [quick, still, long]), [Some(900_000.0), Some(0.0), Some(5.0)]);
        // The first runs over its end, the second was still and is small now, the third is no counter of 32 bits.
        let over = [quick + 800_000 - END, 50_000, 3];
        assert_eq!(rates.take("a", seconds(2.0), over), [Some(800_000.0), None, None]);
        assert_eq!(rates.take("a", seconds(3.0), [over[0] + 1, 50_001, 4]), [Some(1.0), Some(1.0), Some(1.0)]);
        // A reset from far below the end.
        assert_eq!(rates.take("a", seconds(4.0), [1, 0, 5]), [None, None, Some(1.0)]);
    }

    #[test]
    fn a_sum_is_over_those_that_have_a_rate() {
        let mut sum = [None, None];
        add(&mut sum, &[Some(1.0), None]);
        add(&mut sum, &[Some(2.5), None]);
        assert_eq!(sum, [Some(3.5), None]);
    }
}
