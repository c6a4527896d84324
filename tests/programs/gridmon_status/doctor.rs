//! `gridmon-status doctor`: everything that a run needs, in the environment that cron gives.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use gridmon_testkit::sandbox::{FakeCarbon, Mood, Outcome, Sandbox, StandIn};
use serde_json::json;

use super::{DOWN, collect, command};

fn doctor(sandbox: &Sandbox, crontab: &str) -> Outcome {
    let crontab = sandbox.write("crontab", crontab);
    set_permissions(&crontab, Permissions::from_mode(0o644)).unwrap();
    Outcome::of(&mut command(sandbox, &["doctor", "--crontab", crontab.to_str().unwrap()]))
}

/// The state of the first row about this, and its words.
fn row<'a>(told: &'a Outcome, about: &str) -> (&'a str, &'a str) {
    let of = |line: &'a str| {
        let (state, rest) = line.split_once(' ')?;
        Some((state, rest.trim_start().strip_prefix(about)?.strip_prefix(' ')?.trim_start()))
    };
    told.stdout.lines().find_map(of).unwrap_or_else(|| panic!("nothing about {about}: {told:?}"))
}

#[test]
fn what_cron_would_not_find_is_told_where_the_operators_own_shell_finds_it() {
    let sandbox = Sandbox::new("small");
    sandbox.config("");
    collect(&sandbox, 0..1);
    let tools = sandbox.path("bin").display().to_string();
    let told = doctor(&sandbox, "PATH=/nonexistent\n* * * * * collect-grid\n");
    assert_eq!(told.code, Some(1), "{told:?}");
    let (state, words) = row(&told, "pool local");
    assert_eq!(state, "bad", "{told:?}");
    assert!(words.starts_with("collect-grid ") && words.contains("was not found on PATH"), "{told:?}");
    assert!(told.stdout.ends_with(" to see to\n"), "{told:?}");

    let told = doctor(&sandbox, &format!("# as the packages have it\nPATH = \"{tools}:/usr/bin:/bin\"\n"));
    assert_eq!(row(&told, "pool local").0, "ok", "{told:?}");
    assert_eq!(
        (row(&told, "config").0, row(&told, "disk").0, row(&told, "embedded").0),
        ("ok", "ok", "ok"),
        "{told:?}"
    );
    assert!(row(&told, "disk").1.contains(" free for "), "{told:?}");
    // The run was of another year.
    assert_eq!(row(&told, "runs").0, "bad", "{told:?}");
}

#[test]
fn a_sink_that_is_down_is_told_with_the_programs_that_need_it() {
    let sandbox = Sandbox::new("small");
    sandbox.config(DOWN);
    collect(&sandbox, 0..1);
    let told = doctor(&sandbox, "");
    let (state, words) = row(&told, "carbon");
    assert!(state == "bad" && words.starts_with("collect-grid ") && words.contains("Connection refused"), "{told:?}");
    assert_eq!(told.code, Some(1));
}

#[test]
fn a_crontab_that_others_may_write_and_a_state_without_runs_are_refused_in_words() {
    let sandbox = Sandbox::new("small");
    sandbox.config(DOWN);
    let none = doctor(&sandbox, "");
    assert_eq!(none.code, Some(1));
    collect(&sandbox, 0..1);
    let crontab = sandbox.write("crontab", "PATH=/tmp\n");
    set_permissions(&crontab, Permissions::from_mode(0o666)).unwrap();
    let told = Outcome::of(&mut command(&sandbox, &["doctor", "--crontab", "crontab"]));
    let (state, words) = row(&told, "crontab");
    assert!(told.code == Some(1) && state == "bad" && words.contains("chmod"), "{told:?}");
    // The rest is looked at all the same.
    assert_eq!(row(&told, "roles").0, "ok", "{told:?}");
    let missing = Outcome::of(&mut command(&sandbox, &["doctor", "--crontab", "nosuch"]));
    assert!(missing.code == Some(1) && row(&missing, "crontab").1.contains("nosuch"), "{missing:?}");
}

