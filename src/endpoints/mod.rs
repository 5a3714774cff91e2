//! The servers that a client calls and trusts with its tokens, decided in this place only.
//!
//! All code that sends a token calls [`Endpoints::trusts`]: calls, redirects and page links.

use std::borrow::Cow;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use url::{Host, Url};

use crate::error::{Error, ErrorKind, Result};

/// The base URL of GitHub's own API.
pub(crate) const GITHUB: &str = "https://api.github.com";

/// The URLs of one GitHub server: github.com, GitHub Enterprise Cloud with data residency, or an Enterprise Server.
#[derive(Debug)]
pub(crate) struct Endpoints {
    api: Arc<BaseUrl>,
    upload: Arc<BaseUrl>,
    graphql: Url,
    /// The API's server, without an Enterprise Server's `/api/v3`.
    host: Arc<BaseUrl>,
    /// The URL of the pages on which users sign in.
    web: Url,
}

/// A base URL, and the same as text without its last `/`.
#[derive(Debug)]
pub(crate) struct BaseUrl {
    url: Url,
    prefix: String,
    /// The same server with a long path. A copy of it has the capacity for most paths and queries.
    spacious: Url,
}

/// The length of the path for which a copy of a base URL has the capacity.
const URL_CAPACITY: usize = 96;

impl Endpoints {
    /// Parses the base URL and derives the URLs that are not set.
    pub(crate) fn new(base: &str, upload: Option<&str>) -> Result<Self> {
        let api = Arc::new(BaseUrl::parse("base_url", base)?);
        let upload = match upload {
            Some(upload) => BaseUrl::parse("upload_url", upload)?,
            None => BaseUrl::parse("upload_url", &derive_upload_url(&api))?,
        };
        let graphql = derive_graphql_url(&api)?;
        let host = match api.prefix.strip_suffix("/api/v3") {
            Some(host) => Arc::new(BaseUrl::parse("base_url", host)?),
            None => Arc::clone(&api),
        };
        let web = derive_web_url(&host.url);
        Ok(Self { api, upload: Arc::new(upload), graphql, host, web })
    }

    /// Returns the base URL of the API.
    pub(crate) fn api(&self) -> &Url {
        &self.api.url
    }

    /// Returns the same as a base for URLs.
    pub(crate) fn api_base(&self) -> &Arc<BaseUrl> {
        &self.api
    }

    /// Returns the URL for uploads.
    pub(crate) fn upload(&self) -> &Url {
        &self.upload.url
    }

    /// Returns whether the base URL is probably that of an Enterprise Server without its `/api/v3`, so that every call
    /// would receive a web page or a 404.
    ///
    /// A gateway can have GitHub's API at any path, so only a base URL without a path, or with a path below `/api`,
    /// counts. Servers of tests are local, and a host `api.…` has no `/api` in its path.
    pub(crate) fn lacks_enterprise_path(&self) -> bool {
        let url = &self.api.url;
        let host = url.host_str().unwrap_or_default();
        let is_local = host.ends_with(".localhost") || is_loopback(url);
        if is_local || host.starts_with("api.") || github_domain(url, "").is_some() {
            return false;
        }
        let first = url.path_segments().and_then(|mut segments| segments.next());
        matches!(first, None | Some("" | "api")) && !self.api.prefix.ends_with("/api/v3")
    }

    /// Returns the base URL of an operation: the API's, unless the description gives the operation a server of its own.
    /// That is the upload server or, on an Enterprise Server, the host itself, whose management API is not below
    /// `/api/v3`.
    pub(crate) fn base_for_operation(&self, server: Option<&str>) -> &Arc<BaseUrl> {
        match server {
            None => &self.api,
            Some(server) if server.contains("uploads") => &self.upload,
            Some(_) => &self.host,
        }
    }

    /// Returns the same as a URL.
    pub(crate) fn for_operation(&self, server: Option<&str>) -> &Url {
        &self.base_for_operation(server).url
    }

    /// Returns the URL of GitHub's web pages, which OAuth uses. No token is sent there.
    pub(crate) fn web(&self) -> &Url {
        &self.web
    }

    /// Returns the URL of the GraphQL API.
    pub(crate) fn graphql(&self) -> &Url {
        &self.graphql
    }

