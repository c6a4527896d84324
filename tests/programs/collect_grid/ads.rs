//! What the ads of HTCondor mean: which slot is dynamic, which job waits for a slot.

use super::*;

/// A sandbox with the running machines `wn1` and `wn2` on cloud `cc`, and these slots.
fn two_machines(slots: &str) -> Sandbox {
    let sandbox = Sandbox::new("small");
    let vm = |host: &str| format!(r#"{{"hostname": "{host}", "vmtype": "w", "status": "Running"}}"#);
    let vms = [vm("wn1.x.org"), vm("wn2.x.org")].join(",");
    let cloud = format!(r#"{{"name": "cc", "enabled": true, "max_slots": 9, "vms": [{vms}]}}"#);
    sandbox.write("clouds.json", format!(r#"{{"resources": [{cloud}]}}"#));
    sandbox.program("cloud_status", "cat clouds.json");
    sandbox.write("slots.json", slots);
    sandbox.schedds(&["ce01.example.org"], "slots.json");
    sandbox
}

#[test]
fn a_slot_is_dynamic_if_its_ad_says_so_whatever_its_name() {
    let static_and_partitionable = [
        r#"{"Name": "gpu_slot1@wn1.x.org", "SlotType": "Partitionable", "PartitionableSlot": true, "Mips": 100}"#,
        r#"{"Name": "cpu_slot2@wn1.x.org", "SlotType": "Static", "Mips": 100}"#,
        r#"{"Name": "old_slot3@wn1.x.org", "PartitionableSlot": "true", "Mips": 100}"#,
    ];
    let dynamic = [
        r#"{"Name": "gpu_slot1_1@wn2.x.org", "Machine": "wn2.x.org", "SlotType": "Dynamic", "DynamicSlot": true, "Mips": 7}"#,
        r#"{"Name": "slot9@glidein@x", "Machine": "wn2.x.org", "DynamicSlot": 1, "Mips": 20}"#,
        // An ad without any of the attributes, and without Machine.
        r#"{"Name": "slot1_2@WN2.x.org", "Mips": 300}"#,
    ];
    let sandbox = two_machines(&format!(
        "[{}]",
        static_and_partitionable.into_iter().chain(dynamic).collect::<Vec<_>>().join(",")
    ));
    let outcome = sandbox.dry_run();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    let lines = by_path(&outcome.stdout);
    for (path, value) in [
        ("clouds.cc.idle.w", "1"),
        ("clouds.cc.idle.total", "1"),
        ("clouds.cc.mips", "327"),
        ("clouds.cc.slots.w.gpu_slot1_1", "1"),
        ("clouds.cc.slots.w.slot9", "1"),
        ("clouds.cc.slots.w.slot1_2", "1"),
        ("pools.local.slots", "6"),
    ] {
        assert_eq!(lines.get(format!("grids.heprc.{path}").as_str()), Some(&&*format!("{value} {NOW}")), "{path}");
    }
    assert_eq!(outcome.lines_with(".slots.").len(), 3);
}

#[test]
fn machines_that_are_named_by_address_are_not_taken_for_one() {
    let sandbox = two_machines(r#"[{"Name": "slot1_1@10.0.0.1", "Machine": "10.0.0.1", "SlotType": "Dynamic"}]"#);
    let clouds = std::fs::read_to_string(sandbox.path("clouds.json")).unwrap();
    sandbox.write("clouds.json", clouds.replace("wn1.x.org", "10.0.0.1").replace("wn2.x.org", "10.0.0.2"));
    assert_eq!(sandbox.dry_run().lines_with("idle.total"), [format!("grids.heprc.clouds.cc.idle.total 1 {NOW}")]);
}
