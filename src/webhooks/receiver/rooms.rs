//! The capacity of a receiver.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::telemetry::meter;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// The limits of deliveries that are held and handled.
pub(super) struct Rooms {
    places: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    running: Semaphore,
    /// The slots and bytes of deliveries that wait for a retry.
    retry_places: Arc<Semaphore>,
    retry_bytes: Arc<Semaphore>,
    taken: Arc<Taken>,
    most_bytes: u32,
    most_running: usize,
}

/// The limits that a receiver is built with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) queue: (u32, u32),
    pub(super) retries: (u32, u32),
    pub(super) running: u32,
}

/// The slot of a delivery and its bytes, until it is dropped.
pub(super) struct Room {
    _place: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
    size: u32,
    retries: bool,
    /// It is given up unhandled, since the receiver shuts down.
    left: bool,
    taken: Arc<Taken>,
    _queued: meter::InFlight,
}

/// The amount in use, which the semaphores do not show while a delivery waits for many bytes.
#[derive(Default)]
struct Taken {
    places: AtomicUsize,
    bytes: AtomicUsize,
    retries: AtomicUsize,
    /// Deliveries that occupy a slot, or gave it up with [`Room::leave`]: one number, so that none is counted twice on
    /// its way from the one to the other.
    unhandled: AtomicUsize,
    free: Notify,
}

impl Rooms {
    pub(super) fn new(bounds: Bounds) -> Self {
        // At most as many as a semaphore supports, on every platform.
        let semaphore = |most: u32| Semaphore::new((most as usize).min(Semaphore::MAX_PERMITS));
        Self {
            places: Arc::new(semaphore(bounds.queue.0)),
            bytes: Arc::new(semaphore(bounds.queue.1)),
            running: semaphore(bounds.running),
            retry_places: Arc::new(semaphore(bounds.retries.0)),
            retry_bytes: Arc::new(semaphore(bounds.retries.1)),
            taken: Arc::default(),
            most_bytes: bounds.queue.1,
            most_running: bounds.running as usize,
        }
    }

    /// Moves a failed delivery from the queue to the retries, if these have capacity, so that it does not occupy
    /// capacity for new ones while it waits.
    pub(super) fn set_aside(&self, room: &mut Room) {
        if room.retries {
            return;
        }
        let place = Arc::clone(&self.retry_places).try_acquire_owned();
        let bytes = Arc::clone(&self.retry_bytes).try_acquire_many_owned(room.size);
        if let (Ok(place), Ok(bytes)) = (place, bytes) {
            (room._place, room._bytes, room.retries) = (place, bytes, true);
            self.taken.retries.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Returns how many occupy a slot, or gave it up with [`Room::leave`].
    pub(super) fn unhandled(&self) -> usize {
        self.taken.unhandled.load(Ordering::Acquire)
    }

    /// Returns how many of those wait for a retry.
    pub(super) fn retries(&self) -> usize {
        self.taken.retries.load(Ordering::Acquire)
    }

    /// Acquires capacity for a delivery of this size, if available.
    pub(super) fn now(&self, size: usize) -> Option<Room> {
        let size = self.size(size);
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(size).ok()?;
        Some(self.room(place, bytes, size))
    }

    /// Acquires capacity for a delivery of this size, and waits for it.
    #[cfg(feature = "webhooks-journal")]
    pub(super) async fn later(&self, size: usize) -> Option<Room> {
        let size = self.size(size);
        let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(size).await.ok()?;
        Some(self.room(place, bytes, size))
    }

    fn room(&self, place: OwnedSemaphorePermit, bytes: OwnedSemaphorePermit, size: u32) -> Room {
        self.taken.unhandled.fetch_add(1, Ordering::AcqRel);
        self.taken.places.fetch_add(1, Ordering::AcqRel);
        self.taken.bytes.fetch_add(size as usize, Ordering::AcqRel);
        let taken = Arc::clone(&self.taken);
        let _queued = meter::InFlight::delivery();
        Room { _place: place, _bytes: bytes, size, retries: false, left: false, taken, _queued }
    }

    /// Returns its share of the bytes: all of them, if it has more.
    fn size(&self, size: usize) -> u32 {
        u32::try_from(size).unwrap_or(u32::MAX).min(self.most_bytes)
    }

    /// Acquires the right to be handled.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.running.acquire().await.ok()
    }

    /// Waits until no delivery occupies a slot.
    pub(super) async fn all_free(&self) {
        loop {
            let free = self.taken.free.notified();
            if self.taken() == 0 {
                return;
            }
            free.await;
        }
    }

    /// Returns how many deliveries occupy a slot.
    pub(super) fn taken(&self) -> usize {
        self.taken.places.load(Ordering::Acquire)
    }

    pub(super) fn taken_bytes(&self) -> usize {
        self.taken.bytes.load(Ordering::Acquire)
    }

    pub(super) fn running(&self) -> usize {
        self.most_running.saturating_sub(self.running.available_permits())
    }
}

impl Room {
    /// Records that the delivery is left to the next receiver that opens the journal.
    pub(super) fn leave(&mut self) {
        self.left = true;
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.taken.bytes.fetch_sub(self.size as usize, Ordering::AcqRel);
        // Before the slot is free: `all_free` then knows that the number is final.
        if !self.left {
            self.taken.unhandled.fetch_sub(1, Ordering::AcqRel);
        }
        if self.retries {
            self.taken.retries.fetch_sub(1, Ordering::AcqRel);
        }
        if self.taken.places.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.taken.free.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    fn rooms(places: u32) -> Rooms {
        Rooms::new(Bounds { queue: (places, 1_000), retries: (1, 1_000), running: 1 })
    }

    #[test]
    fn a_delivery_that_is_left_is_unhandled_and_one_that_ended_is_not() {
        let rooms = rooms(3);
        let (ended, mut left) = (rooms.now(1).unwrap(), rooms.now(1).unwrap());
        let kept = rooms.now(1).unwrap();
        drop(ended);
        left.leave();
        drop(left);
        assert_eq!((rooms.taken(), rooms.unhandled()), (1, 2));
        drop(kept);
        assert_eq!((rooms.taken(), rooms.unhandled()), (0, 1));
    }

    #[test]
    fn no_delivery_is_counted_twice_while_it_is_left() {
        const ALL: usize = 200;
        let rooms = rooms(ALL as u32);
        let taken: Vec<_> = (0..ALL).map(|_| rooms.now(1).unwrap()).collect();
        let ends = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for mut room in taken {
                    room.leave();
                    drop(room);
                }
                ends.store(true, Ordering::Release);
            });
            while !ends.load(Ordering::Acquire) {
                assert_eq!(rooms.unhandled(), ALL);
            }
        });
    }
}
