//! NVIDIA's cards: which columns are asked for, what their cells mean, and in which order the cards are asked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::smi::{self, Loop, SmiError};
use super::{Answer, Config, Gpu, KeepRunning, Slice, bus_of, is_asleep, mig, text};
use crate::os::work::side_by_side;
use crate::problem::Problem;
use crate::text::quote_ends;

/// A column of `--query-gpu`.
struct Column {
    /// Its names, the newest one first: releases rename columns.
    names: &'static [&'static str],
    /// What its cells tell.
    tells: Tells,
}

/// What the cells of a column tell.
enum Tells {
    Index,
    Bus,
    Uuid,
    Name,
    Driver,
    /// A number with this name, times the unit.
    Number(&'static str, f64),
    /// 1 for this word, 0 for every other word that is no excuse.
    Word(&'static str, &'static str),
    /// `P0` to `P15`.
    PerformanceState,
    /// A mask of reasons, of which each name is 1 if one of its bits is set.
    Reasons(&'static [(&'static str, u64)]),
}

const MIB: f64 = 1_048_576.0;

const fn number(names: &'static [&'static str], name: &'static str, unit: f64) -> Column {
    Column { names, tells: Tells::Number(name, unit) }
}

/// The columns that are asked for, if the driver knows them.
static COLUMNS: [Column; 27] = [
    Column { names: &["index"], tells: Tells::Index },
    Column { names: &["uuid", "gpu_uuid"], tells: Tells::Uuid },
    Column { names: &["name", "gpu_name"], tells: Tells::Name },
    Column { names: &["pci.bus_id", "gpu_bus_id"], tells: Tells::Bus },
    Column { names: &["driver_version"], tells: Tells::Driver },
    Column { names: &["persistence_mode"], tells: Tells::Word("persistence", "Enabled") },
    Column { names: &["mig.mode.current"], tells: Tells::Word(MIG, "Enabled") },
    Column { names: &["pstate"], tells: Tells::PerformanceState },
    number(&["temperature.gpu"], "temperature_celsius", 1.0),
    number(&["temperature.memory"], "memory_temperature_celsius", 1.0),
    number(&["utilization.gpu"], "utilization_ratio", 0.01),
    number(&["utilization.memory"], "memory_utilization_ratio", 0.01),
    number(&["memory.total"], "memory_total_bytes", MIB),
    number(&["memory.used"], "memory_used_bytes", MIB),
    number(&["memory.free"], "memory_free_bytes", MIB),
    number(&["power.draw"], "power_watts", 1.0),
    number(&["enforced.power.limit"], "power_limit_watts", 1.0),
    number(&["clocks.sm", "clocks.current.sm"], "sm_clock_hertz", 1e6),
    number(&["clocks.mem", "clocks.current.memory"], "memory_clock_hertz", 1e6),
    number(&["fan.speed"], "fan_ratio", 0.01),
    number(&["ecc.errors.corrected.volatile.total"], "ecc_corrected_errors", 1.0),
    number(&["ecc.errors.uncorrected.volatile.total"], "ecc_uncorrected_errors", 1.0),
    Column { names: &["retired_pages.pending"], tells: Tells::Word("retired_pages_pending", "Yes") },
    Column { names: &["remapped_rows.failure"], tells: Tells::Word("remapped_rows_failure", "Yes") },
    number(&["pcie.link.gen.gpucurrent", "pcie.link.gen.current"], "pcie_generation", 1.0),
    number(&["pcie.link.width.current"], "pcie_width", 1.0),
    Column {
        names: &["clocks_event_reasons.active", "clocks_throttle_reasons.active"],
        tells: Tells::Reasons(&[("power_capped", 0x4), ("hardware_slowed", 0x88), ("thermally_slowed", 0x60)]),
    },
];

/// Whether the card is divided.
const MIG: &str = "mig";

/// How long nvidia-smi may take before it is kept running.
const SLOW: Duration = Duration::from_secs(1);

/// How often nvidia-smi is looked for on a machine without a card.
const LOOKED_FOR: Duration = Duration::from_secs(600);

