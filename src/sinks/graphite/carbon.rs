//! Sends to Carbon's pickle receiver, the fastest input of Graphite. Measured against carbon-cache 1.1.7.
//!
//! On the wire a message is a 4-byte big-endian length and a pickle of `[(path, (time, value)), …]`; a connection
//! carries any number of messages. The traps:
//!
//! - A message of more than 1,048,576 bytes closes the connection.
//! - Carbon never answers. Its only sign of life: after we close our side, it closes its own once it has *read*
//!   everything. `acknowledge = fin` waits for this; receiver.rs says when it is believed. It proves neither that a message
//!   parsed nor that a value was stored: a creation limit (`MAX_CREATES_PER_MINUTE`, 50 in Debian) drops new metrics later.
//! - One NaN or infinite *time* loses the whole message; a NaN value or a `bytes` name is skipped in silence. So this
//!   file drops, by name, the points that Carbon would reject.
//! - A measurement that nobody here declares, such as one of Telegraf's, gets the path `MEASUREMENT.TAGVALUES.FIELD`; a value
//!   that came by Carbon's own protocols leaves under the path under which it came.
//! - Of two values for one path and time the last one wins, so sending again is harmless.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::receiver::{self, Receiver};
use super::render::{self, Missing};
use crate::config::{Key, Kind, Section, Unset, Values};
use crate::model::{Catalog, Datapoint, Dropped, Point, SECOND, Value, sort_by_name, undeclared_path};
use crate::sinks::pickle;
use crate::sinks::tcp::Timeout;
use crate::sinks::{Sent, Sink};
use crate::spool::Batch;
use crate::text::cut;

/// `[carbon]`.
pub const SECTION: Section = Section::new(
    "carbon",
    "Sends points to Graphite, through Carbon's pickle receiver.",
    &[
        Key::new(
            "host",
            Kind::Host,
            Unset::Suggested("graphite.example.org"),
            "The host of Carbon's pickle receiver. Without it nothing is sent to Graphite, and points go to the embedded store.",
        ),
        Key::new("port", Kind::Port, Unset::Default("2004"), "Its port."),
        Key::new(
            "acknowledge",
            Kind::Word(&["fin", "readback", "none"]),
            Unset::Default("fin"),
            "What counts as delivered: fin (who listens there has read everything: Carbon itself, or a relay in front of it, \
             which may still lose it), readback (every value has come back through graphite-web, which proves that Carbon has \
             kept it, also behind relays; asks graphite-web for each of them) or none (it is on its way).",
        ),
        Key::new(
            "timeout_seconds",
            Kind::Seconds(1, 3600),
            Unset::Default("10"),
            "How long a delivery may take in all, in seconds; with readback also the reading back.",
        ),
    ],
);

/// `[carbon]`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The host of the pickle receiver; without it nothing is sent to Carbon.
    pub host: String,
    /// The host, as messages show it.
    pub shown_host: String,
    /// The port of the pickle receiver; 2004 by default.
    pub port: u16,
    /// When a batch counts as delivered.
    pub acknowledge: Acknowledge,
    /// The time limit of a whole delivery, from the name look-up to the acknowledgement or the last value read back, in
    /// seconds; 10 by default.
    pub timeout_seconds: u64,
    /// The graphite-web that values are read back from.
    pub graphite: Option<render::Config>,
}

/// `[carbon] acknowledge`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledge {
    /// `fin` (default): Carbon has read everything.
    Fin,
    /// `readback`: graphite-web has returned every value, from Carbon's file or memory; for a new metric, from a file
    /// at least.
    Readback,
    /// `none`: the kernel has accepted everything, sent or not.
    None,
}

impl Config {
    /// Reads `[carbon]`; returns `None` unless it names a host.
    ///
    /// # Errors
    /// Fails if a value is not of its key's kind, or if `readback` lacks a graphite-web.
    pub fn read(values: &Values, graphite: Option<render::Config>) -> Result<Option<Self>> {
        let host = values.text("host")?;
        let port = values.port("port")?;
        let acknowledge = match values.word("acknowledge")? {
            "readback" => Acknowledge::Readback,
            "none" => Acknowledge::None,
            _ => Acknowledge::Fin,
        };
        if acknowledge == Acknowledge::Readback && graphite.is_none() {
            return Err(values.error("acknowledge", anyhow!("readback needs [graphite] url")));
        }
        let timeout_seconds = values.number("timeout_seconds")?;
        Ok(host.map(|host| {
            let shown_host = values.spelling("host").unwrap_or_else(|| host.clone());
            Self { host, shown_host, port, acknowledge, timeout_seconds, graphite }
        }))
    }
}

