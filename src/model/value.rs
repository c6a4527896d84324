//! The value of a field.

use std::fmt;

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// An integer; `5i` in line protocol.
    Int(i64),
    /// A floating-point number; `5.0` in line protocol. NaN and infinities make the point faulty.
    Float(f64),
}

impl Value {
    /// Returns the value as a floating-point number, beyond 2⁵³ the nearest one, as Carbon and every plot use it.
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
    /// Writes the shortest text that parses to the same number: `5`, `0.25`, `1e300`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => value.fmt(out),
            Self::Float(value) => write!(out, "{value:?}"),
        }
    }
}
