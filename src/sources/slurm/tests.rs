//! Recorded answers, and what other sites print.

use std::time::Duration;

use super::client::explain;
use super::node::{gpus, parse, read_state};
use super::queue::Counter;
use super::{Diag, Jobs, Memory, diag, partition};

/// A recorded answer.
macro_rules! recorded {
    ($name:literal) => {
        include_str!(concat!("../../../tests/fixtures/slurm/", $name))
    };
}

fn jobs(records: &[&str]) -> Result<Jobs, String> {
    let mut counter = Counter::default();
    for record in records {
        counter.add(record.as_bytes()).map_err(|error| error.to_string())?;
    }
    counter.finish().map_err(|error| error.to_string())
}

#[test]
fn a_state_is_split_into_its_base_and_flags_in_every_spelling() {
    for (state, base, flags) in [
        ("IDLE", "idle", &[][..]),
        ("IDLE+DRAIN+PLANNED", "idle", &["drain", "planned"]),
        ("ALLOCATED+NOT_RESPONDING", "allocated", &["not_responding"]),
        ("ALLOCATED*", "allocated", &["not_responding"]),
        ("IDLE*+DRAIN", "idle", &["drain", "not_responding"]),
        ("DOWN*", "down", &["not_responding"]),
        ("IDLE+CLOUD~", "idle", &["cloud", "powered_down"]),
        ("MIXED-", "mixed", &["planned"]),
        ("NEWWORD+OTHER_WORD", "newword", &["other_word"]),
        ("", "", &[]),
    ] {
        assert_eq!(
            read_state(state),
            (base.to_string(), flags.iter().map(|flag| flag.to_string()).collect()),
            "{state}"
        );
    }
}

#[test]
fn gpus_are_counted_in_every_spelling_and_nothing_else_is() {
    for (list, count) in [
        ("(null)", 0),
        ("N/A", 0),
        ("gpu:0", 0),
        ("gpu", 1),
        ("gpu:2", 2),
        ("gpu:h100:4", 4),
        ("gpu:h100:3(IDX:0-2)", 3),
        ("gpu:h100:4(S:0-1)", 4),
        ("gpu:(null):4(IDX:0,1,2,3)", 4),
        ("gpu:8 gpu:(null):0(IDX:N/A)", 0),
        ("gpu:NVlink_A100_40GB:2(IDX:0,3)", 2),
        ("gpu:model_a:0(IDX:N/A),gpu:model_b:1(IDX:2)", 1),
        ("gpu:a100:3(S:2,4,7),nsight:no_consume:1,gpfs:ess:no_consume:1,tmp:844G", 3),
        ("shard:16,mps:400,gpu:a:2", 2),
        ("gpu:a100:1K(S:0-1),gpu:K80:2,gpu:K", 1027),
        ("gpu:-5,gpu:99999999999999999999", 1),
    ] {
        assert_eq!(gpus(list), count, "{list}");
    }
    for line in recorded!("sites/osc_gres.tsv").lines() {
        let both: Vec<_> = line.split('\t').map(gpus).collect();
        assert!(both.len() == 2 && both[0] >= both[1] && (1..=4).contains(&both[0]), "{line}");
    }
    let site: Vec<_> =
        recorded!("sites/gcm_gres.tsv").lines().map(|line| line.split('\t').map(gpus).collect::<Vec<_>>()).collect();
    assert_eq!(site, [[8, 0], [8, 0], [8, 8]]);
}

