//! One lookup in a store: the response, the identity that received one last, and the invalidations since.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{OptionFuture, join};

use super::entry::Entry;
use super::invalidation_log::{
    InvalidationLog, NO_EXPIRY, ReadUrgency, UnreadRange, encode_sequence,
};
use super::key::Key;
use super::storage::StoreBackend;
use crate::error::Result;
use crate::store::StoreWaitBudget;

/// The parameters of a look-up.
pub(crate) struct LookupRequest<'a> {
    pub(crate) key: Key,
    /// The question without its identity, if the identity that last received a response matters.
    pub(crate) question: &'a (dyn Fn() -> Option<Key> + Sync),
    /// Whether the call can return this response, so that the invalidations that concern it matter.
    pub(crate) needs_log: &'a (dyn Fn(&Entry) -> bool + Sync),
}

/// The outcome of a look-up.
#[derive(Debug, Default)]
pub(crate) struct LookupOutcome {
    /// Whether the number of the last invalidation in the log is known. Otherwise, the state of the stored entries is unknown,
    /// and nothing can be stored.
    pub(crate) is_log_known: bool,
    pub(crate) entry: Option<Arc<Entry>>,
    /// Whether there are invalidations that were not read in time: stored entries have to be revalidated.
    pub(crate) has_unread_invalidations: bool,
    /// The key of the identity whose response to the same question was stored last.
    pub(crate) last_writer: Option<Key>,
}

/// The most reads of the log beyond the first one.
const MAX_LOG_READS: usize = 4;

/// Performs the look-up, by one round trip to the store unless there are many new invalidations.
pub(crate) async fn look_up(
    backend: &StoreBackend,
    search: LookupRequest<'_>,
    invalidation_log: &InvalidationLog,
    max_bytes: usize,
    allowance: &StoreWaitBudget,
) -> LookupOutcome {
    let LookupRequest { key, question, needs_log } = search;
    let question = question();
    let unread = invalidation_log.unread();
    let own = backend.name(key);
    let own_pending = backend.writer.pending(&own);
    let writer_key = question.map(|question| backend.last_writer_key(question));
    let writer_pending = writer_key.as_ref().and_then(|name| backend.writer.pending(name));
    let most = backend.max_bytes();
    let mut names: Vec<_> = unread.keys().collect();
    // The value to be written is known already.
    if own_pending.is_none() {
        names.push((&own, most));
    }
    if let Some(name) = writer_key.as_ref().filter(|_| writer_pending.is_none()) {
        names.push((name, most));
    }
    let Some(mut values) = read(backend, invalidation_log, &unread, &names, allowance).await else {
        return LookupOutcome::default();
    };
    let mut rest = values.split_off(unread.names.len().min(values.len())).into_iter();
    let entry = own_pending.unwrap_or_else(|| rest.next().and_then(Result::ok).flatten());
    let entry = entry.and_then(|bytes| backend.read(&bytes, key, max_bytes));
    let last_writer = writer_pending.unwrap_or_else(|| rest.next().and_then(Result::ok).flatten());
    let rest = if unread.names.is_empty() {
        None
    } else {
        let is_needed = || entry.as_deref().is_some_and(needs_log);
        read_rest(backend, invalidation_log, (unread, values), is_needed, allowance).await
    };
    let is_behind = rest.is_some();
    if let Some(unread) = rest {
        invalidation_log.read_in_background(unread);
    }
    LookupOutcome {
        has_unread_invalidations: is_behind,
        is_log_known: invalidation_log.last_sequence().is_some(),
        entry,
        last_writer: last_writer.and_then(|bytes| backend.read_last_writer(bytes, question?)),
    }
}

/// Reads these values. If nothing is known of the log, the client begins it at the same time, unless it has begun.
async fn read(
    backend: &StoreBackend,
    invalidation_log: &InvalidationLog,
    unread: &UnreadRange,
    names: &[(&str, usize)],
    allowance: &StoreWaitBudget,
) -> Option<Vec<Result<Option<Bytes>>>> {
    if names.is_empty() {
        return Some(Vec::new());
    }
    let beginning = unread.names.first().zip(unread.initial_sequence());
    let begins = OptionFuture::from(beginning.map(|(name, start)| async move {
        let value = encode_sequence(start);
        let claim =
            backend.store.run(allowance, |store| store.put_if_absent(name, value, NO_EXPIRY));
        if claim.await == Some(true) {
            invalidation_log.on_created(start);
        }
    }));
    join(backend.store.get_many(names, allowance), begins).await.0
}

/// Records the part of the log that was read, and reads the rest. Returns the part that the call does not read: for
/// lack of time, or since no response that it can return depends on it.
async fn read_rest(
    backend: &StoreBackend,
    invalidation_log: &InvalidationLog,
    (mut unread, mut values): (UnreadRange, Vec<Result<Option<Bytes>>>),
    is_needed: impl Fn() -> bool,
    allowance: &StoreWaitBudget,
) -> Option<UnreadRange> {
    for _ in 0..=MAX_LOG_READS {
        unread = invalidation_log.take(&unread, &values)?;
        let reads_on = match unread.urgency {
            ReadUrgency::Now => true,
            ReadUrgency::IfNeeded => is_needed(),
            ReadUrgency::Lost => false,
        };
        if !reads_on {
            break;
        }
        let names: Vec<_> = unread.keys().collect();
        let Some(more) = backend.store.get_many(&names, allowance).await else { break };
        values = more;
    }
    Some(unread)
}
