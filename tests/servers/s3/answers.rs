//! Answers that the real store does not give, from a stand-in: those of Amazon (tests/fixtures/s3/aws_answers.http, written
//! after its documentation), slow ones, resets, and what is no object store.

use std::collections::{BTreeMap, BTreeSet};
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

#[test]
fn every_refusal_says_what_to_do() {
    let all = |text: &str| Failure::All(text.into());
    let bucket = |text: &str| Failure::Bucket(text.into());
    let answers = recorded();
    let skew =
        page("403 Forbidden", "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference</Message></Error>");
    let late = page("403 Forbidden", "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>");
    let clock = "the clocks of this machine and of the store differ by more than 15 min; set the one that is wrong";
    for (answer, expected) in [
        (skew, all(&format!("URL/ answered HTTP 403 RequestTimeTooSkewed: {clock}"))),
        (late, all(&format!("URL/ answered HTTP 403 AccessDenied: {clock}"))),
        (
            answers["301 PermanentRedirect"].clone(),
            bucket(
                "URL/ answered HTTP 301 PermanentRedirect: bucket gridmon-heprc lies in eu-central-1; set [s3] region = eu-central-1",
            ),
        ),
        (
            answers["400 AuthorizationHeaderMalformed"].clone(),
            bucket(
                "URL/ answered HTTP 400 AuthorizationHeaderMalformed: bucket gridmon-heprc lies in eu-central-1; set [s3] region = eu-central-1",
            ),
        ),
        (answers["503 SlowDown"].clone(), all("URL/ answered HTTP 503 SlowDown: it asks for fewer requests")),
        (
            answers["403 InvalidAccessKeyId"].clone(),
            all("URL/ answered HTTP 403 InvalidAccessKeyId: it does not know [s3] access_key"),
        ),
        (
            answers["403 AccessDenied"].clone(),
            bucket(
                "URL/ answered HTTP 403 AccessDenied: the key may not write into bucket gridmon-heprc, or it is somebody else's",
            ),
        ),
        (
            answers["an answer that is no S3"].clone(),
            Failure::One("URL/ answered HTTP 502, without one of S3's codes".into()),
        ),
        (
            page("200 OK", "<html><body>Welcome to the proxy</body></html>"),
            all("URL/ answered HTTP 200 as no object store does: is it a proxy's or a web server's? See [s3] url"),
        ),
        (
            page("200 OK\r\nETag: \"d41d8cd98f00b204e9800998ecf8427e\"", ""),
            Failure::One("URL/ answered HTTP 200, and stored something else than was sent".into()),
        ),
        (
            page("404 Not Found", "nothing here"),
            all("URL/ answered HTTP 404, without one of S3's codes: is it an object store?"),
        ),
        (
            page("400 Bad Request", "<Error><Code>BadDigest</Code></Error>"),
            Failure::One("URL/ answered HTTP 400 BadDigest".into()),
        ),
        (
            page("500 Oops", "<Error><Code>InternalError</Code></Error>"),
            Failure::One("URL/ answered HTTP 500 InternalError".into()),
        ),
    ] {
        let shown = answer.lines().next().unwrap_or_default().to_string();
        let stub = Stub::start(Box::new(move |_, _| Some(answer.clone())));
        let failure = put(&stub.store("")).unwrap_err();
        let plain = |text: &str| text.replace(&stub.url, "URL");
        let failure = match failure {
            Failure::All(text) => Failure::All(plain(&text)),
            Failure::Bucket(text) => Failure::Bucket(plain(&text)),
            Failure::One(text) => Failure::One(plain(&text)),
        };
        assert_eq!(failure, expected, "{shown}");
        assert_eq!(stub.seen().len(), 1, "{shown}");
    }
}

/// Amazon's checksum of an encrypted object is no MD5, nor is every store's.
#[test]
fn a_checksum_of_another_kind_is_no_refusal() {
    for etag in
        ["\"d41d8cd98f00b204e9800998ecf8427e\"\r\nx-amz-server-side-encryption: aws:kms", "\"0123456789abcdef-1\""]
    {
        let stub = Stub::start(Box::new(move |_, _| Some(page(&format!("200 OK\r\nETag: {etag}"), ""))));
        put(&stub.store("")).unwrap();
    }
}

