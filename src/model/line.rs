//! Writes and parses InfluxDB's line protocol: `measurement,tag=value field=5i,other=2.5 1717245000000000000`.

use std::borrow::Cow;
use std::fmt::Write as _;

use anyhow::{Context, Result, bail, ensure};

use super::{LONGEST_NAME, Name, Point, Value};
use crate::text::quote;

/// The longest series with one of its fields that a line from outside may have, in bytes as they are written: what InfluxDB takes,
/// which joins them with four bytes.
const LONGEST_KEY: usize = 65_535 - 4;

impl Point {
    /// Parses a series as [`Point::series`] wrote it into a point without fields, at time 0.
    ///
    /// # Errors
    /// Fails if the text is not a series.
    pub fn of_series(series: &str) -> Result<Self> {
        Self::of_series_with(series, "")
    }

    /// Parses a series with labels, as [`Point::labels_text`] wrote them.
    ///
    /// # Errors
    /// Fails if the texts are not a series and its labels.
    pub fn of_series_with(series: &str, labels: &str) -> Result<Self> {
        ensure!(split_unescaped(series, b' ').is_none(), "{} is more than a series", quote(series));
        Self::from_parts(series, labels, Vec::new(), 0, series)
    }

    /// Builds a point from a series as [`Point::series`] wrote it, labels and fields; `read` is the parsed text, for
    /// errors.
    fn from_parts(series: &str, labels: &str, fields: Vec<(Name, Value)>, time: i64, read: &str) -> Result<Self> {
        let (name, tags) = split_unescaped(series, b',').map_or((series, None), |(name, tags)| (name, Some(tags)));
        let measurement = unescape(name, MEASUREMENT_SPECIALS);
        ensure!(!measurement.is_empty(), "{} has no measurement", quote(read));
        ensure!(!measurement.starts_with('#'), "{} is a comment", quote(read));
        let (keys, labels) = (pairs(tags)?, pairs((!labels.is_empty()).then_some(labels))?);
        let (tag_count, field_count) = (keys.len() + labels.len(), fields.len());
        fn owned<'a>((name, value): &'a (Cow<'_, str>, Cow<'_, str>)) -> (Name, &'a str) {
            (Cow::Owned(name.to_string()), value.as_ref())
        }
        let (keys, labels) = (keys.iter().map(owned), labels.iter().map(owned));
        let point = Self::with_labels(Cow::Owned(measurement.into_owned()), keys, labels, fields, time);
        ensure!(point.tags().count() == tag_count, "{} has a tag twice", quote(read));
        ensure!(point.fields().count() == field_count, "{} has a field twice", quote(read));
        Ok(point)
    }

    /// Returns the measurement and all tags, keys and labels, in line protocol; without labels this is the series'
    /// name.
    pub fn tag_set(&self) -> Cow<'_, str> {
        if !self.has_labels() {
            return Cow::Borrowed(self.series());
        }
        let mut out = String::with_capacity(2 * self.series().len());
        self.write_tag_set(&mut out);
        Cow::Owned(out)
    }

    /// Returns the labels in line protocol, `a=b,c=d`; empty if there are no labels.
    pub fn labels_text(&self) -> String {
        let mut text = String::new();
        write_pairs(self.labels(), &mut text);
        text.split_off(text.len().min(1))
    }

    fn write_tag_set(&self, out: &mut String) {
        if self.write_with_labels(out) {
            return;
        }
        if self.has_labels() {
            escape(self.measurement(), MEASUREMENT_SPECIALS, out);
            write_pairs(self.tags(), out);
        } else {
            out.push_str(self.series());
        }
    }

    /// Returns the point as one line of line protocol, without a newline. The time is in nanoseconds.
    pub fn line(&self) -> String {
        let mut line = String::with_capacity(self.series().len() + 48);
        self.write_line(&mut line);
        line
    }

    /// Appends the line of [`Point::line`] to `out`.
    pub fn write_line(&self, out: &mut String) {
        self.write_tag_set(out);
        for (at, (name, value)) in self.fields().enumerate() {
            out.push(if at == 0 { ' ' } else { ',' });
            escape(name, TAG_SPECIALS, out);
            out.push('=');
            match value {
                Value::Int(value) => {
                    write_int(value, out);
                    out.push('i');
                }
                Value::Float(float) => write_float(float, out),
            }
        }
        out.push(' ');
        write_int(self.time(), out);
    }

    /// Returns the point as a JSON object: measurement, tags, fields and time in nanoseconds.
    pub fn json(&self) -> serde_json::Value {
        let fields = self.fields().map(|(name, value)| {
            let value = match value {
                Value::Int(value) => serde_json::Value::from(value),
                Value::Float(value) => serde_json::Value::from(value),
            };
            (name.to_string(), value)
        });
        serde_json::json!({
            "measurement": self.measurement(),
            "tags": self.tags().map(|(name, value)| (name.to_string(), value.into())).collect::<serde_json::Map<_, _>>(),
            "fields": fields.collect::<serde_json::Map<_, _>>(),
            "time": self.time(),
        })
    }

    /// Parses a line of line protocol with a time in nanoseconds. A line of [`Point::line`] gives back the same point.
    ///
    /// ```
    /// use gridmon::model::Point;
    ///
    /// let point = Point::from_line("disk,host=wn1,path=/ used=17i 1717245000000000000").unwrap();
    /// assert_eq!((point.measurement(), point.tag("path")), ("disk", Some("/")));
    /// assert_eq!(point.line(), "disk,host=wn1,path=/ used=17i 1717245000000000000");
    /// ```
    ///
    /// # Errors
    /// Fails if the line lacks a measurement, field or time, has a tag or field twice, or has a value that is not a
    /// number. Texts and booleans are legal line protocol, but no measurement here has them.
    pub fn from_line(line: &str) -> Result<Self> {
        let (key, rest) = split_unescaped(line, b' ').with_context(|| format!("{} has no fields", quote(line)))?;
        let (fields, time) = split_unescaped(rest, b' ').with_context(|| format!("{} has no time", quote(line)))?;
        let time = time.parse().with_context(|| format!("time {} is not nanoseconds", quote(time)))?;

        let fields = pairs(Some(fields))?
            .into_iter()
            .map(|(name, value)| Ok((Cow::Owned(name.into_owned()), number(&value)?)))
            .collect::<Result<Vec<_>>>()?;
        Self::from_parts(key, "", fields, time, line)
    }
}

