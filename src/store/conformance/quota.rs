//! The contract of shared limits, which are optional.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::future::join_all;

use super::{CALLERS, Check, CheckResult, LONG, checks, expect_eq, ok};
use crate::store::lease::{MemberJoin, PrimaryObservation, PrimaryRequest, WindowRequest};
use crate::store::{QuotaLease, QuotaRequest, Store};

pub(super) const CHECKS: &[Check<dyn Store>] = checks! {
    "a new member receives a lease within its request": granted,
    "a member that the ledger does not know has to join": unknown,
    "the ledger of a key is kept between requests": kept,
    "each key has its own ledger": separate,
    "concurrent members do not exceed a limit": concurrent,
    "a ledger and a value do not disturb each other": values,
};

const LIMIT: u32 = 100;
const NAME: &str = "points";

/// The request of a new member for a part of a window.
fn request(member: &str, requested: u32) -> QuotaRequest {
    let window = WindowRequest {
        limit: LIMIT,
        length: 60_000,
        requested,
        min_useful: 1,
        ..WindowRequest::default()
    };
    QuotaRequest {
        member: member.to_owned(),
        serial: 1,
        join: Some(MemberJoin { members: 1, ..MemberJoin::default() }),
        queued: 3,
        max_concurrent: Some(50),
        windows: BTreeMap::from([(NAME.to_owned(), window)]),
        ..QuotaRequest::default()
    }
}

/// The second request of a member, which has received a lease for the first.
fn second_request(first: QuotaRequest, lease: &QuotaLease) -> QuotaRequest {
    QuotaRequest {
        serial: 2,
        last_seen_response: 1,
        epoch: Some(lease.epoch.clone()),
        join: None,
        ..first
    }
}

/// The same request, but for one call of a primary limit, `core`, of which the member reports `observed`.
fn with_core(request: QuotaRequest, observed: Option<PrimaryObservation>) -> QuotaRequest {
    let budget = PrimaryRequest { observed, requested: 1, ..PrimaryRequest::default() };
    QuotaRequest { budgets: BTreeMap::from([("core".to_owned(), budget)]), ..request }
}

async fn lease(
    store: &dyn Store,
    key: &str,
    request: &QuotaRequest,
) -> Result<Option<QuotaLease>, String> {
    ok("lease", store.lease(key, request).await)
}

fn granted_units(lease: &QuotaLease) -> u32 {
    lease.windows.get(NAME).map_or(0, |grant| grant.granted)
}

async fn granted(store: &dyn Store) -> CheckResult {
    let request = request("a", 9);
    let Some(lease) = lease(store, "key", &request).await? else { return Ok(()) };
    expect_eq!(lease.is_unknown_member, false, "for a member that joins");
    expect_eq!(lease.epoch.is_empty(), false, "the epoch is empty");
    expect_eq!((lease.members, lease.slots), (1, 3), "the members, and the calls in flight");
    expect_eq!(granted_units(&lease), 9, "the granted part of a free window");
    expect_eq!(lease.clone().bounded(&request), lease, "the lease within its request");
    Ok(())
}

async fn unknown(store: &dyn Store) -> CheckResult {
    let stranger = QuotaRequest { join: None, ..request("a", 9) };
    for epoch in [None, Some("another ledger".to_owned())] {
        let request = QuotaRequest { epoch, ..stranger.clone() };
        let Some(lease) = lease(store, "key", &request).await? else { return Ok(()) };
        expect_eq!(lease.is_unknown_member, true, "for a member without a ledger");
        expect_eq!(granted_units(&lease), 0, "the grant of an unknown member");
    }
    Ok(())
}

async fn kept(store: &dyn Store) -> CheckResult {
    let first = request("a", 9);
    let Some(before) = lease(store, "key", &first).await? else { return Ok(()) };
    let exhausted = PrimaryObservation { limit: 60, remaining: 0, ends_in: 3_600_000 };
    let second = with_core(second_request(first, &before), Some(exhausted));
    let known = lease(store, "key", &second).await?.unwrap_or_default();
    expect_eq!((known.is_unknown_member, &known.epoch), (false, &before.epoch), "a second request");
    let other = with_core(request("b", 9), None);
    let other = lease(store, "key", &other).await?.unwrap_or_default();
    expect_eq!((other.members, &other.epoch), (2, &before.epoch), "for a second member");
    let core = other.budgets.get("core").map(|grant| grant.granted);
    expect_eq!(core, Some(0), "of a primary limit that another member has reported as exhausted");
    Ok(())
}

async fn separate(store: &dyn Store) -> CheckResult {
    let request = request("a", 9);
    let Some(one) = lease(store, "one", &request).await? else { return Ok(()) };
    let other = QuotaRequest { epoch: Some(one.epoch), join: None, ..request.clone() };
    let two = lease(store, "two", &other).await?.unwrap_or_default();
    expect_eq!(two.is_unknown_member, true, "with the epoch of another key's ledger");
    let two = lease(store, "two", &request).await?.unwrap_or_default();
    expect_eq!(two.members, 1, "the members of another key");
    Ok(())
}

async fn concurrent(store: &dyn Store) -> CheckResult {
    let requests: Vec<_> =
        (0..CALLERS).map(|caller| request(&format!("member {caller}"), LIMIT)).collect();
    let leases = join_all(requests.iter().map(|request| lease(store, "key", request))).await;
    let leases = leases.into_iter().collect::<Result<Vec<_>, String>>()?;
    let granted: u32 = leases.iter().flatten().map(granted_units).sum();
    if granted > LIMIT {
        return Err(format!("{CALLERS} members received {granted} of a window of {LIMIT}"));
    }
    let slots: u32 = leases.iter().flatten().map(|lease| lease.slots).sum();
    if slots > 50 {
        return Err(format!("{CALLERS} members received {slots} of 50 calls in flight"));
    }
    let members = leases.iter().flatten().map(|lease| lease.members).max();
    let expected = members.map(|_| u32::try_from(CALLERS).unwrap_or(u32::MAX));
    expect_eq!(members, expected, "the number of concurrent members");
    Ok(())
}

async fn values(store: &dyn Store) -> CheckResult {
    let request = request("a", 9);
    let Some(first) = lease(store, "limits", &request).await? else { return Ok(()) };
    let value = Bytes::from_static(b"x");
    ok("put", store.put("beside", value.clone(), LONG).await)?;
    ok("increment", store.increment("sum", 1, LONG).await)?;
    let again = lease(store, "limits", &second_request(request, &first)).await?.unwrap_or_default();
    expect_eq!(again.is_unknown_member, false, "a lease after a value of another key");
    expect_eq!(ok("get", store.get("beside").await)?, Some(value), "a value after a lease");
    Ok(())
}
