//! HTCondor: jobs from each schedd, slots from each pool's collector, and the health of the daemons, by means of
//! `condor_q` and `condor_status`. Measured against 23.9 and 25.14.
//!
//! ```text
//! $ condor_q -pool cm.example.org -name ce02@ce.example.org -allusers -group-by \
//!       -attributes JobStatus,TargetClouds,JobUniverse,AccountingGroup -json
//! [
//! {
//!   "AccountingGroup": "group_analy.long.anna",
//!   "Id": 1,
//!   "JobCount": 5,
//!   "JobIds": "2.0 ... 2.4",
//!   "JobStatus": 1,
//!   "JobUniverse": 5,
//!   "TargetClouds": "CERN,IAAS"
//! }
//! ]
//! $ condor_status -pool cm.example.org -json \
//!       -attributes Name,Machine,SlotType,PartitionableSlot,DynamicSlot,Offline,Mips,KFlops
//! ```
//!
//! With nothing to report, both print nothing and exit with 0. With `-group-by` the schedd counts the jobs (500,000 in
//! 0.75 s). The option is undocumented; if a schedd or tool does not know it, this program counts the plain dump while
//! it streams. The traps that shape this file:
//!
//! - `condor_q -global` and `-schedd-constraint` silently group nothing, and the exit code of `-global` is that of the
//!   last schedd. So every schedd is queried by name.
//! - `condor_q -pool P` without `-name` answers from the *local* schedd when P is dead.
//! - A truncated stream can be a well-formed shorter array: only exit code 0 counts.
//! - A hung schedd costs 20 s and a silent collector 60 s, and no setting shortens all of it. So each command has its
//!   own time-out here.

pub mod ads;
pub mod rules;
pub mod slot;

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use self::ads::{Attribute, Splitter};
pub use self::rules::Rules;
use self::slot::DynamicSlot;
use crate::config::{Key, Kind, Section, Unset, Values};
use crate::os::command::{self, Failure};
use crate::problem::Problem;

/// `[htcondor]`.
pub const SECTION: Section = Section::new(
    "htcondor",
    "Asks HTCondor for its pools' slots and its schedds' jobs.",
    &[
        Key::new(
            "pool",
            Kind::List,
            Unset::Absent("cm.example.org"),
            "The pools' collectors, HOST or HOST:PORT, several with commas. Default: the one this machine is configured for.",
        ),
        Key::new(
            "schedds",
            Kind::List,
            Unset::Default("all"),
            "Which schedds are asked: all (those the collectors list, and for a day those they listed before), local \
             (this machine's own, without -name), or names.",
        ),
        Key::new(
            "counting",
            Kind::Word(&["schedd", "dump"]),
            Unset::Default("schedd"),
            "Who counts the jobs: schedd (condor_q -group-by, and the dump where that fails) or dump (always the dump).",
        ),
        Key::new(
            "timeout_seconds",
            Kind::Seconds(1, 3600),
            Unset::Default("20"),
            "How long one command may take, in seconds.",
        ),
        Key::new("condor_q", Kind::Command, Unset::Default("condor_q"), PROGRAMS),
        Key::new("condor_status", Kind::Command, Unset::Default("condor_status"), PROGRAMS),
    ],
);

const PROGRAMS: &str = "The programs, with first arguments; found on PATH unless a path is given.";

/// `[htcondor]` and `[job_types]`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The collectors, `HOST` or `HOST:PORT`, one per pool; by default the one in this machine's own configuration.
    pub pools: Vec<String>,
    /// The schedds to query.
    pub schedds: Schedds,
    /// Who counts the jobs: the `schedd` (default; falls back to the dump if it cannot) or always this program, from
    /// the `dump` of all jobs.
    pub counting: Counting,
    /// The time limit of one command, in seconds; 20 by default.
    pub timeout_seconds: u64,
    /// The command that queries a schedd, with its first arguments; `condor_q` on PATH by default.
    pub condor_q: Vec<String>,
    /// The command that queries a collector, with its first arguments; `condor_status` on PATH by default.
    pub condor_status: Vec<String>,
    /// The job types.
    pub rules: Rules,
}