/// Carbon as a sink.
pub struct Carbon {
    /// The receiver's address, and when a batch counts as delivered.
    pub config: Config,
    /// The measurements with known Carbon paths.
    pub catalog: Catalog,
    /// What is known of the receiver.
    pub receiver: Receiver,
}

impl Sink for Carbon {
    fn name(&self) -> &str {
        "carbon"
    }

    fn send(&self, batch: &Batch, deadline: Instant) -> Sent {
        let (datapoints, dropped) = datapoints(&batch.points, self.catalog);
        Sent { dropped, refused: Vec::new(), result: send(&self.config, &self.receiver, &datapoints, deadline) }
    }

    fn check(&self, deadline: Instant) -> Result<String> {
        check(&self.config, deadline)
    }
}

/// Returns the datapoints of `points`, one per field that Carbon gets, sorted by path and time, and the points that
/// Carbon cannot take.
///
/// Carbon cannot take the second of two points with the same path and time, nor a field that a declared measurement has
/// only in a newer version.
pub fn datapoints(points: &[Point], catalog: Catalog) -> (Vec<Datapoint>, Vec<Dropped>) {
    let mut datapoints = Vec::with_capacity(points.len());
    let mut dropped = Vec::new();
    for point in points {
        if let Err(why) = add(point, catalog, &mut datapoints) {
            dropped.push(Dropped { name: point.series().into(), why });
        }
    }
    let has_equal = sort_by_name(&mut datapoints, |datapoint| &datapoint.path, |datapoint| datapoint.time);
    let is_key_twice = |two: &[Datapoint]| two[0].path == two[1].path && two[0].time == two[1].time;
    if !has_equal || !datapoints.windows(2).any(is_key_twice) {
        (datapoints, dropped)
    } else {
        first_come(points, catalog)
    }
}

/// Appends the datapoints of one point: all of them or none.
///
/// # Errors
/// Fails with the reason if Carbon cannot take the point.
fn add(point: &Point, catalog: Catalog, datapoints: &mut Vec<Datapoint>) -> Result<(), String> {
    let measurement = point.declaration().or_else(|| catalog.measurement(point.measurement()));
    let begin = datapoints.len();
    let time = point.time().div_euclid(SECOND);
    let Some(measurement) = measurement else {
        for (field, value) in point.fields() {
            let Some(path) = undeclared_path(point, field) else {
                datapoints.truncate(begin);
                return Err("its path is none that Carbon can keep".into());
            };
            datapoints.push(Datapoint { path, time, value });
        }
        return Ok(());
    };
    for (field, value) in point.fields() {
        let add = || {
            // If the path lacks {field}, an unknown field would overwrite a known one.
            let known = measurement.field(field).ok_or_else(|| format!("this version has no field {field} of it"))?;
            if !known.carbon {
                return Ok(None);
            }
            let path = measurement.carbon_path(point, field);
            let path =
                path.ok_or_else(|| format!("its Carbon path {} needs tags that it lacks", measurement.carbon))?;
            Ok(Some(Datapoint { path, time, value }))
        };
        match add() {
            Ok(datapoint) => datapoints.extend(datapoint),
            Err(why) => {
                datapoints.truncate(begin);
                return Err(why);
            }
        }
    }
    Ok(())
}

/// # Errors
/// Fails if two fields of one point have one path, as `a b` and `a_b` have.
fn path_of_two(own: &[Datapoint]) -> Result<(), String> {
    let mut paths: Vec<_> = own.iter().map(|datapoint| &datapoint.path).collect();
    paths.sort();
    let twice = paths.windows(2).find(|two| two[0] == two[1]);
    twice.map_or(Ok(()), |two| Err(format!("its Carbon path {} is that of two of its fields", two[0])))
}

/// Like [`datapoints`], for points that share a path: the first point keeps it.
fn first_come(points: &[Point], catalog: Catalog) -> (Vec<Datapoint>, Vec<Dropped>) {
    let mut taken = BTreeMap::<(String, i64), (Value, &Point)>::new();
    let mut dropped = Vec::new();
    for point in points {
        let mut own = Vec::new();
        let added = add(point, catalog, &mut own).and_then(|()| path_of_two(&own));
        let added = added.and_then(|()| {
            let key = |datapoint: &Datapoint| (datapoint.path.clone(), datapoint.time);
            let others = own.iter().find_map(|datapoint| Some((&datapoint.path, taken.get(&key(datapoint))?.1)));
            others.map_or(Ok(()), |(path, first)| {
                Err(if first.series() == point.series() {
                    "Carbon keeps one value a second, and has another one of this second".into()
                } else {
                    format!("its Carbon path {path} is taken by {}", cut(first.series()))
                })
            })
        });
        match added {
            Ok(()) => taken.extend(own.into_iter().map(|one| ((one.path, one.time), (one.value, point)))),
            Err(why) => dropped.push(Dropped { name: point.series().into(), why }),
        }
    }
    let datapoints = taken.into_iter().map(|((path, time), (value, _))| Datapoint { path, time, value }).collect();
    (datapoints, dropped)
}

