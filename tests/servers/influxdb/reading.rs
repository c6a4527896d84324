//! Reads a real InfluxDB: the newest values, ranges from the coarsest tier that has enough, and whole scans.

use std::collections::BTreeSet;

use gridmon::model::{Point, SECOND, Tier, Window};
use gridmon::query::{Detail, Part, Read, Scan, Selector, Values, Wanted};
use gridmon::setup::{CATALOG, Config};
use gridmon::sinks::Sink as _;
use gridmon::sinks::influxdb::InfluxReader;
use gridmon_testkit::Influxdb;

use super::refusals::{batch, sink, soon};
use super::server;

const NOW: i64 = 1_717_245_000;

fn reader(port: u16, more: &str) -> InfluxReader {
    let login = format!("username = root\npassword = {}", Influxdb::PASSWORD);
    let text = format!("[influxdb]\nurl = http://127.0.0.1:{port}\ndatabase = d\n{login}\n{more}\n");
    InfluxReader::new(Config::parse(&text, "c.cfg").unwrap().0.influxdb.as_ref().unwrap(), CATALOG).unwrap()
}

fn range(reader: &InfluxReader, path: &str, from: i64, to: i64, points: usize) -> Values {
    reader.range(&[Wanted::new(path, CATALOG).unwrap()], from, to, Detail::Points(points)).unwrap().remove(0)
}

#[test]
fn the_newest_values_are_those_before_the_readers_clock() {
    let Some(influxdb) = server("the_newest_values_are_those_before_the_readers_clock", &[]) else { return };
    sink(influxdb.port, "").setup(soon()).unwrap();
    let at = |seconds: i64| (NOW + seconds) * SECOND;
    let cloud = |name: &str, quota: i64, time: i64| format!("grid_cloud,cloud={name},grid=g quota={quota}i {time}\n");
    let mut lines = cloud("a", 1, at(-7200)) + &cloud("a", 2, at(-60)) + &cloud("silent", 7, at(-80_000));
    lines += &(cloud("a", 9, at(86_400)) + &cloud("gone", 3, at(-90_000)));
    lines += &format!("grid_cloud,cloud=a,grid=g enabled=1i {}\n", at(-3700));
    lines += &format!("coverage,grid=g,measurement=grid_cloud slots=1i,step_seconds=30i {}\n", at(0));
    influxdb.write("d", "10m", &lines);
    let reader = reader(influxdb.port, "");
    let cloud = CATALOG.measurement("grid_cloud").unwrap();
    let newest = || {
        let newest = reader.latest(&[cloud], NOW).unwrap();
        assert_eq!((newest.ahead.numbers, newest.ahead.until), (1, NOW + 86_400));
        let one = |one: &gridmon::query::Latest| {
            let time = one.time / SECOND - NOW;
            format!("{} {} {} {time} every {}", one.series.tag("cloud").unwrap(), one.field.name, one.value, one.every)
        };
        newest.values.iter().map(one).collect::<BTreeSet<_>>()
    };
    let expected = ["a enabled 1 -3700 every 30", "a quota 2 -60 every 30", "silent quota 7 -80000 every 30"];
    assert_eq!(newest(), expected.map(String::from).into());
    // The second time only the last minutes are asked for.
    influxdb.write("d", "10m", &format!("grid_cloud,cloud=a,grid=g quota=4i {}\n", at(-1)));
    let expected = ["a enabled 1 -3700 every 30", "a quota 4 -1 every 30", "silent quota 7 -80000 every 30"];
    assert_eq!(newest(), expected.map(String::from).into());
}

#[test]
fn what_is_written_hourly_is_read_from_the_hourly_policy() {
    let Some(influxdb) = server("what_is_written_hourly_is_read_from_the_hourly_policy", &[]) else { return };
    sink(influxdb.port, "").setup(soon()).unwrap();
    let at = |seconds: i64| (NOW + seconds) * SECOND;
    let tags = "datadisks,panda_queue=Q,prod_source=analysis,resource=SCORE";
    influxdb.write(
        "d",
        "1h",
        &format!("{tags} datadisk_files=3i {}\n{tags} datadisk_files=4i {}\n", at(-7200), at(-3600)),
    );
    // A folded hour of what is collected is not what was collected.
    let cloud = |quota: i64, time: i64| format!("grid_cloud,cloud=a,grid=g quota={quota}i {time}\n");
    influxdb.write("d", "1h", &cloud(1, at(-60)));
    influxdb.write("d", "10m", &cloud(2, at(-120)));
    let reader = reader(influxdb.port, "");
    let newest = |name: &str| {
        let newest = reader.latest(&[CATALOG.measurement(name).unwrap()], NOW).unwrap().values;
        newest.iter().map(|one| (one.field.name, one.value.as_f64(), one.time / SECOND - NOW)).collect::<Vec<_>>()
    };
    assert_eq!(newest("datadisks"), [("datadisk_files", 4.0, -3600)]);
    influxdb.write("d", "1h", &format!("{tags} datadisk_files=5i {}\n", at(-1)));
    assert_eq!(newest("datadisks"), [("datadisk_files", 5.0, -1)], "also when only the last minutes are asked for");
    assert_eq!(newest("grid_cloud"), [("quota", 2.0, -120)]);
    assert_eq!(newest("grid_heartbeat"), []);
    // A policy that does not exist is empty.
    influxdb.query("DROP RETENTION POLICY \"1h\" ON d");
    assert_eq!(newest("grid_slots"), []);
}

