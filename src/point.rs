//! The one thing that travels: a [`Point`], the [`Measurement`] that declares it, names made safe,
//! and InfluxDB's line protocol, written and read.
//!
//! This is the only place where text from outside becomes part of a name. [`safe_text`] makes it fit for
//! line protocol and every store keyed by tags; [`carbon_component`] goes further, down to what Carbon's
//! file tree and graphite-web's target language can both carry.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use anyhow::{Context, Result, bail, ensure};

/// The longest a tag value or a component of a Carbon path gets, in bytes. Carbon turns a component into a
/// file name, and one beyond 255 bytes, ending included, vanishes without a word.
pub const LONGEST_NAME: usize = 200;

/// Nanoseconds in a second; the time of a point is in nanoseconds.
pub const SECOND: i64 = 1_000_000_000;

/// One observation: measurement, tags, fields and time. Its tags and fields are sorted by name and its texts
/// are safe, so that two points with the same content are equal and line protocol gives back what it was given.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    measurement: Name,
    tags: Vec<(Name, String)>,
    fields: Vec<(Name, Value)>,
    time: i64,
}

/// A name from a declaration (borrowed) or from a line that was read (owned).
pub type Name = Cow<'static, str>;

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A whole number; `5i` in line protocol.
    Int(i64),
    /// A real number; `5.0` in line protocol. NaN and infinities make the point faulty.
    Float(f64),
}

impl Value {
    /// As a real number: beyond 2⁵³ the nearest one, as Carbon and every plot have it.
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Float(value) => value,
        }
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl serde::Serialize for Value {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Int(value) => to.serialize_i64(*value),
            Self::Float(value) => to.serialize_f64(*value),
        }
    }
}

impl fmt::Display for Value {
    /// The shortest text that reads back as the same number: `5`, `0.25`, `1e300`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => value.fmt(out),
            Self::Float(value) => write!(out, "{value:?}"),
        }
    }
}

/// The newest value of one field of a series.
#[derive(Clone, Debug)]
pub struct Latest {
    /// The series: a point without fields.
    pub series: Point,
    /// The field.
    pub field: &'static Field,
    /// Its time, in nanoseconds.
    pub time: i64,
    /// The value.
    pub value: Value,
}

/// Declares one kind of point, once, for every sink, roll-up and reader.
#[derive(Debug)]
pub struct Measurement {
    /// The measurement's name, the same in every store.
    pub name: &'static str,
    /// One sentence for the operator.
    pub meaning: &'static str,
    /// The tags, in the order in which a person reads them.
    pub tags: &'static [Tag],
    /// The fields.
    pub fields: &'static [Field],
    /// The Carbon path of a field, with `{tag}` for each tag that identifies the series and `{field}` for the
    /// field's name where there is more than one field.
    pub carbon: &'static str,
}

/// What a Carbon path names: one field of one series.
#[derive(Clone, Debug)]
pub struct Number {
    /// The measurement.
    pub measurement: &'static Measurement,
    /// The tags that identify the series, as components of a path.
    pub tags: Vec<(&'static str, String)>,
    /// The field.
    pub field: &'static Field,
}

/// A tag of a [`Measurement`].
#[derive(Debug)]
pub struct Tag {
    /// The tag's name.
    pub name: &'static str,
    /// Whether it tells series apart (`true`) or only describes one (`false`).
    pub identifies: bool,
}

/// A field of a [`Measurement`].
#[derive(Debug)]
pub struct Field {
    /// The field's name.
    pub name: &'static str,
    /// Its type, the same for ever: InfluxDB drops points whose type differs.
    pub kind: Kind,
    /// The unit: a base unit (`seconds`, `bytes`, `ratio`) or the plural of what is counted (`jobs`).
    pub unit: &'static str,
    /// One sentence for the operator, with the source's own name of the number.
    pub meaning: &'static str,
    /// How values of many slots become one.
    pub fold: Fold,
    /// Whether a series that vanished from a complete answer is zero (a count) or unknown (the rest).
    pub count: bool,
}

/// The type of a [`Field`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`Value::Int`].
    Int,
    /// [`Value::Float`].
    Float,
}

