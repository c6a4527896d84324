//! Runs a service whose sensors have intervals of their own, and publishes what they tell in batches.
//!
//! One thread looks at the clock and reads the sensors that are due; a sensor that may take long has a thread of its own,
//! and a tick that finds it busy is left out and counted. Another thread publishes, every `publish_seconds`, all that has
//! been gathered: one batch, in the spool before any sink is tried. So a sink that hangs keeps no sensor waiting, and a kill
//! loses at most what was gathered since the last batch. A signal publishes what is gathered before the service ends.
//!
//! SIGHUP reads the config again. A config that is wrong is named, and the old one stays.

use std::any::Any;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use jiff::Timestamp;

use super::args::{Common, Format};
use super::log::{self, Level};
use super::output::{complain, say};
use super::own::{self, Effort};
use super::process::exit_code;
use super::publish::publish;
use super::schedule::Schedule;
use super::service::SystemClock;
use super::session::{Kind, Program, Session, Setup};
use super::watchdog::{FirstSignal, Told, Watchdog};
use crate::model::{Collected, Point, SECOND};
use crate::os::files::host_name;
use crate::os::work::catch;
use crate::problem::{Problem, Repeat, Subject};
use crate::text::count;

/// A clock that tells fractions of a second, which tests replace.
pub trait FineClock {
    /// Returns the wall clock in unix nanoseconds.
    fn now(&self) -> i64;

    /// Waits for so many nanoseconds by a clock that nobody sets, or until `is_told`, which waits at most for the given
    /// duration, returns true.
    fn wait(&self, nanoseconds: i64, is_told: &dyn Fn(Duration) -> bool);

    /// Whether its time passes only in [`FineClock::wait`]. Then nothing is waited for while something is being published.
    fn is_simulated(&self) -> bool {
        false
    }
}

impl FineClock for SystemClock {
    fn now(&self) -> i64 {
        i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
    }

    fn wait(&self, nanoseconds: i64, is_told: &dyn Fn(Duration) -> bool) {
        is_told(Duration::from_nanos(nanoseconds.try_into().unwrap_or_default()));
    }
}

/// A tick of a sensor.
#[derive(Clone, Copy, Debug)]
pub struct Tick {
    /// The time of its points: a multiple of the interval, in unix nanoseconds.
    pub time: i64,
    /// The wall clock, in unix nanoseconds.
    pub now: i64,
}

/// Reads a sensor.
pub trait ReadSensor: Any + Send {
    /// Returns the points, and what is missing.
    fn read(&mut self, tick: Tick) -> (Vec<Point>, Vec<Problem>);

    /// Takes over what the reader of an earlier config remembers of the sensor.
    fn adopt(&mut self, _old: Box<dyn Any>) {}
}

impl<F: FnMut(Tick) -> (Vec<Point>, Vec<Problem>) + Send + 'static> ReadSensor for F {
    fn read(&mut self, tick: Tick) -> (Vec<Point>, Vec<Problem>) {
        self(tick)
    }
}

/// A sensor of the service.
pub struct GatheredSensor {
    /// Its name.
    pub name: String,
    /// The time between two ticks.
    pub interval: Duration,
    /// Whether reading it may take long: then it has a thread of its own.
    pub is_slow: bool,
    /// What it was made of: a new config in which this is the same leaves the old reader at work.
    pub options: String,
    /// Reads it.
    pub read: Box<dyn ReadSensor>,
}

/// What a config asks of the service.
pub struct Plan {
    /// The parts that the frame needs.
    pub setup: Setup,
    /// The sensors, in the order in which those of one moment are read.
    pub sensors: Vec<GatheredSensor>,
    /// The time between two batches, in seconds.
    pub publish_seconds: u64,
    /// Where the service logs.
    pub logging: log::Config,
    /// What of the config is left out; each is said once.
    pub warnings: Vec<String>,
    /// Looks for settings elsewhere.
    pub news: Option<News>,
}

/// Returns whether there are new settings elsewhere, so that the config is to be read again. Called once a minute.
pub type News = Box<dyn FnMut() -> Result<bool> + Send>;

