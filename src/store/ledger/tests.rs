//! The limits hold for all requests.

use proptest::prelude::*;

use super::*;
use crate::store::LEASE_TTL_MS;

const MINUTE: u64 = 60_000;
/// The part of 900 points that a new ledger reserves for unknown clients.
const LEFT: u32 = 45;

fn points(limit: u32, want: u32, least: u32) -> BTreeMap<String, WindowRequest> {
    let ask = WindowRequest {
        limit,
        length: MINUTE,
        requested: want,
        min_useful: least,
        unspent: 0,
        bucket: 0,
    };
    BTreeMap::from([("points".to_owned(), ask)])
}

/// A request for this part of 900 points.
fn wants(want: u32) -> QuotaRequest {
    QuotaRequest { queued: want, windows: points(900, want, 1), ..QuotaRequest::default() }
}

/// A client that follows the protocol for every response.
#[derive(Default)]
struct Client {
    name: String,
    epoch: Option<String>,
    members: u32,
    /// Its offline allowance.
    spare: u32,
    /// Until when clients that are gone may have spent.
    unreported_until: u64,
    /// For how long it has been.
    alone: u64,
    serial: u64,
    heard: u64,
    /// The next answer is lost.
    deaf: bool,
}

impl Client {
    fn new(name: usize) -> Self {
        Self { name: format!("m{name}"), ..Self::default() }
    }

    fn ask(&mut self, ledger: &mut QuotaLedger, now: u64, mut ask: QuotaRequest) -> QuotaLease {
        ask.member.clone_from(&self.name);
        ask.epoch.clone_from(&self.epoch);
        self.serial += 1;
        (ask.serial, ask.last_seen_response) = (self.serial, self.heard);
        if ask.epoch.is_none() || self.alone > 0 {
            ask.join = Some(self.join(now));
        }
        let mut lease = ledger.lease(now, &ask);
        if lease.is_unknown_member {
            ask.join = Some(self.join(now));
            lease = ledger.lease(now, &ask);
        }
        if std::mem::take(&mut self.deaf) {
            return lease;
        }
        self.alone = 0;
        self.heard = self.serial;
        self.epoch = Some(lease.epoch.clone());
        self.members = lease.members;
        if let Some(points) = lease.windows.get("points") {
            self.spare = points.min_free / lease.members;
            self.unreported_until = now + points.unreported_ms;
        }
        lease
    }

    fn join(&self, now: u64) -> MemberJoin {
        let spare = BTreeMap::from([("points".to_owned(), self.spare)]);
        let unreported = self.unreported_until.saturating_sub(now);
        let unreported = BTreeMap::from([("points".to_owned(), unreported)]);
        let (members, alone) = (self.members, self.alone);
        MemberJoin {
            members,
            offline_ms: alone,
            offline_slots: 25,
            offline_allowance: spare,
            unreported_ms: unreported,
            ..MemberJoin::default()
        }
    }
}

#[test]
fn an_unknown_member_joins_before_it_gets_a_lease() {
    let mut ledger = QuotaLedger::default();
    let ask = QuotaRequest { member: "a".to_owned(), queued: 1, ..QuotaRequest::default() };
    assert!(ledger.lease(0, &ask).is_unknown_member);
    let mut client = Client::new(0);
    let lease = client.ask(&mut ledger, 5, QuotaRequest { queued: 3, ..ask });
    assert_eq!((lease.is_unknown_member, lease.members, lease.slots), (false, 1, 3));
}

#[test]
fn a_member_that_holds_all_quota_shares_it_with_a_new_member() {
    let mut ledger = QuotaLedger::default();
    let (mut one, mut two) = (Client::new(1), Client::new(2));
    let ask = |running, waiting| QuotaRequest {
        in_flight: running,
        queued: waiting,
        max_concurrent: Some(100),
        ..QuotaRequest::default()
    };
    // A quarter is left to others that may be about to join.
    assert_eq!(one.ask(&mut ledger, 0, ask(0, 500)).slots, 75);
    assert_eq!(two.ask(&mut ledger, 10, ask(0, 500)).slots, 0);
    assert_eq!(one.ask(&mut ledger, 20, ask(75, 500)).slots, 37);
    assert_eq!(two.ask(&mut ledger, 30, ask(0, 500)).slots, 0, "the calls are still in flight");
    assert_eq!(one.ask(&mut ledger, 40, ask(37, 500)).slots, 37);
    assert_eq!(two.ask(&mut ledger, 50, ask(0, 500)).slots, 38);
    // Later, it is a twentieth.
    assert_eq!(one.ask(&mut ledger, MEMBER_TIMEOUT, ask(37, 500)).slots, 57);
    assert_eq!(two.ask(&mut ledger, MEMBER_TIMEOUT, ask(38, 500)).slots, 38);
}

