//! SIGKILL at the system calls of collect-backups: the history has each backup once, and an alarm is mailed once or, if a mail may
//! have been lost, stands on the next run's standard error.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use gridmon_testkit::sandbox::proof::soak;
use gridmon_testkit::sandbox::tracer::may_trace;
use gridmon_testkit::sandbox::{Outcome, Sandbox};
use gridmon_testkit::{Exim4, program, skip, wait_until};

/// 2026-03-30 06:00:00 UTC.
const NOW: u64 = 1_774_850_400;

/// The calls that change something outside, or wait for it.
const CALLS: [&str; 9] = ["rename", "fsync", "write", "sendto", "connect", "unlink", "pwrite64", "openat", "recvfrom"];

/// Two hubs with people of their own: a set that never came in each, called by `name`, and one with two backups.
fn site(exim4: &Exim4, name: &str) -> Sandbox {
    let sandbox = Sandbox::new("small");
    for day in [29, 30] {
        let path = sandbox.path(&format!("backup/home/2026/03/{day}/023000/home.tgz"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = File::create(path).unwrap();
        file.set_len(5000).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW - (30 - day) * 86_400 - 12_600)).unwrap();
    }
    let mut config = format!(
        "[grid]\nname = lab\n[embedded]\npath = {0}/gridmon.db\n[state]\ndirectory = {0}\n[mail]\nhost = localhost\nport = {1}\n\
         from = gridmon@example.org\nto = operators@example.org\nusername = u\npassword = p\n",
        sandbox.path("state").display(),
        exim4.port
    );
    for hub in ["A", "B"] {
        config += &format!(
            "[hub {hub}]\nnodes = local\nroot = {}\ntimezone = UTC\nemail = {hub}@example.org\nsets = home, {hub}{name}\n\
             pattern = {{set}}/%Y/%m/%d/%H%M%S/*.tgz\n",
            sandbox.path("backup").display()
        );
    }
    let path = sandbox.write("config.cfg", config);
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    sandbox
}

/// A run, with a fault at a call.
fn command(sandbox: &Sandbox, exim4: &Exim4, hour: u64, fault: Option<(&str, String)>) -> Command {
    let mut command = Command::new("strace");
    if let Some((call, fault)) = fault {
        // What it starts is let go: the calls of find are none of ours.
        command.args(["-f", "-b", "execve", "-o", "/dev/null", "-e", &format!("trace={call}")]);
        command.args(["-e", &format!("inject={call}:{fault}")]).arg(program("collect-backups"));
    } else {
        command = Command::new(program("collect-backups"));
    }
    command.args(["--now", &(NOW + hour * 3600).to_string()]).current_dir(sandbox.path("")).env_clear();
    command.env("PATH", "/usr/bin:/bin").env("SSL_CERT_FILE", exim4.ca()).stdin(Stdio::null());
    command
}

/// How many rows the history has, and how many different backups.
fn history(sandbox: &Sandbox) -> (i64, i64) {
    let store = rusqlite::Connection::open(sandbox.path("state/gridmon.db")).unwrap();
    let query = "SELECT count(*), count(DISTINCT hub || path) FROM backup";
    store.query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

#[test]
fn a_run_that_is_killed_anywhere_says_each_alarm_once_and_loses_none() {
    let test = "a_run_that_is_killed_anywhere_says_each_alarm_once_and_loses_none";
    let Some(exim4) = Exim4::start() else { return skip(test, "exim4") };
    if !may_trace(test) {
        return;
    }
    // The name of the set, what the runs after the kill printed, and at which call it was.
    let mut said: Vec<(String, String, String)> = Vec::new();
    for call in CALLS {
        let mut count = 1;
        loop {
            let name = format!("{call}x{count}x");
            let sandbox = site(&exim4, &name);
            let mut killed = command(&sandbox, &exim4, 0, Some((call, format!("signal=KILL:when={count}"))));
            let status = killed.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
            let was_killed = status.signal() == Some(9) || status.code() == Some(137);
            let [next, last] = [1, 2].map(|hour| Outcome::of(&mut command(&sandbox, &exim4, hour, None)));
            assert_eq!((next.code, last.code, last.stderr.as_str()), (Some(0), Some(0), ""), "{name}: {}", next.stderr);
            assert_eq!(history(&sandbox), (4, 4), "{name}");
            said.push((name, next.stderr, format!("{call} {count}")));
            if !was_killed {
                break;
            }
            // In short, the first calls of each name, and fewer of the later ones.
            count += if soak() { 1 } else { count };
        }
    }
    assert!(said.len() > 30, "{} kills", said.len());
    let log = wait_until("all mails to be delivered", Duration::from_secs(30), || {
        let log = exim4.log();
        (log.matches(" <= ").count() == log.matches(" Completed\n").count()).then_some(log)
    });
    let mails = exim4.mails(log.matches(" <= ").count());
    let mut unsure = 0;
    for (name, stderr, kill) in &said {
        for hub in ["A", "B"] {
            let set = format!("{hub}{name}");
            let mailed = mails.iter().filter(|mail| mail.replace("=\n", "").contains(&set)).count();
            let printed = stderr
                .lines()
                .filter(|line| line.contains(&set) && line.contains("a run was killed while it mailed this"));
            let printed = printed.count();
            assert!(
                mailed <= 1 && printed <= 1 && mailed + printed >= 1,
                "{set} after {kill}: {mailed} mails, {printed} lines"
            );
            unsure += printed;
        }
    }
    // Only a kill within a session with the mail server leaves that open.
    assert!((1..said.len()).contains(&unsure), "{unsure} of {}", said.len());
}

#[test]
fn a_state_that_cannot_be_written_has_nothing_mailed_and_the_next_run_mails_it() {
    let test = "a_state_that_cannot_be_written_has_nothing_mailed_and_the_next_run_mails_it";
    let Some(exim4) = Exim4::start() else { return skip(test, "exim4") };
    if !may_trace(test) {
        return;
    }
    let sandbox = site(&exim4, "full");
    for hour in 0..2 {
        let run = Outcome::of(&mut command(&sandbox, &exim4, hour, Some(("rename", "error=ENOSPC".into()))));
        let said = ["A local Afull: ", "B local Bfull: "].map(|line| run.stderr.matches(line).count());
        assert_eq!((run.code, said), (Some(1), [1, 1]), "{}", run.stderr);
    }
    assert_eq!(exim4.log().matches(" <= ").count(), 0);
    let next = Outcome::of(&mut command(&sandbox, &exim4, 2, None));
    assert_eq!(next.code, Some(0), "{}", next.stderr);
    let mails = exim4.mails(2);
    assert!(mails.iter().any(|mail| mail.contains("Afull")) && mails.iter().any(|mail| mail.contains("Bfull")));
}
