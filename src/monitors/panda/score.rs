//! How suspicious a queue is: its jobs now against their own averages.
//!
//! The score is the sum of three parts, each 0 for a queue that does as it always does:
//!
//! | part | counts | what is still usual, m |
//! |---|---|---|
//! | running falls below m | the largest of three | 0.8 · the mean of the hour before, 0.65 · A of 6 h, 0.55 · A of 24 h |
//! | failed rises above m | the larger of two | 2 · A + 3, with A of 6 h, 24 h |
//! | activated rises above m | the same, at most 1 | waiting jobs alone are no fault |
//!
//! x is the number now, A an average per ten minutes. The mean of the hour before is that of the hour without x, (6·A − x) / 5
//! with A of 1 h. A part is √(2·(m − x + x·ln(x / m))), which for 0 is √(2·m): how many standard deviations of chance x lies
//! beyond m, if jobs come and go by chance (the root of the deviance of a Poisson count; for large numbers it is
//! |m − x| / √m). So a queue with few jobs never scores (one that ran 15 and runs none has √24 = 4.9), a slow drift moves its
//! own averages, and a daily wave of ± 40 % stays within the factors. 3 keeps single failures from counting; after a gap the
//! average of an hour has fewer slots, and (6·A − x) / 5 is then nearer to x than their mean is.
//!
//! An example: running 20, averages 190 (1 h), 400 (6 h), 410 (24 h). The hour before has (1140 − 20) / 5 = 224, so m is
//! 0.8·224 = 179.2, 0.65·400 = 260, 0.55·410 = 225.5. Of 260 it is √(2·(260 − 20 + 20·ln(20/260))) = 19.4, the largest.
//!
//! The factors are as near to 1 as quiet queues allow: 0.85 for the hour before raised five alarms in a hundred months of 501
//! queues, 0.8 one. What is possible at all with one count, if its mean were known, is in the tests below.

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
    /// Returns the sum of two loads; what is known of one alone is that. A load whose number now is unknown adds nothing: its
    /// averages would make the number of all others look like a fall.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let [this, other] = [self, other].map(|load| if load.now.is_some() { load } else { Self::default() });
        let sum = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => Some(a + b),
            (one, other) => one.or(other),
        };
        Self {
            now: sum(this.now, other.now),
            avg1h: sum(this.avg1h, other.avg1h),
            avg6h: sum(this.avg6h, other.avg6h),
            avg24h: sum(this.avg24h, other.avg24h),
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
const FALLS: [(&str, f64); 3] = [("1 h", 0.8), ("6 h", 0.65), ("24 h", 0.55)];

/// The multiple of an average that is still usual.
const RISE: f64 = 2.0;

/// How many more than that are still usual.
const FEW: f64 = 3.0;

/// The most that activated jobs add to a score.
pub const MOST_OF_ACTIVATED: f64 = 1.0;

/// The score from which on a queue is suspicious, unless the config says otherwise.
pub const SUSPICIOUS: f64 = 5.0;

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
                // Nobody needs the hundredths of a large average. That of a site is a sum, with the dust of a float.
                let digits = if average < 100.0 { 100.0 } else { 1.0 };
                let average = (average * digits).round() / digits;
                words.push(format!("{now} {status}, {average} in {window}"));
            }
        }
        words.join("; ")
    }
}

fn fall(load: &Load) -> Option<Part> {
    let now = load.now?;
    // The newest slot would hide a part of its own fall in the mean of an hour.
    let before = load.avg1h.map(|average| ((6.0 * average - now) / 5.0).max(0.0));
    let averages = [(load.avg1h, before), (load.avg6h, load.avg6h), (load.avg24h, load.avg24h)];
    let parts = averages.into_iter().zip(FALLS).filter_map(|((average, compared), (window, usual))| {
        let least = usual * compared?;
        let deviations = if least > now { deviations(now, least) } else { 0.0 };
        Some(Part { deviations, now, average: average?, window })
    });
    parts.max_by(|a, b| a.deviations.total_cmp(&b.deviations))
}

fn rise(load: &Load) -> Option<Part> {
    let now = load.now?;
    let averages = [("6 h", load.avg6h), ("24 h", load.avg24h)];
    let parts = averages.into_iter().filter_map(|(window, average)| {
        let average = average?;
        let most = RISE * average + FEW;
        let deviations = if now > most { deviations(now, most) } else { 0.0 };
        Some(Part { deviations, now, average, window })
    });
    parts.max_by(|a, b| a.deviations.total_cmp(&b.deviations))
}

/// Returns how many standard deviations of chance a count lies beyond what is usual, which is more than 0.
fn deviations(count: f64, usual: f64) -> f64 {
    let logarithm = if count > 0.0 { count * (count / usual).ln() } else { 0.0 };
    (2.0 * (usual - count + logarithm)).max(0.0).sqrt()
}

