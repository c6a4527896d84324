//! Faults of MariaDB: a run says what is wrong, ends in time, and leaves the table as it was or writes it whole.

use std::thread;
use std::time::Duration;

use gridmon::model::Cell;

use super::*;

/// A site whose table has the rows of slot 0.
fn filled(test: &str, options: &[&str]) -> Option<(Influxdb, Mariadb, Site)> {
    let (Some(influxdb), Some(mariadb)) = (Influxdb::start(), Mariadb::start_with(options)) else {
        skip(test, "InfluxDB or MariaDB");
        return None;
    };
    let site = Site::new(At::Servers(influxdb.port, mariadb.port));
    assert_eq!(site.run(&["--setup"]).code, Some(0));
    let first = run(&site, 0);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    Some((influxdb, mariadb, site))
}

fn run(site: &Site, slot: i64) -> gridmon_testkit::sandbox::Outcome {
    site.answer_for(slot);
    site.cric_at(slot, 0);
    let outcome = site.run(&["-v", "--now", &(START + SLOT * slot).to_string()]);
    assert!(!outcome.stderr.contains(Mariadb::PASSWORD) && !outcome.stderr.contains("s3cret"), "{}", outcome.stderr);
    outcome
}

/// Runs a slot in which the table cannot be written.
fn fails(site: &Site, slot: i64, words: &str) {
    let outcome = run(site, slot);
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("collect-panda: table jobs: ") && outcome.stderr.contains(words),
        "{}",
        outcome.stderr
    );
    assert!(outcome.took < Duration::from_secs(20), "{:?}", outcome.took);
}

/// The table, in which `running` of a row tells the slots apart.
const TABLE_OF_NOW: &str =
    "SELECT panda_queue, prod_source, resource, running_jobs, avg1h_running_jobs FROM monit_jobs.jobs ORDER BY 1, 2, 3";

/// Starts a transaction that holds the last row of the table.
fn hold_the_last_row(mariadb: &Mariadb) -> std::process::Child {
    let lock =
        "SET autocommit = 0; SELECT * FROM monit_jobs.jobs WHERE panda_queue = 'Q7' FOR UPDATE; SELECT SLEEP(60)";
    let holder = mariadb.client(lock);
    gridmon_testkit::wait_until("a lock", Duration::from_secs(10), || {
        let sleeping = "SELECT INFO FROM information_schema.PROCESSLIST WHERE STATE = 'User sleep'";
        mariadb.query(sleeping).contains("SLEEP(60)").then_some(())
    });
    holder
}

#[test]
fn a_table_that_cannot_be_written_stays_as_it_was_and_the_next_run_writes_it() {
    let test = "a_table_that_cannot_be_written_stays_as_it_was_and_the_next_run_writes_it";
    let Some((influxdb, mut mariadb, site)) = filled(test, &[]) else { return };
    let before = mariadb.query(TABLE_OF_NOW);
    assert!(before.lines().count() > 8, "{before}");
    // Another transaction holds the last row that the run would change.
    site.config(At::Servers(influxdb.port, mariadb.port), "timeout_seconds = 2");
    let mut holder = hold_the_last_row(&mariadb);
    fails(&site, 1, "another transaction holds the rows; nothing was changed; it stays as it was");
    holder.kill().unwrap();
    holder.wait().unwrap();
    // Its server process sleeps on, with the lock.
    let id = mariadb.query("SELECT ID FROM information_schema.PROCESSLIST WHERE STATE = 'User sleep'");
    mariadb.query(&format!("KILL {id}"));
    assert_eq!(mariadb.query(TABLE_OF_NOW), before);
    // It hangs, it dies in mid-transaction, it is away.
    mariadb.signal("STOP");
    fails(&site, 2, "within 2 s");
    mariadb.signal("CONT");
    let mut holder = hold_the_last_row(&mariadb);
    site.config(At::Servers(influxdb.port, mariadb.port), "");
    thread::scope(|scope| {
        let running = scope.spawn(|| run(&site, 3));
        gridmon_testkit::wait_until("a transaction", Duration::from_secs(60), || {
            assert!(!running.is_finished());
            let asked = mariadb.query("SELECT INFO FROM information_schema.PROCESSLIST WHERE USER = 'monit'");
            asked.contains("INSERT INTO `jobs`").then_some(())
        });
        mariadb.kill();
        let outcome = running.join().unwrap();
        assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    });
    fails(&site, 5, "no connection");
    mariadb.restart();
    assert_eq!(mariadb.query(TABLE_OF_NOW), before);
    holder.wait().unwrap();
    let after = run(&site, 7);
    assert_eq!(after.code, Some(0), "{}", after.stderr);
    let now = mariadb.query(TABLE_OF_NOW);
    assert!(now != before && now.lines().count() > before.lines().count(), "Q4 is new: {now}");
}

