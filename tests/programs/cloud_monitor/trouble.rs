//! Hostile questions and names, and stores and servers in trouble.

use super::*;

#[test]
fn hostile_questions_are_refused_in_words() {
    let sandbox = Sandbox::new("small");
    collect(&sandbox, 2, 1);
    let site = Site::start(&sandbox);
    let many = "path=grids.heprc.jobs.all.idle&".repeat(101);
    for (question, words) in [
        ("", "say which numbers, with path=…"),
        ("path=grids.heprc.*.all.idle", "no measurement has this path"),
        ("path=*", "no measurement has this path"),
        ("path=grids.hep*.jobs.all.idle", "no measurement has this path"),
        ("path=grids.heprc.jobs.all.idle,grids.heprc.jobs.all.held", "no measurement has this path"),
        ("path=alias(grids.heprc.jobs.all.idle,%22x%22)", "no measurement has this path"),
        ("path=../../etc/passwd", "no measurement has this path"),
        ("path=carbon.agents.x.cpuUsage", "no measurement has this path"),
        ("path=%00&from=-1h", "no measurement has this path"),
        ("path=%3Cscript%3Ealert(1)%3C/script%3E", "no measurement has this path"),
        ("path=grids.heprc.jobs.all.idle&from=soon", "from: \\\"soon\\\" is no time"),
        ("path=grids.heprc.jobs.all.idle&from=now&to=-1h", "from is not before to"),
        ("path=grids.heprc.jobs.all.idle&from=1970-01-01", "a range of over 21 years"),
        ("path=grids.heprc.jobs.all.idle&points=NaN", "points is not 2 to 20000"),
        ("path=grids.heprc.jobs.all.idle&points=999999999999", "points is not 2 to 20000"),
        (&many, "101 paths are too many: at most 100"),
        ("path=grids.heprc.jobs.all.idle&width=1e9", "width is not 200 to 4000"),
    ] {
        for route in ["/api/v1/history", "/export", "/plot.svg"] {
            let answer = site.get(&format!("{route}?{question}"));
            assert_eq!(answer.status, 400, "{question}: {}", answer.text());
            assert!(answer.text().contains(words), "{question}: {}", answer.text());
            assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
        }
    }
    assert!(
        site.get("/export?path=grids.heprc.jobs.all.idle&format=exe")
            .text()
            .contains("is not tsv, csv, json, svg or png")
    );
    // A number that nobody sent is an empty plot, no error.
    let nobody = site.json("/api/v1/history?path=grids.nobody.jobs.all.idle");
    assert_eq!((&nobody["times"], &nobody["series"][0]["values"]), (&serde_json::json!([]), &serde_json::json!([])));
    for (path, status) in
        [("/nothing", 404), ("/static/../Cargo.toml", 404), ("/static/..%2fCargo.toml", 404), ("//", 404)]
    {
        assert_eq!(site.get(path).status, status, "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "TRACE"] {
        assert_eq!(
            site.ask(&format!("{method} / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).status,
            405,
            "{method}"
        );
    }
    let long = "a".repeat(70_000);
    assert_eq!(site.get(&format!("/json?path={long}")).status, 414);
    let header = format!("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: {long}{long}{long}\r\n\r\n");
    assert_eq!(site.ask(&header).status, 431);
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ] {
        let answer = String::from_utf8_lossy(&site.raw(garbage)).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 5"), "{answer}");
    }
    for path in
        ["/", "/tables", "/json", "/healthz", "/metrics", "/nothing", "/plot.svg?path=grids.heprc.jobs.all.idle"]
    {
        let head = site.get(path).head.to_ascii_lowercase();
        assert!(head.contains("content-security-policy: default-src 'none'"), "{path}: {head}");
        assert!(
            head.contains("x-content-type-options: nosniff") && head.contains("referrer-policy: same-origin"),
            "{path}"
        );
        assert!(!head.contains("script-src 'unsafe"), "{path}: {head}");
    }
}

#[test]
fn names_from_the_store_never_become_markup() {
    let sandbox = Sandbox::new("small");
    let evil = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "'-alert(1)-'",
        "../../etc",
        "&lt;",
        "\u{202e}rtl",
    ];
    let time = minute(1) * SECOND;
    let mut points = Vec::new();
    for name in evil {
        let tagged = |measurement: &'static str, tags: &[(&'static str, &str)], field: &'static str| {
            let tags: Vec<_> =
                [("grid", name)].iter().chain(tags).map(|(name, value)| ((*name).into(), *value)).collect();
            Point::new(measurement.into(), tags, [(field.into(), Value::Int(3))], time)
        };
        points.push(tagged("grid_heartbeat", &[("service", name)], "alive"));
        points.push(tagged("grid_vms", &[("cloud", name), ("vmtype", name), ("status", name)], "vms"));
        points.push(tagged("grid_jobs", &[("type", name), ("status", name)], "jobs"));
        points.push(tagged("grid_schedd", &[("schedd", name)], "heartbeat"));
    }
    let until = Instant::now() + LONG;
    Store::open(&sandbox.path("state/gridmon.db"), until).unwrap().write(Tier::Raw, &points, until).unwrap();
    let site = Site::start(&sandbox);
    let hostile = "%3Cscript%3Ealert(2)%3C/script%3E%22%27";
    for path in [
        "/".to_string(),
        "/tables".into(),
        format!("/?plot={hostile}&from={hostile}&to={hostile}&hide={hostile}&theme={hostile}"),
    ] {
        let answer = site.get(&path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let text = answer.text();
        for markup in ["<script>alert", "<img src=x", "onerror=alert(1)>"] {
            assert!(!text.replace("&lt;", "").replace("&gt;", "").contains(markup), "{path}: {markup} in {text}");
        }
    }
    // Each of its numbers can be plotted by the path that the page gives.
    let summary = numbers(&site.json("/json"));
    assert_eq!(summary.len(), evil.len() * 4);
    for (path, (value, _)) in summary {
        let history = site.json(&format!("/api/v1/history?path={path}&from=-1h"));
        assert_eq!(history["series"][0]["values"], serde_json::json!([value]), "{path}");
    }
}

