//! Reads a config by the rules of Python's configparser, which read QULo's: `[DEFAULT]`, values that go on in indented lines, and
//! `%(KEY)s`.
//!
//! It does what `configparser.ConfigParser()` of Python 3.6 to 3.9 does, with its defaults: a comment has a line of its own;
//! keys ignore case; a line that is indented deeper than its key goes on with that key's value, blank lines included; a header ends
//! at its first `]`; `[DEFAULT]` may stand anywhere, and twice. Where that raised an exception, this fails with the line.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::ini::{Line, Lines};
use super::section::{Section, declaration};
use crate::text::quote;

/// The section whose keys all others have.
const DEFAULT: &str = "DEFAULT";

/// How many keys a value may be made through, as in Python.
const DEEPEST: usize = 10;

/// The longest value that is made of others, in bytes. A few lines could fill any memory.
const LONGEST: usize = 64 << 10;

/// What a text says.
pub(super) struct Parsed {
    /// In file order; their values are made of what they name, and those that `declared` knows have the keys of `[DEFAULT]`.
    pub sections: Vec<Lines>,
    /// A sentence for each key of `[DEFAULT]` that nothing uses.
    pub unused: Vec<String>,
}

/// Parses a text.
///
/// # Errors
/// Fails for each line that is none of these, for a section or key that stands twice, and for a value of a declared section that
/// cannot be made.
pub(super) fn parse(text: &str, file: &str, declared: &[&'static Section]) -> Result<Parsed> {
    let (mut sections, defaults) = scan(text, file)?;
    let used = RefCell::new(BTreeSet::new());
    for section in &mut sections {
        // Nobody reads the others.
        let Some(declaration) = declaration(&section.name, declared) else { continue };
        let name = |key: &String| declaration.key(key).map(|key| key.name);
        let own: BTreeSet<_> = section.lines.keys().filter_map(name).collect();
        for (key, line) in &defaults.lines {
            let Some(meant) = name(key) else { continue };
            used.borrow_mut().insert(key.clone());
            // Two spellings of one key in [DEFAULT] are refused as in any section.
            if !own.contains(meant) {
                section.lines.insert(key.clone(), line.clone());
            }
        }
        let find = |key: &str| {
            used.borrow_mut().insert(key.to_string());
            section.lines.get(key).or_else(|| defaults.lines.get(key)).map(|line| line.value.as_str())
        };
        let made = section.lines.iter().map(|(key, line)| {
            let mut value = String::new();
            make(&line.value, &find, 1, &mut value).map_err(|fault| {
                let why = if declaration.is_secret(key) { fault.unshown() } else { fault.to_string() };
                anyhow!("{file} line {}: [{}] {key}: {why}", line.number, section.name)
            })?;
            Ok((key.clone(), Line { number: line.number, value }))
        });
        section.lines = made.collect::<Result<_>>()?;
    }
    let used = used.into_inner();
    let unused = defaults.lines.iter().filter(|(key, _)| !used.contains(*key));
    let unused = unused.map(|(key, line)| {
        format!("{file} line {}: [{DEFAULT}] {} is left out: no section here has such a key", line.number, quote(key))
    });
    Ok(Parsed { sections, unused: unused.collect() })
}

/// Splits a text into its sections and `[DEFAULT]`, with raw values.
fn scan(text: &str, file: &str) -> Result<(Vec<Lines>, Lines)> {
    let empty = |name: &str, number| Lines { name: name.into(), number, lines: BTreeMap::new() };
    let (mut sections, mut defaults) = (Vec::<Lines>::new(), empty(DEFAULT, 0));
    // Whether a header was read and is [DEFAULT]'s; the key whose value goes on, and the indentation of its line.
    let (mut is_default, mut key, mut indentation) = (None, None::<String>, 0);
    for (at, whole) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let (number, line) = (at + 1, whole.trim());
        ensure!(
            !line.contains(|c: char| c.is_control() && c != '\t'),
            "{file} line {number}: a control character stands in it"
        );
        let section = if is_default == Some(true) { Some(&mut defaults) } else { sections.last_mut() };
        let value = key.as_ref().zip(section).and_then(|(key, section)| section.lines.get_mut(key));
        let value = value.map(|line| &mut line.value);
        if line.is_empty() {
            value.into_iter().for_each(|value| value.push('\n'));
            continue;
        }
        if line.starts_with(['#', ';']) {
            continue;
        }
        let indented = whole.chars().take_while(|c| c.is_whitespace()).count();
        if let Some(value) = value.filter(|_| indented > indentation) {
            value.push('\n');
            value.push_str(line);
            continue;
        }
        indentation = indented;
        if let Some(header) = line.strip_prefix('[') {
            let name = header.split_once(']').map(|(name, _)| name).filter(|name| !name.is_empty());
            // The text after a = or : may be a password that was typed after the section.
            let shown = line.split(['=', ':']).next().unwrap_or_default();
            let name = name.with_context(|| format!("{file} line {number}: {} is not a [section]", quote(shown)))?;
            if let Some(first) = sections.iter().find(|section| section.name == name) {
                let first = first.number;
                bail!("{file} line {number}: section [{name}] stands already at line {first}; put the two together");
            }
            (is_default, key) = (Some(name == DEFAULT), None);
            if name != DEFAULT {
                sections.push(empty(name, number));
            }
            continue;
        }
        let (name, value) = pair(line)
            .with_context(|| format!("{file} line {number}: not KEY = VALUE, nor a [section], nor a # comment"))?;
        let section = if is_default == Some(true) { Some(&mut defaults) } else { sections.last_mut() };
        let section =
            section.with_context(|| format!("{file} line {number}: {} stands before any [section]", quote(&name)))?;
        let line = Line { number, value: value.into() };
        if let Some(first) = section.lines.insert(name.clone(), line) {
            let (section, first) = (&section.name, first.number);
            bail!("{file} line {number}: [{section}] {name} stands already at line {first}; remove one");
        }
        key = Some(name);
    }
    for section in sections.iter_mut().chain([&mut defaults]) {
        for line in section.lines.values_mut() {
            line.value.truncate(line.value.trim_end().len());
        }
    }
    Ok((sections, defaults))
}

