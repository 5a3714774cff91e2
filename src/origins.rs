//! Which servers a client calls and trusts: the one place that says so.
//!
//! Everything that may send a token asks [`Origins::trusts`]: calls, redirects and page links.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use url::Url;

use crate::error::{Error, ErrorKind, Result};

/// Where GitHub's own API lives.
pub(crate) const GITHUB: &str = "https://api.github.com";

/// The addresses of one GitHub: github.com, a data residency, or an Enterprise Server.
#[derive(Debug)]
pub(crate) struct Origins {
    api: Base,
    upload: Base,
    graphql: Url,
    /// The API's server, without an Enterprise Server's `/api/v3`.
    host: Url,
    /// Where people sign in.
    web: Url,
}

/// A base URL, and the same as text without its last `/`.
#[derive(Debug)]
struct Base {
    url: Url,
    prefix: String,
}

impl Origins {
    /// Reads the base URL and derives from it what is not given.
    pub(crate) fn new(base: &str, upload: Option<&str>) -> Result<Self> {
        let api = Base::parse("base_url", base)?;
        let upload = match upload {
            Some(upload) => Base::parse("upload_url", upload)?,
            None => Base::parse("upload_url", &derived_upload(&api))?,
        };
        let graphql = derived_graphql(&api)?;
        let host = match api.prefix.strip_suffix("/api/v3") {
            Some(host) => Base::parse("base_url", host)?.url,
            None => api.url.clone(),
        };
        let web = derived_web(&host);
        Ok(Self { api, upload, graphql, host, web })
    }

    /// The API's address.
    pub(crate) fn api(&self) -> &Url {
        &self.api.url
    }

    /// The address for uploads.
    pub(crate) fn upload(&self) -> &Url {
        &self.upload.url
    }

    /// The address of an operation: the API's, unless the document gives the operation a
    /// server of its own. That is where uploads go, or, of an Enterprise Server, the host
    /// itself, whose management API is not below `/api/v3`.
    pub(crate) fn of(&self, server: Option<&str>) -> &Url {
        match server {
            None => self.api(),
            Some(server) if server.contains("uploads") => self.upload(),
            Some(_) => &self.host,
        }
    }

    /// The address of GitHub's web pages, where OAuth takes place. No token goes there.
    pub(crate) fn web(&self) -> &Url {
        &self.web
    }

    /// The address of the GraphQL API.
    pub(crate) fn graphql(&self) -> &Url {
        &self.graphql
    }

    /// Whether the token may go to this URL: it has the scheme, host and port of the API
    /// or of the uploads.
    pub(crate) fn trusts(&self, url: &Url) -> bool {
        same_origin(&self.api.url, url) || same_origin(&self.upload.url, url)
    }

