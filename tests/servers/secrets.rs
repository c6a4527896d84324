//! No secret anywhere: a site with every login that the programs know, run well and badly, and then everything is searched that a
//! person, another user of the machine or an administrator of a server can read.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use gridmon::text::base64;
use gridmon_testkit::sandbox::{Outcome, Sandbox, StandIn, fixture, page};
use gridmon_testkit::{Exim4, Influxdb, Mariadb, program, skip};
use serde_json::{Value, json};

/// 2024-06-01 12:37:42 UTC.
const NOW: i64 = 1_717_245_462;

/// The secrets of the config, each with the name of its login.
const SECRETS: [(&str, &str); 6] = [
    ("root", Influxdb::PASSWORD),
    ("monit", Mariadb::PASSWORD),
    ("", "gr4f4na-t0ken"),
    ("bench", "b3nch-passw0rd"),
    ("u", Exim4::PASSWORD),
    ("", "t0ken-of-influxdb-2"),
];

/// The programs whose command lines are looked at.
const PROGRAMS: [&str; 6] =
    ["collect-panda", "write-datadisk", "downsample-1h", "downsample-1d", "gridmon-status", "collect-grid"];

/// Every form in which a secret could be read: itself, as an address has it, and as a login in a header.
fn forms() -> Vec<String> {
    let mut forms = Vec::new();
    for (name, secret) in SECRETS {
        let encoded: String = form_urlencoded(secret);
        let login = base64(format!("{name}:{secret}").as_bytes()).trim_end_matches('=').to_string();
        forms.extend([secret.to_string(), encoded, login, base64(secret.as_bytes()).trim_end_matches('=').to_string()]);
        forms.push(serde_json::to_string(secret).unwrap().trim_matches('"').into());
    }
    forms
}

fn form_urlencoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

struct Site<'a> {
    sandbox: Sandbox,
    server: StandIn,
    mail: &'a Exim4,
    /// What the programs have printed, and the command lines under which they ran.
    seen: Mutex<Vec<(String, String)>>,
}

fn recorded(name: &str) -> Value {
    serde_json::from_slice(&fs::read(fixture(&format!("panda/{name}"))).unwrap()).unwrap()
}

impl Site<'_> {
    /// Writes the config; `influxdb` is the section of that name without its database.
    fn config(&self, influxdb: &str, mariadb: u16) {
        let (url, state) = (&self.server.url, self.sandbox.path("state"));
        let [_, mysql, token, bench, mail, _] = SECRETS.map(|(_, secret)| secret);
        let path = self.sandbox.write(
            "config.cfg",
            format!(
                "[grid]\nname = atlas\n[panda]\nurl = {url}/panda\ntimeout_seconds = 5\n[cric]\npandaqueue_url = {url}/queues\n\
                 site_url = {url}/site\nddmendpoint_url = {url}/ddm\nfederation_url = {url}/federation\n\
                 [credentials_monit_grafana]\nurl = {url}/msearch\ntoken = {token}\n\
                 [credentials_elasticsearch]\nhost = {url}\nusername = bench\npassword = {bench}\n\
                 [influxdb]\ndatabase = monit_jobs\n{influxdb}\n\
                 [mysql]\nhost = 127.0.0.1\nport = {mariadb}\ntls = off\ndatabase = monit_jobs\nusername = monit\npassword = {mysql}\n\
                 [mail]\nhost = localhost\nport = {}\nfrom = g@example.org\nto = o@example.org\nusername = u\npassword = {mail}\n\
                 [state]\ndirectory = {}\n",
                self.mail.port,
                state.display()
            ),
        );
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn run(&self, name: &str, arguments: &[&str]) -> Outcome {
        let mut command = Command::new(program(name));
        command.args(arguments).current_dir(self.sandbox.path("")).env_clear().env("PATH", "/usr/bin:/bin");
        let outcome = Outcome::of(command.env("SSL_CERT_FILE", self.mail.ca()));
        let what = format!("{name} {arguments:?}");
        self.seen.lock().unwrap().push((what, format!("{}{}", outcome.stdout, outcome.stderr)));
        outcome
    }

    /// Everything that is run once in each state of the servers, at a time.
    fn round(&self, now: i64) {
        let now = now.to_string();
        let at = ["--now", now.as_str()];
        let run = |name: &str, more: &[&str]| self.run(name, &[more, &at].concat());
        for format in ["influx", "json", "carbon"] {
            run("collect-panda", &["--dry-run", "--format", format]);
        }
        run("collect-panda", &["-v", "--check"]);
        run("collect-panda", &["-v", "--compare", "golden.lp"]);
        run("collect-panda", &["-v"]);
        run("downsample-1h", &["-v"]);
        run("downsample-1d", &["--explain", "jobs,job_status=running", "2024-06-02 00:00:00"]);
        run("write-datadisk", &["-v"]);
        for command in [&["--json"][..], &["doctor"], &["spool", "list"], &["problems"]] {
            self.run("gridmon-status", command);
        }
    }
}

