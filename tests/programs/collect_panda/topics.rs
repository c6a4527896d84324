//! Late runs, records of nulls, and more datadisks than a page of Elasticsearch holds.

use super::*;

const DATADISKS: &str = "/_msearch";

fn jobs(lines: &[String]) -> Vec<&String> {
    lines.iter().filter(|line| line.starts_with("jobs,")).collect()
}

#[test]
fn a_late_run_sends_its_slot_and_neither_uses_nor_changes_what_later_ones_know() {
    let site = Site::golden();
    site.server.gives(PANDA, &json!({"CERN": {"managed": {"SCORE": {"running": 5, "failed": 1}}}}));
    assert_eq!(site.at(NOW, &[]).stderr, "");
    let files = || {
        let state = fs::read_dir(site.sandbox.path("state")).unwrap().map(|file| file.unwrap().path());
        let ours = state.filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_string();
            path.is_file() && name.starts_with("collect-panda.") && !name.ends_with(".mark") && !name.ends_with(".lock")
        });
        let mut files: Vec<_> = ours.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
        files.sort();
        files
    };
    let (before, asked) = (files(), |path: &str| site.server.asked(path).len());
    assert!(before.len() > 5, "reports, series and the copies: {}", before.len());
    assert_eq!([QUEUES, SITES, ENDPOINTS, FEDERATIONS, BENCHMARKS].map(asked), [1; 5]);
    // An hour late, and failed jobs are gone: no zero, since only the later run knows of them.
    site.server.gives(PANDA, &json!({"CERN": {"managed": {"SCORE": {"running": 7}}}}));
    let (late, slot) = (NOW - 3600, (NOW - 3600) / 600 * 600);
    let outcome = site.at(late, &["-v"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!([QUEUES, SITES, ENDPOINTS, FEDERATIONS, BENCHMARKS].map(asked), [2; 5], "asked afresh");
    assert_eq!(files(), before);
    let (_, lines) = site.lines(late);
    assert_eq!(jobs(&lines).len(), 1, "{lines:?}");
    assert!(
        lines.contains(&format!("coverage,grid=atlas,measurement=jobs slots=1i,step_seconds=600i {slot}000000000"))
    );
    let text = Command::new(program("gridmon-status"))
        .args(["store", "export"])
        .current_dir(site.sandbox.path(""))
        .output()
        .unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.lines().any(|line| line.starts_with("jobs,") && line.contains(&format!(" {slot}"))), "{text}");
    // One that cannot ask CRIC has no copy either, though there is one: the queues of later are not those of then.
    site.server.answers(QUEUES, page("500 Internal Server Error", ""));
    let outcome = site.at(late, &[]);
    assert!(outcome.stderr.contains("there is no copy yet; without queues there are no points"), "{}", outcome.stderr);
    assert_eq!(files(), before);
    // The next one in order is a run like any other: the failed ones are zero now.
    site.server.gives(QUEUES, &recorded("scraped_cric_pandaqueue.json"));
    let (_, lines) = site.lines(NOW + 600);
    assert_eq!(jobs(&lines).len(), 2, "{lines:?}");
}

#[test]
fn records_of_a_name_alone_and_of_nulls_are_records() {
    let site = Site::golden();
    let mut queues = recorded("scraped_cric_pandaqueue.json");
    for (name, record) in recorded("pandaqueue_modern_edge.json").as_object().unwrap() {
        queues[name] = record.clone();
    }
    site.server.gives(QUEUES, &queues);
    let counts = json!({"managed": {"MCORE": {"running": 1}, "SCORE": {"running": 2}}});
    site.server.gives(PANDA, &json!({"NULLS": counts, "MINIMAL": counts, "AGLT2": counts}));
    let (outcome, lines) = site.lines(NOW);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    assert_eq!(jobs(&lines).len(), 6);
    let of = |queue: &str, resource: &str| {
        let (queue, resource) = (format!("panda_queue={queue},"), format!(",resource={resource},"));
        lines.iter().find(|line| line.contains(&queue) && line.contains(&resource)).unwrap().clone()
    };
    for (queue, resource, parts) in [
        ("NULLS", "MCORE", ["atlas_site=None,", "federation=None,", "site_state=online,", "resource_factor=8.0,"]),
        ("NULLS", "SCORE", ["tier=None,", "cloud=None,", "corepower=1.0,", "resource_factor=1.0,"]),
        ("MINIMAL", "MCORE", ["atlas_site=None,", "country=Germany,", "site_state=offline,", "resource_factor=1.0,"]),
    ] {
        let line = of(queue, resource);
        parts.iter().for_each(|part| assert!(line.contains(part), "{part}: {line}"));
        // All 21 tags, whatever the record has.
        assert_eq!(line.split(" HS06").next().unwrap().replace("\\ ", "_").matches('=').count(), 21, "{line}");
    }
}

