//! What cron and systemd start of the programs, and in which environment. Reads; starts nothing but `crontab -l`.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::config::trusted;
use crate::os::command;
use crate::setup::COLLECTORS;
use crate::text::size;

/// The most output of a program that is read, in bytes.
const MOST: usize = 1 << 20;

/// Where an operator puts the crontab of all programs, with a column for the user; the packages install none.
const CRONTAB: &str = "/etc/cron.d/gridmon";

/// The PATH of cron for a crontab that sets none.
const CRONS_PATH: &str = "/usr/bin:/bin";

/// The PATH of a unit of systemd that sets none.
const SYSTEMDS_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where systemd has links to what it starts.
const WANTED: [&str; 2] = ["/etc/systemd/system/timers.target.wants", "/etc/systemd/system/multi-user.target.wants"];

/// A program as a line of a crontab starts it.
#[derive(Debug, PartialEq)]
pub struct Started {
    /// Its name.
    pub program: &'static str,
    /// The word of the command that names it: the name, or a path.
    pub word: String,
    /// What it gets as `--config`.
    pub config: Option<PathBuf>,
    /// The line of the crontab; 0 for a timer.
    pub line: usize,
}

/// What starts the programs.
#[derive(Debug, PartialEq)]
pub struct Schedule {
    /// Where it stands, for people.
    pub from: String,
    /// The environment that the programs get.
    pub environment: Vec<(String, String)>,
    /// The folder in which they begin.
    pub folder: PathBuf,
    /// The programs, in the order of the lines.
    pub started: Vec<Started>,
}

impl Schedule {
    /// Reads the crontab `given`; else /etc/cron.d/gridmon, else that of this user, if it starts one of the programs; else what
    /// systemd starts, if it starts one; else cron's environment holds, and nothing is started.
    ///
    /// # Errors
    /// Fails if a crontab cannot be read, or if others than root and this user may write it.
    pub fn look(given: Option<&Path>) -> Result<Self> {
        let path = given.map(PathBuf::from).or_else(|| Path::new(CRONTAB).exists().then(|| CRONTAB.into()));
        if let Some(path) = path {
            // What may set PATH for the programs is as trusted as their config.
            return Ok(Self::of_crontab(&trusted(&path)?, &path.display().to_string(), path.starts_with("/etc")));
        }
        let own = Self::of_crontab(&own_crontab().unwrap_or_default(), "crontab -l", false);
        let timers = of_systemd(&WANTED.map(PathBuf::from));
        Ok(if own.started.is_empty() && !timers.is_empty() { Self::of_timers(timers) } else { own })
    }

    /// Returns cron's environment, in which nothing is started.
    pub fn none() -> Self {
        Self::of_crontab("", "", false)
    }

    /// Reads the text of a crontab; in one of the whole machine each line names a user, and those of others are left out.
    fn of_crontab(text: &str, from: &str, names_users: bool) -> Self {
        let mut environment = environment(CRONS_PATH);
        let settings = settings(text);
        let home = settings.iter().find(|(name, _)| name == "HOME").map(|(_, home)| home.clone());
        environment.extend(settings);
        let folder = PathBuf::from(home.or_else(|| env::var("HOME").ok()).unwrap_or("/".into()));
        let user = env::var("LOGNAME").or_else(|_| env::var("USER")).unwrap_or_default();
        let mut started = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let Some(command) = command_of(line, names_users.then_some(user.as_str())) else { continue };
            started.extend(started_by(command, &folder, at + 1));
        }
        Self { from: from.into(), environment, folder, started }
    }

    fn of_timers(programs: Vec<&'static str>) -> Self {
        let one = |program: &'static str| Started { program, word: program.into(), config: None, line: 0 };
        let started = programs.into_iter().map(one).collect();
        Self { from: "systemd's timers".into(), environment: environment(SYSTEMDS_PATH), folder: "/".into(), started }
    }

    /// Returns the PATH of the programs.
    pub fn path(&self) -> &str {
        // The last one counts, as for a child that gets them all.
        let last = self.environment.iter().rfind(|(name, _)| name == "PATH");
        last.map_or("", |(_, path)| path.as_str())
    }

    /// Runs a program as it is started here, at most for `limit`, and returns its output and what it said of an error.
    ///
    /// # Errors
    /// Fails if it cannot be started, does not end in time, or prints too much.
    pub fn ask(
        &self,
        path: &Path,
        arguments: impl IntoIterator<Item: AsRef<OsStr>>,
        limit: Duration,
    ) -> Result<(String, String)> {
        let mut command = Command::new(path);
        command.args(arguments).env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        if self.folder.is_dir() {
            command.current_dir(&self.folder);
        }
        let mut printed = Vec::new();
        let ended = command::exchange(&mut command, b"", Instant::now() + limit, |piece| {
            printed.extend_from_slice(piece);
            ensure!(printed.len() <= MOST, "more than {} of output", size(MOST as u64));
            Ok(())
        })?;
        Ok((String::from_utf8_lossy(&printed).into_owned(), ended.printed()))
    }

    /// Returns the file that a word of a command names, as the shell finds it.
    ///
    /// # Errors
    /// Fails if there is none that can be run.
    pub fn find(&self, word: &str) -> Result<PathBuf> {
        let is_program =
            |path: &PathBuf| rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok() && path.is_file();
        if word.contains('/') {
            let path = self.folder.join(word);
            ensure!(is_program(&path), "{} is no program that this user can run", path.display());
            return Ok(path);
        }
        let mut found = self.path().split(':').map(|folder| self.folder.join(folder).join(word));
        found.find(is_program).with_context(|| {
            format!(
                "{word} is not on the PATH there, {}: set PATH above the line, or name the program with its folder",
                self.path()
            )
        })
    }
}

