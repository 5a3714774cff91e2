//! Names of headers that GitHub and proxies send often, each with a code of one byte.
//!
//! A code takes less memory than the name, is compared faster, and leads to a name that is shared.

use std::sync::LazyLock;

use http::HeaderName;

/// The number of names, whose codes are from 1 to this.
pub(crate) const COUNT: usize = 56;

/// The code of all other names.
pub(crate) const OTHER: u8 = 0;

/// Returns the code of a name in lower case.
pub(crate) fn code(name: &str) -> u8 {
    let mut slot = slot(name.as_bytes());
    loop {
        let code = CODES[slot];
        if code == OTHER || TEXTS[code as usize - 1] == name {
            return code;
        }
        slot = (slot + 1) % SLOTS;
    }
}

/// Returns the name with a code.
pub(crate) fn name(code: u8) -> Option<&'static HeaderName> {
    NAMES.get(usize::from(code).checked_sub(1)?)
}

/// The number of slots of the hash table. It exceeds the number of names, so that a search always reaches an empty one.
const SLOTS: usize = 256;

/// The codes by the hash of their names. A name whose slot is taken has the next free one.
static CODES: [u8; SLOTS] = {
    let mut codes = [OTHER; SLOTS];
    let mut index = 0;
    while index < COUNT {
        let mut slot = slot(TEXTS[index].as_bytes());
        while codes[slot] != OTHER {
            slot = (slot + 1) % SLOTS;
        }
        index += 1;
        // There are fewer names than codes.
        codes[slot] = index as u8;
    }
    codes
};

/// Returns the slot of a name. The factors were chosen so that no two names share a slot.
const fn slot(name: &[u8]) -> usize {
    let length = name.len();
    if length == 0 {
        return 0;
    }
    let (middle, before) = (name[length / 2] as usize, name[length - length.div_ceil(4)] as usize);
    (length + name[length - 1] as usize * 9 + middle * 57 + before * 17) % SLOTS
}

static NAMES: LazyLock<[HeaderName; COUNT]> = LazyLock::new(|| TEXTS.map(HeaderName::from_static));

static TEXTS: [&str; COUNT] = [
    "accept-ranges",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "age",
    "alt-svc",
    "cache-control",
    "connection",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-security-policy",
    "content-type",
    "date",
    "deprecation",
    "etag",
    "expires",
    "github-authentication-token-expiration",
    "keep-alive",
    "last-modified",
    "link",
    "location",
    "permissions-policy",
    "pragma",
    "referrer-policy",
    "retry-after",
    "server",
    "set-cookie",
    "strict-transport-security",
    "sunset",
    "transfer-encoding",
    "vary",
    "via",
    "www-authenticate",
    "x-accepted-github-permissions",
    "x-accepted-oauth-scopes",
    "x-cache",
    "x-content-type-options",
    "x-frame-options",
    "x-github-api-version-selected",
    "x-github-media-type",
    "x-github-request-id",
    "x-github-sso",
    "x-oauth-client-id",
    "x-oauth-scopes",
    "x-poll-interval",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ratelimit-resource",
    "x-ratelimit-used",
    "x-request-id",
    "x-runtime",
    "x-served-by",
    "x-timer",
    "x-xss-protection",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_name_has_its_code() {
        for (index, text) in TEXTS.iter().enumerate() {
            let code = code(text);
            assert_eq!(usize::from(code), index + 1, "{text}");
            assert_eq!(name(code).map(HeaderName::as_str), Some(*text));
        }
        assert_eq!((name(OTHER), name(u8::MAX)), (None, None));
    }

    #[test]
    fn each_name_has_a_slot_of_its_own() {
        for text in TEXTS {
            assert_eq!(CODES[slot(text.as_bytes())], code(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn other_names_have_none(text in prop_oneof!["[!-~]{0,50}", "x-[a-z]{1,12}-[a-z]{1,12}"]) {
            prop_assume!(!TEXTS.contains(&&*text));
            prop_assert_eq!(code(&text), OTHER);
        }
    }
}
