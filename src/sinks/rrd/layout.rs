//! The bytes of a file: what rrdtool 1.7 writes on a 64-bit little-endian machine.
//!
//! ```text
//! 0    "RRD\0" "0003\0", zeros to 16, f64 8.642135E130, u64 data sources, archives, step, 80 zeros
//!      for each data source: name[20] type[20] u64 heartbeat, f64 least, most, 56 zeros
//!      for each archive:     fold[20] 4 zeros, u64 rows, steps, f64 share of unknown steps, 72 zeros
//! live i64 time of the last value, microseconds
//!      for each data source: last value as text[30] 2 zeros, u64 unknown seconds, f64 sum, 64 zeros
//!      for each archive and data source: f64 sum, u64 unknown steps, 48 zeros, f64 newest row, row of a gap
//!      for each archive: u64 newest row
//! rows for each archive: rows of f64, one for each data source
//! ```

use std::ops::Range;

use anyhow::{Result, bail, ensure};

/// An unknown value, as rrdtool writes it.
pub const UNKNOWN: f64 = f64::from_bits(0xfff8_0000_0000_0000);

/// The number by which rrdtool finds out how a machine stores numbers.
const COOKIE: f64 = 8.642_135E130;

const HEAD: usize = 128;
const SOURCE: usize = 120;
const ARCHIVE: usize = 120;
const PREPARED: usize = 112;
const CONSOLIDATED: usize = 80;

/// The most data sources and archives of a file that this program reads.
const MOST: u64 = 64;

/// The most bytes before the rows of such a file.
pub const LONGEST_HEAD: u64 = 1 << 20;

/// The length of a last value's text.
const TEXT: usize = 30;

/// What a file holds; it changes by `rrdtool tune` alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// The seconds between two values.
    pub step: u64,
    /// The data sources.
    pub sources: Vec<Source>,
    /// The archives.
    pub archives: Vec<Archive>,
}

/// A data source.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// How its values become rates: `GAUGE`, `COUNTER`.
    pub kind: String,
    /// The most seconds between two values without an unknown time.
    pub heartbeat: u64,
    /// The smallest value; NaN for no limit.
    pub least: f64,
    /// The largest value; NaN for no limit.
    pub most: f64,
}

/// An archive: rows of values that were folded over some steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Archive {
    /// How values become one.
    pub fold: Cf,
    /// The number of its rows.
    pub rows: u64,
    /// The steps of a row.
    pub steps: u64,
    /// The share of a row's steps that may be unknown.
    pub unknown_share: f64,
}

/// How the values of an archive's row become one: a consolidation function of rrdtool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cf {
    /// Their mean.
    Average,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// The newest.
    Last,
}

impl Cf {
    /// Returns rrdtool's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Average => "AVERAGE",
            Self::Min => "MIN",
            Self::Max => "MAX",
            Self::Last => "LAST",
        }
    }

    fn read(name: &str) -> Option<Self> {
        [Self::Average, Self::Min, Self::Max, Self::Last].into_iter().find(|cf| cf.name() == name)
    }
}

/// What an update changes, beside the rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    /// The time of the last value, in unix seconds.
    pub last: i64,
    /// Its microseconds.
    pub micros: i64,
    /// The step under way, for each data source.
    pub prepared: Vec<Prepared>,
    /// The row under way, for each archive and data source.
    pub consolidated: Vec<Consolidated>,
    /// The newest row of each archive.
    pub current: Vec<u64>,
}

/// The step under way of a data source.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// The last value, as it was given.
    pub text: String,
    /// How many of its seconds are unknown.
    pub unknown_seconds: u64,
    /// The sum of value and seconds.
    pub value: f64,
}

/// The row under way of a data source in an archive.
#[derive(Clone, Debug, PartialEq)]
pub struct Consolidated {
    /// What its steps were folded into.
    pub value: f64,
    /// How many of its steps are unknown.
    pub unknown: u64,
    /// The newest row.
    pub primary: f64,
    /// The rows that one value filled beside the newest.
    pub secondary: f64,
}

impl Definition {
    /// Returns the length of the part before the rows.
    pub fn head(&self) -> usize {
        let (sources, archives) = (self.sources.len(), self.archives.len());
        self.live() + 16 + sources * PREPARED + archives * sources * CONSOLIDATED + archives * 8
    }

    /// Returns where the live part begins.
    pub fn live(&self) -> usize {
        HEAD + self.sources.len() * SOURCE + self.archives.len() * ARCHIVE
    }

    /// Returns the length of the whole file.
    pub fn length(&self) -> u64 {
        let rows: u64 = self.archives.iter().map(|archive| archive.rows).sum();
        self.head() as u64 + rows * self.row_bytes()
    }

