//! The check whether a request without a token comes from a browser on this machine.
//!
//! A request with unknown properties is denied.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use http::header::{CONNECTION, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Version};

use crate::sanitize;

/// Names of headers that browsers and command-line clients send by themselves, for any page: Chromium, Firefox, Safari
/// and their derivatives, `curl` and `wget`. The list contains no header by which a proxy describes the connection in
/// front of it, whatever its name.
const CLIENT_HEADERS: &[&str] = &[
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    // Firefox, after it found the server by `Alt-Svc`.
    "alt-used",
    "authorization",
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    // Cookies of all ports of the machine.
    "cookie",
    "dnt",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    // An event stream that is reconnected.
    "last-event-id",
    "origin",
    "pragma",
    // Firefox and Safari send it on HTTP/1.1 as well.
    "priority",
    "purpose",
    "range",
    "referer",
    "save-data",
    "sec-gpc",
    "sec-purpose",
    "te",
    "upgrade-insecure-requests",
    "user-agent",
    "x-moz",
    "x-purpose",
    // The package name of the application with an Android web view.
    "x-requested-with",
    // Client hints from before the prefix `sec-ch-`.
    "device-memory",
    "downlink",
    "dpr",
    "ect",
    "rtt",
    "viewport-width",
    "width",
];

/// Prefixes of such headers, whose number grows. Scripts cannot set headers with the prefix `sec-`.
const CLIENT_PREFIXES: [&str; 2] = ["sec-ch-", "sec-fetch-"];

/// Maximum number of headers that an application can allow, and maximum length of a name in bytes.
pub(super) const MAX_ALLOWED: usize = 16;
const MAX_NAME: usize = 64;

/// Headers by which a proxy describes the connection in front of it or itself, or which apply to one hop only.
const PROXY_HEADERS: &[&str] = &[
    "connect-time",
    "connection",
    "disguised-host",
    "early-data",
    "expect",
    "host",
    "http2-settings",
    "max-forwards",
    "total-route-time",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "was-default-hostname",
    "x-host",
    "x-http-host-override",
    "x-request-start",
    "x-rewrite-url",
    "x-scheme",
    "x-site-deployment-id",
    "x-timer",
];

/// Prefixes of headers of products and services, and of headers with which proxies describe a user or a certificate.
const PROXY_PREFIXES: &[&str] = &[
    "akamai-",
    "bypass-tunnel",
    "cdn-",
    "cf-",
    "cloudfront-",
    "do-",
    "fastly-",
    "fly-",
    "front-end-",
    "ngrok-",
    "remote-",
    "ssl-",
    "surrogate-",
    "tailscale-",
    "x-akamai-",
    "x-amz",
    "x-appengine-",
    "x-appgw-",
    "x-arr-",
    "x-auth",
    "x-azure-",
    "x-bluecoat-",
    "x-cache",
    "x-client-",
    "x-cloud-",
    "x-cluster-",
    "x-envoy-",
    "x-fd-",
    "x-goog-",
    "x-ms-",
    "x-nf-",
    "x-original-",
    "x-pomerium-",
    "x-real-",
    "x-remote-",
    "x-ssl-",
    "x-varnish",
    "x-vercel-",
    "x-webauth-",
    "x-zscaler-",
];

/// Substrings of such names: `x-forwarded-for`, `proxy-client-ip`, `x-originating-ip`.
const PROXY_PARTS: &[&str] = &["forward", "proxy", "client-ip", "clientip", "originating-ip"];

/// Parses the name of a header that an application allows.
///
/// # Errors
/// If it is not a name, or is one of those that proxies add: the text is the reason.
pub(super) fn allowed_header(name: &str) -> Result<HeaderName, &'static str> {
    let name = HeaderName::from_bytes(name.as_bytes())
        .ok()
        .filter(|name| name.as_str().len() <= MAX_NAME)
        .ok_or("not a valid header name, or longer than 64 bytes")?;
    let text = name.as_str();
    let is_of_a_proxy = PROXY_HEADERS.contains(&text)
        || PROXY_PREFIXES.iter().any(|prefix| text.starts_with(prefix))
        || PROXY_PARTS.iter().any(|part| text.contains(part));
    if is_of_a_proxy { Err("the header identifies a proxy") } else { Ok(name) }
}

