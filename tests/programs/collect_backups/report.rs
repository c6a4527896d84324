//! The report: its files, held to golden ones, and beside the pages of the original for the same three nights.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, SystemTime};

use gridmon_testkit::sandbox::{expect, fixture};
use serde_json::Value;

use super::Site;
use super::runs::{DAY, NOW, lab};

/// A file of the report.
fn read(site: &Site, name: &str) -> String {
    let path = site.sandbox.path("report").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of all files of the report, sorted.
fn names(site: &Site) -> Vec<String> {
    gridmon_testkit::sandbox::proof::files(&site.sandbox.path("report"))
}

/// The site of the two sets with a report, on a disk that is always the same.
fn reported(more: &str) -> Site {
    let site = lab();
    site.sandbox.program("df", "echo 'disk 1000000 600000 300000 67% /'");
    fs::create_dir_all(site.sandbox.path("report")).unwrap();
    report(&site, more);
    site
}

fn report(site: &Site, more: &str) {
    let folder = site.sandbox.path("report");
    let root = site.sandbox.path("backup");
    site.config(&format!(
        "[backups]\nreport_directory = {}\n[hub LAB]\nnodes = local\nroot = {}\ntimezone = UTC\n\
         report_url = https://monitor.example.org/backups/LAB/\n{more}",
        folder.display(),
        root.display()
    ));
}

#[test]
fn the_report_is_pages_plots_and_data_without_a_script() {
    let site = reported("sets = svn/docs, tracs/lab\n");
    assert_eq!(site.hour(0, &[]).code, Some(0));
    let expected = [
        "LAB/index.html",
        "LAB/index.rst",
        "LAB/local~svn,docs.svg",
        "LAB/local~tracs,lab.svg",
        "LAB/nodes.json",
        "LAB/plots~local.json",
        "LAB/sets.json",
        "index.html",
        "index.json",
        "index.rst",
    ];
    assert_eq!(names(&site), expected);
    for name in expected.iter().filter(|name| !name.contains("plots~")) {
        // The clock of this machine may tick between two questions.
        let text = read(&site, name).replace("+1 s", "+0 s").replace("_seconds\":1,", "_seconds\":0,");
        assert!(!text.contains("<script") && !text.contains("javascript"), "{name}");
        expect(&fixture("backups/report").join(name.replace('/', "_")), &text);
    }
    let sets: Value = serde_json::from_str(&read(&site, "LAB/sets.json")).unwrap();
    for set in sets.as_array().unwrap() {
        assert!(names(&site).contains(&format!("LAB/{}", set["plot"].as_str().unwrap())));
    }
}

#[test]
fn what_is_not_shown_any_more_goes_and_what_is_the_same_stays() {
    let site = reported("");
    site.hour(0, &[]);
    let inode = |name: &str| fs::metadata(site.sandbox.path("report").join(name)).unwrap().ino();
    let before = inode("LAB/local~svn,docs.svg");
    fs::write(site.sandbox.path("report/LAB/mine.svg"), "x").unwrap();
    site.hour(1, &[]);
    assert_eq!(inode("LAB/local~svn,docs.svg"), before, "no backup came on this day");
    report(&site, "sets = tracs/lab\n");
    site.hour(2, &[]);
    let left: Vec<_> = names(&site).into_iter().filter(|name| name.ends_with(".svg")).collect();
    assert_eq!(left, ["LAB/local~tracs,lab.svg", "LAB/mine.svg"]);
    // A disk that is not mounted is not written beside.
    fs::remove_dir_all(site.sandbox.path("report")).unwrap();
    let gone = site.hour(3, &[]);
    assert_eq!(gone.code, Some(1));
    assert!(
        gone.stderr.contains("report: hub LAB: ") && gone.stderr.contains("no such folder; make it"),
        "{}",
        gone.stderr
    );
    assert!(!site.sandbox.path("report").exists());
}

/// A web server is another user.
#[test]
fn everybody_may_read_the_report_and_a_hub_that_is_gone_leaves_it() {
    let site = reported("");
    let mode = |name: &str| fs::metadata(site.sandbox.path("report").join(name)).unwrap().mode() & 0o777;
    site.hour(0, &[]);
    assert_eq!((mode("LAB"), mode("LAB/index.html")), (0o755, 0o644));
    // As the version before made it.
    fs::set_permissions(site.sandbox.path("report/LAB"), fs::Permissions::from_mode(0o750)).unwrap();
    site.hour(1, &[]);
    assert_eq!(mode("LAB"), 0o755);
    let (folder, root) = (site.sandbox.path("report"), site.sandbox.path("backup"));
    let (folder, root) = (folder.display(), root.display());
    let other =
        format!("[backups]\nreport_directory = {folder}\n[hub NEW]\nnodes = local\nroot = {root}\ntimezone = UTC\n");
    fs::write(site.sandbox.path("report/LAB/mine.txt"), "x").unwrap();
    site.config(&other);
    site.hour(2, &[]);
    let left: Vec<_> = names(&site).into_iter().filter(|name| name.starts_with("LAB")).collect();
    assert_eq!(left, ["LAB/mine.txt"]);
    assert!(names(&site).contains(&"NEW/index.html".to_string()));
}

#[test]
fn a_hostile_name_is_text_on_every_page() {
    let site = reported("pattern = {set}/%Y/%m/%d/%H%M%S/*.tar.gz\n");
    let names_of_sets =
        ["<script>alert(1)</script>", "\"onload=\"x", "a`b <javascript:x>`__", "..", "|x|\n.. raw:: html"];
    for name in names_of_sets.iter().filter(|name| **name != "..") {
        let path = site.sandbox.path("backup").join(name.replace('/', "∕")).join("2026/03/30/023000/x.tar.gz");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = File::create(path).unwrap();
        file.set_len(5000).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW - 3600)).unwrap();
    }
    site.hour(0, &[]);
    let (html, rst) = (read(&site, "LAB/index.html"), read(&site, "LAB/index.rst"));
    assert!(html.contains("&lt;script&gt;alert(1)") && !html.contains("<script"), "{html}");
    assert!(html.contains("&quot;onload=&quot;x") && !html.contains("\"onload"), "{html}");
    assert!(!rst.contains("\n.. raw::") && rst.contains("a\\`b%20\\<javascript\\:x\\>\\`\\_\\_"), "{rst}");
    assert_eq!(html.matches("<img ").count(), 6);
}

