//! One section of config.cfg: its keys are taken one by one.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result, anyhow, ensure};

use crate::text::quote;

/// One section: takes keys one by one, and knows at the end which ones nobody asked for.
pub struct Section {
    pub(super) file: String,
    pub(super) name: String,
    /// Where its header stands; 0 when the file has none.
    pub(super) line: usize,
    pub(super) entries: BTreeMap<String, Entry>,
    /// The keys that were asked for.
    pub(super) known: Vec<&'static str>,
    /// Whether any key is right, because the keys are the operator's own names.
    pub(super) open: bool,
}

pub(super) struct Entry {
    pub(super) line: usize,
    pub(super) value: String,
}

impl Section {
    pub(super) fn new(file: &str, name: &str, line: usize) -> Self {
        Self { file: file.into(), name: name.into(), line, entries: BTreeMap::new(), known: Vec::new(), open: false }
    }

    /// The value of `key`; `None` when the file does not give it.
    ///
    /// # Errors
    /// When the value is empty, carries a comment, or names an environment variable or a file that cannot be had.
    pub fn text(&mut self, key: &'static str) -> Result<Option<String>> {
        self.known.push(key);
        let Some(Entry { value, .. }) = self.entries.get(key) else { return Ok(None) };
        self.resolve(key, value).map(Some).map_err(|error| self.error(key, error))
    }

    /// All keys and values in the order of the file, for a section whose keys are the operator's own names.
    ///
    /// # Errors
    /// As [`Section::text`].
    pub fn all(&mut self) -> Result<Vec<(String, String)>> {
        self.open = true;
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|(_, entry)| entry.line);
        let resolved = entries.into_iter().map(|(key, entry)| match self.resolve(key, &entry.value) {
            Ok(value) => Ok((key.clone(), value)),
            Err(error) => Err(self.error(key, error)),
        });
        resolved.collect()
    }

    /// The value of `key` as a number, or `default`.
    ///
    /// # Errors
    /// As [`Section::text`], and when it is not a number of this type.
    pub fn number<T: FromStr>(&mut self, key: &'static str, default: T) -> Result<T> {
        let Some(text) = self.text(key)? else { return Ok(default) };
        let number = text.parse();
        self.check(key, number.is_ok(), "a whole number in range")?;
        Ok(number.unwrap_or(default))
    }

    /// The value of `key` as one of the `words`; the first is the default.
    ///
    /// # Errors
    /// As [`Section::text`], and when it is another word.
    pub fn word<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Result<T> {
        let Some(text) = self.text(key)? else { return Ok(words[0].1) };
        let meaning = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        let all: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        self.check(key, meaning.is_some(), &format!("one of {}", all.join(", ")))?;
        Ok(meaning.unwrap_or(words[0].1))
    }

    /// The value of `key` as a list: names between commas or blanks. Empty when the file does not give it.
    ///
    /// # Errors
    /// As [`Section::text`].
    pub fn list(&mut self, key: &'static str) -> Result<Vec<String>> {
        let text = self.text(key)?.unwrap_or_default();
        Ok(text.split([',', ' ', '\t']).filter(|name| !name.is_empty()).map(String::from).collect())
    }

    /// The value of `key` as an absolute path: cron's working directory is not the operator's.
    ///
    /// # Errors
    /// As [`Section::text`], and when it is relative.
    pub fn path(&mut self, key: &'static str) -> Result<Option<PathBuf>> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        self.check(key, text.starts_with('/'), "a path that begins with /")?;
        Ok(Some(text.into()))
    }

    /// Refuses the value of `key` unless it is `good`; `what` says what it should be. The value is shown as it stands in
    /// the file, never what it was resolved to.
    ///
    /// # Errors
    /// When it is not good.
    pub fn check(&self, key: &str, good: bool, what: &str) -> Result<()> {
        let value = self.entries.get(key).map_or("", |entry| entry.value.as_str());
        if good { Ok(()) } else { Err(self.error(key, anyhow!("{} is not {what}", quote(value)))) }
    }

    /// An error of one key, with the file, the line and the section before it.
    pub fn error(&self, key: &str, error: anyhow::Error) -> anyhow::Error {
        let Self { file, name, .. } = self;
        match self.entries.get(key) {
            Some(Entry { line, .. }) => anyhow!("{file} line {line}: [{name}] {key}: {error:#}"),
            None => anyhow!("{file}: [{name}] {key}: {error:#}"),
        }
    }

    /// [`Section::error`] in words that may quote the value: they are left out where that is a secret or was resolved.
    pub fn refuse(&self, key: &str, error: anyhow::Error) -> anyhow::Error {
        let hidden = |entry: &Entry| is_secret(key) || is_reference(&entry.value);
        if self.entries.get(key).is_some_and(hidden) {
            return self.error(key, anyhow!("is not what this section asks for (the value is not shown)"));
        }
        self.error(key, error)
    }

    fn resolve(&self, key: &str, value: &str) -> Result<String> {
        ensure!(!value.is_empty(), "is empty; leave the line out for the default");
        if let Some(variable) = value.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
            let text = std::env::var(variable).map_err(|_| {
                anyhow!("the environment has no {variable}; cron passes on next to nothing, so set it in the crontab")
            })?;
            return Ok(text);
        }
        if is_reference(value) {
            let path = &value["file:".len()..];
            let mut file = File::open(path).with_context(|| path.to_string())?;
            let mode = file.metadata().with_context(|| path.to_string())?.mode();
            ensure!(
                !is_secret(key) || mode & 0o007 == 0,
                "{path} can be read by everybody (mode {:04o}): chmod o= {path}",
                mode & 0o7777
            );
            let mut text = String::new();
            file.read_to_string(&mut text).with_context(|| path.to_string())?;
            return Ok(text.trim_end_matches(['\r', '\n']).to_string());
        }
        let comment = value.contains(" #") || value.contains(" ;") || value.contains("\t#") || value.contains("\t;");
        ensure!(is_secret(key) || !comment, "{} carries a comment; put comments on a line of their own", quote(value));
        Ok(value.to_string())
    }
}

/// Text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("***")
    }
}

pub(super) fn is_secret(key: &str) -> bool {
    ["password", "passwd", "token", "secret", "apikey", "api_key"]
        .iter()
        .any(|word| key.to_ascii_lowercase().contains(word))
}

pub(super) fn is_reference(value: &str) -> bool {
    value.starts_with("file:/") || (value.starts_with("${") && value.ends_with('}'))
}

/// `; did you mean port?`, or what there is when nothing is near.
pub(super) fn nearest(name: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(&name.to_lowercase(), &candidate.to_lowercase()), candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= 2.max(candidate.len() / 3));
    match near {
        Some((_, candidate)) => format!("; did you mean {candidate}?"),
        None => format!("; there are {}", known.join(", ")),
    }
}
