//! One line per cloud, with its types and slots below it, and a column that is plotted by its head.

use super::*;

/// Two clouds: east has two types of machines with slots, west one.
fn clouds() -> Site {
    let site = Site::start();
    let time = NOW * SECOND;
    let mut lines = String::new();
    let mut line = |line: String| lines.push_str(&format!("{line} {time}\n"));
    for (cloud, quota) in [("east", 10), ("west", 5)] {
        line(format!("grid_cloud,grid=a\\ b,cloud={cloud} enabled=1i,quota={quota}i"));
        line(format!("grid_cloud_jobs,grid=a\\ b,cloud={cloud},status=running jobs={}i", 7 * quota));
    }
    for (cloud, vmtype, running, error) in [("east", "large", 2, 0), ("east", "small", 3, 1), ("west", "small", 4, 0)] {
        let vms = format!("grid_vms,grid=a\\ b,cloud={cloud},vmtype={vmtype}");
        line(format!("{vms},status=running vms={running}i"));
        line(format!("{vms},status=error vms={error}i"));
        line(format!("{vms},status=total vms={}i", running + error));
        for slot in 1..=running {
            line(format!("grid_slots,grid=a\\ b,cloud={cloud},vmtype={vmtype},slot=slot1_{slot} slots={}i", 10 * slot));
        }
    }
    site.holds(&lines, NOW + 30);
    site
}

/// The row of a cloud, with what is unfolded below it.
fn row<'a>(html: &'a str, cloud: &str) -> &'a str {
    html.split("<tbody data-key=\"").find_map(|row| row.strip_prefix(cloud)).unwrap()
}

/// The text of the cells of a line.
fn cells(line: &str) -> Vec<String> {
    let texts = line.split("<td").skip(1).map(|cell| {
        let cell = cell.split_once('>').unwrap().1;
        cell.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text)).collect::<String>()
    });
    texts.map(|text| text.trim().to_string()).collect()
}

#[test]
fn a_cloud_is_one_line_with_the_sums_of_its_types() {
    let site = clouds();
    let html = site.get("/tables");
    let east = row(&html, "east");
    assert_eq!(east.split("</tbody>").next().unwrap().matches("<tr").count(), 1);
    let heads = html.split_once("class=\"box clouds\"").unwrap().1.split("</thead>").next().unwrap();
    let heads = heads.split("name=\"sort\" value=\"clouds:").skip(1);
    let heads: Vec<_> = heads.map(|head| head.split('"').next().unwrap()).collect();
    let value = |cloud: &str, head: &str| {
        let at = heads.iter().position(|one| *one == head).unwrap_or_else(|| panic!("{head}: {heads:?}"));
        // The name of the row is no cell.
        cells(row(&html, cloud).split("</tr>").next().unwrap())[at - 1].clone()
    };
    assert_eq!(value("east", "machines/of the quota"), "6 / 10");
    assert_eq!(value("east", "machines/running"), "5");
    assert_eq!(value("east", "machines/error"), "1");
    assert_eq!(value("east", "slots/all"), (10 + 20 + 10 + 20 + 30).to_string());
    assert_eq!(value("east", "jobs/running"), "70");
    assert_eq!(value("west", "machines/running"), "4");
    // The only type of a cloud is its own number, with its plot.
    assert!(row(&html, "west").contains("?plot=grids.a_b.clouds.west.vms.small.running"));
    assert!(!html.contains("slot1_1"), "slots by number unfold");
    // The bars have one scale: the frame of west is half as wide as that of east.
    let frame = |cloud: &str| {
        let svg = row(&html, cloud).split_once("class=\"frame\" d=\"M.5 .5h").unwrap().1;
        svg.split('v').next().unwrap().parse::<f64>().unwrap()
    };
    assert!((frame("east") - 97.0).abs() < 0.1 && (frame("west") - 49.0).abs() < 0.1);
}

#[test]
fn types_and_slots_unfold_by_the_address_and_each_number_stands_once() {
    let site = clouds();
    let html = site.get("/tables?open=a+b/east");
    let east = row(&html, "east").split("</tbody>").next().unwrap();
    let large = "<a class=\"name\" href=\"?of=a%20b%2Fvmtype%2Flarge\">large</a>";
    assert!(east.contains(&format!("<tr class=\"part\"><th scope=\"row\">{large}</th>")), "{east}");
    for path in ["vms.large.running", "vms.small.error", "slots.small.slot1_3"] {
        let link = format!("?plot=grids.a_b.clouds.east.{path}&amp;open=a%20b%2Feast\"");
        assert_eq!(html.matches(&link).count(), 1, "{path}: {east}");
    }
    assert!(!row(&html, "west").contains("class=\"part\""));
    assert!(html.contains("aria-expanded=\"true\" form=\"look\" name=\"open\" value=\"a b/east\""), "{html}");
    // All, all but one, and one that is unfolded and folded again.
    let parts = |query: &str| site.get(&format!("/tables{query}")).matches("<tr class=\"part\"><th").count();
    assert_eq!(parts("?open=*"), 3);
    assert_eq!(parts("?open=*&open=a+b/east"), 1);
    assert_eq!(parts("?open=a+b/east&open=a+b/east"), 0);
    assert_eq!(parts("?open=*&open=*"), 0);
}

#[test]
fn a_head_plots_its_column() {
    let site = clouds();
    let mut stream = TcpStream::connect(("127.0.0.1", site.port)).unwrap();
    let address = "/?theme=dark&plot=x&column=a%20b%2Fclouds%3Amachines%2Frunning";
    write!(stream, "GET {address} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let location =
        answer.lines().find_map(|line| line.strip_prefix("location: ")).unwrap_or_else(|| panic!("{answer}"));
    let paths = ["east.vms.large", "east.vms.small", "west.vms.small"];
    let plots = paths.map(|path| format!("plot=grids.a_b.clouds.{path}.running"));
    assert!(answer.starts_with("HTTP/1.1 303 "), "{answer}");
    assert_eq!(location.trim(), format!("?{}&theme=dark", plots.join("&")));
    assert!(site.page("").contains("name=\"column\" value=\"a b/clouds:machines/running\""));
}
