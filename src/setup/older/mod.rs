//! What an older system wrote, for `--compare`: points, or values of Carbon or of files in rrdtool's format.

mod backups;
mod datadisks;
mod files;
mod values;

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};

pub use self::backups::of_backups;
pub use self::datadisks::of_datadisks;
use super::{CATALOG, Config};
use crate::frame::{Common, Older, Program, Run, Setup, Wanted, cron_compare, is_address, is_there};
use crate::model::{Cause, Collected, Point};
use crate::os::http::{self, Url};
use crate::query::{Scan, Selector};
use crate::sinks::influxdb::{self, InfluxReader};
use crate::sources::agents::Refused;
use crate::text::{count, quote};

/// The tags that say whose numbers a program sends: those of others are not compared.
const SCOPES: [&str; 4] = ["grid", "host", "hub", "cluster"];

/// What some editors and systems write before a text in UTF-8.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// What may be in a file, for messages.
const FORMS: &str = "line protocol, Carbon's lines, its pickles, JSON of Graphite's render";

/// A time before this, in nanoseconds, is one in seconds, milliseconds or microseconds.
const EARLIEST: i64 = 10_000_000_000_000_000;

/// Collects as the program does, and prints how its points differ from those of the older system at `source`.
pub fn compare(
    program: &'static Program,
    common: &Common,
    load: impl FnOnce(Option<&Path>, &Program) -> Result<(Config, Setup)>,
    collect: impl FnOnce(&Run<Config>) -> Collected,
    source: &str,
    causes: &[Cause],
) -> ExitCode {
    let older = |config: &Config, wanted: Wanted| older(config, source, wanted);
    cron_compare(program, common, load, collect, older, (source, causes))
}

/// Reads the wanted points of `source`: an InfluxDB or Graphite if it is an address, else a file, or a folder of files in rrdtool's
/// format.
///
/// # Errors
/// Fails if the file cannot be read or is of no known kind, and if a server does not answer.
pub fn older(config: &Config, source: &str, wanted: Wanted) -> Result<Older> {
    is_there(source)?;
    if is_address(source) {
        return of_address(config, source, wanted);
    }
    let path = Path::new(source);
    if path.is_dir() {
        return files::of_folder(path, wanted);
    }
    match kind(path)? {
        Kind::Lines => of_lines(path, wanted),
        Kind::Values(form) => values::of_file(path, form, wanted),
        Kind::RrdFile => bail!("is one file in rrdtool's format; give the folder that has a folder for each instance"),
        Kind::Database => bail!("is an SQLite database, which no program but collect-backups compares with"),
    }
}

/// What a file holds.
enum Kind {
    /// Line protocol.
    Lines,
    /// Values with Carbon paths.
    Values(values::Form),
    RrdFile,
    Database,
}

/// Returns what a file holds, by its first bytes.
fn kind(path: &Path) -> Result<Kind> {
    let mut head = Vec::new();
    File::open(path)?.take(8192).read_to_end(&mut head)?;
    if head.starts_with(b"SQLite format 3\0") {
        return Ok(Kind::Database);
    }
    if head.starts_with(b"RRD\0") {
        return Ok(Kind::RrdFile);
    }
    if let Some(why) = values::unreadable(&head) {
        bail!("{why}; what can be read: {FORMS}");
    }
    Ok(values::Form::of(&head).map_or(Kind::Lines, Kind::Values))
}