/// Splits a line into its key, in lower case, and its value. The error must not show the line: it may be half of a password.
fn pair(line: &str) -> Option<(String, &str)> {
    let (key, value) = line.split_once(['=', ':'])?;
    let key = key.trim().to_lowercase();
    (!key.is_empty()).then(|| (key, value.trim()))
}

/// Why a value cannot be made.
enum Fault {
    Percent,
    Unknown(String),
    TooDeep,
    TooLong,
}

impl Fault {
    /// The reason, without any part of the value.
    fn unshown(&self) -> String {
        match self {
            Self::Unknown(_) => "its %(…)s names a key that neither this section nor [DEFAULT] has".into(),
            other => other.to_string(),
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Percent => out.write_str("a % begins %(KEY)s, the value of another key; write %% for the character"),
            Self::Unknown(key) => {
                write!(out, "it names the key {}, which neither this section nor [DEFAULT] has", quote(key))
            }
            Self::TooDeep => write!(out, "its %(KEY)s leads through more than {DEEPEST} keys, or back to itself"),
            Self::TooLong => write!(out, "with what its %(KEY)s stand for it is longer than {LONGEST} bytes"),
        }
    }
}

/// Appends a raw value to `made`, each `%(KEY)s` as what `find` has for it.
fn make<'a>(
    raw: &'a str,
    find: &dyn Fn(&str) -> Option<&'a str>,
    depth: usize,
    made: &mut String,
) -> Result<(), Fault> {
    if depth > DEEPEST {
        return Err(Fault::TooDeep);
    }
    let mut rest = raw;
    while let Some((before, after)) = rest.split_once('%') {
        made.push_str(before);
        if let Some(after) = after.strip_prefix('%') {
            made.push('%');
            rest = after;
            continue;
        }
        let named = after.strip_prefix('(').and_then(|after| after.split_once(')'));
        let (key, after) = named.filter(|(key, _)| !key.is_empty()).ok_or(Fault::Percent)?;
        rest = after.strip_prefix('s').ok_or(Fault::Percent)?;
        let value = find(&key.to_lowercase()).ok_or_else(|| Fault::Unknown(key.into()))?;
        make(value, find, depth + 1, made)?;
        if made.len() > LONGEST {
            return Err(Fault::TooLong);
        }
    }
    made.push_str(rest);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Key, Kind, Unset};
    use super::*;

    const MASTER: Section = Section::new(
        "qmaster",
        "The master.",
        &[
            Key::new("host", Kind::Host, Unset::Default("127.0.0.1"), "Its host."),
            Key::new("port", Kind::Port, Unset::Default("7888"), "Its port.").or(&["incoming data port"]),
            Key::new("token", Kind::Secret, Unset::Absent("file:/x"), "Its token."),
        ],
    );
    const SENSOR: Section = Section::new(
        "sensor:*",
        "A sensor.",
        &[
            Key::new(
                "time_interval",
                Kind::Decimal { least: 0.1, most: 86_400.0, unit: "seconds" },
                Unset::Default("10"),
                "How often.",
            ),
            Key::new("path", Kind::List, Unset::Absent("/"), "Which."),
        ],
    );

    fn parsed(text: &str) -> Result<Parsed> {
        parse(text, "qagent.conf", &[&MASTER, &SENSOR])
    }

    fn values(text: &str) -> Vec<(String, String, String)> {
        let all = parsed(text).unwrap().sections.into_iter().flat_map(|Lines { name, lines, .. }| {
            lines.into_iter().map(move |(key, line)| (name.clone(), key, line.value)).collect::<Vec<_>>()
        });
        all.collect()
    }

    fn value(text: &str, section: &str, key: &str) -> String {
        let found = values(text).into_iter().find(|(name, own, _)| name == section && own == key);
        found.unwrap_or_else(|| panic!("no {key} in [{section}]")).2
    }

    fn refused(text: &str) -> String {
        format!("{:#}", parsed(text).err().expect(text))
    }

    #[test]
    fn the_keys_of_default_are_those_of_every_section_that_knows_them_and_has_none_of_its_own() {
        let text = "[sensor:A]\n[DEFAULT]\nTime_Interval: 5\nport = 1\n[sensor:B]\ntime_interval = 7\n[qmaster]\nincoming data port = 2\n";
        assert_eq!(value(text, "sensor:A", "time_interval"), "5");
        assert_eq!(value(text, "sensor:B", "time_interval"), "7");
        assert_eq!(value(text, "qmaster", "incoming data port"), "2");
        assert_eq!(values(text).len(), 3, "no key goes where nobody knows it: {:?}", values(text));
        assert!(parsed(text).unwrap().unused.is_empty());
        assert_eq!(
            parsed("[DEFAULT]\ntime_intervall = 5\n[sensor:A]\n").unwrap().unused,
            ["qagent.conf line 2: [DEFAULT] \"time_intervall\" is left out: no section here has such a key"]
        );
    }

    #[test]
    fn lines_that_are_indented_deeper_go_on_with_a_value() {
        let text = "[sensor:A] the disks\n  path = /\n    /home\n# no part of it\n\n      /var, /srv\n  time_interval = 5\n\n\n[qmaster]\n";
        assert_eq!(value(text, "sensor:A", "path"), "/\n/home\n\n/var, /srv");
        assert_eq!(value(text, "sensor:A", "time_interval"), "5");
        // A header that is indented is no header either.
        assert_eq!(value("[qmaster]\nhost = a\n [sensor:B]\n", "qmaster", "host"), "a\n[sensor:B]");
    }

    #[test]
    fn a_percent_names_another_key_as_in_python() {
        let text = "[DEFAULT]\ndomain = example.org\nbase = %(Name)s.%(domain)s\nname = x\n[qmaster]\nname = m%%1\nhost = %(base)s\n";
        // Of the section rather than of [DEFAULT], also for what stands there.
        assert_eq!(value(text, "qmaster", "host"), "m%1.example.org");
        for (line, why) in [
            ("host = 5%", "host: a % begins %(KEY)s, the value of another key; write %% for the character"),
            ("host = %(port)d", "host: a % begins %(KEY)s, the value of another key; write %% for the character"),
            ("host = %(prot)s", "host: it names the key \"prot\", which neither this section nor [DEFAULT] has"),
            ("host = %(host)s", "host: its %(KEY)s leads through more than 10 keys, or back to itself"),
            ("token = %(se)s", "token: its %(…)s names a key that neither this section nor [DEFAULT] has"),
        ] {
            assert_eq!(refused(&format!("[qmaster]\n{line}\n")), format!("qagent.conf line 2: [qmaster] {why}"));
        }
        let mut text = "[qmaster]\nhost = %(a)s\n".to_string();
        for (key, next) in [("a", "b"), ("b", "c"), ("c", "d"), ("d", "e")] {
            text += &format!("{key} = {}\n", format!("%({next})s").repeat(100));
        }
        text += "e = 0123456789\n";
        assert!(refused(&text).ends_with("is longer than 65536 bytes"), "{}", refused(&text));
    }

    /// What Python's own parser reads of made-up texts: a line each, the values of `[a]` and `[b]` as JSON, or null for an exception.
    const PYTHON: &str = r#"
