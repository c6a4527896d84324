//! Points, and the checks that make them fit for every sink.

use std::borrow::Cow;
use std::fmt;

use super::line::{MEASUREMENT_SPECIALS, TAG_SPECIALS, escape, is_plain};
use super::name::{clean, safe_measurement, safe_name};
use super::order::sort_by_name;
use super::{FieldValue, Kind, LONGEST_NAME, Labels, Measurement, Name, Tag, Value, safe_text};

/// One observation: measurement, tags, fields and time. Tags and fields are sorted by name and texts are safe, so
/// points with the same content are equal, and line protocol gives back the same point.
///
/// The name of its series, measurement and keys in line protocol, is written once, when the point is made. All other
/// names are spans of that text or of the text after it.
#[derive(Clone)]
pub struct Point {
    declaration: Option<&'static Measurement>,
    /// The series' name, followed by the unescaped labels and the names that the series' name has escaped.
    text: String,
    /// The end of the series' name.
    series_end: u32,
    measurement: Span,
    tags: Tags,
    fields: Vec<(Name, Value)>,
    time: i64,
}

/// A span of a point's text.
#[derive(Clone, Copy, Default)]
struct Span(u32, u32);

impl Span {
    fn of(self, text: &str) -> &str {
        &text[self.0 as usize..self.1 as usize]
    }
}

/// The tags of a point, sorted by name.
#[derive(Clone)]
enum Tags {
    /// All those that its measurement declares: the values of the keys, in the declared order, which need no escape, and the
    /// labels.
    Declared([KeySpan; MOST_KEYS], Option<Labels>),
    Named(Vec<TagSpan>),
}

/// The most keys that stand in the point itself.
const MOST_KEYS: usize = 6;

/// Where a key's value begins and ends in a series' name with at most [`MOST_KEYS`] plain names and values, which is short.
#[derive(Clone, Copy, Default)]
struct KeySpan(u16, u16);

const _: () = assert!((2 * MOST_KEYS + 1) * (LONGEST_NAME + 1) <= u16::MAX as usize, "a series' name is longer");

impl KeySpan {
    fn of(self, text: &str) -> &str {
        &text[usize::from(self.0)..usize::from(self.1)]
    }
}

#[derive(Clone, Copy)]
struct TagSpan {
    name: Span,
    value: Span,
    is_label: bool,
}

/// A tag for a new point: name, value, whether it is a label.
type Given<'a> = (&'a str, &'a str, bool);

/// Returns fields with safe names, sorted by name. Of two values for one name the first one stays.
fn safe_fields(fields: impl IntoIterator<Item = (Name, Value)>) -> Vec<(Name, Value)> {
    sorted(fields.into_iter().map(|(name, value)| (safe_name(name), value)))
}

/// Returns such fields whose names are safe.
fn sorted(fields: impl Iterator<Item = (Name, Value)>) -> Vec<(Name, Value)> {
    let mut fields: Vec<_> = fields.collect();
    if !fields.is_sorted_by(|a, b| a.0 < b.0) {
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        fields.dedup_by(|b, a| a.0 == b.0);
    }
    fields
}

/// Whether the keys of a measurement stand in its points themselves.
fn fits(declaration: &Measurement) -> bool {
    declaration.keys.1 <= MOST_KEYS
}

/// Appends a text unchanged.
fn put_raw(text: &mut String, raw: &str) -> Span {
    let begin = text.len() as u32;
    text.push_str(raw);
    Span(begin, text.len() as u32)
}

/// Appends a text in line protocol; returns `None` if that changes the text.
fn put_escaped(text: &mut String, raw: &str, specials: &[char]) -> Option<Span> {
    if is_plain(raw) {
        return Some(put_raw(text, raw));
    }
    let begin = text.len();
    escape(raw, specials, text);
    (text.len() - begin == raw.len()).then_some(Span(begin as u32, text.len() as u32))
}

impl Point {
    /// Returns a point with safe texts of any length and with tags and fields sorted by name; all tags are keys. Of two values
    /// for one name the first one stays.
    pub fn new<'a>(
        measurement: Name,
        tags: impl IntoIterator<Item = (Name, &'a str)>,
        fields: impl IntoIterator<Item = (Name, Value)>,
        time: i64,
    ) -> Self {
        Self::with_labels(measurement, tags, [], fields, time)
    }

