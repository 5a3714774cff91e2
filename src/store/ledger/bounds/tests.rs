//! For any content of a ledger and any change of the clock, leases are bounded and the limits hold.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::store::lease::{BudgetAsk, BudgetGrant, BudgetTold, Join, LATER, Pause, WindowAsk};
use crate::store::{Lease, VALID};

/// Some day in 2026.
const NOW: u64 = 1_790_000_000_000;
const HOUR: u64 = 60 * 60 * 1_000;
const YEAR: u64 = 365 * 24 * HOUR;

fn points(limit: u32, want: u32) -> BTreeMap<String, WindowAsk> {
    let ask = WindowAsk { limit, length: 60_000, want, least: 1, unspent: 0, part: 0 };
    BTreeMap::from([("points".to_owned(), ask)])
}

fn core(want: u32, told: Option<BudgetTold>) -> BTreeMap<String, BudgetAsk> {
    BTreeMap::from([("core".to_owned(), BudgetAsk { told, want, ..BudgetAsk::default() })])
}

/// Asks as a client that hears each answer.
fn ask(ledger: &mut Ledger, now: u64, member: &str, serial: u64, ask: LeaseRequest) -> Lease {
    let known = ledger.members.contains_key(member);
    let join = (!known).then(|| Join { members: 1, ..Join::default() });
    let epoch = known.then(|| ledger.epoch.clone());
    let (member, heard) = (member.to_owned(), serial - 1);
    ledger.lease(now, &LeaseRequest { member, serial, heard, join, epoch, waiting: 9, ..ask })
}

#[test]
fn a_clock_that_is_set_back_costs_no_more_than_the_window() {
    for back in [1, 300, 5_000, HOUR, 10 * YEAR] {
        let mut ledger = Ledger::default();
        let all = LeaseRequest { windows: points(19, 19), ..LeaseRequest::default() };
        let first = ask(&mut ledger, NOW, "a", 1, all.clone());
        assert_eq!(first.windows["points"].granted, 19);
        let (mut sum, mut first) = (0, None);
        for (passed, serial) in (0..75_000).step_by(100).zip(2..) {
            let lease = ask(&mut ledger, NOW - back + passed, "a", serial, all.clone());
            let granted = lease.windows["points"].granted;
            first = first.or((granted > 0).then_some(passed));
            sum += granted;
        }
        assert_eq!(sum, 19, "{back} ms back");
        assert!(first.is_some_and(|first| first >= 60_000), "{back} ms back: {first:?}");
    }
}

#[test]
fn waits_keep_their_length_when_the_clock_is_set_back() {
    let mut ledger = Ledger::default();
    let told = BudgetTold { limit: 60, remaining: 0, ends_in: HOUR };
    let tell = LeaseRequest {
        budgets: core(1, Some(told)),
        owners: vec!["octo".to_owned()],
        between_writes: 1_000,
        ..LeaseRequest::default()
    };
    // The write is let through, and then the primary limit is heard to be spent.
    let write = LeaseRequest { budgets: BTreeMap::new(), ..tell.clone() };
    assert_eq!(ask(&mut ledger, NOW, "a", 1, write).owners["octo"], 0);
    ask(&mut ledger, NOW, "a", 2, tell.clone());
    let hit = Some(Pause { ends_in: 30_000, level: 1 });
    ask(&mut ledger, NOW, "a", 3, LeaseRequest { pause: hit, ..LeaseRequest::default() });
    let again = LeaseRequest { budgets: core(1, None), ..tell };
    let lease = ask(&mut ledger, NOW - HOUR, "a", 4, again.clone());
    assert_eq!(lease.pause, Some(Pause { ends_in: 30_000, level: 1 }));
    assert_eq!(lease.owners["octo"], 1_000);
    assert_eq!(lease.budgets["core"], BudgetGrant { granted: 0, wait: HOUR + 1_000 });
    // No member was removed, and none stays for an hour more.
    assert_eq!(ask(&mut ledger, NOW - HOUR, "b", 1, again.clone()).members, 2);
    assert_eq!(ask(&mut ledger, NOW - HOUR + GONE, "b", 2, again).members, 1);
}

