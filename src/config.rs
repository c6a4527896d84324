//! config.cfg: read strictly, so that a slip of the pen is an error with its line and never a silent default.
//!
//! The file is INI. rust-ini reads the values; it passes over repeated sections, lets a line without `=` swallow the
//! next one and knows no line numbers, so every line is looked at here first. A value may be `${NAME}`, taken from the
//! environment, or `file:/path`, taken from that file.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail, ensure};
use ini::{Ini, ParseOption};

use crate::point::quote;
use crate::sinks::{carbon, embedded};
#[cfg(feature = "grid")]
use crate::sources::{cloud_scheduler, htcondor};
use crate::spool;

/// Everything that config.cfg says, with defaults where it says nothing.
#[derive(Debug)]
pub struct Config {
    /// The file; `None` when there is none and all is default.
    pub path: Option<PathBuf>,
    /// `[grid]`.
    pub grid: Grid,
    /// `[htcondor]` and `[job_types]`; `None` when the file names Cloud Scheduler alone.
    #[cfg(feature = "grid")]
    pub htcondor: Option<htcondor::Config>,
    /// `[cloud_scheduler]`; `None` when the file names HTCondor alone.
    #[cfg(feature = "grid")]
    pub cloud_scheduler: Option<cloud_scheduler::Config>,
    /// `[carbon]`; `None` unless it names a host.
    pub carbon: Option<carbon::Config>,
    /// `[dashboard]`.
    #[cfg(feature = "dashboard")]
    pub dashboard: crate::dashboard::Config,
    /// `[graphite]`; `None` unless it names an address.
    #[cfg(feature = "http")]
    pub graphite: Option<crate::sinks::graphite::Config>,
    /// `[embedded]`.
    pub embedded: embedded::Config,
    /// `[spool]`.
    pub spool: spool::Config,
    /// `[state] directory`.
    pub state_directory: Option<PathBuf>,
}

/// `[grid]`: what the points are filed under, and how a run behaves.
#[derive(Debug)]
pub struct Grid {
    /// The grid's name, the `G` of `grids.G.…`; the first label of this host's name by default.
    pub name: String,
    /// A run ends after this many seconds at the latest, sources 15 s earlier; 50 by default.
    pub deadline_seconds: u64,
    /// Whether `util.live_hosts.G.HOST` is sent for each live virtual machine: `send` or `skip` (default). It makes a
    /// new Graphite metric for every machine that ever ran.
    pub live_hosts: bool,
}

/// The sections that QMonit's config.cfg had for servers; valid, and read by the programs that need them.
const CREDENTIALS: [&str; 4] =
    ["credentials", "credentials_elasticsearch", "credentials_monit_grafana", "credentials_adcmon"];

impl Config {
    /// Reads the first of `path`, `./config.cfg` and `/etc/gridmon/config.cfg`; the defaults when there is none.
    ///
    /// # Errors
    /// When `path` is given and cannot be read, when the file is open to the wrong people, and for every mistake in it,
    /// with the line and the nearest name that would be right.
    pub fn load(path: Option<&Path>) -> Result<Self> {
        let found = match path {
            Some(path) => Some((path, File::open(path).with_context(|| path.display().to_string())?)),
            None => ["config.cfg", "/etc/gridmon/config.cfg"]
                .iter()
                .map(Path::new)
                .find_map(|path| match File::open(path) {
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                    opened => Some(opened.with_context(|| path.display().to_string()).map(|file| (path, file))),
                })
                .transpose()?,
        };
        let Some((path, mut file)) = found else {
            return Self::parse("", "config.cfg").map(|(config, _)| config);
        };
        let name = path.display().to_string();
        let owner = file.metadata().with_context(|| name.clone())?;
        let (uid, mode) = (rustix::process::geteuid().as_raw(), owner.mode());
        ensure!(owner.is_file(), "{name}: not a file");
        ensure!(
            owner.uid() == uid || owner.uid() == 0,
            "{name}: belongs to user {}, who could make it run any command; give it to root or to user {uid}: chown {uid} {name}",
            owner.uid()
        );
        ensure!(
            mode & 0o022 == 0,
            "{name}: others than its owner can write it (mode {:04o}), and it names commands: chmod go-w {name}",
            mode & 0o7777
        );
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(|| format!("{name}: not a text in UTF-8"))?;
        let (mut config, holds_secrets) = Self::parse(&text, &name)?;
        config.path = Some(path.to_path_buf());
        ensure!(
            !holds_secrets || mode & 0o007 == 0,
            "{name}: holds a password or token that everybody can read (mode {:04o}): chmod o= {name}",
            mode & 0o7777
        );
        Ok(config)
    }

