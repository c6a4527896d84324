//! The cells of the page's tables, however its HTML is written: one line for each with what a person sees and can follow.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// An element, with what is in it.
#[derive(Debug, Default)]
struct Node {
    tag: String,
    attributes: BTreeMap<String, String>,
    children: Vec<Child>,
}

#[derive(Debug)]
enum Child {
    Text(String),
    Node(Node),
}

/// Elements without an end tag.
const VOID: [&str; 4] = ["img", "input", "link", "meta"];

/// Classes for the eye alone: neither the text nor the state of a cell.
const LOOKS: [&str; 5] = ["age", "n", "name", "quiet", "shape"];

fn decoded(text: &str) -> String {
    ["&lt;<", "&gt;>", "&quot;\"", "&#39;'", "&amp;&"].iter().fold(text.replace('\u{a0}', " "), |text, pair| {
        let (entity, character) = pair.split_once(';').expect("an entity and its character");
        text.replace(&format!("{entity};"), character)
    })
}

/// Reads HTML in which every element but the void ones is closed.
fn parse(html: &str) -> Node {
    let mut open = vec![Node::default()];
    let close = |open: &mut Vec<Node>| {
        let node = open.pop().expect("more is opened than closed");
        open.last_mut().expect("the root is never closed").children.push(Child::Node(node));
    };
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        open.last_mut().expect("the root").children.push(Child::Text(decoded(&rest[..at])));
        let end = at + rest[at..].find('>').expect("a tag ends");
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.last().map(|node| node.tag.as_str()), Some(name), "before {rest:.80}");
            close(&mut open);
        } else if !tag.starts_with('!') {
            let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
            let node = Node { tag: name.into(), attributes: attributes_of(attributes), children: Vec::new() };
            open.push(node);
            if VOID.contains(&name) || tag.ends_with('/') {
                close(&mut open);
            }
        }
    }
    assert_eq!(open.len(), 1, "everything is closed");
    open.pop().expect("the root")
}

fn attributes_of(text: &str) -> BTreeMap<String, String> {
    let mut attributes = BTreeMap::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find(['=', ' ']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let mut value = "";
        rest = after;
        if let Some(quoted) = after.strip_prefix("=\"") {
            (value, rest) = quoted.split_once('"').expect("a value ends");
        }
        attributes.insert(name.into(), decoded(value));
        rest = rest.trim_start();
    }
    attributes
}

impl Node {
    fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    fn has_class(&self, class: &str) -> bool {
        self.attribute("class").split(' ').any(|one| one == class)
    }

    fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.children.iter().filter_map(|child| match child {
            Child::Node(node) => Some(node),
            Child::Text(_) => None,
        })
    }

    /// The node and all below it, from the outside to the inside.
    fn all(&self) -> Vec<&Node> {
        std::iter::once(self).chain(self.nodes().flat_map(Node::all)).collect()
    }

    /// What is read, without the shape that repeats the state, and without what only a screen reader says.
    fn text(&self) -> String {
        fn collect(node: &Node, text: &mut String) {
            for child in &node.children {
                match child {
                    Child::Text(part) => text.push_str(part),
                    Child::Node(node) if node.has_class("shape") || node.has_class("unseen") => {}
                    Child::Node(node) => collect(node, text),
                }
            }
        }
        let mut text = String::new();
        collect(self, &mut text);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The classes that say how something is.
    fn state(&self) -> Vec<&str> {
        let mut state = Vec::new();
        for node in self.all() {
            state.extend(node.attribute("class").split(' ').filter(|class| !class.is_empty()));
            state.extend((node.attribute("aria-current") == "true").then_some("current"));
        }
        state.retain(|class| !LOOKS.contains(class));
        state
    }

    fn first(&self, name: &str) -> &str {
        self.all().into_iter().map(|node| node.attribute(name)).find(|value| !value.is_empty()).unwrap_or_default()
    }

    fn span(&self, name: &str) -> usize {
        self.attribute(name).parse().unwrap_or(1)
    }
}

/// `section | part | row | column | text | href | state | title`, empty ends left out.
fn line(lines: &mut String, place: [&str; 4], node: &Node, more: &[&str]) {
    let state = more.iter().copied().chain(node.state()).collect::<Vec<_>>().join(" ");
    let text = node.text();
    let fields = [&place[..], &[&text, node.first("href"), &state, node.first("title")]].concat();
    let fields: Vec<_> = fields.iter().map(|field| field.replace('|', "\\|")).collect();
    let _ = writeln!(lines, "{}", fields.join(" | ").trim_end_matches([' ', '|']));
}

/// A cell in its place.
struct Placed<'a> {
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
    cell: &'a Node,
}

