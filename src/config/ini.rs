//! The sections of one file, read strictly.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail, ensure};
use ini::{Ini, ParseOption};

use super::section::{Entry, Section, is_reference, is_secret, nearest};
use crate::text::quote;

/// The sections of one file.
pub struct Sections {
    sections: BTreeMap<String, Section>,
}

impl Sections {
    /// Reads the text of a file called `file`.
    ///
    /// # Errors
    /// For every line that is neither a section, a key with its value, nor a comment, and for whatever stands twice.
    pub fn read(text: &str, file: &str) -> Result<Self> {
        let mut sections = BTreeMap::<String, Section>::new();
        let mut current = None;
        // What rust-ini gets: no indented comment, which it takes for the beginning of a key, and a blank behind each
        // line, without which a backslash at its end would join the next one.
        let mut plain = String::with_capacity(text.len());
        for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let (at, line) = (at + 1, line.trim());
            if line.is_empty() || line.starts_with(['#', ';']) {
                plain.push('\n');
                continue;
            }
            // A carriage return ends a line for rust-ini; and none of these belongs into an error.
            ensure!(
                !line.contains(|c: char| c.is_control() && c != '\t'),
                "{file} line {at}: a control character stands in it"
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
                let name = name.with_context(|| format!("{file} line {at}: {} is not a [section]", quote(shown)))?;
                if let Some(first) = sections.get(name) {
                    bail!(
                        "{file} line {at}: section [{name}] stands already at line {}; put the two together",
                        first.line
                    );
                }
                sections.insert(name.into(), Section::new(file, name, at));
                current = Some(name);
                continue;
            }
            // A backslash would hide the = or : from rust-ini.
            let key = line.split_once(['=', ':']).map(|(key, _)| key.trim());
            let key = key.filter(|key| !key.is_empty() && !key.contains('\\'));
            // The line itself is not shown: it may be the second half of a password.
            let key =
                key.with_context(|| format!("{file} line {at}: not KEY = VALUE, nor a [section], nor a # comment"))?;
            let section = current.and_then(|name| sections.get_mut(name));
            let section =
                section.with_context(|| format!("{file} line {at}: {} stands before any [section]", quote(key)))?;
            if let Some(first) = section.entries.insert(key.into(), Entry { line: at, value: String::new() }) {
                bail!("{file} line {at}: [{}] {key} stands already at line {}; remove one", section.name, first.line);
            }
        }
        let options = ParseOption { enabled_quote: false, enabled_escape: false, ..ParseOption::default() };
        // rust-ini's own words may quote the line, which may hold a secret.
        let ini = Ini::load_from_str_opt(&plain, options)
            .map_err(|error| anyhow!("{file} line {}: cannot be read as INI", error.line))?;
        for (name, properties) in &ini {
            for (key, value) in properties.iter() {
                let section = name.and_then(|name| sections.get_mut(name));
                let entry = section.and_then(|section| section.entries.get_mut(key));
                entry.with_context(|| format!("{file}: its lines cannot be told apart"))?.value = value.trim().into();
            }
        }
        Ok(Self { sections })
    }

    /// Whether the file has a section.
    pub fn contains(&self, name: &str) -> bool {
        self.sections.get(name).is_some_and(|section| section.line > 0)
    }

    /// A section; empty when the file has none of this name.
    pub fn section(&mut self, name: &str) -> &mut Section {
        self.sections.entry(name.into()).or_insert_with(|| Section::new("config.cfg", name, 0))
    }

    /// The keys of each section that were asked for.
    pub fn keys(self) -> BTreeMap<String, Vec<&'static str>> {
        self.sections.into_iter().map(|(name, section)| (name, section.known)).collect()
    }

    /// Whether a secret is written in the file itself.
    pub fn holds_secrets(&self) -> bool {
        let secret =
            |(key, entry): (&String, &Entry)| is_secret(key) && !entry.value.is_empty() && !is_reference(&entry.value);
        self.sections.values().any(|section| section.entries.iter().any(secret))
    }

    /// Refuses sections and keys that nobody asked for, but for the sections that are `accepted` whole.
    ///
    /// # Errors
    /// For the first of them, with the nearest name that would be right.
    pub fn finish(self, accepted: &[&str]) -> Result<()> {
        let read = self.sections.values().filter(|section| section.open || !section.known.is_empty());
        let known: Vec<_> = read.map(|section| section.name.as_str()).chain(accepted.iter().copied()).collect();
        for section in self.sections.values() {
            let Section { file, name, line, .. } = section;
            if section.open || accepted.contains(&name.as_str()) {
                continue;
            }
            ensure!(
                known.contains(&name.as_str()),
                "{file} line {line}: [{name}] is no section{}",
                nearest(name, &known)
            );
            if let Some((key, entry)) = section.entries.iter().find(|(key, _)| !section.known.contains(&key.as_str())) {
                bail!("{file} line {}: [{name}] has no key {}{}", entry.line, quote(key), nearest(key, &section.known));
            }
        }
        Ok(())
    }
}
