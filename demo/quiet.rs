//! A month of the demo without faults, through the arithmetic of each system and its rules, in memory: nothing is wrong at
//! any run. And each fault is seen within two runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use gridmon::events::{Condition, Known, Now, Rule, Rules, Severity, now, past};
use gridmon::model::{COVERAGE, Measurement, Point, SECOND};
use gridmon::monitors::grid as monitor;
use gridmon::monitors::instances::{self, Bases, InstancesInput, Moment};
use gridmon::monitors::panda::rules::{counts_of, scores};
use gridmon::problem::Asked;
use gridmon::query::{Ahead, Detail, Folding, Latest, Newest, Read, Values, Wanted};
use gridmon::setup::{CATALOG, Config, PLOTTED};
use gridmon::sources::cloud_scheduler::{self, v1};
use gridmon::sources::htcondor::{self, CondorReply, JobGroup, Pool};
use gridmon::sources::libvirt;

use crate::grid::{self, Grid, POOL, State};
use crate::libvirt::Player;
use crate::panda;

const DAY: i64 = 86_400;

/// The first day, in unix seconds.
const BEGIN: i64 = 1_700_006_400;

/// A store in memory, with the number of values that ranges have brought.
#[derive(Default)]
pub struct Memory(BTreeMap<String, Series>, AtomicUsize);

struct Series {
    measurement: &'static Measurement,
    series: Point,
    field: &'static str,
    every: i64,
    values: Vec<(i64, f64)>,
}

impl Memory {
    /// Takes what a run sent, which comes each `every` seconds.
    pub fn take(&mut self, points: &[Point], every: i64) {
        for point in points {
            let measurement = PLOTTED.measurement(point.measurement()).unwrap();
            for field in measurement.fields {
                let Some((_, value)) = point.fields().find(|(name, _)| *name == field.name) else { continue };
                // What Carbon does not get is no plot, and is known all the same.
                let path = measurement.carbon_path(point, field.name);
                let path = path.unwrap_or_else(|| format!("{} {}", point.series(), field.name));
                let one = self.0.entry(path).or_insert_with(|| Series {
                    measurement,
                    series: point.at(0, []),
                    field: field.name,
                    every,
                    values: Vec::new(),
                });
                one.every = every;
                one.values.push((point.time().div_euclid(SECOND), value.as_f64()));
            }
        }
    }

    /// Returns how many numbers it has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Forgets what is older than some days, so that a month fits.
    fn forget(&mut self, before: i64) {
        for one in self.0.values_mut() {
            let old = one.values.partition_point(|(time, _)| *time < before);
            one.values.drain(..old);
        }
    }
}

impl Read for Memory {
    fn describe(&self) -> String {
        "memory".into()
    }

    fn version(&self) -> u64 {
        0
    }

