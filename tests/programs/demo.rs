//! `make demo`, as somebody meets it who has just cloned the repository; and short plays of `gridmon-demo`.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use gridmon::model::{Point, SECOND};
use gridmon::monitors::panda::TABLE;
use gridmon::monitors::panda::score::SUSPICIOUS;
use gridmon::sinks::Tables;
use gridmon::sinks::embedded::{EmbeddedTables, Place};
use gridmon_testkit::{TempDir, skip, wait_until};

const DEMO: &str = env!("CARGO_BIN_EXE_gridmon-demo");
const COLLECT_GRID: &str = env!("CARGO_BIN_EXE_collect-grid");
const GRIDMON_STATUS: &str = env!("CARGO_BIN_EXE_gridmon-status");

/// The end of a play of two hours in which a schedd hangs up.
const UNTIL: &str = "2024-06-01 04:30:00";
const UNTIL_SECONDS: i64 = 1_717_216_200;

/// A command in a bare environment.
fn bare(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    command
}

fn demo(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = bare(DEMO);
    command.arg("--folder").arg(folder).args(arguments);
    command
}

/// Its exit code, standard output and standard error.
fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// Runs a command that must end with 0; what it printed.
fn fine(command: &mut Command) -> (String, String) {
    let (code, stdout, stderr) = run(command);
    assert_eq!(code, Some(0), "{command:?}\n{stdout}\n{stderr}");
    (stdout, stderr)
}

/// Holds what is in the store at some minutes to what `collect-grid --dry-run` prints for them from the stand-ins.
fn compare(folder: &Path, minutes: impl Iterator<Item = i64>) {
    let config = folder.join("config.cfg");
    let values = |text: &str| -> BTreeSet<(i64, String)> {
        // The export begins with comments and statements for `influx -import`.
        let others = ["instance", "node_", "gpu", "slurm", "service", "backup_", "jobs "];
        let is_of_another = |line: &str| {
            let measurement = line.split_once(",measurement=").map_or(line, |(_, measurement)| measurement);
            line.contains("instance") || others.iter().any(|of| measurement.starts_with(of))
        };
        let is_of_grid = |line: &&str| line.contains("grid=demo") && !is_of_another(line);
        let lines = text.lines().filter(is_of_grid);
        let points = lines.map(|line| Point::from_line(line).unwrap_or_else(|error| panic!("{line}: {error:#}")));
        let values = points.flat_map(|point| {
            let of = |(field, value): (&str, _)| (point.time() / SECOND, format!("{} {field} {value}", point.series()));
            point.fields().map(of).collect::<Vec<_>>()
        });
        values.collect()
    };
    let (export, _) = fine(bare(GRIDMON_STATUS).args(["store", "export", "--config"]).arg(&config));
    let stored = values(&export);
    for time in minutes {
        let now = time.to_string();
        let mut command = bare(COLLECT_GRID);
        command.args(["--dry-run", "--format", "influx", "--now", &now, "--config"]).arg(&config);
        command.env("PATH", format!("{}:/usr/bin:/bin", folder.join("bin").display())).env("GRIDMON_DEMO_TIME", &now);
        let (_, stdout, _) = run(&mut command);
        let told = values(&stdout);
        assert!(told.len() > 30, "{stdout}");
        let stored: BTreeSet<_> = stored.iter().filter(|value| value.0 == time).cloned().collect();
        let lost: Vec<_> = told.difference(&stored).collect();
        assert!(lost.is_empty(), "{now}: {lost:?}");
        // The report of the run, and zeros for what was there a minute before.
        let more: Vec<_> = stored.difference(&told).map(|value| value.1.as_str()).collect();
        assert!(more.iter().all(|value| value.starts_with("run,") || value.ends_with(" 0")), "{now}: {more:?}");
    }
}

