//! Reads through the cache: first the stored response, then an equal read in flight, then GitHub.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::time::timeout;
use tracing::debug;

use crate::endpoints::id_path;
use crate::error::{Error, ErrorKind, OperationName, Result};
use crate::pipeline::{BodyMode, run_attempts};
use crate::policy::auth::with_refresh_stack;
use crate::policy::cache::CacheInner;
use crate::policy::cache::CachePolicy;
use crate::policy::cache::CacheStatus;
use crate::policy::cache::conditional::Validators;
use crate::policy::cache::invalidation_log::{Invalidation, Selector};
use crate::policy::cache::key::Key;
use crate::policy::cache::lookup::{
    CacheLookup, Decision, LookupState, RevalidationContext, StoredEntry,
};
use crate::policy::cache::result::{CacheResult, LookupResult};
use crate::policy::cache::rfc9111::ResponseTimes;
use crate::policy::rate_limit::{BatchSlot, BatchWait, CallHandle};
use crate::request::{Prepared, Request, SideEffects};
use crate::response::RawResponse;
use crate::runtime::detachable::DetachableCall;
use crate::store::StoreWaitBudget;
use crate::time::clock;

/// Performs a read through the cache. `again` is the same call, for a refresh in the background.
pub(crate) async fn fetch(
    plan: CacheLookup,
    prepared: Prepared,
    operation: &OperationName,
    again: Option<Request>,
) -> Result<RawResponse> {
    let plan = Arc::new(plan);
    plan.announce_lookup(&prepared);
    let LookupState { log_sequence: number, entry: base, shared_key: anothers } =
        plan.look_up(&prepared).await;
    if let StoredEntry::Own(entry, verdict) = &base {
        match plan.decide(entry, *verdict) {
            Decision::Serve(came) => {
                return Ok(CacheResult::from_entry(entry, came).into_raw(operation));
            }
            Decision::ServeAndRefresh => {
                refresh_in_background(&plan, &prepared, again);
                return Ok(CacheResult::from_entry(entry, CacheStatus::Stale).into_raw(operation));
            }
            Decision::Revalidate => {}
        }
    }
    if plan.is_only_if_cached() {
        return Err(not_cached_error());
    }
    let asked = CacheMiss { log_sequence: number, entry: base.clone(), shared_key: anothers };
    let result = coalesce(&plan, prepared, asked, operation).await;
    match (result, &base) {
        (Ok(found), _) => Ok(found.into_raw(operation)),
        // Each caller has its own limit for how long a stored response can replace a failed one.
        (Err(error), StoredEntry::Own(entry, verdict))
            if plan.may_serve_stale_for(entry, *verdict, &error) =>
        {
            debug!(%error, "serving stale response after error");
            Ok(CacheResult::from_entry(entry, CacheStatus::Stale).into_raw(operation))
        }
        (Err(error), _) => Err(error),
    }
}

/// Returns the error of a call that accepts only a stored response.
pub(crate) fn not_cached_error() -> Error {
    Error::new(ErrorKind::NotCached, "no cached response")
        .with_advice("nothing was sent: use a CachePolicy other than only_if_cached")
}

/// What the cache found for a read that is sent to GitHub.
#[derive(Clone)]
struct CacheMiss {
    log_sequence: Option<u64>,
    entry: StoredEntry,
    shared_key: Option<Key>,
}

/// What a request can be conditional on: the entry of the identity, or else an entry of another identity, which is read
/// while the request waits for its permit.
pub(crate) struct KnownEntries<'a> {
    lookup: &'a CacheLookup,
    entry: StoredEntry,
    shared_key: Option<Key>,
}

impl KnownEntries<'_> {
    /// Reads the entry of another identity, if there can be one.
    pub(crate) async fn load_shared(&self, prepared: &Prepared) -> Option<StoredEntry> {
        match self.shared_key {
            Some(key) => Some(self.lookup.shared_entry(prepared, key).await),
            None => None,
        }
    }

    /// Makes the request conditional on the entry that was found.
    pub(crate) fn apply(&mut self, prepared: &mut Prepared, further: Option<StoredEntry>) {
        if let Some(further) = further {
            (self.entry, self.shared_key) = (further, None);
        }
        prepared.conditional = Some(self.lookup.conditional(&self.entry));
    }
}

