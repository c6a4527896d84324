//! The recorded frames, byte by byte, answers that lie, and the account of lost calls.

use std::time::Duration;

use super::domain::parse;
use super::memory::{MOST_LOST, MOST_OUTSTANDING, Memory};
use super::message::{self, DomainRef, Groups, HEADER, LONGEST, Procedure, Uuid, Value};
use super::nova;
use super::xdr::Writer;
use crate::os::process::Identity;

/// The bytes of a recorded frame.
macro_rules! frame {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/fixtures/libvirt/rpc/", $name, ".bin"))
    };
}

fn uuid(last: u8) -> Uuid {
    let mut bytes = [0; 16];
    (bytes[6], bytes[8], bytes[15]) = (0x40, 0x80, last);
    Uuid(bytes)
}

fn domain(number: u8, id: i32) -> DomainRef {
    DomainRef { name: format!("instance-{number:08x}"), uuid: uuid(number), id }
}

fn serial(frame: &[u8]) -> u32 {
    u32::from_be_bytes([frame[20], frame[21], frame[22], frame[23]])
}

/// Returns the body of a recorded reply, and whether it is an error.
fn body(frame: &[u8]) -> (bool, &[u8]) {
    assert_eq!(message::length([frame[0], frame[1], frame[2], frame[3]]).unwrap(), frame.len());
    let (header, body) = message::split(&frame[4..]).unwrap();
    assert!(header.is_reply && header.serial == serial(frame));
    (header.is_error, body)
}

#[test]
fn our_calls_are_the_recorded_ones_byte_by_byte() {
    let one = domain(1, 1);
    let gone = DomainRef { name: "instance-00000099".into(), uuid: uuid(0x99), id: -1 };
    let nova = nova::NAMESPACES[0];
    for (recorded, procedure, body) in [
        (&frame!("auth_list.call")[..], Procedure::AuthList, Vec::new()),
        (frame!("lib_version.call"), Procedure::LibVersion, Vec::new()),
        (frame!("open.call"), Procedure::Open, message::open()),
        (frame!("list_all_domains.call"), Procedure::List, message::list()),
        (frame!("stats.call"), Procedure::Stats, message::stats(&[], Groups::All)),
        (frame!("stats_one.call"), Procedure::Stats, message::stats(&[&one], Groups::All)),
        (frame!("stats_gone.call"), Procedure::Stats, message::stats(&[&gone], Groups::All)),
        (frame!("stats_state_interface.call"), Procedure::Stats, message::stats(&[], Groups::Quiet)),
        (frame!("metadata.call"), Procedure::Metadata, message::metadata(&one, nova)),
        (frame!("metadata_gone.call"), Procedure::Metadata, message::metadata(&gone, nova)),
        (frame!("metadata_none.call"), Procedure::Metadata, message::metadata(&one, "http://example.org/none")),
    ] {
        assert_eq!(message::call(procedure, serial(recorded), &body), recorded, "{procedure:?}");
    }
}

#[test]
fn recorded_replies_are_read_whole() {
    assert_eq!(message::read_auth_list(body(frame!("auth_list.reply")).1).unwrap(), [0]);
    assert_eq!(message::read_version(body(frame!("lib_version.reply")).1).unwrap(), "9.0.0");
    assert_eq!(body(frame!("open.reply")), (false, &[][..]));
    let list = message::read_list(body(frame!("list_all_domains.reply")).1).unwrap();
    assert_eq!(list, [domain(3, 3), domain(1, 1), domain(2, 2)]);
    let all = parse(body(frame!("stats.reply")).1, Duration::ZERO, 100).unwrap();
    assert_eq!(all.iter().map(|domain| domain.of.id).collect::<Vec<_>>(), [3, 1, 2]);
    assert!(all.iter().all(|domain| domain.stats.is_on() && !domain.stats.is_passed_by()));
    let one = &parse(body(frame!("stats_one.reply")).1, Duration::ZERO, 100).unwrap()[0].stats;
    assert_eq!(
        (one.state, one.vcpus, one.vcpus_limit, one.balloon.current),
        (Some(1), Some(2), Some(2), Some(16 << 20))
    );
    assert_eq!((one.net[&0].name.as_str(), one.net_count, one.net[&0].numbers[5]), ("tap00000001", Some(1), Some(42)));
    assert_eq!(
        (one.block[&0].name.as_str(), one.block[&0].numbers[2], one.block[&0].numbers[8]),
        ("vda", Some(43), Some(1 << 20))
    );
    let quiet = parse(body(frame!("stats_state_interface.reply")).1, Duration::ZERO, 100).unwrap();
    assert!(quiet.iter().all(|domain| domain.stats.is_passed_by() && domain.stats.cpu_time.is_none()));
    assert_eq!(parse(body(frame!("stats_gone.reply")).1, Duration::ZERO, 100).unwrap(), []);
    let xml = message::read_metadata(body(frame!("metadata.reply")).1).unwrap();
    let nova = nova::parse(&xml).unwrap();
    assert_eq!((nova.name.as_str(), nova.flavor.as_str()), ("web-1", "m1.tiny"));
    assert_eq!(nova.project, "b1e2d3c4a5f60718293a4b5c6d7e8f90");
}

