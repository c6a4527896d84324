//! What the programs print, and the files that they leave, at a fixed clock.

use std::fs;
use std::net::TcpListener;

use super::{golden, status, told};
use gridmon_testkit::sandbox::{FakeCarbon, Mood, NOW, Sandbox, fixture};

/// JSON without what differs from run to run and from machine to machine: durations, the host, and the size of a batch in
/// which a run reports on one before it.
fn masked(json: &str) -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let host = host.split('.').next().unwrap();
    let json = ["\"host\":", "\"host\": "]
        .iter()
        .fold(json.to_string(), |json, key| json.replace(&format!("{key}\"{host}\""), &format!("{key}\"HOST\"")));
    let mut parts = json.split("\":");
    let mut masked = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let value = part.trim_start_matches(' ');
        let end = value.find(|c: char| !c.is_ascii_digit() && !".e-".contains(c)).unwrap_or(value.len());
        let (number, rest) = value.split_at(end);
        let space = &part[..part.len() - value.len()];
        let is_size = masked.ends_with("\"bytes") && number != "0";
        let number = if number.contains('.') || masked.ends_with("\"running") {
            "SECONDS"
        } else if is_size {
            "BYTES"
        } else {
            number
        };
        masked.push_str(&format!("\":{space}{number}{rest}"));
    }
    masked
}

/// The name of a file of the spool, its process and unique end masked.
fn masked_name(name: &str) -> String {
    let (stem, end) = name.split_once(".batch").map_or_else(
        || name.split_once(".ack").map_or((name, String::new()), |(stem, end)| (stem, format!(".ack{end}"))),
        |(stem, end)| (stem, format!(".batch{end}")),
    );
    let mut parts = stem.rsplitn(3, '-');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(_), Some(_), Some(rest)) => format!("{rest}-PROCESS-UNIQUE{end}"),
        _ => name.into(),
    }
}

fn files(sandbox: &Sandbox, folder: &str) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(sandbox.path(folder))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A port at which nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn the_list_of_measurements() {
    let sandbox = Sandbox::new("small");
    golden("list.txt", told(&sandbox, &sandbox.run(&["--list"])));
}

#[test]
fn the_checks_of_good_and_bad_configs() {
    let mut all = String::new();
    let mut check = |name: &str, sandbox: &Sandbox, port: u16| {
        let text = told(sandbox, &sandbox.run(&["--check"]));
        all.push_str(&format!("# {name}\n{}\n", text.replace(&format!(":{port}"), ":PORT")));
    };
    let sandbox = Sandbox::new("small");
    check("both sources, the embedded store alone", &sandbox, 0);
    let carbon = FakeCarbon::start(Mood::Good);
    let to = |port: u16| format!("[carbon]\nhost = 127.0.0.1\nport = {port}");
    sandbox.config(&to(carbon.port));
    check("a Carbon that answers", &sandbox, carbon.port);
    let path = sandbox.path("other/gridmon.db");
    sandbox.config(&format!("{}\n[embedded]\npath = {}", to(carbon.port), path.display()));
    check("Carbon and a store", &sandbox, carbon.port);
    let port = closed_port();
    sandbox.config(&to(port));
    check("a Carbon that is down", &sandbox, port);
    let text = format!("{}\nacknowledge = readback\n[graphite]\nurl = http://127.0.0.1:{port}/", to(carbon.port));
    sandbox.config(&text);
    let text = told(&sandbox, &sandbox.run(&["--check"])).replace(&format!(":{}", carbon.port), ":PORT");
    let text = text.replace(&format!(":{port}"), ":OTHER");
    all.push_str(&format!("# read back through a graphite-web that is down\n{text}\n"));

    let mut check = |name: &str, sandbox: &Sandbox| {
        all.push_str(&format!("# {name}\n{}\n", told(sandbox, &sandbox.run(&["--check"]))));
    };
    let slots = fixture("cloud_monitor/small/condor_slots.json").display().to_string();
    let jobs = fixture("cloud_monitor/small/condor_jobs.json").display().to_string();
    let sandbox = Sandbox::new("small");
    sandbox.schedds(&["ce01", "ce02"], &slots);
    sandbox.program("condor_q", &format!("case \"$*\" in *ce02*) exec cat {jobs};; esac; exit 1"));
    check("a schedd that fails", &sandbox);
    sandbox.program("condor_status", "echo 'Error: communication error' >&2; exit 1");
    sandbox.program("cloud_status", "echo \"couldn't connect\"; exit 1");
    check("both sources down", &sandbox);
    for text in [
        "[htcondor]\npol = cm.example.org",
        "[carbn]\nhost = graphite.example.org",
        "[carbon]\nhost = graphite.example.org\nport = 2004 # pickle",
        "[spool]\nmax_disk_percent = 101",
        "[grid]\nlive_hosts = perhaps",
        "[embedded]\nkeep_raw_days = never",
    ] {
        let sandbox = Sandbox::new("small");
        sandbox.config(text);
        check(&format!("config: {}", text.replace('\n', " / ")), &sandbox);
    }
    golden("check.txt", all);
}

