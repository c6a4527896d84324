//! When the jobs have their turn, and what is said of them in runs in which they have none.

use super::*;

#[test]
fn the_jobs_are_asked_for_at_their_own_interval_and_a_vanished_account_is_zero_once() {
    let cluster = Cluster::new("22.05", "busy");
    cluster.config("cluster = lab\njobs_interval = 120\n");
    let asked: Vec<_> = [0, 60, 120, 180]
        .map(|seconds| cluster.run(seconds))
        .into_iter()
        .map(|(run, asked)| {
            assert_eq!((run.code, run.stderr.as_str(), run.stdout.as_str()), (Some(0), "", ""));
            asked
        })
        .collect();
    assert_eq!(asked, [1, 1, 2, 2]);
    // A run that did not ask says nothing of the jobs, not even that there are none.
    let at = |seconds: i64| format!(" {}000000000", NOW + seconds);
    let of = |lines: &[String], what: &str, seconds| {
        lines.iter().filter(|line| line.starts_with(what) && line.ends_with(&at(seconds))).cloned().collect::<Vec<_>>()
    };
    let stored = cluster.stored();
    assert_eq!((of(&stored, "slurm_jobs", 60).len(), of(&stored, "slurm_jobs", 120).len()), (0, 3));
    assert_eq!(of(&stored, "slurm_nodes", 60).len(), 4);
    let ml = "slurm_account_jobs,account=ml,cluster=lab,state=running";
    assert_eq!(of(&stored, ml, 120), [format!("{ml} jobs=2i{}", at(120))]);
    // The account's jobs have ended.
    let rest: String = fs::read_to_string(file("22.05/busy.jobs"))
        .unwrap()
        .split_inclusive('\n')
        .filter(|line| !line.contains("\u{1f}ml"))
        .collect();
    let rest = cluster.sandbox.write("rest", rest);
    cluster.sandbox.program("squeue", &format!("cat {}", rest.display()));
    for seconds in [240, 300, 360] {
        assert_eq!(cluster.run(seconds).0.code, Some(0));
    }
    let stored = cluster.stored();
    assert_eq!(of(&stored, ml, 240), [format!("{ml} jobs=0i{}", at(240))]);
    assert_eq!(of(&stored, ml, 360).len(), 0);
}

#[test]
fn a_slow_question_for_the_jobs_makes_the_pause_twenty_times_as_long() {
    let cluster = Cluster::new("22.05", "busy");
    cluster.sandbox.program("squeue", "echo >> asked; exec sleep 60");
    let (run, asked) = cluster.run(0);
    assert_eq!((run.code, asked), (Some(1), 1));
    assert!(run.stderr.contains("slurm jobs: slurmctld gave no answer in 1.0 s"), "{}", run.stderr);
    assert!(run.stderr.contains("; jobs are missing"), "{}", run.stderr);
    // Twenty times a second or a little more are under half a minute: the interval of 60 s stands.
    cluster.config("cluster = lab\njobs_interval = 10\n");
    assert_eq!(cluster.run(15).1, 1);
    assert_eq!(cluster.run(60).1, 2);
    assert!(cluster.stored().iter().all(|line| !line.starts_with("slurm_jobs")));
}

/// Whether squeue works again, a run does not know that did not ask it, or that doubts its answer.
#[test]
fn the_jobs_have_not_recovered_before_their_turn() {
    let cluster = Cluster::new("22.05", "busy");
    cluster.config("cluster = lab\njobs_interval = 120\n");
    let squeue = |script: &str| cluster.sandbox.program("squeue", script);
    let said = |seconds| {
        let (Outcome { code, stderr, .. }, _) = cluster.run(seconds);
        (code, stderr)
    };
    let good = (Some(0), String::new());
    squeue("echo 'slurm_load_jobs error: Access denied' >&2; exit 1");
    let (code, first) = said(0);
    assert!(code == Some(1) && first.contains("slurm jobs: squeue ended with"), "{first}");
    squeue("exit 0");
    assert_eq!(said(60), good, "no turn");
    assert_eq!(said(120), good, "no job, though slurmctld counts some: asked again in the next run");
    squeue(&format!("cat {}", file("22.05/busy.jobs").display()));
    let recovered = "collect-slurm: slurm jobs: works again after 3 min\n".to_string();
    assert_eq!(said(180), (Some(0), recovered));
}
