//! Measures qmaster: `cargo bench --bench qmaster`.
//!
//! 1. What it makes safe in a second: through /write (bodies of 5,000 lines of 5 fields, prepared before), and through its Carbon
//!    line listener, beside carbon-c-relay, which keeps nothing. Each leads to a sink that reads and forgets.
//! 2. How long an acknowledgement takes at half that load.
//! 3. Its memory with 10,000 connected agents, of which each has sent something.
//! 4. 20,000 values a second while the sink is away for 60 s: nothing is lost, and what waited is sent soon.
//!
//! `-- load`, `-- agents` and `-- cut` measure a part alone. Generator, sink and master share the machine. `GRIDMON_BENCH_SECONDS` says how long each load lasts.

use std::collections::HashSet;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use gridmon_testkit::{Front, Ports, TempDir, free_port, program, skip, wait_until};

mod frame;

use frame::*;

const LINES: usize = 5000;
const FIELDS: usize = 5;
/// The different bodies: one that is sent again while it still waits would be merged with itself.
const BODIES: usize = 40;
const CLIENTS: usize = 8;
const AGENTS: usize = 10_000;

/// Values a second through /write.
const DURABLE: f64 = 1_000_000.0;
const P99_MS: f64 = 250.0;
const MEMORY_MB: f64 = 256.0;
/// How long what waited for a sink may take, in seconds.
const DRAINED_S: f64 = 10.0;
const LIMIT: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let mut table = Table::default();
    let names: Vec<_> = env::args().skip(1).filter(|name| !name.starts_with("--")).collect();
    let is_asked = |name: &str| names.is_empty() || names.iter().any(|one| one == name);
    if is_asked("load") {
        loads(&mut table);
    }
    if is_asked("agents") {
        let memory = table.twice(idle_agents, |memory| *memory <= MEMORY_MB);
        let target = format!("at most {MEMORY_MB} MB");
        table.target("memory with 10,000 connected agents", &megabytes(memory), "", &target, memory <= MEMORY_MB);
    }
    if is_asked("cut") {
        cut(&mut table);
    }
    table.end()
}

/// What is made safe in a second, and how long that takes.
fn loads(table: &mut Table) {
    let load = load_time();
    table.title(&format!("what is safe, for {} s each", load.as_secs()));
    let relay = relayed(load);
    if let Some(relay) = relay {
        table.line("carbon-c-relay, values/s", &format!("{relay:.0}"), "nothing is durable");
    }
    let beside = |rate: f64| relay.map_or(String::new(), |relay| format!("{:.2} of the relay's", rate / relay));
    let lines = carbon_lines(load);
    table.line("qmaster's Carbon lines, values/s durable", &format!("{lines:.0}"), &beside(lines));
    let written = table.twice(|| write(load, None), |written| written.rate >= DURABLE);
    let target = format!("at least {DURABLE:.0}");
    let met = written.rate >= DURABLE;
    table.target(
        "qmaster's /write, values/s durable",
        &format!("{:.0}", written.rate),
        &beside(written.rate),
        &target,
        met,
    );
    table.line("  its own processor time for 1,000,000 values", &milliseconds(written.processor), "");
    table.line("  its memory at the peak", &megabytes(written.memory), "");
    let half = (DURABLE / 2.0).min(written.rate / 2.0);
    let paced = table.twice(|| write(load, Some(half)), |paced| paced.p99 * 1e3 <= P99_MS);
    let what = format!("99 of 100 acknowledgements at {half:.0} values/s within");
    table.target(&what, &milliseconds(paced.p99), "", &format!("at most {P99_MS} ms"), paced.p99 * 1e3 <= P99_MS);
}

