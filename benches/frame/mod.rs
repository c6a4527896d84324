//! What the benchmarks share: their table, and how time, memory and system calls are measured.
//!
//! The things that are compared take turns; of the turns the median counts for programs, and the best for computations
//! in memory: that is what stays true on a machine with other work. A target that is missed is measured once more before
//! it is called `MISSED`; the end is then no success, unless `GRIDMON_BENCH_TOLERANT=1` is in the environment. Where a
//! server is not installed, the parts that need it are named and left out.
//!
//! How a process is measured: it is started in an empty environment, for `RUST_BACKTRACE` alone costs 45 ms and 36 MB
//! at the first error. Its wall time goes from before the start to its end. Its own processor time is that of
//! `/proc/PID/stat` after the end and before it is reaped, and its own peak memory is `VmHWM` of `/proc/PID/status`,
//! read over and over until the end: what `wait4` and `time` tell of a process has its reaped children in it, whose
//! memory and time here are many times its own.
#![allow(dead_code)] // Each benchmark takes what it needs.

#[cfg(feature = "dashboard")]
pub mod monitor;

use std::ffi::OsStr;
use std::fmt::Display;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use std::{array, env};

use gridmon::model::{Field, Fold, Point};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use rustix::time::{ClockId, clock_gettime};

// What is printed.

/// The lines, and how many targets were missed.
#[derive(Default)]
pub struct Table {
    missed: usize,
}

impl Table {
    pub fn title(&self, text: &str) {
        println!("\n{text}");
    }

    /// A figure, what it is compared by, and what for information.
    pub fn line(&self, what: &str, figure: &str, ratio: &str) {
        println!("  {what:<58} {figure:>12}  {ratio}");
    }

    /// A figure that has a target.
    pub fn target(&mut self, what: &str, figure: &str, ratio: &str, target: &str, met: bool) {
        self.missed += usize::from(!met);
        let word = if met { "ok" } else { "MISSED" };
        let ratio = if ratio.is_empty() { String::new() } else { format!("{ratio}, ") };
        self.line(what, figure, &format!("{ratio}{target}: {word}"));
    }

    /// Measures, and once more if the target was missed: a busy machine is no slow program.
    pub fn twice<T>(&self, mut measure: impl FnMut() -> T, met: impl Fn(&T) -> bool) -> T {
        let first = measure();
        if met(&first) {
            return first;
        }
        println!("  (a target is missed; once more)");
        measure()
    }