#[test]
fn what_people_write_is_no_field() {
    let line = "NodeName=n4 CPUAlloc=0 CPUTot=32 RealMemory=5 AllocMem=0 FreeMem=N/A State=IDLE+DRAIN OS=Linux 6.1 #1 SMP @0  Partitions=a,b \
                Reason=GPU 2: \"off the bus\" | State=DOWN GresUsed=gpu:9 CPUTot=1 [root@2026-11-26T02:24:57] Comment=CPUAlloc=7";
    let node = parse(line).unwrap().unwrap();
    assert_eq!((node.base.as_str(), node.cpus, node.cpus_alloc, node.gpus_alloc), ("idle", 32, 0, Some(0)));
    assert_eq!((node.memory_bytes, node.memory_free_bytes), (Some(5 << 20), None));
    assert_eq!(node.partitions, ["a", "b"]);
    assert_eq!(parse("and so on, State=DOWN").unwrap(), None, "a reason may have a second line");
    assert_eq!(parse("").unwrap(), None);
    for (line, error) in [
        ("NodeName=n1 CPUAlloc=0 CPUTot=2", "tells no State of node \"n1\""),
        ("NodeName=n1 State= CPUAlloc=0 CPUTot=2", "tells no State of node \"n1\""),
        ("NodeName=n1 State=*+DRAIN CPUAlloc=0 CPUTot=2", "tells no State of node \"n1\""),
        ("NodeName=n1 State=IDLE CPUAlloc=0", "tells no CPUTot of node \"n1\""),
        ("NodeName=n1 State=IDLE CPUAlloc=x CPUTot=2", "tells of node \"n1\" CPUAlloc=\"x\""),
        ("NodeName=n1 State=IDLE CPUAlloc=-1 CPUTot=2", "tells of node \"n1\" CPUAlloc=\"-1\""),
        ("NodeName=n1 Reason=State=IDLE CPUAlloc=0 CPUTot=2", "tells no State of node \"n1\""),
    ] {
        assert_eq!(parse(line).unwrap_err().to_string(), error);
    }
}

#[test]
fn every_version_tells_its_nodes_partitions_and_scheduler() {
    for (nodes, partitions, told) in [
        (recorded!("20.11/nodes.nodes"), recorded!("20.11/partitions"), recorded!("20.11/nodes.sdiag")),
        (recorded!("22.05/nodes.nodes"), recorded!("22.05/partitions"), recorded!("22.05/nodes.sdiag")),
        (recorded!("24.11/nodes.nodes"), recorded!("24.11/partitions"), recorded!("24.11/nodes.sdiag")),
        (recorded!("26.05/nodes.nodes"), recorded!("26.05/partitions"), recorded!("26.05/nodes.sdiag")),
    ] {
        let nodes: Vec<_> = nodes.lines().filter_map(|line| parse(line).unwrap()).collect();
        let own: Vec<_> = nodes.iter().filter(|node| node.name.starts_with('n')).collect();
        let states: Vec<_> = own.iter().map(|node| (node.base.as_str(), node.flags.join("+"))).collect();
        let expected = [("down", ""), ("allocated", "not_responding"), ("mixed", "drain"), ("idle", "drain")];
        assert_eq!(states, expected.map(|(base, flags)| (base, flags.to_string())));
        assert_eq!(
            own.iter().map(|node| (node.gpus, node.gpus_alloc)).collect::<Vec<_>>(),
            [(0, Some(0)), (0, Some(0)), (4, Some(3)), (4, Some(0))]
        );
        let partitions: Vec<_> = partitions.lines().filter_map(|line| partition::parse(line).unwrap()).collect();
        assert_eq!(
            partitions.iter().map(|(name, of)| (name.as_str(), of.cpus)).collect::<Vec<_>>(),
            [("batch", Some(96)), ("gpu", Some(64)), ("cloud", Some(16))]
        );
        let diag = diag::parse(told).unwrap();
        assert!(diag.jobs() > 0 && diag.get("Backfilling stats", "Last cycle").is_some());
        assert!(diag.get("Main schedule statistics", "Total cycles").is_some_and(|cycles| cycles > 0));
    }
    let site: Vec<_> =
        recorded!("sites/gcm_partitions").lines().filter_map(|line| partition::parse(line).unwrap()).collect();
    assert_eq!((site[0].1.cpus, site[0].1.nodes), (Some(251_200), Some(3140)));
    assert!(recorded!("sites/osc_partitions").lines().all(|line| partition::parse(line).is_ok()));
}

#[test]
fn a_slurmctld_that_has_just_started_has_not_counted_its_jobs() {
    for told in [recorded!("20.11/empty.sdiag"), recorded!("22.05/empty.sdiag"), recorded!("26.05/empty.sdiag")] {
        let diag = diag::parse(told).unwrap();
        assert_eq!((diag.get("", "Jobs pending"), diag.get("", "Jobs submitted")), (None, Some(0)));
    }
    assert!(diag::parse("").is_err() && diag::parse("slurm_load: Access denied\n").is_err());
}

