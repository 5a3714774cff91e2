//! The guarantees of the library, with a module for each guarantee.

#[path = "support/alone.rs"]
mod alone;
#[cfg(all(feature = "dashboard", feature = "app-auth", feature = "webhooks-core"))]
#[path = "support/browser.rs"]
mod browser;
#[cfg(feature = "redis")]
#[path = "support/delaying.rs"]
mod delaying;
#[path = "support/gone.rs"]
mod gone;
#[path = "support/sender.rs"]
mod sender;
mod support;
#[cfg(all(feature = "dashboard", feature = "app-auth", feature = "webhooks-core"))]
#[path = "support/through.rs"]
mod through;

#[cfg(feature = "redis")]
#[path = "support/redis_servers.rs"]
mod redis_servers;

#[global_allocator]
static ALLOCATOR: alone::Counting = alone::Counting;

mod promises {
    mod arithmetic;
    mod attacks;
    #[cfg(feature = "app-auth")]
    mod auth;
    mod batch;
    mod bodies;
    mod cache;
    mod circuit;
    mod client;
    mod contract;
    #[cfg(all(feature = "dashboard", feature = "app-auth", feature = "webhooks-core"))]
    mod dashboard;
    #[cfg(feature = "app-auth")]
    mod environments;
    mod errors;
    #[cfg(all(unix, feature = "token-store", feature = "webhooks-journal"))]
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
    #[cfg(all(feature = "token-store", feature = "app-auth", feature = "redis"))]
    mod shared_tokens;
    #[cfg(feature = "redis")]
    mod store_waits;
    mod streams;

    #[cfg(all(feature = "token-store", feature = "app-auth"))]
    mod token_file;
    #[cfg(feature = "redis")]
    mod unreadable;
    mod usage;
    #[cfg(all(
        feature = "token-store",
        feature = "app-auth",
        feature = "redis",
        feature = "webhooks-core"
    ))]
    mod versions;
    #[cfg(feature = "webhooks-core")]
    mod webhooks;
}