    pub fn end(&self) -> ExitCode {
        let tolerant = env::var("GRIDMON_BENCH_TOLERANT").is_ok_and(|value| value == "1");
        match self.missed {
            0 => println!("\nevery target that was measured is met"),
            missed => println!("\n{missed} MISSED"),
        }
        if self.missed == 0 || tolerant { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

pub fn seconds(value: f64) -> String {
    format!("{value:.3} s")
}

pub fn milliseconds(value: f64) -> String {
    format!("{:.2} ms", value * 1e3)
}

pub fn megabytes(value: f64) -> String {
    format!("{value:.1} MB")
}

pub fn times(ratio: f64) -> String {
    format!("{ratio:.2} x")
}

pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub fn least(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(f64::INFINITY, f64::min)
}

/// Lets `N` things take turns and gives all that each took.
pub fn turns<const N: usize>(rounds: usize, things: [&mut dyn FnMut() -> f64; N]) -> [Vec<f64>; N] {
    let mut all: [Vec<f64>; N] = array::from_fn(|_| Vec::new());
    for _ in 0..rounds {
        for at in 0..N {
            all[at].push(things[at]());
        }
    }
    all
}

pub fn timed<T>(work: impl FnOnce() -> T) -> f64 {
    let began = Instant::now();
    let result = work();
    let took = began.elapsed().as_secs_f64();
    black_box(result);
    took
}

/// The processor time of this process until now, in seconds.
pub fn processor() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The processor time of some work of this process, in seconds.
pub fn worked<T>(work: impl FnOnce() -> T) -> f64 {
    let began = processor();
    let result = work();
    let took = processor() - began;
    black_box(result);
    took
}

// How processes are measured.

/// What one process took, its children left out.
pub struct Cost {
    /// From before its start to its end.
    pub wall: f64,
    /// User and system time.
    pub processor: f64,
}

/// Runs a command to its end, which must be a success.
pub fn cost(command: &mut Command) -> Cost {
    let began = Instant::now();
    let mut child = start_quietly(command);
    let id = Pid::from_child(&child);
    // Left unreaped, it still tells what it took.
    waitid(WaitId::Pid(id), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).expect("our own child");
    let wall = began.elapsed().as_secs_f64();
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).expect("it is not reaped yet");
    let (_, fields) = stat.rsplit_once(')').expect("the command's name stands in parentheses");
    let ticks = |at: usize| fields.split_whitespace().nth(at).and_then(|text| text.parse::<f64>().ok());
    // utime and stime; each was rounded down to the ticks of 10 ms in which Linux tells it.
    let ticks = ticks(11).zip(ticks(12)).map(|(user, system)| user + system + 1.0).expect("utime and stime");
    let status = child.wait().expect("our own child");
    assert!(status.success(), "{command:?}: {status}");
    Cost { wall, processor: ticks / 100.0 }
}

/// Runs a command to its end and gives its own peak memory in MB, that of its children left out. The highest value
/// before it ends is read up to a fraction of a millisecond before its end.
pub fn memory_mb(command: &mut Command) -> f64 {
    let mut child = start_quietly(command);
    let id = child.id().to_string();
    let mut peak = 0.0;
    loop {
        // A process that has ended but is not reaped has no memory any more.
        peak = peak_memory_mb(&id).unwrap_or(peak);
        if let Some(status) = child.try_wait().expect("our own child") {
            assert!(status.success(), "{command:?}: {status}");
            return peak;
        }
        thread::sleep(Duration::from_micros(20));
    }
}

pub fn start_quietly(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

pub fn peak_memory_mb(process: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024.0 / 1e6)
}

/// A program in an empty environment but for its PATH.
pub fn clean(program: impl AsRef<Path>, path: &str) -> Command {
    let mut command = Command::new(program.as_ref());
    command.env_clear().env("PATH", path);
    command
}

/// Starts this program with arguments that its `main` answers with [`tell`]; gives that answer and its peak memory in MB.
pub fn alone<'a>(arguments: impl IntoIterator<Item = &'a OsStr>) -> (String, f64) {
    let mut command = again(arguments);
    let output = command.output().expect("this program");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}: {said}", output.status);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let (answer, memory) = printed.trim().split_once(' ').expect("the answer and the memory");
    (answer.into(), memory.parse().expect("megabytes"))
}

/// This program with arguments, in an empty environment.
pub fn again<'a>(arguments: impl IntoIterator<Item = &'a OsStr>) -> Command {
    let mut command = clean(env::current_exe().expect("Linux has /proc"), "/usr/bin:/bin");
    command.args(arguments);
    command
}

/// What a process of its own says at its end: an answer without spaces, and the memory that it took.
pub fn tell(answer: impl Display) -> ExitCode {
    println!("{answer} {}", peak_memory_mb("self").expect("Linux has /proc"));
    ExitCode::SUCCESS
}

/// How often a command made each system call: all its threads, and its children up to their `execve`, where strace lets
/// go of them.
pub struct SystemCalls(Vec<(String, usize)>);

