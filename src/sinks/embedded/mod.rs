//! The embedded store: points in one SQLite file, for whoever has no server.
//!
//! ```text
//! series    key (measurement and keys in line protocol), id, newest bucket of each tier, labels (the other tags)
//! field     id, name
//! tier_raw  bucket, series, field, time, value                as collected
//! tier_1h   the same, sum, slots, least, most                 folded over hours
//! tier_1d   the same, sum, slots, least, most                 folded over days
//! points    a view of all this for people: tier, utc, time (unix seconds), series, field, value
//! ```
//!
//! A bucket is an hour of raw points, a day of hours, 32 days of days; `time` is in nanoseconds from its beginning. Rows are
//! keyed (bucket, series, field, time): what one run writes lies together, old buckets are cut off whole, and a range of one
//! series is one short walk in each bucket. A row written again takes the new value; of labels the newest hold.
//!
//! A reader never migrates: it reads a store of schema 1, which has no labels, as it is.
//!
//! The file is in WAL mode with `synchronous = FULL`: a committed transaction outlives a power failure, readers and the
//! one writer do not wait for each other, and writers wait for each other until their deadline. It must lie on a disk of
//! this machine; SQLite's shared memory does not work over NFS. Reading too takes the right to write beside the file.

mod errors;
mod read;
mod reader;
mod schema;
mod write;

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use rustix::fs::{Access, access};

use self::errors::{in_words, way_out};
pub use self::read::{Range, Series, TierStatus};
pub use self::reader::EmbeddedReader;
use self::schema::{APPLICATION, MIGRATIONS, make, migrate};
pub use self::write::{Folded, Parts};
use self::write::{forget_series, remove_some, write};
use super::{Sent, Sink};
use crate::config::{Key, Kind, Section, Unset, Values};
use crate::model::{Point, SECOND, Tier};
use crate::spool::Batch;

/// `[embedded]`.
pub const SECTION: Section = Section::new(
    "embedded",
    "The embedded store: one SQLite file, for points that no other sink takes.",
    &[
        Key::new(
            "path",
            Kind::Path,
            Unset::Absent("/var/lib/gridmon/gridmon.db"),
            "Where points go when no other sink is configured: one SQLite file on a disk of this machine. Default: \
             gridmon.db in the state directory. Given, they go there beside the other sinks too.",
        ),
        Key::new(
            "keep_raw_days",
            KEPT,
            Unset::Default("30"),
            "How long it keeps points as they were collected, in days, or forever.",
        ),
        Key::new("keep_1h_days", KEPT, Unset::Default("1826"), "How long it keeps hourly ones."),
        Key::new("keep_1d_days", KEPT, Unset::Default("forever"), "How long it keeps daily ones."),
    ],
);

const KEPT: Kind = Kind::Days(36_500);

/// `[embedded]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file; `gridmon.db` in the state directory by default. Given, points go there beside other sinks too.
    pub path: Option<PathBuf>,
    /// How long raw points are kept, in days; 30 by default. `None`: for ever.
    pub keep_raw_days: Option<u64>,
    /// How long hourly ones are, in days; five years by default.
    pub keep_1h_days: Option<u64>,
    /// How long daily ones are, in days; for ever by default.
    pub keep_1d_days: Option<u64>,
}

impl Config {
    /// Reads `[embedded]`.
    ///
    /// # Errors
    /// When a value is not what its key asks for.
    pub fn read(values: &Values) -> Result<Self> {
        Ok(Self {
            path: values.path("path")?,
            keep_raw_days: values.days("keep_raw_days")?,
            keep_1h_days: values.days("keep_1h_days")?,
            keep_1d_days: values.days("keep_1d_days")?,
        })
    }

    /// How long points of a tier are kept, in days; `None`: for ever.
    pub fn keep_days(&self, tier: Tier) -> Option<u64> {
        match tier {
            Tier::Raw => self.keep_raw_days,
            Tier::Hour => self.keep_1h_days,
            Tier::Day => self.keep_1d_days,
        }
    }

    /// The time of the oldest points of a tier that are kept, in nanoseconds, counted from `now` in unix seconds: where a
    /// bucket begins, since buckets go whole. `None`: all are.
    pub fn oldest_kept(&self, tier: Tier, now: i64) -> Option<i64> {
        let seconds = i64::try_from(self.keep_days(tier)?).ok()?.checked_mul(86_400)?;
        let bucket = now.checked_sub(seconds)?.checked_mul(SECOND)?.div_euclid(tier.bucket());
        bucket.checked_mul(tier.bucket())
    }
}

impl Tier {
    /// How long one of its buckets is, in nanoseconds.
    fn bucket(self) -> i64 {
        match self {
            Self::Raw => 3600 * SECOND,
            Self::Hour => 86_400 * SECOND,
            Self::Day => 32 * 86_400 * SECOND,
        }
    }

    fn table(self) -> String {
        format!("tier_{}", self.name())
    }

    fn newest(self) -> String {
        format!("newest_{}", self.name())
    }
}

