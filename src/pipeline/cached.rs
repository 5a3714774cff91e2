//! Reads through the cache: the stored response, an identical read in flight, or GitHub.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::time::timeout;
use tracing::debug;

use super::call::{Call, CallContext};
use super::coalesce::RequestFuture;
use super::{BodyMode, execute, run_attempts};
use crate::error::{Error, ErrorKind, Result};
use crate::policy::auth::with_refresh_stack;
use crate::policy::cache::conditional::Validators;
use crate::policy::cache::invalidation_log::Selector;
use crate::policy::cache::key::Key;
use crate::policy::cache::lookup::{
    CacheLookup, CoalescingKey, Decision, LookupState, RevalidationContext, StoredEntry,
};
use crate::policy::cache::result::{CacheResult, LookupResult};
use crate::policy::cache::rfc9111::ResponseTimes;
use crate::policy::cache::write_invalidation::{WriteInvalidation, selector_for_write};
use crate::policy::rate_limit::{BatchSlot, BatchWait, CallHandle};
use crate::request::SideEffects;
use crate::response::{AttemptResponse, CacheStatus, RawResponse};
use crate::runtime::detachable::{BoxFuture, DetachableCall};
use crate::time::clock;

/// Plans the cache look-up of a call. Returns `None` if it bypasses the cache.
///
/// # Errors
/// If the call accepts only a stored response, and bypasses the cache.
pub(super) fn plan_lookup(context: &CallContext, mode: BodyMode) -> Result<Option<CacheLookup>> {
    let handle = &context.handle;
    // A call with its own token for the gateway belongs to another of the gateway's users.
    let is_own_gateway_user =
        handle.gateway().is_some_and(|gateway| context.spec.headers.contains_key(&gateway.header));
    let uses_cache = mode == BodyMode::Buffered && !is_own_gateway_user;
    let cache = handle.shared.cache.as_ref().filter(|_| uses_cache);
    let identity = || Arc::clone(handle.cache_identity());
    let lookup = cache.and_then(|cache| {
        CacheLookup::for_request(cache, &context.attempt(), context.cache_policy(), identity)
    });
    if lookup.is_none() && context.is_only_if_cached() {
        return Err(not_cached_error());
    }
    Ok(lookup)
}

/// Begins a read through the cache. A stored response in memory that can be returned ends the call at once; otherwise a
/// future obtains the response. `original` is the call before its interceptors, if they can have changed it.
///
/// # Errors
/// If the call accepts only a stored response, and none in memory can be returned.
pub(super) fn begin(
    lookup: CacheLookup,
    context: CallContext,
    original: Option<Box<Call>>,
) -> Result<ControlFlow<RawResponse, BoxFuture<Result<RawResponse>>>> {
    let found = lookup.look_up_in_memory(&context.attempt());
    let read: BoxFuture<Result<RawResponse>> = match found {
        Some(found) => {
            if let Some(response) = serve(&lookup, &context, &found.entry, original)? {
                return Ok(ControlFlow::Break(response));
            }
            Box::pin(fetch(Arc::new(lookup), Box::new(context), found))
        }
        None => Box::pin(read_from_store(Arc::new(lookup), Box::new(context), original)),
    };
    Ok(ControlFlow::Continue(read))
}

/// Performs a read through a cache whose responses are in a store.
pub(super) async fn read_from_store(
    lookup: Arc<CacheLookup>,
    context: Box<CallContext>,
    original: Option<Box<Call>>,
) -> Result<RawResponse> {
    if lookup.looks_into_shared_store() {
        // The first quota lease is requested at the time of the look-up, if there is none yet.
        context.admission_queue().announce_lookup(|| context.cost());
    }
    let found = lookup.look_up(&context.attempt()).await;
    if let Some(response) = serve(&lookup, &context, &found.entry, original)? {
        return Ok(response);
    }
    fetch(lookup, context, found).await
}

/// Returns the stored response, if the policy permits that without a request.
///
/// # Errors
/// If the call accepts only a stored response, and there is none.
fn serve(
    lookup: &CacheLookup,
    context: &CallContext,
    stored: &StoredEntry,
    original: Option<Box<Call>>,
) -> Result<Option<RawResponse>> {
    if let StoredEntry::Own(entry, verdict) = stored {
        let now = clock::monotonic_wall_clock();
        let served = match lookup.decide(entry, *verdict, now) {
            Decision::Serve(status) => Some(status),
            Decision::ServeAndRefresh => {
                refresh_in_background(lookup, context, original);
                Some(CacheStatus::Stale)
            }
            Decision::Revalidate => None,
        };
        if let Some(status) = served {
            let response = CacheResult::from_entry(entry, status, now);
            return Ok(Some(response.into_raw(context.name())));
        }
    }
    match lookup.is_only_if_cached() {
        true => Err(not_cached_error()),
        false => Ok(None),
    }
}

