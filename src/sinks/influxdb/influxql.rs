//! InfluxQL: quotes names and texts, and reads the answers of a query as they come.
//!
//! ```text
//! GET /query?db=monit_jobs&q=SELECT "grid"::tag, "jobs"::field FROM "10m"."jobs"&epoch=ns&chunked=true
//! {"results":[{"statement_id":0,"series":[{"name":"jobs","columns":["time","grid","jobs"],"values":[[1717245000000000000,"heprc",5]],"partial":true}],"partial":true}]}
//! {"results":[{"statement_id":0,"series":[{"name":"jobs","columns":["time","grid","jobs"],"values":[[1717245060000000000,null,2]]}]}]}
//! ```
//!
//! Recorded from InfluxDB 1.6.7. The traps: one JSON document follows another, and only the last one is without `partial`,
//! so that an answer that was cut can be told; an error stands in the body of a 200, also after many rows; an absent tag
//! is null among the columns and empty under GROUP BY; a float without a fraction is written as an integer; `measurement`
//! and many other words are keywords, so every name is quoted.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::BufRead;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use crate::text::quote;

/// The most bytes of one document of an answer. The servers put 10,000 rows into one.
const LONGEST: u64 = 64 << 20;

/// Quotes a name: of a database, retention policy, measurement, tag or field.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", escaped(name, '"'))
}

/// Quotes a text.
pub fn string(text: &str) -> String {
    format!("'{}'", escaped(text, '\''))
}

fn escaped(text: &str, mark: char) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            c if c == mark || c == '\\' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

/// A value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    /// Absent.
    Null,
    /// A whole number, which a float may be too.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(Cow<'a, str>),
    /// A truth value.
    Bool(bool),
}

impl<'de: 'a, 'a> Deserialize<'de> for Cell<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct OfCell;
        impl<'de> Visitor<'de> for OfCell {
            type Value = Cell<'de>;

            fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
                out.write_str("a number, text, truth value or null")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Cell<'de>, E> {
                Ok(Cell::Null)
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Cell<'de>, E> {
                Ok(Cell::Bool(value))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Cell<'de>, E> {
                Ok(Cell::Int(value))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Cell<'de>, E> {
                Ok(i64::try_from(value).map_or(Cell::Float(value as f64), Cell::Int))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Cell<'de>, E> {
                Ok(Cell::Float(value))
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Cell<'de>, E> {
                Ok(Cell::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Cell<'de>, E> {
                Ok(Cell::Text(Cow::Owned(text.into())))
            }
        }
        from.deserialize_any(OfCell)
    }
}

/// Rows of one series of an answer.
#[derive(Debug, Deserialize)]
pub struct Rows<'a> {
    /// The measurement.
    #[serde(default)]
    pub name: String,
    /// The tags of GROUP BY; an absent one is empty.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// The names of the columns.
    #[serde(default)]
    pub columns: Vec<String>,
    /// The rows, each with a cell for each column.
    #[serde(default, borrow)]
    pub values: Vec<Vec<Cell<'a>>>,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(default, borrow)]
    results: Vec<Part<'a>>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(default, borrow)]
    series: Vec<Rows<'a>>,
    error: Option<String>,
    #[serde(default)]
    partial: bool,
}

