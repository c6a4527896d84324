//! The page of all nodes: the worst of the parts of each, what is drawn beside numbers, what unfolds below a row.

use gridmon::monitors::nodes::page::{NODE_PAGE, NODES_PAGE};
use gridmon::setup::Config as Settings;

use super::*;

fn site() -> Site {
    let rules = Settings::parse("", "c.cfg").unwrap().0.alarms;
    let site = Site::with_rules(&[&GRIDS, &NODES_PAGE, &NODE_PAGE], rules);
    site.world.has_past.store(true, Ordering::Relaxed);
    site
}

/// A node with three disks, two chips and four GPUs, of which one is lost and one sleeps; its numbers are of `time`.
fn node(host: &str, time: i64) -> String {
    let time = time * SECOND;
    let mut lines = format!(
        "node_cpus,host={host} cpus=64i {time}
node_cpu,host={host},cpu=total percent=61.5 {time}
node_cpu_share,host={host} user=30.0,nice=20.0,system=6.0,irq=0.5,softirq=5.0,steal=0.0,iowait=4.0 {time}
node_load,host={host} load1=40.25,load5=39.0,load15=38.0 {time}
node_memory,host={host} percent=71.3,available=77000000000i,total=270000000000i {time}
node_net,host={host} bytes_recv_per_second=420000000.0,bytes_sent_per_second=130000000.0 {time}
node_boot,host={host} boot_time={boot}.0 {time}
gpu_host,host={host} heartbeat=1i,cards=4i,lost=1i {time}
gpu,host={host},bus=0000:01:00.0 lost=0i,asleep=0i,utilization_ratio=0.95,memory_used_bytes=65000000000i,memory_total_bytes=80000000000i,temperature_celsius=66.0,power_watts=402.4 {time}
gpu,host={host},bus=0000:11:00.0 lost=0i,asleep=0i,utilization_ratio=0.45 {time}
gpu,host={host},bus=0000:21:00.0 lost=1i,asleep=0i {time}
gpu,host={host},bus=0000:31:00.0 lost=0i,asleep=1i {time}
",
        boot = NOW - 41 * 86_400 - 3600
    );
    for (mount, percent) in [("root", 41.0), ("scratch", 97.2), ("var", 33.0)] {
        let _ = writeln!(
            lines,
            "node_disk_mount,host={host},mount={mount} percent={percent},used=7200000000000i,total=7400000000000i {time}"
        );
    }
    for (chip, label, celsius) in
        [("coretemp", "core_0", 61.0), ("coretemp", "core_1", 68.4), ("nvme", "composite", 44.0)]
    {
        let _ = writeln!(lines, "node_temperature,host={host},chip={chip},label={label} current={celsius} {time}");
    }
    lines
}

/// The row of a node, from its name on.
fn row<'a>(html: &'a str, host: &str) -> &'a str {
    let from = html.split_once(&format!("data-key=\"{host}\"")).unwrap_or_else(|| panic!("{html}")).1;
    from.split_once("</tr>").unwrap().0
}

#[test]
fn a_row_has_the_worst_of_its_parts_with_its_name_and_the_mean_of_its_gpus() {
    let site = site();
    site.holds(&node("gpu03", NOW), NOW + 5);
    let html = site.get("/pages/nodes/tables");
    let row = row(&html, "gpu03");
    // The fullest disk, which a rule marks, and whose plot is that of this disk.
    let fullest = "plot=gpu03.DiskUsage.scratch.percent\" class=\"pill worse\" title=\"97.20\" aria-label=\"fullest, scratch, gpu03: 97 %\">97 %</a>";
    assert!(row.contains(fullest) && row.contains("<span class=\"whose\">scratch</span>"), "{row}");
    assert!(row.contains("class=\"meter worse\""), "its bar says so too: {row}");
    // The hottest chip; no rule is about 68 °C.
    let hottest = "plot=gpu03.SensorsTemperatures.coretemp.core_1.current\" title=\"68.40\" aria-label=\"hottest, coretemp, core_1, gpu03: 68 °C\">68 °C</a>";
    assert!(row.contains(hottest), "{row}");
    // The mean of those that tell it; the plot has each.
    let gpu =
        "?plot=gpu03.GPU.0000%3A01%3A00_0.utilization_ratio&amp;plot=gpu03.GPU.0000%3A11%3A00_0.utilization_ratio";
    assert!(row.contains(&format!("href=\"{gpu}\" aria-label=\"busy, gpu03: 70 %, mean of 2\">70 %</a>")), "{row}");
    let drawn = row.split_once("<svg class=\"parts\"").unwrap().1;
    assert!(drawn.contains("class=\"lost\" d=\"M16 2") && drawn.contains("class=\"no\" d=\"M24.5"), "{drawn}");
    assert!(drawn.contains("<span class=\"unseen\">, 1 lost</span>"), "{drawn}");
    // What users do and what waits stands in one bar: 50 of user and nice, 11.5 of the system, 4 that waits.
    assert!(
        row.contains("M0.0 0h32.0v12h-32.0z") && row.contains("M32.0 0h7.4v12") && row.contains("M39.4 0h2.6v12"),
        "{row}"
    );
    assert!(html.contains("<span class=\"swatch q2\"></span>waits for a disk"), "{html}");
    // What is received and what is sent stand in one cell, with one line.
    assert!(
        row.contains(">420 MB</a><span class=\"used\"> / </span><a") && row.contains("<svg class=\"two\""),
        "{row}"
    );
    assert_eq!(row.matches("class=\"day\"").count(), 1, "its 24 hours: {row}");
}

