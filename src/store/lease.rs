//! What a client asks of the limits that it shares with others, and what it is given.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ledger::bounds::{LONGEST_BETWEEN_WRITES, LONGEST_PAUSE, MAX_LEVEL, MAX_TEXT};
use super::ledger::{AFTER_RESET, LONGEST, MAX_MEMBERS, kept};

/// What one client of a fleet asks of the limits of one identity: a block of quota to spend on its
/// own for half a second, so that a call costs no round trip.
///
/// It is opaque: a [`Store`](super::Store) hands it to a [`Ledger`](super::Ledger), or to a script
/// that does the same, where it arrives as JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LeaseRequest {
    /// Who asks: random, and as long as the client lives.
    pub(crate) member: String,
    /// Its requests are counted.
    #[serde(default)]
    pub(crate) serial: u64,
    /// The last request whose answer it heard.
    #[serde(default)]
    pub(crate) heard: u64,
    /// The ledger that it has heard from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) epoch: Option<String>,
    /// What a ledger has to know of somebody who is new to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) join: Option<Join>,
    /// Calls that are under way.
    pub(crate) running: u32,
    /// Calls that would go, if they could.
    pub(crate) waiting: u32,
    /// How many may be under way in the whole fleet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) concurrent: Option<u32>,
    #[serde(default)]
    pub(crate) windows: BTreeMap<String, WindowAsk>,
    #[serde(default)]
    pub(crate) budgets: BTreeMap<String, BudgetAsk>,
    /// Owners of what is to be written to.
    #[serde(default)]
    pub(crate) owners: Vec<String>,
    /// Owners of what was written to without an answer of the store, and how long ago, in milliseconds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) written: BTreeMap<String, u64>,
    /// The time between two writes to what the same owner has, in milliseconds.
    pub(crate) between_writes: u64,
    /// GitHub says that a secondary limit was reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pause: Option<Pause>,
    /// A call was answered after the pause.
    #[serde(default)]
    pub(crate) recovered: bool,
}

/// What a client tells a ledger that does not know it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Join {
    /// How many clients there were when it last heard, if that may still be so.
    pub(crate) members: u32,
    /// For how long it went on alone, in milliseconds.
    #[serde(default)]
    pub(crate) alone: u64,
    /// How many calls it may have under way without asking anybody.
    #[serde(default)]
    pub(crate) slots: u32,
    /// What it may spend of each window without asking anybody.
    #[serde(default)]
    pub(crate) spare: BTreeMap<String, u32>,
    /// For how long clients that are gone may have spent of each window, in milliseconds: the last
    /// lease said so.
    #[serde(default)]
    pub(crate) unreported: BTreeMap<String, u64>,
    /// What it spent of each window: how long ago in milliseconds, and how much.
    #[serde(default)]
    pub(crate) spent: BTreeMap<String, Vec<(u64, u32)>>,
    /// What of it it spent alone, which a ledger has to be told that knows the rest.
    #[serde(default)]
    pub(crate) apart: BTreeMap<String, Vec<(u64, u32)>>,
}

/// A window that slides: points a minute, content an hour.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct WindowAsk {
    pub(crate) limit: u32,
    /// In milliseconds.
    pub(crate) length: u64,
    /// As much as can be spent.
    pub(crate) want: u32,
    /// Less is of no use.
    pub(crate) least: u32,
    /// What is left of the last lease that was heard, and the part of the window that it was counted in.
    pub(crate) unspent: u32,
    pub(crate) part: u64,
}

/// A primary limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct BudgetAsk {
    /// What answers told, if they told anything since the last request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) told: Option<BudgetTold>,
    /// Calls that are not answered, and what is left of the last lease.
    pub(crate) outstanding: u64,
    pub(crate) want: u32,
    /// What is left for others.
    pub(crate) keep: u64,
    /// Whether calls are spread over the window.
    pub(crate) spread: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct BudgetTold {
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    /// In milliseconds.
    pub(crate) ends_in: u64,
}

