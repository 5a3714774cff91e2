//! The key under which a response is stored.

use std::fmt;

use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};
use url::{Position, Url};

use super::vary;
use crate::util::ids::Hex;

/// A digest of the identity, of the URL, and of the headers that a response can vary by.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 32]);

/// The identity of a client handle, with the beginnings of its keys. They are the same for all calls, so that each
/// handle computes them once.
pub(crate) struct CacheIdentity {
    name: String,
    own: KeyPrefix,
    /// The beginning of the keys without the identity.
    any: KeyPrefix,
}

/// The beginning of the keys of one identity at one server.
struct KeyPrefix {
    /// The digest of the server and of the identity.
    scope: [u8; 32],
    /// The state after the scope and the client's own headers.
    state: Sha256,
}

/// The parts of a key.
#[derive(Clone, Copy)]
pub(crate) struct KeyParts<'a> {
    pub(crate) identity: &'a CacheIdentity,
    /// The path and the query of the URL. The server is that of the identity.
    pub(crate) path_and_query: (&'a str, Option<&'a str>),
    /// The headers that the client sends with each call.
    pub(crate) default_headers: &'a HeaderMap,
    /// The headers that this call sends.
    pub(crate) request_headers: &'a HeaderMap,
    /// The headers of calls by which responses were seen to vary.
    pub(crate) learned_vary: &'a [HeaderName],
}

impl CacheIdentity {
    /// Creates the identity of this name, for calls to this API with these headers of the client.
    pub(crate) fn new(name: String, api: &Url, default_headers: &HeaderMap) -> Self {
        let server = &api[..Position::BeforePath];
        let headers = fixed_headers(default_headers, &HeaderMap::new());
        let own = KeyPrefix::new(server, Some(&name), &headers);
        Self { name, own, any: KeyPrefix::new(server, None, &headers) }
    }

    /// Returns the name of the identity, which is a part of the metadata of its entries.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl KeyPrefix {
    fn new(server: &str, identity: Option<&str>, headers: &[u8; 32]) -> Self {
        let mut digest = Sha256::new_with_prefix(b"octowire cache 2\0");
        push(&mut digest, server.as_bytes());
        match identity {
            Some(identity) => {
                push(&mut digest, b"as");
                push(&mut digest, identity.as_bytes());
            }
            None => push(&mut digest, b"anybody"),
        }
        let scope: [u8; 32] = digest.finalize().into();
        Self { scope, state: begin_key(scope, headers) }
    }
}

/// Begins a key with the digests of the scope and of the [fixed headers](fixed_headers). Both fill a block, so that a copy
/// of the state hashes only the rest of the key.
fn begin_key(scope: [u8; 32], headers: &[u8; 32]) -> Sha256 {
    Sha256::new_with_prefix(scope).chain_update(headers)
}

/// Returns the digest of the headers that are a part of every key: those of the call, or else those of the client.
fn fixed_headers(default_headers: &HeaderMap, request_headers: &HeaderMap) -> [u8; 32] {
    let mut headers = Sha256::new();
    for name in vary::fixed() {
        let default = default_headers.get(name).filter(|_| !request_headers.contains_key(name));
        for value in request_headers.get_all(name).iter().chain(default) {
            push(&mut headers, name.as_str().as_bytes());
            push(&mut headers, value.as_bytes());
        }
    }
    headers.finalize().into()
}

/// Adds a part with its length, so that different parts are never the same bytes.
fn push(digest: &mut Sha256, part: &[u8]) {
    digest.update((part.len() as u64).to_le_bytes());
    digest.update(part);
}

