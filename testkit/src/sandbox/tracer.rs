//! strace as the hand that kills: a run ended by SIGKILL on entering the n-th system call of a name.
//!
//! strace counts for each thread by itself. So the calls of the main thread are reached by tracing it alone, and those of
//! the thread that delivers by taking hold of it where it waits for Carbon's close, from where its counts begin at one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use super::Sandbox;
use super::proof::Keeper;
use crate::{skip, wait_until};

/// Which thread's calls are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Threads {
    /// The main thread, which asks, publishes and reports.
    Main,
    /// Every thread for itself: whichever comes to the call first.
    Each,
    /// The thread that delivers, from the moment when all of the run's own points are with Carbon.
    Delivery,
}

/// Whether strace is here and may trace; says so when not.
pub fn may_trace(test: &str) -> bool {
    if Command::new("strace").arg("-V").output().is_err() {
        skip(test, "strace");
        return false;
    }
    let own = Command::new("strace").args(["-o", "/dev/null", "true"]).output().unwrap().status.success();
    let mut other = Command::new("sleep").arg("60").spawn().unwrap();
    let attached = attach(other.id(), &["-o", "/dev/null"]).is_some();
    let _ = other.kill();
    let _ = other.wait();
    if !own || !attached {
        skip(test, "the right to trace processes (ptrace)");
    }
    own && attached
}

/// strace at a thread that runs already; `None` when it may not.
fn attach(thread: u32, options: &[&str]) -> Option<std::process::Child> {
    let mut tracer = Command::new("strace")
        .args(["-p", &thread.to_string()])
        .args(options)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(tracer.stderr.take().unwrap());
    let mut line = String::new();
    let _ = said.read_line(&mut line);
    if line.contains("attached") {
        // It says some more at the end, which must not find its reader gone.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        return Some(tracer);
    }
    let _ = tracer.wait();
    None
}

/// Runs collect-grid with a SIGKILL at the `count`-th call of `name`; how it ended. The log of what was traced goes to
/// `log`. Without a `name` everything is traced and nothing killed.
pub fn run(
    sandbox: &Sandbox,
    arguments: &[String],
    keeper: &Keeper,
    threads: Threads,
    name: Option<(&str, usize)>,
    log: &Path,
) -> ExitStatus {
    let inject = name.map(|(name, count)| format!("inject={name}:signal=KILL:when={count}"));
    let mut options = vec!["-y".to_string(), "-o".into(), log.display().to_string()];
    if threads != Threads::Delivery {
        // What it starts is let go at its execve: the calls of the sources' programs are none of ours.
        options.extend(
            ["-f", "-b", "execve"].iter().filter(|_| threads == Threads::Each).map(|option| option.to_string()),
        );
    }
    match (&inject, name) {
        (Some(inject), Some((name, _))) => {
            options.extend(["-e".into(), format!("trace={name}"), "-e".into(), inject.clone()])
        }
        _ => options.extend(["-e".into(), "trace=%file,%desc,%network".into()]),
    }
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let plain = sandbox.command(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    if threads == Threads::Delivery {
        return run_delivery(plain, &options, keeper);
    }
    let mut command = Command::new("strace");
    command.args(&options).arg(plain.get_program()).args(plain.get_args());
    command.current_dir(plain.get_current_dir().unwrap()).env_clear();
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap()
}

fn run_delivery(mut plain: Command, options: &[&str], keeper: &Keeper) -> ExitStatus {
    keeper.wait_before_closing();
    let before = keeper.read_to_end();
    let mut run = plain.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let thread = wait_until("the delivery to wait for Carbon's close", Duration::from_secs(30), || {
        (keeper.read_to_end() > before).then_some(())?;
        polling(run.id())
    });
    let mut tracer = attach(thread, options).expect("a process of our own");
    keeper.close(u64::MAX);
    let status = run.wait().unwrap();
    let _ = tracer.wait();
    status
}

/// The thread that waits in poll, by the number of the call.
fn polling(process: u32) -> Option<u32> {
    let poll = if cfg!(target_arch = "x86_64") { ["7", "271"] } else { ["73", "73"] };
    let tasks = fs::read_dir(format!("/proc/{process}/task")).ok()?;
    tasks.flatten().find_map(|task| {
        let call = fs::read_to_string(task.path().join("syscall")).ok()?;
        poll.contains(&call.split(' ').next()?).then(|| task.file_name().to_str()?.parse().ok())?
    })
}

/// Whether a run was ended by SIGKILL.
pub fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(9)
}

/// The calls of a log: name and what it was about, with everything that changes from run to run left out.
pub fn calls(log: &Path, folder: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(log).unwrap_or_default();
    let folder = folder.display().to_string();
    let folder = folder.trim_end_matches('/');
    let call = |line: &str| {
        // With -f each line begins with its thread.
        let line = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        let (name, rest) = line.split_once('(')?;
        let sound = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        sound.then(|| (name.to_string(), about(rest, folder)))
    };
    text.lines().filter_map(call).collect()
}

/// The files of the sandbox that a call names.
fn about(arguments: &str, folder: &str) -> String {
    let mut about = BTreeSet::new();
    for (at, _) in arguments.match_indices(folder) {
        let rest = &arguments[at + folder.len()..];
        let end = rest.find(['"', '>']).unwrap_or(rest.len());
        about.insert(mask(&rest[..end]));
    }
    about.into_iter().collect::<Vec<_>>().join(" ")
}

/// A file's name without what is different in each run: of a batch the process and its unique end.
pub fn mask(name: &str) -> String {
    let (folder, file) = name.rsplit_once('/').map_or(("", name), |(folder, file)| (folder, file));
    let masked = match file.rsplit_once('-') {
        Some((stem, end)) if file.starts_with("00") => {
            let stem = stem.rsplit_once('-').map_or(stem, |(stem, _)| stem);
            // Of time, points and bytes the time stays.
            let parts: Vec<_> = stem.splitn(4, '-').collect();
            let end = end.split_once('.').map_or("", |(_, end)| end);
            format!("{}-{}.{end}", parts[0], parts.get(3).unwrap_or(&""))
        }
        // NAME.PROCESS.new
        _ => match file.strip_suffix(".new").and_then(|stem| stem.rsplit_once('.')) {
            Some((stem, process)) if process.bytes().all(|byte| byte.is_ascii_digit()) => format!("{stem}.new"),
            _ => file.to_string(),
        },
    };
    format!("{folder}/{masked}")
}

/// How often each name occurs.
pub fn names(calls: &[(String, String)]) -> BTreeMap<String, usize> {
    let mut names = BTreeMap::new();
    for (name, _) in calls {
        *names.entry(name.clone()).or_default() += 1;
    }
    names
}
