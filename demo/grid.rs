//! A simulated grid whose state depends on the time alone: every process that computes a minute gets a state that fits
//! all the others. It keeps no state and draws no random numbers.
//!
//! Machines occupy seats. A seat boots a machine if its kind of job wants that many machines at that moment; the
//! machine boots, runs, retires and shuts down, or fails. Jobs come in waves over the day; they run if the machines
//! have slots, and the rest waits. Faults occur at the same time every day (UTC), so that any 24 hours contain all of
//! them.

use std::f64::consts::TAU;
use std::ops::Range;

/// A minute, counted from 1970.
pub type Minute = i64;

const DAY: Minute = 1440;

/// A period of every day, in minutes after midnight UTC.
type Daily = Range<Minute>;

const fn at(hour: i64, minute: i64) -> Minute {
    60 * hour + minute
}

/// The clouds, sorted.
pub const CLOUDS: [&str; 4] = ["Alberta", "cc-east", "cc-west", "cern-preservation"];

/// The schedds, each with its share of the jobs in tenths.
pub const SCHEDDS: [(&str, i64); 3] =
    [("ce01.grid.example.org", 5), ("ce02.grid.example.org", 3), ("ce03.grid.example.org", 2)];

/// The collector, which the config names; the negotiator has the same name.
pub const POOL: &str = "cm.grid.example.org";

/// The schedd that hangs, and when.
const HANGS: (&str, Daily) = (SCHEDDS[1].0, at(3, 40)..at(4, 0));
/// The cloud that is disabled, and when.
const DISABLED: (&str, Daily) = (CLOUDS[0], at(16, 0)..at(17, 0));
/// The cloud that gets [`LENT`] more machines, and when.
const LENDS: (&str, Daily) = (CLOUDS[2], at(8, 0)..at(20, 0));
const LENT: usize = 4;
/// When Cloud Scheduler does not answer.
const SILENT: Daily = at(11, 17)..at(11, 21);

/// Jobs of one kind.
pub struct Kind {
    /// Their `TargetClouds`.
    pub target_clouds: &'static str,
    /// Their `AccountingGroup`.
    pub group: Option<&'static str>,
    /// The mean number of jobs over the day.
    mean: f64,
    /// The amplitude of the daily wave, as a fraction of the mean.
    swing: f64,
    /// When the wave is highest.
    crest: Minute,
    /// Number of jobs that run on one machine.
    slots: usize,
}

/// The kinds of jobs. Their attributes are those of the default `[job_types]`, except the last, which has no type.
pub static KINDS: [Kind; 6] = [
    kind("IAAS", Some("group_score.atlas"), 108.0, 0.45, at(14, 0), 8),
    kind("IAAS_MCORE", Some("group_mcore.atlas"), 16.0, 0.4, at(2, 0), 1),
    kind("Alberta", None, 27.0, 0.5, at(18, 0), 4),
    kind("cern-preservation", Some("group_dphep.lep"), 4.5, 0.7, at(9, 0), 2),
    kind("CERNClouds", Some("group_analysis.belle"), 13.0, 0.6, at(12, 0), 4),
    kind("cc-east,cc-west", None, 6.0, 0.9, at(15, 0), 4),
];

const fn kind(
    target_clouds: &'static str,
    group: Option<&'static str>,
    mean: f64,
    swing: f64,
    crest: Minute,
    slots: usize,
) -> Kind {
    Kind { target_clouds, group, mean, swing, crest, slots }
}

/// The machines of one type on one cloud: cloud, type, kind of jobs, seats. The seats of a cloud are its quota.
const FLEETS: [(usize, &str, usize, usize); 8] = [
    (0, "alberta-worker", 2, 10),
    (1, "atlas-worker", 0, 10),
    (1, "mcore-worker", 1, 14),
    (2, "atlas-worker", 0, 6),
    (2, "mcore-worker", 1, 8),
    (2, "user-worker", 5, 2),
    (3, "analysis-worker", 4, 5),
    (3, "dphep-worker", 3, 3),
];

/// The fleet to which the lent seats belong.
const LENT_FLEET: usize = 3;