/// A line that somebody else wrote.
#[derive(Debug)]
pub struct Foreign {
    /// The point of its numbers; `None` if it has none.
    pub point: Option<Point>,
    /// The names of its fields that are texts, which no point here has.
    pub texts: Vec<String>,
}

impl Point {
    /// Parses a line as InfluxDB's clients write it: its time, in units of `unit` nanoseconds, may be missing and is then
    /// `now`, in unix nanoseconds. A boolean becomes 1 or 0.
    ///
    /// # Errors
    /// Fails if the line lacks a measurement or fields, has a tag or field twice, has a value that is none, an infinite
    /// number, or an integer beyond 64 bits with a sign, or has names that are longer than InfluxDB takes.
    pub fn from_foreign_line(line: &str, unit: i64, now: i64) -> Result<Foreign> {
        let (key, rest) = split_unescaped(line, b' ').with_context(|| format!("{} has no fields", quote(line)))?;
        let mut fields = Fields::new(rest.trim_start());
        let (mut numbers, mut texts) = (Vec::new(), Vec::new());
        for pair in &mut fields {
            let (name, value) =
                split_unescaped(pair, b'=').with_context(|| format!("{} is not NAME=VALUE", quote(pair)))?;
            ensure!(!name.is_empty() && !value.is_empty(), "{} lacks a name or a value", quote(pair));
            ensure!(
                key.len() + name.len() <= LONGEST_KEY,
                "field {} of {} has {} bytes with its series, more than {LONGEST_KEY}",
                quote(name),
                quote(key),
                key.len() + name.len()
            );
            let name = unescape(name, TAG_SPECIALS).into_owned();
            match value.starts_with('"') {
                true if value.len() > 1 && value.ends_with('"') => texts.push(name),
                _ => numbers.push((Cow::Owned(name), foreign_number(value)?)),
            }
        }
        let time = match fields.rest.trim() {
            "" => now,
            time => {
                let units: i64 = time.parse().with_context(|| format!("time {} is not an integer", quote(time)))?;
                units.checked_mul(unit).with_context(|| format!("time {time} is beyond the year 2262"))?
            }
        };
        if numbers.is_empty() {
            return Ok(Foreign { point: None, texts });
        }
        Ok(Foreign { point: Some(Self::from_parts(key, "", numbers, time, line)?), texts })
    }
}

