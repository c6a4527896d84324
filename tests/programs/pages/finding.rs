//! Rows are found, sorted, and left out unless something is wrong, all by the address.

use super::*;

/// The names of the rows of a page's tables, in their order.
fn rows(html: &str) -> Vec<&str> {
    let rows = html.split("<tr").skip(1).filter_map(|row| row.split_once("data-key=\"")?.1.split_once('"'));
    rows.map(|(name, _)| name).filter(|name| *name != " sum").collect()
}

/// Four hosts: c does not answer, d has held jobs.
fn farm() -> Site {
    let site = Site::start();
    let hosts = [("a", 1, 0.5, 0, 7), ("b-east", 1, 2.5, 0, 12), ("c-east", 0, 1.5, 0, 3), ("d", 1, 0.1, 4, 9)];
    let lines = hosts.into_iter().fold(String::new(), |lines, (host, alive, load, held, total)| {
        let time = NOW * SECOND;
        format!(
            "{lines}made_up_host,host={host} alive={alive}i,open=1i,load={load} {time}
made_up_host_jobs,host={host},state=total jobs={total}i {time}
made_up_host_jobs,host={host},state=held jobs={held}i {time}
"
        )
    });
    site.holds(&lines, NOW + 30);
    site
}

#[test]
fn a_name_is_found_and_near_ones_are_told() {
    let site = farm();
    assert_eq!(rows(&site.get("/pages/farm/tables")), ["a", "b-east", "c-east", "d"]);
    let found = site.get("/pages/farm/tables?find=EAST");
    assert_eq!(rows(&found), ["b-east", "c-east"]);
    assert!(found.contains(">2 of 4 hosts<"), "{found}");
    assert_eq!(rows(&site.get("/pages/farm/tables?find=c-|d")), ["c-east", "d"]);
    // The name of the section finds all its rows.
    assert_eq!(rows(&site.get("/pages/farm/tables?find=the+farm")).len(), 4);
    let none = site.get("/pages/farm/tables?find=b-aest%3Ci%3E");
    assert!(none.contains("No name here has “b-aest&lt;i&gt;”."), "{none}");
    let near = site.get("/pages/farm/tables?find=b-aest");
    assert!(
        near.contains("near to it: <button form=\"look\" name=\"find\" value=\"b-east\">b-east</button>"),
        "{near}"
    );
    assert!(rows(&near).is_empty());
    // The form keeps it, and all other choices.
    let page = site.get("/pages/farm/?find=east&sort=hosts:load&only=wrong&all=1&theme=dark");
    let form = page.split_once("<form id=\"look\"").unwrap().1.split_once("</form>").unwrap().0;
    for kept in ["name=\"all\" value=\"1\"", "name=\"sort\" value=\"hosts:load\"", "name=\"only\" value=\"wrong\""] {
        assert!(form.contains(&format!("<input type=\"hidden\" {kept}>")), "{form}");
    }
    assert!(form.contains("name=\"find\" value=\"east\""), "{form}");
}

#[test]
fn a_column_sorts_its_table_both_ways_and_no_more() {
    let site = farm();
    let sorted = |sort: &str| site.get(&format!("/pages/farm/tables?sort={sort}"));
    for (sort, order, next, aria) in [
        ("hosts:load", ["b-east", "c-east", "a", "d"], "-hosts:load", "descending"),
        ("-hosts:load", ["d", "a", "c-east", "b-east"], "hosts:", "ascending"),
        ("hosts:jobs/total", ["b-east", "d", "a", "c-east"], "-hosts:jobs/total", "descending"),
        ("hosts:host", ["a", "b-east", "c-east", "d"], "-hosts:host", "ascending"),
        ("-hosts:host", ["d", "c-east", "b-east", "a"], "hosts:", "descending"),
        ("hosts:is", ["c-east", "a", "b-east", "d"], "-hosts:is", "descending"),
    ] {
        let html = sorted(sort);
        assert_eq!(rows(&html), order, "{sort}");
        let head = html.split("<th scope=\"col\"").find(|head| head.contains("aria-sort")).unwrap();
        assert!(head.contains(&format!("aria-sort=\"{aria}\"")), "{sort}: {head}");
        assert!(head.contains(&format!("name=\"sort\" value=\"{next}\"")), "{sort}: {head}");
        assert_eq!(html.matches("aria-sort").count(), 1);
    }
    for none in ["hosts:", "hosts:%3Cb%3E", "clouds:load", "", "-"] {
        assert_eq!(rows(&sorted(none)), ["a", "b-east", "c-east", "d"], "{none}");
    }
    // The last click on a table counts, those on others stay.
    let page = site.get("/pages/farm/?sort=hosts:load&sort=other:x&sort=-hosts:host");
    let form = page.split_once("<form id=\"look\"").unwrap().1.split_once("</form>").unwrap().0;
    assert_eq!(form.matches("name=\"sort\"").count(), 2, "{form}");
    assert_eq!(rows(&page), ["d", "c-east", "b-east", "a"]);
}

#[test]
fn only_what_is_wrong_is_left_and_nothing_wrong_is_said() {
    let site = farm();
    let all = site.get("/pages/farm/tables");
    assert!(all.contains(">all 4</button>") && all.contains(">only what is wrong 2</button>"), "{all}");
    assert!(all.contains("<tr class=\"is-bad\" data-key=\"c-east\">"), "{all}");
    assert_eq!(rows(&site.get("/pages/farm/tables?only=wrong")), ["c-east", "d"]);
    assert_eq!(rows(&site.get("/pages/farm/tables?only=wrong&find=east")), ["c-east"]);
    let time = NOW * SECOND;
    site.holds(&format!("made_up_host,host=a alive=1i,open=1i,load=1.0 {time}\n"), NOW + 30);
    let well = site.get("/pages/farm/tables?only=wrong");
    assert!(well.contains("Nothing is wrong here. <button form=\"look\" name=\"only\" value=\"\">Show all<"), "{well}");
    assert!(rows(&well).is_empty());
}

#[test]
fn a_cloud_is_found_by_its_type_of_machine_too() {
    let site = Site::start();
    let time = NOW * SECOND;
    let vms = |cloud: &str, vmtype: &str, vms: i64| {
        format!("grid_vms,grid=g,cloud={cloud},vmtype={vmtype},status=running vms={vms}i {time}\n")
    };
    let lines = vms("east", "small", 3) + &vms("east", "large", 2) + &vms("west", "small", 4);
    site.holds(&lines, NOW + 30);
    let names = |query: &str| {
        let html = site.get(&format!("/tables{query}&open=*"));
        let clouds = html.split("<tbody data-key=\"").skip(1).map(|body| body.split_once('"').unwrap().0.to_string());
        let types = html
            .split("<tr class=\"part\"><th scope=\"row\"><a class=\"name\"")
            .skip(1)
            .map(|link| link.split_once('>').unwrap().1.split_once('<').unwrap().0.to_string());
        (clouds.collect::<Vec<_>>(), types.collect::<Vec<_>>())
    };
    let of = |names: &[&str]| names.iter().map(|name| (*name).to_string()).collect::<Vec<_>>();
    assert_eq!(names("?find=larg"), (of(&["east"]), of(&["large", "small"])), "a cloud is the sum of all its types");
    assert_eq!(names("?sort=clouds:machines/running").0, of(&["east", "west"]), "the sum of its types counts");
    assert_eq!(names("?sort=-clouds:machines/running").0, of(&["west", "east"]));
}
