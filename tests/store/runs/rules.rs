//! What is pruned, which sink acknowledges what, and when the store stands in.

use super::*;

/// Writes 2400 rows for each of these hours, the last of which ends at `until`.
fn fill_with_old(store: &Path, hours: i64, until: i64) -> usize {
    let point = |minute: i64, at: &'static str| {
        let fields = (0..8).map(|field| (format!("f{field}").into(), Value::Int(minute)));
        Point::new("old".into(), [("at".into(), at)], fields, (until - 60 * minute) * SECOND)
    };
    let points: Vec<_> =
        (1..=hours * 60).flat_map(|minute| ["0", "1", "2", "3", "4"].map(|at| point(minute, at))).collect();
    let until = Instant::now() + Duration::from_secs(60);
    Store::open(store, until).unwrap().write(Tier::Raw, &points, until).unwrap();
    points.len() * 8
}

/// How many rows a tier has before the bucket of a time.
fn rows_before(store: &Path, table: &str, bucket: i64) -> usize {
    let count = format!("SELECT count(*) FROM {table} WHERE bucket < {bucket}");
    Connection::open(store).unwrap().query_row(&count, [], |row| row.get(0)).unwrap()
}

#[test]
fn only_the_wall_clock_prunes_and_a_run_no_more_than_its_budget() {
    const BUDGET: usize = 100_000;
    let at = Place::new(2);
    at.recovers(0, [0]);
    let wall = jiff::Timestamp::now().as_second();
    let (hour, day) = (3600, 86_400);
    // The end of what is too old; an hour may end while the test runs, so what is kept is two hours younger.
    let limit = (wall - 30 * day).div_euclid(hour);
    let kept = fill_with_old(&at.store(), 1, (limit + 3) * hour);
    fill_with_old(&at.store(), 43, limit * hour);
    // Of the folded tiers one that is kept and one that is not, as long as nothing is said; the last for ever.
    let old = |days: i64| [Point::new("old".into(), [], [("f".into(), Value::Int(1))], (wall - days * day) * SECOND)];
    let later = Instant::now() + Duration::from_secs(60);
    let mut store = Store::open(&at.store(), later).unwrap();
    for (tier, days) in [(Tier::Hour, 1800), (Tier::Hour, 1850), (Tier::Day, 18_000)] {
        store.write(tier, &old(days), later).unwrap();
    }
    drop(store);

    let rows = |table| rows_before(&at.store(), table, i64::MAX);
    let counts = || (rows_before(&at.store(), "tier_raw", limit), rows("tier_1h"), rows("tier_1d"));
    let (too_old, ..) = counts();
    assert!(too_old > BUDGET && too_old < 2 * BUDGET, "{too_old}");
    // Years ahead, and years back.
    let year = 365 * 24 * 60;
    let now = (wall - START) / MINUTE;
    for minute in [now + 40 * year, now - 10 * year] {
        let before = rows("tier_raw");
        let outcome = at.run(minute);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        assert!(rows("tier_raw") > before, "a run of another time removed something");
        assert_eq!((rows("tier_1h"), rows("tier_1d")), (2, 1));
    }
    let (too_old, ..) = counts();
    let run = |more: &str| {
        at.config(&format!("[embedded]\npath = {}\n{more}", at.store().display()));
        let outcome = at.sandbox.run(&["-c", "heprc.cfg"]);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
        counts()
    };
    // The six fields of the report about the run ten years ago are sent by this one.
    let too_old = too_old + 6;
    assert_eq!(run("keep_raw_days = forever\nkeep_1h_days = forever\n"), (too_old, 2, 1));
    // What is left of the budget by the raw ones is for the others.
    assert_eq!(run(""), (too_old - BUDGET, 2, 1));
    assert_eq!(run(""), (0, 1, 1));
    assert_eq!(run(""), (0, 1, 1));
    assert_eq!(rows_before(&at.store(), "tier_raw", limit + 3), kept);
    sound(&at.store());
    assert_eq!(run("keep_1h_days = 30\nkeep_1d_days = 365\n"), (0, 0, 0));
    sound(&at.store());
}

#[test]
fn both_sinks_get_every_point_and_each_acknowledges_for_itself() {
    let at = Place::new(3);
    let keeper = Keeper::start();
    let (closed, _ports) = free_port();
    let carbon = |port: u16| {
        let path = at.store().display().to_string();
        at.config(&format!("[carbon]\nhost = 127.0.0.1\nport = {port}\n[embedded]\npath = {path}\n"));
    };
    let in_carbon = |minutes: &[i64]| {
        let mut expected = BTreeMap::new();
        minutes.iter().for_each(|minute| expected.extend(datapoints(&at.clouds, START + MINUTE * minute)));
        assert_same(&keeper.values().into_iter().filter(|(key, _)| of_grid(key)).collect(), &expected);
    };
    carbon(keeper.port);
    assert_eq!(at.run(0).code, Some(0));
    at.has([0]);
    in_carbon(&[0]);
    // All that either has, the other has.
    let about_runs = |values: BTreeMap<Key, f64>| values.into_iter().filter(|(key, _)| !of_grid(key)).collect();
    let all: BTreeMap<Key, f64> = about_runs(keeper.values());
    assert_eq!(about_runs(all_stored(&at.store())), all);
    // The one without the other, and the other without the one.
    carbon(closed);
    let outcome = at.run(1);
    assert_eq!(outcome.code, Some(1));
    assert!(!outcome.stderr.contains(": embedded: /"), "{}", outcome.stderr);
    at.has([0, 1]);
    in_carbon(&[0]);
    carbon(keeper.port);
    let away = at.sandbox.path("away");
    fs::rename(at.sandbox.path("data"), &away).unwrap();
    at.fails(2, &at.gone());
    in_carbon(&[0, 1, 2]);
    assert_eq!(batches(&at.sandbox).len(), 1);
    fs::rename(away, at.sandbox.path("data")).unwrap();
    at.recovers(3, 0..4);
    in_carbon(&[0, 1, 2, 3]);
}

