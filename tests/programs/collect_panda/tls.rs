//! A server behind a grid's CA: OpenSSL's, which asks for a client certificate. It stands before the stand-in.

use gridmon_testkit::{Influxdb, skip};

use super::*;
use crate::tls::{certificates, files_for_proxies, openssl, relay, tools};

#[test]
fn a_hashed_folder_of_cas_is_trusted_and_a_client_certificate_is_shown() {
    if !tools("a_hashed_folder_of_cas_is_trusted_and_a_client_certificate_is_shown") {
        return;
    }
    let site = Site::golden();
    certificates(&site.sandbox);
    fs::create_dir(site.sandbox.path("cas")).unwrap();
    fs::copy(site.sandbox.path("ca.pem"), site.sandbox.path("cas/grid-CA.pem")).unwrap();
    openssl(&site.sandbox, "rehash cas");
    // What else lies in such a folder.
    for (name, text) in [("grid-CA.namespaces", "TO Issuer"), ("0badcafe.0", "not a certificate"), ("a.r0", "a CRL")] {
        site.sandbox.write(&format!("cas/{name}"), text);
    }
    std::os::unix::fs::symlink("nowhere.pem", site.sandbox.path("cas/deadbeef.0")).unwrap();
    let (port, _relay, _ports) = relay(&site.sandbox, site.server.url.strip_prefix("http://").unwrap(), true);
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
fn a_grids_proxy_is_shown_as_it_is() {
    if !tools("a_grids_proxy_is_shown_as_it_is") {
        return;
    }
    let site = Site::golden();
    let sandbox = &site.sandbox;
    certificates(sandbox);
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(sandbox, &format!("req {key} -subj /CN=client/CN=1 -keyout proxy.key -out proxy.csr"));
    sandbox
        .write("proxy.ext", "proxyCertInfo=critical,language:id-ppl-inheritAll\nkeyUsage=critical,digitalSignature\n");
    let by_client = "-CA client.pem -CAkey client.key -days 1";
    openssl(sandbox, &format!("x509 -req -in proxy.csr {by_client} -extfile proxy.ext -out proxy.crt"));
    // Without extensions it is of version 1.
    openssl(sandbox, "x509 -req -in client.csr -CA ca.pem -CAkey ca.key -days 9 -out first.crt");
    let read = |name: &str| fs::read_to_string(sandbox.path(name)).unwrap();
    let answer = json!({"success": true, "message": "", "data": recorded("panda_stats.json")});
    sandbox.write("panda?time_window=10", answer.to_string());
    let (port, _server, _ports) = files_for_proxies(sandbox);
    let asked = |login: &str| {
        let text = fs::read_to_string(sandbox.path("config.cfg")).unwrap();
        let section =
            format!("\nurl = https://localhost:{port}/panda\nca = {}\n{login}", sandbox.path("ca.pem").display());
        let file =
            sandbox.write("config.cfg", text.replace(&format!("\nurl = {}{PANDA}\n", site.server.url), &section));
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
        let outcome = site.at(NOW, &["-n", "-v"]);
        site.config("");
        outcome
    };
    site.config("");
    assert_eq!(asked("").code, Some(1), "the server wants a certificate");
    for parts in [["proxy.crt", "proxy.key", "client.pem"], ["first.crt", "client.key", "ca.pem"]] {
        let file = sandbox.write("shown.pem", parts.map(read).concat());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let known = asked(&format!("certificate = {}\n", file.display()));
        assert_eq!(known.code, Some(0), "{parts:?}: {}", known.stderr);
        assert!(known.stdout.contains("panda.CERN.managed.MCORE.running.jobs 153"), "{parts:?}");
    }
}

#[test]
fn influxdb_behind_an_unknown_certificate_is_written_with_tls_skip_alone_and_into_the_named_database() {
    let test = "influxdb_behind_an_unknown_certificate_is_written_with_tls_skip_alone_and_into_the_named_database";
    let Some(influxdb) = tools(test).then(Influxdb::start).flatten() else {
        return skip(test, "InfluxDB");
    };
    let site = Site::golden();
    certificates(&site.sandbox);
    let (port, _relay, _ports) = relay(&site.sandbox, &format!("127.0.0.1:{}", influxdb.port), false);
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
