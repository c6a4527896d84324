//! Splits a file into sections and lines, and checks them against the declarations.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use ini::{Ini, ParseOption};

use super::python;
use super::section::{Section, declaration, nearest_key, nearest_section};
use super::values::{Values, is_reference};
use crate::text::quote;

/// The sections of one file.
pub struct Sections {
    pub(super) path: Option<PathBuf>,
    /// The name of the file, for errors.
    name: String,
    /// In file order.
    sections: Vec<(&'static Section, Lines)>,
    /// What is left out, if the dialect allows that: a sentence for each.
    unknown: Vec<String>,
}

/// By which rules a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// This toolkit's: each slip of the pen is an error.
    Own,
    /// QULo's, which are those of Python's configparser. A section that nobody declares is left out and named.
    Qulos,
}

/// One section of the file.
pub(super) struct Lines {
    /// Its whole name.
    pub name: String,
    /// The line number of its header.
    pub number: usize,
    /// Keyed by the spelling in the file.
    pub lines: BTreeMap<String, Line>,
}

/// The line of one key in the file.
#[derive(Clone)]
pub(super) struct Line {
    pub number: usize,
    /// In QULo's files it may have several lines.
    pub value: String,
}

/// Shows no values, since some are secret.
impl fmt::Debug for Sections {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Sections of {}", self.name)
    }
}

