//! For any content of a ledger and any change of the clock, leases are bounded and the limits hold.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::store::FormatProblem;
use crate::store::lease::{
    MemberJoin, PrimaryGrant, PrimaryObservation, PrimaryRequest, SecondaryPause, WindowRequest,
};
use crate::store::ledger::LastChanges;
use crate::store::quota_bounds::{MAX_BYTES, RETRY_AFTER_MS};
use crate::store::{LEASE_TTL_MS, QuotaLease};

/// Some day in 2026.
const NOW: u64 = 1_790_000_000_000;
const HOUR: u64 = 60 * 60 * 1_000;
const YEAR: u64 = 365 * 24 * HOUR;

fn points(limit: u32, want: u32) -> BTreeMap<String, WindowRequest> {
    let ask = WindowRequest {
        limit,
        length: 60_000,
        requested: want,
        min_useful: 1,
        unspent: 0,
        bucket: 0,
    };
    BTreeMap::from([("points".to_owned(), ask)])
}

fn core(want: u32, told: Option<PrimaryObservation>) -> BTreeMap<String, PrimaryRequest> {
    BTreeMap::from([(
        "core".to_owned(),
        PrimaryRequest { observed: told, requested: want, ..PrimaryRequest::default() },
    )])
}

/// Asks as a client that hears each answer.
fn ask(
    ledger: &mut QuotaLedger,
    now: u64,
    member: &str,
    serial: u64,
    ask: QuotaRequest,
) -> QuotaLease {
    let known = ledger.members.contains_key(member);
    let join = (!known).then(|| MemberJoin { members: 1, ..MemberJoin::default() });
    let epoch = known.then(|| ledger.epoch.clone());
    let (member, reply) = (member.to_owned(), serial - 1);
    ledger.lease(
        now,
        &QuotaRequest { member, serial, last_seen_response: reply, join, epoch, queued: 9, ..ask },
    )
}

