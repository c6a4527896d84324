//! `[backups]`, `[hub …]`, `[backup_set …]` and `[node …]`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::hub::{Exception, Hub, SomeRules};
use super::name::{bytes, shown};
use super::pattern::Pattern;
use super::verdict::{Check, Rules};
use super::zone::Zone;
use crate::config::{Key, Kind, Section, Sections, Unset, Values};
use crate::os::mail::is_address;
use crate::sources::ssh::{Bounds, Node, Place};

/// `[backups]`.
pub const SECTION: Section = Section::new(
    "backups",
    "Says how collect-backups asks the nodes that hold backups, and how long it may take.",
    &[
        Key::deadline("900"),
        Key::interval("3600", 86_400),
        Key::new(
            "scm_monitor",
            Kind::Text,
            Unset::Absent("~/.scm_monitor.cnf"),
            "The config of Daya Bay's scm-backup-monitor, read as it is: each of its sections is a hub. It needs libfab.",
        ),
        Key::new(
            "libfab",
            Kind::Text,
            Unset::Absent("~/.libfab.cnf"),
            "The file of that monitor that names the nodes of each hub.",
        ),
        Key::new("parallel", Kind::Number { least: 1, most: 200, unit: "nodes" }, Unset::Default("16"), "How many nodes are asked at once."),
        Key::new(
            "connect_seconds",
            Kind::Seconds(1, 600),
            Unset::Default("10"),
            "How long a node may take for the connection, and how long it may be silent later, in seconds.",
        ),
        Key::new(
            "node_seconds",
            Kind::Seconds(1, 3600),
            Unset::Default("120"),
            "How long the whole answer of a node may take, in seconds.",
        ),
        Key::new(
            "node_entries",
            Kind::Number { least: 1000, most: 100_000_000, unit: "entries" },
            Unset::Default("2000000"),
            "How many files and folders a node may list, in up to 256 bytes each: beyond, it is not read, so that no node fills the memory.",
        ),
        Key::new(
            "report_directory",
            Kind::Path,
            Unset::Absent("/var/www/html/backups"),
            "Where each run writes its report, for any web server: pages without a script, plots and data. The folder must be there.",
        ),
        Key::new(
            "check_seconds",
            Kind::Seconds(1, 3600),
            Unset::Default("300"),
            "How long a node may read new files, where check is digest or gzip, in seconds; what is left is for the next run.",
        ),
        Key::new("ssh", Kind::Command, Unset::Default("ssh"), "The ssh client, with arguments if need be."),
        Key::new(
            "weekly",
            Kind::Word(&["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday", "never"]),
            Unset::Default("Tuesday"),
            "The day, in UTC, on which it is said that all is well, if it is; so silence is never taken for health.",
        ),
    ],
)
.owning(&["collect-backups"]);

const FRESH: Key = Key::new(
    "fresh_hours",
    Kind::Decimal { least: 0.1, most: 100_000.0, unit: "hours" },
    Unset::Default("26"),
    "The age beyond which the newest backup is old, in hours.",
);
const SHRINK: Key = Key::new(
    "shrink_percent",
    Kind::Number { least: 1, most: 100, unit: "percent" },
    Unset::Default("50"),
    "The newest is shrunk if it is this much smaller than the median of the seven before it, and by more than 100 kB.",
);
const LEAST: Key = Key::new(
    "least_bytes",
    Kind::Number { least: 0, most: u64::MAX, unit: "bytes" },
    Unset::Default("200"),
    "The newest is small if it has fewer bytes; a tar.gz of nothing has 45, one of an empty folder 112.",
);
const KEEP: Key = Key::new(
    "keep",
    Kind::Number { least: 1, most: 1_000_000, unit: "backups" },
    Unset::Absent("4"),
    "How many are kept. If more than twice as many lie there, the purge fails, which is a warning. Default: nobody said.",
);
const CHECK: Key = Key::new(
    "check",
    Kind::Word(&["size", "digest", "gzip", "none"]),
    Unset::Default("size"),
    "size: a backup must have the size that its sidecar FILE.dna says, if it has one. digest: and the MD5 sum. gzip: size, and it \
     can be unpacked to its end. The node reads each new file once for these two. none: no size is compared.",
);

