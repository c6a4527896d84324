//! Options that several sensors have.

use anyhow::Result;

use crate::config::{Key, Kind, Unset, Values};

/// The words of a choice.
pub(super) const YES_OR_NO: Kind = Kind::Word(&["yes", "no"]);

/// Whether each CPU has numbers of its own.
pub(super) const PER_CPU: Key = Key::new(
    "per_cpu",
    YES_OR_NO,
    Unset::Default("no"),
    "Whether each CPU has numbers of its own, beside those of all.",
);

/// Which interfaces are measured.
pub(super) const INTERFACES: Key = Key::new(
    "interfaces",
    Kind::List,
    Unset::Default("*"),
    "The interfaces that are measured; * stands for any characters, ? for one.",
);

/// Which of them are not.
pub(super) const NOT_INTERFACES: Key = Key::new(
    "exclude",
    Kind::List,
    Unset::Default("lo veth* br-* docker* virbr*"),
    "Those of them that are left out. Each container has a veth, with a name of its own.",
);

/// Which chips are measured.
pub(super) const CHIPS: Key = Key::new(
    "chips",
    Kind::List,
    Unset::Default("*"),
    "The chips that are measured, by the names that they have in points; * stands for any characters, ? for one.",
);

/// Which of them are not.
pub(super) const NOT_CHIPS: Key = Key::new(
    "exclude",
    Kind::List,
    Unset::Absent("drivetemp*"),
    "Those of them that are left out, such as one whose files take a second each.",
);

/// Returns a key's answer of yes or no.
pub(super) fn is_yes(values: &Values, key: &str) -> Result<bool> {
    Ok(values.word(key)? == "yes")
}

/// Names that are chosen by patterns.
#[derive(Clone, Debug)]
pub(super) struct Names {
    wanted: Vec<String>,
    unwanted: Vec<String>,
}

impl Names {
    /// Reads the key of those that are wanted, and `exclude`.
    pub fn read(values: &Values, wanted: &str) -> Result<Self> {
        Ok(Self { wanted: values.list(wanted)?, unwanted: values.list("exclude")? })
    }

    /// Whether a name is wanted.
    pub fn want(&self, name: &str) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|pattern| fits(pattern, name));
        any(&self.wanted) && !any(&self.unwanted)
    }
}

/// Whether a name fits a pattern, in which `*` stands for any characters and `?` for one.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut of_name) = (0, 0);
    // After the last star, and what of the name it was tried with last.
    let mut star = None;
    while of_name < name.len() {
        match pattern.get(at) {
            Some('*') => {
                at += 1;
                star = Some((at, of_name));
            }
            Some(c) if *c == '?' || *c == name[of_name] => (at, of_name) = (at + 1, of_name + 1),
            _ => {
                let Some((after, tried)) = star else { return false };
                star = Some((after, tried + 1));
                (at, of_name) = (after, tried + 1);
            }
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text_and_a_question_mark_is_one_character() {
        for (pattern, name, is_fit) in [
            ("*", "", true),
            ("eth?", "eth0", true),
            ("eth?", "eth10", false),
            ("br-*", "br-4f1", true),
            ("br-*", "br0", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*ab", "aab", true),
            ("a", "ab", false),
            ("", "a", false),
            ("é?", "éö", true),
        ] {
            assert_eq!(fits(pattern, name), is_fit, "{pattern} {name}");
        }
        // Takes no time that grows with the number of stars.
        assert!(!fits(&"*a".repeat(40), &"a".repeat(39)));
    }
}
