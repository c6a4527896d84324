//! What a person asks of the down-samplers: days of which hours are missing, the deletion of a window, the arithmetic of a day.

use std::os::unix::process::ExitStatusExt;

use gridmon_testkit::sandbox::tracer::may_trace;

use super::*;

impl Queues {
    /// The points of a tier as lines, with the parts of each value, but those of the runs.
    fn with_parts(&self, tier: &str) -> Vec<String> {
        let outcome = self.run("gridmon-status", &["store", "export", "--tier", tier, "--parts"], D);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        let mut lines: Vec<_> = outcome.stdout.lines().filter(|line| line.contains('=')).map(String::from).collect();
        lines.retain(|line| !line.starts_with(['#', 'C']) && !line.starts_with("run,"));
        lines.sort();
        lines
    }

    /// Says that late points have come into an hour, as a sink does.
    fn mark(&self, hour: i64) {
        fs::write(self.0.path(&format!("state/windows/1h.embedded.{}.dirty", D + hour)), "").unwrap();
    }
}

/// More than PanDA's jobs: a count with two collectors of their own scope, a gauge, and what nobody declares.
fn others(slot: i64) -> Vec<String> {
    let time = (D + slot) * SECOND;
    let step = slot / 600;
    let mut lines = vec![
        format!("coverage,grid=heprc,measurement=grid_jobs slots=1i,step_seconds=600i {time}"),
        format!("grid_cloud,cloud=c,grid=heprc quota={step}i {time}"),
        format!("weather,site=a temperature={step}.5,visits={step}i {time}"),
    ];
    if step % 3 > 0 {
        lines.push(format!("grid_jobs,grid=heprc,status=idle,type=all jobs={step}i {time}"));
    }
    for cluster in ["one", "two"].into_iter().filter(|cluster| *cluster == "one" || step % 4 == 0) {
        lines.push(format!("scope_coverage,grid=heprc,measurement=slurm_jobs,scope=cluster\\={cluster} slots=1i,step_seconds=600i {time}"));
        lines.push(format!("slurm_jobs,cluster={cluster},state=RUNNING jobs={step}i {time}"));
    }
    lines
}

/// The points that a dry run shows, sorted.
fn shown(queues: &Queues, name: &str, more: &[&str], now: i64) -> Vec<String> {
    let outcome = queues.run(name, &[&["--dry-run", "--format", "influx"], more].concat(), now);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    let mut lines: Vec<_> = outcome.stdout.lines().map(String::from).collect();
    lines.sort();
    lines
}

#[test]
fn a_dry_run_of_days_shows_what_a_run_writes_although_its_hours_are_missing() {
    let queues = Queues::new();
    (0..5).map(|step| others(step * 1200)).for_each(|lines| queues.store(&lines));
    let now = D + DAY + 360;
    // No hour is folded yet.
    let days = shown(&queues, "downsample-1d", &[], now);
    assert!(!queues.path().with_file_name("windows").exists(), "a dry run writes nothing");
    assert!(days.iter().any(|line| line.contains("measurement=jobs slots=15i")), "{days:?}");
    queues.fold("downsample-1d", now);
    assert_eq!(days, queues.tier("1d"));
    assert_eq!(shown(&queues, "downsample-1d", &[], now), Vec::<String>::new(), "nothing is left to fold");

    // Late points in one of its hours: the others are stored.
    let late: Vec<_> = Queues::slot(HOUR + 2400, 900).into_iter().chain(others(HOUR + 2400)).collect();
    queues.store(&late);
    queues.mark(2 * HOUR);
    let days = shown(&queues, "downsample-1d", &[], now);
    let before = queues.tier("1d");
    queues.fold("downsample-1d", now);
    assert_ne!(before, queues.tier("1d"));
    assert_eq!(days, queues.tier("1d"));

    // An hour that a person has deleted is folded by --from alone.
    let parts = queues.with_parts("1d");
    let label = (D + 2 * HOUR).to_string();
    assert_eq!(queues.run("downsample-1h", &["--delete-window", &label, "--yes"], now).code, Some(0));
    let shorter = shown(&queues, "downsample-1d", &[], now);
    queues.fold("downsample-1d", now);
    assert_eq!(shorter, queues.tier("1d"));
    assert_ne!(shorter, days);
    let from = ["--from", &D.to_string()];
    assert_eq!(shown(&queues, "downsample-1d", &from, now), days);
    assert_eq!(queues.run("downsample-1d", &from, now).code, Some(0));
    assert_eq!(queues.with_parts("1d"), parts);
}

