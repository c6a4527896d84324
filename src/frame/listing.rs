//! The output of `--list` and `--check`.

use std::fmt::Write as _;
use std::process::ExitCode;

use crate::model::Measurement;
use crate::os::files::print;
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

/// Prints the lines of `--check`. Returns a failure if one of them is an error.
pub(super) fn print_checks(lines: &[CheckLine]) -> ExitCode {
    let width = lines.iter().map(|(what, _)| what.chars().count()).max().unwrap_or_default();
    let text = lines.iter().fold(String::new(), |text, (what, result)| match result {
        Ok(words) => format!("{text}ok      {what:<width$}  {}\n", one_line(words)),
        Err(words) => format!("{text}failed  {what:<width$}  {}\n", one_line(words)),
    });
    let printed = print(&text);
    if lines.iter().all(|(_, result)| result.is_ok()) { printed } else { ExitCode::FAILURE }
}
