//! `condor_q`, `condor_status` and `cloud_status` as HTCondor 23.9 and Cloud Scheduler 1.13 answer `collect-grid`. The
//! format of the answers and the error messages were recorded from them; the numbers come from the simulated grid.

use serde_json::{Map, Value, json};

use crate::grid::{Cloud, Grid, POOL, Schedd, State, Vm};

/// The commands that it stands in for.
pub const PROGRAMS: [&str; 3] = ["condor_q", "condor_status", "cloud_status"];

/// The output and the exit code of a program.
#[derive(Debug, Default, PartialEq)]
pub struct Answer {
    pub stdout: String,
    pub stderr: String,
    pub code: u8,
}

impl Answer {
    fn success(stdout: String) -> Self {
        Self { stdout, ..Self::default() }
    }

    fn failure(stderr: String) -> Self {
        Self { stderr, code: 1, ..Self::default() }
    }
}

/// Returns the answer of `program` to `arguments`.
pub fn answer(program: &str, arguments: &[String], grid: &Grid) -> Answer {
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let of = |flag: &str| arguments.iter().skip_while(|argument| *argument != flag).nth(1).map(String::as_str);
    let attributes: Vec<_> = of("-attributes").unwrap_or_default().split(',').collect();
    match program {
        "cloud_status" => cloud_status(grid),
        _ if !has("-json") || attributes == [""] => {
            Answer::failure(format!("{program}: this is the demo's stand-in, which knows -json -attributes … alone\n"))
        }
        "condor_status" => {
            let kind = |flags: &[&str]| flags.iter().any(|flag| has(flag));
            let ads = match () {
                () if kind(&["-schedd"]) => grid.schedds.iter().map(schedd_ad).collect(),
                () if kind(&["-negotiator"]) => {
                    vec![json!({"Name": POOL, "LastNegotiationCycleDuration0": grid.cycle_seconds()})]
                }
                () if kind(&["-collector"]) => vec![json!({"Name": POOL, "UpdatesLostRatio": grid.updates_lost()})],
                () => slot_ads(grid),
            };
            Answer::success(array(&ads, &attributes))
        }
        _ => match grid.schedds.iter().find(|schedd| Some(schedd.name) == of("-name")) {
            None => Answer::failure("Error: Collector has no record of schedd/submitter\n".into()),
            Some(schedd) if !schedd.answers => {
                let address = "<192.0.2.2:9618>";
                let name = schedd.name;
                Answer::failure(format!(
                    "\n-- Failed to fetch ads from: {address} : {name}\nCEDAR:6001:Failed to connect to {address}\n"
                ))
            }
            Some(schedd) => {
                let ads = if has("-group-by") { group_ads(schedd) } else { job_ads(schedd) };
                let attributes: Vec<_> = match has("-group-by") {
                    true => attributes.into_iter().chain(["Id", "JobCount", "JobIds"]).collect(),
                    false => attributes,
                };
                Answer::success(array(&ads, &attributes))
            }
        },
    }
}

/// Formats ads with these attributes as HTCondor's tools print them; empty if there are none.
fn array(ads: &[Value], attributes: &[&str]) -> String {
    let wanted = |ad: &Value| -> String {
        let ad = ad.as_object().into_iter().flatten();
        let ad = ad.filter(|(name, _)| attributes.iter().any(|wanted| wanted.eq_ignore_ascii_case(name)));
        let ad: Map<_, _> = ad.map(|(name, value)| (name.clone(), value.clone())).collect();
        format!("{:#}\n", Value::Object(ad))
    };
    let ads: Vec<_> = ads.iter().map(wanted).collect();
    if ads.is_empty() { String::new() } else { format!("[\n{}]\n", ads.join(",\n")) }
}

fn schedd_ad(schedd: &Schedd) -> Value {
    json!({"Name": schedd.name, "RecentDaemonCoreDutyCycle": schedd.duty_cycle, "MaxJobsRunning": 500, "JobsUnmaterialized": 0})
}

