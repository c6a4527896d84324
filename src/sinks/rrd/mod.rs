//! Files in rrdtool's own format, written by this program as rrdtool 1.7 writes them on a 64-bit little-endian machine, and
//! readable, tunable and continuable by it. A measurement declares its files (`Measurement::in_rrd`); each series has a
//! folder.
//!
//! ```text
//! DIRECTORY/8d1d0b5e-6e0e-4f5e-9f0e-0a8d4b2c1f00/cpu.rrd net.rrd disk.rrd
//! ```
//!
//! - A file takes no value that is not later than its last one: such a value is acknowledged, since it was written before.
//!   Unless the last one is of a time to come, by a clock that was wrong: then the value is refused, and the file is named.
//! - One file holds up no others: what fails with some files while others take theirs is tried three times, then put aside.
//! - Files of older programs are continued if they hold the declared data sources as gauges; what counts otherwise is
//!   refused with the `rrdtool tune` that mends it.
//! - As with rrdtool, no file is synced after an update: a power failure may cost the last half minute.

pub mod config;
mod file;
mod graph;
mod layout;
#[cfg(test)]
mod tests;
mod update;

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use rustix::fs::{Access, access};

pub use self::config::Config;
pub use self::file::Rrd;
use self::file::{Unfit, create};
use self::layout::{Archive, Cf, Definition, Source};
use super::{NeverTaken, Sent, Sink};
use crate::model::{
    Catalog, Point, RRD_FOLDS, RRD_HEARTBEAT, RRD_ROWS, RRD_STEP, RrdFile, RrdSource, SECOND, is_ahead, utc,
};
use crate::os::files::{self, create_dir};
use crate::spool::Batch;
use crate::text::{count, quote};

/// How long an update waits for another program's lock.
const LOCK: Duration = Duration::from_secs(1);

/// The files of a directory, as a sink.
#[derive(Debug)]
pub struct RrdFiles {
    /// `[rrd]`.
    pub config: Config,
    /// The measurements, whose declared files it keeps.
    pub catalog: Catalog,
    /// The real time, in unix seconds.
    pub now: i64,
    /// Whether a run makes the directory: it lies in the state directory. Another one may be missing because its disk is not
    /// mounted, and what was written then would be hidden below the disk.
    pub is_made: bool,
}

/// Why a point is not in its files.
enum Failure {
    /// It never will be.
    Refused(String),
    /// It may be at the next attempt.
    Failed(anyhow::Error),
}

impl Sink for RrdFiles {
    fn name(&self) -> &str {
        "rrd"
    }

    fn is_in_order(&self) -> bool {
        true
    }

    fn send(&self, batch: &Batch, deadline: Instant) -> Sent {
        let mut sent = Sent { dropped: Vec::new(), refused: Vec::new(), result: self.ensure_there() };
        if sent.result.is_err() {
            return sent;
        }
        let mut points: Vec<_> = batch.points.iter().filter(|point| !files_of(point).is_empty()).collect();
        // A file takes values in the order of time.
        points.sort_by_key(|point| point.time());
        let (mut failed, mut first) = (0, None);
        for (at, point) in points.iter().enumerate() {
            if Instant::now() >= deadline {
                sent.result = Err(anyhow!("{} of {} points were written in time", at - failed, points.len()));
                return sent;
            }
            match self.write(point, deadline) {
                Ok(()) => {}
                Err(Failure::Refused(why)) => sent.refused.push(((*point).clone(), why)),
                Err(Failure::Failed(error)) => {
                    failed += 1;
                    first.get_or_insert(error);
                }
            }
        }
        if let Some(error) = first {
            let more = if failed > 1 { format!("; and {} more", count(failed - 1, "point")) } else { String::new() };
            let said = format!("{error:#}{more}");
            // Where others took theirs, it is these files' fault, and not that of the directory.
            let is_some = failed + sent.refused.len() < points.len();
            sent.result = Err(if is_some { Error::new(NeverTaken(said)) } else { anyhow!(said) });
        }
        sent
    }

    fn check(&self, _: Instant) -> Result<String> {
        let shown = self.config.directory.display();
        self.ensure_there()?;
        let Some(there) = self.look()? else {
            return Ok(format!("{shown} does not exist yet; the first run makes it"));
        };
        ensure!(
            access(&self.config.directory, Access::WRITE_OK | Access::EXEC_OK).is_ok(),
            "{shown}: this user may not write there"
        );
        let Looked { good, bad } = there;
        match bad.first() {
            None => Ok(format!("{shown} has {}", count(good, "file"))),
            Some(first) => {
                let more =
                    if bad.len() > 1 { format!("; and {} more", count(bad.len() - 1, "file")) } else { String::new() };
                let are = if good == 1 { "is" } else { "are" };
                bail!("{first}{more}; {} of {shown} {are} in order", count(good, "other file"))
            }
        }
    }

