//! Export and import.

use std::borrow::Cow;

use gridmon::model::Value;

use super::*;

#[test]
fn an_export_imported_is_the_same_store() {
    let sandbox = with_store();
    let path = sandbox.path("state/gridmon.db");
    for tier in Tier::ALL {
        store(&path).write(tier, &odd_points(), Instant::now() + Duration::from_secs(5)).unwrap();
    }
    let exported = status(&sandbox, &["store", "export", "-o", "all.influx"]);
    let before = everything(&path);
    assert_eq!(
        (exported.code, exported.stdout),
        (Some(0), format!("exported {} points into all.influx\n", before.len()))
    );
    assert!(!sandbox.path("all.influx.new").exists());
    assert_eq!(status(&sandbox, &["store", "export"]).stdout, fs::read_to_string(sandbox.path("all.influx")).unwrap());

    let other = Sandbox::new("small");
    other.write("all.influx", fs::read(sandbox.path("all.influx")).unwrap());
    for round in 0..2 {
        let imported = status(&other, &["store", "import", "all.influx"]);
        assert_eq!((imported.code, imported.stderr.as_str()), (Some(0), ""), "{round}");
        let to = other.path("state/gridmon.db");
        let words = format!("imported {} points from all.influx into {}\n", before.len(), to.display());
        assert!(imported.stdout.starts_with(&words), "{}", imported.stdout);
        // The one from before 1970, in the two tiers that do not keep for ever.
        assert!(imported.stdout.contains("\n2 of them are older than [embedded] keeps points of their tier; "));
        assert_eq!(everything(&to), before, "twice is once");
    }
}

#[test]
fn an_export_may_be_narrowed() {
    let sandbox = with_store();
    let export = |more: &[&str]| {
        let arguments: Vec<_> = ["store", "export", "--tier", "raw"].iter().chain(more).copied().collect();
        let outcome = status(&sandbox, &arguments);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{more:?}");
        let lines: Vec<_> =
            outcome.stdout.lines().filter(|line| !line.starts_with(['#', 'C'])).map(String::from).collect();
        lines.iter().map(|line| Point::from_line(line).unwrap()).collect::<Vec<_>>()
    };
    let all = export(&[]);
    let expected: Vec<_> = everything(&sandbox.path("state/gridmon.db"));
    assert_eq!(all.len(), expected.len());
    let expect = |keep: &dyn Fn(&Point) -> bool| all.iter().filter(|point| keep(point)).cloned().collect::<Vec<_>>();
    let vms = expect(&|point| point.measurement() == "grid_vms" && point.tag("status") == Some("running"));
    assert!(!vms.is_empty());
    assert_eq!(export(&["-m", "grid_vms", "-t", "status=running"]), vms);
    let second = expect(&|point| point.time() == (NOW + 60) * SECOND);
    assert!(!second.is_empty());
    assert_eq!(export(&["--from", &(NOW + 60).to_string(), "--to", "2024-06-01 12:32:00"]), second);
    assert!(export(&["-m", "nothing"]).is_empty());
    let east = expect(&|point| point.tag("cloud") == Some("cc-east") && point.tag("vmtype") == Some("atlas-worker"));
    assert_eq!(export(&["-t", "cloud=cc-east", "-t", "vmtype=atlas-worker"]), east);
}

