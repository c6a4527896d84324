//! `qagent once --compare`: the paths of a recorded machine against what QULo's master sent to Carbon for such a one.

use std::collections::BTreeMap;
use std::fs;

use gridmon_testkit::TempDir;
use gridmon_testkit::sandbox::fixture;

use super::qagent;
use super::tree::Tree;

#[test]
fn a_node_is_compared_with_what_qulos_master_sent() {
    let (tree, folder) = (Tree::unpack("vm2"), TempDir::new());
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let recorded = fs::read_to_string(fixture("qulo/lines.txt")).unwrap().replace("node01.example.org", &name);
    let ours = qagent(&["once", "--root", tree.path().to_str().unwrap()]).stdout;
    let ours: BTreeMap<_, _> = ours.lines().filter_map(|line| line.split_once(' ')).collect();
    // The machine was recorded hours apart. The values move by a hundredth here, as in the seconds between two readings.
    let moved = |factor: f64| {
        let line = |line: &str| {
            let words: Vec<_> = line.split(' ').collect();
            let value = ours.get(words[0]).and_then(|rest| rest.split(' ').next()?.parse::<f64>().ok());
            let is_same = value.is_none_or(|value| words[1].parse() == Ok(value));
            if is_same { line.into() } else { format!("{} {} {}", words[0], value.unwrap() * factor, words[2]) }
        };
        recorded.lines().map(line).collect::<Vec<String>>().join("\n")
    };
    let old = folder.write("old.carbon", moved(0.99));
    let outcome = qagent(&["once", "--root", tree.path().to_str().unwrap(), "--compare", old.to_str().unwrap()]);
    // Lists are no values for Carbon: QULo's master refused them.
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{}", outcome.stdout);
    assert!(outcome.stdout.contains(" 69 there: "), "{}", outcome.stdout);
    assert!(outcome.stdout.contains(" alike, 0 differ, 0 missing here, "), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("left out ") && outcome.stdout.ends_with("unknown 0\n"), "{}", outcome.stdout);

    // In another unit they are not the same values.
    let other = folder.write("other.carbon", moved(1024.0));
    let outcome = qagent(&["once", "--root", tree.path().to_str().unwrap(), "--compare", other.to_str().unwrap()]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.stdout);
    for path in ["VirtualMemory.free", "DiskIOCounters.read_bytes", "CPUStats.interrupts", "CPUTimes.user"] {
        let line = outcome.lines_with(path);
        assert!(line.iter().any(|line| line.ends_with("no known cause")), "{path}: {}", outcome.stdout);
    }

    // The size of the memory does not change by itself, and a path that is nowhere is missed.
    let changed =
        fs::read_to_string(&old).unwrap().replace(".VirtualMemory.total 25276510208 ", ".VirtualMemory.total 5 ");
    let changed = changed.replace(".CPUTimes.user ", ".CPUTimes.usr ");
    folder.write("old.carbon", changed);
    let outcome = qagent(&["once", "--root", tree.path().to_str().unwrap(), "--compare", old.to_str().unwrap()]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.stdout);
    let unknown = outcome.lines_with("no known cause");
    let has = |words: &str| unknown.iter().any(|line| line.contains(words));
    assert!(
        unknown.len() == 3 && has("VirtualMemory.total value: ") && has("missing ") && has("extra "),
        "{unknown:?}"
    );
}
