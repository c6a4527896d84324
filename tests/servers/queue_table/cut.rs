//! InfluxDB behind a proxy that cuts its answers, or ends them with an error.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::*;

/// What the proxy does to an answer about jobs.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// It ends in the middle of a chunk.
    Cut,
    /// It is whole as HTTP, and lacks the documents after the first, which says that there are more.
    Partial,
    /// After some rows there is an error, with status 200.
    Error,
}

/// Starts a proxy before the InfluxDB at a port; returns its own port, and what it does.
fn proxy(influxdb: u16) -> (u16, Arc<Mutex<Fault>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let fault = Arc::new(Mutex::new(Fault::None));
    let kept = fault.clone();
    thread::spawn(move || {
        for client in listener.incoming() {
            let fault = kept.clone();
            thread::spawn(move || pass(client.unwrap(), influxdb, &fault));
        }
    });
    (port, fault)
}

/// Passes one request and its answer on.
fn pass(client: TcpStream, influxdb: u16, fault: &Mutex<Fault>) -> Option<()> {
    let mut client = BufReader::new(client);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        client.read_line(&mut line).ok().filter(|count| *count > 0)?;
        let lower = line.to_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        // One request a connection, and an answer that can be read here.
        if line == "\r\n" {
            head += "Connection: close\r\n\r\n";
            break;
        }
        if !lower.starts_with("connection:") && !lower.starts_with("accept-encoding:") {
            head += &line;
        }
    }
    let mut body = vec![0; length];
    client.read_exact(&mut body).ok()?;
    let mut server = TcpStream::connect(("127.0.0.1", influxdb)).ok()?;
    server.write_all(head.as_bytes()).ok()?;
    server.write_all(&body).ok()?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).ok()?;
    // The sums of the averages, not the question for coverage before them.
    let is_sum = head.starts_with("GET /query") && head.contains("sum%28");
    let fault = if is_sum { *fault.lock().unwrap() } else { Fault::None };
    let whole =
        |json: &str| format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{json}", json.len());
    const ROWS: &str = r#"{"results":[{"statement_id":0,"series":[{"name":"jobs","tags":{"panda_queue":"Q0","prod_source":"managed","resource":"MCORE","job_status":"running"},"columns":["time","sum"],"values":[[0,1]],"partial":true}],"partial":true}]}"#;
    let answer = match fault {
        Fault::None => answer,
        Fault::Cut => answer[..answer.len() * 2 / 3].to_vec(),
        Fault::Partial => whole(&format!("{ROWS}\n")).into_bytes(),
        Fault::Error => {
            whole(&format!("{ROWS}\n{}\n", r#"{"results":[{"statement_id":0,"error":"timeout"}]}"#)).into_bytes()
        }
    };
    client.get_mut().write_all(&answer).ok()
}

#[test]
fn averages_are_never_made_of_an_answer_that_is_not_whole() {
    let Some((influxdb, mariadb)) = servers("averages_are_never_made_of_an_answer_that_is_not_whole") else { return };
    let (port, fault) = proxy(influxdb.port);
    let site = Site::new(At::Servers(port, mariadb.port));
    assert_eq!(site.run(&["--setup"]).code, Some(0));
    let run = |slot: i64| {
        site.answer_for(slot);
        site.cric_at(slot, 0);
        // What goes on failing is printed at its onset; -v prints it in each run.
        site.run(&["-v", "--now", &(START + SLOT * slot).to_string()])
    };
    let first = run(0);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let table = || site.mysql(mariadb.port).read(&TABLE, soon()).unwrap();
    let before = table();
    assert!(before.len() > 8, "{before:?}");
    for (slot, kind, words) in [
        (1, Fault::Cut, "the answer broke off"),
        (2, Fault::Partial, "its answer is not whole"),
        (3, Fault::Error, "it answers \"timeout\""),
    ] {
        *fault.lock().unwrap() = kind;
        let outcome = run(slot);
        let line = outcome.stderr.lines().find(|line| line.starts_with("collect-panda: table jobs: ")).unwrap();
        assert!(
            outcome.code == Some(1) && line.contains(words) && line.contains("; it stays as it was"),
            "{kind:?}: {line}"
        );
        assert_eq!(table(), before, "{kind:?}");
    }
    *fault.lock().unwrap() = Fault::None;
    // The points of those runs are stored, so that the next table is that of a site without faults.
    assert_eq!(run(4).code, Some(1), "slot 4 has an odd count");
    let wanted = expected(&points_of(&influxdb), START + SLOT * 4, &site.odd_of(4), 0);
    let (found, count) = (table(), wanted.len());
    let differences = differences(&TABLE, &found, &wanted);
    assert!(differences.is_empty() && count > 8, "{differences:?}");
}
