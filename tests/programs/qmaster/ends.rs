//! An orderly end: who sends a stream cannot be told to send it again, so what has come is kept, or named.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use gridmon_testkit::sandbox::disk::SmallDisk;
use gridmon_testkit::sandbox::{FakeCarbon, Mood};
use gridmon_testkit::{Ports, free_port, wait_until};

use super::{LIMIT, Master, carbon_section, wait_for};

/// A master that receives Carbon's lines at a port of its own.
fn master(carbon: &FakeCarbon) -> (Master, u16, Ports) {
    let (port, ports) = free_port();
    (Master::new(&format!("carbon_line = 127.0.0.1:{port}\n{}", carbon_section(carbon))), port, ports)
}

#[test]
fn what_a_stream_has_sent_before_the_end_is_kept() {
    let carbon = FakeCarbon::start(Mood::Good);
    let (mut master, port, _ports) = master(&carbon);
    master.run();
    let mut streams: Vec<_> = (0..20).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    for (at, stream) in streams.iter_mut().enumerate() {
        writeln!(stream, "first.{at} 1 1717245000").unwrap();
    }
    master.wait_for_metric("qmaster_points_total{from=\"carbon_line\"}", 20);
    // All of it waits in the kernel when the end is asked for.
    gridmon_testkit::signal(master.pid(), "STOP");
    for (at, stream) in streams.iter_mut().enumerate() {
        for of in 0..2_500 {
            writeln!(stream, "stream.{} {at} 1717245000", 2_500 * at + of).unwrap();
        }
    }
    let mut process = master.process.take().unwrap();
    ["TERM", "CONT"].iter().for_each(|signal| gridmon_testkit::signal(process.id(), signal));
    assert_eq!(process.wait().unwrap().code(), Some(0), "{}", master.log());
    master.run();
    wait_until("all values at Carbon", LIMIT, || (carbon.lines().len() > 50_000).then_some(()));
    let there = carbon.lines();
    let lost = (0..50_000)
        .filter(|at| there.binary_search(&format!("stream.{at} {}.0 1717245000", at / 2_500)).is_err())
        .count();
    assert_eq!(lost, 0);
}

#[test]
fn what_a_stream_has_sent_is_kept_if_room_comes_before_the_end_and_named_if_not() {
    const NAME: &str = "what_a_stream_has_sent_is_kept_if_room_comes";
    let carbon = FakeCarbon::start(Mood::Good);
    let (mut master, port, _ports) = master(&carbon);
    let Some(disk) = SmallDisk::mount(NAME, master.folder.path().join("state"), "16m") else { return };
    let ballast = disk.path("ballast");
    master.disk = Some(disk);
    for (path, is_kept) in [("kept", true), ("lost", false)] {
        master.run();
        master.disk.as_ref().unwrap().fill("ballast");
        wait_until("a disk that is full", LIMIT, || (master.post("/write", "", b"probe f=1 1").0 == 503).then_some(()));
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(format!("{path} 1 1717245000\n").as_bytes()).unwrap();
        wait_until("a stream that waits", LIMIT, || (master.metric("qmaster_receiving_bytes") > 0).then_some(()));
        let mut process = master.process.take().unwrap();
        gridmon_testkit::signal(process.id(), "TERM");
        if is_kept {
            thread::sleep(Duration::from_secs(1));
            fs::remove_file(&ballast).unwrap();
        }
        assert_eq!(process.wait().unwrap().code(), Some(0), "{}", master.log());
        let named = "1 point given up, since qmaster ended while nothing was accepted";
        assert_eq!(master.log().contains(named), !is_kept, "{}", master.log());
        if !is_kept {
            fs::remove_file(&ballast).unwrap();
        }
    }
    master.run();
    wait_for(&carbon, &["kept 1.0 1717245000"]);
    assert!(!carbon.lines().iter().any(|line| line.starts_with("lost")));
}
