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
        // (200 − 20)/√200, and (30 − 6)/√15, and (700 − 360)/√369 which counts 2.
        let [running, failed, activated] =
            [score.running, score.failed, score.activated].map(|part| part.unwrap().deviations);
        assert_eq!([running, failed, activated].map(|part| (part * 100.0).round()), [1273.0, 620.0, 1770.0]);
        assert_eq!(score.value(), 20.92);
        assert_eq!(score.reason(), "20 running, 400 in 6 h; 30 failed, 3 in 24 h; 700 activated, 180 in 24 h");
    }

    #[test]
    fn few_jobs_an_unknown_number_and_waiting_jobs_alone_are_not_suspicious() {
        let of = |running, failed, activated| score(&Loads { activated, running, failed }).map(|score| score.value());
        assert_eq!(of(steady(500.0), steady(5.0), steady(100.0)), Some(0.0));
        assert_eq!(of(load(0.0, [30.0; 3]), steady(0.0), steady(0.0)), Some(4.9));
        assert_eq!(of(load(0.0, [20.0; 3]), load(9.0, [0.5; 3]), steady(0.0)), Some(6.53));
        assert!(of(load(0.0, [10.0; 3]), steady(1.0), steady(0.0)).unwrap() < SUSPICIOUS);
        assert!(of(steady(0.0), load(11.0, [0.0; 3]), steady(0.0)).unwrap() < SUSPICIOUS);
        assert_eq!(of(steady(500.0), steady(5.0), load(90_000.0, [0.0; 3])), Some(MOST_OF_ACTIVATED));
        assert_eq!(of(Load::default(), Load::default(), steady(1.0)), None);
        assert_eq!(of(Load { now: Some(0.0), ..Load::default() }, Load::default(), steady(1.0)), None);
        // A number that is unknown in this run says nothing, and the others still do.
        assert_eq!(of(Load { now: None, ..steady(500.0) }, steady(5.0), steady(1.0)), Some(0.0));
    }

    #[test]
    fn a_site_is_scored_by_the_sums_of_its_queues() {
        let queue = Loads { running: load(0.0, [10.0; 3]), failed: steady(1.0), activated: steady(5.0) };
        let site = (0..10).fold(Loads::default(), |site, _| site.plus(queue));
        assert!(score(&queue).unwrap().value() < SUSPICIOUS && score(&site).unwrap().value() > SUSPICIOUS);
        assert_eq!(score(&site).unwrap().reason(), "0 running, 100 in 1 h");
    }

    /// Numbers by chance, the same in each run.
    struct Chance(u64);

    impl Chance {
        /// Between 0 and 1.
        fn uniform(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut bits = self.0;
            bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        }

        /// A Poisson number: for few by multiplying, else by W. Hörmann's transformed rejection (PTRS, 1993), which is exact too.
        fn poisson(&mut self, mean: f64) -> f64 {
            if mean < 10.0 {
                let (limit, mut product, mut count) = ((-mean).exp(), self.uniform(), 0.0);
                while product > limit {
                    product *= self.uniform();
                    count += 1.0;
                }
                return count;
            }
            let b = 0.931 + 2.53 * mean.sqrt();
            let a = -0.059 + 0.02483 * b;
            let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
            loop {
                let (u, v) = (self.uniform() - 0.5, self.uniform());
                let us = 0.5 - u.abs();
                let k = ((2.0 * a / us + b) * u + mean + 0.43).floor();
                if us >= 0.07 && v <= 0.9277 - 3.6224 / (b - 2.0) {
                    return k;
                }
                let is_out = k < 0.0 || (us < 0.013 && v > us);
                if !is_out && (v * inverse_alpha / (a / (us * us) + b)).ln() <= k * mean.ln() - mean - log_factorial(k)
                {
                    return k;
                }
            }
        }
    }

    /// The logarithm of k!, by Stirling's series for more than 9.
    fn log_factorial(k: f64) -> f64 {
        if k < 10.0 {
            return (1..=k as u64).map(|n| (n as f64).ln()).sum();
        }
        (k + 0.5) * k.ln() - k + 0.5 * std::f64::consts::TAU.ln() + 1.0 / (12.0 * k) - 1.0 / (360.0 * k.powi(3))
    }

    /// The averages of a series as the table has them: over the covered slots of the last hour, six hours and day.
    #[derive(Default)]
    struct History(std::collections::VecDeque<Option<f64>>);

    impl History {
        fn push(&mut self, value: Option<f64>) {
            self.0.push_front(value);
            self.0.truncate(144);
        }

        fn load(&self) -> Load {
            let average = |slots: usize| {
                let known: Vec<_> = self.0.iter().take(slots).flatten().collect();
                (!known.is_empty()).then(|| known.iter().copied().sum::<f64>() / known.len() as f64)
            };
            Load { now: self.0.front().copied().flatten(), avg1h: average(6), avg6h: average(36), avg24h: average(144) }
        }
    }

    /// The mean number of activated, running and failed jobs in a slot, as multiples of what is usual.
    type Shape = fn(slot: i64) -> [f64; 3];

    /// The slot at which incidents begin, after two days of history.
    const INCIDENT: i64 = 288;

    const INCIDENTS: [(&str, Shape); 4] = [
        ("drained queue", |slot| if slot < INCIDENT { [1.0; 3] } else { [1.5, 0.0, 0.2] }),
        ("black hole", |slot| if slot < INCIDENT { [1.0; 3] } else { [0.5, 0.9, 40.0] }),
        ("slow recovery", |slot| {
            let back = ((slot - INCIDENT) as f64 / 72.0).min(1.0);
            if slot < INCIDENT { [1.0; 3] } else { [1.5, 0.1 + 0.9 * back, 1.0] }
        }),
        ("week-end dip", |slot| if slot < INCIDENT { [1.0; 3] } else { [0.2, 0.35, 0.4] }),
    ];

    /// The daily wave of ± 40 %.
    fn wave(slot: i64, phase: f64) -> f64 {
        1.0 + 0.4 * ((slot as f64 / 144.0 + phase) * std::f64::consts::TAU).sin()
    }

    /// Plays a queue with a usual number of running jobs, and calls `each` with every slot's score; 5 % of the slots are gaps,
    /// in which no run looks. 5 % as many jobs fail in a slot, and half as many wait.
    fn play(chance: &mut Chance, jobs: f64, slots: i64, shape: Shape, each: &mut dyn FnMut(i64, f64)) {
        let phase = chance.uniform();
        let mut histories = [History::default(), History::default(), History::default()];
        for slot in 0..slots {
            let is_gap = chance.uniform() < 0.05;
            let usual = [0.5 * jobs, jobs, 0.05 * jobs];
            for ((history, usual), factor) in histories.iter_mut().zip(usual).zip(shape(slot)) {
                let value = chance.poisson(usual * factor * wave(slot, phase));
                history.push((!is_gap).then_some(value));
            }
            let [activated, running, failed] = histories.each_ref().map(History::load);
            if let Some(score) = score(&Loads { activated, running, failed }).filter(|_| !is_gap) {
                each(slot, score.value());
            }
        }
    }

    /// Returns in how many of so many seeds an incident is found within three slots.
    fn found(shape: Shape, jobs: f64, seeds: u64) -> usize {
        let is_found = |seed: &u64| {
            let mut at = None;
            play(&mut Chance(*seed), jobs, INCIDENT + 3, shape, &mut |slot, score| {
                if slot >= INCIDENT && score >= SUSPICIOUS {
                    at.get_or_insert(slot);
                }
            });
            at.is_some()
        };
        (0..seeds).filter(is_found).count()
    }

    /// Returns the false alarms of quiet queues of many sizes over some days, and how many scores were looked at.
    fn false_alarms(seed: u64, queues: u64, days: i64) -> (usize, usize) {
        let (mut alarms, mut looks) = (0, 0);
        for queue in 0..queues {
            let mut chance = Chance(seed * 10_000 + queue);
            // From 1 to 10,000 jobs, evenly in the logarithm.
            let jobs = 10_f64.powf(4.0 * chance.uniform());
            play(&mut chance, jobs, days * 144, |_| [1.0; 3], &mut |slot, score| {
                // The first day has no whole averages yet.
                if slot >= 144 {
                    looks += 1;
                    alarms += usize::from(score >= SUSPICIOUS);
                }
            });
        }
        (alarms, looks)
    }

    #[test]
    fn incidents_are_found_within_three_slots() {
        for (name, shape) in INCIDENTS {
            let found = found(shape, 400.0, 20);
            assert!(found >= 19, "{name}: {found} of 20");
        }
    }

    #[test]
    fn quiet_queues_stay_quiet() {
        let (alarms, looks) = false_alarms(1, 50, 3);
        assert!(alarms == 0 && looks > 10_000, "{alarms} of {looks}");
    }

    /// `cargo test --release --lib score -- --ignored --nocapture` measures the rates that docs/collect-panda.md gives.
    #[test]
    #[ignore = "some minutes"]
    fn the_rates_of_a_hundred_seeds_and_of_a_month() {
        for (name, shape) in INCIDENTS {
            for jobs in [30.0, 100.0, 400.0, 2000.0] {
                println!("{name}, {jobs} running: found in {} of 100", found(shape, jobs, 100));
            }
            assert!(found(shape, 400.0, 100) >= 95, "{name}");
        }
        let (mut alarms, mut looks) = (0, 0);
        for seed in 0..20 {
            let (more, looked) = false_alarms(seed, 501, 31);
            (alarms, looks) = (alarms + more, looks + looked);
        }
        println!("{alarms} false alarms in {looks} scores");
        assert!(alarms <= 1, "{alarms}");
    }
}
