//! The leases of limits that a client shares with a fleet, and the client's requests for them.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use super::super::cost::RequestCost;
use super::super::limits::{LimitExceeded, LimitKind};
use super::super::policy::RateLimitPolicy;
use crate::store::{LEASE_TTL_MS, LEDGER_TTL, QuotaLease, SecondaryPause};
use crate::time::clock::{self, saturating_after};
use crate::time::sliding_window::SlidingWindow;

/// The quota leases of one client, for one identity.
///
/// The client requests the amount that the waiting calls can spend in the next half second. It spends a lease without
/// further requests, and returns the rest with the next request.
#[derive(Debug)]
pub(in crate::policy::rate_limit) struct SharedQuota {
    /// The random name of this member.
    pub(super) member: String,
    /// The epoch of the ledger that last sent a lease.
    pub(in crate::policy::rate_limit) epoch: Option<String>,
    /// The serial numbers of the last request, and of the last one with a response.
    pub(super) serial: u64,
    pub(super) last_response_serial: u64,
    /// Whether the ledger reported that it does not know this client.
    pub(super) is_unknown_member: bool,
    pub(in crate::policy::rate_limit) members: u32,
    pub(super) connection: StoreConnection,
    /// The time of the last response from the store.
    last_response: Instant,
    /// The times of the last and of the first request.
    pub(super) last_request: Instant,
    first_request: Option<Instant>,
    /// The time of the last admission of a call.
    pub(super) last_use: Instant,
    slots: u32,
    /// The slots in the last lease.
    granted_slots: u32,
    requested_slots: u32,
    /// The calls in flight that the last request reported, and whether it reported more than there were.
    reported_in_flight: u32,
    pub(super) in_flight_overstated: bool,
    slots_retry_at: Option<Instant>,
    /// The time of the next request after a response that granted no amount.
    backoff_until: Option<Instant>,
    pub(super) windows: [LeasedQuota; 4],
    pub(super) budgets: Vec<(Cow<'static, str>, LeasedQuota)>,
    owners: HashMap<Box<str>, WriteSlot>,
    /// Owners of resources that this client changed without a lease, and when: not reported to the ledger yet.
    unreported_writes: HashMap<Box<str>, Instant>,
    /// How long a response of the ledger is valid beyond its stated time: while the next request can still receive a
    /// response.
    verdict_expires_at: Duration,
    /// The end of the pause that the ledger knows, and the one that the current request reports.
    pub(super) known_pause: Option<Instant>,
    pub(super) reported_pause: Option<Instant>,
}

/// The state of the connection to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoreConnection {
    /// The client has not sent a request yet.
    Untried,
    Connected,
    /// The store has been unavailable since then.
    Lost(Instant),
    /// The store does not share limits.
    Unsupported,
}

/// The rest of a lease.
#[derive(Clone, Debug, Default)]
pub(super) struct LeasedQuota {
    units: u32,
    /// The amount that requests without a response yet returned.
    being_returned: u32,
    /// The end of its validity.
    expires_at: Option<Instant>,
    /// The time of the next request for more.
    retry_at: Option<Instant>,
    pub(super) bucket: u64,
    /// The amount that was spent since the last request.
    pub(super) spent: u32,
    /// The lowest unused amount for some time before the grant.
    min_free: Option<u32>,
    /// The time until which departed clients can have spent of it.
    unreported_until: Option<Instant>,
    /// The amount that can be spent without a lease, in the first window's length.
    offline_allowance: u32,
    /// The amount that was spent without a lease, not reported to the ledger yet.
    pub(super) spent_offline: Option<Box<SlidingWindow>>,
    /// The part of it since the last request, which the next grant covers first.
    overdrawn: u32,
    /// The part of it that the current request reports.
    reported: u32,
}

#[derive(Clone, Copy, Debug)]
enum WriteSlot {
    /// The write can be sent until then.
    Granted(Instant),
    /// The write has to wait until then.
    Blocked(Instant),
}

