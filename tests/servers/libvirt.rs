//! collect-instances over a real libvirtd with real QEMUs: healthy ones, and all that can go wrong with them.
//!
//! Most in one test, since libvirtd with its domains is started once.

mod hanging;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use self::hanging::{gone_while_asked, lost_by_runs_that_send_nothing, one_hangs, six_hang, the_daemon_hangs_and_goes};
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
