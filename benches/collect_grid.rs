//! Measures collect-grid, each figure beside its lower bound or its peer in the same run: `make bench`.
//!
//! 1. A run against a real pool of 100,000 idle jobs and 10,000 slots, sending to a real Carbon, beside the same
//!    HTCondor commands that it runs.
//! 2. Encoding 1,000,000 points for Carbon, beside CPython's pickler in C and serde-pickle.
//! 3. A start with nothing to do, beside `/bin/true`.
//! 4. Counting the jobs of a dump, beside serde_json.
//!
//! `frame` describes how it measures.

mod frame;

use std::env;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use gridmon::model::{Datapoint, SECOND, Value};
use gridmon::sinks::graphite::carbon::{self, Frames};
use gridmon::sources::htcondor::ads::Splitter;
use gridmon::sources::htcondor::{Counter, Jobs, Rules, slot};
use serde::Serialize;

use frame::{
    SystemCalls, Table, again, alone, clean, cost, least, median, megabytes, memory_mb, milliseconds, points, seconds,
    tell, timed, times, turns,
};
use gridmon_testkit::{Carbon, Pool, SCHEDDS, Suite, TempDir, skip};

/// Maximum wall time of a run, as a multiple of the time of its commands in parallel.
const WALL_LIMIT: f64 = 1.2;
/// Maximum memory of a run, in MB.
const MEMORY_LIMIT_MB: f64 = 24.0;
/// Maximum processor time of a run that counts the dump, as a multiple of condor_q's.
const PROCESSOR_LIMIT: f64 = 0.1;
/// Minimum speed of the encoder, as a multiple of CPython's.
const ENCODER_LIMIT: f64 = 5.0;
/// Maximum wall time of a start with nothing to do, in milliseconds.
const START_LIMIT_MS: f64 = 10.0;

const JOBS: usize = 100_000;
const SLOTS: usize = 10_000;
const POINTS: usize = 1_000_000;

fn main() -> ExitCode {
    // This program starts itself to measure a part in a separate process.
    if let [_, part, path] = env::args().collect::<Vec<_>>().as_slice() {
        let path = Path::new(path);
        match part.as_str() {
            "carbon::Frames" => return encode_alone(encoded, path),
            "serde-pickle" => return encode_alone(encoded_by_serde_pickle, path),
            "collect-grid" => return tell(count(File::open(path).expect("the dump")).values().sum::<i64>()),
            "serde_json" => return tell(count_with_serde_json(path)),
            _ => {}
        }
    }
    let mut table = Table::default();
    let dump = real_pool(&mut table);
    encoder(&mut table);
    start(&mut table);
    counter(&mut table, dump);
    table.end()
}

// 1. A run against a real pool.

/// A pool, a Carbon, and the folder in which collect-grid runs.
struct Site {
    pool: Pool,
    _carbon: Carbon,
    folder: TempDir,
}

/// Measures against a real pool. Returns the dump of the jobs as condor_q printed it; `None` if the servers are not
/// installed.
fn real_pool(table: &mut Table) -> Option<Vec<u8>> {
    table.title(&format!("collect-grid against a pool of {JOBS} idle jobs and {SLOTS} slots, sending to Carbon"));
    let site = Site::start().map_err(|missing| skip("the benchmark against a real pool", missing)).ok()?;
    site.expect_true_answers();
    site.wall_time(table);
    site.peak_memory(table);
    site.processor_time(table);
    site.system_calls(table);
    Some(site.dump())
}