/// The rows of the tables of a page, each a list of cells without roles and backslashes.
pub fn rows(rst: &str) -> Vec<Vec<String>> {
    let cell = |cell: &str| {
        let cell = cell.trim().replace('\\', "");
        cell.strip_prefix(':')
            .and_then(|rest| rest.split_once(":`"))
            .map_or(cell.clone(), |(_, text)| text.trim_end_matches('`').into())
    };
    let lines = rst.lines().filter(|line| line.starts_with('|'));
    lines.map(|line| line.trim_matches('|').split('|').map(cell).collect()).collect()
}

/// Makes the tree that a night's listing of the original shows, with sizes in whole MiB.
pub fn night(site: &Site, night: usize) {
    let _ = fs::remove_dir_all(site.sandbox.path("fold"));
    let listing = fs::read_to_string(fixture(&format!("backups/golden/zz{night}.du.txt"))).unwrap();
    for line in listing.lines() {
        let (size, path) = line.split_once('\t').unwrap();
        let below = path.strip_prefix("/home/scm/").unwrap();
        let path = site.sandbox.path("fold").join(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = File::create(&path).unwrap();
        file.set_len(size.parse::<u64>().unwrap() << 20).unwrap();
        let day: u64 = below.split('/').nth(6).unwrap().parse().unwrap();
        // 10:47:02 in Shanghai.
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_351_738_022 + (day - 1) * DAY)).unwrap();
    }
}

