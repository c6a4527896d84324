//! The simulated disk.

use super::*;

/// A small generator of random numbers (splitmix64): schedules must come again from their seed.
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(crate) fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }
}

/// A file: what the process sees, and what a power failure leaves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inode {
    pub(crate) bytes: Vec<u8>,
    pub(crate) synced: bool,
    pub(crate) maker: Weak<()>,
}

/// What has been done to the directory since it was last synced.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Link(String, usize),
    Unlink(String),
}

#[derive(Debug)]
pub(crate) struct Simulation {
    pub(crate) random: Random,
    pub(crate) inodes: Vec<Inode>,
    /// The directory as processes see it.
    pub(crate) names: BTreeMap<String, usize>,
    /// The directory as of its last sync, and what was done since.
    pub(crate) durable: BTreeMap<String, usize>,
    pub(crate) changes: Vec<Change>,
    pub(crate) locks: BTreeMap<String, Weak<()>>,
    /// How many file operations the process still lives; `None` is for ever.
    pub(crate) fuse: Option<u64>,
    /// The chance of one in so many that an operation fails with EIO or ENOSPC; 0 is never.
    pub(crate) faults: u64,
    /// How full it is, in percent.
    pub(crate) percent: u64,
    /// How many operations have failed, and how many processes have ended.
    pub(crate) troubles: u64,
    /// Every batch that a sync of the directory has made safe.
    pub(crate) promised: BTreeMap<String, Batch>,
}

/// The disk, shared by the spools of all processes of a schedule.
#[derive(Clone, Debug)]
pub(crate) struct SimulatedDisk(pub(crate) Arc<Mutex<Simulation>>);

/// What keeps a file or a lock held.
pub(crate) type Claim = Arc<()>;

impl SimulatedDisk {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Simulation {
            random: Random(seed),
            inodes: Vec::new(),
            names: BTreeMap::new(),
            durable: BTreeMap::new(),
            changes: Vec::new(),
            locks: BTreeMap::new(),
            fuse: None,
            faults: 0,
            percent: 50,
            troubles: 0,
            promised: BTreeMap::new(),
        })))
    }

    /// Runs one operation, unless the process has died or the operation fails.
    pub(crate) fn operate<T>(&self, work: impl FnOnce(&mut Simulation) -> io::Result<T>) -> io::Result<T> {
        let mut simulation = self.0.lock().unwrap();
        match &mut simulation.fuse {
            Some(0) => {
                simulation.troubles += 1;
                return Err(io::Error::other("killed"));
            }
            Some(left) => *left -= 1,
            None => {}
        }
        let faults = simulation.faults;
        if faults > 0 && simulation.random.one_in(faults) {
            simulation.troubles += 1;
            let kinds = [ErrorKind::StorageFull, ErrorKind::Other];
            return Err(kinds[simulation.random.below(2) as usize].into());
        }
        work(&mut simulation)
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.0.lock().unwrap().fuse == Some(0)
    }

    /// A new process: the old one is gone, with the machine (`power`) or alone.
    pub(crate) fn restart(&self, power: bool) {
        let mut simulation = self.0.lock().unwrap();
        let simulation = &mut *simulation;
        simulation.fuse = None;
        simulation.faults = 0;
        simulation.troubles += 1;
        simulation.locks.clear();
        for inode in &mut simulation.inodes {
            inode.maker = Weak::new();
        }
        if power {
            // Of what was not synced, a part came to the disk: in order, up to some point, or here and there.
            let (in_order, upto) =
                (simulation.random.one_in(2), simulation.random.below(simulation.changes.len() as u64 + 1));
            for (at, change) in std::mem::take(&mut simulation.changes).into_iter().enumerate() {
                let came = if in_order { (at as u64) < upto } else { simulation.random.one_in(2) };
                match change {
                    Change::Link(name, inode) if came => drop(simulation.durable.insert(name, inode)),
                    Change::Unlink(name) if came => drop(simulation.durable.remove(&name)),
                    _ => {}
                }
            }
            simulation.names = simulation.durable.clone();
            for inode in simulation.inodes.iter_mut().filter(|inode| !inode.synced) {
                let block = if simulation.random.one_in(2) { 512 } else { 4096 };
                let blocks = inode.bytes.len() as u64 / block + 1;
                let kept = (simulation.random.below(blocks + 1) * block).min(inode.bytes.len() as u64) as usize;
                if simulation.random.one_in(2) {
                    inode.bytes.truncate(kept);
                } else {
                    // The size came to the disk, the blocks did not.
                    inode.bytes[kept..].fill(0);
                }
                inode.synced = true;
            }
        }
    }

    pub(crate) fn files(&self) -> Vec<String> {
        self.0.lock().unwrap().names.keys().cloned().collect()
    }
}

