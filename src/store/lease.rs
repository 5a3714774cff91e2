//! The request of a client for shared quota, and the lease that it receives.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::quota_bounds::{
    AFTER_RESET, MAX_CONSECUTIVE_PAUSES, MAX_MEMBER_COUNT, MAX_PAUSE_MS, MAX_TEXT, MAX_WINDOW_MS,
    MAX_WRITE_INTERVAL_MS, RETRY_AFTER_MS, retention_ms,
};

/// The request of one member for limits of one identity: a quota lease that the member can spend for half a second
/// without further requests, so that a call costs no round trip.
///
/// It is opaque: a [`QuotaStore`](super::QuotaStore) passes it to a `QuotaLedger` (feature `quota-ledger`), or to an
/// equivalent script, which receives it as JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct QuotaRequest {
    /// The name of the member: random, and constant for the client's lifetime.
    pub(crate) member: String,
    /// The serial number of the request.
    #[serde(default)]
    pub(crate) serial: u64,
    /// The serial number of the last request whose response the client received.
    #[serde(default)]
    pub(crate) last_seen_response: u64,
    /// The epoch of the ledger that last sent a lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) epoch: Option<String>,
    /// The values that a ledger needs from a new member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) join: Option<MemberJoin>,
    /// The calls in flight.
    pub(crate) in_flight: u32,
    /// The calls that wait for admission.
    pub(crate) queued: u32,
    /// The maximum number of calls in flight in the whole fleet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_concurrent: Option<u32>,
    #[serde(default)]
    pub(crate) windows: BTreeMap<String, WindowRequest>,
    #[serde(default)]
    pub(crate) budgets: BTreeMap<String, PrimaryRequest>,
    /// The owners of the resources that queued writes change.
    #[serde(default)]
    pub(crate) owners: Vec<String>,
    /// The owners of resources that the client changed without a response of the store, and how long ago, in
    /// milliseconds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) written: BTreeMap<String, u64>,
    /// The minimum interval between two writes to resources of the same owner, in milliseconds.
    pub(crate) min_write_interval: u64,
    /// The secondary limit that GitHub reported as reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pause: Option<SecondaryPause>,
    /// Whether a call received a response after the pause.
    #[serde(default)]
    pub(crate) pause_over: bool,
}

/// The report of a client to a ledger that does not know it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct MemberJoin {
    /// The number of clients in the last lease, if it can still be current.
    pub(crate) members: u32,
    /// How long the client continued without the store, in milliseconds.
    #[serde(default)]
    pub(crate) offline_ms: u64,
    /// The number of calls that it can have in flight without a lease.
    #[serde(default)]
    pub(crate) offline_slots: u32,
    /// The amount of each window that it can spend without a lease.
    #[serde(default)]
    pub(crate) offline_allowance: BTreeMap<String, u32>,
    /// For how long the spending of departed clients can count in each window, in milliseconds, by the last lease.
    #[serde(default)]
    pub(crate) unreported_ms: BTreeMap<String, u64>,
    /// Its spending in each window: how long ago, in milliseconds, and the amount.
    #[serde(default)]
    pub(crate) spent: BTreeMap<String, Vec<(u64, u32)>>,
    /// The part of that which it spent without a lease: a ledger that knows the rest needs only this.
    #[serde(default)]
    pub(crate) spent_offline: BTreeMap<String, Vec<(u64, u32)>>,
}

/// A sliding window: points per minute, or content-creating requests per hour.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct WindowRequest {
    pub(crate) limit: u32,
    /// The length in milliseconds.
    pub(crate) length: u64,
    /// The largest amount that the client can spend.
    pub(crate) requested: u32,
    /// The smallest useful amount.
    pub(crate) min_useful: u32,
    /// The rest of the last received lease, and the part of the window in which it was counted.
    pub(crate) unspent: u32,
    pub(crate) bucket: u64,
}

/// A primary limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct PrimaryRequest {
    /// The values in the responses since the last request, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) observed: Option<PrimaryObservation>,
    /// Calls in flight, and the rest of the last lease.
    pub(crate) in_flight: u64,
    pub(crate) requested: u32,
    /// The quota to reserve for others.
    pub(crate) reserved: u64,
    /// Whether calls are spread over the window.
    pub(crate) spread: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct PrimaryObservation {
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    /// In milliseconds.
    pub(crate) ends_in: u64,
}

