//! Combines the parts: all sections of config.cfg, all measurements, all sinks and stores. No other module does.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::config::{self, Sections};
use crate::events::Rules;
use crate::frame::{DeclaredTables, Program, Setup, downsample, log, mail, state};
use crate::model::{Measurement, TableInfo};
use crate::monitors::{backups as backup_monitor, nodes as node_monitor};
use crate::os::mail::Server;
use crate::sinks::embedded;
use crate::sinks::graphite::{carbon, render};
use crate::sinks::{credentials, influxdb, mysql, qmaster as to_qmaster, rrd, s3};
use crate::sources::{cloud_scheduler, cric, elastic, htcondor, libvirt, panda as panda_source, slurm as slurm_source};
use crate::text::quote;
use crate::{dashboard, listener, spool};

pub mod backups;
mod catalog;
pub mod datadisks;
pub mod graphs;
mod grid;
pub mod instances;
pub mod nodes;
mod older;
mod pages;
pub mod panda;
pub mod qagent;
#[cfg(feature = "qmaster")]
pub mod qmaster;
pub mod queue_table;
mod rules;
mod sections;
mod shared_table;
mod sinks;
pub mod slurm;
mod stores;
mod versions;
mod with_tables;

pub use self::catalog::{CATALOG, PLOTTED, senders, source};
pub use self::grid::Grid;
pub use self::older::{compare, of_backups, of_datadisks, older};
pub use self::pages::pages;
pub use self::rules::SYSTEMS;
use self::sections::Timing;
pub use self::sections::{COLLECTORS, READERS, SECTIONS};
use self::sinks::Selected;
pub use self::sinks::{history, roles, sinks, store_place, tables};
pub use self::stores::{influx_reader, reader, tiers};
pub use self::versions::{RunCommand, versions};

/// Reads the config for a program, and makes what the frame needs of it.
///
/// # Errors
/// As [`Config::load`].
pub fn load(path: Option<&Path>, program: &Program) -> Result<(Config, Setup)> {
    load_into(path, program, None)
}

/// Like [`load`], for a run whose points go into `database`, where a sink has several.
///
/// # Errors
/// As [`Config::load`], and if no sink has databases or the name cannot be one.
pub fn load_into(path: Option<&Path>, program: &Program, database: Option<&str>) -> Result<(Config, Setup)> {
    let sections = config::open(path, SECTIONS)?;
    let mut config = Config::read(&sections)?;
    if let Some(database) = database {
        let influxdb = config.influxdb.as_mut().context("--database: [influxdb] url is not set")?;
        ensure!(
            !database.is_empty() && !database.contains(char::is_control),
            "--database: {} is not the name of a database",
            quote(database)
        );
        influxdb.run_database = Some(database.into());
    }
    let setup = config.setup(program, sections::timing(&sections, SECTIONS, program.name)?);
    Ok((config, setup))
}

/// Reads the config as [`load_into`] does, for a program that writes or reads the tables `declared`.
///
/// # Errors
/// As [`load_into`].
pub fn load_with(
    declared: &'static [&'static TableInfo],
    database: Option<&str>,
) -> impl FnOnce(Option<&Path>, &Program) -> Result<(Config, Setup)> {
    move |path, program| {
        let (config, mut setup) = load_into(path, program, database)?;
        setup.tables = Some(self::declared(&config, declared));
        Ok((config, setup))
    }
}

/// Returns how often a measurement is sent by this config, in seconds; `None` if the program's default holds, or several send it.
pub fn interval(config: &Config, measurement: &Measurement) -> Option<i64> {
    let has =
        |chosen: &&node_monitor::Chosen| chosen.sensor.measurements.iter().any(|one| one.name == measurement.name);
    if let Some(chosen) = config.sensors.iter().find(has) {
        return Some(chosen.interval.as_secs() as i64).filter(|seconds| *seconds > 0);
    }
    let sections = config::open(Some(config.path.as_deref()?), SECTIONS).ok()?;
    sections::timing(&sections, SECTIONS, senders(measurement)).ok()?.interval_seconds
}

/// Returns tables, and the database that the config selects for them.
fn declared(config: &Config, declared: &'static [&'static TableInfo]) -> DeclaredTables {
    let (mysql, embedded) = (config.mysql.clone(), config.embedded.clone());
    let make = Box::new(move |state: &Path| sinks::tables_of(mysql.as_ref(), &embedded, state));
    DeclaredTables { declared, make }
}