#[test]
fn what_is_wrong_with_the_config_or_the_state_is_a_row_of_the_table() {
    let sandbox = Sandbox::new("small");
    let wrong = |config: &str| {
        sandbox.config(config);
        set_permissions(sandbox.path("config.cfg"), Permissions::from_mode(0o640)).unwrap();
        doctor(&sandbox, "")
    };
    let key = wrong("[carbon]\nhots = graphite");
    assert!(key.code == Some(1) && row(&key, "config").0 == "bad" && row(&key, "config").1.contains("hots"), "{key:?}");
    let secret = wrong("[influxdb]\nurl = http://localhost:8086\n[credentials]\nusername = u\npassword = file:/nosuch");
    assert!(secret.code == Some(1) && row(&secret, "config").1.contains("nosuch"), "{secret:?}");
    row(&secret, "clock");

    sandbox.config("");
    set_permissions(sandbox.path("config.cfg"), Permissions::from_mode(0o666)).unwrap();
    let open = doctor(&sandbox, "");
    assert!(open.code == Some(1) && row(&open, "config").1.contains("chmod"), "{open:?}");
    set_permissions(sandbox.path("config.cfg"), Permissions::from_mode(0o640)).unwrap();
    std::fs::remove_dir_all(sandbox.path("state")).unwrap();
    let none = doctor(&sandbox, "");
    assert!(none.code == Some(1) && row(&none, "state").0 == "bad", "{none:?}");
}

#[test]
fn what_cron_cannot_start_is_told_also_of_a_program_that_has_never_run() {
    let sandbox = Sandbox::new("small");
    sandbox.config("");
    let programs = Path::new(super::PROGRAM).parent().unwrap().display().to_string();
    let tools = sandbox.path("bin").display().to_string();
    let lost = doctor(&sandbox, &format!("PATH={tools}:/usr/bin:/bin\n* * * * * collect-grid -c config.cfg\n"));
    let (state, words) = row(&lost, "schedule");
    assert!(lost.code == Some(1) && state == "bad", "{lost:?}");
    assert!(words.contains("line 2: collect-grid is not on the PATH there") && words.contains(&tools), "{lost:?}");

    let line = |config: &str| format!("PATH={tools}:{programs}:/usr/bin:/bin\n* * * * * collect-grid -c {config}\n");
    let nowhere = doctor(&sandbox, &line("/nowhere/config.cfg"));
    assert_eq!(row(&nowhere, "schedule").0, "ok", "{nowhere:?}");
    assert!(row(&nowhere, "--check").1.contains("/nowhere/config.cfg"), "{nowhere:?}");
    let found = doctor(&sandbox, &line(sandbox.path("config.cfg").to_str().unwrap()));
    assert_eq!((row(&found, "pool local").0, row(&found, "version").0), ("ok", "ok"), "{found:?}");
}

