//! collect-backups against the JSON and the database of scm-backup-monitor.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use gridmon::model::parse_time;
use gridmon_testkit::program;
use gridmon_testkit::sandbox::{Outcome, Sandbox, fixture};

/// The original's JSON and database of the third night, against the tree of that night.
#[test]
fn backups_are_compared_with_the_originals_json_and_database() {
    let sandbox = Sandbox::new("small");
    let root = sandbox.path("backup/dayabay");
    // The newest backups of that night, as the database has them.
    let dump = fs::read_to_string(fixture("backups/zz3.SDU.dump.sql")).unwrap();
    let mut files = 0;
    for row in dump.lines().filter_map(|line| line.strip_prefix("INSERT INTO tgzs VALUES(")) {
        let cells: Vec<_> = row.trim_end_matches(");").split(',').map(|cell| cell.trim_matches('\'')).collect();
        let (_, below) = cells[4].split_once("/backup/dayabay/").unwrap();
        let path = root.join(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mebibytes: f64 = cells[2].parse().unwrap();
        let file = fs::File::create(path).unwrap();
        file.set_len(((mebibytes * 1_048_576.0) as u64).saturating_sub(100)).unwrap();
        // Stamps are of Shanghai.
        let stamp = parse_time(&format!("{}+08:00", cells[0])).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(stamp.unsigned_abs())).unwrap();
        files += 1;
    }
    assert!(files > 10);
    let sets = "svn/dybsvn, svn/dybaux, tracs/dybsvn, tracs/dybaux, folders/svnsetup";
    let config = format!(
        "[grid]\nname = lab\n[state]\ndirectory = {}\n[backups]\nssh = {}\n[hub ZZ]\nnodes = SDU\nroot = {}\n\
         pattern = {{set}}/%Y/%m/%d/%H%M%S/*.tar.gz\ntimezone = Asia/Shanghai\nsets = {sets}\n",
        sandbox.path("state").display(),
        sandbox.path("bin/ssh").display(),
        root.display()
    );
    // This machine answers for the node.
    sandbox.program("ssh", "exec sh -s");
    let path = sandbox.write("config.cfg", config);
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    let run = |source: &Path| {
        let mut command = Command::new(program("collect-backups"));
        let now = "2012-11-13T08:09:36Z";
        command.args(["--now", now, "--compare", source.to_str().unwrap()]).current_dir(sandbox.path("")).env_clear();
        Outcome::of(command.env("PATH", "/usr/bin:/bin"))
    };
    // It says what is wrong with them, as ever; the comparison is on standard output.
    let json = run(&fixture("backups/zz3.SDU.json"));
    assert_eq!(json.code, Some(0), "{}{}", json.stdout, json.stderr);
    assert!(
        json.stdout.contains("5 values here, 4 there: 0 equal, 0 alike, 4 differ, 0 missing here, 1 extra here\n"),
        "{}",
        json.stdout
    );
    let known = |times: &str, why: &str| {
        let line =
            json.stdout.lines().find(|line| line.starts_with(&format!("known   {times} × ")) && line.contains(why));
        assert!(line.is_some(), "{times} {why}: {}", json.stdout);
    };
    known("4", "read stamps as if they were UTC");
    known("2", "multiplied sizes below 11 MiB by ten");
    known("1", "has the selected sets alone");
    let database = sandbox.path("tgzs.db");
    // Its paths are told apart by the hub's root.
    let of_here = dump.replace("/home/scm/backup/dayabay", root.to_str().unwrap());
    rusqlite::Connection::open(&database).unwrap().execute_batch(&of_here).unwrap();
    let same = run(&database);
    assert_eq!(same.code, Some(0), "{}{}", same.stdout, same.stderr);
    assert!(
        same.stdout.contains("5 values here, 5 there: 5 equal, 0 alike, 0 differ, 0 missing here, 0 extra here\n"),
        "{}",
        same.stdout
    );
    // What is gone is named, and what is smaller than it was has no known cause.
    fs::remove_dir_all(root.join("tracs/dybaux")).unwrap();
    let shrunk = root.join("svn/dybsvn/2012/11/13/104702/dybsvn-18921.tar.gz");
    let shrunk = fs::File::options().write(true).open(shrunk).unwrap();
    shrunk.set_len(5 << 20).unwrap();
    shrunk.set_modified(UNIX_EPOCH + Duration::from_secs(1_352_774_822)).unwrap();
    let changed = run(&database);
    assert_eq!(changed.code, Some(1), "{}", changed.stdout);
    assert_eq!(changed.lines_with("no known cause").len(), 1, "{}", changed.stdout);
    assert!(
        changed.stdout.contains("set=svn/dybsvn mib: 5.0 here, 25.0 there: no known cause\n"),
        "{}",
        changed.stdout
    );
    assert!(changed.stdout.contains("set=tracs/dybaux newest: nothing here, "), "{}", changed.stdout);
}
