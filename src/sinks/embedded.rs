//! The embedded store: points in one SQLite file, for whoever has no server.
//!
//! ```text
//! series    key (measurement and tags in line protocol), id, newest bucket of each tier
//! field     id, name
//! tier_raw  bucket, series, field, time, value                as collected
//! tier_1h   the same                                          folded over hours
//! tier_1d   the same                                          folded over days
//! points    a view of all this for people: tier, utc, time (unix seconds), series, field, value
//! ```
//!
//! A bucket is an hour of raw points, a day of hours, 32 days of days; `time` is in nanoseconds from its beginning. Rows are
//! keyed (bucket, series, field, time): what one run writes lies together, old buckets are cut off whole, and a range of one
//! series is one short walk in each bucket. A row written again takes the new value.
//!
//! The file is in WAL mode with `synchronous = FULL`: a committed transaction outlives a power failure, readers and the
//! one writer do not wait for each other, and writers wait for each other until their deadline. It must lie on a disk of
//! this machine; SQLite's shared memory does not work over NFS. Reading too takes the right to write beside the file.

mod reading;

use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Statement, Transaction, TransactionBehavior, ffi, params};
use rustix::fs::{Access, access};

pub use self::reading::{Filter, Range, Series, TierStatus};
use crate::config::Section;
use crate::point::{Point, SECOND, Value};

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
    pub fn read(section: &mut Section) -> Result<Self> {
        let mut days = |key, default| -> Result<Option<u64>> {
            let Some(text) = section.text(key)? else { return Ok(default) };
            let days = text.parse().ok().filter(|days| (1..=36_500).contains(days));
            section.check(key, text == "forever" || days.is_some(), "1 to 36500 days, or forever")?;
            Ok(days)
        };
        Ok(Self {
            keep_raw_days: days("keep_raw_days", Some(30))?,
            keep_1h_days: days("keep_1h_days", Some(1826))?,
            keep_1d_days: days("keep_1d_days", None)?,
            path: section.path("path")?,
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

/// How far points are folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// As collected.
    Raw,
    /// Over hours.
    Hour,
    /// Over days.
    Day,
}

impl Tier {
    /// All of them, the finest first.
    pub const ALL: [Self; 3] = [Self::Raw, Self::Hour, Self::Day];

    /// Its name in batches, in exports and in InfluxDB: `raw`, `1h`, `1d`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Hour => "1h",
            Self::Day => "1d",
        }
    }

    /// The time between two of its points, in seconds. Of raw ones the shortest that a program has.
    pub fn step_seconds(self) -> i64 {
        match self {
            Self::Raw => 60,
            Self::Hour => 3600,
            Self::Day => 86_400,
        }
    }

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

impl fmt::Display for Tier {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

impl FromStr for Tier {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|tier| tier.name() == name)
            .with_context(|| format!("{name:?} is no tier: raw, 1h or 1d"))
    }
}

/// What `PRAGMA application_id` says of a store: `gmon`.
const APPLICATION: i64 = 0x676d_6f6e;

/// How a store of one schema version becomes one of the next. `PRAGMA user_version` counts those that it has been through.
const MIGRATIONS: [&str; 1] = [include_str!("embedded/1.sql")];

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
                make(path).map_err(|error| match error.downcast() {
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

/// Makes an empty store and puts it in its place, unless another process has just done so. Made in place, one that was
/// killed half-way could not be told from one that was truncated.
fn make(path: &Path) -> Result<()> {
    let folder = path.parent().context("it has no folder")?;
    let name = path.file_name().context("it has no name")?.to_string_lossy().into_owned();
    let begins = format!("{name}.new-");
    let old = SystemTime::now() - Duration::from_secs(3600);
    for file in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let file = file?;
        // What a process left that was killed here.
        if file.file_name().to_string_lossy().starts_with(&begins) && file.metadata()?.modified()? < old {
            fs::remove_file(file.path())?;
        }
    }
    let aside = folder.join(format!("{begins}{}", std::process::id()));
    let made = (|| {
        let mut connection = Connection::open(&aside)?;
        connection.pragma_update(None, "application_id", APPLICATION)?;
        let mode: String = connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
        ensure!(
            mode == "wal",
            "the file system cannot share memory between processes, as SQLite's WAL mode needs; set [embedded] path to a disk of this machine"
        );
        migrate(&mut connection, &MIGRATIONS)?;
        connection.close().map_err(|(_, error)| error)?;
        File::open(&aside)?.sync_all()?;
        match fs::hard_link(&aside, path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error)?,
            _ => Ok(File::open(folder)?.sync_all()?),
        }
    })();
    let removed = fs::remove_file(&aside);
    made.and_then(|()| Ok(removed?))
}

