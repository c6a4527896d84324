//! Two readings and their rates: fast networks, restarts, gaps, clocks, devices that come and go.

use std::time::Duration;

use super::{Bases, InstancesInput, Moment, points};
use crate::model::{Collected, SECOND, Value};
use crate::sources::libvirt::domain::Stats;
use crate::sources::libvirt::message::Value as Counter;
use crate::sources::libvirt::{Answer, Domain, DomainRef, Nova, Uuid};

/// What virsh printed of domains, as `Domain: 'NAME'` and lines of `  KEY=VALUE`.
macro_rules! recorded {
    ($name:literal) => {
        domains(include_str!(concat!("../../../tests/fixtures/libvirt/domstats/", $name, ".txt")))
    };
}

fn domains(text: &str) -> Vec<Domain> {
    let mut domains = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("Domain: '") {
            let name = name.trim_end_matches('\'').to_string();
            let last = name.bytes().last().unwrap_or_default();
            let of = DomainRef { uuid: Uuid([last; 16]), name, id: 1 };
            domains.push(Domain { of, at: Duration::ZERO, nova: None, stats: Stats::default() });
        } else if let (Some((key, value)), Some(domain)) = (line.trim().split_once('='), domains.last_mut()) {
            domain.stats.take(key.as_bytes(), counter(value));
        }
    }
    domains
}

fn counter(value: &str) -> Counter<'_> {
    value.parse().map_or(Counter::Text(value.as_bytes()), Counter::Unsigned)
}

fn domain(pairs: &[(&str, &str)]) -> Domain {
    let of = DomainRef { name: "instance-00000001".into(), uuid: Uuid([1; 16]), id: 1 };
    let mut stats = Stats::default();
    for (key, value) in [("state.state", "1"), ("balloon.rss", "4"), ("cpu.time", "5000000000"), ("vcpu.current", "2")]
        .iter()
        .chain(pairs)
    {
        stats.take(key.as_bytes(), counter(value));
    }
    Domain { of, at: Duration::ZERO, nova: None, stats }
}

/// A host whose runs are played.
#[derive(Default)]
struct Host {
    bases: Bases,
    /// By how much the wall clock is wrong, in seconds.
    step: i64,
    boot: &'static str,
}

/// The time of the first reading.
const START: i64 = 1_795_657_500;

impl Host {
    /// Takes the readings of a run, so many seconds after the first one.
    fn run(&mut self, after: f64, domains: &[Domain]) -> Collected {
        let running = (after * 1e9) as i64;
        let answer = Answer { domains: domains.to_vec(), known: domains.len(), is_whole: true, ..Answer::default() };
        let began = Moment { wall: (START + self.step) * SECOND + running, running: Some(running + 77) };
        self.take(began, Some(&answer))
    }

    fn take(&mut self, began: Moment, answer: Option<&Answer>) -> Collected {
        let time = began.wall;
        let input = InstancesInput { grid: "g", host: "h", time, began, boot: self.boot, names: false, answer };
        // What is remembered goes through the state directory.
        let kept = serde_json::to_string(&self.bases).unwrap();
        self.bases = serde_json::from_str(&kept).unwrap();
        points(&input, &mut self.bases)
    }
}

/// Returns a field of the only point of a measurement, and of a device if one is named.
fn field(run: &Collected, measurement: &str, device: &str, field: &str) -> Option<f64> {
    let mut points = run.points.iter().filter(|point| {
        point.measurement() == measurement && (device.is_empty() || point.tag("device") == Some(device))
    });
    let point = points.next()?;
    assert!(points.next().is_none(), "several points of {measurement}");
    point.fields().find(|(name, _)| *name == field).map(|(_, value)| value.as_f64())
}

fn rx(run: &Collected) -> Option<f64> {
    field(run, "instance", "", "net_rx_bytes_per_second")
}

fn tap(rx: u64) -> Domain {
    domain(&[("net.count", "1"), ("net.0.name", "tap1"), ("net.0.rx.bytes", &rx.to_string())])
}

#[test]
fn ten_and_a_hundred_gigabits_a_second_are_right_to_the_byte_also_beyond_2_to_the_53() {
    for start in [0, (1 << 53) + 1, u64::MAX - 12_500_000_000 * 300] {
        for bytes_per_second in [1, 1_250_000_000, 12_500_000_000] {
            let mut host = Host::default();
            assert_eq!(rx(&host.run(0.0, &[tap(start)])), None, "at first sight there is no rate");
            let run = host.run(300.0, &[tap(start + bytes_per_second * 300)]);
            assert_eq!(rx(&run), Some(bytes_per_second as f64), "from {start}");
            assert_eq!(field(&run, "instance_net", "tap1", "rx_bytes_per_second"), rx(&run));
        }
    }
}