#[test]
fn quota_held_by_a_dead_member_is_released() {
    let mut ledger = QuotaLedger::default();
    let (mut one, mut two) = (Client::new(1), Client::new(2));
    let ask = QuotaRequest { queued: 9, max_concurrent: Some(9), ..QuotaRequest::default() };
    assert_eq!(one.ask(&mut ledger, 0, ask.clone()).slots, 7);
    assert_eq!(two.ask(&mut ledger, 9_999, ask.clone()).slots, 0);
    // One slot is reserved for a client that might join.
    assert_eq!(two.ask(&mut ledger, 10_000, ask).slots, 8);
}

#[test]
fn an_old_ledger_leaves_one_call_at_least_to_a_client_that_starts() {
    for (concurrent, held) in [(1, 1), (2, 1), (10, 9), (19, 18), (20, 19), (21, 19), (100, 95)] {
        let (mut ledger, mut one) = (QuotaLedger::default(), Client::new(1));
        let waiting = 500;
        let ask = QuotaRequest {
            queued: waiting,
            max_concurrent: Some(concurrent),
            ..QuotaRequest::default()
        };
        one.ask(&mut ledger, 0, ask.clone());
        assert_eq!(one.ask(&mut ledger, 2 * MEMBER_TIMEOUT, ask).slots, held, "of {concurrent}");
    }
}

#[test]
fn a_write_reported_afterwards_delays_the_writes_of_other_members() {
    let mut ledger = QuotaLedger::default();
    let (mut one, mut two) = (Client::new(1), Client::new(2));
    let told = |ago| QuotaRequest {
        written: BTreeMap::from([("octo".to_owned(), ago)]),
        min_write_interval: 1_000,
        ..QuotaRequest::default()
    };
    let asks = QuotaRequest {
        owners: vec!["octo".to_owned()],
        queued: 1,
        min_write_interval: 1_000,
        ..QuotaRequest::default()
    };
    one.ask(&mut ledger, 5_000, told(300));
    assert_eq!(two.ask(&mut ledger, 5_100, asks.clone()).owners["octo"], 600);
    // An older one changes nothing, nor does one that is over.
    one.ask(&mut ledger, 5_200, told(900));
    assert_eq!(two.ask(&mut ledger, 5_300, asks.clone()).owners["octo"], 400);
    one.ask(&mut ledger, 6_000, told(1_000));
    assert_eq!(two.ask(&mut ledger, 6_000, asks).owners["octo"], 0);
}

#[test]
fn a_young_ledger_leaves_a_part_to_clients_that_are_about_to_join() {
    let mut ledger = QuotaLedger::default();
    let mut one = Client::new(1);
    let ask = |running, want| QuotaRequest {
        in_flight: running,
        queued: 500,
        max_concurrent: Some(100),
        windows: points(900, want, 1),
        ..QuotaRequest::default()
    };
    let lease = one.ask(&mut ledger, 0, ask(0, 900));
    assert_eq!((lease.slots, lease.windows["points"].granted), (75, 900 - LEFT));
    let lease = one.ask(&mut ledger, 1, ask(75, 9));
    assert_eq!(
        (lease.windows["points"].granted, lease.windows["points"].retry_after_ms),
        (0, LEASE_TTL_MS)
    );
    // Clients that have heard nothing yet have sent a call each, and tell so when they join.
    for number in 2..27 {
        let spent = BTreeMap::from([("points".to_owned(), vec![(5, 1)])]);
        let join = Some(MemberJoin { spent, ..MemberJoin::default() });
        let mut request =
            QuotaRequest { member: format!("m{number}"), serial: 1, join, ..ask(1, 0) };
        request.queued = 0;
        let lease = ledger.lease(2, &request);
        assert!(lease.slots <= 1 && !lease.is_unknown_member);
    }
    assert_eq!(one.ask(&mut ledger, MEMBER_TIMEOUT - 1, ask(75, 9)).windows["points"].granted, 0);
    // The rest is shared by all.
    let granted = one.ask(&mut ledger, MEMBER_TIMEOUT, ask(75, 900)).windows["points"].granted;
    assert!((1..=LEFT - 25).contains(&granted), "{granted}");
}

