//! What the rules call a trouble is marked where it is, on every page that has a row of it, and is told of whom it is.

use gridmon::monitors::backups::page::BACKUPS;
use gridmon::monitors::nodes::page::{NODE_PAGE, NODES_PAGE};
use gridmon::setup::Config as Settings;

use super::*;

/// All declared pages that these tests look at, with the rules of all systems.
fn site() -> Site {
    let rules = Settings::parse("", "c.cfg").unwrap().0.alarms;
    let site = Site::with_rules(&[&GRIDS, &BACKUPS, &NODES_PAGE, &NODE_PAGE, &INSTANCES_PAGE], rules);
    site.world.has_past.store(true, Ordering::Relaxed);
    site
}

/// A hub with two nodes of two sets each; the sets of the given names, `node/set`, are old.
fn backups(old: &[&str]) -> String {
    let time = NOW * SECOND;
    let mut lines = String::new();
    for node in ["n1", "n2"] {
        let _ = writeln!(lines, "backup_node,hub=hub-a,node={node} reachable=1i,verdict=0i,sets=2i {time}");
        for set in ["a/docs", "b/docs"] {
            let is_old = old.contains(&&*format!("{node}/{set}"));
            let (well, verdict) = if is_old { (0, 15) } else { (1, 0) };
            let _ =
                writeln!(lines, "backup_set,hub=hub-a,node={node},set={set} well={well}i,verdict={verdict}i {time}");
        }
    }
    lines
}

/// The table of this name, from its box on.
fn table<'a>(html: &'a str, name: &str) -> &'a str {
    html.split_once(&format!("data-key=\"{name}\""))
        .unwrap_or_else(|| panic!("{html}"))
        .1
        .split_once("</table>")
        .unwrap()
        .0
}

#[test]
fn sets_that_are_well_on_each_node_are_not_wrong_and_bad_ones_alone_are() {
    let site = site();
    site.holds(&backups(&[]), NOW + 30);
    let html = site.get("/pages/backups/tables");
    let sets = table(&html, "sets");
    assert!(sets.contains(">all 2</button>") && sets.contains(">only what is wrong 0</button>"), "{sets}");
    assert!(!sets.contains("is-worse") && !sets.contains("is-bad") && !html.contains("beat stale"), "{html}");
    assert_eq!(sets.matches("class=\"nights\"").count(), 4, "each has its nights on each node: {sets}");
    assert!(site.get("/pages/backups/tables?only=wrong").contains("Nothing is wrong here."));
    site.holds(&backups(&["n2/b/docs"]), NOW + 31);
    let html = site.get("/pages/backups/tables");
    let sets = table(&html, "sets");
    assert!(sets.contains(">all 2</button>") && sets.contains(">only what is wrong 1</button>"), "{sets}");
    let wrong = site.get("/pages/backups/tables?only=wrong");
    let wrong = table(&wrong, "sets");
    assert!(wrong.contains(">b/docs<") && !wrong.contains(">a/docs<"), "{wrong}");
    let sorted = site.get("/pages/backups/tables?sort=sets:verdict%20on%20each%20node,%20and%20its%20nights/n2");
    let sorted = table(&sorted, "sets");
    assert!(sorted.find("data-key=\"b/docs\"") < sorted.find("data-key=\"a/docs\""), "the worst first: {sorted}");
}

/// A node with a lost GPU, and what its other sensors say; one that is well.
fn nodes() -> String {
    let time = NOW * SECOND;
    let of = |host: &str, lost: u8| {
        format!(
            "node_load,host={host} load1=0.5,load5=0.4,load15=0.3 {time}
gpu_host,host={host} heartbeat=1i {time}
gpu,host={host},bus=0000:41:00.0 lost={lost}i {time}
node_sockets,host={host},protocol=tcp ESTABLISHED=42i {time}
"
        )
    };
    of("gpu03", 1) + &of("n1", 0)
}

#[test]
fn a_row_is_marked_by_its_name_whatever_page_has_the_number() {
    let site = site();
    site.holds(&nodes(), NOW + 5);
    let html = site.get("/pages/nodes/tables");
    assert!(html.contains("<tr class=\"is-bad\" data-key=\"gpu03\">"), "{html}");
    assert!(html.contains("<tr data-key=\"n1\">") && html.contains(">only what is wrong 1</button>"), "{html}");
    let wrong = site.get("/pages/nodes/tables?only=wrong");
    assert!(wrong.contains("data-key=\"gpu03\"") && !wrong.contains("data-key=\"n1\""), "{wrong}");
    // A grid may have a cloud of that name; it is not the node.
    site.holds(&format!("{}grid_cloud,grid=g,cloud=gpu03 quota=1i,enabled=1i {}", nodes(), NOW * SECOND), NOW + 6);
    assert!(site.get("/tables").contains("<tbody data-key=\"gpu03\"><tr>"));
}

