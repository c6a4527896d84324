//! The file of a batch: a person reads it, it is compressed, and damage is seen.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use gridmon::spool::{Batch, Header};

use super::{Bench, down, points};

#[test]
fn a_batch_is_read_by_a_person() {
    let bench = Bench::new(&["carbon"]);
    bench.set(0, down);
    bench.run(28_620_750, 2);
    let name = bench.files("spool").into_iter().find(|name| name.ends_with(".batch")).unwrap();
    let text = fs::read_to_string(Path::new(bench.folder.path()).join("spool").join(&name)).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with("gridmon-batch 1 "), "{text}");
    assert!(lines[0].contains(r#"{"program":"test","grid":"g","time":1717245000,"tier":"raw","database":"","sinks":["carbon"],"points":2,"encoding":"plain"}"#), "{text}");
    assert_eq!(lines[1..], ["m,at=000 v=28620750i 1717245000000000000", "m,at=001 v=28620750i 1717245000000000000"]);
    assert!(name.starts_with(&format!("001717245000-2-{}-carbon-test:g-", text.len())), "{name}");
}

#[test]
fn large_batches_are_compressed_and_every_damage_is_seen() {
    let header = Header {
        program: "test".into(),
        grid: "g".into(),
        time: 60,
        tier: "raw".into(),
        database: "d".into(),
        sinks: BTreeSet::from(["carbon".into()]),
    };
    for count in [3, 5000] {
        let batch = Batch { header: header.clone(), points: points(1, count) };
        let bytes = batch.encode().unwrap();
        assert_eq!(Batch::decode(&bytes).unwrap(), batch);
        assert!(count < 100 || bytes.len() < 30_000, "{}", bytes.len());
        // Every tenth byte, so that the test ends today.
        for at in (0..bytes.len()).step_by(if count > 100 { 97 } else { 1 }) {
            Batch::decode(&bytes[..at]).unwrap_err();
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            Batch::decode(&changed).unwrap_err();
        }
    }
    let newer = Batch::decode(b"gridmon-batch 2 whatever comes").unwrap_err().to_string();
    assert_eq!(newer, "it has format version 2, which a newer gridmon wrote and can send");
}