#[test]
fn a_thousand_endpoints_are_asked_for_and_come_whole_or_not_at_all() {
    let site = Site::golden();
    site.config(&format!("[credentials_monit_grafana]\nurl = {}{DATADISKS}\ntoken = {SECRET}", site.server.url));
    let bucket =
        |at: usize| json!({"key": format!("SITE{at}_DATADISK"), "3": {"value": 1e15 + at as f64}, "1": {"value": at}});
    let answer = |count: usize, others: usize| {
        let endpoints = json!({"sum_other_doc_count": others, "buckets": (0..count).map(bucket).collect::<Vec<_>>()});
        json!({"responses": [{"status": 200, "aggregations": {"days": {"buckets": [{"key": 1, "4": endpoints}]}}}]})
    };
    let kept = || -> Value {
        serde_json::from_slice(&fs::read(site.sandbox.path("state/collect-panda.atlas.datadisk")).unwrap()).unwrap()
    };
    site.server.gives(DATADISKS, &answer(1200, 0));
    let outcome = site.at(NOW, &[]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    let records = kept()["records"].as_array().unwrap().clone();
    assert_eq!(records.len(), 1200);
    assert_eq!(records[1199], json!({"rse": "SITE1199_DATADISK", "bytes": 1_000_000_000_001_199_i64, "files": 1199}));
    let request = &site.server.asked(DATADISKS)[0];
    let body: Value = serde_json::from_str(request.lines().last().unwrap()).unwrap();
    assert!(body["aggs"]["days"]["aggs"]["4"]["terms"]["size"].as_u64().unwrap() >= 10_000, "{body}");
    assert!(request.to_lowercase().contains(&format!("authorization: bearer {}", SECRET.to_lowercase())));
    // Half an answer is none.
    site.server.gives(DATADISKS, &answer(1100, 7));
    let outcome = site.at(NOW + 3600, &["-v"]);
    assert!(
        outcome.code == Some(1) && outcome.stderr.contains("lacks 7 documents of endpoints beyond its limit"),
        "{}",
        outcome.stderr
    );
    assert_eq!(kept()["records"].as_array().unwrap().len(), 1200);
    assert!(!outcome.stderr.contains(SECRET));
}

#[test]
fn points_that_go_to_carbon_alone_give_no_table_and_who_named_mysql_is_told() {
    let site = Site::golden();
    let config = fs::read_to_string(site.sandbox.path("config.cfg")).unwrap();
    let with = |more: &str| {
        let lines = config.lines().filter(|line| !line.starts_with("[embedded]") && !line.starts_with("path = "));
        let config = lines.chain(["[carbon]", "host = 127.0.0.1", "port = 9", more]).collect::<Vec<_>>().join("\n");
        fs::write(site.sandbox.path("config.cfg"), config + "\n").unwrap();
        site.at(NOW, &[]).stderr
    };
    let said = with("");
    assert!(said.contains("carbon") && !said.contains("table jobs"), "{said}");
    let said = with("[mysql]\nhost = 127.0.0.1\ndatabase = d\nusername = u\npassword = p\ntls = off");
    let why = "neither Carbon nor a master can be asked for sums: set [embedded] path too, or [influxdb] url";
    assert!(said.contains(&format!("table jobs: not written, since {why}")), "{said}");
    let check = site.at(NOW, &["--check"]);
    assert_eq!(check.lines_with(&format!("tables go to no database, since {why}")).len(), 1, "{}", check.stdout);
}

/// Python's json takes the last of two; the record is one like any other, and so are all others of the answer.
#[test]
fn a_key_twice_in_a_record_costs_no_topic() {
    let site = Site::golden();
    let text = recorded("scraped_cric_pandaqueue.json").to_string();
    let twice = text.replacen(
        "\"atlas_site\":",
        "\"country\":\"Nowhere\",\"country\":\"Germany\",\"atlas_site\":\"X\",\"atlas_site\":",
        1,
    );
    assert_ne!(text, twice);
    let (before, lines) = site.lines(NOW);
    assert_eq!((before.code, before.stderr.as_str()), (Some(0), ""));
    site.server.answers(QUEUES, page("200 OK", &twice));
    site.server.answers(SITES, page("200 OK", "{\"CERN\":{\"name\":\"CERN\",\"name\":\"CERN\"}}"));
    let (outcome, with_twice) = site.lines(NOW);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    assert_eq!(jobs(&with_twice).len(), jobs(&lines).len());
}

/// PanDA's two queues are one series of the stores: one of them is missing, so that nothing is known of what is absent.
#[test]
fn of_two_names_that_become_one_the_second_is_named_and_nothing_counts_as_zero() {
    let site = Site::golden();
    let counts = |jobs: i64| json!({"managed": {"SCORE": {"running": jobs}}});
    site.server.gives(PANDA, &json!({"": counts(1), "C": counts(3)}));
    assert_eq!(site.at(NOW, &[]).code, Some(0));
    site.server.gives(PANDA, &json!({"": counts(1), "No value": counts(2)}));
    let later = NOW + 600;
    let (outcome, lines) = site.lines(later);
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.stderr.contains("jobs,job_status=running,panda_queue=No\\ value,prod_source=managed,resource=SCORE")
            && outcome.stderr.contains("another point has the same name"),
        "{}",
        outcome.stderr
    );
    assert_eq!(jobs(&lines).len(), 1, "no zero of C: {lines:?}");
    assert!(!lines.iter().any(|line| line.contains("measurement=jobs")), "no coverage: {lines:?}");
    // The next whole answer has the zero.
    assert_eq!(site.at(later, &[]).code, Some(1));
    site.server.gives(PANDA, &json!({"": counts(1)}));
    let (outcome, lines) = site.lines(later + 600);
    assert_eq!((jobs(&lines).len(), outcome.stderr.as_str()), (2, ""), "{lines:?}");
}

