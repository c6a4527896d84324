//! A libvirtd of which QEMUs hang and locks are held, as the real one behaves: what is asked of it, and what is lost.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use super::message::{DomainRef, Uuid};
use super::xdr::{Reader, Writer};
use super::{Answer, Config, Memory, collect};

/// What is wrong with the domains, by number.
#[derive(Default)]
struct Faults {
    /// Their QEMU hangs, and no call has met it yet.
    fresh: BTreeSet<u8>,
    /// Their QEMU hangs, and a call that was given up holds the job.
    held: BTreeSet<u8>,
    /// Their lock is held.
    locked: BTreeSet<u8>,
    /// Their guests send nothing.
    silent: BTreeSet<u8>,
    /// The calls that will never be answered.
    lost: usize,
    /// The packets that the others have sent.
    packets: u64,
    /// How a client must prove itself.
    auth: i32,
    /// A call for metadata of these is refused.
    forbidden: BTreeSet<u8>,
    /// How many calls for counters hang at a lock that was taken after the list came.
    late_lock: usize,
    /// Domains of the list that libvirtd does not know any more when it is asked for their counters.
    gone: BTreeSet<u8>,
    /// Domains that an answer tells of beside those that were asked for.
    intruders: u8,
    /// How long an answer with counters takes.
    pace: Duration,
}

struct Daemon {
    config: Config,
    faults: Arc<Mutex<Faults>>,
    memory: Memory,
    now: i64,
}

impl Daemon {
    fn start(name: &str, domains: u8) -> Self {
        let socket = std::env::temp_dir().join(format!("gridmon-libvirtd-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).unwrap();
        let faults = Arc::new(Mutex::new(Faults::default()));
        let shared = faults.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let faults = shared.clone();
                thread::spawn(move || serve(stream, domains, &faults));
            }
        });
        let timeout = Duration::from_millis(200);
        let config = Config { socket, timeout, names: false, deadline_seconds: 240, interval_seconds: 300 };
        Self { config, faults, memory: Memory::default(), now: 1_717_245_000 }
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap()
    }

    /// Runs once, five minutes after the last time; returns the answer, the numbers of the domains that told everything, the
    /// subjects of the problems, and the calls that were lost.
    fn run(&mut self) -> (Answer, Vec<u8>, Vec<String>, usize) {
        let before = self.faults().lost;
        self.now += 300;
        let until = Instant::now() + Duration::from_secs(20);
        let (answer, problems) = collect(&self.config, &mut self.memory, self.now, until, &|_| Ok(()));
        let answer = answer.unwrap_or_default();
        let whole = answer.domains.iter().filter(|domain| !domain.stats.is_passed_by());
        let whole = whole.map(|domain| domain.of.uuid.0[15]).collect();
        let subjects = problems.iter().map(|problem| problem.subject.to_string()).collect();
        let lost = self.faults().lost - before;
        (answer, whole, subjects, lost)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(PathBuf::from(&self.config.socket));
    }
}

fn domain(number: u8) -> DomainRef {
    let mut uuid = [0; 16];
    uuid[15] = number;
    DomainRef { name: format!("d{number}"), uuid: Uuid(uuid), id: number.into() }
}

fn put(to: Writer, number: u8) -> Writer {
    let of = domain(number);
    to.text(&of.name).bytes(&of.uuid.0).i32(of.id)
}

fn serve(mut stream: UnixStream, domains: u8, faults: &Mutex<Faults>) -> io::Result<()> {
    loop {
        let mut head = [0; 28];
        stream.read_exact(&mut head)?;
        let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (length, procedure, serial) = (word(0) as usize, word(12), word(20));
        let mut body = vec![0; length - 28];
        stream.read_exact(&mut body)?;
        let answer = answer(procedure, &body, domains, &mut faults.lock().unwrap());
        let Some((status, answer)) = answer else {
            // Never: the client goes, its call stays.
            faults.lock().unwrap().lost += 1;
            continue;
        };
        // An event first, and a late reply to another call: both are passed over.
        for (kind, serial, status, body) in [(2, 0, 0, &[][..]), (1, 0, 0, &[0; 8]), (1, serial, status, &answer)] {
            let frame = Writer::default().u32(28 + body.len() as u32).u32(0x2000_8086).u32(1).u32(procedure);
            stream.write_all(&frame.u32(kind).u32(serial).u32(status).bytes(body).0)?;
        }
    }
}

