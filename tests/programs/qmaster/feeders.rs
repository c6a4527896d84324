//! Carbon's own protocols, and the programs that speak them: carbon-c-relay and collectd of Debian.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use gridmon_testkit::sandbox::{FakeCarbon, Mood};
use gridmon_testkit::{free_port, wait_until};

use super::{LIMIT, Master, carbon_section, wait_for};

/// A process of the test's own, ended on drop.
pub(super) struct Feeder(pub(super) Child);

impl Drop for Feeder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn carbons_protocols_leave_for_carbon_as_they_came() {
    let carbon = FakeCarbon::start(Mood::Good);
    let ((lines, _a), (pickles, _b)) = (free_port(), free_port());
    let master = Master::start(&format!(
        "carbon_line = 127.0.0.1:{lines}\ncarbon_pickle = 127.0.0.1:{pickles}\n{}",
        carbon_section(&carbon)
    ));
    let mut stream = TcpStream::connect(("127.0.0.1", lines)).unwrap();
    stream.write_all(b"servers.a-b.load 0.5 1717245000\nodd line\nx;dc=a 3 17172").unwrap();
    stream.write_all(b"45001\n").unwrap();
    let pickle = b"\x80\x02](X\x05\x00\x00\x00p.q.rJ\x88\x11[fG@\x04\x00\x00\x00\x00\x00\x00\x86\x86e.";
    let mut stream = TcpStream::connect(("127.0.0.1", pickles)).unwrap();
    stream.write_all(&[&(pickle.len() as u32).to_be_bytes()[..], pickle].concat()).unwrap();
    let time = i32::from_le_bytes([0x88, 0x11, 0x5b, 0x66]);
    let of_pickle = format!("p.q.r 2.5 {time}");
    wait_for(&carbon, &["servers.a-b.load 0.5 1717245000", "x;dc=a 3.0 1717245001", &of_pickle]);
    assert_eq!(master.metric("qmaster_refused_total{from=\"carbon_line\"}"), 1);
}

#[test]
fn carbon_c_relay_and_collectd_feed_it() {
    let carbon = FakeCarbon::start(Mood::Good);
    let (lines, _ports) = free_port();
    let master = Master::start(&format!("carbon_line = 127.0.0.1:{lines}\n{}", carbon_section(&carbon)));
    let relay = Path::new("/usr/bin/carbon-c-relay");
    if relay.exists() {
        let (port, _ports) = free_port();
        let config = format!("cluster out forward 127.0.0.1:{lines};\nmatch * send to out;\n");
        let config = master.folder.write("relay.conf", config);
        let mut command = Command::new(relay);
        command.arg("-p").arg(port.to_string()).arg("-f").arg(config).stdout(Stdio::null()).stderr(Stdio::null());
        let mut relay = Feeder(command.spawn().unwrap());
        // A relay that has just started may lose its first lines, before a plain listener too (1 of 12 tries), reset its first
        // connection, or end.
        let mut connect = || {
            wait_until("the relay", LIMIT, || {
                if relay.0.try_wait().unwrap().is_some() {
                    relay = Feeder(command.spawn().unwrap());
                }
                TcpStream::connect(("127.0.0.1", port)).ok()
            })
        };
        let mut stream = connect();
        wait_until("the relay's value", LIMIT, || {
            if stream.write_all(b"through.relay 7 1717245000\n").is_err() {
                stream = connect();
            }
            carbon.lines().iter().any(|line| line == "through.relay 7.0 1717245000").then_some(())
        });
    } else {
        gridmon_testkit::skip("carbon_c_relay_and_collectd_feed_it", "carbon-c-relay");
    }
    let collectd = Path::new("/usr/sbin/collectd");
    if !collectd.exists() {
        return gridmon_testkit::skip("carbon_c_relay_and_collectd_feed_it", "collectd");
    }
    let folder = master.folder.path().display();
    let config = format!(
        "Hostname \"wn001\"\nFQDNLookup false\nInterval 1\nBaseDir \"{folder}\"\nPIDFile \"{folder}/collectd.pid\"\n\
         LoadPlugin load\nLoadPlugin write_graphite\n<Plugin write_graphite>\n<Node \"q\">\nHost \"127.0.0.1\"\nPort \"{lines}\"\n\
         Protocol \"tcp\"\n</Node>\n</Plugin>\n"
    );
    let config = master.folder.write("collectd.conf", config);
    let log = fs::File::create(master.folder.path().join("collectd.log")).unwrap();
    let mut command = Command::new(collectd);
    command.arg("-f").arg("-C").arg(config).stdout(Stdio::null()).stderr(log);
    let _collectd = Feeder(command.spawn().unwrap());
    wait_until("collectd's load", LIMIT, || {
        carbon.lines().iter().any(|line| line.starts_with("wn001.load.load.shortterm ")).then_some(())
    });
}
