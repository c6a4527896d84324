//! Values that come in more than one type: a number as text, a flag as a number. One that means nothing is `None`.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Reads a string or number as text; an empty string and every other value are `None`.
pub(super) fn text<'de, D: Deserializer<'de>>(json: D) -> Result<Option<String>, D::Error> {
    Value::deserialize(json).map(|value| text_of(&value))
}

/// Returns a string or number as text; an empty string and every other value are `None`.
pub(super) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text).filter(|text| !text.trim().is_empty()).cloned(),
        number @ Value::Number(_) => Some(number.to_string()),
        _ => None,
    }
}

/// Reads a string, empty or not, a number or a boolean as text; every other value is `None`.
pub(super) fn text_or_empty<'de, D: Deserializer<'de>>(json: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(json)? {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is) => Some(is.to_string()),
        _ => None,
    })
}

/// Reads a list of texts without the elements that are none, or one text as such a list; every other value is an empty
/// list.
pub(super) fn texts<'de, D: Deserializer<'de>>(json: D) -> Result<Vec<String>, D::Error> {
    let own = |value: Value| match value {
        Value::String(text) => Some(text),
        _ => None,
    };
    Ok(match Value::deserialize(json)? {
        Value::Array(list) => list.into_iter().filter_map(own).collect(),
        other => own(other).into_iter().collect(),
    })
}

/// Reads a value, or takes the default for one of another shape.
pub(super) fn or_default<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(json: D) -> Result<T, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(json)?).unwrap_or_default())
}

/// Reads a finite number, also from a text.
pub(super) fn number<'de, D: Deserializer<'de>>(json: D) -> Result<Option<f64>, D::Error> {
    Ok(number_of(&Value::deserialize(json)?))
}

/// Returns a value as a finite number, also a text.
pub(super) fn number_of(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| number.is_finite())
}

/// Reads an integer, also from `50.0`, `"50"` or `"50.0"`.
pub(super) fn whole<'de, D: Deserializer<'de>>(json: D) -> Result<Option<i64>, D::Error> {
    let from_float = |number: f64| (number.fract() == 0.0 && number.abs() <= 9e15).then_some(number as i64);
    Ok(match Value::deserialize(json)? {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().and_then(from_float)),
        Value::String(text) => {
            let text = text.trim();
            text.parse().ok().or_else(|| text.parse().ok().and_then(from_float))
        }
        _ => None,
    })
}

/// Reads a boolean, also from a number or Python's `"True"`.
pub(super) fn truth<'de, D: Deserializer<'de>>(json: D) -> Result<Option<bool>, D::Error> {
    Ok(match Value::deserialize(json)? {
        Value::Bool(truth) => Some(truth),
        Value::Number(number) => number.as_f64().map(|number| number != 0.0),
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" => Some(true),
            "false" | "0" | "no" => Some(false),
            _ => None,
        },
        _ => None,
    })
}
