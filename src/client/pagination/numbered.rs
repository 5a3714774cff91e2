//! The page numbers in the URLs of a list.

use url::Url;

use crate::headers::link::Links;

/// Pages whose URLs differ only in their number.
#[derive(Debug, PartialEq)]
pub(crate) struct NumberedPages {
    /// One of the pages.
    url: Url,
    pub(crate) last: u64,
}

impl NumberedPages {
    /// Returns the number of the next page and the pages from there on, if both links number their pages and are equal
    /// otherwise.
    pub(crate) fn of(next: &Url, last: Option<&Url>) -> Option<(u64, Self)> {
        let last = last?;
        let (first, end) = (number(next)?, number(last)?);
        if end < first || has_cursor(next) || with_number(next, 0) != with_number(last, 0) {
            return None;
        }
        Some((first, Self { url: next.clone(), last: end }))
    }

    /// Returns the URL of the page with this number.
    pub(crate) fn url(&self, number: u64) -> Url {
        with_number(&self.url, number)
    }
}

/// The position of a page in its list, according to its URL.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PagePosition {
    /// Whether there are earlier pages.
    pub(crate) is_later: bool,
    pub(crate) has_cursor: bool,
    /// The page number in the URL.
    pub(crate) number: Option<u64>,
}

impl PagePosition {
    pub(crate) fn of(url: &Url) -> Self {
        let has_cursor = has_cursor(url);
        let mut numbers = parts(url).filter_map(|part| part.strip_prefix("page="));
        // GitHub returns the first page for a value that is not a number.
        let is_later = numbers.any(|number| {
            let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            is_number && number.parse::<u64>().map_or(true, |number| number > 1)
        });
        Self { is_later: is_later || has_cursor, has_cursor, number: number(url) }
    }
}

/// Returns the number of a list's last page, as far as a page with this URL and these links states it. `is_first` is
/// whether it is the first page that was requested.
///
/// The relation `last` has the number. Without it and without a further page, the page itself is the last. `None` if the
/// links have no numbers, as with a cursor.
pub(crate) fn last_page(url: &Url, links: &Links, is_first: bool) -> Option<u64> {
    let numbered = |url: &Url| number(url).filter(|number| *number > 0 && !has_cursor(url));
    match (&links.last, &links.next) {
        (Some(last), _) => numbered(last),
        (None, Some(_)) => None,
        // A later page without a number is one of a list with a cursor of another name, such as `since`.
        (None, None) => {
            numbered(url).or_else(|| (is_first && !PagePosition::of(url).is_later).then_some(1))
        }
    }
}

/// Returns the `page` of a query, if there is exactly one.
fn number(url: &Url) -> Option<u64> {
    let mut numbers = parts(url).filter_map(|part| part.strip_prefix("page="));
    let number = numbers.next()?.parse().ok()?;
    numbers.next().is_none().then_some(number)
}

fn with_number(url: &Url, number: u64) -> Url {
    let query: Vec<_> = parts(url)
        .map(|part| match part.strip_prefix("page=") {
            Some(_) => format!("page={number}"),
            None => part.to_owned(),
        })
        .collect();
    let mut url = url.clone();
    url.set_query(Some(&query.join("&")));
    url
}

/// Returns whether the URL has a cursor. A cursor changes from page to page, whatever the page number beside it.
fn has_cursor(url: &Url) -> bool {
    let cursors = ["after=", "before=", "cursor="];
    parts(url).any(|part| cursors.iter().any(|cursor| part.starts_with(cursor)))
}

fn parts(url: &Url) -> impl Iterator<Item = &str> {
    url.query().unwrap_or_default().split('&')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn only_pages_that_differ_in_their_number_are_numbered() {
        let next = url("https://a/x?per_page=5&page=2");
        for (last, expected) in [
            ("https://a/x?per_page=5&page=7", Some(7)),
            ("https://a/x?per_page=5&page=2", Some(2)),
            ("https://a/x?per_page=5&page=1", None),
            ("https://a/x?per_page=6&page=7", None),
            ("https://a/y?per_page=5&page=7", None),
            ("https://a/x?per_page=5", None),
            ("https://a/x?per_page=5&page=7&page=8", None),
        ] {
            let numbered = NumberedPages::of(&next, Some(&url(last)));
            assert_eq!(numbered.map(|(_, pages)| pages.last), expected, "{last}");
        }
        let cursor = url("https://a/x?after=abc&page=2");
        assert_eq!(NumberedPages::of(&cursor, Some(&cursor)), None);
    }

    #[test]
    fn the_last_page_is_the_one_that_the_links_number_or_the_page_itself() {
        const NUMBERED: &str = "https://a/x?page=7&per_page=5";
        let next = Some("https://a/x?page=4");
        for (page, next, last, expected) in [
            ("?page=3", next, Some(NUMBERED), [Some(7); 2]),
            ("", next, Some(NUMBERED), [Some(7); 2]),
            // As GitHub states it, also if the list has become shorter.
            ("?page=9", None, Some(NUMBERED), [Some(7); 2]),
            ("?page=3", next, None, [None; 2]),
            ("?page=3", next, Some("https://a/x?after=abc"), [None; 2]),
            ("?page=3", next, Some("https://a/x?after=abc&page=7"), [None; 2]),
            ("?page=3", next, Some("https://a/x?page=0"), [None; 2]),
            ("?page=3", next, Some("https://a/x?page=7&page=8"), [None; 2]),
            ("?page=3", None, None, [Some(3); 2]),
            ("?page=18446744073709551615", None, None, [Some(u64::MAX); 2]),
            ("?page=18446744073709551616", None, None, [None; 2]),
            ("?page=3&after=abc", None, None, [None; 2]),
            ("?after=abc", None, None, [None; 2]),
            ("?page=2&page=3", None, None, [None; 2]),
            ("", None, None, [Some(1), None]),
            ("?per_page=5", None, None, [Some(1), None]),
            ("?page=0", None, None, [Some(1), None]),
            ("?page=x", None, None, [Some(1), None]),
            ("?since=30", None, None, [Some(1), None]),
        ] {
            let links = Links { next: next.map(url), last: last.map(url) };
            let page = url(&format!("https://a/x{page}"));
            let found = [true, false].map(|is_first| last_page(&page, &links, is_first));
            assert_eq!(found, expected, "{page} {links:?}");
        }
    }

    #[test]
    fn a_later_page_is_recognized_by_its_url() {
        for (query, is_later, has_cursor) in [
            ("", false, false),
            ("?page=1&per_page=5", false, false),
            ("?page=0", false, false),
            ("?page=", false, false),
            ("?page=x", false, false),
            ("?page=-3", false, false),
            ("?per_page=7", false, false),
            ("?page=2", true, false),
            ("?page=99999999999999999999999", true, false),
            ("?after=abc", true, true),
            ("?per_page=5&before=abc", true, true),
            ("?cursor=abc&page=1", true, true),
        ] {
            let place = PagePosition::of(&url(&format!("https://a/x{query}")));
            assert_eq!((place.is_later, place.has_cursor), (is_later, has_cursor), "{query}");
        }
    }
}