/// A pause of all calls of the identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pause {
    /// In milliseconds.
    pub(crate) ends_in: u64,
    /// The pauses that followed each other.
    pub(crate) level: u32,
}

/// What a client may spend on its own, for [half a second](LeaseRequest) from its asking.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lease {
    pub(crate) epoch: String,
    /// The ledger does not know the client, which has to join.
    #[serde(default)]
    pub(crate) unknown: bool,
    /// The clients that share the identity.
    pub(crate) members: u32,
    /// How many calls may be under way.
    pub(crate) slots: u32,
    #[serde(default)]
    pub(crate) windows: BTreeMap<String, WindowGrant>,
    #[serde(default)]
    pub(crate) budgets: BTreeMap<String, BudgetGrant>,
    /// How long the write to an owner has to wait, in milliseconds; zero if it may go at once.
    #[serde(default)]
    pub(crate) owners: BTreeMap<String, u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pause: Option<Pause>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct WindowGrant {
    pub(crate) granted: u32,
    pub(crate) part: u64,
    /// When to ask again if that is not enough, in milliseconds.
    pub(crate) wait: u64,
    /// The least that nobody had, in the last minute or so.
    pub(crate) free: u32,
    /// For how long clients may have spent what no present client would report to a new ledger, in
    /// milliseconds.
    #[serde(default)]
    pub(crate) unreported: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct BudgetGrant {
    pub(crate) granted: u32,
    pub(crate) wait: u64,
}

impl Lease {
    /// Takes the lease into the bounds of any answer to this request, whatever a store has made of it:
    /// no more than was asked for, and no wait that no limit has.
    pub(crate) fn bounded(mut self, ask: &LeaseRequest) -> Self {
        if self.epoch.len() > 2 * MAX_TEXT || self.unknown {
            let epoch = if self.epoch.len() > 2 * MAX_TEXT { String::new() } else { self.epoch };
            return Self { unknown: true, epoch, ..Self::default() };
        }
        self.members = self.members.clamp(1, u32::try_from(MAX_MEMBERS).unwrap_or(u32::MAX));
        let wanted = ask.running.saturating_add(ask.waiting).max(1);
        self.slots = self.slots.min(wanted).min(ask.concurrent.map_or(u32::MAX, |all| all.max(1)));
        self.windows.retain(|name, grant| {
            ask.windows.get(name).is_some_and(|window| {
                grant.granted = grant.granted.min(window.want);
                grant.free = grant.free.min(window.limit);
                grant.unreported = grant.unreported.min(kept(window.length));
                grant.wait = wait(grant.wait, grant.granted, window.want, kept(window.length));
                true
            })
        });
        self.budgets.retain(|name, grant| {
            ask.budgets.get(name).is_some_and(|budget| {
                grant.granted = grant.granted.min(budget.want);
                let most = LONGEST + AFTER_RESET;
                grant.wait = wait(grant.wait, grant.granted, budget.want, most);
                true
            })
        });
        let most = ask.between_writes.max(LONGEST_BETWEEN_WRITES);
        self.owners.retain(|owner, wait| {
            *wait = (*wait).min(most);
            ask.owners.contains(owner)
        });
        if let Some(pause) = &mut self.pause {
            pause.ends_in = pause.ends_in.min(LONGEST_PAUSE);
            pause.level = pause.level.min(MAX_LEVEL);
        }
        self
    }
}

/// A wait of at most so long, and of some time where nothing was granted.
fn wait(wait: u64, granted: u32, wanted: u32, most: u64) -> u64 {
    if wait == 0 && granted == 0 && wanted > 0 { LATER } else { wait.min(most) }
}

/// How long a lease is good for, in milliseconds.
pub(crate) const VALID: u64 = 500;
/// When to ask again where nobody knows.
pub(crate) const LATER: u64 = 100;