    fn latest(&self, measurements: &[&'static Measurement], now: i64) -> Result<Newest> {
        let mut values = Vec::new();
        for one in self.0.values().filter(|one| measurements.iter().any(|known| known.name == one.measurement.name)) {
            let until = one.values.partition_point(|(time, _)| *time <= now);
            let Some((time, value)) = until.checked_sub(1).map(|at| one.values[at]) else { continue };
            let field = one.measurement.field(one.field).unwrap();
            let (series, time) = (one.series.clone().into(), time * SECOND);
            values.push(Latest { series, field, time, value: value.into(), every: one.every });
        }
        Ok(Newest { values, ahead: Ahead::default() })
    }

    fn range(&self, wanted: &[Wanted], from: i64, to: i64, detail: Detail) -> Result<Vec<Values>> {
        let each = |wanted: &Wanted| {
            let (mut folding, mut every) = (Folding::default(), 60);
            if let Some(one) = self.0.get(&wanted.path) {
                folding = Folding::new(detail.bucket(to - from, one.every));
                every = one.every;
                let first = one.values.partition_point(|(time, _)| *time < from);
                for (time, value) in one.values[first..].iter().take_while(|(time, _)| *time < to) {
                    folding.push(*time, *value, None);
                    self.1.fetch_add(1, Ordering::Relaxed);
                }
            }
            wanted.values(folding, every)
        };
        Ok(wanted.iter().map(each).collect())
    }
}

pub fn rules() -> Rules {
    Config::parse("", "c.cfg").unwrap().0.alarms
}

/// One look of what is wrong, as `severity subject: words`.
pub fn said(now: &Now) -> Vec<String> {
    now.entries
        .iter()
        .map(|entry| format!("{} {}: {}", entry.event.severity.shape(), entry.event.subject, entry.event.text))
        .collect()
}

/// What collect-grid sends of a grid.
fn points_of(grid: &Grid, time: i64) -> Vec<Point> {
    let rules = htcondor::Rules::default();
    let schedd = |schedd: &grid::Schedd| {
        let group = |(kind, status): (&grid::Kind, i64)| JobGroup {
            status: Some(status),
            values: rules
                .attributes()
                .iter()
                .map(|name| match name.as_str() {
                    "TargetClouds" => Some(kind.target_clouds.to_string()),
                    "AccountingGroup" => kind.group.map(String::from),
                    "JobUniverse" => Some("5".into()),
                    _ => None,
                })
                .collect(),
        };
        htcondor::Schedd {
            name: schedd.name.into(),
            jobs: schedd
                .answers
                .then(|| schedd.jobs.iter().map(|(kind, status, count)| (group((kind, *status)), *count)).collect()),
            duty_cycle_ratio: Some(schedd.duty_cycle),
            running_jobs_limit: Some(500),
            unmaterialized_jobs: Some(0),
        }
    };
    let pool = Pool {
        name: POOL.into(),
        answered: true,
        slots: Some(htcondor::Slots::default()),
        listed: true,
        covered: false,
        updates_lost_ratio: Some(grid.updates_lost()),
        negotiators: Some(vec![(POOL.into(), grid.cycle_seconds() as f64)]),
    };
    let condor = CondorReply {
        pools: vec![pool],
        schedds: grid.schedds.iter().map(schedd).collect(),
        every_schedd_is_known: true,
    };
    let vm = |vm: &grid::Vm| v1::Vm {
        hostname: Some(vm.hostname.clone()),
        vmtype: Some(vm.vmtype.into()),
        status: Some(if vm.state == State::Retiring { "Running".into() } else { format!("{:?}", vm.state) }),
        override_status: (vm.state == State::Retiring).then(|| "Retiring".into()),
    };
    let cloud = |cloud: &grid::Cloud| v1::Cloud {
        name: Some(cloud.name.into()),
        enabled: Some(cloud.enabled),
        max_slots: Some(cloud.quota as i64),
        vms: cloud.vms.iter().map(vm).collect(),
    };
    let answer = cloud_scheduler::Answer::One(grid.clouds.iter().map(cloud).collect());
    let clouds = if grid.cloud_scheduler_answers { Asked::Answered(&answer) } else { Asked::Failed };
    let input = monitor::GridInput {
        grid: "heprc",
        time: time * SECOND,
        condor: Some(&condor),
        rules: &rules,
        clouds,
        live_hosts: false,
    };
    monitor::points(&input).points
}

#[test]
fn a_quiet_month_of_the_grid_has_no_trouble() {
    let (rules, mut store, mut known) = (rules(), Memory::default(), Known::default());
    let mut looks = 0;
    let mut look = |store: &Memory, time: i64| {
        let now = now(store, &rules, &mut known, time + 5).unwrap();
        assert_eq!(said(&now), [""; 0], "{time}");
        assert!(now.checked > 20, "{}", now.checked);
        looks += 1;
    };
    // A day with a run each minute, then 29 with one in five, each day at other minutes.
    for minute in 0..1440 {
        let time = BEGIN + 60 * minute;
        store.take(&points_of(&Grid::quiet(time / 60), time), 60);
        look(&store, time);
    }
    for day in 1..30 {
        store.forget(BEGIN + (day - 2) * DAY);
        for run in 0..288 {
            let time = BEGIN + day * DAY + 300 * run + 60 * (day % 5);
            store.take(&points_of(&Grid::quiet(time / 60), time), 300);
            look(&store, time);
        }
    }
    assert_eq!(looks, 1440 + 29 * 288);
    // The operators' own acts of the last day are events, and no more.
    let end = BEGIN + 30 * DAY;
    let (events, _) = past(&store, &rules, (end - DAY, end), end).unwrap();
    let kinds: BTreeSet<_> = events.iter().map(|event| (event.rule, event.severity)).collect();
    assert_eq!(kinds, BTreeSet::from([("cloud_disabled", Severity::Off), ("quota_changed", Severity::Changed)]));
}

#[test]
fn a_quiet_month_of_panda_has_no_trouble_and_its_incidents_are_seen_at_once() {
    let queues = panda::online().unwrap();
    let largest = panda::largest(&queues).unwrap();
    let (rules, mut store) = (rules(), Memory::default());
    let first = BEGIN / 600;
    let (quiet, incident) = (first + 30 * 144, 8);
    // The incidents come after the last day: they are under way for some slots up to the last one.
    let slots: Vec<_> = (first - 144..quiet + incident).collect();
    let mut counts = BTreeMap::<String, Vec<(i64, f64)>>::new();
    for slot in &slots {
        let last = if *slot < quiet { i64::MAX } else { quiet + 2 };
        for group in panda::answer(&queues, largest, *slot, last).groups {
            for (status, jobs) in group.counts {
                let path = format!("panda.{}.{}.{}.{status}.jobs", group.queue, group.prod_source, group.resource);
                counts.entry(path).or_default().push((slot * 600, jobs as f64));
            }
        }
    }
    let names: BTreeSet<_> = counts.keys().map(|path| path.rsplitn(3, '.').nth(2).unwrap().to_string()).collect();
    for name in names {
        let path = name.replacen("panda.", "queue_score.", 1);
        let number = PLOTTED.read_path(&path).unwrap_or_else(|| panic!("{path}"));
        let wanted = Wanted { path: path.clone(), number };
        let members = counts_of(&wanted.number);
        let read = |member: &Wanted| {
            let mut folding = Folding::default();
            counts[&member.path].iter().for_each(|(time, value)| folding.push(*time, *value, None));
            member.values(folding, 600)
        };
        let scores = scores(&wanted, &members.iter().map(read).collect::<Vec<_>>(), None, BEGIN, None);
        let measurement = wanted.number.measurement;
        let series = wanted.series();
        store.0.insert(path, Series { measurement, series, field: "score", every: 600, values: scores.values });
    }
    for slot in &slots {
        let tags = [("grid".into(), "demo"), ("measurement".into(), "jobs")];
        store.take(&[Point::new(COVERAGE.name.into(), tags, [("slots".into(), 1.into())], slot * 600 * SECOND)], 600);
    }
    let mut known = Known::default();
    let mut seen = BTreeMap::<String, i64>::new();
    for slot in first..quiet + incident {
        let now = now(&store, &rules, &mut known, slot * 600 + 60).unwrap();
        if slot < quiet {
            assert_eq!(said(&now), [""; 0], "{slot}");
        }
        for entry in now.entries {
            seen.entry(entry.event.subject).or_insert(slot);
        }
    }
    let drained = &queues[largest[0]].panda_resource;
    let [drained, failing] = [drained, &queues[largest[1]].panda_resource].map(|name| {
        seen.iter().find(|(subject, _)| subject.starts_with(&format!("{name} · "))).map(|(_, slot)| *slot - quiet)
    });
    assert!(
        drained.is_some_and(|slots| slots <= 1) && failing.is_some_and(|slots| slots <= 1),
        "{drained:?} {failing:?}"
    );
}

#[test]
fn a_quiet_month_of_instances_has_no_trouble() {
    let socket = std::env::temp_dir().join(format!("gridmon-quiet-{}", std::process::id()));
    let player = Player::start(&socket, 3).unwrap();
    let config = libvirt::Config {
        socket: PathBuf::from(&player.socket),
        timeout: Duration::from_secs(5),
        names: false,
        deadline_seconds: 240,
        interval_seconds: 300,
    };
    let (rules, mut store, mut known) = (rules(), Memory::default(), Known::default());
    let (mut memory, mut bases) = (libvirt::Memory::default(), Bases::default());
    for run in 0..30 * 288 {
        let time = BEGIN + 300 * run;
        player.at(time);
        let (answer, problems) =
            libvirt::collect(&config, &mut memory, time, Instant::now() + Duration::from_secs(20), &|_| Ok(()));
        assert!(problems.is_empty() && answer.is_some());
        let began = Moment { wall: time * SECOND, running: Some(300 * run * SECOND) };
        let input = InstancesInput {
            grid: "demo",
            host: "host04",
            time: time * SECOND,
            began,
            boot: "boot",
            names: false,
            answer: answer.as_ref(),
        };
        let mut points = instances::points(&input, &mut bases).points;
        points.retain(|point| ["instance", "instance_host"].contains(&point.measurement()));
        store.take(&points, 300);
        if run % 288 == 0 {
            store.forget(time - 2 * DAY);
        }
        let now = now(&store, &rules, &mut known, time + 30).unwrap();
        assert_eq!(said(&now), [""; 0], "{time}");
        assert!(run == 0 || now.checked >= 3 + 3 * 2, "{}", now.checked);
    }
}

/// A fault of a grid: what it does to the grid, and what is said of it.
type Fault = (&'static str, fn(&mut Grid), &'static str);

const FAULTS: [Fault; 5] = [
    ("a schedd hangs", |grid| grid.schedds[1].answers = false, "▼ ce02.grid.example.org: down"),
    ("Cloud Scheduler hangs", |grid| grid.cloud_scheduler_answers = false, "▼ heprc: Cloud Scheduler does not answer"),
    ("a main loop is busy", |grid| grid.schedds[0].duty_cycle = 0.995, "▲ ce01.grid.example.org: main loop 100 % busy"),
    ("machines fail", |grid| grid.clouds[1].vms.iter_mut().for_each(|vm| vm.state = State::Error), "▼ cc-east: "),
    (
        "jobs are held",
        |grid| {
            let held = grid.schedds[0].jobs.iter_mut().find(|job| job.1 == 5).unwrap();
            held.2 += 60;
        },
        "▲ ce01.grid.example.org: held jobs ",
    ),
];

#[test]
fn each_fault_of_a_grid_is_seen_within_two_runs_and_gone_when_it_is_over() {
    let rules = rules();
    for (name, fault, expected) in FAULTS {
        let (mut store, mut known) = (Memory::default(), Known::default());
        let (mut seen, begin) = (None, BEGIN + DAY / 2);
        for run in -30..40 {
            let time = begin + 60 * run;
            let mut grid = Grid::quiet(time / 60);
            if (0..20).contains(&run) {
                fault(&mut grid);
            }
            store.take(&points_of(&grid, time), 60);
            let now = now(&store, &rules, &mut known, time + 5).unwrap();
            let is_said = said(&now).iter().any(|said| said.starts_with(expected));
            assert!(run >= 0 || now.entries.is_empty(), "{name}: {:?}", said(&now));
            if is_said && seen.is_none() {
                seen = Some(run);
            }
            let is_over = run >= 20;
            assert!(!is_over || now.entries.is_empty(), "{name} at {run}: {:?}", said(&now));
            if (2..20).contains(&run) {
                let entry = now.entries.iter().find(|entry| expected.contains(&entry.event.subject)).unwrap();
                assert_eq!((entry.event.since, entry.event.is_begin), (begin, true), "{name} at {run}");
            }
            // Without a memory it is the same.
            assert_eq!(now, gridmon::events::now(&store, &rules, &mut Known::default(), time + 5).unwrap(), "{name}");
        }
        assert!(seen.is_some_and(|seen| seen < 2), "{name}: {seen:?}");
        let end = begin + 2400;
        let (events, _) = past(&store, &rules, (begin - 1800, end), end).unwrap();
        let subject = expected.split(": ").next().unwrap().split_once(' ').unwrap().1;
        let event = events.iter().find(|event| event.subject == subject && event.severity.is_trouble()).unwrap();
        assert_eq!((event.since, event.until), (begin, Some(begin + 1200)), "{name}");
    }
}

/// Two good values and then bad ones of a made-up series: line protocol without a time, good and bad, and what is said.
const LINES: [(&str, &str, &str, &str); 24] = [
    ("grid_pool,grid=g,pool=cm heartbeat=", "1i", "0i", "▼ cm: collector does not answer"),
    ("grid_pool,grid=g,pool=cm updates_lost_ratio=", "0", "0.041", "▲ cm: 4.1 % of updates lost"),
    ("grid_negotiator,grid=g,negotiator=cm cycle_seconds=", "3", "900", "▲ cm: negotiation takes 15 min"),
    ("grid_cloud_jobs,grid=g,cloud=cc-west,status=held jobs=", "2i", "41i", "▲ cc-west: held jobs 2 → 41"),
    ("instance_host,grid=g,host=host04 heartbeat=", "1i", "0i", "▼ host04: libvirtd does not answer"),
    ("instance_host,grid=g,host=host04 unanswered=", "0i", "1i", "▲ host04: instances that do not answer: 1"),
    ("instance,grid=g,host=host04,instance=2c9d state=", "1i", "6i", "▼ host04 · 2c9d: crashed"),
    (
        "instance,grid=g,host=host04,instance=2c9d vcpus=2i,cpu_steal_cores=",
        "0.01",
        "0.62",
        "▲ host04 · 2c9d: 0.62 of 2 CPUs stolen",
    ),
    ("backup_set,hub=hub-b,node=n1,set=tracs/docs verdict=", "0i", "15i", "▼ hub-b · tracs/docs: backup old on n1"),
    ("backup_set,hub=hub-b,node=n1,set=tracs/docs verdict=", "0i", "1i", "▲ hub-b · tracs/docs: backup grown on n1"),
    ("backup_node,hub=hub-c,node=c2 verdict=", "0i", "21i", "▼ hub-c · c2: node unreachable"),
    ("backup_node,hub=hub-c,node=c2 verdict=", "0i", "6i", "▲ hub-c · c2: node filling"),
    ("slurm,cluster=c heartbeat=", "1i", "0i", "▼ c: slurmctld does not answer"),
    ("slurm_flags,cluster=c,flag=not_responding nodes=", "0i", "2i", "▼ c: nodes that do not respond: 2"),
    ("slurm_nodes,cluster=c,state=error nodes=", "0i", "1i", "▼ c: nodes in error: 1"),
    ("slurm_nodes,cluster=c,state=down nodes=", "0i", "3i", "▲ c: nodes that are down: 3"),
    ("slurm_scheduler,cluster=c cycle_seconds=", "0.12", "300", "▲ c: scheduling takes 5 min"),
    ("slurm_scheduler,cluster=c dbd_queue=", "0i", "4000i", "▲ c: messages that wait for slurmdbd: 4000"),
    ("node_disk_mount,host=n1,mount=scratch percent=", "90.5", "97.2", "▲ n1 · scratch: 97.20 % full"),
    (
        "node_temperature,host=n1,chip=coretemp,label=Core_0 critical=100,current=",
        "70",
        "99",
        "▼ n1 · coretemp · Core_0: 99 °C, harmful from 100 °C",
    ),
    ("gpu_host,host=n1 heartbeat=", "1i", "0i", "▼ n1: its GPUs do not answer"),
    ("gpu,host=n1,bus=0000:41:00.0 lost=", "0i", "1i", "▼ n1 · 0000:41:00.0: GPU is lost"),
    // These two are told after a minute, that is six runs.
    ("node_memory,host=n1 percent=", "90", "99.5", "▲ n1: 99.50 % of its memory in use"),
    ("node_swap,host=n1 percent=", "3", "95", "▲ n1: 95 % of its swap in use"),
];

#[test]
fn every_other_fault_is_seen_within_two_runs() {
    let rules = rules();
    let mut said_by = BTreeSet::new();
    for (line, good, bad, expected) in LINES {
        let (mut store, mut known) = (Memory::default(), Known::default());
        let mut seen = None;
        let every = CATALOG.measurement(line.split(',').next().unwrap()).unwrap().every;
        let runs = i64::from(rule_of(&rules, line).runs);
        for run in -3..runs.max(2) + 1 {
            let time = BEGIN + every * run;
            let value = if run < 0 { good } else { bad };
            let mut point = Point::from_line(&format!("{line}{value} {}", time * SECOND)).unwrap();
            CATALOG.declare(&mut point);
            store.take(&[point], every);
            let now = now(&store, &rules, &mut known, time + 1).unwrap();
            assert!(run >= 0 || now.entries.is_empty(), "{line}: {:?}", said(&now));
            if seen.is_none() && said(&now) == [expected] {
                seen = Some(run);
                said_by.insert(now.entries[0].event.rule);
            }
        }
        assert!(seen.is_some_and(|seen| seen < runs.max(2)), "{line}: {seen:?}");
    }
    assert_eq!(said_by.len(), LINES.len(), "each by a rule of its own");
}

/// The rule that looks at the last field of a line.
fn rule_of(rules: &Rules, line: &str) -> &'static Rule {
    let mut point = Point::from_line(&format!("{line}0 0")).unwrap();
    CATALOG.declare(&mut point);
    let field = line.rsplit([' ', ',']).next().unwrap().trim_end_matches('=');
    let mut fitting = rules.all().map(|(_, rule)| rule).filter(|rule| rules.select(rule, &point, field));
    fitting.find(|rule| !matches!(rule.condition, Condition::Silent(_) | Condition::Changed)).unwrap()
}