#[test]
fn two_grids_with_a_schedd_of_one_name_have_two_troubles() {
    let site = site();
    let down =
        |grid: &str, name: &str| format!("grid_schedd,grid={grid},schedd={name} heartbeat=0i {0}\n", NOW * SECOND);
    site.holds(&(down("heprc", "ce05") + &down("belle", "ce05") + &down("belle", "ce06")), NOW + 30);
    let problems: serde_json::Value = serde_json::from_str(&site.get("/api/v1/problems")).unwrap();
    assert_eq!(problems["count"], 3, "{problems}");
    let of = |at: usize| (problems["problems"][at]["subject"].clone(), problems["problems"][at]["section"].clone());
    let mut of: Vec<_> = (0..3).map(of).collect();
    of.sort_by_key(|(subject, section)| format!("{subject}{section}"));
    assert_eq!(of, [("ce05", "belle"), ("ce05", "heprc"), ("ce06", "belle")].map(|(a, b)| (a.into(), b.into())));
    let line = site.get("/tables");
    for who in [">ce05 of heprc</b> down", ">ce05 of belle</b> down", ">ce06</b> down"] {
        assert!(line.contains(&format!("<b{who}")), "{who}: {line}");
    }
    let events = site.get("/events/tables");
    assert!(events.contains("<td>Grids · heprc</td>"), "{events}");
    for (who, lanes) in [("ce05 of heprc", 1), ("ce05 of belle", 1), ("ce06", 1), ("ce05", 0)] {
        assert_eq!(events.matches(&format!(" title=\"{who}\">{who}</a></th><td><svg")).count(), lanes, "{who}");
    }
}

#[test]
fn the_page_of_a_name_has_all_that_is_stored_of_it_and_each_name_leads_to_one() {
    let site = site();
    site.holds(&nodes(), NOW + 5);
    let of = site.get("/pages/nodes/?of=Nodes/host/gpu03");
    for path in ["LoadAverage.load1", "NetConnections.tcp.ESTABLISHED", "GPU.0000%3A41%3A00_0.lost"] {
        assert!(of.contains(path), "{path}: {of}");
    }
    assert!(!of.contains("plot=n1."), "{of}");
    site.holds(&backups(&[]), NOW + 5);
    let html = site.get("/pages/backups/tables");
    let address = "?of=hub-a%2Fset%2Fa%2Fdocs";
    assert!(html.contains(&format!("<a class=\"name\" href=\"{address}\">a/docs</a>")), "{html}");
    let of = site.get(&format!("/pages/backups/{address}"));
    assert!(of.contains("<h2>a/docs</h2>") && of.contains("A year of days"), "{of}");
    // What no page declares has a page of its own, which the help names.
    let help = site.get("/help/");
    assert!(help.contains("<a href=\"../pages/node_kernel/\">node_kernel</a>"), "{help}");
    assert!(site.get("/pages/node_kernel/").contains("<h1>"));
}

/// Two grids: in heprc a schedd is down, in belle another one; a node has lost a GPU.
fn down() -> String {
    let time = NOW * SECOND;
    format!(
        "grid_schedd,grid=heprc,schedd=ce05 heartbeat=0i {time}\ngrid_schedd,grid=belle,schedd=ce06 heartbeat=0i {time}\n{}",
        nodes()
    )
}

#[test]
fn each_section_has_its_events_folded_below_its_name() {
    let site = site();
    site.holds(&down(), NOW + 30);
    // They are read beside the page, which waits for half a second at most.
    let html = (0..100).map(|_| site.get("/tables")).find(|html| html.contains("class=\"past\"")).unwrap();
    let list = |name: &str| {
        let section = html.split_once(&format!("id=\"grid-{name}\"")).unwrap().1.split_once("</section>").unwrap().0;
        section.split_once("<details class=\"past\"").unwrap().1.split_once("</details>").unwrap().0.to_string()
    };
    let (heprc, belle) = (list("heprc"), list("belle"));
    assert!(heprc.contains("<b>ce05</b> down") && !heprc.contains("ce06") && !heprc.contains("gpu03"), "{heprc}");
    assert!(belle.contains("<b>ce06</b> down") && belle.contains("href=\"events/?system=grids\""), "{belle}");
    assert!(heprc.contains("pages/grids/?plot=grids.heprc.schedds.ce05"), "a click shows the plot: {heprc}");
    // Who looks for something sees what is found alone.
    assert!(!site.get("/tables?find=ce05").contains("class=\"past\""));
}

