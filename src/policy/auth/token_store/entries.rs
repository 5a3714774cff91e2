//! The tokens of a store as JSON, which is then encrypted.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::policy::auth::token::AccessToken;
use crate::time::clock;

/// The tokens, by identity.
pub(super) type Entries = BTreeMap<String, AccessToken>;

#[derive(Serialize)]
struct SerializedToken<'a> {
    token: &'a str,
    expires_at: Option<SystemTime>,
    refresh_token: Option<&'a str>,
    refresh_token_expires_at: Option<SystemTime>,
    issued_at: Option<SystemTime>,
    recheck_after_ms: Option<u64>,
    scopes: Option<&'a [String]>,
}

#[derive(Deserialize)]
struct DeserializedToken {
    token: SecretString,
    expires_at: Option<SystemTime>,
    refresh_token: Option<SecretString>,
    refresh_token_expires_at: Option<SystemTime>,
    #[serde(default)]
    issued_at: Option<SystemTime>,
    #[serde(default)]
    recheck_after_ms: Option<u64>,
    #[serde(default)]
    scopes: Option<Vec<String>>,
}

/// Removes tokens that have expired and cannot be refreshed, so that a store does not grow with every identity ever
/// used.
pub(super) fn drop_expired(entries: &mut Entries) {
    let now = SystemTime::now();
    let ended = |end: Option<SystemTime>| end.is_some_and(|end| end <= now);
    entries.retain(|_, token| {
        let renewable = token.refresh_token().is_some() && !ended(token.refresh_token_expires_at());
        renewable || !ended(token.expires_at())
    });
}

/// Returns the JSON of the tokens, in one buffer that is overwritten when it is dropped.
pub(super) fn to_json(entries: &Entries) -> serde_json::Result<Zeroizing<Vec<u8>>> {
    let entries: BTreeMap<&str, SerializedToken<'_>> =
        entries.iter().map(|(key, token)| (key.as_str(), to_serialized(token))).collect();
    // Counted first: a growing vector leaves its old bytes in memory.
    let mut count = ByteCounter(0);
    serde_json::to_writer(&mut count, &entries)?;
    let mut json = Zeroizing::new(Vec::with_capacity(count.0));
    serde_json::to_writer(&mut *json, &entries)?;
    Ok(json)
}

/// Parses the tokens of this JSON; `None` if it is not the output of [`to_json`]. There is no reason, since errors of
/// `serde_json` quote the input.
pub(super) fn from_json(json: &[u8]) -> Option<Entries> {
    let entries: BTreeMap<String, DeserializedToken> = serde_json::from_slice(json).ok()?;
    entries.into_iter().map(|(key, read)| Some((key, read.token()?))).collect()
}

fn to_serialized(token: &AccessToken) -> SerializedToken<'_> {
    // Serde has no times before 1970; this token has expired as well.
    let since_1970 = |time: SystemTime| time.max(SystemTime::UNIX_EPOCH);
    SerializedToken {
        token: token.expose_secret(),
        expires_at: token.expires_at().map(since_1970),
        refresh_token: token.refresh_token().map(ExposeSecret::expose_secret),
        refresh_token_expires_at: token.refresh_token_expires_at().map(since_1970),
        issued_at: Some(since_1970(token.issued_at())),
        recheck_after_ms: token.rechecked_after().map(clock::millis),
        scopes: token.scopes(),
    }
}

impl DeserializedToken {
    fn token(self) -> Option<AccessToken> {
        let mut token = AccessToken::new(self.token).ok()?;
        if let Some(time) = self.expires_at {
            token = token.with_expires_at(time);
        }
        if let Some(refresh_token) = self.refresh_token {
            token = token.with_refresh_token(refresh_token, self.refresh_token_expires_at);
        }
        if let Some(time) = self.issued_at {
            token = token.with_issued_at(time);
        }
        if let Some(milliseconds) = self.recheck_after_ms {
            token = token.recheck_after(Duration::from_millis(milliseconds));
        }
        if let Some(scopes) = self.scopes {
            token = token.with_scopes(scopes);
        }
        Some(token)
    }
}

/// The number of written bytes.
struct ByteCounter(usize);

impl Write for ByteCounter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn entries(tokens: impl IntoIterator<Item = (&'static str, AccessToken)>) -> Entries {
        tokens.into_iter().map(|(key, token)| (key.to_owned(), token)).collect()
    }

    fn token() -> AccessToken {
        AccessToken::new("ghs_\"\\hunter2").unwrap()
    }

    #[test]
    fn every_part_of_a_token_comes_back() {
        let (end, later) = (SystemTime::now(), SystemTime::now() + Duration::from_secs(9));
        let json = to_json(&entries([
            ("a", token()),
            ("b", token().with_expires_at(end).with_refresh_token("ghr_\u{e9}", Some(later))),
            ("c", token().with_expires_at(SystemTime::UNIX_EPOCH - Duration::from_secs(1))),
        ]))
        .unwrap();
        assert_eq!(json.len(), json.capacity(), "nothing of it was left behind");
        let read = from_json(&json).unwrap();
        assert_eq!(read["a"].expose_secret(), token().expose_secret());
        assert_eq!(read["a"].expires_at(), None);
        assert!(read["a"].refresh_token().is_none());
        assert_eq!(read["b"].expires_at(), Some(end));
        assert_eq!(read["b"].refresh_token().unwrap().expose_secret(), "ghr_\u{e9}");
        assert_eq!(read["b"].refresh_token_expires_at(), Some(later));
        assert_eq!(read["c"].expires_at(), Some(SystemTime::UNIX_EPOCH));
    }

    #[test]
    fn expired_tokens_are_dropped_and_refreshable_ones_stay() {
        let past = SystemTime::now() - Duration::from_secs(1);
        let future = SystemTime::now() + Duration::from_secs(60);
        let over = || token().with_expires_at(past);
        let mut entries = entries([
            ("lasts", token()),
            ("good", token().with_expires_at(future)),
            ("over", over()),
            ("renewable", over().with_refresh_token("ghr_x", None)),
            ("renewable for now", over().with_refresh_token("ghr_x", Some(future))),
            ("both over", over().with_refresh_token("ghr_x", Some(past))),
        ]);
        drop_expired(&mut entries);
        let left: Vec<_> = entries.keys().map(String::as_str).collect();
        assert_eq!(left, ["good", "lasts", "renewable", "renewable for now"]);
    }

    #[test]
    fn invalid_token_json_is_rejected() {
        for json in ["", "[]", "{\"a\":{}}", "{\"a\":{\"token\":\"\"}}", "{\"a\":{\"token\":1}}"] {
            assert!(from_json(json.as_bytes()).is_none(), "{json}");
        }
    }
}
