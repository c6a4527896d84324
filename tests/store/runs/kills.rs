//! Writers at once, and runs that are killed.

use super::*;

/// Four grids that write into one store.
struct Four {
    sandbox: Sandbox,
    grids: Vec<Clouds>,
    /// By grid and slot: what was seen in the spool, or said to be done.
    promised: BTreeSet<(String, i64)>,
    tried: BTreeSet<(String, i64)>,
}

impl Four {
    fn new() -> Self {
        let sandbox = Sandbox::new("small");
        let grids: Vec<_> = (0..4).map(|at| Clouds { grid: format!("g{at}"), ..Clouds::new(2 + at) }).collect();
        for grid in &grids {
            config(&sandbox, grid, &format!("[embedded]\npath = {}\n", sandbox.path("store.db").display()));
        }
        Self { sandbox, grids, promised: BTreeSet::new(), tried: BTreeSet::new() }
    }

    fn look(&mut self) {
        for name in batches(&self.sandbox) {
            let grid = self.grids.iter().find(|grid| name.contains(&format!(":{}-", grid.grid)));
            self.promised.insert((grid.expect("a batch of ours").grid.clone(), slot(&name)));
        }
    }

    /// All four at once, some of them killed. Returns how many were.
    fn round(&mut self, time: i64, random: &mut Random) -> usize {
        let sandbox = &self.sandbox;
        let keeper = Keeper::start();
        let plans: Vec<_> =
            self.grids.iter().map(|grid| (grid, random.below(4), Random(random.below(1 << 40) as u64))).collect();
        let ended: Vec<_> = thread::scope(|scope| {
            let runs: Vec<_> = plans
                .into_iter()
                .map(|(grid, plan, mut random)| {
                    let (keeper, tried) = (&keeper, (grid.grid.clone(), time));
                    scope.spawn(move || {
                        let arguments = grid.at(sandbox, time);
                        let status = match plan {
                            // At a call that makes, writes or ends the store, or waits for it.
                            0 if tracer_is_here() => {
                                let (name, most) = KILLED_AT[random.below(KILLED_AT.len())];
                                let call = Some((name, 1 + random.below(most)));
                                let log = sandbox.path(&format!("{}.log", grid.grid));
                                tracer::run(sandbox, &arguments, keeper, Threads::Each, call, &log)
                            }
                            0 | 1 => {
                                let mut command = sandbox.command(&arguments.each_ref().map(String::as_str));
                                let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
                                // Any moment of a run may be the one.
                                thread::sleep(Duration::from_micros(random.below(60_000) as u64));
                                let _ = run.kill();
                                run.wait().unwrap()
                            }
                            _ => {
                                let mut command = sandbox.command(&arguments.each_ref().map(String::as_str));
                                command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap()
                            }
                        };
                        (tried, status)
                    })
                })
                .collect();
            runs.into_iter().map(|run| run.join().unwrap()).collect()
        });
        self.look();
        let mut killed = 0;
        for (tried, status) in ended {
            if status.code() == Some(0) {
                self.promised.insert(tried.clone());
            }
            assert!(was_killed(status) || matches!(status.code(), Some(0 | 1)), "{tried:?}: {status:?}");
            killed += usize::from(was_killed(status));
            self.tried.insert(tried);
        }
        killed
    }

    /// A run of each with all in order, one after another; then everything is there.
    fn end(&mut self, time: i64, what: &str) {
        for grid in &self.grids {
            let outcome = grid.run(&self.sandbox, time);
            assert_eq!(outcome.code, Some(0), "{what}: {}", outcome.stderr);
            self.promised.insert((grid.grid.clone(), time));
            self.tried.insert((grid.grid.clone(), time));
        }
        assert_eq!(batches(&self.sandbox), Vec::<String>::new(), "{what}");
        let store = self.sandbox.path("store.db");
        let mut rest = stored(&store);
        let of = |grid: &str, key: &Key| key.0.starts_with(&format!("grids.{grid}."));
        let slots: BTreeSet<_> = self
            .tried
            .iter()
            .filter(|(grid, time)| rest.keys().any(|key| key.1 == *time && of(grid, key)))
            .cloned()
            .collect();
        let lost: Vec<_> = self.promised.difference(&slots).collect();
        assert!(lost.is_empty(), "{what}: lost {lost:?}");
        for (name, time) in &slots {
            let grid = self.grids.iter().find(|grid| grid.grid == *name).unwrap();
            for (key, value) in datapoints(grid, *time) {
                assert_eq!(rest.remove(&key), Some(value), "{what}: {key:?}: a part of a batch");
            }
        }
        assert!(rest.is_empty(), "{what}: invented {rest:?}");
        sound(&store);
    }
}