impl Site {
    /// Starts the servers. Returns the name of a missing one as the error.
    fn start() -> Result<Site, &'static str> {
        let carbon = Carbon::start().ok_or("carbon-cache")?;
        // The pool of the tests checks its jobs every second, which would keep a schedd with so many jobs busy.
        let lines = [
            "SCHEDD_INTERVAL = 60",
            "SCHEDD_MIN_INTERVAL = 5",
            "NEGOTIATOR_INTERVAL = 60",
            "MAX_JOBS_PER_SUBMISSION = 100000",
        ];
        let pool = Pool::start_with(Suite::Trixie, &lines).ok_or("HTCondor 23.9 (which needs root)")?;
        let folder = TempDir::new();
        let clouds = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cloud_monitor/small/cloud_status.json");
        write_program(&folder, "cloud_status", &format!("exec cat {}", clouds.display()));
        for counting in ["schedd", "dump"] {
            let state = folder.path().join(format!("state-{counting}"));
            folder.write(
                counting,
                format!(
                    "[grid]\nname = bench\n[state]\ndirectory = {}\n[htcondor]\ncounting = {counting}\n\
                     update_interval_seconds = 1\n\
                     [cloud_scheduler]\n[carbon]\nhost = 127.0.0.1\nport = {}\n",
                    state.display(),
                    carbon.pickle
                ),
            );
        }
        pool.submit(SCHEDDS[0], "alice", &idle_jobs(JOBS / 10 * 9));
        pool.submit(SCHEDDS[1], "bob", &idle_jobs(JOBS / 10));
        pool.advertise_slots(SLOTS);
        Ok(Site { pool, _carbon: carbon, folder })
    }

    /// Returns the PATH: first the folder's own programs, then HTCondor's.
    fn path(&self) -> String {
        format!("{}:{}:/usr/bin:/bin", self.folder.path().display(), self.pool.bin_dir().display())
    }

    fn collect(&self, config: &str) -> Command {
        let mut command = clean(env!("CARGO_BIN_EXE_collect-grid"), &self.path());
        command.args(["--config", config]).current_dir(self.folder.path());
        command
    }

    fn command(&self, words: &[String]) -> Command {
        let mut command = clean(&words[0], &self.path());
        command.args(&words[1..]).current_dir(self.folder.path());
        command
    }

    /// Returns the commands about the pool and its clouds, in the lanes that a run executes in parallel.
    fn questions(&self) -> Vec<Vec<Vec<String>>> {
        let status =
            |what: &str, attributes: &str| words(&format!("condor_status{what} -json -attributes {attributes}"));
        vec![
            vec![words("cloud_status -aj")],
            vec![status("", &format!("MyAddress,{}", slot::ATTRIBUTES.join(",")))],
            vec![status(" -schedd", "Name,RecentDaemonCoreDutyCycle,MaxJobsRunning,JobsUnmaterialized")],
            vec![
                status(" -negotiator", "Name,LastNegotiationCycleDuration0"),
                status(
                    " -collector",
                    "Machine,MyAddress,UpdatesLostRatio,StatsLifetime,StatsLastUpdateTime,LastHeardFrom",
                ),
            ],
        ]
    }

    /// Returns the commands about the jobs, one per schedd, which a run executes once it knows the schedds.
    fn queues(&self, how: &[&str]) -> [Vec<String>; 2] {
        SCHEDDS.map(|schedd| {
            let how = how.join(" ");
            words(&format!(
                "condor_q -name {schedd} {how} -attributes JobStatus,TargetClouds,JobUniverse,AccountingGroup -json"
            ))
        })
    }

    /// Checks the answers: otherwise a program that fails early would be the fastest.
    fn expect_true_answers(&self) {
        // Scripts in place of HTCondor's programs log each call.
        let log = self.folder.path().join("calls");
        for name in ["condor_q", "condor_status"] {
            let real = self.pool.bin_dir().join(name);
            let script = format!("echo {name} \"$@\" >> {}\nexec {} \"$@\"", log.display(), real.display());
            write_program(&self.folder, name, &script);
        }
        for (config, how) in [("schedd", &["-allusers", "-group-by"][..]), ("dump", &["-allusers"])] {
            fs::write(&log, "").expect("the folder is ours");
            let output = self.collect(config).arg("--dry-run").output().expect("collect-grid is built");
            let text = String::from_utf8_lossy(&output.stdout);
            for figure in [format!("grids.bench.jobs.all.idle {JOBS} "), "grids.bench.heartbeat.condor 1 ".into()] {
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(text.contains(&figure), "collect-grid did not say {figure}but {text}{said}");
            }
            let mut called: Vec<_> = fs::read_to_string(&log).expect("written").lines().map(words).collect();
            let mut expected: Vec<_> = self.questions().into_iter().flatten().skip(1).chain(self.queues(how)).collect();
            called.sort();
            expected.sort();
            assert_eq!(called, expected, "this benchmark's commands are not those that collect-grid runs");
        }
        for name in ["condor_q", "condor_status"] {
            fs::remove_file(self.folder.path().join(name)).expect("written above");
        }
    }

    fn wall_time(&self, table: &mut Table) {
        let questions = self.questions();
        let queues = self.queues(&["-allusers", "-group-by"]).map(|queue| vec![queue]);
        let measure = || {
            turns(
                9,
                [
                    // As a run does: asks for the jobs after the answers about the pool.
                    &mut || timed(|| [&questions, &queues[..]].iter().for_each(|lanes| self.side_by_side(lanes))),
                    &mut || cost(&mut self.collect("schedd")).wall,
                    &mut || timed(|| questions.iter().chain(&queues).for_each(|lane| self.one_after_another(lane))),
                ],
            )
            .map(median)
        };
        let met = |[side_by_side, collect, _]: &[f64; 3]| collect / side_by_side <= WALL_LIMIT;
        let found = table.twice(measure, met);
        let [side_by_side, collect, one_by_one] = found;
        table.line("its commands side by side, as it runs them", &seconds(side_by_side), &times(1.0));
        table.line("its commands one after another", &seconds(one_by_one), &times(one_by_one / side_by_side));
        let ratio = times(collect / side_by_side);
        let target = format!("at most {}", times(WALL_LIMIT));
        table.target("collect-grid, wall time", &seconds(collect), &ratio, &target, met(&found));
    }

    fn side_by_side(&self, lanes: &[Vec<Vec<String>>]) {
        thread::scope(|scope| {
            for lane in lanes {
                scope.spawn(|| self.one_after_another(lane));
            }
        });
    }

    /// Runs commands one after another, with their output in a file.
    fn one_after_another(&self, lane: &[Vec<String>]) {
        for words in lane {
            let out = File::create(self.folder.path().join(format!("out-{}", words.join("")))).expect("a file");
            cost(self.command(words).stdout(out));
        }
    }

    fn peak_memory(&self, table: &mut Table) {
        for (config, what) in [("schedd", "peak memory"), ("dump", "peak memory when it counts the dump")] {
            // The highest of some, since the amount in a pipe at each read differs from run to run.
            let measure = || (0..3).map(|_| memory_mb(&mut self.collect(config))).fold(0.0, f64::max);
            let met = |memory: &f64| *memory <= MEMORY_LIMIT_MB;
            let memory = table.twice(measure, met);
            let target = format!("at most {}", megabytes(MEMORY_LIMIT_MB));
            table.target(&format!("collect-grid, {what}"), &megabytes(memory), "", &target, met(&memory));
        }
        let [queue, _] = self.queues(&["-allusers"]);
        let memory = memory_mb(self.command(&queue).stdout(Stdio::null()));
        table.line("condor_q, peak memory when it dumps", &megabytes(memory), "");
    }

    fn processor_time(&self, table: &mut Table) {
        let queues = self.queues(&["-allusers"]);
        let measure = || {
            let queue = |words: &Vec<String>| cost(self.command(words).stdout(Stdio::null())).processor;
            turns(5, [&mut || queues.iter().map(queue).sum(), &mut || cost(&mut self.collect("dump")).processor])
                .map(median)
        };
        let met = |[queues, collect]: &[f64; 2]| collect / queues <= PROCESSOR_LIMIT;
        let found = table.twice(measure, met);
        let [queues, collect] = found;
        table.line("condor_q that dumps both schedds, processor time", &seconds(queues), &times(1.0));
        let target = format!("at most {}", times(PROCESSOR_LIMIT));
        let what = "collect-grid that counts the dump, processor time";
        table.target(what, &seconds(collect), &times(collect / queues), &target, met(&found));
    }

    fn system_calls(&self, table: &mut Table) {
        for (config, what) in [("schedd", "system calls"), ("dump", "system calls when it counts the dump")] {
            let counted = self.folder.path().join("system-calls");
            let Some(calls) = SystemCalls::of(&self.collect(config), &counted) else {
                table.line(&format!("collect-grid, {what}"), "?", "strace is not here, or may not trace");
                return;
            };
            table.line(&format!("collect-grid, {what}"), &calls.total().to_string(), &calls.most(4));
        }
    }

    /// Returns the jobs of both schedds, as condor_q prints them.
    fn dump(&self) -> Vec<u8> {
        let lists = self.queues(&["-allusers"]).map(|queue| {
            let printed = self.command(&queue).output().expect("condor_q ran before").stdout;
            let list = printed.trim_ascii().strip_prefix(b"[").and_then(|list| list.strip_suffix(b"]"));
            list.expect("a list of jobs").to_vec()
        });
        [b"[", lists.join(&b',').as_slice(), b"]\n"].concat()
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(String::from).collect()
}