    /// Returns the length of a row.
    pub fn row_bytes(&self) -> u64 {
        self.sources.len() as u64 * 8
    }

    /// Returns where the rows of an archive begin.
    pub fn rows_of(&self, archive: usize) -> u64 {
        let rows: u64 = self.archives[..archive].iter().map(|archive| archive.rows).sum();
        self.head() as u64 + rows * self.row_bytes()
    }

    /// Returns the part before the rows of a new file.
    pub fn encode(&self, live: &Live) -> Vec<u8> {
        let mut bytes = vec![0; self.head()];
        put(&mut bytes, 0, b"RRD\x000003");
        for (at, value) in
            [(16, COOKIE.to_bits()), (24, self.sources.len() as u64), (32, self.archives.len() as u64), (40, self.step)]
        {
            put(&mut bytes, at, &value.to_le_bytes());
        }
        for (at, source) in self.sources.iter().enumerate() {
            let at = HEAD + at * SOURCE;
            put(&mut bytes, at, source.name.as_bytes());
            put(&mut bytes, at + 20, source.kind.as_bytes());
            put(&mut bytes, at + 40, &source.heartbeat.to_le_bytes());
            put(&mut bytes, at + 48, &source.least.to_le_bytes());
            put(&mut bytes, at + 56, &source.most.to_le_bytes());
        }
        for (at, archive) in self.archives.iter().enumerate() {
            let at = HEAD + self.sources.len() * SOURCE + at * ARCHIVE;
            put(&mut bytes, at, archive.fold.name().as_bytes());
            put(&mut bytes, at + 24, &archive.rows.to_le_bytes());
            put(&mut bytes, at + 32, &archive.steps.to_le_bytes());
            put(&mut bytes, at + 40, &archive.unknown_share.to_le_bytes());
        }
        self.encode_live(live, &mut bytes);
        bytes
    }

    /// Writes the live part into the bytes before the rows; leaves what this program does not know as it is.
    pub fn encode_live(&self, live: &Live, bytes: &mut [u8]) {
        let mut at = self.live();
        let mut next = |length: usize| {
            at += length;
            at - length
        };
        let head = next(16);
        put(bytes, head, &live.last.to_le_bytes());
        put(bytes, head + 8, &live.micros.to_le_bytes());
        for prepared in &live.prepared {
            let at = next(PREPARED);
            let text = prepared.text.as_bytes();
            bytes[at..at + TEXT].fill(0);
            // The last byte ends the text.
            put(bytes, at, &text[..text.len().min(TEXT - 1)]);
            put(bytes, at + 32, &prepared.unknown_seconds.to_le_bytes());
            put(bytes, at + 40, &prepared.value.to_le_bytes());
        }
        for consolidated in &live.consolidated {
            let at = next(CONSOLIDATED);
            put(bytes, at, &consolidated.value.to_le_bytes());
            put(bytes, at + 8, &consolidated.unknown.to_le_bytes());
            put(bytes, at + 64, &consolidated.primary.to_le_bytes());
            put(bytes, at + 72, &consolidated.secondary.to_le_bytes());
        }
        for row in &live.current {
            let at = next(8);
            put(bytes, at, &row.to_le_bytes());
        }
    }

    /// Reads how long the part before the rows is, from the first 128 bytes or more.
    ///
    /// # Errors
    /// Fails if they are not the beginning of a file that rrdtool wrote on a machine like this one.
    pub fn head_length(bytes: &[u8]) -> Result<usize> {
        ensure!(bytes.len() >= HEAD, "is damaged (it ends after {} bytes)", bytes.len());
        ensure!(bytes.starts_with(b"RRD\0"), "is not an RRD file");
        let version = text(bytes, 4..12);
        let way = "`rrdtool dump` there and `rrdtool restore` here make it readable";
        ensure!(f64::from_bits(number(bytes, 12)) != COOKIE, "is of a 32-bit machine; {way}");
        let cookie: [u8; 8] = array(bytes, 16);
        ensure!(f64::from_be_bytes(cookie) != COOKIE, "is of a big-endian machine; {way}");
        ensure!(f64::from_le_bytes(cookie) == COOKIE, "is of a machine that stores numbers in another way; {way}");
        ensure!(
            version == "0003",
            "has version {version:?} of rrdtool's format, and this program writes 0003 alone; {way}"
        );
        let (sources, archives) = (number(bytes, 24), number(bytes, 32));
        for (count, what) in [(sources, "data sources"), (archives, "archives")] {
            ensure!((1..=MOST).contains(&count), "has {count} {what}; this program reads 1 to {MOST}");
        }
        let (sources, archives) = (sources as usize, archives as usize);
        Ok(HEAD + sources * (SOURCE + PREPARED) + archives * (ARCHIVE + 8) + 16 + sources * archives * CONSOLIDATED)
    }