#[test]
fn times_too_far_in_the_future_are_dropped() {
    let mut ledger = Ledger::default();
    let told = BudgetTold { limit: 60, remaining: 0, ends_in: HOUR };
    let request = LeaseRequest {
        windows: points(100, 100),
        budgets: core(3, Some(told)),
        pause: Some(Pause { ends_in: 60_000, level: 1 }),
        ..LeaseRequest::default()
    };
    ask(&mut ledger, NOW, "a", 1, request);
    let mut value = serde_json::to_value(&ledger).unwrap();
    value["pause"]["until"] = json!(NOW + YEAR);
    value["pause"]["prober_until"] = json!(NOW + YEAR);
    value["owners"]["octo"] = json!(NOW + YEAR);
    value["budgets"]["core"]["reset"] = json!(NOW + 3 * HOUR);
    value["members"]["a"]["seen"] = json!(NOW + YEAR);
    value["gathering"]["since"] = json!(NOW + YEAR);
    value["gathering"]["expected"] = json!(u32::MAX);
    value["windows"]["points"]["low_since"] = json!(NOW + YEAR);
    value["windows"]["points"]["parts"] = json!({ ((NOW + YEAR) / 250).to_string(): 100 });
    let mut ledger = Ledger::read(&serde_json::to_vec(&value).unwrap()).unwrap();
    let request = LeaseRequest {
        windows: points(100, 5),
        budgets: core(3, None),
        owners: vec!["octo".to_owned()],
        between_writes: 1_000,
        ..LeaseRequest::default()
    };
    // Members that can return are awaited in the windows, for a while.
    let lease = ask(&mut ledger, NOW, "a", 2, request.clone());
    assert_eq!((lease.pause, lease.budgets["core"].granted), (None, 3));
    let later = NOW + 63_000;
    let lease = ask(&mut ledger, later, "a", 3, request);
    assert_eq!((lease.windows["points"].granted, lease.owners["octo"]), (5, 0));
    assert_eq!(lease.members, 1);
    assert_eq!(ledger.windows["points"].sum(), 5);
}

#[test]
fn an_exhausted_primary_limit_with_an_unknown_reset_is_probed() {
    let mut ledger = Ledger::default();
    let told = BudgetTold { limit: 1, remaining: 1, ends_in: 1 };
    let request = |told| LeaseRequest { budgets: core(1, told), ..LeaseRequest::default() };
    ask(&mut ledger, NOW, "a", 1, request(Some(told)));
    // Its window is over, and the member that held all of the next one is gone.
    let later = NOW + 2_000;
    assert_eq!(ask(&mut ledger, later, "a", 2, request(None)).budgets["core"].granted, 1);
    let lease = ask(&mut ledger, later + GONE, "b", 1, request(None));
    assert_eq!(lease.budgets["core"].granted, 1);
}

#[test]
fn a_primary_limit_that_there_is_no_room_for_is_not_shared() {
    let mut ledger = Ledger::default();
    for serial in 1..200 {
        let budget = BudgetAsk { want: 20, ..BudgetAsk::default() };
        let budgets = BTreeMap::from([(format!("resource {serial}"), budget)]);
        let request = LeaseRequest { budgets, ..LeaseRequest::default() };
        let lease = ask(&mut ledger, NOW, "a", serial, request);
        let grant = &lease.budgets[&format!("resource {serial}")];
        assert_eq!(*grant, BudgetGrant { granted: 10, wait: LATER }, "{serial}");
    }
    assert_eq!((ledger.budgets.len(), ledger.is_sound()), (MAX_NAMES, true));
}

#[test]
fn a_ledger_of_another_version_is_not_read() {
    let read = |value: &Value| Ledger::read(&serde_json::to_vec(value).unwrap());
    let ledger = Ledger::default();
    let value = serde_json::to_value(&ledger).unwrap();
    assert_eq!(read(&value), Ok(ledger));
    for (version, problem) in [
        (json!(2), LedgerProblem::Newer),
        (json!(u64::MAX), LedgerProblem::Newer),
        (json!(0), LedgerProblem::Damaged),
        (json!("1"), LedgerProblem::Damaged),
        (Value::Null, LedgerProblem::Damaged),
    ] {
        let mut value = value.clone();
        value["version"] = version;
        assert_eq!(read(&value), Err(problem), "{value}");
    }
    let newer = json!({ "version": 3, "extra": ["unknown", "data"] });
    assert_eq!(read(&newer), Err(LedgerProblem::Newer));
    for bytes in [&b""[..], b"{}", b"[]", b"null", b"\xff", &vec![b'['; MAX_BYTES + 1]] {
        assert_eq!(Ledger::read(bytes), Err(LedgerProblem::Damaged));
    }
}