fn write_program(folder: &TempDir, name: &str, script: &str) {
    let path = folder.write(name, format!("#!/bin/sh\n{script}\n"));
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("the file is ours");
}

/// Accounting groups and target clouds of the jobs, an eighth of them each.
const GROUPS: [(&str, &str); 8] = [
    ("group_mcore", "IAAS_MCORE"),
    ("group_mcore", "CERNClouds"),
    ("group_score", "IAAS"),
    ("group_score", "Alberta"),
    ("group_analy", "CERNClouds"),
    ("group_analy", "cc-east,IAAS"),
    ("group_analy.long", "cc-east"),
    ("group_analy.long", "cern-preservation"),
];

/// Returns a submit file of jobs that never run.
fn idle_jobs(count: usize) -> String {
    let mut text = String::from(
        "executable = /bin/sleep\narguments = 3600\nrequest_cpus = 1\nrequest_memory = 100\nrequest_disk = 100\n\
         requirements = false\naccounting_group = $(group)\naccounting_group_user = $(user)\n\
         +TargetClouds = \"$(clouds)\"\n",
    );
    let _ = writeln!(text, "queue {} group, user, clouds from (", count / GROUPS.len());
    for (at, (group, clouds)) in GROUPS.iter().enumerate() {
        let _ = writeln!(text, "{group} user{at} {clouds}");
    }
    text + ")\n"
}