    fn setup(&self, _: Instant) -> Result<String> {
        let shown = self.config.directory.display();
        create_dir(&self.config.directory).with_context(|| shown.to_string())?;
        Ok(format!("{shown} is there"))
    }

    /// Removes the files whose last value, and whose last change, are longer ago than `keep_days`, and the folders that
    /// are empty then.
    fn prune(&self, now: i64, deadline: Instant) -> Result<()> {
        let Some(days) = self.config.keep_days else { return Ok(()) };
        let oldest = now.saturating_sub(i64::try_from(days).unwrap_or(i64::MAX).saturating_mul(86_400));
        for folder in self.folders()? {
            if Instant::now() >= deadline {
                return Ok(());
            }
            let mut has_gone = false;
            for declared in self.declared() {
                let path = folder.join(format!("{}.rrd", declared.name));
                let Ok(there) = path.symlink_metadata() else { continue };
                if there.mtime() >= oldest {
                    continue;
                }
                // What is no file of ours is not ours to remove.
                let Ok(Some(rrd)) = Rrd::open(&path, Instant::now()) else { continue };
                if rrd.live.last < oldest {
                    fs::remove_file(&path).with_context(|| path.display().to_string())?;
                    has_gone = true;
                }
            }
            if has_gone {
                files::sweep(&folder);
                // It stays if something else lies in it.
                let _ = fs::remove_dir(&folder);
            }
        }
        Ok(())
    }
}

/// What `--check` finds: the number of files that are in order, and a line for each other one.
#[derive(Default)]
struct Looked {
    good: usize,
    bad: Vec<String>,
}

impl RrdFiles {
    /// Fails if the directory is missing and is not to be made.
    fn ensure_there(&self) -> Result<()> {
        let directory = &self.config.directory;
        ensure!(
            self.is_made || directory.try_exists()?,
            "{} does not exist: mount its disk; if it is new, make it with --setup",
            directory.display()
        );
        Ok(())
    }

    /// Writes a point into its files.
    fn write(&self, point: &Point, deadline: Instant) -> Result<(), Failure> {
        let mut failure = None;
        for declared in files_of(point) {
            let Some(values) = values(declared, point) else { continue };
            let name = point.tag(declared.folder).unwrap_or_default();
            if !is_folder(name) {
                return Err(Failure::Refused(format!(
                    "{} {} cannot be the name of a folder",
                    declared.folder,
                    quote(name)
                )));
            }
            let path = self.path(name, declared);
            if let Err(error) = self.write_file(&path, declared, point.time() / SECOND, &values, deadline) {
                // The other files take their values all the same.
                failure = failure.or(Some(explained(error, &path)));
            }
        }
        failure.map_or(Ok(()), Err)
    }

    fn write_file(
        &self,
        path: &Path,
        declared: &RrdFile,
        time: i64,
        values: &[Option<f64>],
        deadline: Instant,
    ) -> Result<()> {
        let until = deadline.min(Instant::now() + LOCK);
        let mut rrd = match Rrd::open(path, until)? {
            Some(rrd) => rrd,
            None => {
                if let Some(folder) = path.parent() {
                    create_dir(folder)?;
                }
                // The first value holds for a whole step.
                create(path, &definition(declared), time - RRD_STEP)?;
                Rrd::open(path, until)?.context("vanished as soon as it was made")?
            }
        };
        if let Some(fault) = fault(&rrd.definition, declared, path) {
            return Err(Unfit(fault).into());
        }
        if time <= rrd.live.last
            && let Some(fault) = self.ahead(&rrd)
        {
            // Waiting would not help: by then the value is older than the file's last one.
            return Err(Unfit(fault).into());
        }
        rrd.update(time, values)
    }

    /// Says that a file takes nothing for now: its last value claims to be of a time that is still to come.
    fn ahead(&self, rrd: &Rrd) -> Option<String> {
        is_ahead(rrd.live.last, self.now).then(|| {
            let last = utc(rrd.live.last);
            format!(
                "its last value is of {last}, which is still to come, so it takes no other until then: move it away, and a \
                 new one is made"
            )
        })
    }

    /// Returns the path of a file of a series.
    fn path(&self, series: &str, declared: &RrdFile) -> PathBuf {
        self.config.directory.join(series).join(format!("{}.rrd", declared.name))
    }