#[test]
fn jobs_are_counted_by_state_first_partition_and_account() {
    let records: Vec<_> =
        recorded!("22.05/busy.jobs").split('\u{1e}').filter(|record| !record.trim().is_empty()).collect();
    let counted = jobs(&records).unwrap();
    let of = |state: &str, partition: &str, account: &str| {
        let is = |group: &&super::JobGroup| {
            (group.state.as_str(), group.partition.as_str(), group.account.as_str()) == (state, partition, account)
        };
        counted.iter().find(|(group, _)| is(group)).map(|(_, count)| *count)
    };
    assert_eq!(counted.values().sum::<i64>(), 24);
    assert_eq!(of("pending", "batch", "none"), Some(1));
    assert_eq!(of("pending", "batch", "chem"), Some(9));
    assert_eq!(of("pending", "batch", "bio"), Some(5), "batch,gpu counts once, as batch");
    assert_eq!(of("running", "gpu", "ml"), Some(2));
    for (record, error) in [
        ("RUNNING\u{1f}batch", "lists a job that is not of state, partition and account: \"RUNNING batch\""),
        (
            "RUNNING\u{1f}batch\u{1f}a\u{1f}b",
            "lists a job that is not of state, partition and account: \"RUNNING batch a b\"",
        ),
        ("RUNNING\u{1f}\u{1f}a", "lists a job without state or partition: \"RUNNING  a\""),
        ("\u{1f}batch\u{1f}a", "lists a job without state or partition: \" batch a\""),
    ] {
        assert_eq!(jobs(&[record]).unwrap_err(), error);
    }
    let many: Vec<_> = (0..50_001).map(|at| format!("R\u{1f}p\u{1f}{at}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert!(jobs(&many).unwrap_err().starts_with("lists jobs in over 50000 groups"));
}

#[test]
fn an_empty_queue_counts_only_if_the_scheduler_does_not_contradict() {
    let mut memory = Memory { jobs_asked: Some(0), ..Memory::default() };
    let diag = |text: &str| diag::parse(text).unwrap();
    let (busy, empty) = (diag(recorded!("22.05/busy.sdiag")), diag(recorded!("22.05/empty.sdiag")));
    let mut confirm =
        |diag: Option<&Diag>| super::confirm(Jobs::new(), diag, &mut memory).map_err(|failure| failure.to_string());
    assert_eq!(confirm(Some(&empty)), Ok(Some(Jobs::new())));
    assert_eq!(confirm(Some(&busy)), Ok(None), "sdiag may be half a minute old");
    assert_eq!(confirm(Some(&empty)), Ok(Some(Jobs::new())));
    assert_eq!(confirm(Some(&busy)), Ok(None));
    let hidden = confirm(Some(&busy)).unwrap_err();
    assert!(hidden.starts_with("squeue lists no job, and slurmctld counts 23; PrivateData"), "{hidden}");
    assert_eq!(confirm(None).unwrap_err(), "squeue lists no job, which only sdiag can confirm");
}

#[test]
fn the_failures_of_slurms_commands_are_told_apart_by_what_they_print() {
    let said = |text: &str| explain(text, Duration::from_secs(5)).map(|failure| failure.to_string());
    for (text, expected) in [
        (
            "slurm_get_statistics: Unable to contact slurm controller (connect failure)",
            "slurmctld is down, or cannot be reached: \"slurm_get_statistics: Unable to contact slurm controller (connect failure)\"",
        ),
        (
            "slurm_load_jobs error: Socket timed out on send/recv operation",
            "slurmctld gave no answer in 5.0 s; it is stopped, hung or overloaded, or a firewall drops what is sent",
        ),
        (
            "sinfo: error: s_p_parse_file: cannot stat file /x.conf: No such file or directory, retrying in 1sec up to 60sec",
            "Slurm's commands find no config: \"sinfo: error: s_p_parse_file: cannot stat file /x.conf: No such file or directory, \
             retrying in 1sec up to 60sec\"; is slurm.conf there, or SLURM_CONF set?",
        ),
    ] {
        assert_eq!(said(text).as_deref(), Some(expected));
    }
    assert_eq!(said("sinfo: error: Invalid job format specification: NoSuchField"), None);
}
