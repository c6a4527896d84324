//! Reads replies of libvirt's protocol from outside: they may be refused, and what is taken makes points that every sink can take,
//! with no rate that is negative or no number.

#![no_main]

use std::time::Duration;

use gridmon::model::validate;
use gridmon::monitors::instances::{Bases, InstancesInput, Moment, points};
use gridmon::sources::libvirt::{Answer, Domain, domain, message, nova};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(length) = data.first_chunk().map_or(Ok(0), |first| message::length(*first)) {
        assert!(length <= message::LONGEST);
    }
    let _ = message::split(data);
    let _ = message::refusal(data);
    let _ = message::read_auth_list(data);
    let _ = message::read_version(data);
    let listed = message::read_list(data).unwrap_or_default();
    assert!(listed.len() * 24 <= data.len());
    if let Ok(xml) = message::read_metadata(data) {
        let _ = nova::parse(&xml);
    }
    if let Ok(xml) = std::str::from_utf8(data) {
        let _ = nova::parse(xml);
    }
    // Two readings: the bytes, and the bytes with one of them changed.
    let mut later = data.to_vec();
    if let Some(last) = later.last_mut() {
        *last ^= 1;
    }
    let mut bases = Bases::default();
    for (seconds, reply) in [(0, data), (300, later.as_slice())] {
        let Ok(domains) = domain::parse(reply, Duration::ZERO, 100) else { return };
        assert!(domains.len() * 28 <= data.len());
        run(&mut bases, domains, seconds);
    }
});

fn run(bases: &mut Bases, domains: Vec<Domain>, seconds: i64) {
    let answer = Answer { known: domains.len(), domains, is_whole: true, ..Answer::default() };
    let began = Moment { wall: (1_717_245_000 + seconds) * 1_000_000_000, running: None };
    let (time, answer) = (began.wall, Some(&answer));
    let collected = points(&InstancesInput { grid: "g", host: "h", time, began, boot: "", names: true, answer }, bases);
    for point in &collected.points {
        assert!(
            point
                .fields()
                .all(|(name, value)| value.as_f64().is_finite() && (value.as_f64() >= 0.0 || !name.contains('_')))
        );
    }
    let count = collected.points.len();
    let (sound, dropped) = validate(collected.points);
    assert_eq!(sound.len() + dropped.len(), count);
}