/// `[htcondor] schedds`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedds {
    /// `all`: the schedds that the collectors list, and those that they listed within the last day.
    All,
    /// `local`: the schedd of this machine, without querying a collector for it.
    Local,
    /// These schedds, whether a collector lists them or not.
    Named(Vec<String>),
}

/// `[htcondor] counting`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// `condor_q -group-by`, or the dump if that fails.
    Schedd,
    /// The dump of all jobs.
    Dump,
}

impl Config {
    /// Reads `[htcondor]`.
    ///
    /// # Errors
    /// Fails if a value is not of its key's kind.
    pub fn read(values: &Values, rules: Rules) -> Result<Self> {
        let pools = values.list("pool")?;
        let schedds = match values.list("schedds")?.as_slice() {
            [] => Schedds::All,
            [word] if word == "all" => Schedds::All,
            [word] if word == "local" => Schedds::Local,
            names => {
                let word = |name: &String| name == "all" || name == "local";
                values.check("schedds", !names.iter().any(word), "all, local or names of schedds")?;
                Schedds::Named(names.to_vec())
            }
        };
        let harmless = |names: &[String]| !names.iter().any(|name| name.starts_with('-'));
        values.check("pool", harmless(&pools), "the name of a collector")?;
        if let Schedds::Named(names) = &schedds {
            values.check("schedds", harmless(names), "the name of a schedd")?;
        }
        let counting = if values.word("counting")? == "dump" { Counting::Dump } else { Counting::Schedd };
        Ok(Self {
            pools: if pools.is_empty() { vec![LOCAL.to_string()] } else { pools },
            schedds,
            counting,
            timeout_seconds: values.number("timeout_seconds")?,
            condor_q: values.command("condor_q")?,
            condor_status: values.command("condor_status")?,
            rules,
        })
    }
}

/// The name of this machine's own pool and of its own schedd.
pub const LOCAL: &str = "local";

/// The answers of all pools and schedds.
#[derive(Debug, Default)]
pub struct CondorReply {
    /// One per pool, in the order of the config.
    pub pools: Vec<Pool>,
    /// One per schedd that was, or should have been, queried; sorted by name.
    pub schedds: Vec<Schedd>,
    /// Whether `schedds` is complete: every required list of schedds arrived.
    pub every_schedd_is_known: bool,
}

impl CondorReply {
    /// Returns the jobs of each schedd; `None` unless there is a schedd and every known one answered.
    pub fn every_schedds_jobs(&self) -> Option<Vec<&Jobs>> {
        let jobs: Option<Vec<_>> = self.schedds.iter().map(|schedd| schedd.jobs.as_ref()).collect();
        jobs.filter(|jobs| self.every_schedd_is_known && !jobs.is_empty())
    }
}

/// The answers of one collector.
#[derive(Debug)]
pub struct Pool {
    /// The pool's name in the config.
    pub name: String,
    /// Its slots; `None` if the collector did not answer.
    pub slots: Option<Slots>,
    /// The share of updates that the collector missed, 0 to 1 (`UpdatesLostRatio`).
    pub updates_lost_ratio: Option<f64>,
    /// The pool's negotiators by name, each with the length of its last cycle in seconds
    /// (`LastNegotiationCycleDuration0`).
    pub negotiators: Vec<(String, f64)>,
    /// Whether its list of schedds arrived.
    pub listed: bool,
}

/// The dynamic slots of a pool, by host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slots {
    /// Keyed by the first label of the host's name, in lower case.
    pub hosts: BTreeMap<String, Host>,
    /// The number of all slots, including static and partitionable ones.
    pub count: usize,
}

/// The dynamic slots of one host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Host {
    /// The number of slots with each name (`slot1_2`), over all startds of the host.
    pub slots: BTreeMap<String, i64>,
    /// The sum of their `Mips`.
    pub mips: f64,
    /// The sum of their `KFlops`.
    pub kflops: f64,
}

