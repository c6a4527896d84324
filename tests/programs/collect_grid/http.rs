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
    for (url, words) in [
        (refused, "GET URL/clusters.json: no answer within 1 s: "),
        (
            http(&answer("200 OK", "<html>Please log in</html>"), soon),
            "the answer is a web page, perhaps to log in, where JSON was expected: \"<html>Please log in</html>\"; clouds",
        ),
        (http(&answer("200 OK", &body[..1000]), soon), "the answer broke off after 1000 bytes: "),
        (http(&answer("404 Not Found", "gone"), soon), "GET URL/clusters.json: HTTP 404 \"gone\""),
        (http(&answer("302 Found", ""), soon), "GET URL/clusters.json: HTTP 302 \"\"; no redirect is followed: "),
        (
            http(&answer("401 Unauthorized", "who?"), soon),
            "GET URL/clusters.json: HTTP 401 \"who?\"; it wants a login: ",
        ),
        (http(&cut, soon), "GET URL/clusters.json: "),
        (http("", LONG), "GET URL/clusters.json: no answer within 1 s: "),
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
