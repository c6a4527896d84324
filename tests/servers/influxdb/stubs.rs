//! Answers that InfluxDB 1.6 cannot be brought to give, from a stand-in that gives what InfluxDB 2's documentation and
//! proxies say: it is no InfluxDB.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use gridmon::sinks::{ClosedPlace, NeverTaken, Sink as _};
use gridmon_testkit::sandbox::http;

use super::refusals::{batch, sink, soon};
use super::{run, sandbox};

/// A request: its first line and headers, and its body as it was before compression.
type Request = (String, String);

/// A stand-in that answers each request by this function, and the requests that it got.
fn stub(answer: impl Fn(&Request) -> String + Send + 'static) -> (u16, Arc<Mutex<Vec<Request>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let requests = Arc::new(Mutex::new(Vec::new()));
    let kept = requests.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).is_ok_and(|count| count > 0) {}
            let lower = head.to_lowercase();
            let length = lower.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
            let mut body = vec![0; length.unwrap_or_default()];
            stream.read_exact(&mut body).unwrap();
            let mut text = String::new();
            if lower.contains("content-encoding: gzip") {
                GzDecoder::new(body.as_slice()).read_to_string(&mut text).unwrap();
            } else {
                text = String::from_utf8(body).unwrap();
            }
            let request = (head, text);
            let reply = answer(&request);
            kept.lock().unwrap().push(request);
            let _ = stream.get_mut().write_all(reply.as_bytes());
        }
    });
    (port, requests)
}

