//! Asks a node what is in some of its files: the digest, or whether a compressed file can be read to its end.
//!
//! ```text
//! BEGIN NONCE               a line
//! C 0 0 0829f71740aab1ab98b33eae21dee122      file 0: the code of md5sum, and what it printed
//! C 1 1                                       file 1: gzip -t found bad data
//! C 2 201                                     file 2: it cannot be read
//! END NONCE
//! ```
//!
//! Each line stands for itself: what a node told before it was cut off is known. No name comes back, only numbers.

use std::time::{Duration, Instant};

use super::script::{self, quoted};
use super::{Bounds, Node, Root, command, nonce, one_text};
use crate::os::command::{Failure, exchange};
use crate::text::quote_ends;

/// A file, and what is to be found out about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The number of its root.
    pub root: usize,
    /// Its path below the root.
    pub path: Box<[u8]>,
    /// What reads it.
    pub tool: Tool,
}

/// What reads a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// `md5sum`, or `md5` of BSD.
    Md5,
    /// `gzip -t`.
    Gzip,
}

impl Tool {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5sum",
            Self::Gzip => "gzip",
        }
    }
}

/// What was found out about a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Its digest, as hexadecimal digits.
    Sum(String),
    /// It was read to its end.
    Whole,
    /// It is no whole compressed file.
    Broken,
    /// The login may not read it, or the disk does not give it.
    Unreadable,
    /// It took too long.
    Late,
    /// The node does not have the tool.
    NoTool,
    /// It is gone.
    Gone,
}

/// Asks about some files of a node, for `seconds` in all and until `until` at the latest. Returns what was found out of each, and
/// why some are not known.
pub fn contents(
    node: &Node,
    roots: &[Root],
    questions: &[Question],
    bounds: &Bounds,
    seconds: u64,
    until: Instant,
) -> (Vec<Option<Found>>, Option<String>) {
    let nonce = nonce();
    let script = script(roots, questions, &nonce, seconds);
    let needs_login = roots.iter().any(|root| script::needs_login(&root.path));
    // The node's own `timeout` comes first, so that nothing goes on there.
    let grace = Duration::from_secs(bounds.connect_seconds + 1);
    let deadline = until.min(Instant::now() + Duration::from_secs(seconds) + grace);
    let mut answers = Answers::new(&nonce, questions);
    let ended = exchange(&mut command(node, bounds, needs_login), &script, deadline, |piece| {
        answers.read(piece);
        Ok(())
    });
    let why = match ended {
        _ if answers.has_ended => None,
        Ok(ended) => Some(match one_text(&ended.stderr).as_str() {
            "" => format!("it ended with {}", ended.status),
            said => quote_ends(said),
        }),
        Err(Failure::TimedOut(..)) => Some(format!("no answer in time: [backups] check_seconds is {seconds}")),
        Err(failure) => Some(failure.to_string()),
    };
    (answers.found, why)
}

/// The answers to some questions, read piece by piece as they arrive.
pub struct Answers<'a> {
    nonce: &'a str,
    questions: &'a [Question],
    rest: Vec<u8>,
    has_begun: bool,
    has_ended: bool,
    /// What was found out of each file.
    pub found: Vec<Option<Found>>,
}

/// The longest line that is looked at, in bytes.
const LONGEST: usize = 4096;

impl<'a> Answers<'a> {
    /// Begins to read the answers with this nonce.
    pub fn new(nonce: &'a str, questions: &'a [Question]) -> Self {
        let found = vec![None; questions.len()];
        Self { nonce, questions, rest: Vec::new(), has_begun: false, has_ended: false, found }
    }