#[test]
fn a_login_that_may_not_write_and_a_table_of_other_columns_are_named() {
    let test = "a_login_that_may_not_write_and_a_table_of_other_columns_are_named";
    // Its tables and databases are latin1 unless they say otherwise.
    let Some((influxdb, mariadb, site)) = filled(test, &["--character-set-server=latin1", "--sql-mode="]) else {
        return;
    };
    let at = At::Servers(influxdb.port, mariadb.port);
    let accents = "SELECT DISTINCT panda_queue, country FROM monit_jobs.jobs WHERE panda_queue LIKE 'Q5%'";
    assert_eq!(mariadb.query(accents), "Q5 é\tCôte d'Ivoire\n");

    // More columns are none of our business, and a missing one costs itself alone, until --setup adds it.
    mariadb.query(
        "ALTER TABLE monit_jobs.jobs ADD COLUMN note VARCHAR(9) DEFAULT 'mine', DROP COLUMN score, DROP COLUMN tier",
    );
    fails(&site, 1, "the table jobs lacks the columns tier, score: --setup adds what is missing");
    assert_eq!(mariadb.query("SELECT DISTINCT note FROM monit_jobs.jobs"), "mine\n");
    assert!(
        mariadb
            .query(TABLE_OF_NOW)
            .contains(&format!("Q0\tmanaged\tMCORE\t{}\t", site::jobs("Q0", "running", 1).unwrap()))
    );
    let check = site.run(&["--check"]);
    assert!(
        check.code == Some(1) && check.lines_with("mysql, table jobs")[0].contains("lacks tier, score"),
        "{}",
        check.stdout
    );
    let setup = site.run(&["--setup"]);
    assert!(setup.stdout.contains("created column tier of table jobs, column score of table jobs"), "{}", setup.stdout);
    assert_eq!(run(&site, 2).code, Some(0));
    let check = site.run(&["--check"]);
    let line = check.lines_with("mysql, table jobs")[0];
    assert!(line.starts_with("ok ") && line.contains("MySQL 10.") && line.ends_with("rows"), "{}", check.stdout);

    // Without its key each run would add rows.
    mariadb.query("ALTER TABLE monit_jobs.jobs DROP PRIMARY KEY");
    fails(&site, 3, "no unique key of exactly panda_queue, prod_source, resource");
    // One over prefixes would make one row of two queues whose names begin alike.
    mariadb.query("ALTER TABLE monit_jobs.jobs ADD UNIQUE KEY short (panda_queue(2), prod_source, resource)");
    fails(&site, 3, "no unique key of exactly panda_queue, prod_source, resource");
    mariadb.query("ALTER TABLE monit_jobs.jobs ADD PRIMARY KEY (panda_queue, prod_source, resource)");
    fails(&site, 3, "ALTER TABLE jobs DROP INDEX `short`");
    let check = site.run(&["--check"]);
    assert!(check.code == Some(1) && check.stdout.contains("DROP INDEX `short`"), "{}", check.stdout);
    mariadb.query("ALTER TABLE monit_jobs.jobs DROP INDEX short");

    // A login that may only read, a wrong one, one without the database, and a server without TLS.
    mariadb
        .query("CREATE USER reader@'127.0.0.1' IDENTIFIED BY 'r'; GRANT SELECT ON monit_jobs.* TO reader@'127.0.0.1'");
    for (more, words) in [
        (
            "username = reader\npassword = r",
            "its login may not do that: GRANT SELECT, INSERT, UPDATE, DELETE ON `monit_jobs`.*",
        ),
        ("username = reader\npassword = wrong-s3cret", "it refuses the login"),
        ("database = other", "the database is missing: --setup creates it"),
    ] {
        site.config(at, more);
        fails(&site, 3, words);
        let check = site.run(&["--check"]);
        assert!(
            check.code == Some(1) && check.lines_with("failed  mysql, table jobs")[0].contains(words),
            "{}",
            check.stdout
        );
    }
    site.config(at, "");
    let text = std::fs::read_to_string(site.sandbox.path("config.cfg")).unwrap().replace("tls = off", "tls = verify");
    site.sandbox.write("config.cfg", text);
    fails(&site, 3, "tls = off does without");
    site.config(at, "database = other");
    let setup = site.run(&["--setup"]);
    assert!(setup.stdout.contains("created database other, table jobs"), "{}", setup.stdout);
    assert_eq!(run(&site, 7).code, Some(0));
    assert!(mariadb.query("SELECT COUNT(*) FROM other.jobs").trim().parse::<u64>().unwrap() > 8);
}