/// A ledger that many members joined with long histories, which each of them may want undone.
fn with_long_histories() -> Ledger {
    let mut ledger = Ledger::default();
    for number in 0..20_u64 {
        let spent = (0..200).map(|part| (part * 300, 1)).collect();
        let spent = BTreeMap::from([("points".to_owned(), spent)]);
        let join = Some(Join { members: 1, spent, ..Join::default() });
        let (member, serial) = (format!("m{number}"), 1);
        let (windows, owners) = (points(9_000, 1), vec![format!("owner{number}")]);
        let request = LeaseRequest {
            member,
            serial,
            join,
            windows,
            owners,
            waiting: 1,
            between_writes: HOUR,
            ..LeaseRequest::default()
        };
        ledger.lease(NOW, &request);
    }
    ledger
}

#[test]
fn a_ledger_over_its_size_limit_is_written_without_optional_data() {
    let full = with_long_histories();
    let size = |ledger: &Ledger| serde_json::to_vec(ledger).unwrap().len();
    let mut reduced = full.clone();
    for (name, member) in &mut reduced.members {
        if name != "m7" {
            member.last = Changes::default();
        }
    }
    assert!(size(&reduced) * 3 < size(&full));
    let mut without_owners = reduced.clone();
    without_owners.owners.clear();
    for (most, expected) in [
        (size(&full), Some(&full)),
        (size(&full) - 1, Some(&reduced)),
        (size(&reduced), Some(&reduced)),
        (size(&reduced) - 1, Some(&without_owners)),
        (size(&without_owners), Some(&without_owners)),
        (size(&without_owners) - 1, None),
    ] {
        let mut ledger = full.clone();
        let written = ledger.write_within(most, "m7");
        let read = written.map(|bytes| Ledger::read(&bytes).unwrap());
        assert_eq!(read.as_ref(), expected, "{most}");
    }
    // Dropped data never raises a grant: a member that got no response is counted twice.
    let again = |mut ledger: Ledger, member: &str| {
        let request = LeaseRequest { windows: points(9_000, 9_000), ..LeaseRequest::default() };
        let request = LeaseRequest { member: member.to_owned(), serial: 2, ..request };
        let join = Some(Join { members: 1, ..Join::default() });
        ledger.lease(NOW, &LeaseRequest { join, epoch: Some(full.epoch.clone()), ..request })
    };
    for member in ["m3", "m7"] {
        let granted = |ledger: &Ledger| again(ledger.clone(), member).windows["points"].granted;
        assert!(granted(&without_owners) <= granted(&full), "{member}");
    }
}

#[test]
fn unreported_usage_counts_no_longer_than_the_window() {
    let mut ledger = Ledger::default();
    let request = LeaseRequest { windows: points(100, 1), ..LeaseRequest::default() };
    ask(&mut ledger, NOW, "a", 1, request.clone());
    for until in [0, 1, NOW, NOW + 1, NOW + 60_000, NOW + HOUR, NOW + YEAR, MAX_NUMBER] {
        let mut ledger = ledger.clone();
        ledger.gathering.unreported.insert("points".to_owned(), until);
        let lease = ask(&mut ledger, NOW, "a", 2, request.clone());
        let expected = until.clamp(NOW, NOW + super::super::kept(60_000)) - NOW;
        assert_eq!(lease.windows["points"].unreported, expected, "{until}");
    }
}

#[test]
fn a_ledger_deserialized_without_validation_is_bounded() {
    // A custom store can deserialize it with serde alone.
    let mut value = serde_json::to_value(Ledger::default()).unwrap();
    value["windows"]["points"] = json!({
        "parts": { "18446744073709551615": u32::MAX }, "spare": u32::MAX, "low": u32::MAX,
        "low_before": u32::MAX, "low_since": u64::MAX,
    });
    value["pause"] =
        json!({ "until": u64::MAX, "level": u32::MAX, "prober": "x", "prober_until": u64::MAX });
    let mut ledger: Ledger = serde_json::from_value(value).unwrap();
    let request = LeaseRequest { windows: points(100, 5), ..LeaseRequest::default() };
    let lease = ask(&mut ledger, u64::MAX, "a", 1, request);
    assert_eq!((lease.windows["points"].granted, lease.pause), (5, None));
}