#[test]
fn events_are_chosen_by_system_kind_and_length() {
    let site = site();
    site.holds(&(down() + &backups(&["n1/a/docs"])), NOW + 30);
    let who = |query: &str| {
        let html = site.get(&format!("/events/tables{query}"));
        let names = html.split("<th scope=\"row\"><a href=\"../pages/").skip(1);
        let mut names: Vec<_> = names.map(|row| row.split_once('/').unwrap().0.to_string()).collect();
        names.sort();
        names.dedup();
        (names, html)
    };
    assert_eq!(who("").0, ["backups", "grids", "nodes"]);
    assert_eq!(who("?system=nodes").0, ["nodes"]);
    assert_eq!(who("?system=grids&going=1&kind=bad").0, ["grids"]);
    assert!(who("?kind=changed").0.is_empty() && who("?longer=86400").0.is_empty());
    let (_, html) = who("?system=nodes&longer=5");
    assert!(html.contains("<option value=\"nodes\" selected>Nodes</option>"), "{html}");
    for address in ["format=csv&amp;system=nodes&amp;longer=5\"", "system=nodes&amp;longer=5\" data-copy>Copy link"] {
        assert!(html.contains(address), "{address}: {html}");
    }
    let events = |query: &str| site.get(&format!("/api/v1/events?{query}"));
    assert!(events("system=nodes").contains("gpu_lost") && !events("system=nodes").contains("schedd_down"));
}

#[test]
fn another_page_says_how_many_are_there_and_how_many_elsewhere() {
    let site = site();
    site.holds(&down(), NOW + 30);
    let line = |path: &str| {
        let html = site.get(path);
        let line = html.split_once("<p class=\"count\">").unwrap().1.split_once("</b>").unwrap().0.to_string();
        line.rsplit('>').next().unwrap().to_string()
    };
    assert_eq!(line("/tables"), "3 need you");
    assert_eq!(line("/pages/grids/tables"), "2 need you here, 1 elsewhere");
    assert_eq!(line("/pages/nodes/tables"), "1 needs you here, 2 elsewhere");
    assert_eq!(line("/pages/node/tables"), "1 needs you here, 2 elsewhere");
    assert_eq!(line("/pages/backups/tables"), "none here, 3 need you elsewhere");
    // The number of a trouble and its time are two things.
    assert!(site.get("/tables").contains("down</a><span class=\"quiet\"><span class=\"unseen\">, </span>"));
    // The icon has the count too.
    assert!(site.get("/").contains("text-anchor='middle' fill='%23fff'%3E3%3C/text"));
}

#[test]
fn a_range_of_the_future_is_called_so() {
    let site = site();
    site.holds(&down(), NOW + 30);
    let page = site.get("/?plot=grids.heprc.schedds.ce05.heartbeat&from=6pm+today");
    let said = page.split_once("role=\"alert\">").unwrap().1.split_once('<').unwrap().0;
    assert_eq!(said, "from is in the future: nothing is stored of it yet");
    for (path, said) in [
        ("api/v1/history?path=grids.a.jobs.all.idle&from=tomorrow", "from is in the future"),
        ("api/v1/events?from=now%2B1h", "from is in the future"),
        ("api/v1/history?path=grids.a.jobs.all.idle&from=now-1h&to=now-2h", "from is not before to"),
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", site.port)).unwrap();
        write!(stream, "GET /{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains(said), "{path}: {answer}");
    }
}

#[test]
fn sums_in_cells_are_links_like_other_numbers_and_what_has_no_sum_has_no_line() {
    let site = site();
    let time = NOW * SECOND;
    let mut lines = String::new();
    for cloud in ["east", "west"] {
        let _ = writeln!(lines, "grid_cloud,grid=g,cloud={cloud} enabled=1i,quota=50000i {time}");
        let _ = writeln!(lines, "grid_cloud_jobs,grid=g,cloud={cloud},status=running jobs=12345i {time}");
        for vmtype in ["large", "small"] {
            let _ = writeln!(lines, "grid_vms,grid=g,cloud={cloud},vmtype={vmtype},status=running vms=5i {time}");
        }
    }
    site.holds(&lines, NOW + 30);
    let html = site.get("/tables");
    let clouds = table(&html, "clouds");
    assert!(!clouds.contains("<span><a"), "{clouds}");
    assert!(clouds.contains(">12\u{202f}345</a>") && clouds.contains(">50\u{202f}000</a>"), "{clouds}");
    let sums = clouds.split_once("data-key=\" sum\"").unwrap().1.split_once("</tbody>").unwrap().0;
    // A job of two clouds would count twice, and enabled is no number.
    let cells: Vec<_> = sums.split("<td>").skip(1).collect();
    let lined = cells.iter().filter(|cell| cell.contains("<svg class=\"line\"")).count();
    assert_eq!(lined, 1, "only machines running have a sum and a line: {sums}");
    assert!(!sums.contains("yes"), "{sums}");
}
