//! The labels of points, written once for all points that have them in common.

use std::sync::Arc;

use super::line::write_pairs;
use super::{Measurement, safe_text};

/// The labels of one point or of many, as line protocol has them. A copy costs nothing.
///
/// [`Measurement::labels`] makes them, and [`Measurement::point_with`] points that have them.
#[derive(Clone, Debug)]
pub struct Labels(Arc<Written>);

#[derive(Debug)]
struct Written {
    of: &'static Measurement,
    /// Names and safe values, in the declared order.
    all: Vec<(&'static str, String)>,
    /// `,name=value` of each label, sorted by name.
    line: String,
    /// The keys, sorted by name: how many bytes of the line stand before each, and its place among the keys.
    keys: Vec<(usize, usize)>,
}

impl Labels {
    /// Writes the values of the labels, in the declared order.
    pub(super) fn new<'a>(of: &'static Measurement, values: impl IntoIterator<Item = &'a str>) -> Self {
        let names = of.tags.iter().filter(|tag| !tag.identifies).map(|tag| tag.name).chain(["_"]);
        let all: Vec<_> = names.zip(values).map(|(name, value)| (name, safe_text(value).into_owned())).collect();
        let mut sorted: Vec<_> = all.iter().collect();
        sorted.sort_unstable_by_key(|label| label.0);
        let (mut line, mut keys) = (String::new(), Vec::new());
        let mut rest = sorted.as_slice();
        for (key, _, place) in of.sorted_keys() {
            let (before, after) = rest.split_at(rest.partition_point(|label| label.0 < key.name));
            write_pairs(before.iter().map(|(name, value)| (*name, value.as_str())), &mut line);
            keys.push((line.len(), place));
            rest = after;
        }
        write_pairs(rest.iter().map(|(name, value)| (*name, value.as_str())), &mut line);
        Self(Arc::new(Written { of, all, line, keys }))
    }

    /// Whether they, with so many keys, are all tags of a measurement.
    pub(super) fn complete(&self, measurement: &'static Measurement, keys: usize) -> bool {
        let Written { of, all, keys: places, .. } = &*self.0;
        std::ptr::eq(*of, measurement) && keys == places.len() && keys + all.len() == of.tags.len()
    }

    /// Returns names and values, in the declared order.
    pub(super) fn all(&self) -> &[(&'static str, String)] {
        &self.0.all
    }

    /// Returns the labels in line protocol, each after a comma; and of each key, sorted by name, how many bytes of that stand
    /// before it, and its place among the keys.
    pub(super) fn line(&self) -> (&str, &[(usize, usize)]) {
        (&self.0.line, &self.0.keys)
    }
}