#[test]
fn what_begins_later_is_seen_at_once_in_either_tier() {
    let Some(influxdb) = server("what_begins_later_is_seen_at_once_in_either_tier", &[]) else { return };
    sink(influxdb.port, "").setup(soon()).unwrap();
    let reader = reader(influxdb.port, "");
    let (cloud, datadisk) = (CATALOG.measurement("grid_cloud").unwrap(), CATALOG.measurement("datadisks").unwrap());
    let newest = || {
        let newest = reader.latest(&[cloud, datadisk], NOW).unwrap().values;
        newest.iter().map(|one| format!("{} {}", one.field.name, one.value)).collect::<Vec<_>>()
    };
    assert_eq!(newest(), Vec::<String>::new());
    influxdb.write("d", "10m", &format!("grid_cloud,cloud=a,grid=g quota=4i {}\n", (NOW - 60) * SECOND));
    assert_eq!(newest(), ["quota 4"]);
    let tags = "panda_queue=q,prod_source=managed,resource=SCORE";
    influxdb.write("d", "1h", &format!("datadisks,{tags} datadisk_files=7i {}\n", (NOW - 60) * SECOND));
    assert_eq!(newest(), ["datadisk_files 7", "quota 4"]);
}

#[test]
fn of_two_runs_in_a_slot_the_later_one_is_read() {
    let Some(influxdb) = server("of_two_runs_in_a_slot_the_later_one_is_read", &[]) else { return };
    sink(influxdb.port, "").setup(soon()).unwrap();
    // The queue's state changed from one run to the other, so InfluxDB holds both, the first one last by its tags.
    let jobs = |state: &str, sequence: i64, jobs: i64, time: i64| {
        let tags = format!("job_status=running,panda_queue=q,prod_source=managed,resource=SCORE,site_state={state}");
        format!("jobs,{tags} jobs={jobs}i,sequence={sequence}i {}\n", time * SECOND)
    };
    let (old, new) = (NOW - 40_000, NOW - 60);
    let lines: String = [old, new].map(|time| jobs("online", 20, 5, time) + &jobs("offline", 400, 7, time)).concat();
    influxdb.write("d", "10m", &lines);
    let reader = reader(influxdb.port, "");
    let measurement = CATALOG.measurement("jobs").unwrap();
    for now in [NOW, old + 86_000] {
        let newest = reader.latest(&[measurement], now).unwrap().values;
        let found: Vec<_> = newest.iter().filter(|one| one.field.name == "jobs").collect();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].value.as_f64(), found[0].series.tag("site_state")), (7.0, Some("offline")), "{now}");
    }
    let values = range(&reader, "panda.q.managed.SCORE.running.jobs", old - 600, NOW, 1000);
    assert_eq!(values.values.iter().map(|(_, value)| *value).collect::<Vec<_>>(), [7.0, 7.0]);
}