// 2. The encoder of Carbon's frames.

fn encoder(table: &mut Table) {
    table.title(&format!("{POINTS} points as Carbon's pickles of at most 1 MiB"));
    let points = points(POINTS, 1_717_245_000 * SECOND);
    let from_points = timed(|| encoded(&carbon::datapoints(&points, gridmon::setup::CATALOG).0));
    let (datapoints, dropped) = carbon::datapoints(&points, gridmon::setup::CATALOG);
    assert!(dropped.is_empty() && datapoints.len() == POINTS, "every point has a path of its own");
    drop(points);

    let folder = TempDir::new();
    let mut text = String::new();
    for Datapoint { path, time, value } in &datapoints {
        // Integers beyond 32 bits are sent as floats.
        let is_int = matches!(value, Value::Int(value) if i32::try_from(*value).is_ok());
        let kind = if is_int { "int" } else { "float" };
        let _ = writeln!(text, "{path} {time} {kind} {value}");
    }
    let points = folder.write("points", text);
    let mut command = clean("python3", "/usr/local/bin:/usr/bin:/bin");
    command.args(["-c", PYTHON]).args([points.as_os_str(), PEERS_CHUNK.to_string().as_ref()]);
    let Some(mut python) = Encoder::start(command) else {
        skip("the benchmark of the encoder", "python3");
        return;
    };
    let mut frames = Frames::of(&datapoints);
    let frames: Vec<_> = std::iter::from_fn(|| frames.advance().map(<[u8]>::to_vec)).collect();
    let found = python.ask(folder.write("frames", frames.concat()).to_str().expect("a path in UTF-8"));
    assert_eq!(found, "True", "CPython does not find in the frames what was put in");
    drop((frames, datapoints));

    let [mut ours, mut serde_pickle] = ["carbon::Frames", "serde-pickle"]
        .map(|which| Encoder::start(again([which.as_ref(), points.as_os_str()])).expect("this program"));
    let measure =
        || turns(7, [&mut || ours.encode(), &mut || python.encode(), &mut || serde_pickle.encode()]).map(least);
    let met = |[ours, python, _]: &[f64; 3]| python / ours >= ENCODER_LIMIT;
    let found = table.twice(measure, met);
    let [ours, theirs, serde_pickle] = found;
    table.line(&format!("CPython {}, pickle.dumps in C", python.name), &milliseconds(theirs), &times(1.0));
    table.line("serde-pickle", &milliseconds(serde_pickle), &format!("{} as fast", times(theirs / serde_pickle)));
    let target = format!("at least {}", times(ENCODER_LIMIT));
    let ratio = format!("{} as fast", times(theirs / ours));
    table.target("carbon::Frames", &milliseconds(ours), &ratio, &target, met(&found));
    table.line("from points: carbon::datapoints and carbon::Frames", &milliseconds(from_points), "");
}

