//! Sends bytes to a listening qmaster: to its port for HTTP and QULo's agents, and to those of Carbon's protocols. The first byte
//! says which. Whatever they are, it takes only points that the spool reads back, and serves the next client.

#![no_main]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gridmon::listener::{Accept, Busy, Config, Done, Listener};
use gridmon::model::Point;
use libfuzzer_sys::fuzz_target;

/// Takes every point that is as it must be.
struct Checks;

impl Accept for Checks {
    fn accept(&self, points: Vec<Point>, done: Done) -> Result<(), Busy> {
        for point in points {
            assert_eq!(point.fault(), None, "{}", point.line());
            assert_eq!(Point::from_line(&point.line()).expect("what was taken"), point);
        }
        done(Ok(()));
        Ok(())
    }

    fn problem(&self) -> Option<String> {
        None
    }

    fn settings(&self, host: &str) -> anyhow::Result<String> {
        assert!(!host.is_empty() && !host.contains(char::is_control));
        Ok(format!("# {host}\n"))
    }

    fn progress(&self) -> [u64; 3] {
        [0; 3]
    }
}

fn addresses() -> &'static [SocketAddr; 3] {
    static LISTENS: OnceLock<(Listener, [SocketAddr; 3])> = OnceLock::new();
    let (_, addresses) = LISTENS.get_or_init(|| {
        let state = std::env::temp_dir().join(format!("gridmon-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&state).expect("a folder");
        let free = |_| std::net::TcpListener::bind("127.0.0.1:0").and_then(|bound| bound.local_addr()).expect("a port");
        let addresses = [0, 1, 2].map(free);
        let config = Config {
            host: "127.0.0.1".into(),
            port: addresses[0].port(),
            listen: Vec::new(),
            carbon_line: Some(addresses[1]),
            carbon_pickle: Some(addresses[2]),
            is_open: false,
            hosts: Vec::new(),
            agents_config: None,
            tls: None,
            tokens: Vec::new(),
            max_body_bytes: 1 << 20,
            new_series_per_hour: u64::MAX,
        };
        (Listener::start(config, Arc::new(Checks), &state).expect("it listens"), addresses)
    });
    addresses
}

/// Returns what is answered to some bytes, and then their end if it `ends`: an HTTP server need not answer who has ended.
fn send(address: SocketAddr, bytes: &[u8], ends: bool) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(8))).expect("our own socket");
    // It may have been refused already.
    let _ = stream.write_all(bytes);
    if ends {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("it does not end the connection"),
        _ => answer,
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((which, data)) = data.split_first() else { return };
    let addresses = addresses();
    let answer = send(addresses[usize::from(*which) % 3], data, true);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1."), "{answer}");
    let is_bug = answer.starts_with("HTTP/1.1 500") || answer.contains("met a bug");
    assert!(!is_bug, "{answer}");
    // From time to time, since it takes as long as the rest.
    if data.len() % 16 == 0 {
        let alive = send(addresses[0], b"GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", false);
        assert!(alive.starts_with(b"HTTP/1.1 204"), "{}", String::from_utf8_lossy(&alive));
    }
});
