//! The same values given to this program and to rrdtool.

use proptest::prelude::*;

use super::*;

const ARCHIVES: [&str; 8] = [
    "RRA:AVERAGE:0.5:1:800",
    "RRA:AVERAGE:0.5:6:800",
    "RRA:AVERAGE:0.5:24:800",
    "RRA:AVERAGE:0.5:288:800",
    "RRA:MAX:0.5:1:800",
    "RRA:MAX:0.5:6:800",
    "RRA:MAX:0.5:24:800",
    "RRA:MAX:0.5:288:800",
];

fn create(path: &Path, start: i64, sources: &[&str]) {
    let start = start.to_string();
    let head = ["create", shown(path), "--step", "300", "--start", &start];
    rrdtool(&[&head, sources, &ARCHIVES].concat()).unwrap().unwrap();
}

fn dump(path: &Path) -> String {
    rrdtool(&["dump", shown(path)]).unwrap().unwrap()
}

/// The first line in which two dumps differ; last values aside, as rrdtool keeps the text that it was given.
fn difference(ours: &str, theirs: &str) -> Option<(usize, String, String)> {
    let lines = ours.lines().zip(theirs.lines()).enumerate();
    let mut differing = lines.filter(|(_, (ours, theirs))| ours != theirs && !ours.contains("<last_ds>"));
    let first = differing.next().map(|(at, (ours, theirs))| (at, ours.to_string(), theirs.to_string()));
    first.or((ours.lines().count() != theirs.lines().count()).then(|| (0, "lines".into(), "missing".into())))
}

/// A history: seconds since the last value, then the receiving and sending rate, in quarters.
type History = Vec<(i64, Option<i64>, Option<i64>)>;

fn history() -> impl Strategy<Value = History> {
    let seconds = prop_oneof![
        10 => Just(300_i64),
        2 => 1..700_i64,
        1 => 599..602_i64,
        1 => 1..40_i64,
        1 => (1..66_i64).prop_map(|hours| hours * 3600),
        1 => 1..66 * 3600_i64,
    ];
    let rate =
        || prop_oneof![8 => (0..4_000_000_i64).prop_map(Some), 1 => Just(None), 1 => Just(Some(50_000_000_000_i64))];
    prop::collection::vec((seconds, rate(), rate()), 1..60)
}

proptest! {
    // Each case starts rrdtool a dozen times.
    #![proptest_config(ProptestConfig { cases: 20, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn any_history_gives_the_same_file_as_from_rrdtool(history in history(), offset in 0..400_i64) {
        if !has_rrdtool("any_history_gives_the_same_file_as_from_rrdtool") {
            return Ok(());
        }
        let folder = TempDir::new();
        let sink = sink(folder.path());
        let theirs = folder.path().join("theirs.rrd");
        let mut time = START + offset;
        let (mut points, mut updates) = (Vec::new(), Vec::new());
        for (seconds, rx, tx) in &history {
            let rate = |quarters: &Option<i64>| quarters.map(|quarters| quarters as f64 / 4.0);
            let mut fields = Vec::new();
            fields.extend(rate(rx).map(|rate| RX.of(rate)));
            fields.extend(rate(tx).map(|rate| TX.of(rate)));
            if !fields.is_empty() {
                let text = |rate: Option<f64>| rate.map_or("U".into(), |rate| rate.to_string());
                points.push(point("m", time, &fields));
                updates.push(format!("{time}:{}:{}", text(rate(rx)), text(rate(tx))));
            }
            time += seconds;
        }
        prop_assume!(!points.is_empty());
        let first: i64 = updates[0].split(':').next().unwrap().parse().unwrap();
        create(&theirs, first - 300, &["DS:rx:GAUGE:600:0:U", "DS:tx:GAUGE:600:0:U"]);
        // In one batch, or each in its own: the same.
        let middle = points.len() / 2;
        let late = points.split_off(middle);
        for one in points {
            take(&sink, vec![one]);
        }
        take(&sink, late);
        let updates: Vec<_> = updates.iter().map(String::as_str).collect();
        rrdtool(&[&["update", shown(&theirs)], &updates[..]].concat()).unwrap().unwrap();
        let ours = path_of(&folder, "m", "net");
        prop_assert_eq!(difference(&dump(&ours), &dump(&theirs)), None);
        let end = time.to_string();
        for (fold, resolution) in [("AVERAGE", "300"), ("AVERAGE", "7200"), ("MAX", "1800"), ("MAX", "86400")] {
            let begin = (time - 300 * DAY.min(time - first)).to_string();
            let fetch = |path: &Path| {
                rrdtool(&["fetch", shown(path), fold, "-r", resolution, "-s", &begin, "-e", &end]).unwrap().unwrap()
            };
            prop_assert_eq!(difference(&fetch(&ours), &fetch(&theirs)), None);
        }
    }
}