/// Holds the table of PanDA's queues to what the play says of them.
fn incidents_are_found(folder: &Path, stdout: &str) {
    let between = |begin: &str, end: &str| stdout.split_once(begin).unwrap().1.split_once(end).unwrap().0;
    let (queue, site) = (between("; queue ", " is drained"), between("and the jobs of ", " fail\n"));
    let tables = EmbeddedTables { place: folder.join("state/gridmon.db").into() };
    let rows = tables.read(&TABLE, Instant::now() + Duration::from_secs(20)).unwrap();
    let found = |column: &str, name: &str| {
        let of = rows.iter().filter(|row| TABLE.cell(row, column).as_text() == Some(name));
        of.filter(|row| TABLE.cell(row, "score").as_f64() >= Some(SUSPICIOUS)).count()
    };
    assert!(found("panda_queue", queue) > 0 && found("atlas_site", site) > 0, "{queue}, {site}: {rows:?}");
    let quiet = rows.iter().filter(|row| TABLE.cell(row, "score").as_f64() < Some(SUSPICIOUS)).count();
    assert!(quiet > 40 && rows.len() < quiet + 10, "{quiet} of {}", rows.len());
}

/// Holds what is known of backups to the faults that were made: each kind is there, and a year of nights.
fn backups_are_shown(folder: &Path, stdout: &str) {
    assert!(stdout.contains("A year of nights of three hubs, ") && stdout.contains("report/index.html"), "{stdout}");
    let config = folder.join("config.cfg");
    let (shown, _) = fine(bare(GRIDMON_STATUS).args(["backups", "--config"]).arg(&config));
    let words: BTreeSet<&str> = shown.split_whitespace().collect();
    for fault in [
        "shrunk",
        "unsealed",
        "digest",
        "truncated",
        "small",
        "old",
        "lost",
        "future",
        "vanished",
        "never",
        "unreadable",
        "unreachable",
        "grown",
        "stale",
        "hoards",
    ] {
        assert!(words.contains(fault), "{fault}: {shown}");
    }
    for said in ["LOCKED has been there", "sets does not list: test", "will be full in"] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    let well = shown.lines().filter(|line| line.split_whitespace().nth(2) == Some("ok")).count();
    assert!(well >= 3, "{well}: {shown}");
    let (export, _) = fine(bare(GRIDMON_STATUS).args(["store", "export", "-m", "backup_set", "--config"]).arg(&config));
    let nights = export.lines().filter(|line| line.contains("node=store1,set=svn/code ")).count();
    assert!((355..=365).contains(&nights), "{nights}");
    let history = Place::from(folder.join("state/gridmon.db")).every_backup().unwrap().unwrap();
    let of = |node: &str, set: &str| history.iter().filter(|kept| kept.node == node && kept.set == set).count();
    assert!(of("store1", "svn/code") > 355 && of("store2", "tracs/code") > 355 && of("store2", "tracs/docs") == 0);
    for page in ["index.html", "physics/index.html", "machines/index.html"] {
        assert!(fs::read_to_string(folder.join("report").join(page)).unwrap().contains("<table"), "{page}");
    }
}

/// The processes whose command line names this folder.
fn processes(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let all = fs::read_dir("/proc").unwrap().flatten();
    let lines = all.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(folder)).collect()
}