/// All settings of config.cfg, with defaults for the missing ones.
#[derive(Debug)]
pub struct Config {
    /// The file; `None` if there is no file and every setting is a default.
    pub path: Option<PathBuf>,
    /// `[grid]`.
    pub grid: Grid,
    /// `[htcondor]` and `[job_types]`; `None` if the file names only Cloud Scheduler.
    pub htcondor: Option<htcondor::Config>,
    /// `[cloud_scheduler]`; `None` if the file names only HTCondor.
    pub cloud_scheduler: Option<cloud_scheduler::Config>,
    /// `[panda]`.
    pub panda: panda_source::Config,
    /// `[cric]`.
    pub cric: cric::Config,
    /// `[credentials_monit_grafana]` and `[credentials_elasticsearch]`.
    pub elastic: elastic::Config,
    /// `[backups]`, `[hub …]`, `[backup_set …]` and `[node …]`.
    pub backups: backup_monitor::Config,
    /// `[libvirt]`.
    pub libvirt: libvirt::Config,
    /// `[sensor:…]`: the sensors that qagent reads.
    pub sensors: Vec<node_monitor::Chosen>,
    /// `[slurm]`.
    pub slurm: slurm_source::Config,
    /// The times in `[slurm]`.
    pub slurm_times: slurm_source::Times,
    /// `[carbon]`; `None` unless it names a host.
    pub carbon: Option<carbon::Config>,
    /// `[dashboard]`.
    pub dashboard: dashboard::Config,
    /// The rules of all systems, with the limits of `[alarms]`.
    pub alarms: Rules,
    /// `[graphite]`; `None` unless it names an address.
    pub graphite: Option<render::Config>,
    /// `[influxdb]`, with the login of `[credentials]`; `None` unless it names an address.
    pub influxdb: Option<influxdb::Config>,
    /// `[qmaster]`; `None` unless it names a host.
    pub qmaster: Option<to_qmaster::Config>,
    /// `[mysql]`, with the login of `[credentials]`; `None` unless it names a host.
    pub mysql: Option<mysql::Config>,
    /// `[rrd]`; `None` unless it names a directory.
    pub rrd: Option<rrd::Config>,
    /// `[s3]`; `None` unless it names an address.
    pub s3: Option<s3::Config>,
    /// `[embedded]`.
    pub embedded: embedded::Config,
    /// `[downsample] settle_seconds`.
    pub settle_seconds: i64,
    /// `[spool]`.
    pub spool: spool::Config,
    /// `[qmaster] forward`; `None` unless it names a host.
    pub forward: Option<to_qmaster::Config>,
    /// `[qmaster]`, as qmaster reads it.
    pub listener: listener::Config,
    /// `[spool] publish_seconds`.
    pub publish_seconds: u64,
    /// `[logging]`.
    pub logging: log::Config,
    /// `[mail]`, with the login of `[credentials_adcmon]`; `None` unless it names a host.
    pub mail: Option<Server>,
    /// `[state] directory`.
    pub state_directory: Option<PathBuf>,
}

impl Config {
    /// Reads the first of `path`, `./config.cfg` and `/etc/gridmon/config.cfg`; uses the defaults if no file exists.
    ///
    /// # Errors
    /// Fails if `path` is given and cannot be read, if the wrong users can access the file, and for every mistake in
    /// it, with the line and the nearest valid name.
    pub fn load(path: Option<&Path>) -> Result<Self> {
        Self::read(&config::open(path, SECTIONS)?)
    }

    /// Parses the text of a config.cfg called `name`; also returns whether the text contains a secret.
    ///
    /// # Errors
    /// Fails for every mistake in the text, as [`Config::load`].
    pub fn parse(text: &str, name: &str) -> Result<(Self, bool)> {
        let sections = Sections::read(text, name, SECTIONS)?;
        Ok((Self::read(&sections)?, sections.holds_secrets()))
    }