/// The time between two requests while calls are in flight; twice that while calls only wait. The ledger removes a
/// member without a request for 10 s, and a ledger that has lost its data receives the spending within that time.
pub(super) const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(4);
const TWO_HEARTBEATS: Duration = Duration::from_secs(2 * HEARTBEAT_INTERVAL.as_secs());
/// The time after which the last known number of members can be out of date.
const MEMBER_COUNT_TTL: Duration = Duration::from_secs(70);
pub(super) const RETRY_DELAY: Duration = Duration::from_millis(100);
/// The validity of a write grant: an admitted write is sent at once.
const WRITE_GRANT_TTL: Duration = Duration::from_millis(200);
/// GitHub ends a request after that, so that no other client's requests are in flight by then.
const GITHUB_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
pub(super) const LEASE_TTL: Duration = Duration::from_millis(LEASE_TTL_MS);
const MAX_OWNERS: usize = 1_000;
/// The time after which a client that has received no lease counts as alone. Before that, the store can be merely slow,
/// and other clients that start at the same moment can be in the same state.
const STARTUP_WINDOW: Duration = GITHUB_REQUEST_TIMEOUT;
/// The number of calls that such a client can have in flight. The ledger reserves a part of the limit for clients that
/// it does not know yet.
pub(in crate::policy::rate_limit) const STARTUP_SLOTS: u32 = 1;

impl SharedQuota {
    /// Creates the state of a new client. `timeout` is the longest response time of the store.
    pub(in crate::policy::rate_limit) fn new(
        member: String,
        now: Instant,
        timeout: Duration,
    ) -> Self {
        Self {
            member,
            epoch: None,
            serial: 0,
            last_response_serial: 0,
            is_unknown_member: false,
            members: 1,
            connection: StoreConnection::Untried,
            last_response: now,
            last_request: now,
            first_request: None,
            last_use: now,
            slots: 0,
            granted_slots: 0,
            requested_slots: 0,
            reported_in_flight: 0,
            in_flight_overstated: false,
            slots_retry_at: None,
            backoff_until: None,
            windows: Default::default(),
            budgets: Vec::new(),
            owners: HashMap::new(),
            unreported_writes: HashMap::new(),
            // One request can be in flight when the next one is due.
            verdict_expires_at: timeout.saturating_mul(2),
            known_pause: None,
            reported_pause: None,
        }
    }

    /// Returns whether leases decide: the store is available, or the first request is about to be sent.
    pub(in crate::policy::rate_limit) fn is_authoritative(&self) -> bool {
        matches!(self.connection, StoreConnection::Untried | StoreConnection::Connected)
    }

    /// Returns how many clients share the limits in equal parts while the store is unavailable.
    pub(in crate::policy::rate_limit) fn divisor(&self) -> u32 {
        match self.connection {
            StoreConnection::Lost(_) => self.members.max(1),
            _ => 1,
        }
    }

    /// Returns the limit that blocks a call for lack of a lease.
    pub(in crate::policy::rate_limit) fn check(
        &self,
        now: Instant,
        cost: &RequestCost,
        running: u32,
        windows: &[(usize, LimitKind, u32)],
        limited: bool,
        policy: &RateLimitPolicy,
    ) -> Result<(), LimitExceeded> {
        let blocked = |rule, until: Option<Instant>| {
            let until = until.filter(|until| *until > now);
            Err(LimitExceeded { limit: rule, until, shared: true })
        };
        // Limits with a known time come first: without one, the client would send requests to the store continuously.
        if let Some(owner) =
            cost.owner.as_ref().filter(|_| !policy.secondary_limits.min_write_interval.is_zero())
        {
            match self.owners.get(owner) {
                Some(WriteSlot::Granted(until)) if *until > now => {}
                Some(WriteSlot::Blocked(until)) if *until > now => {
                    return blocked(LimitKind::WriteInterval(owner.clone()), Some(*until));
                }
                _ => return blocked(LimitKind::WriteInterval(owner.clone()), self.backoff_until),
            }
        }
        let is_recent = now < saturating_after(self.last_request, TWO_HEARTBEATS);
        if policy.secondary_limits.max_concurrent.is_some() && (running >= self.slots || !is_recent)
        {
            return blocked(LimitKind::Concurrency, self.slots_retry_at.or(self.backoff_until));
        }
        for (index, rule, amount) in windows {
            let held = &self.windows[*index];
            if held.remaining(now) < *amount {
                return blocked(rule.clone(), held.retry_at.or(self.backoff_until));
            }
        }
        if limited {
            let held = self.budgets.iter().find(|(name, _)| *name == cost.resource);
            if held.is_none_or(|(_, held)| held.remaining(now) == 0) {
                let wait = held.and_then(|(_, held)| held.retry_at);
                return blocked(
                    LimitKind::Primary(cost.resource.clone()),
                    wait.or(self.backoff_until),
                );
            }
        }
        Ok(())
    }

