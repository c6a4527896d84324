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
//!       -attributes MyAddress,Name,Machine,SlotType,PartitionableSlot,DynamicSlot,Offline,Mips,KFlops
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
//! - A collector that has just started has few ads, and lists them as if they were all.

pub mod ads;
mod memory;
mod pools;
pub mod rules;
pub mod slot;
mod turns;

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use self::ads::{Attribute, Splitter};
pub use self::memory::Memory;
use self::pools::PoolList;
pub use self::rules::Rules;
use self::slot::DynamicSlot;
use self::turns::Turn;
use crate::config::{Key, Kind, Program, Section, Unset, Values};
use crate::os::command::Failure;
use crate::os::work::{catch, side_by_side};
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
        Key::new(
            "update_interval_seconds",
            Kind::Seconds(1, 3600),
            Unset::Default("300"),
            "How often the pools' daemons update their ads: the longer one of UPDATE_INTERVAL and SCHEDD_INTERVAL, in \
             seconds. A collector that started less than 1.2 times that ago does not have all ads yet and is not believed.",
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
    /// The longest interval between two updates of a daemon's ad, in seconds; 300 by default.
    pub update_interval_seconds: u64,
    /// The command that queries a schedd, with its first arguments; `condor_q` on PATH by default.
    pub condor_q: Program,
    /// The command that queries a collector, with its first arguments; `condor_status` on PATH by default.
    pub condor_status: Program,
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
        let pools = without_repetition(&values.list("pool")?);
        let schedds = match values.list("schedds")?.as_slice() {
            [] => Schedds::All,
            [word] if word == "all" => Schedds::All,
            [word] if word == "local" => Schedds::Local,
            names => {
                let word = |name: &String| name == "all" || name == "local";
                values.check("schedds", !names.iter().any(word), "all, local or names of schedds")?;
                Schedds::Named(without_repetition(names))
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
            update_interval_seconds: values.number("update_interval_seconds")?,
            condor_q: values.command("condor_q")?,
            condor_status: values.command("condor_status")?,
            rules,
        })
    }

    /// Returns the time after which every daemon that lives has updated its ad, in seconds. The fifth more is for the
    /// daemons' own delays.
    fn settle_seconds(&self) -> i64 {
        (self.update_interval_seconds + self.update_interval_seconds.div_ceil(5)) as i64
    }
}

/// Returns each name once, in the spelling that comes first.
fn without_repetition(names: &[String]) -> Vec<String> {
    let mut each = Vec::<String>::new();
    for name in names {
        if !each.iter().any(|known| same_name(known, name)) {
            each.push(name.clone());
        }
    }
    each
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
    /// Whether it listed its slots and schedds, all of them or not.
    pub answered: bool,
    /// Its slots, without those that are in the answer of an earlier pool; `None` unless its list is that of the whole pool.
    pub slots: Option<Slots>,
    /// Whether its list of schedds is that of the whole pool.
    pub listed: bool,
    /// Whether another collector lists all that this one should have listed.
    pub covered: bool,
    /// The share of updates that the collector missed, 0 to 1 (`UpdatesLostRatio`).
    pub updates_lost_ratio: Option<f64>,
    /// The pool's negotiators by name, each with the length of its last cycle in seconds
    /// (`LastNegotiationCycleDuration0`), without those that are in the answer of an earlier pool; `None` if it did not
    /// list them.
    pub negotiators: Option<Vec<(String, f64)>>,
}

/// The dynamic slots of a pool, by host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slots {
    /// Keyed by the first label of the host's name, in lower case.
    pub hosts: BTreeMap<String, Host>,
    /// The number of all slots that the pool lists, including static and partitionable ones.
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

/// The number of collectors that are queried at once, each with four commands.
const POOLS_AT_ONCE: usize = 8;

/// The most groups of jobs. More groups mean that a rule names an attribute that differs from job to job, and memory
/// would grow with the number of jobs.
const MOST_GROUPS: usize = 50_000;