/// Reads the config.
type Load<'a> = dyn Fn(Option<&Path>) -> Result<Plan> + 'a;

/// How often it is looked for settings elsewhere.
const NEWS: Duration = Duration::from_secs(60);

/// The least time that the sinks have for a batch. Meanwhile the next ticks are gathered in memory.
const FOR_SINKS: Duration = Duration::from_secs(5);

/// The most points that are gathered in memory, while the disk hangs.
const MOST_POINTS: usize = 500_000;

/// How long a batch may take in all, beyond the time of the sinks: a disk that hangs longer ends the service.
const FOR_DISK: Duration = Duration::from_secs(120);

/// Runs the service until it is told to end: `load` reads the config, `ready` is called once the service gathers.
pub fn gather(
    program: &'static Program,
    config: Option<&Path>,
    clock: &dyn FineClock,
    load: impl Fn(Option<&Path>) -> Result<Plan>,
    ready: impl FnOnce(),
) -> ExitCode {
    exit_code(program.name, || {
        let watchdog = Watchdog::start(program.name, FirstSignal::Ends, Duration::from_secs(program.deadline_seconds));
        watchdog.names(Some("reading the config"));
        let plan = match load(config) {
            Ok(plan) => plan,
            Err(error) => {
                say(Level::Error, program.name, &[format!("{error:#}")]);
                return ExitCode::from(2);
            }
        };
        watchdog.names(Some("opening the state"));
        match serve(program, config, clock, (plan, &load), watchdog, ready) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                say(Level::Error, program.name, &[format!("{error:#}")]);
                ExitCode::FAILURE
            }
        }
    })
}

fn serve(
    program: &'static Program,
    config: Option<&Path>,
    clock: &dyn FineClock,
    (plan, load): (Plan, &Load<'_>),
    watchdog: &'static Watchdog,
    ready: impl FnOnce(),
) -> Result<()> {
    watchdog.on_first_signal(FirstSignal::Asks);
    watchdog.reloads_on_hang_up();
    begin_logging(program, &plan);
    let Plan { mut setup, sensors, publish_seconds, news, .. } = plan;
    setup.interval_seconds = Some(publish_seconds as i64);
    let (scope, state) = (setup.scope.clone(), setup.state_directory.clone());
    let now = clock.now();
    let Some(session) = Session::open(program, &common(config), now.div_euclid(SECOND), Kind::Service, setup)? else {
        bail!("another {} runs for {scope} already; end it first", program.name);
    };
    let shared = Arc::new(Shared::default());
    let mut gatherer = Gatherer {
        program,
        watchdog: Some(watchdog),
        shared: Arc::clone(&shared),
        sensors: Vec::new(),
        schedule: Schedule::default(),
    };
    gatherer.replace(sensors, publish_seconds, now);
    let publisher = Publisher::new(session, Arc::clone(&shared));
    let publisher = thread::Builder::new().name("publisher".into()).spawn(move || publisher.work())?;
    let news = Arc::new(Mutex::new(news));
    let looks = Arc::clone(&news);
    thread::Builder::new().name("news".into()).spawn(move || look_for_news(program, &looks, watchdog))?;
    watchdog.names(None);
    ready();
    say(Level::Info, program.name, &[gatherer.describe(publish_seconds)]);
    let mut is_due_by = Duration::from_secs(publish_seconds).max(FOR_SINKS) + FOR_DISK;
    loop {
        watchdog.expect_end(Some((Instant::now() + is_due_by, is_due_by)));
        gatherer.tick(clock.now())?;
        if clock.is_simulated() {
            gatherer.settle();
        }
        let told = Cell::new(Told::Nothing);
        let left = gatherer.schedule.next().saturating_sub(clock.now());
        clock.wait(left, &|limit| {
            told.set(watchdog.told_within(limit));
            told.get() != Told::Nothing
        });
        match told.get() {
            Told::Nothing => {}
            Told::End => break,
            Told::Reload => {
                if let Some(mut plan) = reload(program, || load(config), (&scope, state.as_ref())) {
                    *news.lock().unwrap_or_else(PoisonError::into_inner) = plan.news.take();
                    is_due_by = Duration::from_secs(plan.publish_seconds).max(FOR_SINKS) + FOR_DISK;
                    gatherer.adopt(plan, clock.now());
                }
            }
        }
    }
    shared.ask(clock.now(), true);
    publisher.join().map_err(|_| anyhow!("what was gathered last could not be published"))?;
    say(Level::Info, program.name, &["was told to end, and has published what it held".into()]);
    Ok(())
}

/// Looks for settings elsewhere once a minute, for as long as the process lives.
fn look_for_news(program: &Program, news: &Mutex<Option<News>>, watchdog: &Watchdog) {
    let mut last = String::new();
    loop {
        // A new config may ask elsewhere, and does not wait for the old one's answer.
        let taken = news.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut look) = taken {
            let found = catch(&mut look).flatten();
            let problem = found.as_ref().err().map(|error| format!("{error:#}")).unwrap_or_default();
            if problem != last && !problem.is_empty() {
                say(Level::Warning, program.name, &[format!("{problem}; the settings stay as they are")]);
            }
            last = problem;
            news.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(look);
            if found.is_ok_and(|is_new| is_new) {
                watchdog.ask_to_reload();
            }
        }
        thread::sleep(NEWS);
    }
}