#[test]
fn the_last_request_of_a_primary_limit_is_granted_once() {
    let mut ledger = QuotaLedger::default();
    let (mut one, mut two) = (Client::new(1), Client::new(2));
    let ask = |told: Option<u64>, outstanding| {
        let told =
            told.map(|remaining| PrimaryObservation { limit: 5_000, remaining, ends_in: 60_000 });
        let budget = PrimaryRequest {
            observed: told,
            in_flight: outstanding,
            requested: 5,
            ..PrimaryRequest::default()
        };
        let budgets = BTreeMap::from([("core".to_owned(), budget)]);
        QuotaRequest { budgets, queued: 5, ..QuotaRequest::default() }
    };
    let core = |lease: QuotaLease| lease.budgets["core"].clone();
    assert_eq!(core(one.ask(&mut ledger, 0, ask(Some(1), 0))).granted, 1);
    assert_eq!(
        core(two.ask(&mut ledger, 0, ask(None, 0))),
        PrimaryGrant { granted: 0, retry_after_ms: RETRY_AFTER_MS }
    );
    let spent = core(one.ask(&mut ledger, 1_000, ask(Some(0), 0)));
    assert_eq!(spent, PrimaryGrant { granted: 0, retry_after_ms: 61_000 });
    let renewed = core(two.ask(&mut ledger, 62_000, ask(None, 0)));
    assert_eq!(renewed.granted, 5);
}

#[test]
fn all_pause_and_one_finds_out_whether_it_was_long_enough() {
    let mut ledger = QuotaLedger::default();
    let (mut one, mut two) = (Client::new(1), Client::new(2));
    let ask = QuotaRequest { queued: 9, windows: points(900, 9, 1), ..QuotaRequest::default() };
    let hit = SecondaryPause { ends_in: 60_000, consecutive: 1 };
    let lease = one.ask(&mut ledger, 0, QuotaRequest { pause: Some(hit.clone()), ..ask.clone() });
    assert_eq!((lease.pause, lease.slots), (Some(hit), 0));
    let lease = two.ask(&mut ledger, 1, ask.clone());
    assert_eq!((lease.windows["points"].granted, lease.slots), (0, 0));
    let probe = one.ask(&mut ledger, 60_000, ask.clone());
    assert_eq!((probe.slots, probe.windows["points"].granted), (1, 1));
    assert!(two.ask(&mut ledger, 60_001, ask.clone()).pause.is_some());
    let well = QuotaRequest { pause_over: true, ..ask.clone() };
    assert!(one.ask(&mut ledger, 60_002, well).pause.is_none());
    assert_eq!(two.ask(&mut ledger, 60_003, ask).slots, 9);
}

#[test]
fn writes_to_the_same_owner_are_a_second_apart_in_the_whole_fleet() {
    let mut ledger = QuotaLedger::default();
    let (mut one, mut two) = (Client::new(1), Client::new(2));
    let ask = QuotaRequest {
        queued: 1,
        owners: vec!["octo".to_owned()],
        min_write_interval: 1_000,
        ..QuotaRequest::default()
    };
    assert_eq!(one.ask(&mut ledger, 0, ask.clone()).owners["octo"], 0);
    assert_eq!(two.ask(&mut ledger, 400, ask.clone()).owners["octo"], 600);
    assert_eq!(two.ask(&mut ledger, 1_000, ask).owners["octo"], 0);
}

#[test]
fn a_lost_ledger_grants_no_more_than_the_offline_allowances_of_returned_members() {
    let (mut one, mut two) = (Client::new(1), Client::new(2));
    let ask = |want, concurrent| QuotaRequest { max_concurrent: concurrent, ..wants(want) };
    let mut before = QuotaLedger::default();
    two.ask(&mut before, 0, ask(600 - LEFT, None));
    one.ask(&mut before, 0, ask(100, None));
    two.ask(&mut before, 0, ask(1, None));
    assert_eq!((one.spare, two.spare), (19, 19));
    let mut after = QuotaLedger::default();
    let back = one.ask(&mut after, 10, ask(900, Some(100)));
    assert_eq!(
        (back.windows["points"].granted, back.windows["points"].retry_after_ms),
        (19, RETRY_AFTER_MS)
    );
    assert_eq!(back.slots, 25);
    assert_eq!(one.ask(&mut after, 20_000, ask(900, None)).windows["points"].granted, 0);
    // All are back, so that all that was spent is known.
    assert!(two.ask(&mut after, 20_001, ask(900, None)).windows["points"].granted > 300);
}

#[test]
fn an_absent_member_is_awaited_while_its_usage_can_count() {
    let (mut one, mut two) = (Client::new(1), Client::new(2));
    let ask =
        || QuotaRequest { queued: 9, windows: points(900, 900, 1), ..QuotaRequest::default() };
    let mut before = QuotaLedger::default();
    two.ask(&mut before, 0, ask());
    one.ask(&mut before, 0, ask());
    let mut after = QuotaLedger::default();
    assert_eq!(one.ask(&mut after, 10, ask()).windows["points"].granted, 0);
    assert_eq!(
        one.ask(&mut after, 10 + retention_ms(MINUTE) - 1, ask()).windows["points"].granted,
        0
    );
    assert_eq!(
        one.ask(&mut after, 10 + retention_ms(MINUTE), ask()).windows["points"].granted,
        900
    );
}

