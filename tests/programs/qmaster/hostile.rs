//! What is hostile costs its own connection, and bounded memory.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use gridmon_testkit::sandbox::{FakeCarbon, Mood, fixture};
use gridmon_testkit::wait_until;

use super::{LIMIT, Master, carbon_section, exchange, gzip, request};

/// The resident memory of a process, in bytes.
fn memory(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// Pickles that no agent sends.
fn pickles() -> Vec<(&'static str, Vec<u8>)> {
    // Each list holds the one before twice.
    let mut bomb = b"\x80\x02]q\x00(K\x01K\x01e".to_vec();
    for at in 1..40_u8 {
        bomb.extend([b']', b'q', at, b'(', b'h', at - 1, b'h', at - 1, b'e']);
    }
    bomb.push(b'.');
    let mut deep = b"\x80\x02)".to_vec();
    deep.extend([0x85; 100_000]);
    deep.push(b'.');
    let mut many = b"\x80\x02](".to_vec();
    many.extend(vec![b'N'; 2_000_000]);
    vec![
        ("runs a command", b"\x80\x03cos\nsystem\nX\x02\x00\x00\x00id\x85R.".to_vec()),
        ("runs a command of protocol 4", b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R.".to_vec()),
        ("is a bomb of its memo", bomb),
        ("is too deep", deep),
        ("has too many values", many),
        ("has a text of 4 GB", b"\x80\x02X\xff\xff\xff\xff".to_vec()),
        ("has a text of 2^63 bytes", b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f".to_vec()),
        ("remembers at 4,000,000,000", b"\x80\x02Nr\x00\x28\x6b\xee.".to_vec()),
        ("takes what is not there", b"\x80\x02\x87.".to_vec()),
        ("is a list", b"\x80\x02].".to_vec()),
        ("is a dict without anything", b"\x80\x02}.".to_vec()),
        ("is text behind a first byte", b"\x80GET / HTTP/1.1\r\n\r\n".to_vec()),
    ]
}

#[test]
fn hostile_pickles_cost_their_own_connection() {
    let carbon = FakeCarbon::start(Mood::Good);
    let master = Master::start(&carbon_section(&carbon));
    let mut other = master.connect();
    let count = pickles().len() as u64;
    for (what, pickle) in pickles() {
        let mut stream = master.connect();
        // It may be ended before all is sent.
        let _ = stream.write_all(&pickle);
        let ended = matches!(stream.read(&mut [0; 10]), Ok(0) | Err(_));
        assert!(ended, "a pickle that {what}");
        let answer = exchange(&mut other, &request("POST", "/write", "", b"m f=1 1")).unwrap();
        assert_eq!(answer.0, 204, "after a pickle that {what}");
    }
    master.wait_for_metric("qmaster_connections_ended_total", count);
    assert!(memory(master.pid()) < 200 << 20, "{} bytes", memory(master.pid()));
}

#[test]
fn a_message_that_breaks_off_is_said_whether_its_stream_ends_or_is_reset() {
    let carbon = FakeCarbon::start(Mood::Good);
    let master = Master::start(&carbon_section(&carbon));
    for (is_reset, count) in [(false, 1), (true, 2)] {
        let mut stream = master.connect();
        stream.write_all(b"\x80\x02](K").unwrap();
        wait_until("the half of a message", LIMIT, || (master.metric("qmaster_receiving_bytes") > 0).then_some(()));
        if is_reset {
            rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
        }
        drop(stream);
        master.wait_for_metric("qmaster_connections_ended_total", count);
        wait_until("its room", LIMIT, || (master.metric("qmaster_receiving_bytes") == 0).then_some(()));
    }
}

/// As HAProxy asks for health by default.
#[test]
fn http_1_0_without_a_host_is_answered() {
    let carbon = FakeCarbon::start(Mood::Good);
    let master = Master::start(&carbon_section(&carbon));
    let mut stream = master.connect();
    stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.0 200") && text.ends_with("ok\n"), "{text}");
}

#[test]
fn bodies_that_are_too_large_packed_or_not_are_refused_within_bounded_memory() {
    let carbon = FakeCarbon::start(Mood::Good);
    let master = Master::start(&format!("max_body_bytes = 1000000\n{}", carbon_section(&carbon)));
    let before = memory(master.pid());
    let bomb = gzip(&vec![b'\n'; 400 << 20]);
    for _ in 0..5 {
        let (status, text) = master.post("/write", "Content-Encoding: gzip\r\n", &bomb);
        assert_eq!(status, 413, "{text}");
    }
    assert!(memory(master.pid()) < before + (30 << 20), "{before} became {}", memory(master.pid()));
    assert_eq!(master.post("/write", "", &vec![b'\n'; 1_000_001]).0, 413);
    assert_eq!(master.post("/write", "Content-Encoding: gzip\r\n", b"no gzip").0, 400);
    assert_eq!(master.post("/write", "Content-Encoding: br\r\n", b"x").0, 415);
    assert_eq!(master.post("/write?precision=fortnight", "", b"m f=1").0, 400);
    assert_eq!(master.post("/write", "", b"m f=1 1").0, 204);
}

#[test]
fn ten_thousand_idle_connections_keep_nobody_out() {
    crate::open_many_files();
    let carbon = FakeCarbon::start(Mood::Good);
    let master = Master::start(&carbon_section(&carbon));
    let (mut idle, opened) = (Vec::new(), Instant::now());
    for at in 0..10_000 {
        match TcpStream::connect(("127.0.0.1", master.port)) {
            Ok(mut stream) => {
                match at % 3 {
                    0 => {}
                    1 => stream.write_all(b"POST /write HTTP/1.1\r\nContent-Le").unwrap(),
                    _ => stream.write_all(b"\x80\x03}(X\x04\x00\x00\x00ho").unwrap(),
                }
                idle.push(stream);
            }
            Err(error) => {
                return gridmon_testkit::skip("ten_thousand_idle_connections", &format!("files: {error} after {at}"));
            }
        }
    }
    let began = Instant::now();
    assert_eq!(master.post("/write", "", b"m f=1 1").0, 204);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    // A very slow machine takes longer to connect them than the 60 s that the first ones may be silent.
    let there = master.metric("qmaster_connections");
    assert!(there >= 10_000 || opened.elapsed() > Duration::from_secs(55) && there > 3000, "{there} are there");
    assert!(memory(master.pid()) < 256 << 20, "{} bytes", memory(master.pid()));
}

/// A small body that is many points: each takes a hundred times the bytes of its line.
#[test]
fn a_body_of_very_many_points_takes_bounded_memory() {
    let carbon = FakeCarbon::start(Mood::Good);
    let master = Master::start(&carbon_section(&carbon));
    let before = memory(master.pid());
    let bomb = gzip("m f=1\n".repeat(1_000_000).as_bytes());
    assert!(bomb.len() < 20_000);
    let (status, text) = master.post("/write", "Content-Encoding: gzip\r\n", &bomb);
    assert_eq!(status, 204, "{text}");
    assert_eq!(master.metric("qmaster_spooled_points"), 1_000_000);
    assert!(memory(master.pid()) < before + (150 << 20), "{before} became {}", memory(master.pid()));
}

/// An agent of QULo whose connection ends never comes again.
#[test]
fn requests_that_take_all_the_room_leave_old_agents_theirs() {
    let carbon = FakeCarbon::start(Mood::Good);
    let master = Master::start(&carbon_section(&carbon));
    let message = fs::read(fixture("qulo/proto3/stream_20.bin")).unwrap();
    let mut agent = master.connect();
    agent.write_all(&message).unwrap();
    let name = "qmaster_points_total{from=\"qulo\"}";
    let one = gridmon_testkit::wait_until("the first round", super::LIMIT, || {
        Some(master.metric(name)).filter(|count| *count > 60)
    });
    let mut slow = Vec::new();
    // Each takes twice its size; three leave 5 of 100 MB.
    for _ in 0..3 {
        let mut stream = master.connect();
        stream.write_all(b"POST /write HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16000000\r\n\r\n").unwrap();
        stream.write_all(&vec![b'\n'; 15_900_000]).unwrap();
        slow.push(stream);
    }
    gridmon_testkit::wait_until("a room that is full", super::LIMIT, || {
        (master.post("/write", "", &vec![b'\n'; 5_000_000]).0 == 503).then_some(())
    });
    agent.write_all(&message).unwrap();
    master.wait_for_metric(name, 2 * one);
    drop(slow);
    assert_eq!(master.post("/write", "", b"m f=1 1").0, 204);
}
