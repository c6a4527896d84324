//! A store of schema 1, as the first version wrote it: `tests/fixtures/store`. Every later version reads the same from it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{golden, status, told};
use gridmon_testkit::sandbox::{NOW, Sandbox, fixture};

/// A folder with a copy of the old store.
fn with_old_store() -> Sandbox {
    let sandbox = Sandbox::new("small");
    let path = sandbox.path("state/gridmon.db");
    fs::copy(fixture("store/schema1.db"), &path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o640)).unwrap();
    sandbox
}

#[test]
fn a_store_of_schema_1_is_read_whole() {
    let sandbox = with_old_store();
    for (name, arguments) in [
        ("export.influx", &["store", "export"][..]),
        ("export.csv", &["store", "export", "--format", "csv"]),
        ("check.txt", &["store", "check"]),
        ("grid.txt", &["grid"]),
    ] {
        let now = (NOW + 180).to_string();
        let outcome = status(&sandbox, &[arguments, &["--now", &now]].concat());
        golden(&format!("schema1/{name}"), told(&sandbox, &outcome));
    }
}

#[test]
fn a_store_of_schema_1_is_written_on() {
    let sandbox = with_old_store();
    let before = status(&sandbox, &["store", "export"]).stdout;
    let run = sandbox.run(&["--now", &(NOW + 180).to_string()]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let after = status(&sandbox, &["store", "export"]).stdout;
    let lines = |text: &str| text.lines().map(String::from).collect::<std::collections::BTreeSet<_>>();
    assert!(lines(&after).is_superset(&lines(&before)), "nothing that was there is lost");
    let to = format!(" {}000000000", NOW + 180);
    let new = after.lines().filter(|line| line.ends_with(&to)).count();
    assert_eq!(new, sandbox.run(&["-n", "--format", "influx", "--now", &NOW.to_string()]).stdout.lines().count());
    let checked = status(&sandbox, &["store", "check"]);
    assert_eq!((checked.code, checked.stderr.as_str()), (Some(0), ""), "{}", checked.stdout);
}
