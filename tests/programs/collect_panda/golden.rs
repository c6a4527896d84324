//! Points from the answers for which the original's points are known.

use std::collections::BTreeMap;

use super::*;

/// The lines of `jobs` by series key and time, with their fields sorted and without `sequence`, which the original lacks.
fn jobs<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for line in lines.filter(|line| line.starts_with("jobs,")) {
        let (rest, time) = line.rsplit_once(' ').unwrap();
        let (series, fields) = rest.rsplit_once(' ').unwrap();
        let mut tags: Vec<_> = series.split(',').collect();
        tags.sort_unstable();
        let mut fields: Vec<_> = fields.split(',').filter(|field| !field.starts_with("sequence=")).collect();
        fields.sort_unstable();
        found.insert(format!("{} {time}", tags.join(",")), fields.join(","));
    }
    found
}

#[test]
fn the_points_are_those_of_the_original_where_it_was_right() {
    let site = Site::golden();
    let (outcome, lines) = site.lines(NOW);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    let ours = jobs(lines.iter().map(String::as_str));
    let original = fs::read_to_string(fixture("panda/writeJobStats.lp")).unwrap();
    let mut theirs = jobs(original.lines());
    // In the order of a dict of Python there, by name here.
    theirs = theirs.into_iter().map(|(series, fields)| (by_kind(&series), fields)).collect();
    let differ = |a: &BTreeMap<String, String>, b: &BTreeMap<String, String>| -> Vec<String> {
        let of_both = a.iter().filter(|(series, fields)| b.get(*series) != Some(fields));
        of_both.map(|(series, fields)| format!("{series} {fields}")).collect()
    };
    assert_eq!(differ(&theirs, &ours), Vec::<String>::new());
    // The original left out queues that CRIC does not know.
    let more = differ(&ours, &theirs);
    assert_eq!((more.len(), ours.len()), (14, 168));
    for line in more {
        assert!(line.contains("panda_queue=QUEUE_NOT_IN_CRIC,") && line.starts_with("atlas_site=None,"), "{line}");
    }
    let of_the_run = |line: &&String| line.starts_with("jobs,");
    assert!(lines.iter().filter(of_the_run).all(|line| line.contains("sequence=462i")), "{}", lines[0]);
    let coverage: Vec<_> = lines.iter().filter(|line| line.starts_with("coverage,")).collect();
    assert_eq!(coverage, ["coverage,grid=atlas,measurement=jobs slots=1i,step_seconds=600i 1717245000000000000"]);
}

/// The real topology of 2019: how many queues have a federation, and how many a pledge.
#[test]
fn pledges_are_joined_by_the_site_of_the_federation_and_of_the_right_quarter() {
    let site = Site::golden();
    let queues = recorded("pandaqueue_501.json");
    let names: Vec<_> =
        queues.as_object().unwrap().values().map(|queue| queue["panda_resource"].as_str().unwrap()).collect();
    let counts: serde_json::Map<_, _> =
        names.iter().map(|name| (name.to_string(), json!({"managed": {"MCORE": {"running": 1}}}))).collect();
    let topology = [
        (PANDA, Value::Object(counts)),
        (QUEUES, queues.clone()),
        (SITES, recorded("site_243.json")),
        (ENDPOINTS, recorded("ddmendpoint_163.json")),
        (FEDERATIONS, recorded("federation_2019.json")),
    ];
    topology.iter().for_each(|(path, json)| site.server.gives(path, json));
    let pledged = |now: i64| {
        let (outcome, lines) = site.lines(now);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
        let jobs: Vec<_> = lines.into_iter().filter(|line| line.starts_with("jobs,")).collect();
        assert_eq!(jobs.len(), 501);
        assert!(jobs.iter().all(|line| line.split(' ').next().is_some() && line.matches('=').count() >= 27));
        jobs.iter().filter(|line| !line.contains(",pledge_type=None,")).count()
    };
    // 2019-06-01, and February 2020, which is the last quarter of 2019; February 2019 is of 2018, of which there is nothing.
    assert_eq!((pledged(1_559_390_400), pledged(1_580_558_400), pledged(1_549_000_000)), (399, 399, 0));
}

/// The series with the kinds of its pledges in the order of their names.
fn by_kind(series: &str) -> String {
    let Some((before, rest)) = series.split_once("pledge_type=") else { return series.into() };
    let (pledges, after) = rest.split_once(',').unwrap();
    let mut pledges: Vec<_> = pledges.split(';').collect();
    pledges.sort_by_key(|pledge| pledge.split('(').nth(1));
    format!("{before}pledge_type={},{after}", pledges.join(";"))
}
