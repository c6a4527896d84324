//! `[sensor:GPU]` and `[sensor:Slurm]` of qagent, with stand-ins for nvidia-smi and for Slurm's commands.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use gridmon::model::SECOND;
use gridmon::monitors::nodes::{Moment, Node};
use gridmon::problem::failures;
use gridmon::setup::Config;
use gridmon::sources::node::Root;
use gridmon_testkit::program;
use gridmon_testkit::sandbox::{Outcome, Sandbox, expect, fixture};

/// The columns of the recorded rows.
const ASKED: &str = "index,uuid,name,pci.bus_id,driver_version,persistence_mode,mig.mode.current,pstate,temperature.gpu,\
    temperature.memory,utilization.gpu,utilization.memory,memory.total,memory.used,memory.free,power.draw,enforced.power.limit,\
    clocks.sm,clocks.mem,fan.speed,ecc.errors.corrected.volatile.total,ecc.errors.uncorrected.volatile.total,retired_pages.pending,\
    remapped_rows.failure,pcie.link.gen.gpucurrent,pcie.link.width.current,clocks_event_reasons.active";

fn recorded(name: &str) -> String {
    fixture(name).display().to_string()
}

/// A machine whose nvidia-smi prints these rows, and that has an AMD card too.
fn machine(rows: &str) -> Sandbox {
    let sandbox = Sandbox::new("small");
    let columns = ASKED.split(',').map(|name| format!("\"{name}\"\n")).collect::<String>();
    let help = sandbox.write("help", columns).display().to_string();
    let (xml, list) = (recorded("gpu/nvidia/a100-sxm4-v12.xml"), recorded("gpu/nvidia/h100-mig__590.48.01.list.txt"));
    sandbox.program(
        "nvidia-smi",
        &format!(
            "case \"$*\" in\n--help-query-gpu) cat {help};;\n--query-gpu={ASKED}*) cat {rows};;\n-L) cat {list};;\n\
             '-q -x') sed s/00000000:01:00.0/00000000:00:09.0/ {xml};;\n*) echo \"asked $*\" >&2; exit 1;;\nesac"
        ),
    );
    for line in fs::read_to_string(fixture("gpu/vega10.tree")).unwrap().lines() {
        let (path, text) = line.split_once('\t').unwrap();
        let path = sandbox.path("root").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text.replace("\\n", "\n")).unwrap();
    }
    config(&sandbox, "");
    sandbox
}