/// Returns the slots of the machines whose startd is in the pool: a partitionable one each, and a dynamic one for each
/// job.
fn slot_ads(grid: &Grid) -> Vec<Value> {
    let mut ads = Vec::new();
    for vm in grid.vms().filter(|vm| matches!(vm.state, State::Running | State::Retiring)) {
        let slot = |slot_type: &str, name: String| {
            let (machine, kflops) = (format!("{}.example.org", vm.hostname), vm.mips * 75);
            json!({"Name": format!("{name}@{machine}"), "Machine": machine, "SlotType": slot_type,
                (format!("{slot_type}Slot")): true, "Mips": vm.mips, "KFlops": kflops})
        };
        ads.push(slot("Partitionable", "slot1".into()));
        ads.extend((1..=vm.busy).map(|number| slot("Dynamic", format!("slot1_{number}"))));
    }
    ads
}

fn job_ad((kind, status): (&crate::grid::Kind, i64)) -> Map<String, Value> {
    let mut ad = Map::from_iter([
        ("JobStatus".to_string(), json!(status)),
        ("JobUniverse".to_string(), json!(5)),
        ("TargetClouds".to_string(), json!(kind.target_clouds)),
    ]);
    ad.extend(kind.group.map(|group| ("AccountingGroup".to_string(), json!(group))));
    ad
}

fn group_ads(schedd: &Schedd) -> Vec<Value> {
    let groups = schedd.jobs.iter().zip(1..);
    let ads = groups.map(|(&(kind, status, count), id)| {
        let mut ad = job_ad((kind, status));
        let ids = if count == 1 { format!("{id}.0") } else { format!("{id}.0 ... {id}.{}", count - 1) };
        ad.extend([("Id".into(), json!(id)), ("JobCount".into(), json!(count)), ("JobIds".into(), json!(ids))]);
        Value::Object(ad)
    });
    ads.collect()
}

fn job_ads(schedd: &Schedd) -> Vec<Value> {
    let each = |&(kind, status, count): &(_, i64, i64)| (0..count).map(move |_| Value::Object(job_ad((kind, status))));
    schedd.jobs.iter().flat_map(each).collect()
}

fn cloud_status(grid: &Grid) -> Answer {
    if !grid.cloud_scheduler_answers {
        // The original prints this error on standard output.
        let words = "couldn't connect to cloud scheduler at csv1.grid.example.org on port 8111.";
        let stdout = format!("{}: {words}\nIs the cloud scheduler running on port 8111?\n", PROGRAMS[2]);
        return Answer { stdout, code: 1, ..Answer::default() };
    }
    let resources: Vec<_> = grid.clouds.iter().map(resource).collect();
    Answer::success(format!("{}\n", json!({ "resources": resources })))
}

fn resource(cloud: &Cloud) -> Value {
    let vms: Vec<_> = cloud.vms.iter().map(vm_record).collect();
    json!({"name": cloud.name, "cloud_type": "OpenStackNative", "enabled": cloud.enabled, "max_slots": cloud.quota, "vms": vms})
}

fn vm_record(vm: &Vm) -> Value {
    let (status, override_status) = match vm.state {
        State::Starting => ("Starting", None),
        State::Running => ("Running", None),
        State::Retiring => ("Running", Some("Retiring")),
        State::Shutdown => ("Shutdown", None),
        State::Error => ("Error", None),
    };
    json!({
        "hostname": vm.hostname,
        "vmtype": vm.vmtype,
        "status": status,
        "override_status": override_status,
        "cpucores": 8,
        "alt_hostname": null,
    })
}

#[cfg(test)]
mod tests {
    use gridmon::sources::cloud_scheduler;
    use gridmon::sources::htcondor::{Rules, parse_jobs, parse_slots};

    use super::*;

    const MINUTE: i64 = 29_000_000;

    fn output_of(program: &str, arguments: &str, grid: &Grid) -> String {
        let answer = answer(program, &arguments.split(' ').map(String::from).collect::<Vec<_>>(), grid);
        assert_eq!((answer.code, answer.stderr.as_str()), (0, ""), "{program} {arguments}");
        answer.stdout
    }

