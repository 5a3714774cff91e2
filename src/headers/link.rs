//! Parses the `Link` header of a page (RFC 8288).

use http::HeaderMap;
use http::header::LINK;
use url::Url;

use crate::error::{Error, ErrorKind, Result};

/// The links of a page.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Links {
    pub(crate) next: Option<Url>,
    pub(crate) last: Option<Url>,
}

/// Pages whose URLs differ only in their number.
#[derive(Debug, PartialEq)]
pub(crate) struct NumberedPages {
    /// One of the pages.
    url: Url,
    pub(crate) last: u64,
}

impl Links {
    /// Parses the header; a relative URL is resolved against the page's own.
    ///
    /// An invalid next link is an error: if the client ignored it, the list would end early without notice.
    pub(crate) fn read(headers: &HeaderMap, page: &Url) -> Result<Self> {
        let mut links = Self::default();
        for value in headers.get_all(LINK) {
            let text = String::from_utf8_lossy(value.as_bytes());
            for (target, relation) in LinkValues(&text) {
                let place = match relation {
                    LinkRel::Next => &mut links.next,
                    LinkRel::Last => &mut links.last,
                    LinkRel::Other => continue,
                };
                match page.join(target) {
                    Ok(url) => *place = Some(url),
                    Err(error) if relation == LinkRel::Next => {
                        return Err(Error::new(
                            ErrorKind::Pagination,
                            "the link to the next page is not a valid URL",
                        )
                        .with_source(error));
                    }
                    Err(_) => {}
                }
            }
        }
        Ok(links)
    }
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

#[derive(Clone, Copy, Debug, PartialEq)]
enum LinkRel {
    Next,
    Last,
    Other,
}

/// The entries of a header value: `<url>; rel="next", <url>; rel="last"`.
struct LinkValues<'a>(&'a str);

impl<'a> Iterator for LinkValues<'a> {
    type Item = (&'a str, LinkRel);

    fn next(&mut self) -> Option<Self::Item> {
        let (_, rest) = self.0.split_once('<')?;
        let (target, rest) = rest.split_once('>')?;
        let end = end_of_entry(rest);
        self.0 = rest.get(end..).unwrap_or_default();
        Some((target.trim(), relation(&rest[..end])))
    }
}

/// Returns the index of the comma that ends an entry; a comma in quotes does not.
fn end_of_entry(text: &str) -> usize {
    let mut quoted = false;
    let end = text.bytes().position(|byte| {
        quoted ^= byte == b'"';
        byte == b',' && !quoted
    });
    end.unwrap_or(text.len())
}

fn relation(parameters: &str) -> LinkRel {
    let value = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let found = name.trim().eq_ignore_ascii_case("rel");
        found.then(|| value.trim().trim_matches('"'))
    });
    let relations = value.unwrap_or_default();
    let has = |name: &str| {
        let mut names = relations.split_ascii_whitespace();
        names.any(|found| found.eq_ignore_ascii_case(name))
    };
    if has("next") {
        LinkRel::Next
    } else if has("last") {
        LinkRel::Last
    } else {
        LinkRel::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: &str) -> Links {
        let mut headers = HeaderMap::new();
        headers.insert(LINK, header.parse().unwrap());
        let page = "https://api.github.com/list".parse().unwrap();
        Links::read(&headers, &page).unwrap()
    }

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn a_header_of_github_is_read() {
        let links = read(
            r#"<https://api.github.com/x?page=1>; rel="prev", <https://api.github.com/x?page=3>; rel="next", <https://api.github.com/x?page=9>; rel="last""#,
        );
        assert_eq!(links.next, Some(url("https://api.github.com/x?page=3")));
        assert_eq!(links.last, Some(url("https://api.github.com/x?page=9")));
    }

    #[test]
    fn odd_but_valid_headers_are_read() {
        for header in [
            "<https://api.github.com/x?q=a,b;c&page=2>; title=\"a, <b>\"; REL=next",
            "<https://api.github.com/x?q=a,b;c&page=2>;rel=\"prefetch Next\"",
            "<https://api.github.com/y>; rel=\"prev\"  ,<x?q=a,b;c&page=2> ; rel=\"next\"",
        ] {
            let next = read(header).next;
            let expected = url("https://api.github.com/x?q=a,b;c&page=2");
            assert_eq!(next, Some(expected), "{header}");
        }
        for header in ["", "nonsense", "<unclosed", "<https://a/>", "<https://a/>; rel=prev"] {
            assert_eq!(read(header), Links::default(), "{header}");
        }
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
