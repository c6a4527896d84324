//! Makes names from outside safe. Only here does text from outside become part of a name: [`safe_text`] makes it fit
//! for line protocol and every store keyed by tags; [`carbon_component`] also for Carbon's file tree and graphite-web's
//! target language.
//!
//! Two names that differ never become one: a name that cannot stay as it is ends with a hash of what it was.
//!
//! What a source reads is cut to [`LONGEST_NAME`]. A point that somebody else made keeps its names as long as they are; in its
//! Carbon path a longer one is cut. Carbon's paths have fewer characters, and a point whose path another one has is named.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::line::is_plain;
use crate::text::lasting_hash;

/// The longest tag value that is made of what a source reads, and the longest component of a Carbon path that is made of a name, in
/// bytes. Carbon makes a component into a file name, and loses one beyond 255 bytes, ending included, without an error.
pub const LONGEST_NAME: usize = 200;

/// A name from a declaration (borrowed) or from a parsed line (owned).
pub type Name = Cow<'static, str>;

/// Returns text from outside as a tag value: not empty, at most [`LONGEST_NAME`] bytes, without control characters and
/// without a backslash at its end, which in line protocol would belong to what follows.
pub fn safe_text(text: &str) -> Cow<'_, str> {
    safe(text, LONGEST_NAME, beginning)
}

/// Returns text as [`safe_text`] does, of any length.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    safe(text, usize::MAX, |text| text)
}

/// Returns a name as it is, if it can stay so; else what of it is `kept`, with `_` for what is unsafe, and its hash.
fn safe(name: &str, longest: usize, kept: fn(&str) -> &str) -> Cow<'_, str> {
    if is_plain(name) {
        Cow::Borrowed(name)
    } else if name.is_empty() {
        Cow::Borrowed("_")
    } else if name.len() <= longest && !name.ends_with('\\') && !name.contains(is_unsafe) {
        Cow::Borrowed(name)
    } else {
        let mut made: String = kept(name).chars().map(|c| if is_unsafe(c) { '_' } else { c }).collect();
        push_hash(name, &mut made);
        Cow::Owned(made)
    }
}

/// Whether no name may hold the character.
fn is_unsafe(c: char) -> bool {
    c.is_control() || c == '\u{2028}' || c == '\u{2029}'
}

/// The digits of a hash, and `_` before them.
const HASH: usize = 17;

/// Returns as much of a name as leaves room for its hash.
fn beginning(name: &str) -> &str {
    &name[..name.floor_char_boundary(LONGEST_NAME - HASH)]
}

fn push_hash(name: &str, to: &mut String) {
    let _ = write!(to, "_{:016x}", lasting_hash(name));
}

/// Returns text from outside as one component of a Carbon path: [`safe_text`] with `_` for every character but ASCII
/// letters, digits and `- _ @ : +`. A dot would split the component, `/` makes a directory, `;` starts tags, and
/// graphite-web cannot render spaces, quotes, brackets, commas or bars.
pub fn carbon_component(text: &str) -> Cow<'_, str> {
    match safe_text(text) {
        Cow::Borrowed(safe) if safe.chars().all(fits) => Cow::Borrowed(safe),
        safe => Cow::Owned(safe.chars().map(|c| if fits(c) { c } else { '_' }).collect()),
    }
}

/// Appends the component of a point's name. A name that is longer than a component may be is cut, and its hash tells it from others.
pub(super) fn push_component(name: &str, path: &mut String) {
    let kept = if name.len() <= LONGEST_NAME { name } else { beginning(name) };
    if kept.bytes().all(|byte| FITS[usize::from(byte)]) {
        path.push_str(kept);
    } else {
        path.extend(kept.chars().map(|c| if fits(c) { c } else { '_' }));
    }
    if kept.len() < name.len() {
        push_hash(name, path);
    }
}

/// Whether a character is allowed in a component of a Carbon path.
const fn fits(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '@' | ':' | '+')
}

/// [`fits`] for each byte.
static FITS: [bool; 256] = {
    let mut all = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        all[byte] = fits(byte as u8 as char);
        byte += 1;
    }
    all
};

/// A line that begins with `#` is a comment, and line protocol cannot escape the `#`.
pub(super) fn safe_measurement(name: Name) -> Name {
    match safe_name(name) {
        name if name.starts_with('#') => Cow::Owned(name.replacen('#', "_", 1)),
        name => name,
    }
}

pub(super) fn safe_name(name: Name) -> Name {
    match clean(&name) {
        Cow::Borrowed(safe) if safe.len() == name.len() => name,
        safe => Cow::Owned(safe.into_owned()),
    }
}