/// Returns status and body of a reply; `None` if it never comes.
fn answer(procedure: u32, body: &[u8], domains: u8, faults: &mut Faults) -> Option<(u32, Vec<u8>)> {
    let all = 1..=domains;
    Some(match procedure {
        66 => (0, Writer::default().u32(1).i32(faults.auth).0),
        273 if !faults.locked.is_empty() => return None,
        273 => (0, all.fold(Writer::default().u32(domains.into()), put).u32(domains.into()).0),
        265 => {
            let mut reader = Reader::new(body);
            let (_, uuid) = (reader.text().unwrap(), reader.uuid().unwrap());
            let is_forbidden = faults.forbidden.contains(&uuid[15]);
            let (code, words) = if is_forbidden { (29, "operation forbidden") } else { (80, "metadata not found") };
            (1, Writer::default().i32(code).i32(0).some_text(words).0)
        }
        344 => {
            let mut reader = Reader::new(body);
            let mut asked = Vec::new();
            for _ in 0..reader.u32().unwrap() {
                let (_, uuid, _) = (reader.text().unwrap(), reader.uuid().unwrap(), reader.i32().unwrap());
                asked.push(uuid[15]);
            }
            let is_quiet = reader.u32().unwrap() == 17;
            assert_eq!(reader.u32().unwrap(), 1 << 29, "nobody waits");
            if asked.iter().any(|number| faults.locked.contains(number)) {
                return None;
            }
            if faults.late_lock > 0 {
                faults.late_lock -= 1;
                return None;
            }
            thread::sleep(faults.pace);
            asked.retain(|number| !faults.gone.contains(number));
            asked.extend(200..200 + faults.intruders);
            if let Some(number) = asked.iter().copied().find(|number| !is_quiet && faults.fresh.remove(number)) {
                faults.held.insert(number);
                return None;
            }
            faults.packets += 1;
            let told = |to, number: u8| {
                let hangs = faults.fresh.contains(&number) || faults.held.contains(&number);
                stats(
                    to,
                    number,
                    is_quiet || hangs,
                    if hangs || faults.silent.contains(&number) { 0 } else { faults.packets },
                )
            };
            (0, asked.iter().fold(Writer::default().u32(asked.len() as u32), |to, number| told(to, *number)).0)
        }
        _ => (0, Vec::new()),
    })
}

fn stats(to: Writer, number: u8, is_partial: bool, packets: u64) -> Writer {
    let to = put(to, number).u32(if is_partial { 4 } else { 5 }).text("state.state").u32(1).i32(1);
    let to = to.text("net.count").u32(2).u32(1).text("net.0.name").u32(7).text("tap");
    let to = to.text("net.0.tx.pkts").u32(4).bytes(&packets.to_be_bytes());
    if is_partial { to } else { to.text("balloon.rss").u32(4).bytes(&7_u64.to_be_bytes()) }
}

fn but(all: u8, without: &[u8]) -> Vec<u8> {
    (1..=all).filter(|number| !without.contains(number)).collect()
}

#[test]
fn many_that_hang_at_once_cost_five_calls_in_all_and_the_healthy_ones_nothing() {
    let mut daemon = Daemon::start("many", 150);
    assert_eq!(daemon.run().1.len(), 150);
    let hung = [3, 50, 51, 52, 53, 54, 55, 120];
    daemon.faults().fresh.extend(hung);
    let mut lost = 0;
    for run in 0..6 {
        let (answer, whole, subjects, now) = daemon.run();
        assert_eq!(whole, but(150, &hung), "run {run}");
        assert_eq!((answer.domains.len(), answer.unanswered, answer.is_whole), (150, hung.len(), false));
        assert!(hung.iter().all(|number| subjects.iter().any(|named| named.ends_with(&format!("(d{number})")))));
        assert!(now <= 3, "run {run} lost {now}");
        lost += now;
    }
    assert!(lost <= 5, "{lost}");
    // They move.
    (daemon.faults().fresh, daemon.faults().held) = Default::default();
    daemon.run();
    let (answer, whole, subjects, _) = daemon.run();
    assert_eq!((whole.len(), subjects.len(), answer.is_whole, daemon.memory.outstanding()), (150, 0, true, 0));
}

#[test]
fn idle_guests_beside_one_that_hangs_are_asked_one_by_one() {
    let mut daemon = Daemon::start("idle", 12);
    daemon.faults().silent.extend(1..=12);
    daemon.run();
    daemon.faults().fresh.insert(7);
    let (_, whole, _, lost) = daemon.run();
    assert_eq!((whole, lost), (but(12, &[7]), 1));
    let (_, whole, _, lost) = daemon.run();
    assert_eq!((whole, lost), (but(12, &[7]), 0));
}