/// Collects the command lines of our programs until it is told to end.
fn watch(ended: &AtomicBool) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    while !ended.load(Ordering::Relaxed) {
        for process in fs::read_dir("/proc").unwrap().flatten() {
            let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let first = line.split(' ').next().unwrap_or_default();
            let name = Path::new(first).file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if PROGRAMS.contains(&name) {
                lines.insert(line);
            }
        }
        thread::sleep(Duration::from_millis(5));
    }
    lines
}

/// The files below a folder but the config, each with its text.
fn files(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else if path.file_name().is_none_or(|name| name != "config.cfg") {
            let bytes = fs::read(&path).unwrap_or_default();
            // Large batches are compressed.
            let bytes = zstd::decode_all(bytes.as_slice()).unwrap_or(bytes);
            found.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
}

/// What is planted into the log of MariaDB and of exim4, as a secret might come there.
const PLANTED: [&str; 2] = ["pl4nted-in-mariadb", "pl4nted-in-exim4"];

/// Sends exim4 a mail that it refuses, and the log then names its sender.
fn plant_in_exim4(exim4: &Exim4) {
    let mut session = TcpStream::connect(("127.0.0.1", exim4.port)).unwrap();
    let lines = format!("EHLO x\r\nMAIL FROM:<{}@example.org>\r\nRCPT TO:<o@example.org>\r\nQUIT\r\n", PLANTED[1]);
    let mut answers = String::new();
    for line in lines.split_inclusive('\n') {
        session.write_all(line.as_bytes()).unwrap();
        // It wants an answer to be read before the next line comes.
        let mut piece = [0; 4096];
        let read = session.read(&mut piece).unwrap();
        answers += &String::from_utf8_lossy(&piece[..read]);
    }
    session.read_to_string(&mut answers).unwrap();
    assert!(answers.contains("authentication required"), "{answers}");
}

/// Where a text stands.
fn places_of<'a>(places: &'a [(String, String)], text: &str) -> Vec<&'a str> {
    places.iter().filter(|(_, shown)| shown.contains(text)).map(|(place, _)| place.as_str()).collect()
}

