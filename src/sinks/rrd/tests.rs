//! Beside what rrdtool 1.7.2 made of the same values: tests/fixtures/rrd.

use std::collections::BTreeMap;
use std::fs::{self, read};
use std::io::Read;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::layout::{Archive, Cf, Definition, Live, Source, UNKNOWN};
use super::update::{new, update};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rrd").join(name)
}

fn unpacked(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(&read(fixture(name)).unwrap()[..]).read_to_end(&mut bytes).unwrap();
    bytes
}

/// A file in memory.
struct Memory {
    definition: Definition,
    live: Live,
    rows: Vec<Vec<Vec<f64>>>,
}

impl Memory {
    fn new(definition: Definition, start: i64) -> Self {
        let live = new(&definition, start);
        let unknown = vec![UNKNOWN; definition.sources.len()];
        let rows = definition.archives.iter().map(|archive| vec![unknown.clone(); archive.rows as usize]).collect();
        Self { definition, live, rows }
    }

    fn update(&mut self, time: i64, values: &[Option<f64>]) {
        for row in update(&self.definition, &mut self.live, time, values) {
            self.rows[row.archive][row.row as usize] = row.values;
        }
    }

    /// The rows of an archive that `rrdtool fetch` prints, by the end of each.
    fn fetch(&self, fold: Cf, seconds: u64) -> BTreeMap<i64, Vec<String>> {
        let is_it = |archive: &Archive| archive.fold == fold && archive.steps * self.definition.step == seconds;
        let at = self.definition.archives.iter().position(is_it).unwrap();
        let newest = self.live.last - self.live.last.rem_euclid(seconds as i64);
        let (rows, current) = (&self.rows[at], self.live.current[at] as usize);
        (0..rows.len())
            .map(|back| {
                let row = &rows[(current + rows.len() - back) % rows.len()];
                (newest - seconds as i64 * back as i64, row.iter().map(|value| printed(*value)).collect())
            })
            .collect()
    }
}

/// A value as C's `%.10e` prints it, which rrdtool uses.
fn printed(value: f64) -> String {
    if value.is_nan() {
        return "-nan".into();
    }
    let text = format!("{value:.10e}");
    let (digits, power) = text.split_once('e').unwrap();
    let power: i32 = power.parse().unwrap();
    format!("{digits}e{}{:02}", if power < 0 { '-' } else { '+' }, power.abs())
}

fn archives(rows: impl Fn(u64) -> u64, of: &[(Cf, u64)]) -> Vec<Archive> {
    of.iter()
        .map(|(fold, steps)| Archive { fold: *fold, rows: rows(*steps), steps: *steps, unknown_share: 0.5 })
        .collect()
}

fn gauges(names: &[&str], most: f64, archives: Vec<Archive>) -> Definition {
    let source = |name: &&str| Source { name: (*name).into(), kind: "GAUGE".into(), heartbeat: 600, least: 0.0, most };
    Definition { step: 300, sources: names.iter().map(source).collect(), archives }
}

/// The archives of the original.
fn eight() -> Vec<Archive> {
    let of = |cf| [1, 6, 24, 288].map(|steps| (cf, steps));
    archives(|_| 800, &[of(Cf::Average), of(Cf::Max)].concat())
}

/// Five weeks of an instance, with pauses of a quarter, an hour and a day.
fn month(definition: Definition, columns: std::ops::Range<usize>) -> Memory {
    let text = String::from_utf8(unpacked("month.tsv.gz")).unwrap();
    let mut memory = Memory::new(definition, 1_717_200_000 - 300);
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split('\t').collect();
        if fields[6] == "1" {
            let values: Vec<_> = fields[columns.clone()].iter().map(|text| text.parse().ok()).collect();
            memory.update(fields[0].parse().unwrap(), &values);
        }
    }
    memory
}

