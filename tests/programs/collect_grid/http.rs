//! Cloud Scheduler over HTTP and HTTPS.

use super::*;

#[test]
fn clusters_json_is_read_over_http_when_a_url_is_set() {
    let sandbox = Sandbox::new("small");
    let shown = sandbox.dry_run().stdout;
    sandbox.program("cloud_status", "exit 1");
    let body = fs::read_to_string(fixture("cloud_monitor/small/cloud_status.json")).unwrap();
    let soon = Duration::ZERO;
    let answer =
        |status: &str, body: &str| format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let run = |url: &str| {
        sandbox.config(&format!("[cloud_scheduler]\nurl = {url}/clusters.json\ntimeout_seconds = 1"));
        let outcome = sandbox.dry_run();
        (outcome.code, outcome.stdout, outcome.stderr.replace(url, "URL"))
    };
    assert_eq!(run(&http(&answer("200 OK", &body), soon)), (Some(0), shown, String::new()));

    let refused = format!(
        "http://127.0.0.1:{}",
        std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    );
    let cut = format!("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{}", &body[..1000]);
    let redirect =
        "HTTP/1.1 302 Found\r\nLocation: https://u:pw@csv.example.org/login?next=/\r\nContent-Length: 0\r\n\r\n"
            .to_string();
    for (url, words) in [
        (refused, "GET URL/clusters.json: no connection: Connection refused"),
        (
            http(&answer("200 OK", "<html>Please log in</html>"), soon),
            "the answer is a web page, perhaps to log in, where JSON was expected: \"<html>Please log in</html>\"; clouds",
        ),
        (http(&answer("200 OK", &body[..1000]), soon), "the answer broke off after 1000 bytes: "),
        (http(&answer("404 Not Found", "gone"), soon), "GET URL/clusters.json: HTTP 404 \"gone\""),
        (http(&answer("302 Found", ""), soon), "GET URL/clusters.json: HTTP 302 \"\"; no redirect is followed: "),
        (http(&answer("401 Unauthorized", "who?"), soon), "GET URL/clusters.json: HTTP 401; it wants a login: "),
        (
            http(&redirect, soon),
            "GET URL/clusters.json: HTTP 302, a redirect to https://csv.example.org/login, which is not followed; ",
        ),
        (http(&cut, soon), "GET URL/clusters.json: the answer broke off: "),
        (http("", LONG), "GET URL/clusters.json: no answer within 1 s; "),
    ] {
        let (code, stdout, stderr) = run(&url);
        assert!(stderr.starts_with(&format!("collect-grid: cloud_scheduler: {words}")), "{words}: {stderr}");
        assert_eq!((code, stderr.lines().count()), (Some(1), 1), "{stderr}");
        assert!(stdout.contains("heartbeat.cloud_scheduler 0 ") && !stdout.contains(".clouds."), "{stdout}");
    }
}

#[test]
fn a_server_whose_certificate_nobody_vouches_for_is_not_believed() {
    let name = "a_server_whose_certificate_nobody_vouches_for_is_not_believed";
    let sandbox = Sandbox::new("small");
    let openssl = |arguments: &[&str]| {
        Command::new("openssl").args(arguments).current_dir(sandbox.path("")).stdin(Stdio::null()).output().ok()
    };
    let make = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "key.pem",
        "-out",
        "cert.pem",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ];
    if openssl(&make).is_none() {
        return gridmon_testkit::skip(name, "openssl");
    }
    fs::copy(fixture("cloud_monitor/small/cloud_status.json"), sandbox.path("clusters.json")).unwrap();
    let (port, _ports) = gridmon_testkit::free_port();
    let mut server = Command::new("openssl")
        .args(["s_server", "-quiet", "-WWW", "-key", "key.pem", "-cert", "cert.pem", "-accept", &port.to_string()])
        .current_dir(sandbox.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the server", LONG, || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    sandbox.config(&format!("[cloud_scheduler]\nurl = https://localhost:{port}/clusters.json"));
    let outcome = sandbox.dry_run();
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("invalid peer certificate"), "{}", outcome.stderr);
    assert!(outcome.stdout.contains("heartbeat.cloud_scheduler 0 ") && !outcome.stdout.contains(".clouds."));
}

