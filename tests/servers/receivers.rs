//! Who counts as a pickle receiver: Carbon and its relay, also behind proxies. Nobody else who happens to close a connection.

use std::fs;
use std::process::Command;
use std::sync::LazyLock;
use std::thread;

use gridmon_testkit::sandbox::{Outcome, Sandbox};
use gridmon_testkit::{Carbon, Front, GraphiteWeb, program, shared_graphite, skip};

/// A time of points that Carbon takes: a whole minute of the last hour.
fn minute(at: i64) -> String {
    static FIRST: LazyLock<i64> = LazyLock::new(|| (jiff::Timestamp::now().as_second() - 1800) / 60 * 60);
    (*FIRST + 60 * at).to_string()
}

fn sending_to(port: u16, grid: &str) -> Sandbox {
    let sandbox = Sandbox::new("small");
    sandbox.config(&format!("[carbon]\nhost = 127.0.0.1\nport = {port}"));
    let path = sandbox.path("config.cfg");
    let text = fs::read_to_string(&path).unwrap().replace("name = heprc", &format!("name = {grid}"));
    fs::write(&path, text).unwrap();
    sandbox
}

fn nagios(sandbox: &Sandbox) -> Option<i32> {
    let mut command = Command::new(program("gridmon-status"));
    Outcome::of(command.args(["--nagios", "--config"]).arg(sandbox.path("config.cfg"))).code
}

#[test]
fn only_a_pickle_receiver_is_delivered_to() {
    let name = "only_a_pickle_receiver_is_delivered_to";
    let Some((carbon, graphite)) = shared_graphite() else { return skip(name, "Carbon with graphite-web") };
    let (dead, _ports) = gridmon_testkit::free_port();
    let front = |kind: &str, target: u16| Front::start(kind, target);
    let fronts = [
        front("haproxy", carbon.pickle),
        front("haproxy-checks", carbon.pickle),
        front("socat", carbon.pickle),
        front("carbon-relay", carbon.pickle),
        front("haproxy", dead),
        front("haproxy-checks", dead),
        front("socat", dead),
        front("carbon-c-relay", carbon.line),
    ];
    if fronts.iter().any(Option::is_none) {
        return skip(name, "haproxy, socat or carbon-c-relay");
    }
    let ports: Vec<_> = fronts.iter().flatten().map(|front| front.port).collect();
    let (wrong, closes) =
        ("carbon: no pickle receiver at 127.0.0.1:", "127.0.0.1:PORT: it closed the connection before the end");
    let cases = [
        (carbon.pickle, ""),
        (ports[0], ""),
        (ports[1], ""),
        (ports[2], ""),
        (ports[3], ""),
        (ports[4], closes),
        (ports[5], closes),
        (ports[6], closes),
        (ports[7], wrong),
        (carbon.line, wrong),
        (graphite.port, wrong),
        (carbon.query, closes),
    ];
    thread::scope(|scope| {
        for (at, (port, words)) in cases.iter().enumerate() {
            scope.spawn(move || {
                let sandbox = sending_to(*port, &format!("receiver{at}"));
                // A proxy may take its time.
                let (checked, run) = thread::scope(|scope| {
                    let checked = scope.spawn(|| sandbox.run(&["--check"]));
                    let run = sandbox.run(&["--now", &minute(0)]);
                    (checked.join().unwrap(), run)
                });
                let good = words.is_empty();
                let words = words.replace("PORT", &port.to_string());
                let (shown, said) =
                    (checked.stdout.replace("failed  carbon                   ", "carbon: "), run.stderr);
                assert!(shown.contains(&words), "{at}: {shown}");
                assert_eq!(checked.code, Some(if good { 0 } else { 1 }), "{at}: {shown}");
                assert!(said.contains(&words), "{at}: {said}");
                assert_eq!(said.contains(" points wait in the spool"), !good, "{at}: {said}");
                assert_eq!(run.code, Some(if good { 0 } else { 1 }), "{at}: {said}");
                if good {
                    let path = format!("grids.receiver{at}.heartbeat.condor");
                    carbon.wait_until_on_disk([(&path, minute(0).parse().unwrap())]);
                } else {
                    assert_ne!(nagios(&sandbox), Some(0), "{at}");
                }
            });
        }
    });
}

