//! Recorded cards, and stand-ins for nvidia-smi that hang, crawl, lie and lose a card.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use gridmon_testkit::TempDir;

use super::nvidia::Known;
use super::smi::{SmiError, classify};
use super::{Answer, Config, Gpu, Gpus, KeepRunning, amd, bus_of, mig};
use crate::config::Program;

/// A recorded answer.
macro_rules! recorded {
    ($name:literal) => {
        include_str!(concat!("../../../tests/fixtures/gpu/", $name))
    };
}

/// The columns that were asked for when the rows were recorded, in their order.
const ASKED: &str = "index,uuid,name,pci.bus_id,driver_version,persistence_mode,mig.mode.current,pstate,temperature.gpu,\
    temperature.memory,utilization.gpu,utilization.memory,memory.total,memory.used,memory.free,power.draw,enforced.power.limit,\
    clocks.sm,clocks.mem,fan.speed,ecc.errors.corrected.volatile.total,ecc.errors.uncorrected.volatile.total,retired_pages.pending,\
    remapped_rows.failure,pcie.link.gen.gpucurrent,pcie.link.width.current,clocks_event_reasons.active";

/// What `--help-query-gpu` prints of these columns.
fn help(columns: &str) -> String {
    let column = |name: &str| match name {
        "pci.bus_id" => {
            "\"pci.bus_id\" or \"gpu_bus_id\"\nPCI bus id as \"domain:bus:device.function\", in hex.\n\n".to_string()
        }
        _ => format!("\"{name}\"\nWhat it tells.\n\n"),
    };
    let columns: String = columns.split(',').map(column).collect();
    format!("List of valid properties to query for the switch \"--query-gpu\":\n\n{columns}")
}

fn card(row: &str) -> Gpu {
    Known::all().parse(row.trim()).unwrap().0
}