    /// Returns such a point with labels, tags that only describe the series.
    pub(super) fn with_labels<'a>(
        measurement: Name,
        keys: impl IntoIterator<Item = (Name, &'a str)>,
        labels: impl IntoIterator<Item = (Name, &'a str)>,
        fields: impl IntoIterator<Item = (Name, Value)>,
        time: i64,
    ) -> Self {
        let safe = |is_label| move |(name, value): (Name, &'a str)| (safe_name(name), clean(value), is_label);
        let mut tags: Vec<_> = keys.into_iter().map(safe(false)).chain(labels.into_iter().map(safe(true))).collect();
        tags.sort_by(|a, b| a.0.cmp(&b.0));
        tags.dedup_by(|b, a| a.0 == b.0);
        let given: Vec<Given> =
            tags.iter().map(|(name, value, label)| (name.as_ref(), value.as_ref(), *label)).collect();
        let mut point = Self { fields: safe_fields(fields), time, ..Self::empty() };
        point.write_names(&safe_measurement(measurement), given.len(), |at| given[at]);
        point
    }

    /// Returns a point of a declared measurement, with the tag values in the declared order. Too many tags become one
    /// without a declaration, which [`Point::fault`] finds.
    pub(super) fn declared(
        declaration: &'static Measurement,
        time: i64,
        values: &[&str],
        given: &[FieldValue],
    ) -> Self {
        let tags = declaration.tags;
        let of_kind = |is_key: bool| {
            tags.iter().zip(values).filter(move |(tag, _)| tag.identifies == is_key).map(|(_, value)| *value)
        };
        let mut point = Self::with_fields(declaration, time, given);
        if fits(declaration) && values.len() == tags.len() && of_kind(true).all(is_plain) {
            let labels = declaration.has_labels().then(|| Labels::new(declaration, of_kind(false)));
            point.write_keys(declaration, |at, _| values[at], labels);
        } else {
            let names = tags.iter().map(|tag| (tag.name, !tag.identifies)).chain([("_", false)]);
            point.write_safe(names.zip(values).map(|((name, is_label), value)| (name, *value, is_label)).collect());
        }
        point
    }

    /// Returns such a point with the values of the keys, and labels that others have too. If they are not all tags of the
    /// measurement, the point has no labels, and [`Point::fault`] finds it.
    pub(super) fn with_common(
        declaration: &'static Measurement,
        time: i64,
        keys: &[&str],
        labels: &Labels,
        given: &[FieldValue],
    ) -> Self {
        let mut point = Self::with_fields(declaration, time, given);
        let are_all = labels.complete(declaration, keys.len());
        if fits(declaration) && are_all && keys.iter().all(|key| is_plain(key)) {
            point.write_keys(declaration, |_, place| keys[place], Some(labels.clone()));
        } else {
            let names = declaration.tags.iter().filter(|tag| tag.identifies).map(|tag| tag.name);
            let names = names.chain((!declaration.has_labels()).then_some("_"));
            let keys = names.zip(keys).map(|(name, key)| (name, *key, false));
            let labels = labels.all().iter().filter(|_| are_all).map(|(name, value)| (*name, value.as_str(), true));
            point.write_safe(keys.chain(labels).collect());
        }
        point
    }

    fn with_fields(declaration: &'static Measurement, time: i64, given: &[FieldValue]) -> Self {
        let fields = sorted(given.iter().map(|field| (Cow::Borrowed(field.name), field.value)));
        Self { declaration: Some(declaration), fields, time, ..Self::empty() }
    }

    /// Writes the names of a point with all declared tags. `key` returns the plain value of a key by its index among the tags
    /// and its place among the keys.
    fn write_keys<'a>(
        &mut self,
        declaration: &'static Measurement,
        key: impl Fn(usize, usize) -> &'a str,
        labels: Option<Labels>,
    ) {
        let length = |(tag, at, place): (&Tag, _, _)| tag.name.len() + key(at, place).len() + 2;
        let length = declaration.sorted_keys().map(length).sum::<usize>();
        let mut text = String::with_capacity(declaration.name.len() + length);
        let mut spans = [KeySpan::default(); MOST_KEYS];
        self.measurement = put_raw(&mut text, declaration.name);
        for (tag, at, place) in declaration.sorted_keys() {
            text.push(',');
            text.push_str(tag.name);
            text.push('=');
            let Span(begin, end) = put_raw(&mut text, key(at, place));
            spans[place] = KeySpan(begin as u16, end as u16);
        }
        self.series_end = text.len() as u32;
        self.tags = Tags::Declared(spans, labels);
        self.text = text;
    }

    /// Writes the names of a declared point whose tags are not those that are declared, or not plain.
    fn write_safe(&mut self, given: Vec<Given>) {
        let mut safe: Vec<_> =
            given.into_iter().map(|(name, value, is_label)| (name, safe_text(value), is_label)).collect();
        safe.sort_by(|a, b| a.0.cmp(b.0));
        let measurement = self.declaration.map_or("_", |declaration| declaration.name);
        self.write_names(measurement, safe.len(), |at| (safe[at].0, &safe[at].1, safe[at].2));
    }

    fn empty() -> Self {
        Self {
            declaration: None,
            text: String::new(),
            series_end: 0,
            measurement: Span::default(),
            tags: Tags::Named(Vec::new()),
            fields: Vec::new(),
            time: 0,
        }
    }

    /// Writes the names of a point: `count` safe texts, sorted by name.
    fn write_names<'a>(&mut self, measurement: &str, count: usize, given: impl Fn(usize) -> Given<'a>) {
        let mut text = String::with_capacity(96);
        let mut tags = Vec::with_capacity(count);
        let name = put_escaped(&mut text, measurement, MEASUREMENT_SPECIALS);
        let mut is_whole = name.is_some();
        for at in 0..count {
            let (name, value, is_label) = given(at);
            if is_label {
                tags.push((None, None));
                is_whole = false;
                continue;
            }
            text.push(',');
            let name = put_escaped(&mut text, name, TAG_SPECIALS);
            text.push('=');
            let value = put_escaped(&mut text, value, TAG_SPECIALS);
            is_whole &= name.is_some() && value.is_some();
            tags.push((name, value));
        }
        self.series_end = text.len() as u32;
        self.measurement = name.unwrap_or_else(|| put_raw(&mut text, measurement));
        let rest = |(at, (name, value)): (usize, (Option<Span>, Option<Span>))| {
            let given = if is_whole { ("", "", false) } else { given(at) };
            TagSpan {
                name: name.unwrap_or_else(|| put_raw(&mut text, given.0)),
                value: value.unwrap_or_else(|| put_raw(&mut text, given.1)),
                is_label: given.2,
            }
        };
        self.tags = Tags::Named(tags.into_iter().enumerate().map(rest).collect());
        self.text = text;
    }