#[test]
fn two_hours_are_played_told_and_stored() {
    let temporary = TempDir::new();
    let folder = temporary.path().join("it's here");
    let mut command = demo(&folder, &["--hours", "2", "--until", UNTIL, "--seconds", "600"]);
    let (stdout, stderr) = fine(command.current_dir(temporary.path()));
    for words in
        ["from 2024-06-01 02:31 UTC to 2024-06-01 04:30 UTC", "\n  generated  ", "\n  recorded  ", "\n  real  "]
    {
        assert!(stdout.contains(words), "{words:?}: {stdout}");
    }
    assert!(stdout.contains("\n120 runs of collect-grid in "), "{stdout}");
    assert!(stdout.contains("6 hours of PanDA, 36 slots of "), "{stdout}");
    incidents_are_found(&folder, &stdout);
    backups_are_shown(&folder, &stdout);
    assert!(stdout.contains("gridmon-status' grid -c ") && stdout.contains("cern-preservation"), "{stdout}");
    let told: Vec<_> = stderr.lines().filter(|line| !line.ends_with(" minutes played")).collect();
    let begins = [
        "03:40  generated: schedd ce02.grid.example.org hangs up",
        "03:40  by mail:   collect-grid: schedd ce02.grid.example.org: condor_q ended with exit status: 1: ",
        "04:00  generated: schedd ce02.grid.example.org answers again",
        "04:00  by mail:   collect-grid: schedd ce02.grid.example.org: works again after 20 min",
    ];
    assert_eq!(told.len(), begins.len(), "{stderr}");
    assert!(told.iter().zip(begins).all(|(line, begin)| line.starts_with(begin)), "{stderr}");
    compare(&folder, (0..120).step_by(7).map(|minute| UNTIL_SECONDS - 60 * minute));

    // What it says is to be run next can be copied and does what it says.
    let (_, commands) = stdout.split_once("What to run next:").unwrap();
    let (commands, dashboard) = commands.split_once("\nThe dashboard of this grid: ").unwrap();
    assert!(dashboard.starts_with("http://127.0.0.1:") && dashboard.contains("cloud-monitor' -c "), "{dashboard}");
    let mut ran = 0;
    for command in commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("  #")) {
        if command.contains("sqlite3") && !Path::new("/usr/bin/sqlite3").exists() {
            skip("two_hours_are_played_told_and_stored", "sqlite3");
            continue;
        }
        let (printed, _) = fine(bare("sh").args(["-c", command]).current_dir(temporary.path()));
        let stores = command.contains("/collect-grid") && !command.contains("--dry-run");
        assert_eq!(printed.is_empty(), stores || command.contains(" >> "), "{command}: {printed}");
        ran += 1;
    }
    assert!(ran >= 6, "{commands}");
    assert!(fs::read_to_string(temporary.path().join("jobs.csv")).unwrap().lines().count() > 120);
}

#[test]
fn a_play_removes_what_an_earlier_one_made_and_nothing_else() {
    let folder = TempDir::new();
    let play = |hours: &str| run(&mut demo(folder.path(), &["--hours", hours, "--until", UNTIL]));
    folder.write("mine", "mine");
    let (code, stdout, stderr) = play("1");
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains(" holds files that no demo made; give another one: make demo DEMO=FOLDER\n"), "{stderr}");

    fs::remove_file(folder.path().join("mine")).unwrap();
    assert_eq!(play("1").0, Some(0));
    folder.write("mine", "mine");
    folder.write("bin/mine", "mine");
    folder.write("state/old", "old");
    assert_eq!(play("1").0, Some(0));
    let there = |name: &str| folder.path().join(name).exists();
    assert!(there("mine") && there("bin/mine") && !there("state/old") && there("state/gridmon.db"));

    let mark = fs::File::open(folder.path().join("made-by-gridmon-demo")).unwrap();
    mark.lock().unwrap();
    let (code, _, stderr) = play("1");
    assert!(code == Some(1) && stderr.starts_with("gridmon-demo: another demo plays in "), "{stderr}");

    let (code, _, stderr) = run(&mut demo(Path::new("/proc/gridmon-demo"), &["--hours", "1"]));
    let words = "gridmon-demo: /proc/gridmon-demo cannot be made or written; give another one: make demo DEMO=FOLDER: ";
    assert!(code == Some(1) && stderr.starts_with(words), "{stderr}");
}

#[test]
fn a_run_that_fails_for_no_reason_of_the_grids_ends_the_demo() {
    let folder = TempDir::new();
    let place = folder.path().join("programs");
    fs::create_dir(&place).unwrap();
    fs::copy(DEMO, place.join("gridmon-demo")).unwrap();
    symlink(GRIDMON_STATUS, place.join("gridmon-status")).unwrap();
    for name in ["cloud-monitor", "collect-instances", "collect-backups"] {
        symlink(gridmon_testkit::program(name), place.join(name)).unwrap();
    }
    symlink("/bin/false", place.join("collect-grid")).unwrap();
    let stage = folder.path().join("stage");
    let mut command = bare(place.join("gridmon-demo"));
    let (code, _, stderr) = run(command.args(["--hours", "1", "--until", UNTIL, "--folder"]).arg(&stage));
    let words = "ended with exit status: 1 where the grid of that minute explains 0: it said nothing\n";
    assert!(code == Some(1) && stderr.ends_with(words), "{stderr}");
}

