//! The `Link` header of a page (RFC 8288).

use http::HeaderMap;
use http::header::LINK;
use url::Url;

/// The links of a page.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Links {
    pub(crate) next: Option<Url>,
    pub(crate) last: Option<Url>,
}

impl Links {
    /// Parses the header; a relative URL is resolved against the page's own.
    ///
    /// An invalid next link is an error: if the client ignored it, the list would end early without notice.
    pub(crate) fn read(headers: &HeaderMap, page: &Url) -> Result<Self, url::ParseError> {
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
                        return Err(error);
                    }
                    Err(_) => {}
                }
            }
        }
        Ok(links)
    }
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
}