#[test]
fn five_weeks_are_fetched_as_from_rrdtools_own_file() {
    for (name, definition, columns) in [
        ("cpu", gauges(&["cpu"], 100.0, eight()), 1..2),
        ("net_gauge", gauges(&["rx", "tx"], UNKNOWN, eight()), 2..4),
        ("disk_gauge", gauges(&["rd", "wr"], UNKNOWN, eight()), 4..6),
    ] {
        let memory = month(definition, columns);
        let text = String::from_utf8(unpacked(&format!("fetch_{name}.txt.gz"))).unwrap();
        let (mut ours, mut compared) = (BTreeMap::new(), 0);
        for line in text.lines() {
            if let Some(question) = line.strip_prefix("== fetch ") {
                let words: Vec<_> = question.split(' ').collect();
                let fold = if words[0] == "MAX" { Cf::Max } else { Cf::Average };
                ours = memory.fetch(fold, words[2].parse().unwrap());
            } else if let Some((time, values)) = line.split_once(": ") {
                let time: i64 = time.parse().unwrap();
                let values: Vec<_> = values.split(' ').map(String::from).collect();
                // A row that is not over yet is unknown.
                let row = ours.get(&time).cloned().unwrap_or(vec!["-nan".into(); values.len()]);
                assert_eq!(row, values, "{name} at {time}");
                compared += values.len();
            }
        }
        assert!(compared > 2000, "{name}: {compared}");
    }
}

#[test]
fn five_weeks_give_rrdtools_own_bytes() {
    let bytes = unpacked("cpu.rrd.gz");
    let (definition, live) = Definition::read(&bytes, bytes.len() as u64).unwrap();
    let memory = month(gauges(&["cpu"], 100.0, eight()), 1..2);
    assert_eq!(definition, memory.definition);
    // rrdtool begins at a row by chance; so the rows are turned as it has them.
    let ours = Live { current: live.current.clone(), ..memory.live.clone() };
    let mut written = definition.encode(&ours);
    for (at, rows) in memory.rows.iter().enumerate() {
        let (theirs, own, count) = (live.current[at] as usize, memory.live.current[at] as usize, rows.len());
        let turned = (0..count).map(|row| &rows[(row + count - theirs + own) % count]);
        written.extend(turned.flatten().flat_map(|value| value.to_le_bytes()));
    }
    let first = written.iter().zip(&bytes).position(|(ours, theirs)| ours != theirs);
    assert_eq!((written.len(), first), (bytes.len(), None), "the first byte that differs");
}

#[test]
fn times_between_steps_gaps_limits_and_unknown_values_are_as_rrdtool_takes_them() {
    let text = fs::read_to_string(fixture("edges.tsv")).unwrap();
    let mut cases = 0;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let [name, of, updates, rest @ ..] = &line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let most = if *of == "one_cpu" { 100.0 } else { UNKNOWN };
        let own =
            archives(|steps| if steps == 1 { 60 } else { 20 }, &[(Cf::Average, 1), (Cf::Average, 6), (Cf::Max, 6)]);
        let mut memory = Memory::new(gauges(&["v"], most, own), 1_717_200_000 - 300);
        for one in updates.split(' ') {
            let (time, value) = one.split_once(':').unwrap();
            memory.update(time.parse().unwrap(), &[value.parse().ok()]);
        }
        for (expected, (fold, seconds)) in rest.iter().zip([(Cf::Average, 300), (Cf::Average, 1800), (Cf::Max, 1800)]) {
            let ours = memory.fetch(fold, seconds);
            for (time, value) in expected.split(' ').map(|one| one.split_once('=').unwrap()) {
                let row = ours.get(&time.parse().unwrap()).map_or("-nan", |row| &row[0]);
                assert_eq!(row, value, "{name}: {} over {seconds} s at {time}", fold.name());
            }
        }
        cases += 1;
    }
    assert_eq!(cases, 6);
}

