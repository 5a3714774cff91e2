//! Small helpers: identifiers, private files, PEM, HTML, names and dates of headers, compact headers, conformance suites.

pub(crate) mod compact;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod conformance;
#[cfg(any(feature = "app-registration", feature = "dashboard"))]
pub(crate) mod html;
pub(crate) mod http_date;
pub(crate) mod ids;
pub(crate) mod known_names;
pub(crate) mod log_limit;
#[cfg(any(
    feature = "github-app",
    all(feature = "redis", any(feature = "rustls", feature = "rustls-no-provider"))
))]
pub(crate) mod pem;
#[cfg(any(
    feature = "disk-store",
    feature = "encrypted-token-store",
    feature = "webhooks-journal"
))]
pub(crate) mod private_files;
#[cfg(any(feature = "metrics", feature = "usage"))]
pub(crate) mod static_str_map;