    /// Refuses a URL to which the token may not go.
    pub(crate) fn require_trusted(&self, url: &Url, what: &str) -> Result<()> {
        if self.trusts(url) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::UntrustedUrl,
            format!(
                "{what} leads to {}, which is not the GitHub that this client calls ({})",
                origin_of(url),
                origin_of(&self.api.url),
            ),
        )
        .with_advice("the request was not sent, and no token left; check the client's base_url"))
    }

    /// The address at which this client fetches the page that `link` names, on a page from `from`.
    ///
    /// A proxy in front of an Enterprise Server answers with links to the server's public name, and one in front of
    /// github.com with links to `api.github.com`. The path and query of such a link are fetched at the API's own
    /// address, so that no credential goes to another host. If the API is below a path at the proxy, that path is put
    /// before a path of GitHub's own. A user name, a password and a fragment are left out.
    ///
    /// # Errors
    /// If the link is not HTTP or leaves the API's base path, or if the page that has it came from
    /// another server.
    pub(crate) fn page(&self, link: &Url, from: &Url) -> Result<Url> {
        const WHAT: &str = "the link to the next page";
        if !matches!(link.scheme(), "http" | "https") || !self.trusts(from) {
            self.require_trusted(link, WHAT)?;
        }
        let is_upload = same_origin(&self.upload.url, link) && !same_origin(&self.api.url, link)
            || is_githubs(link, "uploads.");
        let base = if is_upload { &self.upload.url } else { &self.api.url };
        let mut page = base.clone();
        match self.behind_gateway(base, link) {
            Some(path) => page.set_path(&path),
            None => page.set_path(link.path()),
        }
        page.set_query(link.query());
        if self.contains(&page) || !self.contains(from) {
            return Ok(page);
        }
        let base = base.path();
        Err(Error::new(
            ErrorKind::UntrustedUrl,
            format!("{WHAT} leads out of {base}, where this client has its API"),
        )
        .with_advice(
            "the request was not sent: a proxy between has to rewrite Link headers to its own address and path; \
             without one, check the client's base_url",
        ))
    }

    /// The path at which a gateway has what GitHub itself names by `link`; `None` if the link is not of GitHub's own
    /// address, or the gateway has GitHub's paths.
    fn behind_gateway(&self, base: &Url, link: &Url) -> Option<String> {
        if self.trusts(link) {
            return None;
        }
        let below = base.path().trim_end_matches('/');
        if is_githubs(link, "api.") || is_githubs(link, "uploads.") {
            return Some(format!("{below}{}", link.path()));
        }
        // An Enterprise Server, whose public name is not known, has its API at a path that is.
        let (gateway, root) = ["/api/v3", "/api/uploads"]
            .into_iter()
            .find_map(|root| Some((below.strip_suffix(root)?, root)))?;
        let rest = link.path().strip_prefix(root)?;
        rest.starts_with('/').then(|| format!("{gateway}{root}{rest}"))
    }

    /// Whether the path of `url` lies below that of the server it goes to.
    ///
    /// `..` in a path given by hand could leave `/api/v3` otherwise.
    pub(crate) fn contains(&self, url: &Url) -> bool {
        [&self.api, &self.upload].iter().any(|base| {
            let below = base.url.path().trim_end_matches('/');
            same_origin(&base.url, url)
                && url.path().strip_prefix(below).is_some_and(|rest| {
                    (rest.is_empty() || rest.starts_with('/'))
                        && (below.is_empty() || !has_hidden_dots(rest))
                })
        })
    }
}

/// Whether a path has `.` or `..` between encoded slashes or backslashes, such as `/..%2Fadmin`. `Url`
/// resolves what stands between plain slashes; a server that decodes first would resolve these as well.
fn has_hidden_dots(path: &str) -> bool {
    // A server can decode more than once, but not for ever.
    const MAX_DECODED: usize = 4;
    let mut path = Cow::Borrowed(path);
    for _ in 0..MAX_DECODED {
        let decoded = percent_decode_str(&path).decode_utf8_lossy().into_owned();
        if decoded == path {
            return false;
        }
        if decoded.split(['/', '\\']).any(|segment| matches!(segment, "." | "..")) {
            return true;
        }
        path = Cow::Owned(decoded);
    }
    // What is encoded that often has no other purpose.
    true
}

impl Base {
    fn parse(setting: &str, text: &str) -> Result<Self> {
        let invalid = |reason: &str| {
            Error::new(ErrorKind::Configuration, format!("{setting} is not usable: {reason}"))
                .with_advice(
                    "give an address such as https://api.github.com, \
                 https://api.SUBDOMAIN.ghe.com or https://HOST/api/v3",
                )
        };
        // The text is not repeated: an address may carry a password.
        let url = Url::parse(text.trim()).map_err(|error| invalid(&error.to_string()))?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(invalid("its scheme is neither https nor http"));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(invalid("it names no host"));
        }
        if has_credentials(&url) {
            return Err(invalid(
                "it carries a user name or password; give the token to the builder",
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(invalid("it has a query or a fragment"));
        }
        let prefix = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { url, prefix })
    }
}

/// Whether two URLs share scheme, host and port (RFC 6454).
pub(crate) fn same_origin(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host_str() == other.host_str()
        && one.port_or_known_default() == other.port_or_known_default()
}