    /// Reads the text of a config.cfg called `name`; also tells whether a secret is written in it.
    ///
    /// # Errors
    /// For every mistake in it, as [`Config::load`].
    pub fn parse(text: &str, name: &str) -> Result<(Self, bool)> {
        let mut sections = Sections::read(text, name)?;
        let config = Self::from_sections(&mut sections)?;
        let holds_secrets = sections.holds_secrets();
        sections.finish()?;
        Ok((config, holds_secrets))
    }

    fn from_sections(sections: &mut Sections) -> Result<Self> {
        let grid = Grid::read(sections.section("grid"))?;
        #[cfg(feature = "http")]
        let graphite = crate::sinks::graphite::Config::read(sections.section("graphite"))?;
        #[cfg(not(feature = "http"))]
        sections.section("graphite").needs_http("url")?;
        #[cfg(feature = "grid")]
        let (htcondor, cloud_scheduler) = {
            // A file that names one of the two sources means that one; one that names neither means both.
            let neither = !sections.contains("htcondor") && !sections.contains("cloud_scheduler");
            let (with_htcondor, with_clouds) =
                (neither || sections.contains("htcondor"), neither || sections.contains("cloud_scheduler"));
            let rules = htcondor::Rules::read(sections.section("job_types"))?;
            let htcondor = htcondor::Config::read(sections.section("htcondor"), rules)?;
            let clouds = cloud_scheduler::Config::read(sections.section("cloud_scheduler"))?;
            (with_htcondor.then_some(htcondor), with_clouds.then_some(clouds))
        };
        Ok(Self {
            path: None,
            grid,
            #[cfg(feature = "grid")]
            htcondor,
            #[cfg(feature = "grid")]
            cloud_scheduler,
            carbon: carbon::Config::read(
                sections.section("carbon"),
                #[cfg(feature = "http")]
                graphite.clone(),
            )?,
            #[cfg(feature = "dashboard")]
            dashboard: crate::dashboard::Config::read(sections.section("dashboard"))?,
            #[cfg(feature = "http")]
            graphite,
            embedded: embedded::Config::read(sections.section("embedded"))?,
            spool: spool::Config::read(sections.section("spool"))?,
            state_directory: sections.section("state").path("directory")?,
        })
    }

    /// The keys of each section that are read, for the test that holds config.cfg.example to them.
    #[doc(hidden)]
    pub fn keys() -> BTreeMap<String, Vec<&'static str>> {
        let mut sections = Sections::read("", "config.cfg").expect("an empty text has no mistakes");
        Self::from_sections(&mut sections).expect("the defaults have no mistakes");
        sections.sections.into_iter().map(|(name, section)| (name, section.known)).collect()
    }
}

impl Grid {
    fn read(section: &mut Section) -> Result<Self> {
        let host = crate::cli::host_name();
        let deadline_seconds = section.number("deadline_seconds", 50)?;
        section.check("deadline_seconds", (2..=3600).contains(&deadline_seconds), "2 to 3600 seconds")?;
        Ok(Self {
            name: section.text("name")?.unwrap_or(if host.is_empty() { "grid".into() } else { host }),
            deadline_seconds,
            live_hosts: section.word("live_hosts", &[("skip", false), ("send", true)])?,
        })
    }
}

/// The sections of one file.
pub struct Sections {
    sections: BTreeMap<String, Section>,
}

/// One section: takes keys one by one, and knows at the end which ones nobody asked for.
pub struct Section {
    file: String,
    name: String,
    /// Where its header stands; 0 when the file has none.
    line: usize,
    entries: BTreeMap<String, Entry>,
    /// The keys that were asked for.
    known: Vec<&'static str>,
    /// Whether any key is right, because the keys are the operator's own names.
    open: bool,
}

struct Entry {
    line: usize,
    value: String,
}

