//! Batches that a sink does not take: how often they are tried, and what they hold up.

use anyhow::anyhow;
use gridmon::sinks::{ClosedPlace, NeverTaken};

use super::{Bench, down, sent, up};

#[test]
fn a_batch_that_a_sink_never_takes_goes_aside_at_the_third_attempt() {
    let bench = Bench::new(&["carbon", "influxdb"]);
    bench.set(0, down);
    bench.run(0, 3);
    bench.run(1, 1);
    // The batch of three points is poison: whatever else comes passes.
    bench.set(0, |points| match points.len() {
        3 => sent(Err(anyhow!(NeverTaken("it broke off".into())))),
        _ => sent(Ok(())),
    });
    for (minute, aside) in [(2, false), (3, false), (4, true)] {
        let delivery = bench.run(minute, 1);
        let words: Vec<_> = delivery.problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(words.len(), usize::from(aside), "{words:?}");
        if aside {
            assert_eq!(words, ["carbon failed with it three times, and took others: it broke off; put into bad/"]);
        }
    }
    assert_eq!(bench.minutes(0), [2, 1, 3, 4]);
    assert_eq!(bench.minutes(1), [0, 1, 2, 3, 4], "the other sink is not concerned");
    assert_eq!(bench.files("spool/bad").len(), 2);
    bench.run(5, 1);
    assert_eq!(bench.files("spool"), ["bad", "lock.carbon", "lock.influxdb"], "notes without a batch are swept");
}

#[test]
fn a_batch_that_fails_on_a_bad_line_never_goes_aside() {
    let bench = Bench::new(&["carbon"]);
    bench.set(0, down);
    bench.run(0, 3);
    bench.run(1, 1);
    bench.set(0, |points| if points.len() == 3 { sent(Err(anyhow!("it broke off"))) } else { sent(Ok(())) });
    for minute in 2..12 {
        assert!(bench.run(minute, 1).problems.is_empty());
    }
    assert_eq!(bench.files("spool/bad"), Vec::<String>::new());
    bench.set(0, up);
    bench.run(12, 1);
    assert_eq!(bench.minutes(0).last(), Some(&0));
}

#[test]
fn batches_that_a_sink_never_takes_hold_up_no_others() {
    let bench = Bench::new(&["carbon"]);
    bench.set(0, down);
    (0..5).for_each(|minute| drop(bench.run(minute, if minute < 4 { 3 } else { 1 })));
    bench.set(0, |points| match points.len() {
        3 => sent(Err(anyhow!(NeverTaken("it broke off".into())))),
        _ => sent(Ok(())),
    });
    bench.run(5, 1);
    assert_eq!(bench.minutes(0), [5, 4]);
}

#[test]
fn batches_whose_place_is_closed_wait_for_ever_and_hold_up_no_others() {
    let bench = Bench::new(&["influxdb"]);
    bench.set(0, down);
    (0..5).for_each(|minute| drop(bench.run(minute, if minute < 4 { 3 } else { 1 })));
    bench.set(0, |points| match points.len() {
        3 => sent(Err(anyhow!(ClosedPlace("no such database".into())))),
        _ => sent(Ok(())),
    });
    for minute in 5..10 {
        let problems = bench.run(minute, 1).problems;
        let words: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(words, ["no such database"]);
    }
    assert_eq!(bench.minutes(0), [5, 4, 6, 7, 8, 9]);
    bench.set(0, up);
    bench.run(10, 1);
    assert_eq!(bench.minutes(0), [5, 4, 6, 7, 8, 9, 10, 0, 1, 2, 3]);
    assert_eq!(bench.files("spool").iter().filter(|name| name.contains(".closed.")).count(), 4);
    bench.run(11, 1);
    assert_eq!(bench.files("spool").iter().filter(|name| name.contains(".closed.")).count(), 0);
}
