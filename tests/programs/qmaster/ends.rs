//! An orderly end: who sends a stream cannot be told to send it again, so what has come is kept, or named.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use gridmon_testkit::sandbox::disk::SmallDisk;
use gridmon_testkit::sandbox::{FakeCarbon, Mood};
use gridmon_testkit::{Ports, free_port, wait_until};

use super::{LIMIT, Master, carbon_section, wait_for};

/// A master that receives Carbon's lines at a port of its own.
fn master(carbon: &FakeCarbon) -> (Master, u16, Ports) {
    let (port, ports) = free_port();
    (Master::new(&format!("carbon_line = 127.0.0.1:{port}\n{}", carbon_section(carbon))), port, ports)
}

/// Sends so many lines on each of some connections, and ends the master while all of them wait in the kernel. Returns how many were
/// lost, and how long the end took.
fn lost_at_the_end(lines: usize) -> (usize, Duration) {
    const STREAMS: usize = 20;
    let carbon = FakeCarbon::start(Mood::Good);
    let (mut master, port, _ports) = master(&carbon);
    master.run();
    let mut streams: Vec<_> = (0..STREAMS).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    for (at, stream) in streams.iter_mut().enumerate() {
        writeln!(stream, "first.{at} 1 1717245000").unwrap();
    }
    master.wait_for_metric("qmaster_points_total{from=\"carbon_line\"}", STREAMS as u64);
    gridmon_testkit::signal(master.pid(), "STOP");
    for (at, stream) in streams.iter_mut().enumerate() {
        for of in 0..lines {
            writeln!(stream, "stream.{at}.{of} 1 1717245000").unwrap();
        }
    }
    let (mut process, ends) = (master.process.take().unwrap(), Instant::now());
    ["TERM", "CONT"].iter().for_each(|signal| gridmon_testkit::signal(process.id(), signal));
    assert_eq!(process.wait().unwrap().code(), Some(0), "{}", master.log());
    let took = ends.elapsed();
    master.run();
    let spool = master.folder.path().join("state/spool");
    let is_batch = |name: &str| name.ends_with(".batch");
    wait_until("an empty spool", LIMIT, || {
        let mut files = fs::read_dir(&spool).unwrap().map(|file| file.unwrap().file_name());
        (!files.any(|name| is_batch(name.to_str().unwrap()))).then_some(())
    });
    let there = carbon.lines().iter().filter(|line| line.starts_with("stream.")).count();
    (STREAMS * lines - there, took)
}

#[test]
fn what_a_stream_has_sent_before_the_end_is_kept() {
    // qmaster takes five seconds at most. A machine on which they are too few for so much must do less.
    for lines in [2_500, 500, 100] {
        let (lost, took) = lost_at_the_end(lines);
        if lost == 0 {
            return;
        }
        assert!(took > Duration::from_secs(5), "{lost} of {lines} lines are lost after {took:?}");
    }
    panic!("this machine is too slow for any of them");
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
