//! Templates of backups' paths: tokens of strptime, `{set}`, and `*` for anything within a name.

use anyhow::{Context, Result, bail, ensure};

/// A piece of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// The character itself.
    Text(char),
    /// Anything within a name.
    Any,
    /// The name of the set.
    Set,
    /// A part of a stamp: its name, its expression, and how many bytes it has if that is always the same.
    Part(&'static str, &'static str, Option<usize>),
}

impl Piece {
    /// Returns the regular expression of what it fits.
    pub fn expression(&self) -> String {
        match self {
            Self::Text(c) => regex::escape(c.encode_utf8(&mut [0; 4])),
            Self::Any => "[^/]*".into(),
            Self::Set => "(.+)".into(),
            Self::Part(_, expression, _) => format!("({expression})"),
        }
    }

    /// Returns the name of its group, if it is one.
    pub fn name(&self) -> Option<&'static str> {
        match self {
            Self::Set => Some("set"),
            Self::Part(name, ..) => Some(name),
            Self::Text(_) | Self::Any => None,
        }
    }
}

/// Returns the pieces of a template.
///
/// # Errors
/// Fails at an unknown token, a second `{set}`, or a brace that is not of one.
pub fn pieces(template: &str) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some(first) = rest.chars().next() {
        let mut after = &rest[first.len_utf8()..];
        match first {
            '{' => {
                after = rest.strip_prefix("{set}").context("has a { that is not of {set}")?;
                ensure!(!pieces.contains(&Piece::Set), "has {{set}} twice");
                pieces.push(Piece::Set);
            }
            '}' => bail!("has a }} that is not of {{set}}"),
            '%' => {
                let token = after.chars().next().context("ends with %")?;
                after = &after[token.len_utf8()..];
                pieces.extend(expanded(token)?);
            }
            '*' => pieces.push(Piece::Any),
            _ => pieces.push(Piece::Text(first)),
        }
        rest = after;
    }
    Ok(pieces)
}

/// Returns the pieces that a token stands for.
fn expanded(token: char) -> Result<Vec<Piece>> {
    let composite = match token {
        'F' => "Y-m-d",
        'T' => "H:M:S",
        'R' => "H:M",
        'D' => "m/d/y",
        _ => "",
    };
    if !composite.is_empty() {
        let each = |c: char| if c.is_alphabetic() { expanded(c) } else { Ok(vec![Piece::Text(c)]) };
        return composite.chars().map(each).collect::<Result<Vec<_>>>().map(|all| all.concat());
    }
    let (name, expression, bytes) = match token {
        '%' => return Ok(vec![Piece::Text('%')]),
        'Y' => ("Y", r"\d{4}", Some(4)),
        'y' => ("y", r"\d{2}", Some(2)),
        'm' => ("m", r"\d{2}", Some(2)),
        'b' | 'B' | 'h' => ("b", "[A-Za-z]{3,9}", None),
        'd' => ("d", r"\d{2}", Some(2)),
        'e' => ("d", r"[ \d]?\d", None),
        'j' => ("j", r"\d{3}", Some(3)),
        'H' => ("H", r"\d{2}", Some(2)),
        'I' => ("I", r"\d{2}", Some(2)),
        'p' => ("p", "[AaPp][Mm]", Some(2)),
        'M' => ("M", r"\d{2}", Some(2)),
        'S' => ("S", r"\d{2}", Some(2)),
        's' => ("s", r"\d{1,11}", None),
        'z' => ("z", r"[+-]\d{2}:?\d{2}|Z", None),
        'f' => ("f", r"\d{1,9}", None),
        'a' | 'A' => ("a", "[A-Za-z]{3,9}", None),
        _ => bail!("has %{token}, which is none of %Y %y %m %b %d %e %j %H %I %p %M %S %f %s %z %a %F %T %R %D %%"),
    };
    Ok(vec![Piece::Part(name, expression, bytes)])
}

/// Where the groups of a template lie in a path that matches it, where lengths and slashes alone tell: no `*` and no part of a
/// stamp holds a slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    set: SetEnd,
    /// The bytes of each group, from the path's begin; behind the set, from where that ends.
    groups: Vec<(bool, usize, usize)>,
}

/// Where the name of the set ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SetEnd {
    /// So many bytes before the path's end; of no set, anywhere.
    Before(usize),
    /// At a slash; so many come from there on.
    Slash(usize),
}

impl Places {
    /// Returns the places of a template; `None` if they do not follow from lengths and slashes.
    pub fn of(pieces: &[Piece]) -> Option<Self> {
        let at = pieces.iter().position(|piece| *piece == Piece::Set);
        let (head, tail) = pieces.split_at(at.map_or(pieces.len(), |at| at));
        let mut groups = Vec::new();
        let width = Self::add(head, false, &mut groups)?;
        let Some((_, tail)) = tail.split_first() else { return Some(Self { set: SetEnd::Before(0), groups }) };
        groups.push((false, width?, usize::MAX));
        let width = Self::add(tail, true, &mut groups)?;
        let slashes = tail.iter().filter(|piece| **piece == Piece::Text('/')).count();
        let set = match (width, tail.first()) {
            (Some(width), _) => SetEnd::Before(width),
            (None, Some(Piece::Text('/'))) => SetEnd::Slash(slashes),
            _ => return None,
        };
        Some(Self { set, groups })
    }

    /// Adds the groups of some pieces, and returns their length if it is always the same; `None` if a group has no fixed place.
    fn add(pieces: &[Piece], is_behind: bool, groups: &mut Vec<(bool, usize, usize)>) -> Option<Option<usize>> {
        let mut at = Some(0);
        for piece in pieces {
            let bytes = match piece {
                Piece::Text(c) => Some(c.len_utf8()),
                Piece::Part(_, _, bytes) => {
                    groups.push((is_behind, at?, (*bytes)?));
                    *bytes
                }
                Piece::Any | Piece::Set => None,
            };
            at = at.zip(bytes).map(|(at, bytes)| at + bytes);
        }
        Some(at)
    }

    /// Returns where the name of the set ends in a path that matches.
    pub fn set_end(&self, path: &[u8]) -> usize {
        match self.set {
            SetEnd::Before(bytes) => path.len().saturating_sub(bytes),
            SetEnd::Slash(count) => {
                let mut slashes = path.iter().enumerate().rev().filter(|(_, byte)| **byte == b'/');
                slashes.nth(count - 1).map_or(0, |(at, _)| at)
            }
        }
    }

    /// Returns the bytes of a group, as regular expressions number them.
    pub fn group(&self, number: usize, set_end: usize) -> Option<std::ops::Range<usize>> {
        let (is_behind, from, bytes) = *self.groups.get(number.checked_sub(1)?)?;
        let from = if is_behind { set_end + from } else { from };
        Some(if bytes == usize::MAX { from..set_end } else { from..from + bytes })
    }
}
