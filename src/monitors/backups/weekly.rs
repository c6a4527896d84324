//! The weekly note that all is well, to the people of each hub: so silence is never taken for health.

use std::collections::BTreeMap;

use super::hub::Hub;
use super::name::some_of;
use super::node::NodeState;
use super::verdict::Verdict;
use crate::model::last_weekday;
use crate::text::count;

/// What some people are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeeklyNote {
    /// Their addresses; empty for those of `[mail]`.
    pub to: Vec<String>,
    /// The line.
    pub line: String,
    /// How many alarms and warnings their hubs have that it names.
    pub lasting: [usize; 2],
}

/// Returns what to say of the hubs that have no alarm, and of which it was not said since `weekday` began; each is told to its own
/// people, whatever the hubs of others do. `said` is when it was last said, by hub; times in unix seconds.
pub fn notes(
    hubs: &[Hub],
    weekday: i64,
    states: &[NodeState],
    said: &mut BTreeMap<String, i64>,
    now: i64,
) -> Vec<WeeklyNote> {
    let mut readers: BTreeMap<&[String], Vec<&Hub>> = BTreeMap::new();
    for hub in hubs {
        readers.entry(&hub.email).or_default().push(hub);
        // A hub's first run begins its first week.
        said.entry(hub.name.clone()).or_insert(now);
    }
    let mut notes = Vec::new();
    for (to, theirs) in readers {
        let alarms = |hub: &Hub| of(hub, states).map(NodeState::alarms).sum::<usize>();
        let (well, alarmed): (Vec<&Hub>, Vec<&Hub>) = theirs.into_iter().partition(|hub| alarms(hub) == 0);
        // A clock that was ahead must not silence it.
        let due: Vec<&Hub> = well.into_iter().filter(|hub| is_due(said[&hub.name].min(now), weekday, now)).collect();
        if due.is_empty() {
            continue;
        }
        said.extend(due.iter().map(|hub| (hub.name.clone(), now)));
        let nodes: Vec<&NodeState> = due.iter().flat_map(|hub| of(hub, states)).collect();
        let warnings: Vec<String> = nodes.iter().flat_map(|state| warnings(state)).collect();
        let sets = nodes.iter().map(|state| state.sets.len()).sum();
        let names = |hubs: &[&Hub]| some_of(&hubs.iter().map(|hub| hub.name.as_str()).collect::<Vec<_>>());
        let of_hubs = match due.as_slice() {
            all if all.len() == hubs.len() => count(all.len(), "hub"),
            [one] => format!("hub {}", one.name),
            some => format!("hubs {}", names(some)),
        };
        let head = if warnings.is_empty() { "all is well" } else { "no alarm" };
        let mut line = format!("{head}: {} on {} of {of_hubs}", count(sets, "set"), count(nodes.len(), "node"));
        if !warnings.is_empty() {
            line += &format!("; {}: {}", count(warnings.len(), "warning"), some_of(&warnings));
        }
        if !alarmed.is_empty() {
            line += &format!("; in alarm: {}", names(&alarmed));
        }
        let lasting = [alarmed.into_iter().map(alarms).sum(), warnings.len()];
        notes.push(WeeklyNote { to: to.to_vec(), line, lasting });
    }
    notes
}

fn of<'a>(hub: &'a Hub, states: &'a [NodeState]) -> impl Iterator<Item = &'a NodeState> {
    states.iter().filter(move |state| state.hub == hub.name)
}

/// Returns the warnings of a node and its sets, each as `HUB NODE SET VERDICT`.
fn warnings(state: &NodeState) -> Vec<String> {
    let NodeState { hub, node, .. } = state;
    let of_node = state.notes.iter().map(|(verdict, _)| format!("{hub} {node} {}", verdict.word()));
    let warned = state.sets.iter().filter(|set| set.verdict != Verdict::Ok && !set.verdict.is_alarm());
    of_node.chain(warned.map(|set| format!("{hub} {node} {} {}", set.set, set.verdict.word()))).collect()
}

/// Whether `weekday`, Monday being 0, has begun since `last`; both times in unix seconds.
fn is_due(last: i64, weekday: i64, now: i64) -> bool {
    const DAY: i64 = 86_400;
    last < last_weekday(now.div_euclid(DAY), weekday) * DAY
}

#[cfg(test)]
mod tests {
    use super::super::verdict::SetState;
    use super::*;

    const DAY: i64 = 86_400;

    /// 2024-06-04, a Tuesday.
    const TUESDAY: i64 = 1_717_459_200;

