//! collect-instances over a real libvirtd with real QEMUs: healthy ones, and all that can go wrong with them.
//!
//! Most in one test, since libvirtd with its domains is started once.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use gridmon::model::Point;
use gridmon_testkit::sandbox::{Outcome, Sandbox};
use gridmon_testkit::{Libvirt, program, skip, wait_until};

/// The domains: more than may hang.
const DOMAINS: usize = 8;

/// The seconds of one answer of a few domains.
const TIMEOUT: u64 = 2;

struct Host {
    libvirt: Libvirt,
    sandbox: Sandbox,
    stores: Cell<usize>,
    /// The seconds of one answer.
    timeout: u64,
}

/// What a run sent.
struct Run {
    outcome: Outcome,
    /// The fields of the instances, by UUID; those of devices by UUID and name.
    points: BTreeMap<String, BTreeMap<String, f64>>,
}

impl Host {
    /// Starts with so many domains; skips the test where there is no libvirtd.
    fn start(test: &str, domains: usize) -> Option<Self> {
        Self::with(test, Libvirt::start(domains))
    }

    fn with(test: &str, libvirt: Option<Libvirt>) -> Option<Self> {
        if libvirt.is_none() {
            skip(test, "libvirt-daemon, QEMU and tini, as root");
        }
        Some(Self { libvirt: libvirt?, sandbox: Sandbox::new("small"), stores: Cell::new(0), timeout: TIMEOUT })
    }