/// The largest message that Carbon accepts, in bytes, without its length.
const LARGEST_MESSAGE: usize = 1 << 20;

/// The start of a pickle: protocol 2, an empty list, the mark below its members.
const BEGIN: &[u8] = b"\x80\x02](";

/// The end of a pickle: append the members to the list, stop.
const END: &[u8] = b"e.";

/// Encodes `datapoints` as messages, each with its length in front and as full as Carbon allows.
///
/// A single path must fit into a message; the paths of [`datapoints`] always do.
///
/// We write the pickles ourselves: serde-pickle is slower (see `make bench`) and does not tell the size of a frame in
/// advance. They use the opcodes of protocol 2 that every reader knows: BINUNICODE, BININT, BINFLOAT, TUPLE2,
/// APPENDS; LONG1 only for times after 2038.
#[derive(Debug)]
pub struct Frames<'a> {
    rest: &'a [Datapoint],
    /// One buffer for all messages, which stays in the processor's cache.
    frame: Vec<u8>,
}

impl<'a> Frames<'a> {
    /// Creates the encoder of `datapoints`.
    pub fn of(datapoints: &'a [Datapoint]) -> Self {
        Self { rest: datapoints, frame: Vec::new() }
    }

    /// Returns the next message; `None` after the last one.
    pub fn advance(&mut self) -> Option<&[u8]> {
        let frame = &mut self.frame;
        frame.clear();
        // Room for the length, which is known at the end.
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(BEGIN);
        let fits = |frame: &Vec<u8>, datapoint: &Datapoint| {
            frame.len() + datapoint.path.len() + AROUND_PATH + END.len() <= 4 + LARGEST_MESSAGE
        };
        let begin = frame.len();
        while let Some((datapoint, rest)) = self.rest.split_first()
            && (frame.len() == begin || fits(frame, datapoint))
        {
            put(datapoint, frame);
            self.rest = rest;
        }
        if frame.len() == begin {
            return None;
        }
        frame.extend_from_slice(END);
        let length = (frame.len() - 4) as u32;
        frame[..4].copy_from_slice(&length.to_be_bytes());
        Some(frame)
    }
}

/// The most bytes of a datapoint besides its path: five before it, a time of ten, a value of nine, and two to pair them.
const AROUND_PATH: usize = 5 + 10 + 9 + 2;

fn put(Datapoint { path, time, value }: &Datapoint, frame: &mut Vec<u8>) {
    pickle::text(path, frame);
    pickle::whole(*time, frame);
    match value {
        Value::Int(value) => match i32::try_from(*value) {
            Ok(_) => pickle::whole(*value, frame),
            // carbon-relay-ng before March 2024 drops a LONG1 in silence. Carbon makes every value a float, which is exact up
            // to 2^53.
            Err(_) => pickle::float(*value as f64, frame),
        },
        Value::Float(value) => pickle::float(*value, frame),
    }
    frame.extend_from_slice(b"\x86\x86");
}

/// Sends `datapoints` and waits for the acknowledgement, at most until `deadline`. Acknowledges all of them or none; an
/// empty list opens no connection.
///
/// # Errors
/// Fails if any step fails or takes too long. Carbon may then have received some of the datapoints; sending all of them
/// again is harmless.
fn send(config: &Config, receiver: &Receiver, datapoints: &[Datapoint], deadline: Instant) -> Result<()> {
    if datapoints.is_empty() {
        return Ok(());
    }
    let timeout = Timeout::new(config.timeout_seconds, deadline);
    match (config.acknowledge, &config.graphite) {
        (Acknowledge::Readback, Some(graphite)) => read_back(config, graphite, datapoints, &timeout),
        (Acknowledge::None, _) => receiver::exchange(config, datapoints, Duration::ZERO, &timeout).map(drop),
        _ => receiver.send(config, datapoints, &timeout),
    }
}

