//! The dashboards for Grafana: their form, and each query of theirs with Grafana's variables and macros replaced as Grafana does, over
//! real servers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

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

/// What a variable of a dashboard stands for.
struct Chosen {
    values: Vec<String>,
    /// Whether several may be chosen: only then a data source quotes them.
    is_multi: bool,
}

/// The servers, and what a dashboard's variables stand for.
struct Grafana<'a> {
    influxdb: &'a Influxdb,
    mariadb: &'a Mariadb,
    variables: BTreeMap<String, Chosen>,
}

impl<'a> Grafana<'a> {
    /// A dashboard in which everything is chosen, and this retention policy.
    fn new(influxdb: &'a Influxdb, mariadb: &'a Mariadb, board: &Value, policy: &str) -> Self {
        let mut grafana = Self { influxdb, mariadb, variables: BTreeMap::new() };
        for variable in list(&board["templating"], "list") {
            let values = match text(variable, "type") {
                "query" => grafana.sql(text(variable, "query")),
                "custom" => text(variable, "query").split(',').filter(|one| *one == policy).map(String::from).collect(),
                _ => continue,
            };
            assert!(!values.is_empty(), "{variable}");
            let is_multi = variable["multi"] == true;
            assert!(is_multi || values.len() == 1, "{variable}");
            grafana.variables.insert(text(variable, "name").into(), Chosen { values, is_multi });
        }
        grafana
    }

    /// Replaces the variables, each as the data source formats what is chosen.
    fn replaced(&self, query: &str, format: impl Fn(&Chosen) -> String) -> String {
        let mut names: Vec<_> = self.variables.iter().collect();
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        let query = names
            .into_iter()
            .fold(query.to_string(), |query, (name, chosen)| query.replace(&format!("${name}"), &format(chosen)));
        assert!(!query.replace("$/", "").contains('$'), "a variable that nobody declares: {query}");
        query
    }

    fn sql(&self, query: &str) -> Vec<String> {
        let quoted = |chosen: &Chosen| {
            let quote = |value: &String| match chosen.is_multi {
                true => format!("'{}'", value.replace('\'', "''")),
                false => value.clone(),
            };
            chosen.values.iter().map(quote).collect::<Vec<_>>().join(",")
        };
        let query = self.replaced(query, quoted);
        // As MySQL 8 has it by default.
        let mode = "SET SESSION sql_mode = CONCAT(@@sql_mode, ',ONLY_FULL_GROUP_BY'); USE monit_jobs;";
        self.mariadb.query(&format!("{mode} {query}")).lines().map(String::from).collect()
    }

    /// Returns a line for each series: what it is grouped by, and its values.
    fn influxql(&self, query: &str) -> Vec<String> {
        let (from, to) = ((START - 86_400) * 1000, (START + 7200) * 1000);
        let query =
            query.replace("$timeFilter", &format!("time >= {from}ms and time <= {to}ms")).replace("$__interval", "10m");
        let escaped = |value: &String| {
            value.chars().fold(String::new(), |text, c| {
                if r"\^$*+?.()|{}[]/".contains(c) { text + "\\" + &c.to_string() } else { text + &c.to_string() }
            })
        };
        let pattern = |chosen: &Chosen| match chosen.values.as_slice() {
            [one] => escaped(one),
            all => format!("({})", all.iter().map(escaped).collect::<Vec<_>>().join("|")),
        };
        // The data source names the database.
        let query = self.replaced(&query, pattern).replace("FROM \"", "FROM \"monit_jobs\".\"");
        let answer = self.influxdb.query(&query);
        let line = |series: &Value| {
            let of: Vec<_> = series["tags"].as_object().unwrap().values().map(|tag| tag.as_str().unwrap()).collect();
            let values: Vec<_> = list(series, "values").iter().filter_map(|row| row[1].as_f64()).collect();
            format!("{} {values:?}", of.join(" "))
        };
        answer["results"][0]["series"].as_array().into_iter().flatten().map(line).collect()
    }