fn reply(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// Answers as InfluxDB 2 does for the database `d` with mappings for 10m and 1h; it refuses the lines that hold `bad`.
fn second((head, body): &Request) -> String {
    let version = "X-Influxdb-Version: v2.7.1\r\n";
    let json = |status: &str, body: &str| reply(status, version, body);
    if !head.starts_with("GET /ping") && !head.to_lowercase().contains("authorization: token t0ken") {
        return json("401 Unauthorized", r#"{"code":"unauthorized","message":"unauthorized access"}"#);
    }
    let first = head.lines().next().unwrap();
    if first.contains("SHOW+DATABASES") {
        return json(
            "200 OK",
            r#"{"results":[{"statement_id":0,"series":[{"name":"databases","columns":["name"],"values":[["d"]]}]}]}"#,
        );
    }
    if first.contains("SELECT") && first.contains("%221d%22") {
        return json(
            "200 OK",
            r#"{"results":[{"statement_id":0,"error":"no mapping for database d and retention policy 1d"}]}"#,
        );
    }
    let bad = body.lines().filter(|line| line.contains("bad")).count();
    match first {
        _ if first.starts_with("GET /ping") => json("204 No Content", ""),
        _ if first.contains("/query") => json("200 OK", r#"{"results":[{"statement_id":0}]}"#),
        _ if !first.contains("rp=10m") => {
            json("404 Not Found", r#"{"code":"not found","message":"bucket \"d/1d\" not found"}"#)
        }
        _ if bad == 0 => json("204 No Content", ""),
        _ => json(
            "422 Unprocessable Entity",
            &format!(
                r#"{{"code":"unprocessable entity","message":"failure writing points to database: partial write: dropped {bad} points outside retention policy"}}"#
            ),
        ),
    }
}

#[test]
fn influxdb_2_is_checked_by_queries_alone_and_its_refusals_are_understood() {
    let (port, requests) = stub(second);
    let sink = sink(port, "token = t0ken");
    let error = format!("{:#}", sink.check(soon()).unwrap_err());
    assert!(
        error.contains("of InfluxDB v2.7.1 at") && error.contains("lacks the retention policy 1d; map a bucket"),
        "{error}"
    );
    // It makes nothing either.
    assert_eq!(format!("{:#}", sink.setup(soon()).unwrap_err()), error);
    assert!(requests.lock().unwrap().iter().all(|(head, _)| head.starts_with("GET /")), "a check writes nothing");
    let lines = |at: i64| format!("m,a={}{at} v=1i {at}", if at % 40 == 3 { "bad" } else { "good" });
    let sent = sink.send(&batch("raw", (0..200).map(lines)), soon());
    assert!(sent.result.is_ok(), "{:?}", sent.result);
    let refused: Vec<_> = sent.refused.iter().map(|(point, _)| point.tag("a").unwrap()).collect();
    assert_eq!(refused, ["bad3", "bad43", "bad83", "bad123", "bad163"]);
    let error = sink.send(&batch("1d", (0..2).map(lines)), soon()).result.unwrap_err();
    assert!(error.is::<ClosedPlace>(), "{error:#}");
    let wrong = super::refusals::sink(port, "token = other");
    let error = format!("{:#}", wrong.send(&batch("raw", (0..2).map(lines)), soon()).result.unwrap_err());
    assert!(
        error.ends_with("HTTP 401 \"unauthorized access\"; it refuses the login: check [influxdb] token"),
        "{error}"
    );
}

#[test]
fn a_body_that_is_too_large_is_sent_in_parts_and_a_point_that_is_waits() {
    let lines = |at: i64| format!("m,a={}{at} v=1i {at}", if at == 77 { "large".repeat(30) } else { String::new() });
    let stored = |answer: &'static (dyn Fn(&str) -> bool + Sync)| {
        let (port, requests) = stub(move |(_, body)| {
            if answer(body) {
                reply("413 Request Entity Too Large", "", "too large")
            } else {
                reply("204 No Content", "", "")
            }
        });
        let sent = sink(port, "").send(&batch("raw", (0..200).map(lines)), soon());
        assert!(sent.refused.is_empty() && sent.dropped.is_empty(), "nothing is thrown away: {sent:?}");
        let requests = requests.lock().unwrap();
        let taken: usize =
            requests.iter().filter(|(_, body)| !answer(body)).map(|(_, body)| body.lines().count()).sum();
        (sent.result, taken, requests.len())
    };
    let (result, taken, _) = stored(&|body| body.lines().count() > 30);
    assert!(result.is_ok() && taken == 200, "{result:?}");
    let (result, taken, _) = stored(&|body| body.contains("large"));
    let error = result.unwrap_err();
    assert!(error.is::<ClosedPlace>() && taken == 199, "{taken}: {error:#}");
    let words = "it takes no body of one point: HTTP 413 \"too large\"; raise that limit, of it or of a proxy before it; the points wait";
    assert!(format!("{error:#}").ends_with(words), "{error:#}");
    // Nothing is taken at all: it is not asked for every point.
    let (result, taken, requests) = stored(&|_| true);
    assert!(result.unwrap_err().is::<ClosedPlace>() && taken == 0 && requests < 200, "{requests}");
}

#[test]
fn whatever_else_answers_acknowledges_nothing_and_blames_no_batch() {
    let page = "<html><title>502 Bad Gateway</title></html>";
    for (answer, words) in [
        (
            reply(
                "429 Too Many Requests",
                "Retry-After: 30\r\n",
                r#"{"code":"too many requests","message":"org exceeded its limit"}"#,
            ),
            r#"HTTP 429 "org exceeded its limit", Retry-After "30"; it takes no more for now"#,
        ),
        (reply("502 Bad Gateway", "", page), r#"HTTP 502 "<html><title>502 Bad Gateway</title></html>""#),
        (reply("503 Service Unavailable", "", ""), "HTTP 503"),
        (reply("200 OK", "", "<html>log in</html>"), r#"HTTP 200 "<html>log in</html>"; is that an InfluxDB?"#),
        (
            reply("302 Found", "Location: http://h/login?p=s3cret\r\n", ""),
            "HTTP 302 \"a redirect to http://h/login, which is not followed\"",
        ),
        (reply("404 Not Found", "", "<html>404</html>"), "is [influxdb] url the address of an InfluxDB?"),
        (
            reply("400 Bad Request", "", "<html>The plain HTTP request was sent to HTTPS port</html>"),
            "is that an InfluxDB?",
        ),
    ] {
        let sink = sink(http(&answer, Duration::ZERO).rsplit(':').next().unwrap().parse().unwrap(), "");
        let sent = sink.send(&batch("raw", std::iter::once("m v=1i 5".into())), soon());
        let error = sent.result.unwrap_err();
        assert!(!error.is::<ClosedPlace>() && !error.is::<NeverTaken>(), "{error:#}");
        assert!(sent.refused.is_empty() && format!("{error:#}").contains(words), "{error:#} is not {words}");
    }
    // One that hangs in the middle of its answer ends in time.
    let sink =
        sink(http("HTTP/1.1 204", Duration::ZERO).rsplit(':').next().unwrap().parse().unwrap(), "timeout_seconds = 1");
    let began = Instant::now();
    assert!(sink.send(&batch("raw", std::iter::once("m v=1i 5".into())), soon()).result.is_err());
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn what_a_busy_server_refused_for_now_comes_later_and_once() {
    let calls = Mutex::new(0);
    // Its third request is one too many.
    let (port, requests) = stub(move |_| {
        let mut calls = calls.lock().unwrap();
        *calls += 1;
        let busy =
            reply("429 Too Many Requests", "Retry-After: 600\r\n", r#"{"code":"too many requests","message":"wait"}"#);
        if *calls == 3 { busy } else { reply("204 No Content", "", "") }
    });
    let sandbox = sandbox(port, "");
    let code_and_words = |minute: i64| {
        let outcome = run(&sandbox, minute);
        (outcome.code.unwrap(), outcome.stderr)
    };
    assert_eq!((code_and_words(0).0, code_and_words(1).0), (0, 0));
    let (code, words) = code_and_words(2);
    assert!(code == 1 && words.contains("HTTP 429 \"wait\", Retry-After \"600\""), "{words}");
    // The next runs do not even ask.
    for minute in 3..5 {
        let (code, words) = code_and_words(minute);
        assert!(code == 1 && words.contains(" asked to be left alone until "), "{words}");
    }
    assert_eq!(requests.lock().unwrap().len(), 3);
    // Ten minutes pass by the runs' clock; by the machine's it is the same second.
    assert!(sandbox.path("state/influxdb.pause").exists());
    assert_eq!((code_and_words(12).0, code_and_words(13).0), (0, 0));
    assert!(!sandbox.path("state/influxdb.pause").exists());
    assert!(
        !sandbox.path("state/spool/bad").exists()
            || std::fs::read_dir(sandbox.path("state/spool/bad")).unwrap().count() == 0
    );
    let bodies: Vec<_> = requests.lock().unwrap().iter().map(|(_, body)| body.clone()).collect();
    let slots: std::collections::BTreeSet<_> =
        bodies.iter().flat_map(|body| body.lines().map(|line| line.rsplit(' ').next().unwrap().to_string())).collect();
    assert_eq!(slots.len(), 7, "{slots:?}");
}