/// Queries all pools and schedds in parallel, at most until `until`.
///
/// `now` is the time by which `memory` expires, in unix seconds. A pool or schedd that does not answer is missing
/// in the reply and named in the problems.
pub fn collect(config: &Config, memory: &mut Memory, now: i64, until: Instant) -> (CondorReply, Vec<Problem>) {
    let client = Client { config, until };
    let answers = side_by_side(config.pools.len(), POOLS_AT_ONCE, |at| client.pool(&config.pools[at]));
    let lists = pools::judge(config, answers, memory, now);
    let targets = targets(config, &lists, memory);
    let turns = client.ask_schedds(&targets, &mut memory.turns);
    let mut problems: Vec<_> = lists.iter().flat_map(|list| pools::problems(config, list)).collect();
    let every_schedd_is_known = config.schedds != Schedds::All
        || lists.iter().all(|list| list.schedds_are_whole() || list.covered_by.is_some());
    let mut schedds = Vec::new();
    for (target, turn) in targets.into_iter().zip(turns) {
        problems.extend(client.no_jobs(&target, &turn));
        let ad = target.ad.unwrap_or_default();
        schedds.push(Schedd {
            name: target.name,
            jobs: if let Turn::Counted(jobs) = turn { Some(jobs) } else { None },
            duty_cycle_ratio: ad.duty_cycle_ratio,
            running_jobs_limit: ad.running_jobs_limit,
            unmaterialized_jobs: ad.unmaterialized_jobs,
        });
    }
    (CondorReply { pools: pools::reply(lists), schedds, every_schedd_is_known }, problems)
}

/// A schedd to query.
struct Target {
    /// Its name as it is published.
    name: String,
    /// The pool through whose collector it is found.
    pool: String,
    ad: Option<ScheddAd>,
    /// Whether that collector answered. Without it the schedd cannot be found; the collector's problem says so.
    askable: bool,
    /// Whether the collector lists more schedds every minute, because it has just started.
    is_young: bool,
}

/// The collector's ad of a schedd.
#[derive(Clone, Debug, Default)]
struct ScheddAd {
    duty_cycle_ratio: Option<f64>,
    running_jobs_limit: Option<i64>,
    unmaterialized_jobs: Option<i64>,
}

/// Returns the schedds to query, sorted by name without case, each through a collector that lists it now, else through
/// the one that listed it last.
fn targets(config: &Config, lists: &[PoolList], memory: &Memory) -> Vec<Target> {
    let mut targets = BTreeMap::<String, Target>::new();
    if config.schedds == Schedds::Local {
        let target = Target { name: LOCAL.into(), pool: LOCAL.into(), ad: None, askable: true, is_young: false };
        return vec![target];
    }
    let published = |name: &str| match &config.schedds {
        Schedds::Named(names) => names.iter().find(|known| same_name(known, name)).cloned(),
        _ => Some(memory.schedds.spelling(name).unwrap_or(name).to_string()),
    };
    for list in lists {
        for (name, ad) in list.schedds.iter().flatten() {
            let Some(name) = published(name) else { continue };
            let key = name.to_ascii_lowercase();
            let (pool, ad) = (list.name.clone(), Some(ad.clone()));
            targets.entry(key).or_insert(Target { name, pool, ad, askable: true, is_young: false });
        }
    }
    // A collector that answers comes before one that does not.
    for list in
        lists.iter().filter(|list| list.schedds.is_ok()).chain(lists.iter().filter(|list| list.schedds.is_err()))
    {
        // The collector that lists everything which this one listed can tell where its schedds are.
        let covering = list.covered_by.as_ref().filter(|_| list.schedds.is_err());
        let target = |name: &str| Target {
            name: name.into(),
            pool: covering.unwrap_or(&list.name).clone(),
            ad: None,
            askable: list.schedds.is_ok() || covering.is_some(),
            is_young: list.is_young(),
        };
        for name in memory.schedds.of(&list.name).filter_map(published) {
            targets.entry(name.to_ascii_lowercase()).or_insert_with(|| target(&name));
        }
    }
    if let (Schedds::Named(names), Some(list)) =
        (&config.schedds, lists.iter().find(|list| list.schedds.is_ok()).or(lists.first()))
    {
        for name in names {
            let (name, pool, askable) = (name.clone(), list.name.clone(), list.schedds.is_ok());
            let target = Target { name, pool, ad: None, askable, is_young: list.is_young() };
            targets.entry(target.name.to_ascii_lowercase()).or_insert(target);
        }
    }
    targets.into_values().collect()
}

/// Asks; a panic is a failure.
fn ask<T>(question: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch(question).unwrap_or_else(|bug| Err(Failure::Output(bug)))
}

/// Whether two names of daemons or hosts are the same: HTCondor's names and DNS have no case.
fn same_name(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

/// Runs queries within the time limits.
struct Client<'a> {
    config: &'a Config,
    until: Instant,
}

