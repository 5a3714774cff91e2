//! Batches: many concurrent calls, with a result for each.

use std::fmt;
use std::task::Poll;

use futures_core::Stream;
use futures_util::StreamExt;
use futures_util::stream::{self, FuturesUnordered};

use crate::client::Client;
use crate::error::Result;
use crate::policy::rate_limit::BatchSlots;

impl Client {
    /// Runs many calls, a bounded number of them concurrently, and returns their results in the order of the calls.
    ///
    /// A call starts when a slot is free, so `calls` can be a long iterator. Rate limits apply as for any call; a batch
    /// of [background](crate::policy::rate_limit::Priority::Background) calls yields to interactive calls.
    ///
    /// A call that waits for a rate limit, or for an identical read, does not count towards that number: the batch
    /// starts further calls meanwhile, which might be of identities with remaining quota. Up to 1,000 calls of a batch
    /// wait in this way at a time. A call with its own [`timeout`](crate::Request::timeout) keeps its slot.
    ///
    /// ```no_run
    /// # async fn example(github: octowire::Client) -> octowire::Result<()> {
    /// use octowire::rate_limit::Priority;
    ///
    /// let calls = (1..=500).map(|number| {
    ///     github.issues().get().owner("octocat").repo("hello-world").issue_number(number)
    ///         .with(|request| request.priority(Priority::Background))
    ///         .send()
    /// });
    /// let results = github.batch(calls)
    ///     .on_progress(|progress| println!("{} calls are done", progress.done))
    ///     .collect()
    ///     .await;
    /// for (number, result) in (1..).zip(results) {
    ///     match result {
    ///         Ok(issue) => println!("#{number} {}", issue.title),
    ///         Err(error) => println!("#{number} {error}"),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Other futures
    /// `calls` can yield any future of a [`Result`](std::result::Result) with any error, such as an `async` block that makes
    /// several calls:
    /// - It takes a slot when it starts and returns it when it ends. A pause, or a write to a disk, keeps the slot as well.
    /// - While a call that it awaits waits for a rate limit or for an identical read, and no other call of it is in flight,
    ///   it has no slot. The call takes one again before it is sent. If the call ends without being sent, the future
    ///   continues without a slot until its next call. So the number bounds requests, and not the other work after a wait.
    /// - Calls of a task that it spawns do not belong to the batch: while they wait, the future keeps its slot.
    ///
    /// ```no_run
    /// # async fn example(github: octowire::Client) {
    /// use std::error::Error;
    ///
    /// let titles = (1..=500).map(|number| {
    ///     let call = github.issues().get().owner("octocat").repo("hello-world").issue_number(number);
    ///     async move {
    ///         let issue = call.send().await?;
    ///         tokio::fs::write(format!("{number}.md"), &issue.title).await?;
    ///         Ok::<_, Box<dyn Error + Send + Sync>>(issue.into_inner().title)
    ///     }
    /// });
    /// let results = github.batch(titles).concurrency(20).collect().await;
    /// println!("{} files were written", results.iter().filter(|result| result.is_ok()).count());
    /// # }
    /// ```
    pub fn batch<I, F, T, E>(&self, calls: I) -> Batch<I::IntoIter>
    where
        I: IntoIterator<Item = F>,
        F: Future<Output = Result<T, E>>,
    {
        Batch { calls: calls.into_iter(), concurrency: DEFAULT_CONCURRENCY, on_progress: None }
    }
}

/// A batch of calls, created by [`Client::batch`].
#[must_use = "nothing is sent before `collect` or `stream`"]
pub struct Batch<I> {
    calls: I,
    concurrency: usize,
    on_progress: Option<OnProgress>,
}

type OnProgress = Box<dyn FnMut(BatchProgress) + Send>;

/// The progress of a [`Batch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchProgress {
    /// The calls that have completed.
    pub done: usize,
    /// The completed calls that failed.
    pub failed: usize,
    /// The number of all calls, if the iterator of the calls knows it.
    pub total: Option<usize>,
}

/// Enough to hide GitHub's latency, and far below its limit of 100 concurrent requests.
const DEFAULT_CONCURRENCY: usize = 10;
const MAX_CONCURRENCY: usize = 100;

impl<I, F, T, E> Batch<I>
where
    I: Iterator<Item = F>,
    F: Future<Output = Result<T, E>>,
{
    /// Sets how many calls are in flight at a time; 10 by default, from 1 to 100, which is GitHub's limit for all calls
    /// of an identity.
    pub fn concurrency(mut self, calls: usize) -> Self {
        self.concurrency = calls.clamp(1, MAX_CONCURRENCY);
        self
    }

    /// Calls this function after each completed call. It runs between the calls: it should return soon.
    pub fn on_progress(mut self, on_progress: impl FnMut(BatchProgress) + Send + 'static) -> Self {
        self.on_progress = Some(Box::new(on_progress));
        self
    }

    /// Runs the calls and returns each result, in the order of the calls. A failed call does not end the others.
    /// Dropping the future ends the calls in flight and starts no more.
    pub async fn collect(self) -> Vec<Result<T, E>> {
        let mut results = Vec::new();
        let mut stream = std::pin::pin!(self.stream());
        while let Some((index, result)) = stream.next().await {
            if results.len() <= index {
                results.resize_with(index + 1, || None);
            }
            results[index] = Some(result);
        }
        // Each call has completed, so that there is no gap.
        results.into_iter().flatten().collect()
    }

    /// Runs the calls and yields each one's index and result as it completes. No further call starts while the stream
    /// is not polled; calls of the same client that are awaited between two items do not wait for the batch.
    pub fn stream(self) -> impl Stream<Item = (usize, Result<T, E>)> {
        let Self { calls, concurrency, mut on_progress } = self;
        let total = match calls.size_hint() {
            (least, Some(most)) if least == most => Some(most),
            _ => None,
        };
        let (mut done, mut failed) = (0, 0);
        let mut calls = calls.enumerate().fuse();
        let slots = BatchSlots::new(concurrency);
        let mut running = FuturesUnordered::new();
        let results = stream::poll_fn(move |context| {
            slots.wake_later(context.waker());
            loop {
                let mut started = false;
                while slots.has_free_slot()
                    && let Some((index, call)) = calls.next()
                {
                    let slot = slots.start();
                    running.push(async move { (index, slot.run(call).await) });
                    started = true;
                }
                match running.poll_next_unpin(context) {
                    // A call can release its slot in this poll.
                    Poll::Pending if started && slots.has_free_slot() => {}
                    polled => return polled,
                }
            }
        });
        results.inspect(move |(_, result)| {
            done += 1;
            failed += usize::from(result.is_err());
            if let Some(on_progress) = &mut on_progress {
                on_progress(BatchProgress { done, failed, total });
            }
        })
    }
}

impl<I> fmt::Debug for Batch<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("concurrency", &self.concurrency).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
