//! Mail about lasting failures, through a real exim4 with STARTTLS and a login; and through servers that refuse, hang, are not
//! there or cannot be trusted, which harm no run.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::Duration;

use gridmon_testkit::sandbox::{FakeCarbon, Mood, NOW, Outcome, Sandbox};
use gridmon_testkit::{Exim4, skip};

const PASSWORD: &str = "p";
const TO: &str = "operators@example.org, second@example.org";

/// A site whose collect-grid sends mail to this port.
struct Site {
    sandbox: Sandbox,
    carbon: FakeCarbon,
    mail: String,
    ca: String,
}

impl Site {
    fn new(port: u16, ca: &str, more: &str) -> Self {
        let mail = format!("[mail]\nhost = localhost\nport = {port}\nfrom = gridmon@example.org\n{more}\n");
        let site = Self { sandbox: Sandbox::new("small"), carbon: FakeCarbon::start(Mood::Good), mail, ca: ca.into() };
        site.sink(site.carbon.port);
        site
    }

    fn of(exim4: &Exim4) -> Self {
        let more = format!("to = {TO}\nusername = u\npassword = {PASSWORD}");
        Self::new(exim4.port, exim4.ca().to_str().unwrap(), &more)
    }

    /// Makes the run send its points to a port.
    fn sink(&self, port: u16) {
        self.sandbox.config(&format!(
            "[carbon]\nhost = 127.0.0.1\nport = {port}\n[grid]\ndeadline_seconds = 20\n{}",
            self.mail
        ));
        fs::set_permissions(self.sandbox.path("config.cfg"), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn source(&self, works: bool) {
        let recorded = gridmon_testkit::sandbox::fixture("cloud_monitor/small/cloud_status.json");
        let script = if works { format!("cat {}", recorded.display()) } else { "echo down; exit 1".into() };
        self.sandbox.program("cloud_status", &script);
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        let outcome = Outcome::of(self.sandbox.command(arguments).env("SSL_CERT_FILE", &self.ca));
        assert!(outcome.took < Duration::from_secs(20), "{:?}", outcome.took);
        outcome
    }

    fn at(&self, minute: i64) -> Outcome {
        self.run(&["--now", &(NOW + 60 * minute).to_string()])
    }
}

fn exim4(test: &str) -> Option<Exim4> {
    let exim4 = Exim4::start();
    if exim4.is_none() {
        skip(test, "exim4");
    }
    exim4
}

/// The subject of a mail, and its body.
fn parts(mail: &str) -> (String, String) {
    let (head, body) = mail.split_once("\n\n").unwrap();
    let unfolded = head.replace("\n ", " ");
    let subject = unfolded.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap();
    (subject.to_string(), body.replace("=\n", ""))
}

#[test]
fn a_failing_a_flapping_and_a_recovering_part_get_exactly_their_mails() {
    let Some(exim4) = exim4("a_failing_a_flapping_and_a_recovering_part_get_exactly_their_mails") else { return };
    let site = Site::of(&exim4);
    let check = site.run(&["--check"]);
    let there = format!(
        "localhost:{} takes mail for operators@example.org second@example.org, encrypted, with login",
        exim4.port
    );
    assert!(check.lines_with("ok      mail ")[0].ends_with(&there), "{}", check.stdout);
    let mut minute = 0;
    let mut runs = |moods: &str| {
        for mood in moods.chars() {
            site.source(mood == '+');
            let outcome = site.at(minute);
            assert_eq!(outcome.code, Some(i32::from(mood != '+')), "{minute}: {}", outcome.stderr);
            assert!(!outcome.stderr.contains("mail"), "{}", outcome.stderr);
            minute += 1;
        }
    };
    // It flaps: never three times on end.
    runs("+--+--+-+");
    exim4.mails(0);
    // Minute 9 to 11; then it goes on, and flaps back.
    runs("---");
    exim4.mails(1);
    runs("---++-++");
    exim4.mails(1);
    runs("+");
    let mails = exim4.mails(2);
    // After that it is good, and two failures more are none to write about.
    runs("++--+");
    exim4.mails(2);
    // A late run, a dry run and a check are no runs of it.
    site.source(false);
    for _ in 0..4 {
        assert_eq!(site.at(1).code, Some(1));
        assert_eq!(site.run(&["-n", "--now", &(NOW + 6000).to_string()]).code, Some(1));
    }
    assert_eq!(site.run(&["--check"]).code, Some(1));
    assert_eq!(exim4.mails(2), mails);

    let (subject, body) = parts(&mails[0]);
    let host = subject.split(" on ").nth(1).unwrap().split(':').next().unwrap().to_string();
    assert_eq!(subject, format!("[gridmon heprc] collect-grid on {host}: cloud_scheduler fails"));
    let begin = format!(
        "collect-grid of heprc on {host}, run of 2024-06-01 12:41 UTC:\n\ncloud_scheduler has failed since 2024-06-01 12:39 UTC: "
    );
    assert!(body.starts_with(&begin) && body.contains("gridmon-status shows"), "{body}");
    for head in
        ["From: gridmon@example.org", "To: operators@example.org, second@example.org", "Auto-Submitted: auto-generated"]
    {
        assert!(mails[0].contains(head), "{}", mails[0]);
    }
    assert!(mails[0].contains("Message-ID: <") && mails[0].contains("\nDate: "), "{}", mails[0]);
    assert!(mails[0].contains("with esmtpsa"), "{}", mails[0]);
    let (subject, body) = parts(&mails[1]);
    assert_eq!(subject, format!("[gridmon heprc] collect-grid on {host}: cloud_scheduler works again"));
    assert!(body.contains("cloud_scheduler works again, 11 min after it failed first"), "{body}");
}

#[test]
fn a_run_sends_one_mail_whatever_fails_in_it_and_ten_a_day() {
    let Some(exim4) = exim4("a_run_sends_one_mail_whatever_fails_in_it_and_ten_a_day") else { return };
    let site = Site::of(&exim4);
    let (closed, _ports) = gridmon_testkit::free_port();
    site.source(false);
    site.sink(closed);
    for minute in 0..3 {
        assert_eq!(site.at(minute).code, Some(1));
    }
    let (subject, body) = parts(&exim4.mails(1)[0]);
    assert!(subject.ends_with(": carbon and 1 more fail"), "{subject}");
    assert!(
        body.contains("\ncarbon has failed since ") && body.contains("\ncloud_scheduler has failed since "),
        "{body}"
    );
    // Three good runs, three bad ones: a mail each.
    site.sink(site.carbon.port);
    let rounds = 12;
    for round in 0..rounds {
        site.source(round % 2 == 0);
        for run in 0..3 {
            site.at(10 + 3 * round + run);
        }
    }
    let mails = exim4.mails(10);
    let is_last = |mail: &String| parts(mail).1.contains("This is the last of 10 mails that collect-grid sends a day");
    assert_eq!(mails.iter().map(is_last).collect::<Vec<_>>(), [[false; 9].as_slice(), &[true]].concat());
    // The next day has ten more; what lasts is said then.
    site.at(24 * 60);
    let last = exim4.mails(11);
    assert!(last[10].contains("cloud_scheduler has failed since"), "{}", last[10]);
}

#[test]
fn a_mail_that_the_server_did_not_get_is_sent_by_the_next_run() {
    let Some(exim4) = exim4("a_mail_that_the_server_did_not_get_is_sent_by_the_next_run") else { return };
    let mut site = Site::of(&exim4);
    let good = site.mail.clone();
    site.source(false);
    for minute in 0..2 {
        site.at(minute);
    }
    for (minute, mail, words) in [
        (2, good.replace("password = p", "password = S3cr3t"), "it refuses the login: 535 "),
        (3, good.replace("username = u\npassword = p", ""), "authentication required"),
        (4, good.replace(TO, "reject@example.org"), "it refuses mail to reject@example.org: 550 \"no such user\""),
    ] {
        site.mail = mail;
        site.sink(site.carbon.port);
        // Its own failure is printed once, and then hourly.
        let check = site.run(&["--check"]);
        let failed = check.lines_with("failed  mail ").concat();
        assert!(failed.contains(words) && !failed.contains("S3cr3t"), "{}", check.stdout);
        let outcome = site.at(minute);
        assert_eq!(outcome.code, Some(1));
        assert_eq!(outcome.stderr.contains("mail: mail server localhost:"), minute == 2, "{}", outcome.stderr);
        exim4.mails(0);
    }
    // One recipient is refused, the other gets it.
    site.mail = good.replace(TO, "reject@example.org, operators@example.org");
    site.sink(site.carbon.port);
    let outcome = site.at(62);
    assert!(outcome.stderr.contains("it refuses mail to reject@example.org"), "{}", outcome.stderr);
    let (subject, _) = parts(&exim4.mails(1)[0]);
    assert!(subject.ends_with(": cloud_scheduler fails"), "{subject}");
    // A certificate that nobody knows.
    let mut foreign = Site::of(&exim4);
    foreign.ca = "/etc/ssl/certs/ca-certificates.crt".into();
    let check = foreign.run(&["--check"]);
    assert!(check.lines_with("failed  mail ")[0].contains("STARTTLS: "), "{}", check.stdout);
    assert!(check.lines_with("failed  mail ")[0].contains("UnknownIssuer"), "{}", check.stdout);
    exim4.mails(1);
}

const HELLO: &str = "250-stub\r\n250 8BITMIME\r\n";

/// What a server says up to the mail itself.
pub const TAKES_ALL: &[&str] = &["220 stub\r\n", HELLO, "250 ok\r\n", "250 ok\r\n", "354 go\r\n"];

/// A server that says these lines, one for each that it gets, then is silent; `drips` a byte at a time.
pub fn stub(lines: &'static [&'static str], drips: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                for line in lines {
                    for piece in line.as_bytes().chunks(if drips { 1 } else { 1000 }) {
                        let _ = stream.write_all(piece);
                        thread::sleep(Duration::from_millis(if drips { 500 } else { 0 }));
                    }
                    if line.ends_with('\n') && stream.read(&mut [0; 4096]).is_ok_and(|count| count == 0) {
                        return;
                    }
                }
                // Silent, until the other side leaves.
                let _ = stream.read_to_end(&mut Vec::new());
            });
        }
    });
    port
}