/// Two names that differ are two series, whatever is in them; Carbon has fewer characters, and names what it cannot keep apart.
#[test]
fn names_with_characters_that_stores_lack_stay_apart() {
    let site = Site::golden();
    let names = ["A_B", "A\\B", "A\\", "A_", "A\nB", "A\tB", "A B", "A,B"];
    let counts = |jobs: usize| json!({"managed": {"SCORE": {"running": jobs + 1}}});
    let all: serde_json::Map<_, _> =
        names.iter().enumerate().map(|(at, name)| (name.to_string(), counts(at))).collect();
    site.server.gives(PANDA, &Value::Object(all));
    assert_eq!(site.at(NOW, &[]).stderr, "");
    let export = Command::new(program("gridmon-status"))
        .args(["store", "export"])
        .current_dir(site.sandbox.path(""))
        .output()
        .unwrap();
    let text = String::from_utf8(export.stdout).unwrap();
    let of = |jobs: usize| -> String {
        let line = text
            .lines()
            .find(|line| line.contains(&format!(",jobs={jobs}i,")))
            .unwrap_or_else(|| panic!("{jobs} in {text}"));
        line.split_once("panda_queue=").unwrap().1.split(",pilot_manager=").next().unwrap().into()
    };
    let stored: Vec<_> = (1..=names.len()).map(of).collect();
    assert_eq!([&stored[0], &stored[1], &stored[3], &stored[6], &stored[7]], ["A_B", "A\\B", "A_", "A\\ B", "A\\,B"]);
    for (at, begin) in [(2, "A\\_"), (4, "A_B_"), (5, "A_B_")] {
        let hash = stored[at].strip_prefix(begin).unwrap_or_else(|| panic!("{stored:?}"));
        assert!(hash.len() == 16 && hash.chars().all(|c| c.is_ascii_hexdigit()), "{stored:?}");
    }
    assert_ne!(stored[4], stored[5]);
    // Four of them have one path.
    let carbon = site.at(NOW, &["-n", "--format", "carbon"]);
    let paths: Vec<_> = carbon.stdout.lines().filter(|line| line.contains(".running.jobs ")).collect();
    assert_eq!(paths.iter().filter(|line| line.starts_with("panda.A_B.")).count(), 1, "{paths:?}");
    assert_eq!(paths.len(), 5, "{paths:?}");
    let verbose = site.at(NOW, &["-v", "-n", "--format", "carbon"]);
    let named = verbose.stderr.matches("its Carbon path panda.A_B.").count();
    assert_eq!((named, verbose.code), (3, Some(1)), "{}", verbose.stderr);
}