#[test]
fn a_counter_that_begins_anew_has_no_rate_and_costs_the_other_devices_none() {
    let two = |first: u64, second: u64| {
        let (first, second) = (first.to_string(), second.to_string());
        domain(&[
            ("net.count", "2"),
            ("net.0.name", "tap1"),
            ("net.0.rx.bytes", &first),
            ("net.1.name", "tap2"),
            ("net.1.rx.bytes", &second),
        ])
    };
    let mut host = Host::default();
    host.run(0.0, &[two(900, 100)]);
    let run = host.run(300.0, &[two(300, 400)]);
    assert_eq!(field(&run, "instance_net", "tap1", "rx_bytes_per_second"), None);
    assert_eq!(field(&run, "instance_net", "tap2", "rx_bytes_per_second"), Some(1.0));
    assert_eq!(rx(&run), Some(1.0));
    let run = host.run(600.0, &[two(600, 400)]);
    assert_eq!((rx(&run), field(&run, "instance_net", "tap2", "rx_bytes_per_second")), (Some(1.0), Some(0.0)));
}

#[test]
fn a_restart_makes_a_new_base_whatever_its_processor_time() {
    // libvirt gives the new run another number; its processor time may already be ahead of the old one.
    for (id, time) in [(2, "9000000000"), (1, "4999999999")] {
        let mut host = Host::default();
        host.run(0.0, &[tap(1000)]);
        let mut restarted = tap(5000);
        restarted.of.id = id;
        restarted.stats.take(b"cpu.time", counter(time));
        let run = host.run(300.0, &[restarted.clone()]);
        assert_eq!((rx(&run), field(&run, "instance", "", "cpu_cores")), (None, None), "run {id}");
        restarted.stats.take(b"cpu.time", counter("21000000000"));
        let run = host.run(600.0, &[restarted]);
        assert_eq!(rx(&run), Some(0.0));
        assert!(field(&run, "instance", "", "cpu_cores").is_some());
    }
}

#[test]
fn a_gap_of_more_than_ten_minutes_has_no_rate() {
    for (gap, expected) in
        [(0.0, None), (0.5, Some(1200.0)), (300.0, Some(2.0)), (600.0, Some(1.0)), (600.1, None), (86_400.0, None)]
    {
        let mut host = Host::default();
        host.run(0.0, &[tap(0)]);
        assert_eq!(rx(&host.run(gap, &[tap(600)])), expected, "{gap} s");
        assert_eq!(rx(&host.run(gap + 300.0, &[tap(900)])), Some(1.0));
    }
}

#[test]
fn a_clock_that_is_set_changes_no_rate_and_a_given_one_counts() {
    for step in [-86_400, -200, 200, 86_400] {
        let mut host = Host::default();
        host.run(0.0, &[tap(0)]);
        host.step = step;
        assert_eq!(rx(&host.run(300.0, &[tap(600)])), Some(2.0), "{step} s");
    }
    // With --now nothing else is known.
    for (now, expected) in [(300, Some(2.0)), (601, None), (0, None), (-300, None)] {
        let mut host = Host::default();
        for (now, bytes) in [(0, 0), (now, 600)] {
            let answer = Answer { domains: vec![tap(bytes)], known: 1, is_whole: true, ..Answer::default() };
            let run = host.take(Moment { wall: (START + now) * SECOND, running: None }, Some(&answer));
            assert_eq!(rx(&run), if bytes == 0 { None } else { expected }, "{now}");
        }
    }
}

#[test]
fn the_moment_counts_at_which_a_list_of_many_was_answered() {
    let mut host = Host::default();
    host.run(0.0, &[tap(0)]);
    let late = Domain { at: Duration::from_secs(100), ..tap(800) };
    assert_eq!(rx(&host.run(300.0, &[late])), Some(2.0));
}

#[test]
fn an_instance_that_migrates_away_and_back_starts_anew() {
    let mut host = Host::default();
    host.run(0.0, &[tap(1000)]);
    let away = host.run(200.0, &[]);
    assert_eq!(away.points.len(), 1, "nothing of it, only the host: {:?}", away.points);
    assert_eq!(rx(&host.run(400.0, &[tap(9000)])), None, "another host's counters lie between");
    assert_eq!(rx(&host.run(700.0, &[tap(9300)])), Some(1.0));
}

