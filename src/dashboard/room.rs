//! Room for answers: the bytes that are kept or on their way to clients are counted, and bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Bytes;

/// The most bytes of answers.
const BYTES: usize = 24 << 20;

/// The most bytes while a small answer is made.
const BYTES_WITH_SMALL_ONES: usize = 32 << 20;

/// A small answer, in bytes.
const SMALL: usize = 64 << 10;

/// The bytes that are taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Room(Arc<AtomicUsize>);

/// A part of the room, given back on drop.
struct Part {
    room: Room,
    bytes: usize,
}

impl Drop for Part {
    fn drop(&mut self) {
        self.room.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The bytes of an answer in their part of the room.
struct Answer {
    bytes: Vec<u8>,
    _part: Part,
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Room {
    /// Returns the bytes as they are sent, which take room until nobody has them any more.
    ///
    /// # Errors
    /// Returns them as they were if there is no room.
    pub(super) fn hold(&self, bytes: Vec<u8>) -> Result<Bytes, Vec<u8>> {
        let count = bytes.capacity();
        let limit = if count <= SMALL { BYTES_WITH_SMALL_ONES } else { BYTES };
        let more = |taken: usize| taken.checked_add(count).filter(|taken| *taken <= limit);
        if self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_err() {
            return Err(bytes);
        }
        let part = Part { room: self.clone(), bytes: count };
        Ok(Bytes::from_owner(Answer { bytes, _part: part }))
    }

    /// Returns the number of bytes that are taken.
    pub(super) fn taken(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_has_any_more_takes_no_room() {
        let room = Room::default();
        let large = room.hold(vec![0; BYTES]).unwrap();
        let again = large.slice(..1);
        assert_eq!(room.taken(), BYTES);
        assert!(room.hold(vec![0; SMALL + 1]).is_err());
        let small = room.hold(vec![0; SMALL]).unwrap();
        drop(large);
        assert_eq!(room.taken(), BYTES + SMALL, "a part of it is on its way");
        drop((again, small));
        assert_eq!(room.taken(), 0);
    }
}
