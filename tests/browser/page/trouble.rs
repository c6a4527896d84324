//! A server that goes and comes, numbers that grow old, stores that are not there, and many clouds.

use super::*;

#[test]
fn the_server_goes_and_comes_again_and_nothing_is_lost() {
    let browser = browser!("the_server_goes_and_comes_again_and_nothing_is_lost", 1280, 610);
    let sandbox = one_grid("hard");
    collect(&sandbox, minute() - 60);
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    let (url, address) = (monitor.url.clone(), monitor.address().to_string());
    browser.go(&url);
    let site = site(&sandbox, &monitor);
    // Far down the page.
    let path = site.numbers.keys().rfind(|path| path.ends_with(".quota")).unwrap();
    browser.click(&link(path));
    browser.wait("document.querySelector('#legend tbody tr')");
    let place = "[scrollY > 0, document.activeElement.getAttribute('href'), getSelection().toString()].join()";
    browser.js(
        "const text = document.querySelector('main h2').firstChild; getSelection().selectAllChildren(text.parentNode)",
    );
    let before = browser.text(place);
    // What is looked at stays where it is, also when something is said above it.
    let height =
        |browser: &Browser| browser.js("return document.activeElement.getBoundingClientRect().top").as_f64().unwrap();
    let was_at = height(&browser);
    let numbers = shown(&browser);
    assert!(before.starts_with("true") && before.contains(path) && before.ends_with("heprc"), "{before}");
    browser.wait("/refreshes in [1-5] s/.test(document.querySelector('#countdown').textContent)");

    drop(monitor);
    browser.wait("/^The server has not answered since \\d\\d:\\d\\d:\\d\\d UTC/.test(document.querySelector('#said').textContent)");
    browser.wait("/no answer since .*; tries again in \\d+ s/.test(document.querySelector('#countdown').textContent)");
    assert_eq!(browser.text(place), before);
    assert!((height(&browser) - was_at).abs() < 3.0);
    assert_eq!(shown(&browser), numbers);

    // Meanwhile the grid went on: another cloud, and one job fewer.
    let jobs =
        std::fs::read_to_string(gridmon_testkit::sandbox::fixture("cloud_monitor/hard/condor_jobs.json")).unwrap();
    let end = jobs.rfind(", {").unwrap();
    sandbox.write("jobs.json", format!("{}]", &jobs[..end]));
    sandbox.program("condor_q", &format!("cat {}", sandbox.path("jobs.json").display()));
    collect(&sandbox, minute());
    let monitor = Monitor::start(&sandbox, &address);
    browser.wait("/^The server answers again/.test(document.querySelector('#said').textContent)");
    browser.wait("!document.querySelector('main.gone')");
    assert_eq!(browser.text(place), before);
    assert!((height(&browser) - was_at).abs() < 3.0);
    assert_eq!(browser.text("document.querySelectorAll('#legend tbody tr').length"), "1");
    assert_ne!(shown(&browser), numbers);
    let total = "grids.heprc.jobs.all.total".to_string();
    let Value::Int(value) = stored(&sandbox.path("state/gridmon.db"))[&total] else { panic!() };
    assert_eq!(shown(&browser)[&total].0, value.to_string());
    browser.is_quiet_but(&url, "ERR_CONNECTION_REFUSED");
    drop(monitor);
}

#[test]
fn old_numbers_look_old_and_silent_ones_are_left_out() {
    let browser = browser!("old_numbers_look_old_and_silent_ones_are_left_out", 1280, 900);
    let sandbox = one_grid("small");
    let now = minute();
    // Two hours ago there was another schedd.
    let slots = gridmon_testkit::sandbox::fixture("cloud_monitor/small/condor_slots.json").display().to_string();
    let config = "[dashboard]\nrefresh_seconds = 5\n[htcondor]\nschedds = ";
    sandbox.schedds(&["ce00.example.org", "ce01.example.org"], &slots);
    collect(&sandbox, now - 7200);
    sandbox.schedds(&["ce01.example.org"], &slots);
    sandbox.config(&format!("{config}ce01.example.org"));
    collect(&sandbox, now - 7100);
    // Cloud Scheduler answers no more since ten minutes ago.
    collect(&sandbox, now - 600);
    sandbox.program("cloud_status", "echo down; exit 1");
    assert_eq!(sandbox.run(&["--now", &now.to_string()]).code, Some(1));

    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    browser.go(&monitor.url);
    let numbers = shown(&browser);
    let is_old = |path: &str| numbers[path].1.contains(" old: of 20");
    assert!(numbers["grids.heprc.heartbeat.cloud_scheduler"].0.ends_with("DOWN"));
    assert!(!is_old("grids.heprc.jobs.all.total"));
    let values = stored(&sandbox.path("state/gridmon.db"));
    let vms = numbers.iter().filter(|(path, _)| path.contains(".vms."));
    for (path, (_, title)) in vms {
        assert_eq!(!title.is_empty(), values[path] != Value::Int(0), "{path}: {title}");
    }
    assert!(numbers.keys().all(|path| !path.contains("ce00")));
    // Said to the mouse and to the keyboard.
    browser.js("document.querySelector('td a.old').focus()");
    browser.wait("/^1\\d min old: of 20/.test(document.querySelector('#tip').textContent) && !document.querySelector('#tip').hidden");
    let left_out = "document.querySelector('main p.quiet').textContent";
    assert!(browser.text(left_out).contains("silent for over an hour left out"), "{}", browser.text(left_out));
    browser.click("main p.quiet a");
    browser.wait("location.search === '?all=1' && !document.querySelector('main p.quiet')");
    assert!(shown(&browser).keys().any(|path| path.contains("ce00")));
    browser.is_quiet(&monitor.url);

    // A grid that nobody has heard of for ten minutes is old as a whole.
    let sandbox = one_grid("small");
    collect(&sandbox, now - 600);
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    let browser = Browser::open(1280, 900).unwrap();
    browser.go(&monitor.url);
    browser.wait("document.querySelector('.grid.stale .when').textContent.includes('all numbers are old')");
    let numbers = shown(&browser).into_iter().filter(|(path, _)| !path.contains('*'));
    assert!(numbers.map(|(_, (_, title))| title).all(|title| title.contains(" min old: of ")));
    browser.is_quiet(&monitor.url);
}