/// The grid at one minute.
pub struct Grid {
    /// The minute.
    pub minute: Minute,
    /// Sorted by name.
    pub clouds: Vec<Cloud>,
    /// Whether Cloud Scheduler answers.
    pub cloud_scheduler_answers: bool,
    /// In the order of [`SCHEDDS`].
    pub schedds: Vec<Schedd>,
}

/// A cloud.
pub struct Cloud {
    pub name: &'static str,
    pub enabled: bool,
    /// Maximum number of machines.
    pub quota: usize,
    pub vms: Vec<Vm>,
}

/// A virtual machine.
#[derive(Clone)]
pub struct Vm {
    pub hostname: String,
    pub vmtype: &'static str,
    pub state: State,
    /// Number of jobs that run on it, each in its own dynamic slot.
    pub busy: usize,
    /// The speed that the startd has measured.
    pub mips: u64,
    kind: usize,
    /// Number of jobs that it accepts now.
    room: usize,
    began: Minute,
}

/// The state of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Starting,
    Running,
    Retiring,
    Shutdown,
    Error,
}

/// A schedd.
pub struct Schedd {
    pub name: &'static str,
    pub answers: bool,
    /// How busy its main loop is, 0 to 1.
    pub duty_cycle: f64,
    /// Its jobs: kind, `JobStatus` and number, never zero.
    pub jobs: Vec<(&'static Kind, i64, i64)>,
}

impl Grid {
    /// Computes the grid at `minute`, with the faults of the day.
    pub fn at(minute: Minute) -> Self {
        Self::played(minute, true)
    }

    /// Computes the grid at `minute` of a day without faults; what its operators do is the same.
    #[cfg(test)]
    pub fn quiet(minute: Minute) -> Self {
        Self::played(minute, false)
    }

    fn played(minute: Minute, has_faults: bool) -> Self {
        let mut vms = seats().iter().filter_map(|seat| seat.at(minute).map(|vm| (seat.cloud, vm))).collect::<Vec<_>>();
        // A retiring machine keeps its jobs; otherwise the oldest machine gets the most.
        vms.sort_by_key(|(_, vm)| (vm.state != State::Retiring, vm.began, vm.hostname.clone()));
        let mut counts = Vec::new();
        for (number, kind) in KINDS.iter().enumerate() {
            let there = kind.jobs(number, minute);
            let mut left = there;
            for (_, vm) in vms.iter_mut().filter(|(_, vm)| vm.kind == number) {
                vm.busy = vm.room.min(left as usize);
                left -= vm.busy as i64;
            }
            let few = |salt: u64, share: f64| {
                (kind.mean * share * (1.0 + noise(minute, 45, number as u64 + salt))).round() as i64
            };
            counts.extend([
                (kind, 1, left),
                (kind, 2, there - left),
                (kind, 4, few(100, 0.02)),
                (kind, 5, few(200, 0.04)),
            ]);
        }
        vms.sort_by(|a, b| (a.1.vmtype, &a.1.hostname).cmp(&(b.1.vmtype, &b.1.hostname)));
        let clouds = CLOUDS.iter().enumerate().map(|(number, name)| Cloud {
            name,
            enabled: enabled(name, minute),
            quota: quota(number, minute),
            vms: vms.iter().filter(|(cloud, _)| *cloud == number).map(|(_, vm)| vm.clone()).collect(),
        });
        let schedds = SCHEDDS.iter().enumerate().map(|(number, (name, _))| {
            let jobs = counts.iter().map(|(kind, status, count)| (*kind, *status, share(number, *count)));
            let jobs: Vec<_> = jobs.filter(|(_, _, count)| *count > 0).collect();
            let load = jobs.iter().map(|(_, _, count)| *count as f64 / 400.0).sum::<f64>();
            // Its main loop gets busier and busier in the hour before it hangs.
            let until = (HANGS.1.start - minute).rem_euclid(DAY) as f64;
            let doom = if has_faults && *name == HANGS.0 { (1.0 - until / 60.0).max(0.0) } else { 0.0 };
            let duty_cycle = (0.05 + load + 0.03 * noise(minute, 5, number as u64) + doom).clamp(0.01, 0.997);
            Schedd { name, answers: !has_faults || schedd_answers(name, minute), duty_cycle, jobs }
        });
        Self {
            minute,
            clouds: clouds.collect(),
            cloud_scheduler_answers: !has_faults || !within(&SILENT, minute),
            schedds: schedds.collect(),
        }
    }

