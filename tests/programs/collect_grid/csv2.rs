//! Cloud Scheduler 2 in place of Cloud Scheduler 1.

use std::io::Write;
use std::net::TcpListener;

use super::*;
use crate::tls::{certificates, openssl, relay, tools};

/// The user mon with the password S3cr3t.
const LOGIN: &str = "bW9uOlMzY3IzdA==";

fn status() -> String {
    fs::read_to_string(fixture("cloud_monitor/csv2/cloud_status.json")).unwrap()
}

/// The value of one path.
fn value(lines: &str, path: &str) -> Option<i64> {
    let line = lines.lines().find_map(|line| line.strip_prefix(&format!("grids.heprc.{path} ")))?;
    Some(line.split(' ').next().unwrap().parse().unwrap())
}

#[test]
fn its_answer_fills_the_same_measurements_as_the_first_ones() {
    for (case, code, failures) in [("csv2", Some(0), 0), ("csv2_hard", Some(1), 3)] {
        let sandbox = Sandbox::new(case);
        sandbox.config("[grid]\nlive_hosts = send");
        for format in ["carbon", "influx", "json"] {
            let outcome = sandbox.run(&["-n", "--format", format, "--now", &NOW.to_string()]);
            assert_eq!((outcome.code, outcome.stderr.lines().count()), (code, failures), "{case}: {}", outcome.stderr);
            expect(&fixture(&format!("cloud_monitor/{case}/expected.{format}")), &outcome.stdout);
        }
    }
}

#[test]
fn its_states_are_its_own_and_the_slots_are_joined_by_host_names_without_case() {
    let sandbox = Sandbox::new("csv2");
    let outcome = sandbox.dry_run();
    let of = |path: &str| value(&outcome.stdout, path);
    for (path, expected) in [
        ("heartbeat.cloud_scheduler", Some(1)),
        ("clouds.cern.enabled", Some(1)),
        ("clouds.cc-east.enabled", Some(0)),
        ("clouds.cern.quota", Some(100)),
        ("clouds.cern.vms.atlas.total", Some(47)),
        ("clouds.cern.vms.atlas.running", Some(40)),
        ("clouds.cern.vms.atlas.starting", Some(2)),
        ("clouds.cern.vms.atlas.retiring", Some(3)),
        ("clouds.cern.vms.atlas.error", Some(1)),
        ("clouds.cern.vms.atlas.unregistered", Some(1)),
        ("clouds.cern.vms.atlas.manual", Some(0)),
        ("clouds.cern.vms.atlas.unknown", None),
        ("clouds.cc-east.vms.atlas.manual", Some(1)),
        ("clouds.cc-east.idle.atlas", Some(5)),
        ("clouds.cc-east.idle.total", Some(5)),
        ("clouds.cern.slots.atlas.slot1_1", Some(2)),
        ("clouds.cern.slots.atlas.slot1_2", Some(1)),
        ("clouds.cern.mips", Some(61_000)),
        ("clouds.cc-east.kflops", Some(1_500_000)),
        ("clouds.cern.jobs.all.idle", Some(60)),
    ] {
        assert_eq!(of(path), expected, "{path}: {}", outcome.stdout);
    }
    assert!(!outcome.stdout.contains("belle"), "a host of a cloud that csv2 does not list");
}

