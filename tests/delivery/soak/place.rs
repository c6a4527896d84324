//! A place of faults.

use super::*;

/// What one of several soaks side by side did.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) faults: usize,
    pub(super) kills: usize,
    pub(super) runs: usize,
    /// Points that were published.
    pub(super) published: usize,
    /// Values that Carbon has at the end.
    pub(super) values: usize,
    /// Batches that were good and went aside.
    pub(super) aside: usize,
    pub(super) lost: usize,
    pub(super) invented: usize,
    pub(super) by_name: BTreeMap<&'static str, usize>,
    /// What happened, for a person who looks into a loss.
    pub(super) story: Vec<String>,
}

/// A place for random faults.
pub(super) struct Place {
    pub(super) sandbox: Sandbox,
    pub(super) clouds: Clouds,
    pub(super) keeper: Keeper,
    pub(super) closed: u16,
    pub(super) _ports: gridmon_testkit::Ports,
    /// The slots of all batches ever seen in the spool.
    pub(super) published: BTreeSet<String>,
    /// The names of the files that were made to be no batches.
    pub(super) poison: BTreeSet<String>,
    pub(super) random: Random,
    pub(super) now: i64,
    /// The earliest slot of all.
    pub(super) past: i64,
    pub(super) figures: Figures,
}

impl Place {
    pub(super) fn new(seed: u64) -> Self {
        let (closed, _ports) = gridmon_testkit::free_port();
        Self {
            sandbox: Sandbox::new("small"),
            clouds: Clouds::new(3),
            keeper: Keeper::start(),
            closed,
            _ports,
            published: BTreeSet::new(),
            poison: BTreeSet::new(),
            random: Random(seed),
            now: START,
            past: START,
            figures: Figures::default(),
        }
    }

    /// Carbon is up (`None`: in a mood of its own), or refuses.
    pub(super) fn carbon(&self, mood: Option<Mood>) {
        self.keeper.mood(mood.unwrap_or(Mood::Good));
        self.clouds.config(&self.sandbox, self.keeper.port, "timeout_seconds = 1");
    }

    /// The next slot, which nobody had yet: of two runs of one slot the later's values would be the earlier's.
    pub(super) fn next(&mut self) -> i64 {
        self.now += 60;
        self.now
    }

    pub(super) fn look(&mut self) {
        let poison = &self.poison;
        self.published.extend(batches(&self.sandbox).into_iter().filter(|name| !poison.contains(name)));
    }

    /// A run to its end, whatever it says.
    pub(super) fn run(&mut self, slot: i64) {
        self.figures.runs += 1;
        let outcome = self.clouds.run(&self.sandbox, slot);
        assert!(matches!(outcome.code, Some(0 | 1)), "{outcome:?}");
        for line in outcome.stderr.lines() {
            self.figures.story.push(format!("{slot}: {line}"));
            assert!(
                line.starts_with("collect-grid: ") && !line.contains("bug") && !line.contains("panicked"),
                "{line}"
            );
        }
        self.look();
    }

    pub(super) fn fault(&mut self) {
        self.figures.faults += 1;
        let kind = self.random.below(100);
        let (mood, name) = match self.random.below(10) {
            0..5 => (Some(Mood::Good), "Carbon up"),
            5..8 => (None, "Carbon refuses"),
            8 => (Some(Mood::Resets), "Carbon resets"),
            // What stops costs a second each time.
            _ => match self.random.below(6) {
                0 => (Some(Mood::Stopped), "Carbon stopped"),
                1 => (Some(Mood::Mute), "Carbon read everything and did not say so"),
                _ => (Some(Mood::Closes), "Carbon closes"),
            },
        };
        *self.figures.by_name.entry(name).or_default() += 1;
        self.carbon(mood);
        if mood.is_none() {
            self.clouds.config(&self.sandbox, self.closed, "timeout_seconds = 1");
        }
        let spool = self.sandbox.path("state/spool");
        let name = match kind {
            0..55 => {
                self.kill();
                "kill"
            }
            55..65 => {
                self.two_at_once();
                "two at once"
            }
            65..75 => {
                // Forth, by less than a batch may wait, or back for one run, to a slot that nobody had.
                let slot = if self.random.below(2) == 0 {
                    self.now += 60 * self.random.below(2000) as i64;
                    self.next()
                } else {
                    self.past -= 60;
                    self.past
                };
                self.run(slot);
                "clock step"
            }
            75..82 => {
                let name = format!("notes-{}", self.figures.faults);
                if spool.exists() {
                    fs::write(spool.join(&name), "what is this?\n").unwrap();
                    self.poison.insert(name);
                }
                "foreign file"
            }
            82..90 => {
                self.torn();
                "torn file"
            }
            90..92 => {
                // What a kill has left long ago.
                for name in names(&spool).iter().filter(|name| name.ends_with(".new")) {
                    set_back(&spool.join(name), Duration::from_secs(3 * 3600));
                }
                "old leftovers"
            }
            _ => {
                let slot = self.next();
                self.run(slot);
                "Carbon alone"
            }
        };
        *self.figures.by_name.entry(name).or_default() += 1;
        self.figures.story.push(format!("{}: {name}; waiting {:?}", self.now, batches(&self.sandbox)));
    }