    /// Returns the declared files of all measurements.
    pub fn declared(&self) -> impl Iterator<Item = &'static RrdFile> {
        self.catalog.measurements().flat_map(|measurement| measurement.rrd)
    }

    /// Returns the folders of series, sorted.
    fn folders(&self) -> Result<Vec<PathBuf>> {
        let shown = || self.config.directory.display().to_string();
        let entries = match fs::read_dir(&self.config.directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.with_context(shown)?,
        };
        let folders = entries.flatten().filter(|entry| {
            entry.file_type().is_ok_and(|kind| kind.is_dir()) && entry.file_name().to_str().is_some_and(is_folder)
        });
        let mut folders: Vec<_> = folders.map(|entry| entry.path()).collect();
        folders.sort();
        Ok(folders)
    }

    /// Looks at every file; returns `None` if the directory does not exist.
    fn look(&self) -> Result<Option<Looked>> {
        if !self.config.directory.try_exists()? {
            return Ok(None);
        }
        let mut looked = Looked::default();
        for folder in self.folders()? {
            for declared in self.declared() {
                let path = folder.join(format!("{}.rrd", declared.name));
                let fault = match Rrd::open_to_read(&path) {
                    Ok(None) => continue,
                    Ok(Some(rrd)) => fault(&rrd.definition, declared, &path).or_else(|| self.ahead(&rrd)),
                    Err(error) => Some(format!("{error:#}")),
                };
                match fault {
                    None => looked.good += 1,
                    Some(fault) => looked.bad.push(format!("{} {fault}", path.display())),
                }
            }
        }
        Ok(Some(looked))
    }
}

/// Tells an error that may be over at the next attempt from a file that never takes the value.
fn explained(error: anyhow::Error, path: &Path) -> Failure {
    let shown = path.display();
    if error.is::<Unfit>() || error.downcast_ref().is_some_and(files::is_foreign) {
        Failure::Refused(format!("{shown} {error:#}"))
    } else {
        Failure::Failed(anyhow!("{shown}: {error:#}"))
    }
}

/// Returns the declared files of a point.
fn files_of(point: &Point) -> &'static [RrdFile] {
    point.declaration().map_or(&[], |declaration| declaration.rrd)
}

/// Returns the values of a file's data sources; `None` if the point has none of them.
fn values(declared: &RrdFile, point: &Point) -> Option<Vec<Option<f64>>> {
    let fields: BTreeMap<_, _> = point.fields().collect();
    let value = |source: &RrdSource| fields.get(source.field).map(|value| value.as_f64() * source.factor);
    let values: Vec<_> = declared.sources.iter().map(value).collect();
    values.iter().any(Option::is_some).then_some(values)
}

/// Whether a text can be the name of a folder: nothing that leads elsewhere, or that is hidden.
fn is_folder(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !name.is_empty() && name.len() <= 100 && !name.starts_with('.') && name.bytes().all(is_plain)
}

/// Returns what a new file holds.
fn definition(declared: &RrdFile) -> Definition {
    let source = |source: &RrdSource| Source {
        name: source.name.into(),
        kind: GAUGE.into(),
        heartbeat: RRD_HEARTBEAT,
        least: 0.0,
        most: source.most.unwrap_or(layout::UNKNOWN),
    };
    let archive = |fold| move |steps: &u64| Archive { fold, rows: RRD_ROWS, steps: *steps, unknown_share: 0.5 };
    let archives = RRD_FOLDS.iter().map(archive(Cf::Average)).chain(RRD_FOLDS.iter().map(archive(Cf::Max)));
    Definition {
        step: RRD_STEP.unsigned_abs(),
        sources: declared.sources.iter().map(source).collect(),
        archives: archives.collect(),
    }
}

/// rrdtool's name for values that are rates already.
const GAUGE: &str = "GAUGE";

/// Returns why a file cannot take what is declared, with the command that mends it.
fn fault(found: &Definition, declared: &RrdFile, path: &Path) -> Option<String> {
    let names: Vec<_> = found.sources.iter().map(|source| source.name.as_str()).collect();
    let wanted: Vec<_> = declared.sources.iter().map(|source| source.name).collect();
    if names != wanted {
        let [names, wanted] = [names, wanted].map(|names| names.join(", "));
        return Some(format!("holds {names} instead of {wanted}: move it away, and a new one is made"));
    }
    let (mut wrong, mut tune) = (Vec::new(), String::new());
    for (source, declared) in found.sources.iter().zip(declared.sources) {
        let name = &source.name;
        if source.kind != GAUGE {
            wrong.push(format!("{name} is a {}", source.kind));
            tune.push_str(&format!(" -d {name}:GAUGE"));
        }
        if source.most < declared.most.unwrap_or(f64::INFINITY) {
            wrong.push(format!("{name} ends at {}", source.most));
            let most = declared.most.map_or("U".into(), |most| most.to_string());
            tune.push_str(&format!(" -a {name}:{most}"));
        }
        if source.least > 0.0 {
            wrong.push(format!("{name} begins at {}", source.least));
            tune.push_str(&format!(" -i {name}:0"));
        }
    }
    let path = path.display();
    (!wrong.is_empty())
        .then(|| format!("counts in another way ({}); its data stay with: rrdtool tune {path}{tune}", wrong.join(", ")))
}
