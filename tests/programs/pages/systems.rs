//! The pages of backups and of instances: what each node says of a set, its nights, what unfolds, what is off by intent.

use gridmon::monitors::backups::page::BACKUPS;
use gridmon::monitors::instances::page::INSTANCES_PAGE;
use gridmon::setup::Config as Settings;

use super::*;

fn site() -> Site {
    let rules = Settings::parse("", "c.cfg").unwrap().0.alarms;
    let site = Site::with_rules(&[&GRIDS, &BACKUPS, &INSTANCES_PAGE], rules);
    site.world.has_past.store(true, Ordering::Relaxed);
    site
}

/// What a node says of a set.
fn set(node: &str, set: &str, verdict: i64, (age, bytes): (i64, i64), time: i64) -> String {
    let well = i64::from(verdict < 10);
    format!(
        "backup_set,hub=a,node={node},set={set} verdict={verdict}i,well={well}i,age_seconds={age}i,bytes={bytes}i,backups=4i {}\n",
        time * SECOND
    )
}

/// Two nodes of a hub, of which one was not reached in the last run, and three sets.
fn hub() -> String {
    let node =
        |node: &str, fields: &str, time: i64| format!("backup_node,hub=a,node={node} {fields} {}\n", time * SECOND);
    node(
        "n1",
        "reachable=1i,verdict=6i,sets=3i,alarms=1i,disk_bytes=4000000000000i,disk_free_bytes=1000000000000i,disk_full_seconds=864000i",
        NOW,
    ) + &node("n2", "reachable=0i,verdict=21i", NOW)
        + &set("n1", "db", 0, (3600, 5_200_000_000), NOW)
        + &set("n2", "db", 0, (7200, 5_300_000_000), NOW - 600)
        + &set("n1", "docs", 15, (138_180, 97_000_000), NOW)
        + &set("n1", "web", 1, (50_000, 1_300_000_000), NOW)
}

/// The row of a name, up to its end.
fn row<'a>(html: &'a str, name: &str) -> &'a str {
    let from = html.split_once(&format!("data-key=\"{name}\"")).unwrap_or_else(|| panic!("{name} is not in {html}")).1;
    from.split_once("</tr>").unwrap().0
}

#[test]
fn a_set_has_what_each_node_says_of_it_and_its_nights_beside_it() {
    let site = site();
    site.holds(&hub(), NOW + 5);
    let html = site.get("/pages/backups/tables");
    // A row for each set, a column for each node.
    let heads = html.split_once("<div class=\"box sets\"").unwrap().1.split_once("</thead>").unwrap().0;
    assert!(heads.contains("verdict on each node, and its nights</th>"), "{heads}");
    assert!(heads.contains(">n1</button>") && heads.contains(">n2</button>"), "{heads}");
    let docs = row(&html, "docs");
    assert!(docs.starts_with(" class=\"is-bad\"") || html.contains("<tr class=\"is-bad\" data-key=\"docs\""), "{docs}");
    assert!(docs.contains("<span class=\"shape bad\" aria-hidden=\"true\">▼</span><a href=\"?plot=backups.a.n1.docs.verdict\" class=\"pill bad\""), "{docs}");
    assert!(docs.contains(">old</a>") && docs.contains("1 d 14 h") || docs.contains("38 h 23 min"), "{docs}");
    // The past of this store is an hour: one night, which is bad; the other node has no such set.
    assert!(docs.contains("<svg class=\"nights\"") && docs.contains("0 of 1 night well, 1 bad"), "{docs}");
    assert_eq!(docs.matches("class=\"nights\"").count(), 1, "{docs}");
    let web = row(&html, "web");
    assert!(web.contains("shape worse\" aria-hidden=\"true\">▲</span>") && web.contains(">grown</a>"), "{web}");
    // What a node said before it was lost is called so. The oldest age and the largest size count.
    let db = row(&html, "db");
    assert!(db.contains("shape ok\" aria-hidden=\"true\">●</span>"), "{db}");
    assert!(db.contains("shape none\" aria-hidden=\"true\">▨</span><span class=\"quiet\">as it was: </span>"), "{db}");
    assert!(html.contains("none or bad</span>"), "the marks are explained: {html}");
    // When the disk is full.
    let node = row(&html, "n1");
    assert!(node.contains(">1.0 TB</a><span class=\"used\"> / </span>") && node.contains(">10 d 0 h</a>"), "{node}");
    assert!(node.contains("<svg class=\"meter") && node.contains(">filling</a>"), "{node}");
}

#[test]
fn a_set_unfolds_into_its_nodes_the_sizes_of_a_year_and_its_nights() {
    let site = site();
    site.holds(&hub(), NOW + 5);
    let html = site.get("/pages/backups/tables?open=a/db");
    let below = html.split_once("<td class=\"unfolded\"").unwrap().1.split_once("</td></tr>\n").unwrap().0;
    // Both sizes in one plot of a year, and a calendar for each node, by its verdicts.
    let plot = "from=-1y&amp;to=1717245600&amp;path=backups.a.n1.db.bytes&amp;path=backups.a.n2.db.bytes";
    assert!(below.contains(plot), "{below}");
    assert_eq!(below.matches("plot.svg?days=1&amp;worse=1&amp;bad=10&amp;step=1d").count(), 2, "{below}");
    assert!(below.contains("a year of nights on n2"), "{below}");
    assert!(below.contains("href=\"?of=a%2Fset%2Fdb\">all numbers"), "{below}");
    assert!(!below.contains("docs"), "{below}");
    // The page of the name has them too.
    let named = site.get("/pages/backups/tables?of=a/set/db");
    assert_eq!(named.matches("plot.svg?days=1&amp;worse=1&amp;bad=10").count(), 2, "{named}");
}

