//! Reads what collect-backups reads from outside: the listing of a node and what it prints on standard error, patterns and the paths
//! that they read, the two config files of scm-backup-monitor and the hubs that come of them, sidecars, and what a node says of the
//! content of its files. They may be refused; what a node prints is read the same in pieces of any size.

#![no_main]

use gridmon::monitors::backups::gather::Gatherer;
use gridmon::monitors::backups::name::{bytes, shown};
use gridmon::monitors::backups::originals;
use gridmon::monitors::backups::pattern::Pattern;
use gridmon::monitors::backups::seal::{Seal, digest};
use gridmon::monitors::backups::site::file_name;
use gridmon::monitors::backups::zone::Zone;
use gridmon::setup::Config;
use gridmon::sources::ssh::content::{Answers, Found, Question, Tool};
use gridmon::sources::ssh::{Complaints, Listing, Place, Root, script};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // The first byte says which reader; the first line is a pattern where one is needed.
    let Some((&which, data)) = data.split_first() else { return };
    match which % 6 {
        0 => listing(data),
        1 => pattern(data),
        2 => drop(originals::parse(&String::from_utf8_lossy(data), "f")),
        3 => sidecar(data),
        4 => hubs(data),
        _ => answers(data),
    }
});

fn listing(data: &[u8]) {
    let whole = read(data, data.len().max(1));
    for size in [1, 3, 64] {
        let in_pieces = read(data, size);
        // What comes before an error may have been handed on.
        assert_eq!(whole.0, in_pieces.0);
        if whole.0.is_some() {
            assert_eq!(whole.1, in_pieces.1);
        }
    }
}

/// Whether the listing was whole, `None` if it was refused, and what it said.
fn read(data: &[u8], size: usize) -> (Option<bool>, Vec<String>) {
    let pattern = Pattern::new("{set}/%Y/%m/%d/%H%M%S/*.tar.gz").expect("a good one");
    let zone = Zone::utc();
    let mut gatherer = Gatherer::new(&pattern, &zone, "only");
    let mut listing = Listing::new("n", 10_000);
    let mut seen = Vec::new();
    for piece in data.chunks(size) {
        let read = listing.read(piece, |root, record| {
            seen.push(format!("{root} {record:?}"));
            gatherer.take(record);
        });
        if read.is_err() {
            return (None, seen);
        }
    }
    let gathered = gatherer.finish();
    for backups in gathered.sets.values() {
        assert!(backups.is_sorted_by_key(|backup| (backup.time, backup.path.clone())));
    }
    (Some(listing.is_whole()), seen)
}

fn pattern(data: &[u8]) {
    let (text, paths) = data.iter().position(|byte| *byte == b'\n').map_or((data, &[][..]), |at| data.split_at(at));
    let Ok(pattern) = Pattern::new(&String::from_utf8_lossy(text)) else { return };
    let mut scratch = pattern.scratch();
    for path in paths.split(|byte| *byte == b'\n') {
        let Some((set, stamp)) = pattern.read(path, &mut scratch) else { continue };
        let name = shown(set);
        assert_eq!(bytes(&name), set);
        let file = file_name(&name);
        assert!(!file.contains(['/', '~']) && !file.starts_with('.') && file.len() <= 100);
        for zone in [Zone::utc(), Zone::Unknown, Zone::named("Europe/Zurich").expect("a zone")] {
            let _ = zone.time(stamp, 1_774_850_400);
        }
    }
}

/// The two files of the original, with a zero byte between them.
fn hubs(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (scm_monitor, libfab) = text.split_once('\0').unwrap_or((&text, "[HUB]\nZZ = SDU me@Z9:229\n"));
    let (config, _) = Config::parse("[grid]\nname = a\n[hub OURS]\nnodes = SDU\nroot = /b\n", "f").expect("a good one");
    let mut backups = config.backups;
    let variable = |name: &str| (name == "HOME").then(|| "/home/$HOME".to_string());
    if backups.add_originals((scm_monitor, "scm"), (libfab, "fab"), &variable).is_err() || backups.join().is_err() {
        return;
    }
    for hub in &backups.hubs {
        assert!(!hub.nodes.is_empty());
        // Each can be asked, and no name is an option of ssh.
        for node in &hub.nodes {
            if let Place::Ssh { host, .. } = &backups.nodes[node].place {
                assert!(!host.starts_with('-') && !host.is_empty(), "{host:?}");
            }
        }
        let roots = [Root { path: hub.root.clone(), linked: Vec::new() }];
        script::listing(&roots, "n", 1);
        assert!(hub.sets.iter().all(|set| shown(&bytes(set)) == *set));
    }
}

/// What a node says of three files.
fn answers(data: &[u8]) {
    let question = |tool| Question { root: 0, path: b"x".as_slice().into(), tool };
    let questions = [question(Tool::Md5), question(Tool::Gzip), question(Tool::Md5)];
    let read = |size: usize| {
        let mut answers = Answers::new("n", &questions);
        data.chunks(size).for_each(|piece| answers.read(piece));
        answers.found
    };
    let whole = read(data.len().max(1));
    for (found, question) in whole.iter().zip(&questions) {
        match found {
            Some(Found::Sum(sum)) => assert!(question.tool == Tool::Md5 && digest(sum).is_some()),
            Some(Found::Whole | Found::Broken) => assert_eq!(question.tool, Tool::Gzip),
            _ => {}
        }
    }
    for size in [1, 3, 64] {
        assert_eq!(whole, read(size));
        let mut complaints = Complaints::default();
        data.chunks(size).for_each(|piece| complaints.read(piece));
        assert!(complaints.text().lines().all(|line| ["find: ", "stat: "].iter().any(|begin| line.starts_with(begin))));
    }
}

fn sidecar(data: &[u8]) {
    if let Some(seal) = Seal::parse(data) {
        assert!(seal.bytes.is_some() || seal.digest.is_some());
    }
}
