//! The JSON of a node's plots: hubs with one path share it, and it needs no report.

use std::fs;

use super::Site;
use super::history::{read, series};
use super::runs::{NOW, lab, original, tarball};

/// Two hubs on this machine whose pages have one path, in two spellings.
fn two_hubs() -> Site {
    let site = lab();
    for (hub, set, bytes) in [("one", "svn/a", 1 << 20), ("two", "svn/a", 2 << 20), ("two", "svn/b", 3 << 20)] {
        tarball(&site, &format!("{hub}/{set}/2026/03/30/023000/a.tar.gz"), bytes, NOW - 12_600);
    }
    let (root, json) = (site.sandbox.path("backup"), site.sandbox.path("plots_%(node)s.json"));
    let hub = |hub: &str, path: String| {
        format!("[hub {hub}]\nnodes = local\nroot = {}/{hub}\ntimezone = UTC\njson_path = {path}\n", root.display())
    };
    let other = json.display().to_string().replace("/plots", "/.//plots");
    site.config(&(hub("one", json.display().to_string()) + &hub("two", other)));
    site
}

#[test]
fn hubs_with_one_path_share_the_page_of_a_node() {
    let site = two_hubs();
    assert_eq!(site.hour(0, &[]).code, Some(0));
    let json = read(&site, "plots_local.json");
    let plots = series(&json);
    let sizes = |name: &str| plots[name].iter().map(|(_, size)| *size).collect::<Vec<_>>();
    assert_eq!(plots.len(), 4, "{json}");
    assert_eq!(
        (sizes("OK"), sizes("one svn/a"), sizes("two svn/a"), sizes("svn/b")),
        (vec![3.0], vec![1.0], vec![2.0], vec![3.0])
    );
    let title = json["title"]["text"].as_str().unwrap();
    assert!(title.contains("/one/ ") && title.contains("/two/ "), "{title}");
    let check = site.hour(1, &["--check"]);
    assert!(!check.stdout.contains("json_path"), "{}", check.stdout);
}

#[test]
fn what_two_hubs_of_one_folder_have_is_on_their_page_once() {
    let site = lab();
    let (root, json) = (site.sandbox.path("backup"), site.sandbox.path("plots_%(node)s.json"));
    let hub = |hub: &str, sets: &str| {
        format!(
            "[hub {hub}]\nnodes = local\nroot = {}\ntimezone = UTC\nsets = {sets}\njson_path = {}\n",
            root.display(),
            json.display()
        )
    };
    site.config(&(hub("one", "svn/docs, tracs/lab") + &hub("two", "tracs/lab")));
    assert_eq!(site.hour(0, &[]).code, Some(0));
    let plots = series(&read(&site, "plots_local.json"));
    assert_eq!(plots.keys().collect::<Vec<_>>(), ["OK", "svn/docs", "tracs/lab"]);
    assert_eq!((plots["OK"].iter().map(|(_, count)| count).sum::<f64>(), plots["tracs/lab"].len()), (6.0, 4));
}

/// Hubs `A` and `B` of the original, with this path, on these nodes; the variable of the login names their folder.
fn of_original(jspath: &str, nodes: [&str; 2]) -> Site {
    let scm = ["A", "B"].map(|hub| format!("[{hub}]\nsrvnode = {hub}\njspath = $APACHE_HTDOCS/{jspath}\n")).concat();
    let site = original(&scm, &format!("[HUB]\nA = {}\nB = {}\n", nodes[0], nodes[1]), "");
    let config = fs::read_to_string(site.sandbox.path("config.cfg")).unwrap();
    let folder = site.sandbox.path("backup");
    let shell = format!("{config}[node local]\nshell = env SCM_FOLD={} sh -s\n", folder.display());
    site.sandbox.write("config.cfg", shell);
    for hub in ["A", "B"] {
        tarball(&site, &format!("backup/{hub}/svn/{hub}/2026/03/30/023000/a.tar.gz"), 1 << 20, NOW - 12_600);
    }
    fs::create_dir(site.sandbox.path("htdocs")).unwrap();
    site
}

#[test]
fn hubs_of_the_original_share_a_page_too() {
    let site = of_original("x_%(node)s.json", ["local", "local"]);
    let run = site.hour(0, &[]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let plots = series(&read(&site, "htdocs/x_local.json"));
    assert_eq!(plots.keys().collect::<Vec<_>>(), ["OK", "svn/A", "svn/B"]);
}

#[test]
fn a_page_is_that_of_one_node() {
    let site = of_original("x.json", ["local", "other"]);
    let run = site.hour(0, &[]);
    let page = site.sandbox.path("htdocs/x.json");
    let said = format!(
        "[B] jspath: {} is to be the page of local and of other; put %(node)s into it; until then B has none",
        page.display()
    );
    assert!(run.code == Some(1) && run.stderr.contains(&said), "{said} is not in {}", run.stderr);
    assert_eq!(series(&read(&site, "htdocs/x.json")).len(), 2);
    let hub = |hub: &str, nodes: &str| format!("[hub {hub}]\nnodes = {nodes}\nroot = /b\njson_path = /x.json\n");
    for (hubs, words) in [
        (
            hub("A", "local") + &hub("B", "other"),
            "[hub B] json_path: /x.json is to be the page of local and of other; put %(node)s into it",
        ),
        (hub("A", "local, other"), "a path with %(node)s, and there are several nodes"),
    ] {
        site.config(&hubs);
        let wrong = site.hour(1, &[]);
        assert!(wrong.code == Some(2) && wrong.stderr.contains(words), "{}", wrong.stderr);
    }
}

#[test]
fn a_report_that_cannot_be_written_keeps_no_page_from_being_written() {
    let site = two_hubs();
    let config = fs::read_to_string(site.sandbox.path("config.cfg")).unwrap();
    let nowhere = format!("[backups]\nreport_directory = {}\n", site.sandbox.path("nowhere").display());
    site.sandbox.write("config.cfg", config + &nowhere);
    let run = site.hour(0, &[]);
    assert!(run.code == Some(1) && run.stderr.contains("no such folder; make it"), "{}", run.stderr);
    assert_eq!(series(&read(&site, "plots_local.json")).len(), 4);
}