/// A phone has room for the first columns: an open row has the others as pairs, and what unfolds below it has all of its own.
#[test]
fn on_a_phone_an_open_row_has_the_numbers_for_which_its_table_has_no_room() {
    let site = site();
    site.holds(&node("gpu03", NOW), NOW + 5);
    let closed = site.get("/pages/nodes/tables");
    assert!(row(&closed, "gpu03").contains("<td class=\"x\">") && !closed.contains("class=\"pairs"), "{closed}");
    let open = site.get("/pages/nodes/tables?open=Nodes/gpu03");
    let pairs = open.split_once("<tr class=\"pairs narrow\" data-key=\"gpu03 pairs\">").unwrap().1;
    let (pairs, below) = pairs.split_once("</dl>").unwrap();
    assert!(pairs.contains("<dt>GPUs busy</dt>") && pairs.contains("70 %"), "{pairs}");
    // A pair is as its cell is: a number of the worst part names it, what stands behind a number stands there too.
    let pair = |head: &str| {
        let pair = pairs.split_once(&format!("<dt>{head}</dt><dd>")).unwrap_or_else(|| panic!("{head}: {pairs}")).1;
        pair.split_once("</dd>").unwrap().0
    };
    let hottest = pair("hottest");
    assert!(hottest.contains("coretemp, core_1, gpu03: 68 °C") && hottest.contains("<svg class=\"dot"), "{hottest}");
    assert!(hottest.contains("<span class=\"whose\">coretemp core_1</span>"), "{hottest}");
    let network = pair("network received/s / sent/s");
    assert!(network.contains(">420 MB</a>") && network.contains(">130 MB</a>"), "{network}");
    let below = below.split_once("</table></div>").map_or(below, |(below, _)| below);
    assert!(
        below.contains("<caption class=\"unseen\">GPUs of gpu03")
            && !below.contains(" x\"")
            && !below.contains("\"x\""),
        "{below}"
    );
}

#[test]
fn a_part_that_went_is_not_the_worst_and_a_silent_node_keeps_its_last_numbers() {
    let site = site();
    // Its disk was unmounted a minute ago, when it was full.
    let old = format!("node_disk_mount,host=n1,mount=gone percent=99.9 {}\n", (NOW - 60) * SECOND);
    site.holds(&(old + &node("n1", NOW) + &node("n2", NOW - 900)), NOW + 5);
    let html = site.get("/pages/nodes/tables");
    assert!(row(&html, "n1").contains(">97 %</a><span class=\"whose\">scratch<"), "{html}");
    let silent = row(&html, "n2");
    assert!(
        silent.contains("stale for 15 min") && silent.contains(">97 %</a><span class=\"whose\">scratch<"),
        "{silent}"
    );
    assert!(silent.contains("class=\"old"), "{silent}");
    // A node whose readings come a batch later is not silent.
    site.holds(&(node("n1", NOW) + &node("n2", NOW - 180)), NOW + 6);
    let late = site.get("/pages/nodes/tables");
    assert!(row(&late, "n2").contains("aria-label=\"n2: up\""), "{late}");
}

