//! Names from outside are text on every page, whatever they are.

use proptest::prelude::*;

use super::*;
use crate::monitors::backups::memory::{SeenNode, SeenSet, SetMemory};

const NOW: i64 = 1_774_850_400;

/// A node with one set, both with words.
fn memory(hub: &str, node: &str, set: &str, words: &str) -> Memory {
    let seen = SeenSet {
        read: NOW,
        verdict: Verdict::Old,
        text: words.into(),
        newest: Some(NOW - 200_000),
        bytes: Some(700_000),
        backups: 2,
    };
    let mut memory = NodeMemory::NOTHING;
    memory.sets.insert(set.into(), SetMemory { seen: Some(seen), ..SetMemory::default() });
    memory.seen = Some(SeenNode { asked: NOW, unreachable: Some(words.into()), ..SeenNode::default() });
    let mut all = Memory::default();
    all.hubs.entry(hub.into()).or_default().insert(node.into(), memory);
    all
}

/// All files of a report, with the plot.
fn files(hub: &str, node: &str, set: &str, words: &str) -> Vec<(String, String)> {
    let (memory, nodes) = (memory(hub, node, set, words), [node.to_string()]);
    let facts = [HubFacts::new(hub, Some("https://monitor.example.org/"), &nodes, &memory)];
    let mut files = index(&facts, NOW).to_vec();
    files.extend(super::hub(&facts[0], NOW));
    let sizes = [(NOW - 300_000, 600_000), (NOW - 200_000, 700_000)];
    files.push((format!("{}/{}", file_name(hub), plot_name(node, set)), svg(node, set, &sizes, 93_600, NOW)));
    files
}

/// The tags of a text of HTML or SVG, each without its attributes, and the number of quotes in each.
fn tags(markup: &str) -> Vec<(String, usize)> {
    let tag = |part: &str| {
        let tag = part.split('>').next().unwrap();
        (tag.split([' ', '\n']).next().unwrap().to_string(), tag.matches('"').count())
    };
    markup.split('<').skip(1).map(tag).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn no_name_adds_a_tag_an_attribute_or_a_line(
        hub in any_name(), node in any_name(), set in any_name(), words in any_name(),
    ) {
        let words = format!("w{words}");
        let (plain, hostile) = (files("h", "n", "s", "w"), files(&hub, &node, &set, &words));
        for ((name, expected), (path, text)) in plain.iter().zip(&hostile) {
            prop_assert!(path.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && part.len() <= 255), "{path}");
            prop_assert!(path.matches('/').count() <= 1, "{path}");
            if name.ends_with(".html") || name.ends_with(".svg") {
                prop_assert_eq!(tags(text), tags(expected), "{}: {}", path, text);
            }
            if name.ends_with(".json") {
                serde_json::from_str::<serde_json::Value>(text).unwrap();
            }
            if name.ends_with(".rst") {
                // No line begins with what the name says, and no cell ends early.
                let directives = |text: &str| text.lines().filter(|line| line.starts_with(".. ")).count();
                let listed = if text.contains("list-table") { usize::from(path.contains('/')) + 1 } else { 0 };
                prop_assert!((directives(expected)..=directives(expected) + listed).contains(&directives(text)), "{}", text);
            }
        }
    }

    #[test]
    fn two_names_never_have_one_file(a in any_name(), b in any_name()) {
        prop_assert_eq!(file_name(&a) == file_name(&b), a == b);
        prop_assert!(plot_name(&a, &b).len() <= 255);
    }
}

/// Names of all kinds, those that trip parsers above all.
fn any_name() -> impl Strategy<Value = String> {
    let tricks = "<script>alert(1)</script>|\"onload=\"x|'><img src=x>|`a <javascript:x>`__|.. raw:: html|a|b|====|- x|1. x|\
                  \\|**|../../etc/passwd|.|..|/|ümläut-日本|a\nb|]]>|:ok:`x`|x_|x__|--opt|>>> x|svn/dybsvn|svn,dybsvn|svn=2Fx";
    let tricks: Vec<String> = tricks.split('|').map(String::from).collect();
    prop_oneof![any::<String>(), prop::sample::select(tricks), "[a-z]{90,300}"]
}

#[test]
fn a_plot_shows_each_backup_and_when_none_was_fresh() {
    const DAY: i64 = 86_400;
    let nights = |nights: &[i64]| nights.iter().map(|night| (NOW - (10 - night) * DAY, 1_000_000)).collect::<Vec<_>>();
    let gaps = |sizes: &[(i64, u64)]| svg("n", "s", sizes, 93_600, NOW).matches("class=\"gap\"").count();
    assert_eq!(gaps(&nights(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10])), 0, "every night");
    assert_eq!(gaps(&nights(&[1, 2, 3, 6, 7, 8, 9, 10])), 1, "three nights are missing");
    assert_eq!(gaps(&nights(&[1, 2, 3, 6, 7])), 2, "and none since");
    assert!(svg("n", "s", &[], 93_600, NOW).contains("nothing was stored in this time"));
    // The same picture all day long.
    assert_eq!(svg("n", "s", &nights(&[9, 10]), 93_600, NOW), svg("n", "s", &nights(&[9, 10]), 93_600, NOW + 7200));
}
