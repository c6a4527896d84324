//! `--compare` of every collector but collect-panda (whose tests stand beside its others): this run's points against what the older
//! system really wrote, in each form in which it can be given.

mod backups;

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use gridmon_testkit::program;
use gridmon_testkit::sandbox::{NOW, Outcome, Sandbox, StandIn, fixture, page};

/// What Cloud Monitor sent to Carbon for the recorded inputs.
fn original() -> String {
    fs::read_to_string(fixture("cloud_monitor/small/original.carbon")).unwrap()
}

/// Returns Carbon's lines as one pickle, as Python writes it by `pickle.dumps(…, 0)`.
fn pickle_of_protocol_0(lines: &str) -> String {
    let mut pickle = "(lp0\n".to_string();
    for (at, line) in lines.lines().enumerate() {
        let [path, value, time]: [&str; 3] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let [first, second, third] = [1, 2, 3].map(|number| 3 * at + number);
        pickle += &format!("(V{path}\np{first}\n(I{time}\nF{value}\ntp{second}\ntp{third}\na");
    }
    pickle + "."
}

fn grid() -> Sandbox {
    let sandbox = Sandbox::new("small");
    sandbox.config("[grid]\nlive_hosts = send");
    sandbox
}

fn against(sandbox: &Sandbox, source: &str) -> Outcome {
    sandbox.run(&["--now", &NOW.to_string(), "--compare", source])
}

/// The row of a measurement in the table: here, there, equal, alike, differ, missing, extra, unknown.
fn row(outcome: &Outcome, name: &str) -> Vec<usize> {
    let line = outcome.stdout.lines().find(|line| line.split(' ').next() == Some(name));
    let line = line.unwrap_or_else(|| panic!("{name}: {}", outcome.stdout));
    line.split_ascii_whitespace().skip(1).map(|cell| cell.parse().unwrap()).collect()
}

/// Each of Cloud Monitor's own forms gives the same table, in which only what is known differs.
#[test]
fn a_grid_equals_what_cloud_monitor_sent() {
    let sandbox = grid();
    let lines = sandbox.write("old.carbon", original());
    let datapoint = |line: &str| {
        let [path, value, time]: [&str; 3] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        format!("{{\"target\": \"{path}\", \"datapoints\": [[null, 1717244940], [{value}, {time}]]}}")
    };
    let series: Vec<_> = original().lines().map(datapoint).collect();
    let render = sandbox.write("render.json", format!("[{}]", series.join(", ")));
    let frames = fixture("cloud_monitor/small/original.frames");
    let texts = sandbox.write("old.pickle", pickle_of_protocol_0(&original()));
    let mut tables = Vec::new();
    for source in [&lines, &render, &frames, &texts] {
        let outcome = against(&sandbox, source.to_str().unwrap());
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{}", outcome.stdout);
        let (head, table) = outcome.stdout.split_once('\n').unwrap();
        assert!(head.starts_with("collect-grid at 2024-06-01 12:30 UTC, against /"), "{head}");
        assert!(
            table.starts_with(
                "118 values here, 104 there: 103 equal, 0 alike, 0 differ, 1 missing here, 15 extra here\n"
            ),
            "{table}"
        );
        assert_eq!(row(&outcome, "grid_heartbeat"), [3, 3, 3, 0, 0, 0, 0, 0]);
        assert_eq!(row(&outcome, "grid_idle_vms")[5], 1);
        assert!(
            table.contains("missing grids.heprc.clouds.gone-cloud.idle.total 0.0: Cloud Monitor sent 0 for ever"),
            "{table}"
        );
        assert!(table.contains("known   15 × only gridmon tells of schedds"), "{table}");
        assert!(table.ends_with("unknown 0\n"), "{table}");
        tables.push(table.to_string());
    }
    assert!(tables.iter().all(|table| *table == tables[0]));
    // Nothing was kept or sent.
    assert!(fs::read_dir(sandbox.path("state")).unwrap().next().is_none());
}

