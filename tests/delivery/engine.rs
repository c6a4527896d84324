//! Delivery to several sinks over a real spool directory. The sinks are stand-ins that accept, refuse and fail as they are
//! told: what matters here is who gets what, when and how often, and what becomes of the rest.

mod files;
mod refused;
mod replay;
mod slots;

use std::collections::BTreeSet;
use std::fs;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use gridmon::delivery::{self, Delivery, Outcome, Replay};
use gridmon::model::Point;
use gridmon::problem::{Problem, failures};
use gridmon::sinks::{Sent, Sink};
use gridmon::spool::{Batch, Config, Directory, Header, Spool};
use gridmon_testkit::TempDir;

const CONFIG: Config =
    Config { max_bytes: u64::MAX, max_age_days: 36_500, max_disk_percent: 100, replay_points_per_second: 1_000_000 };

/// What a sink does with the points of one sending.
type Behaviour = fn(&[Point]) -> Sent;

struct Recorder {
    name: &'static str,
    behaviour: Mutex<Behaviour>,
    /// The points of each sending that it acknowledged.
    got: Mutex<Vec<Vec<Point>>>,
}

/// A sink of the list that delivery takes.
struct Handle(std::sync::Arc<Recorder>);

impl Sink for Handle {
    fn name(&self) -> &str {
        self.0.name
    }

    fn send(&self, Batch { points, .. }: &Batch, _deadline: Instant) -> Sent {
        let behaviour = *self.0.behaviour.lock().unwrap();
        let sent = behaviour(points);
        if sent.result.is_ok() {
            self.0.got.lock().unwrap().push(points.to_vec());
        }
        sent
    }

    fn check(&self, _deadline: Instant) -> Result<String> {
        Ok(String::new())
    }
}

fn sent(result: Result<()>) -> Sent {
    Sent { dropped: vec![], refused: vec![], result }
}

/// Returns what failed in a run.
fn failed(outcome: &Outcome) -> Vec<&Problem> {
    failures(&outcome.problems).collect()
}

const NONE: [&Problem; 0] = [];

fn up(_: &[Point]) -> Sent {
    sent(Ok(()))
}

fn down(_: &[Point]) -> Sent {
    sent(Err(anyhow!("it is down")))
}

/// The point of one minute, and `more` of them.
fn points(minute: i64, more: usize) -> Vec<Point> {
    let time = minute * 60_000_000_000;
    (0..more)
        .map(|at| {
            Point::new("m".into(), [("at".into(), format!("{at:03}").as_str())], [("v".into(), minute.into())], time)
        })
        .collect()
}

struct Bench {
    folder: TempDir,
    spool: Spool<Directory>,
    recorders: Vec<std::sync::Arc<Recorder>>,
}

impl Bench {
    fn new(names: &[&'static str]) -> Self {
        let folder = TempDir::new();
        let spool = delivery::open(folder.path(), gridmon::setup::CATALOG).unwrap();
        let recorder = |name: &&'static str| {
            std::sync::Arc::new(Recorder { name, behaviour: Mutex::new(up), got: Mutex::default() })
        };
        Self { spool, recorders: names.iter().map(recorder).collect(), folder }
    }

    fn set(&self, sink: usize, behaviour: Behaviour) {
        *self.recorders[sink].behaviour.lock().unwrap() = behaviour;
    }

    fn sinks(&self) -> Vec<Box<dyn Sink>> {
        self.recorders.iter().map(|recorder| Box::new(Handle(recorder.clone())) as Box<dyn Sink>).collect()
    }

    fn delivery<'a>(&'a self, minute: i64, config: &'a Config) -> Delivery<'a, Directory> {
        Delivery { spool: Ok(&self.spool), config, running: minute * 60, progress: &|_| {} }
    }

    fn run(&self, minute: i64, count: usize) -> Outcome {
        let header = Header {
            program: "test".into(),
            grid: "g".into(),
            time: minute * 60,
            tier: "raw".into(),
            database: String::new(),
            sinks: BTreeSet::new(),
        };
        let batch = Batch { header, points: points(minute, count) };
        let until = Instant::now() + Duration::from_secs(60);
        self.delivery(minute, &CONFIG).publish(batch, vec![], &self.sinks(), until, || {})
    }

    fn replay(&self, sink: usize, config: &Config, deadline: Duration) -> Replay {
        self.delivery(0, config).replay(self.sinks()[sink].as_ref(), Instant::now() + deadline, false)
    }

    /// The minutes that a sink got, in the order in which it got them.
    fn minutes(&self, sink: usize) -> Vec<i64> {
        self.recorders[sink]
            .got
            .lock()
            .unwrap()
            .iter()
            .filter_map(|points| Some(points.first()?.time() / 60_000_000_000))
            .collect()
    }