impl Disk for SimulatedDisk {
    type Claim = Claim;

    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<Claim> {
        let hold = Claim::new(());
        let at = self.operate(|s| {
            if s.names.contains_key(name) {
                return Err(ErrorKind::AlreadyExists.into());
            }
            let at = s.inodes.len();
            s.inodes.push(Inode { maker: Arc::downgrade(&hold), ..Inode::default() });
            s.names.insert(name.into(), at);
            s.changes.push(Change::Link(name.into(), at));
            Ok(at)
        })?;
        if !bytes.is_empty() {
            // A write can stop half-way, with the process or with the space.
            let written = self.operate(|s| {
                s.inodes[at].bytes = bytes.to_vec();
                Ok(())
            });
            if let Err(error) = written {
                let mut simulation = self.0.lock().unwrap();
                let part = simulation.random.below(bytes.len() as u64 + 1) as usize;
                simulation.inodes[at].bytes = bytes[..part].to_vec();
                return Err(error);
            }
            self.operate(|s| {
                s.inodes[at].synced = true;
                Ok(())
            })?;
        }
        Ok(hold)
    }

    fn claim(&self, name: &str) -> io::Result<Option<Claim>> {
        self.operate(|s| {
            let at = *s.names.get(name).ok_or(ErrorKind::NotFound)?;
            Ok((s.inodes[at].maker.strong_count() == 0).then(|| Claim::new(())))
        })
    }

    fn claim_alone(&self, name: &str) -> io::Result<Option<Claim>> {
        self.claim(name)
    }

    fn lock(&self, name: &str) -> io::Result<Option<Claim>> {
        self.operate(|s| {
            if s.locks.get(name).is_some_and(|lock| lock.strong_count() > 0) {
                return Ok(None);
            }
            let hold = Claim::new(());
            s.locks.insert(name.into(), Arc::downgrade(&hold));
            Ok(Some(hold))
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.operate(|s| {
            let at = s.names.remove(from).ok_or(ErrorKind::NotFound)?;
            s.names.insert(to.into(), at);
            // The link first: a rename never loses the file.
            s.changes.push(Change::Link(to.into(), at));
            s.changes.push(Change::Unlink(from.into()));
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.operate(|s| {
            s.durable = s.names.clone();
            s.changes.clear();
            for (name, at) in s.durable.iter().filter(|(name, _)| name.ends_with(".batch") && !name.starts_with(BAD)) {
                if !s.promised.contains_key(name) {
                    s.promised.insert(name.clone(), Batch::decode(&s.inodes[*at].bytes).unwrap());
                }
            }
            Ok(())
        })
    }

    fn list(&self, each: &mut dyn FnMut(&str)) -> io::Result<()> {
        let names = self.operate(|s| Ok(s.names.keys().cloned().collect::<Vec<_>>()))?;
        names.iter().filter(|name| !name.contains('/')).for_each(|name| each(name));
        Ok(())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.operate(|s| Ok(s.inodes[*s.names.get(name).ok_or(ErrorKind::NotFound)?].bytes.clone()))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.operate(|s| {
            s.names.remove(name).ok_or(ErrorKind::NotFound)?;
            s.changes.push(Change::Unlink(name.into()));
            Ok(())
        })
    }

    fn exists(&self, name: &str) -> bool {
        self.0.lock().unwrap().names.contains_key(name)
    }

    fn held_for(&self, _name: &str) -> Option<Duration> {
        None
    }

    fn age(&self, name: &str) -> io::Result<Duration> {
        // No process of the schedule lives on when the next one sweeps.
        self.operate(|s| {
            if s.names.contains_key(name) { Ok(Duration::from_secs(86_400)) } else { Err(ErrorKind::NotFound.into()) }
        })
    }

    fn percent_full(&self) -> io::Result<u64> {
        self.operate(|s| Ok(s.percent))
    }
}