/// `[hub NAME]`.
pub const HUB: Section = Section::new(
    "hub *",
    "A server whose backups are watched: where they lie, what they are called, and what is right for them. Without nodes and root it \
     adds to the section of scm_monitor that has its name.",
    &[
        Key::new(
            "nodes",
            Kind::List,
            Unset::Required("SDU, C"),
            "The nodes that hold them, each an alias of ssh_config or [USER@]HOST[:PORT]; local is this machine, without ssh.",
        ),
        Key::new(
            "root",
            Kind::Text,
            Unset::Required("$SCM_FOLD/backup/dayabay"),
            "The folder on each node. $NAME and ${NAME} within it are variables of the login there, ~/ is its home.",
        ),
        Key::new(
            "pattern",
            Kind::Text,
            Unset::Default("{set}/%Y/%m/%d/%H%M%S/*.tar.gz"),
            "What a backup is called below the root: {set} is the name of its set, %Y %m %d %H %M %S and the other tokens of \
             strptime its time, * any part of a name. With / at the end a backup is a folder. regex: before a regular \
             expression with groups such as (?P<set>…) and (?P<Y>…) is the escape.",
        ),
        Key::new(
            "timezone",
            Kind::Text,
            Unset::Absent("Asia/Shanghai"),
            "The zone of the times in the names. Default: UTC if the pattern has a Z behind its time; else the time of the \
             file counts, unless it is more than 38 h off.",
        ),
        Key::new(
            "sets",
            Kind::List,
            Unset::Suggested("svn/dybsvn, tracs/dybsvn"),
            "The sets that must be there; others are named and not watched. %XX stands for a blank, comma, % or other byte. \
             Default: every set that is or was there.",
        ),
        Key::new(
            "email",
            Kind::List,
            Unset::Absent("backups@example.org"),
            "Who is told of its alarms, through the server of [mail]. Default: those of [mail] to.",
        ),
        Key::new(
            "report_url",
            Kind::Url,
            Unset::Absent("https://monitor.example.org/backups/"),
            "Where a report of it can be seen; the mails name it.",
        ),
        Key::new(
            "json_path",
            Kind::Path,
            Unset::Absent("/var/www/html/data/scm_backup_monitor_%(node)s.json"),
            "Where each run writes the JSON of a node's plots, in the shape that the pages of scm-backup-monitor read; %(node)s \
             stands for the node. Hubs with one path share the page of a node.",
        ),
        FRESH,
        SHRINK,
        LEAST,
        KEEP,
        CHECK,
    ],
);

/// `[backup_set HUB SET]`.
pub const SET: Section = Section::new(
    "backup_set *",
    "What is right for some sets of a hub, where it differs: the name is HUB SET, such as ZZ svn/dybsvn. SET may have * and \
     ?; the narrowest section wins.",
    &[
        Key::new(FRESH.name, FRESH.kind, Unset::Absent("26"), FRESH.help),
        Key::new(SHRINK.name, SHRINK.kind, Unset::Absent("50"), SHRINK.help),
        Key::new(LEAST.name, LEAST.kind, Unset::Absent("200"), LEAST.help),
        Key::new(KEEP.name, KEEP.kind, Unset::Absent("4"), KEEP.help),
        Key::new(CHECK.name, CHECK.kind, Unset::Absent("size"), CHECK.help),
    ],
);

/// `[node NAME]`.
pub const NODE: Section = Section::new(
    "node *",
    "How a node is asked, where ssh_config does not say it; the name is that of nodes.",
    &[
        Key::new(
            "shell",
            Kind::Command,
            Unset::Absent("/opt/bin/bash -l -s"),
            "What reads the script on the node. Default: sh -s, or sh -l -s if a root names a variable of the login.",
        ),
        Key::new("user", Kind::Text, Unset::Absent("backup"), "The user to log in as."),
        Key::new("key", Kind::Path, Unset::Absent("/etc/gridmon/backups.key"), "The file of the key to log in with."),
    ],
);

