//! Finds the end of a pickle in a stream, and refuses what only a hostile one holds.
//!
//! A pickle is a program. Only the opcodes that build plain values are let through: None, booleans, numbers, texts, lists,
//! tuples and dicts. The scanner follows the stack that they build, so that it knows depth and size before anything is
//! decoded; a memo may give back texts and small tuples of plain values only, since a list that holds another one twice, and that
//! one a third twice, would fill any memory.

/// The most bytes of one pickle.
pub const LONGEST: usize = 16 << 20;

/// The most values in one pickle. A node with 65,536 sockets has 600,000.
const MOST_VALUES: usize = 1_000_000;

/// The most values within values.
const DEEPEST: u8 = 16;

/// The most members of a tuple that a memo gives back: a time and a value may be those of several paths.
const MOST_MEMBERS: usize = 4;

/// The most values that a memo remembers.
const MOST_REMEMBERED: usize = 1_000_000;

/// The most digits of a number that is written as text.
const MOST_DIGITS: usize = 400;

/// What stands at the beginning of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scanned {
    /// A pickle of so many bytes that is plain, and how many values it has.
    Plain(usize, usize),
    /// The beginning of one.
    Incomplete,
    /// Nothing that may be decoded, for this reason.
    Hostile(String),
}

/// The first opcode of each pickle of protocol 2 and later.
pub const FIRST: u8 = 0x80;

/// Looks for the pickle at the beginning of `bytes`, which may be of protocol 0 or 1 too: Carbon takes them, and its own example of a
/// client writes protocol 1.
pub fn scan(bytes: &[u8]) -> Scanned {
    Scanner { is_of_any: true, ..Scanner::default() }.scan(bytes)
}

/// Follows one pickle, which may arrive in parts.
#[derive(Debug, Default)]
pub struct Scanner {
    /// Up to where it has been followed.
    at: usize,
    stack: Vec<Item>,
    /// The heights of the stack at the marks.
    marks: Vec<usize>,
    /// The remembered values; `None` for numbers that were left out.
    memo: Vec<Option<Item>>,
    values: usize,
    /// Whether it may be of a protocol that has no first opcode.
    is_of_any: bool,
}

impl Scanner {
    /// Looks for the end of the pickle at the beginning of `bytes`, which hold at least what they held before: it goes on
    /// where it stopped, so that a pickle that comes byte by byte costs no more than a whole one.
    pub fn scan(&mut self, bytes: &[u8]) -> Scanned {
        loop {
            let begin = self.at;
            match self.step(bytes) {
                Ok(false) => {}
                Ok(true) if self.at <= LONGEST => return Scanned::Plain(self.at, self.values),
                Err(Stop::Incomplete) if bytes.len() <= LONGEST => {
                    self.at = begin;
                    return Scanned::Incomplete;
                }
                Ok(true) | Err(Stop::Incomplete) => return Scanned::Hostile(too_long()),
                Err(Stop::Hostile(why)) => return Scanned::Hostile(why),
            }
        }
    }
}

fn not_plain(opcode: u8) -> String {
    format!("a pickle with the opcode {opcode:#04x}, which builds no plain value")
}

fn too_long() -> String {
    format!("a pickle of more than {LONGEST} bytes")
}

enum Stop {
    Incomplete,
    Hostile(String),
}

fn hostile<T>(why: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Hostile(why.into()))
}

/// A value on the stack.
#[derive(Clone, Copy, Debug)]
struct Item {
    /// How deep it is: 0 for one without members.
    depth: u8,
    is: Is,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    Text,
    /// A tuple of so many members, none of which has members.
    Small(usize),
    Other,
}

/// What a tuple of members is, which are so deep.
fn tuple(depth: u8, members: usize) -> Is {
    if depth <= 1 && members <= MOST_MEMBERS { Is::Small(members) } else { Is::Other }
}

