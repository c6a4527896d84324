//! Checks declarations. All checks are `const`: they run at compile time.

use super::{FieldInfo, Tag};

/// The most tags of a measurement.
pub(super) const MAX_TAGS: usize = 32;

/// The most parts of a Carbon path.
const MAX_PARTS: usize = 48;

/// One part of a Carbon path.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    /// Literal text, dots included.
    Text(&'static str),
    /// The value of a tag, by its index among the tags sorted by name.
    Tag(u8),
    /// Such a value, which may be folders: `{tag/}`.
    Folders(u8),
    /// The name of the field.
    Field,
}

/// A parsed Carbon path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Template {
    parts: [Part; MAX_PARTS],
    count: usize,
}

impl Template {
    /// Parses a path. `sorted` holds the indices of the tags, sorted by name.
    pub const fn new(path: &'static str, tags: &[Tag], sorted: &[u8; MAX_TAGS]) -> Self {
        let mut template = Self { parts: [Part::Field; MAX_PARTS], count: 0 };
        let mut rest = path;
        while let Some(open) = position(rest, b'{') {
            let (text, from_open) = rest.split_at(open);
            let Some(close) = position(from_open, b'}') else {
                panic!("a placeholder of the Carbon path is not closed");
            };
            let (placeholder, after) = from_open.split_at(close + 1);
            let starts = if text.is_empty() { rest.len() == path.len() } else { last(text) == b'.' };
            let ends = after.is_empty() || after.as_bytes()[0] == b'.';
            assert!(starts && ends, "a placeholder of the Carbon path is not a component of its own");
            template = template.with_text(text).with(part(placeholder, tags, sorted));
            rest = after;
        }
        template.with_text(rest)
    }

    const fn with_text(self, text: &'static str) -> Self {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let fits =
                bytes[at].is_ascii_alphanumeric() || matches!(bytes[at], b'-' | b'_' | b'@' | b':' | b'+' | b'.');
            assert!(fits, "the Carbon path has a character that Graphite cannot carry");
            at += 1;
        }
        if text.is_empty() { self } else { self.with(Part::Text(text)) }
    }

    const fn with(mut self, part: Part) -> Self {
        assert!(self.count < MAX_PARTS, "the Carbon path has too many parts");
        self.parts[self.count] = part;
        self.count += 1;
        self
    }

    /// Returns the parts, in order.
    pub fn parts(&self) -> &[Part] {
        &self.parts[..self.count]
    }
}

/// Returns the part that `{name}` stands for.
const fn part(placeholder: &str, tags: &[Tag], sorted: &[u8; MAX_TAGS]) -> Part {
    if is_placeholder_of(placeholder, "field") {
        return Part::Field;
    }
    let mut at = 0;
    while at < tags.len() {
        let tag = &tags[sorted[at] as usize];
        if is_placeholder_of(placeholder, tag.name) {
            assert!(tag.identifies, "a label stands in the Carbon path, which only keys identify");
            let bytes = placeholder.as_bytes();
            return if bytes[bytes.len() - 2] == b'/' { Part::Folders(at as u8) } else { Part::Tag(at as u8) };
        }
        at += 1;
    }
    panic!("the Carbon path has a placeholder that is neither a tag nor {{field}}");
}

/// Panics if a name is empty, unsafe or duplicate.
pub(super) const fn check_names(name: &str, tags: &[Tag], fields: &[FieldInfo]) {
    assert!(is_safe(name) && name.as_bytes()[0] != b'#', "the measurement's name is empty or unsafe");
    assert!(tags.len() <= MAX_TAGS, "the measurement has too many tags");
    let mut at = 0;
    while at < tags.len() {
        assert!(is_safe(tags[at].name), "a tag's name is empty or unsafe");
        assert!(!is_equal(tags[at].name, "field"), "a tag is called field, as the placeholder is");
        let mut before = 0;
        while before < at {
            assert!(!is_equal(tags[before].name, tags[at].name), "two tags have one name");
            before += 1;
        }
        at += 1;
    }
    at = 0;
    while at < fields.len() {
        assert!(is_safe(fields[at].name), "a field's name is empty or unsafe");
        let mut before = 0;
        while before < at {
            assert!(!is_equal(fields[before].name, fields[at].name), "two fields have one name");
            before += 1;
        }
        at += 1;
    }
}