/// Encodes all frames and returns their total length. As in sending, each is dropped before the next one is made.
fn encoded(datapoints: &[Datapoint]) -> usize {
    let mut frames = Frames::of(datapoints);
    std::iter::from_fn(|| frames.advance().map(|frame| std::hint::black_box(frame).len())).sum()
}

/// Points per frame of the peers, whose frames are larger than ours for the same points.
const PEERS_CHUNK: usize = 8_000;

/// Does the same with serde-pickle.
fn encoded_by_serde_pickle(datapoints: &[Datapoint]) -> usize {
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Number {
        Int(i64),
        Float(f64),
    }
    let number = |value| match value {
        Value::Int(value) => Number::Int(value),
        Value::Float(value) => Number::Float(value),
    };
    let mut frame = Vec::new();
    let mut encode = |chunk: &[Datapoint]| {
        let list: Vec<_> =
            chunk.iter().map(|datapoint| (&datapoint.path, (datapoint.time, number(datapoint.value)))).collect();
        frame.clear();
        frame.extend_from_slice(&[0; 4]);
        serde_pickle::to_writer(&mut frame, &list, serde_pickle::SerOptions::new().proto_v2()).expect("plain values");
        let length = frame.len() - 4;
        assert!(length <= 1 << 20, "a frame of the peer is too large for Carbon");
        frame[..4].copy_from_slice(&(length as u32).to_be_bytes());
        std::hint::black_box(frame.as_slice()).len()
    };
    datapoints.chunks(PEERS_CHUNK).map(&mut encode).sum()
}

/// Times only the encoding, without the garbage collector, as timeit does.
const PYTHON: &str = r#"
import gc, pickle, platform, struct, sys, time
gc.disable()
points = []
for line in open(sys.argv[1], encoding="utf-8"):
    path, unix, kind, value = line.split()
    points.append((path, (int(unix), int(value) if kind == "int" else float(value))))
