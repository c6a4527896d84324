//! The connections: where each comes from, whose turn it is, and who goes first when every place is taken.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// For how long an answer must have been on its way before room is made at its cost.
const SLOW: Duration = Duration::from_secs(2);

/// A connection.
#[derive(Debug)]
pub struct Guest {
    /// Where it comes from.
    pub address: IpAddr,
    /// When it became the client's turn, to ask or to take the answer, in milliseconds of the clock of [`Guests`]; `NEVER`
    /// while its question is being answered.
    since: AtomicU64,
    /// Whether the client takes the answer more slowly than it comes.
    is_full: AtomicBool,
    /// Tells the connection to end.
    pub leave: Notify,
    began: Instant,
}

const NEVER: u64 = u64::MAX;

impl Guest {
    /// It has asked something.
    pub fn asks(&self) {
        self.since.store(NEVER, Ordering::Relaxed);
    }

    /// It is its turn again.
    pub fn is_answered(&self) {
        self.since.store(self.began.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// Whether the client takes the answer more slowly than it comes.
    pub fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Relaxed);
    }

    /// Returns since when it is the client's turn, unless it is not.
    fn since(&self) -> Option<u64> {
        Some(self.since.load(Ordering::Relaxed)).filter(|since| *since != NEVER)
    }

    fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }
}

/// All connections.
#[derive(Debug)]
pub struct Guests {
    began: Instant,
    places: usize,
    guests: Mutex<(u64, HashMap<u64, Arc<Guest>>)>,
}

/// The place of a connection, given back on drop.
#[derive(Debug)]
pub struct Place {
    guests: Arc<Guests>,
    number: u64,
    /// The connection.
    pub guest: Arc<Guest>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.guests.lock().1.remove(&self.number);
    }
}

impl Guests {
    /// Makes room for so many connections.
    pub fn new(places: usize) -> Self {
        Self { began: Instant::now(), places, guests: Mutex::default() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (u64, HashMap<u64, Arc<Guest>>)> {
        self.guests.lock().expect("nothing panics while it is held")
    }

    /// Gives a new connection a place. When none is free, another one must go; returns `None` if none can, since all of
    /// them are being answered.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        if self.lock().1.len() >= self.places && !self.send_away_an_idle_one() {
            return None;
        }
        let guest = Arc::new(Guest {
            address,
            since: AtomicU64::default(),
            is_full: AtomicBool::default(),
            leave: Notify::new(),
            began: self.began,
        });
        guest.is_answered();
        let mut guests = self.lock();
        guests.0 += 1;
        let number = guests.0;
        guests.1.insert(number, guest.clone());
        drop(guests);
        Some(Place { guests: self.clone(), number, guest })
    }

    /// Returns how many connections there are.
    pub fn count(&self) -> usize {
        self.lock().1.len()
    }

    /// Ends the connection that has been idle for the longest, of the address that has the most; where none is idle, one
    /// that is being read. Returns whether there was one.
    pub fn send_away_an_idle_one(&self) -> bool {
        let mut guests = self.lock();
        let mut of_address = HashMap::<IpAddr, usize>::new();
        for guest in guests.1.values() {
            *of_address.entry(guest.address).or_default() += 1;
        }
        let goes = guests
            .1
            .iter()
            .filter_map(|(number, guest)| {
                Some((of_address[&guest.address], !guest.is_full(), Reverse((guest.since()?, *number))))
            })
            .max();
        let gone = goes.and_then(|(.., Reverse((_, number)))| guests.1.remove(&number));
        gone.inspect(|guest| guest.leave.notify_one()).is_some()
    }

    /// Ends the connection that has been taking its answer for the longest, more slowly than it comes.
    pub fn send_away_a_slow_one(&self) {
        let now = self.began.elapsed().as_millis() as u64;
        let mut guests = self.lock();
        let is_slow =
            |guest: &Guest| guest.since().filter(|since| guest.is_full() && now - since > SLOW.as_millis() as u64);
        let goes = guests.1.iter().filter_map(|(number, guest)| Some((is_slow(guest)?, *number))).min();
        if let Some(guest) = goes.and_then(|(_, number)| guests.1.remove(&number)) {
            guest.leave.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_idle_of_the_address_with_the_most_goes_first() {
        let guests = Arc::new(Guests::new(4));
        let address = |last: u8| IpAddr::from([192, 0, 2, last]);
        let enter = |last: u8, since: u64| {
            let place = guests.enter(address(last)).unwrap();
            place.guest.since.store(since, Ordering::Relaxed);
            place
        };
        let (quiet, reads, idle, busy) = (enter(1, 0), enter(2, 1), enter(2, 2), enter(2, 0));
        reads.guest.set_full(true);
        busy.guest.asks();
        let is_here = |place: &Place| guests.lock().1.contains_key(&place.number);
        let of_these = || [&quiet, &reads, &idle, &busy].map(is_here);
        let _first = enter(3, 9);
        assert_eq!(of_these(), [true, true, false, true], "idle before one that is being read");
        let _second = enter(3, 9);
        assert_eq!(of_these(), [true, false, false, true]);
        let (third, fourth) = (enter(3, 9), enter(3, 9));
        assert_eq!(of_these(), [true, false, false, true], "who has the most pays");
        drop((third, fourth));
        for guest in guests.lock().1.values() {
            guest.asks();
        }
        let _third = enter(3, NEVER);
        let _fourth = guests.enter(address(3)).map(|place| place.guest.asks());
        let count = guests.lock().1.len();
        assert_eq!(count, 3, "a dropped place is free");
    }

    #[test]
    fn everybody_who_is_being_answered_stays() {
        let guests = Arc::new(Guests::new(2));
        let places = [1, 2].map(|last| guests.enter(IpAddr::from([192, 0, 2, last])).unwrap());
        places.iter().for_each(|place| place.guest.asks());
        assert!(guests.enter(IpAddr::from([192, 0, 2, 3])).is_none());
        places[0].guest.is_answered();
        assert!(guests.enter(IpAddr::from([192, 0, 2, 3])).is_some());
    }
}
