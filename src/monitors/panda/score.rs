//! How suspicious a queue is: its jobs now against their own averages.
//!
//! The score is the sum of three parts, each 0 for a queue that does as it always does:
//!
//! | part | counts | formula |
//! |---|---|---|
//! | running falls | the largest of three | (f·A − x) / √(f·A), with (A, f) = (1 h, 0.8), (6 h, 0.5), (24 h, 0.4) |
//! | failed rises | the larger of two | (x − 2·A) / √(2·A + 9), with A = 6 h, 24 h |
//! | activated rises | the same, at most 2 | waiting jobs alone are no fault |
//!
//! x is the number now, A an average per ten minutes. Each part is how many standard deviations of chance x lies beyond what
//! is still usual: a count of f·A jobs varies by √(f·A) by itself. So a queue with few jobs never scores (a queue that ran 30
//! and runs none has √15 = 3.9), a slow drift moves its own averages, and a daily wave of ± 40 % stays within the factors.
//! 9 keeps single failures from counting; a gap only makes an average of fewer slots.
//!
//! An example: running 20, averages 190 (1 h), 400 (6 h), 410 (24 h): (0.8·190 − 20)/√152 = 10.7, (200 − 20)/√200 = 12.7,
//! (164 − 20)/√164 = 11.2: the part is 12.7.

/// What is scored, of a queue or of all queues of a site.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// The number now; `None` if nothing is known.
    pub now: Option<f64>,
    /// The average of the last hour.
    pub avg1h: Option<f64>,
    /// The average of the last six hours.
    pub avg6h: Option<f64>,
    /// The average of the last day.
    pub avg24h: Option<f64>,
}

impl Load {
    /// Returns the sum of two loads; what is known of one alone is that.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let sum = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => Some(a + b),
            (one, other) => one.or(other),
        };
        Self {
            now: sum(self.now, other.now),
            avg1h: sum(self.avg1h, other.avg1h),
            avg6h: sum(self.avg6h, other.avg6h),
            avg24h: sum(self.avg24h, other.avg24h),
        }
    }
}

/// The loads that make a score.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Loads {
    /// Jobs that could run.
    pub activated: Load,
    /// Jobs that run.
    pub running: Load,
    /// Jobs that failed within ten minutes.
    pub failed: Load,
}

impl Loads {
    /// Returns the sum of two loads.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            activated: self.activated.plus(other.activated),
            running: self.running.plus(other.running),
            failed: self.failed.plus(other.failed),
        }
    }
}

/// One part of a score: how far a number is beyond what is usual, and which average says so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// Standard deviations; 0 for a usual number.
    pub deviations: f64,
    /// The number now.
    pub now: f64,
    /// The average that it is compared with.
    pub average: f64,
    /// The window of that average.
    pub window: &'static str,
}

/// A score with its parts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// Running jobs are fewer than usual.
    pub running: Option<Part>,
    /// Failed jobs are more than usual.
    pub failed: Option<Part>,
    /// Activated jobs are more than usual.
    pub activated: Option<Part>,
}

/// The averages that a fall is compared with, each with the part of it that is still usual.
const FALLS: [(&str, f64); 3] = [("1 h", 0.8), ("6 h", 0.5), ("24 h", 0.4)];

/// The multiple of an average that is still usual.
const RISE: f64 = 2.0;

/// What is added to the variance of a rise.
const FEW: f64 = 9.0;

/// The most that activated jobs add to a score.
pub const MOST_OF_ACTIVATED: f64 = 2.0;

/// The score from which on a queue is suspicious, unless the config says otherwise.
pub const SUSPICIOUS: f64 = 4.0;

/// Computes a score; `None` if the numbers of now or all averages are unknown.
pub fn score(loads: &Loads) -> Option<Score> {
    let Loads { activated, running, failed } = loads;
    let score = Score { running: fall(running), failed: rise(failed), activated: rise(activated) };
    (score.running.is_some() || score.failed.is_some()).then_some(score)
}

impl Score {
    /// Returns the sum of the parts in hundredths.
    pub fn value(&self) -> f64 {
        let part = |part: Option<Part>| part.map_or(0.0, |part| part.deviations);
        let sum = part(self.running) + part(self.failed) + part(self.activated).min(MOST_OF_ACTIVATED);
        (sum * 100.0).round() / 100.0
    }

    /// Returns the reason in words; empty for a score of 0.
    pub fn reason(&self) -> String {
        let mut words = Vec::new();
        for (status, part) in [("running", self.running), ("failed", self.failed), ("activated", self.activated)] {
            if let Some(Part { now, average, window, .. }) = part.filter(|part| part.deviations > 0.0) {
                // Nobody needs the hundredths of a large average.
                let average = if average < 100.0 { average } else { average.round() };
                words.push(format!("{now} {status}, {average} in {window}"));
            }
        }
        words.join("; ")
    }
}

fn fall(load: &Load) -> Option<Part> {
    let averages = [load.avg1h, load.avg6h, load.avg24h];
    let parts = averages.into_iter().zip(FALLS).filter_map(|(average, (window, usual))| {
        let (now, average) = (load.now?, average?);
        let least = usual * average;
        let deviations = if least > now { (least - now) / least.sqrt() } else { 0.0 };
        Some(Part { deviations, now, average, window })
    });
    parts.max_by(|a, b| a.deviations.total_cmp(&b.deviations))
}

fn rise(load: &Load) -> Option<Part> {
    let averages = [("6 h", load.avg6h), ("24 h", load.avg24h)];
    let parts = averages.into_iter().filter_map(|(window, average)| {
        let (now, average) = (load.now?, average?);
        let most = RISE * average;
        let deviations = if now > most { (now - most) / (most + FEW).sqrt() } else { 0.0 };
        Some(Part { deviations, now, average, window })
    });
    parts.max_by(|a, b| a.deviations.total_cmp(&b.deviations))
}

#[cfg(test)]
#[path = "score_tests.rs"]
mod tests;