    /// Takes a new store: points of two runs in one slot would be mixed in one.
    fn config(&self) {
        self.stores.set(self.stores.get() + 1);
        let state = self.sandbox.path("state");
        let text = format!(
            "[grid]\nname = lab\n[libvirt]\nsocket = {}\ntimeout_seconds = {3}\n[embedded]\npath = {1}/{2}.db\n\
             [state]\ndirectory = {1}\n[rrd]\ndirectory = {1}/rrd\n",
            self.libvirt.socket().display(),
            state.display(),
            self.stores.get(),
            self.timeout,
        );
        let path = self.sandbox.write("config.cfg", text);
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn command(&self, name: &str, arguments: &[&str]) -> Outcome {
        let mut command = Command::new(program(name));
        command.args(arguments).current_dir(self.sandbox.path("")).env_clear().env("PATH", "/usr/bin:/bin");
        Outcome::of(command.env("HOME", self.sandbox.path("")))
    }

    /// Runs the program, and returns what it stored.
    fn run(&self) -> Run {
        self.config();
        let outcome = self.command("collect-instances", &["--verbose"]);
        assert!(outcome.took < Duration::from_secs(4 * self.timeout + 10), "{:?}: {}", outcome.took, outcome.stderr);
        let export = self.command("gridmon-status", &["store", "export"]);
        assert_eq!(export.code, Some(0), "{}", export.stderr);
        let mut points = BTreeMap::<String, BTreeMap<String, f64>>::new();
        for line in export.stdout.lines().filter(|line| line.starts_with("instance")) {
            let point = Point::from_line(line).unwrap();
            let tag = |name: &str| point.tag(name).unwrap_or_default();
            let key = [tag("instance"), tag("device")].join(" ").trim().to_string();
            let fields = point.fields().map(|(name, value)| (name.to_string(), value.as_f64()));
            points.entry(key).or_default().extend(fields);
        }
        Run { outcome, points }
    }

    /// Runs the program twice, some seconds apart, so that there are rates.
    fn rates(&self) -> Run {
        self.run();
        thread::sleep(Duration::from_secs(1));
        self.run()
    }

    /// Whether somebody else is answered by libvirtd.
    fn assert_others_are_served(&self) {
        let began = Instant::now();
        assert!(self.libvirt.virsh(&["list", "--all"]).status.success());
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
}

impl Run {
    fn of(&self, domain: usize) -> Option<&BTreeMap<String, f64>> {
        self.points.get(&Libvirt::uuid(domain))
    }

    fn number(&self, domain: usize, field: &str) -> Option<f64> {
        self.of(domain)?.get(field).copied()
    }

    fn device(&self, domain: usize, device: &str, field: &str) -> Option<f64> {
        self.points.get(&format!("{} {device}", Libvirt::uuid(domain)))?.get(field).copied()
    }

    /// Whether it has everything that libvirt tells of a running domain.
    fn is_complete(&self, domain: usize) -> bool {
        ["cpu_ratio", "memory_rss_bytes", "net_tx_bytes_per_second", "disk_rd_bytes_per_second"]
            .iter()
            .all(|field| self.number(domain, field).is_some())
    }

    fn has_state_and_network_alone(&self, domain: usize) -> bool {
        self.number(domain, "net_tx_bytes_per_second").is_some()
            && self.number(domain, "state") == Some(1.0)
            && self.number(domain, "disk_rd_bytes_per_second").is_none()
            && self.number(domain, "memory_rss_bytes").is_none()
    }

    fn names(&self, domain: usize) -> bool {
        self.outcome.stderr.contains(&format!("instance {} ({})", Libvirt::uuid(domain), Libvirt::name(domain)))
    }
}

#[test]
fn a_hosts_instances_are_measured_whatever_happens_to_them_and_libvirtd_serves_others() {
    let test = "a_hosts_instances_are_measured_whatever_happens_to_them_and_libvirtd_serves_others";
    let Some(host) = Host::start(test, DOMAINS) else { return };
    healthy(&host);
    states(&host);
    hot_plug(&host);
    one_hangs(&host);
    lost_by_runs_that_send_nothing(&host);
    gone_while_asked(&host);
    six_hang(&host);
    the_daemon_hangs_and_goes(&host);
}

fn healthy(host: &Host) {
    host.config();
    let check = host.command("collect-instances", &["--check"]);
    assert!(check.stdout.contains("libvirt-sock-ro: libvirt "), "{}{}", check.stdout, check.stderr);
    let run = host.rates();
    assert_eq!((run.outcome.code, run.points.len()), (Some(0), 1 + 3 * DOMAINS), "{}", run.outcome.stderr);
    for domain in 1..=DOMAINS {
        assert!(run.is_complete(domain), "{domain}: {:?}", run.of(domain));
        let of = |field| run.number(domain, field).unwrap();
        assert_eq!((of("vcpus"), of("memory_bytes")), ((1 + domain % 2) as f64, f64::from(16 << 20)));
        assert!(of("cpu_ratio") > 0.0 && of("cpu_ratio") <= 1.0 && of("cpu_cores") < 3.0);
        // The guest reads twice what it writes.
        assert!(of("disk_rd_bytes_per_second") > of("disk_wr_bytes_per_second"));
        assert_eq!(run.device(domain, "vda", "capacity_bytes"), Some(1_048_576.0));
        assert!(run.device(domain, &format!("tap{domain:08x}"), "tx_packets_per_second").unwrap() > 0.0);
    }
    // The files of nova's instance monitor.
    for (file, heads) in [("cpu", " cpu"), ("net", " rx tx"), ("disk", " rd wr")] {
        let path = host.sandbox.path(&format!("state/rrd/{}/{file}.rrd", Libvirt::uuid(1)));
        let told = Command::new("rrdtool").arg("lastupdate").arg(&path).output().unwrap();
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        let mut numbers = told.lines().last().unwrap().split(' ').skip(1).map(|number| number.parse::<f64>());
        assert!(told.starts_with(heads) && numbers.all(|number| number.is_ok_and(|number| number >= 0.0)), "{told}");
    }
    // They are found again by a comparison, each with a value on either side.
    let compared = host.command("collect-instances", &["--compare", host.sandbox.path("state/rrd").to_str().unwrap()]);
    let both = format!("{0} values here, {0} there: ", 5 * DOMAINS);
    assert!(compared.stdout.contains(&both), "{}{}", compared.stdout, compared.stderr);
    // Labels come from nova's metadata.
    let dry = host.command("collect-instances", &["--dry-run", "--format", "influx"]);
    let labels = format!("flavor=m1.tiny,grid=lab,host={}", gridmon::os::files::host_name());
    let line = dry.stdout.lines().find(|line| line.starts_with("instance,")).unwrap();
    assert!(line.contains(&labels) && line.contains("project=b1e2d3c4a5f60718293a4b5c6d7e8f90"), "{line}");
    assert!(line.contains(&format!("name={}", Libvirt::name(1))), "{line}");
}

fn states(host: &Host) {
    let (paused, off, gone) = (Libvirt::name(2), Libvirt::name(3), Libvirt::name(8));
    host.libvirt.must(&["suspend", &paused]);
    host.libvirt.must(&["destroy", &off]);
    host.libvirt.must(&["destroy", &gone]);
    host.libvirt.must(&["undefine", &gone]);
    let run = host.run();
    assert_eq!(run.outcome.code, Some(0), "{}", run.outcome.stderr);
    assert_eq!(run.number(2, "state"), Some(3.0));
    assert_eq!(run.of(3).unwrap().keys().collect::<Vec<_>>(), ["state", "state_reason"]);
    assert_eq!(run.of(8), None, "it is gone");
    host.libvirt.must(&["resume", &paused]);
    host.libvirt.must(&["start", &off]);
    let run = host.run();
    assert_eq!(run.number(3, "cpu_ratio"), None, "a new run has no rate yet");
    assert!(host.rates().is_complete(3));
    host.libvirt.must(&["define", host.libvirt.path("disks/8.xml").to_str().unwrap()]);
    host.libvirt.must(&["start", &gone]);
}

fn hot_plug(host: &Host) {
    let name = Libvirt::name(1);
    let device = |file: &str| host.libvirt.path(file).to_str().unwrap().to_string();
    for file in ["disks/disk.xml", "disks/nic.xml"] {
        host.libvirt.must(&["attach-device", &name, &device(file), "--live"]);
    }
    let run = host.run();
    assert_eq!((run.number(1, "disks"), run.number(1, "interfaces")), (Some(2.0), Some(2.0)));
    assert_eq!(run.device(1, "vdb", "rd_bytes_per_second"), None, "a new one has no rate");
    assert!(run.is_complete(1));
    let run = host.rates();
    assert!(
        run.device(1, "vdb", "rd_bytes_per_second").is_some()
            && run.device(1, "tapmore", "rx_bytes_per_second").is_some()
    );
    for file in ["disks/disk.xml", "disks/nic.xml"] {
        host.libvirt.must(&["detach-device", &name, &device(file), "--live"]);
    }
    // The guest has to let go of them.
    let seen = || {
        host.libvirt.must(&["domblklist", &name]).contains("vdb")
            || host.libvirt.must(&["domiflist", &name]).contains("tapmore")
    };
    wait_until("unplugged devices", Duration::from_secs(20), || (!seen()).then_some(()));
    let run = host.run();
    assert_eq!((run.number(1, "disks"), run.device(1, "vdb", "capacity_bytes")), (Some(1.0), None));
    assert!(run.is_complete(1), "the others have no jump and no gap: {:?}", run.of(1));
}

fn one_hangs(host: &Host) {
    host.rates();
    host.libvirt.signal_qemu(2, "STOP");
    let run = host.run();
    assert_eq!(run.outcome.code, Some(1));
    assert!(run.names(2), "{}", run.outcome.stderr);
    assert!(run.has_state_and_network_alone(2), "{:?}", run.of(2));
    let others = |run: &Run| {
        (1..=DOMAINS).filter(|domain| *domain != 2).all(|domain| run.is_complete(domain) && !run.names(domain))
    };
    assert!(others(&run), "{}", run.outcome.stderr);
    // The second run knows it, and loses nothing.
    let run = host.run();
    assert!(run.outcome.took < Duration::from_secs(TIMEOUT), "{:?}", run.outcome.took);
    assert!(others(&run) && run.names(2));
    host.assert_others_are_served();
    host.libvirt.signal_qemu(2, "CONT");
    thread::sleep(Duration::from_millis(500));
    let run = host.rates();
    assert_eq!(run.outcome.code, Some(0), "{}", run.outcome.stderr);
    assert!(run.is_complete(2));
}

/// A call that a look by hand lost, or a run that was killed in it, is remembered.
fn lost_by_runs_that_send_nothing(host: &Host) {
    let loses: [(&str, &dyn Fn()); 2] = [
        ("--dry-run", &|| {
            let dry = host.command("collect-instances", &["--dry-run"]);
            assert!(dry.code == Some(1) && dry.stderr.contains(&Libvirt::name(2)), "{}", dry.stderr);
        }),
        ("SIGKILL", &|| {
            let mut command = Command::new(program("collect-instances"));
            let mut run = command.current_dir(host.sandbox.path("")).spawn().unwrap();
            thread::sleep(Duration::from_millis(700));
            run.kill().unwrap();
            run.wait().unwrap();
        }),
    ];
    for (how, lose) in loses {
        host.rates();
        host.config();
        host.libvirt.signal_qemu(2, "STOP");
        lose();
        // The next run knows of it, and is complete but for this one.
        for _ in 0..2 {
            let run = host.run();
            assert!(run.names(2), "{how}: {}", run.outcome.stderr);
            assert!((3..=DOMAINS).all(|domain| run.is_complete(domain)), "{how}: {}", run.outcome.stderr);
        }
        host.libvirt.signal_qemu(2, "CONT");
        thread::sleep(Duration::from_millis(500));
        host.run();
        let run = host.rates();
        assert_eq!(run.outcome.code, Some(0), "{how}: {}", run.outcome.stderr);
        assert!((1..=DOMAINS).all(|domain| run.is_complete(domain)), "{how}");
    }
}

/// Another one hangs meanwhile, so that there is time between the list and the call that finds it gone.
fn gone_while_asked(host: &Host) {
    let (gone, libvirt) = (Libvirt::name(8), &host.libvirt);
    libvirt.signal_qemu(2, "STOP");
    let run = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(500));
            libvirt.must(&["destroy", &gone]);
            libvirt.must(&["undefine", &gone]);
        });
        host.run()
    });
    assert_eq!((run.of(8), run.names(8)), (None, false), "{}", run.outcome.stderr);
    assert_eq!(run.points[""]["instances"], (DOMAINS - 1) as f64);
    assert!([1, 3, 4, 5, 6, 7].iter().all(|domain| run.is_complete(*domain)), "{}", run.outcome.stderr);
    host.libvirt.signal_qemu(2, "CONT");
    host.libvirt.must(&["define", host.libvirt.path("disks/8.xml").to_str().unwrap()]);
    host.libvirt.must(&["start", &gone]);
    thread::sleep(Duration::from_millis(500));
    host.run();
    assert_eq!(host.run().outcome.code, Some(0));
}