    /// Reads the part before the rows of a file of `length` bytes.
    ///
    /// # Errors
    /// Fails if it is not what this program could go on with.
    pub fn read(bytes: &[u8], length: u64) -> Result<(Self, Live)> {
        let head = Self::head_length(bytes)?;
        ensure!(bytes.len() >= head, "is damaged (it ends before its first row)");
        let (sources, archives) = (number(bytes, 24) as usize, number(bytes, 32) as usize);
        let step = number(bytes, 40);
        ensure!((1..=MOST_SECONDS).contains(&step), "is damaged (its step is {step} s)");
        let sources: Vec<_> = (0..sources).map(|at| source(bytes, HEAD + at * SOURCE)).collect();
        let first = HEAD + sources.len() * SOURCE;
        let archives: Vec<_> = (0..archives).map(|at| archive(bytes, first + at * ARCHIVE)).collect::<Result<_>>()?;
        let definition = Self { step, sources, archives };
        let most = definition.archives.iter().map(|archive| archive.steps).max().unwrap_or(1);
        ensure!(most.saturating_mul(step) <= MOST_SECONDS, "is damaged (a row has {most} steps of {step} s)");
        let expected = definition.length();
        ensure!(length == expected, "is damaged (it has {length} bytes instead of {expected})");
        let live = definition.read_live(bytes)?;
        Ok((definition, live))
    }

    fn read_live(&self, bytes: &[u8]) -> Result<Live> {
        let mut at = self.live();
        let mut next = |length: usize| {
            at += length;
            at - length
        };
        let head = next(16);
        let (last, micros) = (number(bytes, head) as i64, number(bytes, head + 8) as i64);
        ensure!((0..=LATEST).contains(&last), "is damaged (its last value is of {last})");
        ensure!((0..1_000_000).contains(&micros), "is damaged (its last value is of {last} and {micros} µs)");
        let prepared = (0..self.sources.len()).map(|_| {
            let at = next(PREPARED);
            let (unknown_seconds, value) = (number(bytes, at + 32), float(bytes, at + 40));
            Prepared { text: text(bytes, at..at + TEXT), unknown_seconds, value }
        });
        let prepared = prepared.collect();
        let consolidated = (0..self.sources.len() * self.archives.len()).map(|_| {
            let at = next(CONSOLIDATED);
            let (value, unknown) = (float(bytes, at), number(bytes, at + 8));
            Consolidated { value, unknown, primary: float(bytes, at + 64), secondary: float(bytes, at + 72) }
        });
        let consolidated = consolidated.collect();
        let current: Vec<_> = (0..self.archives.len()).map(|_| number(bytes, next(8))).collect();
        for (row, archive) in current.iter().zip(&self.archives) {
            ensure!(*row < archive.rows, "is damaged (row {row} of {})", archive.rows);
        }
        Ok(Live { last, micros, prepared, consolidated, current })
    }
}

/// The longest row, and the longest step, in seconds: ten years.
const MOST_SECONDS: u64 = 10 * 366 * 86_400;

/// The most rows of an archive.
const MOST_ROWS: u64 = 10_000_000;

/// The latest time of a value: of the year 9999.
const LATEST: i64 = 253_402_300_799;

fn source(bytes: &[u8], at: usize) -> Source {
    Source {
        name: text(bytes, at..at + 20),
        kind: text(bytes, at + 20..at + 40),
        heartbeat: number(bytes, at + 40),
        least: float(bytes, at + 48),
        most: float(bytes, at + 56),
    }
}

fn archive(bytes: &[u8], at: usize) -> Result<Archive> {
    let name = text(bytes, at..at + 20);
    let (rows, steps) = (number(bytes, at + 24), number(bytes, at + 32));
    let Some(fold) = Cf::read(&name) else { bail!("has an archive {name:?}, which this program cannot continue") };
    ensure!((1..=MOST_ROWS).contains(&rows), "is damaged (an archive of {rows} rows)");
    ensure!((1..=MOST_SECONDS).contains(&steps), "is damaged (a row of {steps} steps)");
    Ok(Archive { fold, rows, steps, unknown_share: float(bytes, at + 40) })
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn array(bytes: &[u8], at: usize) -> [u8; 8] {
    let mut array = [0; 8];
    array.copy_from_slice(&bytes[at..at + 8]);
    array
}

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

fn float(bytes: &[u8], at: usize) -> f64 {
    f64::from_bits(number(bytes, at))
}

/// Returns a text that ends with a zero byte.
fn text(bytes: &[u8], range: Range<usize>) -> String {
    let bytes = bytes[range].split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(bytes).into_owned()
}
