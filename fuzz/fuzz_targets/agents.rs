//! Reads what others send to qmaster: line protocol, QULo's pickles, Carbon's lines and pickles, what an agent says about itself,
//! and the settings that a master keeps for agents. The first byte says which, the second one in which parts a stream comes.
//!
//! It may be refused, in bounded time and memory. What is taken makes points that the spool reads back; a stream in parts gives what it gives at once.

#![no_main]

use gridmon::model::{Point, validate};
use gridmon::monitors::nodes::central;
use gridmon::sources::agents::lines::Lines;
use gridmon::sources::agents::scanner::{LONGEST, Scanned, Scanner, scan};
use gridmon::sources::agents::status::AgentStatus;
use gridmon::sources::agents::{Received, carbon_line, carbon_pickle, qulo};
use gridmon_fuzz::bounded;
use libfuzzer_sys::fuzz_target;

const NOW: i64 = 1_795_660_800;

fuzz_target!(|data: &[u8]| {
    let [which, part, data @ ..] = data else { return };
    match which % 6 {
        0 => {
            let unit = [1, 1_000, 1_000_000, 1_000_000_000][usize::from(part % 4)];
            check(bounded(room(data.len()), || body(data, unit)))
        }
        1 => pickles(data, usize::from(*part) + 1),
        2 => stream(data, usize::from(*part) + 1, |bytes, _, received| Ok(carbon_line::parse(bytes, NOW, received))),
        3 => stream(data, usize::from(*part) + 1, |bytes, _, received| carbon_pickle::parse(bytes, NOW, received)),
        4 => word(data),
        _ => settings(&String::from_utf8_lossy(data)),
    }
});

/// What an input of `length` bytes becomes may take so much memory, whatever lengths it states: a point takes a hundred times its
/// line.
fn room(length: usize) -> usize {
    (256 << 10) + 1_000 * length
}

/// Parses a body of lines to its end.
fn body(data: &[u8], unit: i64) -> Received {
    let (mut lines, mut all) = (Lines::new(data.to_vec(), unit, NOW * 1_000_000_000), Received::default());
    while let Some(Received { points, refused, .. }) = lines.piece() {
        all.points.extend(points);
        all.refused.merge(refused);
    }
    all
}

/// Checks that each point comes back from its line, and that none is lost silently.
fn check(received: Received) {
    let Received { points, refused, .. } = received;
    assert!(refused.reasons.len() <= refused.count);
    for point in &points {
        assert_eq!(point.fault(), None, "{}", point.line());
        assert_eq!(&Point::from_line(&point.line()).expect("what was taken"), point);
    }
    let count = points.len();
    let (good, dropped) = validate(points);
    assert_eq!(good.len() + dropped.len(), count);
}

/// Reads a stream at once and in parts of some bytes; both must give the same points, up to where it is refused.
fn stream(data: &[u8], part: usize, parse: impl Fn(&[u8], &mut Scanner, &mut Received) -> Result<usize, String>) {
    let read = |part: usize| {
        let (mut received, mut scanner, mut buffer) = (Received::default(), Scanner::default(), Vec::new());
        let mut outcome = Ok(());
        for bytes in data.chunks(part) {
            buffer.extend_from_slice(bytes);
            match parse(&buffer, &mut scanner, &mut received) {
                Ok(used) => drop(buffer.drain(..used)),
                Err(why) => {
                    outcome = Err(why);
                    break;
                }
            }
        }
        (received, outcome, buffer.len())
    };
    let (whole, outcome, rest) = bounded(room(data.len()), || read(data.len().max(1)));
    let (parts, of_parts, rest_of_parts) = bounded(room(data.len()), || read(part));
    assert_eq!(
        parts.points.iter().map(Point::line).collect::<Vec<_>>(),
        whole.points.iter().map(Point::line).collect::<Vec<_>>()
    );
    assert_eq!((parts.refused.count, &parts.seen), (whole.refused.count, &whole.seen));
    match (&outcome, &of_parts) {
        (Ok(()), Ok(())) => assert_eq!(rest, rest_of_parts),
        (Err(_), Err(_)) => {}
        other => panic!("at once and in parts of {part}: {other:?}"),
    }
    check(whole);
}

fn pickles(data: &[u8], part: usize) {
    if let Scanned::Plain(length, values) = bounded(room(data.len()), || scan(data)) {
        assert!(length <= data.len().min(LONGEST) && values <= length);
    }
    stream(data, part, qulo::parse);
}

fn word(data: &[u8]) {
    if let Ok(word) = bounded(room(data.len()), || AgentStatus::parse(data)) {
        let again = serde_json::to_vec(&word).expect("a word is JSON");
        assert_eq!(AgentStatus::parse(&again).expect("what was taken"), word);
        assert!(!word.host.contains(char::is_control) && word.sensors.len() <= 200);
    }
}

/// Checks that a master sends only what an agent takes, and that nothing but intervals and filters is in it.
fn settings(text: &str) {
    for host in ["wn001.example.org", "gpu1.", ""] {
        let Ok(sent) = bounded(room(text.len()), || central::for_host(text, "f", host)) else { continue };
        if let Err(error) = central::check(&sent, "f") {
            panic!("an agent refuses what its master sends: {error:#}: {sent}");
        }
        for line in sent.lines().filter(|line| !line.starts_with('[')) {
            let key = line.split(" = ").next().unwrap_or_default();
            assert!(central::KEYS.iter().any(|known| known.eq_ignore_ascii_case(key)), "{line}");
        }
        assert_eq!(central::for_host(&sent, "f", host).expect("what was sent"), sent);
    }
}