fn six_hang(host: &Host) {
    for domain in 1..=6 {
        host.libvirt.signal_qemu(domain, "STOP");
    }
    // The first runs find the hung ones, the last one knows them.
    for number in 0..3 {
        let run = host.run();
        assert_eq!(run.outcome.code, Some(1));
        for domain in 1..=6 {
            assert!(run.names(domain), "run {number}: {}", run.outcome.stderr);
            assert!(run.has_state_and_network_alone(domain), "run {number}: {:?}", run.of(domain));
        }
        for domain in 7..=DOMAINS {
            assert!(run.is_complete(domain) && !run.names(domain), "run {number}: {}", run.outcome.stderr);
        }
        host.assert_others_are_served();
    }
    for domain in 1..=6 {
        host.libvirt.signal_qemu(domain, "CONT");
    }
    thread::sleep(Duration::from_millis(500));
    host.run();
    let run = host.rates();
    assert_eq!(run.outcome.code, Some(0), "{}", run.outcome.stderr);
    assert!((1..=DOMAINS).all(|domain| run.is_complete(domain)));
}

fn the_daemon_hangs_and_goes(host: &Host) {
    let libvirt = &host.libvirt;
    let nothing = |run: &Run, words: &str| {
        assert_eq!(run.outcome.code, Some(1));
        assert!(run.outcome.stderr.contains(words), "{}", run.outcome.stderr);
        assert!((1..=DOMAINS).all(|domain| run.of(domain).is_none()), "no points, never zeros");
        assert_eq!(run.points[""]["heartbeat"], 0.0);
    };
    host.libvirt.signal_daemon("STOP");
    let run = host.run();
    nothing(&run, "libvirtd took the connection and gave no answer in 2 s");
    host.libvirt.signal_daemon("CONT");
    assert_eq!(host.run().outcome.code, Some(0));
    // It goes while a call waits for a QEMU that hangs.
    host.libvirt.signal_qemu(5, "STOP");
    let run = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(700));
            libvirt.down();
        });
        host.run()
    });
    assert_eq!(run.outcome.code, Some(1));
    assert!(run.outcome.stderr.contains("was it restarted?"), "{}", run.outcome.stderr);
    nothing(&host.run(), "; no instance has points in this run");
    host.libvirt.signal_qemu(5, "CONT");
    host.libvirt.up();
    let run = host.rates();
    assert_eq!(run.outcome.code, Some(0), "{}", run.outcome.stderr);
    assert!((1..=DOMAINS).all(|domain| run.is_complete(domain)));
}

