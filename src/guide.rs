//! Guide to the crate, one page for each task.
//!
//! The pages are the files of `docs/guide/` in the repository. The module exists in the documentation only, where the
//! code of all pages is tested; a build does not contain it.

// Links of a page point to files and web pages. A definition before the page replaces one of them: of several
// definitions of a name, the first one counts.

/// [content]: crate::guide::content
///
#[doc = include_str!("../docs/guide/calls.md")]
pub mod calls {}

/// [calls]: crate::guide::calls
///
#[doc = include_str!("../docs/guide/content.md")]
pub mod content {}

#[doc = include_str!("../docs/guide/authentication.md")]
pub mod authentication {}

#[doc = include_str!("../docs/guide/scripts.md")]
pub mod scripts {}

/// [`CircuitOpen`]: crate::ErrorKind::CircuitOpen
///
#[doc = include_str!("../docs/guide/rate-limits.md")]
pub mod rate_limits {}

/// [`cache`]: crate::cache#etags-and-tokens
///
#[doc = include_str!("../docs/guide/caching.md")]
pub mod caching {}

#[doc = include_str!("../docs/guide/fleet.md")]
pub mod fleet {}

#[doc = include_str!("../docs/guide/webhooks.md")]
pub mod webhooks {}

/// [`observability`]: crate::observability
/// [stale]: crate::cache::CachePolicy::stale_if_error
///
#[doc = include_str!("../docs/guide/observability.md")]
pub mod observability {}

#[doc = include_str!("../docs/guide/testing.md")]
pub mod testing {}

#[doc = include_str!("../docs/guide/migration.md")]
pub mod migration {}

/// [scripts]: crate::guide::scripts
///
#[doc = include_str!("../docs/guide/features.md")]
pub mod features {}

#[doc = include_str!("../docs/guide/cost.md")]
pub mod cost {}

/// [authentication]: crate::guide::authentication
/// [cost]: crate::guide::cost
/// [scripts]: crate::guide::scripts
/// [content]: crate::guide::content
///
#[doc = include_str!("../docs/guide/troubleshooting.md")]
pub mod troubleshooting {}

#[doc = include_str!("../docs/guide/middleware.md")]
pub mod middleware {}
