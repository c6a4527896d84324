//! qmaster from end to end: what it answers 204 to reaches Carbon exactly as it was sent, whatever is killed meanwhile; what
//! is hostile costs its own connection.

mod agents;
mod balanced;
mod ends;
mod feeders;
mod hostile;
mod old_agents;
mod trust;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use gridmon_testkit::sandbox::disk::SmallDisk;
use gridmon_testkit::sandbox::{FakeCarbon, Mood};
use gridmon_testkit::{Ports, TempDir, free_port, program, wait_until};

const LIMIT: Duration = Duration::from_secs(25);

/// A qmaster with a config, a state directory and a port of its own, ended on drop.
struct Master {
    folder: TempDir,
    port: u16,
    _ports: Ports,
    /// On which its state is, if not on this machine's.
    disk: Option<SmallDisk>,
    process: Option<Child>,
}

impl Master {
    /// Starts one whose config has these lines too; those before the first section belong to `[qmaster]`.
    fn start(more: &str) -> Self {
        let mut master = Self::new(more);
        master.run();
        master
    }

    fn new(more: &str) -> Self {
        let (port, ports) = free_port();
        let master = Self { folder: TempDir::new(), port, _ports: ports, disk: None, process: None };
        master.config(more);
        master
    }

    fn config(&self, more: &str) {
        let text = format!(
            "[grid]\nname = g\n[state]\ndirectory = {}\n[qmaster]\nport = {}\n{more}\n",
            self.folder.path().join("state").display(),
            self.port
        );
        let path = self.folder.write("config.cfg", text);
        fs::set_permissions(path, fs::Permissions::from_mode(0o640)).unwrap();
    }

