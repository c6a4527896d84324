//! Who is let in: loopback, tokens, certificates; and that nothing is said in the clear where TLS is asked for.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use gridmon_testkit::sandbox::{FakeCarbon, Mood, Outcome};
use gridmon_testkit::wait_until;

use super::agents::{Agent, stored};
use super::feeders::Feeder;
use super::{LIMIT, Master, carbon_section};

#[test]
fn an_address_that_others_reach_needs_a_word_about_who_may_come() {
    let master = Master::new("host = 0.0.0.0\n");
    let mut command = master.command();
    let refused = Outcome::of(command.stderr(Stdio::piped()));
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("open to other machines") && refused.stderr.contains("access = open"),
        "{}",
        refused.stderr
    );
    let mut master = Master::new("host = 0.0.0.0\naccess = open\n");
    master.run();
    assert_eq!(master.post("/write", "", b"m f=1 1").0, 204);
}

#[test]
fn a_token_lets_in_and_no_other_does() {
    let carbon = FakeCarbon::start(Mood::Good);
    let master = Master::start(&format!("host = 0.0.0.0\ntokens = hunter2, second\n{}", carbon_section(&carbon)));
    for (headers, status) in [
        ("", 401),
        ("Authorization: Bearer hunter\r\n", 401),
        ("Authorization: Bearer hunter22\r\n", 401),
        ("Authorization: Basic dTpodW50ZXI=\r\n", 401),
        ("Authorization: Bearer\r\n", 401),
        ("Authorization: Bearer hunter2\r\n", 204),
        ("Authorization: Token second\r\n", 204),
        ("Authorization: Token anybody:hunter2\r\n", 204),
        ("Authorization: Basic dTpodW50ZXIy\r\n", 204),
    ] {
        assert_eq!(master.post("/write", headers, b"m f=1 1").0, status, "{headers}");
    }
    assert_eq!(master.post("/write?p=hunter2&u=x", "", b"m f=1 1").0, 401, "never in an address");
    assert!(!master.log().contains("hunter2"));
}

fn openssl(master: &Master, arguments: &str) {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(master.folder.path()).output().unwrap();
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Makes two CAs, `ca` and `other`, and certificates of them in the master's folder.
fn make_certificates(master: &Master) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for ca in ["ca", "other"] {
        openssl(master, &format!("req -x509 {key} -subj /CN={ca} -keyout {ca}.key -out {ca}.pem -days 9"));
    }
    for (name, ca, days) in [
        ("server", "ca", "9"),
        ("client", "ca", "9"),
        ("stranger", "other", "9"),
        ("old", "ca", "-1"),
        ("old_server", "ca", "-1"),
    ] {
        openssl(
            master,
            &format!(
                "req {key} -subj /CN={name} -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout {name}.key -out {name}.csr"
            ),
        );
        openssl(
            master,
            &format!(
                "x509 -req -in {name}.csr -CA {ca}.pem -CAkey {ca}.key -days {days} -copy_extensions copy -out {name}.pem"
            ),
        );
    }
}

/// Flags of openssl's client, with which it speaks TLS 1.1; at its own level of security it refuses that itself.
const OLD_TLS: &str = "-cert client.pem -key client.key -tls1_1 -cipher DEFAULT@SECLEVEL=0";

