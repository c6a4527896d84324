//! Reads an answer of InfluxDB from outside: what is not whole is an error, and the same rows come however the documents are
//! parted. A name or text of the input cannot end its quotes.

#![no_main]

use gridmon::sinks::influxdb::influxql::{identifier, read, string};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let rows = |answer: &[u8]| {
        let mut rows = Vec::new();
        let result = read(answer, |series| {
            rows.extend(series.values.iter().map(|row| format!("{} {:?} {row:?}", series.name, series.tags)));
            Ok(())
        });
        (rows, result.is_ok())
    };
    let (found, is_whole) = rows(data);
    if is_whole {
        // A JSON text holds no line feed but between its parts.
        let joined: Vec<u8> = data.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }).collect();
        assert_eq!(rows(&joined), (found, true));
    }
    if let Ok(text) = std::str::from_utf8(data) {
        ends_only_at_its_end(&identifier(text), '"');
        ends_only_at_its_end(&string(text), '\'');
    }
});

fn ends_only_at_its_end(quoted: &str, mark: char) {
    let inner = quoted.strip_prefix(mark).and_then(|rest| rest.strip_suffix(mark)).expect("quotes around it");
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        assert!(c != mark && c != '\n', "{quoted:?}");
        if c == '\\' {
            assert!(chars.next().is_some(), "{quoted:?}");
        }
    }
}
