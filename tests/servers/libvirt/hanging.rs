//! QEMUs and a libvirtd that hang: one, six, all, and a lock that is held.

use std::process::Command;
use std::thread;
use std::time::Duration;

use gridmon_testkit::{Libvirt, program};

use super::{DOMAINS, Host, Run, TIMEOUT};

pub(super) fn one_hangs(host: &Host) {
    host.rates();
    host.libvirt.signal_qemu(2, "STOP");
    let run = host.run();
    assert_eq!(run.outcome.code, Some(1));
    assert!(run.names(2), "{}", run.outcome.stderr);
    assert!(run.has_state_and_network_alone(2), "{:?}", run.of(2));
    let others = |run: &Run| {
        (1..=DOMAINS).filter(|domain| *domain != 2).all(|domain| run.is_complete(domain) && !run.names(domain))
    };
    assert!(others(&run), "{}", run.outcome.stderr);
    // The second run knows it, and loses nothing.
    let run = host.run();
    assert!(run.outcome.took < Duration::from_secs(TIMEOUT), "{:?}", run.outcome.took);
    assert!(others(&run) && run.names(2));
    host.assert_others_are_served();
    host.libvirt.signal_qemu(2, "CONT");
    thread::sleep(Duration::from_millis(500));
    let run = host.rates();
    assert_eq!(run.outcome.code, Some(0), "{}", run.outcome.stderr);
    assert!(run.is_complete(2));
}

/// A call that a look by hand lost, or a run that was killed in it, is remembered.
pub(super) fn lost_by_runs_that_send_nothing(host: &Host) {
    let loses: [(&str, &dyn Fn()); 2] = [
        ("--dry-run", &|| {
            let dry = host.command("collect-instances", &["--dry-run"]);
            assert!(dry.code == Some(1) && dry.stderr.contains(&Libvirt::name(2)), "{}", dry.stderr);
        }),
        ("SIGKILL", &|| {
            let mut command = Command::new(program("collect-instances"));
            let mut run = command.current_dir(host.sandbox.path("")).spawn().unwrap();
            thread::sleep(Duration::from_millis(700));
            run.kill().unwrap();
            run.wait().unwrap();
        }),
    ];
    for (how, lose) in loses {
        host.rates();
        host.config();
        host.libvirt.signal_qemu(2, "STOP");
        lose();
        // The next run knows of it, and is complete but for this one.
        for _ in 0..2 {
            let run = host.run();
            assert!(run.names(2), "{how}: {}", run.outcome.stderr);
            assert!((3..=DOMAINS).all(|domain| run.is_complete(domain)), "{how}: {}", run.outcome.stderr);
        }
        host.libvirt.signal_qemu(2, "CONT");
        thread::sleep(Duration::from_millis(500));
        host.run();
        let run = host.rates();
        assert_eq!(run.outcome.code, Some(0), "{how}: {}", run.outcome.stderr);
        assert!((1..=DOMAINS).all(|domain| run.is_complete(domain)), "{how}");
    }
}

/// Another one hangs meanwhile, so that there is time between the list and the call that finds it gone.
pub(super) fn gone_while_asked(host: &Host) {
    let (gone, libvirt) = (Libvirt::name(8), &host.libvirt);
    libvirt.signal_qemu(2, "STOP");
    let run = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(500));
            libvirt.must(&["destroy", &gone]);
            libvirt.must(&["undefine", &gone]);
        });
        host.run()
    });
    assert_eq!((run.of(8), run.names(8)), (None, false), "{}", run.outcome.stderr);
    assert_eq!(run.points[""]["instances"], (DOMAINS - 1) as f64);
    assert!([1, 3, 4, 5, 6, 7].iter().all(|domain| run.is_complete(*domain)), "{}", run.outcome.stderr);
    host.libvirt.signal_qemu(2, "CONT");
    host.libvirt.must(&["define", host.libvirt.path("disks/8.xml").to_str().unwrap()]);
    host.libvirt.must(&["start", &gone]);
    thread::sleep(Duration::from_millis(500));
    host.run();
    assert_eq!(host.run().outcome.code, Some(0));
}

pub(super) fn six_hang(host: &Host) {
    for domain in 1..=6 {
        host.libvirt.signal_qemu(domain, "STOP");
    }
    // The first runs find the hung ones, the last one knows them.
    for number in 0..3 {
        let run = host.run();
        assert_eq!(run.outcome.code, Some(1));
        for domain in 1..=6 {
            assert!(run.names(domain), "run {number}: {}", run.outcome.stderr);
            assert!(run.has_state_and_network_alone(domain), "run {number}: {:?}", run.of(domain));
        }
        for domain in 7..=DOMAINS {
            assert!(run.is_complete(domain) && !run.names(domain), "run {number}: {}", run.outcome.stderr);
        }
        host.assert_others_are_served();
    }
    for domain in 1..=6 {
        host.libvirt.signal_qemu(domain, "CONT");
    }
    thread::sleep(Duration::from_millis(500));
    host.run();
    let run = host.rates();
    assert_eq!(run.outcome.code, Some(0), "{}", run.outcome.stderr);
    assert!((1..=DOMAINS).all(|domain| run.is_complete(domain)));
}

