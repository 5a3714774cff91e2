//! Fetches the pages of a list in order, a bounded number of them ahead.
//!
//! Nothing is spawned: the calls make progress while the stream is polled. The `Link` header of
//! each page decides what comes next. Where it numbers the pages and names the last one, pages are
//! fetched concurrently; what they say in turn is checked against what was assumed.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_util::stream::FuturesOrdered;
use tokio::time::Instant;
use url::Url;

use super::link::{Links, Numbered};
use super::visited::Visited;
use crate::call::{Reading, call};
use crate::deadline::Slack;
use crate::error::{Error, ErrorKind, Result};
use crate::operation::Label;
use crate::request::Request;
use crate::response::Raw;

type Call = Pin<Box<dyn Future<Output = Result<Raw>> + Send>>;

/// The pages of one list.
pub(super) struct Fetch {
    request: Request,
    plan: Plan,
    calls: FuturesOrdered<Call>,
    /// Pages that have arrived and were not asked for yet; an error is the last.
    arrived: VecDeque<Result<Raw>>,
    visited: Visited,
    /// The time in which nobody polled, which is not held against the calls.
    slack: Slack,
    resting: Option<Instant>,
}

/// Which page to ask for next.
enum Plan {
    First,
    /// The page that the last one links to.
    Link(Url),
    /// All pages up to the last; `next` is the number of the next one to ask for, and
    /// `expected` of the next one to arrive.
    Numbers {
        pages: Numbered,
        next: u64,
        expected: u64,
    },
    /// The one page in flight will tell.
    Wait,
    End,
}

impl Fetch {
    pub(super) fn new(mut request: Request) -> Self {
        let slack = Slack::default();
        request.set_slack(slack.clone());
        Self {
            request,
            plan: Plan::First,
            calls: FuturesOrdered::new(),
            arrived: VecDeque::new(),
            visited: Visited::default(),
            slack,
            resting: None,
        }
    }

    pub(super) fn label(&self) -> &Label {
        self.request.label()
    }

    /// The next page; an error ends the list.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Raw>>> {
        self.wake();
        // Whoever waits needs one page, even if none is to be fetched ahead.
        self.advance(context, self.request.pages_ahead().max(1));
        match self.arrived.pop_front() {
            Some(Err(error)) => {
                self.end();
                Poll::Ready(Some(Err(error)))
            }
            Some(Ok(page)) => {
                self.advance(context, self.request.pages_ahead());
                self.rest();
                Poll::Ready(Some(Ok(page)))
            }
            None if self.calls.is_empty() => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    /// Lets the pages ahead make progress.
    pub(super) fn go_on(&mut self, context: &mut Context<'_>) {
        if !self.calls.is_empty() {
            self.wake();
            self.advance(context, self.request.pages_ahead());
            self.rest();
        }
    }

    /// Drops what is under way.
    pub(super) fn end(&mut self) {
        self.plan = Plan::End;
        self.calls = FuturesOrdered::new();
        self.arrived.clear();
    }

    /// Starts calls and takes in answers, until nothing more can be done now.
    fn advance(&mut self, context: &mut Context<'_>, ahead: usize) {
        loop {
            self.start(ahead);
            match Pin::new(&mut self.calls).poll_next(context) {
                Poll::Ready(Some(Ok(page))) => self.learn(page),
                Poll::Ready(Some(Err(error))) => self.fail(error),
                Poll::Ready(None) | Poll::Pending => return,
            }
        }
    }

    /// Starts the calls that the plan and the bound allow.
    fn start(&mut self, ahead: usize) {
        loop {
            let bound = match self.plan {
                Plan::Numbers { .. } => ahead,
                _ => ahead.min(1),
            };
            if self.calls.len() + self.arrived.len() >= bound {
                return;
            }
            let request = match std::mem::replace(&mut self.plan, Plan::Wait) {
                Plan::First => self.request.clone(),
                Plan::Link(url) => self.request.page(url),
                Plan::Numbers { pages, next, expected } => {
                    let request = (next <= pages.last).then(|| self.request.page(pages.url(next)));
                    let next = next.saturating_add(u64::from(request.is_some()));
                    self.plan = Plan::Numbers { pages, next, expected };
                    match request {
                        Some(request) => request,
                        None => return,
                    }
                }
                idle @ (Plan::Wait | Plan::End) => {
                    self.plan = idle;
                    return;
                }
            };
            self.calls.push_back(Box::pin(async { call(request, Reading::Buffered).await.end() }));
        }
    }

    /// Takes a page in, and plans by its links.
    fn learn(&mut self, page: Raw) {
        self.visited.insert(&page.url);
        let links = self.links(&page);
        self.arrived.push_back(Ok(page));
        match links {
            Ok(links) => self.plan_by(links),
            Err(error) => self.fail(error),
        }
    }

    fn links(&self, page: &Raw) -> Result<Links> {
        let links = Links::read(&page.headers, &page.url)?;
        if let Some(next) = &links.next {
            let origins = &self.request.client().inner().origins;
            origins.require_trusted(next, "the link to the next page")?;
            if self.visited.contains(next) {
                return Err(Error::new(
                    ErrorKind::Pagination,
                    "the link to the next page leads to a page that was fetched already",
                )
                .with_advice("the list was left there, since it would never end"));
            }
        }
        Ok(links)
    }

    fn plan_by(&mut self, links: Links) {
        let Some(url) = links.next else {
            // Pages beyond the end were asked for if the list became shorter.
            self.plan = Plan::End;
            self.calls = FuturesOrdered::new();
            return;
        };
        let numbered = Numbered::of(&url, links.last.as_ref());
        if let Plan::Numbers { pages, next, expected } = &mut self.plan {
            *expected += 1;
            if *expected < *next && pages.url(*expected) == url {
                // As assumed. The list may have become longer meanwhile.
                if let Some((_, now)) = numbered {
                    pages.last = now.last.max(*next - 1);
                }
                return;
            }
        }
        // Whatever is in flight is not what this page links to.
        self.calls = FuturesOrdered::new();
        self.plan = match numbered {
            Some((next, pages)) => Plan::Numbers { pages, next, expected: next },
            None => Plan::Link(url),
        };
    }

    /// Ends the list with an error, after the pages that have arrived.
    fn fail(&mut self, error: Error) {
        self.plan = Plan::End;
        self.calls = FuturesOrdered::new();
        let error = error.with_operation(self.request.label());
        self.arrived.push_back(Err(error));
    }

    /// From here on nobody polls, until [`wake`](Self::wake).
    fn rest(&mut self) {
        self.resting = (!self.calls.is_empty()).then(Instant::now);
    }

    fn wake(&mut self) {
        if let Some(since) = self.resting.take() {
            self.slack.add(since.elapsed());
        }
    }
}
