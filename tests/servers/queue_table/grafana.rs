//! The dashboards for Grafana: their form, and each query of theirs with Grafana's variables and macros replaced as Grafana does, over
//! real servers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use gridmon_testkit::program;
use gridmon_testkit::sandbox::Outcome;
use serde_json::Value;

use super::*;

fn dashboards() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/grafana");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let json = files.filter(|path| path.extension().is_some_and(|ending| ending == "json"));
    let read = |path: std::path::PathBuf| {
        (path.display().to_string(), serde_json::from_slice(&fs::read(path).unwrap()).unwrap())
    };
    json.map(read).collect()
}

fn list<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of[name].as_array().unwrap_or_else(|| panic!("{name}: {of}"))
}

fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of[name].as_str().unwrap_or_else(|| panic!("{name}: {of}"))
}

#[test]
fn the_dashboards_have_the_form_that_grafana_reads() {
    let mut uids = BTreeSet::new();
    for (path, board) in dashboards() {
        assert!(uids.insert(text(&board, "uid").to_string()) && text(&board, "uid").len() <= 40, "{path}");
        assert!(!text(&board, "title").is_empty() && board["schemaVersion"].as_i64() >= Some(36), "{path}");
        assert!(board.get("id").is_none() && board["time"]["from"].is_string(), "{path}");
        let variables = list(&board["templating"], "list");
        let kind_of = |name: &str| variables.iter().find(|one| one["name"] == name && one["type"] == "datasource");
        for (name, kind) in [("influxdb", "influxdb"), ("mysql", "mysql")] {
            assert_eq!(text(kind_of(name).unwrap(), "query"), kind, "{path}");
        }
        let sources = [
            serde_json::json!({"type": "influxdb", "uid": "${influxdb}"}),
            serde_json::json!({"type": "mysql", "uid": "${mysql}"}),
        ];
        let mut ids = BTreeSet::new();
        let mut cells = BTreeSet::new();
        for panel in list(&board, "panels") {
            assert!(ids.insert(panel["id"].as_i64().unwrap()) && !text(panel, "title").is_empty(), "{path}");
            let place = |name: &str| panel["gridPos"][name].as_i64().unwrap();
            assert!(
                place("x") >= 0 && place("w") > 0 && place("x") + place("w") <= 24 && place("h") > 0,
                "{path}: {panel}"
            );
            for cell in (place("x")..place("x") + place("w"))
                .flat_map(|x| (place("y")..place("y") + place("h")).map(move |y| (x, y)))
            {
                assert!(cells.insert(cell), "{path}: two panels at {cell:?}");
            }
            assert!(["timeseries", "table", "xychart"].contains(&text(panel, "type")), "{path}");
            let targets = list(panel, "targets");
            assert!(!targets.is_empty() && sources.contains(&panel["datasource"]), "{path}");
            for target in targets {
                assert_eq!(target["datasource"], panel["datasource"], "{path}");
                let query = if target["datasource"]["type"] == "mysql" { "rawSql" } else { "query" };
                assert!(
                    text(target, "refId").len() == 1 && !text(target, query).is_empty() && target["rawQuery"] == true
                );
            }
        }
    }
    assert_eq!(uids.len(), 3);
}

/// The servers, and what a dashboard's variables stand for.
struct Grafana<'a> {
    influxdb: &'a Influxdb,
    mariadb: &'a Mariadb,
    variables: BTreeMap<String, Vec<String>>,
}

