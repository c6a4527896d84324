//! The plot of a sum of many series, over real servers.

use gridmon_testkit::sandbox::site::Site as Dashboard;
use serde_json::json;

use super::site::{jobs, keys};
use super::*;

#[test]
fn the_running_jobs_of_a_cloud_are_drawn_from_influxdb() {
    let Some((influxdb, mariadb)) = servers("the_running_jobs_of_a_cloud_are_drawn_from_influxdb") else { return };
    let site = Site::new(At::Servers(influxdb.port, mariadb.port));
    assert_eq!(site.run(&["--setup"]).code, Some(0));
    site::write_history(&influxdb, &site, START, 33 * 144);
    for slot in 0..3 {
        site.answer_for(slot);
        site.cric_at(slot, 0);
        assert_eq!(site.at(START + SLOT * slot).code, Some(0));
    }
    let dashboard = Dashboard::start(&site.sandbox);
    assert!(dashboard.get("/pages/panda/").text().contains("?plot=cloud_jobs.US.running\""));
    let (from, to) = (START - 6 * 3600, START + 3 * SLOT);
    // CRIC does not know Q7, so no cloud has it.
    let sum = |slot: i64| -> i64 {
        let running = keys().into_iter().filter(|key| key[3] == "running" && key[0] != "Q7");
        running.filter_map(|key| jobs(&key[0], "running", slot)).sum()
    };
    let slots = (-36..3).filter(|slot| *slot >= 0 || slot % 19 != 0);
    let expected: Vec<_> = slots.map(|slot| json!(sum(slot) as f64)).collect();
    let ask =
        |more: &str| dashboard.json(&format!("/api/v1/history?path=cloud_jobs.US.running&from={from}&to={to}{more}"));
    let history = ask("");
    let values = history["series"][0]["values"].as_array().unwrap();
    let drawn: Vec<_> = values.iter().filter(|value| value.is_number()).cloned().collect();
    assert_eq!(drawn, expected, "{history}");
    let halves = ask("&step=30min");
    let mean = (0..3).map(sum).sum::<i64>() as f64 / 3.0;
    let last = halves["series"][0]["values"].as_array().unwrap().last().unwrap().as_f64().unwrap();
    assert!((last - mean).abs() < 1e-6, "{halves}: {mean}");
    let month =
        dashboard.json(&format!("/api/v1/history?path=site_jobs.SITE-Q1.running&from={}&to={to}", to - 30 * 86_400));
    assert!(month["series"][0]["whole"]["count"].as_u64().unwrap() > 100, "{month}");
}