/// Sends all values and reads them back, and sends the missing ones again for as long as the time limit allows. What comes
/// back proves the receiver too.
///
/// Only the missing ones are sent again: a full cache or a creation limit takes the first values of a message and drops
/// the rest, so with all values in the message it would drop the same ones each time.
fn read_back(config: &Config, graphite: &render::Config, datapoints: &[Datapoint], timeout: &Timeout) -> Result<()> {
    receiver::exchange(config, datapoints, Duration::ZERO, timeout)?;
    let mut missing = render::missing(graphite, datapoints.to_vec(), timeout.ends)?;
    while !missing.datapoints.is_empty() || missing.unasked > 0 {
        let failure = || not_back(&missing, datapoints.len(), graphite, timeout);
        if timeout.has_passed() || missing.datapoints.is_empty() {
            return Err(failure());
        }
        let again = receiver::exchange(config, &missing.datapoints, Duration::ZERO, timeout);
        let again = again.and_then(|_| render::missing(graphite, missing.datapoints.clone(), timeout.ends));
        missing = again.map_err(|error| if timeout.has_passed() { failure() } else { error })?;
    }
    Ok(())
}

/// Describes the values that did not come back, of `all` values.
fn not_back(missing: &Missing, all: usize, graphite: &render::Config, timeout: &Timeout) -> anyhow::Error {
    let (lost, unasked, url) = (missing.datapoints.len(), missing.unasked, graphite.name());
    let time = format!("within {}; raise [carbon] timeout_seconds", timeout.shown());
    let Some(first) = missing.datapoints.first().map(|first| &first.path) else {
        return anyhow!("{unasked} of {all} values could not be asked for through {url} {time}");
    };
    let rest = if unasked > 0 { format!("; {unasked} more could not be asked for {time}") } else { String::new() };
    anyhow!(
        "{lost} of {all} values did not come back through {url}, the first of them {first}{rest}; a creation limit or a full cache?"
    )
}

