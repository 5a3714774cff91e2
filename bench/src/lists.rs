//! The server's lists of many pages: comments of 1.6 KB, each with its own id.

use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, LINK};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::Full;

use crate::Result;
use crate::bodies::OWNER;

/// A number that occurs once in the comment, and is replaced by the id.
const PLACEHOLDER: u64 = 987_654_321;
const DEFAULT_PER_PAGE: u64 = 30;

/// The repository whose comments are a list of this many pages, each served after this time.
pub fn repository(pages: u64, delay: Duration) -> String {
    format!("list-{pages}-{}", delay.as_millis())
}

/// A page that a client requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    number: u64,
    per_page: u64,
    pages: u64,
    pub delay: Duration,
}

impl Page {
    /// Returns the page that the request is for; `None` if it is not for a list.
    pub fn requested<B>(request: &Request<B>) -> Option<Self> {
        let path =
            request.uri().path().strip_prefix("/repos/")?.strip_suffix("/issues/comments")?;
        let (pages, delay) = path.strip_prefix(OWNER)?.strip_prefix("/list-")?.split_once('-')?;
        let query = request.uri().query().unwrap_or_default();
        let value = |name: &str| {
            query
                .split('&')
                .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
        };
        Some(Self {
            number: value("page").unwrap_or(1),
            per_page: value("per_page").unwrap_or(DEFAULT_PER_PAGE),
            pages: pages.parse().ok()?,
            delay: Duration::from_millis(delay.parse().ok()?),
        })
    }

    fn ids(self) -> std::ops::Range<u64> {
        let first = 1 + (self.number.saturating_sub(1)) * self.per_page;
        first..first + self.per_page
    }

    /// The value of `Link`, as GitHub's; the last page has none.
    fn links(self, url: &str) -> Option<String> {
        let page = |number: u64, relation: &str| {
            format!("<{url}?per_page={}&page={number}>; rel=\"{relation}\"", self.per_page)
        };
        (self.number < self.pages)
            .then(|| format!("{}, {}", page(self.number + 1, "next"), page(self.pages, "last")))
    }
}

/// The text of a comment around its id.
pub struct Lists {
    before: String,
    after: String,
    headers: HeaderMap,
}

impl Lists {
    /// `comment` is the JSON of the comment that is repeated.
    pub fn new(comment: &[u8], headers: HeaderMap) -> Result<Self> {
        let mut comment: serde_json::Value = serde_json::from_slice(comment)?;
        comment["id"] = PLACEHOLDER.into();
        let comment = comment.to_string();
        let parts = comment.split_once(&PLACEHOLDER.to_string()).ok_or("no id")?;
        Ok(Self { before: parts.0.to_owned(), after: parts.1.to_owned(), headers })
    }

    pub fn response<B>(&self, page: Page, request: &Request<B>) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body(page).into()));
        *response.headers_mut() = self.headers.clone();
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        let url = format!("http://{}{}", host.unwrap_or_default(), request.uri().path());
        let links = page.links(&url).and_then(|links| HeaderValue::try_from(links).ok());
        if let Some(links) = links {
            response.headers_mut().insert(LINK, links);
        }
        response
    }

    fn body(&self, page: Page) -> String {
        let each = self.before.len() + self.after.len() + 21;
        let mut body = String::with_capacity(2 + page.per_page as usize * each);
        for id in page.ids() {
            body.push(if body.is_empty() { '[' } else { ',' });
            body.push_str(&self.before);
            body.push_str(&id.to_string());
            body.push_str(&self.after);
        }
        body.push(']');
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str) -> Request<()> {
        Request::builder().uri(uri).body(()).expect("a valid URI")
    }

    #[test]
    fn pages_are_read_from_the_url() {
        let repo = repository(100, Duration::from_millis(50));
        let path = format!("/repos/{OWNER}/{repo}/issues/comments");
        let page =
            |uri: &str| Page::requested(&request(uri)).map(|page| (page.number, page.per_page));
        assert_eq!(page(&path), Some((1, 30)));
        assert_eq!(page(&format!("{path}?per_page=10&page=7")), Some((7, 10)));
        assert_eq!(page(&format!("/repos/{OWNER}/Hello-World/issues/comments/1")), None);
        let page = Page::requested(&request(&path)).expect("a page");
        assert_eq!((page.pages, page.delay), (100, Duration::from_millis(50)));
    }

    #[test]
    fn all_pages_together_have_each_id_once() {
        let lists =
            Lists::new(br#"{"id":1,"user":{"id":1}}"#, HeaderMap::new()).expect("a comment");
        let mut ids = Vec::new();
        for number in 1..=3 {
            let page = Page { number, per_page: 4, pages: 3, delay: Duration::ZERO };
            let body: Vec<serde_json::Value> =
                serde_json::from_str(&lists.body(page)).expect("an array");
            ids.extend(body.iter().filter_map(|comment| comment["id"].as_u64()));
            assert_eq!(page.links("u").is_some(), number < 3);
        }
        assert_eq!(ids, (1..=12).collect::<Vec<_>>());
    }
}