/// Maximum length of a header's name in a response, in characters.
const MAX_SHOWN: usize = 64;

/// Why a request is not accepted as that of a browser on this machine.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotLocal {
    /// The peer's address is not a loopback address, or is unknown.
    Peer,
    /// There is not exactly one server name, or it is not one of this machine.
    Host,
    /// The request has the form of requests to proxies, or is HTTP/1.0, which proxies use.
    Form,
    /// The request has a header that clients do not send by themselves.
    Header(String),
}

impl NotLocal {
    /// Returns the text of the response.
    pub(super) fn text(&self) -> String {
        let reason: Cow<'_, str> = match self {
            Self::Peer => "the connection is not known to be local".into(),
            Self::Host => "the Host header is missing, duplicated or not local".into(),
            Self::Form => "the request has the form of a proxied request".into(),
            Self::Header(name) => {
                format!("the request has the header `{name}`, which no browser sends by itself")
                    .into()
            }
        };
        let advice = match self {
            Self::Peer => " For the connection's address, see Dashboard::router.",
            Self::Header(name) if allowed_header(name).is_ok() => {
                " If there is no proxy and a layer of this application adds the header, allow it \
                 with Dashboard::allow_header."
            }
            _ => "",
        };
        format!(
            "Without a token, only browsers on this machine have access, at 127.0.0.1 or \
             localhost: {reason}. Behind a proxy, set Dashboard::token.{advice}\n"
        )
    }
}

/// Checks that a request comes from this machine, with a name of this machine, and without visible signs of a proxy.
///
/// A page of another site whose name resolves to 127.0.0.1 fails because of its name. The application allows further
/// headers, which its own layers add.
pub(super) fn check<B>(request: &http::Request<B>, allowed: &[HeaderName]) -> Result<(), NotLocal> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    if !peer.is_some_and(|ConnectInfo(peer)| is_loopback(peer.ip())) {
        return Err(NotLocal::Peer);
    }
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    let version = request.version();
    if version < Version::HTTP_11 || version == Version::HTTP_11 && authority.is_some() {
        return Err(NotLocal::Form);
    }
    // HTTP/1.1 names the server in the header, HTTP/2 in `:authority`, and possibly in both.
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next().map(|host| host.to_str().unwrap_or_default());
    let mut names = host.into_iter().chain(authority).peekable();
    if hosts.next().is_some() || names.peek().is_none() || !names.all(is_local_name) {
        return Err(NotLocal::Host);
    }
    check_headers(request.headers(), allowed)
}

fn check_headers(headers: &HeaderMap, allowed: &[HeaderName]) -> Result<(), NotLocal> {
    let is_known = |name: &HeaderName| is_of_a_client(name) || allowed.contains(name);
    let unknown = headers.keys().find(|name| !is_known(name)).map(HeaderName::as_str);
    // Headers that `Connection` names apply to the next hop alone, and browsers name none in it.
    let named = headers.get_all(CONNECTION).iter().any(|value| !is_plain_connection(value));
    match unknown.or(named.then_some(CONNECTION.as_str())) {
        Some(name) => Err(NotLocal::Header(sanitize::text(name, MAX_SHOWN).into_owned())),
        None => Ok(()),
    }
}

fn is_of_a_client(name: &HeaderName) -> bool {
    let name = name.as_str();
    CLIENT_HEADERS.contains(&name) || CLIENT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn is_plain_connection(value: &HeaderValue) -> bool {
    let value = value.as_bytes();
    value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close")
}

pub(super) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

fn is_local_name(host: &str) -> bool {
    // Parsed as an authority: `127.0.0.1.example` and `localhost@example` are not names of this machine.
    let Ok(authority) = host.parse::<http::uri::Authority>() else { return false };
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    !host.contains('@')
        && (name.eq_ignore_ascii_case("localhost") || address.is_ok_and(is_loopback))
}

#[cfg(test)]
mod tests;
