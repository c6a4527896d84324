//! What the owner of a section declares: its name, its keys, and what they are for.

use super::kind::Kind;

/// A section of config.cfg, or a family of sections.
#[derive(Debug)]
pub struct Section {
    /// Its name. A name that ends with `*` is a family: `hub *` is `[hub ZZ]` and every other `[hub …]`.
    pub name: &'static str,
    /// One sentence for docs/configuration.md.
    pub help: &'static str,
    /// The programs whose deadline and interval its keys `deadline_seconds` and `interval_seconds` set.
    pub programs: &'static [&'static str],
    /// Its keys, in the order of config.cfg.example.
    pub keys: &'static [Key],
    /// Whether it also takes keys that the operator names; `None` refuses them.
    pub free_keys: Option<FreeKeys>,
}

/// Keys that the operator names.
#[derive(Debug)]
pub struct FreeKeys {
    /// What a key and its value are, for config.cfg.example and docs/configuration.md.
    pub help: &'static str,
    /// Keys and values for config.cfg.example, where they are commented out. Without any, and without other keys, the
    /// section is left out there.
    pub examples: &'static [(&'static str, &'static str)],
}

/// A key of a section.
#[derive(Debug)]
pub struct Key {
    /// Its name, with its unit at the end.
    pub name: &'static str,
    /// Old spellings that stay valid; they ignore case.
    pub aliases: &'static [&'static str],
    /// What its value must be.
    pub kind: Kind,
    /// What holds without it.
    pub unset: Unset,
    /// What it sets, in which unit, and when to change it. Neighbours with the same text share one comment in
    /// config.cfg.example.
    pub help: &'static str,
}

/// What holds when the file does not give a key, and what config.cfg.example shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unset {
    /// This value holds. The example shows it, commented out.
    Default(&'static str),
    /// The section is refused. The example shows this value.
    Required(&'static str),
    /// What the help says. The example shows this value, since most operators set the key.
    Suggested(&'static str),
    /// What the help says. The example shows this value, commented out.
    Absent(&'static str),
}

impl Unset {
    /// The value that config.cfg.example shows.
    pub fn shown(self) -> &'static str {
        match self {
            Self::Default(value) | Self::Required(value) | Self::Suggested(value) | Self::Absent(value) => value,
        }
    }

    /// Whether config.cfg.example comments it out.
    pub fn is_commented_out(self) -> bool {
        matches!(self, Self::Default(_) | Self::Absent(_))
    }
}

impl Key {
    /// A key without aliases.
    pub const fn new(name: &'static str, kind: Kind, unset: Unset, help: &'static str) -> Self {
        Self { name, aliases: &[], kind, unset, help }
    }

    /// The key with old spellings that stay valid.
    #[must_use]
    pub const fn or(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }
}

impl Section {
    /// A section that owns no program and takes only its declared keys.
    pub const fn new(name: &'static str, help: &'static str, keys: &'static [Key]) -> Self {
        Self { name, help, programs: &[], keys, free_keys: None }
    }

    /// The section with the programs that it owns.
    #[must_use]
    pub const fn owning(self, programs: &'static [&'static str]) -> Self {
        Self { programs, ..self }
    }

    /// The section with keys that the operator names.
    #[must_use]
    pub const fn with_free_keys(self, help: &'static str, examples: &'static [(&'static str, &'static str)]) -> Self {
        Self { free_keys: Some(FreeKeys { help, examples }), ..self }
    }

    /// The key that a line of the file means, under its name or an old spelling.
    pub fn key(&self, spelling: &str) -> Option<&'static Key> {
        let is_old = |key: &&Key| key.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(spelling));
        self.keys.iter().find(|key| key.name == spelling).or_else(|| self.keys.iter().find(is_old))
    }

    /// What stands before the `*` of a family's name; `None` for a single section.
    pub(super) fn stem(&self) -> Option<&'static str> {
        self.name.strip_suffix('*')
    }

    /// Whether a section of the file is this one, or of this family.
    pub(super) fn is(&self, name: &str) -> bool {
        self.stem().map_or(self.name == name, |stem| name.len() > stem.len() && name.starts_with(stem))
    }

    /// Whether the value of a line may not be shown: the kind of its key says so, or the name of a key that the operator
    /// named.
    pub(super) fn is_secret(&self, spelling: &str) -> bool {
        self.key(spelling).map_or_else(|| sounds_secret(spelling), |key| key.kind == Kind::Secret)
    }
}

/// The declaration of a section of the file. A single section goes before a family that its name also fits.
pub(super) fn declaration(name: &str, declared: &[&'static Section]) -> Option<&'static Section> {
    let fits = |is_family: bool| {
        declared.iter().copied().find(|section| section.stem().is_some() == is_family && section.is(name))
    };
    fits(false).or_else(|| fits(true))
}

fn sounds_secret(key: &str) -> bool {
    ["password", "passwd", "token", "secret", "apikey", "api_key"]
        .iter()
        .any(|word| key.to_ascii_lowercase().contains(word))
}

/// The hint for a section that is not declared: the nearest one, or all. Of a family the part before its `*` is compared.
pub(super) fn nearest_section(name: &str, declared: &[&'static Section]) -> String {
    let candidates = declared.iter().map(|section| {
        let stem = section.stem().and_then(|stem| Some((stem, name.find(stem.chars().last()?)? + 1)));
        match stem {
            Some((stem, end)) => Candidate::new(&name[..end], stem, format!("{stem}{}", &name[end..])),
            None => Candidate::new(name, section.name, section.name.into()),
        }
    });
    hint(candidates, declared.iter().map(|section| section.name))
}

/// The hint for a key that the section does not have: the nearest one, or all.
pub(super) fn nearest_key(name: &str, section: &Section) -> String {
    let names = section.keys.iter().map(|key| key.name);
    hint(names.clone().map(|key| Candidate::new(name, key, key.into())), names)
}

/// A name that may have been meant.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    distance: usize,
    name: String,
    /// The greatest distance that still is a typing error.
    limit: usize,
}

impl Candidate {
    fn new(typed: &str, candidate: &str, name: String) -> Self {
        let distance = strsim::damerau_levenshtein(&typed.to_lowercase(), &candidate.to_lowercase());
        Self { distance, name, limit: 2.max(candidate.len() / 3) }
    }
}

fn hint(candidates: impl Iterator<Item = Candidate>, all: impl Iterator<Item = &'static str>) -> String {
    match candidates.min().filter(|candidate| candidate.distance <= candidate.limit) {
        Some(candidate) => format!("; did you mean {}?", candidate.name),
        None => format!("; there are {}", all.collect::<Vec<_>>().join(", ")),
    }
}