/// What libvirtd is remembered by.
fn remembered(host: &Host) -> String {
    let memory = fs::read(host.sandbox.path("state/collect-instances.lab.libvirt")).unwrap();
    let memory: serde_json::Value = serde_json::from_slice(&memory).unwrap();
    memory["daemon"].as_str().unwrap().lines().next().unwrap().to_string()
}

/// Under systemd the socket stays over a restart, and the process behind it is another one.
#[test]
fn a_libvirtd_that_did_not_make_its_sockets_is_known_by_its_process() {
    let test = "a_libvirtd_that_did_not_make_its_sockets_is_known_by_its_process";
    let Some(host) = Host::with(test, Libvirt::start_activated(2)) else { return };
    let socket = || fs::metadata(host.libvirt.socket()).unwrap().ino();
    let (inode, mut before) = (socket(), String::new());
    for start in 0..2 {
        let run = host.run();
        assert_eq!(run.outcome.code, Some(0), "start {start}: {}", run.outcome.stderr);
        let now = remembered(&host);
        assert_eq!((now.clone(), socket()), (host.libvirt.daemon().to_string(), inode), "start {start}");
        assert_ne!(now, before);
        before = now;
        host.libvirt.down();
        host.libvirt.up();
    }
}

/// A storage hangs: libvirtd waits for it with the lock of a domain, and lists nothing.
#[test]
#[ignore = "the simulation has it: make test-all"]
fn around_a_real_lock_the_others_are_measured() {
    let Some(host) = Host::start("around_a_real_lock_the_others_are_measured", 6) else { return };
    host.libvirt.must(&["destroy", &Libvirt::name(3)]);
    host.rates();
    host.libvirt.hold_lock(3);
    for number in 0..4 {
        let run = host.run();
        assert_eq!(run.outcome.code, Some(1));
        assert!(
            run.outcome.stderr.contains("libvirt list: the list of domains does not come"),
            "{}",
            run.outcome.stderr
        );
        // The first run halves the list to find it, as far as three calls go.
        if number > 1 {
            let complete = (1..=6).filter(|domain| run.is_complete(*domain)).count();
            assert!(complete >= 4, "run {number}: {complete}: {}", run.outcome.stderr);
        }
        // A list by virsh hangs too; one domain does not.
        assert!(host.libvirt.virsh(&["domstate", &Libvirt::name(1)]).status.success(), "run {number}");
    }
    host.libvirt.release_lock(3);
    // What the message says: a new libvirtd owes nothing, and lists again.
    host.libvirt.down();
    host.libvirt.up();
    let run = host.rates();
    assert_eq!(run.outcome.code, Some(0), "{}", run.outcome.stderr);
    assert!([1, 2, 4, 5, 6].iter().all(|domain| run.is_complete(*domain)));
}

