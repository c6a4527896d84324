//! How points differ from those that another program wrote of the same series, and whether the cause is known. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{Point, RELAYED, RELAYED_PATH, RELAYED_VALUE, Value};

/// One difference between two points of a series, or a point that has no counterpart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Difference<'a> {
    /// A tag that describes the series has another value.
    Tag(&'a str),
    /// A field has another value, or another type.
    Field(&'a str),
    /// The points stand at different times.
    Time,
    /// Only the other program has it.
    Missing,
    /// The other program has one more point of the series.
    Again,
    /// Only we have it.
    Extra,
}

/// A point of ours beside that of the other program.
#[derive(Clone, Debug)]
pub struct Compared<'a> {
    /// Ours.
    pub ours: Option<&'a Point>,
    /// That of the other program.
    pub theirs: Option<&'a Point>,
    /// How they differ; empty if they are equal.
    pub differences: Vec<Difference<'a>>,
}

/// Why points differ from those of an older program.
#[derive(Clone, Copy, Debug)]
pub struct Cause {
    /// The reason, for people.
    pub why: &'static str,
    /// Whether every point has the difference, so that it is counted and not listed.
    pub is_general: bool,
    /// Whether it explains a difference.
    pub explains: fn(&Compared, &Difference) -> bool,
}

impl<'a> Compared<'a> {
    /// Returns the value of a tag of ours and of theirs.
    pub fn tag(&self, name: &str) -> [Option<&'a str>; 2] {
        [self.ours, self.theirs].map(|point| point.and_then(|point| point.tag(name)))
    }

    /// Returns the value of a field of ours and of theirs.
    pub fn field(&self, name: &str) -> [Option<Value>; 2] {
        [self.ours, self.theirs].map(|point| Some(point?.fields().find(|(field, _)| *field == name)?.1))
    }

    /// Returns the Carbon path of a value that is compared as such; `None` of a point.
    pub fn path(&self) -> Option<&'a str> {
        let point = self.ours.or(self.theirs).filter(|point| point.measurement() == RELAYED)?;
        point.tag(RELAYED_PATH)
    }

    /// Returns our value and theirs, of a value that is compared by its Carbon path.
    pub fn values(&self) -> [Option<f64>; 2] {
        self.field(RELAYED_VALUE).map(|value| value.map(Value::as_f64))
    }

    /// Returns the measurement and the keys.
    pub fn series(&self) -> &'a str {
        self.ours.or(self.theirs).map_or("", Point::series)
    }

    /// Returns the cause of a difference; `None` if none is known.
    pub fn cause(&self, difference: &Difference, causes: &[Cause]) -> Option<Cause> {
        causes.iter().find(|cause| (cause.explains)(self, difference)).copied()
    }

    fn new(ours: &'a Point, theirs: &'a Point) -> Self {
        let mut differences = Vec::new();
        let mut compared = Self { ours: Some(ours), theirs: Some(theirs), differences: Vec::new() };
        let tags: BTreeSet<_> = ours.tags().chain(theirs.tags()).map(|(name, _)| name).collect();
        let fields: BTreeSet<_> = ours.fields().chain(theirs.fields()).map(|(name, _)| name).collect();
        let differ = |name: &&str| compared.tag(name)[0] != compared.tag(name)[1];
        differences.extend(tags.into_iter().filter(differ).map(Difference::Tag));
        let differ = |name: &&str| compared.field(name)[0] != compared.field(name)[1];
        differences.extend(fields.into_iter().filter(differ).map(Difference::Field));
        differences.extend((ours.time() != theirs.time()).then_some(Difference::Time));
        compared.differences = differences;
        compared
    }
}

/// Compares points, given as declared ones, with those of the same series among `theirs`, sorted by series. Of several points of
/// a series those that differ least are compared.
///
/// ```
/// use gridmon::model::{Difference, Point, compare};
///
/// let [ours, theirs] = ["load,host=wn1 now=1.5 60", "load,host=wn1 now=2.5 60"].map(|line| vec![Point::from_line(line).unwrap()]);
/// assert_eq!(compare(&ours, &theirs)[0].differences, [Difference::Field("now")]);
/// assert!(compare(&ours, &ours)[0].differences.is_empty());
/// ```
pub fn compare<'a>(ours: &'a [Point], theirs: &'a [Point]) -> Vec<Compared<'a>> {
    let mut series = BTreeMap::<&str, (Vec<&Point>, Vec<&Point>)>::new();
    for point in ours {
        series.entry(point.series()).or_default().0.push(point);
    }
    for point in theirs {
        series.entry(point.series()).or_default().1.push(point);
    }
    let mut all = Vec::new();
    for (ours, mut theirs) in series.into_values() {
        let rest = if ours.is_empty() { Difference::Missing } else { Difference::Again };
        for ours in ours {
            let of = theirs.iter().enumerate().map(|(at, theirs)| (Compared::new(ours, theirs), at));
            match of.min_by_key(|(compared, at)| (compared.differences.len(), *at)) {
                Some((compared, at)) => {
                    theirs.remove(at);
                    all.push(compared);
                }
                None => {
                    all.push(Compared { ours: Some(ours), theirs: None, differences: vec![Difference::Extra] });
                }
            }
        }
        let rest = |theirs| Compared { ours: None, theirs: Some(theirs), differences: vec![rest] };
        all.extend(theirs.into_iter().map(rest));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(lines: &[&str]) -> Vec<Point> {
        lines.iter().map(|line| Point::from_line(line).unwrap()).collect()
    }

    #[test]
    fn each_difference_is_found_once() {
        let ours = points(&["a,k=1 x=1i,y=2 5", "a,k=2 x=1i 5", "a,k=4 x=1i 5"]);
        let theirs = points(&["a,k=1 x=1,z=2 6", "a,k=3 x=1i 5", "a,k=4 x=2i 5", "a,k=4 x=1i 5"]);
        let found = compare(&ours, &theirs);
        let found: Vec<_> = found.iter().map(|one| (one.series(), one.differences.as_slice())).collect();
        use Difference::{Again, Extra, Field, Missing, Time};
        assert_eq!(
            found,
            [
                ("a,k=1", &[Field("x"), Field("y"), Field("z"), Time][..]),
                ("a,k=2", &[Extra]),
                ("a,k=3", &[Missing]),
                ("a,k=4", &[]),
                ("a,k=4", &[Again]),
            ]
        );
        assert!(compare(&ours, &ours).iter().all(|one| one.differences.is_empty()));
    }
}
