//! The two files of Daya Bay's scm-backup-monitor, read as they are.
//!
//! `.scm_monitor.cnf` has a section for each hub: `srvnode` (the server, whose name the folder has), `select` (the sets,
//! blanks between) and more. `.libfab.cnf` has `[HUB]` (the nodes of each hub, blanks between), and `[ENV]` and `[NODE]` with
//! settings of Fabric. Both are in the syntax of Python's RawConfigParser: keys keep their case; `=` or `:`, whichever comes
//! first; a line that is indented goes on with the one before; `#` and `;` begin a comment, ` ;` one behind a value; quotes
//! stay; equal sections are one; the keys of `[DEFAULT]` are those of each section that has none of that name.
//!
//! What is said of a node: by its own name first, then by `[node …]` of our config, by `[NODE]`, by `[ENV]`.

use anyhow::{Context, Result, bail, ensure};

use super::config::{Config, NodeSettings};
use super::hub::Hub;
use super::name::shown;
use super::pattern::Pattern;
use super::verdict::{Check, Rules};
use super::zone::Zone;
use crate::os::mail::is_address;
use crate::sources::ssh::Node;
use crate::text::quote;

/// A section: its name, and its keys with their values, in order.
pub type Parsed = Vec<(String, Vec<(String, String)>)>;

/// Parses a text as RawConfigParser does; `[DEFAULT]` is a part of each section.
///
/// # Errors
/// Fails for a line that it refuses too.
pub fn parse(text: &str, file: &str) -> Result<Parsed> {
    let mut sections: Parsed = Vec::new();
    let mut current: Option<usize> = None;
    // Whether a line that is indented goes on with a value.
    let mut goes_on = false;
    for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let number = at + 1;
        let bare = line.trim();
        let is_remark = line.get(..4).is_some_and(|begin| begin.eq_ignore_ascii_case("rem "));
        if bare.is_empty() || line.starts_with(['#', ';']) || is_remark {
            continue;
        }
        if line.starts_with(char::is_whitespace)
            && goes_on
            && let Some((_, value)) = current.and_then(|at| sections[at].1.last_mut())
        {
            value.push('\n');
            value.push_str(bare);
            continue;
        }
        if let Some((name, _)) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            let known = sections.iter().position(|(section, _)| section == name);
            current = Some(known.unwrap_or(sections.len()));
            if known.is_none() {
                sections.push((name.into(), Vec::new()));
            }
            goes_on = false;
            continue;
        }
        let section = current.with_context(|| format!("{file} line {number}: stands before any [section]"))?;
        let Some(end) = line.find(['=', ':']).filter(|end| *end > 0) else {
            bail!("{file} line {number}: not KEY = VALUE: {}", quote(bare));
        };
        let (key, value) = (line[..end].trim(), line[end + 1..].trim());
        // Only the first one is looked at.
        let comment = value.find(';').filter(|at| value[..*at].ends_with(char::is_whitespace));
        let value = comment.map_or(value, |at| value[..at].trim());
        // Python's own way to write nothing.
        let value = if value == "\"\"" { "" } else { value };
        let keys = &mut sections[section].1;
        keys.retain(|(name, _)| name != key);
        keys.push((key.into(), value.into()));
        goes_on = true;
    }
    if let Some(at) = sections.iter().position(|(name, _)| name == DEFAULT) {
        let (_, defaults) = sections.remove(at);
        for (_, keys) in &mut sections {
            let is_new = |(name, _): &&(String, String)| !keys.iter().any(|(own, _)| own == name);
            let new: Vec<_> = defaults.iter().filter(is_new).cloned().collect();
            keys.extend(new);
        }
    }
    Ok(sections)
}

/// The section whose keys all others have.
const DEFAULT: &str = "DEFAULT";

/// The pattern of scm-backup's tarballs.
const PATTERN: &str = "{set}/%Y/%m/%d/%H%M%S/*.tar.gz";

/// How many scm-backup keeps.
const KEEP: u64 = 4;

/// The keys of a hub that have a meaning here or had none in the original.
const KNOWN: [&str; 7] = ["srvnode", "dbpath", "jspath", "select", "reporturl", "email", "message"];

/// Fabric's default: a login shell of bash, which knows `$SCM_FOLD`.
const SHELL: [&str; 3] = ["/bin/bash", "-l", "-s"];

