//! Answers in every state: what is missing is said, what is there is sent, and no bad answer replaces a good copy.

use super::*;

/// What a run says, without the time at its end.
fn said(outcome: &Outcome) -> &str {
    outcome.stderr.trim_end()
}

#[test]
fn what_panda_says_when_it_fails_is_no_answer() {
    let site = Site::golden();
    // The copies of CRIC.
    assert_eq!(site.at(NOW, &[]).stderr, "");
    let small = recorded("v1_small.json").to_string();
    let ok = |body: &str| page("200 OK", body);
    let cases = [
        (ok(&recorded("v1_error_db.json").to_string()), "PanDA says that it failed: "),
        (ok(r#"{"success": true, "message": "", "data": null}"#), "the answer has no data"),
        (ok(r#"{"success": true, "message": "", "data": {}}"#), "the answer holds no counts"),
        (ok(r#"{"success": "yes", "data": {}}"#), "success is neither true nor false"),
        (ok("{}"), "the answer holds no counts"),
        (ok("[]"), "the answer is not PanDA's statistics"),
        (ok(""), "the answer is empty"),
        (ok("<html>Please log in</html>"), "the answer is a web page"),
        (ok(&fs::read_to_string(fixture("panda/v1_small_pyrepr.txt")).unwrap()), "the answer is not JSON"),
        (ok(&small[..small.len() / 2]), "the answer broke off after "),
        (page("200 OK", &small)[..200].to_vec(), "the answer broke off: "),
        (
            b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere.example.org/\r\nContent-Length: 0\r\n\r\n".to_vec(),
            "a redirect to https://elsewhere.example.org/, which is not followed; set [panda] url",
        ),
        (page("403 Forbidden", &fs::read_to_string(fixture("panda/legacy_403_body.txt")).unwrap()), "HTTP 403"),
        (page("500 Internal Server Error", "Traceback"), "HTTP 500"),
    ];
    for (at, (answer, words)) in (1..).zip(cases) {
        site.server.answers(PANDA, answer);
        let outcome = site.at(NOW + 600 * at, &["-v"]);
        assert_eq!(outcome.code, Some(1), "{words}: {outcome:?}");
        assert!(said(&outcome).contains("collect-panda: panda: "), "{words}: {}", outcome.stderr);
        assert!(said(&outcome).contains(words), "{words}: {}", outcome.stderr);
        assert!(said(&outcome).contains("no job counts in this run"), "{words}: {}", outcome.stderr);
        let (_, lines) = site.lines(NOW + 600 * at);
        assert!(!lines.iter().any(|line| line.starts_with("jobs,") || line.contains("measurement=jobs")), "{words}");
    }
    // One that hangs, and one that drips for longer than the answer may take.
    for pause in [Duration::from_secs(5), Duration::from_millis(100)] {
        site.server.drips(PANDA, page("200 OK", &small), pause);
        let outcome = site.at(NOW + 60_000, &["-n"]);
        assert!(outcome.code == Some(1) && said(&outcome).contains(" within 1 s"), "{}", outcome.stderr);
        assert!(outcome.took < Duration::from_secs(5), "{:?}", outcome.took);
    }
}

#[test]
fn both_forms_of_the_answer_are_read_and_panda_is_asked_as_it_wants() {
    let site = Site::golden();
    let jobs = |answer: Value| {
        site.server.gives(PANDA, &answer);
        let (outcome, lines) = site.lines(NOW);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
        lines
    };
    let counts = recorded("panda_stats.json");
    let lines = jobs(counts.clone());
    assert_eq!(jobs(json!({"success": true, "message": "", "data": counts})), lines);
    let request = &site.server.asked(PANDA)[0];
    assert!(request.starts_with("GET /panda?time_window=10 HTTP/1.1\r\n"), "{request}");
    let head = request.to_ascii_lowercase();
    assert_eq!(head.matches("\r\naccept: ").count(), 1, "{request}");
    assert!(head.contains("\r\naccept: application/json\r\n") && !head.contains("authorization"), "{request}");
}

#[test]
fn odd_counts_are_named_and_left_out_and_the_rest_is_sent_without_coverage() {
    let site = Site::golden();
    let odd = json!({"CERN": {"managed": {"SCORE": {
        "running": 5.0, "assigned": null, "failed": "5", "holding": -1, "sent": 5.5, "merging": 9_223_372_036_854_775_807_i64,
        "closed": 9_223_372_036_854_775_808_u64, "a status of its own": 1,
    }}}});
    site.server.gives(PANDA, &odd);
    let (outcome, lines) = site.lines(NOW);
    assert_eq!(outcome.code, Some(1));
    for name in ["assigned", "failed", "holding", "sent", "closed"] {
        assert!(outcome.stderr.contains(&format!("CERN/managed/SCORE/{name}")), "{name}: {}", outcome.stderr);
    }
    let jobs: Vec<_> = lines.iter().filter(|line| line.starts_with("jobs,")).collect();
    assert_eq!(jobs.len(), 3, "{jobs:?}");
    assert!(jobs.iter().any(|line| line.contains("job_status=running,") && line.contains("jobs=5i")));
    assert!(jobs.iter().any(|line| line.contains("jobs=9223372036854775807i")));
    assert!(!lines.iter().any(|line| line.starts_with("coverage,")), "the answer is not whole");
}

#[test]
fn a_number_beyond_all_floats_and_names_of_any_characters_are_named() {
    let site = Site::golden();
    site.server.answers(PANDA, page("200 OK", r#"{"CERN": {"managed": {"SCORE": {"running": 5, "sent": 1e400}}}, "B Q,1": {"te/st a": {"S": {"sent": null}}}}"#));
    let (outcome, lines) = site.lines(NOW);
    assert!(lines.iter().any(|line| line.contains("job_status=running,") && line.contains("jobs=5i")), "{lines:?}");
    for said in [
        r#"count CERN/managed/SCORE/sent: is "1e400", no number of jobs; "#,
        r#"count B_Q,1/te/st_a/S/sent: is null, no number of jobs ("B Q,1", "te/st a", "S", "sent"); "#,
    ] {
        assert!(outcome.stderr.contains(said), "{said}: {}", outcome.stderr);
    }
    // An envelope without a word of success is no queue.
    site.server.answers(PANDA, page("200 OK", r#"{"data": {"CERN": {"managed": {"SCORE": {"running": 5}}}}}"#));
    let outcome = site.at(NOW + 600, &["-n"]);
    let said = "panda: the answer is not PanDA's statistics: no count in it is a number";
    assert!(outcome.code == Some(1) && outcome.stderr.contains(said), "{}", outcome.stderr);
}

#[test]
fn setup_makes_the_state_directory_in_which_the_table_lies() {
    let site = Site::golden();
    let path = |name: &str| site.sandbox.path(name).display().to_string();
    let state = format!("[state]\ndirectory = {}\n", path("new/state"));
    let store = format!("[embedded]\npath = {}\n", path("new/gridmon.db"));
    for sink in ["[carbon]\nhost = 127.0.0.1\n", &store] {
        let _ = fs::remove_dir_all(path("new"));
        site.sandbox.write("config.cfg", format!("[panda]\nurl = {}{PANDA}\n{state}{sink}", site.server.url));
        let check = site.run(&["--check"]);
        assert!(check.lines_with("failed  embedded").is_empty(), "{sink}: {}", check.stdout);
        let setup = site.run(&["--setup"]);
        assert!(
            setup.stdout.contains("ok      state") && setup.lines_with("failed  embedded").is_empty(),
            "{sink}: {}",
            setup.stdout
        );
        assert!(site.sandbox.path("new/state").is_dir());
    }
}

#[test]
fn a_bad_answer_of_cric_never_replaces_a_good_copy() {
    let site = Site::golden();
    assert_eq!(site.at(NOW, &[]).stderr, "");
    let (_, good) = site.lines(NOW);
    let tags = |lines: &[String]| -> Vec<String> {
        lines
            .iter()
            .filter(|line| line.starts_with("jobs,"))
            .map(|line| line.split(" HS06").next().unwrap().into())
            .collect()
    };
    let queues = recorded("scraped_cric_pandaqueue.json");
    let half: serde_json::Map<_, _> = queues.as_object().unwrap().clone().into_iter().take(3).collect();
    let text = queues.to_string();
    let cases = [
        (page("403 Forbidden", ""), "HTTP 403; it may want a client certificate"),
        (page("200 OK", &text[..text.len() / 2]), "the answer broke off after "),
        (page("200 OK", &json!([queues]).to_string()), "the answer is not an object of records"),
        (page("200 OK", "{}"), "the answer has no usable record"),
        (page("200 OK", &Value::Object(half).to_string()), "usable records, and the last good one had "),
        (page("200 OK", "<html>"), "the answer is a web page"),
        (page("502 Bad Gateway", "<html>"), "HTTP 502"),
    ];
    for (at, (answer, words)) in (1..).zip(cases) {
        site.server.answers(QUEUES, answer);
        let now = NOW + 600 * at;
        let outcome = site.at(now, &["-v"]);
        assert_eq!(outcome.code, Some(1), "{words}: {outcome:?}");
        assert!(
            outcome.stderr.contains("cric pandaqueue: ") && outcome.stderr.contains(words),
            "{words}: {}",
            outcome.stderr
        );
        assert!(outcome.stderr.contains("the copy of 2024-06-01 12:37 UTC serves"), "{words}: {}", outcome.stderr);
        let (_, lines) = site.lines(now);
        assert_eq!(tags(&lines), tags(&good), "{words}");
    }
    // Records of which nothing is known but the name, and names of every alphabet.
    let odd = json!({
        "a": {"panda_resource": "CERN", "atlas_site": null, "corecount": "16", "corepower": null, "astorages": {}, "rc": ""},
        "b": {"panda_resource": "žluťoučký 😀"}, "c": 5, "d": null, "e": {"name": "no queue"}, "f": {"panda_resource": ["x"]},
        "g": {"panda_resource": "AGLT2"}, "h": {"panda_resource": "BNL"}, "i": {"panda_resource": "X"},
    });
    site.server.gives(QUEUES, &odd);
    let (outcome, lines) = site.lines(NOW + 6000);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    let cern =
        lines.iter().find(|line| line.contains("panda_queue=CERN,") && line.contains("resource=MCORE,")).unwrap();
    for part in ["atlas_site=None,", "federation=No\\ value,", "corepower=1", "resource_factor=16"] {
        assert!(cern.contains(part), "{part}: {cern}");
    }
}

#[test]
fn without_any_queues_there_are_no_points_and_hourly_topics_are_asked_hourly() {
    let site = Site::golden();
    let queues = recorded("scraped_cric_pandaqueue.json");
    site.server.answers(QUEUES, page("500 Internal Server Error", ""));
    let outcome = site.at(NOW, &["-v"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("there is no copy yet; without queues there are no points"), "{}", outcome.stderr);
    let asked = |path: &str| site.server.asked(path).len();
    let first = [SITES, ENDPOINTS, FEDERATIONS, BENCHMARKS].map(asked);
    assert_eq!((first, asked(QUEUES)), ([1; 4], 1));
    site.server.gives(QUEUES, &queues);
    // 12:47, 12:57, 13:07.
    for (minutes, times) in [(10, 1), (20, 1), (30, 2)] {
        assert_eq!(site.at(NOW + 60 * minutes, &[]).code, Some(0));
        assert_eq!([SITES, ENDPOINTS, FEDERATIONS, BENCHMARKS].map(asked), [times; 4]);
    }
    assert_eq!(asked(QUEUES), 4);
}

#[test]
fn a_series_that_vanished_is_zero_once_at_its_own_offset_with_its_last_tags() {
    let site = Site::golden();
    site.server.gives(PANDA, &json!({"CERN": {"managed": {"SCORE": {"running": 5, "failed": 1}}}}));
    let of = |lines: &[String], status: &str| -> Vec<String> {
        lines.iter().filter(|line| line.contains(&format!("job_status={status},"))).cloned().collect()
    };
    assert_eq!(site.at(NOW, &[]).stderr, "");
    let (_, before) = site.lines(NOW);
    // Another tag alone makes no series vanish.
    let mut queues = recorded("scraped_cric_pandaqueue.json");
    queues["CERN"]["status"] = json!("test");
    site.server.gives(QUEUES, &queues);
    assert_eq!(site.at(NOW + 600, &[]).stderr, "");
    site.server.gives(PANDA, &json!({"CERN": {"managed": {"SCORE": {"running": 5}}}}));
    let (_, lines) = site.lines(NOW + 1200);
    let zero = &of(&lines, "failed")[0];
    let (was, offset) = (&of(&before, "failed")[0], |line: &str| line[line.len() - 9..].to_string());
    assert_eq!(offset(zero), offset(was));
    assert!(zero.contains(",site_state=test,") && zero.contains(" jobs=0i,sequence=462i "), "{zero}");
    assert_eq!(of(&lines, "running").len(), 1);
    assert_eq!(site.at(NOW + 1200, &[]).stderr, "");
    let (_, lines) = site.lines(NOW + 1800);
    assert_eq!(of(&lines, "failed"), Vec::<String>::new(), "once");
}

#[test]
fn a_failing_elasticsearch_keeps_the_benchmarks_and_its_password_is_never_shown() {
    let site = Site::golden();
    let check = site.run(&["--check"]);
    assert_eq!((check.code, check.stderr.as_str()), (Some(0), ""), "{}", check.stdout);
    for line in ["panda", "cric pandaqueue", "benchmarks"] {
        assert!(check.stdout.contains(&format!("ok      {line}")), "{line}: {}", check.stdout);
    }
    assert_eq!(site.at(NOW, &[]).stderr, "");
    let cases = [
        (page("401 Unauthorized", "who?"), "HTTP 401"),
        (
            page("200 OK", &json!({"error": {"reason": "all shards failed"}, "status": 200}).to_string()),
            "Elasticsearch says: ",
        ),
        (page("200 OK", "{}"), "the answer has no hits"),
        (
            page("200 OK", &json!({"_shards": {"failed": 2}, "hits": {"hits": []}}).to_string()),
            "2 shards of Elasticsearch failed",
        ),
        (page("200 OK", "<html>"), "the answer is a web page"),
    ];
    for (at, (answer, words)) in (1..).zip(cases) {
        site.server.answers(BENCHMARKS, answer);
        let now = NOW + 3600 * at;
        let outcome = site.at(now, &["-v"]);
        assert!(outcome.code == Some(1) && outcome.stderr.contains(words), "{words}: {}", outcome.stderr);
        assert!(!format!("{outcome:?}{:?}", site.run(&["--check", "-v"])).contains(SECRET));
        let (_, lines) = site.lines(now);
        assert!(lines.iter().any(|line| line.contains("HS06_benchmark=12.3456")), "{words}");
    }
    let state = Command::new("grep").args(["-r", SECRET]).arg(site.sandbox.path("state")).output().unwrap();
    assert!(state.stdout.is_empty());
}

#[test]
fn what_was_collected_is_in_the_store() {
    let site = Site::golden();
    let outcome = site.at(NOW, &["-v"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let export = Command::new(program("gridmon-status"))
        .args(["store", "export"])
        .current_dir(site.sandbox.path(""))
        .output()
        .unwrap();
    let text = String::from_utf8(export.stdout).unwrap();
    assert_eq!(text.lines().filter(|line| line.starts_with("jobs,")).count(), 168, "{text}");
    let carbon = site.at(NOW, &["-n", "--format", "carbon"]).stdout;
    assert!(carbon.contains("\npanda.CERN.managed.MCORE.running.jobs 153 1717245000\n"), "{carbon}");
    // What the documents show.
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/collect-panda.md")).unwrap();
    let shown: Vec<_> = page.lines().skip_while(|line| !line.starts_with("$ collect-panda")).skip(1).take(4).collect();
    assert_eq!(shown, carbon.lines().take(4).collect::<Vec<_>>());
}
