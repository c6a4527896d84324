//! The embedded store: points in one SQLite file, for sites without a database server.
//!
//! ```text
//! series    key (measurement and keys in line protocol), id, newest bucket of each tier, labels (the other tags)
//! field     id, name
//! tier_raw  bucket, series, field, time, value                as collected
//! tier_1h   the same, sum, slots, least, most                 folded over hours
//! tier_1d   the same, sum, slots, least, most                 folded over days
//! points    a view of all this for people: tier, utc, time (unix seconds), series, field, value
//! identity  id: what tells this store from any other one
//! jobs      the queues of PanDA as they are now, one row for each
//! ```
//!
//! A bucket holds an hour of raw points, a day of hourly points or 32 days of daily points; `time` is in nanoseconds
//! from the start of the bucket. Rows are keyed (bucket, series, field, time): the rows of one run lie together, old
//! buckets are deleted whole, and a range of one series is one short scan in each bucket. Writing a row again replaces
//! its value; a series keeps its newest labels.
//!
//! A reader never migrates: it reads a store of schema 1, which has no labels, as it is.
//!
//! The file is in WAL mode with `synchronous = FULL`: a committed transaction survives a power failure, readers and the
//! writer do not block each other, and writers wait for each other until their deadline. The file must lie on a local
//! disk, since SQLite's shared memory does not work over NFS. Readers too need write permission in its directory.

mod columns;
mod errors;
mod fold;
mod history;
mod log;
mod place;
mod read;
mod reader;
mod schema;
mod table;
mod write;

use std::cell::Cell;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};
use rustix::fs::{Access, access};

use self::errors::{explain, explain_io, is_read_only, read_only, remedy};
pub use self::fold::EmbeddedTiers;
pub use self::log::LARGE;
use self::log::{LENGTH_KEPT, Release, allocate, ensure_room, log_bytes, readers};
pub use self::place::Place;
use self::place::gone;
pub use self::read::{Range, Series, TierStatus};
pub use self::reader::EmbeddedReader;
use self::schema::{APPLICATION, Difference, MIGRATIONS, compare, make, migrate};
pub use self::table::EmbeddedTables;
use self::write::{forget_series, remove_some, write};
use super::{Sent, Sink};
use crate::config::{Key, Kind, Section, Unset, Values};
use crate::model::{Point, SECOND, Tier};
pub use crate::rollup::{Folded, Parts};
use crate::spool::Batch;
use crate::text::size;

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
    /// The file; `gridmon.db` in the state directory by default. If it is set, points go there in addition to the other
    /// sinks.
    pub path: Option<PathBuf>,
    /// The retention of raw points, in days; 30 by default. `None` keeps them for ever.
    pub keep_raw_days: Option<u64>,
    /// The retention of hourly points, in days; five years by default. `None` keeps them for ever.
    pub keep_1h_days: Option<u64>,
    /// The retention of daily points, in days. `None`, the default, keeps them for ever.
    pub keep_1d_days: Option<u64>,
}

impl Config {
    /// Reads `[embedded]`.
    ///
    /// # Errors
    /// Fails if a value is not of its key's kind.
    pub fn read(values: &Values) -> Result<Self> {
        Ok(Self {
            path: values.path("path")?,
            keep_raw_days: values.days("keep_raw_days")?,
            keep_1h_days: values.days("keep_1h_days")?,
            keep_1d_days: values.days("keep_1d_days")?,
        })
    }

    /// Returns the retention of a tier, in days; `None` keeps its points for ever.
    pub fn keep_days(&self, tier: Tier) -> Option<u64> {
        match tier {
            Tier::Raw => self.keep_raw_days,
            Tier::Hour => self.keep_1h_days,
            Tier::Day => self.keep_1d_days,
        }
    }

    /// Returns the time of the oldest point of a tier to keep, in nanoseconds; `now` is in unix seconds. It is the
    /// start of a bucket, since buckets are deleted whole. Returns `None` if the tier keeps all points.
    pub fn oldest_kept(&self, tier: Tier, now: i64) -> Option<i64> {
        let seconds = i64::try_from(self.keep_days(tier)?).ok()?.checked_mul(86_400)?;
        let bucket = now.checked_sub(seconds)?.checked_mul(SECOND)?.div_euclid(tier.bucket());
        bucket.checked_mul(tier.bucket())
    }
}