#[test]
fn around_a_lock_the_others_are_told_and_the_one_at_fault_is_found() {
    let mut daemon = Daemon::start("lock", 40);
    daemon.run();
    daemon.faults().locked.insert(33);
    let mut lost = 0;
    let mut found = Vec::new();
    for _ in 0..8 {
        let (answer, whole, subjects, now) = daemon.run();
        assert!(now <= 3 && !answer.is_whole && subjects[0] == "libvirt list", "{now} {subjects:?}");
        lost += now;
        found = whole;
    }
    assert!(found.len() >= 30 && !found.contains(&33), "{found:?}");
    assert!(lost <= 5, "{lost}");
    // The lock is released, and the next try of the list shows it.
    daemon.faults().locked.clear();
    daemon.now += 4 * 3600;
    let (answer, whole, subjects, lost) = daemon.run();
    assert_eq!((whole.len(), answer.is_whole, subjects.len(), lost, daemon.memory.outstanding()), (40, true, 0, 0, 0));
}

#[test]
fn what_a_client_must_prove_is_done_or_refused_in_words() {
    for (auth, words) in [(1, "libvirtd wants a password (SASL) on this socket"), (7, "libvirtd wants a password")] {
        let daemon = Daemon::start(&format!("auth{auth}"), 1);
        daemon.faults().auth = auth;
        let until = Instant::now() + Duration::from_secs(5);
        let (answer, problems) = collect(&daemon.config, &mut Memory::default(), 0, until, &|_| Ok(()));
        assert!(answer.is_none() && problems[0].message.starts_with(words), "{problems:?}");
    }
    let mut polkit = Daemon::start("polkit", 1);
    polkit.faults().auth = 2;
    assert_eq!(polkit.run().1, [1]);
}

#[test]
fn a_socket_that_is_not_there_or_somebody_elses_is_named() {
    let daemon = Daemon::start("none", 1);
    let config = Config { socket: "/nowhere/libvirt-sock-ro".into(), ..daemon.config.clone() };
    let until = Instant::now() + Duration::from_secs(5);
    let said = |config: &Config| collect(config, &mut Memory::default(), 0, until, &|_| Ok(())).1[0].message.clone();
    let message = said(&config);
    assert!(
        message.starts_with("/nowhere/libvirt-sock-ro: No such file or directory (os error 2); libvirtd does not run"),
        "{message}"
    );
    let other = std::env::temp_dir().join(format!("gridmon-no-libvirtd-{}", std::process::id()));
    let _ = std::fs::remove_file(&other);
    let listener = UnixListener::bind(&other).unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            stream.read_exact(&mut [0; 28]).unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        }
    });
    let message = said(&Config { socket: other.clone(), ..config });
    assert!(message.starts_with("what answers is not libvirtd: \"HTTP\" begins no message"), "{message}");
    std::fs::remove_file(other).unwrap();
}

/// A run that is killed leaves what it wrote down before its last call.
#[test]
fn a_run_that_is_killed_at_any_call_has_written_down_what_it_lost() {
    for kill_at in 1..=8 {
        let mut daemon = Daemon::start(&format!("killed{kill_at}"), 150);
        daemon.run();
        let hung = [3, 50, 51, 52, 53, 54, 55, 120];
        daemon.faults().fresh.extend(hung);
        for run in 0..4 {
            daemon.now += 300;
            let (kept, count) = (RefCell::new(daemon.memory.clone()), RefCell::new(0));
            let keep = |memory: &Memory| {
                *count.borrow_mut() += 1;
                assert!(*count.borrow() < kill_at, "killed, which is no fault");
                *kept.borrow_mut() = memory.clone();
                Ok(())
            };
            let (config, mut memory, until) =
                (&daemon.config, daemon.memory.clone(), Instant::now() + Duration::from_secs(20));
            let killed =
                catch_unwind(AssertUnwindSafe(|| collect(config, &mut memory, daemon.now, until, &keep))).is_err();
            daemon.memory = if killed { kept.into_inner() } else { memory };
            let lost = daemon.faults().lost;
            let owed = daemon.memory.outstanding();
            assert!(lost <= owed && lost <= 5, "killed at {kill_at}, run {run}: {lost} lost, {owed} known");
        }
    }
}