#[test]
fn a_pause_of_more_rows_than_an_archive_has_leaves_none_of_the_old_ones() {
    let own = archives(|_| 4, &[(Cf::Average, 1), (Cf::Average, 6), (Cf::Max, 6)]);
    let mut memory = Memory::new(gauges(&["v"], UNKNOWN, own), 1_717_200_000 - 300);
    for slot in [0, 1, 2, 3, 100] {
        memory.update(1_717_200_000 + 300 * slot, &[Some(5.0)]);
    }
    assert!(memory.rows.iter().flatten().flatten().all(|value| value.is_nan()), "{:?}", memory.rows);
    memory.update(1_717_200_000 + 300 * 101, &[Some(6.0)]);
    assert_eq!(memory.fetch(Cf::Average, 300).pop_last().unwrap().1, ["6.0000000000e+00"]);
}

#[test]
fn what_is_no_such_file_is_refused_in_words() {
    let good = unpacked("cpu.rrd.gz");
    let length = good.len() as u64;
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = good.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        changed
    };
    let way = "`rrdtool dump` there and `rrdtool restore` here make it readable";
    let mut big_endian = good.clone();
    big_endian[16..24].reverse();
    let mut narrow = good.clone();
    narrow.drain(12..16);
    let most = u64::MAX.to_le_bytes();
    for (bytes, length, expected) in [
        (Vec::new(), 0, "is damaged (it ends after 0 bytes)".to_string()),
        (good[..500].to_vec(), 500, "is damaged (it ends before its first row)".into()),
        (good[..9000].to_vec(), 9000, "is damaged (it has 9000 bytes instead of 53240)".into()),
        (good.clone(), length + 1, "is damaged (it has 53241 bytes instead of 53240)".into()),
        (b"hello world".repeat(100), 1100, "is not an RRD file".into()),
        (big_endian, length, format!("is of a big-endian machine; {way}")),
        (narrow, length - 4, format!("is of a 32-bit machine; {way}")),
        (with(16, &most), length, format!("is of a machine that stores numbers in another way; {way}")),
        (
            with(4, b"0001"),
            length,
            format!("has version \"0001\" of rrdtool's format, and this program writes 0003 alone; {way}"),
        ),
        (with(24, &most), length, format!("has {} data sources; this program reads 1 to 64", u64::MAX)),
        (with(32, &most), length, format!("has {} archives; this program reads 1 to 64", u64::MAX)),
        (with(40, &most), length, format!("is damaged (its step is {} s)", u64::MAX)),
        (with(248, b"HWPREDICT\0"), length, "has an archive \"HWPREDICT\", which this program cannot continue".into()),
        (with(272, &most), length, format!("is damaged (an archive of {} rows)", u64::MAX)),
        (with(280, &most), length, format!("is damaged (a row of {} steps)", u64::MAX)),
        (with(1208, &most), length, "is damaged (its last value is of -1)".into()),
        (with(2032, &most), length, format!("is damaged (row {} of 800)", u64::MAX)),
    ] {
        let refused = Definition::read(&bytes, length).unwrap_err();
        assert_eq!(refused.to_string(), expected);
    }
}

proptest! {
    #[test]
    fn damaged_bytes_are_refused_or_taken_and_never_more(
        changes in prop::collection::vec((0..2040_usize, any::<u8>()), 0..12),
        cut in prop::option::of(0..2040_usize),
        later in 1..100_000_000_i64,
    ) {
        let good = unpacked("cpu.rrd.gz");
        let mut bytes = good[..2040].to_vec();
        changes.iter().for_each(|(at, byte)| bytes[*at] = *byte);
        bytes.truncate(cut.unwrap_or(2040));
        if let Ok((definition, mut live)) = Definition::read(&bytes, good.len() as u64) {
            let time = live.last + later;
            let rows = update(&definition, &mut live, time, &vec![Some(5.0); definition.sources.len()]);
            prop_assert!(rows.iter().all(|row| row.row < definition.archives[row.archive].rows));
            // The step under way may end a row of each archive before all of them are written.
            prop_assert!(rows.len() as u64 <= definition.archives.iter().map(|archive| archive.rows + 1).sum());
        }
    }
}
