//! The pages of nodes and of Slurm in a real browser: a cluster with one of each fault.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use gridmon_testkit::sandbox::Sandbox;
use gridmon_testkit::sandbox::monitor::Monitor;
use gridmon_testkit::skip;
use serde_json::json;

use crate::driver::Browser;
use crate::proofs::{axe, settled, violations};
use crate::whole::write;

/// The newest time: a little later than now, so that a slow test looks at fresh numbers too.
fn base() -> i64 {
    static BASE: OnceLock<i64> = OnceLock::new();
    *BASE.get_or_init(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        (now + 60) / 10 * 10
    })
}

/// A day of a node every half hour; `number` tells its numbers from those of others.
fn node(host: &str, number: i64, gpus: i64, lost: Option<i64>, scratch: f64) -> Vec<String> {
    let mut lines = Vec::new();
    for half in (0..48).rev() {
        let time = (base() - 1800 * half) * 1_000_000_000;
        let wave = |length: i64, most: f64| {
            let phase = (half * 7 + number * 5) as f64 / length as f64;
            most * (0.65 + 0.3 * phase.sin())
        };
        let busy = wave(30, 90.0);
        lines.push(format!("node_cpus,host={host} cpus=64i {time}"));
        lines.push(format!("node_cpu,host={host},cpu=total percent={busy} {time}"));
        lines.push(format!(
            "node_cpu_share,host={host} user={},nice={},system={},irq=0.1,softirq=0.4,steal=0.0,iowait={} {time}",
            busy * 0.2,
            busy * 0.7,
            busy * 0.1,
            wave(9, 6.0)
        ));
        lines.push(format!("node_load,host={host} load1={},load5=1.0,load15=1.0 {time}", busy * 0.64));
        lines.push(format!(
            "node_memory,host={host} percent={},available=77000000000i,total=270000000000i {time}",
            wave(40, 60.0)
        ));
        lines.push(format!("node_swap,host={host} percent=1.25,used=200000000i,total=16000000000i {time}"));
        lines.push(format!(
            "node_net,host={host} bytes_recv_per_second={},bytes_sent_per_second={} {time}",
            wave(11, 4.2e8),
            wave(17, 1.3e8)
        ));
        lines.push(format!(
            "node_disk_io,host={host} read_bytes_per_second={},write_bytes_per_second={} {time}",
            wave(13, 2.1e8),
            wave(5, 6.4e8)
        ));
        let (state, in_service) = if number == 14 { ("drained", 0) } else { ("mixed", 1) };
        lines.push(format!(
            "slurm_node,cluster=hpc,host={host},state={state} in_service={in_service}i,cpus_alloc=3i {time}"
        ));
        parts(&mut lines, host, (gpus, lost, scratch), time, &wave);
    }
    lines
}

/// Adds the disks, chips, GPUs and interfaces of a node at one moment.
fn parts(
    lines: &mut Vec<String>,
    host: &str,
    (gpus, lost, scratch): (i64, Option<i64>, f64),
    time: i64,
    wave: &dyn Fn(i64, f64) -> f64,
) {
    for (mount, percent, total) in [("root", 41.0, 512), ("scratch", scratch, 7400), ("var", 33.0, 100)] {
        let used = percent * 1e7 * f64::from(total);
        let (used, total) = (used as i64, i64::from(total) * 1_000_000_000);
        lines.push(format!(
            "node_disk_mount,host={host},mount={mount} percent={percent},used={used}i,total={total}i {time}"
        ));
    }
    lines.push(format!(
        "node_temperature,host={host},chip=coretemp,label=package current={},critical=100.0 {time}",
        40.0 + wave(25, 30.0)
    ));
    for gpu in 0..gpus {
        let series = format!("gpu,host={host},bus=0000:{gpu}1:00.0");
        lines.push(match lost == Some(gpu) {
            true => format!("{series} lost=1i,asleep=0i {time}"),
            false => format!(
                "{series} lost=0i,asleep=0i,utilization_ratio={},memory_used_bytes={}i,memory_total_bytes=80000000000i,temperature_celsius={},power_watts=398.5 {time}",
                wave(8 + gpu, 0.97),
                wave(20, 78e9) as i64,
                40.0 + wave(25, 30.0)
            ),
        });
    }
    if gpus > 0 {
        let lost = i64::from(lost.is_some());
        lines.push(format!("gpu_host,host={host} heartbeat=1i,cards={gpus}i,lost={lost}i {time}"));
    }
    lines.push(format!("node_users,host={host} users=3i,sessions=4i {time}"));
    lines.push(format!("node_boot,host={host} boot_time={}.0 {time}", base() - 41 * 86_400 - 3600));
    for (interface, up, speed) in [("eth0", 1, 10_000), ("ib0", 1, 200_000), ("eth1", 0, 0)] {
        lines.push(format!(
            "node_net_link,host={host},interface={interface} isup={up}i,speed={speed}i,mtu=1500i {time}"
        ));
    }
}

