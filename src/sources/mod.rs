//! The monitored systems, a module each. A source returns records that are named as in its system, and knows no sink.

pub mod agents;
pub mod cloud_scheduler;
pub mod cric;
pub mod elastic;
pub mod gpu;
pub mod htcondor;
pub mod libvirt;
pub mod node;
pub mod panda;
pub mod slurm;
pub mod ssh;
pub mod tgzs;

pub mod kept;
mod lenient;

use std::borrow::Cow;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

use crate::config::{Key, Kind, Program, Unset, Values};
use crate::os::command::{self, Failure};
use crate::os::http::Tls;
use crate::text::quote;

/// The keys of a section whose server may have a certificate of a grid's CA.
const CA: Key = Key::new(
    "ca",
    Kind::Path,
    Unset::Absent("/etc/grid-security/certificates"),
    "A file of CAs, or a hashed folder of them, that are trusted instead of the machine's own: a grid's servers have \
     certificates that no system knows.",
);

const CERTIFICATE: Key = Key::new(
    "certificate",
    Kind::Path,
    Unset::Absent("/etc/gridmon/hostcert.pem"),
    "A client certificate, or a proxy, where a server asks for one.",
);

const KEY: Key = Key::new(
    "key",
    Kind::Path,
    Unset::Absent("/etc/gridmon/hostkey.pem"),
    "The key of the certificate. Default: it stands in the certificate's file, as a proxy's does.",
);

/// Reads these three keys.
fn read_tls(values: &Values) -> Result<Tls> {
    let certificate = values.path("certificate")?;
    let key: Option<PathBuf> = values.path("key")?;
    if key.is_some() && certificate.is_none() {
        return Err(values.error("key", anyhow!("needs certificate beside it")));
    }
    Ok(Tls { ca: values.path("ca")?, certificate, key, is_unverified: false })
}

/// Returns how long an answer may take now: `seconds`, but not longer than `until`.
fn timeout(seconds: u64, until: Instant) -> Duration {
    Duration::from_secs(seconds).min(until.saturating_duration_since(Instant::now()))
}

/// Returns what a text is that is not JSON.
fn not_json(text: &str, error: &serde_json::Error) -> anyhow::Error {
    match text.as_bytes().first() {
        Some(b'<') => anyhow!("the answer is a web page, perhaps to log in, where JSON was expected: {}", quote(text)),
        _ if error.is_eof() => anyhow!("the answer broke off after {} bytes: {}", text.len(), quote(text)),
        _ => anyhow!("the answer is not JSON: {}: {error}", quote(text)),
    }
}

/// Returns a response as text, without white space around it and the mark of its byte order. Invalid UTF-8 becomes U+FFFD, and
/// what Python writes beyond JSON is mended.
///
/// # Errors
/// Fails if nothing is left.
fn not_empty(json: &[u8]) -> Result<Cow<'_, str>> {
    let text = match String::from_utf8_lossy(json) {
        Cow::Borrowed(text) => Cow::Borrowed(inner(text)),
        Cow::Owned(text) => Cow::Owned(inner(&text).to_string()),
    };
    if text.is_empty() {
        bail!("the answer is empty");
    }
    Ok(lenient::of_python(text))
}

/// Parses an answer in JSON, also as Python writes it. A number beyond all floats becomes a text, so that it costs itself alone.
fn parse_json<T>(json: &[u8], parse: impl Fn(&str) -> Result<T>) -> Result<T> {
    let text = not_empty(json)?;
    // There is hardly ever one, and to look for it takes as long as to parse.
    parse(&text).or_else(|error| lenient::finite(&text).map_or(Err(error), |text| parse(&text)))
}

/// Runs a command as [`command::run`] does. The arguments in the config may be secret, so what the command prints about
/// them is left out of the failure.
fn run(
    command: &mut Command,
    deadline: Instant,
    secret: &[String],
    read: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> Result<(), Failure> {
    command::run(command, deadline, read).map_err(|failure| match failure {
        Failure::Exit(status, printed) => {
            let hidden = secret.iter().fold(printed, |text, word| hide(&text, word));
            Failure::Exit(status, hidden)
        }
        other => other,
    })
}

/// Replaces an argument by `***` where it stands as a word; of `--option=VALUE` the value. The name of an option stays.
fn hide(text: &str, argument: &str) -> String {
    let word =
        if argument.starts_with('-') { argument.split_once('=').map_or("", |(_, value)| value) } else { argument };
    if word.is_empty() {
        return text.to_string();
    }
    let (mut hidden, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once(word) {
        let is_word = !before.ends_with(char::is_alphanumeric) && !after.starts_with(char::is_alphanumeric);
        hidden = hidden + before + if is_word { "***" } else { word };
        rest = after;
    }
    hidden + rest
}

/// Returns a command to which arguments can be added.
fn command(Program { argv, .. }: &Program) -> Command {
    let mut command = Command::new(&argv[0]);
    command.args(&argv[1..]);
    command
}

/// Returns a text without white space around it and the mark of its byte order.
fn inner(text: &str) -> &str {
    text.trim_start_matches('\u{feff}').trim()
}

#[cfg(test)]
mod tests {
    use super::{hide, not_empty};

    #[test]
    fn the_mark_of_the_byte_order_is_no_part_of_an_answer() {
        for answer in ["\u{feff} {}\n", " {}", "{}"] {
            assert_eq!(not_empty(answer.as_bytes()).unwrap(), "{}");
        }
        assert!(not_empty("\u{feff}\n".as_bytes()).is_err());
    }

    #[test]
    fn an_argument_is_hidden_and_a_word_that_contains_it_is_not() {
        for (text, argument, hidden) in [
            ("unknown option --password hunter2", "hunter2", "unknown option --password ***"),
            ("bad: --password=hunter2!", "--password=hunter2", "bad: --password=***!"),
            ("hunter2 (hunter2), hunter22", "hunter2", "*** (***), hunter22"),
            ("usage: cloud_status -aj", "-aj", "usage: cloud_status -aj"),
            ("error: a", "a", "error: ***"),
        ] {
            assert_eq!(super::hide(text, argument), hidden);
        }
        assert_eq!(hide("", ""), "");
    }
}
