//! The values of several series as one series: their sum, or their mean where each tells the same.

use std::collections::BTreeMap;
use std::fmt;

use super::{Part, Values};
use crate::model::FieldInfo;

/// What several series make together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// Their sum; a series that is absent while others were collected counts as zero.
    Sum,
    /// Their mean.
    Mean,
}

/// A question that asks for too much.
#[derive(Debug)]
pub struct TooMuch(pub String);

impl fmt::Display for TooMuch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for TooMuch {}

/// What one series says of one step.
#[derive(Clone, Copy)]
struct OfStep {
    /// The sum of its stored values.
    sum: f64,
    count: u64,
    least: f64,
    most: f64,
    coverage: f64,
}

/// All series in one step.
#[derive(Default)]
struct Together {
    all: Vec<OfStep>,
    /// How many times were collected.
    times: u64,
    coverage: f64,
}

impl Join {
    /// Returns what `members` make together, under `path`. Their stored values are `every` seconds apart; `covering` has a value
    /// at each time that was collected, whichever of them had a value then.
    pub fn of(
        self,
        path: &str,
        field: &'static FieldInfo,
        every: i64,
        members: &[Values],
        covering: Option<&Values>,
    ) -> Values {
        let every = every.max(1);
        let folded = members.iter().chain(covering).filter(|one| !one.parts.is_empty()).map(|one| one.step);
        let step = folded.max().unwrap_or(every).max(every);
        let mut steps = BTreeMap::<i64, Together>::new();
        if let Some(one) = covering {
            for (time, OfStep { count, coverage, .. }) in by_step(one, step, every) {
                let together = steps.entry(time).or_default();
                (together.times, together.coverage) = (count, coverage);
            }
        }
        for one in members {
            for (time, of_step) in by_step(one, step, every) {
                let together = steps.entry(time).or_default();
                together.times = together.times.max(of_step.count);
                together.coverage = together.coverage.max(of_step.coverage);
                together.all.push(of_step);
            }
        }
        let is_plain = step == every && steps.values().all(|together| together.times <= 1);
        let (mut values, mut parts) = (Vec::with_capacity(steps.len()), Vec::new());
        for (time, together) in &steps {
            let Some((value, part)) = together.join(self) else { continue };
            values.push((*time, value));
            parts.extend((!is_plain).then_some(part));
        }
        let newest = if is_plain { values.last().copied() } else { self.newest(members) };
        Values { path: path.into(), field, step, values, parts, newest }
    }

    /// Returns what the newest stored values make together.
    fn newest(self, members: &[Values]) -> Option<(i64, f64)> {
        let last: Vec<_> = members.iter().filter_map(|one| one.newest.or(one.values.last().copied())).collect();
        let time = last.iter().map(|(time, _)| *time).max()?;
        let values: Vec<_> = last.into_iter().filter(|one| one.0 == time).map(|(_, value)| value).collect();
        let sum: f64 = values.iter().sum();
        Some((time, if self == Self::Sum { sum } else { sum / values.len() as f64 }))
    }
}

/// Returns what a series says of each step.
fn by_step(one: &Values, step: i64, every: i64) -> BTreeMap<i64, OfStep> {
    let mut steps = BTreeMap::<i64, OfStep>::new();
    for (at, (time, value)) in one.values.iter().enumerate() {
        let part = one.parts.get(at).copied();
        let length = if part.is_some() { one.step } else { every };
        let Part { least, most, count, coverage } = part.unwrap_or(Part::of(*value));
        let (sum, coverage) = (value * count as f64, coverage * length as f64 / step as f64);
        let of_step = steps.entry(time.div_euclid(step) * step).or_insert(OfStep {
            sum: 0.0,
            count: 0,
            least,
            most,
            coverage: 0.0,
        });
        of_step.sum += sum;
        of_step.count += count;
        (of_step.least, of_step.most) = (of_step.least.min(least), of_step.most.max(most));
        of_step.coverage = (of_step.coverage + coverage).min(1.0);
    }
    steps
}

