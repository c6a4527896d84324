//! Nodes over ssh: which files lie below some folders, in one login a node.
//!
//! The system's own `ssh` (OpenSSH 9.2 was tried) is the client: it brings ssh_config, agents, jump hosts, certificates
//! and Kerberos. It gets a [script] on standard input, which prints a [listing] between a BEGIN and an END of its own; no
//! exit code is believed, since 255 is both ssh's failure and a command's code. Without END nothing of a node is known.
//!
//! Three bounds are needed. `ConnectTimeout` covers TCP and the banner; `ServerAliveInterval` the key exchange and the
//! session; and only a deadline of our own ends a remote command that hangs.
//!
//! [content] asks about what is in some of the files, by a second script.
//!
//! A node with nothing below its folder prints the folder alone; one without the folder says that it is not there.

mod complaints;
pub mod content;
pub mod listing;
pub mod script;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

pub use self::complaints::Complaints;
pub use self::listing::{Entry, Listing, Seen};
pub use self::script::Root;
use crate::config::Program;
use crate::os::command::{Ended, Failure, exchange_and_hear};
use crate::text::{quote, quote_ends};

/// A machine that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The name in the config.
    pub name: String,
    /// Where it is.
    pub place: Place,
    /// What reads the script there, such as `sh -s`; empty for that, or for `sh -l -s` where a root names a variable of the
    /// login.
    pub shell: Vec<String>,
}

/// Where a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On this machine.
    Here,
    /// Behind ssh.
    Ssh {
        /// The name that ssh knows, which ssh_config may explain.
        host: String,
        /// The user, if the config names one.
        user: Option<String>,
        /// The port, if the config names one.
        port: Option<u16>,
        /// The file of the key, if the config names one.
        key: Option<String>,
    },
}

impl Node {
    /// Reads the name of a node: `local`, or `[USER@]HOST[:PORT]`.
    ///
    /// # Errors
    /// Fails if it is none.
    pub fn new(name: &str) -> Result<Self> {
        let place = if name == "local" { Place::Here } else { place(name)? };
        Ok(Self { name: name.into(), place, shell: Vec::new() })
    }
}

fn place(name: &str) -> Result<Place> {
    let (user, rest) = name.rsplit_once('@').map_or((None, name), |(user, rest)| (Some(user.to_string()), rest));
    // An address of IPv6 has several colons, or brackets around it.
    let (host, port) = match (rest.strip_prefix('[').and_then(|rest| rest.split_once(']')), rest.matches(':').count()) {
        (Some((host, port)), _) => (host, port.strip_prefix(':')),
        (None, 1) => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
        _ => (rest, None),
    };
    let is_word = |word: &str| {
        !word.is_empty() && !word.starts_with('-') && !word.contains(|c: char| c.is_whitespace() || c.is_control())
    };
    let is_good = is_word(host) && user.as_deref().is_none_or(is_word);
    let number = port.map(str::parse::<u16>);
    ensure!(
        is_good && number.as_ref().is_none_or(Result::is_ok),
        "{} is not local, nor [USER@]HOST[:PORT]",
        quote(name)
    );
    Ok(Place::Ssh { host: host.into(), user, port: number.and_then(Result::ok), key: None })
}

/// The bounds of a question.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// The ssh client, with its arguments.
    pub ssh: Program,
    /// The seconds for TCP, banner and key exchange each.
    pub connect_seconds: u64,
    /// The seconds for the whole answer of a node.
    pub node_seconds: u64,
    /// The most files and folders that a node may list.
    pub node_entries: usize,
}

/// How far a clock may be ahead or behind before it is worth a word, in seconds.
pub const SKEW: i64 = 120;

/// Why a node is not known when the run ends before it could answer.
const OVER: &str = "the time of the run was over before it had answered: raise [backups] parallel or deadline_seconds";

/// What a node told beside the entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// How far its clock is ahead of ours, in seconds; `None` if it does not tell it.
    pub skew_seconds: Option<i64>,
    /// The first line of each kind in which find named what it could not read.
    pub said: String,
}

/// Lists the roots of a node, until `until` at the latest; hands what it sees of each to `see`. `now` is the run's clock, in
/// unix seconds, at `began`.
///
/// # Errors
/// Fails if there is no whole listing. What `see` was handed is then worth nothing.
pub fn list(
    node: &Node,
    roots: &[Root],
    bounds: &Bounds,
    until: Instant,
    clock: impl Fn() -> i64,
    mut see: impl FnMut(usize, Seen),
) -> Result<Answer, String> {
    if until <= Instant::now() {
        return Err(OVER.into());
    }
    let deadline = until.min(Instant::now() + Duration::from_secs(bounds.node_seconds));
    let nonce = nonce();
    let script = script::listing(roots, &nonce, bounds.node_seconds);
    let needs_login = roots.iter().any(|root| script::needs_login(&root.path));
    let (mut listing, mut complaints) = (Listing::new(&nonce, bounds.node_entries), Complaints::default());
    let mut skew = None;
    let read = |piece: &[u8]| {
        listing.read(piece, &mut see)?;
        if skew.is_none() {
            skew = listing.clock.map(|theirs| theirs - clock());
        }
        Ok(())
    };
    let hear = |piece: &[u8]| complaints.read(piece);
    let ended = exchange_and_hear(&mut command(node, bounds, needs_login), &script, deadline, read, hear);
    match ended {
        Ok(_) if listing.is_whole() => Ok(Answer { skew_seconds: skew, said: complaints.text() }),
        Ok(ended) => Err(cut(&listing, &ended)),
        Err(Failure::TimedOut(..)) if until <= Instant::now() => Err(OVER.into()),
        Err(failure) => Err(explain(&listing, &failure, bounds)),
    }
}