#[test]
fn no_secret_is_in_any_place_that_others_can_read() {
    let name = "no_secret_is_in_any_place_that_others_can_read";
    let (Some(influxdb), Some(mut mariadb), Some(exim4)) = (Influxdb::start(), Mariadb::start(), Exim4::start()) else {
        return skip(name, "InfluxDB, MariaDB and exim4");
    };
    mariadb.log_statements();
    let site = Site { sandbox: Sandbox::new("small"), server: StandIn::start(), mail: &exim4, seen: Mutex::default() };
    let counts = json!({"success": true, "message": "", "data": recorded("panda_stats.json")});
    site.server.gives("/panda", &counts);
    for (path, answer) in [
        ("/queues", "scraped_cric_pandaqueue.json"),
        ("/site", "scraped_cric_sites.json"),
        ("/ddm", "scraped_cric_ddm.json"),
    ] {
        site.server.gives(path, &recorded(answer));
    }
    site.server.gives("/federation", &json!({"NONE": {"name": "NONE", "rcsites": ["X"], "pledges": {}}}));
    site.sandbox.write("golden.lp", "jobs,panda_queue=x jobs=1i 1\n");
    let good = format!("url = http://127.0.0.1:{}\nusername = root\npassword = {}", influxdb.port, Influxdb::PASSWORD);
    let wrong = good.replace("username = root", "username = nobody");
    let second = format!("url = {}/influxdb\ntoken = {}", site.server.url, SECRETS[5].1);
    let ended = AtomicBool::new(false);
    let lines = thread::scope(|scope| {
        let watching = scope.spawn(|| watch(&ended));
        site.config(&good, mariadb.port);
        let setup = site.run("collect-panda", &["--setup"]);
        assert_eq!(setup.code, Some(0), "{}", setup.stderr);
        site.round(NOW);
        // Each login refused, and what answers repeats the login, as a bad proxy may.
        let echo = |request: &str| page("403 Forbidden", &format!("your login is wrong: {request}"));
        for path in ["/msearch", "/benchmarks-*/_search", "/panda", "/influxdb/write", "/influxdb/query"] {
            site.server.answers(path, echo("X"));
        }
        site.config(&wrong, mariadb.port);
        (1..=3).for_each(|slot| site.round(NOW + 600 * slot));
        mariadb.query(&format!("SELECT '{}'", PLANTED[0]));
        mariadb.kill();
        site.config(&second, mariadb.port);
        site.round(NOW + 2400);
        // A mail server that refuses the login, when PanDA works again.
        site.config(&good.replace("127.0.0.1", "localhost").replace("http:", "https:"), 1);
        let config = fs::read_to_string(site.sandbox.path("config.cfg")).unwrap();
        fs::write(site.sandbox.path("config.cfg"), config.replace("username = u\n", "username = nobody\n")).unwrap();
        site.server.gives("/panda", &counts);
        (5..8).for_each(|slot| site.round(NOW + 600 * slot));
        ended.store(true, Ordering::Relaxed);
        watching.join().unwrap()
    });
    assert!(lines.len() > 20, "{} command lines were seen", lines.len());
    let mut places = std::mem::take(&mut *site.seen.lock().unwrap());
    places.extend(lines.into_iter().map(|line| ("a command line".to_string(), line)));
    files(&site.sandbox.path("state"), &mut places);
    let is_in = |part: &str| places.iter().any(|(place, _)| place.contains(part));
    assert!(is_in("spool/") && is_in("mail"), "{:?}", places.iter().map(|(place, _)| place).collect::<Vec<_>>());
    // The test's own questions have the login in their address, and no name of a program.
    let own = |line: &&str| !line.contains("&u=root&p=") && !line.contains("?u=root");
    let log = influxdb.logs();
    places.push((
        "InfluxDB's logs".into(),
        log.lines().filter(own).filter(|line| !line.contains("[REDACTED]")).collect::<Vec<_>>().join("\n"),
    ));
    plant_in_exim4(&exim4);
    places.push(("MariaDB's general log".into(), mariadb.general_log()));
    places.push(("exim4's logs".into(), exim4.logs()));
    let mails = exim4.mails(exim4.log().matches(" <= ").count());
    assert!(!mails.is_empty(), "no mail was sent");
    places.extend(mails.into_iter().map(|mail| ("a mail".to_string(), mail)));
    // What a web server logs of a request: its first line.
    for path in ["/panda", "/queues", "/msearch", "/benchmarks-*/_search", "/influxdb/write"] {
        let asked = site.server.asked(path);
        assert!(!asked.is_empty(), "{path} was not asked");
        let first = asked.iter().filter_map(|request| request.lines().next());
        places.extend(first.map(|line| (format!("the log of {path}"), line.to_string())));
    }
    let forms = forms();
    // The forms are those that go over the wire.
    for path in ["/msearch", "/benchmarks-*/_search", "/influxdb/write"] {
        let has_login = |request: &String| forms.iter().any(|form| request.contains(form.as_str()));
        assert!(site.server.asked(path).iter().any(has_login), "{path} got no login");
    }
    // What stands in a log is found there.
    assert_eq!(places_of(&places, PLANTED[0]), ["MariaDB's general log"]);
    assert_eq!(places_of(&places, PLANTED[1]), ["exim4's logs"]);
    assert_eq!(places_of(&places, "monit@127.0.0.1"), ["MariaDB's general log"], "it logs who logs in");
    assert!(!places_of(&places, "authenticator failed").is_empty(), "exim4 refused no login");
    for form in &forms {
        let shown = places_of(&places, form);
        assert!(shown.is_empty(), "{shown:?} show a secret: {:?}", &form[..3]);
    }
}