#[test]
fn each_unknown_difference_of_a_grid_is_named() {
    let sandbox = grid();
    let changed = original()
        .replace("grids.heprc.clouds.cc-east.quota 50 ", "grids.heprc.clouds.cc-east.quota 51 ")
        .replace("grids.heprc.jobs.all.idle ", "grids.heprc.jobs.all.idel ")
        // Another grid's, another program's, and one of an hour ago: not compared.
        + "grids.other.jobs.all.idle 5 1717245000\ncarbon.agents.a.cpuUsage 5 1717245000\n\
           grids.heprc.clouds.cc-east.quota 49 1717241400\nwrong line 5\n";
    let file = sandbox.write("old.carbon", changed);
    let outcome = against(&sandbox, file.to_str().unwrap());
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(1), ""), "{}", outcome.stdout);
    let unknown = outcome.lines_with("no known cause");
    assert_eq!(
        unknown,
        [
            "differs grids.heprc.clouds.cc-east.quota value: 50.0 here, 51.0 there: no known cause",
            "missing grids.heprc.jobs.all.idel 17.0: no known cause",
            "extra   grids.heprc.jobs.all.idle 17.0: no known cause",
        ],
        "{}",
        outcome.stdout
    );
    assert!(outcome.stdout.ends_with("unknown 3\n"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("left out \"wrong\": \"line\" is no number\n"), "{}", outcome.stdout);
    assert_eq!(row(&outcome, "grid_cloud")[4..], [1, 0, 0, 1]);
}

/// One line that no one can read, whatever it is, costs itself.
#[test]
fn a_damaged_line_costs_itself_in_either_kind_of_lines() {
    let sandbox = grid();
    let recorded = original();
    for begin in ["\u{feff}", "grids.heprc.jobs.all.idle None 1717245000\n", "torn\n"] {
        let file = sandbox.write("old.carbon", format!("{begin}{recorded}"));
        let outcome = against(&sandbox, file.to_str().unwrap());
        assert_eq!(outcome.code, Some(0), "{begin:?}: {}{}", outcome.stdout, outcome.stderr);
        assert!(outcome.stdout.contains("104 there: 103 equal"), "{begin:?}: {}", outcome.stdout);
        assert_eq!(outcome.stdout.contains("left out "), begin.len() > 3, "{begin:?}: {}", outcome.stdout);
    }
    let cloud = "grid_cloud,cloud=cc-east,grid=heprc quota=50i";
    let good = format!("{cloud} 1717245000000000000\n").into_bytes();
    let points = |more: &[u8]| {
        let file = sandbox.write("old.lp", [&b"\xef\xbb\xbf# DML\nCREATE DATABASE x\n"[..], more, &good].concat());
        against(&sandbox, file.to_str().unwrap()).stdout
    };
    for (more, note) in [
        (&b"grid_cloud,cloud=caf\xe9,grid=heprc quota=1i 1717245000000000000\n"[..], "left out line 3: is no UTF-8: "),
        (b"grid_cloud,cloud=a quota=\n", "left out line 3: "),
        (
            b"grid_cloud,cloud=a,grid=heprc quota=1i 1717245000\n",
            "left out what is of another time: 1 line before May 1970",
        ),
    ] {
        let told = points(more);
        assert!(told.contains(note) && told.contains(" here, 1 there: "), "{note}: {told}");
    }
    assert!(!points(b"others,a=b text=\"x y\" 5\n").contains("left out"), "what is of another program is no damage");
}

/// What graphite-web answers is asked for by the patterns of this grid alone, in the slot.
#[test]
fn graphite_web_is_asked_for_this_grids_paths() {
    let sandbox = grid();
    let server = StandIn::start();
    server.answers("/g/render", page("500 Internal Server Error", "away"));
    let url = format!("{}/g/", server.url);
    let dark = against(&sandbox, &url);
    assert_eq!(dark.code, Some(1));
    assert!(
        dark.stderr.starts_with(&format!("collect-grid: {url}: ")) && dark.stderr.contains("HTTP 500"),
        "{}",
        dark.stderr
    );
    let series: Vec<_> = original()
        .lines()
        .map(|line| {
            let words: Vec<_> = line.split(' ').collect();
            serde_json::json!({"target": words[0], "datapoints": [[words[1].parse::<f64>().unwrap(), NOW]]})
        })
        .collect();
    server.gives("/g/render", &serde_json::json!(series));
    let outcome = against(&sandbox, &url);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("104 there: 103 equal, 0 alike, 0 differ, 1 missing"), "{}", outcome.stdout);
}

