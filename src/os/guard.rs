//! The guard of a run: a process that kills what the run started once the run itself was killed.
//!
//! Nothing can be done in a process that receives SIGKILL, and its children live on. So the first command starts the same
//! program once more as the guard. Each command has a mark of its run in its environment, which all its descendants
//! inherit, also those that leave its process group. When the run has ended, however it ended, the guard's standard input
//! ends too; it kills every process that bears the mark, and ends.

use std::fs;
use std::io::{self, PipeWriter, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

/// The guard's name in the list of processes.
const NAME: &str = "gridmon-guard";

/// The environment variable that names the run that started a command.
pub const MARK: &str = "GRIDMON_RUN";

/// How often the guard looks for marked processes without finding any. A command that was just being started when the
/// run was killed bears the mark only a moment later.
const LOOKS: usize = 3;

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// The most looks. A process that hangs in the kernel dies by the first kill, but only once the kernel lets go of it.
const MOST_LOOKS: usize = 100;

/// Whether this program becomes a guard if it is started as one.
static IS_ENABLED: AtomicBool = AtomicBool::new(false);

/// The mark of this run, and the pipe that ends with it; `None` if no guard could be started.
static GUARD: OnceLock<Option<(String, PipeWriter)>> = OnceLock::new();

/// Makes this process a guard if `arguments`, which are those of the process, say so. Otherwise lets its commands be
/// guarded.
pub fn enable(mut arguments: impl Iterator<Item = String>) {
    if arguments.next().as_deref() == Some(NAME)
        && let Some(mark) = arguments.next()
    {
        guard(&mark);
        std::process::exit(0);
    }
    IS_ENABLED.store(true, Ordering::SeqCst);
}

/// Returns the mark for the environment of a command. The first call starts the guard. `None` without a guard.
pub(super) fn mark() -> Option<&'static str> {
    if !IS_ENABLED.load(Ordering::SeqCst) {
        return None;
    }
    GUARD.get_or_init(|| start().ok()).as_ref().map(|(mark, _)| mark.as_str())
}

fn start() -> io::Result<(String, PipeWriter)> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mark = format!("{}.{}", std::process::id(), now.as_nanos());
    // Only this process has the other end: the children close it when they become their programs.
    let (ends_with_run, held) = io::pipe()?;
    Command::new("/proc/self/exe")
        .arg0(NAME)
        .arg(&mark)
        .env_clear()
        .current_dir("/")
        .stdin(ends_with_run)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A Ctrl-C is for the run alone.
        .process_group(0)
        .spawn()?;
    Ok((mark, held))
}

/// Waits for the end of the run and kills every process with its mark.
fn guard(mark: &str) {
    let mut nothing = [0];
    while !matches!(io::stdin().read(&mut nothing), Ok(0)) {}
    let mark = format!("{MARK}={mark}").into_bytes();
    let mut in_vain = 0;
    for _ in 0..MOST_LOOKS {
        in_vain = if kill_marked(&mark) { 0 } else { in_vain + 1 };
        if in_vain == LOOKS {
            return;
        }
        thread::sleep(PAUSE);
    }
}

/// Kills every process that bears the mark; returns whether there was one.
fn kill_marked(mark: &[u8]) -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|process| Pid::from_raw(process.file_name().to_str()?.parse().ok()?));
    let bears_mark = |id: Pid| {
        let environment = fs::read(format!("/proc/{}/environ", id.as_raw_nonzero()));
        environment.is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|variable| variable == mark))
    };
    let mut found = false;
    for id in ids.filter(|id| bears_mark(*id)) {
        let process = match pidfd_open(id, PidfdFlags::empty()) {
            Err(Errno::SRCH) => continue,
            opened => opened.ok(),
        };
        // Another process may have got the number before it was opened, but none can afterwards. Before Linux 5.3 none can be opened.
        if bears_mark(id) {
            let killed = match process {
                Some(process) => pidfd_send_signal(process, Signal::KILL),
                None => kill_process(id, Signal::KILL),
            };
            found |= killed.is_ok();
        }
    }
    found
}