#[test]
fn csv_has_a_column_for_each_tag_and_reads_back() {
    let sandbox = with_store();
    let path = sandbox.path("state/gridmon.db");
    store(&path).write(Tier::Raw, &odd_points(), Instant::now() + Duration::from_secs(5)).unwrap();
    let outcome = status(&sandbox, &["store", "export", "--format", "csv"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    let mut reader = csv::Reader::from_reader(outcome.stdout.as_bytes());
    let heads = reader.headers().unwrap().clone();
    assert_eq!(heads.iter().take(3).collect::<Vec<_>>(), ["time", "tier", "measurement"]);
    assert_eq!(heads.iter().rev().take(2).collect::<Vec<_>>(), ["value", "field"]);
    let mut read = Vec::new();
    for row in reader.records() {
        let row = row.unwrap();
        let time = row[0].parse::<jiff::Timestamp>().unwrap().as_nanosecond();
        let text = |cell: &'_ str| cell.strip_prefix('\'').unwrap_or(cell).to_string();
        let tags = heads.iter().zip(&row).take(heads.len() - 2).skip(3).filter(|(_, value)| !value.is_empty());
        let tags: Vec<_> = tags.map(|(name, value)| format!("{name}={}", text(value))).collect();
        read.push(format!(
            "{} {} {} {}={}",
            time,
            &row[2],
            tags.join(","),
            &row[heads.len() - 2],
            &row[heads.len() - 1]
        ));
    }
    let mut expected = Vec::new();
    for line in everything(&path) {
        let point = Point::from_line(line.strip_prefix("raw ").unwrap()).unwrap();
        let tags: Vec<_> = point.tags().map(|(name, value)| format!("{name}={value}")).collect();
        for (field, value) in point.fields() {
            expected.push(format!("{} {} {} {field}={value}", point.time(), point.measurement(), tags.join(",")));
        }
    }
    read.sort();
    expected.sort();
    assert_eq!(read, expected);
}

#[test]
fn a_csv_is_safe_in_a_spreadsheet_and_imports_as_the_same_store() {
    let sandbox = with_store();
    let path = sandbox.path("state/gridmon.db");
    let formula = |number: i64, text: &'static str| {
        let tags = [(Cow::Borrowed("@tag"), text), (Cow::Borrowed("t"), "-1+2")];
        let fields = [("=f", Value::Float(1.0)), ("+f", Value::Int(-2)), ("'f", Value::Int(3))];
        let fields = fields.map(|(name, value)| (Cow::Borrowed(name), value));
        Point::new(Cow::Borrowed("=cmd|'/c calc'!A1"), tags, fields, NOW * SECOND + number)
    };
    let formulas = ["+1", "''=1", "@SUM(1+1)*cmd|' /C calc'!A0", "plain"];
    let formulas: Vec<_> = (0..).zip(formulas).map(|(number, text)| formula(number, text)).collect();
    for tier in Tier::ALL {
        let points: Vec<_> = odd_points().into_iter().chain(formulas.clone()).collect();
        store(&path).write(tier, &points, Instant::now() + Duration::from_secs(5)).unwrap();
    }
    let exported = status(&sandbox, &["store", "export", "--format", "csv", "-o", "all.csv"]);
    assert_eq!((exported.code, exported.stderr.as_str()), (Some(0), ""));
    let bytes = fs::read(sandbox.path("all.csv")).unwrap();
    let mut rows = csv::ReaderBuilder::new().has_headers(false).from_reader(bytes.as_slice());
    for row in rows.records().map(Result::unwrap) {
        for (at, cell) in row.iter().enumerate() {
            let number = at + 1 == row.len();
            assert!(number || !cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell:?}");
            assert!(!number || !cell.starts_with('\''), "a number stays one: {cell:?}");
        }
    }
    let other = Sandbox::new("small");
    // As a spreadsheet saves it, too.
    for begin in ["", "\u{feff}"] {
        other.write("all.csv", [begin.as_bytes(), &bytes].concat());
        let imported = status(&other, &["store", "import", "all.csv"]);
        assert_eq!((imported.code, imported.stderr.as_str()), (Some(0), ""));
        let count = exported.stdout.split(' ').nth(1).unwrap();
        assert!(imported.stdout.starts_with(&format!("imported {count} points from all.csv into ")), "{imported:?}");
        assert_eq!(everything(&other.path("state/gridmon.db")), everything(&path));
    }
    other.write("bad.csv", "time,tier,measurement,field,value\nnoon,raw,m,f,1\n2024-06-01T12:00:00Z,2h,m,f,1\n2024-06-01T12:00:00Z,raw,m,f,x\n2024-06-01T12:00:00Z,raw,m,f\n");
    let imported = status(&other, &["store", "import", "bad.csv"]);
    assert_eq!(imported.code, Some(1));
    assert!(
        imported.stderr.contains(
            "bad.csv: 4 lines left out, which hold no number that can be stored: line 2: \"noon\" is not a time"
        ),
        "{imported:?}"
    );
    other.write("bad.csv", "time,tier,measurement,a,b\n");
    let imported = status(&other, &["store", "import", "bad.csv"]);
    assert!(
        imported.stderr.contains("the columns of a CSV are time, tier, measurement, one for each tag, field, value"),
        "{imported:?}"
    );
}

#[test]
fn what_is_no_point_is_named_and_the_rest_is_imported() {
    let sandbox = Sandbox::new("small");
    let import = |text: &[u8], arguments: &[&str]| {
        sandbox.write("in.influx", text);
        let all: Vec<_> = ["store", "import", "in.influx"].iter().chain(arguments).copied().collect();
        let outcome = status(&sandbox, &all);
        let path = sandbox.path("state/gridmon.db").display().to_string();
        (outcome.code, outcome.stdout.replace(&path, "STORE"), outcome.stderr)
    };
    let (code, stdout, stderr) = import(
        b"# a comment\n\nm,a=b x=1i 1717245000000000000\r\nm,a=b text=\"words\" 1717245000000000000\nm x=1\nhalf\xff a line\nm,a=c x=2 1717245000000000000",
        &[],
    );
    assert_eq!((code, stdout.as_str()), (Some(1), "imported 2 points from in.influx into STORE\n"));
    assert_eq!(
        stderr,
        "gridmon-status: in.influx: 3 lines left out, which hold no number that can be stored: line 4: \"\"words\"\" is not a number; \
         line 5: \"m x=1\" has no time; line 6: time \"line\" is not nanoseconds: invalid digit found in string\n"
    );
    let foreign = b"# DML\n# CONTEXT-RETENTION-POLICY: autogen\nm x=1 5\n";
    let (code, _, stderr) = import(foreign, &[]);
    assert_eq!(code, Some(1));
    assert!(
        stderr.contains(
            "line 2: which tier do these points belong to? Say it with --tier: \"autogen\" is not a tier: raw, 1h or 1d\n"
        ),
        "{stderr}"
    );
    let (code, stdout, stderr) = import(b"", &[]);
    assert_eq!(
        (code, stdout.as_str(), stderr.as_str()),
        (Some(0), "imported 0 points from in.influx into STORE\n", "")
    );
    let (code, _, stderr) = import(&vec![b'x'; 3 << 20], &[]);
    assert!(code == Some(1) && stderr.contains("line 1 is over 1048576 bytes long; is it line protocol?"), "{stderr}");
    let (code, stdout, _) = import(foreign, &["--tier", "1d"]);
    assert_eq!((code, stdout.as_str()), (Some(0), "imported 1 point from in.influx into STORE\n"));
    assert_eq!(
        everything(&sandbox.path("state/gridmon.db")),
        ["1d m x=1.0 5", "raw m,a=b x=1i 1717245000000000000", "raw m,a=c x=2.0 1717245000000000000"]
    );
}
