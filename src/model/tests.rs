use std::borrow::Cow;

use proptest::prelude::*;

use super::*;
use crate::text::lasting_hash;

const BUSY: Field<i64> = Field::count("busy", "slots", "those with a job");
const LOAD: Field<f64> = Field::gauge("load", "ratio", Fold::Mean, "how busy they are");

static SLOTS: Measurement = Measurement::new(Declaration {
    name: "slots",
    meaning: "slots",
    tags: &[Tag::key("grid"), Tag::key("slot")],
    fields: &[BUSY.info(), LOAD.info()],
    carbon: "grids.{grid}.slots.{slot}.{field}",
    every: 60,
});

#[test]
fn a_point_is_written_as_influxdb_expects_it() {
    let point = SLOTS.point(7, ["a grid", "x=1,y"], &[LOAD.of(2.0), BUSY.of(3)]);
    assert_eq!(point.line(), r"slots,grid=a\ grid,slot=x\=1\,y busy=3i,load=2.0 7");
    assert_eq!(SLOTS.carbon_path(&point, "busy").as_deref(), Some("grids.a_grid.slots.x_1_y.busy"));
    assert_eq!(
        point.json().to_string(),
        r#"{"fields":{"busy":3,"load":2.0},"measurement":"slots","tags":{"grid":"a grid","slot":"x=1,y"},"time":7}"#
    );
}

#[test]
fn foreign_lines_are_read_or_refused_in_words() {
    let read = |line: &str| Point::from_line(line).map(|point| point.line()).map_err(|e| format!("{e:#}"));
    assert_eq!(read("m,b=2,a=1 v=1,u=2i -5").as_deref(), Ok("m,a=1,b=2 u=2i,v=1.0 -5"));
    for (line, error) in [
        ("", "\"\" has no fields"),
        ("m v=1", "\"m v=1\" has no time"),
        (" v=1 5", "\"v=1 5\" has no measurement"),
        ("#m v=1 5", "\"#m v=1 5\" is a comment"),
        ("m v=1 5s", "time \"5s\" is not nanoseconds: invalid digit found in string"),
        ("m,a v=1 5", "\"a\" is not NAME=VALUE"),
        ("m,a= v=1 5", "\"a=\" lacks a name or a value"),
        ("m,a=1,a=2 v=1 5", "\"m,a=1,a=2 v=1 5\" has a tag twice"),
        ("m v=1,v=2 5", "\"m v=1,v=2 5\" has a field twice"),
        ("m v=\"text\" 5", "\"\"text\"\" is not a number"),
        ("m v=NaN 5", "\"NaN\" is not a number"),
        ("m v=99999999999999999999i 5", "\"99999999999999999999i\" is not a number"),
    ] {
        assert_eq!(read(line), Err(error.to_string()), "{line}");
    }
}

#[test]
fn faulty_and_repeated_points_are_dropped_by_name_and_the_first_stays() {
    let point = |slot, busy: i64| SLOTS.point(7, ["g", slot], &[BUSY.of(busy)]);
    let faulty = SLOTS.point(7, ["g", "b"], &[LOAD.of(f64::NAN)]);
    let empty = SLOTS.point(7, ["g", "e"], &[]);
    let (points, dropped) = validate(vec![point("c", 1), faulty, point("a", 2), point("c", 3), empty]);
    assert_eq!(points, [point("a", 2), point("c", 1)]);
    let dropped: Vec<_> = dropped.iter().map(|drop| format!("{}: {}", drop.name, drop.why)).collect();
    assert_eq!(
        dropped,
        [
            "slots,grid=g,slot=b: field load is NaN",
            "slots,grid=g,slot=c: another point has the same name",
            "slots,grid=g,slot=e: it has no field",
        ]
    );
}