fn values(gpu: &Gpu, names: &[&'static str]) -> Vec<Option<f64>> {
    names.iter().map(|name| gpu.values.get(name).copied()).collect()
}

#[test]
fn recorded_cards_tell_their_numbers_in_base_units_and_no_zero_for_what_they_lack() {
    let h100 = card(recorded!("nvidia/h100-80gb-hbm3__590.48.01.load.csv"));
    assert_eq!(
        (h100.bus.as_str(), h100.name.as_str(), h100.driver.as_str()),
        ("0000:00:09.0", "NVIDIA H100 80GB HBM3", "590.48.01")
    );
    let expected: BTreeMap<_, _> = [
        ("persistence", 1.0),
        ("mig", 0.0),
        ("performance_state", 0.0),
        ("temperature_celsius", 59.0),
        ("memory_temperature_celsius", 54.0),
        ("utilization_ratio", 1.0),
        ("memory_utilization_ratio", 0.11),
        ("memory_total_bytes", 81_559.0 * 1_048_576.0),
        ("memory_used_bytes", 19_818.0 * 1_048_576.0),
        ("memory_free_bytes", 61_263.0 * 1_048_576.0),
        ("power_watts", 631.95),
        ("power_limit_watts", 700.0),
        ("sm_clock_hertz", 1.98e9),
        ("memory_clock_hertz", 2.619e9),
        ("ecc_corrected_errors", 0.0),
        ("ecc_uncorrected_errors", 0.0),
        ("remapped_rows_failure", 0.0),
        ("pcie_generation", 5.0),
        ("pcie_width", 16.0),
        ("power_capped", 0.0),
        ("hardware_slowed", 0.0),
        ("thermally_slowed", 0.0),
    ]
    .into();
    assert_eq!(h100.values, expected, "fan and retired pages are [N/A]");
    let mig = card(recorded!("nvidia/h100-mig__590.48.01.load.csv"));
    assert_eq!(values(&mig, &["mig", "utilization_ratio", "power_watts"]), [Some(1.0), None, Some(433.78)]);
    let rtx = card(recorded!("nvidia/geforce-rtx-2080-super__610.57.04.idle.csv"));
    let names =
        ["fan_ratio", "memory_temperature_celsius", "mig", "ecc_corrected_errors", "performance_state", "power_capped"];
    assert_eq!(values(&rtx, &names), [Some(0.38), None, None, None, Some(8.0), Some(0.0)]);
    let l40s = card(recorded!("nvidia/l40s__595.80.idle.csv"));
    assert_eq!(values(&l40s, &["utilization_ratio", "memory_total_bytes"]), [Some(1.0), Some(46_068.0 * 1_048_576.0)]);
    for row in [
        recorded!("nvidia/geforce-rtx-4080-super__595.71.05.load.csv"),
        recorded!("nvidia/h200-mig__590.48.01.idle.csv"),
        recorded!("nvidia/h200__590.48.01.load.csv"),
        recorded!("nvidia/l40s__595.80.load.csv"),
    ] {
        let card = card(row);
        assert!(card.values.len() > 12 && card.bus.starts_with("0000:"), "{card:?}");
        assert!(card.values.iter().all(|(name, value)| *value >= 0.0 && (!name.ends_with("_ratio") || *value <= 1.0)));
    }
}

#[test]
fn a_sick_card_tells_what_it_can_and_the_healthy_ones_everything() {
    let known = Known::all();
    let rows: Vec<_> =
        recorded!("failures/one_card_sick.asked.csv").lines().map(|row| known.parse(row).unwrap()).collect();
    assert_eq!(rows.iter().map(|(_, excuse)| *excuse).collect::<Vec<_>>(), [None, Some("GPU is lost"), None]);
    let sick = &rows[1].0;
    let names = [
        "utilization_ratio",
        "temperature_celsius",
        "memory_used_bytes",
        "ecc_corrected_errors",
        "power_capped",
        "performance_state",
    ];
    assert_eq!(values(sick, &names), [None; 6]);
    assert_eq!(
        values(sick, &["memory_total_bytes", "power_limit_watts", "retired_pages_pending", "remapped_rows_failure"]),
        [Some(40_960.0 * 1_048_576.0), Some(400.0), Some(1.0), Some(1.0)]
    );
    assert_eq!(
        values(&rows[2].0, &["utilization_ratio", "ecc_corrected_errors", "power_capped"]),
        [Some(1.0), Some(3.0), Some(1.0)]
    );
    for row in ["", "No devices were found", "0, GPU-1, a", &"a, ".repeat(40), &", ".repeat(26)] {
        assert_eq!(known.parse(row), None, "{row}");
    }
}

#[test]
fn every_failure_is_told_by_its_exit_code_or_text() {
    let told = |code, text: &str| classify(Some(code), text.trim());
    assert_eq!(told(2, recorded!("failures/bad_field.out")), SmiError::Column("device_minor".into()));
    for (code, text) in [
        (6, recorded!("failures/no_devices.out")),
        (9, recorded!("failures/driver_not_loaded.out")),
        (12, recorded!("failures/no_library.out")),
        (18, recorded!("failures/version_mismatch.out")),
        (255, recorded!("failures/container_lost_device.out")),
    ] {
        assert_eq!(told(code, text), SmiError::NoDriver(code, text.trim().into()));
    }
    for (code, text) in
        [(15, recorded!("failures/gpu_lost.out")), (255, recorded!("failures/gpu_handle_unknown_error.out"))]
    {
        assert_eq!(told(code, text), SmiError::Lost(text.trim().into()));
    }
    let all = [6, 9, 12, 18, 255].map(|code| SmiError::NoDriver(code, "x".into()).explain("nvidia-smi"));
    assert!(all.iter().enumerate().all(|(at, text)| all.iter().skip(at + 1).all(|other| other != text)), "{all:?}");
}

#[test]
fn columns_go_by_the_name_that_the_driver_knows() {
    let known = Known::read(&help(
        &ASKED.replace("clocks_event_reasons", "clocks_throttle_reasons").replace("retired_pages.pending,", ""),
    ));
    let row = recorded!("nvidia/h100-80gb-hbm3__590.48.01.load.csv").trim();
    let cells: Vec<_> = row.split(", ").enumerate().filter(|(at, _)| *at != 22).map(|(_, cell)| cell).collect();
    let card = known.parse(&cells.join(", ")).unwrap().0;
    assert_eq!(values(&card, &["power_capped", "pcie_width", "utilization_ratio"]), [Some(0.0), Some(16.0), Some(1.0)]);
    assert_eq!(Known::read(&help(ASKED)), Known::all());
    assert_eq!(bus_of("00000000:0C:00.0"), "0000:0c:00.0");
    assert_eq!(bus_of("00010000:0C:00.0"), "00010000:0c:00.0");
}

#[test]
fn slices_are_told_by_their_instances_with_profile_and_uuid() {
    let cards = mig::parse(recorded!("nvidia/a100-sxm4-v12.xml")).unwrap();
    let slices = &cards["0000:01:00.0"];
    assert_eq!(
        slices.iter().map(|slice| slice.name.as_str()).collect::<Vec<_>>(),
        ["gi3-ci0", "gi4-ci0", "gi5-ci0", "gi6-ci0"]
    );
    assert_eq!(
        slices[0].values,
        BTreeMap::from([
            ("ecc_uncorrected_errors", 0.0),
            ("memory_free_bytes", 19_955.0 * 1_048_576.0),
            ("memory_total_bytes", 19_968.0 * 1_048_576.0),
            ("memory_used_bytes", 12.0 * 1_048_576.0),
            ("multiprocessors", 14.0),
        ])
    );
    let t4 = mig::parse(recorded!("nvidia/tesla-t4.xml")).unwrap();
    assert!(!t4.is_empty() && t4.values().all(Vec::is_empty));
    for text in
        ["", "<a/>", "No devices were found", "<!DOCTYPE a [<!ENTITY b \"c\">]><nvidia_smi_log>&b;</nvidia_smi_log>"]
    {
        assert!(mig::parse(text).is_err(), "{text}");
    }
    let list = mig::parse_list(recorded!("nvidia/h100-mig__590.48.01.list.txt"));
    let card = "GPU-00000000-0000-0000-0000-000000000000".to_string();
    assert_eq!(list[&(card.clone(), 1)], ("2g.20gb".into(), "MIG-00000001-0000-0000-0000-000000000001".into()));
    assert_eq!(list.len(), 4);
    assert_eq!(mig::parse_list(recorded!("nvidia/h200-mig__590.48.01.list.txt"))[&(card, 0)].0, "1c.3g.71gb");
}

/// Writes files below a folder, `PATH<tab>TEXT` each.
fn plant(root: &Path, tree: &str) {
    for line in tree.lines() {
        let (path, text) = line.split_once('\t').unwrap();
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text.replace("\\n", "\n") + "\n").unwrap();
    }
}

