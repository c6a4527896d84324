//! Carbon 1.1 and graphite-web 1.1, as packaged by Debian 12.

use super::{Ports, Server, TempDir, signal, tail, wait_until};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

/// A carbon-cache that keeps one value a minute for a week and stores new metrics at any rate, killed on drop.
#[derive(Debug)]
pub struct Carbon {
    /// Port of the plain-text protocol.
    pub line: u16,
    /// Port of the pickle protocol.
    pub pickle: u16,
    /// Port on which graphite-web asks for points that are not on disk yet.
    pub query: u16,
    server: Server,
    settings: Vec<String>,
    _ports: Ports,
    dir: TempDir,
}

impl Carbon {
    /// Starts one, or answers `None` where Carbon is not installed.
    pub fn start() -> Option<Carbon> {
        Carbon::start_with(&[])
    }

    /// Starts one with keys of carbon.conf set, such as `("MAX_CREATES_PER_MINUTE", "1")`.
    pub fn start_with(settings: &[(&str, &str)]) -> Option<Carbon> {
        if !Path::new("/usr/bin/carbon-cache").exists() {
            return None;
        }
        let settings: Vec<_> = settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let (dir, ports) = (TempDir::new(), Ports::free());
        let line = ports.first();
        let server = Carbon::run(&dir, line, &settings);
        Some(Carbon { line, pickle: line + 1, query: line + 2, server, settings, _ports: ports, dir })
    }

    fn run(dir: &TempDir, line: u16, settings: &[String]) -> Server {
        let port = line.to_string();
        let mut args = vec![dir.path().to_str().expect("an ASCII path"), &port];
        args.extend(settings.iter().map(String::as_str));
        let mut server = Server::start("carbon.sh", &args);
        let connects = || (line..line + 3).all(|port| TcpStream::connect(("127.0.0.1", port)).is_ok());
        let ready = server.wait_ready("carbon's ports to connect", connects);
        assert!(ready, "carbon did not start: {}", tail(&dir.path().join("log")));
        server
    }

    /// The process of carbon-cache itself.
    pub fn pid(&self) -> u32 {
        self.server.child.id()
    }

    /// Sends it a signal by name: `STOP` and `CONT` for a Carbon that hangs.
    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Ends the process at once; its ports stay reserved and refuse connections.
    pub fn kill(&mut self) {
        self.server.end();
    }

    /// Starts a killed one again, with the same ports, settings and data.
    pub fn restart(&mut self) {
        self.server.end();
        self.server = Carbon::run(&self.dir, self.line, &self.settings);
    }

    /// The folder with carbon.conf, the log and the data.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The Whisper file that holds this metric once it is on disk.
    pub fn whisper(&self, metric: &str) -> PathBuf {
        self.dir().join("whisper").join(metric.replace('.', "/") + ".wsp")
    }

    /// The points of a metric that are on disk, by Unix time; none where it has no Whisper file yet. The file's header is 16
    /// bytes and 12 for each archive; of ours there is one.
    pub fn on_disk(&self, metric: &str) -> BTreeMap<i64, f64> {
        let path = self.whisper(metric);
        let Ok(bytes) = fs::read(&path) else { return BTreeMap::new() };
        // Carbon makes the file and fills it afterwards.
        if bytes.len() < 28 {
            return BTreeMap::new();
        }
        let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        assert_eq!((word(12), word(20)), (1, 60), "{}: one archive of one value a minute", path.display());
        let points = bytes[word(16) as usize..].chunks_exact(12).filter(|point| point[..4] != [0; 4]);
        let point = |point: &[u8]| {
            let (time, value) = point.split_first_chunk().expect("twelve bytes");
            (u32::from_be_bytes(*time).into(), f64::from_be_bytes(value.try_into().expect("eight bytes")))
        };
        points.map(point).collect()
    }

    /// Waits until these metrics have a value at these times on disk. What Carbon is just moving from its memory to the
    /// disk is in neither for a moment, and graphite-web gives one value fewer then: about one summary of a hundred
    /// metrics in a hundred, right after a run.
    pub fn wait_until_on_disk<'a>(&self, expected: impl IntoIterator<Item = (&'a String, i64)>) {
        for (metric, time) in expected {
            wait_until(metric, Duration::from_secs(60), || self.on_disk(metric).contains_key(&time).then_some(()));
        }
    }

    /// What carbon has logged so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.dir().join("log")).unwrap_or_default()).into_owned()
    }
}