#[test]
fn names_keep_what_is_safe_and_lose_what_is_not() {
    for (text, tag, component) in [
        ("", "_", "_"),
        ("cc-east", "cc-east", "cc-east"),
        ("slot1_1@wn:2+", "slot1_1@wn:2+", "slot1_1@wn:2+"),
        ("a.b c", "a.b c", "a_b_c"),
        ("new\nline\0\u{2028}", "new_line___HASH", "new_line___HASH"),
        (r"ba\ck", r"ba\ck", "ba_ck"),
        (r"back\", r"back\_HASH", "back__HASH"),
        ("😀 é/;{x}", "😀 é/;{x}", "______x_"),
    ] {
        let hash = format!("{:016x}", lasting_hash(text));
        assert_eq!(safe_text(text), tag.replace("HASH", &hash));
        assert_eq!(carbon_component(text), component.replace("HASH", &hash));
    }
    assert_eq!(safe_text(&"é".repeat(100)), "é".repeat(100));
    assert_eq!(safe_text(&"é".repeat(150)).len(), 199);
    assert_eq!(safe_text(&"€".repeat(150)).len(), 200);
}

#[test]
fn a_point_that_its_measurement_does_not_declare_is_dropped_by_name() {
    let other: Field<i64> = Field::count("nosuch", "slots", "of another measurement");
    let retyped: Field<f64> = Field::gauge("busy", "slots", Fold::Mean, "of another measurement");
    let points = vec![
        SLOTS.point(7, ["g", "a"], &[other.of(1)]),
        SLOTS.point(7, ["g", "b"], &[retyped.of(1.0)]),
        SLOTS.point(7, ["g"], &[BUSY.of(1)]),
        SLOTS.point(7, ["g", "c", "d"], &[BUSY.of(1)]),
        SLOTS.point(7, ["g", "e"], &[BUSY.of(1)]),
    ];
    let good = points[4].clone();
    let (points, dropped) = validate(points);
    assert_eq!(points, [good]);
    let dropped: Vec<_> = dropped.iter().map(|drop| format!("{}: {}", drop.name, drop.why)).collect();
    assert_eq!(
        dropped,
        [
            "slots,_=d,grid=g,slot=c: it has 3 tags, and 2 are declared",
            "slots,grid=g: it has 1 tags, and 2 are declared",
            "slots,grid=g,slot=a: field nosuch is not declared",
            "slots,grid=g,slot=b: field busy is float, declared as int",
        ]
    );
}

static QUEUE: Measurement = Measurement::new(Declaration {
    name: "queue",
    meaning: "a queue",
    tags: &[Tag::key("queue"), Tag::label("tier"), Tag::label("state"), Tag::key("status")],
    fields: &[JOBS.info(), SEQUENCE.info()],
    carbon: "queues.{queue}.{status}",
    every: 600,
});

const JOBS: Field<i64> = Field::count("jobs", "jobs", "those in the queue");
const SEQUENCE: Field<i64> = Field::gauge("sequence", "seconds", Fold::Last, "into the slot").without_carbon();

#[test]
fn labels_stand_beside_the_series() {
    static ALL: [&Measurement; 1] = [&QUEUE];
    let catalog = Catalog::new(&ALL);
    let point = QUEUE.point(7, ["q 1", "T2", "on=line", "idle"], &[JOBS.of(5), SEQUENCE.of(3)]);
    assert_eq!(point.series(), r"queue,queue=q\ 1,status=idle");
    assert_eq!(point.labels_text(), r"state=on\=line,tier=T2");
    assert_eq!(point.line(), r"queue,queue=q\ 1,state=on\=line,status=idle,tier=T2 jobs=5i,sequence=3i 7");
    assert_eq!(point.tag_set(), r"queue,queue=q\ 1,state=on\=line,status=idle,tier=T2");
    assert_eq!(point.tag("state"), Some("on=line"));

    // A parsed point gets its declaration later.
    let mut read = Point::from_line(&point.line()).unwrap();
    assert_eq!((read.series(), read.labels().count()), (read.tag_set().as_ref(), 0));
    assert_eq!(read, point);
    catalog.declare(&mut read);
    assert_eq!((read.series(), read.labels_text(), read.line()), (point.series(), point.labels_text(), point.line()));
    let stored = Point::of_series_with(point.series(), &point.labels_text()).unwrap();
    assert_eq!((stored.series(), stored.tag_set()), (point.series(), point.tag_set()));

    // A newer version has one more tag, an older one has one less: tags without a declared label are keys.
    let mut newer = Point::from_line("queue,new=1,queue=q,tier=T2 jobs=5i 7").unwrap();
    catalog.declare(&mut newer);
    assert_eq!((newer.series(), newer.labels_text().as_str()), ("queue,new=1,queue=q", "tier=T2"));
}

#[test]
fn points_with_labels_in_common_are_those_that_name_them() {
    let labels = QUEUE.labels(["T 2", "on=line"]);
    for keys in [["q", "idle"], ["q 1", "a=b,c"], ["", "new\nline"]] {
        let common = QUEUE.point_with(7, keys, &labels, &[JOBS.of(5)]);
        let own = QUEUE.point(7, [keys[0], "T 2", "on=line", keys[1]], &[JOBS.of(5)]);
        assert_eq!((&common, common.series(), common.labels_text()), (&own, own.series(), own.labels_text()));
        assert_eq!((common.line(), common.tag_set()), (own.line(), own.tag_set()));
        assert_eq!((common.tag("tier"), common.tag("status")), (own.tag("tier"), own.tag("status")));
        assert_eq!(Point::from_line(&common.line()).unwrap(), own);
        assert_eq!(QUEUE.carbon_path(&common, "jobs"), QUEUE.carbon_path(&own, "jobs"));
        assert_eq!(
            (common.fault(), common.at(8, [("jobs".into(), 6.into())]).labels_text()),
            (None, own.labels_text())
        );
    }
}

#[test]
fn a_wrong_number_of_keys_or_labels_and_labels_of_another_measurement_are_faults() {
    let labels = QUEUE.labels(["T2", "online"]);
    let fields = [JOBS.of(5)];
    for (point, line) in [
        (QUEUE.point_with(7, ["q"], &labels, &fields), "queue,queue=q jobs=5i 7"),
        (QUEUE.point_with(7, ["q", "idle", "x"], &labels, &fields), "queue,queue=q,status=idle jobs=5i 7"),
        (QUEUE.point_with(7, ["q", "a"], &QUEUE.labels(["T2"]), &fields), "queue,queue=q,status=a jobs=5i 7"),
        (QUEUE.point_with(7, ["q"], &QUEUE.labels(["T2", "online", "x"]), &fields), "queue,queue=q jobs=5i 7"),
        (QUEUE.point_with(7, ["q", "idle"], &SLOTS.labels([]), &fields), "queue,queue=q,status=idle jobs=5i 7"),
        (SLOTS.point_with(7, ["g", "s", "x"], &SLOTS.labels([]), &fields), "slots,_=x,grid=g,slot=s jobs=5i 7"),
    ] {
        assert_eq!(point.line(), line);
        let (good, dropped) = validate(vec![point]);
        assert!(good.is_empty() && dropped.len() == 1, "{line}");
    }
}

fn number_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(Value::Int),
        prop::num::f64::NORMAL.prop_map(Value::Float),
        Just(Value::Float(-0.0))
    ]
}

