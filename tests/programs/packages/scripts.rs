//! The scripts of dist/ that pack, in the gate: with stand-ins for the programs, which take minutes to build for an old glibc.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use gridmon_testkit::{TempDir, programs, root, skip};

use super::{run, text};

#[test]
fn what_is_packed_leads_somewhere_and_names_its_own_folders() {
    let folder = TempDir::new();
    let programs: Vec<_> = programs().into_iter().filter(|name| name != "gridmon-demo").collect();
    for part in ["bin", "manuals/man1", "manuals/bash", "manuals/zsh", "manuals/fish"] {
        fs::create_dir_all(folder.path().join(part)).unwrap();
    }
    for name in &programs {
        let path = folder.write(&format!("bin/{name}"), "#!/bin/sh\n");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        for manual in
            [format!("man1/{name}.1"), format!("bash/{name}.bash"), format!("zsh/_{name}"), format!("fish/{name}.fish")]
        {
            folder.write(&format!("manuals/{manual}"), "");
        }
    }
    let script = |name: &str| {
        let mut command = Command::new(root().join("dist").join(name));
        command.current_dir(root()).env("DIST_MANUALS", folder.path().join("manuals"));
        command.envs([("SOURCE_DATE_EPOCH", "1717245000"), ("DIST_VERSION", "1.0.0")]);
        command
    };
    for (package, programs) in [("gridmon", programs.as_slice()), ("gridmon-agent", &["qagent".to_string()])] {
        let tree = folder.path().join(package);
        run(script("tree.sh").arg(package).arg(&tree).arg(folder.path().join("bin")).args(programs));
        let doc = tree.join("usr/share/doc").join(package);
        let pages = text(Command::new("find").arg(&doc).args(["-name", "*.md"]));
        let (mut links, mut dead) = (0, Vec::new());
        for page in pages.lines() {
            for rest in fs::read_to_string(page).unwrap().split("](").skip(1) {
                let link = rest.split([')', '#']).next().unwrap();
                let is_file = !link.is_empty() && !link.contains("://") && !link.contains(char::is_whitespace);
                links += usize::from(is_file);
                if is_file && !Path::new(page).parent().unwrap().join(link).exists() {
                    dead.push(format!("{page}: {link}"));
                }
            }
        }
        assert!(links > 100 && dead.is_empty(), "{links} links, dead: {dead:#?}");

        let tarball = folder.path().join(format!("{package}-x.tar.gz"));
        run(script("tarball.sh").arg(&tree).arg(&tarball));
        run(Command::new("tar").arg("-xf").arg(&tarball).arg("-C").arg(folder.path()));
        let unpacked = folder.path().join(format!("{package}-x"));
        let elsewhere =
            Command::new("grep").args(["-rlE", "[ =\"]/usr/bin/"]).arg(unpacked.join("lib")).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&elsewhere.stdout), "", "units of the tarball start what it has");
        let unit = fs::read_to_string(unpacked.join("lib/systemd/system/qagent.service")).unwrap();
        assert!(unit.contains("ExecStart=/usr/local/bin/qagent "), "{unit}");
        let unit = fs::read_to_string(tree.join("usr/lib/systemd/system/qagent.service")).unwrap();
        assert!(unit.contains("ExecStart=/usr/bin/qagent "), "{unit}");
        if Command::new("dpkg-deb").arg("--version").output().is_err() {
            return skip("what_is_packed_leads_somewhere_and_names_its_own_folders", "dpkg-deb");
        }
        let deb = folder.path().join(format!("{package}.deb"));
        run(script("deb.sh").arg(package).arg(&tree).arg(&deb));
        let list = text(Command::new("dpkg-deb").arg("--contents").arg(&deb));
        assert!(list.contains("./usr/share/zsh/vendor-completions/_qagent"), "{list}");
        assert!(!list.contains("site-functions"), "Debian's zsh does not look there: {list}");
    }
}