/// A site without exim4: its third failing run meets this server. What it prints of it, whether the mail counts as sent, and
/// what the next run does.
fn third_run(port: u16, tls: &str) -> (String, bool, Outcome) {
    let site = Site::new(port, "", &format!("to = a@example.org\ntls = {tls}"));
    let config = fs::read_to_string(site.sandbox.path("config.cfg")).unwrap();
    site.sandbox.write("config.cfg", config.replace("deadline_seconds = 20", "deadline_seconds = 6"));
    site.source(false);
    for minute in 0..2 {
        let outcome = site.at(minute);
        assert!(outcome.code == Some(1) && !outcome.stderr.contains("mail"), "{}", outcome.stderr);
    }
    let third = site.at(2);
    assert_eq!(third.code, Some(1), "{}", third.stderr);
    let line = third.stderr.lines().find(|line| line.starts_with("collect-grid: mail: "));
    let line = line.unwrap_or_else(|| panic!("{}", third.stderr)).to_string();
    assert!(line.contains(&format!("mail server localhost:{port}: ")), "{line}");
    // All that was collected was sent.
    let beats = site.carbon.lines();
    let beats = beats.iter().filter(|line| line.starts_with("grids.heprc.heartbeat.condor 1"));
    assert!(beats.count() >= 3);
    let state = fs::read_to_string(site.sandbox.path("state/collect-grid.heprc.mail")).unwrap();
    (line, state.contains(r#""is_told":true"#), site.at(3))
}

#[test]
fn no_mail_server_and_no_bad_one_harms_a_run() {
    let (closed, _ports) = gridmon_testkit::free_port();
    let cases = [
        (closed, "off", "Connection refused"),
        (stub(&[], false), "off", "no answer within "),
        (stub(&["220 stub\r\n", HELLO], false), "off", "no answer within "),
        (stub(&["220 stub stub stub stub stub stub\r\n"], true), "off", "no answer within "),
        (stub(&["421 too busy\r\n"], false), "off", "421 \"too busy\""),
        (stub(&["HTTP/1.1 400 Bad Request\r\n"], false), "off", "; what fails is not told by mail"),
        (stub(&["220 stub\r\n", HELLO], false), "starttls", "it offers no STARTTLS"),
        (stub(TAKES_ALL, false), "off", "the mail may have been sent"),
    ];
    thread::scope(|scope| {
        for (port, tls, words) in cases {
            scope.spawn(move || {
                let (line, is_told, next) = third_run(port, tls);
                assert!(line.contains(words), "{line}");
                // Said once, then hourly; and a mail that the server may have is not sent again.
                assert!(next.code == Some(1) && !next.stderr.contains("mail"), "{}", next.stderr);
                assert_eq!(is_told, words == "the mail may have been sent", "{line}");
            });
        }
    });
}
