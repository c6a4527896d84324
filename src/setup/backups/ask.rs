//! Asks every node once, for all hubs that it serves.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::Timestamp;

use super::history::{Keeper, row};
use crate::monitors::backups;
use crate::monitors::backups::content::{self, Checked, Content, Contents, Wanted};
use crate::monitors::backups::gather::{Backup, Gathered, Gatherer};
use crate::monitors::backups::hub::Hub;
use crate::monitors::backups::kept;
use crate::monitors::backups::memory::{Memory, NodeMemory};
use crate::monitors::backups::name::{bytes, shown};
use crate::monitors::backups::node::{NodeState, Told};
use crate::monitors::backups::verdict::AHEAD;
use crate::os::work::{catch, side_by_side};
use crate::sinks::history::Kept;
use crate::sources::ssh::content::{Found, Question, contents};
use crate::sources::ssh::{Node, Root, list};

/// What one node told of one hub.
#[derive(Clone)]
pub struct Heard {
    /// The number of the hub.
    pub hub: usize,
    /// The node's state.
    pub state: NodeState,
    /// Why files could not be checked, in words.
    pub unchecked: Option<String>,
}

/// What asking needs.
pub struct Asking<'a> {
    /// The config.
    pub config: &'a backups::Config,
    /// What the run before knew; of each node that answered, what is to be remembered instead.
    pub memory: &'a Mutex<Memory>,
    /// The time, in unix seconds.
    pub now: i64,
    /// When all must have answered.
    pub until: Instant,
    /// Takes the backups that no run before knew, node by node.
    pub keeper: Option<&'a Keeper>,
}

impl Asking<'_> {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Who panics with it has put nothing in.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn memory_of(&self, hub: &Hub, node: &Node) -> NodeMemory {
        self.memory().hubs.get(&hub.name).and_then(|nodes| nodes.get(&node.name)).cloned().unwrap_or_default()
    }

    fn remember(&self, hub: &Hub, node: &Node, memory: NodeMemory) {
        self.memory().hubs.entry(hub.name.clone()).or_default().insert(node.name.clone(), memory);
    }
}

/// Asks every node once, for all hubs that it serves; returns the states in the order of the hubs and their nodes.
pub fn ask(asking: &Asking) -> Vec<Heard> {
    let config = asking.config;
    let mut served: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, hub) in config.hubs.iter().enumerate() {
        hub.nodes.iter().for_each(|node| served.entry(node).or_default().push(at));
    }
    let served: Vec<_> = served.into_iter().collect();
    let heard = side_by_side(served.len(), config.parallel, |at| {
        let (name, hubs) = &served[at];
        catch(|| ask_node(asking, &config.nodes[*name], hubs)).unwrap_or_else(|bug| {
            let unheard = |&hub: &usize| unheard(config, hub, name, bug.to_string());
            hubs.iter().map(unheard).collect()
        })
    });
    let mut heard: Vec<Heard> = heard.into_iter().flatten().collect();
    let place = |one: &Heard| config.hubs[one.hub].nodes.iter().position(|node| *node == one.state.node);
    heard.sort_by_key(|one| (one.hub, place(one)));
    heard
}

fn unheard(config: &backups::Config, hub: usize, node: &str, why: String) -> Heard {
    Heard { hub, state: NodeState::unreachable(&config.hubs[hub], node, why), unchecked: None }
}