#[test]
fn amds_cards_come_from_sys_and_sleeping_ones_are_left_asleep() {
    let root = TempDir::new();
    plant(root.path(), recorded!("vega10.tree"));
    plant(
        root.path(),
        "sys/class/drm/card0/device/hwmon/hwmon3/power1_average\t35000000\nsys/class/drm/card0/device/hwmon/hwmon3/temp1_input\t41000\n\
         sys/class/drm/card0/device/hwmon/hwmon3/temp1_label\tedge\nsys/class/drm/card0/device/hwmon/hwmon3/temp2_input\t42000\n\
         sys/class/drm/card0/device/hwmon/hwmon3/temp2_label\tjunction\nsys/class/drm/card0/device/hwmon/hwmon3/temp3_input\t43000\n\
         sys/class/drm/card0/device/hwmon/hwmon3/temp3_label\tmem\nsys/class/drm/card0/device/hwmon/hwmon3/pwm1\t51\n\
         sys/class/drm/card0/device/hwmon/hwmon3/freq1_input\t852000000\nsys/class/drm/card0-DP-1/device/vendor\t0x1002\n\
         sys/class/drm/card1/device/vendor\t0x8086\nsys/class/drm/card2/device/vendor\t0x1002\n\
         sys/class/drm/card2/device/uevent\tPCI_SLOT_NAME=0000:65:00.0\nsys/class/drm/card2/device/power_state\tD3cold\n\
         sys/class/drm/card2/device/gpu_busy_percent\tthis wakes it\n",
    );
    let cards = amd::read(root.path());
    assert_eq!(
        cards.iter().map(|card| (card.bus.as_str(), card.is_asleep)).collect::<Vec<_>>(),
        [("0000:09:00.0", false), ("0000:65:00.0", true)]
    );
    assert_eq!(cards[0].name, "1002:687F", "product_name is empty");
    let names = [
        "utilization_ratio",
        "memory_used_bytes",
        "memory_total_bytes",
        "power_watts",
        "temperature_celsius",
        "memory_temperature_celsius",
    ];
    assert_eq!(values(&cards[0], &names), [0.04, 1_490_378_752.0, 8_573_157_376.0, 35.0, 41.0, 43.0].map(Some));
    assert_eq!(values(&cards[0], &["sm_clock_hertz", "fan_ratio"]), [Some(852e6), Some(0.2)]);
    assert!(cards[1].values.is_empty());
    assert_eq!(amd::read(Path::new("/nonexistent")), []);
}

/// A machine with a stand-in for nvidia-smi.
struct Machine {
    folder: TempDir,
    gpus: Gpus,
}