/// The cards that answered, by address, each with what it says of itself where numbers should be.
type Told = BTreeMap<String, (Gpu, Option<String>)>;

/// The columns that a driver knows: of each the name by which it is asked, and its index in `COLUMNS`.
#[derive(Clone, Debug, PartialEq)]
pub struct Known(Vec<(&'static str, usize)>);

impl Known {
    /// Reads `nvidia-smi --help-query-gpu`: each column stands in quotes at the begin of a line, other names of it after "or".
    pub fn read(help: &str) -> Self {
        let quoted =
            help.lines().filter(|line| line.starts_with('"')).flat_map(|line| line.split('"').skip(1).step_by(2));
        let known: BTreeSet<_> = quoted.collect();
        let name = |at: usize| COLUMNS[at].names.iter().find(|name| known.contains(*name)).map(|name| (*name, at));
        Self((0..COLUMNS.len()).filter_map(name).collect())
    }

    /// Returns the columns by their newest names.
    pub fn all() -> Self {
        Self((0..COLUMNS.len()).map(|at| (COLUMNS[at].names[0], at)).collect())
    }

    /// Whether the cards can be told by them.
    fn is_enough(&self) -> bool {
        self.index().is_some() && self.0.iter().any(|(_, at)| matches!(COLUMNS[*at].tells, Tells::Bus))
    }

    /// Returns where the card's index stands in a row.
    fn index(&self) -> Option<usize> {
        self.0.iter().position(|(_, at)| matches!(COLUMNS[*at].tells, Tells::Index))
    }

    fn arguments(&self) -> Vec<String> {
        let names: Vec<_> = self.0.iter().map(|(name, _)| *name).collect();
        vec![format!("--query-gpu={}", names.join(",")), "--format=csv,noheader,nounits".into()]
    }

    /// Parses a row. Returns the card, and what it says of itself where numbers should be; `None` if the row is of no card.
    pub fn parse(&self, row: &str) -> Option<(Gpu, Option<&'static str>)> {
        let cells: Vec<_> = row.split(", ").map(str::trim).collect();
        if cells.len() != self.0.len() {
            return None;
        }
        let mut gpu = Gpu { vendor: "nvidia", ..Gpu::default() };
        for ((_, at), cell) in self.0.iter().zip(&cells) {
            take(&mut gpu, &COLUMNS[*at].tells, cell);
        }
        let excuses = ["GPU is lost", "GPU requires reset"];
        let excuse = excuses.into_iter().find(|excuse| cells.iter().any(|cell| cell.contains(excuse)));
        (gpu.bus.bytes().filter(|byte| *byte == b':').count() == 2).then_some((gpu, excuse))
    }
}

/// Takes one cell. One that is no number, such as `[N/A]`, `N/A`, `[Unknown Error]` or `ERR!`, tells nothing.
fn take(gpu: &mut Gpu, tells: &Tells, cell: &str) {
    let is_word = !cell.is_empty() && cell.bytes().all(|byte| byte.is_ascii_alphabetic());
    let finite =
        |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite() && (0.0..1e12).contains(number));
    match tells {
        Tells::Index => {}
        Tells::Bus => gpu.bus = bus_of(cell),
        Tells::Uuid => gpu.uuid = cell.into(),
        Tells::Name => gpu.name = cell.into(),
        Tells::Driver => gpu.driver = cell.into(),
        Tells::Number(name, unit) => {
            // By division, so that 58 % is 0.58 and not a little more.
            let scaled = |number: f64| if *unit < 1.0 { number / (1.0 / unit).round() } else { number * unit };
            gpu.values.extend(finite(cell).map(|number| (*name, scaled(number))));
        }
        Tells::Word(name, yes) if is_word => {
            gpu.values.insert(name, f64::from(u8::from(cell == *yes)));
        }
        Tells::Word(..) => {}
        Tells::PerformanceState => {
            gpu.values.extend(cell.strip_prefix('P').and_then(finite).map(|number| ("performance_state", number)));
        }
        Tells::Reasons(reasons) => {
            if let Some(mask) = cell.strip_prefix("0x").and_then(|mask| u64::from_str_radix(mask, 16).ok()) {
                gpu.values.extend(reasons.iter().map(|(name, bits)| (*name, f64::from(u8::from(mask & bits != 0)))));
            }
        }
    }
}

/// The reader of NVIDIA's cards, with what it remembers.
#[derive(Debug)]
pub struct Nvidia {
    config: Config,
    columns: Option<Known>,
    /// The cards that answered once, by address.
    seen: BTreeMap<String, Gpu>,
    /// Whether one question for all cards failed, and each is asked by itself since.
    is_split: bool,
    /// Whether nvidia-smi was slow.
    is_slow: bool,
    kept: Option<Loop>,
    /// How many cards the last whole answer was of.
    listed: usize,
    /// Until when nvidia-smi is not looked for, on a machine without a card.
    absent_until: Option<Instant>,
    /// The names of the slices by card and index, and of which slices they are.
    profiles: BTreeMap<(String, u32), (String, String)>,
    named: BTreeSet<(String, String)>,
}

impl Nvidia {
    /// Touches nothing yet.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            columns: None,
            seen: BTreeMap::new(),
            is_split: false,
            is_slow: false,
            kept: None,
            listed: 0,
            absent_until: None,
            profiles: BTreeMap::new(),
            named: BTreeSet::new(),
        }
    }

    /// Takes over which cards another reader has seen.
    pub fn adopt(&mut self, old: Self) {
        self.seen = old.seen;
    }

    /// Reads the cards.
    pub fn read(&mut self) -> Answer {
        let bound = bound(&self.config.root);
        // One that another driver has taken over, as for a virtual machine, is not lost.
        self.seen.retain(|bus, _| driver(&self.config.root, bus).is_none_or(|driver| driver == "nvidia"));
        let asleep: BTreeSet<_> =
            bound.iter().filter(|(_, is_asleep)| **is_asleep).map(|(bus, _)| bus.clone()).collect();
        let mut answer = Answer { is_whole: true, ..Answer::default() };
        if !asleep.is_empty() && asleep.len() == bound.len() {
            self.kept = None;
            self.conclude(&BTreeMap::new(), (&bound, &asleep, Some(&BTreeSet::new())), &mut answer);
            return answer;
        }
        if bound.is_empty() && self.absent_until.is_some_and(|until| Instant::now() < until) {
            return answer;
        }
        match self.rows(&bound, &asleep) {
            Ok((rows, failed)) => {
                let is_expected = failed.is_empty() && !(bound.is_empty() && self.seen.is_empty());
                let (mut answers, is_whole) = self.told(&rows, is_expected, &mut answer);
                if is_whole && failed.is_empty() {
                    self.listed = answers.len();
                }
                let mut unknown = BTreeSet::new();
                for (bus, trouble) in failed {
                    let why = trouble.explain(&self.config.command.shown);
                    if matches!(trouble, SmiError::Lost(_) | SmiError::Hung(_)) {
                        let gpu = Gpu { bus: bus.clone(), vendor: "nvidia", ..Gpu::default() };
                        answers.entry(bus).or_insert((gpu, Some(why)));
                    } else {
                        answer.problems.push(Problem::of_source(format!("gpu {bus}"), format!("{why}; {MISSING}")));
                        answer.is_whole = false;
                        unknown.insert(bus);
                    }
                }
                let unknown = is_whole.then_some(&unknown);
                self.conclude(&answers, (&bound, &asleep, unknown), &mut answer);
                self.slices(&mut answer);
            }
            Err(trouble) => {
                self.kept = None;
                // Without a card none is missing.
                let is_expected = !self.seen.is_empty() || !bound.is_empty() || has_idle_card(&self.config.root);
                if is_expected || !matches!(trouble, SmiError::Missing | SmiError::NoDriver(..)) {
                    answer.is_whole = false;
                    let message =
                        format!("{}; NVIDIA's cards are missing", trouble.explain(&self.config.command.shown));
                    answer.problems.push(Problem::of_source(SMI, message).asked_of(SMI, true));
                } else {
                    self.absent_until = Some(Instant::now() + LOOKED_FOR);
                }
            }
        }
        answer
    }

    /// Reads the rows, and adds the problem of those that are none. Returns the cards by address, each with its excuse, and whether
    /// every row was one.
    fn told(&self, rows: &[String], is_expected: bool, answer: &mut Answer) -> (Told, bool) {
        let (mut answers, mut strange) = (Told::new(), None);
        for row in rows.iter().map(|row| row.trim()).filter(|row| !row.is_empty()) {
            let parsed = self.columns.as_ref().and_then(|columns| columns.parse(row));
            match parsed {
                Some((gpu, excuse)) => {
                    answers.insert(gpu.bus.clone(), (gpu, excuse.map(String::from)));
                }
                None if row.starts_with("WARNING:") => answer.problems.push(warning(row)),
                None => strange = strange.or(Some(row)),
            }
        }
        let program = &self.config.command.shown;
        let why = match strange {
            Some(row) => Some(format!("{program} prints what is no row of a card: {}", quote_ends(row))),
            None if answers.is_empty() && is_expected => Some(format!("{program} prints nothing")),
            None => None,
        };
        let is_whole = why.is_none();
        if let Some(why) = why {
            let which = if answers.is_empty() { "NVIDIA's cards" } else { "some of NVIDIA's cards" };
            let problem = Problem::of_source(SMI, format!("{why}; {which} are missing"));
            answer.problems.push(problem.asked_of(SMI, true));
            answer.is_whole = false;
        }
        (answers, is_whole)
    }

    /// Puts the cards together: those that answered, those that sleep, and those that should have answered. Of those that are
    /// `unknown`, or of all if not everything could be read, nobody can say that they are lost.
    fn conclude(
        &mut self,
        answers: &Told,
        (bound, asleep, unknown): (&BTreeMap<String, bool>, &BTreeSet<String>, Option<&BTreeSet<String>>),
        answer: &mut Answer,
    ) {
        let all: BTreeSet<_> = answers.keys().chain(bound.keys()).chain(self.seen.keys()).cloned().collect();
        for bus in all {
            let known = || Gpu { bus: bus.clone(), vendor: "nvidia", ..Gpu::default() };
            let before =
                self.seen.get(&bus).map(|gpu| Gpu { values: BTreeMap::new(), slices: Vec::new(), ..gpu.clone() });
            let before = before.unwrap_or_else(known);
            match answers.get(&bus) {
                _ if asleep.contains(&bus) => answer.gpus.push(Gpu { is_asleep: true, is_lost: false, ..before }),
                Some((gpu, None)) => {
                    self.seen.insert(bus, gpu.clone());
                    answer.gpus.push(gpu.clone());
                }
                Some((gpu, Some(why))) => {
                    let values = gpu.values.clone();
                    answer.problems.push(lost(&bus, why));
                    answer.gpus.push(Gpu { is_lost: true, values, ..before });
                }
                None if unknown.is_none_or(|unknown| unknown.contains(&bus)) => {}
                None => {
                    answer.problems.push(lost(&bus, "nvidia-smi does not list it any more"));
                    answer.gpus.push(Gpu { is_lost: true, ..before });
                }
            }
        }
    }

    /// Asks the cards for their rows. Also returns the cards that were asked by themselves and did not answer.
    #[allow(clippy::type_complexity)]
    fn rows(
        &mut self,
        bound: &BTreeMap<String, bool>,
        asleep: &BTreeSet<String>,
    ) -> Result<(Vec<String>, Vec<(String, SmiError)>), SmiError> {
        let columns = self.known()?;
        let arguments = columns.arguments();
        let known: BTreeSet<_> =
            bound.keys().chain(self.seen.keys()).filter(|bus| !asleep.contains(*bus)).cloned().collect();
        if asleep.is_empty() && !self.is_split {
            let may_sleep = || bound.keys().any(|bus| may_sleep(&self.config.root, bus));
            let is_kept = match self.config.keep_running {
                KeepRunning::Yes => true,
                KeepRunning::Auto => self.is_slow && !may_sleep(),
                KeepRunning::No => false,
            };
            // How many rows a round has is known once it was asked.
            if is_kept
                && self.listed > 0
                && let Some(rows) = self.kept_rows(&columns, &arguments)
            {
                return Ok((rows, Vec::new()));
            }
            let began = Instant::now();
            match smi::ask(&self.config.command, &arguments, self.config.timeout) {
                Ok(text) => {
                    self.is_slow = began.elapsed() > SLOW;
                    return Ok((text.lines().map(String::from).collect(), Vec::new()));
                }
                Err(SmiError::Column(name)) => {
                    // The list of the columns lied: the next reading asks without this one.
                    if let Some(columns) = &mut self.columns {
                        columns.0.retain(|(known, _)| *known != name);
                    }
                    return Err(SmiError::Column(name));
                }
                Err(trouble @ (SmiError::Missing | SmiError::NoDriver(..))) => return Err(trouble),
                // One card may hold up the others, or end the question for them.
                Err(trouble) if known.is_empty() => return Err(trouble),
                Err(_) => {}
            }
        }
        self.kept = None;
        let buses: Vec<_> = known.into_iter().collect();
        let ask = |at: usize| {
            let arguments: Vec<_> =
                [format!("--id={}", buses[at])].into_iter().chain(arguments.iter().cloned()).collect();
            smi::ask(&self.config.command, &arguments, self.config.timeout)
        };
        let (mut rows, mut lost) = (Vec::new(), Vec::new());
        for (bus, told) in buses.iter().zip(side_by_side(buses.len(), buses.len().min(16), ask)) {
            match told {
                Ok(text) => rows.extend(text.lines().map(String::from)),
                Err(trouble) => lost.push((bus.clone(), trouble)),
            }
        }
        self.is_split = !lost.is_empty();
        Ok((rows, lost))
    }

    /// Returns the newest rows of the nvidia-smi that is kept running; `None` if it has to be asked anew.
    fn kept_rows(&mut self, columns: &Known, arguments: &[String]) -> Option<Vec<String>> {
        if self.kept.is_none() {
            let index = columns.index()?;
            self.kept = Loop::start(&self.config.command, arguments, self.config.interval, index).ok();
        }
        let rows = self.kept.as_mut()?.round(self.config.timeout, self.listed).ok();
        if rows.is_none() {
            self.kept = None;
        }
        rows
    }

    /// Returns the columns that this driver knows, and asks for them once.
    fn known(&mut self) -> Result<Known, SmiError> {
        if let Some(columns) = &self.columns {
            return Ok(columns.clone());
        }
        let help = smi::ask(&self.config.command, &["--help-query-gpu".into()], self.config.timeout)?;
        let columns = Known::read(&help);
        if !columns.is_enough() {
            return Err(SmiError::Other("lists no columns with --help-query-gpu".into()));
        }
        self.columns = Some(columns.clone());
        Ok(columns)
    }

    /// Adds the slices of the divided cards.
    fn slices(&mut self, answer: &mut Answer) {
        let is_divided = |gpu: &Gpu| gpu.vendor == "nvidia" && gpu.values.get(MIG) == Some(&1.0);
        if !answer.gpus.iter().any(is_divided) {
            return;
        }
        let ask = |arguments: &[&str]| {
            let arguments: Vec<_> = arguments.iter().map(|word| (*word).to_string()).collect();
            smi::ask(&self.config.command, &arguments, self.config.timeout)
                .map_err(|trouble| trouble.explain(&self.config.command.shown))
        };
        let told = ask(&["-q", "-x"]).and_then(|xml| mig::parse(&xml).map_err(|error| format!("{error:#}")));
        let mut cards = match told {
            Ok(cards) => cards,
            Err(why) => {
                answer
                    .problems
                    .push(Problem::of_source("nvidia-smi slices", format!("{why}; the slices (MIG) are missing")));
                answer.is_whole = false;
                return;
            }
        };
        let names: BTreeSet<_> = cards
            .iter()
            .flat_map(|(bus, slices)| slices.iter().map(|slice| (bus.clone(), slice.name.clone())))
            .collect();
        if names != self.named {
            // Profiles and UUIDs only describe: without them the slices are there all the same.
            self.profiles = ask(&["-L"]).map(|text| mig::parse_list(&text)).unwrap_or_default();
            self.named = names;
        }
        for gpu in answer.gpus.iter_mut().filter(|gpu| is_divided(gpu)) {
            let name = |slice: Slice| match self.profiles.get(&(gpu.uuid.clone(), slice.index)) {
                Some((profile, uuid)) => Slice { profile: profile.clone(), uuid: uuid.clone(), ..slice },
                None => slice,
            };
            gpu.slices = cards.remove(&gpu.bus).unwrap_or_default().into_iter().map(name).collect();
        }
    }
}