fn load_time() -> Duration {
    let seconds = env::var("GRIDMON_BENCH_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(10))
}

/// A qmaster with a state directory of its own, ended on drop.
struct Master {
    process: Child,
    folder: TempDir,
    port: u16,
    carbon_line: u16,
    _ports: [Ports; 2],
}

impl Master {
    fn start(sections: &str) -> Self {
        let ((port, one), (carbon_line, other)) = (free_port(), free_port());
        let folder = TempDir::new();
        let text = format!(
            "[grid]\nname = bench\n[state]\ndirectory = {}\n[qmaster]\nport = {port}\ncarbon_line = 127.0.0.1:{carbon_line}\n\
             new_series_per_hour = 100000000\n[spool]\nmax_bytes = 20000000000\nreplay_points_per_second = 200000\n{sections}",
            folder.path().join("state").display()
        );
        let config = folder.write("config.cfg", text);
        fs::set_permissions(&config, fs::Permissions::from_mode(0o640)).expect("our own file");
        let mut command = clean(program("qmaster"), "/usr/bin:/bin");
        command.arg("-c").arg(config).arg("run").stderr(Stdio::null());
        let process = start_quietly(&mut command);
        wait_until("qmaster to listen", LIMIT, || TcpStream::connect(("127.0.0.1", port)).ok());
        Self { process, folder, port, carbon_line, _ports: [one, other] }
    }

    /// Its points that are in the spool, or were.
    fn safe(&self) -> f64 {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("it reads");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("it answers");
        let line = text.lines().find_map(|line| line.strip_prefix("qmaster_spooled_points "));
        line.and_then(|number| number.trim().parse().ok()).expect("a number")
    }

    /// Its processor time until now, in seconds.
    fn processor(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).expect("it runs");
        let (_, fields) = stat.rsplit_once(')').expect("the command's name stands in parentheses");
        let ticks = fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<f64>().expect("a number"));
        ticks.sum::<f64>() / 100.0
    }

    fn memory(&self) -> f64 {
        peak_memory_mb(&self.process.id().to_string()).expect("it runs")
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(self.folder.path().join("state"));
    }
}

/// A listener that reads and forgets; it counts bytes.
struct Sink {
    port: u16,
    bytes: Arc<AtomicU64>,
}

impl Sink {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        let bytes = Arc::new(AtomicU64::new(0));
        let counts = Arc::clone(&bytes);
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let counts = Arc::clone(&counts);
                thread::spawn(move || {
                    let mut buffer = vec![0; 1 << 20];
                    while let Ok(count @ 1..) = stream.read(&mut buffer) {
                        counts.fetch_add(count as u64, Ordering::Relaxed);
                    }
                });
            }
        });
        Self { port, bytes }
    }

    fn section(&self) -> String {
        format!("[carbon]\nhost = 127.0.0.1\nport = {}\n", self.port)
    }
}

/// Carbon's lines, as many as one body of /write has values.
fn carbon_body(client: usize) -> Vec<u8> {
    let mut text = String::new();
    for line in 0..LINES {
        for field in 0..FIELDS {
            let _ =
                writeln!(text, "bench.c{client}.node{line:05}.cpu.field{field} {}.25 1795795{:03}", line % 100, field);
        }
    }
    text.into_bytes()
}

/// Sends Carbon's lines through some connections for a time.
fn send_lines(port: u16, load: Duration) -> Duration {
    let began = Instant::now();
    thread::scope(|threads| {
        for client in 0..4 {
            threads.spawn(move || {
                let body = carbon_body(client);
                let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
                while began.elapsed() < load {
                    if stream.write_all(&body).is_err() {
                        break;
                    }
                }
            });
        }
    });
    began.elapsed()
}

/// How many values a second carbon-c-relay passes on; `None` if it is not installed.
fn relayed(load: Duration) -> Option<f64> {
    let sink = Sink::start();
    let Some(front) = Front::start("carbon-c-relay", sink.port) else {
        skip("carbon-c-relay's values", "carbon-c-relay");
        return None;
    };
    let began = Instant::now();
    let sent = send_lines(front.port, load);
    // What it still holds is passed on after the end.
    let mut last = (sink.bytes.load(Ordering::Relaxed), Instant::now());
    while last.1.elapsed() < Duration::from_millis(500) {
        thread::sleep(Duration::from_millis(20));
        let now = sink.bytes.load(Ordering::Relaxed);
        if now != last.0 {
            last = (now, Instant::now());
        }
    }
    let took = last.1.duration_since(began).max(sent).as_secs_f64();
    let per_line = carbon_body(0).len() as f64 / (LINES * FIELDS) as f64;
    Some(last.0 as f64 / per_line / took)
}

/// How many values a second of Carbon's lines are made safe.
fn carbon_lines(load: Duration) -> f64 {
    let sink = Sink::start();
    let master = Master::start(&sink.section());
    let (before, began) = (master.safe(), Instant::now());
    send_lines(master.carbon_line, load);
    (master.safe() - before) / began.elapsed().as_secs_f64()
}

