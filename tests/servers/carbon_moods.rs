//! A real Carbon in the moods that lose values in silence: flapping, killed right after its FIN, its cache full. With
//! `acknowledge = readback` everything is stored in the end.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use gridmon_testkit::sandbox::{Outcome, Sandbox};
use gridmon_testkit::{Carbon, GraphiteWeb, skip, wait_until};

const LONG: Duration = Duration::from_secs(120);

/// A grid whose cloud `c` has the quota of its minute, sending to `port` and reading back through `graphite`.
struct Grid {
    sandbox: Sandbox,
    start: i64,
}

impl Grid {
    fn new(port: u16, graphite: &GraphiteWeb) -> Self {
        let sandbox = Sandbox::new("small");
        sandbox.config(&format!(
            "[carbon]\nhost = 127.0.0.1\nport = {port}\nacknowledge = readback\ntimeout_seconds = 10\n[graphite]\nurl = http://127.0.0.1:{}/",
            graphite.port
        ));
        Self { sandbox, start: (jiff::Timestamp::now().as_second() - 3600) / 60 * 60 }
    }

    fn run(&self, minute: i64) -> Outcome {
        let cloud =
            format!(r#"{{"resources": [{{"name": "c", "enabled": true, "max_slots": {}, "vms": []}}]}}"#, 100 + minute);
        self.sandbox.write("clouds.json", cloud);
        self.sandbox.program("cloud_status", "cat clouds.json");
        self.sandbox.run(&["-v", "--now", &(self.start + 60 * minute).to_string()])
    }

    /// Runs until nothing waits any more; the minutes that it took.
    fn finish(&self, mut minute: i64) -> i64 {
        wait_until("everything to be acknowledged", LONG, || {
            let outcome = self.run(minute);
            minute += 1;
            outcome.stderr.contains(", 0 wait\n").then_some(())
        });
        minute
    }

    /// What Carbon is just moving to the disk is in neither place for a moment, which its limit of updates makes longer.
    fn all_is_stored(&self, graphite: &GraphiteWeb, minutes: i64) {
        for minute in 0..minutes {
            let at = self.start + 60 * minute;
            let quota = graphite.wait_for("grids.heprc.clouds.c.quota", at);
            assert_eq!(quota, Some((100 + minute) as f64), "minute {minute}");
            assert_eq!(graphite.wait_for("grids.heprc.jobs.all.total", at), Some(40.0), "minute {minute}");
        }
    }
}

fn servers(test: &str, settings: &[(&str, &str)]) -> Option<(Carbon, GraphiteWeb)> {
    let servers = Carbon::start_with(settings).and_then(|carbon| {
        let graphite = GraphiteWeb::start(&carbon)?;
        Some((carbon, graphite))
    });
    if servers.is_none() {
        skip(test, "Carbon with graphite-web");
    }
    servers
}

#[test]
fn flapping_each_second() {
    let Some((carbon, graphite)) = servers("flapping_each_second", &[]) else { return };
    let grid = Grid::new(carbon.pickle, &graphite);
    let carbon = Mutex::new(carbon);
    let done = AtomicBool::new(false);
    let minutes = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                carbon.lock().unwrap().kill();
                thread::sleep(Duration::from_secs(1));
                carbon.lock().unwrap().restart();
                thread::sleep(Duration::from_secs(1));
            }
        });
        let mut failed = 0;
        let mut minutes = 0;
        while minutes < 8 {
            failed += i32::from(grid.run(minutes).code != Some(0));
            minutes += 1;
        }
        done.store(true, Ordering::Relaxed);
        assert!(failed > 0, "it never flapped at the wrong moment: the test proves nothing");
        minutes
    });
    let minutes = grid.finish(minutes);
    grid.all_is_stored(&graphite, minutes);
}

#[test]
fn killed_right_after_fin() {
    let Some((carbon, graphite)) = servers("killed_right_after_fin", &[]) else { return };
    let carbon = Arc::new(Mutex::new(carbon));
    // Between us and Carbon sits one who passes on everything, and kills Carbon as soon as it has said FIN.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let deadly = Arc::new(AtomicBool::new(true));
    let (target, kills) = (carbon.clone(), deadly.clone());
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let mut bytes = Vec::new();
            client.read_to_end(&mut bytes).unwrap();
            let mut carbon = target.lock().unwrap();
            let Ok(mut server) = TcpStream::connect(("127.0.0.1", carbon.pickle)) else { continue };
            server.write_all(&bytes).unwrap();
            server.shutdown(Shutdown::Write).unwrap();
            assert_eq!(server.read(&mut [0; 1]).unwrap(), 0, "FIN");
            if kills.load(Ordering::Relaxed) {
                carbon.kill();
            }
        }
    });
    let grid = Grid::new(port, &graphite);
    for minute in 0..3 {
        let outcome = grid.run(minute);
        assert_eq!(outcome.code, Some(1));
        assert!(outcome.stderr.contains(" 0 delivered + "), "FIN alone must not count: {}", outcome.stderr);
        carbon.lock().unwrap().restart();
    }
    deadly.store(false, Ordering::Relaxed);
    let minutes = grid.finish(3);
    grid.all_is_stored(&graphite, minutes);
}

#[test]
fn its_cache_is_full() {
    // It takes 60 values into its memory, stores 30 a second, and without flow control drops what is beyond.
    let settings = [("MAX_CACHE_SIZE", "60"), ("MAX_UPDATES_PER_SECOND", "30"), ("USE_FLOW_CONTROL", "False")];
    let Some((carbon, graphite)) = servers("its_cache_is_full", &settings) else { return };
    let grid = Grid::new(carbon.pickle, &graphite);
    // FIN says that all is well, and half of it is gone.
    let config = grid.sandbox.path("config.cfg");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("acknowledge = readback", "acknowledge = fin")).unwrap();
    assert_eq!(grid.run(0).code, Some(0));
    let shown = grid.sandbox.run(&["-n", "--now", &grid.start.to_string()]).stdout;
    let lost = || {
        let paths = shown.lines().map(|line| line.split(' ').next().unwrap());
        paths.filter(|path| graphite.value(path, grid.start).is_none()).count()
    };
    let mut before = usize::MAX;
    wait_until("Carbon to store what it took", LONG, || {
        thread::sleep(Duration::from_secs(1));
        let now = lost();
        let settled = now == before && now < shown.lines().count();
        before = now;
        settled.then_some(())
    });
    assert!(before > 0, "the cache was not full: the test proves nothing");

    std::fs::write(&config, text).unwrap();
    grid.run(0);
    let minutes = grid.finish(1);
    grid.all_is_stored(&graphite, minutes);
    wait_until("what was on its way to the disk", LONG, || (lost() == 0).then_some(()));
}