#[test]
fn a_ledger_lost_repeatedly_still_counts_usage_of_departed_members() {
    let (mut one, mut two) = (Client::new(1), Client::new(2));
    let mut before = QuotaLedger::default();
    assert_eq!(two.ask(&mut before, 1_000, wants(700)).windows["points"].granted, 700);
    // The ledger removes the member and keeps its usage.
    one.ask(&mut before, 11_000, wants(1));
    one.ask(&mut before, 12_000, wants(1));
    let (members, spare) = (one.members, one.spare);
    assert_eq!((members, spare), (1, 155));
    // The ledger is lost twice, and the member is alone with each of the new ones.
    let mut granted = 0;
    for lost_at in [13_000, 20_000] {
        let mut after = QuotaLedger::default();
        for now in (0..5).map(|second| lost_at + second * 1_000) {
            granted += one.ask(&mut after, now, wants(900)).windows["points"].granted;
        }
        assert!(granted <= spare, "{granted} of {spare}");
    }
    // Its usage no longer counts.
    let end = 1_000 + retention_ms(MINUTE);
    let mut after = QuotaLedger::default();
    assert!(
        one.ask(&mut after, end - MEMBER_TIMEOUT, wants(900)).windows["points"].granted <= spare
    );
    assert_eq!(one.ask(&mut after, end - 1, wants(900)).windows["points"].granted, 0);
    assert!(one.ask(&mut after, end, wants(900)).windows["points"].granted > 500);
}

#[test]
fn absent_members_keep_their_offline_allowance_after_an_outage() {
    let (mut one, mut two) = (Client::new(1), Client::new(2));
    let mut ledger = QuotaLedger::default();
    one.ask(&mut ledger, 0, wants(100));
    two.ask(&mut ledger, 0, wants(100));
    assert_eq!((one.spare, two.spare), (225, 112));
    one.ask(&mut ledger, 0, wants(1));
    one.alone = 5_000;
    // Of the 699 that are free, the other may have spent half of the least that was free; and what
    // it was told is left to it.
    let grants = (0..20).map(|_| one.ask(&mut ledger, 6_000, wants(900)).windows["points"].granted);
    // The other one can have spent half of a quarter, and a part is left to clients that the ledger does not know yet.
    assert_eq!(grants.sum::<u32>(), 699 - 113 - 112 - LEFT);
    two.alone = 5_000;
    assert!(two.ask(&mut ledger, 6_001, wants(900)).windows["points"].granted > 0);
}

#[test]
fn a_later_outage_does_not_forget_the_absent_members_of_a_lost_ledger() {
    // Whether the other client that has returned is served during the outage, which is then of one client only.
    for is_shared in [true, false] {
        let mut clients = [Client::new(1), Client::new(2), Client::new(3)];
        let mut before = QuotaLedger::default();
        for _ in 0..2 {
            clients.iter_mut().for_each(|client| drop(client.ask(&mut before, 0, wants(50))));
        }
        let [mut one, mut two, _] = clients;
        let (mut after, allowance) = (QuotaLedger::default(), one.spare + two.spare);
        let mut granted = 0;
        for now in (1_000..1_000 + retention_ms(MINUTE)).step_by(500) {
            one.alone = 450;
            let lease = one.ask(&mut after, now, wants(900));
            granted += lease.windows["points"].granted;
            if !is_shared || now == 1_000 {
                let lease = two.ask(&mut after, now + 100, wants(900));
                granted += lease.windows["points"].granted;
            }
        }
        assert!(granted <= allowance, "{granted} of {allowance}");
        // The outages since then do not extend that.
        let end = 1_000 + retention_ms(MINUTE);
        one.alone = 450;
        assert!(one.ask(&mut after, end, wants(900)).windows["points"].granted > 100);
    }
}

#[test]
fn responses_that_one_member_missed_are_no_outage() {
    let (mut one, mut two) = (Client::new(1), Client::new(2));
    let mut ledger = QuotaLedger::default();
    one.ask(&mut ledger, 0, wants(1));
    two.ask(&mut ledger, 0, wants(1));
    one.ask(&mut ledger, 20_000, wants(1));
    for now in (20_000..30_000).step_by(1_000) {
        two.ask(&mut ledger, now, wants(1));
    }
    let before = ledger.recovery.clone();
    one.alone = 9_000;
    one.ask(&mut ledger, 29_100, wants(1));
    assert_eq!(ledger.recovery, before);
    // The outage begins with the last response to any of them.
    one.alone = 20_000;
    let lease = one.ask(&mut ledger, 45_000, wants(1));
    assert_eq!((ledger.recovery.since, ledger.recovery.outage_ms), (45_000, 15_900));
    assert_eq!(lease.members, 2, "the outage is no silence of the other member");
}

