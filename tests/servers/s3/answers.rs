//! Answers that the real store does not give, from a stand-in: those of Amazon (tests/fixtures/s3/aws_answers.http, written
//! after its documentation), slow ones, resets, and what is no object store.

mod refusals;
mod time;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use gridmon::setup::Config;
use gridmon::sinks::s3::{Failure, Store};

use super::{Host, keys};

const NOW: i64 = 1_717_243_200;
const UUID: &str = "00000000-0000-4000-8000-000000000001";

/// A request: its first line, and its headers in lower case.
#[derive(Clone, Debug)]
struct Request {
    line: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Request {
    fn read(stream: &mut BufReader<TcpStream>) -> Option<Self> {
        let (mut line, mut headers) = (String::new(), BTreeMap::new());
        stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
        loop {
            let mut header = String::new();
            stream.read_line(&mut header).ok()?;
            let Some((name, value)) = header.trim_end().split_once(": ") else { break };
            headers.insert(name.to_ascii_lowercase(), value.to_string());
        }
        let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        stream.read_exact(&mut body).ok()?;
        Some(Self { line: line.trim_end().into(), headers, body })
    }

    /// Whether it puts a bucket, by path style.
    fn is_bucket(&self) -> bool {
        let path = self.line.split([' ', '?']).nth(1).unwrap_or_default();
        path.trim_matches('/').split('/').count() == 1
    }
}

/// What a stand-in does with a request: the whole answer; `None` resets the connection.
type Handler = Box<dyn Fn(&Request, usize) -> Option<String> + Send + Sync>;

struct Stub {
    url: String,
    seen: Arc<Mutex<Vec<Request>>>,
    connections: Arc<Mutex<usize>>,
}

impl Stub {
    fn start(handler: Handler) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (seen, connections) = (Arc::<Mutex<Vec<Request>>>::default(), Arc::<Mutex<usize>>::default());
        let (known, count, handler) = (seen.clone(), connections.clone(), Arc::new(handler));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                *count.lock().unwrap() += 1;
                let (known, handler) = (known.clone(), handler.clone());
                thread::spawn(move || {
                    let mut stream = BufReader::new(stream);
                    while let Some(request) = Request::read(&mut stream) {
                        let at = {
                            let mut known = known.lock().unwrap();
                            known.push(request.clone());
                            known.len() - 1
                        };
                        let Some(answer) = handler(&request, at) else { return };
                        if stream.get_mut().write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { url, seen, connections }
    }

    fn store(&self, more: &str) -> Store {
        store(&self.url, more)
    }

    fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

fn store(url: &str, more: &str) -> Store {
    let text =
        format!("[rrd]\ndirectory = /r\n[s3]\nurl = {url}\nbucket = gridmon-heprc\n{}\n{more}", keys("hidden+secret"));
    Store::new(Config::parse(&text, "test").unwrap().0.s3.unwrap(), NOW).unwrap()
}

fn put(store: &Store) -> Result<(), Failure> {
    store.put(UUID, "cpu-1d.png", b"a picture", Instant::now() + Duration::from_secs(20))
}

/// An answer with this status and body.
fn page(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// An object was stored: its MD5 is told.
fn taken(request: &Request) -> Option<String> {
    let etag = format!("{:x}", md5::compute(&request.body));
    Some(format!("HTTP/1.1 200 OK\r\nETag: \"{etag}\"\r\nContent-Length: 0\r\n\r\n"))
}

/// Amazon's answers by their titles, `404 NoSuchBucket`, made whole.
fn recorded() -> BTreeMap<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/s3/aws_answers.http");
    let text = std::fs::read_to_string(path).unwrap();
    let mut answers = BTreeMap::new();
    for block in text.split("#### ").skip(1) {
        let (title, answer) = block.split_once('\n').unwrap();
        let title = title.split(" (").next().unwrap().to_string();
        let (heads, body) = answer.trim_end().split_once("\n\n").unwrap();
        let heads = heads.replace('\n', "\r\n");
        answers.insert(title, format!("{heads}\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    }
    answers
}

#[test]
fn a_request_is_signed_with_type_and_checksum() {
    let stub = Stub::start(Box::new(|request, _| taken(request)));
    put(&stub.store("region = eu-central-1")).unwrap();
    let [request] = stub.seen().try_into().unwrap();
    assert!(
        request.line.starts_with(&format!("PUT /gridmon-heprc/{UUID}/cpu-1d.png?X-Amz-Algorithm=AWS4-HMAC-SHA256&"))
    );
    for part in [
        "X-Amz-Credential=AKIDEXAMPLE%2F20240601%2Feu-central-1%2Fs3%2Faws4_request",
        "X-Amz-Date=20240601T12",
        "X-Amz-SignedHeaders=content-md5%3Bcontent-type%3Bhost",
    ] {
        assert!(request.line.contains(part), "{}", request.line);
    }
    assert_eq!(request.headers["content-type"], "image/png");
    // As `printf 'a picture' | openssl md5 -binary | base64` prints it.
    assert_eq!(request.headers["content-md5"], "EBoOPi9YGIs+L/wQVzFsEw==");
    assert_eq!(request.body, b"a picture");
}

#[test]
fn a_missing_bucket_is_made_once_and_kept_connections_are_used() {
    let missing = recorded()["404 NoSuchBucket"].clone();
    let made = Arc::new(Mutex::new(false));
    let known = made.clone();
    let stub = Stub::start(Box::new(move |request, _| {
        let mut made = known.lock().unwrap();
        *made |= request.is_bucket();
        if *made { taken(request) } else { Some(missing.clone()) }
    }));
    let store = stub.store("region = eu-central-1");
    thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(|| (0..20).for_each(|_| put(&store).unwrap())))));
    let buckets: Vec<_> = stub.seen().into_iter().filter(Request::is_bucket).collect();
    assert_eq!(buckets.len(), 1);
    let body = String::from_utf8(buckets[0].body.clone()).unwrap();
    assert!(body.contains("<LocationConstraint>eu-central-1</LocationConstraint>"), "{body}");
    // A client that waits for a connection opens one as well, and takes what is there first: so a few more than the
    // eight threads may be opened, and still each serves many requests.
    let (connections, requests) = (*stub.connections.lock().unwrap(), stub.seen().len());
    assert!(requests > 160 && connections <= 24, "{requests} requests over {connections} connections");
}

#[test]
fn a_bucket_that_is_there_by_now_is_fine() {
    for code in ["409 BucketAlreadyOwnedByYou", "409 BucketAlreadyExists"] {
        let answers = recorded();
        let stub = Stub::start(Box::new(move |request, at| match at {
            0 => Some(answers["404 NoSuchBucket"].clone()),
            _ if request.is_bucket() => Some(answers[code].clone()),
            _ => taken(request),
        }));
        put(&stub.store("")).unwrap();
        assert_eq!(stub.seen().len(), 3, "{code}");
    }
}

/// An instance that moved to another host has its graphs from there: what lies here is older, and would be sent over them.
#[test]
fn graphs_of_an_instance_that_is_gone_are_sent_no_more() {
    let stub = Stub::start(Box::new(|request, _| taken(request)));
    let mut host = Host::start();
    host.config(&stub.url, &format!("bucket = gridmon-heprc\n{}", keys("hidden+secret")));
    (0..2).for_each(|slot| host.good(slot));
    assert_eq!(stub.seen().len(), 27);
    // The third one moves away, and what was sent is forgotten.
    host.player = super::player::Player::start(&host.sandbox.path("libvirt-of-two"), 2).unwrap();
    host.config(&stub.url, &format!("bucket = gridmon-heprc\n{}", keys("hidden+secret")));
    let graphs = host.sandbox.path("state/collect-instances.lab.graphs");
    std::fs::remove_file(graphs).unwrap();
    host.good(2);
    let again: Vec<_> = stub.seen()[27..].iter().map(|request| request.line.clone()).collect();
    assert_eq!(again.len(), 18);
    assert!(again.iter().all(|line| !line.contains("-000000000003/")), "{again:?}");
}

#[test]
fn a_temporary_redirect_is_signed_anew_and_no_other_is_followed() {
    let other = Stub::start(Box::new(|request, _| taken(request)));
    let to = format!("{}/elsewhere/cpu-1d.png?X-Amz-Signature=old", other.url);
    let stub = Stub::start(Box::new(move |_, _| {
        Some(format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"))
    }));
    put(&stub.store("")).unwrap();
    let [request] = other.seen().try_into().unwrap();
    assert!(request.line.starts_with("PUT /elsewhere/cpu-1d.png?X-Amz-Algorithm="), "{}", request.line);
    assert!(!request.line.contains("old") && request.body == b"a picture", "{}", request.line);
    // Amazon's own, whose host is not of this store's domain.
    let answer = recorded()["307 TemporaryRedirect"].clone();
    let stub = Stub::start(Box::new(move |_, _| Some(answer.clone())));
    let Err(Failure::All(text)) = put(&stub.store("")) else { panic!("it followed") };
    assert!(text.contains("redirects out of its domain"), "{text}");
}

/// A store that repeats the request in everything it says: no output of the program shows the signature.
#[test]
fn no_output_shows_a_signature() {
    let part = |line: &str, name: &str| {
        let rest = line.split_once(name).map_or("", |(_, rest)| rest);
        rest.split(['&', ' ']).next().unwrap_or_default().to_string()
    };
    for status in [
        "200 OK",
        "301 Moved Permanently",
        "307 Temporary Redirect",
        "400 Bad Request",
        "403 Forbidden",
        "404 Not Found",
        "409 Conflict",
        "500 Oops",
        "503 Slow Down",
    ] {
        let stub = Stub::start(Box::new(move |request, _| {
            let (line, signature) = (&request.line, part(&request.line, "X-Amz-Signature="));
            let body = format!(
                "<Error><Code>{signature}</Code><Message>{line}</Message><Region>{signature}</Region>\
                 <SignatureProvided>{signature}</SignatureProvided><StringToSign>{line}</StringToSign></Error>"
            );
            let path = line.split(' ').nth(1).unwrap_or_default();
            Some(format!(
                "HTTP/1.1 {status} {signature}\r\nLocation: http://other.example{path}\r\nx-amz-bucket-region: {signature}\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            ))
        }));
        let host = Host::start();
        host.config(&stub.url, &format!("bucket = gridmon-heprc\n{}", keys("hidden+secret")));
        let outputs = [
            host.run(0),
            host.run(1),
            host.command("collect-instances", &["--check"]),
            host.command("gridmon-status", &[]),
        ];
        let seen = stub.seen();
        assert!(!seen.is_empty(), "{status}");
        let state = std::fs::read_dir(host.sandbox.path("state")).unwrap().flatten();
        let kept = state
            .filter_map(|file| std::fs::read(file.path()).ok())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let told: String =
            outputs.iter().map(|outcome| format!("{}{}", outcome.stdout, outcome.stderr)).chain(kept).collect();
        // Without the bytes of the store beside them.
        let lines = |secret: &str| {
            told.lines()
                .filter(|line| line.contains(secret))
                .map(str::escape_debug)
                .map(|line| line.take(500).collect::<String>())
                .collect::<Vec<_>>()
        };
        let signatures = seen.iter().map(|request| part(&request.line, "X-Amz-Signature="));
        let signatures: Vec<_> = signatures.inspect(|signature| assert_eq!(signature.len(), 64)).collect();
        let secrets = signatures.iter().map(String::as_str).chain(["X-Amz", "hidden+secret", "AKIDEXAMPLE"]);
        secrets.for_each(|secret| assert_eq!(lines(secret), [""; 0], "{status}: {secret}"));
    }
}