/// Sends the read, shared with all calls that request the same at this time.
async fn coalesce(
    plan: &Arc<CacheLookup>,
    prepared: Prepared,
    asked: CacheMiss,
    operation: &OperationName,
) -> LookupResult {
    let flights = &plan.cache.in_flight;
    let route = plan.coalescing_key(&prepared);
    let mut prepared = Some(prepared);
    loop {
        // Applies if this call joins the read of another one: its timeout includes the read's wait for a rate limit only
        // if the caller set a timeout for this call.
        let patience = prepared.as_ref().and_then(Prepared::remaining_caller_timeout);
        let own_slot = BatchSlot::current();
        let mut joined = flights.join(route, own_slot.clone(), |request| {
            let (plan, asked, operation) = (Arc::clone(plan), asked.clone(), operation.clone());
            // The prepared request is available until a call starts the read.
            let (prepared, slot) = (prepared.take(), own_slot.clone());
            Box::pin(async move {
                let Some(mut prepared) = prepared else { return Err(not_cached_error()) };
                let asked = DetachableCall::new(prepared.extension.clone(), |detach| {
                    let call = CallHandle::new(detach, slot, prepared.store_wait.clone());
                    with_refresh_stack(Box::pin(async move {
                        let result =
                            revalidate(&plan, &mut prepared, asked, &operation, &call).await;
                        plan.cache.in_flight.finish(route, request);
                        result
                    }))
                });
                asked.await
            })
        });
        let leads = prepared.is_none();
        let _waits = if leads { None } else { await_shared(own_slot, joined.slot.take()) };
        let result = flights.result(route, joined);
        let result = match patience.filter(|_| !leads) {
            None => result.await,
            Some(patience) => match timeout(patience, result).await {
                Ok(result) => result,
                Err(_) => {
                    let message = format!(
                        "timed out after {patience:?} waiting for an identical in-flight request"
                    );
                    return Err(Error::new(ErrorKind::Timeout, message)
                        .with_advice("try again, or increase timeout"));
                }
            },
        };
        match result {
            // The runtime that the read depends on makes no progress.
            None => {}
            Some(result) if leads => return result,
            // The error depends on the call that started the read: this call sends its own.
            Some(Err(error)) if error.class().is_caller_specific() => {}
            Some(result) => return result,
        }
    }
}

/// Waits for a read that another call sends. The batch of this call can start a further call meanwhile. If the read
/// belongs to another batch, this call does not wait for that batch.
fn await_shared(own: Option<BatchSlot>, of_read: Option<BatchSlot>) -> Option<BatchWait> {
    if let Some(of_read) = of_read
        && own.as_ref().is_none_or(|own| !own.is_same_batch(&of_read))
    {
        of_read.detach();
    }
    let (wait, free) = own?.wait();
    free.offer();
    Some(wait)
}

/// Sends the request, conditional on the stored entry if there is one.
async fn revalidate(
    plan: &CacheLookup,
    prepared: &mut Prepared,
    asked: CacheMiss,
    operation: &OperationName,
    call: &CallHandle,
) -> LookupResult {
    // Marks that were written meanwhile are older than the response.
    let number = asked.log_sequence.and_then(|_| plan.cache.log.last_sequence());
    let mut known = KnownEntries { lookup: plan, entry: asked.entry, shared_key: asked.shared_key };
    let mut requested = clock::monotonic_wall_clock();
    let mut response =
        run_attempts(prepared, operation, BodyMode::Buffered, call, Some(&mut known)).await;
    let base = known.entry;
    let conditional = prepared.conditional.as_ref();
    let rejection = response
        .as_ref()
        .err()
        .filter(|error| conditional.is_some_and(|conditional| conditional.is_rejected(error)));
    if let Some(refused_with) = rejection.map(Error::status) {
        debug!("conditional request rejected; retrying without the condition");
        prepared.conditional = Some(plan.conditional(&StoredEntry::None));
        requested = clock::monotonic_wall_clock();
        // The repetition is another attempt, with its own permit and count.
        prepared.store_wait.reset();
        response = run_attempts(prepared, operation, BodyMode::Buffered, call, None).await;
        // If the repetition is rejected as well, or has no response, the condition was not the cause.
        let is_of_condition = match &response {
            Ok(raw) => !raw.from_external_host,
            Err(error) => {
                let status = error.status().filter(|status| status.is_client_error());
                error.kind() == ErrorKind::Api && status.is_some() && status != refused_with
            }
        };
        if is_of_condition {
            plan.on_condition_rejected();
        }
    }
    let times = ResponseTimes { requested, received: clock::monotonic_wall_clock() };
    let sent = prepared.conditional.as_ref().and_then(Validators::sent);
    let exchange = RevalidationContext { times, log_sequence: number, sent };
    match response {
        Ok(raw) if raw.status == StatusCode::NOT_MODIFIED => {
            // The request to a redirect target was not conditional on the stored entry.
            let confirmed = match raw.from_external_host {
                true => None,
                false => plan.on_not_modified(prepared, &base, raw, exchange),
            };
            confirmed.ok_or_else(|| {
                let message = "received 304 Not Modified for an unconditional request";
                Error::new(ErrorKind::Api, message)
                    .with_advice("a proxy might be at fault; disable the cache with Cache::off")
            })
        }
        Ok(raw) => {
            if !raw.from_external_host {
                plan.on_response(&raw, prepared, exchange);
            }
            Ok(CacheResult {
                status: raw.status,
                body: raw.bytes().clone(),
                headers: raw.headers,
                url: raw.url,
                cache_status: CacheStatus::Miss,
                age: None,
            })
        }
        Err(error) => {
            if let StoredEntry::Own(..) = &base {
                plan.on_rejected(&error);
            }
            Err(error)
        }
    }
}

