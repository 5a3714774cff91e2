//! Lists across pages, as streams.
//!
//! Which pages are fetched, and when, is in [`fetch`]; what a `Link` header says in [`link`].

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::vec;

use futures_core::Stream;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, Result};
use crate::request::Request;
use crate::response::{Raw, Response};

mod fetch;
mod link;
mod visited;

use fetch::Fetch;

/// The pages of a list, in order.
///
/// It is a [`Stream`]; [`next`](Self::next) and [`try_next`](Self::try_next) read it without an
/// import. Pages are fetched [ahead](Request::prefetch) while it is polled, and nothing is fetched
/// before that. An error comes after the pages before it and ends the stream.
#[must_use = "nothing is sent until the stream is read"]
pub struct Pages<T> {
    fetch: Fetch,
    decode: fn(Raw) -> Result<Response<T>>,
}

/// The items of a list across its pages, in order.
///
/// It is a [`Stream`]; [`next`](Self::next) and [`try_next`](Self::try_next) read it without an
/// import. Pages are fetched [ahead](Request::prefetch) while it is polled, and nothing is fetched
/// before that. Memory holds the pages fetched ahead, however long the list is. An error comes
/// after the items before it and ends the stream.
#[must_use = "nothing is sent until the stream is read"]
pub struct Items<I> {
    fetch: Fetch,
    decode: Box<dyn Fn(Raw) -> Result<Vec<I>> + Send + Sync>,
    current: vec::IntoIter<I>,
}

impl<T: DeserializeOwned> Pages<T> {
    pub(crate) fn new(request: Request) -> Self {
        Self { fetch: Fetch::new(request), decode: Raw::json }
    }
}

impl<T> Pages<T> {
    /// The next page; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Response<T>>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// The next page; `None` at the end.
    ///
    /// # Errors
    /// If the page can not be fetched or decoded; then the stream is at its end.
    pub async fn try_next(&mut self) -> Result<Option<Response<T>>> {
        self.next().await.transpose()
    }
}

impl<T> Stream for Pages<T> {
    type Item = Result<Response<T>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let raw = ready!(self.fetch.poll_next(context));
        let page = raw.map(|raw| raw.and_then(self.decode));
        if let Some(Err(_)) = page {
            self.fetch.end();
        }
        Poll::Ready(page)
    }
}

impl<I> Items<I> {
    pub(crate) fn new<T>(request: Request, extract: fn(T) -> Vec<I>) -> Self
    where
        T: DeserializeOwned + 'static,
        I: 'static,
    {
        Self {
            fetch: Fetch::new(request),
            decode: Box::new(move |raw| Ok(extract(raw.json::<T>()?.into_inner()))),
            current: Vec::new().into_iter(),
        }
    }

    /// The next item; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<I>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// The next item; `None` at the end.
    ///
    /// # Errors
    /// If a page can not be fetched or decoded; then the stream is at its end.
    pub async fn try_next(&mut self) -> Result<Option<I>> {
        self.next().await.transpose()
    }

    /// All items that are left, if they are not more than `limit`.
    ///
    /// # Errors
    /// If a page can not be fetched or decoded, or if the list is longer than `limit`
    /// ([`ErrorKind::Pagination`]): a list cut off in silence would be taken for the whole.
    pub async fn collect_all(mut self, limit: usize) -> Result<Vec<I>> {
        let mut all = Vec::new();
        while let Some(item) = self.try_next().await? {
            if all.len() == limit {
                return Err(Error::new(
                    ErrorKind::Pagination,
                    format!("the list is longer than the limit of {limit} items"),
                )
                .with_operation(self.fetch.label())
                .with_advice("raise the limit, or read the items one by one"));
            }
            all.push(item);
        }
        Ok(all)
    }
}

impl<I> Stream for Items<I> {
    type Item = Result<I>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(item) = this.current.next() {
                // The pages ahead go on while this one is read.
                this.fetch.go_on(context);
                return Poll::Ready(Some(Ok(item)));
            }
            let Some(raw) = ready!(this.fetch.poll_next(context)) else {
                return Poll::Ready(None);
            };
            match raw.and_then(&this.decode) {
                Ok(items) => this.current = items.into_iter(),
                Err(error) => {
                    this.fetch.end();
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

// Items are stored, never pinned.
impl<I> Unpin for Items<I> {}

impl<T> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("operation", self.fetch.label()).finish_non_exhaustive()
    }
}

impl<I> fmt::Debug for Items<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").field("operation", self.fetch.label()).finish_non_exhaustive()
    }
}