#[test]
fn recorded_refusals_are_read_with_libvirts_number_and_words() {
    for (frame, code, text) in [
        (&frame!("metadata_none.reply")[..], 80, "metadata not found: Requested metadata element is not present"),
        (
            frame!("metadata_gone.reply"),
            42,
            "Domain not found: no domain with matching uuid '00000000-0000-4000-8000-000000000099' (instance-00000099)",
        ),
        (frame!("destroy_read_only.reply"), 29, "operation forbidden: read only access prevents virDomainDestroy"),
        (frame!("stats_before_open.reply"), 1, "internal error: hypervisor connection not open"),
        (
            frame!("stats_group_unknown.reply"),
            74,
            "argument unsupported: Stats types bits 0x8000 are not supported by this daemon or QEMU",
        ),
        (frame!("unknown_procedure.reply"), 39, "unknown procedure: 9999"),
    ] {
        let (is_error, body) = body(frame);
        let refusal = message::refusal(body).unwrap();
        assert_eq!((is_error, refusal.code, refusal.message.as_str()), (true, code, text));
    }
    // Of another program, such as keep-alive: passed over.
    assert!(!message::split(&frame!("wrong_program.reply")[4..]).unwrap().0.is_reply);
}

#[test]
fn an_answer_that_breaks_off_or_lies_is_refused_and_allocates_nothing() {
    let whole = body(frame!("stats.reply")).1;
    for length in 0..whole.len() {
        assert!(parse(&whole[..length], Duration::ZERO, 100).is_err(), "{length}");
    }
    let longer = [whole, &[0; 4]].concat();
    assert_eq!(
        parse(&longer, Duration::ZERO, 100).unwrap_err().to_string(),
        "the answer has 4 bytes more than it should"
    );
    let more = parse(whole, Duration::ZERO, 2).unwrap_err().to_string();
    assert_eq!(more, "the answer has 3 domains instead of at most 2");
    assert!(
        message::read_list(&Writer::default().u32(16_385).0).unwrap_err().to_string().starts_with("the answer has")
    );
    // Four billion keys and bytes.
    for lie in [Writer::default().u32(1), Writer::default().u32(1).u32(u32::MAX).u32(0)] {
        assert_eq!(parse(&lie.0, Duration::ZERO, 100).unwrap_err().to_string(), "the answer breaks off");
    }
    let odd =
        |kind| Writer::default().u32(1).text("a").bytes(&[0; 16]).i32(1).u32(1).text("state.state").u32(kind).u32(0);
    assert_eq!(
        parse(&odd(8).0, Duration::ZERO, 100).unwrap_err().to_string(),
        "the answer has a value of type 8, which the protocol does not know"
    );
    for length in [0, HEADER - 1, LONGEST + 1, u32::MAX as usize] {
        assert!(message::length((length as u32).to_be_bytes()).is_err(), "{length}");
    }
    let web = message::length(*b"HTTP").unwrap_err().to_string();
    assert_eq!(web, "what answers is not libvirtd: \"HTTP\" begins no message of its protocol");
}

#[test]
fn every_type_of_value_is_read() {
    let values = Writer::default().u32(1).text("a").bytes(&[0; 16]).i32(1).u32(7);
    let values =
        values.text("1").u32(1).i32(-1).text("2").u32(2).u32(7).text("3").u32(3).bytes(&(-5_i64).to_be_bytes());
    let values = values.text("4").u32(4).bytes(&u64::MAX.to_be_bytes()).text("5").u32(5).bytes(&1.5_f64.to_be_bytes());
    let values = values.text("6").u32(6).u32(1).text("7").u32(7).text("oui");
    let mut seen = Vec::new();
    message::read_stats(&values.0, 100, |_| (), |(), _, value| seen.push(format!("{value:?}"))).unwrap();
    let expected = [
        Value::Negative(-1),
        Value::Unsigned(7),
        Value::Negative(-5),
        Value::Unsigned(u64::MAX),
        Value::Float(1.5),
        Value::Unsigned(1),
        Value::Text(b"oui"),
    ];
    assert_eq!(seen, expected.map(|value| format!("{value:?}")));
}

