//! Tests declarations with sections that no program has.

use std::fmt::Write as _;

use super::*;

const HUB: Section = Section::new(
    "hub *",
    "A hub.",
    &[
        Key::new("nodes", Kind::List, Unset::Required("SDU, C"), "Its nodes."),
        Key::new("password", Kind::Secret, Unset::Absent("file:/etc/gridmon/password"), "Its password."),
        Key::new("token_file", Kind::Path, Unset::Absent("/etc/gridmon/token"), "Where the token is."),
    ],
);

const SENSOR: Section = Section::new(
    "sensor:*",
    "A sensor.",
    &[Key::new(
        "time_interval",
        Kind::Decimal { least: 0.1, most: 86_400.0, unit: "seconds" },
        Unset::Required("10"),
        "How often it is read, in seconds.",
    )],
);

const QMASTER: Section = Section::new(
    "qmaster",
    "The master.",
    &[
        Key::new("host", Kind::Host, Unset::Default("127.0.0.1"), "Its host."),
        Key::new("port", Kind::Port, Unset::Default("7888"), "Its port.").or(&["incoming data port"]),
        Key::new(
            "parallel",
            Kind::Number { least: 1, most: u64::MAX, unit: "agents at once" },
            Unset::Default("16"),
            "How many agents connect | at once.",
        ),
    ],
);

const ENV: Section = Section::new(
    "ENV",
    "Settings of another program.",
    &[Key::new("shell", Kind::Command, Unset::Default("/bin/sh -c"), "The shell.")],
)
.with_free_keys("NAME = VALUE of that program.", &[("key_filename", "~/.ssh/id")]);

const DECLARED: &[&Section] = &[&HUB, &SENSOR, &QMASTER, &ENV];

fn read(text: &str) -> Sections {
    Sections::read(text, "c.cfg", DECLARED).unwrap()
}

fn refused(text: &str) -> String {
    format!("{:#}", Sections::read(text, "c.cfg", DECLARED).unwrap_err())
}

#[test]
fn a_family_has_a_section_for_each_member_in_the_order_of_the_file() {
    let sections = read("[hub ZZ]\nnodes = SDU, C\n[sensor:CPU]\ntime_interval = 0.5\n[hub A b]\nnodes = local\n");
    let hubs = sections.family(&HUB);
    let nodes: Vec<_> = hubs.iter().map(|hub| (hub.member(), hub.list("nodes").unwrap())).collect();
    assert_eq!(nodes, [("ZZ", vec!["SDU".into(), "C".into()]), ("A b", vec!["local".to_string()])]);
    assert_eq!(sections.family(&SENSOR)[0].decimal("time_interval").unwrap(), 0.5);
    assert!(sections.contains(&HUB) && !sections.contains(&QMASTER));
    for (text, error) in [
        ("[sensr:CPU]", "c.cfg line 1: unknown section [sensr:CPU]; did you mean sensor:CPU?"),
        ("[hub]", "c.cfg line 1: unknown section [hub]; did you mean hub *?"),
        ("[hub ]", "c.cfg line 1: unknown section [hub]; did you mean hub *?"),
        ("[storage]", "c.cfg line 1: unknown section [storage]; there are hub *, sensor:*, qmaster, ENV"),
        ("[hub Z]\nnodse = a", "c.cfg line 2: [hub Z] has no key \"nodse\"; did you mean nodes?"),
    ] {
        assert_eq!(refused(text), error);
    }
}

#[test]
fn an_old_spelling_is_the_same_key_and_ignores_case() {
    for spelling in ["port", "incoming data port", "Incoming Data Port"] {
        let sections = read(&format!("[qmaster]\n{spelling} = 7000\n"));
        assert_eq!(sections.values(&QMASTER).port("port").unwrap(), 7000);
        assert!(sections.values(&QMASTER).gives("port"));
    }
    let text = "[qmaster]\nport = 1\nincoming data port = 2\n";
    let error = "c.cfg line 3: [qmaster] incoming data port stands already at line 2 as port; remove one";
    assert_eq!(refused(text), error);
    let sections = read("[qmaster]\nincoming data port = x\n");
    let error = "c.cfg line 2: [qmaster] incoming data port: \"x\" is not a whole number in range";
    assert_eq!(sections.values(&QMASTER).port("port").unwrap_err().to_string(), error);
}

