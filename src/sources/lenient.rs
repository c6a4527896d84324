//! Values that come in more than one type: a number as text, a flag as a number. One that means nothing is `None`.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Returns the JSON of a text as Python's `json` may have written it: `NaN` and the infinities, which JSON does not have, become
/// null, and half a surrogate pair in a string, which no text can hold, becomes U+FFFD. So one odd value costs itself alone.
pub(super) fn of_python(text: Cow<'_, str>) -> Cow<'_, str> {
    if !["NaN", "Infinity", "\\ud", "\\uD"].iter().any(|odd| text.contains(odd)) {
        return text;
    }
    let mut json = String::with_capacity(text.len());
    let mut rest = &*text;
    let mut is_in_string = false;
    while let Some(at) = rest.find(if is_in_string { &['"', '\\'][..] } else { &['"', 'N', 'I', '-'][..] }) {
        json.push_str(&rest[..at]);
        rest = &rest[at..];
        let (put, length) = match (is_in_string, rest.as_bytes()[0]) {
            (_, b'"') => {
                is_in_string = !is_in_string;
                ("\"", 1)
            }
            (true, _) => escape(rest),
            (false, _) => match ["NaN", "Infinity", "-Infinity"].iter().find(|word| rest.starts_with(**word)) {
                Some(word) => ("null", word.len()),
                None => (&rest[..1], 1),
            },
        };
        json.push_str(put);
        rest = &rest[length..];
    }
    json.push_str(rest);
    Cow::Owned(json)
}

/// Returns what stands for the escape at the beginning of a text, and its length.
fn escape(text: &str) -> (&str, usize) {
    let unit = |text: &str| {
        let digits = text.strip_prefix("\\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    const REPLACEMENT: &str = "\\ufffd";
    match unit(text) {
        Some(0xd800..=0xdbff) => match text.get(6..).and_then(unit) {
            Some(0xdc00..=0xdfff) => (&text[..12], 12),
            _ => (REPLACEMENT, 6),
        },
        Some(0xdc00..=0xdfff) => (REPLACEMENT, 6),
        // A backslash and the character after it.
        _ => {
            let length = text.chars().take(2).map(char::len_utf8).sum();
            (&text[..length], length)
        }
    }
}

/// Returns a JSON with each number beyond all floats, which Python and Elasticsearch may write, as a text; `None` if it has none.
pub(super) fn finite(json: &str) -> Option<String> {
    let mut made = String::with_capacity(json.len());
    let mut rest = json;
    let mut is_changed = false;
    while let Some(at) = rest.find(|c: char| matches!(c, '"' | '-' | '0'..='9')) {
        let (before, from) = rest.split_at(at);
        let end = |c: char| !matches!(c, '+' | '-' | '.' | 'e' | 'E' | '0'..='9');
        let is_string = from.starts_with('"');
        let length = if is_string { string_length(from) } else { from.find(end).unwrap_or(from.len()) };
        let token = &from[..length];
        let is_huge = !is_string && token.parse().is_ok_and(f64::is_infinite);
        let quote = if is_huge { "\"" } else { "" };
        [before, quote, token, quote].iter().for_each(|part| made.push_str(part));
        is_changed |= is_huge;
        rest = &from[length..];
    }
    made.push_str(rest);
    is_changed.then_some(made)
}

/// Returns the length of the string at the beginning of a JSON, with its quotes.
fn string_length(json: &str) -> usize {
    let mut bytes = json.bytes().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return at + 1,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
    json.len()
}

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_python_writes_beyond_json_costs_itself_alone() {
        for (python, json) in [
            (
                r#"{"a": NaN, "b": [Infinity, -Infinity, -1], "NaN": "NaN"}"#,
                r#"{"a": null, "b": [null, null, -1], "NaN": "NaN"}"#,
            ),
            (r#"["a\\", NaN, "\"NaN\""]"#, r#"["a\\", null, "\"NaN\""]"#),
            (
                r#"["x\udce9y", "\ud83d\ude00", "\ud83d", "\uD83Dx", "\\ud83d"]"#,
                r#"["x\ufffdy", "\ud83d\ude00", "\ufffd", "\ufffdx", "\\ud83d"]"#,
            ),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            ("Infinite", "Infinite"),
            (r#"["\ud"#, r#"["\ud"#),
            ("\"NaN\\", "\"NaN\\"),
        ] {
            assert_eq!(of_python(python.into()), json, "{python}");
        }
    }

    #[test]
    fn a_number_beyond_all_floats_is_a_text() {
        let long = format!("1{}", "0".repeat(400));
        for (json, made) in [
            (r#"{"a": 1e400, "b": [-2.5E+999, 1e308]}"#, Some(r#"{"a": "1e400", "b": ["-2.5E+999", 1e308]}"#)),
            (r#"{"1e400": "-1e999\"1e999", "b": 7, "c": 1e-400, "d": 0e999}"#, None),
            (r#"["\\", 1e999]"#, Some(r#"["\\", "1e999"]"#)),
            ("1e999", Some("\"1e999\"")),
            ("[\"1e999", None),
            ("[\"é\\", None),
            (&long, Some(&format!("\"{long}\""))),
        ] {
            assert_eq!(finite(json).as_deref(), made, "{json}");
        }
    }

    proptest! {
        #[test]
        fn json_stays_as_it_is(texts in prop::collection::vec(".{0,12}|NaN|\\\\ud800", 0..5), numbers in prop::collection::vec(any::<i64>(), 0..4)) {
            let json = serde_json::json!({ "NaN": texts, "Infinity": numbers }).to_string();
            prop_assert_eq!(of_python(json.as_str().into()), json.as_str());
        }

        #[test]
        fn any_text_is_taken(text in r#"(["\\uNaInfity,dD83-]|[éa-f0-9]|NaN|\\ud8){0,40}"#) {
            of_python(text.as_str().into());
            finite(&text);
        }
    }
}
