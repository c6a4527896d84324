//! Clients of every kind at once: greedy ones, slow ones, silent ones, strangers; and the others, who must not notice.

use std::fmt::Write as _;
use std::sync::atomic::AtomicBool;

use gridmon_testkit::program;
use gridmon_testkit::sandbox::Outcome;

use super::*;

/// The paths of a store with three weeks of ten series, whose answers are megabytes.
fn long_history(sandbox: &Sandbox) -> Vec<String> {
    const SCHEDDS: usize = 10;
    let now = collect(sandbox, 1, 0)[0];
    let mut lines = String::new();
    for minute in 1..20_000 {
        for schedd in 0..SCHEDDS {
            let time = (now - 60 * minute) * SECOND;
            let _ = writeln!(
                lines,
                "grid_schedd,grid=heprc,schedd=ce{schedd} duty_cycle_ratio={} {time}",
                minute as f64 / 7e4
            );
        }
    }
    sandbox.write("in.influx", lines);
    let mut import = Command::new(program("gridmon-status"));
    let imported = Outcome::of(import.args(["store", "import", "in.influx"]).current_dir(sandbox.path("")));
    assert_eq!(imported.code, Some(0), "{imported:?}");
    (0..SCHEDDS).map(|schedd| format!("grids.heprc.schedds.ce{schedd}.duty_cycle_ratio")).collect()
}

/// A large question; every `at` asks another one.
fn large(paths: &[String], at: usize) -> String {
    let paths: Vec<_> = paths.iter().map(|path| format!("path={path}")).collect();
    format!("/api/v1/history?{}&from=-14d&points={}", paths.join("&"), 20_000 - at)
}

fn open(site: &Site, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", site.0.port())).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    write!(stream, "GET {request} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    stream
}

