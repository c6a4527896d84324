//! A stand-in for libvirtd: plays generated instances over libvirt's own protocol. The form of its answers was recorded from libvirt
//! 9.0; the numbers are a function of the time. Serves the demo and the benchmark.
#![allow(dead_code)] // Each of them takes what it needs.

use std::collections::HashMap;
use std::f64::consts::TAU;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use gridmon::sources::libvirt::xdr::{Reader, Writer};

/// A libvirtd that plays; it is served until the process ends.
pub struct Player {
    /// Its socket, removed on drop.
    pub socket: PathBuf,
    time: Arc<AtomicI64>,
    /// How long a QEMU takes to answer, in µs.
    pace: Arc<AtomicU64>,
}

/// The projects and flavors of the instances.
const PROJECTS: [&str; 3] =
    ["1f0c9a3b5d7e4f60a1b2c3d4e5f60718", "2a1d8b4c6e9f4a71b2c3d4e5f6071829", "3b2e7c5d8fa04b82c3d4e5f60718293a"];
const FLAVORS: [(&str, u64); 3] = [("c1.small", 1), ("c2.medium", 2), ("c8.large", 8)];

impl Player {
    /// Listens at `socket` and plays `instances` instances; [`Self::at`] sets the time.
    ///
    /// # Errors
    /// Fails if the socket cannot be made.
    pub fn start(socket: &Path, instances: usize) -> io::Result<Self> {
        match fs::remove_file(socket) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(socket)?;
        let (time, pace) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicU64::new(0)));
        let host = Arc::new(Host { instances, time: time.clone(), pace: pace.clone(), told: Mutex::default() });
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let host = host.clone();
                thread::spawn(move || {
                    // A client that went needs no answer.
                    let _ = host.serve(stream);
                });
            }
        });
        Ok(Self { socket: socket.into(), time, pace })
    }

    /// Sets how long each QEMU takes to answer; at once by default.
    pub fn pace(&self, each: Duration) {
        self.pace.store(u64::try_from(each.as_micros()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// Sets the time whose slot is played, in unix seconds.
    pub fn at(&self, time: i64) {
        self.time.store(time, Ordering::SeqCst);
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.socket);
    }
}

struct Host {
    instances: usize,
    time: Arc<AtomicI64>,
    pace: Arc<AtomicU64>,
    /// The time of the encoded answers, and they.
    told: Mutex<(i64, Told)>,
}

/// Encoded counters, by instance and groups.
type Told = HashMap<(usize, u32), Vec<u8>>;

impl Host {
    fn serve(&self, mut stream: UnixStream) -> io::Result<()> {
        loop {
            let mut head = [0; 28];
            stream.read_exact(&mut head)?;
            let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
            let (length, procedure, serial) = (word(0) as usize, word(12), word(20));
            let mut body = vec![0; length.saturating_sub(28).min(1 << 20)];
            stream.read_exact(&mut body)?;
            let (status, answer) = match self.answer(procedure, &body) {
                Some(answer) => (0, answer),
                None => (1, Writer::default().i32(80).i32(10).some_text("metadata not found").u32(1).0),
            };
            let frame = Writer::default().u32(28 + answer.len() as u32).u32(0x2000_8086).u32(1).u32(procedure);
            stream.write_all(&frame.u32(1).u32(serial).u32(status).bytes(&answer).0)?;
        }
    }

    /// Returns the body of a reply; `None` for metadata that is not there.
    fn answer(&self, procedure: u32, body: &[u8]) -> Option<Vec<u8>> {
        Some(match procedure {
            66 => Writer::default().u32(1).i32(0).0,
            157 => Writer::default().bytes(&9_000_000_u64.to_be_bytes()).0,
            273 => {
                let list = (0..self.instances).fold(Writer::default().u32(self.instances as u32), put);
                list.u32(self.instances as u32).0
            }
            344 => self.stats(body)?,
            265 => metadata(body)?,
            _ => Vec::new(),
        })
    }

    fn stats(&self, body: &[u8]) -> Option<Vec<u8>> {
        let mut reader = Reader::new(body);
        let mut asked = Vec::new();
        for _ in 0..reader.u32().ok()? {
            asked.push(number(&mut reader)?);
        }
        let groups = reader.u32().ok()?;
        if asked.is_empty() {
            asked = (0..self.instances).collect();
        }
        asked.retain(|instance| *instance < self.instances);
        // State and interfaces are known without QEMU.
        if groups & !(1 | 16) != 0 {
            let pace = Duration::from_micros(self.pace.load(Ordering::SeqCst));
            thread::sleep(pace.saturating_mul(asked.len() as u32));
        }
        let time = self.time.load(Ordering::SeqCst);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.0 != time {
            *told = (time, HashMap::new());
        }
        let answer = asked.iter().fold(Writer::default().u32(asked.len() as u32), |answer, instance| {
            answer.bytes(told.1.entry((*instance, groups)).or_insert_with(|| counters(*instance, groups, time).0))
        });
        Some(answer.0)
    }
}

/// Adds an instance's name, UUID and run.
fn put(to: Writer, instance: usize) -> Writer {
    let mut uuid = [0; 16];
    (uuid[6], uuid[8]) = (0x40, 0x80);
    uuid[..4].copy_from_slice(&(instance as u32 + 1).wrapping_mul(0x9E37_79B9).to_be_bytes());
    uuid[12..].copy_from_slice(&(instance as u32 + 1).to_be_bytes());
    to.text(&format!("instance-{:08x}", instance + 1)).bytes(&uuid).i32(instance as i32 + 1)
}

/// Reads an instance's name, UUID and run; returns which one it is.
fn number(reader: &mut Reader) -> Option<usize> {
    let (_, uuid, _) = (reader.text().ok()?, reader.uuid().ok()?, reader.i32().ok()?);
    (u32::from_be_bytes([uuid[12], uuid[13], uuid[14], uuid[15]]) as usize).checked_sub(1)
}

fn metadata(body: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader::new(body);
    let instance = number(&mut reader)?;
    let (flavor, project) = (FLAVORS[instance % 3].0, PROJECTS[instance / 2 % 3]);
    let number = instance + 1;
    let xml = format!(
        "<instance>\n  <name>made-up-{number}</name>\n  <flavor name=\"{flavor}\"/>\n  <owner>\n    <project uuid=\"{project}\">made-up</project>\n  </owner>\n</instance>\n"
    );
    Some(Writer::default().text(&xml).0)
}

/// Returns how much has come together until `time`, at `mean` a second in a day with a wave.
fn until(time: i64, mean: f64, instance: usize) -> u64 {
    let (day, phase) = (86_400.0, instance as f64);
    let angle = TAU * time.rem_euclid(86_400) as f64 / day + phase;
    // The integral of 1 + 0.8 sin; the constant keeps it from being negative.
    let waves = 0.8 * day / TAU * (phase.cos() - angle.cos());
    ((time as f64 + waves + day) * mean) as u64
}

/// Returns the counters of an instance at a time.
fn counters(instance: usize, groups: u32, time: i64) -> Writer {
    let of = |mean: f64| until(time, mean, instance);
    let (_, vcpus) = FLAVORS[instance % 3];
    let load = 0.05 + 0.5 * (instance * 7 % 10) as f64 / 10.0;
    // One is off, and one is paused.
    let state = match instance % 20 {
        17 => 5,
        11 => 3,
        _ => 1,
    };
    let is_moving = f64::from(u8::from(state == 1));
    let mut pairs = Pairs::default();
    pairs.int("state.state", state);
    pairs.int("state.reason", 1);
    if groups & 2 != 0 {
        for (key, part) in [("cpu.time", 1.0), ("cpu.user", 0.8), ("cpu.system", 0.2)] {
            pairs.long(key, of(1e9 * load * vcpus as f64 * part * is_moving));
        }
    }
    if groups & 4 != 0 {
        let memory = vcpus << 21;
        pairs.long("balloon.current", memory);
        pairs.long("balloon.maximum", memory);
        if state != 5 {
            pairs.long("balloon.last-update", u64::try_from(time - 5).unwrap_or_default());
            pairs.long("balloon.available", memory / 100 * 98);
            pairs.long("balloon.usable", memory / 100 * (30 + instance as u64 % 50));
            pairs.long("balloon.unused", memory / 100 * 20);
            pairs.long("balloon.rss", memory / 100 * 70);
        }
    }
    if groups & 8 != 0 {
        pairs.unsigned("vcpu.current", vcpus as u32);
        pairs.unsigned("vcpu.maximum", vcpus as u32);
        for vcpu in 0..if state == 5 { 0 } else { vcpus } {
            pairs.int(&format!("vcpu.{vcpu}.state"), 1);
            pairs.long(&format!("vcpu.{vcpu}.time"), of(1e9 * load * is_moving));
            pairs.long(&format!("vcpu.{vcpu}.wait"), 0);
            pairs.long(&format!("vcpu.{vcpu}.delay"), of(2e7 * load * is_moving));
        }
    }
    if groups & 16 != 0 && state != 5 {
        devices(
            &mut pairs,
            instance,
            "net",
            &format!("tap{:08x}-{:02x}", instance * 77 + 1, instance % 256),
            &of,
            is_moving,
        );
    }
    if groups & 32 != 0 {
        devices(&mut pairs, instance, "block", "vda", &of, is_moving);
    }
    put(Writer::default(), instance).u32(pairs.count).bytes(&pairs.encoded.0)
}

fn devices(pairs: &mut Pairs, instance: usize, group: &str, name: &str, of: &impl Fn(f64) -> u64, is_moving: f64) {
    pairs.unsigned(&format!("{group}.count"), 1);
    pairs.text(&format!("{group}.0.name"), name);
    let scale = is_moving * 10_f64.powi(3 + instance as i32 % 4);
    let rates: &[(&str, f64)] = if group == "net" {
        &[
            ("rx.bytes", 90.0),
            ("rx.pkts", 0.1),
            ("rx.errs", 0.0),
            ("rx.drop", 0.0),
            ("tx.bytes", 25.0),
            ("tx.pkts", 0.05),
            ("tx.errs", 0.0),
            ("tx.drop", 0.0),
        ]
    } else {
        &[
            ("rd.reqs", 0.002),
            ("rd.bytes", 40.0),
            ("rd.times", 900.0),
            ("wr.reqs", 0.004),
            ("wr.bytes", 60.0),
            ("wr.times", 2000.0),
            ("fl.reqs", 0.0002),
            ("fl.times", 500.0),
        ]
    };
    for (key, rate) in rates {
        pairs.long(&format!("{group}.0.{key}"), of(rate * scale));
    }
    if group == "block" {
        pairs.long("block.0.allocation", 6 << 30);
        pairs.long("block.0.capacity", 20 << 30);
        pairs.long("block.0.physical", 6 << 30);
    }
}

/// Pairs of key and value, as STATS has them.
#[derive(Default)]
struct Pairs {
    count: u32,
    encoded: Writer,
}

impl Pairs {
    fn add(&mut self, key: &str, kind: u32, value: impl FnOnce(Writer) -> Writer) {
        self.count += 1;
        self.encoded = value(std::mem::take(&mut self.encoded).text(key).u32(kind));
    }

    fn int(&mut self, key: &str, value: i32) {
        self.add(key, 1, |to| to.i32(value));
    }

    fn unsigned(&mut self, key: &str, value: u32) {
        self.add(key, 2, |to| to.u32(value));
    }

    fn long(&mut self, key: &str, value: u64) {
        self.add(key, 4, |to| to.bytes(&value.to_be_bytes()));
    }

    fn text(&mut self, key: &str, value: &str) {
        self.add(key, 7, |to| to.text(value));
    }
}
