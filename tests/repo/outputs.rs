//! What the documents show of the output of gridmon-status and the down-samplers, and the golden help of every program.

use std::collections::BTreeMap;
use std::process::Command;

use gridmon::delivery::Account;
use gridmon::frame::report::Report;
use gridmon::frame::state::State;
use gridmon::model::{Point, SECOND, Value};
use gridmon::problem::Failing;
use gridmon::spool::{Backlog, Batch, Directory, Header, Spool};
use gridmon_testkit::sandbox::{NOW, Sandbox, expect};

use super::{expect_block, root};

/// A state directory after three runs: a schedd is dark for an hour, and Carbon is down for two minutes.
fn troubled_state(sandbox: &Sandbox) {
    sandbox.config("[carbon]\nhost = graphite.example.org");
    let mut state = State::open(Some(&sandbox.path("state")), "collect-grid", "heprc", true).unwrap();
    let spool = Spool::new(Directory::open(&sandbox.path("state/spool")).unwrap());
    let failing =
        |since: i64, message: &str| Failing { since, said: since, message: message.into(), ..Failing::default() };
    for (minute, is_down) in [(0, false), (1, false), (2, true), (3, true)] {
        let time = NOW + minute * 60;
        let (delivered, spooled) = if is_down { (0, 106) } else { (106, 0) };
        let slow = failing(NOW - 3600, "condor_q gave no answer in 20 s; its jobs and all totals are missing");
        let down = "graphite.example.org:2004: no connection: Connection refused; 106 points wait in the spool";
        let mut all = BTreeMap::from([("schedd ce02.example.org".to_string(), slow)]);
        if is_down {
            all.insert("carbon".into(), failing(NOW + 120, down));
            let count = |n| Point::new("grid_jobs".into(), [], [("jobs".into(), Value::Int(n))], time * SECOND);
            let header = Header {
                program: "collect-grid".into(),
                grid: "heprc".into(),
                time,
                tier: "raw".into(),
                database: String::new(),
                sinks: ["carbon".into()].into(),
            };
            spool.publish(&Batch { header, points: (0..106).map(count).collect() }, 0).unwrap();
        }
        let backlog = Backlog::default();
        let report = Report {
            time,
            duration_seconds: if is_down { 20.35 } else { 20.41 },
            collected: 106,
            sinks: [("carbon".into(), Account { delivered, spooled, dropped: 0, replayed: 0, superseded: 0, backlog })]
                .into(),
            failing: all,
            ..Report::default()
        };
        state.add(report).unwrap();
    }
}

fn gridmon_status(sandbox: &Sandbox, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gridmon-status"));
    let output = command.args(arguments).current_dir(sandbox.path("")).output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    let stdout = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), stdout.replace(sandbox.path("state").to_str().unwrap(), "/var/lib/gridmon"))
}

#[test]
fn the_documents_show_what_gridmon_status_prints() {
    let sandbox = Sandbox::new("small");
    troubled_state(&sandbox);
    let now = (NOW + 240).to_string();
    let (code, text) = gridmon_status(&sandbox, &["--now", &now]);
    assert_eq!(code, Some(0));
    expect_block("docs/gridmon-status.md", "gridmon-status", &format!("$ gridmon-status\n{text}"));
    let (code, line) = gridmon_status(&sandbox, &["--nagios", "--now", &now]);
    assert_eq!(code, Some(1));
    expect_block(
        "docs/gridmon-status.md",
        "gridmon-status --nagios",
        &format!("$ gridmon-status --nagios; echo $?\n{line}1\n"),
    );
}

#[test]
fn the_documents_show_what_downsample_explains() {
    let sandbox = Sandbox::new("small");
    let (hour, label) = (NOW / 3600 * 3600, NOW / 3600 * 3600 + 3600);
    let mut lines = String::new();
    for (slot, jobs) in [(0, 17), (1, 18), (3, 0)] {
        let time = (hour + 600 * slot) * SECOND;
        lines += &format!("coverage,grid=heprc,measurement=jobs slots=1i,step_seconds=600i {time}\n");
        if jobs > 0 {
            let tags = "job_status=running,panda_queue=AGLT2,prod_source=managed,resource=MCORE";
            lines += &format!("jobs,{tags} corepower=14.54,jobs={jobs}i,sequence=42i {}\n", time + 311_356_388);
        }
    }
    sandbox.write("raw.txt", lines);
    let ended = gridmon_status(&sandbox, &["store", "import", "raw.txt", "--tier", "raw"]);
    assert_eq!(ended.0, Some(0));
    let run = |arguments: &[&str]| {
        let mut command = Command::new(gridmon_testkit::program("downsample-1h"));
        let output = command.args(arguments).current_dir(sandbox.path("")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().replace(sandbox.path("state").to_str().unwrap(), "/var/lib/gridmon")
    };
    run(&["--now", &(label + 300).to_string()]);
    let series = "panda.AGLT2.managed.MCORE.running.jobs";
    let text = run(&["--explain", series, &label.to_string()]);
    let shown = format!("$ downsample-1h --explain {series} {label}\n{text}");
    expect_block("docs/downsample-1h.md", "downsample-1h --explain", &shown);
}

#[test]
fn the_documents_show_what_the_store_tells() {
    let sandbox = Sandbox::new("small");
    for minute in 0..3 {
        assert_eq!(sandbox.run(&["--now", &(NOW + 60 * minute).to_string()]).code, Some(0));
    }
    let now = (NOW + 140).to_string();
    for command in ["grid", "store", "explain grids.heprc.clouds.cc-east.quota"] {
        let arguments: Vec<_> = command.split(' ').chain(["--now", &now]).collect();
        let (code, text) = gridmon_status(&sandbox, &arguments);
        assert_eq!(code, Some(0));
        let block = format!("gridmon-status {command}");
        expect_block("docs/gridmon-status.md", &block, &format!("$ {block}\n{text}"));
    }
}

#[test]
fn help_is_a_golden_file() {
    let help = Sandbox::new("small").run(&["--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    expect(&root("tests/fixtures/collect-grid.help"), &help.stdout);
    for program in [
        "collect-backups",
        "collect-instances",
        "collect-slurm",
        "collect-panda",
        "downsample-1h",
        "downsample-1d",
        "write-datadisk",
        "qagent",
        "qmaster",
    ] {
        let help = Command::new(gridmon_testkit::program(program)).arg("--help").output().unwrap();
        expect(&root(&format!("tests/fixtures/{program}.help")), &String::from_utf8(help.stdout).unwrap());
    }
    let help = Command::new(env!("CARGO_BIN_EXE_cloud-monitor")).arg("--help").output().unwrap();
    expect(&root("tests/fixtures/cloud-monitor.help"), &String::from_utf8(help.stdout).unwrap());
    let sandbox = Sandbox::new("small");
    let helps = [
        "--help",
        "show --help",
        "discard --help",
        "flush --help",
        "grid --help",
        "backups --help",
        "problems --help",
        "graph --help",
        "explain --help",
        "doctor --help",
        "store --help",
        "store export --help",
        "store import --help",
    ]
    .map(|arguments| {
        let (code, text) = gridmon_status(&sandbox, &arguments.split(' ').collect::<Vec<_>>());
        assert_eq!(code, Some(0));
        format!("$ gridmon-status {arguments}\n{text}")
    });
    expect(&root("tests/fixtures/gridmon-status.help"), &helps.join("\n"));
}
