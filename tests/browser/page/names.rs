//! Names from outside.

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