    /// Returns a point of the same series with the same labels.
    pub fn at(&self, time: i64, fields: impl IntoIterator<Item = (Name, Value)>) -> Self {
        let (text, tags) = (self.text.clone(), self.tags.clone());
        Self { text, tags, fields: safe_fields(fields), time, ..*self }
    }

    /// Whether it has all tags that a measurement declares.
    pub(super) fn has_all_tags(&self, measurement: &'static Measurement) -> bool {
        matches!(self.tags, Tags::Declared(..)) && self.declaration.is_some_and(|own| std::ptr::eq(own, measurement))
    }

    /// Sets the declaration of the point's measurement, which removes the labels from the series' name. Other tags,
    /// declared or not, are keys. Does nothing if the point has a declaration.
    pub(super) fn set_declaration(&mut self, declaration: &'static Measurement) {
        if self.declaration.is_some() {
            return;
        }
        self.declaration = Some(declaration);
        let is_label = |name: &str| declaration.tags.iter().any(|tag| tag.name == name && !tag.identifies);
        // Only points with a declaration have the other kind.
        let Tags::Named(tags) = &mut self.tags else { return };
        if tags.iter().all(|tag| is_label(tag.name.of(&self.text)) == tag.is_label) {
            return;
        }
        let tags = std::mem::take(tags);
        let old = std::mem::take(&mut self.text);
        self.write_names(self.measurement.of(&old), tags.len(), |at| {
            let name = tags[at].name.of(&old);
            (name, tags[at].value.of(&old), is_label(name))
        });
    }