/// Revalidates in a separate task, unless an equal revalidation is in flight or too many are.
fn refresh_in_background(plan: &CacheLookup, prepared: &Prepared, again: Option<Request>) {
    let is_in_flight = plan.cache.in_flight.is_in_flight(plan.coalescing_key(prepared));
    let Some(again) = again.filter(|_| !is_in_flight) else { return };
    let Some(permit) = plan.cache.refresh_permit() else { return };
    let call = again.internal().cache(CachePolicy::max_age(Duration::ZERO)).send_empty();
    tokio::spawn(async move {
        let _permit = permit;
        if let Err(error) = call.await {
            debug!(%error, "background revalidation failed");
        }
    });
}

/// A write in flight. It makes the entries doubtful that it can have changed, also if no caller waits for its end
/// ([RFC 9111, 4.4](https://www.rfc-editor.org/rfc/rfc9111#section-4.4)).
pub(crate) struct WriteInvalidation {
    cache: Arc<CacheInner>,
    invalidation: Option<Invalidation>,
    wait_budget: StoreWaitBudget,
}

impl WriteInvalidation {
    /// Returns `None` if the call changes nothing that can be stored.
    pub(crate) fn for_request(prepared: &Prepared) -> Option<Self> {
        let cache = prepared.client().handle().cache.clone()?;
        let what = match prepared.side_effects() {
            SideEffects::None => return None,
            SideEffects::Unknown => Selector::All,
            SideEffects::Path => {
                let path = prepared.path().to_ascii_lowercase();
                // Entries of the same resources can be stored under their ids.
                let by_id = id_path::counterpart_prefix(&path).map(str::to_owned);
                let below =
                    [invalidation_scope(&path).to_owned()].into_iter().chain(by_id).collect();
                Selector::Paths { below, at: Vec::new() }
            }
        };
        let allowance = cache.wait_budget(&prepared.store_wait);
        Some(Self {
            cache,
            invalidation: Some(Invalidation { purge: false, selector: what }),
            wait_budget: allowance,
        })
    }

    /// Ends the write. The store takes the mark while the call can still wait for it, so that the mark exists if the
    /// process ends.
    pub(crate) async fn finish(mut self, response: &Result<RawResponse>) {
        let invalidation = self.invalidation.take();
        let had_no_effect = response.as_ref().is_err_and(|error| error.class().had_no_effect());
        if let Some(invalidation) = invalidation.filter(|_| !had_no_effect) {
            self.cache.log.record(invalidation);
            self.cache.log.wait_until_written(&self.wait_budget).await;
        }
    }
}

impl Drop for WriteInvalidation {
    fn drop(&mut self) {
        if let Some(invalidation) = self.invalidation.take() {
            self.cache.log.record(invalidation);
        }
    }
}

/// Returns the scope that a write at this path can change: the whole repository, since its resources are in many of its
/// lists, or the organization; otherwise all paths that begin with the same two segments.
fn invalidation_scope(path: &str) -> &str {
    let names = if path.starts_with("/repos/") { 3 } else { 2 };
    let mut slashes = path.match_indices('/').map(|(at, _)| at).skip(names);
    slashes.next().map_or(path, |end| &path[..end])
}
