//! The script that a node runs, written for any shell that POSIX knows.
//!
//! It goes to the standard input of `sh -s`, so that no login shell ever reads it. No name becomes code: a text from
//! outside stands between single quotes alone, and a variable of the login only where its name is one.
//!
//! What it prints, each record ended by NUL with GNU find, begun by `//` at the beginning of a line with any other (no
//! path of find holds `//`):
//!
//! ```text
//! BEGIN NONCE gnu 1774764000          a line; the clock of the node
//! R⇥0                                 what follows is of root 0
//! F⇥svn/linked                       the entries that follow are relative to this folder of it
//! V⇥NAME                              the login has no such variable
//! N⇥                                  the root is not there
//! f⇥1346052⇥1774667222.0000000000⇥svn/dybsvn/2026/03/28/104702/dybsvn.tar.gz
//! L⇥1300000⇥1774667222⇥./svn/x/2026/03/28/104702/x.tar.gz       a link to a file: size and time of the file
//! K⇥./svn/x/2025                     a link to a folder that lies outside the root
//! S⇥./svn/x/2026/03/28/104702/x.tar.gz.dna     T⇥{'dig': '…', 'size': 1300000}
//! U⇥./svn/x/2026/03/29/104702/x.tar.gz.dna     one that cannot be read
//! X⇥./svn/closed                      a folder that may not be read
//! Z⇥1                                 find failed
//! D⇥/dev/sda1 1000 600 400 60% /data  the last line of df
//! END⇥NONCE 0
//! ```

use std::fmt::Write as _;

/// A folder whose tree is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Its path; it may begin with `~/` and hold variables of the node's login: `$SCM_FOLD/backup/dayabay`.
    pub path: String,
    /// The folders below it that are listed also if they, or a folder above them, are links.
    pub linked: Vec<Vec<u8>>,
}

/// Whether a path names something that only a login shell knows.
pub fn needs_login(path: &str) -> bool {
    parts(path).iter().any(|part| matches!(part, Part::Variable(name) if *name != "HOME"))
}

/// A piece of a root's path.
#[derive(Debug, PartialEq)]
enum Part<'a> {
    Text(&'a str),
    Variable(&'a str),
}

/// Splits a path into texts and variables, `$NAME` and `${NAME}`; a `~` at its beginning is `$HOME`.
fn parts(path: &str) -> Vec<Part<'_>> {
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let mut found = Vec::new();
    let mut rest = path;
    if let Some(below) = path.strip_prefix('~').filter(|below| below.is_empty() || below.starts_with('/')) {
        found.push(Part::Variable("HOME"));
        rest = below;
    }
    let mut begin = 0;
    while let Some(at) = rest[begin..].find('$').map(|at| begin + at) {
        let after = &rest[at + 1..];
        let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}')).map(|(name, _)| (name, 2));
        let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
        let (name, more) = braced.unwrap_or((&after[..end], 0));
        if !is_name(name) {
            begin = at + 1;
            continue;
        }
        if at > 0 {
            found.push(Part::Text(&rest[..at]));
        }
        found.push(Part::Variable(name));
        (rest, begin) = (&after[name.len() + more..], 0);
    }
    if !rest.is_empty() {
        found.push(Part::Text(rest));
    }
    found
}