/// write-datadisk reads the table alone: a login that may not write is enough, and without the table it sends nothing.
#[test]
fn write_datadisk_needs_to_read_the_table_alone_and_sends_nothing_without_it() {
    let test = "write_datadisk_needs_to_read_the_table_alone_and_sends_nothing_without_it";
    let Some((influxdb, mut mariadb, site)) = filled(test, &[]) else { return };
    let at = At::Servers(influxdb.port, mariadb.port);
    mariadb
        .query("CREATE USER reader@'127.0.0.1' IDENTIFIED BY 'r'; GRANT SELECT ON monit_jobs.* TO reader@'127.0.0.1'");
    let run_of = |hour: i64| {
        let mut hourly = std::process::Command::new(gridmon_testkit::program("write-datadisk"));
        let now = (START + 3600 * hour + 300).to_string();
        hourly.args(["--now", &now]).current_dir(site.sandbox.path("")).env_clear();
        gridmon_testkit::sandbox::Outcome::of(&mut hourly)
    };
    let sent = || influxdb.query("SELECT COUNT(*) FROM monit_jobs.\"1h\".datadisks").to_string();
    assert_eq!(run(&site, 6).code, Some(0));
    site.config(at, "username = reader\npassword = r");
    let outcome = run_of(1);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    let before = sent();
    assert!(before.contains("datadisks"), "{before}");
    let fails = |hour: i64, words: &str| {
        let outcome = run_of(hour);
        let is_named = outcome.stderr.contains("write-datadisk: table jobs: ") && outcome.stderr.contains(words);
        assert!(outcome.code == Some(1) && is_named, "{words}: {outcome:?}");
        assert!(outcome.stderr.contains("nothing is sent") && outcome.took < Duration::from_secs(20), "{outcome:?}");
        assert_eq!(sent(), before, "{words}");
    };
    site.config(at, "username = reader\npassword = wrong-s3cret");
    fails(2, "it refuses the login");
    site.config(at, "timeout_seconds = 2");
    mariadb.signal("STOP");
    fails(3, "within 2 s");
    mariadb.signal("CONT");
    mariadb.kill();
    fails(4, "no connection");
    mariadb.restart();
    assert_eq!(run(&site, 30).code, Some(0));
    let outcome = run_of(5);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_ne!(sent(), before);

    // The table of an hour ago says nothing of this one.
    let averages = || influxdb.query("SELECT COUNT(avg1h_running_jobs) FROM monit_jobs.\"1h\".datadisks").to_string();
    let (all, with_averages) = (sent(), averages());
    let outcome = run_of(6);
    assert!(outcome.code == Some(1) && outcome.stderr.contains("table jobs: is of "), "{outcome:?}");
    assert!(sent() != all && averages() == with_averages, "{}", averages());
}

/// Plays a slot in which MariaDB fails while the run waits for the last row in mid-transaction.
fn fails_in_mid_transaction(site: &Site, mariadb: &Mariadb, slot: i64, fault: impl FnOnce(&str), words: &str) {
    thread::scope(|scope| {
        let running = scope.spawn(|| fails(site, slot, words));
        let id = gridmon_testkit::wait_until("a waiting INSERT", Duration::from_secs(60), || {
            assert!(!running.is_finished());
            let waiting = "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'monit' AND INFO LIKE 'INSERT INTO `jobs`%'";
            Some(mariadb.query(waiting).trim().to_string()).filter(|id| !id.is_empty())
        });
        fault(&id);
        running.join().unwrap();
    });
}