/// What collect-backups does.
#[derive(Clone, Debug)]
pub struct Config {
    /// The deadline of a run, in seconds; 900 by default.
    pub deadline_seconds: u64,
    /// The interval between two runs, in seconds; 3600 by default.
    pub interval_seconds: u64,
    /// The hubs, in the order of the config.
    pub hubs: Vec<Hub>,
    /// The nodes of all hubs, by name.
    pub nodes: BTreeMap<String, Node>,
    /// The bounds of a question.
    pub bounds: Bounds,
    /// The seconds for what is read of a node's files.
    pub check_seconds: u64,
    /// How many nodes are asked at once.
    pub parallel: usize,
    /// Where the report is written.
    pub report_directory: Option<PathBuf>,
    /// The day on which it is said that all is well, Monday being 0; `None` for never.
    pub weekly: Option<i64>,
    /// The two files of the original.
    pub originals: Option<(String, String)>,
    /// What of the originals' files was passed over.
    pub passed_over: Vec<String>,
    /// What the originals' files ask for and does not come, such as a hub without nodes: by hub, with why.
    pub unwatched: Vec<(String, String)>,
    /// What is said of hubs of the originals' files, by name, until these are read.
    additions: Vec<Addition>,
    /// What is said of sets, each by `HUB SET`, until [`Config::join`].
    exceptions: Vec<(String, SomeRules)>,
    /// What is said of nodes, by name, until [`Config::join`].
    settings: Vec<(String, NodeSettings)>,
}

/// What a `[hub …]` says beside nodes and root. Without these it is said of a hub of the originals' files.
#[derive(Clone, Debug)]
pub(super) struct Addition {
    /// A hub that has all of it, and no nodes and no root.
    hub: Hub,
    has_pattern: bool,
    has_timezone: bool,
    rules: SomeRules,
}

impl Addition {
    /// Gives a hub what is said.
    pub fn add_to(self, hub: &mut Hub) {
        let said = self.hub;
        if self.has_pattern {
            hub.pattern = said.pattern;
        }
        if self.has_pattern || self.has_timezone {
            hub.zone = said.zone;
        }
        for (ours, theirs) in [(said.sets, &mut hub.sets), (said.email, &mut hub.email)] {
            if !ours.is_empty() {
                *theirs = ours;
            }
        }
        hub.report_url = said.report_url.or(hub.report_url.take());
        hub.json_path = said.json_path.or(hub.json_path.take());
        self.rules.apply(&mut hub.defaults);
    }
}

/// What is said of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSettings {
    /// The command that reads the script there; empty for the default.
    pub shell: Vec<String>,
    /// The user.
    pub user: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// The file of the key.
    pub key: Option<String>,
}

impl NodeSettings {
    /// Gives a node what nothing narrower has said before; its name, such as `backup@host:229`, is the narrowest.
    pub fn fill(self, node: &mut Node) {
        if node.shell.is_empty() {
            node.shell = self.shell;
        }
        if let Place::Ssh { user, port, key, .. } = &mut node.place {
            *user = user.take().or(self.user);
            *port = port.or(self.port);
            *key = key.take().or(self.key);
        }
    }
}

const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

impl Config {
    /// Reads the four kinds of section. [`Config::join`] must follow, once all hubs are known.
    ///
    /// # Errors
    /// Fails if a value is not of its key's kind.
    pub fn read(sections: &Sections) -> Result<Self> {
        let values = sections.values(&SECTION);
        let word = values.word("weekly")?;
        let originals = match (values.text("scm_monitor")?, values.text("libfab")?) {
            (Some(scm), Some(libfab)) => Some((scm, libfab)),
            (None, None) => None,
            (Some(_), None) => return Err(values.error("scm_monitor", anyhow!("needs libfab beside it"))),
            (None, Some(_)) => return Err(values.error("libfab", anyhow!("needs scm_monitor beside it"))),
        };
        let mut config = Self {
            deadline_seconds: values.number("deadline_seconds")?,
            interval_seconds: values.number("interval_seconds")?,
            hubs: Vec::new(),
            nodes: BTreeMap::new(),
            bounds: Bounds {
                ssh: values.command("ssh")?,
                connect_seconds: values.number("connect_seconds")?,
                node_seconds: values.number("node_seconds")?,
                node_entries: values.number("node_entries")? as usize,
            },
            check_seconds: values.number("check_seconds")?,
            parallel: values.number("parallel")? as usize,
            report_directory: values.path("report_directory")?,
            weekly: DAYS.iter().position(|day| *day == word).map(|day| day as i64),
            originals,
            passed_over: Vec::new(),
            unwatched: Vec::new(),
            additions: Vec::new(),
            exceptions: Vec::new(),
            settings: Vec::new(),
        };
        for values in sections.family(&HUB) {
            if config.originals.is_some() && !values.gives("nodes") && !values.gives("root") {
                config.additions.push(addition(&values)?);
                continue;
            }
            let hub = config.hub(&values)?;
            if let Some(why) = config.contested(&hub) {
                return Err(values.error("json_path", anyhow!(why)));
            }
            config.hubs.push(hub);
        }
        for values in sections.family(&SET) {
            config.exceptions.push((values.member().into(), some_rules(&values)?));
        }
        for values in sections.family(&NODE) {
            let mut settings =
                NodeSettings { user: values.text("user")?, key: values.text("key")?, ..NodeSettings::default() };
            let is_name = |user: &String| !user.starts_with('-');
            values.check("user", settings.user.as_ref().is_none_or(is_name), "the name of a user")?;
            if values.gives("shell") {
                settings.shell = values.command("shell")?.argv;
            }
            config.settings.push((values.member().into(), settings));
        }
        Ok(config)
    }

