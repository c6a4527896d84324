//! Declarations: the name of a section, its keys, and their purpose.

use super::kind::Kind;

/// A section of config.cfg, or a family of sections.
#[derive(Debug)]
pub struct Section {
    /// Its name. A name that ends with `*` declares a family: `hub *` matches `[hub ZZ]` and every other `[hub …]`.
    pub name: &'static str,
    /// One sentence for docs/configuration.md.
    pub help: &'static str,
    /// The programs whose deadline and interval its keys `deadline_seconds` and `interval_seconds` set.
    pub programs: &'static [&'static str],
    /// Its keys, in the order of config.cfg.example.
    pub keys: &'static [Key],
    /// The keys that the operator may name; `None` rejects them.
    pub free_keys: Option<FreeKeys>,
    /// Whether its keys may be spelt in upper or lower case, as in the files of QULo.
    pub ignores_case: bool,
    /// Whether that it stands in the file selects something, so that config.cfg.example has it commented out.
    pub is_chosen_by_name: bool,
}

/// Keys that the operator names.
#[derive(Debug)]
pub struct FreeKeys {
    /// The meaning of a key and its value, for config.cfg.example and docs/configuration.md.
    pub help: &'static str,
    /// Keys and values for config.cfg.example, commented out there. If it is empty and the section has no other keys,
    /// config.cfg.example omits the section.
    pub examples: &'static [(&'static str, &'static str)],
}

/// A key of a section.
#[derive(Debug)]
pub struct Key {
    /// Its name, with the unit at the end.
    pub name: &'static str,
    /// Old spellings that remain valid, in upper or lower case.
    pub aliases: &'static [&'static str],
    /// The kind of its value.
    pub kind: Kind,
    /// The effect of leaving it out.
    pub unset: Unset,
    /// Its effect and unit, and when to change it. Adjacent keys with the same text share one comment in
    /// config.cfg.example.
    pub help: &'static str,
}

/// The effect of leaving out a key, and the value that config.cfg.example shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unset {
    /// This value applies. The example shows it, commented out.
    Default(&'static str),
    /// The section is rejected. The example shows this value.
    Required(&'static str),
    /// The help tells the effect. The example shows this value, since most operators set the key.
    Suggested(&'static str),
    /// The help tells the effect. The example shows this value, commented out.
    Absent(&'static str),
}

impl Unset {
    /// Returns the value that config.cfg.example shows.
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
    /// Declares a key without aliases.
    pub const fn new(name: &'static str, kind: Kind, unset: Unset, help: &'static str) -> Self {
        Self { name, aliases: &[], kind, unset, help }
    }

    /// Declares the deadline of the runs of the programs that the section owns.
    pub const fn deadline(default: &'static str) -> Self {
        let help = "A run ends after this many seconds at the latest, its sources 15 s earlier. Shorter than the interval in the crontab.";
        Self::new("deadline_seconds", Kind::Seconds(2, 3600), Unset::Default(default), help)
    }

    /// Declares the interval of the programs that the section owns, at most `most` seconds.
    pub const fn interval(default: &'static str, most: u64) -> Self {
        let help = "The seconds between two runs; times of points are rounded down to it. Change it together with the crontab.";
        Self::new("interval_seconds", Kind::Seconds(10, most), Unset::Default(default), help)
    }

    /// Adds old spellings that remain valid.
    #[must_use]
    pub const fn or(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }
}

impl Section {
    /// Declares a section that owns no program and has only its declared keys.
    pub const fn new(name: &'static str, help: &'static str, keys: &'static [Key]) -> Self {
        Self { name, help, programs: &[], keys, free_keys: None, ignores_case: false, is_chosen_by_name: false }
    }

    /// Adds the programs that the section owns.
    #[must_use]
    pub const fn owning(self, programs: &'static [&'static str]) -> Self {
        Self { programs, ..self }
    }

    /// Allows keys that the operator names.
    #[must_use]
    pub const fn with_free_keys(self, help: &'static str, examples: &'static [(&'static str, &'static str)]) -> Self {
        Self { free_keys: Some(FreeKeys { help, examples }), ..self }
    }

    /// Accepts its keys in upper and lower case.
    #[must_use]
    pub const fn in_any_case(self) -> Self {
        Self { ignores_case: true, ..self }
    }

    /// Says that the section selects something by standing in the file.
    #[must_use]
    pub const fn chosen_by_name(self) -> Self {
        Self { is_chosen_by_name: true, ..self }
    }

    /// Returns the key with this name or old spelling.
    pub fn key(&self, spelling: &str) -> Option<&'static Key> {
        let is_old = |key: &&Key| key.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(spelling));
        let is_name = |key: &&Key| key.name == spelling || self.ignores_case && key.name.eq_ignore_ascii_case(spelling);
        self.keys.iter().find(is_name).or_else(|| self.keys.iter().find(is_old))
    }

    /// Returns the part of a family's name before the `*`; `None` for a single section.
    pub(super) fn stem(&self) -> Option<&'static str> {
        self.name.strip_suffix('*')
    }

    /// Whether a section of the file is this one, or a member of this family.
    pub(super) fn is(&self, name: &str) -> bool {
        self.stem().map_or(self.name == name, |stem| name.len() > stem.len() && name.starts_with(stem))
    }

    /// Whether the value of a line must not be shown, by the kind of its key or by the name of a key that the operator
    /// named.
    pub(super) fn is_secret(&self, spelling: &str) -> bool {
        self.key(spelling).map_or_else(|| sounds_secret(spelling), |key| key.kind == Kind::Secret)
    }
}

/// Returns the declaration of a section of the file. A single section takes precedence over a matching family.
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

/// Returns the hint for an undeclared section: the nearest one, or all. For a family it compares the part before the
/// `*`.
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

/// Returns the hint for an undeclared key: the nearest one, or all.
pub(super) fn nearest_key(name: &str, section: &Section) -> String {
    let names = section.keys.iter().map(|key| key.name);
    hint(names.clone().map(|key| Candidate::new(name, key, key.into())), names)
}

/// A possibly intended name.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    distance: usize,
    name: String,
    /// The largest distance that still counts as a typing error.
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