/// Lets the receiver prove that it takes pickles, with a message that holds nothing; returns the address that answered.
///
/// # Errors
/// As [`send`].
fn check(config: &Config, deadline: Instant) -> Result<String> {
    let timeout = Timeout::new(config.timeout_seconds, deadline);
    receiver::exchange(config, &[], receiver::OPEN, &timeout)?;
    receiver::prove(config, 2, &timeout)?;
    let answers = format!("{} answers", receiver::name(config));
    if let (Acknowledge::Readback, Some(graphite)) = (config.acknowledge, &config.graphite) {
        render::check(graphite, timeout.ends)?;
        return Ok(format!("{answers}, and so does {}", graphite.describe()));
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Declaration, Field, Fold, Measurement, Tag};

    type Message = Vec<(String, (i64, serde_pickle::Value))>;

    fn read(frame: &[u8]) -> Message {
        let length = u32::from_be_bytes(frame[..4].try_into().unwrap()) as usize;
        assert_eq!(frame.len(), length + 4);
        assert!(length <= LARGEST_MESSAGE);
        serde_pickle::from_slice(&frame[4..], serde_pickle::DeOptions::new()).unwrap()
    }

    fn frames(datapoints: &[Datapoint]) -> Vec<Vec<u8>> {
        let mut frames = Frames::of(datapoints);
        std::iter::from_fn(|| frames.advance().map(<[u8]>::to_vec)).collect()
    }

    fn datapoint(path: String, time: i64, value: Value) -> Datapoint {
        Datapoint { path, time, value }
    }

    proptest! {
        #[test]
        fn another_pickle_reader_finds_in_the_frames_what_was_put_in(
            datapoints in prop::collection::vec(("[a-z.]{1,300}", any::<i64>(), prop_oneof![
                any::<i64>().prop_map(Value::Int),
                prop::num::f64::NORMAL.prop_map(Value::Float),
            ]), 0..50)
        ) {
            let datapoints: Vec<_> = datapoints.into_iter().map(|(path, time, value)| datapoint(path, time, value)).collect();
            let read: Message = frames(&datapoints).iter().flat_map(|frame| read(frame)).collect();
            prop_assert_eq!(read.len(), datapoints.len());
            for ((path, (time, value)), put_in) in read.into_iter().zip(datapoints) {
                let value = match (value, put_in.value) {
                    (serde_pickle::Value::I64(value), _) => Value::Int(value),
                    (serde_pickle::Value::F64(value), Value::Int(long)) if i32::try_from(long).is_err() && value == long as f64 => {
                        Value::Int(long)
                    }
                    (serde_pickle::Value::F64(value), _) => Value::Float(value),
                    other => panic!("{other:?}"),
                };
                prop_assert_eq!(datapoint(path, time, value), put_in);
            }
        }
    }

    const JOBS: Field<i64> = Field::count("jobs", "jobs", "those in the queue");
    const SEQUENCE: Field<i64> = Field::gauge("sequence", "seconds", Fold::Last, "into the slot").without_carbon();

    static QUEUE: Measurement = Measurement::new(Declaration {
        name: "queue",
        meaning: "a queue",
        tags: &[Tag::key("queue"), Tag::label("state"), Tag::key("status")],
        fields: &[JOBS.info(), SEQUENCE.info()],
        carbon: "queues.{queue}.{status}",
        every: 600,
    });
    static ALL: [&Measurement; 1] = [&QUEUE];

    #[test]
    fn a_point_of_which_two_fields_have_one_path_is_named() {
        let points = ["m,t=a a\\ b=1,a_b=2 5", "m,t=b a\\ b=1 5"].map(|line| Point::from_line(line).unwrap());
        let (datapoints, dropped) = datapoints(&points, Catalog::new(&ALL));
        assert_eq!(datapoints.iter().map(Datapoint::line).collect::<Vec<_>>(), ["m.b.a_b 1.0 0"]);
        assert_eq!(dropped[0].why, "its Carbon path m.a.a_b is that of two of its fields");
    }

    #[test]
    fn points_become_paths_sorted_and_of_two_with_one_path_the_first_has_it() {
        let point =
            |queue, state, jobs| QUEUE.point(7 * SECOND, [queue, state, "idle"], &[JOBS.of(jobs), SEQUENCE.of(3)]);
        let catalog = Catalog::new(&ALL);
        let lines = |points: &[Point]| {
            let (datapoints, dropped) = datapoints(points, catalog);
            let dropped = dropped.into_iter().map(|dropped| format!("{}: {}", dropped.name, dropped.why));
            datapoints.iter().map(Datapoint::line).chain(dropped).collect::<Vec<_>>()
        };
        assert_eq!(
            lines(&[point("b", "online", 1), point("a", "offline", 2)]),
            ["queues.a.idle 2 7", "queues.b.idle 1 7"]
        );
        // Lines as the spool returns them, and as a newer version writes them.
        let read = |line: &str| Point::from_line(line).unwrap();
        let points = [
            point("a b", "online", 1),
            read("queue,queue=a.b,state=x,status=idle jobs=5i 7000000000"),
            read("queue,queue=a jobs=5i 7000000000"),
            read("queue,queue=c,status=idle jobs=5i,new=3i 7000000000"),
            read("newer,queue=c jobs=5i 7000000000"),
            point("a", "online", 2),
        ];
        assert_eq!(
            lines(&points),
            [
                "newer.c.jobs 5 7",
                "queues.a.idle 2 7",
                "queues.a_b.idle 1 7",
                r"queue,queue=a.b,state=x,status=idle: its Carbon path queues.a_b.idle is taken by queue,queue=a\ b,status=idle",
                "queue,queue=a: its Carbon path queues.{queue}.{status} needs tags that it lacks",
                "queue,queue=c,status=idle: this version has no field new of it",
            ]
        );
    }

    #[test]
    fn of_two_readings_in_one_second_carbon_has_the_first_and_the_other_says_why_not() {
        let reading = |time| QUEUE.point(time, ["a", "x", "idle"], &[JOBS.of(1), SEQUENCE.of(3)]);
        let (kept, dropped) = datapoints(&[reading(7 * SECOND), reading(7 * SECOND + SECOND / 2)], Catalog::new(&ALL));
        assert_eq!((kept.len(), dropped.len()), (1, 1));
        assert_eq!(dropped[0].why, "Carbon keeps one value a second, and has another one of this second");
    }

    #[test]
    fn frames_are_full_but_never_larger_than_carbon_takes() {
        assert!(frames(&[]).is_empty());
        for length in [1, 54, 199, 997, 100_000] {
            let datapoints: Vec<_> = (0..3 * LARGEST_MESSAGE / (length + 20))
                .map(|at| datapoint("p".repeat(length), at as i64, Value::Int(i64::MAX)))
                .collect();
            let frames = frames(&datapoints);
            assert_eq!(frames.iter().map(|frame| read(frame).len()).sum::<usize>(), datapoints.len());
            let largest = frames.iter().map(Vec::len).max().unwrap();
            assert!(largest > 4 + LARGEST_MESSAGE - length - 45, "{largest} for paths of {length}");
        }
    }
}