/// A dozen nodes. gpu03 has a full disk and a lost GPU; node14 is drained; node18 has been silent for half an hour.
fn cluster(sandbox: &Sandbox) {
    let mut lines = node("gpu01", 1, 8, None, 61.0);
    lines.extend(node("gpu02", 2, 8, None, 58.0));
    lines.extend(node("gpu03", 3, 8, Some(3), 97.2));
    for number in 11..18 {
        lines.extend(node(&format!("node{number}"), number, 0, None, 40.0 + number as f64));
    }
    let silent = |line: &String| {
        let (_, time) = line.rsplit_once(' ').unwrap();
        time.parse::<i64>().unwrap() < (base() - 1000) * 1_000_000_000
    };
    lines.extend(node("node18", 18, 0, None, 22.0).into_iter().filter(silent));
    write(sandbox, &lines);
}

/// Three partitions of a Slurm cluster.
fn slurm(sandbox: &Sandbox) {
    let mut lines = Vec::new();
    for half in (0..48).rev() {
        let time = (base() - 1800 * half) * 1_000_000_000;
        lines.push(format!("slurm,cluster=hpc heartbeat=1i {time}"));
        let all = [
            ("batch", [84, 21, 9, 3], 6420, 7488, 0, 0),
            ("gpu", [3, 8, 0, 1], 402, 768, 77, 96),
            ("long", [12, 4, 0, 0], 914, 1024, 0, 0),
        ];
        for (partition, [allocated, mixed, idle, out], alloc, total, gpus, all_gpus) in all {
            let nodes = allocated + mixed + idle + out;
            lines.push(format!(
                "slurm_partition,cluster=hpc,partition={partition},state=UP up=1i,nodes={nodes}i,nodes_allocated={allocated}i,nodes_mixed={mixed}i,\
                 nodes_idle={idle}i,nodes_out={out}i,nodes_down=0i,nodes_drain={out}i,cpus_alloc={alloc}i,cpus_total={total}i,cpus_free={}i,\
                 cpus_other=0i,gpus_alloc={gpus}i,gpus_total={all_gpus}i {time}",
                total - alloc
            ));
            for (state, jobs) in [("running", 1312), ("pending", 4210)] {
                let jobs = jobs / 10 * (5 + (half * 7) % 5) / nodes;
                lines.push(format!(
                    "slurm_partition_jobs,cluster=hpc,partition={partition},state={state} jobs={jobs}i {time}"
                ));
            }
        }
    }
    write(sandbox, &lines);
}

const BELOW: &str = "document.querySelector('.unfolded')";

