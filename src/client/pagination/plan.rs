//! The choice of the page of a list that is fetched next.
//!
//! The `Link` header of each page decides. If it numbers the pages and names the last one, pages are fetched
//! concurrently; each page that arrives is compared with the assumption.

use std::hash::{BuildHasher, RandomState};

use http::HeaderMap;
use url::Url;

use super::cycle_detector::CycleDetector;
use super::numbered::{NumberedPages, last_page};
use super::progress::{PageContent, ProgressGuard, no_progress};
use crate::client::Request;
use crate::error::{Error, ErrorKind, OperationName, Result};
use crate::headers::link::Links;

/// The order in which the pages of one list are fetched.
pub(super) struct PagePlan {
    request: Request,
    next_page: NextPage,
    cycle_detector: CycleDetector,
    progress: ProgressGuard,
    /// The hasher for the digests of pages.
    hasher: RandomState,
    /// Whether no page has arrived yet.
    is_first: bool,
    last_page: Option<u64>,
}

/// The next page to request.
enum NextPage {
    First,
    /// The page that the last one links to.
    Link(Url),
    /// All pages up to the last; `next` is the number of the next page to request, and `expected` of the next one to
    /// arrive.
    Numbers {
        pages: NumberedPages,
        next: u64,
        expected: u64,
    },
    /// The links of the one page in flight decide.
    Wait,
    End,
}

impl PagePlan {
    pub(super) fn new(request: Request) -> Self {
        Self {
            request,
            next_page: NextPage::First,
            cycle_detector: CycleDetector::default(),
            progress: ProgressGuard::default(),
            hasher: RandomState::new(),
            is_first: true,
            last_page: None,
        }
    }

    pub(super) fn name(&self) -> &OperationName {
        self.request.name()
    }

    pub(super) fn pages_ahead(&self) -> usize {
        self.request.pages_ahead()
    }

    /// Returns the number of the last page, as the latest page that arrived states it.
    pub(super) fn last_page(&self) -> Option<u64> {
        self.last_page
    }

    /// Returns whether more than one page can be requested at a time.
    pub(super) fn is_numbered(&self) -> bool {
        matches!(self.next_page, NextPage::Numbers { .. })
    }

    pub(super) fn end(&mut self) {
        self.next_page = NextPage::End;
    }

