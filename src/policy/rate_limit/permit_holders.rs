//! The calls that hold a permit while their callers poll them.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use super::batch_slots::BatchSlot;
use crate::runtime::detachable::DetachHandle;
use crate::store::StoreWaitBudget;

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
    /// Creates the handle of a call, with its slot if it belongs to a batch.
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
    next: u64,
    attached: HashMap<u64, (DetachHandle, Instant)>,
}

impl PermitHolders {
    /// Adds a call that was admitted. Returns the key by which it is removed.
    pub(super) fn add(&mut self, call: &CallHandle, now: Instant) -> u64 {
        let key = self.next;
        self.next += 1;
        if let Some(detach) = &call.detach {
            self.attached.insert(key, (detach.clone(), now));
        }
        key
    }

    /// Removes a call whose permit is returned.
    pub(super) fn remove(&mut self, key: u64) {
        self.attached.remove(&key);
    }

    /// Takes all calls, so that tasks run them.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = DetachHandle> {
        std::mem::take(&mut self.attached).into_values().map(|(detach, _)| detach)
    }

    /// Takes the calls that were admitted at least this long ago.
    pub(super) fn take_older(&mut self, now: Instant, age: Duration) -> Vec<DetachHandle> {
        let is_old = |(_, at): &(DetachHandle, Instant)| *at + age <= now;
        let old: Vec<u64> =
            self.attached.iter().filter(|(_, held)| is_old(held)).map(|(key, _)| *key).collect();
        old.iter().filter_map(|key| Some(self.attached.remove(key)?.0)).collect()
    }
}