/// Returns the flags of a service, which has none but the config.
pub(super) fn common(config: Option<&Path>) -> Common {
    let config = config.map(Path::to_path_buf);
    let (dry_run, now, check, setup, list, verbose) = (false, None, false, false, false, false);
    Common { config, dry_run, format: Format::Carbon, now, check, setup, list, verbose }
}

/// Opens the log file of a config, and says what of the config is left out.
fn begin_logging(program: &Program, plan: &Plan) {
    // A service that measures and cannot log is better than one that does neither.
    if let Err(error) = log::open(&plan.logging) {
        complain(program.name, &[format!("{error:#}; nothing is logged there")]);
    }
    complain(program.name, &plan.warnings);
}

/// Reads the config again. Returns `None`, and says why, if the old one stays.
fn reload(
    program: &Program,
    load: impl FnOnce() -> Result<Plan>,
    (scope, state): (&str, Option<&PathBuf>),
) -> Option<Plan> {
    let plan = catch(load).flatten().and_then(|plan| {
        let is_same = plan.setup.scope == scope && plan.setup.state_directory.as_ref() == state;
        if is_same { Ok(plan) } else { Err(anyhow!("[grid] name and [state] directory change with a restart alone")) }
    });
    match plan {
        Ok(plan) => {
            begin_logging(program, &plan);
            Some(plan)
        }
        Err(error) => {
            say(Level::Error, program.name, &[format!("the new config is not used, the old one stays: {error:#}")]);
            None
        }
    }
}

/// What the threads share.
#[derive(Default)]
struct Shared {
    state: Mutex<Gathered>,
    changed: Condvar,
}

