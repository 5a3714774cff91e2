//! Whether a request without a token comes from a browser on this machine: what is not known to be sent by one is
//! denied.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use http::header::{CONNECTION, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Version};

use crate::sanitize;

/// Names of headers that browsers and command-line clients send by themselves, whatever the page is: Chromium,
/// Firefox, Safari and those made of them, `curl` and `wget`. Headers by which a proxy describes the connection in
/// front of it are not among them, whatever they are called.
const CLIENT_HEADERS: &[&str] = &[
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    // Firefox, after the server was found by `Alt-Svc`.
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
    // An event stream that is read again.
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
    // The name of the application around a web view of Android.
    "x-requested-with",
    // Client hints from before they were called `sec-ch-`.
    "device-memory",
    "downlink",
    "dpr",
    "ect",
    "rtt",
    "viewport-width",
    "width",
];

/// Families of such headers, which grow. Scripts cannot set headers that begin with `sec-`.
const CLIENT_PREFIXES: [&str; 2] = ["sec-ch-", "sec-fetch-"];

/// Characters of a header's name in a response.
const MAX_SHOWN: usize = 64;

/// Why a request is not taken for one of a browser on this machine.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotLocal {
    /// The peer's address is not a loopback address, or not known.
    Peer,
    /// There is not exactly one name of the server, or it is not one of this machine.
    Host,
    /// The request has the form that requests to proxies have, or is HTTP/1.0, which proxies speak.
    Form,
    /// The request has a header that clients do not send.
    Header(String),
}

impl NotLocal {
    /// The text of the response.
    pub(super) fn text(&self) -> String {
        let reason: Cow<'_, str> = match self {
            Self::Peer => "the connection is not known to come from this machine".into(),
            Self::Host => "the Host header does not name this machine, once".into(),
            Self::Form => "the request looks like one of a proxy".into(),
            Self::Header(name) => {
                format!("the request has the header `{name}`, which no browser sends by itself")
                    .into()
            }
        };
        format!(
            "Without a token, this page is for browsers on this machine at 127.0.0.1 or localhost: {reason}. \
             Behind a proxy, set Dashboard::token; for the connection's address, see Dashboard::router.\n"
        )
    }
}

/// Checks that a request comes from this machine, by a name of it, and through no proxy that shows.
///
/// A page of another site whose name leads to 127.0.0.1 fails by its name.
pub(super) fn check<B>(request: &http::Request<B>) -> Result<(), NotLocal> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    if !peer.is_some_and(|ConnectInfo(peer)| is_loopback(peer.ip())) {
        return Err(NotLocal::Peer);
    }
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    let version = request.version();
    if version < Version::HTTP_11 || version == Version::HTTP_11 && authority.is_some() {
        return Err(NotLocal::Form);
    }
    // HTTP/1.1 names the server in the header, HTTP/2 in `:authority`, and maybe in both.
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next().map(|host| host.to_str().unwrap_or_default());
    let mut names = host.into_iter().chain(authority).peekable();
    if hosts.next().is_some() || names.peek().is_none() || !names.all(is_local_name) {
        return Err(NotLocal::Host);
    }
    check_headers(request.headers())
}

fn check_headers(headers: &HeaderMap) -> Result<(), NotLocal> {
    let unknown = headers.keys().find(|name| !is_of_a_client(name)).map(HeaderName::as_str);
    // What is named in `Connection` is for the next hop alone, and browsers name nothing in it.
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
    // Parsed as an authority: `127.0.0.1.example` and `localhost@example` do not name this machine.
    let Ok(authority) = host.parse::<http::uri::Authority>() else { return false };
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    !host.contains('@')
        && (name.eq_ignore_ascii_case("localhost") || address.is_ok_and(is_loopback))
}

#[cfg(test)]
mod tests;