    /// Returns whether everything answers, so that a run of `collect-grid` reports no problem.
    pub fn answers(&self) -> bool {
        self.cloud_scheduler_answers && self.schedds.iter().all(|schedd| schedd.answers)
    }

    /// Returns the machines of all clouds.
    pub fn vms(&self) -> impl Iterator<Item = &Vm> {
        self.clouds.iter().flat_map(|cloud| &cloud.vms)
    }

    /// Returns the duration of the negotiator's last cycle, in seconds.
    pub fn cycle_seconds(&self) -> i64 {
        let idle: i64 =
            self.schedds.iter().flat_map(|schedd| &schedd.jobs).filter(|job| job.1 == 1).map(|job| job.2).sum();
        2 + idle / 20
    }

    /// Returns the fraction of updates that the collector missed.
    pub fn updates_lost(&self) -> f64 {
        (noise(self.minute, 30, 999).max(0.0) * 20.0).round() / 10_000.0
    }
}

/// Returns the events of the grid at `minute`, a sentence each: changes by its operators, and faults.
pub fn news(minute: Minute) -> Vec<String> {
    let mut news = Vec::new();
    for (number, name) in CLOUDS.iter().enumerate() {
        match (enabled(name, minute - 1), enabled(name, minute)) {
            (true, false) => news.push(format!("{name} is disabled: Cloud Scheduler boots no machines on it")),
            (false, true) => news.push(format!("{name} is enabled again")),
            _ => {}
        }
        let (before, after) = (quota(number, minute - 1), quota(number, minute));
        if before != after {
            news.push(format!("the quota of {name} goes from {before} to {after} machines"));
        }
    }
    for (name, _) in SCHEDDS {
        match (schedd_answers(name, minute - 1), schedd_answers(name, minute)) {
            (true, false) => {
                news.push(format!("schedd {name} hangs up, after an hour in which it got slower and slower"))
            }
            (false, true) => news.push(format!("schedd {name} answers again")),
            _ => {}
        }
    }
    match (within(&SILENT, minute - 1), within(&SILENT, minute)) {
        (false, true) => news.push("Cloud Scheduler is restarted".into()),
        (true, false) => news.push("Cloud Scheduler answers again".into()),
        _ => {}
    }
    news
}

fn within(daily: &Daily, minute: Minute) -> bool {
    daily.contains(&minute.rem_euclid(DAY))
}

fn enabled(cloud: &str, minute: Minute) -> bool {
    cloud != DISABLED.0 || !within(&DISABLED.1, minute)
}

fn schedd_answers(schedd: &str, minute: Minute) -> bool {
    schedd != HANGS.0 || !within(&HANGS.1, minute)
}

fn quota(cloud: usize, minute: Minute) -> usize {
    let own: usize = FLEETS.iter().filter(|fleet| fleet.0 == cloud).map(|fleet| fleet.3).sum();
    own + if CLOUDS[cloud] == LENDS.0 && within(&LENDS.1, minute) { LENT } else { 0 }
}

/// Returns the number of `count` jobs that are at this schedd; the first one also has the remainder.
fn share(schedd: usize, count: i64) -> i64 {
    let part = |at: usize| count * SCHEDDS[at].1 / 10;
    if schedd == 0 { count - (1..SCHEDDS.len()).map(part).sum::<i64>() } else { part(schedd) }
}

impl Kind {
    /// Returns the number of jobs that run or wait.
    fn jobs(&self, number: usize, minute: Minute) -> i64 {
        let ripple = 1.0 + 0.05 * noise(minute, 7, number as u64 + 300) + 0.04 * noise(minute, 23, number as u64 + 400);
        (self.wave(number, minute) * ripple).round() as i64
    }

