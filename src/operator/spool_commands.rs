//! The file commands of gridmon-status: reads the status, and flushes, shows and discards batches.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::status::StatusInput;
use crate::delivery::{self, Delivery, Replay};
use crate::frame::clock::SteadyClock;
use crate::frame::state::{self, State};
use crate::frame::{self, print, report};
use crate::model::utc;
use crate::os::owner;
use crate::problem::Subject;
use crate::setup::{self, Config};
use crate::sinks::Sink;
use crate::spool::{BAD, Backlog, Batch, Directory, Disk, Entry, Quarantined, Spool};
use crate::text::{count, one_line, size};

pub(super) const NAME: &str = "gridmon-status";

/// Prints a line on standard error.
pub fn complain(text: &str) {
    frame::complain(NAME, &[text.to_string()]);
}

/// Prints a line on standard output.
pub(super) fn print_line(text: &str) {
    print(&format!("{}\n", one_line(text)));
}

/// Reads all parts of the status, as of `now` in unix seconds or as of this moment; changes nothing.
///
/// # Errors
/// Fails if the state directory does not exist or cannot be read.
pub fn look(config: &Config, now: Option<i64>) -> Result<StatusInput> {
    let directory = state_directory(config)?;
    let wall = jiff::Timestamp::now().as_second();
    let mut input = StatusInput {
        now: now.unwrap_or(wall),
        // Ages from another clock are those of the slots.
        running: now.is_none().then(|| SteadyClock::look(&directory, wall).running),
        directory: directory.display().to_string(),
        configured: setup::sinks(config, &directory).iter().map(|sink| sink.name().to_string()).collect(),
        full: full(&directory),
        histories: report::histories(&directory).map_err(|error| with_remedy(error, &directory))?,
        ..StatusInput::default()
    };
    let closed =
        owner::ensure_closed(&directory).map_err(|error| format!("state directory {}: {error:#}", directory.display()));
    input.problems.extend(closed.err());
    input.problems.extend(state::left_behind(config.state_directory.as_deref()));
    let spool = directory.join("spool");
    let problem = |error: anyhow::Error| format!("{:#}", with_remedy(error, &spool));
    match open_spool(&spool) {
        Ok(None) => {}
        Ok(Some((disk, _))) => {
            match Spool::new(Directory::at(&spool)).backlogs() {
                Ok(backlogs) => input.backlogs = backlogs,
                Err(error) => input.problems.push(problem(error)),
            }
            match disk.quarantined().context(format!("spool/{BAD}")) {
                Ok(quarantined) => input.aside = quarantined,
                Err(error) => input.problems.push(problem(error)),
            }
        }
        Err(error) => input.problems.push(problem(error)),
    }
    Ok(input)
}

/// Returns what a full disk of the state directory means; `None` if something fits.
fn full(directory: &Path) -> Option<String> {
    // A report and a batch of a small grid.
    const LITTLE: u64 = 64 << 10;
    let disk = rustix::fs::statvfs(directory).ok()?;
    let is_full = disk.f_bavail * disk.f_frsize < LITTLE || disk.f_files > 0 && disk.f_favail == 0;
    is_full.then(|| format!("the disk of {} is full: runs can keep neither points nor reports", directory.display()))
}

/// Returns the state directory, which must exist.
pub(super) fn state_directory(config: &Config) -> Result<PathBuf> {
    let configured = config.state_directory.as_deref();
    match State::open(configured, NAME, &config.grid.name, false) {
        Ok(state) => Ok(state.directory().to_path_buf()),
        Err(error) => Err(with_remedy(error, &state::directory(configured))),
    }
}

/// Opens the spool without creating it. Returns `None` if it does not exist yet.
fn open_spool(path: &Path) -> Result<Option<(Directory, Spool<Directory>)>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
        Ok(_) => Ok(Some((Directory::at(path), Spool::new(Directory::at(path))))),
    }
}

/// Adds the remedy to an error, if one is known.
fn with_remedy(error: anyhow::Error, path: &Path) -> anyhow::Error {
    let kind = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    match kind {
        Some(ErrorKind::NotFound) => anyhow!(
            "{error:#}; no program has run with this config yet, or it is not theirs: run one, name their config with --config, or set [state] directory"
        ),
        _ => owner::with_remedy(error, path, NAME),
    }
}