#[test]
fn an_interrupted_demo_leaves_nothing_running() {
    let temporary = TempDir::new();
    let folder = temporary.path().join("demo");
    // As a terminal does: the signal goes to the whole group, or, by kill, to the player alone.
    for to_group in [true, false] {
        let mut command = demo(&folder, &["--until", UNTIL]);
        let store = folder.join("state/gridmon.db");
        // The one of the play before would say that this one is under way.
        let _ = fs::remove_file(&store);
        let child = command.process_group(0).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        wait_until("the store of the demo", Duration::from_secs(30), || store.exists().then_some(()));
        assert!(!processes(&folder).is_empty());
        let pid = format!("{}{}", if to_group { "-" } else { "" }, child.id());
        fine(bare("sh").args(["-c", "kill -s INT -- \"$0\"", &pid]));
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(
            stderr.lines().last().unwrap().starts_with("gridmon-demo: interrupted; what was played up to "),
            "{stderr}"
        );
        assert_eq!(processes(&folder), Vec::<String>::new());
    }
    fine(&mut demo(&folder, &["--hours", "1", "--until", UNTIL]));
}

#[test]
fn make_demo_in_a_clean_clone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let git = |arguments: &[&str]| Command::new("git").args(arguments).current_dir(root).output();
    if !git(&["rev-parse", "--git-dir"]).is_ok_and(|output| output.status.success()) {
        return skip("make_demo_in_a_clean_clone", "the repository with git");
    }
    // Always the same place, so that what was built there before need not be built again.
    let clone = target.join("demo-clone");
    let _ = fs::remove_dir_all(&clone);
    let cloned = git(&["clone", "--quiet", "--no-hardlinks", ".", clone.to_str().unwrap()]).unwrap();
    assert!(cloned.status.success(), "{}", String::from_utf8_lossy(&cloned.stderr));

    let make = |arguments: &[&str]| {
        let mut command = bare("make");
        let cargo = Path::new(env!("CARGO")).parent().unwrap();
        command.arg("demo").args(arguments).current_dir(&clone);
        command.env("PATH", format!("{}:/usr/bin:/bin", cargo.display()));
        command.env("CARGO_TARGET_DIR", target.join("demo-build"));
        let kept = ["HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"];
        command.envs(kept.iter().filter_map(|name| Some((*name, std::env::var_os(name)?))));
        command
    };
    let (stdout, _) = fine(&mut make(&[]));
    assert!(stdout.contains(" runs of collect-grid in ") && stdout.contains("What to run next:"), "{stdout}");
    assert!(stdout.contains("\nThe dashboard of this grid: http://127.0.0.1:"), "{stdout}");
    let folder = clone.join("target/demo");
    let newest = fine(bare("sh").args(["-c", "ls -1 target/demo"]).current_dir(&clone)).0;
    assert_eq!(newest, "bin\nconfig.cfg\nmade-by-gridmon-demo\nreport\nstate\n");
    // The last minutes, whatever time it is.
    let now = jiff::Timestamp::now().as_second() / 60 * 60;
    compare(&folder, [3, 30, 90].into_iter().map(|minute| now - 60 * minute));

    let (stdout, stderr) = fine(&mut make(&["HOURS=1"]));
    assert!(stdout.contains(" runs of collect-grid in ") && !stderr.contains("Compiling"), "{stdout}\n{stderr}");

    let (code, _, stderr) = run(&mut make(&["HOURS=1", "DEMO=/proc/gridmon-demo"]));
    assert!(code != Some(0) && stderr.contains("give another one: make demo DEMO=FOLDER"), "{stderr}");
    fs::remove_dir_all(&clone).unwrap();
}