/// What a node and a cluster of a quiet month send at a time: they follow the day, now and then with what is nobody's business:
/// a drained node, a closed partition, a full queue, a disk that fills and is cleaned.
fn nodes_and_slurm(time: i64) -> Vec<String> {
    let minute = time.div_euclid(60);
    // 0 to 1 over the day, and a little noise that is the same at each play.
    let day = 0.5 - 0.5 * ((time % DAY) as f64 / DAY as f64 * std::f64::consts::TAU).cos();
    let noise = f64::from(u16::try_from((minute * 7919) % 1000).unwrap_or_default()) / 1000.0;
    let drained = i64::from((minute / 1440) % 5 == 2);
    let mut lines = vec![
        "slurm,cluster=c heartbeat=1i".into(),
        "slurm_flags,cluster=c,flag=not_responding nodes=0i".into(),
        format!("slurm_flags,cluster=c,flag=drained nodes={drained}i"),
        "slurm_nodes,cluster=c,state=error nodes=0i".into(),
        "slurm_nodes,cluster=c,state=down nodes=0i".into(),
        format!(
            "slurm_scheduler,cluster=c cycle_seconds={:.3},dbd_queue={}i",
            0.1 + 20.0 * noise * day,
            (40.0 * noise) as i64
        ),
        format!("slurm_partition,cluster=c,partition=long up={}i", i64::from((minute / 600) % 7 != 3)),
    ];
    for (at, host) in ["n1.example.org", "n2.example.org", "gpu1"].into_iter().enumerate() {
        let of_node = (noise + 0.37 * at as f64).fract();
        lines.push(format!("service,grid=g,host={host},program=qagent cpu_seconds={}", minute % 1000));
        lines.push(format!("node_load,host={host} load1={:.2}", 64.0 * day + 8.0 * of_node));
        lines.push(format!("node_memory,host={host} percent={:.1}", 20.0 + 70.0 * day + 5.0 * of_node));
        lines.push(format!("node_swap,host={host} percent={:.1}", 30.0 * of_node));
        // It fills within a week, and is cleaned at the week's end.
        let filled = 40.0 + 50.0 * (time % (7 * DAY)) as f64 / (7 * DAY) as f64;
        lines.push(format!("node_disk_mount,host={host},mount=scratch percent={filled:.1}"));
        lines.push(format!("node_mount,host={host},mount=scratch readonly=0i"));
        lines.push(format!(
            "node_temperature,host={host},chip=coretemp,label=Core_0 current={:.1},critical=100",
            35.0 + 40.0 * day + 5.0 * of_node
        ));
        // A chip that tells no bound, and one whose bound is nonsense.
        lines.push(format!("node_temperature,host={host},chip=nvme,label=temp1 current={:.1}", 40.0 + 20.0 * day));
        lines.push(format!("node_temperature,host={host},chip=acpitz,label=temp1 current=27.8,critical=20.8"));
    }
    lines.push("gpu_host,host=gpu1 heartbeat=1i".into());
    lines.push("gpu,host=gpu1,bus=0000:41:00.0 lost=0i".into());
    lines
}