/// A graphite-web that reads one Carbon's data, killed on drop.
#[derive(Debug)]
pub struct GraphiteWeb {
    /// Port of its HTTP server.
    pub port: u16,
    _server: Server,
    _ports: Ports,
    _dir: TempDir,
}

impl GraphiteWeb {
    /// Starts one that reads this Carbon, or answers `None` where graphite-web is not installed.
    pub fn start(carbon: &Carbon) -> Option<GraphiteWeb> {
        GraphiteWeb::start_with_cache(carbon, 0)
    }

    /// Starts one that keeps its answers for so many seconds.
    pub fn start_with_cache(carbon: &Carbon, seconds: u32) -> Option<GraphiteWeb> {
        if !Path::new("/usr/lib/python3/dist-packages/graphite/wsgi.py").exists() {
            return None;
        }
        let (dir, ports) = (TempDir::new(), Ports::free());
        let port = ports.first();
        let path = dir.path().to_str().expect("an ASCII path");
        let whisper = carbon.dir().join("whisper");
        let whisper = whisper.to_str().expect("an ASCII path");
        let arguments = [path, &port.to_string(), whisper, &carbon.query.to_string(), &seconds.to_string()];
        let mut server = Server::start("graphite-web.sh", &arguments);
        let ready = server
            .wait_ready("graphite-web to answer", || get(port, "/version/").is_some_and(|(status, _)| status == 200));
        assert!(ready, "graphite-web did not start: {}", tail(&dir.path().join("log")));
        Some(GraphiteWeb { port, _server: server, _ports: ports, _dir: dir })
    }

    /// The reply of `/render` for a target between two Unix times: a list with one object per series, empty for a
    /// metric that has no Whisper file yet.
    pub fn render(&self, target: &str, from_unix: i64, until_unix: i64) -> Value {
        self.json(&format!("/render?target={}&from={from_unix}&until={until_unix}&format=json", encode(target)))
    }

    /// The value that a target has at the minute of this Unix time, as soon as it is there; `None` when it has not come
    /// in 10 s.
    pub fn wait_for(&self, target: &str, at_unix: i64) -> Option<f64> {
        self.wait_for_up_to(target, at_unix, Duration::from_secs(10))
    }

    /// As [`GraphiteWeb::wait_for`] with a limit of one's own, short where nothing is to arrive.
    pub fn wait_for_up_to(&self, target: &str, at_unix: i64, limit: Duration) -> Option<f64> {
        let start = std::time::Instant::now();
        wait_until(target, limit + Duration::from_secs(60), || match self.value(target, at_unix) {
            None if start.elapsed() < limit => None,
            answer => Some(answer),
        })
    }

    /// The value that a target has now at the minute of this Unix time.
    pub fn value(&self, target: &str, at_unix: i64) -> Option<f64> {
        let minute = at_unix - at_unix.rem_euclid(60);
        let reply = self.render(target, minute - 60, minute + 60);
        let datapoints = reply[0]["datapoints"].as_array()?;
        datapoints.iter().find(|point| point[1] == minute)?[0].as_f64()
    }

    /// The names that match a pattern such as `grid.*.jobs`, leaves and branches alike, sorted.
    pub fn find(&self, query: &str) -> Vec<String> {
        let reply = self.json(&format!("/metrics/expand?query={}", encode(query)));
        let names = reply["results"].as_array().expect("a list of names");
        names.iter().map(|name| name.as_str().expect("a name").to_owned()).collect()
    }

    fn json(&self, path: &str) -> Value {
        let (status, body) = get(self.port, path).expect("graphite-web is up");
        assert!(status == 200, "GET {path}: HTTP {status}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("GET {path}: {error}: {body}"))
    }
}

/// One Carbon and its graphite-web for all tests of a process, which keep apart by the first part of their metrics'
/// names.
pub fn shared_graphite() -> Option<(&'static Carbon, &'static GraphiteWeb)> {
    static SHARED: OnceLock<Option<(Carbon, GraphiteWeb)>> = OnceLock::new();
    let start = || {
        let carbon = Carbon::start()?;
        let web = GraphiteWeb::start(&carbon)?;
        Some((carbon, web))
    };
    SHARED.get_or_init(start).as_ref().map(|(carbon, web)| (carbon, web))
}

/// Status and body of a GET on loopback, `None` while nothing listens there.
fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").ok()?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).ok()?;
    let reply = String::from_utf8_lossy(&reply);
    let (head, body) = reply.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// Percent-encodes a text for the query part of a URL.
pub(super) fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("a String takes all");
        }
        encoded
    })
}