#[test]
fn a_store_stands_in_where_no_sink_is_and_looking_makes_nothing() {
    let at = Place::new(2);
    fs::remove_dir(at.sandbox.path("state")).unwrap();
    let keeper = Keeper::start();
    let path = at.store().display().to_string();
    let own = at.sandbox.path("state/gridmon.db");
    let carbon = format!("[carbon]\nhost = 127.0.0.1\nport = {}\n", keeper.port);
    let both = format!("{carbon}[embedded]\npath = {path}\n");
    let named = format!("[embedded]\npath = {path}\n");
    let stands_in =
        "points go to the embedded store, since none of [carbon] host, [influxdb] url and [qmaster] host is set";
    let table = "; tables go to the embedded store";
    let answers = format!("ok      carbon           127.0.0.1:{} answers\n", keeper.port);
    let makes = |path: &str| format!("ok      embedded         {path}; the first run makes it\n");
    let own_path = own.display().to_string();
    for (config, role, sinks) in [
        ("", stands_in, makes(&own_path)),
        (named.as_str(), stands_in, makes(&path)),
        (&carbon, "points go to carbon", answers.clone()),
        (
            &both,
            "points go to carbon and, since [embedded] names a path, to the embedded store",
            format!("{answers}{}", makes(&path)),
        ),
    ] {
        at.config(config);
        at.clouds.at(&at.sandbox, START);
        let outcome = at.sandbox.run(&["-c", "heprc.cfg", "--check"]);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{config}");
        let expected = format!("ok      roles            {role}{table}\n{sinks}");
        assert!(outcome.stdout.ends_with(&expected), "{}{expected}", outcome.stdout);
        let outcome = at.sandbox.run(&["-c", "heprc.cfg", "--dry-run"]);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        assert!(!outcome.stdout.is_empty());
        assert!(!at.sandbox.path("state").exists() && names(&at.sandbox.path("data")).is_empty(), "{config}");
    }
    // In earnest: Carbon alone makes none.
    at.config(&carbon);
    assert_eq!(at.run(0).code, Some(0));
    assert!(!own.exists() && names(&at.sandbox.path("data")).is_empty());
    at.config("");
    let outcome = at.clouds.run(&at.sandbox, START + MINUTE);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    assert_same(&stored(&own), &datapoints(&at.clouds, START + MINUTE));
    sound(&own);
    assert!(names(&at.sandbox.path("data")).is_empty());
    // And one that is there is looked at without a change.
    let before = (fs::read(&own).unwrap(), fs::metadata(&own).unwrap().modified().unwrap());
    let series = Store::open_to_read(&own).unwrap().unwrap().count_series().unwrap();
    let outcome = at.sandbox.run(&["-c", "heprc.cfg", "--check"]);
    let expected = format!("ok      embedded         {own_path}, {series} series\n");
    assert!(outcome.code == Some(0) && outcome.stdout.ends_with(&expected), "{}{expected}", outcome.stdout);
    assert_eq!(at.sandbox.run(&["-c", "heprc.cfg", "--dry-run"]).code, Some(0));
    assert_eq!((fs::read(&own).unwrap(), fs::metadata(&own).unwrap().modified().unwrap()), before);
}

#[test]
fn a_config_of_the_store_that_is_wrong_is_refused_in_words() {
    let at = Place::new(1);
    for (line, words) in [
        ("path = store.db", "path: \"store.db\" is not a path that begins with /"),
        ("keep_raw_days = 0", "keep_raw_days: \"0\" is not 1 to 36500 days, or forever"),
        ("keep_raw_days = -1", "keep_raw_days: \"-1\" is not 1 to 36500 days, or forever"),
        ("keep_1h_days = 36501", "keep_1h_days: \"36501\" is not 1 to 36500 days, or forever"),
        ("keep_1d_days = for ever", "keep_1d_days: \"for ever\" is not 1 to 36500 days, or forever"),
        ("keep_1d_days = 5 # years", "keep_1d_days: \"5 # years\" carries a comment"),
        ("keep_raw_day = 5", "keep_raw_day"),
        ("tiers = raw", "tiers"),
    ] {
        at.config(&format!("[embedded]\n{line}\n"));
        let outcome = at.run(0);
        assert_eq!(outcome.code, Some(2), "{line}: {outcome:?}");
        assert!(outcome.stderr.contains("[embedded]") && outcome.stderr.contains(words), "{line}: {}", outcome.stderr);
        assert!(names(&at.sandbox.path("state")).is_empty(), "{line}");
    }
}
