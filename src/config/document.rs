//! Writes config.cfg.example and docs/configuration.md from the declarations.

use std::fmt::Write as _;

use super::file::SEARCHED;
use super::section::{FreeKeys, Key, Section, Unset};

const EXAMPLE_HEAD: &str = "\
# gridmon: copy to /etc/gridmon/config.cfg (or ./config.cfg), keep what you need.
# It names commands, so nobody but root or the user who runs the programs may write it: chmod 0640.
# A value may be ${NAME}, taken from the environment, or file:/path, taken from that file. Comments stand on lines of
# their own. A key that is not known is an error, with its line.
";

/// The longest line of config.cfg.example, in characters.
const WIDTH: usize = 120;

/// Returns the text of config.cfg.example, each key below its help.
///
/// A key that operators usually set is live; the others are commented out, with their defaults. A family is commented
/// out as a whole.
pub fn example(sections: &[&'static Section]) -> String {
    let mut text = EXAMPLE_HEAD.to_string();
    for section in sections {
        let examples = section.free_keys.as_ref().map(|free| free.examples).unwrap_or_default();
        if section.keys.is_empty() && examples.is_empty() {
            continue;
        }
        // A family, or a section that would select something.
        let is_commented_out = section.stem().is_some() || section.is_chosen_by_name;
        let _ = writeln!(text, "\n{}[{}]", mark(is_commented_out), header(section));
        let mut before = "";
        for Key { name, unset, help, .. } in section.keys {
            if *help != before {
                text.push_str(&wrap("## ", help));
            }
            before = help;
            let _ = writeln!(text, "{}{name} = {}", mark(is_commented_out || unset.is_commented_out()), unset.shown());
        }
        if let Some(free) = &section.free_keys {
            text.push_str(&wrap("## ", free.help));
            for (name, value) in examples {
                let _ = writeln!(text, "#{name} = {value}");
            }
        }
    }
    text
}

fn mark(is_commented_out: bool) -> &'static str {
    if is_commented_out { "#" } else { "" }
}

/// Returns the section's header; a family's has NAME for the member.
fn header(section: &Section) -> String {
    section.stem().map_or_else(|| section.name.to_string(), |stem| format!("{stem}NAME"))
}

/// Wraps a text into lines that begin with `prefix`.
fn wrap(prefix: &str, text: &str) -> String {
    let mut wrapped = String::new();
    let mut line = prefix.trim_end().to_string();
    for word in text.split(' ') {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            wrapped += &line;
            wrapped.push('\n');
            line = prefix.trim_end().to_string();
        }
        line.push(' ');
        line += word;
    }
    wrapped + &line + "\n"
}

/// Returns the text of docs/configuration.md. `readers` are the programs, each with the sections that it uses, in groups.
pub fn documentation(sections: &[&'static Section], readers: &[(&str, &[&[&'static Section]])]) -> String {
    let mut text = rules();
    for section in sections {
        let programs: Vec<_> = readers
            .iter()
            .filter(|(_, read)| read.iter().copied().flatten().any(|read| read.name == section.name))
            .collect();
        let programs: Vec<_> = programs.iter().map(|(program, _)| format!("`{program}`")).collect();
        let _ = writeln!(text, "\n## `[{}]`\n\n{}", header(section), section.help);
        let used = match programs.as_slice() {
            [] => "No program of this version uses it.".into(),
            [program] => format!("Used by {program}."),
            [first @ .., last] => format!("Used by {} and {last}.", first.join(", ")),
        };
        let _ = writeln!(text, "{used}");
        if section.stem().is_some() {
            text.push_str("The file may hold several of these sections, each with a NAME of its own.\n");
        }
        if !section.keys.is_empty() {
            text.push_str("\n| key | value | default | meaning |\n|---|---|---|---|\n");
            section.keys.iter().for_each(|key| text.push_str(&row(key)));
        }
        if let Some(free) = &section.free_keys {
            text.push_str(&free_keys(free));
        }
    }
    text
}

fn row(key: &Key) -> String {
    let mut names = format!("`{}`", key.name);
    for alias in key.aliases {
        let _ = write!(names, ", also `{alias}`");
    }
    let unset = match key.unset {
        Unset::Default(value) => format!("`{value}`"),
        Unset::Required(value) => format!("required, such as `{value}`"),
        Unset::Suggested(value) | Unset::Absent(value) => format!("none; such as `{value}`"),
    };
    let cells = [names, key.kind.describe(), unset, key.help.to_string()];
    // An unescaped bar would end the cell.
    format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
}

fn free_keys(free: &FreeKeys) -> String {
    let mut text = format!("\nThe operator names the keys. {}\n", free.help);
    if !free.examples.is_empty() {
        text.push_str("\n```ini\n");
        for (name, value) in free.examples {
            let _ = writeln!(text, "{name} = {value}");
        }
        text.push_str("```\n");
    }
    text
}

/// Returns the rules that hold for every section.
fn rules() -> String {
    let [here, shared] = SEARCHED;
    format!(
        "\
# The config file

All programs read one file. Without any file they run with the defaults.
[config.cfg.example](../config.cfg.example) has every key with its default; copy it and keep what you need. That file and
this page are made from the source: `UPDATE_EXPECT=1 cargo test --features demo --test repo` writes both.

## Which file

- A program reads the first file of these: the one that `--config FILE` names, `./{here}`, `{shared}`.
- Root or the user who runs the program must own it, and nobody else may write it, because it names commands.
- If a password or token stands in it, it must not be readable by everybody.
- An error names the command that corrects owner or mode: `chmod 0640 {shared}`.

## How it is written

- `[section]` begins a section; `key = value` or `key: value` sets a key. Upper and lower case differ.
- A line that begins with `#` or `;` is a comment. A comment behind a value is an error, since it would become a part of
  the value.
- A section or key that no program knows, or that stands twice, is an error with its line and the nearest name. Every
  program accepts every section and key of this page, in every build, and uses the values of its own sections.
- A value `${{NAME}}` is taken from the environment variable NAME; cron sets next to none, so set it in the crontab.
- A value `file:/path` is the text of that file, without the end of its last line. The file of a secret must not be
  readable by everybody.
- No error shows a secret, or what `${{NAME}}` and `file:/path` stand for.

Values are of these kinds. A *list* has commas or blanks between its names. An *absolute path* begins with `/`. A *command*
is a program and its arguments; no shell runs it, so quotes, `|` and `>` are refused. An address carries no login. Numbers
are whole unless the table says otherwise.
"
    )
}