    /// Spends the cost of a call.
    pub(in crate::policy::rate_limit) fn consume(
        &mut self,
        now: Instant,
        cost: &RequestCost,
        windows: &[(usize, LimitKind, u32)],
    ) {
        self.last_use = now;
        for (index, _, amount) in windows {
            self.windows[*index].consume(*amount);
        }
        if let Some((_, held)) = self.budgets.iter_mut().find(|(name, _)| *name == cost.resource) {
            held.consume(1);
        }
        if let Some(owner) = &cost.owner {
            self.owners.remove(owner);
        }
    }

    /// Returns whether a write to this owner has to wait, by the store's response.
    pub(super) fn is_write_blocked(&self, now: Instant, owner: &str) -> bool {
        match self.owners.get(owner) {
            Some(WriteSlot::Blocked(until) | WriteSlot::Granted(until)) => *until > now,
            None => false,
        }
    }

    /// Returns the time until which a call has to wait by the ledger's response, for limits without a share for this
    /// client.
    pub(in crate::policy::rate_limit) fn ledger_block(
        &self,
        now: Instant,
        cost: &RequestCost,
        limited: bool,
    ) -> Option<(LimitKind, Instant)> {
        if let Some(owner) = &cost.owner
            && let Some(WriteSlot::Blocked(until)) = self.owners.get(owner)
            && *until > now
        {
            return Some((LimitKind::WriteInterval(owner.clone()), *until));
        }
        let held = self.budgets.iter().find(|(name, _)| limited && *name == cost.resource);
        let until = held.and_then(|(_, held)| held.retry_at).filter(|until| *until > now)?;
        Some((LimitKind::Primary(cost.resource.clone()), until))
    }

    /// Returns the limit for which the ledger's response requires the call to wait, if that is still valid: it has
    /// precedence over this client's share.
    pub(in crate::policy::rate_limit) fn ledger_decision(
        &self,
        now: Instant,
        cost: &RequestCost,
        windows: &[(usize, LimitKind, u32)],
        limited: bool,
    ) -> Option<LimitKind> {
        let stands = |until: Instant| saturating_after(until, self.verdict_expires_at) > now;
        if let Some(owner) = &cost.owner
            && let Some(WriteSlot::Blocked(until)) = self.owners.get(owner)
            && stands(*until)
        {
            return Some(LimitKind::WriteInterval(owner.clone()));
        }
        let mut windows = windows.iter();
        if let Some((_, rule, _)) =
            windows.find(|(index, ..)| self.windows[*index].retry_at.is_some_and(stands))
        {
            return Some(rule.clone());
        }
        let held = self.budgets.iter().find(|(name, _)| limited && *name == cost.resource);
        let waits = held.and_then(|(_, held)| held.retry_at).is_some_and(stands);
        waits.then(|| LimitKind::Primary(cost.resource.clone()))
    }

    /// Returns whether the client has never received a lease, and the store can be merely slow: then its share is
    /// unknown.
    pub(in crate::policy::rate_limit) fn is_in_startup(&self, now: Instant) -> bool {
        let is_recent = |first| now < saturating_after(first, STARTUP_WINDOW);
        self.epoch.is_none()
            && self.connection != StoreConnection::Unsupported
            && self.first_request.is_none_or(is_recent)
    }

    /// Returns the time until which a window blocks a call of a starting client. Such a client spends a sixtieth of the
    /// limit at once (of a small limit, three units), and then at half the rate that the limit allows. A first call is
    /// always within the bound.
    pub(in crate::policy::rate_limit) fn startup_blocked_until(
        &self,
        now: Instant,
        index: usize,
        amount: u32,
        limit: u32,
    ) -> Option<Instant> {
        let spent = self.windows[index].offline_spending();
        if spent == 0 {
            return None;
        }
        let at_once = (limit / 60).max((limit / 10).min(3));
        let later = spent.saturating_add(amount).saturating_sub(at_once);
        let passed =
            SHARED_WINDOWS[index].1.saturating_mul(2).saturating_mul(later).checked_div(limit);
        let first = self.first_request.unwrap_or(now);
        let until = saturating_after(first, passed.unwrap_or(STARTUP_WINDOW).min(STARTUP_WINDOW));
        (until > now).then_some(until)
    }

