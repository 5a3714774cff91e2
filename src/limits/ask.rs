//! Decides when a client requests a lease from the store, and for which amounts.

use std::time::Duration;

use tokio::time::Instant;

use super::cost::Cost;
use super::fleet::{Contact, Demand, HEARTBEAT, LATER, LEASE, NAMES, alone};
use super::policy::RateLimits;
use super::rules::{Blocked, Rules};
use crate::store::{BudgetAsk, BudgetTold, Join, Lease, LeaseRequest, Pause, WindowAsk};

/// Whether a request is due.
#[derive(Debug)]
pub(super) enum Due {
    Now,
    At(Instant),
    /// There is no amount to request or to return.
    Never,
}

/// The maximum number of queued calls that one request covers.
const CALLS_ASKED: usize = 1_000;
/// The number of spare slots in a request, so that one more call needs no request.
const SPARE: u32 = 2;

impl Rules {
    /// Returns when the next request to the store is due, which is not before `retry_at`.
    pub(super) fn due(
        &self,
        now: Instant,
        queued: bool,
        blocked: &[Blocked],
        retry_at: Option<Instant>,
    ) -> Due {
        let Some(fleet) = &self.fleet else { return Due::Never };
        let active = queued || self.running > 0;
        let at = match fleet.contact {
            Contact::Apart => return Due::Never,
            Contact::Never if active => Some(now),
            // Also for a store that responds, but whose ledger is unreadable.
            Contact::Lost(_) if active => Some(fleet.asked + LATER),
            Contact::Never | Contact::Lost(_) => None,
            Contact::Held => self.due_by_leases(now, active, blocked),
        };
        // If the store is known to be unavailable, the client continues alone at once.
        let retry_at = retry_at.filter(|_| !fleet.leads());
        match at.map(|at| retry_at.map_or(at, |retry_at| at.max(retry_at))) {
            Some(at) if at <= now => Due::Now,
            Some(at) => Due::At(at),
            None => Due::Never,
        }
    }

    fn due_by_leases(&self, now: Instant, active: bool, blocked: &[Blocked]) -> Option<Instant> {
        let fleet = self.fleet.as_ref()?;
        let pause = self.penalty.current().map(|(until, _)| until);
        let owes = active && fleet.owes();
        if fleet.unknown || pause != fleet.known_pause || owes || fleet.overstated {
            return Some(now);
        }
        let shared = blocked.iter().filter(|blocked| blocked.shared);
        let lacking = shared.map(|blocked| blocked.until.unwrap_or(now)).min();
        let beat = if self.running > 0 { HEARTBEAT } else { 2 * HEARTBEAT };
        let beat = active.then(|| fleet.asked + beat);
        let idle = (!active && fleet.holds()).then(|| fleet.used.max(fleet.asked) + LEASE);
        let over = fleet.over();
        [lacking, beat, idle, over].into_iter().flatten().min()
    }

