//! Fetches the pages of a list in order, a bounded number of them ahead.
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

use super::page::content;
use super::plan::Plan;
use super::progress::Content;
use crate::call::{Reading, call};
use crate::deadline::Slack;
use crate::error::{Error, Result};
use crate::operation::Label;
use crate::request::Request;
use crate::response::Raw;

type Call<P> = Pin<Box<dyn Future<Output = Result<Fetched<P>>> + Send>>;
type Decode<P> = dyn Fn(Raw) -> Result<P> + Send + Sync;

/// The pages of one list.
pub(super) struct Fetch<P> {
    plan: Plan,
    call: Box<dyn Fn(Request) -> Call<P> + Send + Sync>,
    calls: Calls<P>,
    /// Pages that have arrived and were not yet returned; an error is the last.
    arrived: VecDeque<Result<P>>,
}

/// The pages in flight, in order.
struct Calls<P> {
    futures: FuturesOrdered<Call<P>>,
    /// One for each call: time in which nothing polls a call does not count as the call's.
    slacks: VecDeque<Slack>,
}

/// A page, and its links to further pages.
struct Fetched<P> {
    page: P,
    content: Content,
    url: Url,
    headers: Arc<HeaderMap>,
}

impl<P: 'static> Fetch<P> {
    /// `fault` returns the error of a page that decoded in part.
    pub(super) fn new(
        request: Request,
        decode: impl Fn(Raw) -> Result<P> + Send + Sync + 'static,
        fault: fn(&P) -> Option<Error>,
    ) -> Self {
        let decode: Arc<Decode<P>> = Arc::new(decode);
        let plan = Plan::new(request);
        let hasher = plan.hasher().clone();
        let fetch = move |request| fetched(request, Arc::clone(&decode), fault, hasher.clone());
        Self {
            plan,
            call: Box::new(move |request| Box::pin(fetch(request))),
            calls: Calls::new(),
            arrived: VecDeque::new(),
        }
    }
}

impl<P> Fetch<P> {
    pub(super) fn label(&self) -> &Label {
        self.plan.label()
    }

    /// Returns the next page; an error ends the list.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<P>>> {
        self.calls.resume();
        // The reader waits for one page, even if none is to be fetched ahead.
        self.advance(context, self.plan.pages_ahead().max(1));
        match self.arrived.pop_front() {
            Some(Err(error)) => {
                self.end();
                Poll::Ready(Some(Err(error)))
            }
            Some(Ok(page)) => {
                self.advance(context, self.plan.pages_ahead());
                self.calls.rest();
                Poll::Ready(Some(Ok(page)))
            }
            None if self.calls.is_empty() => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    /// Polls the pages ahead.
    pub(super) fn go_on(&mut self, context: &mut Context<'_>) {
        if !self.calls.is_empty() {
            self.calls.resume();
            self.advance(context, self.plan.pages_ahead());
            self.calls.rest();
        }
    }

    /// Drops the calls in flight.
    pub(super) fn end(&mut self) {
        self.plan.end();
        self.calls = Calls::new();
        self.arrived.clear();
    }

    /// Starts calls and takes in pages, until no further progress is possible now.
    fn advance(&mut self, context: &mut Context<'_>, ahead: usize) {
        loop {
            self.start(ahead);
            match self.calls.poll_next(context) {
                Poll::Ready(Some(Ok(fetched))) => self.learn(fetched),
                Poll::Ready(Some(Err(error))) => self.fail(error),
                Poll::Ready(None) | Poll::Pending => return,
            }
        }
    }

    /// Starts the calls that the plan and the bound allow.
    fn start(&mut self, ahead: usize) {
        loop {
            let bound = if self.plan.is_numbered() { ahead } else { ahead.min(1) };
            if self.calls.len().saturating_add(self.arrived.len()) >= bound {
                return;
            }
            let Some(mut request) = self.plan.next_request() else { return };
            let slack = Slack::with_reader();
            request.set_slack(slack.clone());
            self.calls.push((self.call)(request), slack);
        }
    }

    /// Takes a page in, and updates the plan by its links.
    fn learn(&mut self, fetched: Fetched<P>) {
        let Fetched { page, content, url, headers } = fetched;
        self.arrived.push_back(Ok(page));
        match self.plan.learn(&url, &headers, content) {
            Ok(true) => {}
            // The pages in flight are not those that this page links to.
            Ok(false) => self.calls = Calls::new(),
            Err(error) => self.fail(error),
        }
    }

    /// Ends the list with an error, after the pages that have arrived.
    fn fail(&mut self, error: Error) {
        self.plan.end();
        self.calls = Calls::new();
        let error = error.with_operation(self.plan.label());
        self.arrived.push_back(Err(error));
    }
}

impl<P> Calls<P> {
    fn new() -> Self {
        Self { futures: FuturesOrdered::new(), slacks: VecDeque::new() }
    }

    fn len(&self) -> usize {
        self.slacks.len()
    }

    fn is_empty(&self) -> bool {
        self.slacks.is_empty()
    }

    fn push(&mut self, call: Call<P>, slack: Slack) {
        self.futures.push_back(call);
        self.slacks.push_back(slack);
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Fetched<P>>>> {
        let polled = Pin::new(&mut self.futures).poll_next(context);
        if let Poll::Ready(Some(_)) = &polled {
            self.slacks.pop_front();
        }
        polled
    }

    /// From here on the reader polls nothing, until it [resumes](Self::resume).
    fn rest(&self) {
        if !self.is_empty() {
            let now = Instant::now();
            self.slacks.iter().for_each(|slack| slack.rest(now));
        }
    }

    fn resume(&self) {
        if !self.is_empty() {
            let now = Instant::now();
            self.slacks.iter().for_each(|slack| slack.resume(now));
        }
    }
}

/// Fetches and decodes one page.
async fn fetched<P>(
    request: Request,
    decode: Arc<Decode<P>>,
    fault: fn(&P) -> Option<Error>,
    hasher: RandomState,
) -> Result<Fetched<P>> {
    let called = call(request, Reading::Buffered).await;
    called.decode(
        |raw| {
            let (url, headers) = (raw.url.clone(), Arc::clone(&raw.headers));
            // Without a link the list ends here, whatever the content of the page.
            let content = match headers.contains_key(LINK) {
                true => content(raw.bytes(), &hasher),
                false => Content::Empty,
            };
            Ok(Fetched { page: decode(raw)?, content, url, headers })
        },
        |fetched| fault(&fetched.page),
    )
}

#[cfg(test)]
mod tests;