/// Three nights of hub ZZ, with the very listings that the original read.
#[test]
fn three_nights_give_the_pages_of_the_original_where_it_was_right() {
    let site = Site::new("");
    fs::create_dir_all(site.sandbox.path("report")).unwrap();
    site.sandbox.program("ssh", &format!("SCM_FOLD={} exec sh -s", site.sandbox.path("fold").display()));
    site.config(&format!(
        "[backups]\nreport_directory = {}\n[hub ZZ]\nnodes = SDU\nroot = $SCM_FOLD/backup/dayabay\ntimezone = Asia/Shanghai\n\
         sets = svn/dybsvn tracs/dybsvn svn/dybaux tracs/dybaux\nreport_url = http://dayabay.ihep.ac.cn:8080/e/scm/monitor/dayabay/\n",
        site.sandbox.path("report").display()
    ));
    let mut said = Vec::new();
    for number in 1..=3 {
        night(&site, number);
        let run = site.at(&format!("2012-11-{}T08:09:36Z", 10 + number), &[]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        said.push(run.stderr);
        let ours = read(&site, "ZZ/index.rst");
        let theirs = fs::read_to_string(fixture(&format!("backups/golden/zz{number}.rst"))).unwrap();
        // The headings, and the link to where the page can be seen.
        for line in [if number == 1 { "ZZ hub \\: warning" } else { "ZZ hub \\: alarm" }, "http\\:"] {
            assert!(ours.replace(" : ", " \\: ").contains(line), "{line}: {ours}");
        }
        let (ours, theirs) = (rows(&ours), rows(&theirs));
        assert_eq!(ours[0], theirs[0]);
        // To the original a set that nobody watches was no warning, and a tarball of no bytes and one that shrank to a quarter were
        // no alarms.
        let expected: &[&str] =
            [&["SDU", "4", "0", "0", "warning"], &["SDU", "3", "0", "1", "alarm"], &["SDU", "1", "0", "3", "alarm"]]
                [number - 1];
        assert_eq!(ours[1], expected, "night {number}");
        let original = [
            "SDU",
            ["4", "3", "3"][number - 1],
            "0",
            ["0", "1", "1"][number - 1],
            ["ok", "alarm", "alarm"][number - 1],
        ];
        assert_eq!(theirs[1], original);
        let Some(their_alarm) = theirs.get(3) else { continue };
        let our_alarm = ours.iter().find(|row| row[0] == their_alarm[0]).unwrap();
        // It took the maker's local time for UTC, and multiplied sizes below 11 MiB by ten.
        let number_of = |text: &str| text.parse::<f64>().unwrap();
        assert_eq!(number_of(&our_alarm[2]), number_of(&their_alarm[1]) - 8.0 * 3_600_000.0);
        assert_eq!(number_of(&our_alarm[3]), number_of(&their_alarm[2]) / 10.0);
        assert!((number_of(&our_alarm[4]) - number_of(&their_alarm[3]) - 8.0 / 24.0).abs() < 0.01, "{our_alarm:?}");
        assert_eq!(our_alarm[1], "old");
    }
    // The original mailed the whole page every time; what is said here is what is new.
    let mail = fs::read_to_string(fixture("backups/golden/zz3.mail.txt")).unwrap();
    assert!(mail.contains("tracs/dybaux") && !mail.contains("tracs/dybsvn"));
    // The original never named what lies there and is not watched.
    assert!(
        said[0].starts_with("collect-backups: ZZ SDU: unlisted: 1 set there ") && said[0].lines().count() == 1,
        "{}",
        said[0]
    );
    assert!(
        said[1].starts_with("collect-backups: ZZ SDU tracs/dybaux: old: ") && said[1].lines().count() == 1,
        "{}",
        said[1]
    );
    let third: Vec<_> = said[2].lines().map(|line| line.split(": ").nth(2).unwrap()).collect();
    assert_eq!(third, ["shrunk", "small"], "{}", said[2]);
}

/// The original said ok of a node that never answered, and of sets whose names begin alike.
#[test]
fn what_the_original_called_ok_without_a_backup_is_an_alarm() {
    for (golden, nodes) in [("c2_never_answered", "C H1"), ("x_prefix", "SDU")] {
        let site = Site::new("");
        fs::create_dir_all(site.sandbox.path("report")).unwrap();
        let is_dead = golden == "c2_never_answered";
        site.sandbox.program("ssh", if is_dead { "exit 255" } else { "SCM_FOLD=/nosuch exec sh -s" });
        site.config(&format!(
            "[backups]\nreport_directory = {}\n[hub X]\nnodes = {nodes}\nroot = $SCM_FOLD/backup/x\nsets = svn/dybsvn svn/dybaux\n",
            site.sandbox.path("report").display()
        ));
        site.at("2012-11-13T08:09:36Z", &[]);
        let theirs = rows(&fs::read_to_string(fixture(&format!("backups/golden/{golden}.rst"))).unwrap());
        let ours = rows(&read(&site, "X/index.rst"));
        for (their, our) in theirs.iter().zip(&ours).skip(1) {
            assert_eq!(
                (their[0].as_str(), &their[1..4], their[4].as_str()),
                (our[0].as_str(), &["0".to_string(), "0".into(), "0".into()][..], "ok")
            );
            assert_eq!((our[3].as_str(), our[4].as_str()), (if is_dead { "0" } else { "2" }, "alarm"));
        }
    }
}