/// Asks one node, in one login.
fn ask_node(asking: &Asking, node: &Node, hubs: &[usize]) -> Vec<Heard> {
    let Asking { config, now, until, keeper, .. } = *asking;
    let keep = |news: &mut dyn Iterator<Item = Kept>| keeper.into_iter().for_each(|keeper| keeper.take(news));
    let of = |at: &usize| &config.hubs[*at];
    let roots: Vec<_> = hubs.iter().map(|at| root(of(at))).collect();
    let mut gatherers = Vec::new();
    for hub in hubs.iter().map(of) {
        gatherers.push(Gatherer::new(&hub.pattern, &hub.zone, hub.only_set()).until(now + AHEAD));
    }
    let clock = || Timestamp::now().as_second();
    let answer = list(node, &roots, &config.bounds, until, clock, |root, seen| {
        if let Some(gatherer) = gatherers.get_mut(root) {
            gatherer.take(seen);
        }
    });
    let answer = match answer {
        Ok(answer) => answer,
        Err(why) => return hubs.iter().map(|&hub| unheard(config, hub, &node.name, why.clone())).collect(),
    };
    let heard = gatherers.into_iter().zip(hubs).map(|(gatherer, &at)| {
        let (hub, gathered) = (&config.hubs[at], gatherer.finish());
        let before = asking.memory_of(hub, node);
        let (wanted, found, why) = contents_of(asking, node, hub, &gathered, &before);
        let contents = Contents::new(hub, &gathered, &before, &wanted, &found);
        let told = Told {
            gathered: &gathered,
            said: &answer.said,
            skew_seconds: answer.skew_seconds,
            contents: &|backup| contents.of(backup),
        };
        let digests = kept::digests(&gathered);
        let known = |set: &str, backup: &Backup| {
            let known = before.sets.get(set).filter(|known| !known.checked.is_empty())?;
            known.checked(backup, hub.rules(set).check)
        };
        let news = kept::news(&gathered, &digests, &before);
        keep(&mut news.map(|(set, backup)| row(hub, &node.name, set, backup, known(set, backup))));
        let (state, mut memory) = NodeState::judge(hub, &node.name, &told, &before, now);
        // A file that is checked later than it came gets its new word in the history.
        let mut checked = BTreeMap::<&str, Vec<Checked>>::new();
        keep(
            &mut results(&wanted, &found)
                .map(|(Wanted { set, backup, .. }, _, content)| row(hub, &node.name, set, backup, Some(content))),
        );
        for (Wanted { set, backup, .. }, found, content) in results(&wanted, &found) {
            let (path, bytes, mtime) = (shown(&backup.path), backup.bytes, backup.mtime);
            let sum = if let Found::Sum(sum) = found { Some(sum.clone()) } else { None };
            checked.entry(set).or_default().push(Checked { path, bytes, mtime, content, sum });
        }
        for (set, backups) in &gathered.sets {
            if let Some(known) = memory.sets.get_mut(set) {
                known.learn_contents(backups, checked.remove(set.as_str()).unwrap_or_default().into_iter());
            }
        }
        if state.unreachable.is_none() {
            memory.kept = digests;
        }
        let unchecked = content::unchecked(&wanted, &found, why.as_deref());
        (Heard { hub: at, state, unchecked }, memory)
    });
    let heard: Vec<_> = heard.collect();
    // Made anew now that the listing is gone: else what lasts lies scattered in its memory, and holds twice as much of it.
    let anew = |(heard, memory): &(Heard, NodeMemory)| {
        asking.remember(&config.hubs[heard.hub], node, memory.copied());
        heard.clone()
    };
    heard.iter().map(anew).collect()
}

/// Has the node read what is new, if the config wants that.
fn contents_of(
    asking: &Asking,
    node: &Node,
    hub: &Hub,
    gathered: &Gathered,
    before: &NodeMemory,
) -> (Vec<Wanted>, Vec<Option<Found>>, Option<String>) {
    let Asking { config, now, until, .. } = *asking;
    let wanted = content::wanted(hub, gathered, before, now);
    if wanted.is_empty() {
        return (wanted, Vec::new(), None);
    }
    let question = |one: &Wanted| Question { root: 0, path: one.backup.path.clone(), tool: one.tool };
    let questions: Vec<_> = wanted.iter().map(question).collect();
    let (found, why) = contents(node, &[root(hub)], &questions, &config.bounds, config.check_seconds, until);
    (wanted, found, why)
}

/// Returns the files of which something was found.
fn results<'a>(
    wanted: &'a [Wanted],
    found: &'a [Option<Found>],
) -> impl Iterator<Item = (&'a Wanted, &'a Found, Content)> {
    let found = wanted.iter().zip(found).filter_map(|(one, found)| Some((one, found.as_ref()?)));
    found.filter_map(|(one, found)| Some((one, found, content::content(one, found)?)))
}

/// Returns what is listed of a hub. A set that is a link is followed, if the config names it and it has a folder.
fn root(hub: &Hub) -> Root {
    let linked = hub.sets.iter().filter_map(|set| hub.pattern.folder_of(&bytes(set))).collect();
    Root { path: hub.root.clone(), linked }
}