/// What has been gathered since the last batch.
#[derive(Default)]
struct Gathered {
    points: Vec<Point>,
    /// The names of the sensors.
    known: BTreeSet<String>,
    /// Those of them that this process has not read yet.
    unread: BTreeSet<String>,
    /// The points for which there was no room.
    dropped: usize,
    /// What is missing of the last tick of each sensor, by name.
    problems: BTreeMap<String, Vec<Problem>>,
    efforts: BTreeMap<String, Effort>,
    /// The parts of a new config.
    setup: Option<Setup>,
    /// When a batch is to be published, in unix nanoseconds.
    asked: Option<i64>,
    is_ending: bool,
    /// Since when a batch is being published.
    publishing: Option<Instant>,
    /// How many slow sensors are being read.
    reading: usize,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, Gathered> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, is_so: impl FnMut(&mut Gathered) -> bool) -> MutexGuard<'_, Gathered> {
        self.changed.wait_while(self.state(), is_so).unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the names of the sensors of a new config, and forgets what the others said.
    fn know(&self, names: BTreeSet<String>) {
        let mut state = self.state();
        let new: Vec<_> = names.difference(&state.known).cloned().collect();
        state.unread.extend(new);
        state.unread.retain(|name| names.contains(name));
        state.problems.retain(|name, _| names.contains(name));
        state.known = names;
    }

    /// Asks for a batch.
    fn ask(&self, now: i64, is_ending: bool) {
        let mut state = self.state();
        (state.asked, state.is_ending) = (Some(now), is_ending);
        drop(state);
        self.changed.notify_all();
    }

    /// Reads a sensor, and keeps what it tells.
    fn read(&self, name: &str, read: &mut dyn ReadSensor, tick: Tick) {
        let began = Instant::now();
        let (points, problems) =
            catch(|| read.read(tick)).unwrap_or_else(|bug| (Vec::new(), vec![Problem::of_sensor(name, bug)]));
        let seconds = began.elapsed().as_secs_f64();
        let mut state = self.state();
        let room = MOST_POINTS.saturating_sub(state.points.len());
        state.dropped += points.len().saturating_sub(room);
        state.points.extend(points.into_iter().take(room));
        // A new config may have left the sensor out meanwhile.
        if state.known.contains(name) {
            state.efforts.entry(name.into()).or_default().add(seconds);
            state.problems.insert(name.into(), problems);
            state.unread.remove(name);
        }
    }
}

/// Reads the sensors when they are due.
struct Gatherer {
    program: &'static Program,
    /// `None` in tests, which it would end.
    watchdog: Option<&'static Watchdog>,
    shared: Arc<Shared>,
    sensors: Vec<Reader>,
    /// The ticks of the sensors, then those of the batches.
    schedule: Schedule,
}

/// A sensor, and who reads it.
struct Reader {
    name: String,
    /// What is said of it if it never ends.
    work: String,
    options: String,
    by: ReadBy,
}

enum ReadBy {
    /// The thread that looks at the clock.
    This(Box<dyn ReadSensor>),
    /// A thread of its own.
    Own(Busy, Sender<Order>),
}

/// What a thread of its own does next.
enum Order {
    Read(Tick),
    /// To read the sensor so from now on. What hangs is not asked a second time: this waits until it ends.
    Adopt(Box<dyn ReadSensor>),
}

/// Whether a thread has a tick that it has not done.
type Busy = Arc<AtomicBool>;

impl Gatherer {
    /// Reads these sensors from now on.
    fn replace(&mut self, sensors: Vec<GatheredSensor>, publish_seconds: u64, now: i64) {
        self.schedule = Schedule::default();
        let mut before = std::mem::take(&mut self.sensors);
        self.shared.know(sensors.iter().map(|sensor| sensor.name.clone()).collect());
        for sensor in sensors {
            self.schedule.add(i64::try_from(sensor.interval.as_nanos()).unwrap_or(i64::MAX), 0, now);
            let reader = match before.iter().position(|one| one.name == sensor.name) {
                Some(at) => self.renewed(before.swap_remove(at), sensor),
                None => self.reader(sensor),
            };
            self.sensors.push(reader);
        }
        // Not all nodes at the same moment.
        let interval = publish_seconds as i64 * SECOND;
        let host = u64::from(crc32fast::hash(host_name().as_bytes())).cast_signed();
        self.schedule.add(interval, (host * 1_000_003).rem_euclid(interval), now);
    }

    /// Reads the sensors of a new config, and hands its other parts to the publisher.
    fn adopt(&mut self, plan: Plan, now: i64) {
        let Plan { mut setup, sensors, publish_seconds, .. } = plan;
        setup.interval_seconds = Some(publish_seconds as i64);
        self.shared.state().setup = Some(setup);
        self.replace(sensors, publish_seconds, now);
        say(
            Level::Info,
            self.program.name,
            &[format!("has read its config again: {}", self.describe(publish_seconds))],
        );
    }

    fn describe(&self, publish_seconds: u64) -> String {
        format!("it reads {}, and publishes every {publish_seconds} s", count(self.sensors.len(), "sensor"))
    }