#[test]
fn a_quiet_month_of_nodes_and_slurm_has_no_trouble() {
    let (rules, mut store, mut known) = (rules(), Memory::default(), Known::default());
    // An hour as nodes send it, each ten seconds, then 30 days with a run in five minutes.
    let hour = (0..360).map(|run| (BEGIN + 10 * run, 10));
    let month = (0..30 * 288).map(|run| (BEGIN + 3600 + 300 * run, 300));
    let mut off = 0;
    for (time, every) in hour.chain(month) {
        let points = nodes_and_slurm(time).into_iter().map(|line| {
            let mut point = Point::from_line(&format!("{line} {}", time * SECOND)).unwrap();
            CATALOG.declare(&mut point);
            point
        });
        store.take(&points.collect::<Vec<_>>(), every);
        if time % DAY == 0 {
            store.forget(time - 2 * DAY);
        }
        let now = now(&store, &rules, &mut known, time + 5).unwrap();
        assert_eq!(said(&now), [""; 0], "{time}");
        assert!(now.checked >= 30, "{}", now.checked);
        off += now.off.len();
    }
    assert!(off > 0, "a closed partition is off by intent");
    // A node that falls silent is told, and the others are not.
    let last = BEGIN + 3600 + 30 * 288 * 300;
    store.0.retain(|path, one| !path.contains("n2_example_org") || one.values.pop().is_some());
    let silent = store.0.iter_mut().filter(|(path, _)| path.starts_with("service.") && path.contains("n2"));
    silent.for_each(|(_, one)| one.values.retain(|(time, _)| *time < last - 40 * 300));
    let now = now(&store, &rules, &mut Known::default(), last).unwrap();
    assert_eq!(said(&now), ["▼ n2.example.org: silent"]);
}

