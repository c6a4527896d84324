//! The packages in a bare Debian: installed, upgraded, one in the place of the other, removed and purged.

use std::fs;

use gridmon_testkit::skip;

use super::{Debian, built, file, file_of, pid, set_up};

/// One package takes the place of the other, both ways, and what was collected stays.
#[test]
#[ignore = "builds everything: make test-all"]
fn the_small_agents_package_takes_the_place_of_the_whole_one_and_back() {
    let test = "the_small_agents_package_takes_the_place_of_the_whole_one_and_back";
    let Some(debian) = Debian::new("bookworm") else { return skip(test, "debootstrap") };
    let built = built();
    fs::copy(file(&built.new, ".deb"), debian.path("whole.deb")).unwrap();
    fs::copy(file_of("gridmon-agent", &built.new, ".deb"), debian.path("small.deb")).unwrap();
    debian.sh("dpkg -i /whole.deb");
    set_up(&debian);
    debian.sh("dpkg -i --auto-deconfigure /small.deb");
    assert!(debian.asked().contains("disable --now qagent.service\n"), "{}", debian.asked());
    assert!(debian.path("usr/bin/qagent").exists() && !debian.path("usr/bin/collect-grid").exists());
    assert!(debian.sh("qagent once LoadAverage").contains(".LoadAverage."));
    // It reads what the other one left, and that stays, also when the other one is purged.
    let started = set_up(&debian);
    assert_eq!(debian.sh(&format!("cat /proc/{started}/comm")), "qagent\n");
    debian.sh("dpkg -P gridmon");
    assert!(debian.path("var/lib/gridmon/gridmon.db").exists() && debian.path("etc/gridmon/config.cfg").exists());
    debian.sh("dpkg -i --auto-deconfigure /whole.deb");
    assert!(debian.path("usr/bin/collect-grid").exists() && debian.path("var/lib/gridmon/gridmon.db").exists());
    assert!(!debian.sh("dpkg-query -W -f '${db:Status-Abbrev}' gridmon-agent").starts_with("ii"));
}

#[test]
#[ignore = "builds everything: make test-all"]
fn the_debian_package_is_installed_upgraded_removed_and_purged() {
    let test = "the_debian_package_is_installed_upgraded_removed_and_purged";
    for suite in ["bookworm", "trixie"] {
        let Some(debian) = Debian::new(suite) else { return skip(test, "debootstrap") };
        let built = built();
        for (name, folder) in [("old.deb", &built.old), ("new.deb", &built.new)] {
            fs::copy(file(folder, ".deb"), debian.path(name)).unwrap();
        }
        let status = || debian.sh("dpkg-query -W -f '${db:Status-Abbrev}${Version}' gridmon");
        debian.sh("dpkg -i /old.deb");
        assert_eq!(status(), "ii 0.0.9");
        // Nothing starts by itself, and the user and its folders are there.
        assert!(!debian.asked().contains("restart") && !debian.asked().contains("enable"), "{}", debian.asked());
        let mode = |path: &str| debian.sh(&format!("stat -c '%U %G %a' {path}"));
        assert_eq!(mode("/var/lib/gridmon"), "gridmon gridmon 750\n");
        assert_eq!(mode("/etc/gridmon"), "root gridmon 755\n");
        assert!(debian.sh("collect-grid --version").starts_with("collect-grid "));

        let before = set_up(&debian);
        debian.sh("dpkg -i /new.deb");
        assert_ne!(status(), "ii 0.0.9");
        let after = pid(&debian);
        assert!(before != after && debian.sh(&format!("cat /proc/{after}/comm")) == "qagent\n");
        assert!(debian.asked().contains("daemon-reload\ntry-restart qagent.service\n"), "{}", debian.asked());
        assert!(debian.sh("cat /etc/gridmon/config.cfg").contains("name = lab"));
        assert!(debian.path("var/lib/gridmon/gridmon.db").exists(), "the points of the version before");

        debian.sh("dpkg -r gridmon");
        assert!(debian.asked().contains("disable --now qagent.service\n"), "{}", debian.asked());
        assert!(!debian.path("usr/bin/qagent").exists() && debian.path("etc/gridmon/config.cfg").exists());
        assert!(debian.path("var/lib/gridmon/gridmon.db").exists(), "removal keeps what was collected");
        debian.sh("dpkg -P gridmon");
        for gone in
            ["var/lib/gridmon", "var/log/gridmon", "etc/gridmon", "etc/logrotate.d/gridmon", "usr/share/gridmon"]
        {
            assert!(!debian.path(gone).exists(), "{gone}");
        }
        // Its number must not become somebody else's.
        assert!(debian.sh("getent passwd gridmon").contains("/nologin"));
    }
}

/// What an operator may have made before: the group, or the user with another group; a disk or a link in the place of the state; a
/// service that nobody but its user can restart.
#[test]
#[ignore = "builds everything: make test-all"]
fn the_debian_package_takes_what_is_there_and_says_what_it_leaves() {
    let test = "the_debian_package_takes_what_is_there_and_says_what_it_leaves";
    for before in ["groupadd --system gridmon", "useradd --system --no-user-group --gid nogroup gridmon"] {
        let Some(debian) = Debian::new("bookworm") else { return skip(test, "debootstrap") };
        fs::copy(file(&built().old, ".deb"), debian.path("old.deb")).unwrap();
        fs::copy(file(&built().new, ".deb"), debian.path("new.deb")).unwrap();
        debian.sh(before);
        debian.sh("dpkg -i /old.deb");
        assert!(debian.sh("id -Gn gridmon").split_whitespace().any(|group| group == "gridmon"), "{before}");
        set_up(&debian);
        debian.sh("su -s /bin/sh gridmon -c 'cd /var/lib/gridmon && collect-grid --list' >/dev/null");
        // This one is none of systemd's.
        debian.sh("su -s /bin/sh gridmon -c 'qagent --pidfile /var/lib/gridmon/pid stop'");
        let told = debian
            .sh("su -s /bin/sh gridmon -c 'qagent --pidfile /var/lib/gridmon/hand start' && dpkg -i /new.deb; \
             dpkg -r gridmon; kill $(head -n 1 /var/lib/gridmon/hand)");
        assert!(told.contains("was started by hand: it is still of the version before; restart it"), "{told}");
        assert!(told.contains("was started by hand: end it"), "{told}");
        debian.sh("mkdir /disk && mv /var/log/gridmon /disk/logs && ln -s /disk/logs /var/log/gridmon && touch /disk/logs/kept");
        let purged = debian.sh("mount -t tmpfs none /var/lib/gridmon && touch /var/lib/gridmon/x && dpkg -P gridmon; ls -A /var/lib/gridmon");
        assert!(purged.contains("/var/lib/gridmon stays") && !purged.ends_with("x\n"), "{purged}");
        assert!(purged.contains("/var/log/gridmon is a link") && debian.path("disk/logs/kept").exists(), "{purged}");
        assert_eq!(debian.sh("dpkg-query -W gridmon 2>/dev/null || echo gone"), "gone\n");
    }
}
