//! Names from outside, and the README's picture.

use super::*;

#[test]
fn names_from_outside_never_become_html() {
    let browser = browser!("names_from_outside_never_become_html", 1280, 900);
    let sandbox = one_grid("small");
    let long = "n".repeat(200);
    let names = [
        "<script>document.title='broken'</script>",
        "\"><img src=x onerror=\"document.title='broken'\">",
        "'quoted' & \"quoted\" &amp; &lt;",
        "../../etc/passwd",
        "\u{202e}gnorw\u{202d}",
        "שלום عالم",
        "javascript:alert(1)",
        "a?plot=b&theme=dark#c",
        "${document.title='broken'} {{7*7}} %3Cscript%3E",
        &long,
    ];
    let clouds = names.map(|name| {
        json!({ "name": name, "enabled": true, "max_slots": 3, "vms": [{ "hostname": "h", "vmtype": name, "status": name }] })
    });
    sandbox.write("clouds.json", json!({ "resources": clouds }).to_string());
    sandbox.program("cloud_status", &format!("cat {}", sandbox.path("clouds.json").display()));
    collect(&sandbox, minute());
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    let site = site(&sandbox, &monitor);
    browser.go(&monitor.url);
    let heads = browser
        .js("return [...document.querySelectorAll('.clouds tbody:not(.sum) th')].map((head) => head.textContent)");
    let heads: Vec<_> = heads.as_array().unwrap().iter().map(|head| head.as_str().unwrap()).collect();
    assert_eq!(heads.len(), names.len(), "{heads:?}");
    for path in shown(&browser).keys().filter(|path| !path.contains('*')) {
        assert!(site.numbers.contains_key(path), "{path}");
    }
    let is_harmless = |browser: &Browser| {
        let title = browser.text("document.title");
        assert!(title.ends_with("Cloud Monitor"), "{title}");
        let made = "document.querySelectorAll('main script, main img, main iframe, [onerror], a[href^=\"javascript\"]').length";
        assert_eq!(browser.text(made), "0");
        // The page may still be laid out.
        browser.wait("document.documentElement.scrollWidth <= innerWidth");
    };
    is_harmless(&browser);
    // All of them plotted, and then refreshed.
    let totals: Vec<_> = site
        .numbers
        .keys()
        .filter(|path| path.contains(".clouds.") && path.ends_with(".total") && path.contains(".vms."))
        .collect();
    assert_eq!(totals.len(), names.len());
    let query: Vec<_> = totals.iter().map(|path| format!("plot={}", escape(path))).collect();
    browser.go(&format!("{}?{}", monitor.url, query.join("&")));
    browser.wait(&format!("document.querySelectorAll('#legend tbody tr').length === {}", names.len()));
    browser.wait(&format!("document.querySelectorAll('main a[aria-current=true]').length === {}", names.len()));
    is_harmless(&browser);
    browser.click("#refresh");
    let since = browser.text("document.querySelector('#countdown').textContent");
    browser.wait(&format!("document.querySelector('#countdown').textContent !== {since:?}"));
    is_harmless(&browser);

    // And in addresses.
    let everywhere: Vec<_> =
        names.iter().flat_map(|name| ["plot", "hide"].map(|key| format!("{key}={}", escape(name)))).collect();
    for text in &names[..3] {
        let others = ["from", "to", "theme", "density", "all"].map(|key| format!("{key}={}", escape(text)));
        browser.go(&format!("{}?{}&{}", monitor.url, everywhere.join("&"), others.join("&")));
        browser.wait("document.querySelector('#wrong').textContent !== ''");
        is_harmless(&browser);
    }
    browser.is_quiet_but(&monitor.url, "status of 400");
}

/// As in a query.
fn escape(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        let _ = write!(escaped, "%{byte:02X}");
        escaped
    })
}