    /// Gives each hub what is said of its sets, and each node what is said of it.
    ///
    /// # Errors
    /// Fails if there is no such hub or node.
    pub fn join(&mut self) -> Result<()> {
        if let Some(Addition { hub: Hub { name, .. }, .. }) = self.additions.first() {
            bail!(
                "[hub {name}]: has no nodes and no root, and no section of scm_monitor is called {name}; add them, or correct the name"
            );
        }
        for (member, some) in std::mem::take(&mut self.exceptions) {
            // The name of a hub may have blanks.
            let glob_of = |hub: &Hub| Some(member.strip_prefix(&hub.name)?.strip_prefix(' ')?.trim().to_string());
            let named = self.hubs.iter_mut().filter(|hub| glob_of(hub).is_some()).max_by_key(|hub| hub.name.len());
            let Some(named) = named else {
                // What is wrong with the hub is said, and ends nothing else.
                if self.unwatched.iter().any(|(hub, _)| member.starts_with(&format!("{hub} "))) {
                    continue;
                }
                let (hub, glob) = member.split_once(' ').unwrap_or((&member, ""));
                ensure!(!glob.trim().is_empty(), "[backup_set {hub}] names no set; call it [backup_set HUB SET]");
                bail!("[backup_set {member}]: there is no [hub {hub}]");
            };
            let glob = glob_of(named).unwrap_or_default();
            ensure!(!glob.is_empty(), "[backup_set {}] names no set; call it [backup_set HUB SET]", named.name);
            named.exceptions.push(Exception { glob: respelt(&glob), some });
        }
        self.pass_over_what_has_no_effect();
        for (name, settings) in std::mem::take(&mut self.settings) {
            let node =
                self.nodes.get_mut(&name).with_context(|| format!("[node {name}]: no hub has a node of that name"))?;
            settings.fill(node);
        }
        Ok(())
    }

    /// Names what the config asks for and cannot get: checks of folders.
    fn pass_over_what_has_no_effect(&mut self) {
        for hub in &self.hubs {
            let checks = [Some(hub.defaults.check)].into_iter().chain(hub.exceptions.iter().map(|one| one.some.check));
            let reads = checks.flatten().any(|check| matches!(check, Check::Digest | Check::Gzip));
            if hub.pattern.is_folder && reads {
                let why = "check: a backup that is a folder is not read, and only its size counts";
                self.passed_over.push(format!("[hub {}] {why}", hub.name));
            }
        }
    }