/// A pause of all calls of the identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SecondaryPause {
    /// In milliseconds.
    pub(crate) ends_in: u64,
    /// The number of consecutive pauses.
    pub(crate) consecutive: u32,
}

/// The amounts that a client can spend, for [half a second](QuotaRequest) from its request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct QuotaLease {
    pub(crate) epoch: String,
    /// Whether the ledger does not know the client, which has to join.
    #[serde(default)]
    pub(crate) is_unknown_member: bool,
    /// The number of clients that share the identity.
    pub(crate) members: u32,
    /// The maximum number of the client's calls in flight.
    pub(crate) slots: u32,
    #[serde(default)]
    pub(crate) windows: BTreeMap<String, WindowGrant>,
    #[serde(default)]
    pub(crate) budgets: BTreeMap<String, PrimaryGrant>,
    /// How long a write to each owner has to wait, in milliseconds; zero if it can be sent at once.
    #[serde(default)]
    pub(crate) owners: BTreeMap<String, u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pause: Option<SecondaryPause>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct WindowGrant {
    pub(crate) granted: u32,
    pub(crate) bucket: u64,
    /// The time in milliseconds until the next request, if the grant is too small.
    pub(crate) retry_after_ms: u64,
    /// The lowest unused amount in about the last minute.
    pub(crate) min_free: u32,
    /// For how long spending can count that no present client would report to a new ledger, in milliseconds.
    #[serde(default)]
    pub(crate) unreported_ms: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct PrimaryGrant {
    pub(crate) granted: u32,
    pub(crate) retry_after_ms: u64,
}

impl QuotaLease {
    /// Limits the lease to the bounds of any response to this request, whatever the store returned: at most the
    /// requested amounts, and no wait that exceeds those of the limits.
    pub(crate) fn bounded(mut self, ask: &QuotaRequest) -> Self {
        if self.epoch.len() > 2 * MAX_TEXT || self.is_unknown_member {
            let epoch = if self.epoch.len() > 2 * MAX_TEXT { String::new() } else { self.epoch };
            return Self { is_unknown_member: true, epoch, ..Self::default() };
        }
        self.members = self.members.clamp(1, MAX_MEMBER_COUNT);
        let wanted = ask.in_flight.saturating_add(ask.queued).max(1);
        self.slots =
            self.slots.min(wanted).min(ask.max_concurrent.map_or(u32::MAX, |all| all.max(1)));
        self.windows.retain(|name, grant| {
            ask.windows.get(name).is_some_and(|window| {
                grant.granted = grant.granted.min(window.requested);
                grant.min_free = grant.min_free.min(window.limit);
                grant.unreported_ms = grant.unreported_ms.min(retention_ms(window.length));
                grant.retry_after_ms = wait(
                    grant.retry_after_ms,
                    grant.granted,
                    window.requested,
                    retention_ms(window.length),
                );
                true
            })
        });
        self.budgets.retain(|name, grant| {
            ask.budgets.get(name).is_some_and(|budget| {
                grant.granted = grant.granted.min(budget.requested);
                let most = MAX_WINDOW_MS + AFTER_RESET;
                grant.retry_after_ms =
                    wait(grant.retry_after_ms, grant.granted, budget.requested, most);
                true
            })
        });
        let most = ask.min_write_interval.max(MAX_WRITE_INTERVAL_MS);
        self.owners.retain(|owner, wait| {
            *wait = (*wait).min(most);
            ask.owners.contains(owner)
        });
        if let Some(pause) = &mut self.pause {
            pause.ends_in = pause.ends_in.min(MAX_PAUSE_MS);
            pause.consecutive = pause.consecutive.min(MAX_CONSECUTIVE_PAUSES);
        }
        self
    }
}

/// Returns a wait of at most this time, and of a minimum time if no amount was granted.
fn wait(wait: u64, granted: u32, wanted: u32, most: u64) -> u64 {
    if wait == 0 && granted == 0 && wanted > 0 { RETRY_AFTER_MS } else { wait.min(most) }
}