/// Stops the QEMUs of the first domains; the others are measured in each run, and libvirtd serves others. Then they go on.
fn many_hang(host: &Host, domains: usize, hung: usize) {
    // Two dozen emulated guests beside each other take their time to answer, and to send a packet.
    let settle = || {
        assert!((0..20).any(|_| host.run().outcome.code == Some(0)), "it is never well");
        host.rates()
    };
    settle();
    (1..=hung).for_each(|domain| host.libvirt.signal_qemu(domain, "STOP"));
    for number in 0..4 {
        let run = host.run();
        assert_eq!(run.outcome.code, Some(1));
        for domain in 1..=hung {
            assert!(run.names(domain), "run {number}: {}", run.outcome.stderr);
            assert!(run.has_state_and_network_alone(domain), "run {number}: {:?}", run.of(domain));
        }
        for domain in hung + 1..=domains {
            assert!(run.is_complete(domain) && !run.names(domain), "run {number}: {}", run.outcome.stderr);
        }
        host.assert_others_are_served();
    }
    (1..=hung).for_each(|domain| host.libvirt.signal_qemu(domain, "CONT"));
    let run = settle();
    assert_eq!(run.outcome.code, Some(0), "{}", run.outcome.stderr);
    assert!((1..=domains).all(|domain| run.is_complete(domain)));
}

#[test]
#[ignore = "takes a minute: make test-all"]
fn all_domains_of_a_host_may_hang() {
    let Some(host) = Host::start("all_domains_of_a_host_may_hang", 6) else { return };
    many_hang(&host, 6, 6);
}

#[test]
#[ignore = "takes minutes, 24 QEMUs: make test-all"]
fn more_domains_may_hang_than_libvirtd_has_workers() {
    let Some(host) = Host::start("more_domains_may_hang_than_libvirtd_has_workers", 24) else { return };
    many_hang(&Host { timeout: 10, ..host }, 24, 22);
}