/// The answers of a grid at a time of a busy day.
fn busy(sandbox: &Sandbox, grid: &str, time: i64) {
    let wave =
        |hours: f64, at: usize| 0.5 + 0.5 * (time as f64 / 3600.0 * std::f64::consts::TAU / hours + at as f64).sin();
    let part = |whole: i64, share: f64| (whole as f64 * share) as i64;
    let names =
        ["arbutus", "aws-oregon", "cc-east", "cc-west", "cern-prod", "desy-hh", "gridka", "nectar-mel", "otter"];
    let skipped = usize::from(grid == "belle") * 4;
    let (mut clouds, mut slots, mut jobs) = (Vec::new(), Vec::new(), Vec::new());
    for (at, name) in names.iter().enumerate().skip(skipped) {
        let quota = [80, 20, 120, 43, 60, 30, 90, 24, 40][at];
        let mut vms = Vec::new();
        let types = if at % 3 == 2 { &["worker-8core", "himem-16g"][..] } else { &["worker-8core"] };
        for (nth, vmtype) in types.iter().enumerate() {
            let quota = if nth == 0 { quota * 3 / 4 } else { quota / 5 };
            let running = part(quota, 0.45 + 0.45 * wave(5.0 + at as f64, at + nth));
            let others = [
                ("Starting", part(5, wave(1.3, at))),
                ("Retiring", part(3, wave(2.1, at + 2))),
                ("Error", i64::from(at == 6) * 2),
            ];
            for (status, count) in [("Running", running)].into_iter().chain(others) {
                for vm in 0..count {
                    let host = format!("{name}-{nth}-{status}-{vm}");
                    if status == "Running" && vm % 9 != 4 {
                        for slot in 1..=1 + vm % 3 {
                            slots.push(
                                json!({ "Name": format!("slot1_{slot}@{host}"), "Mips": 24000, "KFlops": 1_500_000 }),
                            );
                        }
                    }
                    vms.push(json!({ "hostname": host, "vmtype": vmtype, "status": status }));
                }
            }
        }
        clouds.push(json!({ "name": name, "enabled": *name != "nectar-mel", "max_slots": quota, "vms": vms }));
        jobs.push(json!({ "JobStatus": 1, "TargetClouds": name, "JobCount": part(9, wave(4.0, at)) + 1 }));
    }
    for (at, (target, count)) in [("IAAS", 900), ("IAAS_MCORE", 340), ("Alberta", 60)].into_iter().enumerate() {
        for (status, share) in [(1, wave(7.0, at)), (2, 0.6 + 0.4 * wave(6.0, at + 3)), (5, 0.01 * wave(3.0, at))] {
            jobs.push(json!({ "JobStatus": status, "TargetClouds": target, "JobCount": part(count, share) + 1 }));
        }
    }
    for (name, answer) in [("clouds", json!({ "resources": clouds })), ("slots", json!(slots)), ("jobs", json!(jobs))] {
        sandbox.write(&format!("{name}.json"), answer.to_string());
    }
    let file = |name: &str| sandbox.path(name).display().to_string();
    sandbox.schedds(&["ce01.example.org", "ce02.example.org"], &file("slots.json"));
    sandbox.program("cloud_status", &format!("cat {}", file("clouds.json")));
    // The last minutes of one schedd are silent.
    let is_down = grid == "belle" && time > minute() - 900;
    let dead = if is_down { "case \"$*\" in *ce02*) echo 'ERROR: no route to host' >&2; exit 1;; esac; " } else { "" };
    sandbox.program("condor_q", &format!("{dead}cat {}", file("jobs.json")));
}

/// Writes docs/cloud-monitor.png, the picture of the README: some hours of two grids, with a plot.
#[test]
#[ignore = "writes the README's picture: make picture"]
fn a_picture_for_the_readme() {
    // make test-all runs what is ignored, too.
    if std::env::var_os("GRIDMON_PICTURE").is_none() {
        return;
    }
    let browser = browser!("a_picture_for_the_readme", 1280, 900);
    let sandbox = one_grid("small");
    for step in (0..=90).rev() {
        // For half an hour nothing was collected: a gap in the lines.
        if (35..43).contains(&step) {
            continue;
        }
        for grid in ["belle", "heprc"] {
            rename(&sandbox, grid);
            let time = minute() - step * 240;
            busy(&sandbox, grid, time);
            sandbox.run(&["--now", &time.to_string()]);
        }
    }
    let monitor = Monitor::start(&sandbox, "127.0.0.1:0");
    browser.prefers("light");
    let plots = ["cc-east", "gridka", "arbutus", "cern-prod"];
    let plots = plots.map(|cloud| format!("plot=grids.heprc.clouds.{cloud}.vms.worker-8core.running"));
    browser.go(&format!("{}?{}&hide=belle", monitor.url, plots.join("&")));
    browser.wait("document.querySelectorAll('#legend tbody tr').length === 4");
    let picture = browser.picture();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cloud-monitor.png");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, &picture).unwrap();
    assert!(picture.len() < 200_000, "{} bytes", picture.len());
}