#[test]
fn a_range_comes_from_the_coarsest_tier_that_has_enough() {
    let Some(influxdb) = server("a_range_comes_from_the_coarsest_tier_that_has_enough", &[]) else { return };
    sink(influxdb.port, "").setup(soon()).unwrap();
    let cloud = |name: &str, value: &str, time: i64| {
        format!("grid_cloud,cloud={name},grid=g quota={value} {}\n", time * SECOND)
    };
    let raw: String = (0..120).map(|minute| cloud(r#"x\ y\,"'/z"#, &format!("{minute}i"), NOW + 60 * minute)).collect();
    let others = cloud("x+y", "1i", NOW) + &cloud("xay", "2i", NOW);
    influxdb.write("d", "10m", &(raw + &others));
    let folded = |hour: i64, slots: i64| {
        let (value, sum) = (hour as f64 + 7.5, (hour as f64 + 7.5) * slots as f64);
        let fields = format!("{value:?},quota_sum={sum:?},quota_slots={slots}i,quota_least=1i,quota_most=99i");
        // It stands at the end of its hour.
        cloud(r#"x\ y\,"'/z"#, &fields, NOW + 3600 * (hour + 1))
    };
    influxdb.write("d", "1h", &(folded(0, 60) + &folded(1, 60) + &folded(2, 0)));
    let reader = reader(influxdb.port, "");
    let path = "grids.g.clouds.x_y____z.quota";
    let values = range(&reader, path, NOW, NOW + 7200, 120);
    assert_eq!((values.values.len(), values.step, values.values[119]), (120, 60, (NOW + 60 * 119, 119.0)));
    // More than was asked for is folded while it is read.
    let Values { values, step, parts, newest, .. } = range(&reader, path, NOW, NOW + 7200, 100);
    assert_eq!((values.len(), step, values[59]), (60, 120, (NOW + 60 * 118, 118.5)));
    assert_eq!(
        (parts[59], newest),
        (Part { least: 118.0, most: 119.0, count: 2, coverage: 1.0 }, Some((NOW + 60 * 119, 119.0)))
    );
    // The third hour was folded anew with other tags.
    let values = range(&reader, path, NOW + 1800, NOW + 9000, 1);
    assert_eq!((values.values, values.step), (vec![(NOW + 3600, 8.5)], 3600));
    let values = range(&reader, path, NOW, NOW + 7200, 2);
    assert_eq!((values.values, values.step), (vec![(NOW, 7.5), (NOW + 3600, 8.5)], 3600));
    assert_eq!(range(&reader, "grids.g.clouds.x+y.quota", NOW, NOW + 60, 9).values, [(NOW, 1.0)]);
    assert!(range(&reader, "grids.g.clouds.x_.quota", NOW, NOW + 60, 9).values.is_empty());
    assert!(range(&reader, path, NOW + 9000, NOW + 9060, 9).values.is_empty());
    // A folded tier that does not exist is empty; the raw one must exist.
    influxdb.query("DROP RETENTION POLICY \"1h\" ON d");
    let values = range(&reader, path, NOW, NOW + 7200, 2).values;
    assert_eq!(values, [(NOW - 1800, 14.5), (NOW + 1800, 59.5), (NOW + 5400, 104.5)]);
    influxdb.query("DROP RETENTION POLICY \"10m\" ON d");
    let error = reader.range(&[Wanted::new(path, CATALOG).unwrap()], NOW, NOW + 60, Detail::Points(2)).unwrap_err();
    assert!(format!("{error:#}").contains("retention policy not found"), "{error:#}");
}

#[test]
fn a_scan_gives_back_every_point_that_was_written() {
    let Some(influxdb) = server("a_scan_gives_back_every_point_that_was_written", &[]) else { return };
    let sink = sink(influxdb.port, "");
    sink.setup(soon()).unwrap();
    let hour = 3600 * SECOND;
    // Names that are keywords, and one that would end its quotes.
    let line = |at: i64| {
        let name = ["select", r#"a"b\ c"#, "coverage"][at as usize % 3];
        let tag = if at % 5 == 0 { String::new() } else { format!(",measurement=m{}", at % 7) };
        let half = if at % 2 == 0 { String::new() } else { ",float=2".to_string() };
        format!("{name},grid=g\\ {}{tag} from={at}i{half} {}", at % 4, at / 1000 * 30 * hour + at)
    };
    let batch = batch("1h", (0..30_000).map(line));
    let sent = sink.send(&batch, soon());
    assert!(sent.result.is_ok() && sent.refused.is_empty(), "{:?}", sent.result);
    let reader = reader(influxdb.port, "");
    let scan = |selector: &Selector, window: Window| {
        let mut found = Vec::new();
        reader
            .each(selector, window, Tier::Hour, &mut |point| {
                found.push(point.line());
                Ok(())
            })
            .unwrap();
        found.sort();
        found
    };
    let lines = |keep: &dyn Fn(&Point) -> bool| {
        let mut lines: Vec<_> = batch.points.iter().filter(|point| keep(point)).map(Point::line).collect();
        lines.sort();
        lines
    };
    assert_eq!(scan(&Selector::default(), Window::ALL), lines(&|_| true));
    let selector = Selector::measurement("select").with("measurement", "m3").with("grid", "g 1");
    assert_eq!(scan(&selector, Window::ALL), lines(&|point| selector.selects(point)));
    let window = Window { from: 30 * hour + 1500, to: 60 * hour + 2100 };
    assert_eq!(scan(&Selector::default(), window), lines(&|point| window.contains(point.time())));
    assert!(scan(&Selector::measurement("nosuch"), Window::ALL).is_empty());
    let sums = reader.sums(&Selector::measurement("coverage"), Window::ALL, Tier::Hour, &["measurement"]).unwrap();
    let without = &sums[1];
    assert_eq!((without.group.as_slice(), without.field.as_str()), ([String::new()].as_slice(), "from"));
    let numbers: Vec<_> = (0..30_000).filter(|at| at % 3 == 2 && at % 5 == 0).collect();
    assert_eq!((without.count as usize, without.sum as i64), (numbers.len(), numbers.iter().sum()));
}