    /// Reads the next piece. What is no answer is passed over, and so are lines that are too long.
    pub fn read(&mut self, piece: &[u8]) {
        let Self { nonce, questions, found, .. } = self;
        let mut parts = piece.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            if self.rest.len() <= LONGEST {
                self.rest.extend_from_slice(&part[..part.len().min(LONGEST + 1)]);
            }
            if parts.peek().is_none() {
                return;
            }
            let line = std::mem::take(&mut self.rest);
            if line.len() > LONGEST {
                continue;
            }
            let line = String::from_utf8_lossy(&line);
            let words: Vec<_> = line.split_whitespace().collect();
            match words[..] {
                ["BEGIN", of] if of == *nonce => self.has_begun = true,
                ["END", of] if of == *nonce && self.has_begun => self.has_ended = true,
                ["C", at, code, ref rest @ ..] if self.has_begun && !self.has_ended => {
                    let answer = at.parse::<usize>().ok().zip(code.parse::<i32>().ok());
                    if let Some((at, code)) = answer.filter(|(at, _)| *at < found.len()) {
                        found[at] = Some(meaning(questions[at].tool, code, rest.first().copied().unwrap_or_default()));
                    }
                }
                _ => {}
            }
        }
    }
}

/// Returns what a code means: of `timeout`, of the shell, of the script, and of the tools.
fn meaning(tool: Tool, code: i32, printed: &str) -> Found {
    let is_sum = printed.len() == 32 && printed.bytes().all(|byte| byte.is_ascii_hexdigit());
    match (code, tool) {
        (124 | 137 | 143, _) => Found::Late,
        (125..=127, _) => Found::NoTool,
        (200, _) => Found::Gone,
        (201, _) => Found::Unreadable,
        (0, Tool::Md5) if is_sum => Found::Sum(printed.to_ascii_lowercase()),
        (_, Tool::Md5) => Found::Unreadable,
        // 2 is a warning: something behind the end, as tapes have it.
        (0 | 2, Tool::Gzip) => Found::Whole,
        (1, Tool::Gzip) => Found::Broken,
        (_, Tool::Gzip) => Found::Unreadable,
    }
}

/// Returns the script.
fn script(roots: &[Root], questions: &[Question], nonce: &str, seconds: u64) -> Vec<u8> {
    let mut script = format!(
        "\
LC_ALL=C; export LC_ALL; unset CDPATH IFS
bounded=
if timeout 1 true >/dev/null 2>&1; then bounded='timeout {seconds}'; fi
"
    )
    .into_bytes();
    script.extend_from_slice(FUNCTIONS.as_bytes());
    script.extend(format!("run() {{\necho; echo BEGIN {nonce}\n").into_bytes());
    for (at, Question { root, path, tool }) in questions.iter().enumerate() {
        let Some(root) = roots.get(*root) else { continue };
        let (word, _) = script::word(&root.path);
        script.extend(format!("{} {at} ", if *tool == Tool::Md5 { "sum" } else { "unzip" }).into_bytes());
        script.extend(word);
        script.push(b'/');
        script.extend(quoted(path));
        script.push(b'\n');
    }
    script.extend(format!("echo END {nonce}\n}}\nrun </dev/null\n").into_bytes());
    script
}