pub(super) fn the_daemon_hangs_and_goes(host: &Host) {
    let libvirt = &host.libvirt;
    let nothing = |run: &Run, words: &str| {
        assert_eq!(run.outcome.code, Some(1));
        assert!(run.outcome.stderr.contains(words), "{}", run.outcome.stderr);
        assert!((1..=DOMAINS).all(|domain| run.of(domain).is_none()), "no points, never zeros");
        assert_eq!(run.points[""]["heartbeat"], 0.0);
    };
    host.libvirt.signal_daemon("STOP");
    let run = host.run();
    nothing(&run, "libvirtd took the connection and gave no answer in 2 s");
    host.libvirt.signal_daemon("CONT");
    assert_eq!(host.run().outcome.code, Some(0));
    // It goes while a call waits for a QEMU that hangs.
    host.libvirt.signal_qemu(5, "STOP");
    let run = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(700));
            libvirt.down();
        });
        host.run()
    });
    assert_eq!(run.outcome.code, Some(1));
    assert!(run.outcome.stderr.contains("was it restarted?"), "{}", run.outcome.stderr);
    nothing(&host.run(), "; no instance has points in this run");
    host.libvirt.signal_qemu(5, "CONT");
    host.libvirt.up();
    let run = host.rates();
    assert_eq!(run.outcome.code, Some(0), "{}", run.outcome.stderr);
    assert!((1..=DOMAINS).all(|domain| run.is_complete(domain)));
}

/// A storage hangs: libvirtd waits for it with the lock of a domain, and lists nothing.
#[test]
#[ignore = "the simulation has it: make test-all"]
fn around_a_real_lock_the_others_are_measured() {
    let Some(host) = Host::start("around_a_real_lock_the_others_are_measured", 6) else { return };
    host.libvirt.must(&["destroy", &Libvirt::name(3)]);
    host.rates();
    host.libvirt.hold_lock(3);
    for number in 0..4 {
        let run = host.run();
        assert_eq!(run.outcome.code, Some(1));
        assert!(
            run.outcome.stderr.contains("libvirt list: the list of domains does not come"),
            "{}",
            run.outcome.stderr
        );
        // The first run halves the list to find it, as far as three calls go.
        if number > 1 {
            let complete = (1..=6).filter(|domain| run.is_complete(*domain)).count();
            assert!(complete >= 4, "run {number}: {complete}: {}", run.outcome.stderr);
        }
        // A list by virsh hangs too; one domain does not.
        assert!(host.libvirt.virsh(&["domstate", &Libvirt::name(1)]).status.success(), "run {number}");
    }
    host.libvirt.release_lock(3);
    // What the message says: a new libvirtd owes nothing, and lists again.
    host.libvirt.down();
    host.libvirt.up();
    let run = host.rates();
    assert_eq!(run.outcome.code, Some(0), "{}", run.outcome.stderr);
    assert!([1, 2, 4, 5, 6].iter().all(|domain| run.is_complete(*domain)));
}

/// Stops the QEMUs of the first domains; the others are measured in each run, and libvirtd serves others. Then they go on.
fn many_hang(host: &Host, domains: usize, hung: usize) {
    // Two dozen emulated guests beside each other take their time to answer, and to send a packet.
    let settle = || {
        assert!((0..20).any(|_| host.run().outcome.code == Some(0)), "it is never well");
        host.rates()
    };
    settle();
    (1..=hung).for_each(|domain| host.libvirt.signal_qemu(domain, "STOP"));
    for number in 0..4 {
        let run = host.run();
        assert_eq!(run.outcome.code, Some(1));
        for domain in 1..=hung {
            assert!(run.names(domain), "run {number}: {}", run.outcome.stderr);
            assert!(run.has_state_and_network_alone(domain), "run {number}: {:?}", run.of(domain));
        }
        for domain in hung + 1..=domains {
            assert!(run.is_complete(domain) && !run.names(domain), "run {number}: {}", run.outcome.stderr);
        }
        host.assert_others_are_served();
    }
    (1..=hung).for_each(|domain| host.libvirt.signal_qemu(domain, "CONT"));
    let run = settle();
    assert_eq!(run.outcome.code, Some(0), "{}", run.outcome.stderr);
    assert!((1..=domains).all(|domain| run.is_complete(domain)));
}

#[test]
#[ignore = "takes a minute: make test-all"]
fn all_domains_of_a_host_may_hang() {
    let Some(host) = Host::start("all_domains_of_a_host_may_hang", 6) else { return };
    many_hang(&host, 6, 6);
}

#[test]
#[ignore = "takes minutes, 24 QEMUs: make test-all"]
fn more_domains_may_hang_than_libvirtd_has_workers() {
    let Some(host) = Host::start("more_domains_may_hang_than_libvirtd_has_workers", 24) else { return };
    many_hang(&Host { timeout: 10, ..host }, 24, 22);
}