#[test]
fn a_graphite_in_trouble_is_told_for_what_it_is() {
    let answer = |status: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    };
    let soon = Duration::ZERO;
    let nobody = "http://127.0.0.1:1".to_string();
    for (url, words) in [
        (nobody, "Connection refused"),
        (http("", LONG), "no answer within 1 s"),
        (
            http(&answer("200 OK", "<html>Please log in</html>"), soon),
            "graphite-web's answer is not a list of series: \\\"<html>Please log in</html>\\\"",
        ),
        (
            http(&answer("200 OK", "[{\"target\": \"a\", \"datapoints\": [[1.0, 17"), soon),
            "graphite-web's answer is not a list of series",
        ),
        (http(&answer("500 Internal Server Error", "out of memory"), soon), "HTTP 500 \\\"out of memory\\\""),
        (http(&answer("302 Found", ""), soon), "HTTP 302"),
    ] {
        let sandbox = Sandbox::new("small");
        sandbox.config(&format!("[graphite]\nurl = {url}\ntimeout_seconds = 1"));
        let site = Site::start(&sandbox);
        for route in ["/json", "/api/v1/history?path=grids.heprc.jobs.all.idle"] {
            let began = Instant::now();
            let answer = site.get(route);
            assert_eq!(answer.status, 502, "{words}: {}", answer.text());
            assert!(answer.text().contains(words), "{words}: {}", answer.text());
            assert!(began.elapsed() < Duration::from_secs(10));
        }
        let page = site.get("/");
        assert_eq!(page.status, 200);
        let health = site.get("/healthz");
        assert!(
            health.status == 503 && health.text().starts_with("Graphite at http://127.0.0.1:"),
            "{}",
            health.text()
        );
        assert!(site.get("/metrics").text().contains("\ncloud_monitor_store_up 0\n"));
    }
}

#[test]
fn a_store_in_trouble_is_told_and_its_recovery_is_seen() {
    let sandbox = Sandbox::new("small");
    let site = Site::start(&sandbox);
    let path = sandbox.path("state/gridmon.db");
    // None yet: no error, no grids.
    assert_eq!(site.json("/json")["grids"], serde_json::json!([]));
    assert_eq!(site.get("/healthz").status, 200);
    collect(&sandbox, 2, 1);
    assert_eq!(numbers(&site.json("/json")), stored(&sandbox), "it has appeared");

    // Damaged: the last numbers stay, with the words.
    let good = fs::read(&path).unwrap();
    fs::write(sandbox.path("bad"), "this is no database at all, only some text that lies there".repeat(100)).unwrap();
    fs::rename(sandbox.path("bad"), &path).unwrap();
    let troubled = site.json("/json");
    assert!(troubled["problem"].as_str().unwrap().contains("is not a SQLite database, or is damaged"), "{troubled}");
    assert!(!numbers(&troubled).is_empty());
    assert_eq!(site.get("/healthz").status, 503);
    let history = site.get("/api/v1/history?path=grids.heprc.jobs.all.idle");
    assert!(history.status == 502 && history.text().contains("is damaged"), "{}", history.text());

    // Put back: it works again by itself.
    fs::write(sandbox.path("good"), &good).unwrap();
    fs::rename(sandbox.path("good"), &path).unwrap();
    wait_until("the store to be seen again", LONG, || (site.get("/healthz").status == 200).then_some(()));
    assert_eq!(site.json("/json")["problem"], Json::Null);

    // Somebody holds it with a transaction: readers do not mind.
    let holder = rusqlite::Connection::open(&path).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(site.json("/json")["problem"], Json::Null);
    assert_eq!(
        site.json("/api/v1/history?path=grids.heprc.jobs.all.idle&from=-1h")["times"].as_array().unwrap().len(),
        2
    );
}
