//! The requests of a client for leases: when it sends them, and for which amounts.

use std::time::Duration;

use tokio::time::Instant;

use super::super::cost::RequestCost;
use super::super::limits::{IdentityLimits, LimitExceeded};
use super::super::policy::RateLimitPolicy;
use super::lease_state::{
    HEARTBEAT_INTERVAL, LEASE_TTL, QuotaDemand, RETRY_DELAY, SHARED_WINDOWS, StoreConnection,
    offline_window,
};
use crate::store::{
    MemberJoin, PrimaryObservation, PrimaryRequest, QuotaLease, QuotaRequest, SecondaryPause,
    WindowRequest,
};
use crate::time::clock::millis;

/// Whether a request is due.
#[derive(Debug)]
pub(in crate::policy::rate_limit) enum NextLease {
    Now,
    At(Instant),
    /// There is no amount to request or to return.
    Never,
}

/// The maximum number of queued calls that one request covers.
const MAX_CALLS_PER_LEASE: usize = 1_000;
/// The number of spare slots in a request, so that one more call needs no request.
const SPARE_SLOTS: u32 = 2;

impl IdentityLimits {
    /// Returns when the next request to the store is due, which is not before `retry_at`.
    pub(in crate::policy::rate_limit) fn next_lease(
        &self,
        now: Instant,
        queued: bool,
        blocked: &[LimitExceeded],
        retry_at: Option<Instant>,
    ) -> NextLease {
        let Some(shared) = &self.shared else { return NextLease::Never };
        let active = queued || self.in_flight > 0;
        let at = match shared.connection {
            StoreConnection::Unsupported => return NextLease::Never,
            StoreConnection::Untried if active => Some(now),
            // Also for a store that responds, but whose ledger is unreadable.
            StoreConnection::Lost(_) if active => Some(shared.last_request + RETRY_DELAY),
            StoreConnection::Untried | StoreConnection::Lost(_) => None,
            StoreConnection::Connected => self.next_lease_by_expiry(now, active, blocked),
        };
        // If the store is known to be unavailable, the client continues alone at once.
        let retry_at = retry_at.filter(|_| !shared.is_authoritative());
        match at.map(|at| retry_at.map_or(at, |retry_at| at.max(retry_at))) {
            Some(at) if at <= now => NextLease::Now,
            Some(at) => NextLease::At(at),
            None => NextLease::Never,
        }
    }

    fn next_lease_by_expiry(
        &self,
        now: Instant,
        active: bool,
        blocked: &[LimitExceeded],
    ) -> Option<Instant> {
        let fleet = self.shared.as_ref()?;
        let pause = self.secondary.current().map(|(until, _)| until);
        let owes = active && fleet.has_unreported_spending();
        if fleet.is_unknown_member
            || pause != fleet.known_pause
            || owes
            || fleet.in_flight_overstated
        {
            return Some(now);
        }
        let shared = blocked.iter().filter(|blocked| blocked.shared);
        let lacking = shared.map(|blocked| blocked.until.unwrap_or(now)).min();
        let beat = if self.in_flight > 0 { HEARTBEAT_INTERVAL } else { 2 * HEARTBEAT_INTERVAL };
        let beat = active.then(|| fleet.last_request + beat);
        let idle = (!active && fleet.has_returnable())
            .then(|| fleet.last_use.max(fleet.last_request) + LEASE_TTL);
        let over = fleet.earliest_expiry();
        [lacking, beat, idle, over].into_iter().flatten().min()
    }