impl Machine {
    /// A machine whose nvidia-smi prints the rows of the file `rows`.
    fn new(rows: &str, keep_running: KeepRunning) -> Self {
        let folder = TempDir::new();
        let program = folder.path().join("nvidia-smi");
        let argv = vec![program.display().to_string()];
        let config = Config {
            command: Program { shown: "nvidia-smi".into(), argv, secret: Vec::new() },
            timeout: Duration::from_millis(1500),
            keep_running,
            interval: Duration::from_secs(1),
            root: folder.path().to_path_buf(),
        };
        let machine = Self { folder, gpus: Gpus::new(config) };
        machine.folder.write("rows", rows);
        machine.folder.write("help", help(ASKED));
        machine.script("cat rows");
        machine
    }

    /// Says what nvidia-smi does when it is asked for the cards. `$id` is the card that is asked by itself.
    fn script(&self, query: &str) {
        let text = format!(
            "#!/bin/sh\ncd {}\nid= loop=\nfor word; do case $word in --id=*) id=${{word#--id=}};; --loop=*) loop=${{word#--loop=}};; esac; done\n\
             case \"$*\" in\n*help-query*) echo help >> asked; cat help;;\n*query-gpu*) echo query $id $loop >> asked\n{query};;\n\
             '-q -x') echo xml >> asked; cat xml;;\n-L) echo list >> asked; cat list;;\n*) exit 1;;\nesac\n",
            self.folder.path().display()
        );
        let path = self.folder.write("nvidia-smi", text);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn asked(&self) -> Vec<String> {
        let asked = fs::read_to_string(self.folder.path().join("asked")).unwrap_or_default();
        let _ = fs::remove_file(self.folder.path().join("asked"));
        asked.lines().map(|line| line.trim().to_string()).collect()
    }

    fn read(&mut self) -> Answer {
        self.gpus.read()
    }

    /// Binds a card to NVIDIA's driver.
    fn bind(&self, bus: &str, files: &[(&str, &str)]) {
        let drivers = self.folder.path().join("sys/bus/pci/drivers/nvidia");
        let device = self.folder.path().join("sys/bus/pci/devices").join(bus);
        for folder in [&drivers, &device.join("power")] {
            fs::create_dir_all(folder).unwrap();
        }
        for (name, text) in files {
            fs::write(device.join(name), text).unwrap();
        }
        let _ = symlink(&device, drivers.join(bus));
    }
}

fn cards(answer: &Answer) -> Vec<(&str, bool)> {
    answer.gpus.iter().map(|gpu| (gpu.bus.as_str(), gpu.is_lost)).collect()
}

/// Three cards, as in the recording of a sick one, all healthy.
fn three() -> String {
    let row = recorded!("failures/one_card_sick.asked.csv").lines().next().unwrap();
    let other = |index: &str, bus: &str| row.replacen("0,", index, 1).replace(":07:", bus);
    [row.to_string(), other("1,", ":0F:"), other("2,", ":47:")].join("\n") + "\n"
}

const BUSES: [&str; 3] = ["0000:07:00.0", "0000:0f:00.0", "0000:47:00.0"];

#[test]
fn the_columns_are_asked_for_once_and_a_column_that_the_list_lied_about_is_left_out() {
    let mut machine = Machine::new(&three(), KeepRunning::No);
    let answer = machine.read();
    assert_eq!((cards(&answer), answer.problems.len()), (BUSES.map(|bus| (bus, false)).to_vec(), 0));
    machine.read();
    assert_eq!(machine.asked(), ["help", "query", "query"]);
    machine.script("case $* in *retired_pages.pending*) echo 'Field \"retired_pages.pending\" is not a valid field to query.'; exit 2;; esac; cut -d, -f1-22,24- rows");
    let answer = machine.read();
    assert_eq!(
        answer.problems[0].message,
        "nvidia-smi does not know the column retired_pages.pending; NVIDIA's cards are missing"
    );
    let answer = machine.read();
    assert_eq!(
        (answer.problems.len(), answer.gpus.len(), answer.gpus[0].values.contains_key("retired_pages_pending")),
        (0, 3, false)
    );
}

#[test]
fn a_card_that_is_lost_costs_the_others_nothing() {
    let mut machine = Machine::new(&three(), KeepRunning::No);
    assert!(machine.read().problems.is_empty());
    // The loss ends the question for all cards, as in Xid 79.
    let lost = recorded!("failures/gpu_lost.out").trim();
    machine.script(&format!(
        "case $id in 0000:07*) sed -n 1p rows;; 0000:47*) sed -n 3p rows;; *) echo '{lost}'; exit 15;; esac"
    ));
    let answer = machine.read();
    assert_eq!(cards(&answer), [(BUSES[0], false), (BUSES[1], true), (BUSES[2], false)]);
    assert!(!answer.gpus[0].values.is_empty() && answer.gpus[1].values.is_empty());
    assert_eq!(answer.gpus[1].name, "NVIDIA A100-SXM4-40GB", "it keeps its labels");
    let problem = &answer.problems[0];
    assert_eq!(problem.subject.to_string(), "gpu 0000:0f:00.0");
    assert!(
        problem.message.starts_with("nvidia-smi says \"Unable to determine the device handle for GPU"),
        "{}",
        problem.message
    );
    machine.asked();
    // The next reading does not try all at once again, and one in which all answer does.
    machine.read();
    assert_eq!(machine.asked().len(), 3);
    machine.script("[ -z \"$id\" ] && exec cat rows; grep -i \"${id#0000:}\" rows");
    assert_eq!(machine.read().problems.len(), 0);
    machine.asked();
    machine.read();
    assert_eq!(machine.asked(), ["query"]);
    // After a reboot of the driver it is not listed at all.
    machine.script("sed 2d rows");
    let answer = machine.read();
    assert_eq!((cards(&answer)[1], answer.problems.len()), ((BUSES[1], true), 1));
}

#[test]
fn a_card_that_hangs_costs_its_time_out_and_the_others_are_whole() {
    let mut machine = Machine::new(&three(), KeepRunning::No);
    machine.read();
    machine.script("case $id in 0000:07*) sed -n 1p rows;; 0000:47*) sed -n 3p rows;; *) exec sleep 60;; esac");
    let began = Instant::now();
    let answer = machine.read();
    assert!(began.elapsed() < Duration::from_millis(4500), "{:?}", began.elapsed());
    assert_eq!(cards(&answer), [(BUSES[0], false), (BUSES[1], true), (BUSES[2], false)]);
    assert!(
        answer.problems[0].message.starts_with("nvidia-smi gave no answer in 1.5 s; it is lost, or its driver hangs")
    );
}

#[test]
fn an_nvidia_smi_that_crawls_is_kept_running_and_its_newest_round_is_taken() {
    let mut machine = Machine::new(&three(), KeepRunning::Auto);
    let crawl = "sleep 1.1\n[ -z \"$loop\" ] && exec cat rows\nwhile :; do cat rows; sleep \"$loop\"; done";
    machine.script(crawl);
    assert_eq!(machine.read().gpus.len(), 3);
    assert_eq!(machine.asked(), ["help", "query"]);
    for utilization in ["17", "18"] {
        let rows = three().replace("30, 0, 0, 40960", &format!("30, {utilization}, 0, 40960"));
        machine.folder.write("rows", rows);
        // The round under way may have the old rows.
        std::thread::sleep(Duration::from_millis(1500));
        let answer = machine.read();
        let found: Vec<_> = answer.gpus.iter().map(|gpu| gpu.values["utilization_ratio"]).collect();
        let expected = utilization.parse::<f64>().unwrap() / 100.0;
        assert_eq!((found, answer.problems.len()), (vec![expected; 3], 0));
    }
    assert_eq!(machine.asked(), ["query 1"], "one process for all rounds");
    // It dies, or says nothing more: it is asked once, and started anew with the next reading.
    machine.script("echo gone; exit 255");
    machine.gpus = Gpus::new(Config { keep_running: KeepRunning::Yes, ..config_of(&machine) });
    assert!(!machine.read().is_whole);
}

#[test]
fn a_round_whose_rows_come_one_by_one_loses_no_card_and_one_that_is_short_does() {
    let mut machine = Machine::new(&three(), KeepRunning::Yes);
    let timeout = Duration::from_secs(20);
    machine.gpus = Gpus::new(Config { keep_running: KeepRunning::Yes, timeout, ..config_of(&machine) });
    let row_by_row = "[ -z \"$loop\" ] && exec cat rows\nwhile :; do while read -r row; do sleep 0.4; echo \"$row\"; done < rows; sleep \"$loop\"; done";
    machine.script(row_by_row);
    let whole = BUSES.map(|bus| (bus, false));
    for _ in 0..5 {
        let answer = machine.read();
        assert_eq!((cards(&answer), answer.problems.len()), (whole.to_vec(), 0), "{:?}", answer.problems);
        std::thread::sleep(Duration::from_millis(300));
    }
    assert_eq!(machine.asked(), ["help", "query", "query 1"], "one process for all rounds");
    let short: Vec<_> = three().lines().take(2).map(|row| format!("{row}\n")).collect();
    machine.folder.write("rows", short.concat());
    let limit = Instant::now() + Duration::from_secs(60);
    while cards(&machine.read()) != [(BUSES[0], false), (BUSES[1], false), (BUSES[2], true)] {
        assert!(Instant::now() < limit, "the third one is lost");
    }
}

#[test]
fn an_nvidia_smi_that_is_kept_running_and_prints_without_end_is_ended() {
    let mut machine = Machine::new(&three(), KeepRunning::Yes);
    machine.read();
    for flood in
        ["exec yes 'no row of a card'", "exec tr '\\0' x < /dev/zero", "while :; do echo no row; sleep 0.1; done"]
    {
        machine.script(&format!("[ -z \"$loop\" ] && exec cat rows\n{flood}"));
        let began = Instant::now();
        let answer = machine.read();
        assert_eq!((answer.gpus.len(), answer.problems.len()), (3, 0), "{flood}: it was asked anew");
        assert!(began.elapsed() < Duration::from_secs(20), "{flood}: {:?}", began.elapsed());
    }
}

#[test]
fn an_answer_that_breaks_off_within_its_last_row_is_none() {
    let mut machine = Machine::new(&three(), KeepRunning::No);
    machine.script("head -c -2 rows");
    let answer = machine.read();
    assert!(!answer.is_whole && answer.gpus.is_empty(), "{:?}", answer.gpus);
    assert!(answer.problems[0].message.starts_with("nvidia-smi breaks off: "), "{}", answer.problems[0].message);
}

fn config_of(machine: &Machine) -> Config {
    let argv = vec![machine.folder.path().join("nvidia-smi").display().to_string()];
    Config {
        command: Program { shown: "nvidia-smi".into(), argv, secret: Vec::new() },
        timeout: Duration::from_millis(1500),
        keep_running: KeepRunning::No,
        interval: Duration::from_secs(1),
        root: machine.folder.path().to_path_buf(),
    }
}

#[test]
fn a_card_that_may_sleep_is_not_kept_awake_and_one_that_sleeps_is_not_asked() {
    let mut machine = Machine::new(&three(), KeepRunning::Auto);
    for bus in BUSES {
        machine
            .bind(bus, &[("power_state", "D0\n"), ("power/control", "auto\n"), ("power/runtime_status", "active\n")]);
    }
    machine.script("sleep 1.1; cat rows");
    machine.read();
    machine.read();
    assert_eq!(machine.asked(), ["help", "query", "query"], "the loop would keep it awake");
    machine.script("[ -z \"$id\" ] && exec cat rows; grep -i \"${id#0000:}\" rows");
    machine.bind(BUSES[1], &[("power/runtime_status", "suspended\n")]);
    let answer = machine.read();
    assert_eq!(answer.gpus.iter().map(|gpu| gpu.is_asleep).collect::<Vec<_>>(), [false, true, false]);
    let mut asked = machine.asked();
    asked.sort();
    assert_eq!(asked, ["query 0000:07:00.0", "query 0000:47:00.0"]);
    for bus in BUSES {
        machine.bind(bus, &[("power_state", "D3cold\n")]);
    }
    let answer = machine.read();
    assert_eq!((answer.gpus.len(), answer.problems.len(), machine.asked().len()), (3, 0, 0));
    assert!(answer.gpus.iter().all(|gpu| gpu.is_asleep && !gpu.is_lost && gpu.values.is_empty()));
}

#[test]
fn a_machine_without_a_card_has_no_problem_and_one_with_a_card_and_no_driver_has() {
    let mut machine = Machine::new("", KeepRunning::Auto);
    machine.script("exit 1");
    machine.folder.write("help", "");
    fs::remove_file(machine.folder.path().join("nvidia-smi")).unwrap();
    let answer = machine.read();
    assert_eq!((answer.gpus.len(), answer.problems.len(), answer.is_whole), (0, 0, true));
    let device = machine.folder.path().join("sys/bus/pci/devices/0000:07:00.0");
    fs::create_dir_all(&device).unwrap();
    fs::write(device.join("vendor"), "0x10de\n").unwrap();
    fs::write(device.join("class"), "0x030200\n").unwrap();
    machine.gpus = Gpus::new(config_of(&machine));
    let answer = machine.read();
    assert_eq!(
        answer.problems[0].message,
        "nvidia-smi was not found on PATH; it comes with NVIDIA's driver; NVIDIA's cards are missing"
    );
    machine.script("exit 1");
    let script = format!("#!/bin/sh\necho \"{}\"\nexit 9\n", recorded!("failures/driver_not_loaded.out").trim());
    let path = machine.folder.write("nvidia-smi", script);
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    machine.gpus = Gpus::new(config_of(&machine));
    let answer = machine.read();
    assert!(
        answer.problems[0].message.starts_with("nvidia-smi finds no driver: \"NVIDIA-SMI has failed"),
        "{:?}",
        answer.problems
    );
    assert!(!answer.is_whole && answer.gpus.is_empty());
}

#[test]
fn an_answer_that_cannot_be_read_is_a_problem_and_no_loss() {
    let mut machine = Machine::new(&three(), KeepRunning::No);
    assert!(machine.read().problems.is_empty());
    for (script, why, cards_left) in [
        (
            "echo an error that nobody has seen",
            "prints what is no row of a card: \"an error that nobody has seen\"; NVIDIA's",
            0,
        ),
        ("sed 2s/,// rows", "prints what is no row of a card: \"1 ", 2),
        ("true", "prints nothing; NVIDIA's cards are missing", 0),
    ] {
        machine.script(script);
        let answer = machine.read();
        let messages: Vec<_> = answer.problems.iter().map(|one| one.message.as_str()).collect();
        assert!(messages.len() == 1 && messages[0].contains(why), "{script}: {messages:?}");
        assert_eq!(
            (answer.problems[0].subject.to_string().as_str(), answer.is_whole),
            ("nvidia-smi", false),
            "{script}"
        );
        assert!(answer.problems[0].is_whole, "{script}: of the cards nobody knows");
        assert_eq!((answer.gpus.len(), answer.gpus.iter().any(|gpu| gpu.is_lost)), (cards_left, false), "{script}");
    }
    machine.script("cat rows");
    assert_eq!((machine.read().problems.len(), machine.asked().len()), (0, 6), "nothing was asked card by card");
    // Without a card there is nothing that could be missing.
    let mut machine = Machine::new("", KeepRunning::No);
    machine.script("echo No devices were found");
    let answer = machine.read();
    assert_eq!((answer.gpus.len(), answer.problems.len(), answer.is_whole), (0, 0, true));
}

#[test]
fn a_warning_beside_the_rows_costs_no_card() {
    let mut machine = Machine::new(&three(), KeepRunning::No);
    machine.script("cat rows; echo 'WARNING: infoROM is corrupted at gpu 0000:0F:00.0'; exit 14");
    for _ in 0..2 {
        let answer = machine.read();
        assert_eq!(cards(&answer), BUSES.map(|bus| (bus, false)).to_vec());
        assert!(answer.is_whole && answer.gpus.iter().all(|gpu| !gpu.values.is_empty()));
        let said: Vec<_> = answer.problems.iter().map(|one| format!("{}: {}", one.subject, one.message)).collect();
        let line = "gpu 0000:0f:00.0 warning: nvidia-smi says \"WARNING: infoROM is corrupted at gpu 0000:0F:00.0\"; its numbers are \
                    sent all the same";
        assert_eq!(said, [line]);
    }
    assert_eq!(machine.asked(), ["help", "query", "query"]);
}

#[test]
fn a_card_that_fails_by_itself_is_lost_only_if_its_driver_says_so_or_hangs() {
    let mut machine = Machine::new(&three(), KeepRunning::No);
    machine.read();
    machine.script(
        "case $id in 0000:07*) sed -n 1p rows;; 0000:47*) sed -n 3p rows;; *) echo An internal error; exit 10;; esac",
    );
    let answer = machine.read();
    assert_eq!(cards(&answer), [(BUSES[0], false), (BUSES[2], false)]);
    let problem = &answer.problems[0];
    assert_eq!((problem.subject.to_string().as_str(), answer.is_whole), ("gpu 0000:0f:00.0", false));
    assert!(
        problem.message.ends_with("ended with exit status 10: \"An internal error\"; its numbers are missing"),
        "{}",
        problem.message
    );
}

#[test]
fn a_card_of_another_driver_or_of_another_container_is_not_missed() {
    let mut machine = Machine::new("", KeepRunning::No);
    machine.script("echo NVIDIA-SMI has failed; exit 9");
    let device = machine.folder.path().join("sys/bus/pci/devices").join(BUSES[0]);
    let take = |driver: &str| {
        fs::create_dir_all(&device).unwrap();
        fs::write(device.join("vendor"), "0x10de\n").unwrap();
        fs::write(device.join("class"), "0x030200\n").unwrap();
        let _ = fs::remove_file(device.join("driver"));
        symlink(Path::new("../../../bus/pci/drivers").join(driver), device.join("driver")).unwrap();
    };
    for other in ["vfio-pci", "nouveau"] {
        take(other);
        machine.gpus = Gpus::new(config_of(&machine));
        let answer = machine.read();
        assert_eq!((answer.gpus.len(), answer.problems.len(), answer.is_whole), (0, 0, true), "{other}");
    }
    // Two cards of the host, and one of them is this container's.
    for (bus, minor) in [(BUSES[0], "0"), (BUSES[1], "1")] {
        machine.bind(bus, &[]);
        let told = machine.folder.path().join("proc/driver/nvidia/gpus").join(bus);
        fs::create_dir_all(&told).unwrap();
        fs::write(told.join("information"), format!("Device Minor: \t {minor}\n")).unwrap();
    }
    take("nvidia");
    fs::create_dir(machine.folder.path().join("dev")).unwrap();
    machine.folder.write("dev/nvidia0", "");
    machine.script("head -1 rows");
    machine.folder.write("rows", three());
    machine.gpus = Gpus::new(config_of(&machine));
    let answer = machine.read();
    assert_eq!((cards(&answer), answer.problems.len()), (vec![(BUSES[0], false)], 0));
    // A virtual machine gets the card.
    take("vfio-pci");
    fs::remove_file(machine.folder.path().join("sys/bus/pci/drivers/nvidia").join(BUSES[0])).unwrap();
    machine.script("echo NVIDIA-SMI has failed; exit 9");
    let answer = machine.read();
    assert_eq!((answer.gpus.len(), answer.problems.len()), (0, 0));
}

#[test]
fn a_card_that_is_lost_stays_so_for_a_reader_by_other_options() {
    let mut machine = Machine::new(&three(), KeepRunning::No);
    machine.read();
    machine.script("sed 2d rows");
    let new = Gpus::new(config_of(&machine));
    let old = std::mem::replace(&mut machine.gpus, new);
    machine.gpus.adopt(old);
    assert_eq!(cards(&machine.read())[1], (BUSES[1], true));
}

#[test]
fn a_divided_card_has_its_slices() {
    let mut machine = Machine::new(recorded!("nvidia/h100-mig__590.48.01.load.csv"), KeepRunning::No);
    machine.folder.write("xml", recorded!("nvidia/a100-sxm4-v12.xml").replace("00000000:01:00.0", "00000000:00:09.0"));
    machine.folder.write("list", recorded!("nvidia/h100-mig__590.48.01.list.txt"));
    let answer = machine.read();
    let slices: Vec<_> =
        answer.gpus[0].slices.iter().map(|slice| (slice.name.as_str(), slice.profile.as_str())).collect();
    assert_eq!(
        slices,
        [("gi3-ci0", "3g.40gb"), ("gi4-ci0", "2g.20gb"), ("gi5-ci0", "1g.10gb"), ("gi6-ci0", "1g.10gb")]
    );
    machine.read();
    assert_eq!(machine.asked(), ["help", "query", "xml", "list", "query", "xml"], "the profiles are asked for once");
    machine.folder.write("xml", "rubbish");
    let answer = machine.read();
    assert!(answer.problems[0].message.ends_with("the slices (MIG) are missing") && answer.gpus[0].slices.is_empty());
}

/// Reads the cards of this machine with its own nvidia-smi. docs/testing.md says how to run it elsewhere.
#[test]
#[ignore = "needs a GPU; testkit/gpu-real.sh runs it"]
fn gpu_real() {
    // `make test-all` runs the ignored tests too, on machines that have no card and cannot install one.
    if std::env::var_os("GRIDMON_GPU").is_none() {
        return;
    }
    let argv = vec!["nvidia-smi".to_string()];
    let command = Program { shown: "nvidia-smi".into(), argv, secret: Vec::new() };
    for keep_running in [KeepRunning::No, KeepRunning::Yes] {
        let config = Config {
            command: command.clone(),
            timeout: Duration::from_secs(30),
            keep_running,
            interval: Duration::from_secs(1),
            root: "/".into(),
        };
        let mut gpus = Gpus::new(config);
        for _ in 0..3 {
            let began = Instant::now();
            let answer = gpus.read();
            println!("{keep_running:?}: {:?} in {:?}", answer.problems, began.elapsed());
            for gpu in &answer.gpus {
                println!("{gpu:#?}");
                assert!(gpu.is_asleep || gpu.values.contains_key("memory_total_bytes"), "it tells no memory");
            }
            assert!(answer.is_whole && answer.problems.is_empty() && !answer.gpus.is_empty());
            std::thread::sleep(Duration::from_secs(1));
        }
    }
}