#[test]
fn absent_members_have_spent_their_part_of_the_limit_in_an_outage_of_a_windows_length() {
    let long = MINUTE - MEMBER_TIMEOUT;
    for (outage, least, most) in [(30_000, 600, 660), (long, 250, 300), (MINUTE, 250, 300)] {
        let (mut one, mut two) = (Client::new(1), Client::new(2));
        let mut ledger = QuotaLedger::default();
        one.ask(&mut ledger, 0, wants(0));
        two.ask(&mut ledger, 0, wants(0));
        for client in [&mut one, &mut two] {
            client.ask(&mut ledger, 90_000, wants(0));
        }
        one.alone = outage;
        let now = 90_000 + outage;
        let grants =
            (0..20).map(|_| one.ask(&mut ledger, now, wants(900)).windows["points"].granted);
        let granted = grants.sum::<u32>();
        assert!((least..=most).contains(&granted), "{granted} after {outage}");
        assert_eq!(one.members, 2);
    }
}

#[test]
fn a_new_client_does_not_stand_for_a_departed_one() {
    let wants = QuotaRequest { queued: 9, windows: points(900, 900, 1), ..QuotaRequest::default() };
    // The others know of a client that has departed, and the new one does not.
    for new_at in [0, 1, 2] {
        let mut clients = [Client::new(1), Client::new(2), Client::new(3)];
        let mut before = QuotaLedger::default();
        clients.iter_mut().for_each(|client| drop(client.ask(&mut before, 0, wants.clone())));
        let [_departed, first, second] = clients;
        let mut returning = vec![first, second];
        returning.insert(new_at, Client::new(4));
        let mut after = QuotaLedger::default();
        for client in &mut returning {
            client.alone = 500;
            client.ask(&mut after, 1_000, wants.clone());
        }
        let end = 1_000 + retention_ms(MINUTE);
        let lease = returning[0].ask(&mut after, end - 1, wants.clone());
        assert_eq!(lease.windows["points"].granted, 0, "{new_at}");
    }
}

#[test]
fn members_that_return_to_a_new_ledger_divide_the_limits_by_all_that_can_return() {
    let mut clients = [Client::new(1), Client::new(2), Client::new(3)];
    let wants = QuotaRequest { queued: 9, windows: points(900, 9, 1), ..QuotaRequest::default() };
    let mut before = QuotaLedger::default();
    for _ in 0..2 {
        clients.iter_mut().for_each(|client| drop(client.ask(&mut before, 0, wants.clone())));
    }
    let mut after = QuotaLedger::default();
    assert_eq!(clients[0].ask(&mut after, 1_000, wants.clone()).members, 3);
    assert_eq!(clients[1].ask(&mut after, 1_001, wants.clone()).members, 3);
    // Another outage follows before the third has returned.
    clients[0].alone = 100;
    assert_eq!(clients[0].ask(&mut after, 2_000, wants.clone()).members, 3);
    let end = 1_000 + MEMBER_TIMEOUT;
    clients[1].ask(&mut after, end - 1, wants.clone());
    assert_eq!(clients[0].ask(&mut after, end, wants).members, 2);
}

#[test]
fn a_new_member_is_not_counted_as_a_returned_one() {
    let (mut one, mut two, mut new) = (Client::new(1), Client::new(2), Client::new(3));
    let ask =
        || QuotaRequest { queued: 9, windows: points(900, 900, 1), ..QuotaRequest::default() };
    let mut before = QuotaLedger::default();
    two.ask(&mut before, 0, ask());
    one.ask(&mut before, 0, ask());
    let mut after = QuotaLedger::default();
    one.ask(&mut after, 10, ask());
    assert_eq!(new.ask(&mut after, 11, ask()).windows["points"].granted, 0);
    assert_eq!(new.ask(&mut after, 12, ask()).windows["points"].granted, 0);
    two.ask(&mut after, 13, ask());
    // Others that none of them knows can return until then.
    let end = 10 + MEMBER_TIMEOUT;
    assert_eq!(new.ask(&mut after, end - 1, ask()).windows["points"].granted, 0);
    assert!(new.ask(&mut after, end, ask()).windows["points"].granted > 0);
}

