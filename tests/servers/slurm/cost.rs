//! What each question of collect-slurm costs a real Slurm: prints the figures of docs/performance.md.

use std::time::{Duration, Instant};

use gridmon_testkit::{Slurm, skip};

/// The nodes that nobody runs, beside the four of the cluster.
const DOWN: usize = 9_996;

/// The median of this many answers counts.
const TURNS: usize = 9;

fn median(slurm: &Slurm, command: &[&str]) -> Duration {
    let mut took: Vec<_> = (0..TURNS)
        .map(|_| {
            let began = Instant::now();
            slurm.must(command);
            began.elapsed()
        })
        .collect();
    took.sort();
    took[TURNS / 2]
}

/// With 10,000 nodes and 10,000 jobs, of which 500 are records of their own and the others tasks of an array, each command takes a part
/// of the time that it has.
#[test]
#[ignore = "a minute; make test-all runs it"]
fn each_question_costs_slurm_little() {
    // Nobody listens at these ports.
    let address = format!("NodeHostname=ctl01 NodeAddr=127.0.0.1 Port={}-{}", 40_000 - DOWN, 39_999);
    let nodes = format!("NodeName=x[1-{DOWN}] {address} CPUs=16 RealMemory=64000 State=DOWN");
    let lines = [nodes, format!("PartitionName=gone Nodes=x[1-{DOWN}] State=UP")];
    let Some(slurm) = Slurm::start(&[lines[0].as_str(), lines[1].as_str()]) else {
        return skip("each_question_costs_slurm_little", "Slurm 22.05, as root");
    };
    slurm.must(&["as", "alice", "sbatch", "-o", "/dev/null", "--hold", "--array=0-9499", "--wrap", "true"]);
    let script = "for i in $(seq 500); do sbatch --hold -o /dev/null --wrap true; done";
    slurm.must(&["as", "bob", "sh", "-c", script]);
    assert_eq!(slurm.must(&["squeue", "-h", "-r"]).lines().count(), 10_000);
    // As collect-slurm asks.
    for (command, what) in [
        (&["sdiag"][..], "sdiag"),
        (&["scontrol", "-a", "-o", "show", "partition"], "scontrol, partitions"),
        (&["scontrol", "-a", "-o", "-d", "show", "node"], "scontrol, 10,000 nodes"),
        (&["squeue", "-h", "-a", "-r", "-o", "%T|%P|%a|%D|%C"], "squeue, 10,000 jobs"),
    ] {
        let took = median(&slurm, command);
        println!("{what}: {:.1} ms", took.as_secs_f64() * 1000.0);
        assert!(took < Duration::from_secs(super::TIMEOUT), "{what}: {took:?}");
    }
}