#[test]
fn silence_is_told_after_three_intervals_and_a_gap_is_neither_well_nor_down() {
    let (rules, mut known) = (rules(), Known::default());
    let mut store = Memory::default();
    let take = |store: &mut Memory, lines: &[&str], time: i64| {
        for line in lines {
            let mut point = Point::from_line(&format!("{line} {}", time * SECOND)).unwrap();
            CATALOG.declare(&mut point);
            store.take(&[point], 60);
        }
    };
    let up = "grid_heartbeat,grid=north,service=cloud_monitor alive=1i";
    let schedd = |alive: i64| format!("grid_schedd,grid=north,schedd=ce05 heartbeat={alive}i");
    take(&mut store, &[up, &schedd(1)], BEGIN);
    take(&mut store, &[up, &schedd(0)], BEGIN + 60);
    let mut at = |store: &Memory, time: i64| said(&now(store, &rules, &mut known, time).unwrap());
    assert_eq!(at(&store, BEGIN + 61), ["▼ ce05: down"]);
    assert_eq!(at(&store, BEGIN + 240), ["▼ ce05: down"]);
    // The collector is silent: the schedd is down still, as far as anybody knows.
    assert_eq!(at(&store, BEGIN + 241), ["▼ north: collector silent", "▼ ce05: down"]);
    assert_eq!(at(&store, BEGIN + 5 * DAY), ["▼ north: collector silent", "▼ ce05: down"]);
    assert_eq!(at(&store, BEGIN + 8 * DAY), [""; 0], "forgotten after a week");
    // It comes back, and then it is well.
    take(&mut store, &[up, &schedd(0)], BEGIN + 7200);
    assert_eq!(at(&store, BEGIN + 7201), ["▼ ce05: down"]);
    take(&mut store, &[up, &schedd(1)], BEGIN + 7260);
    assert_eq!(at(&store, BEGIN + 7261), [""; 0]);
    let (events, _) = past(&store, &rules, (BEGIN, BEGIN + 7300), BEGIN + 7300).unwrap();
    let told: Vec<_> = events
        .iter()
        .map(|event| {
            (event.subject.as_str(), event.severity, event.since - BEGIN, event.until.map(|until| until - BEGIN))
        })
        .collect();
    assert_eq!(told, [("north", Severity::NotCollected, 120, Some(7200)), ("ce05", Severity::Bad, 60, Some(7260))]);
    // A schedd that is no longer there, while the others are, is forgotten after an hour.
    take(&mut store, &["grid_schedd,grid=north,schedd=gone heartbeat=0i"], BEGIN + 7260);
    assert_eq!(at(&store, BEGIN + 7262), ["▼ gone: down"]);
    for minute in 1..70 {
        take(&mut store, &[up, &schedd(1)], BEGIN + 7260 + 60 * minute);
    }
    assert_eq!(at(&store, BEGIN + 7260 + 69 * 60), [""; 0]);
}

