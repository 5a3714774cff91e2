//! Classification of GitHub's rejections by their message.
//!
//! Headers state the remaining rate limit, not the reason for a rejection: the call that uses the last
//! request of a window can be rejected for a permission as well. So if the message names a reason, the
//! message decides.

use http::HeaderMap;
use http::header::RETRY_AFTER;

use crate::headers::rate_limit::is_exhausted;

/// Reason for a rejection, if its message names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureReason {
    /// A primary or secondary rate limit.
    RateLimit,
    SingleSignOn,
    IpAllowList,
    InstallationSuspended,
    AccountSuspended,
    LoginAttempts,
    Archived,
    Billing,
    Plan,
    AppNotApproved,
    TokenPolicy,
    Unverified,
    TwoFactor,
    UserAgent,
    Blocked,
    Disabled,
    Jwt,
    JwtClaim,
    UnknownApp,
    NoCredentials,
    /// A permission, role or scope is missing.
    Permission,
    /// The server failed, so the message does not concern the caller.
    ServerFault,
}

/// Phrases that identify a reason in a message, in lower case. The first match decides: specific reasons
/// precede general ones.
const PHRASES: &[(FailureReason, &[&str])] = &[
    (
        FailureReason::RateLimit,
        &["rate limit", "abuse detection", "submitted too quickly", "too many requests"],
    ),
    (FailureReason::LoginAttempts, &["login attempts exceeded"]),
    (FailureReason::SingleSignOn, &["saml enforcement", "saml sso", "single sign-on"]),
    (FailureReason::IpAllowList, &["ip allow list", "ip allowlist", "ip address is not permitted"]),
    (
        FailureReason::InstallationSuspended,
        &["installation has been suspended", "installation is suspended", "suspended your access"],
    ),
    (
        FailureReason::AccountSuspended,
        &["account was suspended", "account is suspended", "account has been suspended"],
    ),
    (
        FailureReason::Archived,
        &["was archived", "is archived", "archived repositor", "been archived"],
    ),
    (FailureReason::Billing, &["billing issue", "billing problem"]),
    (FailureReason::Plan, &["upgrade to github", "upgrade your plan", "your plan does not"]),
    (FailureReason::AppNotApproved, &["app access restrictions", "third-party application"]),
    (FailureReason::TokenPolicy, &["forbids access via"]),
    (FailureReason::Unverified, &["must be verified", "verify your email", "verified email"]),
    (FailureReason::TwoFactor, &["two-factor"]),
    (FailureReason::UserAgent, &["administrative rules", "user-agent header"]),
    (
        FailureReason::Blocked,
        &[
            "access blocked",
            "is blocked",
            "are blocked",
            "been blocked",
            "has blocked",
            "blocked by",
            "blocked you",
            "was blocked",
            "dmca",
        ],
    ),
    (
        FailureReason::Disabled,
        &[
            "is disabled",
            "are disabled",
            "been disabled",
            "not enabled",
            "must be enabled",
            "is not available",
            "are not available",
        ],
    ),
    (FailureReason::Jwt, &["json web token"]),
    (FailureReason::JwtClaim, &["' claim ("]),
    (
        FailureReason::UnknownApp,
        &["integration not found", "integration must generate a public key"],
    ),
    (FailureReason::NoCredentials, &["requires authentication", "must authenticate"]),
    (
        FailureReason::Permission,
        &[
            "not accessible",
            "inaccessible",
            "must have",
            "must be",
            "need to be",
            "needs to be",
            "you need",
            "not authorized",
            "unauthorized",
            "not permitted",
            "not allowed",
            "does not allow",
            "permission",
            "access denied",
            "permitted only",
            "admin rights",
            "admin access",
            "push access",
            "write access",
            "read access",
            "have access",
            "access to this",
            "required scope",
            "requires the",
            "not a member",
            "only members",
            "only the",
            "only owners",
            "not the owner",
            "protected branch",
            "read-only",
            "insufficient",
        ],
    ),
    (FailureReason::ServerFault, &["something went wrong", "server error", "internal error"]),
];

/// Words of a message that can still mean a limit, although it names something that resembles a permission.
const RATE_LIMIT_WORDS: [&str; 7] =
    ["limit", "quota", "too many", "too quickly", "slow down", "try again", "throttl"];

/// The facts in the message of a rejection that the client uses for decisions.
///
/// They are read from the message as the server sent it. The stored message of an error has no secrets, and
/// so can lack the words that decide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FailureDetails {
    pub(crate) reason: Option<FailureReason>,
    /// It names a secondary limit, independent of the headers for the primary one.
    pub(crate) is_secondary: bool,
    /// The endpoint accepts only the JWT of an App.
    pub(crate) requires_jwt: bool,
    /// The times in the App's JWT are wrong.
    pub(crate) is_about_time: bool,
}

impl FailureDetails {
    pub(crate) fn read(message: &str) -> Self {
        let has = |parts: &[&str]| parts.iter().any(|part| message.contains(part));
        Self {
            reason: FailureReason::read(message),
            is_secondary: mentions_secondary_limit(message),
            requires_jwt: has(&["JSON web token"]),
            // GitHub names the rejected claim.
            is_about_time: has(&["'iat'", "'exp'", "expir", "too far in the future"]),
        }
    }

    /// Returns whether a rejection with these headers is due to a rate limit: see [`indicates_rate_limit`].
    pub(super) fn is_rate_limit(self, headers: &HeaderMap) -> bool {
        is_rate_limit(self.reason, headers)
    }
}

impl FailureReason {
    /// Reads the reason that a message names. Returns `None` if it names none.
    fn read(message: &str) -> Option<Self> {
        let message = message.to_ascii_lowercase();
        let names = |(_, phrases): &&(Self, &[&str])| phrases.iter().any(|p| message.contains(p));
        let reason = PHRASES.iter().find(names).map(|(reason, _)| *reason)?;
        let vague = matches!(reason, Self::Permission | Self::Blocked | Self::Disabled);
        (!(vague && RATE_LIMIT_WORDS.iter().any(|word| message.contains(word)))).then_some(reason)
    }
}

/// Returns whether a rejection with this message and these headers is due to a rate limit.
///
/// If the message names a reason, it decides. Otherwise, either header of [GitHub's
/// rules](https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit)
/// decides: `retry-after`, or `x-ratelimit-remaining: 0`. GitHub describes both as parts of a rate limit
/// error. With a message that names another reason, such as a missing permission, the headers do not indicate
/// a rate limit: no wait would change the outcome.
pub(crate) fn indicates_rate_limit(message: &str, headers: &HeaderMap) -> bool {
    is_rate_limit(FailureReason::read(message), headers)
}

fn is_rate_limit(reason: Option<FailureReason>, headers: &HeaderMap) -> bool {
    match reason {
        Some(reason) => reason == FailureReason::RateLimit,
        None => headers.contains_key(RETRY_AFTER) || is_exhausted(headers),
    }
}

/// Returns whether a rejection is due to a secondary limit, independent of its headers for the primary one.
fn mentions_secondary_limit(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["secondary rate limit", "abuse detection", "submitted too quickly"]
        .iter()
        .any(|phrase| message.contains(phrase))
}