#[test]
fn the_state_files_of_a_run() {
    let sandbox = Sandbox::new("small");
    let carbon = FakeCarbon::start(Mood::Good);
    sandbox.config(&format!("[carbon]\nhost = 127.0.0.1\nport = {}", carbon.port));
    assert_eq!(sandbox.run(&["--now", &NOW.to_string()]).code, Some(0));
    let read = |name: &str| fs::read_to_string(sandbox.path(&format!("state/collect-grid.heprc.{name}"))).unwrap();
    // A minute later one schedd is dark and the Carbon has gone.
    sandbox.program("condor_q", "exit 1");
    let closed = closed_port();
    sandbox.config(&format!("[carbon]\nhost = 127.0.0.1\nport = {closed}"));
    assert_eq!(sandbox.run(&["--now", &(NOW + 60).to_string()]).code, Some(1));
    let port = closed.to_string();
    let port = |text: &str| text.replace(&format!("127.0.0.1:{port}"), "127.0.0.1:PORT");
    let reports: String = read("reports").lines().map(|line| format!("{}\n", masked(line))).collect();
    golden("state/collect-grid.heprc.reports", port(&reports));
    golden("state/collect-grid.heprc.series", read("series"));
    golden("state/collect-grid.heprc.schedds", read("schedds"));
    golden("state/names.txt", files(&sandbox, "state").join("\n") + "\n");
    let json = status(&sandbox, &["--format", "json", "--now", &(NOW + 120).to_string()]);
    golden("state/status.json", port(&masked(&told(&sandbox, &json))));
}

#[test]
fn the_files_of_the_spool() {
    let mut names = String::new();
    for case in ["small", "hard"] {
        let sandbox = Sandbox::new(case);
        let refused = format!("[carbon]\nhost = 127.0.0.1\nport = {}", closed_port());
        sandbox.config(&refused);
        assert_eq!(sandbox.run(&["--now", &NOW.to_string()]).code, Some(1));
        let batches = files(&sandbox, "state/spool");
        let batch = batches.iter().find(|name| name.ends_with(".batch")).unwrap();
        golden(&format!("spool/{case}.batch"), fs::read(sandbox.path("state/spool").join(batch)).unwrap());
        names.push_str(&format!("# {case}, for Carbon alone\n"));
        batches.iter().for_each(|name| names.push_str(&format!("{}\n", masked_name(name))));

        let sandbox = Sandbox::new(case);
        sandbox.config(&format!("{refused}\n[embedded]\npath = {}", sandbox.path("gridmon.db").display()));
        assert_eq!(sandbox.run(&["--now", &NOW.to_string()]).code, Some(1));
        names.push_str(&format!("# {case}, for Carbon and the store, which has it\n"));
        files(&sandbox, "state/spool").iter().for_each(|name| names.push_str(&format!("{}\n", masked_name(name))));
    }
    golden("spool/names.txt", names);
}

#[test]
fn a_batch_of_the_first_version_is_read_and_sent() {
    let sandbox = Sandbox::new("small");
    let carbon = FakeCarbon::start(Mood::Good);
    sandbox.config(&format!("[carbon]\nhost = 127.0.0.1\nport = {}", carbon.port));
    let bytes = fs::read(fixture("golden/spool/first_version.batch")).unwrap();
    fs::create_dir_all(sandbox.path("state/spool")).unwrap();
    let points = sandbox.dry_run().stdout;
    let count = String::from_utf8_lossy(&bytes).lines().count() - 1;
    let name = format!("{NOW:012}-{count}-{}-carbon-collect-grid:heprc-1-1.batch", bytes.len());
    sandbox.write(&format!("state/spool/{name}"), &bytes);
    golden("spool/shown.txt", told(&sandbox, &status(&sandbox, &["show", "collect-grid:heprc"])));
    let flushed = status(&sandbox, &["flush"]);
    assert_eq!((flushed.code, flushed.stdout.as_str()), (Some(0), "carbon: sent 111 points; nothing waits\n"));
    // Measurements that came later are not in it.
    let is_newer = |line: &&str| line.starts_with("coverage.heprc.grid_scheduler_jobs ");
    assert_eq!(carbon.lines(), points.lines().filter(|line| !is_newer(line)).collect::<Vec<_>>());
}
