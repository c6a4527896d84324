//! Started by OpenRC, and with the whole system by contrib/gridmon-system.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use gridmon_testkit::sandbox::Outcome;
use gridmon_testkit::{Ports, SshHosts, TempDir, program, root, servers::script, skip, wait_until};

/// The folders that OpenRC makes when it boots.
const BOOTED: &str =
    "daemons exclusive failed hotplugged inactive options scheduled started starting stopping tmp wasinactive";

/// Writes a config of an agent with one sensor, and returns its path.
fn config(folder: &Path, more: &str) -> PathBuf {
    let path = folder.join("agent.cfg");
    let text = format!(
        "[grid]\nname = g\n[state]\ndirectory = {}\n[spool]\npublish_seconds = 1\nmax_disk_percent = 100\n\
         [sensor:LoadAverage]\ntime_interval = 0.5\n{more}\n",
        folder.join("state").display()
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    path
}

/// Tells OpenRC's script of a service one order after the other, with a shell's line after each; returns what was printed: a line
/// `ORDER CODE`, and what the script said, indented by two blanks. `None` where OpenRC is not installed.
fn tell_openrc(service: &str, at: &Path, config: &Path, orders: &str, after: &str) -> Option<Outcome> {
    if !Path::new("/usr/sbin/openrc-run").exists() || !rustix::process::geteuid().is_root() {
        return None;
    }
    for part in ["init.d", "conf.d"] {
        fs::create_dir(at.join(part)).unwrap();
    }
    fs::copy(root().join("contrib/openrc").join(service), at.join("init.d").join(service)).unwrap();
    let name = service.to_uppercase();
    let settings = format!(
        "{name}_USER=root\n{name}_COMMAND={}\n{name}_PIDFILE={}\n{name}_CONFIG={}\n",
        program(service).display(),
        at.join("run/pid").display(),
        config.display()
    );
    fs::write(at.join("conf.d").join(service), settings).unwrap();
    // OpenRC keeps its state in /run, and works only where it has booted: it gets a /run of its own.
    let script = format!(
        "mount -t tmpfs none /run || exit 9; mkdir -p /run/lock /run/openrc; cd /run/openrc; mkdir {BOOTED}; touch softlevel\n\
         for order in {orders}; do\n\
         openrc-run {}/init.d/{service} $order >output 2>&1; echo \"$order $?\"; sed 's/^/  /' output; {after}; done",
        at.display()
    );
    Some(Outcome::of(Command::new("unshare").args(["-m", "bash", "-c", &script]).stdin(Stdio::null())))
}

/// The lines `ORDER CODE`.
fn codes(told: &Outcome) -> Vec<&str> {
    told.stdout.lines().filter(|line| !line.starts_with(' ')).collect()
}

#[test]
fn openrc_starts_reloads_restarts_and_stops_it() {
    let folder = TempDir::new();
    let at = folder.path();
    let orders = "status start status start reload restart stop status";
    let Some(told) = tell_openrc("qagent", at, &config(at, ""), orders, ":") else {
        return skip("openrc_starts_reloads_restarts_and_stops_it", "openrc, or root,");
    };
    let expected =
        ["status 3", "start 0", "status 0", "start 0", "reload 0", "restart 0", "stop 0", "status 3"].as_slice();
    assert_eq!(codes(&told), expected, "{}\n{}", told.stdout, told.stderr);
    assert!(told.lines_with("qagent: runs as process ").len() >= 3, "{}", told.stdout);
    assert!(!at.join("run/pid").exists());
}

#[cfg(feature = "qmaster")]
#[test]
fn openrc_starts_a_qmaster_that_answers_and_stops_it() {
    let (folder, ports) = (TempDir::new(), Ports::free());
    let (at, port) = (folder.path(), ports.first());
    let config = config(at, &format!("[qmaster]\nport = {port}"));
    // What it answers, and how many files it may open.
    let after = format!(
        "curl -s -m 5 http://127.0.0.1:{port}/healthz | sed 's/^/  healthz /'; \
         pid=$(grep -oE -m1 '^[0-9]+' {}/run/pid 2>/dev/null) && sed -n 's/^Max open files/  files/p' /proc/$pid/limits",
        at.display()
    );
    let Some(told) = tell_openrc("qmaster", at, &config, "status start status stop status", &after) else {
        return skip("openrc_starts_a_qmaster_that_answers_and_stops_it", "openrc, or root,");
    };
    assert_eq!(
        codes(&told),
        ["status 3", "start 0", "status 0", "stop 0", "status 3"],
        "{}\n{}",
        told.stdout,
        told.stderr
    );
    assert_eq!(told.lines_with("  healthz ok").len(), 2, "after start and status: {}", told.stdout);
    // Where root itself may not allow so many, OpenRC says so and starts it all the same.
    let is_allowed = |line: &str| line.split_whitespace().nth(1) == Some("65536");
    let may_not = !told.lines_with("unable to apply RC_ULIMIT").is_empty();
    let files = told.lines_with("  files ");
    assert!(files.len() == 2 && (may_not || files.into_iter().all(is_allowed)), "{}", told.stdout);
    assert!(!at.join("run/pid").exists());
}

/// The services of a machine: two listeners that a script starts and ends.
struct System {
    folder: TempDir,
    ports: Ports,
    hosts: SshHosts,
}

impl System {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn new(hosts: SshHosts) -> Self {
        let system = Self { folder: TempDir::new(), ports: Ports::free(), hosts };
        let master = script("masters.py");
        let (graphite, qmaster) = (system.ports.first(), system.ports.first() + 1);
        // Like a service manager: it starts and ends what listens, and writes down what it was told.
        let manage = format!(
            "#!/bin/bash\ncd {} || exit 9\necho \"$1 $2\" >> told\ncase $2 in graphite) port={graphite};; *) port={qmaster};; esac\n\
             case $1 in\n\
             start) [ -e broken.$2 ] && {{ echo no licence; exit 7; }}; [ -e pid.$2 ] && exit 0\n\
             setsid python3 {} http $port values.$2 </dev/null >/dev/null 2>&1 & echo $! > pid.$2;;\n\
             stop) kill \"$(cat pid.$2)\"; rm pid.$2;;\nstatus) kill -0 \"$(cat pid.$2)\";;\nesac\n",
            system.folder.path().display(),
            master.display()
        );
        let path = system.folder.write("manage", manage);
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        system.folder.write("agents", "# the hosts\nh001\nh002  # with a remark\n\ndead\nh003\n");
        let agent = "$SCM_FOLD/qagent -p $SCM_FOLD/run.pid -c $SCM_FOLD/agent.cfg";
        let settings = format!(
            "GRAPHITE=graphite GRAPHITE_PORT=127.0.0.1:{graphite}\nQMASTER=qmaster QMASTER_PORT=127.0.0.1:{qmaster}\n\
             AGENTS={} AGENT='{agent}'\nSSH='ssh -F {} -o BatchMode=yes -o ConnectTimeout=5'\nSECONDS_EACH=60 MANAGE={}\n",
            system.path("agents").display(),
            system.hosts.config().display(),
            system.path("manage").display()
        );
        system.folder.write("system.conf", settings);
        for host in ["h001", "h002", "h003"] {
            let folder = system.hosts.folder(host);
            std::os::unix::fs::symlink(program("qagent"), folder.join("qagent")).unwrap();
            config(&folder, &format!("[qmaster]\nhost = 127.0.0.1\nport = {qmaster}\nprotocol = http\n"));
        }
        system
    }

    fn tell(&self, action: &str) -> Outcome {
        let mut command = Command::new(root().join("contrib/gridmon-system"));
        Outcome::of(command.arg(action).env("GRIDMON_SYSTEM", self.path("system.conf")).stdin(Stdio::null()))
    }

    fn told(&self) -> String {
        fs::read_to_string(self.path("told")).unwrap_or_default()
    }
}

impl Drop for System {
    fn drop(&mut self) {
        self.tell("stop");
    }
}

#[test]
fn the_whole_system_starts_in_order_and_a_dead_node_stops_nothing() {
    let Some(hosts) = SshHosts::start(3) else {
        return skip("the_whole_system_starts_in_order", "openssh-server, busybox, tcsh or python3");
    };
    let system = System::new(hosts);
    let started = system.tell("start");
    let lines: Vec<_> = started.stdout.lines().collect();
    assert_eq!(started.code, Some(1), "one host is dead: {}\n{}", started.stdout, started.stderr);
    assert!(lines[0].starts_with("graphite ") && lines[0].contains("runs, and listens on 127.0.0.1:"), "{lines:?}");
    assert!(lines[1].starts_with("qmaster ") && lines[1].contains("runs, and listens on 127.0.0.1:"), "{lines:?}");
    let of = |host: &str| *lines.iter().find(|line| line.starts_with(host)).unwrap_or_else(|| panic!("{lines:?}"));
    for host in ["h001", "h002", "h003"] {
        assert!(of(host).contains("qagent: runs as process "), "{lines:?}");
    }
    assert!(of("dead").contains("FAILED to start, exit code 255: ssh: connect to host"), "{lines:?}");
    assert_eq!((lines.len(), started.stderr.as_str()), (6, ""));
    assert_eq!(system.told(), "start graphite\nstart qmaster\n");
    // What the agents measure arrives.
    let values = || fs::read_to_string(system.path("values.qmaster")).unwrap_or_default();
    wait_until("points", Duration::from_secs(60), || (values().matches("node_load,").count() > 6).then_some(()));

    let again = system.tell("start");
    assert!(again.lines_with("qagent: runs already as process ").len() == 3, "{}", again.stdout);
    let status = system.tell("status");
    assert_eq!((status.code, status.lines_with("qagent: runs as process ").len()), (Some(1), 3), "{}", status.stdout);

    fs::write(system.path("told"), "").unwrap();
    fs::write(system.path("agents"), "h001\nh002\nh003\n").unwrap();
    let stopped = system.tell("stop");
    assert_eq!(stopped.code, Some(0), "{}\n{}", stopped.stdout, stopped.stderr);
    let lines: Vec<_> = stopped.stdout.lines().collect();
    assert!(lines[..3].iter().all(|line| line.starts_with('h') && line.contains(" has ended")), "{lines:?}");
    assert!(lines[3].starts_with("qmaster ") && lines[4].starts_with("graphite "), "{lines:?}");
    assert_eq!(system.told(), "stop qmaster\nstop graphite\n");
    let status = system.tell("status");
    assert_eq!((status.code, status.lines_with("FAILED").len()), (Some(1), 5), "{}", status.stdout);
}

#[test]
fn a_part_that_does_not_start_is_named_and_the_others_start() {
    let Some(hosts) = SshHosts::start(3) else {
        return skip("a_part_that_does_not_start_is_named", "openssh-server, busybox, tcsh or python3");
    };
    let system = System::new(hosts);
    system.folder.write("broken.graphite", "");
    system.folder.write("agents", "h002\n");
    let started = system.tell("start");
    assert_eq!(started.code, Some(1));
    let lines: Vec<_> = started.stdout.lines().collect();
    assert!(lines[0].ends_with("FAILED to start, exit code 7: no licence"), "{lines:?}");
    assert!(lines[1].contains("runs, and listens on") && lines[2].contains("qagent: runs as process "), "{lines:?}");
    let wrong = system.tell("begin");
    assert_eq!((wrong.code, wrong.stderr.as_str()), (Some(2), "usage: gridmon-system start|stop|status\n"));
}

/// A service script that is told to start, status or stop `$2`: it listens at a port of `::1`, lets a child keep its output open,
/// and ends nothing at stop while the file `never.$2` is there.
const KEEPS_OUTPUT: &str = "#!/bin/bash
cd \"${0%/*}\" || exit 9
echo \"$1 $2\" >> told
port=$(cat port.$2)
case $1 in
start) python3 -c \"import socket, time
s = socket.create_server(('::1', $port), family=socket.AF_INET6)
time.sleep(300)\" & echo $! > pid.$2;;
stop) [ -e never.$2 ] || kill $(cat pid.$2) || true;;
esac
";