/// The source of all cards. Of one that it does not tell of, nobody knows whether it is lost.
const SMI: &str = "nvidia-smi";

/// The consequence of a card that does not answer.
const MISSING: &str = "its numbers are missing";

/// Returns the problem of a warning that stands beside the rows: `WARNING: infoROM is corrupted at gpu 0000:3B:00.0`.
fn warning(row: &str) -> Problem {
    let bus = row.split_whitespace().rev().find(|word| word.matches(':').count() == 2);
    let subject = bus.map_or("nvidia-smi warning".into(), |bus| format!("gpu {} warning", bus_of(bus)));
    Problem::of_source(subject, format!("nvidia-smi says {}; its numbers are sent all the same", quote_ends(row)))
}

/// Returns the problem of a card.
fn lost(bus: &str, why: &str) -> Problem {
    let remedy = "it is lost, or its driver hangs; its numbers are missing: see the kernel's log (Xid), reset the card or reboot";
    Problem::of_source(format!("gpu {bus}"), format!("{why}; {remedy}"))
}

/// Returns the cards that NVIDIA's driver has and this system may use, and whether each sleeps.
fn bound(root: &Path) -> BTreeMap<String, bool> {
    let entries = fs::read_dir(root.join("sys/bus/pci/drivers/nvidia")).into_iter().flatten().flatten();
    let cards = entries.filter(|entry| entry.file_name().to_string_lossy().matches(':').count() == 2);
    let cards = cards.map(|entry| (bus_of(&entry.file_name().to_string_lossy()), is_asleep(&entry.path())));
    cards.filter(|(bus, _)| is_given(root, bus)).take(256).collect()
}