#[test]
fn a_deadlock_a_killed_connection_and_small_packets_leave_the_table_as_it_was() {
    let test = "a_deadlock_a_killed_connection_and_small_packets_leave_the_table_as_it_was";
    let Some((_influxdb, mariadb, site)) = filled(test, &[]) else { return };
    let before = mariadb.query(TABLE_OF_NOW);

    // The administrator ends the connection.
    let mut holder = hold_the_last_row(&mariadb);
    let kill = |id: &str| drop(mariadb.query(&format!("KILL {id}")));
    fails_in_mid_transaction(&site, &mariadb, 1, kill, "it stays as it was");
    holder.kill().unwrap();
    holder.wait().unwrap();
    let id = mariadb.query("SELECT ID FROM information_schema.PROCESSLIST WHERE STATE = 'User sleep'");
    mariadb.query(&format!("KILL {id}"));
    assert_eq!(mariadb.query(TABLE_OF_NOW), before);

    // Another transaction, which has changed more rows, holds the last row and then wants the first.
    mariadb.query("CREATE DATABASE other; CREATE TABLE other.numbers (n INT) ENGINE=InnoDB");
    let mut gate = mariadb.client("SELECT GET_LOCK('gate', 0), SLEEP(60)");
    gridmon_testkit::wait_until("the gate", Duration::from_secs(10), || {
        (mariadb.query("SELECT IS_FREE_LOCK('gate')").trim() == "0").then_some(())
    });
    let mut holder = mariadb.client(
        "SET autocommit = 0; INSERT INTO other.numbers SELECT seq FROM other.seq_1_to_5000; \
         SELECT * FROM monit_jobs.jobs WHERE panda_queue = 'Q7' FOR UPDATE; SELECT GET_LOCK('gate', 60); \
         SELECT * FROM monit_jobs.jobs WHERE panda_queue = 'Q0' FOR UPDATE; ROLLBACK",
    );
    gridmon_testkit::wait_until("a lock", Duration::from_secs(20), || {
        let waiting = "SELECT INFO FROM information_schema.PROCESSLIST WHERE STATE = 'User lock'";
        mariadb.query(waiting).contains("GET_LOCK").then_some(())
    });
    let open = |_: &str| {
        let id = mariadb.query("SELECT ID FROM information_schema.PROCESSLIST WHERE STATE = 'User sleep'");
        mariadb.query(&format!("KILL {id}"));
    };
    let words = "another transaction was in the way; nothing was changed; it stays as it was";
    fails_in_mid_transaction(&site, &mariadb, 2, open, words);
    gate.wait().unwrap();
    assert!(holder.wait().unwrap().success(), "the other transaction went on");
    assert_eq!(mariadb.query(TABLE_OF_NOW), before);

    // A server that takes small statements alone.
    let usual = mariadb.query("SELECT @@global.max_allowed_packet");
    mariadb.query("SET GLOBAL max_allowed_packet = 4096");
    fails(&site, 3, "raise its max_allowed_packet");
    mariadb.query(&format!("SET GLOBAL max_allowed_packet = {usual}"));
    assert_eq!(mariadb.query(TABLE_OF_NOW), before);

    let after = run(&site, 7);
    assert_eq!(after.code, Some(0), "{}", after.stderr);
    assert!(mariadb.query(TABLE_OF_NOW) != before);
}