#[test]
fn what_cannot_be_remembered_is_not_asked() {
    let daemon = Daemon::start("forgetful", 3);
    daemon.faults().fresh.insert(1);
    let until = Instant::now() + Duration::from_secs(20);
    let keep = |_: &Memory| anyhow::bail!("state file /s: No space left on device");
    let (answer, problems) = collect(&daemon.config, &mut Memory::default(), 0, until, &keep);
    assert!(answer.is_none());
    assert_eq!(
        problems[0].message,
        "state file /s: No space left on device; a call that hangs must be remembered, so libvirtd is asked for nothing \
         more; no instance has points in this run"
    );
    assert_eq!((problems.len(), daemon.faults().lost), (1, 0));
}

#[test]
fn a_list_that_never_came_is_no_answer_and_no_zeros() {
    let mut daemon = Daemon::start("unknown", 5);
    daemon.faults().locked.insert(2);
    let until = Instant::now() + Duration::from_secs(20);
    for run in 0..2 {
        daemon.now += 300;
        let (answer, problems) = collect(&daemon.config, &mut daemon.memory, daemon.now, until, &|_| Ok(()));
        assert_eq!(answer, None, "run {run}");
        let said: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
        assert!(
            said.len() == 1 && said[0].ends_with("no earlier list is known, so no instance has points in this run")
        );
    }
    assert_eq!(daemon.faults().lost, 1);
}

#[test]
fn a_run_loses_three_calls_at_most_also_to_a_lock_that_is_taken_meanwhile() {
    for held in [false, true] {
        let mut daemon = Daemon::start(&format!("late{held}"), 250);
        daemon.run();
        if held {
            // All of them hold up calls: they are asked as safe ones.
            daemon.memory.held = daemon.memory.domains.iter().map(|known| (known.of.uuid, known.of.id)).collect();
            daemon.memory.held.retain(|uuid, _| uuid.0[15] <= 4);
        }
        daemon.faults().late_lock = 100;
        for run in 0..4 {
            let (_, _, subjects, lost) = daemon.run();
            assert!(lost <= 3, "held {held}, run {run}: {lost}");
            assert!(!subjects.is_empty());
        }
    }
}

#[test]
fn metadata_that_is_refused_costs_the_others_nothing() {
    let mut daemon = Daemon::start("forbidden", 30);
    daemon.faults().forbidden.extend([1, 7]);
    let (answer, whole, subjects, _) = daemon.run();
    assert_eq!((whole.len(), answer.is_whole, subjects), (30, true, vec!["libvirt metadata".to_string()]));
    // The others are known not to be nova's; these are asked again.
    let unknown = daemon.memory.domains.iter().filter(|known| known.nova.is_none()).count();
    assert_eq!(unknown, 2);
}

#[test]
fn domains_that_go_while_they_are_asked_are_gone_and_others_never_come_in() {
    let mut daemon = Daemon::start("gone", 30);
    daemon.faults().gone.insert(4);
    let (answer, whole, subjects, _) = daemon.run();
    assert_eq!((answer.known, answer.unanswered, whole), (29, 0, but(30, &[4])));
    assert_eq!(subjects, [""; 0]);
    daemon.faults().gone.clear();
    daemon.faults().intruders = 1;
    let (answer, _, subjects, _) = daemon.run();
    assert!(answer.domains.is_empty() && subjects == ["libvirt"], "{subjects:?}");
}

#[test]
fn the_time_of_a_reading_is_the_middle_of_its_call() {
    let mut daemon = Daemon::start("slow", 3);
    daemon.faults().pace = Duration::from_millis(100);
    let (answer, ..) = daemon.run();
    let at = answer.domains[0].at.as_millis();
    assert!((50..100).contains(&at), "{at} ms");
}

/// A migration takes seconds or minutes, and holds the domain's job.
#[test]
fn a_domain_that_a_job_holds_for_a_moment_is_not_said_to_be_silent() {
    let mut daemon = Daemon::start("busy", 5);
    daemon.run();
    daemon.faults().held.insert(2);
    for run in 0..3 {
        let (answer, whole, subjects, _) = daemon.run();
        assert_eq!((answer.unanswered, whole, subjects.len(), answer.is_whole), (0, but(5, &[2]), 0, false), "{run}");
    }
    // It began 15 min ago.
    let (answer, _, subjects, _) = daemon.run();
    assert_eq!((answer.unanswered, subjects.len()), (1, 1));
}
