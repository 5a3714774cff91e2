//! The capacity of a receiver.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::meter;

/// The limits of deliveries that are held and handled.
pub(super) struct Capacity {
    slots: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    running: Semaphore,
    /// The slots and bytes of deliveries that wait for a retry.
    retry_slots: Arc<Semaphore>,
    retry_bytes: Arc<Semaphore>,
    in_use: Arc<InUse>,
    max_bytes: u32,
    max_running: usize,
}

/// The limits that a receiver is built with.
#[derive(Clone, Copy, Debug)]
pub(super) struct CapacityLimits {
    pub(super) queue: (u32, u32),
    pub(super) retries: (u32, u32),
    pub(super) running: u32,
}

/// The slot of a delivery and its bytes, until it is dropped.
pub(super) struct CapacityPermit {
    _slot: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
    size: u32,
    retries: bool,
    /// It is given up unhandled, since the receiver shuts down.
    is_handed_back: bool,
    in_use: Arc<InUse>,
    _queued: meter::InFlight,
}

/// The amount in use, which the semaphores do not show while a delivery waits for many bytes.
#[derive(Default)]
struct InUse {
    slots: AtomicUsize,
    bytes: AtomicUsize,
    retries: AtomicUsize,
    /// Deliveries that occupy a slot, or gave it up with [`CapacityPermit::hand_back`]: one number, so that none is counted twice on
    /// its way from the one to the other.
    unhandled: AtomicUsize,
    free: Notify,
}

impl Capacity {
    pub(super) fn new(bounds: CapacityLimits) -> Self {
        // At most the maximum of a semaphore, on every platform.
        let semaphore = |most: u32| Semaphore::new((most as usize).min(Semaphore::MAX_PERMITS));
        Self {
            slots: Arc::new(semaphore(bounds.queue.0)),
            bytes: Arc::new(semaphore(bounds.queue.1)),
            running: semaphore(bounds.running),
            retry_slots: Arc::new(semaphore(bounds.retries.0)),
            retry_bytes: Arc::new(semaphore(bounds.retries.1)),
            in_use: Arc::default(),
            max_bytes: bounds.queue.1,
            max_running: bounds.running as usize,
        }
    }

    /// Moves a failed delivery from the queue to the retries, if these have capacity, so that it does not occupy
    /// capacity for new ones while it waits.
    pub(super) fn move_to_retries(&self, permit: &mut CapacityPermit) {
        if permit.retries {
            return;
        }
        let place = Arc::clone(&self.retry_slots).try_acquire_owned();
        let bytes = Arc::clone(&self.retry_bytes).try_acquire_many_owned(permit.size);
        if let (Ok(place), Ok(bytes)) = (place, bytes) {
            (permit._slot, permit._bytes, permit.retries) = (place, bytes, true);
            self.in_use.retries.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Returns how many occupy a slot, or gave it up with [`CapacityPermit::hand_back`].
    pub(super) fn unhandled(&self) -> usize {
        self.in_use.unhandled.load(Ordering::Acquire)
    }

    /// Returns how many of those wait for a retry.
    pub(super) fn retries(&self) -> usize {
        self.in_use.retries.load(Ordering::Acquire)
    }

    /// Acquires capacity for a delivery of this size, if available.
    pub(super) fn try_acquire(&self, size: usize) -> Option<CapacityPermit> {
        let size = self.clamped_size(size);
        let place = Arc::clone(&self.slots).try_acquire_owned().ok()?;
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(size).ok()?;
        Some(self.permit(place, bytes, size))
    }

    /// Acquires capacity for a delivery of this size, and waits for it.
    #[cfg(feature = "webhooks-journal")]
    pub(super) async fn acquire(&self, size: usize) -> Option<CapacityPermit> {
        let size = self.clamped_size(size);
        let place = Arc::clone(&self.slots).acquire_owned().await.ok()?;
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(size).await.ok()?;
        Some(self.permit(place, bytes, size))
    }

    fn permit(
        &self,
        place: OwnedSemaphorePermit,
        bytes: OwnedSemaphorePermit,
        size: u32,
    ) -> CapacityPermit {
        self.in_use.unhandled.fetch_add(1, Ordering::AcqRel);
        self.in_use.slots.fetch_add(1, Ordering::AcqRel);
        self.in_use.bytes.fetch_add(size as usize, Ordering::AcqRel);
        CapacityPermit {
            _slot: place,
            _bytes: bytes,
            size,
            retries: false,
            is_handed_back: false,
            in_use: Arc::clone(&self.in_use),
            _queued: meter::InFlight::delivery(),
        }
    }

    /// Returns its share of the bytes: all of them, if it has more.
    fn clamped_size(&self, size: usize) -> u32 {
        u32::try_from(size).unwrap_or(u32::MAX).min(self.max_bytes)
    }

    /// Acquires the right to be handled.
    pub(super) async fn acquire_worker(&self) -> Option<SemaphorePermit<'_>> {
        self.running.acquire().await.ok()
    }

    /// Waits until no delivery occupies a slot.
    pub(super) async fn drained(&self) {
        loop {
            let free = self.in_use.free.notified();
            if self.in_use_count() == 0 {
                return;
            }
            free.await;
        }
    }

    /// Returns how many deliveries occupy a slot.
    pub(super) fn in_use_count(&self) -> usize {
        self.in_use.slots.load(Ordering::Acquire)
    }

    pub(super) fn in_use_bytes(&self) -> usize {
        self.in_use.bytes.load(Ordering::Acquire)
    }

    pub(super) fn running(&self) -> usize {
        self.max_running.saturating_sub(self.running.available_permits())
    }
}

impl CapacityPermit {
    /// Records that the delivery is left to the next receiver that opens the journal.
    pub(super) fn hand_back(&mut self) {
        self.is_handed_back = true;
    }
}

impl Drop for CapacityPermit {
    fn drop(&mut self) {
        self.in_use.bytes.fetch_sub(self.size as usize, Ordering::AcqRel);
        // Before the slot is free: `drained` then knows that the number is final.
        if !self.is_handed_back {
            self.in_use.unhandled.fetch_sub(1, Ordering::AcqRel);
        }
        if self.retries {
            self.in_use.retries.fetch_sub(1, Ordering::AcqRel);
        }
        if self.in_use.slots.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.in_use.free.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    fn capacity_of(places: u32) -> Capacity {
        Capacity::new(CapacityLimits { queue: (places, 1_000), retries: (1, 1_000), running: 1 })
    }

    #[test]
    fn a_delivery_that_is_left_is_unhandled_and_one_that_ended_is_not() {
        let capacity = capacity_of(3);
        let (ended, mut left) =
            (capacity.try_acquire(1).unwrap(), capacity.try_acquire(1).unwrap());
        let kept = capacity.try_acquire(1).unwrap();
        drop(ended);
        left.hand_back();
        drop(left);
        assert_eq!((capacity.in_use_count(), capacity.unhandled()), (1, 2));
        drop(kept);
        assert_eq!((capacity.in_use_count(), capacity.unhandled()), (0, 1));
    }

    #[test]
    fn no_delivery_is_counted_twice_while_it_is_left() {
        const ALL: usize = 200;
        let capacity = capacity_of(ALL as u32);
        let taken: Vec<_> = (0..ALL).map(|_| capacity.try_acquire(1).unwrap()).collect();
        let ends = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for mut permit in taken {
                    permit.hand_back();
                    drop(permit);
                }
                ends.store(true, Ordering::Release);
            });
            while !ends.load(Ordering::Acquire) {
                assert_eq!(capacity.unhandled(), ALL);
            }
        });
    }
}