#[test]
fn a_config_that_leads_elsewhere_is_proved_anew_and_nothing_is_lost() {
    let name = "a_config_that_leads_elsewhere_is_proved_anew_and_nothing_is_lost";
    let Some((carbon, _)) = shared_graphite() else { return skip(name, "Carbon with graphite-web") };
    let sandbox = sending_to(carbon.pickle, "elsewhere");
    assert_eq!(sandbox.run(&["--now", &minute(0)]).stderr, "");
    let path = sandbox.path("config.cfg");
    let good = fs::read_to_string(&path).unwrap();
    let pickle = format!("port = {}", carbon.pickle);
    fs::write(&path, good.replace(&pickle, &format!("port = {}", carbon.line))).unwrap();
    let wrong = sandbox.run(&["--now", &minute(1)]);
    assert!(wrong.stderr.starts_with("collect-grid: carbon: no pickle receiver at 127.0.0.1:"), "{}", wrong.stderr);
    fs::write(&path, good).unwrap();
    let again = sandbox.run(&["-v", "--now", &minute(2)]);
    assert!(again.stderr.contains("; 113 replayed, 0 wait\n"), "{}", again.stderr);
    let path = "grids.elsewhere.heartbeat.condor".to_string();
    carbon.wait_until_on_disk((0..3).map(|at| (&path, minute(at).parse().unwrap())));
}