/// Days of every kind of measurement: `--explain` folds them from their hours as the run does.
#[test]
fn a_day_is_explained_with_the_sums_of_its_hours() {
    let queues = Queues::new();
    (0..5).map(|step| others(step * 1200)).for_each(|lines| queues.store(&lines));
    // A mean that is not that of the hours' means: one value in an hour, six in another.
    queues.store(&[Queues::slot(0, 10)[1].replace("corepower=10.0", "corepower=40.0")]);
    queues.fold("downsample-1d", D + DAY + 360);
    for (series, arithmetic) in [
        ("jobs,job_status=running", "corepower = S/N = 180.0/15 = 12.0"),
        ("jobs,job_status=running", "jobs = S/N = "),
        ("jobs,job_status=finished", "jobs = S = 450.0; N = 15"),
        ("grid_jobs,status=idle", "jobs = S/N = 14/5 = 2.8; a covered slot without a point is zero"),
        ("slurm_jobs,cluster=two", "jobs = S/N = 12/3 = 4.0"),
        ("grid_cloud", "quota = last = 8"),
    ] {
        let told = queues.run("downsample-1d", &["--explain", series, &(D + DAY).to_string()], D + DAY + 360);
        assert_eq!((told.code, told.stderr.as_str()), (Some(0), ""), "{series}");
        let text = &told.stdout;
        assert!(text.contains(arithmetic) && text.contains("The same is stored at its label."), "{series}: {text}");
        assert!(!text.contains("_least"), "{series}: {text}");
    }
}

/// Killed between the deletion of an hour and the mark of its day, the day would keep what the hour has no more.
#[test]
fn a_deletion_that_is_killed_anywhere_leaves_no_day_with_a_deleted_hour() {
    if !may_trace("a_deletion_that_is_killed_anywhere_leaves_no_day_with_a_deleted_hour") {
        return;
    }
    let queues = Queues::new();
    let now = D + DAY + 360;
    queues.fold("downsample-1d", now);
    let label = (D + 2 * HOUR).to_string();
    let (mut killed, mut deleted) = (0, 0);
    for call in ["openat", "pwrite64", "fsync", "fdatasync", "rename", "unlink", "flock"] {
        for count in 1.. {
            let restored = queues.run("downsample-1d", &["--from", &D.to_string()], now);
            assert_eq!(restored.code, Some(0), "{}", restored.stderr);
            assert_eq!(queues.value("1d", "finished", "jobs", D + DAY), Some(450.0));
            let plain = queues.command("downsample-1h", &["--delete-window", &label, "--yes"], now);
            let mut command = Command::new("strace");
            let inject = format!("inject={call}:signal=KILL:when={count}");
            command.args(["-f", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject]);
            command.arg(plain.get_program()).args(plain.get_args()).current_dir(queues.0.path("")).env_clear();
            let status = command.env("PATH", "/usr/bin:/bin").stdin(Stdio::null()).output().unwrap().status;
            queues.fold("downsample-1d", now);
            let is_deleted = queues.value("1h", "finished", "jobs", D + 2 * HOUR).is_none();
            let expected = if is_deleted { 360.0 } else { 450.0 };
            assert_eq!(queues.value("1d", "finished", "jobs", D + DAY), Some(expected), "{call} {count}: {is_deleted}");
            if status.signal() != Some(9) && status.code() != Some(137) {
                break;
            }
            killed += 1;
            deleted += usize::from(is_deleted);
        }
    }
    assert!(killed > 20 && deleted > 0, "{killed} kills, {deleted} after the deletion");
}
