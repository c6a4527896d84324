//! Missing databases and policies, logins without a right: named with the way out, and what was collected waits for it.

use std::fs;

use super::{PASSWORD, close, is_empty, run, sandbox, server, status};

#[test]
fn a_missing_place_keeps_the_batch_until_it_is_there() {
    let Some(influxdb) = server("a_missing_place_keeps_the_batch_until_it_is_there", &[]) else { return };
    let sandbox = sandbox(influxdb.port, "");
    let missing = |minute: i64, words: &str| {
        let outcome = run(&sandbox, minute);
        assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
        assert!(
            outcome.stderr.contains(words) && outcome.stderr.contains("points wait in the spool"),
            "{}",
            outcome.stderr
        );
    };
    missing(0, r#"HTTP 404 "database not found: "monit_jobs""; the database is missing: --setup creates it"#);
    influxdb.query("CREATE DATABASE monit_jobs");
    missing(1, r#"HTTP 500 "retention policy not found: 10m"; the retention policy is missing: --setup creates it"#);
    let check = sandbox.run(&["--check"]);
    assert!(check.stdout.contains("lacks the retention policies 10m, 1h, 1d; --setup creates it"), "{}", check.stdout);
    influxdb.query("CREATE RETENTION POLICY \"1h\" ON monit_jobs DURATION 5h REPLICATION 1");
    // What exists stays as it is, whatever its duration.
    let made = sandbox.run(&["--setup"]);
    assert_eq!(made.stdout, "ok      influxdb  created retention policy 10m as default, retention policy 1d\n");
    let policies: Vec<_> = influxdb
        .rows("SHOW RETENTION POLICIES ON monit_jobs")
        .iter()
        .map(|row| format!("{} {} {}", row[0].as_str().unwrap(), row[1].as_str().unwrap(), row[4]))
        .collect();
    assert_eq!(policies, ["autogen 0s false", "1h 5h0m0s false", "10m 0s true", "1d 0s false"]);
    let outcome = run(&sandbox, 2);
    assert!(outcome.code == Some(0) && outcome.stderr.contains(" 0 wait"), "{}", outcome.stderr);
    influxdb.query("DROP RETENTION POLICY \"1d\" ON monit_jobs");
    let check = sandbox.run(&["--check"]);
    assert_eq!(check.code, Some(1));
    assert!(check.stdout.contains("lacks the retention policy 1d; --setup creates it"), "{}", check.stdout);
}

#[test]
fn each_login_is_told_what_it_lacks() {
    let Some(influxdb) = server("each_login_is_told_what_it_lacks", &[]) else { return };
    let sandbox = sandbox(influxdb.port, "");
    assert_eq!(sandbox.run(&["--setup"]).code, Some(0));
    for (user, right) in [("reader", "READ"), ("writer", "WRITE")] {
        influxdb.query(&format!("CREATE USER {user} WITH PASSWORD 'hunter2'"));
        influxdb.query(&format!("GRANT {right} ON monit_jobs TO {user}"));
    }
    let text = fs::read_to_string(sandbox.path("config.cfg")).unwrap();
    let login = |lines: &str| {
        let (before, after) = text.split_once("username").unwrap();
        let after = &after[after.find("database").unwrap()..];
        sandbox.write("config.cfg", format!("{before}{lines}\n{after}"));
        close(&sandbox);
    };
    let said = |arguments: &[&str], code: i32, words: &str| {
        let outcome = sandbox.run(arguments);
        let all = outcome.stdout + &outcome.stderr;
        assert_eq!(outcome.code, Some(code), "{all}");
        assert!(all.contains(words) && !all.contains("hunter2") && !all.contains(PASSWORD), "{all}");
    };
    login("");
    said(
        &["--check"],
        1,
        "HTTP 401 \"unable to parse authentication credentials\"; it asks for a login: set [influxdb] username and password, or token",
    );
    login("username = writer\npassword = hunter3");
    said(&["--check"], 1, "it refuses the login: check username and password of [influxdb] or [credentials]");
    said(&["-v"], 1, "HTTP 401 \"authorization failed\"");
    login("username = reader\npassword = hunter2");
    said(&["--check"], 1, "its login may not write there: GRANT WRITE ON it");
    said(&["-v"], 1, "HTTP 403 \"\"reader\" user is not authorized to write to database \"monit_jobs\"\"");
    // It needs no right to read, and none to create.
    login("username = writer\npassword = hunter2");
    said(&["--check"], 0, "has the database monit_jobs");
    said(&["-v"], 0, "");
    influxdb.query("DROP RETENTION POLICY \"1h\" ON monit_jobs");
    said(&["--setup"], 1, "HTTP 403");
    assert!(!status(&sandbox, &["show"]).stdout.contains("hunter2"));
}

#[test]
fn a_config_without_a_database_or_a_whole_login_is_refused() {
    let sandbox = sandbox(1, "");
    let refused = |text: &str, words: &str| {
        sandbox.write("config.cfg", text);
        close(&sandbox);
        let outcome = sandbox.run(&["--check"]);
        assert_eq!(outcome.code, Some(2), "{}", outcome.stdout);
        assert!(outcome.stderr.contains(words) && !outcome.stderr.contains("hunter2"), "{}", outcome.stderr);
    };
    refused(
        "[influxdb]\nurl = http://127.0.0.1:1\n",
        "[influxdb] database: is missing; name the database here or in [credentials]",
    );
    refused(
        "[influxdb]\nurl = http://127.0.0.1:1\ndatabase = d\n[credentials]\npassword = hunter2\n",
        "line 5: [credentials] password: needs username beside it",
    );
    refused(
        "[influxdb]\nurl = http://127.0.0.1:1\ndatabase = d\ntoken = hunter2\nusername = u\n",
        "line 4: [influxdb] token: stands beside username or password",
    );
    refused("[influxdb]\nurl = http://u:hunter2@h:1\n", "line 2: [influxdb] url: carries a login");
    refused("[influxdb]\nurl = http://h:1/?p=hunter2\n", "line 2: [influxdb] url: carries a ? or #");
}

#[test]
fn a_name_ends_no_quotes() {
    let Some(influxdb) = server("a_name_ends_no_quotes", &[]) else { return };
    influxdb.query("CREATE DATABASE kept");
    let odd = r#"d"; DROP DATABASE kept --"#;
    let sandbox = sandbox(influxdb.port, &format!("database = {odd}\nretention_1h = a\"b"));
    for look in ["--setup", "--check"] {
        let outcome = sandbox.run(&[look]);
        assert_eq!(outcome.code, Some(0), "{}{}", outcome.stdout, outcome.stderr);
    }
    assert_eq!(run(&sandbox, 0).code, Some(0));
    let databases = influxdb.query("SHOW DATABASES").to_string();
    assert!(databases.contains("[\"kept\"]") && databases.contains("DROP DATABASE"), "{databases}");
    assert!(is_empty(&influxdb.query("SHOW SERIES ON kept")));
}