/// The facts about one schedd.
#[derive(Debug)]
pub struct Schedd {
    /// Its name, as the collector lists it.
    pub name: String,
    /// Its jobs by group, sorted; `None` if it did not answer.
    pub jobs: Option<Jobs>,
    /// How busy its main loop was recently, 0 to 1 (`RecentDaemonCoreDutyCycle`); above 0.98 it cannot keep up.
    pub duty_cycle_ratio: Option<f64>,
    /// The most jobs that it runs at once (`MaxJobsRunning`).
    pub running_jobs_limit: Option<i64>,
    /// The jobs of its factories that are not in its queue yet (`JobsUnmaterialized`); `None` before HTCondor 10.2.3.
    pub unmaterialized_jobs: Option<i64>,
}

/// The number of jobs in each group.
pub type Jobs = BTreeMap<JobGroup, i64>;

/// The attributes that the jobs of one group share.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobGroup {
    /// `JobStatus`; `None` if the job has no numeric one.
    pub status: Option<i64>,
    /// The values of [`Rules::attributes`], in that order.
    pub values: Vec<Option<String>>,
}

/// The schedds that a collector listed, by pool and name, with the time of the last list with them, in unix seconds, to
/// the hour.
///
/// A schedd that is down disappears from the collector's list within minutes; without this memory the grid's totals
/// would shrink in silence.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KnownSchedds(BTreeMap<String, BTreeMap<String, i64>>);

/// How long a schedd is still expected to answer after its last listing, in seconds.
const REMEMBERED: u64 = 24 * 3600;

/// The number of commands that run at once; each process takes some 20 MB.
const AT_ONCE: usize = 16;

/// The most groups of jobs. More groups mean that a rule names an attribute that differs from job to job, and memory
/// would grow with the number of jobs.
const MOST_GROUPS: usize = 50_000;

/// Queries all pools and schedds in parallel, at most until `until`.
///
/// `now` is the run's clock in unix seconds, by which `known` expires. A pool or schedd that does not answer is missing in
/// the reply and named in the problems.
pub fn collect(config: &Config, known: &mut KnownSchedds, now: i64, until: Instant) -> (CondorReply, Vec<Problem>) {
    let client = Client { config, until };
    let pools = side_by_side(config.pools.len(), |at| client.pool(&config.pools[at]));
    let mut answer = CondorReply::default();
    let mut problems = Vec::new();
    let mut targets = BTreeMap::<String, Target>::new();
    for (pool, listed, of_pool) in pools {
        let collector_is_up = pool.listed;
        known.update(&pool.name, listed.as_ref().map(|ads| ads.keys()), now);
        let mut listed = listed.unwrap_or_default();
        if config.schedds == Schedds::All {
            for name in known.schedds(&pool.name) {
                let ad = listed.remove(name);
                targets.entry(name.into()).or_insert(Target { pool: pool.name.clone(), ad, askable: collector_is_up });
            }
        } else if let Schedds::Named(names) = &config.schedds {
            for (name, ad) in listed.into_iter().filter(|(name, _)| names.contains(name)) {
                targets.entry(name).or_insert(Target { pool: pool.name.clone(), ad: Some(ad), askable: true });
            }
        }
        problems.extend(of_pool);
        answer.pools.push(pool);
    }
    add_unlisted(config, &answer.pools, &mut targets);
    answer.every_schedd_is_known = config.schedds != Schedds::All || answer.pools.iter().all(|pool| pool.listed);
    let targets: Vec<_> = targets.into_iter().collect();
    let jobs = side_by_side(targets.len(), |at| {
        let (name, target) = &targets[at];
        // Without its collector a schedd cannot be found; the collector's problem already says so.
        target.askable.then(|| client.jobs(&target.pool, name))
    });
    for ((name, target), jobs) in targets.into_iter().zip(jobs) {
        let jobs = match jobs {
            Some(Ok(jobs)) => Some(jobs),
            Some(Err(failure)) => {
                problems.push(client.no_jobs(&name, &target, &failure));
                None
            }
            None => None,
        };
        let ad = target.ad.unwrap_or_default();
        answer.schedds.push(Schedd {
            name,
            jobs,
            duty_cycle_ratio: ad.duty_cycle_ratio,
            running_jobs_limit: ad.running_jobs_limit,
            unmaterialized_jobs: ad.unmaterialized_jobs,
        });
    }
    (answer, problems)
}