/// Requests that are ready to be sent.
fn requests() -> Vec<Vec<u8>> {
    let body = |number: usize| {
        let mut body = String::new();
        for line in 0..LINES {
            let host = number % 4 * LINES + line;
            let _ = writeln!(
                body,
                "cpu,cpu=cpu0,host=node{host:05}.example.org usage_idle={}.5,usage_iowait=0.25,usage_steal=0,usage_system={}.75,usage_user=3.125 {}",
                line % 97,
                line % 11,
                1_795_795_000_000_000_000_i64 + number as i64 * 1_000_000_000
            );
        }
        request(body.as_bytes())
    };
    (0..BODIES).map(body).collect()
}

fn request(body: &[u8]) -> Vec<u8> {
    let head = format!("POST /write?db=b HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Reads an answer, which has no body if it is 204; returns whether it is one.
fn is_safe(stream: &mut TcpStream) -> bool {
    let (mut head, mut some) = (Vec::new(), [0; 1024]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut some) {
            Ok(count @ 1..) => head.extend_from_slice(&some[..count]),
            _ => return false,
        }
    }
    let is_safe = head.starts_with(b"HTTP/1.1 204");
    if !is_safe {
        println!("  (an answer: {})", String::from_utf8_lossy(&head).lines().next().unwrap_or_default());
    }
    is_safe
}

struct Written {
    /// Values a second.
    rate: f64,
    /// The longest of 99 of 100 acknowledgements, in seconds.
    p99: f64,
    /// The master's processor time for a million values, in seconds.
    processor: f64,
    memory: f64,
}

/// Writes for a time, as much as is taken or so many values a second.
fn write(load: Duration, rate: Option<f64>) -> Written {
    let (sink, requests) = (Sink::start(), requests());
    let master = Master::start(&sink.section());
    let (next, took) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let values = (LINES * FIELDS) as f64;
    let began = Instant::now();
    thread::scope(|threads| {
        for _ in 0..CLIENTS {
            threads.spawn(|| {
                let mut stream = TcpStream::connect(("127.0.0.1", master.port)).expect("it listens");
                stream.set_nodelay(true).expect("our own socket");
                let mut own = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let due =
                        rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(number as f64 * values / rate));
                    if due.max(began.elapsed()) >= load {
                        break;
                    }
                    thread::sleep(due.saturating_sub(began.elapsed()));
                    // A request that waits for a free client has waited too.
                    let since = if rate.is_some() { began + due } else { Instant::now() };
                    stream.write_all(&requests[number as usize % BODIES]).expect("it reads");
                    assert!(is_safe(&mut stream), "qmaster refused a body");
                    own.push(since.elapsed().as_secs_f64());
                }
                took.lock().expect("no client fails").extend(own);
            });
        }
    });
    let elapsed = began.elapsed().as_secs_f64();
    let mut took = took.into_inner().expect("no client fails");
    took.sort_by(f64::total_cmp);
    let all = took.len() as f64 * values;
    Written {
        rate: all / elapsed,
        p99: took[(took.len() * 99 / 100).min(took.len() - 1)],
        processor: master.processor() / all * 1e6,
        memory: master.memory(),
    }
}

/// The memory of a master at which 10,000 agents are connected: half of them speak HTTP, half are QULo's.
fn idle_agents() -> f64 {
    open_many_files();
    let sink = Sink::start();
    let master = Master::start(&sink.section());
    let pickle = |at: usize| {
        let mut bytes = b"\x80\x02}q\x00(X\x04\x00\x00\x00hostq\x01X\x08\x00\x00\x00".to_vec();
        bytes.extend_from_slice(format!("node{at:04}").as_bytes());
        bytes.extend_from_slice(b"q\x02X\x06\x00\x00\x00sensorq\x03X\x04\x00\x00\x00Load");
        bytes
    };
    let mut agents = Vec::new();
    for at in 0..AGENTS {
        let mut stream = TcpStream::connect(("127.0.0.1", master.port)).expect("a connection");
        if at % 2 == 0 {
            let line = format!("load,host=node{at:05} load1=0.5,load5=0.25 1795795000000000000\n");
            stream.write_all(&request(line.as_bytes())).expect("it reads");
        } else {
            // The beginning of a message, which the master holds.
            stream.write_all(&pickle(at)).expect("it reads");
        }
        agents.push(stream);
    }
    agents.iter_mut().step_by(2).for_each(|agent| assert!(is_safe(agent), "it was refused"));
    assert_eq!(master.safe() as usize, AGENTS / 2);
    master.memory()
}