/// Brings a store up to the last of `migrations`, each in a transaction of its own.
fn migrate(connection: &mut Connection, migrations: &[&str]) -> rusqlite::Result<()> {
    let version =
        |connection: &Connection| connection.pragma_query_value(None, "user_version", |row| row.get::<_, usize>(0));
    while version(connection)? < migrations.len() {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Another process may have done it meanwhile.
        let version = version(&transaction)?;
        if let Some(migration) = migrations.get(version) {
            transaction.execute_batch(migration)?;
            transaction.pragma_update(None, "user_version", version + 1)?;
        }
        transaction.commit()?;
    }
    Ok(())
}

/// One row of a tier, in the order of its key.
#[derive(Clone, Copy)]
struct Row {
    bucket: i64,
    series: i64,
    field: i64,
    time: i64,
    value: Value,
}

fn write(transaction: &Transaction, tier: Tier, points: &[Point]) -> rusqlite::Result<()> {
    let mut named: Vec<(String, &Point)> = points.iter().map(|point| (point.series(), point)).collect();
    // Stable, so that of one row's points the last one given is the last one written.
    named.sort_by(|a, b| a.0.cmp(&b.0));
    let bucket = tier.bucket();
    let mut keys: Vec<(&str, i64)> = Vec::with_capacity(named.len());
    for (key, point) in &named {
        let newest = point.time().div_euclid(bucket);
        match keys.last_mut() {
            Some(last) if last.0 == key => last.1 = last.1.max(newest),
            _ => keys.push((key, newest)),
        }
    }
    let ids = series_ids(transaction, tier, &keys)?;

    let mut fields = field_ids(transaction)?;
    let mut rows = Vec::with_capacity(points.len());
    let mut at = 0;
    for (key, point) in &named {
        at += usize::from(keys[at].0 != key);
        for (name, value) in point.fields() {
            let field = match fields.iter().find(|field| field.1 == name) {
                Some(field) => field.0,
                None => {
                    let id = fields.len() as i64;
                    transaction.execute("INSERT INTO field (id, name) VALUES (?1, ?2)", params![id, name])?;
                    fields.push((id, name.to_string()));
                    id
                }
            };
            let (bucket, time) = (point.time().div_euclid(bucket), point.time().rem_euclid(bucket));
            rows.push(Row { bucket, series: ids[at], field, time, value });
        }
    }
    rows.sort_by_key(|row| (row.bucket, row.series, row.field, row.time));
    let mut insert = transaction.prepare(&format!(
        "INSERT INTO {} (bucket, series, field, time, value) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET value = excluded.value",
        tier.table()
    ))?;
    for Row { bucket, series, field, time, value } in rows {
        match value {
            Value::Int(value) => insert.execute(params![bucket, series, field, time, value])?,
            Value::Float(value) => insert.execute(params![bucket, series, field, time, value])?,
        };
    }
    Ok(())
}

fn field_ids(connection: &Connection) -> rusqlite::Result<Vec<(i64, String)>> {
    connection
        .prepare("SELECT id, name FROM field ORDER BY id")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// How many rows of the table of series are walked over to the next one that is wanted before it is looked up anew.
const WALK: usize = 8;

/// The id of each series of `keys`, which are sorted and differ, in their order; each with the newest bucket that is about
/// to be written. Those that are not there are made.
fn series_ids(transaction: &Transaction, tier: Tier, keys: &[(&str, i64)]) -> rusqlite::Result<Vec<i64>> {
    const MISSING: i64 = -1;
    let newest = tier.newest();
    let mut ids = vec![MISSING; keys.len()];
    let mut newer = Vec::new();
    let mut walk =
        transaction.prepare(&format!("SELECT key, id, {newest} FROM series WHERE key >= ?1 ORDER BY key"))?;
    let mut at = 0;
    // A run writes most of what is there, in its order: so one walk along it, not a search for each.
    while at < keys.len() {
        let mut rows = walk.query([keys[at].0])?;
        let mut passed = 0;
        while at < keys.len() && passed < WALK {
            let Some(row) = rows.next()? else {
                at = keys.len();
                break;
            };
            let key = row.get_ref(0)?.as_str()?;
            at += keys[at..].iter().take_while(|wanted| wanted.0 < key).count();
            match keys.get(at) {
                Some((wanted, bucket)) if *wanted == key => {
                    ids[at] = row.get(1)?;
                    if row.get::<_, Option<i64>>(2)?.is_none_or(|newest| newest < *bucket) {
                        newer.push(at);
                    }
                    (at, passed) = (at + 1, 0);
                }
                _ => passed += 1,
            }
        }
    }
    drop(walk);
    let mut last: i64 = transaction.query_row("SELECT coalesce(max(id), 0) FROM series", [], |row| row.get(0))?;
    let mut add = transaction.prepare(&format!("INSERT INTO series (key, id, {newest}) VALUES (?1, ?2, ?3)"))?;
    for (id, (key, bucket)) in ids.iter_mut().zip(keys).filter(|(id, _)| **id == MISSING) {
        last += 1;
        *id = last;
        add.execute(params![key, last, bucket])?;
    }
    let mut raise = transaction.prepare(&format!("UPDATE series SET {newest} = ?2 WHERE key = ?1"))?;
    for (key, bucket) in newer.into_iter().map(|at| keys[at]) {
        raise.execute(params![key, bucket])?;
    }
    Ok(ids)
}

/// Removes at most `most` of the rows in buckets before `oldest_kept`, the oldest first; says how many went.
fn remove_some(connection: &Connection, tier: Tier, oldest_kept: i64, most: usize) -> rusqlite::Result<usize> {
    let table = tier.table();
    let next = format!(
        "SELECT bucket, series, field, time FROM {table} WHERE bucket < ?1 ORDER BY 1, 2, 3, 4 LIMIT 1 OFFSET ?2"
    );
    let mut next: Statement = connection.prepare(&next)?;
    let mut first_kept = next.query(params![oldest_kept, most])?;
    match first_kept.next()? {
        Some(row) => {
            let key: [i64; 4] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?];
            drop(first_kept);
            connection
                .execute(&format!("DELETE FROM {table} WHERE (bucket, series, field, time) < (?1, ?2, ?3, ?4)"), key)
        }
        None => {
            drop(first_kept);
            connection.execute(&format!("DELETE FROM {table} WHERE bucket < ?1"), [oldest_kept])
        }
    }
}