/// How a [`Field`] folds over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// The sum of the values.
    Sum,
    /// Their mean over the slots that the collector covered.
    Mean,
    /// The newest value.
    Last,
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
}

impl fmt::Display for Fold {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Sum => "sum",
            Self::Mean => "mean",
            Self::Last => "last",
            Self::Min => "min",
            Self::Max => "max",
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Int => "int",
            Self::Float => "float",
        })
    }
}

impl Measurement {
    /// A point of this measurement at `time` (nanoseconds since 1970, UTC): the tag values in the declared order,
    /// and the fields that are known, by name. Names outside the declaration are a bug of the caller.
    pub fn point<const N: usize>(&self, time: i64, tags: [&str; N], fields: &[(&'static str, Value)]) -> Point
    where
        Self: 'static,
    {
        debug_assert_eq!(self.tags.len(), N, "{}: one value per declared tag", self.name);
        debug_assert!(
            fields.iter().all(|(name, _)| self.fields.iter().any(|field| field.name == *name)),
            "{}: a field that is not declared",
            self.name
        );
        Point::new(
            Cow::Borrowed(self.name),
            self.tags.iter().zip(tags).map(|(tag, value)| (Cow::Borrowed(tag.name), value)),
            fields.iter().map(|(name, value)| (Cow::Borrowed(*name), *value)),
            time,
        )
    }

    /// What a Carbon path of this measurement says: its tags, as components of a path, and its field; `None` for a path of
    /// another measurement.
    pub fn read_path(&'static self, path: &str) -> Option<Number> {
        let mut tags = Vec::new();
        let mut field = self.fields.first()?;
        let (mut template, mut components) = (self.carbon.split('.'), path.split('.'));
        loop {
            match (template.next(), components.next()) {
                (None, None) => return Some(Number { measurement: self, tags, field }),
                (Some(name), Some(component)) => match name.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                    Some("field") => field = self.fields.iter().find(|field| field.name == component)?,
                    Some(tag) if !component.is_empty() && carbon_component(component) == component => {
                        tags.push((tag, component.to_string()));
                    }
                    None if name == component => {}
                    _ => return None,
                },
                _ => return None,
            }
        }
    }

    /// The Carbon path of one field of `point`, every component safe; `None` when the point lacks a tag that
    /// the path needs.
    pub fn carbon_path(&self, point: &Point, field: &str) -> Option<String> {
        let mut path = String::with_capacity(self.carbon.len() + 64);
        let mut rest = self.carbon;
        while let Some((literal, after)) = rest.split_once('{') {
            path.push_str(literal);
            let (name, after) = after.split_once('}')?;
            path.push_str(&carbon_component(if name == "field" { field } else { point.tag(name)? }));
            rest = after;
        }
        path.push_str(rest);
        Some(path)
    }
}

impl Point {
    /// A point with its texts made safe and its tags and fields sorted by name. Of two values for one name the
    /// first stays.
    pub fn new<'a>(
        measurement: Name,
        tags: impl IntoIterator<Item = (Name, &'a str)>,
        fields: impl IntoIterator<Item = (Name, Value)>,
        time: i64,
    ) -> Self {
        let mut tags: Vec<_> =
            tags.into_iter().map(|(name, value)| (safe_name(name), safe_text(value).into_owned())).collect();
        tags.sort_by(|a, b| a.0.cmp(&b.0));
        tags.dedup_by(|b, a| a.0 == b.0);
        let mut fields: Vec<_> = fields.into_iter().map(|(name, value)| (safe_name(name), value)).collect();
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        fields.dedup_by(|b, a| a.0 == b.0);
        Self { measurement: safe_measurement(measurement), tags, fields, time }
    }

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

    /// A point of the same series.
    pub fn at(&self, time: i64, fields: impl IntoIterator<Item = (Name, Value)>) -> Self {
        let mut point = Self::new("_".into(), [], fields, time);
        (point.measurement, point.tags) = (self.measurement.clone(), self.tags.clone());
        point
    }

    /// The name of its measurement.
    pub fn measurement(&self) -> &str {
        &self.measurement
    }

    /// Its tags, sorted by name, none empty.
    pub fn tags(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tags.iter().map(|(name, value)| (name.as_ref(), value.as_str()))
    }

    /// The value of one tag.
    pub fn tag(&self, name: &str) -> Option<&str> {
        self.tags().find(|tag| tag.0 == name).map(|tag| tag.1)
    }

    /// Its fields, sorted by name.
    pub fn fields(&self) -> impl Iterator<Item = (&str, Value)> {
        self.fields.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    /// Its time in nanoseconds since 1970, UTC.
    pub fn time(&self) -> i64 {
        self.time
    }

    /// What stays the same from point to point of one series: measurement and tags, in line protocol.
    pub fn series(&self) -> String {
        let mut key = String::with_capacity(96);
        self.write_series(&mut key);
        key
    }

    /// Why no sink can take this point; `None` for a good one.
    pub fn fault(&self) -> Option<String> {
        if self.fields.is_empty() {
            return Some("it has no field".into());
        }
        self.fields().find_map(|(name, value)| match value {
            Value::Float(float) if !float.is_finite() => Some(format!("field {name} is {float}")),
            _ => None,
        })
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

/// A point that no sink can take, or that says again what an earlier one said: dropped, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The series or the Carbon path.
    pub name: String,
    /// Why, in words that follow "dropped NAME: ".
    pub why: String,
}

/// The points that every sink can be given, sorted by series and time, and those that none can: faulty values,
/// and the second of two points that would be one row (same series, same time).
pub fn sound(mut points: Vec<Point>) -> (Vec<Point>, Vec<Dropped>) {
    // The sort is stable: of two points of one row the one that came first stays.
    points.sort_by_cached_key(|point| (point.series(), point.time));
    let mut dropped = Vec::new();
    let mut seen = BTreeSet::new();
    points.retain(|point| {
        let name = point.series();
        let why = point
            .fault()
            .or_else(|| (!seen.insert((name.clone(), point.time))).then(|| "another point has the same name".into()));
        match why {
            Some(why) => {
                dropped.push(Dropped { name, why });
                false
            }
            None => true,
        }
    });
    (points, dropped)
}

/// Text from outside as a tag value: never empty, at most [`LONGEST_NAME`] bytes, without control characters and
/// without backslashes, which line protocol has no way to write at the end of a name.
pub fn safe_text(text: &str) -> Cow<'_, str> {
    let unsafe_char = |c: char| c.is_control() || c == '\\' || c == '\u{2028}' || c == '\u{2029}';
    let cut = text.floor_char_boundary(LONGEST_NAME);
    if text.is_empty() {
        Cow::Borrowed("_")
    } else if cut == text.len() && !text.contains(unsafe_char) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text[..cut].chars().map(|c| if unsafe_char(c) { '_' } else { c }).collect())
    }
}

/// Text from outside as one component of a Carbon path: [`safe_text`] with everything but ASCII letters, digits
/// and `- _ @ : +` turned into `_`. Dots would split it, `/` makes a folder, `;` starts tags, and graphite-web
/// cannot render spaces, quotes, brackets, commas or bars.
pub fn carbon_component(text: &str) -> Cow<'_, str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '@' | ':' | '+');
    match safe_text(text) {
        Cow::Borrowed(safe) if safe.chars().all(fits) => Cow::Borrowed(safe),
        safe => Cow::Owned(safe.chars().map(|c| if fits(c) { c } else { '_' }).collect()),
    }
}

