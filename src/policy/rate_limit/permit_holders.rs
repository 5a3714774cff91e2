//! The calls that hold a permit while their callers poll them.

use std::fmt;
use std::time::Duration;

use slab::Slab;
use tokio::time::Instant;

use super::batch_slots::BatchSlot;
use crate::runtime::detachable::DetachHandle;
use crate::store::StoreWaitBudget;
use crate::time::clock::saturating_after;

/// The data of a call that an admission queue needs for its permit.
#[derive(Clone, Default)]
pub(crate) struct CallHandle {
    detach: Option<DetachHandle>,
    pub(super) slot: Option<BatchSlot>,
    /// How long the call can still wait for the store of the limits.
    pub(super) store_wait: Option<StoreWaitBudget>,
}

/// A call that cannot be detached.
#[cfg(test)]
pub(crate) static UNTRACKED: CallHandle = CallHandle { detach: None, slot: None, store_wait: None };

impl CallHandle {
    /// Creates the handle of a call, with its slot if it belongs to a batch. Only a bounded `store_wait` is kept.
    pub(crate) fn new(
        detach: DetachHandle,
        slot: Option<BatchSlot>,
        store_wait: StoreWaitBudget,
    ) -> Self {
        let store_wait = Some(store_wait).filter(StoreWaitBudget::is_bounded);
        Self { detach: Some(detach), slot, store_wait }
    }

    /// Starts a separate task that runs the call to its end.
    pub(crate) fn detach(&self) {
        if let Some(detach) = &self.detach {
            detach.detach();
        }
    }
}

impl fmt::Debug for CallHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallHandle").field("slot", &self.slot).finish_non_exhaustive()
    }
}

/// The holders of permits that only their callers poll; at most one for each permit.
#[derive(Debug, Default)]
pub(super) struct PermitHolders {
    /// The number of calls that were added.
    added: u64,
    attached: Slab<Holder>,
}

#[derive(Debug)]
struct Holder {
    /// Distinguishes it from earlier calls at the same index.
    number: u64,
    call: DetachHandle,
    admitted_at: Instant,
}

/// The place of a call among the holders. A later call can have the same index, but not the same number.
#[derive(Clone, Copy, Debug)]
pub(super) struct HolderKey {
    index: usize,
    number: u64,
}

impl PermitHolders {
    /// Adds a call that was admitted. Returns the key by which it is removed; `None` for a call that cannot be detached.
    pub(super) fn add(&mut self, call: &CallHandle, now: Instant) -> Option<HolderKey> {
        let detach = call.detach.clone()?;
        let number = self.added;
        self.added = self.added.wrapping_add(1);
        if self.attached.capacity() == 0 {
            // Most identities have one call at a time, and the first places of a slab are four.
            self.attached.reserve_exact(1);
        }
        let index = self.attached.insert(Holder { number, call: detach, admitted_at: now });
        Some(HolderKey { index, number })
    }

    /// Removes a call whose permit is returned, unless it was taken before.
    pub(super) fn remove(&mut self, key: HolderKey) {
        if self.attached.get(key.index).is_some_and(|holder| holder.number == key.number) {
            self.attached.remove(key.index);
        }
    }

    /// Takes all calls, so that tasks run them.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = DetachHandle> {
        self.attached.drain().map(|holder| holder.call)
    }

    /// Takes the calls that were admitted at least this long ago.
    pub(super) fn take_older(&mut self, now: Instant, age: Duration) -> Vec<DetachHandle> {
        let mut old = Vec::new();
        self.attached.retain(|_, holder| {
            let is_old = saturating_after(holder.admitted_at, age) <= now;
            if is_old {
                old.push(holder.call.clone());
            }
            !is_old
        });
        old
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::detachable::DetachableCall;

    const SECOND: Duration = Duration::from_secs(1);

    /// Returns the handle of a call that has ended.
    fn call() -> CallHandle {
        let mut handle = None;
        drop(DetachableCall::new(None, |detach| {
            handle = Some(detach);
            Box::pin(async {})
        }));
        CallHandle { detach: handle, ..CallHandle::default() }
    }

    #[test]
    fn the_key_of_a_taken_call_does_not_remove_a_later_one_at_its_index() {
        let (mut holders, now) = (PermitHolders::default(), Instant::now());
        let taken = holders.add(&call(), now).unwrap();
        assert_eq!(holders.take_all().count(), 1);
        let later = holders.add(&call(), now).unwrap();
        assert_eq!(later.index, taken.index);
        holders.remove(taken);
        assert_eq!(holders.attached.len(), 1);
        holders.remove(later);
        holders.remove(later);
        assert_eq!(holders.attached.len(), 0);
        assert!(holders.add(&UNTRACKED, now).is_none());
    }

    #[test]
    fn calls_of_an_age_are_taken_once_and_the_others_stay() {
        let (mut holders, now) = (PermitHolders::default(), Instant::now());
        let old = holders.add(&call(), now).unwrap();
        let young = holders.add(&call(), now + SECOND).unwrap();
        assert_eq!(holders.take_older(now + SECOND, SECOND).len(), 1);
        assert_eq!(holders.take_older(now + SECOND, SECOND).len(), 0);
        holders.remove(old);
        assert_eq!(holders.attached.len(), 1);
        holders.remove(young);
        assert_eq!(holders.attached.len(), 0);
    }

    /// As many places are kept as calls were in flight at a time, however many have passed.
    #[test]
    fn places_are_used_again() {
        let (mut holders, now) = (PermitHolders::default(), Instant::now());
        for _ in 0..10_000 {
            let keys = [(); 3].map(|()| holders.add(&call(), now).unwrap());
            keys.into_iter().for_each(|key| holders.remove(key));
        }
        assert!(holders.attached.capacity() <= 8, "{}", holders.attached.capacity());
    }

    #[test]
    fn one_call_at_a_time_takes_one_place() {
        let (mut holders, now) = (PermitHolders::default(), Instant::now());
        for _ in 0..3 {
            let key = holders.add(&call(), now).unwrap();
            holders.remove(key);
        }
        assert_eq!(holders.attached.capacity(), 1);
    }
}
