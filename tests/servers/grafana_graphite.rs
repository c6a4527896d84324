//! The dashboards of Grafana over Graphite: they are made of the declarations of the pages, and each of their queries is asked of a real
//! graphite-web, with the variables replaced as Grafana does it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;

use gridmon::model::Point;
use gridmon::monitors::{backups, grid, instances, nodes, slurm};
use gridmon::view::grafana::dashboard;
use gridmon::view::page::{Kind, Page};
use gridmon_testkit::{Carbon, GraphiteWeb, skip, wait_until};
use serde_json::Value;

fn pages() -> [&'static Page; 6] {
    [
        &grid::page::GRIDS,
        &nodes::page::NODES_PAGE,
        &nodes::page::NODE_PAGE,
        &slurm::page::SLURM_PAGE,
        &backups::page::BACKUPS,
        &instances::page::INSTANCES_PAGE,
    ]
}

#[test]
fn the_dashboards_are_made_of_the_declarations() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/grafana/graphite");
    let mut uids = BTreeSet::new();
    for page in pages() {
        let board = dashboard(page);
        let text = format!("{}\n", serde_json::to_string_pretty(&board).unwrap());
        let path = folder.join(format!("{}.json", page.name));
        if std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1") {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &text).unwrap();
        }
        assert!(fs::read_to_string(&path).unwrap() == text, "{}: UPDATE_EXPECT=1 makes it anew", path.display());
        let uid = board["uid"].as_str().unwrap();
        assert!(uids.insert(uid.to_string()) && uid.len() <= 40, "{uid}");
        assert!(board.get("id").is_none() && board["schemaVersion"].as_i64() >= Some(36));
        let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
        for panel in board["panels"].as_array().unwrap() {
            assert!(ids.insert(panel["id"].as_i64().unwrap()) && !panel["title"].as_str().unwrap().is_empty());
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|name| panel["gridPos"][name].as_i64().unwrap());
            assert!(x >= 0 && w > 0 && x + w <= 24 && h > 0, "{panel}");
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                assert!(cells.insert(cell), "two panels at {cell:?}: {panel}");
            }
        }
    }
    let kept: BTreeSet<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(kept.len(), pages().len(), "no other file is there: {kept:?}");
}

/// Returns the Carbon path of a column's number on a host, cloud or the like called `name`, and how its line is called.
fn stored(page: &Page, name: &str) -> BTreeMap<String, String> {
    let mut stored = BTreeMap::new();
    for column in page.columns() {
        let Some(measurement) = column.measurement() else { continue };
        let (field, own) = match column.kind {
            Kind::Field(_, field) | Kind::Health(_, field) | Kind::Switch(_, field) => (field, None),
            Kind::Most(_, field, _) | Kind::Mean(_, field, _) => (field, None),
            Kind::One(_, tag, value) => (measurement.fields[0].name, Some((tag, value))),
            Kind::Pivot(_) => (measurement.fields[0].name, None),
            Kind::Key(_) | Kind::Label(..) => continue,
        };
        let value = |tag: &'static str| own.filter(|(own, _)| *own == tag).map_or(name, |(_, value)| value);
        let tags = measurement.tags.iter().map(|tag| (tag.name.into(), value(tag.name)));
        let point = Point::new(measurement.name.into(), tags, [], 0);
        let Some(path) = measurement.carbon_path(&point, field) else { continue };
        let names: Vec<_> = path.split('.').filter(|part| *part == name).collect();
        stored.insert(path.clone(), names.join("."));
    }
    stored
}

#[test]
fn graphite_web_answers_each_query_of_the_dashboards() {
    let test = "graphite_web_answers_each_query_of_the_dashboards";
    let Some(carbon) = Carbon::start() else { return skip(test, "Carbon") };
    let Some(graphite) = GraphiteWeb::start(&carbon) else { return skip(test, "graphite-web") };
    let now = jiff::Timestamp::now().as_second() / 60 * 60;
    let mut line = TcpStream::connect(("127.0.0.1", carbon.line)).unwrap();
    let mut all = BTreeMap::new();
    for page in pages() {
        for name in ["one", "two"] {
            all.extend(stored(page, name));
        }
    }
    for (at, path) in all.keys().enumerate() {
        writeln!(line, "{path} {at} {now}").unwrap();
    }
    drop(line);
    carbon.wait_until_on_disk(all.keys().map(|path| (path, now)));
    let mut shown = BTreeSet::new();
    for page in pages() {
        let board = dashboard(page);
        for panel in board["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let target = target["target"].as_str().unwrap();
                let variables = board["templating"]["list"].as_array().unwrap();
                let names = variables.iter().filter_map(|one| one["name"].as_str());
                let asked = names.fold(target.to_string(), |asked, name| asked.replace(&format!("${name}"), "*"));
                let is_variable = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '{');
                assert!(!asked.split('$').skip(1).any(is_variable), "{asked}");
                let lines = |answer: &Value| {
                    let each = answer.as_array().unwrap().iter();
                    let has_value =
                        |line: &&Value| line["datapoints"].as_array().unwrap().iter().any(|point| !point[0].is_null());
                    each.filter(has_value).map(|line| line["target"].as_str().unwrap().to_string()).collect::<Vec<_>>()
                };
                let found = wait_until(target, std::time::Duration::from_secs(30), || {
                    let found = lines(&graphite.render(&asked, now - 120, now + 60));
                    (found.len() >= 2).then_some(found)
                });
                let is_named = |name: &str| found.iter().any(|line| line.split('.').all(|part| part == name));
                assert!(is_named("one") && is_named("two"), "{asked}: {found:?}");
                shown.insert(asked);
            }
        }
    }
    assert!(shown.len() > 80, "{}", shown.len());
    // The variables offer what is there.
    for (page, query) in [(0, "grids.*"), (1, "*")] {
        let board = dashboard(pages()[page]);
        assert_eq!(board["templating"]["list"][1]["query"], query);
        let found = graphite.find(query);
        assert!(found.iter().any(|name| name.ends_with("one")), "{found:?}");
    }
}
