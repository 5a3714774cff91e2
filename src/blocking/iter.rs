//! Lists as iterators.

use std::future::poll_fn;
use std::iter::FusedIterator;
use std::pin::Pin;

use futures_core::Stream;

use super::executor::block_on;
use crate::client::pagination::{Items, Pages};
use crate::error::Result;
use crate::runtime::dedicated::drop_in_context;

/// The items or pages of a list as an iterator, made by [`Wait::wait`](crate::blocking::Wait::wait) from [`Items`] and
/// [`Pages`].
///
/// It is lazy: the first [`next`](Iterator::next) sends the first request. As with the stream, pages are fetched
/// [ahead](crate::Request::prefetch) while the iterator is read: each `next` advances them, without a wait for them if
/// there is an item already.
///
/// Errors, and their effects on the rest of the list, are those of [`Items`](Items#errors) and [`Pages`]. On a thread of
/// a [Tokio runtime](crate::blocking#inside-a-runtime), the first `next` returns an error of the kind
/// [`ErrorKind::Blocking`](crate::ErrorKind::Blocking), and the iterator ends.
///
/// The lower bound of [`size_hint`](Iterator::size_hint) is the number of items or pages that have arrived, and there is
/// an upper bound at the end of the list only. An iterator that is dropped early ends its requests.
///
/// ```no_run
/// # #[cfg(feature = "issues")]
/// # fn example(github: octowire::Client) -> octowire::Result<()> {
/// use octowire::blocking::Wait;
///
/// let open = github.issues().list_for_repo().owner("rust-lang").repo("rust").state("open");
/// for issue in open.stream().wait().take(500) {
///     println!("{}", issue?.title);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing is sent until the iterator is read"]
pub struct Iter<S> {
    /// `None` after a thread that cannot wait has read it.
    stream: Option<S>,
}

impl<S> Iter<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream: Some(stream) }
    }
}

impl<I> Iter<Items<I>> {
    /// Returns the number of items of the whole list, if GitHub reports it: see [`Items::total`].
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.stream.as_ref()?.total()
    }
}

impl<S, T> Iterator for Iter<S>
where
    S: Stream<Item = Result<T>> + Unpin,
{
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        let stream = self.stream.as_mut()?;
        match block_on(poll_fn(|context| Pin::new(&mut *stream).poll_next(context))) {
            Ok(item) => item,
            Err(error) => {
                self.stream = None;
                Some(Err(error))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.stream.as_ref().map_or((0, Some(0)), Stream::size_hint)
    }
}

impl<I> FusedIterator for Iter<Items<I>> {}

impl<T> FusedIterator for Iter<Pages<T>> {}

impl<S> Drop for Iter<S> {
    /// Pages that are fetched ahead end, and return their permits.
    fn drop(&mut self) {
        drop_in_context(self.stream.take());
    }
}