impl Sections {
    fn read(text: &str, file: &str) -> Result<Self> {
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

    #[cfg(feature = "grid")]
    fn contains(&self, name: &str) -> bool {
        self.sections.get(name).is_some_and(|section| section.line > 0)
    }

    fn section(&mut self, name: &str) -> &mut Section {
        self.sections.entry(name.into()).or_insert_with(|| Section::new("config.cfg", name, 0))
    }

    fn holds_secrets(&self) -> bool {
        let secret =
            |(key, entry): (&String, &Entry)| is_secret(key) && !entry.value.is_empty() && !is_reference(&entry.value);
        self.sections.values().any(|section| section.entries.iter().any(secret))
    }

    /// Refuses sections and keys that nobody asked for.
    fn finish(self) -> Result<()> {
        let read = self.sections.values().filter(|section| section.open || !section.known.is_empty());
        let known: Vec<_> = read.map(|section| section.name.as_str()).chain(CREDENTIALS).collect();
        for section in self.sections.values() {
            let Section { file, name, line, .. } = section;
            if section.open || CREDENTIALS.contains(&name.as_str()) {
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

impl Section {
    fn new(file: &str, name: &str, line: usize) -> Self {
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

    /// Refuses `key`: what it asks for takes HTTP.
    ///
    /// # Errors
    /// When the file gives it.
    #[cfg(not(feature = "http"))]
    pub fn needs_http(&mut self, key: &'static str) -> Result<()> {
        match self.text(key)? {
            Some(_) => {
                Err(self.error(key, anyhow!("this program was built without HTTP; build it with --features http")))
            }
            None => Ok(()),
        }
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

fn is_secret(key: &str) -> bool {
    ["password", "passwd", "token", "secret", "apikey", "api_key"]
        .iter()
        .any(|word| key.to_ascii_lowercase().contains(word))
}

fn is_reference(value: &str) -> bool {
    value.starts_with("file:/") || (value.starts_with("${") && value.ends_with('}'))
}

/// `; did you mean port?`, or what there is when nothing is near.
fn nearest(name: &str, known: &[&str]) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        format!("{:#}", Config::parse(text, "c.cfg").expect_err(text))
    }

    #[test]
    fn every_kind_of_mistake_is_named_with_its_line_and_the_way_out() {
        for (text, expected) in [
            ("[carbon]\nhost = a\nprot = 2003", "c.cfg line 3: [carbon] has no key \"prot\"; did you mean port?"),
            ("[carbon]\nHost = a", "c.cfg line 2: [carbon] has no key \"Host\"; did you mean host?"),
            ("[state]\nwhatever = a", "c.cfg line 2: [state] has no key \"whatever\"; there are directory"),
            ("\n[cabron]\nhost = a", "c.cfg line 2: [cabron] is no section; did you mean carbon?"),
            ("[grid]\n[carbon]\n[grid]", "c.cfg line 3: section [grid] stands already at line 1; put the two together"),
            ("[grid]\nname = a\nname = b", "c.cfg line 3: [grid] name stands already at line 2; remove one"),
            ("name = a", "c.cfg line 1: \"name\" stands before any [section]"),
            ("[grid]\nname", "c.cfg line 2: not KEY = VALUE, nor a [section], nor a # comment"),
            ("[grid]\n= a", "c.cfg line 2: not KEY = VALUE, nor a [section], nor a # comment"),
            ("[grid\nname = a", "c.cfg line 1: \"[grid\" is not a [section]"),
            ("[grid] # mine", "c.cfg line 1: \"[grid] # mine\" is not a [section]"),
            ("[grid]\nname = a\rb = c", "c.cfg line 2: a control character stands in it"),
            ("[gr\u{1b}id]", "c.cfg line 1: a control character stands in it"),
            ("[grid]\nna\\=me : x", "c.cfg line 2: not KEY = VALUE, nor a [section], nor a # comment"),
            ("[grid]\nname =", "c.cfg line 2: [grid] name: is empty; leave the line out for the default"),
            (
                "[carbon]\nport = 2004 # pickle",
                "c.cfg line 2: [carbon] port: \"2004 # pickle\" carries a comment; put comments on a line of their own",
            ),
            ("[carbon]\nport = pickle", "c.cfg line 2: [carbon] port: \"pickle\" is not a whole number in range"),
            ("[carbon]\nport = 70000", "c.cfg line 2: [carbon] port: \"70000\" is not a whole number in range"),
            ("[carbon]\nport = 0", "c.cfg line 2: [carbon] port: \"0\" is not a port"),
            (
                "[carbon]\nhost = a:2004 b",
                "c.cfg line 2: [carbon] host: \"a:2004 b\" is not the name or address of one host; the port has a key of its own",
            ),
            (
                "[carbon]\nacknowledge = yes",
                "c.cfg line 2: [carbon] acknowledge: \"yes\" is not one of fin, readback, none",
            ),
            ("[grid]\ndeadline_seconds = 1", "c.cfg line 2: [grid] deadline_seconds: \"1\" is not 2 to 3600 seconds"),
            (
                "[state]\ndirectory = state",
                "c.cfg line 2: [state] directory: \"state\" is not a path that begins with /",
            ),
            (
                "[grid]\nname = ${NO_SUCH_VARIABLE}",
                "c.cfg line 2: [grid] name: the environment has no NO_SUCH_VARIABLE; cron passes on next to nothing, so set it in the crontab",
            ),
            (
                "[grid]\nname = file:/no/such/file",
                "c.cfg line 2: [grid] name: /no/such/file: No such file or directory (os error 2)",
            ),
            #[cfg(feature = "grid")]
            (
                "[htcondor]\nschedds = all, ce01",
                "c.cfg line 2: [htcondor] schedds: \"all, ce01\" is not all, local or names of schedds",
            ),
            #[cfg(feature = "grid")]
            ("[htcondor]\npool = -direct", "c.cfg line 2: [htcondor] pool: \"-direct\" is not the name of a collector"),
            #[cfg(feature = "grid")]
            (
                "[htcondor]\ncondor_q = condor_q | tee",
                "c.cfg line 2: [htcondor] condor_q: no shell runs this: give a program and its arguments, or put the rest into a script",
            ),
            #[cfg(feature = "grid")]
            (
                "[cloud_scheduler]\nurl = csv1:8111",
                "c.cfg line 2: [cloud_scheduler] url: is no http:// or https:// address",
            ),
            #[cfg(feature = "grid")]
            (
                "[job_types]\nSmall = RequestCpus",
                "c.cfg line 2: [job_types] Small: \"RequestCpus\" is not ATTRIBUTE = VALUE | VALUE…; join several with \" and \"",
            ),
        ] {
            assert_eq!(error(text), expected);
        }
    }

    #[test]
    fn values_come_from_the_file_the_environment_and_other_files() {
        let text = "\u{feff}# comment\r\n; comment\r\n[grid]\r\n name : b#2 \r\n[carbon]\nhost = ${PATH}\n";
        let path = std::env::var("PATH").unwrap();
        // A search path is no host, but the error shows that it was read.
        assert!(error(text).starts_with("c.cfg line 6: [carbon] host: "), "{path}");
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("LICENSE");
        let (config, _) = Config::parse(&format!("[grid]\nname = file:{}", file.display()), "c.cfg").unwrap();
        assert_eq!(config.grid.name.lines().next(), Some("MIT License"));
        let (config, _) = Config::parse("[grid]\nname = b#2", "c.cfg").unwrap();
        assert_eq!(config.grid.name, "b#2");
    }

    #[test]
    fn a_backslash_joins_no_lines_and_a_comment_may_be_indented() {
        let text =
            "[credentials]\nuser = a\\\npassword = b\n[grid]\n   # note\nname = c\\\n# comment\nlive_hosts = send\n";
        let (config, holds_secrets) = Config::parse(text, "c.cfg").unwrap();
        assert!(holds_secrets && config.grid.live_hosts);
        assert_eq!(config.grid.name, "c\\");
    }

    #[test]
    fn the_sections_of_qmonits_config_stay_valid() {
        let text = "[credentials]\nusername = a\npassword = \"b # ; % \\\ndatabase = monit_jobs\n[credentials_elasticsearch]\nhost = x\n\
                    [credentials_monit_grafana]\ntoken = y\n[credentials_adcmon]\nanything = z\n";
        let (config, holds_secrets) = Config::parse(text, "c.cfg").unwrap();
        assert!(holds_secrets);
        assert!(config.carbon.is_none(), "credentials alone select no sink");
    }

    #[test]
    fn no_error_shows_a_line_that_may_be_half_a_password() {
        for text in [
            "[grid]\nlive_hosts = \\\npassword = hunter2",
            "[credentials]\npassword = a\rhunter2 = b",
            "[credentials]\npassword\\=hunter2: x",
            "[credentials] password = hunter2",
            #[cfg(feature = "grid")]
            "[job_types]\ntoken = hunter2",
            "[credentials]\npassword = a\n  hunter2\n",
            "[credentials]\npasword = hunter2\n[x]\ny = 1",
            "[carbon]\npassword = hunter2",
        ] {
            assert!(!error(text).contains("hunter2"), "{}", error(text));
        }
        assert_eq!(format!("{:?}", Secret("hunter2".into())), "***");
    }
}