impl Tier {
    /// Returns the length of a bucket of this tier, in nanoseconds.
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
    /// The device and inode of the opened file.
    file: (u64, u64),
    /// SQLite's count of the changes of the schema when it was last compared.
    compared: Cell<Option<i64>>,
    /// The fields are dropped in their order, so after the connection.
    _release: Release,
}

impl Store {
    /// Opens the store for writing.
    ///
    /// Creates it if it does not exist, and migrates it to this version's schema. Waits for other writers until
    /// `until`, now and in each later transaction.
    ///
    /// # Errors
    /// Fails if the store is damaged, was made by a newer version, belongs to another program, is locked, or cannot be
    /// created or written.
    pub fn open(path: &Path, until: Instant) -> Result<Self> {
        Self::open_as(path, None, until)
    }

    /// Opens the store for writing as [`Store::open`] does, but only the one with the id `known`, if that is given.
    fn open_as(path: &Path, known: Option<&str>, until: Instant) -> Result<Self> {
        let mut store = match (Self::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, until)?, known) {
            (Some(store), _) => store,
            (None, Some(known)) => return Err(gone(path, known)),
            (None, None) => {
                make(path, &MIGRATIONS).map_err(|error| explain_make(error, path))?;
                let store = Self::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, until)?;
                store.with_context(|| format!("{} vanished as soon as it was made", path.display()))?
            }
        };
        if let Some(known) = known {
            store.ensure_is(known)?;
        }
        store.write_with(until, |store| {
            // Only committed transactions are acknowledged, so each must be on disk.
            store.connection.execute_batch("PRAGMA synchronous = FULL")?;
            store.connection.pragma_update(None, "journal_size_limit", LENGTH_KEPT)?;
            migrate(&mut store.connection, &MIGRATIONS)
        })?;
        store.ensure_ours()?;
        Ok(store)
    }

    /// Opens the store for reading; returns `None` if it does not exist.
    ///
    /// # Errors
    /// Fails if the store is damaged, was made by a newer version, belongs to another program, or cannot be read.
    pub fn open_to_read(path: &Path) -> Result<Option<Self>> {
        // A reader waits only while another process recovers the store from a crash.
        let until = Instant::now() + Duration::from_secs(5);
        Self::connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY, until)
    }

    fn connect(path: &Path, mode: OpenFlags, until: Instant) -> Result<Option<Self>> {
        let shown = path.display();
        let there = match fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => match fs::read_link(path) {
                // A link without a target usually means that the disk is not mounted: report it, do not create a new
                // store.
                Ok(to) => bail!("{shown} is a link to {}, which is not there", to.display()),
                Err(_) => return Ok(None),
            },
            there => there.with_context(|| shown.to_string())?,
        };
        ensure!(there.is_file(), "{shown} is not a file");
        // SQLite would take an empty file for a new database.
        ensure!(there.len() > 0, "{shown} is empty, but a store never is; {}", remedy(path));
        let log = log_bytes(path);
        let may_write = !mode.contains(OpenFlags::SQLITE_OPEN_READ_ONLY);
        let connection = match is_read_only(path) {
            true if may_write => return Err(read_only(path)),
            // Nobody writes there.
            true if log == 0 => open_unchanging(path),
            _ => {
                ensure_room(path, may_write).map_err(|error| explain_io(error, path))?;
                Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            }
        };
        let connection = connection.map_err(|error| explain(error, path))?;
        let (file, path) = (identity(&there), path.to_path_buf());
        let store = Self { connection, path, file, compared: Cell::default(), _release: Release };
        let page = store.read_with(|store| {
            store.connection.busy_timeout(wait(until))?;
            protect(&store.connection)?;
            // In kB. Many readers may run at once, and the kernel caches the pages that they read.
            let cache = if may_write { -8000 } else { -2000 };
            store.connection.pragma_update(None, "cache_size", cache)?;
            store.connection.pragma_query_value(None, "page_size", |row| row.get::<_, i64>(0))
        })?;
        store.ensure_ours()?;
        store.allocate(0)?;
        // SQLite reads the missing end of a page as zeros. The log may still hold the whole page.
        let whole = there.len() % page.unsigned_abs().max(1) == 0 || log > 0;
        ensure!(whole, "{shown} is damaged (it ends within a page); {}", remedy(&store.path));
        Ok(Some(store))
    }

    /// Fails unless this is a store whose schema this version makes. Costs little if it is unchanged since the last
    /// call.
    fn ensure_ours(&self) -> Result<()> {
        let shown = self.path.display();
        let (application, version, changes) = self.read_with(|store| {
            Ok((store.number("application_id")?, store.number("user_version")?, store.number("schema_version")?))
        })?;
        if self.compared.get() == Some(changes) {
            return Ok(());
        }
        ensure!(
            application == APPLICATION,
            "{shown} is another program's SQLite database; name a different file with [embedded] path"
        );
        let version = usize::try_from(version).ok().filter(|version| *version <= MIGRATIONS.len()).with_context(|| {
            format!(
                "{shown} has schema {version}, which a newer gridmon made; this one knows schemas up to {}: run the newer one again",
                MIGRATIONS.len()
            )
        })?;
        match self.read_with(|store| compare(&store.connection, version))? {
            None => {}
            Some(Difference::Damaged(why)) => bail!("{shown} is damaged ({why}); {}", remedy(&self.path)),
            Some(Difference::Foreign(kind, name)) => bail!(
                "{shown} has the {kind} {name}, which gridmon did not make and which may hide or delete rows: remove it with SQLite's own program (DROP {}), or put a copy of the store in its place",
                kind.to_uppercase()
            ),
        }
        self.compared.set(Some(changes));
        Ok(())
    }

    /// Allocates the shared memory for a transaction that changes so many pages.
    fn allocate(&self, pages: u64) -> Result<()> {
        allocate(&self.path, pages).map_err(|error| explain_io(error, &self.path))
    }

    /// Returns the number that a pragma of SQLite holds.
    fn number(&self, pragma: &str) -> rusqlite::Result<i64> {
        self.connection.pragma_query_value(None, pragma, |row| row.get(0))
    }

    /// Returns what tells this store from any other one, a copy excepted; `None` in a store of schema 1 or 2.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub fn id(&self) -> Result<Option<String>> {
        self.read_with(|store| match store.number("user_version")? {
            ..3 => Ok(None),
            _ => store.connection.query_row("SELECT id FROM identity", [], |row| row.get(0)).map(Some),
        })
    }

    /// Writes points of one tier in one transaction: all of them or none. An existing row gets the new value; of
    /// several points for one row the last one wins.
    ///
    /// # Errors
    /// Fails unless all points are in the file at the store's path.
    pub fn write(&mut self, tier: Tier, points: &[Point], until: Instant) -> Result<()> {
        self.write_all(tier, &points.iter().map(|point| (point, &[][..])).collect::<Vec<_>>(), until)
    }

    /// Writes points of a folded tier as [`Store::write`] does, each value with its [`Parts`].
    ///
    /// # Errors
    /// As [`Store::write`]; also fails if the tier is raw, or if a point does not have one part per field.
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
        // A row changes a page, and some more where pages are split.
        let rows: usize = points.iter().map(|(point, _)| point.fields().count()).sum();
        self.in_transaction(2 * rows as u64 + SOME, until, |transaction| write(transaction, tier, points))
    }

    /// Runs `work`, which changes about so many pages, in one transaction.
    ///
    /// # Errors
    /// Fails unless all that it did is in the file at the store's path.
    fn in_transaction<T>(
        &mut self,
        pages: u64,
        until: Instant,
        work: impl FnOnce(&Transaction) -> rusqlite::Result<T>,
    ) -> Result<T> {
        self.ensure_ours()?;
        self.allocate(pages)?;
        let written = self.write_with(until, |store| {
            let transaction = store.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let changes = transaction.pragma_query_value(None, "schema_version", |row| row.get(0))?;
            if store.compared.get() != Some(changes) {
                return Ok(None);
            }
            let done = work(&transaction)?;
            // The log lies beside the path: a commit after the file was replaced would put pages of the old file into
            // the new one.
            let still = is_at(&store.path, store.file);
            if still {
                transaction.commit()?;
            }
            Ok(Some((still, done)))
        })?;
        let (written, done) =
            written.with_context(|| format!("{} got another schema meanwhile", self.path.display()))?;
        let still = written && is_at(&self.path, self.file);
        if written && !still {
            // Pages that reached the log anyway must go into their own file before a process takes them for the new
            // file's.
            let _ = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
        }
        ensure!(still, "{} was replaced or removed while it was written", self.path.display());
        Ok(done)
    }

    /// Removes points that are older than `config` keeps; `now` is in unix seconds.
    ///
    /// Removes about `budget` rows at most, so that neither a long pause nor a wrong clock makes it slow; the next runs
    /// continue. Returns the number of removed rows.
    ///
    /// # Errors
    /// Fails if the store cannot be written.
    pub fn prune(&mut self, config: &Config, now: i64, budget: usize, until: Instant) -> Result<usize> {
        let mut left = budget;
        let oldest_kept = |tier: Tier| Some(config.oldest_kept(tier, now)?.div_euclid(tier.bucket()));
        for tier in Tier::ALL {
            let Some(oldest_kept) = oldest_kept(tier) else { continue };
            while left > 0 && Instant::now() < until {
                let most = left.min(20_000);
                self.allocate(2 * most as u64 + SOME)?;
                let removed =
                    self.write_with(until, |store| remove_some(&store.connection, tier, oldest_kept, most))?;
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

    /// Rewrites the file without its free pages. Readers can continue meanwhile; writers wait.
    ///
    /// # Errors
    /// Fails if other processes keep writing until `until`, if the disk has no room for a second copy, or if a reader
    /// keeps the file from getting shorter now.
    pub fn vacuum(&mut self, until: Instant) -> Result<()> {
        let pages = self.read_with(|store| store.number("page_count"))?;
        self.allocate(pages.unsigned_abs() + SOME)?;
        self.write_with(until, |store| store.connection.execute_batch("VACUUM"))?;
        let shown = self.path.display().to_string();
        ensure!(
            self.cut_log(until.min(Instant::now() + PATIENCE))?,
            "{shown} is rewritten, but cannot get shorter while {} it; it does when that has ended and a program has run",
            self.who_reads()
        );
        Ok(())
    }

    /// Returns the size of the log, in bytes. What is written goes there first.
    pub fn log_bytes(&self) -> u64 {
        log_bytes(&self.path)
    }

    /// Takes the log into the file and empties it. Returns `false` if a reader or writer kept it from that until `until`.
    fn cut_log(&mut self, until: Instant) -> Result<bool> {
        self.write_with(until, |store| {
            store.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| Ok(row.get::<_, i64>(0)? == 0))
        })
    }

    /// Fails if the log is large and a reader keeps it so.
    ///
    /// # Errors
    /// Fails with the reader's name.
    fn bound_log(&mut self, until: Instant) -> Result<()> {
        if self.log_bytes() > LARGE && !self.cut_log(until.min(Instant::now() + PATIENCE))? {
            bail!("{}", self.large_log().unwrap_or_default());
        }
        Ok(())
    }

    /// Returns what there is to say about a log that is large.
    pub fn large_log(&self) -> Option<String> {
        let (bytes, shown) = (self.log_bytes(), self.path.display());
        (bytes > LARGE).then(|| match self.readers().is_empty() {
            true => format!("{shown}-wal has grown to {}; the next run cuts it", size(bytes)),
            false => format!(
                "{shown}-wal has grown to {} and grows on while {} it; end that, and the next run cuts it",
                size(bytes),
                self.who_reads()
            ),
        })
    }

    /// Returns the other processes that hold a state of the store, so that its log grows.
    fn readers(&self) -> Vec<String> {
        readers(&self.path)
    }

    fn who_reads(&self) -> String {
        match self.readers() {
            readers if readers.is_empty() => "another process reads".into(),
            readers if readers.len() == 1 => format!("{} reads", readers[0]),
            readers => format!("{} read", readers.join(", ")),
        }
    }

    /// Runs `work` and explains its errors.
    fn read_with<T>(&self, work: impl FnOnce(&Self) -> rusqlite::Result<T>) -> Result<T> {
        work(self).map_err(|error| explain(error, &self.path))
    }

    /// Runs `work`, which may have to wait for another writer until `until`, and explains its errors.
    fn write_with<T>(&mut self, until: Instant, work: impl FnOnce(&mut Self) -> rusqlite::Result<T>) -> Result<T> {
        let wait = wait(until);
        self.connection.busy_timeout(wait).and_then(|()| work(self)).map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) if wait.as_secs() > 0 => {
                anyhow!("{} is locked by another process, for {:.0} s now", self.path.display(), wait.as_secs_f64())
            }
            _ => explain(error, &self.path),
        })
    }
}