impl KeyParts<'_> {
    /// Returns the key of the identity.
    pub(crate) fn key(&self) -> Key {
        self.digest(&self.identity.own, |name| self.is_part(name))
    }

    /// Returns the key of the pointer to the identity that stored a response last.
    pub(crate) fn identity_free_key(&self) -> Key {
        self.digest(&self.identity.any, |name| self.is_part(name))
    }

    /// Returns the key of a request in flight: of all its headers, since it is not known by which of them the response
    /// will vary.
    pub(crate) fn in_flight_key(&self) -> Key {
        self.digest(&self.identity.own, |_| true)
    }

    fn is_part(&self, name: &HeaderName) -> bool {
        vary::is_part(name.as_str()) || self.learned_vary.contains(name)
    }

    fn digest(&self, prefix: &KeyPrefix, is_part: impl Fn(&HeaderName) -> bool) -> Key {
        let has_own = vary::fixed().iter().any(|name| self.request_headers.contains_key(name));
        let mut digest = match has_own {
            true => {
                let headers = fixed_headers(self.default_headers, self.request_headers);
                begin_key(prefix.scope, &headers)
            }
            false => prefix.state.clone(),
        };
        let (path, query) = self.path_and_query;
        push(&mut digest, path.as_bytes());
        // Headers are pairs, so that the number of parts shows whether there is a query.
        if let Some(query) = query {
            push(&mut digest, query.as_bytes());
        }
        let mut headers: Vec<(&str, &HeaderValue)> = Vec::new();
        for (name, value) in self.request_headers {
            if is_part(name) && !vary::fixed().contains(name) && !is_of_message(name) {
                headers.push((name.as_str(), value));
            }
        }
        headers.sort_by_key(|(name, _)| *name);
        for (name, value) in headers {
            push(&mut digest, name.as_bytes());
            push(&mut digest, value.as_bytes());
        }
        Key(digest.finalize().into())
    }

    /// Returns whether the call sends headers that are no part of its key, unless responses vary by them.
    pub(crate) fn has_further_headers(&self) -> bool {
        let mut names = self.request_headers.keys();
        names.any(|name| !vary::is_part(name.as_str()) && !is_of_message(name))
    }

    /// Returns whether the key covers all headers that a response varies by.
    pub(crate) fn covers_vary(&self, mut varying: impl Iterator<Item = String>) -> bool {
        varying.all(|name| {
            let is_learned = || self.learned_vary.iter().any(|known| known.as_str() == name);
            vary::is_part(&name)
                || match self.request_headers.contains_key(&name) {
                    true => is_learned(),
                    false => !self.default_headers.contains_key(&name),
                }
        })
    }
}