/// Adds the schedds that the config names but no collector lists.
fn add_unlisted(config: &Config, pools: &[Pool], targets: &mut BTreeMap<String, Target>) {
    match &config.schedds {
        Schedds::All => {}
        Schedds::Local => {
            targets.insert(LOCAL.into(), Target { pool: LOCAL.into(), ad: None, askable: true });
        }
        Schedds::Named(names) => {
            for name in names {
                let pool = pools.iter().find(|pool| pool.listed).or(pools.first());
                let Some(pool) = pool else { continue };
                let target = Target { pool: pool.name.clone(), ad: None, askable: pool.listed };
                targets.entry(name.clone()).or_insert(target);
            }
        }
    }
}

/// A schedd to query.
struct Target {
    pool: String,
    ad: Option<ScheddAd>,
    askable: bool,
}

/// The collector's ad of a schedd.
#[derive(Clone, Debug, Default)]
struct ScheddAd {
    duty_cycle_ratio: Option<f64>,
    running_jobs_limit: Option<i64>,
    unmaterialized_jobs: Option<i64>,
}

impl KnownSchedds {
    /// Adds the schedds of a list (`Some`), and forgets those that no list has held for a day.
    fn update<'a>(&mut self, pool: &str, listed: Option<impl Iterator<Item = &'a String>>, now: i64) {
        let Some(listed) = listed else { return };
        let known = self.0.entry(pool.into()).or_default();
        for name in listed {
            // To the hour, so that most runs need not write the state.
            let seen = known.entry(name.clone()).or_insert(now);
            if !(0..3600).contains(&now.saturating_sub(*seen)) {
                *seen = now;
            }
        }
        known.retain(|_, seen| now.abs_diff(*seen) < REMEMBERED);
    }

    fn schedds(&self, pool: &str) -> impl Iterator<Item = &str> {
        self.0.get(pool).into_iter().flat_map(|known| known.keys().map(String::as_str))
    }
}

/// Runs `work` for 0 up to `count`, [`AT_ONCE`] at a time; returns the results in that order.
fn side_by_side<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    if count <= 1 {
        return (0..count).map(work).collect();
    }
    let next = Mutex::new(0..count);
    let results = Mutex::new(Vec::with_capacity(count));
    thread::scope(|scope| {
        for _ in 0..count.min(AT_ONCE) {
            scope.spawn(|| {
                while let Some(at) = { next.lock().expect("no panic while it is held").next() } {
                    let result = work(at);
                    results.lock().expect("no panic while it is held").push((at, result));
                }
            });
        }
    });
    let mut results = results.into_inner().expect("no panic while it is held");
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Runs queries within the time limits.
struct Client<'a> {
    config: &'a Config,
    until: Instant,
}

/// A pool, the schedds that its collector lists (`None` if it did not answer), and the problems.
type PoolAnswer = (Pool, Option<BTreeMap<String, ScheddAd>>, Vec<Problem>);