fn any_lease() -> impl Strategy<Value = Lease> {
    let name = prop::sample::select(vec!["points", "core", "octo", "x"]).prop_map(str::to_owned);
    let grant = json_numbers(4);
    (".{0,3000}", any::<bool>(), json_numbers(4), prop::collection::vec((name, grant), 0..6))
        .prop_map(|(epoch, unknown, numbers, grants)| {
            let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
            let mut lease = Lease {
                epoch,
                unknown,
                members: small(numbers[0]),
                slots: small(numbers[1]),
                pause: Some(Pause { ends_in: numbers[2], level: small(numbers[3]) }),
                ..Lease::default()
            };
            for (name, numbers) in grants {
                let window = crate::store::lease::WindowGrant {
                    granted: small(numbers[0]),
                    part: numbers[1],
                    wait: numbers[2],
                    free: small(numbers[3]),
                    unreported: numbers[2],
                };
                lease.windows.insert(name.clone(), window);
                let budget = BudgetGrant { granted: small(numbers[0]), wait: numbers[2] };
                lease.budgets.insert(name.clone(), budget);
                lease.owners.insert(name, numbers[1]);
            }
            lease
        })
}

fn json_numbers(count: usize) -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(prop_oneof![0..9_u64, any::<u64>(), Just(u64::MAX)], count)
}

proptest! {
    /// Any lease that a store returns is bounded by its request.
    #[test]
    fn a_lease_is_bounded_by_its_request(lease in any_lease()) {
        let request = LeaseRequest {
            running: 2,
            waiting: 3,
            concurrent: Some(4),
            windows: points(100, 9),
            budgets: core(7, None),
            owners: vec!["octo".to_owned()],
            between_writes: 1_000,
            ..LeaseRequest::default()
        };
        let lease = lease.bounded(&request);
        prop_assert!(lease.epoch.len() <= 2 * MAX_TEXT && lease.slots <= 4 && lease.members <= 1_000);
        prop_assert!(lease.unknown || lease.members > 0);
        for (name, grant) in &lease.windows {
            prop_assert_eq!(name, "points");
            prop_assert!(grant.granted <= 9 && grant.free <= 100 && grant.wait < 62_000);
            prop_assert!(grant.granted > 0 || grant.wait > 0, "it asks again at some time");
        }
        for (name, grant) in &lease.budgets {
            prop_assert_eq!(name, "core");
            prop_assert!(grant.granted <= 7 && grant.wait <= LONGEST + 1_000);
        }
        for (name, wait) in &lease.owners {
            prop_assert!(name == "octo" && *wait <= LONGEST_BETWEEN_WRITES);
        }
        if let Some(pause) = &lease.pause {
            prop_assert!(pause.ends_in <= LONGEST_PAUSE && pause.level <= MAX_LEVEL);
        }
        prop_assert_eq!(lease.clone().bounded(&request), lease);
    }

    /// Two clients ask at any time, and the clock is set back now and then: no minute of real time has more than
    /// the limit, and the written ledger can be read.
    #[test]
    fn no_minute_has_more_than_the_limit_when_the_clock_is_set_back(
        steps in prop::collection::vec((0_u64..4_000, 0_usize..2, 1_u32..60, 0..12_u8), 1..150),
    ) {
        let mut ledger = Ledger::default();
        let (mut passed, mut back, mut spent) = (0, 0, Vec::<(u64, u32)>::new());
        for ((pause, who, want, set), serial) in steps.into_iter().zip(1..) {
            passed += pause;
            back += match set {
                0 => HOUR,
                1 => 700,
                _ => 0,
            };
            let request = LeaseRequest { windows: points(100, want), ..LeaseRequest::default() };
            let now = NOW + passed - back;
            let name = ["a", "b"][who];
            // Each hears all answers to its own requests.
            let heard = ledger.members.get(name).map_or(0, |member| member.serial);
            let lease = {
                let known = ledger.members.contains_key(name);
                let join = (!known).then(|| Join { members: 1, ..Join::default() });
                let epoch = Some(ledger.epoch.clone()).filter(|_| known);
                ledger.lease(now, &LeaseRequest {
                    member: name.to_owned(), serial, heard, join, epoch, waiting: 9, ..request
                })
            };
            prop_assert!(!lease.unknown);
            spent.push((passed + VALID, lease.windows["points"].granted));
            let sum: u32 = spent.iter().filter(|(then, _)| then + 60_000 > passed + VALID)
                .map(|(_, amount)| *amount).sum();
            prop_assert!(sum <= 100, "{sum} in the minute before {passed}");
            let json = serde_json::to_vec(&ledger).unwrap();
            prop_assert_eq!(Ledger::read(&json), Ok(ledger.clone()));
        }
    }
}