/// The cells of some rows, each where its own and its neighbours' spans put it.
fn placed<'a>(rows: &[&'a Node]) -> Vec<Placed<'a>> {
    let mut all = Vec::<Placed<'a>>::new();
    for (at, row) in rows.iter().enumerate() {
        let mut column = 0;
        for cell in row.nodes() {
            while let Some(above) = all.iter().find(|other| other.rows.contains(&at) && other.columns.contains(&column))
            {
                column = above.columns.end;
            }
            let columns = column..column + cell.span("colspan");
            column = columns.end;
            all.push(Placed { rows: at..at + cell.span("rowspan"), columns, cell });
        }
    }
    all
}

fn rows_of(part: &Node) -> Vec<&Node> {
    part.nodes().filter(|node| node.tag == "tr").collect()
}

fn table(lines: &mut String, section: &str, table: &Node) {
    let caption = table.nodes().find(|node| node.tag == "caption").map(Node::text).unwrap_or_default();
    let mut heads = BTreeMap::<usize, Vec<String>>::new();
    for part in table.nodes().filter(|node| node.tag == "thead") {
        for Placed { columns, cell, .. } in placed(&rows_of(part)) {
            let text = cell.text();
            for column in columns.filter(|_| !text.is_empty()) {
                heads.entry(column).or_default().push(text.clone());
            }
        }
    }
    let heads: BTreeMap<_, _> = heads.into_iter().map(|(column, names)| (column, names.join("/"))).collect();
    let names: Vec<_> = heads.values().map(String::as_str).collect();
    let _ = writeln!(lines, "{section} | {caption} | (columns) | {}", names.join(", "));
    for part in table.nodes().filter(|node| node.tag == "tbody") {
        let rows = rows_of(part);
        let placed = placed(&rows);
        for (at, row) in rows.iter().enumerate() {
            let of_row = || placed.iter().filter(|other| other.rows.contains(&at));
            let name = of_row().filter(|other| other.cell.tag == "th" || other.cell.has_class("name"));
            let name = name.map(|other| other.cell.text()).collect::<Vec<_>>().join("/");
            let more = [part.attribute("class"), row.attribute("class")];
            let more: Vec<_> = more.into_iter().filter(|class| !class.is_empty()).collect();
            for Placed { columns, cell, .. } in of_row().filter(|other| other.rows.start == at) {
                if cell.tag == "td" && !cell.has_class("name") {
                    let wide = columns.clone().map(|column| heads[&column].as_str()).collect::<Vec<_>>().join(" and ");
                    line(lines, [section, &caption, &name, &wide], cell, &more);
                }
            }
        }
    }
}

fn walk(lines: &mut String, section: &str, part: &str, node: &Node) {
    let label = node.attribute("aria-label");
    match node.tag.as_str() {
        "table" => table(lines, section, node),
        "li" => line(lines, [section, part, "", ""], node, &[]),
        "h2" | "p" | "pre" => line(lines, [section, &node.tag, "", ""], node, &[]),
        "a" => line(lines, [section, "a", "", ""], node, &[]),
        "section" => {
            let section = node.attribute("data-key");
            line(
                lines,
                [section, "section", "", ""],
                &Node::default(),
                &node.attribute("class").split(' ').collect::<Vec<_>>(),
            );
            node.nodes().for_each(|node| walk(lines, section, part, node));
        }
        _ => {
            let part = if label.is_empty() { part } else { label };
            node.nodes().for_each(|node| walk(lines, section, part, node));
        }
    }
}

/// Every cell of the tables, and what is said about them, in the order of the page.
pub fn cells(html: &str) -> String {
    let mut lines = String::new();
    parse(html).nodes().for_each(|node| walk(&mut lines, "", "", node));
    lines
}

#[test]
fn cells_stand_in_their_rows_and_columns() {
    let html = "<section class=\"grid\" data-key=\"g\"><table><caption>C<span class=\"unseen\"> of g</span></caption>\
        <thead><tr><td></td><th colspan=\"2\">wide</th></tr><tr><th>name</th><th>a</th><th>b</th></tr></thead>\
        <tbody class=\"sum\"><tr><th rowspan=\"2\">x &amp; y</th><td rowspan=\"2\"><a href=\"?plot=p&amp;all=1\" class=\"bad\">1</a></td>\
        <td><span class=\"zero\">–</span></td></tr><tr><td title=\"old\">2</td></tr></tbody></table></section>";
    assert_eq!(
        cells(html),
        "g | section |  |  |  |  | grid\n\
         g | C | (columns) | name, wide/a, wide/b\n\
         g | C | x & y | wide/a | 1 | ?plot=p&all=1 | sum bad\n\
         g | C | x & y | wide/b | – |  | sum zero\n\
         g | C | x & y | wide/b | 2 |  | sum |  old\n"
            .replace("|  old", "| old")
    );
}