#[test]
fn a_store_that_is_not_there_yet_or_is_damaged_is_said() {
    let browser = browser!("a_store_that_is_not_there_yet_or_is_damaged_is_said", 1280, 900);
    let sandbox = one_grid("small");
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    browser.go(&monitor.url);
    assert_eq!(browser.text("document.querySelector('.empty pre').textContent"), "collect-grid --verbose");
    collect(&sandbox, minute());
    browser.wait("document.querySelectorAll('main section.grid').length === 1");
    assert_eq!(browser.text("document.querySelectorAll('.empty').length"), "0");
    let numbers = shown(&browser);

    let store = sandbox.path("state/gridmon.db");
    let whole = std::fs::read(&store).unwrap();
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(sandbox.path(&format!("state/gridmon.db{ending}")));
    }
    sandbox.write("state/gridmon.db", "this is no store, and <b>never</b> was one");
    browser.click("#refresh");
    browser.wait("document.querySelector('.banner')");
    let words = browser.text("document.querySelector('.banner').textContent");
    assert!(words.contains("No answer from the embedded store") && words.contains("last numbers"), "{words}");
    assert_eq!(shown(&browser), numbers);
    std::fs::remove_file(&store).unwrap();
    std::fs::write(&store, whole).unwrap();
    browser.wait("!document.querySelector('.banner')");
    browser.is_quiet(&monitor.url);
}

/// The answers of a grid with this many clouds.
fn many_clouds(sandbox: &Sandbox, count: usize) {
    let mut clouds = String::new();
    for cloud in 0..count {
        let mut vms = Vec::new();
        for (at, vmtype) in ["atlas-worker", "belle-8core"].iter().take(1 + cloud % 2).enumerate() {
            for vm in 0..3 + (cloud * 7 + at) % 5 {
                let status = ["Running", "Running", "Starting", "Error"][vm % 4];
                let host = format!("site{cloud:03}-{at}-{vm}");
                vms.push(json!({ "hostname": host, "vmtype": vmtype, "status": status }));
            }
        }
        let cloud =
            json!({ "name": format!("site-{cloud:03}"), "enabled": cloud % 9 != 4, "max_slots": 20, "vms": vms });
        let _ = write!(clouds, "{}{cloud}", if clouds.is_empty() { "" } else { "," });
    }
    sandbox.write("clouds.json", format!("{{\"resources\": [{clouds}]}}"));
    sandbox.program("cloud_status", &format!("cat {}", sandbox.path("clouds.json").display()));
}

#[test]
fn two_grids_of_a_hundred_clouds_are_quick_and_light() {
    let browser = browser!("two_grids_of_a_hundred_clouds_are_quick_and_light", 1280, 900);
    let sandbox = Sandbox::new("small");
    many_clouds(&sandbox, 100);
    for grid in ["heprc", "belle"] {
        rename(&sandbox, grid);
        collect(&sandbox, minute());
    }
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    proofs::numbers(&browser, &site(&sandbox, &monitor));
    browser.click(&link("grids.heprc.jobs.all.total"));
    browser.wait("document.querySelector('#legend tbody tr')");
    let figures = browser.js(
        "const all = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]; return \
         [all.reduce((sum, one) => sum + one.transferSize, 0), performance.getEntriesByType('paint')[0].startTime]",
    );
    let (bytes, paint) = (figures[0].as_u64().unwrap(), figures[1].as_f64().unwrap());
    println!("{bytes} bytes with everything, first paint after {paint:.0} ms");
    let each = "return [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')].map((one) => \
                `${one.transferSize} ${one.name.split('?')[0]}`)";
    assert!(bytes > 20_000 && bytes < 150_000, "{bytes} bytes: {}", browser.js(each));
    // A figure of the machine's, and of an unoptimised build; `make bench` has the one that counts.
    assert!(paint < 3000.0, "{paint} ms");
    // The heads stay in sight.
    browser.js("document.querySelectorAll('.clouds')[0].scrollIntoView(); scrollBy(0, 900)");
    let heads = "[...document.querySelectorAll('.clouds')[0].querySelectorAll('thead th')].every((head) => \
                 Math.abs(head.getBoundingClientRect().top) < 80)";
    browser.wait(heads);
    let bar = "document.querySelector('header').getBoundingClientRect().bottom <= \
               document.querySelector('.clouds thead').firstElementChild.lastElementChild.getBoundingClientRect().top + 1";
    browser.wait(bar);
    browser.is_quiet(&monitor.url);
}