/// Pages that a transaction changes besides those of its rows.
const SOME: u64 = 1000;

/// How long the log is waited for, while a reader holds it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Explains why a store could not be made.
fn explain_make(error: anyhow::Error, path: &Path) -> anyhow::Error {
    let error = match error.downcast::<rusqlite::Error>() {
        Ok(error) => return explain(error, path),
        Err(error) => error,
    };
    match error.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge | ErrorKind::ReadOnlyFilesystem,
        ) => error.downcast().map_or_else(|error| error, |error| explain_io(error, path)),
        _ => error.context(format!("{} cannot be made", path.display())),
    }
}

/// Returns the time until `until`, at most what SQLite can wait: it counts milliseconds in 32 bits.
fn wait(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now()).min(Duration::from_millis(i32::MAX as u64))
}

/// Keeps what stands in a file from running: it may be damaged, or another's.
fn protect(connection: &Connection) -> rusqlite::Result<()> {
    use DbConfig as Is;
    for (option, value) in [
        (Is::SQLITE_DBCONFIG_DEFENSIVE, true),
        (Is::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (Is::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (Is::SQLITE_DBCONFIG_ENABLE_VIEW, false),
    ] {
        connection.set_db_config(option, value)?;
    }
    Ok(())
}

/// Opens a file that nobody writes: SQLite takes no locks, and needs nothing beside it.
fn open_unchanging(path: &Path) -> rusqlite::Result<Connection> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_');
    let escape = |byte: &u8| if plain(*byte) { char::from(*byte).to_string() } else { format!("%{byte:02x}") };
    let name: String = path.as_os_str().as_encoded_bytes().iter().map(escape).collect();
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(format!("file:{name}?immutable=1"), flags)
}

/// Returns the path of a file that SQLite keeps beside a store.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Whether the file at the path is still the opened one.
fn is_at(path: &Path, file: (u64, u64)) -> bool {
    fs::metadata(path).is_ok_and(|there| identity(&there) == file)
}

fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

impl Place {
    /// Returns the `--check` text for the store.
    ///
    /// # Errors
    /// Fails if points could not be written there.
    pub fn check(&self) -> Result<String> {
        let (path, shown) = (self.path(), self.path().display());
        let folder = path.parent().context("the store has no folder")?;
        let Some(store) = self.open_to_read()? else {
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

/// Returns the version of SQLite in this build, and the newest schema that it knows.
pub fn version() -> String {
    format!("{}, in this program; the store's schema is {}", rusqlite::version(), schema::MIGRATIONS.len())
}

/// The embedded store as a sink.
pub struct Embedded {
    /// The retention of each tier.
    pub config: Config,
    /// The place of the store.
    pub place: Place,
}

impl Embedded {
    /// The most rows that a run removes: more than it usually writes, and few enough to be quick.
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
            self.place.open(deadline)?.write(tier, &batch.points, deadline)
        });
        Sent { dropped: Vec::new(), refused: Vec::new(), result }
    }

    fn check(&self, _deadline: Instant) -> Result<String> {
        // A run creates the state directory, but no other directory.
        if self.place.remembered()?.is_none()
            && let Some(folder) = self.config.path.as_deref().and_then(Path::parent)
            && !self.place.lies_above_its_memory(folder)
            && let Err(error) = folder.metadata()
        {
            bail!("{} cannot be made: {}: {error}", self.place.path().display(), folder.display());
        }
        self.place.check()
    }

    fn prune(&self, now: i64, deadline: Instant) -> Result<()> {
        let mut store = self.place.open(deadline)?;
        store.prune(&self.config, now, Self::PRUNED, deadline)?;
        store.bound_log(deadline)
    }
}
