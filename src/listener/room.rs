//! Room for what is being received: the bytes of all requests and streams together are bounded.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The size of a step, as a power of two.
const SHIFT: usize = 12;

/// The bytes that may be received at once, in steps.
#[derive(Clone, Debug)]
pub(super) struct Room {
    free: Arc<Semaphore>,
    steps: usize,
}

impl Room {
    /// Returns a room of so many bytes.
    pub fn new(bytes: usize) -> Self {
        let steps = bytes >> SHIFT;
        Self { free: Arc::new(Semaphore::new(steps)), steps }
    }

    /// Returns a share that has nothing yet.
    pub fn share(&self) -> Share {
        Share { room: self.clone(), held: None }
    }

    /// Returns how many bytes are taken.
    pub fn taken(&self) -> usize {
        (self.steps - self.free.available_permits()) << SHIFT
    }
}

/// What one request or stream has of the room; given back on drop.
#[derive(Debug)]
pub(super) struct Share {
    room: Room,
    held: Option<OwnedSemaphorePermit>,
}

impl Share {
    /// Makes the share hold so many bytes. Returns `false` if there is no room for them.
    pub fn grow_to(&mut self, bytes: usize) -> bool {
        let held = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let needed = bytes.div_ceil(1 << SHIFT).saturating_sub(held);
        if needed == 0 {
            return true;
        }
        let Ok(needed) = u32::try_from(needed) else { return false };
        let Ok(more) = self.room.free.clone().try_acquire_many_owned(needed) else { return false };
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_shares_together_are_bounded_and_given_back() {
        let room = Room::new(96 << 20);
        let (mut one, mut other) = (room.share(), room.share());
        assert!(one.grow_to(90 << 20) && one.grow_to(1));
        assert!(other.grow_to(5 << 20) && !other.grow_to(7 << 20));
        assert_eq!(room.taken(), 95 << 20);
        drop(one);
        assert!(other.grow_to(7 << 20));
        drop(other);
        assert_eq!(room.taken(), 0);
    }
}