#[test]
fn a_lost_ledger_waits_for_members_that_no_returned_member_knows() {
    let (mut one, mut two) = (Client::new(1), Client::new(2));
    let ask = |want| QuotaRequest { max_concurrent: Some(100), ..wants(want) };
    let mut before = QuotaLedger::default();
    one.ask(&mut before, 0, ask(100));
    // The other one joins after the last response that the first one receives.
    let spent = two.ask(&mut before, 1, ask(500)).windows["points"].granted;
    assert_eq!((one.members, two.members, spent), (1, 2, 265));
    // It has spent its lease, and a part of its allowance.
    let (spare, spent) = (one.spare, vec![(0, spent + two.spare)]);
    let mut after = QuotaLedger::default();
    let mut granted = 0;
    for now in [10, 11, 1_000, 9_000, 10 + MEMBER_TIMEOUT - 1] {
        let lease = one.ask(&mut after, now, ask(900));
        granted += lease.windows["points"].granted;
        assert!(lease.slots <= 25, "the number that it can have without a lease: {}", lease.slots);
    }
    assert_eq!(granted, spare, "its own allowance");
    // The other one returns in time, and its spending is counted.
    let join =
        MemberJoin { spent: BTreeMap::from([("points".to_owned(), spent.clone())]), ..two.join(0) };
    let request = QuotaRequest {
        member: two.name.clone(),
        epoch: two.epoch.clone(),
        serial: 9,
        join: Some(join),
        ..ask(1)
    };
    after.lease(10 + MEMBER_TIMEOUT - 1, &request);
    let granted =
        granted + one.ask(&mut after, 10 + MEMBER_TIMEOUT, ask(900)).windows["points"].granted;
    assert!(granted > 225 && granted + spent[0].1 <= 900, "{granted} and {spent:?}");
}

#[test]
fn a_client_that_starts_in_an_outage_leaves_the_quota_to_members_of_the_lost_ledger() {
    let ask = |want| QuotaRequest { max_concurrent: Some(100), ..wants(want) };
    let mut before = QuotaLedger::default();
    let mut old = Client::new(1);
    old.ask(&mut before, 0, ask(800));
    let spare = old.spare;
    let mut after = QuotaLedger::default();
    let starters = [2, 3].map(|number| Client { alone: 500, spare: 900, ..Client::new(number) });
    let mut granted = 0;
    for (mut starter, now) in starters.into_iter().zip([10, 11]) {
        for late in 0..3 {
            // A response that is lost changes nothing.
            starter.deaf = late == 0;
            let lease = starter.ask(&mut after, now + late, ask(30));
            granted += if late == 0 { 0 } else { lease.windows["points"].granted };
            assert!(lease.slots <= 1, "{}", lease.slots);
        }
    }
    assert!((1..=LEFT).contains(&granted), "{granted}");
    let known = old.ask(&mut after, 100, ask(900)).windows["points"].granted;
    assert!(known <= spare, "{known} of {spare}");
    // A client that joined before is not counted as the other member, which has not returned.
    let mut lost = QuotaLedger::default();
    let (mut one, mut two) = (Client::new(5), Client::new(6));
    one.ask(&mut lost, 0, ask(800));
    two.ask(&mut lost, 0, ask(1));
    let (spare, mut after) = (two.spare, QuotaLedger::default());
    let mut new = Client::new(7);
    new.ask(&mut after, 10, ask(1));
    let mut granted = 0;
    for now in [11, 12, 10_010, 20_000] {
        new.ask(&mut after, now, ask(0));
        granted += two.ask(&mut after, now, ask(900)).windows["points"].granted;
    }
    assert!(granted <= spare, "{granted} of {spare}");
    // If no member of a lost ledger returns, there is none.
    let mut alone = QuotaLedger::default();
    let mut starter = Client { alone: 500, spare: 900, ..Client::new(2) };
    assert_eq!(starter.ask(&mut alone, 0, ask(900)).windows["points"].granted, LEFT);
    let lease = starter.ask(&mut alone, MEMBER_TIMEOUT, ask(900));
    assert_eq!((lease.windows["points"].granted, lease.slots), (900 - LEFT, 95));
}

#[test]
fn a_member_that_cannot_find_out_leaves_it_to_another() {
    let mut ledger = QuotaLedger::default();
    let (mut one, mut two) = (Client::new(1), Client::new(2));
    let ask = QuotaRequest { queued: 1, ..QuotaRequest::default() };
    let hit = SecondaryPause { ends_in: 1_000, consecutive: 1 };
    one.ask(&mut ledger, 0, QuotaRequest { pause: Some(hit), ..ask.clone() });
    let idle = QuotaRequest::default();
    assert!(one.ask(&mut ledger, 1_000, idle).pause.is_some(), "it has no call to make");
    assert!(one.ask(&mut ledger, 2_000, ask.clone()).pause.is_none());
    assert!(one.ask(&mut ledger, 11_999, ask.clone()).pause.is_none());
    assert!(two.ask(&mut ledger, 12_000, ask.clone()).pause.is_none());
    assert!(one.ask(&mut ledger, 12_001, ask).pause.is_some());
}

