//! Measures qagent: `cargo bench --bench qagent`.
//!
//! qagent with all 20 sensors of QULo stands beside collectd with its like plugins, which writes to Carbon, and node_exporter, which is
//! scraped, as it comes and with its collector of sockets, which the agent counts too: all at once, at an interval of 1 s and then of
//! 10 s. It is measured as the packages have it (`gridmon-agent`, built to be small), to Carbon, to a real qmaster, and without
//! NetConnections, whose cost is the kernel's and grows with its sockets; and as Cargo builds it. RSS is what /proc/PID/smaps_rollup tells
//! at the end, and Pss beside it, in which a page that n processes have counts an nth. Processor time is that of the process clock,
//! threads that ended included, per round, and per sample: a value that one round brings. Then: how long a start takes until it gathers.
//!
//! The programs are those that `dist/programs.sh` built, or those in the folder `GRIDMON_BENCH_PROGRAMS`; without these, Cargo's
//! alone. `GRIDMON_BENCH_SECONDS` says how long each interval is measured.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use gridmon::monitors::nodes::SENSORS;
use gridmon_testkit::{Ports, TempDir, free_port, program, root, skip, wait_until};

mod frame;

use frame::*;

/// What the packaged one may have, in MB, what collectd had where the marks were set, and how long a start may take, in seconds.
const PACKAGED_MB: f64 = 8.0;
const COLLECTD_MB: f64 = 3.5;
const START_S: f64 = 0.01;
/// A sample of node_exporter on the machine on which the marks were set, in seconds.
const SAMPLE_S: f64 = 16e-6;
const LIMIT: Duration = Duration::from_secs(60);

const COLLECTD: &str = "/usr/sbin/collectd";
const NODE_EXPORTER: &str = "/usr/bin/prometheus-node-exporter";
/// As it comes, and with the collector that counts sockets by state, as NetConnections does.
const EXPORTER: &str = "node_exporter";
const WITH_SOCKETS: &str = "node_exporter, with sockets";
/// What measures what the sensors measure; its plugin sensors needs a library that collectd-core does not bring.
const PLUGINS: [&str; 15] = [
    "battery",
    "contextswitch",
    "cpu",
    "cpufreq",
    "df",
    "disk",
    "interface",
    "irq",
    "load",
    "memory",
    "swap",
    "tcpconns",
    "thermal",
    "uptime",
    "users",
];

fn main() -> ExitCode {
    let mut table = Table::default();
    let programs = Programs::find();
    println!("Cargo's: {}", programs.whole.display());
    match &programs.small {
        Some(small) => println!("packaged: {}", small.display()),
        None => println!("the packaged one is not built, and its figures are left out: dist/programs.sh agent"),
    }
    for interval in [1, 10] {
        beside(&mut table, &programs, interval);
    }
    table.title("a start, until it gathers");
    for (name, path) in programs.all() {
        let took = table.twice(|| median((0..9).map(|_| start(path))), |took| *took <= START_S);
        table.target(name, &milliseconds(took), "", "at most 10 ms", took <= START_S);
    }
    table.end()
}

/// The programs that are measured.
struct Programs {
    whole: PathBuf,
    small: Option<PathBuf>,
    qmaster: PathBuf,
}

impl Programs {
    fn find() -> Self {
        let built = root().join("target/dist-build/x86_64-unknown-linux-gnu/release");
        let folder = env::var_os("GRIDMON_BENCH_PROGRAMS").map_or(built, PathBuf::from);
        let there = |name: &str| Some(folder.join(name)).filter(|path| path.exists());
        Self {
            whole: there("qagent").unwrap_or_else(|| program("qagent")),
            small: there("gridmon-agent"),
            qmaster: there("qmaster").unwrap_or_else(|| program("qmaster")),
        }
    }

    fn all(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        [Some(("Cargo's qagent", self.whole.as_path())), self.small.as_deref().map(|path| ("packaged qagent", path))]
            .into_iter()
            .flatten()
    }
}