#[test]
fn a_node_unfolds_into_its_disks_and_gpus_and_its_row_shows_the_worst_of_them() {
    let test = "a_node_unfolds_into_its_disks_and_gpus_and_its_row_shows_the_worst_of_them";
    let Some(browser) = Browser::open(1440, 1000) else { return skip(test, "Chromium") };
    let Some(axe) = axe() else { return skip(test, "npm, or axe-core from it,") };
    let sandbox = Sandbox::new("small");
    cluster(&sandbox);
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    let url = format!("{}pages/nodes/", monitor.url);
    browser.go(&format!("{url}?theme=light"));
    browser.wait("document.querySelectorAll('.nodes svg.two').length === 22");
    let silent = browser.text("document.querySelector(\"tr[data-key='node18'] .beat\").textContent");
    assert!(silent.contains("stale for 2"), "{silent}");
    // Bars and columns are drawn at all, and nothing is wider than the page.
    let wide = |selector: &str| {
        browser
            .js(&format!("return document.querySelector(\"{selector}\").getBoundingClientRect().width"))
            .as_f64()
            .unwrap()
    };
    let of = |class: &str| wide(&format!("tr[data-key='gpu03'] {class}"));
    assert!((50.0..60.0).contains(&of("svg.meter")) && (60.0..70.0).contains(&of("svg.parts")), "{}", of("svg.parts"));
    assert!(of(".meter.worse path") > 50.0, "97 % of it: {}", of(".meter.worse path"));
    assert_eq!(browser.text("document.documentElement.scrollWidth <= innerWidth"), "true");
    browser.look("nodes-1440");
    assert_eq!(violations(&browser, &axe), json!([]));

    // A click unfolds the row, and the address keeps it; the plots below it are pictures of a day.
    browser.click("tr[data-key='gpu03'] button[name=open]");
    browser.wait(&format!("{BELOW} && [...{BELOW}.querySelectorAll('img')].every((one) => one.naturalWidth)"));
    assert!(browser.text("location.search").contains("open=Nodes%2Fgpu03"), "{}", browser.text("location.search"));
    assert_eq!(browser.text(&format!("{BELOW}.querySelectorAll('tbody > tr').length")), "14");
    assert!(browser.text(&format!("{BELOW}.innerText")).contains("booted 41 d 0 h ago"));
    browser.look("nodes-open-1440");
    assert_eq!(violations(&browser, &axe), json!([]));
    // A number below it is plotted, and the keyboard gets from row to row past it.
    browser.click(".unfolded .meter ~ a");
    settled(&browser, 1);
    browser.go(&format!("{url}?theme=light&open=Nodes/gpu03"));
    browser.js("document.querySelector(\"tr[data-key='gpu03'] a.name\").focus()");
    browser.keys("\u{e015}");
    browser.wait("document.activeElement.closest('.unfolded')");
    browser.click("tr[data-key='gpu03'] button[name=open]");
    browser.wait(&format!("!{BELOW}"));

    // The mean of the GPUs plots each of them that answers.
    browser.click("tr[data-key='gpu01'] svg.parts ~ a");
    settled(&browser, 8);
    browser.go(&format!("{url}?theme=dark&open=Nodes/gpu03"));
    browser.wait(&format!("[...{BELOW}.querySelectorAll('img')].every((one) => one.naturalWidth)"));
    browser.look("nodes-open-dark-1440");
    browser.is_quiet(&monitor.url);
}

#[test]
fn partitions_show_their_nodes_by_state_and_how_much_of_them_is_allocated() {
    let test = "partitions_show_their_nodes_by_state_and_how_much_of_them_is_allocated";
    let Some(browser) = Browser::open(1440, 900) else { return skip(test, "Chromium") };
    let Some(axe) = axe() else { return skip(test, "npm, or axe-core from it,") };
    let sandbox = Sandbox::new("small");
    slurm(&sandbox);
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    browser.go(&format!("{}pages/slurm/?theme=light", monitor.url));
    browser.wait("document.querySelectorAll('.partitions svg.line').length === 6");
    let row =
        browser.text("document.querySelector(\".partitions tr[data-key='batch']\").innerText.replace(/\\s+/g, ' ')");
    assert!(row.contains("117: 84 allocated, 21 mixed, 9 idle, 3 out of order"), "{row}");
    assert!(row.contains("6420 / 7488"), "{row}");
    let part = |at: usize| {
        browser.js(&format!("return document.querySelectorAll(\".partitions tr[data-key='batch'] .meter path\")[{at}].getBoundingClientRect().width"))
    };
    assert!((part(0).as_f64().unwrap() - 200.0 * 84.0 / 117.0).abs() < 1.0, "{}", part(0));
    let gpus = "document.querySelector(\".partitions tr[data-key='long']\").innerText.includes('0 / 0')";
    assert_eq!(browser.text(gpus), "false", "a partition without a GPU has none of 0");
    browser.look("slurm-1440");
    assert_eq!(violations(&browser, &axe), json!([]));
    browser.size(390, 900);
    browser.wait("document.documentElement.scrollWidth <= innerWidth");
    browser.is_quiet(&monitor.url);
}