#[test]
fn columns_of_parts_are_sorted_and_plotted_and_absent_where_no_node_has_any() {
    let site = site();
    let cool =
        format!("node_cpus,host=a1 cpus=4i {0}\nnode_disk_mount,host=a1,mount=root percent=98.5 {0}\n", NOW * SECOND);
    site.holds(&(node("gpu03", NOW) + &cool), NOW + 5);
    let first = |query: &str| {
        let html = site.get(&format!("/pages/nodes/tables{query}"));
        let rows = html.split(" data-key=\"").filter(|row| row.starts_with("a1\"") || row.starts_with("gpu03\""));
        rows.map(|row| row.split_once('"').unwrap().0.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(first(""), ["a1", "gpu03"]);
    assert_eq!(first("?sort=nodes:disks/fullest"), ["a1", "gpu03"]);
    assert_eq!(first("?sort=-nodes:disks/fullest"), ["gpu03", "a1"]);
    assert_eq!(first("?sort=nodes:GPUs/busy"), ["gpu03", "a1"], "what has none comes last");
    let mut stream = TcpStream::connect(("127.0.0.1", site.port)).unwrap();
    let column = "/pages/nodes/?column=Nodes/nodes:GPUs/busy";
    write!(stream, "GET {column} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer.matches("plot=gpu03.GPU.").count(), 2, "each GPU that tells it: {answer}");
    site.holds(&cool, NOW + 6);
    let html = site.get("/pages/nodes/tables");
    assert!(!html.contains("GPUs") && !html.contains("hottest"), "no node has them: {html}");
}

#[test]
fn a_row_unfolds_into_what_belongs_to_the_node_and_to_no_other() {
    let site = site();
    site.holds(&(node("gpu03", NOW) + &node("gpu04", NOW)), NOW + 5);
    let folded = site.get("/pages/nodes/tables");
    assert!(!folded.contains("unfolded") && folded.contains("aria-expanded=\"false\""), "{folded}");
    let html = site.get("/pages/nodes/tables?open=Nodes/gpu03");
    assert!(row(&html, "gpu03").contains("aria-expanded=\"true\""), "{html}");
    let below = html.split_once("<td class=\"unfolded\"").unwrap().1.split_once("</td></tr>\n").unwrap().0;
    assert!(!below.contains("gpu04"), "{below}");
    for (what, count) in [(">scratch</th>", 1), (":00.0</th>", 4), ("<img ", 6)] {
        assert_eq!(below.matches(what).count(), count, "{what}: {below}");
    }
    for text in [
        ">7.2 TB</a><span class=\"used\"> / </span>",
        "<span class=\"each\">booted <a",
        "aria-label=\"booted, gpu03: 41 d 1 h ago\">41 d 1 h ago</a>",
        ">402 W</a>",
        "href=\"?of=Nodes%2Fhost%2Fgpu03\">all numbers",
    ] {
        assert!(below.contains(text), "{text}: {below}");
    }
    assert!(below.contains("title=\"2024-04-21 11:30\""), "the exact time is its tooltip: {below}");
    // A lost GPU has no numbers, and says why.
    let lost = below.split_once("0000:21:00.0</th>").unwrap().1.split_once("</tr>").unwrap().0;
    assert!(lost.contains("pill bad") && lost.contains(">LOST</a>") && lost.contains("–"), "{lost}");
    // The button folds it again; the find box leaves it unfolded.
    assert!(html.contains("name=\"open\" value=\"Nodes/gpu03\""), "{html}");
    assert!(site.get("/pages/nodes/tables?open=Nodes/gpu03&find=gpu03").contains("unfolded"));
}

#[test]
fn slurms_state_of_a_node_stands_in_its_row_and_makes_none() {
    let site = site();
    let time = NOW * SECOND;
    let slurm = format!(
        "slurm_node,cluster=hpc,host=gpu03,state=mixed in_service=1i,cpus_alloc=3i {time}
slurm_node,cluster=hpc,host=gpu04,state=drained in_service=0i,cpus_alloc=0i {time}
slurm_node,cluster=hpc,host=elsewhere,state=idle in_service=1i,cpus_alloc=0i {time}\n"
    );
    site.holds(&(node("gpu03", NOW) + &node("gpu04", NOW) + &slurm), NOW + 5);
    let html = site.get("/pages/nodes/tables");
    assert!(row(&html, "gpu03").contains("<td class=\"name x\">mixed</td>"), "{html}");
    assert!(
        html.contains("<tr class=\"disabled\" data-key=\"gpu04\">") && row(&html, "gpu04").contains(">drained</td>"),
        "{html}"
    );
    assert!(!html.contains("elsewhere"), "{html}");
    assert!(site.get("/pages/nodes/tables?find=drained").contains("data-key=\"gpu04\""), "it is found by its state");
}
