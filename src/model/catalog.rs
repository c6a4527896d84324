//! All measurements that a build knows, handed down from setup/ to whoever meets points of others.

use super::{Measurement, Number, Point};

/// All measurements that a build knows.
#[derive(Clone, Copy, Debug)]
pub struct Catalog(&'static [&'static Measurement]);

impl Catalog {
    /// A catalog of these measurements.
    pub const fn new(measurements: &'static [&'static Measurement]) -> Self {
        Self(measurements)
    }

    /// Every measurement, in the order in which they were declared.
    pub fn measurements(self) -> impl Iterator<Item = &'static Measurement> {
        self.0.iter().copied()
    }

    /// The declaration of the measurement called `name`.
    pub fn measurement(self, name: &str) -> Option<&'static Measurement> {
        self.measurements().find(|measurement| measurement.name == name)
    }

    /// Tells a point that was read which of its tags are keys and which are labels. A point of an unknown measurement, of a
    /// newer version for example, stays as it is: all its tags are keys.
    pub fn declare(self, point: &mut Point) {
        if point.declaration().is_none()
            && let Some(measurement) = self.measurement(point.measurement())
        {
            point.set_declaration(measurement);
        }
    }

    /// The number that a Carbon path names; `None` for a path that no measurement declares.
    pub fn read_path(self, path: &str) -> Option<Number> {
        self.measurements().find_map(|measurement| measurement.read_path(path))
    }
}