chunk = int(sys.argv[2])
print(platform.python_version(), flush=True)
for line in sys.stdin:
    if line == "encode\n":
        began = time.perf_counter()
        for at in range(0, len(points), chunk):
            message = pickle.dumps(points[at:at + chunk], protocol=2)
            frame = struct.pack(">L", len(message)) + message
            assert len(frame) <= 4 + (1 << 20), "a frame of the peer is too large for Carbon"
        took = time.perf_counter() - began
        print(took, flush=True)
    else:
        found = []
        with open(line[:-1], "rb") as file:
            while length := file.read(4):
                length, = struct.unpack(">L", length)
                assert length <= 1 << 20, "a frame is too large for Carbon"
                found += pickle.loads(file.read(length))
        kinds = lambda points: [(type(point[1][0]), type(point[1][1])) for point in points]
        print(found == points and kinds(found) == kinds(points), flush=True)
"#;

/// A process that holds the points in memory, in their order, and executes a command per line.
struct Encoder {
    name: String,
    child: Child,
    tell: Option<ChildStdin>,
    hear: BufReader<ChildStdout>,
}

impl Encoder {
    /// Starts the process. Returns `None` if there is no such program.
    fn start(mut command: Command) -> Option<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let (tell, hear) = (child.stdin.take(), BufReader::new(child.stdout.take().expect("piped")));
        let mut encoder = Self { name: String::new(), child, tell, hear };
        encoder.name = encoder.answer();
        Some(encoder)
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.hear.read_line(&mut line).expect("it prints a line");
        line.trim().to_string()
    }

    fn ask(&mut self, line: &str) -> String {
        let tell = self.tell.as_mut().expect("open until the end");
        writeln!(tell, "{line}").and_then(|()| tell.flush()).expect("it listens");
        self.answer()
    }

    /// Encodes all frames and returns the time, in seconds.
    fn encode(&mut self) -> f64 {
        self.ask("encode").parse().expect("seconds")
    }
}

/// Runs this program as such a process.
fn encode_alone(encode: fn(&[Datapoint]) -> usize, points: &Path) -> ExitCode {
    let text = fs::read_to_string(points).expect("the points");
    let number = |kind: &str, value: &str| match kind {
        "int" => Value::Int(value.parse().expect("a whole number")),
        _ => Value::Float(value.parse().expect("a number")),
    };
    let datapoint = |line: &str| {
        let [path, time, kind, value] = line.split(' ').collect::<Vec<_>>().try_into().expect("four words");
        Datapoint { path: path.to_string(), time: time.parse().expect("a time"), value: number(kind, value) }
    };
    let datapoints: Vec<_> = text.lines().map(datapoint).collect();
    println!("ready");
    for _ in std::io::stdin().lines() {
        println!("{}", timed(|| encode(&datapoints)));
    }
    ExitCode::SUCCESS
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // It exits at the end of its input.
        self.tell = None;
        let _ = self.child.wait();
    }
}

// 3. A start with nothing to do.

fn start(table: &mut Table) {
    table.title("a start while another run holds the lock");
    let folder = TempDir::new();
    let state = folder.path().join("state");
    fs::create_dir(&state).expect("the folder is ours");
    let config =
        format!("[grid]\nname = bench\n[state]\ndirectory = {}\n[carbon]\nhost = localhost\n", state.display());
    let config = folder.write("config.cfg", config);
    let mut lock = File::create(state.join("collect-grid.bench.lock")).expect("the folder is ours");
    lock.try_lock().expect("nobody else knows it");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    // A time in the future, so that on a slow machine the holder does not seem stuck.
    writeln!(lock, "{} {}", std::process::id(), now + 600).expect("the file is ours");

    let collect = || {
        let mut command = clean(env!("CARGO_BIN_EXE_collect-grid"), "/usr/bin:/bin");
        command.arg("--config").arg(&config);
        command
    };
    let measure = || {
        let nothing = || cost(&mut clean("/bin/true", "/usr/bin:/bin")).wall;
        turns(101, [&mut || nothing(), &mut || cost(&mut collect()).wall]).map(median)
    };
    let met = |[_, ours]: &[f64; 2]| ours * 1e3 <= START_LIMIT_MS;
    let found = table.twice(measure, met);
    let [nothing, ours] = found;
    table.line("/bin/true", &milliseconds(nothing), &times(1.0));
    let target = format!("at most {START_LIMIT_MS} ms");
    table.target("collect-grid", &milliseconds(ours), &times(ours / nothing), &target, met(&found));
    let memory = (0..20).map(|_| memory_mb(&mut collect())).fold(0.0, f64::max);
    table.line("collect-grid, peak memory", &megabytes(memory), "");
    let left: Vec<_> = fs::read_dir(&state).expect("ours").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["collect-grid.bench.lock"], "a run was not held off");
}