    /// Returns whether the token can be sent to this URL: it has the scheme, host and port of the API or of the
    /// uploads.
    pub(crate) fn trusts(&self, url: &Url) -> bool {
        same_origin(&self.api.url, url) || same_origin(&self.upload.url, url)
    }

    /// Rejects a URL to which the token must not be sent.
    pub(crate) fn require_trusted(&self, url: &Url, what: &str) -> Result<()> {
        if self.trusts(url) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::UntrustedUrl,
            format!(
                "{what} points to {}, not to the GitHub instance of this client ({})",
                origin_of(url),
                origin_of(&self.api.url),
            ),
        )
        .with_advice("neither request nor token was sent; check the client's base_url"))
    }

    /// Returns the URL at which this client fetches the page that `link` names, on a page from `from`.
    ///
    /// A proxy in front of an Enterprise Server sends links to the server's public name, and one in front of github.com
    /// with links to `api.github.com`. The path and query of such a link are fetched at the API's own address, so that
    /// no credential goes to another host. If the proxy has a path prefix for the API, that prefix is added to a path
    /// of GitHub's own. A user name, a password and a fragment are omitted.
    ///
    /// # Errors
    /// If the link is not HTTP or leaves the API's base path, or if the page with the link came from another server.
    pub(crate) fn resolve_page(&self, link: &Url, from: &Url) -> Result<Url> {
        const WHAT: &str = "the link to the next page";
        if !matches!(link.scheme(), "http" | "https") || !self.trusts(from) {
            self.require_trusted(link, WHAT)?;
        }
        let base = self.base_of(link);
        let mut page = base.clone();
        match self.path_behind_gateway(base, link) {
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
            format!("{WHAT} is outside the API base path {base}"),
        )
        .with_advice(
            "the request was not sent: a proxy must rewrite Link headers to its own address and \
             path; without a proxy, check the client's base_url",
        ))
    }

    /// Returns the URL to which a redirect from `from` to `url` leads: as with [`resolve_page`](Self::resolve_page), a URL of GitHub's
    /// own is fetched from the gateway that this client calls.
    pub(crate) fn resolve_redirect(&self, url: Url, from: &Url) -> Url {
        // A client of GitHub itself follows a redirect to another GitHub server without its token.
        if is_github(&self.api.url, "api.") || !self.trusts(from) {
            return url;
        }
        let base = self.base_of(&url);
        let Some(path) = self.path_behind_gateway(base, &url) else { return url };
        let mut own = base.clone();
        own.set_path(&path);
        own.set_query(url.query());
        if self.contains(&own) { own } else { url }
    }

    /// Returns the base URL of the server of `link`.
    fn base_of(&self, link: &Url) -> &Url {
        let is_upload = same_origin(&self.upload.url, link) && !same_origin(&self.api.url, link)
            || is_github(link, "uploads.");
        if is_upload { &self.upload.url } else { &self.api.url }
    }

    /// Returns the path at a gateway of GitHub's own `link`; `None` if the link is not a URL of GitHub, or the gateway
    /// has the same paths as GitHub.
    fn path_behind_gateway(&self, base: &Url, link: &Url) -> Option<String> {
        if self.trusts(link) {
            return None;
        }
        let below = base.path().trim_end_matches('/');
        if is_github(link, "api.") || is_github(link, "uploads.") {
            return Some(format!("{below}{}", link.path()));
        }
        // The public name of an Enterprise Server is unknown, but the path of its API is known.
        let (gateway, root) = ["/api/v3", "/api/uploads"]
            .into_iter()
            .find_map(|root| Some((below.strip_suffix(root)?, root)))?;
        let rest = link.path().strip_prefix(root)?;
        rest.starts_with('/').then(|| format!("{gateway}{root}{rest}"))
    }

    /// Returns whether the path of `url` is below the base path of its server.
    ///
    /// Otherwise, `..` in a path of the caller could leave `/api/v3`.
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

/// Returns whether a path has `.` or `..` between encoded slashes or backslashes, such as `/..%2Fadmin`. `Url` resolves
/// segments between plain slashes; a server that decodes first would resolve these as well.
fn has_hidden_dots(path: &str) -> bool {
    // A server can decode more than once, but not without limit.
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
    // Such repeated encoding has no legitimate purpose.
    true
}