#[test]
fn names_of_any_characters_are_rows_and_one_that_is_too_long_is_named() {
    let test = "names_of_any_characters_are_rows_and_one_that_is_too_long_is_named";
    let Some((influxdb, mariadb, site)) = filled(test, &["--character-set-server=latin1", "--sql-mode="]) else {
        return;
    };
    let long = "L".repeat(300);
    let names = ["Q🦀 漢", "it's `\" ; DROP TABLE jobs", "null", "q0", &long];
    let mut data = serde_json::json!({});
    for name in names {
        data[name]["managed"]["null"]["running"] = 5.into();
    }
    site.panda_says(&data);
    let outcome = site.at(START + SLOT);
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    let line = outcome.stderr.lines().find(|line| line.contains("table jobs: ")).unwrap();
    assert!(
        line.contains("1 row of the table jobs left out, since a name is too long for its column: \"LLL"),
        "{line}"
    );
    assert!(line.len() < 300, "{line}");
    let rows = site.mysql(mariadb.port).read(&TABLE, soon()).unwrap();
    let of = |name: &str| rows.iter().find(|row| TABLE.cell(row, "panda_queue").as_text() == Some(name));
    for name in names {
        let row = of(name);
        assert_eq!(row.is_some(), name != long, "{name}");
        // CRIC knows none of them.
        let cells = row.map(|row| ["running_jobs", "atlas_site", "datadisk_files"].map(|name| TABLE.cell(row, name)));
        assert!(cells.is_none_or(|cells| cells == [&Cell::Int(5), &Cell::Null, &Cell::Null]), "{name}: {cells:?}");
    }
    // All points were sent, and QMonit's rows of slot 0 are there, now without jobs.
    let stored = influxdb.rows("SELECT count(jobs) FROM monit_jobs.\"10m\".jobs WHERE resource = 'null'");
    assert_eq!(stored[0][1], names.len());
    assert_eq!(TABLE.cell(of("Q0").unwrap(), "running_jobs"), &Cell::Int(0));
}

/// A column that is narrower than ours, in a table that somebody else made.
#[test]
fn a_narrow_column_is_named_and_nothing_is_written_in_part() {
    let test = "a_narrow_column_is_named_and_nothing_is_written_in_part";
    let Some((_influxdb, mariadb, site)) = filled(test, &["--sql-mode="]) else { return };
    mariadb.query("UPDATE monit_jobs.jobs SET country = NULL; ALTER TABLE monit_jobs.jobs MODIFY country VARCHAR(4)");
    let before = mariadb.query(TABLE_OF_NOW);
    fails(&site, 1, "a column is narrower than the one that --setup makes");
    assert_eq!(mariadb.query(TABLE_OF_NOW), before);
}

/// A table that somebody else made, in ways that QMonit's own statements passed.
#[test]
fn an_engine_a_needed_column_and_a_character_set_are_named_with_their_remedies() {
    let test = "an_engine_a_needed_column_and_a_character_set_are_named_with_their_remedies";
    let Some((_influxdb, mariadb, site)) = filled(test, &["--sql-mode="]) else { return };
    let before = mariadb.query(TABLE_OF_NOW);
    let checked = |words: &str| {
        let check = site.run(&["--check"]);
        assert!(check.code == Some(1) && check.lines_with("mysql, table jobs")[0].contains(words), "{}", check.stdout);
    };
    // The key of utf8mb4 is too long for MyISAM.
    for engine in ["ENGINE=Aria", "CONVERT TO CHARACTER SET latin1, ENGINE=MyISAM"] {
        mariadb.query(&format!("ALTER TABLE monit_jobs.jobs {engine}"));
        fails(&site, 1, "ALTER TABLE jobs ENGINE=InnoDB");
        checked("ALTER TABLE jobs ENGINE=InnoDB");
    }
    mariadb.query("ALTER TABLE monit_jobs.jobs ENGINE=InnoDB, ADD COLUMN note VARCHAR(9) NOT NULL");
    fails(&site, 1, "error 1364");
    fails(&site, 1, "a column that is not gridmon's needs a value");
    checked("the table jobs needs a value in \"note\"");
    mariadb.query("ALTER TABLE monit_jobs.jobs DROP COLUMN note");
    assert_eq!(mariadb.query(TABLE_OF_NOW), before);
    // The table is latin1 now: a name that it lacks costs its own row.
    site.panda_says(&serde_json::json!({
        "Q漢": { "managed": { "null": { "running": 5 } } }, "Q0": { "managed": { "MCORE": { "running": 77 } } },
    }));
    let outcome = site.run(&["-v", "--now", &(START + SLOT).to_string()]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    let words = "1 row of the table jobs left out, since its character set lacks a letter";
    assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("CONVERT TO CHARACTER SET utf8mb4") && outcome.stderr.contains("\"Q漢\""));
    assert!(mariadb.query(TABLE_OF_NOW).contains("Q0\tmanaged\tMCORE\t77\t"), "{}", mariadb.query(TABLE_OF_NOW));
}