/// Whether an odd count is still one, and the table could be written, nobody knows without PanDA.
#[test]
fn what_panda_alone_can_tell_has_not_recovered_while_panda_is_down() {
    let site = Site::golden();
    let config = fs::read_to_string(site.sandbox.path("config.cfg")).unwrap();
    let mysql = "[mysql]\nhost = 127.0.0.1\nport = 9\ndatabase = d\nusername = u\npassword = p\ntls = off\n";
    fs::write(site.sandbox.path("config.cfg"), config + mysql).unwrap();
    let odd = json!({"CERN": {"managed": {"SCORE": {"running": 5, "sent": null}}}});
    site.server.gives(PANDA, &odd);
    let said = site.at(NOW, &[]).stderr;
    assert!(said.contains("count CERN/managed/SCORE/sent: is null") && said.contains("table jobs: "), "{said}");
    site.server.answers(PANDA, page("500 Internal Server Error", ""));
    let said = site.at(NOW + 600, &[]).stderr;
    assert!(said.contains("panda: ") && said.lines().count() == 1, "{said}");
    site.server.gives(PANDA, &odd);
    let said = site.at(NOW + 1200, &[]).stderr;
    assert!(said.contains("panda: works again after 10 min") && said.lines().count() == 1, "{said}");
    site.server.gives(PANDA, &json!({"CERN": {"managed": {"SCORE": {"running": 5}}}}));
    let said = site.at(NOW + 1800, &[]).stderr;
    assert!(said.contains("count CERN/managed/SCORE/sent: works again after 30 min"), "{said}");
}

/// Whether the table can be written, neither a run into another database can tell nor one that has no queues.
#[test]
fn a_table_that_a_run_had_none_to_write_of_has_not_recovered() {
    let site = Site::golden();
    let influxdb = "[influxdb]\nurl = http://127.0.0.1:9\ndatabase = monit_jobs";
    site.config(influxdb);
    let said = site.at(NOW, &[]).stderr;
    assert!(said.contains("table jobs: not written, since the points of this run have not reached influxdb"), "{said}");
    let said = site.at(NOW + 600, &["--database", "test_monit_jobs"]).stderr;
    assert_eq!(said, "");
    fs::remove_file(site.sandbox.path("state/collect-panda.atlas.pandaqueue")).unwrap();
    site.server.answers(QUEUES, page("500 Internal Server Error", ""));
    let said = site.at(NOW + 1200, &[]).stderr;
    assert!(said.contains("without queues there are no points") && said.lines().count() == 1, "{said}");
    // Now into the file, which takes it.
    site.config("");
    site.server.gives(QUEUES, &recorded("scraped_cric_pandaqueue.json"));
    let said = site.at(NOW + 1800, &[]).stderr;
    assert!(said.contains("table jobs: works again after 30 min"), "{said}");
}
