//! The calls that hold a permit while their callers poll them.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use super::batch_slots::BatchSlot;
use crate::detachable::DetachHandle;
use crate::store::WaitAllowance;

/// What an admission queue needs to know of the call that a permit is for.
#[derive(Clone, Default)]
pub(crate) struct CallHandle {
    detach: Option<DetachHandle>,
    pub(super) slot: Option<BatchSlot>,
    /// How long the call may still wait for the store that limits are shared by.
    pub(super) store_wait: Option<WaitAllowance>,
}

/// Of a call that nothing detaches.
#[cfg(test)]
pub(crate) static UNTRACKED: CallHandle = CallHandle { detach: None, slot: None, store_wait: None };

impl CallHandle {
    /// The handle of a call, with its slot if it is of a batch.
    pub(crate) fn new(
        detach: DetachHandle,
        slot: Option<BatchSlot>,
        store_wait: WaitAllowance,
    ) -> Self {
        Self { detach: Some(detach), slot, store_wait: Some(store_wait) }
    }

    /// Lets a task of its own run the call to its end.
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

/// The holders of permits that nothing but their callers polls; as many as there are permits.
#[derive(Debug, Default)]
pub(super) struct Holders {
    next: u64,
    attached: HashMap<u64, (DetachHandle, Instant)>,
}

impl Holders {
    /// Adds a call that was admitted. Gives the key to remove it by.
    pub(super) fn add(&mut self, call: &CallHandle, now: Instant) -> u64 {
        let key = self.next;
        self.next += 1;
        if let Some(detach) = &call.detach {
            self.attached.insert(key, (detach.clone(), now));
        }
        key
    }

    /// Removes a call whose permit is given back.
    pub(super) fn remove(&mut self, key: u64) {
        self.attached.remove(&key);
    }

    /// Takes all of them, for tasks to run them.
    pub(super) fn take(&mut self) -> impl Iterator<Item = DetachHandle> {
        std::mem::take(&mut self.attached).into_values().map(|(detach, _)| detach)
    }

    /// Takes those that were admitted so long ago.
    pub(super) fn take_older(&mut self, now: Instant, age: Duration) -> Vec<DetachHandle> {
        let is_old = |(_, at): &(DetachHandle, Instant)| *at + age <= now;
        let old: Vec<u64> =
            self.attached.iter().filter(|(_, held)| is_old(held)).map(|(key, _)| *key).collect();
        old.iter().filter_map(|key| Some(self.attached.remove(key)?.0)).collect()
    }
}