#[test]
fn a_lost_lease_response_costs_no_quota() {
    let mut ledger = QuotaLedger::default();
    let mut one = Client::new(1);
    let ask = |want, unspent, part| {
        let mut windows = points(900, want, 1);
        let points = windows.get_mut("points").unwrap();
        (points.unspent, points.bucket) = (unspent, part);
        QuotaRequest { queued: want, windows, ..QuotaRequest::default() }
    };
    let granted = |lease: QuotaLease| lease.windows["points"].granted;
    assert_eq!(granted(one.ask(&mut ledger, 0, ask(400, 0, 0))), 400);
    // It has 100 left, gives them back, asks for 600 and hears nothing: three times.
    for now in [100, 300, 700] {
        (one.deaf, one.alone) = (true, now - 100);
        assert_eq!(granted(one.ask(&mut ledger, now, ask(600, 100, 0))), 600 - LEFT);
    }
    one.alone = 1_000;
    assert_eq!(granted(one.ask(&mut ledger, 1_500, ask(900, 100, 0))), 600 - LEFT);
}

#[test]
fn a_forgotten_member_returns_unused_quota_only_once() {
    let mut ledger = QuotaLedger::default();
    let mut one = Client::new(1);
    let ask = |want, unspent| {
        let mut windows = points(900, want, 1);
        windows.get_mut("points").unwrap().unspent = unspent;
        QuotaRequest { queued: want, windows, ..QuotaRequest::default() }
    };
    let granted = |lease: QuotaLease| lease.windows["points"].granted;
    assert_eq!(granted(one.ask(&mut ledger, 0, ask(900, 0))), 900 - LEFT);
    // It gives 100 back, is not heard of until it is forgotten, and asks twice more.
    for (now, deaf) in [(1, true), (MEMBER_TIMEOUT + 1, true), (MEMBER_TIMEOUT + 2, false)] {
        one.deaf = deaf;
        assert_eq!(granted(one.ask(&mut ledger, now, ask(0, 100))), 0);
    }
    assert_eq!(granted(one.ask(&mut ledger, MEMBER_TIMEOUT + 3, ask(900, 0))), 100 + LEFT);
}

#[test]
fn joining_again_adds_only_the_offline_usage_of_a_known_member() {
    let mut ledger = QuotaLedger::default();
    let mut one = Client::new(1);
    let ask = |join| QuotaRequest {
        queued: 900,
        windows: points(900, 900, 1),
        join,
        ..QuotaRequest::default()
    };
    one.ask(&mut ledger, 0, QuotaRequest { windows: points(900, 400, 1), ..ask(None) });
    let history = |amount| BTreeMap::from([("points".to_owned(), vec![(10, amount)])]);
    let join = MemberJoin {
        members: 1,
        offline_ms: 2_000,
        spent: history(450),
        spent_offline: history(50),
        ..MemberJoin::default()
    };
    one.serial += 1;
    let request = QuotaRequest {
        member: one.name.clone(),
        epoch: one.epoch.clone(),
        serial: 2,
        last_seen_response: 1,
        ..ask(Some(join))
    };
    assert_eq!(ledger.clone().lease(3_000, &request).windows["points"].granted, 450 - LEFT);
    let mut new = QuotaLedger::default();
    assert_eq!(new.lease(3_000, &request).windows["points"].granted, 450 - LEFT);
}

/// A client reports usage to a ledger that can have been lost since. Then other members are expected to return.
#[test]
fn a_join_with_unreported_usage_restores_the_expected_member_count() {
    let mut ledger = QuotaLedger::default();
    let mut one = Client::new(1);
    one.ask(&mut ledger, 0, QuotaRequest { windows: points(900, 9, 1), ..QuotaRequest::default() });
    let owes = QuotaRequest {
        member: one.name.clone(),
        epoch: one.epoch.clone(),
        serial: 2,
        last_seen_response: 1,
        queued: 900,
        windows: points(900, 900, 1),
        max_concurrent: Some(100),
        join: Some(MemberJoin { members: 3, ..MemberJoin::default() }),
        ..QuotaRequest::default()
    };
    // The member was not away, so the ledger that knows it expects no other member.
    ledger.lease(3_000, &owes);
    assert_eq!(ledger.recovery.expected_members, 0);
    let mut lost = QuotaLedger::default();
    let lease = lost.lease(3_000, &owes);
    assert_eq!(lost.recovery.expected_members, 3);
    assert_eq!(lease.windows["points"].granted, 0, "what the others spent is not known");
}