/// The functions: each gets the number and the path of a file.
///
/// gzip stands in a group whose file the shell opens: if that fails, dash makes code 2 of it, which is gzip's own for a warning, and
/// the group does not run (after a failing `exec 3<` dash would end). A code 1 is bad data only if gzip says so and `cat` can read
/// the file: GNU's gzip names a read error, and BusyBox's calls it the end of the file.
const FUNCTIONS: &str = r#"there() {
[ -f "$2" ] || { echo C "$1" 200; return 1; }
[ -r "$2" ] || { echo C "$1" 201; return 1; }
}
sum() {
there "$1" "$2" || return 0
if command -v md5sum >/dev/null 2>&1; then s=$($bounded md5sum <"$2" 2>/dev/null)
elif command -v md5 >/dev/null 2>&1; then s=$($bounded md5 -q <"$2" 2>/dev/null)
else echo C "$1" 127; return 0; fi
c=$?
[ $c = 0 ] || [ -f "$2" ] || c=200
echo C "$1" $c ${s%% *}
}
unzip() {
there "$1" "$2" || return 0
command -v gzip >/dev/null 2>&1 || { echo C "$1" 127; return 0; }
c=201
{ e=$($bounded gzip -t 2>&1 >/dev/null); c=$?; } 2>/dev/null <"$2"
if [ $c = 1 ]; then case $e in
*'end of file'*|*format*|*crc*|*length*|*corrupt*|*invalid*|*magic*)
r=1
{ $bounded cat >/dev/null; r=$?; } 2>/dev/null <"$2"
[ $r != 1 ] || c=201;;
*) c=201;;
esac; fi
[ $c = 0 ] || [ -f "$2" ] || c=200
echo C "$1" $c
}
"#;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::process::Command;

    use super::*;

    #[test]
    fn what_came_before_a_cut_is_known_and_noise_is_not() {
        let question = |tool| Question { root: 0, path: b"x".as_slice().into(), tool };
        let questions = [question(Tool::Md5), question(Tool::Gzip), question(Tool::Gzip), question(Tool::Md5)];
        let sum = "0829F71740AAB1AB98B33EAE21DEE122";
        let text =
            format!("motd\nC 1 1\nBEGIN other\nC 1 1\n\nBEGIN n\nC 0 0 {sum}\nC 1 0\nC 9 0\nC 2 124\nC 3 0 {sum}");
        for size in [1, 7, 4096] {
            let mut answers = Answers::new("n", &questions);
            text.as_bytes().chunks(size).for_each(|piece| answers.read(piece));
            let expected = [Some(Found::Sum(sum.to_lowercase())), Some(Found::Whole), Some(Found::Late), None];
            assert_eq!((answers.found, answers.has_ended), (expected.to_vec(), false), "the last line was cut");
        }
        assert_eq!(meaning(Tool::Gzip, 1, ""), Found::Broken);
        assert_eq!(meaning(Tool::Md5, 0, "d41d8"), Found::Unreadable);
        assert_eq!(meaning(Tool::Gzip, 201, ""), Found::Unreadable);
    }

    /// What the function prints of a file in a shell, with a gzip that says this; `there` is passed over, as for a file that
    /// goes away behind it.
    fn unzipped(shell: &[&str], file: &Path, gzip: &str) -> String {
        let folder = gridmon_testkit::TempDir::new();
        let tool = folder.path().join("gzip");
        std::fs::write(&tool, format!("#!/bin/sh\n{gzip}\n")).unwrap();
        std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
        let script = format!("bounded=\n{FUNCTIONS}there() {{ :; }}\nunzip 7 \"$1\"\n");
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).args(["-c", &script, "sh"]).arg(file);
        command.env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()));
        let printed = String::from_utf8(command.output().unwrap().stdout).unwrap();
        printed.trim_end().strip_prefix("C 7 ").unwrap_or_else(|| panic!("{shell:?} {gzip}: {printed}")).into()
    }

    #[test]
    fn what_cannot_be_read_is_neither_whole_nor_broken() {
        let folder = gridmon_testkit::TempDir::new();
        let file = folder.path().join("x.gz");
        std::fs::write(&file, "x").unwrap();
        let shells = [&["dash"][..], &["bash"], &["bash", "--posix"], &["busybox", "sh"], &["sh"]];
        let is_there = |shell: &&&[&str]| Command::new(shell[0]).args(&shell[1..]).args(["-c", ":"]).status().is_ok();
        let says = |words: &str, code: i32| format!("echo 'gzip: {words}' >&2; exit {code}");
        for shell in shells.iter().filter(is_there) {
            for (words, code) in [
                ("stdin: unexpected end of file", "1"),
                ("stdin: not in gzip format", "1"),
                ("stdin: invalid compressed data--crc error", "1"),
                ("invalid magic", "1"),
                ("stdin: Input/output error", "201"),
                ("stdin: Stale file handle", "201"),
                ("cannot allocate memory", "201"),
            ] {
                assert_eq!(unzipped(shell, &file, &says(words, 1)), code, "{shell:?}: {words}");
            }
            assert_eq!(unzipped(shell, &file, "cat >/dev/null"), "0", "{shell:?}");
            assert_eq!(unzipped(shell, &file, &says("stdin: trailing garbage ignored", 2)), "2", "{shell:?}");
            // It went away before it was opened, which dash ends with gzip's own 2.
            assert_eq!(unzipped(shell, &folder.path().join("gone"), "cat >/dev/null"), "200", "{shell:?}");
            // BusyBox's words for a read error: on Linux a process's own memory has one at its beginning.
            let memory = Path::new("/proc/self/mem");
            assert_eq!(unzipped(shell, memory, &says("unexpected end of file", 1)), "201", "{shell:?}");
        }
    }
}
