//! Values by key.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;

use super::{StoreFuture, unreadable};
use crate::error::Result;

/// Values by key, with a TTL: cached responses, tokens, locks and claims. See the [contract](super::Store) of all
/// methods.
pub trait KeyValueStore: fmt::Debug + Send + Sync + 'static {
    /// Returns the value of a key, if it exists and has not expired.
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>>;

    /// Returns the value of a key as [`get`](Self::get) does, if it has at most this many bytes.
    ///
    /// A larger value is not transferred. It counts as unreadable, not as missing: the method fails. By default the
    /// value is read first and measured then.
    fn get_within<'a>(&'a self, key: &'a str, max_bytes: usize) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            match self.get(key).await? {
                Some(value) if value.len() > max_bytes => {
                    Err(unreadable::report_left(key, unreadable::TOO_LARGE))
                }
                value => Ok(value),
            }
        })
    }

    /// Returns the values of several keys, each with its maximum length in bytes, in the order of the keys: in one
    /// round trip where that is possible. The values can be of different times.
    ///
    /// Each result is that of [`get_within`](Self::get_within), so an unreadable value fails alone. The method fails as
    /// a whole if the store is unavailable. By default all keys are read concurrently with `get_within`.
    fn get_many<'a>(
        &'a self,
        keys: &'a [(&'a str, usize)],
    ) -> StoreFuture<'a, Vec<Result<Option<Bytes>>>> {
        let read = |&(key, max_bytes): &(&'a str, usize)| async move {
            match self.get_within(key, max_bytes).await {
                Err(error) if !error.is_unreadable_value() => Err(error),
                value => Ok(value),
            }
        };
        Box::pin(try_join_all(keys.iter().map(read)))
    }

    /// Sets the value of a key, with this TTL. An earlier value and its TTL are replaced.
    fn put<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, ()>;

    /// Sets the value of a key that has none, and returns whether it did: of several concurrent callers, one succeeds.
    /// An expired value counts as none.
    fn put_if_absent<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        ttl: Duration,
    ) -> StoreFuture<'a, bool>;

    /// Sets a new TTL from now on, longer or shorter, if the key still has this value; returns whether it has.
    fn extend_if_equal<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        ttl: Duration,
    ) -> StoreFuture<'a, bool>;

    /// Removes the value of a key, whatever the value is. A key without a value is no error.
    fn remove<'a>(&'a self, key: &'a str) -> StoreFuture<'a, ()>;

    /// Removes the value of a key if it is this one; returns whether it was.
    fn remove_if_equal<'a>(&'a self, key: &'a str, value: Bytes) -> StoreFuture<'a, bool>;

    /// Returns a number that identifies handles of the same store in this process, such as the address of their shared
    /// state: if one of them finds the store unavailable, all treat it as unavailable.
    ///
    /// `None`, the default, means that this handle is a store of its own.
    fn identity(&self) -> Option<usize> {
        None
    }
}