impl Sections {
    /// Parses the text of a file called `file`; `declared` are the allowed sections and keys.
    ///
    /// ```
    /// use gridmon::config::{Key, Kind, Section, Sections, Unset};
    ///
    /// static SECTION: Section = Section::new(
    ///     "uptime",
    ///     "Says where the uptime is read.",
    ///     &[Key::new("timeout_seconds", Kind::Seconds(1, 60), Unset::Default("5"), "How long it may take, in seconds.")],
    /// );
    /// let read = |text: &str| Sections::read(text, "config.cfg", &[&SECTION]);
    ///
    /// assert_eq!(read("[uptime]\ntimeout_seconds = 7").unwrap().values(&SECTION).number("timeout_seconds").unwrap(), 7);
    /// assert_eq!(read("").unwrap().values(&SECTION).number("timeout_seconds").unwrap(), 5, "the default");
    /// let error = read("[uptime]\ntimeout_second = 7").unwrap_err().to_string();
    /// assert_eq!(error, "config.cfg line 2: [uptime] has no key \"timeout_second\"; did you mean timeout_seconds?");
    /// ```
    ///
    /// # Errors
    /// Fails for every line that is not a section, a key with a value, or a comment; for every duplicate section or
    /// key; and for an undeclared section or key, with the nearest declared name.
    pub fn read(text: &str, file: &str, declared: &[&'static Section]) -> Result<Self> {
        Self::read_with(text, file, declared, Dialect::Own)
    }

    /// Parses a text as [`Sections::read`] does, in a `dialect`.
    ///
    /// # Errors
    /// As [`Sections::read`].
    pub fn read_with(text: &str, file: &str, declared: &[&'static Section], dialect: Dialect) -> Result<Self> {
        let (sections, unknown) = match dialect {
            Dialect::Own => (strict(text, file)?, Vec::new()),
            Dialect::Qulos => {
                let parsed = python::parse(text, file, declared)?;
                (parsed.sections, parsed.unused)
            }
        };
        let mut read = Self { path: None, name: file.into(), sections: Vec::new(), unknown };
        for lines in sections {
            let Lines { name, number, .. } = &lines;
            let Some(declaration) = declaration(name, declared) else {
                let text = format!("{file} line {number}: unknown section [{name}]");
                ensure!(dialect == Dialect::Qulos, "{text}{}", nearest_section(name, declared));
                read.unknown.push(format!("{text} is left out"));
                continue;
            };
            check_keys(declaration, &lines, file)?;
            read.sections.push((declaration, lines));
        }
        Ok(read)
    }

    /// Takes the keys of other sections over: a key that both have gets the other's value.
    pub fn overlay(&mut self, other: Self) {
        for (declaration, lines) in other.sections {
            match self.sections.iter_mut().find(|(_, mine)| mine.name == lines.name) {
                None => self.sections.push((declaration, lines)),
                Some((_, mine)) => {
                    let name = |key: &str| declaration.key(key).map(|key| key.name);
                    mine.lines.retain(|key, _| !lines.lines.keys().any(|other| name(other) == name(key)));
                    mine.lines.extend(lines.lines);
                }
            }
        }
    }

    /// Returns a sentence for each section, and for each key of `[DEFAULT]`, that was left out.
    pub fn left_out(&self) -> &[String] {
        &self.unknown
    }

    /// Returns the file; `None` if there is no file and every key has its default.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Whether the file has the section, or a member of the family.
    pub fn contains(&self, section: &'static Section) -> bool {
        self.of(section).next().is_some()
    }

    /// Returns the values of a section; only defaults if the file does not have it.
    pub fn values(&self, section: &'static Section) -> Values<'_> {
        Values::new(section, &self.name, self.of(section).next())
    }

    /// Returns the values of each section of a family, in file order.
    pub fn family(&self, section: &'static Section) -> Vec<Values<'_>> {
        self.of(section).map(|lines| Values::new(section, &self.name, Some(lines))).collect()
    }

    fn of(&self, section: &'static Section) -> impl Iterator<Item = &Lines> {
        let found = self.sections.iter().filter(|(declaration, _)| declaration.name == section.name);
        found.map(|(_, lines)| lines)
    }

    /// Whether the file itself contains a secret.
    pub fn holds_secrets(&self) -> bool {
        self.sections.iter().any(|(declaration, lines)| {
            let is_written = |value: &str| !value.is_empty() && !is_reference(value);
            lines.lines.iter().any(|(key, line)| declaration.is_secret(key) && is_written(&line.value))
        })
    }
}

/// Parses a text by the toolkit's own rules.
fn strict(text: &str, file: &str) -> Result<Vec<Lines>> {
    let (mut sections, plain) = scan(text, file)?;
    fill(&mut sections, &plain, file)?;
    Ok(sections)
}

/// Splits a text into sections and keys, without values.
///
/// Also returns the text for rust-ini, without indented comments, which it takes for the start of a key, and with a
/// blank after each line, since a backslash at the end of a line would join it to the next one.
fn scan(text: &str, file: &str) -> Result<(Vec<Lines>, String)> {
    let mut sections: Vec<Lines> = Vec::new();
    let mut plain = String::with_capacity(text.len());
    for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let (number, line) = (at + 1, line.trim());
        if line.is_empty() || line.starts_with(['#', ';']) {
            plain.push('\n');
            continue;
        }
        // rust-ini ends a line at a carriage return; and an error must not contain control characters.
        ensure!(
            !line.contains(|c: char| c.is_control() && c != '\t'),
            "{file} line {number}: a control character stands in it"
        );
        plain.push_str(line);
        plain.push_str(" \n");
        if let Some(header) = line.strip_prefix('[') {
            let name = header
                .strip_suffix(']')
                .map(str::trim)
                .filter(|name| !name.is_empty() && !name.contains([']', '[', '\\']));
            // The text after a = or : may be a password that was typed after the section.
            let shown = line.split(['=', ':']).next().unwrap_or_default();
            let name = name.with_context(|| format!("{file} line {number}: {} is not a [section]", quote(shown)))?;
            if let Some(first) = sections.iter().find(|section| section.name == name) {
                let first = first.number;
                bail!("{file} line {number}: section [{name}] stands already at line {first}; put the two together");
            }
            sections.push(Lines { name: name.into(), number, lines: BTreeMap::new() });
            continue;
        }
        // rust-ini would not see an = or : after a backslash.
        let key = line.split_once(['=', ':']).map(|(key, _)| key.trim());
        let key = key.filter(|key| !key.is_empty() && !key.contains('\\'));
        // The error does not show the line: it may be the second half of a password.
        let key =
            key.with_context(|| format!("{file} line {number}: not KEY = VALUE, nor a [section], nor a # comment"))?;
        let section = sections.last_mut();
        let section =
            section.with_context(|| format!("{file} line {number}: {} stands before any [section]", quote(key)))?;
        if let Some(first) = section.lines.insert(key.into(), Line { number, value: String::new() }) {
            let (name, first) = (&section.name, first.number);
            bail!("{file} line {number}: [{name}] {key} stands already at line {first}; remove one");
        }
    }
    Ok((sections, plain))
}

/// Reads the values with rust-ini.
fn fill(sections: &mut [Lines], plain: &str, file: &str) -> Result<()> {
    let options = ParseOption { enabled_quote: false, enabled_escape: false, ..ParseOption::default() };
    // rust-ini's own message may quote the line, which may contain a secret.
    let ini = Ini::load_from_str_opt(plain, options)
        .map_err(|error| anyhow!("{file} line {}: cannot be read as INI", error.line))?;
    for (name, properties) in &ini {
        for (key, value) in properties.iter() {
            let section = sections.iter_mut().find(|section| Some(section.name.as_str()) == name);
            let line = section.and_then(|section| section.lines.get_mut(key));
            line.with_context(|| format!("{file}: its lines cannot be told apart"))?.value = value.trim().into();
        }
    }
    Ok(())
}

/// Rejects undeclared keys, and a key that is also given under an old spelling.
fn check_keys(declaration: &'static Section, section: &Lines, file: &str) -> Result<()> {
    let name = &section.name;
    let mut lines: Vec<_> = section.lines.iter().collect();
    lines.sort_by_key(|(_, line)| line.number);
    let mut given = BTreeMap::new();
    for (spelling, Line { number, .. }) in lines {
        let Some(key) = declaration.key(spelling) else {
            ensure!(
                declaration.free_keys.is_some(),
                "{file} line {number}: [{name}] has no key {}{}",
                quote(spelling),
                nearest_key(spelling, declaration)
            );
            continue;
        };
        if let Some((first, at)) = given.insert(key.name, (spelling, number)) {
            bail!("{file} line {number}: [{name}] {spelling} stands already at line {at} as {first}; remove one");
        }
    }
    Ok(())
}
