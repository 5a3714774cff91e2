//! Lists across pages, as streams.
//!
//! [`fetch`] starts and orders the calls, [`plan`] decides which page comes next, [`numbered`] reads page numbers,
//! [`page`] decodes a page, [`progress`] detects pages without new items, and [`completeness`] compares the number of
//! delivered items with the number that GitHub reports.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use serde::de::DeserializeOwned;
use tracing::warn;

use crate::client::Request;
use crate::error::{Error, ErrorKind, Result};
use crate::response::{RawResponse, Response};

mod completeness;
mod cycle_detector;
mod fetch;
#[cfg(any(test, feature = "__fuzz"))]
pub(crate) mod fuzzing;
mod numbered;
mod page;
mod plan;
mod progress;

use completeness::Completeness;
use fetch::PageFetcher;
use page::{Entries, Page, PageReader};
// Generated code uses it, if a feature has such a list.
pub(crate) use page::Listed;
#[allow(unused_imports)]
pub(crate) use page::TotalCount;

/// The pages of a list, in order, each with its [metadata](Response::meta).
///
/// It is a [`Stream`]; [`next`](Self::next) and [`try_next`](Self::try_next) read it without an
/// import. Pages are fetched and decoded [ahead](Request::prefetch) while it is polled, and nothing
/// is fetched before that. An error comes after the pages before it and ends the stream.
///
/// If another call waits for a resource of a page that is fetched ahead, such as a permit of the [rate
/// limits](crate::policy::rate_limit::RateLimitPolicy), a task of the Tokio runtime fetches that page. Task-local values of the
/// application are not visible in that task.
///
/// Pages have GitHub's order and content. Whether a list is complete is for the caller to compare; [`Items`] does so by
/// itself. After 100 pages in a row that are empty, or equal to earlier ones, the stream ends with an error of the kind
/// [`ErrorKind::Pagination`].
#[must_use = "nothing is sent until the stream is read"]
pub struct Pages<T> {
    fetch: PageFetcher<Response<T>>,
}

/// The items of a list across its pages, in order.
///
/// It is a [`Stream`]; [`next`](Self::next) and [`try_next`](Self::try_next) read it without an import. Pages are
/// fetched and decoded [ahead](Request::prefetch) while it is polled, and nothing is fetched before that. Only the
/// pages that are fetched ahead are in memory, however long the list is.
///
/// If another call waits for a resource of a page that is fetched ahead, such as a permit of the [rate
/// limits](crate::policy::rate_limit::RateLimitPolicy), a task of the Tokio runtime fetches that page. Task-local values of the
/// application are not visible in that task.
///
/// # Errors
/// - An item that does not decode is an error of the kind [`ErrorKind::Decode`] in its place, and the items after it
///   follow. [`Error::json_path`] is its position in the page, and [`Error::body`] is the item's JSON.
///   [`on_item_error`](Self::on_item_error) changes this. Lists made by [`Request::items`] do so if the page is a JSON
///   array.
/// - A list with fewer items than GitHub reports ends with an error of the kind [`ErrorKind::Incomplete`], after all
///   delivered items: see [`Error::incomplete`].
/// - If 100 pages in a row are empty, or equal to earlier pages of the list, and link to further ones, the stream ends
///   with an error of the kind [`ErrorKind::Pagination`]: the list would never end. Fewer empty pages, which occur in
///   GitHub's filtered lists, are skipped.
/// - Any other error follows the items before it and ends the stream.
///
/// ```no_run
/// # #[cfg(feature = "search")]
/// # async fn example(github: octowire::Client) -> octowire::Result<()> {
/// use octowire::ErrorKind;
///
/// let mut found = github.search().repos().q("tetris").per_page(100).stream();
/// while let Some(repository) = found.next().await {
///     match repository {
///         Ok(repository) => println!("{}", repository.full_name),
///         Err(error) if error.kind() == ErrorKind::Decode => eprintln!("{error}"),
///         Err(error) => return Err(error),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is sent until the stream is read"]
pub struct Items<I> {
    fetch: PageFetcher<Page<I>>,
    current: Option<Entries<I>>,
    completeness: Completeness,
    on_item_error: OnItemError,
    pages_read: u64,
    ended: bool,
}

