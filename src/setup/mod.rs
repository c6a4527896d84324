//! The only place where the parts meet: all sections of config.cfg, all measurements, all sinks and stores.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::config::{Section, Sections};
use crate::frame::{self, Setup};
use crate::model::{self, Catalog};
use crate::monitors::grid;
use crate::os::files::host_name;
use crate::sinks::embedded;
use crate::sinks::graphite::{carbon, render};
use crate::sources::{cloud_scheduler, htcondor};
use crate::{dashboard, spool};

mod pages;
mod sinks;
mod stores;

pub use self::pages::pages;
pub use self::sinks::{roles, sinks, store_path};
pub use self::stores::reader;

/// Every measurement of this build.
pub const CATALOG: Catalog = Catalog::new(&MEASUREMENTS);

const MEASUREMENTS: [&model::Measurement; grid::MEASUREMENTS.len() + 2] = {
    let mut all = [&model::COVERAGE; grid::MEASUREMENTS.len() + 2];
    let mut at = 0;
    while at < grid::MEASUREMENTS.len() {
        all[at] = grid::MEASUREMENTS[at];
        at += 1;
    }
    all[at + 1] = &frame::report::RUN;
    all
};

/// Reads the config for a cron program, and makes what the frame needs of it.
///
/// # Errors
/// As [`Config::load`].
pub fn load(path: Option<&Path>) -> Result<(Config, Setup)> {
    let config = Config::load(path)?;
    let setup = config.setup();
    Ok((config, setup))
}

/// Everything that config.cfg says, with defaults where it says nothing.
#[derive(Debug)]
pub struct Config {
    /// The file; `None` when there is none and all is default.
    pub path: Option<PathBuf>,
    /// `[grid]`.
    pub grid: Grid,
    /// `[htcondor]` and `[job_types]`; `None` when the file names Cloud Scheduler alone.
    pub htcondor: Option<htcondor::Config>,
    /// `[cloud_scheduler]`; `None` when the file names HTCondor alone.
    pub cloud_scheduler: Option<cloud_scheduler::Config>,
    /// `[carbon]`; `None` unless it names a host.
    pub carbon: Option<carbon::Config>,
    /// `[dashboard]`.
    pub dashboard: dashboard::Config,
    /// `[graphite]`; `None` unless it names an address.
    pub graphite: Option<render::Config>,
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
        sections.finish(&CREDENTIALS)?;
        Ok((config, holds_secrets))
    }

    fn from_sections(sections: &mut Sections) -> Result<Self> {
        let grid = Grid::read(sections.section("grid"))?;
        let graphite = render::Config::read(sections.section("graphite"))?;
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
            htcondor,
            cloud_scheduler,
            carbon: carbon::Config::read(sections.section("carbon"), graphite.clone())?,
            dashboard: dashboard::Config::read(sections.section("dashboard"))?,
            graphite,
            embedded: embedded::Config::read(sections.section("embedded"))?,
            spool: spool::Config::read(sections.section("spool"))?,
            state_directory: sections.section("state").path("directory")?,
        })
    }

    /// The parts that a program's frame needs.
    pub fn setup(&self) -> Setup {
        let (carbon, embedded) = (self.carbon.clone(), self.embedded.clone());
        Setup {
            config_path: self.path.clone(),
            scope: self.grid.name.clone(),
            deadline_seconds: Some(self.grid.deadline_seconds),
            state_directory: self.state_directory.clone(),
            spool: self.spool.clone(),
            catalog: CATALOG,
            roles: roles(self),
            sinks: Box::new(move |state| sinks::selected(carbon.as_ref(), &embedded, state)),
        }
    }

    /// The keys of each section that are read, for the test that holds config.cfg.example to them.
    #[doc(hidden)]
    pub fn keys() -> BTreeMap<String, Vec<&'static str>> {
        let mut sections = Sections::read("", "config.cfg").expect("an empty text has no mistakes");
        Self::from_sections(&mut sections).expect("the defaults have no mistakes");
        sections.keys()
    }
}

impl Grid {
    fn read(section: &mut Section) -> Result<Self> {
        let host = host_name();
        let deadline_seconds = section.number("deadline_seconds", 50)?;
        section.check("deadline_seconds", (2..=3600).contains(&deadline_seconds), "2 to 3600 seconds")?;
        Ok(Self {
            name: section.text("name")?.unwrap_or(if host.is_empty() { "grid".into() } else { host }),
            deadline_seconds,
            live_hosts: section.word("live_hosts", &[("skip", false), ("send", true)])?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

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
            (
                "[htcondor]\nschedds = all, ce01",
                "c.cfg line 2: [htcondor] schedds: \"all, ce01\" is not all, local or names of schedds",
            ),
            ("[htcondor]\npool = -direct", "c.cfg line 2: [htcondor] pool: \"-direct\" is not the name of a collector"),
            (
                "[htcondor]\ncondor_q = condor_q | tee",
                "c.cfg line 2: [htcondor] condor_q: no shell runs this: give a program and its arguments, or put the rest into a script",
            ),
            (
                "[cloud_scheduler]\nurl = csv1:8111",
                "c.cfg line 2: [cloud_scheduler] url: is no http:// or https:// address",
            ),
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
