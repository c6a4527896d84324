//! The lines of one file, each in its section, held to the declarations.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use ini::{Ini, ParseOption};

use super::section::{Section, declaration, nearest_key, nearest_section};
use super::values::{Values, is_reference};
use crate::text::quote;

/// The sections of one file.
pub struct Sections {
    pub(super) path: Option<PathBuf>,
    /// The name of the file, for errors.
    name: String,
    /// In the order of the file.
    sections: Vec<(&'static Section, Lines)>,
}

/// One section as it stands in the file.
pub(super) struct Lines {
    /// Its whole name.
    pub name: String,
    /// The number of its header's line.
    pub number: usize,
    /// By the keys as they are spelt.
    pub lines: BTreeMap<String, Line>,
}

/// One key as it stands in the file.
pub(super) struct Line {
    pub number: usize,
    pub value: String,
}

/// Shows no value: some are secret.
impl fmt::Debug for Sections {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Sections of {}", self.name)
    }
}

impl Sections {
    /// Reads the text of a file called `file`, which may hold the sections and keys that are `declared`.
    ///
    /// # Errors
    /// For every line that is neither a section, a key with its value, nor a comment; for everything that stands twice; for
    /// a section or key that is not declared, with the nearest name that is.
    pub fn read(text: &str, file: &str, declared: &[&'static Section]) -> Result<Self> {
        let (mut sections, plain) = scan(text, file)?;
        fill(&mut sections, &plain, file)?;
        let mut known = Vec::new();
        for lines in sections {
            let Lines { name, number, .. } = &lines;
            let declaration = declaration(name, declared).with_context(|| {
                format!("{file} line {number}: [{name}] is no section{}", nearest_section(name, declared))
            })?;
            check_keys(declaration, &lines, file)?;
            known.push((declaration, lines));
        }
        Ok(Self { path: None, name: file.into(), sections: known })
    }

    /// The file; `None` if there is none and every key has its default.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Whether the file has a section, or one of a family.
    pub fn contains(&self, section: &'static Section) -> bool {
        self.of(section).next().is_some()
    }

    /// The values of a section; those of an empty one if the file does not have it.
    pub fn values(&self, section: &'static Section) -> Values<'_> {
        Values::new(section, &self.name, self.of(section).next())
    }

    /// The values of each section of a family, in the order of the file.
    pub fn family(&self, section: &'static Section) -> Vec<Values<'_>> {
        self.of(section).map(|lines| Values::new(section, &self.name, Some(lines))).collect()
    }

    fn of(&self, section: &'static Section) -> impl Iterator<Item = &Lines> {
        let found = self.sections.iter().filter(|(declaration, _)| declaration.name == section.name);
        found.map(|(_, lines)| lines)
    }

    /// Whether a secret is written in the file itself.
    pub fn holds_secrets(&self) -> bool {
        self.sections.iter().any(|(declaration, lines)| {
            let is_written = |value: &str| !value.is_empty() && !is_reference(value);
            lines.lines.iter().any(|(key, line)| declaration.is_secret(key) && is_written(&line.value))
        })
    }
}

/// Splits a text into sections and keys, without values. Also returns what rust-ini gets: no indented comment, which it
/// takes for the beginning of a key, and a blank behind each line, without which a backslash at its end would join the next
/// one.
fn scan(text: &str, file: &str) -> Result<(Vec<Lines>, String)> {
    let mut sections: Vec<Lines> = Vec::new();
    let mut plain = String::with_capacity(text.len());
    for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let (number, line) = (at + 1, line.trim());
        if line.is_empty() || line.starts_with(['#', ';']) {
            plain.push('\n');
            continue;
        }
        // A carriage return ends a line for rust-ini; and no control character belongs into an error.
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
            // What follows a = or : may be a password that came to stand behind its section.
            let shown = line.split(['=', ':']).next().unwrap_or_default();
            let name = name.with_context(|| format!("{file} line {number}: {} is not a [section]", quote(shown)))?;
            if let Some(first) = sections.iter().find(|section| section.name == name) {
                let first = first.number;
                bail!("{file} line {number}: section [{name}] stands already at line {first}; put the two together");
            }
            sections.push(Lines { name: name.into(), number, lines: BTreeMap::new() });
            continue;
        }
        // A backslash would hide the = or : from rust-ini.
        let key = line.split_once(['=', ':']).map(|(key, _)| key.trim());
        let key = key.filter(|key| !key.is_empty() && !key.contains('\\'));
        // The line itself is not shown: it may be the second half of a password.
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

/// Lets rust-ini read the values.
fn fill(sections: &mut [Lines], plain: &str, file: &str) -> Result<()> {
    let options = ParseOption { enabled_quote: false, enabled_escape: false, ..ParseOption::default() };
    // rust-ini's own message may quote the line, which may hold a secret.
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

/// Refuses keys that are not declared, and a key that also stands under an old spelling.
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
