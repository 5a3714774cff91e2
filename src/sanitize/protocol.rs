//! Words of HTTP and of GitHub's API that do not count as repeated secrets where the client decides by them.

/// Response headers by which the client decides, whose values consist of [words](WORDS) and numbers.
pub(super) const DECISIVE: [&str; 17] = [
    "age",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "expires",
    "retry-after",
    "transfer-encoding",
    "vary",
    "x-github-sso",
    "x-poll-interval",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ratelimit-resource",
    "x-ratelimit-used",
];

/// The words of these headers: media types, cache directives, names of headers in `Vary`, GitHub's rate limits, and
/// single sign-on.
const WORDS: [&str; 49] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "actions_runner_registration",
    "application/json",
    "application/octet-stream",
    "application/problem+json",
    "application/scim+json",
    "application/vnd.github+json",
    "application/vnd.github.raw+json",
    "application/xml",
    "authorization",
    "charset",
    "chunked",
    "code_scanning_autofix",
    "code_search",
    "cookie",
    "copilot_usage_records",
    "core",
    "dependency_sbom",
    "dependency_snapshots",
    "gmt",
    "graphql",
    "gzip",
    "immutable",
    "integration_manifest",
    "max-age",
    "must-revalidate",
    "must-understand",
    "no-cache",
    "no-store",
    "no-transform",
    "organizations",
    "partial-results",
    "private",
    "proxy-revalidate",
    "public",
    "required",
    "s-maxage",
    "search",
    "source_import",
    "stale-if-error",
    "stale-while-revalidate",
    "text/html",
    "text/plain",
    "utf-8",
    "x-github-otp",
    "x-requested-with",
    "xml",
];

/// Returns whether text consists only of such words and of numbers. A secret that equals one, such as a weak password,
/// does not count as repeated where the protocol has that word.
pub(crate) fn is_of_protocol(text: &[u8]) -> bool {
    let is_word = |part: &[u8]| {
        part.iter().all(u8::is_ascii_digit)
            || WORDS.iter().any(|word| part.eq_ignore_ascii_case(word.as_bytes()))
    };
    let is_between = |byte: &u8| matches!(byte, b' ' | b',' | b';' | b':' | b'=' | b'"');
    text.split(is_between).all(is_word)
}