impl Client<'_> {
    /// Runs `condor_status` and passes the `attributes` of each ad to `each`.
    fn status<const N: usize>(
        &self,
        pool: &str,
        arguments: &[&str],
        attributes: &[&str; N],
        mut each: impl FnMut([Attribute; N]),
    ) -> Result<(), Failure> {
        let limit = Duration::from_secs(self.config.timeout_seconds);
        let program = &self.config.condor_status;
        let mut command = self.command(program, pool, limit);
        command.args(arguments).args(["-json", "-attributes", &attributes.join(",")]);
        self.ads(program, &mut command, limit, &mut |ad| {
            each(ads::read(ad, attributes)?);
            Ok(())
        })
        .map(drop)
    }

    /// Returns the jobs of one schedd. Each command may take `limit`.
    fn jobs(&self, target: &Target, limit: Duration) -> Result<Jobs, Failure> {
        if self.config.counting == Counting::Schedd {
            match self.queue(target, &["-group-by"], limit) {
                // Some uses of -group-by print nothing and exit with 0, like an empty queue. So only the dump can
                // confirm an empty queue, at next to no cost.
                Ok(jobs) if jobs.is_empty() => {}
                Err(Failure::Exit(_, printed)) if printed.contains("group-by") => {}
                result => return result,
            }
        }
        self.queue(target, &[], limit)
    }

    fn queue(&self, target: &Target, arguments: &[&str], limit: Duration) -> Result<Jobs, Failure> {
        let program = &self.config.condor_q;
        let mut command = self.command(program, &target.pool, limit);
        if target.name != LOCAL {
            command.args(["-name", &target.name]);
        }
        let attributes = self.config.rules.attributes().join(",");
        command.arg("-allusers").args(arguments).args(["-attributes", &format!("JobStatus,{attributes}"), "-json"]);
        let mut counter = Counter::new(&self.config.rules);
        self.ads(program, &mut command, limit, &mut |ad| counter.add(ad))?;
        counter.finish().map_err(Failure::Output)
    }

    /// Returns `program` as a command that asks the collector of `pool`.
    ///
    /// Of several collectors in this machine's own configuration, a command picks one by chance, and turns to the next one
    /// when that has said nothing for `QUERY_TIMEOUT` seconds, 60 by default: here for a quarter of its time.
    fn command(&self, program: &Program, pool: &str, limit: Duration) -> Command {
        let limit = limit.min(self.until.saturating_duration_since(Instant::now()));
        let patience = if pool == LOCAL { limit / 4 } else { limit };
        let mut command = super::command(program);
        command.env("_CONDOR_QUERY_TIMEOUT", patience.as_secs().max(1).to_string());
        if pool != LOCAL {
            command.args(["-pool", pool]);
        }
        command
    }

    /// Runs `command`, which is `program` with more arguments, for at most `limit` and passes each ad of its output to `each`.
    fn ads(
        &self,
        program: &Program,
        command: &mut Command,
        limit: Duration,
        each: &mut impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<(), Failure> {
        let mut splitter = Splitter::default();
        super::run(command, self.until.min(Instant::now() + limit), &program.secret, |piece| {
            splitter.feed(piece, each)
        })?;
        splitter.finish().map(drop).map_err(Failure::Output)
    }
}

impl Slots {
    /// Counts a slot. One that is not dynamic, `None`, adds to `count` only.
    pub fn add(&mut self, slot: Option<&DynamicSlot>) {
        self.count += 1;
        let Some(slot) = slot else { return };
        let host = self.hosts.entry(first_label(&slot.machine)).or_default();
        *host.slots.entry(slot.name.clone()).or_default() += 1;
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
        slots.add(DynamicSlot::read(&ads::read(ad, &slot::ATTRIBUTES)?).as_ref());
        Ok(())
    })?;
    splitter.finish()?;
    Ok(slots)
}

/// Returns the number of jobs as `condor_q -totals` counts them: `7 jobs`, `7 jobs and 6 of the scheduler universe`.
fn describe_jobs(jobs: &Jobs) -> String {
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
    let (answer, problems) = collect(config, &mut Memory::default(), 0, until);
    let mut lines = Vec::new();
    for pool in &answer.pools {
        if let Some(slots) = pool.slots.as_ref().filter(|_| pool.answered) {
            lines.push((format!("pool {}", pool.name), Ok(format!("{} slots", slots.count))));
        }
    }
    for schedd in &answer.schedds {
        if let Some(jobs) = &schedd.jobs {
            lines.push((format!("schedd {}", schedd.name), Ok(describe_jobs(jobs))));
        }
    }
    lines.extend(problems.into_iter().map(|problem| (problem.subject.to_string(), Err(problem.message))));
    lines
}
