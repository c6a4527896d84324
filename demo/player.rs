//! The player: creates the folder, runs `collect-grid` for each minute, prints the events, and shows the store.

use std::collections::BTreeSet;
use std::env;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, ErrorKind, IsTerminal, Write};
use std::net::TcpStream;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use gridmon::frame::print;
use gridmon::model::{Point, Tier, utc};
use gridmon::setup::CATALOG;
use gridmon::sinks::embedded::Store;
use gridmon::text::count;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::grid::{CLOUDS, Grid, Minute, POOL, SCHEDDS, news};
use crate::libvirt::Player;
use crate::{Arguments, TIME, backups, nodes, panda, stand_in};

/// The last minutes, which even the slowest machine plays one by one.
const RECENT: Minute = 120;

/// Plays the requested hours, then shows the grid's state and prints the next commands.
///
/// # Errors
/// Fails if the folder cannot be created, or if the grid of its minute does not explain the exit code of a run.
pub fn play(arguments: &Arguments) -> Result<ExitCode> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, interrupted.clone()).context("signal handler")?;
    }
    let stage = Stage::set(&arguments.folder)?;
    let last = || arguments.until.unwrap_or_else(|| Timestamp::now().as_second()).div_euclid(60);
    let end = last();
    let first = end - 60 * Minute::from(arguments.hours) + 1;
    print(&announcement(first, end, &stage));

    let began = Instant::now();
    let bar = Bar::new(first, end);
    let mut pace = Pace::new(Duration::from_secs(arguments.seconds.into()));
    let (mut minute, mut told, mut runs) = (first, first - 1, 0);
    // Plays up to the current minute, however long that takes.
    while minute <= last() {
        // Prints the events of skipped minutes too; otherwise the mails would have no visible cause.
        for time in told + 1..=minute {
            news(time).iter().for_each(|words| bar.say(&format!("{}  generated: {words}", clock(time))));
        }
        told = minute;
        for line in stage.run(minute, &interrupted)? {
            bar.say(&format!("{}  by mail:   {line}", clock(minute)));
        }
        runs += 1;
        if interrupted.load(Ordering::SeqCst) {
            bar.end();
            let folder = shown(&stage.folder);
            bail!("interrupted; what was played up to {} is in {folder}, and the next demo begins anew", clock(minute));
        }
        if let Some(words) = pace.next(minute, last(), began.elapsed(), runs) {
            bar.say(&words);
        }
        minute = pace.after(minute, last());
        bar.at(minute, last());
    }
    bar.end();
    let took = began.elapsed().as_secs_f64();
    stage.instances(first, last(), &interrupted)?;
    print(&format!("{runs} runs of collect-grid in {took:.0} s, {:.0} ms each\n\n", 1000.0 * took / f64::from(runs)));
    stage.play_panda(60 * last(), 3 * i64::from(arguments.hours))?;
    // After the roll-ups of PanDA, which would fold the whole year.
    stage.play_backups(60 * last())?;
    stage.play_nodes(60 * last())?;
    stage.show(arguments.until)?;
    print(&stage.next_commands());
    stage.dashboard(&interrupted)?;
    Ok(ExitCode::SUCCESS)
}

/// Announces the demo, and which parts of it are simulated.
fn announcement(first: Minute, end: Minute, stage: &Stage) -> String {
    format!(
        "{} in the life of a grid, from {} to {}, minute by minute into {}

  generated  the grid: {} clouds with their machines, {} schedds with their jobs, and what goes wrong there; a function
             of the time, so that it is the same whoever asks
  recorded   the form of the answers and the words of failure, from HTCondor 23.9 and Cloud Scheduler 1.13
  played     {INSTANCES} instances in the last two hours, generated too: a stand-in for libvirtd tells their counters in its own
             protocol
  real       collect-grid, started once for each minute as cron would start it, collect-instances every five minutes, their
             spool and their embedded store

",
        hours(end - first + 1),
        utc(60 * first),
        utc(60 * end),
        shown(&stage.folder),
        CLOUDS.len(),
        SCHEDDS.len(),
    )
}