/// Of three buckets the first takes nothing: the others get their graphs in the same run, and in each later one before it is
/// tried.
#[test]
fn a_bucket_that_refuses_holds_up_no_other() {
    let stub = Stub::start(Box::new(move |request, _| match request.line.contains("-000000000001.monitor") {
        true => Some(recorded()["403 AccessDenied"].clone()),
        false => taken(request),
    }));
    let host = Host::start();
    host.config(&stub.url, &format!("bucket = {{instance}}.monitor\nparallel = 1\n{}", keys("hidden+secret")));
    host.good(0);
    for (slot, due) in [(1, 27), (2, 15)] {
        let before = stub.seen().len();
        let run = host.run(slot);
        assert_eq!(run.code, Some(1), "{}", run.stderr);
        // Those of six hours and a month wait since the run before.
        let said = format!("; 9 of {due} graphs wait for the next run");
        assert!(run.stderr.contains("HTTP 403 AccessDenied") && run.stderr.contains(&said), "{}", run.stderr);
        let seen = &stub.seen()[before..];
        let of_it: Vec<_> = (0..seen.len()).filter(|at| seen[*at].line.contains("-000000000001.monitor")).collect();
        assert_eq!((seen.len(), of_it.len()), (due - 9 + 1, 1), "it is tried once");
        assert!(slot == 1 || of_it == [seen.len() - 1], "it is tried last: {of_it:?}");
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
fn a_key_that_may_make_no_bucket_says_so() {
    let answers = recorded();
    let stub = Stub::start(Box::new(move |request, _| {
        Some(answers[if request.is_bucket() { "403 AccessDenied" } else { "404 NoSuchBucket" }].clone())
    }));
    let Err(Failure::Bucket(text)) = put(&stub.store("")) else { panic!("it took it") };
    assert!(text.starts_with("bucket gridmon-heprc is missing and was not made: "), "{text}");
    assert!(text.ends_with("; make it by hand"), "{text}");
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

#[test]
fn a_store_that_hangs_or_resets_costs_its_time_and_no_more() {
    let slow = Stub::start(Box::new(|request, _| {
        thread::sleep(Duration::from_secs(5));
        taken(request)
    }));
    let began = Instant::now();
    let Err(Failure::One(text)) = put(&slow.store("timeout_seconds = 1")) else { panic!("it took it") };
    assert!(text.ends_with("no answer within 1 s") && began.elapsed() < Duration::from_secs(3), "{text}");
    // A connection that breaks is tried once more.
    let once = Stub::start(Box::new(|request, at| if at == 0 { None } else { taken(request) }));
    put(&once.store("")).unwrap();
    assert_eq!(once.seen().len(), 2);
    let always = Stub::start(Box::new(|_, _| None));
    let Err(Failure::One(text)) = put(&always.store("")) else { panic!("it took it") };
    assert!(text.starts_with("PUT http://127.0.0.1") && !text.contains("X-Amz"), "{text}");
    let Err(Failure::All(text)) = put(&store("http://127.0.0.1:1", "")) else { panic!("it took it") };
    assert!(text.contains("no connection"), "{text}");
}

/// A store that takes a third of a second for each graph, and a run that has six seconds: what did not fit goes first in the next one.
#[test]
fn what_does_not_fit_into_a_run_goes_first_in_the_next_one() {
    let stub = Stub::start(Box::new(|request, _| {
        thread::sleep(Duration::from_millis(300));
        taken(request)
    }));
    let host = Host::start();
    host.config_of(8, &stub.url, &format!("bucket = gridmon-heprc\nparallel = 1\n{}", keys("hidden+secret")));
    let graph = |request: &Request| request.line.split(['?', ' ']).nth(1).unwrap_or_default().to_string();
    host.good(0);
    let full = host.run(1);
    let seen: Vec<_> = stub.seen().iter().map(graph).collect();
    assert!((1..27).contains(&seen.len()), "{seen:?}");
    assert_eq!(full.code, Some(1), "{}", full.stderr);
    let says = |waiting: usize| {
        full.stderr.contains(&format!(
            "s3: the run's time is over; {waiting} of 27 graphs wait for the next run, the first since 2024-06-01 12:0"
        ))
    };
    // The end of the run may have cut off the last one, which waits like those that were not tried.
    let taken = if says(27 - seen.len()) { seen.len() } else { seen.len() - 1 };
    let (first, waiting): (BTreeSet<_>, _) = (seen[..taken].iter().cloned().collect(), 27 - taken);
    assert!(says(waiting), "{}", full.stderr);
    host.run(2);
    let second: Vec<_> = stub.seen()[seen.len()..].iter().map(graph).collect();
    let new: BTreeSet<_> = second.iter().take(waiting).cloned().collect();
    assert!(new.len() == waiting.min(second.len()) && new.is_disjoint(&first), "{first:?}\n{second:?}");
    assert!(second.len() < waiting || new.len() + first.len() == 27, "{first:?}\n{second:?}");
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