/// Returns what is in every environment of cron and systemd.
fn environment(path: &str) -> Vec<(String, String)> {
    let mut all = vec![("PATH".to_string(), path.to_string()), ("SHELL".into(), "/bin/sh".into())];
    all.extend(["HOME", "LOGNAME", "USER"].iter().filter_map(|name| Some(((*name).into(), env::var(name).ok()?))));
    all
}

/// Returns the crontab of this user; `None` if there is none, or no cron.
fn own_crontab() -> Option<String> {
    const ANSWERS: Duration = Duration::from_secs(10);
    let text = command::output(Command::new("/usr/bin/crontab").arg("-l"), Instant::now() + ANSWERS, MOST).ok()?;
    String::from_utf8(text).ok()
}

/// Returns the settings of a crontab, as crontab(5) has them: NAME = VALUE, with quotes around either.
fn settings(crontab: &str) -> Vec<(String, String)> {
    let unquoted = |text: &str| {
        let text = text.trim();
        let inner = ['"', '\''].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote));
        inner.unwrap_or(text).to_string()
    };
    let setting = |line: &str| {
        let (name, value) = line.trim_start().split_once('=')?;
        let name = unquoted(name);
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        is_name.then(|| (name, unquoted(value)))
    };
    crontab.lines().filter(|line| !line.trim_start().starts_with('#')).filter_map(setting).collect()
}

/// Returns the command of a line of a crontab, without its times, its user and what follows a `%`; `None` of any other line, and
/// of one of another user than `user`.
fn command_of<'a>(line: &'a str, user: Option<&str>) -> Option<&'a str> {
    let mut rest = line.trim();
    let first = rest.chars().next()?;
    let times = match first {
        '@' => 1,
        '*' | '0'..='9' => 5,
        _ => return None,
    };
    let mut word = || {
        let (word, more) = rest.split_once(char::is_whitespace)?;
        rest = more.trim_start();
        Some(word)
    };
    for _ in 0..times {
        word()?;
    }
    if let Some(user) = user {
        let of = word()?;
        if !user.is_empty() && of != user {
            return None;
        }
    }
    let percent = rest.match_indices('%').find(|(at, _)| !rest[..*at].ends_with('\\'));
    Some(percent.map_or(rest, |(at, _)| &rest[..at]))
}

/// Returns the programs of ours that a command of a shell starts. What only a shell could tell is left to it.
fn started_by(command: &str, home: &Path, line: usize) -> Vec<Started> {
    let mut folder = home.to_path_buf();
    let mut started = Vec::new();
    for part in command.split(['&', '|', ';', '(', ')', '<', '>']) {
        let words: Vec<_> = part.split_whitespace().map(|word| word.trim_matches(['"', '\'']).to_string()).collect();
        let words: Vec<_> = words.iter().map(|word| with_home(word, home)).collect();
        match words.as_slice() {
            [cd, to] if cd == "cd" => folder = folder.join(to),
            [test, ..] if test == "test" || test == "[" => continue,
            _ => {}
        }
        let name = |word: &String| {
            let name = Path::new(word).file_name()?;
            COLLECTORS.into_iter().find(|program| name == *program)
        };
        let Some((at, program)) = words.iter().enumerate().find_map(|(at, word)| Some((at, name(word)?))) else {
            continue;
        };
        let config = config_of(&words[at + 1..]).filter(|path| !path.contains('$')).map(|path| folder.join(path));
        started.push(Started { program, word: words[at].clone(), config, line });
    }
    started
}

