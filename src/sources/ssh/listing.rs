//! Reads what the [script](super::script) prints, piece by piece as it arrives.

use anyhow::{Context, Error, Result, bail, ensure};

use crate::text::{quote, size};

/// A file or folder of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Whether it is a folder; else it is a file, or a link to one.
    pub is_folder: bool,
    /// Its size, in bytes.
    pub bytes: u64,
    /// When it was last written, in unix seconds by the clock of who wrote it.
    pub mtime: i64,
    /// Its path below the root; empty for the root itself. Bytes, as the node has them.
    pub path: &'a [u8],
}

/// What a record says of a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen<'a> {
    /// A file or folder.
    Entry(Entry<'a>),
    /// The first line of a small file `NAME.dna`, by the path of that file.
    Seal(&'a [u8], &'a [u8]),
    /// A small file `NAME.dna` that cannot be read, by its path.
    ClosedSeal(&'a [u8]),
    /// A link to a folder outside the root, which is not followed, by its path.
    Linked(&'a [u8]),
    /// A folder that the login may not read, with everything below it; empty for the root.
    Closed(&'a [u8]),
    /// The root is not there.
    Missing,
    /// The login does not have this variable, which the root's path names.
    NoVariable(&'a [u8]),
    /// The listing of the root ended with this code of find: something could not be read.
    Failed(i32),
    /// The bytes of the root's disk, and how many of them are free to the login.
    Disk(u64, u64),
}

/// How a node can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Gnu,
    /// BusyBox or BSD: find starts stat.
    Stat,
    /// Neither GNU find nor a stat.
    None,
}

/// Where in the output the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before BEGIN: what a profile prints.
    Noise,
    Records(Kind),
    Ended,
}

/// The most bytes before BEGIN: beyond, it is no listing.
const MOST_NOISE: usize = 1 << 20;

/// The longest record, in bytes: no path is longer than 4096.
const LONGEST: usize = 64 << 10;

/// How many bytes a record has at most, on average: what counts in memory are many names, or long ones.
const AVERAGE: usize = 256;

/// The times of files, in unix seconds from 1970 in both directions: beyond, no calendar goes, and the year is 9999.
const MOST_SECONDS: i64 = 253_402_207_200;

/// A listing that is being read.
#[derive(Debug)]
pub struct Listing {
    nonce: String,
    /// The most records, and how many there were.
    most: usize,
    records: usize,
    /// The bytes of all pieces.
    bytes: usize,
    state: State,
    rest: Vec<u8>,
    noise: usize,
    root: Option<usize>,
    /// The folder that the entries of GNU find are relative to.
    folder: Vec<u8>,
    /// The sidecar whose first line comes next.
    seal: Vec<u8>,
    /// What is wrong with the last record. It may be half of one, of a find that was killed: the next one tells.
    odd: Option<Error>,
    /// The node's clock in unix seconds, if it told it.
    pub clock: Option<i64>,
    /// The number of entries that were read.
    pub entries: usize,
}

impl Listing {
    /// Begins to read the listing with this nonce, and with at most so many records.
    pub fn new(nonce: &str, most: usize) -> Self {
        Self {
            nonce: nonce.into(),
            most,
            records: 0,
            bytes: 0,
            state: State::Noise,
            rest: Vec::new(),
            noise: 0,
            root: None,
            folder: Vec::new(),
            seal: Vec::new(),
            odd: None,
            clock: None,
            entries: 0,
        }
    }

    /// Whether the listing has begun.
    pub fn has_begun(&self) -> bool {
        self.state != State::Noise
    }

    /// Whether the listing has ended as a whole.
    pub fn is_whole(&self) -> bool {
        self.state == State::Ended
    }

    /// Reads the next piece, and hands what it says of each root to `see`.
    ///
    /// # Errors
    /// Fails if it is no listing, or a longer one than was agreed.
    pub fn read(&mut self, piece: &[u8], mut see: impl FnMut(usize, Seen)) -> Result<()> {
        if self.state == State::Ended {
            return Ok(());
        }
        self.bytes = self.bytes.saturating_add(piece.len());
        if self.bytes > self.most.saturating_mul(AVERAGE).saturating_add(MOST_NOISE) {
            bail!(self.too_long(&format!("{} of files and folders", size(self.most.saturating_mul(AVERAGE) as u64))));
        }
        let mut bytes = std::mem::take(&mut self.rest);
        let searched = bytes.len().saturating_sub(2);
        bytes.extend_from_slice(piece);
        let mut at = 0;
        let mut from = searched;
        if self.state == State::Noise {
            at = self.skip_noise(&bytes)?;
            from = at;
        }
        while let State::Records(kind) = self.state {
            let Some((end, next)) = record_end(&bytes, at, from, kind) else { break };
            self.records += 1;
            if self.records > self.most {
                bail!(self.too_long(&format!("{} files and folders", self.most)));
            }
            self.whole_record(kind, &bytes[at..end], &mut see)?;
            (at, from) = (next, next);
        }
        bytes.drain(..at);
        ensure!(bytes.len() <= LONGEST, "its listing holds a record without an end");
        self.rest = bytes;
        Ok(())
    }

    /// Says that it lists more than this.
    fn too_long(&self, most: &str) -> String {
        format!("it lists more than {most}: narrow the root, or raise [backups] node_entries, which is {}", self.most)
    }

    /// Skips whole lines up to BEGIN; returns where the records or the unfinished line begin.
    fn skip_noise(&mut self, bytes: &[u8]) -> Result<usize> {
        let mut at = 0;
        while let Some(length) = bytes[at..].iter().position(|byte| *byte == b'\n') {
            let line = &bytes[at..at + length];
            at += length + 1;
            let words: Vec<_> = line.split(|byte| *byte == b' ').collect();
            if let [b"BEGIN", nonce, kind, clock] = words[..]
                && nonce == self.nonce.as_bytes()
            {
                self.state = State::Records(match kind {
                    b"gnu" => Kind::Gnu,
                    b"none" => Kind::None,
                    _ => Kind::Stat,
                });
                self.clock = number(clock);
                return Ok(at);
            }
            self.noise += line.len() + 1;
        }
        // A line without an end is not kept beyond what BEGIN may need.
        let unfinished = bytes.len() - at;
        if unfinished > 4096 {
            self.noise += unfinished;
            at = bytes.len();
        }
        ensure!(self.noise <= MOST_NOISE, "it printed {} kB that are no listing", MOST_NOISE >> 10);
        Ok(at)
    }

    /// Reads a record, or what a find that was killed left of one.
    fn whole_record(&mut self, kind: Kind, record: &[u8], see: &mut impl FnMut(usize, Seen)) -> Result<()> {
        // The first record of a node without GNU find begins with the mark, which has no line before it.
        let record = if kind == Kind::Gnu { record } else { record.strip_prefix(b"//").unwrap_or(record) };
        let is_of_killed = record.strip_prefix(b"Z\t").is_some_and(|code| !matches!(code, b"0" | b"1"));
        if let Some(odd) = self.odd.take().filter(|_| !is_of_killed) {
            return Err(odd);
        }
        if !record.is_empty() {
            self.odd = self.record(kind, record, see).err();
        }
        // Of these nothing more comes.
        if record.starts_with(b"END") || kind == Kind::None { self.odd.take().map_or(Ok(()), Err) } else { Ok(()) }
    }

    fn record(&mut self, kind: Kind, record: &[u8], see: &mut impl FnMut(usize, Seen)) -> Result<()> {
        let odd =
            || format!("its listing holds {}, which is no record of one", quote(&String::from_utf8_lossy(record)));
        let (name, value) = split(record).with_context(odd)?;
        if name == b"END" {
            let words = String::from_utf8_lossy(value);
            ensure!(words.split(' ').next() == Some(self.nonce.as_str()), odd());
            ensure!(kind != Kind::None, "it has neither GNU find nor a stat");
            self.state = State::Ended;
            return Ok(());
        }
        if name == b"R" {
            self.root = Some(number(value).with_context(odd)?);
            self.folder.clear();
            return Ok(());
        }
        let root = self.root.with_context(odd)?;
        let seen = match name {
            b"F" => {
                self.folder = value.to_vec();
                return Ok(());
            }
            b"V" => Seen::NoVariable(value),
            b"N" => Seen::Missing,
            b"X" => Seen::Closed(below(value)),
            b"K" => Seen::Linked(below(value)),
            b"U" => Seen::ClosedSeal(below(value)),
            b"Z" => Seen::Failed(number(value).with_context(odd)?),
            b"D" => match disk(value) {
                Some((bytes, free)) => Seen::Disk(bytes, free),
                None => return Ok(()),
            },
            b"S" => {
                self.seal = below(value).to_vec();
                return Ok(());
            }
            b"T" => {
                let path = std::mem::take(&mut self.seal);
                see(root, Seen::Seal(&path, value));
                return Ok(());
            }
            _ => return self.entry(root, kind, name, value, see).with_context(odd),
        };
        see(root, seen);
        Ok(())
    }

    /// Reads a record of an entry: type, size, time and path.
    fn entry(
        &mut self,
        root: usize,
        kind: Kind,
        name: &[u8],
        value: &[u8],
        see: &mut impl FnMut(usize, Seen),
    ) -> Result<()> {
        let is_folder = match name {
            b"d" | b"directory" | b"Directory" => true,
            b"f" | b"L" | b"regular file" | b"regular empty file" | b"Regular File" => false,
            // A link itself, a pipe, a device.
            _ if name.len() == 1 || name.is_ascii() => return Ok(()),
            _ => bail!("unknown type"),
        };
        let (bytes, value) = split(value).context("no size")?;
        let (mtime, path) = split(value).context("no time")?;
        // GNU's time has a fraction.
        let mtime = mtime.split(|byte| *byte == b'.').next().unwrap_or_default();
        let bytes = number(bytes).context("no size")?;
        let mtime = number::<i64>(mtime).context("no time")?.clamp(-MOST_SECONDS, MOST_SECONDS);
        let mut joined;
        let path = if kind != Kind::Gnu || name == b"L" {
            below(path)
        } else if self.folder.is_empty() {
            path
        } else {
            joined = self.folder.clone();
            if !path.is_empty() {
                joined.push(b'/');
                joined.extend_from_slice(path);
            }
            joined.as_slice()
        };
        self.entries += 1;
        see(root, Seen::Entry(Entry { is_folder, bytes, mtime, path }));
        Ok(())
    }
}

/// Returns where the record at `at` ends, and where the next one begins. `from` is where its end may be.
fn record_end(bytes: &[u8], at: usize, from: usize, kind: Kind) -> Option<(usize, usize)> {
    let from = from.max(at);
    if kind == Kind::Gnu {
        let end = from + bytes[from..].iter().position(|byte| *byte == 0)?;
        return Some((end, end + 1));
    }
    let last = bytes[at..].strip_prefix(b"//").unwrap_or(&bytes[at..]);
    if last.starts_with(b"END\t") {
        let end = at + bytes[at..].iter().position(|byte| *byte == b'\n')?;
        return Some((end, end + 1));
    }
    let end = from + bytes[from..].windows(3).position(|three| three == b"\n//")?;
    Some((end, end + 3))
}

fn split(record: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = record.iter().position(|byte| *byte == b'\t')?;
    Some((&record[..at], &record[at + 1..]))
}

fn number<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Returns a path of find below the folder that it was started in.
fn below(path: &[u8]) -> &[u8] {
    match path {
        b"." => b"",
        _ => path.strip_prefix(b"./").unwrap_or(path),
    }
}

/// Reads the last line of `df -Pk`: name, blocks of 1024 bytes, used, free, share, mount. Name and mount may hold blanks.
fn disk(line: &[u8]) -> Option<(u64, u64)> {
    let line = String::from_utf8_lossy(line);
    let words: Vec<_> = line.split_whitespace().collect();
    let is_share = |word: &&str| word.strip_suffix('%').is_some_and(|digits| digits.parse::<u64>().is_ok());
    let share = words.iter().position(is_share).filter(|at| *at >= 4)?;
    let [blocks, used, free] = [3, 2, 1].map(|back| words[share - back].parse::<u64>().ok());
    // The rest is for root.
    let _ = blocks;
    let (used, free) = (used?, free?);
    let all = used.checked_add(free)?.checked_mul(1024)?;
    Some((all, free * 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(seen: Seen) -> String {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        match seen {
            Seen::Entry(Entry { is_folder, bytes, mtime, path }) => {
                format!("{} {bytes} {mtime} {:?}", if is_folder { "d" } else { "f" }, text(path))
            }
            Seen::Seal(path, line) => format!("seal {:?} {:?}", text(path), text(line)),
            Seen::Closed(path) => format!("closed {:?}", text(path)),
            Seen::Linked(path) => format!("linked {:?}", text(path)),
            Seen::ClosedSeal(path) => format!("closed seal {:?}", text(path)),
            other => format!("{other:?}"),
        }
    }

    /// Reads a whole output in pieces of `size` bytes.
    fn read(output: &[u8], size: usize) -> (Result<bool, String>, Vec<String>) {
        read_at_most(output, size, usize::MAX)
    }

    fn read_at_most(output: &[u8], size: usize, most: usize) -> (Result<bool, String>, Vec<String>) {
        let mut listing = Listing::new("n1", most);
        let mut all = Vec::new();
        for piece in output.chunks(size) {
            let done = listing.read(piece, |root, seen| all.push(format!("{root} {}", shown(seen))));
            if let Err(error) = done {
                return (Err(format!("{error:#}")), all);
            }
        }
        (Ok(listing.is_whole()), all)
    }

    const GNU: &[u8] =
        b"motd\nBEGIN n0 gnu 5\nBEGIN n1 gnu 1774764000\nR\t0\0d\t4096\t1.5\t\0f\t7\t12.25\ta/new\nline\tx\0\
        l\t3\t9.0\ta/last\0L\t8\t13\t./a/link\0S\t./a/x.dna\0T\t{'size': 7}\0U\t./a/y.dna\0F\tb/l\0d\t1\t2.0\t\0f\t1\t2.0\tc\0\
        K\t./a/far\0Z\t1\0X\t./closed\0D\t//srv/a b 1000 600 300 67% /mnt/a b\0R\t1\0N\t\0R\t2\0V\tSCM\0END\tn1 0\0bye\n";

    const STAT: &[u8] =
        b"\nBEGIN n1 busybox 9\n//R\t0\n//directory\t4096\t1\t.\n//regular file\t7\t12\t./a/new\nline\tx\n\
        //regular empty file\t0\t12\t./a/empty\n//symbolic link\t3\t9\t./a/last\n//L\t8\t13\t./a/link\n//S\t./a/x.dna\n\
        //T\t{'size': 7}\n//Z\t1\n//X\t./closed\n//D\t/dev/sda1 1000 600 300 67% /\n//END\tn1 0\nbye\n";

    /// What FreeBSD's stat prints by its manual; no such host was asked.
    const BSD: &[u8] = b"\nBEGIN n1 bsd 9\n//R\t0\n//Directory\t512\t1\t.\n//Regular File\t7\t12\t./a/x\n//END\tn1 0\n";

    #[test]
    fn a_listing_is_read_in_pieces_of_any_size_without_the_noise_around_it() {
        let gnu = [
            "0 d 4096 1 \"\"",
            "0 f 7 12 \"a/new\\nline\\tx\"",
            "0 f 8 13 \"a/link\"",
            "0 seal \"a/x.dna\" \"{'size': 7}\"",
            "0 closed seal \"a/y.dna\"",
            "0 d 1 2 \"b/l\"",
            "0 f 1 2 \"b/l/c\"",
            "0 linked \"a/far\"",
            "0 Failed(1)",
            "0 closed \"closed\"",
            "0 Disk(921600, 307200)",
            "1 Missing",
            "2 NoVariable([83, 67, 77])",
        ];
        let stat = [
            "0 d 4096 1 \"\"",
            "0 f 7 12 \"a/new\\nline\\tx\"",
            "0 f 0 12 \"a/empty\"",
            "0 f 8 13 \"a/link\"",
            "0 seal \"a/x.dna\" \"{'size': 7}\"",
            "0 Failed(1)",
            "0 closed \"closed\"",
            "0 Disk(921600, 307200)",
        ];
        for size in [1, 2, 3, 7, 64, 4096] {
            for (output, expected) in
                [(GNU, &gnu[..]), (STAT, &stat[..]), (BSD, &["0 d 512 1 \"\"", "0 f 7 12 \"a/x\""])]
            {
                let (whole, all) = read(output, size);
                assert_eq!(whole, Ok(true), "{size}");
                assert_eq!(all, expected, "{size}");
            }
        }
    }

    #[test]
    fn what_is_cut_anywhere_is_not_whole() {
        for output in [GNU, STAT] {
            let end = output.windows(3).rposition(|three| three == b"END").unwrap();
            for length in 0..end + 8 {
                let (whole, _) = read(&output[..length], 11);
                assert!(whole != Ok(true) || length >= end + 8, "{length}");
            }
        }
    }

    /// A host that lies may go on for ever: records of next to nothing, of long names, of sidecars, of closed folders.
    #[test]
    fn a_listing_is_held_to_so_many_records_and_bytes() {
        let begin = b"\nBEGIN n1 gnu 1\nR\t0\0".to_vec();
        let way = "narrow the root, or raise [backups] node_entries, which is 1000";
        for record in [&b"f\t1\t1\ta\0"[..], b"l\t1\t1\ta\0", b"S\ta\0T\tx\0", b"X\t./a\0", b"U\t./a\0", b"R\t0\0"] {
            let output = [begin.clone(), record.repeat(2000)].concat();
            let (result, seen) = read_at_most(&output, 4096, 1000);
            assert_eq!(result, Err(format!("it lists more than 1000 files and folders: {way}")));
            assert!(seen.len() < 1000);
        }
        let long = [&b"f\t1\t1\t"[..], &[b'a'; 4000], b"\0"].concat();
        let output = [begin, long.repeat(900)].concat();
        let (result, seen) = read_at_most(&output, 65_536, 1000);
        assert_eq!(result, Err(format!("it lists more than 256 kB of files and folders: {way}")));
        assert!(seen.len() < 400, "{}", seen.len());
    }

    /// A find that is killed may leave half a record; its code says that nothing of it counts.
    #[test]
    fn half_a_record_of_a_find_that_was_killed_is_no_other_record() {
        for half in ["", "f", "f\t12", "f\t123\t1774", "f\t5000\t1.5", "d\t1\t1.0\ta/x"] {
            let (gnu, stat) = (half, half.replacen("f", "//regular file", 1).replacen("d", "//directory", 1));
            let of_gnu = format!("\nBEGIN n1 gnu 1\nR\t0\0f\t1\t1.0\ta\0{gnu}\0Z\t137\0END\tn1 0\0");
            let of_stat =
                format!("\nBEGIN n1 busybox 1\n//R\t0\n//regular file\t1\t1\ta\n{stat}\n//Z\t137\n//END\tn1 0\n");
            for output in [of_gnu, of_stat] {
                let (whole, all) = read(output.as_bytes(), 7);
                assert_eq!(whole, Ok(true), "{output:?}");
                assert_eq!(all.last().unwrap(), "0 Failed(137)", "{output:?}");
            }
        }
    }

    #[test]
    fn a_time_beyond_the_calendar_is_its_end() {
        let output =
            b"\nBEGIN n1 gnu 1\nR\t0\0f\t1\t9223372036854775807.0\ta\0f\t1\t-9223372036854775808.0\tb\0END\tn1 0\0";
        assert_eq!(read(output, 9).1, ["0 f 1 253402207200 \"a\"", "0 f 1 -253402207200 \"b\""]);
    }

    #[test]
    fn what_is_no_listing_is_refused() {
        let flood = vec![0; 3 << 20];
        assert_eq!(read(&flood, 65_536).0, Err("it printed 1024 kB that are no listing".into()));
        for (output, error) in [
            (&b"\nBEGIN n1 gnu 1\nhello\0R\t0\0"[..], "its listing holds \"hello\", which is no record of one"),
            (b"\nBEGIN n1 gnu 1\nf\t1\t1.0\ta\0R\t0\0", "its listing holds \"f 1 1.0 a\", which is no record of one"),
            (b"\nBEGIN n1 gnu 1\nR\t0\0END\tn2 0\0", "its listing holds \"END n2 0\", which is no record of one"),
            (b"\nBEGIN n1 none 1\n//END\tn1 0\n", "it has neither GNU find nor a stat"),
        ] {
            assert_eq!(read(output, 5).0, Err(error.into()));
        }
    }
}