    fn read(sections: &Sections) -> Result<Self> {
        let grid = Grid::read(&sections.values(&grid::SECTION))?;
        let graphite = render::Config::read(&sections.values(&render::SECTION))?;
        let rules = htcondor::Rules::read(&sections.values(&htcondor::rules::SECTION))?;
        let rrd = rrd::Config::read(&sections.values(&rrd::config::SECTION))?;
        let htcondor = htcondor::Config::read(&sections.values(&htcondor::SECTION), rules)?;
        let clouds = cloud_scheduler::Config::read(&sections.values(&cloud_scheduler::SECTION))?;
        let panda = panda_source::Config::read(&sections.values(&panda_source::SECTION))?;
        // A file with only one of the two sources selects that one; a file with neither selects both.
        let has = |section| sections.contains(section);
        let neither = !has(&htcondor::SECTION) && !has(&cloud_scheduler::SECTION);
        Ok(Self {
            path: sections.path().map(Path::to_path_buf),
            grid,
            htcondor: (neither || has(&htcondor::SECTION)).then_some(htcondor),
            cloud_scheduler: (neither || has(&cloud_scheduler::SECTION)).then_some(clouds),
            alarms: rules::read(&sections.values(&rules::SECTION), panda.suspicious_score)?,
            panda,
            cric: cric::Config::read(&sections.values(&cric::SECTION))?,
            elastic: elastic::Config::read(
                &sections.values(&elastic::GRAFANA),
                &sections.values(&elastic::ELASTICSEARCH),
            )?,
            backups: backup_monitor::Config::read(sections)?,
            libvirt: libvirt::Config::read(&sections.values(&libvirt::SECTION))?,
            sensors: node_monitor::chosen(sections)?,
            slurm: slurm_source::Config::read(&sections.values(&slurm_source::SECTION))?,
            slurm_times: slurm_source::Times::read(&sections.values(&slurm_source::SECTION))?,
            carbon: carbon::Config::read(&sections.values(&carbon::SECTION), graphite.clone())?,
            dashboard: dashboard::Config::read(&sections.values(&dashboard::config::SECTION))?,
            graphite,
            influxdb: influxdb::Config::read(
                &sections.values(&influxdb::config::SECTION),
                &sections.values(&credentials::SECTION),
            )?,
            qmaster: to_qmaster::Config::read(&sections.values(&to_qmaster::config::SECTION), None)?,
            mysql: mysql::Config::read(
                &sections.values(&mysql::config::SECTION),
                &sections.values(&credentials::SECTION),
            )?,
            s3: s3::Config::read(&sections.values(&s3::config::SECTION), rrd.is_some())?,
            rrd,
            embedded: embedded::Config::read(&sections.values(&embedded::SECTION))?,
            settle_seconds: downsample::read(&sections.values(&downsample::SECTION))?,
            spool: spool::Config::read(&sections.values(&spool::SECTION))?,
            forward: to_qmaster::Config::forward(&sections.values(&to_qmaster::config::SECTION))?,
            listener: listener::Config::read(&sections.values(&to_qmaster::config::SECTION))?,
            publish_seconds: sections.values(&spool::SECTION).number("publish_seconds")?,
            logging: log::Config::read(&sections.values(&log::SECTION))?,
            mail: mail::read(&sections.values(&mail::SECTION), &sections.values(&mail::CREDENTIALS))?,
            state_directory: state::read(&sections.values(&state::SECTION))?,
        })
    }

