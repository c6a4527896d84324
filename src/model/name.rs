//! Makes names from outside safe. Only here does text from outside become part of a name: [`safe_text`] makes it fit
//! for line protocol and every store keyed by tags; [`carbon_component`] also for Carbon's file tree and graphite-web's
//! target language.

use std::borrow::Cow;

use super::line::is_plain;

/// The longest tag value or component of a Carbon path, in bytes. Carbon makes a component into a file name, and loses
/// one beyond 255 bytes, ending included, without an error.
pub const LONGEST_NAME: usize = 200;

/// A name from a declaration (borrowed) or from a parsed line (owned).
pub type Name = Cow<'static, str>;

/// Returns text from outside as a tag value: not empty, at most [`LONGEST_NAME`] bytes, without control characters and
/// without backslashes, which line protocol cannot write at the end of a name.
pub fn safe_text(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    let unsafe_char = |c: char| c.is_control() || c == '\\' || c == '\u{2028}' || c == '\u{2029}';
    let cut = text.floor_char_boundary(LONGEST_NAME);
    if text.is_empty() {
        Cow::Borrowed("_")
    } else if cut == text.len() && !text.contains(unsafe_char) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text[..cut].chars().map(|c| if unsafe_char(c) { '_' } else { c }).collect())
    }
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

/// Appends the component of a name that is already safe text, like the names of a point.
pub(super) fn push_component(safe: &str, path: &mut String) {
    if safe.bytes().all(|byte| FITS[usize::from(byte)]) {
        path.push_str(safe);
    } else {
        path.extend(safe.chars().map(|c| if fits(c) { c } else { '_' }));
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
    match safe_text(&name) {
        Cow::Borrowed(safe) if safe.len() == name.len() => name,
        safe => Cow::Owned(safe.into_owned()),
    }
}
