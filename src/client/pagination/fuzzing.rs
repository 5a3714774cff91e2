//! Entry points for fuzzers.
#![allow(clippy::expect_used, clippy::panic, reason = "a fuzz target fails by a panic")]

use http::header::LINK;
use url::Url;

use super::numbered::{NumberedPages, PagePosition, last_page};
use crate::fuzzing::{first_line, headers};
use crate::headers::link::Links;

/// The `Link` headers of a page: the query of its URL, and the values.
pub(crate) fn link(input: &[u8]) {
    let (query, values) = first_line(input);
    let Ok(mut page) = Url::parse("https://api.github.com/repositories/1/issues") else { return };
    page.set_query(std::str::from_utf8(query).ok());
    let Ok(links) = Links::read(&headers(values, &[LINK]), &page) else { return };
    for is_first in [true, false] {
        assert_ne!(last_page(&page, &links, is_first), Some(0));
    }
    let Some(next) = links.next else { return };
    let _ = PagePosition::of(&next);
    if let Some((first, numbered)) = NumberedPages::of(&next, links.last.as_ref()) {
        assert!(first <= numbered.last, "{first} of {}", numbered.last);
        // The URL of a number has this number, and belongs to the same pages.
        let (number, again) =
            NumberedPages::of(&numbered.url(first), Some(&numbered.url(numbered.last)))
                .expect("they are numbered");
        assert_eq!((number, again.last), (first, numbered.last));
    }
}