/// Sends the read, shared with equal ones. If it fails, the stored response can replace the error.
#[expect(clippy::manual_async_fn, reason = "an async function would have its arguments twice")]
pub(super) fn fetch(
    lookup: Arc<CacheLookup>,
    context: Box<CallContext>,
    found: LookupState,
) -> impl Future<Output = Result<RawResponse>> + Send {
    async move {
        let name = context.name().clone();
        match (coalesce(&lookup, context, &found).await, &found.entry) {
            (Ok(result), _) => Ok(result.into_raw(&name)),
            // Each caller has its own limit for how long a stored response can replace a failed one.
            (Err(error), StoredEntry::Own(entry, verdict))
                if lookup.may_serve_stale_for(entry, *verdict, &error) =>
            {
                debug!(%error, "serving stale response after error");
                let now = clock::monotonic_wall_clock();
                Ok(CacheResult::from_entry(entry, CacheStatus::Stale, now).into_raw(&name))
            }
            (Err(error), _) => Err(error),
        }
    }
}

/// Returns the error of a call that accepts only a stored response.
fn not_cached_error() -> Error {
    Error::new(ErrorKind::NotCached, "no cached response")
        .with_advice("nothing was sent: use a CachePolicy other than only_if_cached")
}

/// What a request can be conditional on: the entry of the identity, or else an entry of another identity, which is read
/// while the request waits for its permit.
pub(super) struct KnownEntries<'a> {
    lookup: &'a CacheLookup,
    entry: StoredEntry,
    shared_key: Option<Key>,
}

impl KnownEntries<'_> {
    /// Makes the request conditional on the entry that was found.
    pub(super) fn apply(&mut self, context: &mut CallContext, shared_entry: Option<StoredEntry>) {
        if let Some(shared_entry) = shared_entry {
            (self.entry, self.shared_key) = (shared_entry, None);
        }
        context.conditional = Some(Box::new(self.lookup.conditional(&self.entry)));
    }

    /// Reads the entry of another identity; `None` if there can be none.
    pub(super) fn load_shared<'b>(
        &'b self,
        context: &'b CallContext,
    ) -> Option<impl Future<Output = StoredEntry> + Unpin + 'b> {
        let (lookup, key) = (self.lookup, self.shared_key?);
        Some(Box::pin(async move { lookup.shared_entry(&context.attempt(), key).await }))
    }
}

/// Sends the read, shared with all calls that request the same at this time.
async fn coalesce(
    lookup: &Arc<CacheLookup>,
    context: Box<CallContext>,
    found: &LookupState,
) -> LookupResult {
    let in_flight = Arc::clone(&context.shared().in_flight);
    let key = lookup.coalescing_key(&context.attempt());
    let mut context = Some(context);
    loop {
        // Applies if this call joins the read of another one: its timeout includes the read's wait for a rate limit only
        // if the caller set a timeout for this call.
        let patience = context.as_deref().and_then(CallContext::remaining_caller_timeout);
        let own_slot = BatchSlot::current();
        let mut joined = in_flight.join(key, own_slot.clone(), |id| {
            // The context is available until a call starts the read.
            let context = context.take();
            let (lookup, found) = (Arc::clone(lookup), found.clone());
            begin_read(lookup, context, found, own_slot.clone(), (key, id))
        });
        let leads = context.is_none();
        let _waits = if leads { None } else { await_shared(own_slot, joined.slot.take()) };
        let result = in_flight.result(key, joined);
        let result = match patience.filter(|_| !leads) {
            None => result.await,
            Some(patience) => match timeout(patience, result).await {
                Ok(result) => result,
                Err(_) => return Err(timed_out_in_flight(patience)),
            },
        };
        match result {
            // The read panicked, or the runtime that it depends on makes no progress.
            None => {}
            Some(result) if leads => return result,
            // This call sends its own.
            Some(Err(error)) if depends_on_starting_call(&error, context.as_deref()) => {}
            Some(result) => return result,
        }
    }
}

/// Returns whether an error depends on the call that started the read, so that one that has joined it might succeed.
fn depends_on_starting_call(error: &Error, joined: Option<&CallContext>) -> bool {
    let has_time = |(wait, joined): (Duration, &CallContext)| {
        // The time of a call is extended by its waits for limits.
        let limited = error.is_rate_limited();
        wait < if limited { joined.max_wait() } else { joined.deadline.remaining() }
    };
    error.class().is_caller_specific() || error.precluded_wait().zip(joined).is_some_and(has_time)
}

/// Begins a read that equal calls can join, under this key and id.
fn begin_read(
    lookup: Arc<CacheLookup>,
    context: Option<Box<CallContext>>,
    found: LookupState,
    slot: Option<BatchSlot>,
    (key, id): (CoalescingKey, u64),
) -> RequestFuture {
    Box::pin(async move {
        let Some(mut context) = context else { return Err(not_cached_error()) };
        let read = DetachableCall::new(context.options.extension.clone(), |detach| {
            let call = CallHandle::new(detach, slot, context.store_wait.clone());
            with_refresh_stack(Box::pin(async move {
                let result = fetch_from_github(&lookup, &mut context, found, &call).await;
                context.shared().in_flight.finish(key, id);
                result
            }))
        });
        read.await
    })
}