#[test]
fn metadata_that_is_no_xml_or_a_trap_is_refused() {
    assert!(nova::parse("").is_err());
    assert!(nova::parse("<instance><name>").is_err());
    assert!(nova::parse(&format!("<a>{}</a>", " ".repeat(300_000))).is_err());
    let bomb = "<!DOCTYPE a [<!ENTITY b \"x\"><!ENTITY c \"&b;&b;&b;\">]><instance><name>&c;</name></instance>";
    assert!(nova::parse(bomb).is_err());
    // Deep as a text of this length can be.
    let _ = nova::parse(&"<a>".repeat(60_000));
    let bare = nova::parse("<instance xmlns='x'><name> \u{1f600} </name></instance>").unwrap();
    assert_eq!((bare.name.as_str(), bare.flavor.as_str(), bare.project.as_str()), ("\u{1f600}", "", ""));
}

#[test]
fn lost_calls_are_counted_until_each_domain_answers_or_is_gone() {
    let domains: Vec<_> = (1..=8).map(|number| domain(number, number.into())).collect();
    let all: Vec<_> = domains.iter().collect();
    let mut memory = Memory::default();
    memory.listed(&domains);
    assert_eq!(memory.budget(0, 0), MOST_LOST);
    // A list of all is lost, then two of them alone; the first one shows itself by being passed by.
    memory.lost(&all);
    memory.passed_by(&domains[0]);
    memory.lost(&[&domains[1]]);
    memory.lost(&[&domains[2]]);
    assert_eq!((memory.outstanding(), memory.budget(3, 0), memory.budget(0, 0), memory.budget(0, 1)), (3, 0, 2, 1));
    assert_eq!((memory.budget(2, 1), memory.budget(2, 0), memory.budget(0, 2)), (0, 1, 0));
    memory.lost(&[&domains[3]]);
    memory.lost(&[&domains[4]]);
    assert_eq!((memory.outstanding(), memory.budget(0, 0)), (MOST_OUTSTANDING, 0));
    let kept = serde_json::to_string(&memory).unwrap();
    assert_eq!(serde_json::from_str::<Memory>(&kept).unwrap(), memory);
    // One moves, one is started anew, one is gone.
    memory.answered(&domains[0]);
    let mut now = domains.clone();
    now[1].id = 77;
    now.remove(2);
    memory.listed(&now);
    assert_eq!((memory.outstanding(), memory.held.len()), (2, 2));
    // A new libvirtd owes nothing.
    memory.meet((1, 2), None);
    assert_eq!((memory.outstanding(), memory.unsure.len(), memory.domains.len()), (0, 0, 7));
}

/// systemd keeps the socket over a restart.
#[test]
fn a_libvirtd_is_told_from_the_one_before_by_its_process() {
    let own = Identity::own().unwrap();
    let known = Memory { held: [(uuid(1), 1)].into(), socket: (1, 2), daemon: own.text(), ..Memory::default() };
    let after = |socket, daemon: Option<&Identity>, memory: &Memory| {
        let mut memory = memory.clone();
        memory.meet(socket, daemon);
        (memory.outstanding(), memory.daemon == own.text())
    };
    // The same one, also at another socket or where it cannot be seen.
    assert_eq!(after((1, 2), Some(&own), &known), (1, true));
    assert_eq!(after((7, 7), Some(&own), &known), (1, true));
    assert_eq!(after((1, 2), None, &known), (1, true));
    // Another one, and one that has ended.
    let parent = Identity::of(std::os::unix::process::parent_id().cast_signed()).unwrap();
    assert_eq!(after((1, 2), Some(&parent), &known), (0, false));
    let (pid, rest) = own.text().split_once('\n').map(|(pid, rest)| (pid.to_string(), rest.to_string())).unwrap();
    let ended = Memory { daemon: format!("{pid}\n1{rest}"), ..known.clone() };
    assert_eq!(after((1, 2), None, &ended), (0, false));
    // Of a memory without it the socket decides.
    let older = Memory { daemon: String::new(), ..known };
    assert_eq!((after((1, 2), Some(&own), &older), after((1, 3), Some(&own), &older)), ((1, true), (0, true)));
}

#[test]
fn a_lost_list_that_nobody_shows_to_be_at_fault_counts_once_for_each_suspect_at_most() {
    let domains: Vec<_> = (1..=2).map(|number| domain(number, number.into())).collect();
    let mut memory = Memory::default();
    memory.listed(&domains);
    memory.lost(&domains.iter().collect::<Vec<_>>());
    memory.answered(&domains[0]);
    assert_eq!(memory.outstanding(), 1);
    memory.answered(&domains[1]);
    assert_eq!((memory.outstanding(), memory.loose), (0, 0));
}

#[test]
fn lists_that_a_lock_holds_up_are_tried_ever_more_seldom() {
    let mut memory = Memory::default();
    let mut tries = Vec::new();
    for now in (0..30 * 86_400).step_by(300) {
        if memory.may_list(now) {
            memory.list_lost(now);
            tries.push(now);
        }
    }
    assert_eq!(tries[..4], [0, 7200, 21_600, 50_400]);
    assert!(tries.len() <= 9, "{}", tries.len());
    memory.listed(&[]);
    assert!(memory.may_list(30 * 86_400) && memory.outstanding() == 0);
}
