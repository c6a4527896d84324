//! Folds the values of a series while they are read, so that memory use does not grow with the range.

use super::{Part, Values, width};
use crate::model::FieldInfo;

/// How many distances between neighbours are kept, to find the usual one.
const DISTANCES: usize = 4096;

/// What keeps a sum of the largest numbers finite.
const SCALE: f64 = 1.0 / (1_u64 << 40) as f64;

/// How finely a range is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// On about so many times, as a plot shows.
    Points(usize),
    /// In buckets of this length, in seconds.
    Step(i64),
    /// Every value as it is stored.
    Stored,
}

impl Detail {
    /// Returns the length in seconds of the buckets into which a store may fold the values of `span` seconds, `every` seconds
    /// apart; `None` if they stay as they are.
    pub fn bucket(self, span: i64, every: i64) -> Option<i64> {
        let length = match self {
            Self::Points(points) => width(span, points, every),
            Self::Step(step) => step,
            Self::Stored => return None,
        };
        (length > every.max(1)).then_some(length)
    }

    /// Returns how many values of `span` seconds suffice.
    pub fn points(self, span: i64) -> usize {
        match self {
            Self::Points(points) => points.max(1),
            Self::Step(step) => usize::try_from(span / step.max(1)).unwrap_or_default().max(1),
            Self::Stored => usize::MAX,
        }
    }
}

/// The values of one series, folded as they come.
#[derive(Clone, Debug, Default)]
pub struct Folding {
    bucket: Option<i64>,
    taken: usize,
    /// The values, or the buckets; a bucket of one value has that value's own time.
    values: Vec<(i64, f64)>,
    /// What each was folded from, with the number of steps in which values were collected as the coverage.
    parts: Vec<Part>,
    open: Option<Open>,
    newest: Option<(i64, f64)>,
    has_parts: bool,
    distances: Vec<i64>,
}

/// The bucket that is being filled.
#[derive(Clone, Copy, Debug)]
struct Open {
    begin: i64,
    first: i64,
    /// The number of stored values in it.
    stored: usize,
    tally: Tally,
}

/// Several values as one.
#[derive(Clone, Copy, Debug)]
pub struct Tally {
    sum: f64,
    scaled: f64,
    /// What they were folded from; the coverage is the sum of theirs.
    pub part: Part,
}

impl Folding {
    /// Begins a series that is folded into buckets of this length in seconds; `None` keeps every value.
    pub fn new(bucket: Option<i64>) -> Self {
        Self { bucket: bucket.map(|length| length.max(1)), ..Self::default() }
    }

    /// Takes the next value, at a time in unix seconds that is not before the last one. A value that is folded already comes with what it was folded from. What is no number is passed over.
    pub fn push(&mut self, time: i64, value: f64, part: Option<Part>) {
        if !value.is_finite() {
            return;
        }
        self.has_parts |= part.is_some();
        self.taken += 1;
        if let Some((last, _)) = self.newest
            && self.distances.len() < DISTANCES
        {
            self.distances.push(time.saturating_sub(last));
        }
        self.newest = Some((time, value));
        let part = part.unwrap_or(Part::of(value));
        let Some(length) = self.bucket else {
            self.values.push((time, value));
            self.parts.push(part);
            return;
        };
        let begin = time.div_euclid(length) * length;
        match &mut self.open {
            Some(open) if open.begin == begin => {
                open.stored += 1;
                open.tally.take(value, part);
            }
            _ => {
                self.close();
                self.open = Some(Open { begin, first: time, stored: 1, tally: Tally::new(value, part) });
            }
        }
    }

    /// How many values it took.
    pub fn taken(&self) -> usize {
        self.taken
    }

    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        self.values.push((if open.stored == 1 { open.first } else { open.begin }, open.tally.mean()));
        self.parts.push(open.tally.part);
    }

    /// Returns the values under this path, of which the stored ones are `step` seconds apart as far as the store knows.
    pub fn finish(mut self, path: &str, field: &'static FieldInfo, step: i64) -> Values {
        self.close();
        let step = if self.has_parts { step.max(1) } else { own_step(step, &mut self.distances) };
        let is_folded = self.values.len() < self.taken;
        let Self { mut values, mut parts, has_parts, newest, .. } = self;
        let length = self.bucket.filter(|_| is_folded).unwrap_or(step);
        if is_folded {
            values.iter_mut().for_each(|(time, _)| *time = time.div_euclid(length) * length);
        } else if !has_parts {
            parts.clear();
        }
        let whole = (length / step).max(1) as f64;
        parts.iter_mut().for_each(|part| part.coverage = (part.coverage / whole).clamp(0.0, 1.0));
        Values { path: path.into(), field, step: length, values, parts, newest }
    }
}

impl Tally {
    /// Begins with a value and what it was folded from.
    pub fn new(value: f64, part: Part) -> Self {
        let weight = part.count as f64;
        Self { sum: value * weight, scaled: value * SCALE * weight, part }
    }

    /// Takes one more value.
    pub fn take(&mut self, value: f64, part: Part) {
        let weight = part.count as f64;
        self.sum += value * weight;
        self.scaled += value * SCALE * weight;
        self.part.least = self.part.least.min(part.least);
        self.part.most = self.part.most.max(part.most);
        self.part.count = self.part.count.saturating_add(part.count);
        self.part.coverage += part.coverage;
    }

    /// Returns the mean of all that the values were folded from.
    pub fn mean(&self) -> f64 {
        let count = self.part.count.max(1) as f64;
        // The sum of very large numbers overflows to infinity, which JSON cannot hold.
        let mean = if self.sum.is_finite() { self.sum / count } else { self.scaled / count / SCALE };
        mean.clamp(self.part.least, self.part.most.max(self.part.least))
    }
}

impl Part {
    /// The part of one collected value.
    pub fn of(value: f64) -> Self {
        Self { least: value, most: value, count: 1, coverage: 1.0 }
    }
}

/// Returns the time between two values, in seconds: the step that the store reports, unless the values are more frequent, or
/// rarer but with a usual step of an hour or less, because no store knows the interval of their program.
pub fn own_step(told: i64, distances: &mut [i64]) -> i64 {
    let told = told.max(1);
    let middle = distances.len().saturating_sub(1) / 2;
    let usual = (!distances.is_empty()).then(|| *distances.select_nth_unstable(middle).1);
    usual.filter(|usual| *usual < told || *usual <= 3600).map_or(told, |usual| usual.max(1))
}