/// An open store.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    /// Device and inode of the file that was opened.
    file: (u64, u64),
}

impl Store {
    /// Opens the store to write, makes it when there is none, brings it up to this version's schema. Waits for other
    /// writers until `until`, now and at each later transaction.
    ///
    /// # Errors
    /// When it is damaged, of a newer version, another program's, locked, or cannot be made or written.
    pub fn open(path: &Path, until: Instant) -> Result<Self> {
        let mut store = match Self::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, until)? {
            Some(store) => store,
            None => {
                make(path, &MIGRATIONS).map_err(|error| match error.downcast() {
                    Ok(error) => in_words(error, path),
                    Err(error) => error.context(format!("{} cannot be made", path.display())),
                })?;
                let store = Self::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, until)?;
                store.with_context(|| format!("{} vanished as soon as it was made", path.display()))?
            }
        };
        store.write_with(until, |store| {
            // Only committed transactions are acknowledged, so each must be on the disk.
            store.connection.execute_batch("PRAGMA synchronous = FULL")?;
            migrate(&mut store.connection, &MIGRATIONS)
        })?;
        Ok(store)
    }

    /// Opens the store to read; `None` when there is none.
    ///
    /// # Errors
    /// When it is damaged, of a newer version, another program's, or cannot be read.
    pub fn open_to_read(path: &Path) -> Result<Option<Self>> {
        // A reader waits only while another process recovers the store from a crash.
        let until = Instant::now() + Duration::from_secs(5);
        Self::connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY, until)
    }

    fn connect(path: &Path, mode: OpenFlags, until: Instant) -> Result<Option<Self>> {
        let shown = path.display();
        let there = match fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => match fs::read_link(path) {
                // Where a disk is not mounted, say: what lies there must not be begun anew here.
                Ok(to) => bail!("{shown} is a link to {}, which is not there", to.display()),
                Err(_) => return Ok(None),
            },
            there => there.with_context(|| shown.to_string())?,
        };
        ensure!(there.is_file(), "{shown} is not a file");
        // SQLite would take it for a new one.
        ensure!(there.len() > 0, "{shown} is empty, though no store ever is; {}", way_out(path));
        let log = fs::metadata(beside(path, "-wal")).map_or(0, |log| log.len());
        let connection = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX);
        let connection = connection.map_err(|error| in_words(error, path))?;
        let store = Self { connection, path: path.to_path_buf(), file: identity(&there) };
        store.read_with(|store| {
            store.connection.busy_timeout(until.saturating_duration_since(Instant::now()))?;
            // What is read may come from a damaged disk.
            store.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
            // In kB. Readers come in numbers, and the kernel keeps what they read.
            let cache = if mode.contains(OpenFlags::SQLITE_OPEN_READ_ONLY) { -2000 } else { -8000 };
            store.connection.pragma_update(None, "cache_size", cache)?;
            Ok(())
        })?;
        let (application, version, page) = store.read_with(|store| {
            let number = |name| store.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
            Ok((number("application_id")?, number("user_version")?, number("page_size")?))
        })?;
        ensure!(
            application == APPLICATION,
            "{shown} is another program's SQLite database; name a different file with [embedded] path"
        );
        ensure!(
            version <= MIGRATIONS.len() as i64,
            "{shown} has schema {version}, which a newer gridmon made; this one knows schemas up to {}: run the newer one again",
            MIGRATIONS.len()
        );
        // SQLite reads the missing end of a page as zeros. In the log it may still be whole.
        let whole = there.len() % page.unsigned_abs().max(1) == 0 || log > 0;
        ensure!(whole, "{shown} is damaged (it ends within a page); {}", way_out(path));
        Ok(Some(store))
    }

    /// Writes points of one tier in one transaction: all of them or none. What is there already takes the new value; of
    /// points that are one row the last stays.
    ///
    /// # Errors
    /// When they are not all in the file that lies at the store's path.
    pub fn write(&mut self, tier: Tier, points: &[Point], until: Instant) -> Result<()> {
        self.write_all(tier, &points.iter().map(|point| (point, &[][..])).collect::<Vec<_>>(), until)
    }

    /// Writes points of a folded tier as [`Store::write`] does, each value with what it was made of.
    ///
    /// # Errors
    /// As [`Store::write`]; when the tier is raw, or a point has not one part for each field.
    pub fn write_folded(&mut self, tier: Tier, points: &[Folded], until: Instant) -> Result<()> {
        ensure!(tier != Tier::Raw, "raw points are not folded");
        let is_whole = |folded: &&Folded| folded.point.fields().count() == folded.parts.len();
        if let Some(Folded { point, parts }) = points.iter().find(|folded| !is_whole(folded)) {
            bail!("{} has {} parts for {} fields", point.series(), parts.len(), point.fields().count());
        }
        let points: Vec<_> = points.iter().map(|folded| (&folded.point, folded.parts.as_slice())).collect();
        self.write_all(tier, &points, until)
    }

    fn write_all(&mut self, tier: Tier, points: &[(&Point, &[Parts])], until: Instant) -> Result<()> {
        let written = self.write_with(until, |store| {
            let transaction = store.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            write(&transaction, tier, points)?;
            // The log lies beside the path: committed there, pages of this file would get into the one in its place.
            let still = is_at(&store.path, store.file);
            if still {
                transaction.commit()?;
            }
            Ok(still)
        })?;
        let still = written && is_at(&self.path, self.file);
        if written && !still {
            // What has got there all the same goes where it belongs, before anybody takes it for the other's.
            let _ = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
        }
        ensure!(still, "{} was replaced or removed while it was written", self.path.display());
        Ok(())
    }

    /// Removes what is older than `config` keeps, counted from `now` in unix seconds, at most about `budget` rows, so that
    /// neither a long pause nor a wrong clock makes it a long work; the next runs go on with it. Returns how many went.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn prune(&mut self, config: &Config, now: i64, budget: usize, until: Instant) -> Result<usize> {
        let mut left = budget;
        let oldest_kept = |tier: Tier| Some(config.oldest_kept(tier, now)?.div_euclid(tier.bucket()));
        for tier in Tier::ALL {
            let Some(oldest_kept) = oldest_kept(tier) else { continue };
            while left > 0 && Instant::now() < until {
                let removed = self
                    .write_with(until, |store| remove_some(&store.connection, tier, oldest_kept, left.min(20_000)))?;
                left -= removed.min(left);
                if removed == 0 {
                    break;
                }
            }
        }
        if left < budget {
            self.write_with(until, |store| forget_series(&store.connection, &oldest_kept))?;
        }
        Ok(budget - left)
    }

    /// Writes the file anew without the room of what was removed. Others can read meanwhile; writers wait.
    ///
    /// # Errors
    /// When another process reads or writes all the while, or the disk has no room for a second copy.
    pub fn vacuum(&mut self, until: Instant) -> Result<()> {
        self.write_with(until, |store| store.connection.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)"))
    }

    /// Does something with SQLite; its errors in words.
    fn read_with<T>(&self, work: impl FnOnce(&Self) -> rusqlite::Result<T>) -> Result<T> {
        work(self).map_err(|error| in_words(error, &self.path))
    }

    /// The same for what may have to wait for another writer.
    fn write_with<T>(&mut self, until: Instant, work: impl FnOnce(&mut Self) -> rusqlite::Result<T>) -> Result<T> {
        let wait = until.saturating_duration_since(Instant::now());
        self.connection.busy_timeout(wait).and_then(|()| work(self)).map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                anyhow!("{} is locked by another process, for {:.0} s now", self.path.display(), wait.as_secs_f64())
            }
            _ => in_words(error, &self.path),
        })
    }
}

