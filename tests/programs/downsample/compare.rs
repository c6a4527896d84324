//! `--compare` of the down-samplers: what QMonit's downsample.py wrote of recorded points, beside our folds of the same.

#[path = "../../store/rollup/recorded.rs"]
mod recorded;

use super::*;

/// A store with the points that QMonit folded, and nothing else.
fn site(input: &str, tier: Tier) -> Queues {
    let sandbox = Sandbox::new("small");
    sandbox.config("[embedded]\nkeep_raw_days = forever\nkeep_1h_days = forever");
    let queues = Queues(sandbox);
    queues.store_in(tier, &recorded::given(input, tier));
    queues
}

/// Compares a window of a site with what stands in a file of these lines.
fn against(site: &Queues, program: &str, [from, to]: [i64; 2], lines: &[String]) -> Outcome {
    let path = site.0.write("old.lp", lines.join("\n"));
    let [from, to, now] = [from, to, to + DAY].map(|time| (D + time).to_string());
    let flags = ["--compare", path.to_str().unwrap(), "--from", &from, "--to", &to];
    site.run(program, &flags, now.parse().unwrap())
}

fn lines(name: &str) -> Vec<String> {
    recorded::read(name).lines().map(String::from).collect()
}

#[test]
fn each_difference_from_qmonits_own_hour_and_day_has_its_cause() {
    let hour = (site("downsample_1h.json", Tier::Raw), "downsample-1h", "downsample_1h.lp", [12 * HOUR, 13 * HOUR]);
    let day = (site("downsample_1d.json", Tier::Hour), "downsample-1d", "downsample_1d.lp", [0, DAY]);
    // Of a label that changed after the hour nothing is told: the embedded store has the newest one, as QMonit had.
    for ((site, program, file, window), differ) in [(hour, 7), (day, 1)] {
        let before = site.tier("raw");
        let outcome = against(&site, program, window, &lines(file));
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{}", outcome.stdout);
        let out = &outcome.stdout;
        assert!(out.starts_with(program) && out.ends_with("unknown 0\n") && !out.contains("no known cause"), "{out}");
        let mut named: Vec<_> = outcome.lines_with("QMonit's value is of its newest six").into_iter().collect();
        named.retain(|line| !line.starts_with("known"));
        let mut series: Vec<_> = named.iter().map(|line| line.split_whitespace().nth(1).unwrap()).collect();
        series.dedup();
        assert_eq!(series.len(), differ, "{out}");
        // Nothing is folded by it.
        let tier = if program == "downsample-1h" { "1h" } else { "1d" };
        assert_eq!((site.tier(tier), site.tier("raw")), (Vec::new(), before));
    }
}

#[test]
fn a_count_that_qmonits_rule_does_not_give_is_unknown_and_fails() {
    let site = site("downsample_1h.json", Tier::Raw);
    let window = [12 * HOUR, 13 * HOUR];
    let mut old = lines("downsample_1h.lp");
    let at = old.iter().position(|line| line.contains("jobs=108.5")).unwrap();
    old[at] = old[at].replace("jobs=108.5", "jobs=108.7");
    let outcome = against(&site, "downsample-1h", window, &old);
    assert_eq!(outcome.code, Some(1), "{}", outcome.stdout);
    let unknown = outcome.lines_with("no known cause");
    assert!(unknown.iter().all(|line| line.contains("resource=MCORE")), "{unknown:?}");
    assert!(unknown.iter().any(|line| line.contains(" jobs: 106.5 here, 108.7 there")), "{unknown:?}");
    // Of another hour there is nothing, which is no agreement.
    let other = against(&site, "downsample-1h", [20 * HOUR, 21 * HOUR], &old);
    assert!(other.code == Some(1) && other.stdout.contains("nothing of this time is there"), "{other:?}");
    let nowhere = site.run("downsample-1h", &["--compare", "nowhere.lp"], D + DAY);
    assert_eq!((nowhere.code, nowhere.stdout.as_str()), (Some(1), ""));
    assert!(nowhere.stderr.starts_with("downsample-1h: nowhere.lp: cannot be read; give a file"), "{}", nowhere.stderr);
    let both = site.run("downsample-1h", &["--compare", "x", "--delete-window"], D + DAY);
    assert_eq!(both.code, Some(2), "{}", both.stderr);
}
