//! The page of a name: all numbers that are stored of a row, each with its plot.

use super::*;
use crate::view::page::Judged;
use crate::view::table::Number;
use crate::view::{calendar, plot};

/// How many lines one small plot has at most.
const LINES: usize = 8;

/// The most small plots; beyond them the numbers alone are shown.
const MOST_PLOTS: usize = 60;

/// The most calendars of a year.
const MOST_CALENDARS: usize = 4;

/// The most numbers of one measurement.
const MOST_NUMBERS: usize = 64;

/// The range of the small plots if none is chosen.
const FROM: &str = "-1d";

/// Of whom a page is: a section, a tag, and its value; all of them in an address as `SECTION/TAG/NAME`.
pub(super) fn address_of(view: &View, section: &str, tag: &str, name: &str) -> String {
    // A slash in a section's name would end it.
    let of = format!("{}/{tag}/{name}", section.replace('/', "%2F"));
    let Options { theme, compact, .. } = *view.options;
    Options { of, theme, compact, ..Options::default() }.address()
}

/// Writes the page of the name that the address has; whether there is such a name.
pub(super) fn page_of_a_name(html: &mut String, view: &View) -> bool {
    let Some((section, tag, name)) = view.options.named() else { return false };
    let section = section.replace("%2F", "/");
    let Some(section) = view.sections.iter().chain(&view.own.sections).find(|one| one.name == section) else {
        return false;
    };
    let groups = self::groups(view.sections, &view.page.measurements(), &section.name, (tag, name));
    let own = self::groups(&view.own.sections, &view.own.measurements, &section.name, (tag, name));
    if groups.is_empty() && own.is_empty() {
        return false;
    }
    let is_plotted = |number: &&&Number| !number.path().is_empty();
    let count_of = groups.iter().map(|(_, numbers)| numbers.len()).sum::<usize>()
        + own.iter().flat_map(|(_, numbers)| numbers.iter().filter(is_plotted)).count();
    let back = Options { of: String::new(), plots: Vec::new(), ..view.options.clone() }.address();
    let word = escaped_line(name);
    let in_section =
        if view.page.section.is_some() { format!(" of {}", escaped_line(&section.name)) } else { String::new() };
    let _ = write!(
        html,
        "<section class=\"grid named\" data-key=\"of {word}\" aria-label=\"{word}\">\n<div class=\"title\"><h2>{word}</h2> <p \
         class=\"when\">{tag}{in_section}, {}</p> <a class=\"hide\" href=\"./{}\">all of {}</a></div>\n<p class=\"ways\"><a \
         href=\"{}events/?find={}\">What happened to it</a></p>\n",
        count(count_of, "number"),
        if back == "?" { "" } else { &back },
        escaped(view.page.title),
        view.root,
        encoded(name),
    );
    facts(html, &groups, &own);
    neighbours(html, view, section, (tag, name));
    calendars(html, view, &groups);
    let mut left = MOST_PLOTS;
    let is_table = |(measurement, _): &&Group| {
        measurement.fields.len() > 1 && view.page.own.iter().any(|one| one.name == measurement.name)
    };
    let (tables, own): (Vec<_>, Vec<_>) = own.iter().partition(is_table);
    tables.iter().for_each(|(measurement, numbers)| table(html, view, measurement, numbers));
    let (declared, others): (Vec<&Group>, Vec<&Group>) =
        own.into_iter().partition(|(measurement, _)| view.page.own.iter().any(|one| one.name == measurement.name));
    for (measurement, numbers) in declared.into_iter().chain(&groups).chain(others).filter(|group| !is_fact(group)) {
        let heading = if measurement.meaning.is_empty() { measurement.name } else { measurement.meaning };
        let _ = writeln!(html, "<h3>{}</h3>\n<div class=\"plots\">", escaped(heading));
        let mut by_unit = BTreeMap::<&str, Vec<&Number>>::new();
        for number in numbers.iter().take(MOST_NUMBERS) {
            let unit = measurement.field(number.field()).map_or("", |field| field.unit);
            by_unit.entry(unit).or_default().push(number);
        }
        for (unit, numbers) in &by_unit {
            for some in numbers.chunks(LINES) {
                figure(html, view, measurement, unit, some, left > 0);
                left = left.saturating_sub(1);
            }
        }
        html.push_str("</div>\n");
        more(html, view, measurement, (numbers.len(), name));
    }
    html.push_str("</section>\n");
    true
}