/// Quotes bytes for a shell: they reach it as they are, and as one word.
pub fn quoted(text: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for &byte in text {
        match byte {
            b'\'' => quoted.extend_from_slice(br"'\''"),
            // No shell can hold one, and no file's name has one.
            0 => {}
            _ => quoted.push(byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

/// Returns the path of a root as one word of a shell, and the variables of the login that it needs.
pub fn word(path: &str) -> (Vec<u8>, Vec<&str>) {
    let (mut word, mut needed) = (Vec::new(), Vec::new());
    for part in parts(path) {
        match part {
            Part::Text(text) => word.extend(quoted(text.as_bytes())),
            Part::Variable(name) => {
                word.extend(format!("\"${{{name}}}\"").into_bytes());
                needed.push(name);
            }
        }
    }
    (word, needed)
}

/// Returns the script that lists `roots`. `seconds` bounds each find.
pub fn listing(roots: &[Root], nonce: &str, seconds: u64) -> Vec<u8> {
    let mut script = head(nonce, seconds).into_bytes();
    script.extend_from_slice(WALK.as_bytes());
    script.extend_from_slice(b"run() {\nbegin\n");
    for (at, root) in roots.iter().enumerate() {
        let (word, needed) = word(&root.path);
        let mut line = String::new();
        for name in &needed {
            let _ = write!(line, "if [ -z \"${{{name}}}\" ]; then rec R {at}; rec V {name}; el");
        }
        let _ = write!(line, "if enter {at} ");
        script.extend(line.into_bytes());
        script.extend(word);
        script.extend_from_slice(b"; then walk .\n");
        for folder in &root.linked {
            script.extend_from_slice(b"linked ");
            script.extend(quoted(folder));
            script.push(b'\n');
        }
        script.extend_from_slice(b"disk; fi\n");
    }
    script.extend_from_slice(b"rec END \"$nonce 0\"\n}\nrun </dev/null\n");
    script
}

/// The variables and the first probe.
fn head(nonce: &str, seconds: u64) -> String {
    format!(
        "\
LC_ALL=C; export LC_ALL; unset CDPATH IFS
nonce={nonce}
cd /
kind=none; begins='//'; ends='\\n'; option=-c; sizes='%s	%Y'
if find . -maxdepth 0 -printf '' >/dev/null 2>&1; then kind=gnu; begins=; ends='\\0'
elif stat -c %s . >/dev/null 2>&1; then kind=busybox
elif stat -f %z . >/dev/null 2>&1; then kind=bsd; option=-f; sizes='%z	%m'
fi
export begins ends option sizes
bounded=
if timeout 1 true >/dev/null 2>&1; then bounded='timeout {seconds}'; fi
"
    )
}

/// The functions. `links`, `seals` and `closed` are what find starts once for many names.
///
/// BusyBox's find starts nothing for `-exec … {} +` within parentheses, so there are none where it may read them. A link into the
/// root itself, such as `NAME/last`, leads nowhere new. A find that was killed may have left half a record.
const WALK: &str = r#"begin() {
printf '\nBEGIN %s %s %s\n' "$nonce" "$kind" "$(date +%s 2>/dev/null)"
[ "$kind" != none ] || { find . -maxdepth 0 -printf '' >&2; stat -c %s . >&2; }
}
rec() { printf "$begins"'%s	%s'"$ends" "$1" "$2"; }
seal='seal() { l=
if [ -r "$1" ] && { IFS= read -r l <"$1"; [ -n "$l" ] || [ ! -s "$1" ]; }; then printf "$begins""S	%s$ends$begins""T	%s$ends" "$1" "$l"
else printf "$begins""U	%s$ends" "$1"; fi; }
'
links=$seal'root=$(pwd -P); [ "$root" != / ] || root=
for f do
if [ -f "$f" ]; then s=$(stat -L "$option" "$sizes" "$f") || continue
printf "$begins""L	%s	%s$ends" "$s" "$f"
case $f in *.dna) [ "${s%%	*}" -gt 512 ] || seal "$f";; esac
elif [ -d "$f" ] && cd -P -- "$f" 2>/dev/null; then
case $PWD/ in "$root"/*|"$from"/*) ;; *) printf "$begins""K	%s$ends" "$f";; esac
cd "$root/" || exit 0
fi; done; :'
seals=$seal'for f do [ ! -e "$f" ] || seal "$f"; done; :'
closed='for f do [ -r "$f" ] && [ -x "$f" ] || printf "$begins""X	%s$ends" "$f"; done; :'
enter() {
rec R "$1"
[ "$kind" != none ] || { rec Z 127; return 1; }
cd -P -- "$2" >/dev/null 2>&1 && return 0
p=$2
while [ -n "$p" ] && [ ! -d "$p" ]; do case $p in */*) p=${p%/*};; *) p=;; esac; done
if [ -x "${p:-/}" ] && [ "$p" != "$2" ]; then rec N ''; else rec X .; fi
return 1
}
walk() {
from=$(cd -P -- "$1" 2>/dev/null && pwd -P); export from
case $kind in
gnu) $bounded find -H "$1" -printf '%y	%s	%T@	%P\0' \( -type l -exec sh -c "$links" sh {} + -o -type f -name '*.dna' -size -2 -exec sh -c "$seals" sh {} + \);;
busybox) $bounded find -H "$1" -exec stat -c '//%F	%s	%Y	%n' {} + -type l -exec sh -c "$links" sh {} + -o -type f -name '*.dna' -size -2 -exec sh -c "$seals" sh {} +;;
bsd) $bounded find -H "$1" -exec stat -f '//%HT	%z	%m	%N' {} + -type l -exec sh -c "$links" sh {} + -o -type f -name '*.dna' -size -2 -exec sh -c "$seals" sh {} +;;
esac
code=$?
case $code in
0) return;;
1) ;;
*) printf "$ends";;
esac
rec Z $code
$bounded find -H "$1" -type d -exec sh -c "$closed" sh {} + 2>/dev/null
}
linked() {
p=$1
while :; do
if [ -L "./$p" ]; then if [ -d "./$1" ]; then rec F "$1"; walk "./$1"; fi; return; fi
case $p in */*) p=${p%/*};; *) return;; esac
done
}
disk() { rec D "$(df -Pk . 2>/dev/null | tail -n 1)"; }
"#;

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// The shell gets every name as it is, and as one word: none is code.
        #[test]
        fn a_quoted_name_is_itself_to_a_shell(name in proptest::collection::vec(1u8.., 0..40)) {
            let mut script = b"printf '%s|' ".to_vec();
            script.extend(quoted(&name));
            let output = Command::new("sh").arg("-c").arg(std::ffi::OsStr::from_bytes(&script)).output().unwrap();
            prop_assert!(output.status.success() && output.stderr.is_empty());
            prop_assert_eq!(output.stdout, [name.as_slice(), b"|"].concat());
        }
    }

    #[test]
    fn a_path_is_split_into_texts_and_variables_of_the_login() {
        use Part::{Text, Variable};
        for (path, expected) in [
            ("/backup", vec![Text("/backup")]),
            ("$SCM_FOLD/backup/dayabay", vec![Variable("SCM_FOLD"), Text("/backup/dayabay")]),
            ("/a/${B}c/$D", vec![Text("/a/"), Variable("B"), Text("c/"), Variable("D")]),
            ("~/backup", vec![Variable("HOME"), Text("/backup")]),
            ("~", vec![Variable("HOME")]),
            ("~bob/x", vec![Text("~bob/x")]),
            ("/a/$(reboot)/${x y}/$1", vec![Text("/a/$(reboot)/${x y}/$1")]),
            ("/$", vec![Text("/$")]),
        ] {
            assert_eq!(parts(path), expected, "{path}");
        }
    }
}