    /// Returns whether no page follows those that were requested.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.next_page, NextPage::End)
    }

    /// Returns the request for the next page, if it is known.
    pub(super) fn next_request(&mut self) -> Option<Request> {
        match std::mem::replace(&mut self.next_page, NextPage::Wait) {
            NextPage::First => Some(self.request.clone()),
            NextPage::Link(url) => Some(self.request.page(url)),
            NextPage::Numbers { pages, next, expected } if next <= pages.last => {
                let request = self.request.page(pages.url(next));
                // After the page with the greatest number, its own link decides.
                if let Some(next) = next.checked_add(1) {
                    self.next_page = NextPage::Numbers { pages, next, expected };
                }
                Some(request)
            }
            idle @ (NextPage::Numbers { .. } | NextPage::Wait | NextPage::End) => {
                self.next_page = idle;
                None
            }
        }
    }

    /// Returns the hasher for the digests of pages.
    pub(super) fn hasher(&self) -> &RandomState {
        &self.hasher
    }

    /// Updates the plan by the links of a page. Returns whether the pages in flight are still the next ones.
    pub(super) fn plan_next(
        &mut self,
        url: &Url,
        headers: &HeaderMap,
        content: PageContent,
    ) -> Result<bool> {
        self.cycle_detector.insert(self.hasher.hash_one(url.as_str()));
        let makes_progress = self.progress.add(content);
        let is_first = std::mem::take(&mut self.is_first);
        let links = self.links(url, headers)?;
        self.last_page = last_page(url, &links, is_first);
        if links.next.is_some() && !makes_progress {
            return Err(no_progress());
        }
        let Some(url) = links.next else {
            // Pages beyond the end were requested if the list became shorter.
            self.next_page = NextPage::End;
            return Ok(false);
        };
        let numbered = NumberedPages::of(&url, links.last.as_ref());
        if let NextPage::Numbers { pages, next, expected } = &mut self.next_page {
            let following = expected.checked_add(1).filter(|following| following < next);
            if let Some(following) = following.filter(|number| pages.url(*number) == url) {
                // The assumption holds. The list can have become longer meanwhile.
                *expected = following;
                if let Some((_, now)) = numbered {
                    pages.last = now.last.max(next.saturating_sub(1));
                }
                return Ok(true);
            }
        }
        self.next_page = match numbered {
            Some((next, pages)) => NextPage::Numbers { pages, next, expected: next },
            None => NextPage::Link(url),
        };
        Ok(false)
    }

    /// Returns the links of a page, at the addresses where this client fetches them.
    fn links(&self, url: &Url, headers: &HeaderMap) -> Result<Links> {
        let links = Links::read(headers, url).map_err(|error| {
            Error::new(ErrorKind::Pagination, "the link to the next page is not a valid URL")
                .with_source(error)
        })?;
        let endpoints = self.request.endpoints();
        let next = links.next.map(|next| endpoints.resolve_page(&next, url)).transpose()?;
        let last = links.last.and_then(|last| endpoints.resolve_page(&last, url).ok());
        if next
            .as_ref()
            .is_some_and(|next| self.cycle_detector.contains(self.hasher.hash_one(next.as_str())))
        {
            return Err(Error::new(
                ErrorKind::Pagination,
                "the link to the next page points to a page that was already fetched",
            )
            .with_advice("pagination was stopped because it would not end"));
        }
        Ok(Links { next, last })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use http::Method;
    use http::header::LINK;
    use proptest::prelude::*;

    use super::*;
    use crate::client::Client;

    fn number() -> impl Strategy<Value = u64> {
        prop_oneof![0_u64..4, (0_u64..4).prop_map(|less| u64::MAX - less), any::<u64>()]
    }

    proptest! {
        /// Whatever the numbers of pages are, none is requested twice, and nothing overflows.
        #[test]
        fn extreme_numbers_ask_for_no_page_twice(
            links in proptest::collection::vec((number(), number()), 1..6),
            ahead in 1_usize..6,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let _entered = runtime.enter();
            let client = Client::builder().token("t0ken").build().unwrap();
            let mut plan = PagePlan::new(client.request(Method::GET, "/list"));
            let (mut page, mut flight) = (None, Vec::new());
            plan.next_request();
            for (next, last) in links {
                let from = page.take().unwrap_or_else(|| url(0, "first"));
                let link = format!(
                    "<{}>; rel=\"next\", <{}>; rel=\"last\"",
                    url(next, "page"), url(last, "page"),
                );
                let headers = HeaderMap::from_iter([(LINK, link.parse().unwrap())]);
                match plan.plan_next(&from, &headers, PageContent::Empty) {
                    Ok(true) => {}
                    // The requested pages are not the next ones.
                    Ok(false) => flight.clear(),
                    // The page was visited already.
                    Err(_) => break,
                }
                while flight.len() < ahead {
                    let Some(request) = plan.next_request() else { break };
                    flight.push(asked(request));
                }
                let unique: HashSet<_> = flight.iter().collect();
                prop_assert_eq!(unique.len(), flight.len(), "{:?}", flight);
                if flight.is_empty() {
                    break;
                }
                page = Some(flight.remove(0));
            }
        }
    }

    fn asked(request: Request) -> Url {
        let (call, now) = (*request.into_call(), tokio::time::Instant::now());
        let context = crate::pipeline::call::CallContext::new(call, now);
        context.unwrap().spec.url.into_url()
    }

    fn url(number: u64, name: &str) -> Url {
        format!("https://api.github.com/list?{name}={number}").parse().unwrap()
    }

    #[test]
    fn the_page_with_the_greatest_number_is_asked_for_once() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _entered = runtime.enter();
        let client = Client::builder().token("t0ken").build().unwrap();
        let mut plan = PagePlan::new(client.request(Method::GET, "/list"));
        plan.next_request();
        let greatest = url(u64::MAX, "page");
        let link = format!("<{greatest}>; rel=\"next\", <{greatest}>; rel=\"last\"");
        let headers = HeaderMap::from_iter([(LINK, link.parse().unwrap())]);
        plan.plan_next(&url(1, "page"), &headers, PageContent::Empty).unwrap();
        assert_eq!(asked(plan.next_request().unwrap()), greatest);
        assert!(plan.next_request().is_none());
        // Its own link decides, and leads back to it.
        assert!(plan.plan_next(&greatest, &headers, PageContent::Empty).is_err());
    }
}