impl Scanner {
    fn skip(&mut self, bytes: &[u8], count: usize) -> Result<(), Stop> {
        if bytes.len() - self.at < count {
            return if count > LONGEST { hostile(too_long()) } else { Err(Stop::Incomplete) };
        }
        self.at += count;
        Ok(())
    }

    /// Reads a little-endian number of `size` bytes.
    fn number(&mut self, bytes: &[u8], size: usize) -> Result<usize, Stop> {
        let begin = self.at;
        self.skip(bytes, size)?;
        let number = bytes[begin..self.at].iter().rev().fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
        usize::try_from(number).or_else(|_| hostile(too_long()))
    }

    fn push(&mut self, depth: u8, is: Is) -> Result<(), Stop> {
        self.values += 1;
        if self.values > MOST_VALUES || depth > DEEPEST {
            return hostile(format!("a pickle of more than {MOST_VALUES} values, or {DEEPEST} of them in one another"));
        }
        self.stack.push(Item { depth, is });
        Ok(())
    }

    fn text(&mut self, bytes: &[u8], size: usize) -> Result<(), Stop> {
        let length = self.number(bytes, size)?;
        self.skip(bytes, length)?;
        self.push(0, Is::Text)
    }

    /// Reads up to a line feed.
    fn line<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Stop> {
        let rest = &bytes[self.at..];
        let Some(length) = rest.iter().position(|byte| *byte == b'\n') else { return Err(Stop::Incomplete) };
        self.at += length + 1;
        Ok(&rest[..length])
    }

    /// Reads the digits of a number in the memo.
    fn place(&mut self, bytes: &[u8]) -> Result<usize, Stop> {
        let digits = std::str::from_utf8(self.line(bytes)?).ok().and_then(|digits| digits.parse().ok());
        digits.map_or_else(|| hostile("a pickle that remembers at no number"), Ok)
    }

    /// Takes `count` values off the stack, which a tuple or container gets. Returns its depth.
    fn take(&mut self, count: usize) -> Result<u8, Stop> {
        let bottom = self.marks.last().copied().unwrap_or_default();
        if self.stack.len() < bottom + count {
            return hostile("a pickle that takes more than it has");
        }
        let members = self.stack.split_off(self.stack.len() - count);
        Ok(members.iter().map(|item| item.depth + 1).max().unwrap_or_default())
    }

    /// Takes what stands above the last mark.
    fn take_marked(&mut self) -> Result<u8, Stop> {
        let Some(mark) = self.marks.pop() else { return hostile("a pickle that lacks a mark") };
        self.take(self.stack.len() - mark)
    }

    /// Gives members of a depth to the container on the stack.
    fn fill(&mut self, depth: u8) -> Result<(), Stop> {
        let bottom = self.marks.last().copied().unwrap_or_default();
        match self.stack.last_mut().filter(|item| item.is == Is::Other) {
            Some(container) if depth <= DEEPEST => container.depth = container.depth.max(depth),
            Some(_) => return hostile("a pickle whose values are too deep"),
            None => return hostile("a pickle that fills nothing"),
        }
        if self.stack.len() <= bottom { hostile("a pickle that fills nothing") } else { Ok(()) }
    }

    fn remember(&mut self, at: usize) -> Result<(), Stop> {
        let Some(item) = self.stack.last() else { return hostile("a pickle that remembers nothing") };
        let item = *item;
        if at >= MOST_REMEMBERED || at > self.memo.len() + 1000 {
            return hostile("a pickle that remembers too much");
        }
        if at >= self.memo.len() {
            self.memo.resize(at + 1, None);
        }
        self.memo[at] = Some(item);
        Ok(())
    }

    fn recall(&mut self, at: usize) -> Result<(), Stop> {
        match self.memo.get(at) {
            Some(Some(Item { is: Is::Text, .. })) => self.push(0, Is::Text),
            Some(Some(Item { depth, is: Is::Small(members) })) => {
                let (depth, members) = (*depth, *members);
                self.values += members;
                self.push(depth, Is::Small(members))
            }
            _ => hostile("a pickle that gives one value twice"),
        }
    }

