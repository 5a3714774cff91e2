//! Decides which page of a list is fetched next.
//!
//! The `Link` header of each page decides. If it numbers the pages and names the last one, pages are
//! fetched concurrently; each page that arrives is compared with what was assumed.

use http::HeaderMap;
use url::Url;

use super::link::{Links, Numbered};
use super::visited::Visited;
use crate::error::{Error, ErrorKind, Result};
use crate::operation::Label;
use crate::request::Request;

/// The course through the pages of one list.
pub(super) struct Plan {
    request: Request,
    step: Step,
    visited: Visited,
}

/// Which page to ask for next.
enum Step {
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

impl Plan {
    pub(super) fn new(request: Request) -> Self {
        Self { request, step: Step::First, visited: Visited::default() }
    }

    pub(super) fn label(&self) -> &Label {
        self.request.label()
    }

    pub(super) fn pages_ahead(&self) -> usize {
        self.request.pages_ahead()
    }

    /// Whether more than one page can be asked for at a time.
    pub(super) fn is_numbered(&self) -> bool {
        matches!(self.step, Step::Numbers { .. })
    }

    pub(super) fn end(&mut self) {
        self.step = Step::End;
    }

    /// Returns the request for the next page, if it is known.
    pub(super) fn next_request(&mut self) -> Option<Request> {
        match std::mem::replace(&mut self.step, Step::Wait) {
            Step::First => Some(self.request.clone()),
            Step::Link(url) => Some(self.request.page(url)),
            Step::Numbers { pages, next, expected } => {
                let request = (next <= pages.last).then(|| self.request.page(pages.url(next)));
                let next = next.saturating_add(u64::from(request.is_some()));
                self.step = Step::Numbers { pages, next, expected };
                request
            }
            idle @ (Step::Wait | Step::End) => {
                self.step = idle;
                None
            }
        }
    }

    /// Plans by the links of a page. Returns whether the pages in flight are still those to come.
    pub(super) fn learn(&mut self, url: &Url, headers: &HeaderMap) -> Result<bool> {
        self.visited.insert(url);
        let links = self.links(url, headers)?;
        let Some(url) = links.next else {
            // Pages beyond the end were asked for if the list became shorter.
            self.step = Step::End;
            return Ok(false);
        };
        let numbered = Numbered::of(&url, links.last.as_ref());
        if let Step::Numbers { pages, next, expected } = &mut self.step {
            *expected += 1;
            if *expected < *next && pages.url(*expected) == url {
                // As assumed. The list may have become longer meanwhile.
                if let Some((_, now)) = numbered {
                    pages.last = now.last.max(*next - 1);
                }
                return Ok(true);
            }
        }
        self.step = match numbered {
            Some((next, pages)) => Step::Numbers { pages, next, expected: next },
            None => Step::Link(url),
        };
        Ok(false)
    }

    /// The links of a page, at the addresses where this client fetches them.
    fn links(&self, url: &Url, headers: &HeaderMap) -> Result<Links> {
        let links = Links::read(headers, url)?;
        let origins = &self.request.client().inner().origins;
        let next = links.next.map(|next| origins.page(&next, url)).transpose()?;
        let last = links.last.and_then(|last| origins.page(&last, url).ok());
        if next.as_ref().is_some_and(|next| self.visited.contains(next)) {
            return Err(Error::new(
                ErrorKind::Pagination,
                "the link to the next page leads to a page that was fetched already",
            )
            .with_advice("the list was left there, since it would never end"));
        }
        Ok(Links { next, last })
    }
}