/// A process with a folder of its own, ended on drop.
struct Running {
    name: String,
    process: Child,
    _folder: TempDir,
    /// Values that a round brings.
    samples: f64,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A config that nobody else may read.
fn config_in(folder: &TempDir, text: &str) -> PathBuf {
    let path = folder.write("config.cfg", text);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("our own file");
    path
}

/// The sections of an agent that reads all sensors of QULo.
fn sections(folder: &TempDir, interval: u64, sink: &str, left_out: &str) -> String {
    let state = folder.path().join("state");
    let mut text = format!("[grid]\nname = bench\n[state]\ndirectory = {}\n{sink}", state.display());
    // Those that QULo never had are an own matter.
    let is_asked = |name| !["LoadAverage", "GPU", "Slurm", left_out].contains(&name);
    for sensor in SENSORS.iter().filter(|sensor| is_asked(sensor.name)) {
        text += &format!("[sensor:{}]\ntime_interval = {interval}\n", sensor.name);
    }
    text + "[sensor:LoadAverage]\ntime_interval = 86400\n[sensor:GPU]\ntime_interval = 86400\n"
}

/// Starts an agent, and waits until it gathers.
fn agent(name: &str, path: &Path, interval: u64, sink: &str, left_out: &str) -> Running {
    let folder = TempDir::new();
    let config = config_in(&folder, &sections(&folder, interval, sink, left_out));
    let mut once = clean(path, "/usr/bin:/bin");
    let output = once.arg("-c").arg(&config).arg("once").output().expect("qagent");
    let is_own = |line: &&str| !line.contains(".LoadAverage.") && !line.is_empty();
    let samples = String::from_utf8_lossy(&output.stdout).lines().filter(is_own).count() as f64;
    let process = gathering(path, &config);
    Running { name: name.into(), process, _folder: folder, samples }
}

/// Starts an agent and returns when it has said that it reads its sensors.
fn gathering(path: &Path, config: &Path) -> Child {
    let mut command = clean(path, "/usr/bin:/bin");
    command.arg("-c").arg(config).arg("run").stdin(Stdio::null()).stderr(Stdio::piped()).stdout(Stdio::null());
    let mut process = command.spawn().expect("qagent");
    let mut lines = BufReader::new(process.stderr.take().expect("a pipe"));
    let mut text = String::new();
    while !text.contains(": it reads ") {
        assert!(lines.read_line(&mut text).expect("a pipe") > 0, "{}: {text}", path.display());
    }
    // What it says later must not wait.
    thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
    process
}

/// How long a start takes, in seconds.
fn start(path: &Path) -> f64 {
    let folder = TempDir::new();
    let config = config_in(&folder, &sections(&folder, 10, "[carbon]\nhost = 127.0.0.1\n", ""));
    let began = Instant::now();
    let mut process = gathering(path, &config);
    let took = began.elapsed().as_secs_f64();
    let _ = process.kill();
    let _ = process.wait();
    took
}

/// A listener that reads and forgets, and counts lines.
fn sink() -> (u16, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    let lines = Arc::new(AtomicU64::new(0));
    let counts = Arc::clone(&lines);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let counts = Arc::clone(&counts);
            thread::spawn(move || {
                let mut buffer = vec![0; 1 << 16];
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    let ends = buffer[..count].iter().filter(|byte| **byte == b'\n').count();
                    counts.fetch_add(ends as u64, Ordering::Relaxed);
                }
            });
        }
    });
    (port, lines)
}

/// A receiver of Carbon's pickles that reads and forgets. It closes on a length that no message has, by which an agent knows it.
fn receiver() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut stream = BufReader::new(stream);
                let mut length = [0; 4];
                while stream.read_exact(&mut length).is_ok() {
                    let length = u64::from(u32::from_be_bytes(length));
                    let mut message = (&mut stream).take(length);
                    if length > 1 << 20 || std::io::copy(&mut message, &mut std::io::sink()).is_err() {
                        break;
                    }
                }
            });
        }
    });
    port
}