    /// Returns the reader of a sensor that was read before: the old one if nothing of it is new, else one that knows what the
    /// old one did. Whether a sensor is slow is no option.
    fn renewed(&self, old: Reader, new: GatheredSensor) -> Reader {
        if old.options == new.options {
            return old;
        }
        match old.by {
            ReadBy::This(before) => {
                let mut new = new;
                new.read.adopt(before);
                self.reader(new)
            }
            ReadBy::Own(busy, orders) => {
                // It fails if no thread could be started for the sensor; its ticks say so.
                let _ = orders.send(Order::Adopt(new.read));
                Reader { name: old.name, work: old.work, options: new.options, by: ReadBy::Own(busy, orders) }
            }
        }
    }

    fn reader(&self, sensor: GatheredSensor) -> Reader {
        let GatheredSensor { name, is_slow, options, mut read, .. } = sensor;
        let work = format!("reading the sensor {name}");
        if !is_slow {
            return Reader { name, work, options, by: ReadBy::This(read) };
        }
        let (sender, orders) = mpsc::channel::<Order>();
        let busy = Busy::default();
        let (shared, own, is_busy) = (Arc::clone(&self.shared), name.clone(), Arc::clone(&busy));
        let spawned = thread::Builder::new().name(name.clone()).spawn(move || {
            while let Ok(order) = orders.recv() {
                let tick = match order {
                    Order::Read(tick) => tick,
                    Order::Adopt(new) => {
                        let old = std::mem::replace(&mut read, new);
                        read.adopt(old);
                        continue;
                    }
                };
                shared.read(&own, read.as_mut(), tick);
                is_busy.store(false, Ordering::SeqCst);
                shared.state().reading -= 1;
                shared.changed.notify_all();
            }
        });
        if let Err(error) = spawned {
            complain(self.program.name, &[format!("sensor {name}: no thread can be started: {error}; it is not read")]);
        }
        Reader { name, work, options, by: ReadBy::Own(busy, sender) }
    }

    /// Reads what is due at `now`, in unix nanoseconds.
    ///
    /// # Errors
    /// Fails if a batch has been on its way to the disk for too long.
    fn tick(&mut self, now: i64) -> Result<()> {
        for (at, time) in self.schedule.due(now) {
            let Some(sensor) = self.sensors.get_mut(at) else {
                let allowed = FOR_DISK + FOR_SINKS;
                let publishing = self.shared.state().publishing.map(|since| since.elapsed());
                if let Some(for_long) = publishing.filter(|for_long| *for_long > allowed) {
                    bail!(
                        "a batch has been on its way for {} s; is the disk of the state directory there?",
                        for_long.as_secs()
                    );
                }
                self.shared.ask(now, false);
                continue;
            };
            match &mut sensor.by {
                ReadBy::This(read) => {
                    let names = |work| self.watchdog.iter().for_each(|watchdog| watchdog.names(work));
                    names(Some(&sensor.work));
                    self.shared.read(&sensor.name, read.as_mut(), Tick { time, now });
                    names(None);
                }
                ReadBy::Own(busy, orders) => send(&self.shared, &sensor.name, (busy, orders), Tick { time, now }),
            }
        }
        Ok(())
    }

    /// Waits until all that was begun is done.
    fn settle(&self) {
        drop(self.shared.wait_while(|state| state.asked.is_some() || state.publishing.is_some() || state.reading > 0));
    }
}

/// Hands a tick to the thread of a slow sensor; counts it as left out if that is busy.
fn send(shared: &Shared, name: &str, (busy, orders): (&Busy, &Sender<Order>), tick: Tick) {
    let mut state = shared.state();
    if !busy.swap(true, Ordering::SeqCst) && orders.send(Order::Read(tick)).is_ok() {
        state.reading += 1;
        return;
    }
    state.efforts.entry(name.into()).or_default().missed += 1;
    let problem = Problem::of_source(format!("sensor {name}"), "is still being read; its ticks are left out");
    // What it said last is neither over nor new.
    let problems = state.problems.entry(name.into()).or_default();
    if !problems.contains(&problem) {
        problems.push(problem);
    }
}

