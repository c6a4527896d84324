//! Sends bytes to a listening qmaster: to its port for HTTP and QULo's agents, to those of Carbon's protocols, to one that speaks TLS,
//! and through a session of TLS. The first byte says which. Whatever they are, it takes only points that the spool reads back, in
//! bounded time and memory, ends the connection, and serves the next client.

#![no_main]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gridmon::config::Secret;
use gridmon::listener::config::ServerTls;
use gridmon::listener::{Accept, Busy, Config, Done, Listener};
use gridmon::model::Point;
use gridmon_fuzz::bounded;
use libfuzzer_sys::fuzz_target;
use rcgen::CertifiedKey;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

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

/// The token that lets in where TLS is spoken.
const TOKEN: &str = "fuzz";

/// The most memory that one connection may take, and the ping after it: a small packed body is 1 MiB of lines, which is parsed in pieces
/// of 20,000 points.
const ROOM: usize = 48 << 20;

/// How long a connection may last once its client has said all.
const LASTS: Duration = Duration::from_secs(8);

/// The listeners.
struct Listening {
    /// Of HTTP and QULo's agents, of Carbon's lines, and of its pickles.
    plain: [SocketAddr; 3],
    tls: SocketAddr,
    client: Arc<ClientConfig>,
    _listeners: [Listener; 2],
}

fn listening() -> &'static Listening {
    static LISTENS: OnceLock<Listening> = OnceLock::new();
    LISTENS.get_or_init(|| {
        let state = std::env::temp_dir().join(format!("gridmon-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&state).expect("a folder");
        let free = |_| std::net::TcpListener::bind("127.0.0.1:0").and_then(|bound| bound.local_addr()).expect("a port");
        let [http, lines, pickles, tls] = [0, 1, 2, 3].map(free);
        let config = Config {
            host: "127.0.0.1".into(),
            port: http.port(),
            listen: Vec::new(),
            carbon_line: Some(lines),
            carbon_pickle: Some(pickles),
            is_open: false,
            hosts: Vec::new(),
            agents_config: None,
            tls: None,
            tokens: Vec::new(),
            max_body_bytes: 1 << 20,
            new_series_per_hour: u64::MAX,
        };
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["localhost".into()]).expect("a certificate");
        let [certificate, key] = ["certificate", "key"].map(|name| state.join(name));
        std::fs::write(&certificate, cert.pem()).expect("a file");
        std::fs::write(&key, signing_key.serialize_pem()).expect("a file");
        let guarded = Config {
            port: tls.port(),
            carbon_line: None,
            carbon_pickle: None,
            tls: Some(ServerTls { client_ca: Some(certificate.clone()), certificate, key }),
            tokens: vec![Secret(TOKEN.into())],
            ..config.clone()
        };
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let client = client.expect("versions").with_root_certificates(roots).with_no_client_auth();
        let states = ["plain", "tls"].map(|name| state.join(name));
        states.iter().for_each(|state| std::fs::create_dir_all(state).expect("a folder"));
        let start = |config, at: usize| Listener::start(config, Arc::new(Checks), &states[at]).expect("it listens");
        let _listeners = [start(config, 0), start(guarded, 1)];
        Listening { plain: [http, lines, pickles], tls, client: Arc::new(client), _listeners }
    })
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(LASTS)).expect("our own socket");
    stream
}

/// Reads up to the end of a connection.
fn answer(stream: &mut impl Read) -> Vec<u8> {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("it does not end the connection"),
        _ => answer,
    }
}

/// Returns what is answered to some bytes, and then their end if it `ends`: an HTTP server need not answer who has ended.
fn send(address: SocketAddr, bytes: &[u8], ends: bool) -> Vec<u8> {
    let mut stream = connect(address);
    // It may have been refused already.
    let _ = stream.write_all(bytes);
    if ends {
        let _ = stream.shutdown(Shutdown::Write);
    }
    answer(&mut stream)
}

/// As [`send`], in TLS.
fn send_in_tls(Listening { tls, client, .. }: &Listening, bytes: &[u8], ends: bool) -> Vec<u8> {
    let name = ServerName::try_from("localhost").expect("a name");
    let session = ClientConnection::new(Arc::clone(client), name).expect("a client");
    let mut stream = StreamOwned::new(session, connect(*tls));
    let _ = stream.write_all(bytes);
    if ends {
        stream.conn.send_close_notify();
        let _ = stream.flush();
        let _ = stream.sock.shutdown(Shutdown::Write);
    }
    answer(&mut stream)
}

/// What a server of TLS may answer to bytes in the clear: an alert, or its part of a handshake.
const TLS_RECORDS: [u8; 2] = [0x15, 0x16];

fuzz_target!(|data: &[u8]| {
    let Some((which, data)) = data.split_first() else { return };
    let listening = listening();
    bounded(ROOM, || one(usize::from(*which) % 5, data, listening));
});

fn one(which: usize, data: &[u8], listening: &Listening) {
    let answer = match which {
        at @ 0..3 => send(listening.plain[at], data, true),
        3 => send(listening.tls, data, true),
        _ => send_in_tls(listening, data, true),
    };
    let is_tls = which == 3 && answer.first().is_some_and(|first| TLS_RECORDS.contains(first));
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || is_tls || answer.starts_with("HTTP/1."), "{answer}");
    let is_bug = answer.starts_with("HTTP/1.1 500") || answer.contains("met a bug");
    assert!(!is_bug, "{answer}");
    // From time to time, since it takes as long as the rest.
    if data.len() % 16 == 0 {
        let ping = b"GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let alive = if which < 3 { send(listening.plain[0], ping, false) } else { send_in_tls(listening, ping, false) };
        assert!(alive.starts_with(b"HTTP/1.1 204"), "{}", String::from_utf8_lossy(&alive));
    }
}