    /// Returns what each panel shows, by its title.
    fn shown(&self, board: &Value) -> BTreeMap<String, Vec<String>> {
        let panels = list(board, "panels").iter().map(|panel| {
            let rows = list(panel, "targets").iter().flat_map(|target| match target["rawSql"].as_str() {
                Some(query) => self.sql(query),
                None => self.influxql(text(target, "query")),
            });
            (text(panel, "title").to_string(), rows.collect())
        });
        panels.collect()
    }
}

/// Plays four slots in which everything can be reckoned by hand. In the last one two programs ran: between them CRIC changed the state of
/// Q2, whose 500 running user jobs became 20. CRIC does not know Q7.
fn four_slots(site: &Site) {
    for (slot, seconds, of_q2, running_q7, failed_q7) in
        [(0, 0, 90, 40, 0), (1, 1, 90, 40, 0), (2, 2, 90, 40, 0), (3, 5, 500, 0, 30), (3, 450, 20, 0, 30)]
    {
        site.panda_says(&serde_json::json!({
            "Q0": {"user": {"SCORE": {"assigned": 1, "activated": 5, "running": 60, "finished": 10, "failed": 2}}},
            "Q2": {"user": {"SCORE": {"running": of_q2, "failed": 0}}, "managed": {"MCORE": {"running": 300}}},
            "Q7": {"managed": {"MCORE": {"running": running_q7, "failed": failed_q7}}},
        }));
        site.cric_at(slot, seconds);
        let outcome = site.at(START + SLOT * slot + seconds);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    }
}