/// Says how many numbers of a measurement are left out, and where they are.
fn more(html: &mut String, view: &View, measurement: &Measurement, (all, name): (usize, &str)) {
    let more = all.saturating_sub(MOST_NUMBERS);
    if more == 0 {
        return;
    }
    let each = view.own.measurements.iter().zip(&view.own.pages);
    let page =
        each.filter(|(one, _)| one.name == measurement.name).map(|(_, page)| *page).find(|page| !page.is_empty());
    let _ = match page {
        Some(page) => writeln!(
            html,
            "<p class=\"quiet\">{more} more are on <a href=\"{}pages/{page}/?find={}\">the page of {}</a>.</p>",
            view.root,
            encoded(name),
            escaped(measurement.name)
        ),
        None => writeln!(html, "<p class=\"quiet\">{more} more stand in the tables.</p>"),
    };
}

/// A measurement and its numbers.
type Group<'a> = (&'static Measurement, Vec<&'a Number>);

/// Returns the numbers of a name in a section, by measurement.
fn groups<'a>(
    sections: &'a [Section],
    measurements: &[&'static Measurement],
    section: &str,
    (tag, name): (&str, &str),
) -> Vec<Group<'a>> {
    let Some(section) = sections.iter().find(|one| one.name == section) else { return Vec::new() };
    let of = |at: usize| section.numbers(at).iter().filter(|number| number.tag(tag) == name).collect::<Vec<_>>();
    let each = measurements.iter().enumerate().map(|(at, measurement)| (*measurement, of(at)));
    each.filter(|(_, numbers)| !numbers.is_empty()).collect()
}

/// Whether a number describes the name: it is the only one of its measurement and has no plot.
fn is_fact((measurement, numbers): &Group) -> bool {
    measurement.fields.len() == 1 && matches!(numbers[..], [number] if number.path().is_empty())
}

/// Writes a table with a row for each series: with its declared columns, or a column for each field.
fn table(html: &mut String, view: &View, measurement: &'static Measurement, numbers: &[&Number]) {
    let is_of = |table: &&page::Table| {
        table.columns.iter().filter_map(page::Column::measurement).any(|of| of.name == measurement.name)
    };
    match view.page.own_tables.iter().find(is_of) {
        Some(declared) => declared_table(html, declared, numbers),
        None => table_of_fields(html, view, measurement, numbers),
    }
}