fn hours(minutes: Minute) -> String {
    match minutes / 60 {
        24 => "A day".into(),
        1 => "An hour".into(),
        hours => format!("{hours} hours"),
    }
}

fn clock(minute: Minute) -> String {
    utc(60 * minute)[11..16].into()
}

/// The folder of a demo, with everything that a run of `collect-grid` needs.
struct Stage {
    folder: PathBuf,
    /// The folder of `collect-grid` and `gridmon-status`, which is this program's own.
    programs: PathBuf,
    /// Marks the folder as a demo's; locked while the demo plays.
    _mark: File,
}

/// The most hours of PanDA that are played.
const MOST_OF_PANDA: i64 = 72;

/// The file that marks a folder as a demo's.
const MARK: &str = "made-by-gridmon-demo";

/// The programs of gridmon that are linked beside the stand-ins.
const REAL: [&str; 5] = ["collect-grid", "gridmon-status", "cloud-monitor", "collect-instances", "collect-backups"];

/// The instances of the stand-in for libvirtd, and the time between two runs that ask it.
const INSTANCES: usize = 20;
const SLOT: Minute = 5;

impl Stage {
    /// Creates the folder, or removes the files of an earlier demo from it.
    fn set(folder: &Path) -> Result<Self> {
        let another = "give another one: make demo DEMO=FOLDER";
        let cannot = || format!("{} cannot be made or written; {another}", folder.display());
        fs::create_dir_all(folder).with_context(cannot)?;
        let folder = folder.canonicalize().with_context(cannot)?;
        let text = folder.to_str().unwrap_or_default();
        // PATH or the config could not contain such a name.
        ensure!(!text.is_empty() && !text.contains([':', '\n', '#']), "{folder:?} is no name for PATH; {another}");
        let mark = folder.join(MARK);
        let foreign = !mark.exists() && fs::read_dir(&folder).with_context(cannot)?.next().is_some();
        ensure!(!foreign, "{text} holds files that no demo made; {another}");
        let mark = OpenOptions::new().write(true).create(true).truncate(false).open(mark).with_context(cannot)?;
        match mark.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("another demo plays in {text}; wait for it, or {another}"),
            Err(TryLockError::Error(error)) => return Err(error).with_context(cannot),
        }
        let program = env::current_exe().context("this program's own place")?;
        let programs = program.parent().context("this program has no folder")?.to_path_buf();
        let bin = folder.join("bin");
        ignore_missing(fs::remove_dir_all(folder.join("state"))).with_context(cannot)?;
        ignore_missing(fs::remove_dir_all(folder.join("report"))).with_context(cannot)?;
        ignore_missing(fs::remove_file(folder.join("config.cfg"))).with_context(cannot)?;
        ignore_missing(fs::create_dir(&bin).or_else(|error| if bin.is_dir() { Ok(()) } else { Err(error) }))
            .with_context(cannot)?;
        let stand_ins = stand_in::PROGRAMS.into_iter().chain([backups::SSH]);
        let links = stand_ins.map(|name| (name, program.clone()));
        for (name, target) in links.chain(REAL.map(|name| (name, programs.join(name)))) {
            ensure!(target.exists(), "{} is not there; build it: make demo does", target.display());
            ignore_missing(fs::remove_file(bin.join(name))).with_context(cannot)?;
            symlink(target, bin.join(name)).with_context(cannot)?;
        }
        // A group-writable config is refused, and some umasks would make it one.
        let config = OpenOptions::new().write(true).create_new(true).mode(0o644).open(folder.join("config.cfg"));
        config.and_then(|mut file| file.write_all(config_text(text).as_bytes())).with_context(cannot)?;
        Ok(Self { folder, programs, _mark: mark })
    }

    /// Runs `collect-grid` for one minute, as cron would. Returns the lines of its standard error, which cron would
    /// mail.
    ///
    /// # Errors
    /// Fails if the grid of that minute does not explain its exit code.
    fn run(&self, minute: Minute, interrupted: &AtomicBool) -> Result<Vec<String>> {
        let program = self.programs.join(REAL[0]);
        let now = (60 * minute).to_string();
        let output = Command::new(&program)
            .arg("--config")
            .arg(self.folder.join("config.cfg"))
            .args(["--now", &now])
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", self.folder.join("bin").display()))
            .env(TIME, &now)
            .stdin(Stdio::null())
            .output()
            .with_context(|| program.display().to_string())?;
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        // Ctrl-C interrupts it too.
        if !interrupted.load(Ordering::SeqCst) {
            let expected = if Grid::at(minute).answers() { 0 } else { 1 };
            ensure!(
                output.status.code() == Some(expected),
                "collect-grid --now {now} ended with {} where the grid of that minute explains {expected}: {}",
                output.status,
                if words.is_empty() { "it said nothing" } else { words.trim_end() }
            );
        }
        Ok(words.lines().map(String::from).collect())
    }

    /// Plays the instances of the last two hours, from `first` on at most, through `collect-instances`.
    ///
    /// # Errors
    /// Fails if a run does not end with 0.
    fn instances(&self, first: Minute, last: Minute, interrupted: &AtomicBool) -> Result<()> {
        let player = Player::start(&socket(&self.folder), INSTANCES).context("the stand-in for libvirtd")?;
        let program = self.programs.join(REAL[3]);
        let slots = (first.max(last - RECENT)..=last).filter(|minute| minute % SLOT == 0);
        for minute in slots.take_while(|_| !interrupted.load(Ordering::SeqCst)) {
            let now = 60 * minute;
            player.at(now);
            let mut command = Command::new(&program);
            command.arg("--config").arg(self.folder.join("config.cfg")).args(["--now", &now.to_string()]);
            let output =
                command.env_clear().stdin(Stdio::null()).output().with_context(|| program.display().to_string())?;
            ensure!(
                output.status.success() || interrupted.load(Ordering::SeqCst),
                "collect-instances --now {now} ended with {}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr).trim_end()
            );
        }
        Ok(())
    }

    /// Plays a year of nights of backups, and says what is real of them.
    ///
    /// # Errors
    /// Fails if the store or a run of collect-backups does.
    fn play_backups(&self, end: i64) -> Result<()> {
        let began = Instant::now();
        let backups::Played { backups, said } =
            backups::play(&self.folder, &self.programs, end).context("the nights of backups")?;
        print(&format!(
            "A year of nights of three hubs, {backups} backups in the history, in {:.0} s

  generated  what lies on the nodes, and one of each fault; a stand-in for ssh answers for them
  real       the arithmetic of collect-backups, and its runs in the last nights; the last one said {}. The report
             is at {}; the dashboard shows them at pages/backups/

",
            began.elapsed().as_secs_f64(),
            count(said.len(), "line"),
            shown(&self.folder.join("report/index.html")),
        ));
        Ok(())
    }

    /// Plays the last hours of PanDA, and says what is real of them.
    ///
    /// # Errors
    /// Fails if the store or a down-sampler does.
    fn play_panda(&self, end: i64, hours: i64) -> Result<()> {
        let began = Instant::now();
        let hours = hours.min(MOST_OF_PANDA);
        let played = panda::play(&self.folder, &self.programs, end, hours).context("the days of PanDA")?;
        let panda::Played { queues, slots, points, incidents: [queue, site] } = played;
        print(&format!(
            "{hours} hours of PanDA, {slots} slots of {queues} queues, {points} points, in {:.0} s

  generated  the counts; queue {queue} is drained, and the jobs of {site} fail
  recorded   the queues, sites and datadisks, from CRIC in 2019
  real       the arithmetic of collect-panda, its table with averages and scores, the roll-ups; the dashboard shows
             them at pages/suspicious/, pages/panda/ and pages/daod/

",
            began.elapsed().as_secs_f64()
        ));
        Ok(())
    }

    /// Plays a day of a Slurm cluster, and says what is generated.
    ///
    /// # Errors
    /// Fails if the store cannot be written.
    fn play_nodes(&self, end: i64) -> Result<()> {
        let day = nodes::Day { last: end, step: 300, silent: 1800 };
        let lines = nodes::lines(day).into_iter().chain(nodes::partitions(day));
        let mut points = lines.map(|line| Point::from_line(&line)).collect::<Result<Vec<_>>>()?;
        // Readings of five minutes: their coverage says so.
        let names: BTreeSet<_> = points.iter().map(|point| point.measurement().to_string()).collect();
        let covered = |name: &String| {
            let line =
                format!("coverage,grid=demo,measurement={name} slots=1i,step_seconds={}i {end}000000000", day.step);
            Point::from_line(&line)
        };
        points.extend(names.iter().map(covered).collect::<Result<Vec<_>>>()?);
        let (count, until) = (points.len(), Instant::now() + Duration::from_secs(60));
        Store::open(&self.folder.join("state/gridmon.db"), until)?.write(
            Tier::Raw,
            &panda::declared(points, CATALOG),
            until,
        )?;
        print(&format!(
            "A day of a Slurm cluster of twelve nodes, {count} points

  generated  all of it, with a disk that fills, a GPU that is lost, a drained node and a silent one; the dashboard shows
             them at pages/nodes/ and pages/slurm/

"
        ));
        Ok(())
    }

    /// Prints the grid's state from the store.
    fn show(&self, now: Option<i64>) -> Result<()> {
        let mut command = Command::new(self.programs.join(REAL[1]));
        command.args(["grid", "--config"]).arg(self.folder.join("config.cfg"));
        command.args(now.map(|now| format!("--now={now}"))).stdin(Stdio::null());
        let said = format!("$ {}\n", self.command(&[REAL[1], "grid"], ""));
        print(&said);
        let status = command.status().context(REAL[1])?;
        ensure!(status.success(), "{} grid ended with {status}", REAL[1]);
        Ok(())
    }

    /// Serves the dashboard of the played hours: on a terminal until it is interrupted, else only until it has answered
    /// once.
    fn dashboard(&self, interrupted: &AtomicBool) -> Result<()> {
        let program = self.programs.join(REAL[2]);
        let start = |listen: &str| -> Result<(Child, String)> {
            let mut command = Command::new(&program);
            command.arg("--config").arg(self.folder.join("config.cfg")).args(["--listen", listen]);
            let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().context(REAL[2])?;
            let mut said = String::new();
            if let Some(stderr) = child.stderr.take() {
                BufReader::new(stderr).read_line(&mut said).context(REAL[2])?;
            }
            Ok((child, said))
        };
        let (mut child, mut said) = start("127.0.0.1:5000")?;
        if !said.contains("http://") {
            // The port is taken; any other will do.
            let _ = child.wait();
            (child, said) = start("127.0.0.1:0")?;
        }
        let address = said.split_whitespace().find_map(|word| word.strip_prefix("http://")?.strip_suffix('/'));
        let served =
            address.with_context(|| format!("{} did not start: {}", REAL[2], said.trim())).and_then(|address| {
                let answer = ask(address).with_context(|| format!("http://{address}/"))?;
                ensure!(answer.starts_with("HTTP/1.1 200 "), "http://{address}/ answers {answer:?}");
                print(&format!("\nThe dashboard of this grid: http://{address}/\n"));
                if !io::stdin().is_terminal() {
                    let again = self.command(&[REAL[2]], "");
                    print(&format!(
                        "There is no terminal to end it from, so it ends now; start it again with\n  {again}\n"
                    ));
                    return Ok(());
                }
                print("It runs until you press ctrl-C.\n");
                while !interrupted.load(Ordering::SeqCst) {
                    if let Some(status) = child.try_wait().context(REAL[2])? {
                        bail!("{} ended with {status}", REAL[2]);
                    }
                    thread::sleep(Duration::from_millis(50));
                }
                Ok(())
            });
        let _ = child.kill();
        let _ = child.wait();
        served
    }

    /// Returns a command line of one of the demo's programs, to be copied.
    fn command(&self, words: &[&str], more: &str) -> String {
        let (program, config) = (self.folder.join("bin").join(words[0]), self.folder.join("config.cfg"));
        let words: String = words[1..].iter().map(|word| format!(" {word}")).collect();
        format!("{}{words} -c {}{more}", shown(&program), shown(&config))
    }

    fn next_commands(&self) -> String {
        let folder = |name: &str| self.folder.join(name);
        let status = REAL[1];
        let with_path = |command: String| format!("PATH={}:$PATH {command}", shown(&folder("bin")));
        let query = "SELECT utc, value FROM points WHERE series = 'grid_jobs,grid=demo,status=running,type=all' ORDER BY time DESC LIMIT 10";
        let commands = [
            ("what ran, what waits and what is dark", self.command(&[status], "")),
            ("what is in the store", self.command(&[status, "store"], "")),
            ("the state of every set of backups", self.command(&[status, "backups"], "")),
            (
                "the jobs, as a table for a spreadsheet",
                self.command(&[status, "store export --format csv -m grid_jobs -o jobs.csv"], ""),
            ),
            ("or asked with SQL", format!("sqlite3 {} \"{query}\"", shown(&folder("state/gridmon.db")))),
            (
                "the points of the minute that it is now, printed",
                with_path(self.command(&["collect-grid", "--dry-run"], "")),
            ),
            ("the same, stored: the grid goes on; let cron do it", with_path(self.command(&["collect-grid"], ""))),
            (
                "points go to Graphite from now on",
                format!("printf '[carbon]\\nhost = graphite.example.org\\n' >> {}", shown(&folder("config.cfg"))),
            ),
        ];
        let mut text = String::from("\nWhat to run next:\n");
        for (what, command) in commands {
            let _ = write!(text, "\n  # {what}\n  {command}\n");
        }
        text
    }
}