#[test]
fn rrdtool_goes_on_with_our_file_and_we_with_its() {
    if !has_rrdtool("rrdtool_goes_on_with_our_file_and_we_with_its") {
        return;
    }
    let folder = TempDir::new();
    let sink = sink(folder.path());
    let theirs = folder.path().join("theirs.rrd");
    create(&theirs, START - 300, &["DS:cpu:GAUGE:600:0:100"]);
    let ours = path_of(&folder, "m", "cpu");
    for slot in 0..400 {
        let time = START + 300 * slot;
        let percent = slot % 101;
        let update = format!("{time}:{percent}");
        rrdtool(&["update", shown(&theirs), &update]).unwrap().unwrap();
        // By turns, twenty each.
        if slot / 20 % 2 == 0 {
            take(&sink, vec![point("m", time, &[RATIO.of(percent as f64 / 100.0)])]);
        } else {
            rrdtool(&["update", shown(&ours), &update]).unwrap().unwrap();
        }
    }
    assert_eq!(difference(&dump(&ours), &dump(&theirs)), None);
    let tuned = rrdtool(&["tune", shown(&ours), "-h", "cpu:900", "-a", "cpu:200"]).unwrap();
    tuned.unwrap();
    take(&sink, vec![point("m", START + 300 * 402, &[RATIO.of(1.0)])]);
    assert_eq!(newest(&ours, 1), [[100.0]], "after rrdtool tune");
    let png = folder.path().join("m.png");
    let definition = format!("DEF:cpu={}:cpu:AVERAGE", shown(&ours));
    rrdtool(&[
        "graph",
        shown(&png),
        "--start",
        "1717200000",
        "--end",
        "1717300000",
        &definition,
        "AREA:cpu#eacc00:cpu",
    ])
    .unwrap()
    .unwrap();
    assert!(fs::read(png).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn files_of_the_original_are_continued_after_the_tune_that_is_named() {
    if !has_rrdtool("files_of_the_original_are_continued_after_the_tune_that_is_named") {
        return;
    }
    let folder = TempDir::new();
    let sink = sink(folder.path());
    fs::create_dir(folder.path().join("m")).unwrap();
    let net = path_of(&folder, "m", "net");
    create(&net, START - 300, &["DS:rx:COUNTER:600:0:1250000", "DS:tx:COUNTER:600:0:1250000"]);
    for slot in 0..10_i64 {
        let (time, counter) = (START + 300 * slot, 300_000 * slot);
        rrdtool(&["update", shown(&net), &format!("{time}:{counter}:{}", counter / 2)]).unwrap().unwrap();
    }
    let next = || point("m", START + 3000, &[RATIO.of(0.5), RX.of(1.25e9), TX.of(3e8)]);
    let command = format!("rrdtool tune {} -d rx:GAUGE -a rx:U -d tx:GAUGE -a tx:U", shown(&net));
    let expected = format!(
        "{} counts in another way (rx is a COUNTER, rx ends at 1250000, tx is a COUNTER, tx ends at 1250000); its data stay with: {command}",
        shown(&net)
    );
    let sent = send(&sink, vec![next()]);
    sent.result.unwrap();
    assert_eq!(sent.refused.iter().map(|(_, why)| why).collect::<Vec<_>>(), [&expected]);
    assert!(path_of(&folder, "m", "cpu").exists(), "the other file of the point");
    let checked = format!("{:#}", sink.check(soon()).unwrap_err());
    assert!(checked.starts_with(&expected), "{checked}");
    let words: Vec<_> = command.split(' ').skip(1).collect();
    rrdtool(&words).unwrap().unwrap();
    take(&sink, vec![next()]);
    assert_eq!(newest(&net, 2), [[1000.0, 500.0], [1.25e9, 3e8]]);
    assert!(sink.check(soon()).unwrap().ends_with("has 2 files"));
    // Another file under the name.
    create(&path_of(&folder, "m", "cpu"), START - 300, &["DS:load:GAUGE:600:0:U"]);
    let sent = send(&sink, vec![point("m", START + 3300, &[RATIO.of(0.5)])]);
    assert!(
        sent.refused[0].1.ends_with("cpu.rrd holds load instead of cpu: move it away, and a new one is made"),
        "{:?}",
        sent.refused
    );
}