/// Writes the home folder out where a shell would.
fn with_home(word: &str, home: &Path) -> String {
    let home = home.display().to_string();
    let word = word.replace("${HOME}", &home).replace("$HOME", &home);
    word.strip_prefix("~/").map_or(word.clone(), |rest| format!("{home}/{rest}"))
}

/// Returns the value of `--config` among arguments.
fn config_of(arguments: &[String]) -> Option<&str> {
    let mut all = arguments.iter().map(String::as_str);
    while let Some(argument) = all.next() {
        let value = match argument {
            "-c" | "--config" => all.next(),
            _ => argument
                .strip_prefix("--config=")
                .or_else(|| argument.strip_prefix("-c").filter(|rest| !rest.is_empty() && !argument.starts_with("--"))),
        };
        if value.is_some() {
            return value;
        }
    }
    None
}

/// Returns the programs whose timers are among the links of `folders`.
fn of_systemd(folders: &[PathBuf]) -> Vec<&'static str> {
    let is_wanted = |unit: String| folders.iter().any(|folder| fs::symlink_metadata(folder.join(&unit)).is_ok());
    COLLECTORS.into_iter().filter(|program| is_wanted(format!("{program}.timer"))).collect()
}

/// Whether systemd starts a service with the machine.
pub fn is_enabled(service: &str) -> bool {
    WANTED.iter().any(|folder| fs::symlink_metadata(Path::new(folder).join(format!("{service}.service"))).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_of_a_crontab_are_those_that_cron_takes() {
        let crontab = "# PATH=/comment\nPATH=/usr/local/bin:/usr/bin\n MAILTO = ops@example.org\n'A B'=c\n\"NAME\" = ' x '\n\
                       * * * * * collect-grid --config /etc/gridmon/config.cfg # a=b\n*/5 * * * * root X=1 collect-panda\nEMPTY=\n";
        let expected =
            [("PATH", "/usr/local/bin:/usr/bin"), ("MAILTO", "ops@example.org"), ("NAME", " x "), ("EMPTY", "")];
        assert_eq!(settings(crontab), expected.map(|(name, value)| (name.to_string(), value.to_string())));
    }

    #[test]
    fn the_programs_of_each_line_are_found_with_their_configs() {
        let check = |line: &str, expected: &[(&str, &str)]| {
            let command = command_of(line, None).unwrap_or_default();
            let found = started_by(command, Path::new("/home/mon"), 3);
            let found: Vec<_> = found
                .iter()
                .map(|one| (one.word.as_str(), one.config.as_ref().map_or("", |path| path.to_str().unwrap())))
                .collect();
            assert_eq!(found, expected, "{line}");
        };
        check(
            "* * * * * collect-grid --config /etc/gridmon/config.cfg",
            &[("collect-grid", "/etc/gridmon/config.cfg")],
        );
        check(
            "@hourly /opt/g/bin/downsample-1h -c c.cfg >/dev/null",
            &[("/opt/g/bin/downsample-1h", "/home/mon/c.cfg")],
        );
        check(
            "*/10 * * * * cd /srv && nice -n 5 collect-panda --config=a.cfg; collect-slurm -cb.cfg",
            &[("collect-panda", "/srv/a.cfg"), ("collect-slurm", "/srv/b.cfg")],
        );
        check(
            "0 1 * * * test -x /usr/bin/collect-grid && collect-grid -c \"$HOME/x\" %in",
            &[("collect-grid", "/home/mon/x")],
        );
        check("0 1 * * * collect-grid -c $CONFIG", &[("collect-grid", "")]);
        check("# * * * * * collect-grid", &[]);
        check("PATH=/x", &[]);
        check("* * * * * collect-gridded", &[]);
    }

    #[test]
    fn of_the_crontab_of_the_machine_only_the_lines_of_this_user_count() {
        let line = "* * * * * gridmon collect-grid";
        assert_eq!(command_of(line, Some("gridmon")), Some("collect-grid"));
        assert_eq!(command_of(line, Some("")), Some("collect-grid"), "nobody knows who this is");
        assert_eq!(command_of(line, Some("other")), None);
    }

    #[test]
    fn the_programs_are_those_of_the_example_and_their_timers() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let example = fs::read_to_string(root.join("crontab.example")).unwrap();
        let schedule = Schedule::of_crontab(&example, "example", false);
        let mut named: Vec<_> = schedule.started.iter().map(|one| one.program).collect();
        named.sort_unstable();
        assert_eq!(named, COLLECTORS);
        assert_eq!(schedule.path(), "/usr/local/bin:/usr/bin:/bin");
        assert_eq!(of_systemd(&[root.join("contrib")]), COLLECTORS);
        assert!(of_systemd(&[root.join("src")]).is_empty());
    }
}