/// The behavior of a stream of items after an item that does not decode: [`Items::on_item_error`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnItemError {
    /// Yields the error, and then the items after it.
    #[default]
    Yield,
    /// Yields the error and ends the stream.
    Stop,
    /// Skips the item, with a warning in the log.
    Skip,
}

impl<T: DeserializeOwned + 'static> Pages<T> {
    pub(crate) fn new(request: Request) -> Self {
        Self { fetch: PageFetcher::new(request, RawResponse::decode_json, |_| None) }
    }
}

impl<T> Pages<T> {
    /// Returns the number of the list's last page, as the page that was returned last states it: by the relation `last`
    /// of its [`Link`
    /// header](https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api#using-link-headers).
    /// A page without a link to a further one is itself the last.
    ///
    /// It counts pages from 1, not items, and also the pages before the one that the call requested. While the list is
    /// read, GitHub can add and remove items: the number is exact at the end, and can be too large or too small before.
    /// Pages that are fetched ahead have no influence until they are returned.
    ///
    /// `None` before the first page, and if the links do not number the pages, as those with a cursor. The number of
    /// items, if GitHub reports it, is the `total_count` of the page itself, or [`Items::total`].
    ///
    /// ```no_run
    /// # #[cfg(feature = "issues")]
    /// # async fn example(github: octowire::Client) -> octowire::Result<()> {
    /// let mut pages = github.issues().list_for_repo().owner("rust-lang").repo("rust").pages();
    /// let mut read = 0;
    /// while let Some(page) = pages.try_next().await? {
    ///     read += 1;
    ///     match pages.last_page() {
    ///         Some(last) => println!("page {read} of {last}: {} issues", page.len()),
    ///         None => println!("page {read}: {} issues", page.len()),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn last_page(&self) -> Option<u64> {
        self.fetch.last_page()
    }

    /// Returns the next page; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Response<T>>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// Returns the next page; `None` at the end.
    ///
    /// # Errors
    /// If the page cannot be fetched or decoded; then the stream has ended.
    pub async fn try_next(&mut self) -> Result<Option<Response<T>>> {
        self.next().await.transpose()
    }
}

impl<T> Stream for Pages<T> {
    type Item = Result<Response<T>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.fetch.poll_next(context)
    }

    /// Returns the number of pages that have arrived, as the lower bound.
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.fetch.size_hint()
    }
}

// Pages are stored, never pinned.
impl<T> Unpin for Pages<T> {}

impl<I: 'static> Items<I> {
    /// Creates the stream of an operation's list. `field` is the property of the page that contains the list; `None` if
    /// the page is the list.
    pub(crate) fn for_operation<T>(
        request: Request,
        field: Option<&'static str>,
        open: fn(T) -> Listed<I>,
    ) -> Self
    where
        T: DeserializeOwned + 'static,
        I: DeserializeOwned,
    {
        Self::with_reader(request, PageReader::for_operation(field, open))
    }

    /// Creates the stream of a list that the caller extracts from its pages.
    pub(crate) fn with_extractor<T>(request: Request, extract: fn(T) -> Vec<I>) -> Self
    where
        T: DeserializeOwned + 'static,
    {
        Self::with_reader(request, PageReader::with_extractor(extract))
    }

    fn with_reader<T>(request: Request, reader: PageReader<T, I>) -> Self
    where
        T: DeserializeOwned + 'static,
    {
        Self {
            fetch: PageFetcher::new(request, move |raw| reader.read(raw), Page::first_error),
            current: None,
            completeness: Completeness::default(),
            on_item_error: OnItemError::default(),
            pages_read: 0,
            ended: false,
        }
    }
}

impl<I> Items<I> {
    /// Sets the behavior after an item that does not decode: by default, the stream [yields](OnItemError::Yield) its
    /// error.
    pub fn on_item_error(mut self, on_item_error: OnItemError) -> Self {
        self.on_item_error = on_item_error;
        self
    }