#[test]
fn a_clock_that_is_set_back_costs_no_more_than_the_window() {
    for back in [1, 300, 5_000, HOUR, 10 * YEAR] {
        let mut ledger = QuotaLedger::default();
        let all = QuotaRequest { windows: points(19, 19), ..QuotaRequest::default() };
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
    let mut ledger = QuotaLedger::default();
    let told = PrimaryObservation { limit: 60, remaining: 0, ends_in: HOUR };
    let tell = QuotaRequest {
        budgets: core(1, Some(told)),
        owners: vec!["octo".to_owned()],
        min_write_interval: 1_000,
        ..QuotaRequest::default()
    };
    // The write is admitted, and then a client reports that the primary limit is exhausted.
    let write = QuotaRequest { budgets: BTreeMap::new(), ..tell.clone() };
    assert_eq!(ask(&mut ledger, NOW, "a", 1, write).owners["octo"], 0);
    ask(&mut ledger, NOW, "a", 2, tell.clone());
    let hit = Some(SecondaryPause { ends_in: 30_000, consecutive: 1 });
    ask(&mut ledger, NOW, "a", 3, QuotaRequest { pause: hit, ..QuotaRequest::default() });
    let again = QuotaRequest { budgets: core(1, None), ..tell };
    let lease = ask(&mut ledger, NOW - HOUR, "a", 4, again.clone());
    assert_eq!(lease.pause, Some(SecondaryPause { ends_in: 30_000, consecutive: 1 }));
    assert_eq!(lease.owners["octo"], 1_000);
    assert_eq!(lease.budgets["core"], PrimaryGrant { granted: 0, retry_after_ms: HOUR + 1_000 });
    // No member was removed, and none stays for an hour more.
    assert_eq!(ask(&mut ledger, NOW - HOUR, "b", 1, again.clone()).members, 2);
    assert_eq!(ask(&mut ledger, NOW - HOUR + MEMBER_TIMEOUT, "b", 2, again).members, 1);
}

#[test]
fn times_too_far_in_the_future_are_dropped() {
    let mut ledger = QuotaLedger::default();
    let told = PrimaryObservation { limit: 60, remaining: 0, ends_in: HOUR };
    let request = QuotaRequest {
        windows: points(100, 100),
        budgets: core(3, Some(told)),
        pause: Some(SecondaryPause { ends_in: 60_000, consecutive: 1 }),
        ..QuotaRequest::default()
    };
    ask(&mut ledger, NOW, "a", 1, request);
    let mut value = serde_json::to_value(&ledger).unwrap();
    value["pause"]["until"] = json!(NOW + YEAR);
    value["pause"]["probe_expires_at"] = json!(NOW + YEAR);
    value["owners"]["octo"] = json!(NOW + YEAR);
    value["budgets"]["core"]["reset"] = json!(NOW + 3 * HOUR);
    value["members"]["a"]["last_seen"] = json!(NOW + YEAR);
    value["recovery"]["since"] = json!(NOW + YEAR);
    value["recovery"]["expected_members"] = json!(u32::MAX);
    value["windows"]["points"]["min_free_since"] = json!(NOW + YEAR);
    value["windows"]["points"]["buckets"] = json!({ ((NOW + YEAR) / 250).to_string(): 100 });
    let mut ledger = QuotaLedger::read(&serde_json::to_vec(&value).unwrap()).unwrap();
    let request = QuotaRequest {
        windows: points(100, 5),
        budgets: core(3, None),
        owners: vec!["octo".to_owned()],
        min_write_interval: 1_000,
        ..QuotaRequest::default()
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
    let mut ledger = QuotaLedger::default();
    let told = PrimaryObservation { limit: 1, remaining: 1, ends_in: 1 };
    let request = |told| QuotaRequest { budgets: core(1, told), ..QuotaRequest::default() };
    ask(&mut ledger, NOW, "a", 1, request(Some(told)));
    // Its window is over, and the member that held all of the next one is gone.
    let later = NOW + 2_000;
    assert_eq!(ask(&mut ledger, later, "a", 2, request(None)).budgets["core"].granted, 1);
    let lease = ask(&mut ledger, later + MEMBER_TIMEOUT, "b", 1, request(None));
    assert_eq!(lease.budgets["core"].granted, 1);
}

#[test]
fn a_primary_limit_that_there_is_no_room_for_is_not_shared() {
    let mut ledger = QuotaLedger::default();
    for serial in 1..200 {
        let budget = PrimaryRequest { requested: 20, ..PrimaryRequest::default() };
        let budgets = BTreeMap::from([(format!("resource {serial}"), budget)]);
        let request = QuotaRequest { budgets, ..QuotaRequest::default() };
        let lease = ask(&mut ledger, NOW, "a", serial, request);
        let grant = &lease.budgets[&format!("resource {serial}")];
        assert_eq!(
            *grant,
            PrimaryGrant { granted: 10, retry_after_ms: RETRY_AFTER_MS },
            "{serial}"
        );
    }
    assert_eq!((ledger.budgets.len(), ledger.is_sound()), (MAX_NAMES, true));
}

#[test]
fn a_ledger_of_another_version_is_not_read() {
    let read = |value: &Value| QuotaLedger::read(&serde_json::to_vec(value).unwrap());
    let ledger = QuotaLedger::default();
    let value = serde_json::to_value(&ledger).unwrap();
    assert_eq!(read(&value), Ok(ledger));
    for (version, problem) in [
        (json!(VERSION + 1), FormatProblem::Newer),
        (json!(u64::MAX), FormatProblem::Newer),
        (json!(VERSION - 1), FormatProblem::Damaged),
        (json!(0), FormatProblem::Damaged),
        (json!(VERSION.to_string()), FormatProblem::Damaged),
        (Value::Null, FormatProblem::Damaged),
    ] {
        let mut value = value.clone();
        value["version"] = version;
        assert_eq!(read(&value), Err(problem), "{value}");
    }
    let newer = json!({ "version": VERSION + 1, "extra": ["unknown", "data"] });
    assert_eq!(read(&newer), Err(FormatProblem::Newer));
    for bytes in [&b""[..], b"{}", b"[]", b"null", b"\xff", &vec![b'['; MAX_BYTES + 1]] {
        assert_eq!(QuotaLedger::read(bytes), Err(FormatProblem::Damaged));
    }
}

/// A ledger that many members joined with long histories, which each of them may want undone.
fn with_long_histories() -> QuotaLedger {
    let mut ledger = QuotaLedger::default();
    for number in 0..20_u64 {
        let spent = (0..200).map(|part| (part * 300, 1)).collect();
        let spent = BTreeMap::from([("points".to_owned(), spent)]);
        let join = Some(MemberJoin { members: 1, spent, ..MemberJoin::default() });
        let (member, serial) = (format!("m{number}"), 1);
        let (windows, owners) = (points(9_000, 1), vec![format!("owner{number}")]);
        let request = QuotaRequest {
            member,
            serial,
            join,
            windows,
            owners,
            queued: 1,
            min_write_interval: HOUR,
            ..QuotaRequest::default()
        };
        ledger.lease(NOW, &request);
    }
    ledger
}

#[test]
fn a_ledger_over_its_size_limit_is_written_without_optional_data() {
    let full = with_long_histories();
    let size = |ledger: &QuotaLedger| serde_json::to_vec(ledger).unwrap().len();
    let mut reduced = full.clone();
    for (name, member) in &mut reduced.members {
        if name != "m7" {
            member.last_changes = LastChanges::default();
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
        let read = written.map(|bytes| QuotaLedger::read(&bytes).unwrap());
        assert_eq!(read.as_ref(), expected, "{most}");
    }
    // Dropped data never raises a grant: a member that got no response is counted twice.
    let again = |mut ledger: QuotaLedger, member: &str| {
        let request = QuotaRequest { windows: points(9_000, 9_000), ..QuotaRequest::default() };
        let request = QuotaRequest { member: member.to_owned(), serial: 2, ..request };
        let join = Some(MemberJoin { members: 1, ..MemberJoin::default() });
        ledger.lease(NOW, &QuotaRequest { join, epoch: Some(full.epoch.clone()), ..request })
    };
    for member in ["m3", "m7"] {
        let granted =
            |ledger: &QuotaLedger| again(ledger.clone(), member).windows["points"].granted;
        assert!(granted(&without_owners) <= granted(&full), "{member}");
    }
}

#[test]
fn unreported_usage_counts_no_longer_than_the_window() {
    let mut ledger = QuotaLedger::default();
    let request = QuotaRequest { windows: points(100, 1), ..QuotaRequest::default() };
    ask(&mut ledger, NOW, "a", 1, request.clone());
    for until in [0, 1, NOW, NOW + 1, NOW + 60_000, NOW + HOUR, NOW + YEAR, MAX_NUMBER] {
        let mut ledger = ledger.clone();
        ledger.recovery.unreported.insert("points".to_owned(), until);
        let lease = ask(&mut ledger, NOW, "a", 2, request.clone());
        let expected = until.clamp(NOW, NOW + super::super::retention_ms(60_000)) - NOW;
        assert_eq!(lease.windows["points"].unreported_ms, expected, "{until}");
    }
}

#[test]
fn a_ledger_deserialized_without_validation_is_bounded() {
    // A custom store can deserialize it with serde alone.
    let mut value = serde_json::to_value(QuotaLedger::default()).unwrap();
    value["windows"]["points"] = json!({
        "buckets": { "18446744073709551615": u32::MAX }, "returned_allowance": u32::MAX,
        "offline_allowance": u32::MAX, "min_free": u32::MAX, "previous_min_free": u32::MAX, "min_free_since": u64::MAX,
    });
    value["pause"] = json!({ "until": u64::MAX, "consecutive": u32::MAX, "probing_member": "x", "probe_expires_at": u64::MAX });
    let mut ledger: QuotaLedger = serde_json::from_value(value).unwrap();
    let request = QuotaRequest { windows: points(100, 5), ..QuotaRequest::default() };
    let lease = ask(&mut ledger, u64::MAX, "a", 1, request);
    assert_eq!((lease.windows["points"].granted, lease.pause), (5, None));
}

fn any_lease() -> impl Strategy<Value = QuotaLease> {
    let name = prop::sample::select(vec!["points", "core", "octo", "x"]).prop_map(str::to_owned);
    let grant = json_numbers(4);
    (".{0,3000}", any::<bool>(), json_numbers(4), prop::collection::vec((name, grant), 0..6))
        .prop_map(|(epoch, unknown, numbers, grants)| {
            let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
            let mut lease = QuotaLease {
                epoch,
                is_unknown_member: unknown,
                members: small(numbers[0]),
                slots: small(numbers[1]),
                pause: Some(SecondaryPause { ends_in: numbers[2], consecutive: small(numbers[3]) }),
                ..QuotaLease::default()
            };
            for (name, numbers) in grants {
                let window = crate::store::lease::WindowGrant {
                    granted: small(numbers[0]),
                    bucket: numbers[1],
                    retry_after_ms: numbers[2],
                    min_free: small(numbers[3]),
                    unreported_ms: numbers[2],
                };
                lease.windows.insert(name.clone(), window);
                let budget =
                    PrimaryGrant { granted: small(numbers[0]), retry_after_ms: numbers[2] };
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
        let request = QuotaRequest {
            in_flight: 2,
            queued: 3,
            max_concurrent: Some(4),
            windows: points(100, 9),
            budgets: core(7, None),
            owners: vec!["octo".to_owned()],
            min_write_interval: 1_000,
            ..QuotaRequest::default()
        };
        let lease = lease.bounded(&request);
        prop_assert!(lease.epoch.len() <= 2 * MAX_TEXT && lease.slots <= 4 && lease.members <= 1_000);
        prop_assert!(lease.is_unknown_member || lease.members > 0);
        for (name, grant) in &lease.windows {
            prop_assert_eq!(name, "points");
            prop_assert!(grant.granted <= 9 && grant.min_free <= 100 && grant.retry_after_ms < 62_000);
            prop_assert!(grant.granted > 0 || grant.retry_after_ms > 0, "it asks again at some time");
        }
        for (name, grant) in &lease.budgets {
            prop_assert_eq!(name, "core");
            prop_assert!(grant.granted <= 7 && grant.retry_after_ms <= MAX_WINDOW_MS + 1_000);
        }
        for (name, wait) in &lease.owners {
            prop_assert!(name == "octo" && *wait <= MAX_WRITE_INTERVAL_MS);
        }
        if let Some(pause) = &lease.pause {
            prop_assert!(pause.ends_in <= MAX_PAUSE_MS && pause.consecutive <= MAX_CONSECUTIVE_PAUSES);
        }
        prop_assert_eq!(lease.clone().bounded(&request), lease);
    }

    /// Two clients ask at any time, and the clock is set back now and then: no minute of real time has more than
    /// the limit, and the written ledger can be read.
    #[test]
    fn no_minute_has_more_than_the_limit_when_the_clock_is_set_back(
        steps in prop::collection::vec((0_u64..4_000, 0_usize..2, 1_u32..60, 0..12_u8), 1..150),
    ) {
        let mut ledger = QuotaLedger::default();
        let (mut passed, mut back, mut spent) = (0, 0, Vec::<(u64, u32)>::new());
        for ((pause, who, want, set), serial) in steps.into_iter().zip(1..) {
            passed += pause;
            back += match set {
                0 => HOUR,
                1 => 700,
                _ => 0,
            };
            let request = QuotaRequest { windows: points(100, want), ..QuotaRequest::default() };
            let now = NOW + passed - back;
            let name = ["a", "b"][who];
            // Each hears all answers to its own requests.
            let reply = ledger.members.get(name).map_or(0, |member| member.serial);
            let lease = {
                let known = ledger.members.contains_key(name);
                let join = (!known).then(|| MemberJoin { members: 1, ..MemberJoin::default() });
                let epoch = Some(ledger.epoch.clone()).filter(|_| known);
                ledger.lease(now, &QuotaRequest {
                    member: name.to_owned(), serial, last_seen_response: reply, join, epoch, queued: 9, ..request
                })
            };
            prop_assert!(!lease.is_unknown_member);
            spent.push((passed + LEASE_TTL_MS, lease.windows["points"].granted));
            let sum: u32 = spent.iter().filter(|(then, _)| then + 60_000 > passed + LEASE_TTL_MS)
                .map(|(_, amount)| *amount).sum();
            prop_assert!(sum <= 100, "{sum} in the minute before {passed}");
            let json = serde_json::to_vec(&ledger).unwrap();
            prop_assert_eq!(QuotaLedger::read(&json), Ok(ledger.clone()));
        }
    }
}