/// Reads a file of line protocol. A damaged line costs itself; a file in which no line is one is of no known kind.
fn of_lines(path: &Path, wanted: Wanted) -> Result<Older> {
    let (mut older, mut refused, mut read, mut unlikely) = (Older::default(), Refused::default(), 0, 0);
    for (at, line) in BufReader::new(File::open(path)?).split(b'\n').enumerate() {
        let line = line?;
        let line = if at == 0 { line.strip_prefix(BOM).unwrap_or(&line) } else { &line }.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let number = at + 1;
        let name = line.split(|byte| matches!(byte, b',' | b' ')).next().unwrap_or_default();
        let is_ours = wanted.program.measurements.iter().any(|measurement| measurement.name.as_bytes() == name);
        // An export begins with the database that it is for, and has measurements of others, with texts for fields.
        if !is_ours && (name == b"CREATE" || line.contains(&b'=')) {
            read += 1;
            continue;
        }
        let Some(text) = str::from_utf8(line).ok() else {
            refused.add(|| format!("line {number}: is no UTF-8: {}", quote(&String::from_utf8_lossy(line))));
            continue;
        };
        let mut point = match Point::from_line(text) {
            Ok(point) => point,
            Err(error) => {
                refused.add(|| format!("line {number}: {error:#}"));
                continue;
            }
        };
        read += 1;
        unlikely += usize::from(point.time() < EARLIEST);
        CATALOG.declare(&mut point);
        if wanted.window.contains(point.time()) && !is_of_another(&point, wanted.ours) {
            older.points.push(point);
        } else {
            older.others += 1;
        }
    }
    if read == 0
        && let Some(first) = refused.reasons.first()
    {
        bail!("is none of what can be read ({FORMS}): {first}");
    }
    older.notes = refused.notes();
    older.notes.extend((unlikely > 0).then(|| {
        format!(
            "what is of another time: {} before May 1970; times are nanoseconds, and those may be seconds",
            count(unlikely, "line")
        )
    }));
    Ok(older)
}

/// Whether a point is of a grid, host, hub or cluster of which we have none.
fn is_of_another(point: &Point, ours: &[Point]) -> bool {
    SCOPES.iter().any(|scope| {
        let Some(value) = point.tag(scope) else { return false };
        let mut known = ours.iter().filter_map(|point| point.tag(scope)).peekable();
        known.peek().is_some() && known.all(|known| known != value)
    })
}

/// An address of an older system: what stands before `?`, and the database and retention policy of InfluxDB that it names.
struct Address {
    url: Url,
    database: Option<String>,
    policy: Option<String>,
}

impl Address {
    fn parse(address: &str) -> Result<Self> {
        ensure!(http::AVAILABLE, "this build has no HTTP");
        let mut url = Url::parse(address).context("is not an address")?;
        ensure!(
            url.username().is_empty() && url.password().is_none(),
            "the login belongs into [influxdb] or [graphite] of the config, not into an address"
        );
        let (mut database, mut policy) = (None, None);
        for (name, value) in url.query_pairs() {
            match name.as_ref() {
                "db" if !value.is_empty() => database = Some(value.into_owned()),
                "rp" if !value.is_empty() => policy = Some(value.into_owned()),
                _ => bail!("{} is not db=NAME or rp=POLICY", quote(&format!("{name}={value}"))),
            }
        }
        url.set_query(None);
        Ok(Self { url, database, policy })
    }

    /// Returns the config of the InfluxDB, `None` of a Graphite; with the policy that the address names for all points, or with those
    /// of each tier.
    fn influxdb(&self, config: &Config, is_of_policy: bool) -> Option<influxdb::Config> {
        let policy = self.policy.clone().filter(|_| is_of_policy);
        let database = self.database.clone()?;
        Some(influxdb::Config::elsewhere(config.influxdb.as_ref(), self.url.clone(), database, policy))
    }
}

/// Reads InfluxDB, or graphite-web if the address names no database.
fn of_address(config: &Config, address: &str, wanted: Wanted) -> Result<Older> {
    let address = Address::parse(address)?;
    let Some(config) = address.influxdb(config, true) else {
        ensure!(address.policy.is_none(), "names a retention policy and no database: add &db=NAME");
        return values::of_graphite(config, address.url, wanted)
            .context("is no graphite-web; an InfluxDB needs ?db=NAME behind its address");
    };
    let reader = InfluxReader::new(&config, CATALOG)?.until(wanted.until);
    let mut older = Older::default();
    for measurement in wanted.program.measurements {
        let mut take = |point: Point| {
            match is_of_another(&point, wanted.ours) {
                true => older.others += 1,
                false => older.points.push(point),
            }
            Ok(())
        };
        reader.each(&Selector::measurement(measurement.name), wanted.window, wanted.tier, &mut take)?;
    }
    Ok(older)
}