impl BaseUrl {
    fn parse(setting: &str, text: &str) -> Result<Self> {
        let invalid = |reason: &str| {
            Error::new(ErrorKind::Configuration, format!("invalid {setting}: {reason}"))
                .with_advice(
                    "use a URL such as https://api.github.com, https://api.SUBDOMAIN.ghe.com or \
                     https://HOST/api/v3",
                )
        };
        // The error does not repeat the text, since a URL can contain a password.
        let url = Url::parse(text.trim()).map_err(|error| invalid(&error.to_string()))?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(invalid("its scheme is neither https nor http"));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(invalid("it has no host"));
        }
        if has_credentials(&url) {
            return Err(invalid(
                "it contains a user name or password; pass the token to the builder",
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(invalid("it has a query or a fragment"));
        }
        let prefix = url.as_str().trim_end_matches('/').to_owned();
        let mut spacious = url.clone();
        spacious.set_path(&"/".repeat(URL_CAPACITY));
        Ok(Self { url, prefix, spacious })
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the URL of this server with this path and query.
    pub(crate) fn with_path(&self, path: &str, query: Option<&str>) -> Url {
        let mut url = self.spacious.clone();
        url.set_path(path);
        url.set_query(query);
        url
    }
}

/// Parses a base URL that the setting or environment variable of this name has.
///
/// # Errors
/// If it is invalid. The error names the setting, and does not repeat the URL.
pub(crate) fn parse_base_url(setting: &str, text: &str) -> Result<Url> {
    BaseUrl::parse(setting, text).map(|base| base.url)
}

/// Returns the name by which users and GitHub's command line tool know the server of an API: `github.com`,
/// `SUBDOMAIN.ghe.com`, or the host of an Enterprise Server. It has the port, unless that is the one of HTTPS: a login at
/// a host is not for another service on it, nor for a connection without TLS.
pub(crate) fn server_name(api: &Url) -> String {
    let host = api.host_str().unwrap_or_default();
    let port = if api.scheme() == "https" { api.port() } else { api.port_or_known_default() };
    match port {
        Some(port) => format!("{host}:{port}"),
        None => github_domain(api, "api.").unwrap_or(host).to_owned(),
    }
}

/// Returns whether two URLs have the same scheme, host and port (RFC 6454).
pub(crate) fn same_origin(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host_str() == other.host_str()
        && one.port_or_known_default() == other.port_or_known_default()
}

/// Returns whether the URL contains a user name or a password.
pub(crate) fn has_credentials(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// Returns the URL's scheme, host and port, for messages, without path and query.
pub(crate) fn origin_of(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// Returns whether the URL is a loopback address, or `localhost`.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Returns whether the URL leads to github.com or data residency, at a host with this prefix.
fn is_github(url: &Url, begin: &str) -> bool {
    url.port().is_none() && github_domain(url, begin).is_some()
}

/// Returns the domain of github.com or of data residency, if the URL's host is in it and has this prefix.
fn github_domain<'a>(url: &'a Url, begin: &str) -> Option<&'a str> {
    let rest = url.host_str()?.strip_prefix(begin)?;
    (rest == "github.com" || rest.ends_with(".ghe.com")).then_some(rest)
}

/// Uploads have their own host on github.com and on data residency (`uploads.`), and their own path on an Enterprise
/// Server (`/api/uploads`).
fn derive_upload_url(api: &BaseUrl) -> String {
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

/// Derives the URL of the web pages, which are on the host itself: `api.` is dropped on github.com and data residency.
fn derive_web_url(host: &Url) -> Url {
    let mut web = host.clone();
    if let Some(rest) = github_domain(host, "api.")
        // This cannot fail: the result is the suffix of a valid host.
        && web.set_host(Some(rest)).is_err()
    {
        return host.clone();
    }
    web
}

/// Derives the URL of the GraphQL API: `/graphql`, and `/api/graphql` on an Enterprise Server.
fn derive_graphql_url(api: &BaseUrl) -> Result<Url> {
    let server = api.prefix.strip_suffix("/v3").filter(|rest| rest.ends_with("/api"));
    let text = format!("{}/graphql", server.unwrap_or(&api.prefix));
    Url::parse(&text).map_err(|error| {
        Error::new(ErrorKind::Configuration, "no GraphQL URL can be derived from base_url")
            .with_source(error)
    })
}

pub(crate) mod id_path;
#[cfg(test)]
mod tests;