    /// Returns the number of items of the whole list, if GitHub reports it: the property `total_count` of the latest
    /// page that was read. `None` before the first page, and for lists without it, which are most.
    ///
    /// A [search](https://docs.github.com/en/rest/search/search#about-search) delivers at most 1,000 items, even if
    /// `total_count` is larger.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.completeness.total()
    }

    /// Returns the number of the list's last page, as the page of the latest item states it: see [`Pages::last_page`].
    /// `None` before the first item, and for lists with a cursor.
    ///
    /// It is known for most lists, and [`total`](Self::total) for few.
    #[must_use]
    pub fn last_page(&self) -> Option<u64> {
        self.fetch.last_page()
    }

    /// Returns the next item; `None` at the end.
    ///
    /// After the error of one item, the items after it follow; see the [type](Self#errors).
    pub async fn next(&mut self) -> Option<Result<I>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// Returns the next item; `None` at the end.
    ///
    /// # Errors
    /// - If an item does not decode; the next call returns the item after it.
    /// - If a page cannot be fetched or decoded as a whole, or if the list is [incomplete](ErrorKind::Incomplete); then
    ///   the stream has ended.
    pub async fn try_next(&mut self) -> Result<Option<I>> {
        self.next().await.transpose()
    }

    /// Collects all remaining items, if they are not more than `limit`.
    ///
    /// # Errors
    /// The first error ends the collection, and the items before it are lost:
    /// - if a page cannot be fetched or decoded;
    /// - if an item does not decode: the error contains the position of the item and of its page. With
    ///   [`OnItemError::Skip`], such an item is skipped instead;
    /// - if the list has fewer items than GitHub reports ([`ErrorKind::Incomplete`]);
    /// - if the list is longer than `limit`, or [does not end](Self#errors)
    ///   ([`ErrorKind::Pagination`]).
    pub async fn collect_all(mut self, limit: usize) -> Result<Vec<I>> {
        let mut all = Vec::new();
        while let Some(item) = self.try_next().await? {
            if all.len() == limit {
                return Err(Error::new(
                    ErrorKind::Pagination,
                    format!("the list exceeds the limit of {limit} items"),
                )
                .with_operation(self.fetch.name())
                .with_advice("raise the limit, or read the items one by one"));
            }
            all.push(item);
        }
        Ok(all)
    }

    /// Returns the next item of the current page, or its error.
    fn next_on_page(&mut self) -> Option<Result<I>> {
        loop {
            match (self.current.as_mut()?.next()?, self.on_item_error) {
                (Err(error), OnItemError::Skip) => {
                    let operation = &**self.fetch.name();
                    warn!(operation, %error, "item skipped");
                }
                (Err(error), OnItemError::Stop) => {
                    self.end();
                    return Some(Err(error));
                }
                (item, _) => return Some(item),
            }
        }
    }

    /// Ends the stream, without an error if the list is complete.
    fn finish(&mut self) -> Option<Error> {
        self.end();
        let incomplete = self.completeness.incomplete()?;
        Some(Error::new_incomplete(incomplete).with_operation(self.fetch.name()))
    }

    fn end(&mut self) {
        self.ended = true;
        self.current = None;
        self.fetch.abort();
    }
}

impl<I> Stream for Items<I> {
    type Item = Result<I>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(item) = this.next_on_page() {
                // Pages that are fetched ahead make progress while this one is read.
                this.fetch.poll_ahead(context);
                return Poll::Ready(Some(item));
            }
            if this.ended {
                return Poll::Ready(None);
            }
            match ready!(this.fetch.poll_next(context)) {
                Some(Ok(page)) => {
                    this.completeness.add(&page);
                    this.pages_read = this.pages_read.saturating_add(1);
                    let number = page.position.number.unwrap_or(this.pages_read);
                    this.current = Some(page.entries.of_page(number));
                }
                Some(Err(error)) => {
                    this.end();
                    return Poll::Ready(Some(Err(error)));
                }
                None => return Poll::Ready(this.finish().map(Err)),
            }
        }
    }

    /// Returns the number of remaining items of the current page, as the lower bound.
    fn size_hint(&self) -> (usize, Option<usize>) {
        let on_page = match (&self.current, self.on_item_error) {
            (Some(entries), OnItemError::Yield) => entries.len(),
            // An item that does not decode is skipped, or ends the stream.
            (_, OnItemError::Stop | OnItemError::Skip) | (None, _) => 0,
        };
        (on_page, self.ended.then_some(0))
    }
}

// Items are stored, never pinned.
impl<I> Unpin for Items<I> {}

impl<T> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("operation", self.fetch.name()).finish_non_exhaustive()
    }
}

impl<I> fmt::Debug for Items<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").field("operation", self.fetch.name()).finish_non_exhaustive()
    }
}