#[test]
fn what_a_collector_cannot_compare_with_is_said() {
    let sandbox = grid();
    let fails = |source: &Path, words: &str| {
        let outcome = against(&sandbox, source.to_str().unwrap());
        assert_eq!(outcome.code, Some(1), "{}", outcome.stdout);
        assert!(outcome.stderr.contains(words), "{words}: {}", outcome.stderr);
    };
    fails(&sandbox.path("nowhere"), "nowhere: cannot be read; give a file (line protocol, ");
    fails(&sandbox.path("state"), "is a folder, and collect-grid has nothing that such files hold");
    fails(&sandbox.write("a.db", "SQLite format 3\0"), "is an SQLite database, which no program but collect-backups");
    fails(&sandbox.write("a.rrd", "RRD\x000003\0"), "is one file in rrdtool's format; give the folder");
    fails(&sandbox.write("a.json", "[{\"target\": 5}]"), "graphite-web's answer is not a list of series");
    let frames = fs::read(fixture("cloud_monitor/small/original.frames")).unwrap();
    fails(&sandbox.write("cut", &frames[..100]), "ends within message 1");
    // A pickle that names a function is refused, not run.
    fails(&sandbox.write("hostile", b"\x80\x02cos\nsystem\nq\0."), "message 1: a pickle with the opcode 0x63");
    fails(&sandbox.write("old", "(lp0\ncos\nsystem\n(S'id'\ntRa."), "message 1: a pickle with the opcode 0x63");
    fails(&sandbox.write("object", "{\"a\": 1}"), "is a JSON object");
    fails(&sandbox.write("page", "<html>\n<p>401</p>\n"), "is none of what can be read (line protocol, Carbon's lines");
    let empty = against(&sandbox, sandbox.write("empty", "").to_str().unwrap());
    assert_eq!(empty.code, Some(1));
    assert!(empty.stdout.contains("nothing of this time is there, 0 points of other times"), "{}", empty.stdout);
}

/// Files as rrdtool wrote them: the row of the slot is compared, to its last digit. No libvirtd answers, so all of it is missing here.
#[test]
fn instances_are_compared_with_the_row_of_the_slot() {
    let sandbox = Sandbox::new("small");
    let unpacked = |name: &str| {
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(fs::File::open(fixture(&format!("rrd/{name}"))).unwrap())
            .read_to_end(&mut bytes)
            .unwrap();
        bytes
    };
    let uuid = "00000001-0000-4000-8000-000000000001";
    for folder in ["old", "state"] {
        fs::create_dir_all(sandbox.path(folder).join(uuid)).unwrap();
    }
    fs::write(sandbox.path("old").join(uuid).join("cpu.rrd"), unpacked("cpu.rrd.gz")).unwrap();
    fs::write(sandbox.path("old").join(uuid).join("net.rrd"), "torn").unwrap();
    let config = format!(
        "[grid]\nname = lab\n[libvirt]\nsocket = {0}/nowhere\n[state]\ndirectory = {0}/state\n",
        sandbox.path("").display()
    );
    let path = sandbox.write("config.cfg", config);
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    let at = |now: i64| {
        let mut command = Command::new(program("collect-instances"));
        command.args(["--now", &now.to_string(), "--compare", "old"]).current_dir(sandbox.path("")).env_clear();
        Outcome::of(&mut command)
    };
    let fetched = String::from_utf8(unpacked("fetch_cpu.txt.gz")).unwrap();
    let rows: Vec<(i64, f64)> = fetched
        .lines()
        .filter_map(|line| line.split_once(": "))
        .filter_map(|(time, value)| Some((time.parse().ok()?, value.parse().ok()?)))
        .filter(|(_, value)| f64::is_finite(*value))
        .collect();
    for (time, value) in rows.iter().step_by(97).take(4) {
        let outcome = at(time + 17);
        assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
        let line = format!("missing {uuid}.cpu.cpu {value:?}: no known cause");
        assert!(outcome.stdout.lines().any(|known| known == line), "{line}\n{}", outcome.stdout);
        assert!(outcome.stdout.contains("left out ") && outcome.stdout.contains("net.rrd: "), "{}", outcome.stdout);
    }
    let later = at(4_000_000_000);
    assert!(later.stdout.contains("nothing of this time is there, 1 value of other times"), "{}", later.stdout);
}