impl Together {
    /// Returns the value of the step and what it was made of; `None` if there is none. The least and the most of a sum are the
    /// bounds within which it was.
    fn join(&self, how: Join) -> Option<(f64, Part)> {
        let (times, coverage) = (self.times.max(1), self.coverage.min(1.0));
        let sum: f64 = self.all.iter().map(|one| one.sum).sum();
        let (value, least, most) = match how {
            Join::Sum => {
                // Absent at a time that was collected is zero.
                let end = |value: f64, one: &OfStep, of: fn(f64, f64) -> f64| {
                    if one.count < times { of(value, 0.0) } else { value }
                };
                let least = self.all.iter().map(|one| end(one.least, one, f64::min)).sum();
                let most = self.all.iter().map(|one| end(one.most, one, f64::max)).sum();
                (sum / times as f64, least, most)
            }
            Join::Mean => {
                let count: u64 = self.all.iter().map(|one| one.count).sum();
                let least = self.all.iter().map(|one| one.least).reduce(f64::min)?;
                let most = self.all.iter().map(|one| one.most).reduce(f64::max)?;
                (sum / count.max(1) as f64, least, most)
            }
        };
        let is_finite = [value, least, most].iter().all(|value| value.is_finite());
        // What others wrote into the store may have a least beyond its most.
        is_finite.then(|| (value.clamp(least, most.max(least)), Part { least, most, count: times, coverage }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Field;
    use crate::query::{Detail, Folding};

    static JOBS: FieldInfo = Field::<i64>::count("jobs", "jobs", "").info();

    fn read(values: &[(i64, f64)], bucket: Option<i64>) -> Values {
        let mut folding = Folding::new(bucket);
        values.iter().for_each(|(time, value)| folding.push(*time, *value, None));
        folding.finish("x", &JOBS, 600)
    }

    #[test]
    fn a_sum_has_a_value_at_each_time_that_was_collected() {
        let (one, other) = (read(&[(0, 1.0), (600, 2.0)], None), read(&[(600, 5.0)], None));
        let covering = read(&[(0, 1.0), (600, 1.0), (1200, 1.0)], None);
        let sum = Join::Sum.of("a", &JOBS, 600, &[one.clone(), other.clone()], Some(&covering));
        assert_eq!(sum.values, [(0, 1.0), (600, 7.0), (1200, 0.0)]);
        assert!(sum.parts.is_empty() && sum.step == 600 && sum.newest == Some((1200, 0.0)), "{sum:?}");
        let sum = Join::Sum.of("a", &JOBS, 600, &[one.clone(), other.clone()], None);
        assert_eq!(sum.values, [(0, 1.0), (600, 7.0)]);
        let mean = Join::Mean.of("a", &JOBS, 600, &[one, other], None);
        assert_eq!(mean.values, [(0, 1.0), (600, 3.5)]);
    }

    #[test]
    fn a_folded_sum_is_the_mean_of_the_sums() {
        // An hour of six slots; the second series is absent in four of them.
        let always: Vec<_> = (0..6).map(|at| (at * 600, at as f64)).collect();
        let seldom = [(1200, 12.0), (1800, 18.0)];
        let bucket = Detail::Step(3600).bucket(3600, 600);
        let sum = Join::Sum.of("a", &JOBS, 600, &[read(&always, bucket), read(&seldom, bucket)], None);
        // (0+1+2+3+4+5 + 30)/6
        assert_eq!(sum.values, [(0, 7.5)]);
        assert_eq!(sum.parts, [Part { least: 0.0, most: 23.0, count: 6, coverage: 1.0 }]);
        // The one is stored by slot, the other folded.
        let sum = Join::Sum.of("a", &JOBS, 600, &[read(&always, None), read(&seldom, bucket)], None);
        assert_eq!((sum.step, sum.values), (3600, vec![(0, 7.5)]));
    }

    #[test]
    fn nothing_makes_nothing() {
        assert!(Join::Sum.of("a", &JOBS, 600, &[read(&[], None)], None).values.is_empty());
        assert!(Join::Mean.of("a", &JOBS, 600, &[], None).values.is_empty());
        let mut odd = read(&[(0, 1.0), (600, 2.0)], Detail::Step(3600).bucket(3600, 600));
        odd.parts[0] = Part { least: 9.0, most: 1.0, ..odd.parts[0] };
        assert_eq!(Join::Sum.of("a", &JOBS, 600, &[odd], None).values.len(), 1);
        let huge = read(&[(0, f64::MAX)], None);
        assert!(Join::Sum.of("a", &JOBS, 600, &[huge.clone(), huge], None).values.is_empty());
    }
}