/// A qmaster that sends to a Carbon, for the agents that need one.
fn master(path: &Path, carbon: u16) -> (Running, u16, Ports) {
    let (port, ports) = free_port();
    let folder = TempDir::new();
    let state = folder.path().join("state");
    let config = config_in(
        &folder,
        &format!(
            "[grid]\nname = bench\n[state]\ndirectory = {}\n[qmaster]\nport = {port}\n[carbon]\nhost = 127.0.0.1\nport = {carbon}\n",
            state.display()
        ),
    );
    let mut command = clean(path, "/usr/bin:/bin");
    command.arg("-c").arg(config).arg("run").stderr(Stdio::null()).stdout(Stdio::null());
    let process = start_quietly(&mut command);
    wait_until("qmaster to listen", LIMIT, || TcpStream::connect(("127.0.0.1", port)).ok());
    (Running { name: "qmaster".into(), process, _folder: folder, samples: 0.0 }, port, ports)
}

fn collectd(interval: u64, carbon: u16) -> Option<Running> {
    if !Path::new(COLLECTD).exists() {
        skip("collectd's figures", "collectd");
        return None;
    }
    let folder = TempDir::new();
    let base = folder.path().display();
    let mut text = format!(
        "Hostname \"bench\"\nFQDNLookup false\nInterval {interval}\nBaseDir \"{base}\"\nPIDFile \"{base}/collectd.pid\"\n\
         LoadPlugin write_graphite\n<Plugin write_graphite>\n<Node \"q\">\nHost \"127.0.0.1\"\nPort \"{carbon}\"\n\
         Protocol \"tcp\"\n</Node>\n</Plugin>\n"
    );
    PLUGINS.iter().for_each(|plugin| text += &format!("LoadPlugin {plugin}\n"));
    text += "<Plugin tcpconns>\nAllPortsSummary true\n</Plugin>\n";
    let config = config_in(&folder, &text);
    let mut command = clean(COLLECTD, "/usr/sbin:/usr/bin:/sbin:/bin");
    command.arg("-f").arg("-C").arg(config).stdout(Stdio::null()).stderr(Stdio::null());
    let process = start_quietly(&mut command);
    Some(Running { name: "collectd".into(), process, _folder: folder, samples: 0.0 })
}

/// Scrapes node_exporter; returns how many samples it gave.
fn scrape(port: u16) -> Option<f64> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (_, body) = text.split_once("\r\n\r\n")?;
    Some(body.lines().filter(|line| !line.starts_with('#')).count() as f64)
}

fn node_exporter(name: &str, more: &[&str]) -> Option<(Running, u16, Ports)> {
    if !Path::new(NODE_EXPORTER).exists() {
        skip("node_exporter's figures", "prometheus-node-exporter");
        return None;
    }
    let (port, ports) = free_port();
    let folder = TempDir::new();
    let mut command = clean(NODE_EXPORTER, "/usr/bin:/bin");
    command.arg(format!("--web.listen-address=127.0.0.1:{port}")).args(more);
    let process = start_quietly(command.stderr(Stdio::null()).stdout(Stdio::null()));
    let samples = wait_until("node_exporter", LIMIT, || scrape(port));
    Some((Running { name: name.into(), process, _folder: folder, samples }, port, ports))
}

/// The processor time of processes until now, in seconds, by their clocks. No safe call of Rust reads another's.
fn processor_of(running: &[Running]) -> Vec<f64> {
    let script = "import time, sys\nprint(*[time.clock_gettime((~int(pid) << 3) | 2) for pid in sys.argv[1:]])";
    let mut command = Command::new("/usr/bin/python3");
    command.arg("-c").arg(script).args(running.iter().map(|one| one.process.id().to_string()));
    let output = command.output().expect("python3");
    let text = String::from_utf8_lossy(&output.stdout);
    let times: Vec<_> = text.split_whitespace().map(|time| time.parse().expect("seconds")).collect();
    assert_eq!(times.len(), running.len(), "one of them ended: {}", String::from_utf8_lossy(&output.stderr));
    times
}

/// RSS and Pss of a process, in MB.
fn memory_of(one: &Running) -> (f64, f64) {
    let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", one.process.id())).expect("it runs");
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("Linux tells it");
        line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") * 1024.0 / 1e6
    };
    (of("Rss:"), of("Pss:"))
}