fn open_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// A stand-in for InfluxDB that remembers which lines it has, and can be away.
struct Store {
    port: u16,
    is_away: Arc<AtomicBool>,
    rows: Arc<Mutex<HashSet<u64>>>,
}

fn hash(line: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    line.hash(&mut hasher);
    hasher.finish()
}

impl Store {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        let store = Self { port, is_away: Arc::default(), rows: Arc::default() };
        let (is_away, rows) = (Arc::clone(&store.is_away), Arc::clone(&store.rows));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (is_away, rows) = (Arc::clone(&is_away), Arc::clone(&rows));
                thread::spawn(move || serve(stream, &is_away, &rows));
            }
        });
        store
    }
}

/// Answers 204 to each request, unless it is away: then the connection ends.
fn serve(stream: TcpStream, is_away: &AtomicBool, rows: &Mutex<HashSet<u64>>) -> Option<()> {
    let mut reader = BufReader::with_capacity(1 << 16, stream.try_clone().ok()?);
    let mut answers = stream;
    loop {
        let (mut length, mut is_query, mut is_packed) = (0, None, false);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            is_query.get_or_insert_with(|| !line.contains("/write"));
            is_packed |= line.eq_ignore_ascii_case("content-encoding: gzip\r\n");
            if let Some(number) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = number.trim().parse().ok()?;
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        if is_away.load(Ordering::SeqCst) {
            return None;
        }
        if is_query == Some(true) {
            answers
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 33\r\n\r\n")
                .ok()?;
            answers.write_all(br#"{"results":[{"statement_id":0}]}"#).ok()?;
            answers.write_all(b"\n").ok()?;
            continue;
        }
        let mut text = String::new();
        match is_packed {
            true => GzDecoder::new(body.as_slice()).read_to_string(&mut text).ok()?,
            false => body.as_slice().read_to_string(&mut text).ok()?,
        };
        rows.lock().expect("nobody fails").extend(text.lines().filter(|line| line.starts_with("cut,")).map(hash));
        answers.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").ok()?;
    }
}

/// 20,000 values a second, and a sink that is away for 60 s.
fn cut(table: &mut Table) {
    const A_SECOND: usize = 4000;
    const AWAY: usize = 60;
    table.title("20,000 values/s, and the sink away for 60 s");
    let store = Store::start();
    let influxdb = format!("[influxdb]\nurl = http://127.0.0.1:{}/\ndatabase = b\n", store.port);
    let master = Master::start(&influxdb);
    let mut stream = TcpStream::connect(("127.0.0.1", master.port)).expect("it listens");
    let (began, mut sent, mut back) = (Instant::now(), HashSet::new(), None::<(Instant, usize)>);
    let mut drained = None;
    for second in 0..AWAY + 30 {
        store.is_away.store((5..5 + AWAY).contains(&second), Ordering::SeqCst);
        if second == 5 + AWAY {
            back = Some((Instant::now(), sent.len()));
        }
        let mut body = String::new();
        for line in 0..A_SECOND {
            let begin = body.len();
            let _ = write!(
                body,
                "cut,host=node{line:04} a=1i,b=2i,c=3i,d=4i,e={second}i {}",
                1_795_795_000 + second as i64
            );
            body.push_str("000000000");
            sent.insert(hash(&body[begin..]));
            body.push('\n');
        }
        stream.write_all(&request(body.as_bytes())).expect("it reads");
        assert!(is_safe(&mut stream), "it was refused");
        while began.elapsed() < Duration::from_secs(second as u64 + 1) {
            if let (Some((at, count)), None) = (back, drained)
                && store.rows.lock().expect("nobody fails").len() >= count
            {
                drained = Some(at.elapsed().as_secs_f64());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
    let begun = Instant::now();
    while store.rows.lock().expect("nobody fails").len() < sent.len() && begun.elapsed() < LIMIT {
        thread::sleep(Duration::from_millis(50));
    }
    let lost = sent.difference(&store.rows.lock().expect("nobody fails")).count();
    table.target("lines of 360,000 that are lost", &lost.to_string(), "", "none", lost == 0);
    let drained = drained.unwrap_or(f64::INFINITY);
    let target = format!("at most {DRAINED_S} s");
    table.target("until what waited is at the sink", &seconds(drained), "", &target, drained <= DRAINED_S);
}