/// Whether the server has ended the connection.
fn is_over(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let mut bytes = [0; 4096];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

#[test]
fn slow_readers_and_greedy_clients_lock_nobody_out() {
    let sandbox = Sandbox::new("small");
    let paths = long_history(&sandbox);
    let site = Site::start(&sandbox);
    let small = format!("/api/v1/history?path={}&from=-1h", paths[0]);
    let size = site.get(&large(&paths, 0)).body.len();
    assert!(size > 1 << 20, "{size}");
    let is_over = AtomicBool::new(false);
    let (mut healths, mut smalls) = (Vec::new(), Vec::new());
    let (large_ones, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for client in 0..100 {
            let (site, paths, is_over) = (&site, &paths, &is_over);
            scope.spawn(move || {
                let mut stream = open(site, &large(paths, 100 + client));
                while !is_over.load(Ordering::Relaxed) && !matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_)) {
                    thread::sleep(Duration::from_millis(100));
                }
            });
        }
        for client in 0..20 {
            let (site, paths, is_over, large_ones, refused) = (&site, &paths, &is_over, &large_ones, &refused);
            scope.spawn(move || {
                let mut at = 1000 * (client + 1) / 2;
                while !is_over.load(Ordering::Relaxed) {
                    at += 1;
                    let answer = site.get(&large(paths, at));
                    let count = if answer.status == 200 { large_ones } else { refused };
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let ends = Instant::now() + Duration::from_secs(8);
        // On a busy machine large answers take their time.
        let served = || large_ones.load(Ordering::Relaxed) > 0;
        while Instant::now() < ends || (!served() && Instant::now() < ends + LONG) {
            for (path, times) in [("/healthz", &mut healths), (small.as_str(), &mut smalls)] {
                let began = Instant::now();
                let answer = site.get(path);
                assert_eq!(answer.status, 200, "{path}: {}", answer.text());
                times.push(began.elapsed());
            }
            thread::sleep(Duration::from_millis(20));
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let shown = |times: &mut Vec<Duration>| {
        times.sort();
        format!("{:?} at most, {:?} in the middle", times.last().unwrap(), times[times.len() / 2])
    };
    let (health, small, peak) = (shown(&mut healths), shown(&mut smalls), site.peak_mb());
    let (large_ones, refused) = (large_ones.into_inner(), refused.into_inner());
    println!(
        "healthz {health}; a small question {small}; {large_ones} large answers, {refused} refused; {peak:.1} MB at the peak"
    );
    assert!(healths.len() > 10 && large_ones > 0, "{} {large_ones}", healths.len());
    assert!(peak < 128.0, "{peak} MB");
}

#[test]
fn who_takes_nothing_is_dropped_and_who_takes_little_is_not() {
    let sandbox = Sandbox::new("small");
    let paths = long_history(&sandbox);
    let site = Site::start(&sandbox);
    let (mut nothing, mut little) = (open(&site, &large(&paths, 0)), open(&site, &large(&paths, 1)));
    let began = Instant::now();
    // Longer than the patience of the server, and less than twice as long.
    while began.elapsed() < Duration::from_secs(18) {
        assert_ne!(little.read(&mut [0; 65_536]).unwrap(), 0);
        thread::sleep(Duration::from_secs(1));
    }
    // What the kernel had taken before can still be read.
    wait_until("the end of a connection that takes nothing", LONG, || is_over(&mut nothing).then_some(()));
    assert_ne!(little.read(&mut [0; 65_536]).unwrap(), 0);
}

#[test]
fn with_every_place_taken_the_longest_idle_goes_and_everybody_is_served() {
    crate::open_many_files();
    let sandbox = Sandbox::new("small");
    collect(&sandbox, 1, 0);
    let site = Site::start(&sandbox);
    // Silent ones, and ones that begin a request and do not go on.
    let mut silent: Vec<_> = (0..1000)
        .map(|at| {
            let mut stream = TcpStream::connect(("127.0.0.1", site.0.port())).unwrap();
            stream.write_all(&b"GET / HTTP/1.1\r\nHost: localhost\r\n"[..if at % 2 == 0 { 0 } else { 33 }]).unwrap();
            stream
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(site.get("/healthz").status, 200);
    }
    assert!(is_over(&mut silent[0]) && !is_over(&mut silent[999]));
}

#[test]
fn only_its_own_names_are_served_on_loopback() {
    let sandbox = Sandbox::new("small");
    sandbox.config("[dashboard]\nhosts = monitor.example.org");
    collect(&sandbox, 1, 0);
    let site = Site::start(&sandbox);
    let ask = |heads: &str| site.ask(&format!("GET / HTTP/1.1\r\n{heads}Connection: close\r\n\r\n"));
    for good in ["localhost:5000", "127.0.0.1", "[::1]:80", "monitor.example.org"] {
        assert_eq!(ask(&format!("Host: {good}\r\n")).status, 200, "{good}");
    }
    let evil = ask("Host: evil.example.org\r\n");
    assert_eq!(evil.status, 421);
    assert!(evil.text().contains("[dashboard] hosts"), "{}", evil.text());
    for none in ["", "Host: localhost\r\nHost: localhost\r\n", "Host: a b\r\n"] {
        assert_eq!(ask(none).status, 400, "{none:?}");
    }
    let metrics = site.get("/metrics").text();
    for (status, count) in [(421, 1), (400, 3)] {
        let counted = format!("requests_total{{route=\"refused\",status=\"{status}\"}} {count}\n");
        assert!(metrics.contains(&counted), "{metrics}");
    }
}

#[test]
fn what_a_client_has_is_not_sent_again() {
    let sandbox = Sandbox::new("small");
    collect(&sandbox, 3, 1);
    let site = Site::start(&sandbox);
    let history = "path=grids.heprc.jobs.all.idle";
    let ask = |path: &str, tag: &str| {
        site.ask(&format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: {tag}\r\nConnection: close\r\n\r\n"
        ))
    };
    let paths = [format!("/plot.svg?{history}"), format!("/api/v1/history?{history}"), "/json".into(), "/".into()];
    let tags = paths.each_ref().map(|path| {
        let first = ask(path, "\"another\"");
        let tag = first.head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_string();
        assert_eq!(first.status, 200);
        let again = ask(path, &format!("\"a\", {tag}"));
        assert!(again.status == 304 && again.body.is_empty() && again.head.contains(&tag), "{path}: {again:?}");
        tag
    });
    collect(&sandbox, 1, 0);
    for (path, tag) in paths.iter().zip(&tags) {
        assert_eq!(ask(path, tag).status, 200, "{path}: the data have changed");
    }
}