#[cfg(test)]
mod simulation;

#[cfg(test)]
mod tests {
    use super::*;

    fn load(now: f64, averages: [f64; 3]) -> Load {
        let [avg1h, avg6h, avg24h] = averages.map(Some);
        Load { now: Some(now), avg1h, avg6h, avg24h }
    }

    fn steady(jobs: f64) -> Load {
        load(jobs, [jobs; 3])
    }

    #[test]
    fn the_example_of_the_definition_is_right() {
        let loads = Loads {
            activated: load(700.0, [500.0, 200.0, 180.0]),
            running: load(20.0, [190.0, 400.0, 410.0]),
            failed: load(30.0, [9.0, 4.0, 3.0]),
        };
        let score = score(&loads).unwrap();
        // √(2·(260 − 20 + 20·ln(20/260))), √(2·(9 − 30 + 30·ln(30/9))), and √(2·(363 − 700 + 700·ln(700/363))) which counts 1.
        let [running, failed, activated] =
            [score.running, score.failed, score.activated].map(|part| part.unwrap().deviations);
        assert_eq!([running, failed, activated].map(|part| (part * 100.0).round()), [1943.0, 550.0, 1566.0]);
        assert_eq!(score.value(), 25.93);
        assert_eq!(score.reason(), "20 running, 400 in 6 h; 30 failed, 3 in 24 h; 700 activated, 180 in 24 h");
        // The mean of the hour before is (6·25 − 0)/5 = 30, so that it is √(2·0.8·30).
        let drained = load(0.0, [25.0, 29.0, 30.0]);
        assert_eq!(of(drained, steady(0.0), steady(0.0)), Some(6.93));
    }

    /// The score of running, failed and activated jobs.
    fn of(running: Load, failed: Load, activated: Load) -> Option<f64> {
        score(&Loads { activated, running, failed }).map(|score| score.value())
    }

    #[test]
    fn few_jobs_an_unknown_number_and_waiting_jobs_alone_are_not_suspicious() {
        assert_eq!(of(steady(500.0), steady(5.0), steady(100.0)), Some(0.0));
        // The first slot in which a queue runs none.
        let drained = |jobs: f64| of(load(0.0, [jobs * 5.0 / 6.0, jobs, jobs]), steady(0.0), steady(0.0)).unwrap();
        assert!(drained(16.0) > SUSPICIOUS && drained(15.0) < SUSPICIOUS, "{} {}", drained(16.0), drained(15.0));
        assert!(of(steady(0.0), load(15.0, [0.0; 3]), steady(0.0)).unwrap() < SUSPICIOUS);
        assert!(of(steady(0.0), load(16.0, [0.0; 3]), steady(0.0)).unwrap() > SUSPICIOUS);
        assert_eq!(of(steady(500.0), steady(5.0), load(90_000.0, [0.0; 3])), Some(MOST_OF_ACTIVATED));
        assert_eq!(of(Load::default(), Load::default(), steady(1.0)), None);
        assert_eq!(of(Load { now: Some(0.0), ..Load::default() }, Load::default(), steady(1.0)), None);
        // A number that is unknown in this run says nothing, and the others still do.
        assert_eq!(of(Load { now: None, ..steady(500.0) }, steady(5.0), steady(1.0)), Some(0.0));
        // After an outage the averages of an hour and of a day are of one slot.
        assert_eq!(of(load(3.0, [3.0; 3]), load(3.0, [3.0; 3]), steady(0.0)), Some(0.0));
    }

    #[test]
    fn a_site_is_scored_by_the_sums_of_its_queues() {
        let queue = Loads { running: load(0.0, [8.0, 10.0, 10.0]), failed: steady(1.0), activated: steady(5.0) };
        let site = (0..10).fold(Loads::default(), |site, _| site.plus(queue));
        assert!(score(&queue).unwrap().value() < SUSPICIOUS && score(&site).unwrap().value() > SUSPICIOUS);
        assert_eq!(score(&site).unwrap().reason(), "0 running, 80 in 1 h");
    }

    #[test]
    fn queues_whose_number_now_is_unknown_do_not_make_their_site_suspicious() {
        let unknown = Load { now: None, ..steady(500.0) };
        let unknown = Loads { running: unknown, failed: unknown, activated: unknown };
        let odd = Loads { running: steady(3.0), failed: steady(0.0), activated: steady(1.0) };
        let site = unknown.plus(odd).plus(unknown);
        assert_eq!((site, score(&site).unwrap().value()), (odd, 0.0));
        assert_eq!(score(&unknown.plus(unknown)), None);
    }
}