    /// Returns how many calls can be in flight while the store is unavailable: the granted number, until the other
    /// clients' calls above their share have ended; then the share.
    pub(in crate::policy::rate_limit) fn offline_slots(&self, now: Instant, all: u32) -> u32 {
        let share = all.checked_div(self.divisor()).unwrap_or(all).max(1);
        match self.connection {
            StoreConnection::Lost(_) if self.is_in_startup(now) => STARTUP_SLOTS,
            StoreConnection::Lost(since)
                if self.epoch.is_some()
                    && now < saturating_after(since, GITHUB_REQUEST_TIMEOUT) =>
            {
                // The ledger reserves one slot for each known member, if there are enough.
                let known = since < saturating_after(self.last_response, GITHUB_REQUEST_TIMEOUT)
                    && share > 1;
                let granted = self.granted_slots.max(u32::from(!known));
                // If the last request arrived, the ledger counts the number in it, and possibly no more.
                share.min(granted).min(self.reported_in_flight.max(1))
            }
            StoreConnection::Lost(_) => share,
            _ => all,
        }
    }

    /// Returns the number of calls in flight for a request: while the store is unavailable, the largest number that
    /// there can be until it responds.
    pub(super) fn in_flight_to_report(&self, now: Instant, running: u32, all: Option<u32>) -> u32 {
        match all {
            Some(all) if !self.is_authoritative() && self.epoch.is_some() => {
                running.max(self.offline_slots(now, all))
            }
            _ => running,
        }
    }

    /// Returns how many calls can be in flight if the store responds too late: the number that the store certainly
    /// counts for this client, which is the last grant, or the calls in flight at the next request. Each known client
    /// can have one.
    pub(in crate::policy::rate_limit) fn slots_without_response(&self, all: u32) -> u32 {
        let share = all.checked_div(self.members).unwrap_or(all).max(1);
        share.min(self.granted_slots).min(self.reported_in_flight.max(1))
    }

    /// Returns whether this client's share of the last known free amount still covers this amount.
    pub(in crate::policy::rate_limit) fn has_fair_share(&self, index: usize, amount: u32) -> bool {
        let held = &self.windows[index];
        let share = held.fair_share(self.members).unwrap_or(u32::MAX);
        held.offline_spending().saturating_add(amount) <= share
    }

    /// Records the cost beside windows of a call that is admitted without a lease.
    pub(in crate::policy::rate_limit) fn overdraw(&mut self, now: Instant, cost: &RequestCost) {
        if let Some((_, held)) = self.budgets.iter_mut().find(|(name, _)| *name == cost.resource) {
            held.overdrawn = held.overdrawn.saturating_add(1);
        }
        if let Some(owner) = &cost.owner
            && (self.unreported_writes.len() < MAX_OWNERS
                || self.unreported_writes.contains_key(owner))
        {
            self.unreported_writes.insert(owner.clone(), now);
        }
    }

    /// Returns whether there is spending without a lease to report to the ledger.
    pub(super) fn has_unreported_spending(&self) -> bool {
        self.windows.iter().any(|held| held.spent_offline.is_some())
    }

    /// Returns the owners of writes without a lease, and how long ago, as far as the next write still waits for them.
    pub(super) fn report_writes(
        &mut self,
        now: Instant,
        between: Duration,
    ) -> BTreeMap<String, u64> {
        self.unreported_writes.retain(|_, at| saturating_after(*at, between) > now);
        let ago = |at: &Instant| clock::millis(now.saturating_duration_since(*at));
        let written = self.unreported_writes.iter();
        written.map(|(owner, at)| (owner.to_string(), ago(at))).collect()
    }