/// Requests a server's first page and returns the first line of the response.
fn ask(address: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line)
}

/// Returns the config of the demo in `folder`.
fn config_text(folder: &str) -> String {
    format!(
        "# Made by the demo, and made anew by the next one.
[grid]
name = demo

[htcondor]
pool = {POOL}

[cloud_scheduler]

[libvirt]
socket = {}

[state]
directory = {folder}/state
{}",
        socket(Path::new(folder)).display(),
        backups::config(folder)
    )
}

/// Returns the place of the stand-in's socket; a socket's path has at most 107 bytes.
fn socket(folder: &Path) -> PathBuf {
    let inside = folder.join("libvirt-sock-ro");
    let is_long = inside.as_os_str().len() > 100;
    if is_long { env::temp_dir().join(format!("gridmon-demo-{}", std::process::id())) } else { inside }
}

/// Treats a missing file as a removed one.
fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// Formats a path for a shell: relative if it is below the working directory, quoted if necessary.
fn shown(path: &Path) -> String {
    let here = env::current_dir().ok();
    let below = here.as_deref().and_then(|here| path.strip_prefix(here).ok()).filter(|path| path.is_relative());
    let text = below.unwrap_or(path).display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,@".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// Chooses the minutes that are played.
struct Pace {
    limit: Duration,
    step: Minute,
}

/// The steps of a coarse play, in minutes. Each is a divisor of an hour.
const STEPS: [Minute; 11] = [1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30];

impl Pace {
    fn new(limit: Duration) -> Self {
        Self { limit, step: 1 }
    }

    /// Adapts the step after `runs` runs in `took`, the last of them for `minute`. Returns a message if the machine is
    /// too slow for every minute up to `end`.
    fn next(&mut self, minute: Minute, end: Minute, took: Duration, runs: u32) -> Option<String> {
        // The first runs create the store and are not representative.
        if runs < 30 || !runs.is_multiple_of(10) {
            return None;
        }
        let each = took.as_secs_f64() / f64::from(runs);
        let older = (end - RECENT - minute).max(0);
        let affordable = (self.limit.as_secs_f64() - took.as_secs_f64()) / each - RECENT.min(end - minute) as f64;
        let step = STEPS.into_iter().find(|step| (older / step) as f64 <= affordable.max(1.0));
        let step = step.unwrap_or(STEPS[STEPS.len() - 1]);
        // Being a little late does not justify skipping minutes.
        if older == 0 || step <= self.step || (older / self.step) as f64 <= 1.1 * affordable {
            return None;
        }
        self.step = step;
        Some(format!(
            "this machine takes {:.0} ms a run, so from {} to {} only every {step} minutes are played",
            1000.0 * each,
            clock(minute),
            clock(end - RECENT)
        ))
    }

    /// Returns the minute to play after `minute`.
    fn after(&self, minute: Minute, end: Minute) -> Minute {
        let next = (minute.div_euclid(self.step) + 1) * self.step;
        if next > end - RECENT { next.min((end - RECENT).max(minute) + 1) } else { next }
    }
}

/// The progress on standard error: as a bar on a terminal, else as lines.
struct Bar {
    first: Minute,
    bar: Option<ProgressBar>,
    said: std::cell::Cell<Instant>,
}

impl Bar {
    fn new(first: Minute, end: Minute) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{msg} {wide_bar} {percent} %, {eta} left");
            ProgressBar::with_draw_target(Some((end - first + 1) as u64), ProgressDrawTarget::stderr())
                .with_style(style.expect("the template is sound"))
                .with_message(clock(first))
        });
        Self { first, bar, said: Instant::now().into() }
    }

    /// Shows that all minutes before `minute` are played.
    fn at(&self, minute: Minute, end: Minute) {
        let (done, all) = (minute - self.first, end - self.first + 1);
        match &self.bar {
            Some(bar) => {
                bar.set_length(all as u64);
                bar.set_position(done as u64);
                bar.set_message(clock(minute));
            }
            None if self.said.get().elapsed() >= Duration::from_secs(5) => {
                self.said.set(Instant::now());
                self.say(&format!("{}  {done} of {all} minutes played", clock(minute)));
            }
            None => {}
        }
    }

    /// Prints a line above the bar.
    fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => {
                let _ = writeln!(io::stderr(), "{line}");
            }
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the minutes that are played of `minutes` if each run takes `each`, and the messages.
    fn played(minutes: Minute, each: Duration) -> (Vec<Minute>, Vec<String>) {
        let mut pace = Pace::new(Duration::from_secs(50));
        let (mut minute, end) = (1000, 1000 + minutes - 1);
        let (mut played, mut said) = (Vec::new(), Vec::new());
        while minute <= end {
            played.push(minute);
            let runs = played.len() as u32;
            said.extend(pace.next(minute, end, each * runs, runs));
            minute = pace.after(minute, end);
        }
        (played, said)
    }

    #[test]
    fn a_fast_machine_plays_every_minute() {
        for minutes in [1, 60, 120, 1440] {
            let (played, said) = played(minutes, Duration::from_millis(34));
            assert_eq!((played, said), ((1000..1000 + minutes).collect(), vec![]));
        }
    }

    #[test]
    fn a_slow_machine_leaves_out_older_minutes_and_says_so() {
        for milliseconds in [45, 100, 200, 400] {
            let each = Duration::from_millis(milliseconds);
            let (played, said) = played(1440, each);
            let took = each * played.len() as u32;
            // The first runs, which measure the speed, and the last two hours are always played.
            let least = each * (30 + 120 + 48);
            assert!(took <= Duration::from_secs(56).max(least), "{took:?} at {each:?}");
            assert!(!said.is_empty(), "{each:?}");
            assert!((2440 - 120..2440).all(|minute| played.contains(&minute)), "{each:?}");
            let gap = played.windows(2).map(|pair| pair[1] - pair[0]).max();
            assert!(gap > Some(1) && gap <= Some(30), "{gap:?}");
        }
    }

    #[test]
    fn a_path_is_shown_as_a_shell_takes_it() {
        assert_eq!(shown(Path::new("/srv/grid-mon/a_b")), "/srv/grid-mon/a_b");
        assert_eq!(shown(Path::new("/srv/it's mine")), r"'/srv/it'\''s mine'");
        assert_eq!(shown(&env::current_dir().unwrap().join("x")), "x");
    }
}
