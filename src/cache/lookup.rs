//! One look-up in a store: the response, the identity that received one last, and the changes since.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{OptionFuture, join};

use super::entry::Entry;
use super::key::Key;
use super::log::{FOR_EVER, Log, Unread, Urgency};
use super::storage::Shelf;
use crate::error::Result;
use crate::store::WaitAllowance;

/// The parameters of a look-up.
pub(crate) struct Search<'a> {
    pub(crate) key: Key,
    /// The question without its identity, if the identity that last received a response matters.
    pub(crate) question: Option<Key>,
    /// Whether the call can return this response, so that the marks that concern it matter.
    pub(crate) needs_log: &'a (dyn Fn(&Entry) -> bool + Sync),
}

/// The outcome of a look-up.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    /// The number of the last mark in the log. If it is `None`, the state of the stored entries is unknown, and nothing
    /// can be stored.
    pub(crate) number: Option<u64>,
    pub(crate) entry: Option<Arc<Entry>>,
    /// Whether there are marks that were not read in time: stored entries have to be revalidated.
    pub(crate) is_behind: bool,
    /// The key of the identity whose response to the same question was stored last.
    pub(crate) anybody: Option<Key>,
}

/// The most reads of the log beyond the first one.
const MAX_READS: usize = 4;

/// Performs the look-up, by one round trip to the store unless there are many new marks.
pub(crate) async fn look_up(
    shelf: &Shelf,
    search: Search<'_>,
    log: &Log,
    max_bytes: usize,
    allowance: &WaitAllowance,
) -> Looked {
    let Search { key, question, needs_log } = search;
    let unread = log.unread();
    let own = shelf.name(key);
    let own_pending = shelf.writer.pending(&own);
    let anybody = question.map(|question| shelf.question(question));
    let anybody_pending = anybody.as_ref().and_then(|name| shelf.writer.pending(name));
    let most = shelf.max_bytes();
    let mut names: Vec<_> = unread.keys().collect();
    // The value to be written is known already.
    if own_pending.is_none() {
        names.push((&own, most));
    }
    if let Some(name) = anybody.as_ref().filter(|_| anybody_pending.is_none()) {
        names.push((name, most));
    }
    let Some(mut values) = read(shelf, log, &unread, &names, allowance).await else {
        return Looked::default();
    };
    let mut rest = values.split_off(unread.names.len().min(values.len())).into_iter();
    let entry = own_pending.unwrap_or_else(|| rest.next().and_then(Result::ok).flatten());
    let entry = entry.and_then(|bytes| shelf.read(&bytes, key, max_bytes));
    let anybody = anybody_pending.unwrap_or_else(|| rest.next().and_then(Result::ok).flatten());
    let rest = if unread.names.is_empty() {
        None
    } else {
        let is_needed = || entry.as_deref().is_some_and(needs_log);
        read_on(shelf, log, (unread, values), is_needed, allowance).await
    };
    let is_behind = rest.is_some();
    if let Some(unread) = rest {
        log.read_behind(unread);
    }
    Looked {
        is_behind,
        number: log.last(),
        entry,
        anybody: anybody.and_then(|bytes| shelf.read_anybody(bytes, question?)),
    }
}

/// Reads these values. If nothing is known of the log, the client begins it at the same time, unless it has begun.
async fn read(
    shelf: &Shelf,
    log: &Log,
    unread: &Unread,
    names: &[(&str, usize)],
    allowance: &WaitAllowance,
) -> Option<Vec<Result<Option<Bytes>>>> {
    if names.is_empty() {
        return Some(Vec::new());
    }
    let beginning = unread.names.first().zip(unread.beginning());
    let begins = OptionFuture::from(beginning.map(|(name, start)| async move {
        let value = Bytes::from(start.to_string());
        let claim = shelf.guard.run(allowance, |store| store.claim(name, value, FOR_EVER));
        if claim.await == Some(true) {
            log.begun(start);
        }
    }));
    join(shelf.guard.get_many(names, allowance), begins).await.0
}

/// Records the part of the log that was read, and reads the rest. Returns the part that the call does not read: for
/// lack of time, or since no response that it can return depends on it.
async fn read_on(
    shelf: &Shelf,
    log: &Log,
    (mut unread, mut values): (Unread, Vec<Result<Option<Bytes>>>),
    is_needed: impl Fn() -> bool,
    allowance: &WaitAllowance,
) -> Option<Unread> {
    for _ in 0..=MAX_READS {
        unread = log.take(&unread, &values)?;
        let reads_on = match unread.urgency {
            Urgency::Now => true,
            Urgency::IfNeeded => is_needed(),
            Urgency::Lost => false,
        };
        if !reads_on {
            break;
        }
        let names: Vec<_> = unread.keys().collect();
        let Some(more) = shelf.guard.get_many(&names, allowance).await else { break };
        values = more;
    }
    Some(unread)
}
