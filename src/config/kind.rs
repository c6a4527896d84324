//! The kinds of values: their checks, and their names in errors and in the documentation.

use std::net::{Ipv6Addr, SocketAddr};

use anyhow::{Context, Result, ensure};
use url::Url;

use crate::text::quote;

/// The kind of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Any text.
    Text,
    /// The name or address of one host, without a port.
    Host,
    /// A TCP port.
    Port,
    /// The address that a server listens on, `ADDRESS:PORT`.
    Listen,
    /// Whole seconds, from the first number to the second.
    Seconds(u64, u64),
    /// An integer.
    Number {
        /// The smallest allowed value.
        least: u64,
        /// The largest allowed value; `u64::MAX` sets no limit.
        most: u64,
        /// Its unit, as in "1 to 36500 days".
        unit: &'static str,
    },
    /// A number, with or without a fraction.
    Decimal {
        /// The smallest allowed value.
        least: f64,
        /// The largest allowed value.
        most: f64,
        /// Its unit.
        unit: &'static str,
    },
    /// Whole days up to this number, or `forever`.
    Days(u64),
    /// One of these keywords.
    Word(&'static [&'static str]),
    /// Names, separated by commas or blanks.
    List,
    /// An absolute path, since cron's working directory is not the operator's.
    Path,
    /// A URL, `http://` or `https://`, without a login.
    Url,
    /// A program and its arguments; no shell interprets them.
    Command,
    /// A text that errors, logs and `Debug` do not show.
    Secret,
}

/// Why a text is not of a kind.
pub(super) enum Mismatch {
    /// The expected kind; the error quotes the value before it.
    Not(String),
    /// The whole reason, without the value.
    Because(anyhow::Error),
}

/// The expected kind if a text is not an integer, or is too large for its type.
const WHOLE_NUMBER: &str = "a whole number in range";

impl Kind {
    /// Checks a text.
    ///
    /// # Errors
    /// Fails if the text is not of this kind.
    pub(super) fn check(&self, text: &str) -> Result<(), Mismatch> {
        let not = |what: &str| Mismatch::Not(what.into());
        let require = |good: bool, what: &dyn Fn() -> String| if good { Ok(()) } else { Err(Mismatch::Not(what())) };
        match *self {
            Self::Text | Self::List | Self::Secret => Ok(()),
            Self::Host => host(text).map_err(Mismatch::Not),
            Self::Port => {
                let port: u16 = text.parse().map_err(|_| not(WHOLE_NUMBER))?;
                require(port > 0, &|| "a port".into())
            }
            Self::Listen => require(text.parse::<SocketAddr>().is_ok(), &|| {
                "an ADDRESS:PORT such as 127.0.0.1:5000 or [::1]:5000; it takes no name".into()
            }),
            Self::Seconds(least, most) => Self::Number { least, most, unit: "seconds" }.check(text),
            Self::Number { least, most, unit } => {
                let number: u64 = text.parse().map_err(|_| not(WHOLE_NUMBER))?;
                require((least..=most).contains(&number), &|| range(least, most, unit))
            }
            Self::Decimal { least, most, unit } => {
                let number = text.parse::<f64>().ok();
                require(number.is_some_and(|number| (least..=most).contains(&number)), &|| {
                    format!("{least} to {most} {unit}")
                })
            }
            Self::Days(most) => {
                let days = text.parse::<u64>().ok();
                let is_good = text == "forever" || days.is_some_and(|days| (1..=most).contains(&days));
                require(is_good, &|| format!("1 to {most} days, or forever"))
            }
            Self::Word(words) => require(words.contains(&text), &|| format!("one of {}", words.join(", "))),
            Self::Path => require(text.starts_with('/'), &|| "a path that begins with /".into()),
            Self::Url => address(text).map(drop).map_err(Mismatch::Because),
            Self::Command => command(text).map(drop).map_err(Mismatch::Because),
        }
    }

    /// Returns the kind with unit and range, for docs/configuration.md.
    pub(super) fn describe(&self) -> String {
        match *self {
            Self::Text => "text".into(),
            Self::Host => "host".into(),
            Self::Port => "port, 1 to 65535".into(),
            Self::Listen => "`ADDRESS:PORT`".into(),
            Self::Seconds(least, most) => range(least, most, "seconds"),
            Self::Number { least: 0, most: u64::MAX, unit } => unit.into(),
            Self::Number { least, most, unit } => range(least, most, unit),
            Self::Decimal { least, most, unit } => format!("{least} to {most} {unit}, with a fraction if need be"),
            Self::Days(most) => format!("1 to {most} days, or `forever`"),
            Self::Word(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or "),
            Self::List => "list".into(),
            Self::Path => "absolute path".into(),
            Self::Url => "`http://` or `https://` address".into(),
            Self::Command => "command".into(),
            Self::Secret => "secret".into(),
        }
    }
}

/// Formats a range: `2 to 3600 seconds`, `at least 1 point a second`.
fn range(least: u64, most: u64, unit: &str) -> String {
    match (least, most) {
        (1, u64::MAX) => {
            let (noun, rest) =
                unit.split_once(' ').map_or((unit, String::new()), |(noun, rest)| (noun, format!(" {rest}")));
            format!("at least 1 {}{rest}", noun.strip_suffix('s').unwrap_or(noun))
        }
        (_, u64::MAX) => format!("at least {least} {unit}"),
        _ => format!("{least} to {most} {unit}"),
    }
}

/// Checks the name or address of a host; fails with what it must be.
fn host(text: &str) -> Result<(), String> {
    let is_ipv6 = |text: &str| text.split('%').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if bare.is_some_and(is_ipv6) {
        return Err("an address without brackets, such as ::1".into());
    }
    if text.contains(|c: char| c.is_whitespace() || "/@,[]".contains(c)) || (text.contains(':') && !is_ipv6(text)) {
        return Err("the name or address of one host; the port has a key of its own".into());
    }
    Ok(())
}

/// Parses a URL.
pub(super) fn address(text: &str) -> Result<Url> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let url = url.context("is not an http:// or https:// address")?;
    ensure!(url.username().is_empty() && url.password().is_none(), "carries a login, which would show in logs");
    Ok(url)
}

/// Splits a command into the program and its arguments.
pub(super) fn command(text: &str) -> Result<Vec<String>> {
    ensure!(
        !text.contains(['"', '\'', '`', '$', '\\', '|', ';', '&', '<', '>']),
        "no shell runs this: give a program and its arguments, or put the rest into a script"
    );
    let parts: Vec<_> = text.split_whitespace().map(String::from).collect();
    ensure!(!parts.is_empty(), "does not name a program");
    Ok(parts)
}

/// Splits a list into its names.
pub(super) fn names(text: &str) -> Vec<String> {
    text.split(|c: char| c == ',' || c.is_whitespace()).filter(|name| !name.is_empty()).map(String::from).collect()
}

impl Mismatch {
    /// Returns the reason as an error that shows `value`, which must be the text in the file.
    pub(super) fn into_error(self, value: &str) -> anyhow::Error {
        match self {
            Self::Not(what) => anyhow::anyhow!("{} is not {what}", quote(value)),
            Self::Because(reason) => reason,
        }
    }
}