impl Client<'_> {
    /// Returns the problem of a schedd that did not count its jobs.
    fn no_jobs(&self, name: &str, target: &Target, failure: &Failure) -> Problem {
        let is_gone = self.config.schedds == Schedds::All && target.ad.is_none();
        let advice = if is_gone {
            " (its collector lists it no more; it is given up after a day, or at once when [htcondor] schedds names the others)"
        } else {
            ""
        };
        let condor_q = &self.config.condor_q[0];
        let message = format!("{condor_q} {failure}{advice}; its jobs and the grid's totals are missing");
        Problem::of_source(format!("schedd {name}"), message)
    }

    /// Queries a collector for its slots, schedds, negotiators and its own health, in parallel.
    fn pool(&self, name: &str) -> PoolAnswer {
        let (slots, (schedds, (negotiators, collector))) = thread::scope(|scope| {
            let slots = scope.spawn(|| self.slots(name));
            let health = scope.spawn(|| (self.negotiators(name), self.collector(name)));
            let schedds = self.schedds(name);
            let joined = "a thread that asks does not panic";
            (slots.join().expect(joined), (schedds, health.join().expect(joined)))
        });
        let mut problems = Vec::new();
        let mut problem = |what: String, failure: &Failure, missing: &str| {
            let program = &self.config.condor_status[0];
            let advice = match failure {
                Failure::Start(_) => {
                    "; set PATH in the crontab or [htcondor] condor_status, or name [cloud_scheduler] alone in the config when there is no HTCondor"
                }
                _ => "",
            };
            problems.push(Problem::of_source(what, format!("{program} {failure}{advice}; {missing}")));
        };
        // If the collector is down, all four queries fail; report it once.
        match (&slots, &schedds) {
            (Err(failure), Err(_)) => problem(
                format!("pool {name}"),
                failure,
                "its slots, its schedds' jobs and the grid's totals are missing",
            ),
            (Err(failure), Ok(_)) => {
                problem(format!("slots of pool {name}"), failure, "slots and idle machines are missing")
            }
            (Ok(_), Err(failure)) => problem(
                format!("schedds of pool {name}"),
                failure,
                "its schedds' jobs and the grid's totals are missing",
            ),
            (Ok(_), Ok(_)) => {
                for (what, result) in
                    [("negotiators", negotiators.as_ref().err()), ("collector", collector.as_ref().err())]
                {
                    if let Some(failure) = result {
                        problem(format!("{what} of pool {name}"), failure, "its health is missing");
                    }
                }
            }
        }
        let pool = Pool {
            name: name.into(),
            slots: slots.ok(),
            updates_lost_ratio: collector.unwrap_or_default(),
            negotiators: negotiators.unwrap_or_default(),
            listed: schedds.is_ok(),
        };
        (pool, schedds.ok(), problems)
    }

    fn slots(&self, pool: &str) -> Result<Slots, Failure> {
        let mut slots = Slots::default();
        self.status(pool, &[], &slot::ATTRIBUTES, |ad| slots.add(&ad))?;
        Ok(slots)
    }

    fn schedds(&self, pool: &str) -> Result<BTreeMap<String, ScheddAd>, Failure> {
        let mut schedds = BTreeMap::new();
        let attributes = ["Name", "RecentDaemonCoreDutyCycle", "MaxJobsRunning", "JobsUnmaterialized"];
        self.status(pool, &["-schedd"], &attributes, |[name, duty_cycle, limit, unmaterialized]| {
            // HTCondor uses no names that look like flags.
            if let Some(name) = name.text().filter(|name| !name.is_empty() && !name.starts_with('-')) {
                let ad = ScheddAd {
                    duty_cycle_ratio: duty_cycle.number(),
                    running_jobs_limit: limit.whole(),
                    unmaterialized_jobs: unmaterialized.whole(),
                };
                schedds.insert(name, ad);
            }
        })?;
        Ok(schedds)
    }

    fn negotiators(&self, pool: &str) -> Result<Vec<(String, f64)>, Failure> {
        let mut negotiators = Vec::new();
        self.status(pool, &["-negotiator"], &["Name", "LastNegotiationCycleDuration0"], |[name, seconds]| {
            // The duration is absent until the first cycle has ended.
            negotiators.extend(name.text().zip(seconds.number()));
        })?;
        negotiators.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(negotiators)
    }

    fn collector(&self, pool: &str) -> Result<Option<f64>, Failure> {
        let mut ratio = None;
        self.status(pool, &["-collector"], &["UpdatesLostRatio"], |[lost]| ratio = ratio.or(lost.number()))?;
        Ok(ratio)
    }

    /// Runs `condor_status` and passes the `attributes` of each ad to `each`.
    fn status<const N: usize>(
        &self,
        pool: &str,
        arguments: &[&str],
        attributes: &[&str; N],
        mut each: impl FnMut([Attribute; N]),
    ) -> Result<(), Failure> {
        let mut command = super::command(&self.config.condor_status);
        if pool != LOCAL {
            command.args(["-pool", pool]);
        }
        command.args(arguments).args(["-json", "-attributes", &attributes.join(",")]);
        self.ads(&mut command, &mut |ad| {
            each(ads::read(ad, attributes)?);
            Ok(())
        })
        .map(drop)
    }

    /// Returns the jobs of one schedd.
    fn jobs(&self, pool: &str, schedd: &str) -> Result<Jobs, Failure> {
        if self.config.counting == Counting::Schedd {
            match self.queue(pool, schedd, &["-group-by"]) {
                // Some uses of -group-by print nothing and exit with 0, like an empty queue. So only the dump can
                // confirm an empty queue, at next to no cost.
                Ok(jobs) if jobs.is_empty() => {}
                Err(Failure::Exit(_, words)) if words.contains("group-by") => {}
                result => return result,
            }
        }
        self.queue(pool, schedd, &[])
    }

    fn queue(&self, pool: &str, schedd: &str, arguments: &[&str]) -> Result<Jobs, Failure> {
        let mut command = super::command(&self.config.condor_q);
        if pool != LOCAL {
            command.args(["-pool", pool]);
        }
        if schedd != LOCAL {
            command.args(["-name", schedd]);
        }
        let attributes = self.config.rules.attributes().join(",");
        command.arg("-allusers").args(arguments).args(["-attributes", &format!("JobStatus,{attributes}"), "-json"]);
        let mut counter = Counter::new(&self.config.rules);
        self.ads(&mut command, &mut |ad| counter.add(ad))?;
        counter.finish().map_err(Failure::Output)
    }

    /// Runs `command` and passes each ad of its output to `each`.
    fn ads(&self, command: &mut Command, each: &mut impl FnMut(&[u8]) -> Result<()>) -> Result<(), Failure> {
        let mut splitter = Splitter::default();
        let limit = Instant::now() + Duration::from_secs(self.config.timeout_seconds);
        command::run(command, limit.min(self.until), |piece| splitter.feed(piece, each))?;
        splitter.finish().map(drop).map_err(Failure::Output)
    }
}

