//! The made-up trees of three nights, made anew by make_tree.py, and read by the real find of this machine.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use gridmon::sources::ssh::{Root, script};
use gridmon_testkit::sandbox::fixture;
use gridmon_testkit::{TempDir, skip};
use serde_json::Value;

use super::Site;

/// Debian's, whatever else is on PATH.
const PYTHON: &str = "/usr/bin/python3";

/// The nodes, each with its hub's folder and zone.
const NODES: [(&str, &str, &str); 6] = [
    ("SDU", "dayabay", "Asia/Shanghai"),
    ("C", "cms02", "Asia/Taipei"),
    ("H1", "cms02", "Asia/Taipei"),
    ("EU1", "zhdb", "Europe/Zurich"),
    ("US1", "nyc", "America/New_York"),
    ("Z9:229", "g4pb", "UTC"),
];

fn expected() -> Value {
    serde_json::from_slice(&fs::read(fixture("backups/expected.json")).unwrap()).unwrap()
}

fn make(folder: &Path, night: usize) {
    let mut command = Command::new(PYTHON);
    command.arg(fixture("backups/make_tree.py")).arg(folder).args(["--night", &night.to_string()]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A hub for each node, which reads this machine.
fn config(folder: &Path, night: &Value) -> String {
    let mut text = String::new();
    for (node, server, zone) in NODES {
        let sets: Vec<_> = night["sets"].as_array().unwrap().iter().filter(|set| set["node"] == node).collect();
        let sets: Vec<_> = sets.into_iter().filter(|set| set["fresh_hours"].is_i64()).collect();
        // Blanks stand for themselves there, and a list has blanks between its names.
        let names: Vec<_> = sets.iter().map(|set| set["set"].as_str().unwrap().replace(' ', "%20")).collect();
        let root = folder.join(node).join("backup").join(server);
        text += &format!(
            "[hub {node}]\nnodes = local\nroot = {}\ntimezone = {zone}\nkeep = 4\nsets = {}\n",
            root.display(),
            names.join(", ")
        );
        for (set, name) in sets.iter().zip(names).filter(|(set, _)| set["fresh_hours"] != 26) {
            text += &format!("[backup_set {node} {name}]\nfresh_hours = {}\n", set["fresh_hours"]);
        }
    }
    text
}

/// The verdict of each set, by hub and set, of a dry run.
fn verdicts(printed: &str) -> BTreeMap<(String, String), i64> {
    let json = |line: &str| serde_json::from_str::<Value>(line).unwrap();
    let points = printed.lines().map(json).filter(|point| point["measurement"] == "backup_set");
    let verdict = |point: &Value| point["fields"]["verdict"].as_i64().unwrap();
    let tag = |point: &Value, name: &str| point["tags"][name].as_str().unwrap().to_string();
    points.map(|point| ((tag(&point, "hub"), tag(&point, "set")), verdict(&point))).collect()
}

const WORDS: [(&str, i64); 14] = [
    ("ok", 0),
    ("grown", 1),
    ("stale", 2),
    ("hoards", 3),
    ("shrunk", 10),
    ("unsealed", 11),
    ("truncated", 13),
    ("small", 14),
    ("old", 15),
    ("lost", 16),
    ("future", 17),
    ("vanished", 18),
    ("never", 19),
    ("unreadable", 20),
];

/// The name of a set, as points have it: what no store can carry is changed, and it is cut.
fn shown(set: &str) -> String {
    let name = gridmon::monitors::backups::name::shown(&gridmon::monitors::backups::name::bytes(set));
    gridmon::model::safe_text(&name).into_owned()
}

#[test]
fn three_nights_of_real_trees_are_judged_as_a_person_would() {
    if !Path::new(PYTHON).exists() {
        return skip("three_nights_of_real_trees_are_judged_as_a_person_would", "python3");
    }
    judge_three_nights(&Site::new(""));
}

/// BusyBox's find and stat come first, and no login shell sets another PATH.
#[test]
fn three_nights_are_judged_alike_on_a_host_with_busybox() {
    let name = "three_nights_are_judged_alike_on_a_host_with_busybox";
    let Some(busybox) = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists()) else {
        return skip(name, "busybox");
    };
    if !Path::new(PYTHON).exists() {
        return skip(name, "python3");
    }
    let site = Site::new("");
    fs::create_dir_all(site.sandbox.path("bin")).unwrap();
    for tool in ["find", "stat"] {
        std::os::unix::fs::symlink(busybox, site.sandbox.path("bin").join(tool)).unwrap();
    }
    judge_three_nights(&site);
}

fn judge_three_nights(site: &Site) {
    let folder = TempDir::new();
    let is_root = fs::read_to_string("/proc/self/status").unwrap().contains("\nUid:\t0\t0\t");
    for night in expected()["nights"].as_array().unwrap() {
        make(folder.path(), night["night"].as_u64().unwrap() as usize);
        site.config(&config(folder.path(), night));
        let now = night["now"].as_str().unwrap();
        let dry = site.at(now, &["--dry-run", "--format", "json"]);
        assert_eq!(dry.code, Some(0), "{}", dry.stderr);
        let verdicts = verdicts(&dry.stdout);
        let mut judged = 0;
        for set in night["sets"].as_array().unwrap().iter().filter(|set| set["fresh_hours"].is_i64()) {
            let name = set["set"].as_str().unwrap();
            // No folder is closed to root.
            if is_root && name == "svn/closed" {
                continue;
            }
            let key = (set["node"].as_str().unwrap().to_string(), shown(name));
            let word = set["verdict"].as_str().unwrap();
            let (_, number) = WORDS.iter().find(|(known, _)| *known == word).unwrap();
            assert_eq!(verdicts.get(&key), Some(number), "night {} {key:?}: {word}", night["night"]);
            judged += 1;
        }
        assert!(judged >= 76, "{judged}");
        let live = site.at(now, &[]);
        assert_eq!(live.code, Some(0), "{}", live.stderr);
        let again = site.at(now, &[]);
        assert_eq!((again.code, again.stderr.as_str()), (Some(0), ""), "each is said once");
    }
}

/// Records what a node prints, for src/monitors/backups/tests.rs; needs root, so that the login can be another one.
#[test]
#[ignore = "writes fixtures, with UPDATE_EXPECT=1"]
fn the_listings_are_recorded() {
    // make test-all runs what is ignored, too.
    if std::env::var_os("UPDATE_EXPECT").is_none() {
        return;
    }
    let folder = TempDir::new();
    let root = |(node, server, _): &(&str, &str, &str)| Root {
        path: folder.path().join(node).join("backup").join(server).display().to_string(),
        linked: vec![b"svn/linkdir".to_vec()],
    };
    let roots: Vec<_> = NODES.iter().map(root).collect();
    for night in 1..=3 {
        make(folder.path(), night);
        let mut child = Command::new("setpriv");
        child.args(["--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-s"]);
        let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&script::listing(&roots, "n", 60)).unwrap();
        let output = child.wait_with_output().unwrap().stdout;
        // Nothing of this machine's disk.
        let records = output.split_inclusive(|byte| *byte == 0).filter(|record| !record.starts_with(b"D\t"));
        let output = records.collect::<Vec<_>>().concat();
        let packed = zstd::encode_all(&output[..], 19).unwrap();
        fs::write(fixture(&format!("backups/night{night}.zst")), packed).unwrap();
    }
}