    /// Follows one opcode of protocol 0.
    fn step_of_text(&mut self, opcode: u8, bytes: &[u8]) -> Result<(), Stop> {
        match opcode {
            b'I' | b'L' | b'F' if self.line(bytes)?.len() > MOST_DIGITS => hostile("a pickle of too many digits"),
            b'I' | b'L' | b'F' => self.push(0, Is::Other),
            b'S' | b'V' => self.line(bytes).map(drop).and_then(|()| self.push(0, Is::Text)),
            b'l' | b'd' => self.take_marked().and_then(|depth| self.push(depth, Is::Other)),
            b'p' => self.place(bytes).and_then(|at| self.remember(at)),
            b'g' => self.place(bytes).and_then(|at| self.recall(at)),
            other => hostile(not_plain(other)),
        }
    }

    /// Follows one opcode; returns whether it was the last one.
    fn step(&mut self, bytes: &[u8]) -> Result<bool, Stop> {
        let Some(opcode) = bytes.get(self.at).copied() else { return Err(Stop::Incomplete) };
        let is_first = self.at == 0;
        self.at += 1;
        if is_first != (opcode == FIRST) && !(is_first && self.is_of_any) {
            return hostile("no pickle of protocol 2 to 5");
        }
        match opcode {
            FIRST => {
                let version = self.number(bytes, 1)?;
                return if (2..=5).contains(&version) { Ok(false) } else { hostile("a pickle of an unknown protocol") };
            }
            b'.' if self.stack.len() == 1 && self.marks.is_empty() => return Ok(true),
            b'.' => return hostile("a pickle of no value, or of several"),
            // A frame only says how long what follows is.
            0x95 => self.skip(bytes, 8)?,
            b'(' => self.marks.push(self.stack.len()),
            b'N' | 0x88 | 0x89 | b')' | b']' | b'}' => self.push(0, Is::Other)?,
            b'K' => self.skip(bytes, 1).and_then(|()| self.push(0, Is::Other))?,
            b'M' => self.skip(bytes, 2).and_then(|()| self.push(0, Is::Other))?,
            b'J' => self.skip(bytes, 4).and_then(|()| self.push(0, Is::Other))?,
            b'G' => self.skip(bytes, 8).and_then(|()| self.push(0, Is::Other))?,
            0x8a => {
                let length = self.number(bytes, 1)?;
                self.skip(bytes, length).and_then(|()| self.push(0, Is::Other))?;
            }
            b'U' | 0x8c => self.text(bytes, 1)?,
            b'T' | b'X' => self.text(bytes, 4)?,
            0x8d => self.text(bytes, 8)?,
            0x85..=0x87 => {
                let members = usize::from(opcode - 0x84);
                let depth = self.take(members)?;
                self.push(depth, tuple(depth, members))?;
            }
            b't' => {
                let before = self.stack.len();
                let depth = self.take_marked()?;
                self.push(depth, tuple(depth, before - self.stack.len()))?;
            }
            b'a' => self.take(1).and_then(|depth| self.fill(depth))?,
            b's' => self.take(2).and_then(|depth| self.fill(depth))?,
            b'e' | b'u' => self.take_marked().and_then(|depth| self.fill(depth))?,
            b'q' => self.number(bytes, 1).and_then(|at| self.remember(at))?,
            b'r' => self.number(bytes, 4).and_then(|at| self.remember(at))?,
            0x94 => self.remember(self.memo.len())?,
            b'h' => self.number(bytes, 1).and_then(|at| self.recall(at))?,
            b'j' => self.number(bytes, 4).and_then(|at| self.recall(at))?,
            other if self.is_of_any => self.step_of_text(other, bytes)?,
            other => return hostile(not_plain(other)),
        }
        if self.marks.len() > usize::from(DEEPEST) {
            return hostile("a pickle with too many marks");
        }
        Ok(false)
    }
}
