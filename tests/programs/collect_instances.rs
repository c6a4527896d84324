//! collect-instances and what it writes down before it asks: played instances (demo/libvirt.rs).

#[path = "../../demo/libvirt.rs"]
mod player;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::Command;

use gridmon_testkit::program;
use gridmon_testkit::sandbox::{Outcome, Sandbox};

const NOW: i64 = 1_717_245_000;

struct Host {
    _player: player::Player,
    sandbox: Sandbox,
}

impl Host {
    fn start() -> Self {
        let sandbox = Sandbox::new("small");
        let player = player::Player::start(&sandbox.path("libvirt"), 2).unwrap();
        player.at(NOW);
        let host = Self { _player: player, sandbox };
        host.config("");
        host
    }

    fn config(&self, more: &str) {
        let (socket, state) = (self.sandbox.path("libvirt"), self.sandbox.path("state"));
        let text = format!(
            "[grid]\nname = lab\n[state]\ndirectory = {}\n[libvirt]\nsocket = {}\n{more}\n",
            state.display(),
            socket.display()
        );
        let path = self.sandbox.write("config.cfg", text);
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = Command::new(program("collect-instances"));
        command.args(arguments).current_dir(self.sandbox.path("")).env_clear().env("PATH", "/usr/bin:/bin");
        Outcome::of(command.env("HOME", self.sandbox.path("")))
    }
}

/// A look by hand tells everything, and leaves what the next run must know; it asks for nothing where it cannot.
#[test]
fn a_look_by_hand_writes_down_what_it_may_lose_or_asks_nothing() {
    let host = Host::start();
    let _ = fs::remove_dir_all(host.sandbox.path("state"));
    let asked_nothing = |why: &str| {
        let dry = host.run(&["--dry-run"]);
        assert_eq!(dry.code, Some(1), "{}", dry.stderr);
        assert!(dry.stderr.contains(why) && dry.stderr.contains("so libvirtd was not asked"), "{}", dry.stderr);
        assert!(!dry.stdout.contains("instances.lab") && dry.stdout.contains("heartbeat 0"), "{}", dry.stdout);
    };
    asked_nothing("does not exist; make it for this user: sudo install -d");
    assert!(!host.sandbox.path("state").exists(), "a look makes no directory");

    assert_eq!(host.run(&[]).code, Some(0));
    let memory = host.sandbox.path("state/collect-instances.lab.libvirt");
    fs::remove_file(&memory).unwrap();
    let dry = host.run(&["--dry-run"]);
    assert_eq!(dry.code, Some(0), "{}", dry.stderr);
    assert!(dry.stdout.contains("memory_bytes"), "{}", dry.stdout);
    let known: serde_json::Value = serde_json::from_slice(&fs::read(&memory).unwrap()).unwrap();
    assert_eq!(known["domains"].as_array().unwrap().len(), 2);
    assert_eq!((&known["loose"], &known["stuck"], &known["lists"]), (&0.into(), &0.into(), &0.into()), "all came");

    // Another run asks just now.
    host.config("deadline_seconds = 4");
    let lock = fs::File::open(host.sandbox.path("state/collect-instances.lab.libvirt-lock")).unwrap();
    lock.lock().unwrap();
    asked_nothing("another run of collect-instances, perhaps with --dry-run or --compare, holds");
    drop(lock);
    assert_eq!(host.run(&[]).code, Some(0));

    // Somebody else's directory, which root could write.
    let state = host.sandbox.path("state");
    if state.metadata().unwrap().uid() == 0 {
        chown(&state, Some(12_345), None).unwrap();
        asked_nothing("it belongs to");
        chown(&state, Some(0), None).unwrap();
    }
}

/// Over more than 600 s there are no rates.
#[test]
fn an_interval_without_rates_is_refused() {
    let host = Host::start();
    host.config("interval_seconds = 900");
    let run = host.run(&[]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("[libvirt] interval_seconds") && run.stderr.contains("540"), "{}", run.stderr);
}