/// Returns the state directory if it belongs to this user and nobody else can change it.
fn owned_state_directory(config: &Config) -> Result<PathBuf> {
    let directory = state_directory(config)?;
    state::prepare(&directory, NAME).with_context(|| format!("state directory {}", directory.display()))?;
    Ok(directory)
}

/// Fails if a folder of the programs belongs to another user.
pub(super) fn ensure_owned(folder: &Path) -> Result<()> {
    owner::ensure_owned(folder, NAME).with_context(|| format!("state directory {}", folder.display()))
}

/// Describes a backlog: `2 batches with 212 points wait, the oldest from …`.
fn waiting(Backlog { batches, points, oldest, .. }: &Backlog) -> String {
    let verb = if *batches == 1 { "waits" } else { "wait" };
    let oldest = oldest.map(|oldest| format!(", the oldest from {}", utc(oldest))).unwrap_or_default();
    format!("{} with {} {verb}{oldest}", count(*batches, "batch"), count(*points, "point"))
}

/// How long a flush waits for another program that is replaying.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Sends the backlog of every sink in the config now, and prints the remaining backlog and the reason.
///
/// # Errors
/// Fails if the state directory does not exist, belongs to another user, or cannot be read.
pub fn flush(config: &Config) -> Result<ExitCode> {
    let directory = owned_state_directory(config)?;
    if open_spool(&directory.join("spool"))?.is_none() {
        print_line("nothing waits");
        return Ok(ExitCode::SUCCESS);
    }
    let spool = delivery::open(&directory, setup::CATALOG).context("spool")?;
    let sinks = setup::sinks(config, &directory);
    let mut all_sent = true;
    for sink in &sinks {
        all_sent &= drain(config, &spool, sink.as_ref())?;
    }
    let configured: BTreeSet<_> = sinks.iter().map(|sink| sink.name()).collect();
    for (name, left) in spool.backlogs()?.iter().filter(|(name, _)| !configured.contains(name.as_str())) {
        print_line(&format!("{name}: {}; the config does not select it", waiting(left)));
        all_sent = false;
    }
    Ok(if all_sent { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Sends the backlog of one sink. Returns whether all of it was sent.
fn drain(config: &Config, spool: &Spool<Directory>, sink: &dyn Sink) -> Result<bool> {
    let name = sink.name();
    let before = spool.backlog(name)?;
    if before.batches == 0 {
        print_line(&format!("{name}: nothing waits"));
        return Ok(true);
    }
    wait_for_others(spool, name)?;
    let bar = io::stderr().is_terminal().then(|| bar(name, before.points));
    if bar.is_none() {
        complain(&format!("{name}: {}", waiting(&before)));
    }
    let last_print = Mutex::new(Instant::now());
    let progress = |points: usize| match &bar {
        Some(bar) => bar.set_position(points as u64),
        None => {
            let mut last_print = last_print.lock().expect("nothing panics while it is held");
            if last_print.elapsed() >= Duration::from_secs(5) {
                *last_print = Instant::now();
                complain(&format!("{name}: {points} of {} points sent", before.points));
            }
        }
    };
    let delivery = Delivery { spool: Ok(spool), config: &config.spool, running: 0, progress: &progress };
    // In effect no deadline: the operator can interrupt it, and nothing is lost.
    let until = Instant::now() + Duration::from_secs(30 * 86_400);
    let Replay { points, dropped, problems, .. } = delivery.replay(sink, until, false);
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let left = spool.backlog(name)?;
    let mut line = format!("{name}: sent {}", count(points, "point"));
    let _ = match left.batches {
        0 => write!(line, "; nothing waits"),
        _ => write!(line, "; {}", waiting(&left)),
    };
    let of_this_sink = Subject::Replay(name.into());
    for problem in &problems {
        let subject = if problem.subject == of_this_sink { String::new() } else { format!("{}: ", problem.subject) };
        let _ = write!(line, "; {subject}{}", problem.message);
    }
    if left.batches > 0 && problems.is_empty() {
        line.push_str("; programs that run now hold it or have just added it: try again");
    }
    if let Some(first) = dropped.first() {
        let _ = write!(line, "; {} dropped, the first {} ({})", count(dropped.len(), "point"), first.name, first.why);
    }
    print_line(&line);
    Ok(left.batches == 0 && problems.is_empty() && dropped.is_empty())
}

/// Waits until no other program replays to a sink.
fn wait_for_others(spool: &Spool<Directory>, sink: &str) -> Result<()> {
    let began = Instant::now();
    let mut is_announced = false;
    while spool.lock(sink)?.is_none() {
        ensure!(
            began.elapsed() < TIMEOUT,
            "{sink}: other programs send what waits for it, for {} s now; look again with {NAME}",
            TIMEOUT.as_secs()
        );
        if !is_announced {
            complain(&format!("{sink}: another program is sending what waits; waiting for it"));
            is_announced = true;
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn bar(sink: &str, points: usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(points as u64), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos} of {len} points, {eta} left");
    bar.with_style(style.expect("the template is sound")).with_prefix(sink.to_string())
}

/// A file that the operator named.
enum Found {
    Waiting(Entry),
    Quarantined(Quarantined),
}

impl Found {
    /// Returns its name below the spool.
    fn name(&self) -> String {
        match self {
            Self::Waiting(entry) => entry.name.clone(),
            Self::Quarantined(file) => format!("{BAD}/{}", file.name),
        }
    }
}

/// Returns every waiting batch, then every file in `bad/`; both sorted, oldest first.
fn all_files(disk: &Directory, spool: &Spool<Directory>) -> Result<Vec<Found>> {
    let mut entries = Vec::new();
    spool.entries(|entry| entries.push(entry))?;
    entries.sort();
    let quarantined = disk.quarantined().with_context(|| format!("spool/{BAD}"))?;
    Ok(entries.into_iter().map(Found::Waiting).chain(quarantined.into_iter().map(Found::Quarantined)).collect())
}

/// Returns the file whose name is `part`, or else the only one whose name contains it.
fn find(files: Vec<Found>, part: &str) -> Result<Found> {
    let (exact, mut holding): (Vec<_>, Vec<_>) = files
        .into_iter()
        .filter(|file| file.name().contains(part))
        .partition(|file| file.name() == part || file.name().strip_prefix("bad/") == Some(part));
    if let Some(file) = exact.into_iter().next() {
        return Ok(file);
    }
    match holding.len() {
        0 => bail!("no batch is called {part:?}; `{NAME} show` lists them"),
        1 => Ok(holding.remove(0)),
        many => {
            let mut names: Vec<_> = holding.iter().take(5).map(Found::name).collect();
            if many > names.len() {
                names.push(format!("and {} more", many - names.len()));
            }
            bail!("{part:?} is a part of {many} names, give more of it: {}", names.join(", "))
        }
    }
}

/// Prints the only batch whose name contains `batch`; without `batch`, lists all of them.
///
/// # Errors
/// Fails if there is no such batch, or more than one, or it cannot be read.
pub fn show(config: &Config, batch: Option<&str>) -> Result<ExitCode> {
    let directory = state_directory(config)?;
    let path = directory.join("spool");
    let files = match open_spool(&path).map_err(|error| with_remedy(error, &path))? {
        None => Vec::new(),
        Some((disk, spool)) => all_files(&disk, &spool).map_err(|error| with_remedy(error, &path))?,
    };
    let spool = Spool::new(Directory::at(&path));
    let pending = |entry: &Entry| {
        let pending: Vec<_> =
            entry.sinks.iter().filter(|sink| spool.is_pending(entry, sink)).map(String::as_str).collect();
        if pending.is_empty() { "no sink any more".to_string() } else { pending.join(", ") }
    };
    let Some(part) = batch else {
        let text = files.iter().fold(String::new(), |text, file| match file {
            Found::Waiting(entry) => {
                let (points, size) = (count(entry.points, "point"), size(entry.bytes));
                text + &format!("{}  {}, {points}, {size}, waits for {}\n", entry.name, utc(entry.time), pending(entry))
            }
            Found::Quarantined(Quarantined { name, bytes, time, why }) => {
                let name = one_line(name);
                text + &format!("{BAD}/{name}  {}, {}: {}\n", utc(*time), size(*bytes), one_line(why))
            }
        });
        return Ok(print(&text));
    };
    let found = find(files, part)?;
    let name = found.name();
    let bytes = Directory::at(&path).read(&name).with_context(|| name.clone());
    let bytes = bytes.map_err(|error| with_remedy(error, &path.join(&name)))?;
    let mut head = vec![("file", path.join(&name).display().to_string())];
    match &found {
        Found::Waiting(entry) => head.push(("waits for", pending(entry))),
        Found::Quarantined(file) if file.why.is_empty() => head.push(("aside", "nobody noted why".into())),
        Found::Quarantined(file) => head.push(("aside", file.why.clone())),
    }
    let (body, code) = match Batch::decode(&bytes) {
        Ok(Batch { header, points }) => {
            head.push(("program", format!("{} on {}", header.program, header.grid)));
            head.push(("slot", utc(header.time)));
            head.push(("tier", header.tier));
            if !header.database.is_empty() {
                head.push(("database", header.database));
            }
            head.push(("sinks", header.sinks.into_iter().collect::<Vec<_>>().join(", ")));
            head.push(("points", format!("{} in {}", points.len(), size(bytes.len() as u64))));
            (points.iter().fold(String::new(), |text, point| text + &point.line() + "\n"), ExitCode::SUCCESS)
        }
        Err(why) => {
            head.push(("unreadable", format!("{why}; here is what it holds, {}", size(bytes.len() as u64))));
            complain(&format!("{name}: {why}"));
            (String::from_utf8_lossy(&bytes[..bytes.len().min(64 * 1024)]).into_owned() + "\n", ExitCode::FAILURE)
        }
    };
    let head =
        head.iter().fold(String::new(), |text, (name, value)| text + &format!("# {name:<10}  {}\n", one_line(value)));
    let printed = print(&(head + &escape_controls(&body)));
    Ok(if printed == ExitCode::SUCCESS { code } else { printed })
}

/// Escapes the control characters that a terminal would obey.
fn escape_controls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && !matches!(c, '\n' | '\t') { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// Asks a question of `program` on the terminal and returns the answer; with `--yes`, returns true at once.
pub(super) fn confirm(program: &str, question: &str, yes: bool) -> Result<bool> {
    if yes {
        return Ok(true);
    }
    ensure!(io::stdin().is_terminal(), "{question} Nobody is at a terminal to ask; say --yes");
    let _ = write!(io::stderr(), "{question} [y/N] ");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("the answer")?;
    let is_yes = matches!(answer.trim().to_lowercase().as_str(), "y" | "yes");
    if !is_yes {
        frame::complain(program, &["nothing is changed".into()]);
    }
    Ok(is_yes)
}

/// Which batches are discarded, as flags.
#[derive(Args, Debug)]
pub struct Discard {
    /// Their names, or a part that no other name has
    #[arg(required_unless_present_any = ["bad", "sink", "older_than"], conflicts_with_all = ["bad", "sink", "older_than"])]
    batch: Vec<String>,
    /// What waits for this sink; other sinks still get it
    #[arg(long, value_name = "SINK", conflicts_with = "bad")]
    sink: Option<String>,
    /// What is older than this, of all sinks or, with --sink, of one; with --bad, in bad/
    #[arg(long, value_name = "DAYS")]
    older_than: Option<u32>,
    /// Delete what is in bad/ already, for good
    #[arg(long)]
    bad: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

impl Discard {
    /// Moves the batches into `bad/`, or deletes the files there, after asking.
    ///
    /// # Errors
    /// Fails if the state directory does not exist, belongs to another user, or there is no terminal to ask on.
    pub fn run(&self, config: &Config, now: i64) -> Result<ExitCode> {
        let directory = owned_state_directory(config)?;
        let path = directory.join("spool");
        let Some((_, spool)) = open_spool(&path)? else {
            ensure!(self.batch.is_empty(), "no batch waits");
            print_line("nothing to discard");
            return Ok(ExitCode::SUCCESS);
        };
        let disk = Directory::open(&path).context("spool")?;
        let before = self.older_than.map(|days| now - i64::from(days) * 86_400);
        let is_old = |time: i64| before.is_none_or(|before| time < before);
        if self.bad {
            let mut files = disk.quarantined().with_context(|| format!("spool/{BAD}"))?;
            files.retain(|file| is_old(file.time));
            return self.delete(&disk, &files);
        }
        let mut entries = Vec::new();
        if self.batch.is_empty() {
            spool.entries(|entry| entries.push(entry))?;
            let is_pending = |entry: &Entry| match &self.sink {
                Some(sink) => spool.is_pending(entry, sink),
                None => entry.sinks.iter().any(|sink| spool.is_pending(entry, sink)),
            };
            entries.retain(|entry| is_old(entry.time) && is_pending(entry));
        }
        for part in &self.batch {
            match find(all_files(&disk, &spool)?, part)? {
                Found::Waiting(entry) => entries.push(entry),
                Found::Quarantined(file) => {
                    bail!("{BAD}/{} is aside already; discard --bad deletes all that is there", file.name)
                }
            }
        }
        entries.sort();
        entries.dedup();
        self.quarantine(&disk, &spool, &entries)
    }

    fn quarantine(&self, disk: &Directory, spool: &Spool<Directory>, entries: &[Entry]) -> Result<ExitCode> {
        let sinks: BTreeSet<_> = entries.iter().flat_map(|entry| &entry.sinks).map(String::as_str).collect();
        let sinks = self.sink.clone().unwrap_or_else(|| sinks.into_iter().collect::<Vec<_>>().join(", "));
        if entries.is_empty() {
            print_line("nothing to discard");
            return Ok(ExitCode::SUCCESS);
        }
        let points = |entries: &[&Entry]| entries.iter().map(|entry| entry.points).sum();
        let what =
            |entries: &[&Entry]| format!("{} with {}", count(entries.len(), "batch"), count(points(entries), "point"));
        let everything: Vec<_> = entries.iter().collect();
        let question = format!("Put {} aside into {BAD}/, so that they never reach {sinks}?", what(&everything));
        if !confirm(NAME, &question, self.yes)? {
            return Ok(ExitCode::FAILURE);
        }
        let clock = utc(jiff::Timestamp::now().as_second());
        let (mut done, mut failed) = (Vec::new(), false);
        for entry in entries {
            let pending: Vec<_> =
                entry.sinks.iter().filter(|sink| spool.is_pending(entry, sink)).map(String::as_str).collect();
            let pending = self.sink.clone().unwrap_or_else(|| pending.join(", "));
            let why = format!("discarded by hand at {clock}, still owed to {pending}");
            let result = match spool.claim(entry) {
                Ok(Some(_claim)) => {
                    spool.discard(entry, self.sink.as_deref(), &why).with_context(|| entry.name.clone())
                }
                // Sent after it was listed.
                Ok(None) if !disk.exists(&entry.name) => continue,
                Ok(None) => Err(anyhow!("{}: the run that collected it is sending it now; try again", entry.name)),
                Err(error) => Err(error.context(entry.name.clone())),
            };
            match result {
                Ok(()) => done.push(entry),
                Err(error) => {
                    complain(&format!("{error:#}"));
                    failed = true;
                }
            }
        }
        print_line(&format!("put {} into {BAD}/; `{NAME} discard --bad` deletes them for good", what(&done)));
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn delete(&self, disk: &Directory, files: &[Quarantined]) -> Result<ExitCode> {
        if files.is_empty() {
            print_line("nothing to discard");
            return Ok(ExitCode::SUCCESS);
        }
        let bytes = size(files.iter().map(|file| file.bytes).sum());
        let question = format!("Delete {} of {BAD}/, {bytes}, for good?", count(files.len(), "file"));
        if !confirm(NAME, &question, self.yes)? {
            return Ok(ExitCode::FAILURE);
        }
        let mut deleted = 0;
        for file in files {
            match disk.delete_quarantined(&file.name) {
                Ok(()) => deleted += 1,
                Err(error) => complain(&format!("{BAD}/{}: {error}", file.name)),
            }
        }
        print_line(&format!("deleted {}", count(deleted, "file")));
        Ok(if deleted == files.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