#[test]
fn a_calendar_by_verdicts_is_drawn_by_their_limits() {
    let site = site();
    site.holds(&hub(), NOW + 5);
    let days = |query: &str| {
        site.get(&format!(
            "/plot.svg?days=1{query}&step=1d&from=1716681600&to=1717286400&path=backups.a.n1.web.verdict"
        ))
    };
    assert!(days("&worse=1&bad=10").contains("1 worse") && days("&worse=2&bad=10").contains("1 of 1 day well"));
    assert!(days("&worse=1&bad=1").contains("1 bad") && days("").contains("1 of 1 day up"));
}

/// An instance with a disk and an interface.
fn instance(name: &str, state: i64) -> String {
    let time = NOW * SECOND;
    let series = format!("grid=g,host=h1,instance={name}");
    let mut lines = format!(
        "instance,{series},name=instance-1,project=analysis,flavor=c8 state={state}i,vcpus=8i,memory_bytes=16000000000i"
    );
    if state == 1 {
        let _ = write!(
            lines,
            ",cpu_ratio=0.81,cpu_cores=6.5,cpu_user_cores=6.0,cpu_system_cores=0.5,cpu_steal_cores=0.1,cpu_wait_cores=0.2,\
             memory_rss_bytes=13100000000i,net_rx_bytes_per_second=41000000.0,net_tx_bytes_per_second=9000000.0,\
             disk_rd_bytes_per_second=2000000.0,disk_wr_bytes_per_second=55000000.0"
        );
    }
    let _ = writeln!(lines, " {time}");
    format!(
        "{lines}instance_block,{series},device=vda rd_bytes_per_second=2000000.0,wr_bytes_per_second=55000000.0,allocation_bytes=8000000000i,capacity_bytes=20000000000i,physical_bytes=8000000000i {time}
instance_net,{series},device=tap1 rx_bytes_per_second=41000000.0,tx_bytes_per_second=9000000.0,rx_packets_per_second=900.0,tx_packets_per_second=800.0,rx_drops_per_second=0.0 {time}
"
    )
}

#[test]
fn instances_are_drawn_and_unfold_into_their_disks_and_interfaces() {
    let site = site();
    let lines = instance("7f3c9a1e-51c4-4f0e-9d6e-0f2b8a61c7d3", 1)
        + &instance("9a77e3d0-51c4-4f0e-9d6e-0f2b8a61c7d3", 3)
        + &instance("c41d20b9-51c4-4f0e-9d6e-0f2b8a61c7d3", 6);
    site.holds(&lines, NOW + 5);
    let html = site.get("/pages/instances/tables");
    let on = row(&html, "7f3c9a1e-51c4-4f0e-9d6e-0f2b8a61c7d3");
    // Its first letters are shown, its whole name is heard, and leads to its page.
    assert!(on.contains("title=\"7f3c9a1e-51c4-4f0e-9d6e-0f2b8a61c7d3\" aria-label=\"7f3c9a1e-51c4-4f0e-9d6e-0f2b8a61c7d3\">7f3c9a1e</a>"), "{on}");
    assert!(on.contains("shape ok\" aria-hidden=\"true\">●</span>") && on.contains(">running</a>"), "{on}");
    assert!(on.contains("<path class=\"q0\" d=\"M0.0 0h51.8v12"), "a bar of its CPUs: {on}");
    assert!(
        on.contains(">13 GB</a><span class=\"used\"> / </span><a")
            || on.contains(">13.1 GB</a><span class=\"used\"> / </span><a"),
        "{on}"
    );
    assert_eq!(on.matches("<svg class=\"two\"").count(), 2, "network and disks: {on}");
    // Paused by intent is quiet, crashed is not.
    let paused = row(&html, "9a77e3d0-51c4-4f0e-9d6e-0f2b8a61c7d3");
    assert!(
        html.contains("<tr class=\"disabled\" data-key=\"9a77e3d0-51c4-4f0e-9d6e-0f2b8a61c7d3\"")
            && paused.contains(">○</span>"),
        "{paused}"
    );
    assert!(html.contains("<tr class=\"is-bad\" data-key=\"c41d20b9-51c4-4f0e-9d6e-0f2b8a61c7d3\""), "{html}");
    // The sums of the host, of what is inside a column too.
    let sum = row(&html, " sum");
    assert!(sum.contains("all 3 instances") && sum.contains("41 MB<span class=\"used\"> / </span>9.0 MB"), "{sum}");
    // Disks and interfaces stand below the instance, no longer on the page.
    assert!(!html.contains("tap1") && !html.contains("vda"), "{html}");
    let html = site.get("/pages/instances/tables?open=h1/7f3c9a1e-51c4-4f0e-9d6e-0f2b8a61c7d3");
    let below = html.split_once("<td class=\"unfolded\"").unwrap().1.split_once("</td></tr>\n").unwrap().0;
    assert!(below.contains("<th scope=\"row\">vda</th>") && below.contains("<th scope=\"row\">tap1</th>"), "{below}");
    let both = "path=instances.g.h1.7f3c9a1e-51c4-4f0e-9d6e-0f2b8a61c7d3.block.vda.rd_bytes_per_second&amp;path=instances.g.h1.7f3c9a1e-51c4-4f0e-9d6e-0f2b8a61c7d3.block.vda.wr_bytes_per_second";
    assert!(below.contains(both), "one plot of what is read and written: {below}");
    for words in
        ["vda read/s / written/s", "tap1 received/s / sent/s", "CPU user / system", "CPU lost to others / to waits"]
    {
        assert!(below.contains(&format!("<figcaption>{words} <b>")), "{words}: {below}");
    }
    assert!(!below.contains("9a77e3d0") && below.contains("all numbers"), "{below}");
}