    /// Returns the slow part of that number, for which machines are booted.
    fn wave(&self, number: usize, minute: Minute) -> f64 {
        let day = (TAU * (minute - self.crest) as f64 / DAY as f64).cos();
        self.mean * (1.0 + self.swing * day) * (1.0 + 0.2 * noise(minute, 170, number as u64 + 500))
    }
}

/// A place for one machine after another.
struct Seat {
    cloud: usize,
    vmtype: &'static str,
    kind: usize,
    /// The order in which the seats of its kind are occupied.
    rank: usize,
    lent: bool,
    salt: u64,
}

/// Returns all seats. Those of one kind are occupied on all its clouds in turn, the lent ones last.
fn seats() -> Vec<Seat> {
    let mut seats = Vec::new();
    for (number, &(cloud, vmtype, kind, own)) in FLEETS.iter().enumerate() {
        let lent = if number == LENT_FLEET { LENT } else { 0 };
        seats.extend((0..own + lent).map(|at| {
            let salt = (1000 * number + at) as u64;
            // The preliminary rank is how full the fleet is with this seat, in thousandths.
            Seat { cloud, vmtype, kind, rank: 1000 * (at + 1) / own, lent: at >= own, salt }
        }));
    }
    seats.sort_by_key(|seat| (seat.kind, seat.rank, seat.salt));
    let mut before = None;
    let mut rank = 0;
    for seat in &mut seats {
        rank = if before == Some(seat.kind) { rank + 1 } else { 0 };
        before = Some(seat.kind);
        seat.rank = rank;
    }
    seats
}

impl Seat {
    /// Returns the machine on this seat at `minute`.
    fn at(&self, minute: Minute) -> Option<Vm> {
        // A seat gets a new machine every one and a half to three and a half hours.
        let length = 90 + (hash(&[self.salt, 1]) % 120) as Minute;
        let offset = (hash(&[self.salt, 2]) % length as u64) as Minute;
        let began = minute - (minute - offset).rem_euclid(length);
        let kind = &KINDS[self.kind];
        let wanted = kind.wave(self.kind, began) > (self.rank * kind.slots) as f64;
        let allowed = !self.lent || within(&LENDS.1, began);
        if !wanted || !allowed || !enabled(CLOUDS[self.cloud], began) {
            return None;
        }
        let own = |salt: u64| hash(&[self.salt, began as u64, salt]);
        let booted = began + 4 + (own(3) % 6) as Minute;
        let retires_for = 8 + (own(4) % 12) as Minute;
        // A lent seat is returned before the loan ends.
        let given_back = if self.lent { began + (LENDS.1.end - began).rem_euclid(DAY) - 2 } else { Minute::MAX };
        let ends = (began + length - 3).min(given_back);
        let fails = own(5) % 16 == 0;
        let state = match minute {
            _ if minute < booted.min(ends) => State::Starting,
            _ if fails && minute < (booted + 30).min(ends) => State::Error,
            _ if fails => return None,
            _ if minute < ends - retires_for => State::Running,
            _ if minute < ends => State::Retiring,
            _ if minute < ends + 2 => State::Shutdown,
            _ => return None,
        };
        let room = match state {
            // The startd of a machine that has just booted is not in the pool yet.
            State::Running if minute >= booted + 2 => kind.slots,
            State::Retiring => (kind.slots * (ends - minute) as usize).div_ceil(retires_for as usize + 1),
            _ => 0,
        };
        Some(Vm {
            hostname: format!("{}-{:08x}", CLOUDS[self.cloud].to_lowercase(), own(6) as u32),
            vmtype: self.vmtype,
            state,
            busy: 0,
            mips: 18_000 + own(7) % 6_000,
            kind: self.kind,
            room,
            began,
        })
    }
}

/// Returns a smooth curve between -1 and 1 that turns about every `period` minutes.
fn noise(minute: Minute, period: Minute, salt: u64) -> f64 {
    let knot = |number: Minute| hash(&[number as u64, period as u64, salt]) as f64 / u64::MAX as f64 * 2.0 - 1.0;
    let (number, part) = (minute.div_euclid(period), minute.rem_euclid(period) as f64 / period as f64);
    let part = part * part * (3.0 - 2.0 * part);
    knot(number) * (1.0 - part) + knot(number + 1) * part
}

/// The seed that makes this grid differ from any other.
const SEED: u64 = 0x6772_6964_6d6f_6e21;

/// Mixes numbers (SplitMix64).
fn hash(numbers: &[u64]) -> u64 {
    numbers.iter().fold(SEED, |hash, number| {
        let mixed = hash.wrapping_add(*number).wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// Three days, not starting on the hour.
    fn minutes() -> impl Iterator<Item = Minute> {
        let first = 29_000_001;
        first..first + 3 * DAY
    }

    #[test]
    fn no_cloud_has_more_machines_than_its_quota_and_no_two_machines_are_called_alike() {
        for minute in minutes() {
            let grid = Grid::at(minute);
            let mut names = BTreeSet::new();
            for cloud in &grid.clouds {
                assert!(cloud.vms.len() <= cloud.quota, "{minute}: {} on {}", cloud.vms.len(), cloud.name);
                assert!(cloud.vms.iter().all(|vm| names.insert(&vm.hostname)), "{minute}");
            }
        }
    }

    #[test]
    fn jobs_run_on_machines_that_can_and_wait_only_when_those_are_full() {
        for minute in minutes() {
            let grid = Grid::at(minute);
            for (number, kind) in KINDS.iter().enumerate() {
                let jobs = |status: i64| -> i64 {
                    let jobs = grid.schedds.iter().flat_map(|schedd| &schedd.jobs);
                    jobs.filter(|job| job.0.target_clouds == kind.target_clouds && job.1 == status)
                        .map(|job| job.2)
                        .sum()
                };
                let vms: Vec<_> = grid.vms().filter(|vm| vm.kind == number).collect();
                assert_eq!(vms.iter().map(|vm| vm.busy as i64).sum::<i64>(), jobs(2), "{minute}");
                assert!(jobs(1) == 0 || vms.iter().all(|vm| vm.busy == vm.room), "{minute}");
                for vm in vms {
                    let may_run = matches!(vm.state, State::Running | State::Retiring);
                    assert!(vm.busy <= vm.room && vm.room <= kind.slots && (may_run || vm.room == 0), "{minute}");
                }
            }
        }
    }

    #[test]
    fn machines_and_jobs_change_as_they_would() {
        let mut before = BTreeMap::new();
        let mut passed = BTreeSet::new();
        for minute in minutes() {
            let now: BTreeMap<_, _> = Grid::at(minute).vms().map(|vm| (vm.hostname.clone(), vm.state)).collect();
            for (name, state) in &now {
                match before.get(name) {
                    None if !before.is_empty() => {
                        assert_eq!(*state, State::Starting, "{minute}: {name} out of nothing")
                    }
                    Some(earlier) if earlier != state => {
                        passed.insert((*earlier, *state));
                    }
                    _ => {}
                }
            }
            before = now;
        }
        let fine = [
            (State::Starting, State::Running),
            (State::Starting, State::Error),
            (State::Running, State::Retiring),
            (State::Retiring, State::Shutdown),
            // A loan can be so short that the machine does not run at all.
            (State::Starting, State::Shutdown),
            (State::Starting, State::Retiring),
            (State::Error, State::Shutdown),
        ];
        assert!(passed.iter().all(|change| fine.contains(change)), "{passed:?}");
        assert!(fine[..4].iter().all(|change| passed.contains(change)), "{passed:?}");
    }

    #[test]
    fn a_day_is_worth_seeing() {
        let count = |grid: &Grid, status: i64| -> i64 {
            grid.schedds.iter().flat_map(|schedd| &schedd.jobs).filter(|job| job.1 == status).map(|job| job.2).sum()
        };
        for day in 0..3 {
            let first = 29_000_001 + day * DAY;
            let grids: Vec<_> = (first..first + DAY).map(Grid::at).collect();
            for status in [1, 2] {
                let counts: BTreeSet<_> = grids.iter().map(|grid| count(grid, status)).collect();
                assert!(counts.len() > 30, "{counts:?} jobs in status {status} all day");
            }
            for kind in &KINDS {
                let runs = |grid: &Grid| {
                    let jobs = grid.schedds.iter().flat_map(|schedd| &schedd.jobs);
                    jobs.filter(|job| job.0.target_clouds == kind.target_clouds).any(|job| job.1 == 2)
                };
                assert!(grids.iter().filter(|grid| runs(grid)).count() > 600, "{} hardly runs", kind.target_clouds);
            }
            let silent = grids.iter().filter(|grid| !grid.answers()).count() as i64;
            assert_eq!(silent, HANGS.1.end - HANGS.1.start + SILENT.end - SILENT.start);
            let told: Vec<_> = (first..first + DAY).flat_map(news).collect();
            assert_eq!(told.len(), 8, "{told:#?}");
        }
    }
}
