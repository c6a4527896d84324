//! A store that is slow, and a run whose time is short.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use gridmon::sinks::s3::Failure;

use super::super::{Host, keys};
use super::{Request, Stub, put, store, taken};

#[test]
fn a_store_that_hangs_or_resets_costs_its_time_and_no_more() {
    let slow = Stub::start(Box::new(|request, _| {
        thread::sleep(Duration::from_secs(5));
        taken(request)
    }));
    let began = Instant::now();
    let Err(Failure::One(text)) = put(&slow.store("timeout_seconds = 1")) else { panic!("it took it") };
    assert!(text.ends_with("no answer within 1 s") && began.elapsed() < Duration::from_secs(3), "{text}");
    // A connection that breaks is tried once more.
    let once = Stub::start(Box::new(|request, at| if at == 0 { None } else { taken(request) }));
    put(&once.store("")).unwrap();
    assert_eq!(once.seen().len(), 2);
    let always = Stub::start(Box::new(|_, _| None));
    let Err(Failure::One(text)) = put(&always.store("")) else { panic!("it took it") };
    assert!(text.starts_with("PUT http://127.0.0.1") && !text.contains("X-Amz"), "{text}");
    let Err(Failure::All(text)) = put(&store("http://127.0.0.1:1", "")) else { panic!("it took it") };
    assert!(text.contains("no connection"), "{text}");
}

/// A store that takes a third of a second for each graph, and a run that has six seconds: what did not fit goes first in the next one.
#[test]
fn what_does_not_fit_into_a_run_goes_first_in_the_next_one() {
    let stub = Stub::start(Box::new(|request, _| {
        thread::sleep(Duration::from_millis(300));
        taken(request)
    }));
    let host = Host::start();
    host.config_of(8, &stub.url, &format!("bucket = gridmon-heprc\nparallel = 1\n{}", keys("hidden+secret")));
    let graph = |request: &Request| request.line.split(['?', ' ']).nth(1).unwrap_or_default().to_string();
    host.good(0);
    let full = host.run(1);
    let seen: Vec<_> = stub.seen().iter().map(graph).collect();
    assert!((1..27).contains(&seen.len()), "{seen:?}");
    assert_eq!(full.code, Some(1), "{}", full.stderr);
    let says = |waiting: usize| {
        full.stderr.contains(&format!(
            "s3: the run's time is over; {waiting} of 27 graphs wait for the next run, the first since 2024-06-01 12:0"
        ))
    };
    // The end of the run may have cut off the last one, which waits like those that were not tried.
    let taken = if says(27 - seen.len()) { seen.len() } else { seen.len() - 1 };
    let (first, waiting): (BTreeSet<_>, _) = (seen[..taken].iter().cloned().collect(), 27 - taken);
    assert!(says(waiting), "{}", full.stderr);
    host.run(2);
    let second: Vec<_> = stub.seen()[seen.len()..].iter().map(graph).collect();
    let new: BTreeSet<_> = second.iter().take(waiting).cloned().collect();
    assert!(new.len() == waiting.min(second.len()) && new.is_disjoint(&first), "{first:?}\n{second:?}");
    assert!(second.len() < waiting || new.len() + first.len() == 27, "{first:?}\n{second:?}");
}