impl Config {
    /// Adds the hubs of the two files, each the text and the name of a file; `variable` looks into the environment. A hub that the config has already stays as it is
    /// there.
    ///
    /// # Errors
    /// Fails if a file cannot be read as the original read it.
    pub fn add_originals(
        &mut self,
        scm_monitor: (&str, &str),
        libfab: (&str, &str),
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<()> {
        let hubs = parse(scm_monitor.0, scm_monitor.1)?;
        let fabric = parse(libfab.0, libfab.1)?;
        let section = |name: &str| fabric.iter().find(|(section, _)| section == name).map_or(&[][..], |(_, keys)| keys);
        for (name, keys) in &hubs {
            let addition = self.addition(name);
            if self.hubs.iter().any(|hub| hub.name == *name) {
                self.passed_over.push(format!("{} [{name}]: [hub {name}] of the config stands for it", scm_monitor.1));
                continue;
            }
            let Some((_, nodes)) = section("HUB").iter().find(|(hub, _)| hub == name) else {
                let why = format!("{} has it, and [HUB] of {} names no nodes of it", scm_monitor.1, libfab.1);
                let way = format!("add {name} = NODES there, or remove [{name}]");
                self.unwatched.push((name.clone(), format!("{why}, so it is not watched; {way}")));
                continue;
            };
            let unknown = keys.iter().filter(|(key, _)| !KNOWN.contains(&key.as_str()));
            self.passed_over
                .extend(unknown.map(|(key, _)| format!("{} [{name}] {key}: is no key of it", scm_monitor.1)));
            let nodes: Vec<String> = nodes.split_whitespace().map(String::from).collect();
            // One bad word ends neither the other hubs nor the other nodes.
            let mut hub = match hub(name, keys, nodes, variable) {
                Ok(hub) => hub,
                Err(error) => {
                    let why = format!("{} [{name}] {error:#}, so it is not watched; correct it", scm_monitor.1);
                    self.unwatched.push((name.clone(), why));
                    continue;
                }
            };
            addition.into_iter().for_each(|addition| addition.add_to(&mut hub));
            let words = keys.iter().filter(|(key, _)| key == "email").flat_map(|(_, value)| value.split_whitespace());
            let wrong = words.filter(|word| !is_address(word.trim_end_matches(',')));
            let said = wrong.map(|word| format!("{} [{name}] email: {} is no address", scm_monitor.1, quote(word)));
            self.passed_over.extend(said);
            for node in &std::mem::take(&mut hub.nodes) {
                if self.nodes.contains_key(node) {
                    hub.nodes.push(node.clone());
                    continue;
                }
                let mut made = match Node::new(node) {
                    Ok(made) => made,
                    Err(error) => {
                        let why = format!("{} [HUB] {name}: {error:#}, so it is not asked; correct it", libfab.1);
                        self.unwatched.push((name.clone(), why));
                        continue;
                    }
                };
                hub.nodes.push(node.clone());
                self.settle(&mut made);
                for of in [node.as_str(), "ENV"] {
                    fabric_settings(of, section(of), libfab.1, &mut self.passed_over).fill(&mut made);
                }
                if made.shell.is_empty() {
                    made.shell = SHELL.map(String::from).to_vec();
                }
                self.nodes.insert(node.clone(), made);
            }
            self.add_original(hub, scm_monitor.1);
        }
        self.passed_over.sort();
        self.passed_over.dedup();
        Ok(())
    }

    /// Adds a hub of the file `scm_monitor`, if it has a node.
    fn add_original(&mut self, mut hub: Hub, scm_monitor: &str) {
        if let Some(why) = self.contested(&hub) {
            let why = format!("{scm_monitor} [{0}] jspath: {why}; until then {0} has none", hub.name);
            self.unwatched.push((hub.name.clone(), why));
            hub.json_path = None;
        }
        if !hub.nodes.is_empty() {
            self.hubs.push(hub);
        }
    }
}

fn hub(
    name: &str,
    keys: &[(String, String)],
    mut nodes: Vec<String>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Hub> {
    let value = |key: &str| keys.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    let server = value("srvnode").filter(|server| !server.is_empty()).context("has no srvnode")?;
    ensure!(!server.contains('/') && server != "..", "srvnode {} is no name of a folder", quote(server));
    ensure!(!nodes.is_empty(), "no node");
    let mut seen = std::collections::BTreeSet::new();
    nodes.retain(|node| seen.insert(node.clone()));
    let sets = value("select").unwrap_or_default().split_whitespace().map(|set| shown(set.as_bytes())).collect();
    let email = value("email").unwrap_or_default().split_whitespace().map(|word| word.trim_end_matches(','));
    let email: Vec<_> = email.filter(|word| is_address(word)).map(String::from).collect();
    Ok(Hub {
        name: name.into(),
        nodes,
        root: format!("$SCM_FOLD/backup/{server}"),
        pattern: Pattern::new(PATTERN)?,
        zone: Zone::Unknown,
        sets,
        email,
        report_url: value("reporturl").filter(|url| !url.is_empty()).map(|url| filled(url, name, keys)),
        json_path: value("jspath").filter(|path| !path.is_empty()).map(|path| expanded(path, variable)),
        defaults: Rules {
            fresh_seconds: 26 * 3600,
            shrink_percent: 50,
            least_bytes: 200,
            keep: Some(KEEP),
            check: Check::Size,
        },
        exceptions: Vec::new(),
    })
}

/// Puts the variables of the environment for `$NAME` and `${NAME}` in a text, as Python does: one that is not set stays.
fn expanded(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> String {
    let mut made = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        made.push_str(before);
        let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
        let (name, behind) = braced.unwrap_or(after.split_at(end));
        match variable(name).filter(|_| !name.is_empty()) {
            Some(value) => {
                made.push_str(&value);
                rest = behind;
            }
            None => {
                made.push('$');
                rest = after;
            }
        }
    }
    made + rest
}

/// Puts the keys of a section, and `HUB`, for `%(KEY)s` in a text, as Python does.
fn filled(text: &str, hub: &str, keys: &[(String, String)]) -> String {
    let with_hub = text.replace("%(HUB)s", hub);
    keys.iter().fold(with_hub, |text, (key, value)| text.replace(&format!("%({key})s"), value))
}

/// Reads the settings of Fabric that have a meaning here; names the others.
fn fabric_settings(of: &str, keys: &[(String, String)], file: &str, passed_over: &mut Vec<String>) -> NodeSettings {
    let mut settings = NodeSettings::default();
    for (key, value) in keys {
        match key.as_str() {
            // Fabric gives the command behind it.
            "shell" => {
                settings.shell =
                    value.split_whitespace().map(|word| if word == "-c" { "-s" } else { word }.into()).collect();
            }
            "user" if !value.starts_with('-') && !value.is_empty() => settings.user = Some(value.clone()),
            "port" if value.parse::<u16>().is_ok() => settings.port = value.parse().ok(),
            "key_filename" if !value.is_empty() => settings.key = Some(value.clone()),
            _ => passed_over.push(format!("{file} [{of}] {key}: means nothing here")),
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_syntax_is_that_of_rawconfigparser() {
        let text = "# c\n[ZZ]\nsrvnode = dayabay\nselect: svn/a=b\n   tracs/b ; no\n ; goes on\nKey = a:b ; comment\nMail=x;y\n\
                    message = \"a b\"\n\n[Y] trailing\nempty =\nrem x = y\n[ZZ]\nKey = later\n";
        let parsed = parse(text, "f").unwrap();
        let zz: Vec<_> = parsed[0].1.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(
            zz,
            [
                ("srvnode", "dayabay"),
                ("select", "svn/a=b\ntracs/b ; no\n; goes on"),
                ("Mail", "x;y"),
                ("message", "\"a b\""),
                ("Key", "later"),
            ]
        );
        assert_eq!(parsed[1], ("Y".into(), vec![("empty".into(), String::new())]));
        let text = "[A]\nuser = a\n[DEFAULT]\nuser = d\nKey = d\n[B]\nkey = b\n[DEFAULT]\nport = 1\n";
        let of = |keys: &[(&str, &str)]| keys.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        let expected: Parsed = vec![
            ("A".into(), of(&[("user", "a"), ("Key", "d"), ("port", "1")])),
            ("B".into(), of(&[("key", "b"), ("user", "d"), ("Key", "d"), ("port", "1")])),
        ];
        assert_eq!(parse(text, "f").unwrap(), expected);
        assert_eq!(parse("a = b", "f").unwrap_err().to_string(), "f line 1: stands before any [section]");
        assert_eq!(parse("[a]\nb", "f").unwrap_err().to_string(), "f line 2: not KEY = VALUE: \"b\"");
    }
}
