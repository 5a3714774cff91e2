//! The behavior of the library, with a module for each area.

#[path = "support/alone.rs"]
mod alone;
#[cfg(all(feature = "dashboard", feature = "github-app", feature = "webhooks"))]
#[path = "support/browser.rs"]
mod browser;
#[cfg(feature = "redis")]
#[path = "support/delaying.rs"]
mod delaying;
#[cfg(feature = "webhooks")]
#[path = "../src/store/forward.rs"]
mod forward;
#[path = "support/gone.rs"]
mod gone;
#[path = "support/sender.rs"]
mod sender;
#[path = "support/sources.rs"]
mod sources;
mod support;
#[cfg(all(feature = "dashboard", feature = "github-app", feature = "webhooks"))]
#[path = "support/through.rs"]
mod through;

#[cfg(feature = "redis")]
#[path = "support/redis_servers.rs"]
mod redis_servers;

#[global_allocator]
static ALLOCATOR: alone::Counting = alone::Counting;

mod behavior {
    mod advice;
    mod arithmetic;
    mod attacks;
    #[cfg(feature = "github-app")]
    mod auth;
    mod batch;
    mod bodies;
    mod cache;
    mod circuit;
    mod client;
    mod contract;
    #[cfg(all(feature = "dashboard", feature = "github-app", feature = "webhooks"))]
    mod dashboard;
    #[cfg(feature = "github-app")]
    mod environments;
    mod errors;
    #[cfg(all(unix, feature = "encrypted-token-store", feature = "webhooks-journal"))]
    mod files;
    #[cfg(feature = "redis")]
    mod fleet;
    mod graphql;
    mod health;
    mod hostile;
    mod interceptors;
    mod layers;
    mod limits;
    mod memory;
    mod mock_github;
    mod oauth;
    mod pages;
    mod redirects;
    mod requests;
    mod retries;
    mod shadow;
    #[cfg(all(feature = "encrypted-token-store", feature = "github-app", feature = "redis"))]
    mod shared_tokens;
    #[cfg(feature = "redis")]
    mod store_waits;
    mod streams;

    #[cfg(all(feature = "encrypted-token-store", feature = "github-app"))]
    mod token_file;
    #[cfg(feature = "redis")]
    mod unreadable;
    mod usage;
    #[cfg(all(
        feature = "encrypted-token-store",
        feature = "github-app",
        feature = "redis",
        feature = "webhooks"
    ))]
    mod versions;
    #[cfg(feature = "webhooks")]
    mod webhooks;
}