#[test]
fn no_answer_is_no_point_and_the_base_stays() {
    let mut host = Host::default();
    host.run(0.0, &[tap(0)]);
    let began = Moment { wall: (START + 300) * SECOND, running: Some(300 * SECOND) };
    let run = host.take(began, None);
    let lines: Vec<_> = run.points.iter().map(crate::model::Point::line).collect();
    assert_eq!(lines, [format!("instance_host,grid=g,host=h heartbeat=0i {}", (START + 300) * SECOND)]);
    // It is there, and was not asked.
    let answer = Answer { known: 1, unasked: vec![Uuid([1; 16])], unanswered: 1, ..Answer::default() };
    let run = host.take(began, Some(&answer));
    assert!(run.points.len() == 1 && run.complete.len() == 1);
    // Whether it is on nobody knows.
    let of_host: Vec<_> = run.points[0].fields().map(|(name, _)| name).collect();
    assert_eq!(of_host, ["heartbeat", "instances", "unanswered"]);
    assert_eq!(rx(&host.run(600.0, &[tap(600)])), Some(1.0));
}

#[test]
fn a_restart_of_the_machine_makes_new_bases() {
    let mut host = Host { boot: "a", ..Host::default() };
    host.run(0.0, &[tap(0)]);
    host.boot = "b";
    assert_eq!(rx(&host.run(300.0, &[tap(600)])), None);
}

#[test]
fn the_base_of_what_a_hung_qemu_does_not_tell_is_kept_and_the_network_goes_on() {
    let hung = |rx: u64| {
        let mut domain = tap(rx);
        domain.stats.balloon.rss = None;
        domain.stats.cpu_time = None;
        domain
    };
    let mut host = Host::default();
    host.run(0.0, &[tap(0)]);
    let run = host.run(300.0, &[hung(300)]);
    assert_eq!((rx(&run), field(&run, "instance", "", "cpu_cores")), (Some(1.0), None));
    let mut back = tap(900);
    back.stats.take(b"cpu.time", counter("605000000000"));
    let run = host.run(600.0, &[back]);
    assert_eq!((rx(&run), field(&run, "instance", "", "cpu_cores")), (Some(2.0), Some(1.0)));
    assert_eq!(field(&run, "instance", "", "cpu_ratio"), Some(0.5));
}

#[test]
fn processors_are_counted_by_vcpus_and_never_beyond_one() {
    let busy = |time: &str, delays: [&str; 2]| {
        // vCPU 1 is not there: numbers may have holes.
        domain(&[("cpu.time", time), ("vcpu.0.delay", delays[0]), ("vcpu.0.wait", "0"), ("vcpu.2.delay", delays[1])])
    };
    let mut host = Host::default();
    host.run(0.0, &[busy("5000000000", ["0", "1000000000"])]);
    let run = host.run(300.0, &[busy("635000000000", ["150000000000", "151000000000"])]);
    let of = |name| field(&run, "instance", "", name);
    // 630 s of processor time in 300 s with two vCPUs: QEMU's own threads are in it.
    assert_eq!((of("cpu_cores"), of("cpu_ratio"), of("vcpus")), (Some(2.1), Some(1.0), Some(2.0)));
    assert_eq!((of("cpu_steal_cores"), of("cpu_wait_cores")), (Some(1.0), Some(0.0)));
}

#[test]
fn an_instance_that_is_off_has_its_state_alone() {
    let mut host = Host::default();
    let off: Vec<_> = recorded!("shutoff");
    for after in [0.0, 300.0] {
        let run = host.run(after, &off);
        let of_it: Vec<_> = run.points[1..].iter().map(crate::model::Point::line).collect();
        let uuid = off[0].of.uuid;
        let time = (START + after as i64) * SECOND;
        let line = format!(
            "instance,flavor=none,grid=g,host=h,instance={uuid},name={},project=none state=5i,state_reason=2i {time}",
            off[0].of.name
        );
        assert_eq!(of_it, [line], "libvirtd's own cpu.time is not the instance's");
    }
    assert_eq!(host.bases, Bases::default());
}

#[test]
fn devices_are_told_by_name_when_others_come_and_go() {
    let mut host = Host::default();
    let (before, attached, detached) =
        (recorded!("hotplug_before"), recorded!("hotplug_attached"), recorded!("hotplug_detached"));
    let on = |domains: &[Domain]| {
        let mut domains = domains[..1].to_vec();
        domains[0].stats.take(b"state.state", Counter::Unsigned(1));
        domains
    };
    host.run(0.0, &on(&before));
    let run = host.run(10.0, &on(&attached));
    let rate = |run: &Collected, name: &str| field(run, "instance_block", name, "rd_bytes_per_second");
    let known = attached[0].stats.block[&0].numbers[0].unwrap() - before[0].stats.block[&0].numbers[0].unwrap();
    assert_eq!(
        (rate(&run, "vda"), rate(&run, "vdb")),
        (Some(known as f64 / 10.0), None),
        "the new one has sizes alone"
    );
    assert!(field(&run, "instance_block", "vdb", "capacity_bytes").is_some());
    assert_eq!(field(&run, "instance", "", "disks"), Some(2.0));
    assert_eq!(field(&run, "instance", "", "disk_rd_bytes_per_second"), rate(&run, "vda"), "no jump");
    // An index that moves: the first one goes, and the second one takes its number.
    let mut moved = on(&attached);
    let second = moved[0].stats.block.remove(&1).unwrap();
    moved[0].stats.block.insert(0, second);
    moved[0].stats.block_count = Some(1);
    let run = host.run(20.0, &moved);
    assert_eq!((rate(&run, "vdb"), rate(&run, "vda")), (Some(0.0), None));
    let run = host.run(30.0, &on(&detached));
    assert_eq!((rate(&run, "vda"), rate(&run, "vdb")), (None, None), "vda is new again");
}

