//! A server behind a grid's CA: OpenSSL's, which asks for a client certificate. It stands before the stand-in.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use gridmon_testkit::{Influxdb, free_port, skip, wait_until};

use super::*;

/// A relay that speaks TLS, ended on drop.
struct Relay(Child);

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn openssl(site: &Site, arguments: &str) {
    let mut command = Command::new("openssl");
    let output = command.args(arguments.split(' ')).current_dir(site.sandbox.path("")).output().unwrap();
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Makes `CA.pem`, and certificates of it for localhost (`server`) and a client (`client`), in the sandbox.
fn certificates(site: &Site) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(site, &format!("req -x509 {key} -subj /CN=grid-CA -keyout ca.key -out ca.pem -days 9"));
    for name in ["server", "client"] {
        let alternative = "-addext subjectAltName=DNS:localhost";
        openssl(site, &format!("req {key} -subj /CN={name} {alternative} -keyout {name}.key -out {name}.csr"));
        openssl(
            site,
            &format!("x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -days 9 -copy_extensions copy -out {name}.pem"),
        );
    }
}

/// Starts the relay to a port; `asks` whether it wants a client certificate.
fn relay(site: &Site, to: &str, asks: bool) -> (u16, Relay, gridmon_testkit::Ports) {
    let (port, ports) = free_port();
    let path = |name: &str| site.sandbox.path(name).display().to_string();
    let listen = format!(
        "OPENSSL-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,cert={},key={},cafile={},verify={}",
        path("server.pem"),
        path("server.key"),
        path("ca.pem"),
        u8::from(asks)
    );
    let child = Command::new("socat").args([&listen, &format!("TCP:{to}")]).stderr(Stdio::null()).spawn().unwrap();
    let relay = Relay(child);
    wait_until("the relay to listen", Duration::from_secs(20), || {
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    });
    (port, relay, ports)
}

fn tools(test: &str) -> bool {
    let missing = ["openssl", "socat"].iter().find(|tool| !PathBuf::from(format!("/usr/bin/{tool}")).exists());
    missing.inspect(|tool| skip(test, tool)).is_none()
}

#[test]
fn a_hashed_folder_of_cas_is_trusted_and_a_client_certificate_is_shown() {
    if !tools("a_hashed_folder_of_cas_is_trusted_and_a_client_certificate_is_shown") {
        return;
    }
    let site = Site::golden();
    certificates(&site);
    fs::create_dir(site.sandbox.path("cas")).unwrap();
    fs::copy(site.sandbox.path("ca.pem"), site.sandbox.path("cas/grid-CA.pem")).unwrap();
    openssl(&site, "rehash cas");
    // What else lies in such a folder.
    for (name, text) in [("grid-CA.namespaces", "TO Issuer"), ("0badcafe.0", "not a certificate"), ("a.r0", "a CRL")] {
        site.sandbox.write(&format!("cas/{name}"), text);
    }
    std::os::unix::fs::symlink("nowhere.pem", site.sandbox.path("cas/deadbeef.0")).unwrap();
    let (port, _relay, _ports) = relay(&site, site.server.url.strip_prefix("http://").unwrap(), true);
    let path = |name: &str| site.sandbox.path(name).display().to_string();
    let all = |section: &str| {
        let text = fs::read_to_string(site.sandbox.path("config.cfg")).unwrap();
        let text = text.replace(&site.server.url, &format!("https://localhost:{port}"));
        let text = ["cric", "panda"].iter().fold(text, |text, name| {
            let head = format!("[{name}]\n");
            text.replace(&head, &format!("{head}{section}"))
        });
        let file = site.sandbox.write("config.cfg", text);
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
        let outcome = site.at(NOW, &["-n", "-v"]);
        site.config("");
        outcome
    };
    site.config("");
    let nobody = all("");
    assert_eq!(nobody.code, Some(1));
    assert!(nobody.stderr.contains("no connection: invalid peer certificate: UnknownIssuer"), "{}", nobody.stderr);
    let nameless = all(&format!("ca = {}\n", path("cas")));
    assert!(
        nameless.code == Some(1) && nameless.stderr.contains("panda: GET https://localhost"),
        "{}",
        nameless.stderr
    );
    for ca in ["cas", "ca.pem"] {
        let login = format!("ca = {}\ncertificate = {}\nkey = {}\n", path(ca), path("client.pem"), path("client.key"));
        let known = all(&login);
        assert_eq!(known.code, Some(0), "{ca}: {}", known.stderr);
        assert!(known.stdout.contains("panda.CERN.managed.MCORE.running.jobs 153"), "{ca}");
    }
    fs::remove_file(site.sandbox.path("cas/grid-CA.pem")).unwrap();
    let empty = all(&format!("ca = {}\n", path("cas")));
    assert!(empty.stderr.contains(": no certificate in it"), "{}", empty.stderr);
}

#[test]
fn influxdb_behind_an_unknown_certificate_is_written_with_tls_skip_alone_and_into_the_named_database() {
    let test = "influxdb_behind_an_unknown_certificate_is_written_with_tls_skip_alone_and_into_the_named_database";
    let Some(influxdb) = tools(test).then(Influxdb::start).flatten() else {
        return skip(test, "InfluxDB");
    };
    let site = Site::golden();
    certificates(&site);
    let (port, _relay, _ports) = relay(&site, &format!("127.0.0.1:{}", influxdb.port), false);
    let section = |more: &str| {
        let password = Influxdb::PASSWORD;
        site.config(&format!(
            "[influxdb]\nurl = https://localhost:{port}\nusername = root\npassword = {password}\ndatabase = monit_jobs\n{more}"
        ));
    };
    section("");
    let refused = site.run(&["--check"]);
    let line = refused.lines_with("failed  influxdb").concat();
    assert!(line.contains("invalid peer certificate: UnknownIssuer"), "{}", refused.stdout);
    assert_eq!(site.at(NOW, &[]).code, Some(1));
    section("tls = skip");
    assert_eq!(site.run(&["--setup"]).code, Some(0));
    let check = site.run(&["--check"]);
    assert!(check.lines_with("ok      influxdb")[0].contains("its certificate is not verified"), "{}", check.stdout);
    let rows = |database: &str| {
        influxdb
            .rows(&format!("SELECT COUNT(jobs) FROM {database}.\"10m\".jobs"))
            .first()
            .map_or(0, |row| row[1].as_i64().unwrap())
    };
    // Another database for this run: made, checked, written; what waits goes where it was meant to.
    let other = ["--database", "test_monit_jobs"];
    let missing = site.run(&[other.as_slice(), &["--check"]].concat());
    assert!(missing.stdout.contains("has no database \"test_monit_jobs\""), "{}", missing.stdout);
    let made = site.run(&[other.as_slice(), &["--setup"]].concat());
    assert!(made.stdout.contains("created database test_monit_jobs, "), "{}", made.stdout);
    assert_eq!(site.at(NOW + 600, &other).stderr.lines().find(|line| !line.contains("works again")), None);
    assert_eq!((rows("monit_jobs"), rows("test_monit_jobs")), (168, 168));
    assert_eq!(site.at(NOW + 1200, &[]).code, Some(0));
    assert_eq!((rows("monit_jobs"), rows("test_monit_jobs")), (336, 168));
    let wrong = site.run(&["--database", ""]);
    assert!(wrong.code == Some(2) && wrong.stderr.contains("is not the name of a database"), "{}", wrong.stderr);
    site.config("");
    let none = site.run(&other);
    assert!(none.code == Some(2) && none.stderr.contains("[influxdb] url is not set"), "{}", none.stderr);
}