#[test]
fn what_is_old_or_not_told_is_missing_and_named_and_the_rest_is_right() {
    let sandbox = Sandbox::new("csv2_hard");
    let outcome = sandbox.dry_run();
    let missing = "its virtual machines are missing, at 12:30 UTC\n";
    assert_eq!(
        outcome.stderr,
        format!(
            "collect-grid: cloud \"lost\" of group \"atlas\": csv2 cannot reach it (communication_up 0), so its numbers are old; \
             {missing}collect-grid: cloud \"untold\" of group \"atlas\": csv2 does not tell how many machines it has (VMs); \
             {missing}collect-grid: cloud_scheduler group \"halted\": csv2 does not ask its HTCondor any more \
             (job_status_list: state down); its machines' states unregistered, idle and running are missing, at 12:30 UTC\n"
        )
    );
    let of = |path: &str| value(&outcome.stdout, path);
    for (path, expected) in [
        // Two groups' clouds of one name: apart by group, together in what the cloud has.
        ("clouds.cern.vms.atlas.total", Some(10)),
        ("clouds.cern.vms.belle.total", Some(5)),
        ("clouds.cern.vms.belle.error", Some(1)),
        ("clouds.cern.idle.total", Some(3)),
        ("clouds.cern.quota", Some(150)),
        ("clouds.cern.enabled", Some(1)),
        ("clouds.cern.slots.atlas.slot1_1", Some(2)),
        ("clouds.cern.slots.atlas.slot1_2", Some(1)),
        ("clouds.cern.slots.belle.slot1_1", Some(1)),
        // HTCondor tells the slots of a cloud that csv2 does not reach.
        ("clouds.lost.enabled", Some(1)),
        ("clouds.lost.slots.atlas.slot1_1", Some(1)),
        ("clouds.lost.idle.total", None),
        ("clouds.lost.quota", None),
        ("clouds.retired.enabled", Some(0)),
        ("clouds.far.vms.dune.running", Some(3)),
        ("clouds.far.mips", None),
        ("clouds.far.quota", None),
        // The seven machines of a dead poller are there, their states are not.
        ("clouds.near.vms.halted.total", Some(6)),
        ("clouds.near.vms.halted.retiring", Some(1)),
        ("clouds.near.vms.halted.unknown", Some(5)),
        ("clouds.near.vms.halted.running", None),
        ("clouds.near.idle.halted", None),
        ("clouds.odd_one_x.vms.atlas.total", Some(8)),
        ("clouds.odd_one_x.vms.atlas.unknown", Some(5)),
        ("clouds.odd_one_x.vms.atlas.retiring", None),
        ("clouds.odd_one_x.quota", None),
        ("clouds.no-quota.quota", None),
        ("clouds.My_Cloud.slots.my_group.slot1_1", Some(1)),
        ("clouds.untold.vms.atlas.total", None),
        ("clouds.summed.vms.atlas.total", Some(3)),
        ("clouds.less.vms.atlas.total", Some(2)),
    ] {
        assert_eq!(of(path), expected, "{path}: {}", outcome.stdout);
    }
    for path in ["clouds.lost.vms.", "clouds.retired.vms.", "coverage.heprc.grid_vms", "coverage.heprc.grid_slots"] {
        assert_eq!(outcome.lines_with(path), Vec::<&str>::new());
    }
}