fn foreign_number(text: &str) -> Result<Value> {
    match text {
        "t" | "T" | "true" | "True" | "TRUE" => return Ok(Value::Int(1)),
        "f" | "F" | "false" | "False" | "FALSE" => return Ok(Value::Int(0)),
        _ => {}
    }
    match text.strip_suffix('u') {
        Some(whole) => {
            let value = whole.parse::<u64>().ok().and_then(|value| i64::try_from(value).ok());
            value.map(Value::Int).with_context(|| format!("{} is not a number up to {}", quote(text), i64::MAX))
        }
        None => number(text),
    }
}

/// Where texts between quotes stand in a line, told byte by byte. As in InfluxDB a quote begins one behind the first blank alone,
/// and only where a value stands; in a name it is a character like any other.
#[derive(Clone, Debug, Default)]
pub struct Quotes {
    is_escaped: bool,
    has_name: bool,
    has_fields: bool,
    /// Whether a text has begun and not ended.
    pub is_open: bool,
    equals: usize,
    commas: usize,
}

impl Quotes {
    /// Takes the next byte of a line. Returns whether it stands for itself: in no text, and without a backslash before it.
    pub fn take(&mut self, byte: u8) -> bool {
        if self.is_escaped {
            self.is_escaped = false;
            return false;
        }
        match byte {
            b'\\' => self.is_escaped = true,
            b'"' if self.has_fields && self.equals > self.commas => self.is_open = !self.is_open,
            b' ' => self.has_fields |= self.has_name,
            b'=' if self.has_fields && !self.is_open => self.equals += 1,
            b',' if self.has_fields && !self.is_open => self.commas += 1,
            _ => {}
        }
        self.has_name |= byte != b' ';
        !self.is_open
    }
}

/// The fields of a line, `NAME=VALUE` each, until a blank; the rest is the time.
struct Fields<'a> {
    rest: &'a str,
    is_last: bool,
    /// `None` where no text stands, so that a byte tells more.
    quotes: Option<Quotes>,
}

impl<'a> Fields<'a> {
    fn new(rest: &'a str) -> Self {
        let quotes = rest.contains('"').then(|| Quotes { has_name: true, has_fields: true, ..Quotes::default() });
        Self { rest, is_last: false, quotes }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.is_last {
            return None;
        }
        let bytes = self.rest.as_bytes();
        let is_end = |byte: u8| matches!(byte, b',' | b' ');
        let end = match &mut self.quotes {
            Some(quotes) => bytes.iter().position(|byte| quotes.take(*byte) && is_end(*byte)),
            None => (0..bytes.len()).find(|&end| is_end(bytes[end]) && (end == 0 || bytes[end - 1] != b'\\')),
        };
        let end = end.unwrap_or(bytes.len());
        let field = &self.rest[..end];
        self.is_last = bytes.get(end) != Some(&b',');
        self.rest = self.rest.get(end + 1..).unwrap_or_default();
        Some(field)
    }
}

/// Line protocol escapes these characters in a measurement, and `=` as well in tags and field names.
pub(super) const MEASUREMENT_SPECIALS: &[char] = &[',', ' '];
pub(super) const TAG_SPECIALS: &[char] = &[',', ' ', '='];

