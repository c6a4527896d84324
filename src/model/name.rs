//! Names from outside, made safe. This is the only place where text from outside becomes part of a name: [`safe_text`]
//! makes it fit for line protocol and every store keyed by tags; [`carbon_component`] goes further, down to what Carbon's
//! file tree and graphite-web's target language can both carry.

use std::borrow::Cow;

/// The longest a tag value or a component of a Carbon path gets, in bytes. Carbon turns a component into a
/// file name, and one beyond 255 bytes, ending included, vanishes without a word.
pub const LONGEST_NAME: usize = 200;

/// A name from a declaration (borrowed) or from a line that was read (owned).
pub type Name = Cow<'static, str>;

/// Text from outside as a tag value: never empty, at most [`LONGEST_NAME`] bytes, without control characters and
/// without backslashes, which line protocol has no way to write at the end of a name.
pub fn safe_text(text: &str) -> Cow<'_, str> {
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

/// Text from outside as one component of a Carbon path: [`safe_text`] with everything but ASCII letters, digits
/// and `- _ @ : +` turned into `_`. Dots would split it, `/` makes a folder, `;` starts tags, and graphite-web
/// cannot render spaces, quotes, brackets, commas or bars.
pub fn carbon_component(text: &str) -> Cow<'_, str> {
    match safe_text(text) {
        Cow::Borrowed(safe) if safe.chars().all(fits) => Cow::Borrowed(safe),
        safe => Cow::Owned(safe.chars().map(|c| if fits(c) { c } else { '_' }).collect()),
    }
}

/// Appends the component of a name that is safe text already, as the names of a point are.
pub(super) fn push_component(safe: &str, path: &mut String) {
    if safe.bytes().all(|byte| FITS[usize::from(byte)]) {
        path.push_str(safe);
    } else {
        path.extend(safe.chars().map(|c| if fits(c) { c } else { '_' }));
    }
}

/// Whether a component of a Carbon path can have this character.
const fn fits(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '@' | ':' | '+')
}

/// The same of each byte.
static FITS: [bool; 256] = {
    let mut all = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        all[byte] = fits(byte as u8 as char);
        byte += 1;
    }
    all
};

/// A line that begins with `#` is a comment, and line protocol has no way to write it otherwise.
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
