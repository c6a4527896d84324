//! One batch as the bytes of its file.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Read;

use anyhow::{Context, Result, anyhow, ensure};
use serde::{Deserialize, Serialize};

use crate::model::Point;

/// The points of one run with what it takes to deliver them later.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// What it is about.
    pub header: Header,
    /// Its points, sound and sorted.
    pub points: Vec<Point>,
}

/// What a batch is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The program that collected it.
    pub program: String,
    /// The grid it collected.
    pub grid: String,
    /// The slot, in unix seconds.
    pub time: i64,
    /// The retention tier the points belong to: `raw`, `1h`, `1d`.
    pub tier: String,
    /// The database they go to, where a sink has several; empty for the config's own.
    pub database: String,
    /// The sinks that owe an acknowledgement when it is published.
    pub sinks: BTreeSet<String>,
}

/// The header as the file has it.
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

/// The format of the files.
const VERSION: u32 = 1;

/// What a file begins with.
const MAGIC: &str = "gridmon-batch";

/// Bodies from this size on are compressed, in bytes.
const LARGE: usize = 64 * 1024;

/// The largest body that is believed, in bytes, before and after it is uncompressed.
pub(super) const LARGEST: u64 = 512 << 20;

impl Batch {
    /// The batch as the bytes of its file.
    ///
    /// # Errors
    /// When it is larger than what would be read again.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let mut body = String::new();
        for point in &self.points {
            point.write_line(&mut body);
            body.push('\n');
        }
        ensure!(body.len() as u64 <= LARGEST, "{} bytes are too many for one batch", body.len());
        let (encoding, body) = if body.len() < LARGE {
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

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// [`Unreadable`] when they are torn, foreign or of a newer version.
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

    fn read(rest: &[u8]) -> Result<Self> {
        let end = rest.iter().position(|byte| *byte == b'\n').context("it has no body")?;
        let header: FileHeader = serde_json::from_slice(&rest[..end]).context("its header")?;
        let body = &rest[end + 1..];
        let mut text = String::new();
        match header.encoding {
            Encoding::Plain => text = String::from_utf8(body.to_vec()).context("its body")?,
            Encoding::Zstd => {
                let decoder = zstd::stream::read::Decoder::new(body).context("its body")?;
                decoder.take(LARGEST + 1).read_to_string(&mut text).context("its body")?;
            }
        }
        ensure!(text.len() as u64 <= LARGEST, "its body is over {LARGEST} bytes");
        let points: Vec<_> = text.lines().map(Point::from_line).collect::<Result<_>>()?;
        ensure!(points.len() == header.points, "it has {} points and says {}", points.len(), header.points);
        Ok(Self { header: header.header, points })
    }
}

/// Why a file is no batch that can be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Written by a newer version, which can send it: it waits.
    Newer(u32),
    /// Torn, foreign or changed: it goes aside.
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
