//! Histories by chance with known incidents, and quiet ones: how soon the score of a queue and of a site finds what is wrong, and how
//! often it cries wolf.
//!
//! Counts are Poisson numbers over a daily wave of ± 40 %, and 5 % of the slots are gaps. The queues of a site share wave and gaps.
//! `GRIDMON_SOAK=1` takes the seeds and days of docs/collect-panda.md, `GRIDMON_SEED` begins with another seed.

use std::collections::VecDeque;
use std::env;

use super::*;

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
            if !is_out && (v * inverse_alpha / (a / (us * us) + b)).ln() <= k * mean.ln() - mean - log_factorial(k) {
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

/// The counts of a series, and the sums of those in the last hour, six hours and day, as the table has them: over covered slots.
#[derive(Default)]
struct History {
    slots: VecDeque<Option<f64>>,
    /// The sum and the number of the known counts in each of [`WINDOWS`].
    sums: [(f64, f64); 3],
}

/// The windows of the averages, in slots.
const WINDOWS: [usize; 3] = [6, 36, 144];

impl History {
    fn push(&mut self, value: Option<f64>) {
        for ((sum, number), slots) in self.sums.iter_mut().zip(WINDOWS) {
            // Whole numbers, so that nothing is lost.
            if let Some(value) = value {
                (*sum, *number) = (*sum + value, *number + 1.0);
            }
            if let Some(old) = self.slots.get(slots - 1).copied().flatten() {
                (*sum, *number) = (*sum - old, *number - 1.0);
            }
        }
        self.slots.push_front(value);
        self.slots.truncate(WINDOWS[2]);
    }

    fn load(&self) -> Load {
        let average = |(sum, number): (f64, f64)| (number > 0.0).then(|| (sum / number * 100.0).round() / 100.0);
        let [avg1h, avg6h, avg24h] = self.sums.map(average);
        Load { now: self.slots.front().copied().flatten(), avg1h, avg6h, avg24h }
    }
}

#[test]
fn the_averages_of_a_history_are_those_of_its_slots() {
    let (mut chance, mut history, mut all) = (Chance(7), History::default(), Vec::new());
    for _ in 0..400 {
        let value = (chance.uniform() > 0.3).then(|| chance.poisson(20.0));
        history.push(value);
        all.insert(0, value);
        let average = |slots: usize| {
            let known: Vec<f64> = all.iter().take(slots).flatten().copied().collect();
            (!known.is_empty()).then(|| (known.iter().sum::<f64>() / known.len() as f64 * 100.0).round() / 100.0)
        };
        let Load { now, avg1h, avg6h, avg24h } = history.load();
        assert_eq!([now, avg1h, avg6h, avg24h], [value, average(6), average(36), average(144)]);
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

/// What happens to all queues of a site at once. In the black hole every job fails within ten minutes: as many fail in a slot as run
/// as a rule, and hardly any is seen running.
const OF_SITES: [(&str, Shape); 4] = [
    ("drained site", INCIDENTS[0].1),
    ("black-hole site", |slot| if slot < INCIDENT { [1.0; 3] } else { [0.3, 0.1, 20.0] }),
    ("slow recovery of a site", INCIDENTS[2].1),
    ("week-end dip of a site", INCIDENTS[3].1),
];

const QUIET: Shape = |_| [1.0; 3];

/// The daily wave of ± 40 %.
fn wave(slot: i64, phase: f64) -> f64 {
    1.0 + 0.4 * ((slot as f64 / 144.0 + phase) * std::f64::consts::TAU).sin()
}

/// Plays the queues of a site, each with a usual number of running jobs, and calls `each` with the scores of every slot that a run
/// looked at: that of each queue, and that of the site. 5 % as many jobs fail in a slot as run, and half as many wait.
fn play(chance: &mut Chance, jobs: &[f64], slots: i64, shape: Shape, each: &mut dyn FnMut(i64, &[f64], f64)) {
    let phase = chance.uniform();
    let mut queues: Vec<[History; 3]> = jobs.iter().map(|_| Default::default()).collect();
    let mut scores = Vec::with_capacity(jobs.len());
    for slot in 0..slots {
        let is_gap = chance.uniform() < 0.05;
        let (factors, wave) = (shape(slot), wave(slot, phase));
        let mut site = Loads::default();
        scores.clear();
        for (histories, jobs) in queues.iter_mut().zip(jobs) {
            for ((history, usual), factor) in histories.iter_mut().zip([0.5 * jobs, *jobs, 0.05 * jobs]).zip(factors) {
                let value = chance.poisson(usual * factor * wave);
                history.push((!is_gap).then_some(value));
            }
            if is_gap {
                continue;
            }
            let [activated, running, failed] = histories.each_ref().map(History::load);
            let loads = Loads { activated, running, failed };
            scores.extend(score(&loads).map(|score| score.value()));
            site = site.plus(loads);
        }
        if let Some(of_site) = score(&site).filter(|_| !is_gap) {
            each(slot, &scores, of_site.value());
        }
    }
}

/// Returns in how many of so many seeds an incident is found within three slots: by the score of a queue, and by that of the site.
fn found(shape: Shape, jobs: &[f64], seeds: u64) -> [usize; 2] {
    let mut found = [0; 2];
    for seed in first_seed()..first_seed() + seeds {
        let mut is_found = [false; 2];
        play(&mut Chance(seed), jobs, INCIDENT + 3, shape, &mut |slot, queues, site| {
            if slot >= INCIDENT {
                is_found[0] |= queues.iter().any(|score| *score >= SUSPICIOUS);
                is_found[1] |= site >= SUSPICIOUS;
            }
        });
        found = [0, 1].map(|at| found[at] + usize::from(is_found[at]));
    }
    found
}

fn first_seed() -> u64 {
    env::var("GRIDMON_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0)
}

fn is_soak() -> bool {
    env::var("GRIDMON_SOAK").is_ok_and(|value| value == "1")
}

/// False alarms, and how many scores were looked at.
#[derive(Debug, Default)]
struct Alarms {
    of_queues: usize,
    of_sites: usize,
    looks: usize,
}

/// Plays quiet queues of 1 to 10,000 running jobs at sites of 1 to 12 of them over some days.
fn false_alarms(seed: u64, queues: usize, days: i64) -> Alarms {
    let (mut alarms, mut left) = (Alarms::default(), queues);
    for site in 0.. {
        let mut chance = Chance(seed * 10_000 + site);
        let of_site = (1 + (12.0 * chance.uniform()) as usize).min(left);
        // Evenly in the logarithm.
        let jobs: Vec<_> = (0..of_site).map(|_| 10_f64.powf(4.0 * chance.uniform())).collect();
        play(&mut chance, &jobs, days * 144, QUIET, &mut |slot, queues, site| {
            // The first day has no whole averages yet.
            if slot >= 144 {
                alarms.looks += queues.len() + 1;
                alarms.of_queues += queues.iter().filter(|score| **score >= SUSPICIOUS).count();
                alarms.of_sites += usize::from(site >= SUSPICIOUS);
            }
        });
        left -= of_site;
        if left == 0 {
            break;
        }
    }
    alarms
}

/// From how many running jobs on each incident is found within three slots in 95 of 100 seeds: of [`INCIDENTS`].
const SMALLEST: [f64; 4] = [25.0, 20.0, 40.0, 150.0];

/// The same of [`OF_SITES`], with the jobs of all queues.
const SMALLEST_SITES: [f64; 4] = [30.0, 20.0, 50.0, 150.0];

#[test]
fn incidents_are_found_within_three_slots() {
    for ((name, shape), smallest) in INCIDENTS.into_iter().zip(SMALLEST) {
        for jobs in [smallest, 3.0 * smallest] {
            let [found, of_site] = found(shape, &[jobs], 100);
            assert!(found >= 95, "{name}, {jobs} running: {found} of 100");
            assert_eq!(of_site, found, "a site of one queue is scored as the queue");
        }
    }
}

/// Ten queues with a tenth of the jobs each say little, their site says it all.
#[test]
fn incidents_of_sites_are_found_within_three_slots() {
    let sizes: &[f64] = if is_soak() { &[1.0, 3.0, 30.0] } else { &[1.0] };
    for ((name, shape), smallest) in OF_SITES.into_iter().zip(SMALLEST_SITES) {
        for jobs in sizes.iter().map(|factor| factor * smallest) {
            let [_, found] = found(shape, &[jobs / 10.0; 10], 100);
            assert!(found >= 95, "{name}, {jobs} running: {found} of 100");
        }
    }
    // The smallest of the drained sites has queues of 3 jobs, none of which is ever suspicious.
    let queues = [SMALLEST_SITES[0] / 10.0; 10];
    assert_eq!(found(OF_SITES[0].1, &queues, 20)[0], 0);
    assert_eq!(found(QUIET, &queues, 20), [0, 0]);
}

/// The chance of a Poisson number of at most `most`.
fn at_most(mean: f64, most: i64) -> f64 {
    let of = |k: i64| if mean > 0.0 { (k as f64 * mean.ln() - mean - log_factorial(k as f64)).exp() } else { 1.0 };
    if mean > 0.0 { (0..=most).map(of).sum() } else { f64::from(u8::from(most >= 0)) }
}

/// How often an incident is found by the best test of running jobs, one that knows their mean and raises one false alarm
/// in the 43 million scores of 20 months, spread evenly over queues of all sizes: it looks at each of the first three
/// counts, or, if none is missing, at their sum.
fn best(shape: Shape, jobs: f64, of_sum: bool) -> f64 {
    const FALSE: f64 = 1.0 / 43e6;
    let is_found = |usual: f64, now: f64| {
        let limit = (0..).find(|most| at_most(usual, *most) > FALSE).unwrap_or(0) - 1;
        at_most(now, limit)
    };
    let of_phase = |phase: f64| {
        let means = [0, 1, 2].map(|slot| jobs * wave(INCIDENT + slot, phase));
        let now = [0, 1, 2].map(|slot| means[slot as usize] * shape(INCIDENT + slot)[1]);
        if of_sum {
            return is_found(means.iter().sum(), now.iter().sum());
        }
        1.0 - means.iter().zip(now).map(|(usual, now)| 1.0 - 0.95 * is_found(*usual, now)).product::<f64>()
    };
    (0..48).map(|at| of_phase(f64::from(at) / 48.0)).sum::<f64>() / 48.0
}

#[test]
fn one_count_tells_no_more_of_smaller_queues() {
    let [(_, drained), _, (_, recovery), (_, dip)] = INCIDENTS;
    // The smallest queues at which it finds 95 of 100: about 30, 39 and 83.
    for (shape, too_few, enough) in [(drained, 25.0, 30.0), (recovery, 35.0, 40.0), (dip, 80.0, 90.0)] {
        let [few, more] = [too_few, enough].map(|jobs| best(shape, jobs, false));
        assert!(few < 0.95 && more >= 0.95, "{too_few}: {few}, {enough}: {more}");
    }
    // With an average of three slots, which the table does not have, half as many jobs could be enough.
    assert!(best(recovery, 20.0, true) > 0.95 && best(dip, 40.0, true) > 0.95 && best(dip, 30.0, true) < 0.95);
}

#[test]
fn quiet_queues_and_sites_stay_quiet() {
    let (seeds, queues, days) = if is_soak() { (20, 501, 31) } else { (1, 60, 3) };
    let mut sum = Alarms::default();
    for seed in first_seed()..first_seed() + seeds {
        let alarms = false_alarms(seed, queues, days);
        sum.of_queues += alarms.of_queues;
        sum.of_sites += alarms.of_sites;
        sum.looks += alarms.looks;
    }
    println!("{sum:?}");
    assert!(sum.of_queues <= 1 && sum.of_sites <= 1 && sum.looks > 10_000, "{sum:?}");
}

/// `cargo test --release --lib score::simulation -- --ignored --nocapture` prints the rates that docs/collect-panda.md gives.
#[test]
#[ignore = "a minute, and it only prints"]
fn the_rates_of_a_hundred_seeds() {
    for ((name, shape), of_sites) in INCIDENTS.into_iter().zip(OF_SITES) {
        for jobs in [20.0, 30.0, 40.0, 80.0, 150.0, 400.0, 2000.0] {
            let best = if name == "black hole" { 1.0 } else { best(shape, jobs, false) };
            let [found_in, _] = found(shape, &[jobs], 100);
            let [_, of_site] = found(of_sites.1, &[jobs / 10.0; 10], 100);
            let best = 100.0 * best;
            println!("{name}, {jobs} running: {found_in} of 100, best test {best:.0}; {}: {of_site}", of_sites.0);
        }
    }
}