    /// Returns the declaration of its measurement; `None` for a parsed point before
    /// [`Catalog::declare`](super::Catalog::declare).
    pub fn declaration(&self) -> Option<&'static Measurement> {
        self.declaration
    }

    /// Returns the name of its measurement.
    pub fn measurement(&self) -> &str {
        self.measurement.of(&self.text)
    }

    /// Returns the name of its series, the same for all its points: measurement and keys in line protocol.
    pub fn series(&self) -> &str {
        &self.text[..self.series_end as usize]
    }

    /// Returns the number of its tags.
    fn count_tags(&self) -> usize {
        match &self.tags {
            Tags::Declared(..) => self.declaration.map_or(0, |declaration| declaration.tags.len()),
            Tags::Named(tags) => tags.len(),
        }
    }

    /// Returns name, value, and whether it is a label, of the tag at a place.
    fn tag_of(&self, at: usize) -> Option<Given<'_>> {
        match (&self.tags, self.declaration) {
            (Tags::Named(tags), _) => {
                let tag = tags.get(at)?;
                Some((tag.name.of(&self.text), tag.value.of(&self.text), tag.is_label))
            }
            (Tags::Declared(keys, labels), declaration) => {
                let declaration = declaration?;
                let at = usize::from(*declaration.sorted.get(at)?);
                self.declared_tag(declaration, keys, labels.as_ref(), at)
            }
        }
    }

    /// Returns the tag at a place of the declaration.
    fn declared_tag<'a>(
        &'a self,
        declaration: &'static Measurement,
        keys: &[KeySpan],
        labels: Option<&'a Labels>,
        at: usize,
    ) -> Option<Given<'a>> {
        let (tag, place) = (declaration.tags.get(at)?, usize::from(declaration.ranks[at]));
        let value = match tag.identifies {
            true => keys.get(place)?.of(&self.text),
            false => &labels?.all().get(place)?.1,
        };
        Some((tag.name, value, !tag.identifies))
    }

    fn all_tags(&self) -> impl Iterator<Item = Given<'_>> {
        (0..self.count_tags()).filter_map(|at| self.tag_of(at))
    }

    /// Returns its tags, keys and labels, sorted by name; all have a value.
    pub fn tags(&self) -> impl Iterator<Item = (&str, &str)> {
        self.all_tags().map(|(name, value, _)| (name, value))
    }

    /// Returns its labels, sorted by name.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.all_tags().filter(|(_, _, is_label)| *is_label).map(|(name, value, _)| (name, value))
    }

    /// Whether it has labels.
    pub fn has_labels(&self) -> bool {
        match &self.tags {
            Tags::Declared(_, labels) => labels.is_some(),
            Tags::Named(tags) => tags.iter().any(|tag| tag.is_label),
        }
    }

    /// Appends the measurement and all tags in line protocol, if its labels are written; returns whether they are.
    pub(super) fn write_with_labels(&self, out: &mut String) -> bool {
        let Tags::Declared(keys, Some(labels)) = &self.tags else { return false };
        let (line, places) = labels.line();
        out.push_str(self.measurement());
        let (mut series, mut label) = (self.measurement.1, 0);
        for (before, place) in places {
            out.push_str(&line[label..*before]);
            let end = u32::from(keys[*place].1);
            out.push_str(Span(series, end).of(&self.text));
            (series, label) = (end, *before);
        }
        out.push_str(&line[label..]);
        true
    }

    /// Returns the value of one tag.
    pub fn tag(&self, name: &str) -> Option<&str> {
        match (&self.tags, self.declaration) {
            (Tags::Declared(keys, labels), Some(declaration)) => {
                let at = declaration.tags.iter().position(|tag| tag.name == name)?;
                self.declared_tag(declaration, keys, labels.as_ref(), at).map(|(_, value, _)| value)
            }
            _ => self.tags().find(|tag| tag.0 == name).map(|tag| tag.1),
        }
    }

    /// Returns the value of the tag `name`, which is usually the one at index `at`.
    pub(super) fn tag_at(&self, at: usize, name: &str) -> Option<&str> {
        match self.tag_of(at) {
            Some((own, value, _)) if own == name => Some(value),
            _ => self.tag(name),
        }
    }

    /// Returns its fields, sorted by name.
    pub fn fields(&self) -> impl Iterator<Item = (&str, Value)> {
        self.fields.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    /// Returns its time, in nanoseconds since 1970, UTC.
    pub fn time(&self) -> i64 {
        self.time
    }

    /// Returns why no sink can take this point, or how it differs from its declaration; `None` for a good point.
    pub fn fault(&self) -> Option<String> {
        if self.fields.is_empty() {
            return Some("it has no field".into());
        }
        if let Some(declaration) = self.declaration
            && declaration.tags.len() != self.count_tags()
        {
            return Some(format!("it has {} tags, and {} are declared", self.count_tags(), declaration.tags.len()));
        }
        self.fields().find_map(|(name, value)| self.field_fault(name, value))
    }

    fn field_fault(&self, name: &str, value: Value) -> Option<String> {
        match value {
            Value::Float(float) if !float.is_finite() => return Some(format!("field {name} is {float}")),
            _ => {}
        }
        let declaration = self.declaration?;
        // Almost every name is the declared one itself, and texts take longer to compare.
        let own = declaration.fields.iter().find(|field| std::ptr::eq(field.name, name));
        let Some(field) = own.or_else(|| declaration.field(name)) else {
            return Some(format!("field {name} is not declared"));
        };
        let kind = match value {
            Value::Int(_) => Kind::Int,
            Value::Float(_) => Kind::Float,
        };
        (kind != field.kind).then(|| format!("field {name} is {kind}, declared as {}", field.kind))
    }
}