    #[test]
    fn the_week_begins_with_its_day() {
        assert!(!is_due(TUESDAY - 3 * DAY, 1, TUESDAY - 1));
        assert!(is_due(TUESDAY - 3 * DAY, 1, TUESDAY));
        assert!(!is_due(TUESDAY, 1, TUESDAY + 6 * DAY));
        assert!(is_due(TUESDAY, 1, TUESDAY + 9 * DAY), "the day was missed");
    }

    fn hub(name: &str, email: &str) -> Hub {
        Hub { email: vec![email.into()], ..Hub::usual(name, &["n"]) }
    }

    /// The node of a hub, with a set of each verdict.
    fn state(hub: &str, verdicts: &[Verdict]) -> NodeState {
        let set = |verdict: &Verdict| SetState {
            set: format!("of_{}", verdict.word()),
            verdict: *verdict,
            text: String::new(),
            newest: None,
            backups: 1,
        };
        let sets = verdicts.iter().map(set).collect();
        NodeState { unreachable: None, sets, ..NodeState::unreachable(&Hub::usual(hub, &[]), "n", String::new()) }
    }

    fn note(to: &str, line: &str, lasting: [usize; 2]) -> WeeklyNote {
        WeeklyNote { to: vec![to.into()], line: line.into(), lasting }
    }

    #[test]
    fn the_people_of_a_hub_hear_that_it_is_well_whatever_the_hubs_of_others_do() {
        let hubs = [hub("A", "a@example.org"), hub("B", "b@example.org")];
        let (a, old, well) = (state("A", &[Verdict::Ok]), state("B", &[Verdict::Old]), state("B", &[Verdict::Ok]));
        let mut said = BTreeMap::new();
        assert_eq!(notes(&hubs, 1, &[a.clone(), old.clone()], &mut said, TUESDAY - DAY), [], "the first run");
        let of_a = note("a@example.org", "all is well: 1 set on 1 node of hub A", [0, 0]);
        assert_eq!(notes(&hubs, 1, &[a.clone(), old.clone()], &mut said, TUESDAY), [of_a]);
        assert_eq!(notes(&hubs, 1, &[a.clone(), old], &mut said, TUESDAY + 1), []);
        // It is over on the day after.
        let of_b = note("b@example.org", "all is well: 1 set on 1 node of hub B", [0, 0]);
        assert_eq!(notes(&hubs, 1, &[a.clone(), well.clone()], &mut said, TUESDAY + DAY), [of_b]);
        assert_eq!(notes(&hubs, 1, &[a, well], &mut said, TUESDAY + DAY + 1), []);
    }

    #[test]
    fn people_of_two_hubs_hear_which_of_them_is_not_well() {
        let hubs = [hub("A", "x@example.org"), hub("B", "x@example.org")];
        let said = || BTreeMap::from([("A".to_string(), 0), ("B".into(), 0)]);
        let (a, old, well) = (state("A", &[Verdict::Ok]), state("B", &[Verdict::Old]), state("B", &[Verdict::Ok]));
        let one = note("x@example.org", "all is well: 1 set on 1 node of hub A; in alarm: B", [1, 0]);
        assert_eq!(notes(&hubs, 1, &[a.clone(), old], &mut said(), TUESDAY), [one]);
        let both = note("x@example.org", "all is well: 2 sets on 2 nodes of 2 hubs", [0, 0]);
        assert_eq!(notes(&hubs, 1, &[a, well], &mut said(), TUESDAY), [both]);
    }

    #[test]
    fn warnings_are_named_and_are_not_well() {
        let hubs = [hub("A", "x@example.org")];
        let mut warned = state("A", &[Verdict::Ok, Verdict::Hoards]);
        warned.notes.push((Verdict::Unlisted, "1 set there".into()));
        let mut said = BTreeMap::from([("A".to_string(), 0)]);
        let line = "no alarm: 2 sets on 1 node of 1 hub; 2 warnings: A n unlisted, A n of_hoards hoards";
        assert_eq!(notes(&hubs, 1, &[warned], &mut said, TUESDAY), [note("x@example.org", line, [0, 2])]);
    }

    #[test]
    fn a_hub_that_is_new_begins_its_own_week() {
        let hubs = [hub("A", "x@example.org"), hub("B", "x@example.org")];
        let states = [state("A", &[Verdict::Ok]), state("B", &[Verdict::Ok])];
        let mut said = BTreeMap::from([("A".to_string(), TUESDAY)]);
        assert_eq!(notes(&hubs, 1, &states, &mut said, TUESDAY + DAY), []);
        assert_eq!(notes(&hubs, 1, &states, &mut said, TUESDAY + 7 * DAY).len(), 1);
    }
}