#[test]
fn without_devices_the_sums_are_zero_and_without_rates_there_are_none() {
    let mut host = Host::default();
    let bare = recorded!("bare_running");
    let run = host.run(0.0, &bare);
    let zero = |name| field(&run, "instance", "", name);
    for name in ["net_rx_bytes_per_second", "net_tx_bytes_per_second", "disk_rd_bytes_per_second", "disks"] {
        assert_eq!(zero(name), Some(0.0), "{name}");
    }
    let run = Host::default().run(0.0, &[tap(1)]);
    assert_eq!((rx(&run), field(&run, "instance", "", "disks")), (None, None));
}

#[test]
fn the_guests_memory_counts_for_ten_minutes() {
    // START is 133 s before the guest's last word in the recording.
    let (first, later) = (recorded!("linux_guest"), recorded!("linux_guest_later"));
    let mut host = Host::default();
    host.run(140.0, &first);
    let run = host.run(150.0, &later);
    let of = |run: &Collected, name| field(run, "instance", "", name);
    assert_eq!(of(&run, "memory_bytes"), Some(196_608.0 * 1024.0));
    assert_eq!(of(&run, "memory_usable_bytes"), Some(134_752.0 * 1024.0));
    assert_eq!(of(&run, "minor_faults_per_second"), Some(46.2));
    assert_eq!(of(&run, "swap_in_bytes_per_second"), Some(0.0));
    assert_eq!(field(&run, "instance_block", "vda", "wr_busy_ratio"), Some((1_524_853 - 251_486) as f64 / 10.0 / 1e9));
    // A CD-ROM without a disc has no sizes.
    assert_eq!(field(&run, "instance_block", "sda", "capacity_bytes"), None);
    for (after, is_told) in [(743.0, true), (744.0, false)] {
        assert_eq!(of(&host.run(after, &later), "memory_usable_bytes").is_some(), is_told, "{after} s");
    }
    // A clock that was set back: how old it is nobody knows.
    for (after, is_told) in [(139.0, true), (137.0, false), (-86_400.0, false)] {
        assert_eq!(of(&host.run(after, &later), "memory_usable_bytes").is_some(), is_told, "{after} s");
    }
}

#[test]
fn every_recorded_domain_makes_sound_points() {
    let all = [
        recorded!("running"),
        recorded!("kvm_guest"),
        recorded!("paused"),
        recorded!("hung_second_nowait"),
        recorded!("many_devices"),
    ];
    for domains in all {
        let mut host = Host::default();
        host.run(0.0, &domains);
        let run = host.run(300.0, &domains);
        let count = run.points.len();
        let (sound, dropped) = crate::model::validate(run.points);
        assert!(dropped.is_empty() && sound.len() == count && count > domains.len(), "{dropped:?}");
        let is_good = |value: Value| value.as_f64().is_finite() && value.as_f64() >= 0.0;
        assert!(sound.iter().all(|point| point.fields().all(|(_, value)| is_good(value))));
    }
}

#[test]
fn labels_are_novas_and_a_display_name_only_where_it_is_asked_for() {
    let nova = Nova { name: "my web server".into(), flavor: "m1.tiny".into(), project: "b1e2".into() };
    let domains = vec![Domain { nova: Some(nova), ..tap(0) }];
    let answer = Answer { domains, known: 1, is_whole: true, ..Answer::default() };
    for (names, name) in [(false, "instance-00000001"), (true, "my web server")] {
        let began = Moment { wall: START * SECOND, running: None };
        let input = InstancesInput { grid: "g", host: "h", time: 0, began, boot: "", names, answer: Some(&answer) };
        let run = points(&input, &mut Bases::default());
        let labels: Vec<_> = run.points[1].labels().collect();
        assert_eq!(labels, [("flavor", "m1.tiny"), ("name", name), ("project", "b1e2")]);
        assert_eq!(run.scope, [("host", "h".to_string())]);
    }
}