/// Publishes what is gathered.
struct Publisher {
    session: Session,
    shared: Arc<Shared>,
    /// The sensor of each failure, by the failure's subject.
    sensors: BTreeMap<String, String>,
}

/// The name under which a service remembers which sensor a failure is of.
const SENSORS: &str = "sensors";

impl Publisher {
    fn new(mut session: Session, shared: Arc<Shared>) -> Self {
        let sensors = session.recall(SENSORS);
        Self { session, shared, sensors }
    }

    /// Publishes a batch whenever one is asked for, until the service ends.
    fn work(mut self) {
        loop {
            let mut state = self.shared.wait_while(|state| state.asked.is_none());
            let (now, is_ending) = (state.asked.take().unwrap_or_default(), state.is_ending);
            state.publishing = Some(Instant::now());
            let gathered = Gathered {
                points: std::mem::take(&mut state.points),
                dropped: std::mem::take(&mut state.dropped),
                problems: state.problems.clone(),
                known: state.known.clone(),
                unread: state.unread.clone(),
                efforts: std::mem::take(&mut state.efforts),
                setup: state.setup.take(),
                ..Gathered::default()
            };
            drop(state);
            let program = self.session.program.name;
            if let Err(bug) = catch(|| self.publish(now, gathered)) {
                complain(program, &[bug.to_string()]);
            }
            self.shared.state().publishing = None;
            self.shared.changed.notify_all();
            if is_ending {
                return;
            }
        }
    }

    fn publish(&mut self, now: i64, mut gathered: Gathered) {
        let Self { session, .. } = self;
        if let Some(setup) = gathered.setup.take() {
            session.setup = setup;
        }
        session.begin(now.div_euclid(SECOND), Instant::now());
        session.problems.extend(gathered.problems.values().flatten().cloned());
        Self::keep_unknown(session, &mut self.sensors, &gathered);
        if gathered.dropped > 0 {
            let message = format!("{}, for which there was no room in memory", count(gathered.dropped, "point"));
            session.problems.push(Problem::new(Subject::DroppedPoints, message));
        }
        let mut points = gathered.points;
        let scope = session.setup.scope.clone();
        points.extend(own::points(session.time, (&scope, &host_name(), session.program.name), &gathered.efforts));
        // Meanwhile the next batch is gathered.
        let for_sinks = Duration::from_secs(session.interval_seconds() as u64).max(FOR_SINKS);
        let dropped = publish(session, Collected { points, ..Collected::default() }, Instant::now() + for_sinks);
        session.note_dropped(&dropped, false);
        let (_, lines) = session.conclude(false, Repeat::Never);
        complain(session.program.name, &lines);
    }