    /// Returns the time until which a window blocks a call while the store is unavailable: for the length of the
    /// window, a client spends at most its share of the amount that was free at the last response.
    pub(in crate::policy::rate_limit) fn offline_until(
        &self,
        now: Instant,
        index: usize,
        amount: u32,
        kept: Duration,
    ) -> Option<Instant> {
        let StoreConnection::Lost(since) = self.connection else { return None };
        let end = saturating_after(since, kept);
        (now < end && self.windows[index].offline_allowance < amount).then_some(end)
    }

    /// Sets the spendable amounts to zero while a request that returns them is in flight. The request reports `reported`
    /// calls in flight, of which `running` are.
    pub(super) fn suspend(&mut self, now: Instant, running: u32, reported: u32, slots_asked: u32) {
        self.serial = self.serial.saturating_add(1);
        self.last_request = now;
        self.first_request.get_or_insert(now);
        self.requested_slots = slots_asked;
        self.reported_in_flight = reported;
        self.in_flight_overstated = reported > running;
        self.slots = self.slots.min(running);
        let budgets = self.budgets.iter_mut().map(|(_, held)| held);
        for held in self.windows.iter_mut().chain(budgets) {
            held.being_returned = held.unspent();
            held.units = 0;
            held.spent = 0;
            held.reported = held.offline_spending();
            held.overdrawn = 0;
        }
    }

    /// Returns whether there is an amount to return.
    pub(super) fn has_returnable(&self) -> bool {
        let budgets = self.budgets.iter().map(|(_, held)| held);
        self.connection == StoreConnection::Connected
            && (self.slots > 1 || self.windows.iter().chain(budgets).any(|held| held.units > 0))
    }

    /// Returns when the first lease with a rest expires.
    pub(super) fn earliest_expiry(&self) -> Option<Instant> {
        let budgets = self.budgets.iter().map(|(_, held)| held);
        let held = self.windows.iter().chain(budgets).filter(|held| held.units > 0);
        held.filter_map(|held| held.expires_at).min()
    }

    /// Applies the response of the store. Returns the pause of the identity, if there is one.
    ///
    /// `time` is the time in windows, and `limits` are those of the windows.
    pub(super) fn apply_lease(
        &mut self,
        now: Instant,
        lease: QuotaLease,
        time: u64,
        limits: [u32; 4],
    ) -> Option<SecondaryPause> {
        let (asked, until) =
            (self.last_request, Some(saturating_after(self.last_request, LEASE_TTL)));
        let wait_until =
            |wait: u64| (wait > 0).then(|| saturating_after(now, Duration::from_millis(wait)));
        self.is_unknown_member = lease.is_unknown_member;
        let budgets = self.budgets.iter_mut().map(|(_, held)| held);
        for held in self.windows.iter_mut().chain(budgets) {
            held.being_returned = 0;
        }
        if lease.is_unknown_member {
            return None;
        }
        self.connection = StoreConnection::Connected;
        self.last_response_serial = self.serial;
        self.last_response = now;
        self.known_pause = self.reported_pause;
        self.epoch = Some(lease.epoch);
        self.members = lease.members.max(1);
        let fruitful = lease.slots > self.slots
            || lease.windows.values().any(|window| window.granted > 0)
            || lease.budgets.values().any(|budget| budget.granted > 0)
            || lease.owners.values().any(|wait| *wait == 0);
        self.backoff_until = (!fruitful).then(|| saturating_after(now, RETRY_DELAY));
        self.slots = lease.slots;
        self.granted_slots = lease.slots;
        self.slots_retry_at =
            (lease.slots < self.requested_slots).then(|| saturating_after(now, RETRY_DELAY));
        for (index, (name, _)) in SHARED_WINDOWS.iter().enumerate() {
            let held = &mut self.windows[index];
            let granted = lease.windows.get(*name);
            // The request reported the earlier spending without a lease. Later spending is subtracted from the grant,
            // and the next request reports the excess.
            let paid = granted.map_or(0, |granted| granted.granted.min(held.overdrawn));
            let owed = held.overdrawn.saturating_sub(paid);
            (held.overdrawn, held.reported) = (owed, 0);
            held.spent_offline = (owed > 0).then(|| {
                let mut apart = SlidingWindow::new(limits[index], SHARED_WINDOWS[index].1);
                apart.add(time, owed);
                Box::new(apart)
            });
            if let Some(granted) = granted {
                held.units = granted.granted.saturating_sub(paid);
                held.bucket = granted.bucket;
                held.min_free = Some(granted.min_free);
                held.unreported_until = wait_until(granted.unreported_ms);
                held.expires_at = until;
                held.retry_at = wait_until(granted.retry_after_ms);
            }
        }
        for (name, granted) in lease.budgets {
            let position = self.budgets.iter().position(|(known, _)| *known == *name);
            let position = position.unwrap_or_else(|| {
                self.budgets.push((Cow::Owned(name), LeasedQuota::default()));
                self.budgets.len().saturating_sub(1)
            });
            let held = &mut self.budgets[position].1;
            held.units = granted.granted.saturating_sub(std::mem::take(&mut held.overdrawn));
            // They count as spent for as long as the ledger knows this client.
            held.expires_at = Some(saturating_after(self.last_request, TWO_HEARTBEATS));
            held.retry_at = wait_until(granted.retry_after_ms);
        }
        let stands = self.verdict_expires_at;
        self.owners.retain(|_, write| match write {
            WriteSlot::Granted(until) => *until > now,
            WriteSlot::Blocked(until) => saturating_after(*until, stands) > now,
        });
        // The request reported the others.
        self.unreported_writes.retain(|_, at| *at > asked);
        for (owner, wait) in lease.owners {
            let write = match wait {
                0 => WriteSlot::Granted(saturating_after(now, WRITE_GRANT_TTL)),
                wait => WriteSlot::Blocked(saturating_after(now, Duration::from_millis(wait))),
            };
            let taken = wait == 0 && self.unreported_writes.contains_key(owner.as_str());
            let owner = owner.into_boxed_str();
            let has_space = self.owners.len() < MAX_OWNERS || self.owners.contains_key(&owner);
            if taken {
                self.owners.remove(&owner);
            } else if has_space {
                self.owners.insert(owner, write);
            }
        }
        lease.pause
    }