/// Returns whether a header concerns the request as a message, and does not select a response.
fn is_of_message(name: &HeaderName) -> bool {
    [CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE].contains(name)
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Key {
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Returns a key of its own for each number.
    #[cfg(test)]
    pub(crate) fn numbered(number: usize) -> Self {
        let mut bytes = [0; 32];
        bytes[..size_of::<usize>()].copy_from_slice(&number.to_be_bytes());
        Self(bytes)
    }
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT, ACCEPT_LANGUAGE, ORIGIN};

    use super::*;

    const API: &str = "https://api.github.com/";
    const TRACE: HeaderName = HeaderName::from_static("x-trace");

    fn headers<const N: usize>(headers: [(HeaderName, &'static str); N]) -> HeaderMap {
        HeaderMap::from_iter(headers.map(|(name, text)| (name, HeaderValue::from_static(text))))
    }

    fn defaults() -> HeaderMap {
        headers([(ACCEPT, "application/json"), (TRACE, "not a part")])
    }

    fn identity(name: &str, api: &str) -> CacheIdentity {
        CacheIdentity::new(name.to_owned(), &api.parse().unwrap(), &defaults())
    }

    /// Returns all keys of a call.
    fn keys(
        identity: &CacheIdentity,
        path_and_query: (&str, Option<&str>),
        request_headers: &HeaderMap,
    ) -> [Key; 3] {
        let parts = KeyParts {
            identity,
            path_and_query,
            default_headers: &defaults(),
            request_headers,
            learned_vary: &[],
        };
        [parts.key(), parts.identity_free_key(), parts.in_flight_key()]
    }

    #[test]
    fn identities_and_servers_share_no_key() {
        let (path, none) = (("/user", None), HeaderMap::new());
        let [own, any, in_flight] = keys(&identity("user:a", API), path, &none);
        assert_eq!(own, in_flight);
        // With a header of the call's own, the beginning is computed for the call.
        let own_headers = headers([(ACCEPT, "text/html")]);
        let [own_html, any_html, _] = keys(&identity("user:a", API), path, &own_headers);
        assert!(own != any && own_html != any_html && own != own_html && any != any_html);
        for name in ["user:b", "user:", "", "anybody", "user:a by client:x"] {
            let [other, shared, _] = keys(&identity(name, API), path, &none);
            assert!(other != own && other != any && shared == any, "{name}");
            let [other, shared, _] = keys(&identity(name, API), path, &own_headers);
            assert!(other != own_html && other != any_html && shared == any_html, "{name}");
        }
        for api in ["http://api.github.com", "https://api.github.com:8443", "https://ghe.example"] {
            let [other, shared, _] = keys(&identity("user:a", api), path, &none);
            assert!(other != own && shared != any, "{api}");
        }
        // The path of a base URL is a part of each call's path.
        assert_eq!(keys(&identity("user:a", "https://api.github.com/x"), path, &none)[0], own);
    }

    /// The client's own headers are in the state that a handle keeps, and those of a call are not.
    #[test]
    fn a_key_does_not_depend_on_which_side_sets_a_header() {
        let (identity, path) = (identity("user:a", API), ("/user", None));
        let inherited = keys(&identity, path, &HeaderMap::new());
        assert_eq!(keys(&identity, path, &headers([(ACCEPT, "application/json")])), inherited);
        let html = headers([(ACCEPT, "text/html")]);
        let by_default = CacheIdentity::new("user:a".to_owned(), &API.parse().unwrap(), &html);
        let parts = KeyParts {
            identity: &by_default,
            path_and_query: path,
            default_headers: &html,
            request_headers: &HeaderMap::new(),
            learned_vary: &[],
        };
        assert_eq!(parts.key(), keys(&identity, path, &html)[0]);
    }

    #[test]
    fn a_key_is_of_the_headers_by_which_responses_vary() {
        let (identity, path) = (identity("user:a", API), ("/user", None));
        let [plain, _, plain_in_flight] = keys(&identity, path, &HeaderMap::new());
        for name in [ACCEPT, ACCEPT_LANGUAGE, ORIGIN] {
            let [one, _, _] = keys(&identity, path, &headers([(name.clone(), "1")]));
            let [other, _, _] = keys(&identity, path, &headers([(name.clone(), "2")]));
            assert!(one != plain && one != other, "{name}");
        }
        let traced = headers([(TRACE, "1")]);
        let [key, _, in_flight] = keys(&identity, path, &traced);
        assert!(key == plain && in_flight != plain_in_flight);
        let parts = KeyParts {
            identity: &identity,
            path_and_query: path,
            default_headers: &defaults(),
            request_headers: &traced,
            learned_vary: &[TRACE],
        };
        assert_eq!(parts.key(), in_flight);
        // Their order does not matter.
        let ordered = headers([(ACCEPT, "1"), (ORIGIN, "2"), (TRACE, "3")]);
        let reversed = headers([(TRACE, "3"), (ORIGIN, "2"), (ACCEPT, "1")]);
        assert_eq!(keys(&identity, path, &ordered), keys(&identity, path, &reversed));
        assert_eq!(keys(&identity, path, &headers([(CACHE_CONTROL, "no-cache")]))[2], plain);
    }

    #[test]
    fn a_query_is_neither_a_path_nor_a_header() {
        let identity = identity("user:a", API);
        let (none, origin) = (HeaderMap::new(), headers([(ORIGIN, "x")]));
        let all = [
            keys(&identity, ("/a", None), &none)[0],
            keys(&identity, ("/a", Some("")), &none)[0],
            keys(&identity, ("/a", Some("b")), &none)[0],
            keys(&identity, ("/a?b", None), &none)[0],
            keys(&identity, ("/ab", None), &none)[0],
            keys(&identity, ("/a", None), &origin)[0],
            keys(&identity, ("/a", Some("origin")), &origin)[0],
            keys(&identity, ("/a", Some("origin")), &none)[0],
        ];
        for (index, key) in all.iter().enumerate() {
            assert!(!all[..index].contains(key), "{index}");
        }
    }
}