/// Text from outside, short and on one line, for an error message.
pub fn quote(text: &str) -> String {
    const LONGEST: usize = 120;
    let text = text.trim();
    let cut = text.floor_char_boundary(LONGEST);
    let shown: String = text[..cut].chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("\"{shown}{}\"", if cut < text.len() { "…" } else { "" })
}

/// Line protocol escapes these in a measurement, and `=` as well in tags and field names.
const MEASUREMENT_SPECIALS: &[char] = &[',', ' '];
const TAG_SPECIALS: &[char] = &[',', ' ', '='];

/// A line that begins with `#` is a comment, and line protocol has no way to write it otherwise.
fn safe_measurement(name: Name) -> Name {
    match safe_name(name) {
        name if name.starts_with('#') => Cow::Owned(name.replacen('#', "_", 1)),
        name => name,
    }
}

fn safe_name(name: Name) -> Name {
    match safe_text(&name) {
        Cow::Borrowed(safe) if safe.len() == name.len() => name,
        safe => Cow::Owned(safe.into_owned()),
    }
}

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    static SLOTS: Measurement = Measurement {
        name: "slots",
        meaning: "slots",
        tags: &[Tag { name: "grid", identifies: true }, Tag { name: "slot", identifies: true }],
        fields: &[
            Field { name: "busy", kind: Kind::Int, unit: "slots", meaning: "", fold: Fold::Mean, count: true },
            Field { name: "load", kind: Kind::Float, unit: "ratio", meaning: "", fold: Fold::Mean, count: false },
        ],
        carbon: "grids.{grid}.slots.{slot}.{field}",
    };

    #[test]
    fn a_point_is_written_as_influxdb_expects_it() {
        let point = SLOTS.point(7, ["a grid", "x=1,y"], &[("load", 2.0.into()), ("busy", 3.into())]);
        assert_eq!(point.line(), r"slots,grid=a\ grid,slot=x\=1\,y busy=3i,load=2.0 7");
        assert_eq!(SLOTS.carbon_path(&point, "busy").as_deref(), Some("grids.a_grid.slots.x_1_y.busy"));
        assert_eq!(
            point.json().to_string(),
            r#"{"fields":{"busy":3,"load":2.0},"measurement":"slots","tags":{"grid":"a grid","slot":"x=1,y"},"time":7}"#
        );
    }

    #[test]
    fn foreign_lines_are_read_or_refused_in_words() {
        let read = |line: &str| Point::from_line(line).map(|point| point.line()).map_err(|e| format!("{e:#}"));
        assert_eq!(read("m,b=2,a=1 v=1,u=2i -5").as_deref(), Ok("m,a=1,b=2 u=2i,v=1.0 -5"));
        for (line, error) in [
            ("", "\"\" has no fields"),
            ("m v=1", "\"m v=1\" has no time"),
            (" v=1 5", "\"v=1 5\" has no measurement"),
            ("#m v=1 5", "\"#m v=1 5\" is a comment"),
            ("m v=1 5s", "time \"5s\" is not nanoseconds: invalid digit found in string"),
            ("m,a v=1 5", "\"a\" is not NAME=VALUE"),
            ("m,a= v=1 5", "\"a=\" lacks a name or a value"),
            ("m,a=1,a=2 v=1 5", "\"m,a=1,a=2 v=1 5\" has a tag twice"),
            ("m v=1,v=2 5", "\"m v=1,v=2 5\" has a field twice"),
            ("m v=\"text\" 5", "\"\"text\"\" is not a number"),
            ("m v=NaN 5", "\"NaN\" is not a number"),
            ("m v=99999999999999999999i 5", "\"99999999999999999999i\" is not a number"),
        ] {
            assert_eq!(read(line), Err(error.to_string()), "{line}");
        }
    }

    #[test]
    fn faulty_and_repeated_points_are_dropped_by_name_and_the_first_stays() {
        let point = |slot, busy: i64| SLOTS.point(7, ["g", slot], &[("busy", busy.into())]);
        let faulty = SLOTS.point(7, ["g", "b"], &[("load", f64::NAN.into())]);
        let empty = SLOTS.point(7, ["g", "e"], &[]);
        let (points, dropped) = sound(vec![point("c", 1), faulty, point("a", 2), point("c", 3), empty]);
        assert_eq!(points, [point("a", 2), point("c", 1)]);
        let dropped: Vec<_> = dropped.iter().map(|drop| format!("{}: {}", drop.name, drop.why)).collect();
        assert_eq!(
            dropped,
            [
                "slots,grid=g,slot=b: field load is NaN",
                "slots,grid=g,slot=c: another point has the same name",
                "slots,grid=g,slot=e: it has no field",
            ]
        );
    }

    #[test]
    fn names_keep_what_is_safe_and_lose_what_is_not() {
        for (text, tag, component) in [
            ("", "_", "_"),
            ("cc-east", "cc-east", "cc-east"),
            ("slot1_1@wn:2+", "slot1_1@wn:2+", "slot1_1@wn:2+"),
            ("a.b c", "a.b c", "a_b_c"),
            ("new\nline\0\u{2028}", "new_line__", "new_line__"),
            (r"back\", "back_", "back_"),
            ("😀 é/;{x}", "😀 é/;{x}", "______x_"),
        ] {
            assert_eq!(safe_text(text), tag);
            assert_eq!(carbon_component(text), component);
        }
        assert_eq!(safe_text(&"é".repeat(150)).len(), 200);
        assert_eq!(safe_text(&"€".repeat(150)).len(), 198);
    }

    fn number_value() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<i64>().prop_map(Value::Int),
            prop::num::f64::NORMAL.prop_map(Value::Float),
            Just(Value::Float(-0.0))
        ]
    }

    prop_compose! {
        fn any_point()(
            measurement in any::<String>(),
            tags in prop::collection::vec((any::<String>(), any::<String>()), 0..5),
            fields in prop::collection::vec((any::<String>(), number_value()), 1..4),
            time in any::<i64>(),
        ) -> Point {
            let tags: Vec<_> = tags;
            Point::new(
                Cow::Owned(measurement),
                tags.iter().map(|(name, value)| (Cow::Owned(name.clone()), value.as_str())),
                fields.into_iter().map(|(name, value)| (Cow::Owned(name), value)),
                time,
            )
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn any_safe_point_comes_back_from_its_line_as_it_was(point in any_point()) {
            let line = point.line();
            prop_assert!(!line.contains('\n'));
            prop_assert_eq!(Point::from_line(&line).unwrap(), point);
        }

        #[test]
        fn a_line_is_read_or_refused_but_never_panics(line in r#"[a-c=, \\0-9i"\n.é-]{0,60}"#) {
            if let Ok(point) = Point::from_line(&line) {
                prop_assert_eq!(Point::from_line(&point.line()).unwrap(), point);
            }
        }

        #[test]
        fn names_are_safe_for_any_text(text in any::<String>()) {
            let tag = safe_text(&text).into_owned();
            prop_assert!(!tag.is_empty() && tag.len() <= LONGEST_NAME && !tag.contains(|c: char| c.is_control() || c == '\\'));
            prop_assert_eq!(safe_text(&tag), tag.as_str());
            let component = carbon_component(&text).into_owned();
            prop_assert!(!component.is_empty() && component.len() <= LONGEST_NAME);
            prop_assert!(component.chars().all(|c| c.is_ascii_alphanumeric() || "-_@:+".contains(c)));
            prop_assert_eq!(carbon_component(&component), component.as_str());
            // What was made safe for line protocol first gets the same path: points come back from the spool.
            prop_assert_eq!(carbon_component(&tag), component.as_str());
        }

        #[test]
        fn a_carbon_path_has_as_many_components_as_declared(grid in any::<String>(), slot in any::<String>()) {
            let point = SLOTS.point(7, [&grid, &slot], &[("busy", 3.into())]);
            let path = SLOTS.carbon_path(&point, "busy").unwrap();
            prop_assert_eq!(path.split('.').count(), 5);
            let Number { tags, field, .. } = SLOTS.read_path(&path).unwrap();
            let tags: Vec<_> = tags.iter().map(|(name, value)| (*name, value.as_str())).collect();
            prop_assert_eq!(tags, [("grid", &*carbon_component(&grid)), ("slot", &*carbon_component(&slot))]);
            prop_assert_eq!(field.name, "busy");
            for other in [format!("{path}.x"), path.replace("busy", "nosuch"), path.replace("slots.", "others."), "a*.b".into(), String::new()] {
                prop_assert!(SLOTS.read_path(&other).is_none());
            }
        }
    }
}