    /// Returns why another hub cannot have the pages of its nodes where it wants them: a page is that of one node. Hubs share it.
    pub(super) fn contested(&self, hub: &Hub) -> Option<String> {
        let pages = |hub: &'_ Hub| {
            hub.nodes.iter().filter_map(|node| Some((hub.page(node)?, node.clone()))).collect::<Vec<_>>()
        };
        let mut taken: BTreeMap<PathBuf, String> = self.hubs.iter().flat_map(pages).collect();
        pages(hub).into_iter().find_map(|(page, node)| {
            let before = taken.insert(page.clone(), node.clone()).filter(|before| *before != node)?;
            Some(format!("{} is to be the page of {before} and of {node}; put %(node)s into it", page.display()))
        })
    }

    /// Takes what is said of a hub of the originals' files.
    pub(super) fn addition(&mut self, name: &str) -> Option<Addition> {
        let at = self.additions.iter().position(|one| one.hub.name == name)?;
        Some(self.additions.remove(at))
    }

    /// Gives a node what its `[node …]` says, which is narrower than what the originals' files say.
    pub(super) fn settle(&self, node: &mut Node) {
        for (name, settings) in &self.settings {
            if *name == node.name {
                settings.clone().fill(node);
            }
        }
    }

    fn hub(&mut self, values: &Values) -> Result<Hub> {
        let mut nodes = values.list("nodes")?;
        let mut seen = std::collections::BTreeSet::new();
        nodes.retain(|node| seen.insert(node.clone()));
        if nodes.is_empty() {
            return Err(values.error("nodes", anyhow!("names no node")));
        }
        for node in &nodes {
            let made = Node::new(node).map_err(|error| values.refuse("nodes", error))?;
            self.nodes.insert(node.clone(), made);
        }
        let root = values.needed("root")?;
        values.check("root", root.starts_with(['/', '$', '~']), "a path that begins with /, ~/ or a variable")?;
        let Addition { hub, .. } = addition(values)?;
        let is_each = hub.json_path.as_ref().is_none_or(|path| path.contains("%(node)s") || nodes.len() == 1);
        values.check("json_path", is_each, "a path with %(node)s, and there are several nodes")?;
        let bare = root.trim_end_matches('/');
        // To bash no path is no folder.
        Ok(Hub { nodes, root: if bare.is_empty() { "/" } else { bare }.into(), ..hub })
    }
}

/// Reads all keys of a hub but its nodes and root.
fn addition(values: &Values) -> Result<Addition> {
    let text = values.needed("pattern")?;
    let pattern = Pattern::new(&text).map_err(|error| values.refuse("pattern", error))?;
    let zone = match values.text("timezone")? {
        Some(zone) => {
            Zone::named(&zone).map_err(|error| values.refuse("timezone", error.context(format!("{zone:?}"))))?
        }
        None if pattern.is_utc => Zone::utc(),
        None => Zone::Unknown,
    };
    let sets: Vec<_> = values.list("sets")?.iter().map(|set| respelt(set)).collect();
    let is_below = |set: &String| !set.starts_with('/') && set.split('/').all(|part| !matches!(part, "" | "." | ".."));
    values.check("sets", sets.iter().all(is_below), "names of sets below the root")?;
    if !pattern.names_sets() && sets.len() > 1 {
        return Err(values.error("pattern", anyhow!("has no {{set}}, and sets has {} names", sets.len())));
    }
    let email = values.list("email")?;
    let are_addresses = email.iter().all(|one| is_address(one));
    values.check("email", are_addresses, "addresses such as backups@example.org, separated by commas")?;
    let rules = some_rules(values)?;
    let mut defaults = Rules { fresh_seconds: 0, shrink_percent: 0, least_bytes: 0, keep: None, check: Check::Size };
    rules.apply(&mut defaults);
    let hub = Hub {
        name: values.member().into(),
        nodes: Vec::new(),
        root: String::new(),
        pattern,
        zone,
        sets,
        email,
        report_url: values.url("report_url")?.map(|url| url.to_string()),
        json_path: values.text("json_path")?,
        defaults,
        exceptions: Vec::new(),
    };
    Ok(Addition { hub, has_pattern: values.gives("pattern"), has_timezone: values.gives("timezone"), rules })
}

/// Returns a set's name as the rest of the program spells it.
fn respelt(name: &str) -> String {
    shown(&bytes(name))
}

fn some_rules(values: &Values) -> Result<SomeRules> {
    let number = |key| if values.text(key)?.is_some() { values.number(key).map(Some) } else { Ok(None) };
    let hours = if values.text("fresh_hours")?.is_some() { Some(values.decimal("fresh_hours")?) } else { None };
    let check = if values.text("check")?.is_some() { Some(values.word("check")?) } else { None };
    Ok(SomeRules {
        fresh_seconds: hours.map(|hours| (hours * 3600.0).round() as i64),
        shrink_percent: number("shrink_percent")?,
        least_bytes: number("least_bytes")?,
        keep: number("keep")?,
        check: check.map(|word| match word {
            "none" => Check::None,
            "digest" => Check::Digest,
            "gzip" => Check::Gzip,
            _ => Check::Size,
        }),
    })
}
