//! The values of one section, checked and with defaults.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use url::Url;

use super::file::{open_file, read_trusted};
use super::ini::{Line, Lines};
use super::kind::{Kind, address, command, names};
use super::section::{Section, Unset};
use crate::text::quote;

/// The values of one section.
pub struct Values<'a> {
    declaration: &'static Section,
    /// The name of the file.
    file: &'a str,
    /// The section's lines in the file, if it has any.
    lines: Option<&'a Lines>,
}

/// Shows no values: some are secret, and some were resolved.
impl fmt::Debug for Values<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Values of [{}]", self.section())
    }
}

impl<'a> Values<'a> {
    pub(super) fn new(declaration: &'static Section, file: &'a str, lines: Option<&'a Lines>) -> Self {
        Self { declaration, file, lines }
    }

    /// Returns the section's name in the file, or the declared name if the file does not have it.
    fn section(&self) -> &'a str {
        self.lines.map_or(self.declaration.name, |lines| &lines.name)
    }

    /// Returns the member's name, `ZZ` for `[hub ZZ]`; empty if the section is not a family.
    pub fn member(&self) -> &'a str {
        self.declaration.stem().and_then(|stem| self.section().strip_prefix(stem)).unwrap_or_default()
    }

    /// Whether the file has the key.
    pub fn gives(&self, key: &str) -> bool {
        self.line(key).is_some()
    }

    /// Returns the value of `key`, or its default; `None` if it has neither.
    ///
    /// # Errors
    /// Fails if the value is empty, carries a comment, names an environment variable or file that cannot be read, or is
    /// not of the key's kind; and if the file lacks a required key.
    pub fn text(&self, key: &str) -> Result<Option<String>> {
        let declared = self.declaration.keys.iter().find(|declared| declared.name == key);
        let declared = declared.with_context(|| format!("[{}] declares no key {key}", self.declaration.name))?;
        let Some((_, line)) = self.line(key) else {
            return match declared.unset {
                Unset::Default(value) => Ok(Some(value.into())),
                Unset::Required(_) => Err(self.missing(key)),
                Unset::Suggested(_) | Unset::Absent(_) => Ok(None),
            };
        };
        let is_secret = declared.kind == Kind::Secret;
        if line.value.contains('\n') && !matches!(declared.kind, Kind::List | Kind::Command) {
            let why =
                anyhow!("goes on in the next line, which is indented; if that is another key, begin it at the left");
            return Err(self.error(key, why));
        }
        // The arguments of a command may be secret.
        let is_shown = declared.kind != Kind::Command;
        let text = resolve(&line.value, is_secret, is_shown).map_err(|error| self.error(key, error))?;
        match declared.kind.check(&text) {
            Ok(()) => Ok(Some(text)),
            Err(mismatch) => {
                let error = mismatch.into_error(&line.value);
                let has_login_keys = self.declaration.key("username").is_some();
                let is_login = declared.kind == Kind::Url && has_login_keys && text.contains('@');
                Err(self
                    .error(key, if is_login { anyhow!("{error}; set username and password instead") } else { error }))
            }
        }
    }

    /// Returns the value of `key`, or its default.
    ///
    /// # Errors
    /// As [`Values::text`], and if the key has neither a value nor a default.
    pub fn needed(&self, key: &str) -> Result<String> {
        self.text(key)?.ok_or_else(|| self.missing(key))
    }

    /// Returns the value of `key` as [`Values::text`] does, as a text that is never shown.
    ///
    /// # Errors
    /// As [`Values::text`].
    pub fn secret(&self, key: &str) -> Result<Option<Secret>> {
        Ok(self.text(key)?.map(Secret))
    }

    /// Returns `username` and `password` of HTTP's basic authentication; `None` if neither is set.
    ///
    /// # Errors
    /// Fails if one of the two is missing, or if the username holds a colon, which would end it.
    pub fn login(&self) -> Result<Option<(String, Secret)>> {
        match (self.text("username")?, self.secret("password")?) {
            (None, None) => Ok(None),
            (Some(username), Some(password)) => {
                self.check("username", !username.contains(':'), "a name without a colon")?;
                Ok(Some((username, password)))
            }
            (Some(_), None) => Err(self.error("username", anyhow!("needs password beside it"))),
            (None, Some(_)) => Err(self.error("password", anyhow!("needs username beside it"))),
        }
    }

    /// Returns the value of `key` as an integer, or its default.
    ///
    /// # Errors
    /// As [`Values::needed`].
    pub fn number(&self, key: &str) -> Result<u64> {
        self.parsed(key, |text| text.parse().ok())
    }

    /// Returns the value of `key` as an integer; `None` if the file does not have the key, even if it has a default.
    ///
    /// # Errors
    /// As [`Values::text`].
    pub fn number_if_given(&self, key: &str) -> Result<Option<u64>> {
        if self.gives(key) { self.number(key).map(Some) } else { Ok(None) }
    }

    /// Returns the value of `key` as a port, or its default.
    ///
    /// # Errors
    /// As [`Values::needed`].
    pub fn port(&self, key: &str) -> Result<u16> {
        self.parsed(key, |text| text.parse().ok())
    }

    /// Returns the value of `key` as a number with a fraction, or its default.
    ///
    /// # Errors
    /// As [`Values::needed`].
    pub fn decimal(&self, key: &str) -> Result<f64> {
        self.parsed(key, |text| text.parse().ok())
    }

    /// Returns the value of `key` in days, or its default; `None` means for ever.
    ///
    /// # Errors
    /// As [`Values::needed`].
    pub fn days(&self, key: &str) -> Result<Option<u64>> {
        self.parsed(key, |text| if text == "forever" { Some(None) } else { text.parse().ok().map(Some) })
    }

    /// Returns the value of `key`, or its default, as the declaration spells it.
    ///
    /// # Errors
    /// As [`Values::needed`].
    pub fn word(&self, key: &str) -> Result<&'static str> {
        let words = match self.declaration.key(key).map(|declared| declared.kind) {
            Some(Kind::Word(words)) => words,
            _ => &[],
        };
        self.parsed(key, |text| words.iter().copied().find(|word| *word == text))
    }

    /// Returns the value of `key` as a list, or its default; empty if it has neither.
    ///
    /// # Errors
    /// As [`Values::text`].
    pub fn list(&self, key: &str) -> Result<Vec<String>> {
        Ok(self.text(key)?.map(|text| names(&text)).unwrap_or_default())
    }

    /// Returns the value of `key` as an absolute path.
    ///
    /// # Errors
    /// As [`Values::text`].
    pub fn path(&self, key: &str) -> Result<Option<PathBuf>> {
        Ok(self.text(key)?.map(PathBuf::from))
    }

    /// Returns the value of `key` as a URL without a login.
    ///
    /// # Errors
    /// As [`Values::text`].
    pub fn url(&self, key: &str) -> Result<Option<Url>> {
        self.text(key)?.map(|text| address(&text).map_err(|error| self.error(key, error))).transpose()
    }

    /// Returns the value of `key`, or its default, as a program and its arguments.
    ///
    /// # Errors
    /// As [`Values::needed`].
    pub fn command(&self, key: &str) -> Result<Program> {
        let argv = self.parsed(key, |text| command(text).ok())?;
        let spelling = self.spelling(key);
        let secret = argv.iter().skip(usize::from(spelling.is_none())).cloned().collect();
        Ok(Program { shown: spelling.unwrap_or_else(|| argv[0].clone()), argv, secret })
    }

    /// Returns how the file spells the value of `key` if it is `${NAME}` or `file:/path`: messages show this instead.
    pub fn spelling(&self, key: &str) -> Option<String> {
        self.line(key).map(|(_, line)| line.value.clone()).filter(|spelling| is_reference(spelling))
    }

    /// Returns the keys that the operator named, with their values, in file order.
    ///
    /// # Errors
    /// As [`Values::text`].
    pub fn free(&self) -> Result<Vec<(String, String)>> {
        let lines = self.lines.iter().flat_map(|lines| &lines.lines);
        let mut free: Vec<_> = lines.filter(|(spelling, _)| self.declaration.key(spelling).is_none()).collect();
        free.sort_by_key(|(_, line)| line.number);
        let resolved = free.into_iter().map(|(spelling, line)| {
            let value = resolve(&line.value, self.declaration.is_secret(spelling), true);
            value.map(|value| (spelling.clone(), value)).map_err(|error| self.error(spelling, error))
        });
        resolved.collect()
    }

    /// Rejects the value of `key` unless it is `good`; `what` names the expected value. The error shows the value in
    /// the file, never the resolved value or a secret.
    ///
    /// # Errors
    /// Fails if the value is not good.
    pub fn check(&self, key: &str, good: bool, what: &str) -> Result<()> {
        if good {
            return Ok(());
        }
        let value = self.line(key).map_or("", |(_, line)| line.value.as_str());
        let value = if self.declaration.is_secret(key) { "the value".into() } else { quote(value) };
        Err(self.error(key, anyhow!("{value} is not {what}")))
    }

    /// Returns an error about one key, with the file, line and section before it. `error` must not quote the value; see
    /// [`Values::refuse`].
    pub fn error(&self, key: &str, error: anyhow::Error) -> anyhow::Error {
        let (file, section) = (self.file, self.section());
        match self.line(key) {
            Some((spelling, Line { number, .. })) => anyhow!("{file} line {number}: [{section}] {spelling}: {error:#}"),
            None => anyhow!("{file}: [{section}] {key}: {error:#}"),
        }
    }

    /// Like [`Values::error`], for an error that may quote the value: a secret or resolved value is left out.
    pub fn refuse(&self, key: &str, error: anyhow::Error) -> anyhow::Error {
        let is_hidden =
            |(spelling, line): (&String, &Line)| self.declaration.is_secret(spelling) || is_reference(&line.value);
        if self.line(key).is_some_and(is_hidden) {
            return self.error(key, anyhow!("is not what this section asks for (the value is not shown)"));
        }
        self.error(key, error)
    }

    /// Returns the line of a key, and the key as spelt there.
    fn line(&self, key: &str) -> Option<(&'a String, &'a Line)> {
        let lines = &self.lines?.lines;
        let means_it = |spelling: &str| self.declaration.key(spelling).is_some_and(|declared| declared.name == key);
        lines.get_key_value(key).or_else(|| lines.iter().find(|(spelling, _)| means_it(spelling)))
    }

    /// Returns the parsed value of a key, or its parsed default.
    fn parsed<T>(&self, key: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T> {
        self.text(key)?.as_deref().and_then(parse).ok_or_else(|| self.missing(key))
    }

    fn missing(&self, key: &str) -> anyhow::Error {
        self.error(key, anyhow!("is missing; this section needs it"))
    }
}