prop_compose! {
    fn any_point()(
        measurement in any::<String>(),
        tags in prop::collection::vec((any::<String>(), any::<String>()), 0..5),
        fields in prop::collection::vec((any::<String>(), number_value()), 1..4),
        time in any::<i64>(),
    ) -> Point {
        let tags: Vec<_> = tags;
        Point::new(
            Cow::Owned(measurement),
            tags.iter().map(|(name, value)| (Cow::Owned(name.clone()), value.as_str())),
            fields.into_iter().map(|(name, value)| (Cow::Owned(name), value)),
            time,
        )
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_safe_point_comes_back_from_its_line_as_it_was(point in any_point()) {
        let line = point.line();
        prop_assert!(!line.contains('\n'));
        prop_assert_eq!(Point::from_line(&line).unwrap(), point);
    }

    #[test]
    fn a_float_in_a_line_is_the_shortest_text_that_is_that_float(value in prop_oneof![
        any::<f64>().prop_filter("a number", |value| value.is_finite()),
        (any::<i64>(), 0..12).prop_map(|(digits, places)| digits as f64 / 10_f64.powi(places)),
        (-99_999..99_999_i32, 0..6).prop_map(|(digits, places)| f64::from(digits) / 10_f64.powi(places)),
        (1e11..2e12, 0..4).prop_map(|(value, places): (f64, i32)| (value * 10_f64.powi(places)).round() / 10_f64.powi(places)),
        Just(-0.0),
    ]) {
        let point = Point::new("m".into(), [], [("f".into(), Value::Float(value))], 0);
        prop_assert_eq!(point.line(), format!("m f={value:?} 0"));
    }

    #[test]
    fn a_line_is_read_or_refused_but_never_panics(line in r#"[a-c=, \\0-9i"\n.é-]{0,60}"#) {
        if let Ok(point) = Point::from_line(&line) {
            prop_assert_eq!(Point::from_line(&point.line()).unwrap(), point);
        }
    }

    #[test]
    fn names_are_safe_for_any_text(text in any::<String>()) {
        let tag = safe_text(&text).into_owned();
        prop_assert!(!tag.is_empty() && tag.len() <= LONGEST_NAME && !tag.contains(char::is_control) && !tag.ends_with('\\'));
        prop_assert_eq!(safe_text(&tag), tag.as_str());
        let component = carbon_component(&text).into_owned();
        prop_assert!(!component.is_empty() && component.len() <= LONGEST_NAME);
        prop_assert!(component.chars().all(|c| c.is_ascii_alphanumeric() || "-_@:+".contains(c)));
        prop_assert_eq!(carbon_component(&component), component.as_str());
        // Text made safe for line protocol gets the same path, since points come back from the spool.
        prop_assert_eq!(carbon_component(&tag), component.as_str());
    }

    #[test]
    fn names_that_differ_stay_different_in_a_point_and_in_its_line(
        one in r#"[a\\\\, =_\n\t"]{1,6}|a{180,183}[ab\\\\]{19}"#, other in r#"[a\\\\, =_\n\t"]{1,6}|a{180,183}[ab\\\\]{19}"#,
    ) {
        let of_source = |name: &str| SLOTS.point(7, ["g", name], &[BUSY.of(3)]);
        let of_others = |name: &str| Point::new("m".into(), [("t".into(), name)], [("f".into(), Value::Int(1))], 0);
        for point in [of_source, of_others] {
            let (one_point, other_point) = (point(&one), point(&other));
            prop_assert_eq!(one_point.series() == other_point.series(), one == other);
            let read = Point::from_line(&one_point.line()).unwrap();
            prop_assert_eq!(read.tags().collect::<Vec<_>>(), one_point.tags().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_carbon_path_has_as_many_components_as_declared(grid in any::<String>(), slot in any::<String>()) {
        let point = SLOTS.point(7, [&grid, &slot], &[BUSY.of(3)]);
        let path = SLOTS.carbon_path(&point, "busy").unwrap();
        prop_assert_eq!(path.split('.').count(), 5);
        let Number { tags, field, .. } = SLOTS.read_path(&path).unwrap();
        let tags: Vec<_> = tags.iter().map(|(name, value)| (*name, value.as_str())).collect();
        prop_assert_eq!(tags, [("grid", &*carbon_component(&grid)), ("slot", &*carbon_component(&slot))]);
        prop_assert_eq!(field.name, "busy");
        for other in [format!("{path}.x"), path.replace("busy", "nosuch"), path.replace("slots.", "others."), "a*.b".into(), String::new()] {
            prop_assert!(SLOTS.read_path(&other).is_none());
        }
    }
}
