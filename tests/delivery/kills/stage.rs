//! The scenes in which runs are killed, and the stage on which each kill is played.

use super::*;

/// What a killed run finds.
pub(super) struct Scene {
    pub(super) name: &'static str,
    /// A state directory to begin with; none for the first run of all.
    pub(super) state: Option<PathBuf>,
    /// The slots that wait in it.
    pub(super) waiting: Vec<i64>,
    /// What must be in `bad/` at the end.
    pub(super) bad: Vec<String>,
    pub(super) _sandbox: Sandbox,
}

/// The first run of all: no state, nothing waits.
pub(super) fn first() -> Scene {
    Scene { name: "first", state: None, waiting: vec![], bad: vec![], _sandbox: Sandbox::new("small") }
}

/// Three batches wait, of a grid with a cloud more; a torn batch and a foreign file are among them.
pub(super) fn backlog() -> Scene {
    let sandbox = Sandbox::new("small");
    let (closed, _ports) = gridmon_testkit::free_port();
    before().config(&sandbox, closed, "");
    let waiting: Vec<_> = (1..4).map(|minutes| KILLED - 60 * minutes).rev().collect();
    for slot in &waiting {
        assert_eq!(before().run(&sandbox, *slot).code, Some(1));
    }
    let spool = sandbox.path("state/spool");
    let whole = batches(&sandbox).remove(1);
    let torn = whole.replacen(&whole[..12], &format!("{:012}", KILLED - 90), 1);
    let bytes = fs::read(spool.join(&whole)).unwrap();
    fs::write(spool.join(&torn), &bytes[..bytes.len() / 2]).unwrap();
    fs::write(spool.join("notes.txt"), "what is this?\n").unwrap();
    let mut bad = vec![torn.clone(), format!("{torn}.why"), "notes.txt".into(), "notes.txt.why".into()];
    bad.sort();
    Scene { name: "backlog", state: Some(sandbox.path("state")), waiting, bad, _sandbox: sandbox }
}

/// A place in which a scene is played again and again.
pub(super) struct Stage<'a> {
    pub(super) scene: &'a Scene,
    pub(super) sandbox: Sandbox,
    pub(super) keeper: Keeper,
    /// What an earlier run has written of its Carbon: that it is a pickle receiver; none before the first run of all.
    proof: Option<Vec<u8>>,
}

/// What a kill has left, by what tells one leaving from another: names and sizes of files.
pub(super) type Left = BTreeMap<String, u64>;

/// What there is after a kill.
pub(super) struct After {
    pub(super) state: Sandbox,
    pub(super) published: BTreeSet<i64>,
    /// What Carbon has.
    pub(super) values: BTreeMap<Key, f64>,
}

impl<'a> Stage<'a> {
    pub(super) fn new(scene: &'a Scene) -> Self {
        let (sandbox, keeper) = (Sandbox::new("small"), Keeper::start());
        now().config(&sandbox, keeper.port, "");
        // Each run would take seconds to prove it again.
        let proof = scene.state.as_ref().map(|_| {
            assert_eq!(now().run(&sandbox, KILLED).code, Some(0));
            fs::read(sandbox.path("state/carbon.receiver")).unwrap()
        });
        Self { scene, sandbox, keeper, proof }
    }

    /// Puts the state as it is to be, and into Carbon what it has.
    pub(super) fn set(&self, state: Option<&Path>, values: &BTreeMap<Key, f64>) {
        let own = self.sandbox.path("state");
        let _ = fs::remove_dir_all(&own);
        if let Some(state) = state {
            copy(state, &own);
            self.proof.iter().for_each(|proof| fs::write(own.join("carbon.receiver"), proof).unwrap());
        }
        self.keeper.close(u64::MAX);
        self.keeper.forget_all_but(values.clone());
    }

    /// A run at `slot` that is killed, if it comes so far.
    pub(super) fn kill(&self, slot: i64, threads: Threads, name: &str, count: usize) -> bool {
        let log = self.sandbox.path("log");
        let arguments = now().at(&self.sandbox, slot);
        was_killed(tracer::run(&self.sandbox, &arguments, &self.keeper, threads, Some((name, count)), &log))
    }