/// A name server that never answers: getaddrinfo then waits for longer than the run may last.
#[test]
fn a_hung_name_server_costs_its_own_source_and_nothing_else() {
    let name = "a_hung_name_server_costs_its_own_source_and_nothing_else";
    let is_allowed = Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|status| status.success());
    // Name servers listen on port 53 alone; each process has an address of its own for it.
    let [_, _, a, b] = std::process::id().to_be_bytes();
    let hung = std::net::UdpSocket::bind(format!("127.53.{a}.{b}:53"));
    let (true, Ok(hung)) = (is_allowed, hung) else {
        return skip(name, "the right to mount files and to listen on port 53");
    };
    let sandbox = Sandbox::new("small");
    let address = hung.local_addr().unwrap().ip();
    let resolv = sandbox.write("resolv.conf", format!("nameserver {address}\noptions timeout:30 attempts:5\n"));
    let run = |config: &str| {
        sandbox.config(&format!("{config}\n[grid]\ndeadline_seconds = 14\n"));
        let program = sandbox.command(&["-v"]);
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\""]);
        command.arg(&resolv).arg(program.get_program()).args(program.get_args());
        command.current_dir(sandbox.path("")).env_clear().stdin(Stdio::null());
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let outcome = gridmon_testkit::sandbox::Outcome::of(&mut command);
        assert!(outcome.took < Duration::from_secs(14), "{:?}: {}", outcome.took, outcome.stderr);
        assert!(!outcome.stderr.contains("not done after"), "{}", outcome.stderr);
        outcome.stderr
    };
    let carbon = FakeCarbon::start(Mood::Good);
    let sink = format!("[carbon]\nhost = 127.0.0.1\nport = {}\n", carbon.port);
    let source = run(&format!("[cloud_scheduler]\nurl = http://csv.gridmon.test/\ntimeout_seconds = 2\n{sink}"));
    assert!(
        source.contains("cloud_scheduler: GET http://csv.gridmon.test/: its name was not looked up within 2 s; "),
        "{source}"
    );
    assert!(source.contains(" delivered + 0 spooled + 0 dropped;"), "{source}");
    assert!(carbon.lines().iter().any(|line| line.starts_with("grids.heprc.heartbeat.condor 1 ")), "what did answer");
    let receiver = run("[carbon]\nhost = carbon.gridmon.test\ntimeout_seconds = 2\n");
    assert!(
        receiver.contains("carbon: carbon.gridmon.test:2004: its name was not looked up within 2 s; "),
        "{receiver}"
    );
    let read_back = run(&format!(
        "{sink}acknowledge = readback\ntimeout_seconds = 2\n[graphite]\nurl = http://graphite.gridmon.test/\n"
    ));
    assert!(
        read_back.contains("carbon: POST http://graphite.gridmon.test/render: its name was not looked up within "),
        "{read_back}"
    );
    assert!(read_back.contains(" 0 delivered + "), "{read_back}");
    let reports = fs::read_to_string(sandbox.path("state/collect-grid.heprc.reports")).unwrap();
    assert_eq!(reports.lines().count(), 3);
}

/// `timeout_seconds` is for delivery and readback together, and each failure has words of its own.
#[test]
fn a_readback_keeps_to_its_time_and_says_what_happened() {
    let carbon = FakeCarbon::start(Mood::Good);
    let refusing = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let silent = http("", LONG);
    let empty = http("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]", Duration::ZERO);
    for (url, words, longest) in [
        (format!("http://127.0.0.1:{refusing}"), "render: no connection: Connection refused (os error 111); ", 3),
        (silent, "render: no answer within ", 8),
        (empty, "values did not come back through ", 8),
    ] {
        let sandbox = Sandbox::new("small");
        sandbox.config(&format!(
            "[carbon]\nhost = 127.0.0.1\nport = {}\nacknowledge = readback\ntimeout_seconds = 3\n[graphite]\nurl = {url}",
            carbon.port
        ));
        let outcome = sandbox.run(&["--now", &NOW.to_string()]);
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
        assert!(outcome.took < Duration::from_secs(longest), "{words}: {:?}", outcome.took);
    }
}

/// A server that gives each request on a connection one of these answers, an empty one by closing; and how many requests it
/// got.
fn forgetful(answers: &'static [&'static [&'static str]]) -> (String, std::sync::mpsc::Receiver<String>) {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (seen, requests) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for of_connection in answers {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            for answer in *of_connection {
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).is_ok_and(|count| count > 0) {}
                let _ = seen.send(head.lines().next().unwrap_or_default().to_string());
                let _ = stream.get_mut().write_all(answer.as_bytes());
            }
        }
    });
    (url, requests)
}

#[test]
fn a_question_on_a_kept_connection_that_ends_is_asked_once_more_and_a_delivery_is_not() {
    use gridmon::os::http::{Client, Url};
    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let limit = Duration::from_secs(20);
    let (url, requests) = forgetful(&[&[OK, ""], &[OK]]);
    let (client, url) = (Client::new().unwrap(), Url::parse(&url).unwrap());
    for _ in 0..2 {
        assert_eq!(client.get(&url, limit).unwrap(), b"ok");
    }
    assert_eq!(requests.try_iter().count(), 3);
    // Twice is enough.
    let (url, requests) = forgetful(&[&[""], &[""], &[OK]]);
    let url = Url::parse(&url).unwrap();
    assert!(Client::new().unwrap().get(&url, limit).is_err());
    assert_eq!(requests.try_iter().count(), 2);
    let (url, requests) = forgetful(&[&[""], &[OK]]);
    let url = Url::parse(&url).unwrap();
    assert!(Client::new().unwrap().send(&url, "m v=1".into(), limit).is_err());
    assert_eq!(requests.try_iter().count(), 1);
}