impl Grafana<'_> {
    /// Replaces the variables, with `one` and `many` as the data source formats a value and several.
    fn replaced(&self, query: &str, format: impl Fn(&[String]) -> String) -> String {
        let mut names: Vec<_> = self.variables.iter().collect();
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        let query = names
            .into_iter()
            .fold(query.to_string(), |query, (name, values)| query.replace(&format!("${name}"), &format(values)));
        assert!(!query.replace("$/", "").contains('$'), "a variable that nobody declares: {query}");
        query
    }

    fn sql(&self, query: &str) -> Vec<String> {
        let quoted = |values: &[String]| {
            let all: Vec<_> = values.iter().map(|value| format!("'{}'", value.replace('\'', "''"))).collect();
            all.join(",")
        };
        let query = self.replaced(query, quoted);
        // As MySQL 8 has it by default.
        let mode = "SET SESSION sql_mode = CONCAT(@@sql_mode, ',ONLY_FULL_GROUP_BY'); USE monit_jobs;";
        self.mariadb.query(&format!("{mode} {query}")).lines().map(String::from).collect()
    }

    fn influxql(&self, query: &str) -> Vec<Value> {
        let (from, to) = ((START - 86_400) * 1000, (START + 3600) * 1000);
        let query =
            query.replace("$timeFilter", &format!("time >= {from}ms and time <= {to}ms")).replace("$__interval", "10m");
        let escaped = |value: &String| {
            value.chars().fold(String::new(), |text, c| {
                if r"\^$*+?.()|{}[]/".contains(c) { text + "\\" + &c.to_string() } else { text + &c.to_string() }
            })
        };
        let pattern = |values: &[String]| match values {
            [one] => escaped(one),
            all => format!("({})", all.iter().map(escaped).collect::<Vec<_>>().join("|")),
        };
        // The data source names the database.
        let query = self.replaced(&query, pattern).replace("FROM \"", "FROM \"monit_jobs\".\"");
        self.influxdb.rows(&query)
    }
}

#[test]
fn each_query_of_the_dashboards_returns_rows() {
    let Some((influxdb, mariadb)) = servers("each_query_of_the_dashboards_returns_rows") else { return };
    let site = Site::new(At::Servers(influxdb.port, mariadb.port));
    assert_eq!(site.run(&["--setup"]).code, Some(0));
    site::write_history(&influxdb, &site, START, 33 * 144);
    for slot in 0..4 {
        site.answer_for(slot);
        for seconds in site::runs_of(slot) {
            site.cric_at(slot, seconds);
            assert_eq!(site.at(START + SLOT * slot + seconds).code, Some(0));
        }
    }
    let mut hourly = Command::new(program("write-datadisk"));
    hourly.args(["--now", &(START + 2400).to_string()]).current_dir(site.sandbox.path("")).env_clear();
    let hourly = Outcome::of(&mut hourly);
    assert_eq!((hourly.code, hourly.stderr.as_str()), (Some(0), ""));
    for (path, board) in dashboards() {
        let mut grafana = Grafana { influxdb: &influxdb, mariadb: &mariadb, variables: BTreeMap::new() };
        for variable in list(&board["templating"], "list") {
            let values = match text(variable, "type") {
                "query" => grafana.sql(text(variable, "query")),
                "custom" => vec![text(variable, "query").split(',').next().unwrap().to_string()],
                _ => continue,
            };
            assert!(!values.is_empty(), "{path}: {variable}");
            grafana.variables.insert(text(variable, "name").into(), values);
        }
        for panel in list(&board, "panels") {
            for target in list(panel, "targets") {
                let title = text(panel, "title");
                if target["datasource"]["type"] == "mysql" {
                    let rows = grafana.sql(text(target, "rawSql"));
                    assert!(!rows.is_empty(), "{path}: {title}");
                } else {
                    let rows = grafana.influxql(text(target, "query"));
                    assert!(rows.iter().any(|row| row[1].is_number()), "{path}: {title}: {rows:?}");
                }
            }
        }
    }
    // One of them by hand: the sum of a cloud's running jobs in the last slot.
    let running = |key: &[String; 4]| site::jobs(&key[0], &key[3], 3).filter(|_| key[3] == "running");
    let sum: i64 = site::keys().iter().filter(|key| key[0] != "Q7").filter_map(running).sum();
    let shown = mariadb.query("SELECT SUM(running_jobs) FROM monit_jobs.jobs WHERE cloud = 'US'");
    assert_eq!(shown.trim(), sum.to_string());
}
