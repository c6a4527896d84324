//! Reads config.cfg: any text is read, or refused in one line that shows no secret; and the values are those in the
//! text.

#![no_main]

use gridmon::setup::Config;
use libfuzzer_sys::fuzz_target;

/// A mark in the value of every secret key and in [`VARIABLE`], and nowhere else.
const MARK: &str = "S3cr3t";

/// An environment variable that holds a secret; any key may name it.
const VARIABLE: &str = "GRIDMON_FUZZ";

fn set_variable() {
    // SAFETY: no other thread runs yet.
    unsafe { std::env::set_var(VARIABLE, MARK) };
}

fuzz_target!(init: set_variable(), |data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (text, secrets) = marked(text);
    match Config::parse(&text, "config.cfg") {
        Ok((config, holds_secrets)) => {
            assert!(holds_secrets || !secrets, "a secret was overlooked in {text:?}");
            // A job type may have any name, and its rule is not a secret; nor is a variable that the grid's name uses.
            let shown = format!("{config:?}");
            let may_show = text.contains("job_types") || text.contains(VARIABLE);
            assert!(may_show || !shown.contains(MARK), "{shown} of {text:?}");
            says_what_the_file_says(&config, &text);
        }
        Err(error) => {
            let error = format!("{error:#}");
            assert!(!error.contains(MARK), "{error:?} of {text:?}");
            assert!(!error.contains(|c: char| c.is_control() && c != '\t'), "{error:?} of {text:?}");
            assert!(error.starts_with("config.cfg line "), "{error:?} of {text:?}");
        }
    }
    // A byte order mark has a meaning only at the very beginning.
    if !text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text).contains(BYTE_ORDER_MARK) {
        assert_eq!(outcome(&text), outcome(&bare(&text)), "{text:?} without indentation and comments");
    }
});

const BYTE_ORDER_MARK: char = '\u{feff}';

/// Returns the config or the error of a text, as text.
fn outcome(text: &str) -> Result<String, String> {
    let read = Config::parse(text, "config.cfg");
    read.map(|outcome| format!("{outcome:?}")).map_err(|error| format!("{error:#}"))
}

/// Returns the lines without indentation and trailing blanks, and with comments replaced by empty lines.
fn bare(text: &str) -> String {
    let bare = |line: &str| {
        let line = line.trim_start_matches(BYTE_ORDER_MARK).trim();
        if line.starts_with(['#', ';']) { "\n".to_string() } else { format!("{line}\n") }
    };
    text.lines().map(bare).collect()
}

/// Returns `text` with the mark only in its secrets, and whether some line is certainly a secret. The input may place
/// the mark anywhere within a secret; a secret without it gets it in front.
fn marked(text: &str) -> (String, bool) {
    // Opens no file of this machine: none exists below /dev/null.
    let text = text.replace("file:", "file:/dev/null/");
    let mut lines = Vec::new();
    let mut secrets = false;
    let mut section = "";
    let mut after_secret = false;
    for line in text.split('\n') {
        let trimmed = line.trim_start_matches(BYTE_ORDER_MARK).trim();
        let header = trimmed.strip_prefix('[').and_then(|header| header.strip_suffix(']'));
        section = header.map_or(section, str::trim);
        let value = match line.find(['=', ':']) {
            _ if header.is_some() => None,
            Some(end) => is_secret(&line[..end]).then_some(end + 1),
            // The second half of a secret that was pasted as two lines; if it begins like a section, it is one.
            None => (after_secret && !trimmed.is_empty() && !trimmed.starts_with('[')).then_some(0),
        };
        after_secret = value.is_some();
        let Some(begin) = value else {
            lines.push(line.replace(MARK, "x"));
            continue;
        };
        let (key, value) = line.split_at(begin);
        let key = key.replace(MARK, "x");
        let value = value.strip_suffix('\r').unwrap_or(value);
        if value.trim().is_empty() || is_reference(value.trim()) {
            lines.push(key + &value.replace(MARK, "x"));
        } else {
            // Only lines that the config accepts count.
            secrets |= section != "job_types" && begin > 0 && !trimmed.starts_with(['#', ';']);
            // In front, because the end of a line may have a meaning.
            lines.push(key + if value.contains(MARK) { "" } else { MARK } + value);
        }
    }
    (lines.join("\n"), secrets)
}

fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["password", "passwd", "token", "secret", "apikey", "api_key"].iter().any(|word| key.contains(word))
}

/// Returns whether the value refers to a file or variable; such references are shown.
fn is_reference(value: &str) -> bool {
    value.starts_with("file:/") || (value.starts_with("${") && value.ends_with('}'))
}

/// Checks that each value is the rest of its line, and that no line was ignored.
fn says_what_the_file_says(config: &Config, text: &str) {
    let value = |section: &str, key: &str| value(text, section, key).filter(|value| !is_reference(value));
    if let Some(name) = value("grid", "name") {
        assert_eq!(config.grid.name, name, "{text:?}");
    }
    if let Some(seconds) = value("grid", "deadline_seconds") {
        assert_eq!(seconds.parse(), Ok(config.grid.deadline_seconds), "{text:?}");
    }
    if let Some(host) = value("carbon", "host") {
        assert_eq!(config.carbon.as_ref().map(|carbon| carbon.host.as_str()), Some(host), "{text:?}");
    }
    if let Some(directory) = value("state", "directory") {
        assert_eq!(config.state_directory.as_deref(), Some(directory.as_ref()), "{text:?}");
    }
    if value("cloud_scheduler", "url").is_some() {
        let clouds = config.cloud_scheduler.as_ref().expect("its section is there");
        assert!(clouds.url.is_some(), "{text:?}");
    }
    if let Some(pools) = value("htcondor", "pool") {
        let pools: Vec<_> = pools.split([',', ' ', '\t']).filter(|pool| !pool.is_empty()).collect();
        let condor = config.htcondor.as_ref().expect("its section is there");
        assert!(pools.is_empty() || condor.pools == pools, "{pools:?}, {:?} of {text:?}", condor.pools);
    }
}

/// Returns the value of `key` in `section`, read in the simplest possible way.
fn value<'a>(text: &'a str, section: &str, key: &str) -> Option<&'a str> {
    let mut current = "";
    for line in text.lines().map(|line| line.trim_start_matches(BYTE_ORDER_MARK).trim()) {
        if let Some(header) = line.strip_prefix('[') {
            current = header.trim_end_matches(']').trim();
        } else if current == section
            && !line.starts_with(['#', ';'])
            && let Some((_, value)) = line.split_once(['=', ':']).filter(|(name, _)| name.trim() == key)
        {
            return Some(value.trim());
        }
    }
    None
}
