//! Jobs of every kind in a pool.

use serde_json::{Value, json};

use super::{Pool, SCHEDDS};

/// One kind of jobs that [`Pool::submit_odd_jobs`] has queued.
#[derive(Clone, Debug, PartialEq)]
pub struct OddJobs {
    /// Name of the schedd that has them.
    pub schedd: &'static str,
    /// Their cluster there.
    pub cluster: u32,
    /// `JobStatus`: 1 idle, 2 running, 3 removed, 4 completed, 5 held.
    pub job_status: u8,
    /// How many there are.
    pub jobs: usize,
    /// `TargetClouds` as condor_q prints it in JSON: absent, null, a string, a number or a list.
    pub target_clouds: Option<Value>,
    /// `AccountingGroup`, where they have one.
    pub accounting_group: Option<&'static str>,
}

impl Pool {
    /// Queues jobs in every state, with every type that TargetClouds was seen to have, at both schedds, and waits until
    /// they have reached their state; gives what is in the queues then, one entry per kind of job.
    pub fn submit_odd_jobs(&self) -> Vec<OddJobs> {
        let [first, second] = SCHEDDS;
        let atlas = Some("group_mcore.atlas");
        let kinds = [
            (first, "alice", "running", 3, Some(json!("IAAS")), atlas),
            (first, "bob", "running", 1, None, None),
            (first, "alice", "idle", 4, Some(json!("CERN,IAAS")), Some("group_analy.long.anna")),
            (first, "alice", "idle", 1, Some(json!(["CERN", "IAAS"])), atlas),
            (first, "bob", "idle", 1, Some(json!(42)), None),
            (first, "bob", "idle", 1, Some(json!("žluťoučký 😀")), None),
            (first, "alice", "held", 2, Some(Value::Null), None),
            (first, "alice", "completed", 2, Some(json!("IAAS")), None),
            (first, "bob", "removed", 1, Some(json!("IAAS")), None),
            (second, "bob", "idle", 2, Some(json!("CERN")), Some("group_score.bob")),
            (second, "alice", "running", 1, Some(json!("IAAS")), atlas),
            (second, "pilot", "held", 1, None, None),
        ];
        let mut odd_jobs = Vec::new();
        for (schedd, user, state, jobs, target_clouds, accounting_group) in kinds {
            let mut text =
                String::from("request_cpus = 1\nrequest_memory = 100\nrequest_disk = 100\narguments = 3600\n");
            // `completed` and `removed` jobs stay in the queue only when they are told to.
            text += match state {
                "running" => "executable = /bin/sleep\n",
                "held" => "executable = /bin/sleep\nhold = true\n",
                "completed" => "executable = /bin/true\nleave_in_queue = true\n",
                "removed" => "executable = /bin/sleep\nrequirements = false\nleave_in_queue = true\n",
                _ => "executable = /bin/sleep\nrequirements = false\n",
            };
            if let Some((group, owner)) = accounting_group.and_then(|name: &str| name.rsplit_once('.')) {
                text += &format!("accounting_group = {group}\naccounting_group_user = {owner}\n");
            }
            match &target_clouds {
                None => {}
                Some(Value::Null) => text += "+TargetClouds = undefined\n",
                Some(Value::Array(clouds)) => text += &format!("+TargetClouds = {{{}, {}}}\n", clouds[0], clouds[1]),
                Some(value) => text += &format!("+TargetClouds = {value}\n"),
            }
            let cluster = self.submit(schedd, user, &format!("{text}queue {jobs}\n"));
            if state == "removed" {
                self.condor_as(user, &["condor_rm", "-name", schedd, &cluster.to_string()], "");
            }
            let job_status = match state {
                "idle" => 1,
                "running" => 2,
                "removed" => 3,
                "completed" => 4,
                _ => 5,
            };
            odd_jobs.push(OddJobs { schedd, cluster, job_status, jobs, target_clouds, accounting_group });
        }
        for schedd in SCHEDDS {
            self.wait_until("the odd jobs to reach their states", || {
                let queue = self.jobs(schedd, "ClusterId,JobStatus");
                let reached = |kind: &OddJobs| {
                    let here = queue
                        .iter()
                        .filter(|job| job["ClusterId"] == kind.cluster && job["JobStatus"] == kind.job_status);
                    here.count() == kind.jobs
                };
                odd_jobs.iter().filter(|kind| kind.schedd == schedd).all(reached).then_some(())
            });
        }
        odd_jobs
    }
}