#[test]
fn a_collector_is_silent_by_the_interval_that_its_coverage_tells() {
    let rules = rules();
    let mut store = Memory::default();
    let line = format!("coverage,grid=g,measurement=jobs slots=1i,step_seconds=1200i {}", BEGIN * SECOND);
    let mut point = Point::from_line(&line).unwrap();
    CATALOG.declare(&mut point);
    // The store itself knows only the declared interval of coverage.
    store.take(&[point], 60);
    let at = |age: i64| said(&now(&store, &rules, &mut Known::default(), BEGIN + age).unwrap());
    assert_eq!(at(3600), [""; 0]);
    assert_eq!(at(3601), ["▼ PanDA: collector silent"]);
    // Carbon does not get the interval of coverage.
    store.0.retain(|_, one| one.field == "slots");
    let at = |age: i64| said(&now(&store, &rules, &mut Known::default(), BEGIN + age).unwrap());
    assert_eq!(at(1800), [""; 0]);
    assert_eq!(at(1801), ["▼ PanDA: collector silent"]);
}

#[test]
fn a_look_reads_back_only_what_is_in_trouble_and_the_next_one_only_what_has_come_since() {
    let (rules, mut known) = (rules(), Known::default());
    let mut store = Memory::default();
    let run = |store: &mut Memory, minute: i64| {
        let mut points = Vec::new();
        let mut line = |line: String| {
            let mut point = Point::from_line(&format!("{line} {}", (BEGIN + 60 * minute) * SECOND)).unwrap();
            CATALOG.declare(&mut point);
            points.push(point);
        };
        for grid in ["a", "b"] {
            line(format!("grid_heartbeat,grid={grid},service=cloud_monitor alive=1i"));
            line(format!("grid_schedd,grid={grid},schedd=ce05 heartbeat={}i", i64::from(minute < 290)));
            for cloud in 0..100 {
                line(format!("grid_cloud,grid={grid},cloud=c{cloud} enabled=1i,quota=10i"));
                line(format!("grid_cloud_jobs,grid={grid},cloud=c{cloud},status=held jobs=3i"));
                line(format!("grid_vms,grid={grid},cloud=c{cloud},vmtype=t,status=error vms=1i"));
                line(format!("grid_vms,grid={grid},cloud=c{cloud},vmtype=t,status=total vms=9i"));
            }
        }
        store.take(&points, 60);
    };
    (0..300).for_each(|minute| run(&mut store, minute));
    let mut look = |store: &Memory, minute: i64| {
        let before = store.1.load(Ordering::Relaxed);
        let now = now(store, &rules, &mut known, BEGIN + 60 * minute + 1).unwrap();
        assert_eq!(said(&now), ["▼ ce05: down"; 2], "both grids have one of this name");
        for entry in &now.entries {
            assert_eq!((entry.more, entry.event.since), (0, BEGIN + 60 * 290));
        }
        (now.checked, store.1.load(Ordering::Relaxed) - before)
    };
    // 2 × (heartbeat, schedd, and of each cloud enabled, quota, held, error). Two series are read back, two hours each.
    assert_eq!(look(&store, 299), (2 * 402, 2 * 130));
    assert_eq!(look(&store, 299), (2 * 402, 0));
    run(&mut store, 300);
    assert_eq!(look(&store, 300), (2 * 402, 2));
}
