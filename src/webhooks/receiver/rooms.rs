//! The bounds of what is held and done.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::telemetry::meter;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// The bounds of what is held and done.
pub(super) struct Rooms {
    places: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    running: Semaphore,
    taken: Arc<Taken>,
    most_bytes: u32,
    most_running: usize,
}

/// The place of a delivery and its bytes, until it is dropped.
pub(super) struct Room {
    _place: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
    size: u32,
    taken: Arc<Taken>,
    _queued: meter::InFlight,
}

/// What is taken, which the semaphores do not say while somebody waits for much of them.
#[derive(Default)]
struct Taken {
    places: AtomicUsize,
    bytes: AtomicUsize,
    free: Notify,
}

impl Rooms {
    pub(super) fn new(places: u32, bytes: u32, running: u32) -> Self {
        // As many as a semaphore takes, of whatever machine.
        let semaphore = |most: u32| Semaphore::new((most as usize).min(Semaphore::MAX_PERMITS));
        Self {
            places: Arc::new(semaphore(places)),
            bytes: Arc::new(semaphore(bytes)),
            running: semaphore(running),
            taken: Arc::default(),
            most_bytes: bytes,
            most_running: running as usize,
        }
    }

    /// Room for a delivery of this size, if there is.
    pub(super) fn now(&self, size: usize) -> Option<Room> {
        let size = self.size(size);
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(size).ok()?;
        Some(self.room(place, bytes, size))
    }

    /// Room for a delivery of this size, once there is.
    #[cfg(feature = "webhooks-journal")]
    pub(super) async fn later(&self, size: usize) -> Option<Room> {
        let size = self.size(size);
        let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(size).await.ok()?;
        Some(self.room(place, bytes, size))
    }

    fn room(&self, place: OwnedSemaphorePermit, bytes: OwnedSemaphorePermit, size: u32) -> Room {
        self.taken.places.fetch_add(1, Ordering::AcqRel);
        self.taken.bytes.fetch_add(size as usize, Ordering::AcqRel);
        let taken = Arc::clone(&self.taken);
        Room { _place: place, _bytes: bytes, size, taken, _queued: meter::InFlight::delivery() }
    }

    /// What it takes of the bytes: all of them, if it has more.
    fn size(&self, size: usize) -> u32 {
        u32::try_from(size).unwrap_or(u32::MAX).min(self.most_bytes)
    }

    /// The right to be one of those that are handled.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.running.acquire().await.ok()
    }

    /// Waits until nobody has a place.
    pub(super) async fn all_free(&self) {
        loop {
            let free = self.taken.free.notified();
            if self.taken() == 0 {
                return;
            }
            free.await;
        }
    }

    /// How many have a place.
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

impl Drop for Room {
    fn drop(&mut self) {
        self.taken.bytes.fetch_sub(self.size as usize, Ordering::AcqRel);
        if self.taken.places.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.taken.free.notify_waiters();
        }
    }
}