    #[test]
    fn the_sources_read_what_the_grid_has() {
        for minute in (MINUTE..MINUTE + 1440).step_by(17) {
            let mut grid = Grid::at(minute);
            grid.cloud_scheduler_answers = true;
            let slots = output_of("condor_status", "-pool x -json -attributes Name,Mips,KFlops", &grid);
            let slots = parse_slots(slots.as_bytes()).unwrap();
            let busy: usize = grid.vms().map(|vm| vm.busy).sum();
            assert_eq!(slots.hosts.values().flat_map(|host| host.slots.values()).sum::<i64>(), busy as i64);

            let rules = Rules::default();
            let mut running = 0;
            for schedd in &mut grid.schedds {
                schedd.answers = true;
            }
            for schedd in &grid.schedds {
                let asked = format!(
                    "-pool x -name {} -allusers -attributes JobStatus,TargetClouds,AccountingGroup -json",
                    schedd.name
                );
                let dump = parse_jobs(output_of("condor_q", &asked, &grid).as_bytes(), &rules).unwrap();
                let grouped = output_of("condor_q", &asked.replace("-attributes", "-group-by -attributes"), &grid);
                assert_eq!(parse_jobs(grouped.as_bytes(), &rules).unwrap(), dump);
                running += dump.iter().filter(|(group, _)| group.status == Some(2)).map(|(_, jobs)| jobs).sum::<i64>();
            }
            assert_eq!(running, busy as i64);

            let clouds = match cloud_scheduler::parse(output_of("cloud_status", "-aj", &grid).as_bytes()) {
                Ok(cloud_scheduler::Answer::One(clouds)) => clouds,
                other => panic!("{other:?}"),
            };
            for (cloud, seen) in grid.clouds.iter().zip(clouds) {
                assert_eq!(seen.name.as_deref(), Some(cloud.name));
                assert_eq!((seen.enabled, seen.max_slots), (Some(cloud.enabled), Some(cloud.quota as i64)));
                let hosts: Vec<_> = seen.vms.into_iter().filter_map(|vm| vm.hostname).collect();
                assert_eq!(hosts, cloud.vms.iter().map(|vm| vm.hostname.clone()).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn the_form_and_the_words_are_those_that_were_recorded() {
        let mut grid = Grid::at(MINUTE);
        let name = grid.schedds[0].name;
        let asked =
            format!("-name {name} -allusers -group-by -attributes JobStatus,TargetClouds,AccountingGroup -json");
        let recorded = include_str!("../tests/fixtures/htcondor/q_groupby_name.out");
        let first = |text: &str| -> Vec<String> {
            let lines = text.lines().take_while(|line| !line.starts_with('}'));
            lines.map(|line| line.split(':').next().unwrap_or_default().to_string()).collect()
        };
        let printed = output_of("condor_q", &asked, &grid);
        assert_eq!(first(&printed), first(recorded));
        assert!(printed.contains("\n}\n,\n{\n") && recorded.contains("\n}\n,\n{\n"));

        grid.schedds[0].answers = false;
        let arguments: Vec<_> = asked.split(' ').map(String::from).collect();
        let recorded = include_str!("../tests/fixtures/htcondor/fail_schedd_dead_name.err");
        let recorded = recorded.replace("<127.0.0.1:9997>", "<192.0.2.2:9618>").replace("ce01.lab.test", name);
        assert_eq!(answer("condor_q", &arguments, &grid).stderr, recorded);

        grid.cloud_scheduler_answers = false;
        let recorded = include_str!("../tests/fixtures/cloud_monitor/cloud_status_down.txt");
        let recorded = recorded.replace("/usr/local/bin/", "").replace("csv1.example.org", "csv1.grid.example.org");
        assert_eq!(answer("cloud_status", &[], &grid), Answer { stdout: recorded, code: 1, ..Answer::default() });
    }
}