/// Writes a table with its declared columns, the greatest names first.
fn declared_table(html: &mut String, declared: &page::Table, numbers: &[&Number]) {
    let keys: Vec<_> = declared.keys().collect();
    let mut rows = BTreeMap::<Vec<&str>, Vec<&Number>>::new();
    for number in numbers {
        rows.entry(keys.iter().map(|key| number.tag(key)).collect()).or_default().push(number);
    }
    let (name, caption) = (declared.name, escaped(declared.caption));
    let _ = write!(
        html,
        "<h3>{caption}</h3>\n<div class=\"box\" data-key=\"{name}\"><table><caption class=\"unseen\">{caption}</caption><thead><tr>"
    );
    let is_key = |column: &page::Column| matches!(column.kind, Kind::Key(_));
    for column in declared.columns {
        let class = if is_key(column) { "" } else { " class=\"n\"" };
        let _ = write!(
            html,
            "<th scope=\"col\"{class} title=\"{}\">{}</th>",
            escaped(column_meaning(column)),
            escaped(column.head)
        );
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for (names, numbers) in rows.iter().rev() {
        let _ = write!(html, "<tr data-key=\"{}\">", escaped_line(&names.join(" · ")));
        let mut names = names.iter();
        for (at, column) in declared.columns.iter().enumerate() {
            let is_its = |number: &&&Number| matches!(column.kind, Kind::Field(_, field) if field == number.field());
            let number = numbers.iter().find(is_its);
            let _ = match (is_key(column), number) {
                (true, _) => {
                    let name = escaped_line(names.next().copied().unwrap_or_default());
                    if at == 0 {
                        write!(html, "<th scope=\"row\">{name}</th>")
                    } else {
                        write!(html, "<td>{name}</td>")
                    }
                }
                (false, Some(number)) => {
                    let shows = column.shows.unwrap_or(Shows::Number);
                    write!(html, "<td><span>{}</span></td>", escaped(&shows.text(number.value.as_f64())))
                }
                (false, None) => write!(html, "<td><span class=\"zero\">–</span></td>"),
            };
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n");
}

/// Writes a table with a column for each field.
fn table_of_fields(html: &mut String, view: &View, measurement: &'static Measurement, numbers: &[&Number]) {
    let mut rows = BTreeMap::<Vec<&str>, Vec<&Number>>::new();
    for number in numbers {
        let words = measurement.tags.iter().filter(|tag| tag.identifies).map(|tag| number.tag(tag.name));
        let words = words.filter(|word| !view.options.of.ends_with(&format!("/{word}"))).collect();
        rows.entry(words).or_default().push(number);
    }
    let meaning = escaped(measurement.meaning);
    let _ = write!(
        html,
        "<h3>{meaning}</h3>\n<div class=\"box\" data-key=\"{0}\"><table><caption class=\"unseen\">{meaning}</caption><thead><tr><th \
         scope=\"col\">of</th>",
        measurement.name
    );
    for field in measurement.fields {
        let _ = write!(html, "<th scope=\"col\" class=\"n\" title=\"{}\">{}</th>", escaped(field.meaning), field.name);
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    let others = Options { plots: Vec::new(), full: false, ..view.options.clone() }.address();
    for (words, numbers) in rows {
        let name = words.iter().map(|word| escaped_line(word)).collect::<Vec<_>>().join(" · ");
        let _ = write!(html, "<tr data-key=\"{name}\"><th scope=\"row\">{name}</th>");
        for field in measurement.fields {
            let _ = match numbers.iter().find(|number| number.field() == field.name) {
                Some(number) if !number.path().is_empty() => write!(
                    html,
                    "<td><a href=\"?plot={}&amp;{}\" aria-label=\"{}, {name}: {value}\">{value}</a></td>",
                    encoded(number.path()),
                    &others[1..],
                    field.name,
                    value = text_of(Shows::of_unit(field.unit), number.value),
                ),
                Some(number) => {
                    write!(html, "<td><span>{}</span></td>", text_of(Shows::of_unit(field.unit), number.value))
                }
                None => write!(html, "<td><span class=\"zero\">–</span></td>"),
            };
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n");
}

/// Writes the other names that have the same value of a tag, such as the queues of its site.
fn neighbours(html: &mut String, view: &View, section: &Section, (tag, name): (&str, &str)) {
    let Some((_, by)) = view.page.near.filter(|(of, _)| *of == tag) else { return };
    let numbers = || (0..view.page.measurements().len()).flat_map(|at| section.numbers(at));
    let Some(common) = numbers().find(|number| number.tag(tag) == name && !number.tag(by).is_empty()) else { return };
    let common = common.tag(by);
    let others: std::collections::BTreeSet<_> =
        numbers().filter(|number| number.tag(by) == common).map(|number| number.tag(tag)).collect();
    let others: Vec<_> = others.into_iter().filter(|other| *other != name && !other.is_empty()).collect();
    let _ = write!(html, "<p class=\"ways\">Neighbours at {by} {}:", escaped_line(common));
    for other in others.iter().take(50) {
        let address = address_of(view, &section.name, tag, other);
        let _ = write!(html, " <a class=\"each\" href=\"{address}\">{}</a>", escaped_line(other));
    }
    let more = others.len().saturating_sub(50);
    let end = match others.len() {
        0 => " none".into(),
        _ if more > 0 => format!(" and {more} more"),
        _ => String::new(),
    };
    let _ = writeln!(html, "{end}</p>");
}

/// Writes what describes it: the labels of its series, each value once, and numbers without a plot.
fn facts(html: &mut String, groups: &[Group], own: &[Group]) {
    let mut facts = BTreeMap::<&str, Vec<String>>::new();
    for (measurement, numbers) in groups.iter().chain(own) {
        for tag in measurement.tags.iter().filter(|tag| !tag.identifies) {
            // An empty label is kept as an underscore.
            let is_known = |value: &&str| !["", "_"].contains(value);
            for value in numbers.iter().map(|number| number.tag(tag.name)).filter(is_known) {
                let known = facts.entry(tag.name).or_default();
                if !known.iter().any(|one| one == value) {
                    known.push(value.into());
                }
            }
        }
    }
    for (measurement, numbers) in own.iter().filter(|group| is_fact(group)) {
        let field = &measurement.fields[0];
        facts.insert(measurement.meaning, vec![format!("{} {}", number(numbers[0].value), field.unit)]);
    }
    if facts.is_empty() {
        return;
    }
    html.push_str("<dl class=\"facts\">");
    for (name, values) in facts {
        let values: Vec<_> = values.iter().map(|value| escaped_line(value)).collect();
        let _ = write!(html, "<div><dt>{name}</dt><dd>{}</dd></div>", values.join(", "));
    }
    html.push_str("</dl>\n");
}

/// Writes a small plot with its numbers, each a link to the large one.
fn figure(
    html: &mut String,
    view: &View,
    measurement: &Measurement,
    unit: &str,
    numbers: &[&Number],
    has_picture: bool,
) {
    let plotted: Vec<_> = numbers.iter().filter(|number| !number.path().is_empty()).collect();
    html.push_str("<figure>");
    if has_picture && !plotted.is_empty() {
        let from = if view.options.from.is_empty() { FROM } else { &view.options.from };
        let paths: Vec<_> = plotted.iter().map(|number| number.path()).collect();
        picture(html, view, measurement.name, &paths, ((420, 130), false, from));
    }
    let _ = write!(html, "<figcaption><span class=\"quiet\">{}</span> ", escaped(unit));
    let others = Options { plots: Vec::new(), full: false, ..view.options.clone() }.address();
    let mut line = 0..;
    for number in numbers {
        let mut words = own_words(view, measurement, number);
        if measurement.fields.len() > 1 || words.is_empty() {
            words.push(number.field().into());
        }
        let name = words.join(" · ");
        let value = text_of(Shows::of_unit(unit), number.value);
        let _ = match number.path() {
            "" => write!(html, "<span class=\"each\">{name} <b>{value}</b></span> "),
            path => write!(
                html,
                "<a class=\"each\" data-line=\"{}\" href=\"?plot={}{}{}\">{name} <b>{value}</b></a> ",
                line.next().unwrap_or(0),
                encoded(path),
                if others.len() > 1 { "&amp;" } else { "" },
                &others[1..]
            ),
        };
    }
    html.push_str("</figcaption></figure>\n");
}

/// Returns by what a number is judged; the outer `None` if it is not.
fn judged(view: &View, of: &'static Measurement, number: &Number) -> Option<Option<Judged>> {
    let is_of = |column: &&page::Column| {
        let is_it = column.measurement().is_some_and(|own| own.name == of.name);
        is_it && column.has_nights() && column.field().is_some_and(|field| field.name == number.field())
    };
    view.page.columns().find(is_of).filter(|_| !number.path().is_empty()).map(|column| column.judged)
}

/// Whether a number is the health of a row of the page, and 0 or 1.
fn is_health(view: &View, of: &'static Measurement, number: &Number) -> bool {
    let is_unit = of.field(number.field()).is_some_and(|field| field.unit == plot::SWITCH);
    is_unit && !number.path().is_empty() && view.page.has_health(of, number.field())
}

/// Writes a calendar of the days of a year of a number; a browser asks for it when it comes into view.
pub(super) fn calendar(html: &mut String, view: &View, path: &str, judged: Option<Judged>) {
    let (from, end) = calendar::year(view.now);
    // The seconds beyond the last day change every ten minutes, and so does the picture.
    let to = end + view.now.div_euclid(600).rem_euclid(144);
    let judged = judged.map_or(String::new(), |Judged { worse, bad, .. }| format!("&amp;worse={worse}&amp;bad={bad}"));
    let query = format!("days=1{judged}&amp;step=1d&amp;from={from}&amp;to={to}&amp;path={}", encoded(path));
    image(html, view, &format!("the days of a year of {path}"), calendar::SIZE, &query);
}

/// Writes calendars with the days of a year, of what is up or down, or judged.
fn calendars(html: &mut String, view: &View, groups: &[Group]) {
    let each = groups.iter().flat_map(|(of, numbers)| numbers.iter().map(|number| (*of, *number)));
    let of = |(of, number): (&'static Measurement, _)| match judged(view, of, number) {
        Some(judged) => Some((of, number, judged)),
        None => is_health(view, of, number).then_some((of, number, None)),
    };
    let health: Vec<_> = each.filter_map(of).take(MOST_CALENDARS).collect();
    if health.is_empty() {
        return;
    }
    html.push_str("<h3>A year of days</h3>\n<div class=\"calendars\">");
    for (measurement, number, judged) in health {
        let path = encoded(number.path());
        let name = own_words(view, measurement, number).join(" · ");
        html.push_str("<figure>");
        calendar(html, view, number.path(), judged);
        let others =
            Options { plots: Vec::new(), full: false, from: "-1y".into(), to: String::new(), ..view.options.clone() };
        let _ = writeln!(
            html,
            "<figcaption><a class=\"each\" href=\"?plot={path}&amp;{}\">{}</a></figcaption></figure>",
            &others.address()[1..],
            if name.is_empty() { number.field().into() } else { name },
        );
    }
    html.push_str("</div>\n");
}

/// Returns the words of a number that are not those of the page of a name, escaped.
fn own_words(view: &View, measurement: &Measurement, number: &Number) -> Vec<String> {
    let words = measurement.tags.iter().filter(|tag| tag.identifies).map(|tag| number.tag(tag.name));
    let is_of_page = |word: &&str| {
        view.options.of.ends_with(&format!("/{word}")) || view.options.of.starts_with(&format!("{word}/"))
    };
    words.filter(|word| !is_of_page(word)).map(escaped_line).collect()
}

/// Writes a small plot as a picture that the server draws; a browser asks for it when it comes into view.
pub(super) fn picture(
    html: &mut String,
    view: &View,
    name: &str,
    paths: &[&str],
    ((width, height), is_stacked, from): ((u32, u32), bool, &str),
) {
    let stack = if is_stacked { "&amp;stack=1" } else { "" };
    let mut query = format!("width={width}&amp;height={height}&amp;legend=0{stack}&amp;from={}", encoded(from));
    // The address changes every ten minutes, and so does the picture.
    let to = match view.options.to.as_str() {
        "" => (view.now.div_euclid(600) * 600 + 600).to_string(),
        to => to.to_string(),
    };
    let _ = write!(query, "&amp;to={}", encoded(&to));
    for path in paths {
        let _ = write!(query, "&amp;path={}", encoded(path));
    }
    image(html, view, name, (width, height + 8), &query);
}

/// Writes a picture of plot.svg, in the colours of the page.
fn image(html: &mut String, view: &View, name: &str, (width, height): (u32, u32), query: &str) {
    let dark = format!("plot.svg?theme=dark&amp;{query}");
    let light = format!("plot.svg?{query}");
    let alt = escaped(name);
    let size = format!("width=\"{width}\" height=\"{height}\" loading=\"lazy\"");
    let _ = match view.options.theme {
        "dark" => write!(html, "<img src=\"{dark}\" alt=\"plot of {alt}\" {size}>"),
        "light" => write!(html, "<img src=\"{light}\" alt=\"plot of {alt}\" {size}>"),
        _ => write!(
            html,
            "<picture><source srcset=\"{dark}\" media=\"(prefers-color-scheme: dark)\"><img src=\"{light}\" alt=\"plot of \
             {alt}\" {size}></picture>"
        ),
    };
}