import configparser, json, sys
for text in json.load(sys.stdin):
    parser = configparser.ConfigParser()
    try:
        parser.read_string(text)
        print(json.dumps({s: dict(parser[s]) for s in ("a", "b") if s in parser}))
    except configparser.Error:
        print("null")
"#;

    #[test]
    fn made_up_texts_are_read_as_python_reads_them() {
        use std::io::Write;
        use std::process::{Command, Stdio};
        const KEYS: [Key; 3] = [
            Key::new("x", Kind::Text, Unset::Absent("1"), "One."),
            Key::new("y", Kind::Text, Unset::Absent("1"), "Two."),
            Key::new("z", Kind::Text, Unset::Absent("1"), "Three."),
        ];
        const A: Section = Section::new("a", "One.", &KEYS);
        const B: Section = Section::new("b", "Two.", &KEYS);
        const LINES: [&str; 22] = [
            "[a]",
            "[b]",
            "[DEFAULT]",
            "[a]",
            "[b] and more",
            "[c]",
            "x = 1",
            "X: 2",
            "y = %(x)s",
            "y=%(Z)s-%(x)s",
            "z = a%%b",
            "z =",
            "x = %(y)s",
            "y",
            "50%",
            "z = %(q)s",
            "# x",
            "; x",
            "",
            "= 3",
            "[b",
            "x : a = b",
        ];
        let mut state = 7_u64;
        let mut choose = |count: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % count
        };
        let mut text = || {
            let mut text = String::from(["[a]\n", "[DEFAULT]\n", ""][choose(3)]);
            for _ in 0..choose(9) {
                text += ["", "", "", " ", "  ", "\t"][choose(6)];
                text += LINES[choose(LINES.len())];
                text += ["\n", "\n", "  \n", "\r\n"][choose(4)];
            }
            text
        };
        let texts: Vec<_> = (0..20_000).map(|_| text()).collect();
        let Ok(mut python) =
            Command::new("/usr/bin/python3").args(["-c", PYTHON]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
        else {
            return gridmon_testkit::skip("made_up_texts_are_read_as_python_reads_them", "python3");
        };
        let mut into = python.stdin.take().unwrap();
        into.write_all(&serde_json::to_vec(&texts).unwrap()).unwrap();
        drop(into);
        let printed = String::from_utf8(python.wait_with_output().unwrap().stdout).unwrap();
        let answers: Vec<&str> = printed.lines().collect();
        assert_eq!(answers.len(), texts.len());
        let mut read = 0;
        for (text, answer) in texts.iter().zip(answers) {
            let ours = parse(text, "x", &[&A, &B]).ok().map(|parsed| {
                let values = |lines: BTreeMap<String, Line>| lines.into_iter().map(|(key, line)| (key, line.value));
                let sections = parsed.sections.into_iter().filter(|section| section.name != "c");
                sections
                    .map(|one| (one.name, values(one.lines).collect::<BTreeMap<_, _>>()))
                    .collect::<BTreeMap<_, _>>()
            });
            let theirs: Option<BTreeMap<String, BTreeMap<String, String>>> = serde_json::from_str(answer).unwrap();
            read += usize::from(theirs.is_some());
            assert_eq!(ours, theirs, "{text}");
        }
        assert!((2_000..18_000).contains(&read), "{read} were read");
    }

    #[test]
    fn what_python_refused_is_refused_with_its_line() {
        for (text, why) in [
            ("host = a", "line 1: \"host\" stands before any [section]"),
            ("[qmaster]\nhost", "line 2: not KEY = VALUE, nor a [section], nor a # comment"),
            ("[qmaster]\n= a", "line 2: not KEY = VALUE, nor a [section], nor a # comment"),
            ("[qmaster\nhost = a", "line 1: \"[qmaster\" is not a [section]"),
            ("[qmaster]\nhost = a\nHOST = b", "line 3: [qmaster] host stands already at line 2; remove one"),
            ("[qmaster]\n[qmaster]", "line 2: section [qmaster] stands already at line 1; put the two together"),
            ("[DEFAULT]\na = 1\n[DEFAULT]\na = 2", "line 4: [DEFAULT] a stands already at line 2; remove one"),
        ] {
            assert_eq!(refused(text), format!("qagent.conf {why}"));
        }
    }
}