#[test]
fn what_the_file_does_not_give_has_its_default_or_is_missing() {
    let sections = read("[hub Z]\ntoken_file = /t\n");
    let hubs = sections.family(&HUB);
    assert_eq!(
        hubs[0].list("nodes").unwrap_err().to_string(),
        "c.cfg: [hub Z] nodes: is missing; this section needs it"
    );
    assert_eq!(hubs[0].secret("password").unwrap(), None);
    let values = sections.values(&QMASTER);
    assert_eq!((values.number("parallel").unwrap(), values.number_if_given("parallel").unwrap()), (16, None));
    assert_eq!(values.needed("host").unwrap(), "127.0.0.1");
    assert_eq!(values.text("prot").unwrap_err().to_string(), "[qmaster] declares no key prot");
}

#[test]
fn free_keys_come_in_the_order_of_the_file_without_the_declared_ones() {
    let sections = read("[ENV]\nuser = b\nshell = bash\nabc = a\n");
    let values = sections.values(&ENV);
    assert_eq!(values.command("shell").unwrap().argv, ["bash"]);
    assert_eq!(values.free().unwrap(), [("user".into(), "b".into()), ("abc".into(), "a".to_string())]);
}

#[test]
fn the_kind_tells_what_is_secret_and_of_free_keys_the_name() {
    assert!(read("[hub Z]\npassword = hunter2\n").holds_secrets());
    assert!(!read("[hub Z]\npassword = file:/p\n").holds_secrets());
    assert!(!read("[hub Z]\ntoken_file = /t\n").holds_secrets(), "a path is no secret");
    assert!(read("[ENV]\nApi_Key = hunter2\n").holds_secrets());
    let sections = read("[hub Z]\npassword = a # b\n[ENV]\ntoken = hunter2\n");
    let hubs = sections.family(&HUB);
    assert_eq!(hubs[0].secret("password").unwrap(), Some(Secret("a # b".into())), "a secret may hold anything");
    let mut errors = format!("{}", hubs[0].check("password", false, "long enough").unwrap_err());
    let _ = write!(errors, "{}", sections.values(&ENV).refuse("token", anyhow::anyhow!("\"hunter2\" is bad")));
    let _ = write!(errors, "{:?} {sections:?} {hubs:?}", hubs[0].secret("password").unwrap());
    assert!(!errors.contains("a # b") && !errors.contains("hunter2"), "{errors}");
}

#[test]
fn example_and_documentation_show_families_aliases_and_free_keys() {
    let example = example(DECLARED);
    assert!(example.contains("\n#[hub NAME]\n## Its nodes.\n#nodes = SDU, C\n"), "{example}");
    assert!(example.contains("\n#[sensor:NAME]\n"), "{example}");
    assert!(example.contains(
        "\n[ENV]\n## The shell.\n#shell = /bin/sh -c\n## NAME = VALUE of that program.\n#key_filename = ~/.ssh/id\n"
    ));
    let page = documentation(DECLARED, &[("qmaster", &[&[&QMASTER]]), ("qagent", &[&[&QMASTER], &[&SENSOR]])]);
    for part in [
        "\n## `[hub NAME]`\n\nA hub.\nNo program of this version uses it.\n",
        "| `nodes` | list | required, such as `SDU, C` | Its nodes. |\n",
        "Used by `qmaster` and `qagent`.",
        "| `port`, also `incoming data port` | port, 1 to 65535 | `7888` | Its port. |\n",
        "| `parallel` | at least 1 agent at once | `16` | How many agents connect \\| at once. |\n",
        "The operator names the keys. NAME = VALUE of that program.\n",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
}
