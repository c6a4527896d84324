//! collect-panda from end to end. PanDA, CRIC and Elasticsearch cannot be had here: a stand-in gives recorded answers, and
//! those that they give when they fail.

mod answers;
mod golden;
mod tls;
mod topics;

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use gridmon_testkit::program;
use gridmon_testkit::sandbox::{Outcome, Sandbox, fixture};
use serde_json::{Value, json};

/// The clock of the golden answers, 2024-06-01 12:37:42 UTC.
const NOW: i64 = 1_717_245_462;

/// A whole answer, from its status line on.
type Answer = Vec<u8>;

/// A server that gives one answer for each path, and remembers the requests. It stands in for PanDA, CRIC and
/// Elasticsearch.
struct StandIn {
    url: String,
    answers: Arc<Mutex<HashMap<String, (Answer, Duration)>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl StandIn {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (answers, requests) =
            (Arc::<Mutex<HashMap<_, (Answer, Duration)>>>::default(), Arc::<Mutex<Vec<_>>>::default());
        let (known, seen) = (answers.clone(), requests.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, known, seen) = (stream.unwrap(), known.clone(), seen.clone());
                thread::spawn(move || {
                    let mut request = vec![0; 65_536];
                    let count = stream.read(&mut request).unwrap_or(0);
                    let request = String::from_utf8_lossy(&request[..count]).into_owned();
                    let path = request.split(' ').nth(1).unwrap_or_default();
                    let path = path.split('?').next().unwrap_or_default().to_string();
                    seen.lock().unwrap().push(request);
                    let answer = known.lock().unwrap().get(&path).cloned();
                    let (answer, pause) =
                        answer.unwrap_or_else(|| (page("404 Not Found", "nothing here"), Duration::ZERO));
                    // A pause is one before each piece.
                    for piece in answer.chunks(if pause.is_zero() { usize::MAX } else { 20 }) {
                        thread::sleep(pause);
                        if stream.write_all(piece).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { url, answers, requests }
    }

    /// Gives this answer for a path.
    fn answers(&self, path: &str, answer: Answer) {
        self.drips(path, answer, Duration::ZERO);
    }

    /// Gives this answer for a path, in pieces with a pause before each.
    fn drips(&self, path: &str, answer: Answer, pause: Duration) {
        self.answers.lock().unwrap().insert(path.into(), (answer, pause));
    }

    fn gives(&self, path: &str, json: &Value) {
        self.answers(path, page("200 OK", &json.to_string()));
    }

    /// The requests for a path.
    fn asked(&self, path: &str) -> Vec<String> {
        let is_for =
            |request: &&String| request.split(' ').nth(1).is_some_and(|asked| asked.split('?').next() == Some(path));
        self.requests.lock().unwrap().iter().filter(is_for).cloned().collect()
    }
}

fn page(status: &str, body: &str) -> Answer {
    // It closes after each answer, and says so, lest the next question comes on a connection that is about to end.
    let heads = "Connection: close\r\nContent-Type: text/plain";
    format!("HTTP/1.1 {status}\r\n{heads}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn recorded(name: &str) -> Value {
    serde_json::from_slice(&fs::read(fixture(&format!("panda/{name}"))).unwrap()).unwrap()
}

/// A site with collect-panda: its sandbox, and the stand-in for everything that it asks.
struct Site {
    sandbox: Sandbox,
    server: StandIn,
}

const PANDA: &str = "/panda";
const QUEUES: &str = "/pandaqueue";
const SITES: &str = "/site";
const ENDPOINTS: &str = "/ddmendpoint";
const FEDERATIONS: &str = "/federation";
const BENCHMARKS: &str = "/benchmarks-*/_search";

/// The password that nothing may show.
const SECRET: &str = "S3cr3t";

impl Site {
    /// One that gets the golden answers.
    fn golden() -> Self {
        let site = Self { sandbox: Sandbox::new("small"), server: StandIn::start() };
        site.server.gives(PANDA, &json!({"success": true, "message": "", "data": recorded("panda_stats.json")}));
        site.server.gives(QUEUES, &recorded("scraped_cric_pandaqueue.json"));
        site.server.gives(SITES, &recorded("scraped_cric_sites.json"));
        site.server.gives(ENDPOINTS, &recorded("scraped_cric_ddm.json"));
        // QMonit kept one federation for each of its sites.
        let kept = recorded("scraped_rebus_federations.json");
        let mut federations = serde_json::Map::new();
        for (rcsite, federation) in kept.as_object().unwrap() {
            let mut federation = federation.clone();
            federation["rcsites"] = json!([rcsite]);
            federations.insert(federation["name"].as_str().unwrap().into(), federation);
        }
        site.server.gives(FEDERATIONS, &Value::Object(federations));
        // One measurement, so that the mean is it.
        let inner =
            json!([{"_source": {"timestamp": "2024-06-01T10:00:00Z", "profiles": {"fastBmk": {"value": 12.3456}}}}]);
        let hit = json!({
            "_source": {"metadata": {"PanDAQueue": "AGLT2"}},
            "inner_hits": {"most_recent": {"hits": {"hits": inner}}},
        });
        site.server.gives(BENCHMARKS, &json!({"hits": {"hits": [hit]}}));
        site.config(&format!(
            "[credentials_elasticsearch]\nhost = {}\nusername = bench\npassword = {SECRET}",
            site.server.url
        ));
        site
    }

    fn config(&self, more: &str) {
        let (url, state) = (&self.server.url, self.sandbox.path("state"));
        let path = self.sandbox.write(
            "config.cfg",
            format!(
                "[grid]\nname = atlas\n[panda]\nurl = {url}{PANDA}\ntimeout_seconds = 1\n[cric]\npandaqueue_url = {url}{QUEUES}\n\
                 site_url = {url}{SITES}\nddmendpoint_url = {url}{ENDPOINTS}\nfederation_url = {url}{FEDERATIONS}\n\
                 timeout_seconds = 1\n[embedded]\npath = {0}/gridmon.db\n[state]\ndirectory = {0}\n{more}\n",
                state.display()
            ),
        );
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = Command::new(program("collect-panda"));
        command.args(arguments).current_dir(self.sandbox.path("")).env_clear().env("PATH", "/usr/bin:/bin");
        Outcome::of(&mut command)
    }

    fn at(&self, now: i64, more: &[&str]) -> Outcome {
        self.run(&[&["--now", &now.to_string()], more].concat())
    }

    /// The lines of a dry run as line protocol.
    fn lines(&self, now: i64) -> (Outcome, Vec<String>) {
        let outcome = self.at(now, &["--dry-run", "--format", "influx"]);
        let lines = outcome.stdout.lines().map(String::from).collect();
        (outcome, lines)
    }
}