/// Returns the command that runs a shell on the node.
fn command(node: &Node, bounds: &Bounds, needs_login: bool) -> Command {
    let shell: Vec<&str> = match node.shell.as_slice() {
        [] if needs_login => vec!["sh", "-l", "-s"],
        [] => vec!["sh", "-s"],
        shell => shell.iter().map(String::as_str).collect(),
    };
    let Place::Ssh { host, user, port, key } = &node.place else {
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]);
        return command;
    };
    let mut command = Command::new(&bounds.ssh.argv[0]);
    command.args(&bounds.ssh.argv[1..]);
    let seconds = bounds.connect_seconds;
    // Two unanswered questions end it.
    let alive = seconds.div_ceil(2).max(1);
    command.args(["-T", "-x", "-a", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"]);
    command.arg("-o").arg(format!("ConnectTimeout={seconds}"));
    command.arg("-o").arg(format!("ServerAliveInterval={alive}")).args(["-o", "ServerAliveCountMax=2"]);
    // What an ssh_config may set for people who log in.
    command.args(["-o", "ClearAllForwardings=yes", "-o", "RemoteCommand=none", "-o", "PermitLocalCommand=no"]);
    let port = port.map(|port| port.to_string());
    for (option, value) in [("-l", user), ("-i", key), ("-p", &port)] {
        if let Some(value) = value {
            command.args([option, value]);
        }
    }
    command.arg("--").arg(host).arg(shell.join(" "));
    command
}

fn nonce() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}

fn one_text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.trim_ascii()).into_owned()
}

/// Explains why a node that ended gave no whole listing.
fn cut(listing: &Listing, ended: &Ended) -> String {
    let (stderr, stdout) = (one_text(&ended.stderr), one_text(&ended.stdout));
    let said = if stderr.is_empty() && !listing.has_begun() { &stdout } else { &stderr };
    let words = match said.as_str() {
        "" => format!("it printed nothing and ended with {}", ended.status),
        _ => quote_ends(said),
    };
    if listing.has_begun() {
        return format!("the listing broke off after {} entries: {words}", listing.entries);
    }
    match remedy(said) {
        Some(remedy) => format!("{words}; {remedy}"),
        None => words,
    }
}

fn explain(listing: &Listing, failure: &Failure, bounds: &Bounds) -> String {
    match failure {
        Failure::TimedOut(..) if listing.has_begun() => {
            format!(
                "the listing did not end in time, after {} entries: [backups] node_seconds is {}",
                listing.entries, bounds.node_seconds
            )
        }
        Failure::TimedOut(..) => format!("{failure}: nothing came after the login, or the name could not be looked up"),
        Failure::Start(_) => {
            format!("{} {failure}; install OpenSSH's client, or say where it is: [backups] ssh", bounds.ssh.shown)
        }
        _ => failure.to_string(),
    }
}

/// Returns what to do about what ssh or the node said.
fn remedy(said: &str) -> Option<&'static str> {
    let remedies = [
        (
            "IDENTIFICATION HAS CHANGED",
            "its host key is not the known one: find out why before you remove the old key from known_hosts",
        ),
        (
            "host key is known",
            "its host key is not known: log in once by hand as this user, or add the key to known_hosts",
        ),
        ("Permission denied (", "it lets this user in with no key: add the user's public key to its authorized_keys"),
        ("Could not resolve hostname", "no such name: set HostName in ssh_config, or correct nodes"),
        ("Connection refused", "no ssh server listens there"),
        ("during banner exchange", "something takes the connection and does not greet as an ssh server"),
        ("Connection timed out", "nothing answers there"),
        (" timed out", "it greets as an ssh server, and is silent then"),
        ("not available", "the account has no shell"),
        ("allows sftp connections only", "the account may run no command"),
        ("not found", "the account's shell cannot run sh: a restricted shell, or a short PATH"),
    ];
    remedies.iter().find(|(words, _)| said.contains(words)).map(|(_, remedy)| *remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_an_alias_or_a_place() {
        let ssh = |host: &str, user: Option<&str>, port| Place::Ssh {
            host: host.into(),
            user: user.map(String::from),
            port,
            key: None,
        };
        for (name, expected) in [
            ("local", Place::Here),
            ("SDU", ssh("SDU", None, None)),
            ("Z9:229", ssh("Z9", None, Some(229))),
            ("me@h.example.org:22", ssh("h.example.org", Some("me"), Some(22))),
            ("::1", ssh("::1", None, None)),
            ("me@[::1]:22", ssh("::1", Some("me"), Some(22))),
        ] {
            assert_eq!(Node::new(name).unwrap().place, expected, "{name}");
        }
        for name in ["", "-oProxyCommand=reboot", "a:b", "a:99999", "@a", "a b", "-x@a", "a\nb"] {
            Node::new(name).unwrap_err();
        }
    }
}