// 4. Counting the jobs of a dump.

fn counter(table: &mut Table, recorded: Option<Vec<u8>>) {
    let whose = if recorded.is_some() { "recorded above" } else { "made up, for want of a pool" };
    let dump = recorded.unwrap_or_else(made_up_dump);
    let (jobs, size) = (count(&dump[..]).values().sum::<i64>(), dump.len() as f64 / 1e6);
    table.title(&format!("counting {jobs} jobs in a dump of {} ({whose})", megabytes(size)));
    let read = |json: &[u8]| serde_json::from_slice::<Vec<serde_json::Value>>(json).expect("a list of jobs");
    assert_eq!(read(&dump).len() as i64, jobs, "serde_json counts differently");
    let [ours, serde_json] = turns(9, [&mut || timed(|| count(&dump[..])), &mut || timed(|| read(&dump))]).map(least);

    let folder = TempDir::new();
    let path = folder.write("dump", &dump);
    let memory = ["serde_json", "collect-grid"].map(|part| {
        let (counted, memory) = alone([part.as_ref(), path.as_os_str()]);
        assert_eq!(counted, jobs.to_string());
        memory
    });
    let figure = |seconds: f64, memory: f64| format!("{:.0} MB/s, peak memory {}", size / seconds, megabytes(memory));
    table.line("serde_json::from_slice::<Vec<Value>>", &milliseconds(serde_json), &figure(serde_json, memory[0]));
    let faster = format!("{} as fast, {}", times(serde_json / ours), figure(ours, memory[1]));
    table.line("Splitter and Counter, in pieces of 64 KiB", &milliseconds(ours), &faster);
}

/// Counts the jobs of a dump, read as a run reads the output of condor_q.
fn count(mut dump: impl Read) -> Jobs {
    let rules = Rules::default();
    let mut counter = Counter::new(&rules);
    let mut splitter = Splitter::default();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let size = dump.read(&mut buffer).expect("a dump that can be read");
        if size == 0 {
            splitter.finish().expect("a whole dump");
            return counter.finish().expect("few groups");
        }
        splitter.feed(&buffer[..size], &mut |ad| counter.add(ad)).expect("a list of jobs");
    }
}

/// Counts the jobs of a file with serde_json.
fn count_with_serde_json(dump: &Path) -> usize {
    let bytes = fs::read(dump).expect("the dump");
    let jobs: Vec<serde_json::Value> = serde_json::from_slice(&bytes).expect("a list of jobs");
    jobs.len()
}

/// Returns a dump as condor_q 23.9 prints it.
fn made_up_dump() -> Vec<u8> {
    let jobs: Vec<_> = (0..JOBS)
        .map(|at| {
            let (group, clouds) = GROUPS[at % GROUPS.len()];
            format!(
                "{{\n  \"AccountingGroup\": \"{group}.user{}\",\n  \"JobStatus\": 1,\n  \"TargetClouds\": \"{clouds}\"\n}}\n",
                at % GROUPS.len()
            )
        })
        .collect();
    format!("[\n{}]\n", jobs.join(",\n")).into_bytes()
}
