//! collect-instances with an object store: s3s-fs, a real one, and played instances (demo/libvirt.rs).

mod answers;
#[path = "../../demo/libvirt.rs"]
mod player;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use gridmon_testkit::sandbox::{Outcome, Sandbox};
use gridmon_testkit::{S3, program, skip};

/// The first slot; a full hour, so that a row of half an hour and one of two hours end with it.
const SLOT: i64 = 1_717_243_200;

const INSTANCES: usize = 3;

/// A host of three instances, with files in rrdtool's format and an object store.
struct Host {
    player: player::Player,
    sandbox: Sandbox,
}

impl Host {
    fn start() -> Self {
        let sandbox = Sandbox::new("small");
        let player = player::Player::start(&sandbox.path("libvirt"), INSTANCES).unwrap();
        Self { player, sandbox }
    }

    fn config(&self, url: &str, more: &str) {
        self.config_of(240, url, more);
    }

    fn config_of(&self, deadline: u64, url: &str, more: &str) {
        let text = format!(
            "[grid]\nname = lab\n[libvirt]\nsocket = {}\ndeadline_seconds = {deadline}\n[state]\ndirectory = {state}\n[rrd]\ndirectory = {state}/rrd\n\
             [s3]\nurl = {url}\n{more}\n",
            self.player.socket.display(),
            state = self.sandbox.path("state").display(),
        );
        let path = self.sandbox.write("config.cfg", text);
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn command(&self, name: &str, arguments: &[&str]) -> Outcome {
        let mut command = Command::new(program(name));
        command.args(arguments).current_dir(self.sandbox.path("")).env_clear().env("PATH", "/usr/bin:/bin");
        Outcome::of(command.env("HOME", self.sandbox.path("")))
    }

    /// Runs the program in a slot where the bucket's name is that of a host, with keys in its environment; `None` without the right
    /// to mount.
    fn named(&self, slot: i64, secret: Option<&str>) -> Option<Outcome> {
        let now = SLOT + 300 * slot;
        self.player.at(now);
        let hosts = self.sandbox.write("hosts", "127.0.0.1 localhost gridmon-graphs.localhost\n");
        let mount = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
        let inside = |words: &[&str]| {
            let mut command = Command::new("unshare");
            command.args(["-m", "--propagation", "private", "sh", "-c", mount]).arg(&hosts).args(words);
            command.current_dir(self.sandbox.path("")).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
            command.env("HOME", self.sandbox.path("")).env("LAB_KEY", S3::KEY);
            secret.inspect(|secret| _ = command.env("LAB_SECRET", secret));
            Outcome::of(&mut command)
        };
        (inside(&["true"]).code == Some(0)).then_some(())?;
        let program = program("collect-instances");
        Some(inside(&[program.to_str().unwrap(), "--verbose", "--now", &now.to_string()]))
    }

    /// Runs the program in a slot, counted from the first.
    fn run(&self, slot: i64) -> Outcome {
        let now = SLOT + 300 * slot;
        self.player.at(now);
        self.command("collect-instances", &["--verbose", "--now", &now.to_string()])
    }

    fn good(&self, slot: i64) {
        let outcome = self.run(slot);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    }
}

fn keys(secret: &str) -> String {
    format!("access_key = {}\nsecret_key = {secret}", S3::KEY)
}

/// The files below a folder, as paths from there.
fn below(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(below(&entry.path()).into_iter().map(|path| format!("{name}/{path}"))),
            false if name.ends_with(".png") => _ = found.insert(name),
            // What s3s-fs keeps for itself.
            false => {}
        }
    }
    found
}

fn uuid(instance: usize) -> String {
    format!("{:08x}-0000-4000-8000-{instance:012x}", (instance as u32).wrapping_mul(0x9E37_79B9))
}

/// The names of the graphs of all instances.
fn all(spans: &[&str]) -> BTreeSet<String> {
    let of = |instance| spans.iter().flat_map(move |span| ["cpu", "net", "disk"].map(|file| (instance, file, *span)));
    (1..=INSTANCES).flat_map(of).map(|(instance, file, span)| format!("{}/{file}-{span}.png", uuid(instance))).collect()
}

#[test]
fn a_real_store_gets_each_graph_when_its_rows_have_changed() {
    let Some(mut store) = S3::start() else { return skip("a_real_store_gets_each_graph", "s3s-fs") };
    let host = Host::start();
    let url = format!("http://127.0.0.1:{}", store.port);
    host.config(&url, &format!("bucket = gridmon-graphs\n{}", keys(S3::SECRET)));
    let checked = host.command("collect-instances", &["--check"]);
    assert!(
        checked.stdout.contains(&format!(
            "ok      s3        {url}/ answers, without bucket gridmon-graphs; the first run makes it"
        )),
        "{checked:?}"
    );
    // A rate needs two readings.
    host.good(0);
    assert_eq!(below(&store.objects()), BTreeSet::new());
    host.good(1);
    let bucket = store.objects().join("gridmon-graphs");
    assert_eq!(below(&bucket), all(&["1d", "1w", "1m"]));
    for name in all(&["1d"]) {
        let (series, graph) = name.split_once('/').unwrap();
        let (file, span) = graph.trim_end_matches(".png").split_once('-').unwrap();
        let drawn = host.command("gridmon-status", &["graph", series, file, span, "-o", "drawn.png"]);
        assert_eq!(drawn.code, Some(0), "{drawn:?}");
        assert!(fs::read(bucket.join(&name)).unwrap() == fs::read(host.sandbox.path("drawn.png")).unwrap(), "{name}");
    }
    // Only a day has a new row, so only days are drawn. What was removed in the store is not missed until it changes.
    let clear = || all(&["1d", "1w", "1m"]).iter().for_each(|name| _ = fs::remove_file(bucket.join(name)));
    clear();
    host.good(2);
    assert_eq!(below(&bucket), all(&["1d"]));
    // The same slot once more changes nothing.
    clear();
    host.good(2);
    assert_eq!(below(&bucket), BTreeSet::new());
    (3..6).for_each(|slot| host.good(slot));
    clear();
    host.good(6);
    assert_eq!(below(&bucket), all(&["1d", "1w"]), "half an hour is full");
    let checked = host.command("collect-instances", &["--check"]);
    assert!(checked.stdout.contains("has bucket gridmon-graphs; graphs are sent unencrypted"), "{checked:?}");

    // A store that is down costs one attempt, and gets everything in the first run that finds it.
    clear();
    store.kill();
    let down = host.run(7);
    assert_eq!(down.code, Some(1), "{down:?}");
    assert!(down.stderr.contains("s3: PUT http://127.0.0.1"), "{down:?}");
    assert!(
        down.stderr.contains("; 9 of 9 graphs wait for the next run, the first since 2024-06-01 12:35 UTC"),
        "{down:?}"
    );
    store.restart();
    host.good(7);
    assert_eq!(below(&bucket), all(&["1d"]));
}