    /// Returns the request for the waiting calls. Until its response arrives, the amounts that it returns are not
    /// spent.
    pub(in crate::policy::rate_limit) fn build_request<'a>(
        &mut self,
        now: Instant,
        queue: impl Iterator<Item = &'a RequestCost>,
        blocked: &[LimitExceeded],
        policy: &RateLimitPolicy,
    ) -> QuotaRequest {
        let demand = self.queued_demand(now, queue, blocked, policy);
        let spread = policy.spread_evenly;
        let pause = self.secondary.current();
        let Some(shared) = &mut self.shared else { return QuotaRequest::default() };
        shared.leave_expired_ledger(now);
        let shared = &*shared;
        let known = shared.known_pause;
        let was_away =
            shared.epoch.is_none() || shared.is_unknown_member || !shared.is_authoritative();
        let joining = was_away || shared.has_unreported_spending();
        // The end of a pause that the ledger knows is not reported again: a probe can have ended it since. But a ledger
        // that was lost does not know a pause that continues.
        let sends = |until: Instant| {
            was_away || (joining && until > now) || known.is_none_or(|known| until > known)
        };
        let busy = demand.calls > 0 || self.in_flight > 0;
        let running =
            shared.in_flight_to_report(now, self.in_flight, policy.secondary_limits.max_concurrent);
        let spare = if busy { (self.in_flight / 4).clamp(SPARE_SLOTS, 25) } else { 0 };
        let mut request = QuotaRequest {
            member: shared.member.clone(),
            epoch: shared.epoch.clone(),
            serial: shared.serial + 1,
            last_seen_response: shared.last_response_serial,
            in_flight: running,
            queued: demand.calls.saturating_add(spare),
            max_concurrent: policy.secondary_limits.max_concurrent,
            min_write_interval: millis(policy.secondary_limits.min_write_interval),
            pause: pause.filter(|(until, _)| sends(*until)).map(|(until, level)| SecondaryPause {
                ends_in: millis(until.saturating_duration_since(now)),
                consecutive: level,
            }),
            pause_over: known.is_some() && pause.is_none(),
            ..QuotaRequest::default()
        };
        request.join = joining.then(|| self.join_info(now, policy));
        self.request_windows(now, &demand, &mut request);
        self.request_primary(now, &demand, policy.reserve_fraction, spread, joining, &mut request);
        request.owners = demand.owners;
        let between = policy.secondary_limits.min_write_interval;
        if let Some(shared) = &mut self.shared {
            request.written = shared.report_writes(now, between);
            shared.reported_pause = pause.map(|(until, _)| until);
            let asked = running.saturating_add(request.queued);
            shared.suspend(now, self.in_flight, running, asked);
        }
        request
    }

    /// Returns whether no request was sent to the store yet.
    pub(in crate::policy::rate_limit) fn is_first_request(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| {
            shared.connection == StoreConnection::Untried && shared.serial == 0
        })
    }

    /// Returns whether calls wait for the response of the store.
    pub(in crate::policy::rate_limit) fn waits_for_store(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| shared.is_authoritative())
    }

    /// Applies the response of the store; `None` if there is none.
    pub(in crate::policy::rate_limit) fn apply_response(
        &mut self,
        now: Instant,
        lease: Option<Option<QuotaLease>>,
    ) {
        let time = self.time(now);
        let limits = self.shared_limits();
        let Some(shared) = &mut self.shared else { return };
        match lease {
            None => shared.disconnect(now),
            Some(None) => shared.connection = StoreConnection::Unsupported,
            Some(Some(lease)) => {
                if let Some(pause) = shared.apply_lease(now, lease, time, limits) {
                    let before = self.secondary.current().map(|(until, _)| until);
                    self.secondary.merge(
                        now,
                        Duration::from_millis(pause.ends_in),
                        pause.consecutive,
                    );
                    // Unless there is a newer one, which is still to be reported.
                    if before == shared.known_pause {
                        shared.known_pause = self.secondary.current().map(|(until, _)| until);
                    }
                }
            }
        }
    }

    /// Returns the demand of the calls that wait only for leases.
    fn queued_demand<'a>(
        &mut self,
        now: Instant,
        queue: impl Iterator<Item = &'a RequestCost>,
        blocked: &[LimitExceeded],
        policy: &RateLimitPolicy,
    ) -> QuotaDemand {
        let paced = !policy.secondary_limits.min_write_interval.is_zero();
        let mut demand = QuotaDemand::default();
        for cost in queue.take(MAX_CALLS_PER_LEASE) {
            let admission_fails =
                blocked.iter().any(|blocked| !blocked.shared && blocked.limit.applies_to(cost));
            let shared = self.shared.as_ref();
            let owner = cost.owner.as_ref().filter(|_| paced).zip(shared);
            let waits = owner.is_some_and(|(owner, shared)| shared.is_write_blocked(now, owner));
            if !admission_fails && !waits {
                let windows = self.window_costs(cost);
                demand.add(cost, &windows, paced);
            }
        }
        demand
    }

    fn request_windows(&mut self, now: Instant, demand: &QuotaDemand, request: &mut QuotaRequest) {
        for (index, (name, length)) in SHARED_WINDOWS.iter().enumerate() {
            let limit = self.shared_window(index).map(|window| window.limit());
            let (Some(limit), Some(shared)) = (limit, &self.shared) else { continue };
            let held = &shared.windows[index];
            let (waiting, least) = demand.windows[index];
            let asked = now.saturating_duration_since(shared.last_request);
            let want = held.units_to_request(waiting, least, asked);
            let joins = request.join.as_ref().is_some_and(|join| {
                join.spent.contains_key(*name) || join.spent_offline.contains_key(*name)
            });
            if want > 0 || held.unspent() > 0 || joins {
                let ask = WindowRequest {
                    limit,
                    length: millis(*length),
                    requested: want,
                    min_useful: least.max(1),
                    unspent: held.unspent(),
                    bucket: held.bucket,
                };
                request.windows.insert((*name).to_owned(), ask);
            }
        }
    }

    fn request_primary(
        &mut self,
        now: Instant,
        demand: &QuotaDemand,
        reserve: f64,
        spread: bool,
        all: bool,
        request: &mut QuotaRequest,
    ) {
        let Some(shared) = &self.shared else { return };
        let wanted = demand.budgets.iter();
        for (name, waiting) in wanted {
            if !self.primary.iter().any(|(known, _)| known == name) {
                let ask = PrimaryRequest { requested: *waiting, ..PrimaryRequest::default() };
                request.budgets.insert(name.clone().into_owned(), ask);
            }
        }
        for (name, budget) in &mut self.primary {
            if !budget.is_limited() {
                continue;
            }
            let held = shared.budgets.iter().find(|(known, _)| known == name).map(|(_, held)| held);
            let waiting = demand.budgets.get(name).copied().unwrap_or_default();
            let asked = now.saturating_duration_since(shared.last_request);
            let want =
                held.map_or(waiting, |held| held.units_to_request(waiting, waiting.min(1), asked));
            let observed = budget.take_update(now, all).map(|(limit, remaining, ends_in)| {
                PrimaryObservation { limit, remaining, ends_in: millis(ends_in) }
            });
            // A reported call is no longer outstanding.
            let ask = PrimaryRequest {
                observed,
                in_flight: budget.in_flight(),
                requested: want,
                // At most the limit, which a u64 holds.
                reserved: (budget.limit() as f64 * reserve) as u64,
                spread,
            };
            request.budgets.insert(name.clone().into_owned(), ask);
        }
    }

    /// Returns the report for a ledger that does not know this client, or had no request from it for long.
    fn join_info(&mut self, now: Instant, policy: &RateLimitPolicy) -> MemberJoin {
        let mut join = MemberJoin::default();
        if let Some(shared) = &self.shared {
            join.members = shared.expected_members(now);
            let slots = policy
                .secondary_limits
                .max_concurrent
                .map(|all| shared.offline_slot_allowance(now, all));
            join.offline_slots = slots.unwrap_or_default();
            if let StoreConnection::Lost(since) = shared.connection {
                join.offline_ms = millis(now.saturating_duration_since(since));
            }
        }
        let time = self.time(now);
        for (index, (name, length)) in SHARED_WINDOWS.iter().enumerate() {
            let history = self.shared_window(index).map(|window| window.history(time));
            if let Some(history) = history.filter(|history| !history.is_empty()) {
                join.spent.insert((*name).to_owned(), history);
            }
            let Some(shared) = &mut self.shared else { continue };
            if let Some(apart) = &mut shared.windows[index].spent_offline {
                join.spent_offline.insert((*name).to_owned(), apart.history(time));
            }
            let (share, spare) =
                (shared.divisor(), shared.offline_allowance(now, index, offline_window(*length)));
            let unreported = shared.unreported_for(now, index);
            if !unreported.is_zero() {
                join.unreported_ms.insert((*name).to_owned(), millis(unreported));
            }
            let window = self.shared_window(index);
            if let Some(spare) = spare.or_else(|| Some(window?.remaining(time, share))) {
                join.offline_allowance.insert((*name).to_owned(), spare);
            }
        }
        join
    }
}