    /// What is in the state directory.
    pub(super) fn left(&self) -> Left {
        let state = self.sandbox.path("state");
        files(&state).into_iter().map(|name| (mask(&name), fs::metadata(state.join(&name)).unwrap().len())).collect()
    }

    /// The slots of what is published now.
    pub(super) fn published(&self) -> BTreeSet<i64> {
        let torn = |name: &String| !self.scene.bad.contains(name);
        batches(&self.sandbox).iter().filter(|name| torn(name)).map(|name| slot(name)).collect()
    }

    /// A normal run: everything `published` must be in Carbon afterwards, nothing else but this run's own and what came
    /// whole before it, and nothing be left.
    pub(super) fn recover(&self, published: &BTreeSet<i64>, what: &str) {
        let Self { scene, sandbox, keeper, .. } = self;
        let spool = sandbox.path("state/spool");
        // What was never published is swept two hours later.
        for name in names(&spool).iter().filter(|name| name.ends_with(".new")) {
            set_back(&spool.join(name), Duration::from_secs(3 * 3600));
        }
        // Whether the run was killed between taking the lock and writing its report.
        let time = |name: &str| fs::metadata(sandbox.path("state").join(name)).and_then(|file| file.modified()).ok();
        let note = fs::read(sandbox.path("state/collect-grid.heprc.lock")).unwrap_or_default();
        let has_died = !note.is_empty() && time("collect-grid.heprc.reports") < time("collect-grid.heprc.lock");
        let mut outcome = now().run(sandbox, AFTER);
        let (deaths, others): (Vec<_>, Vec<_>) =
            outcome.stderr.lines().partition(|line| line.contains("was killed or crashed"));
        assert_eq!(deaths.len(), usize::from(has_died), "{what}: {}", outcome.stderr);
        outcome.stderr = others.join("\n");
        if outcome.code == Some(1) {
            // It may say that it put something aside, once.
            let about = |line: &str| line.contains("bad/") || line.contains("works again");
            assert!(outcome.stderr.lines().all(about) && !scene.bad.is_empty(), "{what}: {}", outcome.stderr);
            outcome = now().run(sandbox, AFTER);
        }
        let about = |line: &str| line.contains("works again");
        assert!(outcome.code == Some(0) && outcome.stderr.lines().all(about), "{what}: {outcome:?}");

        let mut rest: BTreeMap<Key, f64> = keeper.values();
        let slots: BTreeSet<i64> = rest.keys().map(|(_, time)| *time).collect();
        let mut zeros = 0;
        for slot in &slots {
            let grid = if scene.waiting.contains(slot) { before() } else { now() };
            for (key, value) in grid.datapoints(*slot) {
                assert_eq!(rest.remove(&key), Some(value), "{what}: {key:?}");
            }
            // Of the cloud that has vanished, zeros.
            let gone: Vec<_> = rest.keys().filter(|(_, time)| time == slot).cloned().collect();
            for key in gone {
                let of_gone = key.0.starts_with("grids.heprc.clouds.c0003.vms.w.") && !scene.waiting.is_empty();
                assert!(of_gone && rest.remove(&key) == Some(0.0), "{what}: {key:?} was invented");
                zeros += 1;
            }
        }
        assert!(rest.is_empty(), "{what}: {rest:?}");
        assert_eq!(keeper.changed(), Vec::<Key>::new(), "{what}");
        let missing: Vec<_> = published.difference(&slots).collect();
        assert!(missing.is_empty(), "{what}: lost {missing:?}");
        assert!(slots.contains(&AFTER), "{what}");
        // Six series vanished; they go to zero once, or once more where a kill came between.
        let wanted = if scene.waiting.is_empty() { 0..=0 } else { 6..=18 };
        assert!(wanted.contains(&zeros) && zeros % 6 == 0, "{what}: {zeros} zeros");

        assert_eq!(names(&spool), ["bad", "lock.carbon"], "{what}");
        assert_eq!(names(&spool.join("bad")), scene.bad, "{what}");
        let others: Vec<_> = names(&sandbox.path("state")).into_iter().filter(|name| name.ends_with(".new")).collect();
        assert_eq!(others, Vec::<String>::new(), "{what}");
        assert_eq!(fs::read(sandbox.path("state/collect-grid.heprc.lock")).unwrap(), b"", "{what}");
    }
}
