//! A Carbon that keeps what it has read.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use super::Mood;
use super::proof::{Key, is_report};
use super::stand_ins::read_messages;

/// A stand-in for Carbon that keeps what it has read as Carbon does: each message that came whole counts, whatever became
/// of the connection; of two values for one path and time the last wins.
#[derive(Clone)]
pub struct Keeper {
    /// The port it listens on.
    pub port: u16,
    inner: Arc<Inner>,
}

struct Inner {
    mood: Mutex<Mood>,
    kept: Mutex<Kept>,
    /// How many connections may be closed in the mood [`Mood::Good`]; `u64::MAX` for all.
    closes: Mutex<u64>,
    may_close: Condvar,
    read_to_end: AtomicU64,
}

#[derive(Default)]
struct Kept {
    values: BTreeMap<Key, f64>,
    /// Values that came for a path and time which had another one.
    changed: Vec<Key>,
    /// By connection: the times of the datapoints that came, in order.
    connections: Vec<BTreeSet<i64>>,
}

impl Keeper {
    /// Listens, at first in the mood [`Mood::Good`], until the test ends.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let inner = Arc::new(Inner {
            mood: Mutex::new(Mood::Good),
            kept: Mutex::default(),
            closes: Mutex::new(u64::MAX),
            may_close: Condvar::new(),
            read_to_end: AtomicU64::new(0),
        });
        let keeper = Self { port, inner };
        let this = keeper.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let this = this.clone();
                thread::spawn(move || this.serve(stream.unwrap()));
            }
        });
        keeper
    }

    /// Changes how connections from now on are treated.
    pub fn mood(&self, mood: Mood) {
        *self.inner.mood.lock().unwrap() = mood;
    }

    /// From now on connections are read to their end but closed only when [`Keeper::close`] says so.
    pub fn wait_before_closing(&self) {
        *self.inner.closes.lock().unwrap() = 0;
    }

    /// Closes so many connections that were read to their end, or will be; `u64::MAX` for all.
    pub fn close(&self, count: u64) {
        let mut closes = self.inner.closes.lock().unwrap();
        *closes = closes.saturating_add(count);
        self.inner.may_close.notify_all();
    }

    /// How many connections were read to their end.
    pub fn read_to_end(&self) -> u64 {
        self.inner.read_to_end.load(Ordering::SeqCst)
    }

    /// What it has, the reports of runs left out.
    pub fn values(&self) -> BTreeMap<Key, f64> {
        let kept = self.inner.kept.lock().unwrap();
        kept.values.iter().filter(|((path, _), _)| !is_report(path)).map(|(key, value)| (key.clone(), *value)).collect()
    }

    /// The reports of runs that it has.
    pub fn reports(&self) -> BTreeMap<Key, f64> {
        let kept = self.inner.kept.lock().unwrap();
        kept.values.iter().filter(|((path, _), _)| is_report(path)).map(|(key, value)| (key.clone(), *value)).collect()
    }

    /// What came twice with different values.
    pub fn changed(&self) -> Vec<Key> {
        self.inner.kept.lock().unwrap().changed.clone()
    }

    /// The slots that each connection brought, in the order of the connections' ends, reports left out.
    pub fn connections(&self) -> Vec<BTreeSet<i64>> {
        self.inner.kept.lock().unwrap().connections.clone()
    }

    /// Forgets everything but `values`.
    pub fn forget_all_but(&self, values: BTreeMap<Key, f64>) {
        *self.inner.kept.lock().unwrap() = Kept { values, ..Kept::default() };
    }

    fn serve(&self, mut stream: TcpStream) {
        let mood = *self.inner.mood.lock().unwrap();
        let mut bytes = Vec::new();
        match mood {
            Mood::Good => {
                let ended = read_messages(&mut stream, &mut bytes);
                self.keep(&bytes);
                if ended.is_ok_and(|is_whole| is_whole) {
                    self.inner.read_to_end.fetch_add(1, Ordering::SeqCst);
                    let mut closes = self.inner.closes.lock().unwrap();
                    while *closes == 0 {
                        closes = self.inner.may_close.wait(closes).unwrap();
                    }
                    if *closes != u64::MAX {
                        *closes -= 1;
                    }
                }
            }
            // Has read everything, and dies before it says so.
            Mood::Mute => {
                let _ = stream.read_to_end(&mut bytes);
                self.keep(&bytes);
                thread::sleep(Duration::from_secs(600));
            }
            Mood::Resets => {
                let mut some = [0; 600];
                let count = stream.read(&mut some).unwrap_or_default();
                self.keep(&some[..count]);
                // Closing with bytes unread makes the kernel send RST.
            }
            // At once, with nothing read. (Half-closing with bytes unread is what no kernel does for a process that ends, and
            // what nobody can tell from an acknowledgement.)
            Mood::Closes => {}
            Mood::Stopped | Mood::Slow => thread::sleep(Duration::from_secs(600)),
        }
    }

    fn keep(&self, bytes: &[u8]) {
        let mut kept = self.inner.kept.lock().unwrap();
        let mut slots = BTreeSet::new();
        let mut rest = bytes;
        while let Some((length, after)) = rest.split_at_checked(4) {
            let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
            let Some((message, after)) = after.split_at_checked(length) else { break };
            let datapoints: Vec<(String, (i64, f64))> =
                serde_pickle::from_slice(message, serde_pickle::DeOptions::new()).unwrap();
            for (path, (time, value)) in datapoints {
                if !is_report(&path) {
                    slots.insert(time);
                }
                let key = (path, time);
                if let Some(before) = kept.values.insert(key.clone(), value)
                    && before != value
                {
                    kept.changed.push(key);
                }
            }
            rest = after;
        }
        kept.connections.push(slots);
    }
}