/// What the page shows is as old as the table, also while the points go on.
#[test]
fn a_table_that_nobody_may_write_any_more_looks_old() {
    let Some((influxdb, mariadb, site)) = filled("a_table_that_nobody_may_write_any_more_looks_old", &[]) else {
        return;
    };
    mariadb
        .query("CREATE USER reader@'127.0.0.1' IDENTIFIED BY 'r'; GRANT SELECT ON monit_jobs.* TO reader@'127.0.0.1'");
    site.config(At::Servers(influxdb.port, mariadb.port), "username = reader\npassword = r");
    fails(&site, 26, "its login may not do that");
    let dashboard = gridmon_testkit::sandbox::site::Site::start(&site.sandbox);
    let summary = dashboard.json("/pages/panda/api/v1/summary").to_string();
    assert!(summary.contains(&format!("\"time\":{START}")), "{summary}");
    assert!(!summary.contains(&format!("\"time\":{}", START + 26 * SLOT)), "{summary}");
}

#[test]
fn a_queue_that_differs_by_case_alone_from_one_that_went_keeps_its_row() {
    let test = "a_queue_that_differs_by_case_alone_from_one_that_went_keeps_its_row";
    let Some((_influxdb, mariadb, site)) = filled(test, &["--sql-mode="]) else { return };
    mariadb.query("ALTER TABLE monit_jobs.jobs CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci");
    mariadb.query("UPDATE monit_jobs.jobs SET panda_queue = 'q0' WHERE panda_queue = 'Q0'");
    assert_eq!(run(&site, 1).code, Some(0));
    let row = format!("Q0\tmanaged\tMCORE\t{}\t", site::jobs("Q0", "running", 1).unwrap());
    assert!(mariadb.query(TABLE_OF_NOW).contains(&row));
}

/// Runs openssl in a folder.
fn openssl(folder: &std::path::Path, arguments: &str) {
    let mut command = std::process::Command::new("openssl");
    let output = command.args(arguments.split(' ')).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_certificate_is_verified_against_the_ca_and_the_name() {
    let folder = gridmon_testkit::TempDir::new();
    let at = folder.path();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    openssl(at, &format!("req -x509 {key} -subj /CN=ca -keyout ca.key -out ca.pem"));
    for (name, of) in [("good", "IP:127.0.0.1"), ("other", "DNS:other.example.org")] {
        let signed = format!("-CA ca.pem -CAkey ca.key -keyout {name}.key -out {name}.pem");
        openssl(
            at,
            &format!(
                "req -x509 {key} -subj /CN={name} -addext subjectAltName={of} -addext basicConstraints=critical,CA:FALSE {signed}"
            ),
        );
    }
    for name in ["good", "other"] {
        let [certificate, key] = ["pem", "key"].map(|end| at.join(format!("{name}.{end}")).display().to_string());
        let options = [format!("--ssl-cert={certificate}"), format!("--ssl-key={key}")];
        let Some(mariadb) = Mariadb::start_with(&[&options[0], &options[1], "--require-secure-transport=ON"]) else {
            return skip("a_certificate_is_verified_against_the_ca_and_the_name", "MariaDB");
        };
        let site = Site::new(At::Embedded);
        let run = |ca: &str| {
            let text = format!(
                "[credentials]\nusername = monit\npassword = {}\ndatabase = monit_jobs\n[mysql]\nhost = 127.0.0.1\nport = {}\n{ca}",
                Mariadb::PASSWORD,
                mariadb.port
            );
            site.config(At::Embedded, "");
            let path = site.sandbox.path("config.cfg");
            let config = std::fs::read_to_string(&path).unwrap();
            std::fs::write(&path, config + &text).unwrap();
            site.run(&["--setup"])
        };
        let unknown = run("");
        assert!(unknown.code == Some(1) && unknown.stdout.contains("[mysql] ca names the CA"), "{}", unknown.stdout);
        let known = run(&format!("ca = {}\n", at.join("ca.pem").display()));
        if name == "good" {
            assert_eq!(known.code, Some(0), "{}", known.stdout);
            let ciphers = mariadb.query("SHOW GLOBAL STATUS LIKE 'Ssl_finished_accepts'");
            assert!(!ciphers.trim().ends_with("\t0"), "{ciphers}");
        } else {
            assert!(known.code == Some(1) && known.stdout.contains("no TLS connection"), "{}", known.stdout);
        }
    }
}