/// Whether the URL carries a user name or a password.
pub(crate) fn has_credentials(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// The URL's scheme, host and port, for messages: no path and no query.
pub(crate) fn origin_of(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// Whether the URL leads to github.com or a data residency, at the host that begins so.
fn is_githubs(url: &Url, begin: &str) -> bool {
    let rest = url.host_str().and_then(|host| host.strip_prefix(begin));
    url.port().is_none()
        && rest.is_some_and(|rest| rest == "github.com" || rest.ends_with(".ghe.com"))
}

/// Uploads have a host of their own on github.com and on data residency
/// (`uploads.`), and a path of their own on an Enterprise Server (`/api/uploads`).
fn derived_upload(api: &Base) -> String {
    let host = api.url.host_str().unwrap_or_default();
    if api.url.path() == "/"
        && (host == "api.github.com" || host.ends_with(".ghe.com"))
        && let Some(rest) = host.strip_prefix("api.")
    {
        return api.prefix.replacen(host, &format!("uploads.{rest}"), 1);
    }
    match api.prefix.strip_suffix("/api/v3") {
        Some(server) => format!("{server}/api/uploads"),
        None => api.prefix.clone(),
    }
}

/// The web pages are on the host itself: `api.` is dropped on github.com and data residency.
fn derived_web(host: &Url) -> Url {
    let mut web = host.clone();
    let name = host.host_str().unwrap_or_default();
    if let Some(rest) = name.strip_prefix("api.")
        && (rest == "github.com" || rest.ends_with(".ghe.com"))
        // It can not fail: what is left is the end of a host that was good.
        && web.set_host(Some(rest)).is_err()
    {
        return host.clone();
    }
    web
}

/// GraphQL is `/graphql`, and `/api/graphql` on an Enterprise Server.
fn derived_graphql(api: &Base) -> Result<Url> {
    let server = api.prefix.strip_suffix("/v3").filter(|rest| rest.ends_with("/api"));
    let text = format!("{}/graphql", server.unwrap_or(&api.prefix));
    Url::parse(&text).map_err(|error| {
        Error::new(ErrorKind::Configuration, "base_url leads to no address for GraphQL")
            .with_source(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(base: &str) -> Origins {
        Origins::new(base, None).unwrap()
    }

    #[test]
    fn uploads_graphql_and_web_follow_from_the_base_url() {
        for (base, upload, graphql, web) in [
            (
                "https://api.github.com",
                "https://uploads.github.com",
                "https://api.github.com/graphql",
                "https://github.com/",
            ),
            (
                "https://api.octocorp.ghe.com/",
                "https://uploads.octocorp.ghe.com",
                "https://api.octocorp.ghe.com/graphql",
                "https://octocorp.ghe.com/",
            ),
            (
                "https://github.example.com/api/v3/",
                "https://github.example.com/api/uploads",
                "https://github.example.com/api/graphql",
                "https://github.example.com/",
            ),
            (
                "http://127.0.0.1:8080",
                "http://127.0.0.1:8080",
                "http://127.0.0.1:8080/graphql",
                "http://127.0.0.1:8080/",
            ),
        ] {
            let origins = origins(base);
            assert_eq!(origins.upload.prefix, upload, "{base}");
            assert_eq!(origins.graphql().as_str(), graphql, "{base}");
            assert_eq!(origins.web().as_str(), web, "{base}");
        }
    }

    #[test]
    fn an_operation_goes_to_the_server_that_the_document_gives_it() {
        let ghes = origins("https://github.example.com/api/v3");
        let github = origins(GITHUB);
        for (server, at_ghes, at_github) in [
            (None, "https://github.example.com/api/v3", "https://api.github.com/"),
            (
                Some("https://uploads.github.com"),
                "https://github.example.com/api/uploads",
                "https://uploads.github.com/",
            ),
            (
                Some("{protocol}://{hostname}"),
                "https://github.example.com/",
                "https://api.github.com/",
            ),
        ] {
            assert_eq!(ghes.of(server).as_str(), at_ghes);
            assert_eq!(github.of(server).as_str(), at_github);
        }
    }

    #[test]
    fn only_the_same_scheme_host_and_port_is_trusted() {
        let origins = origins(GITHUB);
        for (url, trusted) in [
            ("https://api.github.com/user", true),
            ("https://api.github.com:443/user", true),
            ("https://API.GitHub.com/user", true),
            ("https://uploads.github.com/x", true),
            ("http://api.github.com/user", false),
            ("https://api.github.com:8443/user", false),
            ("https://api.github.com.evil.example/user", false),
            ("https://api.github.com@evil.example/user", false),
            ("https://codeload.github.com/x", false),
            ("https://github.com/user", false),
        ] {
            assert_eq!(origins.trusts(&Url::parse(url).unwrap()), trusted, "{url}");
        }
    }

    #[test]
    fn a_page_is_fetched_below_the_base_path_of_a_known_address_only() {
        let ghes = origins("https://ghe.internal/api/v3");
        let from = Url::parse("https://ghe.internal/api/v3/list").unwrap();
        let host = Url::parse("https://ghe.internal/manage/v1/x").unwrap();
        for (link, from, expected) in [
            (
                "https://ghe.example/api/v3/x?page=2",
                &from,
                Some("https://ghe.internal/api/v3/x?page=2"),
            ),
            ("https://a:b@ghe.internal/api/v3/x#y", &from, Some("https://ghe.internal/api/v3/x")),
            (
                "http://ghe.internal:81/api/v3//evil.example/x",
                &from,
                Some("https://ghe.internal/api/v3//evil.example/x"),
            ),
            (
                "https://ghe.internal/api/uploads/x",
                &from,
                Some("https://ghe.internal/api/uploads/x"),
            ),
            ("https://ghe.internal/x", &from, None),
            ("https://ghe.example/x", &from, None),
            ("https://ghe.internal/api/v3/..%2fx", &from, None),
            ("https://ghe.internal/api/v3/..%2F..%2Fetc?page=2", &from, None),
            ("https://ghe.internal/api/v3/a/%2e%2e%5c..%5cetc", &from, None),
            ("https://ghe.internal/api/v3/..%5Cetc", &from, None),
            ("https://ghe.internal/api/v3/%252e%252e%252fetc", &from, None),
            ("https://ghe.internal/api/v3/%25252e%25252e/etc", &from, None),
            ("https://ghe.internal/api/v3\\..\\..\\etc", &from, None),
            ("https://ghe.internal/api/v3/.%2e/etc", &from, None),
            // A name with an encoded slash, a percent sign, or dots is a name.
            (
                "https://ghe.internal/api/v3/a%2Fb/100%25/..c/x...y",
                &from,
                Some("https://ghe.internal/api/v3/a%2Fb/100%25/..c/x...y"),
            ),
            ("ftp://ghe.internal/api/v3/x", &from, None),
            ("data:/api/v3/x", &from, None),
            // The management API is not below the base path.
            (
                "https://ghe.internal/manage/v1/x?page=2",
                &host,
                Some("https://ghe.internal/manage/v1/x?page=2"),
            ),
        ] {
            let page = ghes.page(&Url::parse(link).unwrap(), from);
            assert_eq!(page.as_ref().ok().map(Url::as_str), expected, "{link}");
        }
        let stranger = Url::parse("https://stranger.example/list").unwrap();
        let link = Url::parse("https://stranger.example/api/v3/x").unwrap();
        assert!(ghes.page(&link, &stranger).is_err());
    }

    #[test]
    fn a_gateway_that_passes_githubs_links_through_is_asked_for_the_pages() {
        for (base, link, expected) in [
            // Below a path, in front of github.com, a data residency, and an Enterprise Server.
            (
                "/github",
                "https://api.github.com/repos/o/r/issues?page=2",
                "/github/repos/o/r/issues?page=2",
            ),
            (
                "/github/",
                "https://api.github.com/repositories/1/x?after=a%2Fb",
                "/github/repositories/1/x?after=a%2Fb",
            ),
            ("/a/b", "http://api.github.com/x?page=2", "/a/b/x?page=2"),
            ("/gh", "https://api.octocorp.ghe.com/x?page=2", "/gh/x?page=2"),
            ("/gh/api/v3", "https://ghe.example/api/v3/x?page=2", "/gh/api/v3/x?page=2"),
            ("/gh/api/v3", "https://ghe.example:8443/api/v3/x?page=2", "/gh/api/v3/x?page=2"),
            // GitHub has paths that begin as the gateway's own.
            (
                "/repos",
                "https://api.github.com/repos/o/r/issues?page=2",
                "/repos/repos/o/r/issues?page=2",
            ),
            ("/user", "https://api.github.com/user?page=2", "/user/user?page=2"),
            // A gateway that rewrites them, wholly or the path alone, and one without a path.
            ("/github", "https://gateway.internal/github/x?page=2", "/github/x?page=2"),
            ("/github", "https://other.internal/github/x?page=2", "/github/x?page=2"),
            ("", "https://api.github.com/x?page=2", "/x?page=2"),
            // A name and a password do not go along.
            ("/github", "https://a:b@api.github.com/x?page=2#y", "/github/x?page=2"),
        ] {
            let origins = origins(&format!("https://gateway.internal{base}"));
            let from = Url::parse(&format!("https://gateway.internal{base}/list")).unwrap();
            let page = origins.page(&Url::parse(link).unwrap(), &from).unwrap();
            let expected = format!("https://gateway.internal{expected}");
            assert_eq!(page.as_str(), expected, "{base} {link}");
        }
        for (base, link) in [
            // Neither GitHub's address nor the gateway's path.
            ("/github", "https://ghe.example/x?page=2"),
            ("/github", "https://api.github.com.evil.example/x?page=2"),
            ("/github", "https://evil.example/?https://api.github.com/x"),
            ("/github", "https://api.github.com:8443/x?page=2"),
            ("/github", "https://github.com/x?page=2"),
            ("/github", "https://api.github.com@evil.example/x?page=2"),
            // The gateway's own links keep to its path.
            ("/github", "https://gateway.internal/x?page=2"),
            ("/gh/api/v3", "https://gateway.internal/api/v3/x?page=2"),
            // Out of the gateway's path.
            ("/github", "https://api.github.com/..%2fadmin?page=2"),
            ("/github", "https://api.github.com/%252e%252e%252fadmin"),
            ("/gh/api/v3", "https://ghe.example/api/v3/..%2f..%2f..%2fadmin"),
            ("/gh/api/v3", "https://ghe.example/api/v3x?page=2"),
        ] {
            let origins = origins(&format!("https://gateway.internal{base}"));
            let from = Url::parse(&format!("https://gateway.internal{base}/list")).unwrap();
            let error = origins.page(&Url::parse(link).unwrap(), &from).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UntrustedUrl, "{base} {link}");
            assert!(error.to_string().contains("rewrite Link headers"), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_link_leads_to_another_host(
            base in "(|/api/v3|/a/b|/a/api/v3)",
            link in "(https?|ftp|HTTP)://([a-z:@]{0,5})?([a-z.]{1,12}|api\\.github\\.com|uploads\\.x\\.ghe\\.com)(:[0-9]{1,4})?/([a-z0-9./%?#@:\\\\]|%2e|%2f|%5c|%25){0,40}",
        ) {
            let origins = origins(&format!("https://ghe.internal{base}"));
            let from = Url::parse(&format!("https://ghe.internal{base}/list")).unwrap();
            if let Ok(link) = Url::parse(&link)
                && let Ok(page) = origins.page(&link, &from)
            {
                proptest::prop_assert!(origins.trusts(&page) && origins.contains(&page), "{page}");
                proptest::prop_assert!(!has_credentials(&page), "{page}");
                proptest::prop_assert_eq!(page.query(), link.query());
            }
        }
    }

    #[test]
    fn a_bad_base_url_is_refused_and_not_repeated() {
        for text in [
            "api.github.com",
            "ftp://api.github.com",
            "https://user:hunter2@api.github.com",
            "https://api.github.com?hunter2",
            "",
        ] {
            let error = Origins::new(text, None).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{text}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