    pub(super) fn kill(&mut self) {
        let name = CALLS[self.random.below(CALLS.len())];
        let count = 1 + self.random.below(if ["openat", "read", "close"].contains(&name) { 40 } else { 8 });
        let threads = if self.random.below(2) == 0 { Threads::Main } else { Threads::Each };
        let slot = self.next();
        let arguments = self.clouds.at(&self.sandbox, slot);
        let log = self.sandbox.path("log");
        self.figures.runs += 1;
        let status = tracer::run(&self.sandbox, &arguments, &self.keeper, threads, Some((name, count)), &log);
        self.figures.story.push(format!("{slot}: {threads:?} {name} {count}: {status:?}"));
        if was_killed(status) {
            self.figures.kills += 1;
        } else {
            assert!(matches!(status.code(), Some(0 | 1)), "{name} {count}: {status:?}");
        }
        self.look();
    }

    /// Two runs of one grid; the one that comes second leaves, or comes after the other. Both read one source.
    pub(super) fn two_at_once(&mut self) {
        let slot = self.next();
        let arguments = self.clouds.at(&self.sandbox, slot);
        let arguments = arguments.each_ref().map(String::as_str);
        let start = || self.sandbox.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut runs = [start(), start()];
        self.figures.runs += 2;
        for run in &mut runs {
            let status = run.wait().unwrap();
            assert!(matches!(status.code(), Some(0 | 1)), "{status:?}");
        }
        self.look();
    }

    /// Half of a batch under a name of its own.
    pub(super) fn torn(&mut self) {
        let Some(whole) = batches(&self.sandbox).pop() else { return };
        let spool = self.sandbox.path("state/spool");
        let bytes = fs::read(spool.join(&whole)).unwrap();
        let name = whole.replace("-carbon-", &format!("-carbon-torn{}-", self.figures.faults));
        if !self.poison.contains(&whole) {
            fs::write(spool.join(&name), &bytes[..self.random.below(bytes.len())]).unwrap();
            self.poison.insert(name);
        }
    }

    /// One run with all in order, and what came of it all.
    pub(super) fn end(mut self) -> Figures {
        self.carbon(Some(Mood::Good));
        let spool = self.sandbox.path("state/spool");
        for name in names(&spool).iter().filter(|name| name.ends_with(".new")) {
            set_back(&spool.join(name), Duration::from_secs(3 * 3600));
        }
        // One run delivers all, unless the machine is so busy that its time ends first: then it says that points wait, and the
        // next one goes on.
        for attempt in 0..4 {
            let last = self.next();
            let said = self.figures.story.len();
            self.run(last);
            let left = names(&spool);
            if left == ["bad", "lock.carbon"] {
                break;
            }
            let said = &self.figures.story[said..];
            let has_no_time = said.iter().any(|line| line.contains(" s; ") && line.contains("in the spool"));
            assert!(has_no_time && attempt < 3, "{left:?} after {said:?}");
        }

        // What went aside without having been made to.
        let aside = names(&spool.join("bad"));
        let good = |name: &&String| !name.ends_with(".why") && !self.poison.contains(*name);
        let aside: Vec<_> = aside.iter().filter(good).collect();
        let expected: BTreeMap<Key, f64> =
            self.published.iter().flat_map(|name| self.clouds.datapoints(slot(name))).collect();
        let values = self.keeper.values();
        let whole: BTreeSet<i64> = values.keys().map(|(_, time)| *time).collect();
        // A run that Carbon took whole at once has left its batch before anybody could look.
        let all: BTreeMap<Key, f64> = whole.iter().flat_map(|slot| self.clouds.datapoints(*slot)).collect();
        for name in &self.published {
            if !whole.contains(&slot(name)) {
                self.figures.story.push(format!("lost {name}"));
            }
        }
        self.figures.aside = aside.len();
        self.figures.lost = expected.iter().filter(|(key, value)| values.get(key) != Some(value)).count()
            + all.keys().filter(|key| !values.contains_key(key)).count();
        self.figures.invented = values.iter().filter(|(key, value)| all.get(key) != Some(value)).count()
            + self.keeper.changed().iter().filter(|(path, _)| !is_report(path)).count();
        self.figures.values = values.len();
        self.figures.published = (whole.len()) * self.clouds.points();
        self.figures
    }
}
