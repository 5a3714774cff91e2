//! The pages of a list, fetched in order and a bounded number of them ahead.
//!
//! The calls make progress while the stream is polled, and also without it while another call waits for a permit that
//! they hold. A page is decoded as soon as it arrives, so that its call is recorded with its outcome.

use std::collections::VecDeque;
use std::hash::RandomState;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_util::stream::FuturesOrdered;
use http::HeaderMap;
use http::header::LINK;
use tokio::time::Instant;
use url::Url;

use super::page::page_content;
use super::plan::PagePlan;
use super::progress::PageContent;
use crate::client::Request;
use crate::error::{Error, OperationName, Result};
use crate::headers::HeaderValues;
use crate::pipeline::{BodyMode, execute};
use crate::response::RawResponse;
use crate::time::deadline::DeadlineExtension;

type Call<P> = Pin<Box<dyn Future<Output = Result<FetchedPage<P>>> + Send>>;
type Decode<P> = dyn Fn(RawResponse) -> Result<P> + Send + Sync;

/// The pages of one list.
pub(super) struct PageFetcher<P> {
    plan: PagePlan,
    call: Box<dyn Fn(Request) -> Call<P> + Send + Sync>,
    calls: PageCalls<P>,
    /// Pages that have arrived and were not yet returned; an error is the last.
    ready: VecDeque<Result<ReadyPage<P>>>,
    last_page: Option<u64>,
}

/// A page that has arrived, and the number of the last page that it states.
struct ReadyPage<P> {
    page: P,
    last_page: Option<u64>,
}

/// The pages in flight, in order.
struct PageCalls<P> {
    futures: FuturesOrdered<Call<P>>,
    /// One for each call: time in which nothing polls a call does not count as the call's.
    extensions: VecDeque<DeadlineExtension>,
}

/// A page, and its links to further pages.
struct FetchedPage<P> {
    page: P,
    content: PageContent,
    url: Url,
    headers: Arc<HeaderMap>,
}

impl<P: 'static> PageFetcher<P> {
    /// `fault` returns the error of a page that decoded in part.
    pub(super) fn new(
        request: Request,
        decode: impl Fn(RawResponse) -> Result<P> + Send + Sync + 'static,
        fault: fn(&P) -> Option<Error>,
    ) -> Self {
        let decode: Arc<Decode<P>> = Arc::new(decode);
        let plan = PagePlan::new(request);
        let hasher = plan.hasher().clone();
        let fetch = move |request| fetched(request, Arc::clone(&decode), fault, hasher.clone());
        Self {
            plan,
            call: Box::new(move |request| Box::pin(fetch(request))),
            calls: PageCalls::new(),
            ready: VecDeque::new(),
            last_page: None,
        }
    }
}

impl<P> PageFetcher<P> {
    pub(super) fn name(&self) -> &OperationName {
        self.plan.name()
    }

    /// Returns the number of the last page, as the latest page that was returned states it.
    pub(super) fn last_page(&self) -> Option<u64> {
        self.last_page
    }