/// Calls `each` with the rows of an answer as they come. Memory use does not grow with the answer.
///
/// # Errors
/// Fails if the answer holds an error, is not that of a query, or ends before it is whole; and if `each` fails.
pub fn read(mut answer: impl BufRead, mut each: impl FnMut(Rows) -> Result<()>) -> Result<()> {
    let (mut line, mut is_whole) = (Vec::new(), false);
    loop {
        line.clear();
        let count = std::io::Read::take(&mut answer, LONGEST + 1).read_until(b'\n', &mut line);
        let count = count.context("the answer broke off")?;
        ensure!(count as u64 <= LONGEST, "its answer has a document of over {LONGEST} bytes");
        if count == 0 {
            break;
        }
        for document in serde_json::Deserializer::from_slice(&line).into_iter::<Document>() {
            let Ok(Document { results, error }) = document else {
                bail!("its answer is not that of a query: {}", quote(&String::from_utf8_lossy(&line)));
            };
            if let Some(error) = error {
                bail!("it answers {}", quote(&error));
            }
            for Part { series, error, partial } in results {
                series.into_iter().try_for_each(&mut each)?;
                if let Some(error) = error {
                    bail!("it answers {}", quote(&error));
                }
                is_whole = !partial;
            }
        }
    }
    ensure!(is_whole, "its answer is not whole");
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(answer: &str) -> Result<Vec<String>> {
        let mut rows = Vec::new();
        read(answer.as_bytes(), |series| {
            rows.extend(series.values.iter().map(|row| format!("{} {:?} {row:?}", series.name, series.tags)));
            Ok(())
        })?;
        Ok(rows)
    }

    #[test]
    fn an_answer_in_many_documents_is_read_whole() {
        let answer = r#"{"results":[{"statement_id":0,"series":[{"name":"m","columns":["time","a","v"],"values":[[5,"k \"q',",1.5],[6,null,9223372036854775807]],"partial":true}],"partial":true}]}
{"results":[{"statement_id":0,"series":[{"name":"m","tags":{"a":""},"columns":["time","v"],"values":[[7,true]]}]}]}
"#;
        let expected = [
            r#"m {} [Int(5), Text("k \"q',"), Float(1.5)]"#,
            r#"m {} [Int(6), Null, Int(9223372036854775807)]"#,
            r#"m {"a": ""} [Int(7), Bool(true)]"#,
        ];
        assert_eq!(rows(answer).unwrap(), expected);
        // Without line feeds, as after a proxy that reformats.
        assert_eq!(rows(&answer.replace('\n', "")).unwrap(), expected);
        assert!(rows(r#"{"results":[{"statement_id":0}]}"#).unwrap().is_empty());
    }

    proptest! {
        /// serde_json's usual way to read a float may miss the nearest one.
        #[test]
        fn a_float_is_read_to_its_last_digit(value in any::<f64>().prop_filter("finite", |value| value.is_finite()), thirds in 0..10_000_u32) {
            for value in [value, f64::from(thirds) / 3.0] {
                let answer = format!(r#"{{"results":[{{"series":[{{"name":"m","columns":["time","v"],"values":[[5,{value:?}]]}}]}}]}}"#);
                prop_assert_eq!(rows(&answer).unwrap(), [format!("m {{}} [Int(5), Float({value:?})]")]);
            }
        }
    }

    #[test]
    fn an_error_or_a_cut_answer_is_never_taken_for_a_short_one() {
        let first = r#"{"results":[{"series":[{"name":"m","columns":["time"],"values":[[5]]}],"partial":true}]}"#;
        for (answer, error) in [
            (
                r#"{"results":[{"statement_id":0,"error":"database not found: \"zz\""}]}"#.to_string(),
                r#"it answers "database not found: "zz"""#,
            ),
            (format!("{first}\n{}", r#"{"results":[{"error":"timeout"}]}"#), r#"it answers "timeout""#),
            (r#"{"error":"authorization failed"}"#.into(), r#"it answers "authorization failed""#),
            (first.into(), "its answer is not whole"),
            (String::new(), "its answer is not whole"),
            ("{}".into(), "its answer is not whole"),
            (first[..50].into(), "its answer is not that of a query: "),
            ("<html>login</html>".into(), r#"its answer is not that of a query: "<html>login</html>""#),
            (r#"{"results":[{"series":[{"values":[[{}]]}]}]}"#.into(), "its answer is not that of a query: "),
        ] {
            let found = rows(&answer).unwrap_err().to_string();
            assert!(found.starts_with(error), "{answer}: {found}");
        }
    }

    #[test]
    fn a_name_cannot_end_its_quotes() {
        assert_eq!(identifier("measurement"), r#""measurement""#);
        assert_eq!(identifier(r#"a"; DROP DATABASE d \"#), r#""a\"; DROP DATABASE d \\""#);
        assert_eq!(string(r"it's \ 'x"), r"'it\'s \\ \'x'");
    }
}