    /// Returns the parts that a program's frame needs.
    fn setup(&self, program: &Program, timing: Timing) -> Setup {
        // A program without such a measurement has nothing for these files.
        let has_files = program.measurements.iter().any(|measurement| !measurement.rrd.is_empty());
        let rrd = self.rrd.clone().filter(|_| has_files);
        let selected = Selected::of(self);
        Setup {
            config_path: self.path.clone(),
            scope: self.grid.name.clone(),
            deadline_seconds: timing.deadline_seconds,
            interval_seconds: timing.interval_seconds,
            state_directory: self.state_directory.clone(),
            spool: self.spool.clone(),
            catalog: CATALOG,
            database: self.influxdb.as_ref().and_then(|one| one.run_database.clone()).unwrap_or_default(),
            roles: roles(self),
            mail: self.mail.clone(),
            tables: None,
            sinks: Box::new(move |state| {
                let mut all = sinks::selected(&selected, state);
                all.extend(rrd.as_ref().map(|rrd| sinks::files(rrd, state)));
                all
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::sections::timing;
    use super::*;
    use crate::config::{Key, Kind, Secret, Section, Unset};

    fn error(text: &str) -> String {
        format!("{:#}", Config::parse(text, "c.cfg").expect_err(text))
    }

    #[test]
    fn every_kind_of_mistake_is_named_with_its_line_and_the_way_out() {
        for (text, expected) in [
            ("[carbon]\nhost = a\nprot = 2003", "c.cfg line 3: [carbon] has no key \"prot\"; did you mean port?"),
            ("[carbon]\nHost = a", "c.cfg line 2: [carbon] has no key \"Host\"; did you mean host?"),
            ("[state]\nwhatever = a", "c.cfg line 2: [state] has no key \"whatever\"; there are directory"),
            ("\n[cabron]\nhost = a", "c.cfg line 2: unknown section [cabron]; did you mean carbon?"),
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
                "[carbon]\nhost = g:2004",
                "c.cfg line 2: [carbon] host: \"g:2004\" is not the name or address of one host; the port has a key of its own",
            ),
            (
                "[carbon]\nhost = [::1]",
                "c.cfg line 2: [carbon] host: \"[::1]\" is not an address without brackets, such as ::1",
            ),
            (
                "[dashboard]\nlisten = ::1:5000",
                "c.cfg line 2: [dashboard] listen: \"::1:5000\" is not an ADDRESS:PORT such as 127.0.0.1:5000 or [::1]:5000; it takes no name",
            ),
            (
                "[graphite]\nurl = http://g/?noCache=1",
                "c.cfg line 2: [graphite] url: carries a ? or #, and what follows it is not used; give the address alone, and a login by its own keys",
            ),
            (
                "[graphite]\nurl = https://u:p@g/",
                "c.cfg line 2: [graphite] url: carries a login, which would show in logs; set username and password instead",
            ),
            (
                "[graphite]\nurl = https://g/\nusername = u",
                "c.cfg line 3: [graphite] username: needs password beside it",
            ),
            (
                "[graphite]\nurl = https://g/\npassword = hunter2",
                "c.cfg line 3: [graphite] password: needs username beside it",
            ),
            (
                "[graphite]\nurl = https://g/\nusername = u\npassword = hunter2\ntoken = hunter2",
                "c.cfg line 5: [graphite] token: stands beside username or password; keep the one that it asks for",
            ),
            (
                "[graphite]\ntoken = hunter 2",
                "c.cfg line 2: [graphite] token: holds a character that no token has, such as a blank",
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
                "c.cfg line 2: [cloud_scheduler] url: is not an http:// or https:// address",
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
    fn a_login_is_read_and_a_config_never_shows_it() {
        for host in ["::1", "fe80::1%eth0", "g", "127.0.0.1"] {
            Config::parse(&format!("[carbon]\nhost = {host}"), "c.cfg").unwrap();
        }
        for login in ["username = u\npassword = hunter2 #;:@", "token = hunter2"] {
            let (config, holds_secrets) =
                Config::parse(&format!("[graphite]\nurl = http://g/\n{login}"), "c.cfg").unwrap();
            assert!(holds_secrets && config.graphite.as_ref().is_some_and(|graphite| graphite.login.is_some()));
            assert!(!format!("{config:?}").contains("hunter2"));
            let shown = config.graphite.unwrap().describe();
            assert_eq!(shown, "http://g/; the login is sent unencrypted, so use https://");
        }
    }

    #[test]
    fn values_come_from_the_file_the_environment_and_other_files() {
        let text = "\u{feff}# comment\r\n; comment\r\n[grid]\r\n name : b#2 \r\n[carbon]\nhost = ${PATH}\n";
        let path = std::env::var("PATH").unwrap();
        // A search path is not a host, but the error shows that it was read.
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

    /// Tests the features: `cargo test --no-default-features --lib setup` runs it in the smallest build.
    #[test]
    fn every_build_accepts_every_valid_file() {
        for text in [
            include_str!("../../config.cfg.example"),
            "[graphite]\ntimeout_seconds = 5",
            "[graphite]\nurl = https://graphite.example.org/\n[carbon]\nhost = a\nacknowledge = readback",
            "[dashboard]\ntitle = My grids\nread = graphite",
            "[cloud_scheduler]\nurl = http://csv1:8111/clusters.json",
        ] {
            Config::parse(text, "c.cfg").unwrap();
        }
        assert_eq!(
            error("[graphite]\ntimeout_second = 5"),
            "c.cfg line 2: [graphite] has no key \"timeout_second\"; did you mean timeout_seconds?"
        );
        assert_eq!(error("[dashbord]\ntitle = a"), "c.cfg line 1: unknown section [dashbord]; did you mean dashboard?");
    }

    #[test]
    fn each_program_has_the_deadline_and_interval_of_the_section_that_owns_it() {
        const TIMES: [Key; 2] = [
            Key::new("deadline_seconds", Kind::Seconds(2, 3600), Unset::Default("50"), ""),
            Key::new("interval_seconds", Kind::Seconds(10, 3600), Unset::Default("60"), ""),
        ];
        const GRID: Section = Section::new("grid", "", &TIMES).owning(&["collect-grid"]);
        const PANDA: Section = Section::new("panda", "", &TIMES).owning(&["collect-panda", "write-datadisk"]);
        let timing = |text: &str, program: &str| {
            let declared: &[&'static Section] = &[&GRID, &PANDA];
            let timing = timing(&Sections::read(text, "c.cfg", declared).unwrap(), declared, program).unwrap();
            (timing.deadline_seconds, timing.interval_seconds)
        };
        let both = "[grid]\ndeadline_seconds = 20\n[panda]\ndeadline_seconds = 120\ninterval_seconds = 600\n";
        assert_eq!(timing(both, "collect-grid"), (Some(20), None));
        assert_eq!(timing(both, "collect-panda"), (Some(120), Some(600)));
        assert_eq!(timing(both, "write-datadisk"), (Some(120), Some(600)));
        // Without the keys a program has its default times, and so does a program that no section owns.
        assert_eq!(timing("[grid]\n", "collect-grid"), (None, None));
        assert_eq!(timing(both, "cloud-monitor"), (None, None));
    }

    #[test]
    fn the_mail_server_is_read_whole_or_refused() {
        let mail = |text: &str| Config::parse(&format!("[mail]\n{text}"), "c.cfg").map(|(config, _)| config.mail);
        let good = "host = smtp.example.org\nfrom = a@b\nto = c@d, e@f\n";
        let server = mail(good).unwrap().unwrap();
        assert_eq!((server.port, server.is_encrypted, &server.login), (587, true, &None));
        assert_eq!(server.to, ["c@d", "e@f"]);
        let login = |text: &str| mail(text).unwrap().unwrap().login;
        let of = |username: &str, password: &str| Some((username.to_string(), password.to_string()));
        assert_eq!(
            login(&format!("{good}[credentials_adcmon]\npassword = p")),
            of("a@b", "p"),
            "QMonit's was the sender"
        );
        assert_eq!(login(&format!("{good}[credentials_adcmon]\nusername = u\npassword = p")), of("u", "p"));
        assert_eq!(
            login(&format!("{good}username = v\n[credentials_adcmon]\nusername = u\npassword = p")),
            of("v", "p")
        );
        let local = good.replace("smtp.example.org", "localhost") + "tls = off\n";
        assert_eq!(login(&format!("{local}[credentials_adcmon]\npassword = p")), None, "that was for another server");
        assert_eq!(login(&format!("{local}username = u\npassword = p")), of("u", "p"));
        assert!(mail("from = a@b").unwrap().is_none());
        for (text, expected) in [
            ("host = h", "c.cfg line 2: [mail] host: needs from beside it, the sender's address"),
            (
                "host = h\nfrom = a@b",
                "c.cfg line 2: [mail] host: needs to beside it, the addresses of those who get the mail",
            ),
            ("host = h\nfrom = a", "c.cfg line 3: [mail] from: \"a\" is not an address such as gridmon@example.org"),
            (
                "host = h\nfrom = a@b\nto = c@d; e@f",
                "c.cfg line 4: [mail] to: \"c@d; e@f\" is not addresses such as operators@example.org, separated by commas",
            ),
            ("host = h\nusername = u", "c.cfg line 3: [mail] username: needs password beside it"),
            (
                "host = 10.0.0.1\nfrom = a@b\nto = c@d\ntls = off",
                "c.cfg line 5: [mail] tls: off is for a server on this machine alone (localhost, 127.0.0.1, ::1); leave it out",
            ),
        ] {
            assert_eq!(format!("{:#}", mail(text).unwrap_err()), expected);
        }
    }

    #[test]
    fn the_programs_times_come_from_the_config() {
        let program = Program {
            name: "collect-grid",
            interval_seconds: 60,
            deadline_seconds: 50,
            sources: &[],
            measurements: &[],
        };
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(format!("times-{}.cfg", std::process::id()));
        std::fs::write(&path, "[grid]\ninterval_seconds = 10\ndeadline_seconds = 9\n").unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
        let (config, setup) = load(Some(&path), &program).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!((setup.deadline_seconds, setup.interval_seconds), (Some(9), Some(10)));
        assert_eq!((config.grid.deadline_seconds, config.grid.interval_seconds), (9, 10));
        let out_of_range = "c.cfg line 2: [grid] interval_seconds: \"9\" is not 10 to 3600 seconds";
        assert_eq!(error("[grid]\ninterval_seconds = 9"), out_of_range);
    }
}