impl SystemCalls {
    /// `None` where strace is not installed or may not trace. Writes its report to the file `counted`.
    pub fn of(command: &Command, counted: &Path) -> Option<Self> {
        let mut traced = Command::new("/usr/bin/strace");
        traced.args(["-f", "-qq", "--detach-on=execve", "-c", "-U", "name,calls", "-S", "calls", "-o"]).arg(counted);
        traced.arg(command.get_program()).args(command.get_args()).env_clear().stdin(Stdio::null());
        traced.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(folder) = command.get_current_dir() {
            traced.current_dir(folder);
        }
        traced.output().ok().filter(|output| output.status.success())?;
        // A name and a number a line, the most frequent first, and the sum as the last.
        let count = |line: &str| {
            let (name, number) = line.split_once(' ')?;
            Some((name.into(), number.trim().parse().ok()?))
        };
        let mut counts: Vec<_> = fs::read_to_string(counted).ok()?.lines().filter_map(count).collect();
        counts.pop().filter(|(name, _): &(String, usize)| name == "total")?;
        Some(Self(counts))
    }

    pub fn total(&self) -> usize {
        self.0.iter().map(|(_, calls)| calls).sum()
    }

    /// Of those of these names.
    pub fn named(&self, names: &[&str]) -> usize {
        self.0.iter().filter(|(name, _)| names.contains(&name.as_str())).map(|(_, calls)| calls).sum()
    }

    /// The most frequent, with their numbers.
    pub fn most(&self, kinds: usize) -> String {
        let most: Vec<_> = self.0.iter().take(kinds).map(|(name, calls)| format!("{name} {calls}")).collect();
        most.join(", ")
    }
}

// What is measured with.

const KFLOPS: Field<i64> = Field::gauge("kflops", "kflops", Fold::Mean, "as collect-grid has it");
const DUTY_CYCLE: Field<f64> = Field::gauge("duty_cycle_ratio", "ratio", Fold::Mean, "as collect-grid has it");
const SLOTS: Field<i64> = Field::count("slots", "slots", "as collect-grid has it");

/// Points of one time (in nanoseconds) as collect-grid makes them, whole numbers small and large and fractions, each a series
/// and a path of its own.
pub fn points(count: usize, time: i64) -> Vec<Point> {
    let measurement = |name: &str| gridmon::setup::CATALOG.measurement(name).expect("collect-grid sends it");
    let (slots, cloud, schedd) = (measurement("grid_slots"), measurement("grid_cloud"), measurement("grid_schedd"));
    let point = |at: usize| {
        let number = at as i64;
        match at % 4 {
            0 => cloud.point(time, ["heprc", &format!("cc-east-{at}")], &[KFLOPS.of(1_500_000_000 + 5_000 * number)]),
            1 => schedd.point(
                time,
                ["heprc", &format!("ce{at}.heprc.example.org")],
                &[DUTY_CYCLE.of(at as f64 / count as f64)],
            ),
            _ => {
                let (cloud, slot) = (format!("cc-east-{}", at / 256), format!("slot1_{}", at % 256));
                let tags = ["heprc", cloud.as_str(), "atlas-worker", slot.as_str()];
                slots.point(time, tags, &[SLOTS.of(number % 64)])
            }
        }
    };
    (0..count).map(point).collect()
}

/// Series of `jobs` with its 21 tags, in line protocol, each with the offset of its points in nanoseconds: for each queue one
/// of each status.
pub fn jobs_series(count: usize, statuses: [&str; 4]) -> Vec<(String, i64)> {
    let labels = [
        "atlas_site",
        "cloud",
        "container_type",
        "country",
        "federation",
        "frontier",
        "fts_server",
        "harvester",
        "nucleus",
        "pilot_manager",
        "pilot_version",
        "pledge_type",
        "resource_type",
        "site_state",
        "tier",
        "type",
        "workflow",
    ];
    let of = |at: usize| {
        let (queue, status) = (format!("QUEUE_{}", at / 4), statuses[at % 4]);
        let mut tags: Vec<_> = labels.iter().map(|label| format!("{label}=some-{label}-{}", at / 400)).collect();
        tags.extend([format!("panda_queue={queue}"), "prod_source=managed".into(), "resource=MCORE".into()]);
        tags.push(format!("job_status={status}"));
        tags.sort();
        let offset = gridmon::monitors::panda::offset(&queue, "managed", "MCORE", status);
        (format!("jobs,{}", tags.join(",")), offset)
    };
    (0..count).map(of).collect()
}