#[test]
fn a_carbon_that_dies_behind_a_proxy_gets_nothing_acknowledged() {
    let name = "a_carbon_that_dies_behind_a_proxy_gets_nothing_acknowledged";
    let Some(mut carbon) = Carbon::start() else { return skip(name, "Carbon") };
    let fronts = ["haproxy", "haproxy-checks", "socat"].map(|kind| Front::start(kind, carbon.pickle));
    if fronts.iter().any(Option::is_none) {
        return skip(name, "haproxy or socat");
    }
    let sandboxes: Vec<_> = fronts.iter().flatten().map(|front| sending_to(front.port, "g")).collect();
    let runs = |at: i64| -> Vec<Outcome> {
        thread::scope(|scope| {
            let threads: Vec<_> = sandboxes
                .iter()
                .map(|sandbox| scope.spawn(move || sandbox.run(&["-v", "--now", &minute(at)])))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    };
    assert!(runs(0).iter().all(|run| run.code == Some(0)));
    // What is in its memory alone dies with it.
    let path = "grids.g.heartbeat.condor".to_string();
    carbon.wait_until_on_disk([(&path, minute(0).parse().unwrap())]);
    carbon.kill();
    for (at, run) in (1..3).flat_map(|at| runs(at).into_iter().map(move |run| (at, run))) {
        assert_eq!(run.code, Some(1), "{at}: {}", run.stderr);
        assert!(run.stderr.contains(" = 0 delivered + "), "{at}: {}", run.stderr);
    }
    carbon.restart();
    // haproxy's next check may be to come.
    gridmon_testkit::wait_until("everything to be sent", std::time::Duration::from_secs(60), || {
        runs(3).iter().all(|run| run.stderr.contains(", 0 wait\n")).then_some(())
    });
    carbon.wait_until_on_disk((0..4).map(|at| (&path, minute(at).parse().unwrap())));
}

#[test]
fn a_check_leaves_nothing_behind_in_carbon() {
    let Some(carbon) = Carbon::start() else { return skip("a_check_leaves_nothing_behind_in_carbon", "Carbon") };
    let sandbox = sending_to(carbon.pickle, "g");
    for _ in 0..3 {
        assert_eq!(sandbox.run(&["--check"]).code, Some(0));
    }
    let log = carbon.log().to_lowercase();
    assert!(log.contains("metricpicklereceiver connection"), "{log}");
    assert!(["error", "invalid", "traceback", "lost"].iter().all(|word| !log.contains(word)), "{log}");
    assert_eq!(fs::read_dir(carbon.dir().join("whisper")).unwrap().count(), 0);
}

#[test]
fn a_graphite_web_that_keeps_its_answers_is_asked_afresh() {
    let name = "a_graphite_web_that_keeps_its_answers_is_asked_afresh";
    let Some(carbon) = Carbon::start_with(&[("MAX_UPDATES_PER_SECOND", "100")]) else { return skip(name, "Carbon") };
    let Some(graphite) = GraphiteWeb::start_with_cache(&carbon, 60) else { return skip(name, "graphite-web") };
    let sandbox = Sandbox::new("small");
    sandbox.config(&format!(
        "[carbon]\nhost = 127.0.0.1\nport = {}\nacknowledge = readback\ntimeout_seconds = 20\n[graphite]\nurl = http://127.0.0.1:{}",
        carbon.pickle, graphite.port
    ));
    let run = sandbox.run(&["-v", "--now", &minute(0)]);
    assert!(run.stderr.contains(" 0 spooled + 0 dropped;"), "{}", run.stderr);
}

#[test]
fn a_login_opens_graphite_web_and_is_never_shown() {
    let name = "a_login_opens_graphite_web_and_is_never_shown";
    let Some(carbon) = Carbon::start() else { return skip(name, "Carbon") };
    let Some(graphite) = GraphiteWeb::start(&carbon) else { return skip(name, "graphite-web") };
    let Some(proxy) = Front::start("nginx", graphite.port) else { return skip(name, "nginx") };
    let with = |login: &str| {
        let sandbox = Sandbox::new("small");
        sandbox.config(&format!(
            "[carbon]\nhost = localhost\nport = {}\nacknowledge = readback\n[graphite]\nurl = http://localhost:{}\n{login}",
            carbon.pickle, proxy.port
        ));
        let chmod = Command::new("chmod").arg("0600").arg(sandbox.path("config.cfg")).status().unwrap();
        assert!(chmod.success());
        sandbox
    };
    let post = format!("POST http://localhost:{}/render: HTTP 401; ", proxy.port);
    for (login, words) in [
        ("", "it asks for a login: set [graphite] username and password, or token"),
        ("username = monitor\npassword = wr0ng", "it refuses the login: check [graphite] username and password"),
        ("token = wr0ng", "it refuses the login: check [graphite] token"),
    ] {
        let sandbox = with(login);
        let run = sandbox.run(&["--now", &minute(0)]);
        let expected = format!("collect-grid: carbon: {post}{words}; ");
        assert!(run.stderr.starts_with(&expected), "{}", run.stderr);
        assert!(!run.stderr.contains("wr0ng"), "{}", run.stderr);
        assert!(sandbox.run(&["--check"]).stdout.contains(&format!("{post}{words}\n")));
    }
    let sandbox = with("username = monitor\npassword = s3cret");
    let run = sandbox.run(&["-v", "--now", &minute(0)]);
    assert!(run.stderr.contains(" 0 spooled + 0 dropped;"), "{}", run.stderr);
    let checked = sandbox.run(&["--check"]);
    assert!(
        checked.stdout.contains(&format!("answers, and so does http://localhost:{}/\n", proxy.port)),
        "{}",
        checked.stdout
    );
    assert!(!format!("{run:?}{checked:?}").contains("s3cret"));
    assert!(proxy.file("access").contains("- monitor ["), "{}", proxy.file("access"));

    #[cfg(feature = "dashboard")]
    {
        let site = gridmon_testkit::sandbox::site::Site::start(&sandbox);
        let summary = site.get("/json");
        assert_eq!((summary.status, summary.text().contains("grids.heprc.")), (200, true), "{}", summary.text());
        let refused = gridmon_testkit::sandbox::site::Site::start(&with("token = wr0ng")).get("/json");
        assert!(
            refused.status == 502 && refused.text().contains("HTTP 401; it refuses the login"),
            "{}",
            refused.text()
        );
        assert!(!refused.text().contains("wr0ng"));
    }
}