fn hourly(site: &Site, name: &str, now: i64) {
    let outcome = site.program(name, &["--now", &now.to_string()]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{name}");
}

/// What each panel shows of [`four_slots`]. The averages are of four slots: Q2's user jobs have (3·90 + 20)/4 = 72.5.
///
/// - Q2's user jobs: the hour before has (6·72.5 − 20)/5 = 83, m is 66.4, √(2·(66.4 − 20 + 20·ln(20/66.4))) = 6.69.
/// - Q7: (6·30 − 0)/5 = 36, m is 28.8, √57.6 = 7.589; failed m is 2·7.5 + 3 = 18, √(2·(18 − 30 + 30·ln(30/18))) = 2.579; 10.17 in all.
/// - The site of Q2 runs 320 of 372.5: m is 0.8·(6·372.5 − 320)/5 = 306.4, so its score is 0.
const PANELS: [(&str, &str, &[&str]); 19] = [
    (
        "PanDA: jobs",
        "Jobs by status",
        &[
            "activated [5.0, 5.0, 5.0, 5.0]",
            "assigned [1.0, 1.0, 1.0, 1.0]",
            "failed [2.0, 2.0, 2.0, 32.0]",
            "finished [10.0, 10.0, 10.0, 10.0]",
            "running [490.0, 490.0, 490.0, 380.0]",
        ],
    ),
    ("PanDA: jobs", "Running jobs by cloud", &["None [40.0, 40.0, 40.0, 0.0]", "US [450.0, 450.0, 450.0, 380.0]"]),
    (
        "PanDA: jobs",
        "Running jobs by site",
        &["None [40.0, 40.0, 40.0, 0.0]", "SITE-Q0 [60.0, 60.0, 60.0, 60.0]", "SITE-Q2 [390.0, 390.0, 390.0, 320.0]"],
    ),
    (
        "PanDA: jobs",
        "Running jobs by queue",
        &["Q0 [60.0, 60.0, 60.0, 60.0]", "Q2 [390.0, 390.0, 390.0, 320.0]", "Q7 [40.0, 40.0, 40.0, 0.0]"],
    ),
    (
        "PanDA: jobs",
        "Running jobs by resource type",
        &["MCORE [340.0, 340.0, 340.0, 300.0]", "SCORE [150.0, 150.0, 150.0, 80.0]"],
    ),
    (
        "PanDA: jobs",
        "Failed jobs by site",
        &["None [0.0, 0.0, 0.0, 30.0]", "SITE-Q0 [2.0, 2.0, 2.0, 2.0]", "SITE-Q2 [0.0, 0.0, 0.0, 0.0]"],
    ),
    ("PanDA: jobs", "Clouds now", &["US\t1\t5\t380\t10\t2\t0", "None\t0\t0\t0\t0\t30\t0"]),
    (
        "PanDA: jobs",
        "Sites now",
        &["SITE-Q2\tUS\t0\t0\t320\t0\t0\t0", "SITE-Q0\tUS\t1\t5\t60\t10\t2\t0", "None\tNone\t0\t0\t0\t0\t30\t0"],
    ),
    (
        "PanDA: jobs",
        "Queues now",
        &[
            "Q0\tuser\tSCORE\tSITE-Q0\tUS\tonline\t1\t5\t60\t10\t2\t60",
            "Q2\tmanaged\tMCORE\tSITE-Q2\tUS\tSTATE\t0\t0\t300\t0\t0\t300",
            "Q2\tuser\tSCORE\tSITE-Q2\tUS\tSTATE\t0\t0\t20\t0\t0\t72.5",
            "Q7\tmanaged\tMCORE\tNone\tNone\tNULL\t0\t0\t0\t0\t30\t30",
        ],
    ),
    (
        "PanDA: suspicious queues and sites",
        "Queues, the most suspicious first",
        &[
            "10.17\tQ7\tmanaged\tMCORE\tNone\tNone\t0 running, 30 in 1 h; 30 failed, 7.5 in 24 h\t0\t30.00\t30.00\t30\t7.50\t7.50\t0\t0.00\t0.00",
            "6.69\tQ2\tuser\tSCORE\tSITE-Q2\tUS\t20 running, 72.5 in 1 h\t20\t72.50\t72.50\t0\t0.00\t0.00\t0\t0.00\t0.00",
            "0.00\tQ0\tuser\tSCORE\tSITE-Q0\tUS\tas usual\t60\t60.00\t60.00\t2\t2.00\t2.00\t5\t5.00\t5.00",
            "0.00\tQ2\tmanaged\tMCORE\tSITE-Q2\tUS\tas usual\t300\t300.00\t300.00\t0\t0.00\t0.00\t0\t0.00\t0.00",
        ],
    ),
    (
        "PanDA: suspicious queues and sites",
        "Sites, the most suspicious first",
        &[
            "0.00\tSITE-Q0\t1\t0\tas usual\t60\t60.00\t60.00\t2\t2.00\t2.00\t5\t5.00\t5.00",
            "0.00\tSITE-Q2\t2\t0\tas usual\t320\t372.50\t372.50\t0\t0.00\t0.00\t0\t0.00\t0.00",
        ],
    ),
    (
        "PanDA: suspicious queues and sites",
        "Running jobs of the chosen queues",
        &["Q0 [60.0, 60.0, 60.0, 60.0]", "Q2 [390.0, 390.0, 390.0, 320.0]", "Q7 [40.0, 40.0, 40.0, 0.0]"],
    ),
    (
        "PanDA: suspicious queues and sites",
        "Failed jobs of the chosen queues",
        &["Q0 [2.0, 2.0, 2.0, 2.0]", "Q2 [0.0, 0.0, 0.0, 0.0]", "Q7 [0.0, 0.0, 0.0, 30.0]"],
    ),
    (
        "PanDA: DAOD distribution",
        "Datadisks and the jobs that read them",
        &["B_DATADISK\t72.50\t4\t7.5\t9666.667", "AGLT2_DATADISK\t60.00\t1559635\t2864830.492252718\t0.021"],
    ),
    (
        "PanDA: DAOD distribution",
        "Running analysis jobs against bytes",
        &["7.5\t72.50\tB_DATADISK", "2864830.492252718\t60.00\tAGLT2_DATADISK"],
    ),
    (
        "PanDA: DAOD distribution",
        "Running analysis jobs against files",
        &["4\t72.50\tB_DATADISK", "1559635\t60.00\tAGLT2_DATADISK"],
    ),
    ("PanDA: DAOD distribution", "Running analysis jobs by datadisk", &["AGLT2_DATADISK [60.0]", "B_DATADISK [72.5]"]),
    ("PanDA: DAOD distribution", "Occupied by datadisk", &["AGLT2_DATADISK [2864830.492252718]", "B_DATADISK [7.5]"]),
    ("PanDA: DAOD distribution", "Files by datadisk", &["AGLT2_DATADISK [1559635.0]", "B_DATADISK [4.0]"]),
];

#[test]
fn each_panel_of_the_dashboards_shows_what_can_be_reckoned_by_hand() {
    let test = "each_panel_of_the_dashboards_shows_what_can_be_reckoned_by_hand";
    let Some((influxdb, mariadb)) = servers(test) else { return };
    let site = Site::new(At::Servers(influxdb.port, mariadb.port));
    assert_eq!(site.run(&["--setup"]).code, Some(0));
    four_slots(&site);
    hourly(&site, "write-datadisk", START + 2400);
    let state = site::record("Q2", 3, 450)["status"].as_str().unwrap().to_string();
    assert_ne!(state, site::record("Q2", 3, 5)["status"].as_str().unwrap());
    let boards: BTreeMap<_, _> =
        dashboards().into_iter().map(|(_, board)| (text(&board, "title").to_string(), board)).collect();
    let mut left = 0;
    for (title, board) in &boards {
        let shown = Grafana::new(&influxdb, &mariadb, board, "10m").shown(board);
        left += shown.len();
        for (_, panel, expected) in PANELS.iter().filter(|(of, ..)| of == title) {
            let expected: Vec<_> = expected.iter().map(|line| line.replace("STATE", &state)).collect();
            assert_eq!(shown[*panel], expected, "{title}: {panel}");
            left -= 1;
        }
    }
    assert_eq!(left, 0, "a panel that nobody reckoned");

    // Hours are shown alike: of four covered slots.
    hourly(&site, "downsample-1h", START + 3900);
    let jobs = &boards["PanDA: jobs"];
    let shown = Grafana::new(&influxdb, &mariadb, jobs, "1h").shown(jobs);
    assert_eq!(shown["Running jobs by cloud"], ["None [30.0]", "US [432.5]"]);
    assert_eq!(shown["Failed jobs by site"], ["None [30.0]", "SITE-Q0 [8.0]", "SITE-Q2 [0.0]"]);

    // The score of each row is the program's own. A count that is none is missing in the sums, and they say so.
    let all = |board: &Value| Grafana::new(&influxdb, &mariadb, board, "10m").shown(board);
    let suspicious = &boards["PanDA: suspicious queues and sites"];
    let own = "SELECT FORMAT(score, 2), panda_queue FROM monit_jobs.jobs ORDER BY score DESC, 2";
    let scores: Vec<_> = all(suspicious)["Queues, the most suspicious first"]
        .iter()
        .map(|line| line.split('\t').take(2).collect::<Vec<_>>().join("\t"))
        .collect();
    assert_eq!(mariadb.query(own).lines().collect::<Vec<_>>(), scores);
    mariadb.query("UPDATE monit_jobs.jobs SET running_jobs = NULL WHERE panda_queue = 'Q2' AND prod_source = 'user'");
    assert_eq!(all(jobs)["Clouds now"][0], "US\t1\t5\t360\t10\t2\t1");
    assert_eq!(
        all(suspicious)["Sites, the most suspicious first"][1],
        "0.00\tSITE-Q2\t2\t1\tas usual\t300\t300.00\t300.00\t0\t0.00\t0.00\t0\t0.00\t0.00"
    );
    // QMonit's raw points have no sequence: one is drawn where it is alone, and gives way to a run of the same slot.
    let offset = gridmon::monitors::panda::offset("Q0", "user", "SCORE", "running");
    let old = [(START - SLOT, 33), (START, 999)].map(|(slot, jobs)| {
        let keys = "job_status=running,panda_queue=Q0,prod_source=user,resource=SCORE";
        format!("jobs,atlas_site=SITE-Q0,cloud=US,{keys} jobs={jobs}i {}", slot * 1_000_000_000 + offset)
    });
    influxdb.write("monit_jobs", "10m", &old.join("\n"));
    let by_cloud = ["None [40.0, 40.0, 40.0, 0.0]", "US [33.0, 450.0, 450.0, 450.0, 380.0]"];
    assert_eq!(all(jobs)["Running jobs by cloud"], by_cloud);
    assert_eq!(all(suspicious)["Running jobs of the chosen queues"][0], "Q0 [33.0, 60.0, 60.0, 60.0, 60.0]");
}