fn config(sandbox: &Sandbox, more: &str) {
    let text = format!("[state]\ndirectory = {}\n{more}", sandbox.path("state").display());
    let path = sandbox.write("config.cfg", text);
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// What a sensor tells now. The first two words of each line of standard output are kept: path and value, or series and fields.
fn once(sandbox: &Sandbox, arguments: &[&str]) -> (Outcome, String) {
    let mut command = Command::new(program("qagent"));
    let path = format!("{}:/usr/bin:/bin", sandbox.path("bin").display());
    command
        .args(["once", "--config"])
        .arg(sandbox.path("config.cfg"))
        .args(arguments)
        .arg("--root")
        .arg(sandbox.path("root"));
    command.current_dir(sandbox.path("")).env_clear().env("PATH", path);
    let outcome = Outcome::of(&mut command);
    let host = rustix::system::uname().nodename().to_string_lossy().replace('.', "_");
    let line = |line: &str| line.rsplit_once(' ').unwrap().0.replace(&host, "HOST") + "\n";
    let lines = outcome.stdout.lines().map(line).collect();
    (outcome, lines)
}

#[test]
fn cards_of_both_makers_and_slices_have_their_paths() {
    let sandbox = machine(&recorded("gpu/nvidia/h100-mig__590.48.01.load.csv"));
    let (outcome, lines) = once(&sandbox, &["GPU"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    expect(&fixture("gpu/mig_and_vega.expected"), &lines);
    let (_, lines) = once(&sandbox, &["GPU", "--format", "influx"]);
    let uuid = "GPU-00000000-0000-0000-0000-000000000000";
    let series = format!(
        "gpu,bus=0000:00:09.0,driver=590.48.01,host=HOST,name=NVIDIA\\ H100\\ 80GB\\ HBM3,uuid={uuid},vendor=nvidia "
    );
    assert!(lines.lines().any(|line| line.starts_with(&series)), "{lines}");
}

#[test]
fn a_sick_card_is_named_and_the_healthy_ones_are_sent() {
    let sandbox = machine(&recorded("gpu/failures/one_card_sick.asked.csv"));
    let (outcome, lines) = once(&sandbox, &["GPU"]);
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.stderr.contains("gpu 0000:0f:00.0: GPU is lost; it is lost, or its driver hangs"),
        "{}",
        outcome.stderr
    );
    for line in [
        "HOST.GPU.heartbeat 1",
        "HOST.GPU.cards 4",
        "HOST.GPU.lost 1",
        "HOST.GPU.0000:0f:00_0.lost 1",
        "HOST.GPU.0000:0f:00_0.power_limit_watts 400.0",
        "HOST.GPU.0000:47:00_0.utilization_ratio 1.0",
        "HOST.GPU.0000:47:00_0.lost 0",
    ] {
        assert!(lines.lines().any(|known| known == line), "{line}: {lines}");
    }
    assert!(!lines.contains("0000:0f:00_0.utilization"), "{lines}");
}

#[test]
fn the_slurm_sensor_tells_what_collect_slurm_tells() {
    let sandbox = Sandbox::new("small");
    let file = |name: &str| recorded(&format!("slurm/22.05/{name}"));
    sandbox.program("sdiag", &format!("cat {}", file("busy.sdiag")));
    sandbox.program("squeue", &format!("cat {}", file("busy.jobs")));
    sandbox.program(
        "scontrol",
        &format!("case \"$*\" in *node) cat {};; *partition) cat {};; esac", file("busy.nodes"), file("partitions")),
    );
    config(&sandbox, "[sensor:Slurm]\ncluster = lab\n");
    fs::create_dir(sandbox.path("root")).unwrap();
    let (outcome, lines) = once(&sandbox, &["Slurm"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    let expected = fs::read_to_string(fixture("slurm/22.05/busy.expected")).unwrap();
    let mut expected: Vec<_> = expected.lines().map(String::from).collect();
    assert!(expected.iter().any(|line| line.contains(".jobs.")));
    expected.sort();
    let mut told: Vec<_> = lines.lines().map(String::from).collect();
    told.sort();
    assert_eq!(told, expected);
}

#[test]
fn neither_a_restart_nor_a_new_config_asks_slurm_for_its_jobs_earlier() {
    let sandbox = Sandbox::new("small");
    let file = |name: &str| recorded(&format!("slurm/22.05/{name}"));
    let asked = sandbox.path("asked");
    let program = |name: &str, script: &str| sandbox.program(name, script);
    program("sdiag", &format!("cat {}", file("busy.sdiag")));
    program("squeue", &format!("echo asked >> {}; cat {}", asked.display(), file("busy.jobs")));
    program(
        "scontrol",
        &format!("case \"$*\" in *node) cat {};; *partition) cat {};; esac", file("busy.nodes"), file("partitions")),
    );
    let named = |name: &str| format!("{name} = {}\n", sandbox.path("bin").join(name).display());
    let commands = ["sdiag", "squeue", "scontrol"].map(named).concat();
    let folder = sandbox.path("kept");
    fs::create_dir(&folder).unwrap();
    for (seconds, accounts, count) in [(0, 100, 1), (10, 100, 1), (30, 7, 1), (60, 7, 2), (70, 7, 2)] {
        let text = format!("[sensor:Slurm]\ncluster = lab\njobs_interval = 60\naccounts = {accounts}\n{commands}");
        let (config, _) = Config::parse(&text, "c.cfg").unwrap();
        let chosen = config.sensors.iter().find(|one| one.sensor.name == "Slurm").unwrap();
        // Each time a new reading, as after a restart.
        let node = Node { root: Root::default(), host: "wn1".into(), state: Some(folder.clone()) };
        let at = Moment { time: (1_717_245_000 + seconds) * SECOND, running: Duration::from_secs(100) };
        let taken = chosen.open_at(&node).read(at).unwrap();
        assert!(!taken.points.is_empty() && failures(&taken.problems).next().is_none(), "{:?}", taken.problems);
        assert_eq!(fs::read_to_string(&asked).unwrap().lines().count(), count, "after {seconds} s");
    }
}