/// Points are equal if a sink cannot tell them apart; their declarations are not compared.
impl PartialEq for Point {
    fn eq(&self, other: &Self) -> bool {
        self.time == other.time
            && self.measurement() == other.measurement()
            && self.fields == other.fields
            && self.tags().eq(other.tags())
    }
}

/// Formats a point as its line.
impl fmt::Debug for Point {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.line())
    }
}

/// A dropped point: no sink can take it, or it repeats an earlier point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The series or the Carbon path.
    pub name: String,
    /// The reason, to follow "dropped NAME: ".
    pub why: String,
}

impl Dropped {
    /// Returns the measurement of its series.
    pub fn measurement(&self) -> &str {
        self.name.split(',').next().unwrap_or_default()
    }
}

/// Sorts points by series and time. The sort is stable: points of one row keep their order. Returns whether a series has
/// several.
pub fn sort(points: &mut [Point]) -> bool {
    sort_by_name(points, Point::series, Point::time)
}

/// Sorts points by series and time, and makes one of those of one row: of two values for one field the later one stays, as
/// in InfluxDB.
pub fn merge(mut points: Vec<Point>) -> Vec<Point> {
    let has_equal = sort(&mut points);
    let is_row = |two: &[Point]| two[0].time == two[1].time && two[0].series() == two[1].series();
    if !(has_equal && points.windows(2).any(is_row)) {
        return points;
    }
    let mut merged: Vec<Point> = Vec::with_capacity(points.len());
    for point in points {
        match merged.last_mut() {
            Some(last) if last.time == point.time && last.series() == point.series() => {
                let fields: Vec<_> = point.fields.iter().chain(&last.fields).cloned().collect();
                *last = point.at(point.time, fields);
            }
            _ => merged.push(point),
        }
    }
    merged
}

/// Returns the points that every sink can take, sorted by series and time, and the dropped ones: points with faulty
/// values, points that differ from their declaration, and the second of two points of one row (same series, same time).
pub fn validate(mut points: Vec<Point>) -> (Vec<Point>, Vec<Dropped>) {
    let has_equal = sort(&mut points);
    let is_row = |two: &[Point]| two[0].time == two[1].time && two[0].series() == two[1].series();
    // As a rule all are good, and a second list would take as much room again.
    if points.iter().all(|point| point.fault().is_none()) && !(has_equal && points.windows(2).any(is_row)) {
        return (points, Vec::new());
    }
    let mut dropped = Vec::new();
    let mut good: Vec<Point> = Vec::with_capacity(points.len());
    for point in points {
        let is_row_of = |last: &Point| last.time == point.time && last.series() == point.series();
        let why = point
            .fault()
            .or_else(|| good.last().is_some_and(is_row_of).then(|| "another point has the same name".into()));
        match why {
            Some(why) => dropped.push(Dropped { name: point.series().into(), why }),
            None => good.push(point),
        }
    }
    (good, dropped)
}