impl Slots {
    /// Counts a slot by the [`slot::ATTRIBUTES`] of its ad. All but a [`DynamicSlot`] add to `count` only.
    pub fn add(&mut self, ad: &[Attribute; 8]) {
        self.count += 1;
        let Some(slot) = DynamicSlot::read(ad) else { return };
        let host = self.hosts.entry(first_label(&slot.machine)).or_default();
        *host.slots.entry(slot.name).or_default() += 1;
        host.mips += slot.mips;
        host.kflops += slot.kflops;
    }
}

/// Returns the first label of a host name, in lower case: `wn1` for `WN1.example.org`; an IP address stays whole. It
/// joins a machine's slots to its record in Cloud Scheduler.
pub fn first_label(host: &str) -> String {
    let label = host.split('.').next().unwrap_or_default();
    let is_address = label.bytes().all(|byte| byte.is_ascii_digit()) && host.parse::<Ipv4Addr>().is_ok();
    if is_address { host.into() } else { label.to_lowercase() }
}

/// Counts jobs by group, from the dump (one ad per job) or from `-group-by` (one ad per group, with its `JobCount`).
pub struct Counter<'a> {
    wanted: Vec<&'a str>,
    values: Vec<Attribute>,
    /// The number of ads with each exact text. In a dump of a few attributes, hundreds of thousands of jobs share a
    /// handful of texts, and comparing bytes is ten times cheaper than parsing JSON.
    texts: HashMap<Box<[u8]>, i64>,
    jobs: Jobs,
}

/// The most distinct texts to collect before they are parsed and counted.
const MOST_TEXTS: usize = 4096;

impl<'a> Counter<'a> {
    /// Creates an empty counter.
    pub fn new(rules: &'a Rules) -> Self {
        let wanted: Vec<_> =
            ["JobStatus", "JobCount"].into_iter().chain(rules.attributes().iter().map(String::as_str)).collect();
        let values = vec![Attribute::None; wanted.len()];
        Self { wanted, values, texts: HashMap::new(), jobs: Jobs::new() }
    }