/// Panics unless the Carbon path has each key once, and `{field}` if Carbon gets several fields.
pub(super) const fn check_path(template: &Template, tags: &[Tag], fields: &[FieldInfo]) {
    let mut of_field = 0;
    let mut of_tags = [0; MAX_TAGS];
    let mut at = 0;
    while at < template.count {
        match template.parts[at] {
            Part::Field => of_field += 1,
            Part::Tag(tag) | Part::Folders(tag) => {
                of_tags[tag as usize] += 1;
                assert!(of_tags[tag as usize] == 1, "a key stands in the Carbon path twice");
            }
            Part::Text(_) => {}
        }
        at += 1;
    }
    let (mut keys, mut in_path) = (0, 0);
    at = 0;
    while at < tags.len() {
        keys += tags[at].identifies as usize;
        in_path += of_tags[at];
        at += 1;
    }
    assert!(keys == in_path, "a key is missing in the Carbon path, so two series would be one");
    let mut in_carbon = 0;
    at = 0;
    while at < fields.len() {
        in_carbon += fields[at].carbon as usize;
        at += 1;
    }
    assert!(in_carbon > 0, "Carbon gets no field");
    assert!(of_field < 2, "{{field}} stands in the Carbon path twice");
    assert!(of_field == 1 || in_carbon == 1, "{{field}} is missing in the Carbon path, so two fields would be one");
}

/// Returns the indices of `tags`, sorted by name.
pub(super) const fn sorted(tags: &[Tag]) -> [u8; MAX_TAGS] {
    let mut sorted = [0; MAX_TAGS];
    let mut at = 0;
    while at < tags.len() {
        let mut to = at;
        while to > 0 && is_less(tags[at].name, tags[sorted[to - 1] as usize].name) {
            sorted[to] = sorted[to - 1];
            to -= 1;
        }
        sorted[to] = at as u8;
        at += 1;
    }
    sorted
}

/// Returns the indices of the keys among `tags`, sorted by name, and their number. `sorted` holds the indices of all tags.
pub(super) const fn keys(tags: &[Tag], sorted: &[u8; MAX_TAGS]) -> ([u8; MAX_TAGS], usize) {
    let (mut keys, mut count) = ([0; MAX_TAGS], 0);
    let mut at = 0;
    while at < tags.len() {
        if tags[sorted[at] as usize].identifies {
            keys[count] = sorted[at];
            count += 1;
        }
        at += 1;
    }
    (keys, count)
}

/// Returns of each tag how many of its kind, keys or labels, are declared before it.
pub(super) const fn ranks(tags: &[Tag]) -> [u8; MAX_TAGS] {
    let mut ranks = [0; MAX_TAGS];
    let mut counts = [0, 0];
    let mut at = 0;
    while at < tags.len() {
        let count = &mut counts[tags[at].identifies as usize];
        ranks[at] = *count;
        *count += 1;
        at += 1;
    }
    ranks
}

/// Whether line protocol writes a name unchanged: no character is escaped or replaced.
const fn is_safe(name: &str) -> bool {
    let bytes = name.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_graphic() || matches!(bytes[at], b',' | b'=' | b'\\' | b'"' | b'{' | b'}') {
            return false;
        }
        at += 1;
    }
    !name.is_empty() && name.len() <= super::LONGEST_NAME
}

/// Whether a placeholder is `{name}` or `{name/}`.
const fn is_placeholder_of(placeholder: &str, name: &str) -> bool {
    let (placeholder, name) = (placeholder.as_bytes(), name.as_bytes());
    let is_folders = placeholder.len() > 2 && placeholder[placeholder.len() - 2] == b'/';
    if placeholder.len() != name.len() + 2 + is_folders as usize {
        return false;
    }
    let mut at = 0;
    while at < name.len() {
        if placeholder[at + 1] != name[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// Whether two texts are equal; `==` is not `const`.
pub(super) const fn is_equal(a: &str, b: &str) -> bool {
    !is_less(a, b) && !is_less(b, a)
}

const fn is_less(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() {
        if a[at] != b[at] {
            return a[at] < b[at];
        }
        at += 1;
    }
    a.len() < b.len()
}

const fn position(text: &str, byte: u8) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == byte {
            return Some(at);
        }
        at += 1;
    }
    None
}

const fn last(text: &str) -> u8 {
    text.as_bytes()[text.len() - 1]
}
