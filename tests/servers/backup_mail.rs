//! The mails of collect-backups, through a real exim4 with STARTTLS and a login.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::mail::{TAKES_ALL, stub};
use gridmon_testkit::sandbox::{Outcome, Sandbox};
use gridmon_testkit::{Exim4, program, skip};

/// 2026-03-30 06:00:00 UTC, a Monday.
const NOW: u64 = 1_774_850_400;

struct Site {
    sandbox: Sandbox,
    ca: PathBuf,
}

impl Site {
    fn new(exim4: &Exim4) -> Self {
        let site = Self { sandbox: Sandbox::new("small"), ca: exim4.ca() };
        site.config(exim4.port, "username = u\npassword = p");
        site
    }

    /// Two hubs on this machine: A tells its own people, B those of `[mail]`.
    fn config(&self, port: u16, how: &str) {
        let (state, root) = (self.sandbox.path("state"), self.sandbox.path("backup"));
        let text = format!(
            "[grid]\nname = lab\n[embedded]\npath = {0}/gridmon.db\n[state]\ndirectory = {0}\n\
             [mail]\nhost = localhost\nport = {port}\nfrom = gridmon@example.org\nto = operators@example.org\n{how}\n\
             [hub A]\nnodes = local\nroot = {1}/a\npattern = {{set}}.tgz\nsets = db%0ABcc:%20evil@example.org, wiki\n\
             email = one@example.org, two@example.org\nreport_url = https://monitor.example.org/a/\n\
             [hub B]\nnodes = local\nroot = {1}/b\npattern = {{set}}.tgz\nsets = home\n",
            state.display(),
            root.display()
        );
        let path = self.sandbox.write("config.cfg", text);
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn tarball(&self, path: &str, hour: u64) {
        let path = self.sandbox.path("backup").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = File::create(path).unwrap();
        file.set_len(5000).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW + hour * 3600 - 600)).unwrap();
    }

    fn hour(&self, hour: u64) -> Outcome {
        let mut command = Command::new(program("collect-backups"));
        command.args(["--now", &(NOW + hour * 3600).to_string()]).current_dir(self.sandbox.path("")).env_clear();
        Outcome::of(command.env("PATH", "/usr/bin:/bin").env("SSL_CERT_FILE", &self.ca))
    }
}

/// The subject, the recipients and the body of a mail.
fn parts(mail: &str) -> (String, String, String) {
    let (head, body) = mail.split_once("\n\n").unwrap();
    let unfolded = head.replace("\n ", " ").replace("\n\t", " ");
    let field = |name: &str| unfolded.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_string();
    (field("Subject: "), field("To: "), body.replace("=\n", "").replace("=20", " "))
}

#[test]
fn alarms_go_by_mail_once_to_the_people_of_each_hub_and_no_name_adds_a_header() {
    let Some(exim4) = Exim4::start() else {
        return skip("alarms_go_by_mail_once_to_the_people_of_each_hub_and_no_name_adds_a_header", "exim4");
    };
    let site = Site::new(&exim4);
    let first = site.hour(0);
    assert_eq!((first.code, first.stderr.as_str()), (Some(0), ""));
    assert_eq!(site.hour(1).stderr, "");
    let mails = exim4.mails(2);
    let of = |who: &str| mails.iter().map(|mail| parts(mail)).find(|(_, to, _)| to.contains(who)).unwrap();
    let (subject, to, body) = of("one@example.org");
    assert!(subject.starts_with("[gridmon lab] collect-backups on ") && subject.ends_with(": 2 alarms"), "{subject}");
    assert!(to.contains("two@example.org") && !to.contains("operators"), "{to}");
    assert!(
        body.contains("A local db%0ABcc:%20evil@example.org: never: there is no backup, and there never was one"),
        "{body}"
    );
    assert!(body.contains("A local wiki: never") && body.contains("See https://monitor.example.org/a/"), "{body}");
    assert!(!body.contains("home"), "{body}");
    let (subject, to, body) = of("operators@example.org");
    assert!(
        subject.ends_with(": 1 alarm") && to == "operators@example.org" && body.contains("B local home: never"),
        "{body}"
    );
    assert!(!exim4.log().contains("evil@example.org"), "{}", exim4.log());

    // All come, on Tuesday; each is over once, and all is well.
    for path in ["a/db\nBcc: evil@example.org.tgz", "a/wiki.tgz", "b/home.tgz"] {
        site.tarball(path, 24);
    }
    assert_eq!(site.hour(24).stderr, "");
    assert_eq!(site.hour(25).stderr, "");
    let mails = exim4.mails(4);
    let (subject, _, body) = parts(&mails[2]);
    assert!(subject.ends_with(": 2 well again"), "{subject}");
    assert!(body.contains("A local wiki: well again, after 24 h 0 min (never)"), "{body}");
    assert!(body.contains("all is well: 2 sets on 1 node of hub A"), "{body}");
}

#[test]
fn what_the_server_did_not_take_is_sent_by_a_later_run_and_once() {
    let Some(mut exim4) = Exim4::start() else {
        return skip("what_the_server_did_not_take_is_sent_by_a_later_run_and_once", "exim4");
    };
    exim4.kill();
    let site = Site::new(&exim4);
    let refused = site.hour(0);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("mail: ") && refused.stderr.contains("; the next run sends it"),
        "{}",
        refused.stderr
    );
    drop(site.sandbox.path(""));
    let sandbox = site.sandbox;
    let exim4 = Exim4::start().unwrap();
    let site = Site { sandbox, ca: exim4.ca() };
    site.config(exim4.port, "username = u\npassword = p");
    let sent = site.hour(1);
    assert_eq!(sent.code, Some(0), "{}", sent.stderr);
    assert_eq!(site.hour(2).code, Some(0));
    let mails = exim4.mails(2);
    assert!(mails.iter().all(|mail| parts(mail).2.contains(": never: ")), "{mails:?}");
}

/// The server got all of a mail and never said whether it has it: the alarms in it stand on standard error, once.
#[test]
fn an_alarm_that_the_server_may_not_have_is_printed() {
    let site = Site { sandbox: Sandbox::new("small"), ca: PathBuf::new() };
    site.config(stub(TAKES_ALL, false), "tls = off");
    let first = site.hour(0);
    assert_eq!(first.code, Some(1), "{}", first.stderr);
    assert!(first.stderr.contains("; the mail may have been sent"), "{}", first.stderr);
    let is_said = |line: &&str| {
        line.starts_with("collect-backups: B local home: never: ")
            && line.ends_with("; the mail server did not say whether it has this")
    };
    assert_eq!(first.stderr.lines().filter(is_said).count(), 1, "{}", first.stderr);
    // The server is silent to a second recipient, so that it has no text of the other mail: that one waits.
    assert!(first.stderr.contains("; the next run sends it") && !first.stderr.contains("A local"), "{}", first.stderr);
    let next = site.hour(1).stderr;
    assert!(next.contains("; the next run sends it") && !next.contains("B local"), "{next}");
}