/// Resolves a reference to the environment or a file; returns every other value unchanged.
fn resolve(value: &str, is_secret: bool, is_shown: bool) -> Result<String> {
    ensure!(!value.is_empty(), "is empty; leave the line out for the default");
    if let Some(variable) = value.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
        let text = std::env::var(variable).map_err(|_| {
            anyhow!("the environment has no {variable}; cron passes on next to nothing, so set it in the crontab")
        })?;
        return Ok(text);
    }
    if is_reference(value) {
        let path = &value["file:".len()..];
        let (text, mode) = read_trusted(open_file(Path::new(path)).with_context(|| path.to_string())?, path)?;
        ensure!(
            !is_secret || mode & 0o007 == 0,
            "{path} can be read by everybody (mode {:04o}): chmod o= {path}",
            mode & 0o7777
        );
        return Ok(text.trim_end_matches(['\r', '\n']).to_string());
    }
    let comment = [" #", " ;", "\t#", "\t;"].iter().any(|mark| value.contains(mark));
    let shown = if is_shown { quote(value) } else { "it".into() };
    ensure!(is_secret || !comment, "{shown} carries a comment; put comments on a line of their own");
    Ok(value.to_string())
}

/// Whether a value is a reference.
pub(super) fn is_reference(value: &str) -> bool {
    value.starts_with("file:/") || (value.starts_with("${") && value.ends_with('}'))
}

/// A program and its arguments.
#[derive(Clone, Debug)]
pub struct Program {
    /// The program, then the arguments; never empty.
    pub argv: Vec<String>,
    /// The program as messages show it.
    pub shown: String,
    /// Its parts that no message may show.
    pub secret: Vec<String>,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("***")
    }
}