    /// Records that the store is unavailable.
    pub(super) fn disconnect(&mut self, now: Instant) {
        if let StoreConnection::Lost(_) = self.connection {
            return;
        }
        self.connection = StoreConnection::Lost(now);
        for held in &mut self.windows {
            // A client that has never known of others is alone.
            let share = held.fair_share(self.members).unwrap_or(u32::MAX);
            held.offline_allowance = share.saturating_sub(held.offline_spending());
        }
    }

    /// Leaves a ledger that the store can have dropped since the last response. No spending from before it counts, and this
    /// client joins the next ledger as a new one, instead of as a member of a lost one.
    pub(super) fn leave_expired_ledger(&mut self, now: Instant) {
        if self.connection == StoreConnection::Connected
            && saturating_after(self.last_response, LEDGER_TTL) <= now
        {
            (self.epoch, self.first_request) = (None, None);
        }
    }

    /// Returns the number of clients at the last response; one, if this client made no call for long.
    pub(super) fn expected_members(&self, now: Instant) -> u32 {
        let idle = self.is_authoritative()
            && saturating_after(self.last_response, MEMBER_COUNT_TTL) <= now;
        if idle { 1 } else { self.members }
    }

    /// Returns how many calls the client can have in flight without a lease.
    pub(super) fn offline_slot_allowance(&self, now: Instant, all: u32) -> u32 {
        if self.is_authoritative() { self.granted_slots } else { self.offline_slots(now, all) }
    }

    /// Returns for how long the spending of departed clients can count in a window.
    pub(super) fn unreported_for(&self, now: Instant, index: usize) -> Duration {
        let until = self.windows[index].unreported_until;
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// Returns the amount of a window that the client can spend without a lease; `None` if it would be the only client.
    pub(super) fn offline_allowance(
        &self,
        now: Instant,
        index: usize,
        kept: Duration,
    ) -> Option<u32> {
        let held = &self.windows[index];
        match self.connection {
            StoreConnection::Lost(since) if now < saturating_after(since, kept) => {
                held.min_free.map(|_| held.offline_allowance)
            }
            StoreConnection::Lost(_) => None,
            _ => held.fair_share(self.members),
        }
    }

    /// Records spending in a window without a response of the store.
    pub(in crate::policy::rate_limit) fn spend_offline(
        &mut self,
        index: usize,
        time: u64,
        amount: u32,
        limit: u32,
    ) {
        let held = &mut self.windows[index];
        let apart = || Box::new(SlidingWindow::new(limit, SHARED_WINDOWS[index].1));
        held.spent_offline.get_or_insert_with(apart).add(time, amount);
        held.offline_allowance = held.offline_allowance.saturating_sub(amount);
        held.overdrawn = held.overdrawn.saturating_add(amount);
    }
}

impl LeasedQuota {
    /// Returns one client's part of the unused amount.
    fn fair_share(&self, members: u32) -> Option<u32> {
        self.min_free.map(|free| free.checked_div(members).unwrap_or(free))
    }