#[test]
fn an_overtaken_lease_request_changes_nothing() {
    let mut ledger = QuotaLedger::default();
    let mut one = Client::new(1);
    let ask = QuotaRequest { queued: 9, windows: points(900, 9, 1), ..QuotaRequest::default() };
    let late = QuotaRequest { member: "m1".to_owned(), serial: 1, ..ask.clone() };
    one.serial = 1;
    one.ask(&mut ledger, 0, ask);
    let before = ledger.clone();
    assert!(
        ledger
            .lease(5, &QuotaRequest { join: Some(MemberJoin::default()), ..late })
            .is_unknown_member
    );
    assert_eq!(ledger, before);
}

#[test]
fn offline_allowances_of_members_do_not_overlap() {
    let mut ledger = QuotaLedger::default();
    let mut clients: Vec<_> = (0..4).map(Client::new).collect();
    let mut granted = 0;
    for round in 0..40 {
        for client in &mut clients {
            let ask =
                QuotaRequest { queued: 90, windows: points(900, 90, 1), ..QuotaRequest::default() };
            granted += client.ask(&mut ledger, round, ask).windows["points"].granted;
        }
        let alone: u32 = clients.iter().map(|client| client.spare).sum();
        assert!(granted + alone <= 900, "{granted} and {alone}");
    }
    assert_eq!(granted, 900 - LEFT, "the members that request quota receive all of it");
}

proptest! {
    /// Four clients ask for anything at any time, and spend their leases as late as they may: no
    /// stretch of a minute has more points than the limit.
    #[test]
    fn no_minute_has_more_than_the_limit(
        limit in 20_u32..200,
        steps in prop::collection::vec((0_u64..4_000, 0_usize..4, 1_u32..60, 0_u32..60, 0..2_u64, 0..6_u8), 1..150),
    ) {
        let mut ledger = QuotaLedger::default();
        let mut clients: Vec<_> = (0..4).map(Client::new).collect();
        let mut leases = vec![WindowGrant::default(); 4];
        let mut last = [None; 4];
        let mut frozen = [None; 4];
        let (mut now, mut spent): (u64, Vec<(u64, u32)>) = (1_000_000, Vec::new());
        for (pause, who, want, unspent, late, deaf) in steps {
            now += pause;
            let before = &leases[who];
            // Returned quota was not used, and is not used until a response arrives.
            let unspent = frozen[who].unwrap_or(unspent.min(before.granted));
            if let Some(last) = last[who].filter(|_| frozen[who].is_none()) {
                let (_, amount): &mut (u64, u32) = &mut spent[last];
                *amount -= unspent;
            }
            frozen[who] = None;
            clients[who].deaf = deaf == 0;
            let mut windows = points(limit, want, 1);
            windows.get_mut("points").unwrap().unspent = unspent;
            windows.get_mut("points").unwrap().bucket = before.bucket;
            let lease = clients[who].ask(&mut ledger, now, QuotaRequest {
                queued: want, windows, ..QuotaRequest::default()
            });
            if deaf == 0 {
                frozen[who] = Some(unspent);
                continue;
            }
            leases[who] = lease.windows["points"].clone();
            last[who] = Some(spent.len());
            spent.push((now + late * LEASE_TTL_MS, leases[who].granted));
            for (then, _) in &spent {
                let sum: u32 = spent.iter()
                    .filter(|(when, _)| (*then..*then + MINUTE).contains(when))
                    .map(|(_, amount)| *amount).sum();
                prop_assert!(sum <= limit, "{sum} in the minute from {then}");
            }
        }
    }

    /// Clients that always request more get at least 95 % of the limit.
    #[test]
    fn greedy_clients_get_nearly_all(limit in 300_u32..1_000) {
        let mut ledger = QuotaLedger::default();
        let mut clients: Vec<_> = (0..4).map(Client::new).collect();
        let mut next = [0_u64; 4];
        let (mut now, mut sum) = (0, 0);
        while now < 20 * MINUTE {
            for (client, next) in clients.iter_mut().zip(&mut next) {
                if *next > now { continue; }
                let ask = QuotaRequest { queued: 50, windows: points(limit, 50, 1), ..QuotaRequest::default() };
                let lease = client.ask(&mut ledger, now, ask);
                sum += lease.windows["points"].granted;
                *next = now + lease.windows["points"].retry_after_ms.clamp(20, 4_000);
            }
            now += 20;
        }
        prop_assert!(f64::from(sum) >= 0.95 * f64::from(20 * limit), "{} of {}", sum, 20 * limit);
    }
}