    fn files(&self, folder: &str) -> Vec<String> {
        let path = self.folder.path().join(folder);
        let mut names: Vec<_> =
            fs::read_dir(path).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn a_sink_that_is_down_for_a_day_costs_the_other_nothing_and_gets_everything_in_order() {
    const DAY: i64 = 1440;
    let bench = Bench::new(&["carbon", "influxdb"]);
    bench.set(1, down);
    for minute in 0..DAY {
        let delivery = bench.run(minute, 2);
        assert_eq!((delivery.accounts["carbon"].delivered, delivery.accounts["carbon"].spooled), (2, 0));
        assert_eq!((delivery.accounts["influxdb"].delivered, delivery.accounts["influxdb"].spooled), (0, 2));
        assert_eq!(failed(&delivery).len(), 1, "{:?}", delivery.problems);
    }
    assert_eq!(bench.minutes(0), (0..DAY).collect::<Vec<_>>(), "the one that is up gets each batch once, at once");
    let backlog = bench.spool.backlog("influxdb").unwrap();
    assert_eq!((backlog.batches, backlog.points, backlog.oldest), (1440, 2880, Some(0)));
    assert_eq!(bench.spool.backlog("carbon").unwrap().batches, 0);

    bench.set(1, up);
    let delivery = bench.run(DAY, 2);
    assert_eq!(delivery.problems, []);
    assert_eq!(delivery.accounts["influxdb"].replayed, 2880);
    let expected: Vec<_> = [DAY].into_iter().chain(0..DAY).collect();
    assert_eq!(bench.minutes(1), expected, "its own minute first, then what waited, oldest first");
    assert_eq!(bench.minutes(0).len() as i64, DAY + 1, "nothing came twice");
    assert_eq!(bench.files("spool"), ["bad", "lock.carbon", "lock.influxdb"]);
}

#[test]
fn a_sink_that_hangs_does_not_hold_up_the_other() {
    static FIRST_GOT: Mutex<Option<Instant>> = Mutex::new(None);
    static SECOND_ENDED: Mutex<Option<Instant>> = Mutex::new(None);
    let bench = Bench::new(&["carbon", "influxdb"]);
    bench.set(0, |_| {
        *FIRST_GOT.lock().unwrap() = Some(Instant::now());
        sent(Ok(()))
    });
    bench.set(1, |_| {
        gridmon_testkit::wait_until("the first sink", Duration::from_secs(30), || *FIRST_GOT.lock().unwrap());
        *SECOND_ENDED.lock().unwrap() = Some(Instant::now());
        sent(Err(anyhow!("too late")))
    });
    bench.run(0, 1);
    assert!(FIRST_GOT.lock().unwrap().unwrap() < SECOND_ENDED.lock().unwrap().unwrap());
}

#[test]
fn a_point_that_is_refused_for_good_goes_aside_with_the_sinks_words_and_the_rest_goes_on() {
    let bench = Bench::new(&["influxdb"]);
    bench.set(0, |points| Sent { refused: vec![(points[1].clone(), "field type conflict".into())], ..sent(Ok(())) });
    let delivery = bench.run(7, 3);
    let account = delivery.accounts["influxdb"];
    assert_eq!((account.delivered, account.spooled, account.dropped), (2, 0, 1));
    assert_eq!(delivery.dropped[0].why, "influxdb refused it: field type conflict");
    let bad = bench.files("spool/bad");
    assert!(
        bad.len() == 2 && bad[0].ends_with(".batch.influxdb") && bad[1].ends_with(".batch.influxdb.why"),
        "{bad:?}"
    );
    let kept = Batch::decode(&fs::read(bench.folder.path().join("spool/bad").join(&bad[0])).unwrap()).unwrap();
    assert_eq!(kept.points, points(7, 3)[1..2]);
    assert_eq!(
        fs::read_to_string(bench.folder.path().join("spool/bad").join(&bad[1])).unwrap(),
        "field type conflict\n"
    );
    assert_eq!(bench.spool.backlog("influxdb").unwrap().batches, 0);
}

#[test]
fn what_a_crash_left_half_written_in_bad_is_not_taken_for_what_was_refused() {
    let bench = Bench::new(&["influxdb"]);
    bench.set(0, down);
    bench.run(0, 3);
    let batch = bench.files("spool").into_iter().find(|name| name.ends_with(".batch")).unwrap();
    let kept = bench.folder.path().join("spool/bad").join(format!("{batch}.influxdb"));
    let why = bench.folder.path().join("spool/bad").join(format!("{batch}.influxdb.why"));
    let unpublished = bench.folder.path().join("spool").join(format!("{batch}.influxdb.new"));
    fs::write(&kept, "gridmon-ba").unwrap();
    fs::write(&why, "").unwrap();
    fs::write(&unpublished, "gridmon-ba").unwrap();
    bench.set(0, |points| {
        let refused = points.iter().filter(|_| points.len() == 3);
        Sent { refused: refused.map(|point| (point.clone(), "field type conflict".into())).collect(), ..sent(Ok(())) }
    });
    bench.run(1, 1);
    assert_eq!(Batch::decode(&fs::read(&kept).unwrap()).unwrap().points, points(0, 3));
    assert_eq!(fs::read_to_string(&why).unwrap(), "field type conflict\n");
    assert!(!unpublished.exists());
}