/// All at once, at an interval.
fn beside(table: &mut Table, programs: &Programs, interval: u64) {
    let carbon = receiver();
    let (lines_port, lines) = sink();
    let (_master, master_port, _ports) = master(&programs.qmaster, carbon);
    let to_carbon = format!("[carbon]\nhost = 127.0.0.1\nport = {carbon}\n");
    let to_master = format!("[qmaster]\nhost = 127.0.0.1\nport = {master_port}\nprotocol = http\n");
    let mut running = vec![agent("Cargo's qagent, to Carbon", &programs.whole, interval, &to_carbon, "")];
    if let Some(small) = &programs.small {
        running.push(agent("packaged qagent, to Carbon", small, interval, &to_carbon, ""));
        running.push(agent("packaged qagent, to a qmaster", small, interval, &to_master, ""));
        let less = "NetConnections";
        running.push(agent(&format!("packaged qagent, without {less}"), small, interval, &to_carbon, less));
    }
    running.extend(collectd(interval, lines_port));
    let exporters = [node_exporter(EXPORTER, &[]), node_exporter(WITH_SOCKETS, &["--collector.tcpstat"])];
    let scraped: Vec<_> = exporters.iter().flatten().map(|(_, port, _)| *port).collect();
    running.extend(exporters.into_iter().flatten().map(|(one, ..)| one));

    let asked = env::var("GRIDMON_BENCH_SECONDS").ok().and_then(|text| text.parse().ok());
    let rounds = (asked.unwrap_or(60) / interval).max(3);
    // Until each has published several times.
    let wait = |rounds: u64| {
        for _ in 0..rounds {
            let next = Instant::now() + Duration::from_secs(interval);
            for port in &scraped {
                let _ = scrape(*port);
            }
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    };
    wait((25 / interval).max(2));
    let (before, lines_before) = (processor_of(&running), lines.load(Ordering::Relaxed));
    wait(rounds);
    let (after, lines_after) = (processor_of(&running), lines.load(Ordering::Relaxed));
    for one in running.iter_mut().filter(|one| one.name == "collectd") {
        one.samples = ((lines_after - lines_before) as f64 / rounds as f64).round();
    }
    let mut figures = BTreeMap::new();
    table.title(&format!("at {interval} s: RSS (Pss); processor time a round; samples a round; a sample"));
    for (at, one) in running.iter().enumerate() {
        let ((rss, pss), a_round) = (memory_of(one), (after[at] - before[at]) / rounds as f64);
        let a_sample = a_round / one.samples;
        let rest =
            format!("({}); {}; {}; {:.1} µs", megabytes(pss), milliseconds(a_round), one.samples, a_sample * 1e6);
        table.line(&one.name, &megabytes(rss), &rest);
        figures.insert(one.name.clone(), (rss, a_sample));
    }
    marks(table, &figures);
}

/// Holds the figures to their marks.
fn marks(table: &mut Table, figures: &BTreeMap<String, (f64, f64)>) {
    let peer = figures.get("collectd").map(|(rss, _)| *rss);
    let beside = |rss: f64| peer.map_or(String::new(), |peer| format!("{:.2} of collectd's", rss / peer));
    for (name, (rss, a_sample)) in figures.iter().filter(|(name, _)| name.starts_with("packaged")) {
        let figure = megabytes(*rss);
        table.target(&format!("RSS of {name}"), &figure, "", &format!("at most {PACKAGED_MB} MB"), *rss <= PACKAGED_MB);
        let most = peer.unwrap_or(COLLECTD_MB);
        let target = format!("at most {most:.1} MB");
        table.target("  the same, by collectd's", &figure, &beside(*rss), &target, *rss <= most);
        // The one that reads what the agent reads.
        let exporter = if name.contains("without") { EXPORTER } else { WITH_SOCKETS };
        let of_peer = figures.get(exporter).map_or(SAMPLE_S, |(_, sample)| *sample);
        let target = format!("at most {exporter}'s {:.1} µs", of_peer * 1e6);
        let figure = format!("{:.1} µs", a_sample * 1e6);
        table.target(&format!("a sample of {name}"), &figure, "", &target, *a_sample <= of_peer);
    }
}