    /// Returns the request for the waiting calls. Until its response arrives, the amounts that it returns are not
    /// spent.
    pub(super) fn ask<'a>(
        &mut self,
        now: Instant,
        queue: impl Iterator<Item = &'a Cost>,
        blocked: &[Blocked],
        policy: &RateLimits,
    ) -> LeaseRequest {
        let demand = self.demand(now, queue, blocked, policy);
        let spread = policy.spread;
        let pause = self.penalty.current();
        let Some(fleet) = &self.fleet else { return LeaseRequest::default() };
        let known = fleet.known_pause;
        let was_away = fleet.epoch.is_none() || fleet.unknown || !fleet.leads();
        let joining = was_away || fleet.owes();
        // The end of a pause that the ledger knows is not reported again: a probe can have ended it since. But a ledger
        // that was lost does not know a pause that continues.
        let tells = |until: Instant| {
            was_away || (joining && until > now) || known.is_none_or(|known| until > known)
        };
        let busy = demand.calls > 0 || self.running > 0;
        let running = fleet.running_told(now, self.running, policy.pacing.concurrent);
        let spare = if busy { (self.running / 4).clamp(SPARE, 25) } else { 0 };
        let mut request = LeaseRequest {
            member: fleet.member.clone(),
            epoch: fleet.epoch.clone(),
            serial: fleet.serial + 1,
            heard: fleet.answered,
            running,
            waiting: demand.calls.saturating_add(spare),
            concurrent: policy.pacing.concurrent,
            between_writes: millis(policy.pacing.between_writes),
            pause: pause.filter(|(until, _)| tells(*until)).map(|(until, level)| Pause {
                ends_in: millis(until.saturating_duration_since(now)),
                level,
            }),
            recovered: known.is_some() && pause.is_none(),
            ..LeaseRequest::default()
        };
        request.join = joining.then(|| self.join(now, policy));
        self.ask_windows(now, &demand, &mut request);
        self.ask_budgets(now, &demand, policy.reserve, spread, joining, &mut request);
        request.owners = demand.owners;
        let between = policy.pacing.between_writes;
        if let Some(fleet) = &mut self.fleet {
            request.written = fleet.tell_written(now, between);
        }
        if let Some(fleet) = &mut self.fleet {
            fleet.told_pause = pause.map(|(until, _)| until);
            let asked = running.saturating_add(request.waiting);
            fleet.freeze(now, self.running, running, asked);
        }
        request
    }

    /// Returns whether no request was sent to the store yet.
    pub(super) fn has_never_asked(&self) -> bool {
        self.fleet
            .as_ref()
            .is_some_and(|fleet| fleet.contact == Contact::Never && fleet.serial == 0)
    }

    /// Returns whether calls wait for the response of the store.
    pub(super) fn waits_for_store(&self) -> bool {
        self.fleet.as_ref().is_some_and(|fleet| fleet.leads())
    }

    /// Applies the response of the store; `None` if there is none.
    pub(super) fn answered(&mut self, now: Instant, lease: Option<Option<Lease>>) {
        let time = self.time(now);
        let limits = self.shared_limits();
        let Some(fleet) = &mut self.fleet else { return };
        match lease {
            None => fleet.lose(now),
            Some(None) => fleet.contact = Contact::Apart,
            Some(Some(lease)) => {
                if let Some(pause) = fleet.apply(now, lease, time, limits) {
                    let before = self.penalty.current().map(|(until, _)| until);
                    self.penalty.adopt(now, Duration::from_millis(pause.ends_in), pause.level);
                    // Unless there is a newer one, which is still to be reported.
                    if before == fleet.known_pause {
                        fleet.known_pause = self.penalty.current().map(|(until, _)| until);
                    }
                }
            }
        }
    }

    /// Returns the demand of the calls that wait only for leases.
    fn demand<'a>(
        &mut self,
        now: Instant,
        queue: impl Iterator<Item = &'a Cost>,
        blocked: &[Blocked],
        policy: &RateLimits,
    ) -> Demand {
        let paced = !policy.pacing.between_writes.is_zero();
        let mut demand = Demand::default();
        for cost in queue.take(CALLS_ASKED) {
            let held_back =
                blocked.iter().any(|blocked| !blocked.shared && blocked.rule.concerns(cost));
            let fleet = self.fleet.as_ref();
            let owner = cost.owner.as_ref().filter(|_| paced).zip(fleet);
            let waits = owner.is_some_and(|(owner, fleet)| fleet.waits_to_write(now, owner));
            if !held_back && !waits {
                let windows = self.numbered(cost);
                demand.add(cost, &windows, paced);
            }
        }
        demand
    }

    fn ask_windows(&mut self, now: Instant, demand: &Demand, request: &mut LeaseRequest) {
        for (index, (name, length)) in NAMES.iter().enumerate() {
            let limit = self.shared_window(index).map(|window| window.limit());
            let (Some(limit), Some(fleet)) = (limit, &self.fleet) else { continue };
            let held = &fleet.windows[index];
            let (waiting, least) = demand.windows[index];
            let asked = now.saturating_duration_since(fleet.asked);
            let want = held.want(waiting, least, asked);
            let joins = request.join.as_ref().is_some_and(|join| {
                join.spent.contains_key(*name) || join.apart.contains_key(*name)
            });
            if want > 0 || held.unspent() > 0 || joins {
                let ask = WindowAsk {
                    limit,
                    length: millis(*length),
                    want,
                    least: least.max(1),
                    unspent: held.unspent(),
                    part: held.part,
                };
                request.windows.insert((*name).to_owned(), ask);
            }
        }
    }

    fn ask_budgets(
        &mut self,
        now: Instant,
        demand: &Demand,
        reserve: f64,
        spread: bool,
        all: bool,
        request: &mut LeaseRequest,
    ) {
        let Some(fleet) = &self.fleet else { return };
        let wanted = demand.budgets.iter();
        for (name, waiting) in wanted {
            if !self.budgets.iter().any(|(known, _)| known == name) {
                let ask = BudgetAsk { want: *waiting, ..BudgetAsk::default() };
                request.budgets.insert(name.clone().into_owned(), ask);
            }
        }
        for (name, budget) in &mut self.budgets {
            if !budget.is_limited() {
                continue;
            }
            let held = fleet.budgets.iter().find(|(known, _)| known == name).map(|(_, held)| held);
            let waiting = demand.budgets.get(name).copied().unwrap_or_default();
            let asked = now.saturating_duration_since(fleet.asked);
            let want = held.map_or(waiting, |held| held.want(waiting, waiting.min(1), asked));
            let told = budget.news(now, all).map(|(limit, remaining, ends_in)| BudgetTold {
                limit,
                remaining,
                ends_in: millis(ends_in),
            });
            // A reported call is no longer outstanding.
            let ask = BudgetAsk {
                told,
                outstanding: budget.pending(),
                want,
                // At most the limit, which a u64 holds.
                keep: (budget.limit() as f64 * reserve) as u64,
                spread,
            };
            request.budgets.insert(name.clone().into_owned(), ask);
        }
    }

    /// Returns the report for a ledger that does not know this client, or had no request from it for long.
    fn join(&mut self, now: Instant, policy: &RateLimits) -> Join {
        let mut join = Join::default();
        if let Some(fleet) = &self.fleet {
            join.members = fleet.expected(now);
            let slots = policy.pacing.concurrent.map(|all| fleet.slots_spare(now, all));
            join.slots = slots.unwrap_or_default();
            if let Contact::Lost(since) = fleet.contact {
                join.alone = millis(now.saturating_duration_since(since));
            }
        }
        let time = self.time(now);
        for (index, (name, length)) in NAMES.iter().enumerate() {
            let history = self.shared_window(index).map(|window| window.history(time));
            if let Some(history) = history.filter(|history| !history.is_empty()) {
                join.spent.insert((*name).to_owned(), history);
            }
            let Some(fleet) = &mut self.fleet else { continue };
            if let Some(apart) = &mut fleet.windows[index].apart {
                join.apart.insert((*name).to_owned(), apart.history(time));
            }
            let (share, spare) = (fleet.share(), fleet.spare(now, index, alone(*length)));
            let unreported = fleet.unreported(now, index);
            if !unreported.is_zero() {
                join.unreported.insert((*name).to_owned(), millis(unreported));
            }
            let window = self.shared_window(index);
            if let Some(spare) = spare.or_else(|| Some(window?.left_of_share(time, share))) {
                join.spare.insert((*name).to_owned(), spare);
            }
        }
        join
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