    /// Returns the next page; an error ends the list.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<P>>> {
        self.calls.resume();
        // The reader waits for one page, even if none is to be fetched ahead.
        self.advance(context, self.plan.pages_ahead().max(1));
        match self.ready.pop_front() {
            Some(Err(error)) => {
                self.abort();
                Poll::Ready(Some(Err(error)))
            }
            Some(Ok(ReadyPage { page, last_page })) => {
                self.last_page = last_page;
                self.advance(context, self.plan.pages_ahead());
                self.calls.suspend();
                Poll::Ready(Some(Ok(page)))
            }
            None if self.calls.is_empty() => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    /// Returns the bounds of the number of remaining pages; an error counts as a page.
    pub(super) fn size_hint(&self) -> (usize, Option<usize>) {
        let ready = self.ready.len();
        let is_last = self.plan.has_ended() && self.calls.is_empty();
        (ready, is_last.then_some(ready))
    }

    /// Polls the pages ahead.
    pub(super) fn poll_ahead(&mut self, context: &mut Context<'_>) {
        if !self.calls.is_empty() {
            self.calls.resume();
            self.advance(context, self.plan.pages_ahead());
            self.calls.suspend();
        }
    }

    /// Drops the calls in flight.
    pub(super) fn abort(&mut self) {
        self.plan.end();
        self.calls = PageCalls::new();
        self.ready.clear();
    }

    /// Starts calls and takes in pages, until no further progress is possible now.
    fn advance(&mut self, context: &mut Context<'_>, ahead: usize) {
        loop {
            self.start(ahead);
            match self.calls.poll_next(context) {
                Poll::Ready(Some(Ok(fetched))) => self.accept_page(fetched),
                Poll::Ready(Some(Err(error))) => self.fail(error),
                Poll::Ready(None) | Poll::Pending => return,
            }
        }
    }

    /// Starts the calls that the plan and the bound allow.
    fn start(&mut self, ahead: usize) {
        loop {
            let bound = if self.plan.is_numbered() { ahead } else { ahead.min(1) };
            if self.calls.len().saturating_add(self.ready.len()) >= bound {
                return;
            }
            let Some(mut request) = self.plan.next_request() else { return };
            let extension = DeadlineExtension::with_reader();
            request.set_extension(extension.clone());
            self.calls.push((self.call)(request), extension);
        }
    }

    /// Takes a page in, and updates the plan by its links.
    fn accept_page(&mut self, fetched: FetchedPage<P>) {
        let FetchedPage { page, content, url, headers } = fetched;
        let planned = self.plan.plan_next(&url, &headers, content);
        self.ready.push_back(Ok(ReadyPage { page, last_page: self.plan.last_page() }));
        match planned {
            Ok(true) => {}
            // The pages in flight are not those that this page links to.
            Ok(false) => self.calls = PageCalls::new(),
            Err(error) => self.fail(error),
        }
    }

    /// Ends the list with an error, after the pages that have arrived.
    fn fail(&mut self, error: Error) {
        self.plan.end();
        self.calls = PageCalls::new();
        let error = error.with_operation(self.plan.name());
        self.ready.push_back(Err(error));
    }
}

impl<P> PageCalls<P> {
    fn new() -> Self {
        Self { futures: FuturesOrdered::new(), extensions: VecDeque::new() }
    }

    fn len(&self) -> usize {
        self.extensions.len()
    }

    fn is_empty(&self) -> bool {
        self.extensions.is_empty()
    }

    fn push(&mut self, call: Call<P>, extension: DeadlineExtension) {
        self.futures.push_back(call);
        self.extensions.push_back(extension);
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<FetchedPage<P>>>> {
        let polled = Pin::new(&mut self.futures).poll_next(context);
        if let Poll::Ready(Some(_)) = &polled {
            self.extensions.pop_front();
        }
        polled
    }

    /// From here on the reader polls nothing, until it [resumes](Self::resume).
    fn suspend(&self) {
        if !self.is_empty() {
            let now = Instant::now();
            self.extensions.iter().for_each(|extension| extension.suspend(now));
        }
    }

    fn resume(&self) {
        if !self.is_empty() {
            let now = Instant::now();
            self.extensions.iter().for_each(|extension| extension.resume_polling(now));
        }
    }
}

/// Fetches and decodes one page.
async fn fetched<P>(
    request: Request,
    decode: Arc<Decode<P>>,
    fault: fn(&P) -> Option<Error>,
    hasher: RandomState,
) -> Result<FetchedPage<P>> {
    let called = execute(request.into_call(), BodyMode::Buffered).await;
    called.decode(
        |raw| {
            let url = raw.url.clone();
            // Without a link the list ends here, whatever the content of the page.
            let (headers, content) = match raw.headers.value(&LINK) {
                Some(_) => (Arc::clone(raw.headers.map()), page_content(raw.bytes(), &hasher)),
                None => (Arc::default(), PageContent::Empty),
            };
            Ok(FetchedPage { page: decode(raw)?, content, url, headers })
        },
        |fetched| fault(&fetched.page),
    )
}

#[cfg(test)]
mod tests;