/// Graphite, Grafana and qmaster, whose script keeps its output open, at `[::1]`.
#[test]
fn grafana_has_its_place_and_a_script_that_keeps_its_output_open_or_ends_nothing_holds_nobody_up() {
    if std::net::TcpListener::bind("[::1]:0").is_err() || !Path::new("/usr/bin/python3").exists() {
        return skip("grafana_has_its_place", "IPv6 or python3");
    }
    let (folder, ports) = (TempDir::new(), Ports::free());
    let services = ["graphite", "grafana", "qmaster"];
    let mut settings = format!("AGENTS=/none SECONDS_EACH=20 MANAGE={}\n", folder.path().join("manage").display());
    for (service, port) in services.iter().zip(ports.first()..) {
        folder.write(&format!("port.{service}"), port.to_string());
        let name = service.to_uppercase();
        settings += &format!("{name}={service} {name}_PORT=[::1]:{port}\n");
    }
    let conf = folder.write("system.conf", settings);
    let manage = folder.write("manage", KEEPS_OUTPUT);
    fs::set_permissions(manage, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let tell = |action: &str| {
        let mut command = Command::new(root().join("contrib/gridmon-system"));
        let told = Outcome::of(command.arg(action).env("GRIDMON_SYSTEM", &conf).stdin(Stdio::null()));
        let lines: Vec<_> = told.stdout.lines().map(String::from).collect();
        (told, lines)
    };
    let (started, lines) = tell("start");
    assert_eq!((started.code, lines.len()), (Some(0), 3), "{started:?}");
    for (line, service) in lines.iter().zip(services) {
        assert!(line.starts_with(service) && line.contains("runs, and listens on [::1]:"), "{lines:?}");
    }
    assert!(started.took < Duration::from_secs(60), "{started:?}");
    assert_eq!(tell("status").0.code, Some(0));
    folder.write("never.grafana", "");
    let mut text = fs::read_to_string(&conf).unwrap();
    text += "SECONDS_EACH=3\n";
    fs::write(&conf, text).unwrap();
    let (stopped, lines) = tell("stop");
    assert_eq!((stopped.code, lines.len()), (Some(1), 3), "{stopped:?}");
    assert!(lines[0].starts_with("qmaster ") && lines[0].ends_with(" has ended"), "{lines:?}");
    let hangs = "FAILED: it was stopped, and [::1]:";
    assert!(lines[1].starts_with("grafana ") && lines[1].contains(hangs), "{lines:?}");
    assert!(lines[2].starts_with("graphite ") && lines[2].ends_with(" has ended"), "{lines:?}");
    fs::remove_file(folder.path().join("never.grafana")).unwrap();
    assert!(tell("stop").1[1].ends_with(" has ended"));
    let told = fs::read_to_string(folder.path().join("told")).unwrap();
    let begins = "start graphite\nstart grafana\nstart qmaster\n";
    let goes_back = "stop qmaster\nstop grafana\nstop graphite\n";
    assert!(told.starts_with(begins) && told.contains(goes_back), "{told}");
}

#[test]
fn an_odd_line_of_the_list_costs_no_other_and_is_no_flag_of_ssh() {
    let folder = TempDir::new();
    let ssh = folder.write("ssh", "#!/bin/sh\necho \"asked $1\"\n");
    fs::set_permissions(&ssh, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let agents = folder.write("agents", "first\r\no'brien\n-oProxyCommand=id\nquote\"d\nback\\slash\nlast");
    let settings = format!("GRAPHITE= QMASTER= PARALLEL=1 AGENTS={} SSH={}\n", agents.display(), ssh.display());
    let conf = folder.write("system.conf", settings);
    let mut command = Command::new(root().join("contrib/gridmon-system"));
    let told = Outcome::of(command.arg("status").env("GRIDMON_SYSTEM", &conf).stdin(Stdio::null()));
    let lines: Vec<_> = told.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let expected = [
        "first asked first",
        "o'brien asked o'brien",
        "-oProxyCommand=id FAILED, this is no host",
        "quote\"d asked quote\"d",
        "back\\slash asked back\\slash",
        "last asked last",
    ];
    assert_eq!((lines, told.code, told.stderr.as_str()), (expected.map(String::from).to_vec(), Some(1), ""));
}

/// systemctl and rc-service of a host: they say what they were told. `unit` and `script` are files of hosts that have them.
const MANAGERS: [(&str, &str); 3] = [
    (
        "systemctl",
        "#!/bin/sh\ncd $SCM_FOLD\ncase $1 in cat) [ -e unit ];; start) touch runs;; stop) rm -f runs;;\n\
         is-active) [ -e runs ] && echo active || { echo inactive; exit 3; };; esac\n",
    ),
    ("rc-service", "#!/bin/sh\n[ $1 != --exists ] || exec test -e $SCM_FOLD/script\necho rc-service $*\n"),
    ("qagent", "#!/bin/sh\necho qagent $*\n"),
];

/// Whoever started an agent is asked: systemd, OpenRC, or the agent itself; also where the login shell is csh.
#[test]
fn the_service_manager_of_a_host_is_asked_about_its_agent() {
    let Some(hosts) = SshHosts::start(3) else {
        return skip("the_service_manager_of_a_host", "openssh-server, busybox, tcsh or python3");
    };
    let folder = TempDir::new();
    let executable: fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    for (host, has) in [("h001", "unit"), ("h002", "script"), ("h003", "neither"), ("csh", "unit")] {
        let bin = hosts.folder(host).join("bin");
        fs::create_dir(&bin).unwrap();
        fs::write(hosts.folder(host).join(has), "").unwrap();
        for (name, text) in MANAGERS {
            fs::write(bin.join(name), text).unwrap();
            fs::set_permissions(bin.join(name), executable.clone()).unwrap();
        }
    }
    let ssh = format!(
        "#!/bin/sh\nexec ssh -F {} -o ConnectTimeout=20 \"$1\" \"env PATH=\\$SCM_FOLD/bin:\\$PATH $2\"\n",
        hosts.config().display()
    );
    let ssh = folder.write("ssh", ssh);
    fs::set_permissions(&ssh, executable).unwrap();
    let agents = folder.write("agents", "h001\nh002\nh003\ncsh\n");
    let settings = format!("GRAPHITE= QMASTER= AGENTS={} SSH={}\n", agents.display(), ssh.display());
    let conf = folder.write("system.conf", settings);
    for (action, code, by_systemd) in [
        ("start", 0, "qagent: active, by systemd"),
        ("status", 0, "qagent: active, by systemd"),
        ("stop", 0, "qagent: has ended"),
        ("status", 1, "FAILED, exit code 3: qagent: inactive, by systemd"),
    ] {
        let mut command = Command::new(root().join("contrib/gridmon-system"));
        let told = Outcome::of(command.arg(action).env("GRIDMON_SYSTEM", &conf).stdin(Stdio::null()));
        assert_eq!(told.code, Some(code), "{told:?}");
        let said = |host: &str| told.stdout.lines().find_map(|line| Some(line.strip_prefix(host)?.trim().to_string()));
        assert_eq!(said("h001").as_deref(), Some(by_systemd), "{told:?}");
        assert_eq!(said("csh").as_deref(), Some(by_systemd), "{told:?}");
        assert_eq!(said("h002"), Some(format!("rc-service qagent {action}")), "{told:?}");
        assert_eq!(said("h003"), Some(format!("qagent {action}")), "{told:?}");
    }
}
