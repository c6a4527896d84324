//! The table of PanDA's queues in a real MariaDB, from the points in a real InfluxDB, and the same in the embedded store: each
//! cell is what a plain computation over the stored points gives.

mod compare;
mod cut;
mod faults;
mod grafana;
mod plain;
mod plots;
mod site;

use std::time::{Duration, Instant};

use gridmon::model::{Row, TableInfo};
use gridmon::monitors::panda::TABLE;
use gridmon::sinks::Tables;
use gridmon::sinks::embedded::EmbeddedTables;
use gridmon_testkit::{Influxdb, Mariadb, skip};

use self::plain::{expected, points_of};
use self::site::{At, SLOT, START, Site};

fn servers(test: &str) -> Option<(Influxdb, Mariadb)> {
    let (Some(influxdb), Some(mariadb)) = (Influxdb::start(), Mariadb::start()) else {
        skip(test, "InfluxDB or MariaDB");
        return None;
    };
    Some((influxdb, mariadb))
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

/// The cells in which two tables differ, as lines.
fn differences(table: &TableInfo, found: &[Row], expected: &[Row]) -> Vec<String> {
    let key = |row: &Row| format!("{:?}", &row[..table.keys]);
    let mut lines = Vec::new();
    for row in found.iter().filter(|row| !expected.iter().any(|other| key(other) == key(row))) {
        lines.push(format!("{} is there", key(row)));
    }
    for row in expected {
        let Some(own) = found.iter().find(|other| key(other) == key(row)) else {
            lines.push(format!("{} is missing", key(row)));
            continue;
        };
        for ((column, own), other) in table.columns.iter().zip(own).zip(row) {
            if own != other {
                lines.push(format!("{} {}: {own:?}, expected {other:?}", key(row), column.name));
            }
        }
    }
    lines
}

/// Plays so many slots with gaps, odd answers, CRIC's changes within a slot, new and vanishing queues and restarts, after days of
/// slots and weeks of hours, older ones of QMonit, and compares all cells every so many slots. The played slots are runs of
/// the program, and the hours since the first coverage are folded by it; the rest is written as they would have left it.
fn play(test: &str, slots: i64, every: i64) {
    let Some((mut influxdb, mut mariadb)) = servers(test) else { return };
    let real = Site::new(At::Servers(influxdb.port, mariadb.port));
    let small = Site::new(At::Embedded);
    for site in [&real, &small] {
        let setup = site.run(&["--setup"]);
        assert_eq!(setup.code, Some(0), "{}{}", setup.stdout, setup.stderr);
        let again = site.run(&["--setup"]);
        assert_eq!(again.code, Some(0));
        let line = again.lines_with("table jobs");
        assert!(line[0].starts_with("ok ") && line[0].ends_with("has all that it needs"), "{}", again.stdout);
    }
    site::write_history(&influxdb, &small, START, 33 * 144);

    let mut folded = 0;
    for slot in 0..slots {
        if slot % 48 == 30 {
            influxdb.restart();
            mariadb.restart();
        }
        // Eight minutes past each hour, so that the run of the next slot reads the hour; the first one folds those of a day.
        if slot % 6 == 1 {
            let now = START + SLOT * slot - 100;
            for site in [&real, &small] {
                let outcome = site.program("downsample-1h", &["--now", &now.to_string()]);
                assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "slot {slot}");
            }
            folded = now / 3600 * 3600;
        }
        for site in [&real, &small] {
            site.answer_for(slot);
            for seconds in site::runs_of(slot) {
                site.cric_at(slot, seconds);
                let outcome = site.at(START + SLOT * slot + seconds);
                assert_eq!(outcome.code, Some(i32::from(site::is_odd(slot))), "slot {slot}: {}", outcome.stderr);
            }
        }
        if slot % every != 1 {
            continue;
        }
        let wanted = expected(&points_of(&influxdb), START + SLOT * slot, &real.odd_of(slot), folded);
        let stores: [Box<dyn Tables>; 2] =
            [Box::new(real.mysql(mariadb.port)), Box::new(EmbeddedTables { place: small.store().into() })];
        for tables in stores {
            let found = tables.read(&TABLE, soon()).unwrap();
            let differences = differences(&TABLE, &found, &wanted);
            let (name, count) = (tables.name(), differences.len());
            assert!(count == 0, "slot {slot}, {name}: {count} cells:\n{}", differences[..count.min(20)].join("\n"));
            assert!(found.len() > 8, "{}", found.len());
        }
    }
    // Once more: nothing changes.
    let before = real.mysql(mariadb.port).read(&TABLE, soon()).unwrap();
    assert_eq!(real.at(START + SLOT * (slots - 1)).code, Some(0));
    assert_eq!(real.mysql(mariadb.port).read(&TABLE, soon()).unwrap(), before);
}

#[test]
fn every_cell_is_what_a_plain_computation_gives_and_the_embedded_store_has_the_same() {
    play("every_cell_is_what_a_plain_computation_gives_and_the_embedded_store_has_the_same", 8, 3);
}

#[test]
#[ignore = "three days: `make test-all` runs it"]
fn every_cell_of_three_days_is_what_a_plain_computation_gives() {
    play("every_cell_of_three_days_is_what_a_plain_computation_gives", 3 * 144, 24);
}
