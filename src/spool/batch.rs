//! Encodes a batch as the bytes of its file, and decodes it.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Read;

use anyhow::{Context, Result, anyhow, ensure};
use serde::{Deserialize, Serialize};

use crate::model::Point;

/// The points of one run and the header needed to deliver them later.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Its header.
    pub header: Header,
    /// Its points, valid and sorted.
    pub points: Vec<Point>,
}

/// The header of a batch: origin, time and destination of its points.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The program that collected it.
    pub program: String,
    /// The grid that the program watched.
    pub grid: String,
    /// The time slot, in unix seconds.
    pub time: i64,
    /// The retention tier of the points: `raw`, `1h` or `1d`.
    pub tier: String,
    /// The database for sinks that have several; empty for the one in the config.
    pub database: String,
    /// The sinks that must acknowledge the batch.
    pub sinks: BTreeSet<String>,
}

/// The header as stored in the file.
#[derive(Serialize, Deserialize)]
struct FileHeader {
    #[serde(flatten)]
    header: Header,
    points: usize,
    encoding: Encoding,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    Plain,
    Zstd,
}

/// The version of the file format.
const VERSION: u32 = 1;

/// The first word of every file.
const MAGIC: &str = "gridmon-batch";

/// Minimum size of a body that is compressed, in bytes.
const COMPRESSED_FROM: usize = 64 * 1024;

/// Maximum size of a body that is read, in bytes, both compressed and uncompressed.
pub(super) const MAX_BODY: u64 = 512 << 20;

impl Batch {
    /// Encodes the batch as the bytes of its file.
    ///
    /// # Errors
    /// Fails if the body is larger than [`Batch::decode`] accepts, 512 MiB.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let mut body = String::new();
        for point in &self.points {
            point.write_line(&mut body);
            body.push('\n');
        }
        ensure!(body.len() as u64 <= MAX_BODY, "{} bytes are too many for one batch", body.len());
        let (encoding, body) = if body.len() < COMPRESSED_FROM {
            (Encoding::Plain, body.into_bytes())
        } else {
            (Encoding::Zstd, zstd::bulk::compress(body.as_bytes(), 1).context("zstd")?)
        };
        let header = FileHeader { header: self.header.clone(), points: self.points.len(), encoding };
        let mut rest = serde_json::to_vec(&header).context("header")?;
        rest.push(b'\n');
        rest.extend_from_slice(&body);
        let mut bytes = format!("{MAGIC} {VERSION} {:08x} ", crc32fast::hash(&rest)).into_bytes();
        bytes.extend_from_slice(&rest);
        Ok(bytes)
    }

    /// Decodes the bytes of a file.
    ///
    /// # Errors
    /// Returns [`Unreadable`] if they are torn, foreign or of a newer version.
    pub fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let bad = |error: anyhow::Error| Unreadable::Bad(format!("{error:#}"));
        let mut parts = bytes.splitn(4, |byte| *byte == b' ');
        let mut word = || parts.next().and_then(|word| std::str::from_utf8(word).ok());
        if word() != Some(MAGIC) {
            return Err(bad(anyhow!("it does not begin as a batch")));
        }
        let version: u32 =
            word().and_then(|word| word.parse().ok()).ok_or_else(|| bad(anyhow!("it has no version")))?;
        if version > VERSION {
            return Err(Unreadable::Newer(version));
        }
        let sum = word().and_then(|word| u32::from_str_radix(word, 16).ok());
        let rest = parts.next().ok_or_else(|| bad(anyhow!("it ends in its first line")))?;
        if sum != Some(crc32fast::hash(rest)) {
            return Err(bad(anyhow!("its checksum is wrong: it is torn or was changed")));
        }
        Self::read(rest).map_err(bad)
    }

    /// Returns the header of a file's bytes, which need not be whole otherwise.
    pub(super) fn header(bytes: &[u8]) -> Option<Header> {
        let line = bytes.split(|byte| *byte == b'\n').next()?;
        let json = line.splitn(4, |byte| *byte == b' ').nth(3)?;
        serde_json::from_slice(json).ok()
    }

    fn read(rest: &[u8]) -> Result<Self> {
        let end = rest.iter().position(|byte| *byte == b'\n').context("it has no body")?;
        let header: FileHeader = serde_json::from_slice(&rest[..end]).context("its header")?;
        let body = &rest[end + 1..];
        let mut text = String::new();
        match header.encoding {
            Encoding::Plain => text = String::from_utf8(body.to_vec()).context("its body")?,
            Encoding::Zstd => {
                let decoder = zstd::stream::read::Decoder::new(body).context("its body")?;
                decoder.take(MAX_BODY + 1).read_to_string(&mut text).context("its body")?;
            }
        }
        ensure!(text.len() as u64 <= MAX_BODY, "its body is over {MAX_BODY} bytes");
        let points: Vec<_> = text.lines().map(Point::from_line).collect::<Result<_>>()?;
        ensure!(points.len() == header.points, "it has {} points and says {}", points.len(), header.points);
        Ok(Self { header: header.header, points })
    }
}

/// Why a file cannot be read as a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// A newer gridmon wrote it, in this format version, and can send it. The file waits.
    Newer(u32),
    /// It is torn, foreign or was changed, for this reason. The file is quarantined.
    Bad(String),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newer(version) => {
                write!(out, "it has format version {version}, which a newer gridmon wrote and can send")
            }
            Self::Bad(why) => out.write_str(why),
        }
    }
}
