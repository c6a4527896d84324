//! The output of `--list` and `--check`.

use std::fmt::Write as _;
use std::process::ExitCode;

use super::output::print;
use crate::model::{Catalog, Exact, FieldInfo, Measurement};
use crate::text::one_line;

/// A line of `--check`: the name of a source or sink, and its description or the error.
pub type CheckLine = (String, Result<String, String>);

/// Returns the measurements as a table for people, which `--list` prints and the README shows.
pub fn list(measurements: &[&Measurement]) -> String {
    let mut text = String::new();
    for (at, measurement) in measurements.iter().enumerate() {
        if at > 0 {
            text.push('\n');
        }
        let tags: Vec<_> = measurement
            .tags
            .iter()
            .map(|tag| if tag.identifies { tag.name.to_string() } else { format!("({})", tag.name) })
            .collect();
        let _ = writeln!(text, "{}: {}", measurement.name, measurement.meaning);
        let _ = writeln!(text, "    tags    {}", tags.join(", "));
        let _ = writeln!(text, "    carbon  {}", measurement.carbon);
        for field in measurement.fields {
            let _ = writeln!(
                text,
                "    {:<18}  {:<5}  {:<7}  {:<4}  {}",
                field.name, field.kind, field.unit, field.fold, field.meaning
            );
        }
    }
    text
}

/// Returns docs/measurements.md: every measurement of the catalog, generated from the declarations.
pub fn document(catalog: Catalog) -> String {
    let mut text = String::from(
        "# Measurements\n\n<!-- Generated from the declarations by `UPDATE_EXPECT=1 cargo test --features demo --test repo`. -->\n\n\
         Every point belongs to one of these measurements. *Key* tags tell series apart and stand in the Carbon path; *labels*\n\
         describe a series, and the newest ones hold. The fold says how the values of an hour or a day become one. A count is\n\
         zero where a run saw its measurement whole ([coverage](#coverage)) and the series is absent.\n",
    );
    for measurement in catalog.measurements() {
        let sentence = capitalised(measurement.meaning);
        let _ = write!(text, "\n## {}\n\n{sentence}.\n\n", measurement.name);
        let names = |keys: bool| {
            let tags = measurement.tags.iter().filter(|tag| tag.identifies == keys);
            tags.map(|tag| format!("`{}`", tag.name)).collect::<Vec<_>>().join(", ")
        };
        let _ = writeln!(text, "- Key tags: {}", names(true));
        if !names(false).is_empty() {
            let _ = writeln!(text, "- Labels: {}", names(false));
        }
        let _ = writeln!(text, "- Carbon: `{}`", measurement.carbon);
        if let Some(Exact { field, sum, slots, events, order, .. }) = measurement.exact {
            let _ = writeln!(
                text,
                "- Hourly and daily points: `{field}` is the sum where `{}` is {}, else the mean in hundredths; `{sum}` is the\n  exact sum, `{slots}` the number of slots, 0 where another point replaced this one; `{order}` is left out",
                events.0,
                events.1.join(", ")
            );
        }
        let _ = writeln!(text, "- Interval: {} s by default\n", measurement.every);
        text.push_str("| field | type | unit | fold | meaning |\n|---|---|---|---|---|\n");
        for field in measurement.fields {
            let FieldInfo { name, kind, unit, fold, meaning, count, carbon, .. } = field;
            let kind = format!("{kind}{}", if *count { ", count" } else { "" });
            let meaning = format!("{meaning}{}", if *carbon { "" } else { "; not sent to Carbon" });
            let _ = writeln!(text, "| `{name}` | {kind} | {unit} | {fold} | {} |", meaning.replace('|', "\\|"));
        }
    }
    text
}

/// A sentence with its first letter as a capital.
fn capitalised(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Prints the lines of `--check`. Returns a failure if one of them is an error.
pub(super) fn print_checks(lines: &[CheckLine]) -> ExitCode {
    let width = lines.iter().map(|(what, _)| what.chars().count()).max().unwrap_or_default();
    let text = lines.iter().fold(String::new(), |text, (what, result)| match result {
        Ok(answer) => format!("{text}ok      {what:<width$}  {}\n", one_line(answer)),
        Err(error) => format!("{text}failed  {what:<width$}  {}\n", one_line(error)),
    });
    let printed = print(&text);
    if lines.iter().all(|(_, result)| result.is_ok()) { printed } else { ExitCode::FAILURE }
}