    fn command(&self) -> Command {
        let mut command = Command::new(program("qmaster"));
        command.args(["-c", "config.cfg", "run"]).current_dir(self.folder.path()).env_clear();
        if let Some(disk) = &self.disk {
            command = disk.inside(&command);
        }
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.path().join("stderr")).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command
    }

    fn run(&mut self) {
        self.process = Some(self.command().spawn().unwrap());
        wait_until("qmaster to listen", LIMIT, || {
            let ended = self.process.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "{}", self.log());
            TcpStream::connect(("127.0.0.1", self.port)).ok()
        });
    }

    /// Exports what its embedded store has.
    fn export(&self) -> Command {
        let mut export = Command::new(program("gridmon-status"));
        export.args(["-c", "config.cfg", "store", "export"]).current_dir(self.folder.path()).env_clear();
        export
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default()
    }

    fn pid(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
    }

    /// Kills it with SIGKILL.
    fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Ends it as systemd does.
    fn stop(&mut self) {
        let mut process = self.process.take().unwrap();
        gridmon_testkit::signal(process.id(), "TERM");
        assert_eq!(process.wait().unwrap().code(), Some(0), "{}", self.log());
    }

    /// Posts a body; returns status and answer.
    fn post(&self, path: &str, headers: &str, body: &[u8]) -> (u16, String) {
        exchange(&mut self.connect(), &request("POST", path, headers, body)).unwrap()
    }

    fn get(&self, path: &str) -> (u16, String) {
        exchange(&mut self.connect(), &request("GET", path, "", b"")).unwrap()
    }

    /// Returns one number of `/metrics`; 0 if it is not there.
    fn metric(&self, name: &str) -> u64 {
        let (_, text) = self.get("/metrics");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0, |value| value.trim().parse().unwrap())
    }

    fn wait_for_metric(&self, name: &str, value: u64) {
        wait_until(&format!("{name} {value}"), LIMIT, || (self.metric(name) >= value).then_some(()));
        assert_eq!(self.metric(name), value);
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn request(method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut text =
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n{headers}\r\n", body.len())
            .into_bytes();
    text.extend_from_slice(body);
    text
}

/// Sends a request and reads the answer: its status and body, and its head where that has a Retry-After.
fn exchange(stream: &mut (impl Read + Write), request: &[u8]) -> std::io::Result<(u16, String)> {
    // A body that is refused may not be read to its end.
    let sent = stream.write_all(request);
    let (mut bytes, mut some) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lower = head.to_ascii_lowercase();
            let length = lower.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
            let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
            if body.len() >= length {
                let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                let retry = lower.lines().find(|line| line.starts_with("retry-after")).unwrap_or_default();
                return Ok((status, format!("{body}{retry}")));
            }
        }
        match stream.read(&mut some) {
            Ok(0) => {
                sent?;
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            Ok(count) => bytes.extend_from_slice(&some[..count]),
            Err(error) => return Err(error),
        }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn carbon_section(carbon: &FakeCarbon) -> String {
    format!("[carbon]\nhost = 127.0.0.1\nport = {}\n", carbon.port)
}

/// Waits until Carbon has these lines, whatever else it has.
fn wait_for(carbon: &FakeCarbon, expected: &[&str]) {
    wait_until("the values at Carbon", LIMIT, || {
        let lines = carbon.lines();
        expected.iter().all(|line| lines.iter().any(|one| one == line)).then_some(())
    });
}

#[test]
fn what_clients_write_reaches_carbon_and_they_hear_what_influxdb_says() {
    let carbon = FakeCarbon::start(Mood::Good);
    let mut master = Master::start(&carbon_section(&carbon));
    assert_eq!(master.post("/write?db=x", "", b"cpu,host=a.b,cpu=0 idle=97.5,user=1i 1717245000000000000").0, 204);
    let packed = gzip(b"disk,path=/ free=5i 1717245001000\n");
    let answer = master.post("/api/v2/write?bucket=b&precision=ms", "Content-Encoding: gzip\r\n", &packed);
    assert_eq!(answer, (204, String::new()));
    let (status, text) =
        master.post("/write?precision=s", "", b"m f=1 1717245002\nm f=oops 3\nm s=\"text\",g=2 1717245002");
    assert_eq!(status, 400);
    assert!(text.contains("line 2: ") && text.contains("field s is a text") && text.contains("dropped=2"), "{text}");
    assert_eq!(master.post("/write", "", b"carbon,path=a.b;c=d value=5 1717245003000000000").0, 204);
    let expected = [
        "a.b;c=d 5.0 1717245003",
        "cpu.0.a_b.idle 97.5 1717245000",
        "cpu.0.a_b.user 1 1717245000",
        "disk._.free 5 1717245001",
        "m.f 1.0 1717245002",
        "m.g 2.0 1717245002",
    ];
    wait_for(&carbon, &expected);
    assert_eq!(master.get("/healthz"), (200, "ok\n".into()));
    assert_eq!(master.get("/ping").0, 204);
    assert_eq!(master.post("/query?q=CREATE+DATABASE+x", "", b"").0, 200);
    assert_eq!(master.post("/query", "", b"q=SHOW+DATABASES").0, 400);
    assert_eq!((master.get("/write").0, master.get("/nothing").0), (405, 404));
    assert_eq!(master.metric("qmaster_points_total{from=\"line protocol\"}"), 5);
    master.stop();
    assert!(!master.log().contains("met a bug"), "{}", master.log());
}

#[test]
fn sigkill_while_it_is_fed_loses_nothing_that_was_answered_204() {
    let carbon = FakeCarbon::start(Mood::Good);
    let mut master = Master::start(&carbon_section(&carbon));
    let (mut promised, mut kills) = (BTreeSet::new(), 0);
    while kills < 4 {
        let port = master.port;
        let feeders: Vec<_> = (0..4)
            .map(|feeder| {
                thread::spawn(move || {
                    let mut safe = Vec::new();
                    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return safe };
                    for request_number in 0.. {
                        let (mut body, mut lines) = (String::new(), Vec::new());
                        for line in 0..20 {
                            let (value, time) = (request_number * 20 + line, 1_717_245_000 + request_number);
                            let _ = writeln!(body, "k,feeder={feeder},kill={kills},line={line} v={value}i {time}");
                            lines.push(format!("k.{feeder}.{kills}.{line}.v {value} {time}"));
                        }
                        match exchange(&mut stream, &request("POST", "/write?precision=s", "", body.as_bytes())) {
                            Ok((204, _)) => safe.extend(lines),
                            _ => break,
                        }
                    }
                    safe
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(400 + 170 * kills));
        master.kill();
        for feeder in feeders {
            promised.extend(feeder.join().unwrap());
        }
        kills += 1;
        master.run();
    }
    assert!(promised.len() > 400, "{} lines were promised", promised.len());
    wait_until("everything that was promised", LIMIT, || {
        let there: BTreeSet<_> = carbon.lines().into_iter().collect();
        promised.is_subset(&there).then_some(())
    });
}

#[test]
fn a_sink_that_is_down_keeps_nobody_waiting_and_gets_everything_later() {
    let (port, _ports) = free_port();
    let master = Master::start(&format!("[carbon]\nhost = 127.0.0.1\nport = {port}\n"));
    for at in 0..30 {
        assert_eq!(master.post("/write", "", format!("m f={at}i {at}000000000").as_bytes()).0, 204);
    }
    // What is in the spool outlives the process.
    let carbon = FakeCarbon::start(Mood::Good);
    master.config(&carbon_section(&carbon));
    let mut master = master;
    master.kill();
    master.run();
    let expected: Vec<_> = (0..30).map(|at| format!("m.f {at} {at}")).collect();
    wait_for(&carbon, &expected.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn near_the_limits_of_the_spool_it_asks_to_come_back_and_drops_nothing() {
    let (port, _ports) = free_port();
    let more = format!("[carbon]\nhost = 127.0.0.1\nport = {port}\n[spool]\nmax_bytes = 20000\n");
    let master = Master::start(&more);
    let mut safe = 0;
    let refused = wait_until("503", LIMIT, || {
        let answer = master.post("/write", "", format!("m f={safe}i {safe}000000000").as_bytes());
        match answer.0 {
            204 => {
                safe += 1;
                None
            }
            _ => Some(answer),
        }
    });
    assert_eq!(refused.0, 503);
    assert!(refused.1.contains("wait in the spool") && refused.1.ends_with("retry-after: 30"), "{refused:?}");
    assert_eq!(master.get("/healthz").0, 503);
    let batches = fs::read_dir(master.folder.path().join("state/spool")).unwrap();
    let names = batches.map(|file| file.unwrap().file_name().into_string().unwrap());
    assert!(names.filter(|name| name.ends_with(".batch") && name.contains("qmaster")).count() >= safe);
}

#[test]
fn a_client_begins_no_more_new_series_than_it_may() {
    let carbon = FakeCarbon::start(Mood::Good);
    let more = format!("new_series_per_hour = 10\n{}", carbon_section(&carbon));
    let mut master = Master::start(&more);
    let body = |from: i64| (from..from + 10).map(|at| format!("m,a={at} f=1 1\n")).collect::<String>();
    assert_eq!(master.post("/write", "", body(0).as_bytes()).0, 204);
    let (status, text) = master.post("/write", "", body(5).as_bytes());
    assert_eq!(status, 429);
    assert!(text.contains("m,a=10") && text.contains("retry-after"), "{text}");
    assert_eq!(master.post("/write", "", body(0).as_bytes()).0, 204);
    // What it knew before a restart is as little new as ever.
    master.stop();
    master.config(&more);
    master.run();
    assert_eq!(master.post("/write", "", body(0).as_bytes()).0, 204);
    assert_eq!(master.post("/write", "", body(20).as_bytes()).0, 204);
    assert_eq!(master.post("/write", "", body(30).as_bytes()).0, 429);
}

/// A page that somebody has open in a browser on this machine can post here; the browser says that it is a page.
#[test]
fn a_page_in_a_browser_writes_nothing_and_another_name_is_not_served() {
    let carbon = FakeCarbon::start(Mood::Good);
    let mut master = Master::start(&format!("hosts = lb.example.org\n{}", carbon_section(&carbon)));
    let port = master.port;
    let ask = |host: &str, headers: &str| {
        let text = format!("POST /write HTTP/1.1\r\nHost: {host}\r\nContent-Length: 7\r\n{headers}\r\nm f=1 1");
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        exchange(&mut stream, text.as_bytes()).unwrap().0
    };
    for page in ["Origin: http://evil.example.org\r\n", "Origin: null\r\n", "Sec-Fetch-Site: cross-site\r\n"] {
        assert_eq!(ask("localhost", page), 403, "{page}");
    }
    for (host, status) in [("evil.example.org", 421), ("lb.example.org:80", 204), ("127.0.0.1:7888", 204)] {
        assert_eq!(ask(host, ""), status, "{host}");
    }
    assert_eq!(master.metric("qmaster_spooled_points"), 2);
    // With tokens nobody can write by chance, whatever the name.
    master.stop();
    master.config(&format!("tokens = t\n{}", carbon_section(&carbon)));
    master.run();
    assert_eq!(ask("master.example.org", "Authorization: Bearer t\r\n"), 204);
}

#[test]
fn many_requests_share_one_batch() {
    let carbon = FakeCarbon::start(Mood::Good);
    let master = Master::start(&carbon_section(&carbon));
    let port = master.port;
    let clients: Vec<_> = (0..40)
        .map(|client| {
            thread::spawn(move || {
                let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
                for at in 0..10 {
                    let body = format!("m,client={client} f={at}i {at}");
                    assert_eq!(exchange(&mut stream, &request("POST", "/write", "", body.as_bytes())).unwrap().0, 204);
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert_eq!(master.metric("qmaster_spooled_points"), 400);
    let batches = master.metric("qmaster_batches");
    assert!(batches < 300, "{batches} batches for 400 requests");
}

#[test]
fn qulos_own_file_works_as_it_is() {
    let carbon = FakeCarbon::start(Mood::Good);
    let mut master = Master::new("");
    let state = master.folder.path().join("state").display().to_string();
    let log = master.folder.path().join("qulo.log").display().to_string();
    let (port, to) = (master.port, carbon.port);
    let file = move |graphite: &str| {
        format!(
            "[DEFAULT]\nhere: 127.0.0.1\n[qmaster]\nhost: %(here)s\nincoming data port: {port}\n[Graphite]\nHost: %(HERE)s\ncarbon receiver pickle port: {to}\n{graphite}\n\
             [logging]\nfilename: {log}\nmaxBytes: 1000000\nbackupCount: 2\nlevel: DEBUG\n[state]\ndirectory: {state}\n"
        )
    };
    let conf = master.folder.write("qmaster.conf", file(""));
    fs::set_permissions(&conf, fs::Permissions::from_mode(0o640)).unwrap();
    let run = |master: &mut Master| {
        let mut command = Command::new(program("qmaster"));
        command.args(["-c", "qmaster.conf", "run"]).current_dir(master.folder.path()).env_clear();
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        master.process = Some(process);
        wait_until("qmaster to listen", LIMIT, || TcpStream::connect(("127.0.0.1", master.port)).ok());
    };
    run(&mut master);
    let mut agent = master.connect();
    let stream = fs::read(gridmon_testkit::sandbox::fixture("qulo/stream_20.bin")).unwrap();
    agent.write_all(&stream).unwrap();
    wait_for(&carbon, &["node01.example.org.CPUPercent.0 61.3 1795656603"]);
    let log = fs::read_to_string(master.folder.path().join("qulo.log")).unwrap();
    assert!(log.contains("INFO [") && log.contains("receives HTTP and QULo's agents"), "{log}");
    master.kill();
    master.folder.write("qmaster.conf", file("send: no"));
    fs::set_permissions(&conf, fs::Permissions::from_mode(0o640)).unwrap();
    let before = carbon.lines().len();
    run(&mut master);
    assert_eq!(master.post("/write", "", b"silent f=1 1").0, 204);
    master.stop();
    assert!(!carbon.lines().iter().any(|line| line.starts_with("silent")), "send = no, and {before} before");
}

/// One qmaster forwards to another, which is killed and comes again meanwhile.
#[test]
fn what_is_forwarded_arrives_though_the_other_master_is_killed() {
    let carbon = FakeCarbon::start(Mood::Good);
    let mut far = Master::start(&carbon_section(&carbon));
    let near = Master::start(&format!("forward = 127.0.0.1\nforward_port = {}\nprotocol = http", far.port));
    let line = |at: usize| format!("m,host=h{at} f={at} 1717245000000000000\n");
    for at in 0..30 {
        match at {
            10 => far.kill(),
            20 => far.run(),
            _ => {}
        }
        assert_eq!(near.post("/write", "", line(at).as_bytes()).0, 204);
    }
    let wanted: Vec<_> = (0..30).map(|at| format!("m.h{at}.f {at}.0 1717245000")).collect();
    wait_for(&carbon, &wanted.iter().map(String::as_str).collect::<Vec<_>>());
}