/// Each server that has a version tells it, and of each that did not, or cannot, this is said.
#[test]
fn every_server_tells_its_version_or_that_it_has_none_to_tell() {
    let sandbox = Sandbox::new("small");
    let server = StandIn::start();
    let url = server.url.as_str();
    let port = url.rsplit(':').next().unwrap();
    sandbox.config(&format!(
        "[carbon]\nhost = 127.0.0.1\nport = 1\n[graphite]\nurl = {url}/graphite/\n\
         [qmaster]\nhost = 127.0.0.1\nport = {port}\nprotocol = http\n\
         [panda]\nurl = {url}/panda\n[cric]\npandaqueue_url = {url}/cric\nsite_url = {url}/cric\n\
         ddmendpoint_url = {url}/cric\nfederation_url = {url}/cric\n\
         [credentials_monit_grafana]\nurl = {url}/g/api/datasources/proxy/1/_msearch\ntoken = t\n\
         [credentials_elasticsearch]\nhost = {url}/es\n"
    ));
    set_permissions(sandbox.path("config.cfg"), Permissions::from_mode(0o640)).unwrap();
    let programs = Path::new(super::PROGRAM).parent().unwrap().display().to_string();
    let config = sandbox.path("config.cfg").display().to_string();
    let crontab = format!("PATH={programs}:/usr/bin:/bin\n*/10 * * * * collect-panda -c {config}\n");
    let told = || {
        let told = doctor(&sandbox, &crontab);
        let versions = told.stdout.lines().filter_map(|line| line.strip_prefix("ok   version "));
        let mut cells: Vec<_> = versions
            .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join(": "))
            .collect();
        cells.retain(|cell| !cell.starts_with("SQLite: ") && !cell.starts_with("collect-panda: "));
        cells
    };
    let cannot = "PanDA, CRIC, Carbon: it has no way to tell";
    let silent = "Elasticsearch of datadisks, Grafana, Elasticsearch of benchmarks, graphite-web, qmaster: not told";
    assert_eq!(told(), [silent, cannot]);

    server
        .gives("/g/api/datasources/proxy/1/", &json!({"version": {"distribution": "opensearch", "number": "2.11.1"}}));
    server.gives("/g/api/health", &json!({"database": "ok", "version": "11.1.0"}));
    server.gives("/es/", &json!({"version": {"number": "7.17.9"}}));
    server.gives("/graphite/version", &json!("1.1.10"));
    let pong = b"HTTP/1.1 204 No Content\r\nX-Influxdb-Version: gridmon-1.0.0\r\nConnection: close\r\n\r\n";
    server.answers("/ping", pong.to_vec());
    let expected = [
        "Elasticsearch of datadisks: 2.11.1 (opensearch)",
        "Grafana: 11.1.0",
        "Elasticsearch of benchmarks: 7.17.9",
        "graphite-web: 1.1.10",
        "qmaster: gridmon-1.0.0",
        cannot,
    ];
    assert_eq!(told(), expected);
    let is_told =
        |path: &str| server.asked(path).iter().any(|request| request.to_lowercase().contains("authorization"));
    assert!(is_told("/g/api/datasources/proxy/1/") && !is_told("/g/api/health"), "Grafana tells everybody");
}

#[test]
fn services_are_asked_whether_they_run_and_all_is_well_while_they_do() {
    let sandbox = Sandbox::new("small");
    let carbon = FakeCarbon::start(Mood::Good);
    sandbox.config(&format!("{}\n[sensor:LoadAverage]\ntime_interval = 1", super::up(&carbon)));
    set_permissions(sandbox.path("config.cfg"), Permissions::from_mode(0o640)).unwrap();
    let of = |program: &str, arguments: &[&str]| {
        let program = Path::new(super::PROGRAM).with_file_name(program);
        let pid = program.file_name().unwrap().to_str().unwrap().to_string() + ".pid";
        let mut command = Command::new(program);
        command.args(["--config", "config.cfg", "--pidfile", &pid]).args(arguments);
        command.current_dir(sandbox.path("")).env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
        Outcome::of(&mut command)
    };
    let started = of("qagent", &["start"]);
    assert_eq!(started.code, Some(0), "{started:?}");
    let reports = || std::fs::read_dir(sandbox.path("state")).unwrap().flatten();
    let is_reported = || reports().any(|file| file.file_name().to_string_lossy().ends_with(".reports"));
    let until = Instant::now() + Duration::from_secs(60);
    while !is_reported() && Instant::now() < until {
        thread::sleep(Duration::from_millis(100));
    }
    let well = doctor(&sandbox, "");
    let (state, words) = row(&well, "service");
    assert!(state == "ok" && words.contains("runs as process"), "{well:?}");
    assert_eq!(row(&well, "carbon").0, "ok", "{well:?}");
    let bad: Vec<_> = well.lines_with("bad ").into_iter().filter(|line| !line.contains(" clock ")).collect();
    assert!(bad.is_empty(), "{well:?}");

    let stopped = of("qagent", &["stop"]);
    assert_eq!(stopped.code, Some(0), "{stopped:?}");
    let ended = doctor(&sandbox, "");
    let (state, words) = row(&ended, "service");
    assert!(state == "bad" && words.contains("does not run; start it"), "{ended:?}");
}