/// Sends a request through openssl's own client; returns what came back.
fn through_tls(master: &Master, port: u16, arguments: &str, request: &str) -> String {
    let mut client = Command::new("openssl")
        .args(["s_client", "-quiet", "-connect", &format!("127.0.0.1:{port}"), "-CAfile", "ca.pem"])
        .args(arguments.split_whitespace())
        .current_dir(master.folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // It may have been refused already.
    let mut input = client.stdin.take().unwrap();
    let _ = input.write_all(request.as_bytes());
    let mut text = String::new();
    client.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    drop(input);
    client.wait().unwrap();
    text
}

#[test]
fn certificates_let_in_unless_they_are_expired_or_of_others() {
    if Command::new("openssl").arg("version").output().is_err() {
        return gridmon_testkit::skip("certificates_let_in", "openssl");
    }
    let carbon = FakeCarbon::start(Mood::Good);
    let mut master = Master::new("");
    make_certificates(&master);
    let path = |name: &str| master.folder.path().join(name).display().to_string();
    let tls = format!(
        "host = 0.0.0.0\ntls_certificate = {}\ntls_key = {}\ntls_client_ca = {}\n{}",
        path("server.pem"),
        path("server.key"),
        path("ca.pem"),
        carbon_section(&carbon)
    );
    master.config(&tls);
    master.run();
    let request = "POST /write HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 7\r\n\r\nm f=1 1";
    let mut answers = Vec::new();
    for (arguments, is_in) in [
        ("-cert client.pem -key client.key", true),
        ("", false),
        ("-cert stranger.pem -key stranger.key", false),
        ("-cert old.pem -key old.key", false),
        (OLD_TLS, false),
    ] {
        let text = through_tls(&master, master.port, arguments, request);
        assert_eq!(text.starts_with("HTTP/1.1 204"), is_in, "{arguments}: {text}");
        answers.push(text);
    }
    // A server that takes the old TLS is reached with the same flags.
    let port = master.port + 1; // It is one of the four that the master's are of.
    let server = format!(
        "s_server -accept 127.0.0.1:{port} -cert server.pem -key server.key -CAfile ca.pem -Verify 1 -www -tls1_1 \
         -cipher DEFAULT@SECLEVEL=0"
    );
    let mut command = Command::new("openssl");
    command.args(server.split(' ')).current_dir(master.folder.path());
    let _server = Feeder(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    wait_until("a server that takes TLS 1.1", LIMIT, || {
        through_tls(&master, port, OLD_TLS, "GET / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 200").then_some(())
    });
    // Nothing is said in the clear.
    let mut plain = master.connect();
    plain.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    let _ = plain.read_to_string(&mut text);
    assert!(text.starts_with("HTTP/1.1 400"), "{text}");
}

/// qagent speaks TLS to its master, shows its token or its certificate, believes no other master, and keeps what is refused.
#[test]
fn an_agent_speaks_tls_with_a_token_or_a_certificate_and_believes_no_other_master() {
    if Command::new("openssl").arg("version").output().is_err() {
        return gridmon_testkit::skip("an_agent_speaks_tls", "openssl");
    }
    let mut master = Master::new("");
    make_certificates(&master);
    let path = |name: &str| master.folder.path().join(name).display().to_string();
    let serves = |server: &str, more: &str| {
        let (certificate, key) = (path(&format!("{server}.pem")), path(&format!("{server}.key")));
        format!("tls_certificate = {certificate}\ntls_key = {key}\n{more}\n")
    };
    let (ca, other) = (path("ca.pem"), path("other.pem"));
    let certified = serves("server", &format!("tls_client_ca = {ca}"));
    let asks_for_token = serves("server", "tokens = hunter2");
    let expired = serves("old_server", "tokens = hunter2");
    let certificate = format!("certificate = {}\nkey = {}", path("client.pem"), path("client.key"));
    let stranger = format!("certificate = {}\nkey = {}", path("stranger.pem"), path("stranger.key"));
    let mut agent = Agent::new(master.port);
    let configure = |agent: &Agent, more: &str| {
        agent.configure(&format!("tls = verify\n{more}\n[sensor:LoadAverage]\ntime_interval = 0.2\n"));
    };
    for (serves, says, refused_with) in [
        (&certified, format!("ca = {ca}\n{certificate}"), None),
        (&certified, format!("ca = {ca}"), Some("CertificateRequired")),
        (&certified, format!("ca = {ca}\n{stranger}"), Some("UnknownCA")),
        (&asks_for_token, format!("ca = {ca}\ntoken = hunter2"), None),
        (&asks_for_token, format!("ca = {ca}\ntoken = hunter22"), Some("401")),
        (&asks_for_token, format!("ca = {ca}"), Some("401")),
        (&asks_for_token, format!("ca = {other}\ntoken = hunter2"), Some("UnknownIssuer")),
        (&expired, format!("ca = {ca}\ntoken = hunter2"), Some("Expired")),
    ] {
        master.config(serves);
        master.run();
        configure(&agent, &says);
        let before = stored(master.export());
        agent.run();
        if refused_with.is_none() {
            let has_more = || stored(master.export()).len() > before.len() + 10;
            wait_until("the agent's values", LIMIT, || has_more().then_some(()));
        }
        let own = || stored(agent.command("gridmon-status", &["store", "export"])).len();
        let had = own();
        wait_until("values in the agent's own store", LIMIT, || (own() > had).then_some(()));
        agent.end("TERM");
        let flushed = Outcome::of(&mut agent.command("gridmon-status", &["flush"]));
        assert_eq!(flushed.code, Some(i32::from(refused_with.is_some())), "{says}: {flushed:?}");
        assert!(flushed.stdout.contains(refused_with.unwrap_or_default()), "{says}: {flushed:?}");
        master.stop();
        assert!(refused_with.is_none() || stored(master.export()) == before, "{says}");
        for said in [&flushed.stdout, &flushed.stderr, &agent.log()] {
            assert!(!said.contains("hunter"), "{said}");
        }
        agent.forget_log();
    }
    // What was refused waits, and arrives once the master is the right one.
    master.config(&asks_for_token);
    master.run();
    configure(&agent, &format!("ca = {ca}\ntoken = hunter2"));
    agent.flush();
    let own = stored(agent.command("gridmon-status", &["store", "export"]));
    wait_until("the master's store to hold it", LIMIT, || (stored(master.export()) == own).then_some(()));
}