/// A file that SQLite keeps beside a store.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Whether the file that was opened is still the one at the path.
fn is_at(path: &Path, file: (u64, u64)) -> bool {
    fs::metadata(path).is_ok_and(|there| identity(&there) == file)
}

fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

impl Store {
    /// What `--check` says of the store at `path`.
    ///
    /// # Errors
    /// When points could not be written there.
    pub fn check(path: &Path) -> Result<String> {
        let shown = path.display();
        let folder = path.parent().context("the store has no folder")?;
        let Some(store) = Self::open_to_read(path)? else {
            let existing = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
            if let Err(error) = access(existing, Access::WRITE_OK) {
                bail!("{shown} is not there and cannot be made: {}: {error}", existing.display());
            }
            return Ok(format!("{shown}; the first run makes it"));
        };
        access(path, Access::WRITE_OK).with_context(|| shown.to_string())?;
        let series = store.count_series()?;
        Ok(format!("{shown}, {series} series"))
    }
}

/// The embedded store as a sink.
pub struct Embedded {
    /// How long points are kept.
    pub config: Config,
    /// The file.
    pub path: PathBuf,
}

impl Embedded {
    /// How many rows a run removes at most: more than it writes, as a rule, and no more than a moment's work.
    const PRUNED: usize = 100_000;
}

impl Sink for Embedded {
    fn name(&self) -> &str {
        "embedded"
    }

    fn send(&self, batch: &Batch, deadline: Instant) -> Sent {
        let result = batch.header.tier.parse().and_then(|tier| {
            if batch.points.is_empty() {
                return Ok(());
            }
            Store::open(&self.path, deadline)?.write(tier, &batch.points, deadline)
        });
        Sent { dropped: Vec::new(), refused: Vec::new(), result }
    }

    fn check(&self, _deadline: Instant) -> Result<String> {
        // A run makes the state directory, and no other.
        if let Some(folder) = self.config.path.as_deref().and_then(Path::parent)
            && let Err(error) = folder.metadata()
        {
            bail!("{} cannot be made: {}: {error}", self.path.display(), folder.display());
        }
        Store::check(&self.path)
    }

    fn prune(&self, now: i64, deadline: Instant) -> Result<()> {
        Store::open(&self.path, deadline)?.prune(&self.config, now, Self::PRUNED, deadline).map(drop)
    }
}