/// The calls at which a run is killed, and how often a run makes them, about.
const KILLED_AT: [(&str, usize); 9] = [
    ("pwrite64", 20),
    ("pread64", 12),
    ("fdatasync", 4),
    ("fsync", 4),
    ("fcntl", 40),
    ("link", 2),
    ("unlink", 4),
    ("openat", 60),
    ("ftruncate", 3),
];

fn tracer_is_here() -> bool {
    static HERE: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *HERE.get_or_init(|| may_trace("four_writers_at_once_with_kills_between_lose_nothing"))
}

#[test]
fn four_writers_at_once_with_kills_between_lose_nothing() {
    let seed = seed();
    println!("four writers: GRIDMON_SEED={seed}");
    let mut random = Random(seed);
    let (places, rounds) = if soak() { (100, 50) } else { (3, 10) };
    let (mut killed, mut runs, mut values) = (0, 0, 0);
    for place in 0..places {
        let mut four = Four::new();
        for round in 0..rounds {
            killed += four.round(START + MINUTE * round, &mut random);
            runs += 4;
        }
        four.end(START + MINUTE * rounds, &format!("GRIDMON_SEED={seed}, place {place}"));
        values += stored(&four.sandbox.path("store.db")).len();
    }
    assert!(killed > 0);
    println!(
        "four writers: GRIDMON_SEED={seed}: {runs} runs, {killed} of them killed; {values} values; lost 0, invented 0"
    );
}

#[test]
fn a_run_killed_at_any_call_leaves_a_store_that_the_next_one_takes_up() {
    let test = "a_run_killed_at_any_call_leaves_a_store_that_the_next_one_takes_up";
    if !may_trace(test) {
        return;
    }
    let seed = seed();
    let mut random = Random(seed);
    // The run that makes the store, and one that finds it.
    for first in [true, false] {
        let mut kills: Vec<_> =
            KILLED_AT.into_iter().flat_map(|(name, most)| (1..=most).map(move |count| (name, count))).collect();
        if !soak() {
            kills = (0..25).map(|_| kills.swap_remove(random.below(kills.len()))).collect();
        }
        let (next, killed) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let keeper = Keeper::start();
                    while let Some((name, count)) = kills.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let what = format!("GRIDMON_SEED={seed}: first {first}, killed at {name} {count}");
                        let at = Place::new(2);
                        let mut minutes = BTreeSet::from([2]);
                        if !first {
                            at.run(0);
                            minutes.insert(0);
                        }
                        let arguments = at.clouds.at(&at.sandbox, START + MINUTE);
                        let log = at.sandbox.path("log");
                        let call = Some((*name, *count));
                        let status = tracer::run(&at.sandbox, &arguments, &keeper, Threads::Each, call, &log);
                        let slots = stored(&at.store()).into_keys().map(|(_, time)| time).collect::<BTreeSet<_>>();
                        killed.fetch_add(usize::from(was_killed(status)), Ordering::Relaxed);
                        let there = slots.contains(&(START + MINUTE)) || !batches(&at.sandbox).is_empty();
                        assert!(was_killed(status) || there, "{what}: {status:?}");
                        if there {
                            minutes.insert(1);
                        }
                        let outcome = at.run(2);
                        assert_eq!(outcome.code, Some(0), "{what}: {}", outcome.stderr);
                        assert_eq!(batches(&at.sandbox), Vec::<String>::new(), "{what}");
                        at.has(minutes);
                    }
                });
            }
        });
        println!("GRIDMON_SEED={seed}: first {first}: {} of {} killed", killed.into_inner(), kills.len());
    }
}