fn timed_out_in_flight(patience: Duration) -> Error {
    let message =
        format!("timed out after {patience:?} waiting for an identical in-flight request");
    Error::new(ErrorKind::Timeout, message).with_advice("try again, or increase timeout")
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

/// Sends the request, conditional on the stored entry if there is one, and stores the response.
async fn fetch_from_github(
    lookup: &CacheLookup,
    context: &mut CallContext,
    found: LookupState,
    call: &CallHandle,
) -> LookupResult {
    // Invalidations that were written meanwhile are older than the response.
    let log_sequence = lookup.cache.log.last_sequence().filter(|_| found.is_log_known);
    let mut known = KnownEntries { lookup, entry: found.entry, shared_key: found.shared_key };
    let mut requested = clock::monotonic_wall_clock();
    let mut response = run_attempts(context, BodyMode::Buffered, call, Some(&mut known)).await;
    let base = known.entry;
    if let Some(rejected_with) = condition_rejection(context, &response) {
        debug!("conditional request rejected; retrying without the condition");
        context.conditional = Some(Box::new(lookup.conditional(&StoredEntry::None)));
        requested = clock::monotonic_wall_clock();
        // The repetition is another attempt, with its own permit and count.
        context.store_wait.reset();
        response = run_attempts(context, BodyMode::Buffered, call, None).await;
        if is_of_condition(&response, rejected_with) {
            lookup.on_condition_rejected();
        }
    }
    let times = ResponseTimes { requested, received: clock::monotonic_wall_clock() };
    let sent = context.conditional.as_deref().and_then(Validators::sent);
    let varies = response.as_ref().is_ok_and(|raw| context.varies_by_interceptor(&raw.headers));
    let log_sequence = log_sequence.filter(|_| !varies);
    let exchange = RevalidationContext { times, log_sequence, sent };
    match response.map(|raw| raw.with_request_url(|| context.spec.url.get().clone())) {
        Ok(raw) if raw.status == StatusCode::NOT_MODIFIED => {
            // The request to a redirect target was not conditional on the stored entry.
            let confirmed = match raw.from_external_host {
                true => None,
                false => lookup.on_not_modified(&context.attempt(), &base, raw, exchange),
            };
            confirmed.ok_or_else(unexpected_not_modified)
        }
        Ok(raw) => {
            if !raw.from_external_host {
                lookup.on_response(&raw, &context.attempt(), exchange);
            }
            Ok(CacheResult {
                status: raw.status,
                body: raw.bytes().clone(),
                headers: raw.headers.into_shared(),
                url: raw.url,
                cache_status: CacheStatus::Miss,
                age: None,
            })
        }
        Err(error) => {
            if let StoredEntry::Own(..) = &base {
                lookup.on_rejected(&error);
            }
            Err(error)
        }
    }
}

/// Returns the status with which the server rejected the condition of the request, if it did.
fn condition_rejection(
    context: &CallContext,
    response: &Result<AttemptResponse>,
) -> Option<Option<StatusCode>> {
    let conditional = context.conditional.as_ref()?;
    let error = response.as_ref().err().filter(|error| conditional.is_rejected(error))?;
    Some(error.status())
}

/// Returns whether the condition was the cause of a rejection, by the response to the same request without it: if that
/// is rejected as well, or has no response, it was not.
fn is_of_condition(response: &Result<AttemptResponse>, rejected_with: Option<StatusCode>) -> bool {
    match response {
        Ok(raw) => !raw.from_external_host,
        Err(error) => {
            let status = error.status().filter(|status| status.is_client_error());
            error.kind() == ErrorKind::Api && status.is_some() && status != rejected_with
        }
    }
}

fn unexpected_not_modified() -> Error {
    Error::new(ErrorKind::Api, "received 304 Not Modified for an unconditional request")
        .with_advice("a proxy might be at fault; disable the cache with CacheConfig::disabled")
}

/// Revalidates in a separate task, unless the response is being revalidated or too many are.
fn refresh_in_background(lookup: &CacheLookup, context: &CallContext, original: Option<Box<Call>>) {
    if context.shared().in_flight.is_in_flight(lookup.coalescing_key(&context.attempt())) {
        return;
    }
    let Some(refreshing) = lookup.begin_refresh() else { return };
    let call = original.unwrap_or_else(|| context.to_call());
    let call = execute(call.into_refresh(), BodyMode::Buffered);
    tokio::spawn(async move {
        let _refreshing = refreshing;
        if let Err(error) = call.await.decode(RawResponse::empty, |_| None) {
            debug!(%error, "background revalidation failed");
        }
    });
}

/// Begins a write. Returns `None` if the call changes nothing that can be stored.
pub(super) fn begin_write(context: &CallContext) -> Option<WriteInvalidation> {
    let cache = context.shared().cache.as_ref()?;
    let selector = match context.spec.side_effects() {
        SideEffects::None => return None,
        SideEffects::Unknown => Selector::All,
        SideEffects::Path => selector_for_write(context.spec.path()),
    };
    Some(WriteInvalidation::new(Arc::clone(cache), selector, &context.store_wait))
}