/// Removes the series that no tier has a row of any more. None as long as any tier has rows that are to go: the pruning
/// was not done, or a late batch came meanwhile, and what the table of series says of the newest is no proof.
fn forget_series(connection: &Connection, oldest_kept: &dyn Fn(Tier) -> Option<i64>) -> rusqlite::Result<()> {
    let gone = |tier: Tier| {
        let (newest, table) = (tier.newest(), tier.table());
        match oldest_kept(tier) {
            Some(oldest_kept) => format!(
                "({newest} IS NULL OR {newest} < {oldest_kept}) AND NOT EXISTS (SELECT 1 FROM {table} WHERE bucket < {oldest_kept})"
            ),
            None => format!("{newest} IS NULL"),
        }
    };
    let gone = Tier::ALL.map(gone).join(" AND ");
    connection.execute(&format!("DELETE FROM series WHERE {gone}"), []).map(drop)
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

/// What to do with a store that cannot be read.
fn way_out(path: &Path) -> String {
    let path = path.display();
    format!(
        "put a copy of it in its place, or move it away and a new one is made: mv {path} {path}.damaged; rm -f {path}-wal {path}-shm"
    )
}

/// An error of SQLite's in words that name the file and the way out.
fn in_words(error: rusqlite::Error, path: &Path) -> anyhow::Error {
    let shown = path.display();
    let extended = error.sqlite_error().map(|error| error.extended_code);
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => anyhow!("{shown} is no SQLite database, or is damaged; {}", way_out(path)),
        // A row that is there twice, a table that is not there: what is written and asked is always the same.
        Some(
            ErrorCode::DatabaseCorrupt
            | ErrorCode::ConstraintViolation
            | ErrorCode::TypeMismatch
            | ErrorCode::TooBig
            | ErrorCode::Unknown,
        ) => anyhow!("{shown} is damaged ({error}); {}", way_out(path)),
        Some(ErrorCode::DiskFull) => anyhow!("{shown}: the disk is full"),
        Some(_) if extended == Some(ffi::SQLITE_IOERR_SHMSIZE) => {
            anyhow!("{shown}-shm cannot be written: the disk is full, or fails")
        }
        Some(_) if extended == Some(ffi::SQLITE_READONLY_DIRECTORY) => {
            anyhow!("{shown} takes files beside it, and its folder cannot be written")
        }
        // A format that SQLite does not know it will not write, though nobody forbids it.
        Some(ErrorCode::ReadOnly)
            if extended == Some(ffi::SQLITE_READONLY) && access(path, Access::WRITE_OK).is_ok() =>
        {
            anyhow!("{shown} is damaged (its header names a format that is not known); {}", way_out(path))
        }
        Some(ErrorCode::ReadOnly) => anyhow!("{shown} cannot be written ({error})"),
        Some(ErrorCode::CannotOpen) => {
            anyhow!(
                "{shown}: unable to open database file; reading too takes room on its disk and the right to write into its folder: run it as the user who runs the programs"
            )
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => anyhow!("{shown} is locked by another process"),
        Some(_) => anyhow!("{shown}: {error}"),
        // Not SQLite's: what it gave is not what a store holds.
        None => anyhow!("{shown} is damaged ({error}); {}", way_out(path)),
    }
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

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};
    use std::thread;

    use super::*;

    /// Two migrations: the first as it is, and one that would be the next, with what each row must be after it.
    const TWO: [&str; 2] = [
        MIGRATIONS[0],
        "ALTER TABLE series ADD COLUMN seen INTEGER; UPDATE series SET seen = 1; UPDATE tier_raw SET value = value + 1;",
    ];

    /// The same, with a work in the middle of the second that nobody lives to see the end of.
    const ENDLESS: [&str; 2] = [
        MIGRATIONS[0],
        "ALTER TABLE series ADD COLUMN seen INTEGER; UPDATE series SET seen = 1; UPDATE tier_raw SET value = value + 1;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n;",
    ];

    const AT: &str = "GRIDMON_TEST_MIGRATION_AT";
    const ROWS: i64 = 20_000;

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    /// A store of schema 1 with some rows, of which each value is its time in seconds.
    fn old(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("gridmon-{name}-{}.db", std::process::id()));
        clear(&path);
        let point = |second| Point::new("m".into(), [], [("v".into(), Value::Int(second))], second * SECOND);
        Store::open(&path, later())
            .unwrap()
            .write(Tier::Raw, &(0..ROWS).map(point).collect::<Vec<_>>(), later())
            .unwrap();
        path
    }

    fn clear(path: &Path) {
        for suffix in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(beside(path, suffix));
        }
    }

    fn connection(path: &Path) -> Connection {
        let connection = Connection::open(path).unwrap();
        connection.busy_timeout(Duration::from_secs(30)).unwrap();
        connection
    }

    /// Schema and sum of the values.
    fn look(path: &Path) -> (i64, i64) {
        let connection = connection(path);
        let check: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(check, "ok");
        let one = |query: &str| connection.query_row(query, [], |row| row.get(0)).unwrap();
        (one("PRAGMA user_version"), one("SELECT sum(value) FROM tier_raw"))
    }

    const BEFORE: i64 = ROWS * (ROWS - 1) / 2;

    /// This test again as a process of its own, which does the one thing that [`AT`] asks for.
    fn process(path: &Path, endless: bool) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sinks::embedded::tests::a_process_that_migrates"])
            .env(AT, format!("{endless} {}", path.display()))
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap()
    }

    #[test]
    fn a_process_that_migrates() {
        let Ok(at) = std::env::var(AT) else { return };
        let (endless, path) = at.split_once(' ').unwrap();
        let mut connection = connection(Path::new(path));
        // What does not fit goes into the log before the end, where it can be seen.
        connection.pragma_update(None, "cache_size", 10).unwrap();
        migrate(&mut connection, if endless == "true" { &ENDLESS } else { &TWO }).unwrap();
    }

    #[test]
    fn a_store_is_brought_to_the_next_schema_once_by_whoever_comes_first() {
        let path = old("next-schema");
        assert_eq!(look(&path), (1, BEFORE));
        // The write lock is held until all are there, so that they meet.
        let gate = connection(&path);
        gate.execute_batch("BEGIN IMMEDIATE").unwrap();
        let mut processes: Vec<_> = (0..3).map(|_| process(&path, false)).collect();
        thread::scope(|scope| {
            let threads: Vec<_> =
                (0..2).map(|_| scope.spawn(|| migrate(&mut connection(&path), &TWO).unwrap())).collect();
            gate.execute_batch("COMMIT").unwrap();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
        assert!(processes.iter_mut().all(|process| process.wait().unwrap().success()));
        // Twice would show in the values.
        assert_eq!(look(&path), (2, BEFORE + ROWS));
        migrate(&mut connection(&path), &TWO).unwrap();
        assert_eq!(look(&path), (2, BEFORE + ROWS));
        // To the version before, this one is newer.
        let error = Store::open(&path, later()).unwrap_err().to_string();
        assert!(
            error.ends_with(
                "has schema 2, which a newer gridmon made; this one knows schemas up to 1: run the newer one again"
            ),
            "{error}"
        );
        clear(&path);
    }

    #[test]
    fn a_migration_that_is_killed_half_way_is_done_by_the_next() {
        let path = old("killed");
        let mut endless = process(&path, true);
        let began = Instant::now();
        while fs::metadata(beside(&path, "-wal")).map_or(0, |log| log.len()) < 200_000 {
            assert!(endless.try_wait().unwrap().is_none() && began.elapsed() < Duration::from_secs(30));
            thread::yield_now();
        }
        endless.kill().unwrap();
        endless.wait().unwrap();
        assert_eq!(look(&path), (1, BEFORE));
        migrate(&mut connection(&path), &TWO).unwrap();
        assert_eq!(look(&path), (2, BEFORE + ROWS));
        clear(&path);
    }
}
