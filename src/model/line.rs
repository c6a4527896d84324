//! InfluxDB's line protocol, written and read: `measurement,tag=value field=5i,other=2.5 1717245000000000000`.

use std::borrow::Cow;

use anyhow::{Context, Result, bail, ensure};

use super::{Name, Point, Value};
use crate::text::quote;

impl Point {
    /// The names of a series, as [`Point::series`] wrote them: a point without fields, at time 0.
    ///
    /// # Errors
    /// When that is no series.
    pub fn of_series(series: &str) -> Result<Self> {
        ensure!(split_unescaped(series, ' ').is_none(), "{} is more than a series", quote(series));
        Self::from_parts(series, Vec::new(), 0, series)
    }

    /// The point of a series, as [`Point::series`] wrote it, with these fields; `read` is what they were read from.
    fn from_parts(series: &str, fields: Vec<(Name, Value)>, time: i64, read: &str) -> Result<Self> {
        let (name, tags) = split_unescaped(series, ',').map_or((series, None), |(name, tags)| (name, Some(tags)));
        let measurement = unescape(name, MEASUREMENT_SPECIALS);
        ensure!(!measurement.is_empty(), "{} has no measurement", quote(read));
        ensure!(!measurement.starts_with('#'), "{} is a comment", quote(read));
        let tags = pairs(tags)?;
        let (tag_count, field_count) = (tags.len(), fields.len());
        let tags = tags.iter().map(|(name, value)| (Cow::Owned(name.clone().into_owned()), value.as_ref()));
        let point = Self::new(Cow::Owned(measurement.into_owned()), tags, fields, time);
        ensure!(point.tags.len() == tag_count, "{} has a tag twice", quote(read));
        ensure!(point.fields.len() == field_count, "{} has a field twice", quote(read));
        Ok(point)
    }

    /// What stays the same from point to point of one series: measurement and tags, in line protocol.
    pub fn series(&self) -> String {
        let mut key = String::with_capacity(96);
        self.write_series(&mut key);
        key
    }

    /// The point as one line of line protocol, without the line's end. The time is in nanoseconds.
    pub fn line(&self) -> String {
        let mut line = String::new();
        self.write_series(&mut line);
        for (at, (name, value)) in self.fields.iter().enumerate() {
            line.push(if at == 0 { ' ' } else { ',' });
            escape(name, TAG_SPECIALS, &mut line);
            line.push('=');
            line.push_str(&value.to_string());
            if let Value::Int(_) = value {
                line.push('i');
            }
        }
        line.push(' ');
        line.push_str(&self.time.to_string());
        line
    }

    fn write_series(&self, out: &mut String) {
        escape(&self.measurement, MEASUREMENT_SPECIALS, out);
        for (name, value) in &self.tags {
            out.push(',');
            escape(name, TAG_SPECIALS, out);
            out.push('=');
            escape(value, TAG_SPECIALS, out);
        }
    }

    /// The point as one JSON object: measurement, tags, fields and time in nanoseconds.
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
            "time": self.time,
        })
    }

    /// Reads one line of line protocol with a time in nanoseconds. What [`Point::line`] wrote comes back as it was.
    ///
    /// # Errors
    /// When the line has no measurement, field or time, a tag or field twice, or a value that is no number: texts
    /// and booleans are legal line protocol, but nothing here measures them.
    pub fn from_line(line: &str) -> Result<Self> {
        let (key, rest) = split_unescaped(line, ' ').with_context(|| format!("{} has no fields", quote(line)))?;
        let (fields, time) = split_unescaped(rest, ' ').with_context(|| format!("{} has no time", quote(line)))?;
        let time = time.parse().with_context(|| format!("time {} is not nanoseconds", quote(time)))?;

        let fields = pairs(Some(fields))?
            .into_iter()
            .map(|(name, value)| Ok((Cow::Owned(name.into_owned()), number(&value)?)))
            .collect::<Result<Vec<_>>>()?;
        Self::from_parts(key, fields, time, line)
    }
}

/// Line protocol escapes these in a measurement, and `=` as well in tags and field names.
const MEASUREMENT_SPECIALS: &[char] = &[',', ' '];
const TAG_SPECIALS: &[char] = &[',', ' ', '='];

fn escape(text: &str, specials: &[char], out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find(specials) {
        out.push_str(&rest[..at]);
        out.push('\\');
        // Every special is one byte.
        out.push_str(&rest[at..=at]);
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
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

/// Splits at the first `at` that no backslash precedes.
fn split_unescaped(text: &str, at: char) -> Option<(&str, &str)> {
    let (end, _) = text.match_indices(at).find(|(end, _)| !text[..*end].ends_with('\\'))?;
    Some((&text[..end], &text[end + at.len_utf8()..]))
}

/// The `name=value` pairs of a tag set or a field set, unescaped.
fn pairs(text: Option<&str>) -> Result<Vec<(Cow<'_, str>, Cow<'_, str>)>> {
    let mut pairs = Vec::new();
    let mut rest = text;
    while let Some(text) = rest {
        let (pair, after) = split_unescaped(text, ',').map_or((text, None), |(pair, after)| (pair, Some(after)));
        let (name, value) = split_unescaped(pair, '=').with_context(|| format!("{} is not NAME=VALUE", quote(pair)))?;
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