    /// Returns the amount that the next request returns.
    pub(super) fn unspent(&self) -> u32 {
        self.units.saturating_add(self.being_returned)
    }

    /// Returns the amount that was spent without a lease since the last response.
    fn offline_spending(&self) -> u32 {
        self.reported.saturating_add(self.overdrawn)
    }

    fn remaining(&self, now: Instant) -> u32 {
        if self.expires_at.is_some_and(|until| until > now) { self.units } else { 0 }
    }

    fn consume(&mut self, amount: u32) {
        self.units = self.units.saturating_sub(amount);
        self.spent = self.spent.saturating_add(amount);
    }

    /// Returns the amount to request: the demand of waiting calls, but at most the amount that can be spent while the
    /// lease is valid.
    pub(super) fn units_to_request(&self, waiting: u32, least: u32, asked: Duration) -> u32 {
        let spent = u64::from(self.spent).saturating_mul(LEASE_TTL_MS);
        // The spending in half a second at the rate since the last request.
        let passed = clock::millis(asked).max(LEASE_TTL_MS);
        let likely = u32::try_from(spent.checked_div(passed).unwrap_or(spent)).unwrap_or(u32::MAX);
        waiting.min(likely.saturating_mul(2).max(MIN_BATCH)).max(likely).max(least)
    }
}

/// The minimum amount of a request, if enough calls wait.
const MIN_BATCH: u32 = 50;

/// The shared windows: their names in the ledger, and their lengths.
pub(in crate::policy::rate_limit) const SHARED_WINDOWS: [(&str, Duration); 4] = [
    ("points", Duration::from_secs(60)),
    ("graphql_points", Duration::from_secs(60)),
    ("content_a_minute", Duration::from_secs(60)),
    ("content_an_hour", Duration::from_secs(60 * 60)),
];

/// Returns for how long a client without the store considers the earlier spending of others in a window.
pub(in crate::policy::rate_limit) fn offline_window(length: Duration) -> Duration {
    // The longest time that requests take to arrive.
    length.saturating_add(Duration::from_secs(2))
}

/// The demand of waiting calls for leased limits.
#[derive(Debug, Default)]
pub(super) struct QuotaDemand {
    pub(super) calls: u32,
    /// For each window: the demand of all calls, and of the first one.
    pub(super) windows: [(u32, u32); 4],
    pub(super) budgets: BTreeMap<Cow<'static, str>, u32>,
    pub(super) owners: Vec<String>,
}

/// The maximum number of owners in one request.
const MAX_OWNERS_PER_REQUEST: usize = 32;

impl QuotaDemand {
    /// Counts a call, unless it is a write that has to wait for another one.
    pub(super) fn add(
        &mut self,
        cost: &RequestCost,
        windows: &[(usize, LimitKind, u32)],
        paced: bool,
    ) {
        if let Some(owner) = cost.owner.as_ref().filter(|_| paced) {
            if self.owners.len() >= MAX_OWNERS_PER_REQUEST
                || self.owners.iter().any(|known| **known == **owner)
            {
                return;
            }
            self.owners.push(owner.clone().into());
        }
        self.calls = self.calls.saturating_add(1);
        for (index, _, amount) in windows {
            let (sum, first) = &mut self.windows[*index];
            *sum = sum.saturating_add(*amount);
            if *first == 0 {
                *first = *amount;
            }
        }
        let calls = self.budgets.entry(cost.resource.clone()).or_default();
        *calls = calls.saturating_add(1);
    }
}

#[cfg(test)]
mod tests;