#[test]
fn each_instance_may_have_a_bucket_of_its_own() {
    let Some(store) = S3::start() else { return skip("each_instance_may_have_a_bucket", "s3s-fs") };
    let host = Host::start();
    let more = format!("bucket = {{instance}}.monitor\nregion = eu-central-1\n{}", keys(S3::SECRET));
    host.config(&format!("http://127.0.0.1:{}/", store.port), &more);
    (0..2).for_each(|slot| host.good(slot));
    for instance in 1..=INSTANCES {
        let bucket = store.objects().join(format!("{}.monitor", uuid(instance)));
        assert_eq!(below(&bucket).len(), 9, "{}", bucket.display());
    }
}

/// As Amazon wants it, and with keys that do not stand in the file.
#[test]
fn the_bucket_may_stand_in_the_name_of_the_host_and_the_keys_in_the_environment() {
    let Some(store) = S3::start() else { return skip("the_bucket_may_stand_in_the_name_of_the_host", "s3s-fs") };
    let host = Host::start();
    let keys = "bucket = gridmon-graphs\nstyle = host\naccess_key = ${LAB_KEY}\nsecret_key = ${LAB_SECRET}";
    host.config(&format!("http://localhost:{}", store.port), keys);
    let Some(first) = host.named(0, Some(S3::SECRET)) else {
        return skip("the_bucket_may_stand_in_the_name_of_the_host", "the right to mount (root)");
    };
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let second = host.named(1, Some(S3::SECRET)).unwrap();
    assert_eq!(second.code, Some(0), "{}", second.stderr);
    let bucket = store.objects().join("gridmon-graphs");
    assert_eq!(below(&bucket), all(&["1d", "1w", "1m"]));
    // Another secret is refused and not shown; none at all is an error of the config.
    let other = host.named(2, Some("quite+wrong/secret")).unwrap();
    assert_eq!(other.code, Some(1), "{}", other.stderr);
    assert!(
        other.stderr.contains("SignatureDoesNotMatch") && !other.stderr.contains("quite+wrong"),
        "{}",
        other.stderr
    );
    let none = host.named(3, None).unwrap();
    assert!(none.code == Some(2) && none.stderr.contains("LAB_SECRET"), "{}", none.stderr);
    // Where nobody knows a host of that name, nothing is sent: the bucket does stand there.
    host.config(
        &format!("http://localhost:{}", store.port),
        &format!("bucket = gridmon-graphs\nstyle = host\n{}", self::keys(S3::SECRET)),
    );
    let unknown = host.run(4);
    assert!(unknown.code == Some(1) && unknown.stderr.contains("gridmon-graphs.localhost"), "{}", unknown.stderr);
}

#[test]
fn a_real_store_refuses_wrong_keys_and_no_output_shows_them() {
    let Some(store) = S3::start() else { return skip("a_real_store_refuses_wrong_keys", "s3s-fs") };
    let host = Host::start();
    let url = format!("http://127.0.0.1:{}", store.port);
    let (secret, file) = ("quite+wrong/secret", host.sandbox.path("secret"));
    host.sandbox.write("secret", secret);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    for (keys, said) in [
        (keys(secret), "answered HTTP 403 SignatureDoesNotMatch: [s3] secret_key is not that of access_key"),
        (keys(&format!("file:{}", file.display())), "HTTP 403 SignatureDoesNotMatch"),
        (
            "access_key = AKIDOTHER\nsecret_key = quite+wrong/secret".into(),
            "HTTP 403 NotSignedUp: it does not know [s3] access_key",
        ),
    ] {
        host.config(&url, &format!("bucket = gridmon-graphs\n{keys}"));
        (0..2).for_each(|slot| drop(host.run(slot)));
        let outputs = [host.run(2), host.command("collect-instances", &["--check"])];
        for Outcome { code, stdout, stderr, .. } in outputs {
            assert_eq!(code, Some(1), "{stdout}{stderr}");
            assert!(format!("{stdout}{stderr}").contains(said), "{stdout}{stderr}");
            assert!(!format!("{stdout}{stderr}").contains(secret) && !format!("{stdout}{stderr}").contains("X-Amz"));
        }
        fs::remove_dir_all(host.sandbox.path("state")).unwrap();
    }
}
