//! All measurements of a build, passed from setup/ to the code that handles points of other programs.

use super::{Measurement, Number, Point};

/// All measurements of a build.
#[derive(Clone, Copy, Debug)]
pub struct Catalog(&'static [&'static Measurement]);

impl Catalog {
    /// Creates a catalog of these measurements.
    pub const fn new(measurements: &'static [&'static Measurement]) -> Self {
        Self(measurements)
    }

    /// Returns all measurements as a list.
    pub const fn all(self) -> &'static [&'static Measurement] {
        self.0
    }

    /// Returns every measurement, in the order of declaration.
    pub fn measurements(self) -> impl Iterator<Item = &'static Measurement> {
        self.0.iter().copied()
    }

    /// Returns the declaration of the measurement `name`.
    pub fn measurement(self, name: &str) -> Option<&'static Measurement> {
        self.measurements().find(|measurement| measurement.name == name)
    }

    /// Gives a parsed point its declaration, which says which of its tags are keys and which are labels. All tags of an
    /// unknown measurement, of a newer version for example, remain keys.
    pub fn declare(self, point: &mut Point) {
        if point.declaration().is_none()
            && let Some(measurement) = self.measurement(point.measurement())
        {
            point.set_declaration(measurement);
        }
    }

    /// Returns the number that a Carbon path names; `None` if no measurement declares the path.
    pub fn read_path(self, path: &str) -> Option<Number> {
        self.measurements().find_map(|measurement| measurement.read_path(path))
    }
}
