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

    /// Returns the sum; beyond the largest number that number, since a sum over stored numbers must not overflow.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Int(one), Self::Int(other)) => Self::Int(one.saturating_add(other)),
            (one, other) => Self::Float((one.as_f64() + other.as_f64()).clamp(f64::MIN, f64::MAX)),
        }
    }

    /// Whether it is zero.
    pub fn is_zero(self) -> bool {
        self.as_f64() == 0.0
    }
}

/// A sum of values that integers cannot overflow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WideSum {
    /// Of integers alone.
    Int(i128),
    /// Of values of which one is a float.
    Float(f64),
}

impl WideSum {
    /// Returns the sum with another one added.
    #[must_use]
    pub fn plus(self, other: impl Into<Self>) -> Self {
        match (self, other.into()) {
            (Self::Int(one), Self::Int(other)) => Self::Int(one.saturating_add(other)),
            (one, other) => Self::Float((one.as_f64() + other.as_f64()).clamp(f64::MIN, f64::MAX)),
        }
    }

    /// Returns it as a floating-point number.
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Int(sum) => sum as f64,
            Self::Float(sum) => sum,
        }
    }

    /// Returns it as an integer: a float of an older system may be one in disguise.
    pub fn whole(self) -> i128 {
        match self {
            Self::Int(sum) => sum,
            Self::Float(sum) => sum.round() as i128,
        }
    }

    /// Returns it as a value, beyond the largest number that number.
    pub fn value(self) -> Value {
        match self {
            Self::Int(sum) => Value::Int(sum.clamp(i64::MIN.into(), i64::MAX.into()) as i64),
            Self::Float(sum) => Value::Float(sum),
        }
    }
}

impl From<Value> for WideSum {
    fn from(value: Value) -> Self {
        match value {
            Value::Int(value) => Self::Int(value.into()),
            Value::Float(value) => Self::Float(value),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_stays_within_what_a_number_can_hold() {
        for (one, other, sum) in [
            (Value::Int(i64::MAX), Value::Int(1), Value::Int(i64::MAX)),
            (Value::Int(i64::MIN), Value::Int(-1), Value::Int(i64::MIN)),
            (Value::Float(f64::MAX), Value::Float(f64::MAX), Value::Float(f64::MAX)),
            (Value::Float(-f64::MAX), Value::Int(i64::MIN), Value::Float(-f64::MAX)),
            (Value::Int(2), Value::Int(3), Value::Int(5)),
            (Value::Int(2), Value::Float(0.5), Value::Float(2.5)),
        ] {
            assert_eq!(one.plus(other), sum);
        }
    }
}