#[test]
fn an_answer_without_clouds_sends_no_zeros_since_a_failing_database_gives_it_too() {
    let sandbox = Sandbox::new("csv2");
    let carbon = FakeCarbon::start(Mood::Good);
    sandbox.config(&format!("[carbon]\nhost = 127.0.0.1\nport = {}", carbon.port));
    assert_eq!(sandbox.run(&["--now", &NOW.to_string()]).code, Some(0));
    sandbox.program("cloud_status", r#"echo '{"cloud_status_list": [], "service_status": [{"alias": "main"}]}'"#);
    let outcome = sandbox.run(&["--now", &(NOW + 60).to_string()]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    let (time, clouds) = (format!(" {}", NOW + 60), ".clouds.");
    let lines: Vec<_> = carbon.lines().into_iter().filter(|line| line.ends_with(&time)).collect();
    assert!(lines.iter().any(|line| line.contains("heartbeat.cloud_scheduler 1")), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains(clouds)), "{lines:?}");
}

/// A server that answers as csv2 does: a login is needed, JSON comes only to who accepts nothing else, and the address
/// has a slash at its end. Without `login` the server before it has checked who asks.
fn csv2(body: String, login: Option<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if !stream.read(&mut byte).is_ok_and(|count| count > 0) {
                    break;
                }
                request.extend(byte);
            }
            let request = String::from_utf8_lossy(&request).to_lowercase();
            let (status, body) = if request.starts_with("get /cloud/status ") {
                ("301 Moved Permanently", "")
            } else if login
                .is_some_and(|login| !request.contains(&format!("authorization: basic {login}").to_lowercase()))
            {
                ("401 Unauthorized", "<html>Unauthorized</html>")
            } else if request.contains("\r\naccept: application/json\r\n") {
                ("200 OK", body.as_str())
            } else {
                ("200 OK", "<!DOCTYPE html><html>a page for people</html>")
            };
            let length = body.len();
            let answer = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

#[test]
fn its_status_is_read_over_http_with_a_login() {
    let sandbox = Sandbox::new("csv2");
    let shown = sandbox.dry_run().stdout;
    sandbox.program("cloud_status", "exit 1");
    let url = csv2(status(), Some(LOGIN));
    let run = |config: &str, arguments: &[&str]| {
        sandbox.config(&format!("[cloud_scheduler]\n{}", config.replace("URL", &url)));
        fs::set_permissions(sandbox.path("config.cfg"), fs::Permissions::from_mode(0o600)).unwrap();
        let outcome = sandbox.run(&[arguments, &["--now", &NOW.to_string()]].concat());
        assert!(!format!("{outcome:?}").contains("S3cr3t"));
        outcome
    };
    let login = "username = mon\npassword = S3cr3t\n";
    let outcome = run(&format!("url = URL/cloud/status/\n{login}"), &["-n"]);
    assert_eq!((outcome.code, outcome.stdout, outcome.stderr.as_str()), (Some(0), shown, ""));
    let outcome = run(&format!("url = URL/cloud/status/?atlas\n{login}"), &["--check"]);
    let line = "2 clouds of group atlas, 65 virtual machines (Cloud Scheduler 2, version 2.11)";
    assert!(outcome.lines_with("ok      cloud_scheduler")[0].ends_with(line), "{}", outcome.stdout);

    for (config, code, words) in [
        (
            "url = URL/cloud/status/",
            1,
            "it wants a login: set [cloud_scheduler] username and password, or certificate; clouds",
        ),
        (
            "url = URL/cloud/status/\nusername = mon\npassword = S3cr3t2",
            1,
            "it does not take the [cloud_scheduler] username and password; clouds",
        ),
        (
            &format!("url = URL/cloud/status\n{login}"),
            1,
            "https://HOST/cloud/status/ with the slash at its end; clouds",
        ),
        ("url = URL/cloud/status/\nusername = mon", 2, "[cloud_scheduler] username: needs password beside it"),
        ("url = URL/cloud/status/\npassword = S3cr3t", 2, "[cloud_scheduler] password: needs username beside it"),
        (login, 2, "[cloud_scheduler] username: needs url beside it; the command takes no login"),
        ("ca = /ca.pem", 2, "[cloud_scheduler] ca: needs url beside it; the command opens its own connection"),
        ("certificate = /mon.pem", 2, "[cloud_scheduler] certificate: needs url beside it; the command"),
        ("url = URL/cloud/status/\nkey = /mon.key", 2, "[cloud_scheduler] key: needs certificate beside it"),
        ("url = URL/cloud/status/\ncertificate = /mon.pem", 1, "/mon.pem: No such file"),
        (
            "url = URL/cloud/status/\nusername = a:b\npassword = S3cr3t",
            2,
            "[cloud_scheduler] username: \"a:b\" is not a name without a colon",
        ),
    ] {
        let outcome = run(config, &["-n"]);
        assert_eq!((outcome.code, outcome.stderr.lines().count()), (Some(code), 1), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(words), "{words}: {}", outcome.stderr);
    }
}

#[test]
fn a_certificate_takes_the_place_of_the_login() {
    if !tools("a_certificate_takes_the_place_of_the_login") {
        return;
    }
    let sandbox = Sandbox::new("csv2");
    let shown = sandbox.dry_run().stdout;
    sandbox.program("cloud_status", "exit 1");
    certificates(&sandbox);
    let path = |name: &str| sandbox.path(name).display().to_string();
    // A proxy's file holds its key.
    let both = ["client.pem", "client.key"].map(|name| fs::read_to_string(sandbox.path(name)).unwrap()).concat();
    let proxy = sandbox.write("proxy.pem", both);
    fs::set_permissions(proxy, fs::Permissions::from_mode(0o600)).unwrap();
    openssl(&sandbox, "genpkey -algorithm ec -pkeyopt ec_paramgen_curve:P-256 -out other.key");
    let run = |login: Option<&'static str>, certificate: &str| {
        let (port, relay, ports) = relay(&sandbox, csv2(status(), login).strip_prefix("http://").unwrap(), true);
        let url = format!("url = https://localhost:{port}/cloud/status/\nca = {}\n", path("ca.pem"));
        sandbox.config(&format!("[cloud_scheduler]\n{url}{certificate}"));
        let outcome = sandbox.run(&["-n", "--now", &NOW.to_string()]);
        drop((relay, ports));
        outcome
    };
    let with_key = format!("certificate = {}\nkey = {}", path("client.pem"), path("client.key"));
    for certificate in [with_key.clone(), format!("certificate = {}", path("proxy.pem"))] {
        let outcome = run(None, &certificate);
        assert_eq!((outcome.code, &outcome.stdout, outcome.stderr.as_str()), (Some(0), &shown, ""));
    }
    for (login, certificate, expected) in [
        (None, String::new(), "cloud_scheduler: GET https://localhost:"),
        (Some(LOGIN), with_key, "HTTP 401; it knows no user with the [cloud_scheduler] certificate: enter"),
        (Some(LOGIN), format!("certificate = {}", path("proxy.pem")), "common name at the user in Cloud Scheduler 2"),
        (None, format!("certificate = {}", path("client.pem")), "client.pem"),
        (
            None,
            format!("certificate = {}\nkey = {}", path("client.pem"), path("other.key")),
            "other.key is not its key",
        ),
    ] {
        let outcome = run(login, &certificate);
        assert_eq!((outcome.code, outcome.stderr.lines().count()), (Some(1), 1), "{certificate}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(expected), "{certificate}: {}", outcome.stderr);
    }
}