/// Whether a text is safe and needs no escapes in line protocol. Returns `false` for some such texts too.
pub(super) fn is_plain(text: &str) -> bool {
    // Most texts are plain, so all bytes are looked at without a decision after each.
    !text.is_empty() && text.len() <= LONGEST_NAME && text.bytes().fold(true, |all, byte| all & PLAIN[byte as usize])
}

/// Whether a byte is safe and needs no escape.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < plain.len() {
        let own = byte as u8;
        plain[byte] = own.is_ascii_graphic() && !matches!(own, b',' | b'=' | b'\\');
        byte += 1;
    }
    plain
};

pub(super) fn escape(text: &str, specials: &[char], out: &mut String) {
    if is_plain(text) {
        out.push_str(text);
        return;
    }
    let mut rest = text;
    while let Some(at) = rest.find(specials) {
        out.push_str(&rest[..at]);
        out.push('\\');
        // Every special character is one byte.
        out.push_str(&rest[at..=at]);
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

/// Appends `,name=value` for each pair.
pub(super) fn write_pairs<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>, out: &mut String) {
    for (name, value) in pairs {
        out.push(',');
        escape(name, TAG_SPECIALS, out);
        out.push('=');
        escape(value, TAG_SPECIALS, out);
    }
}

/// Appends a number as [`Value`] writes it.
fn write_float(value: f64, out: &mut String) {
    // Most numbers have three decimals at most. Two decimals of 15 digits are never one float, so if this one is that float it is
    // the shortest, which to find takes ten times as long.
    let thousandths = (value.abs() * 1000.0).round();
    if thousandths < 1e15 && thousandths / 1000.0 == value.abs() {
        let (whole, rest) = (thousandths as i64 / 1000, thousandths as i64 % 1000);
        if value.is_sign_negative() {
            out.push('-');
        }
        write_int(whole, out);
        let digits = [rest / 100, rest / 10 % 10, rest % 10];
        let count = digits.iter().rposition(|digit| *digit > 0).map_or(1, |last| last + 1);
        out.push('.');
        out.extend(digits[..count].iter().map(|digit| char::from(b'0' + *digit as u8)));
    } else {
        let _ = write!(out, "{}", Value::Float(value));
    }
}

/// Appends a number.
fn write_int(value: i64, out: &mut String) {
    out.push_str(itoa::Buffer::new().format(value));
}

fn unescape<'a>(text: &'a str, specials: &[char]) -> Cow<'a, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match chars.peek() {
            Some(next) if c == '\\' && specials.contains(next) => {}
            _ => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Splits at the first `at`, which is ASCII, without a backslash before it.
fn split_unescaped(text: &str, at: u8) -> Option<(&str, &str)> {
    // Every line passes here many times, and patterns take longer than bytes.
    let bytes = text.as_bytes();
    let end = (0..bytes.len()).find(|&end| bytes[end] == at && (end == 0 || bytes[end - 1] != b'\\'))?;
    Some((&text[..end], &text[end + 1..]))
}

/// Returns the `name=value` pairs of a tag set or field set, unescaped.
fn pairs(text: Option<&str>) -> Result<Vec<(Cow<'_, str>, Cow<'_, str>)>> {
    let mut pairs = Vec::new();
    let mut rest = text;
    while let Some(text) = rest {
        let (pair, after) = split_unescaped(text, b',').map_or((text, None), |(pair, after)| (pair, Some(after)));
        let (name, value) =
            split_unescaped(pair, b'=').with_context(|| format!("{} is not NAME=VALUE", quote(pair)))?;
        ensure!(!name.is_empty() && !value.is_empty(), "{} lacks a name or a value", quote(pair));
        pairs.push((unescape(name, TAG_SPECIALS), unescape(value, TAG_SPECIALS)));
        rest = after;
    }
    Ok(pairs)
}

fn number(text: &str) -> Result<Value> {
    let value = match text.strip_suffix('i') {
        Some(whole) => whole.parse().map(Value::Int).ok(),
        None => text.parse().ok().filter(|float: &f64| float.is_finite()).map(Value::Float),
    };
    match value {
        Some(value) => Ok(value),
        None => bail!("{} is not a number", quote(text)),
    }
}