    /// Counts one ad.
    ///
    /// # Errors
    /// Fails if the ad is not JSON, its `JobCount` is impossible, or there are too many groups.
    pub fn add(&mut self, ad: &[u8]) -> Result<()> {
        if let Some(times) = self.texts.get_mut(ad) {
            *times += 1;
            return Ok(());
        }
        if self.texts.len() >= MOST_TEXTS {
            self.count_texts()?;
        }
        self.texts.insert(ad.into(), 1);
        Ok(())
    }

    fn count_texts(&mut self) -> Result<()> {
        // Sorted, so that the error names the same bad ad each time.
        let mut texts: Vec<_> = std::mem::take(&mut self.texts).into_iter().collect();
        texts.sort_unstable();
        for (ad, times) in texts {
            ads::read_into(&ad, &self.wanted, &mut self.values)?;
            let [status, count, values @ ..] = self.values.as_slice() else { unreachable!("both are wanted always") };
            let count = match count {
                Attribute::None => 1,
                count => count.whole().filter(|count| (0..=1_000_000_000_000).contains(count)).unwrap_or(-1),
            };
            ensure!(
                count >= 0,
                "printed a JobCount that counts nothing: {}",
                crate::text::quote(&String::from_utf8_lossy(&ad))
            );
            let group = JobGroup { status: status.whole(), values: values.iter().map(Attribute::text).collect() };
            *self.jobs.entry(group).or_default() += count * times;
        }
        ensure!(
            self.jobs.len() <= MOST_GROUPS,
            "has jobs in over {MOST_GROUPS} groups of equal {}; a rule of [job_types] names an attribute that differs from job to job",
            self.wanted[2..].join(", ")
        );
        Ok(())
    }

    /// Returns the jobs by group.
    ///
    /// # Errors
    /// As [`Counter::add`].
    pub fn finish(mut self) -> Result<Jobs> {
        self.count_texts()?;
        Ok(self.jobs)
    }
}

/// Parses a printed array of job ads, as [`collect`] does.
///
/// # Errors
/// Fails if the text is not a complete array of ads.
pub fn parse_jobs(text: &[u8], rules: &Rules) -> Result<Jobs> {
    let mut counter = Counter::new(rules);
    let mut splitter = Splitter::default();
    splitter.feed(text, &mut |ad| counter.add(ad))?;
    splitter.finish()?;
    counter.finish()
}

/// Parses a printed array of slot ads, as [`collect`] does.
///
/// # Errors
/// Fails if the text is not a complete array of ads.
pub fn parse_slots(text: &[u8]) -> Result<Slots> {
    let mut slots = Slots::default();
    let mut splitter = Splitter::default();
    splitter.feed(text, &mut |ad| {
        slots.add(&ads::read(ad, &slot::ATTRIBUTES)?);
        Ok(())
    })?;
    splitter.finish()?;
    Ok(slots)
}

/// Returns the number of jobs as `condor_q -totals` counts them: `7 jobs`, `7 jobs and 6 of the scheduler universe`.
fn count_in_words(jobs: &Jobs) -> String {
    let (mut count, mut scheduler) = (0, 0);
    for (group, jobs) in jobs {
        *(if Rules::in_scheduler_universe(&group.values) { &mut scheduler } else { &mut count }) += jobs;
    }
    match scheduler {
        0 => format!("{count} jobs"),
        _ => format!("{count} jobs and {scheduler} of the scheduler universe"),
    }
}

/// Queries every collector and schedd; returns one line per pool and schedd.
pub fn check(config: &Config, until: Instant) -> Vec<(String, Result<String, String>)> {
    let (answer, problems) = collect(config, &mut KnownSchedds::default(), 0, until);
    let mut lines = Vec::new();
    for pool in &answer.pools {
        if let Some(slots) = pool.slots.as_ref().filter(|_| pool.listed) {
            lines.push((format!("pool {}", pool.name), Ok(format!("{} slots", slots.count))));
        }
    }
    for schedd in &answer.schedds {
        if let Some(jobs) = &schedd.jobs {
            lines.push((format!("schedd {}", schedd.name), Ok(count_in_words(jobs))));
        }
    }
    lines.extend(problems.into_iter().map(|problem| (problem.subject.to_string(), Err(problem.message))));
    lines
}