    /// Keeps what failed before of sensors that this process has not read yet, or that gave nothing: it is not known whether it
    /// still does, and nothing may say that it works again. What fails of sensors that are read no more is forgotten in silence.
    fn keep_unknown(session: &mut Session, sensors: &mut BTreeMap<String, String>, gathered: &Gathered) {
        let said = gathered.problems.iter().flat_map(|(sensor, problems)| {
            problems.iter().map(move |problem| (problem.subject.to_string(), sensor.clone()))
        });
        let mut now: BTreeMap<_, _> = said.collect();
        let gave_nothing = |problems: &Vec<Problem>| problems.iter().any(|problem| problem.is_whole);
        let mut gone = BTreeSet::new();
        for (subject, message) in session.failed_before() {
            let Some(sensor) = sensors.get(&subject).filter(|_| !now.contains_key(&subject)) else { continue };
            if gathered.unread.contains(sensor) {
                now.insert(subject.clone(), sensor.clone());
                session.problems.push(Problem::of_source(subject, message).quiet());
            } else if gathered.problems.get(sensor).is_some_and(gave_nothing) {
                now.insert(subject.clone(), sensor.clone());
                session.problems.push(Problem::unasked(Subject::Source(subject)));
            } else if !gathered.known.contains(sensor) {
                gone.insert(subject);
            }
        }
        session.forget(gone);
        if now != *sensors {
            *sensors = now;
            session.remember(SENSORS, sensors);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static PROGRAM: Program =
        Program { name: "tiny", interval_seconds: 10, deadline_seconds: 60, sources: &[], measurements: &[] };

    /// A sensor that tells which config it is of and what it adopted, and waits for a word before each answer.
    struct Waits {
        options: &'static str,
        adopted: String,
        words: Arc<Mutex<mpsc::Receiver<()>>>,
    }

    impl ReadSensor for Waits {
        fn read(&mut self, _: Tick) -> (Vec<Point>, Vec<Problem>) {
            self.words.lock().unwrap().recv().unwrap();
            (Vec::new(), vec![Problem::of_source("mount /x", format!("{}{}", self.options, self.adopted))])
        }

        fn adopt(&mut self, old: Box<dyn Any>) {
            let old = old.downcast::<Self>().unwrap();
            self.adopted = format!(" after {}{}", old.options, old.adopted);
        }
    }

    struct Bench {
        gatherer: Gatherer,
        words: Arc<Mutex<mpsc::Receiver<()>>>,
        word: Sender<()>,
        now: i64,
    }

    impl Bench {
        fn new() -> Self {
            let (word, words) = mpsc::channel();
            let (shared, sensors, schedule) = (Arc::default(), Vec::new(), Schedule::default());
            let gatherer = Gatherer { program: &PROGRAM, watchdog: None, shared, sensors, schedule };
            Self { gatherer, words: Arc::new(Mutex::new(words)), word, now: 1_717_245_000 * SECOND }
        }

        fn config(&mut self, options: &'static str, is_slow: bool) {
            let read = Waits { options, adopted: String::new(), words: Arc::clone(&self.words) };
            let (name, interval) = ("a".to_string(), Duration::from_secs(1));
            let sensor = GatheredSensor { name, interval, is_slow, options: options.into(), read: Box::new(read) };
            self.gatherer.replace(vec![sensor], 600, self.now);
        }

        fn tick(&mut self) {
            self.now += SECOND;
            self.gatherer.tick(self.now).unwrap();
        }

        fn free(&self) {
            drop(self.gatherer.shared.wait_while(|state| state.reading > 0));
        }

        fn said(&self) -> Vec<String> {
            let state = self.gatherer.shared.state();
            state.problems.values().flatten().map(|one| format!("{}: {}", one.subject, one.message)).collect()
        }
    }

    #[test]
    fn new_options_reach_a_sensor_that_is_being_read_once_it_is_free_with_what_it_knows() {
        let mut bench = Bench::new();
        bench.config("1", true);
        bench.tick();
        bench.config("2", true);
        bench.config("3", true);
        bench.tick();
        assert_eq!(bench.said(), ["sensor a: is still being read; its ticks are left out"]);
        bench.word.send(()).unwrap();
        bench.free();
        assert_eq!(bench.said(), ["mount /x: 1"], "it was begun by the old options");
        bench.word.send(()).unwrap();
        bench.tick();
        bench.free();
        assert_eq!(bench.said(), ["mount /x: 3 after 2 after 1"]);
        // While it hangs, what it said last is neither over nor new.
        bench.tick();
        bench.tick();
        bench.tick();
        assert_eq!(bench.said().len(), 2, "{:?}", bench.said());
        bench.word.send(()).unwrap();
        bench.free();
    }

    #[test]
    fn the_same_options_leave_the_reader_and_what_it_said_at_work() {
        for is_slow in [false, true] {
            let mut bench = Bench::new();
            for (config, said) in [("1", "1"), ("1", "1"), ("2", "2 after 1")] {
                let before = bench.said();
                bench.config(config, is_slow);
                assert_eq!(bench.said(), before, "not read since");
                bench.word.send(()).unwrap();
                bench.tick();
                bench.free();
                assert_eq!(bench.said(), [format!("mount /x: {said}")]);
            }
            bench.gatherer.replace(Vec::new(), 600, bench.now);
            assert!(bench.said().is_empty(), "it is read no more");
        }
    }
}