/// Whether a card of NVIDIA's driver is not kept from this system: a container sees all of them in /sys, and has the devices of
/// those that it was given.
fn is_given(root: &Path, bus: &str) -> bool {
    let all = root.join("proc/driver/nvidia/gpus");
    if !all.is_dir() {
        return true;
    }
    let told = text(&all.join(bus).join("information")).unwrap_or_default();
    let minor = told.lines().find_map(|line| line.strip_prefix("Device Minor:"));
    minor.is_some_and(|minor| root.join(format!("dev/nvidia{}", minor.trim())).exists())
}

/// Returns the driver that has a PCI device; `None` if none has it, or there is no such device.
fn driver(root: &Path, bus: &str) -> Option<String> {
    let link = fs::read_link(root.join("sys/bus/pci/devices").join(bus).join("driver")).ok()?;
    Some(link.file_name()?.to_string_lossy().into_owned())
}

/// Whether the kernel may put a card to sleep.
fn may_sleep(root: &Path, bus: &str) -> bool {
    let device = root.join("sys/bus/pci/drivers/nvidia").join(bus);
    text(&device.join("power/control")).is_some_and(|control| control == "auto")
}

/// Whether the machine has a card of NVIDIA's that no driver has: after an update of the kernel its own may be missing. One that
/// another driver has, such as vfio-pci or nouveau, is none that nvidia-smi should tell of.
fn has_idle_card(root: &Path) -> bool {
    let entries = fs::read_dir(root.join("sys/bus/pci/devices")).into_iter().flatten().flatten();
    entries.take(10_000).any(|entry| {
        let is = |file: &str, begin: &str| text(&entry.path().join(file)).is_some_and(|text| text.starts_with(begin));
        is("vendor", "0x10de") && is("class", "0x03") && driver(root, &entry.file_name().to_string_lossy()).is_none()
    })
}
